"""Bare columns: in SQLite an item of a grouped SELECT that is neither grouped by nor aggregated.

Its value is that of some row of the group: where there is a `min()` or `max()`, of the row that has the least or the
greatest. So what these are given decides the values of other items.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from purposeguard.adapters.sql.catalogue import Catalogue
from purposeguard.adapters.sql.names import lower


def has_bare_columns(node: exp.Select, catalogue: Catalogue) -> bool:
    """Whether a SELECT with a `min()` or `max()` among its items has bare columns; where in doubt, it has."""
    if not any(_aggregates(item, node, catalogue) for item in node.expressions):
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


def _aggregates(item: exp.Expr, node: exp.Select, catalogue: Catalogue) -> bool:
    calls = (call for call in item.find_all(exp.Max, exp.Min) if not isinstance(call.parent, exp.Window))
    return any(_is_of(call, node, catalogue) for call in calls)


def _is_of(call: exp.Expr, node: exp.Select, catalogue: Catalogue) -> bool:
    """Whether an aggregate is of this SELECT: not of one inside it, whose table has a column that it asks for."""
    inner = call.find_ancestor(exp.Select)
    while inner is not None and inner is not node:
        if any(_is_from(column, inner, catalogue) for column in call.find_all(exp.Column)):
            return False
        inner = inner.find_ancestor(exp.Select)
    return True


def _is_from(column: exp.Column, select: exp.Select, catalogue: Catalogue) -> bool:
    """Whether a column is surely of a table of this SELECT."""
    if select.root().find(exp.With) is not None:  # a name may be of something else than the table that is called so
        return False
    from_ = select.args.get("from_")
    for given in (from_, *(select.args.get("joins") or ())):
        table = given.this if given is not None else None
        if not isinstance(table, exp.Table):
            continue
        known = catalogue.tables.get(catalogue.key(table) or ())
        if known is None or (column.table and lower(column.table) != lower(table.alias_or_name)):
            continue
        if lower(column.name) in map(lower, known.columns):
            return True
    return False


def _bare(item: exp.Expr, grouped: set[exp.Expr]) -> bool:
    return any(isinstance(one, (exp.Column, exp.Star)) for one in _outside(item, grouped))


def _outside(item: exp.Expr, grouped: set[exp.Expr]) -> Iterator[exp.Expr]:
    """The nodes of an item that are in nothing that is aggregated, or grouped by."""
    if item in grouped or (isinstance(item, exp.AggFunc) and not isinstance(item.parent, exp.Window)):
        return
    yield item
    for part in item.iter_expressions():
        yield from _outside(part, grouped)
