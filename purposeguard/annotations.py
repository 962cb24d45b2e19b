"""Annotations as Python has them: which classes have fields that can carry tags, and what wraps a type in brackets."""

from __future__ import annotations

import array
import contextlib
import dataclasses
import datetime
import enum
import io
import typing
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any, Final, TypeGuard, cast, get_origin

import typing_extensions
from pydantic import BaseModel

# fmt: off
PLAIN: Final[frozenset[type]] = frozenset(
    {
        type(None), bool, int, float, complex, str, bytes, Decimal,
        datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
    }
)
# fmt: on
"""The types of what has no fields, and holds nothing that could have any."""

WITHOUT_FIELDS: Final = (str, bytes, bytearray, memoryview, range, array.array, enum.Enum, io.IOBase)
"""The same of classes that others derive from. None of these is looked through, or made anew: there may be very much
of it."""

ALIASES: Final = tuple(
    {typing_extensions.TypeAliasType, getattr(typing, "TypeAliasType", typing_extensions.TypeAliasType)}
)

QUALIFIERS: Final = frozenset(
    {
        typing.Required,
        typing_extensions.Required,
        typing.NotRequired,
        typing_extensions.NotRequired,
        typing_extensions.ReadOnly,
        getattr(typing, "ReadOnly", typing_extensions.ReadOnly),
        typing.Final,
    }
)
"""What wraps an annotation without being a type of its own."""

TRANSPARENT: Final = QUALIFIERS | {typing.Unpack, typing_extensions.Unpack, Awaitable, Coroutine}
"""What wraps a value without being a container of it."""

NO_CONTAINERS: Final = frozenset({None, typing.Generic, typing.Protocol, typing_extensions.Protocol})
"""Bases of a class that say nothing of what it contains."""

LITERALS: Final = frozenset({typing.Literal, typing_extensions.Literal})

OPAQUE: Final = LITERALS | {type, Callable}
"""What holds no value of its arguments."""


def is_taggable(cls: object) -> TypeGuard[type]:
    """Whether the fields of a class can carry tags."""
    if not isinstance(cls, type) or cls is BaseModel:
        return False
    return (
        issubclass(cls, BaseModel)
        or dataclasses.is_dataclass(cls)
        or typing_extensions.is_typeddict(cls)
        or is_namedtuple(cls)
        or is_attrs(cls)
    )


def is_namedtuple(cls: type) -> bool:
    """Whether a class is a NamedTuple."""
    return issubclass(cls, tuple) and hasattr(cls, "_fields") and hasattr(cls, "_field_defaults")


def is_attrs(cls: type) -> bool:
    """Whether a class was made by attrs (which is not imported for it)."""
    return any("__attrs_attrs__" in vars(one) for one in cls.__mro__)


def names_of(cls: type) -> tuple[str, ...]:
    """The names of the fields of a taggable class, also where their annotations cannot be resolved yet."""
    if issubclass(cls, BaseModel):
        return (*cls.model_fields, *cls.model_computed_fields)
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    if is_namedtuple(cls):
        return tuple(cast("Any", cls)._fields)
    if is_attrs(cls):
        return tuple(field.name for field in cast("Any", cls).__attrs_attrs__)
    return tuple(typing_extensions.get_annotations(cls, format=typing_extensions.Format.FORWARDREF))


def what_is(given: object) -> str:
    """What a message calls what should have been a class or an annotation: never a value's own text."""
    if isinstance(given, type):
        return given.__qualname__
    if get_origin(given) is not None or type(given).__module__ in ("typing", "typing_extensions"):
        return str(given)
    return f"a {type(given).__qualname__}"


def evaluated(annotation: object, names: dict[str, Any], localns: Mapping[str, Any] | None = None) -> Any:
    """One annotation with its names resolved, without looking at the others beside it.

    Raises:
        NameError: one is not defined.
    """

    def probe() -> None: ...

    probe.__annotations__ = {"it": annotation}
    return typing_extensions.get_type_hints(probe, names, localns, include_extras=True)["it"]


def resolvable(stated: Mapping[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """Annotations of a class, resolved; without those that name what only type checkers know."""
    found: dict[str, Any] = {}
    for name, annotation in stated.items():
        # Of a class, since a class alone may have a ClassVar.
        probe = type("probe", (), {"__annotations__": {name: annotation}})
        with contextlib.suppress(NameError):
            found |= typing_extensions.get_type_hints(probe, names, include_extras=True)
    return found
