"""Sealed values of several kinds, plain ones of the same kinds, and what may hold them."""

from __future__ import annotations

import collections
import dataclasses
import types
from collections.abc import Callable, Generator
from typing import Annotated, Any, NamedTuple, TypedDict

import attrs
import msgspec
from pydantic import BaseModel, ConfigDict, RootModel
from pydantic.dataclasses import dataclass as pydantic_dataclass

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.bypass.seal_looking import NUMBER, TEXT, seal

Device = pg.Personal[Any, Any]


class Customer(BaseModel):
    """Tagged, and sealed as a whole."""

    email: Annotated[str, tm.Registration]
    number: int = NUMBER


@dataclasses.dataclass
class Point:
    x: str
    y: int = NUMBER


class Slotted:
    __slots__ = ("device", "number")

    def __init__(self, device: Any, number: Any = 0) -> None:
        self.device = device
        self.number = number


class Handle:
    """Gives itself away to whoever calls, enters, awaits or iterates it."""

    def __call__(self) -> str:
        return TEXT

    def __enter__(self) -> str:
        return TEXT

    def __exit__(self, *_: object) -> None: ...

    def __await__(self) -> Generator[None, None, str]:
        yield from ()
        return TEXT

    def __next__(self) -> str:
        return TEXT

    def __fspath__(self) -> str:
        return TEXT


def plain() -> dict[str, Any]:
    """What a way is tried on first: it must show one of these, or it is no way to show anything."""
    return {
        "text": TEXT, "number": NUMBER, "float": float(NUMBER), "bytes": TEXT.encode(), "tuple": (TEXT, NUMBER),
        "dict": {"device": TEXT}, "model": Customer(email=TEXT), "dataclass": Point(TEXT), "attrs": Attrs(TEXT),
        "slots": Slotted(TEXT, NUMBER), "namespace": types.SimpleNamespace(device=TEXT), "handle": Handle(),
    }  # fmt: skip


def seals() -> dict[str, pg.Personal[Any, Any]]:
    """The same, sealed; and what `map`, `zip` and `collect` make."""
    return {name: seal(value) for name, value in plain().items()} | {
        "mapped": seal().map(str.upper),
        "zipped": seal().zip(seal(NUMBER)),
        "zipped, then mapped": seal().map(str.upper).zip(seal(NUMBER)).map(list),
        "collected": pg.Personal.collect([seal(), seal(NUMBER)], tm.Contract),
        "sealed twice": seal(seal()),
        "linked": tm.link_usage(seal(TEXT, tm.Cookie), seal()),
    }


class Address(BaseModel):
    street: str = "s"
    number: int


class SealedModel(BaseModel):
    email: str = "e"
    device: Device


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")
    device: Device


class PersonalHolder(pg.PersonalModel):
    email: str = "e"
    device: Device


class AnyModel(BaseModel):
    email: str = "e"
    device: Any


class Root(RootModel[dict[str, Device]]): ...


class Outer(BaseModel):
    device: Any
    one: SealedModel
    many: list[SealedModel]


@pydantic_dataclass
class PydanticData:
    device: Device
    email: str = "e"


@dataclasses.dataclass
class Data:
    device: Any
    email: str = "e"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class FrozenData:
    device: Any
    email: str = "e"


@attrs.define
class Attrs:
    device: Any
    email: str = "e"


@attrs.frozen(slots=False, order=True)
class FrozenAttrs:
    device: Any
    email: str = "e"


class Named(NamedTuple):
    email: Any
    device: Any


class Row(TypedDict):
    email: str
    device: Any


class Struct(msgspec.Struct):
    device: Any
    email: str = "e"


class Custom:
    def __init__(self, device: Any) -> None:
        self.device = device


class Failure(Exception):
    """An error of an application that carries what it is about."""

    def __init__(self, device: Any) -> None:
        super().__init__(f"failed for {device}", device)
        self.device = device


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "model": lambda one: SealedModel(device=one),
    "frozen model": lambda one: FrozenModel.model_validate({"device": one, "more": one}),
    "personal model": lambda one: PersonalHolder(device=one),
    "model of anything": lambda one: AnyModel(device=one),
    "constructed model": lambda one: SealedModel.model_construct(device=one),
    "root model": lambda one: Root({"device": one}),
    "outer model": lambda one: Outer(device=one, one=SealedModel(device=one), many=[SealedModel(device=one)]),
    "pydantic dataclass": lambda one: PydanticData(device=one),
    "dataclass": Data,
    "frozen dataclass": FrozenData,
    "attrs": Attrs,
    "frozen attrs": FrozenAttrs,
    "named tuple": lambda one: Named("e", one),
    "row": lambda one: Row(email="e", device=one),
    "ordered dict": lambda one: collections.OrderedDict(email="e", device=one),
    "list": lambda one: ["e", one],
    "tuple": lambda one: ("e", one),
    "deque": lambda one: collections.deque(["e", one]),
    "set": lambda one: {one},
    "keys": lambda one: {one: 1},
    "struct": Struct,
    "object": Custom,
    "slotted object": Slotted,
    "namespace": lambda one: types.SimpleNamespace(device=one, email="e"),
    "error": Failure,
}
"""What may hold a sealed value: name → holder of it."""
