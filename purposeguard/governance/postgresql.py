"""Stores on PostgreSQL: connections that do not wait for ever for a server that has stopped answering."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg.waiting import wait_selector
from sqlalchemy import event
from sqlalchemy.engine import URL

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server has said nothing for `patience` seconds."""

    patience: float = math.inf

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Waits as psycopg does, and checks the time whenever nothing has come for a tenth of a second."""
        if math.isinf(self.patience):
            return super().wait(gen, *args, **kwargs)
        # Of psycopg's ways to wait, the one that reports in each version that nothing has come.
        return wait_selector(self._bounded(gen), self.pgconn.socket, interval=0.1)

    def _bounded(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        try:
            wanted = next(gen)
            heard = time.monotonic()
            while True:
                ready = yield wanted
                now = time.monotonic()
                if ready:
                    heard = now
                elif now - heard > self.patience:
                    gen.close()
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server has not answered for {self.patience:g} s")
                wanted = gen.send(ready)
        except StopIteration as done:
            result: T = done.value
            return result


def engine(url: URL, timeout: float, **options: Any) -> sa.Engine:
    """An engine whose connections wait no longer than `timeout` for the server, or for what another process holds."""
    seconds = max(2, math.ceil(timeout))  # libpq takes 1 for 2
    made = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={
            "connect_timeout": seconds,
            # A network that has fallen silent is noticed too, not only a server that answers.
            "keepalives_idle": seconds,
            "keepalives_interval": 1,
            "keepalives_count": 3,
            "tcp_user_timeout": seconds * 1000,
        },
        pool_pre_ping=True,
        pool_timeout=timeout,
        **options,
    )

    def connect(_dialect: object, _record: object, args: list[Any], parameters: dict[str, Any]) -> BoundedConnection:
        connection = BoundedConnection.connect(*args, **parameters)
        # Longer than the server itself lets anybody wait, so that its answer, if there is one, comes first.
        connection.patience = timeout + 1
        return connection

    def set_up(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {max(1, int(timeout * 1000))}")
            cursor.execute("SET default_transaction_isolation = 'read committed'")  # that of the database may differ
        connection.commit()

    event.listen(made, "do_connect", connect)
    event.listen(made, "connect", set_up)
    return made


@contextlib.contextmanager
def unhurried(connection: sa.Connection) -> Generator[None]:
    """A block whose statements may take their time: an upgrade of large tables does."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, BoundedConnection):  # another driver, which waits as long as it likes
        yield
        return
    before, driver.patience = driver.patience, math.inf
    try:
        yield
    finally:
        driver.patience = before
