"""The tables of a store are brought up to date when it is opened, by one process at a time, and silently."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from purposeguard.errors import StoreUnavailable
from purposeguard.governance.schema import VERSION_TABLE
from purposeguard.governance.store import Store, configuration

VERSION = sa.table(VERSION_TABLE, sa.column("version_num"))
OPEN = "import sys; from purposeguard.governance.store import Store; Store.open(sys.argv[1]).close()"


def test_processes_that_make_one_store_at_once_do_not_meet(empty_url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", OPEN, empty_url], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[1] for process in processes] == ["", ""]
    Store.open(empty_url).close()


def test_threads_that_make_one_store_at_once_do_not_meet(empty_url: str) -> None:
    secrets: list[bytes] = []

    def open_it() -> None:
        with Store.open(empty_url) as store:
            secrets.append(store.secret)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == 4
    assert len(set(secrets)) == 1


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(store: Store, store_url: str) -> None:
    with store.writing() as connection:
        connection.execute(sa.update(VERSION).values(version_num="9999_future"))
    with pytest.raises(StoreUnavailable) as refused:
        Store.open(store_url)
    message = str(refused.value)
    assert "was made by a newer version of purposeguard: `9999_future` is not known to this one" in message
    assert "help: upgrade purposeguard" in message
    with store.reading() as connection:
        assert connection.execute(sa.select(VERSION.c.version_num)).scalar_one() == "9999_future"


def test_an_upgrade_that_fails_leaves_nothing_behind(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("out of entropy")

    monkeypatch.setattr("purposeguard.governance.store._secret", fail)
    with pytest.raises(RuntimeError, match="out of entropy"):
        Store.open(empty_url)
    monkeypatch.undo()
    with Store.open(empty_url) as store:
        assert len(store.secret) == 32


def test_opening_prints_nothing_and_leaves_logging_as_it_is(empty_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.root.manager.disable)
    logger = logging.getLogger("application")
    Store.open(empty_url).close()
    assert capfd.readouterr() == ("", "")
    assert (root.level, list(root.handlers), logging.root.manager.disable) == before
    assert not logger.disabled


def test_each_migration_follows_one_other() -> None:
    scripts = ScriptDirectory.from_config(configuration())
    chain = [script.revision for script in scripts.walk_revisions()]  # fails where there are two heads
    assert sorted(chain, reverse=True) == chain
    assert chain[-1] == "0001_tables"
    assert chain == sorted((path.stem for path in Path(scripts.versions).glob("0*.py")), reverse=True)
