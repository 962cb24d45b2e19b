"""`purposeguard dbt check` and `purposeguard dbt labels`."""

from __future__ import annotations

import json
import re

import jsonschema  # type: ignore[import-untyped]  # comes without types
import pytest
import yaml  # type: ignore[import-untyped]  # comes without types

from purposeguard.adapters.dbt.labels import properties
from tests.unit.command_line import ROOT, TINY, run
from tests.unit.sarif_log import LOG


def refused(shop):
    shop.exposure("upsell", "device_health", meta={"purpose": "product-guidance"})
    return str(shop.written())


def test_a_project_that_passes(shop):
    result = run("dbt", "check", str(shop.written()))
    assert result.exit_code == 0
    assert "nothing refused in 10 tables, for 2 exposures" in result.stdout


def test_people_read_what_is_refused_and_why(shop):
    result = run("dbt", "check", refused(shop), columns=300)
    assert result.exit_code == 1
    for part in (
        "exposures.yml",
        "upsell.device_health.threats",
        "may not use product-data",
        "telemetry.devices.threats",
    ):
        assert part in result.stdout


def test_programs_read_json(shop):
    result = run("dbt", "check", refused(shop), "--format", "json")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert [one["column"] for one in data["findings"]] == ["device_health.customer_id", "device_health.threats"]
    assert data["labels"]["model.shop.device_health"] == {
        "customer_id": ["1.1(b)"],
        "product": ["not-personal"],
        "threats": ["1.1(b)"],
    }
    assert {(one["column"], one["approver"]) for one in data["declassified"]} == {
        ("product", "dpo"),
        ("devices", "dpo"),
        ("threats", "dpo"),
    }


