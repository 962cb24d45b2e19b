import csv
import importlib.metadata
import io
import itertools
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.tools import cli
from purposeguard.tools.commands import app

ROOT = Path(__file__).resolve().parents[2]
RULES = Path(tm.__file__).parent
CHANNELS = (None, *tm.NOTICE.channels)
GUARD = pg.Guard(tm.NOTICE)

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
    clean = dict.fromkeys(("FORCE_COLOR", "NO_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TERM"), None)
    variables = {**clean, "COLUMNS": str(columns), **env}
    return CliRunner().invoke(app, [str(one) for one in arguments], env=variables, prog_name="purposeguard")


def process(*arguments, code=None, env=None, cwd=ROOT, **options):
    """The command line in a process of its own."""
    start = ["-c", code] if code else ["-m", "purposeguard.tools"]
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


# ---- matrix


def expected(channel):
    """(purpose or family) → clause → whether the guard allows it."""
    asked = [(one.clause, one) for one in tm.NOTICE.purposes] + [(one.name, one) for one in tm.NOTICE.families]
    return {
        name: {source.clause: GUARD.allows(source, term, channel) for source in tm.NOTICE.sources}
        for name, term in asked
    }


def options(channel):
    return ("--channel", channel) if channel else ()


@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_matrix_as_json_says_what_the_guard_says(channel):
    result = run("matrix", "--format", "json", *options(channel))
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert (data["notice"], data["revision"], data["channel"]) == ("trendmicro-jp", "2024-04-01", channel)
    assert [one["id"] for one in data["sources"]] == [one.clause for one in tm.NOTICE.sources]
    found = {one["id"]: one["sources"] for one in data["purposes"]}
    found |= {one["name"]: one["sources"] for one in data["families"]}
    assert found == expected(channel)
    assert list(found) == list(expected(channel))


def test_matrix_as_json_says_which_channels_a_purpose_names():
    data = json.loads(run("matrix", "--format", "json").stdout)
    named = {one["id"]: one["channels"] for one in data["purposes"]}
    assert named["2.2③"] == {"closed": ["email"]}
    assert named["1.2(1)④"] == {"open": ["email", "phone"]}
    assert named["1.2(1)①"] is None
    members = {one["name"]: one["purposes"] for one in data["families"]}
    assert members["AnyInquiryResponse"] == ["2.2⑥", "3.2⑦"]


@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_matrix_as_csv_says_what_the_guard_says(channel):
    result = run("matrix", "--format", "csv", *options(channel))
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    clauses = [one.clause for one in tm.NOTICE.sources]
    assert {row["id"]: {clause: row[clause] for clause in clauses} for row in rows} == {
        name: {clause: "yes" if may else "no" for clause, may in cells.items()}
        for name, cells in expected(channel).items()
    }
    by_id = {row["id"]: row for row in rows}
    assert by_id["2.2③"]["channels"] == "by email only"
    assert by_id["2.2③"]["slug"] == "web-security-mail"
    assert (by_id["2.2③"]["kind"], by_id["AnyFeedback"]["kind"]) == ("purpose", "family")


def markdown_tables(text):
    """Heading → rows, as dicts."""
    found = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, rest = section.partition("\n")
        lines = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in rest.split("\n") if line]
        assert all(len(line) == len(lines[0]) for line in lines)
        found[title] = [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]
    return found


@pytest.mark.parametrize("channel", CHANNELS, ids=str)
def test_matrix_as_markdown_says_what_the_guard_says(channel):
    purposes, families, sources = markdown_tables(
        run("matrix", "--format", "markdown", *options(channel)).stdout
    ).values()
    clauses = [row["id"] for row in sources]
    assert clauses == [one.clause for one in tm.NOTICE.sources]
    found = {row["id"]: {clause: row[clause] == "✓" for clause in clauses} for row in purposes}
    found |= {row["purposes"].partition(":")[0]: {clause: row[clause] == "✓" for clause in clauses} for row in families}
    assert found == expected(channel)


