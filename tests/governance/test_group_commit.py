"""Group commit: threads that wait at the same time share a transaction, and every one of them learns how it went."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.governance.group_commit import MAX_EVENTS_PER_TRANSACTION, GroupCommit, _WaitingEvent
from tests.support import in_threads

PATIENCE = 60
"""Seconds, longer than any test waits for a thread."""


class Writing:
    """Keeps groups of numbers, each of which it writes when it is let go; `fails` may raise for a group."""

    def __init__(self, patience: float = PATIENCE, fails: Callable[[Sequence[int]], None] = lambda _: None) -> None:
        self.groups: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.going = threading.Semaphore(0)
        self._fails = fails
        self.commit: GroupCommit[int, str] = GroupCommit(self._write, lambda: patience)
        self.results: dict[int, str] = {}
        self.errors: dict[int, Exception] = {}
        self._threads: list[threading.Thread] = []

    def _write(self, events: Sequence[int]) -> list[str]:
        self.begun.release()
        assert self.going.acquire(timeout=PATIENCE)
        self._fails(events)
        self.groups.append(list(events))
        return [f"result {event}" for event in events]

    def start(self, *events: int) -> None:
        """Has threads write these events, which stand in the queue in this order when this returns."""
        for event in events:
            waiting = len(self.commit._waiting)
            self._threads.append(threading.Thread(target=self._run, args=(event,), daemon=True))
            self._threads[-1].start()
            if len(self._threads) == 1:
                assert self.begun.acquire(timeout=PATIENCE)
                continue
            while len(self.commit._waiting) == waiting:
                time.sleep(0.001)

    def _run(self, event: int) -> None:
        try:
            self.results[event] = self.commit.write(event)
        except Exception as error:
            self.errors[event] = error

    def finish(self, groups: int = 100) -> None:
        """Lets all groups be written, and waits for the threads."""
        self.going.release(groups)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_events_that_wait_at_the_same_time_are_written_together_in_their_order() -> None:
    writing = Writing()
    writing.start(*range(20))
    writing.finish()
    assert writing.groups == [[0], list(range(1, 20))]
    assert writing.results == {event: f"result {event}" for event in range(20)}


def test_the_first_that_came_too_late_leads_the_next_group() -> None:
    """All that came while a group was written are in the next one, though threads of the first have yet to wake up."""
    writing = Writing()
    writing.start(*range(5))
    for first in (5, 10, 15):
        writing.going.release()
        assert writing.begun.acquire(timeout=PATIENCE)
        writing.start(*range(first, first + 5))
    writing.finish()
    assert writing.groups == [[0], list(range(1, 5)), list(range(5, 10)), list(range(10, 15)), list(range(15, 20))]


def test_a_group_has_a_greatest_size_and_contains_the_event_of_its_leader() -> None:
    groups: list[Sequence[int]] = []

    def write(events: Sequence[int]) -> Sequence[int]:
        groups.append(events)
        return events

    commit: GroupCommit[int, int] = GroupCommit(write, lambda: PATIENCE)
    commit._waiting += map(_WaitingEvent, range(600))  # as of threads that have yet to find nobody writing
    assert commit.write(-1) == -1
    assert groups == [[*range(MAX_EVENTS_PER_TRANSACTION), -1]]
    assert commit.write(-2) == -2
    assert groups[1:] == [[*range(MAX_EVENTS_PER_TRANSACTION, 600), -2]]


@pytest.mark.parametrize("error", [StoreUnavailable("no disk"), LedgerBroken("head", "broken"), OSError("no room")])
def test_each_thread_gets_the_error_of_its_group(error: Exception) -> None:
    failing = [error]

    def fail(events: Sequence[int]) -> None:
        if len(events) > 1 and failing:
            raise failing.pop()

    writing = Writing(fails=fail)
    writing.start(*range(8))
    writing.finish()
    assert writing.groups == [[0]]
    assert writing.errors.keys() == set(range(1, 8))
    assert {(type(failure), str(failure)) for failure in writing.errors.values()} == {(type(error), str(error))}
    if not isinstance(error, OSError):  # Any class may be raised by a ledger of somebody else's.
        assert len({id(failure) for failure in writing.errors.values()}) == 7
    assert writing.commit.write(9) == "result 9"


def refused_value() -> StoreUnavailable:
    error = StoreUnavailable("too long")
    error.refuses_value = True
    return error


@pytest.mark.parametrize("error", [refused_value(), TypeError("no text"), ValueError("no text")])
def test_an_event_that_cannot_be_written_fails_alone(error: Exception) -> None:
    def fail(events: Sequence[int]) -> None:
        if 3 in events:
            raise error

    writing = Writing(fails=fail)
    writing.start(*range(6))
    writing.finish()
    assert sorted(writing.groups) == [[0], [1], [2], [4], [5]]
    assert writing.errors == {3: error}
    assert writing.results.keys() == {0, 1, 2, 4, 5}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_interrupted_leader_leaves_nobody_waiting() -> None:
    failing = [KeyboardInterrupt()]

    def fail(events: Sequence[int]) -> None:
        if len(events) > 1 and failing:
            raise failing.pop()

    writing = Writing(fails=fail)
    writing.start(0, 1, 2)
    writing.going.release()
    assert writing.begun.acquire(timeout=PATIENCE)
    writing.start(3, 4)
    writing.finish()
    assert writing.groups == [[0], [3, 4]]
    (error,) = writing.errors.values()  # of the thread whose event the leader had taken
    assert isinstance(error, StoreUnavailable)
    assert "interrupted" in str(error)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_is_interrupted_when_it_shall_lead_passes_its_turn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    wait, interrupted = _WaitingEvent.wait, [1]

    def interrupt(waiting: _WaitingEvent[Any, Any], seconds: float) -> None:
        wait(waiting, seconds)
        if waiting.event in interrupted:
            raise KeyboardInterrupt

    monkeypatch.setattr(_WaitingEvent, "wait", interrupt)
    writing = Writing()
    writing.start(0, 1, 2, 3)
    writing.finish()
    assert writing.groups == [[0], [2, 3]]


def test_a_thread_that_nobody_woke_tries_to_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an interruption between the end of a group and the waking of the next leader."""
    monkeypatch.setattr(GroupCommit, "_wake_first", lambda _: None)
    writing = Writing(patience=0.2)
    writing.start(0, 1, 2)
    writing.finish()
    assert sorted(event for group in writing.groups for event in group) == [0, 1, 2]


