"""Once a person is forgotten, nothing in the store, its ledger included, tells who it was to who holds all of it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import hmac
import itertools
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from purposeguard.errors import RequestError, StoreUnavailable
from purposeguard.governance import Governance, changes, forgetting
from purposeguard.governance.ledger import Checkpoints, SqlLedger
from purposeguard.governance.ledger.checkpoints import read_last_in_file, verify_from
from purposeguard.governance.ledger.opening import opened
from purposeguard.governance.ledger.sql import SqlLedgerSnapshot
from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.pseudonyms import barred, forgotten, pseudonym, vault
from purposeguard.governance.reconciling import reconcile
from purposeguard.governance.restrictions import count_declarations, declaration
from purposeguard.governance.schema import identity
from purposeguard.governance.store import Store, make_alembic_config, upgrade_store
from purposeguard.governance.subjects import Subjects
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import CLEAR
from tests.governance.conftest import Databases
from tests.governance.disclosures import NOTICE
from tests.governance.ledger.places import EXCEPTION, PROVISION, C, denial
from tests.governance.support import Rows

TARO = "taro.yamada@example.jp"
HANAKO = "hanako@example.jp"
NAMED = ("taro", "yamada")
"""What of his id, and of notes about him, may be nowhere."""


class House(NamedTuple):
    """A store, and where its keys lie."""

    url: str
    keys: str | None

    def open(self) -> Store:
        return Store.open(self.url, keys=self.keys)

    @contextlib.contextmanager
    def governance(self, **parts: Any) -> Generator[Governance]:
        with self.open() as store, Governance(store, notice=NOTICE, **parts) as governance:
            yield governance


@pytest.fixture
def apart_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where keys may lie apart."""
    if dialect == "sqlite":
        (tmp_path / "apart").mkdir()
        yield f"sqlite:///{tmp_path}/apart/keys.db"
        return
    databases: Databases = request.getfixturevalue("postgresql")
    name = databases.create()
    yield databases.url(name)
    databases.drop(name)


@pytest.fixture(params=["inside", "apart"])
def house(request: pytest.FixtureRequest, empty_url: str, apart_url: str) -> House:
    return House(empty_url, apart_url if request.param == "apart" else None)


def live(governance: Governance, person: str = TARO) -> int:
    """Somebody has everything that governance remembers; returns the number of their request for erasure."""
    lifted = governance.restrict(person, tm.RenewalGuidance, reference=f"letter of {person}")
    governance.lift(lifted, reference=f"call by {person}")
    governance.consent(person, tm.ResearchNotice, reference=f"form of {person}")
    governance.withdraw(person, tm.ResearchNotice)
    requests = governance.requests
    asked = requests.open("erasure", subject=person, requester="agent", authority=f"of {person}", note=f"by {person}")
    requests.verify(asked, how=f"called {person}", by="clerk")
    requests.fulfil(asked, by="clerk", done=f"erased {person}")
    refused = requests.open("disclosure", subject=person)
    requests.refuse(refused, reason=f"{person} has nothing", by="clerk")
    governance.provisions.record(dataclasses.replace(PROVISION, subjects=(person, HANAKO)))
    ledger = governance.ledger
    assert isinstance(ledger, SqlLedger)
    ledger.excepted(EXCEPTION, C, person, 2)
    ledger.denied(denial(activity="mail"), observed=False)
    return asked.id


