"""Clause 8: what may be kept no longer is erased, by the application's erasers, once, whatever happens meanwhile."""

import datetime
import functools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, date, timedelta

import pytest
import sqlalchemy as sa

import purposeguard as pg
from purposeguard.errors import StoreUnavailable, SweepRefused
from purposeguard.governance.erasers import Erasers
from purposeguard.governance.retention import RetentionJob, RetentionOutcome, part
from purposeguard.governance.store import Store
from purposeguard.notice.retention import Periods
from purposeguard.runtime.clock import Clock
from tests.governance.support import Entries, Rows, raising
from tests.support import in_threads
from tests.unit.command_line import ROOT
from tests.unit.samples import tables

NOW = datetime.datetime(2026, 6, 15, 3, 0, tzinfo=UTC)
TODAY = NOW.date()


def noticed(*periods, timezone="UTC") -> pg.Notice:
    rows = [dict(zip(("source", "days", "from"), row, strict=False)) for row in periods]
    made = tables() | {"timezone": timezone}
    made["retention"] = {"clause": "8", "starts": "end-of-use", "bases": ["law"], "after": "law-only", "period": rows}
    return pg.Notice.parse(made)


def counts(ledger):
    erased: dict[str, int] = {}
    for body in ledger.of("erasure"):
        erased[body["eraser"]] = erased.get(body["eraser"], 0) + body["count"]
    return erased


NOTICE = noticed(("1(a)", 30), ("2", 7, "collection"))


def days_ago(count):
    return TODAY - timedelta(days=count)


def swept(store, *erasers, notice=NOTICE, ledger=None, now=NOW):
    """A sweep of erasers, each with its sources."""
    register = Erasers(notice)
    for number, (made, *sources) in enumerate(erasers):
        options = sources.pop() if isinstance(sources[-1], dict) else {}
        register.register(*sources, **{"name": f"e{number}", **options})(made)
    return RetentionJob(store, notice, register, clock=Clock(lambda: now), ledger=ledger)


def done(outcome):
    return {one.eraser: one.done for one in outcome.parts}


def test_clause_8_a_plan_lists_what_is_due_and_erases_nothing(store):
    rows = Rows({number: days_ago(number) for number in range(100)})
    visits = Rows({number: days_ago(number) for number in range(100)})
    plan = swept(store, (rows, "1(a)"), (visits, "2", {"counted": "collection"})).plan()
    assert [(one.eraser, one.sources, one.before, one.count) for one in plan.parts] == [
        ("e0", ("1(a)",), days_ago(30), 69),
        ("e1", ("2",), days_ago(7), 92),
    ]
    assert plan.count == 161
    assert plan.resumes is None
    assert not plan.unserved
    assert len(rows.rows) == len(visits.rows) == 100
    assert not rows.batches


def test_what_is_due_is_what_is_refused(store):
    """The day that erasers are asked for is the one from which a use is refused."""
    notice = noticed(("2", 30, "collection"))
    rows = Rows({days: days_ago(days) for days in range(25, 35)})
    (one,) = swept(store, (rows, "2", {"counted": "collection"}), notice=notice).plan().parts

    late = {
        days for days, day in rows.rows.items() if Periods(notice.document).overdue(["2"], collected=day, today=TODAY)
    }
    assert set(rows.due(one.before)) == late == set(range(31, 35))


def test_days_are_those_of_the_notice(store):
    notice = noticed(("1(a)", 30), timezone="Asia/Tokyo")
    late = datetime.datetime(2026, 6, 15, 15, 0, tzinfo=UTC)  # the 16th in Tokyo
    (one,) = swept(store, (Rows({}), "1(a)"), notice=notice, now=late).plan().parts
    assert one.before == date(2026, 5, 17)


def test_of_several_sources_the_shortest_period_counts(store):
    notice = noticed(("1(a)", 30), ("1(b)", 7), ("2", 3, "collection"))
    (one,) = swept(store, (Rows({}), "1(a)", "1(b)", "2"), notice=notice).plan().parts
    assert one.period.days == 7
    (one,) = swept(store, (Rows({}), "1"), notice=notice).plan().parts
    assert one.period.days == 7


