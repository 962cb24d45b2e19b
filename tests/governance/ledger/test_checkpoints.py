"""Checkpoints kept elsewhere: whoever may change all of the database is found out, applications stopped or running."""

from __future__ import annotations

import datetime
import json
import logging
import shutil
import stat
import time as clock_time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.governance.governance import Governance
from purposeguard.governance.ledger import Checkpoint, Checkpoints, SqlLedger
from purposeguard.governance.ledger import checkpoints as module
from purposeguard.governance.ledger.chain import Entry
from purposeguard.governance.ledger.checkpoints import (
    DatabaseSink,
    load_public_key,
    make_keys,
    read_last_in_file,
    verify_from,
)
from purposeguard.governance.ledger.exports import export_lines
from purposeguard.governance.ledger.opening import opened
from purposeguard.governance.ledger.sql import SqlLedgerSnapshot
from purposeguard.governance.ledger.tables import counts, head, ledger
from purposeguard.governance.pseudonyms import forgotten, pseudonym
from purposeguard.governance.reconciling import reconcile
from purposeguard.governance.request_records import request, step
from purposeguard.governance.restrictions import declaration, revocation
from purposeguard.governance.store import Store
from purposeguard.governance.transfers import provided_subject, provision
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.disclosures import NOTICE
from tests.governance.ledger.places import NEVER, PROVISION, Place, R, denial, rewrite_chain, row_values
from tests.governance.support import Time
from tests.unit.command_line import run


class House:
    """A store in which something of everything was done; its checkpoints; and somebody who may change all of it."""

    def __init__(self, url: str, folder: Path, pair: Path) -> None:
        self.url, self.file, self.pair = url, folder / "checkpoints.jsonl", pair
        self.store = Store.open(url)
        self.ledger = SqlLedger(self.store, interval=NEVER, checkpoints=Checkpoints(self.file, pair))

    def fill(self) -> House:
        """Does something of everything, and makes a checkpoint."""
        with Governance(self.store, notice=NOTICE, ledger=self.ledger) as governance:
            first = governance.restrict("taro", tm.RenewalGuidance)
            governance.restrict("hanako", reference="by telephone")
            governance.lift(first)
            governance.restrict("jiro", kind="erasure")
            for person in ("taro", "hanako"):
                governance.consent(person, tm.ResearchNotice)
            governance.withdraw("hanako", tm.ResearchNotice)
            asked = governance.requests.open("disclosure", subject="taro")
            governance.requests.verify(asked, how="by mail", by="clerk")
            governance.provisions.record(PROVISION)
        for number in range(12):
            self.ledger.denied(denial(activity=f"{number // 4}"), observed=False)
        self.count(5)
        self.ledger.checkpoint()
        return self

    @property
    def made(self) -> Checkpoint:
        """The last checkpoint."""
        return read_last_in_file(self.file)

    def count(self, uses: int) -> None:
        self.ledger._counters.add("it", "1.2(1)①", R, uses)
        self.ledger._counters.add("other", "1.2(1)①", R, uses)
        self.ledger.flush()

    def go_on(self) -> None:
        """The application does more, behind what was changed."""
        with SqlLedger(self.store, interval=NEVER) as another:
            another.denied(denial(activity="later"), observed=False)
            another._counters.add("later", "1.2(1)①", R, 1)

    def go_on_and_close(self) -> None:
        """As it is when the hour is over."""
        with SqlLedger(self.store, interval=NEVER) as another:
            another._counters.add("later", "1.2(1)①", R, 1)
            another.flush()

    def change(self, *statements: sa.Executable) -> None:
        with self.store.writing() as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        with self.store.reading() as connection:
            return [dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()]

    def rewrite(self, change: Callable[[list[dict[str, Any]]], object]) -> None:
        rewrite_chain(self.store, change)

    def found(self, *, stopped: bool = False) -> list[str]:
        """What was found, by all that there is to find it; `stopped`: the last checkpoint is known to be the end."""
        faults: list[str] = []
        with self.store.reading() as connection:
            reading = SqlLedgerSnapshot(connection)
            key = load_public_key(self.pair.with_name("ledger.key.pub"))
            for check in (
                lambda: verify_from(reading, read_last_in_file(self.file), key=key, stopped=stopped),
                reading.verify,
                lambda: faults.extend(place for place, _ in reconcile(reading, connection)),
            ):
                try:
                    check()
                except LedgerBroken as error:
                    faults.append(error.place)
        return faults


