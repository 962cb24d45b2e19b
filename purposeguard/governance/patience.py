"""Connections to PostgreSQL that do not wait for ever for a server that has stopped answering."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg.waiting import wait_selector

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[Any]):
    """Gives up, and is closed, when the server has said nothing for `patience` seconds."""

    patience: float = math.inf

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Waits as psycopg does, and looks at the time whenever nothing has come for a tenth of a second."""
        if math.isinf(self.patience):
            return super().wait(gen, *args, **kwargs)
        # The one of psycopg's ways to wait that tells, in each version, that nothing has come.
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


def connecting(timeout: float) -> Callable[..., BoundedConnection]:
    """How SQLAlchemy is to connect (event `do_connect`)."""

    def connect(_dialect: object, _record: object, args: list[Any], parameters: dict[str, Any]) -> BoundedConnection:
        connection = BoundedConnection.connect(*args, **parameters)
        # Longer than the server itself lets anybody wait, so that its answer, if there is one, comes first.
        connection.patience = timeout + 1
        return connection

    return connect
