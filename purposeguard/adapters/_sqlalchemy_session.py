"""Sessions that narrow: rows that the purpose under way may not use are left out of what is loaded."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.orm.util import LoaderCriteriaOption

from purposeguard.adapters._sqlalchemy_watch import TEXT, WHAT, Watch
from purposeguard.errors import UnresolvedStatement


class Narrowing(LoaderCriteriaOption):
    """Loader criteria of a row rule. Not carried on to later loads: each is narrowed for the purpose under way then."""

    inherit_cache = True


class GuardedSession(Session):
    """A session on a guarded engine: `sessionmaker(engine, class_=GuardedSession)`.

    Where rows say whose they are, from when, or under which source they were collected, those that the purpose under way
    may not use are left out, of relationships too. What was loaded for one purpose is loaded anew for another.
    """


class AsyncGuardedSession(AsyncSession):
    """The same on a guarded async engine: `async_sessionmaker(engine, class_=AsyncGuardedSession)`."""

    sync_session_class = GuardedSession


def watch_of(bind: Any) -> Watch | None:
    """What decides on an engine, a connection or a session; None where nothing does."""
    if isinstance(bind, (Session, AsyncSession)):
        bind = bind.get_bind()
    return getattr(getattr(bind, "dialect", None), "purposeguard", None)


@event.listens_for(GuardedSession, "do_orm_execute", propagate=True)
def _narrow(state: ORMExecuteState) -> None:
    """Adds to a statement the tests for rows, for the purpose under way."""
    session: Session = state.session
    bind: Any = session.bind if session.bind is not None and not state.bind_arguments.get("bind") else None
    if bind is None or getattr(session, "_Session__binds", None):
        bind = session.get_bind(**state.bind_arguments)
    watch = watch_of(bind)
    if watch is None:
        raise UnresolvedStatement("a guarded session is not bound to a guarded engine: `protect(engine, guard, Base)`")
    if not watch.catalogue_has_rows() or not (state.is_select or state.is_update or state.is_delete):
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
    parameters: Any = state.parameters
    if isinstance(parameters, list):  # many, each by its key
        return statement
    compiled = statement._compile_w_cache(
        dialect=bind.dialect,
        compiled_cache=bind.engine._compiled_cache,
        column_keys=sorted(parameters or ()),
        for_executemany=False,
        schema_translate_map=state.execution_options.get("schema_translate_map"),
    )[0]
    analysis = compiled.purposeguard
    plan = analysis.plan
    if plan is None:
        plan = watch.plan(analysis)
    if plan is TEXT or not plan.narrowings:
        return statement
    use = watch.decider.engine.present(WHAT)
    if use is None or watch.observes(use):
        return statement
    options: list[Narrowing] = []
    for one in plan.narrowings:
        rule = watch.decider.rule(use, one.columns, one.names, one.table)
        if rule is None:
            continue
        if state.is_column_load:  # loader criteria are not added to these
            for occurrence in one.occurrences:
                statement = statement.where(watch.rows.test(rule, one.table, occurrence.table).element)
            continue
        for mapper in watch.catalogue.mappers(one.table):
            above = mapper.inherits
            if above is None or above.local_table is not mapper.local_table:
                element = watch.rows.test(rule, one.table, mapper.local_table).element  # type: ignore[arg-type]
                options.append(Narrowing(mapper, element, include_aliases=True, propagate_to_loaders=True))
    return statement.options(*options) if options else statement
