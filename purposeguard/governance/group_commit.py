"""Group commit: one transaction for all events that threads of the process want to record at the same time."""

from __future__ import annotations

import collections
import contextlib
import copy
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import Final, Generic, TypeVar

from purposeguard.errors import PurposeGuardError, StoreUnavailable
from purposeguard.governance.deadlines import current_deadline
from purposeguard.locks import Signal, make_lock

E = TypeVar("E")
R = TypeVar("R")

MAX_EVENTS_PER_TRANSACTION: Final = 500
"""The most events that are written in one transaction."""

PATIENCE: Final = 5.0
"""The seconds to wait for other threads if the store was never opened."""


class _WaitingEvent(Generic[E, R]):
    """An event that its thread wants on record, and what became of it."""

    __slots__ = ("_turn", "error", "event", "is_settled", "results", "writes_alone")

    def __init__(self, event: E) -> None:
        self.event = event
        self.is_settled = False
        """True once a transaction with the event has ended."""
        self.results: Sequence[R] = ()
        """The single result, if the event is on record."""
        self.error: Exception | None = None
        self.writes_alone = False
        """True if the group was not written because of one of its events, perhaps another one."""
        self._turn = Signal()

    def wait(self, seconds: float) -> None:
        """Wait until the event is settled, or until its thread shall write, or for so many seconds."""
        self._turn.wait(seconds)

    def wake(self) -> None:
        """End `wait`."""
        self._turn.send()


class GroupCommit(Generic[E, R]):
    """A writer that combines the events of threads which wait at the same time: one of the threads writes all of them.

    A thread that finds nobody writing becomes the leader: it takes the events that wait, in their order, writes them in
    one transaction, and wakes their threads. The others wait for that. When the leader has ended, it wakes the first
    thread whose event came too late, which becomes the next leader. Since leading means to hold a lock, a leader that
    disappears leaves no queue behind: a thread that was not woken in time tries to lead.

    If an event makes the transaction fail, each thread writes its own event, so that it fails for that one only.

    Args:
        write: Called with the events; returns a result for each. When it returns, all of them are on record; if it
            fails, none.
        timeout: Returns the seconds for which a thread waits for its turn.
    """

    def __init__(self, write: Callable[[Sequence[E]], Sequence[R]], timeout: Callable[[], float]) -> None:
        self._write = write
        self._timeout = timeout
        self._turn = make_lock()
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._busy = 0  # the id of the thread that writes
        self._waiting: collections.deque[_WaitingEvent[E, R]] = collections.deque()

    def _reset_after_fork(self) -> None:
        """Forget, in a forked child, what threads of the parent wait for and write."""
        if self._process != os.getpid():
            self._reset()

    def write(self, event: E) -> R:
        """Write an event, and return its result. It is on record when this returns.

        Raises:
            StoreUnavailable: it cannot be recorded.
        """
        self._reset_after_fork()
        own: _WaitingEvent[E, R] = _WaitingEvent(event)
        ends = min(time.monotonic() + self._timeout(), current_deadline())
        self._waiting.append(own)
        try:
            # The leader looks for waiting events after it has reset `_busy`, so it sees an event that was added before.
            if self._busy not in (0, threading.get_ident()):
                own.wait(ends - time.monotonic())
            if not own.is_settled:
                with self.exclude_others(ends - time.monotonic()):
                    if not own.is_settled:  # Another thread may have led between the two questions.
                        self._lead(own)
        finally:
            self._withdraw(own)
        if own.writes_alone:
            with self.exclude_others(ends - time.monotonic()):
                return self._write([event])[0]
        if own.error is not None:
            raise own.error
        return own.results[0]

    @contextlib.contextmanager
    def exclude_others(self, seconds: float | None = None) -> Generator[None]:
        """Return a context manager in whose block no other thread of this process writes.

        Args:
            seconds: The time to wait for the turn; None for the usual time.

        Raises:
            StoreUnavailable: it is not this thread's turn in time, or this interrupts a write of its own thread, in a
                signal handler for example.
        """
        self._reset_after_fork()
        if not self._turn.acquire(timeout=max(0.0, self._timeout() if seconds is None else seconds)):
            raise StoreUnavailable("the ledger cannot be written: other threads of this process wait for the store too")
        try:
            if self._busy == threading.get_ident():
                raise StoreUnavailable(
                    "the ledger was interrupted while it wrote, and cannot be written from in between"
                )
            self._busy = threading.get_ident()
            try:
                yield
            finally:
                self._busy = 0
        finally:
            self._turn.release()
            self._wake_first()

    def _wake_first(self) -> None:
        """Wake the thread that shall lead next, if one waits."""
        with contextlib.suppress(IndexError):
            self._waiting[0].wake()

    def _withdraw(self, own: _WaitingEvent[E, R]) -> None:
        """Remove an event that no leader took, because its thread waits no longer."""
        with contextlib.suppress(ValueError):
            self._waiting.remove(own)
            self._wake_first()  # This thread may have been woken to lead.

    def _lead(self, own: _WaitingEvent[E, R]) -> None:
        """Write the waiting events, `own` in any case."""
        group = self._take_group(own)
        results: Sequence[R] = ()
        error: Exception | None = StoreUnavailable("the ledger was interrupted while it wrote")
        separates = False
        try:
            results = self._write([waiting.event for waiting in group])
            error = None
        except (StoreUnavailable, TypeError, ValueError) as failure:
            error = failure
            separates = len(group) > 1 and (not isinstance(failure, StoreUnavailable) or failure.refuses_value)
        except Exception as failure:
            error = failure
            raise
        finally:
            for number, waiting in enumerate(group):
                waiting.results = results[number : number + 1]
                waiting.error = error if waiting is own else _copy_error(error)
                waiting.writes_alone = separates
                waiting.is_settled = True
                waiting.wake()

    def _take_group(self, own: _WaitingEvent[E, R]) -> list[_WaitingEvent[E, R]]:
        """Take the waiting events out of the queue, the first first; `own` even if it is far behind."""
        group: list[_WaitingEvent[E, R]] = []
        with contextlib.suppress(IndexError):  # The queue is empty: threads that wait no longer leave it too.
            while len(group) < MAX_EVENTS_PER_TRANSACTION:
                group.append(self._waiting.popleft())
        if own not in group:
            with contextlib.suppress(ValueError):  # It is not there in a child that was forked since.
                self._waiting.remove(own)
            group.append(own)
        return group


def _copy_error(error: Exception | None) -> Exception | None:
    """Return an error for another thread, which adds notes and a traceback of its own."""
    return copy.copy(error) if isinstance(error, PurposeGuardError) else error  # Not every class can be copied.
