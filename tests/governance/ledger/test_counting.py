"""Counting: in one step from any thread, handler or fork. Nothing is lost while it cannot be written."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.governance.governance import Governance
from purposeguard.governance.ledger.chain import Counts, Hour
from purposeguard.governance.ledger.counting import Counters
from purposeguard.governance.ledger.opening import opened
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.clock import Clock
from tests.governance.ledger.places import NEVER, C, D, Place, R
from tests.governance.support import Time
from tests.support import in_threads
from tests.unit.command_line import ROOT

NINE = "2026-05-02T09:00Z"


class Book:
    """What is written; or not, while it is `down`."""

    def __init__(self) -> None:
        self.written: list[tuple[dict[Hour, int], bool]] = []
        self.down: Exception | None = None

    def __call__(self, counts: Counts, last: bool) -> None:
        if self.down is not None:
            raise self.down
        self.written.append((dict(counts), last))

    @property
    def total(self) -> int:
        return sum(sum(counts.values()) for counts, _ in self.written)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def counters(book: Book, time: Time) -> Iterator[Counters]:
    made = Counters(book, Clock(time), NEVER)
    yield made
    book.down = None
    made.close()


def hour(activity: str | None = "it", at: str = NINE) -> Hour:
    return Hour(at, activity, "1.2(1)①", ("1.1(a)",))


def test_each_tick_counts_one_and_is_written_once(counters: Counters, book: Book) -> None:
    tick, other = counters.make_counter("it", "1.2(1)①", R), counters.make_counter(None, "1.2(1)①", R | C)
    for _ in range(1000):
        tick()
    other()
    counters.add("it", "1.2(1)①", R, 5)
    counters.flush()
    assert book.written == [({hour(): 1005, Hour(NINE, None, "1.2(1)①", ("1.1(a)", "1.1(c)")): 1}, False)]
    counters.flush()
    assert len(book.written) == 1
    tick()
    counters.flush()
    assert book.written[1:] == [({hour(): 1}, False)]


def test_who_asks_again_shares_the_counter(counters: Counters, book: Book) -> None:
    ticks = [counters.make_counter("it", "1.2(1)①", R) for _ in range(3)]
    for tick in ticks:
        tick()
    counters.flush()
    assert book.written == [({hour(): 3}, False)]


def test_what_was_counted_by_an_activity_that_is_gone_is_not_lost(counters: Counters, book: Book) -> None:
    for number in range(100):
        counters.make_counter(f"job {number}", "1.2(1)①", R)()
    gc.collect()
    counters.flush()
    assert book.total == 100
    assert not counters._tickers
    assert not counters._latest
    tick = counters.make_counter("it", "1.2(1)①", R)
    del tick  # counted nothing
    counters.flush()
    assert len(book.written) == 1


def test_no_thread_loses_a_count(counters: Counters, book: Book) -> None:
    ended = threading.Event()

    def count() -> None:
        tick = counters.make_counter("it", "1.2(1)①", R)
        for number in range(20_000):
            tick()
            if number % 1000 == 0:
                counters.add("it", "1.2(1)①", D, 1)

    def flush() -> None:
        while not ended.is_set():
            counters.flush()

    flushing = [threading.Thread(target=flush) for _ in range(2)]
    for thread in flushing:
        thread.start()
    in_threads([count] * 4)
    ended.set()
    for thread in flushing:
        thread.join()
    counters.flush()
    assert book.total == 80_080


def test_a_signal_handler_counts_and_writes_wherever_it_interrupts(counters: Counters, book: Book) -> None:
    handled = 0

    def handle(*_: object) -> None:
        nonlocal handled
        counters.make_counter(f"handler {handled % 3}", "1.2(1)①", R)()
        counters.add("handler", "1.2(1)①", R, 1)
        counters.flush()  # or, where it has interrupted another: left to that
        handled += 1

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    counted = 0
    try:
        while handled < 200:
            counters.make_counter(f"it {counted % 10}", "1.2(1)①", R)()
            counted += 1
            if counted % 100 == 0:
                counters.flush()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    counters.flush()
    assert book.total == counted + 2 * handled


def test_the_hour_is_that_in_which_it_is_added_up(counters: Counters, book: Book, time: Time) -> None:
    tick = counters.make_counter("it", "1.2(1)①", R)
    tick()
    counters.flush()
    time.passes(hours=1)
    tick()
    counters.flush()
    time.passes(hours=-5)
    tick()
    counters.flush()
    ten, five = hour(at="2026-05-02T10:00Z"), hour(at="2026-05-02T05:00Z")
    assert [counts for counts, _ in book.written] == [{hour(): 1}, {ten: 1}, {five: 1}]


def test_what_cannot_be_written_is_kept_and_written_once_it_can(counters: Counters, book: Book, time: Time) -> None:
    tick = counters.make_counter("it", "1.2(1)①", R)
    book.down = StoreUnavailable("the store is gone")
    for _ in range(3):
        tick()
        with pytest.raises(StoreUnavailable):
            counters.flush()
        time.passes(hours=1)
    book.down = None
    counters.flush()
    assert book.written == [({hour(): 1, hour(at="2026-05-02T10:00Z"): 1, hour(at="2026-05-02T11:00Z"): 1}, False)]


def test_the_thread_that_writes_outlives_faults_and_says_so_once(
    book: Book, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    tried = threading.Semaphore(0)

    def write(counts: Counts, last: bool) -> None:
        tried.release()
        book(counts, last)

    counters = Counters(write, Clock(time), 0.001)
    book.down = ValueError("with something personal in it")
    with caplog.at_level(logging.WARNING, "purposeguard"):
        counters.make_counter("it", "1.2(1)①", R)()
        for _ in range(3):
            tried.acquire(timeout=60)
        book.down = None
        while not book.written:
            tried.acquire(timeout=60)
        while len(caplog.messages) < 2:
            threading.Event().wait(0.001)
        counters.close()
    assert caplog.messages == [
        "counts of uses cannot be written; they are kept, and written when they can be: ValueError",
        "counts of uses are written again; none was lost",
    ]
    assert book.total == 1


def test_at_the_end_it_is_said_what_is_lost(book: Book, time: Time, caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters(book, Clock(time), NEVER)
    for number in range(12):
        counters.add(f"job {number:02}" if number else None, "1.2(1)①", R, number + 1)
    book.down = StoreUnavailable("the store is gone")
    counters.close()
    named = "; ".join(
        f"{number + 1} by {f'job {number:02}' if number else 'bare checks'} for 1.2(1)① of 1.1(a) at {NINE}"
        for number in range(10)
    )
    assert caplog.messages == [
        f"78 counted uses are lost, since they cannot be written: the store is gone (lost: {named}; and 23 more)"
    ]


def test_few_losses_are_all_named(book: Book, time: Time, caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters(book, Clock(time), NEVER)
    counters.add("it", "1.2(1)①", R, 2)
    book.down = OSError("not told")
    counters.close()
    (told,) = caplog.messages
    assert told.startswith("2 counted uses are lost, since they cannot be written: OSError (lost: 2 by it for ")


def test_with_nothing_left_to_write_nothing_is_said(book: Book, time: Time, caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters(book, Clock(time), NEVER)
    counters.add("it", "1.2(1)①", R, 2)
    counters.flush()
    book.down = StoreUnavailable("the store was closed")
    counters.close()
    assert caplog.messages == []
    Counters(book, Clock(time), NEVER).close()  # never used


def test_what_is_counted_after_the_end_is_written_at_once(book: Book, time: Time) -> None:
    others = threading_of("purposeguard ledger")
    counters = Counters(book, Clock(time), NEVER)
    counters.add("it", "1.2(1)①", R, 2)
    counters.close()
    assert book.written == [({hour(): 2}, True)]
    counters.add("it", "1.2(1)①", R, 3)
    counters.make_counter("it", "1.2(1)①", R)()
    assert book.written[1:] == [({hour(): 3}, False), ({hour(): 1}, False)]
    counters.close()
    assert threading_of("purposeguard ledger") <= others


def test_what_is_refused_after_the_end_is_not_written_later(book: Book, time: Time) -> None:
    counters = Counters(book, Clock(time), NEVER)
    counters.add("it", "1.2(1)①", R, 2)
    book.down = StoreUnavailable("the store was closed")
    with pytest.raises(StoreUnavailable):
        counters.flush()
    counters.close()
    for number in range(3):
        with pytest.raises(StoreUnavailable):
            counters.add("it", "1.2(1)①", R, 1)
        with pytest.raises(StoreUnavailable):
            counters.make_counter(f"it {number}", "1.2(1)①", R)()
    book.down = None
    counters.resume()
    counters.flush()
    assert book.written == [({hour(): 2}, False)]
    counters.close()


def test_where_no_thread_can_be_started_counts_are_written_at_once(
    book: Book, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    counters = Counters(book, Clock(time), NEVER)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        tick = counters.make_counter("it", "1.2(1)①", R)
        tick()
        counters.add("it", "1.2(1)①", R, 2)
    tick()
    assert [counts for counts, _ in book.written] == [{hour(): 1}, {hour(): 2}, {hour(): 1}]
    counters.close()


def threading_of(name: str) -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == name}


def test_it_goes_on_after_it_was_closed(book: Book, time: Time) -> None:
    others = threading_of("purposeguard ledger")
    counters = Counters(book, Clock(time), 0.001)
    tick = counters.make_counter("it", "1.2(1)①", R)
    counters.close()
    counters.resume()
    tick()
    while not book.written:
        threading.Event().wait(0.001)
    assert book.written == [({hour(): 1}, False)]
    counters.close()
    assert threading_of("purposeguard ledger") <= others


def test_the_interval_is_above_zero(book: Book) -> None:
    with pytest.raises(ValueError, match="above zero: interval=0"):
        Counters(book, Clock(), 0)


STORIES = """
import multiprocessing, os, sys, time
import purposeguard as pg
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.store import Store
from purposeguard.notices import trendmicro_jp as tm

