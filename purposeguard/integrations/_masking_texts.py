"""Texts that were masked in one place, so that the same texts are replaced elsewhere in a record."""

from __future__ import annotations

import collections
import enum
import itertools
import json
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from purposeguard.integrations._masking_classes import HIDDEN
from purposeguard.values.annotations import PLAIN, is_taggable
from purposeguard.values.plan import get_stored_entries, make_plan
from purposeguard.values.sealed import PendingValue, Sealed, content
from purposeguard.values.type_schema import SILENT

MOST_TEXTS: Final = 5_000
"""The number of masked texts that are searched for elsewhere. Beyond that, no text at all is shown there."""

DEEPEST: Final = 30
"""The depth of nested containers and rows that is inspected."""


class MarkerText(str):
    """A text that stands for a value. Its `repr` is the text itself, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class MaskedTexts:
    """The texts that were masked in one place, so that they are found elsewhere in the same record.

    Texts of fewer than three characters and numbers of fewer than five digits are not collected: they would be found
    everywhere.
    """

    def __init__(self) -> None:
        self._markers: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None
        self._are_too_many = False

    def add(self, value: Any, replacement: str, depth: int = 0) -> None:
        """Collect the texts in a masked value. `replacement` is the text that stands for them."""
        if len(self._markers) > MOST_TEXTS or depth > DEEPEST:
            self._are_too_many = True
            return
        for part in _iter_parts(value):
            self.add(part, replacement, depth + 1)
        for text in _spellings_of(value):
            self._markers.setdefault(text, replacement)
            self._pattern = None

    def __bool__(self) -> bool:
        return bool(self._markers) or self._are_too_many

    def replace_in_text(self, text: str) -> str:
        """Replace the collected texts in a text. If too many were collected, return HIDDEN."""
        if self._are_too_many:
            return HIDDEN
        if not self._markers:
            return text
        if self._pattern is None:
            longest_first = sorted(self._markers, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(_make_pattern, longest_first)))
        return self._pattern.sub(lambda match: self._markers[match[0]], text)

    def replace_in_value(self, value: Any) -> Any:
        """Replace the collected texts in each text of a value, which was masked or consists of JSON types."""
        if not self:
            return value
        if isinstance(value, str):
            text = self.replace_in_text(value)
            return value if text == value else MarkerText(text)
        if isinstance(value, BaseException):  # An exception that was not masked: its message is made of plain texts.
            text = self.replace_in_text(str(value))
            return value if text == str(value) else MarkerText(text)
        if isinstance(value, dict):
            return {self.replace_in_value(key): self.replace_in_value(item) for key, item in value.items()}
        if type(value) in (list, tuple, set, frozenset):
            return type(value)(list(map(self.replace_in_value, value)))
        return value


def _iter_parts(value: Any) -> Iterable[Any]:
    """Return the values inside a masked value."""
    if isinstance(value, Sealed):
        return _plain_values_in(value)
    if isinstance(value, Mapping):
        return itertools.chain.from_iterable(get_stored_entries(value))
    if isinstance(value, (list, set, frozenset, collections.deque)):
        return value
    if is_taggable(type(value)):
        return (item for _, _, item in make_plan(type(value), SILENT).iter_values(value, {}))
    return value if isinstance(value, tuple) else ()


def _plain_values_in(sealed: Sealed) -> list[Any]:
    """Return the plain values inside a seal, without running the functions that wait in it."""
    inner: object = content(sealed)
    if not isinstance(inner, PendingValue):
        return [inner]
    values: list[Any] = []
    for part in inner.parts:
        values += _plain_values_in(part)
    return values


def _spellings_of(value: Any) -> set[str]:
    """Return the texts that a plain value is written as: by itself, in a `repr` and in JSON."""
    texts: set[str] = set()
    if isinstance(value, (bool, type(None), enum.Enum)):
        return texts
    if isinstance(value, str):
        texts = {value, value.strip(), repr(value)[1:-1], json.dumps(value)[1:-1], repr(str(value))[1:-1]}
    elif isinstance(value, (bytes, bytearray)):
        texts = {value.decode("utf-8", "replace"), repr(value)}
    elif isinstance(value, (*PLAIN, uuid.UUID)):
        texts = {text for text in (str(value), repr(value)) if len(text) > 4}
    return {text for text in texts if len(text) > 2}


def _make_pattern(text: str) -> str:
    """Return a pattern for a text. A short text is not to be found inside a longer word."""
    before = "(?<![A-Za-z0-9])" if len(text) < 6 and text[0].isascii() and text[0].isalnum() else ""
    after = "(?![A-Za-z0-9])" if len(text) < 6 and text[-1].isascii() and text[-1].isalnum() else ""
    return f"{before}{re.escape(text)}{after}"
