"""The command `purposeguard diff`: what a later revision changes, and what becomes of an application."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

from purposeguard.cli.application import find_guard
from purposeguard.cli.diff_words import ChangeWords, describe_comparison, join_names
from purposeguard.cli.files import CommandProblem, read_notice
from purposeguard.cli.forecasts import ForecastOutcome
from purposeguard.cli.options import Imports, TextOption, out
from purposeguard.cli.render import json_text
from purposeguard.cli.revision_effects import RevisionEffect, effects
from purposeguard.cli.words import translate
from purposeguard.extras import Needs
from purposeguard.notice.schema import Changes
from purposeguard.policy.diff import Cell, Change, Comparison, compare

with Needs(__name__, "cli"):
    import typer
    from rich.console import Console
    from rich.text import Text


class DiffFinding(StrEnum):
    """What `--fail-on` can name: from any difference to anything that an application can no longer do."""

    any = "any"
    widening = "widening"
    material = "material"
    consent = "consent"
    stops = "stops"


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The earlier revision: a file or a bundled notice.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The later revision: a file or a bundled notice.")],
    *,
    old_overlay: Annotated[
        list[Path] | None, typer.Option("--old-overlay", metavar="FILE", help="Product overlays of the earlier one.")
    ] = None,
    overlay: Annotated[
        list[Path] | None, typer.Option("--overlay", metavar="FILE", help="Product overlays of the later one.")
    ] = None,
    between: Annotated[
        list[str] | None,
        typer.Option("--between", metavar="NOTICE", help="A revision between the two; may be repeated."),
    ] = None,
    app: Annotated[
        str | None, typer.Option("--app", metavar="MODULE:GUARD", help="Say what becomes of this application.")
    ] = None,
    imports: Imports = None,
    form: TextOption = "text",
    fail_on: Annotated[
        list[DiffFinding] | None,
        typer.Option("--fail-on", help="Exit 1 where there is such a change; may be repeated."),
    ] = None,
) -> bool:
    """Say what a later revision of a notice widens, narrows, renames and asks for, and what becomes of an application.

    Changes are material where they reach data that was collected earlier, or loosen what protects it: they need notice,
    or the consent of each subject (clause 11).
    """
    if app is None and DiffFinding.stops in (fail_on or ()):
        raise CommandProblem("`--fail-on stops` is about an application: name its guard with `--app MODULE:GUARD`")
    steps = list(map(read_notice, between or ()))
    comparison = compare(read_notice(old, old_overlay or ()), read_notice(new, overlay or ()), steps)
    result = Diff(comparison, app, None if app is None else effects(find_guard(app, imports or ()), comparison))
    if form == "json":
        print(json_text(result.data()), end="")
    else:
        _show(result, out())
    return not any(_matches(result, finding) for finding in fail_on or ())


def _matches(diff: Diff, finding: DiffFinding) -> bool:
    match finding:
        case DiffFinding.any:
            return bool(diff.comparison)
        case DiffFinding.widening:
            return _is_any(diff.comparison.of("widened"))
        case DiffFinding.material:
            return diff.material
        case DiffFinding.consent:
            return _is_any(diff.comparison.needing("consent"))
        case DiffFinding.stops:
            return diff.stopping


def _is_any(changes: Iterable[Change]) -> bool:
    """Return True if there is a change."""
    return next(iter(changes), None) is not None


def _show(diff: Diff, console: Console) -> None:
    console.print(Text(translate(headline(diff.comparison)), "bold"), soft_wrap=True)
    for title, lines in diff.sections():
        console.print()
        console.print(Text(translate(title), "bold cyan"))
        for line in lines:
            console.print(Text(f"- {translate(line)}"), soft_wrap=True)


NAMING: Final = frozenset({"renamed", "reused", "renamed-nothing"})
"""Kinds of changes that are about ids."""


@dataclasses.dataclass(frozen=True, slots=True)
class Diff:
    """A comparison, and its effects on an application if one is named."""

    comparison: Comparison
    target: str | None = None
    effects: Sequence[RevisionEffect] | None = None

    @property
    def material(self) -> bool:
        """True if a change needs notice or consent."""
        return _is_any(self.comparison.needing())

    @property
    def stopping(self) -> bool:
        """True if an activity of the application gets less than before."""
        return any(effect.stops for effect in self.effects or ())

    def data(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        comparison, words = self.comparison, ChangeWords(self.comparison)
        rule = _rule(comparison)
        return {
            "notice": comparison.new.id,
            "old": comparison.old.revision.isoformat(),
            "new": comparison.new.revision.isoformat(),
            "widened": len(list(comparison.of("widened"))),
            "narrowed": len(list(comparison.of("narrowed"))),
            "neutral": len(list(comparison.of("neutral"))),
            "compared": dict(comparison.compared),
            "needs": {
                "notice": len(list(comparison.needing("notice"))),
                "consent": len(list(comparison.needing("consent"))),
            },
            "rule": None if rule is None else rule.model_dump(mode="json"),
            "changes": [_change_data(change, words) for change in comparison.changes],
            "cells": list(map(_cell_data, comparison.cells)),
            "application": None if self.effects is None else self._application_data(),
        }

    def _application_data(self) -> dict[str, Any]:
        effects = self.effects or ()
        return {
            "guard": self.target,
            "combinations": len(effects),
            "changed": [_effect_data(effect) for effect in effects if effect.differs],
        }

    def sections(self) -> list[tuple[str, list[str]]]:
        """Return the comparison as text: headings, each with its lines; none is empty."""
        words = ChangeWords(self.comparison)
        sections: dict[str, list[str]] = {"Widened": [], "Narrowed": [], "Numbers and names": [], "Also different": []}
        for change in self.comparison.changes:
            neutral = "Numbers and names" if change.kind in NAMING else "Also different"
            title = neutral if change.direction == "neutral" else change.direction.capitalize()
            sections[title].append(words.say(change))
        if self.comparison.changes:
            sections["What it needs"] = self._needs()
        if self.effects is not None:
            sections |= self._describe_effects(self.effects)
        sections["Compared"] = describe_comparison(self.comparison)
        return [(title, lines) for title, lines in sections.items() if lines]

    def _describe_effects(self, effects: Sequence[RevisionEffect]) -> dict[str, list[str]]:
        """Return what becomes of the application, by heading."""
        stops: list[str] = []
        starts: list[str] = []
        unchanged = 0
        for effect in effects:
            if effect.stops:
                stops.append(_describe_effect(effect))
            elif effect.starts:
                starts.append(_describe_effect(effect))
            else:
                unchanged += 1
        stay = f"of an activity and an access function {_verb(unchanged, 'stay')} as before"
        return {
            f"Stops in {self.target}": stops,
            f"Starts in {self.target}": starts,
            f"The rest of {self.target}": [f"{_format_count(unchanged, 'combination')} {stay}"],
        }

    def _needs(self) -> list[str]:
        """Return the notice and consent that the changes need (clause 11)."""
        rule = _rule(self.comparison)
        notice = len(list(self.comparison.needing("notice")))
        consent = len(list(self.comparison.needing("consent")))
        lines = [
            f"{_format_count(notice, 'change')} {_verb(notice, 'need')} notice to subjects",
            f"{_format_count(consent, 'change')} {_verb(consent, 'need')} the consent of each subject",
        ]
        if rule is not None:
            named = [channel for channel in rule.announced_by if channel != "other"]
            others = " and otherwise" if len(named) < len(rule.announced_by) else ""
            lines.append(
                f"clause {rule.clause}: changes are announced by {join_names(named)}{others}; a material one "
                f"needs {rule.material}, one that law has a say in {rule.required_by_law}"
            )
        return lines


def headline(comparison: Comparison) -> str:
    """Return one line that names the compared revisions."""
    old, new = comparison.old, comparison.new
    if not comparison and old.revision == new.revision:
        return f"{new.id}: the revision of {new.revision}, twice: no difference in what was compared"
    same = "" if comparison else ": no difference in what was compared but the date"
    return f"{new.id}: the revision of {new.revision} after that of {old.revision}{same}"


def _rule(comparison: Comparison) -> Changes | None:
    """Return the rule on changes of the earlier revision; of the later one if the earlier has none."""
    return comparison.old.document.changes or comparison.new.document.changes


def _format_count(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def _verb(count: int, verb: str) -> str:
    return f"{verb}s" if count == 1 else verb


def _change_data(change: Change, words: ChangeWords) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": change.kind, "direction": change.direction, "needs": change.needs}
    for name, fact in change.facts.items():
        data[name] = list(fact) if isinstance(fact, tuple) else fact
    data["text"] = words.say(change)
    return data


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


def _effect_data(effect: RevisionEffect) -> dict[str, Any]:
    return {
        "activity": effect.before.activity.name,
        "access": effect.before.access.name,
        "before": _outcome_data(effect.before),
        "after": _outcome_data(effect.after),
        "earlier": _outcome_data(effect.earlier),
    }


def _outcome_data(outcome: ForecastOutcome) -> dict[str, Any]:
    return {
        "outcome": outcome.verdict,
        "withheld": list(outcome.fields),
        "closed": list(outcome.closed),
        "reasons": list(outcome.reasons),
    }


def _describe_effect(effect: RevisionEffect) -> str:
    """Return a combination: before → after, and the outcome for data collected earlier if it differs."""
    before, after, earlier = map(_outcome_text, (effect.before, effect.after, effect.earlier))
    text = f"{before} as before" if before == after else f"{after}, before {before}"
    if earlier != after:
        text += f"; data collected earlier: {earlier}"
    if effect.before.activity.observing:
        text += " (observed: logged only)"
    return f"{effect.before.activity.name} → {effect.before.access.name}: {text}"


def _outcome_text(outcome: ForecastOutcome) -> str:
    fields = join_names(outcome.fields or outcome.closed)
    if outcome.verdict == "withheld":
        return f"without {fields}"
    return f"{outcome.verdict}, {fields} not opened" if outcome.closed else outcome.verdict
