from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypedDict, TypeVar, Union

import attrs
import pytest
import typing_extensions
from pydantic import BaseModel, ConfigDict, EmailStr, Field, PrivateAttr, RootModel, computed_field

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.annotations import is_taggable
from purposeguard.values.type_schema import Shape, read_shape
from tests.unit.customers import Attrs, Data, Frozen, Model, Named, Slotted
from tests.unit.models import C, D, Device, Email, R, T


class Address(BaseModel):
    city: Email
    country: str = "JP"


class Customer(BaseModel):
    """As the contract shows it."""

    id: int
    email: Annotated[EmailStr, tm.Registration]
    device: Annotated[str, tm.ProductData]
    segment: Annotated[str, tm.Registration, tm.Contract]


def test_the_contract_s_own_example() -> None:
    assert pg.sources_of(Customer) == {"email": R, "device": D, "segment": R | C}
    assert list(pg.sources_of(Customer)) == ["email", "device", "segment"]
    assert pg.untagged(Customer) == ("id",)


class Row(TypedDict, total=False):
    email: typing_extensions.Required[Email]
    device: typing_extensions.NotRequired[Device]
    note: typing_extensions.ReadOnly[str]


@attrs.define
class OldAttrs:
    email = attrs.field(type=Email)
    device = attrs.field(type=Device)
    note = attrs.field()


@pytest.mark.parametrize("model", [Model, Data, Slotted, Row, Named, Attrs, Frozen, OldAttrs])
def test_every_kind_of_class_is_read(model: type) -> None:
    assert pg.sources_of(model) == {"email": R, "device": D}
    assert pg.untagged(model) == ("note",)


def test_named_tuples_without_annotations_have_fields_without_tags() -> None:
    import collections

    plain = collections.namedtuple("plain", ["a", "b"])  # noqa: PYI024
    assert pg.sources_of(plain) == {}
    assert pg.untagged(plain) == ("a", "b")


class Order(BaseModel):
    address: Address
    items: list[Annotated[str, tm.Contract]] = []
    lines: dict[str, list[Address]] = {}
    maybe: Optional[Device] = None  # noqa: UP045
    either: Union[Email, Device, int] = 0  # noqa: UP007
    modern: Email | None = None
    whole: Annotated[list[Device], tm.Contract] = []
    by_mail: dict[Email, int] = {}
    pair: tuple[Email, Device] = ("", "")
    many: tuple[Email, ...] = ()
    sequence: Sequence[Address] = ()
    mapping: Mapping[str, Address] = {}
    kind: Literal["a", "b"] = "a"
    factory: Callable[[], Email] | None = None
    klass: type[Address] | None = None


def test_optionals_unions_containers_and_nested_models_are_followed() -> None:
    assert pg.sources_of(Order) == {
        "address.city": R, "items[]": C, "lines[][].city": R, "maybe": D, "either": R | D, "modern": R, "whole": C,
        "whole[]": D, "by_mail": R, "pair[]": R | D, "many[]": R, "sequence[].city": R, "mapping[].city": R,
    }  # fmt: skip
    assert pg.untagged(Order) == (
        "address.country", "lines", "lines[][].country", "sequence", "sequence[].country", "mapping",
        "mapping[].country", "kind", "factory", "klass",
    )  # fmt: skip


class Devices(typing_extensions.TypedDict, total=False):
    main: typing_extensions.Required[Device]
    spare: Address


class Holder(BaseModel):
    home: Address
    work: Address | None
    pair: tuple[Address, Address]
    many: tuple[Address, ...]
    seals: list[pg.Personal[str, tm.Contract]]
    seal: pg.Personal[str, tm.Contract] | None
    tagged: Annotated[list[list[Address]], tm.Contract]
    plain: list[int] | None
    ways: Devices


def test_containers_and_optional_fields_without_a_tag_of_their_own_are_listed() -> None:
    listed = [path for path in pg.untagged(Holder) if not path.endswith("country")]
    assert listed == ["work", "many", "plain", "ways.spare"]


class Person(BaseModel):
    email: Email


class Family(BaseModel):
    head: Person | None
    members: list[Person]


