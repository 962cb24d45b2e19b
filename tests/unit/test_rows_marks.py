"""Marks: where they stand, when they are read, and what cannot be one."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import pickle
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NamedTuple, NotRequired, TypedDict, cast

import pytest
from pydantic import BaseModel, PrivateAttr, computed_field, create_model

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.type_schema import Model, Shape, read_shape
from tests.unit.marked_rows import Customer, Frozen, Key, Named, listed, read, reading
from tests.unit.models import Device, Email, P
from tests.unit.oversights import STOPPED, Office, guarded
from tests.unit.samples import Tape
from tests.unit.seals import words

SealedKey = Annotated[pg.Personal[int, tm.Registration], pg.Subject]
Day, End = Annotated[datetime.date, pg.Collected], Annotated[datetime.date, pg.Ended]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"key": SealedKey}, "Row.key is sealed and marked"),
        ({"key": pg.Personal[Annotated[int, pg.Subject], tm.Registration]}, "Row.key is sealed and marked"),
        ({"keys": list[SealedKey], "email": Email}, "Row.keys is sealed and marked"),
        ({"key": Key | pg.Personal[int, tm.Registration]}, "Row.key is sealed and marked"),
        ({"names": dict[Key, str], "email": Email}, "Row.names has marked keys"),
        ({"a": Day, "b": Day, "email": Email}, "Row: `a` and `b` are both marked Collected"),
        ({"a": End, "b": End, "email": Email}, "Row: `a` and `b` are both marked Ended"),
    ],
    ids=["sealed", "sealed inside", "sealed items", "maybe sealed", "keys of a dict", "two days", "two ends"],
)
def test_a_mark_that_cannot_be_read_is_refused_where_it_stands(fields: dict[str, Any], why: str) -> None:
    make: Any = create_model
    row = make("Row", **{name: (annotation, ...) for name, annotation in fields.items()})
    with pytest.raises(pg.UnlabelledData) as caught:
        reading(guarded(), listed(row), [])
    assert why in words(caught)


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[int, pg.Subject, tm.Registration],
        list[Annotated[int, pg.Subject, tm.Registration]],
        dict[Annotated[int, pg.Subject, tm.Registration], str],
        dict[str, Annotated[datetime.date, pg.Collected, tm.Registration]],
        pg.Personal[Annotated[int, pg.Subject], tm.Registration],
        Annotated[Customer, pg.Subject],
    ],
    ids=["value", "list", "keys", "values", "seal", "row"],
)
def test_a_mark_outside_of_a_row_is_refused(annotation: Any) -> None:
    with pytest.raises(pg.UnlabelledData, match="its return annotation bears a mark"):
        reading(guarded(), annotation, [])


def test_a_key_that_is_not_there_says_nothing() -> None:
    class Loose_(TypedDict):
        key: NotRequired[Annotated[int, pg.Subject]]
        email: NotRequired[Email]

    assert read(Loose_, {"key": 8}) == {"key": 8}
    options: Any
    for options in ({}, {"narrow": True}, {"withhold": True}):
        with pytest.raises(pg.UnlabelledData, match="`key` is marked, and it is not there"):
            read(list[Loose_], [{"email": "e"}], **options)
    unset: Any = Customer.model_construct(email="e")
    with pytest.raises(pg.UnlabelledData, match="`key` is marked, and it is not there"):
        read(Customer, unset)


def test_a_computed_mark_is_not_read() -> None:
    class Computed(BaseModel):
        email: Email = "e"

        @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
        @property
        def key(self) -> Annotated[int, pg.Subject]:
            return 8

    with pytest.raises(pg.UnlabelledData, match="`key` is marked, and it is not there"):
        read(Computed, Computed())


def test_an_annotation_that_is_defined_later_is_read_at_the_first_call() -> None:
    guard = guarded()

    @guard.access
    def load(key: int) -> list[Later]:
        return [Later(key=key)]

    @guard.access(tm.Registration)
    def named(key: int) -> list[Later]:
        return [Later(key=key)]

    @guard.access(narrow=True)
    def narrowed(*keys: int) -> list[Later]:
        return [Later(key=key) for key in keys]

    with guard.purpose(P):
        for function in (load, named):
            assert function(8) == [Later(key=8)]
            for _ in range(2):
                with pytest.raises(pg.SubjectViolation):
                    function(7)
        assert narrowed(7, 8) == [Later(key=8)]


class Later(BaseModel):
    key: Key
    email: Email = "e"


def test_where_an_annotation_is_never_defined_rows_are_known_by_their_class() -> None:
    guard = guarded()

    @guard.access(tm.Registration)
    def load(key: int) -> list[OnlyForTypeCheckers]:  # type: ignore[name-defined]  # noqa: F821  # as it says
        return [Customer(key=key)]

    @guard.access(tm.Registration)
    def anything() -> OnlyForTypeCheckers:  # type: ignore[name-defined]  # noqa: F821
        return guard

    @guard.access(tm.Registration)
    def figure() -> OnlyForTypeCheckers:  # type: ignore[name-defined]  # noqa: F821
        return 7

    @guard.access
    def unnamed() -> OnlyForTypeCheckers:  # type: ignore[name-defined]  # noqa: F821
        raise AssertionError

    @guard.access(tm.Registration, narrow=True)
    def narrowed() -> OnlyForTypeCheckers:  # type: ignore[name-defined]  # noqa: F821
        raise AssertionError

    with guard.purpose(P):
        for _ in range(2):
            assert load(8) == [Customer(key=8)]
            with pytest.raises(pg.SubjectViolation):
                load(7)
            assert figure() == 7
            assert anything() is guard
        for function in (unnamed, narrowed):
            with pytest.raises(pg.UnlabelledData, match="names `OnlyForTypeCheckers`, which is not defined"):
                function()
    with guard.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation):
        figure()


class Tagged(BaseModel):
    key: Annotated[int, pg.Subject, tm.ProductData] = 8
    email: Email = "e"


@dataclasses.dataclass
class TaggedData:
    key: Annotated[int, pg.Subject, tm.ProductData] = 8
    email: Email = "e"


class TaggedDict(TypedDict):
    key: Annotated[int, pg.Subject, tm.ProductData]
    email: Email


class TaggedTuple(NamedTuple):
    key: Annotated[int, pg.Subject, tm.ProductData] = 8
    email: Email = "e"


@pytest.mark.parametrize(
    "make",
    [Tagged, TaggedData, lambda: cast("TaggedDict", {"key": 8, "email": "e"}), TaggedTuple],
    ids=["pydantic", "dataclass", "TypedDict", "NamedTuple"],
)
def test_a_copy_that_lost_its_mark_does_not_say_whose_it_is(make: Callable[[], Any]) -> None:
    """Else a later look at it would find nobody who stopped its use."""
    tape = Tape()
    guard = guarded(ledger=tape)
    like = TaggedDict if isinstance(make(), dict) else None
    with guard.purpose(P) as use:
        copy = use.withhold(make(), like)
        with pytest.raises(pg.UnlabelledData, match="`key` is marked, and was withheld"):
            use.withhold(copy, like)
        if like is None:
            with pytest.raises(pg.UnlabelledData, match="`key` is marked, and was withheld"):
                use.open(pg.Personal("e", tm.Registration), subject=copy)
    assert tape.denials == []


def test_a_copy_that_has_its_mark_is_looked_at_again() -> None:
    office = Office({})
    guard = guarded(office)

    class Three(BaseModel):
        key: Key = 8
        email: Email = "e"
        device: Device = "d"

    with guard.purpose(P) as use:
        copy = use.withhold(Three())
        assert use.withhold(copy) is copy
        assert read(Three, copy, guard=guard, withhold=True) is copy
        office.all_preferences["8"] = STOPPED
        again = use.withhold(copy)
    assert copy.email == "e"
    assert again.model_dump() == {"key": 8}
    for field in ("email", "device"):
        with pytest.raises(pg.PurposeViolation):
            getattr(again, field)


def test_shapes_know_where_rows_say_whose_they_are() -> None:
    assert read_shape(list[Customer]).is_marked
    assert read_shape(dict[str, tuple[Customer, ...]] | None).is_marked
    assert read_shape(dict[Frozen, int]).is_marked
    assert not read_shape(list[Email]).is_marked
    assert not Shape().is_marked

    class One(BaseModel):
        email: Email = "e"

    class Other(BaseModel):
        email: Email = "e"

    assert not read_shape(tuple[One, One | Other]).is_marked
    assert read_shape(tuple[One, One | Customer]).is_marked
    assert read_shape(Annotated[int, pg.Subject]).is_marked_itself
    assert not read_shape(Customer).is_marked_itself
    united = read_shape(dict[Frozen, int] | dict[Named, int])
    assert united.keys is not None
    assert {model.cls for model in united.keys.models} == {Frozen, Named}
    assert read_shape(dict[Frozen, int] | list[int]).keys is not None


def test_what_the_fields_of_a_class_say_is_read_once() -> None:
    class Once(BaseModel):
        key: Key

    assert Model(Once).fields() is Model(Once).fields()
    assert Model(Once).marks() is Model(Once).marks()

    class More(Once):
        email: Email = "e"

    assert list(Model(More).fields()) == ["key", "email"]
    assert Model(More).marks() == {pg.Subject: ("key",)}


def test_fields_are_read_anew_where_names_are_given() -> None:
    def made() -> Any:
        class Inside(BaseModel):
            email: Email

        @dataclasses.dataclass
        class Outside:
            inside: "Inside"  # noqa: UP037  # not known outside of this function

        return Outside, Inside

    outside, inside = made()
    with pytest.raises(pg.UnlabelledData):
        Model(outside).fields()
    assert pg.sources_of(outside, {"Inside": inside}) == {"inside.email": pg.Label(tm.Registration)}
    assert Model(outside).fields()["inside"].models == (Model(inside),)


def test_marks_are_what_they_are_called() -> None:
    marks = (pg.Subject, pg.Collected, pg.Ended, pg.Subject("customer"))
    assert [repr(mark) for mark in marks] == ["Subject", "Collected", "Ended", 'Subject("customer")']
    for mark in marks:
        assert copy.deepcopy(mark) is mark
        assert pickle.loads(pickle.dumps(mark)) == mark
        with pytest.raises(AttributeError):
            mark.name = "Other"
    assert [pickle.loads(pickle.dumps(mark)) is mark for mark in marks] == [True, True, True, False]


def test_a_realm_is_one_realm_wherever_it_is_named() -> None:
    customer = pg.Subject("customer")
    assert customer == pg.Subject("customer")
    assert hash(customer) == hash(pg.Subject("customer"))
    assert len({customer, pg.Subject("customer"), pg.Subject("lead"), pg.Subject}) == 3
    assert customer != pg.Subject
    assert customer != "customer"
    assert pg.Subject != pg.Collected


def test_a_realm_is_a_word() -> None:
    for realm in ("", "Customer", "a b", "a:b", "1st", "x" * 51, "é"):
        with pytest.raises(ValueError, match="a realm is a word of lower-case letters"):
            pg.Subject(realm)
    assert pg.Subject("x" * 50).realm == "x" * 50
    assert pg.Subject("a-b_2").realm == "a-b_2"


class OnPrivate(BaseModel):
    _key: Annotated[int, pg.Subject] = PrivateAttr(default=7)
    email: Annotated[str, tm.Registration] = "e"


class OnClass(BaseModel):
    key: ClassVar[Annotated[int, pg.Subject]] = 7
    email: Annotated[str, tm.Registration] = "e"


class OnExtra(BaseModel, extra="allow"):
    __pydantic_extra__: dict[str, Annotated[int, pg.Subject]]
    email: Annotated[str, tm.Registration] = "e"


class Mixin:
    key: Annotated[int, pg.Subject]


@dataclasses.dataclass
class OnInit:
    key: dataclasses.InitVar[Annotated[int, pg.Subject]]
    email: Annotated[str, tm.Registration] = "e"


@dataclasses.dataclass
class MixedIntoData(Mixin):
    email: Annotated[str, tm.Registration] = "e"


@pytest.mark.parametrize("cls", [OnPrivate, OnClass, OnExtra, OnInit, MixedIntoData])
def test_a_mark_on_what_is_no_field_is_refused(cls: type) -> None:
    """It would be read by nobody, and the row pass as nobody's."""
    with pytest.raises(pg.UnlabelledData, match=r"is marked and is no field"):
        pg.sources_of(cls)


class Unread(BaseModel):
    """What only type checkers know is no mark."""

    known: ClassVar[Unknown | None] = None  # type: ignore[name-defined]  # noqa: F821  # on purpose
    key: Annotated[int, pg.Subject] = 7
    email: Annotated[str, tm.Registration] = "e"


def test_what_cannot_be_resolved_and_is_no_field_does_not_stand_in_the_way() -> None:
    assert pg.sources_of(Unread) == {"email": pg.Label(tm.Registration)}


@pytest.mark.parametrize("mark", [pg.RowSource, pg.ByRow], ids=["the source", "by the source"])
def test_a_column_of_a_table_whose_rows_say_their_source_is_no_field_of_a_model(mark: Any) -> None:
    class Mixed(BaseModel):
        email: Annotated[str, tm.Registration]
        other: Annotated[str, mark]

    with pytest.raises(pg.UnlabelledData, match=r"Mixed\.other is marked as a column") as caught:
        Model(Mixed).fields()
    assert "purposeguard.adapters" in str(caught.value)
    with guarded().purpose(P) as use, pytest.raises(pg.UnlabelledData):
        use.withhold(Mixed(email="e", other="o"))
