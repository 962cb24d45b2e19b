"""Queries that access functions send: they collect data, and what counts is what leaves the function."""

from __future__ import annotations

import contextlib
import contextvars
import re
import sys
from collections.abc import Generator, Iterator
from types import FrameType, MethodType
from typing import Any, Final

from purposeguard.runtime import access
from purposeguard.runtime.access import AccessFunction
from purposeguard.runtime.execution import GREENLET

_QUOTED: Final = re.compile(
    r"""(?P<literal>'(?:[^']|'')*') | (?P<name>"(?:[^"]|"")*"|`[^`]*`) | --[^\n]* | /\*(?!!).*?\*/""",
    re.DOTALL | re.VERBOSE,
)
_QUERY: Final = re.compile(r"\s*(?:SELECT|WITH)\b", re.IGNORECASE)
_CHANGING: Final = re.compile(
    r"""
    \b(?:INTO|INSERT|UPDATE|DELETE|MERGE|CALL|COPY|CREATE|DROP|ALTER|ATTACH|LOCK|NEXTVAL|NEXT\s+VALUE)\b
    | ;\s*\S | \bE'' | \$\w*\$ | \]\s*\( | (?<!DISTINCT)\s(?:FROM|JOIN)\s*''
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Words that change something, quotes of other kinds, which may hide some, and reading from an address."""
_CALLED: Final = re.compile(r"(\w+)\s*\(")
_HARMLESS: Final = re.compile(
    r"""
    abs|all|and|any|array|array_agg|as|avg|between|by|case|cast|ceil|ceiling|char|char_length|coalesce|
    concat|count|current_date|date|date_part|date_trunc|datetime|decimal|decode|dense_rank|distinct|else|
    except|exists|extract|filter|first_value|floor|from|greatest|group_concat|having|hex|ifnull|in|instr|
    intersect|is|join|json_agg|json_array|json_extract|json_object|julianday|lag|last_value|lateral|lead|
    least|length|like|limit|lower|lpad|ltrim|materialized|max|min|mod|not|now|nullif|numeric|on|or|order|
    over|partition|position|rank|recursive|replace|round|row_number|rpad|rtrim|select|strftime|string_agg|
    substr|substring|sum|then|time|timestamp|to_char|total|trim|union|unixepoch|unnest|upper|using|values|
    varchar|when|where|with|within
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Functions that change nothing, and words that may stand before a parenthesis."""
_FOLDER: Final = access.__file__.removesuffix("access.py")

_carried: Final[contextvars.ContextVar[AccessFunction | None]] = contextvars.ContextVar(
    "purposeguard_carried_access_function", default=None
)


def is_query(statement: str) -> bool:
    """Return True if a statement surely does nothing but read. A function that is not known may do anything."""
    text = _QUOTED.sub(_replace_quoted, statement)
    if not _QUERY.match(text) or _CHANGING.search(text):
        return False
    return all(map(_HARMLESS.fullmatch, _CALLED.findall(text)))


def _replace_quoted(match: re.Match[str]) -> str:
    """Return what stands for a literal, a quoted name (which may be that of any function), or a comment."""
    return {"literal": "''", "name": "quoted_name"}.get(match.lastgroup or "", " ")


def find_access_function() -> AccessFunction | None:
    """Return the innermost access function that runs here, or that waits for this thread or greenlet; None if none."""
    for frame in _iter_frames():
        if frame.f_code.co_filename.startswith(_FOLDER):
            for value in frame.f_locals.values():
                # Values of the application are left alone: reading an attribute of one may run code.
                owner = value.__self__ if type(value) is MethodType else value
                if type(owner) is AccessFunction:
                    return owner
    return _carried.get()


def _iter_frames() -> Iterator[FrameType]:
    """Yield the frames of the stack, and of the greenlets that wait for this one, the innermost first."""
    frame: FrameType | None = sys._getframe(2)
    module: Any = sys.modules.get(GREENLET)
    greenlet = None if module is None else module.getcurrent()
    while True:
        while frame is not None:
            yield frame
            frame = frame.f_back
        greenlet = None if greenlet is None else greenlet.parent
        if greenlet is None:
            return
        frame = greenlet.gr_frame


@contextlib.contextmanager
def working_for(reader: AccessFunction | None) -> Generator[None]:
    """Return a context manager in which this thread works for an access function that waits in another."""
    token = _carried.set(reader)
    try:
        yield
    finally:
        _carried.reset(token)
