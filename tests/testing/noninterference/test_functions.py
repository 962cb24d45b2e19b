"""Functions over models: each leak is found, made small and named; clean functions pass."""

# ruff: noqa: T201  # what is printed is looked at

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import itertools
import logging
import random
import sqlite3
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, NamedTuple

import httpx2
import pytest
import sqlalchemy as sa
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import strategies
from purposeguard.testing.failures import Interference, NothingToProve
from purposeguard.testing.interference import noninterference
from tests.testing.noninterference.proving import (
    Code,
    Customer,
    Sealed,
    Visitor,
    at_once,
    failure_of,
    guard,
    leak_of,
    quickly,
    returning,
    told,
)

logger = logging.getLogger("shop.mail")
engine = sa.create_engine("sqlite://")
client = httpx2.Client(transport=httpx2.MockTransport(lambda request: httpx2.Response(204)))
MAIL = "https://mail.example.com/send"


@functools.cache
def connection() -> sqlite3.Connection:
    return sqlite3.connect(":memory:")


def in_an_if(customer: Customer) -> str:
    return "senior" if customer.age > 60 else "junior"


def in_a_sort_key(customers: list[Customer]) -> list[str]:
    return [one.name for one in sorted(customers, key=lambda one: one.age)]


def in_a_log_line(customer: Customer) -> None:
    logger.info("mailing %s about %s", customer.email, customer.device)


def in_a_logged_error(customer: Customer) -> None:
    try:
        raise LookupError(customer.device)
    except LookupError:
        logger.exception("no such thing")


def in_an_error(customer: Customer) -> None:
    raise LookupError(f"no device {customer.device}")


def in_the_kind_of_an_error(customer: Customer) -> None:
    if customer.age > 60:
        raise ValueError("no")
    raise LookupError("no")


def in_a_number_of_lines(customer: Customer) -> None:
    for _ in range(min(customer.age, 3)):
        print("mailing")


def through_a_thread(customer: Customer) -> None:
    thread = threading.Thread(target=logger.info, args=(customer.device,))
    thread.start()
    thread.join()


def through_a_pool(customer: Customer) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(logger.info, (customer.name, customer.device)))


def in_sql_parameters(customer: Customer) -> None:
    with engine.connect() as session:
        session.execute(sa.text("select :name, :device"), {"name": customer.name, "device": customer.device})


def in_a_default(customer: Customer) -> dict[str, Any]:
    return customer.model_dump()


kept: set[str] = set()


def by_what_it_keeps(customer: Customer) -> None:
    if customer.device not in kept:
        kept.add(customer.device)
        logger.info("looking up")


LEAKS: dict[str, tuple[Code, str]] = {
    "in an if": (in_an_if, "age"),
    "in a log line": (in_a_log_line, "device"),
    "in what a log record bears": (lambda one: logger.debug("mailing", extra={"device": one.device}), "device"),
    "in a logged error": (in_a_logged_error, "device"),
    "in an error": (in_an_error, "device"),
    "in the kind of an error": (in_the_kind_of_an_error, "age"),
    "in a hash": (lambda one: hashlib.sha256(one.device.encode()).hexdigest()[:8], "device"),
    "in base64": (lambda one: base64.b64encode(f"{one.name}:{one.device}".encode()), "device"),
    "in output": (lambda one: print("mailing", one.name, one.device), "device"),
    "in a number of lines": (in_a_number_of_lines, "age"),
    "through a thread": (through_a_thread, "device"),
    "through a pool": (through_a_pool, "device"),
    "in an HTTP call": (lambda one: client.post(MAIL, json={"to": one.email, "about": one.device}), "device"),
    "in an HTTP address": (lambda one: client.get(MAIL, params={"age": one.age}), "age"),
    "in SQL parameters": (in_sql_parameters, "device"),
    "in SQL of sqlite": (lambda one: connection().execute("select ?, ?", (one.name, one.age)).fetchall(), "age"),
    "by what it keeps": (by_what_it_keeps, "device"),
}