def begin(name, interval):
    global ledger, guard
    store = Store.open(f"sqlite:///{sys.argv[1]}/{name}.db")
    ledger = SqlLedger(store, interval=interval)
    guard = pg.Guard(tm.NOTICE, ledger=ledger)

def count(times, activity="it"):
    with guard.purpose(tm.RenewalGuidance, activity=activity) as use:
        for _ in range(times):
            use.open(pg.Personal("name", tm.Registration))

def forked():
    begin("forked", 3600)
    count(3)
    pid = os.fork()
    count(10 if pid == 0 else 100)
    if pid == 0:
        sys.exit()
    os.waitpid(pid, 0)

def in_the_background():
    begin("background", 0.01)
    count(3)
    pid = os.fork()
    if pid == 0:
        count(10, "child")
        with SqlLedger(Store.open(f"sqlite:///{sys.argv[1]}/background.db")) as other:
            end = time.monotonic() + 60
            while sum(n for key, n in other.uses().items() if key.activity == "child") < 10 and time.monotonic() < end:
                time.sleep(0.01)
        os._exit(0)
    os.waitpid(pid, 0)

def pool():
    begin("pool", 3600)
    count(3)
    with multiprocessing.get_context("fork").Pool(2) as made:
        made.map(count, [1] * 10)
        made.close()
        made.join()

