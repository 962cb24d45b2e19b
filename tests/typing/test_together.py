"""Two notices in one program: what type checkers accept runs, and what they refuse is refused when it runs."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import purposeguard as pg
from tests.typing.corpus import TOGETHER, Findings, laid_out_together, marked

TEXT = TOGETHER.read_text("utf-8")


def test_two_notices_in_one_program(findings: Findings) -> None:
    found = {file: set(lines) for file, lines in findings.found.items() if file.startswith("together/")}
    assert found == {"together/application.py": marked(TEXT)}


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "two_notices").mkdir()
    (tmp_path / "two_notices" / "__init__.py").touch()
    for file, text in laid_out_together():
        (tmp_path / "two_notices" / file).write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("two_notices.application")


def test_what_is_refused_by_type_checkers_is_refused_when_it_runs(application: ModuleType) -> None:
    functions: dict[str, Callable[[], None]] = {
        name: each for name, each in vars(application).items() if re.match("allowed_|refused_", name)
    }
    assert sum(name.startswith("refused_") for name in functions) == len(marked(TEXT)) > 0
    for name, run in functions.items():
        if name.startswith("allowed_"):
            run()
        else:
            with pytest.raises(pg.PurposeViolation):
                run()
