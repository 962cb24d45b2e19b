"""Support for forks: a fork waits until no transaction is under way, since a child cannot continue one.

SQLite and its drivers hold locks of the process while they work. A child inherits the locks, but not the threads that
would release them, so it could not write any more, or would hang when it connects.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections import Counter
from collections.abc import Generator
from typing import Final, Protocol

from purposeguard.locks import make_lock
from purposeguard.processes import register_fork_handlers

PATIENCE: Final = 5.0
"""The seconds for which a fork waits for transactions of other threads."""

PAUSE: Final = 0.001
"""The seconds between two checks whether these transactions have ended."""


class ForkListener(Protocol):
    """An object that is notified of forks. It is held weakly."""

    def before_fork(self) -> None:
        """Close what a child should not inherit. Called in the parent while no other thread is in a transaction."""

    def after_fork(self, *, torn: bool) -> None:
        """Drop what belongs to the parent. Called in the child; `torn` if a transaction was under way all the same."""


class _ForkGate:
    """A counter of the transactions under way, by thread, that lets none begin while the process forks."""

    def __init__(self) -> None:
        self.told: weakref.WeakSet[ForkListener] = weakref.WeakSet()
        self.torn: set[str] = set()
        """The SQLite files whose locks this process inherited within a transaction. Opening them is refused."""
        self._reset()

    def _reset(self) -> None:
        self._lock = make_lock()
        self._inside: Counter[int] = Counter()
        self._forking = 0  # threads that are about to fork; one at a time holds the lock meanwhile
        self._tearing = False

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """Return a context manager whose block no other thread's fork interrupts."""
        thread = threading.get_ident()
        while not self._try_enter(thread):
            time.sleep(PAUSE)
        try:
            yield
        finally:
            with self._lock:
                self._inside[thread] -= 1
                if not self._inside[thread]:
                    del self._inside[thread]

    def _try_enter(self, thread: int) -> bool:
        with self._lock:
            if self._forking and thread not in self._inside:
                return False
            self._inside[thread] += 1
        return True

    def close(self) -> None:
        """Wait for other threads before a fork, and let none begin until `open`."""
        thread = threading.get_ident()
        with self._lock:
            self._forking += 1
            self._tearing = (
                True  # until the others have ended: a signal handler may raise in this, and the fork goes on
            )
        deadline = time.monotonic() + PATIENCE
        self._lock.acquire()
        while self._inside.keys() - {thread} and time.monotonic() < deadline:
            self._lock.release()
            time.sleep(PAUSE)
            self._lock.acquire()
        self._tearing = bool(self._inside)  # A transaction of this thread belongs to the parent as well.
        if not self._tearing:
            for listener in list(self.told):
                listener.before_fork()

    def open(self) -> None:
        """Let threads begin again. Called in the parent after a fork."""
        self._forking -= 1
        self._lock.release()

    def open_in_child(self) -> None:
        """Reset the barrier, and notify its members. Called in the child, which has one thread and no transaction."""
        torn = self._tearing
        self._reset()
        for listener in list(self.told):
            listener.after_fork(torn=torn)


FORKS: Final = _ForkGate()
"""The gate of this process."""

register_fork_handlers(before=FORKS.close, in_parent=FORKS.open, in_child=FORKS.open_in_child)
