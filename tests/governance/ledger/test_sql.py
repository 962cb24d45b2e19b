"""The ledger in a store: entries together with what they tell of, and the database gone for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import changes
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.ledger.tables import head as head_table
from purposeguard.governance.store import Store
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.ledger.places import NEVER, R, denial
from tests.governance.support import Time, outage


@pytest.fixture
def ledger(store: Store) -> Iterator[SqlLedger]:
    with SqlLedger(store, interval=NEVER, clock=Time()) as made:
        yield made


def steps(ledger: SqlLedger) -> list[Any]:
    return [entry.body["number"] for entry in ledger.entries(["sweep"])]


def test_an_entry_is_kept_together_with_what_it_tells_of(ledger: SqlLedger, store: Store) -> None:
    with store.writing() as connection:
        changes.record_changes(connection, ["7"])
        ledger.append_in(connection, "sweep", {"number": 1})
        ledger.append_in(connection, "sweep", {"number": 2})

    def change_and_fail() -> None:
        with store.writing() as connection:
            changes.record_changes(connection, ["8"])
            ledger.append_in(connection, "sweep", {"number": 3})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    assert steps(ledger) == [1, 2]
    with store.reading() as connection:
        assert changes.latest_change(connection) == 1
    ledger.append("sweep", {"number": 4})
    assert steps(ledger) == [1, 2, 4]
    assert ledger.verify().entries == 3
    with store.writing() as connection, pytest.raises(ValueError, match="no entries of kind"):
        ledger.append_in(connection, "sleep", {})
    with store.writing() as connection, pytest.raises(ValueError, match="uses are counted"):
        ledger.append_in(connection, "use", {})


def test_while_the_database_is_gone_uses_are_counted_and_denials_are_errors(
    ledger: SqlLedger, store: Store, request: pytest.FixtureRequest
) -> None:
    guard = pg.Guard(tm.NOTICE, ledger=ledger)
    name = pg.Personal("name", tm.Registration)
    device: pg.Personal[str, Any] = pg.Personal("device", tm.ProductData)

    def use_both(error: type[Exception]) -> None:
        with guard.purpose(tm.RenewalGuidance, activity="it") as use:
            assert use.open(name) == "name"
            with pytest.raises(error):
                use.open(device)

    use_both(pg.PurposeViolation)
    ledger.flush()
    with outage(store, request):
        for _ in range(3):
            use_both(StoreUnavailable)
            with pytest.raises(StoreUnavailable):
                ledger.flush()
        with pytest.raises(StoreUnavailable):
            ledger.verify()
    use_both(pg.PurposeViolation)
    ledger.flush()
    assert list(ledger.uses().values()) == [5]
    assert ledger.verify().entries == 1
    assert list(ledger.verify().head.repeated.values()) == [1]


def test_counts_whose_commit_was_not_heard_of_are_not_written_twice(
    ledger: SqlLedger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection may be lost after the commit, and before its answer."""
    writing = ledger._open_connection

    @contextlib.contextmanager
    def unheard() -> Iterator[sa.Connection]:
        with writing() as connection:
            yield connection
        raise StoreUnavailable("the connection was lost")

    @contextlib.contextmanager
    def undone() -> Iterator[sa.Connection]:
        with store.writing() as connection:
            yield connection
            raise StoreUnavailable("the connection was lost")

    expected = 0
    for lost in ([unheard], [undone], [unheard, unheard], [undone, unheard], [unheard, undone, undone, unheard]):
        for number, how in enumerate(lost, 1):
            ledger._counters.add("it", "1.2(1)①", R, number)
            expected += number
            monkeypatch.setattr(ledger, "_open_connection", how)
            with pytest.raises(StoreUnavailable):
                ledger.flush()
        monkeypatch.setattr(ledger, "_open_connection", writing)
        ledger._counters.add("it", "1.2(1)①", R, 100)
        expected += 100
        ledger.flush()
        assert list(ledger.uses().values()) == [expected]
    monkeypatch.setattr(ledger, "_open_connection", unheard)
    with pytest.raises(StoreUnavailable):
        ledger.denied(denial(), observed=False)
    monkeypatch.setattr(ledger, "_open_connection", writing)
    ledger.flush()
    assert list(ledger.uses().values()) == [expected]
    assert ledger.verify().entries == 1  # it is on record, though nobody was told so


def test_a_handler_that_interrupts_a_write_is_refused(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    writing = ledger._open_connection

    @contextlib.contextmanager
    def interrupted() -> Iterator[sa.Connection]:
        with writing() as connection:
            with pytest.raises(StoreUnavailable, match="interrupted"):
                ledger.denied(denial(), observed=False)
            yield connection

    monkeypatch.setattr(ledger, "_open_connection", interrupted)
    ledger.append("sweep", {"number": 1})
    monkeypatch.undo()
    ledger.append("sweep", {"number": 2})
    assert steps(ledger) == [1, 2]


def test_a_store_that_was_closed_loses_what_was_not_written_and_says_so(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store.open(store_url)
    ledger = SqlLedger(store, interval=NEVER)
    ledger._counters.add("it", "1.2(1)①", R, 7)
    store.close()
    ledger.close()
    assert "7 counted uses are lost" in caplog.text
    assert "was closed" in " ".join(caplog.text.replace("\\n", " ").split())  # a log of JSON writes ends of lines so


def test_the_head_of_a_new_store_is_that_of_an_empty_ledger(ledger: SqlLedger, store: Store) -> None:
    with store.reading() as connection:
        assert connection.execute(sa.select(head_table)).one().seq == 0
    assert ledger.verify().entries == 0
    assert not ledger.uses()
