"""Explanations of statements: the columns that a statement uses, and what its outputs are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from purposeguard.adapters.enforcement import Decider, label_known
from purposeguard.adapters.row_rule import RowRule
from purposeguard.adapters.sql.lineage import FlowLabels, ReadStatement, list_used_columns
from purposeguard.adapters.sql.tags import Tables
from purposeguard.adapters.tags import NOT_PERSONAL, Columns
from purposeguard.containers import exclude, intersect
from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision
from purposeguard.policy.violations import FlowViolation
from purposeguard.runtime.use import Use


class Used(NamedTuple):
    """A column that a statement uses, and the decision of the current purpose about it."""

    table: str
    column: str
    label: Label | None
    """The sources of the rows that would be kept, or None if the column bears no tag."""
    by_row: bool
    """True if each row is decided by itself, and rows that may not be used would be left out."""
    decision: Decision | None
    """The reason why the column may not be used in any row, or None if it may be used."""

    @property
    def allowed(self) -> bool:
        """True if the column may be used."""
        return self.label is not None and self.decision is None


class Explanation(NamedTuple):
    """The effects that a statement would have."""

    kind: str
    """The kind of the statement, such as `select` or `insert`."""
    used: tuple[Used, ...]
    """The columns that the statement uses."""
    outputs: Mapping[str, Label | None]
    """The label of each output column, or None if a tag is missing.

    If rows name their sources, the label has the sources whose rows would be kept. If no rows would be left out, it has
    all sources of the notice.
    """
    refused: FlowViolation | UnlabelledData | None = None
    """The error that the statement would raise because of what it writes, or None."""

    @property
    def allowed(self) -> bool:
        """True if the statement would run."""
        return self.refused is None and all(column.allowed for column in self.used)


def explain_statement(statement: ReadStatement, kind: str, tables: Tables, decider: Decider) -> Explanation:
    """Explain the effects of an analysed statement for the purpose under way.

    Args:
        statement: The statement.
        kind: The kind that the explanation states.
        tables: The tables that the statement may name.
        decider: The decider of the connection.
    """
    explainer = _StatementExplainer(statement, tables, decider)
    used_columns: list[Used] = []
    for table, (columns, names) in list_used_columns(tables, statement.analysis).items():
        used_columns += explainer.explain_table(table, columns, names)
    outputs = MappingProxyType(explainer.label_outputs())
    return Explanation(kind, tuple(used_columns), outputs, explainer.find_refusal())


class _StatementExplainer:
    """The explanation of one statement in the making.

    `labels` and `rules` hold the label of each used column and the row rule of each table explained so far.
    """

    def __init__(self, statement: ReadStatement, tables: Tables, decider: Decider) -> None:
        self._statement = statement
        self._tables = tables
        self._decider = decider
        self._use: Use[Any] | None = decider.current_use("explanation", statement.analysis.used)
        self.labels: dict[tuple[str, str], Label | None] = {}
        self.rules: dict[str, RowRule | None] = {}

    def explain_table(self, table: str, columns: Columns, names: Iterable[str]) -> list[Used]:
        """Return the columns of a table that the statement uses, each with its decision."""
        use, decider = self._use, self._decider
        notice = decider.engine.snapshot.matrix.notice
        denied: Mapping[str, Decision] = {}
        rule: RowRule | None = None
        if use is not None:
            tagged = intersect(names, columns)
            denied = decider.find_denied_columns(use, columns, tagged, table)
            if not use.activity.observing:
                allowed = exclude(tagged, denied)
                rule = decider.make_row_rule(use, columns, allowed, table)
        self.rules[table] = rule
        used_columns: list[Used] = []
        for name in names:
            tag = columns.get(name)
            label = self.labels[table, name] = None if tag is None else label_known(rule, tag, notice)
            by_row = tag is not None and decider.must_decide_rows(columns, {name: tag})
            used_columns.append(Used(table, name, label, by_row, denied.get(name)))
        return used_columns

    def label_outputs(self) -> dict[str, Label | None]:
        """Return the label of each output column, or None if a column that it comes from has no tag."""
        outputs: dict[str, Label | None] = {}
        for name, flow in self._statement.analysis.depends.items():
            joint: Label | None = NOT_PERSONAL
            for part in flow:
                label = self.labels[part]
                joint = None if joint is None or label is None else joint | label
            outputs[name] = joint
        return outputs

    def find_refusal(self) -> FlowViolation | UnlabelledData | None:
        """Return the error that the statement would raise because of what it writes, or None."""
        if None in self.labels.values():
            return None
        try:
            FlowLabels(self._tables, self.rules).must_cover(self._statement)
        except (FlowViolation, UnlabelledData) as error:
            return error.with_traceback(None)
        return None
