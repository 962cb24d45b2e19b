"""Sealed values as fields: pydantic models, dataclasses, typed dicts, named tuples. Accepted, and runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar, assert_type

from pydantic import BaseModel, Field, TypeAdapter

import purposeguard as pg
from purposeguard import Personal, PersonalModel, Use
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.json import encode_sealed

guard = pg.Guard(tm.NOTICE)

T = TypeVar("T")
S = TypeVar("S", bound=pg.Source)


def text() -> str:
    return "mail@example.org"


mail = Personal(text(), tm.Registration)
device = Personal(len(text()), tm.ProductData)


class Address(BaseModel):
    city: Personal[str, tm.Registration]


class Customer(BaseModel):
    key: int
    email: Personal[str, tm.Registration]
    renews: Personal[date | None, tm.Contract]
    device: Personal[int, tm.ProductData] | None = None
    nicknames: list[Personal[str, tm.Registration]] = Field(default_factory=list[Personal[str, tm.Registration]])
    segment: Annotated[str, tm.Registration, tm.Contract] = ""
    address: Address | None = None


class Letter(PersonalModel):
    to: Personal[str, tm.RenewalGuidance]


class Page(BaseModel, Generic[T, S]):
    content: Personal[T, S]


class Account(NamedTuple):
    email: Personal[str, tm.Registration]


class Row(TypedDict):
    email: Personal[str, tm.Registration]
    device: Personal[int, tm.ProductData]


@dataclass(frozen=True)
class Order:
    buyer: Personal[str, tm.Registration]
    serial: Personal[int, tm.ProductData]
    notes: list[Personal[str, tm.Contract]] = field(default_factory=list[Personal[str, tm.Contract]])


customer = Customer(key=1, email=mail, renews=Personal(None, tm.Contract), device=device)
assert_type(customer.email, Personal[str, tm.Registration])
assert_type(customer.renews, Personal[date | None, tm.Contract])
assert_type(customer.nicknames, list[Personal[str, tm.Registration]])
assert_type(customer.email.map(len), Personal[int, tm.Registration])
assert_type(customer.email.zip(customer.renews).label, pg.Label)
assert_type(customer.model_copy(update={"key": 2}), Customer)
assert_type(customer.model_copy().email, Personal[str, tm.Registration])
assert_type(pg.sources_of(Customer), dict[str, pg.Label])

# Plain input is validated and sealed: what comes from outside is Any, or JSON, to a type checker as well.

given: dict[str, Any] = {"key": 1, "email": text(), "renews": None, "address": {"city": text()}}
parsed = Customer.model_validate(given)
assert_type(parsed.email, Personal[str, tm.Registration])
assert_type(Customer.model_validate_json(json.dumps(given)), Customer)
assert_type(Customer(**given).email, Personal[str, tm.Registration])
assert_type(TypeAdapter(list[Customer]).validate_python([given])[0].email, Personal[str, tm.Registration])
if parsed.address is not None:
    assert_type(parsed.address.city, Personal[str, tm.Registration])

letter = Letter(to=customer.email)
assert_type(letter.to, Personal[str, tm.RenewalGuidance])
assert_type(Page[str, tm.Registration](content=mail).content, Personal[str, tm.Registration])
account = Account(mail)
assert_type(account.email, Personal[str, tm.Registration])
assert_type(account[0], Personal[str, tm.Registration])
order = Order(mail, device)
assert_type(order.buyer, Personal[str, tm.Registration])
assert_type(replace(order, buyer=mail), Order)
row: Row = {"email": mail, "device": device}
assert_type(row["device"], Personal[int, tm.ProductData])


def remind(use: Use[tm.RenewalGuidance], to: Personal[str, tm.RenewalGuidance]) -> str:
    return use.open(to)


with guard.purpose(tm.RenewalGuidance) as renewal:
    remind(renewal, customer.email)
    remind(renewal, letter.to)
    remind(renewal, order.buyer)
    remind(renewal, row["email"])
    remind(renewal, account.email)
    assert_type(renewal.open(customer.renews), date | None)
    assert_type(renewal.open(customer.email.zip(customer.renews)), tuple[str, date | None])
    assert_type(renewal.open_all(customer.nicknames), list[str])
    assert_type(renewal.withhold(customer), Customer)
    assert_type(renewal.withhold(row, Row), Row)
    # Not asserted: early versions of pydantic 2 say `dict` in a class that has a method of this name.
    written: list[dict[str, Any]] = [letter.model_dump(context={"use": renewal})]
    written.append(letter.model_dump(mode="withhold", exclude_none=True))
    assert_type(letter.model_dump_json(), str)
    assert_type(json.dumps({"to": letter.to}, default=encode_sealed), str)

with guard.purpose(tm.ProductProvision) as provision:
    if customer.device is not None:
        assert_type(provision.open(customer.device), int)
    assert_type(provision.open(order.buyer.zip(order.serial)), tuple[str, int])
