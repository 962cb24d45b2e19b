"""The places in a model's instance where its annotation says that something is."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from purposeguard.values.annotations import is_taggable
from purposeguard.values.plan import MISSING, read_field
from purposeguard.values.sealed import Sealed, plain
from purposeguard.values.type_schema import Model, Shape, shape_of


@dataclasses.dataclass(frozen=True)
class Place:
    """A value with the path at which it is, as `pg.sources_of` prints it."""

    path: str
    value: Any
    shape: Shape

    @property
    def content(self) -> Any:
        """The value; of a sealed one, what is in it."""
        return plain(self.value) if isinstance(self.value, Sealed) else self.value


def places(instance: Any, model: Any) -> Iterator[Place]:
    """Every value of an instance that its annotation describes, those that hold others before what they hold."""
    return _places(instance, shape_of(model), "")


def _places(value: Any, shape: Shape, path: str) -> Iterator[Place]:
    if path:
        yield Place(path, value, shape)
    if value is None or isinstance(value, Sealed):
        return
    fields = _fields_of(value, shape)
    if fields is not None:
        for name, inner in fields.items():
            one = read_field(value, name)
            if one is not MISSING:
                yield from _places(one, inner, f"{path}.{name}" if path else name)
        return
    if shape.items is not None:
        for one in _items(value):
            yield from _places(one, shape.items, f"{path}[]")


def _fields_of(value: Any, shape: Shape) -> Mapping[str, Shape] | None:
    """The fields of a model's instance by the annotation of its place."""
    for model in shape.models:
        if (isinstance(value, dict) and model.is_mapping) or (not model.is_mapping and isinstance(value, model.cls)):
            return model.fields()
    if is_taggable(type(value)):
        return Model(type(value)).fields()
    return None


def _items(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    # An iterator would be used up by that.
    return list(value) if isinstance(value, Collection) and not isinstance(value, (str, bytes)) else []
