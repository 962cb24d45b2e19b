"""Five type checkers, each asked as its users ask it: the strictest settings it has, and the library installed.

None gets a path to the library or a plugin: each finds it, and its `py.typed`, through the environment's interpreter.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

PYTHON = "3.11"
"""The version that programs are checked for, whichever runs the tests: the oldest that the library supports."""

Report = dict[str, dict[int, str]]
"""What a checker finds: file (below its folder) → line → the first message."""

_Found = Iterator[tuple[str, int, str]]


def run(name: str, *arguments: str, where: Path) -> str:
    """What a checker prints."""
    done = subprocess.run(
        [str(Path(sysconfig.get_path("scripts")) / name), *arguments],
        cwd=where,
        env=_environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode not in (0, 1):
        raise AssertionError(f"{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _environment() -> dict[str, str]:
    """The environment, without what would show a checker the way, and with pyright content with its version."""
    ways = ("MYPYPATH", "PYTHONPATH", "PYTHONOPTIMIZE")
    return {
        **{name: value for name, value in os.environ.items() if name not in ways},
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
        "PYTHONUTF8": "1",
    }


_LINE = re.compile(r"(?P<file>[^:\n]+\.py):(?P<line>\d+)(?::\d+)?: error(?P<message>.*)")


def _lines(printed: str) -> _Found:
    for found in _LINE.finditer(printed):
        yield found["file"], int(found["line"]), found["message"].removeprefix(":").strip()


def mypy(folder: Path, files: list[str]) -> _Found:
    (folder / "mypy.ini").write_text(f"[mypy]\nstrict = True\npython_version = {PYTHON}\n", "utf-8")
    printed = run("mypy", "--config-file", "mypy.ini", "--output", "json", *files, where=folder)
    for line in printed.splitlines():
        if line.startswith("{"):
            report = json.loads(line)
            if report["severity"] == "error":
                yield report["file"], report["line"], report["message"]


def pyright(folder: Path, files: list[str]) -> _Found:
    settings = {
        "include": files,
        "typeCheckingMode": "strict",
        "pythonVersion": PYTHON,
        # A corpus is full of expressions that nobody uses; to report them would hide what is wrong with them.
        "reportUnusedExpression": False,
        "reportUnusedCoroutine": False,
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    given = json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable, "-p", ".", where=folder))
    if given["summary"]["filesAnalyzed"] != len(files):
        raise AssertionError(f"pyright was given {len(files)} files and says {given['summary']}")
    for report in given["generalDiagnostics"]:
        if report["severity"] == "error":
            yield report["file"], report["range"]["start"]["line"] + 1, report["message"]


def ty(folder: Path, files: list[str]) -> _Found:
    # All rules but two, which forbid what is `Any` inside: an id in place of a class gives `Use[Any]`.
    rules = ("--error", "all", "--ignore", "unsound-assignment", "--ignore", "unsound-return")
    environment = ("--python", sys.prefix, "--python-version", PYTHON)
    return _lines(run("ty", "check", "--output-format", "concise", *rules, *environment, *files, where=folder))


def pyrefly(folder: Path, files: list[str]) -> _Found:
    (folder / "pyrefly.toml").write_text(f'preset = "strict"\npython-version = "{PYTHON}"\n', "utf-8")
    environment = ("--python-interpreter-path", sys.executable)
    given = json.loads(run("pyrefly", "check", "--output-format", "json", *environment, *files, where=folder))
    for report in given["errors"]:
        if report["severity"] == "error":
            yield report["path"], report["line"], report["description"]


def zuban(folder: Path, files: list[str]) -> _Found:
    environment = ("--python-executable", sys.executable, "--python-version", PYTHON)
    return _lines(run("zuban", "check", "--strict", *environment, *files, where=folder))


CHECKERS: dict[str, Callable[[Path, list[str]], _Found]] = {
    "mypy": mypy,
    "pyright": pyright,
    "ty": ty,
    "pyrefly": pyrefly,
    "zuban": zuban,
}

VERSIONS = {name: version(name) for name in CHECKERS}


def report(name: str, folder: Path, files: list[str]) -> Report:
    """What one checker finds in these files of a folder."""
    found: Report = {}
    for file, line, message in CHECKERS[name](folder, files):
        path = Path(file)
        place = path.relative_to(folder) if path.is_absolute() else path
        found.setdefault(place.as_posix(), {}).setdefault(line, message)
    return found
