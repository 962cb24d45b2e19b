"""Row rules as conditions of SQL, in one dialect."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar, Final

from sqlglot import exp, parse_one

from purposeguard.adapters.row_rule import (
    LONGEST,
    NO_ID,
    UUID_MARKS,
    UUID_PREFIX,
    KeySet,
    RowRule,
    id_meant,
    render_rule,
    spellings,
)
from purposeguard.adapters.sql.scopes import NameRules
from purposeguard.notice.notice import Notice
from purposeguard.notice.timezones import load_zone

_TEXT_TYPES: Final = {
    "mysql": "CHAR",
    "bigquery": "STRING",
    "spark": "STRING",
    "duckdb": "VARCHAR",
    "snowflake": "VARCHAR",
}

_TYPE_OF_COLUMN: Final = {
    "postgres": "CAST(PG_TYPEOF({c}) AS TEXT)",
    "duckdb": "TYPEOF({c})",
    "spark": "TYPEOF({c})",
    "sqlite": "TYPEOF({c})",
    "snowflake": "TYPEOF(TO_VARIANT({c}))",
}
"""Dialect → the expression for the type of a column."""

_ID_TYPES: Final = {
    "postgres": ("smallint", "integer", "bigint", "text", "character varying", "character", "uuid"),
    "duckdb": (
        *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
        *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "VARCHAR", "UUID"),
    ),
    "spark": ("tinyint", "smallint", "int", "bigint", "string"),
    "sqlite": ("integer", "text"),
    "snowflake": ("INTEGER", "VARCHAR"),
}
"""Dialect → the column types whose values are compared as subject ids."""

_MOMENTS: Final = {
    "postgres": ("timestamp with time zone", "CAST({c} AT TIME ZONE {zone} AS DATE)"),
    "duckdb": ("TIMESTAMP WITH TIME ZONE", "CAST(TIMEZONE({zone}, CAST({c} AS TIMESTAMPTZ)) AS DATE)"),
    "spark": ("timestamp", "TO_DATE(FROM_UTC_TIMESTAMP(TO_UTC_TIMESTAMP({c}, CURRENT_TIMEZONE()), {zone}))"),
    "snowflake": ("TIMESTAMP_LTZ", "CAST(CONVERT_TIMEZONE({zone}, CAST({c} AS TIMESTAMP_TZ)) AS DATE)"),
}
"""Dialect → the type of moments, and the expression for the day of a moment in a time zone."""

_DATE_TYPES: Final = {"postgres": "date", "duckdb": "DATE", "spark": "date", "snowflake": "DATE"}

_FAILING_CONDITIONS: Final = {
    "postgres": "CAST({why} AS BOOLEAN)",
    "duckdb": "ERROR({why})",
    "spark": "RAISE_ERROR({why})",
    "sqlite": "JSON_EXTRACT({why}, '$') = 1",
    "mysql": "18446744073709551615 + CHAR_LENGTH({why}) = 0",
    "bigquery": "ERROR({why})",
    "snowflake": "TO_BOOLEAN({why})",
}
"""Dialect → an expression that fails with a reason when it is evaluated.

A dialect without a function for errors evaluates an invalid truth value, invalid JSON, or a number beyond 64 bits.
MariaDB returns NULL for invalid JSON, which would leave rows out silently, so MySQL uses the number.
"""


_MAX_COMPARED_ONE_BY_ONE: Final = 40
"""The number of spellings up to which comparing them one by one is fast."""

NO_SOURCE: Final = "unknown source of a row: "
"""The beginning of an engine's error for a row without a known source; its text, or `none`, follows."""

NO_SUBJECT: Final = "a row holds a text that is no id of a subject, in the column "
"""The beginning of an engine's error for a text that is no id; the column follows."""

_ASCII_BY_FULL_WIDTH: Final = {chr(0xFEE0 + ord(char)): char for char in "0123456789.abcdefABCDEF-"}
"""Full-width characters of ids, as typed in Japanese text, and their ASCII forms."""

_BRACKETS: Final = "()（）"


