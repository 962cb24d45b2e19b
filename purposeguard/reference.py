"""Rules 1 to 7, as plainly as they can be said: the executable specification.

Slow on purpose: it reads the document anew at every question, remembers nothing and knows no classes. The compiled
`matrix` answers the same everywhere; tests compare the two on the reference notice and on generated ones. Ids are the
document's own spelling; an unknown one raises KeyError, an empty label UnlabelledData.
"""

from __future__ import annotations

from collections.abc import Collection

from purposeguard.document import Derivation, Document, Overlay, SourceRow
from purposeguard.errors import UnlabelledData


def allowed(notice: Document, sources: Collection[str], purpose: str, channel: str | None = None) -> bool:
    """Whether data from these sources may serve the purpose or family, by the channel where one is given."""
    if not sources:
        raise UnlabelledData("no sources")  # rule 4
    members = {row.class_: row.purposes for row in notice.family}.get(purpose, (purpose,))
    # Rule 2: every source must be allowed. Rule 3: for a family, each by some purpose of it.
    return all(any(may(notice, source, member, channel) for member in members) for source in sources)


def may(notice: Document, source: str, purpose: str, channel: str | None) -> bool:
    """Whether one source may serve one purpose."""
    row = find(notice, source)
    if items := [item.id for item in notice.source if item.parent == source]:
        return all(may(notice, item, purpose, channel) for item in items)  # a parent: what every item may
    if forbidden(notice, source, purpose):
        return False  # rule 5, before any grant
    if isinstance(row, Overlay):
        return purpose in row.serves and may(notice, row.source, purpose, channel)  # rule 8: only narrows
    if isinstance(row, Derivation):
        return purpose in row.serves and admits(notice, purpose, channel)  # rule 6
    granting = [grant for grant in notice.grant if set(grant.sources) & {source, *above(notice, source)}]
    # Rule 1: only a grant allows.
    return any(purpose == p.id for grant in granting for p in grant.purpose) and admits(notice, purpose, channel)


def admits(notice: Document, purpose: str, channel: str | None) -> bool:
    """Rule 7: a purpose that names its channels and closes the list refuses any other."""
    named = {row.id: row.channels for row in notice.purposes}[purpose]
    return channel is None or named is None or named.closed is None or channel in named.closed


def forbidden(notice: Document, source: str, purpose: str) -> bool:
    """Rule 5: whether a prohibition names the pair, the source's lineage, or what it was derived from."""
    families = {row.class_: row.purposes for row in notice.family}
    return any(
        purpose in {member for given in rule.purposes for member in families.get(given, (given,))}
        and set(rule.sources) & origins(notice, source)
        for rule in notice.forbid
    )


def origins(notice: Document, source: str) -> set[str]:
    """The source and all that a prohibition may have named instead of it."""
    row = find(notice, source)
    if isinstance(row, Overlay):
        return {source} | origins(notice, row.source)
    if isinstance(row, Derivation):
        inputs = {item for given in (*row.from_, *row.with_) for item in (given, *below(notice, given))}
        return {source}.union(*(origins(notice, item) for item in inputs))
    return {source, *above(notice, source)}


def above(notice: Document, source: str) -> list[str]:
    """The parents of a source, the nearest first."""
    parent = next((row.parent for row in notice.source if row.id == source), None)
    return [parent, *above(notice, parent)] if parent else []


def below(notice: Document, source: str) -> list[str]:
    """The items of a source and their items."""
    return [x for row in notice.source if row.parent == source for x in (row.id, *below(notice, row.id))]


def derived(notice: Document, operation: str, one: str, other: str) -> str | None:
    """Rule 6: the source of two sources joined by `operation`, or None where the notice declares none."""
    for row in notice.derivation:
        if row.operation == operation:
            for left, right in ((one, other), (other, one)):
                if {left, *above(notice, left)} & set(row.from_) and {right, *above(notice, right)} & set(row.with_):
                    return row.id
    return None


def find(notice: Document, source: str) -> SourceRow | Overlay | Derivation:
    """The row of a source; KeyError where there is none."""
    rows: tuple[SourceRow | Overlay | Derivation, ...] = (*notice.source, *notice.overlay, *notice.derivation)
    return {row.id: row for row in rows}[source]
