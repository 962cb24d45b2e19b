"""Erasers: how an application finds what it may keep no longer, and erases it (clause 8).

The library does not know where an application keeps its data. So each part of it that keeps some registers two
functions: one that gives the keys of what is due, one that erases what some keys stand for.
"""

from __future__ import annotations

import dataclasses
import datetime
import inspect
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Literal, Protocol, TypeVar, get_args

from purposeguard.errors import UnknownSource
from purposeguard.notice.grants import Lineage
from purposeguard.notice.history import History
from purposeguard.notice.label import Label, OneSource
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import Periods
from purposeguard.notice.schema import Document, Period

Key = int | str | uuid.UUID
"""What an eraser calls one thing that it erases."""

Counted = Literal["collection", "end-of-use"]
"""From when a period is counted."""

LONGEST_NAME: Final = 200
"""Characters of an eraser's name at most."""


class Eraser(Protocol):
    """What an application gives for some of its data."""

    def due(self, before: datetime.date, /) -> Iterable[Key]:
        """The keys of what was collected, or whose use ended, before this day; what law needs to be kept is not due.

        A day is one in the time zone of the notice. What was erased is not due any more.
        """
        ...

    def erase(self, keys: Sequence[Key], /) -> object:
        """Erases, durably, what these keys stand for; what is gone already is no error.

        After a crash it is asked again for keys that it may have erased before.
        """


E = TypeVar("E")


@dataclasses.dataclass(frozen=True, slots=True)
class Registered:
    """An eraser on the register: its name, what it erases, and from when the periods are counted that it knows.

    `sources` are clauses, each with the revision that calls the source so; `history` gives the revisions that are
    known.
    """

    name: str
    sources: tuple[tuple[str, Notice], ...]
    history: Callable[[], History]
    counted: Counted
    due: Callable[[datetime.date], Iterable[Key]]
    erase: Callable[[Sequence[Key]], object]

    def clauses(self, notice: Notice) -> tuple[str, ...]:
        """Its sources by the clauses that they have in the notice in force.

        Raises:
            UnknownSource: the notice has no such source.
        """
        history = self.history()
        found: dict[str, None] = {}
        for clause, held in self.sources:
            now = history.clause_in("source", clause, held, notice)
            if now is None:
                raise UnknownSource(clause, f"that of {held.revision} is no source of the notice any more")
            found[notice.source(now).clause] = None
        return tuple(found)

    def period(self, notice: Notice) -> Period | None:
        """The shortest period that it serves; None where the notice sets none.

        What derives from several sources may be kept as long as each of them may.
        """
        periods = Periods(notice.document)
        found = [one for source in self.clauses(notice) for one in periods.of(source) if one.from_ == self.counted]
        return min(found, key=lambda one: one.days, default=None)


class Erasers:
    """The erasers of an application: `@erasers.register(Registration, …)` declares one."""

    def __init__(self, notice: Notice | Callable[[], Notice], history: Callable[[], History] | None = None) -> None:
        """`notice` is the one in force, or gives it; `history` gives the revisions, by which renumberings are known."""
        self._notice = notice if callable(notice) else lambda: notice
        self._history = history or (lambda: History(self._notice()))
        self._registered: dict[str, Registered] = {}

    def register(
        self, *sources: OneSource, counted: Counted = "end-of-use", name: str | None = None
    ) -> Callable[[E], E]:
        """Declares the eraser of data of these sources: a class, or any object, with `due` and `erase`.

        A class is made into an object, without arguments. `counted` says from when the periods are counted that its
        `due` understands; data with periods of both kinds has two erasers. `name` is the class's own unless stated.

        Raises:
            UnknownSource: a source is none of the notice.
            TypeError: what is declared has no `due` and `erase`, or they are coroutine functions.
            ValueError: `counted` is none of the two, no source is named, or another eraser has the name.
        """
        if counted not in get_args(Counted):
            raise ValueError("`counted` is `collection` or `end-of-use`")
        if not sources:
            raise ValueError("an eraser erases data of some sources: `@governance.eraser(Source, …)`")
        meant = self._meant(sources)

        def declare(given: E) -> E:
            made: Any = given() if isinstance(given, type) else given
            called = name or (given if isinstance(given, type) else type(given)).__qualname__
            for part in ("due", "erase"):
                if not callable(getattr(made, part, None)) or inspect.iscoroutinefunction(getattr(made, part)):
                    raise TypeError(f"an eraser has a function `{part}`, which runs when it is called")
            if called in self._registered:
                raise ValueError(f"there is an eraser called `{called}`: give this one another `name=…`")
            if not called.strip() or len(called) > LONGEST_NAME:
                raise ValueError(f"the name of an eraser is not blank, and of {LONGEST_NAME} characters at most")
            self._registered[called] = Registered(called, meant, self._history, counted, made.due, made.erase)
            return given

        return declare

    def _meant(self, sources: Iterable[OneSource]) -> tuple[tuple[str, Notice], ...]:
        """The clauses of some sources, each with the notice that calls it so: a class may be of another revision."""
        present = self._notice()
        found: dict[tuple[str, Notice], None] = {}
        for given in sources:
            for one in given if isinstance(given, Label) else (given,):
                held = present
                if not isinstance(one, str):
                    held = next((other for other in (present, *self._history()) if one in other.grants), present)
                found[held.source(one).clause, held] = None
        return tuple(found)

    def __iter__(self) -> Iterator[Registered]:
        return iter(tuple(self._registered.values()))

    def __len__(self) -> int:
        return len(self._registered)


def unserved(notice: Notice, erasers: Iterable[Registered]) -> tuple[Period, ...]:
    """The periods of a notice that no eraser serves: past them data is refused, and nothing erases it."""
    document = notice.document
    served: dict[str, set[str]] = {counted: set() for counted in get_args(Counted)}
    for one in erasers:
        try:
            served[one.counted].update(_reached(document, one.clauses(notice)))
        except UnknownSource:
            continue  # of an earlier revision; the plan tells of it
    periods = document.retention.period if document.retention is not None else ()
    return tuple(one for one in periods if not _reached(document, (one.source,)) <= served[one.from_])


def _reached(document: Document, sources: Iterable[str]) -> set[str]:
    """The items that some sources stand for: one that has none is its own."""
    lineage = Lineage(document)
    return {item for source in sources for item in lineage.leaves(source)}


def where_failed(what: str, error: Exception) -> str:
    """What is told of an error of the application's own code: how and where; what it said may be personal."""
    trace = error.__traceback__
    last = None
    while trace is not None:
        last, trace = trace, trace.tb_next
    where = f" in line {last.tb_lineno} of {last.tb_frame.f_globals.get('__name__', '?')}" if last is not None else ""
    return f"`{what}` failed with {type(error).__name__}{where}"
