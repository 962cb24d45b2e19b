"""What code has begun and not waited for: threads and tasks, which are given a moment to come to their end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import thread as pools
from typing import Any, Final

from purposeguard.testing._patching import Patches

_PATIENCE: Final = 1.0
"""Seconds for all that was begun in one run."""


class Waiting:
    """Waits, once in vain at most: what does not end, such as a server, is not waited for again."""

    def __init__(self) -> None:
        self.patience = _PATIENCE

    @contextlib.contextmanager
    def threads(self) -> Generator[None]:
        """A block; the threads that it begins are waited for, and what it gives to pools of threads."""
        patches = Patches()
        before = set(threading.enumerate())
        submitted: list[Future[Any]] = []

        def noted(submit: Any) -> Any:
            def wrapper(pool: Any, fn: Any, /, *args: Any, **options: Any) -> Future[Any]:
                future: Future[Any] = submit(pool, fn, *args, **options)
                submitted.append(future)
                return future

            return wrapper

        patches.put(ThreadPoolExecutor, "submit", noted)
        try:
            yield
        finally:
            patches.undo()
            self._wait(before, submitted)

    def _wait(self, before: set[threading.Thread], submitted: list[Future[Any]]) -> None:
        until = time.monotonic() + self.patience
        unfinished = bool(wait(submitted, self.patience).not_done)
        workers = pools._threads_queues  # those of pools wait for work until the process ends
        for one in threading.enumerate():
            if one not in before and one not in workers and one is not threading.current_thread():
                with contextlib.suppress(RuntimeError):  # one that is just being started
                    one.join(max(0.0, until - time.monotonic()))
                unfinished = unfinished or one.is_alive()
        if unfinished:
            self.patience = 0.0

    async def for_tasks(self) -> None:
        """Waits for all other tasks of the running loop."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others and self.patience:
            _, unfinished = await asyncio.wait(others, timeout=self.patience)
            if unfinished:
                self.patience = 0.0
