"""`Spark`, which holds frames and queries of Spark to a guard."""

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
from purposeguard.adapters.tags import KEY, Columns, Revisions, Tag, columns_of, encode
from purposeguard.containers import exclude, map_values, pick_keys
from purposeguard.errors import UnlabelledData
from purposeguard.guard import Guard
from purposeguard.locks import make_lock
from purposeguard.policy.explanation import Decision
from purposeguard.policy.violations import FlowViolation
from purposeguard.runtime.use import Use

_KIND: Final = "read of a frame"
_WITHOUT: Final = "drop the column, as `Spark.withhold` does, and do not choose rows by it either"


class _NarrowedRelation(NamedTuple):
    """A relation that was filtered by a row rule."""

    name: str
    columns: Columns
    """The tags of its columns."""
    used: frozenset[str]
    """The columns that the frame uses."""
    record: KeptRule
    """The rule."""

    @property
    def description(self) -> str:
        """The relation's rows, as messages name them."""
        return f"the rows of `{self.name}`" if self.name else "the rows"


class _CachedAnalysis(NamedTuple):
    """An analysis, and the revisions of the notice that it was made with."""

    revisions: Revisions
    analysis: _FrameAnalysis


class _FrameAnalysis(NamedTuple):
    """The cached analysis of a frame."""

    plan: TracedPlan
    demand: Demand
    """The columns of relations that the frame uses."""
    narrowed: Sequence[_NarrowedRelation]
    """The relations whose rows were filtered by a row rule."""


