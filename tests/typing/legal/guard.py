"""The vocabulary, decisions, blocks and decorators. Accepted, and runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any, Literal, TypedDict, assert_type

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.declarations import Reclassification

guard = pg.Guard(tm.NOTICE)
observing = pg.Guard(pg.Notice.bundled("trendmicro-jp"), mode="observe")


class Customer(BaseModel):
    id: int
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


class Row(TypedDict):
    email: Annotated[str, tm.Registration]


# A source is a subtype of every purpose it may serve.


def renew(_source: type[tm.RenewalGuidance]) -> None: ...


def offer(_source: type[tm.ProductGuidance | tm.WebProductGuidance | tm.ProspectProductGuidance]) -> None: ...


def provide(_source: type[tm.ProductProvision]) -> None: ...


def analyse(_source: type[tm.UsageAnalysis]) -> None: ...


renew(tm.Registration)
renew(tm.Contract)
offer(tm.Registration)
offer(tm.WebContact)
offer(tm.ProspectJob)
provide(tm.Customer)
provide(tm.ProductData)
analyse(tm.Cookie)
analyse(tm.LinkedUsage)


# Combining unites: a union of sources serves a purpose where each member does.


def combined(source: type[tm.Registration | tm.Contract], other: type[tm.WebContact | tm.WebForm]) -> None:
    renew(source)
    offer(other)
    offer(source)


# Deciding.

assert_type(guard.allows(tm.Registration, tm.RenewalGuidance), bool)
assert_type(guard.allows("1.1a", "1.2(1)①"), bool)
assert_type(guard.allows({"1.1a", tm.Contract}, tm.AnyProductGuidance, channel="email"), bool)
assert_type(guard.allows([pg.Label(tm.Registration), "1.1b"], tm.RenewalGuidance), bool)
assert_type(guard.explain("1.1b", "1.2(1)①"), pg.Decision)
assert_type(pg.Label(tm.Registration) | pg.Label(tm.Contract), pg.Label)
assert_type(pg.sources_of(Customer), dict[str, pg.Label])
assert_type(pg.untagged(Customer), tuple[str, ...])
assert_type(guard.derive("link", tm.Cookie, tm.Registration), pg.Label)
guard.check(tm.Registration, tm.RenewalGuidance)


# A block gives the use of its purpose, for a family that of the union.

with guard.purpose(tm.RenewalGuidance) as renewal:
    assert_type(renewal, pg.Use[tm.RenewalGuidance])
    assert_type(renewal.allows("1.1a"), bool)
    assert_type(renewal.withhold(Customer(id=1, email="e", device="d")), Customer)
    assert_type(renewal.explain(tm.Registration), pg.Decision)

with guard.purpose(tm.AnyProductGuidance, channel="email") as offering:
    assert_type(offering, pg.Use[tm.ProductGuidance | tm.WebProductGuidance | tm.ProspectProductGuidance])

with guard.purpose(tm.WebInquiryResponse | tm.ProspectInquiryResponse) as answering:
    assert_type(answering, pg.Use[tm.WebInquiryResponse | tm.ProspectInquiryResponse])

with guard.purpose("1.2(1)①", activity="by id", mode="observe") as by_id:
    assert_type(by_id, pg.Use[Any])

with guard.purpose(tm.NOTICE.family("AnyFeedback")) as by_family:
    assert_type(by_family, pg.Use[Any])


# A known limit: a purpose that is chosen when it runs is to every checker a union (to mypy any purpose), and so is the
# use, which is accepted to open what either may use. The one that was chosen decides, so one of these lines raises.


def chosen(analyse: bool, customer: pg.Personal[str, tm.Registration], cookie: pg.Personal[str, tm.Cookie]) -> None:
    either = tm.UsageAnalysis if analyse else tm.RenewalGuidance
    with guard.purpose(either) as use:
        use.open(cookie)
        use.open(customer)
    for each in (tm.UsageAnalysis, tm.RenewalGuidance):
        with guard.purpose(each) as another:
            another.open(customer)


async def block() -> None:
    async with guard.purpose(tm.RenewalGuidance) as use:
        assert_type(use, pg.Use[tm.RenewalGuidance])


def renewing(use: pg.Use[tm.RenewalGuidance]) -> None:
    use.check(tm.Registration)


with guard.purpose(tm.RenewalGuidance) as use_of_renewal:
    renewing(use_of_renewal)


# Decorators keep signatures.


@guard.purpose(tm.RenewalGuidance)
def remind(key: int, *, dry: bool = False) -> str:
    return f"{key}{dry}"


@guard.purpose(tm.AnyProductGuidance, channel="email")
async def remind_async(key: int) -> str:
    return str(key)


@guard.purpose(tm.RenewalGuidance)
def letters(n: int) -> Iterator[str]:
    yield str(n)


@guard.purpose(tm.RenewalGuidance)
async def letters_async(n: int) -> AsyncIterator[str]:
    yield str(n)


assert_type(remind(1, dry=True), str)
assert_type(letters(1), Iterator[str])
assert_type(letters_async(1), AsyncIterator[str])
remind_callable: Callable[[int], str] = remind
remind_awaitable: Callable[[int], Awaitable[str]] = remind_async


@guard.access
def load(key: int) -> Customer:
    return Customer(id=key, email="e", device="d")


@guard.access()
def load_again(key: int) -> Customer:
    return load(key)


@guard.access(tm.Contract, "1.1a", pg.Label(tm.Registration))
async def invoices(key: int, /) -> list[dict[str, int]]:
    return [{"key": key}]


@guard.access(withhold=True)
def rows(*keys: int) -> list[Row]:
    return [{"email": str(key)} for key in keys]


@guard.access
def each(n: int) -> Iterator[Customer]:
    yield load(n)


@guard.cached(maxsize=10, ttl=3.5)
@guard.access
def kept(key: int) -> Customer:
    return load(key)


with guard.purpose(tm.ProductProvision):
    assert_type(load(1), Customer)
    assert_type(load_again(key=1), Customer)
    assert_type(rows(1, 2), list[Row])
    assert_type(each(1), Iterator[Customer])
    assert_type(kept(1), Customer)
    assert_type(guard.carry(load)(1), Customer)


async def awaited() -> None:
    async with guard.purpose(tm.RenewalGuidance):
        assert_type(await invoices(1), list[dict[str, int]])
    assert_type(await remind_async(1), str)
    assert_type([one async for one in letters_async(1)], list[str])


asyncio.run(block())
asyncio.run(awaited())


class Repository:
    @guard.access
    def method(self, key: int) -> Customer:
        return load(key)

    @classmethod
    @guard.access
    def inside(cls, key: int) -> Customer:
        return load(key)

    @staticmethod
    @guard.access(tm.Registration)
    def static(key: int) -> str:
        return str(key)

    @guard.purpose(tm.RenewalGuidance)
    async def remind(self, key: int) -> str:
        return self.method(key).email

    @property
    @guard.access(tm.Registration)
    def size(self) -> int:
        return 1


with guard.purpose(tm.ProductProvision):
    assert_type(Repository().method(1), Customer)
    assert_type(Repository.inside(1), Customer)
    assert_type(Repository.static(1), str)
    assert_type(Repository().size, int)


class Tape:
    def denied(self, error: pg.PurposeViolation | pg.PurposeMissing, *, observed: bool) -> None: ...

    def counter(self, activity: str | None, purpose: str, label: pg.Label) -> Callable[[], object]:
        return list

    def reclassified(self, declared: Reclassification, label: pg.Label, activity: str | None) -> None: ...


pg.Guard(tm.NOTICE, ledger=Tape())

try:
    guard.check("1.1b", tm.RenewalGuidance)
except pg.PurposeViolation as error:
    assert_type(error.decision, pg.Decision)
    assert_type(error.activity, str | None)
    assert_type(error.field, str | None)


# A program is pinned to the revision that it was reviewed for.

reviewed: Literal["2024-04-01"] = tm.REVISION
