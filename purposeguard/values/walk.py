"""What lies in a value: tags in what is sealed, and the sources in what is handed over and whom they are about."""

from __future__ import annotations

import datetime
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from functools import partial
from types import MemberDescriptorType
from typing import Any, Final, Unpack, get_origin

import typing_extensions
from pydantic import BaseModel

from purposeguard.errors import PurposeGuardError, SealedValue, UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.policy.row_context import RowContext
from purposeguard.values.annotations import PLAIN, WITHOUT_FIELDS, evaluated, is_taggable, may_state, written
from purposeguard.values.markers import Collected, Ended, Mark, SubjectMark
from purposeguard.values.rows import (
    LONG_AGO,
    MISSING,
    SILENT,
    Reading,
    beside_fields,
    entries_of,
    gives_items_later,
    gone_from,
    read_field,
    reading_of,
    said_by,
    subject_in,
)
from purposeguard.values.sealed import Sealed, failure
from purposeguard.values.type_schema import Model, Shape, refuse_unread, shape_of

_CONTAINERS: Final = (Mapping, Sequence, AbstractSet, ValuesView)


def with_tags_in(value: Any, label: Label) -> Label:
    """The label with what is tagged in a value: models, dataclasses and the like, and those in them or in containers.

    Raises:
        SealedValue: there is an iterator or a coroutine in it, whose contents cannot be seen without using them up; or
            a container's own code failed.
    """
    found = {label}
    seen: dict[int, Any] = {}  # kept, so that no identity is given again: views and own containers make their items
    pending = [value]
    del value
    try:
        while pending:
            if id(pending[-1]) in seen:
                pending.pop()
                continue
            seen[id(pending[-1])] = pending[-1]
            tags = _look_into(pending.pop(), pending)
            if tags is not None:
                found.add(tags)
    finally:
        pending.clear()  # nothing is left of it in the frame, where a class could not be read
        seen.clear()
    return Label.join(*found)


def _look_into(value: Any, pending: list[Any]) -> Label | None:
    """What a value's class is tagged with; `pending` gets what lies in it that may be tagged."""
    kind: Any = type(value)
    items: tuple[Any, ...] = ()
    try:
        tags, names, is_read = _tags_of(kind)
        if not is_read:
            refuse_unread(kind)
        items = tuple(_items(value, names))
        if not PLAIN.issuperset(map(type, items)):
            pending += (item for item in items if type(item) not in PLAIN)
    except PurposeGuardError:
        raise
    except Exception as error:  # noqa: BLE001  # of a container's own code; what it says may show the value
        told = failure(f"looking for tags in a {kind.__qualname__}", error)
    else:
        return tags
    finally:
        del value, items
    raise told


def _items(value: Any, names: Iterable[str]) -> Iterable[Any]:
    try:
        inside: list[Any] = []
        if isinstance(value, Mapping):
            inside += (part for entry in entries_of(value) for part in entry)
        elif isinstance(value, _CONTAINERS) and not isinstance(value, WITHOUT_FIELDS):
            inside += value
        elif not names:
            _must_be_there(value)
        if isinstance(value, BaseModel):
            beside = (value.__pydantic_extra__ or {}, value.__pydantic_private__ or {})
            inside += (*value.__dict__.values(), *(item for more in beside for item in more.values()))
        elif names:
            held: dict[str, Any] = getattr(value, "__dict__", {})
            inside += (*held.values(), *(_in_slot(value, name) for name in names if name not in held))
        return inside
    finally:
        del value


def _must_be_there(value: Any) -> None:
    """Raises SealedValue where a value is yet to come."""
    kind = type(value)
    if isinstance(value, (Iterator, AsyncIterator)):
        raise SealedValue(
            f"a {kind.__name__} is used up when it is looked at, and what is in it cannot be seen before: seal a list "
            "or a tuple of it"
        )
    if inspect.iscoroutine(value) or hasattr(kind, "_asyncio_future_blocking"):  # as `asyncio.isfuture` asks
        raise SealedValue(f"a {kind.__name__} is no value yet: seal what it gives when it is awaited")


def _in_slot(value: object, name: str) -> Any:
    """A field's value, without running any code of its class."""
    slot = inspect.getattr_static(type(value), name, None)
    try:
        return slot.__get__(value) if isinstance(slot, MemberDescriptorType) else None
    except AttributeError:  # never set
        return None


@functools.lru_cache(maxsize=1024)
def _tags_of(kind: Any) -> tuple[Label | None, tuple[str, ...], bool]:
    """What the fields of a class are tagged with, their names, and whether all that it may say is said by them."""
    if not is_taggable(kind):
        return None, (), not may_state(kind)
    model = Model(kind)
    return model.shape.label_of_all(), tuple(model.fields()), True


def parameter_shapes(fn: Callable[..., Any], localns: Mapping[str, Any] | None) -> dict[str, Shape]:
    """What the annotations of a function's parameters say; of one without an annotation, nothing.

    Raises:
        NameError: an annotation names what is not defined (yet).
        UnlabelledData, UnknownSource: as `shape_of`.
    """
    annotations, names, around = written(fn, localns)
    found: dict[str, Shape] = {}
    for name, parameter in inspect.signature(fn).parameters.items():
        annotation = evaluated(annotations.get(name), names, around)
        shape = shape_of(annotation)
        # What is unpacked says what they are together.
        unpacked = get_origin(annotation) in _UNPACK or getattr(annotation, "__unpacked__", False)
        if parameter.kind is parameter.VAR_POSITIONAL and not unpacked:
            shape = Shape(items=shape)
        elif parameter.kind is parameter.VAR_KEYWORD and not unpacked:
            shape = Shape(items=shape, keys=SILENT)
        found[name] = shape
    return found


