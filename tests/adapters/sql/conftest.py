"""A connection to each engine in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.adapters.sql.engines import DuckDB, Engine, PostgreSQL, SQLite
from tests.support import ON_POSTGRESQL


def _made(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made: Engine
    if request.param == "postgresql":
        made = PostgreSQL(str(request.getfixturevalue("postgresql_url")))
    else:
        made = SQLite() if request.param == "sqlite" else DuckDB()
    yield made
    made.connection.close()


ENGINES = ["sqlite", "duckdb", ON_POSTGRESQL]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    yield from _made(request)


@pytest.fixture(scope="module", params=ENGINES)
def kept_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    yield from _made(request)
