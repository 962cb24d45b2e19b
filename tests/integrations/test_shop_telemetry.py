"""The example shop under load, with mistakes: none of what people gave is in what telemetry gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.processes
def test_nothing_personal_is_in_sentry_logs_and_traces(tmp_path: Path) -> None:
    # A process of its own: what is installed there holds for all of it.
    done = subprocess.run(
        [sys.executable, "-m", "tests.integrations.shop_under_load", str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=900,
    )
    assert (done.returncode, done.stdout) == (0, "none"), done.stderr[-5000:]
