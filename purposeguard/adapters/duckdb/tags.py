"""The sources of a guarded DuckDB connection: files and frames, with the names and tags of their columns."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from purposeguard.adapters import arrow
from purposeguard.adapters import tags as column_tags
from purposeguard.adapters.sql.scopes import perhaps
from purposeguard.adapters.tags import Columns, Revisions, Tag
from purposeguard.containers import exclude, pick_keys
from purposeguard.errors import PurposeGuardError, UnknownSource, UnlabelledData, UnresolvedStatement, format_name

PARQUET: Final = frozenset({".parquet", ".parq", ".pq"})
FEATHER: Final = frozenset({".feather", ".arrow", ".ipc"})
# Header and types are read from the whole file: values after a sample could fail while a query runs.
READERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys((".csv", ".tsv", ".txt"), "read_csv($path, header=true, skip=0, sample_size=-1)"),
        **dict.fromkeys((".json", ".jsonl", ".ndjson"), "read_json($path, sample_size=-1)"),
    }
)
COMPRESSED: Final = frozenset({".gz", ".zst"})

_PATTERN: Final = frozenset("*?[]{}")
"""Characters that make DuckDB read a path as a pattern, even if a file has exactly this name."""


class Parquet(NamedTuple):
    """A Parquet file. Each statement reads it again."""

    path: str
    version: tuple[int, ...]

    def check(self) -> None:
        """Raise UnresolvedStatement if the file has changed since its tags were read."""
        try:
            now = version_of(Path(self.path))
        except OSError:
            now = None
        if now != self.version:
            raise UnresolvedStatement(
                f"{self.path} has changed since its tags were read, so nothing says what it holds now: connect again"
            )


class DuckdbSource(NamedTuple):
    """A relation that statements may name: its column names in order, their tags, and its data."""

    names: tuple[str, ...]
    tags: Columns
    data: pa.Table | Parquet


def source_of(name: str, data_or_path: object, tags: object, revisions: Revisions) -> DuckdbSource:
    """Load a source with its tags.

    Args:
        name: The name that statements use.
        data_or_path: The path of a file, an Arrow table, or a frame of pandas or polars.
        tags: Tags for the columns that bear none themselves, or None.
        revisions: The revisions of the notice that the tags refer to.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: the file does not match its ending, or `tags` names a column that does not exist.
        TypeError: `data_or_path` has another type.
        UnlabelledData, UnknownSource: a tag cannot be read, belongs to another notice, or contradicts `tags`.
    """
    if isinstance(data_or_path, (str, os.PathLike)):
        path = Path(cast("str | os.PathLike[str]", data_or_path))
        schema, data = _read_file(path)
        place = str(path)
    else:
        data = _to_table(name, data_or_path)
        schema = data.schema
        place = f"`{name}`"
    _refuse_alike(place, schema.names)
    own = _read_own_tags(place, schema, revisions)
    return DuckdbSource(tuple(schema.names), merge_tags(place, schema.names, own, tags, revisions), data)


def _read_own_tags(place: str, schema: pa.Schema, revisions: Revisions) -> Columns:
    """Return the tags that the columns of a schema bear. Error messages begin with the place."""
    try:
        return arrow.columns_of(schema, revisions)
    except UnlabelledData as error:
        located: PurposeGuardError = UnlabelledData(f"{place}: {' '.join(str(error).split())}")
    except UnknownSource as error:
        located = UnknownSource(error.given, f"{place}: {error.why}")
    raise located


def merge_tags(place: str, names: list[str], own: Mapping[str, Tag], tags: object, revisions: Revisions) -> Columns:
    """Return a relation's own tags, completed by `tags`. Raise the errors of `source_of`."""
    extra = {} if tags is None else column_tags.columns_of(revisions, tags)
    known_names = set(names)
    unknown = exclude(extra, known_names)
    if unknown:
        # Not all names are listed, because the names of a text file without a header are the values of its first row.
        advice = perhaps(unknown[0], names) or "; does its first line name the columns?"
        raise ValueError(f"{_join_names(unknown)} is tagged, and {place} has no such column{advice}")
    contradicted = [column for column, tag in extra.items() if own.get(column, tag) != tag]
    if contradicted:
        raise UnlabelledData(
            f"{place} says itself of {_join_names(contradicted)} otherwise than it is told here: leave it out here, "
            "or tag the file again"
        )
    both = {**extra, **own}
    return Columns(pick_keys(both, names))


def version_of(path: Path) -> tuple[int, ...]:
    """Return a version of a file that changes when the file is written or replaced.

    Raises:
        OSError: the file cannot be read.
    """
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


# ---- files -----------------------------------------------------------------------------------------------------------


