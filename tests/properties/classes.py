"""Classes of every kind that carries tags, made of the annotations of their fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import attrs
from pydantic import ConfigDict, create_model
from typing_extensions import TypedDict

import purposeguard as pg

KINDS: Final = ("pydantic", "dataclass", "attrs", "NamedTuple", "TypedDict")
NAMED: Final[Any] = NamedTuple
TYPED: Final[Any] = TypedDict


def make_class(kind: str, name: str, hints: Mapping[str, Any], base: Any = None, module: str = __name__) -> Any:
    """Make a class of one of these kinds, or a `PersonalModel`. Named tuples and typed dicts have no base."""
    if kind in {"pydantic", "PersonalModel"}:
        fields: Any = {field: (hint, ...) for field, hint in hints.items()}
        base = base or (pg.PersonalModel if kind == "PersonalModel" else None)
        config = ConfigDict(arbitrary_types_allowed=True) if base is None else None
        return create_model(name, __base__=base, __config__=config, __module__=module, **fields)
    if kind == "dataclass":
        return dataclasses.make_dataclass(name, hints.items(), bases=(base,) if base else ())
    if kind == "attrs":
        made = {field: attrs.field(type=hint) for field, hint in hints.items()}
        return attrs.make_class(name, made, bases=(base or object,), slots=False)
    return NAMED(name, list(hints.items())) if kind == "NamedTuple" else TYPED(name, dict(hints))
