"""Removal of paths and queries from what telemetry sends: they hold ids and values, whatever class these are of.

The scheme and the host of a URL stay. The template of a route says which resource was asked for, and stays too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from purposeguard.integrations._masking_classes import HIDDEN
from purposeguard.integrations._masking_texts import MarkerText

_URL: Final = re.compile(r"""([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/?#@"'<>]*@)?([^\s/?#"'<>]*)[^\s"'<>]*""")
"""A URL: its scheme, user, host, and the rest, which is left out."""

_TARGET: Final = re.compile(r"\b(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|CONNECT|QUERY)(\s+)/[^\s\"']*")
"""A method and what it was sent to, as servers and clients log it."""

_QUERY: Final = re.compile(r"""/[^\s?"']*\?[^\s"']*=[^\s"']*""")
"""A path with a query."""

_PLACES: Final = frozenset(
    {
        "fragment",
        "http.fragment",
        "http.path",
        "http.query",
        "http.target",
        "http.url",
        "path",
        "path_info",
        "path_params",
        "query",
        "query_string",
        "raw_path",
        "raw_uri",
        "request_uri",
        "url",
        "url.fragment",
        "url.full",
        "url.path",
        "url.query",
    }
)
"""The keys under which SDKs put a URL, or a part of one."""


_ENTRY: Final = re.compile(
    rf"""((['"])(?:{"|".join(map(re.escape, sorted(_PLACES)))})\2\s*:\s*)b?(?:'(?:[^'\\]|\\.)+'|"(?:[^"\\]|\\.)+")"""
)
"""An entry of a dictionary that was made into a text, such as the scope of a request."""


def hide_places(text: str) -> str:
    """Replace the paths and queries in a text."""
    text = _ENTRY.sub(rf"\1{HIDDEN}", _URL.sub(r"\1\2", text))
    return _QUERY.sub(HIDDEN, _TARGET.sub(rf"\1\2{HIDDEN}", text))


def hide_places_in(value: Any, key: object = "") -> Any:
    """Replace the paths and queries in a value of JSON types. `key` is its key in the surrounding dictionary."""
    is_place = isinstance(key, str) and key.lower() in _PLACES
    if isinstance(value, str):
        text = hide_places(value)
        if is_place and value and not _URL.match(value):
            text = HIDDEN
        return value if text == value else MarkerText(text)
    if is_place and value is not None:
        return _origin_in(value)
    if isinstance(value, dict):
        return {_hide_in_key(name): hide_places_in(item, name) for name, item in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        items = list(map(hide_places_in, value))
        return items if type(value) is list else tuple(items)
    return value


def _hide_in_key(name: Any) -> Any:
    return hide_places(name) if isinstance(name, str) else name


def _origin_in(value: Any) -> Any:
    """Mask a place that is no text. An attribute with a type keeps the scheme and host of its URL."""
    if isinstance(value, Mapping) and isinstance(value.get("value"), str):
        return {**value, "value": hide_places_in(value["value"], "url")}
    return HIDDEN
