"""Objects of guarded sessions. Each read of an attribute checks that its value may be used for the purpose under way.

A `Keeper` records for which purpose a session loaded its objects. Objects that leave their session keep a copy of it.
"""

from __future__ import annotations

import functools
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Column, event, func, select
from sqlalchemy.ext.mutable import MutableBase
from sqlalchemy.orm import ColumnProperty, CompositeProperty, InstrumentedAttribute, Mapper, RelationshipProperty
from sqlalchemy.orm.base import DEFAULT_STATE_ATTR as _STATE
from sqlalchemy.orm.base import LoaderCallableStatus, PassiveFlag
from sqlalchemy.orm.exc import DetachedInstanceError, ObjectDeletedError
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.selectable import TableClause

from purposeguard.adapters.enforcement import Decider
from purposeguard.adapters.sqlalchemy.object_dicts import guard_dict
from purposeguard.adapters.sqlalchemy.seals import SealedType
from purposeguard.adapters.sqlalchemy.tags import MappedTables, _all_mappers
from purposeguard.adapters.tags import Columns
from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.runtime.use import Use, is_ambient_here, is_owner_running
from purposeguard.values.plan import RAW_DICT
from purposeguard.values.pydantic import report_refusal

_KEEPER: Final = "purposeguard_keeper"
"""The attribute of an object's state that holds the keeper of its loaded values."""


_FORGOTTEN: Final = "purposeguard_forgotten"
"""The attribute of an object's state that holds the names that its session forgot under another purpose."""


class Watch(Protocol):
    """The checks of the statements of one engine."""

    decider: Decider
    catalogue: MappedTables
    attributes: Attributes

    def observes(self, use: Use[Any] | None) -> bool:
        """Return True if a denial under this use is only observed."""
        ...


class Kept:
    """The purpose for which a session loaded its objects from one engine; None for no purpose."""

    __slots__ = ("innermost", "purpose", "use", "watch")

    def __init__(self, watch: Watch, use: Use[Any] | None = None, purpose: object = None) -> None:
        self.watch = watch
        self.innermost: Callable[[], Use[Any]] = watch.decider.engine.innermost
        self.use = use
        self.purpose = purpose

    def present(self) -> Use[Any] | None:
        """Return the use under way here, if there is one."""
        use: Use[Any] = self.watch.decider.engine.ambient()
        return use if is_owner_running(use) else None

    def holds(self) -> bool:
        """Return True if the objects were loaded for the purpose under way here."""
        use = self.present()
        return (use is not None and use is self.use) or self.purpose == self._purpose(use)

    def moves(self) -> bool:
        """Take over the use under way here. Return True if the purpose changed.

        Outside any purpose nothing personal is loaded, so nothing changes, unless denials are only observed.
        """
        use = self.present()
        if use is self.use if use is not None else not self.watch.decider.engine.observing:
            return False
        self.use = use
        before, self.purpose = self.purpose, self._purpose(use)
        return self.purpose != before

    def _purpose(self, use: Use[Any] | None) -> object:
        if use is None:
            return None
        activity = use.activity
        stated = (activity.purpose, activity.channel, activity.conditions, activity.observing)
        return (*stated, self.watch.decider.engine.snapshot)


class Keeper:
    """The purposes for which a session loaded its objects, by engine.

    `innermost` and `use` serve the fast path of a session with one engine. `session_id` is the session of the objects
    to which the keeper applies.
    """

    __slots__ = ("innermost", "kept", "session_id", "use")

    def __init__(self, kept: tuple[Kept, ...] = (), session_id: int | None = None) -> None:
        self.kept = kept
        self.session_id = session_id
        self._hurry()

    def _hurry(self) -> None:
        self.use = self.kept[0].use if len(self.kept) == 1 else None
        self.innermost: Callable[[], object] = self.kept[0].innermost if self.kept else _nobody

    def of(self, watch: Watch) -> Kept:
        """Return the entry of an engine, which is added if there is none."""
        entry = next((entry for entry in self.kept if entry.watch is watch), None)
        if entry is None:
            entry = Kept(watch)
            self.kept = (*self.kept, entry)
            entry.moves()
            self._hurry()
        return entry

    def about(self, mapper: Mapper[Any]) -> list[Kept]:
        """Return the entries of the engines that know a class."""
        return [entry for entry in self.kept if entry.watch.attributes.knows(mapper)]

    def moves(self) -> bool:
        """Take over the uses under way for all engines. Return True if a purpose changed."""
        moved = [entry.moves() for entry in self.kept]
        self._hurry()
        return any(moved)

    def frozen(self, session_id: int | None = None) -> Keeper:
        """Return a copy of the present state, for objects that leave the session."""
        return Keeper(tuple(Kept(entry.watch, entry.use, entry.purpose) for entry in self.kept), session_id)

    def keep(self, states: Iterable[Any]) -> None:
        """Attach this keeper to objects, so that it applies to them wherever they are."""
        for state in states:
            state.purposeguard_keeper = self


