"""Metrics and spans of a guard, with the SDK of OpenTelemetry: what was used for what, and no value or subject's id."""

from __future__ import annotations

import datetime
import gc
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import Governance
from purposeguard.integrations.opentelemetry import Telemetry, observe_store
from purposeguard.integrations.opentelemetry_spans import MaskedExporter, PurposeSpans
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient, Safeguard
from purposeguard.runtime.entry_point import EntryPoint
from tests.integrations.people import EMAIL, ID, NAME, customer, must_hold_none

R: pg.Personal[str, Any] = pg.Personal(NAME, tm.Registration)
D: pg.Personal[str, Any] = pg.Personal(EMAIL, tm.ProductData)


class World:
    """Meters and tracers of a test's own, and what they export."""

    def __init__(self, **kwargs: Any) -> None:
        self.reader = InMemoryMetricReader()
        self.telemetry = Telemetry(MeterProvider([self.reader], shutdown_on_exit=False).get_meter("test"), **kwargs)
        self.spans = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.tracer = self.provider.get_tracer("test")

    def metrics(self) -> dict[str, list[tuple[int, dict[str, Any]]]]:
        data: Any = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name.removeprefix("purposeguard."): [
                (point.value, {name.removeprefix("purposeguard."): value for name, value in point.attributes.items()})
                for point in metric.data.data_points
            ]
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        events = itertools.chain.from_iterable(span.events for span in self.spans.get_finished_spans())
        return [(event.name, dict(event.attributes or {})) for event in events]

    @property
    def text(self) -> str:
        return repr(self.metrics()) + "".join(span.to_json() for span in self.spans.get_finished_spans())


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.provider.add_span_processor(SimpleSpanProcessor(made.spans))
    yield made
    made.provider.shutdown()


def test_uses_and_denials_are_counted(world: World) -> None:
    guard = pg.Guard(tm.NOTICE, observers=[world.telemetry])
    with world.tracer.start_as_current_span("request"):
        with guard.purpose(tm.RenewalGuidance, activity="remind") as use:
            for _ in range(5):
                use.open(R)
            for _ in range(2):
                with pytest.raises(pg.PurposeViolation):
                    use.open(D)
        with guard.purpose(tm.RenewalGuidance, activity="trial", mode="observe") as use:
            use.open(D)
        with pytest.raises(pg.PurposeMissing):
            use.open(R)
        guard.check(tm.Registration, tm.RenewalGuidance)
    remind = {"activity": "remind", "purpose": "1.2(1)①"}
    denied = {"verdict": "denied", "error.type": "PurposeViolation", "reason": "grant", "sources": "1.1(b)"}
    metrics = world.metrics()
    assert metrics["uses"] == [
        (5, {**remind, "sources": "1.1(a)", "verdict": "allowed"}),
        (1, {"purpose": "1.2(1)①", "sources": "1.1(a)", "verdict": "allowed"}),
    ]
    assert metrics["denials"] == [
        (2, {**remind, **denied}),
        (1, {**remind, **denied, "activity": "trial", "verdict": "observed"}),
        (1, {"verdict": "denied", "error.type": "PurposeMissing", "reason": "no_purpose"}),
    ]
    assert [name for name, _ in world.events()] == ["purposeguard.denied"] * 4
    assert world.events()[0][1]["purposeguard.activity"] == "remind"
    must_hold_none(world.text)


def test_counts_grow_from_reading_to_reading(world: World) -> None:
    guard = pg.Guard(tm.NOTICE, observers=[world.telemetry])
    with guard.purpose(tm.RenewalGuidance) as use:
        for times in (1, 2, 0, 3):
            for _ in range(times):
                use.open(R)
            world.metrics()
        assert use._counted  # by the short way
    assert [value for value, _ in world.metrics()["uses"]] == [6]
    assert [value for value, _ in world.metrics()["uses"]] == [6]


