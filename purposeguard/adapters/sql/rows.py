"""Statements rewritten to read only the rows that a purpose may use."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Final, NamedTuple

from sqlglot import exp

from purposeguard.adapters.sql.lineage import ReadStatement, read_statement
from purposeguard.adapters.sql.scopes import refuse
from purposeguard.adapters.sql.sources import name_parts
from purposeguard.adapters.sql.tags import Catalog
from purposeguard.adapters.sql.writing import keep_calls, write_tree
from purposeguard.errors import UnresolvedStatement

_NOT_NARROWED_YET: Final = "purposeguard_whole"
"""The mark of a table that is not narrowed yet."""


def narrow_statement(statement: ReadStatement, catalogue: Catalog, conditions: Mapping[str, exp.Expr]) -> str:
    """Return the text of a statement that reads only the rows that meet the conditions of their tables.

    Args:
        statement: The statement.
        catalogue: The tables of the database. Only the columns in it are read from narrowed tables.
        conditions: By table, the condition of its rows. It names columns without their table.

    Raises:
        UnresolvedStatement: leaving rows out would change what is written, or the parser cannot write the statement.
    """
    tree = statement.tree.copy()
    _StatementNarrower(catalogue, conditions).narrow(statement, tree)
    text = write_tree(tree, catalogue.names.dialect)
    if text is None:
        raise UnresolvedStatement(
            f"the statement cannot be written down again in {catalogue.names.dialect}, to leave rows out of it"
        )
    return text


class _Mention(NamedTuple):
    """A node of a statement's copy that names a table to narrow."""

    node: exp.Table
    name: str
    """The declared name of the table."""
    is_target: bool
    """True if the statement writes to the table."""


