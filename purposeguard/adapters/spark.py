"""Spark: frames and queries held to a notice, by their analysed plans, before an action runs.

Tags are metadata of the columns of relations, under the key `purposeguard`. Expressions lose metadata, and an alias may
bear any that it likes: so a frame's plan is followed down to the relations, whose columns alone count. Only the driver
is asked; which rows may be used is a condition that the executors run.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import cachetools
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # as everybody calls it

from purposeguard.adapters._spark_frames import Traced, classic, traced
from purposeguard.adapters._spark_guarded import GuardedFrame
from purposeguard.adapters._spark_lineage import Atom, Flow, Relation
from purposeguard.adapters._spark_memory import Kept, SparkMemory, new_token
from purposeguard.adapters._spark_statements import parsed_query
from purposeguard.adapters._spark_words import Roll, SparkWords, are_told_apart, quoted
from purposeguard.adapters._spark_writing import covered, existing, in_order, schema_with
from purposeguard.adapters.deciding import Decider, Demand, label_in
from purposeguard.adapters.rowrule import RowRule
from purposeguard.adapters.tags import KEY, NOT_PERSONAL, Columns, Tag, columns_of, decode, encode
from purposeguard.decision import Decision
from purposeguard.errors import UnlabelledData
from purposeguard.guard import Guard
from purposeguard.marks import RowSource
from purposeguard.use import Use

_TAGS_KEPT: Final = 10_000
_WHAT: Final = "a Spark frame was read"


_OfRows = tuple[str, Columns, frozenset[str], Kept]
"""Of a relation whose rows were kept: its name, its tags, which columns are used, and the rule."""


class _Asked:
    """What a frame asks for, worked out once: of which relations which columns, by which row rules."""

    __slots__ = ("demand", "kept", "traced")

    def __init__(
        self, found: Traced, demand: Demand, kept: Sequence[tuple[str, Columns, frozenset[str], Kept]]
    ) -> None:
        self.traced = found
        self.demand = demand
        self.kept = kept


class Spark:
    """`Spark(guard)`: checks frames, withholds their columns, keeps the rows that may be used, and writes tags.

    What it has made (`permitted`, `tagged`) it knows again in plans; another `Spark` does not.
    """

    def __init__(self, guard: Guard) -> None:
        self._decider: Final = Decider(guard)
        self._memory: Final = SparkMemory()
        self._roll: Final = Roll()
        self._asked: weakref.WeakKeyDictionary[DataFrame, tuple[object, _Asked]] = weakref.WeakKeyDictionary()
        self._tags: cachetools.LRUCache[tuple[object, str], Tag] = cachetools.LRUCache(_TAGS_KEPT)
        self._lock = threading.RLock()  # of both

    # ---- whether a frame may be read ---------------------------------------------------------------------------------

    def check(self, frame: DataFrame) -> None:
        """Nothing where the use that is under way may use every column that the frame's result depends on.

        Raises:
            PurposeMissing: no purpose is under way.
            PurposeViolation: it may not use one of them; `field` names it.
            UnlabelledData: one carries no tag; or rows say whose they are, or under which source they were collected,
                and those that may be used were not kept by `permitted` (or were kept for another purpose).
            UnknownSource: a tag is of another notice.
            UnresolvedStatement: the plan does not tell what is read, or is not shown (Spark Connect).
        """
        asked = self._of(classic(frame))
        rules: dict[str, RowRule | None] = {}
        if asked.kept:
            use = self._decider.engine.present(_WHAT)
            if use is not None and not use.activity.observing:
                for name, columns, names, kept in asked.kept:
                    self._still(use, name, columns, names, kept)
                    rules[name] = kept.rule
        self._decider.meet(asked.demand, _WHAT, rules)

    def columns(self, frame: DataFrame) -> Columns:
        """The tags of a frame's columns, by what they come from; of rows that were kept, with what they may come from.

        Raises:
            UnlabelledData: one comes from a column that carries no tag.
            UnknownSource, UnresolvedStatement: as `check`.
        """
        return self._columns_of(traced(classic(frame), self._memory), frozenset())

    def _columns_of(self, found: Traced, sources: frozenset[int]) -> Columns:
        """`sources` are the relations whose row source goes along: their columns by row stay so."""
        tags: dict[Flow, Tag] = {}  # a column that is opaque has what all others have
        for _, flow in found.outputs:
            if flow not in tags:
                tags[flow] = self._tag_of(found, flow, sources)
        return Columns({name: tags[flow] for name, flow in found.outputs})

    def _of(self, frame: DataFrame) -> _Asked:
        revisions = self._decider.revisions
        with self._lock:
            known = self._asked.get(frame)
        if known is not None and known[0] is revisions:
            return known[1]
        found = traced(frame, self._memory)
        demands: list[Demand] = []
        kept: list[_OfRows] = []
        for (number, rule), names in _by_relation(found, found.used).items():
            relation = found.relations[number]
            columns = self._columns(relation)
            record = self._memory.numbered(rule) if rule else None
            narrowed = {relation.name} if record is not None else frozenset[str]()
            demands.append(self._decider.demand({relation.name: (columns, names)}, narrowed))
            if record is not None:
                kept.append((relation.name, columns, frozenset(names), record))
        fields = [one for demand in demands for one in demand.fields]
        rows = [one for demand in demands for one in demand.rows]
        asked = _Asked(found, Demand(fields, rows), kept)
        with self._lock:
            self._asked[frame] = (revisions, asked)
        return asked

    def _still(self, use: Use[Any], name: str, columns: Columns, names: frozenset[str], kept: Kept) -> None:
        """Whether the rows that were kept are those that may be used now, by this use."""
        personal = {one for one in names if columns[one].is_personal}
        if personal and not (
            personal <= kept.names and self._decider.rule(use, columns, sorted(kept.names), name) == kept.rule
        ):
            what = f"the rows of `{name}`" if name else "the rows"
            raise UnlabelledData(
                f"{what} were kept for another purpose, for other columns, or as things stood before: keep them anew, "
                "with `permitted`"
            )

    # ---- tags --------------------------------------------------------------------------------------------------------

    def _columns(self, relation: Relation) -> Columns:
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
            tag = self._tags.get((revisions, text))
        if tag is None:
            tag = decode(text, revisions, column)
            with self._lock:
                self._tags[revisions, text] = tag
        return tag

    def _tag_of(self, found: Traced, flow: Flow, sources: frozenset[int]) -> Tag:
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

    def _sources_within(self, found: Traced) -> frozenset[int]:
        """The relations whose column that names the source of each row is there unchanged."""
        return frozenset(
            flow.same.relation
            for _, flow in found.outputs
            if flow.same is not None
            and found.relations[flow.same.relation].bears[flow.same.column] is not None
            and self._own(found, flow.same).mark is RowSource
        )

    def tagged(self, frame: DataFrame, tags: object) -> DataFrame:
        """The frame with tags on its columns: a tagged class, a mapping of names to sources, or `Columns`.

        Columns that it does not name stay as they are. What is known of a column already stays known: a tag adds to it.

        Raises:
            FlowViolation: the tag of a column lacks a source that it is known to come from.
            UnlabelledData: a column is not there, or is there twice.
            UnknownSource, TypeError: as `columns_of`.
        """
        frame = classic(frame)
        given = columns_of(self._decider.revisions, tags)
        names = frame.columns
        for name in given:
            if names.count(name) != 1:
                there = "there twice" if name in names else "not there"
                raise UnlabelledData(f"`{name}` is tagged and {there}: rename it first, or leave it out")
        found = traced(frame, self._memory)
        for name, flow in found.outputs:
            known = frozenset(one for one in flow.atoms if found.relations[one.relation].bears[one.column] is not None)
            if name in given and known:
                same = flow.same if flow.same in known else None
                covered(
                    "the frame", name, self._tag_of(found, Flow(known, same), self._sources_within(found)), given[name]
                )
        token = self._memory.tag({place: given[name] for place, name in enumerate(names) if name in given})
        return _selected(frame, {place: self._telling(token, place, given) for place in range(len(names))})

    def _telling(self, token: str, place: int, given: Columns) -> Callable[[Column, str], Column]:
        """What tells the tag of a column in the plan. Spark makes the column itself of it before it runs."""

        def told(column: Column, name: str) -> Column:
            if name not in given:
                return column.alias(name)
            text = f"{token}:{place}"
            return F.when(F.lit(text) == F.lit(text), column).alias(
                name, metadata={KEY: encode(given[name], self._decider.revisions)}
            )

        return told

    # ---- withholding and narrowing -------------------------------------------------------------------------------

    def withhold(self, frame: DataFrame) -> DataFrame:
        """The frame without the columns that come from what the use under way may not use.

        Raises:
            PurposeViolation: none would be left, or one of them decides which rows there are.
            PurposeMissing, UnlabelledData, UnknownSource, UnresolvedStatement: as `check`.
        """
        frame = classic(frame)
        use = self._decider.engine.present(_WHAT)
        if use is None or use.activity.observing:
            self.check(frame)
            return frame
        found = traced(frame, self._memory)
        denied = self._denied(use, found)
        first = next((one for one in sorted(found.decides) if one in denied), None)
        left = [place for place, (_, flow) in enumerate(found.outputs) if denied.keys().isdisjoint(flow.atoms)]
        if first is None and not left and found.outputs:
            first = min(denied)
        if first is not None:
            self._refuse(use, found, first, denied[first])
        if len(left) == len(found.outputs):
            return frame
        names = frame.columns
        if are_told_apart(names):
            gone = set(range(len(names))).difference(left)
            return frame.drop(*(name for place, name in enumerate(names) if place in gone))
        return _selected(frame, dict.fromkeys(left, Column.alias))

    def _denied(self, use: Use[Any], found: Traced) -> dict[Atom, Decision | None]:
        """The columns that a use may not use, with the reason; None for those that carry no tag."""
        denied: dict[Atom, Decision | None] = {}
        for (number, _), names in _by_relation(found, found.used).items():
            relation = found.relations[number]
            columns = self._columns(relation)
            alike: dict[Tag, str] = {}  # columns of one tag are decided alike
            for name in names:
                if name in columns:
                    alike.setdefault(columns[name], name)
            decided = self._decider.denied(use, columns, alike.values(), relation.name)
            refused: dict[str, Decision | None] = {
                name: decided[alike[columns[name]]] if name in columns else None
                for name in names
                if name not in columns or alike[columns[name]] in decided
            }
            places = {place: refused[name] for place, name in enumerate(relation.names) if name in refused}
            denied |= {one: places[one.column] for one in found.used if one.relation == number and one.column in places}
        return denied

    def _refuse(self, use: Use[Any], found: Traced, atom: Atom, decision: Decision | None) -> None:
        relation = found.relations[atom.relation]
        name = found.name_of(atom)
        if decision is None:
            self._decider.demand({relation.name: (Columns({}), (name,))})  # raises, and says what to do
        else:
            self._decider.engine.refuse(decision, use, field=f"{relation.name}.{name}" if relation.name else name)

    def permitted(self, frame: DataFrame, *, withhold: bool = False) -> DataFrame:
        """The frame with the rows alone that the use under way may use, by what they say of themselves.

        The condition is Spark's own, and runs where the rows are. It fails there where a row names no source, or one
        that means nothing. `withhold`: without the columns that may not be used, rather than refused for them.

        Raises:
            PurposeMissing, PurposeViolation, UnknownSource, UnresolvedStatement: as `check`.
            UnlabelledData: as `check`; or a column that says it of the rows is no more in the frame.
        """
        frame = classic(frame)
        if withhold:
            frame = self.withhold(frame)
        use = self._decider.engine.present(_WHAT)
        if use is not None and not use.activity.observing:
            frame = self._narrowed(use, frame)
        self.check(frame)
        return frame

    def _narrowed(self, use: Use[Any], frame: DataFrame) -> DataFrame:
        found = traced(frame, self._memory)
        flowing = frozenset[Atom]().union(*{flow.atoms for _, flow in found.outputs})
        own = {one for one in flowing if not one.mixed}
        for (number, _), names in _by_relation(found, own).items():
            relation = found.relations[number]
            columns = self._columns(relation)
            rule = self._decider.rule(use, columns, names, relation.name)
            if rule is None:
                continue
            places = _places(frame, found, number, rule)
            words = SparkWords(rule, places, frame.sparkSession, self._roll)
            token = new_token()
            kept = self._memory.keep(token, relation, names, rule)
            # The token, and whose rows it is about, where the rule asks nothing of them. Spark leaves it out.
            told = (F.lit(token) == F.lit(token)) | words.absent(rule.columns[0])
            frame = frame.filter(told & words.condition())
            traced(frame, self._memory)  # from which its condition is known
            if kept.digest is None:
                raise UnlabelledData(f"the rows of `{relation.name}` cannot be told apart in this plan")
        return frame

    # ---- text, wrapping, writing ---------------------------------------------------------------------------------

    def sql(self, session: SparkSession, text: str, args: Any = None, **frames: DataFrame) -> DataFrame:
        """What a query gives, checked. `frames` stand in its text as `{name}`, `args` for its parameters.

        Raises:
            UnresolvedStatement: it is no query: Spark would run it at once.
            PurposeMissing, PurposeViolation, UnlabelledData, UnknownSource: as `check`.
        """
        found = parsed_query(session, text, args, {name: classic(frame) for name, frame in frames.items()})
        self.check(found)
        return found

    def guarded(self, frame: DataFrame) -> GuardedFrame:
        """The frame behind a wrapper: what is made of it is wrapped, and checked before it gives any data."""
        return GuardedFrame._of(self, classic(frame))

    def written(self, frame: DataFrame) -> DataFrame:
        """The frame, checked, its columns bearing the tags of what they come from: as it is to be written.

        Raises:
            PurposeMissing, PurposeViolation, UnlabelledData, UnknownSource, UnresolvedStatement: as `check`.
        """
        frame = classic(frame)
        self.check(frame)
        found = self._of(frame).traced
        tags = self._columns_of(found, self._sources_within(found))
        revisions = self._decider.revisions
        return frame.select(
            *(F.col(quoted(name)).alias(name, metadata={KEY: encode(tags[name], revisions)}) for name in frame.columns)
        )

    def save(
        self, frame: DataFrame, target: str, *, table: bool = False, mode: str = "errorifexists", **options: str
    ) -> None:
        """Writes the frame, checked and with its tags: into Parquet files under a path, or (`table`) a table by name.

        Where there are data already and `mode` is `append`, their tags must cover what would flow there.

        Raises:
            FlowViolation: the tag of a column there lacks a source.
            UnlabelledData: the target has columns without tags.
            PurposeMissing, PurposeViolation, UnknownSource, UnresolvedStatement: as `check`.
        """
        made = self.written(frame)
        if mode == "append":
            there = existing(frame.sparkSession, target, table=table)
            if there is not None:
                found = self._of(frame).traced
                tags, within = self._columns_of(found, self._sources_within(found)), self.columns(there)
                for name in in_order(tags, within, target):
                    covered(target, name, tags[name], within[name])
        writer = made.write.mode(mode).options(**options).format("parquet")
        if table:
            writer.saveAsTable(target)
        else:
            writer.save(target)

    def checkpointed(self, frame: DataFrame, *, eager: bool = True, local: bool = False) -> DataFrame:
        """The frame, checked and materialised as `checkpoint` does; its columns keep their tags.

        Raises:
            PurposeMissing, PurposeViolation, UnlabelledData, UnknownSource, UnresolvedStatement: as `check`.
        """
        frame = classic(frame)
        self.check(frame)
        found, tags = self._of(frame).traced, self.columns(frame)
        if found.keys is not None:
            made = [
                (key, tags[name])
                for key, (name, flow) in zip(found.keys, found.outputs, strict=True)
                if flow.same is None
            ]
            self._memory.settle(made)
        return frame.localCheckpoint(eager) if local else frame.checkpoint(eager)

    def schema(self, columns: object, types: Mapping[str, Any] | None = None) -> Any:
        """The schema of a tagged model, or of columns whose types are given, with tags: for `createDataFrame`, `read`.

        Raises:
            TypeError: the type of a column is not told, or Spark has none for it.
        """
        return schema_with(columns_of(self._decider.revisions, columns), columns, types, self._decider.revisions)


def _selected(frame: DataFrame, made: Mapping[int, Callable[[Column, str], Column]]) -> DataFrame:
    """Columns by their places, whatever their names, each made of the column and its name."""
    names = frame.columns
    if are_told_apart(names):
        plain = names
    else:
        plain = [f"c{place}" for place in range(len(names))]
        frame = frame.toDF(*plain)
    return frame.select(*(make(F.col(quoted(plain[place])), names[place]) for place, make in made.items()))


def _by_relation(found: Traced, atoms: Iterable[Atom]) -> dict[tuple[int, int], list[str]]:
    """The columns of each relation, in their order, apart by the rule that their rows met."""
    named: dict[tuple[int, int], list[str]] = {}
    for relation, column, kept in sorted({(one.relation, one.column, one.kept) for one in atoms}):
        named.setdefault((relation, kept), []).append(found.relations[relation].names[column])
    return named


def _places(frame: DataFrame, found: Traced, number: int, rule: RowRule) -> dict[str, tuple[str, Any]]:
    """What the columns of a rule are called in the frame, and their types."""
    types = {field.name: field.dataType for field in frame.schema.fields}
    names = [name for name, _ in found.outputs]
    placed: dict[str, tuple[str, Any]] = {}
    for column in rule.columns:
        held = [
            name
            for name, flow in found.outputs
            if flow.same is not None and flow.same.relation == number and found.name_of(flow.same) == column
        ]
        if not held or names.count(held[0]) != 1:
            there = "there under a name of two columns" if held else "not in the frame any more"
            relation = found.relations[number].name
            what = f"`{relation}.{column}`" if relation else f"`{column}`"
            raise UnlabelledData(f"{what} says what may be done with each row, and is {there}: keep it until then")
        placed[column] = held[0], types[held[0]]
    return placed
