"""The command: `python -m benchmarks.plugin [--pairs N] [--mutate] [TEST ...]`: what the pytest plugin costs.

The same tests run with `--purposeguard` and without, by turns, each time in a fresh process. Processor time is what
counts, that of the processes they start included; the ratio is made pair by pair.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.processes import ROOT
from benchmarks.table import amount, markdown, spread
from benchmarks.timing import Times, figure, ratio

SHOP = (
    "tests/end_to_end",
    # Most of what these do, others do: processes that they start, which nobody watches.
    *("--ignore=tests/end_to_end/test_demo.py", "--ignore=tests/end_to_end/test_shop_types.py"),
)
"""What is mutated: the tests of one service, the example."""

PART = ("tests/unit", "tests/bypass", *SHOP)
"""What is run: the tests that mostly decide something. The others mostly wait for type checkers, engines and Spark."""

LIMIT = 1.10
WITHOUT, WITH = "without", "with `--purposeguard`"
CLOCKS = ("processor time", "time by the clock")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that are skipped with the plugin, so that both runs have the same tests."""
    skipped: list[pytest.Item] = []
    remaining: list[pytest.Item] = []
    for item in items:
        (skipped if "remembers" in getattr(item, "fixturenames", ()) else remaining).append(item)
    config.hook.pytest_deselected(items=skipped)
    items[:] = remaining


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.plugin", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="how often the tests run with and without it")
    parser.add_argument("--mutate", action="store_true", help="also turn the cells of the example's tests, once")
    parser.add_argument("tests", nargs="*", default=PART, help="which tests; otherwise a fixed part of the suite")
    options = parser.parse_args(arguments)
    print(
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores; pytest {pytest.__version__}; {options.pairs} pairs, {format_tests(options.tests)}\n"
    )
    run(options.tests)  # compiles bytecode and warms the disk's cache
    runs = [pair(options.tests, forwards=number % 2 == 0) for number in range(options.pairs)]
    print(markdown(["what", WITHOUT, WITH, "ratio (quartiles)", "target", "met"], rows(runs)), flush=True)
    if options.mutate:
        print(f"\n{measure_mutations()}")
    return 0


def pair(tests: Sequence[str], *, forwards: bool) -> Times:
    """Time one run without the plugin and one with it. Every second pair runs them in reverse order."""
    found: Times = {}
    for which, given in ((WITHOUT, ()), (WITH, ("--purposeguard",)))[:: 1 if forwards else -1]:
        for clock, took in zip(CLOCKS, run(tests, *given), strict=True):
            found[f"{which}, {clock}"] = took
    return found


def format_tests(tests: Sequence[str]) -> str:
    return " ".join(argument for argument in tests if not argument.startswith("-"))


def run(tests: Sequence[str], *options: str) -> tuple[float, float]:
    """Return the nanoseconds that a run takes, of the processor and by the clock."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "benchmarks.plugin"]
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(  # noqa: S603  # our own tests
        [*command, *options, *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    took, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise SystemExit(f"the tests fail, so that nothing is compared:\n{done.stdout[-4000:]}{done.stderr[-1000:]}")
    print(f"{done.stdout.splitlines()[-1]} {' '.join(options)}", file=sys.stderr, flush=True)
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return cpu * 1e9, took * 1e9


def rows(runs: Sequence[Times]) -> Iterator[list[str]]:
    for clock in CLOCKS:
        without, watched = f"{WITHOUT}, {clock}", f"{WITH}, {clock}"
        found = ratio(runs, watched, without)
        target = [f"≤ {LIMIT:g} ×", "yes" if found.value <= LIMIT else "no"] if clock == CLOCKS[0] else ["", ""]
        times = [amount(figure(runs, one).value) for one in (without, watched)]
        yield [f"the plugin on the project's own tests, {clock}", *times, spread(found), *target]


def measure_mutations() -> str:
    """Return the table row of a run that turns cells."""
    plain, _ = run(SHOP)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        took, _ = run(SHOP, "--purposeguard-mutate", f"--purposeguard-json={file}")
        found = json.loads(file.read_text("utf-8"))["mutation"]
    turned = len(found["pinned"]) + len(found["not_pinned"])
    line = [f"`--purposeguard-mutate` on {format_tests(SHOP)}, processor time", amount(plain), amount(took)]
    cells = [str(turned), str(len(found["not_pinned"])), str(len(found["not_tried"]))]
    return markdown(["what", WITHOUT, "with it", "cells turned", "not pinned", "not tried"], [[*line, *cells]])


if __name__ == "__main__":
    sys.exit(main())
