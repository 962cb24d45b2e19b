"""Old entries are moved to a file: nothing is lost on the way, and who says so falsely is found."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import datetime
import errno
import functools
import gzip
import json
import os
import shutil
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import sqlalchemy as sa

from purposeguard.errors import LedgerBroken
from purposeguard.governance.governance import Governance
from purposeguard.governance.ledger import ArchivedRange, Checkpoints, Hour, archive, archiving
from purposeguard.governance.ledger.chain import ARCHIVE, Entry, format_moment, to_canonical_json
from purposeguard.governance.ledger.checkpoints import (
    build_archive_data,
    load_private_key,
    load_public_key,
    make_keys,
    make_signature,
    read_last_in_file,
    verify_archiving,
    verify_from,
)
from purposeguard.governance.ledger.exports import export_lines
from purposeguard.governance.ledger.opening import joined, opened
from purposeguard.governance.ledger.tables import head, ledger
from purposeguard.governance.ledger.writing import chain_entries
from purposeguard.governance.reconciling import reconcile
from purposeguard.governance.store import Store
from tests.governance.conftest import Databases
from tests.governance.disclosures import NOTICE
from tests.governance.ledger.places import C, Place, rewrite_chain, row_values, tell
from tests.governance.ledger.test_tampering import broken
from tests.governance.support import START, Time
from tests.support import ON_POSTGRESQL
from tests.unit.command_line import run

KEYS = {"use": ("activity", "purpose", "sources"), "denial": ("reason",)}
LATER = START + datetime.timedelta(hours=4)
"""A time between the entries: half are older."""


@pytest.fixture(scope="module")
def template(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled store on SQLite."""
    path = Path(shutil.copy(_sqlite_template, tmp_path_factory.mktemp("filled") / "store.db"))
    with Place(f"sqlite:///{path}") as place:
        fill(place)
    return path


@pytest.fixture
def filled(dialect: str, place: Place, request: pytest.FixtureRequest) -> Place:
    """A bit of everything, over eight hours."""
    if dialect == "sqlite":
        shutil.copy(request.getfixturevalue("template"), place.target.removeprefix("sqlite:///"))
    else:
        fill(place)
    return place


def fill(place: Place, hours: int = 8) -> None:
    time = Time()
    made = place.open(clock=time)
    for _ in range(hours):
        tell(made, 3, time)
        time.passes(minutes=39)
    made.close()


def rows(place: Place) -> list[int]:
    with place.store.reading() as connection:
        return list(connection.scalars(sa.select(ledger.c.seq).order_by(ledger.c.seq)))


def everything(*targets: object) -> tuple[list[Entry], collections.Counter[Hour], set[Any]]:
    """What is read of a ledger: each entry that is no archive's, uses by the hour, totals."""
    with joined([str(target) for target in targets]) as reading:
        reading.verify()
        entries = [entry for entry in reading.entries() if entry.kind != ARCHIVE]
        return entries, reading.uses(), set(reading.totals(KEYS))


@pytest.mark.parametrize("name", ["old.jsonl", "old.jsonl.gz"])
def test_old_entries_are_moved_to_a_file_and_read_with_the_rest(filled: Place, tmp_path: Path, name: str) -> None:
    before = everything(filled.target)
    count = len(before[0])
    first, second = tmp_path / name, tmp_path / f"more-{name}"
    half = sum(entry.at < format_moment(LATER) for entry in before[0])
    assert archive(filled.store, first, LATER) == ArchivedRange(1, half, half)
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert (first.read_bytes()[:2] == b"\x1f\x8b") is name.endswith(".gz")
    assert rows(filled) == list(range(half + 1, count + 2))  # the last says so
    assert everything(first, filled.target) == everything(filled.target, first) == before
    with opened(first) as reading:
        assert (reading.verify().entries, reading.head.open) == (half, {})
    later = LATER + datetime.timedelta(hours=2)
    more = sum(entry.at < format_moment(later) for entry in before[0])
    assert archive(filled.store, second, later) == ArchivedRange(half + 1, more, more - half)
    assert everything(first, second, filled.target) == everything(second, filled.target, first) == before
    for targets, start in (((second, filled.target), half), ((second,), half), ((filled.target,), more)):
        with joined([str(target) for target in targets]) as reading:
            verdict = reading.verify()
            assert (verdict.archived, verdict.new) == (start, verdict.entries - start)
            assert [entry.seq for entry in reading.entries()] == list(range(start + 1, verdict.entries + 1))
    assert archive(filled.store, tmp_path / "none", later) is None
    assert sorted(path.name for path in tmp_path.glob("*old*")) == sorted([name, second.name])  # no draft is left


