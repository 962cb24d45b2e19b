"""What a ledger is told of uses: nothing is lost, whichever thread counted and whatever the ledger raises."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.observer import Tally
from tests.unit.models import D, R
from tests.unit.samples import Tape


def test_what_is_counted_after_the_end_is_told_at_once() -> None:
    tape = Tape()
    tally = Tally(tape, "it")
    tally.add("1.2(1)①", {R: 1})
    tally.add("1.2(1)①", {R: 2, D: 1})
    assert tape.uses == []
    tally.tell()
    assert tape.uses == [("it", "1.2(1)①", R, 3), ("it", "1.2(1)①", D, 1)]
    tally.tell()
    tally.add("1.2(1)①", {D: 5})
    assert tape.uses[2:] == [("it", "1.2(1)①", D, 5)]


def test_a_use_that_ends_while_another_thread_opens_loses_no_count() -> None:
    tape = Tape()
    guard = pg.Guard(tm.NOTICE, ledger=tape)
    name = pg.Personal("name", tm.Registration)
    opened = 0

    def open_until_refused(use: pg.Use[Any], started: threading.Event) -> None:
        nonlocal opened
        while True:
            try:
                use.open(name)
            except pg.PurposeMissing:
                return
            opened += 1
            started.set()

    for _ in range(20):
        started = threading.Event()
        with guard.purpose(tm.RenewalGuidance, activity="it") as use:
            thread = threading.Thread(target=guard.carry(open_until_refused), args=(use, started))
            thread.start()
            started.wait(timeout=60)
        thread.join()
    # Denials are of the last round of each thread; all that was opened was told.
    assert opened == sum(count for _, _, _, count in tape.uses)


def test_a_ledger_that_fails_does_not_hide_why_an_activity_failed() -> None:
    class Down(Tape):
        def allowed(self, activity: str | None, purpose: str, label: pg.Label, count: int) -> None:
            raise OSError("disk full")

    guard = pg.Guard(tm.NOTICE, ledger=Down())

    @guard.purpose(tm.RenewalGuidance)
    def job() -> None:
        guard.current.check(tm.Registration)
        raise KeyError("the application's own")

    def block() -> None:
        with guard.purpose(tm.RenewalGuidance) as use:
            use.check(tm.Registration)
            raise KeyError("the application's own")

    for act in (job, block):
        with pytest.raises(OSError, match="disk full") as failed:
            act()
        assert isinstance(failed.value.__context__, KeyError)


def test_a_ledger_that_fails_at_one_is_told_of_the_rest() -> None:
    class Failing(Tape):
        def allowed(self, activity: str | None, purpose: str, label: pg.Label, count: int) -> None:
            if label is R:
                raise OSError("disk full")
            super().allowed(activity, purpose, label, count)

    tape = Failing()
    guard = pg.Guard(tm.NOTICE, ledger=tape)

    @guard.purpose(tm.ProductProvision, activity="it")
    def provide() -> None:
        for source in (tm.Registration, tm.ProductData):
            guard.current.check(source)

    with pytest.raises(OSError, match="disk full"):
        provide()
    assert tape.uses == [("it", "1.2(2)①", D, 1)]
    with pytest.raises(pg.PurposeMissing):
        guard.current  # noqa: B018
