"""Activities of a guard with their permissions, which decide, report and count uses of data."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from itertools import chain
from typing import ClassVar

from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Family, Purpose
from purposeguard.policy.context import ASKED_LATER, DenialReason
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.verdict import Verdict
from purposeguard.runtime.engine import Engine, KnownPreferences
from purposeguard.runtime.observer import Tick, load_logging
from purposeguard.runtime.registry import Access, Activity
from purposeguard.runtime.snapshot import Permissions

LabelWithContexts = tuple[Label, tuple[RowContext, ...]]
"""The label of some data, and the subjects and dates of the data if they are known."""


class ActivityHandle:
    """An activity of a guard together with its permissions. Decides, reports and counts its uses, and opens nothing.

    Attributes:
        activity: The activity.
        counted: The labels that are cached as allowed if uses are counted, each with the function that counts a use.
        engine: The engine of the guard.
        permissions: The permissions of the activity. They may be retired.
        ticks: The functions that count uses, by label.
    """

    __slots__ = ("__weakref__", "_narrower", "activity", "counted", "engine", "permissions", "ticks")

    can_be_carried: ClassVar[bool] = True
    """True if `guard.carry` may carry its uses to another task or thread."""

    can_be_cached: ClassVar[bool] = True
    """True if results that were read in its uses may be cached, and cached results may be returned in them."""

    records_each_row: ClassVar[bool] = False
    """True if each returned row is recorded."""

    def __init__(self, engine: Engine, activity: Activity) -> None:
        self.engine = engine
        self.activity = activity
        if activity.observing:
            load_logging()
        self.permissions = self._make_permissions()
        self.counted: dict[object, Tick] = {}
        self.ticks: dict[Label, Tick] = {}
        self._narrower: dict[type[Purpose] | Family, MemberHandle] = {}

    def _make_permissions(self) -> Permissions:
        return self.engine.get_permissions(self.activity)

    def narrow_to(self, member: type[Purpose] | Family) -> ActivityHandle:
        """Return the handle of the activity restricted to one member of its family."""
        handle = self._narrower.get(member)
        if handle is None:
            handle = self._narrower.setdefault(member, MemberHandle(self, member))
        return handle

    def get_permissions(self) -> Permissions:
        """Return the permissions under the notice in force.

        Raises:
            UnknownTerm: The notice no longer has the purpose of the activity.
        """
        permissions = self.permissions
        if permissions.retired:
            permissions = self.permissions = self._make_permissions()
            self.ticks.clear()  # They count for the ledger at that time, and by the ids of that notice.
            for entered in self.engine.observers.entered:
                entered(self.activity)
        return permissions

    def explain_end(self) -> str | None:
        """Explain why the activity has ended; None if it is in force. Only legal exceptions end."""
        return None

    def check_label(
        self,
        label: Label,
        permissions: Permissions | None = None,
        row_contexts: tuple[RowContext, ...] = (),
        access: Access | None = None,
    ) -> Decision | None:
        """Decide if the activity may use data, and count the use if it may.

        Args:
            label: The label of the data.
            permissions: The permissions that decide, by default those under the notice in force.
            row_contexts: The subjects and dates of the data, if they are known.
            access: The access function that reads the data, if any.

        Returns:
            The denial, or None if the use is allowed.
        """
        permissions = permissions or self.get_permissions()  # Read once, so that one revision decides everything.
        decision = self.decide_and_report(label, row_contexts, permissions, used=True, access=access)
        if decision is None:
            self.count_use(label, row_contexts, permissions, 1)
        return decision

    def decide_and_report(
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
        """Decide if the activity may use data, without counting the use.

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
        permissions = permissions or self.get_permissions()
        if not row_contexts:
            if label in permissions.allowed_labels:
                return None
            return self.report_verdict(permissions.decide(label), used, access, field)
        engine = self.engine
        if preferences is None and len(row_contexts) > 1:
            preferences = engine.collect_preferences(row_contexts)
        for row_context in row_contexts:
            context = engine.resolve_context(row_context, label, permissions.snapshot, preferences)
            if permissions.is_known_allowed(label, context):
                continue
            decision = self.report_verdict(permissions.decide(label, context), used, access, field)
            if decision is not None:
                return decision
        return None

    def decide_each(
        self, questions: Collection[LabelWithContexts], permissions: Permissions, *, used: bool | None
    ) -> dict[LabelWithContexts, Decision | None]:
        """Decide several questions. Decide again if a subject's preferences changed meanwhile.

        Args:
            questions: The questions.
            permissions: The permissions that decide.
            used: The argument of this name of `decide_and_report`.

        Returns:
            For each question the denial, or None if the use is allowed.
        """
        row_contexts = list(chain.from_iterable(contexts for _, contexts in questions))
        before = self.engine.collect_preferences(row_contexts)
        denials: dict[LabelWithContexts, Decision | None] = {}
        for question in questions:
            denials[question] = self.decide_and_report(*question, permissions, used=used, preferences=before)
        now = self.engine.collect_preferences(row_contexts)
        if now == before:
            return denials
        changed_subjects = {subject for subject in now if now[subject] != before[subject]}
        for label, contexts in questions:
            if any(row_context.subject in changed_subjects for row_context in contexts):
                denials[label, contexts] = self.decide_and_report(
                    label, contexts, permissions, used=used, preferences=now
                )
        return denials

    def decide_before_rows(
        self, label: Label, permissions: Permissions, *, used: bool | None = None, field: str | None = None
    ) -> Decision | None:
        """Return the denial if no row with this label may be used, whoever its subject is; None otherwise.

        Args:
            label: The label of the rows.
            permissions: The permissions that decide.
            used: The argument of this name of `decide_and_report`.
            field: The field that contains the data, if it is known.
        """
        if permissions.is_known_allowed(label, ASKED_LATER):
            return None
        return self.report_verdict(permissions.decide(label, ASKED_LATER), used, None, field)

    def report_verdict(
        self, verdict: Verdict, used: bool | None, access: Access | None = None, field: str | None = None
    ) -> Decision | None:
        """Report a verdict to the observers. Return the decision if it is a denial, otherwise None.

        Args:
            verdict: The verdict.
            used: The argument of this name of `decide_and_report`.
            access: The access function that reads the data, if any.
            field: The field that contains the data, if it is known.
        """
        engine = self.engine
        if used is not None and engine.observers.decided:
            engine.report_decision(verdict, used=used, activity=self.activity, access=access, field=field)
        return None if verdict.allowed else Decision(verdict)

    def check_label_before_rows(
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
        permissions = self.get_permissions()
        decision = None
        if outside is not None and outside not in permissions.allowed_labels:
            verdict = permissions.decide(outside)
            decision = None if verdict.allowed else self.report_verdict(verdict, used=True, access=access)
        if decision is None and not permissions.is_known_allowed(label, ASKED_LATER):
            decision = self.report_verdict(permissions.decide(label, ASKED_LATER), used=True, access=access)
        return decision

    def count_rows(self, label: Label) -> None:
        """Count one use of rows that named their subjects and were all allowed."""
        if self.engine.counting:
            self._count(label, 1, None)

    def count_use(
        self, label: Label, row_contexts: tuple[RowContext, ...], permissions: Permissions, times: int
    ) -> None:
        """Count uses of data that are allowed and about to take place.

        Args:
            label: The label of the data.
            row_contexts: The subjects and dates of the data, if they are known.
            permissions: The permissions that allow the uses.
            times: The number of uses.
        """
        if self.engine.counting:
            self._count(label, times, None if row_contexts else permissions)

    def _count(self, label: Label, times: int, permissions: Permissions | None) -> None:
        """Count uses of a label.

        Args:
            label: The label of the data.
            times: The number of uses.
            permissions: The permissions that allow the label. None if it is allowed only for some subjects.
        """
        tick = self.ticks.get(label)
        if tick is None:
            tick = self.engine.make_counter(self.activity.name, self.activity.purpose, label)
            self.ticks[label] = tick
        if permissions is not None and label not in self.counted:
            permissions.set_counter(self, label, tick)
        for _ in range(times):
            tick()

    def refuses_row(self, decision: Decision) -> bool:
        """Return True if a denial concerns only the row.

        Denials that concern no row were raised before the rows were read, or the value is sealed and cannot be opened.
        """
        return decision.reason not in (DenialReason.GRANT, DenialReason.CHANNEL, DenialReason.CONDITION)

    def record_row(self, label: Label, row_contexts: tuple[RowContext, ...]) -> None:
        """Record a row that is returned. Does nothing here, because its data was counted before it was read."""


class MemberHandle(ActivityHandle):
    """The handle of an activity that is restricted to one member of its family."""

    __slots__ = ("_whole",)

    def __init__(self, whole: ActivityHandle, member: type[Purpose] | Family) -> None:
        """Restrict an activity.

        Args:
            whole: The handle of the activity.
            member: The member of its family.
        """
        super().__init__(whole.engine, dataclasses.replace(whole.activity, purpose=member))
        self._whole = whole

    def get_permissions(self) -> Permissions:
        """Return the permissions under the notice in force.

        Raises:
            UnknownTerm: The notice no longer has the family or its member.
        """
        self._whole.get_permissions()
        return super().get_permissions()
