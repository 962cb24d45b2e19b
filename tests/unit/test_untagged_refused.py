"""`Guard(…, untagged="refuse")`: each field of a model that an access function returns says what it is."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import Email


def refusing() -> pg.Guard:
    return pg.Guard(tm.NOTICE, untagged="refuse")


class Address(BaseModel):
    street: Email
    country: str


@dataclasses.dataclass
class Order:
    number: int
    address: Address
    notes: list[str]
    total: Annotated[int, tm.Contract]


class Said(BaseModel):
    id: Annotated[int, pg.Subject]
    email: Email
    phone: pg.Personal[str, tm.Registration]
    country: Annotated[str, pg.NotPersonal]
    tags: list[Annotated[str, pg.NotPersonal]]


class SaidRow(TypedDict):
    said: list[Said]
    more: Annotated[dict[str, str], tm.Contract]


def test_a_field_that_says_nothing_is_refused_by_name() -> None:
    guard = refusing()

    def load() -> list[Order]:
        raise AssertionError("it may not run")

    for decorate in (guard.access, guard.access(withhold=True), guard.access(tm.Registration)):
        with pytest.raises(pg.UnlabelledData) as refused:
            decorate(load)
        message = " ".join(str(refused.value).split())
        assert "nothing says what `number`, `address.country`, `notes` are" in message
        assert "`total`" not in message
    assert guard.accesses == ()
    assert guard.untagged == "refuse"


def test_what_says_something_is_let_through() -> None:
    guard = refusing()

    @guard.access
    def load() -> SaidRow:
        return {"said": [], "more": {}}

    @guard.access
    def address() -> Annotated[Address, tm.Registration]:
        return Address(street="s", country="JP")

    @guard.access(tm.Registration)
    def rows() -> list[dict[str, Any]]:
        return [{"a": 1}]

    with guard.purpose(tm.RenewalGuidance):
        assert load() == {"said": [], "more": {}}
        assert address().country == "JP"
        assert rows() == [{"a": 1}]


def test_one_field_alone_and_what_is_resolved_at_the_first_call() -> None:
    guard = refusing()
    space: dict[str, Any] = {"guard": guard, "tm": tm, "Late": None}
    exec(  # noqa: S102  # a module whose names come one after the other
        "from __future__ import annotations\n"
        "@guard.access\ndef load() -> Later: ...\n"
        "@guard.access(tm.Registration)\ndef never() -> Nowhere: ...\n",
        space,
    )
    space["Later"] = Address
    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(pg.UnlabelledData, match=r"nothing says what `country` is"):
            space["load"]()
        with pytest.raises(pg.UnlabelledData, match="Nowhere"):
            space["never"]()


def test_guards_that_do_not_ask(guard: pg.Guard) -> None:
    @guard.access
    def load() -> Order:
        raise NotImplementedError

    assert guard.untagged == pg.Guard(tm.NOTICE, untagged="allow").untagged == "allow"
    wrong: Any = "deny"
    with pytest.raises(ValueError, match="`untagged` is `allow` or `refuse`"):
        pg.Guard(tm.NOTICE, untagged=wrong)


def test_a_tag_around_a_model_is_one_of_its_fields() -> None:
    assert pg.untagged(Annotated[Address, tm.Contract]) == ()
    assert pg.untagged(list[Annotated[Address, tm.Contract]]) == ()
    assert pg.untagged(Address) == ("country",)
