"""Rows in rows, and in whatever a function returns."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Generic

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.rows import row_contexts_of
from tests.unit.marked_rows import DAY, Box, Customer, Dict, Frozen, Key, read, reading
from tests.unit.models import Device, Email, P, T
from tests.unit.oversights import Office, guarded
from tests.unit.seals import words


@dataclasses.dataclass
class Order:
    since: Annotated[datetime.date, pg.Collected]
    address: Annotated[str, tm.Registration] = "a"


@dataclasses.dataclass
class Review:
    author: Annotated[int | None, pg.Subject]
    text: Annotated[str, tm.Registration] = "t"


@dataclasses.dataclass
class Address:
    street: Annotated[str, tm.Registration] = "s"


@dataclasses.dataclass
class Account:
    key: Key
    address: Address = dataclasses.field(default_factory=Address)
    orders: list[Order] = dataclasses.field(default_factory=list)
    reviews: list[Review] = dataclasses.field(default_factory=list)
    ended: Annotated[datetime.date | None, pg.Ended] = None


def seen(row: Any, **options: Any) -> Any:
    return read(type(row), row, **options)


def assert_refused(row: Any) -> None:
    with pytest.raises(pg.SubjectViolation):
        seen(row)


def kept(row: Any, guard: pg.Guard | None = None) -> Any:
    with (guard or guarded()).purpose(P) as use:
        return use.withhold(row)


def test_what_is_in_a_row_is_its_subjects() -> None:
    for guard in (guarded(), guarded(Office(requires_subject=True))):
        row = Account(8, orders=[Order(DAY)])
        assert seen(row, guard=guard) is row
        assert kept(row, guarded()) is row
    assert_refused(Account(7))
    with pytest.raises(pg.SubjectViolation):
        kept(Account(7)).address.street  # noqa: B018


def test_a_row_in_a_row_says_from_when_it_is_itself_and_the_other_whose() -> None:
    strict = guarded(Office(requires_subject=True))
    old, new = datetime.date(2020, 1, 1), DAY
    assert row_contexts_of(Order(new), (), (pg.RowContext(7, collected=old, ended=DAY),)) == (
        pg.RowContext(7, collected=new, ended=DAY),
    )
    assert kept(Account(8, orders=[Order(new)]), strict).orders[0].address == "a"
    with pytest.raises(pg.SubjectViolation):
        kept(Account(7, orders=[Order(new)])).orders[0].address  # noqa: B018
    for guard in (guarded(), strict):
        with pytest.raises(pg.RevisionViolation):
            seen(Account(8, orders=[Order(new), Order(old)]), guard=guard)
        with pytest.raises(pg.RevisionViolation):
            kept(Account(8, orders=[Order(old)]), guard).orders[0].address  # noqa: B018


def test_a_row_in_a_row_may_be_somebody_elses() -> None:
    around = (pg.RowContext(7, ended=DAY),)
    assert row_contexts_of(Review(9), (), around) == (pg.RowContext(9, ended=DAY),)
    assert row_contexts_of(Review(None), (), around) == (pg.RowContext(7, ended=DAY),)
    row = Account(8, reviews=[Review(9)])
    assert seen(row) is row
    assert_refused(Account(8, reviews=[Review(9), Review(7)]))
    half = kept(Account(8, reviews=[Review(7)]))
    assert half.address.street == "s"
    with pytest.raises(pg.SubjectViolation):
        half.reviews[0].text  # noqa: B018
    # Its account stopped the use, and the author of the review did not.
    assert kept(Account(7, reviews=[Review(9)])).reviews[0].text == "t"


@dataclasses.dataclass
class Note:
    about: Annotated[Any, pg.Subject]
    ended: Annotated[datetime.date | None, pg.Ended] = None
    text: Email = "t"


@dataclasses.dataclass
class Thread:
    key: Key
    notes: list[Note]


@pytest.mark.parametrize("nobody", [None, [], [None]], ids=str)
def test_a_mark_that_holds_none_frees_nobody(nobody: Any) -> None:
    """No mark, a mark that names nobody, and one that names another are three things."""
    around = (pg.RowContext(7, ended=DAY), pg.RowContext(8, ended=DAY))
    assert row_contexts_of(Note(nobody), (), around) == around
    assert row_contexts_of(Note(9), (), around) == (pg.RowContext(9, ended=DAY),)
    assert row_contexts_of(Note(nobody)) == (pg.RowContext(),)
    thread = Thread(7, [Note(nobody)])
    assert_refused(thread)
    assert seen(thread, narrow=True).notes == []
    with pytest.raises(pg.SubjectViolation):
        kept(thread).notes[0].text  # noqa: B018
    assert kept(Thread(8, [Note(nobody)])).notes[0].text == "t"


def test_a_row_without_marks_around_marked_ones() -> None:
    class Page(BaseModel):
        note: str = "n"
        rows: list[Customer]

    page = Page(rows=[Customer(key=8)])
    assert seen(page) is page
    assert_refused(Page(rows=[Customer(key=8), Customer(key=7)]))


def test_what_is_beside_marked_rows_is_nobodys() -> None:
    class Page(BaseModel):
        title: Annotated[str, tm.Contract] = "t"
        rows: list[Customer]

    page = Page(rows=[Customer(key=8)])
    assert seen(page) is page
    strict = guarded(Office(requires_subject=True))
    function = reading(strict, Page, page)
    with strict.purpose(P), pytest.raises(pg.SubjectViolation) as caught:
        function()
    assert "it is not said whose data of 1.1(c) this is" in words(caught)
    assert caught.value.field == "title"


def test_rows_that_hold_themselves_are_refused() -> None:
    @dataclasses.dataclass
    class Node:
        key: Key
        below: list[Node]
        email: Email = "e"

    Node.__annotations__["below"] = list[Node]
    leaf = Node(9, [])
    assert seen(Node(8, [leaf, leaf])).below == [leaf, leaf]
    assert_refused(Node(8, [Node(9, [Node(7, [])])]))
    circle = Node(8, [])
    circle.below.append(circle)
    with pytest.raises(pg.UnlabelledData, match="holds itself"):
        seen(circle)


def test_generic_rows_say_whose_they_are() -> None:
    row = Box[Customer](key=8, inside=Customer(key=8))
    assert read(Box[Customer], row) is row
    with pytest.raises(pg.SubjectViolation):
        read(Box[Customer], Box[Customer](key=8, inside=Customer(key=7)))
    with pytest.raises(pg.SubjectViolation):
        read(Box[list[Customer]], Box[list[Customer]](key=8, inside=[Customer(key=7)]))


def test_sealed_values_in_a_row_are_its_subjects() -> None:
    class Safe(BaseModel):
        key: Key
        email: pg.Personal[str, tm.Registration]

    row = Safe(key=8, email=pg.Personal("e", tm.Registration))
    assert seen(row) is row
    assert_refused(Safe(key=7, email=row.email))
    assert seen(Safe(key=7, email=row.email), withhold=True).model_dump(exclude={"email"}) == {"key": 7}
    with guarded().purpose(P) as use:
        assert use.open(row.email, subject=row) == "e"


def test_what_may_be_sealed_for_others_is_its_subjects_where_it_is_plain() -> None:
    @dataclasses.dataclass
    class Either:
        key: Key
        email: Annotated[str | pg.Personal[str, tm.ProductData], tm.Registration]

    assert seen(Either(8, "plain")) == Either(8, "plain")
    assert_refused(Either(7, "plain"))


def test_sealed_values_that_the_purpose_may_not_use_stay_sealed() -> None:
    class Safe(BaseModel):
        key: Key
        device: pg.Personal[str, tm.ProductData]
        email: Email = "e"

    row = Safe(key=8, device=pg.Personal("d", tm.ProductData))
    assert seen(row) is row
    assert_refused(Safe(key=7, device=row.device))


def test_every_container_is_looked_through() -> None:
    good, bad = Frozen(key=8), Frozen(key=7)
    cases: list[tuple[Any, Callable[[Frozen], Any]]] = [
        (list[Frozen], lambda row: [row]),
        (tuple[Frozen, ...], lambda row: (row,)),
        (set[Frozen], lambda row: {row}),
        (frozenset[Frozen], lambda row: frozenset({row})),
        (dict[str, Frozen], lambda row: {"a": row}),
        (Mapping[str, list[Frozen]], lambda row: MappingProxyType({"a": [row]})),
        (dict[Frozen, int], lambda row: {row: 1}),
        (collections.deque[Frozen], lambda row: collections.deque([row])),
        (Frozen | None, lambda row: row),
        (list[list[Frozen | None]], lambda row: [[], [None, row]]),
        (Iterable[Frozen], lambda row: [row]),
        (tuple[int, Frozen], lambda row: (1, row)),
    ]
    for annotation, holding in cases:
        value = holding(good)
        assert read(annotation, value) is value, annotation
        with pytest.raises(pg.SubjectViolation):
            read(annotation, holding(bad))


def test_generators_and_coroutines_are_looked_through() -> None:
    guard = guarded()
    closed = []

    @guard.access
    def each() -> Generator[Customer, None, Customer]:
        try:
            yield Customer(key=8)
            yield Customer(key=7)
        finally:
            closed.append("each")
        raise AssertionError

    @guard.access
    async def later() -> list[Customer]:
        await asyncio.sleep(0)
        return [Customer(key=8), Customer(key=7)]

    @guard.access
    async def stream() -> AsyncIterator[Customer]:
        try:
            yield Customer(key=8)
            yield Customer(key=7)
        finally:
            await asyncio.sleep(0)
            closed.append("stream")

    @guard.access
    def returning(key: int) -> Generator[int, None, Customer]:
        yield 1
        return Customer(key=key)

    async def streamed() -> None:
        async for row in stream():
            assert row.key == 8

    with guard.purpose(P):
        rows = each()
        assert next(rows).key == 8
        with pytest.raises(pg.SubjectViolation):
            next(rows)
        with pytest.raises(StopIteration):
            next(rows)
        last = returning(7)
        assert next(last) == 1
        with pytest.raises(pg.SubjectViolation):
            next(last)
        with pytest.raises(pg.SubjectViolation):
            asyncio.run(later())
        with pytest.raises(pg.SubjectViolation):
            asyncio.run(streamed())
    assert closed == ["each", "stream"]


class Lazy:
    """Gives rows when it is asked, as query results do."""

    def __iter__(self) -> Iterator[Customer]:
        return iter([Customer(key=7)])


class Page(Generic[T]):
    """Holds rows where nobody sees them."""

    def __init__(self, *rows: T) -> None:
        self.rows = rows


async def _later() -> list[Customer]:
    raise AssertionError("it is not run")


UNSEEN: dict[str, tuple[Any, Callable[[], Any]]] = {
    "lazy": (Iterable[Customer], Lazy),
    "page": (Page[Customer], lambda: Page(Customer(key=7))),
    "coroutine": (Awaitable[list[Customer]], _later),
    "tuple for a row": (Customer, lambda: (7, "e")),
    "tuples for a row": (Customer, lambda: [(7, "e")]),
    "tuples for rows": (list[Customer], lambda: [(7, "e")]),
    "object for a row": (Customer, lambda: Page("e")),
    "lazy for a row": (Customer | None, Lazy),
    "list for a dict": (Dict, lambda: [{"key": 7, "email": "e"}]),
    "view": (list[Customer], lambda: memoryview(b"e")),
}


@pytest.mark.parametrize(("annotation", "value"), UNSEEN.values(), ids=UNSEEN)
@pytest.mark.parametrize("narrow", [False, True], ids=["refuse", "narrow"])
def test_what_cannot_be_looked_through_is_refused(annotation: Any, value: Callable[[], Any], narrow: bool) -> None:
    with pytest.raises(pg.UnlabelledData, match="and not what its annotation says"):
        read(annotation, value, narrow=narrow)


def test_a_value_in_the_place_of_a_row_is_of_nobody_who_is_named() -> None:
    import enum

    class Status(enum.Enum):
        GONE = 1

    for value in ("gone", 1, b"x", Status.GONE, None):
        assert read(Customer | str | int | bytes | Status | None, value) is value
        assert read(list[Customer | str | float | bytes | Status], [value]) == [value]
    for value in ("gone", 1, b"x", Status.GONE):
        for annotation in (Customer, Customer | Any, Customer | object, Customer | datetime.date):
            with pytest.raises(pg.UnlabelledData, match=r"whom it is about is unknown"):
                read(annotation, value)
    strict = guarded(Office(requires_subject=True))
    assert read(Customer | None, None, guard=strict) is None
    with pytest.raises(pg.SubjectViolation, match="name the subject"):
        read(Customer | str, "e", guard=strict)
    assert read(list[Customer | str], ["e"], guard=strict, narrow=True) == []

    class Marked(BaseModel):
        key: Key

    assert read(Marked | str, "e", tm.Registration) == "e"


class Bare(BaseModel):
    key: Key
    email: str = "e"


def test_sources_named_at_the_decorator_are_those_of_the_rows() -> None:
    row = Bare(key=8)
    assert read(Bare, row, tm.Registration) is row
    with pytest.raises(pg.SubjectViolation) as caught:
        read(list[Bare], [row, Bare(key=7)], tm.Registration)
    assert caught.value.decision.denied == (tm.Registration,)
    assert read(list[Bare], [Bare(key=7), row], tm.Registration, narrow=True) == [row]
    with pytest.raises(pg.PurposeViolation):
        read(list[Bare], [row], tm.ProductData)


def test_sources_named_at_the_decorator_cannot_be_withheld() -> None:
    class Both(BaseModel):
        key: Key
        device: Device = "d"
        amount: int = 1

    row, other = Both(key=8), Both(key=7)
    (kept,) = read(list[Both], [row], tm.Registration, withhold=True)
    assert kept.model_dump() == {"key": 8, "amount": 1}
    with pytest.raises(pg.SubjectViolation):
        read(list[Both], [row, other], tm.Registration, withhold=True)
    (kept,) = read(list[Both], [row, other], tm.Registration, withhold=True, narrow=True)
    assert kept.key == 8
    with pytest.raises(pg.UnlabelledData):
        read(list[Both], ["e"], tm.Registration, withhold=True)
    strict = guarded(Office(requires_subject=True))
    with pytest.raises(pg.SubjectViolation):
        read(list[Both], [row], tm.Registration, withhold=True, guard=strict)


def test_rows_without_sources_are_not_personal() -> None:
    with pytest.raises(pg.UnlabelledData):
        reading(guarded(), Bare, Bare(key=7))
    mixed = read(tuple[Bare, Customer], (Bare(key=7), Customer(key=8)))
    assert mixed[0].key == 7


def test_seals_among_rows_stay_sealed() -> None:
    sealed: pg.Personal[str, Any] = pg.Personal("e", tm.Registration)
    value = [Customer(key=8), sealed]
    assert read(list[Customer | pg.Personal[str, tm.Registration]], value) is value
    inside: pg.Personal[Any, Any] = pg.Personal(Customer(key=7), tm.Registration)
    assert read(pg.Personal[Customer, tm.Registration], inside) is inside
