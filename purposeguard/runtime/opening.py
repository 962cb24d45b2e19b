"""Opening of sealed values by an activity, after a single decision on all of them."""

from __future__ import annotations

from typing import Any, TypeVar

from purposeguard.errors import PurposeGuardError
from purposeguard.policy.context import UNNAMED
from purposeguard.policy.explanation import Decision, is_about_the_subject
from purposeguard.policy.row_context import RowContext
from purposeguard.runtime.activity_handle import ActivityHandle, LabelWithContexts
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.snapshot import Permissions
from purposeguard.values.personal import Personal
from purposeguard.values.sealed import compute_plain_value

T = TypeVar("T")


def open_values(
    handle: ActivityHandle,
    absence: str | None,
    values: tuple[Personal[T, Any], ...],
    permissions: Permissions | None = None,
    row_contexts: tuple[tuple[RowContext, ...], ...] | None = None,
    *,
    used: bool | None = True,
) -> list[T]:
    """Check all values, then open them.

    Args:
        handle: The activity that opens the values.
        absence: The reason why the use of the activity is not valid here; None if it is valid.
        values: The sealed values.
        permissions: The permissions that decide, by default those under the notice in force.
        row_contexts: The subjects and dates of each value, if they are known.
        used: The argument of this name of `ActivityHandle.decide_and_report`.

    Returns:
        The plain values in their order.

    Raises:
        PurposeMissing: The use is not valid here.
        PurposeViolation: A value may not be opened.
        UnknownSource: The sources of a value belong to another notice.
        SealedValue: A function that was passed to `map` failed, or is not registered with a strict guard.
    """
    try:
        _check_values(handle, absence, values, permissions, row_contexts, used=used)
    except PurposeGuardError as error:
        fields = tuple(("", value.label) for value in values)
        if not handle.engine.report_if_observed(error, "opening of a sealed value", fields, handle.activity):
            raise
    return list(map(compute_plain_value, values))


def _check_values(
    handle: ActivityHandle,
    absence: str | None,
    values: tuple[Personal[T, Any], ...],
    permissions: Permissions | None,
    row_contexts: tuple[tuple[RowContext, ...], ...] | None,
    *,
    used: bool | None,
) -> None:
    """Decide all values and count their uses, as `open_values` does."""
    engine = handle.engine
    if absence is not None:
        engine.report_missing_purpose("a sealed value was to be opened", absence, handle)
    engine.require_registered(values)
    if absence is not None:
        return
    permissions = permissions or handle.get_permissions()  # Read once, so that one revision decides all values.
    times_by_question: dict[LabelWithContexts, int] = {}
    for value, contexts in zip(values, row_contexts or ((),) * len(values), strict=True):
        question = value.label, contexts
        times_by_question[question] = times_by_question.get(question, 0) + 1
    for question, denial in _decide_questions(handle, times_by_question, permissions, used=used).items():
        if denial is not None:
            engine.refuse(denial, handle, advice=_advise_opening(denial, engine))
            del times_by_question[question]  # The denial is only observed, otherwise `refuse` has raised.
    for (label, contexts), times in times_by_question.items():
        handle.count_use(label, contexts, permissions, times)


def _decide_questions(
    handle: ActivityHandle,
    questions: dict[LabelWithContexts, int],
    permissions: Permissions,
    *,
    used: bool | None,
) -> dict[LabelWithContexts, Decision | None]:
    if len(questions) != 1:
        return handle.decide_each(questions, permissions, used=used)
    (question,) = questions
    return {question: handle.decide_and_report(*question, permissions, used=used)}


def _advise_opening(refusal: Decision, engine: Engine) -> str:
    """Return advice for a sealed value that may not be opened."""
    if is_about_the_subject(refusal):
        if refusal.context.preferences not in (None, UNNAMED):
            return "do without it, as `use.try_open(value, default, subject=…)` does"
        consents = "" if engine.oversight is not None else "; `Guard(notice, governance=…)` knows who consents"
        return f"`use.open(value, subject=…)` says whose it is{consents}"
    return "open it under a purpose that may use it, or do without it, as `use.try_open(value, default)` does"
