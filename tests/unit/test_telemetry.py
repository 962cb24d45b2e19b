"""Observers of a guard: telemetry of uses and denials in a few lines, beside a ledger, and without values."""

from __future__ import annotations

import collections
import datetime
from typing import Annotated, Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient
from purposeguard.policy.verdict import Verdict
from purposeguard.runtime.observer import Observer, Tick
from tests.unit.samples import Tape

R, D = pg.Label(tm.Registration), pg.Label(tm.ProductData)
NAME: pg.Personal[str, Any] = pg.Personal("sentinel-7f3a", tm.Registration)
DEVICE: pg.Personal[str, Any] = pg.Personal("sentinel-7f3a", tm.ProductData)


class Meter:
    """The counters and the present span of a telemetry library."""

    def __init__(self) -> None:
        self.counts: collections.Counter[tuple[Any, ...]] = collections.Counter()
        self.events: list[tuple[str, dict[str, Any]]] = []

    def add(self, name: str, attributes: dict[str, Any]) -> None:
        self.counts[name, *sorted(attributes.items())] += 1

    def add_event(self, name: str, attributes: dict[str, Any]) -> None:
        self.events.append((name, attributes))


class Telemetry(Observer):
    """Counts uses and denials, and marks denials in the present span."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def counter(self, activity: str | None, purpose: str, label: pg.Label, /) -> Tick:
        sources = " ".join(source.clause for source in label)
        attributes = {"activity": activity or "", "purpose": purpose, "sources": sources, "verdict": "allowed"}
        return lambda: self._meter.add("uses", attributes)

    def denied(self, error: pg.PurposeViolation | pg.PurposeMissing, *, observed: bool) -> None:
        attributes = {"verdict": "observed" if observed else "denied", "error": type(error).__name__}
        if isinstance(error, pg.PurposeViolation):
            attributes["activity"] = error.activity or ""
            purpose = error.decision.purpose
            attributes["purpose"] = purpose.name if isinstance(purpose, pg.Family) else purpose.clause
            attributes["sources"] = " ".join(source.clause for source in error.decision.denied)
        self._meter.add("denials", attributes)
        self._meter.add_event("purposeguard.denied", attributes)


@pytest.mark.usefixtures("remembers")
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a ledger"])
def test_uses_and_denials_are_counted_without_values(beside: bool) -> None:
    meter = Meter()
    ledger = Tape() if beside else None
    guard = pg.Guard(tm.NOTICE, ledger=ledger, observers=[Telemetry(meter)])

    @guard.access
    def load() -> Annotated[str, tm.Registration]:
        return "sentinel-7f3a"

    with guard.purpose(tm.RenewalGuidance, activity="remind") as use:
        for _ in range(3):
            use.open(NAME)
            load()
        with pytest.raises(pg.PurposeViolation):
            use.open(DEVICE)
        assert use._counted  # by the short way
    with pytest.raises(pg.PurposeMissing):
        load()
    with guard.purpose(tm.RenewalGuidance, activity="trial", mode="observe") as use:
        assert use.open(DEVICE) == "sentinel-7f3a"
    assert {(dict(key[1:])["activity"], count) for key, count in meter.counts.items() if key[0] == "uses"} == {
        ("remind", 6)
    }
    assert [(event["verdict"], event["error"], event.get("sources")) for _, event in meter.events] == [
        ("denied", "PurposeViolation", "1.1(b)"),
        ("denied", "PurposeMissing", None),
        ("observed", "PurposeViolation", "1.1(b)"),
    ]
    assert "sentinel" not in repr((meter.counts, meter.events))
    if ledger is not None:
        assert ledger.uses == [("remind", "1.2(1)①", R, 6)]
        assert len(ledger.denials) == 3


@pytest.mark.usefixtures("remembers")
def test_an_observer_of_denials_costs_nothing_where_data_is_used() -> None:
    class Denials(Observer):
        def denied(self, error: Exception, *, observed: bool) -> None:
            raise AssertionError

    guard = pg.Guard(tm.NOTICE, observers=[Denials()])
    with guard.purpose(tm.RenewalGuidance) as use:
        use.open(NAME)
        assert R in use._allowed_labels
    assert not guard.engine.counting


def test_an_observer_may_want_each_decision() -> None:
    class Decisions(Observer):
        def __init__(self) -> None:
            self.verdicts: list[tuple[bool, bool]] = []

        def decided(self, verdict: Verdict, *, used: bool, activity: Any, access: Any, field: str | None) -> None:
            self.verdicts.append((verdict.allowed, used))

    decisions = Decisions()
    guard = pg.Guard(tm.NOTICE, observers=[decisions])
    for _ in range(2):
        assert guard.allows("1.1a", "1.2(1)①")
    with guard.purpose(tm.RenewalGuidance) as use:
        assert use.open(NAME) == use.open(NAME)
        assert not use.allows(D)
    assert decisions.verdicts == [(True, False), (True, False), (True, True), (True, True), (False, False)]


def test_what_an_observer_raises_refuses_the_use() -> None:
    class Full(Observer):
        def denied(self, error: Exception, *, observed: bool) -> None:
            raise OSError("disk full")

        def counter(self, activity: str | None, purpose: str, label: pg.Label, /) -> Tick:
            raise OSError("disk full")

    guard = pg.Guard(tm.NOTICE, mode="observe", observers=[Full()])
    with guard.purpose(tm.RenewalGuidance) as use:
        for value in (NAME, DEVICE):
            with pytest.raises(OSError, match="disk full"):
                use.open(value)


def test_who_counts_is_an_observer_from_the_start() -> None:
    guard = pg.Guard(tm.NOTICE)
    with pytest.raises(TypeError, match="who counts uses is an observer from the start"):
        guard.engine.add_observer(Telemetry(Meter()))


def test_an_exception_needs_a_ledger_and_not_an_observer() -> None:
    class Excepted(Observer):
        def excepted(self, *_: Any, **__: Any) -> None:
            raise AssertionError

    guard = pg.Guard(tm.NOTICE, observers=[Excepted()])
    until = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    with pytest.raises(TypeError, match="an exception needs a ledger"):
        guard.exception(basis="law", reason="r", approver="a", subjects="all", until=until)


def test_a_ledger_that_only_inherits_a_method_does_not_record() -> None:
    class Partial(Observer):
        def denied(self, error: Exception, *, observed: bool) -> None: ...

    class NoExceptions(Partial):
        def counter(self, activity: str | None, purpose: str, label: pg.Label, /) -> Tick:
            return list

        def reclassified(self, *_: Any, **__: Any) -> None: ...

    with pytest.raises(TypeError, match="has no `counter`, `reclassified`"):
        pg.Guard(tm.NOTICE, ledger=Partial())
    guard = pg.Guard(tm.NOTICE, ledger=NoExceptions())
    until = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    with pytest.raises(TypeError, match="an exception needs a ledger"):
        guard.exception(basis="law", reason="r", approver="a", subjects="all", until=until)
    with pytest.raises(TypeError, match="nobody here could record it"):
        guard.entrust(Recipient("r", kind="processor", country="JP", means="https"))
