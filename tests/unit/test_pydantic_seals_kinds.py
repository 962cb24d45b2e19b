"""Sealed values in what pydantic validates beside models: dataclasses, typed dicts, named tuples, generic models."""

# No `from __future__ import annotations`: its twin about models has it, and pydantic reads the two in different ways.

import contextlib
import dataclasses
from typing import Annotated, Any, Generic, NamedTuple, NotRequired, TypeVar

import pytest
from pydantic import BaseModel, RootModel, TypeAdapter
from pydantic import dataclasses as pydantic_dataclasses
from pydantic_core import PydanticSerializationError
from typing_extensions import TypeAliasType, TypedDict

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import guard
from tests.unit.sealed_fields import SECRET, dumped, lines_of, made, not_written, opened, validated

T = TypeVar("T")
S = TypeVar("S", bound=pg.Source | pg.Purpose)

Age = Personal[int, tm.Registration]
DEVICE = Personal("d", tm.ProductData)


@dataclasses.dataclass
class Plain:
    age: Age
    device: Personal[str, tm.ProductData] = DEVICE
    note: str = "n"


@pydantic_dataclasses.dataclass
class Checked:
    age: Age
    device: Personal[str, tm.ProductData] = DEVICE
    note: str = "n"


@pydantic_dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    age: Age
    device: Personal[str, tm.ProductData] = DEVICE
    note: str = "n"


class Row(TypedDict):
    age: Age
    device: NotRequired[Personal[str, tm.ProductData]]
    note: NotRequired[str]


class Pair(NamedTuple):
    age: Age
    device: Personal[str, tm.ProductData] = DEVICE
    note: str = "n"


KINDS = [Plain, Checked, Slotted, Row, Pair]


def read(value: Any, name: str) -> Any:
    return value[name] if isinstance(value, dict) else getattr(value, name)


@pytest.mark.parametrize("kind", KINDS)
def test_fields_of_every_kind_of_class_are_sealed(kind: type) -> None:
    value = validated(kind, {"age": "7", "device": "d", "note": "n"})
    assert opened(read(value, "age")) == 7
    assert read(value, "device").label == pg.Label(tm.ProductData)
    assert "7" not in repr(value)
    assert pg.sources_of(kind) == {"age": pg.Label(tm.Registration), "device": pg.Label(tm.ProductData)}
    assert pg.untagged(kind) == ("note",)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_every_kind_are_quiet(kind: type) -> None:
    assert lines_of(validated, kind, {"age": SECRET, "device": [SECRET]}) == [
        ("int_parsing", ("age",)),
        ("string_type", ("device",)),
    ]


@pytest.mark.parametrize("kind", [Plain, Checked, Slotted, Row])
def test_every_kind_is_written_in_a_purpose_only(kind: type) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    value = adapter.validate_python({"age": "7", "device": "d", "note": "n"})
    expected = {"age": 7, "device": "d", "note": "n"}
    for write in (adapter.dump_python, adapter.dump_json, TypeAdapter(Any).dump_json):
        not_written(write, value)
        with guard.purpose(tm.RenewalGuidance):  # which may not use the device
            not_written(write, value)
    with guard.purpose(tm.ProductProvision) as use:
        assert adapter.dump_python(value) == expected
        assert adapter.validate_json(adapter.dump_json(value)).__class__ is value.__class__
        shown = use.withhold(value, like=kind)
        assert adapter.dump_python(shown) == expected


def test_named_tuples_are_written_outside_a_purpose_by_no_pydantic() -> None:
    adapter = TypeAdapter(Pair)
    pair = adapter.validate_python([7, SECRET])
    not_written(adapter.dump_json, pair)
    with contextlib.suppress(PydanticSerializationError):  # pydantic 2.9 knows no fields of these, and gives the seals
        assert adapter.dump_python(pair) == tuple(pair)


@pytest.mark.parametrize("kind", KINDS)
def test_what_may_not_be_used_is_withheld_from_every_kind(kind: type) -> None:
    value = validated(kind, {"age": "7", "device": "d", "note": "n"})
    with guard.purpose(tm.RenewalGuidance) as use:
        shown = use.withhold(value, like=kind)
        assert use.open(read(shown, "age")) == 7
        if kind is not Row:
            with pytest.raises(pg.PurposeViolation) as caught:
                read(shown, "device")
            assert caught.value.field == "device"
        assert "device" not in repr(shown)


