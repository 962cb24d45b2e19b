"""The type checker, which reads a copy of the example and does not run it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from mypy import api

from tests.faults.corpus import ROOT
from tests.faults.sighting import Seen, Sighting

_ERROR = re.compile(r"^(?P<place>[^:]+:\d+)(?::\d+)?: error: (?P<says>.*?)(?:  \[(?P<code>[\w-]+)\])?$", re.MULTILINE)

SILENCING = re.compile(r"#\s*(type|pyright|mypy)\s*:|no_type_check")
"""What makes a type checker look away. The example is checked without a single one."""


def typed(copy: Path, folder: Path, cache: Path | None) -> Seen:
    """What mypy says, strict, as the project is checked; it goes on from a cache, and leaves it as it was."""
    own = folder / "mypy"
    if cache is not None:
        shutil.copytree(cache, own)
    os.chdir(copy)
    os.environ["MYPYPATH"] = str(ROOT)
    # Of the library itself others ask, with the versions of its dependencies that it is typed against.
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--follow-imports", "silent", "--cache-dir", str(own)]
    printed, wrong, code = api.run([*options, "--no-pretty", "--no-color-output", "examples"])
    found = [
        Sighting("types", one["code"] or "error", f"{one['place']}: {one['says']}") for one in _ERROR.finditer(printed)
    ]
    crashes = [f"mypy ends with {code}: {wrong or printed}"] if code not in (0, 1) or bool(code) != bool(found) else []
    texts = {path.relative_to(copy): path.read_text("utf-8") for path in sorted((copy / "examples").rglob("*.py"))}
    silenced = {path: one[0] for path, text in texts.items() if (one := SILENCING.search(text))}
    found += [Sighting("types", "silenced", f"{path}: {what}") for path, what in silenced.items()]
    return Seen(found, crashes)
