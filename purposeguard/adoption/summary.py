"""The summary of evidence: which entry point reads which source for which purpose, and if the notice permits it."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from purposeguard.adoption.evidence import format_revision
from purposeguard.adoption.evidence_store import EvidenceKey, EvidenceRow
from purposeguard.errors import EvidenceError, UnknownTerm
from purposeguard.guard import Guard
from purposeguard.notice.vocabulary import Family
from purposeguard.policy.context import DenialReason
from purposeguard.policy.explanation import Decision


class Judgment(StrEnum):
    """The answer of the notice to a use."""

    PERMITTED = "permitted"
    """A clause grants the use."""
    CONSENT = "consent"
    """The use is granted for subjects who gave their consent."""
    NOT_PERMITTED = "not permitted"
    """No clause grants the use as it is stated."""
    NO_PURPOSE = "no purpose"
    """No purpose was active."""
    UNRESOLVED = "unresolved"
    """The statement could not be analyzed, so that the use may not have taken place."""
    UNKNOWN = "unknown"
    """The notice in force does not have the source or purpose. The evidence is of another revision."""


VIOLATIONS: Final = frozenset({Judgment.NOT_PERMITTED, Judgment.NO_PURPOSE, Judgment.UNKNOWN})
"""The judgments of uses that would be refused if they were enforced, whoever the subject is."""


class UseKey(NamedTuple):
    """The use of a source: where it took place, and for which purpose. Unknown facts are empty texts."""

    entry_point: str
    activity: str
    purpose: str
    channel: str
    conditions: str
    source: str


@dataclasses.dataclass
class ObservedUse:
    """The observed uses of one source by one activity at one entry point.

    Attributes:
        key: The use.
        judgment: What the notice in force says about it.
        clause: The clause that grants it. Empty if none does.
        fields: The fields and columns that were read.
        times: The number of reads.
        denials: The number of denials by their reasons.
        first: The first day, in UTC.
        last: The last day, in UTC.
    """

    key: UseKey
    judgment: Judgment
    clause: str
    fields: set[str]
    times: int
    denials: Counter[str]
    first: datetime.date
    last: datetime.date


@dataclasses.dataclass
class Summary:
    """The summary of evidence under a notice.

    Attributes:
        uses: The observed uses, in the order of entry points, activities and sources.
        unresolved: What could not be analyzed, by entry point and description, with the number of times.
        other_revisions: The revisions of the notice, other than the one in force, under which evidence was collected.
    """

    uses: list[ObservedUse]
    unresolved: Counter[tuple[str, str]]
    other_revisions: frozenset[str]

    @property
    def entry_points(self) -> list[str]:
        """The names of the entry points that read something personal."""
        return sorted({use.key.entry_point for use in self.uses})

    def collect_sources(self) -> dict[str, list[str]]:
        """Return the ids of the sources that each entry point certainly read, by the name of the entry point."""
        sources: dict[str, list[str]] = {}
        for use in self.uses:
            known = sources.setdefault(use.key.entry_point, [])
            if use.judgment is not Judgment.UNRESOLVED and use.key.source not in known:
                known.append(use.key.source)
        return sources


def summarize(rows: Iterable[EvidenceRow], guard: Guard) -> Summary:
    """Summarize evidence under the notice that a guard enforces.

    What an entry point read without a purpose is judged by the purpose that `purposes.toml` states for it by now.

    Raises:
        EvidenceError: The evidence was collected under another notice.
    """
    revision = format_revision(guard)
    uses: dict[tuple[UseKey, bool], ObservedUse] = {}
    unresolved: Counter[tuple[str, str]] = Counter()
    other_revisions: set[str] = set()
    listed = [_state_purpose(row, guard) for row in rows]
    with_fields = {_get_use(row.key) for row in listed if row.key.field and row.key.outcome == "read"}
    for row in listed:
        key = row.key
        if key.notice != revision:
            _require_same_notice(key.notice, revision)
            other_revisions.add(key.notice)
        if key.outcome == "unresolved":
            unresolved[key.entry_point, key.detail] += row.times
        if key.outcome == "read" and not key.field and _get_use(key) in with_fields:
            continue  # The same reads were counted with their fields.
        for source in key.sources.split():
            _add_row(uses, row, source, guard)
    ordered = sorted(uses.values(), key=lambda use: (use.key, use.judgment))
    return Summary(ordered, unresolved, frozenset(other_revisions))


def _state_purpose(row: EvidenceRow, guard: Guard) -> EvidenceRow:
    """Add the purpose that the guard's file states for the entry point, if the evidence has none."""
    key = row.key
    entry = None if guard.purposes is None or key.purpose else guard.purposes.find(key.entry_point)
    if entry is None:
        return row
    purpose = entry.purpose.name if isinstance(entry.purpose, Family) else entry.purpose.clause
    conditions = " ".join(sorted(entry.conditions))
    stated = key._replace(activity=key.entry_point, purpose=purpose, channel=entry.channel or "", conditions=conditions)
    return row._replace(key=stated)


