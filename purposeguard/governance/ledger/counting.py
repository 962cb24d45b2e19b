"""Counting uses: one step each, from any thread; a thread of its own adds them up and writes them twice a second."""

from __future__ import annotations

import atexit
import collections
import contextlib
import functools
import itertools
import logging
import multiprocessing.process
import multiprocessing.util
import os
import threading
import weakref
from collections.abc import Callable, Generator
from typing import Final

from purposeguard.errors import PurposeGuardError, StoreUnavailable
from purposeguard.governance.ledger.chain import Counts, Hour, hour_of, written
from purposeguard.governance.ledger.entries import clauses
from purposeguard.governance.ledger.turns import INTERRUPTED
from purposeguard.locks import new_lock
from purposeguard.notice.label import Label
from purposeguard.runtime.clock import Clock
from purposeguard.runtime.observer import Tick

INTERVAL: Final = 0.5
"""Seconds between two writes of counts. A process that is killed loses no more than was counted since the last."""

MOST: Final = 100_000
"""Different counts that are kept apart while they cannot be written."""

TOO_MANY: Final = "(activities beyond the first 100,000)"
"""The activity of what is counted beyond that."""

SHOWN: Final = 10
"""Lost counts that are named in the log; the others are only added up."""

_log: Final = logging.getLogger("purposeguard")

Used = tuple[str | None, str, tuple[str, ...]]


class Ticker:
    """Counts the uses of one label by one activity, and is read by whoever writes; in one step, whatever interrupts it.

    Reading counts as well, so `seen` is what had been counted, and read, before.
    """

    __slots__ = ("_count", "_seen", "_tick", "used")

    def __init__(self, used: Used) -> None:
        """`used` is what it counts."""
        self.used = used
        self._count = itertools.count()
        self._seen = 0
        self._tick: weakref.ref[Tick] | None = None

    def tick(self) -> Tick:
        """What is to be called at each use. When nobody has it any more, there is nothing left to count."""
        tick = functools.partial(next, self._count)  # may be referred to weakly, which `self._count.__next__` may not
        self._tick = weakref.ref(tick)
        return tick

    def shared(self) -> Tick | None:
        """The same, where somebody has it."""
        return self._tick() if self._tick is not None else None

    def read(self) -> int:
        """How often it was counted since it was read last; one reader at a time."""
        total = next(self._count)
        new, self._seen = total - self._seen, total + 1
        return new


