"""A web application answers without what is sealed, and its errors show nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.bypass.seal_kinds import Data
from tests.bypass.seal_looking import TEXT, guard, leaks, seal

Email = pg.Personal[str, tm.Registration]


class Customer(BaseModel):
    name: str = "n"
    email: Email


class Subscriber(pg.PersonalModel):
    email: Email


app = FastAPI()


@app.get("/model")
def give_model() -> Customer:
    return Customer(email=seal())


@app.get("/personal")
async def give_personal() -> Subscriber:
    return Subscriber(email=seal())


@app.get("/anything")
def give_anything() -> Any:
    return {"one": seal(), "many": [Customer(email=seal())]}


@app.get("/bare")
def give_bare() -> Any:
    return seal()


@app.get("/dataclass", response_model=None)
def give_dataclass() -> Any:
    return Data(seal())


@app.get("/in-its-body")
@guard.purpose(tm.RenewalGuidance)
def give_in_its_body() -> Customer:
    return Customer(email=seal())


def entered() -> Iterator[pg.Use[tm.RenewalGuidance]]:
    with guard.purpose(tm.RenewalGuidance) as use:
        yield use


@app.get("/by-a-dependency")
def give_by_a_dependency(use: Annotated[Any, Depends(entered)]) -> Customer:
    return Customer(email=seal())


@app.get("/text")
def give_text() -> str:
    return f"for {seal()}"


@app.post("/posted")
def take_posted(given: Customer) -> str:
    return repr(given)


@app.get("/asked")
def take_asked(email: Email) -> str:
    return f"{email}"


CLIENT = TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/model", 500),
        ("/personal", 500),
        ("/anything", 500),
        ("/bare", 500),
        ("/dataclass", 500),
        ("/in-its-body", 500),  # it is written after the activity has ended
        ("/by-a-dependency", 500),  # and in another task or thread than the one that entered the block
        ("/text", 200),
    ],
)
def test_a_web_application_answers_without_it(path: str, status: int) -> None:
    answer = CLIENT.get(path)
    assert answer.status_code == status
    assert leaks([answer.text, dict(answer.headers)]) == []


def test_the_error_of_an_answer_that_cannot_be_written_holds_no_value() -> None:
    client = TestClient(app)
    for path in ("/model", "/personal", "/anything", "/bare", "/dataclass", "/in-its-body"):
        with pytest.raises((ValueError, pg.PurposeGuardError)) as caught:
            client.get(path)
        assert leaks(caught.value, frames="purposeguard") == []
        assert TEXT not in repr(caught.value).lower()


def test_what_a_client_sent_comes_back_as_a_seal() -> None:
    posted = CLIENT.post("/posted", json={"email": TEXT})
    assert posted.json() == "Customer(name='n', email=<sealed 1.1(a)>)"
    assert leaks(CLIENT.get("/asked", params={"email": TEXT}).text) == []
