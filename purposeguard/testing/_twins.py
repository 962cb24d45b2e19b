"""Copies of instances with other values in some fields: drawn anew, or taken from a twin; all else is the same."""

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
from purposeguard.testing._annotations import Spot, _fields_of, places, taken_apart
from purposeguard.testing._drawing import NOWHERE, Drawing
from purposeguard.testing._leaves import Unsolvable, passes
from purposeguard.testing._models import Field, Names, bindings_of, current, fields_of, made, replaced, scope_of
from purposeguard.values.annotations import is_taggable
from purposeguard.values.personal import Personal
from purposeguard.values.rows import MISSING, read_field
from purposeguard.values.sealed import Pending, Sealed, content, plain
from purposeguard.values.tagging import sources_of
from purposeguard.values.type_schema import Shape, shape_of

_ATTEMPTS: Final = 5
_SPARSE: Final = (1, 3)
"""Attempts in which what is None stays so."""
_BACKWARDS: Final = (2, 3)
"""Attempts in which fields that were alike become what the last of them does, and not the first."""


class Redrawing:
    """Draws anew what stands at `paths`. `differing`: until it is not what it was."""

    def __init__(self, drawing: Drawing, paths: Collection[str], *, differing: bool = True) -> None:
        self._drawing = drawing
        self._paths = frozenset(paths)
        self._differing = differing
        self._again = False
        """Whether what was drawn turned out to be what it was, once a model had made of it what it keeps."""

    def value(self, value: Any, annotation: Any, spot: Spot = NOWHERE) -> Any:
        """The value, or a copy of it with what was drawn."""
        if spot.path in self._paths:
            return self._anew(value, annotation, spot)
        if value is None or isinstance(value, Sealed) or not self._reaches(spot.path):
            return value
        annotation, spot = taken_apart(annotation, spot)
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
        # What is drawn may be the same by chance, and is where everything is as simple as may be: marks are not.
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
        # Sealed here, since it is to be under what the value itself says.
        try:
            drawn = (drawing or self._drawing).value(annotation, spot.but(personal=True, seals=False))
        except Unsolvable as error:
            raise error.at(spot.path) from error
        if isinstance(value, Sealed) and isinstance(drawn, Sealed):
            # Under what the value itself says, which may be less than what its annotation says.
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
            cls, bindings = type(value), ()  # of a subclass, or of another class than was said
            if not is_taggable(cls):
                return value
        fields, scope = fields_of(cls), scope_of(cls, bindings)
        held = current(value, tuple(field.name for field in fields))
        refuses_itself: Callable[[], bool] = functools.cache(lambda: not passes(lambda: made(cls, held)))
        for attempt in range(_ATTEMPTS):
            changes = self._changes(fields, held, spot, scope)
            if not changes:
                return value
            if attempt in _SPARSE:  # validators may count those that are there
                changes = {name: new for name, new in changes.items() if held[name] is not None} or changes
            if attempt:
                changes = _as_alike(held, changes, backwards=attempt in _BACKWARDS)
            last = attempt == _ATTEMPTS - 1
            try:
                whole = made(cls, {**held, **changes})
            except Exception:  # noqa: BLE001  # the application's validators, which may raise anything
                if refuses_itself():  # what it holds cannot be given once more, so no validator can tell
                    return replaced(value, changes)
                continue
            changes = {name: read_field(whole, name) for name in changes}
            self._again = not last and any(
                _same(_content(held[name]), _content(new))
                for name, new in changes.items()
                if self._differing and spot.below(name) in self._paths
            )
            if not self._again:
                return replaced(value, changes)
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
    """The changes, where what was the same in two fields is the same again: validators may ask for it."""
    alike_changes: dict[str, Any] = {}
    for name, new in reversed(changes.items()) if backwards else changes.items():
        like = next((earlier for earlier in alike_changes if _same(held[earlier], held[name])), None)
        alike_changes[name] = new if like is None else alike_changes[like]
    return alike_changes


def _content(value: Any) -> Any:
    """What is in a seal; of one that is yet to be made, what is like nothing. Any other value itself."""
    if not isinstance(value, Sealed):
        return value
    inside = content(value)
    return object() if type(inside) is Pending else inside


