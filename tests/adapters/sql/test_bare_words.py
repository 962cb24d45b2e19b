"""Words that are functions or keywords to the parser, and names of columns to an engine.

Each is tried on the engine itself: what it reads for the word counts, whatever the standard says.
"""

from __future__ import annotations

from typing import Final

import pytest
from sqlglot.dialects.dialect import Dialect

from purposeguard.adapters.sql import DIALECTS, analyse
from purposeguard.adapters.sql.functions import words
from purposeguard.adapters.sql.lineage import read_statement as parse
from purposeguard.adapters.sql.rows import narrow_statement
from purposeguard.adapters.sql.tags import Catalog
from purposeguard.errors import UnresolvedStatement
from tests.adapters.sql.engines import Engine

WORDS = sorted(
    words(
        "current_catalog current_date current_datetime current_role current_schema current_time current_timestamp "
        "current_user epoch false fetch for limit_ localtime localtimestamp map now oid qualify rowid _rowid_ sample "
        "session_user tablesample today true unknown user utc_date utc_timestamp value year"
    )
)
"""Of some hundred keywords and functions that were tried, those of which engines disagree, and a few others."""

NAMED = [
    "SELECT {} FROM t", "SELECT ({}) FROM t", "SELECT upper({}) FROM t", "SELECT coalesce(NULL, {} || '') FROM t",
    "SELECT (SELECT {}) FROM t", "SELECT t.{} FROM t", "SELECT {0} FROM (SELECT {0} FROM t) AS q",
    "SELECT {0} FROM (SELECT ({0}), id FROM t) AS q", "WITH q AS (SELECT * FROM t) SELECT max({0}) FROM q",
    "SELECT CASE {} WHEN 'secret' THEN 'SECRET' END FROM t",
    "SELECT CASE WHEN {} IN ('secret') THEN 'SECRET' END FROM t",
    "SELECT 'SECRET' FROM t WHERE {} = 'secret' ORDER BY {}",
    "SELECT 'SECRET' FROM t WHERE {} LIKE 'secr%' GROUP BY {}",
    "SELECT 'SECRET' FROM t GROUP BY id HAVING max({}) = 'secret'",
    "SELECT 'SECRET' FROM t JOIN (SELECT 1 AS n) AS q ON {} = 'secret'",
]  # fmt: skip
"""Queries that give a secret, or say that it is one, where the word is the column of this name."""

RENAMED = [
    "SELECT {0} FROM (SELECT word AS {0} FROM t) AS q", "SELECT {0} FROM (SELECT word {0} FROM t) AS q",
    'SELECT upper({0}) FROM (SELECT word AS "{0}" FROM t) AS q', 'SELECT "{0}" FROM (SELECT word {0} FROM t) AS q',
    'SELECT word AS "{0}", upper({0}) FROM t', "SELECT {0}.word FROM t {0}", "SELECT {0}.* FROM t AS {0}",
    'SELECT {0} FROM t AS "{0}"', "SELECT {0} FROM (SELECT COLUMNS('w.*') AS \"{0}\" FROM t) AS q",
    "WITH {0} AS (SELECT word AS w FROM t) SELECT w FROM {0}",
]  # fmt: skip
"""The same, where only the statement calls something so."""


def gives(engine: Engine, text: str) -> bool:
    """Whether the engine gives the secret."""
    try:
        return "SECRET" in repr(engine.run(text)).upper()
    except engine.errors:
        return False


def reads(engine: Engine, text: str, column: str) -> bool | None:
    """Whether the analysis says that the column is used; None where it refuses the statement."""
    try:
        return column in analyse(text, {"t": ["id", column]}, engine.dialect).used.get("t", ())
    except UnresolvedStatement:
        return None


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_the_column_that_the_engine_reads(engine: Engine, word: str):
    engine.run(f'CREATE TEMP TABLE t (id INTEGER, "{word}" TEXT)')
    engine.run("INSERT INTO t VALUES (1, 'secret')")
    for text in NAMED:
        text = text.replace("{0}", word).replace("{}", word)  # noqa: PLW2901  # with the word
        assert not gives(engine, text) or reads(engine, text, word) is not False, text


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_what_the_statement_calls_so(engine: Engine, word: str):
    engine.run("CREATE TEMP TABLE t (id INTEGER, word TEXT)")
    engine.run("INSERT INTO t VALUES (1, 'secret')")
    for text in RENAMED:
        text = text.replace("{0}", word)  # noqa: PLW2901  # with the word
        assert not gives(engine, text) or reads(engine, text, "word") is not False, text


