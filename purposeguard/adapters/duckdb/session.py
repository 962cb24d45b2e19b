"""The guarded connection to DuckDB, and how it runs a statement: read, decided, narrowed, and run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Final, NoReturn, Self

import pyarrow as pa

from purposeguard.adapters.duckdb.lineage import (
    DuckdbStatement,
    Explanation,
    World,
    columns_to_show,
    must_be_query,
    tags_of_outputs,
)
from purposeguard.adapters.duckdb.locked import MEMORY, LockedDatabase
from purposeguard.adapters.duckdb.result import Result, add_tags, holding
from purposeguard.adapters.duckdb.rows import ReadyStatement, quote_name, readable, with_conditions
from purposeguard.adapters.duckdb.tags import merge_tags, source_of
from purposeguard.adapters.enforcement import Decider
from purposeguard.adapters.row_rule import RowRule
from purposeguard.adapters.sql.lineage import Analysis, FlowLabels, list_used_columns
from purposeguard.adapters.sql.tags import Tables
from purposeguard.adapters.tags import Tag
from purposeguard.errors import UnknownSource, UnresolvedStatement
from purposeguard.guard import Guard
from purposeguard.locks import make_lock
from purposeguard.runtime.use import Use

Parameters = Sequence[Any] | Mapping[str, Any] | None

NOTHING: Mapping[str, Any] = MappingProxyType({})


def connect(
    guard: Guard,
    tables: Mapping[str, object],
    *,
    tags: Mapping[str, object] = NOTHING,
    views: Mapping[str, str] = NOTHING,
    database: str | os.PathLike[str] = MEMORY,
) -> Connection:
    """Open a guarded connection, to be closed at the end; also a context manager.

    `tables`: by the name that statements call it, the path of a file (Parquet, Feather, CSV or JSON, by its ending), a
    table of Arrow, or a frame of pandas (without its index) or polars. Parquet is read where it lies, by each statement
    anew, and a file that changes meanwhile is refused; everything else is read now, and kept in memory.

    `tags`: by name, what `purposeguard.adapters.tags.columns_of` takes, for columns that say nothing of themselves:
    those of Parquet, Feather and Arrow may bear tags, and what they say counts. A column without a tag cannot be used.

    `views`: by name, the texts of queries, which are looked into. `database`: the file of a DuckDB database; those of
    its tables can be named that are in `tags`, by `table` or `schema.table`.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: a file is not of its kind, tags name a column that it does not have, or a name is none, or two.
        TypeError: a table is given as something else.
        UnlabelledData, UnknownSource: a tag cannot be read, is of another notice, or contradicts another one.
        UnresolvedStatement: what a view reads is unknown.
        duckdb.Error: the database cannot be opened, or a view not be made.
    """
    revisions = guard._engine.snapshot.matrix.revisions
    for name in (*tables, *views):
        if not name.strip() or "." in name or "\0" in name:
            raise ValueError(f"`{name}` is no name for a table here: give one without dots")
    _refuse_alike([*tables, *views, *(name for name in tags if name not in tables)])
    for text in views.values():
        must_be_query(text)
    sources = {name: source_of(name, data, tags.get(name), revisions) for name, data in tables.items()}
    locked = LockedDatabase(os.fspath(database), sources)
    try:
        known = {name: _with_all(source.names, source.tags) for name, source in sources.items()}
        for name, table_tags in tags.items():
            if name in tables:
                continue
            names = list(locked.types_of(name.split(".")))
            known[name] = _with_all(names, merge_tags(f"table `{name}`", names, NOTHING, table_tags, revisions))
        _refuse_shadows(locked, (*tables, *views))
        runner = Runner(guard, Tables(revisions, known, views), locked)
        locked.show(views)
    except BaseException:
        locked.close()
        raise
    return Connection(runner.run, runner.explain, locked.close)


class Connection:
    """A guarded connection to DuckDB, made by `connect`. From any thread: each statement has a cursor of its own.

    It has no other way to its tables, and shows the real connection nowhere. Outside a purpose it answers what is not
    personal.
    """

    __slots__ = ("__weakref__", "_close", "_explain", "_run")

    def __init__(
        self,
        run: Callable[[str, Sequence[Any] | Mapping[str, Any] | None], Result],
        explain: Callable[[str], Explanation],
        close: Callable[[], None],
    ) -> None:
        self._run = run
        self._explain = explain
        self._close = close

    def sql(self, text: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> Result:
        """Run one statement for the purpose that is under way, and give its rows.

        A query, `CREATE TABLE … AS`, whose table gets the tags of what flows into it, or a statement that writes to a
        table of the database, whose tags must cover what flows into it. `parameters`: values for `?`, `$1` and `$name`.
        They count as values about nobody.

        All rows are read before it returns. See `Result` for how long they are handed out.

        Raises:
            PurposeMissing: it uses personal data, and no purpose is under way.
            PurposeViolation: the purpose may not use a column of it; `field` names the first, as `customer.email`.
            UnlabelledData: it uses a column without a tag, or names a table that is none of this connection.
            UnresolvedStatement: what it reads is unknown, it is none of these kinds, or a file has changed.
            FlowViolation: it would write what the tags of the target do not cover.
            UnknownSource: a row names a source that is none.
            duckdb.Error: DuckDB refused it, or failed. Its message tells no values.
        """
        return self._run(text, parameters)

    def explain(self, text: str) -> Explanation:
        """What a statement would use and give, and whether the present purpose may use each column.

        Nothing is run, and no column is refused.

        Raises:
            PurposeMissing: no purpose is under way.
            UnlabelledData: it names a table that is none of this connection, or none says of which source its rows are.
            UnresolvedStatement: what it reads is unknown, or it is none of these kinds.
            TypeError, StoreUnavailable: governance has no roster of all subjects, or it cannot be read now.
        """
        return self._explain(text)

    def close(self) -> None:
        """Close it. What was read stays as it is."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a connection is not pickled or copied: open another one")

    def __repr__(self) -> str:
        return "<guarded Connection to DuckDB>"


