"""Copies of the example, as it is or with a fault in it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.faults.corpus import ROOT, Fault


def copied(fault: Fault | None, folder: Path) -> Path:
    """A folder to put first on `sys.path`, with `examples` in it; `fault` is None for the example as it is."""
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in {} if fault is None else fault.changed().items():
        (folder / file).write_text(text, encoding="utf-8")
    return folder
