"""Objects of guarded sessions: each attribute that is read asks whether what was loaded is for the purpose under way.

A `Keeper` says for which purpose a session has what it has loaded; objects that leave their session keep a copy of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Column, func, select
from sqlalchemy.ext.mutable import MutableBase
from sqlalchemy.orm import ColumnProperty, CompositeProperty, InstrumentedAttribute, Mapper, RelationshipProperty
from sqlalchemy.orm.base import DEFAULT_STATE_ATTR as _STATE
from sqlalchemy.orm.base import LoaderCallableStatus, PassiveFlag
from sqlalchemy.orm.exc import DetachedInstanceError, ObjectDeletedError
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.selectable import TableClause

from purposeguard.adapters.enforcement import Decider
from purposeguard.adapters.sqlalchemy.seals import SealedType
from purposeguard.adapters.sqlalchemy.tags import Catalogue, _all_mappers
from purposeguard.adapters.tags import Columns
from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.runtime.use import Use

_KEEPER: Final = "purposeguard_keeper"
"""Under which name the state of an object has the keeper of what was loaded."""


class Watch(Protocol):
    """What checks the statements of one engine."""

    decider: Decider
    catalogue: Catalogue
    attributes: Attributes

    def observes(self, use: Use[Any] | None) -> bool:
        """True if a denial under this use is only observed."""
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
        """The use under way here, if any."""
        use: Use[Any] = self.watch.decider.engine.ambient()
        return use if use._runs_here() else None

    def holds(self) -> bool:
        """True if it is for the purpose under way here."""
        use = self.present()
        return (use is not None and use is self.use) or self.purpose == self._purpose(use)

    def moves(self) -> bool:
        """Sets the use under way as its own; returns True if the purpose changed.

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
        """The entry of an engine; made if there is none."""
        kept = next((entry for entry in self.kept if entry.watch is watch), None)
        if kept is None:
            kept = Kept(watch)
            self.kept = (*self.kept, kept)
            kept.moves()
            self._hurry()
        return kept

    def about(self, mapper: Mapper[Any]) -> list[Kept]:
        """The entries of the engines that know a class."""
        return [entry for entry in self.kept if entry.watch.attributes.knows(mapper)]

    def moves(self) -> bool:
        """Sets the uses under way as those of everything loaded; returns True if a purpose changed."""
        moved = [entry.moves() for entry in self.kept]
        self._hurry()
        return any(moved)

    def frozen(self, session_id: int | None = None) -> Keeper:
        """A copy of the present state, for objects that leave the session."""
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
    """The keeper of an object that has left its session."""
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
        state: Any = getattr(instance, _STATE, None)
        values = vars(instance)
        keeper: Any = getattr(state, _KEEPER, None)
        if (
            keeper is not None
            and keeper.innermost() is keeper.use
            and state.session_id == keeper.session_id
            and keeper.use._is_ambient_here()
            and self.key in values
            and self.impl.supports_population
        ):
            return values[self.key]  # as SQLAlchemy does it
        # An object that the application made is not checked; SQLAlchemy refuses one without a state.
        if keeper is not None or (state is not None and state.key is not None):
            _ask(state, self.key, keeper)
        above: Any = super()
        return above.__get__(instance, owner)


class _AskingComposed:
    """The same for a composite attribute, which caches its value."""

    __slots__ = ()
    key: str

    def __get__(self, instance: Any, owner: Any) -> Any:
        state: Any = getattr(instance, _STATE, None)
        if state is not None and (keeper_of(state) is not None or state.key is not None):
            _ask(state, self.key, keeper_of(state))
        above: Any = super()
        return above.__get__(instance, owner)


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

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: weakref.WeakKeyDictionary[Mapper[Any], int] = weakref.WeakKeyDictionary()
        self._needed: weakref.WeakKeyDictionary[Mapper[Any], dict[str, tuple[object, Needed]]]
        self._needed = weakref.WeakKeyDictionary()

    def knows(self, mapper: Mapper[Any]) -> bool:
        """True if a class is mapped to a table of the catalogue, or to a query of one."""
        return mapper in self._known or _knows(self._catalogue, mapper)

    def needed(self, watch: Watch, mapper: Mapper[Any], key: str) -> Needed:
        """What it takes to read an attribute; worked out once while the tags stay as they are."""
        stamp = self._catalogue.refreshed()
        known = self._needed.setdefault(mapper, {})
        entry = known.get(key)
        if entry is None or entry[0] is not stamp:
            entry = known[key] = (stamp, needed(watch, mapper.get_property(key)))
        return entry[1]

    def ask(self) -> None:
        """Makes the attributes of all classes in the catalogue ask, those mapped since the last call too."""
        for mapper in _all_mappers():
            manager: Mapping[str, Any] = mapper.class_manager
            if self._known.get(mapper) == len(manager):
                continue
            if _knows(self._catalogue, mapper):
                for attribute in manager.values():
                    _make_ask(mapper, attribute)
                any_manager: Any = mapper.class_manager
                if not isinstance(any_manager.expired_attribute_loader, _Expired):
                    any_manager.expired_attribute_loader = _Expired(any_manager.expired_attribute_loader)
                self._known[mapper] = len(manager)


