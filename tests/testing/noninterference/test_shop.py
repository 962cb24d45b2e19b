"""Endpoints of the example through a test client: each leak is found and named."""

from __future__ import annotations

import functools
import hashlib
import logging
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from hypothesis import settings
from pydantic import BaseModel, EmailStr, StringConstraints

from examples.shop import repository
from examples.shop.app import create_app
from examples.shop.database import ContractRow, CustomerRow, EventRow, MailRow, Session
from examples.shop.privacy import guard
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing.canary import canaries
from purposeguard.testing.effects import arranging
from purposeguard.testing.failures import Interference, Leaked
from purposeguard.testing.interference import noninterference
from tests.end_to_end.conftest import settings_in
from tests.testing.noninterference.proving import at_once, failure_of, leak_of

Text = Annotated[str, StringConstraints(min_length=1, max_length=20)]
logger = logging.getLogger("shop.hurry")
briefly = settings(at_once, max_examples=8)


class Buyer(BaseModel):
    """A customer with one contract, and what one device of theirs reported."""

    name: Annotated[Text, tm.Registration]
    email: Annotated[EmailStr, tm.Registration]
    product: Annotated[Text, tm.Contract]
    device: Annotated[Text, tm.ProductData]
    seconds: Annotated[int, tm.ProductData]


def settle(*buyers: Buyer) -> None:
    """Puts these into the database, and nobody else."""
    with arranging(), Session.begin() as session:
        for table in (EventRow, ContractRow, CustomerRow, MailRow):
            session.execute(sa.delete(table))
        for number, one in enumerate(buyers, 1):
            session.add(CustomerRow(id=number, name=one.name, email=one.email, registered_on=date(2024, 5, 1)))
            session.flush()
            contract = ContractRow(id=number, customer_id=number, product=one.product, renews_on=date(2030, 1, 2))
            event = EventRow(
                id=number, customer_id=number, product=one.product, device=one.device, kind="scan", seconds=one.seconds
            )
            session.add_all([contract, event])
    guard.cache_clear(repository.crash_counts)


hurried = FastAPI()


def endpoint(code: Callable[..., Any]) -> Callable[..., Any]:
    """Serve code under its own name, for renewals."""
    path = f"/{code.__name__.replace('_', '-')}"
    served: Callable[..., Any] = hurried.get(path)(guard.purpose(tm.RenewalGuidance)(code))
    return served


def rows() -> list[Any]:
    """Read around the guard, as somebody in a hurry does."""
    with Session() as session:
        wanted = sa.select(CustomerRow.id, CustomerRow.name, CustomerRow.email, EventRow.device, EventRow.seconds)
        return list(session.execute(wanted.join(CustomerRow.events).order_by(CustomerRow.id)))


@endpoint
def in_an_if() -> list[str]:
    return [one.name for one in rows() if one.seconds < 60]


@endpoint
def in_a_sort_key() -> list[str]:
    return [f"customer {one.id}" for one in sorted(rows(), key=lambda one: one.seconds)]


@endpoint
def in_a_log_line() -> None:
    for one in rows():
        logger.info("mailing %s, who has %s", one.id, one.device)


@functools.lru_cache
def looked_up(device: str) -> int:
    logger.info("looking up")
    return 7


@endpoint
def in_a_cache_key() -> list[int]:
    return [looked_up(one.device) for one in rows()]


@endpoint
def in_an_error_message() -> None:
    raise HTTPException(409, f"{rows()[0].device} is too slow")


@endpoint
def in_an_exception() -> None:
    raise LookupError(rows()[0].device)


@endpoint
async def in_a_hash() -> list[str]:
    return [hashlib.blake2b(one.device.encode(), digest_size=6).hexdigest() for one in rows()]


@endpoint
def through_a_thread() -> list[str]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda one: f"{one.name}{one.seconds}", rows()))


@endpoint
def in_an_http_call() -> None:
    for one in rows():
        request = urllib.request.Request("http://127.0.0.1:9/", data=one.device.encode())  # no file
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(request, timeout=1)  # noqa: S310


