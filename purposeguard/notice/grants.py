"""The grants of a document: for each source, its purposes, the granting clauses and the legal bases.

Rules 1, 5, 6, 8 of docs/reference/decision-rules.md and parents are here, and what a revision extends to data collected
under earlier ones (rule 9). This computation serves the compiled tables only; `purposeguard.policy.spec` says the same
rules without it, and tests compare the two. Ids are in the document's own, canonical spelling. References that lead
nowhere are passed over: `purposeguard.notice.parsing` reports them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain, product
from operator import attrgetter
from typing import Literal, NamedTuple

from purposeguard.notice.bases import resolve_basis_rows
from purposeguard.notice.fields import EVERY, Basis
from purposeguard.notice.schema import BasisRow, Document, Extension, Named, Prohibition, list_ids

Grants = dict[str, dict[str, str]]
"""Source id → purpose id → the clause of the grant."""


def source_rows(document: Document) -> tuple[Named, ...]:
    """Return the rows of all sources: clauses first, then overlays, then derivations."""
    return (*document.source, *document.overlay, *document.derivation)


class ClauseHierarchy:
    """The hierarchy of the sources: which clause is an item of which. Circles are allowed, and reported elsewhere."""

    __slots__ = ("children", "known", "parent")

    def __init__(self, document: Document) -> None:
        self.known = tuple(list_ids(document.source))
        clause_ids = set(self.known)
        self.parent: dict[str, str] = {}
        self.children: dict[str, list[str]] = {}
        for row in document.source:
            if row.parent in clause_ids:
                self.parent[row.id] = row.parent
                self.children.setdefault(row.parent, []).append(row.id)

    def above(self, source: str) -> list[str]:
        """Return the source's parent, its parent's parent and so on. Stop where a circle closes."""
        chain: dict[str, None] = {}
        while (source := self.parent.get(source, "")) and source not in chain:
            chain[source] = None
        return list(chain)

    def bottom_up(self) -> list[str]:
        """Return all sources that have a parent or items, items before their parents.

        Sources in a circle of parents, or above one, are left out.
        """
        open_items = {parent: len(item_ids) for parent, item_ids in self.children.items()}
        order = [source for source in self.parent if source not in open_items]
        for source in order:
            above = self.parent.get(source)
            if above is not None:
                open_items[above] -= 1
                if not open_items[above]:
                    order.append(above)
        return order

    def leaves(self, source: str) -> list[str]:
        """Return the lowest items below a source; the source itself if it has no items."""
        return [item for item in self.with_items((source,)) if item not in self.children]

    def with_items(self, sources: Iterable[str]) -> dict[str, None]:
        """Return the sources and all items below them, each once and in order. `EVERY` means all clauses."""
        reached = dict.fromkeys(self.known if sources == EVERY else sources)
        pending = list(reached)
        for source in pending:
            for child in self.children.get(source, ()):
                if child not in reached:
                    reached[child] = None
                    pending.append(child)
        return reached


def compute_grants(document: Document) -> Grants:
    """Compute which purposes each source may serve, after prohibitions and overlays.

    Grants that depend on conditions or on a subject's consent are included; `LegalGrounds` says what they depend on.

    The steps have an order. Grants and derivations come first, and prohibitions remove pairs from them. Only then are
    parents computed from their items, so that a parent lacks what is forbidden for one item. Overlays come last,
    because they narrow what is left of their source.

    Returns:
        Source id → purpose id → the clause of the grant.
    """
    hierarchy = ClauseHierarchy(document)
    forbidden = compute_prohibitions(document)
    # Grants, for the clauses that they name and all items below, and derivations.
    grants: Grants = {row.id: {} for row in source_rows(document)}
    clause_of: dict[str, str] = {}
    for grant in document.grant:
        purposes = dict.fromkeys((purpose.id for purpose in grant.purpose), grant.clause)
        clause_of |= purposes
        for source in hierarchy.with_items(grant.sources):
            if source in grants:
                grants[source] |= purposes
    for derivation in document.derivation:
        grants[derivation.id] = {id_: clause_of[id_] for id_ in derivation.serves if id_ in clause_of}
    # Prohibitions.
    for source, purpose in forbidden:
        grants.get(source, {}).pop(purpose, None)
    # Parents, which may serve what every one of their items may.
    for parent in hierarchy.children:  # Parents in a circle keep no grants; parsing reports them.
        grants[parent] = {}
    for parent in hierarchy.bottom_up():
        items = [grants[item] for item in hierarchy.children.get(parent, ())]
        if items:
            grants[parent] = _select_grants(items[0], set(items[0]).intersection(*items))
    # Overlays.
    for overlay in document.overlay:
        allowed = {purpose for purpose in overlay.serves if (overlay.id, purpose) not in forbidden}
        grants[overlay.id] = _select_grants(grants.get(overlay.source, {}), allowed)
    return grants


def _select_grants(grants: Mapping[str, str], purposes: Collection[str]) -> dict[str, str]:
    """Return the grants of these purposes, in the order of the grants."""
    return {purpose: clause for purpose, clause in grants.items() if purpose in purposes}


def compute_prohibitions(document: Document) -> dict[tuple[str, str], Prohibition]:
    """Return the unconditional prohibitions by the pair of source id and purpose id that they cover.

    Where several prohibitions cover a pair, the first one counts.
    """
    pairs: dict[tuple[str, str], Prohibition] = {}
    for prohibition in document.forbid:
        if not prohibition.unless:
            for pair in _iter_covered_pairs(document, prohibition):
                pairs.setdefault(pair, prohibition)
    return pairs


def _iter_covered_pairs(document: Document, prohibition: Prohibition) -> Iterator[tuple[str, str]]:
    """Iterate over the pairs of source id and purpose id that a prohibition covers.

    A prohibition on a parent covers its items, one on a source covers its overlays, and one on anything that may go
    into a derivation covers what comes out: else linking would be a way round it.
    """
    hierarchy = ClauseHierarchy(document)
    covered = set(hierarchy.with_items(prohibition.sources))
    seen = -1
    while seen < len(covered):  # Derived data may go into another derivation.
        seen = len(covered)
        covered |= {overlay.id for overlay in document.overlay if overlay.source in covered}
        for derivation in document.derivation:
            if not covered.isdisjoint(hierarchy.with_items((*derivation.from_, *derivation.with_))):
                covered.add(derivation.id)
    return product(covered, document.members_of(prohibition.purposes))


Extensions = dict[tuple[str, str], Extension]
"""Source id and purpose id → the row that extends data of the source collected earlier to the purpose."""


class Ground(NamedTuple):
    """One way in which a use is lawful."""

    basis: Basis | None = None
    """The legal basis; None if the notice does not state it."""
    when: frozenset[str] = frozenset()
    """The conditions that must all be stated."""
    opt_out: bool = False
    """The ground holds only for subjects who are named and did not ask for the use to stop."""

    @property
    def free(self) -> bool:
        """True if the ground holds for all data, with no conditions stated and no subject named."""
        return not (self.basis == "consent" or self.when or self.opt_out)


Grounds = tuple[tuple[Ground, ...], ...]
"""Groups of grounds, in each of which one must hold. A clause has several groups if its items differ."""


def filter_grounds(grounds: Grounds, condition: Callable[[Ground], bool]) -> Grounds:
    """Return the groups with those of their grounds that meet the condition."""
    return tuple(tuple(filter(condition, group)) for group in grounds)


def name_proviso(grounds: Grounds) -> Literal["consent", "conditions"] | None:
    """Return what a granted use depends on: `consent`, `conditions`, or None if it is open to all data."""
    if all(filter_grounds(grounds, attrgetter("free"))):
        return None
    return "consent" if set(chain.from_iterable(grounds)) <= {Ground("consent")} else "conditions"


class LegalGrounds:
    """The grounds on which data of each source may serve the purposes that it is granted.

    `when`: purpose → the conditions without which nothing may serve it.
    """

    __slots__ = (
        "_alike",
        "_conditional",
        "_hierarchy",
        "_narrowed",
        "_of_purpose",
        "_open",
        "_particular",
        "_unless",
        "when",
    )

    when: dict[str, tuple[str, ...]]

    def __init__(self, document: Document) -> None:
        self.when = {}
        self._hierarchy = ClauseHierarchy(document)
        self._narrowed = {overlay.id: overlay.source for overlay in document.overlay}
        self._of_purpose: dict[str, Grounds] = {}
        self._particular: dict[str, list[frozenset[str] | None]] = {}
        """Purpose → for each of its grounds the sources that it is for (None: all), if one is not for all."""
        self._unless: dict[tuple[str, str], tuple[Prohibition, ...]] = {}
        for prohibition in document.forbid:
            for pair in _iter_covered_pairs(document, prohibition) if prohibition.unless else ():
                self._unless[pair] = (*self._unless.get(pair, ()), prohibition)
        self._conditional = bool(self._unless)
        for grant, purpose in document.iter_grants():
            self.when[purpose.id] = tuple(dict.fromkeys((*grant.when, *purpose.when)))
            when = frozenset(self.when[purpose.id])
            rows = resolve_basis_rows(grant, purpose)
            group = tuple(Ground(row.basis, when.union(row.when) if row.when else when, row.opt_out) for row in rows)
            self._of_purpose[purpose.id] = (group,)
            self._conditional = self._conditional or any(ground.when for ground in group)
            if any(row.sources is not None for row in rows):
                self._particular[purpose.id] = list(map(self._span_of_basis, rows))
        self._alike = not (self._conditional or self._particular)
        self._open = {purpose for purpose, groups in self._of_purpose.items() if name_proviso(groups) is None}

    def _span_of_basis(self, row: BasisRow) -> frozenset[str] | None:
        return None if row.sources is None else frozenset(self._hierarchy.with_items(row.sources))

    def get_grounds(self, source: str, purpose: str, conditions: frozenset[str] | None = None) -> Grounds:
        """Return the grounds of a granted pair that hold under the stated conditions.

        With `conditions=None`, return the grounds whatever conditions they need. A group is empty if none of its
        grounds holds. A row that names sources applies to these sources, their items and their overlays. It applies to
        a derivation only if it names it.
        """
        if self._alike:
            return self._of_purpose[purpose]
        grounds = self._compute_grounds(source, purpose)
        if conditions is None or not self._conditional:
            return grounds
        return filter_grounds(grounds, lambda ground: ground.when <= conditions)

    def is_open(self, source: str, purpose: str) -> bool:
        """Return True if all data of a granted pair may be used, whatever is stated and whoever it is about."""
        return purpose in self._open if self._alike else name_proviso(self._compute_grounds(source, purpose)) is None

    def minimal_condition_sets(self, source: str, purpose: str) -> frozenset[frozenset[str]]:
        """Return the smallest sets of conditions under each of which a granted pair may be used at all."""
        ways = {frozenset[str]()}
        for group in self._compute_grounds(source, purpose):
            every = {way | ground.when for way, ground in product(ways, group)}
            ways = {way for way in every if not any(other < way for other in every)}
        return frozenset(ways)

    def forbidden_unless(self, source: str, purpose: str) -> tuple[Prohibition, ...]:
        """Return the prohibitions of a pair that are lifted under conditions."""
        return self._unless.get((source, purpose), ())

    def _compute_grounds(self, source: str, purpose: str) -> Grounds:
        if not self._unless and purpose not in self._particular:
            return self._of_purpose[purpose]
        rules = self.forbidden_unless(source, purpose)
        groups: dict[tuple[Ground, ...], None] = {}
        for item in self._hierarchy.leaves(self._narrowed.get(source, source)):
            also = frozenset().union(*(rule.unless for rule in (*rules, *self.forbidden_unless(item, purpose))))
            (grounds,) = self._of_purpose[purpose]
            spans = self._particular.get(purpose)
            if spans is not None:
                pairs = zip(spans, grounds, strict=True)
                grounds = tuple(ground for span, ground in pairs if span is None or item in span)
            groups[tuple(ground._replace(when=ground.when | also) for ground in grounds)] = None
        return tuple(groups)


def compute_extensions(document: Document) -> Extensions:
    """Compute which granted uses the revision extends to data collected under earlier revisions.

    A family means those of its members that the source may serve. A clause means its items and the overlays that
    narrow it, as far as they may serve the purpose: they are the same data seen more closely. A derivation is a
    source of its own, and is extended only where it is named. A row that names no sources means everything that may
    serve the purpose, derivations included. A parent is extended where all of its items are; if several rows extend
    these items and one of them asks for consent, that row applies to the parent.

    Returns:
        (source id, purpose id) → the row that extends the use.
    """
    extensions: Extensions = {}
    if not document.extension:
        return extensions
    pairs = compute_grants(document)
    hierarchy = ClauseHierarchy(document)
    for row in document.extension:
        for pair in iter_extended_pairs(document, row, pairs):
            extensions.setdefault(pair, row)
    for parent in hierarchy.children:
        leaves = hierarchy.leaves(parent)
        for purpose in pairs[parent]:
            rows = [extensions[leaf, purpose] for leaf in leaves if (leaf, purpose) in extensions]
            if len(rows) == len(leaves):
                extensions[parent, purpose] = next((row for row in rows if row.basis == "consent"), rows[0])
    for overlay in document.overlay:
        for purpose in pairs[overlay.id]:
            if (overlay.source, purpose) in extensions:
                extensions[overlay.id, purpose] = extensions[overlay.source, purpose]
    return extensions


def iter_extended_pairs(document: Document, row: Extension, pairs: Grants) -> Iterator[tuple[str, str]]:
    """Yield the pairs of source id and purpose id that one extension row names.

    A clause is replaced by its items, and purposes that a source may not serve are left out. Overlays are not named.
    """
    hierarchy = ClauseHierarchy(document)
    overlays = set(list_ids(document.overlay))
    purposes = document.members_of(row.purposes)
    for source in pairs if row.sources is None else hierarchy.with_items(row.sources):
        if source not in hierarchy.children and source not in overlays:
            for purpose in purposes:
                if purpose in pairs.get(source, ()):
                    yield source, purpose
