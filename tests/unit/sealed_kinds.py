"""Types of every kind that a sealed field may have, each with an input for it."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, NewType

import pytest
from annotated_types import Ge, Len
from pydantic import (
    AfterValidator,
    AnyUrl,
    AwareDatetime,
    Base64Str,
    BaseModel,
    BeforeValidator,
    ByteSize,
    EmailStr,
    Field,
    Json,
    PlainValidator,
    SecretStr,
    StringConstraints,
    WrapValidator,
)
from typing_extensions import TypeAliasType

from tests.unit.models import T


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Address(BaseModel):
    street: str
    number: int = 1


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Box(BaseModel, Generic[T]):
    content: T


class Node(BaseModel):
    name: str
    below: list[Node] = []


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


Nickname = NewType("Nickname", str)


Numbers = TypeAliasType("Numbers", list[int])


def shouted(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def exclaimed(value: Any, handler: Callable[[Any], Any]) -> Any:
    return f"{handler(value)}!"


KINDS: list[Any] = [
    pytest.param(annotation, given, id=name)
    for name, annotation, given in [
        ("str", str, "x"), ("int-from-text", int, "7"), ("float-from-int", float, 7), ("bool-from-text", bool, "yes"),
        ("bytes", bytes, "x"), ("none", None, None), ("any", Any, {"x": [1]}),
        ("email", EmailStr, "Aiko@Example.COM"), ("url", AnyUrl, "HTTPS://example.com"),
        ("uuid", uuid.UUID, "12345678123456781234567812345678"), ("date", dt.date, "2026-05-02"),
        ("datetime", AwareDatetime, "2026-05-02T10:00:00+09:00"), ("time", dt.time, "10:00"),
        ("timedelta", dt.timedelta, "P1D"), ("decimal", decimal.Decimal, "1.50"), ("byte-size", ByteSize, "1 kB"),
        ("enum", Colour, "red"), ("int-enum", Level, 1), ("literal", Literal["a", "b"], "b"),
        ("secret", SecretStr, "x"), ("json", Json[list[int]], "[1, 2]"), ("base64", Base64Str, "eA=="),
        ("new-type", Nickname, "x"), ("alias", Numbers, ("1", 2)), ("optional-none", int | None, None),
        ("optional", int | None, "7"), ("union-first", int | str, 7), ("union-second", int | str, "x"),
        ("list", list[int], ("1", 2)), ("tuple", tuple[int, str], ["1", "x"]), ("set", set[int], ["1", 1]),
        ("frozenset", frozenset[str], ["x"]), ("dict", dict[str, dt.date], {"x": "2026-05-02"}),
        ("constrained-int", Annotated[int, Field(gt=3, lt=9)], "7"),
        ("constrained-str", Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True)], " x "),
        ("annotated-types", Annotated[list[Annotated[int, Ge(1)]], Len(1, 2)], [1]),
        ("before", Annotated[str, BeforeValidator(shouted)], "x"),
        ("after", Annotated[str, AfterValidator(shouted)], "x"),
        ("wrap", Annotated[str, WrapValidator(exclaimed)], "x"),
        ("plain", Annotated[str, PlainValidator(shouted)], "x"), ("model", Address, {"street": "x"}),
        ("model-instance", Address, Address(street="x")),
        ("list-of-models", list[Address], [{"street": "x", "number": "2"}]), ("generic", Box[int], {"content": "7"}),
        ("generic-open", Box, {"content": "7"}), ("discriminated-first", Pet, {"kind": "cat", "lives": "9"}),
        ("discriminated-second", Pet, {"kind": "dog", "name": "x"}),
        ("recursive", Node, {"name": "x", "below": [{"name": "y"}]}),
    ]
]  # fmt: skip
