"""Classes with annotated fields: pydantic, dataclasses, attrs, msgspec, TypedDict and NamedTuple."""

from __future__ import annotations

import functools
import linecache
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final

import typing_extensions
from pydantic import BaseModel

from purposeguard.adapters.tags import OneSpec, make_field_tag, specs_of
from purposeguard.adoption.catalog import FoundClass, FoundField
from purposeguard.cli.adopt.collect.types import TypeFacts, read_model_field, read_type
from purposeguard.errors import UnknownSource, UnlabelledData, on_one_line
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import NotPersonal, TermMeta
from purposeguard.project.tags import FieldTag
from purposeguard.values.annotations import field_names_of, is_taggable
from purposeguard.values.type_schema import Model

_ANNOTATION_ERRORS: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NameError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""The errors of annotations that are evaluated."""


def collect_classes(modules: Iterable[ModuleType], notice: Notice, unread: list[str]) -> Iterator[FoundClass]:
    """Yield the classes with annotated fields that these modules define.

    Args:
        modules: The modules.
        notice: The notice.
        unread: The faults of annotations that cannot be resolved are added to it. Their classes count as untagged.

    Raises:
        UnknownSource: A tag in the code names a source that the notice does not have.
    """
    for module in modules:
        for cls in _iter_classes(vars(module), module.__name__):
            names = _list_field_names(cls)
            if names and not hasattr(cls, "__mapper__"):
                yield _describe(cls, names, notice, unread)


def _iter_classes(namespace: Mapping[str, Any], module: str) -> Iterator[type]:
    """Yield the classes that a module defines, and those within them."""
    for name, value in list(namespace.items()):
        if isinstance(value, type) and value.__module__ == module and value.__name__ == name:
            yield value
            for inner in _iter_classes(vars(value), module):
                if inner.__qualname__ == f"{value.__qualname__}.{inner.__name__}":
                    yield inner


def _list_field_names(cls: type) -> tuple[str, ...]:
    fields: tuple[str, ...] = getattr(cls, "__struct_fields__", ())  # msgspec
    return field_names_of(cls) if is_taggable(cls) else fields


def _describe(cls: type, names: tuple[str, ...], notice: Notice, unread: list[str]) -> FoundClass:
    hints = _read_hints(cls)
    specs = _list_stated_specs(cls, unread)
    fields: list[FoundField] = []
    for name in names:
        facts = _read_field(cls, name, hints.get(name))
        fields.append(make_field(name, facts, tag=read_tag(notice, specs.get(name, ()), f"{cls.__qualname__}.{name}")))
    return describe_class(cls, fields)


def _read_hints(cls: type) -> Mapping[str, Any]:
    """Return the annotations of a class. If one of them cannot be resolved, texts may be among them."""
    try:
        return typing_extensions.get_type_hints(cls, include_extras=True)
    except _ANNOTATION_ERRORS:
        hints: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            hints |= typing_extensions.get_annotations(base, format=typing_extensions.Format.FORWARDREF)
        return hints


def _read_field(cls: type, name: str, hint: Any) -> TypeFacts:
    info = cls.model_fields.get(name) if issubclass(cls, BaseModel) else None
    return read_type(hint) if info is None else read_model_field(info)


def make_field(name: str, facts: TypeFacts, **details: Any) -> FoundField:
    """Return a field with what its annotation says and further details."""
    return FoundField(
        name,
        facts.value_type,
        facts.type_name,
        facts.labels,
        comment=facts.comment,
        is_open=facts.is_open,
        is_nested=facts.is_nested,
        **details,
    )


def describe_class(cls: type, fields: Iterable[FoundField], **details: Any) -> FoundClass:
    """Return a class with its place in the code."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    line = getattr(cls, "__firstlineno__", None) or _find_class_lines(file).get(cls.__name__)  # Python 3.13 has it.
    return FoundClass(
        f"{cls.__module__}.{cls.__qualname__}",
        fields=tuple(fields),
        comment=vars(cls).get("__doc__") or "",
        file=file,
        line=line,
        kind=details.pop("kind", "class"),
        **details,
    )


@functools.lru_cache(maxsize=4)
def _find_class_lines(file: str) -> Mapping[str, int]:
    """Return the lines of the classes in a file, by their names. Of several classes with one name, the first counts."""
    lines: dict[str, int] = {}
    for number, text in enumerate(linecache.getlines(file), 1):
        match = re.match(r"\s*class\s+(\w+)", text)
        if match is not None:
            lines.setdefault(match[1], number)
    return lines


def _list_stated_specs(cls: type, unread: list[str]) -> dict[str, list[OneSpec]]:
    """Return the parts of the tags in the annotations of a class. Fields without a tag are left out.

    Raises:
        UnknownSource: An annotation names a source that the notice does not have.
    """
    if not is_taggable(cls):
        return {}
    try:
        shapes = Model(cls).columns()
    except UnknownSource:
        raise
    except (UnlabelledData, *_ANNOTATION_ERRORS) as error:
        unread.append(
            f"the tags of {cls.__module__}.{cls.__qualname__} in the code cannot be read, so its fields count as "
            f"untagged: {type(error).__name__}: {on_one_line(str(error))}"
        )
        return {}
    specs: dict[str, list[OneSpec]] = {}
    for name, shape in shapes.items():
        if shape.tags or shape.marks:
            specs[name] = specs_of(shape, f"{cls.__qualname__}.{name}")
    return specs


def read_tag(notice: Notice, specs: Iterable[OneSpec], where: str) -> FieldTag | None:
    """Return a tag in the code as the files of a project write it; None if it has no parts.

    The application may have read the notice by itself, into classes of its own. Therefore sources are found by their
    ids.

    Raises:
        UnknownSource: The notice has no such source.
        UnlabelledData: The tag has several marks.
    """
    parts: list[OneSpec] = []
    for spec in specs:
        for each in spec if isinstance(spec, Label) else (spec,):
            is_source = isinstance(each, TermMeta) and each is not NotPersonal
            parts.append(notice.source(each.clause) if is_source else each)  # type: ignore[union-attr]  # A source has it.
    return make_field_tag(notice, parts, where)
