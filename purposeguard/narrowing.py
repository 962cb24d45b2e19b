"""Narrowing: rows that may not be used for what their marked fields say, refused, or left out of what holds them."""

from __future__ import annotations

import collections
import copy
import enum
import inspect
import io
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

from purposeguard import copies
from purposeguard.about import NOTHING_KNOWN, About
from purposeguard.annotations import PLAIN, is_namedtuple
from purposeguard.decision import Decision
from purposeguard.errors import UnlabelledData
from purposeguard.label import Label
from purposeguard.rows import MISSING, abouts_of, read_field
from purposeguard.sealing import Sealed
from purposeguard.shapes import Model, Shape
from purposeguard.streams import LEFT_OUT, iterates
from purposeguard.withheld import record_of
from purposeguard.withholding import Stream, fields_known


class Plan(NamedTuple):
    """What is looked at in the rows of a class.

    `names` are its fields, `labels` those of what is in no row of its own, and in `inside` there are such rows.
    """

    names: tuple[str, ...]
    labels: tuple[Label, ...]
    inside: tuple[tuple[str, Shape], ...]


Plans = MutableMapping[tuple[type, tuple[Model, ...]], Plan | None]
"""By the class of a value and what its annotation says that it is; None for what is no row."""

_MOST_PLANS: Final = 1000


