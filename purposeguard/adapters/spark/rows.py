"""The row rule of Spark: a condition of SQL that Spark runs itself, with no function of Python and without collecting.

Few subjects stand in the condition; of many a relation is made, which Spark broadcasts.
"""

from __future__ import annotations

import datetime
import importlib.util
import operator
import re
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # as everybody calls it
from pyspark.sql import types as T  # noqa: N812  # likewise
from sqlglot import exp, parse_one

from purposeguard.adapters import row_values as values
from purposeguard.adapters.row_rule import KeySet, RowRule, spellings
from purposeguard.adapters.spark.lineage import Atom
from purposeguard.adapters.spark.operators import TracedPlan
from purposeguard.adapters.sql.rows import SqlConditions
from purposeguard.adapters.sql.scopes import NameRules
from purposeguard.errors import UnlabelledData
from purposeguard.locks import make_lock

DIALECT: Final = "spark"

MOST_IN_A_CONDITION: Final = 500
"""Subjects that stand in the condition itself."""

_KEY: Final = "purposeguard_subject"


_made: weakref.WeakKeyDictionary[KeySet, dict[tuple[int, str], DataFrame]] = weakref.WeakKeyDictionary()
_making: Final = make_lock()


def key_relation(session: SparkSession, keys: KeySet, form: str) -> DataFrame:
    """Subjects as a relation of one column, made once as long as the set lives; `form`: `ints`, `texts` or `uuids`."""
    with _making:
        made = _made.setdefault(keys, {})
    relation = made.get((id(session), form))
    if relation is None:
        relation = made.setdefault((id(session), form), _relation(session, getattr(keys, form), whole=form == "ints"))
    return relation


def _relation(session: SparkSession, keys: Sequence[Any], *, whole: bool) -> DataFrame:
    type_: T.DataType = T.LongType() if whole else T.StringType()
    schema = T.StructType([T.StructField(_KEY, type_, nullable=False)])
    if importlib.util.find_spec("pyarrow") is None:
        return session.createDataFrame([(key,) for key in keys], schema)
    import pyarrow as pa  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]  # quicker, and not needed

    held = pa.array(keys, pa.int64() if whole else pa.string())
    return session.createDataFrame(pa.table({_KEY: held}), schema)


def filter_frame(frame: DataFrame, rule: RowRule) -> DataFrame:
    """Return the rows of a frame that may be used, when an action runs; columns have the names that the rule gives."""
    columns = {field.name: (field.name, field.dataType) for field in frame.schema.fields}
    return frame.where(SparkConditions(rule, columns, frame.sparkSession).column_of_rule())


_KINDS: Final = (
    *((whole, "whole") for whole in (T.ByteType, T.ShortType, T.IntegerType, T.LongType)),
    (T.StringType, "text"),
    (T.DateType, "date"),
    (T.TimestampType, "moment"),
)
"""How `SqlConditions` calls the types of Spark."""

_JOINED: Final[Mapping[type[exp.Expr], Callable[..., Column]]] = {
    exp.Paren: lambda part: part,
    exp.Not: lambda part: ~part,
    exp.And: operator.and_,
    exp.Or: operator.or_,
}


