"""Checks of declared declassifications: a column must be a figure over at least the declared number of subjects.

A model declassifies a column if it groups rows and keeps only the groups with that many subjects. The column must be a
count, sum or mean of a group, or a column that the rows are grouped by:

    select plan, count(*) as customers, avg(threats) as threats
    from devices group by plan having count(distinct customer_id) >= 10

After grouping, the model may only rename columns. Before grouping, it must read one table without a join. Each row of
that table is about the subject in its column with the mark `subject`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, build_scope

from purposeguard.adapters.sql.scopes import NameRules, lower

IsSubject = Callable[[exp.Table, str], bool]
"""A function that returns True if the column of this name in this table holds subjects' ids."""

_FIGURES: Final = (exp.Count, exp.Sum, exp.Avg)
_OTHER: Final = (exp.Window, exp.Filter, exp.Query, exp.Columns, exp.Anonymous)
"""Expressions that a figure must not contain: other rows, some rows of a group, and possible aggregates."""
_PASSING: Final = frozenset({"with_", "expressions", "from_", "order"})
_GROUPING: Final = _PASSING | {"where", "group", "having"}
_READING: Final = _GROUPING | {"distinct"}


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
    if tree.find(exp.Pivot) or any(alias.args.get("columns") for alias in tree.find_all(exp.TableAlias)):
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
    if not any(
        _asks(part, at_least)
        and _is_no_alias(part.this.this.expressions[0], select)
        and _is_of_subjects(part.this.this.expressions[0], scope, names, is_subject)
        for part in _conjuncts(select.args.get("having"))
    ):
        return f"no HAVING keeps only groups with `count(distinct S) >= {at_least}`, S a column marked `subject`"
    if not (_is_key(item, select) or _is_figure(item)):
        return "it is neither a count, sum or avg of columns nor what the rows are grouped by"
    return ""


def _item(select: exp.Select, names: NameRules, key: str) -> exp.Expr | None:
    """Return the item of a SELECT that makes the output of this name, which may be a lone star.

    Return None if there is no such item, or if there may be several.
    """
    if len(select.expressions) == 1 and type(select.expressions[0]) is exp.Star:
        return None if any(select.expressions[0].args.values()) else select.expressions[0]
    if select.is_star:
        return None
    items = [item for item in select.expressions if names.key(_name(item)) == key]
    return items[0] if len(items) == 1 else None


def _name(item: exp.Expr) -> exp.Identifier:
    identifier = item.args["alias"] if isinstance(item, exp.Alias) else item.this if type(item) is exp.Column else None
    return identifier if isinstance(identifier, exp.Identifier) else exp.Identifier(this="")


def _only(select: exp.Expr, clauses: frozenset[str]) -> bool:
    return isinstance(select, exp.Select) and {name for name, part in select.args.items() if part} <= clauses


def _find_grouped_select(scope: Scope, names: NameRules, key: str) -> tuple[Scope, exp.Expr] | None:
    """Return the SELECT with GROUP BY behind an output, and the item that makes it. Only renaming may come after it."""
    select = scope.expression
    if not isinstance(select, exp.Select):
        return None
    item = _item(select, names, key)
    group = select.args.get("group")
    if group is not None:
        items = [part.unalias() for part in select.expressions]
        plain = {name for name, part in group.args.items() if part} == {"expressions"} and all(
            type(part) in (exp.Column, exp.Literal) or part in items for part in group.expressions
        )  # ROLLUP is refused, because its totals reveal the dropped groups
        star = isinstance(item, exp.Star)
        return None if item is None or star or not plain or not _only(select, _GROUPING) else (scope, item)
    sources = [source for _, source in scope.selected_sources.values()]
    if item is None or len(sources) != 1 or not isinstance(sources[0], Scope) or not _only(select, _PASSING):
        return None
    inner = _find_passed_column(item, names, key)
    return None if inner is None else _find_grouped_select(sources[0], names, inner)


def _find_passed_column(item: exp.Expr, names: NameRules, key: str) -> str | None:
    """Return the name of the column that an item passes on unchanged."""
    value = item.unalias()
    if type(value) is exp.Star:
        return key
    return names.key(value.this) if type(value) is exp.Column and isinstance(value.this, exp.Identifier) else None


def _conjuncts(having: exp.Expr | None) -> list[exp.Expr]:
    if having is None:
        return []
    condition = having.this.unnest()
    return [part.unnest() for part in condition.flatten()] if isinstance(condition, exp.And) else [condition]


def _asks(condition: exp.Expr, at_least: int) -> bool:
    """Return True for `count(distinct S) >= N` and `count(distinct S) > N - 1` if N is not less than `at_least`."""
    if type(condition) not in (exp.GTE, exp.GT):
        return False
    count, number = condition.this, condition.expression
    distinct = count.this if type(count) is exp.Count and not count.expressions else None
    plain = type(distinct) is exp.Distinct and len(distinct.expressions) == 1 and not distinct.args.get("on")
    if not plain or type(number) is not exp.Literal or not str(number.this).isdecimal():
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
    plain = type(column) is exp.Column and not column.args.get("db") and isinstance(column.this, exp.Identifier)
    if not plain or not _only(select, _READING) or len(sources) != 1:
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
    item = _item(inner, names, key) if isinstance(inner, exp.Select) else None
    if type(item) is exp.Star:
        return _is_of_subjects(exp.Column(this=column.this.copy()), source, names, is_subject)
    return item is not None and _is_of_subjects(item.unalias(), source, names, is_subject)


def _is_key(item: exp.Expr, select: exp.Expr) -> bool:
    position = str(select.expressions.index(item) + 1)
    return any(
        part == item.unalias() or (type(part) is exp.Literal and not part.is_string and part.this == position)
        for part in select.args["group"].expressions
    )


def _is_figure(item: exp.Expr) -> bool:
    """Return True if an item consists only of counts, sums and means of whole columns."""
    figures = [node for node in item.walk() if type(node) in _FIGURES]
    if not figures or any(isinstance(node, _OTHER) for node in item.walk()):
        return False
    within = {id(node) for figure in figures for node in figure.walk()}
    return all(map(_is_of_column, figures)) and not any(
        isinstance(node, (exp.Column, exp.Star, exp.AggFunc)) and id(node) not in within for node in item.walk()
    )


def _is_of_column(figure: exp.Expr) -> bool:
    value = figure.this
    if type(figure) is exp.Count and type(value) is exp.Distinct and len(value.expressions) == 1:
        value = value.expressions[0]
    return type(value) is exp.Column or (type(figure) is exp.Count and type(value) is exp.Star)
