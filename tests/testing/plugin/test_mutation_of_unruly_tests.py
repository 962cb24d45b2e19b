"""`--purposeguard-mutate` over tests that remember, tell at once, or wear out: what it finds is true, and silent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testing.plugin.runs import Run, run, write

SERVICE = """
import functools
import logging

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)

def may(purpose, source="1.1a"):
    logging.getLogger("service").warning("asked for %s", purpose)
    return guard.allows(source, purpose)

@functools.lru_cache
def may_for_good(purpose):
    return may(purpose)
"""

TESTS = """
import contextlib
import unittest

import pytest

import service
from purposeguard.notices import trendmicro_jp as tm

runs = []
chances = []
kept = {}

def test_parts(subtests):
    with subtests.test("one"):
        assert service.may("1.2(1)①")

class TestOld(unittest.TestCase):
    def test_old_parts(self):
        for _ in range(2):
            with self.subTest():
                self.assertTrue(service.may("1.2(1)②"))

def test_remembered():
    assert service.may_for_good("1.2(1)③")

class TestFresh:
    def test_fresh(self):
        assert not hasattr(self, "seen")
        self.seen = service.may("1.2(1)④")
        assert self.seen

@pytest.fixture(scope="module")
def lazily():
    return service.may("1.2(1)⑤")

def test_asks(request):
    request.getfixturevalue("lazily")

def test_asks_and_looks(request):
    assert request.getfixturevalue("lazily")

@pytest.fixture(scope="module")
def strict():
    yield
    if not service.may("1.2(2)①"):
        pytest.fail("it fails where it is taken down")

def test_strict(strict):
    assert service.may("1.2(2)①")

def test_as_strict(strict):
    assert service.may("1.2(2)①")

def test_that_wears_out():
    runs.append(1)
    assert service.may("1.2(2)②")
    service.may("1.2(2)③")
    assert len(runs) < 4

def test_that_fails_by_chance():
    chances.append(1)
    service.may("1.2(2)⑤")
    assert len(chances) != 2

def test_use_that_is_kept():
    if not kept:
        stack = contextlib.ExitStack()
        kept["use"] = stack.enter_context(service.guard.purpose(tm.SecurityInformation))
        kept["stack"] = stack.pop_all()
    assert kept["use"].allows("1.1a")

def test_denied():
    assert not service.may("1.2(1)①", "1.1b")
"""


@pytest.fixture(scope="module")
def mutated(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("unruly")
    write(folder, service=SERVICE, test_service=TESTS)
    # With live logs, which what runs again keeps out of.
    return run(
        folder,
        *("--purposeguard-mutate", "--purposeguard-json=out.json", "--junitxml=junit.xml"),
        *("-o", "log_cli=true", "--maxfail=1"),
    )


@pytest.fixture(scope="module")
def pinned(mutated: Run) -> dict[tuple[str, str], str]:
    told: list[dict[str, Any]] = mutated.tables["mutation"]["pinned"]
    return {(one["source"], one["purpose"]): one["test"].partition("::")[2] for one in told}


def test_a_run_stays_as_green_as_it_was(mutated: Run) -> None:
    assert mutated.code == pytest.ExitCode.OK, mutated.out
    assert "SUBFAIL" not in mutated.out
    assert mutated.out.count("asked for 1.2(1)①") == 2
    assert 'failures="0"' in (mutated.folder / "junit.xml").read_text("utf-8")


@pytest.mark.parametrize(
    ("source", "purpose", "test"),
    [
        ("1.1(a)", "1.2(1)①", "test_parts"),
        ("1.1(a)", "1.2(1)②", "TestOld::test_old_parts"),
        ("1.1(a)", "1.2(1)④", "TestFresh::test_fresh"),
        ("1.1(a)", "1.2(1)⑤", "test_asks_and_looks"),
        ("1.1(a)", "1.2(2)①", "test_strict"),
        ("1.1(a)", "1.2(2)②", "test_that_wears_out"),
        ("1.1(a)", "1.2(2)④", "test_use_that_is_kept"),
        ("1.1(b)", "1.2(1)①", "test_denied"),
    ],
)
def test_a_test_that_notices_is_named(source: str, purpose: str, test: str, pinned: dict[tuple[str, str], str]) -> None:
    assert pinned.get((source, purpose)) == test


def test_a_test_that_wore_out_or_fails_by_chance_pins_nothing(mutated: Run) -> None:
    told = mutated.tables["mutation"]
    assert told["unsteady_tests"] == [
        "test_service.py::test_that_wears_out",
        "test_service.py::test_that_fails_by_chance",
    ]
    why = {one["purpose"]: one["why"] for one in told["not_tried"]}
    assert why["1.2(2)③"] == why["1.2(2)⑤"] == "since its tests cannot be run again"


def test_an_answer_that_somebody_keeps_is_no_survivor(mutated: Run) -> None:
    told = mutated.tables["mutation"]
    assert told["not_pinned"] == []
    assert {one["purpose"]: one["why"] for one in told["not_tried"]}["1.2(1)③"] == (
        "since no test asked again: something keeps the answer"
    )
