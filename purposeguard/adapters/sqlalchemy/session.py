"""Sessions that narrow: rows that the purpose under way may not use are left out of what is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from sqlalchemy import Column, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import ColumnProperty, Mapper, ORMExecuteState, RelationshipProperty, Session
from sqlalchemy.orm.util import LoaderCriteriaOption
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.selectable import TableClause

from purposeguard.adapters.rowrule import RowRule
from purposeguard.adapters.sqlalchemy.seals import SealedType
from purposeguard.adapters.sqlalchemy.watch import FOUND, TEXT, Found, Watch
from purposeguard.errors import UnresolvedStatement
from purposeguard.use import Use


class Narrowing(LoaderCriteriaOption):
    """Loader criteria of a row rule. Not carried on to later loads: each is narrowed for the purpose under way then."""

    _traverse_internals: Any = LoaderCriteriaOption._traverse_internals  # its own, which is what is asked

    def _resolve_where_criteria(self, ext_info: Any) -> Any:
        """The test, about the entity where it stands: about its alias, where it has one."""
        mapper = ext_info.mapper

        def of_entity(element: Any, **_: Any) -> Any:
            # Joins of relationships leave columns as they are that are not known to be of the entity.
            if isinstance(element, ColumnClause) and isinstance(element.table, TableClause):
                return element._annotate({"parententity": mapper, "parentmapper": mapper})
            return None

        found = visitors.replacement_traverse(super()._resolve_where_criteria(ext_info), {}, of_entity)
        # Other joins leave the columns of what is aliased as they are.
        return ext_info._adapter.traverse(found) if ext_info.is_aliased_class else found


class _Kept:
    """For which purpose a session has what it keeps, as one engine's guard has it."""

    __slots__ = ("ambient", "purpose", "use", "watch")

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.ambient: Callable[[], Use[Any]] = watch.decider.engine.ambient
        self.use: Use[Any] | None = None
        self.purpose: object = None

    def changed(self) -> bool:
        """Takes the use under way for that; gives whether it is another purpose."""
        use = self.use = self.ambient()
        purpose: object = None
        if use.runs_here():
            activity = use.activity
            purpose = (activity.purpose, activity.channel, activity.observing)
        before, self.purpose = self.purpose, purpose
        return purpose != before


class GuardedSession(Session):
    """A session on a guarded engine: `sessionmaker(engine, class_=GuardedSession)`.

    Where rows say whose they are, from when, or under which source they were collected, those that the purpose under
    way may not use are left out, of relationships too. What was loaded under another purpose, and may not be used for
    this one, is not found again in the session. Objects with changes keep those.
    """

    _purposeguard_kept: tuple[_Kept, ...] = ()

    def __init__(self, bind: Any = None, **kwargs: Any) -> None:
        """As of any session. Where no row of the engine's tables is decided by itself, none is looked at."""
        super().__init__(bind, **kwargs)
        watch = watch_of(self.bind) if self.bind is not None else None
        self._speaks_to(watch)
        routed = watch is None or type(self).get_bind is not Session.get_bind
        if routed or watch.has_rows():  # type: ignore[union-attr]  # of what is routed it is not asked
            events: Any = self.dispatch._join((_routing if routed else _narrowing).dispatch)
            self.dispatch = events  # as connections get the events of their engine

    def _speaks_to(self, watch: Watch | None) -> None:
        kept = self._purposeguard_kept
        if watch is not None and not (kept and any(one.watch is watch for one in kept)):
            one = _Kept(watch)
            one.changed()
            self._purposeguard_kept = (*kept, one)

    def _add_bind(self, key: Any, bind: Any) -> None:
        super()._add_bind(key, bind)
        self._speaks_to(watch_of(bind))

    def _keep_apart(self) -> None:
        """Forgets what was loaded for another purpose, and may not be used for the one under way."""
        for one in self._purposeguard_kept:
            if one.ambient() is not one.use and one.changed():
                self._forget()

    def _forget(self) -> None:
        forgotten: dict[Mapper[Any], frozenset[str]] = {}
        for state in self.identity_map.all_states():
            mapper = state.mapper
            if mapper not in forgotten:
                forgotten[mapper] = self._forgotten(mapper)
            names = forgotten[mapper].intersection(state.dict) - set(state.committed_state)
            if names:
                state._expire_attributes(state.dict, names)

    def _forgotten(self, mapper: Mapper[Any]) -> frozenset[str]:
        watch = watch_of(self.get_bind(mapper))  # it may be one of several
        if watch is None:
            return frozenset()
        use = watch.decider.engine.ambient()
        return forgotten_of(watch, mapper, use if use.runs_here() else None)

    def _execute_internal(self, *args: Any, **kwargs: Any) -> Any:
        self._keep_apart()
        return super()._execute_internal(*args, **kwargs)

    def _get_impl(self, *args: Any, **kwargs: Any) -> Any:
        self._keep_apart()
        return super()._get_impl(*args, **kwargs)

    def _identity_lookup(self, *args: Any, **kwargs: Any) -> Any:
        self._keep_apart()
        return super()._identity_lookup(*args, **kwargs)

    def _merge(self, *args: Any, **kwargs: Any) -> Any:
        self._keep_apart()
        return super()._merge(*args, **kwargs)

    def __iter__(self) -> Iterator[object]:
        """The objects in it, as of any session."""
        self._keep_apart()
        return super().__iter__()


