"""Filtering of results: denied fields are withheld, and denied rows are refused or dropped."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, Self

from purposeguard.errors import PurposeGuardError
from purposeguard.notice.label import Label
from purposeguard.policy.context import Context
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.violations import PurposeViolation
from purposeguard.runtime.activity_handle import ActivityHandle
from purposeguard.runtime.registry import Access
from purposeguard.values.row_filter import RowFilter
from purposeguard.values.streams import Steps, wrap_stepwise
from purposeguard.values.type_schema import Shape
from purposeguard.values.withheld import WithheldRecord
from purposeguard.values.withholding import FieldWithholder


class HasHandle(Protocol):
    """A use, which belongs to an activity."""

    @property
    def handle(self) -> ActivityHandle:
        """The activity with its permissions."""
        ...


Authorize = Callable[[], HasHandle | None]
"""A function that returns the use for a step of an iterator; None if a missing use is only observed."""


class _PartPlace(NamedTuple):
    """The place of a part of a value.

    Attributes:
        path: The path of the part in the result.
        row_contexts: The subjects and dates of the row around the part, which apply unless the part names its own.
    """

    path: str = ""
    row_contexts: tuple[RowContext, ...] = ()


_TOP = _PartPlace()


def withhold_denied_fields(
    use: HasHandle,
    value: Any,
    shape: Shape,
    access: Access | None,
    *,
    authorize: Authorize,
    met: list[Any] | None = None,
) -> Any:
    """Withhold the fields of a value that may not be used here.

    Args:
        use: The use that decides.
        value: The value.
        shape: The shape of the value according to its annotation.
        access: The access function that returned the value, if any.
        authorize: A function that returns the use for each step of an iterator.
        met: A list to which all models in the result are added.

    Returns:
        The value itself if nothing had to be withheld, otherwise a copy.
    """
    withholding = _FieldWithholding(use.handle, authorize, access, [] if met is None else met)
    try:
        return withholding.filter(value, shape, _TOP, is_item=False)
    finally:
        del value  # Keep the value out of the traceback of a refusal.


def wrap_lazy_values(use: HasHandle, value: Any, shape: Shape, authorize: Authorize) -> Any:
    """Wrap the iterators in a value that may be used so that `authorize` is called at each step."""
    return _LazyWrapping(use.handle, authorize).filter(value, shape, _TOP, is_item=False)


def filter_rows(
    use: HasHandle, value: Any, shape: Shape, access: Access, *, is_item: bool, authorize: Authorize
) -> Any:
    """Check each row in a value against the preferences of its subject and its dates.

    Args:
        use: The use that decides.
        value: The value.
        shape: The shape of the value according to its annotation.
        access: The access function that returned the value. With `access.narrow`, denied rows are dropped.
        is_item: True if the value is an item of a generator, which may be dropped itself.
        authorize: A function that returns the use for each step of an iterator.

    Returns:
        The value, or a copy without the denied rows. LEFT_OUT if the value itself must be dropped.

    Raises:
        PurposeViolation: A row may not be used, and rows are not dropped.
    """
    filtering = _RowFiltering(use.handle, authorize, access)
    try:
        return filtering.filter(value, shape, _TOP, is_item=is_item)
    finally:
        del value  # Keep the value out of the traceback of a refusal.


class _Filtering(ABC):
    """A filter of values for one use. It wraps iterators, whose steps are filtered for the use that is active then."""

    def __init__(self, handle: ActivityHandle, authorize: Authorize) -> None:
        """Filter for a use.

        Args:
            handle: The activity of the use.
            authorize: A function that returns the use for each step of an iterator.
        """
        self._handle = handle
        self._authorize = authorize

    @abstractmethod
    def filter(self, value: Any, shape: Shape, place: _PartPlace, *, is_item: bool) -> Any:
        """Return the part of a value that the use may see.

        Args:
            value: The value.
            shape: The shape of the value according to its annotation.
            place: The place of the value in the result.
            is_item: True if the value is an item of an iterator, which may be dropped itself.

        Returns:
            The value, a copy, or a wrapper around an iterator. LEFT_OUT if the value itself must be dropped.
        """

    def with_handle(self, handle: ActivityHandle) -> Self:
        """Return the same filter for another use."""
        return type(self)(handle, self._authorize)

    def report_if_observed(self, error: PurposeGuardError) -> bool:
        """Report an error of the filter if it is only observed, and return True. Otherwise return False."""
        handle = self._handle
        return handle.engine.report_if_observed(error, "filtering of a result", (), handle.activity)

    def wrap_iterator(self, value: Any, shape: Shape, path: str, row_contexts: tuple[RowContext, ...]) -> Any:
        """Wrap an iterator in a value so that each step is filtered.

        Args:
            value: The iterator.
            shape: The shape of the iterator according to its annotation.
            path: The path of the iterator in the result.
            row_contexts: The subjects and dates of the row that contains the iterator.
        """
        items = shape.iterated or shape  # Without an annotation, an item may have any shape that the value may have.
        whole = shape | items

        def filter_item(item: Any, use: HasHandle | None) -> Any:
            if use is None:
                return item
            return self.with_handle(use.handle).filter(item, items, _PartPlace(f"{path}[]", row_contexts), is_item=True)

        def filter_other(part: Any, use: HasHandle | None) -> Any:
            if use is None:
                return part
            return self.with_handle(use.handle).filter(part, whole, _PartPlace(path, row_contexts), is_item=False)

        return wrap_stepwise(value, Steps(self._authorize, filter_item, filter_other))


class _LazyWrapping(_Filtering):
    """A filter that denies nothing, and only wraps the iterators in a value."""

    def filter(self, value: Any, shape: Shape, place: _PartPlace, *, is_item: bool) -> Any:  # noqa: ARG002  # as in _Filtering
        """Return the value with its iterators wrapped."""
        return FieldWithholder(
            denies=_allow_everything,
            denies_seal=_allow_everything,
            refuse=_allow_everything,
            record=lambda decisions: WithheldRecord(decisions, None, None, None),
            key=(),
            classes=self._handle.engine.classes,
            met=[],
            stream=self.wrap_iterator,
        ).apply(value, shape)


def _allow_everything(*_arguments: object) -> None:
    """Deny nothing."""


class _FieldWithholding(_Filtering):
    """A filter that withholds the fields that may not be used."""

    def __init__(self, handle: ActivityHandle, authorize: Authorize, access: Access | None, met: list[Any]) -> None:
        """Withhold fields for a use.

        Args:
            handle: The activity of the use.
            authorize: A function that returns the use for each step of an iterator.
            access: The access function that returned the value, if any.
            met: A list to which all models in the result are added.
        """
        super().__init__(handle, authorize)
        self._access = access
        self._met = met
        self._permissions = handle.get_permissions()  # Read once, so that one revision decides all of the value.

    def with_handle(self, handle: ActivityHandle) -> Self:
        """Return the same filter for another use."""
        return type(self)(handle, self._authorize, self._access, self._met)

    def filter(self, value: Any, shape: Shape, place: _PartPlace, *, is_item: bool) -> Any:  # noqa: ARG002  # as in _Filtering
        """Return the value without the fields that may not be used."""
        engine, activity = self._handle.engine, self._handle.activity
        withholder = FieldWithholder(
            denies=self._find_denial,
            denies_seal=self._find_denial_of_seal,
            refuse=self._refuse,
            record=self._record,
            key=(activity.name, self._function, activity.purpose, activity.channel, self._permissions),
            classes=engine.classes,
            met=self._met,
            stream=self.wrap_iterator,
            row_contexts=place.row_contexts,
            used=self._count_use if engine.counting and not activity.observing else None,
            records_each_row=activity.observing or engine.observers.want_each,
            ask_ahead=engine.prefetch_preferences,
            observing=activity.observing,
        )
        try:
            return withholder.apply(value, shape, place.path)
        except PurposeGuardError as error:
            refusal = error
        if self.report_if_observed(refusal):
            return value
        # Error reporters may show the local variables of a traceback's frames, which must not contain the value.
        value = None
        raise refusal.with_traceback(None)

    @property
    def _function(self) -> str | None:
        return self._access.name if self._access is not None else None

    def _find_denial(self, label: Label, row_contexts: tuple[RowContext, ...], path: str) -> Decision | None:
        field = path.removeprefix("[].") or None
        decision = self._handle.decide_and_report(
            label, row_contexts, self._permissions, used=True, access=self._access, field=field
        )
        if not self._handle.activity.observing:
            return decision
        if decision is not None:
            self._refuse(decision, None)  # It is only reported, and the value is returned.
        else:
            self._count_use(label, row_contexts, 1)
        return None

    def _find_denial_of_seal(self, label: Label, row_contexts: tuple[RowContext, ...], path: str) -> Decision | None:
        # Nothing is opened, so nothing is counted, and nothing is recorded in observe mode.
        if self._handle.activity.observing:
            return None
        field = path.removeprefix("[].")
        return self._handle.decide_and_report(
            label, row_contexts, self._permissions, used=False, access=self._access, field=field
        )

    def _count_use(self, label: Label, row_contexts: tuple[RowContext, ...], times: int) -> None:
        self._handle.count_use(label, row_contexts, self._permissions, times)

    def _refuse(self, decision: Decision, field: str | None) -> None:
        self._handle.engine.refuse(decision, self._handle, self._access, field)

    def _record(self, decisions: Mapping[str, Decision]) -> WithheldRecord:
        # The record outlives the use, so it does not refer to this object.
        engine, activity = self._handle.engine, self._handle.activity

        def report(violation: PurposeViolation) -> None:
            engine.report_violation(violation, activity)

        return WithheldRecord(decisions, activity.name, self._function, report)


class _RowFiltering(_Filtering):
    """A filter that refuses or drops the rows that may not be used."""

    def __init__(self, handle: ActivityHandle, authorize: Authorize, access: Access) -> None:
        """Filter rows for a use.

        Args:
            handle: The activity of the use.
            authorize: A function that returns the use for each step of an iterator.
            access: The access function that returned the value.
        """
        super().__init__(handle, authorize)
        self._access = access
        self._permissions = handle.get_permissions()

    def with_handle(self, handle: ActivityHandle) -> Self:
        """Return the same filter for another use."""
        return type(self)(handle, self._authorize, self._access)

    def filter(self, value: Any, shape: Shape, place: _PartPlace, *, is_item: bool) -> Any:
        """Return the value without the rows that may not be used. LEFT_OUT if it is such a row itself."""
        engine, access = self._handle.engine, self._access
        observing = self._handle.activity.observing
        reports_each_row = self._handle.records_each_row or engine.observers.want_each
        row_filter = RowFilter(
            self._find_denial,
            self._refuse,
            leave_out=access.narrow and not observing,
            named=access.named,
            stream=self.wrap_iterator,
            named_only=access.withhold and not access.narrow,
            denials=None if reports_each_row else self._find_denials_by_subject,
            ask_ahead=engine.prefetch_preferences,
            observing=observing,
        )
        apply = row_filter.apply_to_item if is_item else row_filter.apply
        try:
            return apply(value, shape, place.path, place.row_contexts)
        except PurposeGuardError as error:
            refusal = error
        if self.report_if_observed(refusal):
            return value
        value = None  # Keep the value out of the traceback.
        raise refusal.with_traceback(None)

    def _find_denial(self, label: Label, row_contexts: tuple[RowContext, ...], is_new: bool) -> Decision | None:
        """Return the denial that refuses a row, or None after recording the row. `is_new`: was not decided before."""
        decision = self._handle.decide_and_report(
            label, row_contexts, self._permissions, used=True, access=self._access
        )
        if decision is None:
            self._handle.record_row(label, row_contexts)
            return None
        return decision if self._refuses_row(decision, is_new) else None

    def _refuses_row(self, decision: Decision, is_new: bool) -> bool:
        # Fields that will be withheld are no reason to refuse the row.
        return (is_new and not self._access.withhold) or self._handle.refuses_row(decision)

    def _refuse(self, decision: Decision, field: str | None) -> None:
        self._handle.engine.refuse(decision, self._handle, self._access, field)

    def _find_denials_by_subject(self, subjects: list[str], questions: list[tuple[Label, bool]]) -> dict[int, Decision]:
        """Find the denials that refuse the rows of these subjects. Subjects with the same preferences share them.

        Args:
            subjects: The subjects of the rows.
            questions: The labels in a row, each with True if it has not been decided before.

        Returns:
            Position of a subject → the first denial that refuses its row, in the order of the positions.
        """
        preferences = self._handle.engine.get_preferences_of_each(subjects)
        preference_ids = list(map(id, preferences))
        denials: dict[int, Decision] = {}
        for preference_id, subject_preferences in dict(zip(preference_ids, preferences, strict=True)).items():
            denial = self._find_first_denial(Context(subject_preferences), questions)
            if denial is not None:
                denials[preference_id] = denial
        if not denials:
            return {}
        positions = itertools.compress(range(len(subjects)), map(denials.__contains__, preference_ids))
        return {position: denials[preference_ids[position]] for position in positions}

    def _find_first_denial(self, context: Context, questions: list[tuple[Label, bool]]) -> Decision | None:
        """Return the first denial in this context that refuses a row, or None."""
        permissions = self._permissions
        for label, is_new in questions:
            if permissions.is_known_allowed(label, context):
                continue
            verdict = permissions.decide(label, context)
            decision = None if verdict.allowed else Decision(verdict)
            if decision is not None and self._refuses_row(decision, is_new):
                return decision
        return None
