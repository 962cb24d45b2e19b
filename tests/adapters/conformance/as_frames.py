"""Operations on frames, done by any frame library: by way of narwhals."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import narwhals as nw

Frames = Mapping[str, Any]
"""Frames of narwhals, by the names of their tables."""


def applied(operations: list[dict[str, Any]], frames: Frames) -> Any:
    """The frame that operations make of these."""
    first, *rest = operations
    frame = frames[first["from"]]
    for operation in rest:
        name = next(iter(operation))
        frame = OPERATIONS[name](frame, operation, frames)
    return frame


def _select(frame: Any, operation: dict[str, Any], frames: Frames) -> Any:
    items = [(one, one) if isinstance(one, str) else tuple(one) for one in operation["select"]]
    return frame.select(*(_value(given).alias(name) for name, given in items))


def _filter(frame: Any, operation: dict[str, Any], frames: Frames) -> Any:
    return frame.filter(_condition(operation["filter"]))


def _join(frame: Any, operation: dict[str, Any], frames: Frames) -> Any:
    left, right = zip(*operation["on"], strict=True)
    how = operation.get("how", "inner")
    return frame.join(frames[operation["join"]], left_on=list(left), right_on=list(right), how=how)


def _group(frame: Any, operation: dict[str, Any], frames: Frames) -> Any:
    aggregates = [_aggregate(*given).alias(name) for name, given in operation["aggregates"]]
    if not operation["group"]:
        return frame.select(*aggregates)
    return frame.group_by(*operation["group"]).agg(*aggregates)


def _aggregate(what: str, name: str | None = None) -> Any:
    return nw.len() if name is None else getattr(nw.col(name), what)()


def _sort(frame: Any, operation: dict[str, Any], frames: Frames) -> Any:
    names = [name for name, _ in operation["sort"]]
    return frame.sort(*names, descending=[way == "desc" for _, way in operation["sort"]])


def _union(frame: Any, operation: dict[str, Any], frames: Frames) -> Any:
    other = applied(operation["union"], frames)
    here, there = frame.collect_schema().names(), other.collect_schema().names()
    return nw.concat([frame, other.rename(dict(zip(there, here, strict=True)))], how="vertical")


def _rename(frame: Any, operation: dict[str, Any], frames: Frames) -> Any:
    return frame.rename(operation["rename"])


def _distinct(frame: Any, operation: dict[str, Any], frames: Frames) -> Any:
    return frame.unique()


OPERATIONS = {
    "select": _select, "filter": _filter, "join": _join, "group": _group, "sort": _sort, "union": _union,
    "rename": _rename, "distinct": _distinct,
}  # fmt: skip


def _value(given: Any) -> Any:
    if isinstance(given, str):
        return nw.col(given)
    if isinstance(given, Mapping):
        return nw.lit(given["literal"])
    what, *parts = given
    if what == "case":
        condition, then, otherwise = parts
        return nw.when(_condition(condition)).then(_value(then)).otherwise(_value(otherwise))
    if what == "cast":
        return _value(parts[0]).cast(nw.String)
    values = [_value(part) for part in parts]
    if what == "coalesce":
        return nw.coalesce(*values)
    if what == "concat":
        return nw.concat_str(values)
    return reduce(lambda one, other: one + other, values)


def _condition(given: Any) -> Any:
    what, *parts = given
    if what == "not":
        return ~_condition(parts[0])
    if what in ("and", "or"):
        found = [_condition(part) for part in parts]
        return reduce(lambda one, other: one & other if what == "and" else one | other, found)
    value = _value(parts[0])
    if what == "is-null":
        return value.is_null()
    if what == "is-not-null":
        return ~value.is_null()
    if what == "in":
        return value.is_in(parts[1])
    other = _value(parts[1])
    return {"=": value == other, "<": value < other, ">": value > other}[what]
