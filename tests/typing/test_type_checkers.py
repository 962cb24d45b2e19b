"""Five type checkers over legal and illegal programs: exactly the marked lines are errors."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.typing import summary
from tests.typing.checkers import CHECKERS, VERSIONS, run
from tests.typing.corpus import PROGRAMS, Findings, code, marked

LEGAL = [path for path in PROGRAMS if path.parent.name == "legal"]
ILLEGAL = [path for path in PROGRAMS if path.parent.name == "illegal"]


def test_exactly_the_marked_lines_are_errors(
    findings: Findings, record_property: Callable[[str, object], None]
) -> None:
    record_property(summary.NAME, findings.row())
    assert "\n".join(findings.differences()) == ""


@pytest.mark.parametrize("path", LEGAL, ids=lambda path: path.name)
def test_what_is_legal_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Types that promise what fails when it runs would be of no use."""
    spec = importlib.util.spec_from_file_location(f"legal_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    assert module.guard.notice.id == "trendmicro-jp"


@pytest.mark.parametrize("path", ILLEGAL, ids=lambda path: path.name)
def test_the_corpus_is_not_hollow(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(marked(text)) > 30
    assert marked(text) < code(text)


def test_only_illegal_programs_are_marked() -> None:
    assert [path.name for path in LEGAL if "# error" in path.read_text("utf-8")] == []


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_version_that_is_told_is_the_one_that_runs(checker: str, tmp_path: Path) -> None:
    assert VERSIONS[checker] in run(checker, "--version", where=tmp_path)