def _make_ask(mapper: Mapper[Any], attribute: Any) -> None:
    kind = type(attribute)
    if issubclass(kind, (_Asking, _AskingComposed)):
        return
    if issubclass(kind, InstrumentedAttribute):
        if isinstance(mapper._props.get(attribute.key), ColumnProperty):
            implementation = type(attribute.impl)
            if not issubclass(implementation, _LoadingOneByOne):
                attribute.impl.__class__ = _asking(implementation, _LoadingOneByOne)
        attribute.__class__ = _ATTRIBUTE if kind is InstrumentedAttribute else _asking(kind, _Asking)
    elif isinstance(mapper._props.get(attribute.key), CompositeProperty):
        attribute.__class__ = _asking(kind, _AskingComposed)


# ---- asking ----------------------------------------------------------------------------------------------------------


class Needed(NamedTuple):
    """What it takes to read an attribute: columns of tables; and `rows`, where each is decided by itself."""

    tables: Mapping[str, tuple[Columns, tuple[str, ...]]]
    rows: bool


def needed(watch: Watch, prop: Any) -> Needed:
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
    """The attributes that the keys of a mapped collection come from; all, if a function makes the keys."""
    collection: Any = prop.collection_class() if prop.collection_class is not None else None
    if not isinstance(collection, Mapping):
        return []
    name: Any = getattr(getattr(collection, "keyfunc", None), "attr_name", None)
    known = prop.mapper.column_attrs
    return [known[name]] if name in known else list(known)


def _columns_in(expression: Any) -> list[Any]:
    """The columns of tables in an expression, also through subqueries and aliases."""
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
    """True if rows of a table are decided one by one."""
    _, columns = watch.catalogue.find(table)
    return watch.decider.asks_rows(columns, columns)


def _ask(state: Any, key: str, keeper: Keeper | None) -> None:
    """Checks that an attribute of an object may be read now.

    Raises:
        PurposeMissing, PurposeViolation: it holds what the purpose under way may not use.
        UnlabelledData: its row is to be asked for again, and the object has left its session.
    """
    session = state.session
    # A deleted object is not in the session's map: what it holds stays as it was when its deletion was flushed.
    own: Keeper | None = None if state.was_deleted and keeper is not None else getattr(session, "_purposeguard", None)
    if state.key is None and own is not None:
        return  # what the application gave to it
    if key in state.committed_state and not (state.key is not None and _changes_in_place(state, key)):
        return  # likewise
    if own is not None:
        for kept in own.about(state.mapper):
            _ask_attached(state, key, session, kept)
        own.session_id = state.session_id
        state.purposeguard_keeper = own
    elif keeper is not None:
        loaded = key in state.dict
        frozen = keeper.session_id == state.session_id
        for kept in keeper.about(state.mapper):
            if not (loaded and frozen and kept.holds()):
                _decide(kept.watch, kept.watch.attributes.needed(kept.watch, state.mapper, key), detached=loaded)
                if not loaded:  # what is loaded now, into a deleted object, is not for the purpose of the rest
                    keeper.session_id = NO_SESSION


def _changes_in_place(state: Any, key: str) -> bool:
    """True if what the application changed may still hold what was loaded: a collection, or a value that is tracked."""
    impl = getattr(state.manager.get(key), "impl", None)
    return getattr(impl, "collection", False) or isinstance(state.dict.get(key), MutableBase)


def _ask_attached(state: Any, key: str, session: Any, kept: Kept) -> None:
    if key in state.dict:
        if not kept.holds():
            _decide(kept.watch, kept.watch.attributes.needed(kept.watch, state.mapper, key))
            session._keep_apart()
        return
    # The statement that loads it is checked. But that may load other attributes, or, without `await`, nothing.
    use = kept.present()
    if use is None or kept.watch.observes(use) or isinstance(state.mapper.get_property(key), RelationshipProperty):
        return
    tables, _ = kept.watch.attributes.needed(kept.watch, state.mapper, key)
    if any(_denied(kept.watch, tables, use)):
        _decide(kept.watch, Needed(tables, rows=False))


def _knows(catalogue: Catalogue, mapper: Mapper[Any]) -> bool:
    selectables: Iterable[Any] = (*mapper.tables, *visitors.iterate(mapper.persist_selectable))
    return any(
        catalogue.knows(selectable.fullname) for selectable in selectables if isinstance(selectable, TableClause)
    )


def _decide(watch: Watch, asked: Needed, *, detached: bool = False) -> None:
    if not asked.tables and not asked.rows:
        return
    decider = watch.decider
    use = decider.use("read of an object", asked.tables)
    decider.meet_under(use, decider.demand(asked.tables, frozenset(asked.tables)))
    if asked.rows and detached and not watch.observes(use):
        raise UnlabelledData(
            "an object was loaded for another purpose, and its row may be about somebody who stopped this one: load it "
            "anew, since it has left its session and cannot ask for its row again"
        )


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
        tables, rows = watch.attributes.needed(watch, mapper, key)
        if use is None or (loaded and rows):
            return not (tables or (loaded and rows))
        return not any(_denied(watch, tables, use))
    except UnlabelledData:
        return False


def _denied(watch: Watch, tables: Mapping[str, tuple[Columns, tuple[str, ...]]], use: Use[Any]) -> Iterator[bool]:
    return (bool(watch.decider.denied(use, columns, names, name)) for name, (columns, names) in tables.items())


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
    """Raises RowLeftOut if the row of an object that was not found is only left out."""
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


def forgotten_of(watch: Watch, mapper: Mapper[Any], use: Use[Any] | None) -> frozenset[str]:
    """The attributes of loaded objects that a use may not read."""
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
    """True if an attribute is made of others, and no column of a table itself."""
    if not isinstance(prop, ColumnProperty):
        return False
    column = prop.columns[0]
    return not isinstance(column, Column) or not isinstance(getattr(column, "table", None), TableClause)
