"""Who watches guards, and what they are told."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Final, NamedTuple

from purposeguard.errors import PurposeMissing
from purposeguard.guard import Guard
from purposeguard.locks import new_lock
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source
from purposeguard.policy.context import NONE_KNOWN, Context
from purposeguard.policy.table import MOST_REMEMBERED, Matrix
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.registry import Access, Activity
from purposeguard.testing import _callers
from purposeguard.testing._flipping import Cell, notice_key

_NOT_PERSONAL: Final = Label(NotPersonal)


class Asked(NamedTuple):
    """One decision.

    `used`: data was about to be used; otherwise it was only asked whether it may be. `activity` is None where a guard
    was asked and no use. `answers` are the cells that were consulted, each with its own answer: of a family, the
    members that let the source through or, where none does, all of them.
    """

    notice: Notice
    label: Label
    purpose: type[Purpose] | Family
    channel: str | None
    allowed: bool
    used: bool
    activity: Activity | None
    answers: tuple[tuple[Cell, bool], ...]
    details: tuple[str | None, str | None] = (None, None)
    """Access function and field, where a watcher wants to know."""

    @property
    def denied(self) -> tuple[type[Source], ...]:
        """The sources that may not serve the purpose, ordered by clause."""
        clauses = {cell.source for cell, allowed in self.answers if not allowed}
        return tuple(one for one in self.label if one.clause in clauses)


class Watcher:
    """Told of what watched guards do, from any thread. What a subclass does not ask for costs a call."""

    detailed: bool = False
    """Whether it wants to know access functions and fields."""

    def decided(self, asked: Asked) -> None:
        """A decision was made."""

    def entered(self, activity: Activity) -> None:
        """An activity runs; also told when it goes on."""

    def called(self, access: Access) -> None:
        """An access function was called; whether it may run is decided next."""

    def refused(self, error: PurposeViolation | PurposeMissing | None, *, observed: bool) -> None:
        """A use is refused, or only observed (of a missing purpose then without the error)."""

    def made(self, guard: Guard) -> None:
        """A guard was made; told to those that watch all guards."""


class Own:
    """Those who watch one guard alone."""

    __slots__ = ("watchers",)

    def __init__(self) -> None:
        self.watchers: tuple[Watcher, ...] = ()


class Everywhere:
    """Those who watch all guards, which guards are watched, and the cell that is turned meanwhile."""

    def __init__(self) -> None:
        self.watchers: tuple[Watcher, ...] = ()
        self.guards: weakref.WeakSet[Guard] = weakref.WeakSet()
        self.flip: Cell | None = None
        self.lock = new_lock()
        self.attach: Callable[[Guard], None] | None = None


everywhere: Final = Everywhere()
_silent: Final = threading.local()


class Teller:
    """Tells the watchers of one guard what is decided by one matrix."""

    __slots__ = ("_answers", "_key", "matrix", "own")

    def __init__(self, own: Own, matrix: Matrix) -> None:
        self.own = own
        self.matrix = matrix
        self._key = notice_key(matrix.notice)
        self._answers: dict[object, tuple[tuple[Cell, bool], ...]] = {}

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        """Whom to tell; nobody while a watcher looks by itself."""
        return () if getattr(_silent, "on", False) else everywhere.watchers + self.own.watchers

    def tell(
        self,
        label: Label,
        purpose: type[Purpose] | Family,
        channel: str | None,
        context: Context,
        *,
        allowed: bool,
        used: bool,
        activity: Activity | None = None,
        closed: bool = False,
    ) -> None:
        """Tells of one decision."""
        watchers = self.watchers
        if not watchers or label is _NOT_PERSONAL:
            return
        # That nothing is known is the usual case, and has the costliest hash.
        plain = context is NONE_KNOWN
        key = (label, purpose, channel, closed) if plain else (label, purpose, channel, closed, context)
        answers = self._answers.get(key)
        if answers is None:
            answers = tuple(self._answers_of(label, purpose, channel, context, closed))
            if len(self._answers) < MOST_REMEMBERED:
                self._answers[key] = answers
        asked = Asked(self.matrix.notice, label, purpose, channel, allowed, used, activity, answers)
        detailed = None
        for one in watchers:
            if one.detailed:
                if detailed is None:
                    detailed = asked._replace(details=_callers.details())
                one.decided(detailed)
            else:
                one.decided(asked)

    def _answers_of(
        self,
        label: Label,
        purpose: type[Purpose] | Family,
        channel: str | None,
        context: Context,
        closed: bool,
    ) -> Iterator[tuple[Cell, bool]]:
        matrix = self.matrix
        members = purpose.members if isinstance(purpose, Family) else (purpose,)
        for source in label:
            if source is NotPersonal:
                continue
            row = matrix.row_for(Label(source), channel, context)
            may = [one for one in members if one in row and not closed]
            clause = matrix.current(source).clause
            for one in may or members:
                yield Cell(self._key, clause, one.clause), bool(may)


@contextlib.contextmanager
def silence() -> Generator[None, None, None]:
    """What this thread asks guards inside is nobody's decision, and is told to nobody."""
    before = getattr(_silent, "on", False)
    _silent.on = True
    try:
        yield
    finally:
        _silent.on = before
