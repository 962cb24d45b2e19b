"""Runs that are laid out, chosen or asked for in other ways: the plugin counts the same, and stands in no way."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import pytest

import _purposeguard_pytest as options
from tests.testing.plugin.runs import SERVICE, TESTS, Run, run, write

LEFT_OUT = """
import service
from purposeguard.notices import trendmicro_jp as tm

@service.guard.purpose(tm.SecurityInformation)
def act():
    return service.customer(1)

def test_left_out():
    act()
"""

DOCTEST = '''

def shown() -> str:
    """
    >>> shown()
    'shown'
    """
    return "shown"
'''


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The tests and their settings stand beside the code; one of their modules is collected and left out."""
    folder = tmp_path_factory.mktemp("apart")
    for name in ("src", "tests"):
        (folder / name).mkdir()
    write(folder / "src", service=SERVICE + DOCTEST)
    (folder / "src" / "pytest.ini").unlink()
    write(folder / "tests", test_service=TESTS, test_left_out=LEFT_OUT)
    return run(
        folder / "tests",
        *("--purposeguard-json=out.json", "-k", "not left_out", "-o", "pythonpath=../src"),
        *("--doctest-modules", "--rootdir=.", ".", "../src"),
    )


def test_what_a_test_module_declares_is_left_out_also_where_none_of_its_tests_runs(apart: Run) -> None:
    assert apart.code == pytest.ExitCode.OK, apart.out
    assert "7 passed, 1 deselected" in apart.out
    assert {one["activity"].split(".")[0] for one in apart.tables["activities"]} == {"service"}


def test_code_with_doctests_is_no_test(apart: Run) -> None:
    assert (apart.tables["cells_exercised"], apart.tables["cells_reachable"]) == (5, 8)


def test_a_run_that_only_collects_says_and_asks_for_nothing(tmp_path: Path) -> None:
    write(tmp_path, service=SERVICE, test_service=TESTS)
    found = run(tmp_path, "--collect-only", "--purposeguard-fail-under=80", "--purposeguard-json=out.json")
    assert found.code == pytest.ExitCode.OK, found.out
    assert "exercised" not in found.out
    assert not (tmp_path / "out.json").exists()


def test_a_file_that_cannot_be_written_is_told_and_loses_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, service=SERVICE, test_service=TESTS)
    (tmp_path / "out.json").mkdir()
    found = run(tmp_path, "--purposeguard-json=out.json")
    assert found.code == pytest.ExitCode.USAGE_ERROR
    assert found.section()[-1].startswith("ERROR: the report is not written to out.json: ")
    assert any(line.startswith("5 of 8 reachable cells exercised") for line in found.section())


@pytest.mark.parametrize("text", ["0", "55.5", "100"])
def test_a_percentage_is_a_number_from_0_to_100(text: str) -> None:
    assert options.percent(text) == float(text)


@pytest.mark.parametrize("text", ["-1", "100.1", "nan", "inf", "-inf"])
def test_anything_else_would_never_fail_or_always(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no number from 0 to 100"):
        options.percent(text)


@pytest.mark.parametrize("text", ["-1", "nan"])
def test_a_time_that_is_never_up_is_refused(text: str) -> None:
    assert options.seconds("inf") == math.inf
    with pytest.raises(argparse.ArgumentTypeError, match="is no number of seconds"):
        options.seconds(text)
