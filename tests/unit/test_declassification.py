"""Reclassification: declared ways out of a label, what they take and give, and what is said and told of them."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.declarations import Reclassification
from purposeguard.runtime.declassification import Reclassifier
from tests.unit.models import C, R
from tests.unit.samples import revised
from tests.unit.seals import NAME, SENTINEL, Told, opened_anywhere, words

N = pg.Label(pg.NotPersonal)


def length(value: str, times: int = 1) -> int:
    return len(value) * times


def declassify(guard: pg.Guard, function: Any, *sources: Any, **said: Any) -> Any:
    """Declare a function as a way out of registration data, or of other sources."""
    reclassify: Any = guard.reclassify
    return reclassify(*(sources or (tm.Registration,)), **{"to": pg.NotPersonal, "why": "as said"} | said)(function)


def test_a_declared_function_takes_a_value_out_of_its_label(guard: pg.Guard, tape: Told) -> None:
    @guard.reclassify(tm.Registration, tm.Contract, to=pg.NotPersonal, why="lengths tell of nobody", approver="DPO")
    def length(value: str, times: int = 1, *, plus: int = 0) -> int:
        """How long it is."""
        return len(value) * times + plus

    short = length(NAME)
    assert short.label is N
    assert opened_anywhere(guard, short) == 4
    assert opened_anywhere(guard, length(NAME.map(str.strip), 2, plus=1)) == 9
    assert opened_anywhere(guard, length(NAME.zip(pg.Personal("b", tm.Contract)).map("".join))) == 5
    assert opened_anywhere(guard, length(pg.Personal("free", pg.NotPersonal))) == 4
    declared = declared_of(guard)
    assert tape.figures == [(declared, label, None) for label in (R, R, R | C, N)]
    assert length.__name__ == "length"
    assert length.__doc__ == "How long it is."
    assert list(inspect.signature(length).parameters) == ["value", "times", "plus"]


def declared_of(guard: pg.Guard) -> Reclassification:
    (declared,) = guard.reclassifications
    return declared


def test_it_stands_in_the_inventory(guard: pg.Guard) -> None:
    assert guard.reclassifications == ()

    @guard.reclassify("1.1(a)", C, to=tm.Cookie, why="the reason", approver="the approver")
    def narrower(value: str) -> str:
        return value

    declared = declared_of(guard)
    assert declared.name == f"{__name__}.{test_it_stands_in_the_inventory.__qualname__}.<locals>.narrower"
    assert (declared.sources, declared.to) == (R | C, pg.Label(tm.Cookie))
    assert (declared.why, declared.approver) == ("the reason", "the approver")
    assert declared.module == __name__
    assert declared.qualname == narrower.__qualname__
    assert declared.line == inspect.unwrap(narrower).__code__.co_firstlineno
    assert narrower(NAME).label is pg.Label(tm.Cookie)


def test_the_result_keeps_the_tags_in_it(guard: pg.Guard) -> None:
    class Device(BaseModel):
        device: Annotated[str, tm.ProductData]

    about = declassify(guard, lambda value: Device(device=value), to=tm.Contract)
    assert about(NAME).label is C | pg.Label(tm.ProductData)


def test_what_derives_from_other_sources_too_is_not_reclassified(guard: pg.Guard, tape: Told) -> None:
    narrow = declassify(guard, length, tm.Registration, tm.WebContact)
    mixed: pg.Personal[Any, Any] = NAME.zip(pg.Personal("c", tm.Cookie), pg.Personal("d", tm.ProductData))
    with pytest.raises(pg.SealedValue) as refused:
        narrow(mixed)
    assert words(refused).endswith(
        "length reclassifies 1.1(a), 2.1(a), and this value derives from 1.1(b), 2.3 as well"
    )
    parent: pg.Personal[str, Any] = pg.Personal("c", tm.Customer)
    with pytest.raises(pg.SealedValue, match=r"1\.1 as well"):
        narrow(parent)  # which stands for any of its items
    foreign: pg.Personal[str, Any] = pg.Personal("x", pg.Notice.parse(tm.NOTICE.dump()).source("1.1a"))
    with pytest.raises(pg.UnknownSource):
        narrow(foreign)
    assert tape.figures == []


def test_a_parent_stands_for_its_items(guard: pg.Guard) -> None:
    wide = declassify(guard, length, tm.Customer)
    for source in (tm.Customer, tm.Registration, tm.ProductData, tm.Contract):
        assert opened_anywhere(guard, wide(pg.Personal("abc", source))) == 3
    with pytest.raises(pg.SealedValue):
        wide(pg.Personal("abc", tm.Website))


def test_after_a_revision_the_declared_classes_stay_valid(guard: pg.Guard) -> None:
    wide = declassify(guard, length, tm.Customer, to=tm.Cookie)
    later = revised(tm.NOTICE, lambda made: made["grant"].reverse())
    guard.replace(later)
    for source in (tm.Registration, later.source("1.1a")):
        with guard.purpose(later.purpose("2.3①")) as use:
            value: pg.Personal[str, Any] = pg.Personal("abc", source)
            assert use.open(wide(value)) == 3


def test_only_sealed_values_are_taken(guard: pg.Guard) -> None:
    taking = declassify(guard, length)
    for plain in ("name", 5.0, 5):
        with pytest.raises(TypeError, match=rf"length takes sealed values, and was given a {type(plain).__name__}"):
            taking(plain)
    with pytest.raises(TypeError):
        taking()


def test_the_sealed_value_is_given_by_position(guard: pg.Guard, tape: Told) -> None:
    by_name = declassify(guard, length)
    for given in ({"value": NAME}, {"value": NAME, "times": 2}, {}):
        with pytest.raises(TypeError) as refused:
            by_name(**given)
        assert words(refused).endswith("length takes a sealed value as its first argument, by position, not by name")
    assert tape.figures == []
    assert opened_anywhere(guard, by_name(NAME, times=2)) == 8


def test_static_methods_reclassify(guard: pg.Guard) -> None:
    out: Any = guard.reclassify(tm.Registration, to=pg.NotPersonal, why="as said")

    class Figures:
        @out
        @staticmethod
        def above(value: str) -> int:
            return len(value)

        @staticmethod
        @out
        def below(value: str) -> int:
            return len(value)

    for figures in (Figures, Figures()):
        assert opened_anywhere(guard, figures.above(NAME)) == opened_anywhere(guard, figures.below(NAME)) == 4
    assert {one.qualname.rpartition(".")[2] for one in guard.reclassifications} == {"above", "below"}


def test_methods_do_not_reclassify(guard: pg.Guard) -> None:
    """Their first argument is the object or the class, not the value."""

    def method(self: Any, value: str) -> int:
        return len(value)

    def method_of_class(cls: Any, value: str) -> int:
        return len(value)

    def of_another_name(kind: Any, value: str) -> int:
        return len(value)

    @functools.wraps(method)
    def wrapped(*args: Any) -> int:
        return method(*args)

    out: Any = guard.reclassify(tm.Registration, to=pg.NotPersonal, why="as said")
    for fn, name in (
        (method, "method"), (method_of_class, "method_of_class"), (classmethod(method_of_class), "method_of_class"),
        (classmethod(of_another_name), "of_another_name"), (wrapped, "method"),
    ):  # fmt: skip
        with pytest.raises(TypeError) as refused:
            out(fn)
        assert words(refused).endswith(
            f"{name} is a method, whose first argument is another: decorate a function or a staticmethod that takes "
            "the value first"
        )
    assert [one.name for one in guard.reclassifications] == [f"{__name__}.test_methods_do_not_reclassify"]


def test_a_method_of_an_object_and_one_of_a_built_in_class_reclassify(guard: pg.Guard) -> None:
    class Lengths:
        times = 2

        def of(self, value: str) -> int:
            return len(value) * self.times

    assert opened_anywhere(guard, declassify(guard, Lengths().of)(NAME)) == 8
    assert opened_anywhere(guard, declassify(guard, str.upper)(NAME)) == "NAME"


def fails(value: str) -> str:
    return value * (1 // 0)


async def coroutine(value: str) -> str:
    return value


def generator(value: str) -> Iterator[str]:
    yield value


async def async_generator(value: str) -> Any:
    yield value


LATER = "cannot reclassify: it does not run within its call; await first"


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        pytest.param(coroutine, LATER, id="coroutine"),
        pytest.param(generator, LATER, id="generator"),
        pytest.param(async_generator, LATER, id="async-generator"),
        pytest.param(functools.partial(coroutine), LATER, id="partial"),
        pytest.param(int, "decorates functions and methods, not a class", id="class"),
        pytest.param("length", "decorates functions and methods, not `str`", id="text"),
        pytest.param(None, "decorates functions and methods, not `NoneType`", id="none"),
    ],
)
def test_only_functions_that_run_within_their_call_reclassify(thing: Any, said: str, guard: pg.Guard) -> None:
    with pytest.raises(TypeError, match=said):
        declassify(guard, thing)


def test_what_a_function_raises_is_told_without_the_value(guard: pg.Guard, tape: Told) -> None:
    @guard.reclassify(tm.Registration, to=pg.NotPersonal, why="as said")
    def number(value: str) -> int:
        return int(value)

    @guard.reclassify(tm.Registration, to=pg.NotPersonal, why="as said")
    def refuses(value: str) -> int:
        try:
            return int(value)
        except ValueError:
            guard.current.open(NAME)  # outside any purpose
            return 0

    secret: pg.Personal[Any, Any] = pg.Personal(SENTINEL, tm.Registration)
    cases: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: number(secret), pg.SealedValue, "number failed with ValueError in line"),
        (
            lambda: number(secret.map(len).map(str).map(fails)),
            pg.SealedValue,
            "`fails`, given to `map`, failed with ZeroDivisionError",
        ),
        (lambda: refuses(secret), pg.PurposeMissing, "outside any purpose"),
    ]
    for act, kind, said in cases:
        with pytest.raises(kind) as refused:
            act()
        assert said in words(refused)
        whole = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
        assert SENTINEL not in "".join(whole.format()).lower()
    # Each has seen the value, so the ledger was told of each.
    assert [one.qualname.rpartition(".")[2] for one, *_ in tape.figures] == ["number", "number", "refuses"]


def test_a_declaration_says_why_and_who(guard: pg.Guard) -> None:
    declare: Any = guard.reclassify
    odd: list[dict[str, Any]] = [
        *({"why": why} for why in ("", " \n", None, 5, b"why")),
        *({"why": "why", "approver": approver} for approver in ("", "  ", 5)),
        *({"why": "why", "name": name} for name in ("", "\t", 5)),
    ]
    for said in odd:
        with pytest.raises(ValueError, match="says why it is one, and who approved it") as refused:
            declare(tm.Registration, to=pg.NotPersonal, **said)
        assert words(refused).endswith("`why`, `approver` and `name` are texts, and not blank")
    with pytest.raises(pg.UnlabelledData):
        declare(to=pg.NotPersonal, why="why")
    wrong: list[tuple[Any, Any]] = [
        ("9", pg.NotPersonal), ([tm.Registration], pg.NotPersonal), (tm.RenewalGuidance, pg.NotPersonal),
        (tm.Registration, tm.RenewalGuidance), (tm.Registration, None),
    ]  # fmt: skip
    for source, to in wrong:
        with pytest.raises(pg.UnknownSource):
            declare(source, to=to, why="why")
    assert guard.reclassifications == ()


def test_what_is_recorded_is_recorded_before_the_value_is_seen() -> None:
    happened: list[str] = []

    class Writing(Told):
        def reclassified(self, *_: Any) -> None:
            happened.append("told")

    guard = pg.Guard(tm.NOTICE, ledger=Writing())

    @guard.reclassify(tm.Registration, to=pg.NotPersonal, why="as said")
    def length(value: str) -> int:
        happened.append("length")
        return len(value)

    def shorter(value: str) -> str:
        happened.append("map")
        return value[1:]

    length(NAME.map(shorter))
    assert happened == ["told", "map", "length"]


def test_what_cannot_be_recorded_does_not_happen() -> None:
    seen: list[object] = []

    def see(value: Any) -> Any:
        seen.append(value)
        return value

    class Broken(Told):
        def reclassified(self, *_: Any) -> None:
            raise OSError("full")

    guard = pg.Guard(tm.NOTICE, ledger=Broken())

    @guard.reclassify(tm.Registration, to=pg.NotPersonal, why="as said")
    def length(value: str) -> int:
        seen.append(value)
        return len(value)

    figures = guard.reclassify(tm.Registration, to=pg.NotPersonal, why="as said", at_least=2)
    several: pg.Personal[Any, Any] = pg.Personal(["a", "b"], tm.Registration)
    for act in (lambda: length(NAME.map(see)), lambda: figures.count(several, subject=see)):
        with pytest.raises(OSError, match="full"):
            act()
    assert seen == []


def test_the_activity_under_way_is_told(guard: pg.Guard, tape: Told) -> None:
    counting = declassify(guard, length)
    counting(NAME)  # which needs no purpose
    with guard.purpose(tm.TrafficAnalysis, activity="figures") as use:
        counting(NAME)
    counting(NAME)
    assert not use.active
    assert [activity for *_, activity in tape.figures] == [None, "figures", None]
    assert tape.denials == []


def test_each_declaration_is_listed_once(guard: pg.Guard) -> None:
    def declare(at_least: int | None = None) -> Reclassifier[Any, Any]:
        return guard.reclassify(tm.Registration, to=pg.NotPersonal, why="as said", at_least=at_least)

    for _ in range(3):
        declare()(len)
        declare(2).count(pg.Personal([1, 2], tm.Registration), subject=int)
    place = f"{__name__}.{declare.__qualname__}"
    assert [one.name for one in guard.reclassifications] == [
        "builtins.len",
        f"{place}: count over at least 2 subjects",
        f"{place}: mean over at least 2 subjects",
    ]


def test_different_declarations_from_one_place_are_all_listed(guard: pg.Guard) -> None:
    def declare(source: Any = tm.Registration, **said: Any) -> Any:
        def length(value: str) -> int:
            return len(value)

        reclassify: Any = guard.reclassify
        out = reclassify(source, **({"to": pg.NotPersonal, "why": "as said"} | said))
        return out if "at_least" in said else out(length)

    different: list[dict[str, Any]] = [
        {}, {"source": tm.Contract}, {"to": tm.Cookie}, {"why": "as is said elsewhere"}, {"approver": "DPO"},
        {"name": "length"}, {"at_least": 2}, {"at_least": 3},
    ]  # fmt: skip
    for said in different * 2:
        declare(**said)
    listed = guard.reclassifications
    assert len(listed) == len(set(listed)) == 6 + 2 * 2
    assert {one.sources for one in listed} == {R, C}
    assert {one.to for one in listed} == {N, pg.Label(tm.Cookie)}
    assert {one.why for one in listed} == {"as said", "as is said elsewhere"}
    assert {one.approver for one in listed} == {None, "DPO"}


def test_a_declaration_may_have_a_name_of_its_own(guard: pg.Guard, tape: Told) -> None:
    named = declassify(guard, length, name="the length of a name")
    guard.reclassify(tm.Registration, to=pg.NotPersonal, why="as said", name="figures", at_least=2)
    assert [one.name for one in guard.reclassifications] == [
        "the length of a name",
        "figures: count over at least 2 subjects",
        "figures: mean over at least 2 subjects",
    ]
    assert guard.reclassifications[0].qualname == length.__qualname__
    named(NAME)
    assert [one.name for one, *_ in tape.figures] == ["the length of a name"]
    with pytest.raises(pg.SealedValue, match="the length of a name reclassifies"):
        named(pg.Personal("c", tm.Contract))
