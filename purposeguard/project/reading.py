"""Reading a TOML file of a project: its tables, the positions of their keys, and all faults found in them."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol, Self, TypeVar

from purposeguard.errors import Fault, NoticeError, UnknownTerm
from purposeguard.notice.notice import Notice
from purposeguard.notice.parsing import read_toml
from purposeguard.notice.positions import Location, Position, find_positions
from purposeguard.notice.vocabulary import find_nearest
from purposeguard.policy.table import PolicyTable

T = TypeVar("T")
NoticeFileT = TypeVar("NoticeFileT", bound="NoticeFile")

FilePath = str | os.PathLike[str]


class NoticeFile(Protocol):
    """A file of a project that names terms of a notice."""

    @classmethod
    def read(cls, path: FilePath, notice: Notice) -> Self:
        """Read a file; raise NoticeError with every fault."""
        ...

    def check(self, table: PolicyTable) -> None:
        """Raise NoticeError if a compiled notice does not know the terms."""
        ...


_EXPECTED: Final[Mapping[type, str]] = MappingProxyType(
    {
        str: "must be a text in quotes",
        bool: "must be `true` or `false`",
        list: "must be a list",
        dict: "must be a table",
        datetime.date: "must be a date, such as 2026-01-31",
    }
)

_SUGGESTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "is not TOML: a header stands twice": "write all keys of an entry under one header",
        "is not TOML: a key stands twice": "remove one of the two",
        "is not TOML: a header does not end": 'write a name with dots or blanks in quotes: `["app.models.User"]`',
        "is not TOML: a key without `=`": 'write `key = "value"`',
    }
)
"""A fault of a TOML file → the suggestion, in place of that for notices."""


class ProjectFile:
    """A TOML file of a project that is being read.

    Attributes:
        path: The file.
        tables: Its content.
        faults: The faults found so far.
    """

    def __init__(self, path: FilePath) -> None:
        """Read the file.

        Raises:
            NoticeError: The file is missing, unreadable, too large, not UTF-8 or not TOML.
        """
        self.path: Final = str(Path(path))
        self.faults: Final[list[Fault]] = []
        try:
            parsed = read_toml(Path(path), may_be_empty=True)
        except NoticeError as error:
            faults = [
                fault._replace(suggestion=_SUGGESTIONS.get(fault.message, fault.suggestion)) for fault in error.faults
            ]
            raise NoticeError(faults, error.origin) from error
        self.tables: Final[Mapping[str, Any]] = parsed
        self._positions: Final = find_positions(parsed.written[0].text)

    def find_position(self, location: Location) -> Position:
        """Return the position of a key or entry."""
        return self._positions[location]

    def report(self, location: Location, message: str, suggestion: str | None = None) -> None:
        """Add a fault at a location."""
        self.faults.append(make_fault(self.path, location, self.find_position(location), message, suggestion))

    def raise_faults(self) -> None:
        """Raise NoticeError with all faults, if there are any."""
        raise_faults(self.faults, self.path)

    def check_keys(self, location: Location, table: Mapping[str, Any], known: Collection[str]) -> None:
        """Report the keys of a table that are not known."""
        for key in table.keys() - known:
            close = find_nearest(key, known, 0.7)
            keys = ", ".join(f"`{name}`" for name in known)
            self.report((*location, key), "is no key here", make_suggestion(close) or f"the keys are {keys}")

    def is_of_type(self, location: Location, value: object, kind: type) -> bool:
        """Return True if a value is of a type, or report it."""
        if type(value) is kind:
            return True
        self.report(location, _EXPECTED[kind])
        return False

    def get(self, location: Location, table: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
        """Return the value of an optional key. If it is of the wrong type, report it and return None."""
        if key not in table:
            return None
        value = table[key]
        return value if self.is_of_type((*location, key), value, kind) else None

    def require(self, location: Location, table: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
        """Return the value of a key. If it is missing or of the wrong type, report it and return None."""
        if key not in table:
            self.report(location, f"needs `{key}`")
        return self.get(location, table, key, kind)

    def look_up(self, location: Location, text: object, find: Callable[[str], T]) -> T | None:
        """Return the term that a text names. If the notice has no such term, report it and return None."""
        if not self.is_of_type(location, text, str):
            return None
        try:
            return find(str(text))
        except UnknownTerm as error:
            message = f"unknown {error.kind} `{text}`" + (f": {error.why}" if error.why else "")
            self.report(location, message, make_suggestion(error.suggestions))
            return None


def make_suggestion(names: Collection[str]) -> str | None:
    """Return a suggestion of these names; None if there are none."""
    return f"did you mean {' or '.join(f'`{name}`' for name in names)}?" if names else None


def make_fault(path: str, location: Location, position: Position, message: str, suggestion: str | None = None) -> Fault:
    """Make a fault of a file, with its place and position."""
    place = ""
    for part in location:
        if isinstance(part, int):
            place += f"[{part}]"
        else:
            written = part if part.replace("-", "").replace("_", "").isalnum() else f'"{part}"'
            place += f".{written}" if place else written
    return Fault(place, message, suggestion, path, position.line, position.column)


def raise_faults(faults: Collection[Fault], path: str) -> None:
    """Raise NoticeError with these faults in the order of the file, if there are any."""
    if faults:
        raise NoticeError(sorted(faults, key=lambda fault: (fault.line or 0, fault.column or 0)), path)


def resolve_file(given: object, kind: type[NoticeFileT], table: PolicyTable) -> NoticeFileT:
    """Return what was read from a file, or read it. The notice of a guard must know its terms.

    Args:
        given: A path, or an object of `kind`.
        kind: The class that reads such files.
        table: The compiled notice of the guard.

    Raises:
        TypeError: `given` is neither.
        NoticeError: The file is wrong, or does not fit the notice.
    """
    if isinstance(given, (str, os.PathLike)):
        given = kind.read(given, table.notice)
    if not isinstance(given, kind):
        raise TypeError(f"a path or a {kind.__name__} is needed here, not {type(given).__name__}")
    given.check(table)
    return given
