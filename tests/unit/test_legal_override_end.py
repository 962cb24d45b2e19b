"""How long an exception holds, and where."""

from __future__ import annotations

import asyncio
import copy
import datetime
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import NONE_KNOWN
from tests.support import in_threads
from tests.unit.excepted import HOUR, NOON, Case, Row
from tests.unit.marked_rows import reading
from tests.unit.models import P, R, in_a_loop
from tests.unit.samples import revised
from tests.unit.seals import DEVICE, NAME, words


def test_it_ends_at_its_moment() -> None:
    case = Case()
    door = case.door()
    with door as use:
        case.watch.time = NOON + HOUR - datetime.timedelta(microseconds=1)
        assert use.open(NAME, subject=7) == "name"
        case.watch.time = NOON + HOUR
        over = "the exception rescue ended on 2026-06-01 at 13:00 UTC: have another approved"
        for way in (
            lambda: use.open(NAME, subject=7), lambda: use.open_all([NAME], subjects=[7]),
            lambda: use.try_open(NAME, 0, subject=7), lambda: use.check(R, subject=7),
            lambda: use.withhold(Row(key=7)), lambda: _load(case.guard),
        ):  # fmt: skip
            with pytest.raises(pg.PurposeMissing) as caught:
                way()
            assert over in words(caught)
        assert not use.allows(R, subject=7)
        decision = use.explain(R, subject=7)
        assert not decision
        assert decision.reasons == (over,)
        assert use.allows(pg.NotPersonal)
    assert len(case.ledger.denials) == 6
    assert len(case.recorded) == 1


def _load(guard: pg.Guard) -> object:
    @guard.access
    def load() -> Row:
        raise AssertionError

    return load()


def test_one_that_is_over_is_not_entered_and_that_is_on_record() -> None:
    case = Case()
    case.watch.time = NOON + HOUR
    door = case.door()
    with pytest.raises(pg.PurposeMissing, match="ended on 2026-06-01") as caught:
        door.__enter__()
    assert case.ledger.denials == [(caught.value, False)]


def test_a_clock_that_is_set_back_brings_it_not_back() -> None:
    case = Case()
    with case.door() as use:
        case.watch.time = NOON + 2 * HOUR
        with pytest.raises(pg.PurposeMissing):
            use.open(NAME, subject=7)
        case.watch.time = NOON
        with pytest.raises(pg.PurposeMissing):
            use.open(NAME, subject=7)
    with pytest.raises(pg.PurposeMissing):
        case.door().__enter__()


def test_a_stream_ends_with_it() -> None:
    case = Case()
    guard = case.guard

    @guard.access
    def each() -> Iterator[Row]:
        while True:
            yield Row(key=7)

    given = reading(guard, Iterator[Row], lambda: iter([Row(key=7), Row(key=7)]))
    with case.door():
        rows, others = each(), given()
        assert next(rows).key == next(others).key == 7
        case.watch.time = NOON + HOUR
        for late in (rows, others):
            with pytest.raises(pg.PurposeMissing):
                next(late)


def test_it_ends_with_its_block() -> None:
    case = Case()
    with case.door() as use:
        assert repr(use) == "<Use under the exception rescue, active>"
    assert not use.active
    assert repr(use) == "<Use under the exception rescue, not active>"
    with pytest.raises(pg.PurposeMissing):
        use.open(NAME, subject=7)
    assert copy.copy(use) is use
    with pytest.raises(TypeError):
        pickle.dumps(use)


def test_where_denials_are_observed_those_under_an_exception_are_too() -> None:
    case = Case(mode="observe")
    load = reading(case.guard, Row, lambda: Row(key=8))
    some = reading(case.guard, list[Row], lambda: [Row(key=7), Row(key=8)], narrow=True)
    with case.door([7]) as use:
        assert use.open(NAME, subject=7) == use.open(NAME, subject=8) == use.open(NAME) == "name"
        assert load().key == 8
        assert len(some()) == 2
        use.check(R)
        case.watch.time = NOON + HOUR
        assert use.open(NAME, subject=7) == "name"
    with case.door([7]) as over:
        assert over.open(NAME, subject=7) == "name"
    assert all(observed for _, observed in case.ledger.denials)
    assert {type(error) for error, _ in case.ledger.denials} == {pg.SubjectViolation, pg.PurposeMissing}
    # What the exception covers is on record as before, and nothing else as covered by it.
    assert {subject for _, subject, _ in case.recorded} == {"7"}


