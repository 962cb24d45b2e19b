"""The row rule of Spark: a condition that Spark runs itself, without a function of Python and without collecting.

Few subjects stand in the condition; of many a relation is made, which Spark broadcasts.
"""

from __future__ import annotations

import datetime
import functools
import importlib.util
import operator
import re
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # as everybody calls it
from pyspark.sql import types as T  # noqa: N812  # likewise

from purposeguard.adapters.row_rule import LONGEST, NO_ID, UUID_MARKS, UUID_PREFIX, KeySet, RowRule, rendered, spellings
from purposeguard.adapters.spark.lineage import Atom
from purposeguard.adapters.spark.operators import Traced
from purposeguard.errors import UnlabelledData
from purposeguard.locks import new_lock

MOST_IN_A_CONDITION: Final = 500
"""Subjects that stand in the condition itself."""

_KEY: Final = "purposeguard_subject"


class KeyRelations:
    """The relations of subjects that were made for a session: one for each set of them, as long as that lives."""

    def __init__(self) -> None:
        self._made: weakref.WeakKeyDictionary[KeySet, dict[tuple[int, str], DataFrame]] = weakref.WeakKeyDictionary()
        self._lock = new_lock()

    def relation(self, session: SparkSession, keys: KeySet, form: str) -> DataFrame:
        """Subjects as a relation of one column; `form` is `ints`, `texts` or `uuids`."""
        with self._lock:
            made = self._made.setdefault(keys, {})
        relation = made.get((id(session), form))
        if relation is None:
            relation = made.setdefault(
                (id(session), form), _relation(session, getattr(keys, form), whole=form == "ints")
            )
        return relation


def _relation(session: SparkSession, keys: Sequence[Any], *, whole: bool) -> DataFrame:
    type_: T.DataType = T.LongType() if whole else T.StringType()
    schema = T.StructType([T.StructField(_KEY, type_, nullable=False)])
    if importlib.util.find_spec("pyarrow") is None:
        return session.createDataFrame([(key,) for key in keys], schema)
    import pyarrow as pa  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]  # quicker, and not needed

    held = pa.array(keys, pa.int64() if whole else pa.string())
    return session.createDataFrame(pa.table({_KEY: held}), schema)


_KEY_RELATIONS: Final = KeyRelations()


def filtered(frame: DataFrame, rule: RowRule) -> DataFrame:
    """Returns the rows of a frame that may be used, when an action runs; columns have the names that the rule gives."""
    columns = {field.name: (field.name, field.dataType) for field in frame.schema.fields}
    return frame.where(SparkRenderer(rule, columns, frame.sparkSession, _KEY_RELATIONS).condition())


