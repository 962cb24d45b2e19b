"""Greenlets of one thread: each has the purposes that it entered, and what was carried to it; those of no other."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import greenlet  # type: ignore[import-untyped]  # it comes without types
import pytest
import trio
from gevent.local import local
from sqlalchemy.util import await_only, greenlet_spawn

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime import execution
from tests.concurrency.parties import PARTIES, Party, assert_none, guard, party, stream
from tests.support import RecordingLedger, printed_by
from tests.unit.models import in_a_loop

MINE, OTHER = PARTIES[0], PARTIES[1]


def shut(use: pg.Use[Any]) -> None:
    """This use, which was entered elsewhere, does not hold here, by any way of asking it."""
    assert_none(MINE)
    for act in (lambda: use.open(MINE.plain), lambda: use.open_all([MINE.plain]), lambda: use.withhold(MINE.plain)):
        with pytest.raises(pg.PurposeMissing):
            act()


def elsewhere(context: contextvars.Context, use: pg.Use[Any]) -> None:
    """Nor does it in the context in which it is under way, in a greenlet of another."""
    for act in (MINE.read, lambda: guard.current, lambda: guard.use(MINE.purpose)):
        with pytest.raises(pg.PurposeMissing, match=r"`guard\.carry") as missing:
            context.run(act)
        assert ("greenlet" in str(missing.value)) is (greenlet.getcurrent().parent is not None)
    context.run(shut, use)
    assert context.run(use.allows, MINE.source)  # a question, which opens nothing


def run_by_hub(act: Callable[[], object]) -> object:
    """What comes of it in a callback of the hub."""
    done: gevent.event.AsyncResult[Any] = gevent.event.AsyncResult()

    def callback() -> None:
        try:
            done.set(act())
        except BaseException as error:  # it is raised to the test
            done.set_exception(error)

    gevent.get_hub().loop.run_callback(callback)
    return done.get()


def in_raw(act: Callable[[], object]) -> object:
    return greenlet.greenlet(act).switch()


def in_pool(act: Callable[[], object]) -> object:
    return gevent.get_hub().threadpool.apply(act)


def with_context(act: Callable[[], object], context: contextvars.Context) -> object:
    given = gevent.Greenlet(act)
    given.gr_context = context
    given.start()
    return given.get()


WAYS: dict[str, Callable[[Callable[[], object]], object]] = {
    "spawned": lambda act: gevent.spawn(act).get(),
    "with a copy of the context": lambda act: with_context(act, contextvars.copy_context()),
    "with the very context": lambda act: with_context(act, greenlet.getcurrent().gr_context),
    "spawned later": lambda act: gevent.spawn_later(0, act).get(),
    "spawned raw": lambda act: run_by_hub(lambda: gevent.spawn_raw(act)) and gevent.sleep(0),
    "a callback of the hub": run_by_hub,
    "switched to": in_raw,
    "a pool of threads": in_pool,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_greenlet_has_the_purpose_of_another(way: Callable[[Callable[[], object]], object]) -> None:
    ran: list[bool] = []
    with MINE.block() as use:
        context = contextvars.copy_context()

        def intrude() -> None:
            shut(use)
            elsewhere(context, use)
            ran.append(True)

        way(intrude)
        gevent.sleep(0)
        MINE.here()
    assert ran == [True]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_is_carried_to_a_greenlet_holds_there(way: Callable[[Callable[[], object]], object]) -> None:
    ran: list[bool] = []
    with MINE.block() as use:

        def work() -> None:
            MINE.here()
            MINE.opens(use)
            MINE.here()
            ran.append(True)

        way(guard.carry(work))
        gevent.sleep(0)
        MINE.here()
    assert ran == [True]


def test_a_greenlet_without_a_purpose_is_told_how_it_gets_one() -> None:
    def ask() -> None:
        with pytest.raises(pg.PurposeMissing, match=r"in another greenlet has a purpose, .* `guard\.carry\(fn\)`"):
            MINE.read()

    gevent.spawn(ask).get()
    with pytest.raises(pg.PurposeMissing, match=r"`with guard\.purpose\(…\)`$"):
        MINE.read()


def test_two_hundred_greenlets_each_have_their_own() -> None:
    def run(number: int) -> None:
        owner, other = party(number), party(number + 1)
        assert_none(owner)
        for _ in range(2):
            with owner.block() as use:
                gevent.sleep(0)
                owner.here()
                with other.block():
                    gevent.sleep(0)
                    other.holds()
                gevent.sleep(0)
                owner.opens(use)
            gevent.sleep(0)
            assert_none(owner)

    gevent.joinall([gevent.spawn(run, number) for number in range(200)], raise_error=True)


def test_decorated_functions_whose_uses_are_counted_too() -> None:
    counting = pg.Guard(tm.NOTICE, ledger=RecordingLedger())
    seen: list[str] = []

    @counting.access(tm.Registration)
    def read() -> str:
        return "name"

    @counting.purpose(tm.RenewalGuidance)
    def activity() -> None:
        context = contextvars.copy_context()
        read()

        def intrude() -> None:
            with pytest.raises(pg.PurposeMissing):
                context.run(read)
            seen.append("refused")

        gevent.spawn(intrude).get()
        seen.append(read())

    activity()
    assert seen == ["refused", "name"]


def test_a_generator_that_another_greenlet_goes_on_with() -> None:
    def undecorated() -> Iterator[str]:
        with MINE.block() as use:
            yield use.open(MINE.plain)
            yield use.open(MINE.plain)

    shared = undecorated()
    assert next(shared) == MINE.opened

    def go_on() -> None:
        with pytest.raises(pg.PurposeMissing):
            next(shared)

    gevent.spawn(go_on).get()
    assert_none(MINE)  # what it left behind in this context has ended

    steps = stream(OTHER)  # decorated, it has a use for each step
    for _ in range(3):
        gevent.spawn(next, steps).get()
        assert_none(OTHER)
    steps.close()  # type: ignore[attr-defined]  # it is a generator


def test_what_is_kept_for_each_greenlet_or_by_all_of_them_opens_nothing_elsewhere() -> None:
    kept = local()
    kept.use = None
    shared: list[pg.Use[Any]] = []

    def enter() -> None:
        with MINE.block() as use:
            kept.use = use
            shared.append(use)
            gevent.sleep(0)
            kept.use.open(MINE.plain)

    first = gevent.spawn(enter)
    gevent.sleep(0)
    assert kept.use is None
    shut(shared[0])
    with OTHER.block():
        with pytest.raises(pg.PurposeMissing):
            shared[0].open(MINE.plain)
        gevent.sleep(0)
    first.get()


def test_a_block_that_two_greenlets_enter_by_turns() -> None:
    block = MINE.block()

    def enter(naps: int) -> None:
        with block as use:
            for _ in range(naps):
                gevent.sleep(0)
                assert guard.current is use
            MINE.opens(use)
        assert_none(MINE)

    gevent.joinall([gevent.spawn(enter, naps) for naps in (1, 3, 2)], raise_error=True)


def test_a_use_keeps_no_greenlet_alive_and_holds_in_none_that_gets_its_identifier() -> None:
    uses: list[pg.Use[Any]] = []

    def enter() -> None:
        block = MINE.block()
        uses.append(block.__enter__())  # and it is never left

    same: list[Any] = []
    for _ in range(50):  # another object may have got the place in memory
        first = greenlet.greenlet(enter)
        first.switch()
        identifier, gone = id(first), weakref.ref(first)
        del first
        assert gone() is None
        later = [greenlet.greenlet(shut) for _ in range(1_000)]
        same = [each for each in later if id(each) == identifier]
        if same:
            break
    assert same
    same[0].switch(uses[-1])


def test_an_access_function_in_the_context_of_a_greenlet_that_is_gone() -> None:
    contexts: list[contextvars.Context] = []
    counting = pg.Guard(tm.NOTICE, ledger=RecordingLedger())
    reads = [pg.Guard.access(one, tm.Registration)(lambda: "name") for one in (guard, counting)]

    def enter() -> None:
        for one in (guard, counting):
            one.purpose(tm.RenewalGuidance).__enter__()
        for read in reads:
            read()
        contexts.append(contextvars.copy_context())

    in_raw(enter)
    gc.collect()
    for read in reads:
        with pytest.raises(pg.PurposeMissing):
            contexts[0].run(read)


def test_a_greenlet_that_is_killed_inside_a_block_leaves_it() -> None:
    uses: list[pg.Use[Any]] = []

    def enter() -> None:
        with MINE.block() as use:
            uses.append(use)
            gevent.sleep(60)

    victim = gevent.spawn(enter)
    gevent.sleep(0)
    victim.kill()
    assert not uses[0].active

    def abandon() -> None:
        with MINE.block() as use:
            uses.append(use)
            greenlet.getcurrent().parent.switch()

    abandoned = greenlet.greenlet(abandon)
    abandoned.switch()
    gone = weakref.ref(abandoned)
    del abandoned
    assert gone() is None  # though it was in the middle of it
    assert not uses[1].active


@in_a_loop
async def test_in_a_task_the_task_counts_in_whatever_greenlets_it_runs() -> None:
    async def query() -> None:
        def inside() -> None:
            MINE.here()
            await_only(asyncio.sleep(0))
            with OTHER.block() as use:
                await_only(asyncio.sleep(0))
                OTHER.here()
                OTHER.opens(use)
            MINE.here()

        with MINE.block() as use:
            await greenlet_spawn(inside)
            await greenlet_spawn(MINE.opens, use)
            MINE.here()
        await greenlet_spawn(assert_none, MINE)

    await asyncio.gather(*(query() for _ in range(20)))


def test_a_loop_inside_a_greenlet_has_its_purpose_also_where_it_hops_to_others() -> None:
    async def main(use: pg.Use[Any]) -> None:
        MINE.here()
        await greenlet_spawn(MINE.here)
        await greenlet_spawn(MINE.opens, use)
        context = contextvars.copy_context()
        await greenlet_spawn(lambda: in_raw(lambda: elsewhere(context, use)))

    def run() -> None:
        with MINE.block() as use:
            asyncio.run(main(use))

    run()
    gevent.spawn(run).get()


def test_a_greenlet_beside_the_one_that_runs_a_loop_is_not_its_task() -> None:
    """A loop is the thread's: each greenlet of it sees the same one running, with the task that it runs."""
    found: list[pg.Use[Any]] = []

    def beside(context: contextvars.Context, use: pg.Use[Any]) -> None:
        elsewhere(context, use)
        with OTHER.block() as other:
            found.append(other)
            gevent.sleep(0)
            OTHER.here()
            gevent.sleep(0)

    async def task() -> None:
        with MINE.block() as use:
            pair = [gevent.spawn(beside, contextvars.copy_context(), use) for _ in range(2)]
            for _ in range(2):
                gevent.sleep(0)  # as patched functions do that wait
                MINE.here()
                for other in found:
                    with pytest.raises(pg.PurposeMissing):
                        other.open(OTHER.plain)
            gevent.joinall(pair, raise_error=True)

    async def callbacks() -> None:
        """A loop also runs callbacks, in which there is no task."""
        done = asyncio.get_running_loop().create_future()

        def callback() -> None:
            with MINE.block() as use:
                MINE.here()
                gevent.spawn(beside, contextvars.copy_context(), use).get()
                MINE.here()
            done.set_result(use)

        asyncio.get_running_loop().call_soon(callback)
        await done

    for main in (task, callbacks):
        found.clear()
        asyncio.run(main())
        gevent.spawn(asyncio.run, main()).get()


