"""Compiles one large notice and prints what it took; run in a process of its own by `benchmarks.processes`."""

from __future__ import annotations

import gc
import json
import re
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import purposeguard as pg
from benchmarks.notices import notice_tables
from benchmarks.processes import COMPILE, COMPILE_READ, MEMORY

PURPOSES, SOURCES, EACH = 2_000, 500, 50


def main() -> None:
    tables = notice_tables(PURPOSES, SOURCES, EACH)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "notice.toml"
        path.write_text(toml(tables), encoding="utf-8")
        gc.collect()
        before = highest_memory()
        started = time.perf_counter()
        guard = pg.Guard(pg.Notice.parse(tables))
        compiled = time.perf_counter()
        memory = highest_memory() - before
        same = pg.Guard(pg.Notice.load(path))
        read = time.perf_counter()
    assert guard.notice == same.notice
    for source, granted in guard.notice.grants.items():
        assert len(granted) == EACH
        for purpose in granted:
            assert issubclass(source, purpose)
    print(json.dumps({COMPILE: (compiled - started) * 1e9, COMPILE_READ: (read - compiled) * 1e9, MEMORY: memory}))


def highest_memory() -> float:
    """Return the bytes that this process had resident at its highest."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the parent had when it started us
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def toml(tables: dict[str, Any], prefix: str = "") -> str:
    """Return the tables of a made-up notice as TOML: values first, then lists of tables."""
    lines: list[str] = []
    table_lines: list[str] = []
    for key, value in tables.items():
        if _is_tables(value):
            for row in value:
                table_lines.append(f"[[{prefix}{key}]]")
                table_lines.append(toml(row, f"{prefix}{key}."))
        else:
            lines.append(f"{key} = {value if key == 'revision' else _value(value)}")
    return "\n".join([*lines, *table_lines])


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    main()
