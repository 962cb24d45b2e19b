"""What a statement gave: its rows, which are handed out as long as the use holds under which they were read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NoReturn, cast

import pyarrow as pa

from purposeguard.adapters.enforcement import told
from purposeguard.adapters.tags import KEY, Columns, Revisions, Tag, encode
from purposeguard.notice.label import Label
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.use import Use

_WHOLE: Final = frozenset({"HUGEINT", "UHUGEINT"})
"""Whole numbers of DuckDB that Arrow has no type for, and gives as decimals."""


class Result:
    """The rows of a statement, and the tags of its columns.

    Its rows were all read when it ran, so they are of one moment. They are handed out only while the use under which
    they were read is under way: afterwards, and within another purpose, fetching raises `PurposeMissing`. What was
    fetched is plain data, as what any access function gives. Rows of which nothing is personal are handed out anywhere.
    """

    __slots__ = ("_held", "_row", "columns", "labels", "tags")

    columns: tuple[str, ...]
    """The names of the columns, in their order; two may be alike."""
    labels: Mapping[str, Label]
    """Under which sources the values of each column were collected. Of columns of one name, both."""
    tags: Columns
    """The same as tags, for other adapters: `frames.check(result.df(), tags=result.tags)`."""

    def __init__(self, names: Sequence[str], tags: Sequence[Tag], table_of: Callable[[], pa.Table]) -> None:
        labels: dict[str, Label] = {}
        by_name: dict[str, Tag] = {}
        for name, tag in zip(names, tags, strict=True):
            before = by_name.get(name)
            if before is not None:
                tag = Tag(before.label | tag.label, by_row=before.by_row or tag.by_row)  # noqa: PLW2901  # of both
            by_name[name] = tag
            labels[name] = tag.label
        self.columns = tuple(names)
        self.labels = MappingProxyType(labels)
        self.tags = Columns(by_name)
        self._held = table_of
        self._row = 0

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows that were not fetched yet, as tuples of Python values.

        Where Python has no value for a day or a moment, such as one after the year 9999, its column is given as texts.

        Raises:
            PurposeMissing: the use under which they were read has ended, or another one is under way.
        """
        table = self._held().slice(self._row)
        self._row += table.num_rows
        return list(zip(*map(plain, table.columns), strict=True))

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row; None after the last one. Raises as `fetchall`."""
        table = self._held()
        if self._row >= table.num_rows:
            return None
        row = tuple(plain(column.slice(self._row, 1))[0] for column in table.columns)
        self._row += 1
        return row

    def arrow(self) -> pa.Table:
        """All rows as a table of Arrow whose columns bear their tags. Raises as `fetchall`."""
        return self._held()

    def df(self) -> Any:
        """All rows as a frame of pandas, which bears no tags (`tags` has them). Raises as `fetchall`."""
        return self._held().to_pandas()

    def pl(self) -> Any:
        """All rows as a frame of polars, which bears no tags (`tags` has them). Raises as `fetchall`."""
        import polars  # noqa: PLC0415  # only who asks for its frames has it

        return polars.from_arrow(self._held())

    def __len__(self) -> int:
        return int(self._held().num_rows)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a result is not pickled or copied: fetch it, and hand on what it holds")

    def __repr__(self) -> str:
        return f"<Result {', '.join(self.columns)}>"  # not its rows


def plain(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column as Python has them, or as texts."""
    try:
        return cast("list[Any]", column.to_pylist())
    except (OverflowError, ValueError):
        return cast("list[Any]", column.cast(pa.string()).to_pylist())


def holding(engine: Engine, use: Use[Any] | None, table: pa.Table, names: Sequence[str]) -> Callable[[], pa.Table]:
    """What gives a table as long as the use holds under which it was read from those named; always without a use."""

    def held() -> pa.Table:
        if use is not None:
            why = use._absence()
            ambient = engine.ambient()
            if why is None and ambient._nothing:
                why = f"it was read for activity {use.activity.name}, which is not under way in this context"
            elif why is None and _serves(ambient) != _serves(use):
                why = (
                    f"it was read for activity {use.activity.name}, and {ambient.activity.name} has another purpose: "
                    "run the statement again"
                )
            if why is not None:
                engine.missing(told("fetch", names), why, use)
        return table

    return held


def _serves(use: Use[Any]) -> object:
    return use.purpose, use.channel, use.conditions


def tagged(table: pa.Table, types: Sequence[str], tags: Sequence[Tag], revisions: Revisions) -> pa.Table:
    """The rows with the tags on their columns; whole numbers are such."""
    columns: list[pa.ChunkedArray] = []
    fields: list[pa.Field] = []
    for column, field, type_, tag in zip(table.columns, table.schema, types, tags, strict=True):
        with contextlib.suppress(ValueError):  # of several revisions, which no tag is: it bears none, and is refused
            field = field.with_metadata({**(field.metadata or {}), KEY: encode(tag, revisions)})  # noqa: PLW2901  # instead
        if type_ in _WHOLE:
            column, field = _whole(column, field)  # noqa: PLW2901  # instead of it
        columns.append(column)
        fields.append(field)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _whole(column: pa.ChunkedArray, field: pa.Field) -> tuple[pa.ChunkedArray, pa.Field]:
    """A column of 64-bit numbers, where they all fit: sums of whole numbers have 128 bits, which Arrow lacks."""
    try:
        return column.cast(pa.int64()), field.with_type(pa.int64())
    except pa.ArrowInvalid:
        return column, field
