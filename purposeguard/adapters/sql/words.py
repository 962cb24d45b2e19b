"""Words of seven dialects for row rules: which rows of a table a purpose may use, as a condition of SQL.

Nothing is known here of the types of columns. So a condition asks the engine for them where it can tell, and fails
where an id or a day is held in a way that could be taken for another.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Final

from sqlglot import exp, parse_one

from purposeguard.adapters.rowrule import UUID_MARKS, UUID_PREFIX, KeySet, RowRule, rendered, spellings
from purposeguard.adapters.sql.names import Names

_TEXT: Final = {"mysql": "CHAR", "bigquery": "STRING", "spark": "STRING", "duckdb": "VARCHAR", "snowflake": "VARCHAR"}

_TYPE: Final = {
    "postgres": "CAST(PG_TYPEOF({c}) AS TEXT)",
    "duckdb": "TYPEOF({c})",
    "spark": "TYPEOF({c})",
    "sqlite": "TYPEOF({c})",
    "snowflake": "TYPEOF(TO_VARIANT({c}))",
}
"""How a dialect tells the type of a column."""

_IDS: Final = {
    "postgres": ("smallint", "integer", "bigint", "text", "character varying", "character", "uuid"),
    "duckdb": (
        *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
        *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "VARCHAR", "UUID"),
    ),
    "spark": ("tinyint", "smallint", "int", "bigint", "string"),
    "sqlite": ("integer", "text"),
    "snowflake": ("INTEGER", "VARCHAR"),
}
"""The types in which ids of subjects are compared as texts."""

_MOMENT: Final = {
    "postgres": ("timestamp with time zone", "CAST({c} AT TIME ZONE {zone} AS DATE)"),
    "duckdb": ("TIMESTAMP WITH TIME ZONE", "CAST(TIMEZONE({zone}, CAST({c} AS TIMESTAMPTZ)) AS DATE)"),
    "spark": ("timestamp", "TO_DATE(FROM_UTC_TIMESTAMP(TO_UTC_TIMESTAMP({c}, CURRENT_TIMEZONE()), {zone}))"),
    "snowflake": ("TIMESTAMP_LTZ", "CAST(CONVERT_TIMEZONE({zone}, CAST({c} AS TIMESTAMP_TZ)) AS DATE)"),
}
"""The type of moments, and the day that one is on in a time zone."""

_DATE: Final = {"postgres": "date", "duckdb": "DATE", "spark": "date", "snowflake": "DATE"}

_FAILURE: Final = {
    "postgres": "CAST({why} AS BOOLEAN)",
    "duckdb": "ERROR({why})",
    "spark": "RAISE_ERROR({why})",
    "sqlite": "JSON_EXTRACT({why}, '$') = 1",
    "mysql": "18446744073709551615 + CHAR_LENGTH({why}) = 0",
    "bigquery": "ERROR({why})",
    "snowflake": "TO_BOOLEAN({why})",
}
"""What fails when it is reached, and says why: where there is no word for it, what is no truth value, no JSON, or no
number of 64 bits (MariaDB gives NULL for what is no JSON, so that rows would be left out and nothing said)."""


def test(rule: RowRule, names: Names) -> exp.Expr:
    """The condition for rows that may be used; columns are named without their table."""
    return rendered(rule, _Words(rule, names))


class _Words:
    """The words of one dialect (see `Renderer`)."""

    def __init__(self, rule: RowRule, names: Names) -> None:
        self._rule = rule
        self._names = names
        self._dialect = names.dialect

    # ---- what all share --------------------------------------------------------------------------------------------

    def true(self) -> exp.Expr:
        return exp.EQ(this=exp.Literal.number(1), expression=exp.Literal.number(1))

    def false(self) -> exp.Expr:
        return _false()

    def all_of(self, parts: Sequence[exp.Expr], /) -> exp.Expr:
        return exp.paren(exp.and_(*parts))

    def any_of(self, parts: Sequence[exp.Expr], /) -> exp.Expr:
        return exp.paren(exp.or_(*parts))

    def negated(self, part: exp.Expr, /) -> exp.Expr:
        return exp.not_(exp.paren(part))

    def absent(self, column: str, /) -> exp.Expr:
        return self._parsed("{c} IS NULL", column)

    def source_in(self, column: str, clauses: frozenset[str], /) -> exp.Expr:
        known = spellings(self._rule.notice)
        text = self._as_text(column)
        return (
            exp.case()
            .when(_within(text, (one for one, clause in known.items() if clause in clauses)), self.true())
            .when(_within(text, (one for one, clause in known.items() if clause not in clauses)), self.false())
            .else_(self._failure("the source of a row is not known: ", column, told=True))
        )

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None, /) -> exp.Expr:
        parts = [self._parsed("NOT {c} IS NULL", column)]
        day = self._day(column)
        if since is not None:
            parts.append(exp.GTE(this=day.copy(), expression=self._date(since)))
        if before is not None:
            parts.append(exp.LT(this=day.copy(), expression=self._date(before)))
        if len(parts) == 1:
            return parts[0]
        failure = self._failure(f"{column} holds moments without their time zone, or no days: ", column)
        found = exp.case().when(self._is_day(column), exp.and_(*parts[1:])).else_(failure)
        return exp.paren(exp.and_(parts[0], found))

    def subject_in(self, column: str, keys: KeySet, /) -> exp.Expr:
        text = self._as_text(column)
        forms = [_within(text, keys.texts)]
        if keys.uuids:
            plain: exp.Expr = exp.Lower(this=text.copy())
            for mark in (UUID_PREFIX, *UUID_MARKS):
                plain = exp.func("REPLACE", plain, exp.Literal.string(mark), exp.Literal.string(""))
            forms.append(_within(plain, keys.uuids))
        found: exp.Expr = exp.or_(*forms)
        kinds = _IDS.get(self._dialect)
        if kinds is not None:
            failure = self._failure(f"{column} holds ids of subjects neither as whole numbers nor as texts: ", column)
            found = exp.case().when(_within(self._type(column), kinds), found).else_(failure)
        return exp.paren(exp.and_(self._parsed("NOT {c} IS NULL", column), found))

    # ---- what dialects say in their own ways -----------------------------------------------------------------------

    def _parsed(self, template: str, column: str, **parts: str) -> exp.Expr:
        name = exp.column(exp.to_identifier(self._names.declared(column), quoted=True)).sql(dialect=self._dialect)
        return parse_one(template.format(c=name, **parts), dialect=self._dialect)

    def _literal(self, text: str) -> str:
        return exp.Literal.string(text).sql(dialect=self._dialect)

    def _as_text(self, column: str) -> exp.Expr:
        return self._parsed("CAST({c} AS {kind})", column, kind=_TEXT.get(self._dialect, "TEXT"))

    def _type(self, column: str) -> exp.Expr:
        return self._parsed(_TYPE[self._dialect], column)

    def _failure(self, why: str, column: str, *, told: bool = False) -> exp.Expr:
        """Fails in the rows in which it is reached: what is said depends on the row, or it would be found at once."""
        text = self._as_text(column).sql(dialect=self._dialect)
        held = f"COALESCE({text}, 'none')" if told else f"SUBSTR(COALESCE({text}, ''), 1, 0)"
        joined = f"CONCAT({self._literal(why)}, {held})"
        if self._dialect in {"sqlite", "postgres", "duckdb"}:
            joined = f"{self._literal(why)} || {held}"
        return self._parsed(_FAILURE[self._dialect], column, why=joined)

    def _day(self, column: str) -> exp.Expr:
        zone = self._literal(self._rule.timezone)
        moment = _MOMENT.get(self._dialect)
        if moment is not None:
            kind, on = moment
            template = f"CASE WHEN {_TYPE[self._dialect]} = '{kind}' THEN {on} ELSE CAST({{c}} AS DATE) END"
            return self._parsed(template, column, zone=zone)
        if self._dialect == "bigquery":
            # A moment is written with its distance from UTC, a date without any.
            return self._parsed(
                "CASE WHEN ENDS_WITH(CAST({c} AS STRING), '+00') THEN DATE(CAST(CAST({c} AS STRING) AS TIMESTAMP), "
                "{zone}) ELSE CAST(SUBSTR(CAST({c} AS STRING), 1, 10) AS DATE) END",
                column,
                zone=zone,
            )
        return self._as_text(column)

    def _is_day(self, column: str) -> exp.Expr:
        """Whether it holds days, or moments of which it is known on which day they are."""
        if self._dialect in _MOMENT:
            return _within(self._type(column), (_DATE[self._dialect], _MOMENT[self._dialect][0]))
        if self._dialect == "bigquery":
            return self._parsed("LENGTH(CAST({c} AS STRING)) = 10 OR ENDS_WITH(CAST({c} AS STRING), '+00')", column)
        if self._dialect == "mysql":
            return self._parsed("CHAR_LENGTH(CAST({c} AS CHAR)) = 10", column)
        return self._parsed("{c} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'", column)

    def _date(self, day: datetime.date) -> exp.Expr:
        text = exp.Literal.string(day.isoformat())
        return text if self._dialect in {"sqlite", "mysql"} else exp.cast(text, exp.DType.DATE)


def _false() -> exp.Expr:
    """Not the word, which to SQLite is a column where one has this name."""
    return exp.EQ(this=exp.Literal.number(1), expression=exp.Literal.number(0))


def _within(value: exp.Expr, texts: Iterable[str]) -> exp.Expr:
    listed: list[exp.Expr] = [exp.Literal.string(text) for text in sorted(texts)]
    if not listed:
        return _false()
    return exp.In(this=value.copy(), expressions=listed)
