"""Code that interrupts a thread anywhere, as signal handlers and finalisers do, and uses the guard itself."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.support import printed_by

R = pg.Label(tm.Registration)


@pytest.mark.parametrize("ledger", ["None", "Tape()"])
def test_a_signal_handler_may_use_what_it_interrupts(ledger: str) -> None:
    # In a process of its own: what goes wrong here hangs.
    script = f"""
        import signal
        import purposeguard as pg
        from purposeguard.notices import trendmicro_jp as tm
        from tests.unit.samples import Tape

        ledger = {ledger}
        guard = pg.Guard(tm.NOTICE, ledger=ledger)
        fired = 0

        def handle(*_):
            global fired
            fired += 1
            use.check(tm.Registration)
            pg.Label(tm.Registration, tm.Contract)

        signal.signal(signal.SIGALRM, handle)
        with guard.purpose(tm.RenewalGuidance) as use:
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            done = 0
            while fired < 500:
                use.check(tm.Registration)
                pg.Label(tm.Registration, tm.Contract)
                done += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
        if ledger is not None:
            assert sum(count for *_, count in ledger.uses) == done + fired, (ledger.uses, done, fired)
        print("through")
    """
    assert printed_by(script, timeout=900) == ("through\n", "")


def test_a_finaliser_may_make_the_label_that_is_being_made() -> None:
    class Finaliser:
        def __init__(self) -> None:
            self.me: Any = self  # a circle, which the collector has to find

        def __del__(self) -> None:
            found.append(pg.Label(tm.Registration, tm.WebForm, tm.ProspectJob))

    found: list[pg.Label] = []
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(200):
            Finaliser()
            label = pg.Label(tm.Registration, tm.WebForm, tm.ProspectJob)
            assert [source.clause for source in label] == ["1.1(a)", "2.1(c)", "3.1(b)"]
            del label
    finally:
        gc.set_threshold(*before)
    assert found
