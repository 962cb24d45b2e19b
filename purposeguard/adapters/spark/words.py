"""Row rules in the words of Spark: conditions that it runs itself, without a function of Python and without collecting.

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

from purposeguard.adapters.rowrule import LONGEST, NO_ID, UUID_MARKS, UUID_PREFIX, KeySet, RowRule, rendered, spellings
from purposeguard.errors import UnlabelledData
from purposeguard.locks import new_lock
from purposeguard.notice.vocabulary import fold

MOST_IN_A_CONDITION: Final = 500
"""Subjects that stand in the condition itself."""

_KEY: Final = "purposeguard_subject"

_ENCLOSED: Final = ("①②③④⑤⑥⑦⑧⑨", "➀➁➂➃➄➅➆➇➈", "❶❷❸❹❺❻❼❽❾", "➊➋➌➍➎➏➐➑➒")
_BETWEEN: Final = "\t\n\x0b\f\r_.,()[]§:/-\N{HYPHEN}\N{EN DASH}\N{IDEOGRAPHIC SPACE}"
"""What stands between the numbers and words of an id, besides a blank."""

_WIDE: Final = "".join(map(chr, range(0xFF01, 0xFF5F)))
_PLAIN: Final = "".join(" " if (one := chr(code - 0xFEE0)) in _BETWEEN else one for code in range(0xFF01, 0xFF5F))


class Roll:
    """The relations of subjects that were made for a session: one for each set of them, as long as that lives."""

    def __init__(self) -> None:
        self._made: weakref.WeakKeyDictionary[KeySet, dict[tuple[int, str], DataFrame]] = weakref.WeakKeyDictionary()
        self._lock = new_lock()

    def relation(self, session: SparkSession, keys: KeySet, form: str) -> DataFrame:
        """Subjects as a relation of one column; `form` is `ints`, `texts` or `uuids`."""
        with self._lock:
            made = self._made.setdefault(keys, {})
        found = made.get((id(session), form))
        if found is None:
            found = made.setdefault((id(session), form), _relation(session, getattr(keys, form), whole=form == "ints"))
        return found


def _relation(session: SparkSession, keys: Sequence[Any], *, whole: bool) -> DataFrame:
    type_: T.DataType = T.LongType() if whole else T.StringType()
    schema = T.StructType([T.StructField(_KEY, type_, nullable=False)])
    if importlib.util.find_spec("pyarrow") is None:
        return session.createDataFrame([(one,) for one in keys], schema)
    import pyarrow as pa  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]  # quicker, and not needed

    held = pa.array(keys, pa.int64() if whole else pa.string())
    return session.createDataFrame(pa.table({_KEY: held}), schema)


class SparkWords:
    """The words in which a rule is said to Spark, over a frame with these columns.

    `columns`: what a column of the rule is called in the frame, and its type.
    """

    def __init__(
        self, rule: RowRule, columns: Mapping[str, tuple[str, T.DataType]], session: SparkSession, roll: Roll
    ) -> None:
        self._rule = rule
        self._columns = columns
        self._session = session
        self._roll = roll

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
        unusual = (
            f"CASE WHEN {self._means(column, self._rule.known)} THEN false "
            f"WHEN {column} IS NULL THEN CAST(raise_error({none}) AS boolean) "
            f"ELSE CAST(raise_error({unknown}) AS boolean) END"
        )
        every = spellings(self._rule.notice)
        denied = _in(column, (form for form, clause in every.items() if clause not in self._rule.permitted))
        # One expression, so that Spark cannot leave such rows out by a part of it; most rows end at its first lines.
        return F.when(F.expr(denied), F.lit(False)).when(test, F.lit(True)).otherwise(F.expr(unusual))

    def _column(self, name: str) -> Column:
        return F.col(quoted(self._columns[name][0]))

    def true(self) -> Column:
        """Every row."""
        return F.lit(True)

    def false(self) -> Column:
        """No row."""
        return F.lit(False)

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
        return F.expr(self._means(self._text_of_source(column), clauses))

    def _text_of_source(self, name: str) -> str:
        found, type_ = self._columns[name]
        if not isinstance(type_, T.StringType):
            raise UnlabelledData(
                f"`{found}` is marked RowSource, and holds {type_.simpleString()}: ids of sources are text"
            )
        return _named(found)

    def _means(self, column: str, clauses: frozenset[str]) -> str:
        every = spellings(self._rule.notice)
        usual = [form for form, clause in every.items() if clause in clauses]
        # What is spelt in none of the usual ways is read, which few rows come to.
        other = f"NOT {_in(column, every)} AND {_read_as(column, usual)}"
        return f"coalesce({_in(column, usual)} OR {other}, false)"

    # ---- days --------------------------------------------------------------------------------------------------------

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None, /) -> Column:
        """Rows that hold a day of these; a null is in none."""
        found, type_ = self._columns[column]
        bound: Callable[[datetime.date], Column]
        if isinstance(type_, T.DateType):
            bound = F.lit
        elif isinstance(type_, T.TimestampType):
            bound = self._begin
        else:
            raise UnlabelledData(
                f"`{found}` is marked to hold a day, and holds {type_.simpleString()}: cast it to a date, or to a "
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
        found, type_ = self._columns[column]
        if isinstance(type_, (T.ByteType, T.ShortType, T.IntegerType, T.LongType)):
            return self._one_of(column, lambda here: here.cast("bigint"), keys, "ints")
        if isinstance(type_, T.DecimalType) and type_.scale == 0:
            return self._one_of(column, lambda here: here.cast("string"), keys, "texts")
        if not isinstance(type_, T.StringType):
            raise UnlabelledData(
                f"`{found}` is marked Subject, and holds {type_.simpleString()}: ids are whole numbers or text"
            )
        here = F.trim(self._column(column))  # columns of a fixed width are filled with blanks
        odd = F.coalesce(here.rlike(NO_ID) | (F.length(here) > LONGEST), F.lit(False))
        refusal = (
            f"`{found}` is marked Subject, and a row holds a text that is no id: an id has 1 to {LONGEST} characters"
        )
        no_id = F.raise_error(F.lit(f"{refusal} that print"))
        # Beside the others, and not around them: so Spark makes a join of what may be many subjects.
        parts = [F.when(odd, no_id.cast("boolean")).otherwise(F.lit(False))]
        parts.append(self._one_of(column, F.trim, keys, "texts"))
        if keys.uuids:
            parts.append(self._one_of(column, lambda one: _digits_of_uuid(F.trim(one)), keys, "uuids"))
        return self.any_of(parts)

    def _one_of(self, column: str, form: Callable[[Column], Column], keys: KeySet, which: str) -> Column:
        held: tuple[Any, ...] = getattr(keys, which)
        here = self._column(column)
        if not held:
            return F.lit(False)
        if len(held) <= MOST_IN_A_CONDITION:
            return F.coalesce(form(here).isin(list(held)), F.lit(False))
        relation = F.broadcast(self._roll.relation(self._session, keys, which))
        return relation.where(F.col(_KEY) == form(here.outer())).exists()


_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)


def quoted(name: str) -> str:
    """A column's name as Spark reads it, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def are_told_apart(names: Sequence[str]) -> bool:
    """Whether Spark tells columns apart by their names, of which capitals do not count."""
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
    marks = "[" + "".join(f"\\{one}" for one in UUID_MARKS) + "]"
    return F.regexp_replace(F.regexp_replace(F.lower(column), f"^{UUID_PREFIX}", ""), marks, "")