def test_markdown_escapes_what_would_end_a_cell(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY, "utf-8")
    text = run("matrix", "--notice", tmp_path / "tiny.toml", "--format", "markdown").stdout
    assert r"| 2① | Answering \| replying |  | ✓ |" in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_matrix_in_a_terminal_fits_and_says_what_the_guard_says(width, language):
    text = run("matrix", "--language", language, columns=width).stdout
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "\x1b" not in text
    cells = expected(None)
    found = {one.clause: [] for one in tm.NOTICE.purposes}
    for line in lines:
        head = line.partition(" ")[0]
        if head in found and (marks := re.search(r"(?: +[✓·])+ *$", line)):
            found[head] += [mark == "✓" for mark in marks[0].split()]
    assert found == {name: list(cells[name].values()) for name in found}


def test_matrix_stands_the_clauses_upright_only_where_they_do_not_fit():
    assert "1.1(a) 1.1(b) 1.1(c)" in run("matrix", columns=200).stdout
    assert "1.1(a) 1.1(b) 1.1(c)" not in run("matrix", columns=80).stdout
    assert "(1 of " not in run("matrix", columns=80).stdout
    assert "(1 of " in run("matrix", columns=40).stdout


def test_matrix_titles_in_either_language():
    english, japanese = run("matrix").stdout, run("matrix", "--language", "ja").stdout
    assert tm.RenewalGuidance.title["en"] in english
    assert tm.RenewalGuidance.title["ja"] in japanese
    assert tm.RenewalGuidance.title["en"] not in japanese


def test_colour_only_where_it_is_wanted():
    assert "\x1b[" not in run("matrix").stdout
    assert "\x1b[" in run("matrix", FORCE_COLOR="1", TERM="xterm-256color").stdout
    for form in ("json", "csv", "markdown"):
        assert "\x1b[" not in run("matrix", "--format", form, FORCE_COLOR="1").stdout


def test_matrix_of_a_file_with_an_overlay(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY, "utf-8")
    (tmp_path / "scanner.toml").write_text(OVERLAY, "utf-8")
    given = ("--notice", tmp_path / "tiny.toml", "--overlay", tmp_path / "scanner.toml")
    data = json.loads(run("matrix", *given, "--format", "json").stdout)
    assert [one["sources"] for one in data["purposes"]] == [
        {"1": True, "scanner-names": True},
        {"1": True, "scanner-names": False},
    ]


def test_overlay_on_a_bundled_notice(tmp_path):
    (tmp_path / "one.toml").write_text(
        OVERLAY.replace('source = "1"', 'source = "1.1b"').replace("2①", "1.2(2)①"), "utf-8"
    )
    result = run("explain", "scanner-names", "product-provision", "--overlay", tmp_path / "one.toml")
    assert result.exit_code == 0
    result = run("explain", "scanner-names", "product-improvement", "--overlay", tmp_path / "one.toml")
    assert result.exit_code == 1
    assert run("explain", "scanner-names", "product-improvement").exit_code == 2


# ---- explain


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["1.1a", "1.2(1)①"], 0),
        (["1.1(a),1.1(c)", "1.2(1)-1"], 0),
        (["1.1(a)", "contract", "RenewalGuidance"], 0),
        (["1.1a", "2.1a", "any-product-guidance"], 0),
        (["1.1b", "1.2(1)①"], 1),
        (["1.1a, 1.1b", "renewal-guidance"], 1),
        (["web-contact", "2.2③", "--channel", "email"], 0),
        (["web-contact", "2.2③", "--channel", "phone"], 1),
        (["1.1z", "1.2(1)①"], 2),
        (["1.1a", "1.2(9)①"], 2),
        (["1.1a", "1.2(1)①", "--channel", "telegraph"], 2),
        ([",", "1.2(1)①"], 2),
        (["1.1a"], 2),
        ([], 2),
        (["1.1a", "1.2(1)①", "--notice", "acme"], 2),
        (["1.1a", "1.2(1)①", "--no-such-option"], 2),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else str(value),
)
def test_explain_exit_codes(arguments, code):
    result = run("explain", *arguments)
    assert result.exit_code == code
    assert "Traceback" not in result.output
    if code == 2:
        assert result.stdout == ""
        assert result.stderr
    else:
        assert result.stderr == ""
        assert result.stdout.startswith("allowed: " if code == 0 else "denied: ")


