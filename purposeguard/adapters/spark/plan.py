"""Spark plans in Python: the analysed plan of a frame, parsed from the JSON that Spark writes.

A field that Spark cannot write is null. A field that is missing was empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from pyspark.sql import DataFrame
from typing_extensions import TypeIs

from purposeguard.adapters.tags import KEY
from purposeguard.errors import UnresolvedStatement

try:
    from pyspark.sql.classic.dataframe import DataFrame as ClassicFrame
except ModuleNotFoundError as _error:
    # `pyspark-client` and `databricks-connect` contain only Spark Connect, whose frames are refused when they are used.
    if not (_error.name or "").startswith(("pyspark.sql.classic", "py4j")):
        raise
    _classic_frames: tuple[type[DataFrame], ...] = ()
else:
    _classic_frames = (ClassicFrame,)


def is_classic(frame: object) -> TypeIs[DataFrame]:
    """Return True if a frame belongs to a classic session, so that its plan can be read."""
    return isinstance(frame, _classic_frames)


Key = tuple[int, str]
"""The key of an attribute: the number of its expression, and the id of the JVM that numbered it."""

Listing = Sequence[Mapping[str, Any]]
"""A serialized tree: its nodes in preorder, each with the number of its children."""

CONNECT = (
    "a frame of Spark Connect shows no plan, so it cannot be told what it reads: check it where the session is a "
    "classic one, in the driver"
)


_ANONYMOUS: Final = ""
"""The name of a relation that has none."""


def words(text: str) -> frozenset[str]:
    """Return the set of words in a text. Used for long lists of class and method names."""
    return frozenset(text.split())


class PlanNode:
    """An operator of a plan.

    `name` is its class without the package. `alias` is the name of the nearest subquery alias above it, if any.
    """

    __slots__ = ("alias", "children", "fields", "name")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self.name: str = str(fields["class"]).rpartition(".")[2]
        self.alias = _ANONYMOUS
        self.children: list[PlanNode] = []

    def expressions(self, field: str) -> list[Listing] | None:
        """Return all expressions in a field, which are none if it is missing, or None if Spark could not write it."""
        if field not in self.fields:
            return []
        return _listings(self.fields[field])


def read_plan(text: str) -> PlanNode:
    """Parse the JSON of a plan into a tree."""
    return tree_of(json.loads(text))


def tree_of(listing: Listing) -> PlanNode:
    """Build the tree of a listing.

    Raises:
        UnresolvedStatement: the listing is not a tree, so this release of Spark writes plans in an unknown way.
    """
    above: list[tuple[PlanNode, int]] = []
    root: PlanNode | None = None
    for fields in listing:
        node = PlanNode(fields)
        if above:
            parent, missing = above.pop()
            parent.children.append(node)
            node.alias = _alias_of(parent)
            if missing > 1:
                above.append((parent, missing - 1))
        elif root is None:
            root = node
        else:
            root = None
            break
        count = int(fields["num-children"])
        if count:
            above.append((node, count))
    if root is None or above:
        raise UnresolvedStatement("the plan of the frame is written in a way that is not known here")
    return root


def _alias_of(node: PlanNode) -> str:
    if node.name != "SubqueryAlias":
        return node.alias if len(node.children) == 1 else _ANONYMOUS
    identifier = node.fields.get("identifier")
    if not isinstance(identifier, Mapping):
        return node.alias
    name = str(identifier.get("name", _ANONYMOUS))
    if name == "__auto_generated_subquery_name":
        return node.alias
    qualifier = filter(_is_telling, _split_qualifier(identifier.get("qualifier")))
    return ".".join([*qualifier, name])


def _is_telling(word: str) -> bool:
    """Return True unless a word of a qualifier is empty or the name of Spark's own catalog or database."""
    return word not in {"", "spark_catalog", "default"}


def _split_qualifier(qualifier: object) -> list[str]:
    """Split a qualifier into words. Spark writes it as `[a, b]` or as a list."""
    if isinstance(qualifier, str):
        return list(map(str.strip, qualifier.strip("[]").split(",")))
    return list(map(str, qualifier)) if isinstance(qualifier, list) else []


