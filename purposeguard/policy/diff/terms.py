"""What the two revisions name: what is new, gone, renamed, or has another title; families, overlays and the like."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from purposeguard.notice.grants import granted, source_rows
from purposeguard.notice.history import History
from purposeguard.notice.schema import Derivation, Document, Named, Overlay, Prohibition, PurposeRow, SourceRow, Titles
from purposeguard.notice.vocabulary import fold
from purposeguard.policy.diff.changes import Change, Direction, Fact
from purposeguard.policy.diff.matching import AnyPair, Matching, Pair, id_of

KINDS: Mapping[type, str] = {SourceRow: "source", Overlay: "overlay", Derivation: "derivation", PurposeRow: "purpose"}
"""What rows are called; any other is a family."""

SOURCES = frozenset({"source", "overlay", "derivation"})


def terms(history: History, matching: Matching) -> Iterator[Change]:
    """What is new, gone, renamed or said in other words."""
    first, *between, last = history
    old, new = first.document, last.document
    served = granted(old)
    purposes = matching.purpose_ids
    every: tuple[AnyPair, ...] = (*matching.sources, *matching.purposes, *matching.families)
    for pair in every:
        what = _kind(pair)
        if pair.old is None:
            yield _term("added", "neutral", pair, what)
        elif pair.new is None:
            lost = tuple(purposes.get(one, one) for one in served.get(pair.id, ())) if what in SOURCES else ()
            yield _term("removed", "narrowed", pair, what, served=lost)
        else:
            yield from _renamed(pair, what)
            yield from _titled(pair, what)
    yield from _reused(matching)
    for before, after in itertools.pairwise((old, *(one.document for one in between), new)):
        yield from _renamed_nothing(before, after)
    yield from _made_otherwise(matching)
    yield from _clauses(old, new, matching)
    yield from _channels(old, new)
    yield from _prohibitions(old, new, matching)


def _kind(pair: AnyPair) -> str:
    return KINDS.get(type(pair.row), "family")


def _term(kind: str, direction: Direction, pair: AnyPair, what: str, **more: Fact) -> Change:
    row = pair.row
    return Change(
        kind, direction, {"what": what, "id": pair.id, "class": row.class_, "title": _titles(row.title), **more}
    )


def _titles(title: Titles) -> Mapping[str, str]:
    return {"en": title.en, "ja": title.ja}


def _renamed(pair: AnyPair, what: str) -> Iterator[Change]:
    if pair.old is None or pair.how not in {"stated", "class", "id"}:
        return
    facts: dict[str, Fact] = {"what": what, "old": id_of(pair.old), "new": pair.id, "by": pair.how}
    if pair.old.class_ != pair.row.class_:
        facts |= {"old_class": pair.old.class_, "new_class": pair.row.class_}
    yield Change("renamed", "neutral", facts)


def _titled(pair: AnyPair, what: str) -> Iterator[Change]:
    if pair.old is not None and pair.old.title != pair.row.title:
        facts: dict[str, Fact] = {"what": what, "id": pair.id}
        yield Change("title", "neutral", {**facts, "old": _titles(pair.old.title), "new": _titles(pair.row.title)})


def _reused(matching: Matching) -> Iterator[Change]:
    """Ids that mean another term now. Data that was labelled with them goes on under them, as what they mean now."""
    pairs: Sequence[Sequence[Pair[Named]] | Sequence[Pair[PurposeRow]]] = (matching.sources, matching.purposes)
    for group in pairs:
        was = {pair.old_id: pair for pair in group if pair.old_id is not None}
        for pair in group:
            other = was.get(pair.id)
            if pair.new is not None and other is not None and other is not pair:
                old_class = other.old.class_ if other.old is not None else ""
                facts: dict[str, Fact] = {"what": _kind(pair), "id": pair.id, "old_class": old_class}
                moved = other.how == "stated" or pair.how == "stated"
                yield Change("reused", "neutral", {**facts, "new_class": pair.row.class_, "moved": moved})


def _renamed_nothing(old: Document, new: Document) -> Iterator[Change]:
    """Rows `[[renamed]]` that were of another step, or a slip: the earlier revision has no such id."""
    known = {"source": source_rows(old), "purpose": old.purposes}
    for row in new.renamed:
        if all(fold(one.id) != fold(row.old) for one in known[row.kind]):
            facts = {"what": row.kind, "old": row.old, "new": row.new, "revision": old.revision.isoformat()}
            yield Change("renamed-nothing", "neutral", facts)


def _made_otherwise(matching: Matching) -> Iterator[Change]:
    """Parents, families, derivations and overlays that are made of something else."""
    sources, purposes = matching.source_ids, matching.purpose_ids

    def mapped(ids: Sequence[str], known: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(known.get(one, one) for one in ids)

    for family in matching.families:
        if family.old is not None and family.new is not None:
            before = mapped(family.old.purposes, purposes)
            yield from _set_change("family", family.id, "purposes", before, family.new.purposes)
    for pair in matching.sources:
        was, is_ = pair.old, pair.new
        if isinstance(was, SourceRow) and isinstance(is_, SourceRow):
            parent = sources.get(was.parent or "", was.parent)
            yield from _value("source", pair.id, "parent", parent, is_.parent)
            yield from _value("source", pair.id, "automatic", was.automatic, is_.automatic)
        elif isinstance(was, Overlay) and isinstance(is_, Overlay):
            yield from _value("overlay", pair.id, "source", sources.get(was.source, was.source), is_.source)
            yield from _value("overlay", pair.id, "product", was.product, is_.product)
            yield from _value("overlay", pair.id, "item", was.item, is_.item)
            yield from _set_change("overlay", pair.id, "serves", mapped(was.serves, purposes), is_.serves)
        elif isinstance(was, Derivation) and isinstance(is_, Derivation):
            yield from _value("derivation", pair.id, "operation", was.operation, is_.operation)
            yield from _set_change("derivation", pair.id, "from", mapped(was.from_, sources), is_.from_)
            yield from _set_change("derivation", pair.id, "with", mapped(was.with_, sources), is_.with_)
            yield from _set_change("derivation", pair.id, "serves", mapped(was.serves, purposes), is_.serves)
        elif was is not None and is_ is not None:
            yield from _value(_kind(pair), pair.id, "kind", KINDS[type(was)], KINDS[type(is_)])


def _clauses(old: Document, new: Document, matching: Matching) -> Iterator[Change]:
    """The grants: which clause states which purpose, and what it is called."""
    was, is_ = ({row.id: grant.clause for grant in one.grant for row in grant.purpose} for one in (old, new))
    for pair in matching.purposes:
        if pair.old is not None and pair.new is not None:
            yield from _value("purpose", pair.id, "clause", was[pair.old.id], is_[pair.new.id])
    titles = {grant.clause: grant.title for grant in old.grant}
    for grant in new.grant:
        title = titles.get(grant.clause, grant.title)
        if title != grant.title:
            facts: dict[str, Fact] = {"what": "clause", "id": grant.clause}
            yield Change("title", "neutral", {**facts, "old": _titles(title), "new": _titles(grant.title)})


def _value(what: str, id_: str, key: str, was: Fact, is_: Fact) -> Iterator[Change]:
    if was != is_:
        yield Change("value", "neutral", {"what": what, "id": id_, "key": key, "old": was, "new": is_})


def _set_change(what: str, id_: str, key: str, was: Sequence[str], is_: Sequence[str]) -> Iterator[Change]:
    added = tuple(one for one in is_ if one not in was)
    removed = tuple(one for one in was if one not in is_)
    if added or removed:
        yield Change("members", "neutral", {"what": what, "id": id_, "key": key, "added": added, "removed": removed})


def _channels(old: Document, new: Document) -> Iterator[Change]:
    was, is_ = ({row.id: row.title for row in one.channel} for one in (old, new))
    for given, title in is_.items():
        if given not in was:
            yield Change("added", "neutral", {"what": "channel", "id": given, "title": _titles(title)})
        elif was[given] != title:
            facts: dict[str, Fact] = {"what": "channel", "id": given}
            yield Change("title", "neutral", {**facts, "old": _titles(was[given]), "new": _titles(title)})
    for given in was:
        if given not in is_:
            yield Change("removed", "narrowed", {"what": "channel", "id": given, "title": _titles(was[given])})


def _prohibitions(old: Document, new: Document, matching: Matching) -> Iterator[Change]:
    """What they forbid or no longer forbid is told by the uses that narrow and widen."""
    sources, purposes = matching.source_ids, matching.purpose_ids
    was = {
        (
            frozenset(sources.get(one, one) for one in row.sources),
            frozenset(purposes.get(one, one) for one in row.purposes),
        ): row
        for row in old.forbid
    }
    is_ = {(frozenset(row.sources), frozenset(row.purposes)): row for row in new.forbid}
    for kind, some, others in (("added", is_, was), ("removed", was, is_)):
        for key, row in some.items():
            if key not in others:
                yield Change(kind, "neutral", {**_prohibition(row), "title": _titles(row.reason)})
    for key, row in is_.items():
        if key in was and was[key].reason != row.reason:
            facts = {"old": _titles(was[key].reason), "new": _titles(row.reason)}
            yield Change("title", "neutral", {**_prohibition(row), **facts})


def _prohibition(row: Prohibition) -> dict[str, Fact]:
    return {"what": "prohibition", "sources": row.sources, "purposes": row.purposes}
