"""Objects of every kind with a withheld value in them; `SENTINEL` is what may never be seen of them.

Defaults are another text: they stand in the code, for everybody to read.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from typing import Any, Generic, NamedTuple

import attrs
from pydantic import BaseModel, ConfigDict, PrivateAttr, RootModel, computed_field

from tests.unit.models import Customer as Model
from tests.unit.models import Device, Email, Row, T

SENTINEL = "sentinel-5f1c9a"


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True)
    email: Email
    device: Device


class DefaultModel(BaseModel):
    email: Email = "e"
    device: Device = "default"


class OpenModel(BaseModel):
    model_config = ConfigDict(extra="allow")
    email: Email
    device: Device
    _private: str = PrivateAttr(default="")

    def model_post_init(self, _context: Any) -> None:
        self._private = self.device


class ComputedModel(BaseModel):
    email: Email
    device: Device

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> Device:
        return self.device * 2

    @computed_field  # type: ignore[prop-decorator]
    @functools.cached_property
    def thrice(self) -> str:
        return self.device * 3


class Page(BaseModel, Generic[T]):
    items: list[T]
    first: T | None = None
    email: Email = "e"


class Pages(BaseModel):
    page: Page[Model]
    anything: Any = None
    device: Device = "default"


class Root(RootModel[dict[str, Model]]): ...


@dataclasses.dataclass
class Data:
    email: Email
    device: Device

    @functools.cached_property
    def cached(self) -> str:
        return self.device


@dataclasses.dataclass
class DefaultData:
    email: Email = "e"
    device: Device = dataclasses.field(default="", metadata={"about": "its default is no datum"})


@dataclasses.dataclass(slots=True)
class SlottedData:
    email: Email
    device: Device


@dataclasses.dataclass(frozen=True, order=True, kw_only=True)
class OrderedData:
    email: Email
    device: Device


@dataclasses.dataclass(frozen=True, slots=True, order=True, unsafe_hash=True)
class FrozenSlottedData:
    email: Email
    device: Device


@dataclasses.dataclass
class InitVarData:
    email: Email
    device: Device
    seed: dataclasses.InitVar[str] = ""

    def __post_init__(self, seed: str) -> None:
        self.kept = seed + self.device


@dataclasses.dataclass
class DerivedData(Data):
    more: Device = "default"


@dataclasses.dataclass
class Box(Generic[T]):
    email: Email
    device: T


class DeviceBox(Box[Device]): ...


class PlainBox(Box): ...  # type: ignore[type-arg]


@attrs.define
class Attrs:
    email: Email
    device: Device


@attrs.frozen(order=True)
class FrozenAttrs:
    email: Email
    device: Device


@attrs.define(slots=False)
class DictAttrs:
    email: Email
    device: Device

    @functools.cached_property
    def cached(self) -> str:
        return self.device


@attrs.define
class DerivedAttrs(Attrs):
    more: Device = attrs.field(default="default", repr=False)


class Named(NamedTuple):
    email: Email
    device: Device
    note: str = "n"


@dataclasses.dataclass
class Nest:
    """Holds the others, so that what is below is looked at as well."""

    email: Email
    one: Model
    many: list[Data]
    by_name: dict[str, Attrs]
    maybe: Named | None
    rows: list[Row]
    anything: Any
    device: Device = "default"


def _cached(one: Any) -> Any:
    for name in ("cached", "thrice"):
        getattr(one, name, None)  # computed and kept, before anything is withheld
    one.__dict__["stray"] = SENTINEL
    return one


def nest() -> Nest:
    model = Model(email="e", device=SENTINEL)
    return Nest(
        "e",
        model,
        [Data("e", SENTINEL)],
        {"a": Attrs("e", SENTINEL)},
        Named("e", SENTINEL),
        [{"email": "e", "device": SENTINEL}],
        [model, (Data("e", SENTINEL), {"deep": FrozenAttrs("e", SENTINEL)})],
        SENTINEL,
    )


def kinds() -> dict[str, tuple[Any, Any]]:
    """Name → a fresh object with the sentinel in it, and the annotation that it is withheld by (None: its class)."""
    both = {"email": "e", "device": SENTINEL}
    model = Model(**both)
    listed: Any = collections.defaultdict(lambda: "default", both)
    return {
        "model": (Model(**both), None),
        "frozen model": (FrozenModel(**both), None),
        "model with defaults": (DefaultModel(**both), None),
        "open model": (OpenModel.model_validate({**both, "extra": SENTINEL}), None),
        "computed model": (_cached(ComputedModel(**both)), None),
        "generic model": (Pages(page=Page[Model](items=[model], first=model), anything=model, device=SENTINEL), None),
        "root model": (Root({"a": model}), None),
        "page": (Page[Model](items=[model], first=model), None),
        "dataclass": (_cached(Data(**both)), None),
        "dataclass with defaults": (DefaultData(**both), None),
        "slotted dataclass": (SlottedData(**both), None),
        "ordered dataclass": (OrderedData(**both), None),
        "frozen slotted dataclass": (FrozenSlottedData(**both), None),
        "dataclass with InitVar": (InitVarData(**both, seed=SENTINEL), None),
        "derived dataclass": (_cached(DerivedData(**both, more=SENTINEL)), None),
        "generic dataclass": (Box("e", SENTINEL), Box[Device]),
        "bound dataclass": (DeviceBox("e", SENTINEL), None),
        "bound dataclass as generic": (DeviceBox("e", SENTINEL), Box[str]),
        "unbound dataclass": (PlainBox("e", SENTINEL), Box[Device]),
        "attrs": (Attrs(**both), None),
        "frozen attrs": (FrozenAttrs(**both), None),
        "attrs without slots": (_cached(DictAttrs(**both)), None),
        "derived attrs": (DerivedAttrs(**both, more=SENTINEL), None),
        "named tuple": (Named(**both), None),
        "row": (dict(both), Row),
        "ordered row": (collections.OrderedDict(both), Row),
        "default row": (listed, Row),
        "row with more": ({**both, "more": SENTINEL}, Row),
        "nest": (nest(), None),
        "list": ([model, [model]], None),
        "dict": ({"k": (Data(**both), Named(**both))}, None),
        "rows": ([dict(both)], list[Row]),
    }
