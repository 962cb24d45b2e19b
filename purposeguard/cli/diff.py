"""The command `purposeguard diff`: what a later revision changes, and what becomes of an application."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from purposeguard.cli.application import Effect, Outcome, effects, find_guard
from purposeguard.cli.diff_words import Words
from purposeguard.cli.files import Problem, read_notice
from purposeguard.cli.options import Imports, LanguageOption, TextOption, out
from purposeguard.cli.render import Language, TextFormat, json_text
from purposeguard.notice.schema import Changes
from purposeguard.policy.diff import Cell, Change, Comparison, compare


class Finding(StrEnum):
    """What `--fail-on` can name: from any difference to anything that an application can no longer do."""

    any = "any"
    widening = "widening"
    material = "material"
    consent = "consent"
    stops = "stops"


def diff(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="The earlier revision: a file or a bundled notice.", show_default=False)
    ],
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="The later revision: a file or a bundled notice.", show_default=False)
    ],
    *,
    old_overlay: Annotated[
        list[Path] | None,
        typer.Option("--old-overlay", metavar="FILE", help="Product overlays of the earlier one.", show_default=False),
    ] = None,
    overlay: Annotated[
        list[Path] | None,
        typer.Option("--overlay", metavar="FILE", help="Product overlays of the later one.", show_default=False),
    ] = None,
    between: Annotated[
        list[str] | None,
        typer.Option(
            "--between", metavar="NOTICE", help="A revision between the two; may be repeated.", show_default=False
        ),
    ] = None,
    app: Annotated[
        str | None,
        typer.Option("--app", metavar="MODULE:GUARD", help="Say what becomes of this application.", show_default=False),
    ] = None,
    imports: Imports = None,
    form: TextOption = TextFormat.text,
    language: LanguageOption = Language.en,
    fail_on: Annotated[
        list[Finding] | None,
        typer.Option("--fail-on", help="Exit 1 where there is such a change; may be repeated.", show_default=False),
    ] = None,
) -> bool:
    """Say what a later revision of a notice widens, narrows, renames and asks for, and what becomes of an application.

    Changes are material where they reach data that was collected earlier, or loosen what protects it: they need notice,
    or the consent of each subject (clause 11).
    """
    if app is None and Finding.stops in (fail_on or ()):
        raise Problem("`--fail-on stops` is about an application: name its guard with `--app MODULE:GUARD`")
    steps = [read_notice(name) for name in between or ()]
    comparison = compare(read_notice(old, old_overlay or ()), read_notice(new, overlay or ()), steps)
    result = Diff(comparison, app, None if app is None else effects(find_guard(app, imports or ()), comparison))
    if form is TextFormat.json:
        print(json_text(result.data(language)), end="")
    else:
        _show(result, language, out())
    return not any(_matches(result, finding) for finding in fail_on or ())


def _matches(diff: Diff, finding: Finding) -> bool:
    comparison = diff.comparison
    return {
        Finding.any: bool(comparison),
        Finding.widening: any(True for _ in comparison.of("widened")),
        Finding.material: diff.material,
        Finding.consent: any(True for _ in comparison.needing("consent")),
        Finding.stops: diff.stopping,
    }[finding]


def _sections(diff: Diff, language: Language) -> list[Section]:
    return [section for section in diff.sections(language) if section.items]


def _show(diff: Diff, language: Language, console: Console) -> None:
    console.print(Text(headline(diff, language), "bold"), soft_wrap=True)
    for section in _sections(diff, language):
        console.print()
        console.print(Text(section.title, "bold cyan"))
        for item in section.items:
            console.print(Text(f"- {item}"), soft_wrap=True)


NAMING: Final = frozenset({"renamed", "reused", "renamed-nothing"})
"""Kinds of changes that are about ids."""


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A heading and its lines."""

    title: str
    items: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Diff:
    """A comparison, and its effects on an application if one is named."""

    comparison: Comparison
    target: str | None = None
    effects: Sequence[Effect] | None = None

    @property
    def material(self) -> bool:
        """True if a change needs notice or consent."""
        return any(True for _ in self.comparison.needing())

    @property
    def stopping(self) -> bool:
        """True if an activity of the application gets less than before."""
        return any(effect.stops for effect in self.effects or ())

    def data(self, language: Language) -> dict[str, Any]:
        """The comparison as JSON values."""
        comparison, words = self.comparison, Words(self.comparison, language)
        rule = _rule(comparison)
        return {
            "notice": comparison.new.id,
            "old": comparison.old.revision.isoformat(),
            "new": comparison.new.revision.isoformat(),
            "widened": len(list(comparison.of("widened"))),
            "narrowed": len(list(comparison.of("narrowed"))),
            "neutral": len(list(comparison.of("neutral"))),
            "needs": {need: len(list(comparison.needing(need))) for need in ("notice", "consent")},
            "rule": None if rule is None else rule.model_dump(mode="json"),
            "changes": [_change_data(change, words) for change in comparison.changes],
            "cells": [_cell_data(cell) for cell in comparison.cells],
            "application": None if self.effects is None else self._application_data(),
        }

    def _application_data(self) -> dict[str, Any]:
        effects = self.effects or ()
        return {
            "guard": self.target,
            "combinations": len(effects),
            "changed": [
                {
                    "activity": effect.before.activity.name,
                    "access": effect.before.access.name,
                    **{key: _outcome_data(getattr(effect, key)) for key in ("before", "after", "earlier")},
                }
                for effect in effects
                if effect.differs
            ],
        }

    def sections(self, language: Language) -> Iterator[Section]:
        """The comparison as sections of text."""
        comparison, words = self.comparison, Words(self.comparison, language)
        for direction, title in (("widened", ("Widened", "広がること")), ("narrowed", ("Narrowed", "狭まること"))):
            yield _section(words, title, (change for change in comparison.changes if change.direction == direction))
        neutral = [change for change in comparison.changes if change.direction == "neutral"]
        yield _section(
            words, ("Numbers and names", "番号と名称"), (change for change in neutral if change.kind in NAMING)
        )
        yield _section(
            words, ("Also different", "その他の変更"), (change for change in neutral if change.kind not in NAMING)
        )
        if comparison.changes:
            yield self._needs(words)
        if self.effects is not None:
            yield from self._application(words)

    def _needs(self, words: Words) -> Section:
        """The notice and consent that the changes need (clause 11)."""
        comparison, rule = self.comparison, _rule(self.comparison)
        counts = [len(list(comparison.needing(need))) for need in ("notice", "consent")]
        lines = [
            words.either(
                f"{_counted(counts[0], 'change')} {_verb(counts[0], 'need')} notice to subjects",
                f"本人への通知が必要な変更: {counts[0]}件",
            ),
            words.either(
                f"{_counted(counts[1], 'change')} {_verb(counts[1], 'need')} the consent of each subject",
                f"本人の同意が必要な変更: {counts[1]}件",
            ),
        ]
        if rule is not None:
            by = [channel for channel in rule.announced_by if channel != "other"]
            others = words.either(" and otherwise", "など") if len(by) < len(rule.announced_by) else ""
            needs = {"notice": words.either("notice", "通知"), "consent": words.either("consent", "同意")}
            lines.append(
                words.either(
                    f"clause {rule.clause}: changes are announced by {words.channels(by)}{others}; a material one "
                    f"needs {needs[rule.material]}, one that law has a say in {needs[rule.required_by_law]}",
                    f"条項{rule.clause}: 変更は{words.channels(by)}{others}で知らせる。"
                    f"重要な変更には{needs[rule.material]}、法令が求める場合は{needs[rule.required_by_law]}を要する",
                )
            )
        return Section(words.either("What it needs", "必要な手続"), tuple(lines))

    def _application(self, words: Words) -> Iterator[Section]:
        effects = self.effects or ()
        stops = [effect for effect in effects if effect.stops]
        starts = [effect for effect in effects if effect.starts and not effect.stops]
        title = words.either(f"Stops in {self.target}", f"{self.target}でできなくなること")
        yield Section(title, tuple(_effect(effect, words) for effect in stops))
        title = words.either(f"Starts in {self.target}", f"{self.target}でできるようになること")
        yield Section(title, tuple(_effect(effect, words) for effect in starts))
        same = len(effects) - len(stops) - len(starts)
        line = words.either(
            f"{_counted(same, 'combination')} of an activity and an access function {_verb(same, 'stay')} as before",
            f"変わらない組合せ（処理とアクセス関数）: {same}件",
        )
        yield Section(words.either(f"The rest of {self.target}", f"{self.target}のその他"), (line,))


