"""Activities that are given their use: `@guard.purpose(…).with_use`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.seals import DEVICE, NAME, Told


@pytest.fixture(params=["bare", "told"])
def guard(request: pytest.FixtureRequest) -> pg.Guard:
    return pg.Guard(tm.NOTICE, ledger=Told() if request.param == "told" else None)


def test_a_function_is_given_its_use(guard: pg.Guard) -> None:
    kept: list[pg.Use[Any]] = []

    @guard.purpose(tm.RenewalGuidance, activity="remind").with_use
    def remind(use: pg.Use[tm.RenewalGuidance], value: pg.Personal[str, Any], times: int = 1, *, end: str = "") -> str:
        """Reminds."""
        assert guard.current is use
        kept.append(use)
        return use.open(value) * times + end

    assert remind(NAME) == "name"
    assert remind(value=NAME, times=2, end="!") == "namename!"
    with pytest.raises(pg.PurposeViolation) as refused:
        remind(DEVICE)
    assert refused.value.activity == "remind"
    assert not any(use.active for use in kept)
    assert len(set(map(id, kept))) == 3  # each call has its own
    assert str(inspect.signature(remind)) == (
        "(value: 'pg.Personal[str, Any]', times: 'int' = 1, *, end: 'str' = '') -> 'str'"
    )
    assert (remind.__name__, remind.__doc__) == ("remind", "Reminds.")
    (activity,) = guard.activities
    assert (activity.name, activity.purpose, activity.module) == ("remind", tm.RenewalGuidance, __name__)
    assert activity.qualname == remind.__qualname__
    assert activity.line == inspect.unwrap(remind).__code__.co_firstlineno


def test_a_coroutine_function_is_given_its_use(guard: pg.Guard) -> None:
    @guard.purpose(tm.RenewalGuidance).with_use
    async def remind(use: pg.Use[tm.RenewalGuidance], value: pg.Personal[str, Any]) -> str:
        await asyncio.sleep(0)
        assert guard.current is use
        return use.open(value)

    async def both() -> list[str]:
        return [*await asyncio.gather(remind(NAME), remind(value=NAME))]

    assert inspect.iscoroutinefunction(remind)
    assert asyncio.run(both()) == ["name", "name"]
    assert guard.activities[0].name == f"{__name__}.{remind.__qualname__}"


def generator(use: pg.Use[Any]) -> Iterator[str]:
    yield use.open(NAME)


async def async_generator(use: pg.Use[Any]) -> AsyncIterator[str]:
    yield use.open(NAME)


@pytest.mark.parametrize("fn", [generator, async_generator], ids=["generator", "async-generator"])
def test_generators_ask_for_the_use_of_each_step(fn: Any) -> None:
    with pytest.raises(
        TypeError, match=rf"{fn.__name__} yields, and each of its steps has a use of its own: ask `guard.use"
    ):
        pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance).with_use(fn)


@pytest.mark.parametrize("thing", [int, "text", None], ids=["class", "text", "none"])
def test_only_functions_are_given_a_use(thing: Any) -> None:
    with pytest.raises(TypeError, match="decorates functions and methods"):
        pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance).with_use(thing)


def test_a_static_method_is_given_its_use(guard: pg.Guard) -> None:
    give: Any = guard.purpose(tm.RenewalGuidance).with_use

    class Mail:
        @staticmethod
        @give
        def below(use: pg.Use[Any], value: Any) -> Any:
            return use.open(value)

        @give
        @staticmethod
        def above(use: pg.Use[Any], value: Any) -> Any:
            return use.open(value)

    for mail in (Mail, Mail()):
        assert mail.below(NAME) == mail.above(NAME) == "name"


def test_a_method_asks_for_its_use() -> None:
    def remind(self: Any, use: pg.Use[Any]) -> Any: ...
    def remind_all(cls: Any, use: pg.Use[Any]) -> Any: ...

    give: Any = pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance).with_use

    def of_another_name(kind: Any, use: pg.Use[Any]) -> Any: ...

    for fn in (remind, remind_all, classmethod(remind_all), classmethod(of_another_name)):
        with pytest.raises(TypeError, match=r"guard\.use"):
            give(fn)
