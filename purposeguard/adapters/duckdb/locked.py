"""The real connection to DuckDB, locked before the first statement as a second wall behind the analysis.

The connection reads only the files that were passed to it, loads no extensions, and its settings cannot change, unless
the guard only observes. Each source is a view. For each statement, the view returns nulls in place of the columns that
the analysis did not find in the statement, as far as they can be hidden. So a column that the analysis missed is not
read.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import duckdb
import pyarrow as pa

from purposeguard.adapters.duckdb.rows import ReadyStatement, quote_name, quote_text
from purposeguard.adapters.duckdb.tags import OFFLINE, DuckdbSource, Parquet
from purposeguard.errors import UnresolvedStatement
from purposeguard.locks import make_lock

_SQL_RUNS_ANYTHING: Final = int(duckdb.__version__.partition(".")[0]) >= 2
"""True if `sql` returns a relation for any statement. DuckDB 2 does, and advises against Arrow tables of `execute`."""

T = TypeVar("T")

MEMORY: Final = ":memory:"

MAX_SPELLINGS: Final = 10_000
"""Maximum number of distinct source spellings that are read from a column."""

_ERRORS_WITHOUT_VALUES: Final = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.SyntaxException,
)
"""Errors whose messages name columns and types but no values."""

_UNKNOWN_ITEMS: Final = frozenset({"SHOW_REF", "COLUMN_DATA", "BOUND_TABLE_REF", "DELIM_GET"})
"""Items of FROM that are not relations with known columns."""

MAX_HIDEABLE_COLUMNS: Final = 1000
"""Maximum number of columns for hiding unused ones. With more columns, making the view takes too long."""

Shown = Mapping[str, Collection[str]]
"""The columns that a statement uses, by source. The statement uses no columns of a source that is missing here."""


class LockedCursor:
    """A cursor with a view of each source. Only one thread may use it at a time."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        sources: Mapping[str, DuckdbSource],
        registered_names: Mapping[str, str],
        hideable: Mapping[str, frozenset[str]],
    ) -> None:
        """Create the views of all sources.

        Args:
            connection: The DuckDB cursor.
            sources: The sources, by name.
            registered_names: The random names under which Arrow tables are registered, by source.
            hideable: The columns of each source that can be hidden.
        """
        self.connection: Final = connection
        self._sources: Final = sources
        self._hideable: Final = hideable
        self._relations_below_views: Final[dict[str, str]] = {}
        self._hidden: Final[dict[str, frozenset[str]]] = {}
        for name, source in sources.items():
            if isinstance(source.data, Parquet):
                self._relations_below_views[name] = (
                    f"read_parquet({quote_text(source.data.path)}, hive_partitioning=false, union_by_name=false)"
                )
            else:
                connection.register(registered_names[name], source.data)
                self._relations_below_views[name] = quote_name(registered_names[name])
            self._make_view(name, frozenset())

    def show(self, shown: Shown) -> None:
        """Hide all hideable columns except these."""
        for name in self._sources:
            hidden = self._hideable.get(name, frozenset[str]()).difference(shown.get(name, ()))
            if self._hidden[name] != hidden:
                self._make_view(name, hidden)

    def find_hideable(self, name: str) -> frozenset[str]:
        """Return the columns of a source that can be hidden.

        These are the columns that keep their type when nulls replace their values. Views over the source rely on it.
        """
        source = self._sources[name]
        if len(source.names) > MAX_HIDEABLE_COLUMNS:
            return frozenset()
        shown: Any = self.connection.sql(f"FROM {quote_name(name)}")
        hidden: Any = shown.project(", ".join(map(_hide_column, source.names)))
        hideable: set[str] = set()
        for column, type_, hidden_type in zip(source.names, shown.types, hidden.types, strict=True):
            if str(type_) == str(hidden_type):
                hideable.add(column)
        return frozenset(hideable)

    def _make_view(self, name: str, hidden: Collection[str]) -> None:
        """Make the view of a source, with nulls in the hidden columns."""
        names = self._sources[name].names
        columns = ", ".join(_hide_column(column) if column in hidden else quote_name(column) for column in names)
        rows = f"SELECT {columns} FROM {self._relations_below_views[name]}"  # noqa: S608  # names and paths in quotes
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {quote_name(name)} AS {rows}")
        self._hidden[name] = frozenset(hidden)

    def add_views(self, views: Mapping[str, str]) -> None:
        """Create views from the texts of their queries, by name."""
        for name, text in views.items():
            self.connection.execute(f"CREATE TEMP VIEW {quote_name(name)} AS {text}")


