"""Warnings about what is probably not meant in a valid notice. `purposeguard validate` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from purposeguard.errors import Fault
from purposeguard.notice.grants import LegalGrounds, Lineage, compute_grants, source_rows
from purposeguard.notice.schema import Document, FamilyRow, Named, bases_by_purpose
from purposeguard.notice.validation import iter_rows_with_places


def find_warnings(document: Document) -> list[Fault]:
    """Find what is probably not meant in a valid notice. Each warning is a fault with its place in the file."""
    pairs = compute_grants(document)
    items = {row.id for row in document.source} - Lineage(document).children.keys()
    places = {id(row): place for place, row in iter_rows_with_places(document)}
    served = {purpose for source in pairs.values() for purpose in source}
    bases = bases_by_purpose(document)
    consented = [row for row in document.purposes if any(basis.basis == "consent" for basis in bases[row.id])]
    warnings = [
        Fault(
            f"{places[id(row)]}.id", f"`{row.id}` may serve no purpose", "name it among the `sources` of a `[[grant]]`"
        )
        for row in document.source
        if row.id in items and not pairs[row.id]
    ]
    grounds = LegalGrounds(document)
    if (
        len(items) > 1
        and len(document.purposes) > 1
        and all(len(pairs[item]) == len(document.purposes) for item in items)
        and all(grounds.is_open(item, row.id) for item in items for row in document.purposes)
    ):
        every = "every source may serve every purpose, so that nothing is refused"
        warnings.append(Fault("grant", every, "name in each `[[grant]]` the `sources` that its clause names"))
    warnings += [
        Fault(f"{places[id(row)]}.id", f"no source may serve `{row.id}`", "look at the `[[forbid]]` rows that name it")
        for row in document.purposes
        if row.id not in served
    ]
    warnings += [
        Fault(
            f"{places[id(row)]}.open_end",
            f"`{row.id}` leaves open what is done",
            "name the purposes that it is used for as rows of their own, where they are known",
        )
        for row in document.purposes
        if row.open_end is not None
    ]
    stated = {
        *(condition for grant in document.grant for condition in grant.when),
        *(condition for row in document.purposes for condition in row.when),
        *(condition for rows in bases.values() for row in rows for condition in row.when),
        *(condition for rule in document.forbid for condition in rule.unless),
    }
    warnings += [
        Fault(f"{places[id(row)]}.id", f"nothing depends on `{row.id}`", "name it in `when` or `unless`, or remove it")
        for row in document.condition
        if row.id not in stated
    ]
    requests = document.rights.request if document.rights is not None else ()
    if consented and not any(request.effect == "stops-use" for request in requests):
        warnings.append(
            Fault(
                f"{places[id(consented[0])]}.id",
                f"{', '.join(f'`{row.id}`' for row in consented)} "
                f"{'rests' if len(consented) == 1 else 'rest'} on consent, and no request takes it back",
                'write `[rights]` with a `[[rights.request]]` of `effect = "stops-use"`',
            )
        )
    together = [frozenset(family.purposes) for family in document.family]
    kinds: tuple[Iterable[Named | FamilyRow], ...] = (source_rows(document), document.purposes, document.family)
    return [*warnings, *(fault for rows in kinds for fault in _find_repeated_titles(rows, places, together))]


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
