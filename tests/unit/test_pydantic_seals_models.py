"""Models with sealed fields do what models do: copies, assignment, defaults, inheritance, equality, recursion."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import Registered, guard
from tests.unit.sealed_fields import SECRET, dumped, lines_of, made, not_written, opened


class Home(BaseModel):
    street: Registered
    floor: int = 0


class Customer(BaseModel):
    name: Registered
    homes: list[Home] = []
    note: str = "n"


# --- copies and changes


class Place(BaseModel):
    city: Annotated[str, tm.Registration]


@pytest.mark.parametrize(
    ("inner", "value"),
    [
        (Place, Place(city=SECRET)),
        (Place | None, Place(city=SECRET)),
        (list[Place], [Place(city=SECRET)]),
        (dict[str, Place], {"home": Place(city=SECRET)}),
    ],
    ids=["model", "optional", "list", "dict"],
)
def test_what_a_field_sealed_with_the_tags_inside_is_taken_again(inner: Any, value: Any) -> None:
    """Of another source than the field's own: the seal is under both, as `sources_of` says of the field."""

    class Holder(BaseModel):
        place: Personal[inner, tm.WebContact]

    both = pg.Label(tm.WebContact, tm.Registration)
    assert pg.sources_of(Holder)["place"] is both
    for given in (made(Holder, place=value).place, Personal(value, tm.WebContact)):
        assert given.label is both
        assert made(Holder, place=given).place is given
        assert Holder.model_validate({"place": given}).place is given
    for source, name in ((tm.Cookie, "2.3"), (tm.Customer, "1.1"), (pg.NotPersonal, "not-personal")):
        with pytest.raises(ValidationError, match=f"is sealed under {name}, and this field takes WebContact or Reg"):
            made(Holder, place=Personal("x", source))


def test_of_what_is_not_personal_the_tags_inside_count() -> None:
    class Holder(BaseModel):
        place: Personal[Place, pg.NotPersonal]

    place = made(Holder, place=Place(city=SECRET)).place
    assert place.label is pg.Label(tm.Registration)
    assert made(Holder, place=place).place is place
    assert made(Holder, place=Personal("x", pg.NotPersonal)).place.label is pg.Label(pg.NotPersonal)
    assert lines_of(Holder, place=Personal("x", tm.Contract)) == [("sealed_source", ("place",))]


def test_a_purpose_takes_no_tags_inside_that_may_not_serve_it() -> None:
    class Holder(BaseModel):
        place: Personal[Place, tm.WebInquiryResponse]

    assert lines_of(Holder, place=Personal(Place(city=SECRET), tm.WebContact)) == [("sealed_source", ("place",))]


def test_revalidated_instances_keep_their_seals() -> None:
    class Holder(BaseModel):
        model_config = ConfigDict(revalidate_instances="always")
        name: Registered

    class Outer(BaseModel):
        model_config = ConfigDict(revalidate_instances="always")
        holder: Holder
        sealed: Personal[Holder, tm.Registration]

    holder = made(Holder, name=SECRET)
    outer = made(Outer, holder=holder, sealed=holder)
    assert outer.holder is not holder
    assert outer.holder.name is holder.name
    assert opened(outer.sealed).name is holder.name


def test_assignment_seals_where_it_validates() -> None:
    class Holder(BaseModel):
        model_config = ConfigDict(validate_assignment=True)
        age: Personal[int, tm.Registration]

    holder = made(Holder, age=1)
    holder.age = "7"  # type: ignore[assignment]  # validated
    assert opened(holder.age) == 7
    sealed = Personal(8, tm.Registration)
    holder.age = sealed
    assert holder.age is sealed
    assert lines_of(setattr, holder, "age", Personal(SECRET, tm.Contract)) == [("sealed_source", ("age",))]
    assert lines_of(setattr, holder, "age", SECRET) == [("int_parsing", ("age",))]
    assert holder.age is sealed


# --- defaults


def test_defaults_are_sealed_where_they_are_validated() -> None:
    shared = Personal("x", tm.Registration)

    class Holder(BaseModel):
        sealed: Registered = shared
        made: Registered = Field(default_factory=lambda: Personal("x", tm.Registration))
        checked: Registered = Field(default="x", validate_default=True)
        plain: Registered = Field(default=SECRET)  # type: ignore[arg-type]  # pydantic does not look at defaults
        none: Registered | None = None

    holder = Holder()
    assert holder.sealed is shared
    assert holder.made is not Holder().made
    assert opened(holder.checked) == "x"
    assert holder.none is None
    with guard.purpose(tm.RenewalGuidance):
        not_written(holder.model_dump)  # a plain default was never validated, so it is not sealed
    assert dumped(holder, exclude={"plain"}) == {"sealed": "x", "made": "x", "checked": "x", "none": None}


