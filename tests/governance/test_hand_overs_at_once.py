"""Hand-overs of many threads and tasks at once: one transaction records those that wait, and none is lost by it."""

from __future__ import annotations

import asyncio
import datetime
import functools
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

import purposeguard as pg
from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.governance import Governance
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.ledger.tables import head
from purposeguard.governance.store import Store
from purposeguard.governance.transfers import Provisions
from purposeguard.integrations.httpx import AsyncGuardedTransport
from purposeguard.integrations.outgoing import Outgoing
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Provision, Recipient, Safeguard
from tests.governance.ledger.places import NEVER, PROVISION
from tests.governance.support import PATIENCE, LedgerElsewhere
from tests.support import in_threads

LONG_AGO = datetime.datetime(2000, 1, 1, tzinfo=UTC)
SINCE = datetime.date(2024, 4, 1)
MAIL_HOUSE = Recipient(
    "mail-house",
    "domestic-contractor",
    "JP",
    safeguards=[Safeguard("contract", "2026-117", since=SINCE)],
    supervised_on=SINCE,
    means="other",
)


@pytest.fixture
def ledger(store: Store) -> Iterator[SqlLedger]:
    with SqlLedger(store, interval=NEVER) as made:
        yield made


@pytest.fixture
def provisions(store: Store, ledger: SqlLedger) -> Provisions:
    return Provisions(store, ledger=ledger)


def of(*subjects: str, **changes: Any) -> Provision:
    return replace(PROVISION, subjects=subjects, **changes)


def record_together(provisions: Provisions, handed: Sequence[Provision]) -> list[Future[int]]:
    """Records all of these at once: threads wait for their turn in this order, and the first of them writes."""
    with ThreadPoolExecutor(len(handed)) as threads:
        with provisions._group.exclude_others():
            results: list[Future[int]] = []
            for number, provision in enumerate(handed):
                results.append(threads.submit(provisions.record, provision))
                while len(provisions._group._waiting) <= number:
                    time.sleep(0.001)
        return results