def test_who_is_interrupted_while_writing_cannot_write_from_in_between() -> None:
    commit: GroupCommit[int, int]

    def write(events: Sequence[int]) -> Sequence[int]:
        with pytest.raises(StoreUnavailable, match="interrupted"):  # as from a signal handler
            commit.write(2)
        return events

    commit = GroupCommit(write, lambda: PATIENCE)
    assert commit.write(1) == 1
    assert not commit._waiting


def test_no_thread_waits_longer_than_it_may_and_none_of_its_events_comes_later() -> None:
    written: list[int] = []
    going, first = threading.Event(), threading.Event()

    def write(events: Sequence[int]) -> Sequence[int]:
        first.set()
        assert going.wait(60)
        written.extend(events)
        return events

    commit: GroupCommit[int, int] = GroupCommit(write, lambda: 0.1)
    leader = threading.Thread(target=commit.write, args=(1,))
    leader.start()
    assert first.wait(60)
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="other threads"):
        commit.write(2)
    assert time.monotonic() - begun < 30
    going.set()
    leader.join()
    commit.write(3)
    assert written == [1, 3]


def test_a_child_of_a_fork_waits_for_no_thread_of_its_parent() -> None:
    code = (
        "import os, sys, threading, time, warnings\n"
        "from purposeguard.governance.group_commit import GroupCommit\n"
        "warnings.simplefilter('ignore')\n"
        "first = threading.Event()\n"
        "def write(events):\n"
        "    first.set()\n"
        "    time.sleep(3600 if os.getpid() == parent else 0)\n"
        "    return events\n"
        "parent = os.getpid()\n"
        "commit = GroupCommit(write, lambda: 30)\n"
        "for n in range(3): threading.Thread(target=commit.write, args=(1,), daemon=True).start()\n"
        "first.wait(); time.sleep(0.1)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    commit.write(2)\n"
        "    os._exit(len(commit._waiting))\n"
        "os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=300)
    assert done.returncode == 0


def test_a_child_is_not_taken_for_a_thread_of_its_parent_that_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    commit: GroupCommit[int, int] = GroupCommit(lambda events: events, lambda: PATIENCE)
    with commit.exclude_others():
        monkeypatch.setattr(os, "getpid", lambda: -1)  # as in a child whose thread has the number of that one
        with commit.exclude_others():
            pass


def test_threads_at_random_moments_are_each_written_once() -> None:
    groups: list[Sequence[int]] = []

    def write(events: Sequence[int]) -> Sequence[int]:
        groups.append(events)
        time.sleep(0.0005)
        return [event * 2 for event in events]

    commit: GroupCommit[int, int] = GroupCommit(write, lambda: PATIENCE)

    def work(first: int) -> None:
        for number in range(first, first + 100):
            assert commit.write(number) == number * 2

    in_threads(functools.partial(work, 100 * number) for number in range(16))
    assert sorted(event for group in groups for event in group) == list(range(1600))
    assert not commit._waiting
