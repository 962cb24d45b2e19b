"""Guarding an engine, and naming the rows that may be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import Subquery, select
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.selectable import TableClause

from purposeguard.adapters.sqlalchemy.engine import guard_engine
from purposeguard.adapters.sqlalchemy.relied import must_be_known
from purposeguard.adapters.sqlalchemy.session import watch_of
from purposeguard.adapters.sqlalchemy.tags import Catalogue, Where
from purposeguard.adapters.sqlalchemy.watch import WHAT, Watch
from purposeguard.adapters.tables import several
from purposeguard.errors import UnknownSource, UnlabelledData, UnresolvedStatement
from purposeguard.guard import Guard
from purposeguard.runtime.use import present

E = TypeVar("E", Engine, AsyncEngine)


def protect(
    engine: E,
    guard: Guard,
    *where: Where,
    not_personal: Iterable[object] = (),
    functions: Iterable[str] = (),
    tags: Mapping[Any, object] = MappingProxyType({}),
) -> E:
    """Guards an engine, where it stands, and gives it.

    `where` are the declarative bases, registries or `MetaData` whose tables may be used; `not_personal` those of them
    that carry no tags because nothing in them is personal: classes, tables or names. `functions` names those of the
    database's own that read nothing but what they are given; statements with others that are not known are refused.
    `tags` tells tables that somebody else wrote, by class, table or name: each by a tagged class, or by a mapping of
    all its columns.

    Do it where the engine is made: a connection of the driver that was taken from it before is not guarded.

    Warns, `UntaggedKey`, where a foreign key that is marked `Subject` carries no source.

    Raises:
        TypeError: what is to be guarded is no engine; no tables are given, or by something else.
        UnknownSource, UnlabelledData: `tags` name no source of the guard's notice, or say nothing of a column.
        UnresolvedStatement: this version of SQLAlchemy does not do what a guarded engine relies on.
        ValueError: the engine is guarded already.
    """
    must_be_known()
    if not where:
        raise TypeError("say where the tables are: `protect(engine, guard, Base)`")
    if not isinstance(engine, (Engine, AsyncEngine)):
        raise TypeError(f"`protect` guards an engine, not {type(engine).__name__}: give what `create_engine` gave")
    given: Any = engine
    sync: Engine = given.sync_engine if isinstance(given, AsyncEngine) else given
    if watch_of(sync) is not None:
        raise ValueError("the engine is guarded already, and it is guarded once")
    functions = tuple(several(functions, "functions", '["name"]'))
    catalogue = Catalogue(guard._engine.snapshot.matrix.history, where, not_personal, tags)
    watch = Watch(guard, catalogue, sync.dialect, functions)
    guard_engine(sync, watch)
    with suppress(
        UnlabelledData, UnknownSource
    ):  # it is said where a statement is executed; it may be mended until then
        catalogue.refresh()
        watch.warn_of_keys(stacklevel=2)
    return engine


def permitted(bind: Any, table: Any, *names: str) -> Subquery:
    """The rows of a table that the purpose under way may use, to be selected from in statements of Core.

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
    found: TableClause = getattr(table, "__table__", table)
    name, columns = watch.catalogue.find(found)
    own = {column.name: column for column in found.columns}
    engine = watch.decider.engine
    # Where it is only observed that none is under way, that is told when the statement is executed.
    use = engine.ambient() if engine.observing else present(engine, WHAT)
    if use is None or use.absence() is not None or watch.observes(use):
        return select(*(own[one] for one in names or own)).subquery(found.name)
    chosen = names or tuple(one for one in own if one not in watch.decider.denied(use, columns, own, name))
    rule = watch.decider.rule(use, columns, chosen, name)
    statement = select(*(own[one] for one in chosen))
    if rule is not None:
        statement = statement.where(watch.rows.test(rule, name, found).element)
    return statement.subquery(found.name)
