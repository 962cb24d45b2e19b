"""A project held to the notice: labels that follow the SQL, purposes that may use them, and all that is refused."""

from __future__ import annotations

import pytest

from purposeguard.adapters.dbt import Project
from tests.adapters.dbt.conftest import WHOLE


def test_the_project_passes_as_it_is(shop):
    checked = shop.check()
    assert checked.findings == []
    assert {key for key, _ in checked.declassified} == {"model.shop.product_threats"}
    # A join, and a row for each customer: all depends on both.
    assert set(shop.labels("customers").values()) == {"1.1(a) 1.1(c)"}
    assert shop.labels("device_health") == {"customer_id": "1.1(b)", "product": "not-personal", "threats": "1.1(b)"}
    assert set(shop.labels("product_threats").values()) == {"not-personal"}
    # The version of a row is kept for a key and a column of its own.
    assert set(shop.labels("orders_history").values()) == {"1.1(c)"}


def test_advertising_may_not_use_telemetry(shop):
    shop.exposure("upsell", "device_health", meta={"purpose": "product-guidance"})
    assert shop.found() == [
        ("purpose", "upsell", "device_health.customer_id"),
        ("purpose", "upsell", "device_health.threats"),
    ]
    finding = shop.check().findings[1]
    assert finding.path.endswith("models/exposures.yml")
    assert "`telemetry.devices.threats`" in finding.message
    assert "product-improvement" in finding.help


def test_models_of_one_name_in_two_packages_are_both_used(shop):
    other = {**shop["product_threats"], "package_name": "other", "relation_name": '"shop"."other"."product_threats"'}
    other |= {
        "unique_id": "model.other.product_threats",
        "columns": {},
        "meta": {},
        "config": {"materialized": "table"},
    }
    shop.manifest["nodes"] = {"model.other.product_threats": other, **shop.manifest["nodes"]}
    shop["threat_board"]["depends_on"]["nodes"] += ["model.other.product_threats"]
    shop["threat_board"]["meta"]["purposeguard"] = {
        "purpose": "product-guidance",
        "columns": {"device_health": ["product"]},
    }
    shop["threat_board"]["config"]["meta"] = {}
    assert ("purpose", "threat_board", "product_threats.threats") in shop.found()


def test_an_exposure_uses_the_columns_that_it_names(shop):
    shop.exposure(
        "upsell", "device_health", meta={"purpose": "product-guidance", "columns": {"device_health": ["product"]}}
    )
    assert shop.found() == []
    shop.exposure(
        "upsell", "device_health", meta={"purpose": "product-guidance", "columns": {"device_health": ["threats"]}}
    )
    assert shop.found() == [("purpose", "upsell", "device_health.threats")]


def test_personal_data_is_exposed_for_a_purpose_only(shop):
    shop.exposure("board", "device_health")
    assert ("purpose", "board", "device_health.threats") in shop.found()
    shop.exposure("board", "product_threats")
    assert shop.found() == []


def test_channels_count(shop):
    shop.state("customers", {"purpose": "renewal-guidance", "channel": "pigeon"})
    assert shop.found() == [("meta", "customers.v1", "")]
    shop.state("customers", {"channel": "email"})
    assert shop.found() == [("meta", "customers.v1", "")]


def test_a_column_that_nobody_labelled_is_refused_once(shop):
    shop.tag("devices", "threats", None)
    assert shop.found() == [("untagged", "device_health", "threats")]
    shop.exposure("raw", "devices", meta={"purpose": "product-provision"})
    assert ("untagged", "raw", "telemetry.devices.threats") in shop.found()


def test_one_that_nobody_uses_is_not(shop):
    shop.catalog["sources"]["source.shop.telemetry.devices"]["columns"]["note"] = {"name": "note", "index": 9}
    assert shop.found() == []


def test_without_a_catalog_a_star_may_hold_more(shop):
    shop.catalog = None
    assert shop.found() == []  # the models of the project name what they give out
    shop.model("everything", "select * from {devices}")
    shop.model("later", "select product from {everything}")
    assert shop.found() == [("untagged", "everything", "(other columns)")]
    assert "docs generate" in shop.check().findings[0].help


