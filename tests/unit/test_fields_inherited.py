"""Fields that a subclass annotates anew: what was said of them before holds still."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Annotated, Any, Generic, NamedTuple

import attrs
import pytest
import typing_extensions as te
from pydantic import BaseModel, Field, computed_field

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.type_schema import Model
from tests.unit.marked_rows import reading
from tests.unit.models import Box, C, D, Device, Email, R, T, guard, lacks


class Base(BaseModel):
    id: Annotated[int, pg.Subject]
    email: Email
    devices: list[Device] = []


class Anew(Base):
    id: int
    email: str = Field(max_length=99)
    devices: list[str] = []


class AnewAgain(Anew):
    email: Annotated[str, tm.Contract]


@dataclasses.dataclass
class BaseData:
    id: Annotated[int, pg.Subject]
    email: Email
    devices: list[Device]


@dataclasses.dataclass
class AnewData(BaseData):
    id: int
    email: str
    devices: list[str]


@attrs.define
class BaseAttrs:
    id: Annotated[int, pg.Subject]
    email: Email
    devices: list[Device]


@attrs.define
class AnewAttrs(BaseAttrs):
    id: int
    email: str
    devices: list[str]


class BaseRow(te.TypedDict):
    id: Annotated[int, pg.Subject]
    email: Email
    devices: list[Device]


class AnewRow(BaseRow):
    id: int
    email: str
    devices: list[str]


class BaseTuple(NamedTuple):
    id: Annotated[int, pg.Subject]
    email: Email
    devices: list[Device]


class AnewTuple(BaseTuple):
    id: int
    email: str
    devices: list[str]


Marked: Any = Annotated[int, pg.Subject]


@attrs.define
class OldAttrs:
    id = attrs.field(type=Marked)
    email = attrs.field(type=Email)
    devices = attrs.field(type=list[Device])


@attrs.define
class AnewOldAttrs(OldAttrs):
    id = attrs.field(type=int)
    email = attrs.field(type=str)
    devices = attrs.field()


class PlainMixin:
    email: str


@dataclasses.dataclass
class Mixed(PlainMixin, BaseData):
    email: str


class Other(BaseModel):
    email: Annotated[str, tm.Contract]


class OfTwo(Anew, Other):
    email: str


@pytest.mark.parametrize(
    "model", [Anew, AnewData, AnewAttrs, AnewOldAttrs, AnewRow, AnewTuple, Mixed], ids=lambda cls: cls.__name__
)
def test_a_subclass_takes_no_tag_and_no_mark_away(model: Any) -> None:
    assert pg.sources_of(model) == {"email": R, "devices[]": D}
    assert pg.untagged(model) == ("id",)
    assert Model(model).marks() == {pg.Subject: ("id",)}


def test_what_several_classes_say_counts_together() -> None:
    assert pg.sources_of(AnewAgain)["email"] is R | C
    assert pg.sources_of(OfTwo)["email"] is R | C


def test_what_was_taken_away_so_is_withheld_and_refused() -> None:
    load = reading(guard, AnewData, pytest.fail)
    with guard.purpose(tm.RenewalGuidance) as use:
        with pytest.raises(pg.PurposeViolation):
            load()
        for model in (Anew, AnewData, AnewAttrs, AnewTuple):
            kept = use.withhold(model(id=7, email="aiko@example.com", devices=["d"]))
            assert kept.email == "aiko@example.com"
            assert lacks(kept, "devices")


@dataclasses.dataclass
class EmailBox(Box[Email]):
    item: str


class Crate(BaseModel, Generic[T]):
    content: T
    note: T | None = None


class EmailCrate(Crate[Email]):
    content: str


class ListCrate(Crate[list[T]], Generic[T]):
    note: Any = None


def test_what_type_variables_stood_for_counts() -> None:
    assert pg.sources_of(EmailBox) == {"item": R}
    assert pg.sources_of(EmailCrate) == {"content": R, "note": R}
    assert pg.sources_of(Crate[Device]) == {"content": D, "note": D}
    assert pg.sources_of(ListCrate[Device])["content[]"] is D


class Part(BaseModel):
    device: Device


class LongPart(Part):
    email: Email


class Whole(BaseModel):
    part: Part
    sealed: pg.Personal[str, tm.Registration]
    sealed_list: list[pg.Personal[Device, tm.Registration]] = []
    plain: Email = ""
    by_name: dict[str, Device] = {}


class LongWhole(Whole):
    part: LongPart
    sealed: str  # type: ignore[assignment]  # not sealed any more
    sealed_list: list[str] = []  # type: ignore[assignment]  # likewise
    plain: pg.Personal[str, tm.Registration]  # type: ignore[assignment]  # sealed since
    by_name: dict[str, str] = {}


class Narrowed(Whole):
    sealed: pg.Personal[str, tm.Contract]  # type: ignore[assignment]  # a seal says its sources itself


def test_models_seals_and_items_count_as_they_lie() -> None:
    assert pg.sources_of(LongWhole) == {
        "part.device": D, "part.email": R, "sealed": R, "sealed_list[]": R | D, "plain": R, "by_name[]": D,
    }  # fmt: skip
    assert Model(LongWhole).shape.labels().keys() >= {"sealed", "sealed_list[]", "plain"}
    assert pg.sources_of(Narrowed)["sealed"] is C


class WithDomain(BaseModel):
    email: Email

    @computed_field  # type: ignore[prop-decorator]
    @property
    def domain(self) -> Email:
        return self.email


class DomainAnew(WithDomain):
    @computed_field  # type: ignore[prop-decorator]
    @property
    def domain(self) -> str:
        return self.email


def test_computed_fields_keep_their_tags() -> None:
    assert pg.sources_of(DomainAnew) == {"email": R, "domain": R}


def test_what_was_said_from_outside_counts_too() -> None:
    class Told(BaseModel):
        email: str
        since: date

    class ToldAnew(Told):
        email: str

    class ToldRow(te.TypedDict):
        email: str

    class ToldRowAnew(ToldRow):
        email: str

    pg.tag(Told, email=tm.Registration)
    pg.tag(ToldRow, email=tm.Registration)
    assert pg.sources_of(ToldAnew) == pg.sources_of(ToldRowAnew) == {"email": R}


class Unknown:
    email: Nowhere  # type: ignore[name-defined]  # noqa: F821


class Known(Unknown, BaseModel):
    email: str


def test_an_earlier_annotation_that_cannot_be_resolved_is_refused() -> None:
    with pytest.raises(pg.UnlabelledData, match=r"Unknown: the annotation `Nowhere`"):
        pg.sources_of(Known)
