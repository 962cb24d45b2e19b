"""Errors of validation show nothing of what was given for a sealed field, wherever it stands."""

from __future__ import annotations

import datetime
import decimal
import ipaddress
import typing
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import pydantic
import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    EmailStr,
    Field,
    Json,
    PlainValidator,
    RootModel,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError
from typing_extensions import TypedDict

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.json import decode_sealed
from tests.bypass.seal_kinds import Address
from tests.bypass.seal_looking import NUMBER, TEXT, guard, leaks, says, seal
from tests.unit.sealed_kinds import Cat, Colour, Dog

T = TypeVar("T")
R = tm.Registration


def chained(value: Any) -> Any:
    try:
        raise ValueError(value)
    except ValueError as error:
        raise AssertionError(f"{value}") from error


def known(kind: Any, **context: Any) -> Callable[[Any], Any]:
    def fail(value: Any) -> Any:
        raise PydanticKnownError(kind, dict.fromkeys(context, value))

    return fail


def custom(kind: Any) -> Callable[[Any], Any]:
    def fail(value: Any) -> Any:
        raise PydanticCustomError(kind, "{expected} {value}", {"expected": value, "value": value})

    return fail


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    street: str = "s"


class Row(TypedDict):
    number: int


class Point(NamedTuple):
    x: int
    y: int


@pydantic.dataclasses.dataclass
class Data:
    number: int


WRONG: dict[str, tuple[Any, Any]] = {
    "int": (int, TEXT),
    "float": (float, TEXT),
    "bool": (bool, TEXT),
    "text": (str, NUMBER),
    "bytes": (bytes, NUMBER),
    "decimal": (decimal.Decimal, TEXT),
    "date": (datetime.date, TEXT),
    "time": (datetime.datetime, TEXT),
    "span": (datetime.timedelta, TEXT),
    "uuid": (uuid.UUID, TEXT),
    "address": (ipaddress.IPv4Address, TEXT),
    "url": (pydantic.HttpUrl, TEXT),
    "url of another scheme": (pydantic.HttpUrl, f"ftp://{TEXT}"),
    "url of no port": (pydantic.AnyUrl, f"http://{TEXT}:99999999"),
    "byte size": (pydantic.ByteSize, TEXT),
    "email": (EmailStr, TEXT),
    "email with a reason": (EmailStr, f"{TEXT}@@{TEXT}"),
    "secret": (SecretStr, NUMBER),
    "json": (Json[int], f'{{"{TEXT}"'),
    "json of another type": (Json[int], f'"{TEXT}"'),
    "literal": (Literal["a", "b"], TEXT),
    "enum": (Colour, TEXT),
    "none": (None, TEXT),
    "instance": (Colour, object()),
    "strict": (Annotated[int, Field(strict=True)], str(NUMBER)),
    "too long": (Annotated[str, Field(max_length=2)], TEXT),
    "pattern": (Annotated[str, StringConstraints(pattern="^x$")], TEXT),
    "above": (Annotated[int, Field(lt=3)], NUMBER),
    "multiple": (Annotated[int, Field(multiple_of=1_000)], NUMBER),
    "past": (pydantic.FutureDate, datetime.date(1987, 3, 19)),
    "list": (list[int], [TEXT, 1, TEXT]),
    "list of nothing": (list[int], TEXT),
    "too many": (Annotated[list[int], Field(max_length=1)], [NUMBER, NUMBER]),
    "set": (set[int], {TEXT}),
    "tuple": (tuple[int, int], (TEXT,)),
    "dict": (dict[str, int], {TEXT: TEXT}),
    "keys": (dict[int, int], {TEXT: 1}),
    "optional": (int | None, TEXT),
    "union": (int | Annotated[str, Field(max_length=2)] | list[int], TEXT),
    "union from the left": (Annotated[int | datetime.date, Field(union_mode="left_to_right")], TEXT),
    "model": (Address, {"number": TEXT}),
    "model, missing": (Address, {"street": TEXT}),
    "model of text": (Address, TEXT),
    "model, closed": (Closed, {TEXT: TEXT}),
    "models": (dict[str, list[Address]], {TEXT: [{"number": 1}, {"number": TEXT}]}),
    "tagged union": (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": TEXT}),
    "tagged union, no tag": (Annotated[Cat | Dog, Field(discriminator="kind")], {TEXT: TEXT}),
    "union of models": (Cat | Dog, {"kind": "cat", "lives": TEXT}),
    "tagged union, inside": (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "cat", "lives": TEXT}),
    "callable discriminator": (
        Annotated[
            Annotated[Cat, pydantic.Tag("cat")] | Annotated[Dog, pydantic.Tag("dog")], Discriminator(lambda _: TEXT)
        ],
        {},
    ),
    "row": (Row, {"number": TEXT}),
    "named tuple": (Point, (TEXT,)),
    "dataclass": (Data, {"number": TEXT}),
    "root": (RootModel[int], TEXT),
    "after": (Annotated[str, AfterValidator(says(ValueError))], TEXT),
    "after, assertion": (Annotated[str, AfterValidator(says(AssertionError))], TEXT),
    "after, another error": (Annotated[str, AfterValidator(says(KeyError))], TEXT),
    "after, a type error": (Annotated[str, AfterValidator(says(TypeError))], TEXT),
    "after, custom": (Annotated[str, AfterValidator(says())], TEXT),
    "after, chained": (Annotated[str, AfterValidator(chained)], TEXT),
    "before": (Annotated[str, BeforeValidator(says(ValueError))], TEXT),
    "wrap": (Annotated[str, WrapValidator(lambda value, _: says(ValueError)(value))], TEXT),
    "plain": (Annotated[str, PlainValidator(says(ValueError))], TEXT),
    "plain, a function of Python": (Annotated[Any, PlainValidator(int)], TEXT),
    "plain, another error": (Annotated[str, PlainValidator(says(RuntimeError))], TEXT),
    "the library's own": (Annotated[str, AfterValidator(lambda value: guard.allows(value, "1.2(1)①"))], TEXT),
    "a known error": (Annotated[str, AfterValidator(known("literal_error", expected=1))], TEXT),
    "an error named as a known one": (Annotated[str, AfterValidator(custom("enum"))], TEXT),
    "an error named as ours": (Annotated[str, AfterValidator(custom("sealed_value"))], TEXT),
    "an error named as one that is told": (Annotated[str, AfterValidator(custom("int_parsing"))], TEXT),
}
"""What is in the seal, and what is given for it."""