def test_a_guard_that_refuses_untagged_fields_accepts_containers_of_tagged_ones() -> None:
    assert pg.untagged(Family) == ("head", "members")
    strict = pg.Guard(tm.NOTICE, untagged="refuse")

    @strict.access(withhold=True)
    def load() -> list[Family]:
        return [Family(head=None, members=[])]

    with strict.purpose(tm.RenewalGuidance):
        assert load() == [Family(head=None, members=[])]


def test_an_annotation_that_holds_a_model_may_be_asked_about() -> None:
    assert pg.sources_of(list[Customer]) == {"[].email": R, "[].device": D, "[].segment": R | C}
    assert pg.sources_of(Optional[Address]) == {"city": R}  # noqa: UP045
    assert pg.sources_of(Annotated[Address, tm.Contract]) == {"": C, "city": R}
    assert pg.sources_of(Awaitable[Address]) == {"city": R}
    assert pg.sources_of(Iterator[Address]) == {"[].city": R}
    assert pg.untagged(list[Customer]) == ("[].id",)


@pytest.mark.parametrize("given", [int, str, list[int], None, 5, BaseModel, dict, object, Literal["a"], enum.Enum])
def test_what_has_no_fields_is_a_type_error(given: object) -> None:
    for ask in (pg.sources_of, pg.untagged):
        with pytest.raises(TypeError, match="no fields"):
            ask(given)


class Base(BaseModel):
    email: Email


class Derived(Base):
    device: Device


class Retagged(Base):
    email: Device


@dataclasses.dataclass
class DerivedData(Data):
    seed: dataclasses.InitVar[int] = 0
    kind: typing.ClassVar[str] = "no field"
    phone: Email = ""


class Loose(DerivedData):
    """Not decorated again: its annotations are no fields."""

    extra: Email


def test_fields_are_inherited_and_overridden() -> None:
    assert pg.sources_of(Derived) == {"email": R, "device": D}
    assert pg.sources_of(Retagged) == {"email": R | D}
    assert pg.sources_of(DerivedData) == {"email": R, "device": D, "phone": R}
    with pytest.raises(pg.UnlabelledData, match="Loose: `extra` is tagged and is no field"):
        pg.sources_of(Loose)


class Bound(NamedTuple, Generic[T]):
    value: T


TB = TypeVar("TB", bound=Address)
TC = TypeVar("TC", Address, Base)


class Bounded(BaseModel, Generic[TB, TC]):
    one: TB
    other: TC


def test_named_tuples_and_bounds_are_read_with_what_their_variables_stand_for() -> None:
    assert pg.sources_of(Bound[Device]) == {"value": D}
    assert pg.sources_of(Bounded) == {"one.city": R, "other.city": R, "other.email": R}


class Computed(BaseModel):
    email: Email

    @computed_field  # type: ignore[prop-decorator]
    @property
    def domain(self) -> Annotated[str, tm.Registration]:
        return self.email.partition("@")[2]

    @computed_field(return_type=Device)  # type: ignore[prop-decorator]
    @property
    def other(self) -> Any:
        return ""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def length(self) -> int:
        return len(self.email)


class Wrapped(RootModel[list[Address]]): ...


class Described(BaseModel):
    model_config = ConfigDict(extra="allow")
    email: Annotated[str, Field(max_length=9), "a comment", R] = Field(alias="e-mail")
    plain: Annotated[str, 5, "x"] = ""


def test_pydantic_s_own_ways() -> None:
    assert pg.sources_of(Computed) == {"email": R, "domain": R, "other": D}
    assert pg.untagged(Computed) == ("length",)
    assert pg.sources_of(Wrapped) == {"root[].city": R}
    assert pg.sources_of(Described) == {"email": R}
    assert pg.untagged(Described) == ("plain",)


class Unresolved(BaseModel):
    thing: Nowhere  # type: ignore[name-defined]  # noqa: F821


@dataclasses.dataclass
class UnresolvedData:
    thing: Nowhere  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("model", [Unresolved, UnresolvedData, list[UnresolvedData]])
def test_an_annotation_that_cannot_be_resolved_is_no_field_without_tags(model: object) -> None:
    for ask in (pg.sources_of, pg.untagged):
        with pytest.raises(pg.UnlabelledData, match="Nowhere"):
            ask(model)
    with pytest.raises(pg.UnlabelledData, match="not resolved"):
        pg.sources_of(list["Nowhere"])  # type: ignore[name-defined]  # noqa: F821


