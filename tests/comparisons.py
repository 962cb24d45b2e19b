"""What tests hold a comparison of two revisions to: deciding before and after."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import cast

import pytest

from purposeguard import Guard, History, Notice, RowContext, Source, UnknownSource
from purposeguard.notice.grants import ClauseHierarchy
from purposeguard.policy import spec
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.diff import Cell, Change, Comparison, Level, compare
from purposeguard.policy.diff.changes import AnyPair, id_of
from tests.oversights import Told

Question = tuple[int, int, str | None]
"""Which source and which purpose or family of the matching, and the channel."""

LATER = datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC)


class Asked:
    """The two revisions, asked by the guard and by the specification, of subjects who agreed and of others."""

    def __init__(self, old: Notice, new: Notice) -> None:
        self.old, self.new = old, new
        self.consents = frozenset((one.clause, notice.revision) for notice in (old, new) for one in notice.purposes)
        oversight = Told({"agreed": SubjectPreferences(consents=self.consents)})
        self.before = Guard(old, governance=oversight, clock=lambda: LATER)
        drafts = History.of_drafts(old, new)
        # A guard refuses drafts. Here it decides by ids that nothing explains, as the comparison does.
        drafts._fill(is_draft=False)
        self.after = Guard(drafts, governance=oversight, clock=lambda: LATER)

    def level(self, guard: Guard, source: str, purpose: str, channel: str | None) -> Level:
        """Of data that is collected under the revision that the guard holds to."""
        return self._level(guard, guard.notice.source(source), source, purpose, channel)

    def level_of_earlier(self, source: str, purpose: str, channel: str | None) -> Level:
        """Of data collected under the earlier revision, once the later is in force."""
        documents = [self.new.document, self.old.document]
        now = spec.translate_id(documents, "source", source, self.new.revision)
        if now not in {one.clause for one in self.new.sources}:
            with pytest.raises(UnknownSource):
                self.after.allows(self.old.source(source), purpose)
            return Level.NO
        return self._level(self.after, self.old.source(source), now, purpose, channel)

    def _level(self, guard: Guard, source: type[Source], now: str, purpose: str, channel: str | None) -> Level:
        documents = [self.old.document, guard.notice.document]
        under = None if source in guard.notice.sources else self.old.revision
        found = Level.NO
        stated = frozenset(guard.notice.conditions)
        for who, consents, level in (("agreed", self.consents, Level.CONSENT), ("nobody", frozenset(), Level.YES)):
            allowed = spec.is_allowed(
                documents,
                [now],
                purpose,
                channel,
                collected_under=under,
                consents=consents,
                conditions=stated,
                named=True,
            )
            if channel is None or channel in guard.notice.channels:
                assert guard.allows(source, purpose, channel, RowContext(who), stated) is allowed
            found = level if allowed else found
        return found


def every_question(found: Comparison) -> Iterator[tuple[Question, AnyPair, AnyPair]]:
    channels = (None, *dict.fromkeys((*found.new.channels, *found.old.channels)))
    purposes: tuple[AnyPair, ...] = (*found.matching.purposes, *found.matching.families)
    for number, source in enumerate(found.matching.sources):
        for place, purpose in enumerate(purposes):
            for channel in channels:
                yield (number, place, channel), source, purpose


def told(found: Comparison) -> dict[Question, Cell]:
    purposes = [*map(id, found.matching.purposes), *map(id, found.matching.families)]
    sources = [*map(id, found.matching.sources)]
    return {(sources.index(id(one.source)), purposes.index(id(one.purpose)), one.channel): one for one in found.cells}


def hold_equal(old: Notice, new: Notice) -> tuple[int, int]:
    """The cells are those that are decided differently, and say how; how many there are, and how many were asked."""
    found = compare(old, new)
    asked = Asked(old, new)
    cells = told(found)
    assert len(cells) == len(found.cells)
    count = 0
    for question, source, purpose in every_question(found):
        channel = question[2]
        before = after = Level.NO
        earlier = None
        if source.old is not None and purpose.old is not None:
            before = asked.level(asked.before, id_of(source.old), id_of(purpose.old), channel)
        if source.new is not None and purpose.new is not None:
            after = asked.level(asked.after, id_of(source.new), id_of(purpose.new), channel)
        if source.old is not None:
            earlier = Level.NO
            if purpose.new is not None:
                earlier = asked.level_of_earlier(id_of(source.old), id_of(purpose.new), channel)
        count += 1
        cell = cells.get(question)
        if cell is None:
            assert (before, earlier) in {(after, after), (after, None)}, (question, before, after, earlier)
        else:
            assert (cell.before, cell.after, cell.earlier) == (before, after, earlier), question
    return len(cells), count


def stated(found: Comparison, kind: str) -> dict[tuple[str, str], Change]:
    """The pairs of source and purpose that changes of a kind tell of."""
    pairs = [
        (source, purpose, change)
        for change in found.changes
        if change.kind == kind
        for purpose in cast("tuple[str, ...]", change["purposes"])
        for source in cast("tuple[str, ...]", change["sources"])
    ]
    assert len({(source, purpose) for source, purpose, _ in pairs}) == len(pairs), "something is told twice"
    return {(source, purpose): change for source, purpose, change in pairs}


Levels = tuple[Level, Level, Level]
"""Before, after, and after of data collected earlier."""


class Stated:
    """What a comparison tells of uses, and what comes of deciding."""

    def __init__(self, old: Notice, new: Notice) -> None:
        found = compare(old, new)
        self.old, self.new = old, new
        self.matching = found.matching
        self.asked = Asked(old, new)
        kinds = ("granted", "withdrawn", "channels-opened", "channels-closed", "earlier-lost")
        self.told_of = {kind: stated(found, kind) for kind in kinds}
        self.channels = tuple(dict.fromkeys((*new.channels, *old.channels)))
        self.hierarchy = ClauseHierarchy(new.document)

    def levels(self, source: AnyPair, purpose: AnyPair, channel: str | None) -> Levels:
        asked, before = self.asked, Level.NO
        if source.old is not None and purpose.old is not None:
            before = asked.level(asked.before, id_of(source.old), id_of(purpose.old), channel)
        after = asked.level(asked.after, source.id, purpose.id, channel)
        if source.old is None:
            return before, after, after
        return before, after, asked.level_of_earlier(id_of(source.old), purpose.id, channel)

    def told_as(self, kind: str, source: AnyPair, purpose: AnyPair, expected: bool) -> Change | None:
        """It is told where it is so; of a clause, it may be told of one of its items instead."""
        told = self.told_of[kind]
        found = told.get((source.id, purpose.id))
        leaves = self.hierarchy.leaves(source.id) if source.id in self.hierarchy.children else ()
        instead = any((leaf, purpose.id) in told for leaf in leaves)
        assert found is not None or instead if expected else found is None, (kind, source.id, purpose.id)
        return found

    def hold_granted(self, source: AnyPair, purpose: AnyPair, levels: Levels) -> None:
        before, after, earlier = levels
        change = self.told_as("granted", source, purpose, not before and after > 0)
        if change is not None:
            reach = change["earlier"]
            assert change["consent"] is (after == Level.CONSENT)
            assert (reach == "none") is (source.old is None)
            assert source.old is None or (reach == "no") is (not earlier)
            assert reach != "related" or earlier == after
            assert reach != "consent" or earlier == Level.CONSENT
            assert change.needs == "consent" or not (change["consent"] or reach == "consent")
            self.hold_reach(change, source, purpose, None)

    def hold_reach(self, change: Change, source: AnyPair, purpose: AnyPair, channel: str | None) -> None:
        """That it reaches data collected earlier is put down to what the earlier revision granted where that is so."""
        if change["earlier"] not in {"none", "no"} and source.old is not None:
            documents = [self.old.document, self.new.document]
            was = spec.translate_id(documents, "purpose", purpose.id, self.old.revision)
            then = was is not None and spec.is_granted(self.old.document, id_of(source.old), was, channel)
            assert (change["earlier"] == "same-id") is then

    def hold_channels(self, source: AnyPair, purpose: AnyPair, by_channel: dict[str, Levels]) -> None:
        opened = tuple(one for one, (was, is_, _) in by_channel.items() if not was and is_)
        shut = tuple(one for one, (was, is_, _) in by_channel.items() if was and not is_)
        for kind, expected in (("channels-opened", opened), ("channels-closed", shut)):
            change = self.told_as(kind, source, purpose, bool(expected))
            assert change is None or change["channels"] == expected
            if change is not None and kind == "channels-opened":
                self.hold_reach(change, source, purpose, expected[0])

    def hold(self, source: AnyPair, purpose: AnyPair) -> None:
        levels = self.levels(source, purpose, None)
        before, after, _ = levels
        by_channel = {channel: self.levels(source, purpose, channel) for channel in self.channels}
        self.hold_granted(source, purpose, levels)
        self.told_as("withdrawn", source, purpose, before > 0 and not after)
        self.hold_channels(source, purpose, by_channel if before and after else {})
        lost = any(then < min(was, is_) for was, is_, then in (levels, *by_channel.values()))
        self.told_as("earlier-lost", source, purpose, lost)


def hold_to_what_is_stated(old: Notice, new: Notice) -> None:
    """Each change that a comparison tells of comes of deciding, and each that comes of deciding is told."""
    both = Stated(old, new)
    for source in both.matching.sources:
        for purpose in both.matching.purposes:
            if source.new is not None and purpose.new is not None:  # what is gone is told of as a whole
                both.hold(source, purpose)
