"""Checks across the rows of a notice file, which no single row can show.

They find duplicates, references to rows that do not exist, circles of parents, rows that say the same, and overlays
that permit more than their source. They also check what a revision says of earlier ones: its extensions, renamings and
confirmations. A notice file may spell references in each way in which code may spell ids.
`CrossReferenceCheck.document` has them in canonical spelling.
"""

from __future__ import annotations

import builtins
import itertools
import keyword
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel

from purposeguard.containers import intersect
from purposeguard.errors import Fault
from purposeguard.notice.bases import describe_basis, find_basis_owner
from purposeguard.notice.fields import EVERY, Table, reference_fields
from purposeguard.notice.grants import (
    ClauseHierarchy,
    Grants,
    LegalGrounds,
    compute_grants,
    iter_extended_pairs,
    source_rows,
)
from purposeguard.notice.schema import (
    BasisRow,
    Channel,
    Condition,
    Confirmation,
    Derivation,
    Document,
    Extension,
    FamilyRow,
    Grant,
    Named,
    PurposeRow,
    Renaming,
    list_ids,
)
from purposeguard.notice.vocabulary import NotPersonal, find_nearest, fold, make_slug

Slip = tuple[Extension | Renaming | Confirmation, str, str, str]
"""A fault in a row about earlier revisions: the row, its key, what is wrong, and what to do."""


def find_revision_slips(document: Document) -> Iterator[Slip]:
    """Find all faults in what the document says of earlier revisions."""
    if document.extension:
        yield from _find_ungranted_extensions(document)
        yield from _find_unnotified_extensions(document)
    yield from _find_faulty_renamings(document)
    yield from _find_faulty_confirmations(document)


def _find_ungranted_extensions(document: Document) -> Iterator[Slip]:
    """Find extensions of uses that this revision does not grant, or that another row extends already (rule 9)."""
    pairs = compute_grants(document)
    narrowed = {overlay.id: overlay.source for overlay in document.overlay}
    seen: set[tuple[str, str]] = set()
    for row in document.extension:
        for source in row.sources or ():
            if source in narrowed:
                message = f"`{source}` is an overlay, and is extended with what it narrows"
                yield row, "sources", message, f"name `{narrowed[source]}`"
        covered = set(iter_extended_pairs(document, row, pairs))
        if lacking := list(_describe_ungranted_uses(document, row, pairs)):
            yield row, "purposes", f"no grant lets {', or '.join(lacking)}", "extend what a grant gives"
        elif twice := sorted(covered & seen):
            message = f"extends data of `{twice[0][0]}` to `{twice[0][1]}` a second time"
            yield row, "purposes", message, "say each once, on one basis"
        seen |= covered


def _describe_ungranted_uses(document: Document, row: Extension, pairs: Grants) -> Iterator[str]:
    """Describe the uses that an extension row names and no grant gives."""
    overlays = set(list_ids(document.overlay))
    for purpose in row.purposes:
        purposes = document.members_of((purpose,)).keys()
        if row.sources is None and all(map(purposes.isdisjoint, pairs.values())):
            yield f"anything serve `{purpose}`"
        for source in row.sources or ():
            if source not in overlays and purposes.isdisjoint(pairs.get(source, ())):
                yield f"`{source}` serve `{purpose}`"


def _find_unnotified_extensions(document: Document) -> Iterator[Slip]:
    """Find extensions to related purposes without a day of notice, and any whose notice is later than the revision."""
    revision = getattr(document, "revision", None)  # Missing if the file's own is faulty.
    for row in document.extension:
        if row.basis == "related" and row.notified is None:
            yield row, "notified", "is missing", "what is `related` needs the day on which notice was given"
        elif row.notified is not None and revision is not None and row.notified > revision:
            yield row, "notified", f"is later than {revision}, from which this revision holds", "give notice first"


