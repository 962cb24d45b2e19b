"""The engines on which tests run statements: each with its errors, and with `?` for parameters."""

from __future__ import annotations

import sqlite3
from typing import Any

import duckdb


class SQLite:
    dialect = "sqlite"
    errors = (sqlite3.Error,)

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:")

    def run(self, text: str, *values: Any) -> list[Any]:
        return self.connection.execute(text, values).fetchall()


class DuckDB:
    dialect = "duckdb"
    errors = (duckdb.Error,)

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 1})

    def run(self, text: str, *values: Any) -> list[Any]:
        return self.connection.execute(text, values).fetchall()


class PostgreSQL:
    dialect = "postgres"

    def __init__(self, url: str) -> None:
        import psycopg

        self.errors = (psycopg.Error,)
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("SET search_path = pg_temp")

    def run(self, text: str, *values: Any) -> list[Any]:
        cursor = self.connection.execute(text.replace("?", "%s"), values or None)
        return cursor.fetchall() if cursor.description else []


Engine = SQLite | DuckDB | PostgreSQL