def _nobody() -> object:
    """Return an object that equals no use, in place of the use under way while the session has used no engine."""
    return _NOBODY


_NOBODY: Final = object()


NO_SESSION: Final = -1
"""A session id for a keeper that no longer applies to any object, so that each attribute is decided."""


def keeper_of(state: Any) -> Keeper | None:
    """Return the keeper of an object that has left its session, if there is one."""
    keeper: Keeper | None = getattr(state, _KEEPER, None)
    return keeper


# ---- attributes that ask ---------------------------------------------------------------------------------------------


class _Asking:
    """A mixin for the class of an attribute that checks each read."""

    __slots__ = ()
    key: str
    impl: Any

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        values: Any = getattr(instance, RAW_DICT)
        state: Any = values.get(_STATE)
        keeper: Any = getattr(state, _KEEPER, None)
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
            _ask_of(instance, state, self.key, keeper)
            return above.__get__(instance, owner)
        except PurposeGuardError as error:
            report_refusal(error)  # Pydantic gives it to its caller only as text.
            raise


class _AskingComposed:
    """A mixin for a composite attribute, which caches its value, that checks each read."""

    __slots__ = ()
    key: str

    def __get__(self, instance: Any, owner: Any) -> Any:
        state: Any = getattr(instance, _STATE, None)
        above: Any = super()
        if state is None or (keeper_of(state) is None and state.key is None):
            return above.__get__(instance, owner)
        try:
            _ask_of(instance, state, self.key, keeper_of(state))
            return above.__get__(instance, owner)
        except PurposeGuardError as error:
            report_refusal(error)  # Pydantic gives it to its caller only as text.
            raise


class _LoadingOneByOne:
    """A mixin for the implementation of a column attribute.

    All expired attributes are loaded together, except those that the purpose may not use. If such an attribute is read,
    it is loaded by a statement of its own, which is refused with its own error.
    """

    __slots__ = ()

    def _fire_loader_callables(self, state: Any, key: str, passive: Any) -> Any:
        above: Any = super()
        value = above._fire_loader_callables(state, key, passive)
        if value is LoaderCallableStatus.ATTR_WAS_SET and key not in state.dict:
            load = state.callables.get(key)
            if isinstance(load, _ByItself):
                return load(state, passive)
        return value


def _asking(cls: type, mixin: type) -> type:
    return type(f"Asking{cls.__name__}", (mixin, cls), {"__slots__": (), "inherit_cache": True})


_ATTRIBUTE: Final = _asking(InstrumentedAttribute, _Asking)


