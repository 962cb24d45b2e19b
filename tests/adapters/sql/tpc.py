"""TPC-H and TPC-DS in DuckDB: generated tables, the queries that its extensions hold, two ways to tell what is read.

The queries come out of the extensions when the tests run: none of their text is kept here. Other engines run them as
the parser writes them down for these.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import sqlglot

from purposeguard.adapters.sql.tags import Catalog
from tests.adapters.sql.engines import DuckDB, Engine, SQLite

Column = tuple[str, str]

SUITES: Final = {"tpch": ("dbgen", 22), "tpcds": ("dsdgen", 99)}
"""What makes the tables of a suite, and how many queries it has."""

NUMBERS: Final = [(suite, number) for suite, (_, count) in SUITES.items() for number in range(1, count + 1)]


class Suite:
    """One suite: a database with its tables, and its queries by number."""

    def __init__(self, name: str, scale: float) -> None:
        self.connection = duckdb.connect(config={"threads": 1})
        folder = Path(importlib.import_module(f"duckdb_extension_{name}").__path__[0])
        extension = next(folder.rglob(f"{name}.duckdb_extension"))
        self.connection.execute(f"LOAD '{extension}'")
        self.connection.execute(f"CALL {SUITES[name][0]}(sf = {scale})")
        rows = self._all(f"SELECT query_nr, query FROM {name}_queries()")  # noqa: S608  # one of two names
        self.queries: dict[int, str] = dict(rows)
        self.tables: dict[str, list[str]] = {}
        self.types: dict[Column, str] = {}
        for table, column, kind in self._all(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'main' ORDER BY table_name, ordinal_position"
        ):
            self.tables.setdefault(table, []).append(column)
            self.types[table, column] = kind
        self.catalogue = Catalog(self.tables, "duckdb")

    def _all(self, text: str) -> list[Any]:
        return self.connection.execute(text).fetchall()

    def written(self, number: int, dialect: str) -> str:
        """A query as the parser writes it down for another engine."""
        return sqlglot.transpile(self.queries[number], read="duckdb", write=dialect)[0]

    # ---- by the engine's own plan ----------------------------------------------------------------------------------

    def scanned(self, text: str) -> set[Column]:
        """The columns that DuckDB scans for a query, where it may do no more than leave out what nobody asks for."""
        optimizers = ",".join(name for (name,) in self._all("SELECT name FROM duckdb_optimizers()"))
        kept = optimizers.replace("unused_columns,", "").replace(",unused_columns", "")
        self.connection.execute(f"SET disabled_optimizers = '{kept}'")
        try:
            plans = [json.loads(plan) for _, plan in self._all(f"EXPLAIN (FORMAT JSON) {text}")]
        finally:
            self.connection.execute("SET disabled_optimizers = ''")
        found: set[Column] = set()
        for node in (node for plan in plans for root in plan for node in _nodes(root)):
            table = node["extra_info"].get("Table", "").rpartition(".")[2]
            columns = node["extra_info"].get("Projections", [])
            for column in [columns] if isinstance(columns, str) else columns:
                if column in self.tables.get(table, ()):
                    found.add((table, column))
        return found

    # ---- by perturbed data -----------------------------------------------------------------------------------------

    def result(self, text: str) -> list[Any]:
        """The rows of a query, in an order of their own."""
        return sorted(self._all(text), key=repr)

    def result_without(self, text: str, lost: set[Column]) -> list[Any]:
        """The same where all values of some columns are lost."""
        self.connection.execute("CREATE OR REPLACE SCHEMA perturbed")
        for table, columns in self.tables.items():
            items = ", ".join(
                f'NULL::{self.types[table, column]} AS "{column}"' if (table, column) in lost else f'"{column}"'
                for column in columns
            )
            view = f'CREATE VIEW perturbed."{table}" AS SELECT {items} FROM main."{table}"'  # noqa: S608  # our names
            self.connection.execute(view)
        self.connection.execute("SET search_path = 'perturbed'")
        try:
            return self.result(text)
        finally:
            self.connection.execute("SET search_path = 'main'")
            self.connection.execute("DROP SCHEMA perturbed CASCADE")


class Copy:
    """The tables of a suite on an engine, of which single columns can be lost."""

    def __init__(self, suite: Suite, engine: Engine) -> None:
        self._suite: Final = suite
        self._engine: Final = engine
        self._here: Final = {"postgres": "public", "duckdb": "memory.main"}.get(engine.dialect, "main")
        if isinstance(engine, DuckDB):
            engine.connection = suite.connection.cursor()  # they are there
            return
        for table, columns in suite.tables.items():
            listed = ", ".join(f"{column} {suite.types[table, column]}" for column in columns)
            create = f"CREATE TABLE {self._here}.{table} ({listed})"
            engine.run(sqlglot.transpile(create, read="duckdb", write=engine.dialect)[0])
            rows = suite.connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  # our names
            if isinstance(engine, SQLite):
                texts = ([cell if isinstance(cell, int) else str(cell) for cell in row] for row in rows)
                engine.connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", texts)  # noqa: S608
                continue
            with engine.connection.cursor().copy(f"COPY {self._here}.{table} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        if engine.dialect == "postgres":
            engine.run("SET search_path = pg_temp, public")

    def result(self, text: str) -> list[Any]:
        """The rows of a query, in an order of their own."""
        return sorted(self._engine.run(text), key=repr)

    @contextlib.contextmanager
    def without(self, table: str, lost: str) -> Iterator[None]:
        """In the block all values of a column are lost."""
        items = (
            f"CAST(NULL AS {self._suite.types[table, column]}) AS {column}" if column == lost else column
            for column in self._suite.tables[table]
        )
        view = f"CREATE TEMP VIEW {table} AS SELECT {', '.join(items)} FROM {self._here}.{table}"  # noqa: S608  # our names
        self._engine.run(sqlglot.transpile(view, read="duckdb", write=self._engine.dialect)[0])
        try:
            yield
        finally:
            self._engine.run(f"DROP VIEW {'pg_temp' if self._here == 'public' else 'temp'}.{table}")


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node["children"]:
        yield from _nodes(child)
