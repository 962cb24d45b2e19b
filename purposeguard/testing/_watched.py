"""What stands in a watched guard in the place of its matrix, its columns, its state and its engine."""

from __future__ import annotations

import dataclasses
import weakref
from types import MappingProxyType
from typing import Any, Final, cast

from purposeguard.errors import PurposeMissing
from purposeguard.notice.history import History
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose
from purposeguard.policy.context import BY_ANY_CHANNEL, NONE_KNOWN, NOT_NAMED, Context, SubjectPreferences
from purposeguard.policy.explanation import Decision
from purposeguard.policy.table import Matrix, Row
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.observer import Tick
from purposeguard.runtime.registry import Access, Activity
from purposeguard.runtime.snapshot import ActivityHandle, Engine, Permissions, PolicySnapshot
from purposeguard.runtime.use import Use
from purposeguard.testing import _callers
from purposeguard.testing._flipping import copied, flipped
from purposeguard.testing._watchers import Own, Teller, Watcher, everywhere

_NOT_PERSONAL: Final = Label(NotPersonal)
_NOTHING_KNOWN: Final = (MappingProxyType[Any, Any]({}), MappingProxyType[Any, Any]({}))
"""In place of what `Guard.allows` was asked before."""


class _Answer:
    """What a guard looks its purpose up in."""

    __slots__ = ("_channel", "_circumstances", "_label", "_row", "_teller", "_used")

    def __init__(
        self, teller: Teller, label: Label, channel: str | None, context: Context, row: Row, *, used: bool
    ) -> None:
        self._teller = teller
        self._label = label
        self._channel = channel
        self._circumstances = context
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

    def row_for(self, label: Label, channel: str | None, context: Context) -> Row:
        """Likewise, to the decision that `Guard.explain` makes."""
        kind = _callers.of_explain(named=context is not NONE_KNOWN)
        row = super().row_for(label, channel, context)
        if kind is None:
            return row
        return cast("Row", _Answer(self.teller, label, channel, context, row, used=kind == "used"))


class WatchedColumn(Permissions):
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
        allowed = Permissions.allows(self, label)
        kind = _callers.of_column(label, allowed=allowed)
        if kind is not None:
            self._tell(label, self._known_of(label), allowed, kind)
        return allowed

    def permits_of(self, label: Label, context: Context) -> bool:
        """The same under circumstances."""
        allowed = super().permits_of(label, context)
        kind = _callers.of_column(label, allowed=allowed)
        if kind is not None:
            if self._unstated:
                context = dataclasses.replace(context, unstated=True)
            self._tell(label, context, allowed, kind)
        return allowed

    def allows(self, sources: object) -> bool:
        """Whether data from these sources may be opened, as `Use.allows` asks."""
        label = self.matrix.label(sources)
        allowed = super().allows(label)
        if _callers.is_asked_outside():
            self._tell(label, self._known_of(label), allowed, "asked")
        return allowed

    def decision(self, sources: object, context: Context | None = None) -> Decision:
        """The same with its reasons; told where `Use.explain` asks, since otherwise it was decided before."""
        label = self.matrix.label(sources)
        decision = super().decision(label, context)
        if context is None and _callers.is_explained_outside():
            self._tell(label, self._known_of(label), decision.allowed, "asked")
        return decision

    def _known_of(self, label: Label) -> Context:
        if self._named and label is not _NOT_PERSONAL:
            return NOT_NAMED
        return BY_ANY_CHANNEL if self._unstated else NONE_KNOWN

    def _tell(self, label: Label, context: Context, allowed: bool, kind: str) -> None:
        self._teller.tell(
            label,
            self.purpose,
            self.channel,
            context,
            allowed=allowed,
            used=kind == "used",
            activity=self.activity,
            closed=self.closed,
        )