def test_a_block_may_be_entered_again_and_nested() -> None:
    case = Case()
    door = case.door()
    with case.guard.purpose(P) as outer:
        with door as one:
            with door as other:
                assert other is not one
                assert case.guard.current is other
            assert one.open(DEVICE, subject=7) == "device"
        assert outer.open(NAME) == "name"
        with pytest.raises(pg.PurposeViolation):
            outer.open(DEVICE)
    with door as again:
        assert again.open(DEVICE, subject=7) == "device"
    with pytest.raises(RuntimeError, match="left more often than it was entered"):
        door.__exit__(None, None, None)


def test_a_purpose_within_an_exception_is_a_purpose() -> None:
    case = Case()
    with case.door() as use:
        with case.guard.purpose(P) as inner:
            with pytest.raises(pg.PurposeViolation):
                inner.open(DEVICE)
            assert inner.open(NAME) == "name"
            assert use.open(DEVICE, subject=7) == "device"
        with pytest.raises(pg.PurposeMissing):
            case.guard.use(P)


@in_a_loop
async def test_each_task_has_its_own() -> None:
    case = Case()
    door = case.door("all")

    async def one(wait: asyncio.Event, done: asyncio.Event) -> None:
        async with door as use:
            done.set()
            await wait.wait()
            assert use.open(NAME) == "name"

    first, second, end = asyncio.Event(), asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(one(first, second)), asyncio.create_task(one(end, end))]
    await second.wait()
    first.set()
    await asyncio.gather(*tasks)
    with pytest.raises(RuntimeError):
        door.__exit__(None, None, None)


def test_it_is_not_carried() -> None:
    case = Case()
    with case.door("all"), pytest.raises(pg.PurposeMissing, match="is an exception, which is not carried"):
        case.guard.carry(lambda: None)


def test_another_thread_or_task_has_none() -> None:
    case = Case()

    def elsewhere(use: Any) -> None:
        with pytest.raises(pg.PurposeMissing):
            use.open(NAME)

    async def later(use: Any) -> None:
        elsewhere(use)

    async def run() -> None:
        async with case.door("all") as use:
            await asyncio.create_task(later(use))

    with case.door("all") as use:
        in_threads([lambda: elsewhere(use)])
    asyncio.run(run())
    assert len(case.ledger.denials) == 2
    assert case.recorded == []


def test_its_column_lets_nothing_pass_that_the_use_does_not() -> None:
    with Case().door("all") as use:
        assert not use.handle.get_permissions().decide(R).allowed
        assert not use.handle.get_permissions().decide(R, NONE_KNOWN).allowed
        assert use.open(NAME) == "name"


def test_the_notice_in_force_says_what_sources_there_are() -> None:
    case = Case()
    with case.door("all") as use:
        assert use.open(NAME) == "name"
        case.guard.replace(revised(tm.NOTICE, lambda t: None, "2026-01-01"))
        assert use.open(NAME) == "name"
        fresh: pg.Personal[str, Any] = pg.Personal("new", case.guard.notice.source("1.1(a)"))
        assert use.open(fresh) == "new"

        def drop(t: dict[str, Any]) -> None:
            t["source"] = [row for row in t["source"] if row["id"] != "2.1(c)"]
            for grant in t["grant"]:
                grant["sources"] = [one for one in grant["sources"] if one != "2.1(c)"]

        case.guard.replace(revised(tm.NOTICE, drop, "2026-02-01"))
        with pytest.raises(pg.UnknownSource):
            use.open(pg.Personal("x", tm.WebForm))
