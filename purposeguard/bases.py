"""On what a purpose rests in law, and what a revision extends to data collected under earlier ones (rule 9).

As `grants` for rules 1 to 8: the compiled side's own computation, which the tests hold equal to
`purposeguard.reference_circumstances`. Ids are in the document's own, canonical spelling.
"""

from __future__ import annotations

from collections.abc import Iterator

from purposeguard.document import Basis, Document, Extension
from purposeguard.grants import Grants, Lineage, granted

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
