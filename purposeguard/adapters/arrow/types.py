"""Arrow types of annotations, and annotations of Arrow types: what a model's field is stored as, and back."""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import pathlib
import types
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple, NewType, TypeVar, cast, get_args, get_origin

import pyarrow as pa
import pydantic
import typing_extensions
from pydantic import BaseModel

from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, Source, TermMeta, is_union
from purposeguard.values.annotations import ALIASES, QUALIFIERS, is_taggable, what_is
from purposeguard.values.markers import Mark
from purposeguard.values.sealed import Sealed
from purposeguard.values.type_schema import Model, hints_of

Bindings = Mapping[Any, object]
"""What the type variables of a generic model stand for."""

_MICRO: Final = "us"

PLAIN: Final[Mapping[object, pa.DataType]] = types.MappingProxyType(
    {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        str: pa.string(),
        bytes: pa.binary(),
        datetime.date: pa.date32(),
        # A moment: one without a time zone could be one of two days.
        datetime.datetime: pa.timestamp(_MICRO, "UTC"),
        datetime.time: pa.time64(_MICRO),
        datetime.timedelta: pa.duration(_MICRO),
        pydantic.AwareDatetime: pa.timestamp(_MICRO, "UTC"),
        pydantic.NaiveDatetime: pa.timestamp(_MICRO),
        pydantic.PastDate: pa.date32(),
        pydantic.FutureDate: pa.date32(),
        # As Spark takes a Python Decimal of which no more is known.
        decimal.Decimal: pa.decimal128(38, 18),
        # As text: not everything that reads Parquet has a type for it.
        uuid.UUID: pa.string(),
        type(None): pa.null(),
    }
)
"""The Arrow types of annotations that are told by nothing else."""

_TEXTS: Final[tuple[Any, ...]] = (
    pydantic.EmailStr,
    pydantic.NameEmail,
    pydantic.AnyUrl,
    pydantic.SecretStr,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
    pydantic.IPvAnyAddress,
    pydantic.IPvAnyNetwork,
    pydantic.IPvAnyInterface,
    pathlib.PurePath,
)
"""What is stored as the text that it is written as."""


class Part:
    """What an annotation says of one place in a column: its type, its sources, its marks, and what is in it."""

    __slots__ = ("inner", "kind", "marks", "nullable", "sources", "type")

    def __init__(self, kind: str, type_: pa.DataType | None = None, inner: Mapping[str, Part] | None = None) -> None:
        """`kind`: `leaf`, `list`, `map` or `struct`; `inner` are the items, the keys and values, or the fields."""
        self.kind = kind
        self.type = type_
        self.inner: Mapping[str, Part] = inner or {}
        self.sources: set[type[Source]] = set()
        self.marks: set[Mark] = set()
        self.nullable = False

    def press(self, sources: Iterable[type[Source]] = ()) -> None:
        """Makes all that is in it say what it says itself: Arrow takes fields out of a column, and asks them alone."""
        self.sources.update(sources)
        for one in self.inner.values():
            one.press(self.sources)


