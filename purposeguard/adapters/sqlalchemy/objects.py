"""Mapped classes whose objects check each read of an attribute, also when they are pickled or dumped.

With `object_dicts`, this keeps FastAPI, pydantic and encoders from writing columns that the purpose may not use.
"""

from __future__ import annotations

import functools
import uuid
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.orm import ColumnProperty, CompositeProperty, InstrumentedAttribute, Mapper
from sqlalchemy.orm.base import DEFAULT_STATE_ATTR as _STATE
from sqlalchemy.sql import visitors
from sqlalchemy.sql.selectable import TableClause

from purposeguard.adapters.sqlalchemy.keepers import (
    KEEPER,
    NO_SESSION,
    Keeper,
    LoadedPurpose,
    Watch,
    keeper_of,
    list_entries,
    own_keeper,
)
from purposeguard.adapters.sqlalchemy.loading import ExpiredLoader, LoadsOneByOne
from purposeguard.adapters.sqlalchemy.object_dicts import guard_dict
from purposeguard.adapters.sqlalchemy.reads import OBJECT_CHECKS, check_columns, check_read, list_replaced
from purposeguard.adapters.sqlalchemy.requirements import Requirements, compute_requirements
from purposeguard.adapters.sqlalchemy.tags import MappedTables, iter_mappers
from purposeguard.errors import PurposeGuardError
from purposeguard.runtime.use import is_ambient_here
from purposeguard.values.plan import RAW_DICT
from purposeguard.values.pydantic import report_refusal

# ---- attributes ------------------------------------------------------------------------------------------------------


class _CheckedAttribute:
    """A mixin for the class of an attribute that checks each read."""

    __slots__ = ()
    key: str
    impl: Any

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        values: Any = getattr(instance, RAW_DICT)
        state: Any = values.get(_STATE)
        keeper: Any = getattr(state, KEEPER, None)
        if (
            keeper is not None
            and keeper.innermost() is keeper.use
            and state.session_id == keeper.session_id
            and is_ambient_here(keeper.use)
            and self.key in values
            and self.impl.supports_population
            and state.obj() is instance
        ):
            return values[self.key]  # SQLAlchemy does the same.
        # An object that the application made is not checked; SQLAlchemy refuses one without a state.
        above: Any = super()
        if keeper is None and (state is None or state.key is None):
            return above.__get__(instance, owner)
        try:
            check_read(instance, state, self.key, keeper)
            return above.__get__(instance, owner)
        except PurposeGuardError as error:
            report_refusal(error)  # Pydantic gives it to its caller only as text.
            raise


class _CheckedComposite:
    """A mixin for a composite attribute, which caches its value, that checks each read."""

    __slots__ = ()
    key: str

    def __get__(self, instance: Any, owner: Any) -> Any:
        state: Any = getattr(instance, _STATE, None)
        above: Any = super()
        if state is None or (keeper_of(state) is None and state.key is None):
            return above.__get__(instance, owner)
        try:
            check_read(instance, state, self.key, keeper_of(state))
            return above.__get__(instance, owner)
        except PurposeGuardError as error:
            report_refusal(error)  # Pydantic gives it to its caller only as text.
            raise


def _make_checked_class(cls: type, mixin: type) -> type:
    return type(f"Asking{cls.__name__}", (mixin, cls), {"__slots__": (), "inherit_cache": True})


_ATTRIBUTE: Final = _make_checked_class(InstrumentedAttribute, _CheckedAttribute)


class Attributes:
    """The attributes of mapped classes, changed in place so that each read is checked."""

    def __init__(self, catalogue: MappedTables) -> None:
        self._catalogue = catalogue
        self._attribute_counts: weakref.WeakKeyDictionary[Mapper[Any], int] = weakref.WeakKeyDictionary()
        """By class, the number of its attributes when these were changed."""
        self._listening: weakref.WeakSet[Mapper[Any]] = weakref.WeakSet()
        self.token: Final = uuid.uuid4().hex
        """The identification of the engine in pickled objects."""
        self._requirements: weakref.WeakKeyDictionary[Mapper[Any], dict[str, tuple[object, Requirements]]]
        self._requirements = weakref.WeakKeyDictionary()

    def knows(self, mapper: Mapper[Any]) -> bool:
        """Return True if a class is mapped to a table of the catalogue, or to a query of such a table."""
        return mapper in self._attribute_counts or _is_in_catalogue(self._catalogue, mapper)

    def get_requirements(self, watch: Watch, mapper: Mapper[Any], key: str) -> Requirements:
        """Return the columns that reading an attribute uses, cached as long as the tags stay the same."""
        stamp = self._catalogue.current_stamp()
        cache = self._requirements.setdefault(mapper, {})
        cached = cache.get(key)
        if cached is not None:
            cached_stamp, requirements = cached
            if cached_stamp is stamp:
                return requirements
        requirements = compute_requirements(self._catalogue, watch.decider, mapper.get_property(key))
        cache[key] = (stamp, requirements)
        return requirements

    def ask(self, watch: Watch) -> None:
        """Make the attributes of all classes in the catalogue check reads, including recently mapped classes."""
        for mapper in iter_mappers():
            manager: Mapping[str, Any] = mapper.class_manager
            if self._attribute_counts.get(mapper) == len(manager):
                continue
            if not _is_in_catalogue(self._catalogue, mapper):
                continue
            if mapper not in self._listening:
                unpickle = functools.partial(_unpickle, weakref.ref(watch))
                event.listen(mapper.class_, "unpickle", unpickle, raw=True)
                self._listening.add(mapper)
            if mapper.configured:  # Before that nothing is loaded, and attributes are incomplete.
                check_reads(mapper)
                self._attribute_counts[mapper] = len(manager)


