"""Results of statements, whose rows can be fetched only during the use under which they were read."""

from __future__ import annotations

import contextlib
import datetime
import functools
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NoReturn, cast

import pyarrow as pa

from purposeguard.adapters.enforcement import describe_statement
from purposeguard.adapters.tags import KEY, Columns, Revisions, Tag, encode
from purposeguard.notice.label import Label
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.use import NO_USE, Use

_WHOLE: Final = frozenset({"HUGEINT", "UHUGEINT"})
"""DuckDB's integer types that Arrow lacks and represents as decimals."""

_DAYS_OF_MONTH: Final = 30


class Result:
    """The rows of a statement, and the tags of its columns.

    All rows were read when the statement ran. You can fetch them only while the use under which they were read is under
    way. Afterwards, and within another purpose, fetching raises `PurposeMissing`. Fetched rows are plain data, like the
    result of any access function. Rows without personal data can be fetched anywhere.
    """

    __slots__ = ("_fetch_table", "_row", "_types", "columns", "labels", "tags")

    columns: tuple[str, ...]
    """The names of the columns, in order. Two columns may have the same name."""
    labels: Mapping[str, Label]
    """The sources under which the values of each column were collected. Columns of the same name are joined."""
    tags: Columns
    """The labels as tags, for other adapters: `frames.check(result.df(), tags=result.tags)`."""

    def __init__(
        self, names: Sequence[str], tags: Sequence[Tag], fetch_table: Callable[[], pa.Table], types: Sequence[str] = ()
    ) -> None:
        """Create a result.

        Args:
            names: The names of the columns.
            tags: The tags of the columns.
            fetch_table: A function that returns the rows, or raises if they must not be fetched now.
            types: DuckDB's names for the types of the columns, as Arrow may have other types.
        """
        labels: dict[str, Label] = {}
        by_name: dict[str, Tag] = {}
        for name, tag in zip(names, tags, strict=True):
            before = by_name.get(name)
            if before is not None:
                tag = Tag(before.label | tag.label, by_row=before.by_row or tag.by_row)  # noqa: PLW2901  # joins both columns
            by_name[name] = tag
            labels[name] = tag.label
        self.columns = tuple(names)
        self.labels = MappingProxyType(labels)
        self.tags = Columns(by_name)
        self._fetch_table = fetch_table
        self._row = 0
        self._types = tuple(types) or ("",) * len(names)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows that have not been fetched yet, as tuples of Python values.

        A column with a day or moment that Python cannot represent, such as one after the year 9999, is given as text.

        Raises:
            PurposeMissing: the use under which the rows were read has ended, or another use is under way.
        """
        table = self._fetch_table().slice(self._row)
        self._row += table.num_rows
        return self._to_rows(table)

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, or None after the last one. Raise the errors of `fetchall`."""
        table = self._fetch_table()
        if self._row >= table.num_rows:
            return None
        (row,) = self._to_rows(table.slice(self._row, 1))
        self._row += 1
        return row

    def _to_rows(self, table: pa.Table) -> list[tuple[Any, ...]]:
        """Return rows of the result as tuples of Python values."""
        return list(zip(*map(plain, table.columns, self._types), strict=True))

    def arrow(self) -> pa.Table:
        """Return all rows as an Arrow table whose columns bear their tags. Raise the errors of `fetchall`."""
        return self._fetch_table()

    def df(self) -> Any:
        """Return all rows as a pandas frame without tags (see `tags`). Raise the errors of `fetchall`."""
        return _replace_intervals(self._fetch_table()).to_pandas()

    def pl(self) -> Any:
        """Return all rows as a polars frame without tags (see `tags`). Raise the errors of `fetchall`."""
        import polars  # noqa: PLC0415  # polars is optional

        return polars.from_arrow(_replace_intervals(self._fetch_table()))

    def __len__(self) -> int:
        return int(self._fetch_table().num_rows)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a result is not pickled or copied: fetch it, and hand on what it holds")

    def __repr__(self) -> str:
        return f"<Result {', '.join(self.columns)}>"  # not its rows


