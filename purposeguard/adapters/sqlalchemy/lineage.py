"""Lineage of executed statements: the columns that they read and write, and the sealed values among them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import cachetools
from sqlalchemy import Table
from sqlalchemy.util.concurrency import await_only, in_greenlet
from sqlglot import exp

from purposeguard.adapters.enforcement import Decider, Demand, require_covering
from purposeguard.adapters.row_rule import KeySet, RowRule
from purposeguard.adapters.sql.lineage import ReadStatement, Used, list_used_columns, read_statement
from purposeguard.adapters.sql.rows import narrow_statement
from purposeguard.adapters.sql.session import KEPT, LONGEST_KEPT, PreparedStatement, Statements
from purposeguard.adapters.sql.tags import Tables
from purposeguard.adapters.sql.unresolved import Faults, ObservedStatement, collect_or_raise
from purposeguard.adapters.sqlalchemy.rows import (
    NARROWED,
    BoundStatement,
    Marked,
    TableConditions,
    bind_marks,
    mark_parameters,
    number_of,
    require_parameters_are_values,
)
from purposeguard.adapters.sqlalchemy.seals import SealedType
from purposeguard.adapters.tags import NOT_PERSONAL
from purposeguard.containers import drop_none
from purposeguard.errors import UnlabelledData, UnresolvedStatement
from purposeguard.guard import Guard
from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
from purposeguard.runtime.observer import Fields
from purposeguard.runtime.protocols import can_prefetch_roster

DIALECTS: Final = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "duckdb": "duckdb",
}
"""The names of dialects in the SQL adapter, by their names in SQLAlchemy."""


# ---- sealed types ----------------------------------------------------------------------------------------------------


class Seals(NamedTuple):
    """The sealed outputs and parameters of a compiled statement."""

    outputs: tuple[Label | None, ...]
    """By position, the label under which an output is sealed, or None."""
    bound: tuple[tuple[str, Label], ...]
    """The names of parameters that take sealed values, with their labels."""
    names: tuple[str, ...]
    """The names of all parameters, if parameters are given in order."""


NO_SEALS: Final = Seals((), (), ())


def seals_of(compiled: Any, lists: Mapping[str, Sequence[str]] = MappingProxyType({})) -> Seals:
    """Return the seals of a compiled statement, and cache them on it. No statement has no seals.

    Args:
        compiled: The compiled statement, or None.
        lists: By name of a parameter that holds a list, the names of the parameters that replace it on execution.
    """
    if compiled is None:
        return NO_SEALS
    seals: Seals | None = getattr(compiled, "purposeguard", None)
    if seals is None:
        seals = compiled.purposeguard = _read_seals(compiled)
    if seals.names and lists:
        # Numbered parameters (`$1`) have those of lists last. Only this private attribute tells them.
        names = sorted(seals.names, key=lists.__contains__) if compiled._numeric_binds else seals.names
        expanded: list[str] = []
        for name in names:
            expanded += lists.get(name, (name,))
        return seals._replace(names=tuple(expanded))
    return seals


def _read_seals(compiled: Any) -> Seals:
    """Return the seals in the types of a compiled statement's outputs and parameters."""
    columns = getattr(compiled, "_result_columns", ()) if getattr(compiled, "_ordered_columns", False) else ()
    outputs = tuple(_label(entry.type, compiled.dialect) for entry in columns)
    binds: Mapping[Any, str] = getattr(compiled, "bind_names", {})
    bound: list[tuple[str, Label]] = []
    for bind, name in binds.items():
        label = _label(bind.type, compiled.dialect)
        if label is not None:
            bound.append((name, label))
    if not bound and not any(outputs):
        return NO_SEALS
    literal_names = {binds[bind] for bind in compiled.literal_execute_params}
    names = tuple(name for name in compiled.positiontup or () if name not in literal_names)
    return Seals(outputs, tuple(bound), names)


def _label(kind: object, dialect: Any) -> Label | None:
    if isinstance(kind, SealedType):
        kind = kind.dialect_impl(dialect)  # `with_variant` may have replaced it by a plain type.
    return kind.label if isinstance(kind, SealedType) else None