def check_reads(mapper: Mapper[Any]) -> None:
    """Make a mapped class check each read of its objects, also by pickling. Repeat it for new attributes."""
    manager: Any = mapper.class_manager
    for attribute in manager.values():
        _check_attribute_reads(mapper, attribute)
        _load_one_by_one(mapper, attribute)
    guard_dict(mapper.class_, OBJECT_CHECKS)
    if not isinstance(manager.expired_attribute_loader, ExpiredLoader):
        manager.expired_attribute_loader = ExpiredLoader(manager.expired_attribute_loader)
        event.listen(mapper.class_, "pickle", _pickle, raw=True)


def _load_one_by_one(mapper: Mapper[Any], attribute: Any) -> None:
    """Load a column attribute by itself if it may not be used. Before mappers are configured it has no `impl`."""
    implementation = getattr(attribute, "impl", None)
    # The public `mapper.attrs` would configure the mapper.
    if implementation is None or not isinstance(mapper._props.get(attribute.key), ColumnProperty):
        return
    if not isinstance(implementation, LoadsOneByOne):
        implementation.__class__ = _make_checked_class(type(implementation), LoadsOneByOne)


def _check_attribute_reads(mapper: Mapper[Any], attribute: Any) -> None:
    """Make an attribute check each read, unless it does already."""
    kind = type(attribute)
    if issubclass(kind, (_CheckedAttribute, _CheckedComposite)):
        return
    if issubclass(kind, InstrumentedAttribute):
        attribute.__class__ = (
            _ATTRIBUTE if kind is InstrumentedAttribute else _make_checked_class(kind, _CheckedAttribute)
        )
    elif isinstance(mapper._props.get(attribute.key), CompositeProperty):
        attribute.__class__ = _make_checked_class(kind, _CheckedComposite)


def _is_in_catalogue(catalogue: MappedTables, mapper: Mapper[Any]) -> bool:
    """Return True if a class is mapped to a table of the catalogue, or to a query of such a table."""
    for selectable in (*mapper.tables, *visitors.iterate(mapper.persist_selectable)):
        if isinstance(selectable, TableClause) and catalogue.knows(selectable.fullname):
            return True
    return False


# ---- pickles ---------------------------------------------------------------------------------------------------------


class _Courier:
    """The keeper of an object in a deep copy, and in a pickle the tokens of the engines that it was loaded from."""

    def __init__(self, tokens: Iterable[str], keeper: Keeper | None = None) -> None:
        self.tokens = frozenset(tokens)
        self.keeper = keeper

    def __deepcopy__(self, _: Any) -> _Courier:
        return self

    def __reduce__(self) -> Any:
        return _Courier, (sorted(self.tokens),)

    def knows(self, watch: Watch) -> bool:
        """Return True if the object was loaded from this engine."""
        return watch.attributes.token in self.tokens


def _pickle(state: Any, parts: dict[str, Any]) -> None:
    """Check each attribute of an object that is pickled or copied deeply."""
    instance = state.obj()
    keeper = keeper_of(state)
    if instance is None or (keeper is None and state.key is None):
        return
    if not OBJECT_CHECKS.is_current(instance, state):
        OBJECT_CHECKS.read_all(instance, state)
    for key in list_replaced(state):
        check_columns(state, key)
    own = own_keeper(state, keeper)
    carried = own.copy() if own is not None else keeper
    tokens = [entry.watch.attributes.token for entry in list_entries(state, keeper)]
    parts[KEEPER] = _Courier(tokens, carried)


def _unpickle(reference: weakref.ref[Watch], state: Any, parts: dict[str, Any]) -> None:
    """Attach a keeper to an unpickled object. It is called for each engine that knows the class.

    In another process it is unknown which engine the object is from, so all engines check it.
    """
    courier: _Courier | None = parts.get(KEEPER)
    watch = reference()
    if courier is None or watch is None:
        return
    watch.attributes.ask(watch)  # It may be the first object of its class in this process.
    if courier.keeper is not None:
        state.purposeguard_keeper = courier.keeper
        return
    keeper = keeper_of(state)
    entries = keeper.entries if keeper is not None else ()
    if courier.knows(watch):
        entries = tuple(entry for entry in entries if courier.knows(entry.watch))
    elif any(courier.knows(entry.watch) for entry in entries):
        return
    state.purposeguard_keeper = Keeper((*entries, LoadedPurpose(watch)), NO_SESSION)
