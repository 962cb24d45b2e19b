"""Annotations of fields: the type without its wrappers, its metadata, and its place in an instance."""

from __future__ import annotations

import dataclasses
import datetime
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, NewType, Self, TypeVar, get_args, get_origin

import annotated_types as at
import typing_extensions
from hypothesis.strategies import SearchStrategy
from pydantic import StringConstraints

from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, TermMeta, is_union
from purposeguard.testing._leaves import Check, fixed
from purposeguard.testing._models import Field, Names, bindings_of, fields_of, resolved, scope_of
from purposeguard.values.annotations import ALIASES, TRANSPARENT, is_taggable
from purposeguard.values.markers import Collected, Ended, Mark, SubjectMark
from purposeguard.values.plan import MISSING, read_field
from purposeguard.values.sealed import Sealed, plain
from purposeguard.values.type_schema import Model, Shape, argument_shape, shape_of


@dataclasses.dataclass(frozen=True, slots=True)
class Spot:
    """A place in a model, and what is known of the value there.

    `path`: as `pg.sources_of` prints it. `names`: the bindings of type variables. `metadata`: the constraints in
    `Annotated`. `check`: whether the field accepts a value. `strategy`: the one that the annotation brings. `marks`:
    the value names a subject or a day. `validates`: the model converts the value; `seals`: it also seals it.
    """

    path: str = ""
    personal: bool = False
    names: Names = dataclasses.field(default_factory=dict)
    metadata: tuple[object, ...] = ()
    check: Check | None = None
    strategy: SearchStrategy[Any] | None = None
    marks: tuple[Mark, ...] = ()
    validates: bool = False
    seals: bool = False

    def but(self, **changes: Any) -> Self:
        """A copy with these attributes changed."""
        return dataclasses.replace(self, **changes)

    def below(self, name: str) -> str:
        """The path of a field of the model at this place."""
        return f"{self.path}.{name}" if self.path else name

    def field(self, field: Field, names: Names) -> Spot:
        """The place of a field of the model at this place."""
        path, does = self.below(field.name), field.validates
        return Spot(path, self.personal, names, check=field.check, validates=does, seals=does)

    def item(self, check: Check | None = None) -> Spot:
        """The place of the items of the container at this place."""
        return Spot(
            f"{self.path}[]",
            self.personal,
            self.names,
            check=check,
            marks=self.marks,
            validates=self.validates,
            seals=self.seals,
        )


def unwrapped(annotation: Any, spot: Spot) -> tuple[Any, Spot]:
    """The annotation without `Annotated`, aliases and type variables, and the place with what these say."""
    while True:
        annotation = resolved(annotation, spot.names)
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *marks = get_args(annotation)
            spot = _with_metadata(spot, marks)
        elif isinstance(annotation, TypeVar):
            annotation = _of_variable(annotation)
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, dataclasses.InitVar):
            annotation = annotation.type
        elif isinstance(annotation, ALIASES):
            annotation = annotation.__value__
        elif isinstance(origin, ALIASES):
            arguments = (resolved(argument, spot.names) for argument in get_args(annotation))
            spot = spot.but(names={**spot.names, **dict(zip(origin.__type_params__, arguments, strict=False))})
            annotation = origin.__value__
        elif origin in TRANSPARENT:
            annotation = get_args(annotation)[0]
        else:
            return annotation, spot


def _with_metadata(spot: Spot, marks: Iterable[object]) -> Spot:
    more = [mark for mark in marks if not isinstance(mark, (TermMeta, Label, Mark))]
    strategies = [mark for mark in more if isinstance(mark, SearchStrategy)]
    return spot.but(
        personal=spot.personal or any(isinstance(mark, (TermMeta, Label)) and mark not in _NO_TAGS for mark in marks),
        metadata=(*(mark for mark in more if not isinstance(mark, SearchStrategy)), *spot.metadata),
        strategy=spot.strategy or (strategies[-1] if strategies else None),
        marks=(*spot.marks, *(mark for mark in marks if isinstance(mark, Mark))),
    )


def _of_variable(variable: Any) -> Any:
    default = getattr(variable, "__default__", typing_extensions.NoDefault)
    if default is not typing_extensions.NoDefault:
        return default
    if variable.__bound__ is not None:
        return variable.__bound__
    return typing.Union[variable.__constraints__] if variable.__constraints__ else object  # noqa: UP007  # known now


