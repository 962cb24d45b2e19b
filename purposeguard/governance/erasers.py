"""Erasers: the application's functions that find what may be kept no longer, and erase it (clause 8)."""

from __future__ import annotations

import dataclasses
import datetime
import inspect
import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Literal, Protocol, TypeVar, get_args

from purposeguard.errors import UnknownSource
from purposeguard.notice.grants import ClauseHierarchy, LegalGrounds
from purposeguard.notice.history import History
from purposeguard.notice.label import Label, OneSource
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import Periods
from purposeguard.notice.schema import LegalPeriod, Period
from purposeguard.notice.vocabulary import Source
from purposeguard.policy.row_context import SubjectId, subject_key

Key = int | str | uuid.UUID
"""The key of one item that an eraser erases."""

Counted = Literal["collection", "end-of-use"]
"""The event from which a period is counted."""

LONGEST_NAME: Final = 200
"""The length limit of an eraser's name."""


class Eraser(Protocol):
    """An application's interface to some of its data."""

    def due(self, before: datetime.date, /) -> Iterable[Key]:
        """Return the keys of the data that was collected, or whose use ended, before this day.

        Days are those of the notice's time zone. Leave out data that the law requires to be kept, and data that was
        erased.
        """
        ...

    def erase(self, keys: Sequence[Key], /) -> object:
        """Erase, durably, the data that these keys name. Data that is gone already is no error.

        After a crash this is called again, with keys whose data may be erased already.
        """


E = TypeVar("E")


@dataclasses.dataclass(frozen=True, slots=True)
class RegisteredEraser:
    """A registered eraser: its name, its sources, and the day from which its periods are counted.

    `sources` are clauses, each with the revision whose clause it is; `histories` returns the known revisions of each
    notice.
    """

    name: str
    sources: tuple[tuple[str, Notice], ...]
    histories: Callable[[], Iterable[History]]
    counted: Counted
    due: Callable[[datetime.date], Iterable[Key]]
    erase: Callable[[Sequence[Key]], object]
    forgets: Callable[[Any], SubjectId] | None = None

    def subject(self, key: Key) -> str | None:
        """Return the subject who has no data left once a key is erased; None if the eraser names no subject."""
        return None if self.forgets is None else subject_key(self.forgets(key))

    def clauses(self, notice: Notice) -> tuple[str, ...]:
        """Return the sources of the eraser, by their ids in the notice in force.

        Raises:
            UnknownSource: the notice has no such source.
        """
        return tuple(dict.fromkeys(notice.key(source) for _, source in self._current_sources(notice)))

    def _current_sources(self, notice: Notice) -> Iterator[tuple[Notice, type[Source]]]:
        """Yield the sources of the eraser that are in force, each with its notice."""
        histories = {history.latest.id: history for history in self.histories()}
        for clause, revision in self.sources:
            current = next(candidate for candidate in notice.notices if candidate.id == revision.id)
            now = histories[revision.id].translate_clause("source", clause, revision, current)
            if now is None:
                raise UnknownSource(clause, f"that of {revision.revision} is no source of the notice any more")
            yield current, current.source(now)

    def periods(self, notice: Notice) -> list[tuple[Period | LegalPeriod, Periods]]:
        """Return the periods of the eraser's sources, the shortest first, each with those of its notice.

        The period for which law needs data is one of them if all uses of the source rest on law: then nothing may use
        the data any more. Otherwise it only says how long `due` leaves out what law needs.
        """
        periods_of = {single_notice: Periods(single_notice.document) for single_notice in notice.notices}
        own: list[tuple[Period | LegalPeriod, Periods]] = []
        for single_notice, source in self._current_sources(notice):
            periods = periods_of[single_notice]
            applicable: list[Period | LegalPeriod] = [*periods.of(source.clause)]
            if rests_on_law_alone(single_notice, source):
                applicable += periods.of_law(source.clause)
            own.extend((period, periods) for period in applicable if period.from_ == self.counted)
        return sorted(own, key=lambda pair: pair[0].days)


