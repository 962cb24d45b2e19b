"""Statements: texts of SQL, checked before they run, or narrowed to the rows that may be used."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from sqlglot import exp

from purposeguard.adapters.deciding import Decider, Demand, label_in, label_known, must_cover, tagged
from purposeguard.adapters.rowrule import RowRule
from purposeguard.adapters.sql.analysis import Analysis, Read, read
from purposeguard.adapters.sql.catalogue import Catalogue
from purposeguard.adapters.sql.narrowing import narrowed
from purposeguard.adapters.sql.relations import Flow
from purposeguard.adapters.sql.words import test
from purposeguard.adapters.tables import Tables, several
from purposeguard.adapters.tags import NOT_PERSONAL, Columns, Tag
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.runtime.use import Use, present
from purposeguard.values.markers import RowSource

KEPT: Final = 1000
"""Texts that are remembered."""

LONGEST_KEPT: Final = 20_000
"""Characters of a text that is remembered: longer ones are looked at each time."""

_WHAT: Final = "a statement was run"


class Statements:
    """`Statements(guard, Tables(notice, {...}), dialect="postgres").check("SELECT …")`. From any thread.

    `tables` tell each table with all its columns, in their order, and their tags: what is not told is refused.
    `functions` names those of the database's own that read nothing but what they are given.

    Raises:
        ValueError: the dialect is not known, or two of the tables or columns have one name in it.
        TypeError, UnknownSource, UnlabelledData: as `Tables`.
    """

    _advice_on_rows: ClassVar = "run what `Statements.narrowed` gives, which leaves out those that may not be used"

    def __init__(
        self,
        guard: Guard,
        tables: Tables | Mapping[str, object],
        *,
        dialect: str,
        functions: Iterable[str] = (),
    ) -> None:
        self.decider: Final = Decider(guard, rows=self._advice_on_rows)
        self.tables: Final = tables if isinstance(tables, Tables) else Tables(self.decider.revisions, tables)
        self.catalogue: Final = Catalogue(self.tables, dialect, several(functions, "functions", '["name"]'))
        self._prepared = functools.lru_cache(KEPT)(self._prepare)

    # ---- what is asked ---------------------------------------------------------------------------------------------

    def analyse(self, text: str) -> Analysis:
        """What a statement reads and writes; nothing is decided.

        Raises:
            UnresolvedStatement: it cannot be told.
        """
        return self._statement(text).found.analysis

    def check(self, text: str) -> None:
        """Nothing where the use that is under way may use all that a statement reads, and may put it where it does.

        Raises:
            UnresolvedStatement: it cannot be told what it reads or writes.
            UnlabelledData: a column that it reads carries no tag; or its rows are to be narrowed first.
            FlowViolation: it would put data into a column whose tags do not cover it.
            PurposeMissing: no purpose is under way.
            PurposeViolation: the purpose may not use a column; `field` names the first.
        """
        self.decider.meet(self._statement(text).demand, _WHAT)

    def narrowed(self, text: str) -> str:
        """The same statement, reading those rows alone that may be used; the rest of it is checked as `check` does.

        It is the text to run, in this use and on this day. Where it is only observed it is the text as it was given.

        Raises:
            TypeError: governance cannot tell of all subjects at once.
            StoreUnavailable: it cannot tell now.
        """
        statement = self._statement(text)
        demand = statement.narrowed_demand
        if not demand.is_personal:
            return text
        use = present(self.decider.engine, _WHAT)
        rules = {} if use is None else self._rules(statement.found.analysis, use)
        self.decider.meet_under(use, demand, rules)
        self._flows(statement.found, rules)
        if use is None or use.activity.observing or not rules:
            return text
        tests: dict[str, exp.Expr] = {name: test(rule, self.catalogue.names) for name, rule in rules.items()}
        return narrowed(statement.found, self.catalogue, tests)

    def labels(self, text: str) -> dict[str, Label]:
        """By the name of each output of a statement, the sources that its values, and its rows being there, come from.

        Of rows that name their sources themselves the values come from all of them that the use under way may use, or,
        where none is under way or it is only observed, from any source of the notice.

        Raises:
            UnresolvedStatement, UnlabelledData: as `check`; it is not asked whether any of it may be used.
        """
        analysis = self._statement(text).found.analysis
        use = self.decider.engine.ambient()
        narrows = use.absence() is None and not use.activity.observing
        rules = self._rules(analysis, use) if narrows else {}
        notice = self.decider.engine.snapshot.matrix.notice

        def known(table: str, column: str) -> Label:
            return label_known(rules.get(table), tagged(self.tables[table], column, table), notice)

        return {
            name: Label.join(NOT_PERSONAL, *(known(table, column) for table, column in sorted(flow)))
            for name, flow in analysis.depends.items()
        }

    # ---- how it is known -------------------------------------------------------------------------------------------

    def _statement(self, text: str) -> _Statement:
        return self._prepared(text) if len(text) <= LONGEST_KEPT else self._prepare(text)

    def _prepare(self, text: str) -> _Statement:
        found = read(text, self.catalogue)
        self._flows(found, {})
        return _Statement(self, found)

    def used(self, analysis: Analysis) -> dict[str, tuple[Columns, tuple[str, ...]]]:
        """By table, its tags and the columns that are used, in the order in which they were told."""
        return {
            table: (self.tables[table], tuple(name for name in self._told(table) if name in names))
            for table, names in analysis.used.items()
        }

    def _told(self, table: str) -> Iterable[str]:
        return self.tables.names[table]

    def _rules(self, analysis: Analysis, use: Use[Any]) -> dict[str, RowRule]:
        rules: dict[str, RowRule] = {}
        for table, (columns, names) in self.used(analysis).items():
            rule = self.decider.rule(use, columns, names, table)
            if rule is not None:
                rules[table] = rule
        return rules

    # ---- flows -----------------------------------------------------------------------------------------------------

    def _tag_of(self, flow: Flow, rules: Mapping[str, RowRule]) -> Tag:
        """The tag of a value that is made of these columns."""
        label = NOT_PERSONAL
        by_row = False
        for table, column in sorted(flow):
            tag = tagged(self.tables[table], column, table)
            label |= label_in(rules.get(table), tag)
            by_row |= tag.by_row
        return Tag(label, by_row=by_row)

    def _flows(self, found: Read, rules: Mapping[str, RowRule]) -> None:
        """Refuses what would be put into a column whose tags do not cover it.

        What each row's own source says goes along only into a column of which it says so too, together with the source;
        otherwise it is all the sources that the rows may have which are kept.
        """
        analysis = found.analysis
        if analysis.target is None:
            return
        target, columns = analysis.target, self.tables[analysis.target]
        for column, flow in analysis.writes.items():
            into = tagged(columns, column, target)
            along = into.by_row and self._source_goes_along(found, flow, columns)
            value = self._tag_of(flow | analysis.conditions, {} if along else rules)
            must_cover(target, column, into.label, value.label)

    def _source_goes_along(self, found: Read, flow: Flow, columns: Columns) -> bool:
        into = columns.marked(RowSource)
        if into is None:
            return False
        analysis = found.analysis
        if analysis.kind == "update" and into not in analysis.writes and len(found.mentions) == 1:
            return True  # of the same row, whose source stays what it is
        tables = {table for table, name in flow if self.tables[table][name].by_row}
        needed = {(table, self.tables[table].marked(RowSource)) for table in tables}
        return len(needed) == 1 and needed == set(analysis.writes.get(into, ()))


class _Statement:
    """What is known of a text: what it reads, and what that asks for, with its rows narrowed or not."""

    def __init__(self, statements: Statements, found: Read) -> None:
        self.found = found
        self._used = statements.used(found.analysis)
        self._decider = statements.decider

    @functools.cached_property
    def demand(self) -> Demand:
        """Raises UnlabelledData where rows are to be narrowed first, or a column carries no tag."""
        return self._decider.demand(self._used)

    @functools.cached_property
    def narrowed_demand(self) -> Demand:
        """The same where the rows that may not be used are left out."""
        return self._decider.demand(self._used, narrowed=frozenset(self._used))
