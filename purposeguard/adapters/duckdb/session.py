"""The guarded connection to DuckDB, which analyses, decides and narrows each statement before it runs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Final, NoReturn, Self

import pyarrow as pa

from purposeguard.adapters.duckdb.explanation import Explanation
from purposeguard.adapters.duckdb.lineage import (
    DuckdbStatement,
    World,
    columns_to_show,
    must_be_query,
    tags_of_outputs,
)
from purposeguard.adapters.duckdb.locked import MEMORY, LockedDatabase
from purposeguard.adapters.duckdb.result import Result, add_tags, make_table_fetcher
from purposeguard.adapters.duckdb.rows import ReadyStatement, fill_placeholders, list_source_spellings, quote_name
from purposeguard.adapters.duckdb.tags import merge_tags, source_of
from purposeguard.adapters.enforcement import Decider
from purposeguard.adapters.row_rule import RowRule
from purposeguard.adapters.sql.lineage import Analysis, FlowLabels, list_used_columns
from purposeguard.adapters.sql.tags import Tables
from purposeguard.adapters.tags import NOT_PERSONAL, NOT_PERSONAL_TAG, Revisions, Tag
from purposeguard.errors import UnknownSource, UnresolvedStatement
from purposeguard.guard import Guard
from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
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
    """Open a guarded connection. Close it at the end, or use it as a context manager.

    Args:
        guard: The guard that decides.
        tables: The sources, by the name that statements use: the path of a file (Parquet, Feather, CSV or JSON,
            recognized by its ending), an Arrow table, or a frame of pandas (without its index) or polars. Each
            statement reads Parquet files again and refuses a file that has changed. Everything else is read now and
            kept in memory.
        tags: Tags by table, in any form that `purposeguard.adapters.tags.columns_of` takes, for columns that bear none
            themselves. Columns of Parquet, Feather and Arrow may bear tags, which count. A column without a tag cannot
            be used.
        views: The texts of queries, by the name of the view. They are analysed like statements.
        database: The file of a DuckDB database. Statements can use those of its tables that are in `tags`, by `table`
            or `schema.table`.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: a file does not match its ending, tags name a column that does not exist, or a name is not usable
            or used twice.
        TypeError: a table has an unsupported type.
        UnlabelledData, UnknownSource: a tag cannot be read, belongs to another notice, or contradicts another tag.
        UnresolvedStatement: the tables that a view reads are unknown.
        duckdb.Error: the database cannot be opened, or a view cannot be made.
    """
    revisions = guard.engine.snapshot.matrix.revisions
    _require_usable_names((*tables, *views))
    _require_names_differ_beyond_case([*tables, *views, *(name for name in tags if name not in tables)])
    for text in views.values():
        must_be_query(text)
    sources = {name: source_of(name, data, tags.get(name), revisions) for name, data in tables.items()}
    locked = LockedDatabase(os.fspath(database), sources, observing=guard.engine.observing)
    try:
        columns_by_table = {name: _complete_tags(source.names, source.tags) for name, source in sources.items()}
        own_tags = {name: table_tags for name, table_tags in tags.items() if name not in tables}
        columns_by_table |= _tag_database_tables(locked, own_tags, revisions)
        _require_tables_absent_from_database(locked, (*tables, *views))
        runner = Runner(guard, Tables(revisions, columns_by_table, views, guard.tags), locked)
        locked.add_views(views)
    except BaseException:
        locked.close()
        raise
    return Connection(runner.run, runner.explain, locked.close)


class Connection:
    """A guarded connection to DuckDB, made by `connect`. Threads may share it: each statement has its own cursor.

    The connection offers no other way to its tables, and does not expose the real connection. Outside a purpose, it
    returns only data that are not personal.
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
        """Run one statement for the purpose that is under way, and return its rows.

        The statement is a query, `CREATE TABLE … AS`, or a statement that writes to a table of the database. A created
        table gets the tags of what flows into it. The tags of an existing table must cover what flows into it.

        All rows are read before the method returns. See `Result` for how long you can fetch them.

        In observe mode any text runs as it is. What would have been refused is reported to the observers.

        Args:
            text: The statement.
            parameters: Values for `?`, `$1` and `$name`. They count as not personal.

        Raises:
            PurposeMissing: the statement uses personal data, and no purpose is under way.
            PurposeViolation: the purpose may not use a column; `field` names the first one, as in `customer.email`.
            UnlabelledData: the statement uses a column without a tag, or a table that this connection does not have.
            UnresolvedStatement: the tables that it reads are unknown, it is of another kind, or a file has changed.
            FlowViolation: the statement would write data that the tags of the target do not cover.
            UnknownSource: a row names an unknown source.
            duckdb.Error: DuckDB refused the statement, or failed. The message contains no values.
        """
        return self._run(text, parameters)

    def explain(self, text: str) -> Explanation:
        """Explain what a statement would use and return, and whether the current purpose may use each column.

        Nothing is run, and no column is refused.

        Raises:
            PurposeMissing: no purpose is under way.
            UnlabelledData: it names a table that this connection does not have, or a table whose row source is missing.
            UnresolvedStatement: the tables that it reads are unknown, or it is of another kind.
            TypeError, StoreUnavailable: governance has no roster of all subjects, or the roster cannot be read now.
        """
        return self._explain(text)

    def close(self) -> None:
        """Close the connection. Results that were read before stay valid."""
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
    """The part of a connection that runs statements for the purpose that is under way. Threads may share it."""

    def __init__(self, guard: Guard, tables: Tables, locked: LockedDatabase) -> None:
        self._decider: Final = Decider(guard)
        self._decider.declare(tables)
        self._locked: Final = locked
        self._world = World(tables, self._decider, locked)
        self._lock: Final = make_lock()  # guards the world and the statements in it

    def run(self, text: str, parameters: Parameters) -> Result:
        """Run a statement, as `Connection.sql` does."""
        if self._decider.is_observing():
            return self._run_observed(text, parameters)
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
            ready = fill_placeholders(statement.narrowed, rules, types, {})
            return self._run(statement, ready, parameters, rules, use)
        except UnknownSource:
            spellings = self._read_spellings(rules)
            if not any(spellings.values()):
                raise
        ready = fill_placeholders(statement.narrowed, rules, types, spellings)
        return self._run(statement, ready, parameters, rules, use)

    def _run_observed(self, text: str, parameters: Parameters) -> Result:
        """Run any text unchanged, and report what it would have been refused for."""
        with self._lock:
            world = self._world
        event, columns = world.reachable.describe(text)
        statement: DuckdbStatement | None = None
        use: Use[Any] | None = None
        with self._decider.report_unresolved(event, columns):
            with self._lock:
                statement = world.statement(text)
            use, _ = self._decide(statement, world)
            FlowLabels(world.tables).must_cover(statement.read, narrowed=False)
            self._locked.require_unchanged()
        table, types = self._locked.run_unchanged(text, parameters)
        if statement is None:  # Its rows may come from anything.
            label = Label.join(NOT_PERSONAL, *(label for _, label in world.reachable.all_columns))
            outputs = [Tag(label)] * table.num_columns
        else:
            outputs = self._label_observed(statement, world, table.schema.names)
        table = add_tags(table, types, outputs, self._decider.revisions)
        read_tables = () if statement is None else statement.demand.tables
        fetch_table = make_table_fetcher(self._decider.engine, use, table, read_tables)
        return Result(table.schema.names, outputs, fetch_table, types)

    def _label_observed(self, statement: DuckdbStatement, world: World, names: Sequence[str]) -> list[Tag]:
        """Return the tags of the columns that an analysed statement returned. Remember the table that it created."""
        analysis, labels = statement.read.analysis, FlowLabels(world.tables)
        if statement.made is None and analysis.outputs:
            return tags_of_outputs(names, analysis, labels)
        if statement.made is not None:
            with self._lock:
                self._add_table(statement.made, analysis, labels)
        return [NOT_PERSONAL_TAG] * len(names)  # the number of rows

    def explain(self, text: str) -> Explanation:
        """Explain a statement, as `Connection.explain` does."""
        with self._lock:
            return self._world.explain(text)

    def _decide(self, statement: DuckdbStatement, world: World) -> tuple[Use[Any] | None, dict[str, RowRule | None]]:
        """Check the statement. Return the use under way and the row rule of each table.

        The use is None if nothing personal is used, or if a missing purpose is only observed.
        """
        demand = statement.demand
        if not demand.is_personal:
            return None, {}
        if self._decider.engine.observers.read:
            self._decider.report_read(demand.columns)
        use = self._decider.current_use(demand.kind, demand.tables)
        if use is None:
            return None, {}  # a missing purpose is only observed
        rules: dict[str, RowRule | None] = {}
        if demand.rows and not use.activity.observing:
            used = list_used_columns(world.tables, statement.read.analysis)
            for _, table, _ in demand.rows:
                if table not in rules:
                    rules[table] = self._decider.make_row_rule(use, *used[table], table)
        self._decider.check_demand_under(use, demand, rules)
        return use, rules

    def _read_spellings(self, rules: Mapping[str, RowRule | None]) -> dict[str, list[str]]:
        """Return all spellings of sources in the rows, by table.

        Row conditions know only the usual spellings, while the notice accepts more.
        """
        spellings: dict[str, list[str]] = {}
        for table, rule in rules.items():
            if rule is not None and rule.source is not None:
                values = self._locked.read_distinct_values(table.split("."), rule.source)
                spellings[table] = list_source_spellings(rule.notice, values)
        return spellings

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
            return self._create_table(statement.made, analysis, ready, parameters, rules)
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
        fetch_table = make_table_fetcher(self._decider.engine, use, table, statement.demand.tables)
        return Result(table.schema.names, outputs, fetch_table, types)

    def _create_table(
        self,
        name: str,
        analysis: Analysis,
        ready: ReadyStatement,
        parameters: Parameters,
        rules: Mapping[str, RowRule | None],
    ) -> Result:
        """Create a table from a query. Its columns get the tags of what flows into them."""
        with self._lock:
            self._world.must_be_new(name)
            create = ReadyStatement(
                f"CREATE TABLE {quote_name(name)} AS {ready.text}", ready.key_tables, ready.rules_by_mark
            )
            count = self._locked.write(create, parameters, columns_to_show(analysis, rules))
            self._locked.require_unchanged()
            self._add_table(name, analysis, FlowLabels(self._world.tables, rules))
        return _make_count_result(count)

    def _add_table(self, name: str, analysis: Analysis, labels: FlowLabels) -> None:
        """Add a table that was created to those that statements may name."""
        names = list(self._locked.read_types((name,)))
        tags = tags_of_outputs(names, analysis, labels)
        self._world = self._world.with_table(name, dict(zip(names, tags, strict=True)))


