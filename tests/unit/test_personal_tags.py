"""Tags in what is sealed: of models, of those that lie in them, and of those in containers. No seal takes one away."""

from __future__ import annotations

import array
import asyncio
import collections
import dataclasses
import datetime
import io
import traceback
from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from typing import Any, Generic, NamedTuple

import attrs
import pytest
from pydantic import BaseModel, PrivateAttr, RootModel, TypeAdapter, computed_field
from typing_extensions import TypedDict

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import D, Device, R, T
from tests.unit.samples import Tape
from tests.unit.seals import words


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


class Shelf(Sequence[Any]):
    def __init__(self, *content: Any) -> None:
        self._content = content

    def __len__(self) -> int:
        return len(self._content)

    def __getitem__(self, index: Any) -> Any:
        return self._content[index]


class Keeping(BaseModel):
    _kept: Any = PrivateAttr()

    def __init__(self, kept: Any) -> None:
        super().__init__()
        self._kept = kept


class Open(BaseModel, extra="allow"): ...


@dataclasses.dataclass
class Loose:
    number: int = 0

    def __init__(self, beside: Any) -> None:
        self.beside = beside


@dataclasses.dataclass
class Paged(list[Any]):
    owner: Any


def filled(page: Paged) -> Paged:
    page.append(Model())
    return page


@dataclasses.dataclass
class Mapped(collections.UserDict[str, Any]):
    owner: Any

    def __post_init__(self) -> None:
        self.data = {}


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
    "user-list": collections.UserList([Model()]),
    "user-dict": collections.UserDict({"a": Model()}),
    "view": {"a": Model()}.values(),
    "own-sequence": Shelf(Model()),
    "private": Keeping(Model()),
    "extra": Open.model_validate({"more": Model()}),
    "beside-its-fields": Loose(Model()),
    "fields-of-a-list": Paged(Model()),
    "fields-of-a-mapping": Mapped(Model()),
    "items-of-a-list-with-fields": filled(Paged(None)),
}


@pytest.mark.parametrize("value", HOLDING.values(), ids=list(HOLDING))
def test_tags_are_added_to_the_label(value: Any) -> None:
    sealed: pg.Personal[Any, Any] = pg.Personal(value, tm.Registration)
    assert sealed.label is R | D
    assert pg.Personal(value, R).label is R | D
    assert pg.Personal(value, pg.NotPersonal).label is D
    assert sealed.map(type).label is R | D


@pytest.mark.parametrize("views", [2, 3, 5, 50])
def test_items_that_are_made_when_they_are_asked_for_are_all_looked_at(views: int) -> None:
    for number in range(views):
        held: list[Any] = [{"a": 1}.items() for _ in range(views)]
        held[number] = {"a": Data()}.items()
        assert pg.Personal(held, tm.Registration).label is R | D


NOT_HOLDING: dict[str, Any] = {
    "text": "d",
    "moment": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    "decimal": Decimal(1),
    "list": ["d", 1, None],
    "dict": {"device": "d"},  # a row is a plain dict, which does not know its class
    "model": Untagged(content=["d"]),
    "class": Model,
    "object": object(),
    "range": range(10**12),
    "numbers": array.array("d", [1.0]),
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


async def fetched() -> str:
    return "ken@example.com"


async def fetching() -> AsyncIterator[str]:
    yield "ken@example.com"


def unfinished() -> dict[str, Any]:
    return {
        "generator": (Model() for _ in "a"),
        "map": map(str, [Model()]),
        "list-iterator": iter([Model()]),
        "file": io.StringIO("ken@example.com"),
    }


@pytest.mark.parametrize("name", unfinished())
def test_what_is_used_up_by_looking_is_not_sealed(name: str) -> None:
    given = unfinished()[name]
    for value in (given, [given], Box(given)):
        with pytest.raises(pg.SealedValue, match="is used up when it is looked at") as refused:
            pg.Personal(value, tm.Registration)
        assert "seal a list or a tuple of it" in words(refused)
    assert len(list(given)) == 1  # and was not


def test_what_is_yet_to_come_is_not_sealed() -> None:
    coming = fetched()
    with pytest.raises(pg.SealedValue, match="a coroutine is no value yet: seal what it gives when it is awaited"):
        pg.Personal([coming], tm.Registration)
    assert asyncio.run(coming) == "ken@example.com"
    with pytest.raises(pg.SealedValue, match="a async_generator is used up when it is looked at"):
        pg.Personal(fetching(), tm.Registration)
    loop = asyncio.new_event_loop()
    for future in (loop.create_future(), asyncio.Future(loop=loop)):
        future.set_result(Model())
        with pytest.raises(pg.SealedValue, match="a Future is no value yet"):
            pg.Personal([future], tm.Registration)
    loop.close()


def test_fields_are_not_sealed_as_iterators() -> None:
    with pytest.raises(pg.UnlabelledData, match=r"`Iterable` is validated as an iterator, which cannot be sealed: say"):
        TypeAdapter(pg.Personal[Iterable[str], tm.Registration])
    adapter: TypeAdapter[Any] = TypeAdapter(pg.Personal[list[Iterable[str]], tm.Registration])
    with pytest.raises(pg.SealedValue, match="used up when it is looked at"):
        adapter.validate_python([["ken@example.com"]])
    assert TypeAdapter(pg.Personal[Sequence[str], tm.Registration]).validate_python(["a"]).label is R


class Slipping(Shelf):
    def __getitem__(self, index: Any) -> Any:
        raise ValueError(f"no {self._content[0]}")


def test_a_slip_of_a_container_is_told_without_what_it_said() -> None:
    shelf = Slipping("ken@example.com")
    for value in (shelf, [shelf]):
        with pytest.raises(pg.SealedValue, match="looking for tags in a Slipping failed with ValueError") as refused:
            pg.Personal(value, tm.Registration)
        shown = "".join(traceback.TracebackException.from_exception(refused.value, capture_locals=True).format())
        assert "ken@" not in shown
        assert refused.value.__context__ is None
