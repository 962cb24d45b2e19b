"""Warnings about what is probably not meant in a valid notice. `purposeguard validate` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from purposeguard.errors import Fault
from purposeguard.notice.bases import collect_bases
from purposeguard.notice.grants import ClauseHierarchy, LegalGrounds, compute_grants, source_rows
from purposeguard.notice.schema import Document, FamilyRow, Named, PurposeRow, list_ids
from purposeguard.notice.validation import iter_rows_with_places


def find_warnings(document: Document) -> list[Fault]:
    """Find what is probably not meant in a valid notice. Each warning is a fault with its place in the file."""
    return list(_Warnings(document).find_all())


class _Warnings:
    """The warnings about one document, and what several of them look up in it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.grants = compute_grants(document)
        self.items = set(list_ids(document.source)) - ClauseHierarchy(document).children.keys()
        """The ids of the sources without items."""
        self.bases = collect_bases(document)
        self.places = {id(row): place for place, row in iter_rows_with_places(document)}
        """`id` of a row → its place in the file."""

    def find_all(self) -> Iterator[Fault]:
        """Find all warnings, in the order in which they are printed."""
        yield from self.find_sources_without_purpose()
        yield from self.find_grants_of_everything()
        yield from self.find_purposes_without_source()
        yield from self.find_open_ends()
        yield from self.find_unused_conditions()
        yield from self.find_irrevocable_consents()
        families = [frozenset(family.purposes) for family in self.document.family]
        yield from _find_repeated_titles(source_rows(self.document), self.places, families)
        yield from _find_repeated_titles(self.document.purposes, self.places, families)
        yield from _find_repeated_titles(self.document.family, self.places, families)

    def find_sources_without_purpose(self) -> Iterator[Fault]:
        """Find the sources, other than parents, that may serve no purpose."""
        cure = "name it among the `sources` of a `[[grant]]`"
        for row in self.document.source:
            if row.id in self.items and not self.grants[row.id]:
                yield Fault(f"{self.places[id(row)]}.id", f"`{row.id}` may serve no purpose", cure)

    def find_grants_of_everything(self) -> Iterator[Fault]:
        """Find out whether every one of several sources may serve every one of several purposes."""
        purposes = self.document.purposes
        if len(self.items) < 2 or len(purposes) < 2:
            return
        grounds = LegalGrounds(self.document)
        for item in self.items:
            granted = self.grants[item]
            if len(granted) != len(purposes) or not all(grounds.is_open(item, purpose) for purpose in granted):
                return
        message = "every source may serve every purpose, so that nothing is refused"
        yield Fault("grant", message, "name in each `[[grant]]` the `sources` that its clause names")

    def find_purposes_without_source(self) -> Iterator[Fault]:
        """Find the purposes that no source may serve."""
        served = set().union(*self.grants.values())
        for row in self.document.purposes:
            if row.id not in served:
                cure = "look at the `[[forbid]]` rows that name it"
                yield Fault(f"{self.places[id(row)]}.id", f"no source may serve `{row.id}`", cure)

    def find_open_ends(self) -> Iterator[Fault]:
        """Find the purposes that leave open what is done."""
        cure = "name the purposes that it is used for as rows of their own, where they are known"
        for row in self.document.purposes:
            if row.open_end is not None:
                yield Fault(f"{self.places[id(row)]}.open_end", f"`{row.id}` leaves open what is done", cure)

    def find_unused_conditions(self) -> Iterator[Fault]:
        """Find the conditions on which nothing depends."""
        used: set[str] = set()
        for grant in self.document.grant:
            used.update(grant.when)
        for purpose in self.document.purposes:
            used.update(purpose.when)
            for basis in self.bases[purpose.id]:
                used.update(basis.when)
        for prohibition in self.document.forbid:
            used.update(prohibition.unless)
        for row in self.document.condition:
            if row.id not in used:
                cure = "name it in `when` or `unless`, or remove it"
                yield Fault(f"{self.places[id(row)]}.id", f"nothing depends on `{row.id}`", cure)

    def find_irrevocable_consents(self) -> Iterator[Fault]:
        """Find out whether purposes rest on consent that no request of the subject takes back."""
        rights = self.document.rights
        if rights is not None and any(request.effect == "stops-use" for request in rights.request):
            return
        purposes = list(filter(self._rests_on_consent, self.document.purposes))
        if purposes:
            ids = ", ".join(f"`{purpose.id}`" for purpose in purposes)
            verb = "rests" if len(purposes) == 1 else "rest"
            yield Fault(
                f"{self.places[id(purposes[0])]}.id",
                f"{ids} {verb} on consent, and no request takes it back",
                'write `[rights]` with a `[[rights.request]]` of `effect = "stops-use"`',
            )

    def _rests_on_consent(self, purpose: PurposeRow) -> bool:
        return any(row.basis == "consent" for row in self.bases[purpose.id])


def _find_repeated_titles(
    rows: Iterable[Named | FamilyRow], places: Mapping[int, str], together: list[frozenset[str]]
) -> Iterator[Fault]:
    """Find titles that two rows share. Purposes of one family may, since they state the same goal."""
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        name = row.id if isinstance(row, Named) else row.class_
        for language, title in row.title.model_dump().items():
            other = first.setdefault((language, title), name)
            if other != name and not any({name, other} <= family for family in together):
                cure = "say in each what it is; purposes of one goal are named together by a `[[family]]`"
                yield Fault(f"{places[id(row)]}.title", f"`{title}` is the title of `{other}` too", cure)
                break