class Attributes:
    """The attributes of mapped classes, changed in place so that each read is checked."""

    def __init__(self, catalogue: MappedTables) -> None:
        self._catalogue = catalogue
        self._known: weakref.WeakKeyDictionary[Mapper[Any], int] = weakref.WeakKeyDictionary()
        self._listening: weakref.WeakSet[Mapper[Any]] = weakref.WeakSet()
        self.token: Final = uuid.uuid4().hex
        """The identification of the engine in pickled objects."""
        self._needed: weakref.WeakKeyDictionary[Mapper[Any], dict[str, tuple[object, Needed]]]
        self._needed = weakref.WeakKeyDictionary()

    def knows(self, mapper: Mapper[Any]) -> bool:
        """Return True if a class is mapped to a table of the catalogue, or to a query of such a table."""
        return mapper in self._known or _knows(self._catalogue, mapper)

    def get_requirements(self, watch: Watch, mapper: Mapper[Any], key: str) -> Needed:
        """Return the columns that reading an attribute uses, cached as long as the tags stay the same."""
        stamp = self._catalogue.current_stamp()
        entries = self._needed.setdefault(mapper, {})
        entry = entries.get(key)
        if entry is None or entry[0] is not stamp:
            entry = entries[key] = (stamp, compute_requirements(watch, mapper.get_property(key)))
        return entry[1]

    def ask(self, watch: Watch) -> None:
        """Make the attributes of all classes in the catalogue check reads, including recently mapped classes."""
        for mapper in _all_mappers():
            manager: Mapping[str, Any] = mapper.class_manager
            if self._known.get(mapper) == len(manager):
                continue
            if not _knows(self._catalogue, mapper):
                continue
            if mapper not in self._listening:
                unpickle = functools.partial(_unpickle, weakref.ref(watch))
                event.listen(mapper.class_, "unpickle", unpickle, raw=True)
                self._listening.add(mapper)
            if mapper.configured:  # Before that nothing is loaded, and attributes are incomplete.
                make_ask(mapper)
                self._known[mapper] = len(manager)


def make_ask(mapper: Mapper[Any]) -> None:
    """Check whoever reads, pickles or dumps objects of a mapped class. A second call reaches new attributes."""
    manager: Any = mapper.class_manager
    for attribute in manager.values():
        _make_ask(mapper, attribute)
        _load_one_by_one(mapper, attribute)
    guard_dict(mapper.class_, _CHECKS)
    if not isinstance(manager.expired_attribute_loader, _Expired):
        manager.expired_attribute_loader = _Expired(manager.expired_attribute_loader)
        event.listen(mapper.class_, "pickle", _pickle, raw=True)


def _load_one_by_one(mapper: Mapper[Any], attribute: Any) -> None:
    """Load a column attribute by itself if it may not be used. Before mappers are configured it has no `impl`."""
    implementation = getattr(attribute, "impl", None)
    if implementation is None or not isinstance(mapper._props.get(attribute.key), ColumnProperty):
        return
    if not isinstance(implementation, _LoadingOneByOne):
        implementation.__class__ = _asking(type(implementation), _LoadingOneByOne)


def _make_ask(mapper: Mapper[Any], attribute: Any) -> None:
    kind = type(attribute)
    if issubclass(kind, (_Asking, _AskingComposed)):
        return
    if issubclass(kind, InstrumentedAttribute):
        attribute.__class__ = _ATTRIBUTE if kind is InstrumentedAttribute else _asking(kind, _Asking)
    elif isinstance(mapper._props.get(attribute.key), CompositeProperty):
        attribute.__class__ = _asking(kind, _AskingComposed)


# ---- decisions -------------------------------------------------------------------------------------------------------


class Needed(NamedTuple):
    """The columns that reading an attribute uses. `rows` is True if its rows are decided one by one."""

    tables: Mapping[str, tuple[Columns, tuple[str, ...]]]
    rows: bool


def compute_requirements(watch: Watch, prop: Any) -> Needed:
    """Return the columns that reading a loaded attribute uses.

    Raises:
        UnlabelledData: a column carries no tag.
    """
    tables: dict[str, tuple[Columns, tuple[str, ...]]] = {}
    rows = False
    expressions: list[Any] = []
    if isinstance(prop, RelationshipProperty):
        parts = _keys_of(prop)
        rows = any(asks_rows(watch, table) for table in prop.mapper.tables)
        # These are the expressions by which the relationship is loaded.
        for clause in (prop.primaryjoin, prop.secondaryjoin, *(prop.order_by or ())):
            if clause is not None:
                expressions += _columns_in(clause)
    else:
        parts = list(prop.props) if isinstance(prop, CompositeProperty) else [prop]
    expressions += [column for part in parts for column in getattr(part, "columns", ())]
    for expression in dict.fromkeys(expressions):
        bases = _columns_in(expression)
        rows = rows or not bases  # The columns of the expression are unknown.
        for column in bases:
            if isinstance(column.type, SealedType):
                continue  # The values stay sealed.
            name, columns = watch.catalogue.find(column.table)
            tag = columns.get(column.name)
            if tag is None or tag.is_personal:
                _, names = tables.get(name, (columns, ()))
                tables[name] = (columns, (*names, column.name))
                rows = rows or (tag is not None and watch.decider.asks_rows(columns, {column.name: tag}))
    return Needed(tables, rows)


