"""Classes that somebody else wrote, tagged from outside."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Generic, NamedTuple, TypedDict

import attrs
import pydantic.dataclasses
import pytest
from pydantic import BaseModel, computed_field, create_model
from typing_extensions import TypedDict as NewTypedDict

import purposeguard as pg
from purposeguard.errors import UnknownSource, UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation
from tests.unit.models import C, D, R, T

FIELDS: dict[str, Any] = {"number": int, "email": str}


def plain_class() -> type:
    """A new class with these fields, for a decorator."""
    return type("Data", (), {"__annotations__": FIELDS, "__module__": __name__})


def new_model(name: str, **fields: Any) -> Any:
    """A new pydantic model with these fields; what is tagged stays tagged, so a test takes one of its own."""
    make: Any = create_model
    return make(name, **{field: (annotation, ...) for field, annotation in fields.items()})


typed_dict: Any = TypedDict
newer_typed_dict: Any = NewTypedDict

MAKERS: dict[str, Callable[[], Any]] = {
    "pydantic": lambda: new_model("Model", **FIELDS),
    "dataclass": lambda: dataclasses.dataclass(slots=True, frozen=True)(plain_class()),
    "pydantic dataclass": lambda: pydantic.dataclasses.dataclass(plain_class()),
    "TypedDict": lambda: typed_dict("Row", FIELDS),
    "newer TypedDict": lambda: newer_typed_dict("Row", FIELDS),
    "NamedTuple": lambda: NamedTuple("Tuple", list(FIELDS.items())),
    "attrs": lambda: attrs.frozen(plain_class()),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_every_kind_of_class_is_tagged(kind: str) -> None:
    cls = MAKERS[kind]()
    pg.tag(cls, email=tm.Registration)
    assert pg.sources_of(cls) == {"email": R}
    assert pg.sources_of(list[cls]) == {"[].email": R}  # type: ignore[valid-type]
    assert pg.untagged(cls) == ("number",)


def test_a_field_takes_several_tags_labels_and_marks(guard: pg.Guard) -> None:
    class Customer(BaseModel):
        id: int
        since: date
        segment: str
        country: str

    pg.tag(
        Customer, id=pg.Subject("customer"), since=[pg.Collected, tm.Contract], segment=R | C, country=pg.NotPersonal
    )
    assert pg.sources_of(Customer) == {"since": C, "segment": R | C, "country": pg.Label(pg.NotPersonal)}
    assert pg.untagged(Customer) == ("id",)

    @guard.access(narrow=True)
    def customers() -> list[Customer]:
        return [Customer(id=7, since=since, segment="", country="") for since in (date(2025, 6, 1), date(2019, 6, 1))]

    with guard.purpose(tm.RenewalGuidance):
        assert [one.since.year for one in customers()] == [2025]  # the other is from before the notice


def test_a_tag_is_added_to_what_annotations_say_and_never_taken_back() -> None:
    class Customer(BaseModel):
        email: Annotated[str, tm.Registration]
        name: Annotated[str, tm.Registration]

    pg.tag(Customer, email=tm.ProductData, name=pg.NotPersonal)
    assert pg.sources_of(Customer) == {"email": R | D, "name": R}


def test_subclasses_have_the_tags_of_what_they_derive_from() -> None:
    class User(BaseModel):
        email: str
        nick: str

    class Member(User):
        email: str  # annotated anew
        level: int

    pg.tag(User, email=tm.Registration)
    pg.tag(Member, email=tm.Contract, level=tm.Contract)
    assert pg.sources_of(Member) == {"email": R | C, "level": C}
    assert pg.sources_of(User) == {"email": R}


def test_generic_and_nested_classes() -> None:
    class Page(BaseModel, Generic[T]):
        items: list[T]
        reader: str

    class User(BaseModel):
        email: str

    pg.tag(Page, reader=tm.Cookie)
    pg.tag(User, email=tm.Registration)
    assert pg.sources_of(Page[User]) == {"items[].email": R, "reader": pg.Label(tm.Cookie)}


def test_computed_fields_are_tagged() -> None:
    class User(BaseModel):
        email: str

        @computed_field
        def domain(self) -> str:
            return self.email.partition("@")[2]

    pg.tag(User, domain=tm.Registration)
    assert pg.sources_of(User) == {"domain": R}


def test_what_is_tagged_so_is_checked_and_withheld(guard: pg.Guard) -> None:
    class User(BaseModel):
        email: str
        device: str

    pg.tag(User, email=tm.Registration, device=tm.ProductData)

    @guard.access
    def user() -> User:
        raise AssertionError("it may not be read")

    @guard.access(withhold=True)
    def withheld() -> User:
        return User(email="aiko@example.com", device="TM-99")

    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(PurposeViolation):
            user()
        assert withheld().model_dump() == {"email": "aiko@example.com"}


def test_what_cannot_be_told_is_refused() -> None:
    User = new_model("User", email=str)
    anything: Any = pg
    with pytest.raises(TypeError, match="int has no fields"):
        pg.tag(int, real=tm.Registration)
    with pytest.raises(TypeError, match=r"`.*User\.email`: a tag is .* not str"):
        anything.tag(User, email="1.1(a)")
    with pytest.raises(TypeError, match="not NoneType"):
        anything.tag(User, email=None)
    with pytest.raises(UnlabelledData, match=r"has no field `mail`: it has email"):
        pg.tag(User, mail=tm.Registration)
    with pytest.raises(UnlabelledData, match="told by nothing"):
        pg.tag(User, email=())
    with pytest.raises(UnknownSource, match="is a purpose"):
        anything.tag(User, email=tm.RenewalGuidance)
    assert pg.sources_of(User) == {}


def test_the_same_may_be_said_again_and_nothing_else() -> None:
    User = new_model("User", email=str, nick=str)
    pg.tag(User, email=tm.Registration)
    pg.tag(User, nick=tm.Registration)
    with pytest.raises(UnlabelledData, match="tagged from outside before"):
        pg.tag(User, email=tm.Contract)
    assert pg.sources_of(User) == {"email": R, "nick": R}
    pg.tag(User, email=tm.Registration)  # as a module that is loaded again does


@pytest.mark.parametrize("kind", [TypedDict, NewTypedDict], ids=["typing", "typing_extensions"])
def test_a_typed_dict_has_the_tags_of_what_it_is_known_to_derive_from(kind: Any) -> None:
    class Row(kind):  # type: ignore[misc]  # one of two
        email: str

    class LongRow(Row):
        level: int

    pg.tag(Row, email=tm.Registration)
    known = kind is NewTypedDict or sys.version_info >= (3, 12)  # before that, the older kind forgets it
    assert pg.sources_of(LongRow) == ({"email": R} if known else {})
    with pytest.raises(UnlabelledData, match=r"were read already"):
        pg.tag(LongRow, email=tm.Registration)
    assert pg.sources_of(Row) == {"email": R}


def test_it_is_too_late_once_the_tags_were_read() -> None:
    class User(BaseModel):
        email: str

    class Member(User):
        level: int

    assert pg.sources_of(Member) == {}
    with pytest.raises(UnlabelledData, match=r"the tags of \S*Member were read already"):
        pg.tag(User, email=tm.Registration)
    assert pg.sources_of(User) == {}


def test_a_class_that_waits_for_another_is_tagged_before_it_is_there() -> None:
    class Order(BaseModel):
        buyer: Buyer
        note: str

    pg.tag(Order, note=tm.WebForm)

    class Buyer(BaseModel):
        email: Annotated[str, tm.Registration]

    assert pg.sources_of(Order, localns={"Buyer": Buyer}) == {"buyer.email": R, "note": pg.Label(tm.WebForm)}