class Spark:
    """An adapter that checks Spark frames, withholds columns, keeps the rows that may be used, and writes tags.

    An instance recognizes only frames that it tagged or narrowed itself. So create one `Spark(guard)` per application.

    In observe mode no frame is refused, and none loses rows or columns. What would have been refused is reported to the
    observers.
    """

    def __init__(self, guard: Guard) -> None:
        self._file: Final = guard.tags
        self._decider: Final = Decider(
            guard, rows="keep those that may be used first, with `Spark.permitted`", columns=_WITHOUT
        )
        self._memory: Final = SparkMemory()
        self._analyses: weakref.WeakKeyDictionary[DataFrame, _CachedAnalysis] = weakref.WeakKeyDictionary()
        self._tags: Final = TagReader(self._decider, self._memory)
        self._lock = make_lock()

    # ---- checks ------------------------------------------------------------------------------------------------------

    def check(self, frame: DataFrame) -> None:
        """Check that the use under way may use every column that the frame's result depends on.

        Raises:
            PurposeMissing: no purpose is under way.
            PurposeViolation: the use may not use a column; `field` names it.
            UnlabelledData: a column has no tag. Or rows name their own subject or source, and were not filtered by
                `permitted` for this purpose.
            UnknownSource: a tag belongs to another notice.
            UnresolvedStatement: the plan does not show what it reads, or is not available (Spark Connect).
        """
        with self._decider.report_unresolved(_KIND):
            analysis = self._analyse(classic(frame))
            if analysis.narrowed:
                self._check_under(self._decider.current_use(_KIND, analysis.demand.tables), analysis)
            else:
                self._decider.check_demand(analysis.demand)

    def is_observing(self) -> bool:
        """Return True if violations are only observed here."""
        return self._decider.is_observing()

    def _current_use(self, frame: DataFrame) -> Use[Any] | None:
        """Return the use under way, or None if a missing use is only observed."""
        return self._decider.current_use(_KIND, self._iter_relation_names(frame))

    def _iter_relation_names(self, frame: DataFrame) -> Iterator[str]:
        """Yield the names of the relations that a frame reads. The plan is traced when the first one is asked for."""
        for relation in trace_frame(frame, self._memory).relations:
            yield relation.name

    def _check_under(self, use: Use[Any] | None, analysis: _FrameAnalysis) -> None:
        """Check an analysed frame under a use, which is None if a missing purpose is only observed."""
        if self._decider.engine.observers.read:
            self._decider.report_read(analysis.demand.columns)
        rules: dict[str, RowRule | None] = {}
        if use is not None and not use.activity.observing:
            for relation in analysis.narrowed:
                self._must_still_hold(use, relation)
                rules[relation.name] = relation.record.rule
        self._decider.check_demand_under(use, analysis.demand, rules)

    def columns(self, frame: DataFrame) -> Columns:
        """Return the tags of a frame's columns, derived from the columns of relations that they come from.

        Filtered rows have only the sources that their row rule permits.

        Raises:
            UnlabelledData: a column comes from a column without a tag.
            UnknownSource, UnresolvedStatement: as `check`.
        """
        return self._tags.of_frame(trace_frame(classic(frame), self._memory), frozenset())

    def _analyse(self, frame: DataFrame) -> _FrameAnalysis:
        revisions = self._decider.revisions
        with self._lock:
            cached = self._analyses.get(frame)
        if cached is not None and cached.revisions is revisions:
            return cached.analysis
        plan = trace_frame(frame, self._memory)
        demands: list[Demand] = []
        narrowed_relations: list[_NarrowedRelation] = []
        for (number, rule), names in by_relation(plan, plan.used).items():
            relation = plan.relations[number]
            columns = self._tags.of_relation(relation)
            record = self._memory.get_kept_rule(rule)
            narrowed = {relation.name} if record is not None else frozenset[str]()
            demands.append(self._decider.demand({relation.name: (columns, names)}, narrowed, kind=_KIND))
            if record is not None:
                narrowed_relations.append(_NarrowedRelation(relation.name, columns, frozenset(names), record))
        analysis = _FrameAnalysis(plan, Demand.together(demands), narrowed_relations)
        with self._lock:
            self._analyses[frame] = _CachedAnalysis(revisions, analysis)
        return analysis

    def _must_still_hold(self, use: Use[Any], relation: _NarrowedRelation) -> None:
        """Check that the row rule of a relation keeps the rows that this use may use now.

        Raises:
            UnlabelledData: the rows were filtered for another purpose, for other columns, or by an outdated rule.
        """
        columns, record = relation.columns, relation.record
        personal = {name for name in relation.used if columns[name].is_personal}
        # `check_demand_under` refuses the columns that may not be used in any row.
        personal.difference_update(self._decider.find_denied_columns(use, columns, sorted(personal), relation.name))
        if not personal:
            return
        rule = self._decider.make_row_rule(use, columns, sorted(record.names), relation.name)
        kept_rule = record.rule
        same = rule is kept_rule or (rule is not None and kept_rule is not None and rule.keeps_the_rows_of(kept_rule))
        if not same or not personal <= record.names:
            raise UnlabelledData(
                f"{relation.description} were kept for another purpose, for other columns, or as things stood before: "
                "keep them anew, with `permitted`"
            )

    # ---- tags --------------------------------------------------------------------------------------------------------

    def tagged(self, frame: DataFrame, tags: object) -> DataFrame:
        """Return the frame with tags on its columns.

        Columns that `tags` does not name stay unchanged. Tags only accumulate: retagging a column cannot remove a
        source.

        Args:
            frame: The frame.
            tags: A tagged class, a mapping of names to sources, or `Columns`.

        Raises:
            FlowViolation: the tag of a column lacks a source that the column comes from.
            UnlabelledData: a column does not exist, or exists twice.
            UnknownSource, TypeError: as `columns_of`.
        """
        frame = classic(frame)
        stated_columns = columns_of(self._decider.revisions, tags, self._file)
        names = frame.columns
        for name in stated_columns:
            if names.count(name) != 1:
                reason = "there twice" if name in names else "not there"
                raise UnlabelledData(f"`{name}` is tagged and {reason}: rename it first, or leave it out")
        plan = trace_frame(frame, self._memory)
        refused_names: set[str] = set()
        for name, flow in plan.outputs:
            tagged_atoms = frozenset(filter(plan.is_tagged, flow.atoms))
            if name in stated_columns and tagged_atoms:
                same = flow.same if flow.same in tagged_atoms else None
                sources = self._tags.sources_within(plan)
                tag_so_far = self._tags.of_flow(plan, SparkFlow(tagged_atoms, same), sources)
                try:
                    require_covered("the frame", name, tag_so_far, stated_columns[name])
                except (FlowViolation, UnlabelledData) as error:
                    self._decider.refuse_unresolved(error, "tagging of a frame", ((name, tag_so_far.label),))
                    refused_names.add(name)  # The column keeps the tag that it has.
        new_tags: dict[int, Tag] = {}
        metadata: dict[int, dict[str, Any]] = {}
        for place, name in enumerate(names):
            if name in stated_columns and name not in refused_names:
                new_tags[place] = stated_columns[name]
                metadata[place] = {KEY: encode(stated_columns[name], self._decider.revisions)}
        return self._with_tags(frame, new_tags, metadata)

    def _with_tags(
        self, frame: DataFrame, tags: Mapping[int, Tag], metadata: Mapping[int, dict[str, Any]]
    ) -> DataFrame:
        """Return the frame with expressions in its plan that mark the tags of its columns.

        Spark's optimizer removes these expressions.

        Args:
            frame: The frame.
            tags: The tags, by the position of the column.
            metadata: The metadata of these columns, for other readers.
        """
        token = self._memory.tag(tags)

        def mark_column(place: int, column: Column, name: str) -> Column:
            if place not in tags:
                return column.alias(name)
            marked_column = F.when(_make_true_condition(f"{token}:{place}"), column)
            return marked_column.alias(name, metadata=metadata[place])

        makers = {place: functools.partial(mark_column, place) for place in range(len(frame.columns))}
        return select_columns(frame, makers)

    # ---- withholding and narrowing -------------------------------------------------------------------------------

    def withhold(self, frame: DataFrame) -> DataFrame:
        """Return the frame without the columns that come from data that the use under way may not use.

        Raises:
            PurposeViolation: no column would be left, or a denied column decides which rows the frame has.
            PurposeMissing, UnlabelledData, UnknownSource, UnresolvedStatement: as `check`.
        """
        if self.is_observing():
            self.check(frame)
            return frame
        frame = classic(frame)
        use = self._current_use(frame)
        return frame if use is None else self._withhold(frame, use)

    def _withhold(self, frame: DataFrame, use: Use[Any]) -> DataFrame:
        plan = trace_frame(frame, self._memory)
        denied = self._find_denied(use, plan)
        denied_deciding = plan.decides.intersection(denied)
        remaining: list[int] = []
        denied_names: list[str] = []
        for place, (name, flow) in enumerate(plan.outputs):
            if denied.keys().isdisjoint(flow.atoms):
                remaining.append(place)
            else:
                denied_names.append(name)
        if denied_deciding or (plan.outputs and not remaining):
            first = min(denied_deciding or denied)
            relation, name = plan.relations[first.relation].name, plan.name_of(first)
            self._decider.engine.refuse(denied[first], use, field=f"{relation}.{name}" if relation else name)
        if not denied_names:
            return frame
        if are_told_apart(frame.columns):
            return frame.drop(*denied_names)
        return select_columns(frame, dict.fromkeys(remaining, Column.alias))

    def _find_denied(self, use: Use[Any], plan: TracedPlan) -> dict[Atom, Decision]:
        """Return the columns of relations that a use may not use, each with the decision."""
        denied: dict[Atom, Decision] = {}
        for (number, _), names in by_relation(plan, plan.used).items():
            relation = plan.relations[number]
            columns = self._tags.of_relation(relation)
            representatives: dict[object, str] = {}  # one column stands for all with the same tag
            for name in names:
                representatives.setdefault(columns.get(name), name)
            decisions = self._decider.find_denied_columns(use, columns, representatives.values(), relation.name)
            denied_names: dict[str, Decision] = {}
            for name in names:
                decision = decisions.get(representatives[columns.get(name)])
                if decision is not None:
                    denied_names[name] = decision
            for atom in plan.used:
                if atom.relation == number and plan.name_of(atom) in denied_names:
                    denied[atom] = denied_names[plan.name_of(atom)]
        return denied

    def permitted(self, frame: DataFrame, *, withhold: bool = False) -> DataFrame:
        """Return the frame with only those rows that the use under way may use.

        The executors run the row condition. If a row names no source, or an unknown one, the job fails there.

        Args:
            frame: The frame.
            withhold: Also drop the columns that may not be used, instead of refusing them.

        Raises:
            PurposeMissing, PurposeViolation, UnknownSource, UnresolvedStatement: as `check`.
            UnlabelledData: as `check`, or the frame no longer contains a column that the row condition needs.
        """
        with self._decider.report_unresolved(_KIND):
            classic_frame = classic(frame)
            use = self._current_use(classic_frame)
            if withhold and use is not None and not use.activity.observing:
                classic_frame = self._withhold(classic_frame, use)
            narrowed_frame = self._narrow(classic_frame, use)
            self._check_under(use, self._analyse(narrowed_frame))
            return narrowed_frame
        return frame

    def narrowed(self, frame: DataFrame) -> DataFrame:
        """Filter rows like `permitted`, but do not check the columns.

        Use it for a view whose queries are checked one by one. `check` refuses the denied columns when a query uses
        them.

        Raises:
            PurposeMissing, UnlabelledData, UnknownSource, UnresolvedStatement: as `permitted`.
        """
        with self._decider.report_unresolved(_KIND):
            classic_frame = classic(frame)
            return self._narrow(classic_frame, self._current_use(classic_frame))
        return frame

    def _narrow(self, frame: DataFrame, use: Use[Any] | None) -> DataFrame:
        plan = trace_frame(frame, self._memory)
        flowing = {atom for atom in plan.flowing if not atom.mixed}
        for (number, _), names in by_relation(plan, flowing).items():
            relation = plan.relations[number]
            columns = self._tags.of_relation(relation)
            tags = pick_keys(columns, names)
            if not self._decider.must_decide_rows(columns, tags):
                continue
            used = list(tags)
            rule = None
            if use is not None and not use.activity.observing:
                denied = self._decider.find_denied_columns(use, columns, tags, relation.name)
                used = exclude(tags, denied)
                rule = self._decider.make_row_rule(use, columns, used, relation.name)
            if rule is None:  # denials are only observed, or no personal column may be used in any row
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
        """Filter a frame by a row condition, with a token by which the condition is recognized in plans.

        Args:
            frame: The frame.
            narrowing: The relation, the columns that the rule was made for, and the rule, or None without a rule.
            condition: The condition of the rule.
            column: A column of the relation in the frame, which ties the token to the relation.
        """
        token = new_token()
        relation, names, rule = narrowing
        record = self._memory.keep(token, relation, names, rule)
        # The marker holds the token, and names the relation even if the condition does not. Spark optimizes it away.
        marker = _make_true_condition(token) | F.col(quote_column(column)).isNull()
        frame = frame.filter(marker & condition)
        trace_frame(frame, self._memory)  # stores the digest of the condition
        if record.digest is None:
            raise UnlabelledData(f"the rows of `{relation.name}` cannot be told apart in this plan")
        return frame

    # ---- queries, wrapping, writing ------------------------------------------------------------------------------

    def sql(self, session: SparkSession, text: str, args: Any = None, **frames: DataFrame) -> DataFrame:
        """Return the frame of a query, after checking it.

        Args:
            session: The Spark session.
            text: The text of the query, with placeholders `{name}` for frames.
            args: Values for the parameters of the query.
            frames: The frames for the placeholders.

        Raises:
            UnresolvedStatement: the text is not a query, so Spark would run it at once.
            PurposeMissing, PurposeViolation, UnlabelledData, UnknownSource: as `check`.
        """
        with self._decider.report_unresolved("query of Spark"):
            frame = parse_query(session, text, args, map_values(classic, frames))
            self.check(frame)
            return frame
        return session.sql(text, args, **frames)

    def guarded(self, frame: DataFrame) -> GuardedFrame:
        """Return the frame in a wrapper that checks it, and all frames made of it, before they return data."""
        return make_wrapper(GuardedFrame, self, classic(frame))

    def written(self, frame: DataFrame) -> DataFrame:
        """Check the frame, and return it with tags in the metadata of its columns, ready to be written.

        Raises:
            PurposeMissing, PurposeViolation, UnlabelledData, UnknownSource, UnresolvedStatement: as `check`.
        """
        with self._decider.report_unresolved("write of a frame"):
            classic_frame = classic(frame)
            self.check(classic_frame)
            return self._write_tags(classic_frame, self._read_output_tags(classic_frame))
        return frame

    def _read_output_tags(self, frame: DataFrame) -> Columns:
        """Return the tags of a frame's columns. Columns stay `ByRow` if the row source is in the frame too."""
        plan = self._analyse(frame).plan
        return self._tags.of_frame(plan, self._tags.sources_within(plan))

    def _write_tags(self, frame: DataFrame, tags: Columns) -> DataFrame:
        """Return the frame with these tags in the metadata of its columns."""
        tagged_columns: list[Column] = []
        for name in frame.columns:
            metadata = {KEY: encode(tags[name], self._decider.revisions)}
            tagged_columns.append(F.col(quote_column(name)).alias(name, metadata=metadata))
        return frame.select(*tagged_columns)

    def save(
        self, frame: DataFrame, target: str, *, table: bool = False, mode: str = "errorifexists", **options: str
    ) -> None:
        """Check the frame, and write it with its tags to Parquet files or to a table.

        If data are appended, the tags of the existing data must cover the new data, and stay unchanged.

        Args:
            frame: The frame.
            target: A path, or with `table` the name of a table.
            table: Write to a table instead of files.
            mode: The mode of Spark's writer.
            options: The options of Spark's writer.

        Raises:
            FlowViolation: the tag of an existing column lacks a source.
            UnlabelledData: the target has columns without tags.
            PurposeMissing, PurposeViolation, UnknownSource, UnresolvedStatement: as `check`.
        """
        is_append = mode.lower() == "append"
        with self._decider.report_unresolved("write of a frame"):
            frame = self._prepare_write(classic(frame), target, table=table, is_append=is_append)
        writer = frame.write.mode(mode).options(**options).format("parquet")
        if table:
            writer.saveAsTable(target)
        else:
            writer.save(target)

    def _prepare_write(self, frame: DataFrame, target: str, *, table: bool, is_append: bool) -> DataFrame:
        """Check a frame that is to be written, and return it with the tags that it is written with."""
        self.check(frame)
        tags = self._read_output_tags(frame)
        existing_frame = _read_target(frame.sparkSession, target, table=table) if is_append else None
        if existing_frame is not None:
            within = self.columns(existing_frame)
            for name, tag in tags.items():
                if name not in within:
                    raise UnlabelledData(
                        f"`{target}` has no column `{name}`, so no tag says what it may be used for there"
                    )
                require_covered(target, name, tag, within[name])
            # Spark reads the tags of a folder from an arbitrary file in it, so all files must have the same tags.
            tags = within
        return self._write_tags(frame, tags)

    def checkpointed(self, frame: DataFrame, *, eager: bool = True, local: bool = False) -> DataFrame:
        """Check the frame, and return a checkpoint of it whose columns have tags.

        The columns of any other checkpoint have no tags, because it is unknown which columns decided its rows.

        Args:
            frame: The frame.
            eager: Materialize the checkpoint at once.
            local: Store the checkpoint on the executors, as `localCheckpoint` does.

        Raises:
            PurposeMissing, PurposeViolation, UnlabelledData, UnknownSource, UnresolvedStatement: as `check`.
        """
        self.check(frame)
        tags: list[Tag] = []
        with self._decider.report_unresolved("checkpoint of a frame"):
            frame = classic(frame)
            plan = self._analyse(frame).plan
            tags = self._tags.in_order(plan, self._tags.sources_within(plan))
        checkpoint = frame.localCheckpoint(eager) if local else frame.checkpoint(eager)
        metadata = {place: field.metadata for place, field in enumerate(checkpoint.schema.fields)}
        return self._with_tags(checkpoint, dict(enumerate(tags)), metadata)

    def schema(self, columns: object, types: Mapping[str, Any] | None = None) -> Any:
        """Return a schema with tags, for `createDataFrame` or `read`.

        Args:
            columns: A tagged class, a mapping of names to sources, or `Columns`.
            types: The types of the columns, where they do not follow from the annotations of a class.

        Raises:
            TypeError: the type of a column is missing, or Spark does not support it.
        """
        return schema_with(
            columns_of(self._decider.revisions, columns, self._file), columns, types, self._decider.revisions
        )


def _make_true_condition(token: str) -> Column:
    """Return a condition that is always true and contains a token.

    It is SQL text, because PySpark warns if a column is compared with itself.
    """
    return F.expr(f"'{token}' = '{token}'")


_PATTERNS: Final = re.compile(r"[{}\[\]*?\\]")
"""Characters that Spark reads as a pattern in paths."""


def _read_target(session: SparkSession, target: str, *, table: bool) -> DataFrame | None:
    """Return the data that the target of a write already holds, or None if there are none."""
    if table:
        return session.table(target) if session.catalog.tableExists(target) else None
    try:
        # Spark reads paths as patterns, but writes them literally.
        return session.read.parquet(_PATTERNS.sub(r"\\\g<0>", target))
    except AnalysisException as error:
        if error.getCondition() in {"PATH_NOT_FOUND", "UNABLE_TO_INFER_SCHEMA"}:
            return None
        raise
