"""What is handed over by a call: the sources in its arguments, and whom they are about."""

from __future__ import annotations

import datetime
import inspect
import io
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Container, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, Unpack, get_origin

import typing_extensions

from purposeguard.about import About
from purposeguard.annotations import PLAIN, evaluated
from purposeguard.errors import UnlabelledData
from purposeguard.label import Label
from purposeguard.marks import Collected, Ended, Mark, SubjectMark
from purposeguard.rows import LONG_AGO, MISSING, abouts_of, read_field, subject_in
from purposeguard.sealing import Sealed
from purposeguard.shapes import Shape, shape_of
from purposeguard.withheld import record_of
from purposeguard.withholding import fields_known


def parameter_shapes(fn: Callable[..., Any], localns: Mapping[str, Any] | None) -> dict[str, Shape]:
    """What the annotations of a function's parameters say; of one without an annotation, nothing.

    Raises:
        NameError: an annotation names what is not defined (yet).
        UnlabelledData, UnknownSource: as `shape_of`.
    """
    inner: Any = fn
    while isinstance(inner, partial):
        inner = inner.func
    if not hasattr(inner, "__globals__") and not inspect.isroutine(inner):
        inner = type(inner).__call__  # an object that is called as a function
    inner = inspect.unwrap(inner)
    annotations: Mapping[str, Any] = getattr(inner, "__annotations__", {})
    closed = inspect.getclosurevars(inner).nonlocals if inspect.isfunction(inner) else {}
    names, around = getattr(inner, "__globals__", {}), {**closed, **(localns or {})}
    found: dict[str, Shape] = {}
    for name, parameter in inspect.signature(fn).parameters.items():
        annotation = evaluated(annotations.get(name), names, around)
        shape = shape_of(annotation)
        several = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        # What is unpacked says what they are together.
        unpacked = get_origin(annotation) in _UNPACK or getattr(annotation, "__unpacked__", False)
        found[name] = Shape(items=shape) if several and not unpacked else shape
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
            return
        if type(value) in PLAIN or isinstance(value, io.IOBase):
            return
        if isinstance(value, Sealed):
            self.labels.add(value.label)
            return
        if isinstance(value, (Iterator, AsyncIterator)) or inspect.isawaitable(value):
            raise _unseen(value, path)
        if id(value) in self._under_way:
            raise UnlabelledData(f"`{path}` holds itself: what runs in a circle cannot be looked through")
        self._under_way.add(id(value))
        try:
            self._inside(value, shape, path)
        finally:
            self._under_way.discard(id(value))

    def _inside(self, value: Any, shape: Shape, path: str) -> None:
        fields = fields_known(value, shape.models)
        if fields is not None:
            around = self._around
            found = abouts_of(value, shape.models, around)
            self._rows.update(dict.fromkeys(found))
            # What a row in it does not say of itself, this one does.
            self._around = found or around
            try:
                self._look_into(value, fields, path)
            finally:
                self._around = around
            return
        contained = isinstance(value, Collection) and not isinstance(value, (str, bytes, bytearray, memoryview))
        if any(model.marks() for model in shape.models) and not (contained and shape.items is not None):
            kind = type(value).__qualname__
            raise UnlabelledData(f"`{path}` is a {kind}, and not what its annotation says: whom it is about is unknown")
        if not contained and _gives_items(value, announced=shape.items is not None):
            raise _unseen(value, path)
        if contained:
            if isinstance(value, Mapping):
                for key in value:
                    self.look(key, shape.keys or Shape(), f"{path} (a key)")
            items = shape.items or Shape()
            for one in value.values() if isinstance(value, Mapping) else value:
                self.look(one, items, f"{path}[]")

    def _look_into(self, row: Any, fields: Mapping[str, Shape], path: str) -> None:
        gone = record_of(row).decisions if hasattr(type(row), "__purposeguard_withheld__") else {}
        for name, inner in fields.items():
            held = MISSING if name in gone else read_field(row, name)
            if held is MISSING:
                continue
            if inner.own_label is not None:
                self.labels.add(inner.own_label)
            # Its marks were read before, with those of the other fields.
            self.look(held, _unmarked(inner), f"{path}.{name}")

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


def _gives_items(value: Any, *, announced: bool) -> bool:
    """Whether it can only be gone through, like a query: what it would give is not known now.

    A connection or an open file can be gone through too, and is no container of rows unless it is announced as one.
    """
    if isinstance(value, (str, bytes, bytearray, memoryview)) or not isinstance(value, (Iterable, AsyncIterable)):
        return False
    return announced or not (isinstance(value, Container) or hasattr(value, "read"))


def _unseen(value: Any, path: str) -> UnlabelledData:
    kind = type(value).__name__
    return UnlabelledData(f"`{path}` is a {kind}, which cannot be seen before it is handed over: give a list")


def _order(day: datetime.date) -> tuple[int, int, int]:
    return day.year, day.month, day.day


def _unmarked(shape: Shape) -> Shape:
    """The shape without the marks that do not stand on fields of rows."""
    items, keys = (None if part is None else _unmarked(part) for part in (shape.items, shape.keys))
    return Shape(models=shape.models, items=items, keys=keys)
