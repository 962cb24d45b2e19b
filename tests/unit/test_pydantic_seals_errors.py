"""Errors of sealed fields say what is wrong and where, and nothing of what was given."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    EmailStr,
    Field,
    HttpUrl,
    OnErrorOmit,
    TypeAdapter,
    field_validator,
    validate_call,
)
from pydantic import dataclasses as pydantic_dataclasses
from pydantic_core import PydanticCustomError, PydanticKnownError, PydanticOmit, PydanticUseDefault, SchemaError
from typing_extensions import TypedDict

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.sealed_fields import SECRET, assert_quiet, fail, lines_of, made, opened, refused, validated
from tests.unit.sealed_kinds import Cat, Dog

Place = tuple[int | str, ...]


class Address(BaseModel):
    street: str
    zip_: int = Field(default=1, alias="zip")
    region: int = Field(default=1, validation_alias=AliasChoices("area", AliasPath("areas", 0)))
    floor: int = Field(default=1, validation_alias=AliasPath("floors", 0))


class Row(TypedDict):
    length: int


@pydantic_dataclasses.dataclass
class Data:
    width: int


class Tree(BaseModel):
    size: int
    below: list[Tree] = []


def field_lines(annotation: Any, given: Any) -> list[tuple[str, Place]]:
    """The lines of the error that a model makes of this input for its sealed field `x`."""

    class Holder(BaseModel):
        x: Personal[annotation, tm.Registration]

    return lines_of(Holder.model_validate, {"x": given})


@pytest.mark.parametrize(
    ("annotation", "given", "places"),
    [
        pytest.param(annotation, given, places, id=name)
        for name, annotation, given, places in [
            ("model", Address, {"street": [SECRET], "zip": SECRET}, [("x", "street"), ("x", "zip")]),
            ("aliases", Address, {"street": "s", "area": SECRET, "floors": [SECRET]}, [("x", "area"), ("x", "floors")]),
            ("alias-path", Address, {"street": "s", "areas": [SECRET]}, [("x", "areas")]),
            ("items", list[Address], [{"street": [SECRET]}], [("x", "street")]),
            ("values", dict[str, Address], {SECRET: {"street": [SECRET]}}, [("x", "street")]),
            ("typed-dict", Row, {"length": SECRET}, [("x", "length")]),
            ("dataclass", Data, {"width": SECRET}, [("x", "width")]),
            ("recursive", Tree, {"size": 1, "below": [{"size": SECRET}]}, [("x", "below", "size")]),
            ("sealed-again", Personal[Tree, tm.Contract], {"size": SECRET}, [("x", "size")]),
            ("tagged", Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "cat"}, [("x", "lives")]),
        ]
    ],
)
def test_errors_say_the_field_within(annotation: Any, given: Any, places: list[Place]) -> None:
    assert [place for _, place in field_lines(annotation, given)] == places


def test_rules_that_come_from_code_are_told() -> None:
    for annotation, given, told in (
        (int, SECRET, "valid integer"),
        (Annotated[int, Field(gt=3)], 1, "greater than 3"),
        (Annotated[str, Field(max_length=2)], SECRET, "at most 2"),
        (Annotated[str, Field(pattern="^a+$")], SECRET, "^a+$"),
        (Address, {}, "required"),
        (HttpUrl, f"ftp://{SECRET}", "http"),
    ):
        sealed: Any = Personal[annotation, tm.Registration]  # type: ignore[valid-type]  # one of those above
        assert told in str(refused(validated, sealed, given))


def test_every_line_of_an_error_hides_the_input() -> None:
    error = refused(validated, Personal[list[int], tm.Registration], [SECRET, SECRET])
    assert error.error_count() == 2
    assert {line["input"] for line in error.errors()} == {"<sealed>"}
    assert {line["input"] for line in error.errors(include_url=False, include_context=False)} == {"<sealed>"}
    assert all("input" not in line for line in error.errors(include_input=False))


# --- what validators say


def says_assertion(value: Any) -> Any:
    raise AssertionError(f"bad {value}")


def says_custom(value: Any) -> Any:
    raise PydanticCustomError("mine", "bad {value}", {"value": str(value)})


def says_known(value: Any) -> Any:
    raise PydanticKnownError("literal_error", {"expected": str(value)})


def says_under_a_name_of_pydantic_s(value: Any) -> Any:
    raise PydanticCustomError("string_type", "bad {value}", {"value": str(value)})


def says_under_a_name_of_ours(value: Any) -> Any:
    raise PydanticCustomError("sealed_source", "bad {why}", {"why": str(value)})


SAYING = [fail, says_assertion, says_custom, says_known, says_under_a_name_of_pydantic_s, says_under_a_name_of_ours]


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        pytest.param(dt.date, "date", id="class"),
        pytest.param(EmailStr, "EmailStr", id="pydantic"),
        pytest.param(Annotated[str, BeforeValidator(fail)], "str", id="annotated"),
        pytest.param(Annotated[list[int], BeforeValidator(fail)], "list", id="generic"),
        pytest.param(Annotated[int | str, BeforeValidator(fail)], "value", id="union"),
    ],
)
def test_an_error_calls_the_value_by_its_type(annotation: Any, name: str) -> None:
    error = refused(validated, Personal[annotation, tm.Registration], SECRET)
    assert f"is not a valid {name}" in str(error)


@pytest.mark.parametrize("say", SAYING)
def test_what_the_validators_of_a_model_inside_say_is_not_told(say: Callable[[Any], Any]) -> None:
    class Inside(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def _checked(cls, value: str) -> Any:
            return say(value)

    assert field_lines(Inside, {"name": SECRET}) == [("sealed_value", ("x", "name"))]


class Failure(Exception):
    """What no validator should raise."""


@pytest.mark.parametrize("kind", [TypeError, KeyError, Failure, RecursionError, SchemaError])
def test_an_error_that_pydantic_does_not_catch_is_replaced(kind: type[Exception]) -> None:
    def fail_otherwise(value: Any) -> Any:
        raise kind(f"bad {value}")

    adapter = TypeAdapter(Personal[Annotated[str, AfterValidator(fail_otherwise)], tm.Registration])
    with pytest.raises(pg.SealedValue, match=f"validation as str failed with {kind.__name__} in line") as caught:
        adapter.validate_python(SECRET)
    assert_quiet(caught.value)


def test_validators_inside_may_still_leave_out_or_fall_back() -> None:
    def leave_out(value: str) -> str:
        if value == "out":
            raise PydanticOmit
        if value == "default":
            raise PydanticUseDefault
        return value

    class Holder(BaseModel):
        items: list[Personal[Annotated[str, AfterValidator(leave_out)], tm.Registration]] = []
        numbers: list[Personal[OnErrorOmit[int], tm.Registration]] = []
        one: Personal[Annotated[str, AfterValidator(leave_out)], tm.Registration] | None = Field(default=None)

    assert [opened(item) for item in made(Holder, items=["out", "x"]).items] == ["x"]
    assert [opened(item) for item in made(Holder, numbers=[SECRET, 7]).numbers] == [7]
    assert made(Holder, one="default").one is None
    assert opened(made(Holder, one="x").one) == "x"


def test_a_default_that_is_not_valid_is_not_shown() -> None:
    class Holder(BaseModel):
        age: Personal[int, tm.Registration] = Field(default=SECRET, validate_default=True)

    assert lines_of(Holder) == [("int_parsing", ("age",))]


# --- in other places


def test_in_unions_containers_and_calls() -> None:
    sealed = Personal[int, tm.Registration]
    either = sealed | Personal[dt.date, tm.Contract]
    assert {kind for kind, _ in lines_of(validated, either, SECRET)} == {"int_parsing", "sealed_value"}
    assert lines_of(validated, list[sealed], [SECRET]) == [("int_parsing", (0,))]
    assert lines_of(validated, set[sealed], [SECRET]) == [("int_parsing", (0,))]
    assert lines_of(validated, sealed | None, SECRET) == [("int_parsing", ())]

    @validate_call
    def take(age: Personal[int, tm.Registration], *, more: Personal[int, tm.Registration] | None = None) -> object:
        return age

    assert opened(take("7")) == 7  # type: ignore[arg-type]  # validated
    assert lines_of(take, SECRET) == [("int_parsing", (0,))]
    assert lines_of(take, 1, more=SECRET) == [("int_parsing", ("more",))]