class SparkConditions(SqlConditions):
    """Conditions over the columns of a frame, whose types are known.

    `columns`: the name in the frame of each column of the rule, and its type.
    """

    def __init__(self, rule: RowRule, columns: Mapping[str, tuple[str, T.DataType]], session: SparkSession) -> None:
        super().__init__(rule, NameRules(DIALECT))
        self._columns: Final = columns
        self._session: Final = session
        self._queries: Final[dict[str, Column]] = {}

    def column_of_rule(self) -> Column:
        """Return the rows that may be used. It fails where a row names no source, or one that means nothing."""
        test, source = self.column_of(self.render()), self._rule.source
        if source is None:
            return test
        where, text = self._columns[source][0], self.column(source)
        said = f"CONCAT(SUBSTR({text}, 1, 60), {quote_text(f'`, in `{where}`: the notice has no such source')})"
        none = f"a row names no source, in `{where}`: nothing says what it may be used for"
        otherwise = (
            exp.case()
            .when(self.source_in(source, self._rule.permitted), self.constant(value=False))
            .when(self.absent(source), self._failure(none, self._nothing_of(source), source))
            .else_(self._failure("unknown source `", said, source))
        )
        denied = self.column_of(self.source_in(source, self._rule.known - self._rule.permitted))
        # One expression, so that Spark cannot leave such rows out by a part of it; most rows end at its first lines.
        return F.when(denied, F.lit(False)).when(test, F.lit(True)).otherwise(self.column_of(otherwise))

    def column_of(self, condition: exp.Expr) -> Column:
        """A condition as Spark has it. Queries over many subjects are put in: no text can name their relations."""
        if isinstance(condition, exp.Var):
            return self._queries[condition.name]
        if any(part.name in self._queries for part in condition.find_all(exp.Var)):
            return _JOINED[type(condition)](*map(self.column_of, condition.iter_expressions()))
        return F.expr(condition.transform(_as_it_is).sql(dialect=DIALECT))

    # ---- what the frame says of its columns ------------------------------------------------------------------------

    def column(self, name: str) -> str:
        """As of any."""
        return _make_named_column(self._columns[name][0])

    def _known_kind(self, column: str) -> str | None:
        type_ = self._columns[column][1]
        if isinstance(type_, T.DecimalType) and type_.scale == 0:
            return "larger"
        return next((kind for known, kind in _KINDS if isinstance(type_, known)), None)

    def kind(self, column: str) -> str:
        """As of any; raises UnlabelledData where the column holds no days, or no ids."""
        kind, (where, type_) = self._known_kind(column), self._columns[column]
        type_name = type_.simpleString()
        if column in (self._rule.collected, self._rule.ended):
            if kind in ("date", "moment"):
                return kind
            raise values.naive(where) if isinstance(type_, T.TimestampNTZType) else values.not_days(where, type_name)
        if kind is None or kind in ("date", "moment"):
            raise values.not_subjects(where, type_name)
        return kind

    # ---- words of Spark --------------------------------------------------------------------------------------------

    def source_in(self, column: str, ids: frozenset[str], /) -> exp.Expr:
        """Return rows whose source is one of these; null for a row without one, at which `column_of_rule` fails."""
        if self._known_kind(column) != "text":
            raise values.not_sources(column, self._columns[column][1].simpleString())
        forms = [form for form, id_ in spellings(self._rule.notice).items() if id_ in ids]
        return self.among_texts(self._parse_template("{c}", column), forms)

    def days_in(
        self, column: str, since: datetime.date | None, before: datetime.date | None, timezone: str, /
    ) -> exp.Expr:
        """As of any; Spark has days before the first that Python has."""
        return super().days_in(column, None if since == datetime.date.min else since, before, timezone)

    def _moment(self, timezone: str, day: datetime.date) -> exp.Expr:
        begin = exp.Literal.number(values.day_to_tick(day, timezone, "us"))
        return exp.Anonymous(this="TIMESTAMP_MICROS", expressions=[begin])  # a cast hangs on settings

    def subject_in(self, column: str, keys: KeySet, /) -> exp.Expr:
        """As of any."""
        condition = super().subject_in(column, keys)
        # A query finds no null either, and by itself Spark makes an anti-join of it.
        query = condition.find(exp.Var) if self.kind(column) in ("whole", "larger") else None
        return condition if query is None or query.name not in self._queries else query

    def among(self, value: exp.Expr, keys: KeySet, form: str) -> exp.Expr:
        """As of any; of many keys a query, for which a name stands until it is put in."""
        if len(getattr(keys, form)) <= MOST_IN_A_CONDITION:
            return super().among(value, keys, form)
        relation = F.broadcast(key_relation(self._session, keys, form))
        query = f"purposeguard_query_{len(self._queries)}"
        self._queries[query] = relation.where(F.col(_KEY) == self.column_of(value).outer()).exists()
        return exp.var(query)

    def _text_in(self, column: str, text: exp.Expr, keys: KeySet) -> exp.Expr:
        text = exp.Trim(this=text)  # columns of a fixed width are filled with blanks
        no_id = self._unless_odd(column, text).else_(self.constant(value=False))
        # Beside the others, and not around them: queries are put in between AND, OR and NOT alone.
        return exp.or_(no_id, super()._text_in(column, text, keys))


