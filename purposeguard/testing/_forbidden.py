"""Which fields of a test's arguments a purpose may not use, and copies with other values in some of them."""

from __future__ import annotations

import inspect
import itertools
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import typing_extensions

from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.testing._models import replaced
from purposeguard.testing._places import _fields_of, places
from purposeguard.values.annotations import is_taggable
from purposeguard.values.personal import Personal
from purposeguard.values.plan import MISSING, read_field
from purposeguard.values.sealed import Sealed, plain
from purposeguard.values.tagging import sources_of
from purposeguard.values.type_schema import Shape, shape_of


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
        hints = {name: one for name, one in getattr(fn, "__annotations__", {}).items() if not isinstance(one, str)}
    return {name: one for name, one in hints.items() if name != "return"}


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
        for one in value:
            inner = model_of(one)
            if inner is not None:
                items: Any = (inner, ...) if isinstance(value, tuple) else inner
                return types.GenericAlias(type(value), items)
    if isinstance(value, dict):
        for one in value.values():
            inner = model_of(one)
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
    found = _at(value, model, path)
    return [plain(one) if isinstance(one, Sealed) else one for one in found]


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
        made = {key: _changed(one, items, f"{path}[]", choose) for key, one in value.items()}
        return made if type(value) is dict else cast("Any", type(value))(made)
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)([_changed(one, items, f"{path}[]", choose) for one in value])
    return value
