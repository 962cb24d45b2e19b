"""Tags of files that bear none, read from a TOML file: every fault at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from purposeguard.adapters.tags import Columns, Spec, tag_of
from purposeguard.errors import Fault, NoticeError, PurposeGuardError, UnknownTerm, UnlabelledData
from purposeguard.notice.notice import Notice
from purposeguard.notice.parsing import read_toml
from purposeguard.notice.vocabulary import nearest
from purposeguard.tools.problems import Problem
from purposeguard.values.markers import ByRow, Collected, Ended, Mark, RowSource, Subject

MARKS: Final[Mapping[str, Mark]] = {
    "subject": Subject,
    "collected": Collected,
    "ended": Ended,
    "source": RowSource,
    "by-row": ByRow,
}
"""How marks are spelled; `subject:realm` besides. All else is an id of a source, or `not-personal`."""


def read_tags(path: Path, notice: Notice, tables: Iterable[str]) -> dict[str, Columns]:
    """The tags in a TOML file, by table.

    Raises:
        Problem: the file is at fault, or tells of a table that is not there.
    """
    try:
        found = read_toml(path)
    except NoticeError as error:
        raise Problem(f"{path}: {error.faults[0].message}") from error
    faults: list[Fault] = []
    tags: dict[str, Columns] = {}
    known = list(tables)
    for table, columns in found.items():
        if table not in known:
            near = nearest(table, known)
            faults.append(Fault(table, "no file is called so", f"did you mean {near[0]}?" if near else None))
        if not isinstance(columns, dict):
            faults.append(Fault(table, "must be a table of columns", f'write `[{table}]`, and `column = "1.1(a)"`'))
            continue
        specs = {column: _spec(f"{table}.{column}", given, notice, faults) for column, given in columns.items()}
        try:
            tags[table] = Columns({name: tag_of(notice, spec, name) for name, spec in specs.items() if spec})
        except UnlabelledData as error:
            faults.append(Fault(table, " ".join(str(error).split())))
    if faults:
        raise Problem(str(NoticeError(faults, str(path))))
    return tags


def _spec(place: str, given: object, notice: Notice, faults: list[Fault]) -> list[Any]:
    """What a column is told by; nothing where that is at fault."""
    words = [word for word in (given if isinstance(given, list) else [given]) if isinstance(word, str)]
    if not words or (isinstance(given, list) and len(words) < len(given)):
        faults.append(Fault(place, 'must be an id of a source, or a mark, or a list of these: `["1.1(a)", "subject"]`'))
        return []
    parts: list[Any] = []
    for word in words:
        part = _part(place, word, notice, faults)
        if part is None:
            return []
        parts.append(part)
    try:
        tag_of(notice, parts, place)
    except PurposeGuardError as error:
        faults.append(Fault(place, " ".join(str(error).split())))
        return []
    return parts


def _part(place: str, word: str, notice: Notice, faults: list[Fault]) -> Spec | None:
    mark = MARKS.get(word)
    if mark is not None:
        return mark
    head, colon, realm = word.partition(":")
    if colon and head == "subject":
        try:
            return Subject(realm)
        except ValueError as error:
            faults.append(Fault(place, str(error)))
            return None
    if word == "not-personal":
        return word
    try:
        return notice.source(word)
    except UnknownTerm as error:
        also = nearest(word, MARKS)
        faults.append(Fault(place, " ".join(str(error).split()), f"marks are {', '.join(MARKS)}" if also else None))
        return None
