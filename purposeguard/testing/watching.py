"""Watching guards: every decision that they make for whoever calls them, told as it is made.

A watched guard decides by the same matrix as before; what it remembers is put aside, so that each question is decided
and seen. Nothing of this is on the way of a guard that is not watched. What the library asks for itself (the
alternatives in a message, which of a million rows to keep) is no decision that somebody asked for, and is not told.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

from purposeguard.circumstances import BY_ANY_CHANNEL, NONE_KNOWN, NOT_NAMED, Circumstances, Standing
from purposeguard.decision import Decision
from purposeguard.engine import Column, Engine, Opening, State
from purposeguard.errors import PurposeMissing, PurposeViolation
from purposeguard.guard import Guard
from purposeguard.history import History
from purposeguard.inventory import Access, Activity
from purposeguard.label import Label
from purposeguard.ledger import Tick
from purposeguard.matrix import MOST_REMEMBERED, Matrix, Row
from purposeguard.notice import Notice
from purposeguard.terms import Family, NotPersonal, Purpose, Source
from purposeguard.testing import _callers
from purposeguard.testing._flipping import Cell, copied, flipped, notice_key
from purposeguard.use import Use

_NOT_PERSONAL: Final = Label(NotPersonal)
_NOTHING_KNOWN: Final = (MappingProxyType[Any, Any]({}), MappingProxyType[Any, Any]({}))
"""In place of what `Guard.allows` was asked before."""


class Asked(NamedTuple):
    """One decision.

    `used`: data was about to be used; otherwise it was only asked whether it may be. `activity` is None where a guard
    was asked and no use. `answers` are the cells that were consulted, each with its own answer: of a family, the
    members that let the source through or, where none does, all of them.
    """

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


class _Own:
    """Those who watch one guard alone."""

    __slots__ = ("watchers",)

    def __init__(self) -> None:
        self.watchers: tuple[Watcher, ...] = ()


class _Everywhere:
    """Those who watch all guards, which guards are watched, and the cell that is turned meanwhile."""

    def __init__(self) -> None:
        self.watchers: tuple[Watcher, ...] = ()
        self.guards: weakref.WeakSet[Guard] = weakref.WeakSet()
        self.flip: Cell | None = None
        self.lock = threading.RLock()
        self.attach: Callable[[Guard], None] | None = None


_everywhere: Final = _Everywhere()
_silent: Final = threading.local()


class Teller:
    """Tells the watchers of one guard what is decided by one matrix."""

    __slots__ = ("_answers", "_key", "matrix", "own")

    def __init__(self, own: _Own, matrix: Matrix) -> None:
        self.own = own
        self.matrix = matrix
        self._key = notice_key(matrix.notice)
        self._answers: dict[object, tuple[tuple[Cell, bool], ...]] = {}

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        """Whom to tell; nobody while a watcher looks by itself."""
        return () if getattr(_silent, "on", False) else _everywhere.watchers + self.own.watchers

    def tell(
        self,
        label: Label,
        purpose: type[Purpose] | Family,
        channel: str | None,
        circumstances: Circumstances,
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
        plain = circumstances is NONE_KNOWN
        key = (label, purpose, channel, closed) if plain else (label, purpose, channel, closed, circumstances)
        answers = self._answers.get(key)
        if answers is None:
            answers = tuple(self._answers_of(label, purpose, channel, circumstances, closed))
            if len(self._answers) < MOST_REMEMBERED:
                self._answers[key] = answers
        asked = Asked(label, purpose, channel, allowed, used, activity, answers)
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
        circumstances: Circumstances,
        closed: bool,
    ) -> Iterator[tuple[Cell, bool]]:
        matrix = self.matrix
        members = purpose.members if isinstance(purpose, Family) else (purpose,)
        for source in label:
            if source is NotPersonal:
                continue
            row = matrix.row_for(Label(source), channel, circumstances)
            may = [one for one in members if one in row and not closed]
            clause = matrix.current(source).clause
            for one in may or members:
                yield Cell(self._key, clause, one.clause), bool(may)


class _Answer:
    """What a guard looks its purpose up in."""

    __slots__ = ("_channel", "_circumstances", "_label", "_row", "_teller", "_used")

    def __init__(
        self, teller: Teller, label: Label, channel: str | None, circumstances: Circumstances, row: Row, *, used: bool
    ) -> None:
        self._teller = teller
        self._label = label
        self._channel = channel
        self._circumstances = circumstances
        self._row = row
        self._used = used

    def __contains__(self, purpose: object) -> bool:
        allowed = purpose in self._row
        asked = cast("type[Purpose] | Family", purpose)
        self._teller.tell(self._label, asked, self._channel, self._circumstances, allowed=allowed, used=self._used)
        return allowed


class WatchedMatrix(Matrix):
    """What a guard asks itself: the same decisions, and what was asked for is told."""

    __slots__ = ("teller",)

    teller: Teller

    @property
    def known(self) -> Any:
        """Nothing, so that every question is decided here."""
        return _NOTHING_KNOWN

    def row(self, sources: object, channel: str | None = None) -> Row:
        """What the sources may serve; to `Guard.allows` in a form that tells what is looked up in it."""
        kind = _callers.of_allows()
        if kind is None:
            return super().row(sources, channel)
        by = self.channel(channel)  # first, as in any matrix: of two unknown ids it is the one that is told
        label = self.label(sources)
        row = super().row(label, by)
        return cast("Row", _Answer(self.teller, label, by, NONE_KNOWN, row, used=kind == "used"))

    def row_for(self, label: Label, channel: str | None, circumstances: Circumstances) -> Row:
        """Likewise, to the decision that `Guard.explain` makes."""
        kind = _callers.of_explain(named=circumstances is not NONE_KNOWN)
        row = super().row_for(label, channel, circumstances)
        if kind is None:
            return row
        return cast("Row", _Answer(self.teller, label, channel, circumstances, row, used=kind == "used"))


class WatchedColumn(Column):
    """What an activity may open: decided as in any column, each time anew, and told."""

    __slots__ = ("_teller", "activity")

    def __init__(self, state: WatchedState, activity: Activity) -> None:
        matrix = state.teller.matrix
        purpose, channel = matrix.purpose(activity.purpose), matrix.channel(activity.channel)
        super().__init__(matrix, state.periods, purpose, channel, clears=False, named=state._named)
        self.activity = activity
        self._teller = state.teller
        self.retired = True  # nothing is remembered, and whoever holds it asks the engine anew

    def permits(self, label: Label) -> bool:
        """Whether data of this label may be opened; nothing is cleared."""
        allowed = Column.allows(self, label)
        kind = _callers.of_column(label, allowed=allowed)
        if kind is not None:
            self._tell(label, self._known_of(label), allowed, kind)
        return allowed

    def permits_of(self, label: Label, circumstances: Circumstances) -> bool:
        """The same under circumstances."""
        allowed = super().permits_of(label, circumstances)
        kind = _callers.of_column(label, allowed=allowed)
        if kind is not None:
            if self._unstated:
                circumstances = dataclasses.replace(circumstances, unstated=True)
            self._tell(label, circumstances, allowed, kind)
        return allowed

    def allows(self, sources: object) -> bool:
        """Whether data from these sources may be opened, as `Use.allows` asks."""
        label = self.matrix.label(sources)
        allowed = super().allows(label)
        if _callers.is_asked_outside():
            self._tell(label, self._known_of(label), allowed, "asked")
        return allowed

    def decision(self, sources: object, circumstances: Circumstances | None = None) -> Decision:
        """The same with its reasons; told where `Use.explain` asks, since otherwise it was decided before."""
        label = self.matrix.label(sources)
        decision = super().decision(label, circumstances)
        if circumstances is None and _callers.is_explained_outside():
            self._tell(label, self._known_of(label), decision.allowed, "asked")
        return decision

    def _known_of(self, label: Label) -> Circumstances:
        if self._named and label is not _NOT_PERSONAL:
            return NOT_NAMED
        return BY_ANY_CHANNEL if self._unstated else NONE_KNOWN

    def _tell(self, label: Label, circumstances: Circumstances, allowed: bool, kind: str) -> None:
        self._teller.tell(
            label,
            self.purpose,
            self.channel,
            circumstances,
            allowed=allowed,
            used=kind == "used",
            activity=self.activity,
            closed=self.closed,
        )


class WatchedState(State):
    """The state of a watched guard. Clears nothing, and remembers no checks.

    `plain` is the matrix that the guard has when nobody watches; `aside` what it had remembered until then.
    """

    __slots__ = ("_watched", "aside", "plain", "teller")

    def __init__(self, plain: Matrix, own: _Own, *, named: bool, aside: Aside | None = None) -> None:
        flip = _everywhere.flip
        matrix = plain if flip is None else flipped(plain, flip)
        asked = copied(matrix, WatchedMatrix)
        self.plain = plain
        self.aside = aside
        self.teller = Teller(own, matrix)
        asked._fill(teller=self.teller)
        super().__init__(asked, clears=False, named=named)
        self._retired = True
        self._watched: dict[object, WatchedColumn] = {}

    def of(self, activity: Activity) -> WatchedColumn:
        """The column of an activity; raises as `column` does."""
        key = (activity.name, activity.purpose, activity.channel)
        found = self._watched.get(key)
        if found is None:
            found = self._watched.setdefault(key, WatchedColumn(self, activity))
        return found

    def remember(self, check: tuple[object, ...], tick: Tick) -> None:
        """Nothing: the same check is decided again, and seen."""


class WatchedEngine(Engine):
    """The engine of a watched guard: what it decides and refuses is told."""

    __slots__ = ()

    def _state(self, matrix: Matrix) -> State:
        before = cast("WatchedState", self.state)
        return WatchedState(matrix, before.teller.own, named=before._named)

    @property
    def _watchers(self) -> tuple[Watcher, ...]:
        return cast("WatchedState", self.state).teller.watchers

    def replace(self, notice: Notice, history: History | None = None) -> Matrix:
        """Puts another revision in force, which follows on the plain matrix of the one before."""
        earlier = cast("WatchedState", self.state)
        self.state = self._state(Matrix(notice, earlier.plain, history))
        return self.state.matrix

    def column(self, activity: Activity) -> Column:
        """What an activity may open, told."""
        column = cast("WatchedState", self.state).of(activity)
        if _callers.is_entering():
            for one in self._watchers:
                one.entered(activity)
        return column

    def authorise(self, access: Access, label: Label) -> Use[Any] | None:
        """As in any engine."""
        for one in self._watchers:
            one.called(access)
        return super().authorise(access, label)

    def present(self, what: str = "data was read") -> Use[Any] | None:
        """As in any engine; an access function that asks by itself is told of here."""
        reader = _callers.reader_here()
        if reader is not None:
            for one in self._watchers:
                one.called(reader.access)
        return super().present(what)

    def missing(self, what: str, why: str, use: Use[Any] | None = None) -> None:
        """As in any engine."""
        try:
            super().missing(what, why, use)
        except PurposeMissing as error:
            for one in self._watchers:
                one.refused(error, observed=False)
            raise
        for one in self._watchers:
            one.refused(None, observed=True)

    def tell(self, violation: PurposeViolation, activity: Activity | None) -> None:
        """As in any engine."""
        observed = self.observing if activity is None else activity.observing
        for one in self._watchers:
            one.refused(violation, observed=observed)
        super().tell(violation, activity)


class Aside:
    """What a guard remembered before it was watched, put aside: its columns are retired until it is put back."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._columns: list[tuple[Column, set[object], dict[Standing, set[Label]]]] = []
        self._counted: list[tuple[weakref.ref[Opening], dict[object, Tick]]] = []

    def put(self) -> None:
        """To be called once the guard has another state."""
        state = self.state
        with state._lock:
            state._retired = True
            columns = [one for one in state._columns.values() if not one.retired]
        for column in columns:
            with column._lock:
                self._columns.append((column, set(column.cleared), dict(column._known)))
                for opening in filter(None, [reference() for reference in column._counting.valuerefs()]):
                    self._counted.append((weakref.ref(opening), dict(opening.counted)))
            column.retire()

    def back(self) -> None:
        """To be called before the guard has its state again."""
        state = self.state
        for column, cleared, known in self._columns:
            with column._lock:
                column.cleared.update(cleared)
                column._known.update(known)
                column.retired = False
        for column in list(state._columns.values()):
            column.retired = False  # also those asked for since
        for reference, counted in self._counted:
            opening = reference()
            if opening is not None:
                opening.counted.update(counted)
        state._retired = False


