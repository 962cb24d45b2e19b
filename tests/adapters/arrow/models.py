"""Tagged models of several kinds, and generated ones."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import ipaddress
import uuid
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import attrs
from hypothesis import strategies as st
from pydantic import BaseModel, EmailStr, Field, HttpUrl, StringConstraints, create_model

from purposeguard import ByRow, Collected, Ended, Personal, RowSource, Subject
from purposeguard.notices import trendmicro_jp as tm

T = TypeVar("T")


class Tier(enum.Enum):
    PLAIN = "plain"
    GOLD = "gold"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Address(BaseModel):
    street: Annotated[str, tm.Registration]
    city: str


@dataclasses.dataclass
class Page(Generic[T]):
    rows: list[T]


class Customer(BaseModel):
    """One of each."""

    id: Annotated[int, Subject("customer")]
    since: Annotated[datetime.datetime, Collected]
    until: Annotated[datetime.date | None, Ended]
    email: Annotated[EmailStr | None, tm.Registration]
    code: Annotated[Annotated[str, StringConstraints(max_length=3)], tm.Registration, tm.Contract]
    price: Annotated[decimal.Decimal, Field(max_digits=12, decimal_places=2)]
    total: decimal.Decimal
    key: uuid.UUID
    tier: Tier
    level: Level
    kind: Literal["x", "y"] | None
    address: Annotated[ipaddress.IPv4Address | ipaddress.IPv6Address, tm.Cookie]
    addresses: list[Address]
    notes: dict[Annotated[str, tm.Contract], Annotated[str, tm.ProductData] | None]
    home: Address | None
    site: HttpUrl
    page: Page[Annotated[int, tm.Cookie]]
    seal: Personal[str, tm.Registration]
    raw: bytes
    took: datetime.timedelta
    at: datetime.time
    share: float
    active: bool
    tags: frozenset[str]


class Contact(BaseModel):
    """A table of several sources."""

    source: Annotated[str, RowSource]
    email: Annotated[str, ByRow]
    phone: Annotated[str | None, ByRow, tm.Registration]


@dataclasses.dataclass
class AsDataclass:
    email: Annotated[str, tm.Registration]
    age: int


class AsTypedDict(TypedDict):
    email: Annotated[str, tm.Registration]
    age: int


class AsNamedTuple(NamedTuple):
    email: Annotated[str, tm.Registration]
    age: int


@attrs.define
class AsAttrs:
    email: Annotated[str, tm.Registration]
    age: int


LEAVES: list[Any] = [
    int, float, str, bool, bytes, decimal.Decimal, datetime.date, datetime.datetime, datetime.time, uuid.UUID, EmailStr,
    Tier, Literal["a", "b"],
]  # fmt: skip


@st.composite
def hints(draw: st.DrawFn, depth: int = 2) -> Any:
    """An annotation, tagged or not, perhaps with others in it."""
    kinds = ["leaf", "leaf", "optional", "list", "dict", "model"] if depth else ["leaf"]
    kind = draw(st.sampled_from(kinds))
    made: Any
    if kind == "leaf":
        made = draw(st.sampled_from(LEAVES))
    elif kind == "optional":
        made = draw(hints(depth - 1)) | None
    elif kind == "list":
        made = list[draw(hints(depth - 1))]  # type: ignore[misc]  # made here
    elif kind == "dict":
        made = dict[Annotated[str, tm.Cookie] if draw(st.booleans()) else str, draw(hints(depth - 1))]  # type: ignore[misc]  # likewise
    else:
        made = draw(models(depth - 1))
    sources = draw(st.lists(st.sampled_from(tm.NOTICE.sources), max_size=2, unique=True))
    return Annotated[(made, *sources)] if sources else made


@st.composite
def models(draw: st.DrawFn, depth: int = 2) -> type[BaseModel]:
    """A tagged model."""
    fields: Any = {f"f{n}": (draw(hints(depth)), ...) for n in range(draw(st.integers(1, 4)))}
    made: type[BaseModel] = create_model("Generated", **fields)
    return made
