"""Sealed values opened by many at a time: nobody opens what only another's purpose may, however they take turns."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
import trio

from purposeguard import Guard, Label, Personal, PurposeMissing, PurposeViolation, Use
from purposeguard.notices import trendmicro_jp as tm
from tests import support
from tests.concurrency import parties
from tests.concurrency.parties import ABSENT, PARTIES, Party, assert_none, async_stream, guard, party, running, stream
from tests.support import RecordingLedger

Work = Callable[[], Coroutine[Any, Any, None]]


class Interruption(Exception):
    """Ends a block from within."""


class Square:
    """Where all put the uses that they have under way, for others to misuse."""

    def __init__(self) -> None:
        self.uses: dict[int, tuple[Use[Any], Party]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def showing(self, use: Use[Any], owner: Party) -> Iterator[None]:
        with self._lock:
            self.uses[id(use)] = use, owner
        try:
            yield
        finally:
            with self._lock:
                del self.uses[id(use)]

    def misuse(self, rng: random.Random, *mine: Use[Any]) -> None:
        """Another's use opens nothing here, and not what only it may."""
        with self._lock:
            shown = [pair for pair in self.uses.values() if pair[0] not in mine]
        if shown:
            use, owner = rng.choice(shown)
            for act in (
                partial(use.open, owner.plain),
                partial(use.open_all, [owner.plain]),
                partial(use.open, owner.mine),
            ):
                with pytest.raises(PurposeMissing):
                    act()
            with pytest.raises(PurposeMissing):
                use.try_open(owner.mapped, ABSENT)


def story(square: Square, number: int, rounds: int) -> Iterator[None]:
    """What one task or thread does; it may be interrupted wherever it yields."""
    rng = random.Random(number)
    owner, other = party(number), party(number + rng.randrange(1, len(PARTIES)))
    streams = [stream(one) for one in PARTIES]
    for _ in range(rounds):
        assert_none(owner)
        yield
        with owner.block() as use, square.showing(use, owner):
            owner.here()
            yield
            owner.here()
            square.misuse(rng, use)
            with other.block() as inner, square.showing(inner, other):
                yield
                other.here()
                owner.opens(use)  # its own block is still under way
                next(rng.choice(streams))  # suspended under its own purpose, it leaves nothing of that here
                other.here()
                square.misuse(rng, use, inner)
            with pytest.raises(PurposeMissing):
                inner.open(other.plain)
            yield
            owner.here()
            with suppress(Interruption), other.block():
                yield
                raise Interruption
            owner.here()
        with pytest.raises(PurposeMissing):
            use.open(owner.plain)
    for one in streams:
        one.close()  # type: ignore[attr-defined]  # they are generators
    assert_none(owner)


def thread(square: Square, number: int) -> None:
    for _ in story(square, number, 1):
        pass


def work(owner: Party, use: Use[Any], rest: Callable[[], Awaitable[None]]) -> tuple[Work, Work]:
    """What another task does in a block if it is carried there, and if it is not."""

    async def carried() -> None:
        owner.here()
        await rest()
        owner.opens(use)

    async def not_carried() -> None:
        with pytest.raises(PurposeMissing):
            use.open(owner.plain)
        assert_none(owner)

    return carried, not_carried


async def task(square: Square, number: int) -> None:
    """The story in a task, with asynchronous generators in between, and work that is carried to a task and a thread."""
    streams = [async_stream(one) for one in PARTIES]
    for step in story(square, number, 1):
        await asyncio.sleep(0)
        await anext(streams[number % len(streams)])
        assert step is None
    owner = party(number)
    async with owner.block() as use:
        carried, not_carried = work(owner, use, partial(asyncio.sleep, 0))
        await asyncio.gather(guard.carry(carried)(), not_carried(), *map(asyncio.create_task, [guard.carry(carried)()]))
        if number % 10 == 0:
            await asyncio.to_thread(guard.carry(owner.opens), use)
    for one in streams:
        await one.aclose()  # type: ignore[attr-defined]  # they are generators


