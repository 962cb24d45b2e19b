"""Objects that lead to a row outside of their fields: by what they compute, and by what they keep.

Each case is a function of the row (or a container of rows) that gives an object. Of its fields every purpose of the
tests may use all.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import attrs
from pydantic import BaseModel, ConfigDict, PrivateAttr, computed_field

import purposeguard as pg
from tests.unit.marked_rows import Dict as Row
from tests.unit.marked_rows import Key
from tests.unit.models import Device, Email

SENTINEL = "sentinel-77aa02"
"""What may not be read."""
FREE = "free-31b9c4"
"""What may be read."""

OWN, OTHER = 1, 7
"""Whom the objects are about, and whom the rows are about that they lead to."""


class Secret(BaseModel):
    """The row that an object leads to."""

    key: Key
    email: Email
    device: Device


class PersonalSecret(pg.PersonalModel):
    key: Key
    email: Email
    device: Device


@dataclasses.dataclass
class SecretData:
    key: Key
    email: Email
    device: Device


class SecretTuple(NamedTuple):
    key: Key
    email: Email
    device: Device


Rows = Secret | list[Secret] | dict[str, Secret]
SOURCE: dict[int, Rows] = {}
"""What the code of computed fields reads, by the key of the object: nothing of it is in the object."""


def rows_of(self: Any) -> Rows:
    return SOURCE[self.key]


class Model(BaseModel):
    key: Key = OWN
    email: Email = FREE


class ComputedModel(Model):
    rows = computed_field(property(rows_of))


class DerivedComputedModel(ComputedModel):
    note: str = "n"


class UnannouncedModel(Model):
    @computed_field  # type: ignore[prop-decorator]
    @property
    def rows(self) -> Any:
        return SOURCE[self.key]


class CachedComputedModel(Model):
    rows = computed_field(functools.cached_property(rows_of))


class PropertyModel(Model):
    rows = property(rows_of)


class CachedModel(Model):
    rows = functools.cached_property(rows_of)


class UntypedCachedModel(Model):
    @functools.cached_property
    def rows(self):
        return SOURCE[self.key]


class PrivateModel(Model):
    _rows: Any = PrivateAttr(default=None)


class OpenModel(Model):
    model_config = ConfigDict(extra="allow")


class PersonalComputedModel(pg.PersonalModel):
    key: Key = OWN
    email: Email = FREE

    rows = computed_field(property(rows_of))


class PersonalPrivateModel(pg.PersonalModel):
    key: Key = OWN
    email: Email = FREE
    _rows: Any = PrivateAttr(default=None)


@dataclasses.dataclass
class Data:
    key: Key = OWN
    email: Email = FREE


class PropertyData(Data):
    rows = property(rows_of)


class CachedData(Data):
    rows = functools.cached_property(rows_of)


@dataclasses.dataclass(slots=True)
class SlottedData:
    key: Key = OWN
    email: Email = FREE

    @property
    def nothing(self) -> int:
        return 0


@dataclasses.dataclass(slots=True)
class SlottedPropertyData:
    key: Key = OWN
    email: Email = FREE

    rows = property(rows_of)


class MoreSlots(SlottedData):
    __slots__ = ("__rows",)

    def __init__(self, rows: Any) -> None:
        super().__init__()
        self.__rows = rows


class LooseSlots(SlottedData):
    """Derives from a class with slots, and has none."""


@attrs.define
class Attrs:
    key: Key = OWN
    email: Email = FREE

    rows = property(rows_of)


@attrs.define
class CachedAttrs:
    key: Key = OWN
    email: Email = FREE

    rows = functools.cached_property(rows_of)


@attrs.define(slots=False)
class LooseAttrs:
    key: Key = OWN
    email: Email = FREE


class Named(NamedTuple):
    key: Key = OWN
    email: Email = FREE

    @property
    def rows(self) -> Rows:
        return SOURCE[self.key]


class PlainNamed(NamedTuple):
    key: Key = OWN
    email: Email = FREE


class LooseNamed(PlainNamed):
    """Has a `__dict__`, which a named tuple has not."""


class RowDict(dict[str, Any]):
    """Has attributes beside its keys."""


def _computing(cls: Callable[[], Any]) -> Callable[[Any], Any]:
    def make(rows: Any) -> Any:
        SOURCE[OWN] = rows
        return cls()

    return make


def _cached(cls: Callable[[], Any]) -> Callable[[Any], Any]:
    def make(rows: Any) -> Any:
        SOURCE[OWN] = rows
        made = cls()
        _ = made.rows
        SOURCE.clear()
        return made

    return make


def _setting(cls: Callable[[], Any], name: str, put: Callable[..., None] = object.__setattr__) -> Callable[[Any], Any]:
    def make(rows: Any) -> Any:
        made = cls()
        put(made, name, rows)
        return made

    return make


CASES: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "computed: model": (ComputedModel, _computing(ComputedModel)),
    "computed: subclass": (ComputedModel, _computing(DerivedComputedModel)),
    "computed: model that says nothing": (UnannouncedModel, _computing(UnannouncedModel)),
    "computed: PersonalModel": (PersonalComputedModel, _computing(PersonalComputedModel)),
    "computed: cached": (CachedComputedModel, _computing(CachedComputedModel)),
    "computed: property of a model": (PropertyModel, _computing(PropertyModel)),
    "computed: property of a dataclass": (PropertyData, _computing(PropertyData)),
    "computed: property of a dataclass with slots": (SlottedPropertyData, _computing(SlottedPropertyData)),
    "computed: property of a subclass": (Data, _computing(PropertyData)),
    "computed: property of attrs": (Attrs, _computing(Attrs)),
    "computed: property of a NamedTuple": (Named, _computing(Named)),
    "computed: cached property of a model": (CachedModel, _computing(CachedModel)),
    "computed: cached property of a dataclass": (CachedData, _computing(CachedData)),
    "computed: cached property of attrs": (CachedAttrs, _computing(CachedAttrs)),
    "cached: computed field": (CachedComputedModel, _cached(CachedComputedModel)),
    "cached: model": (CachedModel, _cached(CachedModel)),
    "cached: model that says nothing": (UntypedCachedModel, _cached(UntypedCachedModel)),
    "cached: dataclass": (CachedData, _cached(CachedData)),
    "cached: attrs": (CachedAttrs, _cached(CachedAttrs)),
    "private: model": (PrivateModel, _setting(PrivateModel, "_rows", setattr)),
    "private: PersonalModel": (PersonalPrivateModel, _setting(PersonalPrivateModel, "_rows", setattr)),
    "private: dataclass": (Data, _setting(Data, "_rows")),
    "private: slot of a subclass": (SlottedData, MoreSlots),
    "dynamic: extra of a model": (OpenModel, lambda rows: OpenModel.model_validate({"rows": rows})),
    "dynamic: attribute of a model": (Model, _setting(Model, "rows")),
    "dynamic: attribute of a dataclass": (Data, _setting(Data, "rows")),
    "dynamic: attribute of a subclass with slots": (SlottedData, _setting(LooseSlots, "rows")),
    "dynamic: attribute of attrs": (LooseAttrs, _setting(LooseAttrs, "rows")),
    "dynamic: attribute of a NamedTuple": (PlainNamed, _setting(LooseNamed, "rows")),
    "dynamic: key of a TypedDict": (Row, lambda rows: {"key": OWN, "email": FREE, "rows": rows}),
    "dynamic: attribute of a dict": (Row, _setting(lambda: RowDict(key=OWN, email=FREE), "rows")),
}
"""Name → the class that a function announces, and what makes an object that leads to a row."""


def row_of(cls: type[Any]) -> Any:
    """A row of this class; no value of it is a default, which stands in the code."""
    return cls(key=OTHER, email=FREE, device=SENTINEL)


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "a row": row_of,
    "in a list": lambda cls: [row_of(cls)],
    "in a dict": lambda cls: {"k": row_of(cls)},
}
"""Name → the row, as it is led to."""


def secrets_of(case: str, held: str = "a row") -> tuple[type[Any], ...]:
    """The classes of rows that the objects of a case may lead to: any, where no annotation says the class."""
    is_annotated = case.startswith("computed: ") and "nothing" not in case
    return (Secret,) if is_annotated or held != "a row" else (Secret, PersonalSecret, SecretData, SecretTuple)
