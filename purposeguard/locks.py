"""Locks that neither an interruption nor a fork can turn into a deadlock.

A signal handler or a finalizer runs in the middle of whatever its thread does, so the locks are reentrant. A forked
child inherits the locks that other threads of its parent held, but not those threads, so its locks are released.
Only short code of this package runs under a lock: no callbacks, and no code of generated classes.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Final

_LOCKS: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


def make_lock() -> threading.RLock:
    """Return a reentrant lock that is released in a forked child, unless the forking thread holds it."""
    lock = threading.RLock()
    _LOCKS.add(lock)
    return lock


def _release_in_child() -> None:
    for lock in list(_LOCKS):
        if not lock._is_owned():  # The forking thread goes on in the child and releases its own locks.
            lock._at_fork_reinit()  # The standard library resets its own locks in the same way.


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no forks
    os.register_at_fork(after_in_child=_release_in_child)
