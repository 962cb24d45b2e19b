"""Observers of an engine: told of each decision once, by whom it was asked, and whether data is about to be used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.guard import GUARD_LISTENERS
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.table import PolicyTable
from purposeguard.policy.verdict import Verdict
from purposeguard.policy.violations import violation_class
from purposeguard.runtime.observer import Observer
from purposeguard.runtime.snapshot import PolicySnapshot
from tests.unit.models import D, MarkedCustomer, R, guard
from tests.unit.samples import revised

pytestmark = pytest.mark.usefixtures("remembers")

NAME: pg.Personal[str, tm.Registration] = pg.Personal("Aiko", tm.Registration)


class Recorder:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.decisions: list[tuple[pg.Label, bool, bool, str | None, str | None]] = []
        self.events: list[str] = []

    def decided(self, verdict: Verdict, *, used: bool, activity: Any, access: Any, field: str | None) -> None:
        function = None if access is None else access.name.rpartition(".")[2]
        self.decisions.append((verdict.label, verdict.allowed, used, function, field))
        self.events.append("decided" if activity is None else f"decided for {activity.name}")

    def denied(self, error: BaseException, *, observed: bool) -> None:
        self.events.append(f"{'observed' if observed else 'denied'} {type(error).__name__}")

    def entered(self, activity: Any) -> None:
        self.events.append(f"entered {activity.name}")

    def called(self, access: Any) -> None:
        self.events.append(f"called {access.name.rpartition('.')[2]}")

    def replaced(self) -> None:
        self.events.append("replaced")


@guard.access(tm.Registration)
def load() -> str:
    return "a@example.com"


@guard.access(withhold=True)
def customers() -> list[MarkedCustomer]:
    return [MarkedCustomer(7, "a@example.com", "TM")]


@pytest.fixture
def told() -> Iterator[Recorder]:
    recorder = Recorder()
    guard.engine.add_observer(recorder)
    yield recorder
    guard.engine.remove_observer(recorder)
    assert not guard.engine.observers.want_each
    assert not guard.engine.snapshot.observed


def test_questions_and_uses_are_told_apart(told: Recorder) -> None:
    assert guard.allows("1.1a", "1.2(1)①")
    guard.check("1.1a", "1.2(1)①")
    assert not guard.explain("1.1b", "1.2(1)①")
    with guard.purpose(tm.RenewalGuidance, activity="renewals") as use:
        assert use.open(NAME) == "Aiko"
        assert not use.allows(D)
        assert use.explain(R)
        assert use.try_open(pg.Personal("TM", tm.ProductData), None) is None
        assert load() == "a@example.com"
    assert told.decisions == [
        (R, True, False, None, None), (R, True, True, None, None), (D, False, False, None, None),
        (R, True, True, None, None), (D, False, False, None, None), (R, True, False, None, None),
        (D, False, True, None, None), (R, True, True, "load", None),
    ]  # fmt: skip
    assert "called load" in told.events
    assert "entered renewals" in told.events
    assert "decided for renewals" in told.events


def test_a_field_that_is_looked_at_is_named(told: Recorder) -> None:
    with guard.purpose(tm.RenewalGuidance):
        (customer,) = customers()
    assert customer.email == "a@example.com"
    assert {one[4]: one[1] for one in told.decisions} == {"email": True, "device": False}


def test_nothing_is_remembered_meanwhile_and_again_afterwards() -> None:
    recorder, other = Recorder(), Recorder()
    engine = guard.engine
    with guard.purpose(tm.RenewalGuidance) as use:
        use.open(NAME)
        assert R in use._allowed_labels
        engine.add_observer(recorder)
        engine.add_observer(other)
        assert use.open(NAME) + use.open(NAME) == "AikoAiko"
        engine.remove_observer(recorder)
        assert use.open(NAME) == "Aiko"
        engine.remove_observer(other)
        engine.remove_observer(other)  # who does not listen leaves nothing
    assert [len(one.decisions) for one in (recorder, other)] == [2, 3]
    with guard.purpose(tm.RenewalGuidance) as use:
        use.open(NAME)
        assert R in use._allowed_labels


def test_refusals_are_told_before_they_are_raised(told: Recorder) -> None:
    with pytest.raises(pg.PurposeViolation):
        guard.check("1.1b", "1.2(1)①")
    with pytest.raises(pg.PurposeMissing):
        load()
    assert told.events == ["decided", "denied PurposeViolation", "called load", "denied PurposeMissing"]
    observing, recorder = pg.Guard(tm.NOTICE, mode="observe"), Recorder()
    observing.engine.add_observer(recorder)
    observing.check("1.1b", "1.2(1)①")
    assert recorder.events[-1] == "observed PurposeViolation"


def test_a_replacement_is_told_and_another_table_may_stand_in() -> None:
    watched, recorder = pg.Guard(tm.NOTICE), Recorder()
    engine = watched.engine
    engine.add_observer(recorder)
    watched.replace(revised(tm.NOTICE, lambda tables: None))
    assert recorder.events == ["replaced"]
    compiled = engine.table
    engine.install_table(PolicyTable(watched.notice))
    assert engine.snapshot.matrix is not compiled
    engine.remove_observer(recorder)
    assert engine.snapshot.matrix is compiled


def test_whoever_listens_is_told_of_each_guard_that_is_made() -> None:
    made: list[pg.Guard] = []
    GUARD_LISTENERS.append(made.append)
    try:
        new = pg.Guard(tm.NOTICE)
    finally:
        GUARD_LISTENERS.remove(made.append)
    assert made == [new]


@guard.access(tm.ProductData)
def marked() -> list[MarkedCustomer]:
    raise AssertionError("it is refused before")


def test_what_lies_outside_of_rows_is_refused_before_they_are_read(told: Recorder) -> None:
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation):
        marked()
    assert [one[:3] for one in told.decisions] == [(D, False, True)]


def test_an_allowed_use_has_no_error() -> None:
    with pytest.raises(ValueError, match="allows the use"):
        violation_class(guard.explain("1.1a", "1.2(1)①"))


def test_sources_that_cannot_be_told_apart_are_no_sources() -> None:
    with pytest.raises(pg.UnknownSource):
        guard.allows([["1.1a"]], "1.2(1)①")  # type: ignore[list-item]  # a list of lists


def test_rows_that_will_say_whose_they_are_are_decided_by_what_no_row_can_change(told: Recorder) -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        assert use.handle.decide_before_rows(D, use.handle.get_permissions(), used=True, field="device") is not None
        assert use.handle.decide_before_rows(R, use.handle.get_permissions()) is None
    assert told.decisions == [(D, False, True, None, "device")]
    unwatched = pg.Guard(tm.NOTICE)
    with unwatched.purpose(tm.RenewalGuidance) as use:
        for _ in range(2):  # the second time it is known
            assert use.handle.decide_before_rows(R, use.handle.get_permissions()) is None


def test_observers_learn_their_guard_and_each_change_of_its_notice() -> None:
    class Attached(Observer):
        def __init__(self) -> None:
            self.notices: list[pg.Notice] = []

        def attach(self, guard: pg.Guard) -> None:
            self.notices.append(guard.notice)

    class Terminal:
        """An object that observes, and whose method `attach` is for something else."""

        def attach(self, *_of: object) -> None:
            raise AssertionError

    attached = Attached()
    observed = pg.Guard(tm.NOTICE, observers=[attached, Terminal()])  # type: ignore[list-item]  # no subclass of Observer
    later = pg.Notice.parse({**tm.NOTICE.dump(), "revision": "2026-04-01"})
    observed.replace(later)
    assert attached.notices == [tm.NOTICE, later]


def test_an_observer_leaves_another_table_in_the_place_of_the_notice() -> None:
    class Each(Observer):
        def decided(self, *_of: object, **_decision: object) -> None: ...

    engine = pg.Guard(tm.NOTICE).engine
    other, each = PolicyTable(tm.NOTICE), Each()
    engine.install_table(other)
    engine.add_observer(each)
    assert engine.snapshot.matrix is other
    engine.remove_observer(each)
    assert engine.snapshot.matrix is engine.table


def test_a_snapshot_keeps_so_many_places_and_none_once_it_is_retired() -> None:
    snapshot = PolicySnapshot(PolicyTable(tm.NOTICE))
    for place in range(1005):
        snapshot.cache_stated(place, "first")
    assert len(snapshot.stated_purposes) == 1000
    snapshot.cache_stated(0, "second")
    assert snapshot.stated_purposes[0] == "second"
    snapshot.retire()
    snapshot.cache_stated("later", "third")
    assert snapshot.stated_purposes == {}
