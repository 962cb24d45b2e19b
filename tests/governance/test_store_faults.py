"""What goes wrong with a store is said: what, where, and what to do. Nothing is lost, and no value is in a message."""

from __future__ import annotations

import logging
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import Governance, changes
from purposeguard.governance.engines import make_engine
from purposeguard.governance.ledger.sql import ROWS, SqlLedger
from purposeguard.governance.postgresql import BoundedConnection
from purposeguard.governance.restrictions import revocation
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.conftest import Databases
from tests.governance.support import PATIENCE, bound_by_file_modes, pooled


def said(refused: pytest.ExceptionInfo[BaseException]) -> str:
    """The message."""
    return str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:s3cret@host/database",
        "not a url, but with a s3cret",
        "postgresql://taro:pass@s3cret:w@host/customers",
        "postgresql://taro:pass@s3cret@host/customers",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///store.db?s3cret=1",
        "sqlite://s3cret/store.db",
    ],
)
def test_urls_of_anything_else_are_refused_without_their_passwords(url: str) -> None:
    with pytest.raises(ValueError, match=r"a store's URL is|a store on SQLite is a file") as refused:
        Store.open(url)
    assert "s3cret" not in said(refused)


def test_a_store_needs_some_time() -> None:
    with pytest.raises(ValueError, match="timeout=0"):
        Store.open(timeout=0)


def test_a_server_that_is_not_there_is_said_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as refused:
        Store.open(f"postgresql://taro:s3cret@/customers?host={tmp_path}", timeout=1)
    message = said(refused)
    assert f"the store `customers` on {tmp_path} cannot be used" in message
    assert "see that the database runs" in message
    assert "s3cret" not in message


def test_a_database_that_is_not_there_is_said(postgresql: Databases) -> None:
    with pytest.raises(StoreUnavailable) as refused:
        Store.open(postgresql.url("nowhere"))
    assert 'database "nowhere" does not exist' in said(refused)


