"""The differing cells as changes of use, in as few changes as possible.

Purposes with equal changes share one, and so do sources. A clause is reported only if none of its items is, and a
family only if none of its members is. `diff_terms` reports the terms that are gone.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from purposeguard.containers import intersect
from purposeguard.notice.bases import collect_bases, describe_basis
from purposeguard.notice.grants import (
    ClauseHierarchy,
    Extensions,
    Grants,
    LegalGrounds,
    compute_extensions,
    compute_grants,
)
from purposeguard.notice.history import History
from purposeguard.notice.schema import BasisRow, Extension, FamilyRow, Named, PurposeRow, list_ids
from purposeguard.notice.vocabulary import fold
from purposeguard.policy.diff.cells import AnyPurpose, Cell, Level
from purposeguard.policy.diff.changes import Change, Direction, Fact, Matching, Needs, Pair

Rows = dict[str | None, Cell]
"""Channel (None for reading) → the cell of one source and purpose, if it differs."""


@dataclasses.dataclass(frozen=True, slots=True)
class _UseChange:
    """The change of one use: of a source for a purpose, which it does not name.

    `earlier` is the effect on data collected earlier: `none` of the source exists; the use is not permitted (`no`); it
    is permitted with the `consent` of each subject, or because it is `related` and notice was given; or because the
    earlier revision `granted` it as well, or granted another purpose by the `same-id`. `when`: the sets of conditions
    of which it needs one.
    """

    kind: str
    direction: Direction
    channels: tuple[str, ...] = ()
    consent: bool = False
    earlier: str = "none"
    notified: str | None = None
    when: tuple[str, ...] = ()

    @property
    def needs(self) -> Needs | None:
        if self.direction != "widened":
            return None
        if self.consent or self.earlier == "consent":
            return "consent"
        return "notice" if self.earlier in {"related", "same-id"} else None

    def to_change(self, purposes: Iterable[str], sources: Iterable[str]) -> Change:
        facts: dict[str, Fact] = {"purposes": tuple(purposes), "sources": tuple(sources)}
        if self.channels:
            facts["channels"] = self.channels
        if self.when:
            facts["when"] = self.when
        if self.direction == "widened":
            facts |= {"consent": self.consent, "earlier": self.earlier, "notified": self.notified}
        return Change(self.kind, self.direction, facts, self.needs)


class Uses:
    """The changes of the uses of data: `changes` holds what widened and what narrowed."""

    def __init__(self, history: History, matching: Matching, cells: Iterable[Cell]) -> None:
        """Compute the changes between the first and the last revision of `history`."""
        self._history = history
        self._old, self._new = old, new = history.notices[0].document, history.latest.document
        self._matching = matching
        self._granted_then: Grants = compute_grants(old)
        self._granted_now: Grants = compute_grants(new)
        self._grounds = LegalGrounds(old), LegalGrounds(new)
        self._extended: Extensions = compute_extensions(new)
        every: list[tuple[str, str, _UseChange]] = []
        for (source, purpose), rows in _group_cells(cells).items():
            every += [(source.id, purpose.id, use) for use in self._diff_use(source, purpose, rows)]
        purposes_with_channels: set[str] = set()
        sources_of: dict[tuple[str, _UseChange], list[str]] = {}
        for source_id, purpose_id, use in _drop_parents(every, ClauseHierarchy(new)):
            sources_of.setdefault((purpose_id, use), []).append(source_id)
            if use.kind not in {"withdrawn", "earlier-lost"}:
                purposes_with_channels.add(purpose_id)
        alike: dict[tuple[_UseChange, tuple[str, ...]], list[str]] = {}
        for (purpose_id, use), sources in sources_of.items():
            alike.setdefault((use, tuple(sources)), []).append(purpose_id)
        self.changes = (
            *(use.to_change(purposes, sources) for (use, sources), purposes in alike.items()),
            *self._diff_channels(purposes_with_channels),
            *self._diff_conditions(),
            *self._diff_bases(),
            *self._diff_extensions(),
        )

    def _diff_use(self, source: Pair[Named], purpose: AnyPurpose, rows: Rows) -> Iterator[_UseChange]:
        base = rows.get(None)
        channels = _compare_channels(rows)
        if base is not None and not base.before and base.after:
            reach = self._effect_on_earlier_data(source, purpose, base)
            when = self._find_required_conditions(source, purpose)
            yield _UseChange(
                "granted", "widened", _get_closed_channels(purpose), base.after == Level.CONSENT, *reach, when
            )
        elif base is not None and base.before and not base.after:
            yield _UseChange("withdrawn", "narrowed")
        else:
            if channels.opened:
                first = rows[channels.opened[0]]
                reach = self._effect_on_earlier_data(source, purpose, first)
                consent = first.after == Level.CONSENT
                yield _UseChange("channels-opened", "widened", tuple(channels.opened), consent, *reach)
            if channels.closed:
                yield _UseChange("channels-closed", "narrowed", tuple(channels.closed))
        if base is not None and _loses_earlier_use(base):
            yield _UseChange("earlier-lost", "narrowed")
        elif channels.lost_earlier:
            yield _UseChange("earlier-lost", "narrowed", tuple(channels.lost_earlier))

    def _effect_on_earlier_data(self, source: Pair[Named], purpose: AnyPurpose, cell: Cell) -> tuple[str, str | None]:
        """Return the effect of a change on data collected earlier, and the day of notice, if there was one."""
        if cell.earlier is None or source.old_id is None:
            return "none", None
        if not cell.earlier:
            return "no", None
        now = self._translate_id("source", source.old_id, forward=True)
        rows: list[Extension] = []
        for member in _member_ids(purpose):
            extension = self._extended.get((now or "", member))
            if extension is not None and not self._was_granted(source.old_id, member, cell.channel):
                rows.append(extension)
        if not rows:
            return "granted" if isinstance(purpose.row, FamilyRow) else "same-id", None
        row = next((row for row in rows if row.basis == "related"), rows[0])
        return row.basis, _notice_day(row)

    def _translate_id(self, kind: Literal["source", "purpose"], clause: str, *, forward: bool) -> str | None:
        """Translate the id of a term from one revision to the other, as rule 9 requires; None if it has none there."""
        old, new = self._history.notices[0], self._history.latest
        since, until = (old, new) if forward else (new, old)
        folded = self._history.translate_clause(kind, clause, since, until)
        there = until.sources if kind == "source" else until.purposes
        return next((term.clause for term in there if fold(term.clause) == folded), None)

    def _diff_channels(self, reported: Container[str]) -> Iterator[Change]:
        """Yield the purposes whose clause names other channels without opening or closing any.

        Purposes in `reported` are passed over. A list that names all the channels that there are closes none, and yet
        asks activities to state theirs (rule 7).
        """
        common = set(list_ids(self._old.channel)) & set(list_ids(self._new.channel))
        for pair in self._matching.purposes:
            if pair.old is None or pair.new is None or pair.id in reported:
                continue
            was, is_ = _read_channels(pair.old), _read_channels(pair.new)
            if was.restrict_to(common) != is_.restrict_to(common):
                facts: dict[str, Fact] = {"purpose": pair.id, "old": was.channels, "old_alone": was.alone}
                facts |= {"new": is_.channels, "new_alone": is_.alone}
                yield Change("channels-named", "neutral", facts)

    def _find_required_conditions(self, source: Pair[Named], purpose: AnyPurpose) -> tuple[str, ...]:
        """Return the sets of conditions of which one must be stated for a use; an empty tuple if none is needed."""
        ways: list[frozenset[str]] = []
        for member in _member_ids(purpose):
            if member in self._granted_now.get(source.id, {}):
                ways += self._grounds[1].minimal_condition_sets(source.id, member)
        return () if frozenset() in ways else _describe_condition_sets(ways)

    def _diff_conditions(self) -> Iterator[Change]:
        """Yield the uses that both revisions grant, but under different conditions."""
        alike: dict[tuple[Direction, tuple[str, ...], tuple[str, ...]], list[tuple[str, str]]] = {}
        parents = ClauseHierarchy(self._new).children
        for source, purposes in self._granted_now.items():
            was = None if source in parents else self._translate_id("source", source, forward=False)
            for purpose in purposes if was is not None else ():
                then = self._translate_id("purpose", purpose, forward=False)
                if then is None or then not in self._granted_then.get(was or "", {}):
                    continue
                before, after = (
                    self._grounds[0].minimal_condition_sets(was or "", then),
                    self._grounds[1].minimal_condition_sets(source, purpose),
                )
                if before != after:
                    direction: Direction = "narrowed" if _covers_all(before, after) else "widened"
                    alike.setdefault(
                        (direction, _describe_condition_sets(before), _describe_condition_sets(after)), []
                    ).append((source, purpose))
        for (direction, old, new), pairs in alike.items():
            for purposes_of, sources in _group_pairs(pairs):
                facts: dict[str, Fact] = {"purposes": purposes_of, "sources": sources, "old": old, "new": new}
                yield Change("conditions", direction, facts, "notice" if direction == "widened" else None)

    def _diff_bases(self) -> Iterator[Change]:
        then, now = collect_bases(self._old), collect_bases(self._new)
        for pair in self._matching.purposes:
            if pair.old is None or pair.new is None:
                continue
            was = [*map(_sort_basis_row, map(self._matching.translate_ids, then[pair.old.id]))]
            is_ = [*map(_sort_basis_row, now[pair.new.id])]
            if set(map(_basis_key, was)) == set(map(_basis_key, is_)):
                continue
            (old, *more), (new, *others) = was, is_
            facts: dict[str, Fact] = {"purpose": pair.id, "old": old.basis, "new": new.basis}
            needs: Needs | None = "consent" if new.basis == "consent" else "notice" if new.basis == "law" else None
            direction = _compare_bases(was, is_)
            if more or others or _is_particular(old) or _is_particular(new):
                facts |= {"old": tuple(map(describe_basis, was)), "new": tuple(map(describe_basis, is_))}
                needs = "notice" if direction == "widened" else None
            yield Change("basis", direction, facts, needs)

    def _diff_extensions(self) -> Iterator[Change]:
        """Yield the effect of extensions on data collected before the earlier revision."""
        now = compute_grants(self._new)
        before = self._translate_earlier_extensions()
        pairs_of: dict[tuple[str, Direction, str, str | None], list[tuple[str, str]]] = {}
        for key, row in self._extended.items():
            if key in before:
                if before[key].basis != row.basis:
                    direction: Direction = "widened" if row.basis == "related" else "narrowed"
                    pairs_of.setdefault(("extension-basis", direction, row.basis, _notice_day(row)), []).append(key)
            elif self._was_granted(self._translate_id("source", key[0], forward=False), key[1]):
                pairs_of.setdefault(("extended", "widened", row.basis, _notice_day(row)), []).append(key)
        for key, row in before.items():
            if key not in self._extended and key[1] in now.get(key[0], ()):
                pairs_of.setdefault(("extension-dropped", "narrowed", row.basis, None), []).append(key)
        for (kind, direction, basis, day), pairs in pairs_of.items():
            needs: Needs = "notice" if basis == "related" else "consent"
            for purposes, sources in _group_pairs(pairs):
                facts: dict[str, Fact] = {"purposes": purposes, "sources": sources, "basis": basis, "notified": day}
                yield Change(kind, direction, facts, needs if direction == "widened" else None)

    def _translate_earlier_extensions(self) -> Extensions:
        """Return the extensions of the earlier revision by the ids of the later one, where that has the terms."""
        extensions: Extensions = {}
        for (old_source, old_purpose), row in compute_extensions(self._old).items():
            source = self._translate_id("source", old_source, forward=True)
            purpose = self._translate_id("purpose", old_purpose, forward=True)
            if source is not None and purpose is not None:
                extensions[source, purpose] = row
        return extensions

    def _was_granted(self, source: str | None, purpose: str, channel: str | None = None) -> bool:
        """Return True if the earlier revision grants a purpose of the later one to a source (by a channel).

        An extension then changes nothing for data collected under it. `source` is an id of the earlier revision.
        """
        was = self._translate_id("purpose", purpose, forward=False)
        if was is None or was not in self._granted_then.get(source or "", {}):
            return False
        closed = next((_get_closed_channels_of_row(row) for row in self._old.purposes if row.id == was), ())
        return channel is None or not closed or channel in closed


class _ChannelChanges(NamedTuple):
    """The channels of one use whose cells differ."""

    opened: list[str]
    closed: list[str]
    lost_earlier: list[str]
    """The channels by which data collected earlier loses a use that both revisions grant."""


def _compare_channels(rows: Rows) -> _ChannelChanges:
    channels = _ChannelChanges([], [], [])
    for channel, cell in rows.items():
        if channel is None:
            continue
        if cell.after and not cell.before:
            channels.opened.append(channel)
        elif cell.before and not cell.after:
            channels.closed.append(channel)
        if _loses_earlier_use(cell):
            channels.lost_earlier.append(channel)
    return channels


def _group_cells(cells: Iterable[Cell]) -> Mapping[tuple[Pair[Named], AnyPurpose], Rows]:
    """Return the cells to report, by source and purpose.

    Cells of removed terms are left out, and those of families whose change some member has too.
    """
    uses: dict[tuple[Pair[Named], AnyPurpose], Rows] = {}
    for cell in cells:
        if cell.source.new is not None and cell.purpose.new is not None:
            uses.setdefault((cell.source, cell.purpose), {})[cell.channel] = cell
    ways: dict[tuple[Pair[Named], str], set[int]] = {}
    for (source, purpose), rows in uses.items():
        if isinstance(purpose.row, PurposeRow):
            ways.setdefault((source, purpose.id), set()).update(_cell_directions(rows))
    reported: dict[tuple[Pair[Named], AnyPurpose], Rows] = {}
    for (source, purpose), rows in uses.items():
        if isinstance(purpose.row, FamilyRow):
            directions = _cell_directions(rows)
            if any(directions & ways.get((source, member), set()) for member in purpose.row.purposes):
                continue
        reported[source, purpose] = rows
    return reported


def _drop_parents(
    every: list[tuple[str, str, _UseChange]], hierarchy: ClauseHierarchy
) -> Iterator[tuple[str, str, _UseChange]]:
    """Leave out the changes of a clause as a whole that one of its items has too."""
    kinds = {(source, purpose, use.kind) for source, purpose, use in every}
    for source, purpose, use in every:
        leaves = hierarchy.leaves(source) if source in hierarchy.children else ()
        if not any((leaf, purpose, use.kind) in kinds for leaf in leaves):
            yield source, purpose, use


def _cell_directions(rows: Rows) -> frozenset[int]:
    """Return the directions of the cells: 1 up, -1 down, 2 down for data collected earlier."""
    directions: set[int] = set()
    for cell in rows.values():
        if cell.after != cell.before:
            directions.add(1 if cell.after > cell.before else -1)
        if _loses_earlier_use(cell):
            directions.add(2)
    return frozenset(directions)


def _member_ids(purpose: AnyPurpose) -> tuple[str, ...]:
    return purpose.row.purposes if isinstance(purpose.row, FamilyRow) else (purpose.id,)


def _get_closed_channels(purpose: AnyPurpose) -> tuple[str, ...]:
    return _get_closed_channels_of_row(purpose.row) if isinstance(purpose.row, PurposeRow) else ()


def _get_closed_channels_of_row(row: PurposeRow) -> tuple[str, ...]:
    """Return the channels that a purpose is limited to. The result is empty if any channel will do."""
    return (row.channels.closed or ()) if row.channels is not None else ()


class _NamedChannels(NamedTuple):
    """The channels that a clause names: as a closed list (`alone`), or as examples."""

    alone: bool
    channels: tuple[str, ...]

    def restrict_to(self, channels: Container[str]) -> _NamedChannels:
        return _NamedChannels(self.alone, tuple(sorted(intersect(self.channels, channels))))


def _read_channels(row: PurposeRow) -> _NamedChannels:
    closed = _get_closed_channels_of_row(row)
    return _NamedChannels(bool(closed), closed or (row.channels.open or () if row.channels is not None else ()))


def _loses_earlier_use(cell: Cell) -> bool:
    """Return True if data collected earlier loses a use that both revisions grant, since ids changed their meaning."""
    return cell.earlier is not None and cell.earlier < min(cell.before, cell.after)


def _compare_bases(was: Sequence[BasisRow], is_: Sequence[BasisRow]) -> Direction:
    """Return the direction of a change of bases.

    It is `widened` if any data, under some conditions, may be used more freely than before.
    """
    sources: set[str | None] = {None}
    stated = {frozenset[str]()}
    for row in (*was, *is_):
        sources.update(row.sources or ())
        stated.add(frozenset(row.when))
    stated.add(frozenset().union(*stated))
    is_narrowed = False
    for source, conditions in itertools.product(sources, stated):
        before, after = _measure_freedom(was, source, conditions), _measure_freedom(is_, source, conditions)
        if after > before:
            return "widened"
        is_narrowed = is_narrowed or after < before
    return "narrowed" if is_narrowed else "neutral"


def _measure_freedom(rows: Iterable[BasisRow], source: str | None, conditions: frozenset[str]) -> int:
    # What rests on law may go on past the period of retention; what rests on consent serves those alone who gave it,
    # what people may opt out of those alone who are named.
    width = {"consent": 1, "law": 4}
    freedom = 0
    for row in rows:
        if (row.sources is None or source in row.sources) and conditions.issuperset(row.when):
            freedom = max(freedom, min(width.get(row.basis or "", 3), 2 if row.opt_out else 4))
    return freedom


def _basis_key(row: BasisRow) -> object:
    return row.basis, row.sources, frozenset(row.when), row.opt_out


def _sort_basis_row(row: BasisRow) -> BasisRow:
    return row if row.sources is None else row.model_copy(update={"sources": tuple(sorted(row.sources))})


def _is_particular(row: BasisRow) -> bool:
    return bool(row.sources or row.when or row.opt_out)


def _covers_all(ways: Iterable[frozenset[str]], others: Iterable[frozenset[str]]) -> bool:
    """Return True if each of the other sets of conditions contains one of these."""
    ways = tuple(ways)
    return all(any(map(other.issuperset, ways)) for other in others)


def _describe_condition_sets(ways: Iterable[frozenset[str]]) -> tuple[str, ...]:
    """Return the sets of conditions as sorted texts, one each. The empty set is left out."""
    return tuple(sorted(" and ".join(sorted(way)) for way in ways if way))


def _notice_day(row: Extension) -> str | None:
    return row.notified.isoformat() if row.notified is not None else None


def _group_pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Group pairs of source and purpose. Yield the purposes that have the same sources, with these sources."""
    sources: dict[str, list[str]] = {}
    for source, purpose in pairs:
        sources.setdefault(purpose, []).append(source)
    alike: dict[tuple[str, ...], list[str]] = {}
    for purpose, ids in sources.items():
        alike.setdefault(tuple(ids), []).append(purpose)
    for same_sources, purposes in alike.items():
        yield tuple(purposes), same_sources
