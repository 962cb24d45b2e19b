"""History: the revisions of a notice in order (clause 11), and which one held when a datum was collected."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal

from purposeguard.errors import Fault, NoticeError
from purposeguard.notice.label import Label, OneSource
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import day_in
from purposeguard.notice.timezones import Day
from purposeguard.notice.vocabulary import Immutable, Source, fold


class History(Immutable):
    """`History(v1, v2, v3)`: the revisions of one notice, from the earliest to the latest.

    Raises:
        NoticeError: there are none, they are of several notices, or not in the order of their dates.
    """

    __slots__ = ("notices",)

    notices: tuple[Notice, ...]

    def __init__(self, *notices: Notice) -> None:
        for one in notices:
            if not isinstance(one, Notice):
                raise TypeError(f"a history is made of notices, not of {type(one).__name__}")
        faults = [] if notices else [Fault("", "a history without revisions", "give the notice in force")]
        for number, (one, other) in enumerate(itertools.pairwise(notices), 1):
            if other.id != one.id:
                faults.append(Fault(f"revision {number + 1}", f"`{other.id}` is another notice than `{one.id}`"))
            elif other.revision <= one.revision:
                message = f"{other.revision} comes after {one.revision}"
                faults.append(Fault(f"revision {number + 1}", message, "give them from the earliest to the latest"))
        if faults:
            raise NoticeError(faults, "history")
        self._fill(notices=notices)

    @property
    def latest(self) -> Notice:
        """The last revision."""
        return self.notices[-1]

    def on(self, day: Day) -> Notice | None:
        """The revision that held on a day; None before the earliest.

        A moment counts by the day that it falls on in the time zone of the latest revision.

        Raises:
            TypeError, ValueError: it is no day, or a moment without its time zone.
            NoticeError: this machine knows no such time zone.
        """
        date = day_in(self.latest.document.timezone, day)
        return next((notice for notice in reversed(self.notices) if notice.revision <= date), None)

    def label(self, *sources: OneSource, collected: Day) -> Label:
        """The label of data collected on a day: its sources in the revision that held then.

        An id is one of that revision; a class of another means what that revision calls it.

        Raises:
            UnknownSource: that revision has no such source.
            LookupError: the day is before the earliest revision.
        """
        held = self.on(collected)
        if held is None:
            raise LookupError(f"the earliest revision known is of {self.notices[0].revision}, which is later than that")
        given = [inner for source in sources for inner in (source.sources if isinstance(source, Label) else (source,))]
        return Label(*(held.source(one if isinstance(one, str) else self._then(one, held)) for one in given))

    def _then(self, source: type[Source], held: Notice) -> type[Source] | str:
        """What a class of one revision is called in another; itself where that has no such source, or is its own."""
        origin = next((notice for notice in self.notices if source in notice.grants and notice is not held), None)
        return source if origin is None else self.clause_in("source", source.clause, origin, held) or source

    def clause_in(self, kind: Literal["source", "purpose"], clause: str, since: Notice, until: Notice) -> str | None:
        """The id that a source or purpose of one revision has in another; None where that has no such term.

        It is the same in all, save where a revision says that it was renamed: a number that was given away, or was
        another's before, means something else.
        """
        forward = since.revision <= until.revision
        first, last = sorted((since.revision, until.revision))
        between = [one for one in self.notices if first < one.revision <= last]
        found = fold(clause)
        for notice in between if forward else reversed(between):
            rows = [(fold(row.old), fold(row.new)) for row in notice.document.renamed if row.kind == kind]
            moved = dict(rows if forward else [(new, old) for old, new in rows])
            if found in moved:
                found = moved[found]
            elif found in moved.values():
                return None
        return found

    def with_(self, notice: Notice) -> History:
        """The same with another revision in its place by date; one of the same date is replaced."""
        others = [one for one in self.notices if one.revision != notice.revision]
        return History(*sorted((*others, notice), key=lambda one: one.revision))

    def __iter__(self) -> Iterator[Notice]:
        return iter(self.notices)

    def __len__(self) -> int:
        return len(self.notices)

    def __eq__(self, other: object) -> bool:
        return self.notices == other.notices if isinstance(other, History) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.notices)

    def __repr__(self) -> str:
        return f"<History of {self.latest.id}: {', '.join(str(notice.revision) for notice in self.notices)}>"
