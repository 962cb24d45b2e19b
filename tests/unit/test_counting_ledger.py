"""What a ledger is told of uses: each as it happens where it counts them itself, else at the end, and none is lost."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime import snapshot as columns
from purposeguard.runtime.activity_handle import ActivityHandle
from purposeguard.runtime.observer import Tick
from tests.support import in_threads
from tests.unit.marked_rows import reading
from tests.unit.models import C, D, R
from tests.unit.oversights import Counting
from tests.unit.samples import revised
from tests.unit.seals import DEVICE, NAME

PLAN = pg.Personal("plan", tm.Contract)


class Clicks(Counting):
    """Counts, and notes for what a counter was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str | None, str, pg.Label]] = []
        self.down = False

    def counter(self, activity: Any, purpose: str, label: pg.Label) -> Tick:
        if self.down:
            raise OSError("disk full")
        self.asked.append((activity, purpose, label))
        return super().counter(activity, purpose, label)


def forbidding(source: str, purpose: str) -> Callable[[dict[str, Any]], None]:
    """A revision that forbids what was granted."""

    def change(tables: dict[str, Any]) -> None:
        reason = {"en": "no longer", "ja": "終了"}
        tables["forbid"] = [{"sources": [source], "purposes": [purpose], "reason": reason}]

    return change


@pytest.fixture
def clicks() -> Clicks:
    return Clicks()


@pytest.fixture
def guard(clicks: Clicks) -> pg.Guard:
    return pg.Guard(tm.NOTICE, ledger=clicks)


def test_each_use_is_counted_as_it_happens(guard: pg.Guard, clicks: Clicks) -> None:
    with guard.purpose(tm.RenewalGuidance, activity="it") as use:
        for number in range(1, 4):
            assert use.open(NAME) == "name"
            assert clicks.counts == {("it", "1.2(1)①", R): number}
    assert clicks.uses == []  # nothing is told at the end
    assert clicks.asked == [("it", "1.2(1)①", R)]


def test_every_way_of_using_data_is_counted(guard: pg.Guard, clicks: Clicks) -> None:
    def opened(use: pg.Use[Any]) -> Iterator[tuple[Any, Any]]:
        yield use.open(NAME), "name"
        yield use.open(NAME.map(len)), 4
        yield use.open_all([NAME, NAME]), ["name", "name"]
        yield use.try_open(NAME, None), "name"
        use.check(tm.Registration)

    for times in range(2):  # the first time is the slow one
        with guard.purpose(tm.RenewalGuidance, activity=f"it {times}") as use:
            assert [given for given, expected in opened(use) if given != expected] == []
            assert [given for given, expected in opened(use) if given != expected] == []
            assert use.open_all([]) == []
    assert clicks.counts == {("it 0", "1.2(1)①", R): 12, ("it 1", "1.2(1)①", R): 12}
    assert len(clicks.asked) == 2


def test_several_values_are_counted_each_by_its_label_and_only_where_all_are_opened(
    guard: pg.Guard, clicks: Clicks
) -> None:
    with guard.purpose(tm.RenewalGuidance, activity="it") as use:
        for _ in range(2):
            assert use.open_all([NAME, PLAN, NAME]) == ["name", "plan", "name"]
            with pytest.raises(pg.PurposeViolation):
                use.open_all([NAME, DEVICE])
    assert clicks.counts == {("it", "1.2(1)①", R): 4, ("it", "1.2(1)①", C): 2}


def test_what_is_refused_or_only_observed_or_only_asked_is_not_counted(guard: pg.Guard, clicks: Clicks) -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        assert use.allows(R)
        assert not use.allows(D)
        assert use.try_open(DEVICE, "none") == "none"
        with pytest.raises(pg.PurposeViolation):
            use.open(DEVICE)
    with guard.purpose(tm.RenewalGuidance, mode="observe") as use:
        assert use.open(DEVICE) == "device"
    assert clicks.counts == {}
    assert [observed for _, observed in clicks.denials] == [False, True]


