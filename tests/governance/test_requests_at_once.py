"""Clerks at the same request at once: one of them acts, the others are told; on both databases."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from purposeguard.errors import RequestError
from purposeguard.governance.store import Store
from purposeguard.policy.context import SubjectPreferences
from tests.governance.support import requests
from tests.support import in_threads

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def stores(store_url: str) -> Any:
    """Two, as two processes have them."""
    with Store.open(store_url, timeout=60) as one, Store.open(store_url, timeout=60) as other:
        yield one, other


def outcomes(jobs: Sequence[Callable[[], object]]) -> list[str]:
    """What came of each, all begun at once: `done`, or why not."""
    found: list[str] = []

    def run(job: Callable[[], object]) -> None:
        try:
            job()
            found.append("done")
        except RequestError as error:
            found.append(str(error))

    in_threads(partial(run, job) for job in jobs)
    return found


def test_of_clerks_who_fulfil_a_request_at_once_one_does(stores: Any) -> None:
    one, other = map(requests, stores)
    for number in range(6):
        asked = one.verify(one.open("suspension-of-use", subject=number), how="x", by="clerk")
        told = outcomes([partial(it.fulfil, asked.id, by="clerk") for it in (one, other, one, other)])
        assert told.count("done") == 1
        told.remove("done")
        why = f"request {asked.id} (suspension-of-use) cannot be fulfilled: it was fulfilled"
        assert all(why in each for each in told)
        assert one.subjects.preferences(number) == SubjectPreferences(all_suspended=True)
        assert len(one.subjects.of(number).restrictions) == 1
        assert [step.did for step in one.steps(asked)] == ["opened", "verified", "fulfilled"]


def test_of_different_answers_at_once_one_counts(stores: Any) -> None:
    one, other = map(requests, stores)
    seen: Counter[str] = Counter()
    for number in range(6):
        asked = one.verify(one.open("erasure", subject=number), how="x", by="clerk")
        fulfil, withdraw = partial(one.fulfil, asked.id, by="clerk"), partial(other.withdraw, asked.id, by="clerk")
        told = outcomes([fulfil, partial(other.refuse, asked.id, reason="x", by="clerk"), withdraw])
        assert told.count("done") == 1
        state = other.get(asked.id).state
        seen[state] += 1
        assert one.subjects.preferences(number) == SubjectPreferences(erased=state == "fulfilled")
        assert len(one.steps(asked)) == 3


def test_requests_and_restrictions_at_once_stand_in_nobody_s_way(stores: Any) -> None:
    one, other = (requests(store, suspend_while_open=True) for store in stores)

    def ask(it: Any, subject: str) -> None:
        for _ in range(5):
            asked = it.open("suspension-of-use", subject=subject)
            it.verify(asked, how="x", by="clerk")
            it.fulfil(asked, by="clerk")

    def restrict(it: Any, subject: str) -> None:
        for _ in range(10):
            it.subjects.lift(it.subjects.restrict(subject, kind="stop-of-provision"))

    asks = [partial(ask, it, "a") for it in (one, other)]
    jobs = [*asks, partial(restrict, one, "a"), partial(restrict, other, "b")]
    assert outcomes(jobs) == ["done"] * 4
    assert len(one.of("a")) == 10
    numbers = [asked.id for asked in one.of("a")]
    assert len(set(numbers)) == 10
    assert one.subjects.preferences("a") == SubjectPreferences(all_suspended=True)


WITHIN = """
import sys
from purposeguard.governance.requests import Requests
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm

with Store.open(sys.argv[1], timeout=60) as store:
    desk = Requests(Subjects(store, tm.NOTICE))
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        desk.fulfil(int(sys.argv[2]), by="clerk")
    except Exception as error:
        print(type(error).__name__, flush=True)
    else:
        print("done", flush=True)
"""


def test_of_two_processes_one_fulfils_a_request(store_url: str, store: Store) -> None:
    it = requests(store)
    asked = it.verify(it.open("erasure", subject=7), how="x", by="clerk")
    command = [sys.executable, "-c", WITHIN, store_url, str(asked.id)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        for _ in range(2)
    ]
    told: list[str] = []

    def end(process: subprocess.Popen[str]) -> None:
        told.append(process.communicate("\n")[0])

    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        in_threads(partial(end, process) for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert sorted(told) == ["RequestError\n", "done\n"]
    assert len(it.subjects.of(7).restrictions) == 1