def test_no_use_of_any_thread_is_lost_while_others_read(world: World) -> None:
    guard = pg.Guard(tm.NOTICE, observers=[world.telemetry])
    begun = threading.Barrier(5)

    @guard.purpose(tm.RenewalGuidance, activity="remind")
    def uses() -> None:
        begun.wait()
        for _ in range(2_000):
            guard.current.open(R)

    threads = [threading.Thread(target=uses) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait()
    while any(thread.is_alive() for thread in threads):
        world.metrics()
    assert [value for value, _ in world.metrics()["uses"]] == [8_000]


def test_the_sets_of_attributes_are_bounded() -> None:
    world = World(most=3)
    guard = pg.Guard(tm.NOTICE, observers=[world.telemetry])
    for number in range(10):
        with guard.purpose(tm.RenewalGuidance, activity=f"remind {number}") as use:
            use.open(R)
            with pytest.raises(pg.PurposeViolation):
                use.open(D)
    metrics = world.metrics()
    assert [value for value, _ in metrics["uses"]] == [1, 1, 1, 7]
    assert metrics["uses"][-1][1] == {"otel.metric.overflow": True, "verdict": "allowed"}
    assert [value for value, _ in metrics["denials"]] == [1, 1, 1, 7]
    assert metrics["denials"][-1][1] == {"otel.metric.overflow": True}
    with pytest.raises(ValueError, match="at least one set of attributes: most=0"):
        Telemetry(most=0)


def test_reclassifications_and_exceptions_are_counted(world: World, tmp_path: Path) -> None:
    governance = Governance(f"sqlite:///{tmp_path}/privacy.db", notice=tm.NOTICE)
    guard = pg.Guard(tm.NOTICE, governance=governance, observers=[world.telemetry])
    today = datetime.datetime.now(datetime.UTC)

    @guard.reclassify(tm.ProductData, to=pg.NotPersonal, why="a number names nobody", approver="privacy office")
    def how_long(device: str) -> int:
        return len(device)

    @guard.access
    def load() -> Annotated[str, tm.ProductData]:
        return EMAIL

    with world.tracer.start_as_current_span("request"):
        with guard.purpose(tm.RenewalGuidance, activity="remind"):
            how_long(D)
        stated: dict[str, Any] = {"basis": "law", "reason": f"warrant about {NAME}", "approver": "officer"}
        until = today + datetime.timedelta(hours=1)
        with guard.exception(**stated, subjects="all", until=until, activity="warrant"):
            load()
            load()
    metrics = world.metrics()
    assert [value for value, _ in metrics["reclassifications"]] == [1]
    assert metrics["reclassifications"][0][1]["sources"] == "1.1(b)"
    assert metrics["reclassifications"][0][1]["activity"] == "remind"
    assert metrics["exceptions"] == [(2, {"activity": "warrant", "legal_basis": "law", "sources": "1.1(b)"})]
    assert {name for name, _ in world.events()} == {"purposeguard.reclassified", "purposeguard.excepted"}
    must_hold_none(world.text)
    governance.close()


def test_handovers_are_counted(world: World, tmp_path: Path) -> None:
    governance = Governance(f"sqlite:///{tmp_path}/privacy.db", notice=tm.NOTICE)
    guard = pg.Guard(tm.NOTICE, governance=governance, observers=[world.telemetry])
    contract = Safeguard("contract", "legal/2026-117", since=datetime.date(2024, 4, 1))
    today = datetime.datetime.now(datetime.UTC).date()
    printer = Recipient(
        "mail-house", "domestic-contractor", "JP", safeguards=[contract], supervised_on=today, means="storage-media"
    )

    @guard.entrust(printer)
    def print_letter(key: Annotated[int, pg.Subject], name: Annotated[str, tm.Registration]) -> int:
        return key + len(name)

    with world.tracer.start_as_current_span("request"), guard.purpose(tm.RenewalGuidance, activity="remind"):
        print_letter(ID, NAME)
    stated = {"recipient": "mail-house", "purpose": "1.2(1)①", "activity": "remind", "sources": "1.1(a)"}
    assert world.metrics()["handovers"] == [(1, stated)]
    assert [name for name, _ in world.events()] == ["purposeguard.provided"]
    must_hold_none(world.text)
    governance.close()


def test_a_forked_process_counts_its_own_uses_alone(world: World) -> None:
    guard = pg.Guard(tm.NOTICE, observers=[world.telemetry])

    @guard.purpose(tm.RenewalGuidance, activity="remind")
    def uses(times: int) -> None:
        for _ in range(times):
            guard.current.open(R)

    uses(7)
    world.metrics()
    uses(2)
    read, write = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover  # in the child
        status = 1
        try:
            before = [use.total() for use in world.telemetry._uses.values()]
            uses(3)
            after = [use.total() for use in world.telemetry._uses.values()]
            os.write(write, f"{before} {after}".encode())
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(read, 100) == b"[0] [3]"
    os.close(read)
    os.close(write)
    assert [value for value, _ in world.metrics()["uses"]] == [9]


def test_the_meter_keeps_no_guard_alive() -> None:
    world = World()
    del world.telemetry
    assert world.metrics() == {}


def test_without_an_sdk_it_costs_and_says_nothing() -> None:
    guard = pg.Guard(tm.NOTICE, observers=[Telemetry()])
    with guard.purpose(tm.RenewalGuidance) as use:
        assert use.open(R) == NAME
        with pytest.raises(pg.PurposeViolation):
            use.open(D)


def test_spans_say_what_they_are_for(world: World) -> None:
    guard = pg.Guard(tm.NOTICE)
    world.provider.add_span_processor(PurposeSpans(guard))
    with world.tracer.start_as_current_span("outside"):
        with guard.purpose(tm.RenewalGuidance, activity="remind"), world.tracer.start_as_current_span("inside"):
            thread = threading.Thread(target=lambda: world.tracer.start_span("elsewhere").end())
            thread.start()
            thread.join()
        world.tracer.start_span("after").end()
    found = {span.name: dict(span.attributes or {}) for span in world.spans.get_finished_spans()}
    assert found == {
        "outside": {},
        "inside": {"purposeguard.purpose": "1.2(1)①", "purposeguard.activity": "remind"},
        "elsewhere": {},
        "after": {},
    }


def test_entry_points_are_told_in_spans_events_and_metrics(world: World) -> None:
    guard = pg.Guard(tm.NOTICE, observers=[world.telemetry])
    world.provider.add_span_processor(PurposeSpans(guard))
    with EntryPoint.route("GET", "/users/{id}"), world.tracer.start_as_current_span("request"):
        with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(pg.PurposeViolation):
            use.open(D)
        with pytest.raises(pg.PurposeMissing):
            use.open(R)
    (span,) = world.spans.get_finished_spans()
    assert dict(span.attributes or {}) == {"purposeguard.entry_point": "GET /users/{id}"}
    assert [event["purposeguard.entry_point"] for _, event in world.events()] == ["GET /users/{id}"] * 2
    assert [attributes["entry_point"] for _, attributes in world.metrics()["denials"]] == ["GET /users/{id}"] * 2


def masked() -> World:
    world = World()
    world.provider.add_span_processor(SimpleSpanProcessor(MaskedExporter(world.spans)))
    return world


def test_exceptions_in_spans_keep_their_type_and_places() -> None:
    world = masked()
    with pytest.raises(ValueError, match="Sentinel"), world.tracer.start_as_current_span("remind"):
        raise ValueError(f"no\n{NAME}", customer())
    (span,) = world.spans.get_finished_spans()
    (event,) = span.events
    attributes = dict(event.attributes or {})
    assert attributes["exception.type"] == "ValueError"
    assert attributes["exception.message"] == "<not shown>"
    assert "test_opentelemetry.py" in str(attributes["exception.stacktrace"])
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ValueError"
    must_hold_none(world.text)


def test_refusals_in_spans_say_why() -> None:
    world = masked()
    guard = pg.Guard(tm.NOTICE)
    with pytest.raises(pg.PurposeViolation), world.tracer.start_as_current_span("remind"):
        guard.check(tm.ProductData, tm.RenewalGuidance)
    (span,) = world.spans.get_finished_spans()
    message = str((span.events[0].attributes or {})["exception.message"])
    assert "renewal-guidance (1.2(1)①) may not use product-data" in message
    assert "may not use product-data" in str(span.status.description)


def test_attributes_names_links_and_events_are_masked() -> None:
    world = masked()
    other = world.tracer.start_span("other")
    with world.tracer.start_as_current_span(
        f"for {customer()}", links=[trace.Link(other.get_span_context(), {"customer": str(customer())})]
    ) as span:
        span.set_attributes({"full_name": NAME, "email": EMAIL})
        span.set_attributes({"db.statement": "select 1", "plan": ["gold", "standard"]})
        span.set_attribute("customer", repr(customer()))
        span.add_event(f"sent to {customer()}", {"dump": str(customer().model_dump())})
        span.set_status(Status(StatusCode.ERROR, f"failed for {customer()}"))
    (exported,) = [each for each in world.spans.get_finished_spans() if each.name != "other"]
    must_hold_none(world.text)
    assert (exported.attributes or {})["db.statement"] == "select 1"
    assert (exported.attributes or {})["plan"] == ("gold", "standard")
    assert exported.parent is None
    assert exported.context == span.get_span_context()
    assert exported.end_time
    assert world.provider.force_flush()
    world.provider.shutdown()


def test_operators_see_how_the_store_is_doing(tmp_path: Path) -> None:
    world = World()
    meter = MeterProvider([reader := InMemoryMetricReader()], shutdown_on_exit=False).get_meter("test")
    world.reader = reader
    governance = Governance(f"sqlite:///{tmp_path}/store.db", notice=tm.NOTICE)
    observe_store(governance, meter)
    assert "store.staleness" not in world.metrics()  # nothing was looked at yet
    guard = pg.Guard(tm.NOTICE, governance=governance)
    with guard.purpose(tm.RenewalGuidance) as use:
        for subject in (7, 8, 7):
            use.open(R, subject=subject)
        found = world.metrics()
        assert found["store.subjects"] == [(2, {})]
        ((staleness, _),) = found["store.staleness"]
        assert 0 <= staleness < 5
        outcomes = [attributes["outcome"] for _, attributes in found["store.looks"]]
        assert outcomes == ["answered", "failed"]
        assert found["store.looks"][0][0] >= 1
        assert "store.refusals" not in found
        governance.close()
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                use.open(R, subject=9)
    assert world.metrics()["store.refusals"] == [(2, {"cause": "closed"})]
    assert world.metrics()["store.counts"] == [(0, {})]
    must_hold_none(str(world.metrics()))
    del governance, guard, use
    gc.collect()
    assert world.metrics() == {}
