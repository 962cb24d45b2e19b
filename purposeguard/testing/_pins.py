"""What differs whenever code runs again, held still: random numbers, ids, and as far as may be the time."""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Collection, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from purposeguard.locks import new_lock
from purposeguard.testing._patching import Patches

PINS: Final = ("random", "uuid", "time")
"""What can be pinned. `random`: the modules random and secrets, numpy's; `uuid`: uuid1 and uuid4; `time`."""


@contextlib.contextmanager
def pinned(pins: Collection[str], moment: float) -> Generator[None]:
    """Each time that it is entered, code inside meets the same random numbers, ids, and time."""
    patches = Patches()
    try:
        _number_anew(patches)
        if "random" in pins:
            _pin_random(patches)
        if "random" in pins or "uuid" in pins:
            _pin_entropy(patches)
        if "uuid" in pins:
            _pin_uuid(patches, moment)
        with _pinned_time(patches, moment) if "time" in pins else contextlib.nullcontext():
            yield
    finally:
        patches.undo()


def _number_anew(patches: Patches) -> None:
    """Threads are named by how many there were before."""
    patches.put(threading, "_counter", lambda _: itertools.count(1).__next__)
    patches.put(ThreadPoolExecutor, "_counter", lambda _: itertools.count().__next__)


class _Numbers:
    """Bytes that look random, and are the same each time."""

    def __init__(self) -> None:
        self._random = random.Random(20240401)  # noqa: S311  # to be no secret is what it is for
        self._lock = new_lock()

    def urandom(self, size: int) -> bytes:
        with self._lock:
            return self._random.randbytes(size)


def _pin_random(patches: Patches) -> None:
    state = random.getstate()
    patches.later(lambda: random.setstate(state))
    random.seed(20240401)
    numbers = itertools.count(20240401)

    def seeded(seed: Any) -> Any:
        def wrapper(self: random.Random, a: Any = None, version: int = 2) -> None:
            seed(self, next(numbers) if a is None and not isinstance(self, random.SystemRandom) else a, version)

        return wrapper

    patches.put(random.Random, "seed", seeded)
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        before = numpy.get_state()
        patches.later(lambda: numpy.set_state(before))
        numpy.seed(20240401)


def _pin_entropy(patches: Patches) -> None:
    numbers = _Numbers()
    patches.put(os, "urandom", lambda _: numbers.urandom)  # uuid4
    patches.put(random, "_urandom", lambda _: numbers.urandom)  # secrets, SystemRandom


def _pin_uuid(patches: Patches, moment: float) -> None:
    node = uuid.getnode()  # of this machine: the same each time
    ticks = itertools.count(int(moment * 10_000_000) + 0x01B2_1DD2_1381_4000)  # counted from 1582, as uuid1 does

    def generate_time_safe() -> tuple[bytes, None]:
        tick = next(ticks)
        fields = (tick & 0xFFFF_FFFF, (tick >> 32) & 0xFFFF, (tick >> 48) & 0x0FFF, 0, 0, node)
        return uuid.UUID(fields=fields, version=1).bytes, None

    patches.put(uuid, "_generate_time_safe", lambda _: generate_time_safe)
    for name in ("_last_timestamp_v6", "_last_timestamp_v7"):  # one that was made is later than the last
        if hasattr(uuid, name):
            patches.put(uuid, name, lambda _: None)


@contextlib.contextmanager
def _pinned_time(patches: Patches, moment: float) -> Generator[None]:
    """What measures how long something took goes on by a millisecond each time that it is asked, and by whole seconds.

    Those that have really gone by: code that waits by such a clock is to come to an end. The time of day stands still
    where time-machine is installed. The clock that most waiting goes by, `monotonic`, is left alone.
    """
    ticks = itertools.count(1)
    monotonic = time.monotonic
    began = monotonic()

    def milliseconds() -> int:
        return next(ticks) + int(monotonic() - began) * 1000

    patches.put(time, "perf_counter", lambda _: lambda: milliseconds() / 1000)
    patches.put(time, "perf_counter_ns", lambda _: lambda: milliseconds() * 1_000_000)
    patches.put(time, "process_time", lambda _: lambda: milliseconds() / 1000)
    travelling = time_machine()
    with travelling.travel(moment, tick=False) if travelling is not None else contextlib.nullcontext():
        yield


@functools.cache
def time_machine() -> Any:
    """The library of that name, where it is installed."""
    try:
        return importlib.import_module("time_machine")
    except ModuleNotFoundError:
        return None
