"""Values, bytes and errors as text, without times, addresses and temporary names."""

from __future__ import annotations

import collections
import datetime
import email.utils
import enum
import functools
import io
import itertools
import operator
import re
import time
import types
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final

from pydantic import BaseModel

from purposeguard.errors import PurposeGuardError
from purposeguard.values.annotations import is_namedtuple
from purposeguard.values.sealed import Sealed

Lines = tuple[tuple[str, str], ...]
"""(name, text) pairs."""


def text_of(value: object) -> str:
    """Return the text of a value as its receiver sees it."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = _unzip(bytes(value))
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("latin-1")
    if type(value).__repr__ is object.__repr__ and hasattr(value, "__dict__"):
        return f"{value!r} {vars(value)}"  # its repr says nothing
    return repr(value)


def _unzip(data: bytes) -> bytes:
    """Return the content of gzip data, whose header holds the time; other bytes unchanged."""
    if not data.startswith(b"\x1f\x8b\x08"):
        return data
    try:
        return zlib.decompressobj(wbits=31).decompress(data)
    except zlib.error:
        return data


def error_text(error: BaseException, *, suppressed: bool = True) -> str:
    """Return an error as text: class, message, notes, attributes, and the errors that led to it.

    `suppressed`: include errors that `raise … from None` hides.
    """
    return "\nafter ".join(map(operator.itemgetter(1), error_parts(error, suppressed=suppressed)))


def error_parts(error: BaseException, *, suppressed: bool = True) -> Iterator[tuple[str, str]]:
    """Yield the name and text of the error, and of each error that led to it."""
    seen: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:
        yield "error behind it" if seen else "message", "\n".join(_lines_errors_shown(behind, seen))
        hidden = behind.__suppress_context__ and not suppressed
        behind = behind.__cause__ or (None if hidden else behind.__context__)


def _lines_errors_shown(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    yield f"{_class(error)}: {error}".removesuffix(": ")
    yield from map(str, getattr(error, "__notes__", ()))
    if not isinstance(error, PurposeGuardError):  # their attributes are no personal values
        yield from _borne(error)
    if isinstance(error, BaseExceptionGroup):
        for exception in error.exceptions:
            if id(exception) not in seen:
                for _, text in error_parts(exception):
                    yield f"    {text}"


def _class(error: BaseException) -> str:
    cls = type(error)
    return cls.__qualname__ if cls.__module__ in {"builtins", "__main__"} else f"{cls.__module__}.{cls.__qualname__}"


def _borne(error: BaseException) -> Iterator[str]:
    """Yield the arguments and attributes that the message does not show."""
    message = str(error)
    if not isinstance(error, BaseExceptionGroup):  # its errors follow separately
        for value in error.args:
            text = _format_value(value)
            if text not in message and repr(value) not in message:
                yield f"    with {text}"
    for name, value in getattr(error, "__dict__", {}).items():
        text = _format_value(value)
        if name != "__notes__" and text not in message:
            yield f"    {name} = {text}"


def _format_value(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # `__str__` of the application may raise anything
        return f"<{type(value).__qualname__}>"


_SLACK: Final = 2.0
"""Seconds of tolerance around the time of a run."""

_QUARTER: Final = 900
"""Seconds in a quarter of an hour, by which time zones differ."""

_ADDRESS: Final = re.compile(r"(?<=\bat )0x[0-9a-fA-F]{6,16}\b")
_TASK: Final = re.compile(r"(?<=<Task )(\w+(?: \w+)*) name='Task-\d+'")
_TEMPORARY: Final = re.compile(r"(?<=[/\\])tmp[a-z0-9_]{8}\b")
_MOMENT: Final = re.compile(
    r"\b(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?(?![\d:])"
)
_OBJECT: Final = re.compile(
    r"datetime\.datetime\((\d+), (\d+), (\d+), (\d+), (\d+)(?:, (\d+))?(?:, \d+)?(?:, [^()]*(?:\([^()]*\))?)?\)"
)
_HTTP: Final = re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
_COMPACT: Final = re.compile(r"(?<!\d)(\d{4})(\d\d)(\d\d)[T_\-]?(\d\d)(\d\d)(\d\d)(\d{3}|\d{6})?(Z)?(?!\d)")
_CLOCK: Final = re.compile(r"(?<![\d:.-])(\d\d):(\d\d):(\d\d)(?:[.,]\d{1,9})?(?![\d:])")
_EPOCH: Final = re.compile(r"(?<![\d.\w])(\d{10})(\d{9}|\d{6}|\d{2,3})?(?:\.\d+)?(?![\d\w])")
_DIGITS: Final = re.compile(r"\d")

TEMPORARY_NAMES: Final[collections.deque[str]] = collections.deque(maxlen=50)
"""The latest random names of `tempfile`."""


def normalize_text(text: str, began: float) -> str:
    """Return `text` with times, memory addresses and temporary names replaced by `<time>` and the like."""
    if " at 0x" in text:
        text = _ADDRESS.sub("<address>", text)
    if "<Task " in text:
        text = _TASK.sub(r"\1", text)
    if "tmp" in text:
        text = _TEMPORARY.sub("<temporary>", text)
    for name in TEMPORARY_NAMES:
        text = text.replace(name, "<temporary>")
    if not _DIGITS.search(text):
        return text
    now = time.time()
    for pattern, read in _TIMES:
        text = pattern.sub(functools.partial(_unless_past, read, began, now), text)
    return text


def _unless_past(read: Callable[[re.Match[str]], float | None], began: float, now: float, match: re.Match[str]) -> str:
    moment = read(match)
    if moment is None:
        return match[0]
    if moment < 0:  # without a day or a zone: the clock of any zone
        away = (-moment - now) % _QUARTER
        near = away <= _SLACK or away >= _QUARTER - _SLACK - (now - began)
        return "<time>" if near else match[0]
    return "<time>" if began - _SLACK <= moment <= now + _SLACK else match[0]


def _moment(match: re.Match[str]) -> float | None:
    *numbers, _, zone = match.groups()
    return _timestamp(list(map(int, numbers)), zone)


def _object(match: re.Match[str]) -> float | None:
    return _timestamp(list(map(int, match.groups("0"))), None)


def _timestamp(numbers: list[int], zone: str | None) -> float | None:
    """Return the seconds since the epoch.

    The number is negative if the zone is unknown and the time is within a day of now. Returns None for any other text.
    """
    year, month, day, hour, minute, second = numbers
    try:
        moment = datetime.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=datetime.UTC)
    except ValueError:
        return None
    stamp = moment.timestamp()
    if zone is None or zone == "Z":
        return stamp if zone == "Z" else -stamp if abs(stamp - time.time()) < 15 * 3600 and stamp > 0 else None
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return stamp - (1 if zone[0] == "+" else -1) * (hours * 3600 + minutes * 60)


def _http(match: re.Match[str]) -> float | None:
    return email.utils.parsedate_to_datetime(match[0]).timestamp()


def _clock(match: re.Match[str]) -> float | None:
    hours, minutes, seconds = map(int, match.groups())
    return -(hours * 3600 + minutes * 60 + seconds) if hours < 24 and minutes < 60 and seconds < 61 else None


def _epoch(match: re.Match[str]) -> float:
    return float(match[1])


_TIMES: Final = (
    (_MOMENT, _moment),
    (_COMPACT, _moment),
    (_OBJECT, _object),
    (_HTTP, _http),
    (_CLOCK, _clock),
    (_EPOCH, _epoch),
)


Open = Callable[[Any], Any]
"""Returns the plain value if it may be opened, else the sealed value."""

_LEAVES: Final = (
    type(None), bool, int, float, complex, str, bytes, bytearray, Decimal, enum.Enum,
    datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, range, slice,
)  # fmt: skip
_NAMED: Final = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)
_MOST: Final = 20_000
"""The most lines of a value."""

STREAMED: Final = 10_000
"""The most items of an iterator."""

_DEEPEST: Final = 20


def lines_of(value: Any, open_seal: Open) -> Lines:
    """Return the path and text of everything visible in a value, such as `("[0].name", "'Aiko'")`."""
    return tuple(itertools.islice(_lines_views(value, "", open_seal, ()), _MOST))


def _lines_views(value: Any, path: str, open_seal: Open, above: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, Sealed):
        opened = open_seal(value)
        if opened is value:
            yield path, repr(value)
            return
        value = opened
    again = functools.partial(_lines_views, open_seal=open_seal, above=(*above, id(value)))
    if isinstance(value, memoryview):
        value = bytes(value)
    if isinstance(value, _LEAVES):
        yield path, repr(value)
        if hasattr(value, "__dict__") and not isinstance(value, enum.Enum):  # a subclass with attributes
            yield from _all_of(vars(value), path, again)
        return
    if id(value) in above or len(above) > _DEEPEST:
        yield path, f"<{type(value).__qualname__}>"
        return
    if isinstance(value, _NAMED):
        yield path, f"<{getattr(value, '__qualname__', getattr(value, '__name__', type(value).__name__))}>"
        yield from _all_of(_get_captured_values(value), path, again)
        return
    yield from _inner_values(value, path, again)


def _all_of(
    parts: Mapping[str, Any], path: str, again: Callable[[Any, str], Iterator[tuple[str, str]]]
) -> Iterator[tuple[str, str]]:
    for name, part in parts.items():
        yield from again(part, f"{path}.{name}")


def _get_captured_values(function: Any) -> dict[str, Any]:
    """Return the values that a function carries: its closure, defaults, and bound object."""
    if isinstance(function, types.FunctionType):
        names = function.__code__.co_freevars
        cells = zip(names, function.__closure__ or (), strict=True)
        captured = {name: cell.cell_contents for name, cell in cells if cell != _EMPTY}
        defaults = {f"default {number}": default for number, default in enumerate(function.__defaults__ or ())}
        return {**captured, **defaults, **(function.__kwdefaults__ or {})}
    if isinstance(function, types.MethodType):
        return {"__self__": function.__self__, **_get_captured_values(function.__func__)}
    owner = getattr(function, "__self__", None)
    return {} if owner is None or isinstance(owner, (types.ModuleType, type)) else {"__self__": owner}


_EMPTY: Final = types.CellType()


def _inner_values(
    value: Any, path: str, again: Callable[[Any, str], Iterator[tuple[str, str]]]
) -> Iterator[tuple[str, str]]:
    parts = _parts(value)
    if parts is None:
        yield path, repr(value)
        return
    if isinstance(value, AbstractSet):
        # Sets have no order: sort by content.
        items = sorted(tuple(again(item, f"{path}[]")) for item in value)
        yield path, f"{type(value).__qualname__} of {len(items)}"
        yield from itertools.chain.from_iterable(items)
        return
    yield path, _heading(value)
    for name, part in parts:
        yield from again(part, f"{path}{name}")
    if isinstance(value, (Mapping, list, tuple)) and hasattr(value, "__dict__"):
        yield from _all_of(vars(value), path, again)


def _heading(value: Any) -> str:
    kind = type(value).__qualname__
    return f"{kind} of {len(value)}" if isinstance(value, (Mapping, list, tuple, collections.deque)) else kind


def _parts(value: Any) -> list[tuple[str, Any]] | None:
    """Return the parts of a value with their path suffixes; None if its parts are unknown."""
    if isinstance(value, AbstractSet):
        return []
    if isinstance(value, Mapping):
        return _format_keys("[{!r}]", value.items())
    if is_namedtuple(type(value)):
        return _format_keys(".{}", zip(value._fields, value, strict=False))  # Documented, in spite of its underscore.
    if isinstance(value, (list, tuple, collections.deque)):
        return _format_keys("[{}]", enumerate(value))
    if isinstance(value, BaseModel):
        return _of_model(value)
    if isinstance(value, Iterator) and not isinstance(value, io.IOBase):
        return _format_keys("[{}]", zip(range(STREAMED), value, strict=False))
    return _of_library(value)


def _format_keys(form: str, items: Iterable[tuple[object, Any]]) -> list[tuple[str, Any]]:
    """Return the items with their keys written as a path, such as `.name` or `[0]`."""
    return [(form.format(key), item) for key, item in items]


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
    (BaseException, error_text),
    ((io.BytesIO, io.StringIO), lambda value: value.getvalue()),
    (PurePath, str),
)
"""Types whose instances are shown by one other value."""


def _of_model(value: BaseModel) -> list[tuple[str, Any]]:
    parts = _format_keys(".{}", value)  # what is withheld is left out
    parts += _format_keys(".{}", (value.__pydantic_private__ or {}).items())
    for name in type(value).model_computed_fields:
        try:
            parts.append((f".{name}", getattr(value, name)))
        except (AttributeError, PurposeGuardError):
            continue  # computed from a withheld field
    return parts


_TABLES: Final = frozenset({"numpy", "pandas", "polars", "pyarrow"})


def _of_table(value: Any) -> list[tuple[str, Any]] | None:
    """Return the content of an array, a column or a table."""
    for name in ("to_pylist", "to_pydict", "to_dicts", "to_list", "to_dict", "tolist", "item"):
        method = getattr(value, name, None)
        if callable(method):
            return [("", method())]
    return None


def _of_response(value: Any) -> list[tuple[str, Any]] | None:
    """Return the status, headers and body of an HTTP response of any library.

    The body is already read. Returns None for any other value.
    """
    if not (hasattr(value, "status_code") and hasattr(value, "headers")):
        return None
    body = getattr(value, "content", None) or getattr(value, "body", None)
    headers = [(str(name).lower(), str(header)) for name, header in value.headers.items()]
    parts = [(".status_code", value.status_code), (".headers", sorted(headers)), (".content", body)]
    if body is None:  # a stream, a file
        parts += [(f".{name}", getattr(value, name)) for name in ("body_iterator", "path") if hasattr(value, name)]
    return parts


def _attributes(value: Any) -> list[tuple[str, Any]] | None:
    slots = itertools.chain.from_iterable(map(_slots, type(value).__mro__))
    names = [*getattr(value, "__dict__", ()), *slots]
    if not names:
        return None
    parts: list[tuple[str, Any]] = []
    for name in dict.fromkeys(names):
        if name.startswith(("_sa_", "__")):
            continue  # SQLAlchemy's state, and private attributes of a class
        try:
            parts.append((f".{name}", getattr(value, name)))
        except (AttributeError, PurposeGuardError):
            continue  # not set; or withheld
    return parts


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
