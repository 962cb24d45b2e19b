"""Locks: what interrupts a thread, what is forked, and code of others while classes are made, wait for none of them."""

from __future__ import annotations

import dataclasses
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import pytest

import purposeguard as pg
from purposeguard.locks import _LOCKS, Signal, _release, make_lock
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime import forking
from purposeguard.runtime.clock import Clock
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.snapshot import PolicySnapshot
from purposeguard.values.withheld import ClassCache
from tests.support import crossed, printed_by

PACKAGE = Path(pg.__file__).parent


def done(act: Callable[[], Any]) -> Any:
    """What comes of it in a thread of its own; fails where that waits for ever."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(act()), daemon=True)
    thread.start()
    thread.join(120)
    assert not thread.is_alive(), "it waits for a lock"
    return results[0] if results else pytest.fail("it failed")


def test_all_locks_are_of_one_kind() -> None:
    stray = [
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "locks.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"(?<!class )\b(R?Lock|Condition|(Bounded)?Semaphore)\(", line)
    ]
    assert stray == []


def test_a_lock_lets_its_own_thread_in_again() -> None:
    guard = pg.Guard(tm.NOTICE)
    classes, clock = ClassCache(), Clock()

    def replace() -> bool:
        with guard._replacing:
            guard.replace(tm.NOTICE)
        return True

    def make() -> type:
        with classes._lock:
            return classes.get(1, lambda: int)

    def ask() -> bool:
        with clock._lock:
            return clock.now() is not None

    assert (done(replace), done(make), done(ask)) == (True, int, True)


def test_a_class_is_made_where_another_thread_may_make_one() -> None:
    guard = pg.Guard(tm.NOTICE)
    waited: list[object] = []

    class Slow(type):
        def __new__(cls, name: str, bases: tuple[type, ...], names: dict[str, Any]) -> Any:
            if waited and waited[0] is None:
                waited[0] = done(lambda: withheld(Other("o", "d")))
            return super().__new__(cls, name, bases, names)

    @dataclasses.dataclass
    class Row(metaclass=Slow):
        email: Annotated[str, tm.Registration]
        device: Annotated[str, tm.ProductData]

    @dataclasses.dataclass
    class Other:
        email: Annotated[str, tm.Registration]
        device: Annotated[str, tm.ProductData]

    def withheld(row: Any) -> str:
        with guard.purpose(tm.RenewalGuidance) as use:
            return repr(use.withhold(row)).rpartition(".")[2]

    waited.append(None)
    assert withheld(Row("r", "d")) == "Row(email='r')"
    assert waited == ["Other(email='o')"]


def test_of_two_classes_made_at_once_one_is_kept() -> None:
    classes = ClassCache()

    def make() -> type:
        classes.get(1, lambda: int)  # as another thread, or a metaclass, may meanwhile
        return str

    assert classes.get(1, make) is classes.get(1, lambda: bytes) is int


@pytest.mark.parametrize("interrupted", [Engine.replace, PolicySnapshot.retire])
def test_a_notice_that_is_replaced_while_one_is_replaced(interrupted: Any) -> None:
    """A signal handler may come at any line; whatever is in force afterwards, all of it is."""
    before, after = crossed()
    source, purpose = before.source("1.1"), before.purposes[0]
    tried = set()
    for line in range(1, 40):
        guard = pg.Guard(before)
        block = guard.purpose(purpose)
        with block as use:
            assert use.allows(source)

            def interrupt(frame: FrameType, event: str, _: object, line: int = line, guard: pg.Guard = guard) -> Any:
                if frame.f_code is not interrupted.__code__:
                    return None if event == "call" else interrupt
                if event == "line" and frame.f_lineno - frame.f_code.co_firstlineno == line:
                    sys.settrace(None)
                    frame.f_trace = None
                    tried.add(line)
                    guard.replace(before)
                    guard.allows(source, purpose)
                    with guard.purpose(purpose) as inner:
                        inner.allows(source)
                return interrupt

            def act(guard: pg.Guard = guard, trace: Any = interrupt) -> bool:
                sys.settrace(trace)
                guard.replace(after)
                sys.settrace(None)
                return True

            assert done(act)
            expected = guard.notice is before
            assert guard.notice in (before, after)
            asked = after.source("1.1")
            assert use.allows(asked if not expected else source) is expected
            assert guard.allows(source, purpose) is expected
            assert [one.retired for one in guard.engine.snapshot._permissions.values()] in ([], [False])
        with block as use:
            assert use.allows(source) is expected
    assert len(tried) > 3


def test_a_forked_child_waits_for_no_thread_of_its_parent() -> None:
    script = """
        import os, threading, warnings
        import purposeguard as pg
        from purposeguard.runtime.clock import Clock
        from purposeguard.locks import _LOCKS, make_lock
        from purposeguard.notices import trendmicro_jp as tm
        from typing import Annotated
        from pydantic import BaseModel

        class Customer(BaseModel):
            email: Annotated[str, tm.Registration] = "e"
            device: Annotated[str, tm.ProductData] = "d"

        guard = pg.Guard(tm.NOTICE)

        @guard.cached()
        @guard.access(withhold=True)
        def load(key: int) -> Customer:
            return Customer()

        @guard.purpose(tm.RenewalGuidance)
        def work():
            return repr(load(1))

        work()
        held, go = threading.Event(), threading.Event()

        def hold():
            for lock in list(_LOCKS):
                lock.acquire()
            held.set()
            go.wait()
            for lock in list(_LOCKS):
                lock.release()

        own = make_lock()
        thread = threading.Thread(target=hold)
        with own:
            pass
        _LOCKS.discard(own)
        own.acquire()
        thread.start()
        held.wait()
        _LOCKS.add(own)
        warnings.simplefilter("ignore")
        child = os.fork()
        if child == 0:
            own.release()  # it goes on where it was: what it holds, it leaves
            assert work() == "Customer(email='e')"
            guard.replace(tm.NOTICE)
            pg.Label(tm.Registration, tm.Contract)
            assert work() == "Customer(email='e')"
            os._exit(0)
        _LOCKS.discard(own)
        go.set()
        thread.join()
        own.release()
        print(os.waitpid(child, 0)[1])
    """
    assert printed_by(script) == ("0\n", "")


FIRST_CALLS = [
    ("withhold_a_result", 1), ("withhold_a_result", 4), ("withhold_a_value", 3), ("suggest_an_id", 1),
    ("observe_an_activity", 1), ("observe_a_check", 1),
]  # fmt: skip
"""What the first call of another thread does, and at which of its imports this thread forks."""


@pytest.mark.parametrize(("call", "nth"), FIRST_CALLS)
def test_a_child_that_is_forked_during_an_import_goes_on(call: str, nth: int) -> None:
    script = f"""
        import os, signal, sys, threading, time, warnings
        from typing import Annotated
        from pydantic import BaseModel
        import purposeguard as pg
        from purposeguard.notices import trendmicro_jp as tm

        warnings.simplefilter("ignore")
        guard = pg.Guard(tm.NOTICE, mode="observe" if "{call}" == "observe_a_check" else "enforce")

        class Customer(BaseModel):
            email: Annotated[str, tm.Registration] = "e"
            device: Annotated[str, tm.ProductData] = "d"

        @guard.access(withhold=True)
        def load() -> Customer:
            return Customer()

        def withhold_a_result():
            with guard.purpose(tm.RenewalGuidance):
                load()

        def withhold_a_value():
            with guard.purpose(tm.RenewalGuidance) as use:
                use.withhold(Customer())

        def suggest_an_id():
            try:
                guard.allows("1.1a", "renewal-guidanse")
            except pg.UnknownTerm as error:
                assert "renewal-guidance" in str(error)

        def check():
            guard.current.check(tm.ProductData)

        def observe_a_check():
            guard.check("1.1b", "1.2(1)①")

        if "{call}" == "observe_an_activity":
            observe_an_activity = guard.purpose(tm.RenewalGuidance, mode="observe")(check)

        class Slow:
            def find_spec(self, name, path=None, target=None):
                if threading.current_thread() is first:
                    imported.append(name)
                    if len(imported) == {nth}:
                        under_way.set()
                        time.sleep(0.2)

        def run():
            {call}()
            under_way.set()

        under_way, imported = threading.Event(), []
        sys.meta_path.insert(0, Slow())
        first = threading.Thread(target=run)
        first.start()
        under_way.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            {call}()
            os._exit(0)
        first.join()
        print(os.waitpid(child, 0)[1])
    """
    assert printed_by(script, timeout=60)[0] == "0\n"


def test_what_is_free_in_a_child_is_what_others_held() -> None:
    before = set(_LOCKS)
    own, others = make_lock(), make_lock()
    for lock in before:  # those of other tests are left as they are
        _LOCKS.discard(lock)
    try:
        holder = threading.Thread(target=others.acquire)
        holder.start()
        holder.join()
        with own:
            assert not others.acquire(blocking=False)
            _LOCKS.call_with_each(_release)
            assert others.acquire(blocking=False)
            assert done(lambda: own.acquire(blocking=False)) is False
    finally:
        _LOCKS.update(before)


def test_a_lock_is_a_lock() -> None:
    lock = make_lock()
    with lock:
        assert done(lambda: lock.acquire(blocking=False)) is False
    assert done(lambda: lock.acquire(blocking=False)) is True


@pytest.mark.parametrize("threads", [1, 2])
def test_imports_are_finished_before_a_fork_where_other_threads_may_have_begun_them(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(sys, "_current_frames", lambda: dict.fromkeys(range(threads)))
    monkeypatch.setattr(forking, "import_module", loaded.append)
    forking.load_before_fork()
    assert loaded == ([] if threads == 1 else ["purposeguard.runtime.results", "difflib"])


def test_a_signal_that_was_sent_before_ends_the_next_wait_only() -> None:
    signal = Signal()
    signal.send()
    signal.send()
    started = time.monotonic()
    signal.wait(30)
    assert time.monotonic() - started < 10
    signal.wait(-1)
    signal.wait(0.01)
    assert time.monotonic() - started >= 0.01
