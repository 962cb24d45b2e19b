"""Row rules in Spark: SQL conditions that Spark runs itself, without Python functions and without collecting rows.

A few subjects are written into the condition. Many subjects become a relation, which Spark broadcasts.
"""

from __future__ import annotations

import datetime
import importlib.util
import operator
import re
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # as everybody calls it
from pyspark.sql import types as T  # noqa: N812  # likewise
from sqlglot import exp, parse_one

from purposeguard.adapters import row_values as values
from purposeguard.adapters.row_rule import KeySet, RowRule, spellings
from purposeguard.adapters.spark.lineage import Atom
from purposeguard.adapters.spark.operators import TracedPlan
from purposeguard.adapters.sql.conditions import SqlConditions
from purposeguard.adapters.sql.scopes import NameRules
from purposeguard.errors import UnlabelledData
from purposeguard.locks import make_lock

DIALECT: Final = "spark"

MOST_IN_A_CONDITION: Final = 500
"""Maximum number of subjects that are written into the condition itself."""

_KEY: Final = "purposeguard_subject"
_KEYS_PER_ROW: Final = 10_000


_key_relations: weakref.WeakKeyDictionary[KeySet, dict[tuple[int, str], DataFrame]] = weakref.WeakKeyDictionary()
"""The relations of subjects, by the id of the session and the form of the keys."""
_key_relations_lock: Final = make_lock()


def key_relation(session: SparkSession, keys: KeySet, form: str) -> DataFrame:
    """Return subjects as a relation with one column. The relation is cached as long as the set of keys lives.

    Args:
        session: The Spark session.
        keys: The subjects.
        form: The form of the keys: `ints`, `texts` or `uuids`.
    """
    with _key_relations_lock:
        relations = _key_relations.setdefault(keys, {})
    relation = relations.get((id(session), form))
    if relation is None:
        new_relation = _make_key_relation(session, getattr(keys, form), whole=form == "ints")
        relation = relations.setdefault((id(session), form), new_relation)
    return relation


def _make_key_relation(session: SparkSession, keys: Sequence[Any], *, whole: bool) -> DataFrame:
    """Return keys as a relation.

    Its plan holds few rows of many keys each. Spark handles each row of a local relation by itself whenever it plans,
    and sends it to a task as an object.
    """
    type_: T.DataType = T.LongType() if whole else T.StringType()
    chunks = [keys[start : start + _KEYS_PER_ROW] for start in range(0, len(keys), _KEYS_PER_ROW)]
    schema = T.StructType([T.StructField(_KEY, T.ArrayType(type_, containsNull=False), nullable=False)])
    data: Any = [(chunk,) for chunk in chunks]
    if importlib.util.find_spec("pyarrow") is not None:
        import pyarrow as pa  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]  # optional, and quicker

        data = pa.table({_KEY: pa.array(chunks, pa.list_(pa.int64() if whole else pa.string()))})
    return session.createDataFrame(data, schema).select(F.explode(_KEY).alias(_KEY))


def filter_frame(frame: DataFrame, rule: RowRule) -> DataFrame:
    """Return the frame with only the rows that may be used. Its columns must have the names in the rule."""
    columns = {field.name: (field.name, field.dataType) for field in frame.schema.fields}
    return frame.where(SparkConditions(rule, columns, frame.sparkSession).column_of_rule())


_KINDS: Final[tuple[tuple[type[T.DataType] | tuple[type[T.DataType], ...], str], ...]] = (
    ((T.ByteType, T.ShortType, T.IntegerType, T.LongType), "whole"),
    (T.StringType, "text"),
    (T.DateType, "date"),
    (T.TimestampType, "moment"),
)
"""The names that `SqlConditions` uses for Spark's types."""

_COMBINATIONS: Final[Mapping[type[exp.Expr], Callable[..., Column]]] = {
    exp.Paren: lambda part: part,
    exp.Not: lambda part: ~part,
    exp.And: operator.and_,
    exp.Or: operator.or_,
}