def _hide_column(column: str) -> str:
    """Return SQL for a column of nulls with the name and usually the type of `column`. DuckDB makes it a constant."""
    return f"CASE WHEN false THEN {quote_name(column)} END AS {quote_name(column)}"


class QueryRows(NamedTuple):
    """The rows that a query returned, and DuckDB's names for the types of their columns."""

    table: pa.Table
    types: list[str]


class LockedDatabase:
    """A DuckDB database from which only its own tables and the given relations can be reached, unless it only observes.

    It lends a cursor to each statement.
    """

    def __init__(self, database: str, sources: Mapping[str, DuckdbSource], *, observing: bool = False) -> None:
        """Open and lock the database.

        Args:
            database: The file of the database, or `MEMORY`.
            sources: The sources, by name.
            observing: True to leave the database open, for a guard that only observes.

        Raises:
            FileNotFoundError: there is no such database.
            UnresolvedStatement: the database defines macros, whose reads cannot be analysed.
        """
        if database != MEMORY and not Path(database).is_file():
            raise FileNotFoundError(f"there is no database {database}: name the file of one, or leave it out")
        self._sources: Final = dict(sources)
        self._views: Mapping[str, str] = {}
        # Random, so that statements reach registered tables only through their views.
        self._registered_names: Final = {name: f"purposeguard_{secrets.token_hex(8)}" for name in sources}
        self._hideable: Final[dict[str, frozenset[str]]] = {}
        self._root: Final = duckdb.connect(
            database, config={"python_enable_replacements": "false"} if observing else dict(OFFLINE)
        )
        self._idle: Final[list[LockedCursor]] = []
        self._connections: Final[list[duckdb.DuckDBPyConnection]] = []
        self._lock: Final = make_lock()  # guards the two lists
        self._closed = False
        self._may_have_new_macros = observing
        try:
            if not observing:
                if database != MEMORY:  # a database in memory is new and has no macros
                    _refuse_macros(self._root)
                self._lock_down()
            with self.lend_cursor():
                pass  # A broken source raises now.
            (cursor,) = self._idle
            for name in sources:
                self._hideable[name] = cursor.find_hideable(name)
        except BaseException:
            self.close()
            raise

    def _lock_down(self) -> None:
        """Let the connection read only the files of its sources, and keep its settings from being changed."""
        paths = [source.data.path for source in self._sources.values() if isinstance(source.data, Parquet)]
        self._root.execute(f"SET allowed_paths = [{', '.join(map(quote_text, paths))}]")
        self._root.execute("SET enable_external_access = false")
        self._root.execute("SET lock_configuration = true")

    # ---- cursors ---------------------------------------------------------------------------------------------------

    @contextmanager
    def lend_cursor(self, shown: Shown | None = None) -> Generator[duckdb.DuckDBPyConnection]:
        """Lend a cursor to the current thread.

        Args:
            shown: The columns whose values the views of the sources show. The others are nulls, if they can be hidden.
                If None, the views show what they showed to the cursor's last statement, or everything to its first.

        Raises:
            duckdb.ConnectionException: the connection is closed.
        """
        with self._lock:
            if self._closed:
                raise duckdb.ConnectionException("the connection is closed")
            cursor = self._idle.pop() if self._idle else None
        if cursor is None:
            connection = self._root.cursor()
            with self._lock:
                self._connections.append(connection)
            cursor = LockedCursor(connection, self._sources, self._registered_names, self._hideable)
            cursor.add_views(self._views)
        try:
            if shown is not None:
                cursor.show(shown)
            yield cursor.connection
        finally:
            with self._lock:
                self._idle.append(cursor)

    def add_views(self, views: Mapping[str, str]) -> None:
        """Add views. Call this before any statement runs.

        Raises:
            duckdb.Error: the query of a view is wrong.
        """
        self._views = dict(views)
        for cursor in self._idle:
            cursor.add_views(views)

    def close(self) -> None:
        """Close the database and all cursors."""
        with self._lock:
            self._closed = True
            connections = [*self._connections, self._root]
            self._idle.clear()
            self._connections.clear()
        for connection in connections:
            connection.close()

    # ---- statements ----------------------------------------------------------------------------------------------

    def has_table(self, name: str) -> bool:
        """Return True if the database has a table or view of this name."""
        with self.lend_cursor() as cursor:
            rows = cursor.execute(
                "SELECT 1 FROM information_schema.tables "
                "WHERE lower(table_name) = lower(?) AND table_catalog <> 'temp' LIMIT 1",
                [name],
            ).fetchall()
        return bool(rows)

    def require_unchanged(self) -> None:
        """Raise UnresolvedStatement if a file has changed since its tags were read."""
        for source in self._sources.values():
            if isinstance(source.data, Parquet):
                source.data.check()

    def read_types(self, parts: Sequence[str]) -> dict[str, Any]:
        """Return the types of a table's columns, by name.

        Raises:
            duckdb.CatalogException: there is no such table.
        """
        with self.lend_cursor() as cursor:
            relation = cursor.sql(f"FROM {'.'.join(map(quote_name, parts))}")
            return dict(zip(relation.columns, relation.types, strict=True))

    def read_distinct_values(self, parts: Sequence[str], column: str) -> list[Any]:
        """Return the distinct values of a column, up to `MAX_SPELLINGS`."""
        with self.lend_cursor({".".join(parts): (column,)}) as cursor:
            table, name = ".".join(map(quote_name, parts)), quote_name(column)
            rows = cursor.execute(f"SELECT DISTINCT {name} FROM {table} LIMIT {MAX_SPELLINGS}").fetchall()  # noqa: S608  # quoted
        return list(map(itemgetter(0), rows))

    def read(self, statement: ReadyStatement, parameters: Any, shown: Shown) -> QueryRows:
        """Run a query. Return all its rows, with DuckDB's names for the types of their columns."""

        def run(cursor: duckdb.DuckDBPyConnection) -> QueryRows:
            relation: Any = cursor.sql(statement.text, params=parameters)
            if relation is None:
                raise UnresolvedStatement("DuckDB says that the statement returns no rows")
            return QueryRows(relation.to_arrow_table(), list(map(str, relation.types)))

        return self._run_and_redact_errors(run, statement, shown)

    def write(self, statement: ReadyStatement, parameters: Any, shown: Shown) -> int:
        """Run a statement that writes. Return the number of rows that it wrote."""

        def run(cursor: duckdb.DuckDBPyConnection) -> int:
            rows = cursor.execute(statement.text, parameters).fetchall()
            return rows[0][0] if rows and isinstance(rows[0][0], int) else 0

        return self._run_and_redact_errors(run, statement, shown)

    def run_unchanged(self, text: str, parameters: Any) -> QueryRows:
        """Run any text with all columns visible. Return the rows of its last statement. Errors are those of DuckDB."""
        everything = {name: source.names for name, source in self._sources.items()}
        self._may_have_new_macros = True
        with self.lend_cursor(everything) as cursor:
            relation: Any = cursor.sql(text, params=parameters) if _SQL_RUNS_ANYTHING else None
            if relation is not None:
                return QueryRows(relation.to_arrow_table(), list(map(str, relation.types)))
            done: Any = cursor.execute(text, parameters)
            types = [str(column[1]) for column in done.description or ()]
            fetch = getattr(done, "to_arrow_table", None) or done.fetch_arrow_table  # the second before DuckDB 1.5
            return QueryRows(fetch(), types)

    def _run_and_redact_errors(
        self, run: Callable[[duckdb.DuckDBPyConnection], T], statement: ReadyStatement, shown: Shown
    ) -> T:
        """Call `run` with a cursor, and return its result. Remove values from the messages of DuckDB's errors.

        An error could otherwise show values of rows that the statement must leave out.

        Raises:
            UnresolvedStatement: a text that was only observed has defined a macro, which may have any name.
        """
        with self.lend_cursor(shown) as cursor:
            if self._may_have_new_macros:  # Only the cursor that runs the statement knows its temporary macros.
                _refuse_macros(cursor)
            try:
                for name, table in statement.key_tables.items():
                    cursor.register(name, table)
                return run(cursor)
            except duckdb.Error as error:
                kind = type(error)
                text = _shorten_message(error) if isinstance(error, _ERRORS_WITHOUT_VALUES) else None
                translated = statement.translate_error(str(error))
            finally:
                for name in statement.key_tables:
                    cursor.unregister(name)
        if translated is not None:
            raise translated
        raise kind(text or f"{kind.__name__} while it ran: what DuckDB says of it may hold values, and is left out")

    # ---- second analysis -------------------------------------------------------------------------------------------

    def verify_with_own_parser(self, text: str, names: Iterable[str], functions: frozenset[str]) -> None:
        """Check a query with DuckDB's own parser, which may find relations that the analysis missed.

        Args:
            text: The text of the query.
            names: The relations that it may name, in lower case.
            functions: The functions that it may call in FROM.

        Raises:
            UnresolvedStatement: the query names another relation or function, or DuckDB does not parse it as one query.
        """
        self.must_be_one(text, duckdb.StatementType.SELECT)
        relations: set[str] = set()
        allowed = set(names)
        for node in _iter_nodes(self._parse_query(text)):
            relation = _find_relation(node, functions)
            if relation is not None:
                relations.add(relation)
            allowed.update(_iter_common_tables(node))
        for name in sorted(relations - allowed):
            raise UnresolvedStatement(f"`{name}` is none of the tables here")

    def _parse_query(self, text: str) -> list[Any]:
        """Return the tree of a query as DuckDB's own parser writes it, in a list.

        Raises:
            UnresolvedStatement: DuckDB does not parse the text as one query.
        """
        with self.lend_cursor() as cursor:
            # All rows are fetched, because a later statement of the cursor fails after a partial fetch.
            ((written,),) = cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchall()
        try:
            tree = json.loads(written)
        except RecursionError:
            tree = {}
        statements = tree.get("statements")
        if tree.get("error") is not False or not isinstance(statements, list) or len(statements) != 1:
            raise UnresolvedStatement("DuckDB itself does not read the statement as one query")
        return statements

    def must_be_one(self, text: str, kind: duckdb.StatementType) -> None:
        """Raise UnresolvedStatement unless DuckDB parses the text as exactly one statement of this kind."""
        with self.lend_cursor() as cursor:
            try:
                statements = cursor.extract_statements(text)
                why = f"takes it for {len(statements)} statements, or none of {kind.name}"
            except duckdb.ParserException as error:
                statements = []
                why = f"says: {_shorten_message(error)}"
        if len(statements) != 1 or statements[0].type != kind:
            raise UnresolvedStatement(f"DuckDB does not read the statement as it is read here, and {why}")


