"""An auditor who may only read verifies a store, and leaves nothing behind."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from purposeguard.errors import StoreUnavailable
from purposeguard.governance.ledger.opening import opened
from tests.governance.ledger.places import Place, tell
from tests.governance.support import bound_by_file_modes
from tests.unit.command_line import run

pytestmark = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)


@pytest.fixture
def copy(place: Place, tmp_path: Path) -> Iterator[Path]:
    """A copy of a store in a folder; this process may write neither."""
    tell(place.open(), 5)
    with sqlite3.connect(place.target.removeprefix("sqlite:///")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    folder = tmp_path / "copy"
    folder.mkdir()
    path = folder / "copy.db"
    shutil.copy(place.target.removeprefix("sqlite:///"), path)
    path.chmod(0o444)
    folder.chmod(0o555)
    with bound_by_file_modes():
        yield path
    folder.chmod(0o755)


def test_a_copy_that_may_only_be_read_is_verified(copy: Path) -> None:
    before = copy.read_bytes(), sorted(copy.parent.iterdir())
    with opened(copy) as found:
        assert found.verify().entries
        assert sum(found.uses().values()) == 5
    with opened(f"sqlite:///{copy}") as found:
        assert list(found.entries())
    assert run("ledger", "verify", copy).stdout.startswith("intact: ")
    assert (copy.read_bytes(), sorted(copy.parent.iterdir())) == before


def test_a_copy_with_its_log_is_read_with_it_or_not_at_all(copy: Path) -> None:
    """A file beside it holds the latest entries: without it the ledger would be another."""
    copy.parent.chmod(0o755)
    copy.with_name("copy.db-wal").write_bytes(b"no log of SQLite, though it is there")
    copy.parent.chmod(0o555)
    with pytest.raises(StoreUnavailable, match="cannot be used"), opened(copy) as found:
        found.verify()