def _make_count_result(count: int) -> Result:
    table = pa.table({"Count": [count]})
    return Result(["Count"], [NOT_PERSONAL_TAG], lambda: table)


def _tag_database_tables(
    locked: LockedDatabase, tags: Mapping[str, object], revisions: Revisions
) -> dict[str, dict[str, Tag | None]]:
    """Return the tag of every column of the database's own tables that have tags, by table."""
    columns_by_table: dict[str, dict[str, Tag | None]] = {}
    for name, table_tags in tags.items():
        names = list(locked.read_types(name.split(".")))
        merged_tags = merge_tags(f"table `{name}`", names, NOTHING, table_tags, revisions)
        columns_by_table[name] = _complete_tags(names, merged_tags)
    return columns_by_table


def _complete_tags(names: Iterable[str], tags: Mapping[str, Tag]) -> dict[str, Tag | None]:
    """Return the tag of every column of a table, in order, with None for columns without a tag."""
    return {name: tags.get(name) for name in names}


def _require_tables_absent_from_database(locked: LockedDatabase, names: Iterable[str]) -> None:
    """Raise ValueError if the database has a table of one of these names."""
    for name in names:
        if locked.has_table(name):
            raise ValueError(f"the database has a table `{name}` already: call the other one otherwise")


def _require_usable_names(names: Iterable[str]) -> None:
    """Raise ValueError if one of these cannot be the name of a source or view."""
    for name in names:
        if not name.strip() or "." in name or "\0" in name:
            raise ValueError(f"`{name}` is no name for a table here: give one without dots")


def _require_names_differ_beyond_case(names: Sequence[str]) -> None:
    """Raise ValueError if two names differ only in case, which DuckDB ignores."""
    seen: dict[str, str] = {}
    for name in names:
        key = name.lower()
        if key in seen:
            raise ValueError(f"`{seen[key]}` and `{name}` are one name to DuckDB: call one of them otherwise")
        seen[key] = name