def _get_use(key: EvidenceKey) -> tuple[str, ...]:
    return (key.entry_point, key.activity, key.purpose, key.channel, key.conditions)


def _add_row(uses: dict[tuple[UseKey, bool], ObservedUse], row: EvidenceRow, source: str, guard: Guard) -> None:
    key = row.key
    is_resolved = key.outcome != "unresolved"
    use_key = UseKey(*_get_use(key), source)  # type: ignore[call-arg]  # mypy does not count the unpacked facts
    use = uses.get((use_key, is_resolved))
    if use is None:
        judgment, clause = _judge(use_key, guard) if is_resolved else (Judgment.UNRESOLVED, "")
        use = ObservedUse(use_key, judgment, clause, set(), 0, Counter(), row.first, row.last)
        uses[use_key, is_resolved] = use
    if key.field:
        use.fields.add(key.field)
    if key.outcome in ("observed", "denied"):
        use.denials[key.detail] += row.times
    else:
        use.times += row.times
    use.first, use.last = min(use.first, row.first), max(use.last, row.last)


def _judge(key: UseKey, guard: Guard) -> tuple[Judgment, str]:
    """Return what the notice in force says about a use, and the clause that grants it."""
    if not key.purpose:
        return Judgment.NO_PURPOSE, ""
    try:
        decision = decide_use(guard, key.source, key.purpose, key.channel or None, key.conditions.split())
    except UnknownTerm:
        return Judgment.UNKNOWN, ""
    if decision:
        return Judgment.PERMITTED, ", ".join(decision.grants.values())
    return (Judgment.CONSENT if decision.reason is DenialReason.CONSENT else Judgment.NOT_PERMITTED), ""


def decide_use(guard: Guard, source: str, purpose: object, channel: str | None, conditions: Iterable[str]) -> Decision:
    """Decide if an activity may use a source.

    Raises:
        UnknownTerm: The notice has no such source, purpose, channel or condition.
    """
    snapshot = guard.engine.snapshot
    table = snapshot.matrix
    verdict = snapshot.decide(
        source,
        table.resolve_purpose(purpose),
        table.resolve_channel(channel),
        activity=True,
        conditions=table.resolve_conditions(tuple(conditions)),
    )
    return Decision(verdict)


def _require_same_notice(collected: str, revision: str) -> None:
    """Raise EvidenceError if evidence was collected under another notice, not only another revision."""

    def split_ids(text: str) -> list[str]:
        return [notice.partition("@")[0] for notice in text.split()]

    if split_ids(collected) != split_ids(revision):
        raise EvidenceError(
            f"the evidence was collected under {collected or 'no notice'}, and the notice in force is {revision}: "
            "name the notice of the evidence, or collect anew in another file"
        )