def test_without_a_period_nothing_is_due(store):
    rows = Rows({1: date.min})
    plan = swept(store, (rows, "1(b)"), (rows, "2"), notice=noticed(("2", 10**9, "collection"))).plan()
    assert [(one.period, one.before, one.count) for one in plan.parts] == [(None, None, 0)] * 2
    long = swept(store, (rows, "2", {"counted": "collection"}), notice=noticed(("2", 10**9, "collection")))
    assert long.plan().count == 0
    assert done(long.run(max_share=1)) == {"e0": 0}
    assert not rows.asked


def test_periods_that_no_eraser_serves_are_told(store):
    notice = noticed(("1", 30), ("2", 7, "collection"), ("2", 300), ("1(b) router", 3))

    def left(*erasers):
        return [(one.source, one.days) for one in swept(store, *erasers, notice=notice).plan().unserved]

    assert left() == [("1", 30), ("2", 7), ("2", 300), ("1(b) router", 3)]
    assert left((Rows({}), "1(a)"), (Rows({}), "2")) == [("1", 30), ("2", 7), ("1(b) router", 3)]
    every = (Rows({}), "1(a)"), (Rows({}), "1(b)", "1(b) router"), (Rows({}), "2")
    assert left(*every, (Rows({}), "2", {"counted": "collection"})) == []
    assert left((Rows({}), "1")) == [("2", 7), ("2", 300), ("1(b) router", 3)]


def needed_by_law(*bases):
    """A notice by which law needs data of visits for ten days; `bases` are those of its two purposes."""
    made = noticed(("1(a)", 30)).dump()
    for purpose, basis in zip(made["grant"][2]["purpose"], bases, strict=True):
        purpose["basis"] = basis
    made["retention"]["law"] = [{"source": "2", "days": 10}, {"source": "1(a)", "days": 90}]
    return pg.Notice.parse(made)


def test_data_that_law_alone_lets_be_used_is_due_when_law_needs_it_no_more(store):
    notice, rows = needed_by_law("law", "law"), Rows({number: days_ago(number) for number in range(20)})
    job = swept(store, (rows, "2"), notice=notice)
    (part,) = job.plan().parts
    assert (part.period.days, part.before, part.count) == (10, days_ago(10), 9)
    assert done(job.run(max_share=1)) == {"e0": 9}
    assert [(period.source, period.days) for period in job.plan().unserved] == [("1(a)", 30)]
    assert [(period.source, period.days) for period in swept(store, notice=notice).plan().unserved] == [
        ("1(a)", 30),
        ("2", 10),
    ]
    guard = pg.Guard(notice, clock=lambda: NOW)
    for days, allowed in ((10, True), (11, False)):  # nothing may use what is erased
        assert guard.allows("2", "4①", subject=pg.RowContext(ended=days_ago(days))) is allowed
    assert swept(store, (rows, "2", {"counted": "collection"}), notice=notice).plan().count == 0


@pytest.mark.parametrize("bases", [("law", "contract"), ("contract", "contract")])
def test_the_period_of_law_ends_no_other_use(store, bases):
    notice, rows = needed_by_law(*bases), Rows({1: days_ago(20)})
    plan = swept(store, (rows, "2"), (Rows({2: days_ago(20)}), "1(a)"), notice=notice).plan()
    assert [(part.period and part.period.days, part.count) for part in plan.parts] == [(None, 0), (30, 0)]
    assert not plan.unserved


def test_an_eraser_that_cannot_say_what_is_due_is_told(store):
    broken, rows = Rows({}, due=raising(RuntimeError("hanako@example.jp"))), Rows({1: date.min})
    plan = swept(store, (broken, "1(a)"), (rows, "1(a)")).plan()
    assert "failed with RuntimeError in line" in plan.parts[0].problem
    assert "hanako" not in plan.parts[0].problem
    assert plan.parts[1].count == 1