def test_access_functions_are_counted_within_tasks_too(guard: pg.Guard, clicks: Clicks) -> None:
    @guard.access(tm.Registration)
    def read(*parts: str, **more: str) -> str:
        return "".join((*parts, *more.values()))

    @guard.purpose(tm.RenewalGuidance, activity="thread")
    def run() -> str:
        return read() + read("a") + read(b="b")

    @guard.purpose(tm.RenewalGuidance, activity="task")
    async def run_in_task() -> str:
        return read() + read("a") + read(b="b")

    assert run() == "ab"
    assert asyncio.run(run_in_task()) == "ab"
    assert run() == "ab"
    assert clicks.counts == {("thread", "1.2(1)①", R): 6, ("task", "1.2(1)①", R): 3}
    with pytest.raises(pg.PurposeMissing):
        read()


def test_functions_whose_values_are_all_sealed_count_where_they_are_opened(guard: pg.Guard, clicks: Clicks) -> None:
    read = reading(guard, pg.Personal[str, tm.Registration], NAME)
    reading(guard, Annotated[dict[str, str], tm.Registration], dict, withhold=True)
    with guard.purpose(tm.RenewalGuidance, activity="it") as use:
        assert [use.open(read()) for _ in range(3)] == ["name"] * 3
    assert clicks.counts == {("it", "1.2(1)①", R): 3}


def test_a_carried_use_counts_for_the_same_activity(guard: pg.Guard, clicks: Clicks) -> None:
    @guard.purpose(tm.RenewalGuidance, activity="it")
    def run() -> None:
        use = guard.current
        use.open(NAME)
        in_threads([guard.carry(lambda: guard.current.open(NAME))])
        in_threads([guard.carry(lambda: use.open(NAME))])

    run()
    assert clicks.counts == {("it", "1.2(1)①", R): 3}


def test_a_member_of_a_family_is_counted_by_its_own_id(guard: pg.Guard, clicks: Clicks) -> None:
    with guard.purpose(tm.AnyProductGuidance, channel="email", activity="it") as use:
        narrow = guard.use(tm.ProductGuidance)
        for _ in range(2):
            assert use.open(NAME) == "name"
            assert narrow.open(NAME) == "name"
            assert narrow.open_all([NAME]) == ["name"]
    assert clicks.counts == {("it", "AnyProductGuidance", R): 2, ("it", "1.2(1)②", R): 4}
    for ended in (use, narrow):
        with pytest.raises(pg.PurposeMissing):
            ended.open(NAME)
        assert not ended._counted


def test_another_revision_is_asked_at_the_next_use(guard: pg.Guard, clicks: Clicks) -> None:
    read = reading(guard, str, "read", tm.Registration)
    with guard.purpose(tm.RenewalGuidance, activity="it") as use:
        assert use.open(NAME) + use.open(PLAN) + read() == "nameplanread"
        opening, column = use.handle, use.handle.permissions
        guard.replace(revised(tm.NOTICE, forbidding("1.1(a)", "1.2(1)①")))
        assert use._counted == {}
        column.set_counter(opening, R, lambda: None)  # allowed before, and told too late
        assert use._counted == {}
        with pytest.raises(pg.PurposeViolation):
            use.open(NAME)
        with pytest.raises(pg.PurposeViolation):
            read()
        assert use.open(PLAN) == "plan"
    assert clicks.counts == {("it", "1.2(1)①", R): 2, ("it", "1.2(1)①", C): 2}


@pytest.mark.usefixtures("remembers")
def test_openings_that_are_gone_are_not_kept(guard: pg.Guard, clicks: Clicks) -> None:
    def run(number: int) -> None:
        with guard.purpose(tm.RenewalGuidance, activity=f"job {number}") as use:
            use.open(NAME)

    for number in range(20):
        run(number)
    gc.collect()
    handles = [handle for handle in gc.get_objects() if isinstance(handle, ActivityHandle)]
    # A place remembers what was stated there last.
    assert [name for handle in handles if (name := handle.activity.name).startswith("job ")] == ["job 19"]
    assert sum(clicks.counts.values()) == 20
    guard.replace(revised(tm.NOTICE, lambda tables: None))


