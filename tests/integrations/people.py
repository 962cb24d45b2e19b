"""People with values that no output may hold, in every kind of class that can be tagged."""

from __future__ import annotations

import dataclasses
from typing import Annotated, NamedTuple, TypedDict

import attrs
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

NAME, EMAIL, DEVICE = "Sentinel-Aiko", "sentinel-aiko@example.org", "sentinel-laptop-7f3a"
ID = 7_310_044
SOUGHT = (NAME, EMAIL, DEVICE, str(ID))


class Customer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
    customer_id: Annotated[int, pg.Subject]
    full_name: Annotated[str, tm.Registration]
    email: Annotated[str, tm.Registration]
    device: Annotated[str | None, tm.ProductData] = Field(default=None, repr=False)
    plan: str = "standard"


class Contact(pg.PersonalModel):
    customer_id: Annotated[int, pg.Subject]
    email: pg.Personal[str, tm.Registration]


@dataclasses.dataclass
class Household:
    head: Customer
    members: dict[str, list[Customer]]
    street: Annotated[str, tm.Registration]
    rooms: int = 3


class Point(NamedTuple):
    device: Annotated[str, tm.ProductData]
    seconds: float


@attrs.define
class Address:
    email: Annotated[str, tm.Registration]


class Visit(TypedDict):
    visit_email: Annotated[str, tm.Cookie]
    page: str


class Base(DeclarativeBase): ...


class Row(Base):
    __tablename__ = "masked_rows"
    row_id: Mapped[Annotated[int, pg.Subject]] = mapped_column(primary_key=True)
    row_name: Mapped[Annotated[str, tm.Registration]] = mapped_column("stored_name")
    row_note: Mapped[str] = mapped_column(info={"purposeguard": tm.Registration})


class Reader(Base):
    __tablename__ = "masked_readers"
    reader_id: Mapped[int] = mapped_column(primary_key=True)
    reader_name: Mapped[Annotated[str, tm.Registration]]
    reader_email: Mapped[Annotated[str, tm.Registration]]
    loans: Mapped[list[Loan]] = relationship()


class Loan(Base):
    __tablename__ = "masked_loans"
    loan_id: Mapped[int] = mapped_column(primary_key=True)
    reader_id: Mapped[int] = mapped_column(ForeignKey(Reader.reader_id))


class Envelope:
    """Says nothing of what it holds, and shows it."""

    def __init__(self, inside: object) -> None:
        self.inside = inside

    def __repr__(self) -> str:
        return f"Envelope({self.inside!r})"


class Broken:
    """Fails wherever it is looked at."""

    def __repr__(self) -> str:
        raise RuntimeError(NAME)

    __str__ = __repr__


def customer() -> Customer:
    return Customer(customer_id=ID, full_name=NAME, email=EMAIL, device=DEVICE)


def contact() -> Contact:
    return Contact(customer_id=ID, email=pg.Personal(EMAIL, tm.Registration))


def household() -> Household:
    return Household(customer(), {"all": [customer(), customer()]}, street=NAME)


def row() -> Row:
    return Row(row_id=ID, row_name=NAME, row_note=EMAIL)


def must_hold_none(text: str) -> None:
    found = [each for each in SOUGHT if each.casefold() in text.casefold()]
    assert not found, (found, text)
