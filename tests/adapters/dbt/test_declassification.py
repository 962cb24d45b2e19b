"""A column leaves the label of what it is made of by a declared declassification, where its SQL keeps to it."""

from __future__ import annotations

import pytest

PER_PRODUCT = (
    "select product, avg(threats) as n from {devices} group by product having count(distinct customer_id) >= 3"
)


def declassified(seeds, sql):
    tags = {"n": {"tags": "not-personal", "declassified": {"why": "figures", "at_least": 3}}}
    seeds.model("x", sql.replace("PER_PRODUCT", PER_PRODUCT), tags=tags)
    found = seeds.found()
    assert found in ([], [("declassification", "x", "n")])
    return not found


@pytest.mark.parametrize(
    "sql",
    [
        "PER_PRODUCT",
        """select product, round(avg(threats) * 100.0 / count(*), 1) as n from {devices} group by 1
        having product <> '' and count(distinct customer_id) > 2""",
        """select product, count(distinct customer_id) as n from {devices} where threats > 0 group by product
        having (count(distinct customer_id) >= 10)""",
        """select threats + 1 as n, count(*) as c from {devices} group by threats + 1
        having count(distinct customer_id) >= 3""",
        """with d as (select * from {devices}), e as (select customer_id as c, product, threats from d),
        f as (select product, sum(threats) as s from e group by product having count(distinct c) >= 3)
        select product, s as n from f order by product""",
    ],
)
def test_figures_over_enough_subjects(seeds, sql):
    assert declassified(seeds, sql)
    assert seeds.labels("x")["n"] == "not-personal"


@pytest.mark.parametrize(
    "sql",
    [
        "select product, avg(threats) as n from {devices} group by product",
        PER_PRODUCT.replace(">= 3", ">= 2"),
        PER_PRODUCT.replace("count(distinct customer_id)", "count(customer_id)"),
        PER_PRODUCT.replace("distinct customer_id", "distinct threats"),
        PER_PRODUCT.replace("distinct customer_id", "distinct customer_id + threats"),
        PER_PRODUCT.replace("distinct customer_id", "distinct customer_id, threats"),
        PER_PRODUCT.replace("having", "having true or"),
        PER_PRODUCT.replace("having", "having not"),
        PER_PRODUCT.replace("avg(threats)", "max(threats)"),
        PER_PRODUCT.replace("avg(threats)", "sum(distinct threats)"),
        PER_PRODUCT.replace("avg(threats)", "list(threats)"),
        PER_PRODUCT.replace("avg(threats)", "sum(case when customer_id = 1 then threats end)"),
        PER_PRODUCT.replace("avg(threats)", "avg(threats) filter (where customer_id = 1)"),
        PER_PRODUCT.replace("avg(threats)", "avg(threats) + any_value(threats)"),
        PER_PRODUCT.replace("avg(threats)", "avg(threats) + (select max(threats) from {devices})"),
        PER_PRODUCT.replace("group by product", "group by rollup (product)"),
        PER_PRODUCT.replace("group by product", "group by all"),
        PER_PRODUCT.replace("from {devices}", "from {devices}, {raw_orders}"),
        """with d as (select *, row_number() over () as customer_id from {devices})
        select product, avg(threats) as n from d group by product having count(distinct customer_id) >= 3""",
        """with d as (select d.threats, d.product, c.id from {devices} d, {raw_customers} c)
        select product, avg(threats) as n from d group by product having count(distinct id) >= 3""",
        """with d as (select product, customer_id, max(threats) over () as t from {devices})
        select product, avg(t) as n from d group by product having count(distinct customer_id) >= 3""",
        "with f as (PER_PRODUCT) select n from f where n > 1",
        "with f as (PER_PRODUCT) select n + 1 as n from f",
        "with f as (PER_PRODUCT) select f.n from f join {devices} d on d.product = f.product",
        "with f (n, product) as (PER_PRODUCT) select n from f",
        """with d (threats, product, customer_id) as (select customer_id, product, threats from {devices})
        select avg(threats) as n from d group by product having count(distinct customer_id) >= 3""",
        PER_PRODUCT.replace("{devices}", "{devices} as d (threats, product, customer_id)"),
        PER_PRODUCT.replace("product, avg", "upper(product) as customer_id, avg"),
        "PER_PRODUCT union all select product, threats from {devices}",
        "PER_PRODUCT order by n limit 1",
    ],
)
def test_figures_of_fewer_or_of_one(seeds, sql):
    assert not declassified(seeds, sql)
    assert "1.1(b)" in seeds.labels("x")["n"]


def test_a_source_is_not_declassified(seeds):
    seeds.tag("devices", "threats", {"tags": "not-personal", "declassified": {"why": "figures", "at_least": 3}})
    assert seeds.found() == [("declassification", "telemetry.devices", "threats")]


def test_one_subject_is_no_group(seeds):
    seeds.model("x", PER_PRODUCT, tags={"n": {"tags": "not-personal", "declassified": {"why": "x", "at_least": 1}}})
    assert seeds.found() == [("meta", "x", "")]


def test_it_says_what_the_column_is_then(seeds):
    seeds.model("x", PER_PRODUCT, tags={"n": {"declassified": {"why": "figures", "at_least": 3}}})
    assert seeds.found() == [("declassification", "x", "n")]


def test_columns_beside_it_stay_what_they_are(seeds):
    assert declassified(seeds, "PER_PRODUCT")
    assert seeds.labels("x")["product"] == "1.1(b)"


def test_so_do_the_rows(seeds):
    assert declassified(seeds, "PER_PRODUCT")
    seeds.model("y", "select count(*) as groups, max(n) as n from {x}")
    assert seeds.labels("y") == {"groups": "not-personal", "n": "not-personal"}
    seeds.model("y", "select count(*) as n from {x} where product <> ''")
    assert seeds.labels("y") == {"n": "1.1(b)"}


def test_without_it_the_declared_tag_is_too_small(seeds):
    seeds.model("x", PER_PRODUCT, tags={"n": "not-personal"})
    assert seeds.found() == [("flow", "x", "n")]