def plain(column: pa.ChunkedArray, type_: str = "") -> list[Any]:
    """Return the values of a column in the Python types that DuckDB would return, or as texts."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)  # Python's moments have no nanoseconds.
    try:
        values = cast("list[Any]", column.to_pylist())
        convert = _CONVERTERS.get(type_) or _find_converter(column.type)
        return values if convert is None else list(map(convert, values))
    except (OverflowError, ValueError):
        return cast("list[Any]", column.cast(pa.string()).to_pylist())


Converter = Callable[[Any], Any]


def _find_converter(type_: pa.DataType) -> Converter | None:
    """Return a function that converts Arrow's Python value to DuckDB's. Return None if both are the same."""
    if pa.types.is_interval(type_):
        return _skip_none(_to_timedelta)
    if pa.types.is_struct(type_):
        return _find_struct_converter(type_)
    if pa.types.is_map(type_):
        key_converter = _find_converter(type_.key_type) or _return_unchanged
        item_converter = _find_converter(type_.item_type) or _return_unchanged
        return _skip_none(functools.partial(_convert_entries, key_converter, item_converter))
    if pa.types.is_fixed_size_list(type_):
        convert = _find_converter(type_.value_type) or _return_unchanged
        return _skip_none(lambda items: tuple(map(convert, items)))
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        convert_item = _find_converter(type_.value_type)
        return None if convert_item is None else _skip_none(lambda items: list(map(convert_item, items)))
    return None


def _find_struct_converter(type_: pa.DataType) -> Converter | None:
    """Return a converter of a struct, or None if no field needs one."""
    converters: dict[str, Converter] = {}
    for field in type_:
        convert = _find_converter(field.type)
        if convert is not None:
            converters[field.name] = convert
    return _skip_none(functools.partial(_convert_fields, converters)) if converters else None


def _skip_none(convert: Converter) -> Converter:
    """Return a converter that returns None for None."""
    return lambda value: None if value is None else convert(value)


def _return_unchanged(value: Any) -> Any:
    return value


def _convert_fields(converters: Mapping[str, Converter], struct: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the fields of a struct for which there is a converter."""
    return {name: converters.get(name, _return_unchanged)(value) for name, value in struct.items()}


def _convert_entries(
    convert_key: Converter, convert_item: Converter, entries: Iterable[tuple[Any, Any]]
) -> dict[Any, Any]:
    """Convert the entries of a map to a dictionary."""
    return {convert_key(key): convert_item(item) for key, item in entries}


_CONVERTERS: Final[Mapping[str, Converter]] = {
    "HUGEINT": _skip_none(int),
    "UHUGEINT": _skip_none(int),
    "UUID": _skip_none(uuid.UUID),
}
"""Converters from Arrow's Python values, by DuckDB type, for types that Arrow replaces with others."""


def _to_timedelta(interval: Any) -> datetime.timedelta:
    """Convert an interval as DuckDB does, with 30 days per month."""
    return datetime.timedelta(
        days=interval.months * _DAYS_OF_MONTH + interval.days, microseconds=interval.nanoseconds // 1000
    )


def _replace_intervals(table: pa.Table) -> pa.Table:
    """Replace the intervals of a table with durations, since frames lack intervals."""
    for number, field in enumerate(table.schema):
        if pa.types.is_interval(field.type):
            durations = pa.array(plain(table.column(number)), pa.duration("us"))
            table = table.set_column(number, field.with_type(durations.type), durations)
    return table


def make_table_fetcher(
    engine: Engine, use: Use[Any] | None, table: pa.Table, names: Sequence[str]
) -> Callable[[], pa.Table]:
    """Return a function that returns the table, or raises once the use under which it was read has ended.

    Args:
        engine: The engine that reports a missing purpose.
        use: The use under which the table was read. Without a use, the table is always returned.
        table: The rows.
        names: The tables that the rows were read from.
    """

    def fetch_table() -> pa.Table:
        why = None if use is None else _explain_refusal(engine, use)
        if why is not None:
            engine.report_missing_purpose(describe_statement("fetch", names), why, use)
        return table

    return fetch_table


def _explain_refusal(engine: Engine, use: Use[Any]) -> str | None:
    """Return why rows that were read under a use may not be fetched now, or None if they may."""
    absence = use.explain_absence()
    if absence is not None:
        return absence
    ambient = engine.ambient()
    if ambient is NO_USE:
        return f"it was read for activity {use.activity.name}, which is not under way in this context"
    if _facts_of(ambient) != _facts_of(use):
        return (
            f"it was read for activity {use.activity.name}, and {ambient.activity.name} has another purpose: "
            "run the statement again"
        )
    return None


def _facts_of(use: Use[Any]) -> tuple[object, ...]:
    """Return what decides about data under a use."""
    return use.purpose, use.channel, use.conditions


def add_tags(table: pa.Table, types: Sequence[str], tags: Sequence[Tag], revisions: Revisions) -> pa.Table:
    """Write the tags into the columns of a table, and convert integers that arrived as decimals."""
    columns: list[pa.ChunkedArray] = []
    fields: list[pa.Field] = []
    for column, field, type_, tag in zip(table.columns, table.schema, types, tags, strict=True):
        # A label of several revisions cannot be encoded. Without a tag the column is refused later.
        with contextlib.suppress(ValueError):
            field = field.with_metadata({**(field.metadata or {}), KEY: encode(tag, revisions)})  # noqa: PLW2901  # instead
        if type_ in _WHOLE:
            column, field = _narrow_integers(column, field)  # noqa: PLW2901  # instead of it
        columns.append(column)
        fields.append(field)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _narrow_integers(column: pa.ChunkedArray, field: pa.Field) -> tuple[pa.ChunkedArray, pa.Field]:
    """Convert a column to 64-bit integers if all values fit. DuckDB's sums have 128 bits, which Arrow lacks."""
    try:
        return column.cast(pa.int64()), field.with_type(pa.int64())
    except pa.ArrowInvalid:
        return column, field
