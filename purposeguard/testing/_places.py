"""Where values lie in an instance: by their paths, read, or replaced in a copy."""

from __future__ import annotations

import collections
import dataclasses
import inspect
import itertools
import operator
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, cast

import typing_extensions

from purposeguard.containers import omit_keys
from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.testing._models import with_fields
from purposeguard.values.annotations import is_taggable
from purposeguard.values.personal import Personal
from purposeguard.values.plan import MISSING, read_field
from purposeguard.values.sealed import Sealed, compute_plain_value
from purposeguard.values.tagging import sources_of
from purposeguard.values.type_schema import Model, Shape, read_shape

# ---- Walking ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class FieldPlace:
    """A value and its path, as `pg.sources_of` prints it."""

    path: str
    value: Any
    shape: Shape

    @property
    def content(self) -> Any:
        """The plain value."""
        return compute_plain_value(self.value) if isinstance(self.value, Sealed) else self.value


def places(instance: Any, model: Any) -> list[FieldPlace]:
    """Return every value of an instance that its annotation describes, containers before their items."""
    seen: list[FieldPlace] = []

    def see(path: str, value: Any, shape: Shape) -> Any:
        if path:
            seen.append(FieldPlace(path, value, shape))
        return _ENTERED

    _replace_places(instance, read_shape(model), "", see)
    return seen


_ENTERED: Final = object()
"""Chosen for a value that stays, and whose parts are visited."""


def _replace_places(value: Any, shape: Shape, path: str, choose: Callable[[str, Any, Shape], Any]) -> Any:
    """Return a copy of `value` with what `choose` returns for each place; itself where nothing is another object."""
    chosen = choose(path, value, shape)
    if chosen is not _ENTERED:
        return chosen
    if value is None or isinstance(value, Sealed):
        return value
    fields = _fields_of(value, shape)
    if fields is not None:
        changes: dict[str, Any] = {}
        for name, inner in fields.items():
            old = read_field(value, name)
            if old is not MISSING:
                new = _replace_places(old, inner, f"{path}.{name}" if path else name, choose)
                if new is not old:
                    changes[name] = new
        return with_fields(value, changes) if changes else value
    # An iterator is left alone: listing it would consume it.
    contents = shape.contents
    if contents is None or isinstance(value, (str, bytes)) or not isinstance(value, Collection):
        return value
    items = value.values() if isinstance(value, Mapping) else value
    return with_items(value, [(item, _replace_places(item, contents, f"{path}[]", choose)) for item in items])


def with_items(value: Any, items: list[tuple[Any, Any]]) -> Any:
    """Return a container with other items, given as (old, new) in its order; itself where each is the same object."""
    made = list(map(operator.itemgetter(1), items))
    if all(new is old for old, new in items):
        return value
    if not isinstance(value, Mapping):
        return cast("Any", type(value))(made)
    pairs = dict(zip(value, made, strict=True))
    if isinstance(value, collections.defaultdict):
        return collections.defaultdict(value.default_factory, pairs)
    return cast("Any", type(value))(pairs)


def _fields_of(value: Any, shape: Shape) -> Mapping[str, Shape] | None:
    """Return the fields of a model instance, by the annotation of its place; None if the value is no model."""
    for model in shape.models:
        if (isinstance(value, dict) and model.is_mapping) or (not model.is_mapping and isinstance(value, model.cls)):
            return model.fields()
    if is_taggable(type(value)):
        return Model(type(value)).fields()
    return None


def replace_places(value: Any, model: Any, choose: Callable[[FieldPlace], Any]) -> Any:
    """Return a copy of a value with what `choose` returns for each place; None keeps a place and visits its parts."""

    def replace(path: str, old: Any, shape: Shape) -> Any:
        new = choose(FieldPlace(path, old, shape)) if path else None
        return _ENTERED if new is None else new

    return _replace_places(value, read_shape(model), "", replace)


# ---- The fields that may not be used ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class FieldPlaces:
    """The fields of one argument that may not be used: path → label. `model` is its annotation."""

    name: str
    model: Any
    forbidden: Mapping[str, Label]

    def format_path(self, path: str) -> str:
        """Return a path in the argument as code writes it."""
        return path_in_code(self.name, path)


