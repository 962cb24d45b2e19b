"""Authorization: decides, reports and counts the uses of data by an activity."""

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
"""The types of subject ids."""


class Authorization:
    """Decides, reports and counts the uses of an activity. Opens nothing."""

    # `_allowed_labels` caches the allowed labels if uses are not counted. `_counted` caches them otherwise, each with
    # the function that counts a use. Both are empty after the block has ended.
    __slots__ = ("_allowed_labels", "_counted", "_handle")

    _records_each: ClassVar[bool] = False
    """True if each returned row is recorded."""

    _handle: ActivityHandle
    _allowed_labels: set[object] | frozenset[object]
    _counted: Mapping[object, Tick]

    @property
    def activity(self) -> Activity:
        """The activity of this use."""
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
        """The channel by which the person is contacted, if the activity states one."""
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
        """Decide if this use may open data, and count the use if it may. Used by wrappers.

        Args:
            label: The label of the data.
            permissions: The permissions that decide, by default those under the notice in force.
            row_contexts: The subjects and dates of the data, if they are known.
            access: The access function that reads the data, if any.

        Returns:
            The denial, or None if the use is allowed.
        """
        permissions = permissions or self._permissions  # Read once, so that one revision gives decision and reasons.
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
        preferences: KnownPreferences | None = None,
    ) -> Decision | None:
        """Decide if this use may open data, without counting it. Used by wrappers.

        Args:
            label: The label of the data.
            row_contexts: The subjects and dates of the data, if they are known.
            permissions: The permissions that decide, by default those under the notice in force.
            used: True reports to observers that data is about to be used, False reports a question, and None reports
                nothing.
            access: The access function that reads the data, if any.
            field: The field that contains the data, if it is known.
            preferences: The preferences of the subjects, if they were read before.

        Returns:
            The denial, or None if the use is allowed.
        """
        permissions = permissions or self._permissions
        if not row_contexts:
            if label in permissions.allowed_labels:
                return None
            return self._report_verdict(permissions.decide(label), used, access, field)
        if preferences is None and len(row_contexts) > 1:
            preferences = self._engine.collect_preferences(row_contexts)
        for row_context in row_contexts:
            context = self._engine.resolve_context(row_context, label, permissions.snapshot, preferences)
            if permissions.is_known_allowed(label, context):
                continue
            decision = self._report_verdict(permissions.decide(label, context), used, access, field)
            if decision is not None:
                return decision
        return None

    def _decide_before_rows(
        self, label: Label, permissions: Permissions, *, used: bool | None = None, field: str | None = None
    ) -> Decision | None:
        """Return the denial if no row with this label may be used, whoever its subject is; None otherwise."""
        if permissions.is_known_allowed(label, ASKED_LATER):
            return None
        return self._report_verdict(permissions.decide(label, ASKED_LATER), used, None, field)

    def _report_verdict(
        self, verdict: Verdict, used: bool | None, access: Access | None = None, field: str | None = None
    ) -> Decision | None:
        """Report a verdict to the observers. Return the decision if it is a denial, otherwise None."""
        engine = self._engine
        if used is not None and engine.observers.decided:
            engine.report_decision(verdict, used=used, activity=self.activity, access=access, field=field)
        return None if verdict.allowed else Decision(verdict)

    def _check_label_before_rows(
        self, label: Label, outside: Label | None, access: Access | None = None
    ) -> Decision | None:
        """Decide before reading rows that name their subjects. Each row is decided again when it is read.

        Args:
            label: The label of all data.
            outside: The label of the data that is in no such row, for which no subject will be known.
            access: The access function that reads the data, if any.

        Returns:
            The denial if data outside rows or all rows may not be used, otherwise None.
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
        """Count one use of rows that named their subjects and were all allowed."""
        if self._engine.counting:
            self._handle.count(label, 1, None)

    def _count_use(
        self, label: Label, row_contexts: tuple[RowContext, ...], permissions: Permissions, times: int
    ) -> None:
        """Count uses of data that are allowed and about to take place."""
        if self._engine.counting:
            self._handle.count(label, times, None if row_contexts else permissions)

    def allows(self, sources: Sources, subject: Whose = None) -> bool:
        """Return True if data from these sources may be used here. A denial is not an error.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            subject: The person whom the data is about: an id, a `RowContext`, or a row with marked fields.

        Raises:
            UnknownSource, UnlabelledData, StoreUnavailable: As in `Guard.allows`.
        """
        if subject is None:
            try:
                if sources in self._allowed_labels or sources in self._counted:
                    return True
            except TypeError:
                pass  # Sources that are not hashable are never cached. They are decided below.
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
        """Return the decision on these sources with its reasons. Raises the errors of `allows`.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            subject: The person whom the data is about: an id, a `RowContext`, or a row with marked fields.
        """
        permissions = self._permissions
        if subject is None:
            verdict = permissions.decide(sources)
        else:
            label = permissions.matrix.resolve_label(sources)
            row_contexts = self._resolve_row_contexts(subject)
            preferences = self._engine.collect_preferences(row_contexts)
            contexts = [
                self._engine.resolve_context(row_context, label, permissions.snapshot, preferences)
                for row_context in row_contexts
            ]
            verdicts = [permissions.decide(label, context) for context in contexts]
            verdict = next((verdict for verdict in verdicts if not verdict.allowed), verdicts[0])
        self._report_verdict(verdict, used=False)
        return Decision(verdict)

    def _resolve_row_contexts(self, subject: object) -> tuple[RowContext, ...]:
        """Return the subjects and dates that a `subject=` argument names."""
        return self._engine.resolve_row_contexts(subject)

    def _labels_allowed_for(self, permissions: Permissions, subject: object) -> set[Label] | frozenset[Label]:
        """Return the labels that are cached as allowed for a subject with this id."""
        oversight = self._engine.oversight
        return (
            NO_LABELS
            if oversight is None
            else permissions.labels_allowed_for(oversight.preferences(subject_key(subject)))
        )

    def _knows(self, label: Label) -> bool:
        """Return True if the sources of this label belong to the notice in force."""
        try:
            self._engine.snapshot.matrix.resolve_label(label)
        except UnknownSource:
            return False
        return True

    def _refuses_row(self, decision: Decision) -> bool:
        """Return True if a denial concerns only the row. Used by wrappers.

        Denials that concern no row were raised before the rows were read, or the value is sealed and cannot be opened.
        """
        return decision.reason not in (DenialReason.GRANT, DenialReason.CHANNEL, DenialReason.CONDITION)

    def _record_row(self, label: Label, row_contexts: tuple[RowContext, ...]) -> None:
        """Record a row that is returned. Does nothing here, because its data was counted before it was read."""
