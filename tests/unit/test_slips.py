"""Where one wrong word in the core would open something: each of these was asked for by a mutant that lived."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import gc
import types
import weakref
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ValidationError

import purposeguard as pg
from purposeguard import Personal, PersonalModel
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import Customer, guard
from tests.unit.samples import Tape


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
        with pytest.raises(pg.UnlabelledData, match="nothing can be left out"):
            use.withhold(hidden)
        assert use.withhold(harmless) is harmless
    with guard.purpose(tm.ProductProvision) as use:
        assert use.withhold(hidden) is hidden  # this purpose may use all of it


VALUE = Personal("value", tm.Registration)


@dataclasses.dataclass(slots=True)
class Slotted:
    anything: Any
    other: Any = None


class Device(BaseModel):
    name: Annotated[str, tm.ProductData]


class Plan(BaseModel):
    name: Annotated[str, tm.Contract]


def test_tags_are_found_in_slots_and_beside_each_other() -> None:
    label = Personal(Slotted(Device(name="d"), [Plan(name="p"), 1]), tm.Registration).label
    assert label is pg.Label(tm.Registration, tm.ProductData, tm.Contract)
    assert Personal([[Device(name="d")], [Plan(name="p")]], tm.Registration).label is label


def test_a_slot_that_was_never_set_holds_nothing() -> None:
    unset = object.__new__(Slotted)
    unset.anything = Device(name="d")
    assert Personal(unset, tm.Registration).label is pg.Label(tm.Registration, tm.ProductData)


class Cleaner:
    def strip(self, text: str) -> str:
        return text.strip()

    def lower(self, text: str) -> str:
        return text.lower()


def test_a_registered_method_is_that_of_its_object_alone() -> None:
    strict = pg.Guard(tm.NOTICE, strict=True)
    mine, other = Cleaner(), Cleaner()
    strict.transform(mine.strip)
    with strict.purpose(tm.RenewalGuidance) as use:
        assert use.open(VALUE.map(mine.strip)) == "value"
        for fn in (other.strip, mine.lower):
            with pytest.raises(pg.SealedValue, match="this guard is strict"):
                use.open(VALUE.map(fn))


def test_what_is_registered_is_kept_so_that_no_other_function_takes_its_place() -> None:
    strict = pg.Guard(tm.NOTICE, strict=True)

    def register() -> weakref.ref[Any]:
        def shout(text: str) -> str:
            return text.upper()

        return weakref.ref(strict.transform(shout))

    kept = register()
    gc.collect()
    assert kept() is not None


def test_a_function_is_named_whatever_names_it_has() -> None:
    class Bare:
        def __call__(self, _text: str) -> str:
            raise ValueError

    named = Bare()
    named.__name__ = "tidy"  # type: ignore[attr-defined]  # as some wrappers have it
    with guard.purpose(tm.RenewalGuidance) as use:
        for fn, name in ((named, "`tidy`"), (Bare(), "a Bare"), (int, "`int`")):
            with pytest.raises(pg.SealedValue, match=f"^{name}, given to `map`"):
                use.open(VALUE.map(fn))


def test_what_a_model_says_of_a_seal_of_other_sources_is_told_by_a_model_around_it() -> None:
    class Inner(PersonalModel):
        phone: Personal[str, tm.Registration]

    class Outer(PersonalModel):
        inner: Inner

    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": {"phone": Personal("0", tm.Cookie)}})
    (line,) = caught.value.errors()
    assert line["msg"] == "value is sealed under 2.3, and this field takes Registration only"
    assert line["loc"] == ("inner", "phone")
    assert line["input"] == "<sealed>"