async def tasks(square: Square, numbers: range) -> None:
    async with asyncio.TaskGroup() as group:
        for number in numbers:
            group.create_task(task(square, number))


async def trio_task(square: Square, number: int) -> None:
    for _ in story(square, number, 1):
        await trio.lowlevel.checkpoint()
    owner = party(number)
    with owner.block() as use:
        carried, not_carried = work(owner, use, trio.lowlevel.checkpoint)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(guard.carry(carried))
            nursery.start_soon(not_carried)
        if number % 10 == 0:
            await trio.to_thread.run_sync(assert_none, owner)
            await trio.to_thread.run_sync(guard.carry(owner.here))
        owner.here()


async def trio_tasks(square: Square, numbers: range) -> None:
    async with trio.open_nursery() as nursery:
        for number in numbers:
            nursery.start_soon(trio_task, square, number)


def test_nobody_opens_what_only_another_may() -> None:
    """Eighty threads, as many asyncio tasks on two loops and as many trio tasks on two, by turns every µs."""
    square = Square()
    jobs: list[Callable[[], object]] = [partial(thread, square, number) for number in range(80)]
    jobs += [partial(running, tasks, square, range(first, first + 40)) for first in (80, 120)]
    jobs += [partial(trio.run, trio_tasks, square, range(first, first + 40)) for first in (160, 200)]
    with support.switching():
        support.in_threads(jobs)
    assert square.uses == {}


def test_a_generator_that_opens_is_run_by_many_threads_in_turn() -> None:
    """Suspended in one thread and gone on with in another, under another purpose: each opens its own."""
    streams = [(stream(owner), threading.Lock()) for owner in PARTIES]

    def run(number: int) -> None:
        rng = random.Random(number)
        owner = party(number)
        with owner.block() as use:
            for _ in range(5):
                steps, turn = rng.choice(streams)
                with turn:
                    next(steps)
                owner.here()
                owner.opens(use)

    with support.switching():
        support.in_threads([partial(run, number) for number in range(48)])
    for steps, _ in streams:
        steps.close()  # type: ignore[attr-defined]  # they are generators


def test_every_opening_is_counted_however_they_are_interleaved() -> None:
    ledger = RecordingLedger()
    counting = Guard(tm.NOTICE, ledger=ledger)
    value: Personal[str, Any] = Personal("value", tm.Registration)
    foreign: Personal[str, Any] = Personal("foreign", tm.Cookie)

    def run(number: int) -> None:
        for _ in range(5):
            with counting.purpose(tm.RenewalGuidance, activity=f"activity {number % 3}") as use:
                use.open(value)
                use.open_all([value.map(str.upper), value])
                counting.carry(lambda: counting.current.open(value))()
                with pytest.raises(PurposeViolation):
                    use.open(foreign)

    with support.switching():
        support.in_threads([partial(run, number) for number in range(60)])
    assert {label for _, _, label, _ in ledger.uses} == {Label(tm.Registration)}
    for number in range(3):
        assert sum(count for name, _, _, count in ledger.uses if name == f"activity {number}") == 20 * 5 * 4
    assert len(ledger.denials) == 60 * 5


DEEP_OPENINGS = int(os.environ.get("PURPOSEGUARD_DEEP_OPENINGS", "40_000_000"))


def burst(owner: Party, use: Use[Any]) -> None:
    """A hundred openings, as plainly as possible, and one refusal."""
    plain, expected, foreign = owner.plain, owner.opened, owner.not_mine[0]
    for _ in range(50):
        if use.open(plain) != expected or use.try_open(foreign, ABSENT) is not ABSENT:
            raise AssertionError(f"{owner.purpose} was crossed")
    with pytest.raises(PurposeViolation):
        use.open(foreign)


@pytest.mark.deep
@pytest.mark.parametrize("part", range(4))
def test_nobody_opens_what_only_another_may_at_length(part: int) -> None:
    """Openings in four parts (as many as PURPOSEGUARD_DEEP_OPENINGS says), half in threads and half in tasks."""
    parties.at_length(part, DEEP_OPENINGS // 4 // 64 // 100, burst)
