"""How long a check waits: for the whole of it not above `timeout`, and in the thread of an event loop not at all."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import threading
import time as real
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import closing
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
import trio
from pydantic import TypeAdapter

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import BlockingStoreCall, Governance, changes, loops, preference_cache
from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import CLEAR
from tests.governance.conftest import Databases
from tests.governance.support import PATIENCE, in_event_loop, outage
from tests.governance.test_preferences import Make, make, queries, until
from tests.support import in_threads

__all__ = ["make"]

TIMEOUT = 3
"""Seconds: above those that a look takes on a busy machine."""

HUNG = 2.0
"""Seconds: below `TIMEOUT`, for which whoever asks a silent server waits; above what all else takes."""

ROUNDS = 3
"""Of which the best counts: a machine under load lets everybody wait, too; what blocks, blocks in each round."""


class Slow:
    """Looks that take some time from now on, until the block ends."""

    def __init__(self, patch: pytest.MonkeyPatch, seconds: float) -> None:
        latest = changes.latest_change
        self.begun, self.ended = threading.Event(), threading.Event()

        def slow(connection: sa.Connection) -> int:
            self.begun.set()
            self.ended.wait(seconds)
            return latest(connection)

        patch.setattr(changes, "latest_change", slow)


def asked_at_once(ask: Callable[[], object], threads: int = 12) -> list[tuple[float, bool]]:
    """For each of several threads that ask at once: how long that took, and whether it was answered."""
    outcomes: list[tuple[float, bool]] = []

    def run() -> None:
        began = real.monotonic()
        try:
            ask()
        except StoreUnavailable:
            outcomes.append((real.monotonic() - began, False))
        else:
            outcomes.append((real.monotonic() - began, True))

    in_threads([run] * threads)
    return outcomes


def test_who_waits_for_a_slow_look_is_answered(store: Store, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store.timeout = 60
    cache = make(staleness=60, poll=30)
    assert cache.preferences("7") is CLEAR
    Slow(monkeypatch, 0.5)
    for _ in range(3):
        cache._fresh_until = real.monotonic()  # as if the last look were too long ago
        assert all(answered for _, answered in asked_at_once(lambda: cache.preferences("7")))
    assert cache.refusals.total() == 0


def test_a_look_counts_from_when_it_began(store: Store, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that was long on its way says what held when it was asked for."""
    store.timeout = 1.0
    cache = make(staleness=0.2, poll=0.1)
    Slow(monkeypatch, 0.4)
    with pytest.raises(StoreUnavailable, match=r"does not answer|has not answered"):
        cache.preferences("7")
    monkeypatch.undo()
    store.timeout = PATIENCE
    until(lambda: not raises(lambda: cache.preferences("7")))