def _many_values(query: exp.Expr | None) -> Sequence[exp.Expr]:
    """Return the values of `SELECT p0::TEXT FROM (VALUES (%s, 0)) AS imp_sen (p0, n)`.

    SQLAlchemy writes it when it inserts many rows that are returned in order.
    """
    from_ = query.args.get("from_") if isinstance(query, exp.Select) and not query.args.get("joins") else None
    rows = from_.this if from_ is not None else None
    if query is None or not isinstance(rows, exp.Values) or len(rows.expressions) != 1:
        return []
    names = [column.name for column in rows.args["alias"].columns] if rows.args.get("alias") else []
    by_name = dict(zip(names, rows.expressions[0].expressions, strict=False))
    values: list[exp.Expr] = []
    for item in query.expressions:
        value = item.unalias()
        while isinstance(value, exp.Cast):
            value = value.this
        values.append(by_name.get(value.name, value) if isinstance(value, exp.Column) else value)
    return values


def _find_key_parameters(tree: exp.Expr) -> tuple[set[str], int]:
    """Return the columns that WHERE sets equal to a parameter, and the number of all its conditions."""
    where = tree.args.get("where")
    if where is None:
        return set(), 0
    conditions = list(where.this.flatten()) if isinstance(where.this, exp.And) else [where.this]
    names: set[str] = set()
    for condition in conditions:
        is_column_test = isinstance(condition, exp.EQ) and isinstance(condition.this, exp.Column)
        if is_column_test and number_of(condition.expression) is not None:
            names.add(condition.this.name)
    return names, len(conditions)


# ---- texts -----------------------------------------------------------------------------------------------------------


class Prepared(PreparedStatement):
    """An analyzed statement.

    `marked` is its text with marks in place of parameters, `sealed` the demand of the sealed values that it uses.
    """

    def __init__(self, read: ReadStatement, used: Used, decider: Decider, marked: Marked, sealed: Demand) -> None:
        super().__init__(read, used, decider)
        self.marked: Final = marked
        self.sealed: Final = sealed
        self.reads_besides_objects: Final = functools.lru_cache(KEPT)(self._find_reads_besides_objects)

    @functools.cached_property
    def decisive_labels(self) -> frozenset[Label] | None:
        """The labels that decide the statement; None if its rows or sealed values are decided, too."""
        demand = self.narrowed_demand
        return None if demand.rows or self.sealed.is_personal else demand.labels

    def _find_reads_besides_objects(self, returned: frozenset[tuple[str, str]]) -> Fields:
        """Return the columns that are read when the statement is executed, and not when an attribute is read.

        Args:
            returned: The columns that the statement also returns outside objects, each with its table.
        """
        analysis = self.read.analysis
        loaded = frozenset().union(*(analysis.columns or ())) - analysis.conditions - returned
        names = {f"{table}.{column}" for table, column in loaded}
        return tuple(field for field in self.narrowed_demand.columns if field[0] not in names)


class LoopDecider(Decider):
    """A decider that lets the event loop of an async engine go on while it asks for all subjects."""

    def ask_governance(self, oversight: Any) -> object:
        """Return the answer of governance about all subjects, awaited where an async engine runs the statement."""
        if in_greenlet() and can_prefetch_roster(oversight):
            return await_only(oversight.aroster())
        return oversight.roster()


