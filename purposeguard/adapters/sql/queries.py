"""Queries: the columns that a query returns, and those that it reads in any clause of SELECT."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, NamedTuple

from sqlglot import exp

from purposeguard.adapters.sql.bare_columns import (
    BARE,
    enclosing_query,
    find_extrema,
    mark_column,
    mark_columns,
    remove_aggregates,
)
from purposeguard.adapters.sql.functions import classes, words
from purposeguard.adapters.sql.scopes import (
    NOTHING,
    Commons,
    CommonTable,
    Flow,
    FromSource,
    QueryColumn,
    Relation,
    Scope,
    flows,
    join_columns,
    refuse,
    stack_relations,
)
from purposeguard.adapters.sql.sources import SUBQUERY, FromReader, bare, name_parts, only
from purposeguard.adapters.sql.tags import Catalog

RECURSIVE_ANYHOW: Final = frozenset({"sqlite", "snowflake"})
"""Dialects in which a common table may name itself without the word RECURSIVE."""

_SELECT: Final = words(
    """
    with_ kind expressions hint distinct from_ operation_modifiers laterals joins connect where group having qualify
    windows distribute sort cluster order limit offset locks sample
    """
)
_SELECT_WITHOUT: Final = MappingProxyType(
    {
        "sqlite": "kind hint operation_modifiers laterals connect qualify distribute sort cluster locks sample",
        "postgres": "kind hint operation_modifiers laterals connect qualify distribute sort cluster sample",
        "mysql": "kind laterals connect qualify distribute sort cluster sample",
        "duckdb": "kind hint operation_modifiers laterals connect distribute sort cluster locks",
        "spark": "kind operation_modifiers connect locks sample",
        "bigquery": "hint operation_modifiers laterals connect distribute sort cluster locks sample",
        "snowflake": "kind hint operation_modifiers laterals distribute sort cluster locks sample",
    }
)
"""Dialect → the clauses that it lacks. Their keywords are ordinary names to its engine."""

_SELECT_OF: Final = MappingProxyType(
    {dialect: _SELECT - words(lacking) for dialect, lacking in _SELECT_WITHOUT.items()}
)
"""Dialect → the clauses that it has."""

_SET: Final = words("with_ this expression distinct by_name order limit offset side kind locks")
_MAY_EXPAND_TO_COLUMNS: Final = tuple(classes(words("Explode Posexplode Inline Stack Anonymous Unnest")))
"""Items of SELECT that may expand to several columns."""

_COUNTED_FROM_0: Final = MappingProxyType({"duckdb": "col", "mysql": "column_"})
_COUNTED_FROM_1: Final = MappingProxyType({"spark": "col", "snowflake": "COLUMN"})

ROUNDS: Final = 100
"""The most iterations over the query of a recursive common table."""


class MeasuredItem(NamedTuple):
    """An item of SELECT that was read by itself."""

    flow: Flow
    """The columns that its value is made of."""
    reads: Flow
    """The columns that it reads."""
    stands_for_columns: bool
    """True if it stands for several columns (`COLUMNS(…)`, a `*` within)."""
    multiplies_rows: bool
    """True if it makes several rows of one."""
    has_outer_extremum: bool
    """True if a query within it may have a minimum or maximum of the rows of a query around it."""


class QueryReader(FromReader):
    """Reader of queries."""

    def __init__(self, catalogue: Catalog) -> None:
        super().__init__(catalogue)
        self.has_outer_extremum = False
        """True if a query within an item of SELECT may have a minimum or maximum of the rows of a query around it."""
        self._searching = False
        """True while a query is searched for bare columns."""

    # ---- any query -------------------------------------------------------------------------------------------------

    def relation(self, node: exp.Expr, around: Scope | None, commons: Commons) -> Relation:
        """Return the columns of a query.

        Args:
            node: The query.
            around: The enclosing scope, if there is one.
            commons: The common tables that the query sees.
        """
        if isinstance(node, exp.Select):
            return self._select(node, around, commons)
        if isinstance(node, exp.SetOperation):
            return self._set(node, around, commons)
        if isinstance(node, exp.Values):
            return self.rows(node, Scope(around, commons))
        if isinstance(node, exp.Subquery):
            only(node, SUBQUERY)
            if node.args.get("joins") or node.args.get("pivots") or isinstance(node.this, exp.Table):
                scope = Scope(around, self.commons(node, around, commons))
                self.source(node, scope)
                return self.star(scope)
            inner = self.relation(node.this, around, self.commons(node, around, commons))
            self.read_output_order(node, inner, Scope(around, commons))
            return inner
        if isinstance(node, exp.Pivot):
            scope = Scope(around, commons)
            self.source(node.this, scope)
            return self.read_pivot(self.star(scope), [node], scope)
        return refuse(f"a query that is a {type(node).__name__} is not looked into")

    def _set(self, node: exp.SetOperation, around: Scope | None, commons: Commons) -> Relation:
        only(node, _SET)
        commons = self.commons(node, around, commons)
        # A long chain nests on its left side. Walk it in a loop: recursion could exhaust the stack.
        chain: list[exp.SetOperation] = [node]
        while isinstance(chain[-1].this, exp.SetOperation) and not chain[-1].this.args.get("with_"):
            chain.append(chain[-1].this)
        relation = self.relation(chain[-1].this, around, commons)
        for operation in reversed(chain):
            only(operation, _SET)
            other = self.relation(operation.expression, around, commons)
            if not _keeps_all(operation):
                self.mark_all_read(relation)
                self.mark_all_read(other)
            by_name = bool(operation.args.get("by_name"))
            both = self._stack_arms([relation, other], by_name=by_name)
            if by_name and both.complete:
                # In BigQuery `INNER` keeps the columns that both sides have, and `LEFT` those of the left side.
                is_inner = operation.args.get("kind") == "INNER"
                names = set(both.names)
                if is_inner or operation.args.get("side") == "LEFT":
                    names.intersection_update(relation.names)
                if is_inner:
                    names.intersection_update(other.names)
                both = Relation(column for column in both.columns if column.key in names)
            relation = both
            self.read_output_order(operation, relation, Scope(around, commons))
        return relation

    def _stack_arms(self, arms: list[Relation], *, by_name: bool = False) -> Relation:
        try:
            return stack_relations(arms, by_name=by_name)
        except ValueError as error:
            why = str(error)
        return refuse(f"a query of several parts cannot be put together: {why}")

    def read_output_order(self, node: exp.Expr, relation: Relation, scope: Scope) -> None:
        """Read ORDER BY and LIMIT of a set operation or of a query in brackets, over its output columns."""
        if any(map(node.args.get, ("order", "limit", "offset"))):
            scope.sources.append(FromSource("", "", relation))
            self.read_order(node, relation, scope)

    def rows(self, node: exp.Values, scope: Scope) -> Relation:
        """Return the columns of VALUES."""
        only(node, frozenset({"expressions", "alias", "order", "limit", "offset"}))
        rows: list[Relation] = []
        self.has_outer_extremum |= any(find_extrema(node))  # VALUES has no rows of its own.
        for row in node.expressions:
            cells = row.expressions if isinstance(row, exp.Tuple) else [row]
            if self.dialect == "mysql" and len(cells) == 1 and _is_row(cells[0]):
                cells = cells[0].expressions  # The parser reads `ROW (…)` as a function.
            columns: list[QueryColumn] = []
            for number, cell in enumerate(cells):
                name = self._make_values_name(number)
                columns.append(self.cell(cell, scope).with_name(name, name))
            rows.append(Relation(columns))
        relation = self._stack_arms(rows)
        self.read_output_order(node, relation, Scope(scope.parent, scope.commons))
        return relation

    def _make_values_name(self, number: int) -> str:
        """Return the name that the engine gives to an unnamed column of VALUES."""
        if self.dialect in _COUNTED_FROM_0:
            return f"{_COUNTED_FROM_0[self.dialect]}{number}"
        return f"{_COUNTED_FROM_1.get(self.dialect, 'column')}{number + 1}"

    # ---- common tables ---------------------------------------------------------------------------------------------

    def commons(self, node: exp.Expr, around: Scope | None, outer_commons: Commons) -> Commons:
        """Return the common tables that a query sees: its own and those of the queries around it."""
        clause = node.args.get("with_")
        if clause is None:
            return outer_commons
        only(clause, frozenset({"expressions", "recursive"}))
        recursive = bool(clause.args.get("recursive")) or self.dialect in RECURSIVE_ANYHOW
        visible = dict(outer_commons)
        if recursive:
            for common in clause.expressions:
                alias = common.args["alias"].this
                visible[self.catalogue.names.key(alias)] = CommonTable(None, NOTHING, alias.this)
        for common in clause.expressions:
            only(common, frozenset({"this", "alias", "materialized"}))
            alias = common.args["alias"]
            key = self.catalogue.names.key(alias.this)
            # The reads of its query count only where the common table is used.
            with self.collect_reads_separately() as reads:
                relation = self._recursive(common, key, around, visible) if recursive else None
                if relation is None:
                    relation = self.rename_columns(self.relation(common.this, around, visible), alias)
            visible[key] = CommonTable(relation, frozenset(reads), alias.this.this)
        return visible

    def _recursive(
        self, common: exp.CTE, key: str, around: Scope | None, commons: dict[str, CommonTable]
    ) -> Relation | None:
        """Return the columns of a common table that names itself, or None if it does not.

        Its query is analyzed repeatedly until its columns no longer change.
        """
        body = common.this
        if not self._names_table(body, key):
            return None
        if not isinstance(body, exp.Union):
            refuse(f"`{common.alias}` names itself, and is no UNION of a beginning and of what follows from it")
        alias = common.args["alias"]
        first: exp.Expr = body
        while isinstance(first, exp.SetOperation):
            first = first.this
        begun = self.rename_columns(self.relation(first, around, self.commons(body, around, commons)), alias)
        for _ in range(ROUNDS):
            commons[key] = CommonTable(begun, NOTHING, alias.this.this)
            again = self.rename_columns(self.relation(body, around, commons), alias)
            both = self._stack_arms([begun, again])
            if both.same(begun):
                return begun
            begun = both
        return refuse(f"`{common.alias}` goes on and on")

    def _names_table(self, node: exp.Expr, key: str) -> bool:
        """Return True if a table without a schema has this name somewhere in a query."""
        for table in node.find_all(exp.Table):
            is_plain_name = type(table.this) is exp.Identifier and not table.args.get("db")
            if is_plain_name and self.catalogue.names.key(table.this) == key:
                return True
        return False

    # ---- SELECT ----------------------------------------------------------------------------------------------------

    def _select(self, node: exp.Select, around: Scope | None, commons: Commons) -> Relation:
        only(node, _SELECT_OF[self.dialect])
        scope = Scope(around, self.commons(node, around, commons))
        from_ = node.args.get("from_")
        if from_ is not None:
            self.source(from_.this, scope)
        for join in node.args.get("joins") or ():
            self.join(join, scope)
        for lateral in node.args.get("laterals") or ():
            self.source(lateral, scope)
        if self.dialect == "sqlite" and around is not None:
            for call in find_extrema(node):
                if enclosing_query(call) is node and not self._is_of(call, scope):
                    self.has_outer_extremum = True
        self._windows(node, scope)
        relation = self.read_select_items(node, scope, has_bare_columns=self._has_bare_columns(node, scope))
        for name in ("connect", "where", "group", "having", "qualify", "distribute", "cluster", "sort", "sample"):
            part = node.args.get(name)
            if part is not None:
                self._clause(part, scope)
        self._positions(node.args.get("group"), relation)
        self._distinct(node, relation, scope)
        self.read_order(node, relation, scope)
        if node.args.get("kind") == "VALUE":
            return Relation([relation.whole("")], complete=False)
        return relation

    def _clause(self, node: exp.Expr, scope: Scope) -> None:
        if isinstance(node, exp.Connect):
            only(node, frozenset({"start", "connect", "nocycle"}))
            for part in (node.args.get("start"), node.args.get("connect")):
                if part is not None:
                    self.value(part, scope)
        else:
            self.value(node, scope)

    def _windows(self, node: exp.Select, scope: Scope) -> None:
        for window in node.args.get("windows") or ():
            if not isinstance(window.this, exp.Identifier):
                refuse("a window is named by something that is no name")
            parts = [self.parts(window, scope, "this", "alias")]
            base = window.args.get("alias")
            if base:
                parts.append(self.window(base, scope))
            scope.windows[self.catalogue.names.key(window.this)] = flows(parts)

    def _distinct(self, node: exp.Select, relation: Relation, scope: Scope) -> None:
        distinct = node.args.get("distinct")
        if distinct is None:
            return
        on = distinct.args.get("on")
        if on is not None:
            self.value(on, scope)
            self._positions(on, relation)
        else:
            self.mark_all_read(relation)

    def read_order(self, node: exp.Expr, relation: Relation, scope: Scope) -> None:
        """Read ORDER BY and LIMIT of a statement, in a scope that has its sources and the names of its items."""
        order = node.args.get("order")
        if order is not None:
            only(order, frozenset({"expressions", "siblings"}))
            for item in order.expressions:
                named = item.this if isinstance(item, exp.Ordered) else item
                aliases = self._find_aliased(named, relation, scope)
                if aliases:
                    self.mark_read(join_columns(aliases))
                else:
                    self.value(item, scope)
            self._positions(order, relation)
        for name in ("limit", "offset"):
            part = node.args.get(name)
            if part is not None:
                self.value(part, scope)

    def _find_aliased(self, node: exp.Expr, relation: Relation, scope: Scope) -> list[QueryColumn]:
        """Return the columns that a bare name in ORDER BY means: the item with this alias, and columns of `*`."""
        if type(node) is not exp.Column or type(node.this) is not exp.Identifier or node.args.get("table"):
            return []
        key = self.catalogue.names.key(node.this)
        alias = scope.aliases.get(key)
        if alias is None:
            return []
        return [alias, *(column for column in relation.columns if column.key == key)]

    def _positions(self, node: exp.Expr | None, relation: Relation) -> None:
        """Count items as read that are named by their position, or all items for ALL."""
        if node is None or not (relation.columns or relation.rest):
            return
        if node.args.get("all"):
            self.mark_all_read(relation)
        for literal in node.find_all(exp.Literal, exp.Var):
            if isinstance(literal, exp.Var):  # ALL
                self.mark_all_read(relation)
            elif not literal.is_string and str(literal.this).isdecimal():
                if not relation.complete:  # The position may mean any column.
                    self.mark_all_read(relation)
                elif 0 < int(literal.this) <= len(relation.columns):
                    self.mark_read(relation.columns[int(literal.this) - 1])

    # ---- items -----------------------------------------------------------------------------------------------------

    def read_select_items(
        self, node: exp.Select | exp.Returning, scope: Scope, *, has_bare_columns: bool = False
    ) -> Relation:
        """Return the columns that the items of SELECT make, and record the names of the items as aliases in `scope`.

        The relation is incomplete if an item may expand to unknown columns. The reads of an item count where the item
        is used. They count at once if the item multiplies rows, or if it has a minimum or maximum from whose row SQLite
        takes bare columns.

        Args:
            node: The query, or the RETURNING clause.
            scope: The scope of the query.
            has_bare_columns: True if the query has columns outside of aggregates (SQLite).
        """
        columns: list[QueryColumn] = []
        if not node.expressions and self.dialect != "postgres":
            refuse("it selects nothing, as it is read here, so some name in it is taken for a keyword: quote it")
        unnamed_columns: list[QueryColumn] = []
        complete = True
        for item in node.expressions:
            star = self._star_of(item, scope)
            if star is not None:
                columns += star.columns
                complete &= star.complete
                if star.rest is not None:
                    unnamed_columns.append(star.rest)
                continue
            flow, reads, stands_for_columns, multiplies_rows, has_extremum = self._measure_item(item, scope)
            self.has_outer_extremum |= has_extremum and scope.parent is not None
            if multiplies_rows or (
                self.dialect == "sqlite" and self._chooses_row(item, scope, has_extremum, has_bare_columns)
            ):
                self.reads |= reads
            outputs = [QueryColumn(name, key, flow, reads) for name, key in self._names_of(item)]
            may_expand = len(outputs) == 1 and isinstance(item.unalias(), _MAY_EXPAND_TO_COLUMNS)
            if stands_for_columns or may_expand:
                complete = complete and not stands_for_columns and isinstance(item, exp.Alias)
                if outputs:
                    unnamed_columns.append(outputs[0].with_name(outputs[0].name, ""))
            columns += outputs
            for column in outputs:
                scope.alias(column)
        return Relation(columns, join_columns(unnamed_columns) if unnamed_columns else None, complete=complete)

    def _measure_item(self, item: exp.Expr, scope: Scope) -> MeasuredItem:
        """Read an item of SELECT by itself: neither its reads nor its flags count yet."""
        with self._set_flags_aside():
            flow, reads = self.measure(item, scope)
            return MeasuredItem(flow, reads, self.stands_for_columns, self.multiplies_rows, self.has_outer_extremum)

    @contextmanager
    def _set_flags_aside(self) -> Generator[None]:
        """Clear the flags about an item of SELECT during a block, and restore them at its end."""
        before = self.stands_for_columns, self.multiplies_rows, self.has_outer_extremum
        self.stands_for_columns = self.multiplies_rows = self.has_outer_extremum = False
        try:
            yield
        finally:
            self.stands_for_columns, self.multiplies_rows, self.has_outer_extremum = before

    # ---- bare columns of SQLite --------------------------------------------------------------------------------------

    def _chooses_row(self, item: exp.Expr, scope: Scope, has_inner: bool, has_bare_columns: bool) -> bool:
        """Return True if SQLite may take other values from the row that has a minimum or maximum in an item of SELECT.

        Args:
            item: The item.
            scope: The scope of its query.
            has_inner: True if a query within the item has a minimum or maximum of the rows of this query.
            has_bare_columns: True if the query has columns outside of aggregates.
        """
        query = enclosing_query(item)
        own = [call for call in find_extrema(item) if enclosing_query(call) is query]
        if scope.parent is not None and not all(self._is_of(call, scope) for call in own):
            return True  # The query around this one has the bare columns.
        return has_bare_columns and (has_inner or bool(own))

    def _is_of(self, call: exp.Expr, scope: Scope) -> bool:
        """Return True if an aggregate certainly belongs to the query of a scope, and not to a query around it."""
        own = _own_scope(scope)
        query = enclosing_query(call)
        for column in call.find_all(exp.Column):
            if enclosing_query(column) is not query or not isinstance(column.this, exp.Identifier):
                continue
            key, qualifier = self.catalogue.names.key(column.this), name_parts(column, "table")
            if qualifier:
                relations = self.lookup.relations(qualifier, own)
            else:
                relations = [source.relation for source in own.visible]
            if any(relation.get(key) is not None for relation in relations):
                return True
        return False

    def _has_bare_columns(self, node: exp.Select, scope: Scope) -> bool:
        """Return True if SQLite may take values of a query from the row with its minimum or maximum.

        The query is read once more, without its aggregates, and over sources whose columns read `BARE`.
        """
        if self.dialect != "sqlite" or not any(map(_has_extremum, node.expressions)):
            return False
        if self._searching:  # Searching within a search would take exponential time.
            return True
        columns, expressions = self._find_groupings(node, scope)
        probe = Scope(scope.parent, scope.commons)
        for source in scope.sources:
            probe.sources.append(dataclasses.replace(source, relation=mark_columns(source.relation, columns)))
        for key, column in scope.merged.items():
            probe.merged[key] = mark_column(column, columns)
        copy = remove_aggregates(node, expressions)
        before = self.mentions
        self.mentions, self._searching = {}, True
        try:
            with self._set_flags_aside(), self.collect_reads_separately() as reads:
                self._windows(copy, probe)
                relation = self.mark_all_read(self.read_select_items(copy, probe))
                having = copy.args.get("having")
                if having is not None:
                    self.value(having, probe)
                self.read_order(copy, relation, probe)
        finally:
            self.mentions, self._searching = before, False
        return not BARE.isdisjoint(reads)

    def _find_groupings(self, node: exp.Select, scope: Scope) -> tuple[list[QueryColumn], list[exp.Expr]]:
        """Return the columns of sources, and the other expressions, by which a query groups its rows."""
        columns: list[QueryColumn] = []
        expressions: list[exp.Expr] = []
        group = node.args.get("group")
        own = _own_scope(scope)
        for written in group.expressions if group is not None else ():
            grouping = _item_at(node, written) or written
            if self._is_alias(grouping, own):
                grouping = _find_aliased_expression(node, grouping)
            name = [*name_parts(grouping, "table"), grouping.this]
            if isinstance(grouping, exp.Column) and all(isinstance(part, exp.Identifier) for part in name):
                column = self.lookup.find(name, own)
                if column is not None:
                    columns.append(column)
            elif not _has_parameter(grouping):  # Two parameters that are written alike may have two values.
                expressions.append(grouping)
        return columns, expressions

    def _is_alias(self, node: exp.Expr, own: Scope) -> bool:
        """Return True if GROUP BY may name an item of SELECT: by a bare name that no source has a column for."""
        if not isinstance(node, exp.Column) or node.table or not isinstance(node.this, exp.Identifier):
            return False
        return self.lookup.find([node.this], own) is None

    def _names_of(self, item: exp.Expr) -> list[tuple[str, str | None]]:
        names = self.catalogue.names
        if isinstance(item, exp.Alias):
            alias = item.args["alias"]
            if not isinstance(alias, exp.Identifier):
                refuse("an item of SELECT is named by something that is no name")
            return [(alias.this, names.key(alias))]
        if isinstance(item, exp.Aliases):
            return [(identifier.this, names.key(identifier)) for identifier in item.expressions]
        last: object = None
        if isinstance(item, exp.Column):
            last = item.this
        elif isinstance(item, exp.Dot):
            last = item.expression
        elif isinstance(item, exp.Cast) and self.dialect == "postgres" and isinstance(item.this, exp.Column):
            last = item.this.this
        if isinstance(last, exp.Identifier):
            return [(last.this, names.key(last))]
        return [("", None)]

    def _star_of(self, item: exp.Expr, scope: Scope) -> Relation | None:
        """Return the columns of `*` or `t.*`; None for any other item."""
        if isinstance(item, exp.Star):
            return self._less(item, self.star(scope), scope)
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            parts = name_parts(item, "table")
            relations = self.lookup.relations(parts, scope)
            if len(relations) > 1:
                refuse(f"`{parts[-1].this}` names several tables here: give each its own name")
            if relations:
                return self._less(item.this, relations[0], scope)
        return None

    def _less(self, star: exp.Star, relation: Relation, scope: Scope) -> Relation:
        """Return the columns of a `*` after its EXCEPT, REPLACE and RENAME."""
        if not star.args:
            return relation
        names = self.catalogue.names
        sure = relation.complete and not star.args.get("ilike")
        without: set[int] = set()
        for item in star.args.get("except_") or ():
            positions, certain = self._find_star_positions(item, relation, scope)
            sure &= certain
            without.update(positions)
        replaced: dict[str | None, QueryColumn] = {}
        for item in star.args.get("replace") or ():
            measured = self._measure_item(item, scope)
            self.stands_for_columns |= measured.stands_for_columns
            if measured.multiplies_rows:
                self.reads |= measured.reads
            key = names.key(item.args["alias"])
            replaced[key] = QueryColumn(item.alias, key, measured.flow, measured.reads)
        renamed: dict[int, exp.Identifier] = {}
        for item in star.args.get("rename") or ():
            if isinstance(item, exp.Alias):
                positions, certain = self._find_star_positions(item.this, relation, scope)
                sure &= certain
                alias: exp.Identifier = item.args["alias"]
                renamed |= dict.fromkeys(positions, alias)
        columns: list[QueryColumn] = []
        for number, column in enumerate(relation.columns):
            if number in without:
                continue
            new = renamed.get(number)
            replacement = replaced.get(column.key, column)
            columns.append(replacement if new is None else replacement.with_name(new.this, names.key(new)))
        return Relation(columns, relation.rest, complete=sure)

    def _find_star_positions(self, node: exp.Expr, star: Relation, scope: Scope) -> tuple[list[int], bool]:
        """Return the positions of the columns of a `*` that a name means, and whether they are certain.

        `t.a` is the column of one table, or a field of a column. A field is not certain.
        """
        key = self.catalogue.names.key(bare(node))
        qualifier = name_parts(node, "table")
        if not qualifier:
            return [number for number, column in enumerate(star.columns) if column.key == key], True
        meant_ids = {id(relation.get(key)) for relation in self.lookup.relations(qualifier, scope)}
        positions = [number for number, column in enumerate(star.columns) if id(column) in meant_ids]
        return positions, len(positions) == 1


def _keeps_all(node: exp.SetOperation) -> bool:
    """Return True for UNION ALL, whose rows do not depend on each other."""
    return isinstance(node, exp.Union) and node.args.get("distinct") is False


def _is_row(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.upper() == "ROW"


def _own_scope(scope: Scope) -> Scope:
    """Return the sources of a scope without its aliases and the scopes around it."""
    own = Scope(None, scope.commons)
    own.sources, own.merged = scope.sources, scope.merged
    return own


def _has_extremum(node: exp.Expr) -> bool:
    return any(find_extrema(node))


def _find_aliased_expression(node: exp.Select, name: exp.Expr) -> exp.Expr:
    """Return the expression of the item of SELECT with this alias, or the name itself if there is none."""
    for item in node.expressions:
        if item.alias == name.name:
            aliased: exp.Expr = item.this
            return aliased
    return name


def _has_parameter(node: exp.Expr) -> bool:
    """Return True if an expression has a parameter, whose value is given when the statement is executed."""
    if node.find(exp.Placeholder, exp.Parameter) is not None:
        return True
    return any(column.name[:1] in {"%", "$"} for column in node.find_all(exp.Column))


def _item_at(node: exp.Select, position: exp.Expr) -> exp.Expr | None:
    """Return the item of SELECT that GROUP BY names by its position; None if the item is not certain."""
    if not isinstance(position, exp.Literal) or position.is_string or not str(position.this).isdecimal():
        return None
    items = node.expressions[: int(position.this)]
    if len(items) != int(position.this) or not items or any(item.is_star for item in items):
        return None
    item: exp.Expr = items[-1]
    return item.unalias()
