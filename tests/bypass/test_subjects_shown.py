"""Whose data it is is said by marks alone, and shown by nothing: not by dumps, errors, ledgers and logs."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, RootModel, TypeAdapter, field_serializer

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.bypass.seal_looking import NUMBER, TEXT, leaks
from tests.bypass.subjects import NAME, P, R, Row, Safe, answer
from tests.unit.oversights import STOPPED, Counting, Office, guarded


class Order(pg.PersonalModel):
    address: pg.Personal[str, tm.Registration]


def test_dumps_are_of_their_rows_subjects() -> None:
    class Account(pg.PersonalModel):
        key: Annotated[int, pg.Subject]
        first: Order
        orders: list[Order] = []
        friends: list[Safe] = []

    class Accounts(RootModel[list[Account]]):
        pass

    def account(key: int, *friends: int) -> Account:
        order = Order(address=NAME)
        return Account(
            key=key, first=order, orders=[order], friends=[Safe(key=friend, email=NAME) for friend in friends]
        )

    for guard in (guarded(), guarded(Office(requires_subject=True))):
        with guard.purpose(P) as use:
            written = {"key": 8, "first": {"address": "name"}, "orders": [{"address": "name"}], "friends": []}
            assert account(8).model_dump() == written
            assert Accounts([account(8)]).model_dump() == [written]
            assert account(8, 9).model_dump()["friends"] == [{"key": 9, "email": "name"}]
            for row in (account(7), account(8, 7)):
                for way in (
                    row.model_dump,
                    row.model_dump_json,
                    lambda: row.model_dump(context={"use": use}),  # noqa: B023
                    lambda: TypeAdapter(Account).dump_json(row),  # noqa: B023
                    lambda: Accounts([row]).model_dump(),  # noqa: B023
                ):
                    with pytest.raises(Exception, match="of this subject"):
                        way()
            shown = account(8, 7, 9).model_dump(mode="withhold")
            assert shown["friends"] == [{"key": 7}, {"key": 9, "email": "name"}]
            assert account(7, 8).model_dump(mode="withhold") == {
                "key": 7,
                "first": {},
                "orders": [{}],
                "friends": [{"key": 8, "email": "name"}],
            }
            assert account(8).model_dump(include={"key"}) == {"key": 8}


def test_dumps_of_rows_whose_id_is_withheld_are_of_their_subjects() -> None:
    class Inner(pg.PersonalModel):
        key: Annotated[int, pg.Subject, tm.ProductData]
        email: pg.Personal[str, tm.Registration]

    class Outer(pg.PersonalModel):
        key: Annotated[int, pg.Subject, tm.ProductData]
        email: pg.Personal[str, tm.Registration]
        inner: list[Inner] = []

    def outer(key: int, *keys: int) -> Outer:
        return Outer(key=key, email=NAME, inner=[Inner(key=one, email=NAME) for one in keys])

    for guard in (guarded(), guarded(Office(requires_subject=True))):
        with guard.purpose(P) as use:
            assert outer(8, 9).model_dump(mode="withhold") == {"email": "name", "inner": [{"email": "name"}]}
            assert outer(7).model_dump(mode="withhold") == {"inner": []}
            assert outer(8, 7).model_dump(mode="withhold") == {"email": "name", "inner": [{}]}
            # Once the id is gone nothing says whose the rest is.
            copied = use.withhold(outer(8))
            with pytest.raises(pg.UnlabelledData, match="`key` is marked, and"):
                copied.model_dump()
            assert copied.model_dump(exclude={"email"}) == {"inner": []}


def test_a_dump_within_a_dump_is_of_the_row_around_it() -> None:
    order = Order(address=NAME)

    class Account(pg.PersonalModel):
        key: Annotated[int, pg.Subject]
        note: str = "n"

        @field_serializer("note")
        def _write(self, note: str) -> str:
            return note + order.model_dump_json()

    with guarded().purpose(P):
        assert "name" in Account(key=8).model_dump()["note"]
        with pytest.raises(Exception, match="of this subject"):
            Account(key=7).model_dump()
        assert order.model_dump() == {"address": "name"}


def test_an_id_is_no_row_and_no_row_an_id() -> None:
    """Whatever equals or hashes like an allowed subject is another one."""

    class Alike(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return hash("8")

    with guarded().purpose(P) as use:
        assert use.open(NAME, subject=8) == "name"
        assert answer(lambda: use.open(NAME, subject=Alike("7"))) is pg.SubjectViolation
        assert not use.allows(R, subject=Alike("7"))
        assert use.open(NAME, subject=Alike("8")) == "name"


def test_a_row_says_whose_it_is_by_its_marks_alone() -> None:
    class Other(BaseModel):
        key: int = 8
        owner: Annotated[int, pg.Subject] = 7
        subject: int = 8
        email: Annotated[str, tm.Registration] = "e"

    guard = guarded()

    @guard.access
    def load() -> Other:
        return Other()

    with guard.purpose(P) as use:
        for ask in (lambda: use.open(NAME, subject=Other()), load, lambda: use.withhold(Other()).email):
            assert answer(ask) is pg.SubjectViolation


def test_no_code_of_the_row_says_whose_it_is() -> None:
    """What it holds counts: neither `__getattr__`, nor `__iter__`, nor how it compares."""

    class Sly(BaseModel):
        key: Annotated[int, pg.Subject]
        email: Annotated[str, tm.Registration] = "e"

        def __getattribute__(self, name: str) -> Any:
            return 8 if name == "key" else super().__getattribute__(name)

        def __eq__(self, other: object) -> bool:
            return True

    guard = guarded()

    @guard.access
    def load() -> Sly:
        return Sly(key=7)

    with guard.purpose(P) as use:
        assert answer(load) is pg.SubjectViolation
        assert answer(lambda: use.open(NAME, subject=Sly(key=7))) is pg.SubjectViolation


@dataclasses.dataclass(repr=False)
class Data:
    key: Annotated[Any, pg.Subject]
    email: Annotated[str, tm.Registration] = TEXT


OFFICE = Office({str(NUMBER): STOPPED})
GUARD = guarded(OFFICE)


@GUARD.access
def load(key: Any) -> list[Data]:
    return [Data(8), Data(key)]


@GUARD.access
def each(key: Any) -> Iterator[Data]:
    yield Data(key)


@GUARD.access
async def stream(key: Any) -> AsyncIterator[Data]:
    yield Data(key)


@GUARD.access
def iterator(key: Any) -> Iterator[Data]:
    return iter([Data(key)])


@GUARD.access(withhold=True)
def withheld(key: Any) -> list[Data]:
    return [Data(key)]


async def streamed(key: Any) -> None:
    async for _ in stream(key):
        raise AssertionError


@pytest.mark.parametrize(
    "key", [NUMBER, f" {NUMBER}", [f" {NUMBER}"], {NUMBER: 1}], ids=["stopped", "text", "list", "dict"]
)
@pytest.mark.parametrize(
    "ask",
    [
        load,
        lambda key: list(each(key)),
        lambda key: asyncio.run(streamed(key)),
        lambda key: next(iterator(key)),
        lambda key: withheld(key)[0].email,
    ],
    ids=["list", "generator", "async generator", "iterator", "withheld"],
)
def test_errors_show_neither_the_row_nor_its_subject(ask: Callable[[Any], Any], key: Any) -> None:
    with GUARD.purpose(P), pytest.raises(pg.PurposeGuardError) as caught:
        ask(key)
    error = caught.value
    assert leaks([str(error), repr(error), error.args, vars(error)]) == []
    assert [text for text in leaks(error, "purposeguard") if TEXT in text] == []


@GUARD.cached()
@GUARD.access
def cached(key: Any) -> list[Data]:
    return [Data(8), Data(key)]


@GUARD.cached()
@GUARD.access
async def cached_later(key: Any) -> list[Data]:
    return [Data(8), Data(key)]


@pytest.mark.parametrize("ask", [cached, lambda key: asyncio.run(cached_later(key))], ids=["plain", "coroutine"])
def test_what_a_cache_keeps_is_not_shown_by_its_errors(ask: Callable[[Any], Any]) -> None:
    with GUARD.purpose(P):
        ask(9)
        OFFICE.all_preferences["9"] = STOPPED
        with pytest.raises(pg.SubjectViolation) as caught:
            ask(9)
        del OFFICE.all_preferences["9"]
    with GUARD.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation) as refused:
        ask(9)
    for error in (caught.value, refused.value):
        frames = [(frame.f_globals["__name__"], frame.f_locals) for frame, _ in traceback.walk_tb(error.__traceback__)]
        shown = [repr(names) for module, names in frames if not module.startswith("tests.")]
        assert len(shown) > 3
        assert leaks(shown) == []
    assert not hasattr(ask, "cache")


def test_ledgers_and_logs_are_told_of_no_subject(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ledger = Counting()
    office = Office({str(NUMBER): STOPPED})
    guard = guarded(office, ledger=ledger, mode="observe")

    @guard.access
    def load() -> Row:
        return Row(key=NUMBER)

    with guard.purpose(P) as use:
        for subject in (NUMBER, str(NUMBER), pg.RowContext(NUMBER), Row(key=NUMBER)):
            use.open(NAME, subject=subject)
            use.check(R, subject=subject)
            use.explain(R, subject=subject)
        load()
        use.withhold(Row(key=NUMBER))
    assert len(ledger.denials) == 10
    assert leaks([ledger.denials, ledger.uses, dict(ledger.counts), caplog.text]) == []
    assert leaks([pickle.loads(pickle.dumps(error)) for error, _ in ledger.denials]) == []