@pytest.mark.parametrize("ask", ["one", "many", "all"])
def test_what_changes_during_a_slow_read_counts(
    store_url: str, make: Make, subjects: Subjects, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    subjects.store.timeout = 60
    cache = make(staleness=0.6, poll=0.2)
    cache.poll_changes()
    with Store.open(store_url, timeout=PATIENCE) as other:
        elsewhere = Subjects(other, tm.NOTICE, clock=subjects.clock)
        name = "clause_now" if ask == "all" else "stands"
        patched = getattr(subjects, name)

        def slow(*asked: Any) -> Any:
            present = patched(*asked)
            if ask != "all" or asked[0] == "2.2①":
                monkeypatch.undo()
                elsewhere.restrict(7)
                real.sleep(0.7)
            return present

        subjects.restrict(8, "2.2①")
        if ask == "many":
            assert cache.preferences("7") is CLEAR
        monkeypatch.setattr(subjects, name, slow)
        if ask == "one":
            assert cache.preferences("7").all_suspended
        elif ask == "many":  # of which one is known, and the other is read
            assert [each.all_suspended for each in cache.preferences_of_each(["7", "9"])] == [True, False]
        else:
            assert "7" in {each for group in cache.roster().groups.values() for each in group}


def test_entries_are_read_again_by_one_query_before_they_are_too_old(
    store: Store, subjects: Subjects, make: Make
) -> None:
    cache = make(max_age=240, staleness=60, poll=0.05, maxsize=2_000)
    keys = [str(number) for number in range(1_500)]
    subjects.restrict(7)
    cache.preferences_of_each(keys)

    def end_within(seconds: float) -> bool:
        with cache._lock:
            return any(entry.ends < real.monotonic() + seconds for entry in cache._cache.values())

    with queries(store) as asked:
        for reads in (2, 4):  # by two queries each time
            with cache._lock:
                for key, entry in cache._cache.items():
                    cache._cache[key] = dataclasses.replace(entry, ends=real.monotonic() + 50)
            until(lambda: not end_within(60))  # the last quarter of their time
            assert [key for key in keys if cache.preferences(key).all_suspended] == ["7"]
            assert len(asked) == reads


def test_who_changes_meanwhile_is_not_kept_and_the_others_are(
    subjects: Subjects, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, read = make(max_age=0.5, poll=0.05), subjects.stands_of_each
    cache.preferences_of_each(["7", "8", "9"])

    def overtaken(keys: Any) -> Any:
        present = read(keys)
        monkeypatch.undo()
        subjects.restrict(8)
        return present

    monkeypatch.setattr(subjects, "stands_of_each", overtaken)
    until(lambda: set(cache) == {"7", "9"})
    assert cache.preferences("8").all_suspended


def impatient(url: str) -> Store:
    """A store for which nobody waits longer than `TIMEOUT`. Its server ends nothing so soon: a busy machine is slow."""
    store = Store.open(url, timeout=PATIENCE)
    store.timeout = TIMEOUT
    return store


@pytest.fixture
def silent(server_url: str) -> Iterator[PreferenceCache]:
    with (
        impatient(server_url) as store,
        closing(PreferenceCache(Subjects(store, tm.NOTICE), staleness=0.6, poll=0.1)) as cache,
    ):
        asked_at_once(lambda: cache.preferences_of_each(["7"]), 4)  # several connections, which fall silent
        yield cache


ASKED: dict[str, Callable[[PreferenceCache], object]] = {
    "one": lambda cache: cache.preferences(f"cold {threading.get_ident()}"),
    "many": lambda cache: cache.preferences_of_each([f"{threading.get_ident()} {number}" for number in range(2_500)]),
    "all": lambda cache: cache.roster(),
}


@pytest.mark.parametrize("stale", [False, True], ids=["looked at", "stale"])
@pytest.mark.parametrize("what", ASKED)
def test_one_deadline_bounds_all_waits_of_a_call(
    silent: PreferenceCache, postgresql: Databases, what: str, stale: bool
) -> None:
    with postgresql.frozen():
        if stale:
            real.sleep(0.7)
        outcomes = asked_at_once(lambda: ASKED[what](silent))
        assert {answered for _, answered in outcomes} == {False}
        assert max(took for took, _ in outcomes) < TIMEOUT + HUNG
        until(lambda: silent.failed_looks > 0)
        again = asked_at_once(lambda: ASKED[what](silent))
        assert max(took for took, _ in again) < HUNG
    until(lambda: not raises(lambda: silent.preferences("7")))


def raises(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except StoreUnavailable:
        return True
    return False


def test_who_waits_for_the_same_look_is_refused_at_the_same_time_and_others_at_once(
    silent: PreferenceCache, postgresql: Databases
) -> None:
    with postgresql.frozen():
        real.sleep(0.7)
        ends: list[float] = []

        def ask() -> None:
            assert raises(lambda: silent.preferences("7"))
            ends.append(real.monotonic())

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
            real.sleep(0.03)
        for thread in threads:
            thread.join()
        assert max(ends) - min(ends) < HUNG
        until(lambda: silent.failed_looks > 0)
        for _ in range(20):  # longer than a poll
            began = real.monotonic()
            assert raises(lambda: silent.preferences("7"))
            assert real.monotonic() - began < HUNG
            real.sleep(0.02)
    until(lambda: not raises(lambda: silent.preferences("7")))
    # Those who waited together, for a look that failed or did not end, and the twenty after it.
    assert silent.refusals["look"] >= 20
    assert silent.refusals["look"] + silent.refusals["waited"] >= 12 + 20


def test_a_cursor_of_a_lost_connection_is_closed(server_url: str) -> None:
    cursors: list[Any] = []

    def read(store: Store) -> None:
        with store.reading() as connection, store.reading() as other:
            many = sa.text("SELECT generate_series(1, 100000)").execution_options(yield_per=10)
            rows = connection.execute(many)
            cursors.append(rows.cursor)
            session: Any = connection.connection.driver_connection
            other.execute(sa.select(sa.func.pg_terminate_backend(session.info.backend_pid, 60_000)))
            rows.all()

    with Store.open(server_url) as store:
        for _ in range(2):  # the pool has another connection the second time
            with pytest.raises(StoreUnavailable):
                read(store)
    assert [cursor.closed for cursor in cursors] == [True, True]


@contextlib.asynccontextmanager
async def stalls(most: list[float]) -> AsyncGenerator[None]:
    """Notes the longest time for which the loop stood still meanwhile."""

    async def beat() -> None:
        last = real.monotonic()
        while True:
            await asyncio.sleep(0.001)
            now = real.monotonic()
            most.append(now - last)
            last = now

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()


@pytest.fixture
def governance(server_url: str) -> Iterator[Governance]:
    with impatient(server_url) as store, Governance(store, notice=tm.NOTICE) as governance:
        yield governance


def must_not_stall(governance: Governance, story: Callable[[list[float]], Coroutine[Any, Any, None]]) -> int:
    """Run a story, which notes for how long its loop stood still, until it was short; return how often it was run."""
    for round_ in range(1, ROUNDS + 1):
        most: list[float] = []
        asyncio.run(story(most))
        until(lambda: not raises(lambda: governance.preferences("7")))
        if max(most) < HUNG:
            return round_
    raise AssertionError("the loop stood still in each round")


def test_a_loop_goes_on_while_the_server_is_silent(governance: Governance, postgresql: Databases) -> None:
    async def story(most: list[float]) -> None:
        await governance.ready(["7"])
        assert governance.preferences("7") is CLEAR
        with postgresql.frozen():
            async with stalls(most):
                for subjects in (["cold"], ["7"], ["7"], []):
                    with contextlib.suppress(StoreUnavailable):
                        await governance.ready(subjects)
                        await asyncio.sleep(0.3)
                async with asyncio.timeout(HUNG):
                    with pytest.raises(StoreUnavailable):
                        await governance.ready(["7"])
                with pytest.raises(StoreUnavailable):
                    governance.preferences("7")  # at once

    must_not_stall(governance, story)


def test_those_who_ask_at_once_share_queries(store: Store) -> None:
    with Governance(store, notice=tm.NOTICE, ledger=False, staleness=60) as governance:
        governance.restrict(7)

        async def story() -> None:
            await governance.ready()
            with queries(store) as asked:
                await asyncio.gather(*(governance.ready([number]) for number in range(200)))
                assert len(asked) <= 100  # each turn of the watcher takes those who wait by then
                found = [governance.preferences(str(number)).all_suspended for number in range(200)]
                assert found == [number == 7 for number in range(200)]
                assert len(asked) <= 100
            with pytest.raises(TypeError, match="collection"):
                await governance.ready("7")
            with pytest.raises(ValueError, match="subject"):
                await governance.ready([" "])

        asyncio.run(story())


def test_under_trio_too(store: Store, request: pytest.FixtureRequest) -> None:
    async def story(governance: Governance) -> None:
        await governance.ready(["7"])
        assert governance.preferences("7") is CLEAR
        with pytest.warns(BlockingStoreCall):
            governance.preferences("9")

    async def refused(governance: Governance) -> None:
        await trio.sleep(1.1)
        with pytest.raises(StoreUnavailable):
            await governance.ready(["7"])

    with Governance(store, notice=tm.NOTICE, ledger=False, staleness=60) as governance:
        trio.run(story, governance)
    with Governance(store, notice=tm.NOTICE, ledger=False) as governance:
        assert governance.preferences("7") is CLEAR
        with outage(store, request):
            trio.run(refused, governance)


def test_a_loop_does_not_wait_longer_than_the_timeout(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make(staleness=0.2, poll=0.1)
    cache.preferences("7")
    slow = Slow(monkeypatch, 60)
    assert slow.begun.wait(60)
    store.timeout = 0.4

    async def story(sleep: Callable[[float], Any]) -> None:
        await sleep(0.3)
        began = real.monotonic()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await cache.ready(["7"])
        assert 0.3 < real.monotonic() - began < 20

    asyncio.run(story(asyncio.sleep))
    trio.run(story, trio.sleep)
    slow.ended.set()


def test_what_is_closed_refuses_who_waits(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make(staleness=0.2, poll=0.1)
    cache.preferences("7")
    slow = Slow(monkeypatch, 10)

    async def story() -> None:
        await asyncio.sleep(0.3)
        waiting = asyncio.create_task(cache.ready(["7"]))
        given_up = asyncio.create_task(cache.ready(["8"]))
        await asyncio.sleep(0.05)
        given_up.cancel()
        threading.Timer(0.1, slow.ended.set).start()
        await asyncio.to_thread(cache.close)
        with contextlib.suppress(StoreUnavailable):  # by the look that ended, or because it was closed meanwhile
            await waiting
        with pytest.raises(StoreUnavailable, match="was closed"):
            await cache.ready()

    asyncio.run(story())


def test_a_loop_learns_of_all_subjects_without_waiting_itself(store: Store, subjects: Subjects, make: Make) -> None:
    cache = make()

    async def story() -> None:
        assert not (await cache.aroster()).groups
        subjects.restrict(7)
        roster = await cache.aroster()
        assert list(roster.groups.values()) == [("7",)]
        with queries(store) as asked:
            assert await cache.aroster() is roster
            assert not asked
        store.listeners.discard(cache)  # so that it learns of the next change as if another process made it
        subjects.restrict(8)
        began = real.monotonic()
        while list((await cache.aroster()).groups.values()) != [("7", "8")]:
            assert real.monotonic() < began + 60
            await asyncio.sleep(0.01)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(story())
        trio.run(cache.aroster)


def test_a_roster_that_comes_too_late_is_read_again(
    subjects: Subjects, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task gets on after something else held up the loop for longer than the roster counts."""
    cache = make(staleness=0.3, poll=0.1)
    done = loops.wait_for_future
    late: list[bool] = []
    wanted_at = real.monotonic()

    async def delayed(future: Any, seconds: float) -> bool:
        answered = await done(future, seconds)
        if not late:
            late.append(answered)
            subjects.restrict(7)
            until(lambda: real.monotonic() > wanted_at + 0.7)
        return answered

    monkeypatch.setattr(preference_cache, "wait_for_future", delayed)
    roster = asyncio.run(cache.aroster())
    assert list(roster.groups.values()) == [("7",)]


def test_a_roster_is_waited_for_no_longer_than_the_timeout(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.timeout = 0.4
    cache = make(staleness=0.2, poll=0.1)
    slow = Slow(monkeypatch, 60)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        asyncio.run(cache.aroster())
    slow.ended.set()


@in_event_loop
async def test_where_no_thread_can_be_started_the_loop_asks_itself(
    subjects: Subjects, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    subjects.restrict(7)
    cache = make()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.warns(BlockingStoreCall):
        await cache.ready(["7"])
    assert cache.preferences("7").all_suspended
    with pytest.warns(BlockingStoreCall, match="aroster"):
        assert len((await cache.aroster()).groups) == 1


def test_a_call_that_blocks_a_loop_is_warned_of_once_for_each_place(make: Make) -> None:
    cache = make()

    async def story() -> None:
        for number in range(3):
            cache.preferences(str(number))
        cache.roster()
        cache.preferences("0")

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        asyncio.run(story())
    assert [(each.category, each.filename) for each in told] == [(BlockingStoreCall, __file__)] * 2
    assert "await governance.ready" in str(told[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.preferences("10")  # no loop runs here


def test_ten_thousand_rows_are_one_query_a_batch(store: Store) -> None:
    store.timeout = 60
    with Governance(store, notice=tm.NOTICE, ledger=False) as governance:
        guard = pg.Guard(tm.NOTICE, governance=governance)
        values = [pg.Personal(f"{number}@example.jp", tm.Registration) for number in range(10_000)]
        ids = list(range(10_000))
        with guard.purpose(tm.RenewalGuidance) as use, queries(store) as asked:
            assert len(use.open_all(values, ids)) == 10_000
            assert len(asked) == 10
            for value, subject in zip(values[:100], ids, strict=False):
                use.open(value, subject=subject)
            assert len(asked) == 10


class Owner(pg.PersonalModel):
    id: Annotated[int, pg.Subject]
    name: pg.Personal[str, tm.Registration]


@pytest.mark.parametrize("options", [{}, {"narrow": True}, {"withhold": True}], ids=str)
def test_a_list_with_seals_is_one_query_a_batch_and_its_dump_none(store: Store, options: dict[str, Any]) -> None:
    with Governance(store, notice=tm.NOTICE, ledger=False) as governance:
        guard = pg.Guard(tm.NOTICE, governance=governance)

        @guard.access(**options)
        def owners() -> list[Owner]:
            return [Owner.model_validate({"id": number, "name": "Aiko"}) for number in range(2_500)]

        with guard.purpose(tm.RenewalGuidance), queries(store) as asked:
            rows = owners()
            assert len(asked) == 3
            assert TypeAdapter(list[Owner]).dump_python(rows)[-1] == {"id": 2_499, "name": "Aiko"}
            assert len(asked) == 3


def test_a_batch_stops_when_a_consent_is_withdrawn_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with Governance(store, notice=tm.NOTICE, ledger=False) as governance:
        guard = pg.Guard(tm.NOTICE, governance=governance)
        values = [pg.Personal(f"{number}@example.jp", tm.Registration) for number in range(5)]
        each = governance.preferences_of_each
        asked: list[Any] = []

        def overtaken(subjects: Any) -> Any:
            present = each(subjects)
            if not asked:
                asked.append(governance.restrict(3, tm.RenewalGuidance))
            return present

        monkeypatch.setattr(governance, "preferences_of_each", overtaken)
        with guard.purpose(tm.RenewalGuidance) as use:
            with pytest.raises(pg.SubjectViolation):
                use.open_all(values, range(5))
            governance.lift(asked[0], at=datetime.datetime.now(datetime.UTC))
            assert len(use.open_all(values, range(5))) == 5
