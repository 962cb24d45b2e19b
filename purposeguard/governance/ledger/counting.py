"""The counting of uses from any thread. A thread of its own adds them up and writes them twice a second."""

from __future__ import annotations

import atexit
import collections
import contextlib
import functools
import itertools
import logging
import multiprocessing.util
import threading
import weakref
from collections.abc import Callable, Generator
from typing import Final

from purposeguard.errors import PurposeGuardError
from purposeguard.governance.ledger.chain import Counts, Hour, format_hour, format_moment
from purposeguard.governance.ledger.entries import list_clauses
from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
from purposeguard.processes import LiveObjects, call_at_exit
from purposeguard.runtime.clock import Clock
from purposeguard.runtime.observer import Tick

INTERVAL: Final = 0.5
"""The seconds between two writes of counts: a killed process loses what it counted since the last write."""

SHOWN: Final = 10
"""The number of lost counts that the log names; the others are only added up."""

_log: Final = logging.getLogger("purposeguard")

Used = tuple[str | None, str, tuple[str, ...]]
"""The key of a use: an activity, a purpose and the sources of a label."""


class Ticker:
    """An atomic counter of the uses of one label by one activity, whatever interrupts it.

    Reading the counter advances it as well: `_seen` is the value after the last reading.
    """

    __slots__ = ("_count", "_seen", "_tick", "used")

    def __init__(self, used: Used) -> None:
        self.used = used
        self._count = itertools.count()
        self._seen = 0
        self._tick: weakref.ref[Tick] | None = None

    def tick(self) -> Tick:
        """Return a function to call at each use. Once nobody holds the function, nothing is left to count."""
        tick = functools.partial(next, self._count)  # allows a weak reference; `self._count.__next__` does not
        self._tick = weakref.ref(tick)
        return tick

    def get_shared(self) -> Tick | None:
        """Return the function that `tick` made, as long as somebody holds it; otherwise None."""
        return self._tick() if self._tick is not None else None

    def read(self) -> int:
        """Return the number of uses since the last reading. Only one thread may read at a time."""
        total = next(self._count)
        new, self._seen = total - self._seen, total + 1
        return new