def _keys_of(prop: RelationshipProperty[Any]) -> list[Any]:
    """Return the attributes that the keys of a mapped collection come from; all if a function makes the keys."""
    collection: Any = prop.collection_class() if prop.collection_class is not None else None
    if not isinstance(collection, Mapping):
        return []
    name: Any = getattr(getattr(collection, "keyfunc", None), "attr_name", None)
    attributes = prop.mapper.column_attrs
    return [attributes[name]] if name in attributes else list(attributes)


def _columns_in(expression: Any) -> list[Any]:
    """Return the table columns in an expression, also through subqueries and aliases."""
    columns: list[Any] = []
    for element in visitors.iterate(expression):
        if not isinstance(element, ColumnClause):
            continue
        table: Any = element.table
        if isinstance(table, TableClause):
            columns.append(element)
        else:
            columns += [column for base in element.base_columns if base is not element for column in _columns_in(base)]
    return columns


def asks_rows(watch: Watch, table: Any) -> bool:
    """Return True if the rows of a table are decided one by one."""
    _, columns = watch.catalogue.find(table)
    return watch.decider.asks_rows(columns, columns)


def _values_of(state: Any) -> dict[str, Any]:
    instance = state.obj()
    values: dict[str, Any] = {} if instance is None else getattr(instance, RAW_DICT)
    return values


def _ask_of(instance: Any, state: Any, key: str, keeper: Keeper | None) -> None:
    """Check that an attribute of an object may be read now.

    Raises:
        PurposeMissing, PurposeViolation, UnlabelledData: see `_ask`.
    """
    if state.obj() is instance:
        _ask(state, key, keeper)
    else:
        _decide_loaded(state, key, keeper)


def _decide_loaded(state: Any, key: str, keeper: Keeper | None) -> None:
    """Decide on a value if it is unknown for which purpose it was loaded.

    A shallow copy shares the state of the object, which does not describe the values of the copy.

    Raises:
        PurposeMissing, PurposeViolation: the value may not be used.
        UnlabelledData: its row must be loaded again.
    """
    for entry in _entries_of(state, keeper):
        _decide(entry.watch, entry.watch.attributes.get_requirements(entry.watch, state.mapper, key), detached=True)


def _decide_columns(state: Any, key: str) -> None:
    """Decide on the columns of an attribute, but not on the row.

    Raises:
        PurposeMissing, PurposeViolation: the columns may not be used.
    """
    for entry in _entries_of(state, keeper_of(state)):
        needed = entry.watch.attributes.get_requirements(entry.watch, state.mapper, key)
        _decide(entry.watch, needed._replace(rows=False))


def _own_keeper(state: Any, keeper: Keeper | None) -> Keeper | None:
    """Return the keeper of the session that an object is in. `keeper` is that of the object itself."""
    # A deleted object is not in the session's map. Its values stay as they were when its deletion was flushed.
    if state.was_deleted and keeper is not None:
        return None
    own: Keeper | None = getattr(state.session, "_purposeguard", None)
    return own


def _entries_of(state: Any, keeper: Keeper | None) -> list[Kept]:
    effective_keeper = _own_keeper(state, keeper) or keeper
    return effective_keeper.about(state.mapper) if effective_keeper is not None else []


