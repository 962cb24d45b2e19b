"""Starts processes that use data under a ledger, kills them at random moments, and says what the ledger has of it.

A process of its own, so that what it forks is not the tests'. `python -m tests.governance.ledger.killing TARGET ROUNDS
LONGEST` prints one JSON object a victim; `LONGEST` is how many seconds one lives at most.
"""

from __future__ import annotations

import collections
import itertools
import json
import os
import random
import select
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import Any, NoReturn

import purposeguard as pg
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.ledger.chain import Counts
from purposeguard.governance.transfers import Provisions
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.ledger.places import PROVISION, Place, R
from tests.governance.support import START

VICTIMS = 2
"""That write at the same time."""

HANDS = 4
"""Threads of each process that hand data over."""

WRITTEN = 25
"""Entries of each process that is left alone."""


def live(place: Place, name: str, report: int) -> NoReturn:
    """Uses data, is refused, and hands data over, until it is killed; reports each step that it has seen done.

    `d`: denied, and told so. `f N`: so many uses are on record. `u N T`: so many were made by this time. `h N`: that
    hand-over is on record.
    """
    ledger = place.open(interval=0.5)
    tell_of_flushes(ledger, report)
    provisions = Provisions(place.store, ledger=ledger)
    for _ in range(HANDS):
        threading.Thread(target=hand_over, args=(provisions, name, report), daemon=True).start()
    guard = pg.Guard(tm.NOTICE, ledger=ledger)
    allowed = pg.Personal("name", tm.Registration)
    refused: pg.Personal[str, Any] = pg.Personal("device", tm.ProductData)
    used = 0
    with guard.purpose(tm.RenewalGuidance, activity=name) as use:
        os.write(report, b"ready\n")
        while True:
            for _ in range(50):
                use.open(allowed)
                used += 1
            os.write(report, f"u {used} {time.monotonic()}\n".encode())
            try:
                use.open(refused)
            except pg.PurposeViolation:
                os.write(report, b"d\n")
            time.sleep(0.002)


def hand_over(provisions: Provisions, name: str, report: int) -> NoReturn:
    """Records hand-overs in one of several threads, whose transactions are the same then."""
    while True:
        number = provisions.record(replace(PROVISION, activity=name))
        os.write(report, f"h {number}\n".encode())
        time.sleep(0.03)


def tell_of_flushes(ledger: SqlLedger, report: int) -> None:
    write = ledger._counters._write
    kept = 0

    def written(counts: Counts, last: bool) -> None:
        nonlocal kept
        write(counts, last)
        kept += sum(counts.values())
        os.write(report, f"f {kept}\n".encode())

    ledger._counters._write = written


def write(place: Place, who: int) -> NoReturn:
    """Writes a few entries and counts, and ends in good order."""
    ledger = place.open(interval=3600)
    for number in range(WRITTEN):
        ledger.append("sweep", {"who": who, "number": number})
        ledger._counters.add(f"writer {who}", "1.2(1)①", R, 1)
        ledger.flush()
    ledger.close()
    os._exit(0)


def at_the_same_time(place: Place, ledger: SqlLedger) -> None:
    """Two processes write, and everything they wrote is there, in the order in which each of them wrote it."""
    pids = []
    for who in range(2):
        pids.append(os.fork())
        if not pids[-1]:
            write(place, who)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
    found = [entry.body for entry in ledger.entries(["sweep"]) if "who" in entry.body]
    for who in range(2):
        assert [body["number"] for body in found if body["who"] == who] == list(range(WRITTEN))
    uses = {key.activity: count for key, count in ledger.uses().items()}
    assert uses["writer 0"] == uses["writer 1"] == WRITTEN
    ledger.verify()


class Victim:
    """A process that will be killed."""

    def __init__(self, place: Place, name: str) -> None:
        self.name = name
        self._reports, report = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reports)
            try:
                live(place, name, report)
            finally:
                os._exit(1)
        os.close(report)
        self.told = b""

    def listen(self, seconds: float) -> None:
        """Reads what it reports, for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self._reports], [], [], left)[0]:
                told = os.read(self._reports, 1 << 16)
                if not told:
                    raise RuntimeError(f"{self.name} has ended by itself: {os.waitpid(self.pid, 0)}")
                self.told += told

    def kill(self) -> dict[str, Any]:
        """Kills it; says what it had reported."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        while more := os.read(self._reports, 1 << 16):
            self.told += more
        os.close(self._reports)
        lines = [line.split() for line in self.told.decode().splitlines()]
        uses = [(int(line[1]), float(line[2])) for line in lines if line[0] == "u"] or [(0, 0.0)]
        used, last = uses[-1]  # it may have waited for the other one since, and used nothing meanwhile
        return {
            "name": self.name,
            "denied": lines.count(["d"]),
            "handed": [int(line[1]) for line in lines if line[0] == "h"],
            "flushed": max([int(line[1]) for line in lines if line[0] == "f"], default=0),
            "used": used,
            "used_a_second_before": max([count for count, at in uses if at < last - 1], default=0),
        }


def main(target: str, rounds: int, longest: float) -> None:
    chance = random.Random(f"{rounds}")
    with Place(target) as place:
        ledger = place.open()
        ledger.append("sweep", {})
        entries = 0
        for number in range(rounds):
            victims = [Victim(place, f"{number}.{each}") for each in range(VICTIMS)]
            for victim in victims:
                while b"ready" not in victim.told:  # killing what has not begun shows nothing
                    victim.listen(0.01)
            told = []
            for victim in victims:
                victim.listen(longest * chance.random() ** 2)
                told.append(victim.kill())
            verdict = ledger.verify()
            assert verdict.entries > entries or not sum(one["denied"] for one in told)
            entries = verdict.entries
            with ledger.reading() as reading:
                denied = collections.Counter(str(entry.body["activity"]) for entry in reading.entries(["denial"]))
                for body, count in reading.head.repeated.items():
                    denied[json.loads(body)["activity"]] += count
            handed: dict[str, list[int]] = {}
            for entry in ledger.entries(["provision"]):
                handed.setdefault(entry.body["activity"], []).append(entry.body["provision"])
            records = Provisions(place.store).since(START)
            assert sorted(record.number for record in records) == sorted(itertools.chain(*handed.values()))
            uses = collections.Counter[str]()
            for key, count in ledger.uses().items():
                uses[str(key.activity)] += count
            for one in told:
                one |= {"kept_denials": denied[one["name"]], "kept_uses": uses[one["name"]]}
                one |= {"kept_hand_overs": handed.get(one["name"], [])}
                sys.stdout.write(f"{json.dumps(one)}\n")
        at_the_same_time(place, ledger)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
