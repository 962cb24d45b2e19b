"""Watching: what a guarded engine asks of the guard about each statement, before the driver gets it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from sqlalchemy import schema
from sqlalchemy.dialects.postgresql import named_types

from purposeguard.adapters.enforcement import NO_RULES, Decider, Demand, must_cover
from purposeguard.adapters.row_rule import RowRule
from purposeguard.adapters.sql.functions import words
from purposeguard.adapters.sql.rows import NO_SOURCE
from purposeguard.adapters.sql.scopes import lower
from purposeguard.adapters.sql.session import Statements
from purposeguard.adapters.sqlalchemy.lineage import ALL, DIALECTS, Analysis, Flow, Occurrence
from purposeguard.adapters.sqlalchemy.objects import Attributes
from purposeguard.adapters.sqlalchemy.rows import BAD_JSON, Rows
from purposeguard.adapters.sqlalchemy.seals import SealedType
from purposeguard.adapters.sqlalchemy.tags import Catalogue
from purposeguard.adapters.tags import Columns
from purposeguard.errors import PurposeGuardError, UnknownSource, UnlabelledData, UnresolvedStatement
from purposeguard.guard import Guard
from purposeguard.runtime.use import Use, present
from purposeguard.values.markers import RowSource

WHAT: Final = "a statement was executed"

_ADVICE_ON_ROWS: Final = (
    "select mapped classes through a `GuardedSession`, which leaves out those that may not be used, or from "
    "`permitted(…)`; texts are not narrowed"
)

_DEFINES: Final = frozenset(
    getattr(module, name)
    for module, names in (
        (
            schema,
            words("""
            CreateTable DropTable CreateIndex DropIndex CreateSchema DropSchema CreateSequence DropSequence
            AddConstraint DropConstraint SetTableComment DropTableComment SetColumnComment DropColumnComment
            SetConstraintComment DropConstraintComment DropView
        """),
        ),
        (named_types, words("CreateEnumType DropEnumType CreateDomainType DropDomainType")),
    )
    for name in names
    if hasattr(module, name)  # some are of later versions
)
"""Statements that define tables and what belongs to them, and read none."""


class _Own:
    """A statement of the dialect itself, about the database and no table of the application, while it runs.

    `statement` is what the dialect executes, or None for whatever comes next.
    """

    __slots__ = ("statement",)

    def __init__(self, statement: object = None) -> None:
        self.statement = statement

    def has(self, statement: str, context: Any) -> bool:
        """True if exactly this is executed, and no replacement by a listener."""
        if self.statement is None or isinstance(self.statement, str):
            return self.statement is None or statement == self.statement
        return context.invoked_statement is self.statement and statement == context.statement


_ASKING: Final = object()
"""In the place of a statement: a dialect is about to ask the database about itself."""

_own: ContextVar[object] = ContextVar("purposeguard dialect", default=None)


@contextmanager
def own_statements() -> Any:
    """What the dialect executes within is about the database itself; what listeners execute meanwhile is not."""
    token = _own.set(_ASKING)
    try:
        yield
    finally:
        _own.reset(token)


@contextmanager
def own_statement(statement: object = None) -> Any:
    """One statement is executed: the dialect's own, or that of a listener which runs while one is executed."""
    asking = _own.get() is _ASKING or statement is None
    token = _own.set(_Own(statement) if asking else None)
    try:
        yield
    finally:
        _own.reset(token)


def is_asking() -> bool:
    """True if a dialect asks the database about itself."""
    return _own.get() is not None


def _is_own(statement: str, context: Any) -> bool:
    own = _own.get()
    return isinstance(own, _Own) and own.has(statement, context)


class Narrowing(NamedTuple):
    """A table whose rows are decided one by one, the columns that a statement uses, and the places of use."""

    table: str
    columns: Columns
    names: tuple[str, ...]
    occurrences: tuple[Occurrence, ...]


class NarrowedBy(NamedTuple):
    """The rules by which a session has just narrowed a statement, by table and columns."""

    use: Use[Any]
    rules: Mapping[tuple[str, tuple[str, ...]], RowRule | None]


NARROWED_BY: Final = "purposeguard_rules"
"""The execution option by which a session passes them on, so that no rule is looked up twice."""


class UntaggedKey(UserWarning):
    """A foreign key says whose the rows of a table are, and carries no source.

    Then a statement may count these rows for each person, or ask who has none, and choose people by it, for a purpose
    that may use nothing in the rows.
    """


