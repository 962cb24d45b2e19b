"""What it costs to count a use: the same use with a ledger of governance and without one, side by side in one process.

Prints nanoseconds as JSON; in a process of its own, since ledgers have threads. The thread that writes the counts runs
all the while, so what it takes is in the figures.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import chain, starmap
from pathlib import Path
from typing import Any

import purposeguard as pg
from benchmarks.processes import (
    ALLOWS_OF,
    COUNT_ACCESS,
    COUNT_CHECK,
    COUNT_OPEN,
    COUNT_OPEN_ALL,
    COUNTED_ACTIVITY,
    COUNTED_DENIAL,
    OPEN_OF,
)
from benchmarks.timing import Case, Times, race
from purposeguard.governance import Governance
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.store import Store
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.observer import Ledger

BLOCKS = 60
WITHOUT, WITH = "no ledger", "SQLite"
USES = {COUNT_OPEN: "open", COUNT_ACCESS: "access", COUNT_OPEN_ALL: "open_all", COUNT_CHECK: "check"}


def cases(name: str, ledger: Ledger | None) -> list[Case]:
    """Return the uses, under a guard with this ledger."""
    guard = pg.Guard(tm.NOTICE, ledger=ledger)
    sealed = pg.Personal("value", tm.Registration)
    hundred = [sealed] * 100

    @guard.access(tm.Registration)
    def access() -> None:
        pass

    @guard.purpose(tm.RenewalGuidance)
    def activity() -> None:
        pass

    def ambient() -> AbstractContextManager[Any]:
        return guard.purpose(tm.RenewalGuidance, activity="ambient")

    def denial() -> None:
        with contextlib.suppress(pg.PurposeViolation):
            guard.check(tm.ProductData, tm.RenewalGuidance)

    with ambient() as use:  # the first time a label is asked for is the slow one
        access()
        assert use.open_all(hundred) == ["value"] * 100
    return [
        Case(f"open {name}", "use.open(sealed)", {"sealed": sealed}, ambient),
        Case(f"access {name}", "access()", {"access": access}, ambient),
        Case(f"open_all {name}", "use.open_all(hundred)", {"hundred": hundred}, ambient, of=100),
        Case(
            f"check {name}",
            "guard.check(Source, Purpose)",
            {"guard": guard, "Source": tm.Registration, "Purpose": tm.RenewalGuidance},
        ),
        Case(f"activity {name}", "activity()", {"activity": activity}),
        Case(f"denial {name}", "denial()", {"denial": denial}),
    ]


@contextlib.contextmanager
def open_named_uses() -> Iterator[list[Case]]:
    """Return a context manager with uses that name their subject.

    They are counted in the store that also holds the subject's requests.
    """
    with (
        tempfile.TemporaryDirectory(prefix="purposeguard-bench-") as folder,
        Governance(f"sqlite:///{folder}/store.db", notice=tm.NOTICE) as governance,
    ):
        guard = pg.Guard(tm.NOTICE, governance=governance)
        sealed = pg.Personal("value", tm.Registration)

        def ambient() -> AbstractContextManager[Any]:
            return guard.purpose(tm.RenewalGuidance, activity="ambient")

        with ambient() as use:
            assert use.open(sealed, subject=7) == "value"
        names = {"sealed": sealed, "label": sealed.label}
        yield [
            Case(OPEN_OF, "use.open(sealed, subject=7)", names, ambient),
            Case(ALLOWS_OF, "use.allows(label, subject=7)", names, ambient),
        ]


@contextlib.contextmanager
def ledgers() -> Iterator[dict[str, Ledger | None]]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="purposeguard-bench-")))
        store = stack.enter_context(Store.open(f"sqlite:///{folder}/store.db"))
        yield {WITHOUT: None, WITH: stack.enter_context(SqlLedger(store))}


def measure(blocks: int) -> Times:
    """Return the extra time of each use with a ledger."""
    with ledgers() as made:
        ledger_cases = chain.from_iterable(starmap(cases, made.items()))
        times = race(ledger_cases, blocks=blocks)
        with open_named_uses() as more:
            times = {**times, **race(more, blocks=blocks)}
    found = {row: times[f"{case} {WITH}"] - times[f"{case} {WITHOUT}"] for row, case in USES.items()}
    return {**found, COUNTED_ACTIVITY: times[f"activity {WITH}"], COUNTED_DENIAL: times[f"denial {WITH}"], **times}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else BLOCKS)))