def _ask(state: Any, key: str, keeper: Keeper | None) -> None:
    """Check that an attribute of an object may be read now.

    Raises:
        PurposeMissing, PurposeViolation: the purpose under way may not use its value.
        UnlabelledData: its row must be loaded again, and the object has left its session.
    """
    own = _own_keeper(state, keeper)
    if state.key is None and own is not None:
        return  # The application made the object.
    if _is_changed(state, key):
        return  # The application set the value.
    if own is not None:
        for entry in own.about(state.mapper):
            _ask_attached(state, key, state.session, entry)
        own.session_id = state.session_id
        state.purposeguard_keeper = own
    elif keeper is not None:
        loaded = key in _values_of(state)
        frozen = keeper.session_id == state.session_id
        for entry in keeper.about(state.mapper):
            if not (loaded and frozen and entry.holds()):
                _decide(
                    entry.watch,
                    entry.watch.attributes.get_requirements(entry.watch, state.mapper, key),
                    detached=loaded,
                )
                if not loaded:  # The value is loaded now into a deleted object, for another purpose than the rest.
                    keeper.session_id = NO_SESSION


def _is_changed(state: Any, key: str) -> bool:
    """Return True if the application set the value of an attribute."""
    return key in state.committed_state and not (state.key is not None and _changes_in_place(state, key))


def _changes_in_place(state: Any, key: str) -> bool:
    """Return True if a changed value may still hold loaded data: a collection, or a value that tracks its changes."""
    impl = getattr(state.manager.get(key), "impl", None)
    return getattr(impl, "collection", False) or isinstance(_values_of(state).get(key), MutableBase)


def _ask_attached(state: Any, key: str, session: Any, kept: Kept) -> None:
    if key in _values_of(state):
        if not kept.holds():
            _decide(kept.watch, kept.watch.attributes.get_requirements(kept.watch, state.mapper, key))
            session._keep_apart()
        return
    # The statement that loads the attribute is checked. But it may load others as well, or, without `await`, nothing.
    use = kept.present()
    if use is None or kept.watch.observes(use) or isinstance(state.mapper.get_property(key), RelationshipProperty):
        return
    tables, _ = kept.watch.attributes.get_requirements(kept.watch, state.mapper, key)
    if any(_explain_denial(kept.watch, tables, use)):
        _decide(kept.watch, Needed(tables, rows=False))


def _knows(catalogue: MappedTables, mapper: Mapper[Any]) -> bool:
    selectables: Iterable[Any] = (*mapper.tables, *visitors.iterate(mapper.persist_selectable))
    return any(
        catalogue.knows(selectable.fullname) for selectable in selectables if isinstance(selectable, TableClause)
    )


def _decide(watch: Watch, asked: Needed, *, detached: bool = False) -> None:
    if not asked.tables and not asked.rows:
        return
    decider = watch.decider
    use = decider.current_use("read of an object", asked.tables)
    decider.check_demand_under(use, decider.demand(asked.tables, frozenset(asked.tables)))
    if asked.rows and detached and not watch.observes(use):
        raise UnlabelledData(
            "an object was loaded for another purpose, and its row may be about somebody who stopped this one: load it "
            "anew, since it has left its session and cannot ask for its row again"
        )


# ---- reading a whole object ------------------------------------------------------------------------------------------


class _ObjectChecks:
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
            and not _forgotten_of(state)
        )

    def find_hidden(self, instance: Any, state: Any, *, replaced: bool) -> frozenset[str]:
        """Return the attributes that the use under way may not read.

        Args:
            instance: The object.
            state: Its state.
            replaced: True to include attributes whose values before a change may not be read.
        """
        keeper = keeper_of(state)
        own = _own_keeper(state, keeper)
        if state.key is None and own is not None:
            return _NONE
        keys = _loaded_keys(instance, state)
        if state.obj() is instance:
            keys = [key for key in keys if not _is_changed(state, key)]
        further = [*_forgotten_of(state), *(_replaced_keys(state) if replaced else ())]
        hidden: set[str] = set()
        for entry in _entries_of(state, keeper):
            use = entry.present()
            if entry.watch.observes(use):
                continue
            if not (_is_known(instance, state) and entry.holds()):
                hidden.update(key for key in keys if not _may_have(entry.watch, state.mapper, key, use, loaded=True))
            hidden.update(key for key in further if not _may_have(entry.watch, state.mapper, key, use, loaded=False))
        return frozenset(hidden)

    def read(self, instance: Any, state: Any, key: str, *, replaced: bool) -> Any:
        """Read one attribute. Raise the refusal if it may not be read."""
        if replaced:
            _decide_columns(state, key)
        return getattr(instance, key)

    def read_allowed(self, instance: Any, state: Any) -> dict[str, Any]:
        """Return the values of the object without the attributes that the use under way may not read.

        Attributes whose rows are decided one by one are read, which may load them anew.
        """
        keys = _loaded_keys(instance, state)
        denied: set[str] = set()
        for entry in _entries_of(state, keeper_of(state)):
            use = entry.present()
            if entry.watch.observes(use) or (_is_known(instance, state) and entry.holds()):
                continue
            for key in keys:
                if not _is_changed(state, key) and not _may_have(entry.watch, state.mapper, key, use, loaded=False):
                    denied.add(key)
        for key in keys:
            if key not in denied:
                getattr(instance, key)
        return {key: value for key, value in getattr(instance, RAW_DICT).items() if key not in denied}

    def read_all(self, instance: Any, state: Any) -> None:
        """Read each attribute that was loaded. Raise the first refusal."""
        keys = _loaded_keys(instance, state)
        try:
            for key in _forgotten_of(state):
                _decide_columns(state, key)
        except PurposeGuardError as error:
            report_refusal(error)
            raise
        for key in keys:
            getattr(instance, key)


