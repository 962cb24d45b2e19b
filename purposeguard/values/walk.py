"""Walks through values by plans: the base class, the search for tags in sealed data, and the scan of arguments.

A shape (`values.type_schema`) is what an annotation states about a value: its tags, its models and its contents. A
plan (`values.plan`) says how to read the values of one class where one shape was announced.
"""

from __future__ import annotations

import abc
import collections
import copy
import inspect
import operator
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from types import MemberDescriptorType
from typing import Any, Final, NamedTuple

from pydantic import BaseModel
from typing_extensions import override

from purposeguard.errors import PurposeGuardError, SealedValue, UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.violations import PurposeViolation
from purposeguard.values.annotations import PLAIN, WITHOUT_FIELDS
from purposeguard.values.markers import Collected, Ended, Mark, SubjectMark
from purposeguard.values.plan import (
    LEAVES,
    ValuePlan,
    find_undeclared_entries,
    format_value_name,
    get_stored_entries,
    make_plan,
    objects_in_array,
    replace_entries,
)
from purposeguard.values.rows import LONG_AGO, day_sort_key, qualify_subject, read_row_contexts, read_subjects
from purposeguard.values.sealed import Sealed, make_failure
from purposeguard.values.streams import LEFT_OUT
from purposeguard.values.type_schema import SILENT, Shape, refuse_unread
from purposeguard.values.undeclared import FAILED, compute

RowContexts = tuple[RowContext, ...]


