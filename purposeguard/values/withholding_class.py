"""Classes of copies without withheld fields, and the instances of them.

A copy is an instance of a subclass of the class of its original, made for it, so `isinstance` holds and methods work.
It does not hold the withheld values in any form: reading one raises.
"""

from __future__ import annotations

import abc
import collections
import copy
import dataclasses
import functools
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

from pydantic import BaseModel

from purposeguard.errors import UnlabelledData
from purposeguard.values import pydantic
from purposeguard.values.annotations import can_have_statements, is_attrs, is_namedtuple
from purposeguard.values.withheld import (
    GONE,
    PINNED,
    ClassCache,
    Pinned,
    RefusingAttribute,
    WithheldRecord,
    get_pinned_names,
    get_pinned_values,
    list_declared_fields,
    original_class,
    visible_fields,
    withheld_record,
)

_HEAP_TYPE: Final = 1 << 9
"""The flag of classes that are written in Python."""

_INIT_VAR: Final = dataclasses._FIELD_INITVAR  # type: ignore[attr-defined]  # There is no public way to recognize an `InitVar`.


NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class _AttrsFields(tuple[Any, ...]):
    """The attributes of an attrs class, by position and by name, as `attrs.fields` gives them."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        for attribute in self:
            if attribute.name == name:
                return attribute
        raise AttributeError(name)


def make_withholding_class(
    cls: Any, fields: tuple[str, ...], record: WithheldRecord, pinned: Collection[str] = frozenset()
) -> type:
    """Make a subclass of `cls` for copies without the fields that `record` denies.

    Args:
        cls: The class of the object that is copied.
        fields: All declared fields of the class.
        record: The decisions about the withheld fields. Reading one of them raises.
        pinned: Computed fields whose values the copies keep as they were when the object was inspected.

    Raises:
        UnlabelledData: instances of `cls` may hold data where it cannot be withheld.
    """
    namespace: dict[str, Any] = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__purposeguard_withheld__": record,
        "__purposeguard_fields__": fields,
        "__eq__": _is_equal,
        "__ne__": _is_unequal,
        "__hash__": _hash if cls.__hash__ is not None else None,
        "__copy__": _copy,
        "__deepcopy__": _deepcopy,
        "__reduce_ex__": _reduce,
    }
    if (not cls.__dictoffset__ and not pinned) or issubclass(cls, BaseModel):
        namespace["__slots__"] = ()
    if pinned:
        namespace |= {name: Pinned(name) for name in pinned} | {PINNED: frozenset(pinned)}
    if not issubclass(cls, dict):
        _refuse_foreign_storage(cls)
        namespace |= {name: RefusingAttribute(name) for name in record.decisions}
        namespace |= {"__repr__": _repr, "__str__": _repr, "__format__": _format}
    namespace |= _members_by_kind(cls, fields, record.decisions)
    bases = (_InitSubclassShield, cls)
    if issubclass(cls, BaseModel):
        # Pydantic's metaclass would build a new schema, but the parent's is enough.
        return cast("type", abc.ABCMeta.__new__(type(cls), cls.__name__, bases, namespace))
    return cast("type", type(cls)(cls.__name__, bases, namespace))


def _refuse_foreign_storage(cls: type) -> None:
    """Raise UnlabelledData if a base that is written in C may hold the data of an object."""
    if is_namedtuple(cls):
        return
    for base in cls.__mro__:
        if not base.__flags__ & _HEAP_TYPE and base is not object:
            raise UnlabelledData(
                f"{cls.__qualname__} is a {base.__name__} and may hold its data there, where it cannot be withheld"
            )


def _members_by_kind(cls: Any, fields: tuple[str, ...], denied: Container[str]) -> Mapping[str, Any]:
    """Return the methods and attributes that the class of a copy needs because of the kind of the copied class."""
    if issubclass(cls, dict):
        return _DICT_METHODS
    if issubclass(cls, BaseModel):
        return pydantic.METHODS
    match_args = _drop_names(getattr(cls, "__match_args__", ()), denied)
    if is_namedtuple(cls):
        return {"__match_args__": match_args, **_TUPLE_METHODS, "_fields": _drop_names(fields, denied)}
    members: dict[str, Any] = {"__match_args__": match_args, "__init__": _init}
    if hasattr(cls, "__dataclass_fields__"):
        names = _drop_names(cls.__dataclass_fields__, denied)
        members["__dataclass_fields__"] = {name: cls.__dataclass_fields__[name] for name in names}
    if hasattr(cls, "__pydantic_serializer__"):  # This is a pydantic dataclass.
        members["__pydantic_serializer__"] = pydantic.OwnSerializer()
    if is_attrs(cls):
        visible = (attribute for attribute in cls.__attrs_attrs__ if attribute.name not in denied)
        members["__attrs_attrs__"] = _AttrsFields(visible)
    return members


def _drop_names(names: Iterable[str], denied: Container[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in denied)


class _InitSubclassShield:
    """A base before the copied class that keeps its `__init_subclass__` from running for the copy's class."""

    __slots__ = ()

    def __init_subclass__(cls, **_kwargs: object) -> None: ...