class StatementTexts(Statements):
    """Reader of the statements that are executed on one engine. `places` holds its tables by their names."""

    _decider_class = LoopDecider

    def __init__(
        self,
        guard: Guard,
        tables: Tables,
        places: Mapping[str, Table],
        dialect: Any,
        functions: Iterable[str],
    ) -> None:
        """Create the reader. Raise UnresolvedStatement if statements of the database cannot be read."""
        name = DIALECTS.get(dialect.name)
        if name is None:
            raise UnresolvedStatement(
                f"statements of {dialect.name} are not read: guard an engine on {', '.join(DIALECTS)}"
            )
        super().__init__(
            guard,
            tables,
            dialect=name,
            functions=functions,
            schema=getattr(dialect, "default_schema_name", None),
            partial=True,
            standard_strings=not getattr(dialect, "_backslash_escapes", True),
            untagged=places,
        )
        self._dialect: Final = name
        self._paramstyle: Final[str] = dialect.paramstyle
        self.places: Final = places
        self._known: Final[cachetools.LRUCache[object, Prepared]] = cachetools.LRUCache(KEPT)
        self._known_observed: Final[cachetools.LRUCache[object, ObservedStatement]] = cachetools.LRUCache(KEPT)
        self._lock: Final = make_lock()

    def _declare(self) -> None:
        """Do nothing: the engine declares its tables once, however their schemas are translated."""

    def get_prepared(self, text: str, seals: Seals, *, bare: bool) -> Prepared | None:
        """Return a statement that was prepared before; None if it was not."""
        with self._lock:
            return self._known.get((text, seals, bare))

    def get_observed(self, text: str, seals: Seals, *, bare: bool) -> ObservedStatement | None:
        """Return a statement that `observe` analyzed before; None if it did not."""
        with self._lock:
            return self._known_observed.get((text, seals, bare))

    def observe(self, text: str, seals: Seals, *, bare: bool) -> ObservedStatement:
        """Analyze a statement that runs unchanged in observe mode, and cache it with its faults for `get_observed`."""
        faults = Faults()
        prepared = None
        with faults.collect():
            prepared = self.prepare(text, seals, bare=bare, faults=faults)
        observed = ObservedStatement(text, prepared, faults.errors)
        if len(text) <= LONGEST_KEPT:
            with self._lock:
                self._known_observed[text, seals, bare] = observed
        return observed

    def prepare(self, text: str, seals: Seals, *, bare: bool, faults: Faults | None = None) -> Prepared:
        """Analyze a statement. Cache it for `get_prepared`, unless it is only observed.

        Args:
            text: The statement.
            seals: Its outputs that become sealed values, and its parameters that were sealed values.
            bare: True if the driver does not look for parameters in the text.
            faults: In observe mode, a collection for the errors that do not prevent the analysis. None to raise them.

        Returns:
            The statement, with the columns that it uses and the demands of its sealed values.

        Raises:
            UnresolvedStatement: it is unknown what it reads or writes.
            UnlabelledData: it uses a table that carries no tags.
            FlowViolation: it writes into a column whose tags do not cover what it writes.
        """
        source = Marked(text, ()) if bare else mark_parameters(text, self._dialect, self._paramstyle)
        statement = self._read(source.text)
        require_parameters_are_values(statement.tree, source)
        with collect_or_raise(faults):
            self._require_covering_tags(statement, narrowed=False)
        used = list_used_columns(self.tables, statement.analysis)
        if faults is not None:
            used = faults.drop_untagged(used)
        sealed: list[tuple[str, Label]] = []
        if seals is not NO_SEALS:
            with collect_or_raise(faults):
                if seals.bound and statement.analysis.changes:
                    raise UnresolvedStatement("a sealed value is given to a statement whose common tables change rows")
                used = self._drop_sealed(statement, used, seals.outputs)
                sealed = list(self._find_sealed_values(statement, source, seals))
        analysis = statement.analysis
        demand = Demand(sealed, kind=analysis.kind, tables=(analysis.target or "", *analysis.used))
        prepared = Prepared(statement, used, self.decider, source, demand)
        if faults is None and len(text) <= LONGEST_KEPT:
            with self._lock:
                self._known[text, seals, bare] = prepared
        return prepared

    def _read(self, text: str) -> ReadStatement:
        try:
            return read_statement(text, self.catalogue)
        except UnlabelledData as error:
            why = str(error)
        raise UnlabelledData(
            f"{why}: `Mapped[Annotated[str, Source]]`, `protect(…, not_personal=[Table])` where none is personal, "
            "or `protect(…, tags={Table: …})` where the table is not yours"
        )

    def decide(self, prepared: Prepared, returned: frozenset[tuple[str, str]] | None = None) -> Mapping[str, RowRule]:
        """Check a statement, and return the row rules by which to narrow it; empty if it may run unchanged.

        Args:
            prepared: The statement.
            returned: The columns that it returns outside objects, if a session makes objects of the others.
                Columns of objects are reported when their attributes are read.
        """
        self.decider.check_demand(prepared.sealed)
        return self._decide(prepared, None if returned is None else prepared.reads_besides_objects(returned))

    def narrow_for_driver(
        self, prepared: Prepared, rules: Mapping[str, RowRule], parameters: Any, *, many: bool, bare: bool
    ) -> tuple[str, Any]:
        """Return the narrowed statement for the driver, and its parameters.

        The parser sees a mark in place of each parameter (see `mark_parameters`), and the ids of subjects in conditions
        get marks too. Then all marks become parameters in the style of the driver, unless it gets none.

        Args:
            prepared: The statement.
            rules: By table, the rule of the rows to keep.
            parameters: The parameters, or several sets of them.
            many: True if there are several sets of parameters.
            bare: True if the driver gets no parameters.

        Raises:
            UnresolvedStatement: rows cannot be left out of the statement, or not on this database.
        """
        if self._dialect not in NARROWED:
            raise UnresolvedStatement(f"rows are narrowed on SQLite and PostgreSQL, and this is {self._dialect}")
        first_set = parameters[0] if many else parameters
        parameter_style: object = "bare"  # Whether the cached text serves depends on how parameters are given.
        if not bare:
            parameter_style = "named" if isinstance(first_set, Mapping) else len(first_set)
        narrowed: BoundStatement | None = prepared.find_cached_rewriting(rules, parameter_style)
        if narrowed is None:
            conditions, keys = self._render_conditions(prepared, rules, bare=bare)
            text = narrow_statement(prepared.read, self.catalogue, conditions)
            if bare:
                narrowed = BoundStatement(text, (), (), 0)
            else:
                narrowed = bind_marks(text, prepared.marked, keys, self._paramstyle, first_set)
            prepared.cache_rewriting(rules, parameter_style, narrowed)
        if bare:
            return narrowed.text, parameters
        if many:
            return narrowed.text, [narrowed.parameters(values, self._dialect) for values in parameters]
        return narrowed.text, narrowed.parameters(parameters, self._dialect)

    def _render_conditions(
        self, prepared: Prepared, rules: Mapping[str, RowRule], *, bare: bool
    ) -> tuple[dict[str, exp.Expr], list[tuple[KeySet, str]]]:
        """Return the condition of each table, and the key sets to bind, each with the form in which it is bound."""
        # The marks of keys are numbered after those of the parameters. If there are none, the text contains the keys.
        first_mark = None if bare else len(prepared.marked.names)
        keys: list[tuple[KeySet, str]] = []
        conditions: dict[str, exp.Expr] = {}
        for name, rule in rules.items():
            alone = self._is_alone(prepared.read, name)
            table = self.places[name]
            renderer = TableConditions(rule, self.catalogue.names, table, keys, first_mark, alone=alone)
            conditions[name] = renderer.render()  # It adds the key sets of this condition to `keys`.
        return conditions, keys

    def _require_covering_tags(
        self, statement: ReadStatement, rules: Mapping[str, RowRule] | None = None, *, narrowed: bool
    ) -> None:
        if not self._names_row(statement):
            super()._require_covering_tags(statement, rules, narrowed=narrowed)

    def _names_row(self, statement: ReadStatement) -> bool:
        """Return True if an UPDATE sets parameters in a row that it identifies by its key.

        Then the condition says which row is written, and nothing about what is in it.
        """
        tree, target = statement.tree, statement.analysis.target
        if not isinstance(tree, exp.Update) or target is None or statement.analysis.changes:
            return False
        if tree.this.args.get("joins") or any(map(tree.args.get, ("from_", "order", "limit"))):
            return False  # Something else decides which row is written.
        named, tests = _find_key_parameters(tree)
        return (
            len(named) == tests
            and named == self._list_key_columns(target)
            and all(number_of(assignment.expression) is not None for assignment in tree.expressions)
        )

    def _list_key_columns(self, name: str) -> set[str]:
        """Return the names of the columns of a table's primary key."""
        return {column.name for column in self.places[name].primary_key}

    def _is_alone(self, statement: ReadStatement, name: str) -> bool:
        """Return True if a query reads one row of a table, identified by its key, and no other table."""
        keys = self._list_key_columns(name)
        alone = isinstance(statement.tree, exp.Select) and len(statement.mentions) == 1
        return alone and bool(keys) and keys <= _find_key_parameters(statement.tree)[0]

    # ---- sealed columns ----------------------------------------------------------------------------------------------

    def _drop_sealed(self, statement: ReadStatement, used: Used, outputs: Sequence[Label | None]) -> Used:
        """Return the used columns without sealed ones that are returned as they are and decide nothing else.

        Sealed values are checked when they are opened. A value made of one may be null, which no seal hides.
        """
        analysis = statement.analysis
        columns, output_tables = analysis.columns, list(self._output_tables(statement))
        meets_rows = any(map(statement.tree.args.get, ("conflict", "alternative", "ignore")))
        if columns is None or not len(columns) == len(outputs) == len(output_tables) or meets_rows:
            return used
        sealed: set[tuple[str, str]] = set()
        plain = set(analysis.conditions).union(*analysis.writes.values())
        for flow, label, table in zip(columns, outputs, output_tables, strict=True):
            stays = len(flow) == 1 and all(self._stays_sealed(table, part, label) for part in flow)
            (sealed if stays else plain).update(flow)
        sealed -= plain
        remaining: Used = {}
        for table, (tags, names) in used.items():
            remaining_names = tuple(name for name in names if (table, name) not in sealed)
            if remaining_names:
                remaining[table] = (tags, remaining_names)
        return remaining

    def _stays_sealed(self, table: str | None, part: tuple[str, str], label: Label | None) -> bool:
        """Return True if an output is a sealed column of this table, and is returned sealed under its sources."""
        read_table, read_column = part
        if table is None or label is None or read_table != table:
            return False
        tag = self.tables[table].get(read_column)
        columns = [column for column in self.places[table].columns if column.name == read_column]
        sealed = any(isinstance(column.type, SealedType) for column in columns)
        return sealed and tag is not None and not tag.by_row and tag.label.sources <= label.sources

    def _output_tables(self, statement: ReadStatement) -> Iterator[str | None]:
        """Yield for each output the table whose unchanged column it is; None if it is anything else."""
        tree, target = statement.tree, statement.analysis.target
        names_by_key = self._find_unchanged_tables(statement)
        for item in (tree.args.get("returning") or tree).expressions:
            column = item.unalias()
            names: set[str] = set()
            if isinstance(column, exp.Column):
                qualifier = column.args.get("table")
                if isinstance(qualifier, exp.Identifier):
                    names = names_by_key.get(self.catalogue.names.key(qualifier), names)
                elif qualifier is None and target is not None:
                    names = {target}
            yield next(iter(names)) if len(names) == 1 else None

    def _find_unchanged_tables(self, statement: ReadStatement) -> dict[str, set[str]]:
        """Return the tables whose columns a statement may return unchanged, by the keys of their names in it."""
        tree, target = statement.tree, statement.analysis.target
        mentions: list[tuple[exp.Expr, str]] = []
        if target is None:
            clauses = (tree.args.get("from_"), *(tree.args.get("joins") or ()))
            for node, name in statement.mentions:
                if name in self.tables and any(node.parent is clause for clause in clauses):
                    mentions.append((node, name))
        elif not tree.args.get("from_") and not tree.args.get("using"):
            mentions.append((tree.this.this if isinstance(tree.this, exp.Schema) else tree.this, target))
        names_by_key: dict[str, set[str]] = {}
        for mention, name in mentions:
            alias = mention.args.get("alias")
            called = alias.this if alias is not None and alias.this else mention.this
            names_by_key.setdefault(self.catalogue.names.key(called), set()).add(name)
        return names_by_key

    def _find_sealed_values(
        self, statement: ReadStatement, source: Marked, seals: Seals
    ) -> Iterator[tuple[str, Label]]:
        """Yield the sealed values that a statement uses: all but those that it writes as they are.

        Raises:
            FlowViolation: a sealed value would be written into a column whose tag does not cover it.
        """
        analysis = statement.analysis
        target = analysis.target
        names = source.names if source.names and len(source.names) != len(seals.names) else seals.names
        places = dict(self._find_written_places(statement, target)) if target is not None else {}
        for name, label in seals.bound:
            into = [places.get(number) for number, called in enumerate(names) if called == name]
            columns = drop_none(into)
            if not into or len(columns) < len(into):
                yield "a sealed value", label
                columns = list(analysis.writes)
            for column in columns:
                if target is not None:
                    tag = self.tables[target].get(column)
                    require_covering(target, column, NOT_PERSONAL if tag is None else tag.label, label)

    def _find_written_places(self, statement: ReadStatement, target: str) -> Iterator[tuple[int, str]]:
        """Yield the numbers of the parameters that are written as they are, each with its column."""
        tree = statement.tree
        columns_by_key = {name.casefold(): name for name in self.tables.names[target]}
        cells: list[tuple[str, exp.Expr]] = []
        if isinstance(tree, exp.Insert) and isinstance(tree.expression, exp.Values):
            columns = list(columns_by_key)
            if isinstance(tree.this, exp.Schema):
                columns = [part.name for part in tree.this.expressions]
            for row in tree.expression.expressions:
                cells += zip(columns, row.expressions, strict=False)
        elif isinstance(tree, exp.Insert) and isinstance(tree.this, exp.Schema):
            cells += zip([part.name for part in tree.this.expressions], _many_values(tree.expression), strict=False)
        conflict = tree.args.get("conflict")
        for assignment in (*tree.expressions, *(conflict.expressions if conflict is not None else ())):
            if isinstance(assignment, exp.EQ):
                cells.append((assignment.this.name, assignment.expression))
        for column, value in cells:
            number = number_of(value)
            if number is not None and column.casefold() in columns_by_key:
                yield number, columns_by_key[column.casefold()]
