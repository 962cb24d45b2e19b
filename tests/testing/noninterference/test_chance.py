"""Code whose runs differ by themselves is never called a leak: what can be pinned is, all else is reported as such."""

# ruff: noqa: DTZ001, DTZ005, T201  # code as it is found

from __future__ import annotations

import asyncio
import datetime
import itertools
import logging
import os
import random
import secrets
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor, as_completed
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing.failures import Interference, Nondeterministic
from purposeguard.testing.interference import noninterference
from tests.testing.noninterference.proving import (
    Code,
    Customer,
    at_once,
    failure_of,
    guard,
    leak_of,
    quickly,
    returning,
)

logger = logging.getLogger("shop.chance")
counter = itertools.count()
seen: list[object] = []


class Plain:
    def __init__(self, name: str) -> None:
        self.name = name


def the_time_in_a_log(customer: Customer) -> None:
    now = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=9)))
    logger.info("at %s, %s, %d, %d", now, formatdate(usegmt=True), time.time(), time.time_ns())
    print(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S,%f} mailing")
    print(time.strftime("%H:%M:%S"))


def how_long_it_took(customer: Customer) -> float:
    start = time.perf_counter()
    time.sleep(0.0001)
    return time.perf_counter() - start


def addresses_of_objects(customer: Customer) -> str:
    logger.info("made %r", Plain(customer.name))
    return repr(object())


def temporary_files(customer: Customer) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write(customer.name)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "list.csv").write_text(customer.name)


def threads_as_they_like(customer: Customer) -> None:
    def work(number: int) -> None:
        time.sleep(secrets.SystemRandom.random(chance) / 500)
        logger.info("number %d", number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(6)))


async def tasks_as_they_like(customer: Customer) -> None:
    async def work(number: int) -> None:
        await asyncio.sleep(secrets.SystemRandom.random(chance) / 500)
        logger.info("number %d", number)

    await asyncio.gather(*map(work, range(6)))


chance = secrets.SystemRandom()
entropy = os.urandom  # as it is, whatever is pinned

PASSING: dict[str, Code] = {
    "a random number": lambda _: (random.random(), random.Random().random(), secrets.token_hex(), os.urandom(4)),
    "uuids": lambda _: (uuid.uuid4(), uuid.uuid1()),
    "the time in a result": lambda _: (
        datetime.datetime.now(),
        time.time(),
        datetime.datetime.now(datetime.UTC).isoformat(),
    ),
    "a set": lambda one: {f"{one.name}{number}" for number in range(10)},
}
LONGER = [
    *(the_time_in_a_log, how_long_it_took, addresses_of_objects, temporary_files, threads_as_they_like),
    tasks_as_they_like,
]


@pytest.mark.parametrize(
    "code", [*map(returning, PASSING.values()), *LONGER], ids=[*PASSING, *(code.__name__ for code in LONGER)]
)
def test_what_can_be_held_still_passes(code):
    quickly(noninterference(guard, tm.RenewalGuidance)(code))()


def a_set_of_objects(customer: Customer) -> list[str]:
    kept = [Plain(f"{customer.name}{number}") for number in range(5)]
    return [one.name for one in set(kept)]


def which_thread_comes_first(customer: Customer) -> list[int]:
    def work(number: int) -> int:
        time.sleep(entropy(1)[0] / 100_000)
        return number

    with ThreadPoolExecutor(4) as pool:
        return [one.result() for one in as_completed([pool.submit(work, number) for number in range(4)])]


def what_grows(customer: Customer) -> int:
    seen.append(customer)
    return len(seen)


CHANCE: dict[str, Code] = {
    "a coin": lambda _: entropy(1)[0] % 2 == 0,
    "a rare coin": lambda _: entropy(1)[0] % 50 == 0,
    "a counter": lambda _: logger.info("request %d", next(counter)),
    "ids of objects": lambda one: id(Plain(one.name)),
    "a set of objects": a_set_of_objects,
    "which thread comes first": which_thread_comes_first,
    "what grows": what_grows,
}


@pytest.mark.parametrize("code", [*map(returning, CHANCE.values())], ids=CHANCE)
def test_all_else_is_reported_and_never_called_a_leak(code):
    error = come_to(noninterference(guard, tm.RenewalGuidance)(code))
    # Where chance would have it that no two runs differ, it passes.
    assert error is None or isinstance(error, Nondeterministic)
    assert error is None or (error.differences and "two runs with the very same values differ" in str(error))


def come_to(test: Any) -> BaseException | None:
    """What a test fails with, if it does."""
    try:
        at_once(test)()
    except AssertionError as error:
        return error
    return None


def test_what_is_not_pinned_is_said_to_be():
    @noninterference(guard, tm.RenewalGuidance, pin=("time",))
    def test(customer: Customer) -> float:
        return random.SystemRandom().random()

    error = failure_of(test)
    assert isinstance(error, Nondeterministic)
    assert "has no random nor uuid now" in str(error)


def test_what_was_set_up_once_is_no_leak():
    ready: list[bool] = []

    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Customer) -> None:
        if not ready:
            logger.info("connecting")
            ready.append(True)

    quickly(test)()


def test_a_leak_is_found_behind_what_is_held_still():
    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Customer) -> str:
        logger.info("%s %s", datetime.datetime.now(), uuid.uuid4())
        return f"{random.random()} {customer.device}"

    leak_of(test, "customer.device")


def test_a_leak_in_the_order_within_a_thread_is_found():
    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Customer) -> None:
        def work() -> None:
            for one in ("a", "b") if customer.age > 60 else ("b", "a"):
                logger.info(one)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    error = failure_of(test)
    assert isinstance(error, Interference)
    assert "in another order" in str(error)


def test_a_moment_that_is_not_now_is_compared():
    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Customer) -> str:
        return str(datetime.datetime(2001, 1, 1) + datetime.timedelta(seconds=customer.age % 1000))

    assert isinstance(failure_of(test), Interference)
