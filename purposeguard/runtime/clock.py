"""What time it is, and how sure that is: a clock that is set wrong brings no permission back, and ends no restriction.

The time of day is held against the time that has passed since it was first read, which nobody can set. Where the two
disagree, the time is one of two, and each question is answered by the one that allows less: what a subject stopped
ends by the earlier, and a consent, an exception or a period of retention by the later. Neither is remembered, so all is
well again as soon as the clock is right.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from purposeguard.locks import make_lock

Now = Callable[[], datetime.datetime]
"""Gives the present time, with its time zone."""

Elapsed = Callable[[], float]
"""Gives seconds since some moment, of a clock that cannot be set."""

UTC: Final = datetime.UTC

TOLERANCE: Final = datetime.timedelta(minutes=2)
"""By how much the two may disagree, and the time be sure all the same: a time server may have put the clock right."""


def read_system_time() -> datetime.datetime:
    """Return the system's time, in UTC."""
    return datetime.datetime.now(UTC)


def _choose_elapsed_clock() -> Elapsed:
    """Return the system's clock that cannot be set and goes on while the machine sleeps; as far as there is one."""
    # Linux counts the time of sleep in BOOTTIME alone, macOS in MONOTONIC as well.
    which = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    if which is None:
        return time.monotonic
    try:
        time.clock_gettime(which)
    except OSError:  # a sandbox may not have it
        return time.monotonic
    return lambda: time.clock_gettime(which)


system_elapsed: Final = _choose_elapsed_clock()


class Span(NamedTuple):
    """Between which two moments the present is."""

    earliest: datetime.datetime
    latest: datetime.datetime


class Clock:
    """Tells the time that `now` gives, in UTC, as far as it agrees with the time `elapsed` since it was first read.

    The system's time is held against the system's own clock of that kind. Another `now` is, unless it comes with an
    `elapsed`, believed as it is: only what has ended by it stays ended.
    """

    __slots__ = ("_began", "_elapsed", "_latest", "_lock", "_now")

    def __init__(self, now: Now = read_system_time, elapsed: Elapsed | None = None) -> None:
        self._now = now
        self._elapsed = system_elapsed if elapsed is None and now is read_system_time else elapsed
        self._began: tuple[datetime.datetime, float] | None = None
        self._latest = datetime.datetime.min.replace(tzinfo=UTC)
        self._lock = make_lock()  # a signal handler may ask while its thread holds it
        if now is read_system_time:
            self.span()  # what is set from now on shows

    @classmethod
    def of(cls, given: Now | Clock) -> Clock:
        """Return a clock, or the one of a function that gives the time."""
        return given if isinstance(given, Clock) else cls(given)

    @property
    def is_system(self) -> bool:
        """True if the time is the system's."""
        return self._now is read_system_time

    def read(self) -> datetime.datetime:
        """Return the time of day as it is read, right or not: for records.

        Raises:
            TypeError, ValueError: what was read is no moment, or has no time zone.
        """
        return to_utc(self._now())

    def span(self) -> Span:
        """Between which moments the present is; raises as `read` does."""
        present = self.read()
        elapsed = None if self._elapsed is None else self._elapsed()
        with self._lock:
            if elapsed is None:
                # Another thread may have seen a later one meanwhile, or the clock was set back.
                self._latest = max(present, self._latest)
                return Span(present, self._latest)
            if self._began is None:
                self._began = present, elapsed
            began, since = self._began
        expected = began + datetime.timedelta(seconds=max(0.0, elapsed - since))
        return Span(min(present, expected), max(present, expected))

    def now(self) -> datetime.datetime:
        """Return the latest that it can be, in UTC: what ends by it has ended; raises as `read` does."""
        return self.span().latest

    def earliest(self) -> datetime.datetime:
        """Return the earliest that it can be, in UTC: what ends after it has not ended; raises as `read` does."""
        return self.span().earliest

    def doubt(self) -> datetime.timedelta | None:
        """By how much the clock was set, or has jumped, since it was first read; None where the time is sure."""
        earliest, latest = self.span()
        return latest - earliest if latest - earliest > TOLERANCE else None


def to_utc(moment: datetime.datetime) -> datetime.datetime:
    """Return a moment in UTC.

    Raises:
        TypeError: it is no datetime.
        ValueError: it has no time zone, so it could be any of many moments, or is in no calendar in UTC.
    """
    if not isinstance(moment, datetime.datetime):
        raise TypeError(f"a moment is a datetime with its time zone, not {type(moment).__name__}")
    if moment.utcoffset() is None:
        raise ValueError("a moment without its time zone could be any of many: give `tzinfo`, e.g. `datetime.UTC`")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a moment before the first, or after the last, that there is in UTC") from None
