"""Columns of frames of Spark: chosen by their places, and found by the columns of relations that they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  # as everybody calls it

from purposeguard.adapters.rowrule import RowRule
from purposeguard.adapters.spark.frames import Traced
from purposeguard.adapters.spark.lineage import Atom
from purposeguard.adapters.spark.words import are_told_apart, quoted
from purposeguard.errors import UnlabelledData


def selected(frame: DataFrame, made: Mapping[int, Callable[[Column, str], Column]]) -> DataFrame:
    """Columns by their places, whatever their names, each made of the column and its name."""
    names = frame.columns
    if are_told_apart(names):
        plain = names
    else:
        plain = [f"c{place}" for place in range(len(names))]
        frame = frame.toDF(*plain)
    return frame.select(*(make(F.col(quoted(plain[place])), names[place]) for place, make in made.items()))


def by_relation(found: Traced, atoms: Iterable[Atom]) -> dict[tuple[int, int], list[str]]:
    """The columns of each relation, in their order, apart by the rule that their rows met."""
    named: dict[tuple[int, int], list[str]] = {}
    for relation, column, kept in sorted({(one.relation, one.column, one.kept) for one in atoms}):
        named.setdefault((relation, kept), []).append(found.relations[relation].names[column])
    return named


def any_of(found: Traced, number: int) -> str:
    """A column of a relation that is in the frame."""
    every = [name for name, _ in found.outputs]
    names = [name for name, flow in found.outputs if flow.same is not None and flow.same.relation == number]
    unique = next((name for name in names if every.count(name) == 1), None)
    if unique is None:
        what = found.relations[number].name
        raise UnlabelledData(f"no column {f'of `{what}` ' if what else ''}is in the frame as it was read: keep one")
    return unique


def places_of(frame: DataFrame, found: Traced, number: int, rule: RowRule) -> dict[str, tuple[str, Any]]:
    """What the columns of a rule are called in the frame, and their types."""
    types = {field.name: field.dataType for field in frame.schema.fields}
    names = [name for name, _ in found.outputs]
    placed: dict[str, tuple[str, Any]] = {}
    for column in rule.columns:
        held = [
            name
            for name, flow in found.outputs
            if flow.same is not None and flow.same.relation == number and found.name_of(flow.same) == column
        ]
        if not held or names.count(held[0]) != 1:
            there = "there under a name of two columns" if held else "not in the frame any more"
            relation = found.relations[number].name
            what = f"`{relation}.{column}`" if relation else f"`{column}`"
            raise UnlabelledData(f"{what} says what may be done with each row, and is {there}: keep it until then")
        placed[column] = held[0], types[held[0]]
    return placed
