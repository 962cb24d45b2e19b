from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import cachetools
import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.observer import Ledger
from tests.unit.models import Customer, in_a_loop
from tests.unit.samples import Tape


class Shop:
    """A guard with a cached access function, and how often it really ran."""

    def __init__(self, *, withhold: bool = False, ledger: Ledger | None = None, **options: Any) -> None:
        self.guard = pg.Guard(tm.NOTICE, ledger=ledger)
        self.runs: list[Any] = []

        @self.guard.cached(**options)
        @self.guard.access(tm.Registration) if not withhold else self.guard.access(withhold=True)
        def load(key: Any, *, more: int = 0) -> Customer:
            self.runs.append(key)
            return Customer(email=f"e{key}{more}", device="d")

        self.load: Any = load


def test_an_answer_is_kept_for_the_same_arguments_and_purpose() -> None:
    shop = Shop()
    with shop.guard.purpose(tm.RenewalGuidance):
        one = shop.load(1)
        assert shop.load(1) is one
        assert shop.load(1, more=2) is not one
        assert shop.load(2) is not one
    assert shop.runs == [1, 1, 2]
    with shop.guard.purpose(tm.RenewalGuidance):
        assert shop.load(1) is one
    assert shop.load.cache_info()[:2] == (2, 3)
    shop.load.cache_clear()
    with shop.guard.purpose(tm.RenewalGuidance):
        assert shop.load(1) is not one


def test_the_check_comes_before_the_answer() -> None:
    tape = Tape()
    shop = Shop(ledger=tape)
    with shop.guard.purpose(tm.RenewalGuidance):
        shop.load(1)
        shop.load(1)
    with pytest.raises(pg.PurposeMissing):
        shop.load(1)
    with shop.guard.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation):
        shop.load(1)
    assert shop.runs == [1]
    assert [count for *_, count in tape.uses] == [2]
    assert len(tape.denials) == 2


def test_channels_and_modes_are_kept_apart() -> None:
    shop = Shop()
    ways: list[dict[str, Any]] = [{}, {"channel": "email"}, {"channel": "phone"}, {"mode": "observe"}]
    for options in ways:
        for _ in range(2):
            with shop.guard.purpose(tm.EventInvitation, **options):
                shop.load(1)
    assert len(shop.runs) == 4


def test_what_was_withheld_says_for_which_activity() -> None:
    shop = Shop(withhold=True)
    for activity in ("one", "two"):
        with shop.guard.purpose(tm.RenewalGuidance, activity=activity):
            with pytest.raises(pg.PurposeViolation) as caught:
                shop.load(1).device  # noqa: B018
            assert caught.value.activity == activity


def test_the_least_recently_used_answer_goes_first() -> None:
    shop = Shop(maxsize=2)
    with shop.guard.purpose(tm.RenewalGuidance):
        for key in (1, 2, 1, 3, 1, 2):
            shop.load(key)
    assert shop.runs == [1, 2, 3, 2]


def test_answers_end_after_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    class Clocked(cachetools.TTLCache[Any, Any]):
        def __init__(self, maxsize: float, ttl: float) -> None:
            super().__init__(maxsize, ttl, timer=lambda: now[0])

    monkeypatch.setattr(cachetools, "TTLCache", Clocked)
    shop = Shop(ttl=10)
    with shop.guard.purpose(tm.RenewalGuidance):
        for at in (0, 9, 11, 12):
            now[0] = at
            shop.load(1)
    assert shop.runs == [1, 1]


def test_keys_may_be_told_apart_by_type() -> None:
    for typed, runs in ((False, 1), (True, 2)):
        shop = Shop(typed=typed)
        with shop.guard.purpose(tm.RenewalGuidance):
            shop.load(1)
            shop.load(1.0)
        assert len(shop.runs) == runs


def test_what_a_function_raises_is_not_kept() -> None:
    guard = pg.Guard(tm.NOTICE)
    runs: list[int] = []

    @guard.cached()
    @guard.access(tm.Registration)
    def load() -> str:
        runs.append(1)
        if len(runs) == 1:
            raise KeyError
        return "x"

    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(KeyError):
            load()
        assert load() == load() == "x"
    assert len(runs) == 2


