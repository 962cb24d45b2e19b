"""Row rules as SQL conditions, and statements rewritten to read only the rows that a purpose may use."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from sqlglot import exp, parse_one
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.generators.duckdb import DuckDBGenerator

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
from purposeguard.adapters.sql.lineage import ReadStatement, read_statement
from purposeguard.adapters.sql.scopes import DIALECTS, NameRules, refuse
from purposeguard.adapters.sql.sources import name_parts
from purposeguard.adapters.sql.tags import Catalog
from purposeguard.errors import UnresolvedStatement
from purposeguard.notice.notice import Notice
from purposeguard.notice.timezones import load_zone

_TEXT: Final = {"mysql": "CHAR", "bigquery": "STRING", "spark": "STRING", "duckdb": "VARCHAR", "snowflake": "VARCHAR"}

_TYPE: Final = {
    "postgres": "CAST(PG_TYPEOF({c}) AS TEXT)",
    "duckdb": "TYPEOF({c})",
    "spark": "TYPEOF({c})",
    "sqlite": "TYPEOF({c})",
    "snowflake": "TYPEOF(TO_VARIANT({c}))",
}
"""By dialect, the expression for the type of a column."""

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
"""By dialect, the column types whose values are compared as subject ids."""

_MOMENT: Final = {
    "postgres": ("timestamp with time zone", "CAST({c} AT TIME ZONE {zone} AS DATE)"),
    "duckdb": ("TIMESTAMP WITH TIME ZONE", "CAST(TIMEZONE({zone}, CAST({c} AS TIMESTAMPTZ)) AS DATE)"),
    "spark": ("timestamp", "TO_DATE(FROM_UTC_TIMESTAMP(TO_UTC_TIMESTAMP({c}, CURRENT_TIMEZONE()), {zone}))"),
    "snowflake": ("TIMESTAMP_LTZ", "CAST(CONVERT_TIMEZONE({zone}, CAST({c} AS TIMESTAMP_TZ)) AS DATE)"),
}
"""By dialect, the type of moments, and the expression for the day of a moment in a time zone."""

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
"""By dialect, an expression that fails with a reason when it is evaluated.

A dialect without a function for errors evaluates an invalid truth value, invalid JSON, or a number beyond 64 bits.
MariaDB returns NULL for invalid JSON, which would leave rows out silently, so MySQL uses the number.
"""


_FEW: Final = 40
"""The number of spellings up to which comparing them one by one is fast."""

NO_SOURCE: Final = "unknown source of a row: "
"""The beginning of an engine's error for a row without a known source; its text, or `none`, follows."""

NO_SUBJECT: Final = "a row holds a text that is no id of a subject, in the column "
"""The beginning of an engine's error for a text that is no id; the column follows."""

_WIDE: Final = {chr(0xFEE0 + ord(char)): char for char in "0123456789.abcdefABCDEF-"}
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
        return exp.column(exp.to_identifier(self._names.declared_key(name), quoted=True)).sql(dialect=self.dialect)

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
        usual = {**{other: id_meant(notice, other) for other in self._others}, **spellings(notice)}
        case = exp.case()
        case = case.when(_is_in(text, _forms(usual, ids, meant=False)), _constant(value=False))
        permitted = _forms(usual, ids, meant=True)
        among = self.among_texts if len(permitted) <= _FEW else _is_in
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
            wide, plain = "".join(_WIDE) + _BRACKETS, "".join(_WIDE.values())
            plain_text = exp.func("TRANSLATE", plain_text, exp.Literal.string(wide), exp.Literal.string(plain))
        else:
            for char, plain in (*_WIDE.items(), *((bracket, "") for bracket in _BRACKETS)):
                plain_text = _replace_text(plain_text, char, plain)
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
        moment = _MOMENT.get(self.dialect)
        if moment is not None:
            kind, on = moment
            template = f"CASE WHEN {_TYPE[self.dialect]} = '{kind}' THEN {on} ELSE CAST({{c}} AS DATE) END"
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
        if self.dialect in _MOMENT:
            return _is_in(self._type(column), (_DATE[self.dialect], _MOMENT[self.dialect][0]))
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
        kinds = _IDS.get(self.dialect)
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
        if not all(key.isascii() for key in keys.texts):
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
        return self._parse_template("CAST({c} AS {kind})", column, kind=_TEXT.get(self.dialect, "TEXT"))

    def _type(self, column: str) -> exp.Expr:
        return self._parse_template(_TYPE[self.dialect], column)

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
        return self._parse_template(_FAILURE[self.dialect], column, why=joined)


