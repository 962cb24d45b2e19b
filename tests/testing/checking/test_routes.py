"""`check` sends requests to the routes of web applications."""

from __future__ import annotations

from typing import Annotated, Any

import flask
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.testclient import TestClient
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import Violations, check

guard = pg.Guard(tm.NOTICE)


class Customer(BaseModel):
    id: int
    name: Annotated[str, tm.Registration]
    scans: Annotated[int, tm.ProductData]


class Order(BaseModel):
    customer_id: int
    note: Annotated[str, tm.Contract]


customers: dict[int, Customer] = {}


def fill(customers: list[Customer]) -> None:
    globals()["customers"].update({customer.id: customer for customer in customers})


def make_application(shown: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/customers/{customer_id}/reminder")
    @guard.purpose(tm.RenewalGuidance)
    def remind(customer_id: int, salutation: str = "Dear") -> str:
        return f"{salutation} {shown(customers[customer_id])}"

    @app.post("/orders")
    def order(new: Order, limit: Annotated[int, Depends(lambda: 3)]) -> int:
        return len(new.note[:limit])

    return app


def test_the_routes_of_fastapi() -> None:
    app = make_application(lambda customer: customer.name)
    report = check(app, arrange=fill, guard=guard)
    assert report.activities == {"GET /customers/{customer_id}/reminder": ("1.2(1)①",)}
    assert report.unused == ["POST /orders"]


def test_an_answer_that_says_too_much() -> None:
    app = make_application(lambda customer: f"{customer.name}, after {customer.scans} scans")
    with pytest.raises(Violations) as raised:
        check(TestClient(app), arrange=fill, guard=guard)
    (violation,) = raised.value.found
    assert violation.activity == "GET /customers/{customer_id}/reminder"
    assert violation.fields == ("customers[].scans",)
    assert violation.effects[0] == "HTTP response, body"


def test_a_route_without_a_purpose_may_use_no_rows() -> None:
    app = make_application(lambda customer: customer.name)
    app.get("/export")(lambda: [customer.name for customer in customers.values()])
    with pytest.raises(Violations, match=r"state the purpose for which `customers.*name` is used") as raised:
        check(app, arrange=fill, guard=guard, quick=True)
    (violation,) = raised.value.found
    assert (violation.activity, violation.fields) == ("GET /export", ("customers[].name",))


def test_a_route_that_answers_errors_alone_is_not_taken_for_checked() -> None:
    app = make_application(lambda customer: customer.name)

    @app.get("/{code}/reminder")
    @guard.purpose(tm.RenewalGuidance)
    def remind_by(code: str, key: Annotated[str, Header()]) -> str:
        return f"{code} {key}"

    with pytest.raises(Violations) as raised:
        check(app, arrange=fill, guard=guard, quick=True)
    assert raised.value.unchecked == {"GET /{code}/reminder": "every run fails, RequestFailed: status 422"}


def test_the_routes_of_flask() -> None:
    app = flask.Flask(__name__)

    @app.get("/customers/<int:customer_id>/reminder")
    @guard.purpose(tm.RenewalGuidance)
    def remind(customer_id: int) -> str:
        customer = customers[customer_id]
        return f"Dear {customer.name}{'!' * (customer.scans > 60)}"

    with pytest.raises(Violations) as raised:
        check(app, arrange=fill, guard=guard)
    (violation,) = raised.value.found
    assert violation.activity == "GET /customers/<int:customer_id>/reminder"
    assert violation.fields == ("customers[].scans",)


class Guest(BaseModel):
    id: str | None = None
    email: Annotated[str, tm.Registration]
    scans: Annotated[int, tm.ProductData]


def test_a_path_refers_to_rows_by_an_optional_key_or_by_the_segment_before() -> None:
    app = FastAPI()
    found: dict[str | None, Guest] = {}
    first: dict[str, bool] = {}

    # Members have addresses as well, which come first, and are not to be taken.
    def seat(members: list[Guest], guests: list[Guest]) -> None:
        found.clear()
        found.update({key: guest for guest in guests for key in (guest.id, guest.email)})

    def show(route: str, key: str) -> str:
        first.setdefault(route, key in found)
        if key not in found:
            raise HTTPException(404)
        return f"{found[key].email}, {found[key].scans} scans"

    @app.get("/{guest_id}")
    @guard.purpose(tm.RenewalGuidance)
    def remind(guest_id: str) -> str:
        return show("key", guest_id)

    @app.get("/guests/{email}")
    @guard.purpose(tm.RenewalGuidance)
    def remind_by_address(email: str) -> str:
        return show("address", email)

    with pytest.raises(Violations) as raised:
        check(app, arrange=seat, guard=guard, quick=True)
    assert first == {"key": True, "address": True}
    assert {each.activity: each.fields for each in raised.value.found} == {
        "GET /{guest_id}": ("guests[].scans",),
        "GET /guests/{email}": ("guests[].scans",),
    }


def test_a_path_of_flask_refers_to_rows_by_the_segment_before() -> None:
    app = flask.Flask(__name__)
    sent: list[str] = []
    addresses: set[str] = set()

    def seat(members: list[Guest], guests: list[Guest]) -> None:
        addresses.clear()
        addresses.update(guest.email for guest in guests)

    @app.get("/guests/<string:email>")
    @guard.purpose(tm.RenewalGuidance)
    def remind(email: str) -> str:
        sent.append("a guest" if email in addresses else "somebody else")
        return email

    check(app, arrange=seat, guard=guard, quick=True)
    assert sent[0] == "a guest"
