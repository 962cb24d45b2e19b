"""Tags of Spark's columns: tags of relations, and tags of frames derived from their lineage."""

from __future__ import annotations

import datetime
import decimal
import functools
import types as builtin_types
from collections.abc import Mapping
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pyspark.sql import types as T  # noqa: N812  # as everybody calls it
from typing_extensions import get_type_hints

from purposeguard.adapters.enforcement import Decider, label_in, require_covering
from purposeguard.adapters.spark.lineage import Atom, SparkFlow, SparkRelation
from purposeguard.adapters.spark.memory import SparkMemory
from purposeguard.adapters.spark.operators import TracedPlan
from purposeguard.adapters.tags import KEY, NOT_PERSONAL, Columns, Revisions, Tag, decode, encode
from purposeguard.errors import UnlabelledData
from purposeguard.values.markers import RowSource

_MAX_CACHED_TAGS: Final = 10_000


class TagReader:
    """A reader of tags. Threads may share it."""

    def __init__(self, decider: Decider, memory: SparkMemory) -> None:
        self._decider = decider
        self._memory = memory
        self._decode = functools.lru_cache(_MAX_CACHED_TAGS)(decode)

    def of_frame(self, plan: TracedPlan, sources: frozenset[int]) -> Columns:
        """Return the tags of a frame's columns, which cover their values and what decides the frame's rows.

        Args:
            plan: The traced plan of the frame.
            sources: The relations whose row source is in the frame, so that their `ByRow` columns stay `ByRow`.
        """
        tags: dict[str, Tag] = {}
        for (name, _), tag in zip(plan.outputs, self.in_order(plan, sources), strict=True):
            tags[name] = _join_tags(tags[name], tag) if name in tags else tag
        return Columns(tags)

    def in_order(self, plan: TracedPlan, sources: frozenset[int]) -> list[Tag]:
        """Return the tags that `of_frame` returns, but by position, because columns may share a name."""
        tags: dict[SparkFlow, Tag] = {}  # opaque columns share one flow
        choice = self.of_flow(plan, SparkFlow(plan.decides), sources)
        for _, flow in plan.outputs:
            if flow not in tags:
                tags[flow] = _add_choice(self.of_flow(plan, flow, sources), choice)
        return [tags[flow] for _, flow in plan.outputs]

    def of_relation(self, relation: SparkRelation) -> Columns:
        """Return the tags of the columns of a relation, and declare them to the decider."""
        tags: dict[str, Tag] = {}
        for name, tag in zip(relation.names, relation.tags, strict=True):
            if tag is not None:
                tags[name] = self._decode_tag(tag, f"{relation.name}.{name}" if relation.name else name)
        columns = Columns(tags)
        self._decider.declare({relation.name: columns})
        return columns

    def _decode_tag(self, tag: object, column: str) -> Tag:
        return tag if isinstance(tag, Tag) else self._decode(str(tag), self._decider.revisions, column)

    def of_flow(self, plan: TracedPlan, flow: SparkFlow, sources: frozenset[int]) -> Tag:
        """Return the tag of a column from its flow. See `of_frame` for `sources`."""
        if flow.same is not None:
            tag = self._read_tag(plan, flow.same)
            if len(flow.atoms) == 1 and (not tag.by_row or not flow.same.kept or flow.same.relation in sources):
                return tag
        label, by_row = NOT_PERSONAL, False
        for atom in flow.atoms:
            tag = self._read_tag(plan, atom)
            record = self._memory.get_kept_rule(atom.kept)
            label |= label_in(record.rule if record is not None else None, tag)
            by_row |= tag.by_row and record is None
        mark = None if flow.same is None else self._read_tag(plan, flow.same).mark
        if mark is RowSource and label is not NOT_PERSONAL:
            mark = None
        return Tag(label, by_row=by_row, mark=mark)

    def _read_tag(self, plan: TracedPlan, atom: Atom) -> Tag:
        """Return the tag of the column that an atom stands for. Raise UnlabelledData if it has none."""
        relation = plan.relations[atom.relation]
        name = relation.names[atom.column]
        tag = relation.tags[atom.column]
        if tag is None:
            self._decider.demand({relation.name: (Columns({}), (name,))})  # raises UnlabelledData with a remedy
        return self._decode_tag(tag, name)

    def sources_within(self, plan: TracedPlan) -> frozenset[int]:
        """Return the relations whose row source the frame contains unchanged."""
        relations: set[int] = set()
        for _, flow in plan.outputs:
            atom = flow.same
            if atom is not None and plan.is_tagged(atom) and self._read_tag(plan, atom).mark is RowSource:
                relations.add(atom.relation)
        return frozenset(relations)