@in_a_loop
async def test_a_use_of_a_loop_s_callback_holds_in_no_task_of_it() -> None:
    uses: list[pg.Use[Any]] = []
    asyncio.get_running_loop().call_soon(lambda: uses.append(MINE.block().__enter__()))
    await asyncio.sleep(0)
    shut(uses[0])


def test_tasks_of_trio_beside_greenlets() -> None:
    def beside(use: pg.Use[Any]) -> None:
        shut(use)
        with OTHER.block():
            gevent.sleep(0)
            OTHER.here()

    async def task(owner: Party) -> None:
        with owner.block() as use:
            await trio.lowlevel.checkpoint()
            owner.here()
            if owner is MINE:
                gevent.spawn(beside, use).get()
            owner.here()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(task, party(number))

    trio.run(main)


def test_a_task_is_asked_alone_where_no_hub_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        runs, task = execution.current_execution()
        assert (runs(), task) == (asyncio.current_task(), asyncio.current_task())
        await asyncio.sleep(0)
        assert runs() is task

    async def beside() -> None:
        assert execution.current_execution()[1] == (asyncio.current_task(), greenlet.getcurrent())

    asyncio.run(beside())
    monkeypatch.delitem(sys.modules, "gevent")
    asyncio.run(main())
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "eventlet", types.ModuleType("eventlet"))
        asyncio.run(beside())
    monkeypatch.delitem(sys.modules, "greenlet")
    asyncio.run(main())


