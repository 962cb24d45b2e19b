"""Where sealed fields are written: in a purpose that may use them, in its thread and task, or where it is named."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from typing import Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.opener import opener_for
from tests.unit.models import Registered, guard
from tests.unit.samples import SMALL
from tests.unit.sealed_fields import SECRET, dumped, made, not_written


class Customer(BaseModel):
    name: Registered = Field(serialization_alias="theName")
    age: Personal[int, tm.Registration] = Field(default_factory=lambda: Personal(1, tm.Registration))
    note: str = "n"


# --- where it is refused


def test_the_violation_itself_is_the_cause_where_pydantic_keeps_causes() -> None:
    with guard.purpose(tm.UsageAnalysis):
        error = not_written(made(Customer, name=SECRET).model_dump)
    assert isinstance(error.__cause__, pg.PurposeViolation)
    assert error.__cause__.decision.denied == (tm.Registration,)


def test_what_is_sealed_inside_a_sealed_value_is_refused_by_its_own_sources() -> None:
    class Device(BaseModel):
        serial: Personal[str, tm.ProductData]

    class Holder(BaseModel):
        device: Personal[Device, tm.Registration]

    holder = Holder.model_validate({"device": {"serial": SECRET}})
    assert holder.device.label == pg.Label(tm.Registration, tm.ProductData)
    assert dumped(holder, tm.ProductProvision) == {"device": {"serial": SECRET}}
    made = Personal("x", tm.Registration).map(lambda _: Device(serial=Personal(SECRET, tm.ProductData)))
    assert made.label == pg.Label(tm.Registration)
    for one in (holder, Holder(device=made)):
        with guard.purpose(tm.RenewalGuidance):
            assert "product-data (1.1(b))" in str(not_written(one.model_dump))


def test_a_field_that_holds_a_plain_value_is_not_written() -> None:
    customer = made(Customer, name="x")
    for one in (
        Customer.model_construct(name=SECRET),
        customer.model_copy(update={"name": SECRET}),
        Customer.model_construct(name=None),
    ):
        with guard.purpose(tm.RenewalGuidance):
            assert "never validated" in str(not_written(one.model_dump))


# --- whose purpose


def test_a_use_can_be_named_in_the_context() -> None:
    customer = made(Customer, name="x")
    with guard.purpose(tm.RenewalGuidance) as use, guard.purpose(tm.UsageAnalysis):
        not_written(customer.model_dump)
        assert customer.model_dump(include={"name"}, context={"use": use}) == {"name": "x"}
        assert customer.model_dump_json(include={"name"}, context={"use": use}) == '{"name":"x"}'
        adapter = TypeAdapter(list[Registered])
        assert adapter.dump_python([customer.name], context={"use": use}) == ["x"]
    assert "has ended" in str(not_written(customer.model_dump, context={"use": use}))


@pytest.mark.parametrize("context", [{}, {"used": 1}, ["use"], None], ids=str)
def test_another_context_changes_nothing(context: Any) -> None:
    customer = made(Customer, name="x")
    assert "outside any purpose" in str(not_written(customer.model_dump, context=context))
    assert dumped(customer, context=context, include={"name"}) == {"name": "x"}


@pytest.mark.parametrize("wrong", [None, 7, tm.RenewalGuidance, guard])
def test_what_is_named_in_the_context_must_be_a_use(wrong: Any) -> None:
    with guard.purpose(tm.RenewalGuidance):
        error = not_written(made(Customer, name="x").model_dump, context={"use": wrong})
    assert isinstance(error.__cause__, TypeError)
    assert "names a use" in str(error)


def test_of_several_guards_the_one_whose_notice_it_is_decides() -> None:
    small = pg.Notice.loads(SMALL)
    other, second = pg.Guard(small), pg.Guard(tm.NOTICE)
    customer = made(Customer, name="x")
    with other.purpose("3(2)①") as theirs:
        # The only use there is decides, and does not know the sources of another notice.
        assert "UnknownSource" in str(not_written(customer.model_dump))
        with guard.purpose(tm.RenewalGuidance) as use:
            assert customer.model_dump()["name"] == "x"
            with second.purpose(tm.ProductGuidance):
                assert "several guards" in str(not_written(customer.model_dump))
                assert customer.model_dump(context={"use": use})["name"] == "x"
            not_written(customer.model_dump, context={"use": theirs})
            mine = Personal(1, small.source("1(a)"))
            assert opener_for(mine.label) is theirs
            assert opener_for(customer.name.label) is use


def test_a_use_that_has_ended_does_not_stand_in_the_way_of_one_under_way() -> None:
    customer, second = made(Customer, name="x"), pg.Guard(tm.NOTICE)

    def within() -> None:
        with contextlib.ExitStack() as stack:
            # Left in another context, it cannot restore the one before here.
            stack.enter_context(guard.purpose(tm.RenewalGuidance))
            asyncio.run(_left(stack.pop_all()))
            assert "has ended" in str(not_written(customer.model_dump))
            with second.purpose(tm.RenewalGuidance):
                assert customer.model_dump()["name"] == "x"

    contextvars.copy_context().run(within)  # what is left in it is no other test's


async def _left(stack: contextlib.ExitStack) -> None:
    stack.close()