def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, and what a database keeps of them beside, as somebody has it who holds the database."""
    engine = sa.create_engine(make_url(url))
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        names = inspector.get_table_names()
        if engine.dialect.name == "sqlite":
            every = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
            names = list(every.scalars())
        else:
            names += ["pg_stats", "pg_stats_ext"]
        rows = {
            name: list(map(tuple, connection.execute(sa.select("*").select_from(sa.table(name))))) for name in names
        }
    engine.dispose()
    return rows


def raw(url: str) -> bytes:
    """The bytes of a database of SQLite, and of its log; nothing of another."""
    if not url.startswith("sqlite"):
        return b""
    path = Path(str(make_url(url).database))
    return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))


def in_clear(url: str) -> list[str]:
    """Where a part of his id stands."""
    found = [name for name, rows in everything(url).items() if any(part in str(rows).lower() for part in NAMED)]
    return found + [f"bytes: {part}" for part in NAMED if part.encode() in raw(url).lower()]


def recomputed(*urls: str) -> set[str]:
    """The tables with a value that his id gives, under whichever value of the databases as a key."""
    tables = {name: rows for url in urls for name, rows in everything(url).items() if name.startswith("purposeguard")}
    values = {value for rows in tables.values() for row in rows for value in row if isinstance(value, (bytes, str))}
    keys = {value if isinstance(value, bytes) else value.encode() for value in values if len(value) >= 16}
    keys |= {
        bytes.fromhex(value) for value in values if isinstance(value, str) and len(value) in (32, 64) and _hex(value)
    }
    made: set[str] = set()
    for text in (TARO, TARO.upper(), f"customer:{TARO}"):
        data = text.encode()
        for name in ("md5", "sha1", "sha256", "sha512", "blake2b", "blake2s"):
            made.add(hashlib.new(name, data).hexdigest())
            made |= {hmac.new(key, data, name).hexdigest() for key in keys}
        for key, size in itertools.product(keys, (8, 16, 20, 32, 64)):
            for person in (b"", b"barred"):
                made.add(hashlib.blake2b(data, key=key[:64], digest_size=size, person=person).hexdigest())
    made |= {digest[:32] for digest in made}
    return {name for name, rows in tables.items() if any(digest in str(rows) for digest in made & _words(rows))}


def _hex(text: str) -> bool:
    return all(char in "0123456789abcdef" for char in text)


def _words(rows: list[tuple[Any, ...]]) -> set[str]:
    return set("".join(char if char in "0123456789abcdef" else " " for char in str(rows)).split())


def test_before_he_is_forgotten_he_is_found(house: House) -> None:
    """The search that the others rely on."""
    with house.governance() as governance:
        live(governance)
    inside = house.keys is None
    texts = {f"purposeguard_{name}" for name in ("declaration", "revocation", "request", "request_step")}
    found = set(in_clear(house.url))
    assert {name for name in found if name.startswith("purposeguard")} == texts | (
        {"purposeguard_pseudonym"} if inside else set()
    )
    named = {f"purposeguard_{name}" for name in ("declaration", "request", "change", "ledger", "provided_subject")}
    urls = [house.url, *([house.keys] if house.keys else [])]
    assert recomputed(*urls) == named | {"purposeguard_pseudonym"}
    if house.keys is not None:
        assert "purposeguard_pseudonym" in in_clear(house.keys)
        assert recomputed(house.url) == set()  # who holds the store alone cannot tell, even while he is there


@pytest.mark.parametrize("bar", [None, False])
def test_nothing_tells_who_was_forgotten(house: House, bar: bool | None, tmp_path: Path) -> None:
    sink = tmp_path / "checkpoints"
    with house.governance() as governance, SqlLedger(governance.store, checkpoints=Checkpoints(sink)) as ledger:
        number = live(governance)
        governance.restrict(HANAKO)
        ledger.checkpoint()
        name = governance.store.pseudonym(TARO)
        before = [entry.hash for entry in ledger.entries()]
        governance.forget(TARO, bar=bar)

        # What happened is on record, and the chain is the same.
        assert [entry.hash for entry in ledger.entries()][: len(before)] == before
        assert ledger.verify().entries == len(before) + 1
        (*_, last) = ledger.entries({"erasure"})
        assert last.body == {"what": "subject", "subject": name, "barred": bar is None}
        asked = governance.requests.get(number)
        assert (asked.state, asked.subject, asked.authority) == ("fulfilled", None, None)
        steps = governance.requests.steps(number)
        assert [(each.did, each.text) for each in steps] == [("opened", None), ("verified", None), ("fulfilled", None)]
        assert (governance.requests.of(TARO), governance.provisions.of(TARO)) == ((), ())
        assert len(governance.provisions.of(HANAKO)) == 1
        assert governance.preferences(HANAKO).all_suspended
        assert governance.preferences(TARO).erased is (bar is None)
        assert governance.preferences_of_each([HANAKO, TARO])[1].erased is (bar is None)
        assert list(governance.roster().groups.values()) == [(HANAKO,)]
        with governance.store.reading() as connection:
            reading = SqlLedgerSnapshot(connection)
            verify_from(reading, read_last_in_file(sink), key=None)
            assert list(reconcile(reading, connection)) == []
            assert sum(figure.subjects for figure in count_declarations(connection, EXCEPTION.until)) == 1  # hers
        for url in filter(None, house):
            assert in_clear(url) == []
    # Of one who is barred it can be asked whether it is he. That leads to no row of his.
    assert recomputed(*filter(None, house)) == ({"purposeguard_barred"} if bar is None else set())
    if house.keys is not None:
        assert recomputed(house.url) == set()
    for url in filter(None, house):
        assert in_clear(url) == []
    with opened(house.url) as export:
        assert export.verify().entries == len(before) + 1


def test_statistics_of_the_database_keep_no_id(house: House) -> None:
    with house.governance() as governance:
        for number in range(50):
            governance.restrict(f"{TARO}.{number}")
        engines = [sa.create_engine(make_url(url)) for url in filter(None, house)]
        for engine in engines:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("ANALYZE")
            engine.dispose()
        for number in range(50):
            governance.forget(f"{TARO}.{number}")
    assert not any(in_clear(url) for url in filter(None, house))


def test_the_order_of_the_barred_tells_nothing(house: House) -> None:
    people = [f"person {number}" for number in range(30)]
    with house.governance() as governance:
        for person in people:
            governance.restrict(person, kind="erasure")
            governance.forget(person)
        assert all(each.erased for each in governance.preferences_of_each(people))
    kept = [digest for (digest,) in everything(house.keys or house.url)[barred.name]]
    assert kept == sorted(kept)
    assert len(kept) == 30


def test_who_is_not_answered_is_not_forgotten(house: House) -> None:
    with house.governance() as governance:
        asked = governance.requests.open("disclosure", subject=TARO, note="by telephone")
        with pytest.raises(RequestError, match=f"request {asked.id} of this person is not answered yet"):
            governance.forget(TARO)
        assert governance.requests.steps(asked)[0].text == "by telephone"
        governance.requests.withdraw(asked, by="clerk")
        governance.forget(TARO)
        assert governance.requests.get(asked).subject is None


def test_what_is_asked_for_afterwards_is_of_somebody_new(house: House) -> None:
    with house.governance() as governance:
        first = governance.restrict(TARO)
        name = governance.store.pseudonym(TARO)
        governance.forget(TARO)
        assert governance.preferences(TARO).erased
        with pytest.raises(RequestError, match="or whoever declared it was forgotten"):
            governance.lift(first)
        governance.forget(TARO, bar=False)  # he comes back, and nothing of before is his
        assert governance.preferences(TARO) is CLEAR
        governance.consent(TARO, tm.ResearchNotice)
        assert governance.preferences(TARO).consents
        assert not governance.preferences(TARO).all_suspended
        assert governance.store.pseudonym(TARO) != name
        assert governance.subjects.of(TARO).restrictions == ()


def test_who_was_never_heard_of_can_be_forgotten_and_barred(house: House) -> None:
    with house.governance() as governance:
        governance.forget(TARO)
        assert governance.preferences(TARO) is CLEAR
        assert governance.ledger is not None
        governance.forget(TARO, bar=True)
        assert governance.preferences(TARO).erased
    assert recomputed(*filter(None, house)) == {"purposeguard_barred"}


def test_another_process_learns_of_it(house: House) -> None:
    with house.open() as here, house.open() as there:
        cache = PreferenceCache(Subjects(there, tm.NOTICE), staleness=1000.0, poll=500.0)
        with contextlib.closing(cache), Governance(here, notice=NOTICE) as governance:
            governance.restrict(TARO, tm.RenewalGuidance)
            cache.poll_changes()
            assert cache.preferences(TARO).suspended
            governance.forget(TARO, bar=False)
            cache.poll_changes()
            assert cache.preferences(TARO) is CLEAR
            governance.restrict(TARO)
            cache.poll_changes()
            assert cache.preferences(TARO).all_suspended


def test_a_crash_before_the_keys_are_gone_is_made_good_by_who_opens_the_store_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with house.governance() as governance:
        live(governance)

        def killed(_: Store) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Store, "destroy_keys", killed)
        with pytest.raises(KeyboardInterrupt):
            governance.forget(TARO)
        assert governance.preferences(TARO).erased
        with pytest.raises(StoreUnavailable, match="is being forgotten"):  # it would be lost
            governance.restrict(TARO)
        monkeypatch.undo()
    with house.governance() as governance:
        assert governance.preferences(TARO).erased
        governance.forget(TARO)  # again, as the caller does who saw it fail
    for url in filter(None, house):
        assert in_clear(url) == []
    assert recomputed(*filter(None, house)) == {"purposeguard_barred"}


KILLED = """
import itertools, os, sys
import sqlalchemy as sa
from purposeguard.governance import Governance
from purposeguard.governance.store import Store
from tests.governance.disclosures import NOTICE

