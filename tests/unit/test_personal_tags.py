"""Tags in what is sealed: of models, of those that lie in them, and of those in containers. No seal takes one away."""

from __future__ import annotations

import collections
import dataclasses
import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import attrs
import pytest
from pydantic import BaseModel, RootModel, TypeAdapter, computed_field
from typing_extensions import TypedDict

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.samples import Tape
from tests.unit.seals import D, R

Device = Annotated[str, tm.ProductData]
T = TypeVar("T")


class Model(BaseModel):
    device: Device = "d"
    note: str = "n"


@dataclasses.dataclass
class Data:
    device: Device = "d"


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    device: Device = "d"


@attrs.define
class Attrs:
    device: Device = "d"


class Named(NamedTuple):
    device: Device = "d"


class Sealing(BaseModel):
    device: pg.Personal[str, tm.ProductData]


class Untagged(BaseModel):
    content: Any = None


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


class Page(BaseModel, Generic[T]):
    content: T


class Root(RootModel[list[Model]]): ...


class Rows(list[Any]): ...


class Row(TypedDict):
    device: Device


HOLDING: dict[str, Any] = {
    "model": Model(),
    "dataclass": Data(),
    "slotted": Slotted(),
    "attrs": Attrs(),
    "named-tuple": Named(),
    "sealed-field": Sealing(device=pg.Personal("d", tm.ProductData)),
    "list": [1, Model()],
    "tuple": (Data(),),
    "set": {Slotted()},
    "frozenset": frozenset({Named()}),
    "deque": collections.deque([Attrs()]),
    "list-of-own": Rows([Model()]),
    "dict": {"a": Model()},
    "ordered": collections.OrderedDict(a=[Model()]),
    "defaultdict": collections.defaultdict(list, a=[Data()]),
    "chain-map": collections.ChainMap({}, {"a": Data()}),
    "keys": {Slotted(): 1},
    "deep": [{"a": ({"b": [Model()]},)}],
    "any-field": Untagged(content=Model()),
    "any-deep": Untagged(content=[{"a": Model()}]),
    "generic": Box(Data()),
    "generic-model": Page(content=Model()),
    "generic-bound": Page[Model](content=Model()),
    "root": Root([Model()]),
    "none-first": [None, None, Model()],
}


@pytest.mark.parametrize("value", HOLDING.values(), ids=list(HOLDING))
def test_tags_are_added_to_the_label(value: Any) -> None:
    sealed: pg.Personal[Any, Any] = pg.Personal(value, tm.Registration)
    assert sealed.label is R | D
    assert pg.Personal(value, R).label is R | D
    assert pg.Personal(value, pg.NotPersonal).label is D
    assert sealed.map(type).label is R | D


NOT_HOLDING: dict[str, Any] = {
    "text": "d",
    "moment": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    "decimal": Decimal(1),
    "list": ["d", 1, None],
    "dict": {"device": "d"},  # a row is a plain dict, which does not know its class
    "model": Untagged(content=["d"]),
    "class": Model,
    "object": object(),
    "sealed": pg.Personal(Model(), tm.Registration),  # which keeps its own label
}


@pytest.mark.parametrize("value", NOT_HOLDING.values(), ids=list(NOT_HOLDING))
def test_what_holds_no_tag_adds_nothing(value: Any) -> None:
    assert pg.Personal(value, tm.Registration).label is R


def test_data_that_runs_in_a_circle_is_sealed_too() -> None:
    ring: list[Any] = [Model()]
    ring.append(ring)
    knot = Untagged()
    knot.content = [knot, Data()]
    assert pg.Personal(ring, tm.Registration).label is R | D
    assert pg.Personal(knot, tm.Registration).label is R | D


def test_rows_are_described_by_the_annotation_of_a_field() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(pg.Personal[list[Row], tm.Registration])
    assert adapter.validate_python([{"device": "d"}]).label is R | D


class Computing(BaseModel):
    device: Device

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation writes it
    @property
    def number(self) -> int:
        return int(self.device)


def test_sealing_runs_no_code_of_the_class() -> None:
    assert pg.Personal(Computing(device="no number"), tm.Registration).label is R | D
    assert pg.Personal([Computing(device="no number")], tm.Registration).label is R | D


@pytest.mark.parametrize("cls", [Model, Data, Attrs, Named, Slotted], ids=lambda cls: cls.__name__)
def test_a_copy_without_fields_is_sealed_with_what_is_left(cls: Any) -> None:
    tape = Tape()
    guard = pg.Guard(tm.NOTICE, ledger=tape)
    with guard.purpose(tm.RenewalGuidance) as use:
        copy = use.withhold(cls())
        for value in (copy, [copy], Untagged(content=copy)):
            sealed: pg.Personal[Any, Any] = pg.Personal(value, tm.Registration)
            assert sealed.label in (R, R | D)
    assert tape.denials == []  # nothing was read


def test_what_was_never_set_holds_nothing() -> None:
    bare: list[Any] = [object.__new__(cls) for cls in (Slotted, Data, Attrs)]
    for value in (*bare, Model.model_construct()):
        assert pg.Personal(value, tm.Registration).label is R | D  # by the class, whatever is in it


class Late(BaseModel):
    other: Undefined  # type: ignore[name-defined]  # noqa: F821  # never defined


def test_what_cannot_be_known_is_not_sealed() -> None:
    late = Late.model_construct(other=1)
    with pytest.raises(pg.UnlabelledData, match="`Undefined` cannot be resolved"):
        pg.Personal(late, tm.Registration)