class Place(NamedTuple):
    """Where an annotation stands: its path, what type variables stand for there, and the classes around it."""

    path: str = ""
    bindings: Bindings = types.MappingProxyType({})
    around: tuple[object, ...] = ()

    def items(self) -> Place:
        """Of what it contains."""
        return self._replace(path=f"{self.path}[]")

    def field(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name


def parts_of(cls: type, place: Place = Place()) -> dict[str, Part]:  # noqa: B008  # immutable
    """The parts of a class's fields, by name.

    Raises:
        TypeError: a field has no Arrow type.
        UnlabelledData: an annotation cannot be resolved, or a tag is where none is read.
    """
    key = (cls, tuple(place.bindings.values()))
    if key in place.around:
        raise TypeError(f"`{place.path}` holds {cls.__qualname__} again, and an Arrow type has an end")
    Model(cls).columns()  # raises where a tag or a mark is where nobody would read it
    found: dict[str, Part] = {}
    for name, hint in hints_of(cls).items():
        part = part_of(hint, Place(place.field(name), place.bindings, (*place.around, key)))
        field = cls.model_fields.get(name) if issubclass(cls, BaseModel) else None
        found[name] = part if field is None else _with_digits(part, field.metadata)
    return found


def part_of(annotation: Any, place: Place) -> Part:
    """What an annotation says; raises as `parts_of` does."""
    if isinstance(annotation, TypeVar) and annotation in place.bindings:
        return part_of(place.bindings[annotation], place._replace(bindings={}))
    if isinstance(annotation, NewType):
        return part_of(annotation.__supertype__, place)
    if isinstance(annotation, ALIASES):
        return part_of(cast("Any", annotation).__value__, place)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(args, place)
    if origin in QUALIFIERS:
        return part_of(args[0], place)
    if is_union(annotation):
        return _union(args, place)
    if origin in (Literal, typing_extensions.Literal):
        return _of_values(args, annotation, place)
    if isinstance(origin, type) and issubclass(origin, Sealed):
        part = part_of(args[0], place)
        part.sources |= _seal(args[1], place)
        return part
    return _class(annotation, origin, args, place)


def _annotated(args: tuple[Any, ...], place: Place) -> Part:
    part = _with_digits(part_of(args[0], place), args[1:])
    for one in args[1:]:
        if isinstance(one, TermMeta):
            part.sources |= Label(cast("type[Source]", one)).sources
        elif isinstance(one, Label):
            part.sources |= one.sources
        elif isinstance(one, Mark):
            part.marks.add(one)
    return part


def _with_digits(part: Part, constraints: Iterable[Any]) -> Part:
    """A number of so many digits, where that is said."""
    if part.type is not None and pa.types.is_decimal(part.type):
        for one in constraints:
            inner = getattr(one, "metadata", None) or (one,)  # of `Field(max_digits=…)`
            for said in inner:
                if getattr(said, "max_digits", None) is not None:
                    part.type = pa.decimal128(said.max_digits, getattr(said, "decimal_places", None) or 0)
    return part


def _seal(annotation: Any, place: Place) -> set[type[Source]]:
    members = get_args(annotation) if is_union(annotation) else (annotation,)
    if not all(isinstance(one, TermMeta) and "clause" in vars(one) for one in members):
        raise UnlabelledData(f"`{place.path}` is sealed and names no source, so nothing says how to tag its column")
    return set(Label(*members).sources)


def _union(args: tuple[Any, ...], place: Place) -> Part:
    """An optional, or several that are stored alike."""
    parts = [part_of(one, place) for one in args if one not in (None, type(None))]
    several = len(parts) > 1
    if not parts or (several and any(one.kind != "leaf" or one.type != parts[0].type for one in parts)):
        raise TypeError(f"`{place.path}` is one of several types, and a column is of one")
    part = parts[0]
    for one in parts[1:]:
        part.sources |= one.sources
        part.marks |= one.marks
    part.nullable = len(parts) < len(args) or any(one.nullable for one in parts)
    return part


def _of_values(values: Iterable[object], annotation: object, place: Place) -> Part:
    """A literal, or the values of an enumeration."""
    given = list(values)
    kinds = {type(one) for one in given if one is not None}
    kind = next(
        (one for one in (bool, int, str, bytes, float) if kinds and all(issubclass(of, one) for of in kinds)), None
    )
    if kind is None:
        raise _no_type(annotation, place)
    part = Part("leaf", PLAIN[kind])
    part.nullable = None in given
    return part


def _class(annotation: Any, origin: Any, args: tuple[Any, ...], place: Place) -> Part:
    if is_taggable(origin):
        names = getattr(origin, "__parameters__", ())
        given = [place.bindings.get(one, one) if isinstance(one, TypeVar) else one for one in args]
        return Part("struct", inner=parts_of(origin, place._replace(bindings=dict(zip(names, given, strict=False)))))
    if is_taggable(annotation):
        return Part("struct", inner=parts_of(annotation, place._replace(bindings={})))
    cls = origin or annotation
    if not isinstance(cls, type):
        raise _no_type(annotation, place)
    if cls in PLAIN:
        return Part("leaf", PLAIN[cls])
    if issubclass(cls, enum.Enum):
        return _of_values([one.value for one in cls], annotation, place)
    if args and issubclass(cls, Collection):
        return _container(annotation, cls, [one for one in args if one is not ...], place)
    if issubclass(cls, _TEXTS):
        return Part("leaf", pa.string())
    derived = next((one for one in cls.__mro__ if one in PLAIN), None)
    if derived is None:
        raise _no_type(annotation, place)
    return Part("leaf", PLAIN[derived])


def _container(annotation: Any, cls: type, args: list[Any], place: Place) -> Part:
    if issubclass(cls, Mapping) and len(args) == 2:
        key, value = (part_of(one, place.items()) for one in args)
        if key.nullable:
            raise TypeError(f"`{place.path}` may have None for a key, and a map of Arrow may not")
        return Part("map", inner={"key": key, "value": value})
    if len(args) != 1 or issubclass(cls, Mapping):
        raise TypeError(f"`{place.path}` is {what_is(annotation)}, with items of several types: give it a model")
    return Part("list", inner={"item": part_of(args[0], place.items())})


def _no_type(annotation: object, place: Place) -> TypeError:
    return TypeError(f"`{place.path}` is {what_is(annotation)}, which has no Arrow type: name one that has")


# ---- and back --------------------------------------------------------------------------------------------------------


def annotation_of(type_: pa.DataType, where: str, name: str, inner: Any) -> Any:
    """What a column of a type is in a model; `inner(field, where, name)` gives the annotation of a field inside.

    Raises:
        TypeError: there is no annotation for it.
    """
    types_ = pa.types
    if types_.is_dictionary(type_):
        return annotation_of(type_.value_type, where, name, inner)
    if types_.is_map(type_):
        return dict[inner(type_.key_field, f"{where}[]", name), inner(type_.item_field, f"{where}[]", name)]  # type: ignore[misc]  # made here
    if _is_list(type_):
        return list[inner(type_.value_field, f"{where}[]", name)]  # type: ignore[misc]  # likewise
    if types_.is_struct(type_):
        fields = {one.name: inner(one, f"{where}.{one.name}", name) for one in type_}
        return model(f"{name}_{where}".replace(".", "_").replace("[]", ""), fields)
    if isinstance(type_, pa.UuidType):
        return uuid.UUID
    found = next((annotation for test, annotation in _TESTS if test(type_)), None)
    if found is None:
        raise TypeError(f"`{where}` is {type_}, which no annotation stands for")
    return found


def remade(type_: pa.DataType, field: Callable[[pa.Field], pa.Field]) -> pa.DataType:
    """A type with other fields inside, of the same names and types; one whose fields cannot be made anew as it is."""
    types_ = pa.types
    if types_.is_struct(type_):
        return pa.struct([field(one) for one in type_])
    if types_.is_map(type_):
        return pa.map_(field(type_.key_field), field(type_.item_field), keys_sorted=type_.keys_sorted)
    if types_.is_fixed_size_list(type_):
        return pa.list_(field(type_.value_field), type_.list_size)
    made = next((make for test, make in _LISTS if test(type_)), None)
    return type_ if made is None else made(field(type_.value_field))


_LISTS: Final = (
    (pa.types.is_list, pa.list_),
    (pa.types.is_large_list, pa.large_list),
    (pa.types.is_list_view, pa.list_view),
    (pa.types.is_large_list_view, pa.large_list_view),
)


def _is_list(type_: pa.DataType) -> bool:
    types_ = pa.types
    return bool(types_.is_list(type_) or types_.is_large_list(type_) or types_.is_fixed_size_list(type_))


def model(name: str, fields: Mapping[str, Any]) -> type[BaseModel]:
    """A pydantic model of these fields, each of which may be absent where it may be None."""
    definitions: dict[str, Any] = {}
    for field, annotation in fields.items():
        if not field.isidentifier() or field.startswith(("_", "model_")):
            raise TypeError(f"`{field}` is no name that a field of a model may have: rename the column first")
        definitions[field] = (annotation, ...)
    made: type[BaseModel] = pydantic.create_model(name, **definitions)
    return made


_TESTS: Final = (
    (pa.types.is_boolean, bool),
    (pa.types.is_integer, int),
    (pa.types.is_floating, float),
    (pa.types.is_string, str),
    (pa.types.is_large_string, str),
    (pa.types.is_string_view, str),
    (pa.types.is_binary, bytes),
    (pa.types.is_large_binary, bytes),
    (pa.types.is_fixed_size_binary, bytes),
    (pa.types.is_binary_view, bytes),
    (pa.types.is_decimal, decimal.Decimal),
    (pa.types.is_date, datetime.date),
    (pa.types.is_timestamp, datetime.datetime),
    (pa.types.is_time, datetime.time),
    (pa.types.is_duration, datetime.timedelta),
    (pa.types.is_null, type(None)),
)


def field_of(name: str, part: Part, tag: Any, *, top: bool = True) -> pa.Field:
    """The Arrow field of a part; `tag(part, top)` gives the metadata of each, or None.

    A struct or a list without a tag of its own has those of what is in it.
    """
    inner = {one: field_of(one, below, tag, top=False) for one, below in part.inner.items()}
    if part.kind == "struct":
        type_: pa.DataType = pa.struct(list(inner.values()))
    elif part.kind == "list":
        type_ = pa.list_(inner["item"])
    elif part.kind == "map":
        type_ = pa.map_(inner["key"].with_nullable(False), inner["value"])
    else:
        type_ = part.type
    return pa.field(name, type_, nullable=part.nullable, metadata=tag(part, top))


def says_itself(part: Part) -> bool:
    """Whether a part bears a tag of its own, and not only what is in it."""
    return part.kind in ("leaf", "map") or bool(part.sources) or bool(part.marks) or not part.inner


def label_of(part: Part) -> Label:
    """The label of a part itself; of a map with all that is in it, since Parquet may lose the tags of that."""
    sources = set(_everything(part)) if part.kind == "map" else part.sources
    return Label(*sources) if sources else Label(NotPersonal)


def _everything(part: Part) -> Iterator[type[Source]]:
    yield from part.sources
    for one in part.inner.values():
        yield from _everything(one)