def extra_state(value: Any) -> dict[str, Any]:
    """Return the state that an object keeps besides its values: the fields that were set, or its default factory."""
    if isinstance(value, BaseModel):
        return {"fields_set": set(value.__pydantic_fields_set__)}
    if isinstance(value, collections.defaultdict):
        return {"default_factory": value.default_factory}
    return {}


def fill(cls: type, visible: Mapping[str, Any], beside: Mapping[str, Any], pinned: Mapping[str, Any] = NOTHING) -> Any:
    """Make an instance of a class, perhaps from `make_withholding_class`, with these values and no others."""
    instance = get_filler(cls)(visible, beside)
    if pinned:
        instance.__dict__.update(pinned)
    return instance


Filler = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]

_FILLER: Final = "__purposeguard_filler__"
"""The attribute in which a class keeps the function that makes instances of it."""


def get_filler(cls: type) -> Filler:
    """Return a function that makes instances of a class from their values and extra state. Cached in the class."""
    filler: Filler | None = vars(cls).get(_FILLER)
    if filler is None:
        filler = _make_filler(cls)
        if can_have_statements(cls):  # Classes that are written in C have no attributes of their own.
            type.__setattr__(cls, _FILLER, filler)
    return filler


def _make_filler(cls: type) -> Filler:
    model: Any = cls
    if issubclass(cls, dict):
        return functools.partial(_fill_dict, cls)
    if issubclass(cls, tuple):
        names = model.__purposeguard_fields__
        return lambda visible, _: tuple.__new__(cls, [visible.get(name, GONE) for name in names])
    if issubclass(cls, BaseModel):
        return pydantic.make_pydantic_filler(cls)
    # Iterate over a copy: another thread may store an attribute in the class meanwhile.
    by_methods: set[str] = set()
    for base in cls.__mro__:
        by_methods.update(name for name, member in vars(base).copy().items() if hasattr(type(member), "__set__"))
    if hasattr(cls, "_sa_class_manager"):  # SQLAlchemy reads its attributes from `__dict__`.
        by_methods.clear()

    def fill_instance(visible: Mapping[str, Any], _beside: Mapping[str, Any]) -> Any:
        instance: Any = object.__new__(cls)
        if cls.__dictoffset__ and by_methods.isdisjoint(visible):
            instance.__dict__.update(visible)
        else:
            for name, value in visible.items():
                object.__setattr__(instance, name, value)
        return instance

    return fill_instance


def _fill_dict(cls: Any, visible: Mapping[str, Any], beside: Mapping[str, Any]) -> Any:
    # Only the methods of OrderedDict keep its order.
    kind: Any = collections.OrderedDict if issubclass(cls, collections.OrderedDict) else dict
    instance = kind.__new__(cls)
    kind.update(instance, visible)
    if "default_factory" in beside:
        instance.default_factory = beside["default_factory"]
    return instance


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={value!r}" for name, value in visible_fields(self).items())
    return f"{original_class(self).__qualname__}({fields})"


def _format(self: Any, spec: str) -> str:
    return format(str(self), spec)


def _comparison_key(instance: Any) -> tuple[object, ...]:
    return original_class(instance), frozenset(withheld_record(instance).decisions), visible_fields(instance)


def _is_equal(self: Any, other: Any) -> bool:
    # A copy equals no object that has the field: otherwise comparisons would reveal the value.
    return hasattr(type(other), "__purposeguard_withheld__") and _comparison_key(self) == _comparison_key(other)


def _is_unequal(self: Any, other: Any) -> bool:
    return not _is_equal(self, other)


def _hash(self: Any) -> int:
    base, denied, visible = _comparison_key(self)
    return hash((base, denied, tuple(cast("dict[str, Any]", visible).items())))


def _copy(self: Any) -> Any:
    return fill(type(self), visible_fields(self), extra_state(self), get_pinned_values(self))


def _deepcopy(self: Any, memo: dict[int, Any] | None = None) -> Any:
    visible, pinned = copy.deepcopy((visible_fields(self), get_pinned_values(self)), memo)
    return fill(type(self), visible, extra_state(self), pinned)