class Narrower:
    """Looks at each row in a value.

    `decide` gives the decision where a label may not be used of somebody or from then, and None where it may; `refuse`
    raises it, or lets it pass where it is only observed. With `leave_out` a row in a container is left out instead.
    `named` are sources that everything in the value is said to come from, and with `named_only` all that is asked for:
    what the fields say is withheld. `plans` remembers what is looked at. `stream` gives what stands before an iterator
    of this shape, at this path, in a row about these, and looks at each row when it comes.
    """

    def __init__(
        self,
        decide: Callable[[Label, tuple[About, ...]], Decision | None],
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
        self._why: Decision

    def apply(self, value: Any, shape: Shape, path: str = "", around: tuple[About, ...] = ()) -> Any:
        """`value`, or what is left of it. `around` are those that the row is about that it is in, at this path.

        Raises:
            PurposeViolation: a row may not be used, and is in nothing that it could be left out of.
            UnlabelledData: marked fields cannot be read, or it cannot be seen what rows there are.
        """
        left = self._inside(value, shape, path, around)
        if left is LEFT_OUT:
            self._refuse(self._why, None)  # raises: where denials are only observed nothing is left out
        return left

    def item(self, value: Any, shape: Shape, path: str = "", around: tuple[About, ...] = ()) -> Any:
        """The same of what a generator yields: LEFT_OUT where it is a row that is left out."""
        return self._inside(value, shape, path, around)

    def _inside(self, value: Any, shape: Shape, path: str, around: tuple[About, ...]) -> Any:
        if type(value) in PLAIN or isinstance(value, (str, bytes, bytearray, enum.Enum, io.IOBase)):
            return self._in_the_place_of_a_row(value, shape, path, around)
        if isinstance(value, Sealed):
            return value
        if id(value) in self._under_way:
            raise UnlabelledData(f"`{path}` holds itself: its rows cannot be looked at one by one")
        self._under_way.add(id(value))
        try:
            plan = self._plan(value, shape)
            if plan is not None:
                return self._from_row(value, shape, plan, path, around)
            return self._from_container(value, shape, path, around)
        finally:
            self._under_way.discard(id(value))

    def _plan(self, value: Any, shape: Shape) -> Plan | None:
        key = (type(value), shape.models)
        try:
            return self._plans[key]
        except KeyError:
            pass
        fields = fields_known(value, shape.models)
        plan: Plan | None = None
        if fields is not None:
            # Apart: that what may be sealed could not be opened says nothing of what is plain.
            outside = [part for field in fields.values() for part in field.outside_rows()]
            parts = [sources for part in outside for sources in (part.tags, part.seal)]
            labels = tuple(dict.fromkeys(Label(*sources) for sources in parts if sources))
            inside = tuple((name, field) for name, field in fields.items() if field.is_marked)
            plan = Plan(tuple(fields), labels, inside)
        if len(self._plans) < _MOST_PLANS:
            self._plans[key] = plan
        return plan

    def _in_the_place_of_a_row(self, value: Any, shape: Shape, path: str, around: tuple[About, ...]) -> Any:
        """What can hold no row; where its annotation says that it is one, it may be all that the row would be."""
        if value is not None and shape.models and Shape(models=shape.models).is_marked:
            label = shape.label_of_all()
            labels = () if label is None or self._named_only else (label,)
            return self._judged((*labels, *self._named), around or (NOTHING_KNOWN,), value, path)
        return value

    def _judged(self, labels: Iterable[Label], abouts: tuple[About, ...], value: Any, path: str) -> Any:
        """The value where these may be used; else it is left out or refused."""
        for label in labels:
            decision = self._decide(label, abouts)
            if decision is not None:
                if self._leave_out:
                    self._why = decision
                    return LEFT_OUT
                self._refuse(decision, path.removesuffix("[]") or None)
        return value

    def _from_row(self, value: Any, shape: Shape, plan: Plan, path: str, around: tuple[About, ...]) -> Any:
        # A row without marks is about those whom the row around it is about.
        abouts = abouts_of(value, shape.models, around) or around
        if not abouts and _is_to_say_whose(value, shape):
            abouts = (NOTHING_KNOWN,)
        labels = self._named if self._named_only else (*plan.labels, *self._named)
        if abouts and self._judged(labels, abouts, value, path) is LEFT_OUT:
            return LEFT_OUT
        changed: dict[str, Any] = {}
        for name, inner in plan.inside:
            had = MISSING if name in _gone(value) else read_field(value, name)
            if had is MISSING:
                continue
            left = self._inside(had, inner, f"{path}.{name}" if path else name, abouts)
            if left is not had:
                changed[name] = None if left is LEFT_OUT else left
        return _with(value, plan.names, changed) if changed else value

    def _from_container(self, value: Any, shape: Shape, path: str, around: tuple[About, ...]) -> Any:
        items = shape.items or Shape()  # where the annotation says nothing of the items, they are what they are
        later = iterates(type(value))
        contained = later or (isinstance(value, Collection) and not isinstance(value, memoryview))
        announced = contained and (shape.items is not None or shape.keys is not None)
        if not announced and shape.is_marked:
            _refuse_to_guess(value, path)
        if later:
            return self._stream(value, shape, path, around)
        if isinstance(value, Mapping):
            return self._from_mapping(value, shape, path, around)
        if not contained:
            return value
        left = [self._inside(one, items, f"{path}[]", around) for one in value]
        if all(new is old for new, old in zip(left, value, strict=True)):
            return value
        return _refilled(value, [one for one in left if one is not LEFT_OUT])

    def _from_mapping(self, value: Mapping[Any, Any], shape: Shape, path: str, around: tuple[About, ...]) -> Any:
        kept: dict[Any, Any] = {}
        for key, one in value.items():
            looked_at = self._inside(key, shape.keys or Shape(), path, around)
            left = self._inside(one, shape.items or Shape(), f"{path}[]", around)
            if left is LEFT_OUT or looked_at is LEFT_OUT:
                continue
            if looked_at is not key:
                raise UnlabelledData(f"`{path}` has keys with rows in them, of which some cannot be left out")
            kept[key] = left
        if len(kept) == len(value) and all(kept[key] is one for key, one in value.items()):
            return value
        return _refilled(value, kept)


def _is_to_say_whose(value: Any, shape: Shape) -> bool:
    """Whether a row stands where one was announced that says whose it is, and is none that was announced without."""
    marked = [bool(model.marks()) for model in shape.models]
    return any(marked) and not any(
        not says and (isinstance(value, dict) if model.is_mapping else isinstance(value, model.cls))
        for model, says in zip(shape.models, marked, strict=True)
    )


def _refuse_to_guess(value: Any, path: str) -> None:
    """Raises UnlabelledData: there may be rows in a value that cannot be seen."""
    kind = type(value).__qualname__
    where = f"`{path}`" if path else "what was returned"
    if inspect.iscoroutine(value):
        value.close()
    raise UnlabelledData(
        f"{where} is a {kind}, and not what its annotation says, or nothing in which rows can be looked at one by one: "
        "give a list, or an iterator, or make the function itself `async`"
    )


def _with(value: Any, names: Iterable[str], changed: Mapping[str, Any]) -> Any:
    """A row with other values in some of its fields.

    What it keeps beside its fields is left behind: it may have been made from what is left out.
    """
    if is_namedtuple(type(value)):
        return value._replace(**changed)
    held = {name: read_field(value, name) for name in names if name not in _gone(value)}
    held = {name: one for name, one in held.items() if one is not MISSING} | dict(changed)
    return copies.fill(type(value), held, copies.beside(value))


def _gone(value: Any) -> Collection[str]:
    """The fields that a copy lacks, which are not to be read."""
    return record_of(value).decisions if "__purposeguard_withheld__" in vars(type(value)) else ()


def _refilled(value: Any, left: Any) -> Any:
    """A container of the same kind with what is left.

    Raises:
        UnlabelledData: it is of a kind that cannot be made anew.
    """
    if isinstance(value, dict):
        rows = copy.copy(value)
        rows.clear()
        rows.update(left)
        return rows
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(left)
    if isinstance(value, (list, collections.deque)):
        items = copy.copy(value)
        items.clear()
        items.extend(left)
        return items
    kind = type(value).__qualname__
    raise UnlabelledData(f"a {kind} holds rows that may not be used, and cannot be made without them: give a list")
