"""The checks of a guarded engine: each statement is decided by the guard before the driver gets it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType, ModuleType
from typing import Any, Final, NamedTuple

import cachetools
from sqlalchemy import Table, schema, select
from sqlalchemy.dialects.postgresql import named_types
from sqlalchemy.sql import elements
from sqlalchemy.sql.elements import TextClause

from purposeguard.adapters.enforcement import Decider, iter_declared_tables
from purposeguard.adapters.row_rule import RowRule, spellings
from purposeguard.adapters.sql.conditions import NO_SOURCE, fold_id, plain_spellings
from purposeguard.adapters.sql.parsing import PassedForms
from purposeguard.adapters.sql.scopes import lower
from purposeguard.adapters.sql.session import LONGEST_KEPT
from purposeguard.adapters.sql.tags import Tables
from purposeguard.adapters.sql.unresolved import Faults, ReachableColumns
from purposeguard.adapters.sqlalchemy.keepers import REPORTING_WATCHES
from purposeguard.adapters.sqlalchemy.lineage import NO_SEALS, LoopDecider, Prepared, Seals, StatementTexts, seals_of
from purposeguard.adapters.sqlalchemy.objects import Attributes
from purposeguard.adapters.sqlalchemy.requirements import find_columns_outside_objects
from purposeguard.adapters.sqlalchemy.rows import BAD_JSON
from purposeguard.adapters.sqlalchemy.tags import MappedTables
from purposeguard.adapters.tags import Tag
from purposeguard.errors import PurposeGuardError, UnknownSource, UnlabelledData, UnresolvedStatement
from purposeguard.guard import Guard
from purposeguard.locks import make_lock
from purposeguard.runtime.registry import TaggedTable
from purposeguard.runtime.use import Use

GUARDED: Final = "purposeguard_session"
"""The execution option that a guarded session sets because it keeps purposes apart."""

LOADS: Final = "_result_disable_adapt_to_context"
"""The execution option of statements by which a session loads objects."""

_MOST_SPELLINGS: Final = 10_000
"""The most values of a column of sources that are searched for an unknown one, which SQLite does not report."""

_NUMBERED: Final = re.compile(r"\)\) AS imp_sen\(")
"""The place of the row numbers in an INSERT of many rows that are returned in their order."""

_BLANK: Final = " \t\r\n"
_COMMENT: Final = re.compile(rf"[{_BLANK}]*/\*(?!M?!|\+)(?:(?!\*/|/\*)[^\r\n])*\*/[{_BLANK}]*")
"""One comment on one line and nothing else: no code of MySQL (`/*!`), no hint, and no nested comment."""

_TRANSLATIONS_KEPT: Final = 100
"""The number of schema translations whose statements are cached."""

NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})

Translated = Mapping[str | None, str | None]
"""The schemas to use in statements, by the schemas that tables are declared in."""


def _existing_classes(module: ModuleType, names: str) -> frozenset[type]:
    """Return the classes of a module with these names. Some exist only in later versions."""
    return frozenset(getattr(module, name) for name in names.split() if hasattr(module, name))


_DEFINES: Final = _existing_classes(
    schema,
    """
    CreateTable DropTable CreateIndex DropIndex CreateSchema DropSchema CreateSequence DropSequence
    AddConstraint DropConstraint SetTableComment DropTableComment SetColumnComment DropColumnComment
    SetConstraintComment DropConstraintComment DropView
    """,
) | _existing_classes(named_types, "CreateEnumType DropEnumType CreateDomainType DropDomainType")
"""Statements that define tables, types, indexes or comments, and read no table."""

_CONTROL: Final = frozenset(
    {elements.SavepointClause, elements.RollbackToSavepointClause, elements.ReleaseSavepointClause}
)


_LATEST: Final = "purposeguard_latest"
"""The attribute of a compiled statement that holds its latest `_PreparedExecution`."""


class _Own:
    """A statement of the dialect itself, about the database and no table of the application, while it runs.

    `statement` is the statement that the dialect executes, or None for whichever comes next.
    """

    __slots__ = ("statement",)

    def __init__(self, statement: object = None) -> None:
        self.statement = statement

    def has(self, statement: str, context: Any) -> bool:
        """Return True if exactly this statement is executed, and no replacement by a listener."""
        if self.statement is None or isinstance(self.statement, str):
            return self.statement is None or statement == self.statement
        return context.invoked_statement is self.statement and statement == context.statement


_ASKING: Final = object()
"""The value of `_own` while a dialect is about to ask the database about itself."""

_own: ContextVar[object] = ContextVar("purposeguard dialect", default=None)


@contextmanager
def own_statements() -> Any:
    """Treat the statements that a dialect executes within as its own, but not those of listeners meanwhile."""
    token = _own.set(_ASKING)
    try:
        yield
    finally:
        _own.reset(token)


@contextmanager
def own_statement(statement: object = None) -> Any:
    """Mark a statement while it is executed: as the dialect's own, or as that of a listener meanwhile."""
    asking = _own.get() is _ASKING or statement is None
    token = _own.set(_Own(statement) if asking else None)
    try:
        yield
    finally:
        _own.reset(token)


