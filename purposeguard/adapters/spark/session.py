"""`Spark`: what a guard says of frames and queries of Spark."""

from __future__ import annotations

import functools
import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # as everybody calls it

from purposeguard.adapters.enforcement import Decider, Demand
from purposeguard.adapters.row_rule import RowRule
from purposeguard.adapters.spark.guarded import GuardedFrame, make_wrapper
from purposeguard.adapters.spark.lineage import Atom, SparkFlow, SparkRelation
from purposeguard.adapters.spark.memory import KeptRule, SparkMemory, new_token
from purposeguard.adapters.spark.operators import TracedPlan, trace_frame
from purposeguard.adapters.spark.plan import classic
from purposeguard.adapters.spark.rows import (
    SparkConditions,
    any_of,
    are_told_apart,
    by_relation,
    places_of,
    quote_column,
    select_columns,
)
from purposeguard.adapters.spark.statements import parse_query
from purposeguard.adapters.spark.tags import TagReader, require_covered, schema_with
from purposeguard.adapters.tags import KEY, Columns, Tag, columns_of, encode
from purposeguard.errors import UnlabelledData
from purposeguard.guard import Guard
from purposeguard.locks import make_lock
from purposeguard.policy.explanation import Decision
from purposeguard.runtime.use import Use

_KIND: Final = "read of a frame"
_WITHOUT: Final = "drop the column, as `Spark.withhold` does, and do not choose rows by it either"

_Narrowed = tuple[str, Columns, frozenset[str], KeptRule]
"""A relation whose rows were kept: its name, its tags, the columns used, and the rule."""


class _FrameAnalysis(NamedTuple):
    """What a frame uses, worked out once: columns of relations, and the row rules that their rows met."""

    traced: TracedPlan
    demand: Demand
    kept: Sequence[_Narrowed]


