"""Tagged models of every kind, with constraints and validators of all sorts: what instances must be made of."""

from __future__ import annotations

import datetime
import enum
import ipaddress
import re
import uuid
from collections import deque
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar

import attrs
import typing_extensions
from pydantic import (
    UUID4,
    AfterValidator,
    AliasPath,
    AnyUrl,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    EmailStr,
    Field,
    FutureDate,
    HttpUrl,
    IPvAnyAddress,
    NameEmail,
    PastDate,
    PositiveInt,
    RootModel,
    SecretStr,
    StringConstraints,
    computed_field,
    conlist,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


Postcode = NewType("Postcode", str)
Alias = typing_extensions.TypeAliasType("Alias", Annotated[str, tm.Contract])
Pair = typing_extensions.TypeAliasType("Pair", tuple[T, T], type_params=(T,))


class Plain(BaseModel):
    """Types of which most values will do."""

    id: int
    name: Annotated[str, tm.Registration]
    email: Annotated[EmailStr, tm.Registration]
    contact: Annotated[NameEmail, tm.Registration]
    site: Annotated[HttpUrl, tm.WebForm]
    link: Annotated[AnyUrl, tm.WebForm]
    ip: Annotated[ipaddress.IPv4Address, tm.Cookie]
    ip6: Annotated[ipaddress.IPv6Address, tm.Cookie]
    any_ip: Annotated[IPvAnyAddress, tm.Cookie]
    key: Annotated[uuid.UUID, tm.Cookie]
    key4: Annotated[UUID4, tm.Cookie]
    born: Annotated[datetime.date, tm.Registration]
    seen: Annotated[datetime.datetime, tm.ProductData]
    aware: Annotated[AwareDatetime, tm.ProductData]
    past: Annotated[PastDate, tm.Contract]
    future: Annotated[FutureDate, tm.Contract]
    at: Annotated[datetime.time, tm.ProductData]
    lasted: Annotated[datetime.timedelta, tm.ProductData]
    paid: Annotated[Decimal, tm.Contract]
    weight: Annotated[float, tm.ProductData]
    points: Annotated[int, tm.Contract]
    blob: Annotated[bytes, tm.ProductData]
    secret: Annotated[SecretStr, tm.Registration]
    vip: Annotated[bool, tm.Contract]
    colour: Annotated[Colour, tm.Registration]
    plan: Annotated[Literal["basic", "pro"], tm.Contract]
    anything: Annotated[Any, tm.ProductData]


class Constrained(BaseModel):
    age: Annotated[int, Field(ge=0, le=120), tm.Registration]
    even: Annotated[int, Field(gt=0, multiple_of=2), tm.Contract]
    positive: Annotated[PositiveInt, tm.Contract]
    ratio: Annotated[float, Field(gt=0, lt=1), tm.ProductData]
    price: Annotated[Decimal, Field(max_digits=6, decimal_places=2, ge=0), tm.Contract]
    code: Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{4}$"), tm.Contract]
    short: Annotated[str, Field(min_length=2, max_length=4), tm.Registration]
    long: Annotated[str, Field(min_length=40), tm.Registration]
    trimmed: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, to_lower=True), tm.Registration]
    few: Annotated[conlist(int, min_length=2, max_length=3), tm.ProductData]  # type: ignore[valid-type]
    grown_up: Annotated[datetime.date, Field(le=datetime.date(2007, 1, 1)), tm.Registration]
    since: Annotated[datetime.datetime, Field(ge=datetime.datetime(2020, 1, 1)), tm.Contract]  # noqa: DTZ001
    tag: Annotated[bytes, Field(max_length=3), tm.ProductData]


def is_phone(value: str) -> str:
    if not re.fullmatch(r"\+81[\d -]{9,}", value):
        raise ValueError("no number of Japan")
    return value


def is_luhn(value: str) -> str:
    digits = [int(one) for one in value]
    odd = sum(digits[-1::-2])
    even = sum(sum(divmod(2 * one, 10)) for one in digits[-2::-2])
    assert (odd + even) % 10 == 0
    return value


class Validated(BaseModel):
    """Validators that are choosy, in each of the ways to write one."""

    phone: Annotated[str, AfterValidator(is_phone), tm.Registration]
    card: Annotated[str, Field(pattern=r"^\d{16}$"), AfterValidator(is_luhn), tm.Contract]
    kana: Annotated[str, tm.Registration]
    postcode: Annotated[str, tm.Registration]
    amounts: Annotated[list[str], tm.Contract]
    number: Annotated[int, BeforeValidator(lambda given: int(str(given).replace(",", ""))), tm.Contract]
    nickname: Annotated[str | None, tm.Registration] = None

    @field_validator("kana")
    @classmethod
    def _katakana(cls, value: str) -> str:
        if not re.fullmatch(r"[\u30A0-\u30FF\u3000 ]+", value):
            raise ValueError("not katakana")
        return value

    @field_validator("postcode", mode="before")
    @classmethod
    def _postcode(cls, value: Any) -> Any:
        if not re.fullmatch(r"\d{3}-\d{4}", value):
            raise ValueError("no postcode")
        return value.replace("-", "")

    @field_validator("amounts")
    @classmethod
    def _digits(cls, values: list[str]) -> list[str]:
        assert all(one.isdecimal() for one in values)
        return values

    @field_validator("nickname")
    @classmethod
    def _capital(cls, value: str | None) -> str | None:
        assert value is None or value.istitle()
        return value


