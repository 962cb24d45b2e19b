"""What a ledger is told, and what an observing guard lets pass: one story over all ways to read."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import D, R
from tests.unit.samples import Tape
from tests.unit.seals import run

SHOWN_NOWHERE = "sentinel-7f3a"


class Customer(BaseModel):
    email: Annotated[str, tm.Registration] = SHOWN_NOWHERE
    device: Annotated[str, tm.ProductData] = SHOWN_NOWHERE


def plain() -> Customer:
    return Customer()


async def slow() -> Customer:
    return Customer()


def each() -> Iterator[Customer]:
    yield Customer()


async def aeach() -> AsyncIterator[Customer]:
    yield Customer()


class Application:
    """Every way to read, under one guard."""

    def __init__(self, mode: Any) -> None:
        self.tape = Tape()
        self.guard = guard = pg.Guard(tm.NOTICE, mode=mode, ledger=self.tape)
        kinds: tuple[Any, ...] = (plain, slow, each, aeach)
        self.ways: dict[str, Any] = {fn.__name__: partial(run, guard.access(fn)) for fn in kinds}
        self.ways["kept"] = guard.cached()(guard.access(plain))


WAYS = list(Application("enforce").ways)


@pytest.mark.parametrize("way", WAYS)
def test_each_denial_is_recorded_once_and_raised_and_what_is_allowed_is_counted(way: str) -> None:
    app = Application("enforce")
    with app.guard.purpose(tm.RenewalGuidance, activity="remind"), pytest.raises(pg.PurposeViolation) as denied:
        app.ways[way]()
    with pytest.raises(pg.PurposeMissing) as missing:
        app.ways[way]()
    assert app.tape.denials == [(denied.value, False), (missing.value, False)]
    assert denied.value.activity == "remind"
    assert SHOWN_NOWHERE not in str(denied.value)
    assert app.tape.uses == []
    app.tape.denials.clear()
    with app.guard.purpose(tm.ProductProvision, activity="provide"):
        app.ways[way]()
        app.ways[way]()
    (told,) = app.tape.uses
    assert told[:3] == ("provide", "1.2(2)①", R | D)
    assert told[3] >= 2
    assert app.tape.denials == []


@pytest.mark.parametrize("way", WAYS)
def test_an_observing_guard_records_logs_and_lets_pass(way: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Application("observe")
    with caplog.at_level(logging.WARNING, logger="purposeguard"):
        assert app.ways[way]()
        with app.guard.purpose(tm.RenewalGuidance):
            assert app.ways[way]()
    kinds = {type(error) for error, _ in app.tape.denials}
    assert kinds == {pg.PurposeMissing, pg.PurposeViolation}
    assert all(observed for _, observed in app.tape.denials)
    assert len(caplog.records) == len({str(error) for error, _ in app.tape.denials})  # The first of each kind.
    assert SHOWN_NOWHERE not in caplog.text
    assert all(SHOWN_NOWHERE not in str(error) for error, _ in app.tape.denials)


def test_a_ledger_that_raises_keeps_the_use_from_happening() -> None:
    class Full(Tape):
        def denied(self, error: Any, *, observed: bool) -> None:
            raise OSError("disk full")

    guard = pg.Guard(tm.NOTICE, mode="observe", ledger=Full())

    @guard.access
    def load() -> Customer:
        raise AssertionError("must not run")

    with guard.purpose(tm.RenewalGuidance), pytest.raises(OSError, match="disk full"):
        load()


def test_nested_uses_are_counted_apart() -> None:
    app = Application("enforce")
    with app.guard.purpose(tm.ProductProvision, activity="outer") as outer:
        outer.check("1.1a")
        with app.guard.purpose(tm.RenewalGuidance, activity="inner") as inner:
            inner.check("1.1a")
            inner.check("1.1c")
        outer.check("1.1a")
    assert [(activity, purpose) for activity, purpose, _ in app.tape.each] == [
        ("outer", "1.2(2)①"),
        ("inner", "1.2(1)①"),
        ("inner", "1.2(1)①"),
        ("outer", "1.2(2)①"),
    ]


@pytest.mark.parametrize("of_guard", ["enforce", "observe"])
@pytest.mark.parametrize("of_activity", ["enforce", "observe", None])
def test_a_use_that_has_ended_is_let_pass_where_nobody_enforces(of_guard: Any, of_activity: Any) -> None:
    tape = Tape()
    guard = pg.Guard(tm.NOTICE, mode=of_guard, ledger=tape)
    name = pg.Personal("name", tm.Registration)
    with guard.purpose(tm.RenewalGuidance, mode=of_activity) as use:
        elsewhere = contextvars.copy_context()  # as a task that was started here keeps it
    passes = {of_guard, of_activity or of_guard} == {"observe"}
    acts: list[Callable[[], object]] = [
        lambda: use.check(tm.Registration), lambda: use.open(name), lambda: use.open_all([name]),
        lambda: use.try_open(name, None), lambda: use.withhold(Customer()), lambda: elsewhere.run(guard.carry, print),
    ]  # fmt: skip
    for act in acts:
        told = len(tape.denials)
        if passes:
            act()
        else:
            with pytest.raises(pg.PurposeMissing):
                act()
        assert [observed for _, observed in tape.denials[told:]] == [passes]


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_a_withheld_field_that_is_read_is_told_with_activity_and_function(mode: Any) -> None:
    tape = Tape()
    telling = pg.Guard(tm.NOTICE, mode=mode, ledger=tape)

    @telling.access(withhold=True)
    def read() -> Customer:
        return Customer()

    @telling.purpose(tm.RenewalGuidance, activity="reminder")
    def act() -> str:
        return read().device

    if mode == "observe":
        assert act() == SHOWN_NOWHERE
        errors = [error for error, _ in tape.denials]
        assert errors
    else:
        with pytest.raises(pg.PurposeViolation) as caught:
            act()
        errors = [caught.value]
        assert caught.value.field == "device"
    assert tape.denials == [(error, mode == "observe") for error in errors]
    for error in errors:
        assert isinstance(error, pg.PurposeViolation)
        assert error.activity == "reminder"
        assert error.function is not None
        assert error.function.startswith(f"{__name__}.test_a_withheld_field_that_is_read_")
        assert error.function.endswith(".<locals>.read")
