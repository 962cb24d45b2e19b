"""Limits on how long a call may wait for a store, over all that it does."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator
from contextvars import ContextVar
from typing import Final

_DEADLINE: Final[ContextVar[float]] = ContextVar("purposeguard_deadline", default=math.inf)


@contextlib.contextmanager
def limit_waiting(seconds: float) -> Generator[None]:
    """Return a context manager that limits how long its block may wait for stores, in all.

    An enclosing block may only shorten the limit.
    """
    token = _DEADLINE.set(min(_DEADLINE.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def current_deadline() -> float:
    """Return the deadline for waiting for a store, on the monotonic clock; infinite outside `limit_waiting`."""
    return _DEADLINE.get()