def _find_faulty_renamings(document: Document) -> Iterator[Slip]:
    """Find ids that are renamed twice, to themselves, or to the same new id."""
    olds: dict[tuple[str, str], str] = {}
    news: dict[tuple[str, str], str] = {}
    for row in document.renamed:
        old = fold(row.old) or row.old
        if row.new == "":
            continue  # The reference is reported as unknown.
        if row.new is not None and old == fold(row.new):
            yield row, "old", f"is the id that the {row.kind} has now", "name the one that it had before"
        elif (row.kind, old) in olds:
            yield row, "old", f"`{row.old}` is renamed a second time", f"it is {olds[row.kind, old]} already"
        elif row.new is not None and (row.kind, row.new) in news:
            was = news[row.kind, row.new]
            yield row, "new", f"`{row.new}` has another old id already", f"that is `{was}`: one becomes one other"
        olds.setdefault((row.kind, old), "gone" if row.new is None else f"`{row.new}`")
        if row.new is not None:
            news.setdefault((row.kind, row.new), row.old)


def _find_faulty_confirmations(document: Document) -> Iterator[Slip]:
    """Find terms that are confirmed twice or renamed as well, and confirmations that no revision precedes."""
    revision = getattr(document, "revision", None)  # Missing if the file's own is faulty.
    moved: set[tuple[str, str | None]] = set()
    for renaming in document.renamed:
        for id_ in renaming.ids:
            moved.add((renaming.kind, fold(id_)))
    seen: set[tuple[str, str]] = set()
    for row in document.unchanged:
        if revision is not None and row.since >= revision:
            yield row, "since", f"is not before {revision}", "give the date of the revision before this one"
        for id_ in row.ids:
            if (row.kind, fold(id_)) in moved:
                yield row, "ids", f"`{id_}` is in a `[[renamed]]` row as well", "keep the row that is true"
            elif (row.kind, id_) in seen:
                yield row, "ids", f"names {row.kind} `{id_}` a second time", "remove one"
            seen.add((row.kind, id_))


RESERVED = frozenset(
    {
        "ClassVar",
        "Family",
        "Final",
        "Label",
        "Mapping",
        "NOTICE",
        "NotPersonal",
        "Notice",
        "Personal",
        "Purpose",
        "REVISION",
        "Source",
        "TypeVar",
    }
)
"""The class names that a generated module uses itself."""

RESERVED_FUNCTIONS = frozenset({"derive", "final", "json", *keyword.kwlist, *dir(builtins)})
"""The function names that a generated module uses itself, or that no function can have."""

ROWS = (
    *("condition", "channel", "source", "grant", "family", "derivation", "forbid", "overlay", "extension", "renamed"),
    *("unchanged", "provision"),
)
"""The tables of rows that these checks read, in the order of the file."""

Names = dict[str, str]
"""Folded id → canonical id."""

_KINDS: Final[Mapping[type[BaseModel], str]] = {PurposeRow: "purpose", FamilyRow: "family"}
"""Model → the kind of its rows, where rows of several kinds share one namespace."""

_ROW_OF: Final[Mapping[str, str]] = {
    "channel": "`[[channel]]`",
    "condition": "`[[condition]]`",
    "source": "`[[source]]`",
    "purpose": "`[[grant.purpose]]`",
    "purpose or family": "`[[grant.purpose]]` or `[[family]]`",
}
"""Kind → the rows to write for a reference to nothing."""

Row = TypeVar("Row", bound=Table)


def check_cross_references(
    document: Document, places: Mapping[int, str] | None = None, tables: Mapping[str, Any] | None = None
) -> CrossReferenceCheck:
    """Check the rows of a document against each other, and return the check with all that it found.

    Args:
        document: The document, with references in any spelling.
        places: `id` of each row → its place in the file, if that is not its place in the document.
        tables: The file as read. A reference to a row that is faulty itself is then not reported.
    """
    check = CrossReferenceCheck(document, places, tables)
    check.run()
    return check


