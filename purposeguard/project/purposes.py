"""The file `purposes.toml`: the purposes of entry points, such as routes and tasks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, Self, cast, get_args

from purposeguard.errors import Fault, UnknownTerm
from purposeguard.notice.notice import Notice
from purposeguard.notice.positions import Position
from purposeguard.notice.vocabulary import Family, Purpose, find_nearest
from purposeguard.policy.table import PolicyTable
from purposeguard.project.patterns import Pattern, PatternSet
from purposeguard.project.reading import (
    FilePath,
    ProjectFile,
    make_fault,
    make_suggestion,
    raise_faults,
)

Mode = Literal["enforce", "observe"]

MAX_CACHED_NAMES: Final = 10_000
"""The number of entry points whose entries are remembered."""


@dataclasses.dataclass(frozen=True, slots=True)
class StatedEntry:
    """The purpose that `purposes.toml` states for the entry points that match a pattern."""

    pattern: str
    purpose: type[Purpose] | Family
    channel: str | None = None
    conditions: frozenset[str] = frozenset()
    mode: Mode | None = None
    """`enforce` or `observe`; None: the mode of the guard."""
    position: Position = dataclasses.field(default=Position(1, 1), compare=False)
    """The line and column in the file."""


class PurposeFile:
    """The purposes of a file `purposes.toml`.

    Attributes:
        path: The file.
        notice: The notice whose purposes it names.
        entries: Pattern → the entry.
    """

    def __init__(self, path: str, notice: Notice, entries: Iterable[StatedEntry]) -> None:
        """Make the purposes of a file whose entries have been read. `PurposeFile.read` does both."""
        self.path: Final = path
        self.notice: Final = notice
        self.entries: Final = MappingProxyType({entry.pattern: entry for entry in entries})
        self._patterns: Final = PatternSet(map(Pattern.compile_entry_points, self.entries))
        self._find_first: Final = functools.lru_cache(MAX_CACHED_NAMES)(self._patterns.find_first)

    @classmethod
    def read(cls, path: FilePath, notice: Notice) -> Self:
        """Read a file.

        Raises:
            NoticeError: With every fault of the file.
        """
        file = ProjectFile(path)
        entries: list[StatedEntry] = []
        for pattern, table in file.tables.items():
            if file.is_of_type((pattern,), table, dict):
                entry = _read_entry(file, pattern, table, notice)
                if entry is not None:
                    entries.append(entry)
        purposes = cls(file.path, notice, entries)
        for one, other in purposes._patterns.list_ambiguous():
            line = purposes.entries[one].position.line
            message = f"matches some names that `{one}` (line {line}) matches, and is equally specific"
            file.report((other,), message, "write one more specific entry for what both match")
        file.raise_faults()
        return purposes

    def check(self, table: PolicyTable) -> None:
        """Check that the notice of a table knows all purposes, channels and conditions, and admits the channels.

        Raises:
            NoticeError: It does not.
        """
        faults: list[Fault] = []
        for entry in self.entries.values():
            try:
                purpose = table.resolve_purpose(entry.purpose)
                channel = table.resolve_channel(entry.channel)
                table.resolve_conditions(entry.conditions)
            except UnknownTerm as error:
                message = f"unknown {error.kind}: {error.why}"
                faults.append(make_fault(self.path, (entry.pattern,), entry.position, message))
                continue
            admitted = table.list_admitted_channels(purpose)
            if channel not in admitted and (channel is not None or table.must_state_channel(purpose)):
                message = f"`{channel}` is not a channel of this purpose" if channel else "needs `channel`"
                suggestion = f"the purpose admits {', '.join(admitted) or 'no channel'}"
                faults.append(make_fault(self.path, (entry.pattern,), entry.position, message, suggestion))
        raise_faults(faults, self.path)

    def observe_all(self) -> PurposeFile:
        """Return the same purposes, with `observe` as the mode of every entry."""
        entries = [dataclasses.replace(entry, mode="observe") for entry in self.entries.values()]
        return PurposeFile(self.path, self.notice, entries)

    def find(self, entry_point: str) -> StatedEntry | None:
        """Return the most specific entry whose pattern matches an entry point; None if there is none."""
        pattern = self._find_first(entry_point)
        return None if pattern is None else self.entries[pattern]

    def find_unmatched(self, entry_points: Iterable[str]) -> list[Fault]:
        """Return a fault for each entry that matches none of these entry points, in the order of the file.

        Args:
            entry_points: The names of all entry points of the application.
        """
        names = list(entry_points)
        matched: set[str] = set()
        for name in names:
            matched.update(self._patterns.find_all(name))
        faults: list[Fault] = []
        for pattern, entry in self.entries.items():
            if pattern not in matched:
                suggestion = make_suggestion(find_nearest(pattern, names, 0.7))
                message = "matches no entry point"
                faults.append(make_fault(self.path, (pattern,), entry.position, message, suggestion))
        return faults


def _read_entry(file: ProjectFile, pattern: str, table: Mapping[str, Any], notice: Notice) -> StatedEntry | None:
    """Read an entry. Return None if its purpose is wrong. Other faults are reported as well."""
    here = (pattern,)
    file.check_keys(here, table, ("purpose", "channel", "conditions", "mode"))
    look_up: Callable[[str], type[Purpose] | Family] = notice.purpose_or_family
    purpose = None
    if "purpose" in table:
        purpose = file.look_up((*here, "purpose"), table["purpose"], look_up)
    else:
        file.report(here, "needs `purpose`", "name a purpose or a family of the notice")
    channel = file.look_up((*here, "channel"), table["channel"], notice.channel) if "channel" in table else None
    conditions: set[str] = set()
    for number, text in enumerate(file.get(here, table, "conditions", list) or ()):
        condition = file.look_up((*here, "conditions", number), text, notice.condition)
        if condition is not None:
            conditions.add(condition)
    mode = file.get(here, table, "mode", str)
    if mode is not None and mode not in get_args(Mode):
        file.report((*here, "mode"), "must be `enforce` or `observe`")
    if purpose is None:
        return None
    return StatedEntry(
        pattern, purpose, channel, frozenset(conditions), cast("Mode | None", mode), file.find_position(here)
    )