def headline(diff: Diff, language: Language) -> str:
    """What is compared, in one line."""
    comparison, words = diff.comparison, Words(diff.comparison, language)
    if not comparison and comparison.old.revision == comparison.new.revision:
        return words.either(
            f"{comparison.new.id}: the revision of {comparison.new.revision} is the same",
            f"{comparison.new.id}: {comparison.new.revision}の版に違いはない",
        )
    same = "" if comparison else words.either(": nothing differs but the date", ": 日付のほかに違いはない")
    return words.either(
        f"{comparison.new.id}: the revision of {comparison.new.revision} after that of {comparison.old.revision}{same}",
        f"{comparison.new.id}: {comparison.old.revision}の版から{comparison.new.revision}の版へ{same}",
    )


def _section(words: Words, title: tuple[str, str], changes: Iterable[Change]) -> Section:
    return Section(words.either(*title), tuple(words.say(change) for change in changes))


def _rule(comparison: Comparison) -> Changes | None:
    """The rule on changes of the earlier revision; of the later one if the earlier has none."""
    return comparison.old.document.changes or comparison.new.document.changes


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def _verb(count: int, verb: str) -> str:
    return f"{verb}s" if count == 1 else verb


def _change_data(change: Change, words: Words) -> dict[str, Any]:
    facts = {key: list(value) if isinstance(value, tuple) else value for key, value in change.facts.items()}
    head = {"kind": change.kind, "direction": change.direction, "needs": change.needs}
    return {**head, **facts, "text": words.say(change)}


