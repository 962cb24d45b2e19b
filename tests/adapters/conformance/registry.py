"""All engines, by name, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from tests.adapters.conformance import frame_kinds
from tests.adapters.conformance.databases import DuckDB, PostgreSQL, SQLite
from tests.adapters.conformance.engines import Engine
from tests.adapters.conformance.run_duckdb import DuckDBConnection
from tests.adapters.conformance.run_frames import ArrowItself, FramesOf
from tests.adapters.conformance.run_spark import SparkPlan, SparkText
from tests.adapters.conformance.run_sql import SQLText
from tests.adapters.conformance.run_sqlalchemy import SQLAlchemyORM, SQLAlchemyText

Asked = Callable[[str], Any]
"""Gives a fixture of pytest by its name, when it is needed."""


def engines(asked: Asked, folder: Path) -> dict[str, Engine]:
    """Every engine; what costs something to start is asked for by the first case that runs."""
    sqlite, postgresql = SQLite(), PostgreSQL(lambda: str(asked("postgresql_url")))
    relations = frame_kinds.relations(duckdb.connect())
    found: list[Engine] = [
        *(FramesOf(name, make) for name, make in frame_kinds.KINDS.items()),
        FramesOf("duckdb-relation", relations),
        ArrowItself("parquet", folder),
        SQLText("sqlite", sqlite),
        SQLText("postgresql", postgresql),
        SQLText("duckdb", DuckDB()),
        *(SQLText(dialect) for dialect in ("spark", "mysql", "bigquery", "snowflake")),
        DuckDBConnection(folder),
        SQLAlchemyText(sqlite),
        SQLAlchemyText(postgresql),
        SQLAlchemyORM(sqlite),
        SQLAlchemyORM(postgresql),
        SparkPlan(lambda: asked("spark")),
        SparkText(lambda: asked("spark")),
    ]
    return {one.name: one for one in found}