@pytest.mark.parametrize(
    "sql",
    [
        "select product as p, d.* from {devices} d",
        "select count(d) as p from {devices} d",
        "select o.status as p from {raw_orders} o natural join {devices}",
        "select status as p from {raw_orders} where exists (select 1 from {devices} where amount > 3)",
        "select status as p from {devices}, {raw_orders}",
        "select product as p from (select * from {devices} order by all limit 1)",
    ],
)
def test_without_a_catalog_a_name_may_mean_another_column(seeds, sql):
    columns = {name: {"index": index} for index, name in enumerate(("id", "user_id", "order_date", "status", "amount"))}
    seeds.catalog = {"nodes": {"seed.shop.raw_orders": {"columns": columns}}}
    seeds.model("x", sql)
    assert {resource for _, resource, _ in seeds.found()} == {"x"}
    seeds.catalog["sources"] = WHOLE["catalog"]["sources"]
    assert seeds.found() == []


@pytest.mark.parametrize(
    ("sql", "labels"),
    [
        ("with a as (select email as x from {raw_customers}), b as (select * from a) select * from b", {"x": "1.1(a)"}),
        ("select status as x from {raw_orders} union all select email from {raw_customers}", {"x": "1.1(a)"}),
        (
            "select status, row_number() over (partition by status order by amount) as n from {raw_orders}",
            {"status": "not-personal", "n": "1.1(c)"},
        ),
        ("select status from {raw_orders} where amount > 10", {"status": "1.1(c)"}),
        ("select 1 as n where exists (select 1 from {devices} where threats > 3)", {"n": "1.1(b)"}),
        ("select distinct status from {raw_orders} order by status", {"status": "not-personal"}),
        ('select "Email" as "x" from SHOP.main."RAW_CUSTOMERS"', {"x": "1.1(a)"}),
        (
            "select * from (select * exclude (email) from {raw_customers}) as c (a, b, c)",
            {"a": "1.1(a)", "b": "1.1(a)", "c": "1.1(a)"},
        ),
    ],
)
def test_labels_follow_the_sql(seeds, sql, labels):
    seeds.model("x", sql, "raw_customers")
    assert seeds.found() == []
    assert seeds.labels("x") == labels


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) as n from {busy}",
        "select 1 as n from {raw_orders} where exists (select 1 from {busy})",
        "select 1 as n from {raw_orders}, {busy}",
        "with b as (select * from {busy}) select (select count(*) from b) as n",
    ],
)
def test_which_rows_a_model_has_counts_too(seeds, sql):
    seeds.model("busy", "select product from {devices} where threats > 10")
    seeds.model("x", sql)
    assert seeds.labels("x") == {"n": "1.1(b)"}
    seeds.model("y", "select count(*) as n from {x}")
    assert seeds.labels("y") == {"n": "1.1(b)"}
    seeds.exposure("e", "busy", meta={"purpose": "product-guidance", "columns": {"busy": []}})
    assert seeds.found() == [("purpose", "e", "busy")]


def test_tables_are_told_by_their_whole_name(seeds):
    seeds.model("x", "select email from {raw_customers}", relation_name='"Other"."main"."customers"')
    seeds.model("y", "select * from other.main.customers", "x")
    assert seeds.found() == []
    assert seeds.labels("y") == {"email": "1.1(a)"}


def test_declared_tags_cover_what_flows_in(seeds):
    seeds.model("x", "select email from {raw_customers}", tags={"email": "not-personal"})
    assert seeds.found() == [("flow", "x", "email")]
    seeds.model("x", "select email from {raw_customers}", meta="not-personal")
    assert seeds.found() == [("flow", "x", "email")]
    seeds.model("x", "select email from {raw_customers}", tags={"email": ["1.1(a)", "1.1(b)"]})
    assert seeds.found() == []
    seeds.model("y", "select email from {x}", meta={"purpose": "product-guidance"})
    assert seeds.found() == [("purpose", "y", "email")]  # as declared
    assert "`x.email`" in seeds.check().findings[0].message


def test_a_table_that_reads_its_own_past(seeds):
    own = {"materialized": "incremental"}
    sql = "select o.status, o.amount as a from {raw_orders} o left join {x} t on t.status = o.status where t.a is null"
    seeds.model("x", sql, config=own)
    assert seeds.labels("x") == {"status": "1.1(c)", "a": "1.1(c)"}
    seeds.model("x", "select status from {raw_orders} where status > (select max(old) from {x})", config=own)
    assert seeds.found() == [("untagged", "x", "status")]


def test_a_table_that_reads_all_of_its_past(seeds):
    swapped = "select id, amount as a from {raw_orders} union all select v, u from (select * from {x}) as t (u, v)"
    seeds.tag("raw_orders", "id", "not-personal")
    seeds.model("x", swapped, config={"materialized": "incremental"})
    assert {rule for rule, _, _ in seeds.found()} == {"untagged"}
    columns = {name: {"index": index} for index, name in enumerate(("id", "a"))}
    seeds.catalog["nodes"]["model.shop.x"] = {"columns": columns}
    assert seeds.labels("x") == {"id": "1.1(c)", "a": "1.1(c)"}


