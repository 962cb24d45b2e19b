"""Copies of instances with other values in some fields, drawn anew or taken from a twin."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import itertools
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, get_args, get_origin

import typing_extensions
from hypothesis import reject

from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import is_union
from purposeguard.testing._annotations import Spot, _fields_of, places, unwrapped
from purposeguard.testing._drawing import NOWHERE, Drawing
from purposeguard.testing._leaves import Unsolvable, passes
from purposeguard.testing._models import (
    Field,
    Names,
    bindings_of,
    field_values,
    fields_of,
    instantiate,
    scope_of,
    with_fields,
)
from purposeguard.values.annotations import is_taggable
from purposeguard.values.personal import Personal
from purposeguard.values.plan import MISSING, read_field
from purposeguard.values.sealed import Pending, Sealed, content, plain
from purposeguard.values.tagging import sources_of
from purposeguard.values.type_schema import Shape, shape_of

_ATTEMPTS: Final = 5
_SPARSE: Final = (1, 3)
"""Attempts in which fields that are None stay None."""
_BACKWARDS: Final = (2, 3)
"""Attempts in which equal fields take the new value of the last of them, not of the first."""


class Redrawing:
    """Draws new values at `paths`; with `differing`, until they differ from the old ones."""

    def __init__(self, drawing: Drawing, paths: Collection[str], *, differing: bool = True) -> None:
        self._drawing = drawing
        self._paths = frozenset(paths)
        self._differing = differing
        self._again = False
        """True if the model converted the new value to the old one, so another must be drawn."""

    def value(self, value: Any, annotation: Any, spot: Spot = NOWHERE) -> Any:
        """The value, or a copy with new values at `paths`."""
        if spot.path in self._paths:
            return self._anew(value, annotation, spot)
        if value is None or isinstance(value, Sealed) or not self._reaches(spot.path):
            return value
        annotation, spot = unwrapped(annotation, spot)
        if is_union(annotation):
            return self.value(value, _member_of(value, get_args(annotation)), spot)
        if is_taggable(get_origin(annotation) or annotation):
            return self._model(value, annotation, spot)
        if isinstance(value, Mapping):
            return self._mapping(value, get_args(annotation), spot)
        if isinstance(value, (collections.abc.Sequence, collections.abc.Set)) and not isinstance(value, (str, bytes)):
            return self._items(value, get_args(annotation), spot)
        return value

    def _reaches(self, path: str) -> bool:
        below = (f"{path}.", f"{path}[") if path else ("",)
        return any(own.startswith(below) for own in self._paths)

    def _anew(self, value: Any, annotation: Any, spot: Spot) -> Any:
        before = _content(value)
        if not self._differing:
            return self._drawn(value, annotation, spot)
        # A drawn value may equal the old one, and does when both are the simplest; marked values differ.
        drawings = [self._drawing.marked() for _ in range(_ATTEMPTS)]
        for drawing in drawings if self._again else (self._drawing, *drawings):
            drawing.avoid = (before,)
            try:
                drawn = self._drawn(value, annotation, spot, drawing)
            finally:
                drawing.avoid = ()
            if not _same(before, _content(drawn)):
                return drawn
        return value

    def _drawn(self, value: Any, annotation: Any, spot: Spot, drawing: Drawing | None = None) -> Any:
        # Not sealed by the model: the new value keeps the label of the old one.
        try:
            drawn = (drawing or self._drawing).value(annotation, spot.but(personal=True, seals=False))
        except Unsolvable as error:
            raise error.at(spot.path) from error
        if isinstance(value, Sealed) and isinstance(drawn, Sealed):
            # The value's own label, which may have fewer sources than the annotation.
            return Personal(_content(drawn), value.label)
        return drawn

    def _mapping(self, value: Mapping[Any, Any], args: tuple[Any, ...], spot: Spot) -> Any:
        inner = args[-1] if args else object
        items = {key: self.value(item, inner, spot.item()) for key, item in value.items()}
        if all(items[key] is item for key, item in value.items()):
            return value
        if isinstance(value, collections.defaultdict):
            return collections.defaultdict(value.default_factory, items)
        return cast("Any", type(value))(items)

    def _items(self, value: Collection[Any], args: tuple[Any, ...], spot: Spot) -> Any:
        fixed = isinstance(value, tuple) and bool(args) and args[-1] is not ...
        inner = args if fixed else (args[:1] or (object,)) * len(value)
        items = [self.value(item, inner[index], spot.item()) for index, item in enumerate(value)]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return cast("Any", type(value))(items)

    def _model(self, value: Any, annotation: Any, spot: Spot) -> Any:
        cls, bindings = bindings_of(annotation, spot.names)
        if not isinstance(value, dict) and type(value) is not cls:
            cls, bindings = type(value), ()  # a subclass, or a class other than the annotated one
            if not is_taggable(cls):
                return value
        fields, scope = fields_of(cls), scope_of(cls, bindings)
        held = field_values(value, tuple(field.name for field in fields))
        refuses_itself: Callable[[], bool] = functools.cache(lambda: not passes(lambda: instantiate(cls, held)))
        for attempt in range(_ATTEMPTS):
            changes = self._changes(fields, held, spot, scope)
            if not changes:
                return value
            if attempt in _SPARSE:  # validators may count the fields that are present
                changes = {name: new for name, new in changes.items() if held[name] is not None} or changes
            if attempt:
                changes = _as_alike(held, changes, backwards=attempt in _BACKWARDS)
            last = attempt == _ATTEMPTS - 1
            try:
                whole = instantiate(cls, {**held, **changes})
            except Exception:  # noqa: BLE001  # the application's validators, which may raise anything
                if refuses_itself():  # the old values are refused too, so validation says nothing
                    return with_fields(value, changes)
                continue
            changes = {name: read_field(whole, name) for name in changes}
            self._again = not last and any(
                _same(_content(held[name]), _content(new))
                for name, new in changes.items()
                if self._differing and spot.below(name) in self._paths
            )
            if not self._again:
                return with_fields(value, changes)
        return reject()

    def _changes(
        self, fields: Sequence[Field], held: Mapping[str, Any], spot: Spot, scope: Callable[[str], Names]
    ) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        for field in fields:
            if field.name in held:
                new = self.value(held[field.name], field.annotation, spot.field(field, scope(field.name)))
                if new is not held[field.name]:
                    changes[field.name] = new
        return changes


def _as_alike(held: Mapping[str, Any], changes: dict[str, Any], *, backwards: bool) -> dict[str, Any]:
    """The changes, with fields equal that were equal before: validators may require it."""
    alike_changes: dict[str, Any] = {}
    for name, new in reversed(changes.items()) if backwards else changes.items():
        like = next((earlier for earlier in alike_changes if _same(held[earlier], held[name])), None)
        alike_changes[name] = new if like is None else alike_changes[like]
    return alike_changes


def _content(value: Any) -> Any:
    """The plain value; for a pending seal, an object that equals nothing."""
    if not isinstance(value, Sealed):
        return value
    inside = content(value)
    return object() if type(inside) is Pending else inside


def _same(first: Any, other: Any) -> bool:
    if type(first) is not type(other):
        return False
    return first is other or bool(first == other)


def _member_of(value: Any, members: tuple[Any, ...]) -> Any:
    """The member of a union that a value belongs to."""
    for member in members:
        plain, _ = unwrapped(member, NOWHERE)
        cls = get_origin(plain) or plain
        if isinstance(value, dict) and is_taggable(cls):
            if hasattr(cls, "__required_keys__") and cls.__required_keys__ <= set(value) <= set(cls.__annotations__):
                return member
        elif isinstance(cls, type) and isinstance(value, cls):
            return member
    return next((member for member in members if member is not type(None)), members[0])


@dataclass(frozen=True)
class Fields:
    """The fields of one argument that may not be used: path → label. `model` is its annotation."""

    name: str
    model: Any
    forbidden: Mapping[str, Label]

    def shown(self, path: str) -> str:
        """A path in the argument as code writes it."""
        return path_in_code(self.name, path)


def path_in_code(name: str, path: str) -> str:
    """A path in an argument as code writes it: `customer.device`, `customers[].device`."""
    return f"{name}{path}" if not path or path.startswith("[") else f"{name}.{path}"


def annotations_of(fn: Callable[..., Any], local: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The annotations of a function's parameters, as far as they resolve; `local`: the names in scope."""
    fn = inspect.unwrap(fn)
    try:
        hints = typing_extensions.get_type_hints(fn, localns=dict(local) if local else None, include_extras=True)
    except (NameError, TypeError):
        hints = {name: hint for name, hint in getattr(fn, "__annotations__", {}).items() if not isinstance(hint, str)}
    return {name: hint for name, hint in hints.items() if name != "return"}


