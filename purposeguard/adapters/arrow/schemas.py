"""Arrow schemas of tagged classes: the Arrow type of each field's annotation, and its tags."""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import pathlib
import types
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple, NewType, TypeVar, cast, get_args, get_origin

import pyarrow as pa
import pydantic
import typing_extensions
from pydantic import BaseModel

from purposeguard.adapters.arrow.tags import with_spark
from purposeguard.adapters.tags import KEY, Revisions, Tag, columns_of, encode
from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, Source, TermMeta, is_union
from purposeguard.values.annotations import ALIASES, QUALIFIERS, alias_value, describe_kind, is_taggable
from purposeguard.values.sealed import Sealed
from purposeguard.values.type_schema import Model, resolve_hints

_MICRO: Final = "us"

_PLAIN: Final[Mapping[object, pa.DataType]] = types.MappingProxyType(
    {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        str: pa.string(),
        bytes: pa.binary(),
        datetime.date: pa.date32(),
        # Without a time zone, a moment could fall on either of two days.
        datetime.datetime: pa.timestamp(_MICRO, "UTC"),
        datetime.time: pa.time64(_MICRO),
        datetime.timedelta: pa.duration(_MICRO),
        pydantic.AwareDatetime: pa.timestamp(_MICRO, "UTC"),
        pydantic.NaiveDatetime: pa.timestamp(_MICRO),
        pydantic.PastDate: pa.date32(),
        pydantic.FutureDate: pa.date32(),
        # Spark stores a Python Decimal of unknown precision like this.
        decimal.Decimal: pa.decimal128(38, 18),
        # UUIDs are stored as text because not every Parquet reader has a type for them.
        uuid.UUID: pa.string(),
        type(None): pa.null(),
    }
)
"""The Arrow types of annotations that have no parameters."""

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
"""Types whose values are stored as text."""


def schema_of(model: object, notice: Revisions, *, spark: bool = False) -> pa.Schema:
    """Return the Arrow schema of a tagged class, with the types of its annotations and its tags.

    A field without a tag is not personal. Moments are in UTC. A `Decimal` without further constraints has 38 digits, 18
    of them after the decimal point. UUIDs, addresses and paths are stored as text.

    Args:
        model: The tagged class.
        notice: The revisions of the notice that the tags refer to.
        spark: Also write the tags into the schema that Spark keeps in Parquet files, as `tagged` does.

    Raises:
        TypeError: `model` is no taggable class, or a field has no Arrow type.
        UnlabelledData, UnknownSource: as `purposeguard.adapters.tags.columns_of`.
    """
    if not is_taggable(model):
        raise TypeError(f"{describe_kind(model)} is no pydantic model, dataclass, TypedDict, NamedTuple or attrs class")
    columns = columns_of(notice, model)
    fields = [stored.field(name, notice, columns[name]) for name, stored in _read_class(model, _Place(notice)).items()]
    return with_spark(pa.schema(fields), notice, spark=spark)


class _Place(NamedTuple):
    """The place of an annotation within a tagged class.

    A place inherits the sources of everything around it, because Arrow can take a field out of its column, and then
    only the field's own tag is read.
    """

    notice: Revisions
    path: str = ""
    """The names of the fields that lead to the annotation."""
    bindings: Mapping[Any, object] = types.MappingProxyType({})
    """The values of type variables."""
    around: tuple[object, ...] = ()
    """The classes and aliases that contain the annotation, used to detect recursion."""
    sources: frozenset[type[Source]] = frozenset()
    """The sources of the annotation and of everything around it."""

    def with_sources(self, sources: Iterable[type[Source]]) -> _Place:
        return self._replace(sources=self.sources.union(sources))


