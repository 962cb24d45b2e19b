"""What of a valid notice is probably not meant: `purposeguard validate` warns of it, and nothing is refused for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from purposeguard.errors import Fault
from purposeguard.notice.grants import LegalGrounds, Lineage, granted
from purposeguard.notice.schema import Document, FamilyRow, Named, stated_bases


def warnings(document: Document) -> list[Fault]:
    """Each with its place in the file, in the form of a fault."""
    pairs = granted(document)
    items = {row.id for row in document.source} - Lineage(document).children.keys()
    purposes = {
        row.id: f"grant[{number}].purpose[{index}]"
        for number, grant in enumerate(document.grant)
        for index, row in enumerate(grant.purpose)
    }
    served = {purpose for source in pairs.values() for purpose in source}
    consented = [
        purpose for purpose, rows in stated_bases(document).items() if any(row.basis == "consent" for row in rows)
    ]
    found = [
        Fault(
            f"source[{number}].id", f"`{row.id}` may serve no purpose", "name it among the `sources` of a `[[grant]]`"
        )
        for number, row in enumerate(document.source)
        if row.id in items and not pairs[row.id]
    ]
    grounds = LegalGrounds(document)
    if (
        len(items) > 1
        and len(purposes) > 1
        and all(len(pairs[one]) == len(purposes) for one in items)
        and all(grounds.is_open(one, purpose) for one in items for purpose in purposes)
    ):
        every = "every source may serve every purpose, so that nothing is refused"
        found.append(Fault("grant", every, "name in each `[[grant]]` the `sources` that its clause names"))
    found += [
        Fault(f"{place}.id", f"no source may serve `{purpose}`", "look at the `[[forbid]]` rows that name it")
        for purpose, place in purposes.items()
        if purpose not in served
    ]
    found += [
        Fault(
            f"{purposes[row.id]}.open_end",
            f"`{row.id}` leaves open what is done",
            "name the purposes that it is used for as rows of their own, where they are known",
        )
        for row in document.purposes
        if row.open_end is not None
    ]
    stated = {
        *(one for grant in document.grant for one in grant.when),
        *(one for row in document.purposes for one in row.when),
        *(one for rows in stated_bases(document).values() for row in rows for one in row.when),
        *(one for rule in document.forbid for one in rule.unless),
    }
    found += [
        Fault(
            f"condition[{number}].id", f"nothing depends on `{row.id}`", "name it in `when` or `unless`, or remove it"
        )
        for number, row in enumerate(document.condition)
        if row.id not in stated
    ]
    requests = document.rights.request if document.rights is not None else ()
    if consented and not any(request.effect == "stops-use" for request in requests):
        found.append(
            Fault(
                f"{purposes[consented[0]]}.id",
                f"{', '.join(f'`{purpose}`' for purpose in consented)} "
                f"{'rests' if len(consented) == 1 else 'rest'} on consent, and no request takes it back",
                'write `[rights]` with a `[[rights.request]]` of `effect = "stops-use"`',
            )
        )
    sources = [
        *((f"source[{number}]", row) for number, row in enumerate(document.source)),
        *((f"overlay[{number}]", row) for number, row in enumerate(document.overlay)),
        *((f"derivation[{number}]", row) for number, row in enumerate(document.derivation)),
    ]
    kinds: tuple[Iterable[tuple[str, Named | FamilyRow]], ...] = (
        sources,
        ((purposes[row.id], row) for row in document.purposes),
        ((f"family[{number}]", row) for number, row in enumerate(document.family)),
    )
    together = [frozenset(family.purposes) for family in document.family]
    return [*found, *(fault for rows in kinds for fault in _repeated(rows, together))]


def _repeated(rows: Iterable[tuple[str, Named | FamilyRow]], together: list[frozenset[str]]) -> Iterator[Fault]:
    """Titles that two rows have, but for purposes of one family, which state the same goal."""
    first: dict[tuple[str, str], str] = {}
    for place, row in rows:
        name = row.id if isinstance(row, Named) else row.class_
        for language, title in row.title.model_dump().items():
            other = first.setdefault((language, title), name)
            if other != name and not any({name, other} <= family for family in together):
                cure = "say in each what it is; purposes of one goal are named together by a `[[family]]`"
                yield Fault(f"{place}.title", f"`{title}` is the title of `{other}` too", cure)
                break
