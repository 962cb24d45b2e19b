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
from purposeguard.containers import drop_none
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


class NeededLabel(NamedTuple):
    """The label of a column that is read."""

    label: Label
    by_row: bool
    """True if the source that the row names counts as well."""


NeededLabels = tuple[NeededLabel, ...]


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


AnswerGrid = tuple[tuple[RowAnswer, ...], ...]
"""The answers for the rows of a source: by span of end-of-use days, those for each span of collection days."""


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
        needed: NeededLabels,
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
        collection_spans: list[DaySpan | None] = [None]
        if collected:
            collection_spans = list(self._spans(self._begins("collection", revisions=True), absent=True))
        end_spans: list[DaySpan | None] = [None]
        if ended:
            end_spans = [NO_DAY, *self._spans(self._begins("end-of-use"), absent=False)]
        ids_by_grid: dict[AnswerGrid, set[str]] = {}
        for source in matrix.notice.sources if by_row else (None,):
            grid = self._answer_each_span(source, collection_spans, end_spans)
            ids_by_grid.setdefault(grid, set()).add("" if source is None else matrix.record_id(source))
        branches: list[Branch] = []
        for grid, ids in ids_by_grid.items():
            sources = frozenset(ids) if by_row else None
            for collection, end, answer in _merge_answers(grid, collection_spans, end_spans):
                branches.append(Branch(sources, collection, end, self._make_subject_test(answer)))
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
            if revisions:
                for notice in part.history:
                    days.add(notice.revision)
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

    def _answer_each_span(
        self,
        source: type[Source] | None,
        collection_spans: Sequence[DaySpan | None],
        end_spans: Sequence[DaySpan | None],
    ) -> AnswerGrid:
        """Return the answers for the rows of a source: by end span, those for each collection span."""
        labels = self._labels_to_decide(source)
        rows: list[tuple[RowAnswer, ...]] = []
        for end in end_spans:
            ended = None if end is None or end is NO_DAY else end.since or LONG_AGO
            answers: list[RowAnswer] = []
            for collection in collection_spans:
                collected = None if collection is None else collection.since or LONG_AGO
                answers.append(self._answer(labels, collected, ended))
            rows.append(tuple(answers))
        return tuple(rows)

    def _labels_to_decide(self, source: type[Source] | None) -> list[Label]:
        """Return the labels of a row of a source on which the notices of this time zone decide.

        By rule 2 each source is decided by itself, so the notices of other zones decide their sources separately.
        """
        labels: dict[tuple[PolicyTable, Label], None] = {}
        for label, by_row in self._needed:
            whole = label | Label(source) if source is not None and by_row else label
            for part, own in self._permissions.matrix.split_label(whole):
                if part in self._parts and NotPersonal not in own:
                    labels[part, own] = None
        return [label for _, label in labels]

    def _answer(
        self, labels: Sequence[Label], collected: datetime.date | None, ended: datetime.date | None
    ) -> RowAnswer:
        nobody = self._may(labels, self._engine.get_preferences(None), collected, ended)
        if self._roster is None:
            return RowAnswer(nobody, nobody, frozenset())
        clear = self._may(labels, CLEAR, collected, ended)
        allowed: set[SubjectPreferences] = set()
        for preferences in self._roster.groups:
            if self._may(labels, preferences, collected, ended):
                allowed.add(preferences)
        return RowAnswer(nobody, clear, frozenset(allowed))

    def _may(
        self,
        labels: Iterable[Label],
        preferences: SubjectPreferences | None,
        collected: datetime.date | None,
        ended: datetime.date | None,
    ) -> bool:
        """Return True if each label may be used in a row with these days, about a subject with these preferences."""
        engine, permissions = self._engine, self._permissions
        for label in labels:
            context = engine.build_context(preferences, collected, ended, label, permissions.snapshot)
            if not permissions.decide(label, context).allowed:
                return False
        return True

    # ---- subjects --------------------------------------------------------------------------------------------------

    def _make_subject_test(self, answer: RowAnswer) -> SubjectTest | None:
        """Return the test of the subjects of rows; None if rows of all subjects may be used."""
        roster = self._roster
        if roster is None:
            return None
        if not answer.clear:
            return SubjectTest(self._keys_of(roster, answer.all_preferences), only=True, nobody=answer.nobody)
        denied = frozenset(roster.groups) - answer.all_preferences
        if answer.nobody and not denied:
            return None
        return SubjectTest(self._keys_of(roster, denied), only=False, nobody=answer.nobody)


def _merge_answers(
    grid: AnswerGrid, collection_spans: Sequence[DaySpan | None], end_spans: Sequence[DaySpan | None]
) -> Iterator[tuple[DaySpan | None, DaySpan | None, RowAnswer]]:
    """Yield the kinds of rows that may be used. Adjacent spans with the same answer are joined."""
    runs: dict[tuple[DaySpan | None, RowAnswer], list[DaySpan | None]] = {}
    for answers, end in zip(grid, end_spans, strict=True):
        number = 0
        for answer, group in itertools.groupby(answers):
            length = len(list(group))
            collection = _join_spans(collection_spans[number : number + length])
            number += length
            if not answer.is_never:
                runs.setdefault((collection, answer), []).append(end)
    for (collection, answer), ends in runs.items():
        for joined in _merge_adjacent(ends, end_spans):
            yield collection, joined, answer


def _merge_adjacent(spans: Sequence[DaySpan | None], order: Sequence[DaySpan | None]) -> Iterator[DaySpan | None]:
    """Yield the spans, with those joined that are adjacent in `order`."""
    run: list[DaySpan | None] = []
    following = -1
    for span in spans:
        place = order.index(span)
        if run and place != following:
            yield _join_spans(run)
            run = []
        run.append(span)
        following = place + 1
    yield _join_spans(run)


def _join_spans(spans: Sequence[DaySpan | None]) -> DaySpan | None:
    """Return the span that covers several adjacent spans; None if days do not matter."""
    present = drop_none(spans)
    if not present:
        return None
    days = [span for span in present if span is not NO_DAY]
    if not days:
        return NO_DAY
    return DaySpan(days[0].since, days[-1].before, any(span.absent for span in present))