def is_tagged(annotation: Any) -> bool:
    """True if an annotation is, or contains, a model with tagged fields."""
    try:
        return shape_of(annotation).has_tags
    except UnlabelledData:
        return False


def model_of(value: Any, annotation: Any = None) -> Any:
    """The model of a value: its annotation, its class, or that of its items; None if it has no tagged fields."""
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
    """The fields of a model that may not be used: path → label. `decide` judges a label."""
    return {path: label for path, label in sources_of(model).items() if not decide(label)}


def has_any(value: Any, fields: Fields) -> bool:
    """True if a value has any of these fields: an empty list has none."""
    return "" in fields.forbidden or any(place.path in fields.forbidden for place in places(value, fields.model))


def values_at(value: Any, model: Any, path: str) -> list[Any]:
    """The plain values at a path."""
    contents = _at(value, model, path)
    return [plain(item) if isinstance(item, Sealed) else item for item in contents]


def _at(value: Any, model: Any, path: str) -> list[Any]:
    return [place.value for place in places(value, model) if place.path == path] if path else [value]


def with_values_of(value: Any, donor: Any, model: Any, paths: Collection[str]) -> Any:
    """A copy of `value` with the values of `donor`, its twin, at these paths."""
    theirs: dict[str, Iterator[Any]] = {}
    for path in paths:
        theirs[path] = iter(_at(donor, model, path))
    return _changed(value, shape_of(model), "", lambda path, old: next(theirs[path], old) if path in theirs else _LEFT)


