"""Stores on both databases: a file of SQLite, and a PostgreSQL server that each process of the tests starts once."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy.engine import make_url

from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.support import PATIENCE, Time
from tests.support import ON_POSTGRESQL

if TYPE_CHECKING:
    from examples.postgresql import Server


class Databases:
    """A PostgreSQL server, started when first asked for, with a new database for whoever asks."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.folder = server.pgdata.parent
        self.numbers = itertools.count(1)
        with self.admin() as connection:
            # Nothing here outlives the machine, so nothing needs to wait for its disk.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("ALTER SYSTEM SET full_page_writes = off")
            connection.execute("SELECT pg_reload_conf()")
        self.template = self.create()
        Store.open(self.url(self.template)).close()

    def admin(self) -> psycopg.Connection:
        return psycopg.connect(self.server.get_uri(), autocommit=True)

    def url(self, database: str) -> str:
        url = make_url(self.server.get_uri(database)).set(drivername="postgresql+psycopg")
        return url.render_as_string(hide_password=False)

    def create(self, template: str = "template1") -> str:
        name = f"store_{next(self.numbers)}"
        with self.admin() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        with self.admin() as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The server is stopped at once, and started again afterwards."""
        from examples.postgresql import stop_at_once

        stop_at_once(self.server)
        try:
            yield
        finally:
            self.server.ensure_postgres_running()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The server neither answers nor goes away."""
        process = self.server.get_postmaster_info().process
        assert process is not None
        process.suspend()  # first, and resumed last: meanwhile it forks no other, and reaps none that has ended
        children = process.children()
        for child in children:
            child.suspend()
        try:
            yield
        finally:
            for one in (*children, process):
                one.resume()


@pytest.fixture(autouse=True)
def _no_greenlets(no_greenlets: None) -> None:
    """Many of these tests fork, and none has greenlets."""


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Databases]:
    from examples.postgresql import run_server  # most runs start none, and have no server installed

    with run_server() as server:
        yield Databases(server)


@pytest.fixture
def empty_database(postgresql: Databases) -> Iterator[str]:
    """Where a store may be made on the server."""
    name = postgresql.create()
    yield postgresql.url(name)
    postgresql.drop(name)


@pytest.fixture
def database(postgresql: Databases) -> Iterator[str]:
    """A database of the server with an empty store, its tables made."""
    name = postgresql.create(postgresql.template)
    yield name
    postgresql.drop(name)


@pytest.fixture
def server_url(postgresql: Databases, database: str) -> str:
    """Where the store of `database` is."""
    return postgresql.url(database)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "store.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", ON_POSTGRESQL])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store may be made: nothing is there yet."""
    return f"sqlite:///{tmp_path}/store.db" if dialect == "sqlite" else request.getfixturevalue("empty_database")


@pytest.fixture
def store_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store is, its tables made."""
    if dialect != "sqlite":
        return str(request.getfixturevalue("server_url"))
    shutil.copy(request.getfixturevalue("_sqlite_template"), tmp_path / "store.db")
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store.open(store_url, timeout=PATIENCE) as opened:
        yield opened


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def subjects(store: Store, time: Time) -> Subjects:
    return Subjects(store, tm.NOTICE, clock=time.clock)