@pytest.fixture(scope="module")
def template(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, pair: Path) -> Path:
    """A folder with a store on SQLite, filled once, and its checkpoint."""
    folder = tmp_path_factory.mktemp("template")
    shutil.copy(_sqlite_template, folder / "store.db")
    made = House(f"sqlite:///{folder}/store.db", folder, pair).fill()
    made.ledger._counters._beside = None
    made.store.close()
    return folder


@pytest.fixture
def house(store_url: str, dialect: str, request: pytest.FixtureRequest, tmp_path: Path, pair: Path) -> Iterator[House]:
    if dialect == "sqlite":
        for path in request.getfixturevalue("template").iterdir():
            shutil.copy(path, tmp_path)
    made = House(store_url, tmp_path, pair)
    if dialect != "sqlite":
        made.fill()
    yield made
    made.ledger._counters._beside = None  # what was changed is not to be found again at the end
    made.ledger.close()
    made.store.close()


def last(house: House) -> int:
    return int(house.rows(head)[0]["seq"])


def nth(number: int) -> Any:
    return ledger.c.seq == number


def end_at(number: int) -> Callable[[House], None]:
    """Cuts the end off; the head is that of what is left."""
    return lambda house: house.rewrite(lambda entries: entries.__delitem__(slice(number, None)))


def edited(number: int, **facts: Any) -> Callable[[House], None]:
    """Changes an entry, and all hashes with it."""

    def edit(entries: list[dict[str, Any]]) -> None:
        body = json.loads(entries[number]["body"]) | facts.get("body", {})
        entries[number] |= {**facts, "body": json.dumps(body)}

    return lambda house: house.rewrite(edit)


def moved(one: int, other: int) -> Callable[[House], None]:
    def swap(entries: list[dict[str, Any]]) -> None:
        entries[one], entries[other] = entries[other], entries[one]

    return lambda house: house.rewrite(swap)


def changed(*statements: sa.Executable) -> Callable[[House], None]:
    return lambda house: house.change(*statements)


def duplicated(table: sa.Table, **facts: Any) -> Callable[[House], None]:
    """Inserts a row like the first one."""
    return lambda house: house.change(sa.insert(table).values(house.rows(table)[0] | facts))


def older(house: House) -> None:
    """Puts back an older copy of all tables that the last steps have changed."""
    house.rewrite(lambda entries: entries.__delitem__(slice(3, None)))
    house.change(
        sa.delete(counts), sa.delete(step), sa.delete(request), sa.delete(provided_subject), sa.delete(provision)
    )


def rebuilt(house: House) -> None:
    """Empties the ledger, and does it all again."""
    house.rewrite(lambda entries: entries.clear())
    with SqlLedger(house.store, interval=NEVER) as another:
        for _ in range(40):
            another.append("sweep", {})


def with_other(before: str, after: str) -> Callable[[House], None]:
    """Counts of something else."""
    return changed(sa.update(counts).values(body=sa.func.replace(counts.c.body, before, after)))


def restriction(number: int, **facts: Any) -> Callable[[House], None]:
    """Changes a restriction."""
    return changed(sa.update(declaration).where(declaration.c.id == number).values(facts))


def without_clerks(entries: list[dict[str, Any]]) -> None:
    """Makes the entries those of a version that named no clerks."""
    for row in entries:
        body = json.loads(row["body"])
        body.pop("by", None)
        row["body"] = json.dumps(body)


