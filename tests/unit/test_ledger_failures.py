"""What a ledger cannot record does not happen, and no count is lost, whichever thread makes it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.observer import Tick
from tests.unit.samples import Tape


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
    assert opened == len(tape.each)


@pytest.mark.parametrize("failure", [OSError, KeyError, AttributeError, TypeError])
def test_what_a_tick_raises_refuses_the_use(failure: type[Exception]) -> None:
    class Full(Tape):
        full = False

        def counter(self, activity: str | None, purpose: str, label: pg.Label) -> Tick:
            def tick() -> None:
                if self.full:
                    raise failure("disk full")

            return tick

    ledger = Full()
    guard = pg.Guard(tm.NOTICE, ledger=ledger)
    name = pg.Personal("name", tm.Registration)
    ran = 0

    @guard.access(tm.Registration)
    def load() -> None:
        nonlocal ran
        ran += 1

    with guard.purpose(tm.RenewalGuidance) as use:
        ways = [
            lambda: use.open(name), lambda: use.open_all([name]), lambda: use.try_open(name, None),
            lambda: use.check("1.1a"), lambda: guard.check("1.1a", "1.2(1)①"), load,
        ]  # fmt: skip
        for way in ways:
            way()
        ledger.full = True
        for way in ways:
            with pytest.raises(failure, match="disk full"):
                way()
    assert ran == 1


@pytest.mark.parametrize("missing", ["denied", "counter", "reclassified"])
def test_a_ledger_that_could_not_record_is_refused(missing: str) -> None:
    methods = {name: getattr(Tape(), name) for name in ("denied", "counter", "reclassified") if name != missing}
    ledger: Any = type("Partial", (), methods)()
    with pytest.raises(TypeError, match=f"the ledger Partial cannot record all uses: it has no `{missing}`"):
        pg.Guard(tm.NOTICE, ledger=ledger)
