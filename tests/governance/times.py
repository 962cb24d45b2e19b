"""A clock that tests set."""

from __future__ import annotations

import datetime

from purposeguard.runtime.clock import UTC, Clock

START = datetime.datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


class Time:
    """`time.clock` gives the time that `time.now` says."""

    def __init__(self, now: datetime.datetime = START) -> None:
        self.now = now
        self.clock = Clock(lambda: self.now)

    def passes(self, **parts: float) -> None:
        self.now += datetime.timedelta(**parts)
