"""Objects of guarded sessions: each attribute that is read asks whether what was loaded is for the purpose under way.

A `Keeper` says for which purpose a session has what it has loaded; objects that leave their session keep a copy of it.
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
from purposeguard.runtime.use import Use
from purposeguard.values.plan import RAW_DICT
from purposeguard.values.pydantic import report_refusal

_KEEPER: Final = "purposeguard_keeper"
"""Under which name the state of an object has the keeper of what was loaded."""


_FORGOTTEN: Final = "purposeguard_forgotten"
"""The name under which the state of an object has the attributes that its session forgot under another purpose."""


class Watch(Protocol):
    """What checks the statements of one engine."""

    decider: Decider
    catalogue: MappedTables
    attributes: Attributes

    def observes(self, use: Use[Any] | None) -> bool:
        """Return True if a denial under this use is only observed."""
        ...


class Kept:
    """The purpose for which a session loaded what it holds from one engine; None for no purpose."""

    __slots__ = ("innermost", "purpose", "use", "watch")

    def __init__(self, watch: Watch, use: Use[Any] | None = None, purpose: object = None) -> None:
        self.watch = watch
        self.innermost: Callable[[], Use[Any]] = watch.decider.engine.innermost
        self.use = use
        self.purpose = purpose

    def present(self) -> Use[Any] | None:
        """Return the use under way here, if any."""
        use: Use[Any] = self.watch.decider.engine.ambient()
        return use if use._is_owner_running() else None

    def holds(self) -> bool:
        """Return True if it is for the purpose under way here."""
        use = self.present()
        return (use is not None and use is self.use) or self.purpose == self._purpose(use)

    def moves(self) -> bool:
        """Set the use under way as its own; return True if the purpose changed.

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
    """The purposes for which a session loaded what it holds, by engine.

    `innermost` and `use` serve the fast path of a session with one engine; `session_id` is that of the objects that the
    keeper speaks for.
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
        """Return the entry of an engine; made if there is none."""
        kept = next((entry for entry in self.kept if entry.watch is watch), None)
        if kept is None:
            kept = Kept(watch)
            self.kept = (*self.kept, kept)
            kept.moves()
            self._hurry()
        return kept

    def about(self, mapper: Mapper[Any]) -> list[Kept]:
        """Return the entries of the engines that know a class."""
        return [entry for entry in self.kept if entry.watch.attributes.knows(mapper)]

    def moves(self) -> bool:
        """Set the uses under way as those of everything loaded; return True if a purpose changed."""
        moved = [entry.moves() for entry in self.kept]
        self._hurry()
        return any(moved)

    def frozen(self, session_id: int | None = None) -> Keeper:
        """Return a copy of the present state, for objects that leave the session."""
        return Keeper(tuple(Kept(entry.watch, entry.use, entry.purpose) for entry in self.kept), session_id)

    def keep(self, states: Iterable[Any]) -> None:
        """From now on objects ask this keeper, wherever they are."""
        for state in states:
            state.purposeguard_keeper = self


def _nobody() -> object:
    """In place of the use under way while the session has used no engine: it equals no use."""
    return _NOBODY


_NOBODY: Final = object()


NO_SESSION: Final = -1
"""In the place of a session's id: the keeper speaks for no object any more, and each attribute is decided."""


def keeper_of(state: Any) -> Keeper | None:
    """Return the keeper of an object that has left its session."""
    keeper: Keeper | None = getattr(state, _KEEPER, None)
    return keeper


# ---- attributes that ask ---------------------------------------------------------------------------------------------


