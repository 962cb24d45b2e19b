"""Operations on frames, written as a statement: for engines that read SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tests.adapters.conformance.cases import Case

TEXT_TYPES = {"spark": "STRING", "bigquery": "STRING", "mysql": "CHAR(200)"}


def statement(case: Case, dialect: str) -> str | None:
    """The text of a case in a dialect: its own, or its operations; None for what is no question (`withhold`)."""
    sql = case.sql(dialect)
    if sql is not None or case.frame is None:
        return sql
    return _Writer(case, dialect).written(case.frame)


@dataclasses.dataclass
class _Query:
    """A SELECT in the making. `items` are the outputs, each with what it is made of."""

    source: str
    items: dict[str, str]
    where: list[str] = dataclasses.field(default_factory=list)
    group: list[str] | None = None
    order: list[str] = dataclasses.field(default_factory=list)
    distinct: bool = False
    plain: bool = True
    """Whether nothing but joins was done yet."""

    def text(self) -> str:
        items = ", ".join(one if one == name else f"{one} AS {name}" for name, one in self.items.items())
        parts = [f"SELECT {'DISTINCT ' if self.distinct else ''}{items} FROM {self.source}"]  # noqa: S608  # of the suite's own
        if self.where:
            parts.append("WHERE " + " AND ".join(self.where))
        if self.group:
            parts.append("GROUP BY " + ", ".join(self.group))
        if self.order:
            parts.append("ORDER BY " + ", ".join(self.order))
        return " ".join(parts)


class _Writer:
    def __init__(self, case: Case, dialect: str) -> None:
        self.case = case
        self.dialect = dialect
        self.subqueries = 0

    def written(self, operations: list[dict[str, Any]]) -> str:
        return self._query(operations).text()

    def _query(self, operations: list[dict[str, Any]]) -> _Query:
        first, *rest = operations
        query = _Query(first["from"], {name: name for name in self.case.table(first["from"]).names})
        for operation in rest:
            name = next(iter(operation))
            query = getattr(self, f"_{name}")(query, operation)
        return query

    def _wrapped(self, text: str, names: list[str]) -> _Query:
        self.subqueries += 1
        return _Query(f"({text}) AS s{self.subqueries}", {name: name for name in names})

    def _inside(self, query: _Query) -> _Query:
        """The same as a subquery, from which one can go on."""
        return self._wrapped(query.text(), list(query.items))

    def _select(self, query: _Query, operation: dict[str, Any]) -> _Query:
        if query.distinct:
            query = self._inside(query)
        items = [(one, one) if isinstance(one, str) else tuple(one) for one in operation["select"]]
        outputs = {name: self._value(query, given) for name, given in items}
        return dataclasses.replace(query, items=outputs, plain=False)

    def _filter(self, query: _Query, operation: dict[str, Any]) -> _Query:
        if not query.plain:
            query = self._inside(query)
        return dataclasses.replace(query, where=[*query.where, self._condition(query, operation["filter"])])

    def _join(self, query: _Query, operation: dict[str, Any]) -> _Query:
        if not query.plain or query.where:
            query = self._inside(query)
        name = operation["join"]
        on = " AND ".join(f"{left} = {right}" for left, right in operation["on"])
        how = "LEFT JOIN" if operation.get("how") == "left" else "JOIN"
        items = {**query.items, **{one: one for one in self.case.table(name).names}}
        return dataclasses.replace(query, source=f"{query.source} {how} {name} ON {on}", items=items)

    def _group(self, query: _Query, operation: dict[str, Any]) -> _Query:
        if not query.plain:
            query = self._inside(query)
        items = {key: key for key in operation["group"]}
        items |= {name: f"{given[0]}({given[1] if len(given) > 1 else '*'})" for name, given in operation["aggregates"]}
        return dataclasses.replace(query, items=items, group=operation["group"], plain=False)

    def _sort(self, query: _Query, operation: dict[str, Any]) -> _Query:
        if not query.plain:
            query = self._inside(query)
        order = [f"{query.items[name]}{' DESC' if way == 'desc' else ''}" for name, way in operation["sort"]]
        return dataclasses.replace(query, order=order, plain=False)

    def _union(self, query: _Query, operation: dict[str, Any]) -> _Query:
        other = self.written(operation["union"])
        return self._wrapped(f"{query.text()} UNION ALL {other}", list(query.items))

    def _rename(self, query: _Query, operation: dict[str, Any]) -> _Query:
        names: Mapping[str, str] = operation["rename"]
        items = {names.get(name, name): one for name, one in query.items.items()}
        return dataclasses.replace(query, items=items, plain=False)

    def _distinct(self, query: _Query, operation: dict[str, Any]) -> _Query:
        return dataclasses.replace(query, distinct=True, plain=False)

    # ---- expressions ------------------------------------------------------------------------------------------------

    def _value(self, query: _Query, given: Any) -> str:
        if isinstance(given, str):
            return query.items[given]
        if isinstance(given, Mapping):
            return _literal(given["literal"])
        what, *parts = given
        if what == "case":
            condition, then, otherwise = parts
            chosen = f"{self._value(query, then)} ELSE {self._value(query, otherwise)}"
            return f"CASE WHEN {self._condition(query, condition)} THEN {chosen} END"
        if what == "cast":
            return f"CAST({self._value(query, parts[0])} AS {TEXT_TYPES.get(self.dialect, 'VARCHAR(200)')})"
        values = [self._value(query, part) for part in parts]
        if what == "coalesce" or (what == "concat" and self.dialect == "mysql"):
            return f"{what}({', '.join(values)})"
        return f" {'||' if what == 'concat' else what} ".join(values)

    def _condition(self, query: _Query, given: Any) -> str:
        what, *parts = given
        if what == "not":
            return f"NOT ({self._condition(query, parts[0])})"
        if what in ("and", "or"):
            return "(" + f" {what.upper()} ".join(self._condition(query, part) for part in parts) + ")"
        value = self._value(query, parts[0])
        if what in ("is-null", "is-not-null"):
            return f"{value} {what.replace('-', ' ').upper()}"
        if what == "in":
            return f"{value} IN ({', '.join(map(_literal, parts[1]))})"
        return f"{value} {what} {self._value(query, parts[1])}"


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
