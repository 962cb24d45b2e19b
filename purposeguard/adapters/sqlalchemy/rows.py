"""Row rules as expressions of SQLAlchemy, for SQLite and PostgreSQL: which rows of a table a purpose may use."""

from __future__ import annotations

import datetime
import functools
import json
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import and_, any_, bindparam, case, cast, false, func, not_, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import TableClause
from sqlalchemy.types import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Integer,
    String,
    Text,
    TypeDecorator,
    TypeEngine,
    Uuid,
)

from purposeguard.adapters.rowrule import UUID_MARKS, UUID_PREFIX, KeySet, RowRule, rendered, spellings
from purposeguard.adapters.sqlalchemy.narrowed import Among, Constant, Narrowed
from purposeguard.errors import UnlabelledData, UnresolvedStatement
from purposeguard.notice.notice import Notice
from purposeguard.notice.timezones import zone

NO_SOURCE: Final = "the source of a row is not known: "
"""What an error of PostgreSQL says where a row names no source of the notice; the id that it names comes after it."""

BAD_JSON: Final = "malformed JSON"
"""What SQLite says of the same: its errors do not say of what."""

_TABLES_KEPT: Final = 100
"""Tables for which a rule's tests are remembered."""


class Listed:
    """Values that are bound as one parameter: an array on PostgreSQL, JSON on SQLite."""

    __slots__ = ("form", "values", "written")

    def __init__(self, values: Sequence[int | str]) -> None:
        self.form = ""
        self.values = values
        self.written: dict[tuple[str, str], str] = {}

    def told(self) -> tuple[Sequence[int | str], dict[tuple[str, str], str]]:
        """The values, and the texts of them that were written before."""
        return self.values, self.written

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is Listed and self.values == other.values)

    def __hash__(self) -> int:
        return hash(tuple(self.values))

    def __repr__(self) -> str:
        return f"<{len(self.values):,} values>"  # not which


class Subjects(Listed):
    """Ids of subjects, in one form: those of a set of keys, by its identity.

    The keys are not kept: there may be millions, and compiled statements stay in a cache while these change. They live
    as long as the rule that asks for them.
    """

    __slots__ = ("_identity", "_keys")

    def __init__(self, keys: KeySet, form: str) -> None:
        super().__init__(())
        self.form = form
        self._keys = weakref.ref(keys)
        self._identity = id(keys)

    def told(self) -> tuple[Sequence[int | str], dict[tuple[str, str], str]]:
        """As of others.

        Raises:
            UnlabelledData: the keys are gone, since others took their place.
        """
        keys = self._keys()
        if keys is None:
            raise UnlabelledData(
                "the rows were narrowed for a moment that is over, and subjects asked for something since: make the "
                "statement anew"
            )
        return getattr(keys, self.form), _written.setdefault(keys, {})

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        keys = self._keys()
        return isinstance(other, Subjects) and keys is not None and keys is other._keys() and self.form == other.form

    def __hash__(self) -> int:
        return hash((self._identity, self.form))

    def __repr__(self) -> str:
        return "<subjects>"  # not which


_written: weakref.WeakKeyDictionary[KeySet, dict[tuple[str, str], str]] = weakref.WeakKeyDictionary()
"""The texts that keys of subjects are bound as: there may be millions, and they stay the same until they change."""


