"""Checks of reads: whether a value of an object may be used for the purpose under way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.ext.mutable import MutableBase
from sqlalchemy.orm import RelationshipProperty
from sqlalchemy.orm.base import LoaderCallableStatus

from purposeguard.adapters.sqlalchemy.decisions import decide_read, is_denied, may_read
from purposeguard.adapters.sqlalchemy.forgetting import forget_other_purposes, list_forgotten
from purposeguard.adapters.sqlalchemy.keepers import (
    NO_SESSION,
    REPORTING_WATCHES,
    Keeper,
    LoadedPurpose,
    Watch,
    keeper_of,
    list_entries,
    own_keeper,
)
from purposeguard.adapters.sqlalchemy.requirements import Requirements
from purposeguard.containers import intersect, omit_keys
from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.runtime.entry_point import current_entry_point
from purposeguard.runtime.use import is_ambient_here
from purposeguard.values.plan import RAW_DICT
from purposeguard.values.pydantic import report_refusal

# ---- one attribute ---------------------------------------------------------------------------------------------------


def check_read(instance: Any, state: Any, key: str, keeper: Keeper | None) -> None:
    """Check that an attribute of an object may be read now.

    Args:
        instance: The object.
        state: Its state.
        key: The attribute.
        keeper: The keeper of the object itself.

    Raises:
        PurposeMissing, PurposeViolation: the purpose under way may not use its value.
        UnlabelledData: its row must be loaded again, and the object has left its session.
    """
    if state.obj() is instance:
        if keeper is None or not keeper.has_reported(state, key) or key not in _values_of(state):
            _check_own_value(state, key, keeper)
        return
    # A shallow copy shares the state of the object, which does not describe the values of the copy.
    for entry in list_entries(state, keeper):
        _report_read(entry, state, key)
        _decide_read(entry, state, key, detached=True)


def check_columns(state: Any, key: str) -> None:
    """Check that the columns of an attribute may be read, but not the row.

    Raises:
        PurposeMissing, PurposeViolation: the columns may not be used.
    """
    for entry in list_entries(state, keeper_of(state)):
        _decide_read(entry, state, key, with_rows=False)


def _get_requirements(entry: LoadedPurpose, state: Any, key: str) -> Requirements:
    return entry.watch.attributes.get_requirements(entry.watch, state.mapper, key)


def _decide_read(entry: LoadedPurpose, state: Any, key: str, *, with_rows: bool = True, detached: bool = False) -> None:
    """Check a read as `decide_read` does. In observe mode, report columns without a tag.

    Args:
        entry: The purpose for which the object was loaded.
        state: The state of the object.
        key: The attribute.
        with_rows: True if the rows of the columns count as well.
        detached: As for `decide_read`.
    """
    try:
        requirements = _get_requirements(entry, state, key)
        decide_read(entry.watch, requirements if with_rows else requirements._replace(rows=False), detached=detached)
    except UnlabelledData as error:
        entry.watch.decider.refuse_unresolved(error, f"read of {state.mapper.class_.__name__}.{key}")


def _report_read(entry: LoadedPurpose, state: Any, key: str) -> None:
    """Report to the observers that an attribute is read."""
    _report_read_to(entry.watch, state, key)
    has_observers = bool(entry.watch.decider.engine.observers.read)
    if has_observers and entry.use is not None and entry.current_use() is entry.use:
        entry.reported.add((state.mapper, key, current_entry_point()))


def _report_read_to(watch: Watch, state: Any, key: str) -> None:
    if watch.decider.engine.observers.read:
        with suppress(UnlabelledData):  # The check refuses or reports it.
            watch.decider.report_read(watch.attributes.get_requirements(watch, state.mapper, key).fields)


def _check_own_value(state: Any, key: str, keeper: Keeper | None) -> None:
    """Check that an attribute of the object that a state describes may be read now. Raise as `check_read` does."""
    own = own_keeper(state, keeper)
    if state.key is None and own is not None:
        return  # The application made the object.
    if _is_changed(state, key):
        return  # The application set the value.
    if own is not None:
        is_reported = own.has_reported(state, key)
        for entry in own.entries_about(state.mapper):
            if not is_reported:
                _report_read(entry, state, key)
            _check_attached(state, key, state.session, entry)
        own.session_id = state.session_id
        state.purposeguard_keeper = own
    elif keeper is not None:
        _check_detached(state, key, keeper)
    elif REPORTING_WATCHES:
        for watch in _find_reporting_watches(state):
            _report_read_to(watch, state, key)


def _check_detached(state: Any, key: str, keeper: Keeper) -> None:
    """Check that an attribute of an object that has left its session may be read now."""
    loaded = key in _values_of(state)
    frozen = keeper.session_id == state.session_id
    for entry in keeper.entries_about(state.mapper):
        _report_read(entry, state, key)
        if not (loaded and frozen) or entry.needs_check(state.mapper, key):
            _decide_read(entry, state, key, detached=loaded)
            entry.checked.add((state.mapper, key))
            if not loaded:  # The value is loaded now into a deleted object, for another purpose than the rest.
                keeper.session_id = NO_SESSION


def _find_reporting_watches(state: Any) -> list[Watch]:
    """Return the watches to which reads of an object of a plain session are reported.

    Those of its engine if the object is in a session, and otherwise one of each guard that knows its class.
    """
    session, bind = state.session, None
    with suppress(UnboundExecutionError):  # Then the object is treated as one without a session.
        bind = session.get_bind(state.mapper) if session is not None else None
    if bind is not None:
        watch: Any = getattr(bind.dialect, "purposeguard", None)
        return [] if watch is None or id(watch) not in REPORTING_WATCHES else [watch]
    watches: dict[object, Watch] = {}
    for reference in REPORTING_WATCHES.valuerefs():  # Another thread may add a watch meanwhile.
        watch = reference()
        if watch is not None and watch.attributes.knows(state.mapper):
            watches[watch.decider.engine] = watch
    return list(watches.values())


def _check_attached(state: Any, key: str, session: Any, entry: LoadedPurpose) -> None:
    """Check that an attribute of an object in a session may be read now."""
    watch = entry.watch
    if key in _values_of(state):
        if entry.needs_check(state.mapper, key):
            _decide_read(entry, state, key)
            forget_other_purposes(session)
            entry.checked.add((state.mapper, key))
        return
    # The statement that loads the attribute is checked. But it may load others as well, or, without `await`, nothing.
    use = entry.current_use()
    if use is None or watch.observes(use) or isinstance(state.mapper.get_property(key), RelationshipProperty):
        return
    if is_denied(watch, _get_requirements(entry, state, key).tables, use):
        _decide_read(entry, state, key, with_rows=False)


def _values_of(state: Any) -> dict[str, Any]:
    instance = state.obj()
    values: dict[str, Any] = {} if instance is None else getattr(instance, RAW_DICT)
    return values


def _is_changed(state: Any, key: str) -> bool:
    """Return True if the application set the value of an attribute."""
    return key in state.committed_state and not (state.key is not None and _changes_in_place(state, key))


def _changes_in_place(state: Any, key: str) -> bool:
    """Return True if a changed value may still hold loaded data: a collection, or a value that tracks its changes."""
    impl = getattr(state.manager.get(key), "impl", None)
    return getattr(impl, "collection", False) or isinstance(_values_of(state).get(key), MutableBase)


# ---- a whole object --------------------------------------------------------------------------------------------------


class MappedObjectChecks:
    """The checks for readers of an object's `__dict__`: each entry is read as its attribute."""

    def is_current(self, instance: Any, state: Any) -> bool:
        """Return True if all values of the object were loaded for the use under way."""
        keeper: Any = keeper_of(state)
        if keeper is None:
            return state.key is None
        return bool(
            keeper.innermost() is keeper.use
            and state.session_id == keeper.session_id
            and is_ambient_here(keeper.use)
            and state.obj() is instance
            and not list_forgotten(state)
        )

    def counts_reads(self, state: Any) -> bool:
        """Return True if each read of an attribute is reported, although it is allowed."""
        keeper = keeper_of(state)
        entries = list_entries(state, keeper)
        if entries or keeper is not None:
            return any(entry.checks_each_read for entry in entries)
        return bool(REPORTING_WATCHES) and bool(_find_reporting_watches(state))

    def find_hidden(self, instance: Any, state: Any, *, replaced: bool) -> frozenset[str]:
        """Return the attributes that the use under way may not read.

        Args:
            instance: The object.
            state: Its state.
            replaced: True to include attributes whose values before a change may not be read.
        """
        keeper = keeper_of(state)
        if state.key is None and own_keeper(state, keeper) is not None:
            return frozenset()
        loaded_keys = _list_loaded(instance, state)
        if state.obj() is instance:
            loaded_keys = [key for key in loaded_keys if not _is_changed(state, key)]
        other_keys = list_forgotten(state)
        if replaced:
            other_keys += list_replaced(state)
        hidden: set[str] = set()
        for entry in list_entries(state, keeper):
            if entry.watch.observes(entry.current_use()):
                continue
            if not _is_loaded_for_use(instance, state, entry):
                hidden.update(_iter_denied(entry, state, loaded_keys, loaded=True))
            hidden.update(_iter_denied(entry, state, other_keys, loaded=False))
        return frozenset(hidden)

    def read(self, instance: Any, state: Any, key: str, *, replaced: bool) -> Any:
        """Read one attribute. Raise the refusal if it may not be read."""
        if replaced:
            check_columns(state, key)
        return getattr(instance, key)

    def read_allowed(self, instance: Any, state: Any) -> dict[str, Any]:
        """Return the values of the object without the attributes that the use under way may not read.

        Attributes whose rows are decided one by one are read, which may load them anew.
        """
        loaded_keys = _list_loaded(instance, state)
        unchanged_keys = [key for key in loaded_keys if not _is_changed(state, key)]
        denied: set[str] = set()
        for entry in list_entries(state, keeper_of(state)):
            if entry.watch.observes(entry.current_use()) or _is_loaded_for_use(instance, state, entry):
                continue
            denied.update(_iter_denied(entry, state, unchanged_keys, loaded=False))
        for key in loaded_keys:
            if key not in denied:
                getattr(instance, key)
        return omit_keys(getattr(instance, RAW_DICT), denied)

    def read_all(self, instance: Any, state: Any) -> None:
        """Read each attribute that was loaded. Raise the first refusal."""
        loaded_keys = _list_loaded(instance, state)
        try:
            for key in list_forgotten(state):
                check_columns(state, key)
        except PurposeGuardError as error:
            report_refusal(error)
            raise
        for key in loaded_keys:
            getattr(instance, key)


OBJECT_CHECKS: Final = MappedObjectChecks()


def _iter_denied(entry: LoadedPurpose, state: Any, keys: Iterable[str], *, loaded: bool) -> Iterator[str]:
    """Yield the attributes among these that the use under way may not read. `loaded` is as for `may_read`."""
    use = entry.current_use()
    for key in keys:
        if not may_read(entry.watch, state.mapper, key, use, loaded=loaded):
            yield key


def _is_loaded_for_use(instance: Any, state: Any, entry: LoadedPurpose) -> bool:
    """Return True if it is known that the values of an object were loaded for the use under way."""
    keeper = keeper_of(state)
    own = own_keeper(state, keeper)
    is_known = own is not None or (keeper is not None and state.session_id == keeper.session_id)
    return is_known and state.obj() is instance and entry.is_current()


def list_replaced(state: Any) -> list[str]:
    """Return the attributes that the application changed and whose previous values are kept."""
    return [key for key, value in state.committed_state.items() if not isinstance(value, LoaderCallableStatus)]


def _list_loaded(instance: Any, state: Any) -> list[str]:
    values = getattr(instance, RAW_DICT)
    return intersect(state.manager, values)
