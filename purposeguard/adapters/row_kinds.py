"""The branches of a row rule, found by deciding one row of each kind and merging kinds with the same decision.

A kind of row is a source, a span of days in which nothing changes, and the preferences of its subject. No rule of the
notice is repeated here: `Permissions.decide` decides, as for a single row.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from purposeguard.adapters.row_rule import NO_DAY, Branch, DaySpan, KeySet, SubjectTest
from purposeguard.notice.label import Label
from purposeguard.notice.retention import to_local_day
from purposeguard.notice.schema import LegalPeriod, Period
from purposeguard.notice.vocabulary import NotPersonal, Source
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.policy.table import PolicyTable
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.protocols import Roster
from purposeguard.runtime.snapshot import Permissions
from purposeguard.values.rows import LONG_AGO

Needed = tuple[tuple[Label, bool], ...]
"""The labels of the columns that are read, each with True if the row's own source counts as well."""


class RowAnswer(NamedTuple):
    """The subjects whose rows of one kind may be used."""

    nobody: bool
    """True if rows that name no subject may be used."""
    clear: bool
    """True if rows of subjects without preferences may be used."""
    all_preferences: frozenset[SubjectPreferences]
    """The preferences of further subjects whose rows may be used."""

    @property
    def is_never(self) -> bool:
        """True if no row of the kind may be used."""
        return not (self.nobody or self.clear or self.all_preferences)


class BranchFinder:
    """Finder of the branches of a rule for one purpose, by the notices of one time zone, on one day, by one roster.

    Args:
        engine: The engine of the guard.
        permissions: The permissions of the purpose.
        parts: The policy tables of these notices. Of a label they decide only their own sources.
        needed: The labels of the columns that are read.
        roster: The subjects with preferences. None if rows name no subject, or no preferences are on record.
        keys_of: Returns the keys of the subjects of a roster that have one of these preferences.
    """

    def __init__(
        self,
        engine: Engine,
        permissions: Permissions,
        parts: Collection[PolicyTable],
        needed: Needed,
        *,
        roster: Roster | None,
        keys_of: Callable[[Roster, frozenset[SubjectPreferences]], KeySet],
    ) -> None:
        self._engine = engine
        self._permissions = permissions
        self._parts = parts
        self._needed = needed
        self._roster = roster
        self._keys_of = keys_of

    def branches(self, *, by_row: bool, collected: bool, ended: bool) -> tuple[Branch, ...]:
        """Return the branches of the rule.

        Args:
            by_row: True if rows name their sources.
            collected: True if rows hold the day on which they were collected.
            ended: True if rows hold the day on which their subject's use ended.
        """
        matrix = self._permissions.matrix
        begun = list(self._spans(self._begins("collection", revisions=True), absent=True)) if collected else [None]
        over = [NO_DAY, *self._spans(self._begins("end-of-use"), absent=False)] if ended else [None]
        alike: dict[tuple[RowAnswer, ...], set[str]] = {}
        for source in matrix.notice.sources if by_row else (None,):
            answers = tuple(self._answer(source, first, last) for last in over for first in begun)
            alike.setdefault(answers, set()).add("" if source is None else matrix.record_id(source))
        branches: list[Branch] = []
        for answers, ids in alike.items():
            sources = frozenset(ids) if by_row else None
            rows = [answers[n : n + len(begun)] for n in range(0, len(answers), len(begun))]
            for first, last, answer in _merge_answers(rows, begun, over):
                branches.append(Branch(sources, first, last, self._test(answer)))
        return tuple(branches)

    # ---- days -----------------------------------------------------------------------------------------------------

    def _begins(self, since: str, *, revisions: bool = False) -> set[datetime.date]:
        """Return the days on which the decision changes.

        These are, for each retention period, the first collection or end-of-use day that is not overdue yet.

        Args:
            since: The event from which periods are counted, `collection` or `end-of-use`.
            revisions: True to include the days of the revisions of the notice.
        """
        now = self._engine.clock.now()
        days: set[datetime.date] = set()
        for part in self._parts:
            today = to_local_day(part.periods.timezone, now)
            days.update(notice.revision for notice in part.history if revisions)
            for source in part.notice.sources:
                periods: list[Period | LegalPeriod] = [*part.periods.of(source.clause)]
                periods += part.periods.of_law(source.clause)
                for period in periods:
                    if period.from_ == since and (today - datetime.date.min).days > period.days:
                        days.add(today - datetime.timedelta(days=period.days))
        return days

    def _spans(self, begins: Iterable[datetime.date], *, absent: bool) -> Iterator[DaySpan]:
        bounds: list[datetime.date | None] = [None, *sorted(begins), None]
        for since, before in itertools.pairwise(bounds):
            yield DaySpan(since, before, absent and since is None)

    # ---- one row of each kind --------------------------------------------------------------------------------------

    def _answer(self, source: type[Source] | None, begun: DaySpan | None, over: DaySpan | None) -> RowAnswer:
        collected = None if begun is None else begun.since or LONG_AGO
        ended = None if over is None or over is NO_DAY else over.since or LONG_AGO
        labels = [label | Label(source) if source is not None and counts else label for label, counts in self._needed]
        # By rule 2 each source is decided by itself, so the notices of other zones decide their sources separately.
        own = (each for label in labels for each in self._permissions.matrix.split_label(label))
        labels = [label for part, label in dict.fromkeys(own) if part in self._parts and NotPersonal not in label]
        nobody = self._may(labels, self._engine.get_preferences(None), collected, ended)
        if self._roster is None:
            return RowAnswer(nobody, nobody, frozenset())
        clear = self._may(labels, CLEAR, collected, ended)
        others = (
            preferences for preferences in self._roster.groups if self._may(labels, preferences, collected, ended)
        )
        return RowAnswer(nobody, clear, frozenset(others))

    def _may(
        self,
        labels: Iterable[Label],
        preferences: SubjectPreferences | None,
        collected: datetime.date | None,
        ended: datetime.date | None,
    ) -> bool:
        engine, permissions = self._engine, self._permissions
        return all(
            permissions.decide(
                label, engine.build_context(preferences, collected, ended, label, permissions.snapshot)
            ).allowed
            for label in labels
        )

    # ---- subjects --------------------------------------------------------------------------------------------------

    def _test(self, answer: RowAnswer) -> SubjectTest | None:
        roster = self._roster
        if roster is None:
            return None
        those = answer.all_preferences if not answer.clear else frozenset(roster.groups) - answer.all_preferences
        if answer.clear and answer.nobody and not those:
            return None
        return SubjectTest(self._keys_of(roster, those), only=not answer.clear, nobody=answer.nobody)


