"""What changed from one revision to the next, and what becomes of the application."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
from collections.abc import Sequence

from purposeguard.cli.application import Effect, Outcome, effects
from purposeguard.cli.diff_words import Words
from purposeguard.cli.words import Language, begin, learn, said
from purposeguard.guard import Guard
from purposeguard.notice.history import History
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


def sentences(comparison: Comparison, language: str) -> list[tuple[Change, str]]:
    """Each change with its sentence, as `purposeguard diff` says it in this language."""
    with contextlib.ExitStack() as run:
        run.callback(begin(Language(language)))
        learn(comparison.old)
        learn(comparison.new)
        words = Words(comparison)
        return [(change, said(words.sentence(change))) for change in comparison.changes]
