import errno
import importlib.metadata
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

import purposeguard as pg
from purposeguard.cli import main as cli
from purposeguard.notice.bases import summarize_bases
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.command_line import OVERLAY, ROOT, RULES, TINY, process, run

GUARD = pg.Guard(tm.NOTICE)


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
        assert result.stderr.startswith("notice: trendmicro-jp, revision of 2024-04-01, from trendmicro-jp: ")
        assert run("explain", *arguments, "--notice", "trendmicro-jp").stderr == ""
        assert result.stdout.startswith("allowed: " if code == 0 else "denied: ")


def test_explain_says_all_that_the_decision_says():
    result = run("explain", "1.1a,1.1b", "1.2(1)①", columns=300)
    decision = GUARD.explain({"1.1a", "1.1b"}, "1.2(1)①")
    assert [line.strip() for line in result.stdout.splitlines()] == [f"denied: {decision.headline}", *decision.details]


def test_explain_agrees_with_the_guard():
    purposes: list[type[pg.Purpose] | pg.Family] = [*tm.NOTICE.purposes[::7], *tm.NOTICE.families[::3]]
    for source, purpose in itertools.product(tm.NOTICE.sources[::3], purposes):
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


def test_validate_a_sound_file():
    result = run("validate", RULES / "notice.toml")
    assert result.exit_code == 0
    assert f"{RULES / 'notice.toml'} is valid: trendmicro-jp, revision of 2024-04-01, with 14 sources" in result.stdout
    assert json.loads(run("validate", RULES / "notice.toml", "--format", "json").stdout)["valid"] is True


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The folder of a small notice, in which a test runs."""
    (tmp_path / "tiny.toml").write_text(TINY, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {caught.value}\n")
    result = run("validate", faulty, "--format", "json")
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "valid": False,
        "file": str(faulty),
        "faults": [
            {
                **{name: getattr(one, name) for name in ("place", "message", "file", "line", "column")},
                "help": one.suggestion,
            }
            for one in caught.value.faults
        ],
        "warnings": [],
    }


def test_validate_with_overlays(tiny):
    (tiny / "good.toml").write_text(OVERLAY, "utf-8")
    (tiny / "wide.toml").write_text(OVERLAY.replace("2①", "9⑨"), "utf-8")
    assert run("validate", "tiny.toml", "--overlay", "good.toml").exit_code == 0
    result = run("validate", "tiny.toml", "--overlay", "wide.toml")
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
        options = set(re.findall(r"--[a-z]+", run(command, "--help", columns=200).stdout))
        for option in options - {"--help", "--language"}:
            assert f"`{option}" in section[1], (command, option)


def test_the_installed_script_says_its_version_and_without_arguments_what_there_is():
    assert (run().exit_code, "matrix" in run().output) == (2, True)
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"purposeguard {importlib.metadata.version('purposeguard')}\n")
    scripts = importlib.metadata.entry_points(group="console_scripts", name="purposeguard")
    assert {script.load() for script in scripts} == {cli.main}


def test_as_a_module_in_a_process():
    result = process("explain", "1.1b", "1.2(1)①", "--notice", "trendmicro-jp")
    assert result.returncode == 1
    assert result.stdout.startswith("denied: renewal-guidance (1.2(1)①) may not use product-data (1.1(b))\n")
    assert result.stderr == ""
    result = process("frobnicate")
    assert result.returncode == 2
    assert "Usage: purposeguard" in result.stderr


@pytest.mark.parametrize("name", ["typer", "rich"])
def test_without_the_extra_it_says_what_to_install(name):
    code = f"import sys; sys.modules[{name!r}] = None; from purposeguard.cli.main import main; main()"
    result = process(code=code)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert f"needs {name}" in result.stderr
    assert "pip install 'purposeguard[cli]'" in result.stderr


def test_another_missing_module_is_not_mistaken_for_the_extra():
    code = "import sys; sys.modules['pydantic'] = None; from purposeguard.cli.main import main; main()"
    assert "ModuleNotFoundError: import of pydantic" in process(code=code).stderr


def test_an_encoding_that_lacks_the_characters_gets_escapes():
    result = process("matrix", "--language", "ja", env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0
    assert r"\u2460" in result.stdout
    data = process("matrix", "--format", "json", env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert json.loads(data.stdout)["purposes"][0]["id"] == "1.2(1)①"


def test_a_reader_that_goes_away_is_no_error():
    command = [sys.executable, "-m", "purposeguard", "codegen", "trendmicro-jp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as started:
        assert started.stdout
        assert started.stderr
        started.stdout.close()
        assert b"Traceback" not in started.stderr.read()


@pytest.mark.parametrize(
    "arguments",
    [("explain", "1.1(a)", "1.2(1)①", "--notice", "trendmicro-jp"), ("--version",), ("codegen", "trendmicro-jp")],
)
def test_what_cannot_be_printed_is_told_apart_from_an_answer(arguments):
    command = [sys.executable, "-m", "purposeguard", *arguments]
    with Path(os.devnull).open("rb") as unwritable:
        done = subprocess.run(command, stdout=unwritable, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: the output cannot be printed: {os.strerror(errno.EBADF)}"


CHANNELS = (None, *tm.NOTICE.channels)


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


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_matrix_in_a_terminal_fits_and_says_what_the_guard_says(width, language):
    text = run("matrix", "--language", language, columns=width).stdout
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "\x1b" not in text
    cells = expected(None)
    found: dict[str, list[bool]] = {one.clause: [] for one in tm.NOTICE.purposes}
    for line in lines:
        head = line.partition(" ")[0]
        if head in found and (marks := re.search(r"(?: +[✓·])+ *$", line)):
            found[head] += [mark == "✓" for mark in marks[0].split()]
    assert found == {name: list(cells[name].values()) for name in found}


def test_matrix_says_what_is_forbidden(tmp_path):
    path = tmp_path / "notice.toml"
    reason = '{ en = "Never", ja = "禁止" }'
    path.write_text(f'{TINY}\n[[forbid]]\nsources = ["1"]\npurposes = ["2①"]\nreason = {reason}\n', "utf-8")
    data = json.loads(run("matrix", "--notice", path, "--format", "json").stdout)
    assert [row["sources"] for row in data["purposes"]] == [{"1": "forbidden"}, {"1": True}]
    assert "✓ may serve   ✗ forbidden\n" in run("matrix", "--notice", path).stdout
    assert "✓ 利用できる   ✗ 禁止\n" in run("matrix", "--notice", path, "--language", "ja").stdout


def configure(folder, *settings):
    (folder / "pyproject.toml").write_text("\n".join(["[tool.purposeguard]", *settings]), "utf-8")


def test_a_project_has_its_own_notice(tiny, monkeypatch):
    (tiny / "below").mkdir()
    configure(tiny, 'notice = "tiny.toml"')
    for folder in (tiny, tiny / "below"):
        monkeypatch.chdir(folder)
        assert json.loads(run("matrix", "--format", "json").stdout)["notice"] == "tiny"
        assert run("explain", "1", "2①").exit_code == 0
        assert json.loads(run("matrix", "--notice", "trendmicro-jp", "--format", "json").stdout)["notice"] != "tiny"
    configure(tiny, 'notice = "gone.toml"')
    assert (run("matrix").exit_code, "gone.toml" in run("matrix").stderr) == (2, True)
    configure(tiny, 'notice = "trendmicro-jp"')
    assert run("explain", "1.1a", "1.2(1)①").exit_code == 0


COMMANDS = (
    ("explain", "1", "2①"), ("matrix",), ("sql", "--purpose", "2①", "SELECT 1", "orders.csv"), ("dbt", "check"),
    ("dbt", "labels"),
)  # fmt: skip


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_notice_that_nobody_chose_is_not_read(tmp_path, monkeypatch, arguments):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "nearer"\n', "utf-8")
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: which notice is meant? Name its file, `--notice notice.toml`")
    assert "the bundled one is `--notice trendmicro-jp`" in result.stderr
    assert "どのプライバシーポリシーによるか" in run("--language", "ja", *arguments).stderr
    for name in ("new.toml", "old.toml"):
        (tmp_path / name).write_text(TINY, "utf-8")
    assert "There are new.toml, old.toml: name one of them, `--notice new.toml`" in run(*arguments).stderr


@pytest.mark.parametrize("folder", ["", "below", "below/far"])
def test_the_only_notice_file_of_a_project_is_read_and_said(tiny, monkeypatch, folder):
    (tiny / ".git").mkdir()
    (tiny / "overlays.toml").write_text(OVERLAY, "utf-8")
    (tiny / "broken.toml").write_text("format = ", "utf-8")
    (tiny / "below" / "far").mkdir(parents=True)
    monkeypatch.chdir(tiny / folder)
    result = run("explain", "1", "2①", columns=200)
    assert result.exit_code == 0
    place = Path("../" * (folder.count("/") + bool(folder))) / "tiny.toml"
    assert result.stderr == f"notice: tiny, revision of 2025-01-01, from {place}: the only notice file there\n"
    assert run("--language", "ja", "matrix").stderr.startswith("プライバシーポリシー: tiny（2025-01-01 版）")


def test_notice_files_above_a_project_are_not_its_own(tiny, monkeypatch):
    (tiny / "project").mkdir()
    (tiny / "project" / "pyproject.toml").write_text("", "utf-8")
    monkeypatch.chdir(tiny / "project")
    assert run("matrix").exit_code == 2


def test_each_setting_is_of_the_nearest_file_that_has_it(tiny, monkeypatch):
    (tiny / "below").mkdir()
    configure(tiny, 'notice = "tiny.toml"', 'language = "en"')
    configure(tiny / "below", 'language = "ja"')
    monkeypatch.chdir(tiny / "below")
    result = run("explain", "1", "2①")
    assert result.stdout.startswith("許可")
    assert "tiny" in result.stderr


def test_a_notice_file_is_an_argument_too(tiny):
    (tiny / "other.toml").write_text(TINY.replace('"tiny"', '"other"'), "utf-8")
    assert json.loads(run("matrix", "other.toml", "--format", "json").stdout)["notice"] == "other"
    assert run("explain", "tiny.toml", "1", "2①").exit_code == 0
    assert run("explain", "tiny.toml", "1", "2①").stderr == ""
    for arguments in (("matrix", "tiny.toml"), ("explain", "tiny.toml", "1", "2①")):
        result = run(*arguments, "--notice", "other.toml")
        assert result.exit_code == 2
        assert "name one notice: `tiny.toml`, or `--notice other.toml`" in result.stderr
    assert "name sources and a purpose behind `tiny.toml`" in run("explain", "tiny.toml", "2①").stderr


def test_matrix_is_cut_into_tables_that_fit_and_has_titles_in_either_language():
    assert "(1 of " not in run("matrix", columns=200).stdout
    assert "(1 of " in run("matrix", columns=80).stdout
    english, japanese = run("matrix").stdout, run("matrix", "--language", "ja").stdout
    assert tm.RenewalGuidance.title["en"] in english
    assert tm.RenewalGuidance.title["ja"] in japanese
    assert tm.RenewalGuidance.title["en"] not in japanese


def test_colour_only_where_it_is_wanted():
    assert "\x1b[" not in run("matrix").stdout
    assert "\x1b[" in run("matrix", FORCE_COLOR="1", TERM="xterm-256color").stdout
    assert "\x1b[" not in run("matrix", "--format", "json", FORCE_COLOR="1").stdout


def test_matrix_of_a_file_with_an_overlay(tiny):
    (tiny / "scanner.toml").write_text(OVERLAY, "utf-8")
    given = ("--notice", "tiny.toml", "--overlay", "scanner.toml")
    data = json.loads(run("matrix", *given, "--format", "json").stdout)
    assert [one["sources"] for one in data["purposes"]] == [
        {"1": True, "scanner-names": True},
        {"1": True, "scanner-names": False},
    ]


def test_overlay_on_a_bundled_notice(tmp_path):
    overlay = tmp_path / "one.toml"
    overlay.write_text(OVERLAY.replace('source = "1"', 'source = "1.1b"').replace("2①", "1.2(2)①"), "utf-8")
    assert run("explain", "scanner-names", "product-provision", "--overlay", overlay).exit_code == 0
    assert run("explain", "scanner-names", "product-improvement", "--overlay", overlay).exit_code == 1
    assert run("explain", "scanner-names", "product-improvement").exit_code == 2


def test_a_purpose_that_rests_on_consent_is_shown_as_granted_on_consent(tmp_path):
    path = "examples/gdpr/notice.toml"
    notice = pg.Notice.load(path)
    guard = pg.Guard(notice)
    data = json.loads(run("matrix", "--notice", path, "--format", "json").stdout)
    cells = {one["id"]: one["sources"] for one in data["purposes"]}
    rests = {clause for clause, basis in summarize_bases(notice.document).items() if basis == "consent"}
    seen = set()
    for purpose in notice.purposes:
        for source in notice.sources:
            granted = purpose in notice.grants[source]
            cell = cells[purpose.clause][source.clause]
            forbidden = (source.clause, purpose.clause) in notice.prohibited
            no = "forbidden" if forbidden else False
            assert cell == (("consent" if purpose.clause in rests else True) if granted else no)
            assert (cell is True) == guard.allows(source, purpose)
            seen.add(cell)
    assert seen == {True, False, "consent", "forbidden"}
    shown = run("matrix", "--notice", path).stdout
    assert shown.count("✓ may serve   c of subjects who consent   ✗ forbidden   · no clause grants it") == 1
    assert run("matrix").stdout.count("✓ may serve   · no clause grants it") == 2