def is_asking() -> bool:
    """Return True if a dialect is asking the database about itself."""
    return _own.get() is not None


def _is_own(statement: str, context: Any) -> bool:
    own = _own.get()
    return isinstance(own, _Own) and own.has(statement, context)


def _loads(options: Mapping[str, Any], context: Any) -> bool:
    """Return True if a session makes objects from the rows of a statement."""
    if LOADS in options:
        return True
    # Versions before 2.1 do not set the option for an UPDATE or INSERT of classes that returns rows.
    returns = context is not None and bool(getattr(context.compiled, "effective_returning", None))
    return returns and any(name.startswith("_sa_orm_") for name in options)


def _require_narrowable(table: str, options: Mapping[str, Any], context: Any, explained: str | None) -> None:
    """Raise if rows of a table cannot be left out of a statement, or if a plain session would load them."""
    if explained is not None:
        raise UnresolvedStatement(
            f"rows of `{table}` are left out, and a plan would tell of them: explain it in a purpose that may use all"
        )
    if GUARDED not in options and _loads(options, context):
        raise UnlabelledData(
            f"rows of `{table}` are decided one by one, and a plain session keeps what it has loaded, for any "
            "purpose: load them by a `GuardedSession`"
        )


class _Execution(NamedTuple):
    """A statement that is executed."""

    own_text: str
    """The text without the comments of listeners."""
    before: str
    after: str
    text: str
    """The text to analyze."""
    explained: str | None
    """The statement behind EXPLAIN, if its form passes."""
    seals: Seals
    translated: Translated | None
    """The schemas to use in it."""
    is_batch: bool
    is_built: bool
    """True if SQLAlchemy made the text."""

    def is_text_of(self, context: Any) -> bool:
        """Return True if this is the text that SQLAlchemy compiled, so that the next execution may have it, too."""
        return (
            context is not None
            and context.compiled is not None
            and self.own_text == context.statement
            and not (self.before or self.after or self.is_batch or self.translated)
            and not context._expanded_parameters  # Lists have another length each time.
            and len(self.own_text) <= LONGEST_KEPT
        )


class _PreparedExecution(NamedTuple):
    """A statement that is executed, and how it was prepared.

    That of the latest execution is cached on the compiled statement, once it was decided.
    """

    stamp: object
    """The stamp of the tables for which it was prepared."""
    bare: bool
    """True if the driver gets no parameters."""
    execution: _Execution
    texts: StatementTexts
    """The reader of the statement."""
    prepared: Prepared


class UntaggedKey(UserWarning):
    """Warning: a foreign key says whose the rows of a table are, and carries no source.

    Then a statement may count these rows for each person, or ask who has none, and choose people by it, for a purpose
    that may use nothing in the rows.
    """


