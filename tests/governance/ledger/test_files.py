"""A ledger in a file: cut off in the middle of a write, the disk full, the file held, moved, or forbidden."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.errors import LedgerBroken, StoreUnavailable
from purposeguard.governance.ledger import JsonLinesLedger, jsonl
from purposeguard.governance.ledger.chain import advanced
from purposeguard.governance.ledger.jsonl import Snapshot
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.ledger.places import NEVER, R, denial
from tests.governance.support import Time
from tests.unit.command_line import process


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[JsonLinesLedger]:
    with JsonLinesLedger(tmp_path / "ledger.jsonl", interval=NEVER, clock=Time()) as made:
        yield made


def head_file(ledger: JsonLinesLedger) -> Path:
    return ledger.path.with_name("ledger.jsonl.head")


def torn_file(ledger: JsonLinesLedger) -> Path:
    return ledger.path.with_name("ledger.jsonl.torn")


def steps(ledger: JsonLinesLedger) -> list[Any]:
    return [entry.body.get("number", entry.kind) for entry in ledger.entries()]


# ---- cut off --------------------------------------------------------------------------------------------------------


def test_a_line_that_was_cut_short_is_set_aside_and_the_chain_goes_on(ledger: JsonLinesLedger) -> None:
    ledger.append("sweep", {"number": 1})
    whole, head = ledger.path.read_bytes(), head_file(ledger).read_bytes()
    ledger.append("sweep", {"number": 2})
    line = ledger.path.read_bytes()[len(whole) :]
    aside = b""
    for length in (1, len(line) // 2, len(line) - 1):
        ledger.path.write_bytes(whole + line[:length])
        head_file(ledger).write_bytes(head)
        verdict = ledger.verify()  # to read it changes nothing
        assert (verdict.entries, verdict.unfinished) == (1, length)
        assert ledger.path.read_bytes() == whole + line[:length]
        ledger.append("sweep", {"number": 3})
        aside += line[:length] + b"\n"
        assert torn_file(ledger).read_bytes() == aside
        assert steps(ledger) == [1, "recovery", 3]
        (found,) = ledger.entries(["recovery"])
        assert found.body == {
            "bytes": length,
            "sha256": hashlib.sha256(line[:length]).hexdigest(),
            "kept_in": "ledger.jsonl.torn",
        }
        assert ledger.verify().unfinished == 0


def test_whole_lines_that_the_head_does_not_know_yet_count(ledger: JsonLinesLedger) -> None:
    ledger.append("sweep", {"number": 1})
    head = head_file(ledger).read_bytes()
    for number in (2, 3):
        ledger.append("sweep", {"number": number})
    head_file(ledger).write_bytes(head)
    assert steps(ledger) == [1, 2, 3]
    verdict = ledger.verify()
    assert (verdict.entries, verdict.unfinished) == (3, 0)
    ledger.append("sweep", {"number": 4})
    assert steps(ledger) == [1, 2, 3, 4]
    head_file(ledger).write_bytes(head)
    with ledger.path.open("ab") as file:
        file.write(b'{"at":')
    assert (ledger.verify().entries, ledger.verify().unfinished) == (4, 6)
    ledger.append("sweep", {"number": 5})
    assert steps(ledger) == [1, 2, 3, 4, "recovery", 5]
    assert ledger.verify().entries == 6


def test_counts_that_had_become_entries_are_not_counted_twice(ledger: JsonLinesLedger) -> None:
    for activity in ("a", "b"):
        ledger._counters.add(activity, "1.2(1)①", R, 3)
    ledger.flush()
    head = head_file(ledger).read_bytes()
    ledger.close()
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 2
    for kept in (0, 1, 2):  # the head still has both as open
        ledger.path.write_bytes(b"".join(lines[:kept]) + b"{")
        head_file(ledger).write_bytes(head)
        assert sorted(ledger.uses().values()) == [3, 3]
        ledger.append("sweep", {})
        assert sorted(ledger.uses().values()) == [3, 3]
        assert ledger.verify().entries == kept + 2


def test_a_count_behind_the_head_that_was_never_open_is_no_entry(ledger: JsonLinesLedger) -> None:
    ledger.append("sweep", {"number": 1})
    forged, _ = advanced(Snapshot.of(ledger.path, 1).head, "", [("use", {"count": 7})])
    with ledger.path.open("ab") as file:
        file.write(forged[0].line)
    assert ledger.verify().unfinished == len(forged[0].line)
    forged, _ = advanced(
        Snapshot.of(ledger.path, 1).head,
        "",
        [("use", {"activity": None, "count": 7, "hour": "2026-05-02T09:00Z", "purpose": "1.2(1)①", "sources": []})],
    )
    ledger.path.write_bytes(ledger.path.read_bytes() + forged[0].line)
    ledger.append("sweep", {"number": 2})
    assert steps(ledger) == [1, "recovery", 2]
    assert not ledger.uses()


def test_an_earlier_head_that_is_put_back_takes_no_entry_away(ledger: JsonLinesLedger) -> None:
    ledger.append("sweep", {"number": 1})
    ledger._counters.add("a", "1.2(1)①", R, 3)
    ledger.flush()
    earlier = head_file(ledger).read_bytes()
    ledger._counters.add("a", "1.2(1)①", R, 2)
    ledger.close()
    head_file(ledger).write_bytes(earlier)  # as if whoever closed it had been killed before it wrote the head
    assert (ledger.verify().entries, sum(ledger.uses().values())) == (1, 3)
    ledger.append("sweep", {"number": 2})
    assert steps(ledger) == [1, "recovery", 2]
    ledger._counters.add("a", "1.2(1)①", R, 2)
    ledger.close()
    ledger.append("sweep", {"number": 3})
    head, whole = head_file(ledger).read_bytes(), ledger.path.read_bytes()
    head_file(ledger).write_bytes(earlier)
    what = "the head is older than the entries behind it"
    with pytest.raises(LedgerBroken, match=what):
        ledger.verify()
    with pytest.raises(LedgerBroken, match=what):
        ledger.append("sweep", {"number": 4})
    assert ledger.path.read_bytes() == whole
    head_file(ledger).write_bytes(head)
    ledger.append("sweep", {"number": 4})
    assert steps(ledger) == [1, "recovery", 2, "use", 3, 4]


def test_the_head_of_another_ledger_takes_no_entry_away(ledger: JsonLinesLedger, tmp_path: Path) -> None:
    for number in range(3):
        ledger.append("sweep", {"number": number})
    whole = ledger.path.read_bytes()
    with JsonLinesLedger(tmp_path / "other.jsonl", interval=NEVER) as other:
        other.append("erasure", {})
    shutil.copy(tmp_path / "other.jsonl.head", head_file(ledger))
    with pytest.raises(LedgerBroken, match="head"):
        ledger.append("sweep", {"number": 4})
    with pytest.raises(LedgerBroken):
        ledger.verify()
    assert ledger.path.read_bytes() == whole
    assert not torn_file(ledger).exists()


def test_whoever_is_killed_before_the_first_entry_leaves_an_empty_ledger(ledger: JsonLinesLedger) -> None:
    assert list(ledger.entries()) == []
    assert ledger.verify().entries == 0
    ledger.path.touch()
    assert ledger.verify().entries == 0
    ledger.append("sweep", {"number": 1})
    assert steps(ledger) == [1]


# ---- the disk is full -----------------------------------------------------------------------------------------------


@pytest.fixture
def limit() -> Iterator[Any]:
    """Sets how long a file may get: beyond it, writing fails as it does on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_what_cannot_be_recorded_is_refused_and_nothing_before_it_is_lost(ledger: JsonLinesLedger, limit: Any) -> None:
    guard = pg.Guard(tm.NOTICE, ledger=ledger)
    refused: pg.Personal[str, Any] = pg.Personal("device", tm.ProductData)

    def use_both() -> None:
        with guard.purpose(tm.RenewalGuidance, activity="it") as use:
            use.open(pg.Personal("name", tm.Registration))
            use.open(refused)

    with pytest.raises(pg.PurposeViolation):
        use_both()
    before = ledger.path.read_bytes()
    for room in (len(before), len(before) + 1, len(before) + 50):
        limit(room)
        with pytest.raises(StoreUnavailable, match=r"cannot be written: File too large") as full:
            use_both()
        assert full.value.__notes__ == ["not recorded: renewal-guidance (1.2(1)①) may not use product-data (1.1(b))"]
        assert ledger.path.read_bytes() == before
        assert ledger.verify().entries == 1
    limit(10)  # no head can be written either
    with pytest.raises(StoreUnavailable):
        ledger.flush()
    assert not ledger.path.with_name("ledger.jsonl.head.new").exists()
    limit(None)
    with pytest.raises(pg.PurposeViolation):
        use_both()
    assert ledger.verify().entries == 2
    assert sum(ledger.uses().values()) == 5  # none of the counts was lost meanwhile