LOWER = sa.update(counts).values(count=1)
WAYS: dict[str, Callable[[House], None]] = {
    "ledger emptied": lambda house: house.rewrite(lambda entries: entries.clear()),
    "ledger emptied, head left": changed(sa.delete(ledger)),
    "head gone": changed(sa.delete(head)),
    "head earlier": changed(sa.update(head).values(seq=3)),
    "head of another hash": changed(sa.update(head).values(hash="f" * 64)),
    "end cut off": end_at(-1),
    "half cut off": end_at(8),
    "all but one cut off": end_at(1),
    "rebuilt, longer than before": rebuilt,
    "older copy": older,
    "first cut off": lambda house: house.rewrite(lambda entries: entries.__delitem__(0)),
    "one in between taken out": lambda house: house.rewrite(lambda entries: entries.__delitem__(5)),
    "one taken out, hashes left": changed(sa.delete(ledger).where(nth(5))),
    "one put in": lambda house: house.rewrite(lambda entries: entries.insert(4, entries[5])),
    "two swapped": moved(2, 7),
    "the last two swapped": moved(-2, -1),
    "a body edited, hashes anew": edited(4, body={"asked_by": "agent"}),
    "a body edited, hash left": changed(sa.update(ledger).where(nth(2)).values(body="{}")),
    "a time edited, hashes anew": edited(1, at="2020-01-01T00:00:00.000000Z"),
    "a time edited, hash left": changed(sa.update(ledger).where(nth(1)).values(at="2020-01-01T00:00:00.000000Z")),
    "a kind edited, hashes anew": edited(-1, kind="sweep"),
    "a kind edited, hash left": changed(sa.update(ledger).where(nth(3)).values(kind="sweep")),
    "a denial whitewashed": edited(-1, body={"observed": True}),
    "a hash edited": changed(sa.update(ledger).where(nth(4)).values(hash="0" * 64)),
    "a predecessor edited": changed(sa.update(ledger).where(nth(4)).values(prev="0" * 64)),
    "counts lowered": changed(LOWER.where(counts.c.kind == "use")),
    "counts raised": changed(sa.update(counts).values(count=1000)),
    "counts gone": changed(sa.delete(counts)),
    "counts of uses gone": changed(sa.delete(counts).where(counts.c.kind == "use")),
    "repeated denials gone": changed(sa.delete(counts).where(counts.c.kind == "denial")),
    "repeated denials lowered": changed(LOWER.where(counts.c.kind == "denial")),
    "counts moved to another activity": with_other('"it"', '"no"'),
    "counts moved to another purpose": with_other("①", "②"),
    "counts moved to another hour": changed(sa.update(counts).values(hour="2020-01-01T00:00Z")),
    "a count put in": duplicated(counts, key="0" * 64),
    "a restriction deleted": changed(sa.delete(declaration).where(declaration.c.id == 2)),
    "all restrictions deleted": changed(sa.delete(revocation), sa.delete(declaration)),
    "a restriction put in": duplicated(declaration, id=99, pseudonym="saburo"),
    "a restriction for somebody else": restriction(2, pseudonym="shiro"),
    "a restriction for another purpose": restriction(2, purposes=["1.2(1)②"]),
    "a restriction that ends": restriction(2, until=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)),
    "an erasure made a suspension": restriction(3, kind="suspension-of-use"),
    "a restriction made a consent": restriction(2, kind="consent"),
    "a restriction lifted": duplicated(revocation, declaration=2),
    "a lifted restriction restored": changed(sa.delete(revocation).where(revocation.c.declaration == 1)),
    "a consent put in": duplicated(declaration, id=98, pseudonym="jiro", kind="consent", purposes=["1.2(2)④"]),
    "a consent back in force": changed(sa.delete(revocation)),
    "a restriction for somebody else, by their key": changed(
        sa.update(pseudonym).where(pseudonym.c.subject == "jiro").values(subject="shiro")
    ),
    "all keys gone": changed(sa.delete(pseudonym)),
    "somebody forgotten": changed(sa.insert(forgotten).values(seq=1, pseudonym="0" * 32, bar=False)),
    "a request deleted": changed(sa.delete(step), sa.delete(request)),
    "a request closed": changed(sa.update(request).values(state="refused")),
    "a request of somebody else": changed(sa.update(request).values(pseudonym="shiro")),
    "a due day put off": changed(sa.update(request).values(due_on=datetime.date(2030, 1, 1))),
    "a step taken out": changed(sa.delete(step).where(step.c.number == 2)),
    "another clerk in a step": changed(sa.update(step).where(step.c.number == 2).values(by="another")),
    "no clerk in a step": changed(sa.update(step).where(step.c.number == 2).values(by=None)),
    "another clerk in the ledger, hashes anew": lambda house: house.rewrite(
        lambda entries: [row.update(body=row["body"].replace('"by":"clerk"', '"by":"another"')) for row in entries]
    ),
    "no clerk in the ledger, hashes anew": lambda house: house.rewrite(without_clerks),
    "a step made another": changed(sa.update(step).where(step.c.number == 2).values(did="refused")),
    "a request put in": duplicated(request, id=99),
    "a provision deleted": changed(sa.delete(provided_subject), sa.delete(provision)),
    "a provision to another": changed(sa.update(provision).values(recipient="somebody")),
    "a provision of other sources": changed(sa.update(provision).values(sources=["1.1(c)"])),
    "a subject of a provision taken out": changed(
        sa.delete(provided_subject).where(
            provided_subject.c.pseudonym == sa.select(sa.func.min(provided_subject.c.pseudonym)).scalar_subquery()
        )
    ),
    "a provision put in": duplicated(provision, id=99),
}