class SparkConditions(SqlConditions):
    """Row conditions over the columns of a frame.

    `columns` maps each column of the rule to its name in the frame and its type.
    """

    def __init__(self, rule: RowRule, columns: Mapping[str, tuple[str, T.DataType]], session: SparkSession) -> None:
        super().__init__(rule, NameRules(DIALECT))
        self._columns: Final = columns
        self._session: Final = session
        self._queries: Final[dict[str, Column]] = {}

    def column_of_rule(self) -> Column:
        """Return the condition of the rule as a column. It fails at run time for a row without a known source."""
        test, source = self.column_of(self.render()), self._rule.source
        if source is None:
            return test
        where, text = self._columns[source][0], self.column(source)
        unknown_text = f"CONCAT(SUBSTR({text}, 1, 60), {quote_text(f'`, in `{where}`: the notice has no such source')})"
        none = f"a row names no source, in `{where}`: nothing says what it may be used for"
        otherwise = (
            exp.case()
            .when(self.source_in(source, self._rule.permitted), self.constant(value=False))
            .when(self.absent(source), self._failure(none, self._nothing_of(source), source))
            .else_(self._failure("unknown source `", unknown_text, source))
        )
        denied = self.column_of(self.source_in(source, self._rule.known - self._rule.permitted))
        # This is one expression, so that Spark cannot drop failing rows by a part of it. Most rows are decided by its
        # first branches.
        return F.when(denied, F.lit(False)).when(test, F.lit(True)).otherwise(self.column_of(otherwise))

    def column_of(self, condition: exp.Expr) -> Column:
        """Convert a condition to a Spark column.

        Queries over many subjects are inserted as columns, because SQL text cannot name their relations.
        """
        if isinstance(condition, exp.Var):
            return self._queries[condition.name]
        if any(part.name in self._queries for part in condition.find_all(exp.Var)):
            return _COMBINATIONS[type(condition)](*map(self.column_of, condition.iter_expressions()))
        return F.expr(condition.transform(_protect_text).sql(dialect=DIALECT))

    # ---- columns of the frame --------------------------------------------------------------------------------------

    def column(self, name: str) -> str:
        """Return the SQL for a column of the rule."""
        return _make_named_column(self._columns[name][0])

    def _find_kind(self, column: str) -> str | None:
        type_ = self._columns[column][1]
        if isinstance(type_, T.DecimalType) and type_.scale == 0:
            return "larger"
        for classes, kind in _KINDS:
            if isinstance(type_, classes):
                return kind
        return None

    def kind(self, column: str) -> str:
        """Return the kind of a column's type.

        Raises:
            UnlabelledData: the type of the column holds neither days nor ids.
        """
        kind = self._find_kind(column)
        where, type_ = self._columns[column]
        type_name = type_.simpleString()
        if column in (self._rule.collected, self._rule.ended):
            if kind in ("date", "moment"):
                return kind
            raise values.naive(where) if isinstance(type_, T.TimestampNTZType) else values.not_days(where, type_name)
        if kind is None or kind in ("date", "moment"):
            raise values.not_subjects(where, type_name)
        return kind

    # ---- SQL of Spark ----------------------------------------------------------------------------------------------

    def source_in(self, column: str, ids: frozenset[str], /) -> exp.Expr:
        """Return the condition that a row has one of these sources. It is null for a row without a source."""
        if self._find_kind(column) != "text":
            raise values.not_sources(column, self._columns[column][1].simpleString())
        forms = [form for form, id_ in spellings(self._rule.notice).items() if id_ in ids]
        return self.among_texts(self._parse_template("{c}", column), forms)

    def days_in(
        self, column: str, since: datetime.date | None, before: datetime.date | None, timezone: str, /
    ) -> exp.Expr:
        """Return the condition that a day lies in a range.

        Python's first day is not a bound, because Spark has earlier days.
        """
        return super().days_in(column, None if since == datetime.date.min else since, before, timezone)

    def _moment(self, timezone: str, day: datetime.date) -> exp.Expr:
        begin = exp.Literal.number(values.day_to_tick(day, timezone, "us"))
        return exp.Anonymous(this="TIMESTAMP_MICROS", expressions=[begin])  # a cast would depend on settings

    def subject_in(self, column: str, keys: KeySet, /) -> exp.Expr:
        """Return the condition that a row is about one of these subjects."""
        condition = super().subject_in(column, keys)
        # The bare query does not match nulls either, and Spark can turn it into an anti-join.
        query = condition.find(exp.Var) if self.kind(column) in ("whole", "larger") else None
        return condition if query is None or query.name not in self._queries else query

    def among(self, value: exp.Expr, keys: KeySet, form: str) -> exp.Expr:
        """Return the condition that a value is one of the keys. For many keys, it is the placeholder of a query."""
        if len(getattr(keys, form)) <= MOST_IN_A_CONDITION:
            return super().among(value, keys, form)
        relation = F.broadcast(key_relation(self._session, keys, form))
        query = f"purposeguard_query_{len(self._queries)}"
        self._queries[query] = relation.where(F.col(_KEY) == self.column_of(value).outer()).exists()
        return exp.var(query)

    def _text_in(self, column: str, text: exp.Expr, keys: KeySet) -> exp.Expr:
        text = exp.Trim(this=text)  # columns of a fixed width are padded with blanks
        no_id = self._unless_odd(column, text).else_(self.constant(value=False))
        # The test stands beside the other conditions, because `column_of` inserts queries only into AND, OR and NOT.
        return exp.or_(no_id, super()._text_in(column, text, keys))


