"""Locks that neither an interruption nor a fork can turn into a deadlock.

A signal handler or a finalizer runs in the middle of whatever its thread does, so the locks are reentrant. A forked
child inherits the locks that other threads of its parent held, but not those threads, so its locks are released.
Only short code of this package runs under a lock: no callbacks, and no code of generated classes.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final, Generic, Self, TypeVar, overload

from purposeguard.processes import LiveObjects

T = TypeVar("T")


def _release(lock: Any) -> None:
    if not lock._is_owned():  # The forking thread goes on in the child and releases its own locks.
        lock._at_fork_reinit()  # The standard library resets its own locks in the same way.


_LOCKS: Final[LiveObjects[Any]] = LiveObjects(in_child=_release)


def make_lock() -> threading.RLock:
    """Return a reentrant lock that is released in a forked child, unless the forking thread holds it."""
    lock = threading.RLock()
    _LOCKS.add(lock)
    return lock


class Signal:
    """A wake-up call from one thread to another. Neither a signal handler nor a second call can break it."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        """Make a signal that was not sent yet."""
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, seconds: float) -> None:
        """Wait until the signal is sent, but not longer than so many seconds."""
        self._lock.acquire(timeout=max(0.0, seconds))

    def send(self) -> None:
        """Wake up the thread that waits, or the next one that will."""
        with contextlib.suppress(RuntimeError):  # It was sent before.
            self._lock.release()


class cached_property(Generic[T]):  # noqa: N801  # used as a decorator
    """A `functools.cached_property` without the lock that it has up to Python 3.11.

    A child that is forked while another thread computes a value would wait for that lock forever, and taking it costs a
    third of a denial's time. Two threads that read an attribute for the first time may both compute the same value.
    """

    def __init__(self, work: Callable[[Any], T]) -> None:
        self._work = work
        self.__doc__ = work.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: Any, owner: type) -> Self | T:
        if instance is None:
            return self
        value = instance.__dict__[self._work.__name__] = self._work(instance)
        return value
