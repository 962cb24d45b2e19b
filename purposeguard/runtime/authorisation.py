"""Authorisation: what a use may do with data, by the permissions of its activity; what it uses is counted."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import ClassVar, Final

from purposeguard.errors import UnknownSource
from purposeguard.notice.label import Label, Sources
from purposeguard.notice.vocabulary import Family, Purpose
from purposeguard.policy.context import ASKED_LATER, DenialReason
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import RowContext, subject_key
from purposeguard.policy.verdict import Verdict
from purposeguard.runtime.engine import ActivityHandle, Engine, KnownPreferences
from purposeguard.runtime.observer import Tick
from purposeguard.runtime.registry import Access, Activity
from purposeguard.runtime.snapshot import NO_LABELS, Permissions
from purposeguard.values.rows import Whose

IDS: Final = frozenset({int, str, uuid.UUID})
"""What names a subject outright."""


class Authorization:
    """What an activity may do with data. Decides, reports and counts, and opens nothing."""

    # `allowed_labels` holds what is known to be allowed where no use is counted, `counted` what is where uses are, with
    # the function that counts it; neither holds anything once the block has ended.
    __slots__ = ("_allowed_labels", "_counted", "_handle")

    _records_each: ClassVar[bool] = False
    """Whether each row that is given out goes on record."""

    _handle: ActivityHandle
    _allowed_labels: set[object] | frozenset[object]
    _counted: Mapping[object, Tick]

    @property
    def activity(self) -> Activity:
        """What is under way."""
        return self._handle.activity

    @property
    def _engine(self) -> Engine:
        return self._handle.engine

    @property
    def purpose(self) -> type[Purpose] | Family:
        """The purpose, or family, of this use."""
        return self._permissions.purpose

    @property
    def channel(self) -> str | None:
        """How the person is contacted, where the activity says."""
        return self.activity.channel

    @property
    def conditions(self) -> frozenset[str]:
        """The conditions that are stated to hold."""
        return self.activity.conditions

    @property
    def _permissions(self) -> Permissions:
        return self._handle.get_permissions()

    def _check_label(
        self,
        label: Label,
        permissions: Permissions | None = None,
        row_contexts: tuple[RowContext, ...] = (),
        access: Access | None = None,
    ) -> Decision | None:
        """Why this use may not open data of this label; None where it may, which is counted. For wrappers.

        `row_contexts`: what is known of the data beside its label.
        """
        permissions = permissions or self._permissions  # once: the decision and its reasons are of one revision
        decision = self._decide_and_report(label, row_contexts, permissions, used=True, access=access)
        if decision is None:
            self._count_use(label, row_contexts, permissions, 1)
        return decision

    def _decide_and_report(
        self,
        label: Label,
        row_contexts: tuple[RowContext, ...],
        permissions: Permissions | None = None,
        *,
        used: bool | None = None,
        access: Access | None = None,
        field: str | None = None,
        known: KnownPreferences | None = None,
    ) -> Decision | None:
        """Why this use may not open data of this label; None where it may. Nothing is counted. For wrappers.

        `used`: True reports to observers that data is about to be used, False a question; None reports nothing.
        `known`: what the subjects asked for, where it was asked before.
        """
        permissions = permissions or self._permissions
        if not row_contexts:
            if label in permissions.allowed_labels:
                return None
            return self._report_verdict(permissions.decide(label), used, access, field)
        if known is None and len(row_contexts) > 1:
            known = self._engine.collect_preferences(row_contexts)
        for row_context in row_contexts:
            context = self._engine.resolve_context(row_context, label, permissions.snapshot, known)
            if permissions.is_known_allowed(label, context):
                continue
            decision = self._report_verdict(permissions.decide(label, context), used, access, field)
            if decision is not None:
                return decision
        return None

    def _decide_before_rows(
        self, label: Label, permissions: Permissions, *, used: bool | None = None, field: str | None = None
    ) -> Decision | None:
        """As `judged`, of rows that will say whose they are: why none of them may be used, whatever they say."""
        if permissions.is_known_allowed(label, ASKED_LATER):
            return None
        return self._report_verdict(permissions.decide(label, ASKED_LATER), used, None, field)

    def _report_verdict(
        self, verdict: Verdict, used: bool | None, access: Access | None = None, field: str | None = None
    ) -> Decision | None:
        """Report a verdict to the observers; give the decision if it is a denial, else None."""
        engine = self._engine
        if used is not None and engine.observers.decided:
            engine.report_decision(verdict, used=used, activity=self.activity, access=access, field=field)
        return None if verdict.allowed else Decision(verdict)

    def _check_label_before_rows(
        self, label: Label, outside: Label | None, access: Access | None = None
    ) -> Decision | None:
        """As `refusal`, of rows that will say whose they are: what is decided by that is decided later.

        `outside` is the label of what is in no such row, which nothing will be said of.
        """
        permissions = self._permissions
        decision = None
        if outside is not None and outside not in permissions.allowed_labels:
            verdict = permissions.decide(outside)
            decision = None if verdict.allowed else self._report_verdict(verdict, used=True, access=access)
        if decision is None and not permissions.is_known_allowed(label, ASKED_LATER):
            decision = self._report_verdict(permissions.decide(label, ASKED_LATER), used=True, access=access)
        return decision

    def _count_rows(self, label: Label) -> None:
        """Count what has said whose it is, none of which was refused, and is about to be used."""
        if self._engine.counting:
            self._handle.count(label, 1, None)

    def _count_use(
        self, label: Label, row_contexts: tuple[RowContext, ...], permissions: Permissions, times: int
    ) -> None:
        """Count data that is allowed, and about to be used."""
        if self._engine.counting:
            self._handle.count(label, times, None if row_contexts else permissions)

    def allows(self, sources: Sources, subject: Whose = None) -> bool:
        """Whether data from these sources (of this subject) may be used here: a question, never an error for a denial.

        Raises:
            UnknownSource, UnlabelledData, StoreUnavailable: as `Guard.allows`.
        """
        if subject is None:
            try:
                if sources in self._allowed_labels or sources in self._counted:
                    return True
            except TypeError:
                pass  # not hashable, so never remembered: decided below
            return self._report_verdict(self._permissions.decide(sources), used=False) is None
        permissions = self._permissions
        if (
            type(sources) is Label
            and type(subject) in IDS
            and sources in self._labels_allowed_for(permissions, subject)
        ):
            return True
        label = permissions.matrix.resolve_label(sources)
        return self._decide_and_report(label, self._resolve_row_contexts(subject), permissions, used=False) is None

    def explain(self, sources: Sources, subject: Whose = None) -> Decision:
        """Return the decision on these sources (of this subject), with its reasons; raises as `allows` does."""
        permissions = self._permissions
        if subject is None:
            verdict = permissions.decide(sources)
        else:
            label = permissions.matrix.resolve_label(sources)
            row_contexts = self._resolve_row_contexts(subject)
            known = self._engine.collect_preferences(row_contexts)
            contexts = [self._engine.resolve_context(each, label, permissions.snapshot, known) for each in row_contexts]
            verdicts = [permissions.decide(label, context) for context in contexts]
            verdict = next((verdict for verdict in verdicts if not verdict.allowed), verdicts[0])
        self._report_verdict(verdict, used=False)
        return Decision(verdict)

    def _resolve_row_contexts(self, subject: object) -> tuple[RowContext, ...]:
        """What `subject=` says."""
        return self._engine.resolve_row_contexts(subject)

    def _labels_allowed_for(self, permissions: Permissions, subject: object) -> set[Label] | frozenset[Label]:
        """Return the labels known to be allowed of a subject, by its id."""
        oversight = self._engine.oversight
        return (
            NO_LABELS
            if oversight is None
            else permissions.labels_allowed_for(oversight.preferences(subject_key(subject)))
        )

    def _knows(self, label: Label) -> bool:
        """Return True if the sources of this label are of the notice in force."""
        try:
            self._engine.snapshot.matrix.resolve_label(label)
        except UnknownSource:
            return False
        return True

    def _refuses_row(self, decision: Decision) -> bool:
        """Return True if a denial is about the row, whose data was asked for before: for wrappers.

        That no clause grants it was refused then, or the value is sealed and cannot be opened.
        """
        return decision.reason not in (DenialReason.GRANT, DenialReason.CHANNEL, DenialReason.CONDITION)

    def _record_row(self, label: Label, row_contexts: tuple[RowContext, ...]) -> None:
        """A row of these is given out; what it holds was counted when it was asked for."""
