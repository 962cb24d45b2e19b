"""The sources of a query: tables, subqueries and functions in FROM, and their joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlglot import exp

from purposeguard.adapters.sql.functions import HARMLESS, NAMED_TABLE_FUNCTIONS, TABLE_FUNCTIONS, words
from purposeguard.adapters.sql.parsing import parse_statement
from purposeguard.adapters.sql.scopes import (
    NOTHING,
    Commons,
    Flow,
    FromSource,
    QueryColumn,
    Relation,
    Scope,
    join_columns,
    lower,
    perhaps,
    refuse,
)
from purposeguard.adapters.sql.tags import Catalog
from purposeguard.adapters.sql.values import NO_VALUES, ValueReader
from purposeguard.errors import UnlabelledData

LATERAL_ANYHOW: Final = frozenset({"duckdb"})
"""Dialects in which a subquery in FROM sees the sources before it without the word LATERAL."""

SUBQUERY: Final = words("this alias with_ order limit offset sample pivots joins")
_TABLE: Final = words("this alias db catalog joins pivots hints version when only partition ordinality sample indexed")
_JOIN: Final = words("this on side kind using method global_ hint match_condition")
_IN_PIVOT: Final = HARMLESS | ValueReader.readers.keys() | NO_VALUES.keys()
_KINDS: Final = frozenset({"", "INNER", "CROSS", "OUTER", "SEMI", "ANTI", "STRAIGHT_JOIN"})
_METHODS: Final = frozenset({"", "NATURAL", "ASOF", "POSITIONAL"})


def only(node: exp.Expr, known_clauses: frozenset[str]) -> None:
    """Refuse a node that has a clause other than the known ones."""
    for name, part in node.args.items():
        if part and name not in known_clauses:
            refuse(f"the clause `{name.rstrip('_')}` of {type(node).__name__} is not looked into")


class FromReader(ValueReader):
    """Reader of FROM. `mentions` holds the nodes that name tables and views, each with the declared name."""

    def __init__(self, catalogue: Catalog) -> None:
        super().__init__(catalogue)
        self.mentions: dict[int, tuple[exp.Table, str]] = {}
        self._views: list[tuple[str, ...]] = []

    # These methods are defined by `QueryReader`.

    def commons(self, node: exp.Expr, around: Scope | None, outer_commons: Commons) -> Commons:
        """Return the common tables that a query sees."""
        raise NotImplementedError

    def rows(self, node: exp.Values, scope: Scope) -> Relation:
        """Return the columns of VALUES."""
        raise NotImplementedError

    def read_output_order(self, node: exp.Expr, relation: Relation, scope: Scope) -> None:
        """Read ORDER BY and LIMIT behind a query."""
        raise NotImplementedError

    def cell(self, node: exp.Expr, scope: Scope) -> QueryColumn:
        """Return one value of a row as a column; DEFAULT reads nothing."""
        return QueryColumn("", None, *((NOTHING, NOTHING) if is_default(node) else self.measure(node, scope)))

    def star(self, scope: Scope) -> Relation:
        """Return the relation that `*` means in a scope."""
        columns, rest, complete = self.lookup.star(scope)
        return Relation(columns, rest, complete=complete)

    def rename_columns(self, relation: Relation, alias: exp.Expr | None) -> Relation:
        """Return a relation whose columns have the names that an alias gives them."""
        if alias is None:
            return relation
        try:
            return relation.rename_columns(
                [(column.this, self.catalogue.names.key(column)) for column in list_alias_columns(alias)]
            )
        except ValueError as error:
            why = str(error)
        return refuse(f"the alias `{alias.name}` has {why}")

    # ---- sources ---------------------------------------------------------------------------------------------------

    def source(self, node: exp.Expr, scope: Scope) -> None:
        """Add the source that a node of FROM means to a scope."""
        if isinstance(node, exp.Table):
            self._add_table(node, scope)
        elif isinstance(node, exp.Subquery):
            self._read_derived_table(node, scope)
        elif isinstance(node, exp.Lateral):
            only(node, frozenset({"this", "view", "outer", "alias", "ordinality"}))
            if isinstance(node.this, exp.Subquery):
                self.add_source(self.relation(node.this, scope, scope.commons), node.args.get("alias"), scope)
            else:
                self._add_table_function(node.this, node.args.get("alias"), scope)
        elif isinstance(node, exp.Unnest):
            self._add_table_function(node, node.args.get("alias"), scope)
        elif isinstance(node, exp.Values):
            around = scope if self.dialect in LATERAL_ANYHOW else scope.parent
            self.add_source(self.rows(node, Scope(around, scope.commons)), node.args.get("alias"), scope)
        elif isinstance(node, exp.TableFromRows):
            only(node, frozenset({"this", "alias", "sample"}))
            self._add_table_function(node.this, node.args.get("alias"), scope)
        else:
            refuse(f"{type(node).__name__} in FROM is not looked into")

    def add_source(
        self, relation: Relation, alias: exp.Expr | None, scope: Scope, name: exp.Expr | None = None
    ) -> FromSource:
        """Add a relation to a scope, under the name and with the column names that its alias gives it.

        Args:
            relation: The relation.
            alias: The alias, if there is one.
            scope: The scope.
            name: The name of the relation if the alias has none.
        """
        named = alias.this if alias is not None and alias.this else name
        relation = self.rename_columns(relation, alias)
        key = self.catalogue.names.key(named) if isinstance(named, exp.Identifier) else ""
        source = FromSource(key, str(named.this) if named else "", relation)
        scope.add(source)
        return source

    def _read_derived_table(self, node: exp.Subquery, scope: Scope) -> None:
        only(node, SUBQUERY)
        alias = node.args.get("alias")
        inner = node.this
        pivots = node.args.get("pivots")
        if isinstance(inner, exp.Table):
            # This is a join in brackets. If the join has no name, its tables keep their names.
            within = scope if alias is None and not pivots else Scope(scope.parent, scope.commons)
            self.source(inner, within)
            for join in node.args.get("joins") or ():
                self.join(join, within)
            if within is not scope:
                self.add_source(self.read_pivot(self.star(within), pivots, within), alias, scope)
            return
        bracketed = isinstance(inner, exp.Subquery) and (inner.alias or not isinstance(inner.this, exp.Query))
        if bracketed and not any(map(node.args.get, SUBQUERY - {"this", "joins"})):
            self.source(inner, scope)
        else:
            around = scope if self.dialect in LATERAL_ANYHOW else scope.parent
            commons = self.commons(node, around, scope.commons)
            relation = self.relation(inner, around, commons)
            self.read_output_order(node, relation, Scope(around, commons))
            if pivots:
                within = Scope(around, commons)
                self.add_source(relation, alias, within)
                relation = self.read_pivot(relation, pivots, within)
            self.add_source(relation, alias, scope)
        for join in node.args.get("joins") or ():
            self.join(join, scope)

    def _add_table(self, node: exp.Table, scope: Scope) -> None:
        only(node, _TABLE)
        alias = node.args.get("alias")
        for name in ("version", "when"):
            if node.args.get(name):
                self._moment(node.args[name], scope)
        if node.args.get("sample"):
            self.value(node.args["sample"], scope)
        if not isinstance(node.this, exp.Identifier):
            schema = list(filter(None, map(node.args.get, ("catalog", "db"))))
            self._add_table_function(node.this, alias, scope, schema)
        else:
            self._read_named_table(node, alias, scope)
        for join in node.args.get("joins") or ():
            self.join(join, scope)

    def _moment(self, node: exp.Expr, scope: Scope) -> None:
        """Read the moment as of which a table is read."""
        moment = node.args.get("expression")
        if isinstance(moment, exp.Expr):
            self.value(moment, Scope(scope.parent, scope.commons))

    def _read_named_table(self, node: exp.Table, alias: exp.Expr | None, scope: Scope) -> None:
        relation, path = self._resolve_table(node, scope)
        pivots = node.args.get("pivots")
        if pivots:
            within = Scope(scope.parent, scope.commons)
            self.add_source(relation, alias, within, node.this)
            relation, path = self.read_pivot(relation, pivots, within), ()
            alias = pivots[-1].args.get("alias") or alias
        source = self.add_source(relation, alias, scope, node.this)
        if alias is None or not alias.this:
            source.path = path

    def _resolve_table(self, node: exp.Table, scope: Scope) -> tuple[Relation, tuple[str, ...]]:
        """Return the relation that a table's name means, and the whole name by which its columns may be qualified.

        The whole name counts only if the table has no alias. It is empty for a common table. The reads of a common
        table or view count at once, and a declared table or view is recorded in `mentions`.

        Raises:
            UnresolvedStatement: it is unknown which table the name means.
            UnlabelledData: there is no such table.
        """
        names = self.catalogue.names
        key = self.catalogue.key(node)
        if key is None:
            return refuse("a table is named by something that is no name")
        if len(key) == 1:
            common = scope.commons.get(names.key(node.this))
            if common is not None:
                if common.relation is None:
                    refuse(
                        f"`{node.name}` names a common table that is defined later, or itself in a way that is not read"
                    )
                if names.spelling_counts and common.spelled != node.this.this:
                    refuse(f"whether `{node.name}` is `{common.spelled}` is a matter of settings: spell them alike")
                self.reads |= common.reads
                return common.relation, ()
        path = tuple(map(names.key, name_parts(node)))
        key = self.catalogue.resolve_key(key)
        table = self.catalogue.tables.get(key)
        if table is not None:
            self.mentions[id(node)] = (node, table.name)
            return table.relation, path
        if key in self.catalogue.views:
            return self._view(key, node), path
        if key in {("dual",), ("DUAL",)} and self.dialect in {"mysql", "snowflake"}:
            return Relation(()), ()
        name = ".".join(part.this for part in name_parts(node))
        declared_names = [table.name for table in self.catalogue.tables.values()]
        declared_names += [view for view, _ in self.catalogue.views.values()]
        raise UnlabelledData(
            f"`{name}` is no table that is known here{perhaps(name, declared_names)}: tell its columns and their tags"
        )

    def _view(self, key: tuple[str, ...], node: exp.Table) -> Relation:
        name, text = self.catalogue.views[key]
        self.mentions[id(node)] = (node, name)
        view = self.catalogue.read_views.get(key)
        if view is None:
            if key in self._views:
                refuse(f"the view `{name}` reads itself")
            view = self.catalogue.read_views[key] = self._view_read(key, name, text)
        relation, reads = view
        self.reads |= reads
        return relation

    def _view_read(self, key: tuple[str, ...], name: str, text: str) -> tuple[Relation, Flow]:
        """Return the columns of a view, and the reads that count whichever of its columns is used."""
        tree = parse_statement(text, self.catalogue)
        if not isinstance(tree, (exp.Query, exp.Subquery)):
            refuse(f"the view `{name}` is no query")
        mentions, self.mentions = self.mentions, {}
        self._views.append(key)
        try:
            with self.collect_reads_separately() as reads:
                return self.relation(tree, None, {}), frozenset(reads)
        finally:
            self._views.pop()
            self.mentions = mentions

    def read_pivot(self, relation: Relation, pivots: list[exp.Expr] | None, scope: Scope) -> Relation:
        """Read PIVOT and UNPIVOT: all columns are read, and each resulting column may be made of all of them."""
        if not pivots:
            return relation
        self.mark_all_read(relation)
        whole = relation.whole("")
        for pivot in pivots:
            for node in pivot.walk(prune=lambda part: isinstance(part, (exp.Query, exp.Table))):
                self._read_part_of_pivot(node, scope)
        return Relation((), whole, complete=False)

    def _read_part_of_pivot(self, node: exp.Expr, scope: Scope) -> None:
        """Read a node within PIVOT or UNPIVOT. Names are not looked up: all columns of the relation count as read."""
        if isinstance(node, exp.Query):
            self.mark_all_read(self.relation(node, scope, scope.commons))
        elif isinstance(node, exp.Dot) and isinstance(node.expression, exp.Func):
            names = list(node.this.find_all(exp.Identifier)) if type(node.this) in {exp.Dot, exp.Identifier} else []
            self.schema_function(names, node.expression)
        elif isinstance(node, (exp.Anonymous, exp.AnonymousAggFunc)) and not isinstance(node.parent, exp.Dot):
            self.read_unknown_function(exp.Anonymous(this=node.this), scope)
        elif isinstance(node, (exp.Func, exp.Condition)) and type(node) not in _IN_PIVOT:
            refuse(f"`{type(node).__name__}` in PIVOT is not looked into")

    def _add_table_function(
        self, node: exp.Expr, alias: exp.Expr | None, scope: Scope, schema: Sequence[exp.Identifier] = ()
    ) -> None:
        """Add a table function to a scope: each of its columns may be made of all its arguments."""
        flow = self._read_arguments(node, scope, schema)
        names = self.catalogue.names
        whole = QueryColumn("", "", flow, flow)
        named = alias.this if alias is not None and alias.this else None
        aliases = list_alias_columns(alias)
        offset = node.args.get("offset")
        if isinstance(offset, exp.Identifier):
            aliases.append(offset)
        # In BigQuery `x` means the row of `t, UNNEST(x) AS x`, also where a column is called `x`: both count here.
        taken: set[str] = set()
        if self.dialect == "bigquery":
            for source in scope.visible:
                taken.update(source.relation.names)
        columns: list[QueryColumn] = []
        for identifier in aliases:
            key = names.key(identifier)
            if key not in taken:
                columns.append(whole.with_name(identifier.this, key))
        if named is None and isinstance(node, exp.Anonymous):
            named = exp.to_identifier(node.name)
        elif not aliases and isinstance(named, exp.Identifier):
            columns = [whole.with_name(named.this, names.key(named))]
        key = names.key(named) if isinstance(named, exp.Identifier) else ""
        scope.add(FromSource(key, named.this if named else "", Relation(columns, whole, complete=False)))

    def _read_arguments(self, node: exp.Expr, scope: Scope, schema: Sequence[exp.Identifier]) -> Flow:
        """Read the arguments of a table function, which `schema` qualifies. Refuse an unknown function."""
        called = self.schema_function(schema, node) if schema else lower(node.name)
        if isinstance(node, exp.Anonymous):
            known_functions = NAMED_TABLE_FUNCTIONS[self.dialect] | self.catalogue.functions
            if called not in known_functions:
                self.refuse_function(node.name)
            return self.parts(node, scope, "this")
        if type(node) not in TABLE_FUNCTIONS:
            refuse(f"{type(node).__name__} in FROM is not looked into")
        return self.parts(node, scope, "alias", "offset", "schema")

    # ---- joins -----------------------------------------------------------------------------------------------------

    def join(self, node: exp.Expr, scope: Scope) -> None:
        """Add the source of a join to a scope, and read its condition."""
        only(node, _JOIN)
        kind, method, side = _join_word(node, "kind"), _join_word(node, "method"), _join_word(node, "side")
        if kind not in _KINDS or method not in _METHODS:
            refuse(f"a {method} {kind} JOIN is not looked into".replace("  ", " "))
        half = kind in {"SEMI", "ANTI"}
        if half and side == "RIGHT":
            refuse(f"a RIGHT {kind} JOIN is not looked into")
        on, using = node.args.get("on"), node.args.get("using")
        # SQLite reads a comma as a CROSS JOIN: an ON after it may name the sources before it.
        is_comma_join = not (on or using or kind or method or side) and self.dialect != "sqlite"
        if is_comma_join:
            scope.group += 1
        before = len(scope.sources)
        self.source(node.this, scope)
        if method == "NATURAL":
            self._merge(self._find_shared_names(scope, before), scope, before, half=half)
        if using:
            self._merge(
                [(column.name, self.catalogue.names.key(bare(column))) for column in using], scope, before, half=half
            )
        scope.strict_group = scope.group or None
        try:
            for part in (on, node.args.get("match_condition")):
                if part is not None:
                    self.value(part, scope)
        finally:
            scope.strict_group = None
        if half:
            for source in scope.sources[before:]:
                source.hidden = True

    def _find_shared_names(self, scope: Scope, before: int) -> list[tuple[str, str]]:
        """Return the names of the columns that both sides of a NATURAL JOIN have, each with its key."""
        visible = list(scope.visible)
        if any(source.relation.rest is not None for source in visible):
            refuse("a NATURAL JOIN of something whose columns are not all known")
        left_keys: set[str] = set()
        for source in visible:
            if source not in scope.sources[before:]:
                left_keys.update(source.relation.names)
        right_keys: list[str] = []
        for source in scope.sources[before:]:
            right_keys += source.relation.names
        return [(key, key) for key in dict.fromkeys(right_keys) if key in left_keys]

    def _merge(self, names: list[tuple[str, str]], scope: Scope, before: int, *, half: bool) -> None:
        """Merge the columns that USING and NATURAL join into one."""
        right_sources = scope.sources[before:]
        left_sources = [source for source in scope.sources[:before] if not source.hidden]
        for name, key in names:
            merged = scope.merged.get(key)
            sides = [[merged] if merged else _find_columns(left_sources, key), _find_columns(right_sources, key)]
            for side in sides:
                if not side:
                    refuse(f"`{name}` in USING is no column that is known here")
                if len(side) > 1:
                    refuse(f"`{name}` in USING is a column of several tables: say of which, with ON")
            both = join_columns([side[0] for side in sides])
            self.mark_read(both)
            if not half:
                scope.merged[key] = both.with_name(sides[0][0].name or name, key)


def _join_word(node: exp.Expr, name: str) -> str:
    return str(node.args.get(name) or "").upper()


def _find_columns(sources: list[FromSource], key: str) -> list[QueryColumn]:
    """Return the columns of several sources that have a name. If none has it, return one that it may mean, if any."""
    columns: list[QueryColumn] = []
    rests: list[QueryColumn] = []
    for source in sources:
        column = source.relation.get(key)
        if column is not None:
            columns.append(column)
        elif source.relation.rest is not None:
            rests.append(source.relation.rest)
    return columns or rests[:1]


def name_parts(node: exp.Expr, last: str = "this") -> list[Any]:
    """Return the parts of a table's name, or with `last="table"` those of the qualifier of a column."""
    return list(filter(None, map(node.args.get, ("catalog", "db", last))))


def list_alias_columns(alias: exp.Expr | None) -> list[exp.Identifier]:
    """Return the column names of an alias, as in `AS t (a, b)`."""
    if alias is None:
        return []
    return list(map(_strip_type, alias.args.get("columns") or ()))


def _strip_type(column: exp.Expr) -> Any:
    """Return the name of a column in an alias, which may be followed by a type."""
    return column.this if isinstance(column, exp.ColumnDef) else column


def is_default(node: exp.Expr) -> bool:
    """Return True if a node is the word DEFAULT in place of a value."""
    word = node.this if isinstance(node, exp.Column) else node
    return (
        isinstance(word, (exp.Identifier, exp.Var)) and word.name.upper() == "DEFAULT" and not word.args.get("quoted")
    )


def bare(node: exp.Expr) -> exp.Identifier:
    """Return the last part of a column's name.

    Raises:
        UnresolvedStatement: the node is no name.
    """
    inner = node.this if isinstance(node, exp.Column) else node
    if not isinstance(inner, exp.Identifier):
        return refuse("a column is told by something that is no name")
    return inner