class SparkRenderer:
    """Renders a rule as a Spark column (see `Renderer`).

    `columns`: the name in the frame of each column of the rule, and its type.
    """

    def __init__(
        self,
        rule: RowRule,
        columns: Mapping[str, tuple[str, T.DataType]],
        session: SparkSession,
        key_relations: KeyRelations,
    ) -> None:
        self._rule = rule
        self._columns = columns
        self._session = session
        self._key_relations = key_relations

    def condition(self) -> Column:
        """The rows that may be used. It fails where a row names no source, or one that means nothing."""
        test = rendered(self._rule, self)
        if self._rule.source is None:
            return test
        column = self._text_of_source(self._rule.source)
        where = self._columns[self._rule.source][0]
        none = literal(f"a row names no source, in `{where}`: nothing says what it may be used for")
        tail = literal(f"`, in `{where}`: the notice has no such source")
        unknown = f"concat({literal('unknown source `')}, substring({column}, 1, 60), {tail})"
        clauses = spellings(self._rule.notice)
        permitted = {form for form, clause in clauses.items() if clause in self._rule.permitted}
        otherwise = (
            f"CASE WHEN {_in(column, permitted)} THEN false "
            f"WHEN {column} IS NULL THEN CAST(raise_error({none}) AS boolean) "
            f"ELSE CAST(raise_error({unknown}) AS boolean) END"
        )
        denied = _in(column, clauses.keys() - permitted)
        # One expression, so that Spark cannot leave such rows out by a part of it; most rows end at its first lines.
        return F.when(F.expr(denied), F.lit(False)).when(test, F.lit(True)).otherwise(F.expr(otherwise))

    def _column(self, name: str) -> Column:
        return F.col(quoted(self._columns[name][0]))

    def constant(self, *, value: bool) -> Column:
        """Every row, or no row."""
        return F.lit(value)

    def all_of(self, parts: Sequence[Column], /) -> Column:
        """Rows that are in each."""
        return functools.reduce(operator.and_, parts)

    def any_of(self, parts: Sequence[Column], /) -> Column:
        """Rows that are in one of them."""
        return functools.reduce(operator.or_, parts)

    def negated(self, part: Column, /) -> Column:
        """The other rows."""
        return ~part

    def absent(self, column: str, /) -> Column:
        """Rows in which the column is null."""
        return self._column(column).isNull()

    # ---- sources -----------------------------------------------------------------------------------------------------
    #
    # As text: each Column is made by several calls of the JVM, and a notice has a hundred spellings of its sources.

    def source_in(self, column: str, clauses: frozenset[str], /) -> Column:
        """Rows whose source is one of these; that it is one at all is seen to by `condition`."""
        usual = (form for form, clause in spellings(self._rule.notice).items() if clause in clauses)
        return F.expr(f"coalesce({_in(self._text_of_source(column), usual)}, false)")

    def _text_of_source(self, name: str) -> str:
        column, type_ = self._columns[name]
        if not isinstance(type_, T.StringType):
            raise UnlabelledData(
                f"`{column}` is marked RowSource, and holds {type_.simpleString()}: ids of sources are text"
            )
        return _named(column)

    # ---- days --------------------------------------------------------------------------------------------------------

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None, /) -> Column:
        """Rows that hold a day of these; a null is in none."""
        held_in, type_ = self._columns[column]
        bound: Callable[[datetime.date], Column]
        if isinstance(type_, T.DateType):
            bound = F.lit
        elif isinstance(type_, T.TimestampType):
            bound = self._begin
        else:
            raise UnlabelledData(
                f"`{held_in}` is marked to hold a day, and holds {type_.simpleString()}: cast it to a date, or to a "
                "timestamp with its time zone"
            )
        here = self._column(column)
        parts = [here.isNotNull()]
        if since is not None and since != datetime.date.min:
            parts.append(here >= bound(since))
        if before is not None:
            parts.append(here < bound(before))
        return F.coalesce(functools.reduce(operator.and_, parts), F.lit(False))

    def _begin(self, day: datetime.date) -> Column:
        """The moment at which a day begins where the notice counts days."""
        moment = datetime.datetime.combine(day, datetime.time(), ZoneInfo(self._rule.timezone))
        return F.timestamp_micros(F.lit(round((moment - _EPOCH) / _MICROSECOND)))

    # ---- subjects ----------------------------------------------------------------------------------------------------

    def subject_in(self, column: str, keys: KeySet, /) -> Column:
        """Rows whose id, in any spelling, is one of these; a null is none of them."""
        held_in, type_ = self._columns[column]
        if isinstance(type_, (T.ByteType, T.ShortType, T.IntegerType, T.LongType)):
            return self._one_of(column, lambda here: here.cast("bigint"), keys, "ints")
        if isinstance(type_, T.DecimalType) and type_.scale == 0:
            return self._one_of(column, lambda here: here.cast("string"), keys, "texts")
        if not isinstance(type_, T.StringType):
            raise UnlabelledData(
                f"`{held_in}` is marked Subject, and holds {type_.simpleString()}: ids are whole numbers or text"
            )
        here = F.trim(self._column(column))  # columns of a fixed width are filled with blanks
        odd = F.coalesce(here.rlike(NO_ID) | (F.length(here) > LONGEST), F.lit(False))
        refusal = (
            f"`{held_in}` is marked Subject, and a row holds a text that is no id: an id has 1 to {LONGEST} characters"
        )
        no_id = F.raise_error(F.lit(f"{refusal} that print"))
        # Beside the others, and not around them: so Spark makes a join of what may be many subjects.
        parts = [F.when(odd, no_id.cast("boolean")).otherwise(F.lit(False))]
        parts.append(self._one_of(column, F.trim, keys, "texts"))
        if keys.uuids:
            parts.append(self._one_of(column, lambda part: _digits_of_uuid(F.trim(part)), keys, "uuids"))
        return self.any_of(parts)

    def _one_of(self, column: str, form: Callable[[Column], Column], keys: KeySet, which: str) -> Column:
        held: tuple[Any, ...] = getattr(keys, which)
        here = self._column(column)
        if not held:
            return F.lit(False)
        if len(held) <= MOST_IN_A_CONDITION:
            return F.coalesce(form(here).isin(list(held)), F.lit(False))
        relation = F.broadcast(self._key_relations.relation(self._session, keys, which))
        return relation.where(F.col(_KEY) == form(here.outer())).exists()


