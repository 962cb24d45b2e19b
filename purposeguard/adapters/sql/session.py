"""SQL statements, checked before they run, or narrowed to the rows that may be used."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

from sqlglot import exp

from purposeguard.adapters.enforcement import Decider, Demand, label_known, require_tag
from purposeguard.adapters.row_rule import RowRule
from purposeguard.adapters.sql.conditions import SqlConditions
from purposeguard.adapters.sql.lineage import (
    Analysis,
    FlowLabels,
    ReadStatement,
    Used,
    list_used_columns,
    read_statement,
)
from purposeguard.adapters.sql.parsing import PassedForms
from purposeguard.adapters.sql.rows import narrow_statement
from purposeguard.adapters.sql.tags import Catalog, Tables, several
from purposeguard.adapters.sql.unresolved import Faults, ObservedStatement, ReachableColumns, collect_or_raise
from purposeguard.adapters.tags import NOT_PERSONAL
from purposeguard.containers import map_values
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.runtime.current_use import find_current_use
from purposeguard.runtime.observer import Fields
from purposeguard.runtime.use import Use

KEPT: Final = 1000
"""The number of analyzed texts in the cache."""

LONGEST_KEPT: Final = 20_000
"""Length of the longest cached text, in characters. Longer texts are analyzed each time."""

_ADVICE_ON_ROWS: Final = "run what `Statements.narrowed` gives, which leaves out those that may not be used"


class Statements:
    """A checker of SQL statements: `Statements(guard, Tables(notice, {...}), dialect="postgres").check("SELECT …")`.

    Can be used from any thread.

    Args:
        guard: The guard that decides.
        tables: Each table with all its columns, in their order, and their tags. Other tables and columns are refused.
        dialect: The dialect of the statements, one of `DIALECTS`.
        functions: The names of the database's own functions that read nothing but their arguments.
        schema: The default schema, which a table name without a schema means (`"public"`).
        passes: The first words of statements that run as they are; see `PassedForms`.
        partial: True if tables may have columns that are not declared, so that `"…"` is never a text to SQLite.
        standard_strings: True if PostgreSQL's `standard_conforming_strings` is on for each connection, as by default.
        untagged: The names of further tables, which reports in observe mode may name.

    Raises:
        ValueError: the dialect is unknown, two of the tables or columns have the same name in it, or `passes` name
            statements that are read.
        TypeError, UnknownSource, UnlabelledData: as for `Tables`.
    """

    _decider_class: ClassVar[type[Decider]] = Decider

    def __init__(
        self,
        guard: Guard,
        tables: Tables | Mapping[str, object],
        *,
        dialect: str,
        functions: Iterable[str] = (),
        schema: str | None = None,
        passes: Iterable[str] = (),
        partial: bool = False,
        standard_strings: bool = False,
        untagged: Iterable[str] = (),
    ) -> None:
        self.decider: Final = self._decider_class(guard, rows=_ADVICE_ON_ROWS)
        self.tables: Final = (
            tables.complete(guard.tags)
            if isinstance(tables, Tables)
            else Tables(self.decider.revisions, tables, file=guard.tags)
        )
        self.catalogue: Final = Catalog(
            self.tables,
            dialect,
            several(functions, "functions", '["name"]'),
            schema=schema,
            partial=partial,
            standard_strings=standard_strings,
        )
        self.passes: Final = PassedForms(several(passes, "passes", '["PRAGMA foreign_keys"]'))
        self.reachable: Final = ReachableColumns(self.tables, untagged)
        self._prepared = functools.lru_cache(KEPT)(self._prepare)
        self._observed = functools.lru_cache(KEPT)(self._prepare_observed)
        self._declare()

    def _declare(self) -> None:
        self.decider.declare(self.tables)

    # ---- analysis and checks ---------------------------------------------------------------------------------------

    def analyse(self, text: str) -> Analysis:
        """Analyze what a statement reads and writes, without deciding whether a use may do so.

        Raises:
            UnresolvedStatement: it is unknown what the statement does.
            FlowViolation: the statement would write data into a column whose tags do not cover it, for any purpose.
            UnlabelledData: such a column, or one that flows into it, carries no tag.
        """
        return self._statement(text).read.analysis

    def check(self, text: str) -> None:
        """Check that the use under way may use all that a statement reads, and may write it where the statement does.

        In observe mode, all of these errors are reported instead.

        Raises:
            UnresolvedStatement: it is unknown what the statement reads or writes.
            UnlabelledData: a column that is read carries no tag, or rows must be narrowed first.
            FlowViolation: the statement would write data into a column whose tags do not cover it.
            PurposeMissing: no purpose is under way.
            PurposeViolation: the purpose may not use a column; `field` names the first.
        """
        if self.decider.is_observing():
            self._observe(text, narrowed=False)
        elif not self.passes.is_passed(text):
            explained = self.passes.find_explained_statement(text)
            self.decider.check_demand(self._statement(text if explained is None else explained).demand)

    def narrowed(self, text: str, *, percent: bool = False, loaded: frozenset[int] = frozenset()) -> str:
        """Check a statement as `check` does, and return it with conditions that leave out rows that may not be used.

        The result is valid for the current use and day.

        Args:
            text: The statement.
            percent: True if the driver puts parameters in place of `%s`, and reads `%%` as one `%`.
            loaded: The positions of the output columns that an ORM loads into attributes of objects, which report each
                read themselves.

        Returns:
            The narrowed statement. The unchanged text if all rows may be used, or if denials are only observed.

        Raises:
            UnresolvedStatement, UnlabelledData, FlowViolation, PurposeMissing, PurposeViolation: as `check` does.
            TypeError: governance has no roster of all subjects.
            StoreUnavailable: the roster cannot be read now.
        """
        if self.decider.is_observing():
            self._observe(text, narrowed=True, loaded=loaded)
            return text
        if self.passes.is_passed(text) or self.passes.find_explained_statement(text) is not None:
            self.check(text)
            return text
        statement = self._statement(text)
        rules = self._decide(statement, statement.find_reads(loaded))
        if not rules:
            return text
        cached: str | None = statement.find_cached_rewriting(rules, percent)
        if cached is not None:
            return cached
        conditions = {table: SqlConditions(rule, self.catalogue.names).render() for table, rule in rules.items()}
        if percent:
            for condition in conditions.values():
                _double_percent(condition)
        rewritten = narrow_statement(statement.read, self.catalogue, conditions)
        if len(rewritten) <= LONGEST_KEPT:
            statement.cache_rewriting(rules, percent, rewritten)
        return rewritten

    def labels(self, text: str) -> dict[str, Label]:
        """Return the label of each output: the sources of its values and of the columns that decide its rows.

        Some rows name their sources themselves. If a use is under way, and not only observed, their values come from
        all sources that it may use; otherwise from any source of the notice.

        Nothing is decided, so no purpose is needed and no purpose is refused.

        Raises:
            UnresolvedStatement, FlowViolation: as `check` does.
            UnlabelledData: a column carries no tag, or no column says which source a row is of.
            TypeError, StoreUnavailable: as `narrowed` does, if a use is under way.
        """
        statement = self._statement(text)
        use = find_current_use(self.decider.engine)
        rules = self._rules(statement.used, use) if use is not None and not use.activity.observing else {}
        notice = self.decider.engine.snapshot.matrix.notice

        labels: dict[str, Label] = {}
        for name, flow in statement.read.analysis.depends.items():
            label = NOT_PERSONAL
            for table, column in sorted(flow):
                label |= label_known(rules.get(table), require_tag(self.tables[table], column, table), notice)
            labels[name] = label
        return labels

    # ---- observe mode ----------------------------------------------------------------------------------------------

    def _observe(self, text: str, *, narrowed: bool, loaded: frozenset[int] = frozenset()) -> None:
        """Report what a statement reads and why it would be refused. Raise nothing that the analysis finds.

        Args:
            text: The statement.
            narrowed: True if rows that may not be used would be left out in enforce mode.
            loaded: As for `narrowed`.
        """
        if self.passes.is_passed(text):
            return
        explained = self.passes.find_explained_statement(text)
        text = text if explained is None else explained
        observed = self._observed(text) if len(text) <= LONGEST_KEPT else self._prepare_observed(text)
        self.report_observed(observed, lambda prepared: self._decide_observed(prepared, narrowed, loaded))

    def _prepare_observed(self, text: str) -> ObservedStatement:
        faults = Faults()
        prepared = None
        with faults.collect():
            prepared = self._prepare(text, faults)
        return ObservedStatement(text, prepared, faults.errors)

    def _decide_observed(self, statement: PreparedStatement, narrowed: bool, loaded: frozenset[int]) -> None:
        if narrowed:
            self._decide(statement, statement.find_reads(loaded))
        else:
            self.decider.check_demand(statement.demand)

    def report_observed(self, observed: ObservedStatement, decide: Callable[[Any], object]) -> None:
        """Report the faults of a statement in observe mode, and decide it.

        Args:
            observed: The statement.
            decide: A function that decides the prepared statement.
        """
        faults = Faults(observed.errors)
        if observed.prepared is not None:
            with faults.collect():
                decide(observed.prepared)
        if faults.errors:
            event, columns = self.reachable.describe(observed.text)
            for error in faults.errors:
                self.decider.refuse_unresolved(error, event, columns)

    # ---- preparation and decision ----------------------------------------------------------------------------------

    def _statement(self, text: str) -> PreparedStatement:
        return self._prepared(text) if len(text) <= LONGEST_KEPT else self._prepare(text)

    def _prepare(self, text: str, faults: Faults | None = None) -> PreparedStatement:
        """Analyze a statement. Flows that would be refused, and columns without a tag, are collected in `faults`."""
        statement = read_statement(text, self.catalogue)
        with collect_or_raise(faults):
            self._require_covering_tags(statement, narrowed=False)
        used = list_used_columns(self.tables, statement.analysis)
        return PreparedStatement(statement, used if faults is None else faults.drop_untagged(used), self.decider)

    def _decide(self, statement: PreparedStatement, reads: Fields | None = None) -> Mapping[str, RowRule]:
        """Check a statement, and return the row rules by which to narrow it; empty if it may run unchanged.

        Args:
            statement: The statement.
            reads: The columns whose reading is reported now, by default all that the statement uses.
        """
        demand = statement.narrowed_demand
        if not demand.rows:
            self.decider.check_demand(demand, reads=reads)
            return {}
        if self.decider.engine.observers.read:
            self.decider.report_read(demand.columns if reads is None else reads)
        use = self.decider.current_use(demand.kind, demand.tables)
        rules = {} if use is None else self._rules(statement.used, use)
        self.decider.check_demand_under(use, demand, rules)
        self._require_covering_tags(statement.read, rules, narrowed=use is not None)
        return {} if use is None or use.activity.observing else rules

    def _require_covering_tags(
        self, statement: ReadStatement, rules: Mapping[str, RowRule] | None = None, *, narrowed: bool
    ) -> None:
        """Check that each written column covers what flows into it. Raise FlowViolation if one does not."""
        FlowLabels(self.tables, rules or {}).must_cover(statement, narrowed=narrowed)

    def _rules(self, used: Used, use: Use[Any]) -> dict[str, RowRule]:
        """Return the row rules of the used tables. Tables without a rule are left out."""
        rules: dict[str, RowRule] = {}
        for table, (columns, names) in used.items():
            rule = self.decider.make_row_rule(use, columns, names, table)
            if rule is not None:
                rules[table] = rule
        return rules


def _double_percent(condition: exp.Expr) -> None:
    """Double each `%` in the texts of a condition, because an id of a subject may hold `%s`, which is no parameter."""
    for literal in condition.find_all(exp.Literal):
        literal.set("this", str(literal.this).replace("%", "%%"))


class PreparedStatement:
    """An analyzed statement, with the demands of running it with and without narrowed rows."""

    def __init__(self, read: ReadStatement, used: Used, decider: Decider) -> None:
        self.read: Final = read
        self.used: Final = used
        self._decider: Final = decider
        self._cached_rewriting: tuple[dict[str, weakref.ref[RowRule]], object, Any] | None = None

    def find_reads(self, loaded: frozenset[int]) -> Fields | None:
        """Return the columns whose reading is reported when the statement runs; None for all.

        Args:
            loaded: The numbers of the outputs that become attributes of objects.
        """
        analysis = self.read.analysis
        if not loaded or analysis.columns is None or analysis.changes:
            return None
        flows = [analysis.conditions]
        for number, flow in enumerate(analysis.columns):
            if number not in loaded:
                flows.append(flow)
        names = {f"{table}.{column}" for flow in flows for table, column in flow}
        return tuple(field for field in self.narrowed_demand.columns if field[0] in names)

    def find_cached_rewriting(self, rules: Mapping[str, RowRule], form: object) -> Any:
        """Return the cached rewriting of the statement; None if it was made by other rules or in another form."""
        cached = self._cached_rewriting  # Read once, because another thread may replace it.
        if cached is None:
            return None
        cached_rules, cached_form, rewriting = cached
        if cached_form != form or cached_rules.keys() != rules.keys():
            return None
        return rewriting if all(cached_rules[table]() is rule for table, rule in rules.items()) else None

    def cache_rewriting(self, rules: Mapping[str, RowRule], form: object, rewriting: object) -> None:
        """Cache a rewriting of the statement.

        The rules are only referenced weakly: they hold the ids of all subjects who objected to a use.
        """
        self._cached_rewriting = map_values(weakref.ref, rules), form, rewriting

    @functools.cached_property
    def demand(self) -> Demand:
        """The demand of running the statement unchanged.

        Raises:
            UnlabelledData: rows must be narrowed first, or a column carries no tag.
        """
        return self._demand(frozenset())

    @functools.cached_property
    def narrowed_demand(self) -> Demand:
        """The demand of running the statement without the rows that may not be used."""
        return self._demand(frozenset(self.used))

    def _demand(self, narrowed: frozenset[str]) -> Demand:
        analysis = self.read.analysis
        return self._decider.demand(self.used, narrowed, kind=analysis.kind, target=analysis.target)
