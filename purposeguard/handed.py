"""What is handed over by a call: the sources in its arguments, and whom they are about."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, Final, Unpack, get_origin

import typing_extensions

from purposeguard.about import About
from purposeguard.annotations import PLAIN, WITHOUT_FIELDS, evaluated, written
from purposeguard.errors import UnlabelledData
from purposeguard.label import Label
from purposeguard.marks import Collected, Ended, Mark, SubjectMark
from purposeguard.rows import (
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
from purposeguard.sealing import Sealed
from purposeguard.shapes import Shape, shape_of


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
    """Looks through the arguments of a call: `labels` of what is met in them, `abouts`, whom and when it is about.

    Rows say whom they are about by their marked fields, parameters by marks of their own.
    """

    def __init__(self) -> None:
        self.labels: set[Label] = set()
        self._rows: dict[About, None] = {}
        self._around: tuple[About, ...] = ()
        self._subjects: list[tuple[SubjectMark, Any]] = []
        self._days: dict[Mark, list[Any]] = {Collected: [], Ended: []}
        self._under_way: set[int] = set()

    @property
    def abouts(self) -> tuple[About, ...]:
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
            own = [About(one, **days) for one in subjects or (None,)]
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
        abouts = said_by(row, reading.models, around)
        self._rows.update(dict.fromkeys(abouts))
        # What a row in it does not say of itself, this one does.
        self._around = abouts or around
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
