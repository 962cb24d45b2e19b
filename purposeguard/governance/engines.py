"""SQLAlchemy engines for the stores: durable commits, bounded waiting, and faults without values and passwords."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, make_url

from purposeguard.errors import StoreUnavailable
from purposeguard.governance.deadlines import current_deadline

BEGIN_OPTION: Final = "purposeguard_begin"
"""The execution option with the statement that begins a transaction on SQLite; None for no transaction."""

BEGIN_WRITING: Final = "BEGIN IMMEDIATE"
"""The statement that begins a transaction that writes."""

WAIT_TOLERANCE: Final = 0.05
"""The seconds by which a wait may differ from its intended length."""

APPLICATION: Final = "purposeguard"
"""The name of the sessions on PostgreSQL, followed for a store by the newest revision that this version knows."""

MAX_NAME_LENGTH: Final = 62
"""The most characters of such a name and its prefix: PostgreSQL cuts off the rest."""

LOG: Final = "purposeguard"
"""The name of stores in SQLAlchemy's logs, under `sqlalchemy.engine.Engine` and `sqlalchemy.pool`."""

# At level DEBUG it logs the rows that are read, which are personal. Who debugs the application's own database sets that
# level for all engines.
logging.getLogger(f"sqlalchemy.engine.Engine.{LOG}").addFilter(lambda record: record.levelno > logging.DEBUG)


def make_engine(target: str | URL, timeout: float, application: str = APPLICATION) -> tuple[sa.Engine, str]:
    """Return an engine for the URL of a store, and the store's name in messages.

    `application` names the sessions on PostgreSQL.

    Raises:
        ValueError: the URL is neither of a SQLite file nor of PostgreSQL.
        StoreUnavailable: the file does not exist and cannot be made, or is something else.
    """
    try:
        url = make_url(target)
    except (exc.ArgumentError, ValueError):  # ValueError is raised if the port is no number.
        url = None
    # An `@` in the host comes from a password whose `@` was not written as `%40`.
    if url is None or url.get_backend_name() not in ("sqlite", "postgresql") or "@" in (url.host or ""):
        # The message does not quote the URL, which may contain a password.
        raise ValueError(
            "a store's URL is `sqlite:///file.db` (or with an absolute path, `sqlite:////folder/file.db`) or "
            "`postgresql://user:password@host/database`, with `@`, `:` and `/` in a password as `%40`, `%3A` and `%2F`"
        ) from None
    sqlite = url.get_backend_name() == "sqlite"
    engine, where = _make_sqlite_engine(url, timeout) if sqlite else _make_postgresql_engine(url, timeout, application)
    event.listen(engine, "handle_error", redact_error_details)
    return engine, where


# ---- SQLite -------------------------------------------------------------------------------------------------------


class _FileConnection(sqlite3.Connection):
    """A connection that knows its file, in case another file takes the name, and how long it waits for a lock."""

    file: tuple[int, int] | None = None
    patience: float


def _make_sqlite_engine(url: URL, timeout: float) -> tuple[sa.Engine, str]:
    if url.database in (None, "", ":memory:") or url.query or url.host:
        raise ValueError(
            "a store on SQLite is a file, which other processes find and which outlives this one: `sqlite:///file.db`, "
            "and nothing after it"
        )
    path = Path(str(url.database)).absolute()
    where = f"`{path}`"
    if path.is_dir():
        raise make_unavailable_error(where, "is a folder", "name a file in it")
    if not path.parent.is_dir():
        raise make_unavailable_error(where, "cannot be made: there is no such folder", "make the folder first")
    # The file is made only here. If it vanishes later, that is an error, and no empty file replaces it.
    _create_file(path, where, timeout)
    engine = _make_file_engine(path, "rw", timeout, str(url.database), poolclass=sa.QueuePool, pool_timeout=timeout)
    event.listen(engine, "checkout", _make_file_check(path))
    event.listen(engine, "checkout", _make_deadline_check(timeout))
    return engine, where


def _create_file(path: Path, where: str, timeout: float) -> None:
    # The file will hold personal data, so only its owner may read it. SQLite's other files inherit the mode.
    with contextlib.suppress(OSError):  # SQLite reports the error.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with translate_errors(where), contextlib.closing(_connect_file(path, "rw", timeout)) as connection:
        connection.execute("PRAGMA schema_version")


def _make_file_engine(path: Path, mode: str, timeout: float, database: str = "", **options: Any) -> sa.Engine:
    engine = sa.create_engine(
        f"sqlite+pysqlite:///{database}",
        creator=lambda: _connect_file(path, mode, timeout),
        hide_parameters=True,
        logging_name=LOG,
        **options,
    )
    event.listen(engine, "begin", _begin_transaction)
    return engine


def _connect_file(path: Path, mode: str, timeout: float) -> sqlite3.Connection:
    file = _file_identity(path)  # Noted before opening, so that a file that replaces it meanwhile is noticed.
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=timeout,
        isolation_level=None,  # the module begins no transaction by itself: `_begin_transaction` does
        check_same_thread=False,  # SQLAlchemy's pool gives it to one thread at a time
        factory=_FileConnection,
    )
    try:
        connection.file = file
        connection.patience = timeout
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")  # overwrites deleted data, so that it is in no copy of the file
    except BaseException:
        connection.close()
        raise
    return connection


def _file_identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _make_file_check(path: Path) -> Callable[..., None]:
    """Drop connections whose file was moved away or replaced."""

    def check(connection: _FileConnection, _record: object, _proxy: object) -> None:
        if connection.file is None or connection.file != _file_identity(path):
            raise exc.DisconnectionError

    return check