class SqlConditions:
    """Renderer of conditions in one dialect, over columns of unknown types.

    Where the dialect has a function for types, the engine checks the type, and the query fails if an id or a day could
    be mistaken for another. An adapter that knows the types overrides `kind`.
    """

    folds: ClassVar = False
    """True if the engine also reads unusual spellings of sources. Otherwise these make the query fail."""

    def __init__(self, rule: RowRule, names: NameRules, others: Collection[str] = (), mark: str = "") -> None:
        """Create a renderer.

        Args:
            rule: The rule to render.
            names: The names of the dialect.
            others: Unusual spellings of sources that occur in rows.
            mark: The beginning of the errors that the condition raises in the engine.
        """
        self._rule: Final = rule
        self._names: Final = names
        self.dialect: Final = names.dialect
        self._others: Final = others
        self._mark: Final = mark

    def render(self) -> exp.Expr:
        """Return the condition of the rule. It names columns without their table."""
        return render_rule(self._rule, self)

    def constant(self, *, value: bool) -> exp.Expr:
        """Return a condition that every row meets, or none."""
        return _constant(value=value)

    def all_of(self, parts: Sequence[exp.Expr], /) -> exp.Expr:
        """Return the conjunction of the conditions."""
        return exp.paren(exp.and_(*parts))

    def any_of(self, parts: Sequence[exp.Expr], /) -> exp.Expr:
        """Return the disjunction of the conditions."""
        return exp.paren(exp.or_(*parts))

    def negate(self, part: exp.Expr, /) -> exp.Expr:
        """Return the negation of a condition."""
        return exp.not_(exp.paren(part))

    def absent(self, column: str, /) -> exp.Expr:
        """Return the condition that a column is null."""
        return self._parse_template("{c} IS NULL", column)

    # ---- overridden by adapters ------------------------------------------------------------------------------------

    def kind(self, column: str) -> str | None:
        """Return the type of a column's values; None if it is unknown.

        The types are `whole` (integers of up to 64 bits), `larger` (longer integers), `text`, `uuid`, `date`, `moment`
        (with a time zone) and `null`.
        """
        del column
        return None

    def column(self, name: str) -> str:
        """Return the SQL text that names a column."""
        return exp.column(exp.to_identifier(self._names.make_column_key(name), quoted=True)).sql(dialect=self.dialect)

    def among(self, value: exp.Expr, keys: KeySet, form: str) -> exp.Expr:
        """Return the condition that a value is one of these keys.

        Args:
            value: The value.
            keys: The keys.
            form: The attribute of `keys` that holds the form to compare with.
        """
        return _is_in(value, getattr(keys, form))

    def among_texts(self, value: exp.Expr, forms: Sequence[str]) -> exp.Expr:
        """Return the condition that a text is one of these forms. It is evaluated for few rows only."""
        return _is_in(value, forms)

    # ---- sources ---------------------------------------------------------------------------------------------------

    def source_in(self, column: str, ids: frozenset[str], /) -> exp.Expr:
        """Return the condition that a row's source is one of these. The query fails at a row without a known source."""
        notice = self._rule.notice
        text = self._as_text(column)
        ids_by_text = {other: id_meant(notice, other) for other in self._others}
        ids_by_text.update(spellings(notice))
        case = exp.case()
        case = case.when(_is_in(text, _forms(ids_by_text, ids, meant=False)), _constant(value=False))
        permitted = _forms(ids_by_text, ids, meant=True)
        among = self.among_texts if len(permitted) <= _MAX_COMPARED_ONE_BY_ONE else _is_in
        case = case.when(among(text, permitted), _constant(value=True))
        if self.folds:
            plain, ids_by_spelling = self._plain(text), plain_spellings(notice)
            for meant in (True, False):
                case = case.when(
                    self.among_texts(plain, _forms(ids_by_spelling, ids, meant=meant)), _constant(value=meant)
                )
        return case.else_(
            self._failure(NO_SOURCE, f"SUBSTR(COALESCE({text.sql(self.dialect)}, 'none'), 1, 60)", column)
        )

    def _plain(self, text: exp.Expr) -> exp.Expr:
        """Return an id in lower-case ASCII, without brackets and without blanks around the id or before a bracket."""
        plain_text: exp.Expr = exp.Trim(this=text.copy())
        for bracket in "(（":
            plain_text = _replace_text(plain_text, f" {bracket}", bracket)
        if self.dialect in {"postgres", "duckdb"}:
            wide, plain = "".join(_ASCII_BY_FULL_WIDTH) + _BRACKETS, "".join(_ASCII_BY_FULL_WIDTH.values())
            plain_text = exp.func("TRANSLATE", plain_text, exp.Literal.string(wide), exp.Literal.string(plain))
        else:
            for char, plain in _ASCII_BY_FULL_WIDTH.items():
                plain_text = _replace_text(plain_text, char, plain)
            for bracket in _BRACKETS:
                plain_text = _replace_text(plain_text, bracket, "")
        return exp.Lower(this=plain_text)

    # ---- days ------------------------------------------------------------------------------------------------------

    def days_in(
        self, column: str, since: datetime.date | None, before: datetime.date | None, timezone: str, /
    ) -> exp.Expr:
        """Return the condition that a column holds a day from `since` to before `before`. Nulls do not meet it."""
        there = self._parse_template("NOT {c} IS NULL", column)
        kind = self.kind(column)
        value = self._day(column, timezone) if kind is None else self._parse_template("{c}", column)
        bound = functools.partial(self._moment, timezone) if kind == "moment" else self._date
        bounds: list[exp.Expr] = []
        if since is not None:
            bounds.append(exp.GTE(this=value.copy(), expression=bound(since)))
        if before is not None:
            bounds.append(exp.LT(this=value.copy(), expression=bound(before)))
        if not bounds or kind == "null":
            return there
        within: exp.Expr = exp.and_(*bounds)
        if kind is None:
            failure = self._unlike(f"{column} holds moments without their time zone, or no days: ", column)
            within = exp.case().when(self._is_day(column), within).else_(failure)
        return exp.paren(exp.and_(there, within))

    def _date(self, day: datetime.date) -> exp.Expr:
        text = exp.Literal.string(day.isoformat())
        return text if self.dialect in {"sqlite", "mysql"} else exp.cast(text, exp.DType.DATE)

    def _moment(self, timezone: str, day: datetime.date) -> exp.Expr:
        """Return the moment at which a day begins in a time zone."""
        begin = datetime.datetime.combine(day, datetime.time.min, load_zone(timezone))
        return exp.cast(exp.Literal.string(begin.isoformat()), exp.DType.TIMESTAMPTZ)

    def _day(self, column: str, timezone: str) -> exp.Expr:
        """Return the day that a column of unknown type holds, in a time zone."""
        zone_name = exp.Literal.string(timezone).sql(dialect=self.dialect)
        moment = _MOMENTS.get(self.dialect)
        if moment is not None:
            kind, on = moment
            template = f"CASE WHEN {_TYPE_OF_COLUMN[self.dialect]} = '{kind}' THEN {on} ELSE CAST({{c}} AS DATE) END"
            return self._parse_template(template, column, zone=zone_name)
        if self.dialect == "bigquery":
            # A moment is written with its offset from UTC, a date without.
            return self._parse_template(
                "CASE WHEN ENDS_WITH(CAST({c} AS STRING), '+00') THEN DATE(CAST(CAST({c} AS STRING) AS TIMESTAMP), "
                "{zone}) ELSE CAST(SUBSTR(CAST({c} AS STRING), 1, 10) AS DATE) END",
                column,
                zone=zone_name,
            )
        return self._as_text(column)

    def _is_day(self, column: str) -> exp.Expr:
        """Return the condition that a column holds days, or moments whose day is certain."""
        if self.dialect in _MOMENTS:
            return _is_in(self._type(column), (_DATE_TYPES[self.dialect], _MOMENTS[self.dialect][0]))
        if self.dialect == "bigquery":
            return self._parse_template(
                "LENGTH(CAST({c} AS STRING)) = 10 OR ENDS_WITH(CAST({c} AS STRING), '+00')", column
            )
        if self.dialect == "mysql":
            return self._parse_template("CHAR_LENGTH(CAST({c} AS CHAR)) = 10", column)
        return self._parse_template("{c} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'", column)

    # ---- subjects --------------------------------------------------------------------------------------------------

    def subject_in(self, column: str, keys: KeySet, /) -> exp.Expr:
        """Return the condition that a subject id, in any spelling, is one of these keys. Nulls do not meet it."""
        kind = self.kind(column)
        text = self._as_text(column)
        if kind == "null":
            return _constant(value=False)
        if kind == "whole":
            condition = self.among(self._parse_template("{c}", column), keys, "ints")
        elif kind == "larger":
            condition = self.among(text, keys, "texts")
        elif kind == "uuid":
            condition = self.among(_replace_text(exp.Lower(this=text), "-", ""), keys, "uuids")
        else:
            condition = self._text_in(column, text, keys)
        kinds = _ID_TYPES.get(self.dialect)
        if kind is None and kinds is not None:
            failure = self._unlike(f"{column} holds ids of subjects neither as whole numbers nor as texts: ", column)
            condition = exp.case().when(_is_in(self._type(column), kinds), condition).else_(failure)
        return exp.paren(exp.and_(self._parse_template("NOT {c} IS NULL", column), condition))

    def _text_in(self, column: str, text: exp.Expr, keys: KeySet) -> exp.Expr:
        forms = [self.among(text, keys, "texts")]
        if keys.uuids:
            plain: exp.Expr = exp.Lower(this=text.copy())
            for mark in (UUID_PREFIX, *UUID_MARKS):
                plain = _replace_text(plain, mark, "")
            forms.append(self.among(plain, keys, "uuids"))
        if self.dialect != "duckdb":
            return exp.or_(*forms)
        if not all(map(str.isascii, keys.texts)):
            forms.append(self.among(exp.func("NFC_NORMALIZE", text.copy()), keys, "texts"))
        return self._unless_odd(column, text).else_(exp.or_(*forms))

    def _unless_odd(self, column: str, text: exp.Expr) -> exp.Case:
        """Return a CASE that fails where a text is no valid id: one with an invisible character could mean anybody."""
        odd = exp.or_(
            exp.RegexpLike(this=text.copy(), expression=exp.Literal.string(NO_ID)),
            exp.GT(this=exp.Length(this=text.copy()), expression=exp.Literal.number(LONGEST)),
        )
        return exp.case().when(odd, self._failure(f"{NO_SUBJECT}{column}", self._nothing_of(column), column))

    # ---- words of dialects -----------------------------------------------------------------------------------------

    def _parse_template(self, template: str, column: str, **parts: str) -> exp.Expr:
        return parse_one(template.format(c=self.column(column), **parts), dialect=self.dialect)

    def _as_text(self, column: str) -> exp.Expr:
        return self._parse_template("CAST({c} AS {kind})", column, kind=_TEXT_TYPES.get(self.dialect, "TEXT"))

    def _type(self, column: str) -> exp.Expr:
        return self._parse_template(_TYPE_OF_COLUMN[self.dialect], column)

    def _unlike(self, why: str, column: str) -> exp.Expr:
        return self._failure(why, self._nothing_of(column), column)

    def _nothing_of(self, column: str) -> str:
        """Return an empty text that depends on the row.

        Engines evaluate a constant failure before they read any row.
        """
        return f"SUBSTR(COALESCE({self._as_text(column).sql(dialect=self.dialect)}, ''), 1, 0)"

    def _failure(self, why: str, value: str, column: str) -> exp.Expr:
        """Return an expression that fails at each row where it is evaluated, with a reason and a value."""
        reason = exp.Literal.string(self._mark + why).sql(dialect=self.dialect)
        plain = self.dialect in {"sqlite", "postgres", "duckdb"}
        joined = f"{reason} || {value}" if plain else f"CONCAT({reason}, {value})"
        return self._parse_template(_FAILING_CONDITIONS[self.dialect], column, why=joined)


