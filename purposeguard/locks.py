"""The locks of the package: of one kind, which neither an interruption nor a fork can turn into a wait without end.

A signal handler or a finaliser runs in the middle of whatever its thread does, so a lock lets its own thread in again.
A forked child has the locks that other threads of its parent held, and not the threads: there they are free again.
What runs under a lock is the package's own, and short: no callbacks, no code of classes that are made.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Final

_LOCKS: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


def make_lock() -> threading.RLock:
    """A lock that its thread may take again, and that is free in a forked child unless what forked holds it."""
    lock = threading.RLock()
    _LOCKS.add(lock)
    return lock


def _release_in_child() -> None:
    for lock in list(_LOCKS):
        if not lock._is_owned():  # the thread that forked goes on in the child, and will leave what it has entered
            lock._at_fork_reinit()  # as the standard library does with its own


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no forks
    os.register_at_fork(after_in_child=_release_in_child)
