"""Functions given to `map`, to reclassifiers, to aggregates and to caches bring nothing out of a seal by themselves."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.errors import TooFewSubjects
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.json import encode_sealed
from tests.bypass.seal_looking import TEXT, guard, leaks, opened, seal

Personal: Any = pg.Personal


class Spy:
    """A function that keeps what it was given."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def __call__(self, value: Any) -> Any:
        self.heard.append(value)
        return value


def test_a_mapped_function_does_not_run_where_opening_is_refused() -> None:
    spy = Spy()
    one = seal().map(spy)
    with guard.purpose("2.3①") as use:
        for ask in (use.open, lambda value: use.open_all([value]), encode_sealed):
            with pytest.raises(pg.PurposeViolation):
                ask(one)
        assert use.try_open(one, None) is None
        with pytest.raises(pg.PurposeViolation):
            use.open_all([seal(0, tm.Cookie).map(spy), one])
    with pytest.raises(pg.PurposeMissing):
        use.open(one)
    assert spy.heard == []


def test_what_would_run_when_the_purpose_is_over_is_not_mapped() -> None:
    def generate(value: Any) -> Any:
        yield value

    async def wait(value: Any) -> Any:
        return value

    async def generate_later(value: Any) -> Any:
        yield value

    class Waiting:
        async def __call__(self, value: Any) -> Any:
            return value

        def generate(self, value: Any) -> Any:
            yield value

    own = Waiting()
    later: list[Any] = [generate, wait, generate_later, types.coroutine(generate), own, own.__call__, own.generate]
    for fn in [*later, *(functools.partial(one) for one in later)]:
        with pytest.raises(TypeError, match="would run later"):
            seal().map(fn)


def test_a_function_that_fails_is_not_an_oracle_of_its_errors_text() -> None:
    """The class of the error and the line are told, in a purpose that may know; never the message."""

    def look_up(value: Any) -> Any:
        return {}[value]

    texts = set()
    for secret in ("a", "b", TEXT):
        with pytest.raises(pg.SealedValue) as caught:
            opened(seal(secret).map(look_up))
        texts.add(str(caught.value))
    assert len(texts) == 1
    assert "KeyError" in texts.pop()


strict = pg.Guard(tm.NOTICE, strict=True)


@strict.transform
def shout(value: str) -> str:
    return value.upper()


class Liar:
    """Says that it is whatever it is compared with."""

    def __init__(self, other: object) -> None:
        self._hash = hash(other)

    def __call__(self, value: Any) -> Any:
        return value

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return self._hash


class Unhashable(Spy):
    __hash__ = None  # type: ignore[assignment]  # as a class with `__eq__` alone has it


class Shop:
    @strict.transform
    def registered(self, value: str) -> str:
        return value.lower()

    @strict.transform
    @staticmethod
    def static(value: str) -> str:
        return value.lower()

    def other(self, value: str) -> str:
        return value

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


shop = Shop()
strict.transform(shop.other)
UNREGISTERED: dict[str, Callable[[Any], Any]] = {
    "another function": lambda value: value,
    "one of the same code": types.FunctionType(shout.__code__, {}, "shout"),
    "a function that wraps it": functools.wraps(shout)(lambda value: value),
    "a partial of it": functools.partial(shout),
    "an object that says it is equal": Liar(shout),
    "a method of an object that says it is equal": types.MethodType(Liar(shout), shop),
    "an object without hash": Unhashable(),
    "the method of an equal object": Shop().other,
    "the plain function of a method": Shop.other.__get__(Shop()),
    "a builtin": print,
    "a class": str,
}


@pytest.mark.parametrize("name", list(UNREGISTERED))
def test_a_strict_guard_lets_no_other_function_see_the_value(name: str) -> None:
    fn = UNREGISTERED[name]
    anonymous = strict.reclassify(tm.Registration, to=pg.NotPersonal, why="to be got round")(identity)
    errors: list[pg.SealedValue] = []
    with strict.purpose(tm.RenewalGuidance) as use:
        for one in (seal().map(fn), seal().map(shout).map(fn), seal().map(fn).map(shout), seal().zip(seal().map(fn))):
            for ask in (
                use.open,
                lambda value: use.open_all([value]),
                lambda value: use.try_open(value, 1),
                encode_sealed,
                anonymous,
            ):
                with pytest.raises(pg.SealedValue, match="this guard is strict") as caught:
                    ask(one)
                errors.append(caught.value)
    assert leaks(errors, frames="purposeguard") == []


def identity(value: Any) -> Any:
    return value


@pytest.mark.parametrize("name", list(UNREGISTERED))
def test_a_strict_guard_lets_no_other_function_see_the_values_of_an_aggregate(name: str) -> None:
    fn = UNREGISTERED[name]
    totals = strict.reclassify(tm.Registration, to=pg.NotPersonal, why="to be got round", at_least=2)
    every = Personal.collect([seal(), seal("other")])
    for ask in (
        lambda: totals.count(every, subject=fn),
        lambda: totals.mean(every, of=fn, subject=shout),
        lambda: totals.mean(every, of=len, subject=fn),
    ):
        with pytest.raises(pg.SealedValue, match="this guard is strict"):
            ask()


functions = guard.reclassify(tm.Registration, to=pg.NotPersonal, why="to be got round")
totals = guard.reclassify(tm.Registration, to=pg.NotPersonal, why="to be got round", at_least=2)


def figures(*values: Any) -> Any:
    return Personal.collect([seal(value) for value in values], tm.Registration)


def test_nobody_who_asks_for_a_figure_says_of_how_many() -> None:
    spy = Spy()
    every = figures("a", "b").map(spy)
    for ask in (
        lambda: totals.count(every, subject=spy, at_least=1),  # type: ignore[call-arg]  # the attempt
        lambda: totals.mean(every, float, subject=spy, at_least=1),  # type: ignore[call-arg]  # likewise
        lambda: totals.mean(every, float, spy, 1),  # type: ignore[call-arg]  # likewise
        lambda: totals(spy)(every),
        lambda: functions.count(every, subject=spy),
        lambda: functions.mean(every, float, subject=spy),
    ):
        with pytest.raises(TypeError):
            ask()
    assert spy.heard == []


def test_how_many_too_few_are_is_not_told() -> None:
    of_four = guard.reclassify(tm.Registration, to=pg.NotPersonal, why="to be got round", at_least=4)
    texts = set()
    for values in ((), ("a",), ("a", "b"), ("a", "b", "c", "c")):
        with pytest.raises(TooFewSubjects) as caught:
            of_four.count(figures(*values), subject=identity)
        texts.add((str(caught.value), repr(caught.value), caught.value.args))
    assert len(texts) == 1


class Gathered:
    """What adds and divides like a number, and keeps all."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def __add__(self, other: Any) -> Gathered:
        return Gathered(*self.values, *getattr(other, "values", ()))

    __radd__ = __add__

    def __truediv__(self, other: Any) -> Any:
        return self.values


@pytest.mark.parametrize(
    "of",
    [Gathered, lambda value: [value], lambda value: value, lambda value: f"{value}", str.encode],
    ids=["gathered", "list", "value", "text", "bytes"],
)
def test_a_mean_is_a_number(of: Callable[[Any], Any]) -> None:
    with pytest.raises(pg.SealedValue) as caught:
        totals.mean(figures(TEXT, "other"), of=of, subject=identity)
    assert leaks(caught.value) == []