class _Asking:
    """Mixed in before the class of an attribute."""

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
            and keeper.use._is_ambient_here()
            and self.key in values
            and self.impl.supports_population
            and state.obj() is instance
        ):
            return values[self.key]  # as SQLAlchemy does it
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
    """The same for a composite attribute, which caches its value."""

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
    """Mixed in before the class of a column attribute's implementation.

    All expired attributes are loaded together, except those that the purpose may not use. Where one of these is read,
    it is loaded by itself, so that its own statement is refused with its own error.
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
    """Makes the attributes of mapped classes ask, where they stand: whoever holds one holds one that asks."""

    def __init__(self, catalogue: MappedTables) -> None:
        self._catalogue = catalogue
        self._known: weakref.WeakKeyDictionary[Mapper[Any], int] = weakref.WeakKeyDictionary()
        self._listening: weakref.WeakSet[Mapper[Any]] = weakref.WeakSet()
        self.token: Final = uuid.uuid4().hex
        """Tells the engine of a pickled object from others."""
        self._needed: weakref.WeakKeyDictionary[Mapper[Any], dict[str, tuple[object, Needed]]]
        self._needed = weakref.WeakKeyDictionary()

    def knows(self, mapper: Mapper[Any]) -> bool:
        """Return True if a class is mapped to a table of the catalogue, or to a query of one."""
        return mapper in self._known or _knows(self._catalogue, mapper)

    def get_requirements(self, watch: Watch, mapper: Mapper[Any], key: str) -> Needed:
        """What it takes to read an attribute; worked out once while the tags stay as they are."""
        stamp = self._catalogue.current_stamp()
        known = self._needed.setdefault(mapper, {})
        entry = known.get(key)
        if entry is None or entry[0] is not stamp:
            entry = known[key] = (stamp, compute_requirements(watch, mapper.get_property(key)))
        return entry[1]

    def ask(self, watch: Watch) -> None:
        """Make the attributes of all classes in the catalogue ask, those mapped since the last call too."""
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
    """Check whoever reads, pickles or dumps objects of a mapped class. Again, it reaches attributes that are new."""
    manager: Any = mapper.class_manager
    for attribute in manager.values():
        _make_ask(mapper, attribute)
        _load_one_by_one(mapper, attribute)
    guard_dict(mapper.class_, _CHECKS)
    if not isinstance(manager.expired_attribute_loader, _Expired):
        manager.expired_attribute_loader = _Expired(manager.expired_attribute_loader)
        event.listen(mapper.class_, "pickle", _pickle, raw=True)


def _load_one_by_one(mapper: Mapper[Any], attribute: Any) -> None:
    """Load a column attribute by itself where it may not be used. Before mappers are configured it has no `impl`."""
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


# ---- asking ----------------------------------------------------------------------------------------------------------


class Needed(NamedTuple):
    """What it takes to read an attribute: columns of tables; and `rows`, where each is decided by itself."""

    tables: Mapping[str, tuple[Columns, tuple[str, ...]]]
    rows: bool


def compute_requirements(watch: Watch, prop: Any) -> Needed:
    """What it takes to read what an attribute has loaded.

    Raises:
        UnlabelledData: it is of a column without a tag.
    """
    tables: dict[str, tuple[Columns, tuple[str, ...]]] = {}
    rows = False
    expressions: list[Any] = []
    if isinstance(prop, RelationshipProperty):
        parts = _keys_of(prop)
        rows = any(asks_rows(watch, table) for table in prop.mapper.tables)
        finding = (prop.primaryjoin, prop.secondaryjoin, *(prop.order_by or ()))  # as where it is loaded
        expressions = [column for one in finding if one is not None for column in _columns_in(one)]
    else:
        parts = list(prop.props) if isinstance(prop, CompositeProperty) else [prop]
    expressions += [column for part in parts for column in getattr(part, "columns", ())]
    for expression in dict.fromkeys(expressions):
        bases = _columns_in(expression)
        rows = rows or not bases  # what it is made of is unknown
        for column in bases:
            if isinstance(column.type, SealedType):
                continue  # its values stay sealed
            name, columns = watch.catalogue.find(column.table)
            tag = columns.get(column.name)
            if tag is None or tag.is_personal:
                _, names = tables.get(name, (columns, ()))
                tables[name] = (columns, (*names, column.name))
                rows = rows or (tag is not None and watch.decider.asks_rows(columns, {column.name: tag}))
    return Needed(tables, rows)


def _keys_of(prop: RelationshipProperty[Any]) -> list[Any]:
    """Return the attributes that the keys of a mapped collection come from; all, if a function makes the keys."""
    collection: Any = prop.collection_class() if prop.collection_class is not None else None
    if not isinstance(collection, Mapping):
        return []
    name: Any = getattr(getattr(collection, "keyfunc", None), "attr_name", None)
    known = prop.mapper.column_attrs
    return [known[name]] if name in known else list(known)


def _columns_in(expression: Any) -> list[Any]:
    """Return the columns of tables in an expression, also through subqueries and aliases."""
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
    """Return True if rows of a table are decided one by one."""
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
    """Decide about a value of which it is not known for which purpose it was loaded.

    A shallow copy shares the state of the object, which does not say what the copy holds.

    Raises:
        PurposeMissing, PurposeViolation: it may not be used.
        UnlabelledData: its row is to be asked for again.
    """
    for kept in _entries_of(state, keeper):
        _decide(kept.watch, kept.watch.attributes.get_requirements(kept.watch, state.mapper, key), detached=True)


def _decide_columns(state: Any, key: str) -> None:
    """Decide about the columns of an attribute, not about the row.

    Raises:
        PurposeMissing, PurposeViolation: they may not be used.
    """
    for kept in _entries_of(state, keeper_of(state)):
        needed = kept.watch.attributes.get_requirements(kept.watch, state.mapper, key)
        _decide(kept.watch, needed._replace(rows=False))


def _own_keeper(state: Any, keeper: Keeper | None) -> Keeper | None:
    """Return the keeper of the session that an object is in. `keeper` is that of the object."""
    # A deleted object is not in the session's map: what it holds stays as it was when its deletion was flushed.
    if state.was_deleted and keeper is not None:
        return None
    own: Keeper | None = getattr(state.session, "_purposeguard", None)
    return own


def _entries_of(state: Any, keeper: Keeper | None) -> list[Kept]:
    speaks = _own_keeper(state, keeper) or keeper
    return speaks.about(state.mapper) if speaks is not None else []


def _ask(state: Any, key: str, keeper: Keeper | None) -> None:
    """Check that an attribute of an object may be read now.

    Raises:
        PurposeMissing, PurposeViolation: it holds what the purpose under way may not use.
        UnlabelledData: its row is to be asked for again, and the object has left its session.
    """
    own = _own_keeper(state, keeper)
    if state.key is None and own is not None:
        return  # what the application gave to it
    if _is_changed(state, key):
        return  # likewise
    if own is not None:
        for kept in own.about(state.mapper):
            _ask_attached(state, key, state.session, kept)
        own.session_id = state.session_id
        state.purposeguard_keeper = own
    elif keeper is not None:
        loaded = key in _values_of(state)
        frozen = keeper.session_id == state.session_id
        for kept in keeper.about(state.mapper):
            if not (loaded and frozen and kept.holds()):
                _decide(
                    kept.watch, kept.watch.attributes.get_requirements(kept.watch, state.mapper, key), detached=loaded
                )
                if not loaded:  # what is loaded now, into a deleted object, is not for the purpose of the rest
                    keeper.session_id = NO_SESSION


def _is_changed(state: Any, key: str) -> bool:
    """Return True if the application gave the value that an attribute has."""
    return key in state.committed_state and not (state.key is not None and _changes_in_place(state, key))


def _changes_in_place(state: Any, key: str) -> bool:
    """True if what the application changed may still hold what was loaded: a collection, or a value that is tracked."""
    impl = getattr(state.manager.get(key), "impl", None)
    return getattr(impl, "collection", False) or isinstance(_values_of(state).get(key), MutableBase)


def _ask_attached(state: Any, key: str, session: Any, kept: Kept) -> None:
    if key in _values_of(state):
        if not kept.holds():
            _decide(kept.watch, kept.watch.attributes.get_requirements(kept.watch, state.mapper, key))
            session._keep_apart()
        return
    # The statement that loads it is checked. But that may load other attributes, or, without `await`, nothing.
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
    """The checks of whoever reads the `__dict__` of an object: each entry is read as the attribute that it is."""

    def is_current(self, instance: Any, state: Any) -> bool:
        """Return True if everything that the object holds was loaded for the use under way."""
        keeper: Any = keeper_of(state)
        if keeper is None:
            return state.key is None
        return bool(
            keeper.innermost() is keeper.use
            and state.session_id == keeper.session_id
            and keeper.use._is_ambient_here()
            and state.obj() is instance
            and not _forgotten_of(state)
        )

    def find_hidden(self, instance: Any, state: Any, *, replaced: bool) -> frozenset[str]:
        """Return the attributes that the use under way may not read. `replaced`: nor what they held before a change."""
        keeper = keeper_of(state)
        own = _own_keeper(state, keeper)
        if state.key is None and own is not None:
            return _NONE
        keys = _loaded_keys(instance, state)
        if state.obj() is instance:
            keys = [key for key in keys if not _is_changed(state, key)]
        further = [*_forgotten_of(state), *(_replaced_keys(state) if replaced else ())]
        hidden: set[str] = set()
        for kept in _entries_of(state, keeper):
            use = kept.present()
            if kept.watch.observes(use):
                continue
            if not (_is_known(instance, state) and kept.holds()):
                hidden.update(key for key in keys if not _may_have(kept.watch, state.mapper, key, use, loaded=True))
            hidden.update(key for key in further if not _may_have(kept.watch, state.mapper, key, use, loaded=False))
        return frozenset(hidden)

    def read(self, instance: Any, state: Any, key: str, *, replaced: bool) -> Any:
        """Read one attribute. Raise the refusal if it may not be read."""
        if replaced:
            _decide_columns(state, key)
        return getattr(instance, key)

    def read_allowed(self, instance: Any, state: Any) -> dict[str, Any]:
        """Return what the object holds without the attributes that the use under way may not read.

        Attributes whose rows are decided one by one are read, which may load them anew.
        """
        keys = _loaded_keys(instance, state)
        denied: set[str] = set()
        for kept in _entries_of(state, keeper_of(state)):
            use = kept.present()
            if kept.watch.observes(use) or (_is_known(instance, state) and kept.holds()):
                continue
            for key in keys:
                if not _is_changed(state, key) and not _may_have(kept.watch, state.mapper, key, use, loaded=False):
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
    """Return True if it is known for which purpose an object holds what it holds."""
    keeper = keeper_of(state)
    own = _own_keeper(state, keeper)
    frozen = own is not None or (keeper is not None and state.session_id == keeper.session_id)
    return frozen and state.obj() is instance


class _Courier:
    """Carries the keeper of an object into a deep copy, and in a pickle which engines the object was loaded from."""

    def __init__(self, tokens: Iterable[str], keeper: Keeper | None = None) -> None:
        self.tokens = frozenset(tokens)
        self.keeper = keeper

    def __deepcopy__(self, _: Any) -> _Courier:
        return self

    def __reduce__(self) -> Any:
        return _Courier, (sorted(self.tokens),)

    def knows(self, watch: Watch) -> bool:
        """Return True if the object was loaded from this very engine."""
        return watch.attributes.token in self.tokens


def _pickle(state: Any, parts: dict[str, Any]) -> None:
    """Check an object that is pickled, or copied deeply, for each attribute that it holds."""
    instance = state.obj()
    keeper = keeper_of(state)
    if instance is None or (keeper is None and state.key is None):
        return
    if not _CHECKS.is_current(instance, state):
        _CHECKS.read_all(instance, state)
    for key in _replaced_keys(state):
        _decide_columns(state, key)
    own = _own_keeper(state, keeper)
    kept = own.frozen() if own is not None else keeper
    tokens = [entry.watch.attributes.token for entry in _entries_of(state, keeper)]
    parts[_KEEPER] = _Courier(tokens, kept)


def _unpickle(reference: weakref.ref[Watch], state: Any, parts: dict[str, Any]) -> None:
    """Check the attributes of an object that was pickled. Each engine that knows its class is told.

    In another process it is not known which of them the object is of, so all of them are asked.
    """
    courier: _Courier | None = parts.get(_KEEPER)
    watch = reference()
    if courier is None or watch is None:
        return
    watch.attributes.ask(watch)  # It may be the first object of its class in this process.
    if courier.keeper is not None:
        state.purposeguard_keeper = courier.keeper
        return
    known = keeper_of(state)
    kept = known.kept if known is not None else ()
    if courier.knows(watch):
        kept = tuple(entry for entry in kept if courier.knows(entry.watch))
    elif any(courier.knows(entry.watch) for entry in kept):
        return
    state.purposeguard_keeper = Keeper((*kept, Kept(watch)), NO_SESSION)


def _forgotten_of(state: Any) -> list[str]:
    """Return the attributes that were forgotten under another purpose, and not loaded since."""
    forgotten: frozenset[str] = getattr(state, _FORGOTTEN, _NONE)
    return sorted(forgotten.intersection(state.expired_attributes))


def _replaced_keys(state: Any) -> list[str]:
    """Return the attributes that the application changed, and whose values before that are kept."""
    return [key for key, value in state.committed_state.items() if not isinstance(value, LoaderCallableStatus)]


def _loaded_keys(instance: Any, state: Any) -> list[str]:
    values = getattr(instance, RAW_DICT)
    return [key for key in state.manager if key in values]


# ---- leaving out ---------------------------------------------------------------------------------------------------


def leave_out(session: Any, mapper: Mapper[Any]) -> frozenset[str]:
    """The attributes of a class that the use under way may not read; a key is not among them, as objects need it."""
    names: set[str] = set()
    for kept in session._purposeguard.about(mapper):
        use = kept.present()
        if kept.watch.observes(use):
            continue
        keys = {mapper.get_property_by_column(column).key for column in mapper.primary_key}
        for prop in mapper.column_attrs:
            if prop.key not in keys and not _may_have(kept.watch, mapper, prop.key, use, loaded=False):
                names.add(prop.key)
    return frozenset(names)


def _may_have(watch: Watch, mapper: Mapper[Any], key: str, use: Use[Any] | None, *, loaded: bool) -> bool:
    """True if a use may read an attribute; if it was `loaded` before, perhaps of rows that are not for this use."""
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
    """Loads the expired attributes of an object, all together, but for those that the purpose may not use."""

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
    """The row of an object is there, and the purpose under way may not use it."""


def must_be_gone(session: Any, state: Any) -> None:
    """Raise RowLeftOut if the row of an object that was not found is only left out."""
    if getattr(session, "_purposeguard", None) is None or state.key is None:
        return
    mapper = state.mapper
    is_it = (column == value for column, value in zip(mapper.primary_key, state.key[1], strict=True))
    count = select(func.count()).select_from(mapper.primary_key[0].table).where(*is_it)
    there = False
    with suppress(PurposeGuardError):  # a key that is personal itself
        there = bool(session.execute(count, bind_arguments={"mapper": mapper}).scalar())
    if there:
        raise RowLeftOut(
            state,
            f"the row of this `{mapper.class_.__name__}` is there, and may not be used for this purpose: its subject "
            "stopped it, or its source or its days do not allow it",
        )


class _ByItself:
    """Loads an attribute of an object that was left out when the others were loaded."""

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
    """Expires these attributes of an object, except values that the application set."""
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
    """Return True if an attribute is made of others, and no column of a table itself."""
    if not isinstance(prop, ColumnProperty):
        return False
    column = prop.columns[0]
    return not isinstance(column, Column) or not isinstance(getattr(column, "table", None), TableClause)
