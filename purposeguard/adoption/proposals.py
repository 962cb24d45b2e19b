"""Proposals of purposes for entry points, from what they were observed to read."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from purposeguard.adoption.lexicon import split_name
from purposeguard.adoption.summary import Summary, decide_use
from purposeguard.errors import UnknownTerm
from purposeguard.guard import Guard
from purposeguard.notice.vocabulary import Purpose
from purposeguard.policy.context import DenialReason

Option = tuple[type[Purpose], str | None]
"""A purpose with the channel that must be stated, if any."""

_SEGMENT: Final = re.compile(r"[^/{}<>:.\s]+")


class Candidate(NamedTuple):
    """A purpose that permits what an entry point reads.

    Attributes:
        purpose: The canonical id.
        channel: The channel that must be stated. None if none must be.
        by_consent: True if the use is permitted only for subjects who gave their consent.
        breadth: The number of sources that may serve the purpose.
        similarity: The share of the words of the purpose that occur in the name of the entry point, from 0 to 1.
        stated: The number of entry points for which the purpose is stated.
        fits: The number of entry points that the purpose permits what they read.
    """

    purpose: str
    channel: str | None
    by_consent: bool
    breadth: int
    similarity: float
    stated: int
    fits: int


@dataclasses.dataclass(frozen=True)
class Proposal:
    """The purposes for an entry point.

    Attributes:
        entry_point: The name of the entry point.
        sources: The ids of the sources that it reads.
        candidates: The purposes that permit all of them, the best one first. Empty if no purpose does.
        forbidding: If no purpose permits all sources, those that do not share a purpose with the others.
    """

    entry_point: str
    sources: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    forbidding: tuple[str, ...] = ()


def propose_purposes(summary: Summary, guard: Guard, stated: Mapping[str, str]) -> list[Proposal]:
    """Propose purposes for each entry point without one. Those that no purpose permits come first.

    The best purposes need no consent. Among these come first those of entry points with a similar name, and then those
    that fit the name. An application serves few purposes, so next come those that are stated for more of its entry
    points, and those that permit what more of them read. Among equals come first the narrower ones, and at last those
    that need no channel. Nothing is proposed for an entry point all of whose statements could not be analyzed.

    Args:
        summary: The evidence.
        guard: The guard with the notice.
        stated: The purposes of entry points for which one is stated. Names are similar if they have the same beginning:
            such entry points are likely to serve the same purpose.
    """
    read = {name: tuple(sources) for name, sources in summary.collect_sources().items() if name and sources}
    proposer = _Proposer(guard, stated, read.values())
    proposals: list[Proposal] = []
    for name, sources in read.items():
        if name not in stated:
            proposals.append(proposer.propose(name, sources))  # A loop is easier to read.
    return sorted(proposals, key=lambda proposal: (bool(proposal.candidates), proposal.entry_point))


class _Proposer:
    """The permitting purposes of a notice, which are looked up once for each source."""

    def __init__(self, guard: Guard, stated: Mapping[str, str], read: Iterable[tuple[str, ...]]) -> None:
        """Look up the purposes.

        Args:
            guard: The guard with the notice.
            stated: The purposes of entry points for which one is stated.
            read: The sources that each entry point reads.
        """
        self._guard = guard
        self._stated = Counter(stated.values())
        self._purposes_by_beginning: dict[str, set[str]] = {}
        for name, stated_purpose in stated.items():
            self._purposes_by_beginning.setdefault(_get_beginning(name), set()).add(stated_purpose)
        self._options: list[Option] = []
        for purpose in guard.notice.purposes:
            self._options += [(purpose, channel) for channel in self._list_channels(purpose)]
        self._answers: dict[str, dict[Option, bool]] = {}
        self._breadths: Counter[Option] = Counter()
        for source in guard.notice.sources:
            self._breadths.update(self._list_options(source.clause).keys())
        self._fits: Counter[Option] = Counter()
        """The number of entry points whose sources an option permits."""
        for sources, times in Counter(read).items():
            for option, by_consent in self._find_permitting(sources).items():
                if not by_consent:
                    self._fits[option] += times

    def propose(self, entry_point: str, sources: tuple[str, ...]) -> Proposal:
        """Return the proposal for an entry point that reads these sources."""
        words = set(split_name(entry_point))
        neighbors = self._purposes_by_beginning.get(_get_beginning(entry_point), set())
        candidates: list[Candidate] = []
        for (purpose, channel), by_consent in self._find_permitting(sources).items():
            option = purpose, channel
            similarity = _measure_similarity(words, purpose)
            breadth, stated, fits = self._breadths[option], self._stated[purpose.clause], self._fits[option]
            candidates.append(Candidate(purpose.clause, channel, by_consent, breadth, similarity, stated, fits))
        candidates.sort(
            key=lambda candidate: (
                candidate.by_consent,
                candidate.purpose not in neighbors,
                -candidate.similarity,
                -candidate.stated,
                -candidate.fits,
                candidate.breadth,
                candidate.channel is not None,
            )
        )
        forbidding = () if candidates else tuple(self._find_forbidding(sources))
        return Proposal(entry_point, sources, tuple(candidates), forbidding)

    def _find_permitting(self, sources: tuple[str, ...]) -> dict[Option, bool]:
        """Return the options that permit all sources; True for those that rest on consent.

        An option permits several sources exactly if it permits each of them (rule 2).
        """
        answers = [self._list_options(source) for source in sources]
        permitting: dict[Option, bool] = {}
        for option in self._options:
            if all(option in answer for answer in answers):
                permitting[option] = any(answer[option] for answer in answers)
        return permitting

    def _list_options(self, source: str) -> dict[Option, bool]:
        """Return the options that permit one source; True for those that rest on consent."""
        answers = self._answers.get(source)
        if answers is None:
            answers = self._answers[source] = {}
            for purpose, channel in self._options:
                try:
                    decision = decide_use(self._guard, source, purpose, channel, ())
                except UnknownTerm:  # The evidence is of another revision, and no purpose permits what is gone.
                    break
                if decision or decision.reason is DenialReason.CONSENT:
                    answers[purpose, channel] = not decision
        return answers

    def _list_channels(self, purpose: type[Purpose]) -> tuple[str | None, ...]:
        table = self._guard.engine.snapshot.matrix
        return tuple(table.list_admitted_channels(purpose)) if table.must_state_channel(purpose) else (None,)

    def _find_forbidding(self, sources: tuple[str, ...]) -> Iterator[str]:
        """Yield the sources without which some purpose would permit the others."""
        for source in sources:
            others = tuple(other for other in sources if other != source)
            if others and self._find_permitting(others):
                yield source


def _measure_similarity(words: set[str], purpose: type[Purpose]) -> float:
    """Return the share of the words of a purpose's slug that occur in the name of an entry point."""
    own = set(split_name(purpose.slug))
    shared = {word for word in own if any(_stem(word) == _stem(other) for other in words)}
    return len(shared) / len(own) if own else 0.0


def _stem(word: str) -> str:
    """Return the beginning of a word that related words share: `renewals` and `renew`."""
    return word[:5]


def _get_beginning(entry_point: str) -> str:
    """Return the first two parts of a name that are no parameters: `GET /users/{id}` → `users`."""
    parts = _SEGMENT.findall(entry_point)
    return parts[1] if len(parts) > 1 else entry_point