class Erasers:
    """The erasers of an application: `@erasers.register(Registration, …)` declares one."""

    def __init__(
        self, notice: Notice | Callable[[], Notice], histories: Callable[[], Iterable[History]] | None = None
    ) -> None:
        """Make an empty register of erasers.

        Args:
            notice: The notice in force, or a function that returns it.
            histories: Returns the revisions of each notice, with their renumberings.
        """
        self._notice = notice if callable(notice) else lambda: notice
        self._histories = histories or (lambda: map(History, self._notice().notices))
        self._registered: dict[str, RegisteredEraser] = {}

    def register(
        self,
        *sources: OneSource,
        counted: Counted = "end-of-use",
        name: str | None = None,
        forgets: Callable[[Any], SubjectId] | None = None,
    ) -> Callable[[E], E]:
        """Return a decorator that registers the eraser of data of these sources.

        It takes an object with `due` and `erase`, or a class of such objects, which is instantiated without arguments.

        Args:
            sources: The sources, or labels of several.
            counted: The day from which its `due` counts. Data with periods of both kinds needs two erasers.
            name: The name of the eraser; by default, the name of the class.
            forgets: Returns the subject for a key whose data is the last that is held of them, so that governance
                forgets them too. Such a key is not erased while a request of the subject is unanswered.

        Raises:
            UnknownSource: the notice has no such source.
            TypeError: the object has no `due` and `erase`, or they are coroutine functions.
            ValueError: `counted` is neither of the two, no source is named, or another eraser has the name.
        """
        if counted not in get_args(Counted):
            raise ValueError("`counted` is `collection` or `end-of-use`")
        if not sources:
            raise ValueError("an eraser erases data of some sources: `@governance.eraser(Source, …)`")
        meant = self._resolve_sources(sources)

        def declare(declared: E) -> E:
            eraser: Any = declared() if isinstance(declared, type) else declared
            called = name or (declared if isinstance(declared, type) else type(declared)).__qualname__
            for part in ("due", "erase"):
                if not callable(getattr(eraser, part, None)) or inspect.iscoroutinefunction(getattr(eraser, part)):
                    raise TypeError(f"an eraser has a function `{part}`, which runs when it is called")
            if called in self._registered:
                raise ValueError(f"there is an eraser called `{called}`: give this one another `name=…`")
            if not called.strip() or len(called) > LONGEST_NAME:
                raise ValueError(f"the name of an eraser is not blank, and of {LONGEST_NAME} characters at most")
            self._registered[called] = RegisteredEraser(
                called, meant, self._histories, counted, eraser.due, eraser.erase, forgets
            )
            return declared

        return declare

    def _resolve_sources(self, sources: Iterable[OneSource]) -> tuple[tuple[str, Notice], ...]:
        """Return the clauses of these sources, each with its revision: a class may be of an earlier one."""
        present = self._notice()
        revisions = list(present.notices)
        for history in self._histories():
            revisions.extend(history)
        clauses: dict[tuple[str, Notice], None] = {}
        for item in sources:
            for reference in item if isinstance(item, Label) else (item,):
                source = present.source(reference) if isinstance(reference, str) else reference
                own_revision = next((revision for revision in revisions if source in revision.grants), present)
                clauses[own_revision.source(source).clause, own_revision] = None
        return tuple(clauses)

    def __iter__(self) -> Iterator[RegisteredEraser]:
        return iter(tuple(self._registered.values()))


def rests_on_law_alone(notice: Notice, source: type[Source]) -> bool:
    """Return True if the source may serve some purpose, and each of its uses rests on law and on nothing else."""
    grounds = LegalGrounds(notice.document)
    bases: set[str | None] = set()
    for purpose in notice.grants[source]:
        for group in grounds.get_grounds(source.clause, purpose.clause):
            for ground in group:
                bases.add(ground.basis)
    return bases == {"law"}


def find_unserved_periods(notice: Notice, erasers: Iterable[RegisteredEraser]) -> tuple[Period | LegalPeriod, ...]:
    """Return the periods of a notice without eraser: past them data is refused, and never erased.

    A period for which law needs data is one of them if all uses of its source rest on law.
    """
    served: set[tuple[str, str]] = set()
    for eraser in erasers:
        try:
            clauses = eraser.clauses(notice)
        except UnknownSource:
            continue  # of an earlier revision; the plan tells of it
        for clause in clauses:
            served.update(zip(itertools.repeat(eraser.counted), _list_items(notice, clause)))
    unserved: list[Period | LegalPeriod] = []
    for single_notice in notice.notices:
        retention = single_notice.document.retention
        if retention is None:
            continue
        legal = [row for row in retention.law if rests_on_law_alone(single_notice, single_notice.source(row.source))]
        periods: list[Period | LegalPeriod] = [*retention.period, *legal]
        for period in periods:
            source_id = notice.key(single_notice.source(period.source))
            needed = zip(itertools.repeat(period.from_), _list_items(notice, source_id))
            if not served.issuperset(needed):
                unserved.append(period.model_copy(update={"source": source_id}))
    return tuple(unserved)


def _list_items(notice: Notice, source_id: str) -> list[str]:
    """Return the ids of the items of a source; a source without items is its own."""
    source = notice.source(source_id)
    own = next(candidate for candidate in notice.notices if source in candidate.grants)
    return [notice.key(own.source(item)) for item in ClauseHierarchy(own.document).leaves(source.clause)]


def describe_failure(what: str, error: Exception) -> str:
    """Return the type and place of an error of the application's code, without its message, which may be personal."""
    trace = error.__traceback__
    last = None
    while trace is not None:
        last, trace = trace, trace.tb_next
    where = f" in line {last.tb_lineno} of {last.tb_frame.f_globals.get('__name__', '?')}" if last is not None else ""
    return f"`{what}` failed with {type(error).__name__}{where}"
