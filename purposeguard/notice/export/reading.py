"""The rules of a notice by source, for engines that decide by sets of sources.

They are computed from the document alone, clause by clause, and not from the library's own tables. So if such an engine
answers as the library does, two independent readings of the notice agree. Ids are in the document's canonical spelling.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from purposeguard.containers import exclude
from purposeguard.notice.bases import resolve_basis_rows
from purposeguard.notice.fields import EVERY
from purposeguard.notice.schema import (
    BasisRow,
    Derivation,
    Document,
    FamilyRow,
    Grant,
    Overlay,
    Prohibition,
    list_ids,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """The terms of a granted use: the channels, the subject's consent and the conditions that it needs."""

    channels: tuple[str, ...] | None = None
    """The only channels that are admitted; None if all are."""
    consent: str | None = None
    """The purpose that the subject must have agreed to; None if no consent is needed."""
    conditions: tuple[str, ...] = ()
    """The conditions that must be stated to hold."""

    @property
    def free(self) -> bool:
        """True if there are no terms to be met."""
        return self.channels is None and self.consent is None and not self.conditions


@dataclasses.dataclass(frozen=True, slots=True)
class Ban:
    """A prohibition with all that it reaches: `sources` may not serve `purposes`."""

    rule: Prohibition
    sources: tuple[str, ...]
    purposes: tuple[str, ...]


