"""The cells that differ: combinations of source, purpose and channel that two revisions decide differently.

They are found by deciding: by the compiled table of each revision, and for data collected under the earlier revision by
the table of the later one with both in its history (rule 9).
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
from typing import Any

from purposeguard.errors import UnknownSource
from purposeguard.notice.history import History
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.schema import FamilyRow, Named, PurposeRow
from purposeguard.policy.context import ASKED_LATER, CLEAR, Context
from purposeguard.policy.diff.changes import Matching, Pair, id_of
from purposeguard.policy.table import PolicyTable

AnyPurpose = Pair[PurposeRow] | Pair[FamilyRow]


class Level(enum.IntEnum):
    """The degree to which data may serve a purpose."""

    NO = 0
    CONSENT = 1
    """Only data of subjects who agreed may serve it."""
    YES = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """A combination of source, purpose and channel, with what two revisions decide if all conditions hold."""

    source: Pair[Named]
    purpose: AnyPurpose
    channel: str | None
    """The channel; None for reading the data, whatever the channel."""
    before: Level
    """The decision of the earlier revision."""
    after: Level
    """The decision of the later revision about data collected under it."""
    earlier: Level | None
    """The decision of the later revision about data collected under the earlier one.

    None if the earlier revision had no such source, so that there is no such data.
    """

    @property
    def differs(self) -> bool:
        """True if the decision changes for data of either revision."""
        return self.before != self.after or self.earlier not in (None, self.before)


Levels = dict[Any, Level]
"""Purpose class or family → level; what is not in it is refused."""


def compare_cells(history: History, matching: Matching) -> tuple[Cell, ...]:
    """Return all cells that the first and the last revision decide differently, in the order of the last revision."""
    old, *_, new = history
    past, present = PolicyTable(old), PolicyTable(new, history=history)
    every: tuple[AnyPurpose, ...] = (*matching.purposes, *matching.families)
    purposes = [(pair, _find_class(old, pair.old), _find_class(new, pair.new)) for pair in every]
    places: dict[object, int] = {}
    for place, (_, old_term, new_term) in enumerate(purposes):
        places[old_term] = places[new_term] = place
    channels = (None, *dict.fromkeys((*new.channels, *old.channels)))
    differing: list[Cell] = []
    for source, channel in itertools.product(matching.sources, channels):
        was = _find_source(old, source.old)
        before = _compute_levels(past, was, channel)
        after = _compute_levels(present, _find_source(new, source.new), channel)
        earlier = _compute_levels(present, was, channel)
        for place in sorted({places[term] for term in itertools.chain(before, after, earlier)}):
            pair, old_term, new_term = purposes[place]
            level_before, level_after = before.get(old_term, Level.NO), after.get(new_term, Level.NO)
            level_earlier = None if was is None else earlier.get(new_term, Level.NO)
            cell = Cell(source, pair, channel, level_before, level_after, level_earlier)
            if cell.differs:
                differing.append(cell)
    return tuple(differing)


def _find_class(notice: Notice, row: PurposeRow | FamilyRow | None) -> object:
    """Return the class of a purpose row, or the family of a family row."""
    if row is None:
        return None
    return notice.purpose(id_of(row)) if isinstance(row, PurposeRow) else notice.family(id_of(row))


def _find_source(notice: Notice, row: Named | None) -> Any:
    return None if row is None else notice.source(row.id)


def _compute_levels(matrix: PolicyTable, source: Any, channel: str | None) -> Levels:
    """Return how far data of a source may serve each purpose where all conditions hold.

    The result is empty if the table does not know the source.
    """
    if source is None:
        return {}
    try:
        label = matrix.resolve_label(Label(source))
    except UnknownSource:
        return {}
    stated = frozenset(matrix.notice.conditions)
    agreed = matrix.row_for(label, channel, ASKED_LATER._replace(conditions=stated))
    anyhow = matrix.row_for(label, channel, Context(CLEAR, conditions=stated))
    return dict.fromkeys(agreed, Level.CONSENT) | dict.fromkeys(agreed & anyhow, Level.YES)