def _same(first: Any, other: Any) -> bool:
    if type(first) is not type(other):
        return False
    return first is other or bool(first == other)


def _member_of(value: Any, members: tuple[Any, ...]) -> Any:
    """The member of a union that a value is of."""
    for member in members:
        plain, _ = taken_apart(member, NOWHERE)
        cls = get_origin(plain) or plain
        if isinstance(value, dict) and is_taggable(cls):
            if hasattr(cls, "__required_keys__") and cls.__required_keys__ <= set(value) <= set(cls.__annotations__):
                return member
        elif isinstance(cls, type) and isinstance(value, cls):
            return member
    return next((member for member in members if member is not type(None)), members[0])


@dataclass(frozen=True)
class Fields:
    """What of one argument may not be used: path → label. `model` is its annotation."""

    name: str
    model: Any
    forbidden: Mapping[str, Label]

    def shown(self, path: str) -> str:
        """A path in it as code reads it."""
        return shown_as(self.name, path)


def shown_as(name: str, path: str) -> str:
    """A path in an argument as code reads it: `customer.device`, `customers[].device`."""
    return f"{name}{path}" if not path or path.startswith("[") else f"{name}.{path}"


def annotations_of(fn: Callable[..., Any], local: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The annotations of a function's parameters, as far as they can be read; `local` are the names around it."""
    fn = inspect.unwrap(fn)
    try:
        hints = typing_extensions.get_type_hints(fn, localns=dict(local) if local else None, include_extras=True)
    except (NameError, TypeError):
        hints = {name: hint for name, hint in getattr(fn, "__annotations__", {}).items() if not isinstance(hint, str)}
    return {name: hint for name, hint in hints.items() if name != "return"}


def is_tagged(annotation: Any) -> bool:
    """Whether an annotation is that of a model with tagged fields, or holds one."""
    try:
        return shape_of(annotation).has_tags
    except UnlabelledData:
        return False


def model_of(value: Any, annotation: Any = None) -> Any:
    """What describes a value: its annotation, or else its class, or that of its items; None where nothing does."""
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
    """The fields of a model that may not be used; `decide` says of a label whether it may."""
    return {path: label for path, label in sources_of(model).items() if not decide(label)}


def present(value: Any, fields: Fields) -> bool:
    """Whether a value has any of these fields: an empty list has none."""
    return "" in fields.forbidden or any(place.path in fields.forbidden for place in places(value, fields.model))


def values_at(value: Any, model: Any, path: str) -> list[Any]:
    """What stands in a field, at each place that has its path."""
    contents = _at(value, model, path)
    return [plain(item) if isinstance(item, Sealed) else item for item in contents]


def _at(value: Any, model: Any, path: str) -> list[Any]:
    return [place.value for place in places(value, model) if place.path == path] if path else [value]


def grafted(value: Any, donor: Any, model: Any, paths: Collection[str]) -> Any:
    """`value`, with what `donor`, which is its twin, has at these paths."""
    theirs: dict[str, Iterator[Any]] = {}
    for path in paths:
        theirs[path] = iter(_at(donor, model, path))
    return _changed(value, shape_of(model), "", lambda path, old: next(theirs[path], old) if path in theirs else _LEFT)


def alike(value: Any, model: Any, paths: Collection[str]) -> Any:
    """`value`, with the same everywhere in the places of each path: whether two are equal may make a difference."""
    first: dict[str, Any] = {}
    return _changed(
        value, shape_of(model), "", lambda path, old: first.setdefault(path, old) if path in paths else _LEFT
    )


def placed(value: Any, model: Any, path: str, index: int, new: Any) -> Any:
    """`value`, with another one at one of the places of a path; sealed like the one before where that is sealed."""
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
    """`value`, with what `choose` gives for its places; nothing is looked at in what it has chosen."""
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
        return replaced(value, changes) if changes else value
    items = shape.items
    if items is None:
        return value
    if isinstance(value, Mapping):
        made = {key: _changed(item, items, f"{path}[]", choose) for key, item in value.items()}
        return made if type(value) is dict else cast("Any", type(value))(made)
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)([_changed(item, items, f"{path}[]", choose) for item in value])
    return value