def _cell_data(cell: Cell) -> dict[str, Any]:
    return {
        "source": cell.source.id,
        "purpose": cell.purpose.id,
        "channel": cell.channel,
        "before": cell.before.name.lower(),
        "after": cell.after.name.lower(),
        "earlier": None if cell.earlier is None else cell.earlier.name.lower(),
        "old_source": cell.source.old_id,
        "old_purpose": cell.purpose.old_id,
    }


def _outcome_data(outcome: Outcome) -> dict[str, Any]:
    return {
        "outcome": outcome.verdict,
        "withheld": list(outcome.fields),
        "closed": list(outcome.closed),
        "reasons": list(outcome.reasons),
    }


def _effect(effect: Effect, words: Words) -> str:
    """A combination: before → after, and the outcome for data collected earlier if it differs."""
    before, after, earlier = (
        _outcome_text(outcome, words) for outcome in (effect.before, effect.after, effect.earlier)
    )
    head = f"{effect.before.activity.name} → {effect.before.access.name}: "
    if before == after:
        text = words.either(f"{before} as before", f"{before}のまま")
    else:
        text = words.either(f"{after}, before {before}", f"{before}から{after}に変わる")
    if earlier != after:
        text += words.either(f"; data collected earlier: {earlier}", f"。以前に取得した情報: {earlier}")
    if effect.before.activity.observing:
        text += words.either(" (observed: logged only)", "（監視のみ）")
    return head + text


def _outcome_text(outcome: Outcome, words: Words) -> str:
    fields = words.listed(outcome.fields or outcome.closed)
    if outcome.verdict == "withheld":
        return words.either(f"without {fields}", f"{fields}を除き可")
    verdict = {"allowed": ("allowed", "可"), "refused": ("refused", "不可"), "unknown": ("unknown", "不明")}[
        outcome.verdict
    ]
    closed = words.either(f", {fields} not opened", f"（{fields}は開封不可）") if outcome.closed else ""
    return words.either(*verdict) + closed
