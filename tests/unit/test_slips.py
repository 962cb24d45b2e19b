"""Where one wrong word in the core would open something: each of these was asked for by a mutant that lived."""

from __future__ import annotations

import asyncio
import collections
import types
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.samples import Tape

guard = pg.Guard(tm.NOTICE)


class Customer(BaseModel):
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


def test_a_use_is_asked_by_its_channel() -> None:
    with guard.purpose(tm.AnySecurityInformation, channel="phone") as use:
        assert use.allows(tm.Registration)  # 1.2(2)④ names no channel
        assert not use.allows(tm.WebContact)  # 2.2③ is closed to all but e-mail
        assert not use.explain(tm.WebContact)
        with pytest.raises(pg.ChannelViolation):
            use.check(tm.WebContact)
    with guard.purpose(tm.AnySecurityInformation, channel="email") as use:
        assert use.allows(tm.WebContact)


def test_a_family_whose_members_are_all_closed_is_closed() -> None:
    family = {"class": "AnyMail", "purposes": ["2.2③", "3.2③"], "title": {"en": "Mail", "ja": "メール"}}
    of_mail = pg.Guard(pg.Notice.parse({**tm.NOTICE.dump(), "family": [family]}))
    for channel in (None, "phone", "post"):
        with pytest.raises(pg.ChannelViolation):
            of_mail.purpose("AnyMail", channel=channel)
    with of_mail.purpose("AnyMail", channel="email") as use:
        assert use.allows("2.1a")


def test_an_activity_that_is_observed_goes_by_its_own_mode_when_a_withheld_field_is_read() -> None:
    tape = Tape()
    watching = pg.Guard(tm.NOTICE, mode="observe", ledger=tape)
    with watching.purpose(tm.RenewalGuidance, mode="enforce") as use:
        copy = use.withhold(Customer(email="e", device="d"))
        with pytest.raises(pg.PurposeViolation):
            copy.device  # noqa: B018
    ((_, observed),) = tape.denials
    assert observed is False


def test_a_field_that_cannot_be_withheld_is_named() -> None:
    class Holder(BaseModel):
        owner: Customer | str

    @guard.access(withhold=True)
    def read() -> Holder:
        return Holder(owner="all of it in one text")

    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation) as caught:
        read()
    assert caught.value.field == "owner"


def test_a_cache_that_only_observes_answers_outside_any_purpose() -> None:
    watching = pg.Guard(tm.NOTICE, mode="observe")

    @watching.cached()
    @watching.access(withhold=True)
    def read() -> Customer:
        return Customer(email="e", device="d")

    @watching.cached()
    @watching.access(withhold=True)
    async def read_later() -> Customer:
        return Customer(email="e", device="d")

    for _ in range(2):
        assert read().device == "d"
        assert asyncio.run(read_later()).device == "d"


class Pair(tuple[Any, ...]):
    """A container that withholding cannot make anew."""

    __slots__ = ()


class Holder(BaseModel):
    email: Annotated[str, tm.Registration] = "e"
    anything: Any = None


@pytest.mark.parametrize(
    "contain",
    [
        lambda one: {"a": one}.values(),
        lambda one: types.MappingProxyType({"a": one}),
        lambda one: collections.UserList([one]),
        lambda one: collections.UserDict(a=[one]),
        lambda one: Pair([one]),
    ],
    ids=["view", "proxy", "list", "dict", "tuple"],
)
def test_a_model_in_a_container_of_another_kind_does_not_pass(contain: Callable[[object], object]) -> None:
    hidden = Holder(anything=contain(Customer(email="e", device="d")))
    harmless = Holder(anything=contain("nothing personal"))
    with guard.purpose(tm.RenewalGuidance) as use:
        with pytest.raises(pg.UnlabelledData, match="nothing can be withheld"):
            use.withhold(hidden)
        assert use.withhold(harmless) is harmless
    with guard.purpose(tm.ProductProvision) as use:
        assert use.withhold(hidden) is hidden  # this purpose may use all of it
