"""`purposeguard adopt evidence`, `propose` and `status` on evidence that was written to a file."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from purposeguard.adoption.evidence_store import EvidenceFile, EvidenceKey
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.command_line import run

NOTICE = f"trendmicro-jp@{tm.NOTICE.revision}"
PURPOSES = """\
# The purposes of the shop.

["GET /renewals"]
purpose = "1.2(1)①"  # decided by the privacy officer
mode = "enforce"
"""


def read_key(entry_point: str, source: str, field: str = "users.name", **facts: str) -> EvidenceKey:
    return EvidenceKey(
        **{"notice": NOTICE, "outcome": "read", "entry_point": entry_point, "sources": source, "field": field, **facts}
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project whose evidence has a permitted, a forbidden and two unstated uses, and go there."""
    (tmp_path / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n', "utf-8")
    directory = tmp_path / "privacy"
    directory.mkdir()
    (directory / "purposes.toml").write_text(PURPOSES, "utf-8")
    (directory / "tags.toml").write_text('["shop.User"]\nname = "1.1(a)"\nnote = "undecided"\n', "utf-8")
    EvidenceFile(directory / "evidence.sqlite").add(
        {
            read_key("GET /renewals", "1.1(a)", activity="GET /renewals", purpose="1.2(1)①"): 3,
            read_key("GET /renewals", "1.1(b)", "users.device", activity="GET /renewals", purpose="1.2(1)①"): 2,
            read_key("GET /everything", "1.1(a)"): 1,
            read_key("GET /everything", "3.1", "letters.name"): 1,
            read_key("GET /mails/{id}", "1.1(a)"): 5,
            EvidenceKey(notice=NOTICE, entry_point="GET /mails/{id}", outcome="unresolved", detail="pragma: Error"): 1,
            EvidenceKey(
                notice=NOTICE, entry_point="GET /odd", field="users.name", sources="1.1(a)", outcome="unresolved"
            ): 1,
        }
    )
    monkeypatch.chdir(tmp_path)
    return directory


def read_json(*arguments: str) -> dict[str, Any]:
    result = run("adopt", *arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    data: dict[str, Any] = json.loads(result.stdout)
    return data


@pytest.mark.usefixtures("project")
def test_evidence_shows_who_reads_what_and_if_that_is_permitted() -> None:
    data = read_json("evidence")
    uses = [(use["entry_point"], use["source"], use["fields"], use["judgment"], use["times"]) for use in data["uses"]]
    assert uses == [
        ("GET /everything", "1.1(a)", ["users.name"], "no purpose", 1),
        ("GET /everything", "3.1", ["letters.name"], "no purpose", 1),
        ("GET /mails/{id}", "1.1(a)", ["users.name"], "no purpose", 5),
        ("GET /odd", "1.1(a)", ["users.name"], "unresolved", 1),
        ("GET /renewals", "1.1(a)", ["users.name"], "permitted", 3),
        ("GET /renewals", "1.1(b)", ["users.device"], "not permitted", 2),
    ]
    assert data["unresolved"] == [
        {"entry_point": "GET /mails/{id}", "description": "pragma: Error", "times": 1},
        {"entry_point": "GET /odd", "description": "", "times": 1},
    ]
    table = run("adopt", "evidence", "--entry-point", "GET /ren*", columns=120).stdout
    assert "users.device" in table
    assert "/everything" not in table
    denied = read_json("evidence", "--denied")["uses"]
    assert [use["judgment"] for use in denied] == ["no purpose"] * 3 + ["unresolved", "not permitted"]


def test_counters_of_several_files_are_added(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    EvidenceFile(other).add({read_key("GET /mails/{id}", "1.1(a)"): 37})
    data = read_json("evidence", "--evidence", str(other), "--evidence", str(project / "evidence.sqlite"))
    times = {use["entry_point"]: use["times"] for use in data["uses"]}
    assert times["GET /mails/{id}"] == 42


def test_proposals_are_written_and_the_file_keeps_its_comments(project: Path) -> None:
    result = run("adopt", "propose", columns=120)
    assert result.exit_code == 0, result.output
    assert result.stdout.index("/everything") < result.stdout.index("/mails")
    text = (project / "purposes.toml").read_text("utf-8")
    assert text.startswith(PURPOSES)
    assert text.count('mode = "observe"') == 1
    assert '["GET /mails/{id}"]' in text
    assert "everything" not in text
    assert "GET /odd" not in text
    assert "GET /odd" in result.stdout
    assert run("adopt", "propose").exit_code == 0
    assert (project / "purposes.toml").read_text("utf-8") == text
    uses = {use["entry_point"]: use for use in read_json("evidence")["uses"]}
    assert uses["GET /mails/{id}"]["judgment"] == "permitted"  # It is judged by the purpose that is stated now.


def test_a_dry_run_writes_nothing(project: Path) -> None:
    data = read_json("propose", "--dry-run")
    assert [row["entry_point"] for row in data["proposed"]] == ["GET /mails/{id}"]
    assert data["forbidden"] == [
        {"entry_point": "GET /everything", "sources": ["1.1(a)", "3.1"], "without": ["1.1(a)", "3.1"]}
    ]
    assert (project / "purposes.toml").read_text("utf-8") == PURPOSES


def test_status_measures_the_progress_and_lists_new_violations(project: Path) -> None:
    data = read_json("status")
    assert [(part["done"], part["total"]) for part in data["progress"]] == [(1, 2), (1, 4), (1, 4), (0, 4)]
    assert len(data["new"]) == 4
    assert run("adopt", "status", "--new").exit_code == 1
    assert run("adopt", "status", "--fail-under", "1").exit_code == 1
    assert run("adopt", "status", "--fail-under", "0").exit_code == 0
    sarif = json.loads(run("adopt", "status", "--format", "sarif").stdout)
    results = [(result["ruleId"], result["level"]) for result in sarif["runs"][0]["results"]]
    assert sorted(results) == [("new-violation", "error")] * 4 + [("undecided-field", "warning")]
    places = [
        result["locations"][0]["physicalLocation"]["region"]["startLine"] for result in sarif["runs"][0]["results"]
    ]
    assert 3 in places  # the entry of the route whose purpose does not permit what it reads
    assert project.is_dir()


def test_the_baseline_is_a_ratchet(project: Path) -> None:
    arguments = ("adopt", "status", "--new", "--tolerate", "known before", "--owner", "privacy@shop.example")
    assert run(*arguments).exit_code == 2
    assert run(*arguments, "--until", "2099-01-01").exit_code == 0
    baseline = (project / "baseline.toml").read_text("utf-8")
    assert baseline.count("[[tolerated]]") == 4
    assert run("adopt", "status", "--new").exit_code == 0
    EvidenceFile(project / "evidence.sqlite").add({read_key("GET /new", "1.1(a)"): 1})
    assert run("adopt", "status", "--new").exit_code == 1
    (project / "baseline.toml").write_text(baseline.replace("2099-01-01", "2020-01-01", 1), "utf-8")
    data = read_json("status")
    assert (len(data["expired"]), len(data["new"])) == (1, 2)
    (project / "evidence.sqlite").unlink()
    assert len(read_json("status")["obsolete"]) == 4


@pytest.mark.parametrize("command", ["evidence", "propose"])
def test_without_evidence_the_advice_is_to_collect_some(project: Path, command: str) -> None:
    (project / "evidence.sqlite").unlink()
    result = run("adopt", command)
    assert result.exit_code == 2
    assert "purposeguard adopt run" in result.output.replace("\n", " ")


def test_faults_of_the_files_come_with_their_place(project: Path) -> None:
    (project / "purposes.toml").write_text(PURPOSES.replace("1.2(1)①", "1.2(9)①"), "utf-8")
    result = run("adopt", "status", columns=200)
    assert result.exit_code == 2
    assert "purposes.toml:4" in result.output.replace("\n", "")


APPLICATION = """
import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.entry_point import EntryPoint

guard = pg.Guard(tm.NOTICE)

@guard.access(tm.ProductData)
def read():
    return "scan"

with EntryPoint.job("nightly"), guard.purpose(tm.RenewalGuidance, activity="nightly"):
    print(read())  # refused where the guard enforces
    print(read())
raise SystemExit(7)
"""


def test_a_command_is_run_in_observe_mode_and_its_exit_code_kept(project: Path, tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(APPLICATION, "utf-8")
    plain = subprocess.run([sys.executable, "application.py"], capture_output=True, text=True, check=False)
    assert "PurposeViolation" in plain.stderr
    command = [sys.executable, "-m", "purposeguard", "adopt", "run", "--", sys.executable, "application.py"]
    environment = {**os.environ, "PYTHONPATH": ""}
    observed = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (observed.stdout, observed.returncode) == ("scan\nscan\n", 7), observed.stderr
    assert "events were added" in observed.stderr
    uses = {use["entry_point"]: use for use in read_json("evidence")["uses"]}
    assert uses["job nightly"]["judgment"] == "not permitted"
    assert uses["job nightly"]["denials"] == {"grant": 2}
    assert project.is_dir()


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "name the command to observe"), (("--", "no-such-command"), "`no-such-command` cannot be started")],
)
def test_a_command_that_cannot_be_run_is_an_error(arguments: tuple[str, ...], message: str) -> None:
    result = run("adopt", "run", *arguments, columns=200)
    assert result.exit_code == 2
    assert message in result.output
