"""Tests run for the purposes that `purposes.toml` states for them, with and without an option of the plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testing.plugin.runs import has_xdist, run, write

PURPOSES = """\
["test **"]
purpose = "1.2(2)①"

["test test_shop.py::test_observed"]
purpose = "1.2(2)①"
mode = "observe"
"""

SHOP = """
from typing import Annotated

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE, purposes="purposes.toml")

class Customer(BaseModel):
    name: Annotated[str, tm.Registration]

class Visit(BaseModel):
    page: Annotated[str, tm.Cookie]

@guard.access
def list_customers() -> list[Customer]:
    return [Customer(name="Aiko")]

@guard.access
def list_visits() -> list[Visit]:
    return [Visit(page="/renew")]
"""

TESTS = """
import asyncio
import unittest

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.entry_point import current_entry_point
from shop import guard, list_customers, list_visits

@pytest.fixture
def customers():
    yield list_customers()
    assert list_customers()

def test_plain(customers):
    assert customers == list_customers()
    with pytest.raises(pg.PurposeViolation):
        list_visits()

def test_observed():
    assert list_visits()

@pytest.mark.parametrize("name", ["aiko@example.com"])
def test_parameters(name, customers):
    activity = guard.use(tm.ProductProvision).activity
    assert activity.name == current_entry_point() == "test test_shop.py::test_parameters"

def test_innermost_purpose():
    with guard.purpose(tm.TrafficAnalysis):
        assert list_visits()
    assert list_customers()

@guard.purpose(tm.ProductProvision)
def test_same_purpose():
    assert list_customers()

class TestUnittest(unittest.TestCase):
    def setUp(self):
        assert list_customers()

    def tearDown(self):
        assert list_customers()

    def test_rows(self):
        with self.subTest():
            assert list_customers()

class TestUnittestAsync(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        assert list_customers()

    async def test_rows(self):
        assert list_customers()

@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"

@pytest.fixture(scope="module")
async def shared_loop():
    yield list_customers()

@pytest.mark.anyio
async def test_first(shared_loop):
    assert list_customers()
    assert current_entry_point() == "test test_shop.py::test_first"

@pytest.mark.anyio
async def test_second(shared_loop):
    assert list_customers()
    assert current_entry_point() == "test test_shop.py::test_second"

async def read_customers():
    return list_customers()

def test_loop_of_its_own():
    assert asyncio.run(read_customers())
"""

FACTORY = """
import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.entry_point import current_entry_point

@pytest.fixture
def app():
    guard = pg.Guard(tm.NOTICE, purposes="purposes.toml")
    yield guard.access(tm.Registration)(lambda: "Aiko")
    assert current_entry_point() == "test test_factory.py::test_app"

@pytest.fixture
def name(app):
    return app()

def test_app(app, name):
    assert app() == name == "Aiko"
"""

CONFLICT = """
from purposeguard.notices import trendmicro_jp as tm
from shop import guard, list_customers

@guard.purpose(tm.RenewalGuidance)
def test_renewal():
    list_customers()

def test_next():
    list_customers()
"""

UNSTATED = """
import pytest

import purposeguard as pg
from purposeguard.runtime.entry_point import current_entry_point
from shop import list_customers

def test_unstated():
    assert current_entry_point() is None
    with pytest.raises(pg.PurposeMissing):
        list_customers()
"""


AGAIN = """
import pytest

from shop import list_customers

@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"

@pytest.fixture(scope="module")
async def shared_loop():
    yield

@pytest.mark.anyio
@pytest.mark.parametrize("run", range(3))
async def test_rows(shared_loop, run):
    assert list_customers()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "purposes.toml").write_text(PURPOSES, "utf-8")
    write(tmp_path, shop=SHOP)
    return tmp_path


@pytest.mark.parametrize("options", [(), ("--purposeguard",)], ids=["plain", "watched"])
def test_tests_of_every_kind_run_for_their_purposes(folder: Path, options: tuple[str, ...]) -> None:
    write(folder, test_shop=TESTS)
    done = run(folder, "-p", "anyio", *options)
    assert done.code == pytest.ExitCode.OK, done.out
    assert "10 passed" in done.out


@pytest.mark.skipif(not has_xdist(), reason="needs pytest-xdist")
def test_workers_enter_them_too(folder: Path) -> None:
    write(folder, test_shop=TESTS)
    done = run(folder, "-p", "anyio", workers=2)
    assert done.code == pytest.ExitCode.OK, done.out


def test_a_guard_that_a_fixture_creates_counts_from_then_on(folder: Path) -> None:
    write(folder, test_factory=FACTORY)
    done = run(folder)
    assert done.code == pytest.ExitCode.OK, done.out


def test_a_test_whose_code_states_another_purpose_fails(folder: Path) -> None:
    write(folder, test_conflict=CONFLICT)
    done = run(folder)
    assert done.code == pytest.ExitCode.TESTS_FAILED
    assert "1 passed, 1 error" in done.out
    assert (
        "ValueError: purposes.toml:1: `test **` states product-provision (1.2(2)①), in mode enforce for "
        "test test_conflict.py::test_renewal, and the code states renewal-guidance (1.2(1)①), in mode enforce: "
        "leave one of them" in done.out
    )


def test_a_test_without_a_purpose_is_an_entry_point_only_when_it_is_watched(folder: Path) -> None:
    (folder / "purposes.toml").write_text('["GET /renewals"]\npurpose = "1.2(1)①"\n', "utf-8")
    write(folder, test_unstated=UNSTATED)
    done = run(folder)
    assert done.code == pytest.ExitCode.OK, done.out
    assert "1 failed" in run(folder, "--purposeguard").out


def test_what_runs_again_for_a_mutation_has_its_purpose(folder: Path) -> None:
    write(folder, test_rows=AGAIN)
    done = run(folder, "-p", "anyio", "--purposeguard-mutate")
    assert done.section("purposeguard: cells turned") == ["1 of 1 cells pinned"], done.out