class _StatementNarrower:
    """Rewriter that puts conditions into the tree of a statement."""

    def __init__(self, catalogue: Catalog, conditions: Mapping[str, exp.Expr]) -> None:
        self._catalogue = catalogue
        self._conditions = conditions
        self._views: dict[str, ReadStatement | None] = {}

    def narrow(self, read: ReadStatement, tree: exp.Expr) -> exp.Expr:
        """Narrow a statement in place.

        Args:
            read: The statement.
            tree: A copy of its tree.

        Returns:
            The tree.
        """
        keep_calls(tree, self._catalogue.names.dialect)
        mentions = self._find_mentions(read, tree)
        for mention in mentions:
            mention.node.meta[_NOT_NARROWED_YET] = True
        replaced_keys: list[tuple[str, ...]] = []
        for node, name, is_target in mentions:
            del node.meta[_NOT_NARROWED_YET]
            if is_target:
                self._limit(node, name)
                continue
            if self._add_to_grouped_query(node, name):
                continue
            if not node.alias and node.args.get("db"):
                replaced_keys.append(self._key(node))
            rows = self._make_rows_query(node, name)
            if node is tree:
                tree = rows
            else:
                node.replace(rows)
        if replaced_keys:
            self._shorten_qualifiers(tree, replaced_keys)
        if any(_NOT_NARROWED_YET in table.meta for table in tree.find_all(exp.Table)):
            refuse("a table stands in a place where its rows cannot be left out")
        return tree

    def _find_mentions(self, read: ReadStatement, tree: exp.Expr) -> list[_Mention]:
        """Return the tables to narrow that the copy of a statement mentions."""
        names = {id(node): name for node, name in read.mentions}
        mentions: list[_Mention] = []
        # The copy has the same nodes in the same order.
        for node, copy in zip(read.tree.find_all(exp.Table), tree.find_all(exp.Table), strict=True):
            name = names.get(id(node))
            if name is not None and self._concerns(name):
                mentions.append(_Mention(copy, name, id(node) in read.targets))
        return mentions

    def _shorten_qualifiers(self, tree: exp.Expr, replaced_keys: Container[tuple[str, ...]]) -> None:
        """Shorten the qualifiers of the columns of replaced tables.

        Such a table is a subquery now, which has only the last part of the table's name.
        """
        for column in tree.find_all(exp.Column):
            if column.args.get("db") and self._key(column, "table") in replaced_keys:
                column.set("db", None)
                column.set("catalog", None)

    def _concerns(self, name: str) -> bool:
        """Return True if a condition applies to a table, or to a table below a view."""
        if name in self._conditions:
            return True
        view = self._view(name)
        return view is not None and any(self._concerns(inner) for _, inner in view.mentions)

    def _view(self, name: str) -> ReadStatement | None:
        """Return the query of a view, analyzed once; None if no view has this name."""
        if name not in self._views:
            self._views[name] = self._read_view(name)
        return self._views[name]

    def _read_view(self, name: str) -> ReadStatement | None:
        for view_name, text in self._catalogue.views.values():
            if view_name == name:
                return read_statement(text, self._catalogue)
        return None

    def _key(self, node: exp.Expr, last: str = "this") -> tuple[str, ...]:
        """Return the key of a table, or with `last="table"` the key of the qualifier of a column."""
        return tuple(map(self._catalogue.names.key, name_parts(node, last)))

    def _make_rows_query(self, node: exp.Table, name: str) -> exp.Expr:
        """Return the subquery that replaces a table: its permitted rows, under the table's name in the statement."""
        alias, joins, pivots = map(node.args.get, ("alias", "joins", "pivots"))
        if name in self._conditions:
            inner = node.copy()
            for part in ("alias", "joins", "pivots"):
                inner.set(part, None)
            query: exp.Expr = exp.select(*self._columns(name)).from_(inner).where(self._conditions[name].copy())
        else:
            view = self._view(name)
            if view is None:
                return refuse(f"`{name}` is no view any more")
            self._not_captured(view, node, name)
            query = self.narrow(view, view.tree.copy())
            if isinstance(query, exp.Subquery):
                query = query.this
        if alias is None or not alias.this:
            alias = exp.TableAlias(this=node.this.copy(), columns=(alias.args.get("columns") if alias else None))
        rows = exp.Subquery(this=query, alias=alias.copy())
        # These are not copied, because tables within them are replaced as well.
        rows.set("joins", joins)
        rows.set("pivots", pivots)
        return rows

    def _not_captured(self, view: ReadStatement, node: exp.Expr, name: str) -> None:
        """Refuse a view that reads a table with the name of a common table, which would take the table's place."""
        names = self._catalogue.names
        commons = {names.key(common.args["alias"].this) for common in node.root().find_all(exp.CTE)}
        if any(self._key(inner)[-1] in commons for inner, _ in view.mentions):
            refuse(f"a common table has the name of a table that the view `{name}` reads: call it otherwise")

    def _columns(self, name: str) -> Sequence[exp.Expr]:
        table = next(table for table in self._catalogue.tables.values() if table.name == name)
        return [exp.column(exp.to_identifier(str(column.key), quoted=True)) for column in table.relation.columns]

    def _limit(self, node: exp.Table, name: str) -> None:
        """Exclude the rows of a written table that the purpose may not use from being changed.

        Inserted rows stay as they are, also where a row that may not be used has the same unique key: no engine can
        store both, and an INSERT without ON CONFLICT would fail.
        """
        changed = node.find_ancestor(exp.Update, exp.Delete, exp.Insert, exp.Merge)
        if isinstance(changed, (exp.Update, exp.Delete)):
            _add_where(changed, self._condition_of(node, name))
            return
        conflict = changed.args.get("conflict") if changed is not None else None
        if isinstance(changed, exp.Insert) and _leaves_rows(changed):
            return
        is_update = isinstance(conflict, exp.OnConflict) and conflict.expressions and not conflict.args.get("duplicate")
        if not isinstance(conflict, exp.OnConflict) or not is_update or _alternative_of(changed) == "REPLACE":
            refuse(f"rows of `{name}` are left out, and it is written to: rows that are there are not seen to be there")
        _add_where(conflict, self._condition_of(node, name))

    def _add_to_grouped_query(self, node: exp.Table, name: str) -> bool:
        """Add a condition to a query with GROUP BY. Return False if it cannot be added there.

        PostgreSQL knows that the key of a table determines its other columns, but not that the key of a subquery does.
        """
        query = self._find_grouped_query(node, name)
        if query is None:
            return False
        condition = self._condition_of(node, name)
        join = node.parent
        if not isinstance(join, exp.Join) or not join.args.get("side"):
            _add_where(query, condition)
            return True
        on = join.args.get("on")
        if on is not None:
            join.set("on", exp.and_(condition, on, copy=False))
        return on is not None

    def _find_grouped_query(self, node: exp.Table, name: str) -> exp.Select | None:
        """Return the query with GROUP BY that reads a table, if the condition of the table may be added to it."""
        place, alias = node.parent, node.args.get("alias")
        query = place.parent if isinstance(place, (exp.From, exp.Join)) else None
        if (
            self._catalogue.names.dialect != "postgres"
            or name not in self._conditions
            or not isinstance(query, exp.Select)
            or query.args.get("group") is None
            or node.args.get("joins")
            or (alias is not None and alias.args.get("columns"))
        ):
            return None
        if _reads_whole_rows(query, node):  # Whole rows have columns that are not declared.
            return None
        for join in query.args.get("joins") or ():
            if str(join.args.get("side") or "").upper() not in {"", "LEFT"}:
                return None
        return query

    def _condition_of(self, node: exp.Table, name: str) -> exp.Expr:
        """Return the condition of a table, with columns qualified by the name of the table in the statement."""
        alias = node.args.get("alias")
        called = alias.this if alias is not None and alias.this else node.this
        condition = self._conditions[name].copy()
        for column in list(condition.find_all(exp.Column)):
            if not column.table:  # A qualified column belongs to a list of keys.
                column.set("table", called.copy())
        return condition


