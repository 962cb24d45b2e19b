"""Checks of declared declassifications: a column must be a figure over at least the declared number of subjects.

A model declassifies a column if it groups rows and keeps only the groups with that many subjects. The column must be a
count, sum or mean of a group, or a column that the rows are grouped by:

    select plan, count(*) as customers, avg(threats) as threats
    from devices group by plan having count(distinct customer_id) >= 10

After grouping, the model may only rename columns. Before grouping, it must read one table without a join. Each row of
that table is about the subject in its column with the mark `subject`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, build_scope

from purposeguard.adapters.sql.scopes import NameRules, lower

IsSubject = Callable[[exp.Table, str], bool]
"""A function that returns True if the column of this name in this table holds subjects' ids."""

_FIGURES: Final = (exp.Count, exp.Sum, exp.Avg)
_NOT_IN_FIGURES: Final = (exp.Window, exp.Filter, exp.Query, exp.Columns, exp.Anonymous)
"""Expressions that a figure must not contain: other rows, some rows of a group, and possible aggregates."""
_RENAMING_CLAUSES: Final = frozenset({"with_", "expressions", "from_", "order"})
_GROUPING_CLAUSES: Final = _RENAMING_CLAUSES | {"where", "group", "having"}
_READING_CLAUSES: Final = _GROUPING_CLAUSES | {"distinct"}


def explain_undeclassified(tree: exp.Expr, names: NameRules, column: str, at_least: int, is_subject: IsSubject) -> str:
    """Explain why an output column is not declassified.

    Args:
        tree: The query of the model.
        names: The rules for names in the project's database.
        column: The key of the output column.
        at_least: The minimum number of subjects behind each figure.
        is_subject: The test for columns that hold subjects' ids.

    Returns:
        The reason. It is empty if the column is a figure over at least so many subjects, or a key of their groups.
    """
    if tree.find(exp.Pivot) or any(alias.columns for alias in tree.find_all(exp.TableAlias)):
        return "columns are renamed in a way that is not followed: rename them with AS"
    try:
        scope = build_scope(tree.copy())
    except SqlglotError:
        scope = None
    grouped = None if scope is None else _find_grouped_select(scope, names, column)
    if grouped is None:
        return "it does not come, unchanged, from a SELECT with GROUP BY"
    scope, item = grouped
    select = scope.expression
    if not _requires_subjects(scope, names, at_least, is_subject):
        return f"no HAVING keeps only groups with `count(distinct S) >= {at_least}`, S a column marked `subject`"
    if not (_is_key(item, select) or _is_figure(item)):
        return "it is neither a count, sum or avg of columns nor what the rows are grouped by"
    return ""


def _requires_subjects(scope: Scope, names: NameRules, at_least: int, is_subject: IsSubject) -> bool:
    """Return True if the HAVING of a SELECT keeps only groups with so many subjects."""
    select = scope.expression
    for condition in _split_conjunction(select.args.get("having")):
        if _counts_at_least(condition, at_least):
            column = condition.this.this.expressions[0]
            if _is_no_alias(column, select) and _is_of_subjects(column, scope, names, is_subject):
                return True
    return False


def _find_item(select: exp.Select, names: NameRules, key: str) -> exp.Expr | None:
    """Return the item of a SELECT that makes the output of this name, which may be a lone star.

    Return None if there is no such item, or if there may be several.
    """
    if len(select.expressions) == 1 and type(select.expressions[0]) is exp.Star:
        star = select.expressions[0]
        return None if any(star.args.values()) else star
    if select.is_star:
        return None
    items = [item for item in select.expressions if names.key(_read_item_name(item)) == key]
    return items[0] if len(items) == 1 else None


def _read_item_name(item: exp.Expr) -> exp.Identifier:
    """Return the name of an item of a SELECT, which is empty if the item has none."""
    identifier: object = None
    if isinstance(item, exp.Alias):
        identifier = item.args["alias"]
    elif type(item) is exp.Column:
        identifier = item.this
    return identifier if isinstance(identifier, exp.Identifier) else exp.Identifier(this="")


def _has_only(select: exp.Expr, clauses: frozenset[str]) -> bool:
    """Return True for a SELECT that has no other clauses than these."""
    return isinstance(select, exp.Select) and _list_parts(select) <= clauses


def _list_parts(tree: exp.Expr) -> set[str]:
    """Return the names of the parts that a piece of SQL has."""
    return {name for name, part in tree.args.items() if part}


def _find_grouped_select(scope: Scope, names: NameRules, key: str) -> tuple[Scope, exp.Expr] | None:
    """Return the SELECT with GROUP BY behind an output, and the item that makes it. Only renaming may come after it."""
    select = scope.expression
    if not isinstance(select, exp.Select):
        return None
    item = _find_item(select, names, key)
    if item is None:
        return None
    if select.args.get("group") is not None:
        is_plain = not isinstance(item, exp.Star) and _groups_plainly(select) and _has_only(select, _GROUPING_CLAUSES)
        return (scope, item) if is_plain else None
    if len(scope.selected_sources) != 1 or not _has_only(select, _RENAMING_CLAUSES):
        return None
    ((_, source),) = scope.selected_sources.values()
    inner = _find_passed_column(item, names, key)
    if inner is None or not isinstance(source, Scope):
        return None
    return _find_grouped_select(source, names, inner)


