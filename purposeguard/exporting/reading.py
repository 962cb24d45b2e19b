"""What the rows of a notice say of each source, for engines that decide by sets of sources.

Worked out anew from the document, clause by clause, and from nothing else of this library: where an engine that was
told this answers as the library does, two readings of the notice agree. Ids are in the document's canonical spelling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from purposeguard.document import Document, FamilyRow, Grant, Prohibition, PurposeRow


@dataclass(frozen=True, slots=True)
class Term:
    """On what else it depends whether a purpose may be served: the channel, and whether the subject agreed."""

    channels: tuple[str, ...] | None = None
    """These and no other; None where any will do."""
    consent: str | None = None
    """The purpose that the subject must have agreed to; None where it rests on something else."""

    @property
    def free(self) -> bool:
        """Whether it depends on nothing else."""
        return self.channels is None and self.consent is None


class Reading:
    """A document, read for its sources.

    `narrow`: overlays and derivations → the purposes that these may serve and no other (rules 6 and 8).
    """

    __slots__ = ("_above", "_below", "_covered", "_listed", "_origins", "document", "narrow", "sources")

    document: Document
    sources: tuple[str, ...]
    narrow: Mapping[str, tuple[str, ...]]

    def __init__(self, document: Document) -> None:
        self.document = document
        self.sources = tuple(row.id for row in (*document.source, *document.overlay, *document.derivation))
        self.narrow = {row.id: row.serves for row in document.overlay} | {
            row.id: row.serves for row in document.derivation
        }
        parent = {row.id: row.parent for row in document.source}
        self._above: dict[str, frozenset[str]] = {one: frozenset(_chain(one, parent)) for one in parent}
        self._below = {one: tuple(other for other in parent if one in self._above[other]) for one in parent}
        self._origins: dict[str, frozenset[str]] = {}
        self._listed = [frozenset(self._of_clause(grant)) for grant in document.grant]
        self._covered = [frozenset(self._of_prohibition(rule)) for rule in document.forbid]

    # ---- What rows name, with all that it means ----------------------------------------------------------------------

    def listed(self, grant: Grant) -> tuple[str, ...]:
        """The sources of which a clause speaks: its items, parents all of whose items it names, and what comes of them.

        An overlay or a derivation is among them where it may serve a purpose of the clause: which ones, `narrow` says.
        """
        return self._in_order(self._listed[self.document.grant.index(grant)])

    def covered(self, rule: Prohibition) -> tuple[str, ...]:
        """The sources that a prohibition reaches: those it names, their items, and whatever may hold such data."""
        return self._in_order(self._covered[self.document.forbid.index(rule)])

    def forbidden(self, rule: Prohibition) -> tuple[str, ...]:
        """The purposes that a prohibition names, a family by its members."""
        members = {row.class_: row.purposes for row in self.document.family}
        return tuple(dict.fromkeys(one for given in rule.purposes for one in members.get(given, (given,))))

    def _in_order(self, given: Iterable[str]) -> tuple[str, ...]:
        found = set(given)
        return tuple(one for one in self.sources if one in found)

    def _of_clause(self, grant: Grant) -> Iterator[str]:
        purposes = {row.id for row in grant.purpose}
        named = {item for given in grant.sources for item in (given, *self._below[given])}
        # A parent is data of which it is not known from which item it comes: every one of them must be named.
        whole = {one for one in self._below if all(item in named for item in self._items(one))}
        yield from whole
        for overlay in self.document.overlay:
            if overlay.source in whole and not purposes.isdisjoint(overlay.serves):
                yield overlay.id
        for derivation in self.document.derivation:
            if not purposes.isdisjoint(derivation.serves):
                yield derivation.id

    def _of_prohibition(self, rule: Prohibition) -> Iterator[str]:
        named = set(rule.sources)
        reached = {one for one in self.sources if not named.isdisjoint(self._origin(one))}
        # What is not known to come from another item may come from the one that is named.
        reached |= {one for one in self._below if not reached.isdisjoint(self._items(one))}
        yield from reached
        yield from (overlay.id for overlay in self.document.overlay if overlay.source in reached)

    def _items(self, source: str) -> tuple[str, ...]:
        """The items of a clause that have none themselves; the clause where it has none."""
        return tuple(one for one in (source, *self._below[source]) if not self._below[one])

    def _origin(self, source: str) -> frozenset[str]:
        """A source, and all that it is a part of, narrows, or may be derived from."""
        if source in self._above:
            return self._above[source] | {source}
        if source not in self._origins:
            found = {source}
            for overlay in (row for row in self.document.overlay if row.id == source):
                found |= self._origin(overlay.source)
            for derivation in (row for row in self.document.derivation if row.id == source):
                for given in (*derivation.from_, *derivation.with_):
                    for one in (given, *self._below.get(given, ())):
                        found |= self._origin(one)
            self._origins[source] = frozenset(found)
        return self._origins[source]

    # ---- Purposes and families ---------------------------------------------------------------------------------------

    def term(self, grant: Grant, purpose: PurposeRow) -> Term:
        """On what else a purpose of a clause depends."""
        consent = purpose.id if (purpose.basis or grant.basis) == "consent" else None
        return Term(purpose.channels.closed if purpose.channels else None, consent)

    def serving(self, family: FamilyRow) -> dict[tuple[Term, ...], tuple[str, ...]]:
        """The sources that may serve some purpose of a family, by the terms of which one must be met (rule 3).

        No terms: such a source may serve a purpose that depends on nothing else.
        """
        found: dict[tuple[Term, ...], list[str]] = {}
        for source in self.sources:
            terms = [self.term(grant, row) for grant, row in self._members(family) if self._may(source, grant, row)]
            if terms:
                needed = () if any(term.free for term in terms) else _merged(terms)
                found.setdefault(needed, []).append(source)
        return {terms: tuple(sources) for terms, sources in found.items()}

    def _members(self, family: FamilyRow) -> Iterator[tuple[Grant, PurposeRow]]:
        for grant in self.document.grant:
            yield from ((grant, row) for row in grant.purpose if row.id in family.purposes)

    def _may(self, source: str, grant: Grant, purpose: PurposeRow) -> bool:
        """Whether a source may serve a purpose, on its terms."""
        if source not in self._listed[self.document.grant.index(grant)]:
            return False
        if source in self.narrow and purpose.id not in self.narrow[source]:
            return False
        return not any(
            source in covered and purpose.id in self.forbidden(rule)
            for rule, covered in zip(self.document.forbid, self._covered, strict=True)
        )


def _chain(source: str, parent: Mapping[str, str | None]) -> Iterator[str]:
    """What stands above a clause."""
    above = parent[source]
    while above is not None:
        yield above
        above = parent[above]


def _merged(terms: Iterable[Term]) -> tuple[Term, ...]:
    """The same terms in fewer: those that ask for a channel alone as one, without those that ask for more than it."""
    given = list(dict.fromkeys(terms))
    channels = tuple(dict.fromkeys(one for term in given if term.consent is None for one in term.channels or ()))
    others = [term for term in given if term.consent is not None]
    others = [term for term in others if term.channels is None or not set(term.channels) <= set(channels)]
    return (*((Term(channels),) if channels else ()), *others)
