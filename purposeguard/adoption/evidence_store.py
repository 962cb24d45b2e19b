"""Stores of evidence, in which the counters of several processes and days are merged."""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from purposeguard.errors import EvidenceError


class EvidenceKey(NamedTuple):
    """The facts under which an event is counted. Unknown facts are empty texts.

    Attributes:
        notice: The ids and revisions of the notices in force.
        entry_point: The route, task, command, job or test.
        activity: The activity.
        purpose: The canonical id of the purpose, or the name of the family.
        channel: The channel.
        conditions: The conditions that are stated to hold, separated by spaces.
        field: The field or column, or the access function.
        sources: The ids of the sources of the data, separated by spaces.
        outcome: `read`, `observed` (a denial that was not raised), `denied` or `unresolved`. Runs of tests also have
            `allowed` and `refused` (answers by which no data was used), `entered` (runs of an activity), `delegated`
            (an activity enters the one that `field` names) and `called` (calls of an access function).
        detail: The reason of a denial, or a description of what could not be analyzed. In runs of tests, the members of
            a family that an answer is about, separated by spaces, or the line of an access function.
    """

    notice: str = ""
    entry_point: str = ""
    activity: str = ""
    purpose: str = ""
    channel: str = ""
    conditions: str = ""
    field: str = ""
    sources: str = ""
    outcome: str = ""
    detail: str = ""


class EvidenceRow(NamedTuple):
    """A counter of a store.

    Attributes:
        key: What was counted.
        times: The number of events.
        first: The first day, in UTC.
        last: The last day, in UTC.
    """

    key: EvidenceKey
    times: int
    first: datetime.date
    last: datetime.date


class EvidenceStore(Protocol):
    """A place where evidence is kept."""

    def add(self, counts: Mapping[EvidenceKey, int]) -> None:
        """Add counts of today.

        Raises:
            EvidenceError: They cannot be written now. Nothing was added.
        """

    def load(self) -> list[EvidenceRow]:
        """Return all counters.

        Raises:
            EvidenceError: They cannot be read.
        """
        ...


class EvidenceMemory:
    """Evidence in the memory of a process, as of a run of tests."""

    def __init__(self) -> None:
        """Start without counters."""
        self._counts: Counter[EvidenceKey] = Counter()

    def add(self, counts: Mapping[EvidenceKey, int]) -> None:
        """Add counts."""
        self._counts.update(counts)

    def load(self) -> list[EvidenceRow]:
        """Return all counters, with the present day."""
        today = _get_today()
        return [EvidenceRow(key, times, today, today) for key, times in self._counts.items()]


_APPLICATION_ID: Final = 0x70677631
"""The number by which SQLite files of evidence are recognized."""

_KEY: Final = ", ".join(EvidenceKey._fields)
_CREATE: Final = (
    f"CREATE TABLE IF NOT EXISTS evidence ({', '.join(f'{name} TEXT NOT NULL' for name in EvidenceKey._fields)}, "
    f"day TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY ({_KEY}, day)) WITHOUT ROWID"
)
_ADD: Final = (
    f"INSERT INTO evidence VALUES ({', '.join('?' * len(EvidenceKey._fields))}, ?, ?) "  # noqa: S608  # names of columns
    "ON CONFLICT DO UPDATE SET count = count + excluded.count"
)
_LOAD: Final = f"SELECT {_KEY}, sum(count), min(day), max(day) FROM evidence GROUP BY {_KEY}"  # noqa: S608  # names of columns


class EvidenceFile:
    """Evidence in an SQLite file, to which several processes may write.

    Each write opens the file anew, so that it can be used in forked processes.
    """

    def __init__(self, path: str | Path, *, timeout: float = 10.0) -> None:
        """Name the file. It is created at the first write.

        Args:
            path: The file.
            timeout: The seconds to wait while another process writes.
        """
        self.path: Final = Path(path)
        self._timeout = timeout

    def add(self, counts: Mapping[EvidenceKey, int]) -> None:
        """Add counts of today. Raises as `EvidenceStore.add`."""
        today = _get_today().isoformat()
        with self._connect() as connection:
            connection.execute(_CREATE)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.executemany(_ADD, [(*key, today, count) for key, count in counts.items()])

    def load(self) -> list[EvidenceRow]:
        """Return all counters. Raises as `EvidenceStore.load`."""
        if not self.path.is_file():
            raise EvidenceError(f"{self.path}: there is no evidence yet; collect some with `purposeguard adopt run`")
        with self._connect() as connection:
            rows = connection.execute(_LOAD).fetchall()
        return [_read_row(row) for row in rows]

    @contextlib.contextmanager
    def _connect(self) -> Generator[sqlite3.Connection]:
        """Open the file within a transaction.

        Raises:
            EvidenceError: The file cannot be used, or contains something else.
        """
        try:
            connection = sqlite3.connect(self.path, timeout=self._timeout, isolation_level=None)
            with contextlib.closing(connection):
                connection.execute("BEGIN IMMEDIATE")
                self._require_evidence(connection)
                yield connection
                connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise EvidenceError(f"{self.path}: {error}; {_advise(error)}") from error

    def _require_evidence(self, connection: sqlite3.Connection) -> None:
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        if tables and application_id != _APPLICATION_ID:
            raise EvidenceError(f"{self.path}: this database contains no evidence; name another file")


def _get_today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _read_row(row: Iterable[object]) -> EvidenceRow:
    *key, times, first, last = row
    return EvidenceRow(
        EvidenceKey(*map(str, key)),
        int(str(times)),
        datetime.date.fromisoformat(str(first)),
        datetime.date.fromisoformat(str(last)),
    )


def _advise(error: sqlite3.DatabaseError) -> str:
    if isinstance(error, sqlite3.OperationalError):
        return "free the disk, let other processes end, or name another file"
    return "the file is damaged: move it away, and collect anew"