def _groups_plainly(select: exp.Select) -> bool:
    """Return True if GROUP BY lists only columns, positions and items of the SELECT.

    ROLLUP is refused, because its totals reveal the dropped groups.
    """
    group = select.args["group"]
    items = [item.unalias() for item in select.expressions]
    for part in group.expressions:
        if type(part) not in (exp.Column, exp.Literal) and part not in items:
            return False
    return _list_parts(group) == {"expressions"}


def _find_passed_column(item: exp.Expr, names: NameRules, key: str) -> str | None:
    """Return the name of the column that an item passes on unchanged."""
    value = item.unalias()
    if type(value) is exp.Star:
        return key
    return names.key(value.this) if type(value) is exp.Column and isinstance(value.this, exp.Identifier) else None


def _split_conjunction(having: exp.Expr | None) -> Iterator[exp.Expr]:
    """Yield the conditions that HAVING joins with AND."""
    if having is None:
        return
    condition = having.this.unnest()
    for part in condition.flatten() if isinstance(condition, exp.And) else (condition,):
        yield part.unnest()


def _counts_at_least(condition: exp.Expr, at_least: int) -> bool:
    """Return True for `count(distinct S) >= N` and `count(distinct S) > N - 1` if N is not less than `at_least`."""
    if type(condition) not in (exp.GTE, exp.GT):
        return False
    count, number = condition.this, condition.expression
    distinct = count.this if type(count) is exp.Count and not count.expressions else None
    counts_one = type(distinct) is exp.Distinct and len(distinct.expressions) == 1 and not distinct.args.get("on")
    if not counts_one or type(number) is not exp.Literal or not str(number.this).isdecimal():
        return False
    return int(number.this) >= at_least - (type(condition) is exp.GT)


def _is_no_alias(column: exp.Expr, select: exp.Expr) -> bool:
    """Return True if no item of a SELECT renames another column to this name, which HAVING could mean instead."""
    return all(item.unalias() == column for item in select.expressions if lower(item.alias) == lower(column.name))


def _is_of_subjects(column: exp.Expr, scope: Scope, names: NameRules, is_subject: IsSubject) -> bool:
    """Return True if a column is a table's column of subjects' ids, possibly renamed.

    Joins, windows and subqueries must not come in between, because they carry values from row to row.
    """
    select, sources = scope.expression, scope.selected_sources
    is_column = type(column) is exp.Column and not column.args.get("db") and isinstance(column.this, exp.Identifier)
    if not is_column or not _has_only(select, _READING_CLAUSES) or len(sources) != 1:
        return False
    ((called, (_, source)),) = sources.items()
    qualifier = column.args.get("table")
    if qualifier is not None and lower(qualifier.name) != lower(called):
        return False  # a field of a column
    if any(item.find(exp.Window, exp.Query) for item in select.expressions):
        return False
    key = names.key(column.this)
    if isinstance(source, exp.Table):
        return is_subject(source, key)
    inner = source.expression
    item = _find_item(inner, names, key) if isinstance(inner, exp.Select) else None
    if type(item) is exp.Star:
        return _is_of_subjects(exp.Column(this=column.this.copy()), source, names, is_subject)
    return item is not None and _is_of_subjects(item.unalias(), source, names, is_subject)


def _is_key(item: exp.Expr, select: exp.Expr) -> bool:
    """Return True if the rows are grouped by an item of a SELECT, named by itself or by its position."""
    value = item.unalias()
    position = str(select.expressions.index(item) + 1)
    for part in select.args["group"].expressions:
        if part == value or (type(part) is exp.Literal and not part.is_string and part.this == position):
            return True
    return False


def _is_figure(item: exp.Expr) -> bool:
    """Return True if an item consists only of counts, sums and means of whole columns."""
    has_figure = False
    parts_of_figures: set[int] = set()
    for node in item.walk():  # a figure comes before its parts
        if isinstance(node, _NOT_IN_FIGURES):
            return False
        if type(node) in _FIGURES:
            if not _is_of_column(node):
                return False
            has_figure = True
            parts_of_figures.update(map(id, node.walk()))
        elif isinstance(node, (exp.Column, exp.Star, exp.AggFunc)) and id(node) not in parts_of_figures:
            return False
    return has_figure


def _is_of_column(figure: exp.Expr) -> bool:
    """Return True for a figure over one whole column, or over all rows."""
    value = figure.this
    if type(figure) is exp.Count and type(value) is exp.Distinct and len(value.expressions) == 1:
        value = value.expressions[0]
    return type(value) is exp.Column or (type(figure) is exp.Count and type(value) is exp.Star)