class Counters:
    """What was used how often, since it was written last.

    `write` is given counts, and has them on record when it returns. What it cannot write is kept, and given to it
    again. It is told, too, whether these are the last.
    """

    def __init__(self, write: Callable[[Counts, bool], None], clock: Clock, interval: float = INTERVAL) -> None:
        if interval <= 0:
            raise ValueError(f"the seconds between two writes are above zero: interval={interval}")
        self._write = write
        self._clock = clock
        self._interval = interval
        self._tickers: dict[int, Ticker] = {}  # all that may have been called since they were read
        self._latest: dict[Used, Ticker] = {}
        self._noted: collections.deque[tuple[Used, int]] = collections.deque()
        self._handed: collections.deque[tuple[Hour, int]] = collections.deque()
        self._pending: collections.Counter[Hour] = collections.Counter()
        self._open = ""  # the last hour of which counts were written
        self._failing = False
        self._thread: threading.Thread | None = None
        self._closed = False
        self._make_locks()
        multiprocessing.util.register_after_fork(self, Counters._close_with_the_child)
        _COUNTERS.add(self)

    def _make_locks(self) -> None:
        self._lock = new_lock()  # of starting the thread; a finaliser may want to while its own holds it
        self._turn = new_lock()  # of writing; likewise
        self._writing = False
        self._ended = threading.Event()

    # ---- counting ---------------------------------------------------------------------------------------------------

    def counter(self, activity: str | None, purpose: str, label: Label) -> Tick:
        """What is to be called at each use."""
        self._start()
        if self._closed:
            return functools.partial(self.add, activity, purpose, label, 1)
        used = (activity, purpose, clauses(label))
        latest = self._latest.get(used)
        tick = latest.shared() if latest is not None else None
        if tick is None:  # never one again that nobody has: it may have been read for the last time
            ticker = Ticker(used)
            tick = ticker.tick()
            self._tickers[id(ticker)] = self._latest[used] = ticker
        return tick

    def add(self, activity: str | None, purpose: str, label: Label, count: int) -> None:
        """Counts several uses, in one step; once this is closed, they are written at once, or do not happen."""
        used = activity, purpose, clauses(label)
        self._noted.append((used, count))
        self._start()
        if self._closed:
            try:
                self.flush()
            except BaseException:
                self._take_back(used, count)
                raise

    def take(self, counts: Counts) -> None:
        """Takes over what another one has counted."""
        self._handed.extend(counts.items())
        self._start()
        if self._closed:
            self._try_to_flush()

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None and not self._closed:  # type: ignore[redundant-expr]  # another thread comes between
                self._thread = threading.Thread(target=self._run, name="purposeguard ledger", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the process is about to end, or may have no more threads: written at once, then
                    self._thread, self._closed = None, True
                    return
                atexit.register(self.close)
                if multiprocessing.process.parent_process() is not None:
                    self._close_with_the_child()

    def _close_with_the_child(self) -> None:
        """A process that multiprocessing has forked ends without what `atexit` knows."""
        multiprocessing.util.Finalize(None, self.close, exitpriority=0)

    # ---- writing ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        ended = self._ended
        while not ended.wait(self._interval):
            self._try_to_flush()

    def _try_to_flush(self) -> None:
        try:
            self.flush()
        except Exception as error:  # noqa: BLE001  # a thread that has died writes nothing any more
            self._complain(error)
        else:
            if self._failing:
                self._failing = False
                _log.warning("counts of uses are written again; none was lost")

    def _complain(self, error: Exception) -> None:
        if self._failing:
            return
        self._failing = True
        told = str(error) if isinstance(error, PurposeGuardError) else type(error).__name__
        _log.error("counts of uses cannot be written; they are kept, and written when they can be: %s", told)

    def flush(self, *, last: bool = False) -> None:
        """Writes what was counted; where it cannot be written it is kept, and the error is raised."""
        with self._one_at_a_time() as mine:
            if not mine:
                return  # a signal handler, say: what it has interrupted is at it
            hour = hour_of(written(self._clock.read()))
            self._collect(hour)
            # Also when an hour is over of which counts were written, though nothing was counted since.
            if self._pending or (self._open and (last or self._open != hour)):
                self._write(dict(self._pending), last)
                self._open = hour if self._pending else ""
                self._pending.clear()

    @contextlib.contextmanager
    def taking(self) -> Generator[Counts]:
        """What was counted, for whoever writes it in this block together with something else; kept where that fails.

        Raises:
            StoreUnavailable: this interrupts a block, or a `flush`, of its own thread.
        """
        with self._one_at_a_time() as mine:
            if not mine:
                raise StoreUnavailable(INTERRUPTED)
            hour = hour_of(written(self._clock.read()))
            self._collect(hour)
            yield dict(self._pending)
            if self._pending:
                self._open = hour
            self._pending.clear()

    def _take_back(self, used: Used, count: int) -> None:
        """What could not be written at once was refused, so it is not written later either."""
        with self._turn:
            for key in [one for one in reversed(self._pending) if one[1:] == used]:
                taken = min(count, self._pending[key])
                self._pending[key] -= taken
                count -= taken
                if not self._pending[key]:
                    del self._pending[key]

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Generator[bool]:
        with self._turn:
            if self._writing:
                yield False
                return
            self._writing = True
            try:
                yield True
            finally:
                self._writing = False

    def _collect(self, hour: str) -> None:
        """Adds up what was counted since the last time: of this hour, though it may be of the half second before it."""
        for ticker in list(self._tickers.values()):
            over = ticker.shared() is None  # asked first: what is over is over when it is read
            new = ticker.read()
            if new:
                self._keep(Hour(hour, *ticker.used), new)
            if over:
                del self._tickers[id(ticker)]
                if self._latest.get(ticker.used) is ticker:
                    self._latest.pop(ticker.used, None)
        while self._noted:
            used, count = self._noted.popleft()
            self._keep(Hour(hour, *used), count)
        while self._handed:
            self._keep(*self._handed.popleft())

    def _keep(self, key: Hour, count: int) -> None:
        if len(self._pending) >= MOST and key not in self._pending:
            key = key._replace(activity=TOO_MANY)
        self._pending[key] += count

    def close(self) -> None:
        """Writes what was counted, and ends the thread. What cannot be written now is lost, and the log says so."""
        self._closed = True
        self._ended.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        atexit.unregister(self.close)
        try:
            self.flush(last=True)
        except Exception as error:  # noqa: BLE001  # said in the log: nobody is left to be told
            if self._pending:
                self._lament(error)

    def resume(self) -> None:
        """Counts, and writes, again after this was closed."""
        with self._lock:
            self._closed = False
            self._ended = threading.Event()
            self._thread = None
        self._start()

    def close_again(self) -> None:
        """At the end of the process: what was counted after this was closed is written, or said to be lost.

        An activity that goes on then, and names no subject, still counts what it uses.
        """
        if not self._closed:
            return  # it has ended by itself
        with self._one_at_a_time() as mine:
            if not mine:
                return
            known = self._pending.total()
            self._collect(hour_of(written(self._clock.read())))
            more = self._pending.total() > known
        if more:
            self.close()

    def _lament(self, error: Exception) -> None:
        told = str(error) if isinstance(error, PurposeGuardError) else type(error).__name__
        lost = sorted(self._pending.items(), key=lambda one: one[0].order)
        named = "; ".join(
            f"{count} by {key.activity or 'bare checks'} for {key.purpose} of {' '.join(key.sources)} at {key.hour}"
            for key, count in lost[:SHOWN]
        )
        more = f"; and {sum(count for _, count in lost[SHOWN:])} more" if len(lost) > SHOWN else ""
        total = sum(self._pending.values())
        _log.error("%d counted uses are lost, since they cannot be written: %s (lost: %s%s)", total, told, named, more)

    # ---- forks ------------------------------------------------------------------------------------------------------

    def leave_to_the_parent(self) -> None:
        """In a forked child: forgets what the parent counted, and has a thread of its own for what is counted here."""
        running = self._thread is not None and not self._closed
        self._make_locks()
        self._noted.clear()
        self._handed.clear()
        self._pending.clear()
        self._open, self._failing, self._thread = "", False, None
        for ticker in list(self._tickers.values()):
            ticker.read()
        if running:
            atexit.unregister(self.close)
            self._start()


_COUNTERS: Final[weakref.WeakSet[Counters]] = weakref.WeakSet()
"""For forked children, and for the end of the process."""


@atexit.register
def _close_all_again() -> None:
    for counters in list(_COUNTERS):
        counters.close_again()


def _forked() -> None:
    for counters in list(_COUNTERS):
        counters.leave_to_the_parent()


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows has no forks
    os.register_at_fork(after_in_child=_forked)