@pytest.mark.parametrize("withhold", [False, True])
@in_a_loop
async def test_coroutine_functions_are_cached(withhold: bool) -> None:
    guard = pg.Guard(tm.NOTICE)
    runs: list[int] = []

    @guard.cached()
    @guard.access(withhold=True) if withhold else guard.access(tm.Registration)
    async def load(key: int) -> Customer:
        runs.append(key)
        await asyncio.sleep(0)
        return Customer(email=f"e{key}", device="d")

    any_load: Any = load
    assert inspect.iscoroutinefunction(load)
    async with guard.purpose(tm.RenewalGuidance):
        one = await load(1)
        assert await load(1) is one
        assert hasattr(type(one), "__purposeguard_withheld__") is withhold
        await load(2)
    assert runs == [1, 2]
    with pytest.raises(pg.PurposeMissing):
        await load(1)
    assert any_load.cache_info() == (1, 2, 128, 2)
    any_load.cache_clear()
    assert any_load.cache_info() == (0, 0, 128, 0)

    async def racing() -> Customer:
        async with guard.purpose(tm.RenewalGuidance, activity="racing"):
            return await load(3)

    first, second = await asyncio.gather(racing(), racing())
    assert first is second  # both ran, and the answer kept first is everybody's
    assert runs == [1, 2, 3, 3]


class Repository:
    guard = pg.Guard(tm.NOTICE)

    @guard.cached()
    @guard.access(tm.Registration)
    def method(self, key: int) -> object:
        return object()

    @classmethod
    @guard.cached()
    @guard.access(tm.Registration)
    def class_method(cls, key: int) -> object:
        return object()

    @guard.cached()
    @guard.access(tm.Registration)
    @staticmethod
    def static_method(key: int) -> object:
        return object()


def test_methods_are_cached_by_their_object() -> None:
    one, other = Repository(), Repository()
    with Repository.guard.purpose(tm.RenewalGuidance):
        assert one.method(1) is one.method(1)
        assert one.method(1) is not other.method(1)
        assert one.class_method(1) is Repository.class_method(1)
        assert one.static_method(1) is Repository.static_method(1)


def test_signatures_are_kept_and_arguments_must_be_hashable() -> None:
    shop = Shop()
    with shop.guard.purpose(tm.RenewalGuidance), pytest.raises(TypeError):
        shop.load([1])
    assert str(inspect.signature(shop.load)) == "(key: 'Any', *, more: 'int' = 0) -> 'Customer'"


def test_a_cache_goes_right_above_an_access_function_of_its_guard() -> None:
    guard, other = pg.Guard(tm.NOTICE), pg.Guard(tm.NOTICE)

    def load() -> str:
        return ""

    @guard.access(tm.Registration)
    def each() -> Iterator[str]:
        yield ""

    @guard.access(tm.Registration)
    async def aeach() -> Any:
        yield ""

    for wrong in (load, other.access(tm.Registration)(load), guard.purpose(tm.RenewalGuidance)(load), each, aeach, 5):
        with pytest.raises(TypeError, match=r"guard\.cached"):
            guard.cached()(wrong)  # type: ignore[type-var]
    inside = guard.purpose(tm.RenewalGuidance)(guard.access(tm.Registration)(load))
    with pytest.raises(TypeError, match="right above"):
        guard.cached()(inside)


@pytest.mark.parametrize("options", [{"maxsize": 0}, {"maxsize": -1}, {"ttl": 0}, {"ttl": -1}])
def test_a_cache_needs_room_and_time(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="room and time"):
        Shop(**options)


def test_a_cache_hands_keywords_on() -> None:
    guard = pg.Guard(tm.NOTICE)

    @guard.cached()
    @guard.access(tm.Registration)
    def read(key: int, *, suffix: str = "") -> str:
        return f"{key}{suffix}"

    @guard.cached()
    @guard.access(tm.Registration)
    async def read_async(key: int, *, suffix: str = "") -> str:
        return f"{key}{suffix}"

    async def main() -> list[str]:
        with guard.purpose(tm.RenewalGuidance):
            return [await read_async(1, suffix="x"), await read_async(1), read(1, suffix="x"), read(1)]

    assert asyncio.run(main()) == ["1x", "1", "1x", "1"]


def test_a_cache_that_shows_only_its_key_is_known_too() -> None:
    def read() -> Customer:
        raise NotImplementedError

    read.cache_key = str  # type: ignore[attr-defined]  # as cachetools marks what it wraps
    with pytest.raises(TypeError, match=r"is\s+behind\s+a\s+cache"):
        pg.Guard(tm.NOTICE).access(read)
