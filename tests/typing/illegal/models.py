"""Sealed values as fields, given or used wrongly: an error on each line that is marked so, and on no other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Generic, NamedTuple, TypedDict, TypeVar

from pydantic import BaseModel, Field, TypeAdapter

import purposeguard as pg
from purposeguard import Personal, PersonalModel, Use
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)

T = TypeVar("T")
S = TypeVar("S", bound=pg.Source)


def text() -> str:
    return "mail@example.org"


mail = Personal(text(), tm.Registration)
device = Personal(len(text()), tm.ProductData)
web = Personal(text(), tm.WebContact)


class Address(PersonalModel):
    city: Personal[str, tm.Registration]


class Customer(PersonalModel):
    key: int
    email: Personal[str, tm.Registration]
    device: Personal[int, tm.ProductData]
    phone: Personal[str, tm.WebContact] | None = None
    nicknames: list[Personal[str, tm.Registration]] = Field(default_factory=list[Personal[str, tm.Registration]])
    address: Address | None = None


class Wrong(BaseModel):
    email: Personal[str, tm.Registration] = "nobody"  # error
    phone: Personal[str, tm.Registration] = None  # error
    device: Personal[int, tm.ProductData] = mail  # error
    segment: Personal[str, str]  # error
    tagged: Annotated[Personal[str, tm.RenewalGuidance], "sealed"] = device  # error


class Letter(PersonalModel):
    to: Personal[str, tm.RenewalGuidance]


class Page(PersonalModel, Generic[T, S]):
    content: Personal[T, S]


class Visitor(BaseModel):
    email: Personal[str, tm.WebContact]


class Account(NamedTuple):
    email: Personal[str, tm.Registration]


class Row(TypedDict):
    email: Personal[str, tm.Registration]
    device: Personal[int, tm.ProductData]


@dataclass(frozen=True)
class Order:
    buyer: Personal[str, tm.Registration]
    serial: Personal[int, tm.ProductData]
    note: Personal[str, tm.Contract] | None = None


@dataclass
class Draft:
    to: Personal[str, tm.RenewalGuidance]
    copies: int = mail  # error


customer = Customer(key=1, email=mail, device=device)
order = Order(mail, device)
row: Row = {"email": mail, "device": device}

# Made: what comes in plain goes through `model_validate`. (Of a `BaseModel` ty and pyrefly know that it also converts,
# and leave to it what the constructor is given for a field such as these; of a `PersonalModel` they do not.)

Customer(key=1, email="a@example.org", device=device)  # error
Customer(key=1, email=text(), device=device)  # error
Customer(key=1, email=mail, device=5)  # error
Customer(key=1, email=None, device=device)  # error
Customer(key=1, email=web, device=device)  # error
Customer(key=1, email=mail, device=mail)  # error
Customer(key=1, email=mail, device=device, phone=mail)  # error
Customer(key=1, email=mail, device=device).model_dump(exlude_none=True)  # error
Customer(key=1, email=mail, device=device).model_dump_json(mode="withhold")  # error
Customer(key=1, email=mail, device=device, nicknames=[text()])  # error
Customer(key=1, email=mail, device=device, nicknames=[web])  # error
Customer(key=1, email=mail, device=device, nicknames=mail)  # error
Customer(key=device, email=mail, device=device)  # error
Customer(key=1, email=mail)  # error
Customer(key=1, email=mail.zip(web), device=device)  # error
Customer(key=1, email=Personal(text(), tm.Registration, tm.Contract), device=device)  # error
Address(city=web)  # error
Letter(to=web)  # error
Letter(to=device.map(str))  # error
Letter(to=text())  # error
Page[str, tm.Registration](content=web)  # error
Page[int, tm.Registration](content=mail)  # error
Account(text())  # error
Account(email=web)  # error
Order(text(), device)  # error
Order(device, mail)  # error
Order(mail, device, note=mail)  # error
Draft(web)  # error
Draft(to=device.map(str))  # error
replace(order, buyer=text()).buyer.upper()  # error
wrong_row: Row = {"email": text(), "device": device}  # error
swapped_row: Row = {"email": device, "device": mail}  # error


def changed(one: Row) -> None:
    one["email"] = web  # error
    one["device"] = text()  # error


# Used: a field is as sealed as any value.

visitor = Visitor(email=web)
visitor.email.upper()  # error
visitor.email = text()  # error
from_visitor: Personal[str, tm.Registration] = visitor.email  # error
customer.email.upper()  # error
customer.email + text()  # error
customer.phone.map(len)  # error
customer.address.city  # error
customer.email = text()  # error
customer.email = web  # error
customer.nicknames.append(text())  # error
customer.nicknames.append(web)  # error
order.buyer = mail  # error
order.buyer.upper()  # error
address: str = customer.email  # error
from_row: str = row["email"]  # error
from_account: str = Account(mail)[0]  # error
from_page: str = Page[str, tm.Registration](content=mail).content  # error
from_json: str = Customer.model_validate_json("{}").email  # error
from_adapter: int = TypeAdapter(Customer).validate_python({}).device  # error
for letter in customer.email:  # error
    pass


def send(to: str) -> None: ...


def remind(use: Use[tm.RenewalGuidance], to: Personal[str, tm.RenewalGuidance]) -> str:
    return use.open(to)


def provide(use: Use[tm.ProductProvision], to: Personal[str, tm.ProductProvision]) -> str:
    return use.open(to)


send(customer.email)  # error
send(order.buyer)  # error
send(row["email"])  # error

with guard.purpose(tm.RenewalGuidance) as renewal:
    remind(renewal, customer.email)
    remind(renewal, customer.device)  # error
    remind(renewal, customer.device.map(str))  # error
    remind(renewal, customer.email.zip(customer.device).map(str))  # error
    remind(renewal, customer.phone)  # error
    remind(renewal, customer)  # error
    remind(renewal, visitor.email)  # error
    remind(renewal, order.serial.map(str))  # error
    remind(renewal, row["device"].map(str))  # error
    remind(renewal, Page[str, tm.WebContact](content=web).content)  # error
    provide(renewal, customer.email)  # error
    renewal.open(customer.device)  # error
    renewal.open(customer.phone)  # error
    renewal.open(customer)  # error
    renewal.open(order.serial)  # error
    renewal.open(row["device"])  # error
    renewal.open(Letter(to=mail))  # error
    renewal.open_all([customer.email, customer.device])  # error
    renewal.open_all(customer)  # error
    number: int = renewal.open(customer.email)  # error
    withheld: Order = renewal.withhold(customer)  # error
    if customer.phone is not None:
        remind(renewal, customer.phone)  # error

with guard.purpose(tm.WebSecurityMail, channel="email") as security:
    security.open(customer.email)  # error
    security.open(customer.email.zip(customer.device))  # error
