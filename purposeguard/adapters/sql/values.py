"""Expressions: the columns that an expression reads, and those that its value is made of.

Every kind of node is either known here or refused, so no new construct passes unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, ClassVar, Final, NoReturn

from sqlglot import exp

from purposeguard.adapters.sql.functions import HARMLESS, NAMED, NAMED_TABLE_FUNCTIONS, TABLE_FUNCTIONS, words
from purposeguard.adapters.sql.scopes import (
    NOTHING,
    Commons,
    Flow,
    NameLookup,
    QueryColumn,
    Read,
    Relation,
    Scope,
    everything,
    flows,
    lower,
    refuse,
)
from purposeguard.adapters.sql.tags import Catalog

_HIDDEN: Final = words("rowid oid _rowid_ docid rank")
"""Columns of SQLite that no table declares."""

_COUNT: Final = ":0123456789"
"""The characters of the suffix that SQLite adds to a repeated column name: `name:1`."""

JSON_ARROWS: Final = frozenset({"postgres", "mysql", "sqlite", "duckdb"})
"""Dialects in which `a -> b` extracts from `a`. In some places the parser reads it as a function of `a`."""


_WITH_FETCH: Final = frozenset({"postgres", "mysql", "duckdb", "snowflake"})
"""Dialects that have FETCH FIRST."""

_WORDS: Final = MappingProxyType(
    {
        "CurrentCatalog": "current_catalog",
        "CurrentDate": "current_date",
        "CurrentDatetime": "current_datetime",
        "CurrentRole": "current_role",
        "CurrentSchema": "current_schema",
        "CurrentTime": "current_time",
        "CurrentTimestamp": "current_timestamp localtimestamp",
        "CurrentUser": "current_user",
        "Localtime": "localtime current_time",
        "Localtimestamp": "localtimestamp current_timestamp",
        "SessionUser": "session_user",
        "UtcDate": "utc_date current_date",
        "UtcTime": "utc_time current_time",
        "UtcTimestamp": "utc_timestamp current_timestamp",
    }
)

BARE: Final = MappingProxyType({getattr(exp, name): words(text) for name, text in _WORDS.items()})
"""The functions that the parser reads or writes without brackets, each with its names."""

_PLAIN_NAMES: Final = (exp.Identifier, exp.Var, exp.Literal)

CHAINS: Final = frozenset({exp.And, exp.Or, exp.Add, exp.Sub, exp.Mul, exp.DPipe})

NO_VALUES: Final[Mapping[type, tuple[str, ...]]] = MappingProxyType(
    {
        exp.Alias: ("alias",),
        exp.Aliases: ("expressions",),
        **dict.fromkeys((exp.Cast, exp.JSONCast, exp.TryCast), ("to", "action")),
        exp.Collate: ("expression",),
        exp.Interval: ("unit",),
        exp.JSONTable: ("schema",),
    }
)
"""The parts of nodes that are names or types and not values."""


def _names_in(scope: Scope | None) -> Iterator[str]:
    """Yield the names of all columns that may be meant in a scope."""
    while scope is not None:
        for source in scope.visible:
            yield from source.relation.names
        scope = scope.parent


class ValueReader:
    """Reader of expressions. It adds the columns they read to `reads`, and returns those their value is made of."""

    def __init__(self, catalogue: Catalog) -> None:
        self.catalogue: Final = catalogue
        self.dialect: Final = catalogue.names.dialect
        self.lookup: Final = NameLookup(catalogue.names)
        self.reads: set[Read] = set()
        self.stands_for_columns = False
        """True if an item of SELECT stands for several columns (`COLUMNS(…)`, a `*` within)."""
        self.multiplies_rows = False
        """True if an item of SELECT makes several rows of one."""
        self.inserted: Relation | None = None
        """The row that would have been inserted, while the change of an existing row is read."""
        self._table_functions: Final = NAMED_TABLE_FUNCTIONS[self.dialect] | catalogue.functions
        self._parameter_signs: Final = {"%", "$"} if self.dialect == "sqlite" else {"%"}
        """Characters at the beginning of parameters that the parser takes for columns. No unquoted name has them."""
        self._known_functions: Final = NAMED[self.dialect] | self._table_functions

    def relation(self, node: exp.Expr, around: Scope | None, commons: Commons) -> Relation:
        """Return the columns of a query.

        Args:
            node: The query.
            around: The scope whose names the query sees, if there is one.
            commons: The common tables that the query sees.
        """
        raise NotImplementedError

    # ---- any expression --------------------------------------------------------------------------------------------

    def value(self, node: exp.Expr, scope: Scope) -> Flow:
        """Read an expression, and return the columns that its value is made of.

        Raises:
            UnresolvedStatement: it is unknown what the expression reads.
        """
        kind = type(node)
        read = self.readers.get(kind)
        if read is not None:
            return read(self, node, scope)
        if kind not in HARMLESS and kind not in NO_VALUES:
            refuse(f"{_describe_node(node)} is not looked into, so it cannot be told what it reads")
        return self.parts(node, scope, *NO_VALUES.get(kind, ()))

    def parts(self, node: exp.Expr, scope: Scope, *but: str) -> Flow:
        """Read the parts of a node except some, and return the columns that their values are made of."""
        parts: list[Flow] = []
        for name, part in node.args.items():
            if name in but:
                continue
            if isinstance(part, exp.Expr):
                parts.append(self.value(part, scope))
            elif type(part) is list:
                parts += [self.value(item, scope) for item in part if isinstance(item, exp.Expr)]
            elif isinstance(part, (tuple, dict)):
                refuse(f"{_describe_node(node)} holds parts in a way that is not looked into")
        if not parts:
            return NOTHING
        return parts[0] if len(parts) == 1 else flows(parts)

    def _read_chain(self, node: exp.Expr, scope: Scope) -> Flow:
        """Read a chain of operators.

        A chain nests on its left side. It is walked in a loop, because recursion could exhaust the stack.
        """
        operands: list[Flow] = []
        while type(node) in CHAINS:
            operands.append(self.value(node.expression, scope))
            node = node.this
        return flows([*operands, self.value(node, scope)])

    def mark_read(self, column: QueryColumn) -> Flow:
        """Count a column as read, and return its flow."""
        self.reads |= column.reads
        return column.flow

    def mark_all_read(self, relation: Relation) -> Relation:
        """Count all columns of a relation as read, and return the relation."""
        for column in relation.everything():
            self.reads |= column.reads
        return relation

    def measure(self, node: exp.Expr, scope: Scope) -> tuple[Flow, Flow]:
        """Return the flow and the reads of an expression, without counting the reads."""
        with self.collect_reads_separately() as reads:
            flow = self.value(node, scope)
        return flow, frozenset(reads)

    @contextmanager
    def collect_reads_separately(self) -> Generator[set[Read]]:
        """Collect the reads of a block in a set of their own, so that they do not count yet."""
        before, self.reads = self.reads, set()
        try:
            yield self.reads
        finally:
            self.reads = before

    # ---- names -----------------------------------------------------------------------------------------------------

    def _read_column(self, node: exp.Expr, scope: Scope) -> Flow:
        return self._read_path(node, (), scope)

    def _read_path(self, node: exp.Expr, fields: tuple[exp.Identifier, ...], scope: Scope) -> Flow:
        parts = list(filter(None, map(node.args.get, ("catalog", "db", "table", "this"))))
        if type(parts[-1]) is exp.Star:
            return self._read_whole_rows(parts[:-1], scope)
        names = _identifiers(parts)
        if len(names) == 1 and not names[0].args.get("quoted") and names[0].this[:1] in self._parameter_signs:
            return NOTHING
        if len(names) == 1 and not fields and self._is_text(names[0], scope):
            return NOTHING
        return self.mark_read(self.lookup.column([*names, *fields], scope))

    def _is_text(self, name: exp.Identifier, scope: Scope) -> bool:
        """Return True if SQLite takes `"…"` for a text, because no column has that name."""
        may_be = self.dialect == "sqlite" and name.args.get("quoted") and not self.catalogue.partial
        key = lower(name.this)
        if not may_be or key in _HIDDEN or self.lookup.find([name], scope) is not None:
            return False
        stem = key.rstrip(_COUNT)
        return ":" not in key[len(stem) :] or all(lower(name).rstrip(_COUNT) != stem for name in _names_in(scope))

    def _read_whole_rows(self, qualifier: list[Any], scope: Scope) -> Flow:
        """Read `t.*` in an expression: all columns of a table as one value."""
        self.stands_for_columns = True
        names = _identifiers(qualifier)
        relations = self.lookup.relations(names, scope)
        if not relations:
            return self.mark_read(self.lookup.column(names, scope))
        return flows(self.mark_read(relation.whole("")) for relation in relations)

    def _read_identifier(self, node: exp.Expr, scope: Scope) -> Flow:
        if not isinstance(node, exp.Identifier):
            refuse(f"{_describe_node(node)} stands where a name is expected")
        return self.mark_read(self.lookup.column([node], scope))

    def _read_keyword(self, node: exp.Expr, scope: Scope) -> Flow:
        """Read a word that the parser takes for a keyword, such as a unit, and that may be a column."""
        column = self.lookup.anyhow(lower(str(node.this)), scope)
        return NOTHING if column is None else self.mark_read(column)

    def _read_bare_function(self, node: exp.Expr, scope: Scope) -> Flow:
        """Read a function without brackets. Some engines prefer a column with its name."""
        parts: list[Flow] = []
        for word in BARE[type(node)]:
            column = self.lookup.anyhow(word, scope)
            if column is not None:
                parts.append(self.mark_read(column))
        parts.append(self.parts(node, scope))
        return flows(parts)

    def _read_boolean(self, node: exp.Expr, scope: Scope) -> Flow:
        """Read `true` or `false`, which in SQLite means a column of that name if there is one."""
        column = self.lookup.anyhow("true" if node.this else "false", scope) if self.dialect == "sqlite" else None
        return NOTHING if column is None else self.mark_read(column)

    def _read_fetch(self, node: exp.Expr, scope: Scope) -> Flow:
        """Read FETCH FIRST, which is an ordinary name in some engines."""
        if self.dialect not in _WITH_FETCH or (self.dialect == "snowflake" and not node.args.get("count")):
            refuse("whether `FETCH` is a name is a matter of the engine: write `LIMIT`, or quote the name")
        return self.parts(node, scope)

    def _read_star(self, node: exp.Expr, scope: Scope) -> Flow:
        self.stands_for_columns = True
        return flows([self.mark_read(everything(scope)), self.parts(node, scope, "except_", "rename")])

    def _read_columns_function(self, _: exp.Expr, scope: Scope) -> Flow:
        self.stands_for_columns = True
        return self.mark_read(everything(scope))

    def _read_count(self, node: exp.Expr, scope: Scope) -> Flow:
        if type(node.this) is exp.Star and not node.expressions and not node.this.args.get("except_"):
            return NOTHING
        before = self.stands_for_columns
        flow = self.parts(node, scope)
        self.stands_for_columns = before
        return flow

    def _read_dotted(self, node: exp.Expr, scope: Scope) -> Flow:
        chain: list[exp.Expr] = []
        base = node
        while type(base) is exp.Dot:
            chain.append(base.expression)
            base = base.this
        chain.reverse()
        names: list[exp.Identifier] = []
        while chain and isinstance(chain[0], exp.Identifier):
            names.append(chain[0])
            chain.pop(0)
        if type(base) is exp.Identifier and chain and self._is_schema([base, *names], scope):
            function = chain.pop(0)
            self.multiplies_rows |= self.schema_function([base, *names], function) in self._table_functions
            flow = (
                self.parts(function, scope, "this") if type(function) is exp.Anonymous else self.value(function, scope)
            )
        elif type(base) is exp.Identifier:
            flow = self.mark_read(self.lookup.column([base, *names], scope))
        elif type(base) is exp.Column:
            flow = self._read_path(base, tuple(names), scope)
        else:
            flow = self.value(base, scope)
        return flows([flow, *(self._read_member(member, scope) for member in chain)])

    def _read_member(self, node: exp.Expr, scope: Scope) -> Flow:
        """Read the part after a dot: a field, all fields, or a function of the value before the dot."""
        if type(node) is exp.Identifier:
            return NOTHING
        if type(node) is exp.Star:
            self.stands_for_columns = True
            return NOTHING
        return self.value(node, scope)

    def _is_schema(self, names: list[exp.Identifier], scope: Scope) -> bool:
        return self.dialect != "duckdb" or self.lookup.find(names, scope) is None

    def schema_function(self, names: Sequence[exp.Identifier], function: exp.Expr) -> str:
        """Return the name of a function with its schema, in lower case and without PostgreSQL's schema `pg_catalog`.

        The namespaces of BigQuery, such as `hll_count`, are part of the names of its functions.

        Raises:
            UnresolvedStatement: the function is not known to read nothing but its arguments.
        """
        called = str(function.this) if type(function) is exp.Anonymous else _sql_name(function)
        schema = [str(name.this) for name in names]
        whole = ".".join([*schema, called])
        if lower(whole) in self._known_functions:
            return lower(whole)
        built_in = self.dialect == "postgres" and schema == ["pg_catalog"]
        if built_in and (type(function) is not exp.Anonymous or lower(called) in self._known_functions):
            return lower(called)
        return self.refuse_function(whole)

    # ---- functions -------------------------------------------------------------------------------------------------

    def read_unknown_function(self, node: exp.Expr, scope: Scope) -> Flow:
        """Read a function that the parser does not know."""
        called = f"net.{node.name}" if type(node.parent) is exp.NetFunc else node.name
        name = lower(called)
        if name == "values" and self.inserted is not None:
            return self._read_inserted_value(node, self.inserted)
        if name not in self._known_functions:
            self.refuse_function(called)
        self.multiplies_rows |= name in self._table_functions
        return self.parts(node, scope, "this")

    def _read_inserted_value(self, node: exp.Expr, inserted: Relation) -> Flow:
        """Read `VALUES(column)` of MySQL: the value that would have been inserted."""
        names = [name.this if isinstance(name, exp.Column) else name for name in node.expressions]
        parts: list[Flow] = []
        for name in _identifiers(names):
            column = inserted.get(self.catalogue.names.key(name))
            if column is not None:
                parts.append(self.mark_read(column))
        return flows(parts)

    def refuse_function(self, name: str) -> NoReturn:
        """Raise UnresolvedStatement for a function that may read more than its arguments."""
        argument = self.catalogue.functions_named_by
        if argument:
            way_out = f'where it reads nothing else, say so, `{argument}={{"{lower(name)}"}}`'
        else:
            way_out = "write it with functions of the engine that are, or compute it outside of the statement"
        refuse(f"`{name}` is no function that is known to read nothing but its arguments: {way_out}")

    def _read_lambda(self, node: exp.Expr, scope: Scope) -> Flow:
        names = [parameter for parameter in node.expressions if isinstance(parameter, exp.Identifier)]
        if len(names) != len(node.expressions):
            refuse("the arguments of a function within a function are names")
        before: list[Flow] = []
        if self.dialect in JSON_ARROWS:
            for name in names:
                column = self.lookup.find([name], scope)
                if column is not None:
                    before.append(self.mark_read(column))
                elif self.dialect != "duckdb":
                    before.append(self.mark_read(self.lookup.column([name], scope)))
        return flows([*before, self._read_with_names(names, node, scope)])

    def _read_with_names(self, names: list[exp.Identifier], node: exp.Expr, scope: Scope, *but: str) -> Flow:
        """Read a node within which these names are parameters, which read nothing."""
        outer = scope.parameters
        scope.parameters = dict(outer)
        for name in names:
            key = self.catalogue.names.key(name)
            scope.parameters[key] = QueryColumn(name.this, key, NOTHING, NOTHING)
        try:
            return self.parts(node, scope, "expressions", *but)
        finally:
            scope.parameters = outer

    def _read_comprehension(self, node: exp.Expr, scope: Scope) -> Flow:
        iterated = self.value(node.args["iterator"], scope)
        variables = node.expression.expressions or [node.expression]
        names = [variable for variable in variables if isinstance(variable, exp.Identifier)]
        position = node.args.get("position")
        if isinstance(position, exp.Identifier):
            names.append(position)
        return flows([iterated, self._read_with_names(names, node, scope, "expression", "iterator", "position")])

    def _read_window(self, node: exp.Expr, scope: Scope) -> Flow:
        parts = [self.parts(node, scope, "alias")]
        named = node.args.get("alias")
        if named:
            parts.append(self.window(named, scope))
        return flows(parts)

    def window(self, name: exp.Expr, scope: Scope) -> Flow:
        """Return the flow of a named window."""
        key = self.catalogue.names.key(name) if isinstance(name, exp.Identifier) else None
        if key is None or key not in scope.windows:
            refuse(f"`{name.name}` is no window that is named here")
        return scope.windows[key]

    # ---- subqueries ------------------------------------------------------------------------------------------------

    def _read_subquery(self, node: exp.Expr, scope: Scope) -> Flow:
        return self.mark_all_read(self.relation(node, scope, scope.commons)).flow()

    def _read_exists(self, node: exp.Expr, scope: Scope) -> Flow:
        if not isinstance(node.this, (exp.Query, exp.Subquery)):
            return self.parts(node, scope)
        with self.collect_reads_separately() as reads:
            self.relation(node.this, scope, scope.commons)
        self.reads |= reads
        return frozenset(reads)  # Whether a row exists depends on everything that the query reads.

    def _read_in(self, node: exp.Expr, scope: Scope) -> Flow:
        if self.dialect == "sqlite" and node.args.get("field") is not None:
            refuse("`IN` before the name of a table reads that table: write it as a subquery")
        return self.parts(node, scope)

    # ---- nodes without a value -------------------------------------------------------------------------------------

    def _read_nothing(self, _node: exp.Expr, _scope: Scope) -> Flow:
        return NOTHING

    def _read_parameter(self, node: exp.Expr, _: Scope) -> Flow:
        if self.dialect == "snowflake" and type(node.this) is exp.Literal:
            refuse("`$1` is a column by its position: name it")
        return NOTHING

    def _read_named_argument(self, node: exp.Expr, scope: Scope) -> Flow:
        """Read `name => value`, `name := value`, or a field with its value."""
        if isinstance(node.this, exp.Parameter):
            refuse("a variable is set, and who reads it later is not looked into")
        value = self.value(node.expression, scope)
        # The keys of OBJECT_CONSTRUCT of Snowflake are values as well.
        return value if isinstance(node.this, _PLAIN_NAMES) else flows([self.value(node.this, scope), value])

    def _read_table_function(self, node: exp.Expr, scope: Scope) -> Flow:
        self.multiplies_rows = True
        return self.parts(node, scope)

    # ---- kinds of nodes --------------------------------------------------------------------------------------------

    readers: ClassVar[dict[type, Callable[[ValueReader, exp.Expr, Scope], Flow]]] = {
        exp.Anonymous: read_unknown_function,
        exp.AnonymousAggFunc: read_unknown_function,
        exp.Boolean: _read_boolean,
        exp.Column: _read_column,
        exp.Columns: _read_columns_function,
        exp.Comprehension: _read_comprehension,
        exp.Count: _read_count,
        exp.DataType: _read_nothing,
        exp.Dot: _read_dotted,
        exp.Except: _read_subquery,
        exp.Exists: _read_exists,
        exp.Fetch: _read_fetch,
        exp.Hint: _read_nothing,
        exp.Identifier: _read_identifier,
        exp.In: _read_in,
        exp.Intersect: _read_subquery,
        exp.JSONPath: _read_nothing,
        exp.Kwarg: _read_named_argument,
        exp.Lambda: _read_lambda,
        exp.Parameter: _read_parameter,
        exp.Placeholder: _read_nothing,
        exp.PropertyEQ: _read_named_argument,
        exp.Select: _read_subquery,
        exp.Star: _read_star,
        exp.Subquery: _read_subquery,
        exp.Union: _read_subquery,
        exp.Values: _read_subquery,
        exp.Var: _read_keyword,
        exp.Window: _read_window,
    }
    """The methods that read nodes whose parts alone do not determine their flow, by kind of node."""

    readers.update(dict.fromkeys(BARE, _read_bare_function))
    readers.update(dict.fromkeys(CHAINS, _read_chain))
    readers.update(dict.fromkeys(TABLE_FUNCTIONS - readers.keys() - NO_VALUES.keys(), _read_table_function))


def _identifiers(parts: list[Any]) -> list[exp.Identifier]:
    if not parts or not all(type(part) is exp.Identifier for part in parts):
        refuse("a column is told by something that is no name")
    return parts


def _describe_node(node: exp.Expr) -> str:
    """Return the name of a node for a message: its kind, without any value."""
    if isinstance(node, (exp.Anonymous, exp.AnonymousAggFunc)):
        return f"`{node.name}`"
    return f"`{type(node).__name__}`"


def _sql_name(node: exp.Expr) -> str:
    return node.sql_name().lower() if isinstance(node, exp.Func) else type(node).__name__