class CrossReferenceCheck:
    """The check of the rows of a document against each other, made by `check_cross_references`.

    Attributes:
        faults: All that is wrong between the rows.
        document: The document with canonical references.
    """

    def __init__(self, document: Document, places: Mapping[int, str] | None, tables: Mapping[str, Any] | None) -> None:
        self.faults: list[Fault] = []
        self.document = document
        self._places = dict(places or {id(row): place for place, row in iter_rows_with_places(document)})
        self._ids_of_faulty_rows = _collect_possible_ids(tables) if tables else {}
        self._ids_by_spelling: Mapping[str, Names] = {}

    def run(self) -> None:
        """Check the document, and put the one with canonical references in its place."""
        document = self.document
        self._ids_by_spelling = self._collect_all_names(document)
        self._check_class_names(document)
        self._check_function_names(document)
        self.document = self._make_canonical(document)
        self._check_parents()
        self._check_grants_name_clauses()
        self._check_derivations_end()
        self._check_overlays_narrow()
        self._check_bases_cover()
        self._check_bases_matter()
        self._check_rows_differ()
        self._check_periods_differ()
        self._check_countries_differ()
        self._check_recipients_differ()
        for row, key, message, suggestion in find_revision_slips(self.document):
            self._fault(row, key, message, suggestion)
        # This check reads the document as written. The canonical one lacks references to rows that are faulty
        # themselves.
        self._check_nothing_twice(document)

    def _collect_all_names(self, document: Document) -> Mapping[str, Names]:
        """Return the canonical ids by their spelling, for each kind of id, and report ids that two rows share."""
        conditions = getattr(document, "condition", ())
        self._collect_names(_spellings(document.grant), "grant")
        # A purpose and a family are asked for by the same argument, so their names are of one kind.
        either = self._collect_names(_spellings((*document.purposes, *document.family)), "purpose or family")
        purposes = set(list_ids(document.purposes))
        return {
            "condition": self._collect_names(_spellings(conditions), "condition"),
            "channel": self._collect_names(_spellings(document.channel), "channel"),
            "source": self._collect_names(_spellings(source_rows(document)), "source"),
            "purpose": {folded: name for folded, name in either.items() if name in purposes},
            "purpose or family": either,
        }

    def _fault(self, row: BaseModel, key: str, message: str, suggestion: str | None = None) -> None:
        self.faults.append(Fault(f"{self._places[id(row)]}.{key}", message, suggestion))

    def _collect_names(self, spellings: Iterable[_Spelling], kind: str) -> Names:
        """Return the canonical id of each spelling, and report ids that two rows share."""
        owner: dict[str, BaseModel] = {}
        names: Names = {}
        slugs: Names = {}
        for row, key, spelling, canonical in spellings:
            folded = _fold_spelling(spelling)
            if key == "class":
                slugs.setdefault(_fold_spelling(make_slug(spelling)), canonical)
            if kind == "source" and folded == _fold_spelling(NotPersonal.clause) and spelling not in RESERVED:
                self._fault(
                    row, key, f"`{spelling}` means data that is not personal, in every notice", "choose another"
                )
            elif owner.setdefault(folded, row) is row:
                names[folded] = canonical
            else:
                other = _KINDS.get(type(owner[folded]), kind)
                message = f"duplicate: `{spelling}` is already an id of {other} `{names[folded]}`"
                self._fault(row, key, message, "give each row an id of its own")
        return slugs | names

    def _check_class_names(self, document: Document) -> None:
        """Report classes of different kinds that share a name: a generated module holds all classes side by side."""
        kinds: dict[str, str] = {}
        for kind, rows in (
            ("source", source_rows(document)),
            ("purpose", document.purposes),
            ("family", document.family),
        ):
            for row in rows:
                folded = _fold_spelling(row.class_)
                if row.class_ in RESERVED:
                    message = f"`{row.class_}` is a name that generated modules need for themselves"
                    self._fault(row, "class", message, "choose another")
                elif (other := kinds.setdefault(folded, kind)) != kind and {other, kind} != {"purpose", "family"}:
                    message = f"duplicate: `{row.class_}` is already the class of a {other}"
                    self._fault(row, "class", message, "give each row a class name of its own")

    def _check_function_names(self, document: Document) -> None:
        """Report derivations that share the name of their function in the generated module, or use a reserved one."""
        seen: dict[str, str] = {}
        for row in document.derivation:
            if row.function in RESERVED_FUNCTIONS:
                message = f"`{row.function}` is a name that generated modules need for themselves"
                self._fault(row, "function", message, "choose another")
            elif seen.setdefault(row.function, row.id) != row.id:
                message = f"duplicate: `{row.function}` is already the function of `{seen[row.function]}`"
                self._fault(row, "function", message, "give each derivation a function name of its own")

    def _resolve_reference(self, row: BaseModel, place: str, spelling: str, kind: str) -> str | None:
        """Return the canonical id that a reference means. Report it and return None if it means nothing."""
        folded, canonical_ids = _fold_spelling(spelling), self._ids_by_spelling[kind]
        canonical = canonical_ids.get(folded)
        if canonical is None and folded not in self._ids_of_faulty_rows.get(kind, ()):
            words = filter(str.isalpha, canonical_ids)  # Folded class names may be suggested too.
            close = find_nearest(spelling, (*canonical_ids.values(), *words))
            suggestion = f"name a row of the notice, or write {_ROW_OF[kind]}"
            if close:
                suggestion = f"did you mean {' or '.join(map(_quote, close))}?"
            self._fault(row, place, f"unknown {kind} `{spelling}`", suggestion)
        return canonical

    def _resolve_references(self, row: BaseModel, key: str, given: Sequence[str], kind: str) -> tuple[str, ...]:
        """Return the canonical ids of a list of references. Report those that are unknown or named twice."""
        ids: dict[str, None] = {}
        for index, spelling in enumerate(given):
            canonical = self._resolve_reference(row, f"{key}[{index}]", spelling, kind)
            if canonical in ids:
                self._fault(row, f"{key}[{index}]", f"names {kind} `{canonical}` a second time", "remove one")
            elif canonical is not None:
                ids[canonical] = None
        return tuple(ids)

    def _make_canonical(self, row: Row, place: str = "") -> Row:
        """Return a copy of a row with canonical spellings in all references, also in the rows below it."""
        self._places.setdefault(id(row), place)
        place, refers = self._places[id(row)], reference_fields(type(row))
        changes: dict[str, object] = {}
        for name, field in type(row).model_fields.items():
            value, key = getattr(row, name, None), field.alias or name
            here = f"{place}.{key}" if place else key
            if name in refers and value not in (None, EVERY):
                kind = row.kind if isinstance(row, (Renaming, Confirmation)) else refers[name].kind
                if isinstance(value, str):
                    reference: object = self._resolve_reference(row, key, value, kind) or ""
                else:
                    reference = self._resolve_references(row, key, value, kind)
                # If all conditions of a prohibition are unknown, they stay as written. Without conditions it would
                # forbid for good, and other checks would report what it then takes away.
                changes[name] = reference if reference or key != "unless" else value
            elif isinstance(value, Table):
                changes[name] = self._make_canonical(value, here)
            elif isinstance(value, tuple) and value and isinstance(value[0], Table):
                changes[name] = tuple(
                    self._make_canonical(inner, f"{here}[{index}]") for index, inner in enumerate(value)
                )
        if not changes:
            return row
        copy = row.model_copy(update=changes)
        self._places[id(copy)] = place
        return copy

    def _check_periods_differ(self) -> None:
        """Report a second period of a source from the same event: each may have one, and one for law."""
        retention = getattr(self.document, "retention", None)
        if retention is None:
            return
        for rows, description in ((retention.period, "period"), (retention.law, "period for law")):
            seen: set[tuple[str, str]] = set()
            for row in rows:
                if row.source and (row.source, row.from_) in seen:
                    message = f"a second {description} of `{row.source}` from {row.from_.replace('-', ' ')}"
                    self._fault(row, "source", message, "keep one of the two")
                seen.add((row.source, row.from_))

    def _check_bases_cover(self) -> None:
        """Report purposes with several bases none of which applies to some source that may serve them.

        A row that names an overlay is reported too: an overlay has the bases of the source that it narrows.
        """
        narrowed = {overlay.id: overlay.source for overlay in self.document.overlay}
        owners: list[Grant | PurposeRow] = [*self.document.grant, *self.document.purposes]
        rows = list(itertools.chain.from_iterable(owner.bases for owner in owners))
        if all(basis_row.sources is None for basis_row in rows):
            return
        for basis_row in rows:
            for source in basis_row.sources or ():
                if source in narrowed:
                    message = f"`{source}` is an overlay, and rests on what the source that it narrows rests on"
                    self._fault(basis_row, "sources", message, f"name `{narrowed[source]}`")
        pairs, grounds = compute_grants(self.document), LegalGrounds(self.document)
        reported = self._list_places()
        for grant, purpose in self.document.iter_grants():
            owner = find_basis_owner(grant, purpose)
            if not owner.bases or self._is_reported(owner, reported):
                continue
            holders = (source for source, purposes in pairs.items() if purpose.id in purposes)
            # A group of grounds is empty if no row is for the source, or for an item of it.
            lacking = [source for source in holders if () in grounds.get_grounds(source, purpose.id)]
            if lacking:
                message = f"no row is for {', '.join(map(_quote, lacking))}, which may serve `{purpose.id}`"
                self._fault(owner, "bases", message, "add one for it, or one without `sources`")

    def _list_places(self) -> list[str]:
        """Return the places of the faults found so far."""
        return [fault.place for fault in self.faults]

    def _is_reported(self, row: BaseModel, places: Iterable[str]) -> bool:
        """Return True if one of the places is in this row."""
        return any(place.startswith(f"{self._places[id(row)]}.") for place in places)

    def _check_bases_matter(self) -> None:
        """Report each row of several bases that another row makes irrelevant."""
        faulty = self._list_places()
        for shadowed in find_shadowed_bases(self.document):
            owner, source = shadowed.owner, shadowed.source
            if self._is_reported(owner, faulty):
                continue
            row, other = owner.bases[shadowed.row], owner.bases[shadowed.by]
            message = (
                f"`{describe_basis(row)}` decides nothing about `{source}`, since one basis is enough and "
                f"`bases[{shadowed.by}]` asks for less: `{describe_basis(other)}`"
            )
            cure = (
                f"name in `bases[{shadowed.by}]` the `sources` or the conditions (`when`) for which it holds instead, "
                "or remove the row that is not meant"
            )
            self._fault(owner, f"bases[{shadowed.row}]", message, cure)

    def _check_parents(self) -> None:
        """Report parents that are no clause, and circles of parents."""
        hierarchy = ClauseHierarchy(self.document)
        clauses = set(list_ids(self.document.source))
        settled = {*hierarchy.bottom_up()}
        for row in self.document.source:
            if row.parent and row.parent not in clauses:
                self._fault(
                    row, "parent", f"`{row.parent}` is no clause that data is collected under", "name a `[[source]]`"
                )
            chain = [] if row.id in settled else hierarchy.above(row.id)
            if row.id in chain:
                message = f"a circle of parents: {' → '.join([row.id, *chain])}"
                self._fault(row, "parent", message, "a clause stands under one that does not stand under it")

    def _check_grants_name_clauses(self) -> None:
        """Report grants that name overlays or derivations, whose own rows say what they may serve."""
        clauses = set(list_ids(self.document.source))
        for row in self.document.grant:
            for source in () if row.sources == EVERY else row.sources:
                if source not in clauses:
                    self._fault(
                        row, "sources", f"`{source}` is no clause", "say what it serves in its own row, `serves`"
                    )

    def _check_derivations_end(self) -> None:
        """Report derivations that go into themselves, directly or through others."""
        inputs = {row.id: set(row.from_ + row.with_) for row in self.document.derivation}
        for row in self.document.derivation:
            reached: set[str] = set()
            pending = [row.id]
            while pending:
                fresh = inputs.get(pending.pop(), set()) - reached
                reached |= fresh
                pending += fresh
            if row.id in reached:
                self._fault(row, "from", f"a circle: `{row.id}` is derived from itself", "name other sources")

    def _check_rows_differ(self) -> None:
        """Report two rows about the same thing, since they could contradict each other.

        Code writes a family as the union of its members, an operation on two sources derives one source, and what an
        item of a product may serve, or is forbidden, is said once.
        """
        self._report_same_meanings(
            self.document.family,
            "purposes",
            # A family of which one purpose is known has no known meaning.
            lambda row: (frozenset(row.purposes if len(row.purposes) > 1 else ()),),
        )
        self._report_same_meanings(
            self.document.derivation, "operation", lambda row: (row.operation, _get_input_sets(row))
        )
        self._report_same_meanings(
            self.document.overlay,
            "item",
            lambda row: (row.source, _fold_spelling(row.product), _fold_spelling(row.item)),
        )
        self._report_same_meanings(
            self.document.forbid, "sources", lambda row: (frozenset(row.sources), frozenset(row.purposes))
        )

    def _report_same_meanings(
        self, rows: Sequence[Row], key: str, meaning: Callable[[Row], tuple[Hashable, ...]]
    ) -> None:
        """Report rows that have the same meaning.

        A meaning with an empty part is passed over: that part is unknown or unread, which is reported elsewhere.
        """
        seen: dict[tuple[Hashable, ...], Row] = {}
        for row in rows:
            meant = meaning(row)
            first = seen.setdefault(meant, row)
            if all(meant) and first is not row and (_entry_name(row) != _entry_name(first) or _entry_key(row) is None):
                self._fault(row, key, f"says again what {_entry_name(first)} is about", "keep one of the two")

    def _check_countries_differ(self) -> None:
        """Report countries that two groups of equivalent countries name. A listed country may be in a group too."""
        transfer = getattr(self.document, "transfer", None)
        seen: dict[str, str] = {}
        for index, group in enumerate(transfer.equivalent if transfer is not None else ()):
            for number, code in enumerate(group.countries):
                if seen.setdefault(code, group.id) != group.id:
                    place = f"transfer.equivalent[{index}].countries[{number}]"
                    message = f"duplicate: `{code}` is one of `{seen[code]}` already"
                    self.faults.append(Fault(place, message, "name each country once"))

    def _check_recipients_differ(self) -> None:
        """Report kinds of recipients that data is both entrusted and provided to: the terms of the two differ."""
        entrustment = getattr(self.document, "entrustment", None)
        if entrustment is None:
            return
        entrusted = {_fold_spelling(kind.id) for kind in entrustment.recipients}
        for row in self.document.provision:
            for index, kind in enumerate(row.recipients):
                if _fold_spelling(kind.id) in entrusted:
                    message = f"data is entrusted to `{kind.id}` already"
                    suggestion = "give third parties a kind of their own"
                    self._fault(row, f"recipients[{index}].id", message, suggestion)

    def _check_nothing_twice(self, document: Document) -> None:
        """Report entries that a list holds twice, in whatever spelling: two rows of one meaning could contradict.

        Entries that are reported already are passed over.
        """
        reported = set(self._list_places())
        for place, value in self._iter_duplicates(document, ""):
            if place not in reported:
                self.faults.append(Fault(place, f"duplicate: {value} is in this list already", "keep one of the two"))

    def _iter_duplicates(self, table: BaseModel, place: str) -> Iterator[tuple[str, str]]:
        """Yield the place and the name of each entry that equals an earlier entry of its list, or means the same."""
        for name, field in type(table).model_fields.items():
            value = getattr(table, name, None)
            here = f"{place}.{field.alias or name}" if place else field.alias or name
            if isinstance(value, BaseModel):
                yield from self._iter_duplicates(value, here)
            seen: set[str] = set()
            for index, entry in enumerate(value if isinstance(value, tuple) else ()):
                entry_place = self._places.get(id(entry), f"{here}[{index}]")
                key = _entry_key(entry)
                if key or isinstance(entry, str):
                    meant = _fold_spelling(getattr(entry, key) if key else entry)
                    if meant in seen:
                        yield f"{entry_place}.{key.rstrip('_')}" if key else entry_place, _entry_name(entry)
                    seen.add(meant)
                if isinstance(entry, BaseModel):
                    yield from self._iter_duplicates(entry, entry_place)

    def _check_overlays_narrow(self) -> None:
        """Report overlays that may serve what their source may not (rule 8)."""
        if not self.document.overlay:
            return
        allowed = compute_grants(self.document)
        plain = set(list_ids(self.document.source))
        for row in self.document.overlay:
            if not row.source:
                continue  # The reference is reported as unknown.
            if row.source not in plain:
                self._fault(row, "source", f"`{row.source}` is no source of a clause", "an overlay narrows a clause")
                continue
            for purpose in row.serves:
                if purpose not in allowed[row.source]:
                    message = f"widens: `{row.source}` may not serve `{purpose}`"
                    self._fault(row, "serves", message, "an overlay may only narrow what its source may serve")


