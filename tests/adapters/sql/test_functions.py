"""Functions that are let pass: each that the parser knows was looked at, and those of a dialect are its own."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import textwrap
from collections.abc import Iterable
from typing import Any, Final

import duckdb
import pytest
from sqlglot import exp

from purposeguard.adapters.sql import functions
from purposeguard.adapters.sql.scopes import DIALECTS
from purposeguard.adapters.sql.values import ValueReader
from purposeguard.errors import PurposeGuardError, UnresolvedStatement
from tests.adapters.sql.shop import read
from tests.adapters.sql.summary import NAME, Property

KNOWN = {one for one in vars(exp).values() if isinstance(one, type) and issubclass(one, exp.Func)}


def test_every_function_of_the_parser_was_looked_at():
    """A new release may know more: each is added to those that are harmless, or to those that are refused."""
    looked_at = (
        {one.__name__ for one in functions.HARMLESS} | functions.REFUSED | {one.__name__ for one in ValueReader.readers}
    )
    assert {one.__name__ for one in KNOWN if not one.__name__.startswith("_")} <= looked_at


def test_what_is_refused_is_not_let_pass():
    refused = {one for one in KNOWN if one.__name__ in functions.REFUSED}
    assert not refused & functions.HARMLESS
    assert not refused & functions.TABLE_FUNCTIONS


def test_each_dialect_has_its_names():
    assert set(functions.NAMED) == set(functions.NAMED_TABLE_FUNCTIONS) == set(DIALECTS)


def let_pass(dialect: str) -> frozenset[str]:
    return functions.NAMED[dialect] | functions.NAMED_TABLE_FUNCTIONS[dialect]


def is_read(dialect: str, name: str) -> bool:
    """True if a call is read, with however many arguments, as a value or as a table."""
    calls = [f"{name}({', '.join(['id'] * count)})" for count in range(5)]
    for text in [query.format(call) for call in calls for query in ("SELECT {} FROM customer", "SELECT * FROM {}")]:
        with contextlib.suppress(PurposeGuardError):
            read(dialect, text)
            return True
    return False


def counted(dialect: str, names: Iterable[str], record: Property) -> float:
    """Returns the share of these functions that the adapter reads, and adds a line with the others to the summary."""
    every = {name.lower() for name in names if name.isidentifier() and not name.startswith("_")}
    unread = sorted(name for name in every if not is_read(dialect, name))
    others = textwrap.shorten(", ".join(unread), 70, placeholder=" …")
    record(NAME, f"{dialect:<10} {len(every) - len(unread):>4} of {len(every)} functions are read; not {others}")
    return 1 - len(unread) / len(every)


INNOCUOUS: Final = 0x200000
"""SQLite's mark of functions that do nothing but return a value."""


def test_functions_of_sqlite_are_innocuous_to_it(record_property: Property):
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        rows = connection.execute("SELECT name, flags FROM pragma_function_list WHERE builtin").fetchall()
    innocuous = {name for name, flags in rows if flags & INNOCUOUS}
    assert not let_pass("sqlite") & ({name for name, _ in rows} - innocuous)
    assert counted("sqlite", innocuous, record_property) > 0.9


CHANCE_OF_DUCKDB: Final = {"error", "gen_random_uuid", "random", "uuid", "uuidv4", "uuidv7", "vector_type"}
"""Functions with side effects: they draw at random, end the query with the text that they are given, or tell in what
layout a value is kept in memory."""

CATALOGUE_OF_DUCKDB: Final = re.compile(
    r"pg_|inet_|(icu_)?collate_|__|has_.*_privilege|.*_description|current_|txid_|get_block|in_search_path"
)
"""Names of functions of the catalogue, the session, the engine itself, and one for each language."""


def test_functions_of_duckdb_are_its_own_and_read_nothing(record_property: Property):
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT lower(function_name), function_type, has_side_effects, macro_definition FROM duckdb_functions() "
            "WHERE internal"
        ).fetchall()
    named = {name.lower() for name in functions.NAMED["duckdb"]}
    values = [row for row in rows if row[1] in {"scalar", "aggregate", "macro", "window"}]
    # Those of rows are let pass in place of values only where there is a function of values of the name, too.
    others = {name for name, *_ in rows} - {name for name, *_ in values}
    assert not named & others
    assert named & {name for name, _, effects, _ in values if effects} <= CHANCE_OF_DUCKDB
    assert not [name for name, _, _, body in values if name in named and re.search(r"(?i)\bfrom\b", body or "")]
    pure = {name for name, _, effects, _ in values if not effects and name.isidentifier()}
    pure = {name for name in pure if not CATALOGUE_OF_DUCKDB.match(name)}
    assert counted("duckdb", pure, record_property) > 0.9


