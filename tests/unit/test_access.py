"""Access functions: what may run, what is refused before it runs or at decoration, and what is withheld."""

from __future__ import annotations

import collections
import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.marked_rows import reading
from tests.unit.models import Contact, Customer, D, Device, R, Row, guard, in_a_loop

ran: collections.Counter[str] = collections.Counter()


@guard.access
def load_contact(key: int, /, *, name: str = "e") -> Contact:
    """Loads a contact."""
    ran["contact"] += 1
    return Contact(email=f"{name}{key}")


@guard.access
def load_customer(key: int) -> Customer:
    ran["customer"] += 1
    return Customer(email=f"e{key}", device=f"d{key}")


@guard.access(tm.Contract, "1.1a")
def invoices() -> list[dict[str, int]]:
    ran["invoices"] += 1
    return [{"total": 1}]


def test_a_function_runs_only_for_a_purpose_that_may_use_all_it_reads() -> None:
    ran.clear()
    with guard.purpose(tm.RenewalGuidance):
        for key in (1, 2):
            assert load_contact(key, name="x").email == f"x{key}"
        assert invoices() == [{"total": 1}]
        with pytest.raises(pg.PurposeViolation):
            load_customer(1)
    assert ran == {"contact": 2, "invoices": 1}
    with guard.purpose(tm.ProductProvision):
        assert load_customer(1).device == "d1"
    with guard.purpose(tm.TrafficAnalysis):
        for load in (lambda: load_contact(1), lambda: load_customer(1), invoices):
            with pytest.raises(pg.PurposeViolation):
                load()
    assert ran == {"contact": 2, "invoices": 1, "customer": 1}


def test_a_violation_says_who_asked_for_what_and_which_field_denies() -> None:
    @guard.purpose(tm.RenewalGuidance)
    def remind() -> None:
        load_customer(1)

    with pytest.raises(pg.PurposeViolation) as caught:
        remind()
    error = caught.value
    assert error.function == f"{__name__}.load_customer"
    assert error.activity is not None
    assert error.activity.endswith("remind")
    assert error.field == "device"
    assert error.decision.label is R | D
    assert "withhold it with @guard.access(withhold=True)" in " ".join(str(error).split())


def test_a_wrapper_keeps_signature_name_and_docstring() -> None:
    assert str(inspect.signature(load_contact)) == "(key: 'int', /, *, name: 'str' = 'e') -> 'Contact'"
    assert (load_contact.__name__, load_contact.__doc__) == ("load_contact", "Loads a contact.")


def test_accesses_are_listed() -> None:
    mine = pg.Guard(tm.NOTICE)

    @mine.access
    def load() -> list[Customer]:
        return []

    @mine.access(tm.Contract, withhold=True)
    def rows() -> list[Row]:
        return []

    one, two = mine.accesses
    assert (one.label, one.named, one.withhold) == (R | D, None, False)
    assert one.name == f"{__name__}.test_accesses_are_listed.<locals>.load"
    assert (one.module, one.qualname) == (__name__, "test_accesses_are_listed.<locals>.load")
    assert one.line == inspect.unwrap(load).__code__.co_firstlineno
    assert one.fields_from([tm.ProductData]) == tuple(path for path, label in one.fields.items() if label is D)
    assert (two.label, two.named, two.withhold) == (pg.Label(tm.Contract) | R | D, pg.Label(tm.Contract), True)


def test_a_function_defined_again_at_its_place_is_listed_once() -> None:
    mine = pg.Guard(tm.NOTICE)
    for _ in range(3):

        @mine.access
        def load() -> Contact:
            return Contact(email="e")

    assert len(mine.accesses) == 1


@pytest.mark.parametrize("sources", [(tm.Contract,), ("1.1c",), (pg.Label(tm.Contract),), (tm.Contract, tm.Contract)])
def test_sources_may_be_named_in_any_form(sources: tuple[Any, ...]) -> None:
    load = reading(guard, int, 1, *sources)
    with guard.purpose(tm.RenewalGuidance):
        assert load() == 1
    with guard.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation):
        load()


def test_named_sources_take_the_place_of_tags() -> None:
    only_contacts = reading(guard, Customer, lambda: Customer(email="e", device=""), tm.Registration)
    with guard.purpose(tm.RenewalGuidance):
        assert only_contacts().email == "e"


def test_not_personal_data_needs_a_purpose_all_the_same() -> None:
    prices = reading(guard, int, 1, pg.NotPersonal)
    with pytest.raises(pg.PurposeMissing):
        prices()
    with guard.purpose(tm.TrafficAnalysis):
        assert prices() == 1


