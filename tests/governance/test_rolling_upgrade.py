"""Two versions of the library work with one store: through what the newer one adds, until the older one is gone."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from purposeguard.errors import StoreUnavailable
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.restrictions import declaration
from purposeguard.governance.store import Store, has_pending_contract, make_alembic_config, upgrade_store
from tests.governance.rolling import migrations_in
from tests.governance.test_preferences import until

ADDING = """
revision = {revision!r}
down_revision = {before!r}


def upgrade(operations):
    operations.execute("CREATE TABLE {table} (id INTEGER)")
"""

TAKING = """
revision = {revision!r}
down_revision = {before!r}
can_wait = True


def upgrade(operations):
    operations.execute("DROP TABLE {table}")
"""


class Versions:
    """Versions of the library, each a folder with its migrations and those of the versions before."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.patch = patch
        self.made = Path(str(make_alembic_config().get_main_option("script_location")))

    def add(self, name: str, *migrations: tuple[str, str, str]) -> Path:
        """Another version, with further migrations: a revision, its text, and a table."""
        self.made = Path(shutil.copytree(self.made, self.folder / name))
        for revision, text, table in migrations:
            known = sorted(path.stem for path in (self.made / "versions").glob("[0-9]*.py"))
            path = self.made / "versions" / f"{revision}.py"
            path.write_text(text.format(revision=revision, before=known[-1], table=table))
        return self.made

    @contextlib.contextmanager
    def being(self, version: Path) -> Iterator[None]:
        """A block in which this process is of a version."""
        with self.patch.context() as patch:
            patch.setattr("purposeguard.governance.store.make_alembic_config", lambda: migrations_in(version))
            yield


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Versions:
    return Versions(tmp_path, monkeypatch)


class Process:
    """A process of a version, at work."""

    def __init__(self, url: str, version: Path, *tables: str) -> None:
        command = [sys.executable, "-m", "tests.governance.rolling", url, str(version), *tables]
        self.running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def goes_on(self, rounds: int = 5) -> None:
        """Waits for some more rounds, in each of which it wrote and read."""
        assert self.running.stdout is not None
        seen = list(itertools.islice(self.running.stdout, rounds))
        assert len(seen) == rounds

    def kill(self) -> None:
        """Ends what is left of it."""
        self.running.kill()
        self.running.communicate()

    def end(self) -> int:
        """Has it end as it should, and gives the number of its rounds."""
        output, _ = self.running.communicate(timeout=60)
        assert self.running.returncode == 0
        return int(output.split()[-1])


def test_four_processes_work_through_an_upgrade(empty_url: str, versions: Versions) -> None:
    old = versions.add("old", ("8000_legacy", ADDING, "purposeguard_legacy"))
    new = versions.add("new", ("8000a_next", ADDING, "purposeguard_next"), ("8001_bare", TAKING, "purposeguard_legacy"))
    with versions.being(old):
        Store.open(empty_url).close()
    of_old = [Process(empty_url, old, "purposeguard_legacy")]
    with contextlib.ExitStack() as stack, versions.being(new):
        of_new: list[Process] = []
        stack.callback(_kill, of_old, of_new)
        of_old[0].goes_on()
        with pytest.raises(StoreUnavailable, match="older version"):
            Store.open(empty_url)
        assert upgrade_store(empty_url) == ("8000_legacy", "8000a_next")
        assert has_pending_contract("8000a_next")
        of_old.append(Process(empty_url, old, "purposeguard_legacy"))  # as one that crashed is started again
        of_new += [Process(empty_url, new, "purposeguard_next") for _ in range(2)]
        for each in (*of_new, *of_old):
            each.goes_on()
        if empty_url.startswith("postgresql"):  # SQLite tells nobody who has its file open
            with pytest.raises(StoreUnavailable, match=r"in use by an older version.* `8000_legacy`"):
                upgrade_store(empty_url, contract=True)
        rounds = sum(each.end() for each in of_old)
        legacy = _count(empty_url, "purposeguard_legacy")
        assert legacy == rounds
        until(lambda: _contracted(empty_url))  # their sessions end a moment later
        assert not has_pending_contract("8001_bare")
        for each in of_new:
            each.goes_on()
        with versions.being(old), pytest.raises(StoreUnavailable) as refused:
            Store.open(empty_url)
        assert "`8001_bare` is not known to this one" in str(refused.value)
        assert "use the version that upgraded it or a later one, or put back the copy" in str(refused.value)
        newer = sum(each.end() for each in of_new)
        assert _count(empty_url, "purposeguard_next") == newer
        with Store.open(empty_url) as store, SqlLedger(store) as ledger, store.reading() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(declaration)) == rounds + newer
            ledger.verify()
            denials = sum(int(entry.body.get("count", 1)) for entry in ledger.entries(["denial"]))
            assert denials == rounds + newer


def _kill(*processes: list[Process]) -> None:
    for process in itertools.chain(*processes):
        process.kill()


def _count(url: str, table: str) -> int:
    with Store.open(url) as store, store.reading() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(sa.table(table))) or 0)


def _contracted(url: str) -> bool:
    try:
        return upgrade_store(url, contract=True) == ("8000a_next", "8001_bare")
    except StoreUnavailable:
        return False


def _refused(act: Callable[[], object]) -> str:
    with pytest.raises(StoreUnavailable) as refused:
        act()
    return str(refused.value)


def test_what_this_version_cannot_do_without_is_taken_away_only_where_it_is_asked_for(
    store_url: str, versions: Versions
) -> None:
    before = versions.add("old")
    breaking = versions.add("new", ("8000_next", ADDING, "purposeguard_next"))
    with versions.being(breaking):
        assert "older version" in _refused(lambda: Store.open(store_url))
        message = _refused(lambda: upgrade_store(store_url))
        assert "needs `8000_next`, which takes away what older versions of purposeguard use" in message
        assert "make a copy of the store, then run `purposeguard store upgrade --contract`" in message
        assert upgrade_store(store_url, contract=True)[1] == "8000_next"
        Store.open(store_url).close()
    with versions.being(before):
        assert "newer version" in _refused(lambda: Store.open(store_url))


def test_the_steps_of_an_upgrade(store_url: str, versions: Versions) -> None:
    base = versions.add("base", ("8000_base", ADDING, "purposeguard_base"))
    with versions.being(base):
        upgrade_store(store_url, contract=True)
    adding = versions.add("adding", ("8000a_one", ADDING, "purposeguard_one"))
    waiting = versions.add("waiting", ("8001_two", TAKING, "purposeguard_base"))
    with versions.being(adding):
        assert "older version" in _refused(lambda: Store.open(store_url))
        assert upgrade_store(store_url) == ("8000_base", "8000a_one")
        assert upgrade_store(store_url) == ("8000a_one", "8000a_one")
    with versions.being(base):  # one that knows of no addition goes on, and has nothing to do
        Store.open(store_url).close()
        assert upgrade_store(store_url, contract=True) == ("8000a_one", "8000a_one")
        assert not has_pending_contract("8000a_one")
    with versions.being(waiting):  # what can wait does
        Store.open(store_url).close()
        assert upgrade_store(store_url) == ("8000a_one", "8000a_one")
        assert upgrade_store(store_url, contract=True) == ("8000a_one", "8001_two")
    with versions.being(adding):
        assert "`8001_two` is not known to this one" in _refused(lambda: Store.open(store_url))
