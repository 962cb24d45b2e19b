"""Each lock is complete, so that it is installed as it is and no resolver is asked on a fresh machine."""

from __future__ import annotations

import sys
from importlib.metadata import distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.locks import FOLDER, LOCKS, PYTHONS, lines, locked, metadata, unmet

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


def test_packages_require_what_is_noted() -> None:
    """Of those that are installed here: the environment may be that of another lock, or of a user."""
    differing: list[str] = []
    here = {canonicalize_name(one.name): one for one in distributions()}
    for name, version in locked(lines("dev"), f"{sys.version_info.major}.{sys.version_info.minor}").items():
        installed = here.get(canonicalize_name(name))
        if installed is not None and installed.version == version:
            required = {str(Requirement(text)) for text in installed.requires or ()}
            noted = {str(Requirement(text)) for text in NOTED[f"{name}=={version}"]}
            differing += [f"{name}: {text}" for text in noted - required]
    assert not differing


def test_no_lock_names_an_index() -> None:
    for path in FOLDER.iterdir():
        assert "://" not in path.read_text("utf-8"), path.name