def test_clause_8_a_run_erases_in_batches_and_counts_each(store):
    rows = Rows({number: days_ago(number) for number in range(100)})
    ledger, steps = Entries(store), []
    outcome = swept(store, (rows, "1(a)"), ledger=ledger).run(
        max_share=1, batch=25, told=lambda *step: steps.append(step)
    )
    assert outcome.good
    assert done(outcome) == {"e0": 69}
    assert sorted(rows.rows) == list(range(31))
    assert [len(batch) for batch in rows.batches] == [25, 25, 19]
    assert steps == [("e0", 25), ("e0", 25), ("e0", 19)]
    assert ledger.of("erasure")[0] == {"sweep": 1, "eraser": "e0", "sources": ["1(a)"], "count": 25}
    assert ledger.of("sweep") == [
        {"sweep": 1, "step": "begun", "erasers": ["e0"]},
        {"sweep": 1, "step": "ended", "erased": {"e0": 69}},
    ]
    assert counts(ledger) == {"e0": 69}
    again = swept(store, (rows, "1(a)"), ledger=ledger).run(max_share=1)
    assert (again.number, done(again), again.good) == (2, {"e0": 0}, True)


def test_an_eraser_that_fails_stops_and_the_others_go_on(store):
    class Failing(Rows):
        broken = True

        def erase(self, keys):
            if self.broken and len(self.batches) == 1:
                raise OSError("hanako@example.jp")
            super().erase(keys)

    failing = Failing(dict.fromkeys(range(10), date.min))
    rows = Rows(dict.fromkeys(range(10), date.min))
    ledger = Entries(store)
    outcome = swept(store, (failing, "1(a)"), (rows, "1(a)"), ledger=ledger).run(max_share=1, batch=4)
    assert done(outcome) == {"e0": 4, "e1": 10}
    assert not outcome.good
    assert "`e0` failed with OSError in line" in outcome.parts[0].problem
    assert "hanako" not in outcome.parts[0].problem
    plan = swept(store, (failing, "1(a)"), (rows, "1(a)")).plan()
    assert (plan.resumes, plan.parts[0].count, plan.parts[0].pending) == (1, 6, 4)

    failing.broken = False
    outcome = swept(store, (failing, "1(a)"), (rows, "1(a)"), ledger=ledger).run(max_share=1, batch=4)
    assert (outcome.number, outcome.good, done(outcome)) == (1, True, {"e0": 10, "e1": 10})
    assert counts(ledger) == {"e0": 10, "e1": 10}


def test_keys_of_all_kinds_come_back_as_they_were(store):
    keys = [7, "7", uuid.UUID(int=7), "hanako@example.jp", -1, 2**70]

    class Failing(Rows):
        def erase(self, keys):
            super().erase(keys)
            if len(self.batches) == 1:
                raise OSError

    rows = Failing(dict.fromkeys(keys, date.min))
    swept(store, (rows, "1(a)")).run(max_share=1)
    swept(store, (rows, "1(a)")).run(max_share=1)
    assert rows.batches == [tuple(keys)] * 2
    assert [type(key) for key in rows.batches[1]] == [type(key) for key in keys]


def test_what_cannot_be_a_key_is_told(store):
    rows = Rows({}, due=lambda _: [1, 2.5])
    (one,) = swept(store, (rows, "1(a)")).run(max_share=1).parts
    assert one.problem == "`due` gives keys, which are int, text or UUID, and gave a float"
    assert not rows.batches


def test_a_key_twice_is_one(store):
    kept = Rows({1: date.min, 2: date.min})
    rows = Rows({}, due=lambda before: kept.due(before) * 2, erase=kept.erase)
    assert done(swept(store, (rows, "1(a)")).run(max_share=1)) == {"e0": 2}


def test_what_is_still_due_afterwards_is_told(store):
    outcome = swept(store, (Rows({1: date.min}, erase=lambda _: None), "1(a)")).run(max_share=1)
    assert outcome.parts[0].left
    assert outcome.ended
    assert not outcome.good


def test_no_key_stays_in_the_store(store):
    swept(store, (Rows({"hanako@example.jp": date.min}), "1(a)")).run(max_share=1)
    with store.reading() as connection:
        assert connection.execute(sa.select(part.c.pending)).scalars().all() == [None]


def test_what_another_takes_over_is_given_up(store):
    inside: list[RetentionOutcome] = []
    rows = Rows(dict.fromkeys(range(6), date.min))

    class Slow(Rows):
        def erase(self, keys):
            if not inside:
                inside.append(swept(store, (rows, "1(a)"), ledger=ledger).run(max_share=1, batch=2))
            super().erase(keys)

    ledger = Entries(store)
    slow = Slow({})
    slow.rows = rows.rows
    with pytest.raises(StoreUnavailable, match="taken over this sweep"):
        swept(store, (slow, "1(a)"), ledger=ledger).run(max_share=1, batch=2)
    assert inside[0].good
    assert counts(ledger) == {"e0": 6}
    assert not rows.rows


