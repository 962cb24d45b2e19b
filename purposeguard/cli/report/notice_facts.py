"""A notice as the page shows it: its rows by their ids."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from purposeguard.cli.application import clauses_of
from purposeguard.notice.bases import collect_bases, summarize_bases
from purposeguard.notice.grants import LegalGrounds, source_rows
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import Periods
from purposeguard.notice.schema import Named, Overlay, SourceRow, list_ids
from purposeguard.notice.vocabulary import Family, Purpose, Source, list_term_ids


class NoticeFacts:
    """The revision in force, by the ids of its rows."""

    def __init__(self, notice: Notice) -> None:
        document = notice.document
        self.notice = notice
        self.document = document
        self.sources = source_rows(document)
        self.parents = set(map(attrgetter("parent"), document.source))
        """The sources that have items."""
        self.periods = Periods(document)
        self.clauses = {grant.clause: grant for grant in document.grant}
        """The clauses that grant purposes, by their ids."""
        self.served: dict[str, set[str]] = {}
        """The sources that may serve a purpose, by the id of the purpose."""
        for purpose in notice.purposes:
            self.served[purpose.clause] = set(list_term_ids(_sources_of(notice, purpose)))
        self.grant_of: dict[str, str] = {}
        """The clause of a purpose, by the id of the purpose."""
        for grant in document.grant:
            self.grant_of |= dict.fromkeys(list_ids(grant.purpose), grant.clause)
        self.when = LegalGrounds(document).when
        """The conditions of a purpose, by its id."""
        self.basis, self.stated = summarize_bases(document), collect_bases(document)
        """The legal basis of a purpose, by its id; and all of them."""

    def families_of(self, purpose: str) -> list[Family]:
        """Return the families that a purpose belongs to."""
        return [family for family in self.notice.families if purpose in clauses_of(family)]

    def sources_of(self, family: Family) -> set[str]:
        """Return the sources that may serve some purpose of a family."""
        sources: set[str] = set()
        for purpose in clauses_of(family):
            sources |= self.served[purpose]
        return sources


def _sources_of(notice: Notice, purpose: type[Purpose]) -> Iterator[type[Source]]:
    """Yield the sources that may serve a purpose."""
    for source in notice.sources:
        if purpose in notice.grants[source]:
            yield source


def parent_of(row: Named) -> str | None:
    """Return the clause that a source is an item of, or the source that an overlay narrows."""
    if isinstance(row, SourceRow):
        return row.parent
    return row.source if isinstance(row, Overlay) else None
