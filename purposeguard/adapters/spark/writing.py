"""Writing from Spark: what may flow into which column, what is there already, and schemas that bear tags."""

from __future__ import annotations

import datetime
import decimal
import re
import types as builtin_types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T  # noqa: N812  # as everybody calls it
from typing_extensions import get_type_hints

from purposeguard.adapters.deciding import must_cover
from purposeguard.adapters.tags import KEY, Columns, Revisions, Tag, encode
from purposeguard.errors import UnlabelledData

_TYPES: Final[Mapping[object, T.DataType]] = {
    bool: T.BooleanType(),
    int: T.LongType(),
    float: T.DoubleType(),
    str: T.StringType(),
    bytes: T.BinaryType(),
    datetime.date: T.DateType(),
    datetime.datetime: T.TimestampType(),
    decimal.Decimal: T.DecimalType(38, 18),
}


_PATTERNS: Final = re.compile(r"[{}\[\]*?\\]")
"""What stands for other characters where Spark reads a path."""


def covered(target: str, column: str, value: Tag, tag: Tag) -> None:
    """Nothing where a column's tag says all that flows into it.

    Raises:
        FlowViolation: it lacks a source.
        UnlabelledData: what flows there was collected under the source that its row names, and the tag does not say so.
    """
    must_cover(target, column, tag.label, value.label)
    if value.by_row and not tag.by_row:
        raise UnlabelledData(
            f"what flows into `{target}.{column}` was collected under the source that its row names: tag the column "
            "`ByRow`, and let the row source flow along"
        )


def existing(session: SparkSession, target: str, *, table: bool) -> DataFrame | None:
    """What is there already; None where there is nothing."""
    if table:
        return session.table(target) if session.catalog.tableExists(target) else None
    try:
        return session.read.parquet(
            _PATTERNS.sub(r"\\\g<0>", target)
        )  # a path is written as it is, and read as a pattern
    except AnalysisException as error:
        if error.getCondition() in {"PATH_NOT_FOUND", "UNABLE_TO_INFER_SCHEMA"}:
            return None
        raise


def in_order(tags: Columns, within: Columns, target: str) -> Iterator[str]:
    """The columns that flow, each of which must be there.

    Raises:
        UnlabelledData: one is not, so nothing says what it may be used for.
    """
    for name in tags:
        if name not in within:
            raise UnlabelledData(f"`{target}` has no column `{name}`, so no tag says what it may be used for there")
        yield name


def schema_with(columns: Columns, given: object, types: Mapping[str, Any] | None, revisions: Revisions) -> T.StructType:
    """A schema whose columns bear tags; the types are given, or those of a class's annotations.

    Raises:
        TypeError: the type of a column is not told, or Spark has none for it.
    """
    hints = get_type_hints(given, include_extras=True) if isinstance(given, type) else {}
    fields: list[T.StructField] = []
    read: dict[str, T.DataType] = {}  # Spark's parser is asked once for each
    for name, tag in columns.items():
        told = (types or {}).get(name)
        type_, nullable = (told, True) if told is not None else _type_of(hints.get(name))
        if isinstance(type_, str):
            if type_ not in read:
                read[type_] = T.DataType.fromDDL(type_)
            type_ = read[type_]
        if not isinstance(type_, T.DataType):
            raise TypeError(f"nothing says of which type `{name}` is: give it, `types={{'{name}': 'string'}}`")
        fields.append(T.StructField(name, type_, nullable, {KEY: encode(tag, revisions)}))
    return T.StructType(fields)


def _type_of(hint: object) -> tuple[T.DataType | None, bool]:
    """The type of an annotation, and whether it may be null."""
    if get_origin(hint) is Annotated:
        return _type_of(get_args(hint)[0])
    if get_origin(hint) in {Union, builtin_types.UnionType}:
        parts = [one for one in get_args(hint) if one is not type(None)]
        return (_type_of(parts[0])[0], True) if len(parts) == 1 else (None, True)
    if get_origin(hint) is list:
        inner, nullable = _type_of(get_args(hint)[0])
        return (None if inner is None else T.ArrayType(inner, nullable)), False
    return _TYPES.get(hint), False
