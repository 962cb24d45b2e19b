"""Periods of retention (clause 8): those that apply to a source, and the check that one of them is over.

A period is a number of whole days after the day of collection, or after the day on which the subject's use ended. That
day is not counted, so of 30 days from 1 June the last is 1 July, and the data is overdue on 2 July. Days are those of
the notice's time zone: a moment falls on one of them, a date is one. Hours play no part, nor does daylight saving.

Which periods apply, shortest first, since data is overdue as soon as one of them is over:

- A source has the periods of its own rows; one without rows has those of the clause that it is an item of.
- A clause with items stands for any of them, so theirs apply to it as well.
- An overlay narrows its source, so the periods of that apply to it as well (rule 8).
- A derivation without rows has those of all that may go into it.

Uses that rest on law go on past these periods. Where the notice says how long law needs the data, they end then; which
of these periods apply is found in the same way.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Mapping
from itertools import chain
from types import MappingProxyType
from typing import TypeVar

from purposeguard.errors import UnknownSource
from purposeguard.notice.grants import ClauseHierarchy, source_rows
from purposeguard.notice.immutable import Immutable
from purposeguard.notice.schema import Document, LegalPeriod, Period
from purposeguard.notice.timezones import Day, load_zone
from purposeguard.notice.vocabulary import NotPersonal, find_nearest


def for_law(source: str) -> str:
    """Return the name under which a source is overdue for uses that rest on law. No id contains such a sign."""
    return f"{source}|law"


class Periods(Immutable):
    """The periods of a notice, compiled: `of(source)`, `overdue(sources, …)`, `due_on(source, …)`.

    Sources are named by clause.
    """

    __slots__ = ("_of", "_of_law", "timezone")

    timezone: str
    _of: Mapping[str, tuple[Period, ...]]
    _of_law: Mapping[str, tuple[LegalPeriod, ...]]

    def __init__(self, document: Document) -> None:
        retention = document.retention
        periods, legal_periods = ((), ()) if retention is None else (retention.period, retention.law)
        self._fill(
            timezone=document.timezone,
            _of=MappingProxyType(_compute_applicable_periods(document, periods)),
            _of_law=MappingProxyType(_compute_applicable_periods(document, legal_periods)),
        )

    def of(self, source: str) -> tuple[Period, ...]:
        """Return the periods that apply to a source, the shortest first.

        The result is empty if the controller has set none.

        Raises:
            UnknownSource: the notice has no such clause.
        """
        periods = self._of.get(source)
        if periods is None:
            raise UnknownSource(source, "a period belongs to a clause", lambda: find_nearest(source, self._of))
        return periods

    def of_law(self, source: str) -> tuple[LegalPeriod, ...]:
        """Return the periods for which law needs data of a source, the shortest first.

        The result is empty if the notice states no end.
        """
        return self._of_law.get(source, ())

    def overdue(
        self,
        sources: Iterable[str],
        *,
        collected: Day | None = None,
        ended: Day | None = None,
        today: Day,
    ) -> frozenset[str]:
        """Return those of the sources whose data may no longer be kept.

        Sources whose data is no longer needed by law either are also named as `for_law` names them.

        Args:
            sources: the clauses of the sources.
            collected: the day of collection. None if the datum does not say: then periods from collection cannot be
                counted. (`purposeguard.values.rows` takes `date.min` for a row that is marked to say so, and does not.)
            ended: the day on which the use ended. None while it goes on: periods from the end of use have not begun.
            today: the day to decide for.

        Raises:
            UnknownSource: as `of`.
            NoticeError: this machine does not know the notice's time zone.
        """
        now = self._day(today)
        began = {"collection": self._day_or_none(collected), "end-of-use": self._day_or_none(ended)}
        overdue: set[str] = set()
        for source in sources:
            for name, periods in ((source, self.of(source)), (for_law(source), self.of_law(source))):
                for period in periods:
                    day = began[period.from_]
                    # A difference, since a day so far ahead may be in no calendar.
                    if day is not None and (now - day).days > period.days:
                        overdue.add(name)
        return frozenset(overdue)

    def due_on(self, source: str, *, collected: Day | None = None, ended: Day | None = None) -> datetime.date | None:
        """Return the first day on which a datum may no longer be kept; None if no period has begun.

        Raises:
            UnknownSource, NoticeError: as `overdue`.
        """
        began = {"collection": self._day_or_none(collected), "end-of-use": self._day_or_none(ended)}
        days: list[datetime.date] = []
        for period in self.of(source):
            day = began[period.from_]
            if day is not None and (datetime.date.max - day).days > period.days:
                days.append(day + datetime.timedelta(days=period.days + 1))
        return min(days, default=None)

    def _day_or_none(self, given: Day | None) -> datetime.date | None:
        return None if given is None else self._day(given)

    def _day(self, given: Day) -> datetime.date:
        return to_local_day(self.timezone, given)


def to_local_day(timezone: str, given: Day) -> datetime.date:
    """Return the day on which a moment falls in a time zone. Return a date unchanged.

    Raises:
        TypeError, ValueError: it is no day, or a moment without its time zone.
        NoticeError: this machine does not know the time zone.
    """
    if not isinstance(given, datetime.datetime):
        if not isinstance(given, datetime.date):
            raise TypeError(f"a day is a date or a datetime, not {type(given).__name__}")
        return given
    if given.utcoffset() is None:
        raise ValueError("a moment without its time zone could be one of two days: give `tzinfo`, or a date")
    try:
        return given.astimezone(load_zone(timezone)).date()
    except OverflowError:  # The moment is within a day of the first or the last possible one.
        return given.date()


AnyPeriod = TypeVar("AnyPeriod", bound=Period | LegalPeriod)


def _compute_applicable_periods(document: Document, every: Iterable[AnyPeriod]) -> dict[str, tuple[AnyPeriod, ...]]:
    """Return the periods that apply to each source, by its id and the shortest first.

    A clause has the periods of its own rows, or those of the nearest clause above that has rows. The periods of its
    items apply to it as well. An overlay has its own periods and those of the source that it narrows. Derived data has
    its own periods or, without rows, those of all its inputs. Data that is not personal has none.

    Args:
        document: The notice.
        every: The rows of the notice that state periods, of one kind.
    """
    rows: dict[str, list[AnyPeriod]] = {}
    for row in every:
        rows.setdefault(row.source, []).append(row)
    hierarchy = ClauseHierarchy(document)
    sources = {row.id: row.source for row in document.overlay}
    inputs = {row.id: (*row.from_, *row.with_) for row in document.derivation}

    order = hierarchy.bottom_up()
    roots = [source for source in hierarchy.known if source not in hierarchy.parent]
    stated: dict[str, list[AnyPeriod]] = {}
    """Source → its own rows, or those of the nearest clause above that has some."""
    for source in [*roots, *reversed(order)]:
        stated.setdefault(source, rows.get(source) or stated.get(hierarchy.parent.get(source, ""), []))
    below: dict[str, dict[AnyPeriod, None]] = {}
    """Source → its stated rows and those of all its items."""
    for source in [*order, *stated]:
        if source not in below:
            below[source] = dict.fromkeys(stated[source])
            for item in hierarchy.children.get(source, ()):
                below[source].update(below[item])

    @functools.cache
    def periods_for(source: str) -> list[AnyPeriod]:
        if source in sources:
            return rows.get(source, []) + periods_for(sources[source])
        if source in inputs:
            return rows.get(source) or list(chain.from_iterable(map(periods_for, inputs[source])))
        return list(below[source])

    periods_of = {row.id: periods_for(row.id) for row in source_rows(document)} | {NotPersonal.clause: []}
    return {id_: tuple(sorted(dict.fromkeys(periods), key=_count_days)) for id_, periods in periods_of.items()}


def _count_days(period: Period | LegalPeriod) -> int:
    return period.days