@functools.lru_cache(maxsize=64)
def plain_spellings(notice: Notice) -> Mapping[str, str]:
    """Return the usual spellings of sources in lower case and without brackets → ids.

    Spellings that could mean several sources are left out.
    """
    ids_by_form: dict[str, set[str]] = {}
    for form, id_ in spellings(notice).items():
        ids_by_form.setdefault(fold_id(form), set()).add(id_)
    return {form: next(iter(ids)) for form, ids in ids_by_form.items() if len(ids) == 1}


def fold_id(text: str) -> str:
    """Fold the spelling of an id as `SqlConditions` folds it within an engine."""
    text = text.strip(" ")
    for bracket in "(（":
        text = text.replace(f" {bracket}", bracket)
    return text.translate(_FOLDED).lower()


_FOLDED: Final = str.maketrans({**_WIDE, **dict.fromkeys(_BRACKETS)})


def _forms(known: Mapping[str, str], ids: frozenset[str], *, meant: bool) -> list[str]:
    """Return the spellings that mean one of these sources, or with `meant=False` the other spellings."""
    return [form for form, id_ in known.items() if (id_ in ids) is meant]


def _constant(*, value: bool) -> exp.Expr:
    """Return a condition that is true or false.

    It is not the word `true`: SQLite reads that as a column if one has this name.
    """
    return exp.EQ(this=exp.Literal.number(1), expression=exp.Literal.number(int(value)))


def _is_in(value: exp.Expr, constants: Iterable[str | int]) -> exp.Expr:
    listed = [
        exp.Literal.number(constant) if isinstance(constant, int) else exp.Literal.string(constant)
        for constant in sorted(constants)
    ]
    return exp.In(this=value.copy(), expressions=listed) if listed else _constant(value=False)


def _replace_text(value: exp.Expr, old: str, new: str) -> exp.Expr:
    return exp.func("REPLACE", value, exp.Literal.string(old), exp.Literal.string(new))


# ---- statements --------------------------------------------------------------------------------------------------


def narrow_statement(statement: ReadStatement, catalogue: Catalog, conditions: Mapping[str, exp.Expr]) -> str:
    """Return the text of a statement that reads only the rows that meet the conditions of their tables.

    Args:
        statement: The statement.
        catalogue: The tables of the database. Only the columns in it are read from narrowed tables.
        conditions: By table, the condition of its rows. It names columns without their table.

    Raises:
        UnresolvedStatement: leaving rows out would change what is written, or the parser cannot write the statement.
    """
    tree = statement.tree.copy()
    _StatementNarrower(catalogue, conditions).statement(statement, tree)
    text = _write(tree, catalogue.names.dialect)
    if text is None:
        raise UnresolvedStatement(
            f"the statement cannot be written down again in {catalogue.names.dialect}, to leave rows out of it"
        )
    return text


def write_as_parsed(tree: exp.Expr, dialect: str) -> str:
    """Write a parsed statement in its own dialect, so that the engine gives it the meaning of the original text.

    Args:
        tree: The statement as the parser read it. It is not changed.
        dialect: The dialect that it was read in.

    Raises:
        UnresolvedStatement: The parser cannot write the statement.
    """
    copy = tree.copy()
    _keep_calls(copy, dialect)
    text = _write(copy, dialect)
    if text is None:
        raise UnresolvedStatement(f"the statement cannot be written down again in {dialect}, which is how it runs")
    return text


