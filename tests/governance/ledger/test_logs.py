"""Ledgers in a log, and several at once."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.governance.ledger import JsonLinesLedger, Ledgers, LoggingLedger
from purposeguard.governance.ledger.chain import Entry
from purposeguard.governance.ledger.reading import Chain, Placed, followed
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.ledger import places
from tests.governance.ledger.places import DIGEST, NEVER, D, R, Time, denial


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "purposeguard.ledger"):
        yield caplog


# ---- a log ----------------------------------------------------------------------------------------------------------


def entries(logged: pytest.LogCaptureFixture) -> list[Entry]:
    return [Entry(**vars(record)["entry"]) for record in logged.records]


def test_each_entry_is_a_record(logged: pytest.LogCaptureFixture) -> None:
    with LoggingLedger(interval=NEVER, clock=Time()) as ledger:
        ledger.denied(denial(activity="mail"), observed=False)
        ledger.reclassified(places.RECLASSIFICATION, D, None)
        ledger.excepted(places.EXCEPTION, R, "7", 1)
        ledger.provided(places.PROVISION)
        ledger.counter("mail", "1.2(1)①", R)()
    assert [record.levelno for record in logged.records] == [logging.WARNING, *[logging.INFO] * 4]
    assert logged.records[1].getMessage().startswith('2 reclassification {"activity":null,"approver":"privacy",')
    found = entries(logged)
    assert [entry.kind for entry in found] == ["denial", "reclassification", "exception", "provision", "use"]
    assert found[2].body["subject"] is None  # there is no secret to name it with
    assert (found[3].body["count"], "subjects" in found[3].body) == (2, False)
    assert found[4].body["count"] == 1
    assert list(followed([Placed("", entry) for entry in found], Chain())) == found


def test_counts_are_logged_as_what_came_on_top(logged: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("purposeguard.ledger.other")
    with LoggingLedger(logger, interval=NEVER, clock=Time()) as ledger:
        for count in (3, 4):
            ledger.allowed("b", "1.2(1)①", R, count)
            ledger.allowed("a", "1.2(1)①", R, 1)
            ledger.flush()
    assert {record.name for record in logged.records} == {"purposeguard.ledger.other"}
    told = [(entry.body["activity"], entry.body["count"]) for entry in entries(logged)]
    assert told == [("a", 1), ("b", 3), ("a", 1), ("b", 4)]


def test_what_a_handler_raises_is_raised(logged: pytest.LogCaptureFixture) -> None:
    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise OSError("no space left")

    logger, handler = logging.getLogger("purposeguard.ledger.apart"), Broken()
    logger.addHandler(handler)
    try:
        with LoggingLedger(logger, interval=NEVER) as ledger:
            guard = pg.Guard(tm.NOTICE, ledger=ledger)
            with pytest.raises(OSError, match="no space left"):
                guard.check(tm.ProductData, tm.RenewalGuidance)
    finally:
        logger.removeHandler(handler)


def test_a_forked_process_begins_a_chain_of_its_own(logged: pytest.LogCaptureFixture) -> None:
    with LoggingLedger(interval=NEVER) as ledger:
        ledger.append("sweep", {})
        ledger._pid = os.getppid()  # as it is in a child
        ledger.append("sweep", {})
    assert [entry.seq for entry in entries(logged)] == [1, 1]


# ---- several --------------------------------------------------------------------------------------------------------


class Failing(LoggingLedger):
    """Fails while it is `down`."""

    down = False

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        if self.down:
            raise StoreUnavailable("no store")
        super().append(kind, body)

    def add(self, counts: Any, last: bool = False) -> None:
        if self.down:
            raise StoreUnavailable("no store")
        super().add(counts, last)


def test_each_of_several_is_told_everything(tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    kept = JsonLinesLedger(tmp_path / "ledger.jsonl", interval=NEVER, digest=lambda _: DIGEST)
    both = Ledgers(LoggingLedger(interval=NEVER), kept, interval=NEVER)
    guard = pg.Guard(tm.NOTICE, ledger=both)
    with guard.purpose(tm.RenewalGuidance, activity="mail") as use:
        for _ in range(3):
            use.open(pg.Personal("name", tm.Registration))
        with pytest.raises(pg.PurposeViolation):
            use.check(tm.ProductData)
    both.excepted(places.EXCEPTION, R, "7", 1)
    both.flush()
    assert [entry.kind for entry in kept.entries()] == ["denial", "exception"]
    assert [entry.kind for entry in entries(logged)] == ["denial", "exception", "use"]
    assert entries(logged)[1].body["subject"] == DIGEST
    assert list(kept.uses().values()) == [3]
    both.allowed("mail", "1.2(1)①", R, 4)
    both.close()
    assert [entry.body["count"] for entry in kept.entries(["use"])] == [7]
    assert [entry.body["count"] for entry in entries(logged) if entry.kind == "use"] == [3, 4]


def test_where_one_fails_the_others_are_told_and_the_error_is_raised(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    failing, kept = Failing(interval=NEVER), JsonLinesLedger(tmp_path / "ledger.jsonl", interval=NEVER)
    both = Ledgers(failing, kept, interval=NEVER)
    failing.down = True
    with pytest.raises(StoreUnavailable):
        both.denied(denial(), observed=False)
    both.allowed("mail", "1.2(1)①", R, 2)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            both.flush()
    assert [entry.kind for entry in kept.entries()] == ["denial"]
    assert list(kept.uses().values()) == [2]
    failing.down = False
    both.flush()
    both.close()
    assert [entry.body["count"] for entry in entries(logged) if entry.kind == "use"] == [2]
    assert [entry.body["count"] for entry in kept.entries(["use"])] == [2]


def test_counts_reach_each_in_the_background(tmp_path: Path) -> None:
    kept = JsonLinesLedger(tmp_path / "ledger.jsonl", interval=0.01)
    with Ledgers(kept, interval=0.01) as both, JsonLinesLedger(kept.path) as other:
        both.counter("mail", "1.2(1)①", R)()
        for _ in range(1000):
            if other.uses():
                break
            threading.Event().wait(0.01)
        assert list(other.uses().values()) == [1]


def test_one_that_was_closed_before_the_others_still_gets_its_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept, failing = JsonLinesLedger(tmp_path / "ledger.jsonl", interval=NEVER), Failing(interval=NEVER)
    both = Ledgers(kept, failing, interval=NEVER)
    both.allowed("mail", "1.2(1)①", R, 2)
    kept.close()
    failing.close()
    failing.down = True
    both.close()
    assert list(kept.uses().values()) == [2]
    assert "cannot be written; they are kept" in caplog.text
    assert "2 counted uses are lost" in caplog.text


def test_only_ledgers_of_this_package_are_told_together() -> None:
    for wrong in ((), (object(),)):
        with pytest.raises(TypeError, match="made of an SqlLedger, a JsonLinesLedger, a LoggingLedger"):
            Ledgers(*wrong)
