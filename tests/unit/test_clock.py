"""Times that are believed as far as they agree, each with its time zone."""

from __future__ import annotations

import datetime
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from purposeguard.runtime import clock as clock_module
from purposeguard.runtime.clock import TOLERANCE, Clock, read_system_time, to_utc
from tests.support import in_threads, switching
from tests.unit.models import UTC

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = datetime.timedelta(hours=1)


def test_a_clock_that_is_set_back_says_the_latest_time_and_the_earliest_that_it_may_be() -> None:
    times = iter([NOON, NOON - HOUR, NOON + HOUR, NOON, NOON + 2 * HOUR])
    clock = Clock(lambda: next(times))
    assert [clock.now() for _ in range(5)] == [NOON, NOON, NOON + HOUR, NOON + HOUR, NOON + 2 * HOUR]
    times = iter([NOON, NOON + 87600 * HOUR, NOON + HOUR, NOON])
    clock = Clock(lambda: next(times))
    assert [clock.earliest() for _ in range(4)] == [NOON, NOON + 87600 * HOUR, NOON + HOUR, NOON]


class Two:
    """A clock that can be set, and one that cannot."""

    def __init__(self) -> None:
        self.wall, self.elapsed = NOON, 100.0
        self.clock = Clock(lambda: self.wall, lambda: self.elapsed)
        self.clock.now()

    def passes(self, wall: datetime.timedelta, elapsed: datetime.timedelta) -> None:
        self.wall += wall
        self.elapsed += elapsed.total_seconds()


def test_the_present_is_between_the_clock_and_the_time_that_has_passed() -> None:
    two = Two()
    two.passes(HOUR, HOUR)
    assert two.clock.span() == (NOON + HOUR, NOON + HOUR)
    two.passes(87600 * HOUR, HOUR)
    assert two.clock.span() == (NOON + 2 * HOUR, NOON + 87601 * HOUR)
    assert two.clock.doubt() == 87599 * HOUR
    two.passes(-87599 * HOUR, 0 * HOUR)  # put right: nothing is left of it
    assert two.clock.span() == (NOON + 2 * HOUR, NOON + 2 * HOUR)
    assert two.clock.doubt() is None
    two.passes(-3 * HOUR, HOUR)
    assert (two.clock.earliest(), two.clock.now()) == (NOON - HOUR, NOON + 3 * HOUR)
    assert two.clock.read() == NOON - HOUR


def test_a_clock_that_is_put_right_a_little_is_sure() -> None:
    two = Two()
    two.passes(TOLERANCE, 0 * HOUR)
    assert two.clock.doubt() is None
    two.passes(datetime.timedelta(microseconds=1), 0 * HOUR)
    assert two.clock.doubt() is not None
    two.passes(-2 * TOLERANCE, 0 * HOUR)
    assert two.clock.doubt() is None


def test_a_first_time_that_was_wrong_opens_nothing() -> None:
    """Nobody knows then which of the two is right; the process is to be started anew."""
    two = Two()
    two.passes(-87600 * HOUR, HOUR)
    assert two.clock.span() == (NOON - 87600 * HOUR, NOON + HOUR)
    assert two.clock.doubt() is not None
    two = Two()
    two.passes(0 * HOUR, -HOUR)  # Time that runs back where it cannot counts as none.
    assert two.clock.span() == (NOON, NOON)


def test_a_clock_that_a_sandbox_does_not_have_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> float:
        raise OSError

    monkeypatch.setattr(time, "clock_gettime", refuse, raising=False)
    assert clock_module._choose_elapsed_clock() is time.monotonic


def test_the_system_s_clock_is_watched_from_the_start() -> None:
    elapsed = [0.0]
    clock = Clock(read_system_time, lambda: elapsed[0])
    elapsed[0] = 3600.0  # which the time of day does not show
    assert clock.doubt() is not None


def test_a_clock_stands_for_itself() -> None:
    clock = Two().clock
    assert Clock.of(clock) is clock
    assert Clock.of(lambda: NOON).now() == NOON


def test_it_is_the_system_time_unless_another_is_given() -> None:
    before = datetime.datetime.now(UTC)
    now = Clock().now()
    assert before <= now <= read_system_time()
    assert now.tzinfo is UTC
    assert Clock().is_system
    assert not Clock(lambda: NOON).is_system


def test_times_are_told_in_utc() -> None:
    tokyo = datetime.timezone(9 * HOUR)
    now = Clock(lambda: datetime.datetime(2026, 1, 1, 21, tzinfo=tokyo)).now()
    assert now == NOON
    assert now.tzinfo is UTC
    assert to_utc(datetime.datetime(2026, 1, 1, 13, tzinfo=datetime.timezone(HOUR))) == NOON


def test_a_time_without_its_zone_is_no_time() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Clock(lambda: datetime.datetime(2026, 1, 1)).now()  # noqa: DTZ001  # what is refused
    given: Any = datetime.date(2026, 1, 1)
    with pytest.raises(TypeError, match="not date"):
        to_utc(given)


@pytest.mark.parametrize(("year", "hours"), [(9999, -14), (1, 14)])
def test_a_moment_that_is_in_no_calendar_in_utc_is_refused(year: int, hours: int) -> None:
    day = (12, 31) if year > 1 else (1, 1)
    given = datetime.datetime(year, *day, 12, tzinfo=datetime.timezone(hours * HOUR))
    with pytest.raises(ValueError, match="before the first, or after the last"):
        to_utc(given)


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


@pytest.mark.parametrize(
    ("clocks", "asked"),
    [
        ({"CLOCK_BOOTTIME": 7, "CLOCK_MONOTONIC": 1}, 7),  # Linux: MONOTONIC stands still while the machine sleeps
        ({"CLOCK_MONOTONIC": 6}, 6),  # macOS
        ({}, None),  # Windows
    ],
)
def test_the_clock_that_goes_on_while_the_machine_sleeps_is_taken(
    clocks: dict[str, int], asked: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = SimpleNamespace(**clocks, clock_gettime=float, monotonic=lambda: -1.0)
    monkeypatch.setattr(clock_module, "time", system)
    assert clock_module._choose_elapsed_clock()() == (-1.0 if asked is None else asked)
