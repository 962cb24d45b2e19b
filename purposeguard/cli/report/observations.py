"""The evidence of entry points, as the page shows it: reads, denials, and statements that were not analyzed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from purposeguard.adoption.proposals import Proposal, propose_purposes
from purposeguard.adoption.summary import VIOLATIONS, ObservedUse, Summary
from purposeguard.guard import Guard

MAX_ENTRY_POINTS: Final = 500
"""The greatest number of entry points on a page. Those with violations come first."""

MAX_FIELDS: Final = 12
"""The greatest number of fields that are named for a use."""

MAX_UNRESOLVED: Final = 200
"""The greatest number of rows about what could not be analyzed. The most frequent come first."""


@dataclasses.dataclass(frozen=True, slots=True)
class ObservedEntryPoint:
    """An entry point and what it was observed to use."""

    name: str
    """The name. Empty for what ran outside any entry point."""
    uses: Sequence[ObservedUse]
    has_violations: bool
    """True if the notice does not permit some of the uses."""
    is_forbidden: bool
    """True if some uses are violations, and no single purpose permits all that it read."""
    forbidding: Sequence[str]
    """The ids of the sources without which some purpose would permit the others."""


@dataclasses.dataclass(frozen=True, slots=True)
class Observations:
    """The evidence of a guard's application, and what is still undecided."""

    entry_points: Sequence[ObservedEntryPoint]
    """All entry points: first those that are forbidden, then those with other violations."""
    unresolved: Sequence[tuple[str, str, int]]
    """Statements that could not be analyzed: entry point, description and number of times, the most frequent first."""
    other_revisions: Sequence[str]
    """The revisions other than the one in force under which evidence was collected."""
    undecided: Mapping[str, Sequence[str]]
    """The undecided fields of tags.toml, by their header."""

    @property
    def violating(self) -> int:
        """The number of entry points with violations."""
        return sum(entry_point.has_violations for entry_point in self.entry_points)


def make_observations(guard: Guard, summary: Summary) -> Observations:
    """Return what evidence says about the application of a guard."""
    entry_points = sorted(
        _group_by_entry_point(summary, guard),
        key=lambda entry_point: (not entry_point.is_forbidden, not entry_point.has_violations, entry_point.name),
    )
    unresolved = [(entry_point, text, times) for (entry_point, text), times in summary.unresolved.most_common()]
    return Observations(entry_points, unresolved, sorted(summary.other_revisions), _find_undecided(guard))


def _group_by_entry_point(summary: Summary, guard: Guard) -> Iterator[ObservedEntryPoint]:
    proposals = {proposal.entry_point: proposal for proposal in propose_purposes(summary, guard, {})}
    uses: dict[str, list[ObservedUse]] = {}
    for use in summary.uses:
        uses.setdefault(use.key.entry_point, []).append(use)
    for name, own in uses.items():
        proposal = proposals.get(name, Proposal(name, (), ()))
        is_forbidden = bool(proposal.sources) and not proposal.candidates
        has_violations = any(use.judgment in VIOLATIONS for use in own)
        # Several purposes, each in a block of its own, may permit what no single purpose does.
        is_forbidden = is_forbidden and has_violations
        yield ObservedEntryPoint(name, own, has_violations, is_forbidden, proposal.forbidding if is_forbidden else ())


def _find_undecided(guard: Guard) -> dict[str, list[str]]:
    undecided: dict[str, list[str]] = {}
    for header, fields in {} if guard.tags is None else guard.tags.entries.items():
        names = [name for name, tag in fields.items() if tag.is_undecided]
        if names:
            undecided[header] = names
    return undecided