class Plan:
    """What the guard has to decide about statements of one shape."""

    __slots__ = ("demand", "narrowings", "schemas", "stamp", "used")

    def __init__(
        self,
        demand: Demand,
        used: Mapping[str, tuple[Columns, tuple[str, ...]]],
        narrowings: tuple[Narrowing, ...],
        schemas: frozenset[tuple[str | None, str]],
        stamp: object,
    ) -> None:
        self.demand = demand
        self.used = used
        self.narrowings = narrowings
        self.schemas = schemas
        self.stamp = stamp
        """The state of the tags when the plan was made."""


class _Texts(Statements):
    """Texts that are executed on a guarded engine."""

    _advice_on_rows = _ADVICE_ON_ROWS


class Watch:
    """Decides statements of one engine by one guard."""

    def __init__(self, guard: Guard, catalogue: Catalogue, dialect: Any, functions: Iterable[str] = ()) -> None:
        """`functions` are those of the database's own that read nothing but their arguments."""
        self.guard = guard
        self.functions = frozenset(lower(function) for function in functions)
        self._dialect = dialect
        self._statements: _Texts | None = None
        self.decider = Decider(guard, rows=_ADVICE_ON_ROWS)
        self.catalogue = catalogue
        self.attributes = Attributes(catalogue)
        self._warned: set[str] = set()
        self._looked_at: object = None
        self.rows = Rows(dialect)
        self._rows_known: tuple[object, bool] | None = None

    def has_rows(self) -> bool:
        """True if there is a table whose rows may be decided one by one."""
        stamp = self.catalogue.refreshed()
        known = self._rows_known
        if known is None or known[0] is not stamp:
            by_rows = any(self.decider.asks_rows(columns, columns) for columns in self.catalogue.every())
            known = self._rows_known = (stamp, by_rows)
        return known[1]

    def warn_of_keys(self, stacklevel: int) -> None:
        """Warns of foreign keys that are marked `Subject` and carry no source, once for each table."""
        stamp = self.catalogue.refreshed()
        if stamp is self._looked_at:
            return
        self._looked_at = stamp
        for table in [table for place in self.catalogue._places for table in place.tables.values()]:
            name = table.fullname
            if name in self._warned or not self.catalogue.knows(name):
                continue
            _, columns = self.catalogue.find(table)
            for column, mark in columns.subjects():
                if table.columns[column].foreign_keys and not columns[column].is_personal:
                    self._warned.add(name)
                    warnings.warn(
                        f"`{name}.{column}` says whose a row is, and carries no source: whoever counts the rows of a "
                        "person, or asks who has none, chooses people by them for any purpose. Tag it with the source "
                        f"of the rows, `Mapped[Annotated[int, {mark!r}, Source]]`",
                        UntaggedKey,
                        stacklevel=stacklevel + 1,
                    )

    # ---- before the driver gets it ---------------------------------------------------------------------------------

    def admit(self, statement: str, context: Any, *, bare: bool = False) -> None:
        """Checks that a statement may be executed now, and records it in the ledger.

        `bare`: the driver gets no parameters, so that it looks for none in the text.

        Raises:
            PurposeMissing, PurposeViolation: it uses what the purpose under way may not use.
            UnlabelledData: it uses a column or table without tags, or rows that are to be narrowed first.
            UnresolvedStatement: what it reads is unknown.
            FlowViolation: it writes into a column whose tags do not cover what it writes.
        """
        if context is None:  # SQLAlchemy always has one
            self.text(statement, "it is text", bare=bare)
            return
        compiled: Any = context.compiled
        analysis: Analysis | None = getattr(compiled, "purposeguard", None)
        if analysis is not None and (
            statement is context.statement
            or statement == context.statement
            or statement == getattr(context, "purposeguard_batch", None)
        ):
            plan = analysis.plan
            if plan is None or (plan is not TEXT and plan.stamp is not self.catalogue.refreshed()):
                if _is_own(statement, context):
                    return
                plan = self.plan(analysis)
            if plan is not TEXT:
                if plan.demand.is_personal or "schema_translate_map" in context.execution_options:
                    self._settle(plan, context)
                return
        if _is_own(statement, context):
            return
        defines = type(compiled.statement) if context.isddl else None
        if defines in _DEFINES and not hasattr(defines, "_compiler_dispatcher"):  # rendered by the application
            return
        why = "it is text" if analysis is None else analysis.untold or "its text was changed"
        self.text(statement, why, bare=bare)

    def plan(self, analysis: Analysis) -> Any:
        """The plan for statements of a shape; `TEXT` if their text has to be analysed."""
        self.attributes.ask()  # before there are objects that the statement loads
        if analysis.untold is not None:
            analysis.plan = TEXT
            return TEXT
        self.catalogue.refresh()
        self.warn_of_keys(stacklevel=2)  # of tables that came later
        stamp = self.catalogue.refreshed()
        tables: dict[str, tuple[Columns, dict[str, None], list[Occurrence]]] = {}
        for table in analysis.tables:
            name, columns = self.catalogue.find(table)
            tables.setdefault(name, (columns, {}, []))
        for occurrence in analysis.occurrences:
            name, columns = self.catalogue.find(occurrence.table)
            _, names, places = tables[name]
            names.update(dict.fromkeys(_in_order(columns, occurrence.names)))
            places.append(occurrence)
        used = {name: (columns, tuple(names)) for name, (columns, names, _) in tables.items() if names}
        narrowings: list[Narrowing] = []
        for name, (columns, chosen) in used.items():
            tags = {column: columns[column] for column in chosen if column in columns}
            if self.decider.asks_rows(columns, tags):
                unwritten = tuple(
                    place for place in tables[name][2] if _is_personal(columns, place) and not place.written
                )
                narrowings.append(Narrowing(name, columns, chosen, unwritten))
        demand = self.decider.demand(used, frozenset(narrowing.table for narrowing in narrowings))
        if analysis.sealed:
            sealed = [("a sealed value", value.label) for value in analysis.sealed]
            demand = Demand.together((demand, Demand(sealed)))
        self._flows(analysis.flows)
        schemas = frozenset((table.schema, table.name) for table in analysis.tables)
        analysis.plan = Plan(demand, used, tuple(narrowings), schemas, stamp)
        return analysis.plan

    def _settle(self, plan: Plan, context: Any) -> None:
        """Checks that the purpose under way may use what a statement uses."""
        translated = context.execution_options.get("schema_translate_map")
        if translated:
            self._same_tables(plan, translated)
        if not plan.narrowings:
            self.decider.meet(plan.demand, WHAT)
            return
        use = present(self.decider.engine, WHAT)
        rules: Mapping[str, RowRule | None] = NO_RULES
        if use is not None and not self.observes(use):
            rules = {narrowing.table: self._narrowed(narrowing, use, context) for narrowing in plan.narrowings}
        self.decider.meet_under(use, plan.demand, rules)

    def observes(self, use: Use[Any] | None) -> bool:
        """True if what may not be used is only recorded."""
        return self.decider.engine.observing if use is None else use.activity.observing

    def _narrowed(self, table: Narrowing, use: Use[Any], context: Any) -> RowRule | None:
        """The rule of this use; raises UnlabelledData unless the statement leaves out rows by exactly this rule."""
        from_session = context.execution_options.get(NARROWED_BY)  # by the session, for this very statement
        if (
            isinstance(from_session, NarrowedBy)
            and from_session.use is use
            and (table.table, table.names) in from_session.rules
        ):
            rule = from_session.rules[table.table, table.names]
        else:
            rule = self.decider.rule(use, table.columns, table.names, table.table)
        if rule is None:
            return None
        parameters = context.compiled_parameters
        for occurrence in table.occurrences:
            if not any(
                self.rows.agrees(rule, table.table, occurrence.table, narrowing, parameters)
                for narrowing in occurrence.narrowings
            ):
                self.decider.meet_under(use, self.decider.demand(_only(table)))  # raises, and says what to do
                raise UnlabelledData(f"the rows of `{table.table}` are to be narrowed first")
        return rule

    def of_rows(self, error: BaseException, connection: Any, context: Any) -> PurposeGuardError | None:
        """The refusal that an error of the database stands for: a row with an unknown source. None for other errors."""
        plan: Any = getattr(getattr(getattr(context, "compiled", None), "purposeguard", None), "plan", None)
        message = str(error)
        if not isinstance(plan, Plan) or not plan.narrowings or not (NO_SOURCE in message or BAD_JSON in message):
            return None
        for table in plan.narrowings:
            use = self.decider.engine.ambient()
            rule = self.decider.rule(use, table.columns, table.names, table.table) if use._runs_here() else None
            if rule is None or rule.source is None:
                continue
            source = message.partition(NO_SOURCE)[2].partition('"')[0]
            if not source and self._dialect.name == "sqlite":
                with own_statements():
                    stranger = self.rows.stranger(connection, rule, table.occurrences[0].table)
                if stranger is None:
                    continue
                source = stranger
            where = f"`{table.table}.{rule.source}`"
            if source in ("", "none"):
                return UnlabelledData(f"a row names no source in {where}, so nothing says what it may be used for")
            return UnknownSource(source, f"a row names it in {where}: write the ids there as the notice prints them")
        return None

    def _same_tables(self, plan: Plan, translated: Mapping[str | None, str | None]) -> None:
        for own_schema, name in plan.schemas:
            if own_schema in translated and translated[own_schema] != own_schema:
                other = translated[own_schema]
                full_name = f"{other}.{name}" if other else name
                # In its default schema the database finds a table by its name alone.
                alone = other == getattr(self._dialect, "default_schema_name", None) and own_schema is not None
                if self.catalogue.knows(full_name) or (alone and self.catalogue.knows(name)):
                    raise UnresolvedStatement(
                        f"`schema_translate_map` makes another table of `{name}`, `{full_name}`, which has tags of its "
                        "own: name that table in the statement"
                    )

    def _flows(self, flows: Iterable[Flow]) -> None:
        """Raises FlowViolation where a column's tags do not cover what flows into it."""
        all_flows = list(flows)
        for flow in all_flows:
            name, columns = self.catalogue.find(flow.table)
            target = columns.get(flow.column)
            if target is None:
                raise UnlabelledData(f"`{name}.{flow.column}` carries no tag, so nothing may flow into it")
            for source in (*flow.columns, *flow.conditions):
                if isinstance(source, SealedType):
                    must_cover(name, flow.column, target.label, source.label)
                    continue
                table, column = source
                origin, others = self.catalogue.find(table)
                tags = others if column == ALL else {column: others.get(column)}
                for origin_column, tag in tags.items():
                    if tag is None:
                        raise UnlabelledData(f"`{origin}.{origin_column}` carries no tag, so it may flow nowhere")
                    must_cover(name, flow.column, target.label, tag.label)
                    if tag.by_row and not (target.by_row and _with_source(all_flows, flow, columns, table, others)):
                        raise UnlabelledData(
                            f"`{name}.{flow.column}` would hold values whose sources their rows name: mark it `ByRow`, "
                            "and put the column that names the source along"
                        )

    # ---- text --------------------------------------------------------------------------------------------------------

    def text(self, statement: str, why: str, *, bare: bool) -> None:
        """Checks a statement that is text, or contains text.

        Raises:
            UnresolvedStatement: what it reads is unknown. Also as `admit`.
        """
        name = DIALECTS.get(self._dialect.name)
        if name is None:
            raise UnresolvedStatement(f"{why}, and the text of statements is not read of {self._dialect.name}")
        tables = self.catalogue.tables
        if self._statements is None or self._statements.tables is not tables:
            self._statements = _Texts(self.guard, tables, dialect=name, functions=self.functions)
        marked = not bare and self._dialect.paramstyle in ("pyformat", "format")
        self._statements.check(_PYFORMAT.sub(_as_parameter, statement) if marked else statement)


