"""Narrowing: rows that may not be used for what their marked fields say, refused, or left out of what holds them."""

from __future__ import annotations

import collections
import copy
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import NOTHING_KNOWN, RowContext
from purposeguard.values.annotations import PLAIN, WITHOUT_FIELDS, is_namedtuple
from purposeguard.values.redaction import Stream, beside, fill
from purposeguard.values.rows import (
    MISSING,
    Reading,
    beside_fields,
    entries_of,
    gone_from,
    read_field,
    reading_of,
    refilled,
    said_by,
)
from purposeguard.values.sealed import Sealed
from purposeguard.values.streams import LEFT_OUT, runs_later
from purposeguard.values.type_schema import Shape


class Plan(NamedTuple):
    """What is looked at in values of a class, where `shape` was announced.

    `labels` are, of a row, those of what is in no row of its own; `announced` are those of all that was announced.
    `unasked` is the label of what was not announced, and so not asked for before it was there, or of all that was.
    `marked`: there are rows that say whose they are. `later`: what is in the value is read when it is asked for.
    """

    shape: Shape
    reading: Reading
    labels: tuple[Label, ...]
    announced: tuple[Label, ...]
    unasked: Label | None
    marked: bool
    later: bool

    def finds_nothing_in(self, value: Any) -> bool:
        """Whether a row is quickly seen to hold seals where they were announced, and nothing else that is looked at."""
        fields = self.reading.fields
        if fields is None or self.marked or self.unasked or beside_fields(value, fields):
            return False
        for name, field in fields.items():
            held = read_field(value, name)
            if not (field.sealed and isinstance(held, Sealed) if field.says_what else type(held) in PLAIN):
                return False
        return True


Plans = MutableMapping[tuple[type, int], Plan]
"""By the class of a value and the identity of the shape that was announced, which the plan keeps."""

_MOST_PLANS: Final = 1000


