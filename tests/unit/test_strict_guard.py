"""A strict guard: the functions that `map` is given see plain values, so it knows each of them beforehand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.json import encode_sealed
from tests.support import RecordingObserver
from tests.unit.seals import DEVICE, NAME, Told, words


@pytest.fixture
def guard(tape: Told) -> pg.Guard:
    return pg.Guard(tm.NOTICE, ledger=tape, strict=True)


def shout(name: str) -> str:
    return name.upper()


def whisper(name: str) -> str:
    return name.lower()


class Unhashable:
    __hash__ = None  # type: ignore[assignment]  # as objects with an `__eq__` alone have it

    def __call__(self, name: str) -> str:
        return name.title()


def test_a_guard_says_whether_it_is_strict(guard: pg.Guard) -> None:
    assert guard.strict
    assert not pg.Guard(tm.NOTICE).strict


def test_values_that_nothing_was_applied_to_are_opened_as_ever(guard: pg.Guard) -> None:
    with guard.purpose(tm.ProductProvision) as use:
        assert use.open(NAME) == "name"
        assert use.open(NAME.zip(DEVICE)) == ("name", "device")
        assert use.open(pg.Personal.collect([NAME, DEVICE])) == ("name", "device")


def test_only_registered_functions_see_a_value(guard: pg.Guard, tape: Told) -> None:
    assert guard.transform(shout) is shout
    mapped = [
        pg.Personal.collect([NAME.map(shout), NAME.zip(DEVICE.map(whisper))]),
        guard.derive("link", pg.Personal("c", tm.Cookie).map(whisper), NAME),
        NAME.map(whisper),
    ]
    linking: list[Any] = [tm.ProductProvision, tm.UsageAnalysis, tm.ProductProvision]
    for value, purpose in zip(mapped, linking, strict=True):
        with guard.purpose(purpose) as use:
            acts: list[Callable[[Any], object]] = [
                use.open,
                encode_sealed,
                lambda value, use=use: use.try_open(value, None),  # type: ignore[misc]  # each its own
                lambda value, use=use: use.open_all([value]),  # type: ignore[misc]  # likewise
            ]
            for act in acts:
                with pytest.raises(pg.SealedValue, match="would see the plain value, and this guard is strict"):
                    act(value)
    assert tape.uses == []  # what was refused is not counted
    assert tape.denials == []
    with guard.purpose(tm.ProductProvision) as use:
        assert use.open(NAME.map(shout)) == "NAME"
        assert use.open_all([NAME.map(shout), NAME]) == ["NAME", "name"]
    assert [count for *_, count in tape.uses] == [3]


def test_a_purpose_that_may_not_use_a_value_is_told_so(guard: pg.Guard) -> None:
    guard.transform(shout)
    with guard.purpose(tm.RenewalGuidance) as use:
        with pytest.raises(pg.PurposeViolation):
            use.open(DEVICE.map(shout))
        assert use.try_open(DEVICE.map(whisper), None) is None  # no purpose, no question of the function
    with pytest.raises(pg.PurposeMissing):
        use.open(NAME.map(shout))


class Names:
    """Functions of every kind, registered as they are defined."""

    def __init__(self, guard: pg.Guard) -> None:
        class Inside:
            @guard.transform
            def method(self, name: str) -> str:
                return name[0]

            @staticmethod
            @guard.transform
            def below(name: str) -> str:
                return name[1]

            @guard.transform
            @staticmethod
            def above(name: str) -> str:
                return name[2]

            @classmethod
            @guard.transform
            def under(cls, name: str) -> str:
                return name[3]

            @guard.transform
            @classmethod
            def over(cls, name: str) -> str:
                return name[0] * 2

            def not_registered(self, name: str) -> str:
                return name

        self.cls: Any = Inside
        self.one: Any = Inside()


METHODS = {"method": "n", "below": "a", "above": "m", "under": "e", "over": "nn"}


@pytest.mark.parametrize(("name", "expected"), METHODS.items())
def test_methods_are_registered_where_they_are_defined(guard: pg.Guard, name: str, expected: str) -> None:
    names = Names(guard)
    with guard.purpose(tm.ProductProvision) as use:
        assert use.open(NAME.map(getattr(names.one, name))) == expected
        if name != "method":
            assert use.open(NAME.map(getattr(names.cls, name))) == expected
        with pytest.raises(pg.SealedValue, match="not_registered` would see"):
            use.open(NAME.map(names.one.not_registered))


@pytest.mark.parametrize(
    "fn",
    [
        str.upper, len, int, functools.partial(shout), Unhashable(), lambda name: name,
        Names(pg.Guard(tm.NOTICE)).one.method,
    ],
    ids=["method-descriptor", "built-in", "class", "partial", "object", "lambda", "bound"],
)  # fmt: skip
def test_what_can_be_called_can_be_registered(guard: pg.Guard, fn: Callable[[str], Any]) -> None:
    value: pg.Personal[str, Any] = pg.Personal("5", tm.Registration)
    with guard.purpose(tm.ProductProvision) as use:
        with pytest.raises(pg.SealedValue):
            use.open(value.map(fn))
        guard.transform(fn)
        assert use.open(value.map(fn)) in ("5", 5, 1)


def test_what_cannot_be_called_cannot_be_registered(guard: pg.Guard) -> None:
    for thing in ("shout", None, 5):
        with pytest.raises(TypeError, match=f"registers functions, not {type(thing).__name__}"):
            guard.transform(thing)  # type: ignore[type-var]  # untyped code may


def test_registered_functions_are_listed() -> None:
    guard = pg.Guard(tm.NOTICE)
    assert list(guard.transforms) == []
    for _ in range(2):
        guard.transform(shout)
    guard.transform(len)
    first, second = guard.transforms
    assert (first.name, first.module, first.qualname) == (f"{__name__}.shout", __name__, "shout")
    assert first.line == shout.__code__.co_firstlineno
    assert (second.name, second.line) == ("builtins.len", 0)
    names = Names(guard)
    assert [one.qualname.rpartition(".")[2] for one in guard.transforms[2:]] == list(METHODS)
    # A guard that is not strict applies any, registered or not.
    with guard.purpose(tm.ProductProvision) as use:
        assert use.open(NAME.map(whisper).map(names.one.not_registered)) == "name"


class Greeter:
    def __call__(self, name: str) -> str:
        return f"Dear {name}"


@pytest.mark.parametrize(
    "make",
    [lambda: "Dear {}".format, lambda: functools.partial("{} {}".format, "Dear"), Greeter],
    ids=["bound", "partial", "object"],
)
def test_what_is_made_anew_is_bound_once(guard: pg.Guard, make: Callable[[], Callable[[str], str]]) -> None:
    guard.transform(make())
    with guard.purpose(tm.RenewalGuidance) as use:
        with pytest.raises(pg.SealedValue) as refused:
            use.open(NAME.map(make()))
        assert words(refused).endswith(
            "would see the plain value, and this guard is strict: it may be another object each time that it is "
            "written, so bind it once, `fn = guard.transform(…)`, and use that"
        )
        assert "Dear" not in words(refused)  # what it is bound to might be a value
        dear = guard.transform(make())
        assert use.open(NAME.map(dear)) == "Dear name"


@pytest.mark.parametrize(
    ("fn", "how"),
    [
        (str.upper, "register it, `guard.transform(str.upper)`"),
        (len, "register it, `guard.transform(len)`"),
        (int, "register it, `guard.transform(int)`"),
        (Greeter().__call__, "register it with `@guard.transform`"),
        (shout, "register it with `@guard.transform`"),
    ],
    ids=["method", "built-in", "class", "bound", "function"],
)
def test_what_stays_the_same_is_registered_as_it_is(guard: pg.Guard, fn: Callable[[str], Any], how: str) -> None:
    with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(pg.SealedValue) as refused:
        use.open(NAME.map(fn))
    assert words(refused).endswith(f"this guard is strict: {how}")


def test_what_one_guard_knows_another_does_not(guard: pg.Guard) -> None:
    other = pg.Guard(tm.NOTICE, strict=True)
    other.transform(shout)
    with guard.purpose(tm.ProductProvision) as use, pytest.raises(pg.SealedValue):
        use.open(NAME.map(shout))


def test_observing_reports_an_unregistered_function() -> None:
    observer = RecordingObserver()
    guard = pg.Guard(tm.NOTICE, strict=True, mode="observe", observers=[observer])
    with guard.purpose(tm.RenewalGuidance) as use:
        assert use.open(DEVICE) == "device"
        assert use.open(DEVICE.map(shout)) == shout("device")
    use.open(NAME.map(shout))
    assert [type(error) for error in observer.errors] == [pg.SealedValue] * 2


def test_a_reclassifier_is_declared_and_what_else_sees_the_value_registered(guard: pg.Guard, tape: Told) -> None:
    length: Any = guard.reclassify(tm.Registration, to=pg.NotPersonal, why="as said")(len)
    assert length(NAME).label is pg.Label(pg.NotPersonal)
    with pytest.raises(pg.SealedValue, match="`whisper` would see"):
        length(NAME.map(whisper))
    several: pg.Personal[Any, Any] = pg.Personal(["a", "b"], tm.Registration)
    figures = guard.reclassify(tm.Registration, to=pg.NotPersonal, why="as said", at_least=2)
    with pytest.raises(pg.SealedValue, match="`shout` would see"):
        figures.count(several, subject=shout)
    guard.transform(shout)
    figures.count(several, subject=shout)
    with pytest.raises(pg.SealedValue, match="`len` would see"):
        figures.mean(several, len, subject=shout)
    guard.transform(len)
    figures.mean(several, len, subject=shout)
    assert len(tape.figures) == 3
