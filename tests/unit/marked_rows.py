"""The same marked row as every kind of class, and what a purpose is given of it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from typing import Annotated, Any, Generic, NamedTuple, TypedDict

import attrs
import pytest
from pydantic import BaseModel, ConfigDict
from pydantic.dataclasses import dataclass as pydantic_dataclass

import purposeguard as pg
from tests.unit.models import Email, P, T
from tests.unit.oversights import guarded

DAY = datetime.date(2025, 3, 1)
Key = Annotated[int, pg.Subject]


class Customer(BaseModel):
    key: Key
    email: Email = "e"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    key: Key
    email: Email = "e"


@dataclasses.dataclass
class Data:
    key: Key
    email: Email = "e"


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    key: Key
    email: Email = "e"


@pydantic_dataclass
class Validated:
    key: Key
    email: Email = "e"


class Dict(TypedDict):
    key: Key
    email: Email


class Named(NamedTuple):
    key: Key
    email: Email = "e"


@attrs.define
class Attrs:
    key: Key
    email: Email = "e"


@attrs.frozen(slots=False)
class FrozenAttrs:
    key: Key
    email: Email = "e"


class Box(BaseModel, Generic[T]):
    key: Key
    inside: T


@dataclasses.dataclass
class DataBox(Generic[T]):
    key: Annotated[T, pg.Subject]
    email: Email = "e"


def _dict(key: int) -> Dict:
    return {"key": key, "email": "e"}


KINDS: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "pydantic": (Customer, lambda key: Customer(key=key)),
    "frozen pydantic": (Frozen, lambda key: Frozen(key=key)),
    "dataclass": (Data, Data),
    "slots": (Slotted, Slotted),
    "pydantic dataclass": (Validated, Validated),
    "TypedDict": (Dict, _dict),
    "NamedTuple": (Named, Named),
    "attrs": (Attrs, Attrs),
    "frozen attrs": (FrozenAttrs, FrozenAttrs),
    "generic pydantic": (Box[Email], lambda key: Box[Email](key=key, inside="e")),
    "generic dataclass": (DataBox[int], DataBox),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def listed(cls: Any) -> Any:
    """The annotation of a list of these."""
    return list[cls]


def reading(guard: pg.Guard, annotation: Any, value: Any, *sources: Any, **options: Any) -> Callable[[], Any]:
    """An access function that gives this value, annotated like this."""

    def read() -> Any:
        return value() if callable(value) else value

    read.__annotations__["return"] = annotation
    given: Callable[[], Any] = guard.access(*sources, **options)(read)
    return given


def read(annotation: Any, value: Any, *sources: Any, guard: pg.Guard | None = None, **options: Any) -> Any:
    """What a purpose that may use registration data is given."""
    guard = guard or guarded()
    function = reading(guard, annotation, value, *sources, **options)
    with guard.purpose(P):
        return function()


def narrowed(annotation: Any, value: Any, *sources: Any, **options: Any) -> Any:
    return read(annotation, value, *sources, narrow=True, **options)


def good(key: int = 8) -> Frozen:
    return Frozen(key=key)


BAD = Frozen(key=7)
