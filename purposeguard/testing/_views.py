"""Values as lines of text, so that what two runs give can be compared, and told apart line by line."""

from __future__ import annotations

import collections
import datetime
import enum
import functools
import itertools
import types
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any, Final

from pydantic import BaseModel

from purposeguard.annotations import is_namedtuple
from purposeguard.errors import PurposeGuardError
from purposeguard.sealing import Sealed
from purposeguard.testing._patching import Lines

Open = Callable[[Any], Any]
"""The plain value of a sealed one, where it may be opened; the seal itself, where not."""

_LEAVES: Final = (
    type(None), bool, int, float, complex, str, bytes, bytearray, Decimal, enum.Enum,
    datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, range, slice,
)  # fmt: skip
_NAMED: Final = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)
_MOST: Final = 5_000
"""Lines that are looked at."""

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
    if isinstance(value, _LEAVES):
        yield path, repr(value)
        return
    if isinstance(value, _NAMED):
        yield path, f"<{getattr(value, '__qualname__', getattr(value, '__name__', type(value).__name__))}>"
        return
    if id(value) in above or len(above) > _DEEPEST:
        yield path, f"<{type(value).__qualname__}>"
        return
    again = functools.partial(_lines, open_seal=open_seal, above=(*above, id(value)))
    yield from _inside(value, path, again)


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
        return [(f".{name}", one) for name, one in value]  # what is withheld is left out
    if isinstance(value, BaseException):
        return [("", str(value))]
    if type(value).__module__.partition(".")[0] in _TABLES:
        return _of_table(value)
    response = _of_response(value)
    if response is not None:
        return response
    return _attributes(value)


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
    headers = {str(name).lower(): str(one) for name, one in value.headers.items()}
    headers.pop("date", None)
    return [(".status_code", value.status_code), (".headers", headers), (".content", body)]


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
