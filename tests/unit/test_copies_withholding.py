"""Withheld copies: what they are, what they hold, and that the rest works as before."""

from __future__ import annotations

import copy
import dataclasses
import functools
import pickle
from typing import Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.withheld import ClassCache
from tests.support import in_threads
from tests.unit.customers import Attrs, Data, Frozen, Model, Named, Slotted, withheld
from tests.unit.models import Device, Email, guard, lacks
from tests.unit.samples import revised

CLASSES = [Model, Data, Slotted, Attrs, Frozen, Named]
each_class = pytest.mark.parametrize("cls", CLASSES)


@each_class
def test_a_copy_is_an_instance_and_its_methods_work(cls: Any) -> None:
    original = cls(email="e", device="d")
    one = withheld(original)
    assert isinstance(one, cls)
    assert type(one).__name__ == cls.__name__
    assert one.email == "e"
    assert one.note == "n"
    assert one.shout() == "E"
    with pytest.raises(pg.PurposeViolation):
        one.both()
    assert original.both() == "ed"


@each_class
def test_reading_what_is_withheld_says_why(cls: Any) -> None:
    with guard.purpose(tm.RenewalGuidance, activity="remind") as use:
        one = use.withhold(cls(email="e", device="d"))
    with pytest.raises(pg.PurposeViolation) as caught:
        one.device  # noqa: B018
    error = caught.value
    assert (error.field, error.activity, error.function) == ("device", "remind", None)
    assert error.decision.denied == (tm.ProductData,)
    assert "withheld" in str(error)


@each_class
def test_what_is_withheld_cannot_be_set_or_deleted(cls: Any) -> None:
    one = withheld(cls(email="e", device="d"))
    for change in (lambda: setattr(one, "device", "x"), lambda: delattr(one, "device")):
        with pytest.raises((AttributeError, ValueError)):
            change()
    assert lacks(one, "device")


@each_class
def test_nothing_to_withhold_is_the_object_itself(cls: Any) -> None:
    one = cls(email="e", device="d")
    assert withheld(one, purpose=tm.ProductProvision) is one
    several = [one, one]
    assert withheld(several, purpose=tm.ProductProvision) is several


@each_class
def test_everything_may_be_withheld(cls: Any) -> None:
    one = withheld(cls(email="e", device="d"), purpose=tm.TrafficAnalysis)
    assert repr(one) == f"{cls.__name__}(note='n')"
    assert lacks(one, "email")


@each_class
def test_texts_leave_it_out(cls: Any) -> None:
    one = withheld(cls(email="e", device="d"))
    expected = f"{cls.__name__}(email='e', note='n')"
    assert repr(one) == f"{one!r}" == expected
    assert str(one) == f"{one}" == format(one)
    assert "email='e'" in str(one)
    assert "device" not in str(one)
    assert f"{one:>60}" == str(one).rjust(60)


@each_class
def test_copies_equal_each_other_by_what_is_left(cls: Any) -> None:
    one, same = withheld(cls(email="e", device="d")), withheld(cls(email="e", device="other"))
    differs = withheld(cls(email="f", device="d"))
    less = withheld(cls(email="e", device="d"), purpose=tm.TrafficAnalysis)
    assert one == same
    assert not one != same  # noqa: SIM202  # two methods
    for other in (differs, less, cls(email="e", device="d"), ("e", "n"), "e", None):
        assert one != other
        assert not one == other  # noqa: SIM201
        assert other != one


@each_class
def test_copies_are_hashable_where_the_original_is(cls: Any) -> None:
    one, same = withheld(cls(email="e", device="d")), withheld(cls(email="e", device="other"))
    try:
        hash(cls(email="e", device="d"))
    except TypeError:
        with pytest.raises(TypeError):
            hash(one)
    else:
        assert hash(one) == hash(same)
        assert len({one, same}) == 1


@each_class
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_of_a_copy_is_withheld_too(cls: Any, again: Any) -> None:
    one = withheld(cls(email="e", device="d"))
    two = again(one)
    assert two == one
    assert two is not one
    assert isinstance(two, cls)
    assert lacks(two, "device")


@each_class
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_copy_is_withheld_too(cls: Any, protocol: int) -> None:
    one = withheld(cls(email="e", device="d"))
    two = pickle.loads(pickle.dumps(one, protocol))
    assert two == one
    assert two.shout() == "E"
    with pytest.raises(pg.PurposeViolation) as caught:
        two.device  # noqa: B018
    assert caught.value.field == "device"
    assert "1.1(b) may serve" in str(caught.value)
    assert pickle.loads(pickle.dumps(two, protocol)) == one
    assert type(pickle.loads(pickle.dumps(one, protocol))) is type(two)  # one class for all that are alike


@each_class
def test_the_original_is_not_touched(cls: Any) -> None:
    original = cls(email="e", device="d")
    withheld(original)
    assert original == cls(email="e", device="d")
    assert original.device == "d"


class Registered:
    known: list[str] = []

    def __init_subclass__(cls, *, table: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Registered.known.append(table)


@dataclasses.dataclass
class Table(Registered, table="customers"):
    email: Email
    device: Device


class RegisteredModel(BaseModel):
    def __init_subclass__(cls, *, table: str = "?", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Registered.known.append(table)


class TableModel(RegisteredModel, table="models"):
    email: Email
    device: Device


def test_no_registry_of_subclasses_hears_of_a_copy() -> None:
    before = list(Registered.known)
    assert withheld(Table("e", "d")).email == "e"
    assert withheld(TableModel(email="e", device="d")).email == "e"
    assert Registered.known == before


@dataclasses.dataclass
class Foreign(dict):  # type: ignore[type-arg]
    email: Email
    device: Device


@dataclasses.dataclass
class ForeignList(list):  # type: ignore[type-arg]
    email: Email
    device: Device


@dataclasses.dataclass
class ForeignError(Exception):
    email: Email
    device: Device


@pytest.mark.parametrize("cls", [ForeignList, ForeignError])
def test_a_class_that_may_keep_data_where_nothing_can_be_withheld_is_refused(cls: Any) -> None:
    with pytest.raises(pg.UnlabelledData, match="cannot be withheld"):
        withheld(cls("e", "d"))
    one = cls("e", "d")
    assert withheld(one, purpose=tm.ProductProvision) is one


def test_classes_are_made_once_and_their_number_is_bounded() -> None:
    one, two = withheld(Data("e", "d")), withheld(Data("x", "y"))
    assert type(one) is type(two)
    classes = ClassCache(2)
    made: list[int] = []

    def make(number: int) -> type:
        made.append(number)
        return type(f"C{number}", (), {})

    for number in (1, 2, 1, 3, 1, 2):
        classes.get(number, functools.partial(make, number))
    assert made == [1, 2, 3, 2]


def test_classes_are_made_once_by_threads_too() -> None:
    found: list[type] = []
    mine = pg.Guard(tm.NOTICE)

    def ask() -> None:
        with mine.purpose(tm.RenewalGuidance, activity="a") as use:
            found.append(type(use.withhold(Data("e", "d"))))

    in_threads([ask] * 8)
    assert len(found) == 8
    assert len(set(found)) == 1


def test_what_is_withheld_is_decided_anew_after_a_replacement() -> None:
    mine = pg.Guard(tm.NOTICE)
    with mine.purpose(tm.RenewalGuidance) as use:
        assert "device" not in repr(use.withhold(Data("e", "d")))
        mine.replace(revised(tm.NOTICE, lambda t: t["grant"][0]["sources"].append("1.1(b)")))
        whole = Data("e", "d")
        assert use.withhold(whole) is whole
