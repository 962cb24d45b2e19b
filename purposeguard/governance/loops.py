"""Event loops beside a store: a wait that does not block the loop, and a warning where one does."""

from __future__ import annotations

import asyncio
import sys
import warnings
from concurrent.futures import Future
from importlib import import_module
from typing import Any, Final

from purposeguard.runtime.execution import TRIO, modules

_OURS: Final = frozenset({"purposeguard", "contextlib"})
"""Packages that are no place to name in the warning."""


class BlockingStoreCall(RuntimeWarning):
    """The store was asked in the thread of a running event loop: all its tasks wait, while the server is silent too."""


def _asyncio_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _trio_runs_here() -> bool:
    trio: Any = modules.get(TRIO)
    return trio is not None and bool(trio.in_trio_run())


def warn_if_blocking() -> None:
    """Warns, once for each place that asks, where the store is about to be asked in the thread of an event loop."""
    if not (_asyncio_runs_here() or _trio_runs_here()):
        return
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] in _OURS:
        frame = frame.f_back
    warnings.warn_explicit(
        "the store is asked in the thread of an event loop, which stands still meanwhile: "
        "`await governance.ready([subject, …])` before",
        BlockingStoreCall,
        frame.f_code.co_filename,
        frame.f_lineno,
        frame.f_globals.get("__name__"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


async def done_within(future: Future[Any], seconds: float) -> bool:
    """True once the future is done, False if it is not within this time; the loop that runs here goes on meanwhile."""
    if _asyncio_runs_here():
        finished, _ = await asyncio.wait([asyncio.wrap_future(future)], timeout=seconds)
        return bool(finished)
    trio: Any = import_module("trio")
    token, done = trio.lowlevel.current_trio_token(), trio.Event()
    future.add_done_callback(lambda _: token.run_sync_soon(done.set))
    with trio.move_on_after(seconds):
        await done.wait()
    return bool(done.is_set())
