"""Access functions that withhold, observe and tell a ledger."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import Customer, Device, Row, guard

if TYPE_CHECKING:
    pass


ran: collections.Counter[str] = collections.Counter()


# --- withholding


def test_withholding_gives_what_the_purpose_may_use() -> None:
    @guard.access(withhold=True)
    def load() -> Customer:
        return Customer(email="e", device="d")

    @guard.access(withhold=True)
    def rows() -> list[Row]:
        return [{"email": "e", "device": "d"}]

    @guard.access(withhold=True)
    def nothing() -> Customer | None:
        return None

    with pytest.raises(pg.PurposeMissing):
        load()
    with guard.purpose(tm.ProductProvision):
        assert load() == Customer(email="e", device="d")
        assert rows() == [{"email": "e", "device": "d"}]
    with guard.purpose(tm.RenewalGuidance) as use:
        customer = load()
        assert isinstance(customer, Customer)
        assert customer.email == "e"
        with pytest.raises(pg.PurposeViolation) as caught:
            customer.device  # noqa: B018
        assert caught.value.function is not None
        assert caught.value.function.endswith("load")
        assert caught.value.activity == use.activity.name
        assert dict(rows()[0]) == {"email": "e"}
        assert nothing() is None
    with guard.purpose(tm.TrafficAnalysis):
        assert load().model_dump() == {}


def test_withholding_still_refuses_what_the_decorator_names() -> None:
    @guard.access(tm.Contract, withhold=True)
    def load() -> Customer:
        ran["named"] += 1
        return Customer(email="e", device="d")

    ran.clear()
    with guard.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation) as caught:
        load()
    assert caught.value.decision.label is pg.Label(tm.Contract)
    assert not ran
    with guard.purpose(tm.RenewalGuidance):
        assert load().model_dump() == {"email": "e"}
    observing = pg.Guard(tm.NOTICE, mode="observe")
    assert observing.access(tm.Contract, withhold=True)(load.__wrapped__)().device == "d"  # type: ignore[attr-defined]  # as functools has it


def test_withholding_from_functions_of_every_kind() -> None:
    whole = Customer(email="e", device="d")

    @guard.access(withhold=True)
    async def slow() -> Customer:
        return whole

    @guard.access(withhold=True)
    def each() -> Iterator[Customer]:
        yield whole
        yield whole

    @guard.access(withhold=True)
    async def aeach() -> AsyncIterator[Customer]:
        yield whole

    @guard.access(withhold=True)
    def lazily() -> Iterator[Customer]:
        return iter([whole])

    async def main() -> None:
        async with guard.purpose(tm.RenewalGuidance):
            given = [await slow(), *each(), *[one async for one in aeach()], *lazily()]
        assert [one.model_dump() for one in given] == [{"email": "e"}] * 5

    asyncio.run(main())


def test_what_cannot_be_withheld_singly_is_refused_with_advice() -> None:
    @guard.access(withhold=True)
    def devices() -> list[Device]:
        return ["d"]

    @guard.access(withhold=True)
    def surprise() -> Customer:
        return 5  # type: ignore[return-value]

    for load in (devices, surprise):
        with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation):
            load()
        with guard.purpose(tm.ProductProvision):
            assert load() is not None
