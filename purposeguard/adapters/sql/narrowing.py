"""Narrowing: a statement rewritten so that it reads of each table those rows alone that may be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from purposeguard.adapters.sql.analysis import Read, read
from purposeguard.adapters.sql.catalogue import Catalogue
from purposeguard.adapters.sql.scopes import refuse
from purposeguard.errors import UnresolvedStatement


def narrowed(found: Read, catalogue: Catalogue, tests: Mapping[str, exp.Expr]) -> str:
    """The text of a statement, each table in `tests` replaced by those of its rows that meet its test.

    A test names the columns of its table without the table. Of a table that is narrowed the columns that were told are
    read, and no others, whatever the database has.

    Raises:
        UnresolvedStatement: rows are left out where that would change what is written, or the parser cannot write the
            statement down again.
    """
    tree = found.tree.copy()
    _Rewriting(catalogue, tests).statement(found, tree)
    dialect = catalogue.names.dialect
    try:
        text = tree.sql(dialect=dialect, unsupported_level=ErrorLevel.RAISE, comments=False)
    except (SqlglotError, RecursionError, ValueError):
        pass
    else:
        return text.replace("INSERT OR REPLACE", "REPLACE", 1) if dialect == "mysql" else text
    raise UnresolvedStatement(f"the statement cannot be written down again in {dialect}, to leave rows out of it")


class _Rewriting:
    """Puts tests into the tree of a statement."""

    def __init__(self, catalogue: Catalogue, tests: Mapping[str, exp.Expr]) -> None:
        self._catalogue = catalogue
        self._tests = tests
        self._views: dict[str, Read | None] = {}

    def statement(self, found: Read, tree: exp.Expr) -> exp.Expr:
        """The same statement, narrowed; the tree is changed."""
        places = {id(node): name for node, name in found.mentions}
        # The copy has the same nodes in the same order.
        pairs = zip(found.tree.find_all(exp.Table), tree.find_all(exp.Table), strict=True)
        mentions = [(copy, places[id(node)], id(node) in found.targets) for node, copy in pairs if id(node) in places]
        paths: list[tuple[str, ...]] = []
        for node, name, is_target in mentions:
            if not self._concerns(name):
                continue
            if is_target:
                self._limit(tree, node, name)
                continue
            if not node.alias and node.args.get("db"):
                paths.append(self._key(node))
            rows = self._rows(node, name)
            if node is tree:
                tree = rows
            else:
                node.replace(rows)
        for column in tree.find_all(exp.Column) if paths else ():
            if column.args.get("db") and self._qualifier(column) in paths:
                # Its table is a subquery now, which goes by the last part of the table's name.
                column.set("db", None)
                column.set("catalog", None)
        return tree

    def _concerns(self, name: str) -> bool:
        """Whether rows of a table, or of one below a view, are left out."""
        if name in self._tests:
            return True
        view = self._view(name)
        return view is not None and any(self._concerns(inner) for _, inner in view.mentions)

    def _view(self, name: str) -> Read | None:
        if name not in self._views:
            texts = (text for told, text in self._catalogue.views.values() if told == name)
            text = next(texts, None)
            self._views[name] = None if text is None else read(text, self._catalogue)
        return self._views[name]

    def _key(self, node: exp.Expr) -> tuple[str, ...]:
        names = self._catalogue.names
        return tuple(names.key(part) for name in ("catalog", "db", "this") if (part := node.args.get(name)))

    def _qualifier(self, column: exp.Column) -> tuple[str, ...]:
        names = self._catalogue.names
        return tuple(names.key(part) for name in ("catalog", "db", "table") if (part := column.args.get(name)))

    def _rows(self, node: exp.Table, name: str) -> exp.Expr:
        """What stands in place of a table: its rows that may be used, under the name that it has in the statement."""
        alias, joins, pivots = (node.args.get(part) for part in ("alias", "joins", "pivots"))
        if name in self._tests:
            inner = node.copy()
            for part in ("alias", "joins", "pivots"):
                inner.set(part, None)
            query: exp.Expr = exp.select(*self._columns(name)).from_(inner).where(self._tests[name].copy())
        else:
            view = self._view(name)
            if view is None:
                return refuse(f"`{name}` is no view any more")
            self._not_captured(view, node, name)
            query = self.statement(view, view.tree.copy())
            if isinstance(query, exp.Subquery):
                query = query.this
        if alias is None or not alias.this:
            alias = exp.TableAlias(this=node.this.copy(), columns=(alias.args.get("columns") if alias else None))
        rows = exp.Subquery(this=query, alias=alias.copy())
        if joins:
            rows.set("joins", [join.copy() for join in joins])
        if pivots:
            rows.set("pivots", [pivot.copy() for pivot in pivots])
        return rows

    def _not_captured(self, view: Read, node: exp.Expr, name: str) -> None:
        """Within a statement a common table would be taken for a table that the view reads."""
        names = self._catalogue.names
        commons = {names.key(one.args["alias"].this) for one in node.root().find_all(exp.CTE)}
        if any(self._key(inner)[-1] in commons for inner, _ in view.mentions):
            refuse(f"a common table has the name of a table that the view `{name}` reads: call it otherwise")

    def _columns(self, name: str) -> Sequence[exp.Expr]:
        table = next(table for table in self._catalogue.tables.values() if table.name == name)
        return [exp.column(exp.to_identifier(str(column.key), quoted=True)) for column in table.relation.columns]

    def _limit(self, tree: exp.Expr, node: exp.Table, name: str) -> None:
        """Of the table that is written to, the rows that may not be used are left alone."""
        if not isinstance(tree, (exp.Update, exp.Delete)):
            refuse(f"rows of `{name}` are left out, and it is written to: rows that are there are not seen to be there")
        alias = node.args.get("alias")
        called = alias.this if alias is not None and alias.this else node.this
        test = self._tests[name].copy()
        for column in list(test.find_all(exp.Column)):
            column.set("table", called.copy())
        where = tree.args.get("where")
        both = exp.and_(where.this, test, copy=False) if where is not None else test
        tree.set("where", exp.Where(this=both))