class Narrower:
    """Looks at each row in a value.

    `decide` gives the decision where a label may not be used of somebody or from then, and None where it may; its last
    argument says whether nobody asked for the label before, since it was not announced. `refuse` raises the decision,
    or lets it pass where it is only observed. With `leave_out` a row in a container is left out instead.
    `named` are sources that everything in the value is said to come from, and with `named_only` all that is asked for:
    what the fields say is withheld. `plans` remembers what is looked at. `stream` gives what stands before an iterator
    of this shape, at this path, in a row about these, and looks at each row when it comes.
    """

    def __init__(
        self,
        decide: Callable[[Label, tuple[RowContext, ...], bool], Decision | None],
        refuse: Callable[[Decision, str | None], None],
        *,
        leave_out: bool,
        named: Label | None,
        plans: Plans,
        stream: Stream,
        named_only: bool = False,
    ) -> None:
        self._decide = decide
        self._refuse = refuse
        self._leave_out = leave_out
        self._named = () if named is None else (named,)
        self._named_only = named_only
        self._plans = plans
        self._stream = stream
        self._under_way: set[int] = set()
        self._holds_itself = False
        self._why: Decision

    def apply(self, value: Any, shape: Shape, path: str = "", around: tuple[RowContext, ...] = ()) -> Any:
        """`value`, or what is left of it. `around` are those that the row is about that it is in, at this path.

        Raises:
            PurposeViolation: a row may not be used, and is in nothing that it could be left out of.
            UnlabelledData: marked fields cannot be read, or it cannot be seen what rows there are.
        """
        left = self.item(value, shape, path, around)
        if left is LEFT_OUT:
            self._refuse(self._why, None)  # raises: where denials are only observed nothing is left out
        return left

    def item(self, value: Any, shape: Shape, path: str = "", around: tuple[RowContext, ...] = ()) -> Any:
        """The same of what a generator yields: LEFT_OUT where it is a row that is left out."""
        if around and value is not None:
            # It comes later than the row that it is in, which was looked at then.
            plan = self._plan(value, shape, path)
            if self._leaves_out(None, plan.announced, around, path):
                return LEFT_OUT
        return self._inside(value, shape, path, around)

    def _inside(self, value: Any, shape: Shape, path: str, around: tuple[RowContext, ...]) -> Any:
        if type(value) in PLAIN and not shape.says_what:
            return value
        plan = self._plan(value, shape, path)
        reading = plan.reading
        if reading.fields is None and not reading.contains:
            if plan.unasked and self._leaves_out(plan.unasked, plan.labels, around, path):
                return LEFT_OUT
            return self._stream(value, shape, path, around) if plan.later else value
        if id(value) in self._under_way:
            if plan.marked:
                raise UnlabelledData(f"`{path}` holds itself: its rows cannot be looked at one by one")
            self._holds_itself = True
            return value
        self._under_way.add(id(value))
        try:
            if reading.fields is not None:
                return self._from_row(value, reading.fields, plan, path, around)
            return self._from_container(value, plan, path, around)
        finally:
            self._under_way.discard(id(value))

    def _plan(self, value: Any, shape: Shape, path: str) -> Plan:
        key = (type(value), id(shape))
        try:
            return self._plans[key]
        except KeyError:
            pass
        try:
            reading = reading_of(type(value), shape, path)
        except UnlabelledData:
            if inspect.iscoroutine(value):
                value.close()
            raise
        fields = (reading.fields or {}).values()
        asked = {source for label in shape.labels().values() for source in label.sources}
        plain = {source for field in fields for label in field.labels().values() for source in label.sources} - asked
        plain |= reading.whole.sources if reading.whole is not None else frozenset()
        unasked = Label(*plain) if plain else None
        marked = shape.is_marked or any(model.marks() for model in reading.models)
        later = runs_later(type(value)) and not (reading.fields is not None or isinstance(value, WITHOUT_FIELDS))
        plan = Plan(shape, reading, _labels_outside_rows(*fields), _labels_outside_rows(shape), unasked, marked, later)
        if len(self._plans) < _MOST_PLANS:
            self._plans[key] = plan
        return plan

    def _leaves_out(
        self, unasked: Label | None, labels: tuple[Label, ...], row_contexts: tuple[RowContext, ...], path: str
    ) -> bool:
        """Whether what has these labels, and is about these, is to be left out; where it may not be, it is refused."""
        for label in self._named if self._named_only else (unasked, *labels, *self._named):
            decision = None
            if label is not None:
                decision = self._decide(label, row_contexts or (NOTHING_KNOWN,), label is unasked)
            if decision is not None:
                if self._leave_out:
                    self._why = decision
                    return True
                self._refuse(decision, path.removesuffix("[]") or None)
        return False

    def _from_row(
        self, value: Any, fields: Mapping[str, Shape], plan: Plan, path: str, around: tuple[RowContext, ...]
    ) -> Any:
        # A row without marks is about those whom the row around it is about.
        said = said_by(value, plan.reading.models, around)
        row_contexts = said or around
        # What was announced of a row without marks was judged with the row around it.
        if (said or plan.unasked) and self._leaves_out(plan.unasked, plan.labels, row_contexts, path):
            return LEFT_OUT
        changed: dict[str, Any] = {}
        gone = gone_from(type(value))
        for name, inner in fields.items():
            had = MISSING if name in gone else read_field(value, name)
            if had is MISSING or (type(had) in PLAIN and not inner.says_what):
                continue
            left = self._inside(had, inner, f"{path}.{name}" if path else name, row_contexts)
            if left is not had:
                changed[name] = None if left is LEFT_OUT else left
        self._refuse_undeclared(value, plan.reading, path, row_contexts)
        self._must_not_hold_itself(changed)
        return _with(value, fields, changed) if changed else value

    def _refuse_undeclared(self, value: Any, reading: Reading, path: str, around: tuple[RowContext, ...]) -> None:
        """Refuses a row that holds, beside what it declares, another that would have to be left out."""
        for _, had in beside_fields(value, reading.fields or {}):
            if self._inside(had, reading.items, path, around) is not had:
                raise UnlabelledData(
                    f"`{path or type(value).__qualname__}` holds rows in keys that it does not declare"
                )

    def _must_not_hold_itself(self, changed: Collection[Any]) -> None:
        """Refuses to change what leads back to what was there before."""
        if changed and self._holds_itself:
            raise UnlabelledData("rows that may not be used are in data that runs in a circle: they cannot be left out")

    def _from_container(self, value: Any, plan: Plan, path: str, around: tuple[RowContext, ...]) -> Any:
        reading = plan.reading
        if plan.unasked and self._leaves_out(plan.unasked, plan.labels, around, path):
            return LEFT_OUT
        items = reading.items
        if plan.later:
            return self._stream(value, plan.shape, path, around)
        if isinstance(value, Mapping):
            return self._from_mapping(value, reading, path, around)
        if not items.says_what and PLAIN.issuperset(map(type, value)):
            return value
        left = [self._inside(one, items, f"{path}[]", around) for one in value]
        if all(new is old for new, old in zip(left, value, strict=True)):
            return value
        self._must_not_hold_itself(left)
        return _refilled(value, [one for one in left if one is not LEFT_OUT])

    def _from_mapping(
        self, value: Mapping[Any, Any], reading: Reading, path: str, around: tuple[RowContext, ...]
    ) -> Any:
        kept: dict[Any, Any] = {}
        for key, one in entries_of(value):
            looked_at = self._inside(key, reading.keys, f"{path}[key]", around)
            left = self._inside(one, reading.items, f"{path}[]", around)
            if left is LEFT_OUT or looked_at is LEFT_OUT:
                continue
            if looked_at is not key:
                raise UnlabelledData(f"`{path}` has keys with rows in them, of which some cannot be left out")
            kept[key] = left
        if len(kept) == len(value) and all(kept[key] is one for key, one in entries_of(value)):
            return value
        self._must_not_hold_itself(value)
        return _refilled(value, kept)


def _labels_outside_rows(*shapes: Shape) -> tuple[Label, ...]:
    """The labels of what is in these and in no row of its own.

    Apart: that what may be sealed could not be opened says nothing of what is plain.
    """
    parts = [sources for shape in shapes for part in shape.outside_rows() for sources in (part.tags, part.seal)]
    return tuple(dict.fromkeys(Label(*sources) for sources in parts if sources))


def _with(value: Any, names: Iterable[str], changed: Mapping[str, Any]) -> Any:
    """A row with other values in some of its fields.

    What it keeps beside its fields is left behind: it may have been made from what is left out.
    """
    if is_namedtuple(type(value)):
        return value._replace(**changed)
    gone = gone_from(type(value))
    held = {name: read_field(value, name) for name in names if name not in gone}
    held = {name: one for name, one in held.items() if one is not MISSING} | dict(changed)
    return fill(type(value), held, beside(value))


def _refilled(value: Any, left: Any) -> Any:
    """A container of the same kind with what is left.

    Raises:
        UnlabelledData: it is of a kind that cannot be made anew.
    """
    if isinstance(value, dict):
        return refilled(value, left)
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(left)
    if isinstance(value, (list, collections.deque)):
        items = copy.copy(value)
        items.clear()
        items.extend(left)
        return items
    kind = type(value).__qualname__
    raise UnlabelledData(f"a {kind} holds rows that may not be used, and cannot be made without them: give a list")