CLAUSE_WORDS: Final = words("fetch for map qualify tablesample")
"""Keywords that the parser takes for no name in a list of columns."""


@pytest.mark.parametrize("word", [word for word in WORDS if word not in CLAUSE_WORDS])
def test_a_word_is_the_column_that_the_engine_writes(engine: Engine, word: str):
    engine.run(f'CREATE TEMP TABLE t (id INTEGER, "{word}" TEXT)')
    catalogue = Catalog({"t": ["id", word]}, engine.dialect)
    for text in (f"INSERT INTO t (id, {word}) VALUES (1, 'x')", f"UPDATE t SET {word} = 'y' WHERE id = 1"):  # noqa: S608
        try:
            engine.run(text)
        except engine.errors:
            continue
        found = parse(text, catalogue)
        assert word in found.analysis.writes
        engine.run(narrow_statement(found, catalogue, {}))  # It is written down as it was read.
        assert engine.run(f'SELECT "{word}" FROM t LIMIT 1') in ([("x",)], [("y",)])  # noqa: S608  # words of ours


READ = {
    "duckdb": "current_catalog current_date current_time current_timestamp current_user localtime localtimestamp "
    "session_user",
    "sqlite": "current_user false true",
    "postgres": "",
}


def test_some_engines_read_a_column_before_a_function(engine: Engine):
    for word in READ[engine.dialect].split():
        engine.run(f'CREATE TEMP TABLE t (id INTEGER, "{word}" TEXT)')
        engine.run("INSERT INTO t VALUES (1, 'secret')")
        text = f"SELECT {word} FROM t"  # noqa: S608  # words of ours
        assert engine.run(text) == [("secret",)]
        assert reads(engine, text, word)
        # Where no column is called so it is the function, or the constant.
        engine.run("DROP TABLE t")
        assert not analyse(text, {"t": ["id"]}, engine.dialect).used


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_function_that_the_parser_reads_without_brackets_asks_for_a_column(dialect: str):
    engine = Dialect.get_or_raise(dialect)
    kinds = engine.parser_class.NO_PAREN_FUNCTIONS
    bare = [text.lower() for text, kind in engine.tokenizer_class.KEYWORDS.items() if kind in kinds]
    assert "current_user" in bare
    for word in bare:
        for text in (f"SELECT {word} FROM t", f"SELECT 1 FROM t WHERE {word} IS NULL"):  # noqa: S608  # words
            assert analyse(text, {"t": [word]}, dialect).used == {"t": {word}}


def test_a_word_without_brackets_is_what_is_written_for_a_function_with_some():
    # What is narrowed is written down anew, and DuckDB would then read the column.
    assert analyse("SELECT current_date() FROM t", {"t": ["current_date"]}, "duckdb").used


CLAUSES = [
    ("sqlite", "SELECT fetch FROM t"),
    ("sqlite", "SELECT word fetch FROM t"),
    ("sqlite", "SELECT (SELECT tablesample) FROM t"),
    ("spark", "SELECT fetch FROM t"),
    ("bigquery", "SELECT word FROM t FETCH FIRST 1 ROW ONLY"),
    ("snowflake", "SELECT word FROM t FETCH FIRST ROW ONLY"),
    ("mysql", "SELECT word FROM t QUALIFY word = 1"),
    ("postgres", "SELECT word FROM t QUALIFY word = 1"),
]


@pytest.mark.parametrize(("dialect", "text"), CLAUSES, ids=range(len(CLAUSES)))
def test_a_clause_that_the_engine_does_not_have_is_refused(dialect: str, text: str):
    with pytest.raises(UnresolvedStatement):
        analyse(text, {"t": ["id", "word", "fetch", "tablesample"]}, dialect)


def test_rows_are_fetched_where_the_engine_does():
    for dialect in ("postgres", "duckdb", "snowflake"):
        found = analyse("SELECT id FROM t ORDER BY word FETCH FIRST 2 ROWS ONLY", {"t": ["id", "word"]}, dialect)
        assert found.used == {"t": {"id", "word"}}
