"""An adapter whose library is not installed says which extra brings it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WITHOUT = """
import importlib
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[2]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
try:
    importlib.import_module(f"purposeguard.adapters.{sys.argv[1]}")
except ModuleNotFoundError as error:
    print(error.name, error)
"""

NEEDS = [
    ("arrow", "pyarrow"),
    ("duckdb", "duckdb"),
    ("duckdb", "pyarrow"),
    ("duckdb", "sqlglot"),
    ("frames", "narwhals"),
    ("spark", "pyspark"),
    ("sql", "sqlglot"),
    ("sqlalchemy", "sqlalchemy"),
    ("sqlalchemy", "sqlglot"),
]


def without(adapter: str, library: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT, adapter, library], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return run.stdout


@pytest.mark.parametrize(("adapter", "library"), NEEDS)
def test_the_extra_is_said(adapter: str, library: str) -> None:
    assert without(adapter, library) == (
        f"{library} purposeguard.adapters.{adapter} needs {library}, which is not installed: "
        f"pip install 'purposeguard[{adapter}]'\n"
    )


def test_of_what_no_extra_brings_none_is_said() -> None:
    assert without("sql", "pydantic") == "pydantic No module named 'pydantic'\n"
