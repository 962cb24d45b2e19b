"""Support for event loops: waits that do not block the loop, and a warning for calls that do."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from contextvars import ContextVar, Token
from importlib import import_module
from typing import Any, Final

from purposeguard.errors import PurposeGuardError, StoreUnavailable
from purposeguard.runtime.execution import TRIO, modules

_OURS: Final = frozenset({"purposeguard", "contextlib"})
"""The packages whose lines the warning does not name."""


class BlockingStoreCall(RuntimeWarning):
    """The store was asked in the thread of a running event loop: all its tasks wait, while the server is silent too."""


def _is_asyncio_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_trio_running() -> bool:
    trio: Any = modules.get(TRIO)
    return trio is not None and bool(trio.in_trio_run())


def _is_loop_running() -> bool:
    return _is_asyncio_running() or _is_trio_running()


def warn_if_blocking(instead: str = "`await governance.ready([subject, …])` before") -> None:
    """Warn, once for each calling line, if the store is about to be asked in the thread of an event loop."""
    if not _is_loop_running():
        return
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] in _OURS:
        frame = frame.f_back
    warnings.warn_explicit(
        f"the store is asked in the thread of an event loop, which stands still meanwhile: {instead}",
        BlockingStoreCall,
        frame.f_code.co_filename,
        frame.f_lineno,
        frame.f_globals.get("__name__"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


async def wait_for_future(future: Future[Any], seconds: float) -> bool:
    """Wait until the future is done, and let the running loop go on. Return False if the time is over first."""
    if _is_asyncio_running():
        finished, _ = await asyncio.wait([asyncio.wrap_future(future)], timeout=seconds)
        return bool(finished)
    trio: Any = import_module("trio")
    token, done = trio.lowlevel.current_trio_token(), trio.Event()
    future.add_done_callback(lambda _: token.run_sync_soon(done.set))
    with trio.move_on_after(seconds):
        await done.wait()
    return bool(done.is_set())


class _OffLoopBlock(contextlib.AbstractAsyncContextManager[Callable[[], Awaitable[None]]]):
    """The writes that threads do for a block in an event loop, until the block is over."""

    def __init__(self, patience: Callable[[], float]) -> None:
        self._patience = patience
        self._writes: list[Future[PurposeGuardError | None]] = []
        self._failure: PurposeGuardError | None = None
        self._token: Token[_OffLoopBlock | None] | None = None
        self.over = False

    async def __aenter__(self) -> Callable[[], Awaitable[None]]:
        self._token = _BLOCK.set(self)
        return self.wait_until_recorded

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None or issubclass(kind, Exception):  # A cancelled task does not wait.
                await self.wait_until_recorded()
        finally:
            self.over = True
            if self._token is not None:
                _BLOCK.reset(self._token)

    def write(self, threads: Executor, write: Callable[[], object], *, is_awaited: bool) -> bool:
        """Have a thread write. Return False if no thread can be started, in which case nothing was done."""

        def failure() -> PurposeGuardError | None:
            try:
                write()
            except PurposeGuardError as error:
                return error
            return None

        while self._writes and self._writes[0].done() and self._failure is None and self._writes[0].result() is None:
            del self._writes[0]  # Keeps the list short if nothing awaits it for long.
        try:
            submitted = threads.submit(failure)
        except RuntimeError:  # no thread can be started, or they have ended
            return False
        if is_awaited:
            self._writes.append(submitted)
        return True

    async def wait_until_recorded(self) -> None:
        """Wait until all of it is on record.

        Raises:
            StoreUnavailable: it cannot be, or not within the `timeout` of the store.
            LedgerBroken: the ledger was changed.
        """
        if not self._writes and self._failure is None:
            return
        ends = time.monotonic() + self._patience()
        while self._writes and self._failure is None:
            write = self._writes[0]
            if not await wait_for_future(write, max(0.0, ends - time.monotonic())):
                for pending in self._writes:
                    pending.cancel()
                self._failure = StoreUnavailable("the ledger cannot be written: the store does not answer")
            elif self._writes and self._writes[0] is write:  # Otherwise another waiting task came first.
                del self._writes[0]
                failure = write.result()
                if failure is not None:
                    self._failure = failure
        if self._failure is not None:
            raise copy.copy(self._failure)


_BLOCK: Final[ContextVar[_OffLoopBlock | None]] = ContextVar("purposeguard_off_loop", default=None)


def record_off_loop(
    patience: Callable[[], float],
) -> contextlib.AbstractAsyncContextManager[Callable[[], Awaitable[None]]]:
    """Return an asynchronous context manager that ends when all that `write_off_loop` took in its block is on record.

    The block gets a function to await that before its end. A cancelled task does not wait, but the thread still ends
    what it began.

    Raises:
        StoreUnavailable, LedgerBroken: a write failed. Raised in place of what the block raises.
    """
    return _OffLoopBlock(patience)


def write_off_loop(threads: Callable[[], Executor], write: Callable[[], object], *, is_awaited: bool = True) -> bool:
    """Have a thread write on behalf of the `record_off_loop` block that runs here.

    Args:
        threads: A function that returns the threads.
        write: The function that writes.
        is_awaited: False if the block does not wait for the write, whose errors are not raised either.

    Returns:
        False if no such block runs, and nothing was done.
    """
    block = _BLOCK.get()
    return (
        block is not None
        and not block.over
        and _is_loop_running()
        and block.write(threads(), write, is_awaited=is_awaited)
    )
