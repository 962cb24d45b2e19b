"""The tagged classes of this process, and which of them a plain dict or a text was made from.

Covers taggable classes and mapped classes of SQLAlchemy (which is not imported for it). A dict counts as made from a
class if it has two of its fields, all its tagged fields, or a single key that is one of its fields.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from purposeguard.containers import drop_none_values, intersect, map_values
from purposeguard.locks import make_lock
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import list_term_ids
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
"""Takes the place of a value that must not be shown, or cannot be inspected."""

SUBJECT: Final = "<subject>"
"""Takes the place of the id of a subject."""

NONE: Final[Mapping[str, str]] = MappingProxyType({})
NOT_ASKED: Final = object()

MOST_KEYS: Final = 4096
"""The number of distinct sets of keys whose answers are cached."""


def marker(label: Label) -> str:
    """Return the text that replaces a value with this label: its clauses, as in `<1.1(a)>`."""
    return f"<{', '.join(list_term_ids(label))}>"


class TaggedFields(NamedTuple):
    """The fields of a class that has tagged ones."""

    names: frozenset[str]
    """The names of all its fields."""

    markers: Mapping[str, str]
    """The name of a tagged field → the text that replaces its value."""

    fields: frozenset[frozenset[str]]
    """The tagged fields, each by all its names."""


class _Index(NamedTuple):
    """The classes by the names of their fields, and the answers that were given from them."""

    by_name: Mapping[str, tuple[weakref.ref[type], ...]]
    """The name of a field → the classes that have it."""

    asked: dict[tuple[frozenset[str], int, bool], Mapping[str, str]]
    """Cached answers of `TaggedClasses.markers`."""


class TaggedClasses:
    """The tagged classes of this process. They are searched again once a module was imported or a new class was met."""

    def __init__(self) -> None:
        self._tagged: weakref.WeakKeyDictionary[type, TaggedFields | None] = weakref.WeakKeyDictionary()
        self._names: weakref.WeakKeyDictionary[type, frozenset[str]] = weakref.WeakKeyDictionary()
        self._index = _Index(MappingProxyType({}), {})
        self._met = 0
        self._found = (0, 0)  # The numbers of modules and of classes met at the last search.
        self._finding = make_lock()

    def of(self, cls: type) -> TaggedFields | None:
        """Return the tagged fields of a class, or None if it has none."""
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
        """Return the text that replaces its value for each of the keys that is a tagged field of a matching class.

        A class matches if at least `least` of the keys are its fields. With `or_all`, it also matches if all its tagged
        fields are among the keys.
        """
        if not keys:
            return NONE
        if self._found != (len(sys.modules), self._met):
            with self._finding:
                self._find()
        index = self._index  # Read once: the cached answers belong to the classes of this index.
        field_names = frozenset(intersect(keys, index.by_name))
        markers = index.asked.get((field_names, least, or_all))
        if markers is None:
            markers = MappingProxyType(self._match_keys(field_names, least, index, or_all=or_all))
            if len(index.asked) >= MOST_KEYS:
                index.asked.clear()
            index.asked[field_names, least, or_all] = markers
        return markers

    def _match_keys(self, keys: frozenset[str], least: int, index: _Index, *, or_all: bool) -> dict[str, str]:
        references: dict[weakref.ref[type], None] = {}
        for key in keys:
            references.update(dict.fromkeys(index.by_name[key]))
        matches: list[tuple[int, Mapping[str, str]]] = []
        for reference in references:
            cls = reference()
            if cls is None:
                continue
            shared = len(keys & self._names[cls])
            if shared < least and not or_all:
                continue
            tagged = self.of(cls)
            if tagged is not None and (shared >= least or not any(map(keys.isdisjoint, tagged.fields))):
                matches.append((shared, tagged.markers))
        matches.sort(key=lambda match: match[0])  # The class that has most of the keys has the last word.
        texts: dict[str, str] = {}
        for _, markers in matches:
            texts.update((key, text) for key, text in markers.items() if key in keys)
        return texts

    def _find(self) -> None:
        state = (len(sys.modules), self._met)
        by_name: dict[str, list[weakref.ref[type]]] = {}
        for cls in _iter_classes():
            with contextlib.suppress(TypeError):  # The classes of some metaclasses have no hash.
                names = self._names.get(cls)
                if names is None:
                    names = self._names[cls] = frozenset(_field_names(cls))
                for name in names:
                    by_name.setdefault(name, []).append(weakref.ref(cls))
        self._index = _Index(map_values(tuple, by_name), {})
        self._found = state


def _iter_classes() -> Iterator[type]:
    """Yield all classes that may have tagged fields."""
    seen: set[int] = set()  # By identity, since a metaclass may compare classes in its own way.
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
    """Return the names and aliases of the fields of a class. No annotation is resolved."""
    try:
        names = {*field_names_of(cls)} if is_taggable(cls) else set[str]()
        if is_mapped(cls):
            for owner in cls.__mro__:
                names.update(vars(owner).get("__annotations__", ()))
        return names.union(*_iter_aliases(cls))
    except Exception:  # noqa: BLE001  # The class's own code failed, so its dicts cannot be recognized.
        return ()


def _iter_aliases(cls: type) -> Iterator[tuple[str, str]]:
    """Yield each field with another name of it: an alias, or the name of its column."""
    fields = cls.model_fields if issubclass(cls, BaseModel) else {}
    for name, field in fields.items():
        for alias in (field.alias, field.serialization_alias, field.validation_alias):
            if isinstance(alias, str):
                yield name, alias
    for attribute, column in _iter_columns(cls):
        yield attribute, column.name


def _iter_columns(cls: Any) -> Iterable[tuple[str, Any]]:
    """Return the columns of a mapped class, each with the name of its attribute. Other classes have none."""
    return cls.__mapper__.columns.items() if is_mapped(cls) else ()


def _read_tagged_fields(cls: type) -> TaggedFields | None:
    markers = _markers_from_statements(cls)
    if is_taggable(cls) and (markers or any(map(external_tags_of, class_lineage(cls)))):
        # Make a plan, as guards do, only if anything is tagged: without one, a class can still be tagged from outside.
        with contextlib.suppress(Exception):  # If an annotation cannot be read, what the statements say remains.
            markers = _markers_from_shapes(make_plan(cls, SILENT).fields or {}) or markers
    if not markers:
        return None
    names_by_field = {name: {name} for name in markers}
    for name, alias in _iter_aliases(cls):
        text = markers.get(name) or markers.get(alias)
        if text is not None:
            markers[name] = markers[alias] = text
            for names in (names_by_field.get(name), names_by_field.get(alias)):
                if names is not None:
                    names.update((name, alias))
    return TaggedFields(
        frozenset({*_field_names(cls), *markers}),
        MappingProxyType(markers),
        frozenset(map(frozenset, names_by_field.values())),
    )


def _markers_from_shapes(shapes: Mapping[str, Shape]) -> dict[str, str]:
    markers = map_values(_marker_of, shapes)
    return drop_none_values(markers)


def _markers_from_statements(cls: type) -> dict[str, str]:
    """Return the texts that replace the values of tagged fields, for a class whose annotations are not resolved."""
    markers = {name: HIDDEN for name, column in _iter_columns(cls) if _is_marked(column)}
    for owner in class_lineage(cls):
        if not can_have_statements(owner):
            continue
        for statement in iter_attributes(owner):
            try:
                text = _marker_of(read_argument_shape(statement.annotation, NOBODY))
            except Exception:  # noqa: BLE001  # An annotation that cannot be read counts as a tag.
                text = HIDDEN
            if text is not None:
                markers.setdefault(statement.name, text)
    return markers


def _is_marked(column: Any) -> bool:
    """Return True if a SQLAlchemy column is tagged in its `info`. A composite is no column and has no `info`."""
    return bool(getattr(column, "info", {}).get("purposeguard"))


def _marker_of(shape: Shape) -> str | None:
    """Return the text that replaces the value of a field, or None if nothing is to be masked."""
    label = shape.own_label
    if label is not None:
        return marker(label)
    parts = [*shape.iter_parts()]
    seals = list(itertools.chain.from_iterable(part.seal for part in parts))
    if any(part.sealed for part in parts):
        return marker(Label(*seals)) if seals else HIDDEN
    marks = shape.marks_within
    if any(isinstance(mark, SubjectMark) for mark in marks):
        return SUBJECT
    return None if marks.isdisjoint(TABLES_ALONE) else HIDDEN


CLASSES: Final = TaggedClasses()
"""The tagged classes of this process. Only masking uses them; no decision does."""
