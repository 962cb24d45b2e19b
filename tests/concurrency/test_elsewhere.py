"""Purposes do not cross from one task or thread to another: not without `carry`, and with it only what was carried."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from purposeguard import PurposeMissing, PurposeViolation
from tests import support
from tests.concurrency.parties import PARTIES, Party, assert_none, async_stream, guard, party, running


def none_here() -> None:
    """No purpose is under way here, for anybody."""
    with pytest.raises(PurposeMissing):
        guard.current  # noqa: B018  # asking is what raises
    for owner in PARTIES:
        assert_none(owner)


def test_an_async_generator_is_run_by_many_tasks_in_turn() -> None:
    async def main() -> None:
        streams = [async_stream(owner) for owner in PARTIES]
        turns = [asyncio.Lock() for _ in streams]

        async def run(number: int) -> None:
            async with party(number).block():
                for stream, turn in zip(streams, turns, strict=True):
                    async with turn:
                        await anext(stream)
                    party(number).holds()

        async with asyncio.TaskGroup() as group:
            for number in range(150):
                group.create_task(run(number))
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]  # they are generators
        none_here()

    asyncio.run(main())


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
@pytest.mark.parametrize("number", range(len(PARTIES)), ids=[one.purpose.slug for one in PARTIES])
def test_elsewhere_only_what_is_carried(elsewhere: Callable[[Any], Awaitable[object]], number: int) -> None:
    async def main() -> None:
        with PARTIES[number].block():
            await elsewhere(none_here)
            await elsewhere(guard.carry(PARTIES[number].holds))
            PARTIES[number].holds()
            carried = guard.carry(PARTIES[number].holds)
        none_here()
        with party(number + 1).block():
            await elsewhere(carried)  # goes on holding, and leaves this one alone
            party(number + 1).holds()
        await elsewhere(carried)
        await elsewhere(none_here)

    asyncio.run(main())


def test_a_coroutine_is_carried_into_its_task() -> None:
    async def main() -> None:
        async def body(number: int) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
                PARTIES[number].holds()

        pending = []
        for number in range(len(PARTIES)):
            with PARTIES[number].block():
                pending += [asyncio.create_task(guard.carry(body)(number)) for _ in range(20)]
        none_here()
        await asyncio.gather(*pending)
        none_here()

    asyncio.run(main())


# ---- At length ----------------------------------------------------------------------------------------------------

DEEP_CHECKS = int(os.environ.get("PURPOSEGUARD_DEEP_CHECKS", "100_000_000"))


def burst(owner: Party) -> None:
    """A hundred checks of what is under way here, as plainly as possible, and one refusal."""
    read, purpose = owner.read, owner.purpose
    for _ in range(50):
        if read() != owner.opened or guard.current.purpose is not purpose:
            raise AssertionError(f"{purpose} was crossed")
    with pytest.raises(PurposeViolation):
        owner.read_not_mine()


@pytest.mark.deep
@pytest.mark.parametrize("part", range(4))
def test_no_purpose_crosses_at_length(part: int) -> None:
    """10⁸ checks in four parts (or as many as PURPOSEGUARD_DEEP_CHECKS says), half in threads and half in tasks."""
    bursts = DEEP_CHECKS // 4 // 64 // 100

    def thread(seed: int) -> None:
        with party(seed).block():
            for _ in range(bursts):
                burst(party(seed))

    async def one_task(seed: int) -> None:
        with party(seed).block():
            for _ in range(bursts):
                burst(party(seed))
                await asyncio.sleep(0)

    async def eight_tasks(first: int) -> None:
        await asyncio.gather(*map(one_task, range(first, first + 8)))

    jobs: list[Callable[[], object]] = [partial(thread, seed + part) for seed in range(32)]
    jobs += [partial(running, eight_tasks, first) for first in range(part, part + 32, 8)]
    with support.switching():
        support.in_threads(jobs)
    none_here()
