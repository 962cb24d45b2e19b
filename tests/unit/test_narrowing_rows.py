"""Rows that are left out of rows, of what is kept by a cache, and who is told."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import functools
from typing import Annotated, Any, NamedTuple, TypedDict

import attrs
import pytest
from pydantic import BaseModel, PrivateAttr

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.marked_rows import BAD, Customer, Dict, Frozen, Key, Named, good, narrowed, read, reading
from tests.unit.models import Email, P
from tests.unit.oversights import STOPPED, Counting, Office, guarded
from tests.unit.samples import Tape


@dataclasses.dataclass
class Order:
    buyer: Key
    address: Annotated[str, tm.Registration] = "a"


class Account(BaseModel):
    key: Key
    first: Annotated[Order | None, "not tagged"] = None
    orders: list[Order] = []
    email: Email = "e"


@dataclasses.dataclass(frozen=True, slots=True)
class SlottedAccount:
    key: Key
    first: Order | None = None
    orders: tuple[Order, ...] = ()


@attrs.frozen
class AttrsAccount:
    key: Key
    first: Order | None = None
    orders: tuple[Order, ...] = ()


class NamedAccount(NamedTuple):
    key: Key
    first: Order | None = None
    orders: tuple[Order, ...] = ()


def test_rows_are_left_out_of_rows() -> None:
    row = Account(key=8, first=Order(7), orders=[Order(7), Order(9)])
    left = narrowed(Account, row)
    assert left == Account(key=8, orders=[Order(9)])
    assert type(left) is Account
    assert row.first == Order(7)
    assert len(row.orders) == 2
    assert left.model_fields_set == {"key", "first", "orders"}
    same = Account(key=8, first=Order(9))
    assert narrowed(Account, same) is same
    assert narrowed(list[Account], [Account(key=7), row]) == [left]


@pytest.mark.parametrize("cls", [SlottedAccount, AttrsAccount, NamedAccount], ids=lambda cls: cls.__name__)
def test_rows_are_left_out_of_rows_of_every_kind(cls: Any) -> None:
    row = cls(8, Order(7), (Order(7), Order(9)))
    left = narrowed(cls, row)
    assert left == cls(8, None, (Order(9),))
    assert type(left) is cls
    assert row == cls(8, Order(7), (Order(7), Order(9)))


def test_rows_are_left_out_of_dicts() -> None:
    class Page(TypedDict):
        total: int
        rows: list[Dict]

    page = {"total": 2, "rows": [{"key": 7, "email": "e"}, {"key": 8, "email": "e"}]}
    assert narrowed(Page, page) == {"total": 2, "rows": [{"key": 8, "email": "e"}]}
    assert len(page["rows"]) == 2  # type: ignore[arg-type]  # they are a list
    assert narrowed(Page, {"total": 0}) == {"total": 0}
    assert narrowed(list[Named], [Named(7), Named(8)]) == [Named(8)]


def test_nothing_that_was_made_from_a_row_stays_when_it_is_left_out() -> None:
    """Values that a row worked out before, extra keys, private attributes: nothing says from what they were made."""

    @dataclasses.dataclass
    class Shop:
        rows: list[Customer]
        note: str = "n"

        @functools.cached_property
        def emails(self) -> list[str]:
            return [row.email for row in self.rows]

    class Loose(BaseModel, extra="allow"):
        rows: list[Customer]
        _first: str = PrivateAttr(default="none")

    shop = Shop([Customer(key=7, email="secret"), Customer(key=8)])
    assert shop.emails == ["secret", "e"]
    left = narrowed(Shop, shop)
    assert left.emails == ["e"]
    assert "secret" not in repr(vars(left))

    loose = Loose.model_validate({"rows": shop.rows, "summary": "secret"})
    loose._first = "secret"
    left = narrowed(Loose, loose)
    assert left.rows == [Customer(key=8)]
    assert left._first == "none"
    assert "secret" not in repr(left.model_dump()) + repr(vars(left)) + repr(left.__pydantic_extra__)

    class Page(TypedDict):
        rows: list[Customer]

    assert narrowed(Page, {"rows": shop.rows, "summary": "secret"}) == {"rows": [Customer(key=8)]}


def test_a_field_that_is_not_there_is_passed_over() -> None:
    row: Any = Account.model_construct(key=8)
    del row.__dict__["orders"]
    assert narrowed(Account, row) is row
    row = Account.model_construct(key=8, first=Order(7))
    del row.__dict__["orders"]
    left = narrowed(Account, row)
    assert left.first is None
    assert "orders" not in vars(left)


def test_copies_are_narrowed_as_rows_are() -> None:
    class Both(BaseModel):
        key: Key = 8
        email: Email = "e"
        orders: list[Order] = []
        device: Annotated[str, tm.ProductData] = "d"
        devices: Annotated[list[Order], tm.ProductData] = []

    guard = guarded()
    row = Both(orders=[Order(7), Order(9)], devices=[Order(7)])
    with guard.purpose(P) as use:
        copies = [use.withhold(row), use.withhold(Both(key=7))]
    function = reading(guard, list[Both], copies, tm.Registration, narrow=True)
    other = reading(guard, list[Both], copies, narrow=True, withhold=True)
    with guard.purpose(P):
        (left,) = other()
        assert (left.email, left.orders[1]) == ("e", Order(9))
        # What it was left with says nothing any more that its subject could mind.
        assert vars(left.orders[0]) == {"buyer": 7}
        for gone in ("device", "devices"):
            with pytest.raises(pg.PurposeViolation):
                getattr(left, gone)
        assert [copy.key for copy in function()] == [8]


def test_withholding_and_narrowing_together() -> None:
    class Both(BaseModel):
        key: Key = 8
        email: Email = "e"
        device: Annotated[str, tm.ProductData] = "d"

    rows = [Both(key=7), Both(key=8)]
    (left,) = narrowed(list[Both], rows, withhold=True)
    assert left.model_dump() == {"key": 8, "email": "e"}
    with pytest.raises(pg.PurposeViolation):
        left.device  # noqa: B018
    assert [row.model_dump() for row in read(list[Both], rows, withhold=True)] == [{"key": 7}, {"key": 8, "email": "e"}]


def test_rows_are_left_out_for_when_they_are_from() -> None:
    class Dated(BaseModel):
        since: Annotated[datetime.date | None, pg.Collected]
        email: Email = "e"

    old, new = Dated(since=datetime.date(2020, 1, 1)), Dated(since=datetime.date(2025, 1, 1))
    assert narrowed(list[Dated], [old, new, Dated(since=None)], guard=pg.Guard(tm.NOTICE)) == [new]
    with pytest.raises(pg.UnlabelledData, match="a marked field cannot be read"):
        narrowed(list[Dated], [Dated.model_construct(since="2025")])


def _cached(guard: pg.Guard, **options: Any) -> tuple[Any, list[int]]:
    ran: list[int] = []

    @guard.cached()
    @guard.access(**options)
    def load(*keys: int) -> list[Frozen]:
        ran.append(len(keys))
        return [Frozen(key=key) for key in keys]

    return load, ran


def test_what_is_kept_is_narrowed_each_time() -> None:
    office = Office({})
    guard = guarded(office)
    load, ran = _cached(guard, narrow=True)
    with guard.purpose(P):
        assert load(7, 8) == [BAD, good()]
        office.all_preferences["7"] = STOPPED
        assert load(7, 8) == [good()]
        office.all_preferences["8"] = STOPPED
        assert load(7, 8) == []
        office.all_preferences.clear()
        assert load(7, 8) == [BAD, good()]
    assert ran == [2]
    assert load.cache_info()[:2] == (3, 1)


def test_coroutines_whose_answers_are_kept() -> None:
    office = Office({})
    guard = guarded(office)
    ran = []

    @guard.cached()
    @guard.access(narrow=True)
    async def load(*keys: int) -> list[Frozen]:
        ran.append(keys)
        await asyncio.sleep(0)
        return [Frozen(key=key) for key in keys]

    async def run() -> None:
        assert await load(7, 8) == [BAD, good()]
        office.all_preferences["7"] = STOPPED
        assert await load(7, 8) == [good()]

    with guard.purpose(P):
        asyncio.run(run())
    assert ran == [(7, 8)]


def test_a_function_that_leaves_its_block_is_given_nothing_that_was_kept() -> None:
    guard = guarded()
    block = guard.purpose(P)

    @guard.cached()
    @guard.access
    def load(key: int) -> Frozen:
        block.__exit__(None, None, None)
        return Frozen(key=key)

    block.__enter__()
    with pytest.raises(pg.PurposeMissing):
        load(7)


def test_where_it_is_only_observed_what_is_kept_comes_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    tape = Tape()
    guard = guarded(mode="observe", ledger=tape)
    load, _ = _cached(guard, narrow=True)
    assert load(7, 8) == [BAD, good()]
    assert [type(error) for error, _ in tape.denials] == [pg.PurposeMissing]
    with guard.purpose(P):
        assert load(7, 8) == [BAD, good()]
    assert [type(error) for error, _ in tape.denials] == [pg.PurposeMissing, pg.SubjectViolation]


def test_nobody_is_told_of_what_is_left_out() -> None:
    """It is no denial: the function asked for what may be used."""
    ledger = Counting()
    guard = guarded(ledger=ledger)
    function = reading(guard, list[Frozen], [BAD, good()], narrow=True)
    with guard.purpose(P, activity="a"):
        assert function() == [good()]
    assert ledger.denials == []
    assert ledger.counts == {("a", P.clause, pg.Label(tm.Registration)): 1}


def test_it_stands_in_the_inventory() -> None:
    guard = guarded()
    reading(guard, list[Frozen], [], narrow=True)
    reading(guard, list[Frozen], [])
    assert [(access.narrow, access.withhold) for access in guard.accesses][-1] == (False, False)
    assert len(guard.accesses) == 1  # of one place
    assert guard.accesses[0].fields == {"email": pg.Label(tm.Registration)}