def test_explain_says_all_that_the_decision_says():
    result = run("explain", "1.1a,1.1b", "1.2(1)①", columns=300)
    decision = GUARD.explain({"1.1a", "1.1b"}, "1.2(1)①")
    assert [line.strip() for line in result.stdout.splitlines()] == [
        f"denied: {decision.headline}",
        *decision.details,
    ]


def test_explain_fits_a_terminal():
    result = run("explain", "1.1a,1.1b", "1.2(1)①")
    assert max(map(cell_len, result.stdout.splitlines())) <= 80


def test_explain_every_cell():
    pairs = itertools.product(tm.NOTICE.sources, (*tm.NOTICE.purposes[::7], *tm.NOTICE.families[::3]))
    for source, purpose in pairs:
        name = purpose.name if isinstance(purpose, pg.Family) else purpose.clause
        result = run("explain", source.clause, name, "--format", "json")
        data = json.loads(result.stdout)
        assert data["allowed"] is GUARD.allows(source, purpose)
        assert result.exit_code == (0 if data["allowed"] else 1)
        assert data["sources"] == [source.clause]
        assert data["purpose"] == name


def test_explain_as_json():
    data = json.loads(run("explain", "1.1c", "1.1a", "1.2(1)①", "--format", "json").stdout)
    assert data["grants"] == {"1.1(a)": "1.2(1)", "1.1(c)": "1.2(1)"}
    assert data["reasons"] == []
    assert data["channel"] is None
    data = json.loads(run("explain", "2.1", "2.2③", "--channel", "Phone", "--format", "json").stdout)
    assert data["channel"] == "phone"
    assert data["allowed"] is False
    assert len(data["reasons"]) == 1
    assert "2.2⑥" in data["alternatives"]


def test_an_unknown_id_is_answered_with_the_nearest():
    result = run("explain", "1.1a", "renewal-guidence")
    assert "renewal-guidance" in result.stderr
    assert result.stderr.startswith("error: unknown purpose `renewal-guidence`")


# ---- validate


def test_validate_a_sound_file():
    result = run("validate", RULES / "notice.toml")
    assert result.exit_code == 0
    assert f"{RULES / 'notice.toml'} is valid: trendmicro-jp, revision of 2024-04-01, with 14 sources" in result.stdout
    assert json.loads(run("validate", RULES / "notice.toml", "--format", "json").stdout)["valid"] is True


@pytest.fixture
def faulty(tmp_path):
    path = tmp_path / "faulty.toml"
    text = TINY.replace('sources = ["1"]', 'sources = ["7"]').replace('class = "Mailing"', 'class = "Answering"')
    path.write_text(text.replace("revision = 2025-01-01\n", "") + "surplus = 1\n", "utf-8")
    return path


def test_validate_reports_every_fault_at_once(faulty):
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.load(faulty)
    assert len(caught.value.faults) >= 4
    result = run("validate", faulty)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"error: {caught.value}\n"


def test_validate_as_json(faulty):
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.load(faulty)
    result = run("validate", faulty, "--format", "json")
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "valid": False,
        "file": str(faulty),
        "faults": [{"place": one.place, "message": one.message, "help": one.suggestion} for one in caught.value.faults],
    }


def test_validate_with_overlays(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY, "utf-8")
    (tmp_path / "good.toml").write_text(OVERLAY, "utf-8")
    (tmp_path / "wide.toml").write_text(OVERLAY.replace("2①", "9⑨"), "utf-8")
    assert run("validate", tmp_path / "tiny.toml", "--overlay", tmp_path / "good.toml").exit_code == 0
    result = run("validate", tmp_path / "tiny.toml", "--overlay", tmp_path / "wide.toml")
    assert result.exit_code == 2
    assert "overlay[0].serves[0]" in result.stderr


