"""An auditor who may only read verifies a store, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from purposeguard.errors import StoreUnavailable
from purposeguard.governance.ledger.opening import opened
from tests.governance.ledger.places import Place, tell
from tests.unit.command_line import run

pytestmark = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
NOBODY = 65534


@pytest.fixture
def copy(place: Place) -> Iterator[Path]:
    """A copy of a store in a folder; nobody may write either."""
    tell(place.open(), 5)
    with sqlite3.connect(place.target.removeprefix("sqlite:///")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    folder = Path(tempfile.mkdtemp())  # that of pytest is closed to others
    path = folder / "copy.db"
    shutil.copy(place.target.removeprefix("sqlite:///"), path)
    # The other user may be unable to read the environment, where root works in a directory that is closed to others.
    # So whatever the tests import and read is imported and read first.
    verify(path)
    path.chmod(0o444)
    folder.chmod(0o555)
    user = os.geteuid()
    modules = set(sys.modules)
    if user == 0:  # who may write in spite of the modes
        os.seteuid(NOBODY)
    yield path
    if user == 0:
        os.seteuid(user)
    folder.chmod(0o755)
    shutil.rmtree(folder)
    assert sys.modules.keys() <= modules


def verify(path: Path) -> None:
    """Verify a store in each of the ways that an auditor has."""
    with opened(path) as ledger:
        assert ledger.verify().entries
        assert sum(ledger.uses().values()) == 5
    with opened(f"sqlite:///{path}") as ledger:
        assert list(ledger.entries())
    assert run("ledger", "verify", path).stdout.startswith("intact: ")


def test_a_copy_that_may_only_be_read_is_verified(copy: Path) -> None:
    before = copy.read_bytes(), sorted(copy.parent.iterdir())
    verify(copy)
    assert (copy.read_bytes(), sorted(copy.parent.iterdir())) == before


def test_a_copy_with_its_log_is_read_with_it_or_not_at_all(copy: Path) -> None:
    """A file beside it holds the latest entries: without it the ledger would be another."""
    user = os.geteuid()
    if os.getuid() == 0:
        os.seteuid(0)
    copy.parent.chmod(0o755)
    copy.with_name("copy.db-wal").write_bytes(b"no log of SQLite, though it is there")
    copy.parent.chmod(0o555)
    os.seteuid(user)
    with pytest.raises(StoreUnavailable, match="cannot be used"), opened(copy) as found:
        found.verify()