def _make_deadline_check(timeout: float) -> Callable[..., None]:
    """Have connections wait for a lock until the deadline."""

    def check(connection: _FileConnection, _record: object, _proxy: object) -> None:
        patience = min(timeout, max(0.0, current_deadline() - time.monotonic()))
        if abs(patience - connection.patience) > WAIT_TOLERANCE:
            connection.execute(f"PRAGMA busy_timeout={int(patience * 1000)}")
            connection.patience = patience

    return check


def _begin_transaction(connection: sa.Connection) -> None:
    statement = connection.get_execution_options().get(BEGIN_OPTION, "BEGIN")
    if statement is not None:
        connection.exec_driver_sql(statement)


def make_read_only_engine(path: Path, timeout: float) -> tuple[sa.Engine, str]:
    """Return an engine that reads a SQLite file which this process may not write, and creates no files beside it."""
    beside = path.with_name(f"{path.name}-wal")
    # Without a write-ahead log to read, the file cannot change.
    mode = "ro" if beside.exists() and beside.stat().st_size else "ro&immutable=1"
    engine = _make_file_engine(path, mode, timeout, poolclass=sa.NullPool)
    event.listen(engine, "handle_error", redact_error_details)
    return engine, f"`{path}`"


# ---- PostgreSQL ---------------------------------------------------------------------------------------------------


def _make_postgresql_engine(url: URL, timeout: float, application: str) -> tuple[sa.Engine, str]:
    try:
        from purposeguard.governance import postgresql  # noqa: PLC0415  # needs psycopg, which SQLite does not
    except ImportError as error:
        message = "a store on PostgreSQL needs psycopg: `pip install purposeguard[postgresql]`"
        raise ModuleNotFoundError(message, name="psycopg") from error
    where = f"`{url.database or ''}` on {url.host or url.query.get('host') or 'localhost'}"
    # The user's own application name stays in front.
    own = str(url.query.get("application_name") or os.environ.get("PGAPPNAME", ""))[
        : MAX_NAME_LENGTH - len(application)
    ]
    url = url.update_query_dict({"application_name": f"{own} {application}".strip()})
    return postgresql.make_engine(url, timeout, _is_writing, hide_parameters=True, logging_name=LOG), where


def _is_writing(connection: sa.Connection) -> bool:
    options = connection.get_execution_options()
    return options.get("isolation_level") != "AUTOCOMMIT" and options.get(BEGIN_OPTION, BEGIN_WRITING) == BEGIN_WRITING


# ---- Faults -------------------------------------------------------------------------------------------------------

ADVICE: Final = {
    "SQLITE_FULL": "free some space; nothing of this change was kept, what was there before is whole",
    "SQLITE_READONLY": "make the file and its folder writable to this process, or name another file",
    "SQLITE_NOTADB": "name the file of a store, or one that does not exist yet",
    "SQLITE_CORRUPT": "put back a copy of the file",
    "SQLITE_CANTOPEN": "see that the file exists and that this process may read and write it and its folder",
    "SQLITE_BUSY": "another process holds it: try again, or open the store with a longer `timeout`",
    "SQLITE_LOCKED": "another process holds it: try again, or open the store with a longer `timeout`",
    "SQLITE_ERROR": "see that this is the file of a store, together with those of the same name and `-wal` and `-shm`",
}
"""Advice by the first two words of SQLite's error name."""

CONTRADICTION: Final = "nothing was changed: what was to be written contradicts what is there"
UNREACHED: Final = "see that the database runs and can be reached, then try again"


def make_unavailable_error(where: str, what: str, advice: str) -> StoreUnavailable:
    """Return the error for a store that cannot be used, with its name, the cause and the remedy."""
    return StoreUnavailable(f"the store {where} {what} (help: {advice})")


def translate_error(where: str, error: Exception) -> StoreUnavailable:
    """Return the error of this package to raise in place of an error of the database."""
    if isinstance(error, exc.TimeoutError):
        return make_unavailable_error(
            where, "has no connection left", "close what is no longer read, or use fewer threads"
        )
    if isinstance(error, exc.InvalidRequestError):
        return make_unavailable_error(
            where, "cannot be used: its connections were closed before they could be used", UNREACHED
        )
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    name = "_".join(getattr(original, "sqlite_errorname", "").split("_")[:2])
    advice = CONTRADICTION if isinstance(error, exc.IntegrityError) else ADVICE.get(name, UNREACHED)
    failure = make_unavailable_error(where, f"cannot be used: {describe_error(original)}", advice)
    failure.refuses_value = isinstance(error, exc.DataError)
    return failure


@contextlib.contextmanager
def translate_errors(where: str) -> Generator[None]:
    """Return a context manager that turns errors of the database into errors of this package."""
    try:
        yield
    except (sqlite3.Error, exc.DBAPIError, exc.TimeoutError) as error:
        failure = translate_error(where, error)
    except exc.InvalidRequestError as error:
        # The pool gives up after a few attempts, each of which lost its connection. Any other such error is a mistake
        # of the caller's.
        if str(error).lower() != "this connection is closed":
            raise
        failure = translate_error(where, error)
    else:
        return
    raise failure from None


def describe_error(error: BaseException | None) -> str:
    """Return the first line of the driver's message, without details, which may quote a row."""
    diagnosis = getattr(error, "diag", None)
    text = getattr(diagnosis, "message_primary", None) or str(error)
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return f"{text.strip().splitlines()[0] if text.strip() else 'no reason given'} ({name})"


def redact_error_details(context: sa.ExceptionContext) -> None:
    """Remove the details, which may quote a row, from an error of the database."""
    original = context.original_exception
    if getattr(getattr(original, "diag", None), "message_detail", None):
        original.args = (describe_error(original),)
        if context.sqlalchemy_exception is not None:
            context.sqlalchemy_exception.args = (f"({type(original).__name__}) {describe_error(original)}",)
