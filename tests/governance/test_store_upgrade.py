"""The tables of a store are made when it is opened, by one process at a time, and brought up to date when asked for."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from purposeguard.errors import StoreUnavailable
from purposeguard.governance.schema import VERSION_TABLE
from purposeguard.governance.store import Store, make_alembic_config, open_existing_store, upgrade_store
from tests.support import in_threads

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
    names: list[str] = []

    def open_it() -> None:
        with Store.open(empty_url) as store:
            names.append(store.pseudonym("7"))

    in_threads([open_it] * 4)
    assert names == [names[0]] * 4


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(store: Store, store_url: str) -> None:
    with store.writing() as connection:
        connection.execute(sa.update(VERSION).values(version_num="9999_future"))
    with pytest.raises(StoreUnavailable) as refused:
        Store.open(store_url)
    message = str(refused.value)
    assert "was made by a newer version of purposeguard: `9999_future` is not known to this one" in message
    assert "help: use the version that upgraded it or a later one, or put back the copy" in message
    with store.reading() as connection:
        assert connection.execute(sa.select(VERSION.c.version_num)).scalar_one() == "9999_future"


def test_an_upgrade_that_fails_leaves_nothing_behind(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("out of entropy")

    monkeypatch.setattr("purposeguard.governance.pseudonyms._make_vault", fail)
    with pytest.raises(RuntimeError, match="out of entropy"):
        Store.open(empty_url)
    monkeypatch.undo()
    with Store.open(empty_url) as store:
        assert len(store.pseudonym("7")) == 32


def test_opening_prints_nothing_and_leaves_logging_as_it_is(empty_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.root.manager.disable)
    logger = logging.getLogger("application")
    Store.open(empty_url).close()
    assert capfd.readouterr() == ("", "")
    assert (root.level, list(root.handlers), logging.root.manager.disable) == before
    assert not logger.disabled


def test_each_migration_follows_one_other() -> None:
    scripts = ScriptDirectory.from_config(make_alembic_config())
    chain = [script.revision for script in scripts.walk_revisions()]  # fails where there are two heads
    assert sorted(chain, reverse=True) == chain
    assert chain[-1] == "0001_tables"
    assert chain == sorted((path.stem for path in Path(scripts.versions).glob("0*.py")), reverse=True)


NEXT = """
from alembic.operations import Operations

revision = "9998_next"
down_revision = {before!r}


def upgrade(operations: Operations) -> None:
    operations.execute("CREATE TABLE purposeguard_next (id INTEGER)")
    operations.execute("INSERT INTO purposeguard_next VALUES (50 % 8)")
"""


def test_an_older_store_is_refused_until_it_is_upgraded(
    store: Store, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ScriptDirectory.from_config(make_alembic_config()).get_current_head()
    newer = make_alembic_config()
    scripts = shutil.copytree(str(newer.get_main_option("script_location")), tmp_path / "migrations")
    (scripts / "versions" / "9998_next.py").write_text(NEXT.format(before=before))
    newer.set_main_option("script_location", str(scripts))
    monkeypatch.setattr("purposeguard.governance.store.make_alembic_config", lambda: newer)
    for opening in (Store.open, open_existing_store):
        with pytest.raises(StoreUnavailable, match="older version of purposeguard") as refused:
            opening(store_url)
        assert "help: make a copy of it, then run `purposeguard store upgrade`" in str(refused.value)
    name = store.pseudonym("7")
    store.close()  # on PostgreSQL it is seen, and would not go on
    assert upgrade_store(store_url, contract=True) == (before, "9998_next")
    assert upgrade_store(store_url) == ("9998_next", "9998_next")
    with open_existing_store(store_url) as present, present.reading() as connection:
        assert present.pseudonym("7") == name
        assert connection.execute(sa.text("SELECT id FROM purposeguard_next")).scalar_one() == 2
    monkeypatch.undo()
    with pytest.raises(StoreUnavailable, match="was made by a newer version"):  # there is no way down
        Store.open(store_url)


APPLICATION = """
import sqlalchemy as sa
from purposeguard import Guard
from purposeguard.governance import Governance
from purposeguard.notices import trendmicro_jp as tm

URL = {url!r}
guard = Guard(tm.NOTICE, governance=Governance(URL, notice=tm.NOTICE))
metadata = sa.MetaData()
sa.Table("customer", metadata, sa.Column("id", sa.Integer, primary_key=True))
"""

ENVIRONMENT = """
from alembic import context
import sqlalchemy as sa
from application import URL, metadata


def include_name(name, type_, parent_names):
    return type_ != "table" or not name.startswith("purposeguard_")


with sa.create_engine(URL).connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, include_name=include_name)
    with context.begin_transaction():
        context.run_migrations()
"""


@pytest.mark.processes
def test_migrations_of_the_application_leave_the_tables_alone(empty_url: str, tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(APPLICATION.format(url=empty_url))

    def alembic(*arguments: str) -> None:
        command = [sys.executable, "-m", "alembic", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": "."})

    alembic("init", "migrations")
    (tmp_path / "migrations" / "env.py").write_text(ENVIRONMENT)
    alembic("revision", "--autogenerate", "-m", "customers")
    alembic("upgrade", "head")
    alembic("check")
    (made,) = (tmp_path / "migrations" / "versions").glob("*.py")
    assert "create_table('customer'" in made.read_text()
    assert "purposeguard" not in made.read_text()
    with open_existing_store(empty_url) as store, store.reading() as connection:
        assert {"customer", "purposeguard_ledger"} <= set(sa.inspect(connection).get_table_names())
