"""What an application uses: guarded engines, and sessions that leave out rows that the purpose may not use."""

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


class GuardedSession(Session):
    """A session on a guarded engine: `sessionmaker(engine, class_=GuardedSession)`.

    Where rows say whose they are, from when, or under which source they were collected, those that the purpose under
    way may not use are left out, of relationships too. What was loaded under another purpose, and may not be used for
    this one, is not found again in the session, and not in an object that is held: reading an attribute of it asks
    again, also when the object has left the session. Objects with changes keep those.

    `defer_denied=True`: an object that is loaded whole is loaded without the columns that the purpose may not use, and
    these are refused where they are read. Without it such a statement is refused.
    """

    def __init__(self, bind: Any = None, *, defer_denied: bool = False, **kwargs: Any) -> None:
        """As of any session, but for `defer_denied`."""
        self._purposeguard = Keeper()
        self._defers = defer_denied
        super().__init__(bind, **kwargs)

    def _keep_apart(self) -> None:
        """Forget what was loaded for another purpose, and may not be used for the one under way."""
        keeper = self._purposeguard
        if not keeper.moves():
            return
        forgotten: dict[Mapper[Any], frozenset[str]] = {}
        for state in self.identity_map.all_states():
            mapper = state.mapper
            if mapper not in forgotten:
                names = (forgotten_of(kept.watch, mapper, kept.present()) for kept in keeper.about(mapper))
                forgotten[mapper] = frozenset().union(*names)
            forget(state, forgotten[mapper])

    def _take_in(self, state: Any, keeper: Keeper | None) -> None:
        """Forget what an object has loaded for another purpose than that of this session; `keeper` is the object's."""
        watch = watch_of(self.get_bind(state.mapper))
        if watch is not None:
            self._purposeguard.of(watch)  # the session may not have used it yet
        purposes = {kept.watch: kept.purpose for kept in keeper.kept} if keeper is not None else {}
        for kept in self._purposeguard.about(state.mapper):
            if kept.watch not in purposes or purposes[kept.watch] != kept.purpose:
                forget(state, forgotten_of(kept.watch, state.mapper, None))

    def _merge(self, state: Any, *args: Any, **kwargs: Any) -> Any:
        self._keep_apart()
        keeper = keeper_of(state)
        other = None if state.was_deleted else state.session  # which may have been used for another purpose since
        if other is not self and isinstance(other, GuardedSession):
            self._take_in(state, other._purposeguard)
        elif other is None and keeper is not None:
            self._take_in(state, keeper if keeper.session_id == state.session_id else None)
        return super()._merge(state, *args, **kwargs)

    def refresh(self, instance: object, *args: Any, **kwargs: Any) -> None:
        """As of any session; raises RowLeftOut where the row is there, and the purpose may not use it."""
        try:
            super().refresh(instance, *args, **kwargs)
        except InvalidRequestError as error:
            if "Could not refresh" in str(error):  # it has many other reasons
                must_be_gone(self, instance_state(instance))
            raise

    def _expunge_states(self, states: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        """As of any session, also for `make_transient`; the objects still check their purpose."""
        leaving = list(states)
        super()._expunge_states(leaving, *args, **kwargs)
        self._purposeguard.frozen().keep(state for state in leaving if not state.was_deleted)

    def expunge_all(self) -> None:
        """As of any session, also on close; the objects still check their purpose."""
        going = self.identity_map.all_states()
        super().expunge_all()
        if going:
            self._purposeguard.frozen().keep(going)

    def __del__(self) -> None:
        """Its objects may outlive the session."""
        identity_map: Any = self.__dict__.get("identity_map")
        for state in identity_map.all_states() if identity_map else ():
            state.purposeguard_keeper = self._purposeguard.frozen(state.session_id)


class AsyncGuardedSession(AsyncSession):
    """The same on a guarded async engine: `async_sessionmaker(engine, class_=AsyncGuardedSession)`."""

    sync_session_class = GuardedSession


def watch_of(bind: Any) -> StatementWatch | None:
    """Return the watch of an engine, a connection or a session; None if it is not guarded."""
    if isinstance(bind, (Session, AsyncSession)):
        bind = bind.get_bind()
    return getattr(getattr(bind, "dialect", None), "purposeguard", None)


def _execute(state: ORMExecuteState) -> None:
    """Keep apart what is loaded from now on."""
    session: Any = state.session
    session._keep_apart()
    watch = watch_of(session.get_bind(**state.bind_arguments))
    if watch is None:
        raise UnresolvedStatement("a guarded session is not bound to a guarded engine: `protect(engine, guard, Base)`")
    state.update_execution_options(**{GUARDED: True})
    if session._defers and isinstance(state.statement, Select):
        session._purposeguard.of(watch)  # the session may not have used it yet
        state.statement = state.statement.options(*_make_defer_options(session, state))


def _make_defer_options(session: GuardedSession, state: ORMExecuteState) -> Iterator[Any]:
    """Options by which columns are left out that the purpose may not use, also where objects are joined to others."""
    statement: Any = state.statement
    given = [option for option in statement._with_options if isinstance(option, Load)]
    loads = [element for option in given for element in option.context]
    named = {part for load in loads for part in load.path.path if isinstance(part, RelationshipProperty)}
    longest = max((len(load.path) // 2 for load in loads), default=0)

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
            for one in _classes_loaded_together(entity):
                yield from denied_columns(
                    one, Load._construct_for_existing_path(above[inspect(one)]) if above else Load(one)
                )


def _classes_loaded_together(entity: Any) -> Iterator[Any]:
    """Yield a class, and those derived from it whose columns are loaded together with its own."""
    yield entity
    found: Any = inspect(entity)
    for mapper in found.with_polymorphic_mappers:
        if mapper is not found.mapper:
            yield mapper.class_ if found.is_mapper else getattr(entity, mapper.class_.__name__)


def _flush(session: GuardedSession, *_: object) -> None:
    session._keep_apart()  # the database may give values back


def _begin(session: GuardedSession, _transaction: object, connection: Any) -> None:
    watch = watch_of(connection)
    if watch is not None:
        session._purposeguard.of(watch)


def _attach(session: GuardedSession, instance: object) -> None:
    """An object that was loaded elsewhere, or that this session had expunged."""
    state: Any = instance_state(instance)
    keeper = keeper_of(state)
    session._take_in(state, keeper if keeper is not None and keeper.session_id is None else None)


def _delete(session: GuardedSession, instance: object) -> None:
    """An object leaves the session's map when its deletion is flushed, and the session when that is committed."""
    state: Any = instance_state(instance)
    session._purposeguard.frozen(state.session_id).keep([state])


def _forget_deleted(session: GuardedSession, instance: object) -> None:
    """It has left the session."""
    keeper = keeper_of(instance_state(instance))
    if keeper is not None and keeper.session_id == session.hash_key:
        keeper.session_id = None


def _restore(session: GuardedSession, instance: object) -> None:
    """Its deletion was rolled back, and the session may have been used for another purpose meanwhile."""
    state: Any = instance_state(instance)
    session._take_in(state, keeper_of(state))
    state.purposeguard_keeper = None  # it asks the session again


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
    """Guard an engine, where it stands, and give it.

    `where` are the declarative bases, registries or `MetaData` whose tables may be used; `not_personal` those of them
    that carry no tags because nothing in them is personal: classes, tables or names. `functions` names those of the
    database's own that read nothing but what they are given; statements with others that are not known are refused.
    `passes` are the first words of statements that are no queries and run as they are, `["PRAGMA foreign_keys"]`.
    `tags` tags tables that somebody else wrote, by class, table or name: each by a tagged class, or by a mapping of
    all its columns.

    Do it where the engine is made: a connection of the driver that was taken from it before is not guarded.

    Warns, `UntaggedKey`, where a foreign key that is marked `Subject` carries no source.

    Raises:
        TypeError: `engine` is no engine; no tables are given, or not as a base, registry or `MetaData`.
        UnknownSource, UnlabelledData: `tags` name no source of the guard's notice, or say nothing of a column.
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
    catalogue = MappedTables(guard._engine.snapshot.matrix.revisions, where, not_personal, tags)
    watch = StatementWatch(guard, catalogue, sync.dialect, functions, passes)
    guard_engine(sync, watch)
    with suppress(
        UnlabelledData, UnknownSource
    ):  # raised again when a statement is executed; it may be mended until then
        catalogue.refresh()
        watch.look_at_tables(stacklevel=2)
    watch.attributes.ask(watch)
    return engine


def permitted(bind: Any, table: Any, *names: str) -> Subquery:
    """Return the rows of a table that the purpose under way may use, to be selected from in statements of Core.

    `bind` is the guarded engine, or a connection or session on it; `names` the columns, without them all that may be
    used. Made anew for each use: under another purpose it is refused.

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
    use = engine.ambient() if engine.observing else watch.decider.current_use("select", (name,))
    observed = use is None or use._explain_absence() is not None or watch.observes(use)
    denied = {} if use is None or observed else watch.decider.find_denied_columns(use, columns, own, name)
    chosen = names or tuple(column for column in own if column not in denied)
    return select(*(own[column] for column in chosen)).subquery(selectable.name)
