"""Tags of Spark's columns: as relations bear them, and as frames have them by what their columns come from."""

from __future__ import annotations

from typing import Final

import cachetools

from purposeguard.adapters.deciding import Decider, label_in
from purposeguard.adapters.spark.frames import Traced
from purposeguard.adapters.spark.lineage import Atom, Flow, Relation
from purposeguard.adapters.spark.memory import SparkMemory
from purposeguard.adapters.tags import NOT_PERSONAL, Columns, Tag, decode
from purposeguard.locks import new_lock
from purposeguard.values.markers import RowSource

_TAGS_KEPT: Final = 10_000


class TagReader:
    """Reads tags. From any thread."""

    def __init__(self, decider: Decider, memory: SparkMemory) -> None:
        self._decider = decider
        self._memory = memory
        self._read: cachetools.LRUCache[tuple[object, str], Tag] = cachetools.LRUCache(_TAGS_KEPT)
        self._lock = new_lock()

    def of_frame(self, found: Traced, sources: frozenset[int]) -> Columns:
        """The tags of a frame's columns: of what their values come from, and of what decides which rows there are.

        `sources` are the relations whose row source goes along: their columns by row stay so.
        """
        tags: dict[str, Tag] = {}
        for (name, _), tag in zip(found.outputs, self.in_order(found, sources), strict=True):
            tags[name] = _either(tags[name], tag) if name in tags else tag
        return Columns(tags)

    def in_order(self, found: Traced, sources: frozenset[int]) -> list[Tag]:
        """The same by the places of the columns, of which several may have one name."""
        tags: dict[Flow, Tag] = {}  # a column that is opaque has what all others have
        chosen = self.of_flow(found, Flow(found.decides), sources)
        for _, flow in found.outputs:
            if flow not in tags:
                tags[flow] = _chosen_by(self.of_flow(found, flow, sources), chosen)
        return [tags[flow] for _, flow in found.outputs]

    def of_relation(self, relation: Relation) -> Columns:
        """The tags that the columns of a relation bear."""
        return Columns(
            {
                name: self._tag(bears, f"{relation.name}.{name}" if relation.name else name)
                for name, bears in zip(relation.names, relation.bears, strict=True)
                if bears is not None
            }
        )

    def _tag(self, bears: object, column: str) -> Tag:
        if isinstance(bears, Tag):
            return bears
        text, revisions = str(bears), self._decider.revisions
        with self._lock:
            tag = self._read.get((revisions, text))
        if tag is None:
            tag = decode(text, revisions, column)
            with self._lock:
                self._read[revisions, text] = tag
        return tag

    def of_flow(self, found: Traced, flow: Flow, sources: frozenset[int]) -> Tag:
        """The tag of a column by what it comes from; `sources` are the relations whose row source is there as well."""
        if flow.same is not None:
            tag = self._own(found, flow.same)
            if len(flow.atoms) == 1 and (not tag.by_row or not flow.same.kept or flow.same.relation in sources):
                return tag
        label, by_row = NOT_PERSONAL, False
        for atom in flow.atoms:
            tag = self._own(found, atom)
            kept = self._memory.numbered(atom.kept) if atom.kept else None
            label |= label_in(kept.rule if kept is not None else None, tag)
            by_row |= tag.by_row and kept is None
        mark = None if flow.same is None else self._own(found, flow.same).mark
        return Tag(label, by_row=by_row, mark=None if mark is RowSource and label is not NOT_PERSONAL else mark)

    def _own(self, found: Traced, atom: Atom) -> Tag:
        relation = found.relations[atom.relation]
        name = relation.names[atom.column]
        bears = relation.bears[atom.column]
        if bears is None:
            self._decider.demand({relation.name: (Columns({}), (name,))})  # raises, and says what to do
        return self._tag(bears, name)

    def sources_within(self, found: Traced) -> frozenset[int]:
        """The relations whose column that names the source of each row is there unchanged."""
        return frozenset(
            flow.same.relation
            for _, flow in found.outputs
            if flow.same is not None
            and found.relations[flow.same.relation].bears[flow.same.column] is not None
            and self._own(found, flow.same).mark is RowSource
        )


def _either(one: Tag, other: Tag) -> Tag:
    """The tag of what is one of two columns: nobody can tell which."""
    if one == other:
        return one
    return Tag(one.label | other.label, by_row=one.by_row or other.by_row)


def _chosen_by(tag: Tag, chosen: Tag) -> Tag:
    """The tag of a column in rows that something chose: that a row is there tells of what chose it.

    Which source a row has is told by the row alone.
    """
    if tag.mark is RowSource or not chosen.is_personal:
        return tag
    return Tag(tag.label | chosen.label, by_row=tag.by_row or chosen.by_row, mark=tag.mark)