def test_two_that_begin_at_once_are_one_sweep(store_url):
    with Store.open(store_url, timeout=60) as one, Store.open(store_url, timeout=60) as other:
        numbers: list[int | None] = []

        def work(store):
            try:
                numbers.append(swept(store, (Rows({1: date.min}), "1(a)")).run(max_share=1).number)
            except StoreUnavailable:
                numbers.append(None)

        for _ in range(5):
            in_threads(functools.partial(work, store) for store in (one, other))
            assert swept(one).plan().resumes is None
    assert any(numbers)


def test_an_eraser_that_is_gone_while_its_batch_was_under_way_is_told(store):
    swept(store, (Rows({1: date.min}, erase=raising(OSError())), "1(a)", {"name": "old"})).run(max_share=1)
    sweep = swept(store, (Rows({}), "1(a)", {"name": "new"}))
    assert "no eraser of this name" in sweep.plan().parts[1].problem
    outcome = sweep.run(max_share=1)
    assert "no eraser of this name" in outcome.parts[1].problem
    assert not outcome.ended
    rows = Rows({})
    assert swept(store, (rows, "1(a)", {"name": "old"})).run(max_share=1).good
    assert rows.batches == [(1,)]


@pytest.mark.parametrize("max_share", [{}, {"max_share": 0}], ids=["by default", "of nothing"])
def test_a_batch_whose_eraser_is_gone_does_not_stop_the_others(store, max_share):
    """Nobody knows how much such an eraser has, so its batch is no share of anything."""
    swept(store, (Rows({1: date.min}, erase=raising(OSError())), "1(a)", {"name": "old"})).run(max_share=1)
    rows = Rows({number: days_ago(number if max_share == {} else 0) for number in range(34)})
    outcome = swept(store, (rows, "1(a)", {"name": "new"})).run(**max_share)
    assert done(outcome) == {"new": 0 if max_share else 3, "old": 0}
    assert "no eraser of this name" in outcome.parts[1].problem
    assert not outcome.good


def test_a_batch_whose_eraser_cannot_say_what_is_due_does_not_stop_the_others(store):
    swept(store, (Rows({1: date.min}, erase=raising(OSError())), "1(a)")).run(max_share=1)
    unable = Rows({1: date.min}, due=raising(OSError()))
    rows = Rows({number: days_ago(number) for number in range(34)})
    outcome = swept(store, (unable, "1(a)"), (rows, "1(a)")).run()
    assert unable.batches == [(1,)]
    assert done(outcome) == {"e0": 1, "e1": 3}
    assert "`e0.due` failed with OSError" in outcome.parts[0].problem
    assert not outcome.ended


def test_without_the_store_nothing_is_erased(store):
    rows = Rows({1: date.min})
    sweep = swept(store, (rows, "1(a)"))
    store.close()
    for act in (sweep.plan, sweep.run):
        with pytest.raises(StoreUnavailable):
            act()
    assert not rows.batches


@pytest.mark.parametrize("batch", [0, -1, 2.5, True])
def test_a_batch_is_a_number(store, batch):
    with pytest.raises(ValueError, match="batch"):
        swept(store).run(max_share=1, batch=batch)


def test_erasers_are_classes_or_objects():
    erasers = Erasers(NOTICE)

    @erasers.register("1(a)")
    class Accounts(Rows):
        def __init__(self) -> None:
            super().__init__({1: TODAY})

    rows = Rows({})
    assert erasers.register(NOTICE.source("2"), counted="collection", name="visits")(rows) is rows
    assert isinstance(Accounts, type)
    assert len(list(erasers)) == 2
    assert [(one.name.rpartition(".")[2], one.counted, one.clauses(NOTICE)) for one in erasers] == [
        ("Accounts", "end-of-use", ("1(a)",)),
        ("visits", "collection", ("2",)),
    ]
    label = pg.Label(NOTICE.source("1(a)"), NOTICE.source("2"))
    erasers.register(label, name="both")(rows)
    assert [one.clauses(NOTICE) for one in erasers][2] == ("1(a)", "2")