class Cause(BaseModel):
    model_config = ConfigDict(validation_error_cause=True)


def models(inner: Any) -> dict[str, Callable[[Any], Any]]:
    """A field of this type in many places; each takes what is given for it."""
    Email = pg.Personal[inner, R]

    class Plain(BaseModel):
        email: Email

    class WithCause(Cause):
        email: Email

    class Late(BaseModel):
        model_config = ConfigDict(validate_assignment=True)
        email: Email | None = None

    class Outer(BaseModel):
        many: list[Plain]
        by_name: dict[str, Email] = {}

    class Box(BaseModel, Generic[T]):
        item: T

    return {
        "field": lambda given: Plain(email=given),
        "field, strict": lambda given: Plain.model_validate({"email": given}, strict=True),
        "field, with causes": lambda given: WithCause.model_validate({"email": given}),
        "field, assigned": lambda given: setattr(Late(), "email", given),
        "field below": lambda given: Outer.model_validate({"many": [{"email": given}]}),
        "field of a mapping": lambda given: Outer.model_validate({"many": [], "by_name": {"a": given}}),
        "generic": lambda given: Box[Email].model_validate({"item": given}),
        "adapter": TypeAdapter(Email).validate_python,
        "list": lambda given: TypeAdapter(list[Email]).validate_python([given]),
        "union": TypeAdapter(Email | pg.Personal[Literal[0], tm.Contract]).validate_python,
        "decoded": lambda given: decode_sealed(Email, given),
        "msgspec": lambda given: msgspec.convert({"email": given}, _struct(Email), dec_hook=decode_sealed),
    }


def _struct(email: Any) -> Any:
    return msgspec.defstruct("Struct", [("email", email)])


@pytest.mark.parametrize("name", list(WRONG))
def test_an_error_of_a_sealed_field_does_not_show_what_was_given(name: str) -> None:
    inner, given = WRONG[name]
    errors: dict[str, BaseException] = {}
    for place, validate in models(inner).items():
        with pytest.raises((ValidationError, pg.SealedValue, msgspec.ValidationError)) as caught:
            validate(given)
        errors[place] = caught.value
    found = {place: leaks(error, frames="purposeguard") for place, error in errors.items()}
    assert {place: texts for place, texts in found.items() if texts} == {}


@pytest.mark.parametrize("name", ["int", "email", "model", "list", "after", "after, another error", "union"])
def test_the_same_type_unsealed_shows_it(name: str) -> None:
    inner, given = WRONG[name]
    with pytest.raises((ValidationError, KeyError)) as caught:
        TypeAdapter(inner).validate_python(given)
    assert leaks(caught.value, frames="purposeguard")


@pytest.mark.parametrize("name", ["int", "email", "list", "model", "dict", "after", "tagged union"])
def test_an_error_of_json_does_not_show_what_was_given(name: str) -> None:
    inner, given = WRONG[name]
    document = TypeAdapter(Any).dump_json({"email": given})

    email = typing.cast("Any", pg.Personal)[inner, R]
    model = pydantic.create_model("Plain", email=(email, ...))
    with pytest.raises((ValidationError, pg.SealedValue)) as caught:
        model.model_validate_json(document)
    assert leaks(caught.value, frames="purposeguard") == []


def test_an_error_about_a_sealed_value_shows_the_seal() -> None:
    """Also as JSON, which pydantic writes of inputs, in a purpose that may use them."""
    adapter: TypeAdapter[Any] = TypeAdapter(int | dict[str, int])
    for block in (guard.purpose("2.3①"), guard.purpose(tm.RenewalGuidance)):
        with block, pytest.raises(ValidationError) as caught:
            adapter.validate_python(seal())
        with block:
            assert leaks(caught.value) == []
            with pytest.raises(ValidationError) as missing:
                pydantic.create_model("Two", a=(Any, ...), b=(int, ...))(a=seal())
            assert leaks(missing.value) == []


def test_what_is_sealed_already_is_not_looked_at() -> None:
    heard: list[Any] = []
    look = heard.append

    class Spying(BaseModel):
        email: pg.Personal[Annotated[Any, BeforeValidator(look), AfterValidator(look), PlainValidator(look)], Any]

    one = seal(TEXT, tm.ProductData)
    assert Spying(email=one).email is one
    assert Spying.model_validate({"email": one.map(str.upper)}, strict=True).email.label is one.label
    assert TypeAdapter(pg.Personal[int, tm.ProductData]).validate_python(one) is one
    assert heard == []
