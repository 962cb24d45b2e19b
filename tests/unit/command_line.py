"""The command line, run in this process or in one of its own, and small notices to run it on."""

import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from purposeguard.cli.commands import app
from purposeguard.notices import trendmicro_jp as tm

ROOT = Path(__file__).resolve().parents[2]
RULES = Path(tm.__file__).parent

TINY = """\
format = 1
id = "tiny"
revision = 2025-01-01
controller = { en = "Tiny", ja = "小社" }
title = { en = "Notice | of tiny", ja = "通知" }

[[source]]
id = "1"
class = "Given"
title = { en = "What was given", ja = "提供情報" }

[[grant]]
clause = "2"
sources = ["1"]
title = { en = "Uses", ja = "利用" }

[[grant.purpose]]
id = "2①"
class = "Answering"
title = { en = "Answering | replying", ja = "回答" }

[[grant.purpose]]
id = "2②"
class = "Mailing"
title = { en = "Mailing", ja = "送付" }
"""
OVERLAY = """\
[[overlay]]
id = "scanner-names"
class = "ScannerNames"
title = { en = "Device names", ja = "端末名" }
source = "1"
product = "Scanner"
item = "names"
serves = ["2①"]
"""


def run(*arguments, columns=80, **env):
    # Typer and rich read these when they print; what the tests are started with must not matter.
    clean = dict.fromkeys(
        ("FORCE_COLOR", "NO_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TERM", "PURPOSEGUARD_LANGUAGE"), None
    )
    variables = {**clean, "COLUMNS": str(columns), **env}
    return CliRunner().invoke(app, [str(one) for one in arguments], env=variables, prog_name="purposeguard")


def process(*arguments, code=None, env=None, cwd=ROOT, **options):
    """The command line in a process of its own."""
    start = ["-c", code] if code else ["-m", "purposeguard.cli"]
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
        "COLUMNS": "80",
        "NO_COLOR": "1",
        **(env or {}),
    }
    return subprocess.run(
        [sys.executable, *start, *arguments],
        capture_output=True,
        encoding="utf-8",
        cwd=cwd,
        env=variables,
        check=False,
        **options,
    )