_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)


def quoted(name: str) -> str:
    """A column's name as Spark reads it, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def are_told_apart(names: Sequence[str]) -> bool:
    """True if Spark tells columns apart by their names, of which capitals do not count."""
    return len({name.casefold() for name in names}) == len(names)


def literal(text: str) -> str:
    """A text as Spark reads it, by every setting of its parser, whatever is in it."""
    # What these stand for hangs on settings, even in a raw literal; and `${` begins a variable wherever it stands.
    if re.search(r"""[\\'"]|\$\{""", text) is None:
        return f"'{text}'"
    return f"CAST(X'{text.encode().hex()}' AS string)"


def _named(name: str) -> str:
    """A column, by its name as text."""
    return f"identifier({literal(quoted(name))})" if "${" in name else quoted(name)


def _in(column: str, texts: Iterable[str]) -> str:
    listed = ", ".join(map(literal, sorted(texts)))
    return f"({column} IN ({listed}))" if listed else "false"


def _digits_of_uuid(column: Column) -> Column:
    marks = "[" + "".join(f"\\{mark}" for mark in UUID_MARKS) + "]"
    return F.regexp_replace(F.regexp_replace(F.lower(column), f"^{UUID_PREFIX}", ""), marks, "")


# ---- columns of a frame ----------------------------------------------------------------------------------------------


def selected(frame: DataFrame, made: Mapping[int, Callable[[Column, str], Column]]) -> DataFrame:
    """Columns by their places, whatever their names, each made of the column and its name."""
    names = frame.columns
    if are_told_apart(names):
        plain = names
    else:
        plain = [f"c{place}" for place in range(len(names))]
        frame = frame.toDF(*plain)
    return frame.select(*(make(F.col(quoted(plain[place])), names[place]) for place, make in made.items()))


def by_relation(plan: Traced, atoms: Iterable[Atom]) -> dict[tuple[int, int], list[str]]:
    """The columns of each relation, in their order, apart by the rule that their rows met."""
    named: dict[tuple[int, int], list[str]] = {}
    for relation, column, rule_number in sorted({(atom.relation, atom.column, atom.kept) for atom in atoms}):
        named.setdefault((relation, rule_number), []).append(plan.relations[relation].names[column])
    return named


def any_of(plan: Traced, number: int) -> str:
    """A column of a relation that is in the frame."""
    all_names = [name for name, _ in plan.outputs]
    names = [name for name, flow in plan.outputs if flow.same is not None and flow.same.relation == number]
    unique = next((name for name in names if all_names.count(name) == 1), None)
    if unique is None:
        what = plan.relations[number].name
        raise UnlabelledData(f"no column {f'of `{what}` ' if what else ''}is in the frame as it was read: keep one")
    return unique


def places_of(frame: DataFrame, plan: Traced, number: int, rule: RowRule) -> dict[str, tuple[str, Any]]:
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
