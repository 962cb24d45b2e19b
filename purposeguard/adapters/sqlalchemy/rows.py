"""Statements rewritten to read only the rows that a purpose may use, with the parameters that they need."""

from __future__ import annotations

import json
import re
import secrets
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Table
from sqlalchemy.types import Date, DateTime, Integer, String, TypeDecorator, TypeEngine, Uuid
from sqlglot import exp, parse_one
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from purposeguard.adapters.row_rule import KeySet, RowRule
from purposeguard.adapters.sql.conditions import SqlConditions
from purposeguard.adapters.sql.scopes import NameRules
from purposeguard.errors import UnresolvedStatement

BAD_JSON: Final = "malformed JSON"
"""SQLite's error for a row with an unknown source. It does not name the source."""

NARROWED: Final = frozenset({"sqlite", "postgres"})
"""Dialects in which rows can be left out."""

_TOKEN: Final = str(secrets.randbelow(9 * 10**8) + 10**8)  # Random, so that no statement contains a mark.
_MARK: Final = re.compile(rf"(?::purposeguard_|\$){_TOKEN}(\d{{6}})")
_NUMBER: Final = re.compile(rf"(?:purposeguard_)?{_TOKEN}(\d{{6}})")
_PYFORMAT: Final = re.compile(r"%%|%\((\w+(?:[ .-]\w+)*)\)s|%s|%.?", re.DOTALL)


def _mark(dialect: str, number: int) -> str:
    """Return the mark of a parameter, in a form that the parser reads as a parameter.

    In MySQL `$1` is a name. In PostgreSQL and DuckDB `:` may belong to a slice.
    """
    return f"{'$' if dialect in {'postgres', 'duckdb'} else ':purposeguard_'}{_TOKEN}{number:06d}"


def number_of(value: exp.Expr) -> int | None:
    """Return the number, from 0, of the parameter that a value is; None if it is no parameter.

    The value may be a cast of the parameter.
    """
    while isinstance(value, exp.Cast):
        value = value.this
    if not isinstance(value, (exp.Placeholder, exp.Parameter)):
        return None
    match = _NUMBER.fullmatch(value.name)
    if match is not None:
        return int(match[1])
    return int(value.name) - 1 if value.name.isdecimal() else None


# ---- parameters ------------------------------------------------------------------------------------------------------


class Marked(NamedTuple):
    """A statement with a mark in place of each parameter, and by mark the parameter's name, if it has one."""

    text: str
    names: tuple[str, ...]


