"""What may be opened under one matrix: a column for each purpose and channel, which remembers what it allowed."""

from __future__ import annotations

import dataclasses
import weakref
from typing import TYPE_CHECKING, Final

from purposeguard.circumstances import BY_ANY_CHANNEL, NONE_KNOWN, NOT_NAMED, Circumstances, Standing
from purposeguard.decision import Decision
from purposeguard.label import Label
from purposeguard.ledger import Tick
from purposeguard.locks import new_lock
from purposeguard.matrix import MOST_REMEMBERED, Matrix
from purposeguard.retention import Periods
from purposeguard.terms import Family, NotPersonal, Purpose

if TYPE_CHECKING:
    from purposeguard.engine import Opening

NOTHING: Final[frozenset[object]] = frozenset()
NO_LABELS: Final[frozenset[Label]] = frozenset()
_NOT_PERSONAL: Final = Label(NotPersonal)

_CHECKS_AT_MOST: Final = 1000
"""Different bare checks that are remembered."""


class Column:
    """What may be opened for one purpose by one channel under one matrix.

    `cleared` holds the labels seen to be allowed, where no ledger is to be told. When the matrix is replaced the column
    is retired: emptied, and never filled again, so that uses under way fall back to the slow path and are decided by
    the new matrix; so are the `counted` of its openings.
    """

    __slots__ = (
        "_clears",
        "_counting",
        "_known",
        "_lock",
        "_named",
        "_unstated",
        "channel",
        "cleared",
        "closed",
        "matrix",
        "periods",
        "purpose",
        "retired",
    )

    def __init__(
        self,
        matrix: Matrix,
        periods: Periods,
        purpose: type[Purpose] | Family,
        channel: str | None,
        *,
        clears: bool = True,
        named: bool = False,
    ) -> None:
        """`clears`: no ledger is to be told; `named`: nothing may be opened without saying whose it is."""
        self.matrix = matrix
        self.periods = periods
        self.purpose = purpose
        self.channel = channel
        self.cleared: set[object] = set()
        self._clears = clears
        self._named = named
        self._known: dict[Standing, set[Label]] = {}
        self._counting: weakref.WeakValueDictionary[int, Opening] = weakref.WeakValueDictionary()
        # A revision may close a purpose under which an activity states no channel: it may then open nothing (rule 7).
        self.closed = channel is None and matrix.must_state_channel(purpose)
        members = purpose.members if isinstance(purpose, Family) else (purpose,)
        # It may have closed it before: what was collected then is not for an activity that may use any (rules 7 and 9).
        self._unstated = channel is None and not matrix.opened.isdisjoint(members)
        self.retired = False
        self._lock = new_lock()  # a signal handler or finaliser may ask while its thread holds it; so below

    def permits(self, label: Label) -> bool:
        """Whether data of this label may be opened; an allowed label is cleared from then on."""
        if not self.allows(label):
            return False
        if self._clears:
            with self._lock:
                if not self.retired:
                    self.cleared.add(label)
        return True

    def count_by(self, opening: Opening, label: Label, tick: Tick) -> None:
        """From now on an allowed label is counted by `tick`, the short way, where data is used by this opening."""
        with self._lock:
            if not self.retired:
                self._counting[id(opening)] = opening
                opening.counted[label] = tick

    def allows(self, sources: object) -> bool:
        """Whether data from these sources may be opened; raises as `Matrix.allows` does."""
        if self._named and self.matrix.label(sources) is not _NOT_PERSONAL:
            return False
        if self._unstated:
            row = self.matrix.row_for(self.matrix.label(sources), None, BY_ANY_CHANNEL)
        else:
            row = self.matrix.row(sources, self.channel)
        return self.purpose in row and not self.closed

    def permits_of(self, label: Label, circumstances: Circumstances) -> bool:
        """Whether data of this label may be opened under circumstances, which say all that is known of it."""
        known = self._known.get(circumstances.standing) if circumstances.standing is not None else None
        plain = circumstances.under is None and not circumstances.overdue
        if plain and known is not None and label in known:
            return True
        self.matrix.label(label)  # raises where it is of another notice, or of a clause that is gone
        if self._unstated:
            circumstances = dataclasses.replace(circumstances, unstated=True)
        if self.closed or self.purpose not in self.matrix.row_for(label, self.channel, circumstances):
            return False
        if plain and circumstances.standing is not None:
            self._remember(label, circumstances.standing)
        return True

    def _remember(self, label: Label, standing: Standing) -> None:
        with self._lock:
            if not self.retired and len(self._known) < MOST_REMEMBERED:
                self._known.setdefault(standing, set()).add(label)

    def known_of(self, standing: Standing) -> set[Label] | frozenset[Label]:
        """The labels seen to be allowed of subjects of this standing."""
        return self._known.get(standing, NO_LABELS)

    def decision(self, sources: object, circumstances: Circumstances | None = None) -> Decision:
        """The same, with its reasons."""
        label = self.matrix.label(sources)
        if circumstances is None:
            circumstances = NOT_NAMED if self._named and label is not _NOT_PERSONAL else NONE_KNOWN
        if self._unstated:
            circumstances = dataclasses.replace(circumstances, unstated=True)
        return Decision(
            self.matrix, label, self.purpose, self.channel, declared=self.closed, circumstances=circumstances
        )

    def retire(self) -> None:
        """Clears nothing any more."""
        with self._lock:
            self.retired = True
            self.cleared.clear()
            self._known.clear()
            # A copy: a finaliser may add to it meanwhile.
            for opening in filter(None, [reference() for reference in self._counting.valuerefs()]):
                opening.counted.clear()


class State:
    """A matrix and its columns: replaced as one."""

    __slots__ = (
        "__weakref__",
        "_clears",
        "_columns",
        "_lock",
        "_named",
        "_retired",
        "checked",
        "known",
        "matrix",
        "periods",
    )

    def __init__(self, matrix: Matrix, *, clears: bool = True, named: bool = False) -> None:
        """`clears`: no ledger is to be told of uses; `named`: nothing is opened without saying whose it is."""
        self.matrix = matrix
        self.known = matrix.known  # at hand for `Guard.allows`
        self.periods = Periods(matrix.notice.document)
        self._clears = clears
        self._named = named
        self._columns: dict[tuple[object, str | None], Column] = {}
        self.checked: dict[object, Tick] = {}
        self._retired = False
        self._lock = new_lock()

    def column(self, purpose: type[Purpose] | Family, channel: str | None) -> Column:
        """The column of a purpose, in the classes of any revision; raises UnknownPurpose where this one has none."""
        found = self._columns.get((purpose, channel))
        if found is None:
            purpose, channel = self.matrix.purpose(purpose), self.matrix.channel(channel)
            found = Column(self.matrix, self.periods, purpose, channel, clears=self._clears, named=self._named)
            with self._lock:
                found = self._columns.setdefault((purpose, channel), found)
                if self._retired:  # asked for while the matrix was being replaced
                    found.retire()
        return found

    def remember(self, check: tuple[object, ...], tick: Tick) -> None:
        """A bare check is allowed as it was asked for; `tick` counts it. Of many different ones the first are kept."""
        if len(self.checked) < _CHECKS_AT_MOST:
            self.checked[check] = tick

    def retire(self) -> None:
        """Retires all columns, those asked for from now on too."""
        with self._lock:
            self._retired = True
            for column in self._columns.values():
                column.retire()