def _watch(guard: Guard, watcher: Watcher | None = None) -> None:
    """Has a guard watched, by those who watch all guards and by this one."""
    with _everywhere.lock:
        engine = guard._engine
        if not isinstance(engine, WatchedEngine):
            state = engine.state
            aside = Aside(state)
            watched = WatchedState(state.matrix, _Own(), named=state._named, aside=aside)
            with guard._replacing:
                _turn_into(engine, WatchedEngine)
                engine.state = watched
                aside.put()
                guard._known = watched.matrix.known
            _everywhere.guards.add(guard)
        if watcher is not None:
            own = cast("WatchedState", engine.state).teller.own
            own.watchers = (*own.watchers, watcher)


def _turn_into(engine: Engine, cls: type[Engine]) -> None:
    engine.__class__ = cls  # both have the same slots


def _leave(guard: Guard, watcher: Watcher | None = None) -> None:
    """The reverse; a guard that nobody watches any more is as it was before."""
    with _everywhere.lock:
        engine = guard._engine
        if not isinstance(engine, WatchedEngine):
            return
        own = cast("WatchedState", engine.state).teller.own
        own.watchers = tuple(one for one in own.watchers if one is not watcher)
        if own.watchers or _everywhere.watchers:
            return
        with guard._replacing:
            watched = cast("WatchedState", engine.state)
            _turn_into(engine, Engine)
            aside = watched.aside
            if aside is not None:
                aside.back()
                engine.state = aside.state
            else:  # the notice was replaced meanwhile
                engine.state = engine._state(watched.plain)
            guard._known = engine.state.matrix.known
        _everywhere.guards.discard(guard)


