"""Withholding: what of a value a use may not open, and the value without it.

Walks a value along the shape of its annotation. What the annotation does not describe is taken to be all that it could
mean, and refused where any of that is. How a copy without fields is made is in `purposeguard.copies`.
"""

from __future__ import annotations

import collections
import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from purposeguard import copies
from purposeguard.about import About
from purposeguard.annotations import PLAIN, WITHOUT_FIELDS, is_namedtuple, is_taggable
from purposeguard.decision import Decision
from purposeguard.errors import UnlabelledData
from purposeguard.label import Label
from purposeguard.rows import (
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
from purposeguard.sealing import Sealed
from purposeguard.shapes import Model, Shape
from purposeguard.streams import runs_later
from purposeguard.withheld import Withheld, base_of, fields_of

Stream = Callable[[Any, Shape, str, tuple[About, ...]], Any]


class Withholder:
    """Withholds from values what a use may not open.

    `denies` gives the decision where a label may not be used (of those that a row is about) and None where it may,
    `denies_seal` the same of a sealed value, which is not opened by it; `key` tells uses apart that decide or report
    differently. `met` gets all models that are given back, themselves or as copies. `stream` gives what stands before
    an iterator or a coroutine of this shape, at this path, about these, and asks at each step. `abouts` are those that
    all of the value is about that says nothing else.
    """

    def __init__(
        self,
        *,
        denies: Callable[[Label, tuple[About, ...]], Decision | None],
        denies_seal: Callable[[Label, tuple[About, ...]], Decision | None],
        refuse: Callable[[Decision, str | None], None],
        record: Callable[[Mapping[str, Decision]], Withheld],
        key: tuple[object, ...],
        classes: copies.Classes,
        met: list[Any],
        stream: Stream,
        abouts: tuple[About, ...] = (),
    ) -> None:
        self._denies = denies
        self._denies_seal = denies_seal
        self._refuse = refuse
        self._record = record
        self._key = key
        self._classes = classes
        self._met = met
        self._stream = stream
        self._abouts = abouts
        self._under_way: set[int] = set()
        self._readings: dict[tuple[type, int], tuple[Reading, Shape]] = {}

    def apply(self, value: Any, shape: Shape, path: str = "") -> Any:
        """`value`, or a copy without what may not be used in it.

        Raises:
            PurposeViolation: the value itself may not be used, or is not what its annotation says and may hold
                what may not be used.
            UnlabelledData: the value is of a class that nothing can be withheld from.
        """
        if value is None:
            return value
        self._must_be_usable(shape.own_label, path)
        return self._alone(value, shape, path)

    def _alone(self, value: Any, shape: Shape, path: str) -> Any:
        """A value that is no field: what of it is sealed and may not be opened is refused with all of it."""
        try:
            return self._inside(value, shape, path)
        except _SealDenied as denied:
            decision = denied.decision
        self._refuse(decision, path or None)
        return value  # pragma: no cover  # a use that only observes denies no seal, so a denial is raised

    def _inside(self, value: Any, shape: Shape, path: str) -> Any:
        if type(value) in PLAIN and not shape.says_what:
            return value
        if runs_later(type(value)) and not (is_taggable(type(value)) or isinstance(value, WITHOUT_FIELDS)):
            return self._stream(value, shape, path, self._abouts)
        reading = self._reading(type(value), shape, path)
        if reading.fields is None and not reading.contains:
            self._must_be_usable(reading.whole, path)
            if isinstance(value, Sealed):
                decision = self._denies_seal(value.label, self._abouts)
                if decision is not None:
                    raise _SealDenied(decision)
            return value
        if id(value) in self._under_way:
            raise UnlabelledData(f"`{path}` holds itself: nothing can be withheld from data that runs in a circle")
        self._under_way.add(id(value))
        try:
            if reading.fields is None:
                return self._from_container(value, shape, reading, path)
            around = self._abouts
            # A row without marks is about those whom the row around it is about.
            self._abouts = said_by(value, reading.models, around) or around
            try:
                self._must_be_usable(reading.whole, path)
                return self._from_model(value, reading.fields, path)
            finally:
                self._abouts = around
        finally:
            self._under_way.discard(id(value))

    def _reading(self, cls: type, shape: Shape, path: str) -> Reading:
        """What values of this class are, looked up once for all of them; the shape is kept, so its id is its own."""
        known = self._readings.get((cls, id(shape)))
        if known is None:
            known = self._readings[cls, id(shape)] = (reading_of(cls, shape, path), shape)
        return known[0]

    def _from_container(self, value: Any, shape: Shape, reading: Reading, path: str) -> Any:
        self._must_be_usable(reading.whole, path)
        items = reading.items
        if isinstance(value, Mapping):
            self._refuse_keys(value, reading.keys, path)
        if not items.says_what and PLAIN.issuperset(map(type, _values(value))):
            return value
        rebuilt = rebuild(value, lambda item: self._inside(item, items, f"{path}[]"))
        if rebuilt is not MISSING:
            return rebuilt
        # Of a kind that cannot be made anew.
        self._must_be_usable(shape.label_of_all(), path)
        if any(self._inside(item, items, f"{path}[]") is not item for item in _values(value)):
            kind = type(value).__qualname__
            raise UnlabelledData(f"`{path}` is a {kind}, in which nothing can be withheld: give a list or a dict")
        return value

    def _must_be_usable(self, label: Label | None, path: str) -> None:
        """Refuses a value that is all that its annotation could mean, where any of that may not be used."""
        decision = self._denies(label, self._abouts) if label is not None else None
        if decision is not None:
            self._refuse(decision, path or None)

    def _refuse_keys(self, value: Mapping[Any, Any], keys: Shape, path: str) -> None:
        """Refuses a mapping with keys in which something would have to be withheld."""
        if not keys.says_what and PLAIN.issuperset(map(type, value)):
            return
        for key in value:
            if self._inside(key, keys, f"{path}[key]") is not key:
                raise UnlabelledData(f"`{path or type(value).__qualname__}` has keys in which nothing can be withheld")

    def _from_model(self, value: Any, fields: Mapping[str, Shape], path: str) -> Any:
        denied: dict[str, Decision] = {}
        visible: dict[str, Any] = {}
        changed = False
        gone = gone_from(type(value))  # of what is a copy already, the fields that it lacks stay away
        for name, shape in fields.items():
            if name in gone:
                continue
            label = shape.own_label
            decision = self._denies(label, self._abouts) if label is not None else None
            if decision is not None:
                denied[name] = decision
                continue
            had = read_field(value, name)
            if had is MISSING:
                continue
            try:
                visible[name] = self._inside(had, shape, f"{path}.{name}" if path else name)
            except _SealDenied as sealed:
                denied[name] = sealed.decision
            else:
                changed = changed or visible[name] is not had
        if not denied and not changed and not beside_fields(value, fields):
            self._met.append(value)
            return value
        base, names = (base_of(value), fields_of(value)) if gone else (type(value), tuple(fields))
        denied = {**gone, **denied}
        why = frozenset((name, decision.label, decision.circumstances) for name, decision in denied.items())
        key = (base, names, why, *self._key)
        cls = self._classes.get(key, lambda: copies.made(base, names, self._record(denied)))
        made = copies.fill(cls, visible, copies.beside(value))
        self._met.append(made)
        return made


class _SealDenied(Exception):
    """A sealed value was met that may not be opened: the field that holds it is withheld."""

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.decision = decision


def describes_itself(value: Any, seen: frozenset[int] = frozenset()) -> bool:
    """Whether the classes in a value say what it holds: taggable ones with tags, also inside containers."""
    if is_taggable(type(value)):
        return Model(type(value)).shape.has_tags
    if id(value) in seen or value is None or isinstance(value, Sealed):
        return True
    items: Iterable[Any] = ()
    if isinstance(value, (list, tuple, set, frozenset, collections.deque)):
        items = value
    elif isinstance(value, dict):
        items = dict.values(value)
    return bool(items) and all(describes_itself(item, seen | {id(value)}) for item in items)


def rebuild(value: Any, change: Callable[[Any], Any]) -> Any:
    """A container with each item changed, the same object if none was; the marker where it is no known container."""
    if isinstance(value, dict):
        new = {key: change(item) for key, item in entries_of(value)}
        return value if all(new[key] is item for key, item in entries_of(value)) else refilled(value, new)
    if not isinstance(value, (list, tuple, set, frozenset, collections.deque)) or is_namedtuple(type(value)):
        return MISSING
    items = [change(item) for item in value]
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    if type(value) in (list, tuple):
        return type(value)(items)
    if type(value) in (set, frozenset):
        try:
            return type(value)(items)
        except TypeError:
            kind = type(value).__name__
        finally:
            del items, value
        raise UnlabelledData(f"a {kind} of what has no hash without what is withheld: give a list") from None
    if isinstance(value, (list, collections.deque)):
        other = copy.copy(value)
        other.clear()
        other.extend(items)
        return other
    return MISSING


def _values(value: Any) -> Collection[Any]:
    """What is in a container."""
    return [item for _, item in entries_of(value)] if isinstance(value, Mapping) else value
