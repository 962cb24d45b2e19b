"""Purposes do not cross from one task or thread to another, however they are interleaved."""

from __future__ import annotations

import asyncio
import contextvars
import os
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from purposeguard import Guard, Purpose, PurposeMissing, PurposeViolation, Source
from purposeguard.notices import trendmicro_jp as tm
from tests import support

guard = Guard(tm.NOTICE)

# Each with a source that it may use and one that it may not; and a channel, where it must state one.
MINE: list[tuple[type[Purpose], str | None, type[Source], type[Source]]] = [
    (tm.RenewalGuidance, None, tm.Registration, tm.ProductData),
    (tm.ProductImprovement, None, tm.ProductData, tm.Cookie),
    (tm.WebSecurityMail, "email", tm.WebContact, tm.Registration),
    (tm.TrafficAnalysis, None, tm.Cookie, tm.WebContact),
    (tm.ProspectProductGuidance, "phone", tm.ProspectContact, tm.WebContact),
    (tm.UsageAnalysis, None, tm.LinkedUsage, tm.ProspectJob),
]


def reader(source: type[Source]) -> Callable[[], str]:
    @guard.access(source)
    def read() -> str:
        return source.clause

    return read


READERS: dict[type[Source], Callable[[], str]] = {
    source: reader(source) for _, _, mine, not_mine in MINE for source in (mine, not_mine)
}


def assert_mine(number: int) -> None:
    """What is under way here is the purpose of this number, and neither none nor another's."""
    purpose, channel, mine, not_mine = MINE[number]
    use = guard.current
    assert use.purpose is purpose
    assert use.channel == channel
    assert READERS[mine]() == mine.clause
    assert use.allows(mine)
    assert not use.allows(not_mine)
    with pytest.raises(PurposeViolation) as refused:
        READERS[not_mine]()
    assert refused.value.decision.purpose is purpose


def assert_none() -> None:
    """No purpose is under way here."""
    with pytest.raises(PurposeMissing):
        guard.current  # noqa: B018  # asking is what raises
    for read in READERS.values():
        with pytest.raises(PurposeMissing):
            read()


def generator(number: int) -> Iterator[int]:
    """A generator that runs for the purpose of this number, step by step."""
    purpose, channel, _, _ = MINE[number]

    @guard.purpose(purpose, channel=channel)
    def steps() -> Iterator[int]:
        for step in range(1_000):
            assert_mine(number)
            yield step

    return steps()


def async_generator(number: int) -> AsyncIterator[int]:
    """The same, which also waits within its steps."""
    purpose, channel, _, _ = MINE[number]

    @guard.purpose(purpose, channel=channel)
    async def steps() -> AsyncIterator[int]:
        for step in range(1_000):
            assert_mine(number)
            await asyncio.sleep(0)
            assert_mine(number)
            yield step

    return steps()


class Interruption(Exception):
    """Ends a block from within."""


def block(number: int) -> Any:
    purpose, channel, _, _ = MINE[number]
    return guard.purpose(purpose, channel=channel)


def story(rng: random.Random, number: int, rounds: int) -> Iterator[None]:
    """What one task or thread does; it may be interrupted wherever it yields."""
    streams = [(one, generator(one)) for one in range(len(MINE))]
    for _ in range(rounds):
        assert_none()
        yield
        with block(number):
            assert_mine(number)
            yield
            assert_mine(number)
            other = rng.randrange(len(MINE))
            with block(other):
                yield
                assert_mine(other)
                _, stream = rng.choice(streams)
                next(stream)  # suspended under its own purpose, it leaves nothing of that here
                assert_mine(other)
            yield
            assert_mine(number)
            with suppress(Interruption), block(other):
                yield
                raise Interruption
            assert_mine(number)
            _, stream = rng.choice(streams)
            next(stream)
            yield
            assert_mine(number)
    for _, stream in streams:
        stream.close()  # type: ignore[attr-defined]  # they are generators
    assert_none()


