"""Data that can be read from an object outside of its fields: kept beside them, or computed when it is asked for.

A withheld object must not lead to what was withheld from it. So walks look at cached properties, private and dynamic
attributes and slots as they look at fields, and at what computed fields and annotated properties give.
"""

from __future__ import annotations

import enum
import functools
import inspect
import io
import ipaddress
import pathlib
import types
import uuid
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

import typing_extensions
from pydantic import BaseModel

from purposeguard.containers import drop_none
from purposeguard.errors import UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Source
from purposeguard.policy.violations import PurposeViolation
from purposeguard.values.annotations import PLAIN, Statement, iter_attributes, iter_properties
from purposeguard.values.sealed import Sealed
from purposeguard.values.type_schema import NOBODY, Model, Shape, TagLookup, read_argument_shape
from purposeguard.values.withheld import being_inspected, get_pinned_names

_WITHOUT_STATE: Final = (
    *(type, types.ModuleType, types.FunctionType, property),  # code
    *(enum.Enum, io.IOBase, Sealed),  # constants, streams, and seals, which are checked when they are opened
    *(uuid.UUID, pathlib.PurePath, ipaddress.IPv4Address, ipaddress.IPv6Address),  # common plain values
)
"""Classes whose objects are not searched for data."""

_LIBRARY: Final = __name__.partition(".")[0]

_ORM_STATE: Final = "_sa_"
"""The prefix of the attributes in which SQLAlchemy keeps its own records of an object.

They lead to the session, and so to every object in it.
"""

FAILED: Final = object()
"""A placeholder for the value of a computed field whose code raised an error."""


class StateReader(NamedTuple):
    """A reader of the data that objects of a class hold outside of their fields. It runs no code of the class.

    Attributes:
        attributes: Returns the `__dict__` of an object; None if objects of the class have none.
        names: The names in `__dict__` that are fields, which are looked at as such.
        readers: Functions that return the rest: other slots, private attributes of pydantic, the arguments of errors.
    """

    attributes: Callable[[Any], Mapping[str, Any]] | None
    names: frozenset[str]
    readers: tuple[Callable[[Any], Iterable[Any]], ...]

    @property
    def is_in_dict(self) -> bool:
        """True if the `__dict__` of an object holds all data outside of its fields."""
        return not self.readers

    def values(self, value: Any) -> Collection[Any]:
        """Return the values that an object holds outside of its fields, without plain values."""
        parts: list[Any] = []
        if self.attributes is not None:
            attributes = self.attributes(value)
            if not self.names.issuperset(attributes):
                parts += [part for name, part in attributes.items() if self._is_undeclared(name)]
        for reader in self.readers:
            parts += reader(value)
        return [part for part in parts if type(part) not in PLAIN] if parts else ()

    def _is_undeclared(self, name: str) -> bool:
        return name not in self.names and not name.startswith(_ORM_STATE)


def state_reader(cls: type, fields: Collection[str]) -> StateReader | None:
    """Return a reader of the undeclared state of objects of a class; None if they can hold nothing but their fields."""
    if issubclass(cls, _WITHOUT_STATE) or cls.__module__.partition(".")[0] == _LIBRARY:
        return None
    # The keys of a dict and the fields of a named tuple are no attributes in `__dict__`.
    names: frozenset[str] = frozenset() if issubclass(cls, (dict, tuple)) else frozenset(fields)
    attributes = _attributes_of(cls)
    readers: list[Callable[[Any], Iterable[Any]]] = []
    for slot in _slots_of(cls, names):
        reader = functools.partial(_in_slot, slot)
        readers.append(reader)
    readers += [reader for base, reader in _READERS.items() if issubclass(cls, base)]
    if issubclass(cls, BaseModel) and cls.__private_attributes__:
        readers.append(private_values)
    return StateReader(attributes, names | get_pinned_names(cls), tuple(readers)) if attributes or readers else None


def _in_slot(slot: types.MemberDescriptorType, value: object) -> Iterable[Any]:
    try:
        return (slot.__get__(value),)
    except AttributeError:  # The slot was never set.
        return ()


def private_values(model: Any) -> Iterable[Any]:
    """Return the values of the private attributes of a pydantic model."""
    return (model.__pydantic_private__ or {}).values()


