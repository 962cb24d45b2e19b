"""What is out of reach is so, and is on the page; what is on the page is out of reach."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.bypass.seal_limits import (
    ELSEWHERE,
    Shown,
    its_number_given_again,
    one_that_sees_no_block,
    what_decides_replaced,
)
from tests.bypass.seal_limits_of_models import EVERY as LIMITS
from tests.bypass.seal_looking import leaks

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "limits.md").read_text("utf-8")
HEADS = re.compile(r"^- \*\*(.+?)[.,]?\*\*", re.MULTILINE)


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_lists_these_limits_and_no_others() -> None:
    assert HEADS.findall(section("Sealed values")) == list(LIMITS)


def test_limits_of_purposes_in_general_are_in_other_sections() -> None:
    rest = PAGE.replace(section("Sealed values"), "")
    assert [name for name in ELSEWHERE if name not in HEADS.findall(rest)] == []


def test_no_limit_stands_without_its_reason() -> None:
    """Each head is followed by what it means and why, in a sentence of its own."""
    for text in re.split(r"^- ", section("Sealed values"), flags=re.MULTILINE)[1:]:
        assert len(text.split()) > 12


def named(limits: dict[str, list[Shown]]) -> list[object]:
    return [pytest.param(one, id=one.__name__) for shown in limits.values() for one in shown]


@pytest.mark.parametrize("shown", named(LIMITS))
def test_a_limit_of_the_page_is_one(shown: Shown, request: pytest.FixtureRequest) -> None:
    """Where this fails the way is closed: take it off the page, and put it among the ways that are blocked."""
    if shown is what_decides_replaced:
        request.getfixturevalue("remembers")  # a guard that is watched asks something else than what is replaced
    if shown in (its_number_given_again, one_that_sees_no_block):
        monkeypatch = request.getfixturevalue("monkeypatch")
        for module in ("greenlet", "gevent"):  # where greenlets are in use, these ways are closed
            monkeypatch.delitem(sys.modules, module, raising=False)
    assert leaks(shown())


@pytest.mark.parametrize("shown", named({name: [one] for name, one in ELSEWHERE.items()}))
def test_a_limit_of_purposes_is_one_of_sealed_values_too(shown: Shown) -> None:
    assert leaks(shown())