@pytest.mark.parametrize("way", LEAKS)
def test_each_leak_is_found_and_named(way):
    connection()  # open before anything is watched
    leak, field = LEAKS[way]
    prove = noninterference(guard, tm.RenewalGuidance, raises=(LookupError, ValueError))
    leak_of(prove(returning(leak)), f"customer.{field}")


def test_what_a_list_is_sorted_by_is_named():
    leak_of(noninterference(guard, tm.RenewalGuidance)(in_a_sort_key), "customers[].age")


def test_several_fields_are_all_named():
    error = leak_of(noninterference(guard, tm.RenewalGuidance)(in_a_default), "customer.device", "customer.age")
    assert not error.together


def test_fields_that_differ_only_together_are_said_to():
    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Customer) -> bool:
        return len(customer.device) + customer.age % 10 > 8

    error = failure_of(test)
    assert isinstance(error, Interference)
    assert error.fields in {("customer.device", "customer.age"), ("customer.device",), ("customer.age",)}


def test_the_example_is_small_and_the_message_says_what_to_do():
    error = failure_of(noninterference(guard, tm.RenewalGuidance)(in_an_if), by=quickly)
    assert "name='', email=" in told(error)
    assert "device='', age=0" in told(error)
    before, after = (line.split() for line in str(error).splitlines()[2:4])
    assert (before[2], after[2]) == ("60", "61")  # the very limit
    assert "renewal-guidance (1.2(1)①) may not use product-data (1.1(b))" in str(error)
    assert "result: 'junior'" in str(error)
    assert "withhold=True" in str(error)
    assert "product-provision (1.2(2)①)" in str(error)


def clean(customer: Customer) -> str:
    logger.info("mailing %s", customer.email)
    print("mailing", customer.name)
    with engine.connect() as session:
        session.execute(sa.text("select :name"), {"name": customer.name})
    return f"Dear {customer.name}"


def test_what_does_without_passes():
    quickly(noninterference(guard, tm.RenewalGuidance)(clean))()


def test_what_is_withheld_passes():
    @guard.access(withhold=True)
    def read(customer: Customer) -> Customer:
        return customer

    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Customer) -> Any:
        logger.info("%r", read(customer))
        return read(customer).model_dump()

    quickly(test)()


def test_what_is_sealed_passes_until_it_is_opened():
    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Sealed) -> Any:
        logger.info("%s", customer.device)
        return customer, guard.current.open(customer.name)

    quickly(test)()

    @noninterference(guard, tm.RenewalGuidance)
    def leaking(customer: Sealed) -> Any:
        with guard.purpose(tm.ProductImprovement) as use:
            return use.open(customer.device)

    leak_of(leaking, "customer.device")


class Order(BaseModel):
    product: Annotated[str, tm.Contract]
    seconds: Annotated[float, tm.ProductData]


class Account(BaseModel):
    name: Annotated[str, tm.Registration]
    orders: list[Order]


class Row(NamedTuple):
    name: Annotated[str, tm.Registration]
    kind: Annotated[str, tm.ProductData]


def test_fields_within_fields_are_named_by_their_path():
    @noninterference(guard, tm.RenewalGuidance)
    def test(account: Account) -> float:
        return sum(one.seconds for one in account.orders)

    leak_of(test, "account.orders[].seconds")


@pytest.mark.parametrize(
    ("model", "field"), [(Customer, "age"), (Visitor, "page"), (Row, "kind")], ids=["pydantic", "dataclass", "tuple"]
)
def test_every_kind_of_model(model, field):
    def test(one):
        return repr(getattr(one, field))

    leak_of(noninterference(guard, tm.RenewalGuidance, one=strategies.instances(model))(test), f"one.{field}")


