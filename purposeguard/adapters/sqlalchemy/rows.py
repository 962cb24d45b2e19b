"""Rows that a purpose may use: row rules as elements of SQLAlchemy's statements, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import re
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import Table, bindparam, select
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.sql.selectable import TableClause
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import Boolean, Date, DateTime, Integer, String, Text, TypeDecorator, TypeEngine, Uuid
from sqlglot import exp, parse_one

from purposeguard.adapters.row_rule import KeySet, RowRule, spellings
from purposeguard.adapters.sql.rows import Conditions, folded, plain_spellings
from purposeguard.adapters.sql.scopes import Names
from purposeguard.errors import UnlabelledData, UnresolvedStatement

BAD_JSON: Final = "malformed JSON"
"""What SQLite says of a row whose source is not known: its errors do not say which."""

_TABLES_KEPT: Final = 100
"""Tables for which a rule's conditions are remembered."""

_MOST_SPELLINGS: Final = 10_000
"""Values of a column of sources that are looked at where SQLite does not say which one it does not know."""

_NAMES: Final = MappingProxyType({"sqlite": Names("sqlite"), "postgresql": Names("postgres")})

_HOLE: Final = re.compile(r"purposeguard_hole_(\d+)_")


# ---- the element -----------------------------------------------------------------------------------------------------


class Narrowed(ColumnElement[bool]):
    """A condition for the rows of one table; `Recorder` notes it when it is compiled.

    `anchor` is a column of the table. `shape` is the text of the condition, with numbered holes for `parts`: columns,
    and lists of keys, which are bound.
    """

    _traverse_internals: Any = [  # noqa: RUF012  # as SQLAlchemy has it
        ("anchor", InternalTraversal.dp_clauseelement),
        ("parts", InternalTraversal.dp_clauseelement_tuple),
        ("shape", InternalTraversal.dp_string),
    ]
    type = Boolean()

    def __init__(self, anchor: ColumnElement[Any], parts: Iterable[ColumnElement[Any]], shape: str) -> None:
        self.anchor: Any = anchor
        self.parts: Any = tuple(parts)
        self.shape = shape

    def bound(self) -> list[BindParameter[Any]]:
        """The lists of keys, in the order in which the text has them."""
        parts = (self.parts[int(number)] for number in _HOLE.findall(self.shape))
        return [part for part in parts if isinstance(part, BindParameter)]

    def text(self, visitor: Any, **kw: Any) -> str:
        """The condition, as a compiler writes it."""
        shape = self.shape.replace("%", "%%") if visitor.preparer._double_percents else self.shape
        return f"({_HOLE.sub(lambda hole: str(visitor.process(self.parts[int(hole[1])], **kw)), shape)})"

    def _compiler_dispatch(self, visitor: Any, **kw: Any) -> str:
        # Compilers of other engines write it as well: SQLAlchemy itself makes texts of statements now and then.
        note: Callable[..., str] | None = getattr(visitor, "visit_purposeguard_narrowed", None)
        return self.text(visitor, **kw) if note is None else note(self, **kw)

    def _gen_cache_key(self, am: Any, bindparams: list[BindParameter[Any]]) -> Any:
        """Its identity: the table and the text. Quicker than a walk over the parts."""
        table = getattr(self.anchor, "table", None)
        if not isinstance(table, Table):  # of an alias: what it is of tells it
            return super()._gen_cache_key(am, bindparams)
        bindparams.extend(part for part in self.parts if isinstance(part, BindParameter))
        return (Narrowed, self.shape, table)

    def self_group(self, against: Any = None) -> Any:  # noqa: ARG002  # as SQLAlchemy calls it
        """As it is: it is in brackets, and true or false."""
        return self

    @property
    def _from_objects(self) -> Any:
        # It reads its table alone. Its parts are left out: functions over an alias may still name the table itself,
        # which would add a cross join.
        return list(self.anchor._from_objects)


# ---- lists of keys ---------------------------------------------------------------------------------------------------


class Subjects:
    """Ids of subjects in one form, bound as one parameter: an array on PostgreSQL, JSON on SQLite.

    Compared by the identity of their `KeySet`. The keys are not kept: there may be millions, and compiled statements
    stay in a cache while these change. They live as long as the rule that asks for them.
    """

    __slots__ = ("_form", "_identity", "_keys")

    def __init__(self, keys: KeySet, form: str) -> None:
        self._form: Final = form
        self._keys: Final = weakref.ref(keys)
        self._identity: Final = id(keys)

    def text(self, dialect: str) -> str:
        """What is bound.

        Raises:
            UnlabelledData: the keys are gone, since others took their place.
        """
        keys = self._keys()
        if keys is None:
            raise UnlabelledData(
                "the rows were narrowed for a moment that is over, and subjects asked for something since: make the "
                "statement anew"
            )
        known = _written.setdefault(keys, {})
        text = known.get((dialect, self._form))
        if text is None:
            values: Sequence[int | str] = getattr(keys, self._form)
            text = known[dialect, self._form] = _array(values) if dialect == "postgresql" else json.dumps(values)
        return text

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        keys = self._keys()
        return isinstance(other, Subjects) and keys is not None and keys is other._keys() and self._form == other._form

    def __hash__(self) -> int:
        return hash((self._identity, self._form))

    def __repr__(self) -> str:
        return "<subjects>"  # not which


_written: Final[weakref.WeakKeyDictionary[KeySet, dict[tuple[str, str], str]]] = weakref.WeakKeyDictionary()
"""The texts that keys of subjects are bound as: there may be millions, and they stay the same until they change."""


