"""Filtering of results: denied fields are withheld, and denied rows are refused or dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from purposeguard.errors import PurposeGuardError
from purposeguard.notice.label import Label
from purposeguard.policy.context import Context
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import RowContext
from purposeguard.runtime.authorisation import Authorization
from purposeguard.runtime.registry import Access
from purposeguard.runtime.snapshot import Permissions
from purposeguard.values.row_filter import RowFilter
from purposeguard.values.streams import Steps, wrap_stepwise
from purposeguard.values.type_schema import Shape
from purposeguard.values.withheld import WithheldRecord
from purposeguard.values.withholding import FieldWithholder, Stream

_Where = tuple[str, tuple[RowContext, ...]]
"""The path of a part of a value, and the row contexts that apply unless the part names its own."""


def withhold_denied_fields(
    use: Authorization,
    value: Any,
    shape: Shape,
    access: Access | None,
    *,
    met: list[Any] | None = None,
    again: Callable[[], Authorization | None],
    path: str = "",
    row_contexts: tuple[RowContext, ...] = (),
) -> Any:
    """Withhold the fields of a value that may not be used here.

    Args:
        use: The use that decides.
        value: The value.
        shape: The shape of the value according to its annotation.
        access: The access function that returned the value, if any.
        met: A list to which all models in the result are added.
        again: A function that returns the use for each step of an iterator.
        path: The path of the value in the result.
        row_contexts: The subjects and dates of the row that contains the value.

    Returns:
        The value itself if nothing had to be withheld, otherwise a copy.
    """
    engine, activity = use._engine, use.activity
    permissions = use._permissions  # Read once, so that one revision decides all of the value.
    function = access.name if access is not None else None

    def denies(label: Label, row_contexts: tuple[RowContext, ...], path: str) -> Decision | None:
        field = path.removeprefix("[].") or None
        decision = use._decide_and_report(label, row_contexts, permissions, used=True, access=access, field=field)
        if activity.observing:
            _count_or_report(use, decision, label, row_contexts, access=access, permissions=permissions)
            return None
        return decision

    def denies_seal(label: Label, row_contexts: tuple[RowContext, ...], path: str) -> Decision | None:
        # Nothing is opened, so nothing is counted, and nothing is recorded in observe mode.
        if activity.observing:
            return None
        field = path.removeprefix("[].")
        return use._decide_and_report(label, row_contexts, permissions, used=False, access=access, field=field)

    def count_use(label: Label, row_contexts: tuple[RowContext, ...], times: int) -> None:
        use._count_use(label, row_contexts, permissions, times)

    def refuse(decision: Decision, field: str | None) -> None:
        engine.refuse(decision, use, access, field)

    def record(decisions: Mapping[str, Decision]) -> WithheldRecord:
        return WithheldRecord(
            decisions, activity.name, function, lambda violation: engine.report_violation(violation, activity)
        )

    def filter_part(part: Any, shape: Shape, use: Authorization, where: _Where, _item: bool) -> Any:
        return withhold_denied_fields(
            use, part, shape, access, met=met, again=again, path=where[0], row_contexts=where[1]
        )

    key = (activity.name, function, activity.purpose, activity.channel, permissions)
    try:
        withholder = FieldWithholder(
            denies=denies,
            denies_seal=denies_seal,
            refuse=refuse,
            record=record,
            key=key,
            classes=engine.classes,
            met=[] if met is None else met,
            stream=_make_stream_wrapper(again, filter_part),
            row_contexts=row_contexts,
            used=count_use if engine.counting and not activity.observing else None,
            is_told=activity.observing or engine.observers.want_each,
            ask_ahead=engine.prefetch_preferences,
            observing=activity.observing,
        )
        return withholder.apply(value, shape, path)
    except PurposeGuardError as error:
        refusal = error
    # Error reporters may show the local variables of a traceback's frames, which must not contain the value.
    value = None
    raise refusal.with_traceback(None)


def _count_or_report(
    use: Authorization,
    decision: Decision | None,
    label: Label,
    row_contexts: tuple[RowContext, ...],
    *,
    access: Access | None,
    permissions: Permissions,
) -> None:
    """Count a use, or report a denial that is only observed. In both cases the value is returned."""
    if decision is not None:
        use._engine.refuse(decision, use, access)
    else:
        use._count_use(label, row_contexts, permissions, 1)


def wrap_lazy_values(use: Authorization, value: Any, shape: Shape, again: Callable[[], Authorization | None]) -> Any:
    """Wrap the iterators in a value that may be used so that `again` is called at each step."""

    def filter_part(part: Any, shape: Shape, use: Authorization, _where: _Where, _item: bool) -> Any:
        return wrap_lazy_values(use, part, shape, again)

    return FieldWithholder(
        denies=_allow_everything,
        denies_seal=_allow_everything,
        refuse=_allow_everything,
        record=lambda decisions: WithheldRecord(decisions, None, None, None),
        key=(),
        classes=use._engine.classes,
        met=[],
        stream=_make_stream_wrapper(again, filter_part),
    ).apply(value, shape)


def filter_rows(
    use: Authorization,
    value: Any,
    shape: Shape,
    access: Access,
    *,
    is_item: bool,
    again: Callable[[], Authorization | None],
    path: str = "",
    around: tuple[RowContext, ...] = (),
) -> Any:
    """Check each row in a value against the preferences of its subject and its dates.

    Args:
        use: The use that decides.
        value: The value.
        shape: The shape of the value according to its annotation.
        access: The access function that returned the value. With `access.narrow`, denied rows are dropped.
        is_item: True if the value is an item of a generator, which may be dropped itself.
        again: A function that returns the use for each step of an iterator.
        path: The path of the value in the result.
        around: The subjects and dates of the row that contains the value.

    Returns:
        The value, or a copy without the denied rows. LEFT_OUT if the value itself must be dropped.

    Raises:
        PurposeViolation: A row may not be used, and rows are not dropped.
    """
    engine, activity, permissions = use._engine, use.activity, use._permissions

    def decide(label: Label, row_contexts: tuple[RowContext, ...], unasked: bool) -> Decision | None:
        decision = use._decide_and_report(label, row_contexts, permissions, used=True, access=access)
        if decision is None:
            use._record_row(label, row_contexts)
            return None
        return decision if refuses_row(decision, unasked) else None

    def refuses_row(decision: Decision, unasked: bool) -> bool:
        # Fields that will be withheld are no reason to refuse the row.
        return (unasked and not access.withhold) or use._refuses_row(decision)

    def find_denials(subjects: list[str], questions: list[tuple[Label, bool]]) -> list[Decision | None] | None:
        return _find_denials_by_subject(use, subjects, questions, permissions, refuses_row)

    def refuse(decision: Decision, field: str | None) -> None:
        engine.refuse(decision, use, access, field)

    def filter_part(part: Any, shape: Shape, use: Authorization, where: _Where, item: bool) -> Any:
        return filter_rows(use, part, shape, access, is_item=item, again=again, path=where[0], around=where[1])

    row_filter = RowFilter(
        decide,
        refuse,
        leave_out=access.narrow and not activity.observing,
        named=access.named,
        stream=_make_stream_wrapper(again, filter_part),
        named_only=access.withhold and not access.narrow,
        denials=None if use._records_each or engine.observers.want_each else find_denials,
        ask_ahead=engine.prefetch_preferences,
        observing=activity.observing,
    )
    try:
        return (row_filter.apply_to_item if is_item else row_filter.apply)(value, shape, path, around)
    except PurposeGuardError as error:
        refusal = error
    value = None  # Keep the value out of the traceback.
    raise refusal.with_traceback(None)


def _find_denials_by_subject(
    use: Authorization,
    subjects: list[str],
    questions: list[tuple[Label, bool]],
    permissions: Permissions,
    refuses: Callable[[Decision, bool], bool],
) -> list[Decision | None] | None:
    """Find for each subject the first denial that refuses its row. Subjects with the same preferences share it.

    Args:
        use: The use that decides.
        subjects: The subjects of the rows.
        questions: The labels in a row, each with True if it has not been checked before.
        permissions: The permissions that decide.
        refuses: Returns True if a denial refuses the row.

    Returns:
        For each subject its denial or None. None if no row is refused.
    """
    preferences = use._engine.get_preferences_of_each(subjects)
    denied: dict[int, Decision] = {}
    preference_ids = list(map(id, preferences))
    for preference_id, subject_preferences in dict(zip(preference_ids, preferences, strict=True)).items():
        context = Context(subject_preferences)
        for label, unasked in questions:
            if permissions.is_known_allowed(label, context):
                continue
            verdict = permissions.decide(label, context)
            decision = None if verdict.allowed else Decision(verdict)
            if decision is not None and refuses(decision, unasked):
                denied[preference_id] = decision
                break
    return list(map(denied.get, preference_ids)) if denied else None


def _make_stream_wrapper(
    again: Callable[[], Authorization | None],
    filter_part: Callable[[Any, Shape, Authorization, _Where, bool], Any],
) -> Stream:
    """Return a function that wraps the iterators in a value.

    Args:
        again: A function that returns the use for each step.
        filter_part: A function that returns the part of an item that the use may see.
    """

    def stream(value: Any, shape: Shape, path: str, row_contexts: tuple[RowContext, ...]) -> Any:
        items = shape.iterated or shape  # Without an annotation, an item may have any shape that the value may have.
        whole = shape | items

        def item(part: Any, use: Authorization | None) -> Any:
            return part if use is None else filter_part(part, items, use, (f"{path}[]", row_contexts), True)

        def other(part: Any, use: Authorization | None) -> Any:
            return part if use is None else filter_part(part, whole, use, (path, row_contexts), False)

        return wrap_stepwise(value, Steps(again, item, other))

    return stream


def _allow_everything(*_arguments: object) -> None:
    """Deny nothing."""
