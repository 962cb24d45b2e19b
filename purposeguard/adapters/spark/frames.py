"""Frames of Spark: the plan behind one, and what the relations below it bear."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.classic.dataframe import DataFrame as ClassicFrame

from purposeguard.adapters.spark.lineage import Atom, Flow, Relation, Scope
from purposeguard.adapters.spark.memory import Rows, SparkMemory, is_checkpoint
from purposeguard.adapters.spark.plan import Key, Listing, Node, output_of, read_plan
from purposeguard.adapters.spark.plan import key_of as attribute_of
from purposeguard.adapters.spark.tracing import Tracer
from purposeguard.adapters.tags import KEY
from purposeguard.errors import UnresolvedStatement

CONNECT = (
    "a frame of Spark Connect shows no plan, so it cannot be told what it reads: check it where the session is a "
    "classic one, in the driver"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Traced:
    """What a frame reads: its columns with what each comes from, what decides of its rows, and the relations below."""

    outputs: tuple[tuple[str, Flow], ...]
    decides: frozenset[Atom]
    relations: tuple[Relation, ...]

    @property
    def used(self) -> frozenset[Atom]:
        """Every column that can make a difference to what the frame gives."""
        return self.decides.union(*{flow.atoms for _, flow in self.outputs})

    def name_of(self, atom: Atom) -> str:
        """The name of a relation's column."""
        return self.relations[atom.relation].names[atom.column]


def classic(frame: object) -> DataFrame:
    """The frame, which shows its plan.

    Raises:
        TypeError: it is no frame of Spark.
        UnresolvedStatement: it is one of Spark Connect.
    """
    if isinstance(frame, ClassicFrame):
        return frame
    if isinstance(frame, DataFrame):
        raise UnresolvedStatement(CONNECT)
    raise TypeError(f"a frame is a DataFrame of Spark, not {type(frame).__name__}")


def traced(frame: DataFrame, memory: SparkMemory) -> Traced:
    """What a frame reads, by its analysed plan. Nothing is run.

    Raises:
        UnresolvedStatement: the plan does not tell.
    """
    java: Any = frame._jdf
    plan = java.queryExecution().analyzed()
    tracer = Tracer(_Asking(memory, plan))
    out = tracer.trace(read_plan(str(plan.toJSON())))
    names = frame.columns
    flows = out.at()
    if flows is None or len(flows) != len(names):
        flows = [Flow(out.all())] * len(names)
    return Traced(tuple(zip(names, flows, strict=True)), frozenset(tracer.decides), tuple(tracer.relations))


class _Asking:
    """A memory that asks Spark, once, where it does not know the relations of a plan."""

    def __init__(self, memory: SparkMemory, plan: Any) -> None:
        self._memory = memory
        self._plan = plan
        self._asked = False
        self._rows: dict[tuple[Key, ...], set[Rows]] | None = None

    def bears(self, key: Key, node: Node) -> object:
        if is_checkpoint(node):
            return self._of_checkpoint(key, node)
        if not self._asked and not self._memory.knows(node, (key,)):
            self._asked = True
            self._memory.learn(borne(self._plan))
        return self._memory.bears(key, node)

    def _of_checkpoint(self, key: Key, node: Node) -> object:
        """The tag of a column behind a checkpoint, by the rows that it holds; None where nothing was said of these."""
        if self._rows is None:
            self._rows = {}
            for columns, rows in checkpoints(self._plan):
                self._rows.setdefault(columns, set()).add(rows)
        keys = _keys(node)
        # Several that were made of columns with the same ids are not told apart in what Spark writes of a plan.
        said = {self._memory.settled(rows) for rows in self._rows.get(keys, ())}
        tags = said.pop() if len(said) == 1 else None
        return None if tags is None or len(tags) != len(keys) else tags[keys.index(key)]

    def told(self, listing: Listing) -> tuple[str, object] | None:
        return self._memory.told(listing)

    def kept(self, condition: Listing, scope: Scope, relations: Sequence[Relation]) -> tuple[int, int] | None:
        return self._memory.kept(condition, scope, relations)


def borne(plan: Any) -> Iterator[tuple[Key, str | None]]:
    """The columns of all relations of a plan, in the queries within it too, with what is under our key.

    The JSON of a plan leaves metadata out, so that each relation is asked for its schema.
    """
    for part in (plan, *_each(plan.subqueriesAll())):
        for leaf in _each(part.collectLeaves()):
            node = read_plan(str(leaf.toJSON()))
            columns = output_of(node)
            if columns is None or is_checkpoint(node):
                continue
            fields = json.loads(str(leaf.schema().json()))["fields"]
            if [one["name"] for one in fields] != [one["name"] for one in columns]:
                raise UnresolvedStatement(f"a relation of the plan, a {node.name}, tells two schemas of itself")
            for column, field in zip(columns, fields, strict=True):
                yield attribute_of(column), _text(field.get("metadata", {}).get(KEY))


def checkpoints(plan: Any) -> Iterator[tuple[tuple[Key, ...], Rows]]:
    """The checkpoints that a plan reads: the ids of their columns, and the rows that they hold."""
    for part in (plan, *_each(plan.subqueriesAll())):
        for leaf in _each(part.collectLeaves()):
            node = read_plan(str(leaf.toJSON()))
            if is_checkpoint(node):
                held = leaf.rdd()
                yield _keys(node), (str(held.sparkContext().applicationId()), int(held.id()))


def _keys(node: Node) -> tuple[Key, ...]:
    return tuple(attribute_of(one) for one in output_of(node) or ())


def _text(value: object) -> str | None:
    """What is under the key: what is no text is no tag, and is read as one that is broken."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _each(sequence: Any) -> Iterator[Any]:
    for number in range(int(sequence.size())):
        yield sequence.apply(number)
