"""What time it is, never earlier than it was: a clock that is set back brings no permission back."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Final

from purposeguard.locks import new_lock

Now = Callable[[], datetime.datetime]
"""Gives the present time, with its time zone."""

UTC: Final = datetime.UTC


def system_time() -> datetime.datetime:
    """The system's time, in UTC."""
    return datetime.datetime.now(UTC)


class Clock:
    """Gives the time that `now` gives, in UTC, and no earlier one than it gave before."""

    __slots__ = ("_latest", "_lock", "_now")

    def __init__(self, now: Now = system_time) -> None:
        self._now = now
        self._latest = datetime.datetime.min.replace(tzinfo=UTC)
        self._lock = new_lock()  # a signal handler may ask while its thread holds it

    def now(self) -> datetime.datetime:
        """The present time in UTC.

        Raises:
            ValueError: the time that was given has no time zone.
        """
        present = in_utc(self._now())
        with self._lock:
            # Another thread may have seen a later one meanwhile, or the system's clock was set back.
            self._latest = latest = max(present, self._latest)
        return latest


def in_utc(moment: datetime.datetime) -> datetime.datetime:
    """A moment in UTC.

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
