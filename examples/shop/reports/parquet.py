"""Arrow tables in Parquet files whose columns carry their tags.

pyarrow has no types, so no other module of the example imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from purposeguard.adapters.arrow import tagged
from purposeguard.notices import trendmicro_jp as tm

_arrow: Any = import_module("pyarrow")
_parquet: Any = import_module("pyarrow.parquet")


def write(rows: Iterable[Mapping[str, Any]], of: type, path: Path) -> int:
    """Write rows with the tags of their class, and return their number."""
    all_rows = list(rows)
    table = _arrow.table({name: [row[name] for row in all_rows] for name in get_type_hints(of)})
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")  # Readers keep the old file meanwhile.
    _parquet.write_table(tagged(table, of, tm.NOTICE), new)
    new.replace(path)
    return len(all_rows)


def read(path: Path) -> Any:
    """Return the file's Arrow table."""
    return _parquet.read_table(path)
