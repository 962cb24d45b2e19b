"""The whole comparison of two revisions of a notice."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from purposeguard.notice.history import History
from purposeguard.notice.notice import Notice
from purposeguard.policy.diff.cells import Cell, compare_cells
from purposeguard.policy.diff.changes import Change, Direction, Matching, Needs, match_terms
from purposeguard.policy.diff.rows import diff_facts, diff_terms, find_other_differences
from purposeguard.policy.diff.texts import count_rows, diff_texts
from purposeguard.policy.diff.uses import Uses


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between the first and the last revision of a history."""

    history: History
    """The revisions, from the earlier to the later one."""
    matching: Matching
    """The terms of the two revisions, in pairs."""
    cells: tuple[Cell, ...]
    """The combinations of source, purpose and channel that are decided differently, for data of either revision."""
    changes: tuple[Change, ...]
    """All differences, in as few changes as possible."""

    @property
    def compared(self) -> Mapping[str, int]:
        """The number of compared rows by kind: `source`, `purpose`, …, and `text` for their words in each language.

        `without-text` is the number of rows whose words were not compared, since neither revision has them.
        """
        return count_rows(self.history, self.matching)

    @property
    def old(self) -> Notice:
        """The earlier revision."""
        return self.history.notices[0]

    @property
    def new(self) -> Notice:
        """The later revision."""
        return self.history.latest

    def __bool__(self) -> bool:
        """Return True if there is any difference."""
        return bool(self.changes) or bool(self.cells)

    def of(self, direction: Direction) -> Iterator[Change]:
        """Iterate over the changes in one direction."""
        for change in self.changes:
            if change.direction == direction:
                yield change

    def needing(self, needs: Needs | None = None) -> Iterator[Change]:
        """Iterate over the material changes (clause 11) that need `notice` or `consent`; by default, over both."""
        for change in self.changes:
            if change.needs is not None and needs in (None, change.needs):
                yield change


def compare(old: Notice, new: Notice, between: Sequence[Notice] = ()) -> Comparison:
    """Compare two revisions of one notice.

    `between` are the revisions between the two, whose renamings are followed.

    Raises:
        NoticeError: they are of different notices, or not in the order of their dates.
    """
    if old == new and not between:
        alone = History.of_drafts(old)
        return Comparison(alone, match_terms(alone), (), ())
    history = History.of_drafts(old, *between, new)
    pairs = match_terms(history)
    differing = compare_cells(history, pairs)
    changes = (
        *Uses(history, pairs, differing).changes,
        *diff_facts(old.document, new.document, pairs),
        *diff_terms(history, pairs),
        *diff_texts(history, pairs),
    ) or tuple(find_other_differences(old.document, new.document))
    return Comparison(history, pairs, differing, changes)
