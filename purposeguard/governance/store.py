"""The store: where governance keeps what it must remember. A SQLite file, or PostgreSQL for many processes."""

from __future__ import annotations

import contextlib
import hashlib
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, make_url

from purposeguard.governance.unavailable import hush, told, unavailable
from purposeguard.governance.upgrade import upgrade

UPGRADE_LOCK: Final = 0x7075_7270_6F73_6531
"""PostgreSQL's advisory lock under which the tables are brought up to date."""


class Store:
    """Use `Store.open`. Every fault of the database is a StoreUnavailable, and has changed nothing.

    `engine` is SQLAlchemy's; `dialect` is `sqlite` or `postgresql`; `where` names the store in messages, without
    user and password; `secret` is made with the store, and known to who can read it alone.
    """

    def __init__(self, engine: sa.Engine, where: str, timeout: float) -> None:
        self.engine = engine
        self.dialect: Literal["sqlite", "postgresql"] = "sqlite" if engine.dialect.name == "sqlite" else "postgresql"
        self.where = where
        self.timeout = timeout
        self.secret = b""
        self._closed = False

    @classmethod
    def open(cls, url: str | URL = "sqlite:///purposeguard.db", *, timeout: float = 5.0) -> Store:
        """Opens a store, or makes it, and brings its tables up to date.

        `timeout`: seconds for which one process waits for another, or for the server, at most.

        Raises:
            StoreUnavailable: it cannot be opened, or was made by a newer version of this package.
            ValueError: the URL is none of a SQLite file or of PostgreSQL.
        """
        given = _url(url)
        engine, where = (_sqlite if given.get_backend_name() == "sqlite" else _postgresql)(given, timeout)
        event.listen(engine, "handle_error", hush)
        store = cls(engine, where, timeout)
        try:
            store._upgrade()
        except BaseException:
            store.close()
            raise
        return store

    def _upgrade(self) -> None:
        if self.dialect == "sqlite":
            self._write_ahead()
        with self.writing() as connection:
            if self.dialect == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))
            self.secret = upgrade(connection, self.where)

    def _write_ahead(self) -> None:
        """Readers and a writer at once. It is kept in the file, so this changes something once in its life."""
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                with self._connection(begin=None) as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            except exc.OperationalError as error:
                # SQLite does not wait for this lock by itself.
                busy = getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY")
                failure = None if busy and time.monotonic() < deadline else told(self.where, error)
            except exc.DBAPIError as error:
                failure = told(self.where, error)
            else:
                return
            if failure is not None:
                raise failure
            time.sleep(0.01)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that sees one state of the store, for reading.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        with self._told(), self._connection(begin="BEGIN") as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A connection whose changes are kept, durably, when the block ends; all of them, or none where it fails.

        Raises:
            StoreUnavailable: it cannot be written.
        """
        with self._told(), self._connection(begin="BEGIN IMMEDIATE") as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def _connection(self, begin: str | None) -> Iterator[sa.Connection]:
        if self._closed:
            raise unavailable(self.where, "was closed", "open it again")
        with self.engine.connect() as connection:
            yield connection.execution_options(purposeguard_begin=begin)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (exc.DBAPIError, exc.TimeoutError) as error:
            failure = told(self.where, error)
        else:
            return
        raise failure from None

    def digest(self, subject: str) -> str:
        """How a ledger names a subject: who has the store can find it, who has the ledger alone cannot."""
        return hashlib.blake2b(subject.encode(), key=self.secret, digest_size=16).hexdigest()

    def close(self) -> None:
        """Closes the connections. The store cannot be used any more."""
        self._closed = True
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.where}>"


def _url(given: str | URL) -> URL:
    try:
        url = make_url(given)
    except exc.ArgumentError:
        url = None
    if url is None or url.get_backend_name() not in ("sqlite", "postgresql"):
        # Not the text itself: a password may stand in it.
        raise ValueError(
            "a store's URL is `sqlite:///file.db` (or with an absolute path, `sqlite:////folder/file.db`) or "
            "`postgresql://user:password@host/database`"
        )
    return url


def _sqlite(url: URL, timeout: float) -> tuple[sa.Engine, str]:
    if url.database in (None, "", ":memory:") or url.query or url.host:
        raise ValueError(
            "a store on SQLite is a file, which other processes find and which outlives this one: `sqlite:///file.db`, "
            "and nothing after it"
        )
    path = Path(str(url.database)).absolute()
    where = f"`{path}`"
    if path.is_dir():
        raise unavailable(where, "is a folder", "name a file in it")
    if not path.parent.is_dir():
        raise unavailable(where, "cannot be made: there is no such folder", "make the folder first")
    # Made now or never: a file that vanishes later must be missed, not replaced by an empty one.
    made = "rw" if path.exists() else "rwc"
    with _translated(where), contextlib.closing(_connect(path, made, timeout)) as connection:
        connection.execute("PRAGMA schema_version")

    engine = sa.create_engine(
        "sqlite+pysqlite:///" + str(url.database),
        creator=lambda: _connect(path, "rw", timeout),
        hide_parameters=True,
        pool_timeout=timeout,
    )
    event.listen(engine, "begin", _begin)
    return engine, where


def _connect(path: Path, mode: str, timeout: float) -> sqlite3.Connection:
    # Without an isolation level the module begins no transaction by itself: `_begin` does.
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _begin(connection: sa.Connection) -> None:
    statement = connection.get_execution_options().get("purposeguard_begin", "BEGIN")
    if statement is not None:
        connection.exec_driver_sql(statement)


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        failure = told(where, exc.DBAPIError(None, None, error))
    else:
        return
    raise failure from None


def _postgresql(url: URL, timeout: float) -> tuple[sa.Engine, str]:
    host = url.host or url.query.get("host") or "localhost"
    where = f"`{url.database or ''}` on {host}"
    seconds = max(1, math.ceil(timeout))
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": seconds},
        hide_parameters=True,
        pool_pre_ping=True,
        pool_timeout=timeout,
    )
    event.listen(engine, "connect", _settings(timeout))
    return engine, where


def _settings(timeout: float) -> Callable[[Any, Any], None]:
    """Nobody waits for a lock, and nobody who has fallen silent holds one, for longer than `timeout`."""
    milliseconds = max(1, int(timeout * 1000))

    def set_up(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {milliseconds}")
        connection.commit()

    return set_up
