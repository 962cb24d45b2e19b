"""Handing data over: recipients, what decorates the functions that do it, and what governance is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, assert_type

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Provision, Recipient, Safeguard
from purposeguard.runtime.declarations import EntrustmentDeclaration, Reclassification


class Book:
    def __init__(self) -> None:
        self.provisions: list[Provision] = []

    def denied(self, error: pg.PurposeViolation | pg.PurposeMissing, *, observed: bool) -> None: ...

    def counter(self, activity: str | None, purpose: str, label: pg.Label) -> Callable[[], object]:
        return list

    def reclassified(self, declared: Reclassification, label: pg.Label, activity: str | None) -> None: ...

    def provided(self, provision: Provision, /) -> None:
        self.provisions.append(provision)


book = Book()
guard = pg.Guard(tm.NOTICE, ledger=book)


@dataclass
class Customer:
    id: Annotated[int, pg.Subject]
    address: Annotated[str, tm.Registration]


contract = Safeguard("contract", "2026-117", since=date(2024, 4, 1))
printer = Recipient(
    "printer",
    "domestic-contractor",
    "JP",
    name="Printer",
    safeguards=[contract],
    supervised_on=date(2024, 5, 1),
    products={"Deep Security"},
    means="email",
)
assert_type(contract.until, date | None)
assert_type(printer.name, str | None)

guard.check_recipient(tm.Registration, tm.RenewalGuidance, printer)
guard.check_recipient({"1.1a"}, tm.AnyProductGuidance, printer, means="email", product="x", task="y", channel="phone")


@guard.entrust(printer)
def letters(customers: list[Customer], *, copies: int = 1) -> int:
    return len(customers) * copies


@guard.entrust(printer, tm.Registration, "1.1(c)", means="storage-media", product="x", task="y")
async def disk(customer: Customer) -> str:
    return customer.address


class Desk:
    @guard.entrust(printer)
    def method(self, customer: Customer) -> str:
        return customer.address

    @staticmethod
    @guard.entrust(printer)
    def static(customer: Customer) -> str:
        return customer.address


async def asked() -> None:
    with guard.purpose(tm.RenewalGuidance):
        assert_type(await disk(Customer(7, "Tokyo")), str)


held: Callable[[Customer], Awaitable[str]] = disk
with guard.purpose(tm.RenewalGuidance):
    assert_type(letters([Customer(7, "Tokyo")], copies=2), int)
    assert_type(Desk().method(Customer(7, "Tokyo")), str)
    assert_type(Desk.static(Customer(7, "Tokyo")), str)
asyncio.run(asked())

for declared in guard.entrustments:
    assert_type(declared, EntrustmentDeclaration)
    assert_type(declared.recipient, Recipient | str)
    assert_type(declared.label, pg.Label | None)
for provision in book.provisions:
    assert_type(provision.subjects, tuple[str, ...])
assert len(book.provisions) == 4
