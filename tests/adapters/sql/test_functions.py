"""Functions that are let pass: each that the parser knows was looked at, and those of a dialect are its own."""

from __future__ import annotations

import duckdb
import pytest
from sqlglot import exp

from purposeguard.adapters.sql import functions
from purposeguard.adapters.sql.scopes import DIALECTS
from purposeguard.adapters.sql.values import SPECIAL
from purposeguard.errors import UnresolvedStatement
from tests.adapters.sql.shop import read

KNOWN = {one for one in vars(exp).values() if isinstance(one, type) and issubclass(one, exp.Func)}


def test_every_function_of_the_parser_was_looked_at():
    """A new release may know more: each is added to those that are harmless, or to those that are refused."""
    looked_at = {one.__name__ for one in functions.HARMLESS} | functions.REFUSED | {one.__name__ for one in SPECIAL}
    assert {one.__name__ for one in KNOWN if not one.__name__.startswith("_")} <= looked_at


def test_what_is_refused_is_not_let_pass():
    refused = {one for one in KNOWN if one.__name__ in functions.REFUSED}
    assert not refused & functions.HARMLESS
    assert not refused & functions.TABLE_FUNCTIONS


def test_each_dialect_has_its_names():
    assert set(functions.NAMED) == set(functions.NAMED_TABLE_FUNCTIONS) == set(DIALECTS)


def test_what_is_let_pass_of_duckdb_is_its_own_and_reads_nothing():
    connection = duckdb.connect()
    rows = connection.execute("SELECT function_name, function_type FROM duckdb_functions()").fetchall()
    tables = {name for name, kind in rows if kind in {"table", "table_macro", "pragma"}}
    values = {name for name, kind in rows if kind in {"scalar", "aggregate", "macro"}}
    let_pass = functions.NAMED["duckdb"]
    # Those of rows are let pass in place of values only where there is a function of values of the name, too.
    assert not {name for name in let_pass & tables if name not in values}
    assert not {
        name for name in let_pass if name.startswith(("read_", "pg_", "duckdb_", "pragma_", "query", "get_env"))
    }


@pytest.mark.parametrize("name", ["nextval", "currval", "getvariable", "current_setting", "write_log", "query"])
def test_what_reads_or_changes_something_else_is_refused(name: str):
    with pytest.raises(UnresolvedStatement, match=name):
        read("duckdb", f"SELECT {name}('x')")


def test_a_function_that_was_told_may_stand_for_rows_too():
    found = read("postgres", "SELECT x.a FROM orders, my_rows(items) AS x (a)", {"my_rows"})
    assert found.used == {"orders": {"items"}}
    assert found.outputs == {"a": {("orders", "items")}}