_READERS: Final[Mapping[type, Callable[[Any], Iterable[Any]]]] = types.MappingProxyType(
    {
        BaseException: lambda error: (*error.args, error.__cause__, error.__context__),
        weakref.ref: lambda reference: (reference(),),
        types.MethodType: lambda method: (method.__self__,),
        types.BuiltinMethodType: lambda method: (method.__self__,),
        types.MethodWrapperType: lambda method: (method.__self__,),
    }
)
"""Class → a function that returns the data that its objects keep outside of attributes and slots of Python."""


def _attributes_of(cls: type) -> Callable[[Any], Mapping[str, Any]] | None:
    """Return a function that reads the `__dict__` of objects, even if the class redefines that name."""
    for owner in cls.__mro__:
        member = vars(owner).get("__dict__")
        if isinstance(member, (types.GetSetDescriptorType, types.MemberDescriptorType)):
            return member.__get__
    return None


def _slots_of(cls: type, names: frozenset[str]) -> tuple[types.MemberDescriptorType, ...]:
    slots: list[types.MemberDescriptorType] = []
    for owner in cls.__mro__:
        if owner is BaseModel:  # Its slots are pydantic's records. Private attributes are read by name.
            continue
        for name, member in vars(owner).items():
            if isinstance(member, types.MemberDescriptorType) and name not in names and name not in _NO_DATA:
                slots.append(member)
    return tuple(slots)


_NO_DATA: Final = frozenset({"__dict__", "__weakref__"})


class Computed(NamedTuple):
    """A computed field or property that may return rows.

    Attributes:
        shape: The shape of its annotation.
        label: The label of all that is tagged in it; None if the annotation tags nothing.
        is_decided_by_label: True if it need not be looked at when its label may be used. Fields are always looked at,
            and so are values that may have marks.
    """

    shape: Shape
    label: Label | None
    is_decided_by_label: bool

    @property
    def may_give_anything(self) -> bool:
        """True if its label is not enough for a decision: there is none, or it may return rows with marks."""
        return self.label is None or self.is_marked

    @property
    def is_marked(self) -> bool:
        """True if it may return rows with marks."""
        return self.shape.is_marked


def find_computed_members(model: Model, fields: Mapping[str, Shape]) -> dict[str, Computed]:
    """Return the computed fields and properties of a taggable class from which rows may be read."""
    members: dict[str, Computed] = {}
    if issubclass(model.cls, BaseModel):
        for name in model.cls.model_computed_fields:
            if name in fields and _may_give_rows(fields[name]):
                members[name] = Computed(fields[name], _label_of(fields[name]), is_decided_by_label=False)
    for name, shape in property_shapes(model).items():
        if name not in fields:
            label = _label_of(shape)
            by_label = label is not None and not shape.is_marked
            members[name] = Computed(shape, label, is_decided_by_label=by_label)
    return members


def property_shapes(model: Model) -> dict[str, Shape]:
    """Return the shapes of the properties of a class that are annotated to return tagged or marked rows.

    A property whose annotation cannot be read may return anything.
    """
    shapes: dict[str, Shape] = {}
    seen: set[str] = set()
    itself = Model(model.cls, lookup=model.lookup).shape
    bindings = {**NOBODY, typing_extensions.Self: itself, TagLookup: itself.silent}
    for owner in model.cls.__mro__:
        for statement in (*iter_properties(owner), *_iter_cached_slots(owner)):
            if statement.name in seen or owner is BaseModel:
                continue
            seen.add(statement.name)
            shape = None if statement.missing else _shape_if_read(statement.annotation, bindings)
            if shape is None or _says_anything(shape):
                shapes[statement.name] = shape or Shape()
    return shapes


def _iter_cached_slots(owner: type) -> Iterator[Statement]:
    """Yield the cached properties that attrs has turned into slots. Only their annotations are left."""
    fields = {attribute.name for attribute in vars(owner).get("__attrs_attrs__", ())}
    if fields and "__getattr__" in vars(owner):
        for statement in iter_attributes(owner):
            is_slot = isinstance(vars(owner).get(statement.name), types.MemberDescriptorType)
            if is_slot and statement.name not in fields:
                yield statement


