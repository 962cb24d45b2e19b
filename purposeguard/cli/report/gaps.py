"""The gaps between a notice and an application: what one side has and the other lacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from purposeguard.cli.report.code_facts import CodeFacts
from purposeguard.cli.report.notice_facts import NoticeFacts, parent_of
from purposeguard.cli.report.records import NONE, LedgerRecords
from purposeguard.notice.schema import list_ids
from purposeguard.notice.vocabulary import NotPersonal
from purposeguard.runtime.registry import Activity


class Gap(NamedTuple):
    """What one side has and the other lacks."""

    name: str
    """An id, or a name of code."""
    of: str = ""
    """What it belongs to."""


@dataclasses.dataclass(frozen=True, slots=True)
class Gaps:
    """What is missing on either side."""

    purposes: tuple[Gap, ...]
    """The purposes that no activity states."""
    sources: tuple[Gap, ...]
    """The sources that no code reads."""
    code: Mapping[str, tuple[Gap, ...]]
    """What the code does, or did, that no clause of the notice in force states: the gaps of each kind."""
    never: tuple[Gap, ...] | None
    """The activities without a use on record; None if there is no ledger."""
    untagged: tuple[Gap, ...]
    """The fields that say nothing."""

    @property
    def count(self) -> int:
        """The number of gaps."""
        plain = (self.purposes, self.sources, self.never or (), self.untagged)
        return sum(map(len, (*plain, *self.code.values())))


def find_gaps(notice: NoticeFacts, code: CodeFacts, records: LedgerRecords | None) -> Gaps:
    """Return the gaps between a notice and an application.

    Args:
        notice: The notice.
        code: What the application declares.
        records: The figures of its store, if there is one.
    """
    declared = _DeclaredGaps(notice, code)
    by_kind = declared.by_kind()
    if records is not None:
        by_kind |= _RecordedGaps(notice, code, records).by_kind()
    return Gaps(
        purposes=tuple(declared.find_unstated_purposes()),
        sources=tuple(declared.unread_sources()),
        code={kind: gaps for kind, gaps in by_kind.items() if gaps},
        never=None if records is None else tuple(_gaps_of(_list_unused(code))),
        untagged=tuple(declared.find_untagged_fields()),
    )


def _gaps_of(activities: Iterable[Activity]) -> Iterator[Gap]:
    for activity in activities:
        yield Gap(activity.name, activity.purpose_id)


def _list_unused(code: CodeFacts) -> Iterator[Activity]:
    """Yield the activities without a use on record."""
    for activity, evidence in code.evidence.items():
        if not evidence.uses:
            yield activity


class _DeclaredGaps:
    """The gaps between the notice and what the code declares."""

    def __init__(self, notice: NoticeFacts, code: CodeFacts) -> None:
        self._notice = notice
        self._code = code

    def by_kind(self) -> dict[str, tuple[Gap, ...]]:
        """Return the gaps of the code, by kind."""
        forecasts = self._code.forecasts
        return {
            "purpose_gone": tuple(_gaps_of(self._activities_without_purpose())),
            "source_gone": tuple(self._find_missing_sources()),
            "unknown_sources": tuple(self._functions_of_unknown_sources()),
            "unread_class": tuple(map(Gap, self._code.unread)),
            "no_channel": tuple(_gaps_of(forecasts.silent())),
            "starved": tuple(_gaps_of(forecasts.find_starved())),
            "idle_access": tuple(Gap(access.name) for access in forecasts.idle()),
            "idle_hand_over": tuple(Gap(declared.name, declared.recipient_id) for declared in self._code.idle),
        }

    def find_unstated_purposes(self) -> Iterator[Gap]:
        """Yield the purposes that no activity states."""
        stated = set(chain.from_iterable(self._code.purposes.values()))
        for purpose in self._notice.document.purposes:
            if purpose.id not in stated:
                yield Gap(purpose.id)

    def unread_sources(self) -> Iterator[Gap]:
        """Yield the sources that no code reads."""
        read: set[str] = set()
        for declared in self._code.reading:
            read.update(declared.sources or ())
        # Data of an item is data of its clause.
        parents = {parent_of(source) for source in self._notice.sources if source.id in read}
        for source in self._notice.sources:
            if source.id not in read and source.id not in parents:
                yield Gap(source.id)

    def find_untagged_fields(self) -> Iterator[Gap]:
        """Yield the fields of classes with tags that have none themselves."""
        for cls in self._code.classes:
            for field in cls.untagged:
                yield Gap(field, cls.name)

    def _activities_without_purpose(self) -> Iterator[Activity]:
        """Yield the activities whose purpose the notice in force does not have."""
        for activity, purposes in self._code.purposes.items():
            if not purposes:
                yield activity

    def _find_missing_sources(self) -> Iterator[Gap]:
        """Yield the sources of code that the notice in force does not have."""
        present = {NotPersonal.clause, *list_ids(self._notice.sources)}
        for declared in self._code.reading:
            for source in declared.sources or ():
                if source not in present:
                    yield Gap(declared.name, source)

    def _functions_of_unknown_sources(self) -> Iterator[Gap]:
        for declared in self._code.reading:
            if declared.kind == "access" and declared.sources is None:
                yield Gap(declared.name)


class _RecordedGaps:
    """The gaps between the notice and what is on record."""

    def __init__(self, notice: NoticeFacts, code: CodeFacts, records: LedgerRecords) -> None:
        self._records = records
        self._activities = {activity.name for activity in code.purposes}
        self._purposes = {*notice.grant_of, *(family.name for family in notice.notice.families)}
        self._sources = {NotPersonal.clause, *list_ids(notice.sources)}
        self._undeclared: dict[Gap, None] = {}
        self._unstated: dict[Gap, None] = {}

    def by_kind(self) -> dict[str, tuple[Gap, ...]]:
        """Return the gaps of what the code did, by kind."""
        outside = NONE
        for activity, purpose, sources, evidence in self._records.uses():
            if purpose:
                self._compare(activity, purpose, sources)
            else:
                outside += evidence
        return {
            "undeclared": tuple(self._undeclared),
            "unstated": tuple(self._unstated),
            "outside": (Gap(str(outside.denials), outside.last_denial or ""),) if outside else (),
        }

    def _compare(self, activity: str | None, purpose: str, sources: Iterable[str]) -> None:
        """Compare a use or denial with what is declared and stated."""
        if activity is not None and activity not in self._activities:
            self._undeclared[Gap(activity, purpose)] = None
        for term, present in ((purpose, self._purposes), *((source, self._sources) for source in sources)):
            if term not in present:
                self._unstated[Gap(term, activity or "")] = None
