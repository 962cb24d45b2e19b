"""The time, and its uncertainty: a wrong clock neither restores a permission nor ends a restriction.

The time of day is compared with the time that has passed since it was first read, which cannot be set. If the two
disagree, the present is one of two moments, and each question is answered by the moment that allows less. A
restriction by a subject ends only by the earlier moment, and data is erased only by it; a consent, an exception or the
permitted use of data ends by the later one. No answer is cached, so everything is normal again as soon as the clock is
right.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from purposeguard.locks import make_lock

Now = Callable[[], datetime.datetime]
"""A function that returns the current time, with its time zone."""

Elapsed = Callable[[], float]
"""A function that returns the seconds since some moment, measured by a clock that cannot be set."""

UTC: Final = datetime.UTC

TOLERANCE: Final = datetime.timedelta(minutes=2)
"""The greatest difference at which the time still counts as certain. A time server may have corrected the clock."""


def read_system_time() -> datetime.datetime:
    """Return the system's time, in UTC."""
    return datetime.datetime.now(UTC)


def _choose_elapsed_clock() -> Elapsed:
    """Return the system's clock that cannot be set and continues while the machine sleeps, or the closest to it."""
    # Linux counts the time of sleep only in BOOTTIME, macOS also in MONOTONIC.
    which = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    if which is None:
        return time.monotonic
    try:
        time.clock_gettime(which)
    except OSError:  # A sandbox may lack this clock.
        return time.monotonic
    return lambda: time.clock_gettime(which)


system_elapsed: Final = _choose_elapsed_clock()


class Span(NamedTuple):
    """Two moments between which the present lies."""

    earliest: datetime.datetime
    latest: datetime.datetime


class Clock:
    """The time of day in UTC, compared with the time that has passed since the clock was first read.

    The system's time is compared with the system's clock that cannot be set. Any other `now` without `elapsed` is
    trusted, except that it does not bring back what had ended at an earlier reading.
    """

    __slots__ = ("_began", "_elapsed", "_latest", "_lock", "_now")

    def __init__(self, now: Now = read_system_time, elapsed: Elapsed | None = None) -> None:
        self._now = now
        self._elapsed = system_elapsed if elapsed is None and now is read_system_time else elapsed
        self._began: tuple[datetime.datetime, float] | None = None
        self._latest = datetime.datetime.min.replace(tzinfo=UTC)
        self._lock = make_lock()  # Reentrant, because a signal handler may read the clock meanwhile.
        if now is read_system_time:
            self.span()  # Changes of the system's clock are noticed from now on.

    @classmethod
    def of(cls, clock: Now | Clock) -> Clock:
        """Return a clock unchanged, or create one for a function that returns the time."""
        return clock if isinstance(clock, Clock) else cls(clock)

    @property
    def is_system(self) -> bool:
        """True if the time is the system's."""
        return self._now is read_system_time

    def read(self) -> datetime.datetime:
        """Return the time of day without any comparison, for records.

        Raises:
            TypeError: The time is not a datetime.
            ValueError: The time has no time zone.
        """
        return to_utc(self._now())

    def span(self) -> Span:
        """Return the two moments between which the present lies. Raises the errors of `read`."""
        present = self.read()
        elapsed = None if self._elapsed is None else self._elapsed()
        with self._lock:
            if elapsed is None:
                # Another thread may have read a later time meanwhile, or the clock was set back.
                self._latest = max(present, self._latest)
                return Span(present, self._latest)
            if self._began is None:
                self._began = present, elapsed
            began, since = self._began
        expected = began + datetime.timedelta(seconds=max(0.0, elapsed - since))
        return Span(min(present, expected), max(present, expected))

    def now(self) -> datetime.datetime:
        """Return the latest possible present in UTC, by which permissions end. Raises the errors of `read`."""
        return self.span().latest

    def earliest(self) -> datetime.datetime:
        """Return the earliest possible present in UTC, by which restrictions end. Raises the errors of `read`."""
        return self.span().earliest

    def doubt(self) -> datetime.timedelta | None:
        """Return how far the clock has jumped since it was first read; None if the time is certain."""
        earliest, latest = self.span()
        return latest - earliest if latest - earliest > TOLERANCE else None


def to_utc(moment: datetime.datetime) -> datetime.datetime:
    """Convert a moment to UTC.

    Raises:
        TypeError: `moment` is not a datetime.
        ValueError: `moment` has no time zone, or lies outside the range of datetimes in UTC.
    """
    if not isinstance(moment, datetime.datetime):
        raise TypeError(f"a moment is a datetime with its time zone, not {type(moment).__name__}")
    if moment.utcoffset() is None:
        raise ValueError("a moment without its time zone could be any of many: give `tzinfo`, e.g. `datetime.UTC`")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a moment before the first, or after the last, that there is in UTC") from None