def mark_parameters(text: str, dialect: str, paramstyle: str) -> Marked:
    """Replace each parameter of a statement by a mark that the parser reads as a parameter.

    Numbered parameters (`$1`) stay: the parser reads them as drivers do.

    Raises:
        UnresolvedStatement: drivers disagree on what is a parameter in the statement.
    """
    names: list[str] = []

    def mark(name: str | None) -> str:
        names.append(name or "")
        return f"{_mark(dialect, len(names) - 1)} "  # A word may follow without a blank, as in `?FROM`.

    def percent(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if not match[0].endswith("s"):
            raise UnresolvedStatement(
                "a `%` in it begins no parameter that every driver reads alike: name parameters by words, and double a "
                "`%` that is none"
            )
        return mark(match[1])

    if paramstyle in ("pyformat", "format"):
        text = _PYFORMAT.sub(percent, text)
    elif paramstyle == "qmark" and "?" in text:
        parts, end = [], 0
        for token in _tokens(text, dialect):
            if token.token_type is TokenType.PLACEHOLDER and token.text == "?":
                parts += [text[end : token.start], " ", mark(None)]
                end = token.end + 1
                if text[end : end + 1].isdecimal():
                    raise UnresolvedStatement("`?1` names a parameter by its number: write `?`, or give it a name")
        text = "".join([*parts, text[end:]])
    return Marked(text, tuple(names))


def _tokens(text: str, dialect: str) -> list[Token]:
    try:
        return Dialect.get_or_raise(dialect).tokenize(text)
    except SqlglotError:  # A quote is not closed, which the parser will report.
        return []


def require_parameters_are_values(tree: exp.Expr, source: Marked) -> None:
    """Raise UnresolvedStatement if the parser does not read each parameter as a value, as within quotes or a comment.

    Some drivers insert a value there all the same, which then ends the text or the comment.
    """
    numbers = set(map(number_of, tree.find_all(exp.Placeholder, exp.Parameter)))
    if not numbers.issuperset(range(len(source.names))):
        raise UnresolvedStatement("a parameter stands within quotes or a comment: write it as a value of its own")


class BoundStatement(NamedTuple):
    """A rewritten statement for the driver, and the subject keys that it needs in addition to its parameters."""

    text: str
    places: tuple[int, ...]
    """The number of each mark in the text, if parameters are given in order."""
    keys: tuple[tuple[weakref.ref[KeySet], str], ...]
    """The keys, each with the form in which they are bound."""
    first_key_number: int
    """The number of the first mark that stands for keys."""

    def parameters(self, own_parameters: Any, dialect: str) -> Any:
        """Return one set of parameters together with the keys."""
        lists = [_encode_keys(dialect, keys(), form) for keys, form in self.keys]
        if isinstance(own_parameters, Mapping):
            named = dict(own_parameters)
            for number, text in enumerate(lists):
                named[_key_name(number)] = text
            return named
        if not self.places:
            return (*own_parameters, *lists)
        return tuple(
            own_parameters[place] if place < self.first_key_number else lists[place - self.first_key_number]
            for place in self.places
        )


def _key_name(number: int) -> str:
    return f"purposeguard_{_TOKEN}_{number}"


def bind_marks(
    text: str, original: Marked, keys: Sequence[tuple[KeySet, str]], paramstyle: str, parameters: Any
) -> BoundStatement:
    """Replace the marks in a rewritten statement by parameters in the style of the driver.

    Args:
        text: The rewritten statement.
        original: The original statement with its marks.
        keys: The key sets, each with the form in which its ids are bound. Their marks are numbered after those of
            `original`.
        paramstyle: The style of the driver.
        parameters: One set of parameters. Only whether they are named, and how many, matters.

    Returns:
        The statement for the driver, which adds the keys to each set of parameters.

    Raises:
        UnresolvedStatement: rows cannot be left out with parameters of this style.
    """
    if paramstyle not in ("qmark", "pyformat", "format", "numeric_dollar"):
        raise UnresolvedStatement(f"rows are not left out of statements with parameters of the style `{paramstyle}`")
    first_key_number, places = len(original.names), list[int]()
    named = isinstance(parameters, Mapping)
    percent = paramstyle in ("pyformat", "format")

    def placeholder_for(match: re.Match[str]) -> str:
        number = int(match[1])
        name = original.names[number] if number < first_key_number else _key_name(number - first_key_number)
        if named:
            return f"%({name})s" if percent else f":{name}"
        if paramstyle == "numeric_dollar":  # The statement keeps its own numbered parameters, so only keys have marks.
            return f"${len(parameters) + 1 + number - first_key_number}"
        places.append(number)
        return "%s" if percent else "?"

    parts: list[str] = []
    end = 0
    for match in _MARK.finditer(text):
        parts += [_double_percent(text[end : match.start()], percent=percent), placeholder_for(match)]
        end = match.end()
    whole = "".join([*parts, _double_percent(text[end:], percent=percent)])
    return BoundStatement(
        whole, tuple(places), tuple((weakref.ref(key_set), form) for key_set, form in keys), first_key_number
    )


def _double_percent(text: str, *, percent: bool) -> str:
    return text.replace("%", "%%") if percent else text


# ---- lists of keys ---------------------------------------------------------------------------------------------------

_written: Final[weakref.WeakKeyDictionary[KeySet, dict[tuple[str, str], str]]] = weakref.WeakKeyDictionary()
"""The texts in which subject keys are bound, by key set and form. There may be millions of keys, so they are cached."""


def _encode_keys(dialect: str, keys: KeySet | None, written: str) -> str:
    """Encode keys as one parameter: an array for PostgreSQL, and JSON or lines of JSON for SQLite."""
    if keys is None:  # The rule that holds the keys is gone.
        raise UnresolvedStatement("the rows were to be narrowed for a moment that is over: execute the statement anew")
    texts = _written.setdefault(keys, {})
    text = texts.get((dialect, written))
    if text is None:
        form, lines, _ = written.partition(_LINES)
        values: Sequence[int | str] = getattr(keys, form)
        if lines:
            text = "\n".join(["", *map(_json, values), ""])
        else:
            text = _array(values) if dialect == "postgres" else _json(values)
        texts[dialect, written] = text
    return text


_LINES: Final = " by line"
"""A suffix of the form of keys: each key is a line of a text, as JSON."""

_json: Final = json.JSONEncoder(ensure_ascii=False).encode


def _array(values: Sequence[int | str]) -> str:
    return "{" + ",".join(map(_array_item, values)) + "}"


def _array_item(value: int | str) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# ---- conditions ------------------------------------------------------------------------------------------------------


class TableConditions(SqlConditions):
    """Renderer of conditions over the columns of a table that binds subject keys as parameters.

    Subject ids are personal, and the texts of statements are logged.

    Args:
        rule: The rule to render.
        names: The names of the dialect.
        table: The table.
        keys: A list to which the bound keys are added.
        first: The number of the first mark for keys. If it is None, the driver gets no parameters, and the text of the
            statement contains the keys.
        alone: True if the statement reads one row.
    """

    folds = True

    def __init__(
        self,
        rule: RowRule,
        names: NameRules,
        table: Table,
        keys: list[tuple[KeySet, str]],
        first: int | None,
        *,
        alone: bool = False,
    ) -> None:
        super().__init__(rule, names)
        self._alone: Final = alone
        self._table: Final = table
        self._keys: Final = keys
        self._first: Final = first

    def kind(self, column: str) -> str:
        """Return the type of a column's values.

        Raises:
            UnresolvedStatement: the column can hold no days, or no ids.
        """
        table_column = next((candidate for candidate in self._table.columns if candidate.name == column), None)
        name = f"{self._table.fullname}.{column}"
        if table_column is None:
            raise UnresolvedStatement(f"the rows are decided by `{name}`, which the table has not here")
        type_ = _plain_type(table_column.type)
        if column in (self._rule.collected, self._rule.ended):
            if isinstance(type_, Date):
                return "date"
            if isinstance(type_, DateTime) and type_.timezone and self.dialect == "postgres":
                return "moment"
            raise UnresolvedStatement(
                f"`{name}` holds moments without their time zone, or no days at all, so which day each is of cannot be "
                "told: let it be a `Date`, or a `DateTime(timezone=True)` on PostgreSQL"
            )
        for column_type, kind in ((Integer, "whole"), (Uuid, "uuid"), (String, "text")):
            if isinstance(type_, column_type):
                return kind
        raise UnresolvedStatement(
            f"`{name}` holds ids of subjects as {type(type_).__name__}: they are whole numbers, texts or UUIDs"
        )

    def among(self, value: exp.Expr, keys: KeySet, form: str) -> exp.Expr:
        """Return the condition that a value is one of these keys, which are bound as parameters."""
        if self._first is None:
            return super().among(value, keys, form)
        if self.dialect == "postgres":
            kind = "BIGINT" if form == "ints" else "TEXT"
            array = parse_one(f"ANY(CAST(CAST({self._bound(keys, form)} AS TEXT) AS {kind}[]))", dialect="postgres")
            return exp.EQ(this=value.copy(), expression=array)
        # SQLite sorts a list anew for each query, which takes longer than searching one row.
        line = None
        if self._alone and keys.is_plain:
            mark = self._bound(keys, form + _LINES)
            line = _parse_template(f"INSTR({mark}, CHAR(10) || JSON_QUOTE(v) || CHAR(10)) > 0", value)
            if form != "ints":
                return line
        mark = self._bound(keys, form)
        listed = parse_one(f"SELECT k.value FROM JSON_EACH({mark}) AS k", into=exp.Select, dialect="sqlite")  # noqa: S608  # a mark
        within = exp.In(this=value.copy(), query=listed.subquery())
        if line is None:
            return within
        return exp.case().when(_parse_template("TYPEOF(v) = 'integer'", value), line).else_(within)

    def _bound(self, keys: KeySet, written: str) -> str:
        """Return the mark of the parameter for keys, which is added unless they are bound already."""
        if self._first is None:
            raise UnresolvedStatement("the driver gets no parameters, so no keys are bound")
        for number, (bound_keys, form) in enumerate(self._keys):
            if bound_keys is keys and form == written:
                return _mark(self.dialect, self._first + number)
        self._keys.append((keys, written))
        return _mark(self.dialect, self._first + len(self._keys) - 1)


def _parse_template(template: str, value: exp.Expr) -> exp.Expr:
    """Parse a template as a condition of SQLite, with a value in place of the name `v`."""

    def fill_in(node: exp.Expr) -> exp.Expr:
        return value.copy() if node == _PLACE_OF_VALUE else node

    return parse_one(template, dialect="sqlite").transform(fill_in)


_PLACE_OF_VALUE: Final = exp.column("v")


def _plain_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return kind