def test_a_table_that_keeps_columns_of_its_past(seeds):
    seeds.model("x", "select status from {raw_orders}", config={"materialized": "incremental"})
    seeds.catalog["nodes"]["model.shop.x"] = {"columns": {"email": {"name": "email", "index": 1}}}
    assert seeds.found() == [("untagged", "x", "email")]


def test_columns_of_an_unknown_past_are_refused_where_they_are_used(seeds, shop):
    config = {"materialized": "incremental", "on_schema_change": "append_new_columns"}
    seeds.model("x", "select status from {raw_orders}", config=config)
    assert seeds.found() == []
    seeds.model("y", "select status from {x}")
    assert seeds.found() == []
    seeds.model("y", "select * from {x}")
    assert seeds.found() == [("untagged", "y", "(other columns)")]
    seeds.model("y", "select status from {x}")
    seeds.exposure("e", "x", meta={"purpose": "product-provision"})
    assert seeds.found() == [("untagged", "e", "x.(other columns)")]
    seeds.catalog["nodes"]["model.shop.x"] = {"columns": {"status": {"index": 1}}}
    assert seeds.found() == []


def test_what_decides_which_rows_are_kept_counts(seeds):
    seeds.model(
        "x", "select id, status from {raw_orders}", config={"materialized": "incremental", "unique_key": ["id"]}
    )
    assert seeds.labels("x") == {"id": "1.1(c)", "status": "1.1(c)"}


def test_python_gives_all_that_it_reads(seeds):
    seeds.model("x", "import pandas", "raw_customers", language="python")
    seeds.catalog["nodes"]["model.shop.x"] = {"columns": {"n": {"name": "n", "index": 1}}}
    assert seeds.found() == [("untagged", "x", "n")]
    seeds.tag("x", "n", "not-personal")
    assert seeds.found() == [("flow", "x", "n")]
    seeds.tag("x", "n", "1.1(a)")
    assert seeds.found() == []
    del seeds.catalog["nodes"]["model.shop.x"]
    assert seeds.found() == [("untagged", "x", "(other columns)")]


MAIL = "select email from {raw_customers}"


@pytest.mark.parametrize(
    ("sql", "more"),
    [
        ("", {}),
        ("select email from raw_customers", {}),
        ('select email from "shop"."main"."raw_customers"', {}),
        ("select email, id as email from {raw_customers}", {}),
        ("select count(*) from {raw_customers}", {}),
        ("select unheard_of(email) as x from {raw_customers}", {}),
        ("select 1 as n; select 2 as n", {}),
        ("delete from {raw_customers}", {}),
        (MAIL, {"config": {"materialized": "of_our_own"}}),
        (MAIL, {"config": {"sql_header": "create temp function f() as (1)"}}),
        (MAIL, {"config": {"materialized": "incremental", "incremental_predicates": ["true"]}}),
        (MAIL, {"config": {"pre-hook": [{"sql": "insert into other select * from {{ this }}"}]}}),
        (MAIL, {"config": {"post-hook": [{"sql": "grant select on {{ this }} to all; drop table other"}]}}),
        (MAIL, {"relation_name": '"shop"."a.b"."x"'}),
        (MAIL, {"relation_name": '"shop"."main"."raw_orders"'}),
        (MAIL, {"relation_name": None}),
        (MAIL, {"relation_name": None, "config": {"materialized": "ephemeral"}, "meta": "1.1(a)"}),
    ],
)
def test_what_cannot_be_read_is_refused(seeds, sql, more):
    seeds.model("x", sql, **more)
    assert [(rule, resource) for rule, resource, _ in seeds.found()] == [("unread", "x")]


def test_hooks_that_move_nothing_pass_and_others_are_trusted(seeds):
    seeds.model("x", MAIL, config={"post-hook": [{"sql": "GRANT select ON {{ this }} TO {{ target.role }};"}]})
    assert seeds.found() == []
    seeds.model("x", MAIL, config={"post-hook": [{"sql": "{{ publish(this) }}"}]})
    operation = {**seeds["x"], "resource_type": "operation", "name": "x", "raw_code": "{{ copy_all() }}"}
    seeds.manifest["nodes"]["operation.shop.x"] = {**operation, "unique_id": "operation.shop.x", "compiled_code": None}
    assert {rule for rule, _, _ in seeds.found()} == {"unread"}
    assert len(seeds.found()) == 2
    assert seeds.found(trust_hooks=True) == []