def test_what_cannot_be_counted_is_not_used(guard: pg.Guard, clicks: Clicks) -> None:
    ran = []

    @guard.access(tm.Registration)
    def read() -> None:
        ran.append(True)

    clicks.down = True
    with guard.purpose(tm.RenewalGuidance, activity="it") as use:
        for act in (read, lambda: use.open(NAME), lambda: use.open_all([NAME])):
            with pytest.raises(OSError, match="disk full"):
                act()
        assert ran == []
        clicks.down = False
        read()
        assert use.open(NAME) == "name"
    assert clicks.counts == {("it", "1.2(1)①", R): 2}


@pytest.mark.usefixtures("remembers")
def test_bare_checks_are_counted_by_no_activity(guard: pg.Guard, clicks: Clicks) -> None:
    ways: list[tuple[Any, Any]] = [
        (tm.Registration, tm.RenewalGuidance), ("1.1a", "1.2(1)-1"), (R, "renewal-guidance"),
        ({"1.1(a)"}, tm.RenewalGuidance), (("1.1(a)",), tm.RenewalGuidance),
    ]  # fmt: skip
    for _ in range(3):
        for sources, purpose in ways:
            guard.check(sources, purpose)
        guard.check(iter(["1.1a"]), tm.RenewalGuidance)
    assert clicks.counts == {(None, "1.2(1)①", R): 18}
    assert len(clicks.asked) == 3 + 3 * 3  # each form once, save what may give others next time
    assert clicks.uses == []
    guard.check(tm.Registration, tm.AnyProductGuidance)
    assert clicks.counts[None, "AnyProductGuidance", R] == 1


def test_a_bare_check_is_decided_anew_by_another_revision_and_channel(guard: pg.Guard, clicks: Clicks) -> None:
    guard.check("2.1", tm.WebSecurityMail, "email")
    guard.check("2.1", tm.WebSecurityMail, "email")
    for _ in range(2):
        with pytest.raises(pg.ChannelViolation):
            guard.check("2.1", tm.WebSecurityMail, "phone")
    guard.replace(revised(tm.NOTICE, forbidding("2.1", "2.2③")))
    with pytest.raises(pg.PurposeViolation):
        guard.check("2.1", tm.WebSecurityMail, "email")
    assert list(clicks.counts.values()) == [2]


def test_what_gives_other_sources_next_time_is_asked_each_time(guard: pg.Guard) -> None:
    class Sources:
        given: tuple[type[pg.Source], ...] = (tm.Registration,)

        def __iter__(self) -> Iterator[type[pg.Source]]:
            return iter(self.given)

    sources = Sources()
    guard.check(sources, tm.RenewalGuidance)
    sources.given = (tm.ProductData,)
    with pytest.raises(pg.PurposeViolation):
        guard.check(sources, tm.RenewalGuidance)


@pytest.mark.usefixtures("remembers")
def test_checks_that_are_remembered_are_bounded(
    guard: pg.Guard, clicks: Clicks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_CHECKS_AT_MOST", 3)
    for blanks in range(10):
        guard.check("1.1(a)" + " " * blanks, tm.RenewalGuidance)
    assert clicks.counts == {(None, "1.2(1)①", R): 10}
    assert len(guard.engine.snapshot.allowed_checks) == 3


def test_another_thread_gets_nothing_by_the_short_way(guard: pg.Guard, clicks: Clicks) -> None:
    told: list[str] = []

    def elsewhere(use: pg.Use[Any]) -> None:
        for act in (lambda: use.open(NAME), lambda: use.open_all([NAME])):
            try:
                act()
            except pg.PurposeMissing as error:
                told.append(str(error))

    with guard.purpose(tm.RenewalGuidance, activity="it") as use:
        use.open(NAME)
        in_threads([lambda: elsewhere(use)])
    assert len(told) == 2
    assert clicks.counts == {("it", "1.2(1)①", R): 1}


def test_no_activity_is_counted_the_short_way_after_a_notice_that_refuses(guard: pg.Guard) -> None:
    first, second = (guard.purpose(tm.RenewalGuidance, activity=activity) for activity in ("one", "two"))
    with first as one, second as two:
        for use in (one, two):
            assert use.open(NAME) == "name"
        guard.replace(revised(tm.NOTICE, forbidding("1.1(a)", tm.RenewalGuidance.clause)))
        for use in (one, two):
            with pytest.raises(pg.PurposeViolation):
                use.open(NAME)