class _State(NamedTuple):
    """The state of a pickled copy.

    Attributes:
        visible: Field → value.
        beside: The extra state, as `extra_state` returns it.
        pinned_names: The names of the computed fields whose values copies of this class keep.
        pinned: Computed field → value.
    """

    visible: dict[str, Any]
    beside: dict[str, Any]
    pinned_names: tuple[str, ...]
    pinned: dict[str, Any]


def _reduce(self: Any, _protocol: int) -> tuple[Any, ...]:
    names = tuple(sorted(get_pinned_names(type(self))))
    state = _State(visible_fields(self), extra_state(self), names, get_pinned_values(self))
    return _restore_copy, (original_class(self), list_declared_fields(self), withheld_record(self), state)


_known = ClassCache()


def _restore_copy(cls: type, fields: tuple[str, ...], record: WithheldRecord, state: _State) -> Any:
    """Restore a copy that was pickled. Reading a withheld field raises as before, but is not recorded in the ledger."""
    why = tuple((name, decision.headline) for name, decision in record.decisions.items())
    key = (cls, fields, why, record.activity, record.function, state.pinned_names)
    copy_class = _known.get(key, lambda: make_withholding_class(cls, fields, record, state.pinned_names))
    return fill(copy_class, state.visible, state.beside, state.pinned)


def _init(self: Any, **changes: Any) -> None:
    """Set the fields that are left by name, as the `__init__` that `dataclasses.replace` and `attrs.evolve` call."""
    denied = withheld_record(self).decisions
    declared: dict[str, Any] = getattr(type(self), "__dataclass_fields__", {})
    aliases = {attribute.alias: attribute.name for attribute in getattr(type(self), "__attrs_attrs__", ())}
    for name, value in changes.items():
        field = aliases.get(name, name)
        if name in declared and declared[name]._field_type is _INIT_VAR:
            continue  # An `InitVar` is only an argument of the original `__init__`, which does not run.
        if field in denied or field not in list_declared_fields(self):
            raise TypeError(
                f"{original_class(self).__qualname__}: `{field}` is withheld or no field and cannot be given"
            )
        object.__setattr__(self, field, value)
    for name, spec in declared.items():
        if not spec.init and name not in changes:
            if spec.default is not dataclasses.MISSING:
                object.__setattr__(self, name, spec.default)
            elif spec.default_factory is not dataclasses.MISSING:
                object.__setattr__(self, name, spec.default_factory())


def _dict_missing(self: Any, key: Any) -> Any:
    if key in withheld_record(self).decisions:
        withheld_record(self).refuse(key)
    inherited = getattr(super(type(self), self), "__missing__", None)
    if inherited is None:
        raise KeyError(key)
    return inherited(key)


def _dict_get(self: Any, key: Any, default: Any = None) -> Any:
    return self[key] if key in self or key in withheld_record(self).decisions else default


def _dict_pop(self: Any, key: Any, *default: Any) -> Any:
    if key not in self and key in withheld_record(self).decisions:
        withheld_record(self).refuse(key)
    return dict.pop(self, key, *default)


def _dict_setdefault(self: Any, key: Any, default: Any = None) -> Any:
    if key not in self and key in withheld_record(self).decisions:
        withheld_record(self).refuse(key)
    return dict.setdefault(self, key, default)


_DICT_METHODS: Final = {
    "__missing__": _dict_missing,
    "get": _dict_get,
    "pop": _dict_pop,
    "setdefault": _dict_setdefault,
    "copy": _copy,
}


def _tuple_iter(self: Any) -> Iterator[Any]:
    return (item for item in tuple.__iter__(self) if item is not GONE)


def _tuple_len(self: Any) -> int:
    return sum(1 for _ in _tuple_iter(self))


def _tuple_getitem(self: Any, index: Any) -> Any:
    item = tuple.__getitem__(self, index)
    if item is GONE:
        withheld_record(self).refuse(list_declared_fields(self)[index])
    return tuple(part for part in item if part is not GONE) if isinstance(index, slice) else item


def _tuple_replace(self: Any, /, **changes: Any) -> Any:
    visible = visible_fields(self)
    unknown = sorted(changes.keys() - visible.keys())
    if unknown:
        raise TypeError(
            f"{original_class(self).__qualname__}: {', '.join(unknown)} withheld or no fields and cannot be given"
        )
    return fill(type(self), visible | changes, {}, get_pinned_values(self))


_TUPLE_METHODS: Final = {
    "__iter__": _tuple_iter,
    "__len__": _tuple_len,
    "__getitem__": _tuple_getitem,
    "_replace": _tuple_replace,
    "__replace__": _tuple_replace,
}
