"""Denials in an event loop: a thread records them, and the block ends once they are on record."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import sqlalchemy as sa
import trio

import purposeguard as pg
from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.governance import BlockingStoreCall, Governance, loops
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.store import Store
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.support import PATIENCE, count_denials, hold_ledger, in_event_loop
from tests.governance.test_preferences import until

CRASHES: Any = pg.Personal(3, tm.ProductData)  # not for guidance about renewals
Deny = Callable[[], None]


@pytest.fixture
def governance(store_url: str) -> Iterator[Governance]:
    with Store.open(store_url, timeout=PATIENCE) as store, Governance(store, notice=tm.NOTICE) as governance:
        yield governance


@pytest.fixture
def deny(governance: Governance) -> Deny:
    """Has a use refused, by code that goes on."""
    guard = pg.Guard(tm.NOTICE, governance=governance)

    def refused() -> None:
        with contextlib.suppress(pg.PurposeViolation), guard.purpose(tm.RenewalGuidance) as use:
            use.open(CRASHES)

    return refused


@in_event_loop
async def test_the_block_ends_once_they_are_on_record(governance: Governance, deny: Deny) -> None:
    async def block(ended: asyncio.Event) -> None:
        async with governance.off_loop():
            deny()
            deny()
        ended.set()

    async with governance.off_loop() as recorded:
        await recorded()  # nothing
    ended = asyncio.Event()
    with hold_ledger(governance):
        waiting = asyncio.create_task(block(ended))
        await asyncio.sleep(0.3)
        assert not ended.is_set()
        assert count_denials(governance) == 0
    await waiting
    assert count_denials(governance) == 2
    async with governance.off_loop() as recorded:
        deny()
        await recorded()
        assert count_denials(governance) == 3


@in_event_loop
async def test_what_is_on_record_is_not_kept_by_a_block_that_lasts(governance: Governance, deny: Deny) -> None:
    def has(number: int) -> bool:
        return count_denials(governance) >= number

    async with governance.off_loop():
        for number in range(1, 11):
            deny()
            await asyncio.to_thread(until, functools.partial(has, number))
        block = loops._BLOCK.get()
        assert block is not None
        assert len(block._writes) < 5


def test_where_it_cannot_be_recorded_the_block_fails(governance: Governance, deny: Deny) -> None:
    async def failing() -> None:
        async with governance.off_loop() as recorded:
            deny()
            with pytest.raises(StoreUnavailable):
                await recorded()
            raise KeyError

    async def story() -> None:
        with hold_ledger(governance):
            governance.store.timeout = 0.5
            with pytest.raises(StoreUnavailable):
                async with governance.off_loop():
                    deny()
            with pytest.raises(StoreUnavailable):  # in place of the error of the block
                await failing()
            governance.store.timeout = PATIENCE
        async with governance.off_loop():
            deny()

    asyncio.run(story())
    assert count_denials(governance) >= 1


def test_a_changed_ledger_is_told(governance: Governance, deny: Deny) -> None:
    deny()
    with governance.store.writing() as connection:
        connection.execute(sa.text("UPDATE purposeguard_ledger_head SET hash = 'x'"))
    guard = pg.Guard(tm.NOTICE, governance=governance)

    async def story() -> None:
        async with governance.off_loop():
            guard.check(tm.Cookie, tm.RenewalGuidance)

    with pytest.raises(LedgerBroken):
        asyncio.run(story())


@in_event_loop
async def test_who_is_cancelled_does_not_wait_and_the_denial_is_recorded(governance: Governance, deny: Deny) -> None:
    async def block() -> None:
        async with governance.off_loop() as recorded:
            deny()
            await recorded()

    with hold_ledger(governance):
        waiting = asyncio.create_task(block())
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert count_denials(governance) == 0
    cast("SqlLedger", governance.ledger).close()  # which waits for the thread
    assert count_denials(governance) == 1


def test_under_trio_too(governance: Governance, deny: Deny) -> None:
    async def story() -> None:
        async with governance.off_loop():
            deny()
        assert count_denials(governance) == 1
        governance.store.timeout = 0.5
        with hold_ledger(governance), pytest.raises(StoreUnavailable):
            async with governance.off_loop():
                deny()

    trio.run(story)


@in_event_loop
async def test_threads_and_tasks_that_outlive_the_block_record_at_once(governance: Governance, deny: Deny) -> None:
    async def later(begin: asyncio.Event) -> None:
        await begin.wait()
        with pytest.warns(BlockingStoreCall, match="off_loop"):
            deny()

    begin = asyncio.Event()
    async with governance.off_loop():
        outliving = asyncio.create_task(later(begin))
        await asyncio.to_thread(deny)
        assert count_denials(governance) == 1
    begin.set()
    await outliving
    assert count_denials(governance) == 2


def test_where_no_thread_can_be_started_the_loop_records_itself(
    governance: Governance, deny: Deny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    async def story() -> None:
        async with governance.off_loop():
            with pytest.warns(BlockingStoreCall):
                deny()
            assert count_denials(governance) == 1

    monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, "submit", refuse)
    asyncio.run(story())


def test_a_ledger_of_another_kind_records_at_once(store_url: str) -> None:
    with Governance(store_url, notice=tm.NOTICE, ledger=False) as governance:

        async def story() -> None:
            async with governance.off_loop() as recorded:
                await recorded()

        asyncio.run(story())


def test_one_warning_for_each_place_that_records_in_a_loop(governance: Governance, deny: Deny) -> None:
    async def story() -> None:
        for _ in range(3):
            deny()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        asyncio.run(story())
    assert [(each.category, each.filename) for each in told] == [(BlockingStoreCall, __file__)]
    assert "async with governance.off_loop()" in str(told[0].message)


def test_no_thread_is_left_behind(store_url: str) -> None:
    before = set(threading.enumerate())
    with Governance(store_url, notice=tm.NOTICE) as governance:
        guard: Any = pg.Guard(tm.NOTICE, governance=governance)

        async def story() -> None:
            async with governance.off_loop():
                for source in (tm.ProductData, tm.Cookie, tm.Website):
                    with contextlib.suppress(pg.PurposeViolation):
                        guard.check(source, tm.RenewalGuidance)

        asyncio.run(story())
        assert count_denials(governance) == 3
    assert set(threading.enumerate()) <= before


@in_event_loop
async def test_a_denial_that_is_only_observed_and_cannot_be_recorded_is_logged_once(
    governance: Governance, caplog: pytest.LogCaptureFixture
) -> None:
    guard = pg.Guard(tm.NOTICE, governance=governance, mode="observe")

    def observe() -> int:
        with guard.purpose(tm.RenewalGuidance) as use:
            return int(use.open(CRASHES))

    def lost() -> list[str]:
        return [message for message in caplog.messages if "only observed cannot be recorded" in message]

    with hold_ledger(governance):
        governance.store.timeout = 0.5
        async with governance.off_loop():
            assert observe() == 3
        assert await asyncio.to_thread(observe) == 3
        await asyncio.to_thread(until, lambda: bool(lost()))
        governance.store.timeout = PATIENCE
    assert len(lost()) == 1
    async with governance.off_loop():
        observe()
    await asyncio.to_thread(until, lambda: count_denials(governance) >= 1)
    assert len([message for message in caplog.messages if "are recorded again" in message]) == 1
