"""Guarded engines, and sessions that leave out rows that the purpose may not use: the API for applications."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, TypeVar

from sqlalchemy import Select, Subquery, event, inspect, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Load, Mapper, RelationshipProperty, Session, defer
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.sql.selectable import TableClause
from sqlalchemy.util import immutabledict

from purposeguard.adapters.sql.parsing import PassedForms
from purposeguard.adapters.sql.tags import several
from purposeguard.adapters.sqlalchemy.checks import GUARDED, StatementWatch
from purposeguard.adapters.sqlalchemy.compatibility import must_be_known
from purposeguard.adapters.sqlalchemy.engine import guard_engine
from purposeguard.adapters.sqlalchemy.forgetting import find_values_to_forget, forget, forget_other_purposes
from purposeguard.adapters.sqlalchemy.keepers import Keeper, Watch, keeper_of
from purposeguard.adapters.sqlalchemy.loading import find_deferred, refuse_if_left_out
from purposeguard.adapters.sqlalchemy.tags import MappedTables, Where
from purposeguard.containers import exclude
from purposeguard.errors import UnknownSource, UnlabelledData, UnresolvedStatement
from purposeguard.guard import Guard

_GUARDED_OPTIONS: Final[immutabledict[str, Any]] = immutabledict({GUARDED: True})


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
        self.purposeguard_keeper = Keeper()
        self.defer_denied = defer_denied
        super().__init__(bind, **kwargs)

    # No public method or event of SQLAlchemy comes before an object is merged, or after it is expunged.
    def _merge(self, state: Any, *args: Any, **kwargs: Any) -> Any:
        forget_other_purposes(self)
        keeper = keeper_of(state)
        other = None if state.was_deleted else state.session  # It may have been used for another purpose since.
        if other is not self and isinstance(other, GuardedSession):
            _take_in(self, state, other.purposeguard_keeper)
        elif other is None and keeper is not None:
            _take_in(self, state, keeper if keeper.session_id == state.session_id else None)
        return super()._merge(state, *args, **kwargs)

    # The event `do_orm_execute` would do, but for an event SQLAlchemy prepares each statement twice.
    def _execute_internal(
        self,
        statement: Any,
        params: Any = None,
        *,
        execution_options: Any = None,
        bind_arguments: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Forget what the purpose may not use before a statement is executed, and defer denied columns."""
        if not self.purposeguard_keeper.is_current():
            forget_other_purposes(self)
        watch = watch_of(self.get_bind(**_complete_bind_arguments(statement, bind_arguments)))
        if watch is None:
            raise UnresolvedStatement(
                "a guarded session is not bound to a guarded engine: `protect(engine, guard, Base)`"
            )
        if self.defer_denied and isinstance(statement, Select) and not watch.is_observing():
            self.purposeguard_keeper.entry_of(watch)  # The session may not have used this engine yet.
            statement = statement.options(*_DeferOptions(self, statement).iter_options())
        options = _GUARDED_OPTIONS.union(execution_options) if execution_options else _GUARDED_OPTIONS
        return super()._execute_internal(
            statement, params, execution_options=options, bind_arguments=bind_arguments, **kwargs
        )

    def refresh(self, instance: object, *args: Any, **kwargs: Any) -> None:
        """Refresh an object as any session does. Raise RowLeftOut if its row exists and the purpose may not use it."""
        try:
            super().refresh(instance, *args, **kwargs)
        except InvalidRequestError as error:
            if "Could not refresh" in str(error):  # The error has many other causes.
                refuse_if_left_out(self, instance_state(instance))
            raise

    def _expunge_states(self, states: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        """Expunge objects as any session does, also for `make_transient`. The objects still check their purpose."""
        leaving = list(states)
        super()._expunge_states(leaving, *args, **kwargs)
        self.purposeguard_keeper.copy().attach_to(state for state in leaving if not state.was_deleted)

    def expunge_all(self) -> None:
        """Expunge all objects as any session does, also on close. The objects still check their purpose."""
        leaving = self.identity_map.all_states()
        super().expunge_all()
        if leaving:
            self.purposeguard_keeper.copy().attach_to(leaving)

    def __del__(self) -> None:
        """Give each object a keeper of its own, because the object may outlive the session."""
        identity_map: Any = self.__dict__.get("identity_map")
        for state in identity_map.all_states() if identity_map else ():
            state.purposeguard_keeper = self.purposeguard_keeper.copy(state.session_id)


class AsyncGuardedSession(AsyncSession):
    """A `GuardedSession` on a guarded async engine: `async_sessionmaker(engine, class_=AsyncGuardedSession)`."""

    sync_session_class = GuardedSession


def watch_of(bind: Any) -> StatementWatch | None:
    """Return the watch of an engine, a connection or a session; None if it is not guarded."""
    if isinstance(bind, (Session, AsyncSession)):
        bind = bind.get_bind()
    return getattr(getattr(bind, "dialect", None), "purposeguard", None)


def _take_in(session: GuardedSession, state: Any, keeper: Keeper | None) -> None:
    """Forget the values of an object that were loaded for another purpose than that of a session.

    Args:
        session: The session.
        state: The state of the object.
        keeper: The keeper of the object, which says for which purposes its values were loaded.
    """
    watch = watch_of(session.get_bind(state.mapper))
    if watch is not None:
        session.purposeguard_keeper.entry_of(watch)  # The session may not have used this engine yet.
    purposes: dict[Watch, object] = {}
    if keeper is not None:
        for entry in keeper.entries:
            purposes[entry.watch] = entry.purpose
    for entry in session.purposeguard_keeper.entries_about(state.mapper):
        if entry.watch in purposes and purposes[entry.watch] == entry.purpose:
            continue
        if entry.observes():
            session.purposeguard_keeper.keep_other_values(entry)
        else:
            forget(state, find_values_to_forget(entry.watch, state.mapper, None))


def _complete_bind_arguments(statement: Any, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the arguments by which a session chooses the engine of a statement, as SQLAlchemy completes them."""
    attributes: Mapping[str, Any] = getattr(statement, "_propagate_attrs", {})  # What is no statement has none.
    subject = attributes.get("plugin_subject")
    if subject is not None:
        own = {"clause": statement, "mapper": subject.mapper}
        return {**given, **own} if given else own
    return {"clause": statement, **given} if given else {"clause": statement}


class _DeferOptions:
    """The options of a statement that defer columns which the purpose may not use, also in joined objects."""

    def __init__(self, session: GuardedSession, statement: Any) -> None:
        self._session = session
        self._statement = statement
        # Only an event has a public attribute for it. A statement of Core has no path.
        self._path_above: Any = getattr(statement._compile_options, "_current_path", None)
        self._relationships: set[Any] = set()
        """The relationships that the options of the statement load."""
        self._longest_path = 0
        """The number of relationships in the longest path of these options."""
        # SQLAlchemy has no public list of a statement's options.
        for option in self._statement._with_options:
            if isinstance(option, Load):
                for load in option.context:
                    relationships = (part for part in load.path.path if isinstance(part, RelationshipProperty))
                    self._relationships.update(relationships)
                    self._longest_path = max(self._longest_path, len(load.path) // 2)

    def iter_options(self) -> Iterator[Any]:
        """Yield the options."""
        for described in self._statement.column_descriptions:
            entity = described.get("entity")
            if entity is not None and described["expr"] is entity:
                for loaded in _classes_loaded_together(entity):
                    yield from self._iter_options_of(loaded, self._path_to(loaded))

    def _path_to(self, entity: Any) -> Any:
        """Return the path to the objects of the statement, which another object may have asked for."""
        if not self._path_above:
            return Load(entity)
        return Load._construct_for_existing_path(self._path_above[inspect(entity)])  # There is no public way.

    def _iter_options_of(self, entity: Any, path: Any, seen: tuple[Any, ...] = ()) -> Iterator[Any]:
        """Yield the options for a class and the classes that are loaded with it.

        Args:
            entity: The class, or an alias of it.
            path: The path to its objects.
            seen: The classes on this path.
        """
        mapper: Mapper[Any] = inspect(entity).mapper
        names = find_deferred(self._session, mapper)
        if names:
            yield path.options(*(defer(getattr(entity, name)) for name in sorted(names)))
        for relationship in mapper.relationships:
            is_always_loaded = relationship.lazy in ("joined", False) and relationship.mapper not in (*seen, mapper)
            if is_always_loaded or (relationship in self._relationships and len(seen) < self._longest_path):
                further_path = path.defaultload(getattr(entity, relationship.key))
                yield from self._iter_options_of(relationship.entity.entity, further_path, (*seen, mapper))


def _classes_loaded_together(entity: Any) -> Iterator[Any]:
    """Yield a class, and the derived classes whose columns are loaded together with its own."""
    yield entity
    inspected: Any = inspect(entity)
    for mapper in inspected.with_polymorphic_mappers:
        if mapper is not inspected.mapper:
            yield mapper.class_ if inspected.is_mapper else getattr(entity, mapper.class_.__name__)


def _flush(session: GuardedSession, *_: object) -> None:
    forget_other_purposes(session)  # The database may return values.


def _begin(session: GuardedSession, _transaction: object, connection: Any) -> None:
    watch = watch_of(connection)
    if watch is not None:
        session.purposeguard_keeper.entry_of(watch)


def _attach(session: GuardedSession, instance: object) -> None:
    """Take in an object that was loaded elsewhere, or that this session had expunged."""
    state: Any = instance_state(instance)
    keeper = keeper_of(state)
    _take_in(session, state, keeper if keeper is not None and keeper.session_id is None else None)


def _delete(session: GuardedSession, instance: object) -> None:
    """Give a deleted object a keeper of its own when its deletion is flushed.

    It leaves the session's map then, and the session itself when the deletion is committed.
    """
    state: Any = instance_state(instance)
    session.purposeguard_keeper.copy(state.session_id).attach_to([state])


def _forget_deleted(session: GuardedSession, instance: object) -> None:
    """Detach the keeper of a deleted object from the session that the object has left."""
    keeper = keeper_of(instance_state(instance))
    if keeper is not None and keeper.session_id == session.hash_key:
        keeper.session_id = None


def _restore(session: GuardedSession, instance: object) -> None:
    """Take in an object whose deletion was rolled back. The session may have another purpose now."""
    state: Any = instance_state(instance)
    _take_in(session, state, keeper_of(state))
    state.purposeguard_keeper = None  # The object uses the keeper of the session again.


for _name, _listener in (
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
        NoticeError: the tags of the guard's file and those in the code, or of two entries, do not agree.
        UnresolvedStatement: this version of SQLAlchemy does not do what a guarded engine relies on.
        ValueError: the engine is guarded already, or `passes` name statements that are read.
    """
    must_be_known(GuardedSession)
    if not where:
        raise TypeError("say where the tables are: `protect(engine, guard, Base)`")
    sync = _require_unguarded(engine)
    functions = tuple(several(functions, "functions", '["name"]'))
    passes = tuple(several(passes, "passes", '["PRAGMA foreign_keys"]'))
    PassedForms(passes)  # This checks the forms before any tag is read.
    catalogue = MappedTables(guard.engine.snapshot.matrix.revisions, where, not_personal, tags, guard.tags)
    watch = StatementWatch(guard, catalogue, sync.dialect, functions, passes)
    guard_engine(sync, watch)
    # These errors are raised again when a statement is executed. The tags may be corrected until then.
    with suppress(UnlabelledData, UnknownSource):
        catalogue.refresh()
        watch.look_at_tables(stacklevel=2)
    watch.attributes.ask(watch)
    return engine


def _require_unguarded(engine: object) -> Engine:
    """Return the engine that executes statements: of an async engine, the engine within it.

    Raises:
        TypeError: `engine` is no engine.
        ValueError: it is guarded already.
    """
    sync = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    if not isinstance(sync, Engine):
        raise TypeError(f"`protect` guards an engine, not {type(engine).__name__}: give what `create_engine` gave")
    if watch_of(sync) is not None:
        raise ValueError("the engine is guarded already, and it is guarded once")
    return sync


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
    own = {column.name: column for column in selectable.columns}
    denied: Mapping[str, object] = {}
    if not watch.is_observing():  # In observe mode, the statement reports what it reads when it is executed.
        name, columns = watch.catalogue.find(selectable)
        use = watch.decider.current_use("select", (name,))
        if use is not None:
            denied = watch.decider.find_denied_columns(use, columns, own, name)
    chosen = names or tuple(exclude(own, denied))
    return select(*(own[column] for column in chosen)).subquery(selectable.name)
