"""Sealed values: how they are made and joined, what works on the seal, and what is said where nothing does."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.bypass.seal_looking import leaks
from tests.unit.models import C, D, R, guard
from tests.unit.seals import SENTINEL, words


def sealed(value: Any = SENTINEL, *sources: Any) -> pg.Personal[Any, Any]:
    return pg.Personal(value, *(sources or (tm.Registration,)))


def opened(value: pg.Personal[Any, Any]) -> Any:
    with guard.purpose(tm.ProductProvision) as use:
        return use.open(value)


# ---- Made ---------------------------------------------------------------------------------------------------------


def test_a_value_is_sealed_under_its_sources() -> None:
    assert sealed().label is R
    assert sealed("x", tm.Registration, tm.Contract, tm.Registration).label is R | C
    assert sealed("x", R | C).label is R | C
    assert sealed("x", R, tm.Contract).label is R | C
    assert sealed("x", pg.NotPersonal, tm.Registration).label is R
    assert pg.Personal[str, tm.Registration]("x", tm.Registration).label is R


def test_without_sources_nothing_is_sealed() -> None:
    with pytest.raises(pg.UnlabelledData, match=r"`Personal\(value, Source\)`"):
        pg.Personal(SENTINEL)  # type: ignore[call-overload]  # an error for type checkers too
    with pytest.raises(TypeError):
        pg.Personal()  # type: ignore[call-overload]  # likewise


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ([tm.RenewalGuidance], "RenewalGuidance`: is a purpose, and a label is made of source classes"),
        ([pg.Source], "`purposeguard.notice.vocabulary.Source`: a label is made of source classes"),
        (["1.1(a)"], "`builtins.str`: a value is sealed under source classes, which `notice.source(id)` gives"),
        ([[tm.Registration]], "`builtins.list`: a value is sealed under several sources by naming each"),
        ([None], "`builtins.NoneType`: a value is sealed under source classes"),
        ([tm.Registration, SENTINEL], "`builtins.str`"),
        ([tm.Registration, tm.AnyFeedback], "UnionType`: a value is sealed under several sources by naming each"),
    ],
    ids=["purpose", "base", "id", "list", "none", "second", "family"],
)
def test_what_is_no_source_is_told_by_its_type(sources: list[Any], said: str) -> None:
    with pytest.raises(pg.UnknownSource) as refused:
        pg.Personal(SENTINEL, *sources)
    assert said in words(refused)


# ---- Joined -------------------------------------------------------------------------------------------------------


def test_what_is_derived_keeps_its_sources() -> None:
    one, other, third = sealed("a"), sealed("b", tm.Contract), sealed("c", tm.ProductData)
    assert one.map(str.upper).label is R
    assert one.zip(other).label is R | C
    assert one.zip(other, third, one).label is R | C | D
    assert pg.Personal.collect([one, one]).label is R
    assert pg.Personal.collect([one], tm.Contract, tm.ProductData).label is R | C | D
    assert pg.Personal.collect(iter([one, other])).label is R | C
    assert opened(one.zip(other, third)) == ("a", "b", "c")
    assert opened(pg.Personal.collect([one.map(str.upper), other])) == ("A", "b")


def test_nothing_is_collected_under_named_sources_alone() -> None:
    none: pg.Personal[Any, Any] = pg.Personal.collect([], tm.Registration)
    assert none.label is R
    assert opened(none) == ()
    assert pg.Personal.collect([], R | C).label is R | C  # type: ignore[call-overload]  # labels are for untyped code
    empty: list[Any] = [[], (), iter(()), {}]
    for nothing in empty:
        with pytest.raises(pg.UnlabelledData) as refused:
            pg.Personal.collect(nothing)
        assert words(refused) == (
            "nothing was collected, and no source named: `Personal.collect(values, Source)` names it"
        )


def test_only_what_is_sealed_is_joined() -> None:
    one: Any = sealed()
    several: list[Any] = [one, {"x"}]
    for join in (lambda: one.zip("x"), lambda: one.zip(one, 5), lambda: pg.Personal.collect(several)):
        with pytest.raises(TypeError, match=r"a combination takes sealed values, and was given a (str|int|set)"):
            join()
    with pytest.raises(TypeError, match="at least one other"):
        one.zip()
    five: Any = 5
    with pytest.raises(TypeError, match="not iterable"):
        pg.Personal.collect(five)
    with pytest.raises(pg.SealedValue, match="no container"):
        pg.Personal.collect(one)
    with pytest.raises(TypeError, match="`map` takes a function, not str"):
        one.map("upper")


# ---- Opened -------------------------------------------------------------------------------------------------------


def test_a_plain_value_is_opened_as_the_object_that_it_was() -> None:
    for value in (SENTINEL, [1], {"a": 1}, None, object(), float("nan"), lambda: 1, Exception("x"), sealed()):
        assert opened(sealed(value)) is value
    parts = [object(), object()]
    assert all(one is other for one, other in zip(opened(pg.Personal.collect(map(sealed, parts))), parts, strict=True))


def test_functions_wait_until_a_value_is_opened_and_run_anew_each_time() -> None:
    ran: list[Any] = []

    def copied(given: Any) -> Any:
        ran.append(given)
        return [*given]

    value = sealed([1]).map(copied)
    both = value.zip(value, value.map(len))
    assert ran == []
    first, second = opened(value), opened(value)
    assert first == second == [1]
    assert first is not second
    assert len(ran) == 2
    one, same, length = opened(both)  # once for all places that it goes into
    assert one is same
    assert length == 1
    assert len(ran) == 3


def test_a_function_runs_inside_the_purpose_that_opens() -> None:
    other = sealed("other", tm.Contract)
    value = sealed("one").map(lambda one: (one, guard.current.purpose, guard.current.open(other)))
    assert opened(value) == ("one", tm.ProductProvision, "other")


def test_a_long_chain_is_opened() -> None:
    value = sealed(0)
    for _ in range(20_000):
        value = value.map(lambda number: number + 1)
    assert opened(value) == 20_000
    nested = sealed(0)
    for _ in range(5_000):
        nested = nested.zip(nested.map(type))
    assert nested.label is R
    assert opened(nested.map(len)) == 2


def test_many_values_are_collected() -> None:
    one, other = sealed(1), sealed(2, tm.Contract).map(int)
    plain = pg.Personal.collect(one for _ in range(200_000))
    assert plain.label is R
    assert sum(opened(plain)) == 200_000
    mixed = pg.Personal.collect([*[one] * 20_000, *[other] * 20_000])
    assert mixed.label is R | C
    assert opened(mixed.map(sum)) == 60_000


def test_a_diamond_is_made_once_however_often_it_doubles() -> None:
    count = 0

    def told(value: Any) -> Any:
        nonlocal count
        count += 1
        return value

    value = sealed(1).map(told)
    for _ in range(60):  # 2 ** 60 paths lead to the first one
        value = value.zip(value).map(lambda pair: pair[0] + pair[1])
    assert opened(value) == 2**60
    assert count == 1


# ---- What fails in a function -------------------------------------------------------------------------------------


def named(value: str) -> int:
    return int(value)


class Parser:
    def __call__(self, value: str) -> int:
        return int(value)


LINE = named.__code__.co_firstlineno + 1
FAILING: list[tuple[Callable[[Any], Any], str]] = [
    (named, f"`named`, given to `map`, failed with ValueError in line {LINE} of {__name__}"),
    (lambda value: value.nothing, f"`<lambda>`, given to `map`, failed with AttributeError in line {LINE + 11} of"),
    (int, "`int`, given to `map`, failed with ValueError"),
    (Parser(), "a Parser, given to `map`, failed with ValueError in line"),
    (partial(named), "a partial, given to `map`, failed with ValueError in line"),
    (json.loads, "`loads`, given to `map`, failed with JSONDecodeError in line"),
    (lambda value: guard.allows(value, "1.2(1)①"), "failed with UnknownSource in line"),
]


@pytest.mark.parametrize(
    ("fn", "said"), FAILING, ids=["def", "lambda", "built-in", "object", "partial", "library", "own"]
)
def test_what_a_function_raises_is_told_without_the_value(fn: Callable[[Any], Any], said: str) -> None:
    value = sealed().map(str.upper).map(str.lower).zip(sealed()).map(lambda pair: pair[0]).map(fn)
    with pytest.raises(pg.SealedValue) as refused:
        opened(value)
    assert said in words(refused)
    assert words(refused).endswith("; what it said is not told, since it may show the value")
    assert leaks(refused.value, "purposeguard") == []
    assert refused.value.__cause__ is refused.value.__context__ is None
    with pytest.raises(pg.SealedValue):
        opened(value)  # it fails at each opening


def refuses_within(value: str) -> Any:
    try:
        return int(value)
    except ValueError as error:
        error.add_note(value)
        refusal = pg.PurposeMissing("there is none")
        refusal.add_note(value)
        raise refusal from error


def test_a_refusal_within_a_function_goes_through_alone() -> None:
    with pytest.raises(pg.PurposeMissing, match="there is none") as missing:
        opened(sealed().map(refuses_within))
    assert leaks(missing.value, "purposeguard") == []
    assert not hasattr(missing.value, "__notes__")
    with pytest.raises(pg.PurposeViolation) as violation:
        opened(sealed().map(lambda _: guard.current.open(sealed("x", tm.Cookie))))
    assert violation.value.decision.label is pg.Label(tm.Cookie)
    with pytest.raises(pg.SealedValue, match="no operand"):
        opened(sealed().map(lambda value: value + sealed()))


# ---- The seal itself ----------------------------------------------------------------------------------------------


def test_text_shows_the_seal() -> None:
    value: Any = sealed("x", tm.Registration, tm.Contract)
    shown_as = "<sealed 1.1(a), 1.1(c)>"
    assert repr(value) == str(value) == f"{value}" == f"{value!r}" == "%s" % value == format(value) == shown_as  # noqa: UP031  # as old code writes it
    for spec in (">10", "s", ".2f"):
        with pytest.raises(pg.SealedValue, match="takes no format specification: open it with") as caught:
            format(value, spec)
        assert f"`{spec}`" not in str(caught.value)


def test_seals_are_compared_by_identity_and_copied_as_themselves() -> None:
    value, same = sealed("x"), sealed("x")
    assert value == value  # noqa: PLR0124  # its own
    assert value != same
    assert len({value, same, value}) == 2
    assert copy.copy(value) is copy.deepcopy(value) is copy.deepcopy([value])[0] is value
    assert isinstance(value, pg.Personal)
    assert value.__class__ is pg.Personal
    assert not hasattr(value, "upper")
    assert getattr(value, "upper", None) is None
