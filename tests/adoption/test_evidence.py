"""Evidence: what is counted, how counts of processes and days merge, and what happens if they cannot be written."""

import logging
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.adoption.evidence import Evidence
from purposeguard.adoption.evidence_store import EvidenceFile, EvidenceKey, EvidenceRow
from purposeguard.errors import EvidenceError
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.entry_point import EntryPoint
from tests.support import in_threads

NOTICE = f"trendmicro-jp@{tm.NOTICE.revision}"


class Customer(BaseModel):
    name: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


@pytest.fixture
def store(tmp_path: Path) -> EvidenceFile:
    return EvidenceFile(tmp_path / "evidence.sqlite", timeout=0.1)


@pytest.fixture
def evidence(store: EvidenceFile) -> Iterator[Evidence]:
    collector = Evidence(store, interval=3600)
    yield collector
    collector.close()


def show(rows: list[EvidenceRow]) -> list[tuple[str, ...]]:
    """Return the facts of each row that are not empty, and its count."""
    assert all(row.key.notice == NOTICE and row.first == row.last for row in rows)
    return sorted((*filter(None, row.key[1:]), str(row.times)) for row in rows)


def test_reads_and_denials_are_counted_by_entry_point_and_activity(store: EvidenceFile, evidence: Evidence) -> None:
    guard = pg.Guard(tm.NOTICE, mode="observe", observers=[evidence])

    @guard.access
    def load() -> Customer:
        return Customer(name="Alice", device="X1")

    with EntryPoint.route("GET", "/customers/{id}"):
        load()
        with guard.purpose(tm.RenewalGuidance, activity="remind"):
            load()
            load()
    assert evidence.flush()
    assert show(store.load()) == [
        ("GET /customers/{id}", "device", "1.1(b)", "read", "1"),
        ("GET /customers/{id}", "name", "1.1(a)", "read", "1"),
        ("GET /customers/{id}", "observed", "purpose-missing", "1"),
        ("GET /customers/{id}", "remind", "1.2(1)①", "device", "1.1(a) 1.1(b)", "observed", "grant", "2"),
        ("GET /customers/{id}", "remind", "1.2(1)①", "device", "1.1(b)", "read", "2"),
        ("GET /customers/{id}", "remind", "1.2(1)①", "name", "1.1(a)", "read", "2"),
    ]


def test_uses_without_a_field_are_counted_by_their_sources(store: EvidenceFile, evidence: Evidence) -> None:
    guard = pg.Guard(tm.NOTICE, observers=[evidence])
    value = pg.Personal("Alice", tm.Registration)
    with EntryPoint.task("mail"), guard.purpose(tm.RenewalGuidance, activity="remind") as use:
        assert use.open(value) == use.open(value) == "Alice"
    guard.check(tm.Registration, tm.RenewalGuidance)
    with pytest.raises(pg.ChannelViolation):
        guard.check("2.1", "2.2③", channel="phone")
    evidence.flush()
    assert show(store.load()) == [
        ("1.2(1)①", "1.1(a)", "read", "1"),
        ("2.2③", "phone", "2.1", "denied", "channel", "1"),
        ("task mail", "remind", "1.2(1)①", "1.1(a)", "read", "2"),
    ]


def test_what_was_not_analyzed_is_counted_for_each_field(store: EvidenceFile, evidence: Evidence) -> None:
    guard = pg.Guard(tm.NOTICE, mode="observe", observers=[evidence])
    error = pg.UnlabelledData("no tags")
    label = pg.Label(tm.Registration)
    guard.engine.refuse_unresolved(error, "select from users", (("users.name", label), ("users.mail", label)))
    guard.engine.refuse_unresolved(error, "pragma")
    evidence.flush()
    assert show(store.load()) == [
        ("unresolved", "pragma: UnlabelledData", "1"),
        ("users.mail", "1.1(a)", "unresolved", "select from users: UnlabelledData", "1"),
        ("users.name", "1.1(a)", "unresolved", "select from users: UnlabelledData", "1"),
    ]


def test_counts_of_several_notices_name_their_notice(store: EvidenceFile, evidence: Evidence) -> None:
    other = pg.Notice.parse({**tm.NOTICE.dump(), "id": "other"})
    guard = pg.Guard(pg.Notices(tm.NOTICE, other), mode="observe", observers=[evidence])

    @guard.access(tm.Registration)
    def load() -> str:
        return "Alice"

    load()
    evidence.flush()
    reads = [row.key for row in store.load() if row.key.outcome == "read"]
    assert [(key.notice, key.sources) for key in reads] == [
        (f"{NOTICE} other@{other.revision}", "trendmicro-jp:1.1(a)")
    ]


def test_a_replaced_notice_is_named_from_then_on(store: EvidenceFile, evidence: Evidence) -> None:
    guard = pg.Guard(tm.NOTICE, observers=[evidence])
    guard.check(tm.Registration, tm.RenewalGuidance)
    later = pg.Notice.parse({**tm.NOTICE.dump(), "revision": "2026-04-01"})
    guard.replace(later)
    guard.check("1.1(a)", "1.2(1)①")
    evidence.flush()
    assert {row.key.notice for row in store.load()} == {NOTICE, "trendmicro-jp@2026-04-01"}


def test_reads_are_counted_under_the_revision_in_force(store: EvidenceFile, evidence: Evidence) -> None:
    guard = pg.Guard(tm.NOTICE, mode="observe", observers=[evidence])

    @guard.access
    def load() -> Customer:
        return Customer(name="Alice", device="X1")

    load()
    guard.replace(pg.Notice.parse({**tm.NOTICE.dump(), "revision": "2026-04-01"}))
    load()
    evidence.flush()
    reads = [row for row in store.load() if row.key.outcome == "read" and row.key.field == "name"]
    assert sorted((row.key.notice, row.times) for row in reads) == [(NOTICE, 1), ("trendmicro-jp@2026-04-01", 1)]


