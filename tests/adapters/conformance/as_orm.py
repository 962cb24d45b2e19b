"""Operations on frames as a statement of SQLAlchemy, over mapped classes or tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from tests.adapters.conformance.cases import Table

Mapped = Mapping[str, Any]
"""Mapped classes, or tables, by the names of the tables."""

TYPES: dict[str, Any] = {
    "int": sa.BigInteger,
    "text": sa.Text,
    "date": sa.Date,
    "timestamp": sa.DateTime(timezone=True),
}


def table_of(table: Table, metadata: sa.MetaData) -> sa.Table:
    """A table of SQLAlchemy."""
    columns = [sa.Column(one.name, TYPES.get(one.type, sa.Text)) for one in table.columns]
    return sa.Table(table.name, metadata, *columns)


@dataclasses.dataclass
class _Query:
    """A statement in the making: outputs by name, and what is done besides."""

    statement: Any
    """What is selected from, joined and filtered, without its outputs."""
    items: dict[str, Any]
    order: list[Any] = dataclasses.field(default_factory=list)
    group: list[Any] = dataclasses.field(default_factory=list)
    distinct: bool = False
    plain: bool = True

    def made(self) -> Any:
        outputs = [one.label(name) for name, one in self.items.items()]
        found = self.statement.with_only_columns(*outputs, maintain_column_froms=True)
        if self.group:
            found = found.group_by(*self.group)
        if self.order:
            found = found.order_by(*self.order)
        return found.distinct() if self.distinct else found


def statement(operations: list[dict[str, Any]], mapped: Mapped) -> Any:
    """The SELECT that operations mean."""
    return _query(operations, mapped).made()


def _query(operations: list[dict[str, Any]], mapped: Mapped) -> _Query:
    first, *rest = operations
    cls = mapped[first["from"]]
    query = _Query(sa.select(cls), _attributes(cls))
    for operation in rest:
        name = next(iter(operation))
        query = OPERATIONS[name](query, operation, mapped)
    return query


def _attributes(cls: Any) -> dict[str, Any]:
    if isinstance(cls, sa.Table):
        return dict(cls.columns)
    return {column.name: getattr(cls, column.name) for column in cls.__table__.columns}


def _from(made: Any) -> _Query:
    below = made.subquery()
    return _Query(sa.select(below), {column.name: column for column in below.columns})


def _select(query: _Query, operation: dict[str, Any], mapped: Mapped) -> _Query:
    query = _from(query.made()) if query.distinct else query
    items = [(one, one) if isinstance(one, str) else tuple(one) for one in operation["select"]]
    return dataclasses.replace(query, items={name: _value(query, one) for name, one in items}, plain=False)


def _filter(query: _Query, operation: dict[str, Any], mapped: Mapped) -> _Query:
    query = query if query.plain else _from(query.made())
    return dataclasses.replace(query, statement=query.statement.where(_condition(query, operation["filter"])))


def _join(query: _Query, operation: dict[str, Any], mapped: Mapped) -> _Query:
    query = query if query.plain else _from(query.made())
    other = mapped[operation["join"]]
    attributes = _attributes(other)
    on = sa.and_(*(query.items[left] == attributes[right] for left, right in operation["on"]))
    made = query.statement.join(other, on, isouter=operation.get("how") == "left")
    return dataclasses.replace(query, statement=made, items=query.items | attributes)


def _group(query: _Query, operation: dict[str, Any], mapped: Mapped) -> _Query:
    query = query if query.plain else _from(query.made())
    keys = {key: query.items[key] for key in operation["group"]}
    items = keys | {name: _aggregate(query, *given) for name, given in operation["aggregates"]}
    return dataclasses.replace(query, items=items, group=list(keys.values()), plain=False)


def _aggregate(query: _Query, what: str, name: str | None = None) -> Any:
    return sa.func.count() if name is None else getattr(sa.func, what)(query.items[name])


def _sort(query: _Query, operation: dict[str, Any], mapped: Mapped) -> _Query:
    query = query if query.plain else _from(query.made())
    order = [query.items[name].desc() if way == "desc" else query.items[name] for name, way in operation["sort"]]
    return dataclasses.replace(query, order=order, plain=False)


def _union(query: _Query, operation: dict[str, Any], mapped: Mapped) -> _Query:
    return _from(sa.union_all(query.made(), statement(operation["union"], mapped)))


def _rename(query: _Query, operation: dict[str, Any], mapped: Mapped) -> _Query:
    names = operation["rename"]
    return dataclasses.replace(query, items={names.get(name, name): one for name, one in query.items.items()})


def _distinct(query: _Query, operation: dict[str, Any], mapped: Mapped) -> _Query:
    return dataclasses.replace(query, distinct=True, plain=False)


OPERATIONS = {
    "select": _select, "filter": _filter, "join": _join, "group": _group, "sort": _sort, "union": _union,
    "rename": _rename, "distinct": _distinct,
}  # fmt: skip


def _value(query: _Query, given: Any) -> Any:
    if isinstance(given, str):
        return query.items[given]
    if isinstance(given, Mapping):
        return sa.literal(given["literal"])
    what, *parts = given
    if what == "case":
        condition, then, otherwise = parts
        return sa.case((_condition(query, condition), _value(query, then)), else_=_value(query, otherwise))
    if what == "cast":
        return sa.cast(_value(query, parts[0]), sa.String(200))
    values = [_value(query, part) for part in parts]
    if what == "coalesce":
        return sa.func.coalesce(*values)
    made = values[0]
    for one in values[1:]:
        made = made.concat(one) if what == "concat" else made + one
    return made


def _condition(query: _Query, given: Any) -> Any:
    what, *parts = given
    if what == "not":
        return sa.not_(_condition(query, parts[0]))
    if what in ("and", "or"):
        found = [_condition(query, part) for part in parts]
        return sa.and_(*found) if what == "and" else sa.or_(*found)
    value = _value(query, parts[0])
    if what in ("is-null", "is-not-null"):
        return value.is_(None) if what == "is-null" else value.is_not(None)
    if what == "in":
        return value.in_(parts[1])
    other = _value(query, parts[1])
    return {"=": value == other, "<": value < other, ">": value > other}[what]