def _read_as(column: str, forms: Iterable[str]) -> str:
    """Whether a text folds (`fold`) to what one of these does. Glyphs that are usual are read; others are in no id.

    A JVM leaves a method of more than 8,000 bytes uncompiled for ever, and Spark makes one method of all that is done
    with a row. So the ids are one regular expression, of which a call is all that stands there.
    """
    meant = sorted({meant for form in forms if (meant := fold(form)) is not None})
    every = "|".join(_pattern(one) for one in meant)
    if not every:
        return "false"
    plain = f"lower(translate({column}, {literal(_WIDE + _BETWEEN)}, {literal(_PLAIN + ' ' * len(_BETWEEN))}))"
    return f"({plain} RLIKE {literal(f'^ *(?:{every}) *$')})"


def _pattern(meant: str) -> str:
    """The spellings, with blanks between, of what folds to this."""
    if not re.search("[0-9]", meant):
        return " *".join(meant)  # of a name the letters count, wherever it is divided
    return " *".join(map(_token, meant.split(".")))


def _token(token: str) -> str:
    """A number or word of an id, by itself and no part of another."""
    if token.isalpha():
        return rf"(?<!\p{{L}}){token}(?!\p{{L}})"
    plain = f"(?<![0-9]){token}(?![0-9])"
    if token not in set("123456789"):
        return plain
    return f"(?:{plain}|[{''.join(row[int(token) - 1] for row in _ENCLOSED)}])"
