"""The `__dict__` of mapped objects: what keeps FastAPI, pydantic and encoders from writing denied columns.

They read the `__dict__` of an object, where SQLAlchemy stores loaded values, as `vars()` and `copy` do.
`guard_dict` puts a descriptor into a mapped class, so that each reader gets only what the purpose under way may use.
SQLAlchemy itself gets the dictionary as it is, except in functions that return its values to their caller.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, MutableMapping
from types import FrameType
from typing import Any, Final, Protocol

from sqlalchemy.orm import attributes
from sqlalchemy.orm.base import DEFAULT_STATE_ATTR
from sqlalchemy.orm.state import AttributeState, InstanceState

from purposeguard.containers import omit_keys
from purposeguard.values.plan import RAW_DICT

_INSIDE: Final = (
    "sqlalchemy.",
    "purposeguard.adapters.sqlalchemy.forgetting",
    "purposeguard.adapters.sqlalchemy.loading",
    "purposeguard.adapters.sqlalchemy.object_dicts",
    "purposeguard.adapters.sqlalchemy.objects",
    "purposeguard.adapters.sqlalchemy.reads",
)
"""The modules that keep loaded values in the dictionary, or check them themselves."""

_WITHHOLDING: Final = "purposeguard."
"""Modules that decide about each field of a row themselves, and leave out what is denied."""

_PRINTING: Final = frozenset({"__repr__", "__repr_args__", "__rich_repr__", "__pretty__", "__str__", "__format__"})
"""Functions that print an object. They get a copy without the attributes that may not be read."""

_ONE_ENTRY: Final = frozenset(
    {"__get__", "__set__", "__setattr__", "__delattr__", "_model_field_setattr_handler", "<lambda>"}
)
"""Functions that read or write one entry, such as `cached_property`. They work even if another entry is denied."""


def _code_of(function: Any) -> Any:
    return getattr(getattr(function, "fget", function), "__code__", None)


_STATE_DICT: Final = _code_of(vars(InstanceState)["dict"])
_GET_HISTORY: Final = _code_of(InstanceState.get_history)
_HAND_OUT: Final = frozenset(
    {_GET_HISTORY, _code_of(vars(AttributeState)["loaded_value"]), _code_of(attributes.get_attribute)}
)
"""Functions of SQLAlchemy that return one value to any caller."""

_EXAMINED: Final = _HAND_OUT | {_STATE_DICT}


class ObjectChecks(Protocol):
    """The checks of the attributes of an object."""

    def is_current(self, instance: Any, state: Any) -> bool:
        """Return True if all values of the object were loaded for the use under way."""
        ...

    def counts_reads(self, state: Any) -> bool:
        """Return True if each read of an attribute is reported, although it is allowed."""
        ...

    def find_hidden(self, instance: Any, state: Any, *, replaced: bool) -> frozenset[str]:
        """Return the attributes that the use under way may not read.

        If `replaced` is True, include attributes whose values before a change may not be read.
        """
        ...

    def read(self, instance: Any, state: Any, key: str, *, replaced: bool) -> Any:
        """Read one attribute. Raise the refusal if it may not be read."""
        ...

    def read_allowed(self, instance: Any, state: Any) -> dict[str, Any]:
        """Return the values of the object without the attributes that the use under way may not read."""
        ...

    def read_all(self, instance: Any, state: Any) -> None:
        """Read each attribute that was loaded. Raise the first refusal."""
        ...


def guard_dict(cls: Any, checks: ObjectChecks) -> None:
    """Check whoever reads the `__dict__` of objects of a mapped class. A second call changes nothing.

    `type` refuses to assign a descriptor with this name. So the descriptor is put into the namespace of the class, and
    the following assignment makes the interpreter look the name up anew.
    """
    if RAW_DICT in vars(cls):
        return
    raw = getattr(cls, RAW_DICT, None)
    if raw is None:
        raw = next(vars(base)["__dict__"] for base in cls.__mro__ if "__dict__" in vars(base))
    (namespace,) = gc.get_referents(vars(cls))
    namespace["__dict__"] = guarded = _GuardedDict(raw, checks)
    type.__setattr__(cls, RAW_DICT, raw)
    if cls.__getstate__ is object.__getstate__:  # `object.__getstate__` does not read the attribute `__dict__`.
        type.__setattr__(cls, "__getstate__", guarded.make_getstate())


class _GuardedDict:
    """The descriptor `__dict__` of a guarded class."""

    __slots__ = ("_checks", "_raw")

    def __init__(self, raw: Any, checks: ObjectChecks) -> None:
        self._raw = raw
        self._checks = checks

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        values: dict[str, Any] = self._raw.__get__(instance)
        caller = sys._getframe(1)
        if caller.f_code not in _EXAMINED and caller.f_globals.get("__name__", "").startswith(_INSIDE):
            return values  # This is the usual case.
        reader = _reader_outside(caller)
        if reader is None:
            return values
        state = values.get(DEFAULT_STATE_ATTR)
        if state is None or (self._checks.is_current(instance, state) and reader.f_code is not _GET_HISTORY):
            return values
        return self._visible(instance, state, values, reader)

    def make_getstate(self) -> Callable[[Any], Any]:
        """Return a `__getstate__`, which `copy` and `pickle` call, that checks the object first."""

        def get_state(instance: Any) -> Any:
            state = self._raw.__get__(instance).get(DEFAULT_STATE_ATTR)
            if state is not None and not self._checks.is_current(instance, state):
                self._checks.read_all(instance, state)
            return object.__getstate__(instance)

        return get_state

    def __set__(self, instance: Any, values: Any) -> None:
        self._raw.__set__(instance, values)

    def __delete__(self, instance: Any) -> None:
        self._raw.__delete__(instance)

    def _visible(self, instance: Any, state: Any, values: dict[str, Any], reader: FrameType) -> Any:
        if _module_of(reader).startswith(_WITHHOLDING):
            return self._checks.read_allowed(instance, state)
        replaced = reader.f_code is _GET_HISTORY
        hidden = self._checks.find_hidden(instance, state, replaced=replaced)
        if hidden:
            name = reader.f_code.co_name
            if name in _PRINTING:
                return omit_keys(values, hidden)
            if name in _ONE_ENTRY or reader.f_code in _HAND_OUT or not _is_read_by_c(type(instance)):
                return _CheckedDict(self._checks, instance, values, hidden, replaced=replaced)
        if reader.f_code.co_name in _ONE_ENTRY and self._checks.counts_reads(state):
            return values  # It reads or writes an entry of its own, which must not count as a read of all others.
        self._checks.read_all(instance, state)
        return values


def _reader_outside(frame: FrameType | None) -> FrameType | None:
    """Return the frame that reads a dictionary for code outside; None if SQLAlchemy reads it for itself."""
    if frame is not None and frame.f_code is _STATE_DICT:
        frame = frame.f_back
    if frame is None or frame.f_code in _HAND_OUT:
        return frame
    return None if _module_of(frame).startswith(_INSIDE) else frame


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_read_by_c(cls: type) -> bool:
    """Return True if C code serializes objects of a class. It would silently omit entries that it does not find."""
    return hasattr(cls, "__pydantic_serializer__") or hasattr(cls, "__dataclass_fields__")


_DICT: Any = dict
"""`dict`, hidden from type checkers: to them it derives from a mapping, which would need another order of bases."""


class _CheckedDict(MutableMapping[str, Any], _DICT):  # type: ignore[misc]  # see above
    """The dictionary of an object in which an entry that may not be read raises its refusal. Writes go to the object.

    It derives from `dict` because readers expect one. The underlying `dict` is empty, so that C code finds nothing.
    """

    def __init__(
        self, checks: ObjectChecks, instance: Any, values: dict[str, Any], hidden: frozenset[str], *, replaced: bool
    ) -> None:
        super().__init__()
        self._checks = checks
        self._instance = instance
        self._values = values
        self._hidden = hidden
        self._forgotten = sorted(hidden.difference(values))
        self._replaced = replaced

    def __getitem__(self, key: str) -> Any:
        if key not in self._hidden:
            return self._values[key]
        state = self._values[DEFAULT_STATE_ATTR]
        return self._checks.read(self._instance, state, key, replaced=self._replaced)

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __contains__(self, key: object) -> bool:
        return key in self._values or key in self._hidden

    def __iter__(self) -> Iterator[str]:
        return iter([*self._values, *self._forgotten])

    def __len__(self) -> int:
        return len(self._values) + len(self._forgotten)

    def __repr__(self) -> str:
        return repr(omit_keys(self._values, self._hidden))

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict(self.items()).__reduce_ex__(protocol)

    def copy(self) -> dict[str, Any]:
        """Return a copy, if all entries may be read."""
        return dict(self.items())