def path_in_code(name: str, path: str) -> str:
    """Return a path in an argument as code writes it: `customer.device`, `customers[].device`."""
    return f"{name}{path}" if not path or path.startswith("[") else f"{name}.{path}"


def annotations_of(fn: Callable[..., Any], local: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the annotations of a function's parameters, as far as they resolve; `local`: the names in scope."""
    fn = inspect.unwrap(fn)
    try:
        hints = typing_extensions.get_type_hints(fn, localns=dict(local) if local else None, include_extras=True)
    except (NameError, TypeError):
        hints = {name: hint for name, hint in getattr(fn, "__annotations__", {}).items() if not isinstance(hint, str)}
    return omit_keys(hints, ("return",))


def is_tagged(annotation: Any) -> bool:
    """Return True if an annotation is, or contains, a model with tagged fields."""
    try:
        return read_shape(annotation).has_tags
    except UnlabelledData:
        return False


def model_of(value: Any, annotation: Any = None) -> Any:
    """Return the model of a value: its annotation, its class, or that of its items; None if it has no tagged fields."""
    if annotation is not None and is_tagged(annotation):
        return annotation
    if is_taggable(type(value)):
        return type(value) if is_tagged(type(value)) else None
    if isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            inner = model_of(item)
            if inner is not None:
                items: Any = (inner, ...) if isinstance(value, tuple) else inner
                return types.GenericAlias(type(value), items)
    if isinstance(value, dict):
        for item in value.values():
            inner = model_of(item)
            if inner is not None:
                return types.GenericAlias(dict, (Any, inner))
    return None


def forbidden_in(decide: Callable[[Label], object], model: Any) -> dict[str, Label]:
    """Return the fields of a model that may not be used: path → label. `decide` judges a label."""
    return {path: label for path, label in sources_of(model).items() if not decide(label)}


def has_any(value: Any, fields: FieldPlaces) -> bool:
    """Return True if a value has any of these fields: an empty list has none."""
    return "" in fields.forbidden or any(place.path in fields.forbidden for place in places(value, fields.model))


def values_at(value: Any, model: Any, path: str) -> list[Any]:
    """Return the plain values at a path."""
    return list(map(_to_plain_value, _at(value, model, path)))


def _to_plain_value(value: Any) -> Any:
    return compute_plain_value(value) if isinstance(value, Sealed) else value


def _at(value: Any, model: Any, path: str) -> list[Any]:
    if not path:
        return [value]
    return [place.value for place in places(value, model) if place.path == path]


def with_values_of(value: Any, donor: Any, model: Any, paths: Collection[str]) -> Any:
    """Return a copy of `value` with the values of `donor`, its twin, at these paths."""
    theirs: dict[str, Iterator[Any]] = {}
    for path in paths:
        theirs[path] = iter(_at(donor, model, path))

    def choose(path: str, old: Any, _: Shape) -> Any:
        return next(theirs[path], old) if path in theirs else _ENTERED

    return _replace_places(value, read_shape(model), "", choose)


def with_equal_values(value: Any, model: Any, paths: Collection[str]) -> Any:
    """Return a copy of `value` in which all values at a path are equal: code may compare them."""
    first: dict[str, Any] = {}

    def choose(path: str, old: Any, _: Shape) -> Any:
        return first.setdefault(path, old) if path in paths else _ENTERED

    return _replace_places(value, read_shape(model), "", choose)


def with_value_at(value: Any, model: Any, path: str, index: int, new: Any) -> Any:
    """Return a copy of `value` with `new` at the `index`-th place of a path, sealed if the old value is."""
    places_seen = itertools.count()

    def choose(at: str, old: Any, _: Shape) -> Any:
        if at != path:
            return _ENTERED
        if next(places_seen) != index:
            return old
        return Personal(new, old.label) if isinstance(old, Sealed) else new

    return _replace_places(value, read_shape(model), "", choose)
