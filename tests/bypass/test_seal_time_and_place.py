"""A use opens nothing after its block, nor elsewhere: not in a thread, a task, a process, a copy, a context."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import copy
import dataclasses
import functools
import gc
import multiprocessing
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import trio

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.json import encode_sealed
from tests.bypass.seal_forks import in_a_fork
from tests.bypass.seal_looking import TEXT, guard, seal
from tests.support import in_threads

Ask = Callable[[], Any]
ONE = seal()


class Sealing(pg.PersonalModel):
    email: pg.Personal[str, tm.Registration]


@guard.access(tm.Registration)
def load() -> str:
    return TEXT


def answer(ask: Ask) -> str:
    """What it gives, or the name of its error."""
    try:
        return str(ask())
    except Exception as error:
        return type(error).__name__


def ways_to_open(use: pg.Use[Any]) -> list[Ask]:
    return [
        lambda: use.open(ONE),
        lambda: use.open_all([ONE, ONE]),
        lambda: use.try_open(ONE, "default"),
        lambda: use.open(ONE.map(str.upper)),
        lambda: use.check(ONE.label),
        lambda: guard.current.open(ONE),
        lambda: guard.use(tm.RenewalGuidance).open(ONE),
        lambda: encode_sealed(ONE),
        load,
        lambda: Sealing(email=ONE).model_dump(),
        lambda: Sealing(email=ONE).model_dump(context={"use": use}),
    ]


def refused(run: Callable[[Ask], Any], use: pg.Use[Any]) -> bool:
    """Whether nothing opens where `run` runs it."""
    return {run(functools.partial(answer, ask)) for ask in ways_to_open(use)} == {"PurposeMissing"}


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda use: copy.deepcopy([use])[0], lambda use: dataclasses.replace(Job(use)).use],
    ids=["copy", "deepcopy", "deepcopy in a list", "replace"],
)
def test_a_copy_of_a_use_ends_with_it(copied: Callable[[Any], Any]) -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        kept = copied(use)
        assert kept.open(ONE) == TEXT
    assert refused(lambda ask: ask(), kept)


@dataclasses.dataclass
class Job:
    use: Any


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_use_is_not_pickled(protocol: int) -> None:
    with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(TypeError, match="belongs to its block"):
        pickle.dumps(use, protocol)


def test_a_use_of_an_activity_ends_with_its_function() -> None:
    kept: list[pg.Use[Any]] = []

    @guard.purpose(tm.RenewalGuidance)
    def remind() -> Any:
        kept.append(guard.current)
        return guard.current.open(ONE)

    @guard.purpose(tm.RenewalGuidance).with_use
    def remind_with(use: pg.Use[tm.RenewalGuidance]) -> Any:
        kept.append(use)
        return use.open(ONE)

    assert [remind(), remind_with()] == [TEXT, TEXT]
    assert all(refused(lambda ask: ask(), use) for use in kept)


def test_a_use_that_a_decorated_generator_hands_out_holds_while_its_body_runs() -> None:
    @guard.purpose(tm.RenewalGuidance)
    def uses() -> Iterator[Any]:
        assert guard.current.open(ONE) == TEXT
        yield guard.current

    with contextlib.closing(uses()) as given:  # type: ignore[type-var]  # a generator has it
        assert refused(lambda ask: ask(), next(given))


def test_a_use_that_a_decorated_async_generator_hands_out_holds_while_its_body_runs() -> None:
    @guard.purpose(tm.RenewalGuidance)
    async def uses() -> AsyncIterator[Any]:
        yield guard.current

    async def main() -> bool:
        given = uses()
        use = await anext(given)
        found = refused(lambda ask: ask(), use)
        await given.aclose()  # type: ignore[attr-defined]  # a generator has it
        return found

    assert asyncio.run(main())


def test_a_block_that_a_generator_left_open_ends_when_it_is_dropped() -> None:
    def uses() -> Iterator[pg.Use[Any]]:
        with guard.purpose(tm.RenewalGuidance) as use:
            yield use

    given = uses()
    use = next(given)
    del given
    gc.collect()
    assert refused(lambda ask: ask(), use)


def test_a_context_that_was_copied_in_a_block_opens_nothing_after_it() -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        context = contextvars.copy_context()
        assert context.run(use.open, ONE) == TEXT
    assert refused(context.run, use)


def in_a_thread(ask: Ask) -> Any:
    found: list[Any] = []
    in_threads([lambda: found.append(ask())])
    return found[0]


def in_a_thread_with_its_context(ask: Ask) -> Any:
    context = contextvars.copy_context()
    return in_a_thread(lambda: context.run(ask))


def in_a_pool(ask: Ask) -> Any:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, ask).result()


def in_a_timer(ask: Ask) -> Any:
    found: list[Any] = []
    timer = threading.Timer(0, lambda: found.append(ask()))
    timer.start()
    timer.join()
    return found[0]


def in_a_loop_of_another_thread(ask: Ask) -> Any:
    async def main() -> Any:
        return ask()

    return in_a_thread(lambda: asyncio.run(main()))


@pytest.mark.parametrize(
    "run", [in_a_thread, in_a_thread_with_its_context, in_a_pool, in_a_timer, in_a_loop_of_another_thread]
)
def test_a_use_opens_nothing_in_another_thread(run: Callable[[Ask], Any]) -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        assert use.open(ONE) == TEXT
        assert refused(run, use)
        assert run(guard.carry(lambda: use.open(ONE))) == TEXT


async def in_a_task(ask: Ask) -> Any:
    async def run() -> Any:
        return ask()

    return await asyncio.create_task(run())


async def in_an_eager_task(ask: Ask) -> Any:
    """Runs at once, on the stack of whoever makes it, where Python (3.12) has such tasks."""
    asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory", None))
    return await in_a_task(ask)


async def gathered(ask: Ask) -> Any:
    async def run() -> Any:
        return ask()

    return (await asyncio.gather(run()))[0]


async def in_a_group(ask: Ask) -> Any:
    async def run() -> Any:
        return ask()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
    return task.result()


async def to_thread(ask: Ask) -> Any:
    return await asyncio.to_thread(ask)


async def in_an_executor(ask: Ask) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, ask)


async def in_a_callback(ask: Ask, call: str = "call_soon", *when: int) -> Any:
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Any] = loop.create_future()
    getattr(loop, call)(*when, lambda: found.set_result(ask()))
    return await found


async def in_a_later_callback(ask: Ask) -> Any:
    return await in_a_callback(ask, "call_later", 0)


async def in_a_callback_from_any_thread(ask: Ask) -> Any:
    return await in_a_callback(ask, "call_soon_threadsafe")


async def in_a_callback_of_a_task(ask: Ask) -> Any:
    found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    asyncio.create_task(asyncio.sleep(0)).add_done_callback(lambda _: found.set_result(ask()))
    return await found


async def in_a_shielded_task(ask: Ask) -> Any:
    return await asyncio.shield(in_a_task(ask))


@pytest.mark.parametrize(
    "run",
    [
        in_a_task, in_an_eager_task, gathered, in_a_group, in_a_shielded_task, to_thread, in_an_executor, in_a_callback,
        in_a_later_callback, in_a_callback_from_any_thread, in_a_callback_of_a_task,
    ],
)  # fmt: skip
def test_a_use_opens_nothing_in_another_task(run: Callable[[Ask], Any]) -> None:
    async def main() -> None:
        async with guard.purpose(tm.RenewalGuidance) as use:
            assert use.open(ONE) == TEXT
            answers = [await run(functools.partial(answer, ask)) for ask in ways_to_open(use)]
            assert set(answers) == {"PurposeMissing"}
            assert await run(guard.carry(lambda: use.open(ONE))) == TEXT
        assert refused(lambda ask: ask(), use)

    asyncio.run(main())


def test_a_use_opens_nothing_in_another_task_of_trio() -> None:
    answers: list[str] = []

    async def child(ask: Ask) -> None:
        answers.append(answer(ask))

    async def main() -> None:
        with guard.purpose(tm.RenewalGuidance) as use:
            assert use.open(ONE) == TEXT
            async with trio.open_nursery() as nursery:
                for ask in ways_to_open(use):
                    nursery.start_soon(child, ask)
            answers.extend([await trio.to_thread.run_sync(answer, ask) for ask in ways_to_open(use)])

    trio.run(main)
    assert answers == ["PurposeMissing"] * 22


def refused_in_a_fork(use: pg.Use[Any]) -> bool:
    return in_a_fork(lambda: refused(lambda ask: ask(), use)) == "True"


def test_a_fork_in_nested_blocks_and_activities_leaves_none_of_them_to_the_child() -> None:
    @guard.purpose(tm.RenewalGuidance)
    def remind(outer: pg.Use[Any]) -> bool:
        with guard.purpose(tm.ProductGuidance) as inner:
            return refused_in_a_fork(outer) and answer(lambda: in_a_fork(lambda: inner.open(ONE))) == "PurposeMissing"

    with guard.purpose(tm.RenewalGuidance) as use:
        assert remind(use)
        assert use.open(ONE) == TEXT  # the parent goes on


def test_a_fork_of_a_server_that_froze_its_objects_leaves_nothing_to_the_child() -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        gc.freeze()
        assert refused_in_a_fork(use)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # it does nothing but answer
def test_a_worker_that_was_forked_in_a_block_has_no_purpose_for_what_comes_later() -> None:
    """An executor forks its workers at the first task, in the context of whoever gives it one."""
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        with guard.purpose(tm.RenewalGuidance):
            first = pool.submit(read_in_a_worker)
        assert first.result() == "PurposeMissing"
        assert pool.submit(read_in_a_worker).result() == "PurposeMissing"


def read_in_a_worker() -> str:
    return answer(lambda: guard.current.open(ONE))