def _read_file(path: Path) -> tuple[pa.Schema, pa.Table | Parquet]:
    """Return the schema of a file, and its data. A Parquet file is not read here."""
    whole = _resolve_path(path)
    before = version_of(whole)
    if whole.stat().st_size == 0:
        raise ValueError(f"{path} is empty, so it has no columns")
    ending = _find_ending(path)
    if ending in PARQUET:
        schema = _call_reader("Parquet", path, lambda: pq.read_schema(whole))
        return schema, Parquet(str(whole), before)
    if ending in FEATHER:
        data: pa.Table = _call_reader("Feather", path, lambda: feather.read_table(whole))
    elif ending in READERS:
        data = _call_reader(ending[1:].upper(), path, lambda: _read_by_duckdb(READERS[ending], whole))
    else:
        kinds = ", ".join(sorted({*PARQUET, *FEATHER, *READERS}))
        raise ValueError(f"{path} is of no kind that is known here by its ending: {kinds}")
    return data.schema, data


def _resolve_path(path: Path) -> Path:
    """Return the resolved path of a file that DuckDB can read as it is."""
    if "\0" in str(path):
        raise ValueError("a path with a null character is no path")
    whole = path.resolve()
    if whole.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name each file in it by itself, since each has its own tags")
    if not whole.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if not whole.is_file():
        raise ValueError(f"{path} is no regular file, which could be read twice")
    if _PATTERN.intersection(str(whole)):
        raise ValueError(f"{path} has one of {' '.join(sorted(_PATTERN))} in its path, a pattern to DuckDB: rename it")
    return whole


def _find_ending(path: Path) -> str:
    """Return the ending of a file without that of its compression, in lower case, or an empty string."""
    endings = list(map(str.lower, path.suffixes))
    if len(endings) > 1 and endings[-1] in COMPRESSED:
        return endings[-2] if endings[-2] in READERS else ""
    return endings[-1] if endings else ""


def _read_by_duckdb(reader: str, path: Path) -> pa.Table:
    with duckdb.connect(config=dict(OFFLINE)) as connection:
        return connection.sql(f"FROM {reader}", params={"path": str(path)}).to_arrow_table()


OFFLINE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "allow_community_extensions": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
    }
)
"""Settings that keep DuckDB from downloading extensions and from reading Python variables."""


def _call_reader(kind: str, path: Path, reader: Callable[[], Any]) -> Any:
    """Call a function that reads a file. Raise ValueError, without a value from the file, if it fails."""
    try:
        return reader()
    except (pa.ArrowException, duckdb.Error) as error:
        why = type(error).__name__
    # Raised outside `except`, because the message of the error may repeat a line of the file.
    faults = "broken" if kind in ("Parquet", "Feather") else "not UTF-8, broken"
    raise ValueError(
        f"{path} cannot be read as {kind} ({why}): it is {faults}, or of another kind than its ending says"
    )


# ---- frames ----------------------------------------------------------------------------------------------------------


def _to_table(name: str, frame: Any) -> pa.Table:
    """Convert a frame to an Arrow table.

    Only libraries that are imported already are tried: the frame of any other library cannot exist.
    """
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(frame, pandas.DataFrame):
        why = ""
        try:
            return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        except pa.ArrowException as error:
            why = type(error).__name__
        except ValueError:  # two columns have the same name
            why = "its columns' names"
        raise ValueError(f"`{name}` has a column of values of several types, or two of one name ({why}): mend it first")
    if polars is not None and isinstance(frame, polars.DataFrame):
        return cast("pa.Table", frame.to_arrow())
    if polars is not None and isinstance(frame, polars.LazyFrame):
        raise TypeError(f"`{name}` is a lazy frame: `collect()` it first")
    raise TypeError(
        f"`{name}` is given as {type(frame).__name__}: give the path of a file, a table of Arrow, or a frame of pandas "
        "or polars"
    )


# ---- names -----------------------------------------------------------------------------------------------------------


def _refuse_alike(place: str, names: list[str]) -> None:
    """Raise UnlabelledData if a column has no name, or two names differ only in case.

    DuckDB ignores case in names, and would rename the second column.
    """
    seen: dict[str, str] = {}
    for name in names:
        if not name.strip():
            raise UnlabelledData(f"{place} has a column without a name: rename it")
        key = name.lower()
        if key in seen:
            raise UnlabelledData(
                f"{place} has columns {format_name(seen[key])} and {format_name(name)}, which are one name to DuckDB: "
                "rename one"
            )
        seen[key] = name


def _join_names(names: list[str]) -> str:
    few = ", ".join(map(format_name, names[:8]))
    return f"{few} and {len(names) - 8:,} more" if len(names) > 8 else few