class StatementWatch:
    """The decisions of one guard about the statements of one engine."""

    def __init__(
        self,
        guard: Guard,
        catalogue: MappedTables,
        dialect: Any,
        functions: Iterable[str] = (),
        passes: Iterable[str] = (),
    ) -> None:
        """Create the watch of an engine. `functions` and `passes` are as for `protect`."""
        self._passes = PassedForms(passes) if passes else None
        self.guard = guard
        self.functions = frozenset(map(lower, functions))
        self._dialect = dialect
        self._texts_known: cachetools.LRUCache[object, tuple[object, StatementTexts]] = cachetools.LRUCache(
            _TRANSLATIONS_KEPT
        )
        self._lock = make_lock()  # It guards the cache of texts.
        self.decider: Decider = LoopDecider(guard)
        self.catalogue = catalogue
        catalogue.is_observing = self.decider.is_observing
        self.attributes = Attributes(catalogue)
        self._warned: set[str] = set()
        self._looked_at: object = None
        self._reachable_known: tuple[Tables, ReachableColumns] | None = None
        guard.inventory.add_tables_of(self)

    def list_declared_tables(self) -> Iterable[TaggedTable]:
        """Return the tables mapped so far, or none if a tag cannot be read.

        The error for such a tag is raised when a statement is executed.
        """
        try:
            return tuple(iter_declared_tables(self.catalogue.tables))
        except (UnlabelledData, UnknownSource):
            return ()

    def look_at_tables(self, stacklevel: int) -> None:
        """Declare new tables, and warn once about each whose foreign key is marked `Subject` and carries no source."""
        stamp = self.catalogue.current_stamp()
        if stamp is self._looked_at:
            return
        self._looked_at = stamp
        self.decider.declare(self.catalogue.tables)
        for name, table in self.catalogue.places().items():
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

    # ---- statements ------------------------------------------------------------------------------------------------

    def admit(self, statement: str, parameters: Any, context: Any, *, many: bool = False, bare: bool = False) -> Any:
        """Check that a statement may be executed now, record it in the ledger, and narrow it to rows that may be used.

        In observe mode, the statement is returned unchanged, and what would be refused is reported.

        Args:
            statement: The statement.
            parameters: Its parameters.
            context: The execution context of SQLAlchemy, if there is one.
            many: True if there are several sets of parameters.
            bare: True if the driver gets no parameters, and so does not look for any in the text.

        Returns:
            The statement and the parameters for the driver.

        Raises:
            PurposeMissing, PurposeViolation: it uses what the purpose under way may not use.
            UnlabelledData: it uses a column or table without tags; or a plain session would load rows of which some may
                not be used.
            UnresolvedStatement: it is unknown what it reads, or rows cannot be left out.
            FlowViolation: it writes into a column whose tags do not cover what it writes.
        """
        latest = self._find_latest(statement, context, bare=bare)
        labels = None if latest is None else latest.prepared.decisive_labels
        if labels is not None and self.decider.use_if_cached(labels):
            return statement, parameters  # It runs unchanged in either mode.
        if self.decider.is_observing():
            self._observe(statement, context, bare=bare)
            return statement, parameters
        execution = latest if latest is not None else self._prepare_execution(statement, context, bare=bare)
        if execution is None:
            return statement, parameters
        executed, texts, prepared = execution.execution, execution.texts, execution.prepared
        rules = texts.decide(prepared, self._find_returned(context))
        if latest is None and executed.is_text_of(context):
            setattr(context.compiled, _LATEST, execution)
        if not rules:
            return statement, parameters
        options = NO_OPTIONS if context is None else context.execution_options
        _require_narrowable(next(iter(rules)), options, context, executed.explained)
        if context is not None:
            context.purposeguard_rules = rules
        if executed.is_batch:
            prepared = texts.prepare(executed.own_text, NO_SEALS, bare=bare)
        narrowed, parameters = texts.narrow_for_driver(prepared, rules, parameters, many=many, bare=bare)
        return f"{executed.before}{narrowed}{executed.after}", parameters

    def _observe(self, statement: str, context: Any, *, bare: bool) -> None:
        """Report what a statement reads and why it would be refused. Raise nothing that the analysis finds."""
        faults = Faults()
        with faults.collect():
            executed = self._describe_execution(statement, context)
            if executed is None:
                return
            texts = self._texts(executed.translated, built=executed.is_built)
            observed = texts.get_observed(executed.text, executed.seals, bare=bare)
            if observed is None:
                self._look_at_new_classes()
                texts = self._texts(executed.translated, built=executed.is_built)
                observed = texts.observe(executed.text, executed.seals, bare=bare)
            returned = self._find_returned(context)
            texts.report_observed(observed, lambda prepared: texts.decide(prepared, returned))
        for error in faults.errors:  # Statements of this database or with these schemas cannot be analyzed.
            event, columns = self._reachable.describe(statement)
            self.decider.refuse_unresolved(error, event, columns)

    @property
    def _reachable(self) -> ReachableColumns:
        """The personal columns that statements could touch."""
        tables = self.catalogue.tables
        if self._reachable_known is None or self._reachable_known[0] is not tables:
            self._reachable_known = tables, ReachableColumns(tables, self.catalogue.places())
        return self._reachable_known[1]

    def refuse_driver_connection(self, error: UnresolvedStatement) -> None:
        """Raise the error for a connection of the driver. In observe mode, report it with all personal columns."""
        columns = self._reachable.all_columns if self.decider.is_observing() else ()
        self.decider.refuse_unresolved(error, "connection of the driver", columns)

    def _find_returned(self, context: Any) -> frozenset[tuple[str, str]] | None:
        """Return the columns that a statement returns outside objects; None if no session makes objects.

        They matter only to observers of reads.
        """
        if not self.decider.engine.observers.read:
            return None
        REPORTING_WATCHES[id(self)] = self
        if context is None or context.compiled is None or LOADS not in context.execution_options:
            return None
        if context.execution_options.get("schema_translate_map"):
            return None
        return find_columns_outside_objects(context.compiled, self.catalogue)

    def _describe_execution(self, statement: str, context: Any) -> _Execution | None:
        """Return what is known about a statement that is executed; None if it needs no decision."""
        own_text, before, after = self._strip_comments(statement, context)
        if self._needs_no_decision(own_text, context):
            return None
        options = NO_OPTIONS if context is None else context.execution_options  # SQLAlchemy always has a context.
        is_batch = own_text == getattr(context, "purposeguard_batch", None)
        explained = None if self._passes is None else self._passes.find_explained_statement(own_text)
        text = own_text if explained is None else explained
        if context is not None and is_batch:  # Many rows are inserted like one, except that each gets a number.
            text = _NUMBERED.sub(", 0)) AS imp_sen(", context.statement)
        seals, is_built = NO_SEALS, False
        if context is not None and (is_batch or own_text == context.statement):
            # Only this private attribute tells which parameters replace a list.
            seals = seals_of(context.compiled, context._expanded_parameters)
            is_built = context.compiled is not None and not isinstance(context.compiled.statement, TextClause)
        translated = options.get("schema_translate_map")
        return _Execution(own_text, before, after, text, explained, seals, translated, is_batch, is_built)

    def _find_latest(self, statement: str, context: Any, *, bare: bool) -> _PreparedExecution | None:
        """Return how a compiled statement was prepared when it was executed the last time.

        Returns:
            None if it was not, or if it would be prepared otherwise now.
        """
        if context is None or _own.get() is not None:
            return None
        latest: _PreparedExecution | None = getattr(context.compiled, _LATEST, None)
        if (
            latest is not None
            and latest.stamp is self.catalogue.current_stamp()
            and latest.execution.own_text == statement == context.statement
            and latest.bare is bare
            and not context.execution_options.get("schema_translate_map")
            and not hasattr(context, "purposeguard_batch")
        ):
            return latest
        return None

    def _prepare_execution(self, statement: str, context: Any, *, bare: bool) -> _PreparedExecution | None:
        """Return a statement that was prepared before, or prepare it; None if it needs no decision."""
        executed = self._describe_execution(statement, context)
        if executed is None:
            return None
        stamp = self.catalogue.current_stamp()
        texts = self._texts(executed.translated, built=executed.is_built)
        prepared = texts.get_prepared(executed.text, executed.seals, bare=bare)
        if prepared is None:
            self._look_at_new_classes()
            texts = self._texts(executed.translated, built=executed.is_built)
            prepared = texts.prepare(executed.text, executed.seals, bare=bare)
        return _PreparedExecution(stamp, bare, executed, texts, prepared)

    def _look_at_new_classes(self) -> None:
        """Look at the classes and tables that were mapped since. This must happen before a statement loads objects."""
        self.attributes.ask(self)
        self.catalogue.refresh()
        self.look_at_tables(stacklevel=4)

    def _strip_comments(self, statement: str, context: Any) -> tuple[str, str, str]:
        """Split a statement into its text and the comments that listeners put before and after it.

        A statement that a listener changed in another way is returned whole, and is read like any text.
        """
        for own_text in (getattr(context, "purposeguard_batch", ""), getattr(context, "statement", "")):
            core = "" if own_text == statement else own_text.strip(_BLANK)  # Tracers cut blanks.
            if core and core in statement:
                before, _, after = statement.partition(core)
                if all(not part.strip(_BLANK) or self._is_comment(part) for part in (before, after)):
                    return own_text, before, after
        return statement, "", ""

    def _is_comment(self, text: str) -> bool:
        """Return True if every engine takes a text for a comment, and no driver puts a parameter into it."""
        if self._dialect.paramstyle in ("format", "pyformat") and "%" in text.replace("%%", ""):
            return False
        return _COMMENT.fullmatch(text) is not None

    def _needs_no_decision(self, statement: str, context: Any) -> bool:
        """Return True if a statement needs no decision.

        Such a statement asks the database about itself, defines tables, or has the form of one that passes.
        """
        if _is_own(statement, context) or (self._passes is not None and self._passes.is_passed(statement)):
            return True
        if context is None or context.compiled is None:
            return False
        kind: Any = type(context.compiled.statement)
        exempt = kind in (_DEFINES if context.isddl else _CONTROL)
        # A kind that the application renders is text, and so is what a listener changed.
        return exempt and not hasattr(kind, "_compiler_dispatcher") and statement == context.statement

    def _texts(self, translated: Translated | None = None, *, built: bool = True) -> StatementTexts:
        """Return the reader of statements in which schemas have these names.

        `built` is True if SQLAlchemy made the text from a statement that it knows. Such a statement may use sequences.
        """
        stamp = self.catalogue.current_stamp()
        key = (built, tuple(translated.items()) if translated else ())
        with self._lock:
            entry = self._texts_known.get(key)
        if entry is None or entry[0] is not stamp:
            tables, places = self.catalogue.tables, self.catalogue.places()
            if translated:
                tables, places = self._translate_tables(translated, tables, places)
            functions = {*self.functions, "nextval"} if built else self.functions
            entry = stamp, StatementTexts(self.guard, tables, places, self._dialect, functions)
            with self._lock:
                self._texts_known[key] = entry
        return entry[1]

    def _translate_tables(
        self, translated: Translated, tables: Tables, places: dict[str, Table]
    ) -> tuple[Tables, dict[str, Table]]:
        """Return the tables under their own names and under those that they have in other schemas.

        Raises:
            UnresolvedStatement: a table would get the name of another table, which has tags of its own.
        """
        names = {name: name for name in places}  # A text still uses the names of the declared schemas.
        for name, table in places.items():
            other = translated.get(table.schema, table.schema)
            called = f"{other}.{table.name}" if other else table.name
            # In its default schema the database finds a table by its name alone.
            alone = other == getattr(self._dialect, "default_schema_name", None) and table.schema is not None
            exists = self.catalogue.knows(called) or (alone and self.catalogue.knows(table.name))
            if (exists and called != name) or names.get(called, name) != name:
                raise UnresolvedStatement(
                    f"`schema_translate_map` makes another table of `{name}`, `{called}`, which has tags of its own: "
                    "name that table in the statement"
                )
            names[called] = name
        tags: dict[str, dict[str, Tag | None]] = {}
        for called, name in names.items():
            if name in tables:
                tags[called] = {column: tables[name].get(column) for column in tables.names[name]}
        return Tables(tables.revisions, tags, is_complete=True), {
            called: places[name] for called, name in names.items()
        }

    def is_observing(self) -> bool:
        """Return True if violations are only observed here."""
        return self.decider.is_observing()

    def observes(self, use: Use[Any] | None) -> bool:
        """Return True if a denial under this use is only recorded."""
        return self.decider.engine.observing if use is None else use.activity.observing

    def find_row_refusal(self, error: BaseException, connection: Any, context: Any) -> PurposeGuardError | None:
        """Return the refusal for a row with an unknown source if the database reports one; None for other errors."""
        rules: Mapping[str, RowRule] = getattr(context, "purposeguard_rules", {})
        message = str(error)
        if not rules or not (NO_SOURCE in message or BAD_JSON in message):
            return None
        places = self._texts(context.execution_options.get("schema_translate_map")).places
        for name, rule in rules.items():
            if rule.source is None:
                continue
            source: str | None = message.partition(NO_SOURCE)[2].partition('"')[0]
            if not source and self._dialect.name == "sqlite":
                with own_statements():
                    source = _find_unknown_source(connection, rule, places[name])
                if source is None:
                    continue
            where = f"`{name}.{rule.source}`"
            if source in ("", "none"):
                return UnlabelledData(f"a row names no source in {where}, so nothing says what it may be used for")
            return UnknownSource(source, f"a row names it in {where}: write the ids there as the notice prints them")
        return None


def _find_unknown_source(connection: Any, rule: RowRule, table: Table) -> str | None:
    """Return the first text in a column of sources that names no source.

    Returns:
        The text, or "" for a null. None if every row names a source.
    """
    ids = table.columns[rule.source or ""]
    usual, plain = spellings(rule.notice), plain_spellings(rule.notice)
    named = connection.scalars(select(ids).distinct().limit(_MOST_SPELLINGS)).all()
    if None in named:
        return ""
    for name in map(str, named):
        if name not in usual and fold_id(name) not in plain:
            return name
    return None