def test_model_validators_see_seals_after_and_the_input_before() -> None:
    seen: list[str] = []

    class Holder(BaseModel):
        name: Registered

        @model_validator(mode="before")
        @classmethod
        def _before(cls, given: Any) -> Any:
            seen.append(repr(given["name"]))
            return given

        @model_validator(mode="after")
        def _after(self) -> Holder:
            seen.append(repr(self.name))
            return self

    made(Holder, name="x")
    assert seen == ["'x'", "<sealed 1.1(a)>"]


# --- inheritance and composition


def test_a_subclass_may_narrow_or_widen_the_sources() -> None:
    class Base(BaseModel):
        name: Personal[str, tm.Registration | tm.Contract]

    class Narrow(Base):
        name: Registered

    class Wide(Base):
        name: Personal[str, tm.Customer]  # type: ignore[assignment]  # the parent of both may serve less

    assert [made(kind, name="x").name.label for kind in (Base, Narrow, Wide)] == [
        pg.Label(tm.Registration, tm.Contract),
        pg.Label(tm.Registration),
        pg.Label(tm.Customer),
    ]
    contract = Personal("x", tm.Contract)
    assert Base(name=contract).name is contract
    assert Wide(name=contract).name is contract
    assert lines_of(Narrow, name=contract) == [("sealed_source", ("name",))]
    assert pg.sources_of(Narrow) == {"name": pg.Label(tm.Registration)}
    narrow = made(Narrow, name="x")
    assert TypeAdapter(list[Base]).validate_python([narrow])[0] is narrow
    assert dumped(narrow) == {"name": "x"}


def test_nested_models_are_written_and_refused_as_a_whole() -> None:
    class Order(BaseModel):
        buyer: Customer
        device: Personal[str, tm.ProductData]
        by_name: dict[str, list[Customer | None]]

    order = Order.model_validate(
        {"buyer": {"name": "x"}, "device": "d", "by_name": {"a": [{"name": "y", "homes": [{"street": "s"}]}, None]}}
    )
    with guard.purpose(tm.ProductProvision):
        assert Order.model_validate(order.model_dump()).model_dump() == order.model_dump()
    with guard.purpose(tm.RenewalGuidance) as use:
        not_written(order.model_dump)
        assert order.model_dump(include={"by_name": {"a": {0: {"name"}}}}) == {"by_name": {"a": [{"name": "y"}]}}
        assert "device" not in use.withhold(order).model_dump()


class Tree(BaseModel):
    name: Registered
    below: list[Tree] = []
    kept: Personal[Tree, tm.Contract] | None = None


def test_recursive_models() -> None:
    tree = Tree.model_validate({"name": "a", "below": [{"name": "b"}], "kept": {"name": "c", "kept": {"name": "d"}}})
    assert tree.kept is not None
    assert tree.kept.label == pg.Label(tm.Registration, tm.Contract)
    assert dumped(tree, exclude_none=True, exclude_defaults=True) == {
        "name": "a",
        "below": [{"name": "b"}],
        "kept": {"name": "c", "kept": {"name": "d"}},
    }
    assert lines_of(Tree.model_validate, {"name": "a", "kept": {"name": "c", "kept": {"name": [SECRET]}}}) == [
        ("string_type", ("kept", "kept", "name"))
    ]
    of = pg.sources_of(Tree)
    assert of["name"] == pg.Label(tm.Registration)
    assert of["kept"] == pg.Label(tm.Registration, tm.Contract)


class Early(BaseModel):
    later: Personal[Later, tm.Registration]
    also: Optional[Personal["Later", tm.Contract]] = None  # noqa: UP037, UP045  # another way to write it


class Later(BaseModel):
    size: Annotated[int, tm.ProductData]


def test_what_is_sealed_may_be_defined_later() -> None:
    early = Early.model_validate({"later": {"size": "7"}, "also": {"size": 8}})
    assert early.later.label == pg.Label(tm.Registration, tm.ProductData)
    assert pg.sources_of(Early) == {
        "later": pg.Label(tm.Registration, tm.ProductData),
        "also": pg.Label(tm.Contract, tm.ProductData),
    }
    assert lines_of(Early.model_validate, {"later": {"size": SECRET}}) == [("int_parsing", ("later", "size"))]


def test_classes_in_functions_are_found() -> None:
    class Inside(BaseModel):
        size: int

    class Outside(BaseModel):
        inside: Personal[Inside, tm.Registration]
        next: Outside | None = None

    outside = Outside.model_validate({"inside": {"size": "7"}, "next": {"inside": {"size": 8}}})
    assert dumped(outside, exclude_none=True) == {"inside": {"size": 7}, "next": {"inside": {"size": 8}}}
