"""Lineage: what an executed statement reads and writes, by its text, and what of it is sealed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import cachetools
from sqlalchemy import Table
from sqlglot import exp

from purposeguard.adapters.enforcement import Decider, Demand, must_cover
from purposeguard.adapters.row_rule import KeySet, RowRule
from purposeguard.adapters.sql.lineage import Read, Used, read, used_columns
from purposeguard.adapters.sql.rows import narrowed
from purposeguard.adapters.sql.scopes import Flow, lower
from purposeguard.adapters.sql.session import KEPT, LONGEST_KEPT, Statement, Statements
from purposeguard.adapters.sql.tags import Tables
from purposeguard.adapters.sqlalchemy.rows import (
    NARROWED,
    Marked,
    Ready,
    TableConditions,
    marked,
    must_be_values,
    number_of,
    ready,
)
from purposeguard.adapters.sqlalchemy.seals import SealedType
from purposeguard.adapters.tags import NOT_PERSONAL
from purposeguard.errors import UnlabelledData, UnresolvedStatement
from purposeguard.guard import Guard
from purposeguard.locks import new_lock
from purposeguard.notice.label import Label

WHAT: Final = "a statement was executed"

DIALECTS: Final = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "duckdb": "duckdb",
}
"""How the SQL adapter calls the dialects of SQLAlchemy that it knows."""


# ---- sealed types ----------------------------------------------------------------------------------------------------


class Seals(NamedTuple):
    """What a compiled statement has of sealed types.

    `outputs`: by place, the label under which an output comes out sealed, or None. `bound`: the names of parameters
    that take sealed values, with their labels. `names`: those of all parameters, where they are given in order.
    """

    outputs: tuple[Label | None, ...]
    bound: tuple[tuple[str, Label], ...]
    names: tuple[str, ...]


NO_SEALS: Final = Seals((), (), ())


def seals_of(compiled: Any) -> Seals:
    """The seals of a compiled statement, which remembers them; without one, there are none."""
    known: Seals | None = getattr(compiled, "purposeguard", None)
    if known is None and compiled is not None:
        columns = getattr(compiled, "_result_columns", ()) if getattr(compiled, "_ordered_columns", False) else ()
        dialect = compiled.dialect
        outputs = tuple(_label(entry.type, dialect) for entry in columns)
        binds: Mapping[Any, str] = getattr(compiled, "bind_names", {})
        bound = tuple(
            (name, label) for bind, name in binds.items() if (label := _label(bind.type, dialect)) is not None
        )
        known = NO_SEALS
        if bound or any(outputs):
            known = Seals(outputs, bound, tuple(getattr(compiled, "positiontup", None) or ()))
        compiled.purposeguard = known
    return known or NO_SEALS


def _label(kind: object, dialect: Any) -> Label | None:
    if isinstance(kind, SealedType):
        kind = kind.dialect_impl(dialect)  # `with_variant` may have put a plain type in its place
    return kind.label if isinstance(kind, SealedType) else None


def _many_values(query: exp.Expr | None) -> Sequence[exp.Expr]:
    """The values of `SELECT p0::TEXT FROM (VALUES (%s, 0)) AS imp_sen (p0, n)`, as many rows are inserted in order."""
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


def _is_computed_with(tree: exp.Expr, column: str) -> bool:
    """True if an output, or what one is made of, is more than a column of this name: a seal may tell what was computed.

    `nullif(phone, email)` comes out sealed or not at all.
    """
    names = {lower(column)}

    def has(node: exp.Expr) -> bool:
        return any(lower(found.name) in names for found in node.find_all(exp.Column))

    known = 0
    while known < len(names):
        known = len(names)
        names.update(lower(alias.alias) for alias in tree.find_all(exp.Alias) if has(alias.this))
        for table in tree.find_all(exp.TableAlias):
            if table.columns and (
                isinstance(table.parent, exp.Table) or (table.parent is not None and has(table.parent))
            ):
                names.update(lower(renamed.name) for renamed in table.columns)
    items = [item.unalias() for place in tree.find_all(exp.Select, exp.Returning) for item in place.expressions]
    computed = [item for item in items if not isinstance(item, (exp.Column, exp.Star, exp.Subquery))]
    return any(map(has, [*computed, *tree.find_all(exp.Values, exp.Unnest, exp.Lateral, exp.TableFromRows)]))


# ---- texts -----------------------------------------------------------------------------------------------------------


class Prepared(Statement):
    """An analysed statement; `marked` has marks in place of its parameters, `sealed` are the sealed values it uses."""

    def __init__(self, read: Read, used: Used, decider: Decider, marked: Marked, sealed: Demand) -> None:
        super().__init__(read, used, decider)
        self.marked: Final = marked
        self.sealed: Final = sealed


class Texts(Statements):
    """Reads the texts of statements that are executed on one engine. `places`: its tables, by their names there."""

    def __init__(
        self, guard: Guard, tables: Tables, places: Mapping[str, Table], dialect: Any, functions: Iterable[str]
    ) -> None:
        """Raises UnresolvedStatement where the texts of the database are not read."""
        known = DIALECTS.get(dialect.name)
        if known is None:
            raise UnresolvedStatement(
                f"statements of {dialect.name} are not read: guard an engine on {', '.join(DIALECTS)}"
            )
        counting = ("nextval",) if known == "postgres" else ()  # a sequence, which is of no table
        super().__init__(guard, tables, dialect=known, functions=(*functions, *counting))
        self._dialect: Final = known
        self._paramstyle: Final[str] = dialect.paramstyle
        self.places: Final = places
        self._known: Final[cachetools.LRUCache[object, Prepared]] = cachetools.LRUCache(KEPT)
        self._lock: Final = new_lock()

    def known(self, text: str, seals: Seals, *, bare: bool) -> Prepared | None:
        """A statement that was prepared before."""
        with self._lock:
            return self._known.get((text, seals, bare))

    def prepared(self, text: str, seals: Seals, *, bare: bool) -> Prepared:
        """A statement, analysed. `bare`: the driver looks for no parameters in it.

        Raises:
            UnresolvedStatement: what it reads or writes is unknown.
            UnlabelledData: it uses a table that carries no tags.
            FlowViolation: it writes into a column whose tags do not cover what it writes.
        """
        source = Marked(text, ()) if bare else marked(text, self._dialect, self._paramstyle)
        statement = self._read(source.text)
        must_be_values(statement.tree, source)
        self._cover(statement, narrowed=False)
        used = used_columns(self.tables, statement.analysis)
        sealed: list[tuple[str, Label]] = []
        if seals is not NO_SEALS:
            used = self._unsealed(statement, used, seals.outputs)
            sealed = list(self._sealed_values(statement, source, seals))
        made = Prepared(statement, used, self.decider, source, Demand(sealed))
        if len(text) <= LONGEST_KEPT:
            with self._lock:
                self._known[text, seals, bare] = made
        return made

    def _read(self, text: str) -> Read:
        try:
            return read(text, self.catalogue)
        except UnlabelledData as error:
            why = str(error)
        raise UnlabelledData(
            f"{why}: `Mapped[Annotated[str, Source]]`, `protect(…, not_personal=[Table])` where none is personal, "
            "or `protect(…, tags={Table: …})` where the table is not yours"
        )

    def decided(self, prepared: Prepared) -> Mapping[str, RowRule]:
        """By table, the rule by which rows are to be left out; the rest is checked. Empty if it may run as it is."""
        self.decider.meet(prepared.sealed, WHAT)
        return self._decided(prepared)

    def ready(
        self, prepared: Prepared, rules: Mapping[str, RowRule], parameters: Any, *, many: bool, bare: bool
    ) -> tuple[str, Any]:
        """The statement without the rows that may not be used, and its parameters.

        Raises:
            UnresolvedStatement: rows cannot be left out of it, or not on this database.
        """
        if self._dialect not in NARROWED:
            raise UnresolvedStatement(f"rows are narrowed on SQLite and PostgreSQL, and this is {self._dialect}")
        first = parameters[0] if many else parameters
        form = "bare" if bare else "named" if isinstance(first, Mapping) else len(first)
        made: Ready | None = prepared.rewritten(rules, form)
        if made is None:
            keys: list[tuple[KeySet, str]] = []
            mark = None if bare else len(prepared.marked.names)
            conditions = {
                name: TableConditions(rule, self.catalogue.names, self.places[name], keys, mark).rendered()
                for name, rule in rules.items()
            }
            text = narrowed(prepared.read, self.catalogue, conditions)
            made = Ready(text, (), (), 0) if bare else ready(text, prepared.marked, keys, self._paramstyle, first)
            prepared.keep(rules, form, made)
        if bare:
            return made.text, parameters
        if many:
            return made.text, [made.parameters(given, self._dialect) for given in parameters]
        return made.text, made.parameters(parameters, self._dialect)

    def _cover(self, statement: Read, rules: Mapping[str, RowRule] | None = None, *, narrowed: bool = True) -> None:
        if not self._names_row(statement):
            super()._cover(statement, rules, narrowed=narrowed)

    def _names_row(self, statement: Read) -> bool:
        """True if parameters are written to a row that is named by its key: that says which row it is, and not what."""
        tree, target = statement.tree, statement.analysis.target
        where = tree.args.get("where")
        if not isinstance(tree, exp.Update) or target is None or where is None or tree.args.get("from_"):
            return False
        keys = {column.name for column in self.places[target].primary_key}
        tests = list(where.this.flatten()) if isinstance(where.this, exp.And) else [where.this]
        return all(
            isinstance(test, exp.EQ)
            and isinstance(test.this, exp.Column)
            and test.this.name in keys
            and number_of(test.expression) is not None
            for test in tests
        ) and all(number_of(assignment.expression) is not None for assignment in tree.expressions)

    # ---- sealed columns ----------------------------------------------------------------------------------------------

    def _unsealed(self, statement: Read, used: Used, outputs: Sequence[Label | None]) -> Used:
        """The columns that are used, but for those whose values come out sealed and decide nothing else.

        Of these it is checked where they are opened.
        """
        analysis = statement.analysis
        columns = analysis.columns
        meets = any(statement.tree.args.get(name) for name in ("conflict", "alternative", "ignore"))
        if columns is None or len(columns) != len(outputs) or meets:
            return used
        sealed: set[tuple[str, str]] = set()
        plain = set(analysis.conditions).union(*analysis.writes.values())
        for flow, label in zip(columns, outputs, strict=True):
            (sealed if label is not None and self._stays_sealed(flow, label) else plain).update(flow)
        plain |= {(table, column) for table, column in sealed if _is_computed_with(statement.tree, column)}
        left = {
            table: (tags, tuple(name for name in names if (table, name) not in sealed - plain))
            for table, (tags, names) in used.items()
        }
        return {table: (tags, names) for table, (tags, names) in left.items() if names}

    def _stays_sealed(self, flow: Flow, label: Label) -> bool:
        """True if a seal has the sources of all that a value is made of."""
        tags = [self.tables[table].get(column) for table, column in flow]
        return all(tag is not None and not tag.by_row and tag.label.sources <= label.sources for tag in tags)

    def _sealed_values(self, statement: Read, source: Marked, seals: Seals) -> Iterator[tuple[str, Label]]:
        """The sealed values that a statement uses: all but those that it writes as they are.

        Raises:
            FlowViolation: one would be written into a column whose tag does not cover it.
        """
        analysis = statement.analysis
        target = analysis.target
        names = source.names if source.names and len(source.names) != len(seals.names) else seals.names
        places = dict(self._written_places(statement, target)) if target is not None else {}
        for name, label in seals.bound:
            into = [places.get(number) for number, called in enumerate(names) if called == name]
            columns = [column for column in into if column is not None]
            if not into or len(columns) < len(into):
                yield "a sealed value", label
                columns = list(analysis.writes)
            for column in columns:
                if target is not None:
                    tag = self.tables[target].get(column)
                    must_cover(target, column, NOT_PERSONAL if tag is None else tag.label, label)

    def _written_places(self, statement: Read, target: str) -> Iterator[tuple[int, str]]:
        """The parameters that are written as they are, by their numbers, each with its column."""
        tree = statement.tree
        known = {name.casefold(): name for name in self.tables.names[target]}
        cells: list[tuple[str, exp.Expr]] = []
        if isinstance(tree, exp.Insert) and isinstance(tree.expression, exp.Values):
            columns = [part.name for part in tree.this.expressions] if isinstance(tree.this, exp.Schema) else [*known]
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
            if number is not None and column.casefold() in known:
                yield number, known[column.casefold()]
