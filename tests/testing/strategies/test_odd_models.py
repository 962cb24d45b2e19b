"""Models as applications have them, each unusual in its way: instances and twins are made of them all the same."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import random
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

import attrs
import pytest
import typing_extensions
from hypothesis import find, given, settings
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    SecretStr,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

import purposeguard as pg
from examples.shop import models as shop
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.row_context import subject_key
from purposeguard.testing.stateful import Office
from purposeguard.testing.strategies import instances, twins
from purposeguard.testing.values import Markers, simplest

T = TypeVar("T")


class Loose(BaseModel):
    """Extra fields, private ones, a factory that is random, and a callable with a default."""

    model_config = ConfigDict(extra="allow", validate_assignment=True, str_strip_whitespace=True)

    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    name: Annotated[str, tm.Registration]
    draw: Callable[[], float] = random.random
    _seen: int = PrivateAttr(default=3)


class Before(BaseModel):
    """A validator of the whole that wants it all."""

    name: Annotated[str, tm.Registration]
    both: Annotated[str, tm.Registration]

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, given: Any) -> Any:
        assert given["name"] is not None
        assert "both" in given
        return given


class Informed(BaseModel):
    """A validator that looks at another field."""

    plan: Annotated[Literal["basic", "pro"], tm.Contract]
    seats: Annotated[int, Field(ge=1, le=100), tm.Contract]

    @field_validator("seats")
    @classmethod
    def _seats(cls, value: int, info: ValidationInfo) -> int:
        if info.data["plan"] == "basic" and value > 5:
            raise ValueError("basic has five seats")
        return value


class Hashed(BaseModel):
    """What is kept is not what was given, and would not be taken again."""

    password: Annotated[str, tm.Registration]
    name: Annotated[str, tm.Registration]

    @field_validator("password")
    @classmethod
    def _hash(cls, value: str) -> str:
        assert not value.startswith("sha256:"), "hashed already"
        return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"


def kind_of(given: Any) -> str:
    return str(given["kind"] if isinstance(given, dict) else given.kind)


class Mail(BaseModel):
    kind: Literal["mail"] = "mail"
    address: Annotated[str, tm.Registration]


class Call(BaseModel):
    kind: Literal["call"] = "call"
    number: Annotated[str, BeforeValidator(str.strip), tm.Registration]


class Contact(BaseModel):
    way: Annotated[Annotated[Mail, Tag("mail")] | Annotated[Call, Tag("call")], Discriminator(kind_of)]


class Keyed(pg.PersonalModel):
    seals: dict[str, Personal[str, tm.Registration]]
    nested: list[tuple[int, Personal[str, tm.Contract]]]


class Marked(pg.PersonalModel):
    customer: Annotated[str, pg.Subject("customer")]
    others: Annotated[list[str], pg.Subject]
    since: Annotated[datetime.datetime, pg.Collected]
    until: Annotated[datetime.datetime | None, pg.Ended] = None
    email: Personal[str, tm.Registration]


@dataclasses.dataclass(kw_only=True)
class Lowered:
    """Changed after it was made."""

    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]
    domain: str = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.email = self.email.lower()
        self.domain = self.email.partition("@")[2]


@dataclasses.dataclass
class Wrapper(Generic[T]):
    inner: T
    label: Annotated[str, tm.Contract]


@dataclasses.dataclass
class Holder(Wrapper[list[Mail]]):
    more: Wrapper[Annotated[int, tm.Contract]]


def shouted(text: str) -> str:
    return text.upper()


@attrs.frozen
class Parcel:
    to: Annotated[str, tm.Registration] = attrs.field(converter=shouted)
    weight: Annotated[int, tm.Contract] = attrs.field(validator=attrs.validators.instance_of(int))
    number: str = attrs.field(factory=lambda: "n-1")

    @weight.validator
    def _positive(self, _: Any, value: int) -> None:
        if value <= 0:
            raise ValueError("weighs nothing")


class Either(BaseModel):
    """One of two, and not both."""

    email: Annotated[str | None, tm.Registration] = None
    phone: Annotated[str | None, tm.Registration] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.email is None) is (self.phone is None):
            raise ValueError("e-mail or phone")
        return self


class Repeated(BaseModel):
    """The same twice, of which the second says how long it must be."""

    again: Annotated[SecretStr, tm.Registration]
    password: Annotated[SecretStr, Field(min_length=8), tm.Registration]

    @model_validator(mode="after")
    def _same(self) -> Self:
        assert self.again == self.password
        return self


class Greater(BaseModel):
    """A validator that stumbles where the field before was refused."""

    low: Annotated[int, Field(ge=0), tm.Contract]
    high: Annotated[int, tm.Contract]

    @field_validator("high")
    @classmethod
    def _greater(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data["low"]:
            raise ValueError("less")
        return value


class Outline(BaseModel):
    """Within itself with no None to end by."""

    title: Annotated[str, tm.Contract]
    below: Outline | str


class Folder(typing_extensions.TypedDict, total=False):
    owner: typing_extensions.Required[Annotated[str, tm.Registration]]
    device: Annotated[str, tm.ProductData]
    inner: Folder


@dataclasses.dataclass
class Chain:
    name: Annotated[str, tm.Registration]
    others: tuple[Chain, ...] = ()
    best: Chain = None  # type: ignore[assignment]  # as people write it


class NobodyIn(pg.PersonalModel):
    anybody: Annotated[str, pg.NotPersonal]
    sealed: Personal[str, pg.NotPersonal]
    name: Annotated[str, tm.Registration]


MODELS: list[Any] = [
    *(Either, Repeated, Greater, Outline, Folder, Chain, NobodyIn, Loose, Before, Informed, Hashed, Contact, Keyed),
    *(Marked, Lowered, Holder, Wrapper[Mail], Parcel),
]
SHOP = [
    one
    for one in vars(shop).values()
    if isinstance(one, type) and issubclass(one, shop.Model) and one.model_fields and one is not shop.Person
]


@pytest.mark.parametrize("model", [*MODELS, *SHOP], ids=lambda one: getattr(one, "__name__", str(one)))
@settings(max_examples=4)
@given(data=st.data())
def test_instances_and_twins_are_made(model: Any, data: st.DataObject) -> None:
    made = data.draw(instances(model))
    labels = pg.sources_of(model) if model not in SHOP or _is_tagged(model) else {}
    if labels:
        data.draw(twins(made, sorted(labels), model))
        markers = Markers()
        marked = data.draw(instances(model, markers))
        assert type(marked) is type(made)
        assert len(markers) > 0 or {*labels.values()} == {pg.Label(pg.NotPersonal)}


def _is_tagged(model: Any) -> bool:
    return bool(pg.sources_of(model))


@settings(max_examples=6)
@given(data=st.data(), either=instances(Either))
def test_what_validators_count_is_counted_in_a_twin(data: st.DataObject, either: Either) -> None:
    twin = data.draw(twins(either, ["email", "phone"]))
    assert (twin.email is None) is not (twin.phone is None)
    assert (twin.email, twin.phone) != (either.email, either.phone)
    marked = Markers().mark(either)
    assert (marked.email is None) is not (marked.phone is None)


def test_a_key_that_need_not_be_there_may_be_absent() -> None:
    assert "device" not in find(instances(Folder), lambda one: "device" not in one)
    assert "device" in find(instances(Folder), lambda one: "device" in one)


def test_what_is_not_personal_is_not_marked() -> None:
    markers = Markers()
    assert markers.instance(NobodyIn).anybody == ""
    assert [mark.field for mark in markers] == ["name"]


@given(informed=instances(Informed), before=instances(Before))
def test_validators_that_look_around_are_kept_to(informed: Informed, before: Before) -> None:
    assert informed.plan == "pro" or informed.seats <= 5
    assert before.name is not None


def test_what_is_hashed_once_stays_so_in_a_twin() -> None:
    made = Hashed(password="secret", name="Aiko")  # noqa: S106  # it is one of nobody
    twin = simplest(twins(made, ["name"]))
    assert twin.password is made.password
    assert twin.name != "Aiko"
    assert Markers().instance(Hashed).password.startswith("sha256:")


def test_a_random_factory_is_not_asked() -> None:
    one, other = Markers().instance(Loose), Markers().instance(Loose)
    assert one.id == other.id
    assert one._seen == 3
    twin = simplest(twins(one, ["name"]))
    assert (twin.id, twin._seen) == (one.id, 3)
    assert twin.draw is one.draw


@given(data=st.data(), marked=instances(Marked))
def test_marked_fields_can_be_read(data: st.DataObject, marked: Marked) -> None:
    assert subject_key(marked.customer)
    guard = pg.Guard(tm.NOTICE, governance=Office(), clock=lambda: datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC))
    with guard.purpose(tm.RenewalGuidance) as use:
        expected = marked.since.astimezone(datetime.UTC) >= datetime.datetime(2024, 3, 31, 15, tzinfo=datetime.UTC)
        assert use.allows(marked.email.label, subject=marked) is expected


def test_what_was_worked_out_when_it_was_made_is_that_of_the_old_value() -> None:
    made = Lowered(email="Aiko@Example.com", device="d")
    twin = simplest(twins(made, ["email"]))
    assert twin.email == twin.email.lower() != made.email
    assert twin.device is made.device
    # Not a field that was named: what follows from one that is, has to bear its tag.
    assert twin.domain == "example.com"


@settings(max_examples=3)
@given(data=st.data())
def test_instances_are_made_within_a_test(data: st.DataObject) -> None:
    data.draw(st.integers())
    markers = Markers()
    assert markers.instance(Contact, way=Mail(address="x")).way.address == "x"  # type: ignore[union-attr]
    assert markers.instance(Lowered).email == markers["email"].value


class Impossible(BaseModel):
    name: Annotated[str, tm.Registration]

    @model_validator(mode="after")
    def _never(self) -> Self:
        raise ValueError("never")


class Secretive(BaseModel):
    name: Annotated[str, tm.Registration]

    @field_validator("name")
    @classmethod
    def _only(cls, value: str) -> str:
        assert value == "open sesame"
        return value


def test_what_nothing_is_known_for_is_said() -> None:
    with pytest.raises(TypeError, match="the validators of Impossible refuse whatever is tried"):
        Markers().instance(Impossible)
    with pytest.raises(TypeError, match=r"^name: its validators take nothing that is known: give a strategy for it"):
        Markers().instance(Secretive)
    assert Markers().instance(Secretive, name="open sesame").name == "open sesame"
    with pytest.raises(TypeError, match=r"^name: its validators take nothing that is known"):
        Markers().mark(Secretive(name="open sesame"))