class Together(BaseModel):
    """Fields that depend on each other."""

    first: Annotated[datetime.date, tm.Contract]
    last: Annotated[datetime.date, tm.Contract]
    email: Annotated[EmailStr, tm.Registration]
    repeated: Annotated[EmailStr, tm.Registration]
    device: Annotated[str, tm.ProductData]

    @model_validator(mode="after")
    def _in_order(self) -> Together:
        if self.first > self.last:
            raise ValueError("ends before it begins")
        if self.email != self.repeated:
            raise ValueError("mistyped")
        return self


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, tm.Registration] = Field(alias="fullName")
    city: Annotated[str, tm.Registration] = Field(validation_alias=AliasPath("address", 0, "city"))
    device: Annotated[str, tm.ProductData] = Field(default="none", validation_alias="device_id")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def initials(self) -> Annotated[str, tm.Registration]:
        return self.name[:1]


class Address(BaseModel):
    city: Annotated[str, tm.Registration]
    zip: Annotated[Postcode, tm.Registration]


class Nested(BaseModel):
    home: Address
    work: Address | None
    others: list[Address]
    by_name: dict[str, Address]
    pair: tuple[Address, int]
    tags: list[Annotated[str, tm.ProductData]]
    whole: Annotated[list[str], tm.ProductData]
    usage: Annotated[dict[str, int], tm.ProductData]
    keyed: dict[Annotated[str, tm.Contract], int]
    alias: Alias
    twice: Pair[Annotated[str, tm.Cookie]]
    ids: set[Annotated[int, tm.Cookie]]
    recent: deque[Annotated[str, tm.Cookie]]


class Tree(BaseModel):
    name: Annotated[str, tm.Registration]
    children: list[Tree]
    parent: Tree | None = None


class Sealed(pg.PersonalModel):
    name: Personal[str, tm.Registration]
    email: Personal[EmailStr, tm.Registration] | None
    age: Personal[Annotated[int, Field(ge=0, le=120)], tm.Registration | tm.Contract]
    devices: list[Personal[str, tm.ProductData]]
    address: Personal[Address, tm.WebContact]
    for_renewal: Personal[str, tm.RenewalGuidance]
    plain: Annotated[str, tm.Contract]


class Cats(BaseModel):
    kind: Literal["cat"]
    owner: Annotated[str, tm.Registration]


class Dogs(BaseModel):
    kind: Literal["dog"]
    owner: Annotated[str, tm.Contract]


class Animals(BaseModel):
    one: Annotated[Cats | Dogs, Field(discriminator="kind")]
    either: Annotated[int | EmailStr, tm.Registration]


class Page(BaseModel, Generic[T]):
    items: list[T]
    owner: Annotated[str, tm.Contract]


class Names(RootModel[list[Annotated[str, tm.Registration]]]):
    pass


@dataclass
class Base(Generic[T]):
    value: T
    city: Annotated[str, tm.Registration]


@dataclass(frozen=True, slots=True)
class Frozen:
    name: Annotated[str, tm.Registration]
    device: Annotated[str, Field(max_length=8), tm.ProductData]
    phone: Personal[str, tm.Registration]
    made: int = field(init=False, default=3)
    extra: list[Annotated[str, tm.Cookie]] = field(default_factory=list)


@dataclass
class Strict(Base[Annotated[int, tm.Contract]]):
    seed: InitVar[int]
    doubled: int = field(init=False)

    def __post_init__(self, seed: int) -> None:
        if self.value < 0:
            raise ValueError("negative")
        self.doubled = 2 * self.value + 0 * seed


@pydantic_dataclass
class Checked:
    email: Annotated[EmailStr, tm.Registration]
    age: Annotated[int, tm.Registration] = Field(ge=0, le=120)
    code: Annotated[str, tm.Contract] = Field(default="AB", pattern="^[A-Z]{2}$")


class Keys(TypedDict):
    name: Annotated[str, tm.Registration]
    device: NotRequired[Annotated[str, tm.ProductData]]
    address: Address


class Row(NamedTuple):
    name: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]
    number: int = 1


def lowered(text: str) -> str:
    return text.lower()


@attrs.define
class Attributes:
    _name: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData] = attrs.field(validator=attrs.validators.matches_re(r"\d{3}-\d{4}"))
    age: Annotated[int, tm.Registration] = attrs.field(validator=[attrs.validators.ge(0), attrs.validators.le(120)])
    lower: Annotated[str, tm.Contract] = attrs.field(converter=lowered, default="x")
    worked_out: str = attrs.field(init=False, default="")


MODELS: list[Any] = [
    *(Plain, Constrained, Validated, Together, Aliased, Nested, Tree, Sealed, Animals),
    Page[Annotated[str, tm.Cookie]],
    *(Page[Address], Names, Frozen),
    Base[Annotated[int, tm.Contract]],
    *(Strict, Checked, Keys, Row, Attributes, list[Address], dict[str, Keys]),
]


def name_of(model: Any) -> str:
    return getattr(model, "__qualname__", None) or str(model)