def quote_column(name: str) -> str:
    """Quote the name of a column for Spark."""
    return "`" + name.replace("`", "``") + "`"


def are_told_apart(names: Sequence[str]) -> bool:
    """Return True if the names of columns differ in more than case, so that Spark can tell them apart."""
    return len(set(map(str.casefold, names))) == len(names)


def quote_text(text: str) -> str:
    """Quote a text for Spark, so that it is safe under all settings of the parser."""
    # The meaning of escapes depends on settings, even in a raw literal, and `${` begins a variable anywhere.
    return f"'{text}'" if _is_plain(text) else f"CAST(X'{text.encode().hex()}' AS string)"


def _is_plain(text: str) -> bool:
    return re.search(r"""[\\'"\x00-\x1f]|\$\{""", text) is None


def _protect_text(part: exp.Expr) -> exp.Expr:
    """Return a part of a condition. A text becomes an expression that means the same under all settings."""
    if not part.is_string or _is_plain(part.name):
        return part
    return parse_one(quote_text(part.name), dialect=DIALECT)


def _make_named_column(name: str) -> str:
    """Return the SQL for a column of this name."""
    return f"identifier({quote_text(quote_column(name))})" if "${" in name else quote_column(name)


# ---- columns of a frame ----------------------------------------------------------------------------------------------


def select_columns(frame: DataFrame, makers: Mapping[int, Callable[[Column, str], Column]]) -> DataFrame:
    """Select columns by position, even if names are ambiguous.

    Args:
        frame: The frame.
        makers: A function for each selected position. It makes the new column from the column and its name.
    """
    names = frame.columns
    if are_told_apart(names):
        plain = names
    else:
        plain = [f"c{place}" for place in range(len(names))]
        frame = frame.toDF(*plain)
    columns: list[Column] = []
    for place, make_column in makers.items():
        columns.append(make_column(F.col(quote_column(plain[place])), names[place]))
    return frame.select(*columns)


def by_relation(plan: TracedPlan, atoms: Iterable[Atom]) -> dict[tuple[int, str], list[str]]:
    """Group atoms by relation and row rule. Return the names of the columns in each group, in order."""
    names: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for relation, column, rule in sorted(set(map(_COLUMN_AND_RULE, atoms))):
        names[relation, rule].append(plan.relations[relation].names[column])
    return names


_COLUMN_AND_RULE: Final = operator.attrgetter("relation", "column", "kept")


def any_of(plan: TracedPlan, number: int) -> str:
    """Return the name of an output that holds a column of this relation unchanged.

    Raises:
        UnlabelledData: there is no such output with a unique name.
    """
    counts = _count_names(plan)
    for name, _ in _iter_unchanged_outputs(plan, number):
        if counts[name] == 1:
            return name
    relation = plan.relations[number].name
    raise UnlabelledData(f"no column {f'of `{relation}` ' if relation else ''}is in the frame as it was read: keep one")


def _count_names(plan: TracedPlan) -> Counter[str]:
    """Return how many outputs have each name."""
    return Counter(name for name, _ in plan.outputs)


def _iter_unchanged_outputs(plan: TracedPlan, number: int) -> Iterator[tuple[str, Atom]]:
    """Yield the names of the outputs that hold a column of this relation unchanged, each with the column."""
    for name, flow in plan.outputs:
        if flow.same is not None and flow.same.relation == number:
            yield name, flow.same


def places_of(frame: DataFrame, plan: TracedPlan, number: int, rule: RowRule) -> dict[str, tuple[str, Any]]:
    """Return the name and type in the frame of each column of a rule.

    Raises:
        UnlabelledData: a column is not in the frame any more, or its name is ambiguous.
    """
    types = {field.name: field.dataType for field in frame.schema.fields}
    counts = _count_names(plan)
    output_names: dict[str, str] = {}
    for name, atom in _iter_unchanged_outputs(plan, number):
        output_names.setdefault(plan.name_of(atom), name)
    placed: dict[str, tuple[str, Any]] = {}
    for column in rule.columns:
        output_name = output_names.get(column)
        if output_name is None or counts[output_name] != 1:
            reason = "not in the frame any more" if output_name is None else "there under a name of two columns"
            relation = plan.relations[number].name
            column_name = f"`{relation}.{column}`" if relation else f"`{column}`"
            raise UnlabelledData(
                f"{column_name} says what may be done with each row, and is {reason}: keep it until then"
            )
        placed[column] = output_name, types[output_name]
    return placed