FULL_DISK = """
import subprocess, sys
import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.governance.ledger import JsonLinesLedger

folder = sys.argv[1]
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True).returncode:
    sys.exit(0)  # not permitted here: the limit on a file's size has to do
with JsonLinesLedger(folder + "/ledger.jsonl", interval=3600) as ledger:
    written = 0
    try:
        while True:
            ledger.append("sweep", {"number": written, "what": "x" * 1000})
            written += 1
    except StoreUnavailable as error:
        assert "No space left on device" in str(error), error
    assert ledger.verify().entries == written > 10
    ballast = open(folder + "/ballast", "wb")
    try:
        ballast.write(b"x" * 1_000_000)
    except OSError:
        pass
    for _ in range(3):
        try:
            ledger.append("sweep", {})
        except StoreUnavailable:
            pass
        else:
            raise SystemExit("there was room after all")
    assert ledger.verify().entries == written
    import os
    try:
        ballast.close()
    except OSError:
        pass
    os.truncate(folder + "/ballast", 0)
    os.unlink(folder + "/ballast")
    subprocess.run(["mount", "-o", "remount,size=128k", folder], check=True)
    ledger.append("sweep", {"number": written})
    assert ledger.verify().entries == written + 1
    print("seen")
subprocess.run(["umount", folder], check=True)
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """In a mount of its own, which nothing outside sees, where this is permitted; elsewhere it shows nothing."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return
    done = subprocess.run(
        [unshare, "--mount", sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stdout in ("", "seen\n"), done.stderr
    assert "Error" not in done.stderr


# ---- held, moved, forbidden -----------------------------------------------------------------------------------------


def test_who_holds_the_file_too_long_is_not_waited_for(tmp_path: Path) -> None:
    with JsonLinesLedger(tmp_path / "ledger.jsonl", timeout=0.05) as ledger:
        ledger.append("sweep", {"number": 1})
        with ledger.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            assert steps(ledger) == [1]  # readers do not keep each other out
            with pytest.raises(StoreUnavailable, match=r"held by another process"):
                ledger.append("sweep", {"number": 2})
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(StoreUnavailable, match=r"held by another process"):
                ledger.verify()
        ledger.append("sweep", {"number": 2})
        assert steps(ledger) == [1, 2]


def test_who_waited_while_the_file_was_moved_away_writes_the_new_one(ledger: JsonLinesLedger) -> None:
    ledger.append("sweep", {"number": 1})
    old = ledger.path.with_name("old.jsonl")
    with ledger.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writing = threading.Thread(target=lambda: ledger.append("sweep", {"number": 2}))
        writing.start()
        while not _waits_for_a_lock():
            pass
        ledger.path.rename(old)
        head_file(ledger).rename(old.with_name("old.jsonl.head"))
        fcntl.flock(file, fcntl.LOCK_UN)
    writing.join()
    assert steps(ledger) == [2]
    with JsonLinesLedger(old) as before:
        assert steps(before) == [1]
        before.verify()


def _waits_for_a_lock() -> bool:
    return any(
        code.f_code.co_name == "_lock" and code.f_code.co_filename == jsonl.__file__
        for code in sys._current_frames().values()
    )


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with JsonLinesLedger(tmp_path / "none" / "ledger.jsonl") as ledger:
        with pytest.raises(StoreUnavailable, match=r"cannot be written: No such file"):
            ledger.append("sweep", {})
        with pytest.raises(StoreUnavailable, match=r"cannot be written: No such file"):
            ledger.denied(denial(), observed=False)


def test_nobody_else_reads_it_unless_permitted_and_the_head_follows_suit(ledger: JsonLinesLedger) -> None:
    ledger.append("sweep", {})
    for path in (ledger.path, head_file(ledger)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ledger.path.chmod(0o640)
    ledger.append("sweep", {})
    assert stat.S_IMODE(head_file(ledger).stat().st_mode) == 0o640


def test_a_platform_without_locks_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jsonl, "fcntl", None)
    with pytest.raises(RuntimeError, match="keep it in a store instead"):
        JsonLinesLedger(tmp_path / "ledger.jsonl")


def test_a_handler_that_interrupts_a_write_is_refused(ledger: JsonLinesLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def interrupted(number: int, data: bytes) -> int:
        monkeypatch.undo()
        try:
            ledger.append("sweep", {"number": 0})
        except StoreUnavailable as error:
            told.append(str(error))
        return os.write(number, data)

    monkeypatch.setattr(os, "write", interrupted)
    ledger.append("sweep", {"number": 1})
    assert len(told) == 1
    assert "interrupted while it wrote" in " ".join(told[0].split())
    ledger.append("sweep", {"number": 2})
    assert steps(ledger) == [1, 2]


def test_the_head_is_readable_by_people_and_programs(ledger: JsonLinesLedger) -> None:
    ledger._counters.add("mail", "1.2(1)①", R, 3)
    ledger.flush()
    head = json.loads(head_file(ledger).read_text("utf-8"))
    assert head["open"] == [
        {"activity": "mail", "count": 3, "hour": "2026-05-02T09:00Z", "purpose": "1.2(1)①", "sources": ["1.1(a)"]}
    ]
    assert (head["seq"], head["bytes"], head["hash"]) == (0, 0, "0" * 64)


def test_a_process_that_ends_writes_what_it_counted(tmp_path: Path) -> None:
    code = """
import sys
import purposeguard as pg
from purposeguard.governance.ledger import JsonLinesLedger
from purposeguard.notices import trendmicro_jp as tm

for path in sys.argv[1:]:
    guard = pg.Guard(tm.NOTICE, ledger=JsonLinesLedger(path, interval=3600))
    with guard.purpose(tm.RenewalGuidance, activity="it") as use:
        for _ in range(3):
            use.open(pg.Personal("name", tm.Registration))
"""
    done = process(tmp_path / "ledger.jsonl", tmp_path / "gone" / "ledger.jsonl", code=code)
    assert done.returncode == 0
    with JsonLinesLedger(tmp_path / "ledger.jsonl") as ledger:
        assert list(ledger.uses().values()) == [3]
        assert ledger.verify().entries == 1
    assert "3 counted uses are lost, since they cannot be written: the ledger" in done.stderr
    assert "(lost: 3 by it for 1.2(1)① of 1.1(a) at 20" in done.stderr


def test_a_ledger_of_another_kind_is_not_written_behind(ledger: JsonLinesLedger) -> None:
    ledger.path.write_text("a file of something else\n", "utf-8")
    for act in (lambda: ledger.append("sweep", {}), ledger.verify, lambda: list(ledger.entries())):
        with pytest.raises(LedgerBroken):
            act()
    assert ledger.path.read_text("utf-8") == "a file of something else\n"
