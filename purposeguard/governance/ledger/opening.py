"""The opening of a ledger by its address: the URL of a store, or the path of its file or of an export.

Nothing is made or changed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from purposeguard.errors import StoreUnavailable
from purposeguard.governance.engines import make_engine, make_read_only_engine, translate_errors
from purposeguard.governance.ledger.exports import ExportedLedger
from purposeguard.governance.ledger.reading import JoinedLedger, LedgerSnapshot
from purposeguard.governance.ledger.sql import SqlLedgerSnapshot
from purposeguard.governance.ledger.tables import counts

SQLITE: Final = b"SQLite format 3\x00"
"""The first bytes of a file of SQLite."""

EFFECTIVE: Final = os.access in os.supports_effective_ids
"""True if the system tells what the effective user may do."""


@contextlib.contextmanager
def opened(target: str | os.PathLike[str], *, timeout: float = 5.0) -> Generator[LedgerSnapshot]:
    """Open the ledger in a store, by its URL or the path of its file, or in an export.

    Raises:
        StoreUnavailable: there is no such ledger, or it cannot be read.
        ValueError: the URL is neither of a SQLite file nor of PostgreSQL.
    """
    text = os.fspath(target)
    if "://" in text and not text.startswith("sqlite"):
        with _open_in_database(*make_engine(text, timeout)) as reading:
            yield reading
        return
    path = Path(text.partition(":///")[2] if "://" in text else text).absolute()
    try:
        with path.open("rb") as file:
            start = file.read(len(SQLITE))
    except OSError as error:
        raise StoreUnavailable(f"the ledger `{path}` cannot be read: {error.strerror or error}") from None
    if start == SQLITE:
        writable = os.access(path, os.W_OK, effective_ids=EFFECTIVE) and os.access(
            path.parent, os.W_OK, effective_ids=EFFECTIVE
        )
        url = sa.URL.create("sqlite", database=str(path))
        with _open_in_database(
            *(make_engine(url, timeout) if writable else make_read_only_engine(path, timeout))
        ) as reading:
            yield reading
    elif "://" in text:
        raise StoreUnavailable(f"`{path}` is no store: it is no file of SQLite")
    else:
        yield ExportedLedger(path)


@contextlib.contextmanager
def joined(targets: Sequence[str | os.PathLike[str]], *, timeout: float = 5.0) -> Generator[LedgerSnapshot]:
    """Open archives and the ledger that they were taken from as one ledger; raise as `opened` does."""
    with contextlib.ExitStack() as stack:
        parts: list[LedgerSnapshot] = []
        stores = 0
        for target in targets:
            part = stack.enter_context(opened(target, timeout=timeout))
            parts.append(part)
            stores += part.connection is not None
        if stores > 1:
            raise ValueError("one store is named at most, beside archives")
        yield parts[0] if len(parts) == 1 else JoinedLedger(parts)


@contextlib.contextmanager
def _open_in_database(engine: sa.Engine, where: str) -> Generator[SqlLedgerSnapshot]:
    try:
        with translate_errors(where):
            with engine.connect() as connection:
                there = sa.inspect(connection).has_table(counts.name)
            if not there:
                raise StoreUnavailable(f"there is no ledger in {where}")
            with engine.connect() as connection:
                yield SqlLedgerSnapshot(connection)
    finally:
        engine.dispose()
