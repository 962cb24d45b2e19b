"""Forks: a child goes on with no transaction of its parent, so none is under way when it is made.

SQLite and its drivers hold locks of the process while they work. A child inherits the locks, and not the threads that
would release them: it could write no more, or hang where it connects. So a fork waits for the other threads.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Generator
from typing import Final, Protocol

PATIENCE: Final = 5.0
"""Seconds for which a fork waits for transactions of other threads."""


class Forked(Protocol):
    """What is told of forks. It is held weakly."""

    def before_fork(self) -> None:
        """Called in the parent while no other thread is in a transaction: closes what a child should not inherit."""

    def forked(self, *, torn: bool) -> None:
        """Called in the child; `torn`: a transaction was under way all the same."""


class _Gate:
    """Counts the transactions under way, by thread, and closes while the process forks."""

    def __init__(self) -> None:
        self.told: weakref.WeakSet[Forked] = weakref.WeakSet()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._condition = threading.Condition()
        self._inside: Counter[int] = Counter()
        self._forking = 0  # threads, of which one holds the lock
        self._torn = False

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """A block that no other thread's fork interrupts."""
        thread = threading.get_ident()
        with self._condition:
            while self._forking and thread not in self._inside:
                self._condition.wait()
            self._inside[thread] += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside[thread] -= 1
                if not self._inside[thread]:
                    del self._inside[thread]
                    self._condition.notify_all()

    def close(self) -> None:
        """Before a fork: waits for other threads, and lets none begin until `open`."""
        thread = threading.get_ident()
        self._condition.acquire()
        self._forking += 1
        deadline = time.monotonic() + PATIENCE
        while self._inside.keys() - {thread} and (left := deadline - time.monotonic()) > 0:
            self._condition.wait(left)
        self._torn = bool(self._inside)  # its own transaction is the parent's as well
        if not self._torn:
            for each in list(self.told):
                each.before_fork()

    def open(self) -> None:
        """After a fork, in the parent."""
        self._forking -= 1
        self._condition.notify_all()
        self._condition.release()

    def open_in_child(self) -> None:
        """After a fork, in the child, which has one thread, and no transaction."""
        torn = self._torn
        self._begin_anew()
        for each in list(self.told):
            each.forked(torn=torn)


FORKS: Final = _Gate()
"""The gate of the process."""

if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no forks
    os.register_at_fork(before=FORKS.close, after_in_parent=FORKS.open, after_in_child=FORKS.open_in_child)
