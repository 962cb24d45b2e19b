"""Times that never go back, each with its time zone."""

from __future__ import annotations

import datetime
import threading
from typing import Any

import pytest

from purposeguard.clock import Clock, in_utc, system_time
from tests.support import in_threads, switching

UTC = datetime.UTC
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = datetime.timedelta(hours=1)


def test_a_clock_that_is_set_back_says_the_latest_time() -> None:
    times = iter([NOON, NOON - HOUR, NOON + HOUR, NOON, NOON + 2 * HOUR])
    clock = Clock(lambda: next(times))
    assert [clock.now() for _ in range(5)] == [NOON, NOON, NOON + HOUR, NOON + HOUR, NOON + 2 * HOUR]


def test_it_is_the_system_time_unless_another_is_given() -> None:
    before = datetime.datetime.now(UTC)
    now = Clock().now()
    assert before <= now <= system_time()
    assert now.tzinfo is UTC


def test_times_are_told_in_utc() -> None:
    tokyo = datetime.timezone(9 * HOUR)
    now = Clock(lambda: datetime.datetime(2026, 1, 1, 21, tzinfo=tokyo)).now()
    assert now == NOON
    assert now.tzinfo is UTC
    assert in_utc(datetime.datetime(2026, 1, 1, 13, tzinfo=datetime.timezone(HOUR))) == NOON


def test_a_time_without_its_zone_is_no_time() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Clock(lambda: datetime.datetime(2026, 1, 1)).now()  # noqa: DTZ001  # what is refused
    given: Any = datetime.date(2026, 1, 1)
    with pytest.raises(TypeError, match="not date"):
        in_utc(given)


@pytest.mark.parametrize(("year", "hours"), [(9999, -14), (1, 14)])
def test_a_moment_that_is_in_no_calendar_in_utc_is_refused(year: int, hours: int) -> None:
    day = (12, 31) if year > 1 else (1, 1)
    given = datetime.datetime(year, *day, 12, tzinfo=datetime.timezone(hours * HOUR))
    with pytest.raises(ValueError, match="before the first, or after the last"):
        in_utc(given)


def test_no_thread_takes_it_back_for_another() -> None:
    """Each thread is told other times, some of them earlier: none sees the clock go back."""
    given = threading.local()
    clock = Clock(lambda: given.now)

    def ask(number: int) -> None:
        seen = []
        for step in range(300):
            given.now = NOON + datetime.timedelta(seconds=(step * 7 + number * 13) % 500)
            seen.append(clock.now())
        assert seen == sorted(seen)

    with switching():
        in_threads([lambda number=number: ask(number) for number in range(4)])  # type: ignore[misc]  # a default binds it
