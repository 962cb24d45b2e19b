"""Plans of Spark as Python sees them: the analysed plan of a frame, read from the JSON that Spark writes of it.

A field that Spark cannot write is null; a field that is missing was empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pyspark.sql import DataFrame
from typing_extensions import TypeIs

from purposeguard.adapters.tags import KEY
from purposeguard.errors import UnresolvedStatement

try:
    from pyspark.sql.classic.dataframe import DataFrame as ClassicFrame
except ModuleNotFoundError as _error:
    # `pyspark-client` and `databricks-connect` bring Spark Connect alone, whose frames are refused one by one.
    if not (_error.name or "").startswith(("pyspark.sql.classic", "py4j")):
        raise
    _classic_frames: tuple[type[DataFrame], ...] = ()
else:
    _classic_frames = (ClassicFrame,)


def is_classic(frame: object) -> TypeIs[DataFrame]:
    """Return True for a frame of a classic session, whose plan can be read."""
    return isinstance(frame, _classic_frames)


Key = tuple[int, str]
"""An attribute: the number of its expression, and the JVM that numbered it."""

Listing = Sequence[Mapping[str, Any]]
"""A tree as it is written: its nodes in preorder, each with the number of its children."""

CONNECT = (
    "a frame of Spark Connect shows no plan, so it cannot be told what it reads: check it where the session is a "
    "classic one, in the driver"
)


_ANONYMOUS: Final = ""
"""What a relation without a name is called."""


def words(text: str) -> frozenset[str]:
    """Return the words of a text: names of classes and methods, of which there are many."""
    return frozenset(text.split())


class PlanNode:
    """One operator of a plan; `name` is its class without the package, `alias` the nearest name above a relation."""

    __slots__ = ("alias", "children", "fields", "name")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self.name: str = str(fields["class"]).rpartition(".")[2]
        self.alias = _ANONYMOUS
        self.children: list[PlanNode] = []

    def expressions(self, field: str) -> list[Listing] | None:
        """The expressions in a field, also in nested lists; empty if missing, None if Spark could not write it."""
        if field not in self.fields:
            return []
        return _listings(self.fields[field])


def read_plan(text: str) -> PlanNode:
    """Return the tree of a plan, written as JSON."""
    return tree_of(json.loads(text))


def tree_of(listing: Listing) -> PlanNode:
    """Return the tree that a listing writes.

    Raises:
        UnresolvedStatement: it writes none, so Spark writes plans in another way than is known here.
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
    return ".".join([*(word for word in _words(identifier.get("qualifier")) if word not in _USUAL), name])


_USUAL: Final = frozenset({"", "spark_catalog", "default"})


def _words(qualifier: object) -> list[str]:
    """A qualifier is written `[a, b]`, or as a list."""
    if isinstance(qualifier, str):
        return [word.strip() for word in qualifier.strip("[]").split(",")]
    return [str(word) for word in qualifier] if isinstance(qualifier, list) else []


def _listings(value: object) -> list[Listing] | None:
    if not isinstance(value, list):
        return None
    if value and isinstance(value[0], dict) and "class" in value[0]:  # a tree that is written out
        return [value]
    listings: list[Listing] = []
    for item in value:
        inner = _listings(item)
        if inner is None:
            return None
        listings += inner
    return listings


def key_of(fields: Mapping[str, Any]) -> Key:
    """Return the attribute that a node refers to, or defines."""
    written = fields["exprId"]
    return int(written["id"]), str(written["jvmId"])


def outputs_of(node: PlanNode) -> list[tuple[Key, str]] | None:
    """Return the attributes, with their names, that a node says it gives, in order; None if it does not state them."""
    columns = node.expressions("output") if "output" in node.fields else None
    if columns is None or not all(len(column) == 1 and "exprId" in column[0] for column in columns):
        return None
    return [(key_of(column), str(column.get("name", ""))) for (column,) in columns]


def short(fields: Mapping[str, Any]) -> str:
    """Return the class of an expression, without its package."""
    return str(fields["class"]).rpartition(".")[2]


def is_plan(listing: Listing) -> bool:
    """Return True if a tree within an expression is a plan."""
    name = str(listing[0]["class"])
    return ".plans.logical." in name or ".execution." in name or name.endswith("PipeOperator")


def iter_inner_trees(fields: Mapping[str, Any]) -> Iterator[Listing]:
    """Yield the trees that stand in fields of an expression, and are not its children."""
    for value in fields.values():
        yield from _listings(value) or ()


# ---- frames and the relations below them ---------------------------------------------------------------------------


def classic(frame: object) -> DataFrame:
    """Return the frame, which shows its plan.

    Raises:
        TypeError: it is no frame of Spark.
        UnresolvedStatement: it is one of Spark Connect.
    """
    if is_classic(frame):
        return frame
    if isinstance(frame, DataFrame):
        raise UnresolvedStatement(CONNECT)
    raise TypeError(f"a frame is a DataFrame of Spark, not {type(frame).__name__}")


def is_checkpoint(node: PlanNode) -> bool:
    """Return True if a relation holds what a plan gave before.

    Its columns have the ids that they had in that plan, and bear what that plan said of itself; of what decided which
    rows there are nothing is left. So they bear no tag, but those that `Spark.checkpointed` marks the columns with.
    """
    return node.name == "LogicalRDD" and (bool(node.fields.get("fromCheckpoint")) or "originStats" in node.fields)


def borne(plan: Any) -> Iterator[tuple[Key, str | None]]:
    """Yield the columns of all relations of a plan, in the queries within it too, with what is under our key.

    The JSON of a plan leaves metadata out, so that each relation is asked for its schema.
    """
    for part in (plan, *_each(plan.subqueriesAll())):
        for leaf in _each(part.collectLeaves()):
            node = read_plan(str(leaf.toJSON()))
            columns = outputs_of(node)
            if columns is None or is_checkpoint(node):
                continue
            fields = json.loads(str(leaf.schema().json()))["fields"]
            if [field["name"] for field in fields] != [name for _, name in columns]:
                raise UnresolvedStatement(f"a relation of the plan, a {node.name}, tells two schemas of itself")
            for (key, _), field in zip(columns, fields, strict=True):
                yield key, _text(field.get("metadata", {}).get(KEY))


def _text(value: object) -> str | None:
    """What is under the key: what is no text is no tag, and is read as one that is broken."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _each(sequence: Any) -> Iterator[Any]:
    for number in range(int(sequence.size())):
        yield sequence.apply(number)