def _get_input_sets(row: Derivation) -> frozenset[frozenset[str]]:
    """Return the two sets of sources that a derivation joins, in no order; an empty set if one of them is unknown."""
    if not row.from_ or not row.with_:
        return frozenset()
    return frozenset((frozenset(row.from_), frozenset(row.with_)))


def _fold_spelling(spelling: str) -> str:
    """Fold a spelling to a form that all spellings of one id share."""
    return fold(spelling) or spelling.casefold()


def _entry_key(entry: object) -> str | None:
    """Return the name of the field that identifies an entry of a list; None if there is none."""
    fields = type(entry).model_fields if isinstance(entry, BaseModel) else {}
    return next((name for name in ("id", "clause", "code", "class_") if name in fields), None)


def _entry_name(entry: object) -> str:
    key = _entry_key(entry)
    return f"`{getattr(entry, key) if key else entry}`" if key or isinstance(entry, str) else "another row"


def _quote(name: str) -> str:
    return f"`{name}`"


class _Spelling(NamedTuple):
    """A way of writing the id of a row."""

    row: BaseModel
    key: str
    """The key of the row that has the spelling."""
    text: str
    canonical: str
    """The id itself."""


def _spellings(rows: Iterable[Named | FamilyRow | Grant | Channel | Condition]) -> Iterator[_Spelling]:
    """Yield the spellings of the ids of rows."""
    for row in rows:
        match row:
            case FamilyRow():
                yield _Spelling(row, "class", row.class_, row.class_)
            case Grant():
                yield _Spelling(row, "clause", row.clause, row.clause)
            case _:
                yield _Spelling(row, "id", row.id, row.id)
                if isinstance(row, Named):
                    yield _Spelling(row, "class", row.class_, row.id)


