"""What a document grants: for each source, which purposes, by which clause and on which legal basis.

Rules 1, 5, 6, 8 and parents; and what a revision extends to data collected under earlier ones (rule 9). This is the
compiled side's own computation; `purposeguard.policy.spec` says the same rules without it, and the tests hold the two
equal. Ids are in the document's own, canonical spelling. References that lead nowhere are passed over:
`purposeguard.notice.parsing` reports them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from purposeguard.notice.schema import Basis, Document, Extension, Named, Prohibition

Grants = dict[str, dict[str, str]]
"""Source id → purpose id → the clause of the grant."""


def source_rows(document: Document) -> tuple[Named, ...]:
    """All rows that become sources, in the notice's order: clauses, then overlays, then derivations."""
    return (*document.source, *document.overlay, *document.derivation)


class Lineage:
    """Which sources stand above and below which. Survives circles, so that they can be reported."""

    __slots__ = ("children", "parent")

    def __init__(self, document: Document) -> None:
        known = {row.id for row in document.source}
        self.parent: dict[str, str] = {}
        self.children: dict[str, list[str]] = {}
        for row in document.source:
            if row.parent in known:
                self.parent[row.id] = row.parent
                self.children.setdefault(row.parent, []).append(row.id)

    def above(self, source: str) -> list[str]:
        """The source's parent, its parent's parent, …; ends where a circle closes."""
        chain: dict[str, None] = {}
        while (source := self.parent.get(source, "")) and source not in chain:
            chain[source] = None
        return list(chain)

    def upwards(self) -> list[str]:
        """All that have items or are one, items before their parents; without those in or above a circle."""
        left = {parent: len(items) for parent, items in self.children.items()}
        order = [one for one in self.parent if one not in left]
        for source in order:
            above = self.parent.get(source)
            if above is not None:
                left[above] -= 1
                if not left[above]:
                    order.append(above)
        return order

    def leaves(self, source: str) -> list[str]:
        """The items that a source stands for: itself where it has none."""
        return [one for one in self.span((source,)) if one not in self.children]

    def span(self, sources: Iterable[str]) -> dict[str, None]:
        """The sources and all below them, each once, in order."""
        found = dict.fromkeys(sources)
        pending = list(found)
        for source in pending:
            below = [child for child in self.children.get(source, ()) if child not in found]
            found.update(dict.fromkeys(below))
            pending += below
        return found


def granted(document: Document) -> Grants:
    """Source id → purpose id → the clause of the grant, prohibitions and overlays applied."""
    lineage = Lineage(document)
    forbidden = prohibited(document)
    found: Grants = {row.id: {} for row in source_rows(document)}
    clause_of: dict[str, str] = {}
    for grant in document.grant:
        purposes = dict.fromkeys((purpose.id for purpose in grant.purpose), grant.clause)
        clause_of |= purposes
        for source in lineage.span(grant.sources):
            if source in found:
                found[source] |= purposes
    for derivation in document.derivation:
        found[derivation.id] = {given: clause_of[given] for given in derivation.serves if given in clause_of}
    for source, purpose in forbidden:
        found.get(source, {}).pop(purpose, None)
    found |= {parent: {} for parent in lineage.children}  # those of a circle, which is reported
    for parent in lineage.upwards():
        # A parent may serve what every one of its items may.
        items = [found[item] for item in lineage.children.get(parent, ())]
        if items:
            common = set(items[0]).intersection(*items)
            found[parent] = {given: clause for given, clause in items[0].items() if given in common}
    for overlay in document.overlay:
        base = found.get(overlay.source, {})
        wanted = {given for given in overlay.serves if (overlay.id, given) not in forbidden}
        found[overlay.id] = {given: clause for given, clause in base.items() if given in wanted}
    return found


def prohibited(document: Document) -> dict[tuple[str, str], Prohibition]:
    """The pairs of (source id, purpose id) that a prohibition covers, with the first that does.

    A prohibition on a parent covers its items, one on a source covers its overlays, and one on anything that may go
    into a derivation covers what comes out: else linking would be a way round it.
    """
    lineage = Lineage(document)
    members = {family.class_: family.purposes for family in document.family}
    pairs: dict[tuple[str, str], Prohibition] = {}
    for prohibition in document.forbid:
        covered = set(lineage.span(prohibition.sources))
        seen = -1
        while seen < len(covered):  # what was derived may go into another derivation
            seen = len(covered)
            covered |= {overlay.id for overlay in document.overlay if overlay.source in covered}
            for derivation in document.derivation:
                if not covered.isdisjoint(lineage.span((*derivation.from_, *derivation.with_))):
                    covered.add(derivation.id)
        purposes = {one for given in prohibition.purposes for one in members.get(given, (given,))}
        for pair in product(covered, purposes):
            pairs.setdefault(pair, prohibition)
    return pairs


Extensions = dict[tuple[str, str], Extension]
"""Source id and purpose id → the row that extends the one's earlier data to the other."""


def bases(document: Document) -> dict[str, Basis | None]:
    """Purpose id → its basis: its own, else that of its grant; None where the notice states none."""
    return {row.id: row.basis or grant.basis for grant in document.grant for row in grant.purpose}


def extended(document: Document) -> Extensions:
    """The pairs of (source id, purpose id) that are granted, and extended to data collected earlier.

    A family means those of its members that the source may serve. A clause means its items, and with it go the
    overlays that narrow it, as far as they may serve the purpose: they are the same data seen more closely. A
    derivation is a source of its own, and extended where it is named itself. A row that names no sources means
    everything that may serve the purpose, derivations included. A parent is extended where every one of its items is;
    where these are extended by several rows, one that asks for consent stands for all.
    """
    found: Extensions = {}
    if not document.extension:
        return found
    pairs = granted(document)
    lineage = Lineage(document)
    for row in document.extension:
        for pair in reached(document, row, pairs):
            found.setdefault(pair, row)
    for parent in lineage.children:
        leaves = lineage.leaves(parent)
        for purpose in pairs[parent]:
            rows = [found[leaf, purpose] for leaf in leaves if (leaf, purpose) in found]
            if len(rows) == len(leaves):
                found[parent, purpose] = next((row for row in rows if row.basis == "consent"), rows[0])
    for overlay in document.overlay:
        for purpose in pairs[overlay.id]:
            if (overlay.source, purpose) in found:
                found[overlay.id, purpose] = found[overlay.source, purpose]
    return found


def reached(document: Document, row: Extension, pairs: Grants) -> Iterator[tuple[str, str]]:
    """The pairs that one row names: items of clauses and derivations, and what they may serve of its purposes."""
    lineage = Lineage(document)
    overlays = {overlay.id for overlay in document.overlay}
    members = {family.class_: family.purposes for family in document.family}
    purposes = dict.fromkeys(one for given in row.purposes for one in members.get(given, (given,)))
    for source in pairs if row.sources is None else lineage.span(row.sources):
        if source not in lineage.children and source not in overlays:
            for purpose in purposes:
                if purpose in pairs.get(source, ()):
                    yield source, purpose