async def task(seed: int, rounds: int) -> None:
    """The story in a task, with asynchronous generators and activities in between."""
    rng = random.Random(seed)
    number = seed % len(MINE)
    streams = [async_generator(one) for one in range(len(MINE))]

    @guard.purpose(MINE[number][0], channel=MINE[number][1])
    async def activity() -> None:
        assert_mine(number)
        await asyncio.sleep(0)
        assert_mine(number)

    for _ in story(rng, number, rounds):
        before = _purpose_here()
        await asyncio.sleep(0)
        await anext(rng.choice(streams))
        assert _purpose_here() is before
        await activity()
        assert _purpose_here() is before
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]  # they are generators
    assert_none()


def _purpose_here() -> object:
    try:
        return guard.current.purpose
    except PurposeMissing:
        return None


async def tasks(seeds: range, rounds: int) -> None:
    async with asyncio.TaskGroup() as group:
        for seed in seeds:
            group.create_task(task(seed, rounds))
    assert_none()


def running(fn: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
    """Runs a coroutine function on a loop of its own."""
    asyncio.run(fn(*arguments))


def test_tasks_and_threads_side_by_side() -> None:
    """Three hundred tasks on four loops, and a hundred threads without one, taking turns every microsecond."""

    def thread(seed: int) -> None:
        for _ in story(random.Random(seed), seed % len(MINE), 2):
            pass

    jobs: list[Callable[[], object]] = [
        partial(running, tasks, range(first, first + 75), 2) for first in range(0, 300, 75)
    ]
    jobs += [partial(thread, seed) for seed in range(100)]
    with support.switching():
        support.in_threads(jobs)
    assert_none()


def test_a_generator_is_run_by_many_threads_in_turn() -> None:
    """Suspended in one thread under one purpose and resumed in another under another: each keeps its own."""
    streams = [(number, generator(number)) for number in range(len(MINE))]
    turns = [threading.Lock() for _ in streams]

    def run(seed: int) -> None:
        rng = random.Random(seed)
        number = seed % len(MINE)
        with block(number):
            for _ in range(10):
                which = rng.randrange(len(streams))
                with turns[which]:
                    next(streams[which][1])
                assert_mine(number)
        assert_none()

    with support.switching():
        support.in_threads([partial(run, seed) for seed in range(60)])
    for _, stream in streams:
        stream.close()  # type: ignore[attr-defined]
    assert_none()


def test_an_async_generator_is_run_by_many_tasks_in_turn() -> None:
    async def main() -> None:
        streams = [async_generator(number) for number in range(len(MINE))]
        turns = [asyncio.Lock() for _ in streams]

        async def run(seed: int) -> None:
            number = seed % len(MINE)
            async with block(number):
                for which in range(len(streams)):
                    async with turns[which]:
                        await anext(streams[which])
                    assert_mine(number)

        async with asyncio.TaskGroup() as group:
            for seed in range(150):
                group.create_task(run(seed))
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]
        assert_none()

    asyncio.run(main())


# ---- Elsewhere: not without carry, and with it only the purpose that was carried ----------------------------------


async def _in_task(fn: Callable[[], object]) -> object:
    async def body() -> object:
        return fn()

    return await asyncio.create_task(body())


async def _in_to_thread(fn: Callable[[], object]) -> object:
    return await asyncio.to_thread(fn)  # copies the context, so the variable alone would cross


async def _in_executor(fn: Callable[[], object]) -> object:
    return await asyncio.get_running_loop().run_in_executor(None, fn)


async def _in_copied_context(fn: Callable[[], object]) -> object:
    with ThreadPoolExecutor(1) as pool:
        context = contextvars.copy_context()
        return await asyncio.wrap_future(pool.submit(context.run, fn))


async def _in_thread(fn: Callable[[], object]) -> object:
    support.in_threads([fn])
    return None


async def _in_callback(fn: Callable[[], object]) -> object:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def callback() -> None:
        try:
            fn()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    asyncio.get_running_loop().call_soon(callback)
    await done
    return None