class NoticeReading:
    """The rules of a document by source.

    Without `conditions`, grants are read as if no condition held, and prohibitions as if no condition lifted them. That
    is for engines that know no conditions.
    """

    __slots__ = (
        "_above",
        "_below",
        "_conditions",
        "_origins",
        "_rows",
        "bans",
        "document",
        "listed",
        "narrow",
        "sources",
    )

    document: Document
    sources: tuple[str, ...]
    listed: Mapping[str, tuple[str, ...]]
    """Clause → its sources: items, parents all of whose items it names, and the overlays and derivations that may serve
    a purpose of the clause.
    """
    narrow: Mapping[str, tuple[str, ...]]
    """Overlay or derivation → the only purposes that it may serve (rules 6 and 8)."""
    bans: tuple[Ban, ...]
    """The prohibitions (rule 5)."""

    def __init__(self, document: Document, *, conditions: bool = False) -> None:
        self.document = document
        self._conditions = conditions
        self._rows = {purpose.id: (grant, purpose) for grant, purpose in document.iter_grants()}
        narrowed: list[Overlay | Derivation] = [*document.overlay, *document.derivation]
        self.sources = tuple(list_ids((*document.source, *narrowed)))
        self.narrow = {row.id: row.serves for row in narrowed}
        parents = {row.id: row.parent for row in document.source}
        self._above: dict[str, tuple[str, ...]] = {}
        self._below: dict[str, list[str]] = {source: [] for source in parents}
        for source in parents:
            self._above[source] = tuple(_iter_ancestors(source, parents))
            for ancestor in self._above[source]:
                self._below[ancestor].append(source)
        self._origins: dict[str, frozenset[str]] = {}
        self.listed = {grant.clause: self._sort_sources(self._find_clause_sources(grant)) for grant in document.grant}
        self.bans = tuple(map(self._read_prohibition, document.forbid))

    def find_permitted_sources(self, clause: str, purpose: str) -> tuple[str, ...]:
        """Return the sources that a clause lets serve one of its purposes, before any prohibition."""
        permitted: list[str] = []
        for source in self.listed[clause]:
            may_serve = purpose in self.narrow.get(source, (purpose,))
            if may_serve and (self._conditions or self.terms(source, purpose)):
                permitted.append(source)
        return tuple(permitted)

    def find_banned_sources(self, purpose: str) -> frozenset[str]:
        """Return the sources that a prohibition keeps from a purpose under all conditions."""
        banned: set[str] = set()
        for ban in self._bans_of(purpose):
            if not self.lifting_conditions(ban):
                banned.update(ban.sources)
        return frozenset(banned)

    def find_allowed_sources(self, clause: str, purpose: str) -> list[str]:
        """Return the sources that a clause lets serve one of its purposes, and that no prohibition keeps from it."""
        banned = self.find_banned_sources(purpose)
        return exclude(self.find_permitted_sources(clause, purpose), banned)

    def lifting_conditions(self, ban: Ban) -> tuple[str, ...]:
        """Return the conditions that lift a prohibition. The result is empty if none do."""
        return ban.rule.unless if self._conditions else ()

    def _bans_of(self, purpose: str) -> list[Ban]:
        return [ban for ban in self.bans if purpose in ban.purposes]

    def bases(self, purpose: str) -> tuple[BasisRow, ...]:
        """Return the bases of a purpose: its own, or else those of its grant. If none is stated, one row says so."""
        return resolve_basis_rows(*self._rows[purpose])

    def terms(self, source: str, purpose: str, *, with_channels: bool = True) -> tuple[Term, ...]:
        """Return the terms under which a source may serve a granted purpose, of which one must be met.

        Prohibitions are not considered.
        """
        grant, row = self._rows[purpose]
        closed = row.channels.closed if row.channels and with_channels else None
        for overlay in self.document.overlay:
            if overlay.id == source:
                source = overlay.source
                break
        needs = [_Need(frozenset((*grant.when, *row.when)), consent=False)]
        for item in self._items(source) if source in self._below else [source]:
            bases = self._bases_of_item(item, purpose)
            needs = list(itertools.starmap(_Need.add, itertools.product(needs, bases)))
        if not self._conditions:
            needs = [need for need in needs if not need.conditions]
        terms: list[Term] = []
        for need in _iter_least_needs(needs):
            term = Term(closed, purpose if need.consent else None, tuple(sorted(need.conditions)))
            terms.append(term)
        return tuple(terms)

    def _bases_of_item(self, item: str, purpose: str) -> list[BasisRow]:
        """Return the bases of a purpose that apply to data of an item."""
        clauses = {item, *self._above.get(item, ())}
        return [row for row in self.bases(purpose) if row.sources is None or not clauses.isdisjoint(row.sources)]

    def group_sources(self, clause: str, purpose: str) -> dict[tuple[Term, ...], list[str]]:
        """Group the sources that a clause lets serve a purpose by their terms, of which one must be met.

        Channels are left out of the terms, and sources without other terms have the key `()`.
        """
        groups: dict[tuple[Term, ...], list[str]] = {}
        for source in self.find_permitted_sources(clause, purpose):
            terms = self.terms(source, purpose, with_channels=False)
            groups.setdefault(() if any(term.free for term in terms) else terms, []).append(source)
        return groups

    def list_with_items(self, source: str) -> tuple[str, ...]:
        """Return a clause and all items below it."""
        return (source, *self._below.get(source, ()))

    def group_family_sources(self, family: FamilyRow) -> dict[tuple[Term, ...], list[str]]:
        """Group the sources that may serve some purpose of a family by their terms, of which one must be met (rule 3).

        The key `()` holds the sources that may serve some member without any term.
        """
        terms_of: dict[str, list[Term]] = {}
        for purpose in family.purposes:
            grant, _ = self._rows[purpose]
            for source in self.find_allowed_sources(grant.clause, purpose):
                lifting = self._conditions_to_lift(source, purpose)
                for term in self.terms(source, purpose):
                    conditions = tuple(sorted(lifting.union(term.conditions)))
                    terms_of.setdefault(source, []).append(dataclasses.replace(term, conditions=conditions))
        groups: dict[tuple[Term, ...], list[str]] = {}
        for source in self._sort_sources(terms_of):
            terms = terms_of[source]
            needed = () if any(term.free for term in terms) else _merge_terms(terms)
            groups.setdefault(needed, []).append(source)
        return groups

    def _conditions_to_lift(self, source: str, purpose: str) -> set[str]:
        """Return the conditions that together lift all prohibitions of a source for a purpose."""
        conditions: set[str] = set()
        for ban in self._bans_of(purpose):
            if source in ban.sources:
                conditions.update(self.lifting_conditions(ban))
        return conditions

    def _sort_sources(self, sources: Iterable[str]) -> tuple[str, ...]:
        return tuple(filter(set(sources).__contains__, self.sources))

    def _find_clause_sources(self, grant: Grant) -> set[str]:
        """Find the sources of a clause, as `listed` holds them."""
        purposes = set(list_ids(grant.purpose))
        named: set[str] = set()
        for clause in self._clauses(grant.sources):
            named.update(self.list_with_items(clause))
        # Data of a parent may come from any of its items, so all of them must be named.
        whole = {source for source in self._below if named.issuperset(self._items(source))}
        sources = set(whole)
        for overlay in self.document.overlay:
            if overlay.source in whole and not purposes.isdisjoint(overlay.serves):
                sources.add(overlay.id)
        for derivation in self.document.derivation:
            if not purposes.isdisjoint(derivation.serves):
                sources.add(derivation.id)
        return sources

    def _read_prohibition(self, rule: Prohibition) -> Ban:
        """Find the sources that a prohibition reaches: those it names, their items, and what may hold such data."""
        named = set(self._clauses(rule.sources))
        reached = {source for source in self.sources if not named.isdisjoint(self._origin(source))}
        # Data of a parent may come from the item that is named.
        reached |= {source for source in self._below if not reached.isdisjoint(self._items(source))}
        overlays = [overlay.id for overlay in self.document.overlay if overlay.source in reached]
        return Ban(rule, self._sort_sources(reached.union(overlays)), tuple(self.document.members_of(rule.purposes)))

    def _clauses(self, sources: tuple[str, ...]) -> Iterable[str]:
        return self._below if sources == EVERY else sources

    def _items(self, source: str) -> list[str]:
        """Return the lowest items of a clause; the clause itself if it has no items."""
        return [item for item in (source, *self._below[source]) if not self._below[item]]

    def _origin(self, source: str) -> frozenset[str]:
        """Return a source and all sources that it is a part of, narrows, or may be derived from."""
        if source in self._above:
            return frozenset((source, *self._above[source]))
        if source not in self._origins:
            origins = {source}
            for overlay in self.document.overlay:
                if overlay.id == source:
                    origins |= self._origin(overlay.source)
            for derivation in self.document.derivation:
                if derivation.id == source:
                    for input_id in (*derivation.from_, *derivation.with_):
                        for part in self.list_with_items(input_id):
                            origins |= self._origin(part)
            self._origins[source] = frozenset(origins)
        return self._origins[source]