@contextmanager
def counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts the transactions that write."""
    writing, transactions = store.writing, [0]

    def write() -> Any:
        transactions[0] += 1
        return writing()

    with monkeypatch.context() as patch:
        patch.setattr(store, "writing", write)
        yield transactions


def test_one_transaction_records_all_that_wait(
    store: Store, provisions: Provisions, ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = [of(f"{number}", f"{number // 2}", "everybody", task=f"{number}") for number in range(12)]
    with counted(store, monkeypatch) as transactions:
        results = record_together(provisions, [of(), *handed])
    assert transactions == [1]
    numbers = [result.result() for result in results]
    assert numbers == sorted(set(numbers))
    kept = [entry.body for entry in ledger.entries(["provision"])]
    assert [body["provision"] for body in kept] == numbers  # in the order in which they waited
    assert [body["task"] for body in kept] == [None, *(provision.task for provision in handed)]
    for body, provision in zip(kept[1:], handed, strict=True):
        assert body["subjects"] == store.pseudonyms(list(dict.fromkeys(provision.subjects)))
    assert [record.number for record in provisions.of("everybody")] == numbers[1:]
    assert {record.number: record.provision.task for record in provisions.of("0")} == {numbers[1]: "0", numbers[2]: "1"}
    assert ledger.verify().entries == 13


def test_threads_at_random_moments(store: Store, provisions: Provisions, ledger: SqlLedger) -> None:
    numbers: dict[int, str] = {}

    def work(thread: int) -> None:
        for round_ in range(10):
            task = f"{thread} {round_}"
            numbers[provisions.record(of(f"{thread}", "everybody", task=task))] = task

    in_threads(functools.partial(work, thread) for thread in range(12))
    assert {record.number: record.provision.task for record in provisions.since(LONG_AGO)} == numbers
    assert {entry.body["provision"]: entry.body["task"] for entry in ledger.entries(["provision"])} == numbers
    assert len(provisions.of("everybody")) == len(numbers) == ledger.verify().entries == 120
    assert len(provisions.of("3")) == 10


def test_two_processes_worth_of_objects_write_one_chain(store: Store, store_url: str) -> None:
    with Store.open(store_url, timeout=PATIENCE) as another:
        places = [Provisions(each, ledger=SqlLedger(each, interval=NEVER)) for each in (store, another)]

        def work(thread: int) -> None:
            for _ in range(10):
                places[thread % 2].record(of(f"{thread % 3}", "everybody"))

        in_threads(functools.partial(work, thread) for thread in range(8))
    assert SqlLedger(store, interval=NEVER).verify().entries == 80


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"task": "x" * 1_000_001}, ValueError), ({"purpose": "x" * 101}, StoreUnavailable)],
    ids=["no entry", "no row"],
)
def test_a_hand_over_that_cannot_be_recorded_fails_alone(
    store: Store, provisions: Provisions, ledger: SqlLedger, wrong: dict[str, str], error: type[Exception]
) -> None:
    first, failing, last = record_together(provisions, [of("7"), of("8", **wrong), of("9")])
    if "purpose" in wrong and store.dialect == "sqlite":  # It takes texts of any length.
        assert len({result.result() for result in (first, failing, last)}) == ledger.verify().entries == 3
        return
    assert isinstance(failing.exception(), error)
    assert [record.number for record in provisions.since(LONG_AGO)] == [first.result(), last.result()]
    assert provisions.of("8") == ()
    assert ledger.verify().entries == 2


def test_if_the_transaction_fails_each_gets_the_error_and_nothing_is_recorded(
    store: Store, provisions: Provisions, ledger: SqlLedger
) -> None:
    provisions.record(of("7"))
    with store.writing() as connection:
        connection.execute(sa.update(head).values(hash="0" * 64))
    failures = [result.exception() for result in record_together(provisions, [of("7")] * 5)]
    assert {type(failure) for failure in failures} == {LedgerBroken}
    assert len({id(failure) for failure in failures}) == 5
    assert len(provisions.since(LONG_AGO)) == len(provisions.of("7")) == 1
    with store.writing() as connection:
        connection.execute(sa.text("DROP TABLE purposeguard_provided_subject"))
    failures = [result.exception() for result in record_together(provisions, [of("7")] * 5)]
    assert {type(failure) for failure in failures} == {StoreUnavailable}
    assert len(list(ledger.entries())) == 1


def test_a_ledger_elsewhere_gets_no_entry_of_a_hand_over_that_another_one_undoes(store: Store) -> None:
    ledger = LedgerElsewhere()
    provisions = Provisions(store, ledger=ledger)

    def record(number: int) -> None:
        if number % 2:
            with pytest.raises(StoreUnavailable):
                provisions.record(of("7", task=f"{number}", recipient=None))
        else:
            provisions.record(of("7", task=f"{number}"))

    in_threads(functools.partial(record, number) for number in range(8))
    assert sorted(body["task"] for _, body in ledger.kept) == ["0", "2", "4", "6"]
    assert len(provisions.since(LONG_AGO)) == 4


def test_no_request_of_an_event_loop_leaves_before_its_record_is_durable(store: Store) -> None:
    with Governance(store, notice=tm.NOTICE) as governance:
        guard = pg.Guard(tm.NOTICE, governance=governance)
        outgoing = Outgoing(guard, {"http://mail.example": MAIL_HOUSE})
        on_record: dict[str, int] = {}

        def answer(request: httpx.Request) -> httpx.Response:
            subject = request.url.path.removeprefix("/")
            on_record[subject] = len(governance.provisions.of(subject))
            return httpx.Response(204)

        async def post(client: httpx.AsyncClient, subject: str) -> None:
            with guard.purpose(tm.RenewalGuidance), outgoing.handover(tm.Registration, subject=subject):
                await client.post(f"http://mail.example/{subject}")

        async def story() -> None:
            transport = AsyncGuardedTransport(outgoing, httpx.MockTransport(answer))
            async with httpx.AsyncClient(transport=transport) as client:
                await asyncio.gather(*(post(client, f"{number}") for number in range(40)))

        asyncio.run(story())
        assert on_record == {f"{number}": 1 for number in range(40)}
        ledger: Any = governance.ledger
        assert len(list(ledger.entries(["provision"]))) == 40
        ledger.verify()


def test_a_store_that_is_locked_makes_nobody_wait_longer_than_it_may(store_url: str) -> None:
    with Store.open(store_url, timeout=0.3) as store, Store.open(store_url, timeout=PATIENCE) as another:
        provisions = Provisions(store, ledger=SqlLedger(store, interval=NEVER))
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with another.writing() as connection:
                connection.execute(sa.update(head).values(seq=head.c.seq))
                held.set()
                done.wait(PATIENCE)

        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(PATIENCE)
        try:
            begun = time.monotonic()
            failures = [result.exception() for result in record_together(provisions, [of("7")] * 4)]
            assert {type(failure) for failure in failures} == {StoreUnavailable}
            assert time.monotonic() - begun < 30
        finally:
            done.set()
            holder.join()
        provisions.record(of("7"))
        assert len(provisions.of("7")) == 1