def test_what_is_left_is_added_up_and_exported_and_goes_on(filled: Place, tmp_path: Path) -> None:
    file, copy, again = (str(tmp_path / name) for name in ("old.jsonl", "copy.jsonl", "again.jsonl"))
    before = everything(filled.target)
    archive(filled.store, Path(file), LATER)
    left = everything(filled.target)
    assert left[0] == [entry for entry in before[0] if entry.at >= format_moment(LATER)]
    assert everything(file)[1] + left[1] == before[1]
    with filled.open().reading() as reading:
        Path(copy).write_bytes(b"".join(export_lines(reading)))
    assert everything(copy) == left
    assert everything(file, copy) == before
    with joined([copy, file]) as reading:
        Path(again).write_bytes(b"".join(export_lines(reading)))
    assert everything(again) == before
    lines = Path(copy).read_bytes().splitlines(keepends=True)
    Path(copy).write_bytes(b"".join(lines[1:]))
    with opened(copy) as reading:
        assert broken(reading.verify).place == "head"


def test_processes_that_run_go_on_behind_an_archive(filled: Place, tmp_path: Path, pair: Path) -> None:
    """Also one that has written nothing since its last entry was archived."""
    time = Time(START + datetime.timedelta(hours=8))
    checkpoints = Checkpoints(tmp_path / "checkpoints", pair)
    idle, busy = filled.open(clock=time), filled.open(clock=time, checkpoints=checkpoints)
    idle.append("sweep", {"who": "idle"})
    busy.append("sweep", {"who": "busy"})
    last = idle._seen[1] + 1
    time.passes(hours=2)
    busy.append("sweep", {"who": "busy"})
    busy.checkpoint()
    done = archive(filled.store, tmp_path / "old", time.now - datetime.timedelta(hours=1), key=load_private_key(pair))
    assert done is not None
    assert done.last == last > idle._seen[1]
    idle.append("sweep", {"who": "idle"})
    busy.append("sweep", {"who": "busy"})
    busy.checkpoint()
    with filled.store.writing() as connection:
        filled.open(clock=time).append_in(connection, "sweep", {"who": "new"})
    assert [entry.body.get("who") for entry in idle.entries()] == ["busy", None, "idle", "busy", "new"]
    with joined([str(tmp_path / "old"), filled.target]) as reading:
        last_checkpoint = read_last_in_file(tmp_path / "checkpoints")
        assert verify_from(reading, last_checkpoint, key=load_public_key(pub(pair))).new == 1


def pub(pair: Path) -> Path:
    return pair.with_name(f"{pair.name}.pub")


def test_uses_of_the_hour_are_counted_on(filled: Place, tmp_path: Path) -> None:
    time = Time(START + datetime.timedelta(hours=8))
    made = filled.open(clock=time)
    made._counters.add("it", "1.2(1)①", C, 5)
    made.flush()
    total = sum(made.uses().values())
    archive(filled.store, tmp_path / "old", LATER)
    made._counters.add("it", "1.2(1)①", C, 2)
    made.close()
    with joined([str(tmp_path / "old"), filled.target]) as reading:
        assert sum(reading.uses().values()) == total + 2


def test_wrong_clocks_neither_stop_an_archive_nor_widen_it(place: Place, tmp_path: Path) -> None:
    year = datetime.timedelta(days=365)
    for days in (0, 1, 9999, 2, 3, -700, 4):  # one ten years ahead; one long ago, among the new ones
        place.open(clock=Time(START + datetime.timedelta(days=days))).append("sweep", {"days": days})
    done = archive(
        place.store, tmp_path / "old", START + datetime.timedelta(days=2, hours=1), clock=lambda: START + year
    )
    assert done == ArchivedRange(1, 4, 4)
    assert rows(place) == [5, 6, 7, 8]
    with pytest.raises(ValueError, match="once they are an hour old"):
        archive(place.store, tmp_path / "new", START + year, clock=lambda: START + year)