_CHECKS: Final = _ObjectChecks()


def _is_known(instance: Any, state: Any) -> bool:
    """Return True if it is known for which purpose the values of an object were loaded."""
    keeper = keeper_of(state)
    own = _own_keeper(state, keeper)
    frozen = own is not None or (keeper is not None and state.session_id == keeper.session_id)
    return frozen and state.obj() is instance


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
    if not _CHECKS.is_current(instance, state):
        _CHECKS.read_all(instance, state)
    for key in _replaced_keys(state):
        _decide_columns(state, key)
    own = _own_keeper(state, keeper)
    carried = own.frozen() if own is not None else keeper
    tokens = [entry.watch.attributes.token for entry in _entries_of(state, keeper)]
    parts[_KEEPER] = _Courier(tokens, carried)


def _unpickle(reference: weakref.ref[Watch], state: Any, parts: dict[str, Any]) -> None:
    """Attach a keeper to an unpickled object. It is called for each engine that knows the class.

    In another process it is unknown which engine the object is from, so all engines check it.
    """
    courier: _Courier | None = parts.get(_KEEPER)
    watch = reference()
    if courier is None or watch is None:
        return
    watch.attributes.ask(watch)  # It may be the first object of its class in this process.
    if courier.keeper is not None:
        state.purposeguard_keeper = courier.keeper
        return
    keeper = keeper_of(state)
    entries = keeper.kept if keeper is not None else ()
    if courier.knows(watch):
        entries = tuple(entry for entry in entries if courier.knows(entry.watch))
    elif any(courier.knows(entry.watch) for entry in entries):
        return
    state.purposeguard_keeper = Keeper((*entries, Kept(watch)), NO_SESSION)


def _forgotten_of(state: Any) -> list[str]:
    """Return the attributes that were forgotten under another purpose and not loaded since."""
    forgotten: frozenset[str] = getattr(state, _FORGOTTEN, _NONE)
    return sorted(forgotten.intersection(state.expired_attributes))


def _replaced_keys(state: Any) -> list[str]:
    """Return the attributes that the application changed and whose previous values are kept."""
    return [key for key, value in state.committed_state.items() if not isinstance(value, LoaderCallableStatus)]


def _loaded_keys(instance: Any, state: Any) -> list[str]:
    values = getattr(instance, RAW_DICT)
    return [key for key in state.manager if key in values]


# ---- leaving out ---------------------------------------------------------------------------------------------------


def leave_out(session: Any, mapper: Mapper[Any]) -> frozenset[str]:
    """Return the attributes of a class that the use under way may not read, except the key, which objects need."""
    names: set[str] = set()
    for entry in session._purposeguard.about(mapper):
        use = entry.present()
        if entry.watch.observes(use):
            continue
        keys = {mapper.get_property_by_column(column).key for column in mapper.primary_key}
        for prop in mapper.column_attrs:
            if prop.key not in keys and not _may_have(entry.watch, mapper, prop.key, use, loaded=False):
                names.add(prop.key)
    return frozenset(names)


