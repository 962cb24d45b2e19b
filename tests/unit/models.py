"""What many of these tests share: a guard of the reference notice, its labels, tagged types and small tagged models."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import functools
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)
R, C, D = pg.Label(tm.Registration), pg.Label(tm.Contract), pg.Label(tm.ProductData)
P = tm.RenewalGuidance
"""May use registration data and no product data."""
RENEWAL, PROVISION = "1.2(1)①", "1.2(2)①"
UTC = datetime.UTC

T = TypeVar("T")
U = TypeVar("U")
Email = Annotated[str, tm.Registration]
Device = Annotated[str, tm.ProductData]
Registered = pg.Personal[str, tm.Registration]


class Contact(BaseModel):
    email: Email = "e"


class Customer(BaseModel):
    email: Email = "e"
    device: Device = "d"


@dataclasses.dataclass
class MarkedCustomer:
    id: Annotated[int, pg.Subject]
    email: Email
    device: Device


@dataclasses.dataclass
class Sealing:
    phone: Registered


class Row(TypedDict):
    email: Email
    device: Device


KINDS = ("pydantic", "dataclass", "attrs", "NamedTuple", "TypedDict")


def class_with(kind: str, **annotations: Any) -> Any:
    """Make a class of a kind by stating these fields, as its source would."""
    names = {"__annotations__": annotations, "__module__": __name__}
    if kind == "pydantic":
        return type("Row", (BaseModel,), names)
    if kind == "dataclass":
        return dataclasses.dataclass(type("Row", (), names))
    if kind == "attrs":
        return attrs.define(type("Row", (), names))
    if kind == "NamedTuple":
        return NamedTuple("Row", list(annotations.items()))
    typed: Any = TypedDict
    return typed("Row", annotations)


def purpose_here() -> str | None:
    """The clause of the purpose under way, None where there is none."""
    try:
        return guard.current.purpose.clause  # type: ignore[union-attr]
    except pg.PurposeMissing:
        return None


def lacks(value: Any, name: str) -> bool:
    """Return True if a field of a value was withheld."""
    try:
        getattr(value, name)
    except pg.PurposeViolation:
        return True
    return False


@dataclasses.dataclass
class Box(Generic[T]):
    item: T


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine function in a loop of its own."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run
