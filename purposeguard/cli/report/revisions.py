"""What changed from one revision to the next, and what becomes of the application, in the words of a language."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from purposeguard.cli.application import Effect, Outcome, effects
from purposeguard.guard import Guard
from purposeguard.notice.grants import source_rows
from purposeguard.notice.history import History
from purposeguard.notice.languages import title_in
from purposeguard.notice.notice import Notice
from purposeguard.policy.diff import Change, Comparison, compare


@dataclasses.dataclass(frozen=True, slots=True)
class Turn:
    """What becomes of activities calling access functions, which fare alike before, after, and of earlier data."""

    stops: bool
    activity: str
    accesses: tuple[str, ...]
    before: Outcome
    after: Outcome
    earlier: Outcome


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """Two revisions that follow each other, and what becomes of the application. `combinations`: how many there are."""

    comparison: Comparison
    turns: tuple[Turn, ...]
    combinations: int

    @property
    def old(self) -> datetime.date:
        """The day of the earlier one."""
        return self.comparison.old.revision

    @property
    def new(self) -> datetime.date:
        """The day of the later one."""
        return self.comparison.new.revision


def steps(guard: Guard, revisions: Sequence[Notice]) -> tuple[Step, ...]:
    """The steps between the revisions that the guard knows, and those that are given, in the order of their dates.

    Raises:
        NoticeError: one is of another notice.
    """
    history = guard.history
    for notice in revisions:
        if all(notice.revision != known.revision for known in history):
            history = _with(history, notice)
    return tuple(_step(guard, compare(old, new)) for old, new in itertools.pairwise(history))


def _with(history: History, notice: Notice) -> History:
    return History(*sorted((*history, notice), key=lambda each: each.revision))


def _step(guard: Guard, comparison: Comparison) -> Step:
    every = effects(guard, comparison)
    turns: dict[tuple[object, ...], list[Effect]] = {}
    for effect in every:
        if effect.stops or effect.starts:
            outcomes = (effect.before, effect.after, effect.earlier)
            key = (effect.before.activity, *((each.verdict, each.fields, each.closed) for each in outcomes))
            turns.setdefault(key, []).append(effect)
    found = (
        Turn(
            first.stops,
            first.before.activity.name,
            tuple(effect.before.access.name for effect in alike),
            first.before,
            first.after,
            first.earlier,
        )
        for alike in turns.values()
        for first in alike[:1]
    )
    return Step(comparison, tuple(sorted(found, key=lambda turn: not turn.stops)), len(every))


class Row(NamedTuple):
    """A change in words: what it is, of which terms (id and title), before, after, and its consequences."""

    direction: str
    needs: str | None
    what: str
    purposes: tuple[tuple[str, str], ...]
    sources: tuple[tuple[str, str], ...]
    name: str
    before: str
    after: str
    notes: tuple[str, ...]


BY_VALUE: Final = frozenset({"basis", "supervision"})
"""Kinds of changes whose values have a word of their own."""


class Rows:
    """Says the changes of a comparison in a language, by the words of the page."""

    def __init__(self, comparison: Comparison, words: Mapping[str, str], language: str) -> None:
        self._words = words
        self._language = language
        self._titles: dict[str, str] = {}
        self._channels: dict[str, str] = {}
        for document in (comparison.old.document, comparison.new.document):
            for row in (*source_rows(document), *document.purposes):
                self._titles[row.id] = self._title(row.title)
            self._titles |= {family.class_: self._title(family.title) for family in document.family}
            self._channels |= {row.id: self._title(row.title) for row in document.channel}

    def row(self, change: Change) -> Row:
        """A change in words."""
        facts: Mapping[str, Any] = change.facts
        kind = "extended" if change.kind == "extension-basis" else change.kind
        what = self._words[f"change_{kind}"]
        if "what" in facts:
            what = f"{self._words['what_' + facts['what']]}{self._words['colon']}{what}"
        purposes = facts.get("purposes") or ((facts["purpose"],) if "purpose" in facts else ())
        before, after = self._values(change)
        return Row(
            direction=change.direction,
            needs=change.needs,
            what=what,
            purposes=self._terms(purposes),
            sources=self._terms(facts.get("sources") or ()),
            name=self._name(facts),
            before=before,
            after=after,
            notes=tuple(self._notes(change)),
        )

    def _title(self, title: Mapping[str, str]) -> str:
        return title_in(title, self._language)

    def _terms(self, ids: Iterable[str]) -> tuple[tuple[str, str], ...]:
        return tuple((id_, self._titles.get(id_, "")) for id_ in ids)

    def _name(self, facts: Mapping[str, Any]) -> str:
        """What is changed, if it is neither a purpose's use of a source nor the notice as a whole."""
        if "code" in facts:
            title = facts["title"]
            return facts["code"] if title is None else f"{facts['code']} {self._title(title)}"
        name = str(facts.get("id") or facts.get("key") or "")
        if facts.get("what") == "table" or name == facts.get("key"):
            return f"[{name}]" if name else ""
        title = self._title(facts["title"]) if facts.get("title") else self._titles.get(name, "")
        key = f" `{facts['key']}`" if "key" in facts else ""
        return f"{name} {title}".strip() + key

    def _values(self, change: Change) -> tuple[str, str]:
        """Before and after."""
        facts: Mapping[str, Any] = change.facts
        if change.kind == "members":
            return self._listed(facts["removed"]), self._listed(facts["added"])
        if change.kind == "reused":
            return str(facts["old_class"]), str(facts["new_class"])
        if change.kind == "renamed" and facts["old"] == facts["new"]:
            return str(facts.get("old_class", "")), str(facts.get("new_class", ""))
        if "old" not in facts:
            return "", ""
        if change.kind == "channels-named":
            return self._named(facts, "old"), self._named(facts, "new")
        return self._value(change.kind, facts["old"]), self._value(change.kind, facts["new"])

    def _value(self, kind: str, value: Any) -> str:
        words = self._words
        if isinstance(value, tuple) and kind in {"basis", "conditions"}:
            return words["or"].join(value) or words["always"]
        if kind in BY_VALUE:
            return words[f"{kind}_{value or 'none'}"]
        if kind in {"period", "answer-days"}:
            return words["no_period"] if value is None else f"{value:,}{words['days']}"
        if kind == "country":
            if isinstance(value, str):
                return words[f"country_{value}"]
            return f"{words['country_limited']}{self._listed(value)}"
        if isinstance(value, Mapping):
            return self._title(value)
        if isinstance(value, bool):
            return words["yes" if value else "no"]
        return words["none"] if value is None else str(value)

    def _named(self, facts: Mapping[str, Any], key: str) -> str:
        if not facts[key]:
            return self._words["any_channel"]
        names = self._listed(self._channels.get(channel, channel) for channel in facts[key])
        return f"{names}{self._words['closed' if facts[f'{key}_alone'] else 'open']}"

    def _listed(self, values: Iterable[object]) -> str:
        return self._words["comma"].join(map(str, values)) or self._words["none"]

    def _notes(self, change: Change) -> Iterator[str]:
        """The consequences."""
        words = self._words
        facts: Mapping[str, Any] = change.facts
        if facts.get("channels"):
            only = self._listed(self._channels.get(channel, channel) for channel in facts["channels"])
            yield f"{words['channels_concerned']}{only}"
        yield from (words[name] for name in _notes(change.kind, facts))
        if facts.get("when"):
            yield f"{words['only_where']}{words['or'].join(facts['when'])}"
        if facts.get("served"):
            yield f"{words['note_served']}{self._listed(facts['served'])}"
        if facts.get("notified"):
            yield f"{words['notified_on']}{facts['notified']}"


def _notes(kind: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """The names of the words for the consequences of a change."""
    match kind:
        case "granted" | "channels-opened":
            yield from ["note_consent"] * bool(facts["consent"])
            yield from [f"earlier_{facts['earlier']}"] * (facts["earlier"] != "none")
        case "channels-named" if facts["new_alone"] != facts["old_alone"]:
            yield "note_must_state" if facts["new_alone"] else "note_need_not_state"
        case "basis":
            sides = (("after", facts["new"]), ("before", facts["old"]))
            yield from (f"note_{basis}_{side}" for side, basis in sides if basis in {"consent", "law"})
        case "extended" | "extension-basis":
            yield f"extended_{facts['basis']}"
        case "renamed" if facts["old"] != facts["new"] and facts["by"] in {"stated", "class"}:
            yield f"renamed_{facts['by']}"
        case "reused" if not facts["moved"]:
            yield "note_reused"
        case _:
            pass
