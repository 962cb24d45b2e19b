"""The revisions of a notice in order (clause 11), and the one that was in force when a datum was collected."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date
from operator import attrgetter
from typing import Literal, NamedTuple, Self

from purposeguard.errors import Fault, NoticeError
from purposeguard.notice.grants import source_rows
from purposeguard.notice.immutable import Immutable
from purposeguard.notice.label import Label, OneSource
from purposeguard.notice.notice import Notice
from purposeguard.notice.passages import is_worded_alike
from purposeguard.notice.retention import to_local_day
from purposeguard.notice.schema import Named
from purposeguard.notice.timezones import Day
from purposeguard.notice.vocabulary import Source, fold

TermKind = Literal["source", "purpose"]


class UnexplainedTerm(NamedTuple):
    """An id whose class or words differ from those of the revision before, without a row that explains it.

    It may be another term by now. Data and consents that were given under the id must not move to that term silently.
    """

    kind: TermKind
    before: Named
    after: Named

    def fault(self, place: str, since: date) -> Fault:
        """Describe the term as a fault of a history; `since` is the date of the revision before."""
        kind, id_ = self.kind, self.after.id
        if self.before.class_ != self.after.class_:
            message = f"the {kind} `{id_}` is `{self.after.class_}`, and was `{self.before.class_}` in that of {since}"
        else:
            message = f"the words of the {kind} `{id_}` differ from those of the revision of {since}"
        cure = (
            "write `[[renamed]]` if it had another id, or if the one that had this id is gone; if it is the same "
            f'{kind}, write `[[unchanged]]` with `kind = "{kind}"`, `ids = ["{id_}"]` and `since = {since}`'
        )
        return Fault(place, message, cure)


def find_unexplained_terms(before: Notice, after: Notice) -> Iterator[UnexplainedTerm]:
    """Find the ids that may mean another term than in the revision before, without a word of the new revision on it."""
    old, new = before.document, after.document
    rows_of: dict[TermKind, tuple[tuple[Named, ...], tuple[Named, ...]]] = {
        "source": (source_rows(old), source_rows(new)),
        "purpose": (old.purposes, new.purposes),
    }
    for kind, (rows_before, rows_after) in rows_of.items():
        explained: set[str | None] = set()
        for renaming in new.renamed:
            if renaming.kind == kind:
                explained.update(map(fold, renaming.ids))
        for confirmation in new.unchanged:
            if confirmation.kind == kind and confirmation.since == before.revision:
                explained.update(map(fold, confirmation.ids))
        earlier = {fold(row.id): row for row in rows_before}
        for row in rows_after:
            other = earlier.get(fold(row.id))
            if other is None or fold(row.id) in explained:
                continue
            if row.class_ != other.class_ or not is_worded_alike(row, other):
                yield UnexplainedTerm(kind, other, row)


class History(Immutable):
    """`History(v1, v2, v3)`: the revisions of one notice, from the earliest to the latest.

    Raises:
        NoticeError: there are none, they are of several notices, or not in the order of their dates; or an id has
            another class or other words than in the revision before, and the notice does not say which term it is.
    """

    __slots__ = ("is_draft", "notices")

    notices: tuple[Notice, ...]
    is_draft: bool
    """True for a history of drafts, by which nothing is decided."""

    def __init__(self, *notices: Notice) -> None:
        faults = _order_faults(notices)
        if not faults:
            for before, after in itertools.pairwise(notices):
                place = f"revision of {after.revision}"
                faults += (term.fault(place, before.revision) for term in find_unexplained_terms(before, after))
        if faults:
            raise NoticeError(faults, "history")
        self._fill(notices=notices, is_draft=False)

    @classmethod
    def of_drafts(cls, *notices: Notice) -> Self:
        """Make a history for comparing revisions, by which neither a guard nor governance decides.

        Its ids need no explanation: a comparison reports an id that changed its meaning as a change, and refusing the
        drafts would hide all other changes.

        Raises:
            NoticeError: the revisions are none, of several notices, or not in the order of their dates.
        """
        faults = _order_faults(notices)
        if faults:
            raise NoticeError(faults, "history")
        history = cls.__new__(cls)
        history._fill(notices=notices, is_draft=True)
        return history

    @property
    def latest(self) -> Notice:
        """The last revision."""
        return self.notices[-1]

    def on(self, day: Day) -> Notice | None:
        """Return the revision that was in force on a day; None before the earliest.

        A moment counts by the day that it falls on in the time zone of the latest revision.

        Raises:
            TypeError, ValueError: it is no day, or a moment without its time zone.
            NoticeError: this machine knows no such time zone.
        """
        date = to_local_day(self.latest.document.timezone, day)
        return next((notice for notice in reversed(self.notices) if notice.revision <= date), None)

    def label(self, *sources: OneSource, collected: Day) -> Label:
        """Return the label of data collected on a day, by the revision that was in force then.

        An id is looked up in that revision. A class of another revision is translated to its id in that one.

        Raises:
            UnknownSource: that revision has no such source.
            LookupError: the day is before the earliest revision.
        """
        then = self.on(collected)
        if then is None:
            raise LookupError(f"the earliest revision known is of {self.notices[0].revision}, which is later than that")
        own: set[type[Source]] = set()
        for source in sources:
            for part in source.sources if isinstance(source, Label) else (source,):
                own.add(then.source(part if isinstance(part, str) else self._translate_class(part, then)))
        return Label(*own)

    def _translate_class(self, source: type[Source], held: Notice) -> type[Source] | str:
        """Return the id that a class of another revision has in `held`.

        Return the class itself if it is of `held`, or if `held` has no such source.
        """
        for origin in self.notices:
            if source in origin.grants and origin is not held:
                return self.translate_clause("source", source.clause, origin, held) or source
        return source

    def translate_clause(self, kind: TermKind, clause: str, since: Notice, until: Notice) -> str | None:
        """Return the id that a source or purpose of one revision has in another; None if that has no such term.

        An id stays the same unless a revision says that it was renamed. An id that was given to another term in between
        means something else, and has no translation.
        """
        return self.clause_on(kind, clause, since.revision, until.revision)

    def clause_on(self, kind: TermKind, clause: str, since: date, until: date) -> str | None:
        """Return the id that a term of the revision of one day has in that of another, as `translate_clause` does.

        The revisions of the two days need not be in the history; the renamings of those between them are followed.
        """
        forward = since <= until
        first, last = sorted((since, until))
        between = [notice for notice in self.notices if first < notice.revision <= last]
        current = fold(clause)
        for notice in between if forward else reversed(between):
            moves: dict[str | None, str | None] = {}
            targets: set[str | None] = set()  # More than the values of `moves`: several terms may be gone.
            for row in notice.document.renamed:
                if row.kind == kind:
                    old, new = fold(row.old), fold(row.new or "")
                    start, target = (old, new) if forward else (new, old)
                    moves[start] = target
                    targets.add(target)
            if current in targets and current not in moves:
                return None
            current = moves.get(current, current)
            if current is None:
                return None
        return current

    def with_(self, notice: Notice) -> History:
        """Return a history with one more revision, in its place by date. It replaces a revision of the same date."""
        others = [revision for revision in self.notices if revision.revision != notice.revision]
        return History(*sorted((*others, notice), key=attrgetter("revision")))

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


def _order_faults(notices: tuple[Notice, ...]) -> list[Fault]:
    """Return the faults of the notices of a history and of their order."""
    for notice in notices:
        if not isinstance(notice, Notice):
            raise TypeError(f"a history is made of notices, not of {type(notice).__name__}")
    faults = [] if notices else [Fault("", "a history without revisions", "give the notice in force")]
    for number, (before, after) in enumerate(itertools.pairwise(notices), 1):
        if after.id != before.id:
            faults.append(Fault(f"revision {number + 1}", f"`{after.id}` is another notice than `{before.id}`"))
        elif after.revision <= before.revision:
            message = f"{after.revision} comes after {before.revision}"
            faults.append(Fault(f"revision {number + 1}", message, "give them from the earliest to the latest"))
    return faults