@contextlib.contextmanager
def watching(watcher: Watcher, guard: Guard | None = None) -> Generator[None, None, None]:
    """Has a watcher told of what one guard decides inside, or of what all do, those made meanwhile too."""
    if guard is not None:
        _watch(guard, watcher)
        try:
            yield
        finally:
            _leave(guard, watcher)
        return
    watch_all(watcher)
    try:
        yield
    finally:
        leave_all(watcher)


def watch_all(watcher: Watcher) -> None:
    """Has a watcher told of what all guards decide, living ones and those made from now on."""
    with _everywhere.lock:
        _everywhere.watchers = (*_everywhere.watchers, watcher)
        if len(_everywhere.watchers) == 1:
            _everywhere.attach = attach = Guard._attach

            def attached(self: Guard) -> None:
                attach(self)
                if self not in _everywhere.guards:
                    _watch(self)
                    for one in _everywhere.watchers:
                        one.made(self)

            Guard._attach = attached  # type: ignore[method-assign]  # called at the end of making each
            for guard in _living():
                _watch(guard)


def leave_all(watcher: Watcher) -> None:
    """Tells a watcher no more; where it was the last, guards are as they were before."""
    with _everywhere.lock:
        _everywhere.watchers = tuple(one for one in _everywhere.watchers if one is not watcher)
        if not _everywhere.watchers and _everywhere.attach is not None:
            Guard._attach = _everywhere.attach  # type: ignore[method-assign,assignment]  # what it was before
            _everywhere.attach = None
            for guard in list(_everywhere.guards):
                _leave(guard)


