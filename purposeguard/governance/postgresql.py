"""Stores on PostgreSQL: connections that do not wait for ever for a server that has stopped answering."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL

from purposeguard.extras import Needs
from purposeguard.governance.deadlines import current_deadline, limit_waiting

with Needs(__name__, "postgresql"):
    import psycopg
    from psycopg.waiting import wait_selector

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server has said nothing for `patience` seconds, or by the deadline."""

    patience: float = math.inf

    @classmethod
    def _connect_gen(cls, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        # psycopg's own bound is two seconds or more, and again for each address of the server.
        return _bound_waiting(super()._connect_gen(*args, **kwargs), math.inf)

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Wait as psycopg does, and check the time whenever nothing has come for a tenth of a second."""
        if math.isinf(self.patience):
            return super().wait(gen, *args, **kwargs)
        # Of psycopg's ways to wait, only this one reports a timeout in each version.
        try:
            return wait_selector(_bound_waiting(gen, self.patience, self.pgconn), self.pgconn.socket, interval=0.1)
        except OSError as error:  # no file descriptor is left to wait with
            self.pgconn.finish()
            raise psycopg.OperationalError(str(error)) from error


def _bound_waiting(gen: Generator[Any, Any, T], patience: float, pgconn: Any = None) -> Generator[Any, Any, T]:
    try:
        awaited = next(gen)
        began = heard = time.monotonic()
        ends = current_deadline()
        while True:
            ready = yield awaited
            now = time.monotonic()
            if ready:
                heard = now
            elif now - heard > patience or now > ends:
                gen.close()
                if pgconn is not None:
                    pgconn.finish()
                raise psycopg.OperationalError(f"the server has not answered for {now - began:.1f} s")
            awaited = gen.send(ready)
    except StopIteration as done:
        result: T = done.value
        return result


def make_engine(url: URL, timeout: float, writes: Callable[[sa.Connection], bool], **options: Any) -> sa.Engine:
    """Return an engine whose connections wait at most `timeout` seconds for the server or for a lock.

    `writes` returns True if the transaction that a connection begins is one that writes.
    """
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
            # A statement that is prepared in one session is not known to the next, which a pooler may give.
            "prepare_threshold": None,
        },
        # The database's default may differ, and a pooler may use another session for each transaction.
        isolation_level="READ COMMITTED",
        pool_timeout=timeout,
        **options,
    )

    def connect(_dialect: object, _record: object, args: list[Any], parameters: dict[str, Any]) -> BoundedConnection:
        try:
            with limit_waiting(timeout):
                connection = BoundedConnection.connect(*args, **parameters)
        except OSError as error:
            raise psycopg.OperationalError(str(error)) from error
        # This is longer than the timeouts of the server, so that its answer, if there is one, comes first.
        connection.patience = timeout + 1
        return connection

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "checkout", _check_server)
    event.listen(engine, "handle_error", _close_cursor)
    event.listen(
        engine, "begin", lambda connection: _set_server_limits(connection, timeout) if writes(connection) else None
    )
    return engine


def _check_server(connection: psycopg.Connection[Any], *_: object) -> None:
    """Raise InvalidatePoolError if the server has closed the connection. This takes no round trip."""
    try:
        for _step in range(2):  # The first call reads the last message, the second notices the end.
            connection.pgconn.consume_input()
    except psycopg.OperationalError:
        raise exc.InvalidatePoolError from None


def _close_cursor(context: sa.ExceptionContext) -> None:
    """Close the cursor of a connection that is lost, which SQLAlchemy leaves to the garbage collector."""
    cursor = getattr(context.execution_context, "cursor", None)
    if context.is_disconnect and cursor is not None:
        cursor.close()


def _set_server_limits(connection: sa.Connection, timeout: float) -> None:
    """Set the server's timeouts for a transaction that writes, and make its commit wait for the disk.

    A process that freezes in a transaction loses the transaction while others still wait for its locks. A transaction
    that only reads holds no such locks, and may take its time between two pages of a ledger.
    """
    limits = {"lock_timeout": timeout, "idle_in_transaction_session_timeout": max(timeout / 2, 0.1)}
    settings = [f"SET LOCAL {name} = {max(1, int(seconds * 1000))}" for name, seconds in limits.items()]
    # Statements without parameters are sent as one message.
    text = "; ".join(["SET LOCAL synchronous_commit = on", *settings])
    connection.exec_driver_sql(text, execution_options={"no_parameters": True})


@contextlib.contextmanager
def suspend_limits(connection: sa.Connection) -> Generator[None]:
    """Return a context manager in whose block statements may take their time, as an upgrade of large tables does."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, BoundedConnection):  # another driver, which waits as long as it likes
        yield
        return
    before, driver.patience = driver.patience, math.inf
    try:
        yield
    finally:
        driver.patience = before