def forgotten_of(watch: Watch, mapper: Mapper[Any], use: Use[Any] | None) -> frozenset[str]:
    """The attributes of loaded objects that a use is not to find in a session: what it may not use."""
    found: set[str] = set()
    for prop in mapper.iterate_properties:
        if isinstance(prop, RelationshipProperty):
            if any(_asks_rows(watch, table) for table in prop.mapper.tables):
                found.add(prop.key)
        elif isinstance(prop, ColumnProperty) and not _may_stay(watch, prop.columns[0], use):
            found.add(prop.key)
    return frozenset(found)


def _asks_rows(watch: Watch, table: Any) -> bool:
    _, columns = watch.catalogue.find(table)
    return watch.decider.asks_rows(columns, columns)


def _may_stay(watch: Watch, column: Any, use: Use[Any] | None) -> bool:
    if not isinstance(column, Column):
        return False  # made of others
    name, columns = watch.catalogue.find(column.table)
    tag = columns.get(column.name)
    if tag is None or not tag.is_personal or isinstance(column.type, SealedType):
        return tag is not None
    if use is None or watch.decider.asks_rows(columns, {column.name: tag}):
        return False
    return not watch.decider.denied(use, columns, (column.name,), name)


class AsyncGuardedSession(AsyncSession):
    """The same on a guarded async engine: `async_sessionmaker(engine, class_=AsyncGuardedSession)`."""

    sync_session_class = GuardedSession


def watch_of(bind: Any) -> Watch | None:
    """What decides on an engine, a connection or a session; None where nothing does."""
    if isinstance(bind, (Session, AsyncSession)):
        bind = bind.get_bind()
    return getattr(getattr(bind, "dialect", None), "purposeguard", None)


def _narrow(state: ORMExecuteState) -> None:
    """Adds to a statement the tests for rows, for the purpose under way."""
    bind: Any = state.session.get_bind(**state.bind_arguments)
    watch = watch_of(bind)
    if watch is None:
        raise UnresolvedStatement("a guarded session is not bound to a guarded engine: `protect(engine, guard, Base)`")
    if not watch.has_rows() or not (state.is_select or state.is_update or state.is_delete):
        return
    statement: Any = state.statement
    if not state.is_orm_statement:
        return
    stale = [one for one in statement._with_options if isinstance(one, Narrowing)]
    if stale:
        statement = statement._generate()
        statement._with_options = tuple(one for one in statement._with_options if not isinstance(one, Narrowing))
    statement = _narrowed(state, statement, watch, bind)
    if statement is not state.statement:
        state.statement = statement


def _narrowed(state: ORMExecuteState, statement: Any, watch: Watch, bind: Any) -> Any:
    plan = None if isinstance(state.parameters, list) else _plan(state, statement, watch, bind)  # a list is of keys
    if plan is None or plan is TEXT or not plan.narrowings:
        return statement
    use = watch.decider.engine.ambient()
    if use.absence() is not None or watch.observes(use):
        return statement  # a purpose that is missing is told, and refused, where the statement is executed
    options: list[Narrowing] = []
    rules: dict[tuple[str, tuple[str, ...]], RowRule | None] = {}
    for one in plan.narrowings:
        rule = rules[one.table, one.names] = watch.decider.rule(use, one.columns, one.names, one.table)
        if rule is None:
            continue
        if state.is_column_load:  # loader criteria are not added to these
            for occurrence in one.occurrences:
                statement = statement.where(watch.rows.test(rule, one.table, occurrence.table).element)
        else:
            options += _options(watch, rule, one.table)
    state.update_execution_options(**{FOUND: Found(use, rules)})
    return statement.options(*options) if options else statement


def _plan(state: ORMExecuteState, statement: Any, watch: Watch, bind: Any) -> Any:
    """What is to be asked about the statement as it is; compiled once for each shape."""
    given: Any = state.parameters
    compiled = statement._compile_w_cache(
        dialect=bind.dialect,
        compiled_cache=bind.engine._compiled_cache,
        column_keys=sorted(given or ()),
        for_executemany=False,
        schema_translate_map=state.execution_options.get("schema_translate_map"),
    )[0]
    analysis = compiled.purposeguard
    plan = analysis.plan
    if plan is None or (plan is not TEXT and plan.stamp is not watch.catalogue.refreshed()):
        plan = watch.plan(analysis)
    return plan


def _options(watch: Watch, rule: RowRule, table: str) -> Iterator[Narrowing]:
    """The criteria for each class that is mapped to a table, and with it for those below."""
    for mapper in watch.catalogue.mappers(table):
        above, held = mapper.inherits, mapper.local_table
        if isinstance(held, TableClause) and (above is None or above.local_table is not held):
            element = watch.rows.test(rule, table, held).element
            yield Narrowing(mapper, element, include_aliases=True, propagate_to_loaders=True)


def _begin(session: GuardedSession, _transaction: object, connection: Any) -> None:
    """Keeps apart, from now on, what is loaded from an engine that a session was not made with."""
    session._speaks_to(watch_of(connection))


_narrowing: Final = Session()
"""Has the event that narrows, for sessions that are to have it."""

_routing: Final = Session()
"""Has that, and the event that tells with which engines a session speaks, where that is not known before."""

for _one in (_narrowing, _routing):
    event.listen(_one, "do_orm_execute", _narrow)
event.listen(_routing, "after_begin", _begin)
