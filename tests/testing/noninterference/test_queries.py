"""What an access function asks of its database is not used yet: what leaves the function counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Annotated

import pytest
from hypothesis import settings
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import Interference, arranging, noninterference
from purposeguard.testing._queries import is_query

guard = pg.Guard(tm.NOTICE)


class Customer(BaseModel):
    name: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript("CREATE TABLE customers (name, device); CREATE TABLE devices (device, model)")
    yield connection
    connection.close()


def store(database: sqlite3.Connection, customer: Customer) -> None:
    with arranging():
        database.execute("DELETE FROM customers")
        database.execute("INSERT INTO customers VALUES (?, ?)", (customer.name, customer.device))


def read(database: sqlite3.Connection) -> Customer:
    name, device = database.execute("SELECT name, device FROM customers").fetchone()
    database.execute("SELECT model FROM devices WHERE device = ?", (device,)).fetchall()
    return Customer(name=name, device=device)


find = guard.access(withhold=True)(read)
briefly = settings(max_examples=10, deadline=None, database=None)


def test_a_query_by_a_forbidden_key_inside_an_access_function_is_no_use(database: sqlite3.Connection) -> None:
    @briefly
    @noninterference(guard, tm.RenewalGuidance)
    def proof(customer: Customer) -> str:
        store(database, customer)
        return find(database).name

    proof()


def test_it_is_compared_if_that_is_asked_for(database: sqlite3.Connection) -> None:
    @briefly
    @noninterference(guard, tm.RenewalGuidance, effects=("sql", "query"))
    def proof(customer: Customer) -> str:
        store(database, customer)
        return find(database).name

    with pytest.raises(Interference, match="query of an access function"):
        proof()


def test_the_same_query_elsewhere_is_a_use(database: sqlite3.Connection) -> None:
    @briefly
    @noninterference(guard, tm.RenewalGuidance)
    def proof(customer: Customer) -> str:
        store(database, customer)
        return read(database).name

    with pytest.raises(Interference, match="SQL statement"):
        proof()


def test_a_change_inside_an_access_function_is_an_effect(database: sqlite3.Connection) -> None:
    @guard.access(withhold=True)
    def find_and_log() -> Customer:
        customer = read(database)
        database.execute("UPDATE devices SET model = ?", (customer.device,))
        return customer

    @briefly
    @noninterference(guard, tm.RenewalGuidance)
    def proof(customer: Customer) -> str:
        store(database, customer)
        return find_and_log().name

    with pytest.raises(Interference, match="SQL statement"):
        proof()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT name FROM customers WHERE id IN (?, ?)", True),
        ("  with x AS (SELECT 1) SELECT count(*), max(id) FROM x -- INTO nothing", True),
        ("SELECT name FROM customers WHERE name = 'O''Hara (into; delete)' -- by name", True),
        ("SELECT 'a', pg_notify('channel', ?)", False),
        ("SELECT * INTO copy FROM customers", False),
        ("SELECT 1; DROP TABLE customers", False),
        ("WITH gone AS (DELETE FROM customers RETURNING *) SELECT * FROM gone", False),
        ("SELECT dblink_exec(?)", False),
        ("UPDATE customers SET name = ?", False),
    ],
)
def test_only_what_surely_reads_is_a_query(statement: str, expected: bool) -> None:
    assert is_query(statement) is expected
