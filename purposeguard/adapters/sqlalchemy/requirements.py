"""Requirements of attributes: the columns that reading an attribute of a mapped class uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Select
from sqlalchemy.orm import CompositeProperty, RelationshipProperty
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.selectable import TableClause

from purposeguard.adapters.enforcement import Decider
from purposeguard.adapters.sqlalchemy.seals import SealedType
from purposeguard.adapters.sqlalchemy.tags import MappedTables
from purposeguard.adapters.tags import Columns
from purposeguard.notice.label import Label
from purposeguard.runtime.observer import Fields


class Requirements(NamedTuple):
    """The columns that reading an attribute uses."""

    tables: Mapping[str, tuple[Columns, tuple[str, ...]]]
    """By table, its tags and the names of the columns."""
    rows: bool
    """True if the rows of the columns are decided one by one."""
    fields: Fields = ()
    """The personal ones of the columns, for reports of reads."""


def compute_requirements(catalogue: MappedTables, decider: Decider, prop: Any) -> Requirements:
    """Return the columns that reading a loaded attribute uses.

    Raises:
        UnlabelledData: a column carries no tag.
    """
    tables: dict[str, tuple[Columns, tuple[str, ...]]] = {}
    rows = isinstance(prop, RelationshipProperty) and _has_rows_to_decide(catalogue, decider, prop)
    for expression in dict.fromkeys(_list_expressions(prop)):
        bases = _find_columns(expression)
        rows = rows or not bases  # The columns of the expression are unknown.
        for column in bases:
            if isinstance(column.type, SealedType):
                continue  # The values stay sealed.
            name, columns = catalogue.find(column.table)
            tag = columns.get(column.name)
            if tag is None or tag.is_personal:
                _, names = tables.get(name, (columns, ()))
                tables[name] = (columns, (*names, column.name))
                rows = rows or (tag is not None and decider.must_decide_rows(columns, {column.name: tag}))
    fields: dict[str, Label] = {}
    for table, (tags, names) in tables.items():
        for name in filter(tags.__contains__, names):
            fields[f"{table}.{name}"] = tags[name].label
    return Requirements(tables, rows, tuple(fields.items()))


def _has_rows_to_decide(catalogue: MappedTables, decider: Decider, prop: RelationshipProperty[Any]) -> bool:
    """Return True if the rows of a relationship's table are decided one by one."""
    for table in prop.mapper.tables:
        _, columns = catalogue.find(table)
        if decider.must_decide_rows(columns, columns):
            return True
    return False


def _list_expressions(prop: Any) -> list[Any]:
    """Return the expressions by which an attribute is loaded."""
    expressions: list[Any] = []
    if isinstance(prop, RelationshipProperty):
        parts = _find_key_attributes(prop)
        for clause in (prop.primaryjoin, prop.secondaryjoin, *(prop.order_by or ())):
            if clause is not None:
                expressions += _find_columns(clause)
    elif isinstance(prop, CompositeProperty):
        parts = list(prop.props)
    else:
        parts = [prop]
    for part in parts:
        expressions += getattr(part, "columns", ())
    return expressions


def _find_key_attributes(prop: RelationshipProperty[Any]) -> list[Any]:
    """Return the attributes that the keys of a mapped collection come from; all if a function makes the keys."""
    collection: Any = prop.collection_class() if prop.collection_class is not None else None
    if not isinstance(collection, Mapping):
        return []
    name: Any = getattr(getattr(collection, "keyfunc", None), "attr_name", None)
    attributes = prop.mapper.column_attrs
    return [attributes[name]] if name in attributes else list(attributes)


def _find_columns(expression: Any) -> list[Any]:
    """Return the table columns in an expression, also through subqueries and aliases."""
    columns: list[Any] = []
    for element in visitors.iterate(expression):
        if not isinstance(element, ColumnClause):
            continue
        table: Any = element.table
        if isinstance(table, TableClause):
            columns.append(element)
            continue
        for base in element.base_columns:
            if base is not element:
                columns += _find_columns(base)
    return columns


def find_columns_outside_objects(compiled: Any, catalogue: MappedTables) -> frozenset[tuple[str, str]] | None:
    """Return the columns that a query returns outside objects, each with its table, and cache them on it.

    Args:
        compiled: The compiled statement.
        catalogue: The tables.

    Returns:
        The columns. None if the query makes no objects, or if it is unknown which.
    """
    try:
        cached: frozenset[tuple[str, str]] | None = compiled.purposeguard_outside_objects
    except AttributeError:
        cached = compiled.purposeguard_outside_objects = _read_columns_outside_objects(compiled.statement, catalogue)
    return cached


def _read_columns_outside_objects(statement: Any, catalogue: MappedTables) -> frozenset[tuple[str, str]] | None:
    if not isinstance(statement, Select):
        return None
    outside: set[tuple[str, str]] = set()
    has_objects = False
    for described in statement.column_descriptions:
        expression = described["expr"]
        if described.get("entity") is not None and expression is described["entity"]:
            has_objects = True
            continue
        for column in _find_columns(getattr(expression, "__clause_element__", lambda e=expression: e)()):
            name = column.table.fullname
            if catalogue.knows(name):
                name, _ = catalogue.find(column.table)
            outside.add((name, column.name))
    return frozenset(outside) if has_objects else None