@functools.lru_cache(maxsize=64)
def plain_spellings(notice: Notice) -> Mapping[str, str]:
    """Return the usual spellings of sources in lower case and without brackets → ids.

    Spellings that could mean several sources are left out.
    """
    ids_by_form: dict[str, set[str]] = {}
    for form, id_ in spellings(notice).items():
        ids_by_form.setdefault(fold_id(form), set()).add(id_)
    ids_by_clear_form: dict[str, str] = {}
    for form, ids in ids_by_form.items():
        if len(ids) == 1:
            (ids_by_clear_form[form],) = ids
    return ids_by_clear_form


def fold_id(text: str) -> str:
    """Fold the spelling of an id as `SqlConditions` folds it within an engine."""
    text = text.strip(" ")
    for bracket in "(（":
        text = text.replace(f" {bracket}", bracket)
    return text.translate(_FOLDED_CHARACTERS).lower()


_FOLDED_CHARACTERS: Final = str.maketrans({**_ASCII_BY_FULL_WIDTH, **dict.fromkeys(_BRACKETS)})


def _forms(ids_by_text: Mapping[str, str], ids: frozenset[str], *, meant: bool) -> list[str]:
    """Return the spellings that mean one of these sources, or with `meant=False` the other spellings."""
    return [text for text, id_ in ids_by_text.items() if (id_ in ids) is meant]


def _constant(*, value: bool) -> exp.Expr:
    """Return a condition that is true or false.

    It is not the word `true`: SQLite reads that as a column if one has this name.
    """
    return exp.EQ(this=exp.Literal.number(1), expression=exp.Literal.number(int(value)))


def _is_in(value: exp.Expr, constants: Iterable[str | int]) -> exp.Expr:
    literals = list(map(_literal, sorted(constants)))
    return exp.In(this=value.copy(), expressions=literals) if literals else _constant(value=False)


def _literal(constant: str | int) -> exp.Expr:
    return exp.Literal.number(constant) if isinstance(constant, int) else exp.Literal.string(constant)


def _replace_text(value: exp.Expr, old: str, new: str) -> exp.Expr:
    return exp.func("REPLACE", value, exp.Literal.string(old), exp.Literal.string(new))