def test_local_names_may_be_given() -> None:
    class Inner(BaseModel):
        email: Email

    class Outer(BaseModel):
        inner: Hidden  # type: ignore[name-defined]  # noqa: F821

    @dataclasses.dataclass
    class OuterData:
        inner: Hidden  # type: ignore[name-defined]  # noqa: F821

    for model in (Outer, OuterData):
        with pytest.raises(pg.UnlabelledData):
            pg.sources_of(model)
        assert pg.sources_of(model, {"Hidden": Inner}) == {"inner.email": R}
        assert pg.sources_of(model) == {"inner.email": R}  # known from then on


def test_a_tag_that_is_a_purpose_is_an_error() -> None:
    class Wrong(BaseModel):
        email: Annotated[str, tm.RenewalGuidance]

    with pytest.raises(pg.UnknownSource):
        pg.sources_of(Wrong)
    with pytest.raises(pg.UnknownSource):
        read_shape(Annotated[str, pg.Source])


def test_a_dictionary_s_keys_count_for_the_dictionary() -> None:
    assert read_shape(dict[Email, Device]).labels() == {"": R, "[]": D}
    assert read_shape(dict[str, int]).labels() == {}
    assert read_shape(types.MappingProxyType[Email, int]).labels() == {"": R}


def test_generics_that_are_no_containers_are_taken_to_hold_their_arguments() -> None:
    class Holder(Generic[T]): ...

    assert read_shape(Holder[Email]).labels() == {"[]": R}
    text = frozenset({str})
    assert read_shape(Email) | read_shape(list[Device]) == Shape(
        frozenset({tm.Registration}), (), Shape(frozenset({tm.ProductData}), plain=text), plain=text
    )
    assert (read_shape(list[Email]) | read_shape(list[Device])).labels() == {"[]": R | D}


def test_the_label_of_all_joins_everything_below() -> None:
    assert read_shape(list[Customer]).label_of_all() is R | D | C
    assert read_shape(list[int]).label_of_all() is None
    assert read_shape(int).own_label is None


@pytest.mark.parametrize(
    ("given", "answer"),
    [(Customer, True), (Data, True), (Row, True), (Named, True), (Attrs, True), (BaseModel, False), (int, False),
     (tuple, False), (Data("x"), False), (None, False)],
)  # fmt: skip
def test_what_can_carry_tags(given: object, answer: bool) -> None:
    assert is_taggable(given) is answer


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[int, tm.ProductData]]


class Private(BaseModel):
    _device: Annotated[str, tm.ProductData] = PrivateAttr("d")


class OfPrivate(Private):
    name: Annotated[str, tm.Registration] = "n"


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (Extra, "Extra: extra fields"),
        (Private, "Private: the private attribute `_device`"),
        (OfPrivate, "Private: the private attribute `_device`"),
    ],
    ids=["extra", "private", "derived"],
)
def test_tags_that_nobody_would_read_are_refused(model: Any, what: str) -> None:
    for ask in (pg.sources_of, pg.untagged, lambda model: pg.Personal(model.model_construct(), tm.Registration)):
        with pytest.raises(pg.UnlabelledData, match=f"{what} cannot carry a tag: declare a field, or seal it"):
            ask(model)


class Kept(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, pg.Personal[int, tm.ProductData]]
    name: Annotated[str, tm.Registration] = "n"
    _number: pg.Personal[int, tm.ProductData] = PrivateAttr()
    _plain: int = PrivateAttr(1)
    _later: Nowhere = PrivateAttr(None)  # type: ignore[name-defined]  # noqa: F821


def test_seals_beside_the_fields_look_after_themselves() -> None:
    assert pg.sources_of(Kept) == {"name": R}


@dataclasses.dataclass
class Point:
    email: Annotated[str, tm.Registration]


@pytest.mark.parametrize("given", ["ken@example.com", Point("ken@example.com"), ["ken@example.com"], 7])
def test_what_is_no_class_and_no_annotation_is_not_shown(given: object) -> None:
    for ask in (pg.sources_of, pg.untagged):
        with pytest.raises(TypeError, match="has no fields to read tags from") as refused:
            ask(given)
        assert "example" not in str(refused.value)
        assert str(refused.value).startswith(f"a {type(given).__name__} has")
