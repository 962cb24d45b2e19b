"""An adapter whose library is not installed says which extra brings it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

WITHOUT = """
import importlib, json, sys

said = []
for adapter, library in json.loads(sys.argv[1]):
    for name in [name for name in sys.modules if name.startswith("purposeguard.adapters")]:
        del sys.modules[name]
    own = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == library}
    sys.modules[library] = None  # as if it were not installed
    try:
        importlib.import_module(f"purposeguard.adapters.{adapter}")
    except ModuleNotFoundError as error:
        said.append(f"{error.name} {error}")
    del sys.modules[library]
    sys.modules.update(own)
print(json.dumps(said))
"""

NEEDS = [
    ("arrow", "pyarrow"),
    ("dbt", "sqlglot"),
    ("duckdb", "duckdb"),
    ("duckdb", "pyarrow"),
    ("duckdb", "sqlglot"),
    ("frames", "narwhals"),
    ("spark", "pyspark"),
    ("spark", "sqlglot"),
    ("sql", "sqlglot"),
    ("sqlalchemy", "sqlalchemy"),
    ("sqlalchemy", "sqlglot"),
]


def test_the_extra_is_said() -> None:
    """In one process for all: each takes a second to start."""
    pairs = json.dumps([*NEEDS, ("sql", "cachetools")])
    run = subprocess.run([sys.executable, "-c", WITHOUT, pairs], cwd=ROOT, capture_output=True, text=True, check=True)
    *said, other = json.loads(run.stdout)
    assert said == [
        f"{library} purposeguard.adapters.{adapter} needs {library}, which is not installed: "
        f"pip install 'purposeguard[{adapter}]'"
        for adapter, library in NEEDS
    ]
    assert other.startswith("cachetools import of cachetools")  # no extra brings it
