"""`check` runs activities and draws rows of many kinds."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, TypedDict

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import Violations, check

guard = pg.Guard(tm.NOTICE)


@dataclass
class Device:
    id: int
    customer_id: int
    name: Annotated[str, tm.ProductData]


class Customer(TypedDict):
    id: int
    name: Annotated[str, tm.Registration]


class Shop:
    """A service that keeps its rows in a database, in which devices refer to customers."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        self.database.execute("PRAGMA foreign_keys = ON")
        self.database.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)")
        self.database.execute(
            "CREATE TABLE devices (id INTEGER PRIMARY KEY, owner REFERENCES customers (id), name TEXT)"
        )

    def fill(self, customers: list[Customer], devices: list[Device]) -> None:
        self.database.execute("DELETE FROM devices")
        self.database.execute("DELETE FROM customers")
        self.database.executemany("INSERT INTO customers VALUES (:id, :name)", customers)
        rows = [(device.id, device.customer_id, device.name) for device in devices]
        self.database.executemany("INSERT INTO devices VALUES (?, ?, ?)", rows)

    def find(self, customer_id: int) -> str:
        row = self.database.execute("SELECT name FROM customers WHERE id = ?", (customer_id,)).fetchone()
        return str(row[0]) if row else "nobody"

    @guard.purpose(tm.RenewalGuidance)
    def remind(self, customer_id: int) -> str:
        return f"Dear {self.find(customer_id)}"

    @guard.purpose(tm.RenewalGuidance)
    async def remind_later(self, customer_id: int) -> str:
        await asyncio.sleep(0)
        return f"Dear {self.find(customer_id)}"

    @guard.purpose(tm.RenewalGuidance)
    def remind_all(self) -> Iterator[str]:
        for (name,) in self.database.execute("SELECT name FROM customers ORDER BY id").fetchall():
            yield f"Dear {name}"

    @guard.purpose(tm.RenewalGuidance)
    async def stream(self) -> AsyncIterator[str]:
        for text in self.remind_all():
            yield text

    def close(self) -> None:
        self.database.close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


def test_methods_coroutines_and_generators(shop: Shop) -> None:
    report = check(shop, arrange=shop.fill, guard=guard)
    assert list(report.activities) == ["Shop.remind", "Shop.remind_all", "Shop.remind_later", "Shop.stream"]


def test_a_count_by_a_join_is_found(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def count(customer_id: int) -> str:
        statement = "SELECT count(*) FROM devices JOIN customers ON owner = customers.id WHERE customers.id = ?"
        return f"with {shop.database.execute(statement, (customer_id,)).fetchone()[0]} devices"

    monkeypatch.setattr(shop, "find", count)
    with pytest.raises(Violations) as raised:
        check(shop, arrange=shop.fill, guard=guard)
    found = {(each.activity, each.fields) for each in raised.value.found}
    assert found == {("Shop.remind", ("devices",)), ("Shop.remind_later", ("devices",))}


@pytest.mark.parametrize("wrong", ["sent", "raised"])
def test_one_function_with_arguments_that_are_given(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    def notify(customer: Customer, device: Device, send: Callable[[str], object]) -> None:
        with guard.purpose(tm.RenewalGuidance):
            if wrong == "raised" and device.name:
                raise ValueError(device.customer_id)
            send(f"Dear {customer['name']}" if wrong == "raised" else device.name)

    with pytest.raises(Violations) as raised:
        check(notify, guard=guard, send=print)
    (violation,) = raised.value.found
    assert violation.fields == ("device.name",)
    assert violation.effects[0] == ("error" if wrong == "raised" else "line on stdout, text")
    assert capsys.readouterr().out


@guard.purpose(tm.ProductProvision)
def support(device: Device) -> str:
    print("support", device.name)  # noqa: T201  # It is an effect of this purpose.
    return device.name


@pytest.mark.parametrize("answer", ["", "device"])
def test_what_another_purpose_gives_may_not_be_answered(answer: str) -> None:
    @guard.purpose(tm.RenewalGuidance)
    def remind(customer: Customer, device: Device) -> str:
        known = support(device)
        return f"Dear {customer['name']} {known if answer else ''}"

    if not answer:
        assert check(remind, guard=guard).activities == {
            remind.__qualname__.replace("<locals>.", ""): ("1.2(1)①", "1.2(2)①")
        }
        return
    with pytest.raises(Violations) as raised:
        check(remind, guard=guard)
    (violation,) = raised.value.found
    assert (violation.fields, violation.effects) == (("device.name",), ("result",))
