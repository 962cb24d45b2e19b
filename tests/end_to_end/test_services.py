"""The two services of the example, as `make demo-services` runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from examples.screen import COLUMNS, LANGUAGES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.processes
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_purpose_crosses_between_two_services(language):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.services.demo", "--lang", language],
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1", "HTTP_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.rpartition(" → ")[2] for line in done.stdout.splitlines() if "→" in line] == [
        *("name, renews", "last_scan, name, renews", "refused: not-permitted", "refused: missing", "refused: missing"),
        *("name, renews", "refused: replayed", "refused: forged"),
    ]
    assert max(map(cell_len, done.stdout.splitlines())) <= COLUMNS
    assert ("目的" in done.stdout) is (language == "ja")
