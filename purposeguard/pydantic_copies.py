"""What copies of pydantic models need beside what all copies do: pydantic goes past the attributes of a class."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic_core import CoreSchema, PydanticUndefined, SchemaSerializer

from purposeguard.errors import PurposeViolation
from purposeguard.withheld import base_of, left_out_of, record_of, visible_of


def fresh_private(declared: Mapping[str, Any]) -> dict[str, Any] | None:
    """Pydantic's private attributes as a new object would have them, save those made from the fields' values."""
    found: dict[str, Any] = {}
    for name, one in declared.items():
        if one.default_factory is None:
            found[name] = copy.deepcopy(one.default)
        elif not getattr(one, "default_factory_takes_validated_data", False):
            found[name] = one.default_factory()
    return {name: value for name, value in found.items() if value is not PydanticUndefined} if declared else None


def visible_items(self: Any) -> Iterator[tuple[str, Any]]:
    """The fields that are left, as pydantic asks for them to print."""
    return iter(visible_of(self).items())


def _model_dump(self: Any, **options: Any) -> Any:
    return _leaving_out(self, base_of(self).model_dump, options)


def _model_dump_json(self: Any, **options: Any) -> Any:
    return _leaving_out(self, base_of(self).model_dump_json, options)


def _leaving_out(self: Any, dump: Callable[..., Any], options: dict[str, Any]) -> Any:
    """A dump that also leaves out what cannot be read, or computed, without what was withheld."""
    dataclasses_in: set[int] = set()
    unreadable = unreadable_in(self, dataclasses_in)
    if not unreadable:
        return dump(self, **options)
    token = left_out_of.set(frozenset(dataclasses_in))
    try:
        return dump(self, **{**options, "exclude": _both(options.get("exclude"), unreadable)})
    finally:
        left_out_of.reset(token)


def unreadable_in(value: Any, copies: set[int] | None = None) -> dict[Any, Any]:
    """What a dump of `value` has to leave out, in pydantic's form: `{"full_name": True, "orders": {0: {…}}}`.

    `copies` gets the identities of dataclasses from which something was withheld.
    """
    found: dict[Any, Any] = {}
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, (list, tuple)):
        items = enumerate(value)
    elif hasattr(type(value), "__purposeguard_withheld__"):
        found = dict.fromkeys(_unreadable_fields(value), True)
        items = visible_of(value).items()
        if copies is not None and dataclasses.is_dataclass(value):
            copies.add(id(value))
    elif isinstance(value, dict):
        items = value.items()
    for key, item in items:
        below = unreadable_in(item, copies)
        if below:
            found[key] = below
    return found


def _unreadable_fields(copied: Any) -> Iterator[str]:
    """What pydantic would ask a copy for that it cannot say: fields of dataclasses, and computed ones of models."""
    if dataclasses.is_dataclass(copied):
        yield from record_of(copied).decisions
    elif isinstance(copied, BaseModel):
        for name in type(copied).model_computed_fields:
            try:
                getattr(copied, name)
            except PurposeViolation:
                yield name


def _both(asked: Any, ours: dict[Any, Any]) -> dict[Any, Any]:
    """What a caller wants left out, and what has to be."""
    given: dict[Any, Any] = dict(asked) if isinstance(asked, Mapping) else dict.fromkeys(asked or (), True)
    every = given.get("__all__")
    for key, value in ours.items():
        known = given.get(key, every)
        if known is True or known is ... or value is True:
            given[key] = True
        else:
            given[key] = _both(known, value)
    return given


def _pydantic_setattr(self: Any, name: str, value: Any) -> None:
    _must_be_left(self, name)
    base_of(self).__setattr__(self, name, value)


def _pydantic_delattr(self: Any, name: str) -> None:
    _must_be_left(self, name)
    base_of(self).__delattr__(self, name)


def _must_be_left(instance: Any, name: str) -> None:
    # pydantic sets its fields past the attributes of the class.
    if name in record_of(instance).decisions:
        raise AttributeError(f"`{name}` is withheld here and cannot be set")


def _pydantic_str(self: Any) -> str:
    return " ".join(f"{name}={value!r}" for name, value in visible_of(self).items())


class OwnSerializer:
    """The serialiser of a copy's class, made when it is first asked for: the base's, for instances of the copy's.

    With the base's own, pydantic would ask the class of the value for a serialiser of its own without end, where it is
    told to write each object as what it is (`polymorphic_serialization`).
    """

    __slots__ = ()

    def __get__(self, instance: object, owner: Any) -> SchemaSerializer:
        base = owner.__bases__[-1]
        schema = _for_class(base.__pydantic_core_schema__, owner, ())
        own: SchemaSerializer = base.__pydantic_serializer__ if schema is None else SchemaSerializer(schema)
        type.__setattr__(owner, "__pydantic_serializer__", own)
        return own


def _for_class(schema: Mapping[str, Any], cls: type, definitions: Iterable[Mapping[str, Any]]) -> CoreSchema | None:
    """The schema of a model as that of a subclass; None where it is of a kind that a class has made for itself."""
    changed: Any = {key: value for key, value in schema.items() if key != "ref"}
    if schema["type"] in {"model", "dataclass"}:
        return cast("CoreSchema", {**changed, "cls": cls})
    if schema["type"] == "definition-ref":
        found = next(one for one in definitions if one["ref"] == schema["schema_ref"])
        return _for_class(found, cls, definitions)
    if "schema" not in schema:
        return None
    inner = _for_class(schema["schema"], cls, schema.get("definitions", definitions))
    return None if inner is None else cast("CoreSchema", {**changed, "schema": inner})


METHODS: Final = {
    "__str__": _pydantic_str,
    "__repr_args__": visible_items,
    "__setattr__": _pydantic_setattr,
    "__delattr__": _pydantic_delattr,
    "model_dump": _model_dump,
    "model_dump_json": _model_dump_json,
    "__pydantic_serializer__": OwnSerializer(),
}
"""The methods of a copy's class that are its own."""