def watched_guards() -> tuple[Guard, ...]:
    """The guards that are watched now."""
    return tuple(_everywhere.guards)


def is_granted(cell: Cell) -> bool:
    """Whether the notice of a watched guard grants a cell."""
    for guard in _everywhere.guards:
        notice = guard.notice
        if notice_key(notice) == cell.notice:
            held = next((held for one, held in notice.grants.items() if one.clause == cell.source), {})
            return any(one.clause == cell.purpose for one in held)
    return False


def turn(cell: Cell | None) -> None:
    """Turns one cell in all watched guards, and in those made from now on; None turns none."""
    with _everywhere.lock:
        _everywhere.flip = cell
        for guard in list(_everywhere.guards):
            engine = guard._engine
            with guard._replacing:
                before = cast("WatchedState", engine.state)
                engine.state = WatchedState(before.plain, before.teller.own, named=before._named, aside=before.aside)


@contextlib.contextmanager
def silence() -> Generator[None, None, None]:
    """What this thread asks guards inside is nobody's decision, and is told to nobody."""
    before = getattr(_silent, "on", False)
    _silent.on = True
    try:
        yield
    finally:
        _silent.on = before


def _living() -> Iterable[Guard]:
    frozen = gc.get_freeze_count()
    if frozen:
        gc.unfreeze()
    # By their types: what stands in for another object may do anything when it is asked for its class.
    found = [one for one in gc.get_objects() if Guard in type(one).__mro__]
    if frozen:
        gc.freeze()
    return found
