"""Withholding: copies of values without the fields that a use may not open.

Withholding walks a value along the shape of its annotation. A value that the annotation does not describe may be
anything that the annotation allows, so it is refused if any of that is denied. `withholding_class` makes the classes of
copies. Other data of the object (cached properties, private attributes, extra keys) is left behind too, since it may
have been made from withheld fields. The object itself is returned only if nothing that can be read from it, stored or
computed, must be left out.

`FieldWithholder` explains the terms of its code, such as *undecided* and *pinned*.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from typing_extensions import override

from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision
from purposeguard.policy.violations import PurposeViolation
from purposeguard.values.annotations import is_taggable
from purposeguard.values.columns import ColumnarRows, to_columnar_rows
from purposeguard.values.copying import Copies, compile_row_copier
from purposeguard.values.plan import ValuePlan, find_undeclared_entries, format_value_name, make_plan
from purposeguard.values.rows import read_row_contexts
from purposeguard.values.sealed import Sealed
from purposeguard.values.type_schema import Shape
from purposeguard.values.undeclared import FAILED, Computed, compute
from purposeguard.values.walk import MAX_COMPUTED_DEPTH, REFUSED, RowContexts, ValueWalk, can_rebuild
from purposeguard.values.withheld import (
    ClassCache,
    WithheldRecord,
    get_pinned_values,
    is_copy,
    list_declared_fields,
    original_class,
    withheld_record,
)
from purposeguard.values.withholding_class import extra_state, fill, get_filler, make_withholding_class

Stream = Callable[[Any, Shape, str, RowContexts], Any]


Denies = Callable[[Label, RowContexts, str], Decision | None]
"""A function that returns the denial of a label, for these row contexts and the field at a path; None if allowed."""


NOT_PINNED: Final = object()
"""A result instead of a denial: the computed field is computed anew when it is read, and its own code decides."""


class FieldWithholder(ValueWalk):
    """A walk that withholds the fields that a use may not open.

    Terms in the code of this class:

    - *Undecided*: a computed field or property whose value must be looked at, since its label alone does not decide:
      the label is missing or denied, the value may hold marked rows, or it is a computed field of pydantic.
    - *Pinned*: an undecided field whose permitted value is stored in the copy. It is computed once, from the visible
      fields, and not again when it is read.
    - *Met*: each model that is part of the result, itself or as a copy.
    - *Held below*: a value that an attribute of its own content leads back to. It cannot be replaced by a copy, since
      that attribute would still lead to the original.
    - *Asking ahead*: reading the preferences of the subjects of many rows together, before the rows are looked at.

    Args:
        denies: Returns the decision if a label may not be used with these row contexts, and None if it may.
        denies_seal: Decides likewise about a sealed value, without opening it.
        refuse: Raises the decision, or lets it pass if denials are only observed.
        record: Makes the record for the copies from which these fields are withheld.
        key: Tells uses apart that decide or report differently.
        classes: The cache of the classes of copies.
        met: A list to which all models in the result are added, themselves or as copies.
        stream: Wraps an iterator or a coroutine of this shape, at this path, with these contexts. The wrapper checks
            each step.
        row_contexts: The contexts of all data in the value that states no other.
        used: Is called with each label that is allowed, and the number of rows.
        records_each_row: True if each row is asked about anew, because its denials or decisions are recorded.
        ask_ahead: Is called with the subjects of many rows before the rows are looked at.
        observing: True if denials are only recorded, so that data outside of the fields of a row stays there even if it
            cannot be understood.
    """

    def __init__(  # noqa: PLR0913  # The functions of a use, and the options.
        self,
        *,
        denies: Denies,
        denies_seal: Denies,
        refuse: Callable[[Decision, str | None], None],
        record: Callable[[Mapping[str, Decision]], WithheldRecord],
        key: tuple[object, ...],
        classes: ClassCache,
        met: list[Any],
        stream: Stream,
        row_contexts: RowContexts = (),
        used: Callable[[Label, RowContexts, int], None] | None = None,
        records_each_row: bool = False,
        ask_ahead: Callable[[list[str]], object] | None = None,
        observing: bool = False,
    ) -> None:
        super().__init__(ask_ahead)
        self._denies = denies
        self._denies_seal = denies_seal
        self._refuse = refuse
        self._record = record
        self._key = key
        self._classes = classes
        self._met = met
        self._stream = stream
        self._row_contexts = row_contexts
        self._used = used
        self._records_each_row = records_each_row
        self._denials: dict[tuple[ValuePlan, RowContexts], dict[str, Decision]] = {}
        self._copies: dict[tuple[ValuePlan, RowContexts, frozenset[str]], type] = {}
        self._computed: dict[tuple[ValuePlan, RowContexts], Mapping[str, Computed]] = {}
        self._observing = observing
        self._changing: set[int] = set()
        self._held_below: dict[int, Any] = {}

    def apply(self, value: Any, shape: Shape, path: str = "") -> Any:
        """Return `value` itself, or a copy without the data that may not be used.

        Raises:
            PurposeViolation: the value itself may not be used, or is not what its annotation says and may hold
                what may not be used.
            UnlabelledData: the value is of a class that nothing can be withheld from.
        """
        if value is None:
            return value
        self._require_allowed(shape.own_label, path, self._row_contexts)
        try:
            return self.visit(value, shape, path, self._row_contexts)
        except _SealDenied as denied:  # A seal that is in no field is refused with the whole value.
            decision = denied.decision
        self._refuse(decision, path or None)
        return value  # pragma: no cover  # A use that only observes denies no seal.

    def visit_leaf(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Check whether a seal may be opened, and the label of a value of an unannounced kind."""
        if plan.later:
            return self._stream(value, plan.shape, path, around)
        self._require_allowed(plan.whole, path, around)
        if isinstance(value, Sealed):
            decision = self._denies_seal(value.label, around, path)
            if decision is not None:
                raise _SealDenied(decision)
        return value

    def visit_container(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Withhold from each item. Refuse a container that cannot be rebuilt if any data that it may hold is denied."""
        self._require_allowed(plan.whole if can_rebuild(value) else plan.shape.label_of_all(), path, around)
        result = super().visit_container(value, plan, path, around)
        if result is not value:
            self._must_not_be_held_below(value, plan, path)
        return result

    def visit_row(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Return the row itself, or a copy without the fields that may not be used."""
        read: dict[str, Any] = {}
        # A row without marks belongs to the subjects of the row around it.
        if plan.marks:
            around = read_row_contexts(row, plan, read, around) or around
        self._require_allowed(plan.whole, path, around)
        denied = self._find_denied_fields(plan, around, 1, path)
        is_plain = plan.are_plain((row,))
        if is_plain and not denied and not plan.computed:
            self._met.append(row)
            return row
        sealed: dict[str, Decision] = {}
        visible: dict[str, Any] = {}
        changed = bool(denied)
        if changed:
            self._changing.add(id(row))
        for name, shape, value in plan.iter_values(row, read, denied):
            try:
                visible[name] = (
                    value if is_plain else self.visit(value, shape, f"{path}.{name}" if path else name, around)
                )
            except _SealDenied as refused:
                sealed[name] = refused.decision
            else:
                changed = changed or visible[name] is not value
        changed = changed or bool(sealed or find_undeclared_entries(row, plan.fields or {}))
        changed = changed or not (is_plain or self._may_keep_state(row, plan, path, around))
        if changed or (plan.computed and not self._may_keep_computed(row, plan, path, around)):
            self._must_not_be_held_below(row, plan, path)
            row = self._copy(row, plan, path, around, visible=visible, denied=denied, sealed=sealed)
        self._met.append(row)
        return row

    @override
    def handle_cycle(self, value: Any, plan: ValuePlan, path: str) -> None:
        """Accept an attribute that leads back to a value under way, as long as nothing is left out of that value."""
        if not self._in_state or id(value) in self._changing:
            super().handle_cycle(value, plan, path)
        self._held_below[id(value)] = value

    def _must_not_be_held_below(self, value: Any, plan: ValuePlan, path: str) -> None:
        """Raise UnlabelledData if a value is to be replaced by a copy, although an attribute below leads back to it."""
        if id(value) in self._held_below:
            raise UnlabelledData(
                f"{format_value_name(path, plan.cls)} that an attribute of what is in it leads back to: nothing can be "
                "left out"
            )

    def _may_keep_state(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> bool:
        """Return True if nothing outside of the fields of a row must be left out.

        Data there that cannot be understood is left behind with the rest, unless denials are only observed.
        """
        try:
            return self.leaves_state(row, plan, path, around) or self._observing
        except (_SealDenied, UnlabelledData, PurposeViolation):
            return self._observing

    def _may_keep_computed(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> bool:
        """Return True if nothing must be left out of the values of the computed fields of a row."""
        for name, member in self._find_undecided_fields(plan, around, path).items():
            where = f"{path}.{name}" if path else name
            value = self.compute(row, name)
            if value is REFUSED:
                continue
            if value is FAILED:
                if self._denial_of(member, around, where) is not None or member.may_give_anything:
                    return self._observing
                continue
            try:
                filtered = self.visit_computed(value, member.shape, where, around)
            except (_SealDenied, UnlabelledData, PurposeViolation):
                return self._observing
            if filtered is not value and not self._observing:
                return False
        return True

    def _find_undecided_fields(self, plan: ValuePlan, around: RowContexts, path: str) -> Mapping[str, Computed]:
        """Return the computed fields that are not decided by their labels alone."""
        undecided = self._computed.get((plan, around))
        if undecided is None:
            undecided = {}
            for name, member in plan.computed.items():
                where = f"{path}.{name}" if path else name
                if not member.is_decided_by_label or self._denial_of(member, around, where) is not None:
                    undecided[name] = member
            if not (self._records_each_row or plan.marks):
                self._computed[plan, around] = undecided
        return undecided

    def _denial_of(self, member: Computed, around: RowContexts, path: str) -> Decision | None:
        """Return the decision that denies what a computed field may return; None if it is allowed or has no label."""
        return None if member.label is None else self._denies(member.label, around, path)

    def _copy(
        self,
        row: Any,
        plan: ValuePlan,
        path: str,
        around: RowContexts,
        *,
        visible: Mapping[str, Any],
        denied: Mapping[str, Decision],
        sealed: Mapping[str, Decision],
    ) -> Any:
        """Copy a row with its visible fields, and with the parts of its computed fields that may be used.

        Args:
            row: The row.
            plan: The plan of its class.
            path: The path of the row.
            around: The contexts of the row.
            visible: The values of the fields that the copy has, by name.
            denied: The fields whose labels may not be used, each with the denial. Computed fields may be among them.
            sealed: The fields that hold a sealed value that may not be opened, each with the denial.
        """
        candidates = self._find_undecided_fields(plan, around, path) if plan.computed else {}
        undecided = {name: member for name, member in candidates.items() if name not in denied}
        cls = self._get_copy_class(row, plan, around, denied, sealed, frozenset(undecided))
        copied = fill(cls, visible, extra_state(row))
        if not undecided:
            return copied
        # The first pass computes the undecided fields on a copy whose class has them all pinned. If some cannot be
        # pinned, a second copy is made with the class for those that were.
        denied_computed: dict[str, Decision] = {}
        unpinned: set[str] = set()
        for name, member in undecided.items():
            where = f"{path}.{name}" if path else name
            outcome = self._pin(copied, (name, member), self._make_computer(copied, row, plan, name), where, around)
            if isinstance(outcome, Decision):
                denied_computed[name] = outcome
            elif outcome is NOT_PINNED:
                unpinned.add(name)
        if not (denied_computed or unpinned):
            return copied
        pinned = frozenset(undecided.keys() - denied_computed.keys() - unpinned)
        cls = self._get_copy_class(row, plan, around, denied, {**sealed, **denied_computed}, pinned)
        return fill(cls, visible, extra_state(row), get_pinned_values(copied))

    def _pin(
        self, copied: Any, computed: tuple[str, Computed], compute: Callable[[], Any], path: str, around: RowContexts
    ) -> object:
        """Store in a copy the part of a computed field that may be used.

        Returns:
            The decision that denies it; NOT_PINNED if the field's own code decides; else None.
        """
        name, member = computed
        denial: Decision | None = None
        try:
            value = compute()
            if value is REFUSED:
                return NOT_PINNED
            if value is not FAILED:
                copied.__dict__[name] = self.visit_computed(value, member.shape, path, around)
                return None
        except _SealDenied as denied:
            denial = denied.decision
        except PurposeViolation as violation:
            denial = violation.decision
        except UnlabelledData:
            pass  # A value that cannot be understood is not stored.
        copied.__dict__.pop(name, None)  # A cached property may have stored it.
        if denial is None:
            denial = self._denial_of(member, around, path)
        return denial if denial is not None or member.may_give_anything else NOT_PINNED

    def _make_computer(self, copied: Any, row: Any, plan: ValuePlan, name: str) -> Callable[[], Any]:
        """Return a function that computes a field from the visible fields of a copy.

        It raises PurposeViolation if a withheld field is needed.
        """
        if is_copy(plan.cls):  # The field of a copy was decided before.
            return lambda: self.compute(row, name)
        if self._computing >= MAX_COMPUTED_DEPTH:
            return lambda: FAILED
        return lambda: compute(copied, name, plan.cls)

    @override
    def visit_rows(self, items: list[Any], shape: Shape, path: str, around: RowContexts) -> list[Any] | None:
        """Withhold from many rows of one class at once. Return None if they must be looked at one by one."""
        if self._records_each_row:
            return None
        rows = to_columnar_rows(items, shape, path, frozenset(self._under_way))
        return None if rows is None else self._withhold_from_rows(rows, path, around)

    def _withhold_from_rows(self, rows: ColumnarRows, path: str, around: RowContexts) -> list[Any]:
        items, plan = rows.items, rows.plan
        denied = self._find_denied_fields(plan, around, len(items), path)
        changed: dict[str, list[Any]] = {}
        for name, column in rows.columns.items():
            inner = column.rows
            if inner is not None and name not in denied:
                inner_copies = self._withhold_from_rows(
                    inner, f"{path}.{name}[]" if column.lists else f"{path}.{name}", around
                )
                if inner_copies is not inner.items:
                    changed[name] = column.replace_rows(inner_copies)
        if denied or changed:
            cls = self._get_copy_class(items[0], plan, around, denied, {})
            names = tuple(name for name in plan.fields or {} if name not in denied)
            items = _copy_rows(rows, cls, names, changed)
        self._met += items
        return items

    def _find_denied_fields(self, plan: ValuePlan, around: RowContexts, rows: int, path: str) -> Mapping[str, Decision]:
        """Return field → the decision that denies it. The allowed fields are counted as used by so many rows."""
        denied = self._denials.get((plan, around))
        if denied is None:
            denied = {}
            for name, label in plan.labels.items():
                decision = self._denies(label, around, f"{path}.{name}" if path else name)
                if decision is not None:
                    denied[name] = decision
            if not (self._records_each_row or plan.marks):
                self._denials[plan, around] = denied
        if self._used is not None:
            for name, label in plan.labels.items():
                if name not in denied:
                    self._used(label, around, rows)
        return denied

    def _get_copy_class(  # noqa: PLR0917  # The parameters are the key of a class and the row.
        self,
        row: Any,
        plan: ValuePlan,
        around: RowContexts,
        denied: Mapping[str, Decision],
        sealed: Mapping[str, Decision],
        pinned: frozenset[str] = frozenset(),
    ) -> type:
        """Return the class of the row's copy, without the denied fields and the seals that may not be opened."""
        cls = self._copies.get((plan, around, pinned)) if not sealed else None
        if cls is None:
            withheld = {**plan.gone, **denied, **sealed}
            base, names = _base_and_fields(row, plan)
            why = frozenset((name, decision.label, decision.context) for name, decision in withheld.items())
            key = (base, names, why, pinned, *self._key)
            cls = self._classes.get(key, lambda: make_withholding_class(base, names, self._record(withheld), pinned))
            if not (sealed or plan.marks):
                self._copies[plan, around, pinned] = cls
        return cls

    def _require_allowed(self, label: Label | None, path: str, around: RowContexts) -> None:
        """Refuse a value that may hold all that this label covers, if the label may not be used."""
        if label is None:
            return
        decision = self._denies(label, around, path)
        if decision is not None:
            self._refuse(decision, path or None)
        elif self._used is not None:
            self._used(label, around, 1)


_PINNING: Final = "__purposeguard_pinning__"
"""The attribute in which a class keeps the classes of copies from which nothing was withheld."""


def _base_and_fields(row: Any, plan: ValuePlan) -> tuple[type, tuple[str, ...]]:
    """Return the class of a row, or of the row that was copied, and its declared fields."""
    return (
        (original_class(row), list_declared_fields(row)) if is_copy(plan.cls) else (plan.cls, tuple(plan.fields or {}))
    )


def class_with_pinned(row: Any, plan: ValuePlan, names: frozenset[str]) -> type:
    """Return a subclass of the class of a row whose objects keep the values of these computed fields."""
    classes: dict[frozenset[str], type] | None = vars(plan.cls).get(_PINNING)
    if classes is None:
        classes = {}
        type.__setattr__(plan.cls, _PINNING, classes)
    if names not in classes:
        base, fields = _base_and_fields(row, plan)
        record = withheld_record(row) if is_copy(plan.cls) else WithheldRecord({}, None, None, None)
        classes[names] = make_withholding_class(base, fields, record, names)
    return classes[names]


_COPIES: Final = "__purposeguard_copies__"
"""The attribute in which the class of copies keeps the functions that copy many rows."""


def _copy_rows(rows: ColumnarRows, cls: type, names: tuple[str, ...], changed: Mapping[str, list[Any]]) -> list[Any]:
    """Copy rows as instances of `cls` with these fields. `changed` holds new values for some of them."""
    copiers: dict[object, Copies | None] | None = vars(cls).get(_COPIES)
    if copiers is None:
        copiers = {}
        type.__setattr__(cls, _COPIES, copiers)
    which = tuple(changed)
    if which not in copiers:
        copiers[which] = compile_row_copier(rows.plan.cls, cls, rows.reader, names, which)
    copies = copiers[which]
    if copies is not None:
        try:
            return copies(rows.items, *changed.values())
        except (AttributeError, KeyError):
            pass  # A field of some row was never set.
    filled, copied = get_filler(cls), []
    for number, row in enumerate(rows.items):
        row_values = rows.reader.held(row)
        values = {name: row_values[name] for name in names if name in row_values}
        values |= {name: column[number] for name, column in changed.items()}
        copied.append(filled(values, extra_state(row)))
    return copied


class _SealDenied(Exception):
    """A sealed value that may not be opened was met, so the field that holds it must be withheld."""

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.decision = decision


def describes_itself(value: Any, silent: Shape, seen: frozenset[int] = frozenset()) -> bool:
    """Return True if the value consists of objects whose own classes have tags, also inside containers.

    `silent` is the shape with which the guard plans values about which nothing was announced.
    """
    if is_taggable(type(value)):
        return make_plan(type(value), silent).has_tags
    if id(value) in seen or value is None or isinstance(value, Sealed):
        return True
    items: Collection[Any] | None = None
    if isinstance(value, (list, tuple, set, frozenset, collections.deque)):
        classes = set(map(type, value))
        if classes and all(map(is_taggable, classes)):
            return all(make_plan(cls, silent).has_tags for cls in classes)
        items = value
    elif isinstance(value, dict):
        items = dict.values(value)
    # An empty container holds no data that would need tags.
    return items is not None and all(describes_itself(item, silent, seen | {id(value)}) for item in items)
