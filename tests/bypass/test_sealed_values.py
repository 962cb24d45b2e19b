"""A sealed value shows itself to nobody: one test for each way that a colleague in a hurry would try.

The ways are in `seal_ways.py` and `seal_uses.py`, by how they end. What a seal does not block is in `seal_limits.py`,
and on the page.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

import purposeguard as pg
from tests.bypass.render import WAYS as WAYS_OF_RECORDS
from tests.bypass.render import shown
from tests.bypass.seal_kinds import HOLDERS, plain, seals
from tests.bypass.seal_limits_of_models import EVERY as LIMITS
from tests.bypass.seal_looking import MARKS, NUMBER, TEXT, leaks, opened, tried
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


LISTED = {"referents"}
"""Ways that docs/explanation/limits.md lists: the garbage collector finds everything."""

SEALED = ["model", "frozen model", "personal model", "root model", "outer model", "pydantic dataclass"]
"""Holders whose fields say that they are sealed, under sources that are left open."""


@pytest.mark.parametrize("name", [name for name in HOLDERS if name not in SEALED])
def test_a_holder_shows_a_plain_value(name: str) -> None:
    """What holds nothing that could be seen would prove nothing."""
    assert leaks(HOLDERS[name](TEXT))


@pytest.mark.parametrize("name", SEALED)
def test_a_holder_of_sealed_fields_takes_no_plain_value(name: str) -> None:
    with pytest.raises(ValidationError, match="is not sealed") as caught:
        HOLDERS[name](TEXT)
    assert leaks(caught.value, frames="purposeguard") == []


@pytest.mark.parametrize("name", list(HOLDERS))
def test_no_way_shows_what_is_sealed_in_a_holder(name: str) -> None:
    found: dict[str, Any] = {}
    for kind in ("text", "mapped", "dict", "model"):
        for way, ask in WAYS_OF_RECORDS.items():
            text = shown(ask, HOLDERS[name](seals()[kind])).lower()
            if way not in LISTED and any(mark in text for mark in MARKS):
                found[f"{way} of {kind}"] = text
    assert found == {}


@pytest.mark.parametrize("name", list(HOLDERS))
def test_a_reporter_that_walks_attributes_slots_and_items_finds_seals_only(name: str) -> None:
    for kind, one in seals().items():
        assert leaks(HOLDERS[name](one)) == [], kind
