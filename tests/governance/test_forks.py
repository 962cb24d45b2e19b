"""A forked child writes and reads as its parent does, whatever the parent's threads are doing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from purposeguard.errors import StoreUnavailable
from purposeguard.governance import forking
from purposeguard.governance.store import Store

FORKS = 40

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.mark.processes
def test_no_child_fails_or_hangs_while_threads_write(store_url: str) -> None:
    command = [sys.executable, "-m", "tests.governance.forking", store_url, str(FORKS)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    assert (run.stdout, run.stderr) == ("0 failed, 0 hung\n", "")


def in_child(work: str, store: Store) -> str:
    """What a forked child says of the store: `written`, or why not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with store.writing() as connection:
                connection.execute(sa.text(work))
            said = "written"
        except BaseException as error:  # the child ends here
            said = str(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


@contextmanager
def elsewhere(block: Callable[[], AbstractContextManager[object]]) -> Iterator[None]:
    """Keep another thread in a block of code."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with block():
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    try:
        yield
    finally:
        done.set()
        thread.join()


WORK = "UPDATE purposeguard_counter SET seq = seq + 1"


def test_a_child_that_was_forked_in_a_transaction_uses_no_file_of_it(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/a.db") as store:
        with store.writing() as connection:
            assert "was in a transaction when this process was forked" in in_child(WORK, store)
            connection.execute(sa.text(WORK))
        assert in_child(WORK, store) == "written"
        with store.reading() as connection:
            assert connection.execute(sa.text("SELECT seq FROM purposeguard_counter")).scalar_one() == 2


def test_a_fork_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "PATIENCE", 0.2)
    with Store.open(f"sqlite:///{tmp_path}/a.db") as store:
        with elsewhere(store.reading):
            assert "was in a transaction when this process was forked" in in_child(WORK, store)
        monkeypatch.undo()
        assert in_child(WORK, store) == "written"


def test_a_child_of_a_fork_that_stopped_waiting_is_torn(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = forking._ForkGate()
    told: list[bool] = []

    class Told:
        def before_fork(self) -> None:
            raise AssertionError("a transaction is under way")

        def after_fork(self, *, torn: bool) -> None:
            told.append(torn)

    one = Told()
    gate.told.add(one)

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(forking, "time", SimpleNamespace(sleep=interrupted, monotonic=time.monotonic))
    with elsewhere(gate.transaction), pytest.raises(KeyboardInterrupt):  # of which `os.fork` takes no notice
        gate.close()
    gate.open_in_child()
    assert told == [True]


def test_no_transaction_begins_while_a_process_forks(tmp_path: Path) -> None:
    gate = forking._ForkGate()
    gate.close()
    entered = threading.Event()

    def enter() -> None:
        with gate.transaction():
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert not entered.wait(0.1)
    gate.open()
    thread.join()
    assert entered.is_set()


def test_a_torn_file_is_refused_by_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking.FORKS, "torn", set())
    url = f"sqlite:///{tmp_path}/a.db"
    with Store.open(url) as store, Store.open(f"sqlite:///{tmp_path}/b.db") as other:
        store.after_fork(torn=True)
        (tmp_path / "c.db").symlink_to(tmp_path / "a.db")
        with pytest.raises(StoreUnavailable, match="help: fork before threads write"), store.reading():
            pass
        for again in (url, f"sqlite:///{tmp_path}/c.db"):
            with pytest.raises(StoreUnavailable, match="was in a transaction when this process was forked"):
                Store.open(again)
        with other.reading():
            pass
    never = Store()
    never.before_fork()
    never.after_fork(torn=True)