def _merge_answers(
    rows: Sequence[Sequence[RowAnswer]], begun: Sequence[DaySpan | None], over: Sequence[DaySpan | None]
) -> Iterator[tuple[DaySpan | None, DaySpan | None, RowAnswer]]:
    """Yield the kinds of rows that may be used. Adjacent spans with the same answer are joined."""
    runs: dict[tuple[DaySpan | None, RowAnswer], list[DaySpan | None]] = {}
    for answers, ended in zip(rows, over, strict=True):
        number = 0
        for answer, group in itertools.groupby(answers):
            length = len(list(group))
            span = _join_spans(begun[number : number + length])
            number += length
            if not answer.is_never:
                runs.setdefault((span, answer), []).append(ended)
    for (span, answer), spans in runs.items():
        for joined in _merge_adjacent(spans, over):
            yield span, joined, answer


def _merge_adjacent(spans: Sequence[DaySpan | None], order: Sequence[DaySpan | None]) -> Iterator[DaySpan | None]:
    """Yield the spans, with those joined that are adjacent in `order`."""
    run: list[int] = []
    for place in map(order.index, spans):
        if run and place != run[-1] + 1:
            yield _join_spans([order[number] for number in run])
            run = []
        run.append(place)
    yield _join_spans([order[number] for number in run])


def _join_spans(spans: Sequence[DaySpan | None]) -> DaySpan | None:
    """Return the span that covers several adjacent spans; None if days do not matter."""
    present = [span for span in spans if span is not None]
    if not present:
        return None
    days = [span for span in present if span is not NO_DAY]
    if not days:
        return NO_DAY
    return DaySpan(days[0].since, days[-1].before, any(span.absent for span in present))
