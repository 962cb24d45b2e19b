"""Writes: the flows between columns in INSERT, CREATE … AS, UPDATE, DELETE and MERGE."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, NamedTuple, cast

from sqlglot import exp

from purposeguard.adapters.sql.functions import words
from purposeguard.adapters.sql.queries import QueryReader
from purposeguard.adapters.sql.scopes import (
    NOTHING,
    Commons,
    Flow,
    FromSource,
    QueryColumn,
    Read,
    Relation,
    Scope,
    lower,
    perhaps,
    refuse,
)
from purposeguard.adapters.sql.sources import bare, name_parts, only
from purposeguard.adapters.sql.tags import Catalog, DeclaredTable
from purposeguard.adapters.sql.values import BARE
from purposeguard.errors import UnlabelledData

_INSERT: Final = words(
    "with_ this expression conflict returning overwrite alternative ignore by_name source default hint exists"
)
_CREATE: Final = words("with_ this kind expression exists properties replace")
_UPDATE: Final = words("with_ this expressions from_ where returning order limit hint")
_DELETE: Final = words("with_ this using where returning order limit tables hint")
_MERGE: Final = words("with_ this using on whens returning")
_CHANGING: Final = frozenset({exp.Insert, exp.Update, exp.Delete})
"""Statements other than queries that a common table of PostgreSQL may contain."""
_PROPERTIES: Final = (
    exp.FileFormatProperty,
    exp.MaterializedProperty,
    exp.TemporaryProperty,
    exp.TransientProperty,
    exp.UnloggedProperty,
    exp.WithDataProperty,
)
"""Properties of a new table or view that do not store its rows elsewhere."""


class StatementEffect(NamedTuple):
    """The effect of a statement: its outputs, and the flows into its target.

    `conditions` are the columns that decide which rows it returns or writes. `keys` are the part of them that only
    identifies the row to write, by a key whose value the application gives.
    """

    kind: str
    outputs: Relation
    target: str | None = None
    writes: Mapping[str, Flow] = MappingProxyType({})
    conditions: Flow = NOTHING
    keys: Flow = NOTHING


class _TargetFlows:
    """The flows into each column of a target table."""

    def __init__(self, table: DeclaredTable, *, exactly: bool = False) -> None:
        """Start without flows.

        Args:
            table: The target table.
            exactly: True if the engine refuses a row with fewer values than there are columns.
        """
        self.table: Final = table
        self._exactly: Final = exactly
        self.flows: Final[dict[str, Flow]] = {}
        self.conditions: Flow = NOTHING
        self.keys: Flow = NOTHING
        """The columns by which an existing row is found."""
        self.is_given = False
        """True if the application gives all values to insert, and none is read."""

    def find_column(self, key: str, called: str) -> str:
        """Return the declared name of a column.

        Raises:
            UnlabelledData: the table has no such column.
        """
        column = self.table.relation.get(key)
        if column is None:
            names = (other.name for other in self.table.relation.columns)
            raise UnlabelledData(
                f"`{self.table.name}.{called}` is no column that is known here{perhaps(called, names)}: tell it with "
                "its tag"
            )
        return column.name

    def add(self, column: str, flow: Flow) -> None:
        """Record a flow into a column."""
        self.flows[column] = self.flows.get(column, NOTHING) | flow

    def put(self, columns: Sequence[str], relation: Relation, *, exactly: bool) -> None:
        """Record the flows of the columns of a query into these columns, by position."""
        if not relation.complete:
            for name in columns:
                self.add(name, relation.flow())
            self.conditions |= relation.reads() - relation.flow()
            return
        values = relation.columns
        if len(values) > len(columns) or ((exactly or self._exactly) and len(values) < len(columns)):
            refuse(f"{len(values)} values are put into {len(columns)} columns of `{self.table.name}`")
        for name, column in zip(columns, values, strict=False):
            self.put_column(name, column)

    def put_column(self, name: str, column: QueryColumn) -> None:
        """Record the flow of a query's column into a column. Its other reads become conditions."""
        self.add(name, column.flow)
        self.conditions |= column.reads - column.flow