def _write(tree: exp.Expr, dialect: str) -> str | None:
    """Write a tree whose calls are kept already. Return None if the parser cannot write it."""
    if dialect == "sqlite":
        _keep_casts(tree)
    if dialect == "postgres":
        _keep_precision(tree)
    try:
        if dialect == "duckdb":
            text = _DuckDBWriter(dialect=dialect, unsupported_level=ErrorLevel.RAISE, comments=False).generate(tree)
        else:
            text = tree.sql(dialect=dialect, unsupported_level=ErrorLevel.RAISE, comments=False)
    except (SqlglotError, RecursionError, ValueError):
        return None
    return text.replace("INSERT OR REPLACE", "REPLACE", 1) if dialect == "mysql" else text


class _Match(exp.Expression, exp.Binary):  # pyright: ignore[reportPrivateImportUsage]  # its public name in sqlglot
    """The operator `~` of DuckDB. Releases disagree about its meaning, so no function can take its place.

    Before DuckDB 2 it matches the whole text, since then any part of it.
    """


class _DuckDBWriter(DuckDBGenerator):
    """Writer of DuckDB statements that keeps the operator `~`."""

    TRANSFORMS: ClassVar[Any] = {**DuckDBGenerator.TRANSFORMS, _Match: lambda self, node: self.binary(node, "~")}


_NUMERIC: Final = frozenset(
    getattr(exp.DType, name) for name in ("DECIMAL", "BOOLEAN", "DATE", "DATETIME", "TIME", "TIMESTAMP", "TIMESTAMPNTZ")
)
"""Types that SQLite casts to numbers. The parser would replace their names by others."""


def _keep_casts(tree: exp.Expr) -> None:
    for cast in tree.find_all(exp.Cast):
        if cast.to.this in _NUMERIC:
            cast.set("to", exp.DataType(this=exp.DType.USERDEFINED, kind="NUMERIC"))


_CALLED: Final[Mapping[tuple[type[exp.Expr], str, int], str]] = {
    (exp.Hex, "postgres", 6): "TO_HEX",
    (exp.Mod, "sqlite", 3): "MOD",
    **{(exp.Log, dialect, len(name)): name for dialect in DIALECTS for name in ("LOG2", "LOG10")},
}
"""The names of functions that the parser would replace by functions with other results.

The keys are the node, the dialect, and the length of the name in the text, which is 0 for an operator.
"""


def _keep_calls(tree: exp.Expr, dialect: str) -> None:
    for call in [*tree.find_all(exp.Hex, exp.Log, exp.Mod, exp.RegexpLike)]:
        start, end = (call.meta.get(place) for place in ("start", "end"))
        if dialect == "duckdb" and type(call) is exp.RegexpLike and start is None:
            call.replace(_Match(this=call.this, expression=call.expression))
            continue
        name = _CALLED.get((type(call), dialect, 0 if start is None else end - start + 1))
        if name is not None:
            # The name of the function already gives the base of the logarithm.
            parts = [call.expression] if type(call) is exp.Log else [call.this, call.args.get("expression")]
            call.replace(exp.Anonymous(this=name, expressions=[part for part in parts if part is not None]))


def _keep_precision(tree: exp.Expr) -> None:
    """Keep the brackets of `INTERVAL(6)`, which the parser would omit."""
    for kind in list(tree.find_all(exp.DataType)):
        if kind.this is exp.DType.INTERVAL and kind.expressions:
            precision = kind.expressions[0].sql(dialect="postgres")
            kind.replace(exp.DataType(this=exp.DType.USERDEFINED, kind=f"INTERVAL({precision})"))


_WHOLE: Final = "purposeguard_whole"
"""The mark of a table that is not narrowed yet."""