class WatchedState(PolicySnapshot):
    """The state of a watched guard. Clears nothing, and remembers no checks.

    `plain` is the matrix that the guard has when nobody watches; `aside` what it had remembered until then.
    """

    __slots__ = ("_watched", "aside", "plain", "teller")

    def __init__(self, plain: Matrix, own: Own, *, named: bool, aside: Aside | None = None) -> None:
        flip = everywhere.flip
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
    """The engine of a watched guard: what it decides and refuses is told.

    By functions of their own: no watcher, which knows much, is left in the frames of an error. Without `super()` and
    what this class alone has: whoever is in the middle of a method may find the engine turned back (`watching._leave`).
    """

    __slots__ = ()

    def _snapshot(self, matrix: Matrix) -> PolicySnapshot:
        before = cast("WatchedState", self.snapshot)
        return WatchedState(matrix, before.teller.own, named=before._named)

    def replace(self, notice: Notice, history: History | None = None) -> None:
        """Puts another revision in force, which follows on the plain matrix of the one before."""
        earlier = cast("WatchedState", self.snapshot)
        self.snapshot = self._snapshot(Matrix(notice, earlier.plain, history))

    def permissions(self, activity: Activity) -> Permissions:
        """What an activity may open, told."""
        state = self.snapshot
        column = state.of(activity) if isinstance(state, WatchedState) else Engine.permissions(self, activity)
        if _callers.is_entering():
            _entered(_watchers(self), activity)
        return column

    def authorise(self, access: Access, label: Label) -> Use[Any] | None:
        """As in any engine."""
        _called(_watchers(self), access)
        return Engine.authorise(self, access, label)

    def present(self, what: str = "data was read") -> Use[Any] | None:
        """As in any engine; an access function that asks by itself is told of here."""
        reader = _callers.reader_here()
        if reader is not None:
            _called(_watchers(self), reader.access)
        return Engine.present(self, what)

    def missing(self, what: str, why: str, use: Use[Any] | None = None) -> None:
        """As in any engine."""
        try:
            Engine.missing(self, what, why, use)
        except PurposeMissing as error:
            _refused(_watchers(self), error, observed=False)
            raise
        _refused(_watchers(self), None, observed=True)

    def tell(self, violation: PurposeViolation, activity: Activity | None) -> None:
        """As in any engine."""
        observed = self.observing if activity is None else activity.observing
        _refused(_watchers(self), violation, observed=observed)
        Engine.tell(self, violation, activity)


def _watchers(engine: Engine) -> tuple[Watcher, ...]:
    state = engine.snapshot
    return state.teller.watchers if isinstance(state, WatchedState) else ()


def _entered(watchers: tuple[Watcher, ...], activity: Activity) -> None:
    for one in watchers:
        one.entered(activity)


def _called(watchers: tuple[Watcher, ...], access: Access) -> None:
    for one in watchers:
        one.called(access)


def _refused(watchers: tuple[Watcher, ...], error: PurposeViolation | PurposeMissing | None, *, observed: bool) -> None:
    for one in watchers:
        one.refused(error, observed=observed)


class Aside:
    """What a guard remembered before it was watched, put aside: its columns are retired until it is put back."""

    def __init__(self, state: PolicySnapshot) -> None:
        self.state = state
        self._columns: list[tuple[Permissions, set[object], dict[SubjectPreferences, set[Label]]]] = []
        self._counted: list[tuple[weakref.ref[ActivityHandle], dict[object, Tick]]] = []

    def put(self) -> None:
        """To be called once the guard has another state."""
        state = self.state
        with state._lock:
            state._retired = True
            columns = [one for one in state._permissions.values() if not one.retired]
        for column in columns:
            with column._lock:
                self._columns.append((column, set(column.allowed_labels), dict(column._known)))
                for opening in filter(None, [reference() for reference in column._counting.valuerefs()]):
                    self._counted.append((weakref.ref(opening), dict(opening.counted)))
            column.retire()

    def back(self) -> None:
        """To be called before the guard has its state again."""
        state = self.state
        for column, allowed_labels, known in self._columns:
            with column._lock:
                column.allowed_labels.update(allowed_labels)
                column._known.update(known)
                column.retired = False
        for column in list(state._permissions.values()):
            column.retired = False  # also those asked for since
        for reference, counted in self._counted:
            opening = reference()
            if opening is not None:
                opening.counted.update(counted)
        state._retired = False
