"""Narrowing: rows that may not be used, by their marked fields, are refused or left out of their containers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from typing_extensions import override

from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import NOTHING_KNOWN
from purposeguard.values.annotations import is_namedtuple
from purposeguard.values.plan import (
    ValuePlan,
    collect_labels_outside_rows,
    find_undeclared_entries,
    make_plan,
    resolve_stream_label,
)
from purposeguard.values.rows import read_row_contexts, read_subjects
from purposeguard.values.streams import LEFT_OUT
from purposeguard.values.type_schema import Shape
from purposeguard.values.undeclared import FAILED
from purposeguard.values.walk import REFUSED, RowContexts, ValueWalk
from purposeguard.values.withheld import get_pinned_values
from purposeguard.values.withholding import Stream, class_with_pinned
from purposeguard.values.withholding_class import extra_state, fill

Denials = Callable[[list[str], list[tuple[Label, bool]]], Mapping[int, Decision]]
"""A function that returns the denied ones of these subjects: position in the list → first denial of these labels."""


class RowFilter(ValueWalk):
    """A walk that decides about each row in a value, and leaves out or refuses those that may not be used.

    The filtered values of computed fields are pinned: stored in the copy, since computing them anew would return the
    rows that were left out.

    Args:
        decide: Returns the decision if a label may not be used with these row contexts, and None if it may. Its last
            argument is True if the label was not announced, so that it was not asked for before.
        refuse: Raises the decision, or lets it pass if denials are only observed.
        leave_out: Whether a denied row in a container is left out instead of refused.
        named: Sources that everything in the value is said to come from.
        stream: Wraps an iterator of this shape, at this path, in a row with these contexts. The wrapper looks at each
            row when it comes.
        named_only: Whether only `named` is asked for, since the fields are withheld by other means.
        denials: Decides for many subjects at once. None if each decision must be reported.
        ask_ahead: Is called with the subjects of many rows before the rows are looked at.
        observing: Whether denials are only recorded, so that nothing is left behind.
    """

    def __init__(
        self,
        decide: Callable[[Label, RowContexts, bool], Decision | None],
        refuse: Callable[[Decision, str | None], None],
        *,
        leave_out: bool,
        named: Label | None,
        stream: Stream,
        named_only: bool = False,
        denials: Denials | None = None,
        ask_ahead: Callable[[list[str]], object] | None = None,
        observing: bool = False,
    ) -> None:
        super().__init__(ask_ahead)
        self._decide = decide
        self._refuse = refuse
        self._leave_out = leave_out
        self._named = () if named is None else (named,)
        self._named_only = named_only
        self._stream = stream
        self._denials = denials
        self._observing = observing
        self._holds_itself = False
        self._why: Decision

    def apply(self, value: Any, shape: Shape, path: str = "", around: RowContexts = ()) -> Any:
        """Filter the rows in a value.

        Args:
            value: The value.
            shape: The shape that was announced.
            path: The name of the value in messages.
            around: The contexts of the row that the value is in.

        Returns:
            `value` itself, or a copy with fewer rows.

        Raises:
            PurposeViolation: a row may not be used, and is in nothing that it could be left out of.
            UnlabelledData: marked fields cannot be read, or it cannot be seen what rows there are.
        """
        filtered = self.apply_to_item(value, shape, path, around)
        if filtered is LEFT_OUT:
            self._refuse(self._why, None)  # This raises, since observed denials leave nothing out.
        return filtered

    def apply_to_item(self, value: Any, shape: Shape, path: str = "", around: RowContexts = ()) -> Any:
        """Filter one item of a generator. Return LEFT_OUT if the row must be dropped."""
        # The item comes after the decision about the row that it is in, so its data is checked again.
        if around and value is not None and self._should_drop(None, collect_labels_outside_rows(shape), around, path):
            return LEFT_OUT
        return self.visit(value, shape, path, around)

    def visit_leaf(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Check the label of a value of an unannounced kind, and wrap a lazily read value."""
        whole = plan.whole
        if plan.later:
            try:
                whole = resolve_stream_label(plan.cls, plan.shape, path)
            except UnlabelledData:
                if inspect.iscoroutine(value):
                    value.close()
                raise
        if whole is not None and self._should_drop(whole, (), around, path):
            return LEFT_OUT
        return self._stream(value, plan.shape, path, around) if plan.later else value

    def handle_cycle(self, value: Any, plan: ValuePlan, path: str) -> None:
        """Refuse a cycle of marked rows. Accept any other, as long as nothing is left out of it."""
        if plan.is_marked and not self._in_state:
            super().handle_cycle(value, plan, path)
        self._holds_itself = True

    def visit_container(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Check the label of a container of an unannounced kind, and filter the rows in it."""
        if plan.whole is not None and self._should_drop(plan.whole, (), around, path):
            return LEFT_OUT
        return super().visit_container(value, plan, path, around)

    def visit_row(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Filter a row and the rows nested in it.

        Returns:
            LEFT_OUT if the row must be dropped, the row itself if nothing in it was, or a copy.
        """
        read: dict[str, Any] = {}
        row_contexts = read_row_contexts(row, plan, read, around)
        # The announced labels of a row without marks were checked with the row around it.
        if (row_contexts or plan.unchecked_label) and self._should_drop(
            plan.unchecked_label, plan.labels_outside_rows, row_contexts or around, path
        ):
            return LEFT_OUT
        if plan.are_plain((row,)) and not plan.computed:
            return row
        # A row without marks belongs to the subjects of the row around it.
        around = row_contexts or around
        changed: dict[str, Any] = {}
        for name, shape, value in plan.iter_values(row, read):
            filtered = self.visit(value, shape, f"{path}.{name}" if path else name, around)
            if filtered is not value:
                # A field is no container that a row could be left out of, so it becomes None.
                changed[name] = None if filtered is LEFT_OUT else filtered
        for _, value in find_undeclared_entries(row, plan.fields or {}):
            if self.visit(value, plan.items, path, around) is not value:
                raise UnlabelledData(f"`{path or plan.cls.__qualname__}` holds rows in keys that it does not declare")
        # Data beside the fields may have been made from dropped rows, so it is left behind with them.
        is_kept = self._may_keep_state(row, plan, path, around)
        pinned = self._filter_computed_fields(row, plan, path, around) if plan.computed else {}
        if is_kept and not changed and not pinned:
            return row
        self.before_change()
        return _replace_values(row, plan, read, changed, pinned)

    def _filter_computed_fields(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> dict[str, Any]:
        """Filter the values of the computed fields that return marked rows.

        Returns:
            Field → filtered value, or FAILED if it cannot be computed, so that it cannot be read from the copy either.
            Empty if nothing was filtered out.
        """
        values: dict[str, Any] = {}
        is_changed = False
        for name, member in plan.computed.items():
            if member.is_decided_by_label:
                continue
            filtered = value = self.compute(row, name)
            if value is REFUSED:
                continue
            if value is not FAILED:
                filtered = self.visit_computed(value, member.shape, f"{path}.{name}" if path else name, around)
            elif not member.is_marked:
                continue
            is_changed = is_changed or filtered is not value or value is FAILED
            values[name] = None if filtered is LEFT_OUT else filtered
        return values if is_changed and not self._observing else {}

    def _may_keep_state(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> bool:
        """Return True if all that a row holds outside of its fields may stay there.

        Data there that cannot be understood is left behind with the rest, unless denials are only observed.
        """
        try:
            return self.leaves_state(row, plan, path, around) or self._observing
        except UnlabelledData:
            return self._observing

    @override
    def visit_rows(self, items: list[Any], shape: Shape, path: str, around: RowContexts) -> list[Any] | None:
        """Filter many plain rows with at most one mark at once, by asking for all their subjects together.

        Return None if the rows must be looked at one by one.
        """
        classes = set(map(type, items))
        if around or len(classes) != 1:
            return None
        plan = make_plan(classes.pop(), shape, path)
        if plan.whole is not None or plan.refusal or plan.computed or not plan.are_plain(items):
            return None
        if not plan.is_marked and plan.unchecked_label is None:
            return items  # The announced labels were checked before.
        if self._denials is None or len(plan.marks) != 1:
            return None
        subjects = read_subjects(items, plan)
        if subjects is None:
            return None
        labels = self._labels_to_check(plan.unchecked_label, plan.labels_outside_rows)
        denials = self._denials(subjects, [(label, label is plan.unchecked_label) for label in labels])
        remaining: list[Any] = []
        start = 0
        for position, denial in denials.items():
            if self._drops_for(denial, path):
                remaining += items[start:position]
                start = position + 1
        return remaining + items[start:] if start else items

    def before_change(self) -> None:
        """Refuse to change data that contains a cycle, which would lead back to the unchanged data."""
        if self._holds_itself:
            raise UnlabelledData("rows that may not be used are in data that runs in a circle: they cannot be left out")

    def _should_drop(
        self, unasked: Label | None, labels: tuple[Label, ...], row_contexts: RowContexts, path: str
    ) -> bool:
        """Return True if a row with these labels and contexts must be left out. Refuse it if it cannot be left out."""
        for label in self._labels_to_check(unasked, labels):
            decision = self._decide(label, row_contexts or (NOTHING_KNOWN,), label is unasked)
            if decision is not None and self._drops_for(decision, path):
                return True
        return False

    def _labels_to_check(self, unasked: Label | None, labels: tuple[Label, ...]) -> Iterable[Label]:
        """Return the labels that must be checked for a row."""
        candidates = self._named if self._named_only else (unasked, *labels, *self._named)
        return (label for label in candidates if label is not None)

    def _drops_for(self, decision: Decision, path: str) -> bool:
        """Return True if a row must be left out because of this denial. Refuse it if it cannot be left out."""
        if self._leave_out:
            self._why = decision
            return True
        self._refuse(decision, path.removesuffix("[]") or None)
        return False


def _replace_values(
    row: Any, plan: ValuePlan, read: Mapping[str, Any], changed: Mapping[str, Any], computed: Mapping[str, Any]
) -> Any:
    """Copy a row with changed fields and filtered computed fields.

    The data that the row keeps beside its fields is left behind: it may have been made from dropped rows.
    """
    if computed:
        values = {name: value for name, value in computed.items() if value is not FAILED}
        return fill(class_with_pinned(row, plan, frozenset(computed)), {**read, **changed}, extra_state(row), values)
    if is_namedtuple(type(row)):
        return row._replace(**changed)
    return fill(type(row), {**read, **changed}, extra_state(row), get_pinned_values(row))
