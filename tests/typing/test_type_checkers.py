"""mypy and pyright, both strict, over the corpus: exactly the marked lines are errors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORPUS = ("legal.py", "illegal.py")


def marked(name: str) -> set[int]:
    """The lines of a corpus file that are to be errors."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# error")}


def run(*command: str, where: Path) -> str:
    """What a checker prints, asked in a folder of its own with a copy of the corpus in it."""
    for name in CORPUS:
        shutil.copy(HERE / name, where)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=where,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "MYPYPATH": str(ROOT), "PYTHONOPTIMIZE": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy(folder: Path) -> dict[str, dict[int, str]]:
    # A configuration of its own: users have none of the project's switches, and hear nothing of an installed library.
    config = folder / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\npython_version = 3.11\nfollow_imports = silent\n", encoding="utf-8")
    output = run(
        "mypy", "--config-file", str(config), "--cache-dir", str(folder / "cache"), "--output", "json",
        *CORPUS, where=folder,
    )  # fmt: skip
    found: dict[str, dict[int, str]] = {name: {} for name in CORPUS}
    for line in output.splitlines():
        if line.startswith("{"):
            report = json.loads(line)
            if report["severity"] == "error":
                found.setdefault(Path(report["file"]).name, {})[report["line"]] = report["message"]
    return found


def pyright(folder: Path) -> dict[str, dict[int, str]]:
    config = folder / "pyrightconfig.json"
    settings = {
        "include": list(CORPUS),
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "extraPaths": [str(ROOT)],
        "reportUnusedExpression": False,  # a corpus is full of expressions that nobody uses
        "reportUnusedCoroutine": False,
    }
    config.write_text(json.dumps(settings), encoding="utf-8")
    output = run("pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(config), where=folder)
    given = json.loads(output)
    assert given["summary"]["filesAnalyzed"] == len(CORPUS)
    found: dict[str, dict[int, str]] = {name: {} for name in CORPUS}
    for report in given["generalDiagnostics"]:
        if report["severity"] == "error":
            found.setdefault(Path(report["file"]).name, {})[report["range"]["start"]["line"] + 1] = report["message"]
    return found


CHECKERS: dict[str, Callable[[Path], dict[str, dict[int, str]]]] = {"mypy": mypy, "pyright": pyright}


@pytest.fixture(scope="module", params=list(CHECKERS))
def reports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, str]]:
    """What one checker says: file → line → message."""
    name: str = request.param
    return CHECKERS[name](tmp_path_factory.mktemp(name))


def test_nothing_legal_is_an_error(reports: dict[str, dict[int, str]]) -> None:
    assert reports["legal.py"] == {}


def test_exactly_the_marked_lines_are_errors(reports: dict[str, dict[int, str]]) -> None:
    found = reports["illegal.py"]
    wanted = marked("illegal.py")
    assert {line: message for line, message in found.items() if line not in wanted} == {}
    assert wanted - set(found) == set()


def test_the_corpus_marks_lines_in_one_file_only() -> None:
    assert len(marked("illegal.py")) > 50
    assert marked("legal.py") == set()


def test_what_is_legal_of_the_vocabulary_and_of_blocks_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Types that promise what fails when it runs would be of no use. (What follows needs a purpose to run.)"""
    head = (HERE / "legal.py").read_text(encoding="utf-8").partition("# Decorators keep signatures.")[0]
    module = types.ModuleType("legal_head")
    monkeypatch.setitem(sys.modules, "legal_head", module)
    exec(compile(head, "legal.py", "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    assert module.offering.purpose.name == "AnyProductGuidance"
