"""How things stand is known without asking the store at every check, and never for longer than was said."""

from __future__ import annotations

import datetime
import gc
import subprocess
import sys
import threading
import time as real
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from purposeguard.errors import StoreUnavailable
from purposeguard.governance import changes
from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.restrictions import declaration
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import CLEAR, SubjectPreferences
from purposeguard.runtime.clock import Clock
from tests.governance.conftest import Databases
from tests.governance.support import PATIENCE, START, Time, last_allowed, outage
from tests.support import in_threads

NEVER = 1000.0
"""Seconds: longer than any test."""

Make = Callable[..., PreferenceCache]


@pytest.fixture
def make(subjects: Subjects) -> Iterator[Make]:
    """PreferenceCache of these subjects, closed in the end."""
    with ExitStack() as stack:

        def made(**parts: Any) -> PreferenceCache:
            return stack.enter_context(closing(PreferenceCache(subjects, **parts)))

        yield made


@contextmanager
def queries(store: Store) -> Iterator[list[str]]:
    """The statements about declarations that are executed meanwhile."""
    found: list[str] = []

    @event.listens_for(store.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "purposeguard_declaration" in statement:
            found.append(statement)

    yield found
    event.remove(store.engine, "before_cursor_execute", note)


def until(condition: Callable[[], bool]) -> None:
    """Waits until something is so."""
    began = real.monotonic()
    while not condition():
        assert real.monotonic() < began + 60, "it did not become so"
        real.sleep(0.002)


def test_a_check_asks_the_store_once_and_by_index(store: Store, subjects: Subjects, make: Make) -> None:
    cache = make(staleness=NEVER)
    subjects.restrict(7)
    with queries(store) as asked:
        for _ in range(3):
            assert cache.preferences("7").all_suspended
            assert cache.preferences("8") is CLEAR
    assert len(asked) == 2
    explain = "EXPLAIN QUERY PLAN " if store.dialect == "sqlite" else "EXPLAIN "
    marks = {"%(subject)s::VARCHAR": ":subject", "%(digest)s::VARCHAR": ":digest"}
    text = asked[0].replace("?", ":subject", 1).replace("?", ":digest")
    for mark, name in marks.items():
        text = text.replace(mark, name)
    statement = sa.text(explain + text)
    with store.reading() as connection:
        if store.dialect == "postgresql":
            connection.exec_driver_sql("SET enable_seqscan = off")  # of a few rows it would rather read all
        plan = " ".join(
            str(part) for row in connection.execute(statement, {"subject": "7", "digest": "7"}) for part in row
        )
    assert "ix_purposeguard_declaration_pseudonym" in plan
    assert "SCAN" not in plan.upper().replace("INDEX SCAN", "").replace("INDEX ONLY SCAN", "")


def test_those_for_whom_things_stand_alike_share_one_object(subjects: Subjects, make: Make) -> None:
    cache = make()
    for number in range(20):
        subjects.restrict(number, "1.2(1)①")
    assert len({id(cache.preferences(str(number))) for number in range(20)}) == 1
    assert all(cache.preferences(str(number)) is CLEAR for number in range(100, 120))


def test_the_number_of_subjects_that_are_kept_is_bounded(store: Store, make: Make) -> None:
    cache = make(maxsize=3, staleness=NEVER)
    for number in range(10):
        cache.preferences(str(number))
    with queries(store) as asked:
        for number in range(7, 10):
            cache.preferences(str(number))
        assert asked == []
        cache.preferences("0")
    assert len(asked) == 1


def test_what_is_kept_is_read_again_when_it_is_too_old(store: Store, subjects: Subjects, make: Make) -> None:
    cache = make(max_age=0.1, staleness=NEVER)
    assert cache.preferences("7") is CLEAR
    name = store.pseudonym("7")
    with store.writing() as connection:  # behind the back of those who tell of changes
        made = subjects.restrict(8, within=connection)
        connection.execute(sa.update(declaration).where(declaration.c.id == made.id).values(pseudonym=name))
    until(lambda: cache.preferences("7").all_suspended)


def test_what_ends_at_a_moment_ends_then(subjects: Subjects, time: Time, make: Make) -> None:
    cache = make()
    subjects.restrict(7, "1.2(1)①", until=START + datetime.timedelta(hours=1))
    subjects.consent(7, "2.2①", until=START + datetime.timedelta(hours=2))
    assert cache.preferences("7").suspended
    time.passes(minutes=59)
    assert cache.preferences("7").suspended
    time.passes(minutes=1)
    assert not cache.preferences("7").suspended
    assert cache.preferences("7").consents
    time.passes(hours=1)
    assert cache.preferences("7") == CLEAR
    time.passes(hours=-3)  # which of the two times was wrong is not known
    assert cache.preferences("7") == SubjectPreferences(suspended=frozenset({"1.2(1)①"}))
    time.passes(hours=3)
    assert cache.preferences("7") == CLEAR


def test_one_wrong_reading_ends_no_restriction(subjects: Subjects, time: Time, make: Make) -> None:
    cache = make()
    subjects.restrict(7, "1.2(1)①", until=START + datetime.timedelta(days=1))
    subjects.consent(7, "2.2①", until=START + datetime.timedelta(days=1))
    before, roster = cache.preferences("7"), cache.roster()
    for years in (10, -10):
        time.passes(days=3650 * (years // 10))
        cache.preferences("7")
        cache.roster()
        time.passes(days=-3650 * (years // 10))
        assert cache.preferences("7").suspended == before.suspended
        assert [one.suspended for one in cache.roster().groups] == [one.suspended for one in roster.groups]


def test_a_time_that_the_monotonic_clock_denies_ends_no_restriction_nor_keeps_consent(store: Store, time: Time) -> None:
    subjects = Subjects(store, tm.NOTICE, clock=Clock(lambda: time.now, lambda: 0.0))
    with closing(PreferenceCache(subjects)) as cache:
        assert cache.preferences("7") == CLEAR
        subjects.restrict(7, "1.2(1)①", until=START + datetime.timedelta(days=1))
        subjects.consent(7, "2.2①", until=START + datetime.timedelta(days=1))
        both = cache.preferences("7")
        time.passes(days=3650)
        stopped = SubjectPreferences(suspended=frozenset({"1.2(1)①"}))
        assert cache.preferences("7") == subjects.of(7).preferences == stopped
        assert list(cache.roster().groups) == [stopped]
        subjects.restrict(7, "2.2②", until=START + datetime.timedelta(days=2))  # it may be that it has not passed
        with pytest.raises(ValueError, match="has passed already"):
            subjects.consent(7, "2.2②", until=START + datetime.timedelta(days=2))
        time.passes(days=-3650)
        assert both.consents == cache.preferences("7").consents
        assert cache.preferences("7").suspended == {"1.2(1)①", "2.2②"}


@pytest.mark.parametrize(
    "parts", [{"maxsize": 0}, {"max_age": 0}, {"poll": 0}, {"poll": 1, "staleness": 1}], ids=range(4)
)
def test_standings_need_room_and_time(subjects: Subjects, parts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the cache needs room"):
        PreferenceCache(subjects, **parts)


def test_a_change_is_in_force_when_the_method_that_made_it_returns(subjects: Subjects, make: Make) -> None:
    cache = make(staleness=NEVER, poll=NEVER / 2)
    assert cache.preferences("7") is CLEAR
    made = subjects.restrict(7)
    assert cache.preferences("7").all_suspended
    subjects.lift(made)
    assert cache.preferences("7") == CLEAR
    subjects.consent(7, "1.2(1)①")
    assert cache.preferences("7").consents
    subjects.withdraw(7)
    assert cache.preferences("7") == CLEAR


def test_a_change_within_a_transaction_is_in_force_when_that_ends(store: Store, subjects: Subjects, make: Make) -> None:
    cache = make(staleness=NEVER, poll=NEVER / 2)
    assert cache.preferences("7") is CLEAR
    with store.writing() as connection:
        subjects.restrict(7, within=connection)
        assert cache.preferences("7") is CLEAR
    assert cache.preferences("7").all_suspended


def test_what_was_read_before_a_change_is_not_kept_after_it(
    subjects: Subjects, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make(staleness=NEVER, poll=NEVER / 2)
    read = subjects.stands

    def interrupted(subject: str) -> Any:
        found = read(subject)
        monkeypatch.undo()
        subjects.restrict(subject)  # by another thread, just now
        return found

    monkeypatch.setattr(subjects, "stands", interrupted)
    assert cache.preferences("7") is CLEAR  # the check came before the change
    assert cache.preferences("7").all_suspended

    def forgotten(subject: str) -> Any:
        found = read(subject)
        cache.forget()
        return found

    monkeypatch.setattr(subjects, "stands", forgotten)
    cache.preferences("8")
    assert "8" not in cache._cache


def test_many_subjects_are_read_by_one_query_a_batch(
    store: Store, subjects: Subjects, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("purposeguard.governance.preference_cache.BATCH", 10)
    for subject in (3, 14, 15):
        subjects.restrict(subject, by="subject")
    subjects.restrict(4, [tm.RenewalGuidance], by="subject", until=START + datetime.timedelta(days=1))
    cache, keys = make(), [str(number) for number in [*range(24), 3, 3]]
    alone = [make().preferences(key) for key in keys]
    with queries(store) as found:
        assert cache.preferences_of_each(keys) == alone
        assert len(found) == 3
        assert cache.preferences_of_each(keys) == alone  # one of them changes by itself, and is read again
        assert len(found) == 4
    subjects.restrict(5, by="subject")
    assert cache.preferences_of_each(["5", "3"]) == [cache.preferences("5"), alone[3]]
    assert cache.preferences("5").all_suspended
    assert cache.preferences_of_each([]) == []
    cache.close()
    with pytest.raises(StoreUnavailable):
        cache.preferences_of_each(keys)


def test_subjects_are_found_among_many_whatever_their_ids_contain(subjects: Subjects, make: Make) -> None:
    keys = ["7", "\u5c71\u7530", "\U0001f600 x", 'a "b"', "a\\u0062", "[1, 2]", "o'brien", "null", "\u00e9", "%s :x"]
    for key in keys:
        subjects.restrict(key, by="subject")
    asked = [*keys, "ab", "1", "8"]
    found = make().preferences_of_each(asked)
    assert [preferences.all_suspended for preferences in found] == [True] * len(keys) + [False] * 3


def test_what_changes_while_many_are_read_is_not_kept(
    subjects: Subjects, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, read = make(), subjects.stands_of_each

    def overtaken(keys: Any) -> Any:
        present = read(keys)
        subjects.restrict(8, by="subject")
        return present

    monkeypatch.setattr(subjects, "stands_of_each", overtaken)
    cache.preferences_of_each(["7", "8"])
    monkeypatch.undo()
    assert list(cache) == ["7"]
    assert cache.preferences_of_each(["7", "8"])[1].all_suspended


def test_a_read_that_fails_leaves_nothing_behind(
    subjects: Subjects, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make()
    monkeypatch.setattr(subjects, "stands", lambda _subject: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cache.preferences("7")
    monkeypatch.undo()
    assert not cache._reads
    assert cache.preferences("7") is CLEAR


def test_no_thread_sees_what_was_before_a_change_that_it_made(subjects: Subjects, make: Make) -> None:
    cache = make(maxsize=4)  # so that they are also read and dropped all the time
    seen: list[bool] = []
    ended = threading.Event()

    def change(subject: str) -> None:
        for _ in range(15):
            made = subjects.restrict(subject)
            seen.append(cache.preferences(subject).all_suspended)
            subjects.lift(made)
            seen.append(not cache.preferences(subject).all_suspended)

    def check() -> None:
        while not ended.is_set():
            for number in range(8):
                cache.preferences(str(number))

    checking = [threading.Thread(target=check) for _ in range(2)]
    for thread in checking:
        thread.start()
    in_threads(partial(change, str(number)) for number in range(3))
    ended.set()
    for thread in checking:
        thread.join()
    assert seen == [True] * 90


@pytest.fixture
def elsewhere(store_url: str) -> Iterator[Subjects]:
    """Another store on the same database, as another process has it."""
    with Store.open(store_url, timeout=PATIENCE) as other:
        yield Subjects(other, tm.NOTICE)


def test_a_change_elsewhere_is_in_force_within_a_second(elsewhere: Subjects, make: Make) -> None:
    cache = make()
    assert cache.preferences("7") is CLEAR
    made = elsewhere.restrict(7)
    done = real.monotonic()
    assert last_allowed(lambda: cache.preferences("7").all_suspended) < done + 1
    elsewhere.lift(made)
    done = real.monotonic()
    assert last_allowed(lambda: not cache.preferences("7").all_suspended) < done + 1


def test_only_what_has_changed_is_read_again(store: Store, elsewhere: Subjects, make: Make) -> None:
    cache = make()
    cache.preferences("7")
    cache.poll_changes()
    cache.preferences("7")
    cache.preferences("8")
    elsewhere.restrict(7)
    with queries(store) as asked:
        until(lambda: cache.preferences("7").all_suspended)
        cache.preferences("8")
    assert len(asked) == 1


def test_where_more_has_changed_than_is_kept_everything_is_read_again(
    elsewhere: Subjects, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "KEPT", 5)
    cache = make(staleness=NEVER, poll=NEVER / 2)
    assert cache.preferences("7") is CLEAR
    assert cache.preferences("0") is CLEAR
    with elsewhere.store.writing() as connection:
        elsewhere.restrict(7, within=connection)
        for number in range(100, 110):
            elsewhere.restrict(number, within=connection)
        assert connection.execute(sa.select(sa.func.count()).select_from(changes.change)).scalar_one() == 5
    cache.poll_changes()
    assert cache.preferences("7").all_suspended


def test_where_the_feed_has_a_hole_everything_is_read_again(elsewhere: Subjects, make: Make) -> None:
    cache = make(staleness=NEVER, poll=NEVER / 2)
    assert cache.preferences("7") is CLEAR
    elsewhere.restrict(7)
    elsewhere.restrict(8)
    name = elsewhere.store.pseudonym("7")
    with elsewhere.store.writing() as connection:
        connection.execute(sa.delete(changes.change).where(changes.change.c.pseudonym == name))
    cache.poll_changes()
    assert cache.preferences("7").all_suspended


def test_a_store_that_was_put_back_to_an_earlier_state_is_read_again(elsewhere: Subjects, make: Make) -> None:
    cache = make(staleness=NEVER, poll=NEVER / 2)
    elsewhere.restrict(7)
    assert cache.preferences("7").all_suspended
    with elsewhere.store.writing() as connection:
        connection.execute(sa.delete(declaration))
        connection.execute(sa.delete(changes.change))
        connection.execute(sa.update(changes.counter).values(seq=0))
    cache.poll_changes()
    assert cache.preferences("7") is CLEAR


def test_a_process_that_was_halted_looks_before_it_answers(elsewhere: Subjects, make: Make) -> None:
    cache = make(staleness=0.3, poll=0.1)
    assert cache.preferences("7") is CLEAR
    assert cache._watcher is not None
    cache._watcher.stop()  # as if no thread had run
    elsewhere.restrict(7)
    real.sleep(0.31)
    assert cache.preferences("7").all_suspended
    assert cache._watcher.is_alive()


def test_where_no_thread_can_be_started_checks_look_themselves(
    elsewhere: Subjects, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    cache = make(staleness=0.2, poll=0.1)
    assert cache.preferences("7") is CLEAR
    elsewhere.restrict(7)
    until(lambda: cache.preferences("7").all_suspended)


def test_clause_7_without_its_store_a_check_refuses_once_it_is_stale_and_recovers(
    store: Store, subjects: Subjects, make: Make, request: pytest.FixtureRequest
) -> None:
    cache = make(staleness=0.5, poll=0.05)
    assert cache.preferences("7") is CLEAR
    with outage(store, request):
        began = real.monotonic()
        cache._fresh_until = began + 1  # as if it had been looked at just now: to stop a server may take longer
        assert cache.preferences("7") is CLEAR
        with pytest.raises(StoreUnavailable):
            cache.preferences("8")
        assert last_allowed(lambda: not known(cache, "7")) < began + 1
        with pytest.raises(StoreUnavailable):
            subjects.restrict(7)
        assert refusals(cache) == 400
    until(lambda: known(cache, "7"))
    assert cache.preferences("7") is CLEAR
    subjects.restrict(7)
    assert cache.preferences("7").all_suspended


def test_what_changes_during_an_outage_is_in_force_after_it(
    store: Store, elsewhere: Subjects, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make(staleness=0.2, poll=0.05)
    assert cache.preferences("7") is CLEAR

    def lost(*_: object) -> None:
        raise StoreUnavailable("no way to it from here")

    monkeypatch.setattr(store, "_connection", lost)
    until(lambda: not known(cache, "7"))
    elsewhere.restrict(7)
    with elsewhere.store.writing() as connection:  # as long as nobody was told of it
        connection.execute(sa.delete(changes.change))
        connection.execute(sa.update(changes.counter).values(seq=0))
    monkeypatch.undo()
    until(lambda: known(cache, "7"))
    assert cache.preferences("7").all_suspended


def known(cache: PreferenceCache, subject: str) -> bool:
    try:
        cache.preferences(subject)
    except StoreUnavailable:
        return False
    return True


def refusals(cache: PreferenceCache) -> int:
    """How many of 400 checks in eight threads are refused: at once, where to wait 50 times takes 25 seconds or more."""
    counted: list[int] = []

    def check() -> None:
        counted.append(sum(not known(cache, str(number % 3)) for number in range(50)))

    began = real.monotonic()
    in_threads([check] * 8)
    assert real.monotonic() - began < 15
    return sum(counted)


def test_nobody_waits_long_for_a_look_that_does_not_end(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make(staleness=0.2, poll=0.1)
    assert cache.preferences("7") is CLEAR
    looking, going_on = threading.Event(), threading.Event()
    latest = changes.latest_change

    def slow(connection: sa.Connection) -> int:
        if cache._look_ends < real.monotonic() + 1:
            looking.set()
            going_on.wait(120)
        return latest(connection)

    monkeypatch.setattr(changes, "latest_change", slow)
    store.timeout = 0.5
    assert looking.wait(60)  # in the thread that looks: otherwise this one may look itself, and does not go on
    began = real.monotonic()
    until(lambda: not known(cache, "7"))
    with pytest.raises(StoreUnavailable, match=r"does not answer|has not answered"):
        cache.preferences("7")
    assert refusals(cache) == 400
    assert real.monotonic() - began < 30
    store.timeout = PATIENCE
    going_on.set()
    until(lambda: known(cache, "7"))


def test_nobody_waits_long_for_a_server_that_does_not_answer(postgresql: Databases, server_url: str) -> None:
    with Store.open(server_url, timeout=PATIENCE) as store:
        subjects = Subjects(store, tm.NOTICE)
        with closing(PreferenceCache(subjects, staleness=0.4, poll=0.1)) as cache:
            assert cache.preferences("7") is CLEAR
            store.timeout, looks = 0.5, cache.looks
            until(lambda: cache.looks > looks + 1)  # the look under way waits no longer than that
            with postgresql.frozen():
                until(lambda: not known(cache, "7"))
                assert refusals(cache) == 400
            store.timeout = PATIENCE
            until(lambda: known(cache, "7"))
            with Store.open(server_url, timeout=PATIENCE) as patient:
                Subjects(patient, tm.NOTICE).restrict(7)
            until(lambda: known(cache, "7") and cache.preferences("7").all_suspended)


def test_what_was_closed_refuses_and_its_thread_has_ended(make: Make) -> None:
    cache = make()
    cache.preferences("7")
    watcher = cache._watcher
    assert watcher is not None
    cache.close()
    assert not watcher.is_alive()
    with pytest.raises(StoreUnavailable, match=r"was closed"):
        cache.preferences("7")
    cache.poll_changes()
    with pytest.raises(StoreUnavailable, match=r"was closed"):
        cache.preferences("7")
    cache.close()
    cache.resume()
    assert cache.preferences("7") is CLEAR


def test_what_is_read_while_all_begins_anew_is_not_kept(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make()
    look = cache._poll_if_stale

    def interrupted() -> None:
        look()
        cache.close()
        cache.resume()  # of another store, perhaps

    with monkeypatch.context() as patched:
        patched.setattr(cache, "_poll_if_stale", interrupted)
        assert cache.preferences("7") is CLEAR
    assert len(cache) == 0
    assert cache.preferences("7") is CLEAR


def test_what_nobody_holds_any_more_is_not_watched(store: Store) -> None:
    cache = PreferenceCache(Subjects(store, tm.NOTICE), poll=0.01)
    cache.preferences("7")
    watcher, gone = cache._watcher, weakref.ref(cache)
    assert watcher is not None
    del cache
    until(lambda: gc.collect() >= 0 and gone() is None and not watcher.is_alive())
    watcher.stop()


LEFT_OPEN = """
import sys
from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm

subjects = Subjects(Store.open(sys.argv[1]), tm.NOTICE)
cache = PreferenceCache(subjects)
subjects.restrict(7)
print(cache.preferences("7").all_suspended)
"""

FORKED = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: that is what is tried
from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm

subjects = Subjects(Store.open(sys.argv[1]), tm.NOTICE)
cache = PreferenceCache(subjects)
subjects.restrict(7)
assert cache.preferences("7").all_suspended

def wait(subject):
    deadline = time.monotonic() + 60
    while not cache.preferences(subject).all_suspended:
        assert time.monotonic() < deadline
        time.sleep(0.005)

reading, writing = os.pipe()
cache._lock.acquire()  # as another thread may at any moment
child = os.fork()
if child == 0:
    assert cache._watcher is None
    assert cache.preferences("7").all_suspended and not cache.preferences("8").all_suspended
    assert threading.active_count() == 2
    os.write(writing, b"ready")
    wait("8")
    subjects.restrict(9)
    cache.close()
    os._exit(0)
cache._lock.release()
assert os.read(reading, 5) == b"ready"
subjects.restrict(8)
wait("9")
assert cache.preferences("8").all_suspended
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.parametrize(("program", "said"), [(LEFT_OPEN, "True"), (FORKED, "0")], ids=["left open", "forked"])
def test_nothing_is_left_at_exit_or_shared_with_a_forked_child(program: str, said: str, store_url: str) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program, store_url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.stdout.strip(), done.stderr) == (said, "")