url, keys, first = sys.argv[1:]

def governance():
    return Governance(Store.open(url, keys=keys or None), notice=NOTICE)

def forget(person, left):
    with governance() as killed:

        @sa.event.listens_for(sa.Engine, "before_cursor_execute")
        def count(_connection, _cursor, statement, *_):
            nonlocal left
            left -= 1
            if left == 0:
                os._exit(9)

        killed.forget(person)
    os._exit(0)

for number in itertools.count(int(first), 4):
    person = f"taro.{number}"
    with governance() as before:
        before.restrict(person, kind="erasure", reference="letter of taro")
        before.store.close()
    child = os.fork()
    if child == 0:
        forget(person, number)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with governance() as later:
        assert later.preferences(person).erased  # by what he asked for, or by the bar
        later.forget(person)
        assert later.preferences(person).erased
        later.ledger.verify()
        later.store.close()
    print(code)
    if code != 9:
        break
"""


@pytest.mark.processes
def test_it_may_be_killed_at_any_statement(house: House) -> None:
    house.open().close()
    first = 1 + 2 * (house.keys is None) + house.url.startswith("sqlite")  # together they are killed at every one
    command = [sys.executable, "-c", KILLED, house.url, house.keys or "", str(first)]
    *killed, last = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert (set(killed), last, len(killed) > 3) == ({"9"}, "0", True)
    assert not any(in_clear(url) for url in filter(None, house))


def test_keys_that_lie_apart_are_needed(empty_url: str, apart_url: str, store_url: str) -> None:
    Store.open(empty_url, keys=apart_url).close()
    with pytest.raises(StoreUnavailable, match=r"keeps its keys apart.*help: name where"):
        Store.open(empty_url)
    with pytest.raises(ValueError, match="in another database than the store"):
        Store.open(empty_url, keys=empty_url)
    with pytest.raises(ValueError, match="a store's URL is"):
        Store.open(empty_url, keys="mysql://a/b")


def test_keys_of_another_store_are_refused(tmp_path: Path) -> None:
    one, other = f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/other.db"
    Store.open(one, keys=f"sqlite:///{tmp_path}/keys.db").close()
    with pytest.raises(StoreUnavailable, match="holds the keys of another store"):
        Store.open(other, keys=f"sqlite:///{tmp_path}/keys.db")
    with pytest.raises(StoreUnavailable, match="does not hold the keys of this store"):
        Store.open(one, keys=f"sqlite:///{tmp_path}/empty.db")
    with Store.open(one, keys=f"sqlite:///{tmp_path}/keys.db") as store:
        assert len(store.pseudonym("7")) == 32


def test_where_the_keys_cannot_be_read_everything_new_is_refused(tmp_path: Path) -> None:
    house = House(f"sqlite:///{tmp_path}/store.db", f"sqlite:///{tmp_path}/keys.db")
    with house.governance() as governance:
        governance.restrict(TARO)
        for path in tmp_path.glob("keys.db*"):
            path.rename(tmp_path / f"away-{path.name}")
        for act in (
            lambda: governance.preferences(HANAKO),
            lambda: governance.preferences(TARO),
            governance.roster,
            lambda: governance.restrict(HANAKO),
            lambda: governance.forget(TARO),
        ):
            with pytest.raises(StoreUnavailable, match=r"keys\.db"):
                act()
        for path in tmp_path.glob("away-*"):
            path.rename(tmp_path / path.name.removeprefix("away-"))
        assert governance.preferences(TARO).all_suspended
        assert governance.preferences(HANAKO) is CLEAR


def test_an_older_copy_of_the_keys_is_refused(tmp_path: Path) -> None:
    house = House(f"sqlite:///{tmp_path}/store.db", f"sqlite:///{tmp_path}/keys.db")
    with house.governance() as governance:
        governance.restrict(HANAKO)
    shutil.copy(tmp_path / "keys.db", tmp_path / "copy.db")
    with house.open() as here, house.governance() as governance:
        cache = PreferenceCache(Subjects(here, tm.NOTICE), staleness=1000.0, poll=500.0)
        with contextlib.closing(cache):
            assert cache.preferences("7") is CLEAR
            governance.restrict(TARO)
            shutil.copy(tmp_path / "copy.db", tmp_path / "keys.db.new")
            (tmp_path / "keys.db.new").rename(tmp_path / "keys.db")
            for beside in tmp_path.glob("keys.db-*"):
                beside.unlink()
            # Who stopped a use since has no key in it: not known is not allowed.
            with pytest.raises(StoreUnavailable, match="is an older copy of the keys"):
                governance.preferences("8")
            cache.poll_changes()
            with pytest.raises(StoreUnavailable, match="is an older copy of the keys"):
                cache.preferences("8")
    with pytest.raises(StoreUnavailable, match="is an older copy of the keys"):
        house.open()


def test_who_was_forgotten_is_not_brought_back_by_copies(tmp_path: Path) -> None:
    """Neither by an older copy of the store, which names nobody, nor by one of the keys."""
    house = House(f"sqlite:///{tmp_path}/store.db", f"sqlite:///{tmp_path}/keys.db")
    with house.governance() as governance:
        live(governance)
        name = governance.store.pseudonym(TARO)
    for file in ("store", "keys"):
        shutil.copy(tmp_path / f"{file}.db", tmp_path / f"{file}-copy.db")
    with house.governance() as governance:
        governance.forget(TARO)
    shutil.copy(tmp_path / "keys-copy.db", tmp_path / "keys.db")
    assert in_clear(house.keys or "") != []
    with house.governance() as governance:
        assert governance.preferences(TARO).erased
    assert in_clear(house.keys or "") == []
    assert recomputed(*filter(None, house)) == {"purposeguard_barred"}
    shutil.copy(tmp_path / "store-copy.db", tmp_path / "store.db")
    with house.governance() as governance:
        assert governance.preferences(TARO).erased
        with governance.store.reading() as connection:
            assert connection.execute(sa.select(declaration.c.pseudonym).distinct()).scalars().all() == [name]
    assert recomputed(house.url) == set()


def test_keys_are_moved_apart_when_asked_for(empty_url: str, apart_url: str) -> None:
    with Store.open(empty_url) as running, Governance(running, notice=NOTICE) as governance:
        governance.restrict(TARO)
        governance.restrict(HANAKO, kind="erasure")
        governance.forget(HANAKO)
        with pytest.raises(StoreUnavailable, match="purposeguard store upgrade STORE --keys URL"):
            Store.open(empty_url, keys=apart_url)
        upgrade_store(empty_url, keys=apart_url, contract=True)
        # Who goes on with the keys in the store misses them, and refuses.
        for person in (TARO, "7"):
            with pytest.raises(StoreUnavailable):
                governance.subjects.stands(person)
        with pytest.raises(StoreUnavailable):
            governance.restrict("7")
    with House(empty_url, apart_url).governance() as governance:
        assert governance.preferences(TARO).all_suspended
        assert governance.preferences(HANAKO).erased
        assert governance.preferences("7") is CLEAR
        assert list(governance.roster().groups.values()) == [(TARO,)]
    assert not {pseudonym.name, barred.name, vault.name} & everything(empty_url).keys()


def test_a_move_that_was_interrupted_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, keys = f"sqlite:///{tmp_path}/store.db", f"sqlite:///{tmp_path}/keys.db"
    with Store.open(store) as first:
        Subjects(first, tm.NOTICE).restrict(TARO)
    drop = sa.Table.drop
    monkeypatch.setattr(sa.Table, "drop", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        upgrade_store(store, keys=keys, contract=True)
    monkeypatch.setattr(sa.Table, "drop", drop)
    with Store.open(store) as again:  # nothing was moved
        Subjects(again, tm.NOTICE).restrict(HANAKO)
    upgrade_store(store, keys=keys, contract=True)
    with Store.open(store, keys=keys) as moved:
        subjects = Subjects(moved, tm.NOTICE)
        assert all(subjects.preferences(person).all_suspended for person in (TARO, HANAKO))


def test_the_retention_job_forgets_whose_last_data_it_erases(house: House) -> None:
    with house.governance() as governance:
        customers = Rows(dict.fromkeys((TARO, HANAKO, "7"), datetime.date.min))
        governance.eraser("1.1(a)", "1.1(c)", forgets=lambda key: key)(customers)
        live(governance)
        open_still = governance.requests.open("disclosure", subject=HANAKO)
        outcome = governance.retention.run(batch=2, max_share=1)
        assert (outcome.parts[0].done, outcome.parts[0].left) == (2, True)
        assert list(customers.rows) == [HANAKO]  # her data is still to be disclosed
        assert governance.preferences(TARO).erased
        governance.requests.withdraw(open_still, by="clerk")
        assert governance.retention.run(batch=2, max_share=1).good
        assert governance.requests.get(open_still).subject is None
        with governance.store.reading() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(forgotten)).scalar_one() == 2
        assert isinstance(governance.ledger, SqlLedger)
        governance.ledger.verify()
    assert not any(in_clear(url) for url in filter(None, house))


def test_a_run_that_ended_before_it_forgot_is_resumed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with house.governance() as governance:
        customers = Rows({TARO: datetime.date.min})
        governance.eraser("1.1(a)", "1.1(c)", forgets=lambda key: key)(customers)
        live(governance)
        forget = forgetting.forget_subjects

        def killed(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(forgetting, "forget_subjects", killed)
        with pytest.raises(KeyboardInterrupt):
            governance.retention.run(max_share=1)
        assert not customers.rows
        monkeypatch.setattr(forgetting, "forget_subjects", forget)
        assert governance.retention.run(max_share=1).good
    assert not any(in_clear(url) for url in filter(None, house))


FORMER = b"k" * 32


def of_before(url: str, *, given: tuple[str, ...] = ()) -> None:
    """A store as the version before left it: ids in clear, their secret beside them."""
    from alembic.script import ScriptDirectory

    from purposeguard.governance.store import run_migrations

    def digest(subject: str) -> str:
        return hashlib.blake2b(subject.encode(), key=FORMER, digest_size=16).hexdigest()

    engine = sa.create_engine(make_url(url))
    scripts = ScriptDirectory.from_config(make_alembic_config())
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    with engine.begin() as connection:
        run_migrations(connection, scripts, "0002_ledger_counts")
        tables = sa.MetaData()
        tables.reflect(connection)

        def add(table: str, **values: Any) -> None:
            connection.execute(sa.insert(tables.tables[f"purposeguard_{table}"]).values(**values))

        add("store", id=1, secret=FORMER, made=now)
        asked = {"asked_by": "subject", "asked_at": now, "recorded_at": now, "revision": now.date()}
        add("declaration", subject=TARO, kind="suspension-of-use", **asked)
        add("change", seq=1, subject=TARO)
        connection.execute(sa.text("UPDATE purposeguard_counter SET seq = 1"))
        flags = {"extended": False, "suspending": False, "state": "refused", "received_at": now}
        told = {"kind": "disclosure", "effect": "discloses", "requester": "subject", "revision": now.date()}
        add("request", subject=HANAKO, **told, **flags)
        add("request", subject=None, **told, **flags)
        facts = {"clauses": [], "sources": [], "kind": "k", "country": "JP", "recipient": "r", "means": "m"}
        add("provision", at=now, revision=now.date(), subjects=len(given), **facts)
        for subject in given:
            add("provided_subject", subject=digest(subject), provision=1)
    engine.dispose()


@pytest.mark.parametrize("given", [(TARO,), (TARO, "7")])
def test_a_store_from_before_keeps_what_it_has(empty_url: str, apart_url: str, given: tuple[str, ...]) -> None:
    of_before(empty_url, given=given)
    assert upgrade_store(empty_url, keys=apart_url, contract=True)[0] == "0002_ledger_counts"
    with House(empty_url, apart_url).governance() as governance:
        store = governance.store
        assert governance.preferences(TARO).all_suspended
        assert store.pseudonym(TARO) == hashlib.blake2b(TARO.encode(), key=FORMER, digest_size=16).hexdigest()
        assert [asked.subject for asked in governance.requests.overview().pending] == []
        assert [governance.requests.get(number).subject for number in (1, 2)] == [HANAKO, None]
        for person in given:  # also of whom nothing else is known
            assert len(governance.provisions.of(person)) == 1
        assert governance.provisions.of("8") == ()
        governance.restrict("7")
        assert len(governance.provisions.of("7")) == ("7" in given)
        governance.forget(TARO)
        with store.reading() as connection:
            assert connection.execute(sa.select(identity.c.mark)).scalar_one()
            assert changes.changes_since(connection, 0).subjects is None  # everybody reads all again
    assert in_clear(empty_url) == in_clear(apart_url) == []
    # Where hand-overs were of people who are known by nothing else, their secret stays, among the keys.
    assert (FORMER in {row[3] for row in everything(apart_url)["purposeguard_keys"]}) == ("7" in given)
    assert recomputed(empty_url) == set()
    if "7" not in given:
        assert recomputed(empty_url, apart_url) == {"purposeguard_barred"}