class Runner:
    """Runs statements for the purpose that is under way. From any thread."""

    def __init__(self, guard: Guard, tables: Tables, locked: LockedDatabase) -> None:
        self._decider: Final = Decider(guard)
        self._decider.declare(tables)
        self._locked: Final = locked
        self._world = World(tables, self._decider, locked)
        self._lock: Final = make_lock()  # of the world, and of the statements in it

    def run(self, text: str, parameters: Parameters) -> Result:
        """See `Connection.sql`."""
        with self._lock:
            world = self._world
            statement = world.statement(text)
        use, rules = self._decide(statement, world)
        FlowLabels(world.tables, rules).must_cover(statement.read)
        self._locked.require_unchanged()
        if statement.narrowed is None or not rules:
            return self._run(statement, ReadyStatement(statement.query, {}, {}), parameters, rules, use)
        types = {table: world.types(table) for table in rules}
        try:
            ready = with_conditions(statement.narrowed, rules, types, {})
            return self._run(statement, ready, parameters, rules, use)
        except UnknownSource:
            others = self._spellings(rules)
            if not any(others.values()):
                raise
        ready = with_conditions(statement.narrowed, rules, types, others)
        return self._run(statement, ready, parameters, rules, use)

    def explain(self, text: str) -> Explanation:
        """See `Connection.explain`."""
        with self._lock:
            return self._world.explain(text)

    def _decide(self, statement: DuckdbStatement, world: World) -> tuple[Use[Any] | None, dict[str, RowRule | None]]:
        """Return the use that is under way, where anything personal is used, and which rows of tables it may use."""
        demand = statement.demand
        if not demand.is_personal:
            return None, {}
        use = self._decider.current_use(demand.kind, demand.tables)
        if use is None:
            return None, {}  # a missing purpose is only observed
        rules: dict[str, RowRule | None] = {}
        if demand.rows and not use.activity.observing:
            used = list_used_columns(world.tables, statement.read.analysis)
            for table in dict.fromkeys(table for _, table, _ in demand.rows):
                rules[table] = self._decider.make_row_rule(use, *used[table], table)
        self._decider.check_demand_under(use, demand, rules)
        return use, rules

    def _spellings(self, rules: Mapping[str, RowRule | None]) -> dict[str, list[str]]:
        """How rows spell their sources, by table: conditions know usual spellings alone, and the notice reads all."""
        return {
            table: readable(rule.notice, self._locked.distinct(table.split("."), rule.source))
            for table, rule in rules.items()
            if rule is not None and rule.source is not None
        }

    def _run(
        self,
        statement: DuckdbStatement,
        ready: ReadyStatement,
        parameters: Parameters,
        rules: Mapping[str, RowRule | None],
        use: Use[Any] | None,
    ) -> Result:
        analysis = statement.read.analysis
        shown = columns_to_show(analysis, rules)
        if statement.made is not None:
            return self._make(statement.made, analysis, ready, parameters, rules)
        if analysis.kind != "select":
            if analysis.outputs:
                raise UnresolvedStatement("RETURNING is not looked into here: ask for the rows by a query of its own")
            count = self._locked.write(ready, parameters, shown)
            self._locked.require_unchanged()
            return _make_count_result(count)
        table, types = self._locked.read(ready, parameters, shown)
        self._locked.require_unchanged()
        outputs = tags_of_outputs(table.schema.names, analysis, FlowLabels(self._world.tables, rules))
        table = add_tags(table, types, outputs, self._decider.revisions)
        held = holding(self._decider.engine, use, table, statement.demand.tables)
        return Result(table.schema.names, outputs, held, types)

    def _make(
        self,
        name: str,
        analysis: Analysis,
        ready: ReadyStatement,
        parameters: Parameters,
        rules: Mapping[str, RowRule | None],
    ) -> Result:
        """Make a table of a query; its columns get the tags of what flows into them."""
        with self._lock:
            self._world.must_be_new(name)
            create = ready._replace(text=f"CREATE TABLE {quote_name(name)} AS {ready.text}")
            count = self._locked.write(create, parameters, columns_to_show(analysis, rules))
            self._locked.require_unchanged()
            names = list(self._locked.types_of((name,)))
            tags = tags_of_outputs(names, analysis, FlowLabels(self._world.tables, rules))
            self._world = self._world.with_table(name, dict(zip(names, tags, strict=True)))
        return _make_count_result(count)


def _make_count_result(count: int) -> Result:
    table = pa.table({"Count": [count]})
    return Result(["Count"], [Tag()], lambda: table)


def _with_all(names: Iterable[str], tags: Mapping[str, Tag]) -> dict[str, Tag | None]:
    """Return all columns of a table, in their order; None for those without a tag."""
    return {name: tags.get(name) for name in names}


def _refuse_shadows(locked: LockedDatabase, names: Iterable[str]) -> None:
    for name in names:
        if locked.has(name):
            raise ValueError(f"the database has a table `{name}` already: call the other one otherwise")


def _refuse_alike(names: Sequence[str]) -> None:
    """DuckDB does not tell capitals from small letters in names."""
    seen: dict[str, str] = {}
    for name in names:
        key = name.lower()
        if key in seen:
            raise ValueError(f"`{seen[key]}` and `{name}` are one name to DuckDB: call one of them otherwise")
        seen[key] = name