class _Need(NamedTuple):
    """What one way to lawful use of several items needs: conditions that hold, and perhaps the subject's consent."""

    conditions: frozenset[str]
    consent: bool

    def add(self, basis: BasisRow) -> _Need:
        """Return what is needed if this basis must apply as well."""
        return _Need(self.conditions.union(basis.when), self.consent or basis.basis == "consent")

    def exceeds(self, other: _Need) -> bool:
        """Return True if the other way needs less, and nothing that this one does not need."""
        return self != other and self.conditions >= other.conditions and self.consent >= other.consent


def _iter_least_needs(needs: Iterable[_Need]) -> Iterator[_Need]:
    """Iterate over the different needs that exceed no other one."""
    different = dict.fromkeys(needs)
    for need in different:
        if not any(map(need.exceeds, different)):
            yield need


def _iter_ancestors(source: str, parent: Mapping[str, str | None]) -> Iterator[str]:
    """Yield the parent of a clause, its parent's parent and so on."""
    above = parent[source]
    while above is not None:
        yield above
        above = parent[above]


def _is_of_channels(term: Term) -> bool:
    return term.consent is None and not term.conditions


def _merge_terms(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Simplify alternative terms.

    Terms about channels only are merged into one. Terms that ask for one of these channels and for more are dropped.
    """
    channels: dict[str, None] = {}
    others: list[Term] = []
    for term in dict.fromkeys(terms):
        if _is_of_channels(term):
            channels.update(dict.fromkeys(term.channels or ()))
        else:
            others.append(term)
    merged = [Term(tuple(channels))] if channels else []
    for term in others:
        is_implied = term.channels is not None and channels.keys() >= set(term.channels)
        if not is_implied:
            merged.append(term)
    return tuple(merged)
