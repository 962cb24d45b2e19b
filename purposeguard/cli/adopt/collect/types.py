"""Facts about the values of a field, from its annotation."""

from __future__ import annotations

import datetime
import decimal
import enum
import types
import uuid
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final, ForwardRef, Literal, NamedTuple, NewType, TypeVar, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType, is_typeddict

from purposeguard.adoption.lexicon import KINDS_OF_TYPES, ValueType
from purposeguard.values.annotations import is_taggable

_OPEN_NAMES: Final = frozenset({"Json", "JsonValue"})

_VALUE_TYPES: Final[tuple[tuple[tuple[type, ...], ValueType], ...]] = (
    ((bool,), "other"),
    ((enum.Enum,), "choice"),
    ((str, uuid.UUID, SecretStr), "text"),
    ((int, float, complex, decimal.Decimal), "number"),
    ((datetime.date, datetime.time, datetime.timedelta), "date"),
)
"""Classes → the type of their values. The first that fits counts."""


class TypeFacts(NamedTuple):
    """The facts in an annotation.

    Attributes:
        value_type: The type of a value; None if it is not known.
        type_name: The dotted name of its class.
        is_open: True if it may be anything.
        is_nested: True if it is an object with fields of its own, or a collection of such objects.
        labels: Titles in the annotation.
        comment: Descriptions in the annotation.
    """

    value_type: ValueType | None = None
    type_name: str = ""
    is_open: bool = False
    is_nested: bool = False
    labels: tuple[str, ...] = ()
    comment: str = ""


UNKNOWN: Final = TypeFacts()
OPEN: Final = TypeFacts(is_open=True)


def read_type(annotation: Any) -> TypeFacts:
    """Return what an annotation says about the values of a field."""
    if isinstance(annotation, (str, ForwardRef, TypeVar)):
        return UNKNOWN
    if isinstance(annotation, (NewType, TypeAliasType)):
        return read_type(annotation.__supertype__ if isinstance(annotation, NewType) else annotation.__value__)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _read_metadata(read_type(arguments[0]), annotation.__metadata__)
    if origin in (Union, types.UnionType):
        return _read_union(arguments)
    if origin is Literal:
        return TypeFacts("choice")
    if isinstance(origin, type) and issubclass(origin, Collection):
        return _read_collection(origin, arguments)
    if isinstance(origin, TypeAliasType):
        return read_type(origin.__value__)
    return _read_class(origin if isinstance(origin, type) else annotation)


def read_model_field(info: FieldInfo) -> TypeFacts:
    """Return what pydantic knows of a field."""
    facts = _read_metadata(read_type(info.annotation), tuple(info.metadata))
    titles = tuple(title for title in (info.title, info.alias) if title)
    return facts._replace(labels=facts.labels + titles, comment=info.description or facts.comment)


def name_type(cls: type) -> str:
    """Return the dotted name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _read_metadata(facts: TypeFacts, metadata: tuple[Any, ...]) -> TypeFacts:
    for each in metadata:
        if isinstance(each, FieldInfo):
            titles = tuple(title for title in (each.title, each.alias) if title)
            facts = facts._replace(labels=facts.labels + titles, comment=each.description or facts.comment)
        elif isinstance(each, type) and name_type(each) in KINDS_OF_TYPES:
            facts = facts._replace(type_name=name_type(each))
        elif name_type(type(each)) in KINDS_OF_TYPES:
            facts = facts._replace(type_name=name_type(type(each)))
    return facts


def _read_union(arguments: tuple[Any, ...]) -> TypeFacts:
    facts = [read_type(argument) for argument in arguments if argument is not type(None)]
    if len(facts) == 1:
        return facts[0]
    value_types: set[ValueType | None] = {each.value_type for each in facts}
    named = [each.type_name for each in facts if each.type_name in KINDS_OF_TYPES]
    return TypeFacts(
        value_types.pop() if len(value_types) == 1 else None,
        named[0] if named else "",
        any(each.is_open for each in facts),
        bool(facts) and all(each.is_nested for each in facts),
    )


def _read_collection(origin: type, arguments: tuple[Any, ...]) -> TypeFacts:
    if issubclass(origin, Mapping):
        return read_type(arguments[1]) if len(arguments) == 2 else OPEN
    contents = [argument for argument in arguments if argument is not Ellipsis]
    return _read_union(tuple(contents)) if contents else OPEN


def _read_class(cls: Any) -> TypeFacts:
    if not isinstance(cls, type):
        return OPEN if cls is Any or getattr(cls, "__name__", "") in _OPEN_NAMES else UNKNOWN
    if is_taggable(cls) or is_typeddict(cls) or hasattr(cls, "__struct_fields__") or hasattr(cls, "__mapper__"):
        return TypeFacts("other", name_type(cls), is_nested=True)
    if cls is object or issubclass(cls, (dict, list, tuple, set, frozenset, bytes, bytearray)):
        return OPEN._replace(type_name=name_type(cls))
    for classes, value_type in _VALUE_TYPES:
        if issubclass(cls, classes):
            return TypeFacts(value_type, name_type(cls))
    # pydantic's types for e-mail and web addresses are classes of their own, whose values are read from texts.
    is_text = name_type(cls) in KINDS_OF_TYPES or cls.__module__.startswith(("pydantic", "ipaddress"))
    return TypeFacts("text" if is_text else "other", name_type(cls))