def in_the_child():
    begin("child", 3600)
    count(10)

def made_in_the_child():
    process = multiprocessing.get_context("fork").Process(target=in_the_child)
    process.start()
    process.join()

forked()
in_the_background()
pool()
made_in_the_child()
"""


def test_each_process_counts_for_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        # From 3.12 on, Python warns of forks in a process that has threads.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", STORIES, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for name, expected in (("forked", 113), ("background", 13), ("pool", 13), ("child", 10)):
        with opened(tmp_path / f"{name}.db") as ledger:
            assert (name, sum(ledger.uses().values())) == (name, expected)
            ledger.verify()


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_what_a_guard_tells_it_adds_up(place: Place) -> None:
    ledger = place.open()
    guard = pg.Guard(tm.NOTICE, ledger=ledger)
    name = pg.Personal("name", tm.Registration)

    @guard.access(tm.Registration)
    def read() -> str:
        return "name"

    @guard.purpose(tm.RenewalGuidance, activity="it")
    def run() -> None:
        use: Callable[..., Any] = guard.current.open
        for _ in range(10):
            use(name)
            read()
        with guard.purpose(tm.AnyProductGuidance, channel="email", activity="family"):
            guard.use(tm.ProductGuidance).open(name)

    in_threads([run] * 4)
    guard.check(tm.Registration, tm.RenewalGuidance)
    counted: Counter[tuple[str | None, str, tuple[str, ...]]] = Counter()
    for key, count in ledger.uses().items():
        counted[key[1:]] += count
    assert counted == {
        ("it", "1.2(1)①", ("1.1(a)",)): 80,
        ("family", "1.2(1)②", ("1.1(a)",)): 4,
        (None, "1.2(1)①", ("1.1(a)",)): 1,
    }


class Customer(BaseModel):
    number: Annotated[int, tm.Registration, pg.Subject]
    name: Annotated[str, tm.Registration]


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_use_that_is_refused_by_what_its_rows_say_is_not_counted(place: Place) -> None:
    governance = Governance(place.store, notice=tm.NOTICE)
    guard = pg.Guard(tm.NOTICE, governance=governance)
    governance.restrict(2)

    @guard.access
    def load(*numbers: int) -> list[Customer]:
        return [Customer(number=number, name="name") for number in numbers]

    @guard.access
    def each(*numbers: int) -> Iterator[Customer]:
        for number in numbers:
            yield Customer(number=number, name="name")

    def counted(read: Callable[..., Any], *numbers: int) -> int:
        before = sum(governance.ledger.uses().values())  # type: ignore[union-attr]
        with guard.purpose(tm.RenewalGuidance, activity="it"), contextlib.suppress(pg.PurposeViolation):
            list(read(*numbers))
        return sum(governance.ledger.uses().values()) - before  # type: ignore[union-attr]

    assert [counted(load, 1, 3), counted(load, 2), counted(load, 1, 2), counted(load, 1)] == [1, 0, 0, 1]
    assert counted(each, 2) == 0
    assert counted(each, 1, 3) > counted(each, 1, 2) > 0
    governance.close()
