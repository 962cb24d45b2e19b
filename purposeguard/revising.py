"""Whether what a revision says of earlier ones, its extensions and renamings, makes sense: a part of `sense`.

Asked of a document whose references are in canonical spelling; those that meant nothing are gone from it.
"""

from __future__ import annotations

from collections.abc import Iterator

from purposeguard.bases import reached
from purposeguard.document import Document, Extension, Renaming
from purposeguard.grants import Grants, granted
from purposeguard.terms import fold

Slip = tuple[Extension | Renaming, str, str, str]
"""The row and the key at fault, what is wrong, and what to do."""


def slips(document: Document) -> Iterator[Slip]:
    """All that is wrong with what the document says of earlier revisions."""
    if document.extension:
        yield from _not_granted(document)
        yield from _not_notified(document)
    yield from _renamings(document)


def _not_granted(document: Document) -> Iterator[Slip]:
    """Only what this revision grants can be extended to data collected earlier, and that once (rule 9)."""
    pairs = granted(document)
    narrowed = {overlay.id: overlay.source for overlay in document.overlay}
    seen: set[tuple[str, str]] = set()
    for row in document.extension:
        for given in row.sources or ():
            if given in narrowed:
                message = f"`{given}` is an overlay, and is extended with what it narrows"
                yield row, "sources", message, f"name `{narrowed[given]}`"
        covered = set(reached(document, row, pairs))
        if lacking := list(_lacking(document, row, pairs)):
            yield row, "purposes", f"no grant lets {', or '.join(lacking)}", "extend what a grant gives"
        elif twice := sorted(covered & seen):
            message = f"extends data of `{twice[0][0]}` to `{twice[0][1]}` a second time"
            yield row, "purposes", message, "say each once, on one basis"
        seen |= covered


def _lacking(document: Document, row: Extension, pairs: Grants) -> Iterator[str]:
    """What of a row no grant gives, in words."""
    members = {family.class_: family.purposes for family in document.family}
    overlays = {overlay.id for overlay in document.overlay}
    for given in row.purposes:
        purposes = set(members.get(given, (given,)))
        if row.sources is None and all(purposes.isdisjoint(served) for served in pairs.values()):
            yield f"anything serve `{given}`"
        for source in row.sources or ():
            if source not in overlays and purposes.isdisjoint(pairs.get(source, ())):
                yield f"`{source}` serve `{given}`"


def _not_notified(document: Document) -> Iterator[Slip]:
    """What is related to a purpose stated earlier is extended by giving notice of it, and not before."""
    revision = getattr(document, "revision", None)  # none where the file's own is at fault
    for row in document.extension:
        if row.basis == "related" and row.notified is None:
            yield row, "notified", "is missing", "what is `related` needs the day on which notice was given"
        elif row.notified is not None and revision is not None and row.notified > revision:
            yield row, "notified", f"is later than {revision}, from which this revision holds", "give notice first"


def _renamings(document: Document) -> Iterator[Slip]:
    """One id becomes one other."""
    olds: dict[tuple[str, str], str] = {}
    news: dict[tuple[str, str], str] = {}
    for row in document.renamed:
        old = fold(row.old) or row.old
        if not row.new:
            continue  # reported as unknown
        if old == fold(row.new):
            yield row, "old", f"is the id that the {row.kind} has now", "name the one that it had before"
        elif (row.kind, old) in olds:
            yield row, "old", f"`{row.old}` is renamed a second time", f"it is `{olds[row.kind, old]}` already"
        elif (row.kind, row.new) in news:
            was = news[row.kind, row.new]
            yield row, "new", f"`{row.new}` has another old id already", f"that is `{was}`: one becomes one other"
        olds.setdefault((row.kind, old), row.new)
        news.setdefault((row.kind, row.new), row.old)
