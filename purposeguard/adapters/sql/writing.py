"""Statements written from their trees, so that an engine gives them the meaning of the original text."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.generators.duckdb import DuckDBGenerator

from purposeguard.adapters.sql.scopes import DIALECTS
from purposeguard.containers import drop_none
from purposeguard.errors import UnresolvedStatement


def write_as_parsed(tree: exp.Expr, dialect: str) -> str:
    """Write a parsed statement in its own dialect, so that the engine gives it the meaning of the original text.

    Args:
        tree: The statement as the parser read it. It is not changed.
        dialect: The dialect that it was read in.

    Raises:
        UnresolvedStatement: The parser cannot write the statement.
    """
    copy = tree.copy()
    keep_calls(copy, dialect)
    text = write_tree(copy, dialect)
    if text is None:
        raise UnresolvedStatement(f"the statement cannot be written down again in {dialect}, which is how it runs")
    return text


def write_tree(tree: exp.Expr, dialect: str) -> str | None:
    """Write a tree whose calls are kept already. Return None if the parser cannot write it."""
    if dialect == "sqlite":
        _keep_casts(tree)
    if dialect == "postgres":
        _keep_precision(tree)
    try:
        if dialect == "duckdb":
            text = _DuckDBWriter(dialect=dialect, unsupported_level=ErrorLevel.RAISE, comments=False).generate(tree)
        else:
            text = tree.sql(dialect=dialect, unsupported_level=ErrorLevel.RAISE, comments=False)
    except (SqlglotError, RecursionError, ValueError):
        return None
    return text.replace("INSERT OR REPLACE", "REPLACE", 1) if dialect == "mysql" else text


class _Match(exp.Expression, exp.Binary):  # pyright: ignore[reportPrivateImportUsage]  # its public name in sqlglot
    """The operator `~` of DuckDB. Releases disagree about its meaning, so no function can take its place.

    Before DuckDB 2 it matches the whole text, since then any part of it.
    """


class _DuckDBWriter(DuckDBGenerator):
    """Writer of DuckDB statements that keeps the operator `~`."""

    TRANSFORMS: ClassVar[Any] = {**DuckDBGenerator.TRANSFORMS, _Match: lambda self, node: self.binary(node, "~")}


_NUMERIC_TYPES: Final = frozenset(
    {
        exp.DType.DECIMAL,
        exp.DType.BOOLEAN,
        exp.DType.DATE,
        exp.DType.DATETIME,
        exp.DType.TIME,
        exp.DType.TIMESTAMP,
        exp.DType.TIMESTAMPNTZ,
    }
)
"""Types that SQLite casts to numbers. The parser would replace their names by others."""


def _keep_casts(tree: exp.Expr) -> None:
    """Keep the effect of casts to types that SQLite casts to numbers, in place."""
    for cast in tree.find_all(exp.Cast):
        if cast.to.this in _NUMERIC_TYPES:
            cast.set("to", exp.DataType(this=exp.DType.USERDEFINED, kind="NUMERIC"))


_REPLACED_FUNCTIONS: Final[Mapping[tuple[type[exp.Expr], str, int], str]] = {
    (exp.Hex, "postgres", 6): "TO_HEX",
    (exp.Mod, "sqlite", 3): "MOD",
    **dict.fromkeys(itertools.product([exp.Log], DIALECTS, [len("LOG2")]), "LOG2"),
    **dict.fromkeys(itertools.product([exp.Log], DIALECTS, [len("LOG10")]), "LOG10"),
}
"""The names of functions that the parser would replace by functions with other results.

The keys are the node, the dialect, and the length of the name in the text, which is 0 for an operator.
"""


def keep_calls(tree: exp.Expr, dialect: str) -> None:
    """Keep the names of functions, in place, that the parser would replace by functions with other results."""
    for call in [*tree.find_all(exp.Hex, exp.Log, exp.Mod, exp.RegexpLike)]:
        start, end = call.meta.get("start"), call.meta.get("end")
        if dialect == "duckdb" and type(call) is exp.RegexpLike and start is None:
            call.replace(_Match(this=call.this, expression=call.expression))
            continue
        name = _REPLACED_FUNCTIONS.get((type(call), dialect, 0 if start is None else end - start + 1))
        if name is not None:
            # The name of the function already gives the base of the logarithm.
            parts = [call.expression] if type(call) is exp.Log else [call.this, call.args.get("expression")]
            call.replace(exp.Anonymous(this=name, expressions=drop_none(parts)))


def _keep_precision(tree: exp.Expr) -> None:
    """Keep the brackets of `INTERVAL(6)`, in place, which the parser would omit."""
    for kind in list(tree.find_all(exp.DataType)):
        if kind.this is exp.DType.INTERVAL and kind.expressions:
            precision = kind.expressions[0].sql(dialect="postgres")
            kind.replace(exp.DataType(this=exp.DType.USERDEFINED, kind=f"INTERVAL({precision})"))
