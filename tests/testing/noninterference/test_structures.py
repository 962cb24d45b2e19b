"""Which items there are, and whether there is a value, is known from what is inside, and makes no difference either."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from typing import Annotated

import pytest
from hypothesis import settings
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import arranging
from purposeguard.testing.interference import noninterference
from tests.testing.noninterference.proving import at_once, guard, leak_of, quickly


class Device(BaseModel):
    number: int = 0
    name: Annotated[str, tm.ProductData]
    color: Annotated[str, pg.NotPersonal] = "black"
    apps: list[Annotated[str, tm.ProductData]] = []


class Contract(BaseModel):
    product: Annotated[str, tm.Registration]
    scans: Annotated[int, tm.ProductData]


class Event(TypedDict, total=False):
    kind: Annotated[str, tm.ProductData]
    device: Device
    seconds: Annotated[int, tm.ProductData]


@dataclasses.dataclass
class Visit:
    page: Annotated[str, tm.Cookie]
    time: str


class Customer(BaseModel):
    name: Annotated[str, tm.Registration]
    devices: list[Device]
    main: Device | None
    spare: list[Device] = []
    by_room: dict[str, Device]
    names: list[Annotated[str, tm.ProductData]]
    serials: Annotated[list[str], tm.ProductData]
    colors: set[Annotated[int, tm.ProductData]]
    event: Event
    visits: tuple[Visit, ...] | None
    contracts: list[Contract]
    pair: Annotated[list[Device], Field(min_length=2, max_length=2)]


Body = Callable[[Customer], object]


def count_by_join(customer: Customer) -> object:
    with arranging():
        connection = sqlite3.connect(":memory:")
        connection.executescript("create table customers (id, name); create table devices (customer, name)")
        connection.execute("insert into customers values (1, ?)", (customer.name,))
        rows = [(1, device.name) for device in customer.devices]
        connection.executemany("insert into devices values (?, ?)", rows)
    query = "select count(d.name) from customers c left join devices d on d.customer = c.id group by c.id"
    count = connection.execute(query).fetchone()
    connection.close()
    return count


LEAKS: dict[str, tuple[Body, str]] = {
    "a length": (lambda one: len(one.devices), "devices"),
    "two or more": (lambda one: len(one.devices) > 1, "devices"),
    "emptiness": (lambda one: bool(one.devices), "devices"),
    "a count by a join": (count_by_join, "devices"),
    "ids that no tag covers": (lambda one: [device.number for device in one.devices], "devices"),
    "an order": (lambda one: [device.number for device in one.pair], "pair"),
    "a value": (lambda one: [device.name for device in one.devices], "devices[].name"),
    "the first value": (lambda one: one.devices[0].name if one.devices else "", "devices[].name"),
    "None": (lambda one: one.main is None, "main"),
    "a value that may be None": (lambda one: one.main.name if one.main else "", "main.name"),
    "a field that was set": (lambda one: "spare" in one.model_fields_set, "spare"),
    "a number of keys": (lambda one: len(one.by_room), "by_room"),
    "keys": (lambda one: sorted(one.by_room), "by_room"),
    "a value by its key": (lambda one: {key: device.name for key, device in one.by_room.items()}, "by_room[].name"),
    "a length of tagged texts": (lambda one: len(one.names), "names"),
    "duplicates": (lambda one: len(set(one.serials)) < len(one.serials), "serials"),
    "an order of texts": (lambda one: one.serials == sorted(one.serials), "serials"),
    "a number of members": (lambda one: len(one.colors), "colors"),
    "a key": (lambda one: "device" in one.event, "event.device"),
    "a key of a tagged value": (lambda one: "seconds" in one.event, "event.seconds"),
    "optional items": (lambda one: one.visits is None, "visits"),
    "deep down": (lambda one: sum(len(device.apps) for device in one.pair), "pair[].apps"),
}


def returning(make: Body) -> Body:
    def code(customer: Customer) -> object:
        return make(customer)

    return code


@pytest.mark.parametrize("way", LEAKS)
def test_structures_are_found_and_named(way: str) -> None:
    leak, field = LEAKS[way]
    thorough = settings(at_once, max_examples=100)
    leak_of(noninterference(guard, tm.RenewalGuidance)(returning(leak)), f"customer.{field}", by=thorough)


HARMLESS: dict[str, Body] = {
    "a permitted field": lambda one: one.name,
    "a length of items that may be used in part": lambda one: len(one.contracts),
    "permitted parts of items": lambda one: [contract.product for contract in one.contracts],
    "a fixed length": lambda one: len(one.pair),
}


@pytest.mark.parametrize("way", HARMLESS)
def test_what_does_without_passes(way: str) -> None:
    at_once(noninterference(guard, tm.RenewalGuidance)(returning(HARMLESS[way])))()


def test_the_number_of_items_of_an_argument() -> None:
    @noninterference(guard, tm.RenewalGuidance)
    def count(devices: list[Device]) -> int:
        return len(devices)

    error = leak_of(count, "devices", by=quickly)
    assert "devices = [] " in str(error)
    assert "tag `devices` as a whole" in str(error)