class _Stored(NamedTuple):
    """The Arrow type of an annotation, and the sources to write into its tag."""

    type: pa.DataType
    sources: frozenset[type[Source]]
    inside: frozenset[type[Source]] = frozenset()
    """The sources of all nested fields."""
    is_tagged: bool = True
    """False for a struct or list without sources of its own: its fields bear the tags."""
    nullable: bool = False

    def field(self, name: str, notice: Revisions, column: Tag = Tag()) -> pa.Field:  # noqa: B008  # immutable
        """Return the Arrow field with its tag.

        Args:
            name: The name of the field.
            notice: The revisions of the notice that the tag refers to.
            column: The tag of the table's column, if the field is one. Its `by_row` and `mark` are kept.
        """
        metadata = None
        if self.is_tagged or column.by_row or column.mark is not None:
            label = Label(*self.sources) if self.sources else Label(NotPersonal)
            metadata = {KEY: encode(Tag(label, by_row=column.by_row, mark=column.mark), notice)}
        return pa.field(name, self.type, nullable=self.nullable, metadata=metadata)


def _read_class(cls: type, place: _Place) -> dict[str, _Stored]:
    """Return the stored form of each field of a class, by name.

    Raises:
        TypeError: a field has no Arrow type.
        UnlabelledData: an annotation cannot be resolved, or a tag is where none is read.
    """
    key = (cls, tuple(place.bindings.values()))
    if key in place.around:
        raise TypeError(f"`{place.path}` holds {cls.__qualname__} again, and an Arrow type has an end")
    Model(cls).columns()  # raises for a tag or mark in a place where it would be ignored
    fields: dict[str, _Stored] = {}
    for name, hint in resolve_hints(cls).items():
        path = f"{place.path}.{name}" if place.path else name
        stored = _read(hint, place._replace(path=path, around=(*place.around, key)))
        info = cls.model_fields.get(name) if issubclass(cls, BaseModel) else None
        fields[name] = stored if info is None else _with_digits(stored, info.metadata)
    return fields


def _read(annotation: Any, place: _Place) -> _Stored:
    """Return the stored form of an annotation. Raise the errors of `_read_class`."""
    if isinstance(annotation, TypeVar) and annotation in place.bindings:
        return _read(place.bindings[annotation], place._replace(bindings={}))
    if isinstance(annotation, NewType):
        return _read(annotation.__supertype__, place)
    if isinstance(annotation, ALIASES):
        if annotation in place.around:
            name = cast("Any", annotation).__name__
            raise TypeError(f"`{place.path}` holds {name} again, and an Arrow type has an end")
        return _read(alias_value(annotation), place._replace(around=(*place.around, annotation)))
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        labels = [Label(cast("type[Source]", extra)) for extra in args[1:] if isinstance(extra, TermMeta)]
        labels += [extra for extra in args[1:] if isinstance(extra, Label)]
        return _with_digits(_read(args[0], place.with_sources(Label.join(*labels).sources if labels else ())), args[1:])
    if origin in QUALIFIERS:
        return _read(args[0], place)
    if is_union(annotation):
        return _union(args, place)
    if origin in (Literal, typing_extensions.Literal):
        return _of_values(args, annotation, place)
    if isinstance(origin, type) and issubclass(origin, Sealed):
        return _read(args[0], place.with_sources(_sources_of_seal(args[1], place)))
    return _of_type(annotation, origin, args, place)


def _with_digits(stored: _Stored, constraints: Iterable[Any]) -> _Stored:
    """Return the stored form with the number of digits that pydantic's constraints state, if it is a decimal."""
    if pa.types.is_decimal(stored.type):
        for extra in constraints:
            for constraint in getattr(extra, "metadata", None) or (extra,):  # `Field(max_digits=…)` holds a list
                digits = getattr(constraint, "max_digits", None)
                if digits is not None:
                    places = getattr(constraint, "decimal_places", None) or 0
                    stored = stored._replace(type=pa.decimal128(digits, places))
    return stored


def _sources_of_seal(annotation: Any, place: _Place) -> frozenset[type[Source]]:
    members = get_args(annotation) if is_union(annotation) else (annotation,)
    if not all(isinstance(member, TermMeta) and "clause" in vars(member) for member in members):
        raise UnlabelledData(f"`{place.path}` is sealed and names no source, so nothing says how to tag its column")
    return Label(*members).sources