class _ListType(TypeDecorator[Listed]):
    """The type of such a parameter: text, which the statement reads as an array or as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Listed | None, dialect: Dialect) -> str | None:
        """The text."""
        if value is None:
            return None
        values, known = value.told()
        found = known.get((dialect.name, value.form))
        if found is None:
            write: Callable[[Sequence[int | str]], str] = _array if dialect.name == "postgresql" else _json
            found = known[dialect.name, value.form] = write(values)
        return found


def _json(values: Sequence[int | str]) -> str:
    return json.dumps(list(values))


def _array(values: Sequence[int | str]) -> str:
    return "{" + ",".join(str(one) if isinstance(one, int) else _quoted(one) for one in values) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class Piece(NamedTuple):
    """A test: as an expression, and what of it is text (`shape`) and not bound."""

    element: ColumnElement[bool]
    shape: str


class _Words:
    """The words of a SQL database for row rules."""

    def __init__(self, dialect: Any, rule: RowRule, name: str, table: TableClause) -> None:
        self._dialect = dialect.name
        self._rule = rule
        self._name = name
        self._columns = {column.name: column for column in table.columns}
        if self._dialect not in ("sqlite", "postgresql"):
            raise UnresolvedStatement(f"rows are narrowed on SQLite and PostgreSQL, and this is {self._dialect}")

    def _column(self, name: str) -> Any:
        found = self._columns.get(name)
        if found is None:
            raise UnresolvedStatement(
                f"the rows of `{self._name}` are decided by `{name}`, which the table has not here"
            )
        return found

    def _bound(self, value: Any, kind: TypeEngine[Any]) -> Any:
        return bindparam(None, value, type_=kind, unique=True)

    def true(self) -> Piece:
        return Piece(true(), "true")

    def false(self) -> Piece:
        return Piece(false(), "false")

    def all_of(self, parts: Sequence[Piece], /) -> Piece:
        return self._joined(and_(*(one.element for one in parts)), "and", parts)

    def any_of(self, parts: Sequence[Piece], /) -> Piece:
        return self._joined(or_(*(one.element for one in parts)), "or", parts)

    def _joined(self, element: ColumnElement[bool], word: str, parts: Sequence[Piece]) -> Piece:
        shape = f"{word}({', '.join(one.shape for one in parts)})"
        return Piece(element, shape)

    def negated(self, part: Piece, /) -> Piece:
        return Piece(not_(part.element), f"not({part.shape})")

    def absent(self, column: str, /) -> Piece:
        return Piece(self._column(column).is_(None), f"absent({column})")

    def source_in(self, column: str, clauses: frozenset[str], /) -> Piece:
        ids = self._column(column)
        text = cast(ids, Text)
        these, others = _split(spellings(self._rule.notice), clauses)
        plain_these, plain_others = _split(_plainly(self._rule.notice), clauses)
        plain = self._plain(text)
        unknown = Constant(NO_SOURCE) + func.coalesce(text, Constant(""))
        # Either fails for the row that reaches it: no text of a truth value, and no JSON.
        failing = (
            cast(unknown, Boolean)
            if self._dialect == "postgresql"
            else func.json_extract(unknown, Constant("$")) == Constant("")
        )
        element = case(
            (_among(text, these), true()),
            (_among(text, others), false()),
            # Only rows that spell it in no usual way come here.
            (_among(plain, plain_these), true()),
            (_among(plain, plain_others), false()),
            else_=failing,
        )
        # The texts are written out, and another notice may have others for the same clauses.
        shape = f"source({column}, {these!r}, {others!r}, {plain_these!r}, {plain_others!r})"
        return Piece(element == true(), shape)

    def _plain(self, text: Any) -> Any:
        """An id in small ASCII letters, without brackets and the blanks around and before them."""
        found = func.trim(text)
        for bracket in "(（":
            found = func.replace(found, Constant(f" {bracket}"), Constant(bracket))
        if self._dialect == "postgresql":
            found = func.translate(found, Constant("".join(_WIDE) + _BRACKETS), Constant("".join(_WIDE.values())))
        else:
            for char, one in (*_WIDE.items(), *((bracket, "") for bracket in _BRACKETS)):
                found = func.replace(found, Constant(char), Constant(one))
        return func.lower(found)

    def days_in(self, column: str, since: datetime.date | None, before: datetime.date | None, /) -> Piece:
        held = self._column(column)
        kind = _plain_type(held.type)
        parts: list[ColumnElement[bool]] = [held.is_not(None)]
        for bound, compare in ((since, held.__ge__), (before, held.__lt__)):
            if bound is not None:
                parts.append(compare(self._bound(self._day(column, kind, bound), held.type)))
        shape = f"days({column}, {'since' if since else ''}, {'before' if before else ''})"
        return Piece(and_(*parts), shape)

    def _day(self, column: str, kind: TypeEngine[Any], day: datetime.date) -> datetime.date:
        if isinstance(kind, Date):
            return day
        if isinstance(kind, DateTime) and kind.timezone and self._dialect == "postgresql":
            return datetime.datetime.combine(day, datetime.time.min, zone(self._rule.timezone))
        raise UnresolvedStatement(
            f"`{self._name}.{column}` holds moments without their time zone, or no days at all, so which day each is "
            "of cannot be told: let it be a `Date`, or a `DateTime(timezone=True)` on PostgreSQL"
        )

    def subject_in(self, column: str, keys: KeySet, /) -> Piece:
        held = self._column(column)
        kind = _plain_type(held.type)
        if isinstance(kind, Integer):
            forms: list[tuple[Any, str, TypeEngine[Any]]] = [(held, "ints", BigInteger())]
        elif isinstance(kind, Uuid):
            text = func.lower(cast(held, Text))
            forms = [(text, "texts", Text())] if self._dialect == "postgresql" else [(text, "uuids", Text())]
        elif isinstance(kind, String):
            forms = [(held, "texts", Text())]
            if keys.uuids:
                plain = func.lower(func.replace(held, UUID_PREFIX, ""))
                for mark in UUID_MARKS:
                    plain = func.replace(plain, mark, "")
                forms.append((plain, "uuids", Text()))
        else:
            raise UnresolvedStatement(
                f"`{self._name}.{column}` holds ids of subjects as {type(kind).__name__}: they are whole numbers, "
                "texts or UUIDs"
            )
        tests = [self._within(text, Subjects(keys, form), of) for text, form, of in forms]
        shape = f"subject({column}, {', '.join(form for _, form, _ in forms)})"
        return Piece(and_(held.is_not(None), or_(*tests)), shape)

    def _within(self, value: Any, listed: Listed, kind: TypeEngine[Any]) -> ColumnElement[bool]:
        bound = self._bound(listed, _ListType())
        if self._dialect == "postgresql":
            return value == any_(cast(bound, ARRAY(kind)))  # type: ignore[no-any-return]  # the value has no type here
        rows = func.json_each(bound).table_valued("value")
        return value.in_(select(rows.c.value))  # type: ignore[no-any-return]  # likewise


_WIDE: Final = {chr(0xFEE0 + ord(one)): one for one in "0123456789.abcdefABCDEF-"}
"""Full-width characters of ids, as they are typed beside Japanese, and what they are."""

_BRACKETS: Final = "()（）"


def _among(value: Any, texts: Sequence[str]) -> ColumnElement[bool]:
    return Among(value, texts) if texts else false()


def _split(known: Mapping[str, str], clauses: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    these = tuple(sorted(form for form, clause in known.items() if clause in clauses))
    return these, tuple(sorted(form for form, clause in known.items() if clause not in clauses))


@functools.lru_cache(maxsize=64)
def _plainly(notice: Notice) -> Mapping[str, str]:
    """The usual spellings as `_plain` makes them; without those that would mean two sources."""
    found: dict[str, set[str]] = {}
    for form, clause in spellings(notice).items():
        found.setdefault(form.replace("(", "").replace(")", "").lower(), set()).add(clause)
    return {form: next(iter(clauses)) for form, clauses in found.items() if len(clauses) == 1}


def _plain_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return kind


class Test(NamedTuple):
    """A row rule for one table: the element of a statement, and what is compared where the statement is executed."""

    element: Narrowed
    shape: str
    values: tuple[Any, ...]


class Rows:
    """Row rules as tests in statements of one engine, each made once."""

    def __init__(self, dialect: Any) -> None:
        self._dialect = dialect
        self._tests: dict[int, tuple[weakref.ref[RowRule], dict[int, tuple[TableClause, Test]]]] = {}

    def _of(self, rule: RowRule) -> dict[int, tuple[TableClause, Test]]:
        """The tests of a rule, by the identity of the table, which is kept beside it. They go with the rule."""
        key = id(rule)
        known = self._tests.get(key)
        if known is not None and known[0]() is rule:
            return known[1]

        def gone(ref: weakref.ref[RowRule]) -> None:
            kept = self._tests.get(key)
            if kept is not None and kept[0] is ref:  # and not of another rule, in its place
                self._tests.pop(key, None)

        made: dict[int, tuple[TableClause, Test]] = {}
        self._tests[key] = (weakref.ref(rule, gone), made)
        return made

    def test(self, rule: RowRule, name: str, table: TableClause) -> Test:
        """The test for rows of a table by a rule.

        Raises:
            UnresolvedStatement: the database, or the type of a column that decides, is none that is known.
        """
        tests = self._of(rule)
        known = tests.get(id(table))
        if known is not None:
            return known[1]
        piece = rendered(rule, _Words(self._dialect, rule, name, table))
        anchor = next(iter(table.columns))
        shape = sys.intern(piece.shape)  # it is long, and is compared at every execution
        element = Narrowed(anchor, piece.element, shape)
        compiled: Any = select(anchor).where(element).compile(dialect=self._dialect)
        ((_, names),) = compiled.purposeguard.occurrences[0].narrowings
        test = Test(element, shape, tuple(compiled.params[one] for one in names))
        if len(tests) >= _TABLES_KEPT:  # of objects that are made for each statement
            tests.clear()
        tests[id(table)] = (table, test)
        return test

    def strangers(self, rule: RowRule, name: str, table: TableClause) -> Any:
        """A statement that finds an id in a table that is no source of the notice, or a null."""
        words = _Words(self._dialect, rule, name, table)
        ids = words._column(rule.source or "")
        text = cast(ids, Text)
        known = words._within(text, Listed(tuple(spellings(rule.notice))), Text())
        plain = words._within(words._plain(text), Listed(tuple(_plainly(rule.notice))), Text())
        return select(ids).where(or_(ids.is_(None), not_(or_(known, plain)))).limit(1)

    def agrees(
        self,
        rule: RowRule,
        name: str,
        table: TableClause,
        narrowing: tuple[str, tuple[str, ...]],
        parameters: Sequence[dict[str, Any]],
    ) -> bool:
        """Whether a test that stands in a statement is that of this rule, with its values."""
        test = self.test(rule, name, table)
        shape, names = narrowing
        if shape != test.shape or len(names) != len(test.values):
            return False
        return all(
            one.get(bound) == value for one in parameters for bound, value in zip(names, test.values, strict=True)
        )
