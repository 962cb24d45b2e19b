"""A real project, built by dbt on DuckDB: it passes, and dbt reads the labels that are written back."""

from __future__ import annotations

import json
import shutil

import pytest

import purposeguard as pg
from purposeguard.adapters.dbt import Project, check
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.dbt.project import ARTIFACTS, built, dbt, essential
from tests.unit.command_line import run

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return built(tmp_path_factory.mktemp("dbt"))


def labels(folder):
    """By column of each model, its label and mark."""
    checked = check(Project.read(folder), pg.Guard(tm.NOTICE))
    assert checked.findings == []
    models = {key: outputs for key, outputs in checked.outputs.items() if key.startswith("model.")}
    assert {"model.shop.stg_devices", "model.shop.at_risk"}.isdisjoint(checked.outputs)  # they have no tables
    return {(key, one.name): one.tag for key, outputs in models.items() for one in outputs.values()}


def test_the_project_passes(project):
    result = run("dbt", "check", project)
    assert result.exit_code == 0, result.stdout


def test_the_columns_are_those_of_the_database(project):
    checked = check(Project.read(project), pg.Guard(tm.NOTICE))
    catalog = json.loads((project / "target" / "catalog.json").read_bytes())
    tables = {**catalog["nodes"], **catalog["sources"]}
    assert {key: [output.name for output in outputs.values()] for key, outputs in checked.outputs.items()} == {
        key: sorted(table["columns"], key=lambda name: table["columns"][name]["index"]) for key, table in tables.items()
    }


def test_the_other_tests_start_from_these_artifacts(project):
    assert essential(project) == json.loads(ARTIFACTS.read_text("utf-8")), "run `python -m tests.adapters.dbt.project`"


def test_dbt_reads_the_labels_that_are_written(project, tmp_path):
    before = labels(project)
    again = tmp_path / "shop"
    shutil.copytree(project, again)
    marts = again / "models" / "marts"
    for name in ("product_threats", "device_health", "orders", "stg_customers", "stg_orders"):
        assert run("dbt", "labels", project, "-o", tmp_path / "labels").exit_code == 0
        shutil.copy(tmp_path / "labels" / f"{name}.yml", marts / f"{name}.yml")
    properties = (marts / "properties.yml").read_text("utf-8")
    (marts / "properties.yml").write_text(properties.partition("  - name: device_health")[0], "utf-8")
    dbt(again, ["compile", "--no-partial-parse"])
    assert labels(again) == before
    manifest = json.loads((again / "target" / "manifest.json").read_bytes())
    told = {name: column["description"] for name, column in manifest["nodes"]["model.shop.orders"]["columns"].items()}
    assert told["amount"] == "Personal data, collected under 1.1(c) (contract)."


def test_what_is_taken_from_it_is_refused(project, tmp_path):
    again = tmp_path / "shop"
    shutil.copytree(project, again)
    (again / "models" / "marts" / "upsell.sql").write_text(
        "{{ config(alias='u') }}\n"
        "{% set who = address_of_customer() %}\n"
        "select {{ who }} from {{ ref('customers') }} c join {{ ref('device_health') }} h using (customer_id)\n",
        "utf-8",
    )
    macro = "{% macro address_of_customer() %}c.email as address{% endmacro %}"
    (again / "macros" / "address.sql").write_text(macro, "utf-8")
    (again / "models" / "marts" / "latest.sql").write_text(
        "-- depends_on: {{ ref('raw_customers') }}\n"
        "{% set found = run_query('select max(email) from ' ~ ref('raw_customers')) if execute %}\n"
        "select '{{ found.columns[0].values()[0] if execute }}' as latest\n",
        "utf-8",
    )
    exposures = again / "models" / "exposures.yml"
    exposures.write_text(
        exposures.read_text("utf-8")
        + """\
  - name: upsell_mail
    type: application
    owner: {email: crm@example.com}
    depends_on: [ref('upsell')]
    config: {meta: {purposeguard: {purpose: product-guidance, channel: email}}}
""",
        "utf-8",
    )
    dbt(again, ["compile"])
    checked = check(Project.read(again), pg.Guard(tm.NOTICE))
    purpose, query = checked.findings
    assert (purpose.rule, purpose.resource, purpose.column) == ("purpose", "upsell_mail", "upsell.address")
    assert "`telemetry.devices.customer_id`" in purpose.message
    assert "taro@example.com" in (checked.project.resources["model.shop.latest"].compiled_code or "")
    assert (query.rule, query.resource) == ("unread", "latest")