def test_a_use_that_is_older_than_greenlets_is_the_first_one_s(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        await greenlet_spawn(MINE.here)

    def intrude() -> None:
        with pytest.raises(pg.PurposeMissing):
            context.run(lambda: guard.current)

    with contextlib.ExitStack() as stack:
        with monkeypatch.context() as patch:
            for name in ("greenlet", "asyncio.events", "trio.lowlevel"):
                patch.delitem(sys.modules, name)
            stack.enter_context(MINE.block())
            MINE.here()
        MINE.here()
        context = contextvars.copy_context()
        gevent.spawn(intrude).get()
        asyncio.run(main())


SCRIPT = """
    {first}
    {second}
    import contextvars, threading, time
    import gevent
    from concurrent.futures import ThreadPoolExecutor
    from purposeguard.notices import trendmicro_jp as tm

    guard = pg.Guard(tm.NOTICE)
    name = pg.Personal("name", tm.Registration)

    @guard.access(tm.Registration)
    def read():
        return "name"

    def refused(context, use):
        for act in (read, lambda: use.open(name), lambda: guard.current.open(name)):
            for run in (context.run, lambda act: act()):
                try:
                    run(act)
                except pg.PurposeMissing:
                    pass
                else:
                    raise AssertionError("a purpose was crossed")

    def request(number):
        purpose = (tm.RenewalGuidance, tm.ProductGuidance)[number % 2]
        with guard.purpose(purpose) as use:
            for _ in range(3):
                time.sleep(0.0001)  # switches
                assert guard.current.purpose is purpose
                assert read() == use.open(name) == "name"
            others = [threading.Thread(target=refused, args=(contextvars.copy_context(), use))]
            others.append(threading.Thread(target=guard.carry(lambda: use.open(name))))
            for one in others:
                one.start()
            for one in others:
                one.join()
            guard.replace(guard.notice)  # takes locks
        try:
            read()
        except pg.PurposeMissing:
            return purpose
        raise AssertionError("it goes on")

    with ThreadPoolExecutor(50) as pool:
        assert len(list(pool.map(request, range(50)))) == 50
    gevent.joinall([gevent.spawn(request, number) for number in range(50)], raise_error=True)
    print("through")
"""


@pytest.mark.parametrize("patched", ["before", "after"])
def test_threads_that_gevent_makes_greenlets_of_have_their_own(patched: str) -> None:
    lines = ["from gevent import monkey; monkey.patch_all()", "import purposeguard as pg"]
    first, second = lines if patched == "before" else reversed(lines)
    script = SCRIPT.format(first=first, second=second)
    assert printed_by(script) == ("through\n", "")


@pytest.mark.parametrize("patched", [True, False])
def test_what_is_under_way_in_a_greenlet_is_not_the_forked_child_s(patched: bool) -> None:
    script = f"""
        import os
        import gevent
        if {patched}:
            from gevent import monkey
            monkey.patch_all()
        import purposeguard as pg
        from purposeguard.notices import trendmicro_jp as tm

        guard = pg.Guard(tm.NOTICE)

        def request():
            with guard.purpose(tm.RenewalGuidance) as use:
                if os.fork() == 0:
                    try:
                        guard.current
                    except pg.PurposeMissing:
                        os._exit(0 if not use.active else 2)
                    os._exit(1)
                assert guard.current is use
                return os.waitstatus_to_exitcode(os.wait()[1])

        print(gevent.spawn(request).get())
    """
    assert printed_by(script) == ("0\n", "")


def test_what_other_greenlets_had_under_way_at_a_fork_is_not_the_child_s_either() -> None:
    script = """
        import os
        import gevent
        import purposeguard as pg
        from purposeguard.notices import trendmicro_jp as tm

        guard = pg.Guard(tm.NOTICE)

        def request():
            with guard.purpose(tm.RenewalGuidance) as use:
                gevent.sleep(0)  # meanwhile the other one forks
                try:
                    return guard.current is use
                except pg.PurposeMissing:
                    return None

        first = gevent.spawn(request)
        gevent.sleep(0)
        child = gevent.fork() == 0
        found = first.get()
        if child:
            os._exit(0 if found is None else 1)
        print(found, os.waitstatus_to_exitcode(os.wait()[1]))
    """
    assert printed_by(script) == ("True 0\n", "")
