"""Annotations as Python has them: which classes have fields that can carry tags, and what wraps a type in brackets."""

from __future__ import annotations

import array
import builtins
import contextlib
import dataclasses
import datetime
import enum
import functools
import inspect
import io
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeGuard, cast, get_origin

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

READABLE: Final = "a pydantic model, dataclass, TypedDict, NamedTuple or attrs class"
"""The classes whose fields can carry tags, in messages."""

_IMMUTABLE: Final = 1 << 8
"""The flag of types that are written in C: they have no annotations."""


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


class Written(NamedTuple):
    """How a function is annotated: parameter, or `return`, → annotation, and the names that these may use."""

    annotations: Mapping[str, Any]
    names: dict[str, Any]
    around: Mapping[str, Any]


def written(fn: Callable[..., Any], localns: Mapping[str, Any] | None = None) -> Written:
    """How the function is annotated that runs where `fn` is called.

    `around` are the names of the function that it is defined in, as far as they have a value by now, and `localns`.
    """
    inner: Any = fn
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not hasattr(inner, "__globals__") and not inspect.isroutine(inner):
        inner = type(inner).__call__  # an object that is called as a function
    inner = inspect.unwrap(inner)
    around: dict[str, Any] = {}
    if isinstance(inner, types.FunctionType):
        for name, cell in zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # empty: the name is given its value later, maybe this function
                around[name] = cell.cell_contents
    annotations = getattr(inner, "__annotations__", {})
    return Written(annotations, getattr(inner, "__globals__", {}), {**around, **(localns or {})})


def evaluated(annotation: object, names: dict[str, Any], localns: Mapping[str, Any] | None = None) -> Any:
    """One annotation with its names resolved, without looking at the others beside it.

    Raises:
        NameError: one is not defined.
    """

    def probe() -> None: ...

    probe.__annotations__ = {"it": annotation}
    return typing_extensions.get_type_hints(probe, names, localns, include_extras=True)["it"]


Missing = tuple[tuple[Mapping[str, Any], str], ...]
"""Names, each with where it would be."""


def may_state(cls: type) -> bool:
    """Whether a class may say something of its attributes: those that are written in C do not."""
    return not cls.__flags__ & _IMMUTABLE


class Statement(NamedTuple):
    """What a class says of one of its attributes; `missing` are the names in it that nobody defines, by now."""

    owner: type
    name: str
    annotation: Any
    missing: Missing = ()


def statements(cls: type) -> Iterator[Statement]:
    """What a class, and those that it derives from, say of attributes, also where it is no class with fields."""
    for owner in cls.__mro__:
        if may_state(owner):
            yield from attributes(owner)
            yield from properties(owner)
            yield from parameters(owner)


def attributes(owner: type) -> Iterator[Statement]:
    """What a class says of attributes itself."""
    stated = typing_extensions.get_annotations(owner, format=typing_extensions.Format.FORWARDREF)
    for name, annotation in stated.items():
        yield _statement(owner, name, annotation, names_around(owner))


def properties(owner: type) -> Iterator[Statement]:
    """What the properties that a class defines itself are annotated to give."""
    for name, member in vars(owner).items():
        if isinstance(member, property):
            getter: object = member.fget
        elif isinstance(member, functools.cached_property):
            getter = member.func
        else:
            getter = inspect.getattr_static(member, "fget", None)  # of another kind of property
        if isinstance(getter, types.FunctionType) and "return" in getter.__annotations__:
            yield _statement(owner, name, getter.__annotations__["return"], getter.__globals__)


def parameters(owner: type) -> Iterator[Statement]:
    """What the objects of a class are made of, and so hold: the parameters of the `__init__` that it defines itself."""
    init = vars(owner).get("__init__")
    if isinstance(init, types.FunctionType):
        for name, annotation in init.__annotations__.items():
            yield _statement(owner, f"__init__({name})", annotation, init.__globals__)


def names_around(cls: type) -> dict[str, Any]:
    """The names of the module in which a class is defined."""
    names: dict[str, Any] = getattr(sys.modules.get(cls.__module__), "__dict__", {})
    return names


class _Unresolved(type):
    """The class of what stands for a name that nobody defines: what is made of it is no more than it."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, item: Any) -> Any:
        return types.GenericAlias(list, item)  # what stands in its brackets is looked at

    def __call__(cls, *_args: object, **_kwargs: object) -> Any:
        return cls


class Unresolved(metaclass=_Unresolved):
    """Stands for a name that is not defined, and may be there for type checkers alone."""


class _Names(dict[str, Any]):
    """The names in these mappings, in this order, and `Unresolved` for any other."""

    def __init__(self, *known: Mapping[str, Any]) -> None:
        super().__init__()
        self.missing: list[str] = []
        self._known = (*known, vars(builtins))

    def __missing__(self, name: str) -> Any:
        for names in self._known:
            if name in names:
                return names[name]
        self.missing.append(name)
        return Unresolved


def _statement(owner: type, name: str, annotation: Any, around: dict[str, Any]) -> Statement:
    names = _Names(around, vars(owner))  # in the order of `get_type_hints`
    try:
        found = resolved(annotation, around, names)
    except Exception:  # noqa: BLE001  # whatever a text raises that is no annotation, or not here
        # Where the text shows that it may be a tag, it is taken for one.
        tagged = isinstance(annotation, str) and ("Annotated" in annotation or "Personal" in annotation)
        return Statement(owner, name, typing.Annotated[object, Unresolved] if tagged else object)
    return Statement(owner, name, found, tuple((around, one) for one in names.missing))


def resolved(annotation: Any, names: dict[str, Any], localns: Mapping[str, Any] | None = None) -> Any:
    """One annotation of a class, as `evaluated`: a class alone may have a ClassVar.

    Raises:
        NameError: a name is not defined.
    """
    probe = type("probe", (), {"__annotations__": {"it": annotation}})
    return typing_extensions.get_type_hints(probe, names, localns, include_extras=True)["it"]


def resolvable(stated: Mapping[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """Annotations of a class, resolved; without those that name what only type checkers know."""
    found: dict[str, Any] = {}
    for name, annotation in stated.items():
        with contextlib.suppress(NameError):
            found[name] = resolved(annotation, names)
    return found