def quote_column(name: str) -> str:
    """Return a column's name as Spark reads it, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def are_told_apart(names: Sequence[str]) -> bool:
    """Return True if Spark tells columns apart by their names, of which capitals do not count."""
    return len({name.casefold() for name in names}) == len(names)


def quote_text(text: str) -> str:
    """Return a text as Spark reads it, by every setting of its parser, whatever is in it."""
    # What these stand for hangs on settings, even in a raw literal; and `${` begins a variable wherever it stands.
    return f"'{text}'" if _is_plain(text) else f"CAST(X'{text.encode().hex()}' AS string)"


def _is_plain(text: str) -> bool:
    return re.search(r"""[\\'"\x00-\x1f]|\$\{""", text) is None


def _as_it_is(part: exp.Expr) -> exp.Expr:
    return parse_one(quote_text(part.name), dialect=DIALECT) if part.is_string and not _is_plain(part.name) else part


def _make_named_column(name: str) -> str:
    """Return a column, by its name as text."""
    return f"identifier({quote_text(quote_column(name))})" if "${" in name else quote_column(name)


# ---- columns of a frame ----------------------------------------------------------------------------------------------


def select_columns(frame: DataFrame, made: Mapping[int, Callable[[Column, str], Column]]) -> DataFrame:
    """Return columns by their places, whatever their names, each made of the column and its name."""
    names = frame.columns
    if are_told_apart(names):
        plain = names
    else:
        plain = [f"c{place}" for place in range(len(names))]
        frame = frame.toDF(*plain)
    return frame.select(*(make(F.col(quote_column(plain[place])), names[place]) for place, make in made.items()))


def by_relation(plan: TracedPlan, atoms: Iterable[Atom]) -> dict[tuple[int, str], list[str]]:
    """Return the columns of each relation, in their order, apart by the rule that their rows met."""
    named: dict[tuple[int, str], list[str]] = {}
    for relation, column, rule in sorted({(atom.relation, atom.column, atom.kept) for atom in atoms}):
        named.setdefault((relation, rule), []).append(plan.relations[relation].names[column])
    return named


def any_of(plan: TracedPlan, number: int) -> str:
    """Return a column of a relation that is in the frame."""
    all_names = [name for name, _ in plan.outputs]
    names = [name for name, flow in plan.outputs if flow.same is not None and flow.same.relation == number]
    unique = next((name for name in names if all_names.count(name) == 1), None)
    if unique is None:
        what = plan.relations[number].name
        raise UnlabelledData(f"no column {f'of `{what}` ' if what else ''}is in the frame as it was read: keep one")
    return unique


def places_of(frame: DataFrame, plan: TracedPlan, number: int, rule: RowRule) -> dict[str, tuple[str, Any]]:
    """What the columns of a rule are called in the frame, and their types."""
    types = {field.name: field.dataType for field in frame.schema.fields}
    names = [name for name, _ in plan.outputs]
    placed: dict[str, tuple[str, Any]] = {}
    for column in rule.columns:
        held = [
            name
            for name, flow in plan.outputs
            if flow.same is not None and flow.same.relation == number and plan.name_of(flow.same) == column
        ]
        if not held or names.count(held[0]) != 1:
            there = "there under a name of two columns" if held else "not in the frame any more"
            relation = plan.relations[number].name
            what = f"`{relation}.{column}`" if relation else f"`{column}`"
            raise UnlabelledData(f"{what} says what may be done with each row, and is {there}: keep it until then")
        placed[column] = held[0], types[held[0]]
    return placed