def _union(args: tuple[Any, ...], place: _Place) -> _Stored:
    """Return the stored form of a union. All members except None must have the same Arrow type."""
    members = [_read(member, place) for member in args if member not in (None, type(None))]
    alike = {member.type for member in members}
    if len(alike) != 1 or (len(members) > 1 and pa.types.is_nested(*alike)):
        raise TypeError(f"`{place.path}` is one of several types, and a column is of one")
    return members[0]._replace(
        sources=frozenset().union(*(member.sources for member in members)),
        nullable=len(members) < len(args) or any(member.nullable for member in members),
    )


def _of_values(values: Iterable[object], annotation: object, place: _Place) -> _Stored:
    """Return the stored form of the values of a literal or an enumeration."""
    classes = {type(value) for value in values if value is not None}
    for base in (bool, int, str, bytes, float):
        if classes and all(issubclass(cls, base) for cls in classes):
            return _Stored(_PLAIN[base], place.sources, nullable=None in values)
    raise _no_type(annotation, place)


def _of_type(annotation: Any, origin: Any, args: tuple[Any, ...], place: _Place) -> _Stored:
    if is_taggable(origin):
        names = getattr(origin, "__parameters__", ())
        values = [place.bindings.get(arg, arg) if isinstance(arg, TypeVar) else arg for arg in args]
        return _struct(origin, place._replace(bindings=dict(zip(names, values, strict=False))))
    if is_taggable(annotation):
        return _struct(annotation, place._replace(bindings={}))
    cls = origin or annotation
    if not isinstance(cls, type):
        raise _no_type(annotation, place)
    if issubclass(cls, enum.Enum):
        return _of_values([member.value for member in cls], annotation, place)
    if args and issubclass(cls, Collection):
        return _container(annotation, cls, [arg for arg in args if arg is not ...], place)
    if cls not in _PLAIN and issubclass(cls, _TEXTS):
        return _Stored(pa.string(), place.sources)
    base = next((base for base in cls.__mro__ if base in _PLAIN), None)
    if base is None:
        raise _no_type(annotation, place)
    return _Stored(_PLAIN[base], place.sources)


def _struct(cls: type, place: _Place) -> _Stored:
    fields = _read_class(cls, place)
    type_ = pa.struct([field.field(name, place.notice) for name, field in fields.items()])
    return _Stored(
        type_, place.sources, _collect_inner_sources(fields.values()), is_tagged=bool(place.sources) or not fields
    )


def _container(annotation: Any, cls: type, args: list[Any], place: _Place) -> _Stored:
    items = [_read(arg, place._replace(path=f"{place.path}[]")) for arg in args]
    if issubclass(cls, Mapping) and len(args) == 2:
        key, value = items
        if key.nullable:
            raise TypeError(f"`{place.path}` may have None for a key, and a map of Arrow may not")
        type_ = pa.map_(key.field("key", place.notice), value.field("value", place.notice))
        # The map itself bears the tags of its items, because Parquet may lose the tags of nested fields.
        return _Stored(type_, place.sources | _collect_inner_sources(items))
    if len(args) != 1 or issubclass(cls, Mapping):
        raise TypeError(f"`{place.path}` is {describe_kind(annotation)}, with items of several types: give it a model")
    type_ = pa.list_(items[0].field("item", place.notice))
    return _Stored(type_, place.sources, _collect_inner_sources(items), is_tagged=bool(place.sources))


def _collect_inner_sources(parts: Iterable[_Stored]) -> frozenset[type[Source]]:
    return frozenset[type[Source]]().union(*(part.sources | part.inside for part in parts))


def _no_type(annotation: object, place: _Place) -> TypeError:
    return TypeError(f"`{place.path}` is {describe_kind(annotation)}, which has no Arrow type: name one that has")
