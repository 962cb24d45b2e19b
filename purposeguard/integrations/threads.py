"""The purpose of a request in the threads that its framework hops to: there the same request goes on."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from purposeguard.guard import Guard
from purposeguard.runtime.use import Use

P = ParamSpec("P")
R = TypeVar("R")


class _Hop(NamedTuple):
    use: Use[Any]
    run: Callable[..., Any]


_HOP: Final[ContextVar[_Hop | None]] = ContextVar("purposeguard_hop", default=None)


@contextlib.contextmanager
def hopping(guard: Guard) -> Generator[None]:
    """Until it is left, functions that `hops` wraps take the purpose under way here to threads that copy this context.

    Raises:
        PurposeMissing: no purpose is under way.
    """
    token = _HOP.set(_Hop(guard.current, guard.carry(_call)))
    try:
        yield
    finally:
        _HOP.reset(token)


def hops(fn: Callable[P, R]) -> Callable[P, R]:
    """`fn`, which its framework runs in a thread on behalf of a request: for the purpose of that request.

    Without a request, or once it has ended, `fn` runs as it is, for no purpose.
    """

    @functools.wraps(fn)
    def in_thread(*args: P.args, **kwargs: P.kwargs) -> R:
        hop = _HOP.get()
        if hop is None or not hop.use.active or hop.use._runs_here():
            return fn(*args, **kwargs)
        ran: R = hop.run(fn, *args, **kwargs)
        return ran

    return in_thread


def _call(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    return fn(*args, **kwargs)