def _reads_whole_rows(query: exp.Select, node: exp.Table) -> bool:
    """Return True if a query reads whole rows of a table: by `*`, or by the name of the table."""
    called = node.alias_or_name.lower()
    for column in query.find_all(exp.Column):
        if column.table in {"", node.db} and column.name.lower() == called:
            return True
    return any(type(star.parent) is not exp.Count for star in query.find_all(exp.Star))


def _add_where(tree: exp.Expr, condition: exp.Expr) -> None:
    where = tree.args.get("where")
    # The new condition comes first: engines evaluate in order, and another may fail at rows that are left out.
    both = exp.and_(condition, where.this, copy=False) if where is not None else condition
    tree.set("where", exp.Where(this=both))


def is_only_inserted(statement: ReadStatement, table: str) -> bool:
    """Return True if a statement only inserts into a table, and does not change the rows that already exist."""
    for node, name in statement.mentions:
        if name == table:
            insert = node.find_ancestor(exp.Insert) if id(node) in statement.targets else None
            if insert is None or not _leaves_rows(insert):
                return False
    return True


def _leaves_rows(insert: exp.Insert) -> bool:
    alternative = _alternative_of(insert)
    conflict = insert.args.get("conflict")
    if conflict is not None:
        action = str(conflict.args.get("action") or "").upper()
        return not conflict.expressions and action == "DO NOTHING" and alternative != "REPLACE"
    return bool(insert.args.get("ignore")) or alternative in _LEAVING_ALTERNATIVES


def _alternative_of(statement: exp.Expr | None) -> str:
    """Return the word after `INSERT OR`, which says what to do with an existing row; empty if there is none."""
    return "" if statement is None else str(statement.args.get("alternative") or "").upper()


_LEAVING_ALTERNATIVES: Final = frozenset({"ABORT", "FAIL", "IGNORE", "ROLLBACK"})
"""Words after `INSERT OR` with which SQLite does not change an existing row."""
