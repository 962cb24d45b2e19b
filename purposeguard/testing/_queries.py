"""Queries that access functions send: they collect data, and what counts is what leaves the function."""

from __future__ import annotations

import re
import sys
from types import FrameType
from typing import Final

from purposeguard.runtime import access
from purposeguard.runtime.access import AccessFunction

_LITERAL_OR_COMMENT: Final = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_QUERY: Final = re.compile(r"\s*(?:SELECT|WITH)\b", re.IGNORECASE)
_CHANGING: Final = re.compile(
    r"\b(?:INTO|INSERT|UPDATE|DELETE|MERGE|CALL|COPY|CREATE|DROP|ALTER|ATTACH|LOCK)\b|;\s*\S", re.IGNORECASE
)
_CALLED: Final = re.compile(r"(\w+)\s*\(")
_HARMLESS: Final = re.compile(
    r"""
    abs|all|and|any|array|as|avg|between|by|case|cast|ceil|ceiling|char_length|coalesce|concat|count|
    current_date|date|date_trunc|datetime|decode|distinct|else|except|exists|extract|filter|first_value|
    floor|from|group_concat|greatest|having|ifnull|in|intersect|is|join|json_agg|json_array|json_object|
    julianday|lag|last_value|lateral|lead|least|length|like|limit|lower|lpad|ltrim|max|min|mod|not|now|
    nullif|numeric|on|or|order|over|partition|position|rank|recursive|replace|round|row_number|rpad|
    rtrim|select|strftime|string_agg|substr|substring|sum|then|time|timestamp|to_char|total|trim|union|
    upper|using|values|varchar|when|where|with|within
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Functions that change nothing, and words that may stand before a parenthesis."""
_FOLDER: Final = access.__file__.removesuffix("access.py")


def is_query(statement: str) -> bool:
    """Return True if a statement surely does nothing but read. A function that is not known may do anything."""
    text = _LITERAL_OR_COMMENT.sub(" '' ", statement)
    if not _QUERY.match(text) or _CHANGING.search(text):
        return False
    return all(map(_HARMLESS.fullmatch, _CALLED.findall(text)))


def is_in_access_function() -> bool:
    """Return True if an access function is on the stack of the caller."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(_FOLDER) and any(map(_is_of_access_function, frame.f_locals.values())):
            return True
        frame = frame.f_back
    return False


def _is_of_access_function(value: object) -> bool:
    return isinstance(getattr(value, "__self__", value), AccessFunction)
