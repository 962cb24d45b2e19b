"""Which classes of this process are tagged, and which of them a plain dict, or a text, was made from.

Read are taggable classes, and mapped classes of SQLAlchemy (which is not imported for it). A dict counts as
made from a class if it has two of its fields, all its tagged fields, or no other key than one of its fields.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
from purposeguard.values.annotations import (
    can_have_statements,
    class_lineage,
    external_tags_of,
    field_names_of,
    is_taggable,
    iter_attributes,
)
from purposeguard.values.markers import TABLES_ALONE, SubjectMark
from purposeguard.values.plan import make_plan, unwithheld_class
from purposeguard.values.type_schema import NOBODY, SILENT, Shape, read_argument_shape

HIDDEN: Final = "<not shown>"
"""In place of what cannot be looked at."""

SUBJECT: Final = "<subject>"
"""In place of the id of a subject."""

NONE: Final[Mapping[str, str]] = MappingProxyType({})
NOT_ASKED: Final = object()

MOST_KEYS: Final = 4096
"""Distinct sets of keys whose answer is remembered."""


def marker(label: Label) -> str:
    """What stands for a value of this label: its clauses, `<1.1(a)>`."""
    return f"<{', '.join(source.clause for source in label)}>"


class TaggedFields(NamedTuple):
    """A class whose fields say something: the `names` of all its fields, and name → what stands for its value.

    `fields` are the tagged ones, each by all names that it goes by.
    """

    names: frozenset[str]
    markers: Mapping[str, str]
    fields: frozenset[frozenset[str]]


class _Index(NamedTuple):
    """Name → the classes that have a field of it; and what was asked of these."""

    by_name: Mapping[str, tuple[weakref.ref[type], ...]]
    asked: dict[tuple[frozenset[str], int, bool], Mapping[str, str]]


class TaggedClasses:
    """The tagged classes of this process: found anew when a module was imported since, or a new class was met."""

    def __init__(self) -> None:
        self._tagged: weakref.WeakKeyDictionary[type, TaggedFields | None] = weakref.WeakKeyDictionary()
        self._names: weakref.WeakKeyDictionary[type, frozenset[str]] = weakref.WeakKeyDictionary()
        self._index = _Index(MappingProxyType({}), {})
        self._met = 0
        self._found = (0, 0)  # modules, and classes met, when all were found
        self._finding = make_lock()

    def of(self, cls: type) -> TaggedFields | None:
        """What a class says of its fields; None if nothing."""
        cls = unwithheld_class(cls)
        before = tagged = self._tagged.get(cls, NOT_ASKED)
        if tagged is NOT_ASKED or (
            tagged is None and is_taggable(cls) and any(map(external_tags_of, class_lineage(cls)))
        ):
            tagged = self._tagged[cls] = _read_tagged_fields(cls)
            if tagged is not None and (before is None or cls not in self._names):
                self._met += 1
        return tagged if isinstance(tagged, TaggedFields) else None

    def markers(self, keys: frozenset[str], *, least: int, or_all: bool = False) -> Mapping[str, str]:
        """Key → what stands for its value, of these keys, of which at least so many are fields of one tagged class.

        `or_all`: all tagged fields of the class are enough, too, even if they are fewer.
        """
        if not keys:
            return NONE
        if self._found != (len(sys.modules), self._met):
            with self._finding:
                self._find()
        index = self._index  # once: what is remembered belongs to the classes that were known
        known = frozenset(key for key in keys if key in index.by_name)
        markers = index.asked.get((known, least, or_all))
        if markers is None:
            markers = MappingProxyType(self._match_keys(known, least, index, or_all=or_all))
            if len(index.asked) >= MOST_KEYS:
                index.asked.clear()
            index.asked[known, least, or_all] = markers
        return markers

    def _match_keys(self, keys: frozenset[str], least: int, index: _Index, *, or_all: bool) -> dict[str, str]:
        likely: list[tuple[int, Mapping[str, str]]] = []
        for reference in dict.fromkeys(reference for key in keys for reference in index.by_name[key]):
            cls = reference()
            shared = 0 if cls is None else len(keys & self._names[cls])
            tagged = None if cls is None or (shared < least and not or_all) else self.of(cls)
            if tagged is not None and (shared >= least or not any(map(keys.isdisjoint, tagged.fields))):
                likely.append((shared, tagged.markers))
        likely.sort(key=lambda each: each[0])  # the class that has the most of the keys has the last word
        return {key: what for _, markers in likely for key, what in markers.items() if key in keys}

    def _find(self) -> None:
        state = (len(sys.modules), self._met)
        by_name: dict[str, list[weakref.ref[type]]] = {}
        for cls in _iter_classes():
            with contextlib.suppress(TypeError):  # of a metaclass whose classes have no hash
                names = self._names.get(cls)
                if names is None:
                    names = self._names[cls] = frozenset(_field_names(cls))
                for name in names:
                    by_name.setdefault(name, []).append(weakref.ref(cls))
        self._index = _Index({name: tuple(classes) for name, classes in by_name.items()}, {})
        self._found = state


def _iter_classes() -> Iterator[type]:
    """Yield all classes that may have fields."""
    seen: set[int] = set()  # by identity: a metaclass may compare in its own way
    pending: list[type] = [object]
    while pending:
        derived: list[type] = type.__subclasses__(pending.pop())
        for cls in derived:
            if id(cls) not in seen:
                seen.add(id(cls))
                pending.append(cls)
                if "__purposeguard_withheld__" not in vars(cls) and (is_taggable(cls) or is_mapped(cls)):
                    yield cls


def is_mapped(cls: type) -> bool:
    """Return True if a class is mapped to a table by SQLAlchemy."""
    return "__mapper__" in vars(cls)


def _field_names(cls: type) -> Iterable[str]:
    """Return the names of the fields of a class, by each of its aliases as well; nothing of it is resolved."""
    try:
        names = {*field_names_of(cls)} if is_taggable(cls) else set[str]()
        if is_mapped(cls):
            names |= {name for owner in cls.__mro__ for name in vars(owner).get("__annotations__", ())}
        return names.union(*_iter_aliases(cls))
    except Exception:  # noqa: BLE001  # of the class's own code: it cannot be told from what else it makes dicts
        return ()


def _iter_aliases(cls: type) -> Iterator[tuple[str, str]]:
    """Yield each field with another name that it goes by: an alias, or that of its column."""
    for name, field in cls.model_fields.items() if issubclass(cls, BaseModel) else ():
        for alias in (field.alias, field.serialization_alias, field.validation_alias):
            if isinstance(alias, str):
                yield name, alias
    for attribute, column in _iter_columns(cls):
        yield attribute, column.name


def _iter_columns(cls: Any) -> Iterable[tuple[str, Any]]:
    """Return the columns of a mapped class, by its attributes."""
    return cls.__mapper__.columns.items() if is_mapped(cls) else ()


def _read_tagged_fields(cls: type) -> TaggedFields | None:
    markers = _markers_from_statements(cls)
    if is_taggable(cls) and (markers or any(map(external_tags_of, class_lineage(cls)))):
        # Read as guards do only where anything is said: until a class is read, it can be tagged from outside.
        with contextlib.suppress(Exception):  # of an annotation that cannot be read: the others say something
            markers = _markers_from_shapes(make_plan(cls, SILENT).fields or {}) or markers
    if not markers:
        return None
    called = {name: {name} for name in markers}
    for name, alias in _iter_aliases(cls):
        what = markers.get(name) or markers.get(alias)
        if what is not None:
            markers[name] = markers[alias] = what
            for names in (called.get(name), called.get(alias)):
                if names is not None:
                    names.update((name, alias))
    return TaggedFields(
        frozenset({*_field_names(cls), *markers}), MappingProxyType(markers), frozenset(map(frozenset, called.values()))
    )


def _markers_from_shapes(shapes: Mapping[str, Shape]) -> dict[str, str]:
    markers = {name: _marker_of(shape) for name, shape in shapes.items()}
    return {name: what for name, what in markers.items() if what is not None}


def _markers_from_statements(cls: type) -> dict[str, str]:
    """What a class says whose fields are not read."""
    markers = {name: HIDDEN for name, column in _iter_columns(cls) if _is_marked(column)}
    for statement in (
        each for owner in class_lineage(cls) if can_have_statements(owner) for each in iter_attributes(owner)
    ):
        try:
            what = _marker_of(read_argument_shape(statement.annotation, NOBODY))
        except Exception:  # noqa: BLE001  # it cannot be read: as if it were a tag
            what = HIDDEN
        if what is not None:
            markers.setdefault(statement.name, what)
    return markers


def _is_marked(column: Any) -> bool:
    """Whether a column of SQLAlchemy says of itself what it holds; what is no column (a composite) has no `info`."""
    return bool(getattr(column, "info", {}).get("purposeguard"))


def _marker_of(shape: Shape) -> str | None:
    """What stands for the value of a field; None if it says nothing of itself."""
    label = shape.own_label
    if label is not None:
        return marker(label)
    parts = [*shape.iter_parts()]
    seals = [source for part in parts for source in part.seal]
    if any(part.sealed for part in parts):
        return marker(Label(*seals)) if seals else HIDDEN
    marks = shape.marks_within
    if any(isinstance(mark, SubjectMark) for mark in marks):
        return SUBJECT
    return None if marks.isdisjoint(TABLES_ALONE) else HIDDEN


CLASSES: Final = TaggedClasses()
"""What is known of the classes of this process; nothing is decided by it."""