def with_equal_values(value: Any, model: Any, paths: Collection[str]) -> Any:
    """A copy of `value` in which all values at a path are equal: code may compare them."""
    first: dict[str, Any] = {}
    return _changed(
        value, shape_of(model), "", lambda path, old: first.setdefault(path, old) if path in paths else _LEFT
    )


def with_value_at(value: Any, model: Any, path: str, index: int, new: Any) -> Any:
    """A copy of `value` with `new` at the `index`-th place of a path, sealed if the old value is."""
    places_seen = itertools.count()

    def choose(at: str, old: Any) -> Any:
        if at != path:
            return _LEFT
        if next(places_seen) != index:
            return old
        return Personal(new, old.label) if isinstance(old, Sealed) else new

    return _changed(value, shape_of(model), "", choose)


_LEFT: Final = object()


def _changed(value: Any, shape: Shape, path: str, choose: Callable[[str, Any], Any]) -> Any:
    """A copy of `value` with what `choose` returns for each path; chosen values are not entered."""
    chosen = choose(path, value)
    if chosen is not _LEFT:
        return chosen
    if value is None or isinstance(value, Sealed):
        return value
    fields = _fields_of(value, shape)
    if fields is not None:
        changes: dict[str, Any] = {}
        for name, inner in fields.items():
            old = read_field(value, name)
            if old is not MISSING:
                new = _changed(old, inner, f"{path}.{name}" if path else name, choose)
                if new is not old:
                    changes[name] = new
        return with_fields(value, changes) if changes else value
    items = shape.items
    if items is None:
        return value
    if isinstance(value, Mapping):
        made = {key: _changed(item, items, f"{path}[]", choose) for key, item in value.items()}
        return made if type(value) is dict else cast("Any", type(value))(made)
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)([_changed(item, items, f"{path}[]", choose) for item in value])
    return value