class Spark:
    """`Spark(guard)`: checks frames, withholds their columns, keeps the rows that may be used, and writes tags.

    What it has made (`permitted`, `tagged`) it knows again in plans; another `Spark` does not.
    """

    def __init__(self, guard: Guard) -> None:
        self._decider: Final = Decider(
            guard, rows="keep those that may be used first, with `Spark.permitted`", columns=_WITHOUT
        )
        self._memory: Final = SparkMemory()
        self._analysed: weakref.WeakKeyDictionary[DataFrame, tuple[object, _FrameAnalysis]] = (
            weakref.WeakKeyDictionary()
        )
        self._tags: Final = TagReader(self._decider, self._memory)
        self._lock = make_lock()

    # ---- whether a frame may be read ---------------------------------------------------------------------------------

    def check(self, frame: DataFrame) -> None:
        """Check that the use under way may use every column that the frame's result depends on.

        Raises:
            PurposeMissing: no purpose is under way.
            PurposeViolation: it may not use one of them; `field` names it.
            UnlabelledData: one carries no tag; or rows say whose they are, or under which source they were collected,
                and those that may be used were not kept by `permitted` (or were kept for another purpose).
            UnknownSource: a tag is of another notice.
            UnresolvedStatement: the plan does not tell what is read, or is not shown (Spark Connect).
        """
        analysed = self._analyse(classic(frame))
        if analysed.kept:
            self._meet(analysed, self._decider.current_use(_KIND, analysed.demand.tables))
        else:
            self._decider.check_demand(analysed.demand)

    def _use(self, frame: DataFrame) -> Use[Any] | None:
        """Return the use under way; None if a missing one is only observed."""
        return self._decider.current_use(_KIND, self._names(frame))

    def _names(self, frame: DataFrame) -> Iterator[str]:
        """Yield the names of the relations that a frame is made of."""
        yield from (relation.name for relation in trace_frame(frame, self._memory).relations)

    def _meet(self, analysed: _FrameAnalysis, use: Use[Any] | None) -> None:
        """As `check`, under this use: None if a missing purpose is only observed."""
        rules: dict[str, RowRule | None] = {}
        if use is not None and not use.activity.observing:
            for name, columns, names, record in analysed.kept:
                self._must_still_hold(use, name, columns, names, record)
                rules[name] = record.rule
        self._decider.check_demand_under(use, analysed.demand, rules)

    def columns(self, frame: DataFrame) -> Columns:
        """The tags of a frame's columns, by what they come from; of rows that were kept, with what they may come from.

        Raises:
            UnlabelledData: one comes from a column that carries no tag.
            UnknownSource, UnresolvedStatement: as `check`.
        """
        return self._tags.of_frame(trace_frame(classic(frame), self._memory), frozenset())

    def _analyse(self, frame: DataFrame) -> _FrameAnalysis:
        revisions = self._decider.revisions
        with self._lock:
            known = self._analysed.get(frame)
        if known is not None and known[0] is revisions:
            return known[1]
        plan = trace_frame(frame, self._memory)
        demands: list[Demand] = []
        kept: list[_Narrowed] = []
        for (number, rule), names in by_relation(plan, plan.used).items():
            relation = plan.relations[number]
            columns = self._tags.of_relation(relation)
            record = self._memory.get_kept_rule(rule)
            narrowed = {relation.name} if record is not None else frozenset[str]()
            demands.append(self._decider.demand({relation.name: (columns, names)}, narrowed, kind=_KIND))
            if record is not None:
                kept.append((relation.name, columns, frozenset(names), record))
        analysed = _FrameAnalysis(plan, Demand.together(demands), kept)
        with self._lock:
            self._analysed[frame] = (revisions, analysed)
        return analysed

    def _must_still_hold(
        self, use: Use[Any], name: str, columns: Columns, names: frozenset[str], record: KeptRule
    ) -> None:
        """Check that the rows that were kept are those that may be used now, by this use."""
        personal = {column for column in names if columns[column].is_personal}
        # Columns that may not be used in any row are refused by `meet_under`.
        personal.difference_update(self._decider.find_denied_columns(use, columns, sorted(personal), name))
        if not personal:
            return
        rule = self._decider.make_row_rule(use, columns, sorted(record.names), name)
        kept = record.rule
        same = rule is kept or (rule is not None and kept is not None and rule.keeps_the_rows_of(kept))
        if not same or not personal <= record.names:
            what = f"the rows of `{name}`" if name else "the rows"
            raise UnlabelledData(
                f"{what} were kept for another purpose, for other columns, or as things stood before: keep them anew, "
                "with `permitted`"
            )

    # ---- tags --------------------------------------------------------------------------------------------------------

    def tagged(self, frame: DataFrame, tags: object) -> DataFrame:
        """Return the frame with tags on its columns: a tagged class, a mapping of names to sources, or `Columns`.

        Columns that it does not name stay as they are. What is known of a column already stays known: a tag adds to it.

        Raises:
            FlowViolation: the tag of a column lacks a source that it is known to come from.
            UnlabelledData: a column is not there, or is there twice.
            UnknownSource, TypeError: as `columns_of`.
        """
        frame = classic(frame)
        stated = columns_of(self._decider.revisions, tags)
        names = frame.columns
        for name in stated:
            if names.count(name) != 1:
                there = "there twice" if name in names else "not there"
                raise UnlabelledData(f"`{name}` is tagged and {there}: rename it first, or leave it out")
        plan = trace_frame(frame, self._memory)
        for name, flow in plan.outputs:
            known = frozenset(
                atom for atom in flow.atoms if plan.relations[atom.relation].bears[atom.column] is not None
            )
            if name in stated and known:
                same = flow.same if flow.same in known else None
                require_covered(
                    "the frame",
                    name,
                    self._tags.of_flow(plan, SparkFlow(known, same), self._tags.sources_within(plan)),
                    stated[name],
                )
        tags = {place: stated[name] for place, name in enumerate(names) if name in stated}
        revisions = self._decider.revisions
        return self._with_tags(frame, tags, {place: {KEY: encode(tag, revisions)} for place, tag in tags.items()})

    def _with_tags(
        self, frame: DataFrame, tags: Mapping[int, Tag], metadata: Mapping[int, dict[str, Any]]
    ) -> DataFrame:
        """Return the frame with marks in its plan that tell its columns' tags, by place. Spark optimises them away.

        `metadata` is what these columns bear, for others to read.
        """
        token = self._memory.tag(tags)

        def mark_column(place: int, column: Column, name: str) -> Column:
            if place not in tags:
                return column.alias(name)
            marked_column = F.when(_standing_for_itself(f"{token}:{place}"), column)
            return marked_column.alias(name, metadata=metadata[place])

        return select_columns(
            frame, {place: functools.partial(mark_column, place) for place in range(len(frame.columns))}
        )

    # ---- withholding and narrowing -------------------------------------------------------------------------------

    def withhold(self, frame: DataFrame) -> DataFrame:
        """Return the frame without the columns that come from what the use under way may not use.

        Raises:
            PurposeViolation: none would be left, or one of them decides which rows there are.
            PurposeMissing, UnlabelledData, UnknownSource, UnresolvedStatement: as `check`.
        """
        frame = classic(frame)
        use = self._use(frame)
        if use is None or use.activity.observing:
            self._meet(self._analyse(frame), use)
            return frame
        return self._withhold(frame, use)

    def _withhold(self, frame: DataFrame, use: Use[Any]) -> DataFrame:
        plan = trace_frame(frame, self._memory)
        denied = self._find_denied(use, plan)
        first = next((atom for atom in sorted(plan.decides) if atom in denied), None)
        left = [place for place, (_, flow) in enumerate(plan.outputs) if denied.keys().isdisjoint(flow.atoms)]
        if first is None and not left and plan.outputs:
            first = min(denied)
        if first is not None:
            relation, name = plan.relations[first.relation].name, plan.name_of(first)
            self._decider.engine.refuse(denied[first], use, field=f"{relation}.{name}" if relation else name)
        if len(left) == len(plan.outputs):
            return frame
        names = frame.columns
        if are_told_apart(names):
            gone = set(range(len(names))).difference(left)
            return frame.drop(*(name for place, name in enumerate(names) if place in gone))
        return select_columns(frame, dict.fromkeys(left, Column.alias))

    def _find_denied(self, use: Use[Any], plan: TracedPlan) -> dict[Atom, Decision]:
        """Return the columns that a use may not use, with the reason."""
        denied: dict[Atom, Decision] = {}
        for (number, _), names in by_relation(plan, plan.used).items():
            relation = plan.relations[number]
            columns = self._tags.of_relation(relation)
            alike: dict[object, str] = {}  # columns of one tag are decided alike
            for name in names:
                alike.setdefault(columns.get(name), name)
            decided = self._decider.find_denied_columns(use, columns, alike.values(), relation.name)
            refused = {name: decided.get(alike[columns.get(name)]) for name in names}
            for atom in plan.used:
                decision = refused.get(plan.name_of(atom)) if atom.relation == number else None
                if decision is not None:
                    denied[atom] = decision
        return denied

    def permitted(self, frame: DataFrame, *, withhold: bool = False) -> DataFrame:
        """Return the frame with the rows alone that the use under way may use, by what they say of themselves.

        The condition is Spark's own, and runs where the rows are. It fails there where a row names no source, or one
        that means nothing. `withhold`: without the columns that may not be used, rather than refused for them.

        Raises:
            PurposeMissing, PurposeViolation, UnknownSource, UnresolvedStatement: as `check`.
            UnlabelledData: as `check`; or a column that says it of the rows is no more in the frame.
        """
        frame = classic(frame)
        use = self._use(frame)
        if withhold and use is not None and not use.activity.observing:
            frame = self._withhold(frame, use)
        frame = self._narrow(frame, use)
        self._meet(self._analyse(frame), use)
        return frame

    def narrowed(self, frame: DataFrame) -> DataFrame:
        """As `permitted`, and nothing is said of the columns: for a view, over which queries are checked one by one.

        Rows are kept for the columns that may be used; of the others `check` says so when they are.

        Raises:
            PurposeMissing, UnlabelledData, UnknownSource, UnresolvedStatement: as `permitted`.
        """
        return self._narrow(frame := classic(frame), self._use(frame))

    def _narrow(self, frame: DataFrame, use: Use[Any] | None) -> DataFrame:
        plan = trace_frame(frame, self._memory)
        flowing = frozenset[Atom]().union(*{flow.atoms for _, flow in plan.outputs})
        for (number, _), names in by_relation(plan, {atom for atom in flowing if not atom.mixed}).items():
            relation = plan.relations[number]
            columns = self._tags.of_relation(relation)
            tags = {name: columns[name] for name in names if name in columns}
            if not self._decider.asks_rows(columns, tags):
                continue
            used, rule = list(tags), None
            if use is not None and not use.activity.observing:
                denied = self._decider.find_denied_columns(use, columns, tags, relation.name)
                used = [name for name in tags if name not in denied]
                rule = self._decider.make_row_rule(use, columns, used, relation.name)
            if rule is None:  # denials are observed only, or what is personal may not be used whatever the rows are
                frame = self._mark_kept_rows(frame, (relation, used, None), F.lit(True), any_of(plan, number))
            else:
                places = places_of(frame, plan, number, rule)
                condition = SparkConditions(rule, places, frame.sparkSession).column_of_rule()
                frame = self._mark_kept_rows(frame, (relation, used, rule), condition, places[rule.columns[0]][0])
        return frame

    def _mark_kept_rows(
        self,
        frame: DataFrame,
        narrowing: tuple[SparkRelation, Sequence[str], RowRule | None],
        condition: Column,
        column: str,
    ) -> DataFrame:
        """Return the rows of a relation that meet a rule, known again in plans; all where denials are observed only."""
        token = new_token()
        relation, names, rule = narrowing
        made = self._memory.keep(token, relation, names, rule)
        # The token, and whose rows it is about, where the rule asks nothing of them. Spark leaves it out.
        marker = _standing_for_itself(token) | F.col(quote_column(column)).isNull()
        frame = frame.filter(marker & condition)
        trace_frame(frame, self._memory)  # from which its condition is known
        if made.digest is None:
            raise UnlabelledData(f"the rows of `{relation.name}` cannot be told apart in this plan")
        return frame

    # ---- text, wrapping, writing ---------------------------------------------------------------------------------

    def sql(self, session: SparkSession, text: str, args: Any = None, **frames: DataFrame) -> DataFrame:
        """What a query gives, checked. `frames` stand in its text as `{name}`, `args` for its parameters.

        Raises:
            UnresolvedStatement: it is no query: Spark would run it at once.
            PurposeMissing, PurposeViolation, UnlabelledData, UnknownSource: as `check`.
        """
        frame = parse_query(session, text, args, {name: classic(frame) for name, frame in frames.items()})
        self.check(frame)
        return frame

    def guarded(self, frame: DataFrame) -> GuardedFrame:
        """Return the frame behind a wrapper: what is made of it is wrapped, and checked before it gives any data."""
        return make_wrapper(GuardedFrame, self, classic(frame))

    def written(self, frame: DataFrame) -> DataFrame:
        """Return the frame, checked, its columns bearing the tags of what they come from: as it is to be written.

        Raises:
            PurposeMissing, PurposeViolation, UnlabelledData, UnknownSource, UnresolvedStatement: as `check`.
        """
        frame = classic(frame)
        self.check(frame)
        return self._bearing(frame, self._of_outputs(frame))

    def _of_outputs(self, frame: DataFrame) -> Columns:
        """Return the tags of a frame's columns, with the source of each row where it goes along."""
        plan = self._analyse(frame).traced
        return self._tags.of_frame(plan, self._tags.sources_within(plan))

    def _bearing(self, frame: DataFrame, tags: Columns) -> DataFrame:
        revisions = self._decider.revisions
        return frame.select(
            *(
                F.col(quote_column(name)).alias(name, metadata={KEY: encode(tags[name], revisions)})
                for name in frame.columns
            )
        )

    def save(
        self, frame: DataFrame, target: str, *, table: bool = False, mode: str = "errorifexists", **options: str
    ) -> None:
        """Write the frame, checked and with its tags: into Parquet files under a path, or (`table`) a table by name.

        Where there are data already and `mode` is `append`, their tags must cover what would flow there, and stay.

        Raises:
            FlowViolation: the tag of a column there lacks a source.
            UnlabelledData: the target has columns without tags.
            PurposeMissing, PurposeViolation, UnknownSource, UnresolvedStatement: as `check`.
        """
        frame = classic(frame)
        self.check(frame)
        tags = self._of_outputs(frame)
        there = existing(frame.sparkSession, target, table=table) if mode.lower() == "append" else None
        if there is not None:
            within = self.columns(there)
            for name in in_order(tags, within, target):
                require_covered(target, name, tags[name], within[name])
            # Spark takes the tags of a folder from one of its files, whichever it is: so they are the same in all.
            tags = within
        made = self._bearing(frame, tags)
        writer = made.write.mode(mode).options(**options).format("parquet")
        if table:
            writer.saveAsTable(target)
        else:
            writer.save(target)

    def checkpointed(self, frame: DataFrame, *, eager: bool = True, local: bool = False) -> DataFrame:
        """The frame, checked and materialised as `checkpoint` does; its columns bear the tags of what they come from.

        Behind a checkpoint that was made otherwise nothing tells what chose its rows, so its columns bear none.

        Raises:
            PurposeMissing, PurposeViolation, UnlabelledData, UnknownSource, UnresolvedStatement: as `check`.
        """
        frame = classic(frame)
        self.check(frame)
        plan = self._analyse(frame).traced
        tags = self._tags.in_order(plan, self._tags.sources_within(plan))
        made = frame.localCheckpoint(eager) if local else frame.checkpoint(eager)
        metadata = {place: field.metadata for place, field in enumerate(made.schema.fields)}
        return self._with_tags(made, dict(enumerate(tags)), metadata)

    def schema(self, columns: object, types: Mapping[str, Any] | None = None) -> Any:
        """The schema of a tagged model, or of columns whose types are given, with tags: for `createDataFrame`, `read`.

        Raises:
            TypeError: the type of a column is missing, or Spark has none for it.
        """
        return schema_with(columns_of(self._decider.revisions, columns), columns, types, self._decider.revisions)


def _standing_for_itself(token: str) -> Column:
    """A condition that holds, and bears a token. Written as text: of columns PySpark would warn that it always does."""
    return F.expr(f"'{token}' = '{token}'")


_PATTERNS: Final = re.compile(r"[{}\[\]*?\\]")
"""What stands for other characters where Spark reads a path."""


def existing(session: SparkSession, target: str, *, table: bool) -> DataFrame | None:
    """What is there already; None where there is nothing."""
    if table:
        return session.table(target) if session.catalog.tableExists(target) else None
    try:
        return session.read.parquet(
            _PATTERNS.sub(r"\\\g<0>", target)
        )  # a path is written as it is, and read as a pattern
    except AnalysisException as error:
        if error.getCondition() in {"PATH_NOT_FOUND", "UNABLE_TO_INFER_SCHEMA"}:
            return None
        raise


def in_order(tags: Columns, within: Columns, target: str) -> Iterator[str]:
    """Yield the columns that flow, each of which must be there.

    Raises:
        UnlabelledData: one is not, so nothing says what it may be used for.
    """
    for name in tags:
        if name not in within:
            raise UnlabelledData(f"`{target}` has no column `{name}`, so no tag says what it may be used for there")
        yield name