CHANCE_OF_POSTGRES: Final = {
    *("array_sample", "array_shuffle", "clock_timestamp", "gen_random_uuid", "random", "random_normal", "timeofday"),
    *("uuidv4", "uuidv7"),
}
"""Volatile functions: they draw at random, or tell the time."""

BY_NUMBER: Final = {"int8", "max", "min"}
"""Functions of the numbers of catalogue entries that take them for numbers."""

OF_POSTGRES: Final = """
    SELECT proname, lanname, provolatile::text, proargtypes::regtype[]::text[],
      coalesce(pg_get_function_sqlbody(p.oid), prosrc),
      prokind = 'a' OR lanname = 'internal' AND provolatile = 'i'
      AND NOT proargtypes::oid[] && '{internal,cstring,oid,name,aclitem,xid}'::regtype[]::oid[]
      AND NOT EXISTS (SELECT FROM pg_operator WHERE oprcode = p.oid)
      AND NOT EXISTS (SELECT FROM pg_cast WHERE castfunc = p.oid)
      AND NOT EXISTS (SELECT FROM pg_aggregate WHERE p.oid IN (aggtransfn, aggfinalfn, aggcombinefn, aggminvtransfn))
      AND NOT EXISTS (SELECT FROM pg_amproc WHERE amproc = p.oid)
      AND NOT EXISTS (SELECT FROM pg_type WHERE p.oid IN (typinput, typoutput, typreceive, typsend))
      AND coalesce(obj_description(p.oid, 'pg_proc'), '') !~ '^(implementation of|internal|deprecated|I/O)'
    FROM pg_proc AS p JOIN pg_language AS l ON l.oid = prolang WHERE pronamespace = 'pg_catalog'::regnamespace
"""
"""Each function, and whether it is one that people call, and gives the same for the same arguments."""


def test_functions_of_postgres_are_its_own_and_read_nothing(postgresql_url: str, record_property: Property):
    import psycopg

    with psycopg.connect(postgresql_url) as connection:
        rows = connection.execute(OF_POSTGRES).fetchall()
    own = [row for row in rows if row[0] in let_pass("postgres")]
    assert {name for name, _, volatile, *_ in own if volatile == "v"} <= CHANCE_OF_POSTGRES
    # No argument names a table, a query or an object of the catalogue.
    told = {name for name, _, _, types, *_ in own if {"oid", "regclass", "regproc", "refcursor", "tid"} & {*types}}
    assert told <= BY_NUMBER
    for _, language, _, _, body, _ in own:
        assert language in {"internal", "sql"}
        if language == "sql":  # it calls others, and reads no more than they do
            text = re.sub(r"(?i)^(RETURN|SELECT)\b", "SELECT", body.replace("pg_catalog.", ""))
            assert not read("postgres", text).used
    pure = {name for name, *_, called in rows if called}
    assert counted("postgres", pure, record_property) > 0.85
    assert all(is_read("postgres", f"pg_catalog.{name}") for name in pure & let_pass("postgres"))


IMPURE_OF_SPARK: Final = {
    *("input_file_name", "java_method", "reflect", "try_reflect", "from_avro", "from_protobuf", "to_avro", "measure"),
    *("collations", "python_worker_logs", "sql_keywords", "counter_diff", "current_path"),
}
"""Functions that call others by their names, read files, or tell of the engine."""


def test_functions_of_spark_read_nothing(spark: Any, record_property: Property):
    names = {row[0] for row in spark.sql("SHOW SYSTEM FUNCTIONS").collect()}
    assert not let_pass("spark") & IMPURE_OF_SPARK
    assert counted("spark", names - IMPURE_OF_SPARK, record_property) > 0.75


@pytest.mark.parametrize("name", ["nextval", "currval", "getvariable", "current_setting", "write_log", "query"])
def test_what_reads_or_changes_something_else_is_refused(name: str):
    with pytest.raises(UnresolvedStatement, match=name):
        read("duckdb", f"SELECT {name}('x')")


def test_a_function_that_was_told_may_stand_for_rows_too():
    found = read("postgres", "SELECT x.a FROM orders, my_rows(items) AS x (a)", {"my_rows"})
    assert found.used == {"orders": {"items"}}
    assert found.outputs == {"a": {("orders", "items")}}