def test_requests_and_restrictions_are_compared_with_archives_too(place: Place, tmp_path: Path, store_url: str) -> None:
    time = Time()
    with Governance(place.store, notice=NOTICE, clock=time) as governance:
        for person in ("taro", "hanako"):
            governance.restrict(person)
            asked = governance.requests.open("disclosure", subject=person, by="clerk 1")
            time.passes(days=1)
            governance.requests.verify(asked, how="by mail", by="clerk 2")
        # To be compared, the archive must be named.
        archive(place.store, tmp_path / "old", time.now - datetime.timedelta(hours=23))
        with opened(store_url) as reading, pytest.raises(ValueError, match="entries 1 to 5 were archived"):
            list(reconcile(reading, reading.connection))  # type: ignore[arg-type]
        assert run("ledger", "reconcile", store_url).exit_code == 2
        done = run("ledger", "reconcile", tmp_path / "old", store_url)
        assert (done.exit_code, done.stdout[:7]) == (0, "intact:"), done.output
        with place.store.writing() as connection:
            connection.exec_driver_sql("UPDATE purposeguard_declaration SET asked_by = 'agent' WHERE id = 1")
        done = run("ledger", "reconcile", tmp_path / "old", store_url)
        assert (done.exit_code, "restriction 1" in done.stdout) == (1, True), done.output


def killed_at(number: int, act: Callable[[], object]) -> bool:
    """Whether a process was killed before it reached so many lines of the module."""
    child = os.fork()
    if child == 0:
        left = [number]

        def line(_: FrameType, event: str, __: Any) -> Any:
            left[0] -= event == "line"
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return line

        def call(frame: FrameType, *_: Any) -> Any:
            return line if frame.f_code.co_filename == archiving.__file__ else None

        sys.settrace(call)
        try:
            act()
            os._exit(0)
        except BaseException:  # the child ends here
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def chain(*targets: object) -> list[Entry]:
    """The entries but those about archives, verified."""
    with joined([str(target) for target in targets]) as reading:
        return [entry for entry in reading.iter_verified() if entry.kind != ARCHIVE]


