"""A FastAPI application whose models hold sealed fields: what goes in, what comes out, and what its errors tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from fastapi import Body, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel, EmailStr, Field, TypeAdapter, model_validator
from pydantic_core import PydanticSerializationError

import purposeguard as pg
from purposeguard import Personal, PersonalModel
from purposeguard.notices import trendmicro_jp as tm
from tests.support import RecordingLedger

SECRET = "s3cr3t"  # noqa: S105  # no password, but what to look for

ledger = RecordingLedger()
guard = pg.Guard(tm.NOTICE, ledger=ledger)


class Address(BaseModel):
    street: str
    city: str = "c"


class Customer(PersonalModel):
    number: int
    email: Personal[EmailStr, tm.Registration] = Field(alias="eMail")
    home: Personal[Address, tm.Registration] | None = None
    device: Personal[str, tm.ProductData] | None = None

    @model_validator(mode="after")
    def _known(self) -> Customer:
        if self.number == 13:
            raise ValueError(f"no customer {self.number}")
        return self


class PlainCustomer(BaseModel):
    number: int
    email: Personal[EmailStr, tm.Registration]


class Search(PersonalModel):
    email: Personal[EmailStr, tm.Registration]


app = FastAPI()
kept: dict[int, Customer] = {}


@app.exception_handler(pg.PurposeViolation)
def refused(_request: Request, error: pg.PurposeViolation) -> JSONResponse:
    return JSONResponse({"detail": str(error), "field": error.field}, 403)


@app.post("/customers", status_code=201)
def add(customer: Customer) -> dict[str, Any]:
    kept[customer.number] = customer
    return {"seen": repr(customer)}


@app.post("/customers/many", status_code=201)
def add_many(customers: Annotated[list[Customer], Body()], note: Annotated[int, Body()]) -> int:
    kept.update({one.number: one for one in customers})
    return note


@app.post("/plain")
def plain(customer: PlainCustomer) -> str:
    return repr(customer)


@app.get("/search")
def search(wanted: Annotated[Search, Query()]) -> list[int]:
    with guard.purpose(tm.ProductProvision) as use:
        address = use.open(wanted.email)
        return [number for number, one in kept.items() if use.open(one.email) == address]


@app.get("/careless/{number}")
def careless(number: int) -> Customer:
    return kept[number]


@app.get("/renewal/{number}")
def renewal(number: int) -> dict[str, Any]:
    with guard.purpose(tm.RenewalGuidance):
        return kept[number].model_dump(mode="json", context={"withhold": True}, exclude_none=True)


@app.get("/provision/{number}", responses={200: {"model": Customer}})
def provision(number: int) -> Response:
    with guard.purpose(tm.ProductProvision):
        return Response(kept[number].model_dump_json(by_alias=True), media_type="application/json")


@app.get("/usage/{number}")
def usage(number: int) -> dict[str, Any]:
    with guard.purpose(tm.UsageAnalysis):
        return kept[number].model_dump(mode="json")


async def for_provision() -> AsyncIterator[None]:
    with guard.purpose(tm.ProductProvision):
        yield


@app.get("/whole-request/{number}", dependencies=[Depends(for_provision)])
async def whole_request(number: int) -> Customer:
    return kept[number]


@pytest.fixture
def client() -> Iterator[TestClient]:
    kept.clear()
    with TestClient(app, raise_server_exceptions=False) as client:
        body = {"number": 7, "eMail": "a@example.com", "home": {"street": "s"}, "device": "d"}
        assert client.post("/customers", json=body).status_code == 201
        yield client


def details(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 422, response.text
    assert SECRET not in response.text
    lines: list[dict[str, Any]] = response.json()["detail"]
    return lines


def test_bodies_are_validated_and_sealed(client: TestClient) -> None:
    answer = client.post("/customers", json={"number": 8, "eMail": "b@example.com"})
    assert answer.status_code == 201
    assert answer.json()["seen"] == "Customer(number=8, email=<sealed 1.1(a)>, home=None, device=None)"
    assert client.get("/search", params={"email": "b@example.com"}).json() == [8]


@pytest.mark.parametrize(
    ("body", "places"),
    [
        pytest.param({"number": 1, "eMail": SECRET}, [["body", "eMail"]], id="field"),
        pytest.param({"eMail": f"{SECRET}@example.com"}, [["body", "number"]], id="another-missing"),
        pytest.param({"number": 1, "e": SECRET}, [["body", "eMail"]], id="missing"),
        pytest.param(
            {"number": 1, "eMail": "a@example.com", "home": {"street": [SECRET], "city": 1}},
            [["body", "home", "street"], ["body", "home", "city"]],
            id="nested",
        ),
        pytest.param({"number": 13, "eMail": f"{SECRET}@example.com"}, [["body"]], id="after"),
        pytest.param([SECRET], [["body"]], id="list"),
        pytest.param(SECRET, [["body"]], id="text"),
    ],
)
def test_validation_errors_say_the_place_and_nothing_of_the_input(client: TestClient, body: Any, places: Any) -> None:
    assert [line["loc"] for line in details(client.post("/customers", json=body))] == places


def test_what_is_not_personal_is_told(client: TestClient) -> None:
    (line,) = details(client.post("/customers", json={"number": "shown", "eMail": f"{SECRET}@example.com"}))
    assert (line["loc"], line["input"]) == (["body", "number"], "shown")


def test_text_that_is_no_json_is_not_told(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    (line,) = details(client.post("/customers", content=f'{{"eMail": "{SECRET}', headers=headers))
    assert line["type"] == "json_invalid"


def test_lists_and_embedded_bodies_are_as_quiet(client: TestClient) -> None:
    body = {
        "customers": [{"number": 1, "eMail": SECRET}, {"number": 13, "eMail": f"{SECRET}@example.com"}],
        "note": "x",
    }
    assert [line["loc"] for line in details(client.post("/customers/many", json=body))] == [
        ["body", "customers", 0, "eMail"],
        ["body", "customers", 1],
        ["body", "note"],
    ]


def test_query_models_seal_and_are_quiet(client: TestClient) -> None:
    assert client.get("/search", params={"email": "a@example.com"}).json() == [7]
    (line,) = details(client.get("/search", params={"email": SECRET}))
    assert line["loc"] == ["query", "email"]


def test_a_plain_model_hides_the_field_alone(client: TestClient) -> None:
    """The whole body is told with what is missing in it: why models with sealed fields are `PersonalModel`s."""
    (line,) = details(client.post("/plain", json={"number": 1, "email": SECRET}))
    assert (line["loc"], line["input"]) == (["body", "email"], "<sealed>")
    answer = client.post("/plain", json={"email": f"{SECRET}@example.com"})
    assert answer.status_code == 422
    assert SECRET in answer.text


def test_a_handler_can_leave_the_inputs_out() -> None:
    quiet = FastAPI()

    @quiet.exception_handler(RequestValidationError)
    def without_inputs(_request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(
            {"detail": [{key: line[key] for key in ("type", "loc", "msg")} for line in error.errors()]}, 422
        )

    quiet.post("/plain")(plain)
    (line,) = details(TestClient(quiet).post("/plain", json={"email": f"{SECRET}@example.com"}))
    assert line == {"type": "missing", "loc": ["body", "number"], "msg": "Field required"}


def test_what_is_dumped_in_its_purpose_is_answered(client: TestClient) -> None:
    assert client.get("/renewal/7").json() == {
        "number": 7,
        "email": "a@example.com",
        "home": {"street": "s", "city": "c"},
    }
    assert client.get("/provision/7").json() == {
        "number": 7,
        "eMail": "a@example.com",
        "home": {"street": "s", "city": "c"},
        "device": "d",
    }


def test_a_sealed_model_that_leaves_its_purpose_is_not_answered(client: TestClient) -> None:
    assert client.get("/careless/7").status_code == 500
    assert "example.com" not in client.get("/careless/7").text
    with TestClient(app) as raising, pytest.raises(PydanticSerializationError, match="PurposeMissing"):
        raising.get("/careless/7")


def test_a_purpose_that_may_not_use_the_data_is_told_so(client: TestClient) -> None:
    ledger.denials.clear()
    answer = client.get("/usage/7")
    assert answer.status_code == 403
    assert answer.json()["field"] == "email"
    assert "example.com" not in answer.text
    assert len(ledger.denials) == 1


def test_a_purpose_for_the_whole_of_an_asynchronous_request_reaches_the_answer(client: TestClient) -> None:
    answer = client.get("/whole-request/7")
    assert answer.status_code == 200
    assert answer.json()["eMail"] == "a@example.com"


def test_the_openapi_document_is_that_of_plain_fields_with_the_clauses(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    of = schemas["Customer"]["properties"]
    assert of["eMail"] == {"type": "string", "format": "email", "title": "Email", "x-collected-under": ["1.1(a)"]}
    assert of["home"]["anyOf"][0] == {"$ref": "#/components/schemas/Address", "x-collected-under": ["1.1(a)"]}
    assert schemas["Customer"]["required"] == ["number", "eMail"]
    assert schemas["Address"] == TypeAdapter(Address).json_schema()
    (parameter,) = client.get("/openapi.json").json()["paths"]["/search"]["get"]["parameters"]
    assert parameter["schema"]["x-collected-under"] == ["1.1(a)"]
    assert (parameter["name"], parameter["required"]) == ("email", True)
