"""What an access function asks of its database is not used yet: what leaves the function counts."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from typing import Annotated, Any

import aiosqlite
import pytest
import sqlalchemy as sa
from hypothesis import settings
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import create_async_engine

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import Interference, Leaked, arranging, canaries, captured, noninterference
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

    with pytest.raises(Interference, match="SQL statement") as caught:
        proof()
    advice = str(caught.value).splitlines()[-1]
    assert "`customer.device` in what `" in advice
    assert "find_and_log` does itself" in advice
    assert "withhold=True" not in advice


def test_marks_in_a_change_inside_an_access_function_get_the_same_advice(database: sqlite3.Connection) -> None:
    @guard.access(withhold=True)
    def log(customer: Customer) -> Customer:
        database.execute("UPDATE devices SET model = ?", (customer.device,))
        return customer

    refused = pytest.raises(Leaked, match=r"in what `.*log` does itself")
    with refused as caught, canaries(guard, tm.RenewalGuidance) as marked:
        log(marked.instance(Customer))
    assert "withhold=True" not in str(caught.value)


def test_elsewhere_the_advice_is_an_access_function(database: sqlite3.Connection) -> None:
    refused = pytest.raises(Leaked, match="an access function with `withhold=True` leaves out")
    with refused, canaries(guard, tm.RenewalGuidance) as marked:
        database.execute("SELECT ?", (marked.instance(Customer).device,))


FIND = "SELECT 'Aiko' AS name, 'phone' AS device"


async def ask_by_aiosqlite() -> Customer:
    async with aiosqlite.connect(":memory:") as connection:
        cursor = await connection.execute(FIND)
        row = await cursor.fetchone()
    assert row is not None
    return Customer(name=row[0], device=row[1])


async def ask_by_sqlalchemy() -> Customer:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.connect() as connection:
        row = (await connection.execute(sa.text(FIND))).one()
    await engine.dispose()
    return Customer(name=row.name, device=row.device)


@pytest.mark.parametrize("ask", [ask_by_aiosqlite, ask_by_sqlalchemy])
def test_queries_of_another_thread_or_greenlet_are_told_once(
    ask: Callable[[], Coroutine[Any, Any, Customer]],
) -> None:
    with guard.purpose(tm.ProductProvision), captured() as effects:
        asyncio.run(guard.access(withhold=True)(ask)())
    assert [effect.kind for effect in effects.of("sql", "query")] == ["query"]
    with guard.purpose(tm.ProductProvision), captured() as effects:
        asyncio.run(ask())
    assert [effect.kind for effect in effects.of("sql", "query")] == ["sql"]


def test_values_of_the_application_are_not_asked_who_they_are(database: sqlite3.Connection) -> None:
    class Proxy:
        @property
        def __self__(self) -> object:
            raise RuntimeError("outside of a request")

    @guard.purpose(tm.RenewalGuidance)
    def remind() -> Iterator[object]:
        yield Proxy()
        database.execute("SELECT 1")

    with captured() as effects:
        assert len(list(remind())) == 1
    assert [effect.kind for effect in effects] == ["sql"]


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
        ('SELECT "name", "update" FROM "customers" WHERE "device" IN (?)', True),
        ("WITH x AS MATERIALIZED (SELECT 1) SELECT 'a' IS DISTINCT FROM 'b' FROM x", True),
        ("""SELECT "pg_notify"('channel', ?)""", False),
        ("SELECT `f`(1)", False),
        ("SELECT [f](1)", False),
        ("SELECT pg_notify/* a comment */('channel', ?)", False),
        ("SELECT pg_notify -- a comment\n ('channel', ?)", False),
        ("""SELECT "a'b", pg_notify('channel', 'x')""", False),
        ("SELECT $$ ' $$, pg_notify('channel', 'x')", False),
        (r"SELECT E'\'', pg_notify('channel', 'x')", False),
        ("SELECT name FROM customers /*!50000 INTO OUTFILE 'x' */", False),
        ("SELECT * FROM 'https://example.com/?device=phone'", False),
        ("SELECT NEXT VALUE FOR numbers", False),
        ("UPDATE customers SET name = ?", False),
    ],
)
def test_only_what_surely_reads_is_a_query(statement: str, expected: bool) -> None:
    assert is_query(statement) is expected
