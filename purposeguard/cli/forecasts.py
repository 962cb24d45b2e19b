"""Forecasts of which activity of an application may call which access function, and use which table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from purposeguard.cli.application import read_annotations, says_whose
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision, is_about_the_subject
from purposeguard.runtime.registry import WHOLE, Access, Activity, TaggedTable


@dataclass(frozen=True, slots=True)
class ForecastOutcome:
    """What happens if this activity calls this access function.

    An activity that is only observed is not refused: what would be is logged.
    """

    activity: Activity
    access: Access
    verdict: str
    """`allowed`; `withheld`, if it runs and `fields` are missing from what it returns; `refused`; or `unknown`."""
    fields: tuple[str, ...] = ()
    """The fields that are withheld."""
    reasons: tuple[str, ...] = ()
    """Why the call is refused, or fields are withheld."""
    closed: tuple[str, ...] = ()
    """The sealed fields that the activity gets and may not open."""


def outcome(guard: Guard, activity: Activity, access: Access, unread: str | None = None) -> ForecastOutcome:
    """Return the forecast of one combination, by the decisions that the call itself would ask for."""
    by_row = says_whose(access)

    def why_not(label: Label) -> tuple[str, ...]:
        return standing_against(Decision(guard.engine.get_permissions(activity).decide(label)), by_row=by_row)

    return forecast(why_not, activity, access, unread)


def standing_against(decision: Decision, *, by_row: bool) -> tuple[str, ...]:
    """Return the reasons that refuse a call.

    The list is empty if only consent is missing and rows name their subjects: each row is then decided by itself.
    """
    return () if by_row and is_about_the_subject(decision) else decision.reasons


def forecast(
    why_not: Callable[[Label], tuple[str, ...]], activity: Activity, access: Access, unread: str | None = None
) -> ForecastOutcome:
    """Return the outcome of an activity calling an access function; `why_not` gives the reasons to refuse a label."""
    if access.label is None and not access.sealed:
        return ForecastOutcome(activity, access, "unknown", reasons=(unread or "its sources are not known",))
    if access.withhold:
        return _forecast_withheld(why_not, activity, access)
    reasons = () if access.label is None else why_not(access.label)
    if reasons:
        return ForecastOutcome(activity, access, "refused", reasons=reasons)
    closed = _collect_refusals(why_not, access.sealed)
    return ForecastOutcome(activity, access, "allowed", closed=tuple(closed))


def _forecast_withheld(
    why_not: Callable[[Label], tuple[str, ...]], activity: Activity, access: Access
) -> ForecastOutcome:
    """Return the outcome for an access function that withholds fields."""
    for label in (access.named, access.whole, access.sealed.get(WHOLE)):
        reasons = () if label is None else why_not(label)
        if reasons:
            return ForecastOutcome(activity, access, "refused", reasons=reasons)
    withheld = _collect_refusals(why_not, _labels_by_path(access))
    fields: list[str] = []
    reasons_once: dict[str, None] = {}
    for path, reasons in withheld.items():
        if not any(_is_inside(path, other) for other in withheld):
            fields.append(path)
            reasons_once |= dict.fromkeys(reasons)
    verdict = "withheld" if withheld else "allowed"
    return ForecastOutcome(activity, access, verdict, tuple(fields), tuple(reasons_once))


def _collect_refusals(
    why_not: Callable[[Label], tuple[str, ...]], labels: Mapping[str, Label]
) -> dict[str, tuple[str, ...]]:
    """Return the paths whose labels are refused, with the reasons."""
    refused: dict[str, tuple[str, ...]] = {}
    for path, label in labels.items():
        reasons = why_not(label)
        if reasons:
            refused[path] = reasons
    return refused


def _labels_by_path(access: Access) -> dict[str, Label]:
    """Return path → label of what is withheld together: a plain list and its items are one path."""
    labels: dict[str, Label] = {}
    for path, label in (*access.fields.items(), *access.sealed.items()):
        whole = path
        while whole.endswith("[]"):
            whole = whole.removesuffix("[]")
        if whole:  # else it is the returned value as a whole, which cannot be withheld
            labels[whole] = labels[whole] | label if whole in labels else label
    return labels


def _is_inside(path: str, other: str) -> bool:
    return path.startswith((f"{other}.", f"{other}["))


class TableOutcome(NamedTuple):
    """What happens if an activity uses a table."""

    activity: Activity
    table: TaggedTable
    refused: dict[str, tuple[str, ...]]
    """The columns that the activity may not use, each with the reasons."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons, each once."""
        return tuple(dict.fromkeys(chain.from_iterable(self.refused.values())))


def table_outcome(guard: Guard, activity: Activity, table: TaggedTable) -> TableOutcome:
    """Return the forecast of an activity using a table."""
    permissions = guard.engine.get_permissions(activity)

    def why_not(label: Label) -> tuple[str, ...]:
        return standing_against(Decision(permissions.decide(label)), by_row=table.of_subjects)

    return TableOutcome(activity, table, _collect_refusals(why_not, dict(table.columns)))


class Forecasts:
    """What happens if each of these activities calls each access function of a guard, and uses each of its tables.

    Raises:
        UnknownTerm: the notice in force has no such purpose, channel or condition.
    """

    def __init__(self, guard: Guard, activities: Sequence[Activity]) -> None:
        self.guard = guard
        self.activities = activities
        self.unread = read_annotations(guard)
        self.calls = list(self._forecast_calls())
        self.tables = list(self._forecast_tables())
        self._reached = [outcome for outcome in self.calls if outcome.verdict != "refused"]

    def _forecast_calls(self) -> Iterator[ForecastOutcome]:
        """Yield the outcomes of calls. Activities that may use the same data have the same outcomes."""
        forecasts: dict[object, list[ForecastOutcome]] = {}
        for activity in self.activities:
            key = activity.purpose, activity.channel, activity.conditions
            if key not in forecasts:
                forecasts[key] = list(self._forecast_calls_of(activity))
            for call in forecasts[key]:
                yield dataclasses.replace(call, activity=activity)

    def _forecast_calls_of(self, activity: Activity) -> Iterator[ForecastOutcome]:
        for access in self.guard.accesses:
            yield outcome(self.guard, activity, access, self.unread.get(access.site))

    def _forecast_tables(self) -> Iterator[TableOutcome]:
        for activity in self.activities:
            for table in self.guard.tables:
                yield table_outcome(self.guard, activity, table)

    @property
    def used_tables(self) -> list[TableOutcome]:
        """Those of which the activity may use some column."""
        return [outcome for outcome in self.tables if len(outcome.refused) < len(outcome.table.columns)]

    def find_starved(self) -> list[Activity]:
        """Return the activities to which every access function and table is refused."""
        if not self.guard.accesses:
            return []
        fed = {id(call.activity) for call in self._reached} | {id(use.activity) for use in self.used_tables}
        return [activity for activity in self.activities if id(activity) not in fed]

    def silent(self) -> list[Activity]:
        """Return the activities that state no channel, although their clause names its channels."""
        return list(filter(self._lacks_channel, self.activities))

    def _lacks_channel(self, activity: Activity) -> bool:
        table = self.guard.engine.snapshot.matrix
        return activity.channel is None and table.must_state_channel(table.resolve_purpose(activity.purpose))

    def idle(self) -> list[Access]:
        """Return the access functions that are refused to every activity."""
        if not self.guard.activities:
            return []
        reached = {id(outcome.access) for outcome in self._reached}
        return [access for access in self.guard.accesses if id(access) not in reached]