class _SubjectsType(TypeDecorator[Subjects]):
    """The type of such a parameter: text, which the statement reads as an array or as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Subjects | None, dialect: Dialect) -> str | None:
        """The text."""
        return None if value is None else value.text(dialect.name)


def _array(values: Sequence[int | str]) -> str:
    return "{" + ",".join(str(value) if isinstance(value, int) else _quoted(value) for value in values) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# ---- conditions ------------------------------------------------------------------------------------------------------


class _Conditions(Conditions):
    """Conditions over the columns of a table. Their text has holes for columns and keys, which are in `parts`."""

    folds = True

    def __init__(self, dialect: str, rule: RowRule, name: str, table: TableClause) -> None:
        """`name` is that of the table.

        Raises:
            UnresolvedStatement: rows are not narrowed in this dialect.
        """
        names = _NAMES.get(dialect)
        if names is None:
            raise UnresolvedStatement(f"rows are narrowed on SQLite and PostgreSQL, and this is {dialect}")
        super().__init__(rule, names)
        self._name: Final = name
        self._columns: Final = {column.name: column for column in table.columns}
        self.parts: Final[list[Any]] = []

    def _hole(self, part: Any) -> str:
        number = next((number for number, known in enumerate(self.parts) if known is part), len(self.parts))
        self.parts[number:] = self.parts[number:] or [part]
        return f"purposeguard_hole_{number}_"

    def _held(self, column: str) -> Any:
        table_column = self._columns.get(column)
        if table_column is None:
            raise UnresolvedStatement(
                f"the rows of `{self._name}` are decided by `{column}`, which the table has not here"
            )
        return table_column

    def column(self, name: str) -> str:
        return self._hole(self._held(name))

    def kind(self, column: str) -> str:
        """As of any; raises UnresolvedStatement where the column holds no days, or no ids."""
        type_ = _plain_type(self._held(column).type)
        if column in (self._rule.collected, self._rule.ended):
            if isinstance(type_, Date):
                return "date"
            if isinstance(type_, DateTime) and type_.timezone and self.dialect == "postgres":
                return "moment"
            raise UnresolvedStatement(
                f"`{self._name}.{column}` holds moments without their time zone, or no days at all, so which day each "
                "is of cannot be told: let it be a `Date`, or a `DateTime(timezone=True)` on PostgreSQL"
            )
        for known, kind in ((Integer, "whole"), (Uuid, "uuid"), (String, "text")):
            if isinstance(type_, known):
                return kind
        raise UnresolvedStatement(
            f"`{self._name}.{column}` holds ids of subjects as {type(type_).__name__}: "
            "they are whole numbers, texts or UUIDs"
        )

    def among(self, value: exp.Expr, keys: KeySet, form: str) -> exp.Expr:
        # Bound: ids of subjects are personal, and the text of a statement is logged.
        hole = self._hole(bindparam(None, Subjects(keys, form), type_=_SubjectsType(), unique=True))
        if self.dialect == "sqlite":
            listed = parse_one(f"SELECT value FROM JSON_EACH({hole})", into=exp.Select, dialect="sqlite")  # noqa: S608  # a hole
            return exp.In(this=value.copy(), query=listed.subquery())
        kind = "BIGINT" if form == "ints" else "TEXT"
        return exp.EQ(this=value.copy(), expression=parse_one(f"ANY(CAST({hole} AS {kind}[]))", dialect="postgres"))


def _plain_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return kind


class Test(NamedTuple):
    """A row rule for one table: its element, and the text and values that `agrees` compares on execution."""

    element: Narrowed
    shape: str
    values: tuple[Any, ...]


class Rows:
    """Row rules as tests in statements of one engine, each made once."""

    def __init__(self, dialect: Any) -> None:
        self._dialect = dialect
        self._tests: weakref.WeakKeyDictionary[RowRule, dict[int, tuple[TableClause, Test]]]
        self._tests = weakref.WeakKeyDictionary()  # by the identity of the table, which is kept beside its test

    def test(self, rule: RowRule, name: str, table: TableClause) -> Test:
        """The condition for rows of a table by a rule.

        Raises:
            UnresolvedStatement: the database, or the type of a column that decides, is none that is known.
        """
        tests = self._tests.setdefault(rule, {})
        known = tests.get(id(table))
        if known is not None:
            return known[1]
        conditions = _Conditions(self._dialect.name, rule, name, table)
        shape = sys.intern(
            conditions.rendered().sql(dialect=conditions.dialect)
        )  # it is long, and is compared at every execution
        element = Narrowed(next(iter(table.columns)), conditions.parts, shape)
        test = Test(element, shape, tuple(parameter.value for parameter in element.bound()))
        if len(tests) >= _TABLES_KEPT:  # of objects that are made for each statement
            tests.clear()
        tests[id(table)] = (table, test)
        return test

    def stranger(self, connection: Any, rule: RowRule, table: TableClause) -> str | None:
        """The first text in a column of sources that names none; "" for a null, None if every row names a source."""
        ids = table.columns[rule.source or ""]
        usual, plain = spellings(rule.notice), plain_spellings(rule.notice)
        named = connection.scalars(select(ids).distinct().limit(_MOST_SPELLINGS)).all()
        if None in named:
            return ""
        return next((name for name in map(str, named) if name not in usual and folded(name) not in plain), None)

    def agrees(
        self,
        rule: RowRule,
        name: str,
        table: TableClause,
        narrowing: tuple[str, tuple[str, ...]],
        parameters: Sequence[dict[str, Any]],
    ) -> bool:
        """True if a condition in a statement is that of this rule, with its values."""
        test = self.test(rule, name, table)
        shape, names = narrowing
        if shape != test.shape or len(names) != len(test.values):
            return False
        return all(
            values.get(bound) == value for values in parameters for bound, value in zip(names, test.values, strict=True)
        )