def constraints_of_marks(spot: Spot, base: object) -> tuple[object, ...]:
    """The constraints that marks add: a subject's id must be a valid one, a day needs a time zone."""
    if base is str and any(isinstance(mark, SubjectMark) for mark in spot.marks):
        return (_SUBJECT,)
    if base is datetime.datetime and any(mark in (Collected, Ended) for mark in spot.marks):
        return (at.Timezone(...),)
    return ()


_NO_TAGS: Final = (NotPersonal, Label(NotPersonal))
_SUBJECT: Final = StringConstraints(pattern=r"^[0-9A-Za-z]([0-9A-Za-z @._-]{0,30}[0-9A-Za-z])?$")


def models_in(annotations: Iterable[Any]) -> Iterator[type]:
    """The model classes in annotations."""
    for annotation in annotations:
        cls = get_origin(annotation) or annotation
        if is_taggable(cls):
            yield cls
        elif get_origin(annotation) is not None:
            yield from models_in(get_args(annotation))


def holds_personal(annotation: Any, spot: Spot) -> bool:
    """True if an annotation contains a tag or a seal."""
    bindings = {name: argument_shape(value, {}) for name, value in spot.names.items() if not isinstance(value, TypeVar)}
    return shape_of(annotation, bindings).has_tags


def may_be_none(annotation: Any, spot: Spot) -> bool:
    """True if the annotation allows None."""
    annotation, _ = unwrapped(annotation, spot)
    return is_union(annotation) and type(None) in get_args(annotation)


def few_valued(model: Any) -> frozenset[str]:
    """The paths whose type has few values (bool, Literal, Enum): they occur elsewhere by chance."""
    few_at: dict[str, bool] = {}
    for path, leaf in _leaves_of(model, Spot(), ()):
        few_at[path] = few_at.get(path, True) and fixed(leaf) is not None
    return frozenset(path for path, few in few_at.items() if few)


def _leaves_of(annotation: Any, spot: Spot, inside: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    annotation, spot = unwrapped(annotation, spot)
    origin, args = get_origin(annotation), get_args(annotation)
    cls = origin or annotation
    if is_union(annotation):
        for argument in args:
            yield from _leaves_of(argument, spot, inside)
    elif isinstance(cls, type) and issubclass(cls, Sealed):
        yield from _leaves_of(args[0] if args else object, spot, inside)
    elif is_taggable(cls):
        if annotation not in inside:
            bound, bindings = bindings_of(annotation, spot.names)
            scope = scope_of(bound, bindings)
            for field in fields_of(bound):
                yield from _leaves_of(field.annotation, spot.field(field, scope(field.name)), (*inside, annotation))
    elif origin is not None and fixed(annotation) is None:
        yield spot.path, object
        for argument in args[-1:] if isinstance(cls, type) and issubclass(cls, Mapping) else args:
            yield from _leaves_of(argument, spot.item(), inside)
    else:
        yield spot.path, annotation


@dataclasses.dataclass(frozen=True)
class Place:
    """A value and its path, as `pg.sources_of` prints it."""

    path: str
    value: Any
    shape: Shape

    @property
    def content(self) -> Any:
        """The plain value."""
        return plain(self.value) if isinstance(self.value, Sealed) else self.value


def places(instance: Any, model: Any) -> Iterator[Place]:
    """Every value of an instance that its annotation describes, containers before their items."""
    return _places(instance, shape_of(model), "")


def _places(value: Any, shape: Shape, path: str) -> Iterator[Place]:
    if path:
        yield Place(path, value, shape)
    if value is None or isinstance(value, Sealed):
        return
    fields = _fields_of(value, shape)
    if fields is not None:
        for name, inner in fields.items():
            content = read_field(value, name)
            if content is not MISSING:
                yield from _places(content, inner, f"{path}.{name}" if path else name)
        return
    if shape.items is not None:
        for content in _items(value):
            yield from _places(content, shape.items, f"{path}[]")


def _fields_of(value: Any, shape: Shape) -> Mapping[str, Shape] | None:
    """The fields of a model instance, by the annotation of its place; None if the value is no model."""
    for model in shape.models:
        if (isinstance(value, dict) and model.is_mapping) or (not model.is_mapping and isinstance(value, model.cls)):
            return model.fields()
    if is_taggable(type(value)):
        return Model(type(value)).fields()
    return None


def _items(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    # An iterator is left alone: listing it would consume it.
    return list(value) if isinstance(value, Collection) and not isinstance(value, (str, bytes)) else []
