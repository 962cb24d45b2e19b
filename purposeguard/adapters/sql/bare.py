"""Bare columns: in SQLite an item of a grouped SELECT that is neither grouped by nor aggregated.

Its value is that of some row of the group: where there is a `min()` or `max()`, of the row that has the least or the
greatest. So what these are given decides the values of other items.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp


def has_bare_columns(node: exp.Select) -> bool:
    """Whether a SELECT with a `min()` or `max()` among its items has bare columns; where in doubt, it has."""
    if not any(_aggregates(item) for item in node.expressions):
        return False
    grouped: set[exp.Expr] = set()
    group = node.args.get("group")
    for one in group.expressions if group is not None else ():
        grouped.add(one)
        if isinstance(one, exp.Literal) and not one.is_string and str(one.this).isdecimal():
            grouped.update(item.unalias() for item in node.expressions[int(one.this) - 1 : int(one.this)])
        elif isinstance(one, exp.Column) and not one.table:
            grouped.update(item.this for item in node.expressions if item.alias == one.name and item.alias)
    return any(_bare(item.unalias(), grouped) for item in node.expressions)


def _aggregates(item: exp.Expr) -> bool:
    return any(not isinstance(call.parent, exp.Window) for call in item.find_all(exp.Max, exp.Min))


def _bare(item: exp.Expr, grouped: set[exp.Expr]) -> bool:
    return any(isinstance(one, (exp.Column, exp.Star)) for one in _outside(item, grouped))


def _outside(item: exp.Expr, grouped: set[exp.Expr]) -> Iterator[exp.Expr]:
    """The nodes of an item that are in nothing that is aggregated, or grouped by."""
    if item in grouped or (isinstance(item, exp.AggFunc) and not isinstance(item.parent, exp.Window)):
        return
    yield item
    for part in item.iter_expressions():
        yield from _outside(part, grouped)