def test_queries_of_jinja_are_refused(seeds):
    def macro(name, sql, *calls):
        called = [f"macro.shop.{one}" for one in calls]
        found = {"name": name, "macro_sql": sql, "depends_on": {"macros": called}}
        seeds.manifest.setdefault("macros", {})[f"macro.shop.{name}"] = found

    macro("statement", "{% do adapter.execute(caller()) %}")
    macro("values_of", "{{ run_query(x) }}", "statement")
    macro("spine", "{{ values_of(x) }}", "values_of")
    macro("star", "{{ adapter.get_columns_in_relation(x) }}")
    more = {"language": "sql", "raw_code": "{{ spine() }}"}
    for name, refused in (("spine", True), ("star", False)):
        seeds.model("x", "select 'taro@example.com' as x", **more)
        seeds["x"]["depends_on"]["macros"] = [f"macro.shop.{name}"]
        assert seeds.found() == ([("unread", "x", "")] if refused else [])
    seeds["x"]["depends_on"]["macros"] = ["macro.shop.spine"]
    assert seeds.found(trusted_macros={"values_of"}) == []
    seeds.model("x", "select 'taro@example.com' as x", raw_code="{% set r = adapter.execute('select email from x') %}")
    assert seeds.found() == [("unread", "x", "")]


def test_tests_that_store_rows_are_refused(shop):
    key = next(key for key in shop.manifest["nodes"] if key.startswith("test."))
    shop.manifest["nodes"][key]["config"]["store_failures"] = True
    assert [rule for rule, _, _ in shop.found()] == ["unread"]


def test_names_that_differ_in_case_alone_are_refused(shop):
    shop.tag("raw_customers", "Email", "not-personal")
    assert ("unread", "raw_customers", "") in shop.found()
    shop.manifest["metadata"]["adapter_type"] = "snowflake"
    shop.manifest["nodes"], shop.manifest["exposures"] = {}, {}
    shop["devices"]["relation_name"] = "SHOP.MAIN.DEVICES"
    columns = {name: {"name": name, "index": 1} for name in ("EMAIL", "email")}
    shop.catalog["sources"] = {"source.shop.telemetry.devices": {"columns": columns}}
    assert shop.found() == [("unread", "telemetry.devices", "")]


def test_a_catalog_without_columns_tells_nothing(seeds):
    seeds.catalog["sources"]["source.shop.telemetry.devices"]["columns"] = {}
    seeds.model("x", "select * from {devices}")
    assert ("untagged", "x", "(other columns)") in seeds.found()


def test_other_resources_are_refused(shop):
    query = {**shop["renewal_mail"], "unique_id": "saved_query.shop.q", "name": "q", "exports": [{"name": "q"}]}
    shop.manifest["saved_queries"] = {"saved_query.shop.q": query}
    assert shop.found() == [("unread", "q", "")]
    shop.manifest["saved_queries"] = {}
    shop["renewal_mail"]["depends_on"]["nodes"].append("metric.shop.revenue")
    assert shop.found() == [("unread", "renewal_mail", "")]


@pytest.mark.parametrize(
    "meta",
    [
        1.1, [], "1.9(z)", ["1.1(a)", "by-row"], "collected", {"source": "1.1(a)"}, {"tags": 1},
        {"declassified": {"why": " "}},
    ],
)  # fmt: skip
def test_malformed_tags_are_refused(seeds, meta):
    seeds.tag("raw_customers", "first_name", meta)
    assert ("meta", "raw_customers") in {(rule, resource) for rule, resource, _ in seeds.found()}


def test_tags_that_differ_in_two_places_are_refused(shop):
    shop["raw_customers"]["columns"]["email"]["meta"]["purposeguard"] = "not-personal"
    assert ("meta", "raw_customers", "") in shop.found()


def test_names_that_are_not_there_are_refused(shop):
    shop.tag("raw_customers", "emial", "1.1(a)")
    shop.exposure(
        "mail", "customers", meta={"purpose": "renewal-guidance", "columns": {"customers": ["emial"], "x": []}}
    )
    shop.exposure("call", "customers", meta={"purpose": "renewal"})
    assert set(shop.found()) == {
        ("meta", "raw_customers", "emial"),
        ("meta", "mail", "customers.v1.emial"),
        ("meta", "mail", ""),
        ("meta", "call", ""),
    }