@endpoint
def in_sql_parameters() -> None:
    mails = [MailRow(activity="a", to=one.email, subject="s", body=f"Is {one.device} slow?") for one in rows()]
    with Session.begin() as session:
        session.add_all(mails)


@endpoint
def in_a_file() -> None:
    Path(hurried.state.folder, "call-list.csv").write_text("\n".join(f"{one.id},{one.device}" for one in rows()))


LEAKS = dict.fromkeys(("in-an-if", "in-a-sort-key", "through-a-thread"), "seconds")
LEAKS |= dict.fromkeys(("in-a-log-line", "in-a-cache-key", "in-an-error-message", "in-an-exception"), "device")
LEAKS |= dict.fromkeys(("in-a-hash", "in-an-http-call", "in-sql-parameters", "in-a-file"), "device")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("shop")
    app = create_app(settings_in(folder))
    hurried.state.folder = folder
    app.mount("/hurried", hurried)
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("path", LEAKS)
def test_each_leak_of_an_endpoint_is_found_and_named(path, shop):
    @noninterference(guard, tm.RenewalGuidance, twins=2, raises=LookupError)
    def test(buyers: list[Buyer]) -> None:
        settle(*buyers)
        if path == "in-a-cache-key":
            looked_up.cache_clear()
        if buyers:
            shop.get(f"/hurried/{path}")

    leak_of(test, f"buyers[].{LEAKS[path]}")


def test_what_a_test_asks_by_itself_is_no_effect(shop):
    @noninterference(guard, tm.RenewalGuidance)
    def test(buyer: Buyer) -> None:
        settle(buyer)
        answer = shop.get(
            "/renewals/customers/1", params={"seen": buyer.device}, headers={"X-Seconds": str(buyer.seconds)}
        )
        assert answer.status_code == 200

    briefly(test)()


def test_a_cache_that_is_not_emptied_is_found_as_well(shop):
    @noninterference(guard, tm.RenewalGuidance)
    def test(buyer: Buyer) -> None:
        settle(buyer)
        shop.get("/hurried/in-a-cache-key")

    error = failure_of(test)
    assert isinstance(error, Interference), error
    assert error.remembered
    assert error.fields == ("buyer.device",)


def test_what_an_earlier_run_left_behind_is_no_leak(shop):
    @noninterference(guard, tm.RenewalGuidance)
    def test(buyer: Buyer) -> Any:
        new = {"name": buyer.name, "email": buyer.email, "contracts": []}
        with arranging():
            return shop.post("/customers", json=new).json()  # the next number

    error = failure_of(test)
    assert type(error).__name__ == "Nondeterministic", error
    assert "arranging" in str(error)


ESCAPES = {
    "in-a-log-line": "log record shop.hurry INFO, message: …‹device›",
    "in-an-error-message": "HTTP response, body: …‹device›…",
    "in-a-hash": "HTTP response, body: …‹device, hashed by blake2b›…",
    "through-a-thread": "‹seconds›",
    "in-an-http-call": "HTTP request POST, body: ‹device›",
    "in-sql-parameters": "SQL statement, parameter 4: …‹device›…",
    "in-a-file": "file written, content: …‹device›",
}
"""Leaks by which a value comes out: an order, a condition or the key of a cache shows none."""


@pytest.mark.parametrize("path", ESCAPES)
def test_each_leak_of_a_value_is_found_by_its_mark(path, shop):
    looked_up.cache_clear()
    with pytest.raises(Leaked) as caught, canaries(guard, tm.RenewalGuidance) as marked:  # noqa: PT012  # a block
        settle(marked.instance(Buyer))
        shop.get(f"/hurried/{path}")
    assert ESCAPES[path] in str(caught.value)


@pytest.mark.parametrize("path", ["in-an-if", "in-a-sort-key", "in-a-cache-key"])
def test_where_no_value_comes_out_there_is_no_mark(path, shop):
    looked_up.cache_clear()
    with canaries(guard, tm.RenewalGuidance) as marked:
        settle(marked.instance(Buyer))
        shop.get(f"/hurried/{path}")
