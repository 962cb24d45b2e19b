"""The rules of a notice by source, for engines that decide by sets of sources.

They are computed from the document alone, clause by clause, and not from the library's own tables. So if such an engine
answers as the library does, two independent readings of the notice agree. Ids are in the document's canonical spelling.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from purposeguard.notice.schema import EVERY, BasisRow, Document, FamilyRow, Grant, Prohibition, resolve_basis_rows


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
        self._rows = {row.id: (grant, row) for grant in document.grant for row in grant.purpose}
        self.sources = tuple(row.id for row in (*document.source, *document.overlay, *document.derivation))
        overlays = {row.id: row.serves for row in document.overlay}
        self.narrow = overlays | {row.id: row.serves for row in document.derivation}
        parent = {row.id: row.parent for row in document.source}
        self._above: dict[str, tuple[str, ...]] = {source: tuple(_iter_ancestors(source, parent)) for source in parent}
        self._below: dict[str, list[str]] = {source: [] for source in parent}
        for source, ancestors in self._above.items():
            for other in ancestors:
                self._below[other].append(source)
        self._origins: dict[str, frozenset[str]] = {}
        self.listed = {grant.clause: self._sort_sources(self._iter_clause_sources(grant)) for grant in document.grant}
        self.bans = tuple(
            Ban(
                rule, self._sort_sources(self._iter_prohibited_sources(rule)), tuple(document.members_of(rule.purposes))
            )
            for rule in document.forbid
        )

    def permitted_sources(self, clause: str, purpose: str) -> tuple[str, ...]:
        """Return the sources that a clause lets serve one of its purposes, before any prohibition."""
        return tuple(
            source
            for source in self.listed[clause]
            if purpose in self.narrow.get(source, (purpose,))
            if self._conditions or self.terms(source, purpose)
        )

    def banned_sources(self, purpose: str) -> frozenset[str]:
        """Return the sources that a prohibition keeps from a purpose under all conditions."""
        return frozenset(
            source for ban in self._bans_of(purpose) if not self.lifting_conditions(ban) for source in ban.sources
        )

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
        bases = self.bases(purpose)
        closed = row.channels.closed if row.channels and with_channels else None
        overlay = next((overlay for overlay in self.document.overlay if overlay.id == source), None)
        own = source if overlay is None else overlay.source
        needed = [frozenset((*grant.when, *row.when))]
        met: list[tuple[frozenset[str], bool]] = [(when, False) for when in needed]
        for item in self._items(own) if own in self._below else [own]:
            rows = [
                basis_row
                for basis_row in bases
                if basis_row.sources is None or set(basis_row.sources) & {item, *self._above.get(item, ())}
            ]
            met = [
                (when.union(basis_row.when), consent or basis_row.basis == "consent")
                for when, consent in met
                for basis_row in rows
            ]
        met = list(dict.fromkeys((when, consent) for when, consent in met if self._conditions or not when))
        fewest = [
            (when, consent)
            for when, consent in met
            if not any(other != (when, consent) and other[0] <= when and other[1] <= consent for other in met)
        ]
        return tuple(Term(closed, purpose if consent else None, tuple(sorted(when))) for when, consent in fewest)

    def group_sources(self, clause: str, purpose: str) -> dict[tuple[Term, ...], tuple[str, ...]]:
        """Group the sources that a clause lets serve a purpose by their terms, of which one must be met.

        Channels are left out of the terms, and sources without other terms have the key `()`.
        """
        groups: dict[tuple[Term, ...], list[str]] = {}
        for source in self.permitted_sources(clause, purpose):
            terms = self.terms(source, purpose, with_channels=False)
            groups.setdefault(() if any(term.free for term in terms) else terms, []).append(source)
        return {terms: tuple(sources) for terms, sources in groups.items()}

    def list_with_items(self, source: str) -> tuple[str, ...]:
        """Return a clause and all items below it."""
        return (source, *self._below.get(source, ()))

    def group_family_sources(self, family: FamilyRow) -> dict[tuple[Term, ...], tuple[str, ...]]:
        """Group the sources that may serve some purpose of a family by their terms, of which one must be met (rule 3).

        The key `()` holds the sources that may serve some member without any term.
        """
        clauses = {row.id: grant.clause for grant in self.document.grant for row in grant.purpose}
        may: dict[str, list[Term]] = {}
        for purpose in family.purposes:
            banned = self.banned_sources(purpose)
            for source in self.permitted_sources(clauses[purpose], purpose):
                if source not in banned:
                    lifting = [self.lifting_conditions(ban) for ban in self._bans_of(purpose) if source in ban.sources]
                    may.setdefault(source, []).extend(
                        dataclasses.replace(term, conditions=tuple(sorted({*term.conditions, *chain(*lifting)})))
                        for term in self.terms(source, purpose)
                    )
        groups: dict[tuple[Term, ...], list[str]] = {}
        for source in self._sort_sources(may):
            needed = () if any(term.free for term in may[source]) else _merge_terms(may[source])
            groups.setdefault(needed, []).append(source)
        return {terms: tuple(sources) for terms, sources in groups.items()}

    def _sort_sources(self, given: Iterable[str]) -> tuple[str, ...]:
        wanted = set(given)
        return tuple(source for source in self.sources if source in wanted)

    def _iter_clause_sources(self, grant: Grant) -> Iterator[str]:
        purposes = {row.id for row in grant.purpose}
        named = {item for clause in self._clauses(grant.sources) for item in (clause, *self._below[clause])}
        # Data of a parent may come from any of its items, so all of them must be named.
        whole = {source for source in self._below if named.issuperset(self._items(source))}
        yield from whole
        for overlay in self.document.overlay:
            if overlay.source in whole and not purposes.isdisjoint(overlay.serves):
                yield overlay.id
        for derivation in self.document.derivation:
            if not purposes.isdisjoint(derivation.serves):
                yield derivation.id

    def _iter_prohibited_sources(self, rule: Prohibition) -> Iterator[str]:
        """Yield the sources that a prohibition reaches: those it names, their items, and what may hold such data."""
        named = set(self._clauses(rule.sources))
        reached = {source for source in self.sources if not named.isdisjoint(self._origin(source))}
        # Data of a parent may come from the item that is named.
        reached |= {source for source in self._below if not reached.isdisjoint(self._items(source))}
        yield from reached
        yield from (overlay.id for overlay in self.document.overlay if overlay.source in reached)

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
            for overlay in (row for row in self.document.overlay if row.id == source):
                origins |= self._origin(overlay.source)
            for derivation in (row for row in self.document.derivation if row.id == source):
                for input_id in (*derivation.from_, *derivation.with_):
                    for part in (input_id, *self._below.get(input_id, ())):
                        origins |= self._origin(part)
            self._origins[source] = frozenset(origins)
        return self._origins[source]


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
    unique_terms = list(dict.fromkeys(terms))
    channels = tuple(
        dict.fromkeys(channel for term in unique_terms if _is_of_channels(term) for channel in term.channels or ())
    )
    others = [term for term in unique_terms if not _is_of_channels(term)]
    others = [term for term in others if term.channels is None or not set(term.channels) <= set(channels)]
    return (*((Term(channels),) if channels else ()), *others)