def broken_off(url: str, copied: Callable[[], Store], folder: Path, pair: Path, step: int) -> set[tuple[bool, int]]:
    """Kills it after each so many lines; what had been reached: whether there was a file, entries that were left."""
    before = chain(url)
    reached: set[tuple[bool, int]] = set()
    number, killed = 0, True
    while killed:
        store, file = copied(), folder / f"{number}.jsonl.gz"
        target = store.engine.url.render_as_string(hide_password=False)

        act = functools.partial(archive, store, file, LATER, key=load_private_key(pair))
        killed = killed_at(number, act)
        complete = file.exists()
        assert chain(*([file] if complete else []), target) == before
        with store.reading() as connection:
            reached.add((complete, connection.scalar(sa.select(sa.func.count()).select_from(ledger)) or 0))
        act()
        assert chain(file, target) == before
        with opened(target) as reading:
            verify_archiving(reading, load_public_key(pub(pair)))
            assert reading.verify().archived == reading.boundary.seq  # type: ignore[union-attr]
            assert sum(entry.kind == ARCHIVE for entry in reading.entries()) == 1
        number += step
    return reached


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.deep)])
@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_what_is_killed_at_any_line_loses_nothing_and_is_ended_by_the_next_call(
    filled: Place, tmp_path: Path, pair: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(archiving, "DELETION_BATCH", 4)
    file = tmp_path / "copy.db"
    shutil.copy(filled.target.removeprefix("sqlite:///"), file)
    with Store.open(f"sqlite:///{file}") as store:

        def copied() -> Store:
            store.engine.dispose()
            for ending in ("-wal", "-shm"):
                Path(f"{file}{ending}").unlink(missing_ok=True)
            shutil.copy(filled.target.removeprefix("sqlite:///"), file)
            return store

        reached = broken_off(filled.target, copied, tmp_path, pair, step)
    assert {complete for complete, _ in reached} == {False, True}
    assert len(reached) > 3  # also between two transactions that delete


@pytest.mark.parametrize("dialect", [ON_POSTGRESQL], indirect=True)
def test_on_a_server_too(
    filled: Place, postgresql: Databases, tmp_path: Path, pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "DELETION_BATCH", 4)
    filled.store.close()
    template = str(filled.store.engine.url.database)
    made: list[Store] = []

    def copied() -> Store:
        made.append(Store.open(postgresql.url(postgresql.create(template))))
        return made[-1]

    try:
        reached = broken_off(filled.target, copied, tmp_path, pair, 20)
    finally:
        for store in made:
            store.close()
            postgresql.drop(str(store.engine.url.database))
    assert len(reached) > 3


def test_two_who_archive_at_once_lose_nothing(filled: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "DELETION_BATCH", 2)
    before = chain(filled.target)
    barrier = threading.Barrier(2)
    read_back = archiving._read_back

    def together(path: Path) -> Any:
        kept = read_back(path)
        barrier.wait(30)
        return kept

    monkeypatch.setattr(archiving, "_read_back", together)

    def act(number: int) -> None:
        with contextlib.suppress(ValueError):  # the other one has archived all of it, and more
            archive(filled.store, tmp_path / str(number), LATER + datetime.timedelta(hours=2 * number))

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        list(threads.map(act, range(2)))
    assert chain(tmp_path / "0", tmp_path / "1", filled.target) == before
    assert chain(tmp_path / "1", filled.target) == before
    assert chain(filled.target) == before[opened_end(tmp_path / "1") :]


def opened_end(path: Path) -> int:
    """The number of the last entry in a file."""
    with opened(path) as reading:
        return reading.head.seq


def test_a_full_disk_leaves_all_as_it_was(filled: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    count = len(rows(filled))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        archive(filled.store, tmp_path / "file", LATER)
    assert (len(rows(filled)), list(tmp_path.glob("*file*"))) == (count, [])


def test_a_file_that_is_there_is_never_replaced(filled: Place, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    with Place(f"sqlite:///{tmp_path}/other.db") as place:
        place.open(clock=Time()).append("sweep", {"of": "another"})
        fill(place, 6)
        archive(place.store, other, LATER)
    file = tmp_path / "file"
    with filled.open().reading() as reading:
        whole = b"".join(export_lines(reading))  # an export, which holds newer entries too
    for content in (b"", b"mine", other.read_bytes(), b"\x1f\x8bmine", whole):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="is no archive of this ledger, and is not replaced"):
            archive(filled.store, file, LATER)
        assert file.read_bytes() == content
    file.unlink()
    assert rows(filled)[0] == 1
    count = len(rows(filled))
    with pytest.raises(OSError, match="No such file"):
        archive(filled.store, tmp_path / "none" / "file", LATER)
    assert len(rows(filled)) == count
    archive(filled.store, file, LATER)
    left = rows(filled)
    assert archive(filled.store, file, LATER) == ArchivedRange(1, left[0] - 1, 0)  # it was done before
    assert rows(filled) == left


def test_a_ledger_that_was_changed_is_not_archived(filled: Place, tmp_path: Path) -> None:
    count = len(rows(filled))
    filled.change(sa.update(ledger).where(ledger.c.seq == count - 1).values(body="{}"))  # of those that would be left
    with pytest.raises(LedgerBroken, match="does not have its hash"):
        archive(filled.store, tmp_path / "file", LATER)
    assert (list(tmp_path.glob("*file*")), len(rows(filled))) == ([], count)


def test_what_was_archived_without_a_key_is_signed_later(filled: Place, tmp_path: Path, pair: Path) -> None:
    file = tmp_path / "old"
    archive(filled.store, file, LATER)
    for path in (tmp_path / "more", file):
        with opened(filled.target) as reading:
            error = broken(lambda: verify_archiving(reading, load_public_key(pub(pair))))
            assert error.what == "the archive is not signed"
        if path != file:
            with pytest.raises(LedgerBroken, match="the archive is not signed"):
                archive(filled.store, path, LATER + datetime.timedelta(hours=1), key=load_private_key(pair))
    archive(filled.store, file, LATER, key=load_private_key(pair))
    with opened(filled.target) as reading:
        verify_archiving(reading, load_public_key(pub(pair)))
        reading.verify()


class Archives:
    """A store of which a part was archived, and signed; its checkpoints; and somebody who may change all of it."""

    def __init__(self, place: Place, folder: Path, pair: Path) -> None:
        self.place, self.file, self.pair = place, folder / "old.jsonl", pair
        self.checkpoints = folder / "checkpoints"
        archive(place.store, self.file, LATER, key=load_private_key(pair))
        self.ledger = place.open(checkpoints=Checkpoints(self.checkpoints, pair))
        self.ledger.checkpoint()
        self.first = rows(place)[0]

    def entries(self) -> list[dict[str, Any]]:
        with self.place.store.reading() as connection:
            return [dict(row) for row in connection.execute(sa.select(ledger).order_by(ledger.c.seq)).mappings()]

    def delete(self, count: int = 3) -> dict[str, Any]:
        """Deletes the oldest entries; returns the last of them."""
        gone = self.entries()[count - 1]
        self.place.change(sa.delete(ledger).where(ledger.c.seq <= gone["seq"]))
        return gone

    def claim(self, seq: int, hash_: str, signature: str | None = None) -> None:
        """Adds an entry, as the chain has it, which says that all up to this one was archived."""
        end = self.entries()[-1]
        body = to_canonical_json({"seq": seq, "hash": hash_, "signature": signature})
        (entry,) = chain_entries(
            end["seq"], end["hash"], format_moment(datetime.datetime.now(datetime.UTC)), [(ARCHIVE, body)]
        )
        self.place.change(sa.insert(ledger).values(row_values(entry)))
        self.place.change(sa.update(head).values(seq=entry.seq, hash=entry.hash))

    def signature(self) -> str:
        return str(json.loads(find_claim(self.entries())["body"])["signature"])

    def forge(self, folder: Path) -> str:
        """A signature by another key."""
        make_keys(folder / "forged")
        gone = self.entries()[2]
        return make_signature(build_archive_data(gone["seq"], gone["hash"]), load_private_key(folder / "forged"))

    def found(self) -> dict[str, bool]:
        """By what anything was found: by the store and the key, from the checkpoint and the key, with the archive."""

        def by_key() -> None:
            with opened(self.place.target) as reading:
                verify_archiving(reading, load_public_key(pub(self.pair)))
                reading.verify()

        def by_checkpoint() -> None:
            with opened(self.place.target) as reading:
                verify_from(reading, read_last_in_file(self.checkpoints), key=load_public_key(pub(self.pair)))

        def by_file() -> None:
            with joined([str(self.file), self.place.target]) as reading:
                reading.verify()

        found = dict.fromkeys(sorted(ALL), False)
        for check in (by_key, by_checkpoint, by_file):
            try:
                check()
            except LedgerBroken:
                found[check.__name__] = True
        return found


@pytest.fixture
def archives(filled: Place, tmp_path: Path, pair: Path) -> Iterator[Archives]:
    made = Archives(filled, tmp_path, pair)
    assert not any(made.found().values())
    yield made
    made.ledger._counters._beside = None  # what was changed is not to be found again at the end


def claimed(made: Archives, signature: str | None = None) -> None:
    gone = made.delete()
    made.claim(gone["seq"], gone["hash"], signature)


def change_first(made: Archives, **values: str) -> None:
    """Change the first entry that is left."""
    made.place.change(sa.update(ledger).where(ledger.c.seq == made.first).values(values))


def claimed_all(made: Archives) -> None:
    """All that there was, with an end that says so."""
    gone = made.entries()[-1]
    made.claim(gone["seq"], gone["hash"])
    made.place.change(sa.delete(ledger).where(ledger.c.seq <= gone["seq"]))


def find_claim(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in entries if row["kind"] == ARCHIVE)


def claim_changed(made: Archives, *, anew: bool) -> None:
    """Changes what the genuine entry says."""
    gone = made.delete()
    old = find_claim(made.entries())
    body = to_canonical_json(json.loads(old["body"]) | {"seq": gone["seq"], "hash": gone["hash"]})
    made.place.change(sa.update(ledger).where(ledger.c.seq == old["seq"]).values(body=body))
    if anew:
        rewrite_chain(made.place.store, lambda _: None)


def started_anew(made: Archives) -> None:
    """Everything that is left, written anew on another start."""
    change_first(made, prev="f" * 64)
    rewrite_chain(made.place.store, lambda _: None)


def put_back(made: Archives) -> None:
    """An archived entry, but another one."""
    old = made.entries()[0]
    entry = Entry.after(made.first - 2, "f" * 64, old["at"], "sweep", {})
    made.place.change(sa.insert(ledger).values(row_values(entry)))


def claim_of_the_future(made: Archives) -> None:
    made.delete()
    made.claim(10_000, "f" * 64, made.signature())


def claim_malformed(made: Archives) -> None:
    made.claim(made.first, "f" * 64)
    last = made.entries()[-1]["seq"]
    made.place.change(sa.update(ledger).where(ledger.c.seq == last).values(body="{}"))


ALL = {"by_key", "by_checkpoint", "by_file"}
FALSEHOODS: dict[str, tuple[Callable[[Archives], object], set[str]]] = {
    "deleted": (lambda made: made.delete(), ALL),
    "deleted, and said to be archived": (claimed, ALL),
    "said with the signature of another key": (lambda made: claimed(made, made.forge(made.checkpoints.parent)), ALL),
    "said with the signature of another archive": (lambda made: claimed(made, made.signature()), ALL),
    "all deleted, and said to be archived": (claimed_all, ALL),
    "what was said is changed": (lambda made: claim_changed(made, anew=False), ALL),
    "what was said is changed, hashes anew": (lambda made: claim_changed(made, anew=True), ALL),
    "what was said is deleted": (
        lambda made: rewrite_chain(made.place.store, lambda entries: entries.remove(find_claim(entries))),
        {"by_key", "by_checkpoint"},
    ),
    "the first entry that is left is edited": (lambda made: change_first(made, body="{}"), {"by_key", "by_file"}),
    "the first entry that is left is edited, hashes anew": (
        lambda made: rewrite_chain(made.place.store, lambda entries: entries[0].update(body="{}")),
        {"by_checkpoint"},
    ),
    "the first entry follows another": (lambda made: change_first(made, prev="f" * 64), {"by_key", "by_file"}),
    "all that is left follows another": (started_anew, ALL),
    "an archived entry is put back, another one": (put_back, {"by_key"}),
    "said of entries that there are not": (claim_of_the_future, ALL),
    "said in words that say nothing": (claim_malformed, ALL),
}


@pytest.mark.parametrize("way", FALSEHOODS)
@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_who_deletes_entries_and_says_that_they_were_archived_is_found(archives: Archives, way: str) -> None:
    act, by = FALSEHOODS[way]
    act(archives)
    found = archives.found()
    assert {name for name in by if not found[name]} == set(), found


@pytest.mark.parametrize("way", ["deleted, and said to be archived", "all deleted, and said to be archived"])
def test_a_process_with_a_key_makes_no_checkpoint_behind_a_false_archive(archives: Archives, way: str) -> None:
    FALSEHOODS[way][0](archives)
    assert broken(archives.ledger.checkpoint).what == "the archive is not signed"
    again = archives.place.open(checkpoints=Checkpoints(archives.checkpoints, archives.pair))
    assert broken(again.checkpoint).what == "the archive is not signed"
    found = archives.found()
    assert found["by_key"], found
    assert found["by_file"], found


def test_what_follows_an_archive_verifies_from_an_older_checkpoint(filled: Place, tmp_path: Path, pair: Path) -> None:
    filled.open(checkpoints=Checkpoints(tmp_path / "checkpoints", pair)).checkpoint()
    early = read_last_in_file(tmp_path / "checkpoints")
    time = Time(START + datetime.timedelta(days=1))
    filled.open(clock=time).append("sweep", {})
    archive(filled.store, tmp_path / "old", time.now + datetime.timedelta(hours=1), key=load_private_key(pair))
    key = load_public_key(pub(pair))
    with opened(filled.target) as reading:
        assert verify_from(reading, early, key=key).new == 1
        assert "were archived: name the archives too" in broken(lambda: verify_from(reading, early, key=None)).what
        assert broken(lambda: verify_from(reading, early, key=key, stopped=True)).place == "ledger"
    with joined([str(tmp_path / "old"), filled.target]) as reading:
        assert verify_from(reading, early, key=None).new == 2


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_in_which_anything_is_changed_is_found(archives: Archives, tmp_path: Path, packed: bool) -> None:
    lines = archives.file.read_bytes().splitlines(keepends=True)
    path = tmp_path / "changed"

    def write(data: bytes) -> None:
        path.write_bytes(gzip.compress(data) if packed else data)

    changes = {
        "first gone": lines[1:],
        "one gone": [*lines[:2], *lines[3:]],
        "last gone": [*lines[:-2], lines[-1]],
        "head gone": lines[:-1],
        "swapped": [lines[1], lines[0], *lines[2:]],
        "twice": [lines[0], *lines],
        "edited": [lines[0].replace(b"2026", b"2025", 1), *lines[1:]],
        "said to start later": [*lines[1:-1], lines[-1].replace(b'{"head":{', b'{"head":{"after":1,')],
        "empty": [],
    }
    write(b"".join(lines))

    def check() -> None:
        with joined([str(path), archives.place.target]) as reading:
            reading.verify()

    check()
    for what, changed in changes.items():
        write(b"".join(changed))
        assert broken(check).place, what
    if packed:
        data = gzip.compress(b"".join(lines))
        for number in range(10, len(data), 97):
            path.write_bytes(data[:number] + bytes([data[number] ^ 4]) + data[number + 1 :])
            broken(check)
        path.write_bytes(data[:-9])
        broken(check)


def test_no_application_says_that_it_archived(place: Place) -> None:
    with pytest.raises(ValueError, match="entries are archived by `purposeguard ledger archive`"):
        place.open().append(ARCHIVE, {"seq": 1, "hash": "0" * 64, "signature": None})


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_commands_archive_and_read_archives(filled: Place, tmp_path: Path, pair: Path) -> None:
    file, checkpoints = tmp_path / "old.jsonl.gz", tmp_path / "checkpoints"
    count = len(rows(filled))
    assert run("ledger", "checkpoint", filled.target, "--key", pair, "-o", checkpoints).exit_code == 0
    signed = ("--from", checkpoints, "--key", pair)
    options = ("ledger", "archive", filled.target, "--before", "2026-05-02T13:15Z", *signed)
    done = run(*options, "-o", file, columns=300)
    assert (done.exit_code, done.stdout) == (0, f"entries 1 to {rows(filled)[0] - 1} are in {file}\n"), done.output
    last = rows(filled)[0] - 1
    assert read_last_in_file(checkpoints).seq == count + 1
    read: tuple[tuple[tuple[object, ...], str], ...] = (
        ((filled.target,), f"entries 1 to {last} are archived: name the archives too"),
        ((filled.target, "--key", pub(pair)), f"entries 1 to {last} are archived, which is signed"),
        ((filled.target, *signed[:-1], pub(pair)), f"entries 1 to {last} are archived, which is signed"),
        ((file, filled.target), f"intact: {count + 1} entries"),
        ((file,), f"intact: {last} entries"),
    )
    for arguments, line in read:
        done = run("ledger", "verify", *arguments, columns=200)
        assert (done.exit_code, line in map(str.strip, done.stdout.splitlines())) == (0, True), done.output
    done = run("ledger", "show", filled.target, "--kind", "archive", columns=200)
    assert f"entries up to {last}" in done.stdout
    assert f"note: entries 1 to {last} are archived: name the archives too" in done.stderr
    done = run("ledger", "show", file, filled.target, columns=200)
    assert (done.exit_code, done.stderr) == (0, "")
    data = json.loads(run("ledger", "verify", filled.target, "--format", "json").stdout)
    assert (data["archived"], data["archive_signed"], data["entries"]) == (last, False, count + 1)
    done = run(*options, "-o", file, columns=300)  # once more
    assert (done.exit_code, done.stdout) == (0, f"entries 1 to {last} are in {file}\n"), done.output
    refused: tuple[tuple[tuple[object, ...], int, str], ...] = (
        (("archive", filled.target, "--before", "2026-05-02", "-o", tmp_path / "none"), 0, "nothing is as old"),
        (("archive", filled.target, "--before", "2126-05-02", "-o", tmp_path / "none"), 2, "an hour old"),
        (("archive", filled.target, "--before", "2026-05-03", "-o", checkpoints), 2, "is not replaced"),
        (("archive", filled.target, "--before", "soon", "-o", tmp_path / "none"), 2, "is no time"),
        (("archive", tmp_path / "none", "--before", "2026-05-02", "-o", file), 2, "none"),
        (("archive", filled.target, "--before", "2026-05-03", "-o", tmp_path / "a" / "b"), 2, "cannot be written"),
        (("verify", file, "--key", pub(pair)), 2, "nothing was archived"),
        (("verify", filled.target, filled.target), 2, "one store is named at most"),
    )
    for arguments, code, message in refused:
        done = run("ledger", *arguments, columns=300)
        assert (done.exit_code, message in done.output) == (code, True), done.output
    filled.change(sa.delete(ledger).where(ledger.c.seq <= last + 2))
    done = run("ledger", "verify", filled.target, "--key", pub(pair), columns=200)
    assert (done.exit_code, done.stdout.startswith("broken: entry ")) == (1, True), done.output
    done = run("ledger", "archive", filled.target, "--before", "2026-05-03", "-o", tmp_path / "more", columns=200)
    assert (done.exit_code, done.stderr.startswith("broken: entry ")) == (1, True), done.output
