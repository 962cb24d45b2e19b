"""Rules 1 to 8 as plainly as they can be said: the executable specification.

Slow on purpose: it reads the document anew at every question and knows no classes; tests hold the compiled `matrix`
equal to it. Ids are in the document's own spelling; an unknown source raises KeyError.
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
    row = _row(notice, source)
    if items := [item.id for item in notice.source if item.parent == source]:
        return all(may(notice, item, purpose, channel) for item in items)  # a parent: what every item may
    if _forbidden(notice, source, purpose):
        return False  # rule 5, before any grant
    if isinstance(row, Overlay):
        return purpose in row.serves and may(notice, row.source, purpose, channel)  # rule 8: only narrows
    if isinstance(row, Derivation):
        return purpose in row.serves and _admits(notice, purpose, channel)  # rule 6
    granting = [grant for grant in notice.grant if set(grant.sources) & {source, *_above(notice, source)}]
    # Rule 1: only a grant allows.
    return any(purpose == p.id for grant in granting for p in grant.purpose) and _admits(notice, purpose, channel)


def derived(notice: Document, operation: str, one: str, other: str) -> str | None:
    """Rule 6: the source of two sources joined by `operation`, or None where the notice declares none."""
    for row in (row for row in notice.derivation if row.operation == operation):
        for left, right in ((one, other), (other, one)):
            if {left, *_above(notice, left)} & set(row.from_) and {right, *_above(notice, right)} & set(row.with_):
                return row.id
    return None


def _admits(notice: Document, purpose: str, channel: str | None) -> bool:  # rule 7
    named = {row.id: row.channels for row in notice.purposes}[purpose]
    return channel is None or named is None or named.closed is None or channel in named.closed


def _forbidden(notice: Document, source: str, purpose: str) -> bool:  # by its own name, its clause's, or its origins'
    families = {row.class_: row.purposes for row in notice.family}
    rules = [rule for rule in notice.forbid if set(rule.sources) & _origins(notice, source)]
    return any(purpose in families.get(given, (given,)) for rule in rules for given in rule.purposes)


def _origins(notice: Document, source: str) -> set[str]:
    row = _row(notice, source)
    if isinstance(row, Overlay):
        return {source} | _origins(notice, row.source)
    if isinstance(row, Derivation):
        inputs = {item for given in (*row.from_, *row.with_) for item in (given, *_below(notice, given))}
        return {source}.union(*(_origins(notice, item) for item in inputs))
    return {source, *_above(notice, source)}


def _above(notice: Document, source: str) -> list[str]:
    parent = next((row.parent for row in notice.source if row.id == source), None)
    return [parent, *_above(notice, parent)] if parent else []


def _below(notice: Document, source: str) -> list[str]:
    return [x for row in notice.source if row.parent == source for x in (row.id, *_below(notice, row.id))]


def _row(notice: Document, source: str) -> SourceRow | Overlay | Derivation:
    return {row.id: row for row in (*notice.source, *notice.overlay, *notice.derivation)}[source]  # type: ignore[return-value]  # mypy joins them to their base