def _find_relation(node: Mapping[str, Any], functions: frozenset[str]) -> str | None:
    """Return the relation that a node names, in lower case, with its catalog and schema if stated.

    Raises:
        UnresolvedStatement: it is an item of FROM that may read something unknown.
    """
    kind = node.get("type")
    if kind == "BASE_TABLE":
        parts = filter(None, map(node.get, ("catalog_name", "schema_name", "table_name")))
        return ".".join(map(str, parts)).lower()
    if kind == "TABLE_FUNCTION":
        function = node.get("function")
        function_name = str(function.get("function_name") if isinstance(function, dict) else None).lower()
        if function_name not in functions:
            raise UnresolvedStatement(f"`{function_name}` in FROM may read what is not known here")
    elif isinstance(kind, str) and kind in _UNKNOWN_ITEMS:
        raise UnresolvedStatement(f"it cannot be told what {kind} in FROM reads")
    return None


def _iter_common_tables(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the queries that a WITH clause defines, in lower case."""
    common_tables = node.get("cte_map")
    if isinstance(common_tables, dict):
        for entry in common_tables.get("map", ()):
            yield str(entry.get("key")).lower()


def _iter_nodes(tree: object) -> Iterator[Mapping[str, Any]]:
    """Yield all nodes of a statement that DuckDB's parser returned, at any depth."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending += node.values()
        elif isinstance(node, list):
            pending += node


def _refuse_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise UnresolvedStatement if the database defines macros, or the connection temporary ones."""
    macros = connection.execute("SELECT function_name FROM duckdb_functions() WHERE NOT internal LIMIT 1").fetchall()
    for macro in macros:
        raise UnresolvedStatement(
            f"the database defines `{macro[0]}`, a macro, and a statement that calls it does not tell what it reads"
        )


def _shorten_message(error: duckdb.Error) -> str:
    """Return DuckDB's message without the statement that it repeats.

    The statement may hold the ids of subjects whose rows are left out.
    """
    return str(error).partition("\nLINE ")[0].strip()
