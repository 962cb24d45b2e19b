"""Arrow schemas of tagged classes: the Arrow type of each field's annotation, and its tags."""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import pathlib
import types
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, NewType, TypeVar, cast, get_args, get_origin

import pyarrow as pa
import pydantic
import typing_extensions
from pydantic import BaseModel

from purposeguard.adapters.arrow.tags import with_spark
from purposeguard.adapters.tags import KEY, NOT_PERSONAL_TAG, Revisions, Tag, columns_of, encode
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
    fields = _make_fields(_read_class(model, _AnnotationPlace(notice)), notice, columns_of(notice, model))
    return with_spark(pa.schema(fields), notice, spark=spark)


def _make_fields(
    stored_fields: Mapping[str, _Stored], notice: Revisions, columns: Mapping[str, Tag] = types.MappingProxyType({})
) -> list[pa.Field]:
    """Return the Arrow fields of a class with their tags. `columns` has the tags of columns, if they are columns."""
    return [stored.field(name, notice, columns.get(name, NOT_PERSONAL_TAG)) for name, stored in stored_fields.items()]


class _AnnotationPlace(NamedTuple):
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

    def with_sources(self, sources: Iterable[type[Source]]) -> _AnnotationPlace:
        """Return the same place with more sources."""
        return self._replace(sources=self.sources.union(sources))

    def with_bindings(self, bindings: Mapping[Any, object]) -> _AnnotationPlace:
        """Return the same place with other values of type variables."""
        return self._replace(bindings=bindings)

    def in_alias(self, alias: object) -> _AnnotationPlace:
        """Return the place of the value of a type alias."""
        return self._replace(around=(*self.around, alias))

    def in_field(self, name: str, key: object) -> _AnnotationPlace:
        """Return the place of a field of a class. The key stands for the class with its type arguments."""
        path = f"{self.path}.{name}" if self.path else name
        return self._replace(path=path, around=(*self.around, key))

    def in_items(self) -> _AnnotationPlace:
        """Return the place of the items of a container."""
        return self._replace(path=f"{self.path}[]")


class _Stored(NamedTuple):
    """The Arrow type of an annotation, and the sources to write into its tag."""

    type: pa.DataType
    sources: frozenset[type[Source]]
    inside: frozenset[type[Source]] = frozenset()
    """The sources of all nested fields."""
    is_tagged: bool = True
    """False for a struct or list without sources of its own: its fields bear the tags."""
    nullable: bool = False

    def with_digits(self, digits: int, places: int) -> _Stored:
        """Return the stored form as a decimal with so many digits, some of them after the decimal point."""
        return self._replace(type=pa.decimal128(digits, places))

    def field(self, name: str, notice: Revisions, column: Tag = NOT_PERSONAL_TAG) -> pa.Field:
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


def _read_class(cls: type, place: _AnnotationPlace) -> dict[str, _Stored]:
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
        stored = _read(hint, place.in_field(name, key))
        info = cls.model_fields.get(name) if issubclass(cls, BaseModel) else None
        fields[name] = stored if info is None else _apply_constraints(stored, info.metadata)
    return fields


def _read(annotation: Any, place: _AnnotationPlace) -> _Stored:
    """Return the stored form of an annotation. Raise the errors of `_read_class`."""
    if isinstance(annotation, TypeVar) and annotation in place.bindings:
        return _read(place.bindings[annotation], place.with_bindings({}))
    if isinstance(annotation, NewType):
        return _read(annotation.__supertype__, place)
    if isinstance(annotation, ALIASES):
        if annotation in place.around:
            name = cast("Any", annotation).__name__
            raise TypeError(f"`{place.path}` holds {name} again, and an Arrow type has an end")
        return _read(alias_value(annotation), place.in_alias(annotation))
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        stored = _read(args[0], place.with_sources(_sources_of_tags(args[1:])))
        return _apply_constraints(stored, args[1:])
    if origin in QUALIFIERS:
        return _read(args[0], place)
    if isinstance(origin, type) and issubclass(origin, Sealed):
        return _read(args[0], place.with_sources(_sources_of_seal(args[1], place)))
    return _read_type(annotation, place)


def _sources_of_tags(extras: Iterable[object]) -> Iterable[type[Source]]:
    """Return the sources that the extras of an `Annotated` name."""
    labels: list[Label] = []
    for extra in extras:
        if isinstance(extra, TermMeta):
            labels.append(Label(cast("type[Source]", extra)))
        elif isinstance(extra, Label):
            labels.append(extra)
    return Label.join(*labels).sources if labels else ()


def _apply_constraints(stored: _Stored, constraints: Iterable[Any]) -> _Stored:
    """Return the stored form with the number of digits that pydantic's constraints state, if it is a decimal."""
    if pa.types.is_decimal(stored.type):
        for extra in constraints:
            for constraint in getattr(extra, "metadata", None) or (extra,):  # `Field(max_digits=…)` holds a list
                digits = getattr(constraint, "max_digits", None)
                if digits is not None:
                    places = getattr(constraint, "decimal_places", None) or 0
                    stored = stored.with_digits(digits, places)
    return stored


