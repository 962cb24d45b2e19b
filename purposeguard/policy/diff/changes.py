"""Changes between two revisions as facts, and the matching of the terms of one revision with those of another.

Nothing is guessed: terms without a match were added or removed. A term matches the one that a `[[renamed]]` row names,
else the one of the same class, else the one of the same id.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, Literal, TypeVar, cast

from purposeguard.notice.fields import Table, reference_fields
from purposeguard.notice.grants import source_rows
from purposeguard.notice.history import History
from purposeguard.notice.schema import Derivation, FamilyRow, Named, Overlay, PurposeRow, SourceRow
from purposeguard.notice.vocabulary import fold

Direction = Literal["widened", "narrowed", "neutral"]
"""Widened: more may be done with data than before, or subjects may ask for less. Narrowed: the reverse."""

Needs = Literal["notice", "consent"]
"""The requirement before a change is relied on (clause 11): notice to the subjects, or the consent of each."""

Fact = str | int | bool | None | tuple[str, ...] | Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """A change of some `kind`: its `direction`, its `facts` (ids, days, titles), and what it `needs`."""

    kind: str
    direction: Direction
    facts: Mapping[str, Fact]
    needs: Needs | None = None

    def __getitem__(self, name: str) -> Fact:
        return self.facts[name]


Row = TypeVar("Row", bound=Named | FamilyRow)
AnyTable = TypeVar("AnyTable", bound=Table)
How = Literal["same", "stated", "class", "id", "only"]
"""The way two terms match: by id and class, a `[[renamed]]` row, the class, or the id; `only` if there is no match."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Pair(Generic[Row]):
    """A term in the two revisions, with None for a revision that does not have it. Compared by identity."""

    old: Row | None
    how: How
    new: Row | None

    @property
    def row(self) -> Row:
        """The term as the later revision has it, or had it last."""
        return cast("Row", self.new if self.new is not None else self.old)

    @property
    def id(self) -> str:
        """The id of the term, or the name of the family."""
        return id_of(self.row)

    @property
    def old_id(self) -> str | None:
        """The id in the earlier revision, if that has the term."""
        return None if self.old is None else id_of(self.old)


@dataclasses.dataclass(frozen=True)
class Matching:
    """All terms of both revisions: those of the later in its order, then those that are gone."""

    sources: tuple[Pair[Named], ...]
    purposes: tuple[Pair[PurposeRow], ...]
    families: tuple[Pair[FamilyRow], ...]

    @functools.cached_property
    def purpose_ids(self) -> dict[str, str]:
        """Purposes of the earlier revision → their ids in the later one."""
        return _map_ids(self.purposes)

    @functools.cached_property
    def source_ids(self) -> dict[str, str]:
        """Sources of the earlier revision → their ids in the later one."""
        return _map_ids(self.sources)

    def translate_ids(self, row: AnyTable) -> AnyTable:
        """Return a row of the earlier revision with the ids that its references have in the later one."""
        changes: dict[str, object] = {}
        for name, refers in reference_fields(type(row)).items():
            value = getattr(row, name)
            moved = self.source_ids if refers.kind == "source" else self.purpose_ids
            if refers.kind in {"source", "purpose", "purpose or family"} and value is not None:
                is_one = isinstance(value, str)
                changes[name] = moved.get(value, value) if is_one else tuple(moved.get(id_, id_) for id_ in value)
        return row.model_copy(update=changes)


def _map_ids(pairs: Iterable[Pair[Named]] | Iterable[Pair[PurposeRow]]) -> dict[str, str]:
    """Return the id of each term of the earlier revision → its id in the later one, if it is there."""
    ids: dict[str, str] = {}
    for pair in pairs:
        if pair.old_id is not None and pair.new is not None:
            ids[pair.old_id] = pair.id
    return ids


def id_of(row: Named | FamilyRow) -> str:
    """Return the id of a term, or the name of a family."""
    return row.id if isinstance(row, Named) else row.class_


def match_terms(history: History) -> Matching:
    """Match the terms of the first and the last revision of a history."""
    first, last = history.notices[0], history.latest
    old, new = first.document, last.document

    def old_ids_by_id(kind: Literal["source", "purpose"], rows: Iterable[Named]) -> dict[str, str | None]:
        """Return the earlier ids of the rows that moved to another id; None for a row whose id was another's."""
        moved: dict[str, str | None] = {}
        for row in rows:
            old_id = history.translate_clause(kind, row.id, last, first)
            if old_id != fold(row.id):
                moved[row.id] = old_id
        return moved

    return Matching(
        _pair_rows(source_rows(old), source_rows(new), old_ids_by_id("source", source_rows(new))),
        _pair_rows(old.purposes, new.purposes, old_ids_by_id("purpose", new.purposes)),
        _pair_rows(old.family, new.family, {}),
    )


def _pair_rows(old: Sequence[Row], new: Sequence[Row], stated: dict[str, str | None]) -> tuple[Pair[Row], ...]:
    """Pair the rows of two revisions.

    `stated` holds the folded id that a row had before, by its id now; None for a row whose id was another's.
    """
    unmatched = {id_of(row): row for row in old}
    by_number = {fold(id_of(row)): row for row in old}
    by_class = {row.class_: row for row in old}
    matches: dict[str, tuple[Row, How]] = {}

    def take(row: Row, other: Row | None, how: How) -> None:
        if other is not None and id_of(other) in unmatched and id_of(row) not in matches:
            matches[id_of(row)] = unmatched.pop(id_of(other)), how

    for row in new:
        if (was := stated.get(id_of(row))) is not None:
            take(row, by_number.get(was), "stated")
    for row in new:
        same_class = by_class.get(row.class_)
        take(row, same_class if same_class is not None and id_of(same_class) == id_of(row) else None, "same")
    for row in new:
        take(row, by_class.get(row.class_), "class")
    for row in new:
        if id_of(row) not in stated:
            take(row, unmatched.get(id_of(row)), "id")
    there = [Pair(*matches[id_of(row)], row) if id_of(row) in matches else Pair(None, "only", row) for row in new]
    return (*there, *(Pair(row, "only", None) for row in old if id_of(row) in unmatched))


AnyPair = Pair[Named] | Pair[PurposeRow] | Pair[FamilyRow]

KINDS: Mapping[type, str] = {SourceRow: "source", Overlay: "overlay", Derivation: "derivation", PurposeRow: "purpose"}
"""Model → the kind of its rows. Any other row is a family."""


def kind_of(pair: AnyPair) -> str:
    """Return the kind of a term: `source`, `purpose` and so on."""
    return KINDS.get(type(pair.row), "family")
