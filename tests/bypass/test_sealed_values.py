"""A sealed value shows itself to nobody: one test for each way that a colleague in a hurry would try.

The ways are in `seal_ways.py` and `seal_uses.py`, by how they end. What a seal does not block is in `seal_limits.py`,
and on the page.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

import purposeguard as pg
from tests.bypass.seal_kinds import plain, seals
from tests.bypass.seal_limits_of_models import EVERY as LIMITS
from tests.bypass.seal_looking import NUMBER, TEXT, leaks, opened, tried
from tests.bypass.seal_oracles import ORACLES, Oracle
from tests.bypass.seal_uses import REFUSED, STRANGERS
from tests.bypass.seal_ways import SHOW

Way = Callable[[Any], Any]
WAYS: dict[str, Way] = {**SHOW, **REFUSED, **{name: ask for name, (_, ask) in STRANGERS.items()}}


def test_there_are_as_many_ways_as_was_promised() -> None:
    assert len(WAYS) == len(SHOW) + len(REFUSED) + len(STRANGERS)
    assert len(WAYS) + len(ORACLES) + len(LIMITS) > 250


@pytest.mark.parametrize("name", list(WAYS))
def test_a_way_shows_a_plain_value(name: str) -> None:
    """Else it would prove nothing that it does not show a sealed one."""
    assert any(leaks(tried(WAYS[name], one)[1]) for one in plain().values())


@pytest.mark.parametrize("name", list(WAYS))
def test_a_way_does_not_show_what_is_sealed(name: str) -> None:
    assert {kind: found for kind, one in seals().items() if (found := leaks(tried(WAYS[name], one)[1]))} == {}


@pytest.mark.parametrize("name", list(SHOW))
def test_a_way_that_works_works_on_the_seal(name: str) -> None:
    assert {tried(SHOW[name], one)[0] for one in seals().values()} == {None}


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_way_that_would_need_the_value_is_refused(name: str) -> None:
    for one in seals().values():
        error = tried(REFUSED[name], one)[1]
        assert isinstance(error, (pg.SealedValue, pg.PurposeMissing))
        assert "open" in str(error)  # says what to do


@pytest.mark.parametrize("name", list(STRANGERS))
def test_a_way_of_other_libraries_is_refused_by_them(name: str) -> None:
    kind, ask = STRANGERS[name]
    assert [error for one in seals().values() if not isinstance(error := tried(ask, one)[1], kind)] == []


def test_each_kind_is_there_to_be_found() -> None:
    """Opened in a purpose that may use it, each seal shows what was sealed."""
    for name, one in seals().items():
        purpose = "2.3③" if name == "linked" else "1.2(1)①"
        inside = opened(one, purpose)
        inside = opened(inside) if isinstance(inside, pg.Personal) else inside
        assert leaks(inside() if callable(inside) else inside), name


# --- oracles: questions whose answers would depend on the value


@pytest.mark.parametrize("name", list(ORACLES))
def test_an_oracle_tells_plain_values_apart(name: str) -> None:
    assert len(_answers(ORACLES[name], lambda value: value)) > 1


@pytest.mark.parametrize("name", list(ORACLES))
@pytest.mark.parametrize("kind", ["sealed", "mapped", "sealed twice"])
def test_an_oracle_tells_nothing_of_what_is_sealed(name: str, kind: str) -> None:
    sealing: dict[str, Way] = {
        "sealed": functools.partial(_sealed),
        "mapped": lambda value: _sealed(None).map(lambda _: value),
        "sealed twice": lambda value: _sealed(_sealed(value)),
    }
    assert len(_answers(ORACLES[name], sealing[kind])) == 1


def _sealed(value: Any) -> Any:
    return seals()["text"].map(str) if value is Ellipsis else pg.Personal(value, *seals()["text"].label)


def _answers(oracle: Oracle, make: Way) -> set[str]:
    """What it answers for several secrets, errors by their class and message."""
    answers = set()
    for secret in ("", TEXT, "zzz", 0, NUMBER, -1.5, None, ("x",)):
        error, answer = tried(lambda one: oracle(one, TEXT, NUMBER), make(secret))
        answers.add(f"{error and error.__name__}: {answer}")
    return answers