def iter_rows_with_places(document: Document) -> Iterator[tuple[str, BaseModel]]:
    """Yield every row that faults can be found in, with its place."""
    for name in ROWS:
        for index, row in enumerate(getattr(document, name)):
            yield f"{name}[{index}]", row
    for index, grant in enumerate(document.grant):
        for number, row in enumerate(grant.purpose):
            yield f"grant[{index}].purpose[{number}]", row


def _collect_possible_ids(tables: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return all texts that could be ids in the file as read, by the kind of id. Faulty rows are included."""
    purposes: set[str] = set()
    for grant in _rows(tables, "grant"):
        purposes |= _list_spellings(_rows(grant, "purpose"))
    sources = (*_rows(tables, "source"), *_rows(tables, "overlay"), *_rows(tables, "derivation"))
    return {
        "condition": _list_spellings(_rows(tables, "condition")),
        "channel": _list_spellings(_rows(tables, "channel")),
        "source": _list_spellings(sources),
        "purpose": purposes,
        "purpose or family": purposes | _list_spellings(_rows(tables, "family")),
    }


def _rows(table: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the rows of a list of tables as read. A single table counts as one row, and anything else as none."""
    value = table.get(key)
    rows = value if isinstance(value, list) else [value]
    return [row for row in rows if isinstance(row, Mapping)]


def _list_spellings(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    spellings: set[str] = set()
    for row in rows:
        for key in ("id", "class"):
            spelling = row.get(key)
            if isinstance(spelling, (str, int)):
                spellings.add(_fold_spelling(str(spelling)))
    return spellings


class ShadowedBasis(NamedTuple):
    """A row of `bases` that cannot decide about a source, because another row asks for less there."""

    owner: Grant | PurposeRow
    row: int
    """The index of the row that cannot decide."""
    by: int
    """The index of the row that asks for less."""
    source: str


def find_shadowed_bases(document: Document) -> Iterator[ShadowedBasis]:
    """Find the rows of `bases` that another row makes irrelevant, each once.

    One row that holds is enough. So a row that asks for more than another one restricts nothing where both hold, but
    whoever reads the rows as a rule and its exception expects it to. The exception must therefore be the row that asks
    for less, and name the sources or the conditions for which it does.
    """
    hierarchy = ClauseHierarchy(document)
    narrowed = set(list_ids(document.overlay))
    pairs = compute_grants(document)
    plain = [source for source in pairs if source not in hierarchy.children and source not in narrowed]
    seen: set[tuple[int, int]] = set()
    for grant, purpose in document.iter_grants():
        owner = find_basis_owner(grant, purpose)
        if len(owner.bases) < 2:
            continue
        sources = [source for source in plain if purpose.id in pairs[source]]
        for index, by, source in _find_shadowed_rows(owner.bases, sources, hierarchy):
            if (id(owner), index) not in seen:
                seen.add((id(owner), index))
                yield ShadowedBasis(owner, index, by, source)


def _find_shadowed_rows(
    rows: tuple[BasisRow, ...], sources: list[str], hierarchy: ClauseHierarchy
) -> Iterator[tuple[int, int, str]]:
    """Find rows that cannot decide about a source because another row asks for less.

    Yields:
        The index of the row, the index of the row that asks for less, and the source.
    """
    every = frozenset(sources)
    spans: list[frozenset[str]] = []
    for row in rows:
        span = sources if row.sources is None else hierarchy.with_items(row.sources)
        spans.append(every.intersection(span))
    for index, row in enumerate(rows):
        covered: dict[str, int] = {}
        own = intersect(sources, spans[index])
        for by, other in enumerate(rows):
            if not _asks_for_less(other, row):
                continue
            is_exception = set(other.when) == set(row.when) and spans[by] < spans[index]
            for source in own:
                if source in spans[by] and covered.setdefault(source, by) == by and not is_exception:
                    yield index, by, source
        if own and len(covered) == len(own):
            yield index, covered[own[0]], own[0]


def _asks_for_less(row: BasisRow, other: BasisRow) -> bool:
    """Return True if `row` holds wherever `other` does, and asks for less there."""
    if other.basis == "law" and row.basis != "law":
        return False  # Past the period of retention the other one goes on.
    conditions, others = set(row.when), set(other.when)
    if _demand(row) > _demand(other) or not conditions <= others:
        return False
    return _demand(row) < _demand(other) or conditions < others


def _demand(row: BasisRow) -> int:
    """Return how much a basis asks of a subject: nothing, that they are named and did not object, or their consent."""
    return 2 if row.basis == "consent" else int(row.opt_out)
