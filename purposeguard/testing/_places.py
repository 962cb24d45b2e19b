"""Where values lie in an instance: by their paths, read, or replaced in a copy."""

from __future__ import annotations

import collections
import dataclasses
import inspect
import itertools
import operator
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import typing_extensions
from pydantic import BaseModel

from purposeguard.containers import exclude, intersect, omit_keys
from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal
from purposeguard.testing._models import has_field, with_fields
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
    return copy_with(value, zip(value, made, strict=True) if isinstance(value, Mapping) else made)


def copy_with(value: Any, items: Iterable[Any]) -> Any:
    """Return a container of the same kind with these items, for a mapping pairs."""
    if isinstance(value, collections.defaultdict):
        return collections.defaultdict(value.default_factory, items)
    return cast("Any", type(value))(dict(items) if isinstance(value, Mapping) else items)


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
    """The parts of one argument that may not be used, by `forbidden_in`: path → label. `model` is its annotation."""

    name: str
    model: Any
    forbidden: Mapping[str, Label]

    @property
    def tagged(self) -> list[str]:
        """The paths of the fields that have tags, without containers and optional values that only hold some."""
        return intersect(self.forbidden, sources_of(self.model))

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
    """Return what a model has that may not be used: path → label.

    These are tagged fields, and containers and optional values without a tag of their own whose tagged contents are
    all forbidden: how many items there are, or whether there is a value, is then known from forbidden data alone.

    Args:
        decide: Judges a label.
        model: The model, or an annotation that contains one.
    """
    forbidden = {path: label for path, label in sources_of(model).items() if not decide(label)}
    for path, shape in structures_of(model).items():
        labels = _list_labels_inside(shape)
        if labels and not any(map(decide, labels)):
            forbidden[path] = Label.join(*labels)
    return forbidden


def structures_of(model: Any) -> dict[str, Shape]:
    """Return the containers and optional values in a model that hold tagged data and have no tag: path → shape."""
    root, tagged = read_shape(model), sources_of(model)
    shapes = {"": root}
    for path, shape in root.walk():  # Both members of a union may have the field.
        shapes[path] = shapes[path] | shape if path in shapes else shape
    structures: dict[str, Shape] = {}
    for path, shape in shapes.items():
        holder, _, name = path.rpartition(".")
        may_be_unset = any(_may_be_unset(inner.cls, name) for inner in shapes[holder].models)
        structure = dataclasses.replace(shape, varies=shape.varies or may_be_unset)
        if structure.holds_untagged(path, tagged):
            structures[path] = structure
    return structures


def _may_be_unset(cls: type, name: str) -> bool:
    """Return True if it shows in instances of a class whether a field was set to its default."""
    field = cls.model_fields.get(name) if issubclass(cls, BaseModel) else None
    return field is not None and not field.is_required()


def _list_labels_inside(shape: Shape) -> list[Label]:
    """Return the label of each tagged field in a value; none if that of a sealed field is not known."""
    labels: dict[Label, None] = {}
    for inner in shape.iter_reachable("items", "keys", "within"):
        if inner.sealed and not inner.seal:
            return []
        if inner.tags | inner.seal:
            labels[Label(*inner.tags, *inner.seal)] = None
    return exclude(labels, [Label(NotPersonal)])


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
    """Return a copy of `value` with the values of `donor`, its twin, at these paths.

    A container with other items, and a value that is present in one of both alone, are taken as a whole, at their own
    path only.
    """
    merge = _TwinMerge(frozenset(paths), frozenset(sources_of(model)))
    return merge.merge(value, donor, read_shape(model), "")


@dataclasses.dataclass(frozen=True)
class _TwinMerge:
    """Copies the parts of a twin at some `paths`. `tagged`: the paths that have tags."""

    paths: frozenset[str]
    tagged: frozenset[str]

    def merge(self, value: Any, donor: Any, shape: Shape, path: str) -> Any:
        """Return the value with the parts of its twin, or itself if none differs."""
        if path in self.paths & self.tagged:
            return donor
        if value is None or donor is None:
            return donor if path in self.paths else value
        if isinstance(value, Sealed):
            return value
        fields = _fields_of(value, shape)
        if fields is not None:
            return self._merge_fields(value, donor, fields, path)
        contents = shape.contents
        if contents is None or isinstance(value, (str, bytes)) or not isinstance(value, Collection):
            return value
        if _has_other_items(value, donor):
            return donor if path in self.paths else value
        pairs = zip(*(each.values() if isinstance(each, Mapping) else each for each in (value, donor)), strict=True)
        return with_items(value, [(old, self.merge(old, new, contents, f"{path}[]")) for old, new in pairs])

    def _merge_fields(self, value: Any, donor: Any, fields: Mapping[str, Shape], path: str) -> Any:
        changes: dict[str, Any] = {}
        absent: list[str] = []
        for name, inner in fields.items():
            below = f"{path}.{name}" if path else name
            old, new = read_field(value, name), read_field(donor, name)
            shows_absent = isinstance(value, (dict, BaseModel))
            if shows_absent and below in self.paths and has_field(value, name) != has_field(donor, name):
                if new is not MISSING:
                    changes[name] = new
                if not has_field(donor, name):
                    absent.append(name)
            elif old is not MISSING and new is not MISSING:
                merged = self.merge(old, new, inner, below)
                if merged is not old:
                    changes[name] = merged
        return with_fields(value, changes, absent) if changes or absent else value


def _has_other_items(value: Any, donor: Any) -> bool:
    """Return True if a container and its twin do not have one item for each: more, fewer, or another order."""
    if isinstance(value, Mapping):
        return list(value) != list(donor)
    if len(value) != len(donor) or not isinstance(value, Sequence):
        return len(value) != len(donor)
    return value != donor and all(map(_is_same, value, reversed(donor)))


def _is_same(item: Any, other: Any) -> bool:
    return item is other or bool(item == other)


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
