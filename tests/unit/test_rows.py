"""Rows that say whose they are, and from when: each is looked at when it is read (clauses 7, 8 and 11)."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import functools
import uuid
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.rows import LONG_AGO, row_contexts_of
from purposeguard.values.type_schema import Model, read_shape
from tests.unit.marked_rows import DAY, KINDS, Customer, Data, Key, every_kind, listed, read, reading
from tests.unit.models import UTC, Email, P
from tests.unit.oversights import STOPPED, Counting, Office, guarded
from tests.unit.samples import Tape
from tests.unit.seals import words


@every_kind
def test_a_row_of_whoever_stopped_the_use_is_refused(kind: str) -> None:
    cls, make = KINDS[kind]
    assert read(cls, make(8)) == make(8)
    with pytest.raises(pg.SubjectViolation) as caught:
        read(cls, make(7))
    assert caught.value.function
    assert "7" not in words(caught).replace("clause 7", "")


@every_kind
def test_of_several_rows_one_is_enough(kind: str) -> None:
    cls, make = KINDS[kind]
    rows = [make(8), make(9)]
    assert read(listed(cls), rows) is rows
    with pytest.raises(pg.SubjectViolation):
        read(listed(cls), [make(8), make(7), make(9)])


@every_kind
def test_its_fields_are_withheld(kind: str) -> None:
    cls, make = KINDS[kind]
    other = make(8)
    assert read(cls, other, withhold=True) is other
    row = read(cls, make(7), withhold=True)
    get: Callable[[str], Any] = row.__getitem__ if isinstance(row, dict) else functools.partial(getattr, row)
    assert get("key") == 7
    with pytest.raises(pg.SubjectViolation):
        get("inside" if "Box[" in getattr(cls, "__name__", "") else "email")
    with guarded().purpose(P) as use:
        kept = use.withhold([make(8), make(7)], listed(cls))
        assert kept[0] == make(8)
        assert kept[1] == row


@every_kind
def test_what_a_row_says_of_itself_is_a_subject(kind: str) -> None:
    cls, make = KINDS[kind]
    models = read_shape(cls).models
    assert row_contexts_of(make(7), models) == (pg.RowContext(7),)
    if kind != "TypedDict":
        assert row_contexts_of(make(7)) == (pg.RowContext(7),)


def test_a_row_without_marks_says_nothing() -> None:
    class Plain(BaseModel):
        key: int
        email: Email = "e"

    assert row_contexts_of(Plain(key=7)) == ()
    assert row_contexts_of({"key": 7}) == ()
    assert row_contexts_of(7) == ()
    assert read(Plain, Plain(key=7)) == Plain(key=7)


def test_a_subclass_says_what_its_base_does_and_more() -> None:
    class Special(Customer):
        friend: Annotated[int | None, pg.Subject] = None

    assert row_contexts_of(Special(key=8, friend=7)) == (pg.RowContext(8), pg.RowContext(7))
    with pytest.raises(pg.SubjectViolation):
        read(list[Customer], [Special(key=8, friend=7)])
    with pytest.raises(pg.SubjectViolation):
        read(list[Customer], [Special(key=7)])


class Message(BaseModel):
    sender: Annotated[int | None, pg.Subject] = None
    recipients: list[Annotated[int, pg.Subject]] = []
    text: Annotated[str, tm.Registration] = "t"


@pytest.mark.parametrize(
    ("row", "subjects"),
    [
        (Message(), [None]),
        (Message(sender=1), [1]),
        (Message(sender=1, recipients=[2, 3]), [1, 2, 3]),
        (Message(recipients=[2]), [2]),
        (Message(recipients=[2, 2]), [2, 2]),
    ],
    ids=["nobody", "sender", "all", "recipient", "twice"],
)
def test_all_whom_a_row_names(row: Message, subjects: list[int | None]) -> None:
    assert row_contexts_of(row) == tuple(pg.RowContext(one) for one in subjects)


def test_all_whom_a_row_names_must_let_it_be_used() -> None:
    assert read(Message, Message(sender=1, recipients=[2, 3])).text == "t"
    for row in (Message(sender=7, recipients=[2]), Message(sender=1, recipients=[2, 7])):
        with pytest.raises(pg.SubjectViolation):
            read(Message, row)


def test_a_row_that_names_nobody_is_used_unless_somebody_must_be_named() -> None:
    strict = guarded(Office(requires_subject=True))
    assert read(Message, Message()).text == "t"
    with pytest.raises(pg.SubjectViolation, match="name the subject"):
        read(Message, Message(), guard=strict)
    assert read(Message, Message(sender=1), guard=strict).text == "t"


@pytest.mark.parametrize("container", [list, tuple, set, frozenset], ids=lambda kind: kind.__name__)
def test_ids_may_stand_in_a_container(container: Any) -> None:
    @dataclasses.dataclass
    class Group:
        keys: Any

    Group.__annotations__["keys"] = container[Annotated[int, pg.Subject]]
    assert {one.subject for one in row_contexts_of(Group(container([2, 3])))} == {"2", "3"}
    assert row_contexts_of(Group(container())) == (pg.RowContext(),)


def test_ids_of_every_type() -> None:
    some = uuid.uuid4()

    @dataclasses.dataclass
    class Any_:
        key: Annotated[int | str | uuid.UUID | None, pg.Subject]
        email: Email = "e"

    for given, key in ((7, "7"), ("7", "7"), ("jane", "jane"), (some, str(some)), (some.hex, str(some))):
        assert row_contexts_of(Any_(given)) == (pg.RowContext(key),)
        assert read(Any_, Any_(given), guard=guarded(Office({}))).email == "e"
        with pytest.raises(pg.SubjectViolation):
            read(Any_, Any_(given), guard=guarded(Office({key: STOPPED})))


def test_ids_count_within_their_realm() -> None:
    class Lead(BaseModel):
        key: Annotated[int | None, pg.Subject("lead")]
        owner: Key = 8
        email: Email = "e"

    assert row_contexts_of(Lead(key=7)) == (pg.RowContext("lead:7"), pg.RowContext(8))
    assert row_contexts_of(Lead(key=None)) == (pg.RowContext(8),)
    assert read(Lead, Lead(key=7)).email == "e"
    with pytest.raises(pg.SubjectViolation):
        read(Lead, Lead(key=7), guard=guarded(Office({"lead:7": STOPPED})))


NO_TEXT: list[Any] = ["", " 7", "7 ", "x" * 201]
NO_ID: list[Any] = [True, 7.5, b"7", {7: 1}, object(), [7.5], [True], collections.deque([7])]
UNREADABLE = NO_TEXT + NO_ID


@pytest.mark.parametrize("key", UNREADABLE, ids=lambda key: type(key).__name__ + str(UNREADABLE.index(key)))
@pytest.mark.parametrize("options", [{}, {"narrow": True}, {"withhold": True}], ids=["refuse", "narrow", "withhold"])
def test_a_row_whose_id_cannot_be_read_is_not_used(key: Any, options: Any) -> None:
    with pytest.raises(pg.UnlabelledData, match="a marked field cannot be read") as caught:
        read(list[Data], [Data(8), Data(key)], **options)
    assert "7" not in words(caught).replace("7.5", "7")


class Dated(BaseModel):
    key: Key = 8
    since: Annotated[datetime.date | datetime.datetime | None, pg.Collected]
    until: Annotated[datetime.date | None, pg.Ended] = None
    email: Email = "e"


def test_a_row_says_when_it_was_collected_and_when_use_ended() -> None:
    assert row_contexts_of(Dated(since=DAY)) == (pg.RowContext(8, collected=DAY),)
    assert row_contexts_of(Dated(since=DAY, until=DAY)) == (pg.RowContext(8, collected=DAY, ended=DAY),)
    moment = datetime.datetime(2025, 3, 1, 12, tzinfo=UTC)
    assert row_contexts_of(Dated(since=moment)) == (pg.RowContext(8, collected=moment),)


def test_a_day_that_is_not_said_or_before_the_first_revision_is_of_none() -> None:
    assert row_contexts_of(Dated(since=None)) == (pg.RowContext(8, collected=LONG_AGO),)
    for day in (None, datetime.date(2024, 3, 31)):
        with pytest.raises(pg.RevisionViolation, match=r"collected before 2024-04-01, the earliest revision"):
            read(Dated, Dated(since=day))
    assert read(Dated, Dated(since=datetime.date(2024, 4, 1))).email == "e"


@dataclasses.dataclass
class Loose:
    since: Annotated[Any, pg.Collected]
    until: Annotated[Any, pg.Ended] = None
    key: Key = 8
    email: Email = "e"


NO_DAYS: list[Any] = [
    "2025-03-01",
    20250301,
    [DAY],
    datetime.time(),
    datetime.datetime(2025, 3, 1),  # noqa: DTZ001  # it could be one of two days
    object(),
]


@pytest.mark.parametrize("day", NO_DAYS, ids=lambda day: type(day).__name__)
@pytest.mark.parametrize("options", [{}, {"narrow": True}, {"withhold": True}], ids=["refuse", "narrow", "withhold"])
def test_a_row_whose_day_cannot_be_read_is_not_used(day: Any, options: Any) -> None:
    for row in (Loose(day), Loose(DAY, day)):
        with pytest.raises(pg.UnlabelledData, match="a marked field cannot be read") as caught:
            read(list[Loose], [row], **options)
        assert "2025" not in words(caught)


def test_dates_are_looked_at_without_anybody_who_keeps_what_subjects_want() -> None:
    guard = pg.Guard(tm.NOTICE)
    assert read(Dated, Dated(since=DAY, key=7), guard=guard).email == "e"
    with pytest.raises(pg.RevisionViolation):
        read(Dated, Dated(since=datetime.date(2020, 1, 1)), guard=guard)
    with guard.purpose(P) as use:
        kept = use.withhold(Dated(since=datetime.date(2020, 1, 1)))
        with pytest.raises(pg.RevisionViolation):
            kept.email  # noqa: B018  # reading is what is refused


def test_of_what_two_classes_of_a_row_say_the_worse_counts() -> None:
    class One(TypedDict):
        a: Annotated[datetime.date, pg.Collected]
        c: Annotated[datetime.date | None, pg.Ended]

    class Two(TypedDict):
        b: Annotated[datetime.date, pg.Collected]
        d: Annotated[datetime.date | None, pg.Ended]

    earlier = datetime.date(2024, 1, 1)
    models = (Model(One), Model(Two))
    row = {"a": DAY, "b": earlier, "c": None, "d": DAY}
    assert row_contexts_of(row, models) == (pg.RowContext(collected=earlier, ended=DAY),)
    assert row_contexts_of(row | {"c": earlier}, models) == (pg.RowContext(collected=earlier, ended=earlier),)


def test_a_refusal_says_where_the_row_was() -> None:
    ledger = Counting()
    guard = guarded(ledger=ledger)

    class Shop(BaseModel):
        customers: dict[str, list[Customer]]

    function = reading(guard, Shop, Shop(customers={"a": [Customer(key=8), Customer(key=7, email="secret")]}))
    with guard.purpose(P, activity="mail"), pytest.raises(pg.SubjectViolation) as caught:
        function()
    error = caught.value
    assert (error.activity, error.field) == ("mail", "customers[]")
    assert "leave such rows out with @guard.access(narrow=True)" in words(caught)
    assert "secret" not in words(caught)
    assert ledger.denials == [(error, False)]


def test_rows_are_counted_as_one_use() -> None:
    ledger = Counting()
    guard = guarded(ledger=ledger)
    function = reading(guard, list[Customer], [Customer(key=8), Customer(key=9)])
    with guard.purpose(P, activity="a"):
        function()
        function()
    assert ledger.counts == {("a", P.clause, pg.Label(tm.Registration)): 2}


def test_where_it_is_only_observed_rows_come_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    tape = Tape()
    guard = guarded(mode="observe", ledger=tape)
    rows = [Customer(key=7), Customer(key=8), Customer(key=7)]
    for options in ({}, {"narrow": True}, {"withhold": True}):
        function = reading(guard, list[Customer], rows, **options)
        with guard.purpose(P):
            assert function() == rows
    assert [(type(error), observed) for error, observed in tape.denials] == [(pg.SubjectViolation, True)] * 6
    function = reading(guard, list[Customer], rows)
    assert function() is rows
    assert type(tape.denials[-1][0]) is pg.PurposeMissing
    with guard.purpose(P, mode="enforce"), pytest.raises(pg.SubjectViolation):
        function()


def test_where_the_office_cannot_be_asked_no_row_is_given() -> None:
    office = Office({})
    office.closed = True
    for options in ({}, {"narrow": True}, {"withhold": True}):
        with pytest.raises(StoreUnavailable):
            read(Customer, Customer(key=8), guard=guarded(office), **options)
