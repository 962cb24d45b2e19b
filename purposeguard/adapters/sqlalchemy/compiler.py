"""What a compiled statement of SQLAlchemy reads and writes, noted while it is compiled.

A `Recorder` is the compiler of a guarded engine: it renders the same text as the dialect's own, and notes each column,
its SELECT, and whether the rows of its table are narrowed there. The notes stay with the compiled statement, which
SQLAlchemy caches by the statement's shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Function
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import Label, TableValuedColumn, quoted_name
from sqlalchemy.sql.functions import ScalarFunctionColumn
from sqlalchemy.sql.selectable import TableClause, Values
from sqlalchemy.types import UserDefinedType

from purposeguard.adapters.sqlalchemy.lineage import (
    ALL,
    Analysis,
    Deciding,
    Flow,
    Key,
    Occurrence,
    Scope,
    Untold,
    Written,
    base_of,
    cells_of,
    deciding_between,
    deciding_in,
    deciding_writes,
    expressions_of,
    flows_of,
    is_count_of_all,
    is_place,
    keys_of,
    untold_of,
)
from purposeguard.adapters.sqlalchemy.rows import Narrowed
from purposeguard.adapters.sqlalchemy.seals import SealedType

_CONSTANT: Final = re.compile(
    r"-?\d+(\.\d+)?|'[^'\\]*'|null|true|false|current_(timestamp|date|time)", re.IGNORECASE | re.ASCII
)
_OPERATOR: Final = re.compile(
    r"[!@#%^&|?*/+<>=~-]{1,5}|(not )?(i?like|regexp|glob|match|similar to|rlike)|is( not)?"
    r"|is (not )?distinct from|overlaps|at time zone|collate|xor|div|mod",
    re.IGNORECASE,
)
_COMMENTS: Final = re.compile(r"--|/\*|\*/|#$|^#(?![->])")
_FIELD: Final = re.compile(r"\w+", re.ASCII)


class Recorder(SQLCompiler):
    """Notes what it renders; mixed in before the compiler of a dialect."""

    purposeguard: Analysis

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As the compiler of the dialect."""
        self.purposeguard = Analysis()
        self._scope = Scope(None)
        self._reads: list[tuple[Scope, Key, TableClause, str]] = []
        self._narrowings: list[tuple[Scope, Key, str, tuple[str, ...]]] = []
        self._bound: list[str] | None = None
        self._binds: list[tuple[str, SealedType]] = []
        self._given: set[str] = set()
        self._written_in: list[Written] = []
        self._deciding: list[Deciding] = []
        self._tables: dict[int, TableClause] = {}
        self._output: Any = None
        self._exists_next = self._inserted = False
        self._star = self._aliased = self._shared = self._meeting = 0
        super().__init__(*args, **kwargs)
        self._finish()

    # ---- notes -------------------------------------------------------------------------------------------------------

    def _untold(self, why: str) -> None:
        if self.purposeguard.untold is None:
            self.purposeguard.untold = why

    def _read(self, table: object, name: str) -> None:
        base, alias = base_of(table)
        if base is None or self._bound is not None:
            return  # its base columns are rendered as well; a test for rows uses columns without returning them
        self._tables[id(base)] = base
        self._reads.append((self._scope, (base.fullname, alias), base, name))

    def _finish(self) -> None:
        self._look_at(self.statement)
        places: dict[tuple[int, Key], tuple[TableClause, set[str], bool]] = {}
        narrowings: dict[tuple[int, Key], list[tuple[str, tuple[str, ...]]]] = {}
        for scope, key, table, name in self._reads:
            holder = scope.holding(key)
            if holder is None and key[1] == "excluded":
                continue  # the row that was to be inserted, in ON CONFLICT
            place = (id(holder), key)
            written = holder is not None and holder.inserts == key
            places.setdefault(place, (table, set(), written))[1].add(name)
        for scope, key, shape, names in self._narrowings:
            if key in scope.froms:  # a test in a SELECT within leaves out none of the rows around it
                narrowings.setdefault((id(scope), key), []).append((shape, names))
        analysis = self.purposeguard
        analysis.occurrences = tuple(
            Occurrence(table, frozenset(names), tuple(narrowings.get(place, ())), written)
            for place, (table, names, written) in places.items()
        )
        analysis.tables = tuple(self._tables.values())
        analysis.flows = tuple(self._flows_written())
        analysis.sealed = tuple(kind for key, kind in self._binds if key not in self._given)

    def _flows_written(self) -> list[Flow]:
        try:
            flows = [flow for written in self._written_in for flow in flows_of(written, self._given, self._deciding)]
        except Untold as error:
            self._untold(str(error))
            return []
        return [flow for flow in flows if flow.columns or flow.conditions]

    # ---- columns and tables ------------------------------------------------------------------------------------------

    def visit_column(self, column: Any, *args: Any, **kwargs: Any) -> Any:
        """Notes the column."""
        if isinstance(column, (ScalarFunctionColumn, TableValuedColumn)):
            pass  # of a function's arguments, or the whole row, which is noted there
        elif column.is_literal:
            if column.name == "*" and (self._star or self._scope.exists):
                pass
            elif not _CONSTANT.fullmatch(column.name):
                self._untold("a `literal_column` in it is text")
        elif column.table is None:
            self._untold(f"the column `{column.name}` is of no table")
        elif column is self._output:
            self._output = None
            base, _ = base_of(column.table)
            if base is not None:
                self._tables[id(base)] = base
        else:
            self._read(column.table, column.name)
        return _above(super()).visit_column(column, *args, **kwargs)

    def visit_table_valued_column(self, element: Any, **kw: Any) -> Any:
        """A table in the place of a value: its whole row."""
        self._read(element.scalar_alias, ALL)
        return _above(super()).visit_table_valued_column(element, **kw)

    def visit_table(self, table: Any, *args: Any, **kwargs: Any) -> Any:
        """Notes the table, of which the rows are read."""
        self._tables[id(table)] = table
        if kwargs.get("asfrom") and not self._aliased:
            self._scope.froms.add((table.fullname, None))
        return _above(super()).visit_table(table, *args, **kwargs)

    def visit_alias(self, alias: Any, *args: Any, **kwargs: Any) -> Any:
        """Notes under which name a table is read."""
        base, name = base_of(alias)
        if base is None:
            return _above(super()).visit_alias(alias, *args, **kwargs)
        if kwargs.get("asfrom"):
            self._scope.froms.add((base.fullname, name))
        self._aliased += 1
        try:
            return _above(super()).visit_alias(alias, *args, **kwargs)
        finally:
            self._aliased -= 1

    def _label_select_column(
        self, select: Any, column: Any, populate_result_map: Any, *args: Any, **kwargs: Any
    ) -> Any:
        element: Any = column.element if isinstance(column, Label) else column
        # Of a sealed column that is given out as it is, the values stay sealed: they are checked where they are opened.
        if (
            populate_result_map
            and len(self.stack) <= 1
            and isinstance(getattr(element, "type", None), SealedType)
            and not getattr(select, "_distinct", False)
            and not _sorts_seals(select)
            and base_of(getattr(element, "table", None))[0] is not None
        ):
            self._output = element
        try:
            return _above(super())._label_select_column(select, column, populate_result_map, *args, **kwargs)
        finally:
            self._output = None

    def visit_join(self, join: Any, *args: Any, **kwargs: Any) -> Any:
        """In the ON of a FULL JOIN no test leaves rows out."""
        scope = self._scope
        scope.full += bool(join.full)
        try:
            return _above(super()).visit_join(join, *args, **kwargs)
        finally:
            scope.full -= bool(join.full)

    # ---- tests for rows ----------------------------------------------------------------------------------------------

    def visit_purposeguard_narrowed(self, element: Narrowed, **kw: Any) -> str:
        """A test by which rows that may not be used are left out."""
        base, alias = base_of(element.anchor.table)
        around, self._bound = self._bound, []
        try:
            text = element.text(self, **kw)
            if base is not None and not self._scope.full:
                key = (base.fullname, alias)
                self._narrowings.append((self._scope, key, element.shape, tuple(self._bound)))
        finally:
            self._bound = around
        return text

    def visit_bindparam(self, bindparam: Any, *args: Any, **kwargs: Any) -> Any:
        """Notes parameters of tests for rows, and those that hold sealed values."""
        text = _above(super()).visit_bindparam(bindparam, *args, **kwargs)
        if self._bound is not None:
            self._bound.append(self.bind_names.get(bindparam, ""))
        if isinstance(bindparam.type, SealedType) and not getattr(bindparam, "_is_crud", False):
            self._binds.append((bindparam.key, bindparam.type))
        return text

    # ---- statements --------------------------------------------------------------------------------------------------

    def visit_select(self, select_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        """Notes what stands in it as its own."""
        exists, self._exists_next = self._exists_next, False
        return self._within(_above(super()).visit_select, select_stmt, *args, exists=exists, **kwargs)

    def visit_compound_select(self, cs: Any, *args: Any, **kwargs: Any) -> Any:
        """Notes what decides which rows of several SELECTs there are."""
        text = self._within(_above(super()).visit_compound_select, cs, *args, **kwargs)
        self._decide(deciding_between, cs)
        return text

    def visit_cte(self, cte: Any, *args: Any, **kwargs: Any) -> Any:
        """Notes that what stands in it may be read from any part of the statement."""
        self._shared += 1
        try:
            return _above(super()).visit_cte(cte, *args, **kwargs)
        finally:
            self._shared -= 1

    def _within(self, render: Any, *args: Any, exists: bool = False, **kwargs: Any) -> Any:
        around = self._scope
        aliased, self._aliased = self._aliased, 0
        self._scope = Scope(around, exists=exists, shared=self._shared > 0, meeting=self._meeting > 0)
        self._inserted = bool(kwargs.get("insert_into"))
        try:
            return render(*args, **kwargs)
        finally:
            self._scope, self._aliased = around, aliased

    def _setup_select_stack(self, select: Any, compile_state: Any, *args: Any, **kwargs: Any) -> Any:
        self._look_at(select)
        inserted, self._inserted = self._inserted, False
        froms = _above(super())._setup_select_stack(select, compile_state, *args, **kwargs)
        self._decide(deciding_in, select, froms)
        into: Scope | None = self._scope
        while inserted and into is not None and into.chosen is None:
            into = into.parent
        if inserted and into is not None and into.chosen is not None:
            into.chosen.append(select)
        return froms

    def _decide(self, expressions_in: Any, *args: Any) -> None:
        try:
            self._deciding.append(Deciding(self._scope, tuple(expressions_in(*args))))
        except Untold as error:
            self._untold(str(error))

    def _look_at(self, statement: Any) -> None:
        """Refuses parts that code outside of the compiler renders."""
        if getattr(statement, "_hints", None) or getattr(statement, "_statement_hints", None):
            self._untold("it has hints, which are text")
        for element in visitors.iterate(statement):
            if isinstance(element, Values):
                for cell in cells_of(element):
                    self._look_at(cell)
            name = getattr(element, "name", None)
            if isinstance(name, quoted_name) and name.quote is False and not _FIELD.fullmatch(name):
                self._untold("a name in it is text that is not quoted")
            if hasattr(type(element), "_compiler_dispatcher"):
                self._untold(f"{type(element).__name__} in it is rendered by a function of the application")
                return

    def visit_insert(self, insert_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        """Notes what flows into the columns."""
        return self._within(self._written, _above(super()).visit_insert, insert_stmt, *args, **kwargs)

    def visit_update(self, update_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        """Notes what flows into the columns."""
        return self._within(self._written, _above(super()).visit_update, update_stmt, *args, **kwargs)

    def visit_delete(self, delete_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        """Notes what stands in it as its own."""
        self._look_at(delete_stmt)
        return self._within(self._deleted, _above(super()).visit_delete, delete_stmt, *args, **kwargs)

    def _deleted(self, render: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
        text = render(statement, *args, **kwargs)
        self._chooses(statement)
        return text

    def _chooses(self, statement: Any) -> None:
        chosen, met = deciding_writes(statement)
        self._deciding.append(Deciding(self._scope, tuple(chosen)))
        self._deciding.append(Deciding(self._scope, tuple(met), meeting=True))

    def _written(self, render: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
        table = statement.table
        is_insert = bool(statement.is_insert)
        self._scope.chosen = []
        if is_insert and isinstance(table, TableClause):
            self._tables[id(table)] = table
            self._scope.froms.add((table.fullname, None))
            if getattr(statement, "_post_values_clause", None) is None:
                self._scope.inserts = (table.fullname, None)
        within = kwargs.get("visiting_cte") is not None or bool(self.stack)
        text = render(statement, *args, **kwargs)
        arguments = {name: value for name, value in kwargs.items() if name != "visited_bindparam"}
        state: Any = (
            statement._compile_state_factory(statement, self, **arguments) if within else self.dml_compile_state
        )
        self._look_at(state.statement)
        for rendered in expressions_of(state):
            self._look_at(rendered)
        self._chooses(state.statement)
        written = Written(state, self._scope, tuple(self.column_keys or ()))
        self._written_in.append(written)
        for name in keys_of(written):  # an INSERT reveals whether a row with this key exists
            self._read(table, name)
        return text

    def visit_on_conflict_do_update(self, on_conflict: Any, **kw: Any) -> Any:
        """Notes that what stands in it is about the row that is there."""
        if any(isinstance(part, Narrowed) for part in _walk(on_conflict.inferred_target_whereclause)):
            self._untold("a test for rows stands where an index is named, and leaves none out")
        self._meeting += 1
        try:
            return _above(super()).visit_on_conflict_do_update(on_conflict, **kw)  # of some dialects
        finally:
            self._meeting -= 1

    # ---- what is text ------------------------------------------------------------------------------------------------

    def visit_textclause(self, textclause: Any, *args: Any, **kwargs: Any) -> Any:
        """Text: what it reads, its structure does not tell."""
        self._untold("it is text, or some of it is")
        return _above(super()).visit_textclause(textclause, *args, **kwargs)

    def visit_tstring(self, tstring: Any, *args: Any, **kwargs: Any) -> Any:
        """Text as well."""
        self._untold("it is text, or some of it is")
        return _above(super()).visit_tstring(tstring, *args, **kwargs)

    def visit_custom_op_binary(self, element: Any, operator: Any, **kw: Any) -> Any:
        """An operator that is text."""
        self._operator(operator)
        return _above(super()).visit_custom_op_binary(element, operator, **kw)

    def visit_custom_op_unary_operator(self, element: Any, operator: Any, **kw: Any) -> Any:
        """An operator that is text."""
        self._operator(operator)
        return _above(super()).visit_custom_op_unary_operator(element, operator, **kw)

    def visit_custom_op_unary_modifier(self, element: Any, operator: Any, **kw: Any) -> Any:
        """An operator that is text."""
        self._operator(operator)
        return _above(super()).visit_custom_op_unary_modifier(element, operator, **kw)

    def _operator(self, operator: Any) -> None:
        text = operator.opstring.strip()
        if not _OPERATOR.fullmatch(text) or _COMMENTS.search(text):
            self._untold("an operator in it is text")

    def visit_extract(self, extract: Any, **kwargs: Any) -> Any:
        """The field is text."""
        if not _FIELD.fullmatch(str(extract.field)):
            self._untold("a field of a date in it is text")
        return _above(super()).visit_extract(extract, **kwargs)

    def visit_typeclause(self, typeclause: Any, **kw: Any) -> Any:
        """A type of the application's own is text."""
        if isinstance(typeclause.type, UserDefinedType) or hasattr(type(typeclause.type), "_compiler_dispatcher"):
            self._untold("a type in it is text")
        return _above(super()).visit_typeclause(typeclause, **kw)

    # ---- functions ---------------------------------------------------------------------------------------------------

    def visit_function(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """A function: of its arguments, where it is known to read nothing else."""
        self._function(func)
        star = is_count_of_all(func)
        self._star += star
        try:
            return _above(super()).visit_function(func, *args, **kwargs)
        finally:
            self._star -= star

    def _function(self, func: Any, *, as_table: bool = False) -> None:
        watch = getattr(self.dialect, "purposeguard", None)
        harmless = () if watch is None else watch.functions
        untold = untold_of(func, self.dialect.name, harmless, as_table=as_table)
        if untold is not None:
            self._untold(untold)

    def visit_table_valued_alias(self, element: Any, **kw: Any) -> Any:
        """A function in the place of a table."""
        if isinstance(element.element, Function):
            self._function(element.element, as_table=True)
        return _above(super()).visit_table_valued_alias(element, **kw)

    def visit_unary(self, unary: Any, *args: Any, **kwargs: Any) -> Any:
        """`EXISTS (SELECT *)` uses no column."""
        self._exists_next = unary.operator is operators.exists
        try:
            return _above(super()).visit_unary(unary, *args, **kwargs)
        finally:
            self._exists_next = False


def _sorts_seals(select: Any) -> bool:
    """True if a SELECT is sorted or grouped by a sealed column, or by a name or place, which may be that of one."""
    clauses = [] if select is None else [*select._order_by_clauses, *select._group_by_clauses]
    return any(
        is_place(clause)
        or any(isinstance(getattr(part, "type", None), SealedType) for part in visitors.iterate(clause))
        for clause in clauses
    )


def _walk(element: Any) -> Iterable[Any]:
    return () if element is None else visitors.iterate(element)


def _above(parent: Any) -> Any:
    """The dialect's compiler, untyped: some methods exist in some dialects only."""
    return parent


def recording(compiler: type[SQLCompiler]) -> type[SQLCompiler]:
    """The compiler of a dialect, which notes what it renders."""
    return type(f"Recording{compiler.__name__}", (Recorder, compiler), {})
