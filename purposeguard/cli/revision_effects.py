"""The effects of a later revision of a notice on an application: forecasts of its calls before and after."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from purposeguard.cli.application import read_annotations, says_whose
from purposeguard.cli.forecasts import ForecastOutcome, forecast, standing_against
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source
from purposeguard.policy.context import BY_ANY_CHANNEL, NONE_KNOWN
from purposeguard.policy.diff import Comparison
from purposeguard.policy.explanation import Decision
from purposeguard.policy.table import PolicyTable
from purposeguard.runtime.registry import Access, Activity
from purposeguard.runtime.site import Site
from purposeguard.runtime.snapshot import PolicySnapshot

WIDTH = {"refused": 0, "unknown": 0, "withheld": 1, "allowed": 2}
"""How much of what it asks for an activity gets."""


@dataclasses.dataclass(frozen=True, slots=True)
class RevisionEffect:
    """The outcomes of one combination under two revisions."""

    before: ForecastOutcome
    """The outcome under the earlier revision."""
    after: ForecastOutcome
    """The outcome under the later one."""
    earlier: ForecastOutcome
    """The outcome under the later one for data collected under the earlier one."""

    def for_activity(self, activity: Activity) -> RevisionEffect:
        """Return the effect on another activity that may use the same data."""
        return RevisionEffect(
            dataclasses.replace(self.before, activity=activity),
            dataclasses.replace(self.after, activity=activity),
            dataclasses.replace(self.earlier, activity=activity),
        )

    @property
    def shown(self) -> list[tuple[object, ...]]:
        """What people are shown of each outcome."""
        return list(map(attrgetter("verdict", "fields", "closed"), (self.before, self.after, self.earlier)))

    @property
    def differs(self) -> bool:
        """True if the revision changes the outcome."""
        before, after, earlier = self.shown
        return not before == after == earlier

    @property
    def stops(self) -> bool:
        """True if the activity gets less than before, of data of either revision."""
        return _gets_less(self.after, self.before) or _gets_less(self.earlier, self.before)

    @property
    def starts(self) -> bool:
        """True if the activity gets more than before, of data of either revision."""
        return _gets_less(self.before, self.after) or _gets_less(self.before, self.earlier)


def _gets_less(outcome: ForecastOutcome, other: ForecastOutcome) -> bool:
    if WIDTH[outcome.verdict] != WIDTH[other.verdict]:
        return WIDTH[outcome.verdict] < WIDTH[other.verdict]
    return not {*outcome.fields, *outcome.closed} <= {*other.fields, *other.closed}


def effects(guard: Guard, comparison: Comparison) -> list[RevisionEffect]:
    """Return every combination of an activity and an access function that the application declares."""
    unread = read_annotations(guard)
    revisions = _Revisions(guard, comparison)
    cached: dict[tuple[object, Site], RevisionEffect] = {}  # Activities for the same purpose fare alike.
    combinations: list[RevisionEffect] = []
    for activity in guard.activities:
        for access in guard.accesses:
            key = (activity.purpose, activity.channel, activity.conditions), access.site
            if key not in cached:
                sides = revisions.sides(activity, access)
                cached[key] = RevisionEffect(
                    *(forecast(side, activity, access, unread.get(access.site)) for side in sides)
                )
            combinations.append(cached[key].for_activity(activity))
    return combinations


class _Revisions:
    """Two revisions, and an application's terms in each."""

    def __init__(self, guard: Guard, comparison: Comparison) -> None:
        self._guard = guard
        self._past = PolicyTable(comparison.old)
        self._present = PolicyTable(comparison.new, history=comparison.history)
        matching = comparison.matching
        self._to_new = {"source": matching.source_ids, "purpose": matching.purpose_ids}
        self._to_old = {"source": _invert(matching.source_ids), "purpose": _invert(matching.purpose_ids)}

    def sides(self, activity: Activity, access: Access) -> Iterator[Callable[[Label], tuple[str, ...]]]:
        """Yield three functions that say why data is refused.

        They are for the earlier revision, the later one, and the later one with data collected under the earlier.
        """
        by_row = says_whose(access)
        past, present = self._past, self._present
        for table, collected in ((past, past.notice), (present, present.notice), (present, past.notice)):
            yield self._make_why_not(table, collected, activity, by_row=by_row)

    def _make_why_not(
        self, table: PolicyTable, collected: Notice, activity: Activity, *, by_row: bool
    ) -> Callable[[Label], tuple[str, ...]]:
        """Return a function that explains why one activity is refused a label.

        The table is that of one revision; the data was collected under `collected`.
        """
        notice, channel = table.notice, activity.channel
        conditions = activity.conditions.intersection(notice.conditions)
        purpose = self.in_(notice, activity.purpose)
        refused = _explain_full_refusal(table, activity, purpose)
        context = BY_ANY_CHANNEL if channel is None else NONE_KNOWN

        def why_not(label: Label) -> tuple[str, ...]:
            if label.sources == frozenset({NotPersonal}):
                return ()
            if refused is not None:
                return (refused,)
            sources: list[Any] = []
            for source in label:
                present = self.in_(collected, source)
                if present is None:
                    return (f"the revision of {collected.revision} has no source {source.clause}",)
                sources.append(present)
            for source in sources:
                if not isinstance(table.current_source(source), type):
                    return (f"the revision of {notice.revision} has no source {source.clause}",)
            snapshot = PolicySnapshot(table)
            verdict = snapshot.decide(Label(*sources), purpose, channel, context, conditions=conditions)
            return standing_against(Decision(verdict), by_row=by_row)

        return why_not

    def in_(self, notice: Notice, term: Any) -> Any:
        """Return a term of the application in one of the revisions; None if absent there."""
        if term is NotPersonal:
            return term
        if isinstance(term, Family):
            for family in notice.families:
                if family.name == term.name:
                    return family
            return None
        is_source = issubclass(term, Source)
        clause = self._clause(notice, "source" if is_source else "purpose", term)
        candidates: tuple[type[Source | Purpose], ...] = notice.sources if is_source else notice.purposes
        for candidate in candidates:
            if candidate.clause == clause:
                return candidate
        return None

    def _clause(self, notice: Notice, kind: str, term: Any) -> str | None:
        """Return the id that a term has in a revision: by what the two are compared by, or its own."""
        clause: str = term.clause
        revision = self._find_home(term).revision
        if revision == self._past.notice.revision and notice is self._present.notice:
            return self._to_new[kind].get(clause)
        if revision == self._present.notice.revision and notice is self._past.notice:
            return self._to_old[kind].get(clause)
        return clause

    def _find_home(self, term: Any) -> Notice:
        """Return the revision that a term belongs to; the one in force if no known one has it."""
        for notice in self._guard.history:
            if term in notice.sources or term in notice.purposes:
                return notice
        return self._guard.notice


def _invert(ids: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in ids.items()}


def _explain_full_refusal(table: PolicyTable, activity: Activity, purpose: type[Purpose] | Family | None) -> str | None:
    """Return the reason why an activity may use no data at all under this revision; None if it may use some."""
    revision = f"the revision of {table.notice.revision}"
    if purpose is None:
        return f"{revision} has no purpose {activity.purpose_id}"
    if activity.channel is not None and activity.channel not in table.notice.channels:
        return f"{revision} names no channel {activity.channel}"
    if activity.channel is None and table.must_state_channel(purpose):
        return f"{revision} names the channels of {activity.purpose_id}, and the activity states none"
    return None