def test_arguments_that_are_tagged_themselves():
    @noninterference(guard, tm.RenewalGuidance)
    def test(name: Annotated[str, tm.Registration], pages: Annotated[int, tm.Cookie]) -> str:
        return name * (pages > 7)

    leak_of(test, "pages")


def test_models_that_are_defined_in_a_function():
    class Local(BaseModel):
        device: Annotated[str, tm.ProductData]

    @noninterference(guard, tm.RenewalGuidance)
    def test(one: Local | None) -> str:
        return "" if one is None else one.device

    leak_of(test, "one.device")


def test_async_code():
    @noninterference(guard, tm.RenewalGuidance)
    async def test(customer: Customer) -> str:
        await asyncio.sleep(0)
        return "old" if customer.age > 60 else "young"

    leak_of(test, "customer.age")

    @noninterference(guard, tm.RenewalGuidance)
    async def clean_one(customer: Customer) -> str:
        await asyncio.gather(asyncio.sleep(0), asyncio.to_thread(guard.carry(logger.info), customer.name))
        assert guard.current.purpose is tm.RenewalGuidance
        return customer.name

    quickly(clean_one)()


def test_streams_are_read_to_their_end():
    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Customer):
        yield customer.name
        yield customer.device

    assert isinstance(failure_of(test), Interference)


def test_above_given_and_below_example():
    @noninterference(guard, tm.RenewalGuidance)
    @given(customer=strategies.instances(Customer), word=st.text())
    def test(customer: Customer, word: str) -> Any:
        return word + customer.device

    leak_of(test, "customer.device")

    aiko = Customer(number=1, name="Aiko", email="aiko@example.com", device="phone", age=41)

    @example(customer=aiko)
    @noninterference(guard, tm.RenewalGuidance)
    def test_with_example(customer: Customer) -> str:
        return customer.device

    error = failure_of(test_with_example)
    assert isinstance(error, Interference)
    assert "customer.device = 'phone'" in str(error)


def test_what_is_drawn_while_the_body_runs_is_refused():
    @noninterference(guard, tm.RenewalGuidance, data=st.data())
    def test(customer: Customer, data: Any) -> Any:
        return data.draw(st.integers())

    with pytest.raises(TypeError, match="as arguments"):
        raise failure_of(test)


def test_a_deadline_is_for_one_run(monkeypatch):
    real, passed = time.perf_counter, 0
    monkeypatch.setattr(time, "perf_counter", lambda: real() + passed)

    @settings(at_once, deadline=1_500_000, max_examples=1)
    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Customer) -> None:
        nonlocal passed
        passed += 1_000  # of four runs it is longer than that

    test()


def test_fixtures_are_left_alone():
    kept: list[str] = []

    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Customer, sent: list[str]) -> None:
        assert sent is kept
        sent.append(customer.name)

    quickly(test)(sent=kept)
    assert kept


def test_each_run_has_a_copy_of_its_own():
    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Customer) -> str:
        customer.name += "!"
        return customer.name

    quickly(test)()


def test_errors_fail_the_test_unless_they_are_expected():
    def test(customer: Customer) -> None:
        raise LookupError("no such customer")

    assert isinstance(failure_of(noninterference(guard, tm.RenewalGuidance)(test)), LookupError)
    quickly(noninterference(guard, tm.RenewalGuidance, raises=LookupError)(test))()


def test_a_refusal_fails_the_test():
    @guard.access
    def read(customer: Customer) -> Customer:
        return customer

    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Customer) -> str:
        return read(customer).device

    assert isinstance(failure_of(test), pg.PurposeViolation)


def test_where_all_may_be_used_nothing_could_be_found():
    error = failure_of(noninterference(guard, tm.ProductProvision)(clean))
    assert isinstance(error, NothingToProve)
    assert "product-provision (1.2(2)①) may use every field of what is drawn" in str(error)
    assert "customer.name (registration (1.1(a)))" in str(error).replace("\n    ", " ")


