"""Wrong uses of the vocabulary, the guard and its decorators: an error on each line that is marked so."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)


class Customer(BaseModel):
    email: Annotated[str, tm.Registration]


# What a source may not serve it is no subtype of.


def renew(_source: type[tm.RenewalGuidance]) -> None: ...


def offer(_source: type[tm.ProductGuidance | tm.WebProductGuidance | tm.ProspectProductGuidance]) -> None: ...


def provide(_source: type[tm.ProductProvision]) -> None: ...


def analyse(_source: type[tm.TrafficAnalysis]) -> None: ...


renew(tm.ProductData)  # error
renew(tm.Customer)  # error
renew(tm.WebContact)  # error
renew(tm.Cookie)  # error
offer(tm.ProductData)  # error
offer(tm.Customer)  # error
provide(tm.WebForm)  # error
provide(tm.Prospect)  # error
analyse(tm.LinkedUsage)  # error
renew(pg.Source)  # error


# Combining never widens.


def combined(source: type[tm.Registration] | type[tm.ProductData], other: type[tm.Cookie | tm.WebForm]) -> None:
    renew(source)  # error
    offer(other)  # error
    analyse(other)  # error
    provide(source)


# Wrong arguments to the guard.

guard.allows(5, tm.RenewalGuidance)  # error
guard.check(5, tm.RenewalGuidance)  # error
guard.check(None, tm.RenewalGuidance)  # error
guard.check(b"1.1a", tm.RenewalGuidance)  # error
guard.check(tm.RenewalGuidance, tm.RenewalGuidance)  # error
guard.explain([5], tm.RenewalGuidance)  # error
guard.check(tm.Registration, tm.RenewalGuidance, channel=5)  # error
guard.check(tm.Registration)  # error
guard.derive(5, tm.Cookie, tm.Registration)  # error
pg.Label("1.1(a)")  # error
pg.Label(tm.RenewalGuidance)  # error
pg.Label(5)  # error
pg.Guard("trendmicro-jp")  # error
pg.Guard(tm.NOTICE, mode="lenient")  # error
pg.Guard(tm.NOTICE, ledger=object())  # error
guard.purpose(tm.RenewalGuidance, mode="off")  # error
guard.purpose(tm.RenewalGuidance, channel=5)  # error
guard.purpose(5)  # error
guard.cached(maxsize="many")  # error
guard.replace(5)  # error

# Terms are names: what is final has no subclasses.


class Forged(tm.Registration): ...  # error


# A use is of its own purpose.


def providing(use: pg.Use[tm.ProductProvision]) -> None:
    use.check(tm.Registration)
    use.check(5)  # error
    use.allows(5)  # error


with guard.purpose(tm.RenewalGuidance) as renewal:
    providing(renewal)  # error

with guard.purpose(tm.AnyProductGuidance, channel="email") as offering:
    providing(offering)  # error


# Decorated functions keep their signatures.


@guard.purpose(tm.RenewalGuidance)
def remind(key: int, *, dry: bool = False) -> str:
    return f"{key}{dry}"


@guard.access
def load(key: int) -> Customer:
    return Customer(email=str(key))


@guard.access(tm.Contract, withhold=True)
async def invoices(key: int, /) -> list[Customer]:
    return [load(key)]


@guard.cached()
@guard.access
def kept(key: int) -> Customer:
    return load(key)


class Repository:
    @guard.access
    def method(self, key: int) -> Customer:
        return load(key)

    @classmethod
    @guard.access
    def inside(cls, key: int) -> Customer:
        return load(key)


remind("1")  # error
remind(1, True)  # error
remind(1, wet=True)  # error
load()  # error
load("1")  # error
load(1).device  # error
kept("1")  # error
guard.carry(load)("1")  # error
Repository().method("1")  # error
Repository.inside("1")  # error
number: int = remind(1)  # error
name: str = load(1)  # error


async def awaited() -> None:
    await invoices(key=1)  # error
    await load(1)  # error
    rows: list[str] = await invoices(1)  # error
    print(rows)


# What is not callable is nothing to decorate.

guard.access(5)  # error
guard.access(None)  # error


# A program that was reviewed for another revision.

reviewed: Literal["2023-04-01"] = tm.REVISION  # error
