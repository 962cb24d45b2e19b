"""The shop on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from purposeguard import Guard
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.sqlalchemy.shop import Shop
from tests.support import ON_POSTGRESQL


@pytest.fixture(params=["sqlite", ON_POSTGRESQL])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _url(dialect: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if dialect == "sqlite":
        return f"sqlite:///{folder}/shop.db"
    found = make_url(request.getfixturevalue("postgresql_url")).set(drivername="postgresql+psycopg")
    return found.render_as_string(hide_password=False)


@pytest.fixture
def url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return _url(dialect, request, tmp_path)


@pytest.fixture
def shop(url: str) -> Iterator[Shop]:
    made = Shop(create_engine(url), url)
    made.fill()
    yield made
    made.close()


@pytest.fixture(scope="module", params=["sqlite", ON_POSTGRESQL])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One for many tests that change nothing in it."""
    where = _url(str(request.param), request, tmp_path_factory.mktemp("shared"))
    made = Shop(create_engine(where), where)
    made.fill()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_connections_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A server bears a hundred connections, and each engine of a test keeps one."""
    yield
    if "shared" in request.fixturenames:
        request.getfixturevalue("shared").let_go()


@pytest.fixture
def governed(shop: Shop) -> Guard:
    """A guard that knows what subjects asked for."""
    return Guard(tm.NOTICE, governance=shop.told)
