"""Clause 7 between processes: what is suspended in one is refused in another within a second."""

from __future__ import annotations

import contextlib
import functools
import statistics
import subprocess
import sys
from collections.abc import Iterator

import pytest

from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.support import last_allowed, outage

OTHER = """
import sys, time
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm

with Store.open(sys.argv[1], timeout=60) as store:
    subjects = Subjects(store, tm.NOTICE)
    for line in sys.stdin:
        what, subject = line.split()
        if what == "restrict":
            subjects.restrict(subject, "1.2(1)①")
        else:
            for one in subjects.of(subject).restrictions:
                if one.lifted is None:
                    subjects.lift(one)
        print(time.monotonic(), flush=True)
"""
"""Another process, which restricts and lifts as it is told, and says when it has done so by the machine's clock."""


class Other:
    def __init__(self, url: str) -> None:
        command = [sys.executable, "-X", "utf8", "-c", OTHER, url]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def told(self, what: str, subject: str) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(what, subject, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


@contextlib.contextmanager
def another(url: str) -> Iterator[Other]:
    other = Other(url)
    with other.process:
        yield other
        assert other.process.stdin is not None
        other.process.stdin.close()
        assert other.process.wait(120) == 0


def stops(cache: PreferenceCache, subject: str) -> bool:
    return cache.preferences(subject).stops("1.2(1)①")


def measured(store: Store, url: str, rounds: int) -> list[float]:
    """Seconds from a suspension in another process to the last check here that allows."""
    found = []
    with contextlib.closing(PreferenceCache(Subjects(store, tm.NOTICE))) as all_preferences, another(url) as other:
        for subject in (str(number % 7) for number in range(rounds)):
            assert not all_preferences.preferences(subject).stops("1.2(1)①")
            done = other.told("restrict", subject)
            last = last_allowed(functools.partial(stops, all_preferences, subject))
            found.append(max(0.0, last - done))
            other.told("lift", subject)
            all_preferences.poll_changes()
    return found


def test_clause_7_a_suspension_made_in_one_process_refuses_in_another_within_a_second(
    store: Store, store_url: str
) -> None:
    assert max(measured(store, store_url, 20)) < 1


@pytest.mark.deep
def test_clause_7_measured_a_thousand_times(store: Store, store_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(store, store_url, 1000)
    median, most = statistics.median(found) * 1000, max(found) * 1000
    with capsys.disabled():
        text = f"refused in another process after {median:.1f} ms (median), {most:.1f} ms at most"
        print(f"\n{store.dialect}: {text}")  # noqa: T201  # for whoever ran it
    assert most < 1000


def test_clause_7_both_processes_find_their_store_again(
    store: Store, store_url: str, request: pytest.FixtureRequest
) -> None:
    with (
        contextlib.closing(PreferenceCache(Subjects(store, tm.NOTICE))) as all_preferences,
        another(store_url) as other,
    ):
        assert not all_preferences.preferences("7").stops("1.2(1)①")
        other.told("restrict", "8")
        with outage(store, request):
            pass
        done = other.told("restrict", "7")
        assert last_allowed(functools.partial(stops, all_preferences, "7")) < done + 1
        assert all_preferences.preferences("8").stops("1.2(1)①")
