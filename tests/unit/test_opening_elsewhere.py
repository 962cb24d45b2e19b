"""Sealed values in other threads and tasks: what `guard.carry` hands over opens there, and nothing else does."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.forking import end_uses_after_fork
from purposeguard.values.json import encode_sealed
from tests.unit.excepted import Case
from tests.unit.models import guard
from tests.unit.seals import DEVICE, NAME, Told, words

remind = guard.purpose(tm.RenewalGuidance, activity="remind")


def in_thread(fn: Callable[[], Any]) -> Any:
    """What comes of it in another thread: its result or its error."""
    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(fn).result()
        except pg.PurposeGuardError as error:
            return error


def assert_opens(use: pg.Use[Any]) -> None:
    assert use.open(NAME) == use.try_open(NAME, None) == "name"
    assert use.open_all([NAME, NAME.map(len)]) == ["name", 4]
    with pytest.raises(pg.PurposeViolation):
        use.open(DEVICE)
    assert use.try_open(DEVICE, None) is None


def assert_shut(use: pg.Use[Any]) -> None:
    for act in (lambda: use.open(NAME), lambda: use.open_all([NAME]), lambda: use.try_open(DEVICE, None)):
        with pytest.raises(pg.PurposeMissing):
            act()
    with pytest.raises(pg.PurposeMissing):
        use.withhold(NAME)


def test_what_is_carried_opens_by_its_own_use_and_by_the_one_it_comes_from() -> None:
    with remind as use:

        def work() -> None:
            assert guard.current is not use
            assert guard.current.purpose is use.purpose
            assert_opens(guard.current)
            assert_opens(use)

        assert in_thread(guard.carry(work)) is None
        assert in_thread(functools.partial(assert_shut, use)) is None  # only while it runs there
        guard.carry(work)()  # and here nothing changes
        assert_opens(use)


def test_what_was_carried_goes_on_after_the_block_and_the_use_does_not() -> None:
    started, ended = threading.Event(), threading.Event()

    def work(use: pg.Use[Any]) -> None:
        assert_opens(use)
        started.set()
        ended.wait()
        assert_opens(guard.current)
        assert_shut(use)

    with ThreadPoolExecutor(1) as pool:
        with remind as use:
            running = pool.submit(guard.carry(work), use)
            later = guard.carry(lambda: assert_opens(guard.current))
            started.wait()
        ended.set()
        running.result()
        assert in_thread(later) is None
    later()
    assert_shut(use)


def test_what_is_carried_is_carried_on() -> None:
    with remind as use:

        def innermost() -> None:
            assert_opens(guard.current)
            assert_opens(use)

        def inner() -> Any:
            between = guard.current
            assert in_thread(guard.carry(innermost)) is None
            assert in_thread(guard.carry(functools.partial(assert_opens, between))) is None
            assert in_thread(functools.partial(assert_shut, between)) is None
            assert_opens(use)
            return guard.carry(innermost)

        carried_on = in_thread(guard.carry(inner))
        assert in_thread(carried_on) is None
        assert in_thread(innermost) is not None  # bare, it has nothing


def test_within_a_block_of_its_own_what_is_carried_keeps_the_use_it_comes_from() -> None:
    with remind as use:

        def work() -> None:
            with guard.purpose(tm.ProductImprovement) as own:
                assert own.open(DEVICE) == "device"
                assert_opens(use)
            assert_opens(use)

        assert in_thread(guard.carry(work)) is None
        with guard.purpose(tm.ProductImprovement):
            # What is carried is the use under way, not the one around it.
            assert in_thread(guard.carry(functools.partial(assert_shut, use))) is None


@guard.purpose(tm.ProductImprovement)
def improve(use: pg.Use[Any]) -> None:
    """An activity of its own, entered the quick way."""
    assert guard.current.open(DEVICE) == "device"
    assert_opens(use)


def test_an_activity_that_what_is_carried_calls_may_be_given_the_use() -> None:
    with remind as use:
        assert in_thread(guard.carry(functools.partial(improve, use))) is None


def test_generators_are_carried_step_by_step() -> None:
    with remind as use:

        def steps() -> Iterator[str]:
            yield use.open(NAME)
            yield guard.current.open(NAME)

        stream = guard.carry(steps)()
        assert in_thread(lambda: next(stream)) == "name"
        assert in_thread(functools.partial(assert_shut, use)) is None
        assert next(stream) == "name"
        assert_opens(use)


def test_what_is_opened_elsewhere_is_told_too() -> None:
    tape = Told()
    told = pg.Guard(tm.NOTICE, ledger=tape)
    with told.purpose(tm.RenewalGuidance, activity="it") as use:
        label = NAME.label

        def work() -> None:
            told.current.open(NAME)
            use.open(NAME)
            use.open(NAME)

        assert in_thread(told.carry(work)) is None
        assert tape.uses == [("it", "1.2(1)①", label, 3)]
    assert tape.denials == []


def test_where_it_is_only_observed_what_has_no_purpose_is_carried_as_it_is() -> None:
    tape = Told()
    observing = pg.Guard(tm.NOTICE, ledger=tape, mode="observe")

    def work() -> str:
        return encode_sealed(NAME)  # type: ignore[no-any-return]  # as JSON encoders have it

    assert observing.carry(work) is work
    assert [type(error) for error, _ in tape.denials] == [pg.PurposeMissing]
    with observing.purpose(tm.RenewalGuidance) as use:
        assert in_thread(lambda: use.open(NAME)) == "name"
        assert in_thread(lambda: use.withhold(NAME)) is NAME
    assert len(tape.denials) == 3


def test_there_is_no_use_where_nothing_is_under_way() -> None:
    said: list[str] = []

    def ask() -> None:
        with pytest.raises(pg.PurposeMissing) as missing:
            guard.current.open(NAME)
        said.append(str(missing.value))
        nothing = guard.engine.ambient()
        assert repr(nothing)
        assert not nothing.active

    ask()
    assert in_thread(ask) is None
    assert "guard.carry" not in said[0]
    assert "hands it over with `guard.carry(fn)`" in " ".join(said[1].split())


@pytest.mark.parametrize("frozen", [False, True], ids=["bare", "frozen"])
def test_what_a_fork_leaves_in_the_child_opens_nothing(frozen: bool) -> None:
    """By what the interpreter runs in a child; with a real one in tests/bypass."""
    tape = Told()
    told = pg.Guard(tm.NOTICE, ledger=tape)
    if frozen:
        gc.freeze()  # as servers do before they fork
    else:
        gc.unfreeze()
    try:
        with remind as use, guard.purpose(tm.ProductProvision) as inner, told.purpose(tm.RenewalGuidance) as counting:
            counting.open(NAME)
            end_uses_after_fork()
            for one in (use, inner, counting):
                assert_shut(one)
                assert not one.active
            with pytest.raises(pg.PurposeMissing):
                guard.current.open(NAME)
        assert [use[-1] for use in tape.uses] == [1]  # the parent's
        assert (gc.get_freeze_count() > 0) is frozen
    finally:
        gc.freeze()  # as it was before, for the sake of the tests behind this one
    with remind as use:
        assert_opens(use)


def test_a_fork_where_nothing_is_under_way_leaves_all_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gevent", raising=False)  # it copies greenlets, in which something may be
    with remind as use:
        contextvars.Context().run(end_uses_after_fork)  # another context, in which nothing is
        assert_opens(use)
    end_uses_after_fork()
    with remind as use:
        assert_opens(use)


def advice(of: pg.Guard = guard) -> str:
    with pytest.raises(pg.PurposeMissing) as caught:
        of.current  # noqa: B018
    return words(caught)


def test_a_task_that_inherited_the_context_may_be_part_of_the_activity_or_not() -> None:
    async def read() -> str:
        return advice()

    async def serve() -> str:
        async with remind:
            return await asyncio.create_task(read())

    said = asyncio.run(serve())
    assert "runs in another task or thread, which began this one" in said
    assert "handed over there, with `guard.carry(fn)`" in said
    assert "states a purpose here, with `@guard.purpose(…)`" in said


def test_where_the_activity_has_ended_meanwhile_nothing_is_to_be_carried() -> None:
    async def read(ended: asyncio.Event) -> str:
        await ended.wait()
        return advice()

    async def serve() -> str:
        ended = asyncio.Event()
        async with remind:
            task = asyncio.create_task(read(ended))
        ended.set()
        return await task

    said = asyncio.run(serve())
    assert "activity remind has ended" in said
    assert "carry" not in said


def test_an_exception_by_law_is_not_to_be_carried() -> None:
    case = Case()
    with case.door():
        context = contextvars.copy_context()
        said = in_thread(lambda: context.run(advice, case.guard))
    assert "rescue holds where it was entered, and is not carried elsewhere: enter it where it is needed" in said
    assert "guard.carry" not in said
