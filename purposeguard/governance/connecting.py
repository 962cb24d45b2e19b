"""Connections to a store: each database is asked so that nothing is lost, nobody waits for ever, and faults show."""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, make_url

from purposeguard.governance.unavailable import hush, told, unavailable

BEGIN: Final = "purposeguard_begin"
"""Execution option: the statement by which a transaction on SQLite begins; None: none does."""


LOG: Final = "purposeguard"
"""By which name SQLAlchemy logs what is asked of stores, under `sqlalchemy.engine.Engine` and `sqlalchemy.pool`."""

# On the level DEBUG it logs the rows that are read, and those are people's: whoever looks for a fault in the
# application's own database sets that level for all engines.
logging.getLogger(f"sqlalchemy.engine.Engine.{LOG}").addFilter(lambda record: record.levelno > logging.DEBUG)


def engine_of(given: str | URL, timeout: float) -> tuple[sa.Engine, str]:
    """An engine for a store's URL, and where the store is, for messages.

    Raises:
        ValueError: the URL is none of a SQLite file or of PostgreSQL.
        StoreUnavailable: there is no such file and it cannot be made, or it is something else.
    """
    try:
        url = make_url(given)
    except (exc.ArgumentError, ValueError):  # the latter where what stands in the place of the port is no number
        url = None
    # A host with an `@` is the end of a password in which one stands as it is, and not as `%40`.
    if url is None or url.get_backend_name() not in ("sqlite", "postgresql") or "@" in (url.host or ""):
        # Not the text itself: a password may stand in it.
        raise ValueError(
            "a store's URL is `sqlite:///file.db` (or with an absolute path, `sqlite:////folder/file.db`) or "
            "`postgresql://user:password@host/database`, with `@`, `:` and `/` in a password as `%40`, `%3A` and `%2F`"
        ) from None
    engine, where = (_sqlite if url.get_backend_name() == "sqlite" else _postgresql)(url, timeout)
    event.listen(engine, "handle_error", hush)
    return engine, where


# ---- SQLite -------------------------------------------------------------------------------------------------------


class _FileConnection(sqlite3.Connection):
    """Knows which file it was opened on, should another one take its name."""

    file: tuple[int, int] | None = None


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
    # Made now or never: a file that vanishes later is missed, not replaced by an empty one.
    _make(path, where, timeout)
    engine = sa.create_engine(
        f"sqlite+pysqlite:///{url.database}",
        creator=lambda: _connect(path, "rw", timeout),
        hide_parameters=True,
        logging_name=LOG,
        poolclass=sa.QueuePool,
        pool_timeout=timeout,
    )
    event.listen(engine, "begin", _begin)
    event.listen(engine, "checkout", _same_file(path))
    return engine, where


def _make(path: Path, where: str, timeout: float) -> None:
    try:
        with contextlib.closing(_connect(path, "rw" if path.exists() else "rwc", timeout)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        failure = told(where, exc.DBAPIError(None, None, error))
    else:
        return
    raise failure


def _connect(path: Path, mode: str, timeout: float) -> sqlite3.Connection:
    file = _identity(path)  # before it is opened: one that is replaced meanwhile will not be taken for this one
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=timeout,
        isolation_level=None,  # the module begins no transaction by itself: `_begin` does
        check_same_thread=False,  # SQLAlchemy's pool gives it to one thread at a time
        factory=_FileConnection,
    )
    try:
        connection.file = file
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _same_file(path: Path) -> Callable[..., None]:
    """A connection keeps to the file that it was opened on, also where that one has been moved away or replaced."""

    def check(connection: _FileConnection, _record: object, _proxy: object) -> None:
        if connection.file is None or connection.file != _identity(path):
            raise exc.DisconnectionError

    return check


def _begin(connection: sa.Connection) -> None:
    statement = connection.get_execution_options().get(BEGIN, "BEGIN")
    if statement is not None:
        connection.exec_driver_sql(statement)


# ---- PostgreSQL ---------------------------------------------------------------------------------------------------


def _postgresql(url: URL, timeout: float) -> tuple[sa.Engine, str]:
    try:
        from purposeguard.governance import patience  # noqa: PLC0415  # needs psycopg, which SQLite does not
    except ImportError as error:
        message = "a store on PostgreSQL needs psycopg: `pip install purposeguard[postgresql]`"
        raise ModuleNotFoundError(message, name="psycopg") from error
    where = f"`{url.database or ''}` on {url.host or url.query.get('host') or 'localhost'}"
    seconds = max(2, math.ceil(timeout))  # libpq takes 1 for 2
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={
            "connect_timeout": seconds,
            # A network that has fallen silent is noticed too, not only a server that answers.
            "keepalives_idle": seconds,
            "keepalives_interval": 1,
            "keepalives_count": 3,
            "tcp_user_timeout": seconds * 1000,
        },
        hide_parameters=True,
        logging_name=LOG,
        pool_pre_ping=True,
        pool_timeout=timeout,
    )
    event.listen(engine, "do_connect", patience.connecting(timeout))
    event.listen(engine, "connect", _settings(timeout))
    return engine, where


def _settings(timeout: float) -> Callable[[Any, Any], None]:
    """Nobody waits longer than `timeout` for what another process holds."""
    milliseconds = max(1, int(timeout * 1000))

    def set_up(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {milliseconds}")
        connection.commit()

    return set_up


@contextlib.contextmanager
def unhurried(connection: sa.Connection) -> Generator[None]:
    """What is asked of PostgreSQL in this block may take its time: an upgrade of large tables does."""
    driver = connection.connection.driver_connection
    before = getattr(driver, "patience", None)
    if before is None:
        yield
        return
    driver.patience = math.inf  # type: ignore[union-attr]  # it has the attribute: seen above
    try:
        yield
    finally:
        driver.patience = before  # type: ignore[union-attr]  # likewise