def test_there_are_fifty_ways_and_nothing_is_found_where_nothing_was_done(house: House) -> None:
    assert len(WAYS) >= 50
    assert house.found() == []
    house.go_on()
    house.count(1)
    with Governance(house.store, notice=NOTICE, ledger=house.ledger) as governance:
        governance.lift(governance.restrict("goro"))
    assert house.found() == []
    house.ledger.checkpoint()
    assert house.found() == []


def test_a_chain_of_a_version_that_named_no_clerks_verifies_and_goes_on(house: House) -> None:
    house.rewrite(without_clerks)
    house.file.unlink()
    with SqlLedger(house.store, interval=NEVER, checkpoints=Checkpoints(house.file, house.pair)) as anew:
        anew.checkpoint()
        with Governance(house.store, notice=NOTICE, ledger=anew) as governance:
            governance.requests.refuse(1, reason="none", by="clerk 2")
        assert [entry.body.get("by") for entry in anew.entries({"request"})] == [None, None, "clerk 2"]
    assert house.found() == []
    house.change(sa.update(step).where(step.c.number == 3).values(by="clerk 3"))
    assert house.found() == ["request 1, step 3"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_each_way_of_tampering_is_found_while_applications_are_stopped(house: House, way: str) -> None:
    assert house.found(stopped=True) == []
    WAYS[way](house)
    assert house.found(stopped=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_each_way_of_tampering_is_found_while_an_application_goes_on(house: House, way: str) -> None:
    def act() -> None:
        for number in range(8):
            house.ledger.denied(denial(activity=f"more {number // 4}"), observed=False)
        house.count(3)

    act()
    house.ledger.checkpoint()
    WAYS[way](house)
    try:
        act()
        house.ledger.checkpoint()
    except LedgerBroken:
        return
    assert house.found(), "the application went on, and nothing is found"


def test_tampering_is_found_on_each_database(house: House) -> None:
    for way in ("counts lowered", "a restriction deleted", "a time edited, hashes anew", "half cut off"):
        WAYS[way](house)
        assert house.found(), way


def test_a_row_of_counts_that_was_changed_becomes_no_entry(house: House) -> None:
    WAYS["counts moved to another hour"](house)
    with pytest.raises(LedgerBroken, match="a count of an hour that is not over is none as one is written"):
        house.go_on_and_close()


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_no_checkpoint_is_made_of_a_ledger_that_was_changed(house: House, caplog: pytest.LogCaptureFixture) -> None:
    lines = house.file.read_text("utf-8")
    house.change(LOWER.where(counts.c.kind == "use"))
    house.ledger.checkpoint()  # it was started anew, and knows of none
    house.file.write_text(lines, "utf-8")
    house.count(5)
    house.ledger.checkpoint()
    lines = house.file.read_text("utf-8")
    house.change(LOWER.where(counts.c.kind == "use"))
    with pytest.raises(LedgerBroken, match="fewer were counted than the checkpoint says"):
        house.ledger.checkpoint()
    for _ in range(2):
        house.ledger._counters._do_beside(last=True)
    fault = f"counts: fewer were counted than the checkpoint says (use {hour(house)})"
    assert caplog.messages == [f"no checkpoint of the ledger can be made: {fault}"]
    assert house.file.read_text("utf-8") == lines


def test_counts_that_stand_longer_than_their_hour_are_no_tampering(place: Place, time: Time) -> None:
    counting = place.open(clock=time, checkpoints=Checkpoints(lambda _: None))
    counting._counters.add("mail", "1.2(1)①", R, 5)
    counting.flush()
    time.passes(hours=3)  # Nothing is counted meanwhile, so no entry is made of the counts.
    for _ in range(3):
        assert len(counting.checkpoint().open) == 1
    place.change(sa.update(counts).values(count=6))
    with pytest.raises(LedgerBroken, match="more was counted in"):
        counting.checkpoint()
    place.change(sa.update(counts).values(count=5))


def hour(house: House) -> str:
    return str(house.rows(counts)[0]["hour"])


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_checkpoint_is_a_line_in_a_file_of_its_owner(house: House) -> None:
    assert stat.S_IMODE(house.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(house.pair.stat().st_mode) == 0o600
    (line,) = house.file.read_text("utf-8").splitlines()
    assert Checkpoint.of(line) == house.made == read_last_in_file(house.file)
    data = json.loads(line)
    assert list(data) == sorted(data)
    assert data["open"] == {f"denial {hour(house)}": 9, f"use {hour(house)}": 10}
    assert "taro" not in line


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_checkpoint_that_was_changed_is_none(house: House, tmp_path: Path) -> None:
    line = house.file.read_text("utf-8")
    key = load_public_key(house.pair.with_name("ledger.key.pub"))
    other = tmp_path / "other.key"
    make_keys(other)
    with pytest.raises(LedgerBroken, match="not that of this checkpoint"):
        house.made.check(load_public_key(tmp_path / "other.key.pub"))
    signature = f'"{house.made.signature}"'
    changes = [('"seq":', '"seq":1'), (house.made.hash, "0" * 64), ('"open":{', '"open":{"use 2020-01-01T00:00Z":1,')]
    changes += [(signature, '""'), (signature, "null"), (signature, "7"), (":", ": ")]
    changed_lines = [line.replace(*change) for change in changes]
    for changed_line in (*changed_lines, "{}\n", "[]\n", "no checkpoint\n", ""):
        house.file.write_text(changed_line, "utf-8")
        with pytest.raises(LedgerBroken) as found:
            read_last_in_file(house.file).check(key)
        assert found.value.place == "checkpoint"
    house.file.write_text(line + line[:40], "utf-8")  # a process was killed while it wrote
    assert read_last_in_file(house.file) == house.made


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_sink_is_a_file_a_database_or_a_function(store: Store, tmp_path: Path) -> None:
    lines: list[str] = []
    sent: list[bytes] = []

    def answer(got: httpx.Request) -> httpx.Response:
        sent.append(got.content)
        return httpx.Response(204 if len(sent) == 1 else 500)

    database = f"sqlite:///{tmp_path}/elsewhere.db"
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        hook = module.webhook(client, "https://a.test")
        sinks: tuple[Any, ...] = (lines.append, database, tmp_path / "file", str(tmp_path / "file"), hook)
        ledgers = [SqlLedger(store, interval=NEVER, checkpoints=Checkpoints(sink)) for sink in sinks]
        made = [ledger.checkpoint() for ledger in ledgers]
        assert {checkpoint.signature for checkpoint in made} == {None}
        with pytest.raises(httpx.HTTPStatusError):
            ledgers[-1].checkpoint()
    assert lines[0].encode() == sent[0].replace(json.loads(sent[0])["at"].encode(), json.loads(lines[0])["at"].encode())
    assert DatabaseSink(database).last().seq == 0
    assert len((tmp_path / "file").read_text().splitlines()) == 2
    empty = DatabaseSink(f"sqlite:///{tmp_path}/empty.db")
    module.checkpoints.create(empty._engine)
    with pytest.raises(LedgerBroken, match="there is no checkpoint"):
        empty.last()
    with pytest.raises(StoreUnavailable, match="cannot be written to"):
        Checkpoints(tmp_path / "none" / "file").keep(made[0])
    with pytest.raises(ValueError, match="above zero: interval=0"):
        Checkpoints(lines.append, interval=0)
    with pytest.raises(ValueError, match="no `checkpoints`"):
        SqlLedger(store).checkpoint()


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_the_thread_that_counts_makes_them_and_close_the_last(store: Store) -> None:
    lines: list[str] = []
    ledger = SqlLedger(store, interval=0.01, checkpoints=Checkpoints(lines.append, interval=0.05))
    ledger.append("sweep", {})
    end = clock_time.monotonic() + 30
    while len(lines) < 3 and clock_time.monotonic() < end:
        clock_time.sleep(0.01)
    assert len(lines) >= 3
    before = len(lines)
    ledger.append("sweep", {})
    ledger.close()
    assert len(lines) > before
    assert json.loads(lines[-1])["seq"] == 2


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_sink_that_fails_is_reported_once_and_refuses_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: str) -> None:
        raise OSError("taro@example.com")

    ledger = SqlLedger(store, interval=0.01, checkpoints=Checkpoints(fail, interval=0.01))
    with caplog.at_level(logging.WARNING, "purposeguard"):
        ledger.append("sweep", {})
        end = clock_time.monotonic() + 30
        while not caplog.messages and clock_time.monotonic() < end:
            clock_time.sleep(0.01)
        ledger.append("sweep", {})
        ledger.close()
    assert caplog.messages == ["no checkpoint of the ledger can be made: OSError"]
    assert ledger.verify().entries == 2


def test_an_export_is_verified_from_a_checkpoint(house: House, tmp_path: Path) -> None:
    house.go_on()
    path = tmp_path / "export.jsonl"
    with house.ledger.reading() as reading:
        path.write_bytes(b"".join(export_lines(reading)))
    with opened(path) as found:
        verdict = verify_from(found, house.made, key=None)
        assert (verdict.entries, verdict.new) == (last(house), last(house) - house.made.seq)


def test_commands_make_keys_and_checkpoints_and_verify_by_them(house: House, tmp_path: Path) -> None:
    key, file = tmp_path / "new.key", tmp_path / "by-hand.jsonl"
    assert run("ledger", "key", key).stdout.split() == [str(key), "signs,", f"{key}.pub", "verifies"]
    again = run("ledger", "key", key)
    assert (again.exit_code, "File exists" in again.stderr) == (2, True)
    made = run("ledger", "checkpoint", house.url, "--key", key, "-o", file)
    assert (made.exit_code, made.stdout) == (0, ""), made.output
    printed = run("ledger", "checkpoint", house.url)
    assert json.loads(printed.stdout)["signature"] is None
    with pytest.raises(LedgerBroken, match="is not signed"):
        Checkpoint.of(printed.stdout.strip()).check(load_public_key(tmp_path / "new.key.pub"))
    number = last(house)
    house.go_on()
    done = run("ledger", "verify", house.url, "--from", file, "--key", f"{key}.pub")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, f"intact: {last(house)} entries, 2 of them read"), (
        done.output
    )
    wrong = run("ledger", "verify", house.url, "--from", file, "--key", f"{house.pair}.pub")
    assert (wrong.exit_code, wrong.stdout[:20]) == (1, "broken: checkpoint: ")
    hash_ = house.rows(ledger)[number - 1]["hash"]
    done = run("ledger", "verify", house.url, "--expect", f"{number}:{hash_}")
    assert done.stdout.splitlines()[0] == f"intact: {last(house)} entries, 2 of them read"
    for expect, code in ((f"{number}:{'0' * 64}", 1), (f"{number + 9}:{hash_}", 1), (f"x:{hash_}", 2)):
        assert run("ledger", "verify", house.url, "--expect", expect).exit_code == code
    for arguments, message in (
        (("verify", house.url, "--from", file, "--key", key), "holds no public key"),
        (("verify", house.url, "--from", file, "--key", tmp_path / "none"), "cannot be read"),
        (("verify", house.url, "--stopped"), "name them with `--from`"),
        (("verify", house.url, "--key", f"{key}.pub"), "nothing was archived, so nothing is signed"),
        (("verify", house.url, "--from", tmp_path / "none"), "cannot be read"),
        (("verify", house.url, "--from", "mysql://a/b"), "a store's URL is"),
        (("checkpoint", house.url, "--key", f"{key}.pub"), "holds no private key"),
        (("checkpoint", house.url, "-o", "mysql://a/b"), "a store's URL is"),
    ):
        done = run("ledger", *arguments, columns=300)
        assert (done.exit_code, message in done.stderr) == (2, True), done.output


def test_reconcile_names_the_rows_that_differ(house: House, tmp_path: Path) -> None:
    done = run("ledger", "reconcile", house.url)
    assert (done.exit_code, done.stdout.split()[0]) == (0, "intact:")
    house.change(
        sa.delete(declaration).where(declaration.c.id == 3),
        sa.update(declaration).where(declaration.c.id == 2).values(asked_by="agent"),
    )
    duplicated(declaration, id=99)(house)
    done = run("ledger", "reconcile", house.url, columns=200)
    assert done.exit_code == 1
    assert sorted(line.strip() for line in done.stdout.splitlines()) == [
        "broken: 3 differences",
        "restriction 2: the row says something else than the ledger",
        "restriction 3: the ledger says so, and the row is gone",
        "restriction 99: the row is there, and the ledger says nothing of it",
    ]
    data = json.loads(run("ledger", "reconcile", house.url, "--format", "json").stdout)
    assert len(data["differences"]) == 3
    path = tmp_path / "export.jsonl"
    run("ledger", "export", house.url, "-o", path)
    for command in ("reconcile", "checkpoint"):
        done = run("ledger", command, path, columns=200)
        assert (done.exit_code, "is an export: name the store" in done.stderr) == (2, True)


@pytest.mark.deep
def test_a_million_entries_are_verified_from_the_last_checkpoint_in_a_second(store: Store) -> None:
    made = SqlLedger(store, interval=NEVER, checkpoints=Checkpoints(lambda _: None))
    rows, entry = [], Entry(0, "", "", {}, "", "0" * 64)
    for number in range(1_000_000):
        entry = Entry.after(entry.seq, entry.hash, "2026-05-02T09:15:00.000000Z", "sweep", {"number": number})
        rows.append(row_values(entry))
        if len(rows) == 10_000:
            with store.writing() as connection:
                connection.execute(sa.insert(ledger), rows)
            rows.clear()
    with store.writing() as connection:
        connection.execute(sa.update(head).values(seq=entry.seq, hash=entry.hash))
    checkpoint = made.checkpoint()
    for number in range(100):
        made.append("sweep", {"number": number})
    begun = clock_time.perf_counter()
    with made.reading() as reading:
        verdict = verify_from(reading, checkpoint, key=None)
    took = clock_time.perf_counter() - begun
    assert (verdict.entries, verdict.new) == (1_000_100, 100)
    assert took < 1, took
