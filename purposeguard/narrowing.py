"""Narrowing: rows that may not be used for what their marked fields say, refused, or left out of what holds them."""

from __future__ import annotations

import collections
import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from purposeguard.about import About
from purposeguard.decision import Decision
from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.fields import PLAIN, Shape, is_namedtuple
from purposeguard.label import Label
from purposeguard.rows import abouts_of
from purposeguard.sealing import Sealed
from purposeguard.withholding import fields_known

LEFT_OUT: Final = object()
"""In place of a row that is left out."""


class Narrower:
    """Looks at each row in a value.

    `decide` gives the decision where a label may not be used of somebody or from then, and None where it may; `refuse`
    raises it, or lets it pass where it is only observed. With `leave_out` a row in a container is left out instead.
    """

    def __init__(
        self,
        decide: Callable[[Label, tuple[About, ...]], Decision | None],
        refuse: Callable[[Decision, str | None], None],
        *,
        leave_out: bool,
    ) -> None:
        self._decide = decide
        self._refuse = refuse
        self._leave_out = leave_out
        self._under_way: set[int] = set()

    def apply(self, value: Any, shape: Shape) -> Any:
        """`value`, or what is left of it.

        Raises:
            PurposeViolation: a row may not be used, and is in nothing that it could be left out of.
            UnlabelledData: marked fields cannot be read.
        """
        left = self._inside(value, shape, "")
        if left is not LEFT_OUT:
            return left
        decision = self._row(value, shape)
        if decision is not None:
            self._refuse(decision, None)
        return value  # observed only

    def item(self, value: Any, shape: Shape) -> Any:
        """The same of what a generator yields: LEFT_OUT where it is a row that is left out."""
        return self._inside(value, shape, "")

    def _inside(self, value: Any, shape: Shape, path: str) -> Any:
        if type(value) in PLAIN or isinstance(value, Sealed):
            return value
        if id(value) in self._under_way:
            raise UnlabelledData(f"`{path}` holds itself: its rows cannot be looked at one by one")
        self._under_way.add(id(value))
        try:
            fields = fields_known(value, shape.models)
            if fields is not None:
                return self._from_row(value, shape, fields, path)
            items = shape.items or Shape(models=shape.models)
            return self._from_container(value, items, f"{path}[]")
        finally:
            self._under_way.discard(id(value))

    def _row(self, value: Any, shape: Shape) -> Decision | None:
        """Why a row may not be used; None where it may, or has no marks."""
        abouts = abouts_of(value, shape.models)
        if abouts:
            fields = fields_known(value, shape.models) or {}
            for label in dict.fromkeys(one for field in fields.values() for one in field.all_labels().values()):
                decision = self._decide(label, abouts)
                if decision is not None:
                    return decision
        return None

    def _from_row(self, value: Any, shape: Shape, fields: Mapping[str, Shape], path: str) -> Any:
        decision = self._row(value, shape)
        if decision is not None:
            if self._leave_out:
                return LEFT_OUT
            self._refuse(decision, path.removesuffix("[]") or None)
        changed: dict[str, Any] = {}
        for name, inner in fields.items():
            if not inner.is_marked:
                continue
            had = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
            left = self._inside(had, inner, f"{path}.{name}" if path else name)
            if left is LEFT_OUT:
                left = None
            if left is not had:
                changed[name] = left
        return _with(value, changed) if changed else value

    def _from_container(self, value: Any, items: Shape, path: str) -> Any:
        if isinstance(value, Mapping):
            kept = {key: left for key, one in value.items() if (left := self._inside(one, items, path)) is not LEFT_OUT}
            if len(kept) == len(value) and all(kept[key] is one for key, one in value.items()):
                return value
            return _refilled(value, kept)
        if isinstance(value, Iterator):
            return self._each(value, items, path)
        if isinstance(value, (str, bytes, bytearray)) or not isinstance(value, Collection):
            return value
        left = [self._inside(one, items, path) for one in value]
        if all(new is old for new, old in zip(left, value, strict=True)):
            return value
        return _refilled(value, [one for one in left if one is not LEFT_OUT])

    def _each(self, values: Iterator[Any], items: Shape, path: str) -> Iterator[Any]:
        for one in values:
            try:
                left = self._inside(one, items, path)
            except PurposeGuardError as error:
                refusal = error
            else:
                if left is not LEFT_OUT:
                    yield left
                continue
            del one
            raise refusal.with_traceback(None)


def _with(value: Any, changed: Mapping[str, Any]) -> Any:
    """A row with other values in some of its fields."""
    if isinstance(value, dict):
        return {**value, **changed}
    if is_namedtuple(type(value)):
        return value._replace(**changed)
    made = copy.copy(value)
    for name, left in changed.items():
        object.__setattr__(made, name, left)
    return made


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