class _StatementNarrower:
    """Rewriter that puts conditions into the tree of a statement."""

    def __init__(self, catalogue: Catalog, conditions: Mapping[str, exp.Expr]) -> None:
        self._catalogue = catalogue
        self._conditions = conditions
        self._views: dict[str, ReadStatement | None] = {}

    def statement(self, read: ReadStatement, tree: exp.Expr) -> exp.Expr:
        """Narrow a statement in place, and return its tree."""
        _keep_calls(tree, self._catalogue.names.dialect)
        places = {id(node): name for node, name in read.mentions}
        # The copy has the same nodes in the same order.
        pairs = zip(read.tree.find_all(exp.Table), tree.find_all(exp.Table), strict=True)
        mentions = [(copy, places[id(node)], id(node) in read.targets) for node, copy in pairs if id(node) in places]
        paths: list[tuple[str, ...]] = []
        mentions = [mention for mention in mentions if self._concerns(mention[1])]
        for node, _, _ in mentions:
            node.meta[_WHOLE] = True
        for node, name, is_target in mentions:
            del node.meta[_WHOLE]
            if is_target:
                self._limit(node, name)
                continue
            if self._add_to_grouped_query(node, name):
                continue
            if not node.alias and node.args.get("db"):
                paths.append(self._key(node))
            rows = self._rows(node, name)
            if node is tree:
                tree = rows
            else:
                node.replace(rows)
        for column in tree.find_all(exp.Column) if paths else ():
            if column.args.get("db") and self._key(column, "table") in paths:
                # The table is a subquery now, which has only the last part of the table's name.
                column.set("db", None)
                column.set("catalog", None)
        if any(_WHOLE in table.meta for table in tree.find_all(exp.Table)):
            refuse("a table stands in a place where its rows cannot be left out")
        return tree

    def _concerns(self, name: str) -> bool:
        """Return True if a condition applies to a table, or to a table below a view."""
        if name in self._conditions:
            return True
        view = self._view(name)
        return view is not None and any(self._concerns(inner) for _, inner in view.mentions)

    def _view(self, name: str) -> ReadStatement | None:
        if name not in self._views:
            texts = (text for view_name, text in self._catalogue.views.values() if view_name == name)
            text = next(texts, None)
            self._views[name] = None if text is None else read_statement(text, self._catalogue)
        return self._views[name]

    def _key(self, node: exp.Expr, last: str = "this") -> tuple[str, ...]:
        """Return the key of a table, or with `last="table"` the key of the qualifier of a column."""
        return tuple(map(self._catalogue.names.key, name_parts(node, last)))

    def _rows(self, node: exp.Table, name: str) -> exp.Expr:
        """Return the subquery that replaces a table: its permitted rows, under the table's name in the statement."""
        alias, joins, pivots = (node.args.get(part) for part in ("alias", "joins", "pivots"))
        if name in self._conditions:
            inner = node.copy()
            for part in ("alias", "joins", "pivots"):
                inner.set(part, None)
            query: exp.Expr = exp.select(*self._columns(name)).from_(inner).where(self._conditions[name].copy())
        else:
            view = self._view(name)
            if view is None:
                return refuse(f"`{name}` is no view any more")
            self._not_captured(view, node, name)
            query = self.statement(view, view.tree.copy())
            if isinstance(query, exp.Subquery):
                query = query.this
        if alias is None or not alias.this:
            alias = exp.TableAlias(this=node.this.copy(), columns=(alias.args.get("columns") if alias else None))
        rows = exp.Subquery(this=query, alias=alias.copy())
        # These are not copied, because tables within them are replaced as well.
        rows.set("joins", joins)
        rows.set("pivots", pivots)
        return rows

    def _not_captured(self, view: ReadStatement, node: exp.Expr, name: str) -> None:
        """Refuse a view that reads a table with the name of a common table, which would take the table's place."""
        names = self._catalogue.names
        commons = {names.key(common.args["alias"].this) for common in node.root().find_all(exp.CTE)}
        if any(self._key(inner)[-1] in commons for inner, _ in view.mentions):
            refuse(f"a common table has the name of a table that the view `{name}` reads: call it otherwise")

    def _columns(self, name: str) -> Sequence[exp.Expr]:
        table = next(table for table in self._catalogue.tables.values() if table.name == name)
        return [exp.column(exp.to_identifier(str(column.key), quoted=True)) for column in table.relation.columns]

    def _limit(self, node: exp.Table, name: str) -> None:
        """Exclude the rows of a written table that the purpose may not use from being changed.

        Inserted rows stay as they are, also where a row that may not be used has the same unique key: no engine can
        store both, and an INSERT without ON CONFLICT would fail.
        """
        changed = node.find_ancestor(exp.Update, exp.Delete, exp.Insert, exp.Merge)
        if isinstance(changed, (exp.Update, exp.Delete)):
            self._where(changed, self._condition_of(node, name))
            return
        conflict = changed.args.get("conflict") if changed is not None else None
        if isinstance(changed, exp.Insert) and _leaves_rows(changed):
            return
        is_update = isinstance(conflict, exp.OnConflict) and conflict.expressions and not conflict.args.get("duplicate")
        if not isinstance(conflict, exp.OnConflict) or not is_update or _alternative_of(changed) == "REPLACE":
            refuse(f"rows of `{name}` are left out, and it is written to: rows that are there are not seen to be there")
        self._where(conflict, self._condition_of(node, name))

    def _add_to_grouped_query(self, node: exp.Table, name: str) -> bool:
        """Add a condition to a query with GROUP BY. Return False if it cannot be added there.

        PostgreSQL knows that the key of a table determines its other columns, but not that the key of a subquery does.
        """
        place, alias = node.parent, node.args.get("alias")
        query = place.parent if isinstance(place, (exp.From, exp.Join)) else None
        if (
            self._catalogue.names.dialect != "postgres"
            or name not in self._conditions
            or not isinstance(query, exp.Select)
            or query.args.get("group") is None
            or node.args.get("joins")
            or (alias is not None and alias.args.get("columns"))
        ):
            return False
        called = node.alias_or_name.lower()
        rows = (column for column in query.find_all(exp.Column) if column.table in {"", node.db})
        if any(column.name.lower() == called for column in rows) or any(
            type(star.parent) is not exp.Count for star in query.find_all(exp.Star)
        ):
            return False  # Whole rows have columns that are not declared.
        sides = [str(join.args.get("side") or "").upper() for join in query.args.get("joins") or ()]
        if any(side not in {"", "LEFT"} for side in sides):
            return False
        condition = self._condition_of(node, name)
        if not isinstance(place, exp.Join) or not place.args.get("side"):
            self._where(query, condition)
            return True
        on = place.args.get("on")
        if on is not None:
            place.set("on", exp.and_(condition, on, copy=False))
        return on is not None

    def _condition_of(self, node: exp.Table, name: str) -> exp.Expr:
        """Return the condition of a table, with columns qualified by the name of the table in the statement."""
        alias = node.args.get("alias")
        called = alias.this if alias is not None and alias.this else node.this
        condition = self._conditions[name].copy()
        for column in list(condition.find_all(exp.Column)):
            if not column.table:  # A qualified column belongs to a list of keys.
                column.set("table", called.copy())
        return condition

    def _where(self, tree: exp.Expr, condition: exp.Expr) -> None:
        where = tree.args.get("where")
        # The new condition comes first: engines evaluate in order, and another may fail at rows that are left out.
        both = exp.and_(condition, where.this, copy=False) if where is not None else condition
        tree.set("where", exp.Where(this=both))


def is_only_inserted(statement: ReadStatement, table: str) -> bool:
    """Return True if a statement only inserts into a table, and does not change the rows that already exist."""
    for node, name in statement.mentions:
        if name == table:
            insert = node.find_ancestor(exp.Insert) if id(node) in statement.targets else None
            if insert is None or not _leaves_rows(insert):
                return False
    return True


def _leaves_rows(insert: exp.Insert) -> bool:
    alternative = _alternative_of(insert)
    conflict = insert.args.get("conflict")
    if conflict is not None:
        action = str(conflict.args.get("action") or "").upper()
        return not conflict.expressions and action == "DO NOTHING" and alternative != "REPLACE"
    return bool(insert.args.get("ignore")) or alternative in _LEAVING


def _alternative_of(statement: exp.Expr | None) -> str:
    """Return the word after `INSERT OR`, which says what to do with an existing row; empty if there is none."""
    return "" if statement is None else str(statement.args.get("alternative") or "").upper()


_LEAVING: Final = frozenset({"ABORT", "FAIL", "IGNORE", "ROLLBACK"})
"""Words after `INSERT OR` with which SQLite does not change an existing row."""