class StatementReader(QueryReader):
    """Reader of statements.

    `targets` holds the ids of the nodes that name the written table, `values` the columns that only set values read.
    """

    def __init__(self, catalogue: Catalog) -> None:
        super().__init__(catalogue)
        self.targets: set[int] = set()
        self.values: set[Read] = set()
        self.changes: list[StatementEffect] = []
        """The changes that common tables make (PostgreSQL), in their order."""
        self._read_by_changes: set[Read] = set()

    def statement(self, tree: exp.Expr) -> StatementEffect:
        """Return the effect of a statement.

        Raises:
            UnresolvedStatement: it is unknown what the statement does.
        """
        if isinstance(tree, (exp.Query, exp.Subquery, exp.Values)):
            relation = self.relation(tree, None, {})
            # Columns that are read before any item is used choose, group or order rows.
            conditions = frozenset(self.reads)
            within = NOTHING.union(*(column.reads - column.flow for column in relation.everything()))
            done = StatementEffect("select", self.mark_all_read(relation), conditions=conditions | within)
        else:
            done = self._change(tree, {})
        self.reads |= self._read_by_changes
        return done

    def _change(self, node: exp.Expr, commons: Commons) -> StatementEffect:
        """Read a statement that writes. `commons` holds the common tables around it."""
        kind = type(node)
        if kind is exp.Insert:
            return self._insert(node, commons)
        if kind is exp.Update:
            return self._update(node, commons)
        if kind is exp.Delete:
            return self._delete(node, commons)
        if kind is exp.Create:
            return self._create(node)
        if kind is exp.Merge:
            return self._merge_into(node)
        return refuse("only queries, INSERT, CREATE … AS, UPDATE, DELETE and MERGE are looked at")

    def relation(self, node: exp.Expr, around: Scope | None, commons: Commons) -> Relation:
        """Return the columns of a query, or those that a common table returns of the rows that it changes."""
        if type(node) not in _CHANGING or self.dialect != "postgres":
            return super().relation(node, around, commons)
        common = node.parent
        statement = common.parent.parent if isinstance(common, exp.CTE) and common.parent is not None else None
        if around is not None or statement is None or statement.parent is not None:
            refuse("a common table that changes rows stands before the whole statement: put it there")
        values, self.values = self.values, set()
        done = self._change(node, commons)
        self.values = values
        self.changes.append(done)
        # It changes rows whether or not anybody uses what it returns.
        self.reads |= done.conditions
        self._read_by_changes |= self.reads
        return done.outputs

    # ---- targets ---------------------------------------------------------------------------------------------------

    def _target(self, node: exp.Expr) -> DeclaredTable:
        """Return the table that a statement writes to."""
        table = self._find_target(node)
        if table is None:
            raise UnlabelledData(
                f"it writes to no table that is known here{self._describe_target(node)}: tell its columns and their "
                "tags"
            )
        self.targets.add(id(node))
        return table

    def _find_target(self, node: exp.Expr) -> DeclaredTable | None:
        key = self.catalogue.key(node) if isinstance(node, exp.Table) else None
        return None if key is None else self.catalogue.tables.get(self.catalogue.resolve_key(key))

    def _describe_target(self, node: exp.Expr) -> str:
        """Return a hint with the name of an unknown target and similar tables; empty if it has no plain name."""
        if not isinstance(node, exp.Table) or self.catalogue.key(node) is None:
            return ""
        name = ".".join(part.this for part in name_parts(node))
        return f", but to `{name}`{perhaps(name, (table.name for table in self.catalogue.tables.values()))}"

    def _standing(self, node: exp.Expr, scope: Scope) -> DeclaredTable:
        """Return the table that a statement writes to, and add it to a scope as the first source."""
        table = self._target(node)
        if not node.args.get("db") and self.catalogue.names.key(node.this) in scope.commons:
            refuse(f"`{node.name}` is written to, and names a common table: call that one otherwise")
        self.source(node, scope)
        return table

    def _split_target(self, node: exp.Expr) -> tuple[exp.Expr, list[exp.Identifier]]:
        """Return the node of the target table, and the columns that are listed after it."""
        if not isinstance(node, exp.Schema):
            return node, []
        table = self._find_target(node.this)
        return node.this, [self._find_written_column(column, table) for column in node.expressions]

    def _find_written_column(self, node: exp.Expr, table: DeclaredTable | None) -> exp.Identifier:
        """Return the name of a column to write, which the parser may take for a function without brackets."""
        spelled = BARE.get(type(node), frozenset[str]())
        if isinstance(node, exp.Boolean) and self.dialect == "sqlite":
            spelled = frozenset({"true" if node.this else "false"})
        names: list[str] = []
        if table is not None:
            names = [word for word in sorted(spelled) if table.relation.get(word) is not None]
        if len(names) != 1:
            return bare(node)
        name = exp.to_identifier(names[0], quoted=True)
        node.replace(name)  # The generator must write a name and not a function.
        return name

    # ---- INSERT ----------------------------------------------------------------------------------------------------

    def _insert(self, node: exp.Expr, outer_commons: Commons) -> StatementEffect:
        only(node, _INSERT)
        target, named = self._split_target(node.this)
        only(target, frozenset({"this", "db", "catalog", "alias"}))
        # In DuckDB a struct may stand for several values: only their number shows it.
        into = _TargetFlows(self._target(target), exactly=self.dialect == "duckdb")
        commons = self.commons(node, None, outer_commons)
        names = self.catalogue.names
        columns = self._list_columns(named, into)
        relation = self._read_inserted_rows(node, commons)
        into.conditions = frozenset(self.reads)
        self.mark_all_read(relation)
        into.is_given = not self.reads
        if node.args.get("by_name"):
            self._by_name(relation, into)
        elif not node.args.get("default"):
            into.put(columns, relation, exactly=bool(named))
        scope = Scope(None, commons)
        alias = target.args.get("alias")
        written = self.add_source(into.table.relation, alias, scope, target.this)
        if alias is None:
            written.path = tuple(map(names.key, name_parts(target)))
        conflict = node.args.get("conflict")
        if conflict is not None or node.args.get("alternative") or node.args.get("ignore"):
            # The statement reads existing rows.
            self.mentions[id(target)] = (cast("exp.Table", target), into.table.name)
            others = node.args.get("alternative") or node.args.get("ignore")  # These words concern all other keys.
            is_named = conflict is not None and conflict.args.get("conflict_keys") and not others
            keys = NOTHING if is_named else self._any_key(into)
            if conflict is not None:
                self._read_conflict_clause(conflict, scope, into, self._new_rows(node, columns, into), keys)
        return self._done("insert", node, scope, into)

    def _list_columns(self, named: Sequence[exp.Identifier], into: _TargetFlows) -> list[str]:
        """Return the declared names of the columns that a statement names; all of the target if it names none."""
        if not named:
            return list(into.table.columns)
        return [into.find_column(self.catalogue.names.key(identifier), identifier.this) for identifier in named]

    def _new_rows(self, node: exp.Expr, columns: Sequence[str], into: _TargetFlows) -> list[FromSource]:
        """Return the rows to insert, under the names by which ON CONFLICT refers to them.

        Their values also have the tags of the columns, because a parameter has no tags of its own.
        """

        def new(column: QueryColumn) -> QueryColumn:
            flow = into.flows.get(column.name, NOTHING)
            return column._replace(flow=flow | {(into.table.name, column.name)}, reads=flow)

        whole = Relation(map(new, into.table.relation.columns))
        rows = [FromSource("EXCLUDED" if self.dialect == "snowflake" else "excluded", "excluded", whole)]
        alias = node.expression.args.get("alias") if isinstance(node.expression, exp.Values) else None
        if alias is not None and isinstance(alias.this, exp.Identifier):
            # `VALUES (…) AS new (a, b)` of MySQL renames the columns in the order in which the statement lists them.
            by_name = {column.name: column for column in whole.columns}
            row = self.rename_columns(Relation(by_name[name] for name in columns), alias)
            rows.append(FromSource(self.catalogue.names.key(alias.this), alias.this.this, row))
        return rows

    def _any_key(self, into: _TargetFlows) -> Flow:
        """Return the columns that may find an existing row if no key is named: all of them.

        MySQL has no syntax for a key. There they decide what is set in the existing row (see
        `_read_conflict_clause`), not which rows are written.
        """
        own = frozenset((into.table.name, name) for name in into.flows or into.table.columns)
        self.reads |= own
        keys = own.union(*into.flows.values())
        if self.dialect != "mysql":
            into.keys |= keys
        return keys

    def _read_inserted_rows(self, node: exp.Expr, commons: Commons) -> Relation:
        if node.args.get("default"):
            return Relation(())
        source = node.args.get("source")
        if source:
            scope = Scope(None, commons)
            self.source(source, scope)
            return self.star(scope)
        query = node.args.get("expression")
        if not isinstance(query, exp.Expr):
            return refuse("it cannot be told what is inserted")
        return self.relation(query, None, commons)

    def _by_name(self, relation: Relation, into: _TargetFlows) -> None:
        if not relation.complete or relation.rest is not None:
            refuse("columns are inserted by name, and not all of them have one that is known here")
        for column in relation.columns:
            into.put_column(into.find_column(column.key or "", column.name), column)

    def _read_conflict_clause(
        self, node: exp.Expr, scope: Scope, target: _TargetFlows, rows: Sequence[FromSource], keys: Flow
    ) -> None:
        """Read ON CONFLICT or ON DUPLICATE KEY, by which an existing row is read and changed.

        Args:
            node: The clause.
            scope: The scope of the target.
            target: The flows into the target.
            rows: The rows to insert.
            keys: The columns by which an existing row may have been found if the clause names no key.
        """
        only(
            node,
            frozenset(
                {"duplicate", "expressions", "action", "conflict_keys", "index_predicate", "constraint", "where"}
            ),
        )
        inserted_scope = Scope(None, scope.commons)
        for row in rows:
            inserted_scope.add(row)
        clause_scope = Scope(inserted_scope, scope.commons)
        clause_scope.sources = scope.sources
        self.inserted = rows[0].relation  # For `VALUES(column)` of MySQL, which is valid in this clause only.
        with self.collect_reads_separately() as key_reads:
            for key in node.args.get("conflict_keys") or ():
                self.value(key, clause_scope)
        with self.collect_reads_separately() as reads:
            for name in ("where", "index_predicate"):
                part = node.args.get(name)
                if isinstance(part, exp.Expr):
                    self.value(part, clause_scope)
        # The values inserted into the columns of the key are compared with those of existing rows.
        target.keys |= frozenset(key_reads).union(*(target.flows.get(column, NOTHING) for _, column in key_reads))
        target.conditions |= frozenset(reads)
        self.reads |= key_reads | reads
        for assignment in node.expressions:
            for column in self._read_assignment(assignment, clause_scope, target):
                if not self._is_inserted(assignment, rows):
                    target.add(column, keys)
        self.inserted = None

    def _is_inserted(self, assignment: exp.Expr, rows: Sequence[FromSource]) -> bool:
        """Return True if a column is set to the value that would have been inserted into it."""
        key, value = self.catalogue.names.key, assignment.expression
        row: FromSource | None = None
        if isinstance(value, exp.Anonymous) and lower(value.name) == "values" and len(value.expressions) == 1:
            row, value = rows[0], value.expressions[0]
        elif isinstance(value, exp.Column) and value.args.get("table"):
            row = next((row for row in rows if row.key == key(value.args["table"])), None)
        if (
            row is None
            or not isinstance(value, (exp.Column, exp.Identifier))
            or not isinstance(assignment.this, exp.Column)
        ):
            return False
        return row.relation.get(key(bare(value))) is rows[0].relation.get(key(bare(assignment.this)))

    # ---- CREATE ----------------------------------------------------------------------------------------------------

    def _create(self, node: exp.Expr) -> StatementEffect:
        only(node, _CREATE)
        if str(node.args.get("kind")).upper() not in {"TABLE", "VIEW"} or not isinstance(node.expression, exp.Expr):
            refuse("of CREATE only tables and views made by a query are looked at")
        properties = node.args.get("properties")
        for item in properties.expressions if properties is not None else ():
            if not isinstance(item, _PROPERTIES):
                refuse(f"the property {type(item).__name__} of what is made is not looked into")
        target, named = self._split_target(node.this)
        only(target, frozenset({"this", "db", "catalog"}))
        into = _TargetFlows(self._target(target))
        relation = self.relation(node.expression, None, self.commons(node, None, {}))
        relation = self.rename_columns(relation, exp.TableAlias(columns=named) if named else None)
        into.conditions = frozenset(self.reads)
        self.mark_all_read(relation)
        if not relation.complete or relation.rest is not None:
            refuse(f"not every column of `{into.table.name}` gets a name that is known here: give each one with AS")
        for column in relation.columns:
            into.put_column(into.find_column(column.key or "", column.name), column)
        return StatementEffect("create", Relation(()), into.table.name, into.flows, into.conditions)

    # ---- UPDATE, DELETE --------------------------------------------------------------------------------------------

    def _update(self, node: exp.Expr, outer_commons: Commons) -> StatementEffect:
        only(node, _UPDATE)
        scope = Scope(None, self.commons(node, None, outer_commons))
        into = _TargetFlows(self._standing(node.this, scope))
        from_ = node.args.get("from_")
        if from_ is not None:
            self.source(from_.this, scope)
        for assignment in node.expressions:
            self._read_assignment(assignment, scope, into)
        self._which(node, scope)
        return self._done("update", node, scope, into)

    def _delete(self, node: exp.Expr, outer_commons: Commons) -> StatementEffect:
        only(node, _DELETE)
        scope = Scope(None, self.commons(node, None, outer_commons))
        tables: Sequence[exp.Expr] = node.args.get("tables") or ()
        target = node.this
        if not target and len(tables) == 1:  # `DELETE customer` of BigQuery
            target, tables = tables[0], ()
        if isinstance(target, exp.Table) and target.args.get("joins") and not tables:
            refuse("rows are deleted of several tables: delete them of one at a time")
        into = _TargetFlows(self._standing(target, scope))
        if tables and (len(tables) > 1 or self._key_of(tables[0]) != scope.sources[0].key):
            refuse("rows are deleted of another table than the first one in FROM: put it there")
        for table in node.args.get("using") or ():
            self.source(table, scope)
        self._which(node, scope)
        return self._done("delete", node, scope, into)

    def _key_of(self, node: exp.Expr) -> str:
        return self.catalogue.names.key(node.this) if isinstance(node.this, exp.Identifier) else ""

    def _which(self, node: exp.Expr, scope: Scope) -> None:
        """Read WHERE, and ORDER BY with LIMIT."""
        where = node.args.get("where")
        if where is not None:
            self.value(where, scope)
        self.read_order(node, Relation(()), scope)

    def _read_assignment(self, node: exp.Expr, scope: Scope, into: _TargetFlows) -> list[str]:
        """Read one assignment of SET: add its flows, and return the columns that it sets."""
        if type(node) is not exp.EQ:
            refuse("SET holds something that is no assignment")
        several = isinstance(node.this, exp.Tuple)
        targets = node.this.expressions if several else [node.this]
        columns = [self._set_column(part, scope, into) for part in targets]
        with self._for_values():
            value = node.expression
            row = self._several(value, scope) if several else Relation([self.cell(value, scope)])
            self._put(columns, row, into)
        return columns

    @contextmanager
    def _for_values(self) -> Generator[None]:
        """Keep the reads of a block out of the conditions: they flow into values and decide no row."""
        with self.collect_reads_separately() as reads:
            yield
        self.values |= reads

    def _put(self, columns: Sequence[str], row: Relation, into: _TargetFlows, *, exactly: bool = True) -> None:
        """Record the flows of a row into columns. All that was read so far is a condition of its values."""
        into.conditions |= frozenset(self.reads)
        into.put(columns, self.mark_all_read(row), exactly=exactly)

    def _several(self, node: exp.Expr, scope: Scope) -> Relation:
        if isinstance(node, exp.Tuple) or (isinstance(node, exp.Anonymous) and node.name.lower() == "row"):
            return Relation(self.cell(cell, scope) for cell in node.expressions)
        if isinstance(node, exp.Subquery):
            return self.relation(node, scope, scope.commons)
        return refuse("several columns are set to something that is no row")

    def _set_column(self, node: exp.Expr, scope: Scope, into: _TargetFlows) -> str:
        if type(node) in BARE or isinstance(node, exp.Boolean):
            name = self._find_written_column(node, into.table)
            return into.find_column(self.catalogue.names.key(name), str(name.this))
        if type(node) is not exp.Column or node.args.get("db"):
            return refuse("a part of a column is set: set the whole of it")
        table = node.args.get("table")
        names = self.catalogue.names
        if table is not None and names.key(table) != scope.sources[0].key:
            refuse("a column of another table than the first one is set")
        return into.find_column(names.key(bare(node)), str(node.name))

    # ---- MERGE -----------------------------------------------------------------------------------------------------

    def _merge_into(self, node: exp.Expr) -> StatementEffect:
        only(node, _MERGE)
        scope = Scope(None, self.commons(node, None, {}))
        into = _TargetFlows(self._standing(node.this, scope))
        self.source(node.args["using"], scope)
        self.value(node.args["on"], scope)
        for when in node.args["whens"].expressions:
            only(when, frozenset({"matched", "source", "condition", "then"}))
            condition = when.args.get("condition")
            if condition is not None:
                self.value(condition, scope)
            self._then(when.args["then"], scope, into)
        return self._done("merge", node, scope, into)

    def _then(self, node: exp.Expr, scope: Scope, into: _TargetFlows) -> None:
        source = scope.sources[-1].relation
        if isinstance(node, exp.Var):
            return
        if isinstance(node, exp.Update):
            only(node, frozenset({"expressions"}))
            if any(isinstance(item, exp.Star) for item in node.expressions):
                with self._for_values():
                    self._alike(source, into)
            else:
                for item in node.expressions:
                    self._read_assignment(item, scope, into)
        elif isinstance(node, exp.Insert):
            only(node, frozenset({"this", "expression"}))
            with self._for_values():
                if isinstance(node.this, exp.Star):
                    self._alike(source, into)
                elif isinstance(node.this, exp.Var):
                    self._put(into.table.columns, source, into, exactly=False)
                else:
                    named = list(map(bare, node.this.expressions)) if isinstance(node.this, exp.Expr) else []
                    columns = self._list_columns(named, into)
                    self._put(columns, self._several(_row(node.expression), scope), into, exactly=bool(named))
        else:
            refuse("what MERGE does is not looked into")

    def _alike(self, source: Relation, into: _TargetFlows) -> None:
        """Read `SET *` or `INSERT *`, which assign columns by name."""
        for key in into.table.relation.names:
            column = source.get(key) or source.rest
            if column is not None:
                self.mark_read(column)
                into.put_column(into.find_column(key, key), column)

    # ---- RETURNING -------------------------------------------------------------------------------------------------

    def _done(self, kind: str, node: exp.Expr, scope: Scope, into: _TargetFlows) -> StatementEffect:
        if kind != "insert":  # `_insert` recorded its conditions before it read the values.
            into.conditions |= frozenset(self.reads)
        self.reads |= self.values
        returning = node.args.get("returning")
        outputs = Relation(())
        if returning is not None:
            only(returning, frozenset({"expressions"}))
            if self.dialect == "sqlite":  # SQLite returns only columns of the written table.
                of_target = Scope(None, scope.commons)
                of_target.sources = scope.sources[:1]
                scope = of_target
            returned = self.mark_all_read(self.read_select_items(returning, scope))
            # The reads of an output choose its value, and nothing of what is written.
            columns = [column._replace(flow=column.flow | column.reads) for column in returned.columns]
            rest = returned.rest and returned.rest._replace(flow=returned.rest.flow | returned.rest.reads)
            outputs = Relation(columns, rest, complete=returned.complete)
        keys = into.keys - into.conditions if into.is_given else NOTHING
        return StatementEffect(kind, outputs, into.table.name, into.flows, into.conditions | into.keys, keys)


def _row(node: exp.Expr | None) -> exp.Expr:
    if isinstance(node, exp.Values) and len(node.expressions) == 1:
        node = node.expressions[0]
    if not isinstance(node, exp.Expr):
        return refuse("it cannot be told what is inserted")
    return node
