"""`--purposeguard-mutate`: the cells that no test pins are named, and everything is as before."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

from _purposeguard_pytest import pytest_configure
from tests.testing.plugin.runs import MODELS, Run, run, write

SERVICE = f"""{MODELS}
@guard.cached()
@guard.access
def customer(key: int) -> Customer:
    return Customer(email="aiko@example.com", renews="2030-01-20")

@guard.access(withhold=True)
def account(key: int) -> Customer:
    return Customer(email="aiko@example.com", renews="2030-01-20")

@guard.access
def device(key: int) -> Device:
    return Device(serial="TM-99")

@guard.purpose(tm.RenewalGuidance)
def remind(key: int) -> str:
    return customer(key).email

@guard.purpose(tm.IncidentGuidance)
def warn(key: int) -> str:
    try:
        return device(key).serial
    except pg.PurposeViolation:
        return "TM-99"  # so that nobody notices

@guard.purpose(tm.WebProductGuidance, channel="email")
def advertise(key: int) -> list[str]:
    shown = account(key).model_dump()
    return sorted(shown)

def offer(key: int) -> str:
    return "both" if guard.allows({{"1.1a", "1.1b"}}, tm.RenewalGuidance) else "one"

def spread(key: int) -> bool:
    return guard.allows(tm.WebContact, tm.AnyProductGuidance)

AT_IMPORT = guard.allows(tm.Cookie, tm.TrafficAnalysis)
"""

TESTS = """
import unittest

import pytest
from hypothesis import given
from hypothesis import strategies as st

import purposeguard as pg
import service
from purposeguard.notices import trendmicro_jp as tm

@pytest.mark.parametrize("key", range(10))
def test_remind(key):
    assert service.remind(key) == "aiko@example.com"

def test_warn():
    assert service.warn(1) == "TM-99"

def test_advertise():
    assert service.advertise(1) == []

def test_offer():
    assert service.offer(1) == "one"

def test_spread():
    assert service.spread(1)

@given(key=st.integers(0, 5))
def test_drawn(key):
    assert service.remind(key)

@pytest.fixture(scope="module")
def serial():
    with service.guard.purpose(tm.ProductImprovement):
        return service.device(1).serial

def test_first(serial):
    assert serial

def test_second(serial):
    assert serial == "TM-99"

class TestOld(unittest.TestCase):
    def setUp(self):
        self.expected = "aiko@example.com"

    def test_old(self):
        self.assertEqual(service.remind(11), self.expected)

@pytest.mark.skip
def test_skipped():
    assert service.remind(1)

@pytest.mark.xfail(strict=True)
def test_xfailed():
    assert service.remind(1) == ""

def test_nothing():
    assert True
"""

NOTICE = "trendmicro-jp 2024-04-01"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service")
    write(folder, service=SERVICE, test_service=TESTS)
    return folder


@pytest.fixture(scope="module")
def mutated(folder: Path) -> Run:
    found = run(folder, "--purposeguard-mutate", "--purposeguard-json=out.json")
    assert found.code == pytest.ExitCode.OK, found.out
    return found


def test_cells_that_no_test_pins_are_named(mutated: Run) -> None:
    found = mutated.tables["mutation"]
    loose = [(one["source"], one["purpose"], one["granted"]) for one in found["not_pinned"]]
    assert loose == [("1.1(b)", "1.2(2)⑤", True)]
    pinned = {(one["source"], one["purpose"]): one["test"] for one in found["pinned"]}
    assert set(pinned) == {
        *(("1.1(a)", "1.2(1)①"), ("1.1(c)", "1.2(1)①"), ("1.1(b)", "1.2(1)①")),
        *(("1.1(a)", "2.2①"), ("1.1(c)", "2.2①")),
        ("2.1(a)", "2.2①"),
        ("1.1(b)", "1.2(2)②"),
    }
    assert pinned["1.1(b)", "1.2(1)①"] == "test_service.py::test_offer"
    assert pinned["1.1(b)", "1.2(2)②"] == "test_service.py::test_first"
    assert [(one["source"], one["purpose"], one["why"]) for one in found["not_tried"]] == [
        ("2.3", "2.3①", "since only modules consulted it while they were imported")
    ]
    assert found["unsteady_tests"] == []


def test_they_are_printed(mutated: Run) -> None:
    assert mutated.section("purposeguard: cells turned") == [
        f"  no test notices that 1.1(b) may serve 1.2(2)⑤ ({NOTICE})",
        "  not tried, since only modules consulted it while they were imported: (2.3, 2.3①)",
        "7 of 8 cells pinned: 1 can be turned, and no test notices",
    ]


def test_what_ran_again_is_counted_nowhere(mutated: Run) -> None:
    calls = {one["function"]: one["called"] for one in mutated.tables["accesses"]}
    assert calls == {"service.account": 1, "service.customer": 10 + 6 + 1 + 1, "service.device": 2}
    assert "19 passed, 1 skipped, 1 xfailed" in mutated.out


def test_the_same_is_found_again(folder: Path, mutated: Run) -> None:
    expected = mutated.tables["mutation"]
    again = run(folder, "--purposeguard-mutate", "--purposeguard-json=out.json")
    assert again.tables["mutation"] == expected


@pytest.mark.parametrize("how", ["purposeguard_mutate", "purposeguard_mutate_seconds"])
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"numprocesses": 2}, "runs tests again in this process"),
        ({"tx": ["popen"]}, "runs tests again in this process"),
        ({"usepdb": True}, "expects tests to fail"),
    ],
    ids=["numprocesses", "tx", "pdb"],
)
def test_what_tests_cannot_be_run_again_under_is_refused(how: str, given: dict[str, object], why: str) -> None:
    options = {"purposeguard_mutate": False, "purposeguard_mutate_seconds": None, how: 1.0, **given}
    config: Any = types.SimpleNamespace(getoption=lambda name, default=None: options.get(name, default))
    with pytest.raises(pytest.UsageError, match=why):
        pytest_configure(config)


UNRULY = """
import service

runs = []

def test_once():
    runs.append(1)
    assert service.remind(1)
    assert len(runs) == 1, "it does not run twice"

def test_warned(recwarn):
    assert service.warn(1)

def teardown_module(module):
    service.guard.allows("1.1a", "1.2(1)①")
"""


def test_tests_that_cannot_run_twice_pin_nothing(tmp_path: Path) -> None:
    write(tmp_path, service=SERVICE, test_unruly=UNRULY)
    found = run(tmp_path, "--purposeguard-mutate", "--purposeguard-json=out.json")
    told = found.tables["mutation"]
    assert told["unsteady_tests"] == ["test_unruly.py::test_once"]
    assert told["pinned"] == []
    assert ("1.1(b)", "1.2(2)⑤") in {(one["source"], one["purpose"]) for one in told["not_pinned"]}


def test_a_run_that_fails_is_not_mutated(tmp_path: Path) -> None:
    write(
        tmp_path,
        service=SERVICE,
        test_fails="import service\n\n\ndef test_fails():\n    assert not service.remind(1)\n",
    )
    found = run(tmp_path, "--purposeguard-mutate", "-p", "no:debugging")
    assert found.code == pytest.ExitCode.TESTS_FAILED
    assert "no cell was turned: not all tests passed" in found.out


def test_time_may_be_up(folder: Path) -> None:
    found = run(folder, "--purposeguard-mutate-seconds=0")
    assert found.code == pytest.ExitCode.OK
    assert "not tried, since the time was up: (1.1(a), 1.2(1)①)" in found.out
    assert "0 of 0 cells pinned" in found.out
