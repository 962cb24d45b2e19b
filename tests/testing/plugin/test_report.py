"""What `--purposeguard` prints, writes and asks for, in one process and in several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.testing.plugin.runs import ROOT, SERVICE, TESTS, Run, has_xdist, run, write

SECTION = """\
activities that ran and used nothing: they may read around the guard
  service.export (line 56) for 1.2(1)①: ran 2×
cells that the service can reach and no test exercises
  1.2(2)⑤ incident-guidance: 1.1(a) (granted) 1.1(b) (granted) 1.1(c) (granted) by service.warn
trendmicro-jp 2024-04-01
  service.careful for 1.2(1)①: used nothing; denied 1.1(b) 1×
  service.curious for 1.2(1)①: used nothing; denied 1.1(b) 1×
  service.remind for 1.2(1)①: used 1.1(a) 2×, 1.1(c) 2×
  service.survey for AnyFeedback: used 1.1(a) 1×, 1.1(c) 1×
  service.warn for 1.2(2)⑤: never ran
access functions never called
  service.last_device (line 26)
5 of 8 reachable cells exercised (62.5 %)
"""

EXPORT = """
@guard.purpose(tm.RenewalGuidance)
def export():
    return "aiko@example.com"
"""

TEST_EXPORT = """
def test_export():
    assert service.export() == service.export()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service")
    write(folder, service=SERVICE + EXPORT, test_service=TESTS + TEST_EXPORT)
    return folder


@pytest.fixture(scope="module")
def alone(folder: Path) -> Run:
    """In one process, with every output."""
    return run(folder, *("--purposeguard", "--purposeguard-json=out.json"), "--purposeguard-fail-under=63")


def test_what_was_exercised_is_printed(alone: Run) -> None:
    *section, last = alone.section()
    assert "\n".join(section) + "\n" == SECTION
    assert last == "FAIL: reachable cells exercised: 62.5 %, and at least 63 % were asked for"
    assert "7 passed" in alone.out


def test_a_run_that_exercises_too_little_fails(alone: Run) -> None:
    assert alone.code == pytest.ExitCode.TESTS_FAILED


def test_the_same_is_written_as_json(alone: Run) -> None:
    found = alone.tables
    assert (found["format"], found["percent"], found["cells_exercised"], found["cells_reachable"]) == (2, 62.5, 5, 8)
    notice = "trendmicro-jp 2024-04-01"
    cells = {(one["source"], one["purpose"]): one for one in found["cells"]}
    assert list(cells)[:3] == [("1.1(a)", "1.2(1)①"), ("1.1(b)", "1.2(1)①"), ("1.1(c)", "1.2(1)①")]
    assert cells["1.1(b)", "1.2(1)①"] == {
        "notice": notice,
        "source": "1.1(b)",
        "purpose": "1.2(1)①",
        "granted": False,
        "reached_by": ["service.careful", "service.curious", "service.export"],
        "allowed": 0,
        "denied": 3,
    }
    assert [one["activity"] for one in found["activities"] if one["used_nothing"]] == ["service.export"]
    assert found["activities"][3] == {
        "notice": notice,
        "activity": "service.remind",
        "purpose": "1.2(1)①",
        "channels": [None],
        "places": ["line 30"],
        "ran": 2,
        "used_nothing": False,
        "used": {"1.1(a)": 2, "1.1(c)": 2},
        "denied": {},
    }
    assert [(one["function"], one["called"]) for one in found["accesses"]] == [
        ("service.customer", 3),
        ("service.device", 3),
        ("service.last_device", 0),
    ]


@pytest.mark.skipif(not has_xdist(), reason="needs pytest-xdist")
def test_several_processes_say_the_same(folder: Path, alone: Run) -> None:
    expected = alone.tables
    shared = run(folder, "--purposeguard-json=out.json", "--purposeguard-fail-under=62", workers=2)
    assert shared.code == pytest.ExitCode.OK, shared.out
    assert "\n".join(shared.section()) + "\n" == SECTION
    assert shared.tables == expected


def test_without_the_option_nothing_is_watched(tmp_path: Path) -> None:
    checks = """
        import sys

        LOADED = {"purposeguard", "pydantic"} & set(sys.modules)

        import service
        from purposeguard.runtime.engine import Engine
        from purposeguard import PurposeViolation

        def test_nothing_is_loaded():
            assert not LOADED

        def test_nothing_is_watched():
            assert type(service.guard.engine) is Engine
            assert "__del__" not in vars(PurposeViolation)
    """
    write(tmp_path, service=SERVICE, test_checks=checks)
    plain = run(tmp_path)
    assert plain.code == pytest.ExitCode.OK, plain.out
    assert "purposeguard" not in plain.out


def test_nothing_that_is_declared_is_not_enough(tmp_path: Path) -> None:
    write(tmp_path, test_nothing="def test_nothing():\n    pass\n")
    found = run(tmp_path, "--purposeguard-fail-under=1")
    assert found.code == pytest.ExitCode.TESTS_FAILED
    assert found.section() == [
        "no cells: no activity reaches a source",
        "FAIL: reachable cells exercised: nothing is reached, and at least 1 % were asked for",
    ]


SHOP = "tests/end_to_end/test_shop_refusals.py"


@pytest.fixture(scope="module")
def of_shop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pytest.importorskip("fastapi")
    folder = tmp_path_factory.mktemp("shop")
    found = run(folder, f"--purposeguard-json={folder / 'out.json'}", SHOP, "-k", "403 or same_function", where=ROOT)
    assert found.code == pytest.ExitCode.OK, found.out
    return found.tables


def test_the_shop_is_seen_through_its_endpoints(of_shop: dict[str, Any]) -> None:
    activities = {one["activity"]: one for one in of_shop["activities"]}
    assert all(name.startswith("examples.shop.") for name in activities)
    assert any(one["used"] for one in activities.values())
    assert any(one["denied"] for one in activities.values())
    assert any(one["called"] for one in of_shop["accesses"])
    assert 0 < of_shop["cells_exercised"] < of_shop["cells_reachable"]


def test_tests_are_entry_points_without_their_parameters(folder: Path, tmp_path: Path) -> None:
    tests = """
import pytest

from purposeguard.runtime.entry_point import current_entry_point

@pytest.fixture
def seen():
    return current_entry_point()

def test_plain(seen):
    assert seen == current_entry_point() == "test test_names.py::test_plain"

@pytest.mark.parametrize("kind", ["a[b]"])
class TestClass:
    @pytest.mark.parametrize("address", ["aiko@example.jp"])
    def test_address(self, seen, address, kind):
        assert seen == current_entry_point() == "test test_names.py::TestClass::test_address"
"""
    write(tmp_path, test_names=tests)
    done = run(tmp_path, "--purposeguard")
    assert done.code == 0, done.out