class Counters:
    """The uses since the last write, and the thread that writes them.

    Args:
        write: Called with the counts; they must be on record when it returns. Its second argument is True if no more
            will follow. Counts that it cannot write are kept and passed again.
        clock: The clock that tells the hour.
        interval: The seconds between two writes.
        beside: Called by the thread after each write and at the end, with True at the end.
    """

    def __init__(
        self,
        write: Callable[[Counts, bool], object],
        clock: Clock,
        interval: float = INTERVAL,
        beside: Callable[[bool], object] | None = None,
    ) -> None:
        if interval <= 0:
            raise ValueError(f"the seconds between two writes are above zero: interval={interval}")
        self._write = write
        self._beside = beside
        self._clock = clock
        self._interval = interval
        self._tickers: dict[int, Ticker] = {}  # the tickers that may have been called since the last reading
        self._latest: dict[Used, Ticker] = {}
        self._noted: collections.deque[tuple[Used, int]] = collections.deque()
        self._pending: collections.Counter[Hour] = collections.Counter()
        self._open = ""  # the last hour of which counts were written
        self._failing = self._failing_beside = False
        self._thread: threading.Thread | None = None
        self._closed = False
        self._make_locks()
        multiprocessing.util.register_after_fork(self, Counters._close_with_the_child)
        _COUNTERS.add(self)

    def _make_locks(self) -> None:
        self._starting = make_lock()
        self._turn = make_lock()  # held while writing; reentrant, so its own thread checks `_writing`
        self._writing = False
        self._ended = threading.Event()

    @property
    def waiting(self) -> int:
        """The number of counts that are not written yet. It stays high only if the store cannot be written."""
        return len(self._noted) + len(self._pending)

    # ---- counting ---------------------------------------------------------------------------------------------------

    def make_counter(self, activity: str | None, purpose: str, label: Label) -> Tick:
        """Return a function to call at each use."""
        self._start()
        if self._closed:
            return functools.partial(self.add, activity, purpose, label, 1)
        used = (activity, purpose, list_clauses(label))
        latest = self._latest.get(used)
        tick = latest.get_shared() if latest is not None else None
        if tick is None:  # a ticker that nobody holds is not revived: it may have been read for the last time
            ticker = Ticker(used)
            tick = ticker.tick()
            self._tickers[id(ticker)] = self._latest[used] = ticker
        return tick

    def add(self, activity: str | None, purpose: str, label: Label, count: int) -> None:
        """Count several uses. After `close` they are written at once, and an error of that is raised."""
        used = activity, purpose, list_clauses(label)
        self._noted.append((used, count))
        self._start()
        if self._closed:
            try:
                self.flush()
            except BaseException:
                self._take_back(used, count)
                raise

    def note_hour(self, hour: str) -> None:
        """Note that something else was counted in this hour, to be written when the hour is over."""
        self._open = self._open or hour
        self._start()

    def begin(self) -> None:
        """Start the thread if it has something to do besides writing counts."""
        if self._beside is not None:
            self._start()

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._starting:
            if self._thread is None and not self._closed:  # type: ignore[redundant-expr]  # another thread comes between
                self._thread = threading.Thread(target=self._run, name="purposeguard ledger", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # No more threads can be started, so counts are written at once.
                    self._thread, self._closed = None, True
                    return
                call_at_exit(self.close)  # Registered last, so counts are written before stores are closed.

    def _close_with_the_child(self) -> None:
        """Register `close` in a child of multiprocessing, which ends without `atexit`."""
        multiprocessing.util.Finalize(None, self.close, exitpriority=0)

    # ---- writing ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        ended = self._ended
        while not ended.wait(self._interval):
            try:
                self.flush()
            except Exception as error:  # noqa: BLE001  # a dead thread writes nothing any more
                if not self._failing:
                    what = "counts of uses cannot be written; they are kept, and written when they can be: %s"
                    _log.error(what, _describe_error(error))
                self._failing = True
            else:
                if self._failing:
                    self._failing = False
                    _log.warning("counts of uses are written again; none was lost")
            self._do_beside(last=False)

    def _do_beside(self, *, last: bool) -> None:
        if self._beside is None:
            return
        try:
            self._beside(last)
        except Exception as error:  # noqa: BLE001  # as above: a sink may be anybody's code
            if not self._failing_beside:
                _log.error("no checkpoint of the ledger can be made: %s", _describe_error(error))
            self._failing_beside = True
        else:
            self._failing_beside = False

    def flush(self, *, last: bool = False) -> None:
        """Write the counts. If that fails, they are kept and the error is raised."""
        with self._hold_write_lock() as mine:
            if not mine:
                return  # This call interrupts a write of its own thread, which will go on.
            hour = self._collect()
            # Counts that were written are turned into entries when their hour is over, even without new counts.
            if self._pending or (self._open and (last or self._open != hour)):
                self._write(dict(self._pending), last)
                self._open = hour if self._pending else ""
                self._pending.clear()

    @contextlib.contextmanager
    def _hold_write_lock(self) -> Generator[bool]:
        with self._turn:
            if self._writing:
                yield False
                return
            self._writing = True
            try:
                yield True
            finally:
                self._writing = False

    def _take_back(self, used: Used, count: int) -> None:
        """Take back a use that could not be recorded, and so was refused."""
        with self._turn:
            for key in list(reversed(self._pending)):
                if key[1:] == used:
                    taken = min(count, self._pending[key])
                    self._pending[key] -= taken
                    count -= taken
                    if not self._pending[key]:
                        del self._pending[key]

    def _collect(self) -> str:
        """Add up what was counted, under the present hour, and return that hour."""
        hour = format_hour(format_moment(self._clock.read()))
        for ticker in list(self._tickers.values()):
            over = ticker.get_shared() is None  # Decided before the reading, which is then the last one.
            new = ticker.read()
            if new:
                self._pending[Hour(hour, *ticker.used)] += new
            if over:
                del self._tickers[id(ticker)]
                if self._latest.get(ticker.used) is ticker:
                    self._latest.pop(ticker.used, None)
        while self._noted:
            used, count = self._noted.popleft()
            self._pending[Hour(hour, *used)] += count
        return hour

    # ---- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Write the counts, and end the thread. Counts that cannot be written are lost and logged."""
        self._closed = True
        self._ended.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        atexit.unregister(self.close)
        try:
            self.flush(last=True)
        except Exception as error:  # noqa: BLE001  # logged: there is no caller left
            if self._pending:
                self._log_losses(error)
        self._do_beside(last=True)

    def resume(self) -> None:
        """Count and write again after `close`."""
        with self._starting:
            self._closed = False
            self._ended = threading.Event()
            self._thread = None
        self._start()

    def close_again(self) -> None:
        """Write, at the end of the process, what an ongoing activity counted after `close`."""
        if not self._closed:
            return
        with self._hold_write_lock() as mine:
            if not mine:
                return
            before = self._pending.total()
            self._collect()
            more = self._pending.total() > before
        if more:
            self.close()

    def _log_losses(self, error: Exception) -> None:
        lost = sorted(self._pending.items(), key=lambda item: item[0].order)
        named: list[str] = []
        more = 0
        for key, count in lost:
            if len(named) < SHOWN:
                activity, sources = key.activity or "bare checks", " ".join(key.sources)
                named.append(f"{count} by {activity} for {key.purpose} of {sources} at {key.hour}")
            else:
                more += count
        if more:
            named.append(f"and {more} more")
        message = "%d counted uses are lost, since they cannot be written: %s (lost: %s)"
        _log.error(message, self._pending.total(), _describe_error(error), "; ".join(named))

    def reset_after_fork(self) -> None:
        """Forget, in a forked child, what the parent counted, and start a thread of its own."""
        running = self._thread is not None and not self._closed
        self._make_locks()
        self._noted.clear()
        self._pending.clear()
        self._open, self._failing, self._thread = "", False, None
        for ticker in list(self._tickers.values()):
            ticker.read()
        if running:
            atexit.unregister(self.close)
            self._start()


def _describe_error(error: Exception) -> str:
    """Return the message of an error of this package, which holds no values; of another error, only its type."""
    return str(error) if isinstance(error, PurposeGuardError) else type(error).__name__


_COUNTERS: Final = LiveObjects(in_child=Counters.reset_after_fork, at_exit=Counters.close_again)