def test_code_hosts_read_sarif(shop, monkeypatch):
    refused(shop)
    monkeypatch.chdir(shop.folder)
    result = run("dbt", "check", "--format", "sarif", "--notice", "trendmicro-jp")
    assert result.exit_code == 1
    log = json.loads(result.stdout)
    validator = jsonschema.Draft4Validator(LOG, format_checker=jsonschema.FormatChecker())
    assert list(validator.iter_errors(log)) == []
    found = log["runs"][0]["results"]
    assert {one["ruleId"] for one in found} == {"dbt-purpose"}
    assert found[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "models/exposures.yml"


def test_bad_input(shop, tmp_path):
    assert run("dbt", "check", str(tmp_path / "nowhere")).exit_code == 2
    shop.manifest["metadata"]["adapter_type"] = "oracle"
    result = run("dbt", "check", str(shop.written()))
    assert result.exit_code == 2
    assert "the adapter `oracle` is not known here" in result.stderr


def test_another_notice_and_another_folder(shop, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY, "utf-8")
    target = str(shop.written() / "target")
    result = run("dbt", "check", "--target-path", target, "--notice", str(tmp_path / "tiny.toml"))
    assert result.exit_code == 1
    assert "unknown source" in result.stdout


def test_the_file_of_tags_is_named(shop, tmp_path):
    shop.tag("devices", "threats", None)
    folder, tags = str(shop.written()), tmp_path / "tags.toml"
    tags.write_text('["table devices"]\nthreats = "1.1(b)"\n', "utf-8")
    assert run("dbt", "check", folder).exit_code == 1
    assert run("dbt", "check", folder, "--tags", str(tags)).exit_code == 0
    assert run("dbt", "labels", folder).exit_code == 1
    assert "1.1(b)" in run("dbt", "labels", folder, "--tags", str(tags)).stdout
    tags.write_text('["table devices"]\nthreats = "9"\n', "utf-8")
    result = run("dbt", "check", folder, "--tags", str(tags))
    assert result.exit_code == 2
    assert "tags.toml:2:1" in result.stderr


def test_a_scan_knows_the_tables_that_entries_name(shop, tmp_path):
    shop.tag("devices", "threats", None)
    folder, tags = str(shop.written()), tmp_path / "privacy" / "tags.toml"
    (tmp_path / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n', "utf-8")
    tags.parent.mkdir()
    scan = ("adopt", "scan", "--dbt", folder, "--directory", str(tags.parent), "--dry-run", "--format", "json")
    tags.write_text('["table health"]\nthreats = "1.1(b)"\n["table main.raw_orders"]\nid = "1.1(c)"\n', "utf-8")
    result = run(*scan)
    assert (result.exit_code, json.loads(result.stdout)["faults"]) == (0, [])
    # Labels of models follow from their SQL, so none is proposed for them.
    assert {field["class"] for field in json.loads(result.stdout)["fields"]} == {"table shop.telemetry.devices"}
    tags.write_text('["table health"]\nthreat = "1.1(b)"\n["table device"]\nid = "1.1(a)"\n', "utf-8")
    result = run(*scan)
    assert result.exit_code == 1
    assert [fault["line"] for fault in json.loads(result.stdout)["faults"]] == [2, 3]


def test_labels_are_written_as_properties(shop):
    shop["stg_orders"]["columns"] = {"amount": {"name": "amount", "description": "In yen.", "meta": {"unit": "yen"}}}
    files = {name: yaml.safe_load(text) for name, text in properties(shop.check())}
    (orders,) = files["stg_orders.yml"]["models"]
    amount = next(one for one in orders["columns"] if one["name"] == "amount")
    assert amount == {
        "name": "amount",
        "description": "In yen. Personal data, collected under 1.1(c) (contract).",
        "config": {"meta": {"unit": "yen", "purposeguard": ["1.1(c)"]}},
    }
    (figures,) = files["product_threats.yml"]["models"]
    assert figures["config"]["meta"] == {"purposeguard": {"purpose": "product-guidance"}}
    assert figures["columns"][0]["config"]["meta"]["purposeguard"]["declassified"]["at_least"] == 2
    (customers,) = files["customers.yml"]["models"]
    assert [one["v"] for one in customers["versions"]] == [1]


def test_written_twice_they_say_it_once(shop):
    (_, text), *_ = [one for one in properties(shop.check()) if one[0] == "stg_orders.yml"]
    (orders,) = yaml.safe_load(text)["models"]
    shop["stg_orders"]["columns"] = {one["name"]: {**one, "meta": one["config"]["meta"]} for one in orders["columns"]}
    assert dict(properties(shop.check()))["stg_orders.yml"] == text


def test_before_dbt_1_10_columns_have_meta_alone(shop):
    shop.manifest["metadata"]["dbt_version"] = "1.9.4"
    (orders,) = yaml.safe_load(dict(properties(shop.check()))["stg_orders.yml"])["models"]
    assert orders["columns"][0]["meta"] == {"purposeguard": ["1.1(c)"]}


@pytest.mark.parametrize(
    ("adapter", "statement"),
    [
        ("snowflake", """ALTER VIEW SHOP.MAIN.X MODIFY COLUMN "EMAIL" SET TAG purposeguard = '1.1(a)';"""),
        ("databricks", "ALTER TABLE SHOP.MAIN.X ALTER COLUMN `email` SET TAGS ('purposeguard' = '1.1(a)');"),
        ("bigquery", "ALTER VIEW SHOP.MAIN.X ALTER COLUMN `email` SET OPTIONS (description = 'LABEL');"),
    ],
)
def test_labels_are_written_as_tags_of_the_warehouse(seeds, adapter, statement):
    seeds.manifest["metadata"]["adapter_type"] = adapter
    seeds.manifest["sources"] = {}
    del seeds.manifest["nodes"]["seed.shop.raw_orders"]
    seeds.tag("raw_customers", "last_name", None)  # nobody uses it
    seeds["raw_customers"]["relation_name"] = "SHOP.MAIN.RAW_CUSTOMERS"
    seeds.model("x", "select email from {raw_customers}", relation_name="SHOP.MAIN.X", config={"materialized": "view"})
    result = run("dbt", "labels", str(seeds.written()), "--as", "tags")
    assert result.exit_code == 0
    label = "Personal data, collected under 1.1(a) (registration)."
    assert statement.replace("LABEL", label) in result.stdout.splitlines()


def test_a_warehouse_without_tags_has_none(shop, tmp_path):
    assert run("dbt", "labels", str(shop.written()), "--as", "tags").exit_code == 2


def test_a_project_with_findings_has_no_labels_to_write(shop, tmp_path):
    result = run("dbt", "labels", refused(shop), "-o", str(tmp_path / "labels"))
    assert result.exit_code == 1
    assert "upsell.device_health.threats" in result.stderr
    assert not (tmp_path / "labels").exists()


def test_the_hook_of_pre_commit_runs_the_check(shop, monkeypatch):
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    name, *arguments = hook["entry"].split()
    assert name == "purposeguard"
    read = ("models/a.sql", "seeds/a.csv", "a.py", "a.yml", "dbt_project.yaml", "notice.toml", "pyproject.toml")
    assert [file for file in read if not re.search(hook["files"], file)] == []
    monkeypatch.chdir(shop.written())
    arguments += hook.get("args", [])
    assert run(*arguments).exit_code == 2  # Nothing names the notice.
    assert run(*arguments, "--notice", "trendmicro-jp").exit_code == 0
    (shop.folder / "pyproject.toml").write_text('[tool.purposeguard]\nnotice = "trendmicro-jp"\n', "utf-8")
    assert run(*arguments).exit_code == 0