@in_a_loop
async def test_a_coroutine_function_is_checked_when_it_runs() -> None:
    @guard.access
    async def load() -> Contact:
        ran["async"] += 1
        return Contact(email="e")

    ran.clear()
    assert inspect.iscoroutinefunction(load)
    with pytest.raises(pg.PurposeMissing):
        await load()
    async with guard.purpose(tm.RenewalGuidance):
        pending = load()
        assert (await load()).email == "e"
    with pytest.raises(pg.PurposeMissing):
        await pending
    assert ran == {"async": 1}


def test_a_generator_is_checked_before_each_step() -> None:
    closed: list[bool] = []

    @guard.access
    def load() -> Iterator[Contact]:
        try:
            for key in range(9):
                yield Contact(email=f"e{key}")
        finally:
            closed.append(True)

    given = load()
    with pytest.raises(pg.PurposeMissing):
        next(given)
    given = load()
    with guard.purpose(tm.RenewalGuidance):
        assert next(given).email == "e0"
    with pytest.raises(pg.PurposeMissing):
        next(given)
    assert closed == [True]
    given = load()
    with guard.purpose(tm.RenewalGuidance):
        assert next(given).email == "e0"
        with guard.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation):
            next(given)
        assert [one.email for one in load()] == [f"e{n}" for n in range(9)]
        given = load()
        next(given)
    given.close()  # type: ignore[attr-defined]  # cleaning up reads nothing
    assert len(closed) == 4


@in_a_loop
async def test_an_async_generator_is_checked_before_each_step() -> None:
    @guard.access
    async def load() -> AsyncIterator[Contact]:
        for key in range(3):
            yield Contact(email=f"e{key}")

    given = load()
    with pytest.raises(pg.PurposeMissing):
        await anext(given)
    async with guard.purpose(tm.RenewalGuidance):
        given = load()
        assert (await anext(given)).email == "e0"
        with guard.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation):
            await anext(given)
        assert len([one async for one in load()]) == 3
        given = load()
        await anext(given)
    await given.aclose()  # type: ignore[attr-defined]


class Repository:
    @guard.access
    def method(self, key: int) -> Contact:
        return Contact(email=f"m{key}")

    @classmethod
    @guard.access
    def class_inside(cls, key: int) -> Contact:
        return Contact(email=f"{cls.__name__}{key}")

    @guard.access
    @classmethod
    def class_outside(cls, key: int) -> Contact:
        return Contact(email=f"{cls.__name__}{key}")

    @staticmethod
    @guard.access(tm.Registration)
    def static_inside(key: int) -> str:
        return f"s{key}"

    @guard.access(tm.Registration)
    @staticmethod
    def static_outside(key: int) -> str:
        return f"s{key}"

    @contextlib.contextmanager
    @guard.access(tm.Registration)
    def session(self) -> Iterator[str]:
        yield "open"


def test_methods_of_every_kind() -> None:
    repository = Repository()
    calls: list[Any] = [
        lambda: repository.method(1).email, lambda: Repository.class_inside(1).email,
        lambda: repository.class_outside(1).email, lambda: Repository.static_inside(1),
        lambda: repository.static_outside(1),
    ]  # fmt: skip
    with guard.purpose(tm.RenewalGuidance):
        assert [call() for call in calls] == ["m1", "Repository1", "Repository1", "s1", "s1"]
        with repository.session() as opened:
            assert opened == "open"
    for call in calls:
        with pytest.raises(pg.PurposeMissing):
            call()
    with pytest.raises(pg.PurposeMissing), repository.session():
        raise AssertionError("must not open")


class Loader:
    def __call__(self) -> Contact:
        return Contact(email="called")


def test_other_callables() -> None:
    def two(a: int, b: int) -> Contact:
        return Contact(email=f"{a}{b}")

    with guard.purpose(tm.RenewalGuidance):
        assert guard.access(Loader())().email == "called"
        assert guard.access(functools.partial(functools.partial(two, 1), 2))().email == "12"
        assert guard.access(tm.Registration)(len)("abc") == 3
    with guard.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation):
        guard.access(Loader())()


def test_withholding_gives_what_the_purpose_may_use() -> None:
    load = reading(guard, Customer, Customer, withhold=True)
    rows = reading(guard, list[Row], lambda: [{"email": "e", "device": "d"}], withhold=True)
    nothing = reading(guard, Customer | None, None, withhold=True)
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
        assert str(caught.value.function).endswith("read")
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


@in_a_loop
async def test_withholding_from_functions_of_every_kind() -> None:
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

    async with guard.purpose(tm.RenewalGuidance):
        given = [await slow(), *each(), *[one async for one in aeach()], *lazily()]
    assert [one.model_dump() for one in given] == [{"email": "e"}] * 5


def test_what_cannot_be_withheld_singly_is_refused_with_advice() -> None:
    devices = reading(guard, list[Device], ["d"], withhold=True)
    surprise = reading(guard, Customer, 5, withhold=True)
    for load in (devices, surprise):
        with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation):
            load()
        with guard.purpose(tm.ProductProvision):
            assert load() is not None
