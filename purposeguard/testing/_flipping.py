"""A matrix in which one cell is the other way round: what a source may serve it may not, and the reverse."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple, TypeVar

from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import NotPersonal, Purpose, Source
from purposeguard.policy.context import NONE_KNOWN
from purposeguard.policy.table import PolicyTable, Row

M = TypeVar("M", bound=PolicyTable)


class Cell(NamedTuple):
    """One source and one purpose of one revision of a notice, by their clauses."""

    notice: str
    """`trendmicro-jp 2024-04-01`."""
    source: str
    purpose: str

    def __str__(self) -> str:
        return f"({self.source}, {self.purpose})"


def notice_key(notice: Notice) -> str:
    """The name of a notice in cells."""
    return f"{notice.id} {notice.revision}"


def flipped(matrix: PolicyTable, cell: Cell) -> PolicyTable:
    """The matrix with one cell turned, and its consequences; the matrix itself if it lacks the cell.

    A parent serves what all of its items may, so it follows its items; an overlay never serves more than what it
    narrows; families follow their members. A parent's own cell is turned for data that is labelled with it, and its
    items stay.
    """
    notice = matrix.notice
    source = next((source for source in notice.sources if source.clause == cell.source), None)
    purpose = next((purpose for purpose in notice.purposes if purpose.clause == cell.purpose), None)
    if source is None or purpose is None or notice_key(notice) != cell.notice:
        return matrix
    granted = purpose not in notice.grants[source]
    grants: dict[type[Source], dict[type[Purpose], str]] = {
        source: dict(held) for source, held in notice.grants.items()
    }
    clause = next((held[purpose] for held in notice.grants.values() if purpose in held), purpose.clause)
    changed = {source}
    _turn(notice, grants[source], purpose, clause if granted else None)
    if not granted:
        for row in notice.document.overlay:
            if row.source == source.clause:
                overlay = notice.source(row.id)
                changed.add(overlay)
                _turn(notice, grants[overlay], purpose, None)
    below = source
    while (above := next((parent for parent, items in matrix.children.items() if below in items), None)) is not None:
        every = all(purpose in grants[item] for item in matrix.children[above])
        may = every and (above.clause, purpose.clause) not in notice.prohibited
        _turn(notice, grants[above], purpose, clause if may else None)
        changed.add(above)
        below = above
    return _with_grants(matrix, _granting(notice, grants), changed)


def _turn(notice: Notice, held: dict[type[Purpose], str], purpose: type[Purpose], clause: str | None) -> None:
    """Grants a purpose by this clause, or with None revokes it; keeps the notice's order."""
    grants = dict(held)
    if clause is None:
        grants.pop(purpose, None)
    else:
        grants.setdefault(purpose, clause)
    held.clear()
    held.update((purpose, grants[purpose]) for purpose in notice.purposes if purpose in grants)


def _granting(notice: Notice, grants: dict[type[Source], dict[type[Purpose], str]]) -> Notice:
    other = object.__new__(Notice)
    other._fill(**{name: getattr(notice, name) for name in Notice.__slots__ if name != "grants"})
    other._fill(grants=MappingProxyType({source: MappingProxyType(held) for source, held in grants.items()}))
    return other


def _with_grants(matrix: PolicyTable, notice: Notice, changed: set[type[Source]]) -> PolicyTable:
    """The matrix with the rows of these sources recomputed, and empty caches."""
    other = copied(matrix, PolicyTable)
    other._fill(notice=notice, _in_context={})
    sources = (*notice.sources, NotPersonal)
    tables: dict[str | None, dict[object, Row]] = {
        channel: {source: rows[source] for source in sources} for channel, rows in matrix._tables.items()
    }
    other._fill(_tables=tables)
    for channel, rows in tables.items():
        rows.update({source: other._source_row(source, channel, NONE_KNOWN) for source in changed})
    return other


def copied(matrix: PolicyTable, cls: type[M]) -> M:
    """A matrix of this class that shares all attributes of another."""
    other = object.__new__(cls)
    other._fill(**{name: getattr(matrix, name) for name in PolicyTable.__slots__})
    return other
