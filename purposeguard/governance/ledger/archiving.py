"""The archiving of a ledger: its oldest entries move to a file, which can be verified and which the rest continues."""

from __future__ import annotations

import datetime
import gzip
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, cast

import sqlalchemy as sa

from purposeguard.errors import LedgerBroken
from purposeguard.governance.engines import make_unavailable_error
from purposeguard.governance.ledger.chain import ARCHIVE, Head, format_moment, to_canonical_json
from purposeguard.governance.ledger.checkpoints import (
    Checkpoint,
    build_archive_data,
    make_signature,
    verify_archiving,
    verify_from,
)
from purposeguard.governance.ledger.exports import ExportedLedger, export_lines
from purposeguard.governance.ledger.reading import read_boundary
from purposeguard.governance.ledger.sql import SqlLedgerSnapshot
from purposeguard.governance.ledger.tables import head, ledger
from purposeguard.governance.ledger.writing import Conflict, LedgerTransaction
from purposeguard.governance.ledger.writing import write_transaction as write
from purposeguard.governance.store import Store
from purposeguard.runtime.clock import Now, read_system_time, to_utc

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MINIMUM_AGE: Final = datetime.timedelta(hours=1)
"""The least age of archived entries. Processes that make checkpoints have normally made one since."""

DELETION_BATCH: Final = 5_000
"""The number of entries that are deleted in one transaction."""


class ArchivedRange(NamedTuple):
    """The entries in an archive, by number; `moved`: how many of them were in the store until now."""

    first: int
    last: int
    moved: int


def archive(
    store: Store,
    path: Path,
    before: datetime.datetime,
    *,
    key: Ed25519PrivateKey | None = None,
    checkpoint: Checkpoint | None = None,
    clock: Now = read_system_time,
) -> ArchivedRange | None:
    """Move the entries from before a moment to a new file (0600), compressed if its name ends in `.gz`.

    An entry is deleted only after the whole ledger was verified, also against the checkpoint; the file is on the disk,
    and was read back and verified; and the ledger has an entry about the archive, signed with the key. If a call was
    interrupted, repeat it: an existing file is accepted only if it is this archive.

    The archive ends before the first entry that is not from before the moment. An entry that a wrong clock dated in the
    future does not end it.

    Args:
        store: The store that holds the ledger.
        path: The file of the archive.
        before: The moment before which entries are archived, at least an hour ago.
        key: The key that signs the archive.
        checkpoint: A checkpoint from which the ledger is verified.
        clock: A clock for tests.

    Returns:
        The archived range, or None if no entry is that old.

    Raises:
        LedgerBroken: the ledger was changed.
        StoreUnavailable: the store cannot be read, or its user may not delete entries.
        OSError: the file cannot be written.
        ValueError: the moment is less than an hour ago, or an existing file is no archive of this ledger.
    """
    now = clock()
    if to_utc(before) > now - MINIMUM_AGE:
        raise ValueError("entries are archived once they are an hour old: name an earlier time")
    _require_permission_to_delete(store)
    if not _verify_and_write(store, path, before, now, key=key, checkpoint=checkpoint):
        return None
    archived_ledger = _read_back(path)
    before_first, last = archived_ledger.start, archived_ledger.head
    store_start = _require_same_entries(store, path, archived_ledger, before)
    # None lets the server date the entry, as it dates the entries of applications. SQLite has no server.
    recorded_at = now if clock is not read_system_time or store.dialect == "sqlite" else None
    _record_archive(store, last, key, recorded_at)
    _delete_entries(store, store_start.seq, last.seq)
    return ArchivedRange(before_first.seq + 1, last.seq, last.seq - store_start.seq)


def _require_permission_to_delete(store: Store) -> None:
    """Raise StoreUnavailable if the user of the store may not delete entries, before anything is written."""
    with store.writing() as connection:
        connection.execute(sa.delete(ledger).where(ledger.c.seq < 1))


