"""What a revision does to an application: which activity may call which access function, before and after.

Decided as it will be: for data collected under the later revision, as code says it once its vocabulary was generated
anew; for data collected earlier, by what both revisions and their extensions allow (rule 9).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, cast

from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source
from purposeguard.policy.context import BY_ANY_CHANNEL, NONE_KNOWN
from purposeguard.policy.diff import Comparison
from purposeguard.policy.explanation import Decision
from purposeguard.policy.table import Matrix
from purposeguard.runtime.registry import Access, Activity
from purposeguard.runtime.snapshot import PolicySnapshot
from purposeguard.tools.application import Outcome, forecast, read_annotations, says_whose, standing_against

WIDTH = {"refused": 0, "unknown": 0, "withheld": 1, "allowed": 2}
"""How much of what it asks for an activity gets."""


@dataclasses.dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of an activity's calling an access function: before, after, and after of data collected earlier."""

    before: Outcome
    after: Outcome
    earlier: Outcome

    @property
    def differs(self) -> bool:
        """Whether the revision changes anything."""
        return len({_said(one) for one in (self.before, self.after, self.earlier)}) > 1

    @property
    def stops(self) -> bool:
        """Whether it gets less than before, of data of either revision."""
        return any(_less(one, self.before) for one in (self.after, self.earlier))

    @property
    def starts(self) -> bool:
        """Whether it gets more than before, of data of either revision."""
        return any(_less(self.before, one) for one in (self.after, self.earlier))


def _said(one: Outcome) -> tuple[object, ...]:
    return one.verdict, one.fields, one.closed


def _less(one: Outcome, other: Outcome) -> bool:
    if WIDTH[one.verdict] != WIDTH[other.verdict]:
        return WIDTH[one.verdict] < WIDTH[other.verdict]
    return not {*one.fields, *one.closed} <= {*other.fields, *other.closed}


def effects(guard: Guard, comparison: Comparison) -> list[Effect]:
    """Every combination of an activity and an access function that the application declares."""
    unread = read_annotations(guard)
    revisions = _Revisions(guard, comparison)
    return [
        Effect(
            *(forecast(side, activity, access, unread.get(access.site)) for side in revisions.sides(activity, access))
        )
        for activity in guard.activities
        for access in guard.accesses
    ]


class _Revisions:
    """The two revisions, and the terms of an application in each."""

    def __init__(self, guard: Guard, comparison: Comparison) -> None:
        self._guard = guard
        self._past = Matrix(comparison.old)
        self._present = Matrix(comparison.new, history=comparison.history)
        matching = comparison.matching
        forward = {"source": matching.source_ids, "purpose": matching.purpose_ids}
        self._to_new = forward
        self._to_old = {kind: {new: old for old, new in ids.items()} for kind, ids in forward.items()}

    def sides(self, activity: Activity, access: Access) -> Iterator[Callable[[Label], tuple[str, ...]]]:
        """Why data is refused: before; after; after, of data collected earlier."""
        by_row = says_whose(access)
        past, present = self._past, self._present
        for matrix, terms in ((past, past.notice), (present, present.notice), (present, past.notice)):
            yield _Side(self, matrix, terms, activity, by_row=by_row)

    def in_(self, notice: Notice, term: Any) -> Any:
        """A term of the application in one of the revisions; None where that has it not."""
        if term is NotPersonal:
            return term
        if isinstance(term, Family):
            return next((one for one in notice.families if one.name == term.name), None)
        sources = issubclass(term, Source)
        clause = self._clause(notice, "source" if sources else "purpose", term)
        there: tuple[type[Source | Purpose], ...] = notice.sources if sources else notice.purposes
        return next((one for one in there if one.clause == clause), None)

    def _clause(self, notice: Notice, kind: str, term: Any) -> str | None:
        """The id that a term has in a revision: by what the two are compared by, or its own."""
        clause: str = term.clause
        home = next((one for one in self._guard.history if term in one.sources or term in one.purposes), None)
        revision = (home or self._guard.notice).revision
        if revision == self._past.notice.revision and notice is self._present.notice:
            return self._to_new[kind].get(clause)
        if revision == self._present.notice.revision and notice is self._past.notice:
            return self._to_old[kind].get(clause)
        return clause


class _Side:
    """Decides of labels for one activity, under one revision, of data collected under one."""

    def __init__(
        self, revisions: _Revisions, matrix: Matrix, terms: Notice, activity: Activity, *, by_row: bool
    ) -> None:
        self._revisions = revisions
        self._matrix = matrix
        self._terms = terms
        self._by_row = by_row
        self._channel = activity.channel
        self._purpose = revisions.in_(matrix.notice, activity.purpose)
        self._none = self._why_none(activity)

    def _why_none(self, activity: Activity) -> str | None:
        """Why the activity may use nothing at all."""
        notice = self._matrix.notice
        revision = f"the revision of {notice.revision}"
        if self._purpose is None:
            return f"{revision} has no purpose {activity.purpose_id}"
        if self._channel is not None and self._channel not in notice.channels:
            return f"{revision} names no channel {self._channel}"
        if self._channel is None and self._matrix.must_state_channel(self._purpose):
            return f"{revision} names the channels of {activity.purpose_id}, and the activity states none"
        return None

    def __call__(self, label: Label) -> tuple[str, ...]:
        if label.sources == frozenset({NotPersonal}):
            return ()
        if self._none is not None:
            return (self._none,)
        found: set[type[Source]] = set()
        for source in label:
            there = self._revisions.in_(self._terms, source)
            if there is None:
                return (f"the revision of {self._terms.revision} has no source {source.clause}",)
            found.add(there)
        gone = [one for one in found if not isinstance(self._matrix.current(one), type)]
        if gone:
            return (f"the revision of {self._matrix.notice.revision} has no source {gone[0].clause}",)
        purpose = cast("type[Purpose] | Family", self._purpose)
        known = BY_ANY_CHANNEL if self._channel is None else NONE_KNOWN
        decision = Decision(PolicySnapshot(self._matrix).decide(Label(*found), purpose, self._channel, known))
        return standing_against(decision, by_row=self._by_row)