_PYFORMAT: Final = re.compile(r"%%|%\(\w+(?:[ .-]\w+)*\)s|%s|%.?", re.DOTALL)


def _as_parameter(match: re.Match[str]) -> str:
    """The database's own form of a parameter that drivers mark in a way that no parser reads."""
    if match[0] == "%%":
        return "%"
    if not match[0].endswith("s"):
        raise UnresolvedStatement(
            "a `%` in it begins no parameter that every driver reads alike: name parameters by words, and double a `%` "
            "that is none"
        )
    return "$1"


TEXT: Final = object()
"""In place of a plan: the text of the statement is analysed."""


def _with_source(flows: Iterable[Flow], flow: Flow, columns: Columns, table: Any, others: Columns) -> bool:
    """True if the source of each row is written along with its values."""
    theirs, ours = others.marked(RowSource), columns.marked(RowSource)
    return theirs is not None and any(
        other.column == ours and other.table is flow.table and list(other.columns) == [(table, theirs)]
        for other in flows
    )


def _only(narrowing: Narrowing) -> dict[str, tuple[Columns, tuple[str, ...]]]:
    return {narrowing.table: (narrowing.columns, narrowing.names)}


def _in_order(columns: Columns, names: Iterable[str]) -> list[str]:
    """Names in the order of the columns. Names without a tag come last, and are refused."""
    wanted = set(names)
    if ALL in wanted:
        return list(columns)
    folded = {name.casefold(): name for name in columns}
    known = {name if name in columns else folded.get(name.casefold(), name) for name in wanted}
    return [*(name for name in columns if name in known), *sorted(known - set(columns))]


def _is_personal(columns: Columns, occurrence: Occurrence) -> bool:
    return any(name not in columns or columns[name].is_personal for name in _in_order(columns, occurrence.names))
