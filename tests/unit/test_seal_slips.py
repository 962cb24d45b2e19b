"""Small things about sealed values that changes to the code went past unnoticed."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, ValidationError
from pydantic_core import PydanticCustomError

import purposeguard as pg
from purposeguard import Personal, PersonalModel
from purposeguard.errors import TooFewSubjects
from purposeguard.notices import trendmicro_jp as tm

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
    with pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance) as use:
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


def test_a_message_about_a_plain_field_is_told_as_it_is() -> None:
    def odd(number: int) -> int:
        raise PydanticCustomError("odd", "{number} is odd", {"number": number})

    class Order(PersonalModel):
        amount: Annotated[int, AfterValidator(odd)]

    with pytest.raises(ValidationError) as caught:
        Order.model_validate({"amount": 3})
    (line,) = caught.value.errors()
    assert (line["type"], line["msg"], line["input"]) == ("odd", "3 is odd", 3)


def test_an_aggregate_says_which_figure_it_is() -> None:
    guard = pg.Guard(tm.NOTICE)
    figures = guard.reclassify(tm.ProductData, to=pg.NotPersonal, why="figures about many", at_least=3)
    values: Personal[list[int], tm.ProductData] = Personal([1, 2], tm.ProductData)
    for name, ask in (
        ("count", lambda: figures.count(values, subject=int)),
        ("mean", lambda: figures.mean(values, float, subject=int)),
    ):
        said = rf": {name}: there are fewer than 3 subjects"
        with pytest.raises(TooFewSubjects, match=said) as caught:
            ask()
        assert caught.value.at_least == 3
