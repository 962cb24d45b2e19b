"""Messages show the simplest values that make a difference, with each seed; and one failure comes alone."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import seed
from pydantic import BaseModel, EmailStr, Field, HttpUrl, create_model

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing.failures import Interference
from purposeguard.testing.interference import noninterference
from tests.testing.noninterference.proving import failure_of, guard, quickly


def model_of(annotation: Any) -> type[BaseModel]:
    fields: dict[str, Any] = {
        "name": Annotated[str, tm.Registration],
        "email": Annotated[EmailStr, tm.Registration],
        "value": Annotated[annotation, tm.ProductData],
    }
    return create_model("Person", **fields)


class Item(BaseModel):
    value: Annotated[str, tm.ProductData]


class Holder(BaseModel):
    name: Annotated[str, tm.Registration]
    value: list[Item]


class SealedPerson(pg.PersonalModel):
    name: pg.Personal[str, tm.Registration]
    value: pg.Personal[str, tm.ProductData]


def open_value(person: Any) -> object:
    with guard.purpose(tm.ProductImprovement) as use:
        return use.open(person.value)


def read_value(person: Any) -> object:
    return person.name, person.email, person.value


PATTERN = model_of(Annotated[str, Field(pattern=r"^[A-Z]{2}\d{4}$")])
AGE = model_of(Annotated[int, Field(ge=18, le=130)])
DAY = datetime.date(2000, 1, 1)

CASES: dict[str, tuple[Any, Any, list[object]]] = {
    "str": (model_of(str), read_value, ["", "0"]),
    "e-mail address": (model_of(EmailStr), read_value, ["a@example.com", "b@example.com"]),
    "URL": (model_of(HttpUrl), read_value, [HttpUrl("https://example.com/a"), HttpUrl("https://example.com/b")]),
    "pattern": (PATTERN, read_value, ["AA0000", "AA0001"]),
    "bounded int": (AGE, read_value, [18, 19]),
    "bound in the code": (AGE, lambda person: person.value > 60, [60, 61]),
    "date": (model_of(datetime.date), read_value, [DAY, DAY.replace(day=2)]),
    "Decimal": (model_of(Decimal), read_value, [Decimal("0.00"), Decimal("0.01")]),
    "items": (Holder, lambda holder: [item.value for item in holder.value], ["", "0"]),
    "sealed": (SealedPerson, open_value, ["", "0"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_message_shows_the_simplest_values(case):
    model, code, expected = CASES[case]

    def body(person: Any) -> object:
        return code(person)

    body.__annotations__["person"] = model
    for number in range(3):
        error = failure_of(seed(number)(noninterference(guard, tm.RenewalGuidance)(body)), by=quickly)
        assert isinstance(error, Interference), error
        runs = str(error).splitlines()[2:4]
        assert [run.split(" = ")[1].split("   ")[0].rstrip() for run in runs] == list(map(repr, expected))


class Order(BaseModel):
    number: int
    device: Annotated[str, tm.ProductData]


def test_an_interference_comes_alone_and_names_the_error_that_the_body_raises_with_other_examples():
    def body(order: Order) -> object:
        if order.number == 0:
            raise LookupError("no such order")
        return order.device

    for number in range(3):
        error = failure_of(seed(number)(noninterference(guard, tm.RenewalGuidance)(body)), by=quickly)
        assert isinstance(error, Interference), error
        assert error.fields == ("order.device",)
        assert "every run raised LookupError: no such order" in "\n".join(error.__notes__)


def test_an_error_of_the_body_alone_is_raised_as_it_is():
    def body(order: Order) -> object:
        raise LookupError("no such order")

    assert isinstance(failure_of(noninterference(guard, tm.RenewalGuidance)(body), by=quickly), LookupError)
