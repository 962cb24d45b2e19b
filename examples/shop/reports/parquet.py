"""Tables of Arrow, in Parquet files whose columns bear their tags.

pyarrow comes without types, so it is met here and nowhere else in the example.
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
    """Writes rows with the tags of the class that they are of, and gives how many there are."""
    given = list(rows)
    table = _arrow.table({name: [row[name] for row in given] for name in get_type_hints(of)})
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")  # who reads meanwhile has the old file
    _parquet.write_table(tagged(table, of, tm.NOTICE), new)
    new.replace(path)
    return len(given)


def read(path: Path) -> Any:
    """A table of Arrow."""
    return _parquet.read_table(path)
