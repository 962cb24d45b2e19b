"""Databases with the tables of a case in them, and with nothing else."""

from __future__ import annotations

import datetime
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, Protocol

import duckdb
import psycopg

from tests.adapters.conformance.cases import Case, Table

Rows = tuple[list[str], list[tuple[Any, ...]]]
"""The names of columns, and rows."""

TYPES = {
    "sqlite": {"int": "INTEGER", "text": "TEXT", "date": "TEXT", "timestamp": "TEXT", "any": ""},
    "postgresql": {"int": "BIGINT", "text": "TEXT", "date": "DATE", "timestamp": "TIMESTAMPTZ"},
    "duckdb": {"int": "BIGINT", "text": "VARCHAR", "date": "DATE", "timestamp": "TIMESTAMPTZ"},
}


def created(table: Table, dialect: str) -> str:
    """The statement that creates a table."""
    columns = ", ".join(f"{one.name} {TYPES[dialect][one.type]}".strip() for one in table.columns)
    return f"CREATE TABLE {table.name} ({columns})"


def inserted(table: Table, mark: str) -> str:
    """The statement that puts its rows into it; `mark` stands for a value."""
    row = f"({', '.join([mark] * len(table.columns))})"
    return f"INSERT INTO {table.name} VALUES {', '.join([row] * len(table.rows))}"  # noqa: S608  # names are the suite's own


def everything_in(table: str) -> str:
    """The statement that reads all of a table."""
    return f"SELECT * FROM {table}"  # noqa: S608  # names are the suite's own


def stored(table: Table, dialect: str) -> list[Any]:
    """The values of its rows, one row behind the other, as the database takes them."""
    values = [value for row in table.rows for value in row]
    if dialect != "sqlite":
        return values
    return [value.isoformat() if isinstance(value, datetime.date) else value for value in values]


class Runs(Protocol):
    """What a case is run by, while its tables are there: `run` gives nothing of a statement that only writes."""

    connection: Any

    def run(self, sql: str) -> Rows: ...


class Database(ABC):
    """The tables of a case in a database: `with database.holding(case) as held`."""

    dialect: ClassVar[str]
    errors: ClassVar[tuple[type[Exception], ...]]

    @abstractmethod
    def holding(self, case: Case) -> AbstractContextManager[Runs]:
        """The tables, their rows and the views of a case, for as long as the block lasts."""

    def close(self) -> None:  # noqa: B027  # those in memory are closed after each case
        """Lets go of what it holds, at the end."""

    def _fill(self, case: Case, cursor: Any, mark: str) -> None:
        for table in case.tables:
            cursor.execute(created(table, self.dialect))
            if table.rows:
                cursor.execute(inserted(table, mark), stored(table, self.dialect))
        for name, text in case.views.items():
            cursor.execute(f"CREATE VIEW {name} AS {text}")


class _Held:
    def __init__(self, connection: Any, cursor: Any) -> None:
        self.connection = connection
        self._cursor = cursor

    def run(self, sql: str) -> Rows:
        self._cursor.execute(sql)
        if self._cursor.description is None:
            return [], []
        return [column[0] for column in self._cursor.description], list(self._cursor.fetchall())


class SQLite(Database):
    """A database in memory for each case."""

    dialect = "sqlite"
    errors = (sqlite3.Error,)

    @contextmanager
    def holding(self, case: Case) -> Iterator[Runs]:
        connection = sqlite3.connect(":memory:")
        try:
            cursor = connection.cursor()
            self._fill(case, cursor, "?")
            connection.commit()
            yield _Held(connection, cursor)
        finally:
            connection.close()


class DuckDB(Database):
    """One database in memory, in which the tables of a case are until it has ended: to open another takes long."""

    dialect = "duckdb"
    errors = (duckdb.Error,)

    def __init__(self) -> None:
        self._own: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def holding(self, case: Case) -> Iterator[Runs]:
        if self._own is None:
            self._own = duckdb.connect(":memory:", config={"threads": 1})
        try:
            self._own.begin()
            self._fill(case, self._own, "?")
            yield _Held(self._own, self._own)
        finally:
            self._own.rollback()

    def close(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None


class PostgreSQL(Database):
    """One database, in which the tables of a case are until it has ended."""

    dialect = "postgresql"
    errors = (psycopg.Error,)

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._own: psycopg.Connection[Any] | None = None

    @property
    def url(self) -> str:
        return self._url()

    @property
    def own(self) -> psycopg.Connection[Any]:
        """A connection of its own, by which tables are made and dropped."""
        if self._own is None:
            self._own = psycopg.connect(self.url, autocommit=True)
            self._own.execute("SET synchronous_commit = off")
            self._own.execute("SET client_min_messages = error")
            self._own.execute("SET lock_timeout = '60s'")
        return self._own

    @contextmanager
    def holding(self, case: Case) -> Iterator[Runs]:
        try:
            self._empty()  # other tests leave tables in the database
            with self.own.transaction(), self.own.cursor() as cursor:
                self._fill(case, cursor, "%s")
            with self.own.cursor() as cursor:
                yield _Held(self.own, cursor)
        finally:
            self._empty()

    def _empty(self) -> None:
        self.own.execute("DROP SCHEMA public CASCADE")
        self.own.execute("CREATE SCHEMA public")

    def close(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None
