"""The purpose of a request in the threads and tasks in which its framework runs parts of the request.

This module also asks governance ahead of time, so that an event loop need not wait for it.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar, Token
from typing import Any, Final, ParamSpec, TypeVar, cast

from purposeguard.errors import PurposeMissing, StoreUnavailable
from purposeguard.guard import Guard
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.frames import awaiting_frame
from purposeguard.runtime.protocols import OffLoopLedger, PrefetchingOversight
from purposeguard.runtime.use import CarriedUse, Use, end_use, is_owner_running
from purposeguard.runtime.wrapping import WRAPPERS, require_function
from purposeguard.values.callables import Kind, callable_kind

P = ParamSpec("P")
R = TypeVar("R")

_HOP: Final[ContextVar[Use[Any] | None]] = ContextVar("purposeguard_hop", default=None)


class _HopBlock:
    """A block in which functions wrapped by `hops` carry this use, or none."""

    __slots__ = ("_token", "_use")

    def __init__(self, use: Use[Any] | None) -> None:
        self._use = use
        self._token: Token[Use[Any] | None] | None = None

    def __enter__(self) -> None:
        self._token = _HOP.set(self._use)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _HOP.reset(self._token)


def hopping(under_way: Guard | Use[Any]) -> contextlib.AbstractContextManager[None]:
    """Return a block in which functions wrapped by `hops` carry a purpose to threads and tasks that copy this context.

    The purpose is the one under way, if `under_way` is a guard, or that of a use that is active here.

    Raises:
        PurposeMissing: No purpose is under way, or one that is not carried, such as an exception.
    """
    use: Use[Any] = under_way.current if isinstance(under_way, Guard) else under_way
    if not use.handle.can_be_carried:
        raise PurposeMissing(f"{use.activity.name} is an exception, which is not carried: enter it where it is needed")
    return _HopBlock(use)


def nothing_hops() -> contextlib.AbstractContextManager[None]:
    """Return a block in which no purpose is carried, unless `hopping` is entered in it.

    This is for a request that begins in a context that was copied from another one.
    """
    return contextlib.nullcontext() if _HOP.get() is None else _HopBlock(None)  # Setting a variable takes longer.


def hops(fn: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function that "hops": its framework runs it for a request, but in another thread or task.

    The wrapped function runs for the purpose of the request: the one of the `hopping` block from whose context the
    thread or task copied its own. A generator has it at each step. `fn` runs unchanged if there is no such block, if
    its use has ended, or if that use is already active here.

    Raises:
        TypeError: `fn` is no function, class or other callable object.
    """
    return cast("Callable[P, R]", hopping_function(fn, Hop()))


def hopping_function(fn: Any, around: Hop) -> Callable[..., Any]:
    """Wrap `fn` with `around`, and keep its kind, such as generator or coroutine function. Raises as `hops` does."""
    if not isinstance(fn, type):
        require_function(fn)
    return WRAPPERS[kind_behind(fn)](fn, around)


class Hop:
    """Enters, around each call of a wrapped function, a use that carries the use of the request."""

    def enter(self) -> CarriedUse | None:
        """Enter a use that carries that of the request. Return None if there is none, or if that use holds here."""
        use = _HOP.get()
        if use is None or is_owner_running(use) or not use.active:
            return None
        return CarriedUse(use.handle, use, awaiting_frame(sys._getframe(1)))

    enter_for_cleanup = enter

    def leave(self, token: CarriedUse | None) -> None:
        """Close the use that `enter` returned."""
        if token is not None:
            end_use(token)

    def filter_result(self, value: Any, token: CarriedUse | None) -> Any:  # noqa: ARG002  # The signature is that of Around.
        """Return the result of the function unchanged."""
        return value


async def ask_ahead(engine: Engine, subjects: Iterable[str] = ()) -> None:
    """Ask governance what holds for these subjects (by `subject_key`), without blocking the event loop.

    Raises:
        StoreUnavailable: The answer is not known now.
    """
    oversight = engine.oversight
    if hasattr(oversight, "ready"):  # `isinstance` says the same, and takes microseconds for a protocol.
        await cast("PrefetchingOversight", oversight).ready(subjects)


async def settled(engine: Engine) -> None:
    """Wait until it is settled whether the store of governance answers. Raise nothing if it does not.

    The event loop is not blocked meanwhile. If the store does not answer, later uses that need it are refused at once,
    instead of each waiting for the store.
    """
    if engine.oversight is not None:
        with contextlib.suppress(StoreUnavailable):
            await ask_ahead(engine)


def off_loop(engine: Engine) -> contextlib.AbstractAsyncContextManager[Callable[[], Awaitable[None]]]:
    """Return an async block that records its denials when it ends, instead of blocking the event loop meanwhile.

    The block yields a function. Await it before an answer begins.

    Raises:
        StoreUnavailable, LedgerBroken: A denial cannot be recorded.
    """
    ledger = engine.ledger
    if hasattr(ledger, "off_loop"):  # As in `ask_ahead`.
        return cast("OffLoopLedger", ledger).off_loop()
    return contextlib.nullcontext(_record_nothing)


async def _record_nothing() -> None:
    """Do nothing: there is no ledger, or it records at once."""


def kind_behind(fn: Any) -> Kind:
    """Return the kind of a function or class as frameworks see it: plain wrappers have the kind of what they wrap."""
    kind = callable_kind(fn)
    inner = inspect.unwrap(fn)
    return kind if kind != "plain" or isinstance(inner, type) else callable_kind(inner)
