"""The SARIF log of findings: the parts of the published schema that it uses, and what they say."""

import json

import jsonschema  # type: ignore[import-untyped]  # comes without types
import pytest

from purposeguard.cli.sarif import SarifFinding, SarifRule, render_sarif
from tests.unit.sarif_log import LOG

RULES = (
    SarifRule("dbt-untagged", "nobody labelled a column", "tag the column", "warning"),
    SarifRule("dbt-flow", "more sources flow into a column than its tags name", "tag it with all of them"),
)
UNTAGGED = SarifFinding("models/a b%ü.yml", 7, "dbt-untagged", "nobody labelled `氏名`", "shop.customers.氏名")
FLOW = SarifFinding("./models/a.yml", 1, "dbt-flow", "telemetry flows into it")


@pytest.fixture
def log():
    return render_sarif([UNTAGGED, FLOW, UNTAGGED], RULES)


def results(findings):
    return render_sarif(findings, RULES)["runs"][0]["results"]


def fingerprints(findings):
    return [result["partialFingerprints"]["purposeguard/v1"] for result in results(findings)]


def test_it_conforms_to_the_schema(log):
    validator = jsonschema.Draft4Validator(LOG, format_checker=jsonschema.FormatChecker())
    assert list(validator.iter_errors(json.loads(json.dumps(log)))) == []


def test_the_schema_refuses_logs_with_mistakes(log):
    for mistaken in ({**log, "version": "2.0.0"}, {**log, "more": 1}, {"version": "2.1.0"}):
        assert list(jsonschema.Draft4Validator(LOG).iter_errors(mistaken))


def test_results_refer_to_their_rules(log):
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [(rule["id"], rule["name"]) for rule in rules] == [("dbt-untagged", "DbtUntagged"), ("dbt-flow", "DbtFlow")]
    assert rules[0]["shortDescription"]["text"] == "Nobody labelled a column."
    assert rules[0]["help"]["text"] == "Tag the column."
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert rules[result["ruleIndex"]]["defaultConfiguration"]["level"] == result["level"]


def test_a_result_says_where_and_what(log):
    _, first, second = log["runs"][0]["results"]
    assert first["message"] == second["message"] == {"text": "Nobody labelled `氏名`."}
    assert first["level"] == "warning"
    (location,) = first["locations"]
    assert location["physicalLocation"]["region"] == {"startLine": 7}
    assert location["logicalLocations"] == [{"fullyQualifiedName": "shop.customers.氏名"}]


def test_findings_are_sorted_by_file_and_line():
    lines = [SarifFinding("a.yml", line, "dbt-flow", "it flows") for line in (10, 9)]
    found = results([UNTAGGED, *lines])
    regions = [result["locations"][0]["physicalLocation"]["region"]["startLine"] for result in found]
    assert regions == [9, 10, 7]


def test_paths_are_uri_references(tmp_path):
    path = tmp_path / "a b%ü.yml"
    paths = [str(path), UNTAGGED.path, FLOW.path]
    uris = {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for result in results([SarifFinding(path, 1, "dbt-flow", "it flows") for path in paths])
    }
    assert uris == {path.as_uri(), "models/a%20b%25%C3%BC.yml", "models/a.yml"}


def test_fingerprints_are_unique_and_independent_of_lines():
    moved = SarifFinding(UNTAGGED.path, UNTAGGED.line + 10, UNTAGGED.rule_id, UNTAGGED.message, UNTAGGED.symbol)
    before = fingerprints([UNTAGGED, UNTAGGED, FLOW])
    assert len(set(before)) == 3
    assert fingerprints([moved, moved, FLOW]) == before
