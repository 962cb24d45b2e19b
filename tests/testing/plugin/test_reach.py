"""What a report puts first: activities that used nothing, and cells that the service reaches and no test exercises."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.adapters.sql import Statements
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import NothingToProve
from purposeguard.testing._report import Collector, CoverageReport
from purposeguard.testing.canary import canaries

pytestmark = pytest.mark.usefixtures("remembers")

NOTICE = "trendmicro-jp 2024-04-01"
NAME: pg.Personal[str, tm.Registration] = pg.Personal("Aiko", tm.Registration)
IDLE = "activities that ran and used nothing: they may read around the guard"
MISSED = "cells that the service can reach and no test exercises"


class Customer(BaseModel):
    since: Annotated[int, tm.Contract]
    name: pg.Personal[str, tm.Registration]


class Device(BaseModel):
    serial: Annotated[str, tm.ProductData]


class Product(BaseModel):
    price: Annotated[int, pg.NotPersonal]


@dataclasses.dataclass
class Service:
    """Some functions behind a guard of their own."""

    guard: pg.Guard
    customer: Any
    device: Any
    product: Any


@pytest.fixture
def service() -> Service:
    guard = pg.Guard(tm.NOTICE)

    @guard.access
    def customer() -> Customer:
        return Customer(since=2020, name=NAME)

    @guard.access
    def device() -> Device:
        return Device(serial="TM-99")

    @guard.access
    def product() -> Product:
        return Product(price=1)

    return Service(guard, customer, device, product)


def report(collector: Collector, guard: pg.Guard) -> CoverageReport:
    return CoverageReport(collector.finish([guard]))


def section(found: CoverageReport, title: str) -> list[str]:
    """The lines below a title."""
    lines = list(found.lines())
    if title not in lines:
        return []
    below = lines[lines.index(title) + 1 :]
    return below[: next(number for number, line in enumerate(below) if not line.startswith("  "))]


def test_an_activity_that_ran_and_used_nothing_stands_first(collector: Collector, service: Service) -> None:
    def remind() -> None: ...

    activity = service.guard.purpose(tm.RenewalGuidance, activity="reminders")(remind)
    for _ in range(3):
        activity()
    found = report(collector, service.guard)
    assert next(found.lines()) == IDLE
    (line,) = section(found, IDLE)
    place = f"{__name__}.{remind.__qualname__} line {remind.__code__.co_firstlineno}"
    assert line == f"  reminders ({place}) for 1.2(1)①: ran 3×"


@pytest.mark.parametrize("what", ["opens", "asks", "is denied", "calls", "enters another"])
def test_one_that_meets_the_guard_does_not(collector: Collector, service: Service, what: str) -> None:
    def other() -> None:
        service.guard.use(tm.RenewalGuidance).open(NAME)

    another = service.guard.purpose(tm.RenewalGuidance, activity="another")(other)

    @service.guard.purpose(tm.RenewalGuidance, activity="reminders")
    def remind() -> None:
        use = service.guard.use(tm.RenewalGuidance)
        match what:
            case "opens":
                use.open(NAME)
            case "asks":
                use.try_open(NAME, None)
            case "is denied":
                with pytest.raises(pg.PurposeViolation):
                    service.device()
            case "calls":  # what reads data that is not about anybody
                service.product()
            case _:
                another()

    remind()
    found = report(collector, service.guard)
    assert found.ran["reminders", "1.2(1)①"] == 1
    assert section(found, IDLE) == []


def test_an_activity_reaches_what_the_functions_that_ran_under_it_declare(
    collector: Collector, service: Service
) -> None:
    @service.guard.purpose(tm.RenewalGuidance, activity="reminders")
    def remind() -> int:
        since: int = service.customer().since  # The name stays sealed, and nobody calls `device`.
        return since

    remind()
    found = report(collector, service.guard)
    assert section(found, MISSED) == ["  1.2(1)① renewal-guidance: 1.1(a) (granted) by reminders"]
    assert found.counted == (1, 2)


def test_one_that_never_ran_reaches_the_functions_of_its_module(collector: Collector, service: Service) -> None:
    @service.guard.purpose(tm.RenewalGuidance, activity="reminders")
    def remind() -> None: ...

    found = report(collector, service.guard)
    cells = "1.1(a) (granted) 1.1(b) (not granted) 1.1(c) (granted)"
    assert section(found, MISSED) == [f"  1.2(1)① renewal-guidance: {cells} by reminders"]
    assert (found.counted, found.floor_percentage(1)) == ((0, 3), 0)
    service.guard.check(tm.Registration, tm.RenewalGuidance)
    service.guard.check(tm.Contract, tm.RenewalGuidance)
    found = report(collector, service.guard)
    assert (found.counted, found.floor_percentage(1)) == ((2, 3), 66.6)


def test_one_that_never_ran_and_of_which_nothing_is_known_counts_as_one_cell(
    collector: Collector, service: Service
) -> None:
    def remind() -> None: ...

    remind.__module__ = "elsewhere"
    service.guard.purpose(tm.RenewalGuidance, activity="reminders")(remind)
    found = report(collector, service.guard)
    (line,) = section(found, MISSED)
    assert line.startswith("  whatever reminders (elsewhere.")
    assert line.endswith(") for 1.2(1)① reads, which never ran")
    assert found.counted == (0, 1)


def test_of_tables_those_columns_count_that_a_statement_used(collector: Collector) -> None:
    guard = pg.Guard(tm.NOTICE)
    tables = {
        "customer": {"email": tm.Registration, "serial": tm.ProductData},
        "visit": {"page": tm.Contract},
    }
    statements = Statements(guard, tables, dialect="postgres")

    @guard.purpose(tm.RenewalGuidance, activity="reminders")
    def remind() -> None:
        statements.check("SELECT email FROM customer")

    remind()
    found = report(collector, guard)
    assert dict(found.reached_by) == {(NOTICE, "1.1(a)", "1.2(1)①"): {"reminders"}}
    assert found.counted == (1, 1)


def test_blocks_of_the_tools_are_no_activities_of_the_service(collector: Collector, service: Service) -> None:
    with pytest.raises(NothingToProve), canaries(service.guard, tm.RenewalGuidance):
        pass
    assert report(collector, service.guard).declared == []