def _may_have(watch: Watch, mapper: Mapper[Any], key: str, use: Use[Any] | None, *, loaded: bool) -> bool:
    """Return True if a use may read an attribute.

    If it was `loaded` before, its rows may not be for this use, so it may not be read if rows are decided one by one.
    """
    try:
        tables, rows = watch.attributes.get_requirements(watch, mapper, key)
        if use is None or (loaded and rows):
            return not (tables or (loaded and rows))
        return not any(_explain_denial(watch, tables, use))
    except UnlabelledData:
        return False


def _explain_denial(
    watch: Watch, tables: Mapping[str, tuple[Columns, tuple[str, ...]]], use: Use[Any]
) -> Iterator[bool]:
    return (
        bool(watch.decider.find_denied_columns(use, columns, names, name)) for name, (columns, names) in tables.items()
    )


class _Expired:
    """Loader of all expired attributes of an object together, except those that the purpose may not use."""

    def __init__(self, load: Callable[[Any, set[str], Any], None]) -> None:
        self._load: Final = load

    def __call__(self, state: Any, names: set[str], passive: Any) -> None:
        session = state.session
        denied = leave_out(session, state.mapper) if getattr(session, "_defers", False) else _NONE
        try:
            self._load(state, names - denied, passive)
        except ObjectDeletedError:
            must_be_gone(session, state)
            raise
        waiting = {name: _ByItself(name) for name in denied.intersection(names)}
        if waiting:
            state.callables = {**state.callables, **waiting}


_NONE: Final[frozenset[str]] = frozenset()


class RowLeftOut(ObjectDeletedError, PurposeGuardError):
    """The row of an object exists, and the purpose under way may not use it."""


def must_be_gone(session: Any, state: Any) -> None:
    """Raise RowLeftOut if the row of an object was not found because it is left out."""
    if getattr(session, "_purposeguard", None) is None or state.key is None:
        return
    mapper = state.mapper
    is_it = (column == value for column, value in zip(mapper.primary_key, state.key[1], strict=True))
    count = select(func.count()).select_from(mapper.primary_key[0].table).where(*is_it)
    there = False
    with suppress(PurposeGuardError):  # The key may be personal itself.
        there = bool(session.execute(count, bind_arguments={"mapper": mapper}).scalar())
    if there:
        raise RowLeftOut(
            state,
            f"the row of this `{mapper.class_.__name__}` is there, and may not be used for this purpose: its subject "
            "stopped it, or its source or its days do not allow it",
        )


class _ByItself:
    """Loader of an attribute of an object that was left out when the others were loaded."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, state: Any, passive: Any = PassiveFlag.PASSIVE_OFF) -> Any:
        if not passive & PassiveFlag.SQL_OK:
            return LoaderCallableStatus.PASSIVE_NO_RESULT
        if state.session is None:
            raise DetachedInstanceError(f"`{self.key}` was left out when the object was loaded, and it has no session")
        state.session.refresh(state.obj(), [self.key])
        return LoaderCallableStatus.ATTR_WAS_SET


# ---- forgetting ------------------------------------------------------------------------------------------------------


def forget(state: Any, names: frozenset[str]) -> None:
    """Expire attributes of an object, except values that the application set."""
    loaded = names.intersection(state.dict) - set(state.committed_state)
    if loaded:
        state._expire_attributes(state.dict, loaded)
        state.purposeguard_forgotten = loaded.union(_forgotten_of(state))


def forgotten_of(watch: Watch, mapper: Mapper[Any], use: Use[Any] | None) -> frozenset[str]:
    """Return the attributes of loaded objects that a use may not read."""
    return frozenset(
        prop.key
        for prop in mapper.iterate_properties
        if _is_computed(prop)
        or (
            isinstance(prop, (RelationshipProperty, ColumnProperty))
            and not _may_have(watch, mapper, prop.key, use, loaded=True)
        )
    )


def _is_computed(prop: Any) -> bool:
    """Return True if an attribute is computed, and not a column of a table itself."""
    if not isinstance(prop, ColumnProperty):
        return False
    column = prop.columns[0]
    return not isinstance(column, Column) or not isinstance(getattr(column, "table", None), TableClause)