def test_without_psycopg_it_is_said_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from purposeguard.governance.store import Store\n"
        "Store.open(sys.argv[1]).close()\n"
        "Store.open('postgresql://localhost/x')"
    )
    command = [sys.executable, "-c", program, f"sqlite:///{tmp_path}/store.db"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (
        "ModuleNotFoundError: a store on PostgreSQL needs psycopg: `pip install purposeguard[postgresql]`"
        in done.stderr
    )


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear customer, " * 1000, "utf-8")
    with pytest.raises(StoreUnavailable, match=r"file is not a database") as refused:
        Store.open(f"sqlite:///{path}")
    assert str(path) in said(refused)
    assert "help: name the file of a store" in said(refused)
    assert path.read_text("utf-8") == "Dear customer, " * 1000
    assert [one.name for one in tmp_path.iterdir()] == ["letter.txt"]


def test_connections_that_are_lost_before_they_are_used_are_said(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store.open(f"sqlite:///{path}")
    governance = Governance(store, notice=tm.NOTICE)
    guard = pg.Guard(tm.NOTICE, governance=governance)
    assert guard.allows(tm.Registration, tm.RenewalGuidance, subject=7)

    def replace_file(*_connection: object) -> None:
        other = tmp_path / "other.db"
        shutil.copy(path, other)
        other.replace(path)

    event.listen(store.engine, "connect", replace_file)
    replace_file()
    for act in (
        lambda: guard.allows(tm.Registration, tm.RenewalGuidance, subject=8),
        lambda: store.reading().__enter__(),
        lambda: store.writing().__enter__(),
    ):
        with pytest.raises(StoreUnavailable, match="its connections were closed before they could be used"):
            act()
    event.remove(store.engine, "connect", replace_file)
    assert guard.allows(tm.Registration, tm.RenewalGuidance, subject=8)
    with pytest.raises(sa.exc.InvalidRequestError, match="already"), store.writing() as connection:
        connection.begin()  # a mistake in the code, and no fault of the store
    store.close()


def test_a_database_of_something_else_is_shared(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        connection.execute("CREATE TABLE customer (id INTEGER)")
    Store.open(f"sqlite:///{tmp_path}/app.db").close()
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "customer" in names
    assert all(name.startswith(("purposeguard_", "sqlite_")) for name in names - {"customer"})


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"is a folder"):
        Store.open(f"sqlite:///{tmp_path}")
    with pytest.raises(StoreUnavailable, match=r"there is no such folder"):
        Store.open(f"sqlite:///{tmp_path}/missing/store.db")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Path]:
    """A folder with a store; this process may write neither."""
    Store.open(f"sqlite:///{tmp_path}/store.db").close()
    (tmp_path / "store.db").chmod(0o444)
    tmp_path.chmod(0o555)
    with bound_by_file_modes():
        yield tmp_path
    tmp_path.chmod(0o755)


def test_a_file_that_may_not_be_written_is_said(unprivileged: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"readonly database|unable to open") as refused:
        Store.open(f"sqlite:///{unprivileged}/store.db")
    assert "this process" in said(refused)
    with pytest.raises(StoreUnavailable, match=r"unable to open database file"):
        Store.open(f"sqlite:///{unprivileged}/other.db")


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/store.db", timeout=0.2) as opened:
        yield opened


def _restrict_many(subjects: Subjects) -> None:
    with subjects.store.writing() as connection:
        for number in range(1000):
            subjects.restrict(number, reference="x" * 1000, within=connection)


def test_a_full_disk_is_said_and_nothing_is_lost(sqlite_store: Store) -> None:
    subjects = Subjects(sqlite_store, tm.NOTICE)
    subjects.restrict(7)

    @event.listens_for(sqlite_store.engine, "begin")
    def no_more_pages(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # SQLite takes the number that there are

    with pytest.raises(StoreUnavailable, match="full") as refused:
        _restrict_many(subjects)
    assert "SQLITE_FULL" in said(refused)
    assert "free some space" in said(refused)
    event.remove(sqlite_store.engine, "begin", no_more_pages)
    assert [subjects.preferences(number).all_suspended for number in (0, 7, 999)] == [False, True, False]
    sqlite_store.engine.dispose()
    assert subjects.restrict(8).id == 2


def test_a_file_that_is_held_by_another_is_waited_for_and_then_said(sqlite_store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match=r"another process holds it"), sqlite_store.writing():
            pass
        with sqlite_store.reading() as connection:
            assert changes.latest_change(connection) == 0  # who only reads does not wait for who writes
    with sqlite_store.writing() as connection:
        assert changes.record_changes(connection, ["7"]) == 1


def test_a_new_file_that_another_holds_is_waited_for_while_it_is_opened(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE customer (id INTEGER)")
        other.execute("BEGIN IMMEDIATE")  # SQLite itself does not wait for this one when the journal mode changes.
        with pytest.raises(StoreUnavailable, match="another process holds it"):
            Store.open(f"sqlite:///{tmp_path}/new.db", timeout=0.1)
        threading.Timer(0.3, other.rollback).start()
        with Store.open(f"sqlite:///{tmp_path}/new.db", timeout=PATIENCE) as store, store.reading() as connection:
            assert changes.latest_change(connection) == 0


def test_a_file_that_is_moved_away_is_missed(sqlite_store: Store, tmp_path: Path) -> None:
    subjects = Subjects(sqlite_store, tm.NOTICE)
    subjects.restrict(7)
    path = tmp_path / "store.db"
    path.rename(tmp_path / "away.db")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"unable to open database file"):
            subjects.restrict(8)
    assert not path.exists()
    (tmp_path / "away.db").rename(path)
    assert subjects.preferences(7).all_suspended
    assert not subjects.preferences(8).all_suspended


def test_a_file_that_takes_the_place_of_another_is_seen(sqlite_store: Store, tmp_path: Path) -> None:
    subjects = Subjects(sqlite_store, tm.NOTICE)
    subjects.restrict(7)
    before = sqlite_store.interruptions
    (tmp_path / "away").mkdir()
    for file in list(tmp_path.glob("store.db*")):
        file.rename(tmp_path / "away" / file.name)
    Store.open(f"sqlite:///{tmp_path}/store.db").close()
    assert not subjects.preferences(7).all_suspended
    assert sqlite_store.interruptions > before
    for file in list((tmp_path / "away").iterdir()):
        file.replace(tmp_path / file.name)
    assert subjects.preferences(7).all_suspended


def test_no_row_is_quoted_where_the_database_refuses_one(store: Store) -> None:
    made = Subjects(store, tm.NOTICE).restrict("taro@example.com")
    row = {"declaration": made.id, "asked_by": "subject", "reference": "Hanako"}
    row |= {"asked_at": made.at, "recorded_at": made.at}
    with pytest.raises(StoreUnavailable) as refused, store.writing() as connection:
        connection.execute(sa.insert(revocation), [row, row])
    error: BaseException | None = refused.value
    assert "unique constraint" in said(refused).casefold()
    assert "help: nothing was changed" in said(refused)
    while error is not None:
        assert "Hanako" not in f"{error} {error!r} {error.args}"
        assert f"({made.id})" not in str(error)
        error = error.__cause__ or error.__context__


def test_no_row_is_logged_for_whoever_debugs_other_databases(store_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "sqlalchemy"), Store.open(store_url) as store:
        subjects = Subjects(store, tm.NOTICE)
        subjects.restrict("taro@example.com", reference="Hanako")
        assert subjects.of("taro@example.com").restrictions
    assert "FROM purposeguard_declaration" in caplog.text  # what is asked may be known
    assert "taro" not in caplog.text
    assert "Hanako" not in caplog.text


def test_a_lock_that_another_holds_is_waited_for_and_then_said(server_url: str) -> None:
    with Store.open(server_url, timeout=PATIENCE) as one, Store.open(server_url, timeout=PATIENCE) as other:

        def record_impatiently() -> None:
            with one.writing() as connection:
                assert connection.execute(sa.text("SHOW lock_timeout")).scalar_one() == "1min"
                connection.execute(sa.text("SET LOCAL lock_timeout = 300"))
                changes.record_changes(connection, ["8"])

        with other.writing() as holding:
            changes.record_changes(holding, ["7"])
            with pytest.raises(StoreUnavailable) as refused:
                record_impatiently()
            assert "due to lock timeout" in said(refused)
        with one.writing() as connection:
            assert changes.record_changes(connection, ["8"]) == 2


def test_a_server_that_falls_silent_is_not_waited_for(server_url: str) -> None:
    with Store.open(server_url, timeout=PATIENCE) as store:

        def ask_impatiently() -> None:
            with store.reading() as connection:
                driver = connection.connection.driver_connection
                assert isinstance(driver, BoundedConnection)
                assert driver.patience == PATIENCE + 1
                driver.patience = 0.5
                connection.execute(sa.text("SELECT pg_sleep(30)"))

        with pytest.raises(StoreUnavailable) as refused:
            ask_impatiently()
        assert re.search(r"the server has not answered for \d+\.\d s", said(refused))
        with store.reading() as connection:
            assert changes.latest_change(connection) == 0


def test_no_address_of_a_silent_server_is_waited_for_longer_than_the_timeout(postgresql: Databases) -> None:
    url = make_url(postgresql.url(postgresql.template))
    thrice = url.update_query_dict({"host": [str(url.query["host"])] * 3})
    engine, _ = make_engine(thrice, 0.5)
    with postgresql.frozen():
        began = time.monotonic()
        with pytest.raises(sa.exc.OperationalError, match="has not answered"):
            engine.connect()
        assert time.monotonic() - began < 5  # psycopg itself waits for two seconds and more, three times


def test_a_server_that_was_started_again_is_found_again(postgresql: Databases, server_url: str) -> None:
    with Store.open(server_url) as store:
        subjects = Subjects(store, tm.NOTICE)
        subjects.restrict(7)
        before = store.interruptions
        with postgresql.stopped():
            with pytest.raises(StoreUnavailable, match=r"cannot be used"):
                subjects.preferences(7)
            with pytest.raises(StoreUnavailable, match=r"cannot be used"):
                subjects.restrict(7, kind="erasure")
        assert subjects.preferences(7).all_suspended
        assert not subjects.preferences(7).erased
        assert store.interruptions > before


def test_settings_of_the_database_change_no_promise(postgresql: Databases, database: str) -> None:
    with postgresql.admin() as connection:
        for setting in ("synchronous_commit = off", "default_transaction_isolation = serializable"):
            connection.execute(f"ALTER DATABASE {database} SET {setting}")
    with Store.open(postgresql.url(database)) as store, store.writing() as writing:
        settings = [writing.execute(sa.text(f"SHOW {setting}")).scalar_one() for setting in SETTINGS]
    assert settings == ["on", "read committed", "5s", "2500ms"]


SETTINGS = ("synchronous_commit", "transaction_isolation", "lock_timeout", "idle_in_transaction_session_timeout")

HOLD = """
import sys
from purposeguard.governance import changes
from purposeguard.governance.store import Store
with Store.open(sys.argv[1]) as store, store.writing() as connection:
    changes.record_changes(connection, ["1"])
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_frozen_process_stops_nobody_else(server_url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, server_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as frozen:
        assert frozen.stdout
        assert frozen.stdout.readline() == "held\n"
        frozen.send_signal(signal.SIGSTOP)
        with (
            Store.open(server_url, timeout=60) as store,
            store.writing() as connection,
        ):  # the server ends the other's sooner
            assert changes.record_changes(connection, ["2"]) == 1
        frozen.kill()


def test_who_reads_slowly_is_not_cut_off(server_url: str) -> None:
    limits: list[str] = []
    with Store.open(server_url, timeout=PATIENCE) as store, SqlLedger(store) as ledger:
        with store.writing() as connection:
            for number in range(2 * ROWS):  # more than one page
                ledger.append_in(connection, "sweep", {"number": number})

        @event.listens_for(store.engine, "begin")
        def note(connection: sa.Connection) -> None:
            limits.append(connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one())

        assert sum(1 for _ in ledger.entries()) == 2 * ROWS
        assert set(limits) == {"0"}
        with store.writing():
            assert limits.pop() == "30s"


def test_a_pooler_may_give_each_transaction_another_session(postgresql: Databases, database: str) -> None:
    with pooled(postgresql, database) as url, Store.open(url, timeout=20) as store:
        subjects = Subjects(store, tm.NOTICE)
        for number in range(30):
            subjects.restrict(number)
            assert subjects.preferences(number).all_suspended
        with store.writing() as connection:
            assert connection.execute(sa.text("SHOW lock_timeout")).scalar_one() == "20s"


def test_the_files_of_a_store_are_for_their_owner_alone(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/a.db") as store, store.writing() as connection:
        changes.record_changes(connection, ["7"])
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("a.db", "a.db-shm", "a.db-wal"), "0o600")


CROWDED = """
import os, resource, sys
from contextlib import suppress
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import changes
from purposeguard.governance.store import Store

store = Store.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
with suppress(OSError):
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
for free in range(5):
    for connecting in (store.reading, store.writing):
        with suppress(StoreUnavailable), connecting() as connection:
            changes.latest_change(connection)
    os.close(taken.pop())
for each in taken:
    os.close(each)
with store.reading() as connection:
    print(changes.latest_change(connection))
"""


def test_too_many_open_files_are_said_and_got_over(store_url: str) -> None:
    run = subprocess.run([sys.executable, "-c", CROWDED, store_url], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("0\n", "")
