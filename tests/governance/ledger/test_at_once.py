"""Many that write at once: events in batches, the head held for one round trip, and nothing lost by any fault."""

from __future__ import annotations

import datetime
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.ledger.tables import head as head_table
from purposeguard.governance.ledger.tables import ledger as ledger_table
from purposeguard.governance.store import Store, make_alembic_config, run_migrations
from tests.governance.conftest import Databases
from tests.governance.ledger.measuring import delayed, measured
from tests.governance.ledger.places import NEVER, R, denial
from tests.support import ON_POSTGRESQL, in_threads

SERVER = pytest.mark.parametrize("dialect", [ON_POSTGRESQL], indirect=True)


@pytest.fixture
def ledger(store: Store) -> Iterator[SqlLedger]:
    with SqlLedger(store, interval=NEVER) as made:
        yield made


def test_threads_that_refuse_at_once_lose_no_denial(ledger: SqlLedger) -> None:
    def refuse(who: int) -> None:
        for number in range(10):
            ledger.denied(denial(activity=f"{who}", field=f"{number // 2}"), observed=False)

    in_threads(functools.partial(refuse, who) for who in range(8))
    verdict = ledger.verify()
    assert (verdict.entries, sum(verdict.head.repeated.values())) == (40, 40)


@SERVER
def test_the_time_of_an_entry_is_the_servers(store: Store, ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3650)
    monkeypatch.setattr(type(ledger._clock), "read", lambda _: ahead)
    ledger.append("sweep", {})
    monkeypatch.undo()
    ledger.append("sweep", {})
    first, second = ledger.entries()
    assert abs((second.moment - first.moment).total_seconds()) < 600
    assert abs((second.moment - datetime.datetime.now(datetime.UTC)).total_seconds()) < 600


@SERVER
@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_no_level_of_isolation_that_a_database_is_set_to_loses_a_denial(
    store_url: str, postgresql: Databases, level: str
) -> None:
    name = store_url.rpartition("/")[2].partition("?")[0]
    with postgresql.admin() as admin:
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")
    with Store.open(store_url, timeout=60) as store:
        ledgers = [SqlLedger(store, interval=NEVER) for _ in range(4)]

        def write(ledger: SqlLedger) -> None:
            for number in range(15):
                ledger.append("sweep", {"number": number})

        in_threads(functools.partial(write, ledger) for ledger in ledgers)
        assert ledgers[0].verify().entries == 60


@SERVER
def test_what_was_told_as_recorded_survives_a_crash_though_commits_are_not_waited_for(
    store_url: str, postgresql: Databases
) -> None:
    name = store_url.rpartition("/")[2].partition("?")[0]
    with postgresql.admin() as admin:
        admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        admin.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        admin.execute("SELECT pg_reload_conf()")
    try:
        with Store.open(store_url, timeout=60) as store:
            ledger = SqlLedger(store, interval=NEVER)
            told = 0
            for number in range(30):
                ledger.denied(denial(field=f"{number // 2}"), observed=False)
                told += 1
            with store.writing() as connection:
                ledger.append_in(connection, "sweep", {})
            with postgresql.stopped():
                pass
            verdict = ledger.verify()
            assert (verdict.entries - 1) + sum(verdict.head.repeated.values()) == told
    finally:
        with postgresql.admin() as admin:
            admin.execute("ALTER SYSTEM RESET wal_writer_delay")
            admin.execute("SELECT pg_reload_conf()")


FROZEN = """
import os, sys
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.store import Store
from tests.governance.ledger.places import denial
ledger = SqlLedger(Store.open(sys.argv[1], timeout=60), interval=0.01)  # the server ends nothing meanwhile
first = denial(activity="frozen")
print("ready", flush=True)
number = 0
while True:
    ledger.denied(type(first)(first.decision, activity="frozen", field=f"{number}"), observed=False)
    number += 1
"""


@SERVER
def test_a_process_that_is_frozen_while_it_writes_stops_nobody(store_url: str, store: Store) -> None:
    with SqlLedger(store, interval=NEVER) as ledger:
        for round_ in range(3):
            frozen = subprocess.Popen([sys.executable, "-c", FROZEN, store_url], stdout=subprocess.PIPE)
            assert frozen.stdout is not None
            frozen.stdout.readline()
            time.sleep(0.05 * round_)
            os.kill(frozen.pid, signal.SIGSTOP)
            try:
                ledger.append("sweep", {"round": round_})  # which waits for no lock longer than five seconds
            finally:
                os.kill(frozen.pid, signal.SIGKILL)
                frozen.wait()
                frozen.stdout.close()
        ledger.verify()


