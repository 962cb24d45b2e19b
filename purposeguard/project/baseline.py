"""The file `baseline.toml`: violations that are tolerated for now."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from purposeguard.errors import Fault, NoticeError
from purposeguard.notice.label import Label, OneSource
from purposeguard.notice.notice import Notice
from purposeguard.notice.positions import Position
from purposeguard.notice.vocabulary import Family, Purpose, Source
from purposeguard.project.reading import FilePath, ProjectFile

ROWS: Final = "tolerated"
"""The key of the list of violations."""

_KEYS: Final = ("entry_point", "sources", "purpose", "reason", "owner", "until")


class Violation(NamedTuple):
    """Sources that an entry point reads and its purpose does not permit. Without a purpose, none was stated."""

    entry_point: str
    sources: Iterable[OneSource]
    purpose: object = None


@dataclasses.dataclass(frozen=True, slots=True)
class Tolerated:
    """A row of the file: the violation, the reason and the person who answers for it, and the last day."""

    entry_point: str
    sources: Label
    purpose: type[Purpose] | Family | None
    reason: str
    owner: str
    until: datetime.date
    position: Position = dataclasses.field(default=Position(1, 1), compare=False)


class Baseline:
    """The tolerated violations of a file `baseline.toml`. A row holds for one entry point and one purpose.

    Attributes:
        path: The file.
        notice: The notice whose sources and purposes it names.
        rows: The violations, in the order of the file.
    """

    def __init__(self, path: FilePath, notice: Notice, rows: Iterable[Tolerated] = ()) -> None:
        """Make a baseline of rows that have been read. `Baseline.read` reads a file."""
        self.path: Final = str(Path(path))
        self.notice: Final = notice
        self.rows: Final = tuple(rows)

    @classmethod
    def read(cls, path: FilePath, notice: Notice) -> Self:
        """Read a file.

        Raises:
            NoticeError: With every fault of the file.
        """
        file = ProjectFile(path)
        file.check_keys((), file.tables, (ROWS,))
        rows: list[Tolerated] = []
        for number, table in enumerate(file.get((), file.tables, ROWS, list) or ()):
            location = (ROWS, number)
            row = _read_row(file, number, table, notice) if file.is_of_type(location, table, dict) else None
            if row is None:
                continue
            for earlier in rows:
                if (earlier.entry_point, earlier.sources, earlier.purpose) == (
                    row.entry_point,
                    row.sources,
                    row.purpose,
                ):
                    file.report(location, f"repeats the row of line {earlier.position.line}", "remove one of the two")
            rows.append(row)
        file.raise_faults()
        return cls(path, notice, rows)

    def tolerates(self, entry_point: str, sources: Iterable[OneSource], purpose: object, today: datetime.date) -> bool:
        """Return True if a row that is still in force covers all sources of a violation.

        Args:
            entry_point: The entry point that reads the data.
            sources: The sources that are not permitted, as classes or ids.
            purpose: The stated purpose or family; None if none is stated.
            today: The day on which the row must be in force.

        Raises:
            UnknownTerm: The notice does not define an id.
        """
        violation = Violation(entry_point, sources, purpose)
        return any(today <= row.until for row in self._find_rows(violation))

    def _find_rows(self, violation: Violation) -> list[Tolerated]:
        sources = _resolve_sources(self.notice, violation.sources)
        purpose = None if violation.purpose is None else self.notice.purpose_or_family(violation.purpose)
        return [
            row
            for row in self.rows
            if row.entry_point == violation.entry_point and row.purpose == purpose and sources <= row.sources.sources
        ]

    def list_expired(self, today: datetime.date) -> list[Tolerated]:
        """Return the rows whose last day is over."""
        return [row for row in self.rows if row.until < today]

    def list_obsolete(self, seen: Iterable[Violation]) -> list[Tolerated]:
        """Return the rows that cover none of the violations that were seen.

        Raises:
            UnknownTerm: The notice does not define an id.
        """
        needed: list[Tolerated] = []
        for violation in seen:
            needed += self._find_rows(violation)
        return [row for row in self.rows if row not in needed]

    def add(self, violation: Violation, *, reason: str, owner: str, until: datetime.date) -> Baseline:
        """Add a row to the file, and return the new baseline. The rest of the file stays as it is.

        Raises:
            UnknownTerm: The notice does not define an id.
            NoticeError: The file cannot be written, or something is empty.
            ModuleNotFoundError: The extra `adopt` is not installed.
        """
        from purposeguard.project.editing import TomlEditor  # noqa: PLC0415  # It needs an optional library.

        sources = Label(*_resolve_sources(self.notice, violation.sources))
        row: dict[str, Any] = {"entry_point": violation.entry_point, "sources": list(map(self.notice.key, sources))}
        if violation.purpose is not None:
            purpose = self.notice.purpose_or_family(violation.purpose)
            row["purpose"] = purpose.name if isinstance(purpose, Family) else self.notice.key(purpose)
        texts = {"entry_point": violation.entry_point, "reason": reason, "owner": owner}
        faults = [Fault(key, "is empty") for key, text in texts.items() if not text.strip()]
        if faults:
            raise NoticeError(faults, self.path)
        editor = TomlEditor(self.path)
        editor.append(ROWS, {**row, "reason": reason, "owner": owner, "until": until})
        editor.save()
        return Baseline.read(self.path, self.notice)


def _resolve_sources(notice: Notice, sources: Iterable[OneSource]) -> set[type[Source]]:
    resolved: set[type[Source]] = set()
    for source in sources:
        resolved.update(map(notice.source, source if isinstance(source, Label) else (source,)))
    return resolved


def _read_row(file: ProjectFile, number: int, table: dict[str, Any], notice: Notice) -> Tolerated | None:
    """Read a row. Return None if it is wrong."""
    here, count = (ROWS, number), len(file.faults)
    file.check_keys(here, table, _KEYS)
    texts = {key: file.require(here, table, key, str) for key in ("entry_point", "reason", "owner")}
    for key, text in texts.items():
        if text is not None and not text.strip():
            file.report((*here, key), "is empty")
    until = file.require(here, table, "until", datetime.date)
    sources = [
        file.look_up((*here, "sources", index), text, notice.source)
        for index, text in enumerate(file.require(here, table, "sources", list) or ())
    ]
    if table.get("sources") == []:
        file.report((*here, "sources"), "names no source")
    purpose = None
    if "purpose" in table:
        purpose = file.look_up((*here, "purpose"), table["purpose"], notice.purpose_or_family)
    if until is None or len(file.faults) > count:
        return None
    label = Label(*(source for source in sources if source is not None))
    entry_point, reason, owner = (str(text) for text in texts.values())
    return Tolerated(entry_point, label, purpose, reason, owner, until, file.find_position(here))