@pytest.mark.parametrize(
    "name", ["missing.toml", "no/such/file", "x" * 5_000, "", ".", "acme"], ids=lambda name: name[:20] or "empty"
)
def test_a_notice_that_is_not_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (["validate", name], ["codegen", name], ["matrix", "--notice", name]):
        result = run(*command)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert "Traceback" not in result.output


def test_a_file_without_a_suffix_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny").write_text(TINY, "utf-8")
    assert run("validate", "tiny").exit_code == 0


def test_a_name_that_is_not_bundled_says_which_are():
    assert "trendmicro-jp" in run("validate", "acme").stderr


# ---- codegen and schema


def test_codegen_writes_the_checked_in_module(tmp_path):
    text = (RULES / "__init__.py").read_text("utf-8")
    assert run("codegen", RULES / "notice.toml").stdout == text
    assert run("codegen", "trendmicro-jp").stdout == text
    made = tmp_path / "made.py"
    assert run("codegen", RULES / "notice.toml", "-o", made).exit_code == 0
    assert made.read_bytes() == text.encode()
    assert [one.name for one in tmp_path.iterdir()] == ["made.py"]


GENERATED = [["codegen", str(RULES / "notice.toml")], ["schema"]]


@pytest.mark.parametrize("command", GENERATED, ids=lambda command: command[0])
def test_check_passes_when_up_to_date_and_fails_when_stale(command, tmp_path):
    path = tmp_path / "made"
    result = run(*command, "-o", path, "--check")
    assert result.exit_code == 1
    assert "does not exist" in result.stderr
    assert not path.exists()

    assert run(*command, "-o", path).exit_code == 0
    result = run(*command, "-o", path, "--check")
    assert (result.exit_code, result.output) == (0, "")

    text = path.read_text("utf-8")
    stale = text.replace("1.2(1)①", "1.2(1)⑨").replace("the notice file", "a").replace("notice's own", "notices")
    assert stale != text
    path.write_text(stale, "utf-8")
    result = run(*command, "-o", path, "--check")
    assert result.exit_code == 1
    assert path.read_text("utf-8") == stale
    assert result.stdout == ""
    assert f"{path} is not what it should be" in result.stderr
    assert f"run: purposeguard {' '.join(command)} -o {path}" in result.stderr
    assert re.search(r"^  \+.", result.stderr, re.MULTILINE)

    path.write_bytes(b"\xff\xfe")
    assert run(*command, "-o", path, "--check").exit_code == 1
    assert run(*command, "-o", path).exit_code == 0
    assert path.read_text("utf-8") == text


def test_check_shows_no_endless_difference(tmp_path):
    path = tmp_path / "made.py"
    path.write_text("nothing\n" * 500)
    result = run("codegen", "trendmicro-jp", "-o", path, "--check")
    assert len(result.stderr.splitlines()) < 30
    assert re.search(r"… and \d+ more lines", result.stderr)