def test_what_is_no_eraser_is_refused():
    erasers = Erasers(NOTICE)

    class Async(Rows):
        async def erase(self, keys):  # type: ignore[override]  # what is tested
            pass

    for wrong in (object(), Async({})):
        with pytest.raises(TypeError, match=r"`due`|`erase`"):
            erasers.register("1(a)")(wrong)
    erasers.register("1(a)", name="one")(Rows({}))
    with pytest.raises(ValueError, match="there is an eraser called `one`"):
        erasers.register("1(a)", name="one")(Rows({}))
    with pytest.raises(ValueError, match="name"):
        erasers.register("1(a)", name=" ")(Rows({}))
    with pytest.raises(ValueError, match="sources"):
        erasers.register()
    with pytest.raises(ValueError, match="counted"):
        erasers.register("1(a)", counted="birth")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(pg.UnknownSource):
        erasers.register("9(z)")


def test_an_eraser_of_a_source_that_the_notice_has_no_more_is_told(store):
    rows = Rows({1: date.min})
    register = Erasers(NOTICE)
    register.register("2", counted="collection", name="visits")(rows)
    later = tables() | {"retention": NOTICE.dump()["retention"] | {"period": []}}
    del later["derivation"], later["family"]
    later["source"], later["grant"] = later["source"][:3], later["grant"][:2]
    sweep = RetentionJob(store, pg.Notice.parse(later), register, clock=Clock(lambda: NOW))
    assert "unknown source `2`" in str(sweep.plan().parts[0].problem)
    assert "unknown source `2`" in str(sweep.run(max_share=1).parts[0].problem)
    assert rows.rows


SWEEPING = textwrap.dedent(
    """
    import datetime, sqlite3, sys, time
    from purposeguard.runtime.clock import Clock
    from tests.governance.test_retention import NOTICE, NOW, Erasers, Store, RetentionJob, Ledger

    url, application = sys.argv[1:]
    rows = sqlite3.connect(application, isolation_level=None)


    class Accounts:
        def due(self, before):
            return [key for key, in rows.execute("SELECT id FROM account WHERE ended < ?", [before.isoformat()])]

        def erase(self, keys):
            for key in keys:
                rows.execute("DELETE FROM account WHERE id = ?", [key])


    erasers = Erasers(NOTICE)
    erasers.register("1(a)", name="accounts")(Accounts())
    with Store.open(url, timeout=60) as store:
        print("begun", flush=True)
        RetentionJob(store, NOTICE, erasers, clock=Clock(lambda: NOW), ledger=Ledger(store)).run(max_share=1, batch=20)
    rows.close()
    """
)


