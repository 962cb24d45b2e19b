"""Runs pytest with the plugin over a small service, in a process of its own."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]

MODELS = """
from typing import Annotated

from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE)

class Customer(BaseModel):
    email: Annotated[str, tm.Registration]
    renews: Annotated[str, tm.Contract]

class Device(BaseModel):
    serial: Annotated[str, tm.ProductData]
"""
SERVICE = f"""{MODELS}
@guard.access
def customer(key: int) -> Customer:
    return Customer(email="aiko@example.com", renews="2030-01-20")

@guard.access
def device(key: int) -> Device:
    return Device(serial="TM-99")

@guard.access
def last_device() -> Device:
    return device(1)

@guard.purpose(tm.RenewalGuidance)
def remind(key: int) -> str:
    return customer(key).email

@guard.purpose(tm.AnyFeedback)
def survey(key: int) -> str:
    return customer(key).email

@guard.purpose(tm.IncidentGuidance)
def warn(key: int) -> str:
    return device(key).serial

@guard.purpose(tm.RenewalGuidance)
def curious(key: int) -> str:
    try:
        return device(key).serial
    except Exception:
        return "none"

@guard.purpose(tm.RenewalGuidance)
def careful(key: int) -> str:
    try:
        return device(key).serial
    except pg.PurposeViolation:
        return "none"
"""

TESTS = """
import pytest

import purposeguard as pg
import service
from purposeguard.notices import trendmicro_jp as tm

def test_remind():
    assert service.remind(1) == "aiko@example.com"

def test_remind_again():
    service.remind(2)

def test_survey():
    assert service.survey(1) == "aiko@example.com"

def test_curious():
    service.curious(1)

def test_careful():
    assert service.careful(1) == "none"

def test_denied():
    with service.guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation):
        service.device(1)
"""


SETTINGS = """
[pytest]
filterwarnings =
    error
    ignore:assertions not in test modules or plugins will be ignored:pytest.PytestConfigWarning
"""


@dataclasses.dataclass
class Run:
    """What came of a run."""

    code: int
    out: str
    folder: Path

    @property
    def tables(self) -> dict[str, Any]:
        """What was written as JSON."""
        found: dict[str, Any] = json.loads((self.folder / "out.json").read_text("utf-8"))
        return found

    def section(self, title: str = "purposeguard") -> list[str]:
        """The lines of a section of what was printed."""
        lines = self.out.splitlines()
        start = next(number for number, line in enumerate(lines) if line.strip("= ") == title)
        found: list[str] = []
        for line in lines[start + 1 :]:
            if line.startswith("=") or " passed" in line:
                break
            found.append(line)
        return found


def write(folder: Path, **files: str) -> None:
    """Puts modules into a folder."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text), "utf-8")
    (folder / "pytest.ini").write_text(SETTINGS, "utf-8")


def run(folder: Path, *options: str, workers: int = 0, where: Path | None = None) -> Run:
    """Runs the tests there."""
    plugins = ["-p", "_purposeguard_pytest", "-p", "no:cacheprovider"]
    if workers:
        plugins += ["-p", "xdist.plugin", f"-n{workers}"]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    # What else is installed stays out: the same is loaded everywhere.
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path, "COLUMNS": "100"}
    env.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *options],
        cwd=where or folder,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return Run(done.returncode, done.stdout + done.stderr, folder)


def has_xdist() -> bool:
    return importlib.util.find_spec("xdist") is not None
