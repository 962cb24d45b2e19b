"""Keepers, which record for which purpose a session loaded its objects.

Objects that leave their session keep a copy of its keeper.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from sqlalchemy.orm import Mapper

from purposeguard.adapters.enforcement import Decider
from purposeguard.adapters.sqlalchemy.requirements import Requirements
from purposeguard.adapters.sqlalchemy.tags import MappedTables
from purposeguard.runtime.entry_point import current_entry_point
from purposeguard.runtime.use import Use, is_ambient_here, is_owner_running

KEEPER: Final = "purposeguard_keeper"
"""The attribute of a guarded session, and of the state of an object that left it, that holds the keeper."""

NO_SESSION: Final = -1
"""A session id for a keeper that no longer applies to any object, so that each attribute is decided."""

_NOBODY: Final = object()


class EngineAttributes(Protocol):
    """The attributes of the classes that are mapped to the tables of one engine."""

    @property
    def token(self) -> str:
        """The identification of the engine in pickled objects."""
        ...

    def knows(self, mapper: Mapper[Any]) -> bool:
        """Return True if a class is mapped to a table of the engine."""
        ...

    def get_requirements(self, watch: Watch, mapper: Mapper[Any], key: str) -> Requirements:
        """Return the columns that reading an attribute uses."""
        ...

    def ask(self, watch: Watch) -> None:
        """Make the attributes of all classes check reads, including recently mapped classes."""


class Watch(Protocol):
    """The checks of the statements of one engine."""

    decider: Decider
    catalogue: MappedTables

    @property
    def attributes(self) -> EngineAttributes:
        """The attributes of the mapped classes."""
        ...

    def observes(self, use: Use[Any] | None) -> bool:
        """Return True if a denial under this use is only observed."""
        ...


REPORTING_WATCHES: Final[weakref.WeakValueDictionary[int, Any]] = weakref.WeakValueDictionary()
"""The watches whose engines executed statements while an observer asked for reads, by `id(watch)`."""


class LoadedPurpose:
    """The purpose for which a session loaded its objects from one engine; None for no purpose."""

    __slots__ = ("checked", "innermost", "keeps_other_values", "purpose", "reported", "use", "watch")

    keeps_other_values: bool
    """True if objects may hold values that were loaded for other purposes. In observe mode nothing is forgotten."""
    checked: set[tuple[Mapper[Any], str]]
    """The attributes that were checked for the present purpose since, if `keeps_other_values` is True."""
    reported: set[tuple[Mapper[Any], str, str | None]]
    """The attributes whose reads under `use` were reported to observers, each with the entry point of the read."""

    def __init__(
        self,
        watch: Watch,
        use: Use[Any] | None = None,
        purpose: object = None,
        *,
        keeps_other_values: bool = False,
    ) -> None:
        self.watch = watch
        self.innermost: Callable[[], Use[Any]] = watch.decider.engine.innermost
        self.use = use
        self.purpose = purpose
        self.keeps_other_values = keeps_other_values
        self.checked = set()
        self.reported = set()

    @property
    def checks_each_read(self) -> bool:
        """True if reads must be checked or reported although the use under way is that of the keeper."""
        return self.keeps_other_values or bool(self.watch.decider.engine.observers.read)

    def needs_check(self, mapper: Mapper[Any], key: str) -> bool:
        """Return True if an attribute must be checked for the use under way before its loaded value is read."""
        return not self.is_current() or (self.keeps_other_values and (mapper, key) not in self.checked)

    def copy(self) -> LoadedPurpose:
        """Return a copy of the present state."""
        return LoadedPurpose(self.watch, self.use, self.purpose, keeps_other_values=self.keeps_other_values)

    def observes(self) -> bool:
        """Return True if violations are only observed here."""
        return self.watch.observes(self.current_use())

    def current_use(self) -> Use[Any] | None:
        """Return the use under way here, if there is one."""
        use: Use[Any] = self.watch.decider.engine.ambient()
        return use if is_owner_running(use) else None

    def is_current(self) -> bool:
        """Return True if the objects were loaded for the purpose under way here."""
        use = self.current_use()
        return (use is not None and use is self.use) or self.purpose == self._purpose_of(use)

    def take_over_use(self) -> bool:
        """Take over the use under way here. Return True if the purpose changed.

        Outside any purpose nothing personal is loaded, so nothing changes, unless denials are only observed.
        """
        use = self.current_use()
        if use is None:
            if not self.watch.decider.engine.observing:
                return False
        elif use is self.use:
            return False
        self.use = use
        self.reported = set()
        before, self.purpose = self.purpose, self._purpose_of(use)
        if self.purpose == before:
            return False
        self.keeps_other_values = self.watch.observes(use)
        self.checked.clear()
        return True

    def _purpose_of(self, use: Use[Any] | None) -> object:
        if use is None:
            return None
        activity = use.activity
        stated = (activity.purpose, activity.channel, activity.conditions)
        observing = activity.name if activity.observing else None  # Each observing activity reports what it reads.
        return (*stated, observing, self.watch.decider.engine.snapshot)


class Keeper:
    """The purposes for which a session loaded its objects, by engine."""

    __slots__ = ("entries", "innermost", "reporting_use", "session_id", "use")

    def __init__(self, entries: tuple[LoadedPurpose, ...] = (), session_id: int | None = None) -> None:
        """Create a keeper.

        Args:
            entries: The purpose for each engine.
            session_id: The session of the objects to which the keeper applies.
        """
        self.entries = entries
        self.session_id = session_id
        self._prepare_fast_path()

    def _prepare_fast_path(self) -> None:
        """Set the attributes by which a read is checked quickly if the session has one engine.

        Observers are told of each read until they know of it, so `use` is None then.
        """
        entry = self.entries[0] if len(self.entries) == 1 and not self.entries[0].keeps_other_values else None
        self.reporting_use = None if entry is None else entry.use
        self.use = None if entry is None or entry.checks_each_read else entry.use
        self.innermost: Callable[[], object] = self.entries[0].innermost if self.entries else _nobody

    def has_reported(self, state: Any, key: str) -> bool:
        """Return True if observers know that the use and entry point under way read an attribute.

        An attribute is reported once for all objects that the session loaded for the use.
        """
        use = self.reporting_use
        return (
            use is not None
            and self.innermost() is use
            and state.session_id == self.session_id
            and is_ambient_here(use)
            and (state.mapper, key, current_entry_point()) in self.entries[0].reported
        )

    def entry_of(self, watch: Watch) -> LoadedPurpose:
        """Return the entry of an engine, which is added if there is none."""
        for entry in self.entries:
            if entry.watch is watch:
                return entry
        entry = LoadedPurpose(watch)
        self.entries = (*self.entries, entry)
        entry.take_over_use()
        entry.keeps_other_values = False  # Nothing was loaded yet.
        self._prepare_fast_path()
        return entry

    def entries_about(self, mapper: Mapper[Any]) -> list[LoadedPurpose]:
        """Return the entries of the engines that know a class."""
        return [entry for entry in self.entries if entry.watch.attributes.knows(mapper)]

    def is_current(self) -> bool:
        """Return True if it is quickly seen that `take_over_uses` would change nothing."""
        use = self.use
        return (
            use is not None
            and self.innermost() is use
            and is_ambient_here(use)
            and not self.entries[0].watch.decider.engine.observers.read
        )

    def take_over_uses(self) -> bool:
        """Take over the uses under way for all engines. Return True if a purpose changed."""
        changed = False
        for entry in self.entries:
            changed |= entry.take_over_use()
        self._prepare_fast_path()
        return changed

    def keep_other_values(self, entry: LoadedPurpose) -> None:
        """Note that an object which was loaded for another purpose has joined the session in observe mode."""
        entry.take_over_use()  # An activity that enforces is another purpose then, which forgets those values.
        entry.keeps_other_values = True
        entry.checked.clear()
        self._prepare_fast_path()

    def copy(self, session_id: int | None = None) -> Keeper:
        """Return a copy of the present state, for objects that leave the session."""
        return Keeper(tuple([entry.copy() for entry in self.entries]), session_id)

    def attach_to(self, states: Iterable[Any]) -> None:
        """Attach this keeper to objects, so that it applies to them wherever they are."""
        for state in states:
            state.purposeguard_keeper = self


def _nobody() -> object:
    """Return an object that equals no use, in place of the use under way while the session has used no engine."""
    return _NOBODY


def keeper_of(state: Any) -> Keeper | None:
    """Return the keeper of an object that has left its session, if there is one."""
    keeper: Keeper | None = getattr(state, KEEPER, None)
    return keeper


def own_keeper(state: Any, keeper: Keeper | None) -> Keeper | None:
    """Return the keeper of the session that an object is in. `keeper` is that of the object itself."""
    # A deleted object is not in the session's map. Its values stay as they were when its deletion was flushed.
    if state.was_deleted and keeper is not None:
        return None
    own: Keeper | None = getattr(state.session, KEEPER, None)
    return own


def list_entries(state: Any, keeper: Keeper | None) -> list[LoadedPurpose]:
    """Return the entries that apply to an object. `keeper` is that of the object itself."""
    effective_keeper = own_keeper(state, keeper) or keeper
    return effective_keeper.entries_about(state.mapper) if effective_keeper is not None else []