class Ledger:
    """A ledger in the store: a table of its own."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def append_in(self, connection, kind, body):
        if kind == "erasure":
            connection.execute(sa.text("INSERT INTO told (count) VALUES (:count)"), {"count": body["count"]})


def killed_and_resumed(store, store_url, folder, rounds, seed) -> Iterator[int]:
    """Kills sweeps at random moments and lets a last one end; what was left each time."""
    total, overdue = 400, 300
    application = folder / f"application-{seed}.db"
    rows = sqlite3.connect(application, isolation_level=None)
    rows.execute("PRAGMA synchronous=OFF")
    rows.execute("PRAGMA journal_mode=WAL")
    rows.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, ended TEXT NOT NULL)")
    days = [(number, days_ago(31 if number < overdue else 30).isoformat()) for number in range(total)]
    rows.executemany("INSERT INTO account VALUES (?, ?)", days)
    with store.writing() as connection:
        connection.execute(sa.text("DELETE FROM told"))
    dice = random.Random(seed)
    for last in (*[False] * rounds, True):
        process = subprocess.Popen(
            [sys.executable, "-c", SWEEPING, store_url, str(application)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            if not last:
                time.sleep(dice.uniform(0, 0.05))
                process.send_signal(signal.SIGKILL)
            process.wait()
        assert process.returncode == (0 if last else -signal.SIGKILL) or not last
        yield rows.execute("SELECT count(*) FROM account").fetchone()[0]
    kept = [key for (key,) in rows.execute("SELECT id FROM account ORDER BY id")]
    assert kept == list(range(overdue, total))
    with store.reading() as connection:
        assert connection.execute(sa.text("SELECT sum(count) FROM told")).scalar_one() == overdue
    rows.close()


@pytest.fixture
def told(store):
    with store.writing() as connection:
        connection.execute(sa.text("CREATE TABLE told (count INTEGER NOT NULL)"))


@pytest.mark.processes
def test_a_sweep_that_is_killed_is_gone_on_with_and_counts_each_erasure_once(store, store_url, told, tmp_path):
    left = list(killed_and_resumed(store, store_url, tmp_path, rounds=2, seed=8))
    assert left[-1] == 100
    assert left == sorted(left, reverse=True)


@pytest.mark.deep
def test_sweeps_killed_many_times(store, store_url, told, tmp_path):
    partly = 0
    for seed in range(20):
        left = list(killed_and_resumed(store, store_url, tmp_path, rounds=4, seed=seed))
        partly += sum(100 < one < 400 for one in left)
    assert partly > 10


def test_a_sweep_erases_nothing_where_more_is_due_than_it_may(store):
    """A clock that is ten years ahead makes everything due."""
    rows = Rows({number: days_ago(number) for number in range(20)})
    sweep = swept(store, (rows, "1(a)"), now=NOW + timedelta(days=3650))
    assert [(one.count, one.known, one.share) for one in sweep.plan().parts] == [(20, 20, 1)]
    with pytest.raises(SweepRefused, match="20 of the 20 things that eraser e0 knows are due"):
        sweep.run()
    assert len(rows.rows) == 20
    # One eraser that would erase too much stops all of them.
    small = Rows({n: days_ago(n) for n in range(34)})
    with pytest.raises(SweepRefused, match="2 of the 2 things that eraser e1 knows"):
        swept(store, (small, "1(a)"), (Rows({0: date.min, 1: date.min}), "1(a)")).run()
    assert len(small.rows) == 34


def test_it_erases_what_is_within_the_share_and_more_when_told_to(store):
    rows = Rows({number: days_ago(number) for number in range(34)})  # three are due
    assert done(swept(store, (rows, "1(a)")).run()) == {"e0": 3}
    rows = Rows({number: days_ago(number) for number in range(62)})
    with pytest.raises(SweepRefused):
        swept(store, (rows, "1(a)")).run(max_share=0.49)
    assert done(swept(store, (rows, "1(a)")).run(max_share=0.5)) == {"e0": 31}


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), True, "1"])
def test_a_share_is_a_number_from_0_to_1(store, share):
    with pytest.raises(ValueError, match="max_share"):
        swept(store).run(max_share=share)


def test_an_eraser_that_cannot_say_how_much_it_knows_erases_nothing(store):
    class Unsure(Rows):
        def due(self, before):
            if before.year > 9000:
                raise OverflowError
            return super().due(before)

    rows = Unsure(dict.fromkeys(range(5), date.min))
    outcome = swept(store, (rows, "1(a)")).run(max_share=1)
    assert "e0.due` failed with OverflowError" in str(outcome.parts[0].problem)
    assert not outcome.good
    assert len(rows.rows) == 5


@pytest.mark.parametrize("days", [3650, -3650])
def test_a_sweep_refuses_at_a_time_that_is_not_sure(store, days):
    now, elapsed = [NOW], [0.0]
    rows = Rows({number: days_ago(number) for number in range(34)})
    sweep = RetentionJob(
        store, NOTICE, swept(store, (rows, "1(a)"))._erasers, clock=Clock(lambda: now[0], lambda: elapsed[0])
    )
    assert sweep.plan().count == 3
    now[0] += timedelta(days=days)
    assert sweep.plan().count == (3 if days > 0 else 0)  # what is not due for sure is not listed
    with pytest.raises(SweepRefused, match=r"the clock was set, or has jumped, by 3650 days"):
        sweep.run(max_share=1)
    assert len(rows.rows) == 34
    now[0] -= timedelta(days=days)  # put right
    assert sweep.run().good
    now[0] += timedelta(days=3)  # the machine was asleep, which both clocks count
    elapsed[0] += 3 * 24 * 3600
    assert done(sweep.run()) == {"e0": 3}