async def _in_gather(fn: Callable[[], object]) -> object:
    async def body() -> object:
        await asyncio.sleep(0)
        return fn()

    return await asyncio.gather(body(), body())


ELSEWHERE = [_in_task, _in_to_thread, _in_executor, _in_copied_context, _in_thread, _in_callback, _in_gather]


@pytest.mark.parametrize("elsewhere", ELSEWHERE, ids=lambda way: way.__name__.removeprefix("_in_"))
@pytest.mark.parametrize("number", range(len(MINE)), ids=[one[0].slug for one in MINE])
def test_elsewhere_only_what_is_carried(elsewhere: Callable[[Any], Awaitable[object]], number: int) -> None:
    async def main() -> None:
        with block(number):
            await elsewhere(assert_none)
            await elsewhere(guard.carry(lambda: assert_mine(number)))
            assert_mine(number)
            carried = guard.carry(lambda: assert_mine(number))
        assert_none()
        with block((number + 1) % len(MINE)):
            await elsewhere(carried)  # goes on holding, and leaves this one alone
            assert_mine((number + 1) % len(MINE))
        await elsewhere(carried)
        await elsewhere(assert_none)

    asyncio.run(main())


def test_a_coroutine_is_carried_into_its_task() -> None:
    async def main() -> None:
        async def body(number: int) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
                assert_mine(number)

        pending = []
        for number in range(len(MINE)):
            with block(number):
                pending += [asyncio.create_task(guard.carry(body)(number)) for _ in range(20)]
        assert_none()
        await asyncio.gather(*pending)
        assert_none()

    asyncio.run(main())


def test_outside_there_is_nothing_to_carry() -> None:
    with pytest.raises(PurposeMissing):
        guard.carry(assert_none)


def test_a_use_that_has_leaked_holds_nowhere_else() -> None:
    """The object itself, handed to others while its block is under way, opens nothing for them; nor after its end."""
    _, _, mine, _ = MINE[0]

    def misuse(use: Any) -> None:
        with pytest.raises(PurposeMissing):
            use.check(mine)

    async def main() -> None:
        with block(0) as use:
            use.check(mine)
            for elsewhere in ELSEWHERE:
                await elsewhere(lambda: misuse(use))
        misuse(use)

    asyncio.run(main())


# ---- At length ----------------------------------------------------------------------------------------------------

DEEP_CHECKS = int(os.environ.get("PURPOSEGUARD_DEEP_CHECKS", "100_000_000"))


def burst(number: int) -> None:
    """A hundred checks of what is under way here, as plainly as possible, and one refusal."""
    purpose, _, mine, not_mine = MINE[number]
    read = READERS[mine]
    for _ in range(50):
        if read() != mine.clause or guard.current.purpose is not purpose:
            raise AssertionError(f"{purpose} was crossed")
    with pytest.raises(PurposeViolation):
        READERS[not_mine]()


@pytest.mark.deep
@pytest.mark.parametrize("part", range(4))
def test_no_purpose_crosses_at_length(part: int) -> None:
    """10⁸ checks in four parts (or as many as PURPOSEGUARD_DEEP_CHECKS says), half in threads and half in tasks."""
    bursts = DEEP_CHECKS // 4 // 64 // 100

    def thread(seed: int) -> None:
        with block(seed % len(MINE)):
            for _ in range(bursts):
                burst(seed % len(MINE))

    async def one_task(seed: int) -> None:
        with block(seed % len(MINE)):
            for _ in range(bursts):
                burst(seed % len(MINE))
                await asyncio.sleep(0)

    async def eight_tasks(first: int) -> None:
        await asyncio.gather(*map(one_task, range(first, first + 8)))

    jobs: list[Callable[[], object]] = [partial(thread, seed + part) for seed in range(32)]
    jobs += [partial(running, eight_tasks, first) for first in range(part, part + 32, 8)]
    with support.switching():
        support.in_threads(jobs)
    assert_none()