COUNT_IN_A_CHILD = """
import sys
import purposeguard as pg
from purposeguard.adoption.evidence import Evidence
from purposeguard.adoption.evidence_store import EvidenceFile
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE, observers=[Evidence(EvidenceFile(sys.argv[1]))])
for _ in range(100):
    guard.check(tm.Registration, tm.RenewalGuidance)
"""


def test_counts_of_several_processes_and_threads_merge(store: EvidenceFile, evidence: Evidence) -> None:
    guard = pg.Guard(tm.NOTICE, observers=[evidence])
    command = [sys.executable, "-c", COUNT_IN_A_CHILD, str(store.path)]
    children = [subprocess.Popen(command) for _ in range(2)]

    def count() -> None:
        for _ in range(1000):
            guard.check(tm.Registration, tm.RenewalGuidance)

    in_threads([count] * 4)
    assert [child.wait() for child in children] == [0, 0]
    evidence._store = EvidenceFile(store.path)
    assert evidence.flush()
    assert show(store.load()) == [("1.2(1)①", "1.1(a)", "read", "4200")]


def test_a_forked_child_does_not_write_the_counts_of_its_parent(store: EvidenceFile, evidence: Evidence) -> None:
    guard = pg.Guard(tm.NOTICE, observers=[evidence])
    guard.check(tm.Registration, tm.RenewalGuidance)
    child = os.fork()
    if child == 0:
        guard.check(tm.Registration, tm.RenewalGuidance)
        os._exit(0 if evidence.flush() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert [row.times for row in store.load()] == [1]
    evidence.flush()
    assert [row.times for row in store.load()] == [2]


def test_a_child_of_multiprocessing_writes_its_counts_at_its_end(store: EvidenceFile) -> None:
    child = multiprocessing.get_context("fork").Process(target=check_once, args=(store.path,))
    child.start()
    child.join()
    assert [row.times for row in store.load()] == [1]


def check_once(path: Path) -> None:
    evidence = Evidence(EvidenceFile(path), interval=3600)
    pg.Guard(tm.NOTICE, observers=[evidence]).check(tm.Registration, tm.RenewalGuidance)


def test_counts_are_written_at_the_end_if_no_thread_can_be_started(
    store: EvidenceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    evidence = Evidence(store, interval=3600)
    pg.Guard(tm.NOTICE, observers=[evidence]).check(tm.Registration, tm.RenewalGuidance)
    evidence.close()
    assert [row.times for row in store.load()] == [1]


def test_the_thread_writes_while_the_application_runs(store: EvidenceFile) -> None:
    evidence = Evidence(store, interval=0.01)
    guard = pg.Guard(tm.NOTICE, observers=[evidence])
    guard.check(tm.Registration, tm.RenewalGuidance)
    for _ in range(1000):
        if store.path.is_file() and store.load():
            break
        threading.Event().wait(0.01)
    assert [row.times for row in store.load()] == [1]
    evidence.close()


def test_counts_wait_while_the_file_is_locked(
    store: EvidenceFile, evidence: Evidence, caplog: pytest.LogCaptureFixture
) -> None:
    guard = pg.Guard(tm.NOTICE, observers=[evidence])
    guard.check(tm.Registration, tm.RenewalGuidance)
    assert evidence.flush()
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    guard.check(tm.Registration, tm.RenewalGuidance)
    assert not evidence.flush()
    assert not evidence.flush()
    other.execute("ROLLBACK")
    other.close()
    assert evidence.flush()
    assert [row.times for row in store.load()] == [2]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "evidence cannot be written now, it is kept and written later"
    ]


def test_counting_stops_when_too_many_counters_wait(store: EvidenceFile, caplog: pytest.LogCaptureFixture) -> None:
    evidence = Evidence(store, interval=3600, max_waiting=3)
    guard = pg.Guard(tm.NOTICE, observers=[evidence])
    with caplog.at_level(logging.WARNING):
        for number in range(10):
            with EntryPoint.job(str(number)):
                guard.check(tm.Registration, tm.RenewalGuidance)
    assert [record.getMessage() for record in caplog.records] == [
        "evidence is not collected any more: 3 counters wait for their store"
    ]
    evidence.close()
    assert len(store.load()) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"This is no database at all, although it is long enough to be one. " * 20, "is damaged: move it away"),
        (None, "there is no evidence yet"),
    ],
)
def test_files_that_are_no_evidence_are_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "evidence.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EvidenceError, match=message):
        EvidenceFile(path).load()


def test_another_database_is_neither_read_nor_written(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE users (id)")
    other.close()
    for use in (EvidenceFile(path).load, lambda: EvidenceFile(path).add({EvidenceKey(): 1})):
        with pytest.raises(EvidenceError, match="contains no evidence"):
            use()


def test_evidence_in_a_folder_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="unable to open database file; free the disk, let other processes end"):
        EvidenceFile(tmp_path / "nowhere" / "evidence.sqlite").add({EvidenceKey(): 1})


def test_no_value_reaches_the_file(store: EvidenceFile, evidence: Evidence) -> None:
    guard = pg.Guard(tm.NOTICE, mode="observe", observers=[evidence])

    @guard.access
    def load(name: str) -> Customer:
        return Customer(name=name, device=name)

    with EntryPoint.route("GET", "/customers/{name}"):
        load("Alice")
    evidence.flush()
    content = store.path.read_bytes()
    assert b"/customers/{name}" in content
    assert b"Alice" not in content
