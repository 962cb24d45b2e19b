"""The Django shop on a real server: each of 200 concurrent requests has its own purpose."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.processes

ASKED = {
    "/crashes": 200,
    "/letters": 200,
    "/mistakes/averages": 403,
    "/renewals": 200,
    "/mistakes/read_without_purpose": 500,
}


def test_requests_at_a_time_on_uvicorn(sqlite_template: dict[str, Any], tmp_path: Path) -> None:
    shutil.copy(sqlite_template["NAME"], tmp_path / "shop.db")
    command = [sys.executable, "-m", "uvicorn", "examples.django_shop.asgi:application", "--port", "0"]
    environment = {**os.environ, "SHOP_FOLDER": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stderr is not None
            port = next(found[1] for line in server.stderr if (found := re.search(r"http://127\.0\.0\.1:(\d+)", line)))

            def ask(path: str) -> int:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                        return int(answer.status)
                except urllib.error.HTTPError as error:
                    with error:
                        return error.code

            paths = [*ASKED] * 40
            with ThreadPoolExecutor(len(paths)) as pool:
                answers = list(zip(paths, pool.map(ask, paths), strict=True))
            # On a busy machine a store may not answer in time, which is a 503.
            assert {(path, status) for path, status in answers if status != 503} == set(ASKED.items())
        finally:
            server.terminate()
