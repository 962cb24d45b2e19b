"""The purpose of a request in the threads and tasks that its framework hops to: there the same request goes on.

And what governance is asked before a request is answered in an event loop, so that the loop does not wait for it.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextvars import ContextVar
from typing import Any, Final, ParamSpec, TypeVar, cast

from purposeguard.errors import PurposeMissing, StoreUnavailable
from purposeguard.guard import Guard
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.protocols import OffLoopLedger, PrefetchingOversight
from purposeguard.runtime.use import CarriedUse, Use, awaiting_frame
from purposeguard.runtime.wrapping import WRAPPERS, require_function
from purposeguard.values.callables import Kind, callable_kind

P = ParamSpec("P")
R = TypeVar("R")

_HOP: Final[ContextVar[Use[Any] | None]] = ContextVar("purposeguard_hop", default=None)


@contextlib.contextmanager
def hopping(under_way: Guard | Use[Any]) -> Generator[None]:
    """Until it is left, functions that `hops` wraps take a purpose to threads and tasks that copy this context.

    It is the one under way here, of a guard, or of a use that holds here.

    Raises:
        PurposeMissing: no purpose is under way, or one that is not carried, such as an exception.
    """
    use: Use[Any] = under_way.current if isinstance(under_way, Guard) else under_way
    if not use._carries:
        raise PurposeMissing(f"{use.activity.name} is an exception, which is not carried: enter it where it is needed")
    token = _HOP.set(use)
    try:
        yield
    finally:
        _HOP.reset(token)


@contextlib.contextmanager
def nothing_hops() -> Generator[None]:
    """Until it is left, or `hopping` is entered in it: where another request begins in a context that was copied."""
    token = _HOP.set(None)
    try:
        yield
    finally:
        _HOP.reset(token)


def hops(fn: Callable[P, R]) -> Callable[P, R]:
    """`fn`, which its framework runs in a thread or task on behalf of a request: for the purpose of that request.

    Of a generator, that is so at each step. Without a request, once it has ended, or where its purpose holds anyway,
    `fn` runs as it is.

    Raises:
        TypeError: `fn` is no function, class or other object that is called.
    """
    return cast("Callable[P, R]", hopping_function(fn, Hop()))


def hopping_function(fn: Any, around: Hop) -> Callable[..., Any]:
    """`fn` as a function of the kind that a framework takes it for, with this around it; raises as `hops` does."""
    if not isinstance(fn, type):
        require_function(fn)
    return WRAPPERS[kind_behind(fn)](fn, around)


class Hop:
    """What surrounds a run: a use like that of the request, where that one does not hold."""

    def enter(self) -> CarriedUse | None:
        """A use that stands for that of the request here; None where there is none to stand for, or it holds here."""
        use = _HOP.get()
        if use is None or not use.active or use._is_owner_running():
            return None
        return CarriedUse(use._handle, use, awaiting_frame(sys._getframe(1)))

    enter_for_cleanup = enter

    def leave(self, token: CarriedUse | None) -> None:
        """End it."""
        if token is not None:
            token._close()

    def filter_result(self, value: Any, token: CarriedUse | None) -> Any:  # noqa: ARG002  # as Around has it
        """What the body gave, as it is."""
        return value


async def ask_ahead(engine: Engine, subjects: Iterable[str] = ()) -> None:
    """Have governance know what holds for these subjects, by `subject_key`; the event loop goes on meanwhile.

    Raises:
        StoreUnavailable: it cannot be known now.
    """
    oversight = cast("object", engine.oversight)
    if isinstance(oversight, PrefetchingOversight):
        await oversight.ready(subjects)


async def settled(engine: Engine) -> None:
    """Have it known whether the store of governance answers: where it does not, what needs it is refused at once."""
    with contextlib.suppress(StoreUnavailable):
        await ask_ahead(engine)


def off_loop(engine: Engine) -> contextlib.AbstractAsyncContextManager[Callable[[], Awaitable[None]]]:
    """Return a block in an event loop, which does not wait where its denials are recorded: the end of the block does.

    It gives what is to be awaited before an answer is begun.

    Raises:
        StoreUnavailable, LedgerBroken: what was denied cannot be recorded.
    """
    ledger = cast("object", engine.ledger)
    return ledger.off_loop() if isinstance(ledger, OffLoopLedger) else contextlib.nullcontext(_record_nothing)


async def _record_nothing() -> None:
    """Of a ledger that records at once, or of none."""


def kind_behind(fn: Any) -> Kind:
    """The kind that a framework takes a function or class for: of what is in it, where it hands on what that gives."""
    own = callable_kind(fn)
    inside = inspect.unwrap(fn)
    return own if own != "plain" or isinstance(inside, type) else callable_kind(inside)