class ValueWalk(abc.ABC):
    """A walk through a value and everything in it. Subclasses define what happens to each part.

    Each step returns the value itself, a copy with less in it, or LEFT_OUT. `path` says where the value is; `around`
    holds the contexts of the row that it is in. Before many rows are looked at, `ask_ahead` is called with all their
    subjects, so that they can be decided together.
    """

    def __init__(self, ask_ahead: Callable[[list[str]], object] | None = None) -> None:
        self._under_way: set[int] = set()
        self._searched: dict[int, _Searched] = {}
        self._search_depth = 0
        self._ask_ahead = ask_ahead
        self._in_state = 0
        self._computing = 0

    def visit(self, value: Any, shape: Shape, path: str, around: RowContexts) -> Any:
        """Visit a value where this shape was announced, and return what is left of it.

        Raises:
            UnlabelledData: as `make_plan`; or no walk can look through values of its class.
        """
        cls = type(value)
        if cls in PLAIN and not shape.says_what:
            return value
        if shape.literals and _is_literal(value, shape):
            return value
        plan = shape.plans.get(cls) or make_plan(cls, shape, path)
        if plan.refusal is not None:
            raise UnlabelledData(f"{format_value_name(path, cls)}{plan.refusal}")
        if plan.fields is None and not plan.contains:
            if plan.state is not None:
                self.search(value, plan, path, around)
            return self.visit_leaf(value, plan, path, around)
        number = id(value)
        if number in self._under_way:
            self.handle_cycle(value, plan, path)
            return value
        _refuse_endless(cls, path, len(self._under_way))
        self._under_way.add(number)
        try:
            if plan.fields is not None:
                return self.visit_row(value, plan, path, around)
            result = self.visit_container(value, plan, path, around)
            if plan.state is not None and not self.leaves_state(value, plan, path, around):
                raise UnlabelledData(
                    f"{format_value_name(path, cls)} that holds rows in its attributes, beside its items: give a list "
                    "or a dict"
                )
            return result
        finally:
            self._under_way.discard(number)

    @abc.abstractmethod
    def visit_leaf(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Visit a value that is not looked into, such as a seal or a lazy value, and return what is left of it."""

    @abc.abstractmethod
    def visit_row(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Visit an object with fields, and return what is left of it."""

    def handle_cycle(self, value: Any, plan: ValuePlan, path: str) -> None:  # noqa: ARG002  # Walks that make copies use all parameters.
        """Refuse a value that contains itself."""
        raise UnlabelledData(
            f"{format_value_name(path, plan.cls)} that holds itself: what runs in a circle is not looked through"
        )

    def search(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> None:
        """Search the attributes of an object that is no row, once in a walk.

        Raises:
            UnlabelledData: something would have to be left out, and the object cannot be copied.
        """
        parts = () if plan.state is None else plan.state.values(value)
        depth = self._search_depth
        earlier = self._searched.get(id(value))
        if not parts or depth >= MAX_SEARCH_DEPTH or (earlier is not None and earlier.depth <= depth):
            return
        self._searched[id(value)] = _Searched(value, depth)
        self._search_depth += 1
        self._in_state += 1
        is_left = False
        try:
            is_left = all(self._is_left(part, plan.silent, path, around) for part in parts)
        finally:
            self._in_state -= 1
            self._search_depth -= 1
            if not is_left:  # Refuse the object again if it is met again.
                del self._searched[id(value)]
        if not is_left:
            raise UnlabelledData(
                f"{format_value_name(path, plan.cls)} that holds rows in its attributes, where nothing can be left "
                "out: give the rows themselves"
            )

    def _is_left(self, part: Any, shape: Shape, path: str, around: RowContexts) -> bool:
        plan = make_plan(type(part), shape, path)
        # Iterating or awaiting the object runs its own code, like calling its methods.
        return plan.is_opaque or plan.refusal is not None or self.visit(part, shape, path, around) is part

    def leaves_state(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> bool:
        """Return True if everything that a row or container holds outside of its fields or items may stay there."""
        parts = () if plan.state is None else plan.state.values(value)
        if not parts:
            return True
        self._in_state += 1
        try:
            # Nothing was announced about the state, so each part is described by its own class.
            return all(self.visit(part, plan.silent, path, around) is part for part in parts)
        finally:
            self._in_state -= 1

    def compute(self, row: Any, name: str) -> Any:
        """Compute a field. Return FAILED if that is not possible here, REFUSED if its code read a withheld field."""
        if self._computing >= MAX_COMPUTED_DEPTH:
            return FAILED
        try:
            return compute(row, name)
        except PurposeViolation:
            return REFUSED

    def visit_computed(self, value: Any, shape: Shape, path: str, around: RowContexts) -> Any:
        """Visit the value of a computed field, which may lead back to the row, and return what is left of it."""
        self._computing += 1
        self._in_state += 1
        try:
            return self.visit(value, shape, path, around)
        finally:
            self._in_state -= 1
            self._computing -= 1

    def visit_container(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Visit the items of a container. Return the container itself if nothing in it was changed, else a copy."""
        if isinstance(value, Mapping):
            return self._visit_mapping(value, plan, path, around)
        items = list(value) if not plan.is_array else self._objects_in(value, plan, path)
        if not (plan.items.says_what or plan.items.marks) and LEAVES(map(type, items)):
            return value
        inside, shape, where = self.visit, plan.items, f"{path}[]"
        remaining = self.visit_rows(items, shape, where, around)
        if remaining is items:
            return value
        if remaining is None:
            if self._ask_ahead is not None:
                self._ask_ahead(_read_row_subjects(items, shape, where))
            results = [inside(item, shape, where, around) for item in items]
            if all(map(operator.is_, results, items)):
                return value
            remaining = [item for item in results if item is not LEFT_OUT]
        self.before_change()
        return rebuild_container(value, remaining, path)

    def _objects_in(self, value: Any, plan: ValuePlan, path: str) -> list[Any]:
        """Return the objects in an array. Numbers are not looked at.

        Raises:
            UnlabelledData: rows were announced, and the array holds numbers.
        """
        objects = objects_in_array(value, path)
        if not objects and plan.are_rows_announced:
            raise UnlabelledData(
                f"{format_value_name(path, plan.cls)} without objects, and rows were announced: give a list"
            )
        return objects

    def _visit_mapping(self, value: Mapping[Any, Any], plan: ValuePlan, path: str, around: RowContexts) -> Any:
        entries = list(get_stored_entries(value))
        keys, items = plan.keys, plan.items
        is_plain = not (items.says_what or items.marks) and LEAVES(type(item) for _, item in entries)
        remaining: dict[Any, Any] = {}
        changed = False
        for key, item in entries:
            new_key = self.visit(key, keys, f"{path}[key]", around)
            new_item = item if is_plain else self.visit(item, items, f"{path}[]", around)
            if new_key is LEFT_OUT or new_item is LEFT_OUT:
                changed = True
            elif new_key is not key:
                raise UnlabelledData(f"`{path or type(value).__qualname__}` has keys in which nothing can be left out")
            else:
                remaining[key] = new_item
                changed = changed or new_item is not item
        if not changed:
            return value
        self.before_change()
        return rebuild_container(value, remaining, path)

    def visit_rows(self, items: list[Any], shape: Shape, path: str, around: RowContexts) -> list[Any] | None:  # noqa: ARG002  # Walks with a quicker way use them.
        """Visit many rows of one class at once, and return what is left of them.

        Returns:
            `items` itself if nothing was changed. None if there is no quicker way than one by one.
        """
        return None

    def before_change(self) -> None:  # noqa: B027  # Most walks have nothing to do.
        """Run before a container or row is replaced by a copy."""


_MOST_NESTED: Final = 200
"""The greatest depth of nested values. A container that makes new containers as its items has no end."""


def _refuse_endless(cls: type, path: str, depth: int) -> None:
    """Raise UnlabelledData if a value lies in too many other values."""
    if depth >= _MOST_NESTED:
        raise UnlabelledData(
            f"{format_value_name(path, cls)} that lies in {_MOST_NESTED} others: what has no end is refused"
        )


class _Searched(NamedTuple):
    """An object whose attributes were searched, and the depth of the search at which it was met."""

    value: Any  # The reference keeps the identity from being reused.
    depth: int


MAX_SEARCH_DEPTH: Final = 4
"""The greatest depth to which objects without fields are searched: a client in a row leads to very many."""

REFUSED: Final = object()
"""A placeholder for the value of a computed field whose own code is refused, so that no caller can read it."""

MAX_COMPUTED_DEPTH: Final = 3
"""The greatest number of computed fields that are followed: one may return a row of the same class."""


def _is_literal(value: Any, shape: Shape) -> bool:
    """Return True if a value equals one that was announced in a `Literal`."""
    return any(type(value) is kind and value == literal for kind, literal in shape.literals)


def _read_row_subjects(items: list[Any], shape: Shape, path: str) -> list[str]:
    """Return the subjects of these rows if they are of one class and can be read quickly; else an empty list."""
    classes = set(map(type, items))
    plan = make_plan(classes.pop(), shape, path) if len(classes) == 1 else None
    return [] if plan is None or plan.refusal is not None else read_subjects(items, plan) or []


def can_rebuild(value: Any) -> bool:
    """Return True if a container is of a kind that can be copied with other items."""
    return type(value) in (tuple, set, frozenset) or isinstance(value, (dict, list, collections.deque))


def rebuild_container(value: Any, contents: Any, path: str) -> Any:
    """Make a container of the same kind with the items that are left.

    Raises:
        UnlabelledData: it is of a kind that cannot be made anew, or a set whose items have no hash any more.
    """
    cls = type(value)
    if not can_rebuild(value):
        raise UnlabelledData(f"{format_value_name(path, cls)}, in which nothing can be left out: give a list or a dict")
    if isinstance(value, dict):
        return replace_entries(value, contents)
    if cls is not list and isinstance(value, (list, collections.deque)):
        other = copy.copy(value)
        other.clear()
        other.extend(contents)
        return other
    try:
        return cls(contents)
    except TypeError:
        name = cls.__name__
    finally:
        del value, contents
    raise UnlabelledData(f"a {name} of what has no hash without what is withheld: give a list")


_CONTAINERS: Final = (Sequence, AbstractSet, ValuesView)


def add_contained_tags(value: Any, label: Label) -> Label:
    """Join a label with the tags of all models, dataclasses and the like in a value, also inside containers.

    Raises:
        SealedValue: there is an iterator or a coroutine in it, whose contents cannot be seen without using them up; or
            a container's own code failed.
        UnlabelledData: the class of an object in it has tags that are not read.
    """
    labels = {label}
    seen: dict[int, Any] = {}  # The references keep identities from being reused.
    pending = [(value, 0)]
    del value
    try:
        while pending:
            if id(pending[-1][0]) in seen:
                pending.pop()
                continue
            seen[id(pending[-1][0])] = pending[-1][0]
            tags = _inspect_value(*pending.pop(), pending)
            if tags is not None:
                labels.add(tags)
    finally:
        pending.clear()  # Keep the values out of the frame if a class cannot be read.
        seen.clear()
    return Label.join(*labels)


def _inspect_value(value: Any, depth: int, pending: list[tuple[Any, int]]) -> Label | None:
    """Return the label of the tags in a value's class; None if it has none.

    Args:
        value: The value.
        depth: The number of containers around it that are not of a built-in kind.
        pending: Gets the parts of the value that may be tagged.

    Raises:
        SealedValue: as `add_contained_tags`.
        UnlabelledData: likewise.
    """
    cls = type(value)
    parts: list[Any] = []
    try:
        plan = make_plan(cls, SILENT)
        _require_present(value, plan)
        if plan.later:
            refuse_unread(cls)
        parts = _list_parts(value, plan)
        if plan.fields is not None:
            depth = 0
        elif plan.contains and not can_rebuild(value):
            depth += 1
        _refuse_endless(cls, "", depth)
        pending += [(part, depth) for part in parts if type(part) not in PLAIN]
    except PurposeGuardError:
        raise
    except Exception as error:  # noqa: BLE001  # The error of a container's code may show the value.
        hidden = make_failure(f"looking for tags in a {cls.__qualname__}", error)
    else:
        labels = [member.label for member in plan.computed.values()] if plan.computed else []
        own_labels = [label for label in (plan.own_label, *labels) if label is not None]
        return Label.join(*own_labels) if own_labels else None
    finally:
        del value, parts
    raise hidden


def _list_parts(value: Any, plan: ValuePlan) -> list[Any]:
    """Return all parts of a value. No code of its class runs, except that of containers."""
    names = plan.own_names
    parts: list[Any] = []
    try:
        if isinstance(value, Mapping):
            parts += (part for entry in get_stored_entries(value) for part in entry)
        elif plan.contains and plan.is_array:
            parts += objects_in_array(value, "")
        elif isinstance(value, _CONTAINERS) and not isinstance(value, WITHOUT_FIELDS):
            parts += value
        if isinstance(value, BaseModel):
            parts += value.__dict__.values()
            parts += (value.__pydantic_extra__ or {}).values()
            parts += (value.__pydantic_private__ or {}).values()
        elif names:
            attributes: dict[str, Any] = getattr(value, "__dict__", {})
            parts += attributes.values()
            parts += (_read_slot(value, name) for name in names if name not in attributes)
        if plan.state is not None and (plan.contains or names):
            parts += plan.state.values(value)
        return parts
    finally:
        del value


def _require_present(value: Any, plan: ValuePlan) -> None:
    """Raise SealedValue if a value is yet to be computed: an iterator, a coroutine or a future."""
    name = plan.cls.__name__
    if isinstance(value, (Iterator, AsyncIterator)) and not plan.own_names:
        raise SealedValue(
            f"a {name} is used up when it is looked at, and what is in it cannot be seen before: seal a list or a "
            "tuple of it"
        )
    if inspect.iscoroutine(value) or hasattr(plan.cls, "_asyncio_future_blocking"):  # like `asyncio.isfuture`
        raise SealedValue(f"a {name} is no value yet: seal what it gives when it is awaited")


def _read_slot(value: object, name: str) -> Any:
    """Read the slot of a field without running code of its class. None if it was never set."""
    slot = inspect.getattr_static(type(value), name, None)
    try:
        return slot.__get__(value) if isinstance(slot, MemberDescriptorType) else None
    except AttributeError:  # The slot was never set.
        return None


class ArgumentScan(ValueWalk):
    """A walk through the arguments of a call that collects their labels and row contexts.

    Rows name their subjects by their marked fields, parameters by marks of their own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.labels: set[Label] = set()
        self._rows: dict[RowContext, None] = {}
        self._rows_around = 0
        self._subjects: list[tuple[SubjectMark, Any]] = []
        self._days: dict[Mark, list[Any]] = {Collected: [], Ended: []}

    @property
    def row_contexts(self) -> RowContexts:
        """The contexts of all rows and marked parameters, each once.

        Raises:
            UnlabelledData: the argument for a marked parameter is no id, or no day.
        """
        collected, ended = self._days[Collected], self._days[Ended]
        if not (self._subjects or collected or ended):
            return tuple(self._rows)
        try:
            subjects = [qualify_subject(mark, subject_id) for mark, subject_id in self._subjects]
            days = {
                "collected": min(collected, default=None, key=day_sort_key),
                "ended": min(ended, default=None, key=day_sort_key),
            }
            own = [RowContext(subject, **days) for subject in subjects or (None,)]
        except (TypeError, ValueError) as error:
            raise UnlabelledData(f"a marked parameter was given what cannot be read: {error}") from None
        return tuple({**self._rows, **dict.fromkeys(own)})

    def scan_argument(self, value: Any, shape: Shape, path: str) -> None:
        """Scan one argument.

        Args:
            value: The argument.
            shape: The shape of the parameter's annotation.
            path: The name of the argument in messages.

        Raises:
            UnlabelledData: its contents cannot be seen, as those of an iterator, or are not as they were announced.
        """
        self.visit(value, shape, path, ())

    def visit(self, value: Any, shape: Shape, path: str, around: RowContexts) -> Any:
        """Record the value of a marked parameter; visit any other value. Marks in rows are read with the row."""
        if shape.marks and not self._rows_around:
            self._record_mark(value, shape.marks)
            return value
        return super().visit(value, shape, path, around)

    @override
    def visit_leaf(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Add the label of a seal, or of all that was announced."""
        self._add_labels(plan, path)
        if isinstance(value, Sealed):
            self.labels.add(value.label)
        return value

    def visit_container(self, value: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Add the labels of the items of a container."""
        self._add_labels(plan, path)
        return super().visit_container(value, plan, path, around)

    def visit_row(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> Any:
        """Add the labels of the fields of a row, and its contexts."""
        self._add_labels(plan, path)
        read: dict[str, Any] = {}
        row_contexts = read_row_contexts(row, plan, read, around)
        self._rows.update(dict.fromkeys(row_contexts))
        # This row supplies the subject and days that nested rows do not state.
        around = row_contexts or around
        self._rows_around += 1
        try:
            for name, shape, value in plan.iter_values(row, read):
                if name in plan.labels:
                    self.labels.add(plan.labels[name])
                self.visit(value, shape, f"{path}.{name}", around)
            for _, value in find_undeclared_entries(row, plan.fields or {}):
                self.visit(value, plan.items, path, around)
            self.leaves_state(row, plan, path, around)
            self._look_at_computed(row, plan, path, around)
        finally:
            self._rows_around -= 1
        return row

    @override
    def handle_cycle(self, value: Any, plan: ValuePlan, path: str) -> None:
        """Accept an attribute that leads back to a value under way, which is scanned already. Refuse other cycles."""
        if not self._in_state:
            super().handle_cycle(value, plan, path)

    def _look_at_computed(self, row: Any, plan: ValuePlan, path: str, around: RowContexts) -> None:
        """Add the labels of computed fields, and those of the data in their values.

        Raises:
            UnlabelledData: a field may return rows with marks, and cannot be computed now.
        """
        for name, member in plan.computed.items():
            if member.label is not None:
                self.labels.add(member.label)
            if member.is_decided_by_label:
                continue
            value = self.compute(row, name)
            if value is FAILED and member.is_marked:
                raise UnlabelledData(
                    f"`{path}.{name}` may hold rows that say whose they are, and cannot be computed: give a class "
                    "without it"
                )
            if value is not FAILED and value is not REFUSED:
                self.visit_computed(value, member.shape, f"{path}.{name}", around)

    def _add_labels(self, plan: ValuePlan, path: str) -> None:
        if plan.is_opaque:
            kind = plan.cls.__name__
            raise UnlabelledData(f"`{path}` is a {kind}, and what it gives cannot be seen before: give a list")
        if plan.whole is not None:
            self.labels.add(plan.whole)

    def _record_mark(self, value: Any, marks: Collection[Mark]) -> None:
        """Record the value of a marked parameter, or the items of that value."""
        if isinstance(value, (list, tuple, set, frozenset)):
            for item in value:
                self._record_mark(item, marks)
            return
        for mark in marks:
            if isinstance(mark, SubjectMark):
                self._subjects += [] if value is None else [(mark, value)]
            elif value is not None:
                self._days[mark].append(value)
            elif mark is Collected:
                self._days[mark].append(LONG_AGO)  # The day is required but unknown.
