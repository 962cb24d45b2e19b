"""The errors for uses that the notice does not grant, and for data that would flow where its tags do not follow.

The message of an error is put together here. Its sentences are those of `purposeguard.policy.explanation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from purposeguard.errors import (
    PurposeGuardError,
    PurposeMissing,
    SealedAttribute,
    SealedValue,
    StoreUnavailable,
    TooFewSubjects,
    escape_controls,
)
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import list_term_ids
from purposeguard.policy.context import DenialReason
from purposeguard.policy.explanation import Decision, qualify_decision
from purposeguard.policy.joint import JointTable
from purposeguard.policy.table import PolicyTable


class FlowViolation(PurposeGuardError, PermissionError):
    """Data would flow into a column whose tags do not cover its sources, and would be read there without them.

    `target` and `column` say where the data would go; `missing` is the label of the sources that the tags there lack.
    """

    def __init__(self, target: str, column: str, missing: Label) -> None:
        super().__init__(target, column, missing)
        self.target = target
        self.column = column
        self.missing = missing

    def __str__(self) -> str:
        lacks = ", ".join(list_term_ids(self.missing))
        return escape_controls(
            f"data of {lacks} would flow into `{self.target}.{self.column}`, whose tags do not name it\n"
            f"  tag the column with {lacks} as well, or leave out what comes from there or is chosen by it"
        )


class PurposeViolation(PurposeGuardError, PermissionError):
    """The notice does not grant this use.

    `decision` says why and what would be allowed; `activity` is the processing under way, `entry_point` the route, task
    or command at which it runs, `function` the access function that was asked, `field` the first field that the purpose
    may not use (each None where not known).

    `args` holds the message, as in other exceptions. Queues that send `args` alone make the error anew from it. Such an
    error has the same message, and no `decision`.
    """

    _done = "read"
    """The verb in messages for what the function does with the data."""

    _text: str | None = None
    """The message of an error that was made anew from it."""

    decision: Decision
    entry_point: str | None = None

    def __init__(
        self,
        decision: Decision | str,
        activity: str | None = None,
        function: str | None = None,
        field: str | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__()
        if isinstance(decision, str):
            self._text = decision
        else:
            self.decision = decision
        self.activity = activity
        self.function = function
        self.field = field
        self.advice = advice

    @property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override]  # built when it is read
        """The message."""
        return (str(self),)

    def __str__(self) -> str:
        if self._text is not None:
            return self._text
        head = self.decision.headline
        if self.function:
            head += f", {self._done} by {self.function}"
        if self.field and not self.function:
            head += f", in field `{self.field}`"
        if self.activity:
            head += f" for activity {self.activity}"
        if self.entry_point and self.entry_point != self.activity:
            head += f", at {self.entry_point}"
        lines = [head, *(f"  {detail}" for detail in self.decision.details)]
        if self.advice:
            lines.append(f"  {self.advice}")
        return escape_controls("\n".join(lines))

    def __repr__(self) -> str:
        headline = self.decision.headline if self._text is None else self._text.partition("\n")[0]
        return f"<{type(self).__name__}: {headline}>"

    def __reduce__(self) -> tuple[Any, ...]:
        beside = dict(vars(self))  # Notes, and the verb of the message.
        cause = beside.pop("decision", self._text)
        return type(self), (cause, *(beside.pop(name) for name in ("activity", "function", "field", "advice"))), beside


class ChannelViolation(PurposeViolation):
    """The purpose names its channels and this is none of them, or an activity under it states none (rule 7)."""


class ConditionViolation(PurposeViolation):
    """The notice makes this use depend on conditions, and they are not stated."""


class RecipientViolation(PurposeViolation):
    """The data may not be handed to this recipient (clauses 4, 5 and 6)."""

    _done = "handed over"


class SubjectViolation(PurposeViolation):
    """The subject asked for the use to stop, or never agreed to it (clause 7)."""


class RetentionViolation(PurposeViolation):
    """The period for which the data may be kept is over (clause 8)."""


class RevisionViolation(PurposeViolation):
    """The revision under which the data was collected does not grant this use (rule 9)."""


REFUSALS = frozenset(
    {
        PurposeMissing,
        SealedValue,
        SealedAttribute,
        TooFewSubjects,
        StoreUnavailable,
        FlowViolation,
        PurposeViolation,
        ChannelViolation,
        ConditionViolation,
        RecipientViolation,
        SubjectViolation,
        RetentionViolation,
        RevisionViolation,
    }
)
"""The errors whose messages are made of clauses and names of code alone."""

_BY_REASON: Final[Mapping[DenialReason, type[PurposeViolation]]] = MappingProxyType(
    {
        DenialReason.GRANT: PurposeViolation,
        DenialReason.CHANNEL: ChannelViolation,
        DenialReason.CONDITION: ConditionViolation,
        DenialReason.REVISION: RevisionViolation,
        DenialReason.RETENTION: RetentionViolation,
        DenialReason.SUBJECT: SubjectViolation,
        DenialReason.CONSENT: SubjectViolation,
        DenialReason.RECIPIENT: RecipientViolation,
    }
)


def make_hand_over_violation(
    decision: Decision, activity: str, function: str, advice: str | None = None
) -> PurposeViolation:
    """Return the violation of a function that was to hand data over.

    Args:
        decision: The denial.
        activity: The name of the activity.
        function: The name of the function.
        advice: The remedy in the message, if any.
    """
    violation = violation_class(decision)(decision, activity, function, None, advice)
    violation._done = "handed over"
    return violation


def qualify_violation(error: PurposeViolation, matrix: PolicyTable) -> PurposeViolation:
    """Return a violation for records. Over several notices, its ids contain those of the notices."""
    if not isinstance(matrix, JointTable):
        return error
    qualified = type(error)(
        qualify_decision(error.decision, matrix), error.activity, error.function, error.field, error.advice
    )
    qualified._done = error._done
    qualified.entry_point = error.entry_point
    return qualified


def violation_class(decision: Decision) -> type[PurposeViolation]:
    """Return the class of the error for a denial, by its reason.

    Raises:
        ValueError: the decision allows the use.
    """
    if decision.reason is None:
        raise ValueError("the decision allows the use, so no error tells of it")
    return _BY_REASON[decision.reason]