def test_where_nothing_is_drawn_there_is_nothing_to_change():
    with pytest.raises(TypeError, match="draws nothing"):
        noninterference(guard, tm.RenewalGuidance)(lambda: None)

    @noninterference(guard, tm.RenewalGuidance, number=st.integers())
    def test(number: int) -> int:
        return number

    assert isinstance(failure_of(test), NothingToProve)


def test_a_prohibition_counts_like_a_missing_grant():
    closed = pg.Guard(tm.NOTICE)

    @noninterference(closed, tm.WebSecurityMail, channel="email")
    def test(visitor: Visitor) -> str:
        return visitor.name

    leak_of(test, "visitor.name")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [({"pin": ("dice",)}, "dice"), ({"effects": "log"}, "log"), ({"twins": 0}, "at least one")],
    ids=["pin", "effects", "twins"],
)
def test_what_makes_no_sense_is_refused(given, complaint):
    with pytest.raises(ValueError, match=complaint):
        noninterference(guard, tm.RenewalGuidance, **given)


def test_kinds_of_effects_can_be_left_out():
    quickly(noninterference(guard, tm.RenewalGuidance, effects=("sql",))(in_a_log_line))()


def test_random_numbers_are_the_same_in_each_run_and_go_on_afterwards():
    random.seed(7)
    state = random.getstate()

    @noninterference(guard, tm.RenewalGuidance)
    def test(customer: Customer) -> float:
        return random.random()

    quickly(test)()
    assert random.getstate() == state


def test_a_slow_body_is_not_run_for_minutes_to_make_its_example_smaller(monkeypatch):
    """By a clock of its own: each run takes a second of it, and ten are enough."""

    def runs(tick: Any) -> int:
        ran: list[Customer] = []
        clock = types.SimpleNamespace(**{**vars(time), "perf_counter": tick})
        monkeypatch.setattr("purposeguard.testing._runs.time", clock)

        @noninterference(guard, tm.RenewalGuidance)
        def test_slow(customer: Customer) -> str:
            ran.append(customer)
            return customer.device

        leak_of(test_slow, "customer.device", by=quickly)
        return len(ran)

    assert runs(itertools.count().__next__) < 60 < runs(itertools.repeat(0).__next__)


class Optional(BaseModel):
    name: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData] = "none"


@pytest.mark.parametrize(
    "leak",
    [
        lambda one: "device" in one.model_fields_set,
        lambda one: len(one.model_dump(exclude_unset=True)),
        lambda one: one.model_dump_json(exclude_defaults=True, include={"device"}),
    ],
    ids=["asked", "in a dump", "in JSON"],
)
def test_that_a_field_was_given_is_found(leak: Any) -> None:
    def body(one: Optional) -> object:
        return leak(one)

    failure = failure_of(noninterference(guard, tm.RenewalGuidance)(body), by=quickly)
    assert isinstance(failure, Interference)
    assert "`one.device` makes a difference" in str(failure)


def test_whether_a_field_was_given_that_may_be_used_is_no_leak() -> None:
    class Other(BaseModel):
        name: Annotated[str, tm.Registration] = ""
        device: Annotated[str, tm.ProductData] = "none"

    def body(one: Other) -> object:
        return "name" in one.model_fields_set

    at_once(noninterference(guard, tm.RenewalGuidance)(body))()


def test_hypothesis_traces_no_lines_to_explain_a_failure() -> None:
    @noninterference(guard, tm.RenewalGuidance)
    def by_annotation(customer: Customer) -> None:
        assert customer.name is not None

    @noninterference(guard, tm.RenewalGuidance)
    @settings(max_examples=7)
    @given(customer=strategies.instances(Customer))
    def by_given(customer: Customer) -> None:
        assert customer.name is not None

    for test, examples in ((by_annotation, settings().max_examples), (by_given, 7)):
        own = vars(test)["_hypothesis_internal_use_settings"]
        assert Phase.explain not in own.phases
        assert Phase.shrink in own.phases
        assert own.max_examples == examples