def test_check_does_not_mind_the_kind_of_line_ends(tmp_path):
    path = tmp_path / "schema.json"
    run("schema", "-o", path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert run("schema", "-o", path, "--check").exit_code == 0


def test_check_minds_a_missing_last_line_break(tmp_path):
    path = tmp_path / "schema.json"
    run("schema", "-o", path)
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    assert run("schema", "-o", path, "--check").exit_code == 1


@pytest.mark.parametrize("command", GENERATED, ids=lambda command: command[0])
def test_check_needs_a_file(command):
    result = run(*command, "--check")
    assert result.exit_code == 2
    assert "-o FILE" in result.stderr


def test_the_checked_in_schema_is_up_to_date():
    schema = ROOT / "purposeguard" / "notices" / "notice.schema.json"
    assert run("schema", "-o", schema, "--check").exit_code == 0
    assert run("schema").stdout == schema.read_text("utf-8")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "made.py"
    path.write_text("old")

    def fail(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    result = run("codegen", "trendmicro-jp", "-o", path)
    assert result.exit_code == 2
    assert result.stderr == f"error: {path} cannot be written: No space left on device\n"
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["made.py"]


def test_a_written_file_keeps_its_permissions_and_its_link(tmp_path):
    path, link = tmp_path / "made.py", tmp_path / "link.py"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    assert run("codegen", "trendmicro-jp", "-o", link).exit_code == 0
    assert link.is_symlink()
    assert path.read_text("utf-8") == (RULES / "__init__.py").read_text("utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("place", ["no/such/folder/made.py", ".", "/", "file/made.py"])
def test_a_place_that_cannot_be_written(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    result = run("schema", "-o", place)
    assert result.exit_code == 2
    assert f"{place} cannot be written: " in result.stderr
    result = run("schema", "-o", place, "--check")
    assert result.exit_code in {1, 2}
    assert "Traceback" not in result.output


def test_a_device_is_written_to(capfd):
    assert run("schema", "-o", os.devnull).exit_code == 0
    assert not Path(os.devnull).is_file()


# ---- the whole


def test_every_command_documents_its_exit_codes():
    overview = run("--help").stdout
    assert "Exit codes: 0" in overview
    for command in ("matrix", "explain", "validate", "codegen", "schema", "inventory"):
        assert command in overview
        assert re.search(r"Exit codes: 0 .*2 ", run(command, "--help").stdout)


def test_the_page_names_every_command_and_option():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    for command in ("matrix", "explain", "validate", "codegen", "schema", "inventory"):
        section = re.search(rf"^## {command}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, command
        for option in set(re.findall(r"--[a-z]+", run(command, "--help", columns=200).stdout)) - {"--help"}:
            assert f"`{option}" in section[1], (command, option)


def test_without_arguments_it_says_what_there_is():
    result = run()
    assert "matrix" in result.output
    assert result.exit_code == 2


def test_version():
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"purposeguard {importlib.metadata.version('purposeguard')}\n")


def test_the_installed_script_is_this_one():
    scripts = importlib.metadata.entry_points(group="console_scripts", name="purposeguard")
    assert {script.load() for script in scripts} == {cli.main}


def test_as_a_module_in_a_process():
    result = process("explain", "1.1b", "1.2(1)①")
    assert result.returncode == 1
    assert result.stdout.startswith("denied: renewal-guidance (1.2(1)①) may not use product-data (1.1(b))\n")
    assert result.stderr == ""
    result = process("frobnicate")
    assert result.returncode == 2
    assert "Usage: purposeguard" in result.stderr


@pytest.mark.parametrize("name", ["typer", "rich"])
def test_without_the_extra_it_says_what_to_install(name):
    code = f"import sys; sys.modules[{name!r}] = None; from purposeguard.tools.cli import main; main()"
    result = process(code=code)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert f"needs {name}" in result.stderr
    assert "pip install 'purposeguard[cli]'" in result.stderr


def test_another_missing_module_is_not_mistaken_for_the_extra():
    code = "import sys; sys.modules['cachetools'] = None; from purposeguard.tools.cli import main; main()"
    assert "ModuleNotFoundError: import of cachetools" in process(code=code).stderr


def test_an_encoding_that_lacks_the_characters_gets_escapes():
    result = process("matrix", "--language", "ja", env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0
    assert r"\u2460" in result.stdout
    data = process("matrix", "--format", "json", env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert json.loads(data.stdout)["purposes"][0]["id"] == "1.2(1)①"


def test_a_reader_that_goes_away_is_no_error():
    command = [sys.executable, "-m", "purposeguard.tools", "codegen", "trendmicro-jp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as started:
        started.stdout.close()
        assert b"Traceback" not in started.stderr.read()