def _sources_of_seal(annotation: Any, place: _AnnotationPlace) -> frozenset[type[Source]]:
    """Return the sources that the type of a sealed value names."""
    members = get_args(annotation) if is_union(annotation) else (annotation,)
    for member in members:
        if not isinstance(member, TermMeta) or "clause" not in vars(member):
            raise UnlabelledData(f"`{place.path}` is sealed and names no source, so nothing says how to tag its column")
    return Label(*members).sources


def _read_type(annotation: Any, place: _AnnotationPlace) -> _Stored:
    """Return the stored form of a type without qualifiers, tags and seals."""
    origin, args = get_origin(annotation), get_args(annotation)
    if is_union(annotation):
        return _read_union(args, place)
    if origin in (Literal, typing_extensions.Literal):
        return _read_values(args, annotation, place)
    if is_taggable(origin):
        bindings: dict[Any, object] = {}
        for parameter, arg in zip(getattr(origin, "__parameters__", ()), args, strict=False):
            bindings[parameter] = place.bindings.get(arg, arg) if isinstance(arg, TypeVar) else arg
        return _read_struct(origin, place.with_bindings(bindings))
    if is_taggable(annotation):
        return _read_struct(annotation, place.with_bindings({}))
    cls = origin or annotation
    if not isinstance(cls, type):
        raise _no_type(annotation, place)
    if args and issubclass(cls, Collection) and not issubclass(cls, enum.Enum):
        item_types = args[:-1] if args[-1] is ... else args
        return _read_container(annotation, cls, item_types, place)
    return _read_plain_class(cls, annotation, place)


def _read_plain_class(cls: type, annotation: object, place: _AnnotationPlace) -> _Stored:
    """Return the stored form of a class that has no fields and no items."""
    if issubclass(cls, enum.Enum):
        return _read_values([member.value for member in cls], annotation, place)
    if cls not in _PLAIN and issubclass(cls, _TEXTS):
        return _Stored(pa.string(), place.sources)
    for base in cls.__mro__:
        if base in _PLAIN:
            return _Stored(_PLAIN[base], place.sources)
    raise _no_type(annotation, place)


def _read_union(args: tuple[Any, ...], place: _AnnotationPlace) -> _Stored:
    """Return the stored form of a union. All members except None must have the same Arrow type."""
    members: list[_Stored] = []
    sources: set[type[Source]] = set()
    nullable = False
    for arg in args:
        if arg in (None, type(None)):
            nullable = True
        else:
            member = _read(arg, place)
            members.append(member)
            sources |= member.sources
            nullable = nullable or member.nullable
    arrow_types = {member.type for member in members}
    if len(arrow_types) != 1 or (len(members) > 1 and pa.types.is_nested(*arrow_types)):
        raise TypeError(f"`{place.path}` is one of several types, and a column is of one")
    first = members[0]
    return _Stored(first.type, frozenset(sources), first.inside, is_tagged=first.is_tagged, nullable=nullable)


def _read_values(values: Sequence[object], annotation: object, place: _AnnotationPlace) -> _Stored:
    """Return the stored form of the values of a literal or an enumeration."""
    classes = set(map(type, values)) - {type(None)}
    for base in (bool, int, str, bytes, float):
        if classes and all(issubclass(cls, base) for cls in classes):
            return _Stored(_PLAIN[base], place.sources, nullable=None in values)
    raise _no_type(annotation, place)


def _read_struct(cls: type, place: _AnnotationPlace) -> _Stored:
    """Return the stored form of a nested class."""
    fields = _read_class(cls, place)
    return _Stored(
        pa.struct(_make_fields(fields, place.notice)),
        place.sources,
        _collect_inner_sources(fields.values()),
        is_tagged=bool(place.sources) or not fields,
    )


def _read_container(annotation: Any, cls: type, item_types: Sequence[Any], place: _AnnotationPlace) -> _Stored:
    """Return the stored form of a mapping, or of a collection whose items have one type."""
    items = [_read(item_type, place.in_items()) for item_type in item_types]
    if issubclass(cls, Mapping) and len(items) == 2:
        key, value = items
        if key.nullable:
            raise TypeError(f"`{place.path}` may have None for a key, and a map of Arrow may not")
        type_ = pa.map_(key.field("key", place.notice), value.field("value", place.notice))
        # The map itself bears the tags of its items, because Parquet may lose the tags of nested fields.
        return _Stored(type_, place.sources | _collect_inner_sources(items))
    if len(items) != 1 or issubclass(cls, Mapping):
        raise TypeError(f"`{place.path}` is {describe_kind(annotation)}, with items of several types: give it a model")
    type_ = pa.list_(items[0].field("item", place.notice))
    return _Stored(type_, place.sources, _collect_inner_sources(items), is_tagged=bool(place.sources))


def _collect_inner_sources(parts: Iterable[_Stored]) -> frozenset[type[Source]]:
    """Return the sources of nested fields or items, and of everything in them."""
    sources: set[type[Source]] = set()
    for part in parts:
        sources |= part.sources | part.inside
    return frozenset(sources)


def _no_type(annotation: object, place: _AnnotationPlace) -> TypeError:
    return TypeError(f"`{place.path}` is {describe_kind(annotation)}, which has no Arrow type: name one that has")