def test_artifacts_of_others_are_refused(shop):
    for key, value in (
        ("adapter_type", "oracle"),
        ("dbt_schema_version", "https://schemas.getdbt.com/dbt/manifest/v9.json"),
    ):
        before, shop.manifest["metadata"][key] = shop.manifest["metadata"][key], value
        with pytest.raises(ValueError, match=r"oracle|manifest/v9"):
            Project.read(shop.written())
        shop.manifest["metadata"][key] = before
    del shop.manifest["nodes"]
    with pytest.raises(ValueError, match="nodes: Field required"):
        Project.read(shop.written())


@pytest.mark.parametrize(
    ("adapter", "names", "column"),
    [
        ("snowflake", ("SHOP.MAIN.T", "shop.Main.t"), "EMAIL"),
        ("bigquery", ("`my-shop`.`main`.`t`", "`my-shop.main.t`"), "Email"),
        ("postgres", ('"shop"."main"."t"', "Shop.main.T"), "email"),
        ("databricks", ("`shop`.`main`.`t`", "Shop.main.t"), "email"),
    ],
)
def test_names_are_compared_as_the_warehouse_does(shop, adapter, names, column):
    told, written = names
    shop.manifest["metadata"]["adapter_type"] = adapter
    shop.manifest["nodes"], shop.manifest["exposures"], shop.catalog = {}, {}, {}
    shop["devices"].update(relation_name=told, columns={})
    shop.tag("devices", column, "1.1(a)")
    shop.model(
        "x",
        "select EMAIL as Address from T".replace("T", written),
        "devices",
        relation_name=told.replace("t", "x").replace("T", "X"),
    )
    assert shop.found() == []
    assert {name.lower(): label for name, label in shop.labels("x").items()} == {"address": "1.1(a)"}


def test_a_hundred_models(seeds):
    before = "raw_orders"
    for number in range(100):
        sql = "with s as (select * from {BEFORE}) select s.*, count(*) over (partition by status) as NAME from s"
        seeds.model(f"m{number}", sql.replace("BEFORE", before).replace("NAME", f"n{number}"))
        before = f"m{number}"
    assert seeds.labels(before)["amount"] == "1.1(c)"


FILE = """\
["table devices"]
threats = "1.1(b)"
product = "undecided"

["table shop.telemetry.devices"]
product = "not-personal"

["table telemetry.*"]
CUSTOMER_ID = { source = "1.1(b)", subject = true }

["table health"]
product = { source = "undecided" }
"""


def test_the_file_of_tags_completes_meta(shop, tmp_path):
    before = {name: shop.labels(name) for name in ("devices", "device_health", "product_threats")}
    for column in ("customer_id", "product", "threats"):
        shop.tag("devices", column, None)
    assert ("untagged", "device_health", "threats") in shop.found()
    shop.tags = tmp_path / "tags.toml"
    shop.tags.write_text(FILE, "utf-8")
    assert shop.found() == []
    assert {name: shop.labels(name) for name in before} == before
    # `product_threats` counts the subjects that the file marks.
    assert {key for key, _ in shop.check().declassified} == {"model.shop.product_threats"}


def test_the_file_of_tags_and_meta_agree(shop, tmp_path):
    shop.tags = tmp_path / "tags.toml"
    shop.tags.write_text('["table *.devices"]\nthreats = "1.1(b)"\nproduct = "1.1(c)"\n', "utf-8")
    assert ("meta", "telemetry.devices", "product") in shop.found()
    (finding,) = (finding for finding in shop.check().findings if finding.rule == "meta")
    assert f"{shop.tags}:3:1" in finding.message
    shop.state("devices", "1.1(c)")  # The tag of a table is that of its columns without one.
    shop.tag("devices", "threats", None)
    assert ("meta", "telemetry.devices", "threats") in shop.found()


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ('"by-row"', "rows are not decided one by one here"),
        ('{ source = "1.1(b)", collected = true }', "rows are not decided one by one here"),
        ('{ source = "undecided", subject = true }', "decide its source"),
    ],
)
def test_the_file_of_tags_decides_no_rows(shop, tmp_path, tag, why):
    shop.tag("devices", "threats", None)
    shop.tags = tmp_path / "tags.toml"
    shop.tags.write_text(f'["table devices"]\nthreats = {tag}\n', "utf-8")
    (finding,) = (finding for finding in shop.check().findings if finding.rule == "meta")
    assert (finding.resource, finding.column) == ("telemetry.devices", "threats")
    assert why in finding.message
