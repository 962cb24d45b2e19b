"""Guarded engines, and sessions that leave out rows that the purpose may not use: the API for applications."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import Select, Subquery, event, inspect, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Load, Mapper, ORMExecuteState, RelationshipProperty, Session, defer
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.sql.selectable import TableClause

from purposeguard.adapters.sql.parsing import PassedForms
from purposeguard.adapters.sql.tags import several
from purposeguard.adapters.sqlalchemy.checks import GUARDED, StatementWatch
from purposeguard.adapters.sqlalchemy.compatibility import must_be_known
from purposeguard.adapters.sqlalchemy.engine import guard_engine
from purposeguard.adapters.sqlalchemy.objects import Keeper, forget, forgotten_of, keeper_of, leave_out, must_be_gone
from purposeguard.adapters.sqlalchemy.tags import MappedTables, Where
from purposeguard.errors import UnknownSource, UnlabelledData, UnresolvedStatement
from purposeguard.guard import Guard
from purposeguard.runtime.current_use import find_current_use


class GuardedSession(Session):
    """A session on a guarded engine: `sessionmaker(engine, class_=GuardedSession)`.

    If rows name their subject, their day or their source, rows that the purpose under way may not use are left out, of
    relationships too. The session forgets data that was loaded under another purpose and may not be used for the
    present one. Reading an attribute of an object checks its value again, also when the object has left the session.
    Changes to objects are preserved.

    With `defer_denied=True`, whole objects are loaded without the columns that the purpose may not use, and reading
    such a column is refused. Otherwise the statement is refused.
    """

    def __init__(self, bind: Any = None, *, defer_denied: bool = False, **kwargs: Any) -> None:
        """Create a session. All parameters except `defer_denied` are those of `Session`."""
        self._purposeguard = Keeper()
        self._defers = defer_denied
        super().__init__(bind, **kwargs)

    def _keep_apart(self) -> None:
        """Forget loaded values that may not be used for the purpose under way."""
        keeper = self._purposeguard
        if not keeper.moves():
            return
        forgotten: dict[Mapper[Any], frozenset[str]] = {}
        for state in self.identity_map.all_states():
            mapper = state.mapper
            if mapper not in forgotten:
                names = (forgotten_of(entry.watch, mapper, entry.present()) for entry in keeper.about(mapper))
                forgotten[mapper] = frozenset().union(*names)
            forget(state, forgotten[mapper])

    def _take_in(self, state: Any, keeper: Keeper | None) -> None:
        """Forget the values of an object that were loaded for another purpose than that of this session.

        `keeper` is the keeper of the object, which says for which purposes its values were loaded.
        """
        watch = watch_of(self.get_bind(state.mapper))
        if watch is not None:
            self._purposeguard.of(watch)  # The session may not have used this engine yet.
        purposes = {entry.watch: entry.purpose for entry in keeper.kept} if keeper is not None else {}
        for entry in self._purposeguard.about(state.mapper):
            if entry.watch not in purposes or purposes[entry.watch] != entry.purpose:
                forget(state, forgotten_of(entry.watch, state.mapper, None))

    def _merge(self, state: Any, *args: Any, **kwargs: Any) -> Any:
        self._keep_apart()
        keeper = keeper_of(state)
        other = None if state.was_deleted else state.session  # It may have been used for another purpose since.
        if other is not self and isinstance(other, GuardedSession):
            self._take_in(state, other._purposeguard)
        elif other is None and keeper is not None:
            self._take_in(state, keeper if keeper.session_id == state.session_id else None)
        return super()._merge(state, *args, **kwargs)

    def refresh(self, instance: object, *args: Any, **kwargs: Any) -> None:
        """Refresh an object as any session does. Raise RowLeftOut if its row exists and the purpose may not use it."""
        try:
            super().refresh(instance, *args, **kwargs)
        except InvalidRequestError as error:
            if "Could not refresh" in str(error):  # The error has many other causes.
                must_be_gone(self, instance_state(instance))
            raise

    def _expunge_states(self, states: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        """Expunge objects as any session does, also for `make_transient`. The objects still check their purpose."""
        leaving = list(states)
        super()._expunge_states(leaving, *args, **kwargs)
        self._purposeguard.frozen().keep(state for state in leaving if not state.was_deleted)

    def expunge_all(self) -> None:
        """Expunge all objects as any session does, also on close. The objects still check their purpose."""
        going = self.identity_map.all_states()
        super().expunge_all()
        if going:
            self._purposeguard.frozen().keep(going)

    def __del__(self) -> None:
        """Give each object a keeper of its own, because the object may outlive the session."""
        identity_map: Any = self.__dict__.get("identity_map")
        for state in identity_map.all_states() if identity_map else ():
            state.purposeguard_keeper = self._purposeguard.frozen(state.session_id)


class AsyncGuardedSession(AsyncSession):
    """A `GuardedSession` on a guarded async engine: `async_sessionmaker(engine, class_=AsyncGuardedSession)`."""

    sync_session_class = GuardedSession


def watch_of(bind: Any) -> StatementWatch | None:
    """Return the watch of an engine, a connection or a session; None if it is not guarded."""
    if isinstance(bind, (Session, AsyncSession)):
        bind = bind.get_bind()
    return getattr(getattr(bind, "dialect", None), "purposeguard", None)


def _execute(state: ORMExecuteState) -> None:
    """Forget what the purpose may not use before a statement is executed, and defer denied columns."""
    session: Any = state.session
    session._keep_apart()
    watch = watch_of(session.get_bind(**state.bind_arguments))
    if watch is None:
        raise UnresolvedStatement("a guarded session is not bound to a guarded engine: `protect(engine, guard, Base)`")
    state.update_execution_options(**{GUARDED: True})
    if session._defers and isinstance(state.statement, Select):
        session._purposeguard.of(watch)  # The session may not have used this engine yet.
        state.statement = state.statement.options(*_make_defer_options(session, state))


def _make_defer_options(session: GuardedSession, state: ORMExecuteState) -> Iterator[Any]:
    """Yield the options that defer columns which the purpose may not use, also in joined objects."""
    statement: Any = state.statement
    named, longest = _find_load_options(statement)

    def denied_columns(entity: Any, path: Any, seen: tuple[Any, ...] = ()) -> Iterator[Any]:
        mapper: Mapper[Any] = inspect(entity).mapper
        names = leave_out(session, mapper)
        if names:
            yield path.options(*(defer(getattr(entity, name)) for name in sorted(names)))
        for relation in mapper.relationships:
            always = relation.lazy in ("joined", False) and relation.mapper not in (*seen, mapper)
            if always or (relation in named and len(seen) < longest):
                further = path.defaultload(getattr(entity, relation.key))
                yield from denied_columns(relation.entity.entity, further, (*seen, mapper))

    above: Any = state.loader_strategy_path
    for described in statement.column_descriptions:
        entity = described.get("entity")
        if entity is not None and described["expr"] is entity:
            for loaded in _classes_loaded_together(entity):
                path = Load._construct_for_existing_path(above[inspect(loaded)]) if above else Load(loaded)
                yield from denied_columns(loaded, path)


def _find_load_options(statement: Any) -> tuple[set[Any], int]:
    """Return the relationships that the options of a statement load, and the length of the longest path of them."""
    relationships: set[Any] = set()
    longest = 0
    for option in statement._with_options:
        for load in option.context if isinstance(option, Load) else ():
            relationships.update(part for part in load.path.path if isinstance(part, RelationshipProperty))
            longest = max(longest, len(load.path) // 2)
    return relationships, longest


def _classes_loaded_together(entity: Any) -> Iterator[Any]:
    """Yield a class, and the derived classes whose columns are loaded together with its own."""
    yield entity
    inspected: Any = inspect(entity)
    for mapper in inspected.with_polymorphic_mappers:
        if mapper is not inspected.mapper:
            yield mapper.class_ if inspected.is_mapper else getattr(entity, mapper.class_.__name__)


def _flush(session: GuardedSession, *_: object) -> None:
    session._keep_apart()  # The database may return values.


def _begin(session: GuardedSession, _transaction: object, connection: Any) -> None:
    watch = watch_of(connection)
    if watch is not None:
        session._purposeguard.of(watch)


def _attach(session: GuardedSession, instance: object) -> None:
    """Take in an object that was loaded elsewhere, or that this session had expunged."""
    state: Any = instance_state(instance)
    keeper = keeper_of(state)
    session._take_in(state, keeper if keeper is not None and keeper.session_id is None else None)


def _delete(session: GuardedSession, instance: object) -> None:
    """Give a deleted object a keeper of its own when its deletion is flushed.

    It leaves the session's map then, and the session itself when the deletion is committed.
    """
    state: Any = instance_state(instance)
    session._purposeguard.frozen(state.session_id).keep([state])


def _forget_deleted(session: GuardedSession, instance: object) -> None:
    """Detach the keeper of a deleted object from the session that the object has left."""
    keeper = keeper_of(instance_state(instance))
    if keeper is not None and keeper.session_id == session.hash_key:
        keeper.session_id = None


def _restore(session: GuardedSession, instance: object) -> None:
    """Take in an object whose deletion was rolled back. The session may have another purpose now."""
    state: Any = instance_state(instance)
    session._take_in(state, keeper_of(state))
    state.purposeguard_keeper = None  # The object uses the keeper of the session again.


for _name, _listener in (
    ("do_orm_execute", _execute),
    ("before_flush", _flush),
    ("after_begin", _begin),
    ("detached_to_persistent", _attach),
    ("persistent_to_deleted", _delete),
    ("deleted_to_detached", _forget_deleted),
    ("deleted_to_persistent", _restore),
):
    event.listen(GuardedSession, _name, _listener)


E = TypeVar("E", Engine, AsyncEngine)


def protect(
    engine: E,
    guard: Guard,
    *where: Where,
    not_personal: Iterable[object] = (),
    functions: Iterable[str] = (),
    passes: Iterable[str] = (),
    tags: Mapping[Any, object] = MappingProxyType({}),
) -> E:
    """Guard an engine in place, and return it.

    Do this where the engine is created. A driver's connection that was taken from the engine before is not guarded.

    Args:
        engine: The engine.
        guard: The guard that decides statements.
        where: The declarative bases, registries or `MetaData` whose tables may be used.
        not_personal: The tables, by class, table or name, that carry no tags because nothing in them is personal.
        functions: The names of the database's own functions that read nothing but their arguments. Statements with
            other unknown functions are refused.
        passes: The first words of statements that are no queries and run as they are, `["PRAGMA foreign_keys"]`.
        tags: The tags of tables that somebody else wrote, by class, table or name: a tagged class, or a mapping of all
            columns.

    Warns:
        UntaggedKey: a foreign key that is marked `Subject` carries no source.

    Raises:
        TypeError: `engine` is no engine; no tables are given, or not as a base, registry or `MetaData`.
        UnknownSource, UnlabelledData: `tags` name a source that is not in the guard's notice, or omit a column.
        UnresolvedStatement: this version of SQLAlchemy does not do what a guarded engine relies on.
        ValueError: the engine is guarded already, or `passes` name statements that are read.
    """
    must_be_known(GuardedSession)
    if not where:
        raise TypeError("say where the tables are: `protect(engine, guard, Base)`")
    if not isinstance(engine, (Engine, AsyncEngine)):
        raise TypeError(f"`protect` guards an engine, not {type(engine).__name__}: give what `create_engine` gave")
    any_engine: Any = engine
    sync: Engine = any_engine.sync_engine if isinstance(any_engine, AsyncEngine) else any_engine
    if watch_of(sync) is not None:
        raise ValueError("the engine is guarded already, and it is guarded once")
    functions = tuple(several(functions, "functions", '["name"]'))
    PassedForms(passes := tuple(several(passes, "passes", '["PRAGMA foreign_keys"]')))
    catalogue = MappedTables(guard.engine.snapshot.matrix.revisions, where, not_personal, tags)
    watch = StatementWatch(guard, catalogue, sync.dialect, functions, passes)
    guard_engine(sync, watch)
    # These errors are raised again when a statement is executed. The tags may be corrected until then.
    with suppress(UnlabelledData, UnknownSource):
        catalogue.refresh()
        watch.look_at_tables(stacklevel=2)
    watch.attributes.ask(watch)
    return engine


def permitted(bind: Any, table: Any, *names: str) -> Subquery:
    """Return the rows of a table that the purpose under way may use, as a subquery for statements of Core.

    Make a new subquery for each use. Under another purpose it is refused.

    Args:
        bind: The guarded engine, or a connection or session on it.
        table: The table, or a mapped class.
        names: The columns; by default all that may be used.

    Raises:
        PurposeMissing: no purpose is under way.
        UnlabelledData: the table, or a column of it, carries no tag.
        UnresolvedStatement: `bind` is not guarded.
    """
    watch = watch_of(bind)
    if watch is None:
        raise UnresolvedStatement("`permitted` takes a guarded engine, or a connection or session on one")
    selectable: TableClause = getattr(table, "__table__", table)
    name, columns = watch.catalogue.find(selectable)
    own = {column.name: column for column in selectable.columns}
    engine = watch.decider.engine
    # A missing purpose that is only observed is recorded when the statement is executed.
    use = find_current_use(engine) if engine.observing else watch.decider.current_use("select", (name,))
    observed = use is None or watch.observes(use)
    denied = {} if use is None or observed else watch.decider.find_denied_columns(use, columns, own, name)
    chosen = names or tuple(column for column in own if column not in denied)
    return select(*(own[column] for column in chosen)).subquery(selectable.name)