@SERVER
def test_denials_a_second_on_a_slow_line(store_url: str) -> None:
    """Ten times as many as when the head was held for four round trips: the figure itself is measured apart."""
    with delayed(store_url, 0.005) as slow:
        _, told = measured(slow, 4, 1)
    with Store.open(store_url, timeout=60) as store:
        kept: dict[str, int] = {}
        for entry in SqlLedger(store, interval=NEVER).entries(["denial"]):
            kept[entry.body["activity"]] = kept.get(entry.body["activity"], 0) + 1
    assert kept == told


def forget_after(store: Store, seq: int) -> None:
    """Puts an older state of the ledger back."""
    with store.writing() as connection:
        connection.execute(sa.delete(ledger_table).where(ledger_table.c.seq > seq))
        end = connection.execute(sa.select(ledger_table.c.hash).where(ledger_table.c.seq == seq)).scalar() or "0" * 64
        connection.execute(sa.update(head_table).values(seq=seq, hash=end))


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_nothing_is_written_behind_a_chain_that_lacks_the_entry_seen_last(
    store: Store, ledger: SqlLedger, kept: int
) -> None:
    for number in range(3):
        ledger.append("sweep", {"number": number})
    forget_after(store, kept)
    assert ledger.verify().entries == kept
    for act in (lambda: ledger.append("sweep", {"number": 3}), lambda: ledger.denied(denial(), observed=False)):
        with pytest.raises(LedgerBroken, match="the entry that this process saw last is gone"):
            act()
    with pytest.raises(LedgerBroken, match="saw last"), store.writing() as connection:
        ledger.append_in(connection, "sweep", {"number": 3})
    with SqlLedger(store, interval=NEVER) as another:  # as a process that was started anew
        another.append("sweep", {"number": 3})
        with pytest.raises(LedgerBroken, match="the entry that this process saw last is gone"):
            ledger.append("sweep", {"number": 4})


def test_another_store_may_be_opened_in_its_place(empty_url: str, tmp_path: Any) -> None:
    store = Store.open(empty_url)
    ledger = SqlLedger(store, interval=NEVER)
    ledger.append("sweep", {})
    ledger.denied(denial(), observed=False)
    ledger.close()
    store.close()
    store.connect(f"sqlite:///{tmp_path}/another.db")
    ledger.resume()
    ledger.denied(denial(), observed=False)
    assert ledger.verify().entries == 1
    ledger.close()
    store.close()


@SERVER
def test_who_gets_in_the_way_until_the_end_is_reported(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failed(psycopg.errors.SerializationFailure):
        sqlstate = "40001"

    tried = []
    monkeypatch.setattr(ledger.store, "timeout", 0.05)

    @contextmanager
    def connected() -> Iterator[Any]:
        class Connection:
            dialect = ledger.store.engine.dialect

            def execute(self, *_: object) -> None:
                tried.append(1)
                raise sa.exc.OperationalError("", None, Failed("got in the way"))

        yield Connection()

    monkeypatch.setattr(ledger, "_open_connection", connected)
    with pytest.raises(StoreUnavailable, match="other transactions got in the way"):
        ledger.append("sweep", {})
    assert len(tried) > 1


def test_counts_that_were_in_the_head_are_kept(empty_url: str) -> None:
    engine = sa.create_engine(empty_url)
    with engine.begin() as connection:
        run_migrations(connection, ScriptDirectory.from_config(make_alembic_config()), "0001_tables")
        use = '{"activity":null,"count":7,"hour":"2026-05-02T09:00Z","purpose":"1.2(1)①","sources":["1.1(a)"]}'
        connection.execute(sa.text("UPDATE purposeguard_ledger_head SET open = :open"), {"open": f"[{use}]"})
    engine.dispose()
    with Store.open(empty_url, upgrade=True) as store, SqlLedger(store, interval=NEVER) as ledger:
        assert ledger.uses() == {("2026-05-02T09:00Z", None, "1.2(1)①", ("1.1(a)",)): 7}
        ledger._counters.add("it", "1.2(1)①", R, 1)
        ledger.flush()
        assert [entry.body["count"] for entry in ledger.entries(["use"])] == [7]
        ledger.verify()