def _verify_and_write(
    store: Store,
    path: Path,
    before: datetime.datetime,
    now: datetime.datetime,
    *,
    key: Ed25519PrivateKey | None,
    checkpoint: Checkpoint | None,
) -> bool:
    """Verify the ledger, and write the archive unless its file exists. Return False if no entry is old enough."""
    with store.reading() as connection:
        snapshot = SqlLedgerSnapshot(connection)
        unsigned = snapshot.boundary is not None and snapshot.boundary.signature is None
        # If the file exists, an archive without a signature is signed by this call.
        public = None if key is None or (unsigned and path.exists()) else key.public_key()
        if checkpoint is not None:
            verify_from(snapshot, checkpoint, key=public)
        elif public is not None:
            verify_archiving(snapshot, public)
        if path.exists():
            snapshot.verify()
            return True
        through = _find_last_archivable(connection, before, now)
        if through is None:
            return False
        _write_file(path, export_lines(snapshot, through))  # The export verifies the whole ledger meanwhile.
        return True


def _require_same_entries(store: Store, path: Path, archived_ledger: ExportedLedger, before: datetime.datetime) -> Head:
    """Return the start of the ledger in the store.

    Raises:
        ValueError: the archive holds other entries than the store, or entries that are not old enough.
    """
    before_first, last = archived_ledger.start, archived_ledger.head
    with store.reading() as connection:
        store_start = SqlLedgerSnapshot(connection).start
        stored_hash = connection.scalar(sa.select(ledger.c.hash).where(ledger.c.seq == last.seq))
    is_too_new = last.at >= format_moment(before)
    is_deleted = (store_start.seq, store_start.hash) == (last.seq, last.hash)  # An earlier call deleted all entries.
    is_stored = stored_hash == last.hash and before_first.seq <= store_start.seq
    if is_too_new or not (is_deleted or is_stored):
        raise _make_foreign_file_error(
            path, f"it holds the entries {before_first.seq + 1} to {last.seq}, not those that are as old here"
        )
    return store_start


def _delete_entries(store: Store, start: int, last: int) -> None:
    """Delete the entries after `start`, through `last`."""
    for end in range(start + DELETION_BATCH, last + DELETION_BATCH, DELETION_BATCH):
        with store.writing() as connection:
            connection.execute(sa.delete(ledger).where(ledger.c.seq <= min(end, last)))


def _find_last_archivable(connection: sa.Connection, before: datetime.datetime, now: datetime.datetime) -> int | None:
    """Return the number of the last entry that is archived."""
    at, seq = ledger.c.at, ledger.c.seq
    later = sa.select(sa.func.min(seq)).where(at >= format_moment(before), at <= format_moment(now))
    older = sa.select(sa.func.max(seq)).where(at < format_moment(before))
    end = connection.scalar(later)
    through: int | None = connection.scalar(older if end is None else older.where(seq < end))
    return through


def _write_file(path: Path, lines: Iterable[bytes]) -> None:
    """Write a new file that is complete and on the disk once it appears; raise FileExistsError if there is one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                    cast("BinaryIO", packed).writelines(lines)
            else:
                file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a renaming, it replaces nothing
    finally:
        draft.unlink(missing_ok=True)
    if os.name == "posix":  # pragma: no branch  # Windows opens no folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _read_back(path: Path) -> ExportedLedger:
    """Return the verified archive in a file; raise ValueError if it holds none."""
    try:
        archived_ledger = ExportedLedger(path)
        archived_ledger.verify()
    except LedgerBroken as error:
        raise _make_foreign_file_error(path, f"{error.place}: {error.what}") from error
    return archived_ledger


def _make_foreign_file_error(path: Path, why: str) -> ValueError:
    return ValueError(f"`{path}` is no archive of this ledger, and is not replaced: {why}")


def _record_archive(
    store: Store, last: Head, key: Ed25519PrivateKey | None, recorded_at: datetime.datetime | None
) -> None:
    """Add the entry which says that all up to `last` was archived, unless an entry says so already."""
    signature = None if key is None else make_signature(build_archive_data(last.seq, last.hash), key)
    body = to_canonical_json({"seq": last.seq, "hash": last.hash, "signature": signature})
    at = None if recorded_at is None else format_moment(recorded_at)
    # No hour is needed without counts.
    transaction = LedgerTransaction(at, uuid.uuid4().hex, "", store.timeout, entries=[(ARCHIVE, body)])
    try:
        with store.writing() as connection:
            # Keeps other processes from archiving meanwhile.
            connection.execute(sa.select(head.c.seq).with_for_update())
            boundary = read_boundary(connection)
            required = last.seq, signature is not None
            if boundary is None or (boundary.seq, boundary.signature is not None) < required:
                write(connection, transaction)
    except Conflict:
        raise make_unavailable_error(
            store.where, "cannot be written: other transactions got in the way", "try again"
        ) from None