def _listings(value: object) -> list[Listing] | None:
    if not isinstance(value, list):
        return None
    if value and isinstance(value[0], dict) and "class" in value[0]:  # a single tree
        return [value]
    listings: list[Listing] = []
    for item in value:
        inner = _listings(item)
        if inner is None:
            return None
        listings += inner
    return listings


def key_of(fields: Mapping[str, Any]) -> Key:
    """Return the key of the attribute that an expression refers to or defines."""
    written = fields["exprId"]
    return int(written["id"]), str(written["jvmId"])


def outputs_of(node: PlanNode) -> list[tuple[Key, str]] | None:
    """Return the keys and names of the attributes that a node outputs, in order, or None if it lists none."""
    columns = node.expressions("output") if "output" in node.fields else None
    if columns is None:
        return None
    outputs: list[tuple[Key, str]] = []
    for column in columns:
        if len(column) != 1 or "exprId" not in column[0]:
            return None
        outputs.append((key_of(column[0]), str(column[0].get("name", ""))))
    return outputs


def short(fields: Mapping[str, Any]) -> str:
    """Return the class name of an expression without its package."""
    return str(fields["class"]).rpartition(".")[2]


def is_plan(listing: Listing) -> bool:
    """Return True if a tree inside an expression is a plan."""
    name = str(listing[0]["class"])
    return ".plans.logical." in name or ".execution." in name or name.endswith("PipeOperator")


def iter_inner_trees(fields: Mapping[str, Any]) -> Iterator[Listing]:
    """Yield the trees in the fields of an expression, which are not among its children."""
    for value in fields.values():
        yield from _listings(value) or ()


# ---- frames and the relations below them ---------------------------------------------------------------------------


def classic(frame: object) -> DataFrame:
    """Return the frame unchanged if its plan can be read.

    Raises:
        TypeError: `frame` is not a Spark frame.
        UnresolvedStatement: the frame belongs to Spark Connect.
    """
    if is_classic(frame):
        return frame
    if isinstance(frame, DataFrame):
        raise UnresolvedStatement(CONNECT)
    raise TypeError(f"a frame is a DataFrame of Spark, not {type(frame).__name__}")


def is_checkpoint(node: PlanNode) -> bool:
    """Return True if a relation is a checkpoint, which holds the result of an earlier plan.

    Its columns keep the ids and metadata from that plan, but nothing tells which columns decided its rows. So only the
    tags count that `Spark.checkpointed` adds.
    """
    return node.name == "LogicalRDD" and (bool(node.fields.get("fromCheckpoint")) or "originStats" in node.fields)


def iter_column_tags(plan: Any) -> Iterator[tuple[Key, str | None]]:
    """Yield the columns of all relations in a plan and its subqueries, each with its encoded tag or None.

    The JSON of a plan omits metadata, so each relation is asked for its schema.
    """
    for part in (plan, *_iter_sequence(plan.subqueriesAll())):
        for leaf in _iter_sequence(part.collectLeaves()):
            node = read_plan(str(leaf.toJSON()))
            columns = outputs_of(node)
            if columns is None or is_checkpoint(node):
                continue
            fields = json.loads(str(leaf.schema().json()))["fields"]
            if list(map(itemgetter("name"), fields)) != list(map(itemgetter(1), columns)):
                raise UnresolvedStatement(f"a relation of the plan, a {node.name}, tells two schemas of itself")
            for (key, _), field in zip(columns, fields, strict=True):
                yield key, _metadata_text(field.get("metadata", {}).get(KEY))


def _metadata_text(value: object) -> str | None:
    """Return the metadata value as text. A value of another type becomes JSON, which decoding refuses as a tag."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _iter_sequence(sequence: Any) -> Iterator[Any]:
    """Yield the items of a Scala sequence."""
    for number in range(int(sequence.size())):
        yield sequence.apply(number)