def _join_tags(first: Tag, second: Tag) -> Tag:
    """Join the tags of two columns that share a name, which may mean either."""
    if first == second:
        return first
    return Tag(first.label | second.label, by_row=first.by_row or second.by_row)


def _add_choice(tag: Tag, choice: Tag) -> Tag:
    """Add to a column's tag the tag of what chose the rows, because the existence of a row reveals that.

    The row source is unchanged, because it depends only on the row itself.
    """
    if tag.mark is RowSource or not choice.is_personal:
        return tag
    return Tag(tag.label | choice.label, by_row=tag.by_row or choice.by_row, mark=tag.mark)


def require_covered(target: str, column: str, incoming: Tag, existing: Tag) -> None:
    """Check that the tag of a column covers what flows into it.

    Args:
        target: The name of the frame or table, for messages.
        column: The column.
        incoming: The tag of the values that flow in.
        existing: The tag of the column that receives them.

    Raises:
        FlowViolation: the tag lacks a source.
        UnlabelledData: the rows that flow in name their own sources, and the tag is not `ByRow`.
    """
    require_covering(target, column, existing.label, incoming.label)
    if incoming.by_row and not existing.by_row:
        raise UnlabelledData(
            f"what flows into `{target}.{column}` was collected under the source that its row names: tag the column "
            "`ByRow`, and let the row source flow along"
        )


# ---- schemas ---------------------------------------------------------------------------------------------------------

_TYPES: Final[Mapping[object, T.DataType]] = {
    bool: T.BooleanType(),
    int: T.LongType(),
    float: T.DoubleType(),
    str: T.StringType(),
    bytes: T.BinaryType(),
    datetime.date: T.DateType(),
    datetime.datetime: T.TimestampType(),
    decimal.Decimal: T.DecimalType(38, 18),
}


def schema_with(
    columns: Columns, columns_or_class: object, types: Mapping[str, Any] | None, revisions: Revisions
) -> T.StructType:
    """Return a schema whose columns have these tags. Types come from `types`, or from the annotations of a class.

    Raises:
        TypeError: the type of a column is missing, or Spark has none for it.
    """
    hints = get_type_hints(columns_or_class, include_extras=True) if isinstance(columns_or_class, type) else {}
    fields: list[T.StructField] = []
    parsed_types: dict[str, T.DataType] = {}  # each text is parsed once
    for name, tag in columns.items():
        stated_type = (types or {}).get(name)
        type_, nullable = (stated_type, True) if stated_type is not None else _type_of(hints.get(name))
        if isinstance(type_, str):
            if type_ not in parsed_types:
                parsed_types[type_] = T.DataType.fromDDL(type_)
            type_ = parsed_types[type_]
        if not isinstance(type_, T.DataType):
            raise TypeError(f"nothing says of which type `{name}` is: give it, `types={{'{name}': 'string'}}`")
        fields.append(T.StructField(name, type_, nullable, {KEY: encode(tag, revisions)}))
    return T.StructType(fields)


def _type_of(hint: object) -> tuple[T.DataType | None, bool]:
    """Return the Spark type of an annotation, or None if there is none, and True if the value may be null."""
    if get_origin(hint) is Annotated:
        return _type_of(get_args(hint)[0])
    if get_origin(hint) in {Union, builtin_types.UnionType}:
        parts = [part for part in get_args(hint) if part is not type(None)]
        return (_type_of(parts[0])[0], True) if len(parts) == 1 else (None, True)
    if get_origin(hint) is list:
        inner, nullable = _type_of(get_args(hint)[0])
        return (None if inner is None else T.ArrayType(inner, nullable)), False
    return _TYPES.get(hint), False
