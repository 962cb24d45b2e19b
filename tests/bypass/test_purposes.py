"""Checks cannot be skipped by running elsewhere, later, or behind a cache."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable, Iterator
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


def _thread(fn: Callable[[], str]) -> str:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(fn()))
    thread.start()
    thread.join()
    return found[0]


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