_UNPACK: Final = (Unpack, typing_extensions.Unpack)


def label_of(shapes: Mapping[str, Shape]) -> Label | None:
    """The label of all that is tagged or sealed in the parameters; None where nothing is."""
    labels = [label for shape in shapes.values() if (label := shape.label_of_all()) is not None]
    return Label.join(*labels) if labels else None


class Handed:
    """Looks through the arguments of a call: `labels` of what is met in them, `row_contexts` for whom and when.

    Rows say whom they are about by their marked fields, parameters by marks of their own.
    """

    def __init__(self) -> None:
        self.labels: set[Label] = set()
        self._rows: dict[RowContext, None] = {}
        self._around: tuple[RowContext, ...] = ()
        self._subjects: list[tuple[SubjectMark, Any]] = []
        self._days: dict[Mark, list[Any]] = {Collected: [], Ended: []}
        self._under_way: set[int] = set()

    @property
    def row_contexts(self) -> tuple[RowContext, ...]:
        """What is known of the data beside its label, each once.

        Raises:
            UnlabelledData: a parameter is marked, and what it was given is no id, or no day.
        """
        collected, ended = self._days[Collected], self._days[Ended]
        if not (self._subjects or collected or ended):
            return tuple(self._rows)
        try:
            subjects = [subject_in(mark, one) for mark, one in self._subjects]
            days = {
                "collected": min(collected, default=None, key=_order),
                "ended": min(ended, default=None, key=_order),
            }
            own = [RowContext(one, **days) for one in subjects or (None,)]
        except (AttributeError, TypeError, ValueError) as error:
            raise UnlabelledData(f"a marked parameter was given what cannot be read: {error}") from None
        return tuple({**self._rows, **dict.fromkeys(own)})

    def look(self, value: Any, shape: Shape, path: str) -> None:
        """Looks at one argument, of the shape that its annotation says; `path` names it in messages.

        Raises:
            UnlabelledData: it cannot be seen what it holds: an iterator, or what is not as it was announced.
        """
        if shape.marks:
            self._note(value, shape.marks)
        else:
            self._look(value, shape, path, parameter=True)

    def _look(self, value: Any, shape: Shape, path: str, *, parameter: bool) -> None:
        """The same of what is in an argument; `parameter`: marks in the shape stand on no field of a row."""
        if type(value) in PLAIN and not shape.says_what:
            return
        iterates = isinstance(value, Iterator) and not isinstance(value, WITHOUT_FIELDS)
        if iterates or gives_items_later(type(value), announced=shape.items is not None):
            raise _unseen(value, path)
        reading = reading_of(type(value), shape, path)
        if reading.whole is not None:
            self.labels.add(reading.whole)
        if isinstance(value, Sealed):
            self.labels.add(value.label)
            return
        if id(value) in self._under_way:
            raise UnlabelledData(f"`{path}` holds itself: what runs in a circle cannot be looked through")
        self._under_way.add(id(value))
        try:
            if reading.fields is not None:
                self._look_into(value, reading.fields, reading, path)
            elif reading.contains:
                self._look_through(value, reading, path, parameter=parameter)
        finally:
            self._under_way.discard(id(value))

    def _look_into(self, row: Any, fields: Mapping[str, Shape], reading: Reading, path: str) -> None:
        around = self._around
        row_contexts = said_by(row, reading.models, around)
        self._rows.update(dict.fromkeys(row_contexts))
        # What a row in it does not say of itself, this one does.
        self._around = row_contexts or around
        try:
            gone = gone_from(type(row))
            for name, inner in fields.items():
                held = MISSING if name in gone else read_field(row, name)
                if held is not MISSING:
                    if inner.own_label is not None:
                        self.labels.add(inner.own_label)
                    # Its marks were read before, with those of the other fields.
                    self._look(held, inner, f"{path}.{name}", parameter=False)
            for _, held in beside_fields(row, fields):
                self._look(held, reading.items, path, parameter=False)
        finally:
            self._around = around

    def _look_through(self, value: Any, reading: Reading, path: str, *, parameter: bool) -> None:
        inside = self.look if parameter else partial(self._look, parameter=False)
        if not isinstance(value, Mapping):
            for one in value:
                inside(one, reading.items, f"{path}[]")
            return
        for key, one in entries_of(value):
            inside(key, reading.keys, f"{path}[key]")
            inside(one, reading.items, f"{path}[]")

    def _note(self, value: Any, marks: Collection[Mark]) -> None:
        """What a marked parameter, or an item of it, was given."""
        if isinstance(value, (list, tuple, set, frozenset)):
            for one in value:
                self._note(one, marks)
            return
        for mark in marks:
            if isinstance(mark, SubjectMark):
                self._subjects += [] if value is None else [(mark, value)]
            elif value is not None:
                self._days[mark].append(value)
            elif mark is Collected:
                self._days[mark].append(LONG_AGO)  # it was to be said, and is not


def _unseen(value: Any, path: str) -> UnlabelledData:
    kind = type(value).__name__
    return UnlabelledData(f"`{path}` is a {kind}, which cannot be seen before it is handed over: give a list")


def _order(day: datetime.date) -> tuple[int, int, int]:
    return day.year, day.month, day.day
