"""The log of a run in SARIF 2.1.0: what the published schema asks of the parts that are used, and what they say."""

import json

import jsonschema  # type: ignore[import-untyped]  # comes without types
import pytest

from purposeguard.cli.lint import RULES, lint
from purposeguard.cli.lint.sarif import data, sarif
from tests.linting.sarif_log import LOG

SOURCE = """\
from pydantic import BaseModel


class 顧客(BaseModel):
    氏名: str; 住所: str
    電話番号: str  # purposeguard: allow[untagged-personal-field] of the shop itself


class Customer(BaseModel):
    email: str
    email: str
"""


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b%ü.py").write_text(SOURCE, "utf-8")
    (tmp_path / "bad.py").write_text("x = (\n", "utf-8")
    return sarif(lint([tmp_path / "a b%ü.py", tmp_path.relative_to(tmp_path) / "bad.py"]), "1.2.3")


def test_it_is_as_the_schema_asks(log):
    validator = jsonschema.Draft4Validator(LOG, format_checker=jsonschema.FormatChecker())
    assert list(validator.iter_errors(json.loads(json.dumps(log)))) == []


def test_the_essentials_refuse_what_is_wrong(log):
    for spoilt in ({**log, "version": "2.0.0"}, {**log, "more": 1}, {"version": "2.1.0"}):
        assert list(jsonschema.Draft4Validator(LOG).iter_errors(spoilt))


def test_rules_and_results_refer_to_each_other(log):
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [one["id"] for one in rules] == [one.id for one in RULES]
    for one in run["results"]:
        assert rules[one["ruleIndex"]]["id"] == one["ruleId"]
    for rule in rules:
        for part in ("shortDescription", "help"):
            assert rule[part]["text"][0].isupper()
            assert rule[part]["text"].endswith(".")


def test_places_are_characters(log):
    found = log["runs"][0]["results"]
    regions = [one["locations"][0]["physicalLocation"]["region"] for one in found]
    assert regions[0] == {"startLine": 5, "startColumn": 5, "endLine": 5, "endColumn": 12}
    assert regions[1] == {"startLine": 5, "startColumn": 14, "endLine": 5, "endColumn": 21}


def test_files_are_references(log, tmp_path):
    found = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert found == (tmp_path / "a b%ü.py").as_uri()
    assert "%20" in found
    assert "%25" in found


def test_a_relative_path_stays_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.py").write_text(SOURCE, "utf-8")
    from pathlib import Path

    for given in (Path(), Path("a b.py")):
        results = sarif(lint([given]), "1")["runs"][0]["results"]
        uris = {one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in results}
        assert uris == {"a%20b.py"}


def test_what_is_allowed_is_suppressed_with_its_reason(log):
    suppressed = [one for one in log["runs"][0]["results"] if "suppressions" in one]
    (one,) = suppressed
    assert one["suppressions"] == [{"kind": "inSource", "justification": "of the shop itself"}]


def test_what_cannot_be_read_is_a_notification(log):
    (invocation,) = log["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    (told,) = invocation["toolExecutionNotifications"]
    assert told["level"] == "error"
    assert told["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("bad.py")


def test_fingerprints_are_unique_and_stay_where_lines_move(tmp_path):
    path = tmp_path / "a.py"

    def prints(text):
        path.write_text(text, "utf-8")
        return [one["partialFingerprints"]["purposeguard/v1"] for one in sarif(lint([path]), "1")["runs"][0]["results"]]

    before = prints(SOURCE)
    assert len(set(before)) == len(before) == 5
    assert prints(f"# one more line\n\n{SOURCE}") == before


def test_as_json(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(SOURCE, "utf-8")
    outcome = lint([path])
    found = data(outcome)
    assert list(found) == ["files", "findings", "allowed", "unread", "notebooks"]
    assert found["findings"][0] == {
        "rule": "untagged-personal-field",
        "path": path.as_posix(),
        "line": 5,
        "column": 5,
        "end_line": 5,
        "end_column": 12,
        "symbol": "顧客.氏名",
        "message": outcome.findings[0].message,
    }
    assert [one["reason"] for one in found["allowed"]] == ["of the shop itself"]
    assert json.loads(json.dumps(found)) == found