def test_calling_a_pydantic_dataclass_validates_and_calling_a_plain_one_does_not() -> None:
    assert opened(Checked(age="7").age) == 7  # type: ignore[arg-type]  # validated
    assert lines_of(Checked, age=SECRET) == [("int_parsing", ("age",))]
    sealed = Personal(7, tm.Registration)
    assert Plain(sealed).age is sealed
    with guard.purpose(tm.ProductProvision):
        not_written(TypeAdapter(Plain).dump_python, Plain(SECRET))  # type: ignore[arg-type]  # not validated


# --- generic models


class Box(BaseModel, Generic[T]):
    content: Personal[T, tm.Registration]


class Parcel(BaseModel, Generic[T, S]):
    content: Personal[T, S]
    others: list[Personal[T, S]] = []


@dataclasses.dataclass
class Crate(Generic[T, S]):
    content: Personal[T, S]


def test_type_variables_stand_for_what_is_sealed() -> None:
    assert opened(made(Box[int], content="7").content) == 7
    assert lines_of(Box[int], content=SECRET) == [("int_parsing", ("content",))]
    assert opened(made(Box, content="7").content) == "7"
    assert dumped(made(Box[list[int]], content=["7"])) == {"content": [7]}
    assert pg.sources_of(Box[int]) == {"content": pg.Label(tm.Registration)}


def test_type_variables_stand_for_sources() -> None:
    for terms, label in (
        (tm.Contract, pg.Label(tm.Contract)),
        (tm.Contract | tm.Registration, pg.Label(tm.Contract, tm.Registration)),
    ):
        kind: Any = Parcel[int, terms]  # type: ignore[valid-type]  # one of those above
        parcel = kind(content="7", others=["8"])
        assert parcel.content.label == parcel.others[0].label == label
        assert pg.sources_of(kind) == {"content": label, "others[]": label}
        crate: Any = Crate[int, terms]  # type: ignore[valid-type]  # likewise
        assert validated(crate, {"content": "7"}).content.label == label


def test_type_variables_stand_for_purposes_too() -> None:
    sealed = Personal(7, tm.Registration)
    kinds: list[Any] = [Parcel, Parcel[int, Any], Parcel[int, tm.RenewalGuidance], Parcel[int, tm.AnyProductGuidance]]
    for kind in kinds:
        assert kind(content=sealed).content is sealed
        assert lines_of(kind, content=SECRET) == [("sealed_needed", ("content",))]
    for kind in kinds[2:]:
        assert lines_of(kind, content=Personal(SECRET, tm.Cookie)) == [("sealed_source", ("content",))]


def test_a_generic_model_s_subclass_fixes_what_its_base_left_open() -> None:
    class Letter(Parcel[str, tm.Contract]):
        stamp: Personal[int, tm.Contract]

    letter = made(Letter, content="x", stamp="7")
    assert dumped(letter, tm.RenewalGuidance) == {"content": "x", "others": [], "stamp": 7}


# --- aliases, roots, classes in functions


Named = TypeAliasType("Named", Personal[str, tm.Registration])
Many = TypeAliasType("Many", list[Personal[T, tm.Registration]], type_params=(T,))


def test_aliases_are_what_they_stand_for() -> None:
    class Holder(BaseModel):
        first: Named
        second: Named
        third: Many[int]
        fourth: Annotated[Named, "marked"]

    given = {"first": "a", "second": "b", "third": [1], "fourth": "d"}
    assert dumped(Holder.model_validate(given)) == given
    assert lines_of(Holder.model_validate, {**given, "second": [SECRET]}) == [("string_type", ("second",))]
    assert set(pg.sources_of(Holder)) == {"first", "second", "third[]", "fourth"}


def test_root_models() -> None:
    class Names(RootModel[list[Personal[str, tm.Registration]]]):
        pass

    class Table(RootModel[Personal[dict[str, int], tm.Registration]]):
        pass

    assert dumped(Names(["a"])) == ["a"]  # type: ignore[list-item]  # validated
    assert dumped(Table({"a": "1"}), mode="json") == {"a": 1}  # type: ignore[arg-type]  # validated
    assert lines_of(Names, [[SECRET]]) == [("string_type", (0,))]
    assert lines_of(Table, {SECRET: SECRET}) == [("int_parsing", ())]
    assert pg.sources_of(Names) == {"root[]": pg.Label(tm.Registration)}
