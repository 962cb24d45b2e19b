"""Bare columns of SQLite: columns outside of aggregates in a query that aggregates.

SQLite takes their values from the row that has the query's minimum or maximum. So they depend on what `min()` or
`max()` reads, wherever in the query they stand, also where nobody uses the minimum or maximum itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sqlglot import exp

from purposeguard.adapters.sql.functions import words
from purposeguard.adapters.sql.scopes import NOTHING, Flow, QueryColumn, Relation, lower

BARE: Final[Flow] = frozenset({("", "bare column")})
"""The flow that stands for a bare column while a query is searched for bare columns. No table has an empty name."""

_AGGREGATES: Final = (
    exp.Avg,
    exp.Count,
    exp.GroupConcat,
    exp.JSONArrayAgg,
    exp.JSONObjectAgg,
    exp.Max,
    exp.Min,
    exp.Sum,
)
_NAMED_AGGREGATES: Final = words("jsonb_group_array jsonb_group_object total")
_BETWEEN: Final = (exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)
"""Nodes that may stand between a function and its OVER."""


def find_extrema(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the aggregates `min()` and `max()` below a node, including those in its subqueries."""
    return (call for call in node.find_all(exp.Max, exp.Min) if is_aggregate(call))


def is_aggregate(node: exp.Expr) -> bool:
    """Return True if a node is an aggregate of SQLite, with or without FILTER, and not a window function."""
    call = node.this if isinstance(node, exp.Filter) else node
    if not isinstance(call, _AGGREGATES) and not (
        isinstance(call, exp.Anonymous) and lower(call.name) in _NAMED_AGGREGATES
    ):
        return False
    outermost = node
    while isinstance(outermost.parent, _BETWEEN):
        outermost = outermost.parent
    return not (isinstance(outermost.parent, exp.Window) and outermost.arg_key == "this")


def enclosing_query(node: exp.Expr) -> exp.Expr | None:
    """Return the innermost query around a node."""
    return node.find_ancestor(exp.Query, exp.Values)


def remove_aggregates(select: exp.Select, grouped: Sequence[exp.Expr]) -> exp.Select:
    """Return a copy of a query in which NULL stands for each aggregate of its own and each grouped expression."""

    def replace(node: exp.Expr) -> exp.Expr:
        is_own = enclosing_query(node) is copy
        return exp.Null() if is_own and (is_aggregate(node) or node in grouped) else node

    copy = select.copy()
    copy.transform(replace, copy=False)
    return copy


def mark_columns(relation: Relation, grouped: Sequence[QueryColumn]) -> Relation:
    """Return a copy of a relation whose columns read `BARE`, except the columns by which its rows are grouped."""
    rest = None if relation.rest is None else mark_column(relation.rest, ())
    return Relation((mark_column(column, grouped) for column in relation.columns), rest, complete=relation.complete)


def mark_column(column: QueryColumn, grouped: Sequence[QueryColumn]) -> QueryColumn:
    """Return a copy of a column that reads `BARE`, or that reads nothing if it is one of the grouped columns."""
    reads = NOTHING if any(column is group for group in grouped) else BARE
    return column._replace(flow=reads, reads=reads)
