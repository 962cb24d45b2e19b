"""Figures over many people: what a declared reclassifier counts and averages, and what it refuses to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.errors import TooFewSubjects
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import C
from tests.unit.seals import NAME, SENTINEL, Told, opened_anywhere, words

Bill = tuple[str, float]
BILLS: pg.Personal[Any, Any] = pg.Personal([("a", 1.0), ("b", 2.0), ("a", 6.0)], tm.Contract)


def whose(bill: Bill) -> str:
    return bill[0]


def amount(bill: Bill) -> float:
    return bill[1]


def test_figures_over_many_subjects(guard: pg.Guard, tape: Told) -> None:
    figures = guard.reclassify(tm.Contract, to=pg.NotPersonal, why="over many", approver="DPO", at_least=2)
    place = f"{__name__}.{test_figures_over_many_subjects.__qualname__}"
    names = [f"{place}: count over at least 2 subjects", f"{place}: mean over at least 2 subjects"]
    declared = guard.reclassifications
    assert [one.name for one in declared] == names  # before there is any figure
    count = figures.count(BILLS, subject=whose)
    mean = figures.mean(BILLS, amount, subject=whose)
    assert opened_anywhere(guard, count.zip(mean)) == (3, 3.0)
    parts: pg.Personal[Any, Any] = pg.Personal.collect(
        [pg.Personal(("a", 1), tm.Contract), pg.Personal(("b", 2), tm.Contract).map(tuple)]
    )
    assert opened_anywhere(guard, figures.mean(parts, of=amount, subject=whose)) == 1.5
    assert guard.reclassifications == declared  # and none is listed by being made
    assert {(one.why, one.approver, one.sources) for one in guard.reclassifications} == {("over many", "DPO", C)}
    assert [(one.name, label) for one, label, _ in tape.figures] == [(name, C) for name in (*names, names[1])]


def test_figures_over_few_subjects_are_refused(guard: pg.Guard, tape: Told) -> None:
    nobody: pg.Personal[Any, Any] = pg.Personal.collect([], tm.Contract)
    for values, least in [(BILLS, 3), (nobody, 2), (BILLS.map(lambda bills: bills[:1]), 2)]:
        figures = guard.reclassify(tm.Contract, to=pg.NotPersonal, why="over many", at_least=least, name="figures")
        for figure in (figures.count, partial(figures.mean, of=amount)):
            with pytest.raises(TooFewSubjects) as refused:
                figure(values, subject=whose)
            assert isinstance(refused.value, pg.SealedValue)
            assert f"fewer than {least} subjects" in words(refused)
            assert refused.value.__context__ is None
    # The ledger was told of each, since the functions given have seen the values.
    asked = [f"figures: {name} over at least {least} subjects" for least in (3, 2, 2) for name in ("count", "mean")]
    assert [one.name for one, *_ in tape.figures] == asked


def test_how_many_there_must_be_is_stated_where_it_is_declared(guard: pg.Guard, tape: Told) -> None:
    odd: list[Any] = [1, 0, -5, True, 2.5, float("nan"), float("inf"), "2"]
    for least in odd:
        with pytest.raises(ValueError, match="at_least is a whole number, 2 or more"):
            guard.reclassify(tm.Contract, to=pg.NotPersonal, why="over many", at_least=least)
    assert guard.reclassifications == ()
    figures = guard.reclassify(tm.Contract, to=pg.NotPersonal, why="over many", name="figures")
    asks: dict[str, Callable[[], object]] = {
        "count": lambda: figures.count(BILLS, subject=whose),
        "mean": lambda: figures.mean(BILLS, amount, subject=whose),
    }
    for name, ask in asks.items():
        with pytest.raises(TypeError) as refused:
            ask()
        assert words(refused) == (
            f"figures gives no {name}, since it does not say over how many subjects: state `at_least=` where it is "
            "reclassified"
        )
    assert tape.figures == []


def test_a_least_number_of_subjects_holds_for_no_function(guard: pg.Guard) -> None:
    figures = guard.reclassify(tm.Contract, to=pg.NotPersonal, why="over many", at_least=2, name="figures")
    declared = guard.reclassifications
    for fn in (len, staticmethod(len)):
        decorate: Any = figures
        with pytest.raises(TypeError, match="figures is declared for figures over at least 2 subjects, and nothing"):
            decorate(fn)
    assert guard.reclassifications == declared


def test_what_fails_in_a_figure_is_told_without_the_values(guard: pg.Guard) -> None:
    figures = guard.reclassify(tm.Contract, to=pg.NotPersonal, why="over many", at_least=2)
    names: pg.Personal[Any, Any] = pg.Personal([SENTINEL, "b"], tm.Contract)
    numbers: pg.Personal[Any, Any] = names.map(len)
    listed: Any = lambda name: [name]  # noqa: E731  # of no subject: a list has no hash
    acts: list[Callable[[], object]] = [
        lambda: figures.mean(names, float, subject=str),
        lambda: figures.mean(names, lambda name: name, subject=str),
        lambda: figures.count(names, subject=int),
        lambda: figures.count(names, subject=listed),
        lambda: figures.count(numbers, subject=str),
    ]
    for act in acts:
        with pytest.raises(pg.SealedValue) as refused:
            act()
        assert "over at least 2 subjects failed with" in words(refused)
        assert SENTINEL not in words(refused)
        assert refused.value.__context__ is None
    with pytest.raises(pg.SealedValue, match=r"1\.1\(a\) as well"):
        figures.count(names.zip(NAME), subject=str)
    plain: Any = [1, 2]
    with pytest.raises(TypeError, match=r"takes sealed values"):
        figures.count(plain, subject=int)


def test_a_mean_is_a_plain_number(guard: pg.Guard) -> None:
    class Smuggler(float):
        """A number that brings the values out by what it makes of them."""

        def __add__(self, other: object) -> Any:
            return [self, other]

        __radd__ = __add__

    figures = guard.reclassify(tm.Contract, to=pg.NotPersonal, why="over many", at_least=2)
    mean = opened_anywhere(guard, figures.mean(BILLS, lambda bill: Smuggler(bill[1]), subject=whose))
    assert type(mean) is float
    assert mean == 3.0
