"""The store: where governance keeps what it must remember. A SQLite file, or PostgreSQL for many processes."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import time
import weakref
from collections.abc import Collection, Generator
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL

from purposeguard.governance.connecting import BEGIN, engine_of, unhurried
from purposeguard.governance.unavailable import told, unavailable
from purposeguard.governance.upgrade import upgrade

UPGRADE_LOCK: Final = 0x7075_7270_6F73_6531
"""PostgreSQL's advisory lock under which the tables are brought up to date."""

CHANGED: Final = "purposeguard_changed"
"""Execution option: the subjects whose standing a transaction changes."""


class Listener(Protocol):
    """Who is told, in this process and at once, whose standing has changed."""

    def changed(self, subjects: Collection[str], /) -> None:
        """Told before the block ends that made the change, and also where it failed: that it did may not be known."""

    def forget(self) -> None:
        """Told when another store is opened in this one's place: nothing that was known holds any more."""


class Store:
    """Use `Store.open`, or `Store()` and later `connect`. A fault of the database is a StoreUnavailable.

    `engine` is SQLAlchemy's; `dialect` is `sqlite` or `postgresql`; `where` names the store in messages, without
    user and password; `secret` is made with the store, and known to who can read it alone. `listeners` are told of
    changes; they are not kept alive. `interruptions` counts connections that were lost: after one, the store may be in
    an earlier state, or another one in its place.
    """

    def __init__(self) -> None:
        """One that is not opened yet: what needs it is refused until it is."""
        self.where = "of governance"
        self.timeout = 0.0
        self.secret = b""
        self.listeners: weakref.WeakSet[Listener] = weakref.WeakSet()
        self.interruptions = 0
        self._engine: sa.Engine | None = None
        self._closed = False
        self._inherited: list[object] = []
        _STORES.add(self)

    @property
    def engine(self) -> sa.Engine:
        """SQLAlchemy's engine; raises StoreUnavailable before the store is opened."""
        if self._engine is None:
            raise unavailable(self.where, "was not opened yet", "open it when the application starts")
        return self._engine

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Which kind of database it is."""
        return "sqlite" if self.engine.dialect.name == "sqlite" else "postgresql"

    @classmethod
    def open(cls, url: str | URL = "sqlite:///purposeguard.db", *, timeout: float = 5.0) -> Store:
        """Opens a store, or makes it, and brings its tables up to date.

        `timeout`: seconds for which one process waits for another, or for the server, at most.

        Raises:
            StoreUnavailable: it cannot be opened, or was made by a newer version of this package.
            ValueError: the URL is none of a SQLite file or of PostgreSQL, or the timeout is not above zero.
        """
        store = cls()
        store.connect(url, timeout=timeout)
        return store

    def connect(self, url: str | URL, *, timeout: float = 5.0) -> None:
        """Opens this store, which is not open: for the first time, or after it was closed; raises as `open` does.

        Raises:
            RuntimeError: it is open.
        """
        if self._engine is not None and not self._closed:
            raise RuntimeError(f"{self.where} is open: close it before another is opened in its place")
        if timeout <= 0:
            raise ValueError(f"a store needs some time to answer: timeout={timeout}")
        self._engine, self.where = engine_of(url, timeout)
        self.timeout = timeout
        self.interruptions += 1  # what is known of the one before is not known of this one
        self._closed = False
        event.listen(self._engine, "invalidate", self._interrupted)
        try:
            self._upgrade()
        except BaseException:
            self.close()
            raise
        for listener in list(self.listeners):
            listener.forget()

    def _upgrade(self) -> None:
        if self.dialect == "sqlite":
            self._write_ahead()
        with self.writing() as connection, unhurried(connection):
            if self.dialect == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))
            self.secret = upgrade(connection, self.where)

    def _write_ahead(self) -> None:
        """Readers beside a writer. The file keeps it, so this changes something once in its life."""
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                with self._connection(None) as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            except exc.DBAPIError as error:
                # SQLite does not wait for this lock by itself.
                busy = getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY")
                failure = None if busy and time.monotonic() < deadline else told(self.where, error)
            else:
                return
            if failure is not None:
                raise failure
            time.sleep(0.01)

    @contextlib.contextmanager
    def reading(self, *, single: bool = False) -> Generator[sa.Connection]:
        """A connection for reading. On SQLite it sees one state of the store; on PostgreSQL each statement does.

        `single`: for one statement, or several that need not see the same state. Without a transaction around it each
        is one question to the server, and not three.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        with self._told(), self._connection(None if single else "BEGIN") as connection:
            if single and self.dialect == "postgresql":
                connection.execution_options(isolation_level="AUTOCOMMIT")
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Generator[sa.Connection]:
        """A connection whose changes are kept, durably, when the block ends; all of them, or none where it fails.

        Raises:
            StoreUnavailable: it cannot be written.
        """
        changed: set[str] = set()
        try:
            with self._told(), self._connection("BEGIN IMMEDIATE", changed) as connection, connection.begin():
                yield connection
        finally:
            if changed:
                for listener in list(self.listeners):
                    listener.changed(changed)

    @contextlib.contextmanager
    def _connection(self, begin: str | None, changed: set[str] | None = None) -> Generator[sa.Connection]:
        if self._closed:
            raise unavailable(self.where, "was closed", "open it again")
        engine, pool = self.engine, self.engine.pool
        try:
            with engine.connect() as connection:
                yield connection.execution_options(**{BEGIN: begin, CHANGED: changed})
        finally:
            if self._closed or engine is not self._engine:  # type: ignore[redundant-expr]  # in another thread
                # Closed meanwhile, when this connection was in use, and not there to be closed.
                pool.dispose()
                engine.dispose()

    @contextlib.contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except (exc.DBAPIError, exc.TimeoutError) as error:
            failure = told(self.where, error)
        else:
            return
        raise failure from None

    @contextlib.contextmanager
    def own_connection(self) -> Generator[Any]:
        """A connection of the driver that is not in the pool: to be kept, and closed, by whoever opens it.

        Closed where the block fails.

        Raises:
            StoreUnavailable: there is none, or it fails in the block.
        """
        driver: Any = None
        failure = None
        kept = False
        try:
            proxied = self.engine.raw_connection()
            driver = proxied.driver_connection
            proxied.detach()
            yield driver
            kept = True
        except (exc.DBAPIError, exc.TimeoutError) as error:
            failure = told(self.where, error)
        except self.engine.dialect.loaded_dbapi.Error as error:  # SQLAlchemy lets it through as it is
            failure = told(self.where, exc.DBAPIError(None, None, error))
        finally:
            if driver is not None and not kept:
                driver.close()
        if failure is not None:
            raise failure from None

    def digest(self, subject: str) -> str:
        """How a ledger names a subject: who has the store can find it, who has the ledger alone cannot.

        Raises:
            StoreUnavailable: the store was never opened.
        """
        if not self.secret:  # without one the digest would tell who it is to whoever guesses
            raise unavailable(self.where, "was not opened yet", "open it when the application starts")
        return hashlib.blake2b(subject.encode(), key=self.secret, digest_size=16).hexdigest()

    def close(self) -> None:
        """Closes the connections. The store cannot be used any more, unless `connect` opens one in its place."""
        self._closed = True
        if self._engine is not None:
            self._engine.dispose()

    def _interrupted(self, *_: Any) -> None:
        self.interruptions += 1

    def leave_to_the_parent(self) -> None:
        """In a forked child: its connections are the parent's, and neither used nor closed here."""
        if self._engine is not None:
            self.abandon(self._engine.pool)
            self._engine.dispose(close=False)

    def abandon(self, connection: object) -> None:
        """Keeps what may not be closed: a connection that a parent process uses."""
        self._inherited.append(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.where}>"


_STORES: Final[weakref.WeakSet[Store]] = weakref.WeakSet()
"""For forked children, and for the end of the interpreter."""


@atexit.register
def _close_all() -> None:
    for store in list(_STORES):
        store.close()


def _forked() -> None:
    for store in list(_STORES):
        store.leave_to_the_parent()


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no forks
    os.register_at_fork(after_in_child=_forked)
