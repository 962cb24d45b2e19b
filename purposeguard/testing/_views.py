"""Values as lines of text, so that what two runs give can be compared, and told apart line by line."""

from __future__ import annotations

import collections
import datetime
import enum
import functools
import io
import itertools
import types
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final

from pydantic import BaseModel

from purposeguard.errors import PurposeGuardError
from purposeguard.testing._patching import Lines
from purposeguard.testing._raising import told
from purposeguard.values.annotations import is_namedtuple
from purposeguard.values.sealed import Sealed

Open = Callable[[Any], Any]
"""The plain value of a sealed one, where it may be opened; the seal itself, where not."""

_LEAVES: Final = (
    type(None), bool, int, float, complex, str, bytes, bytearray, Decimal, enum.Enum,
    datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, range, slice,
)  # fmt: skip
_NAMED: Final = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)
_MOST: Final = 20_000
"""Lines that are looked at."""

STREAMED: Final = 10_000
"""Items of an iterator that are looked at."""

_DEEPEST: Final = 20


def lines_of(value: Any, open_seal: Open) -> Lines:
    """What can be seen of a value, each with the path at which it is: `("[0].name", "'Aiko'")`."""
    return tuple(itertools.islice(_lines(value, "", open_seal, ()), _MOST))


def _lines(value: Any, path: str, open_seal: Open, above: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, Sealed):
        opened = open_seal(value)
        if opened is value:
            yield path, repr(value)
            return
        value = opened
    again = functools.partial(_lines, open_seal=open_seal, above=(*above, id(value)))
    if isinstance(value, memoryview):
        value = bytes(value)
    if isinstance(value, _LEAVES):
        yield path, repr(value)
        if hasattr(value, "__dict__") and not isinstance(value, enum.Enum):  # a `str` that bears more
            yield from _all_of(vars(value), path, again)
        return
    if id(value) in above or len(above) > _DEEPEST:
        yield path, f"<{type(value).__qualname__}>"
        return
    if isinstance(value, _NAMED):
        yield path, f"<{getattr(value, '__qualname__', getattr(value, '__name__', type(value).__name__))}>"
        yield from _all_of(_held_by(value), path, again)
        return
    yield from _inside(value, path, again)


def _all_of(
    parts: Mapping[str, Any], path: str, again: Callable[[Any, str], Iterator[tuple[str, str]]]
) -> Iterator[tuple[str, str]]:
    for name, one in parts.items():
        yield from again(one, f"{path}.{name}")


def _held_by(function: Any) -> dict[str, Any]:
    """What a function will work with when somebody calls it: what it closes over, and what it is bound to."""
    if isinstance(function, types.FunctionType):
        names = function.__code__.co_freevars
        cells = zip(names, function.__closure__ or (), strict=True)
        held = {name: cell.cell_contents for name, cell in cells if cell != _EMPTY}
        defaults = {f"default {number}": one for number, one in enumerate(function.__defaults__ or ())}
        return {**held, **defaults, **(function.__kwdefaults__ or {})}
    if isinstance(function, types.MethodType):
        return {"__self__": function.__self__, **_held_by(function.__func__)}
    owner = getattr(function, "__self__", None)
    return {} if owner is None or isinstance(owner, (types.ModuleType, type)) else {"__self__": owner}


_EMPTY: Final = types.CellType()


def _inside(value: Any, path: str, again: Callable[[Any, str], Iterator[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    parts = _parts(value)
    if parts is None:
        yield path, repr(value)
        return
    if isinstance(value, AbstractSet):
        # In no order: by what they are.
        found = sorted(tuple(again(one, f"{path}[]")) for one in value)
        yield path, f"{type(value).__qualname__} of {len(found)}"
        yield from itertools.chain.from_iterable(found)
        return
    yield path, _heading(value)
    for name, one in parts:
        yield from again(one, f"{path}{name}")
    if isinstance(value, (Mapping, list, tuple)) and hasattr(value, "__dict__"):
        yield from _all_of(vars(value), path, again)


def _heading(value: Any) -> str:
    kind = type(value).__qualname__
    return f"{kind} of {len(value)}" if isinstance(value, (Mapping, list, tuple, collections.deque)) else kind


def _parts(value: Any) -> list[tuple[str, Any]] | None:
    """What a value consists of, each with what leads to it; None where that is not known."""
    if isinstance(value, AbstractSet):
        return []
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", one) for key, one in value.items()]
    if is_namedtuple(type(value)):
        return [(f".{name}", one) for name, one in zip(value._fields, value, strict=False)]
    if isinstance(value, (list, tuple, collections.deque)):
        return [(f"[{number}]", one) for number, one in enumerate(value)]
    if isinstance(value, BaseModel):
        return _of_model(value)
    if isinstance(value, Iterator) and not isinstance(value, io.IOBase):
        return [(f"[{number}]", one) for number, one in zip(range(STREAMED), value, strict=False)]
    return _of_library(value)


def _of_library(value: Any) -> list[tuple[str, Any]] | None:
    for kinds, whole in _WHOLES:
        if isinstance(value, kinds):
            return [("", whole(value))]
    if type(value).__module__.partition(".")[0] in _TABLES:
        return _of_table(value)
    response = _of_response(value)
    if response is not None:
        return response
    return _attributes(value)


_WHOLES: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (BaseException, told),
    ((io.BytesIO, io.StringIO), lambda value: value.getvalue()),
    (PurePath, str),
)
"""What is seen of such as one."""


def _of_model(value: BaseModel) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = [(f".{name}", one) for name, one in value]  # what is withheld is left out
    found += [(f".{name}", one) for name, one in (value.__pydantic_private__ or {}).items()]
    for name in type(value).model_computed_fields:
        try:
            found.append((f".{name}", getattr(value, name)))
        except (AttributeError, PurposeGuardError):
            continue  # made of what is withheld
    return found


_TABLES: Final = frozenset({"numpy", "pandas", "polars", "pyarrow"})


def _of_table(value: Any) -> list[tuple[str, Any]] | None:
    """What is in an array, a column or a table."""
    for name in ("to_pylist", "to_pydict", "to_dicts", "to_list", "to_dict", "tolist", "item"):
        method = getattr(value, name, None)
        if callable(method):
            return [("", method())]
    return None


def _of_response(value: Any) -> list[tuple[str, Any]] | None:
    """What a client gets by an HTTP response, of whichever library; its body is read by then."""
    if not (hasattr(value, "status_code") and hasattr(value, "headers")):
        return None
    body = getattr(value, "content", None) or getattr(value, "body", None)
    headers = [(str(name).lower(), str(one)) for name, one in value.headers.items()]
    found = [(".status_code", value.status_code), (".headers", sorted(headers)), (".content", body)]
    if body is None:  # a stream, a file
        found += [(f".{name}", getattr(value, name)) for name in ("body_iterator", "path") if hasattr(value, name)]
    return found


def _attributes(value: Any) -> list[tuple[str, Any]] | None:
    slots = [name for one in type(value).__mro__ for name in _slots(one)]
    names = [*getattr(value, "__dict__", ()), *slots]
    if not names:
        return None
    found: list[tuple[str, Any]] = []
    for name in dict.fromkeys(names):
        if name.startswith(("_sa_", "__")):
            continue  # what SQLAlchemy keeps of a row beside its columns; what is private to a class
        try:
            found.append((f".{name}", getattr(value, name)))
        except (AttributeError, PurposeGuardError):
            continue  # not set; or withheld
    return found


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
