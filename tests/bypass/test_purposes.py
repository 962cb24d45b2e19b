"""Checks cannot be skipped by running elsewhere, later, or behind a cache."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


class Customer(BaseModel):
    email: Annotated[str, tm.Registration]


@guard.access
def load() -> Customer:
    return Customer(email="e")


@guard.access
async def aload() -> Customer:
    return Customer(email="e")


def outcome(fn: Callable[[], Any] = load) -> str:
    try:
        fn()
    except pg.PurposeGuardError as error:
        return type(error).__name__
    return "read"


# --- running elsewhere


@pytest.mark.parametrize(
    "run",
    [
        lambda fn: _thread(fn),  # noqa: PLW0108  # defined below
        lambda fn: _thread(functools.partial(contextvars.copy_context().run, fn)),
        lambda fn: _pool(fn),  # noqa: PLW0108
        lambda fn: _pool(functools.partial(contextvars.copy_context().run, fn)),
        lambda fn: _timer(fn),  # noqa: PLW0108
    ],
    ids=["thread", "thread with the context", "executor", "executor with the context", "timer"],
)
def test_a_purpose_does_not_cross_to_another_thread(run: Callable[[Callable[[], str]], str]) -> None:
    with guard.purpose(tm.RenewalGuidance):
        assert outcome() == "read"
        assert run(outcome) == "PurposeMissing"
        assert outcome() == "read"


def _thread(fn: Callable[[], str]) -> str:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(fn()))
    thread.start()
    thread.join()
    return found[0]


def _timer(fn: Callable[[], str]) -> str:
    found: list[str] = []
    thread = threading.Timer(0, lambda: found.append(fn()))
    thread.start()
    thread.join()
    return found[0]


def _pool(fn: Callable[[], str]) -> str:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(fn).result()


def test_a_thread_that_ended_lends_its_purpose_to_no_later_one() -> None:
    """Thread identifiers are used again; what was left open in the first must not hold in the second."""
    contexts: list[contextvars.Context] = []

    def leave_open() -> None:
        guard.purpose(tm.RenewalGuidance).__enter__()
        contexts.append(contextvars.copy_context())

    for _ in range(20):
        first = threading.Thread(target=leave_open)
        first.start()
        first.join()
        assert _thread(outcome) == "PurposeMissing"


def test_a_purpose_does_not_cross_to_another_task_or_callback() -> None:
    async def child() -> str:
        try:
            await aload()
        except pg.PurposeMissing:
            return outcome()
        return "read"

    async def main() -> list[str]:
        seen: list[str] = []
        loop = asyncio.get_running_loop()
        async with guard.purpose(tm.RenewalGuidance):
            await aload()
            seen.append(await asyncio.create_task(child()))
            seen += await asyncio.gather(child(), child())
            async with asyncio.TaskGroup() as group:
                task = group.create_task(child())
            seen.append(task.result())
            seen.append(await asyncio.ensure_future(child()))
            seen.append(await asyncio.shield(child()))
            seen.append(await asyncio.to_thread(outcome))
            seen.append(await loop.run_in_executor(None, outcome))
            done: asyncio.Future[str] = loop.create_future()
            loop.call_soon(lambda: done.set_result(outcome()))
            seen.append(await done)
            later: asyncio.Future[str] = loop.create_future()
            loop.call_later(0, lambda: later.set_result(outcome()))
            seen.append(await later)
            safe: asyncio.Future[str] = loop.create_future()
            loop.call_soon_threadsafe(lambda: safe.set_result(outcome()))
            seen.append(await safe)
            called: asyncio.Future[str] = loop.create_future()
            task = asyncio.create_task(asyncio.sleep(0, "x"))
            task.add_done_callback(lambda _task: called.set_result(outcome()))
            seen.append(await called)
            assert outcome() == "read"
        return seen

    assert set(asyncio.run(main())) == {"PurposeMissing"}


def test_a_coroutine_made_inside_is_checked_where_it_runs() -> None:
    async def main() -> None:
        async with guard.purpose(tm.RenewalGuidance):
            inside, elsewhere, after = aload(), aload(), aload()
            await inside
            with pytest.raises(pg.PurposeMissing):
                await asyncio.create_task(elsewhere)
        with pytest.raises(pg.PurposeMissing):
            await after

    asyncio.run(main())


def test_a_task_that_outlives_its_block_has_no_purpose_left() -> None:
    async def activity(started: asyncio.Event, go_on: asyncio.Event) -> str:
        with guard.purpose(tm.RenewalGuidance):
            started.set()
        await go_on.wait()
        return outcome()

    async def main() -> str:
        started, go_on = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(activity(started, go_on))
        await started.wait()
        async with guard.purpose(tm.RenewalGuidance):
            go_on.set()
            return await task

    assert asyncio.run(main()) == "PurposeMissing"


# --- running later


def test_what_was_made_inside_a_block_does_not_work_after_it() -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        later: list[Callable[[], Any]] = [
            load,
            functools.partial(load),
            functools.partial(use.check, "1.1a"),
            functools.partial(use.withhold, Customer(email="e")),
            lambda: guard.carry(load),
        ]
        assert {outcome(fn) for fn in later} == {"read"}
    assert {outcome(fn) for fn in later} == {"PurposeMissing"}
    with guard.purpose(tm.TrafficAnalysis):
        assert outcome(later[0]) == outcome(later[1]) == "PurposeViolation"
        assert outcome(later[2]) == outcome(later[3]) == "PurposeMissing"


def test_a_use_cannot_be_opened_again_by_hand() -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        context = contextvars.copy_context()
    assert context.run(outcome) == "PurposeMissing"
    use._close()
    assert outcome() == "PurposeMissing"


def test_a_generator_goes_on_under_the_purpose_of_where_it_goes_on() -> None:
    @guard.access
    def rows() -> Iterator[Customer]:
        while True:
            yield Customer(email="e")

    given = rows()
    with guard.purpose(tm.RenewalGuidance):
        next(given)
    assert outcome(lambda: next(given)) == "PurposeMissing"
    given = rows()
    with guard.purpose(tm.RenewalGuidance):
        next(given)
        assert _thread(lambda: outcome(lambda: next(given))) == "PurposeMissing"


def test_an_activity_that_is_a_generator_lends_its_purpose_to_no_consumer() -> None:
    @guard.purpose(tm.RenewalGuidance)
    def letters() -> Iterator[str]:
        yield outcome()
        yield outcome()

    @guard.purpose(tm.RenewalGuidance)
    async def aletters() -> AsyncIterator[str]:
        yield outcome()
        yield outcome()

    for letter in letters():
        assert (letter, outcome()) == ("read", "PurposeMissing")

    async def main() -> None:
        async for letter in aletters():
            assert (letter, outcome()) == ("read", "PurposeMissing")

    asyncio.run(main())


def test_an_abandoned_generator_leaves_no_purpose_behind() -> None:
    class Marker: ...

    def careless() -> Iterator[Marker]:
        with guard.purpose(tm.RenewalGuidance):
            yield Marker()

    def start() -> weakref.ref[Marker]:
        return weakref.ref(next(careless()))

    start()
    gc.collect()
    assert outcome() == "PurposeMissing"


# --- caches


def test_a_plain_cache_below_the_check_is_refused_at_decoration() -> None:
    def wrapped(fn: Any) -> Any:
        @functools.wraps(fn)
        def around() -> Any:
            return fn()

        return around

    for cache in (functools.cache, functools.lru_cache, functools.lru_cache(maxsize=1)):
        for wrap in (lambda fn: fn, functools.partial, staticmethod, wrapped):
            with pytest.raises(TypeError, match=r"guard\.cached"):
                guard.access(tm.Registration)(wrap(cache(lambda: 1)))


def test_the_guard_s_own_cache_asks_each_time() -> None:
    kept = guard.cached()(load)
    with guard.purpose(tm.RenewalGuidance):
        assert outcome(kept) == "read"
    assert outcome(kept) == "PurposeMissing"
    with guard.purpose(tm.TrafficAnalysis):
        assert outcome(kept) == "PurposeViolation"