def shapes_beside_fields(shape: Shape) -> list[Shape]:
    """Return the shapes of the properties that may return tagged or marked rows, of all classes in a shape.

    Private attributes are not included: a class with a tagged or marked one is refused.
    """
    shapes: list[Shape] = []
    for model in shape.iter_models():
        shapes += property_shapes(model).values()
    return shapes


def may_hold_unannounced_rows(shape: Shape) -> bool:
    """Return True if a class in a shape has a place for data whose annotation does not say which rows it holds.

    Such places are private attributes and extra keys of pydantic, computed fields and cached properties, and fields
    whose source is not decided.
    """
    return any(map(_has_open_place, shape.iter_models()))


def _has_open_place(model: Model) -> bool:
    cls, fields = model.cls, model.fields()
    if issubclass(cls, BaseModel) and cls.model_config.get("extra") == "allow":
        return True
    if any(field.undecided for field in fields.values()):
        return True
    if any(member.label is None for member in find_computed_members(model, fields).values()):
        return True
    places: set[str] = set(cls.__private_attributes__) if issubclass(cls, BaseModel) else set()
    for owner in cls.__mro__:
        places.update(name for name, member in vars(owner).copy().items() if isinstance(member, cached_property))
    return any(_may_hold_anything(_find_statement(cls, name)) for name in places)


def _find_statement(cls: type, name: str) -> Statement | None:
    """Return the annotation of a private attribute or cached property; None if it has none."""
    for owner in cls.__mro__:
        for statement in (*iter_attributes(owner), *iter_properties(owner)):
            if statement.name == name:
                return statement
    return None


def _may_hold_anything(statement: Statement | None) -> bool:
    """Return True if there is no readable annotation, or if it does not say which rows it stands for."""
    shape = None if statement is None or statement.missing else _shape_if_read(statement.annotation, NOBODY)
    return shape is None or (_may_give_rows(shape) and _label_of(shape) is None)


def label_with(label: Label | None, shapes: Iterable[Shape]) -> Label | None:
    """Join a label with the labels of all that is tagged in these shapes."""
    labels = drop_none((label, *map(_label_of, shapes)))
    return Label.join(*labels) if labels else None


def compute(row: Any, name: str, cls: type | None = None) -> Any:
    """Compute a field of a row. Return FAILED if that raises. No refusal is reported meanwhile.

    With `cls`, the row is an incomplete copy, and the field is computed as objects of `cls` do it.

    Raises:
        PurposeViolation: the code of the field read a withheld field.
    """
    token = being_inspected.set(True)
    try:
        return getattr(row, name) if cls is None else _compute_by_class(row, name, cls)
    except PurposeViolation:
        raise
    except Exception:  # noqa: BLE001  # The application's code may raise anything.
        return FAILED
    finally:
        being_inspected.reset(token)


def _compute_by_class(row: Any, name: str, cls: Any) -> Any:
    member = inspect.getattr_static(cls, name)
    if isinstance(member, types.MemberDescriptorType):  # attrs computes cached properties of slotted classes.
        return cls.__getattr__(row, name)
    return member.__get__(row, cls)


def _shape_if_read(annotation: object, bindings: Mapping[Any, Shape]) -> Shape | None:
    """Return the shape of an annotation; None if the annotation, or a class in it, cannot be read."""
    try:
        shape = read_argument_shape(annotation, bindings)
        _says_anything(shape)
    except UnlabelledData:
        return None
    return shape


def _says_anything(shape: Shape) -> bool:
    """Return True if there is a tag or a mark in a shape, or in the fields of its models."""
    return any(part.tags or part.marks for part in shape.iter_reachable("items", "keys"))


def _label_of(shape: Shape) -> Label | None:
    """Return the label of all tagged plain data in a shape. Seals are decided when they are opened."""
    sources: set[type[Source]] = set()
    for part in shape.iter_reachable("items", "keys"):
        sources.update(part.tags)
    return Label(*sources) if sources else None


def _may_give_rows(shape: Shape) -> bool:
    """Return True if a computed field of this shape may return rows, or if its annotation does not exclude it."""
    for part in shape.iter_parts():
        is_unknown = not (part.says_what or part.plain or part.unread)
        # A subclass of a class without fields may have fields. `Any` is a class, too.
        may_be_derived = any(not issubclass(cls, _WITHOUT_STATE) for cls in part.unread)
        if part.models or is_unknown or may_be_derived:
            return True
    return False
