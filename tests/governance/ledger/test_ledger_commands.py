"""`purposeguard ledger`: verify, show, export."""

from __future__ import annotations

import concurrent.futures
import datetime
import json
import os
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

import purposeguard as pg
from purposeguard.governance.ledger.opening import opened
from purposeguard.governance.ledger.tables import head as ledger_head
from purposeguard.governance.ledger.tables import ledger as ledger_rows
from purposeguard.governance.store import Store
from tests.governance.ledger.places import C, Place, R, denial, tell
from tests.governance.support import START, Time
from tests.unit.command_line import process, run


@pytest.fixture
def filled(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A bit of everything, from 9:22 to 10:18, each denial an entry; and counts of the hour that is not over."""
    monkeypatch.setattr("purposeguard.governance.ledger.sql.REPEATED", 0)
    time = Time()
    tell(place.open(clock=time), 9, time)
    return place


ONE = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)


def told(*arguments: object, columns: int = 120) -> str:
    done = run("ledger", *arguments, columns=columns)
    assert done.exit_code == 0, done.output
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


def test_verify_says_that_a_ledger_is_whole(filled: Place) -> None:
    lines = told("verify", filled.target).splitlines()
    assert lines[:2] == ["intact: 10 entries", "  last written to at 2026-05-02T10:18:00.000000Z"]
    assert lines[3] == "  3 uses counted in hours that are not over"
    data = json.loads(told("verify", filled.target, "--format", "json"))
    assert lines[2] == f"  hash {data.pop('hash')}"
    told_of = {"intact": True, "entries": 10, "new": 10, "at": "2026-05-02T10:18:00.000000Z", "open_uses": 3}
    assert data == told_of | {"open_denials": 0, "went_back": 0, "archived": 0, "archive_signed": False}


def test_verify_notes_that_a_clock_went_back(place: Place) -> None:
    time = Time()
    ledger = place.open(clock=time)
    ledger.append("sweep", {})
    time.passes(hours=-2)
    ledger.append("sweep", {})
    text = run("ledger", "verify", place.target).stdout
    assert "1 time an entry is dated before the one before it" in text


def test_verify_says_what_is_broken_and_where(filled: Place) -> None:
    with filled.store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM purposeguard_ledger WHERE seq = 4")
    place, what = "entry 4", "entry 4 is missing: entry 5 comes next"
    done = run("ledger", "verify", filled.target, columns=200)
    assert (done.exit_code, done.stdout.strip()) == (1, f"broken: {place}: {what}")
    done = run("ledger", "verify", filled.target, "--format", "json")
    assert (done.exit_code, json.loads(done.stdout)) == (1, {"intact": False, "place": place, "what": what})
    done = run("ledger", "export", filled.target)
    assert (done.exit_code, done.stderr.strip()) == (1, f"broken: {place}: {what}")


@ONE
def test_verify_asks_for_a_hash_that_was_noted(filled: Place) -> None:
    data = json.loads(told("verify", filled.target, "--format", "json"))
    filled.open(clock=lambda: START + datetime.timedelta(hours=2)).append("sweep", {})
    assert told("verify", filled.target, "--expect", data["hash"]).startswith("intact: 11 entries")
    done = run("ledger", "verify", filled.target, "--expect", "f" * 64)
    assert done.exit_code == 1
    assert done.stdout.startswith("broken: ledger: no entry has the hash that was noted")


@ONE
def test_verify_tells_of_a_ledger_that_is_empty(place: Place) -> None:
    assert place.open().verify().entries == 0
    assert told("verify", place.target) == "intact: 0 entries"


def test_what_is_no_ledger_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no ledger", "utf-8")
    (tmp_path / "empty.db").write_bytes(b"")
    database = tmp_path / "other.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE one (id)")
    connection.close()
    before = database.read_bytes()
    for target, message in (
        (tmp_path / "none.jsonl", "No such file or directory"),
        (f"sqlite:///{tmp_path}/none.db", "No such file or directory"),
        (f"sqlite:///{tmp_path}/text", "is no store"),
        (tmp_path, "Is a directory"),
        (database, "there is no ledger in"),
        ("mysql://user:secret@host/database", "a store's URL is"),
        ("postgresql://nobody@localhost:1/none", "cannot be used"),
    ):
        for command in ("verify", "show", "export"):
            done = run("ledger", command, target)
            assert done.exit_code == 2
            assert message in done.stderr, done.stderr
            assert "secret" not in done.stderr
    assert database.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.db", "other.db", "text"]
    done = run("ledger", "verify", tmp_path / "text")
    assert (done.exit_code, done.stdout[:16]) == (1, "broken: line 1: ")


def test_a_store_is_read_and_not_upgraded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with Store.open(url) as store, store.writing() as connection:
        connection.exec_driver_sql("UPDATE purposeguard_version SET version_num = '0000_earlier'")
    for target in (url, tmp_path / "store.db"):
        assert told("verify", target) == "intact: 0 entries"
        with opened(target) as found:
            assert found.verify().entries == 0


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['sqlalchemy'] = None\nfrom purposeguard.cli.main import main; main()"
    done = process("ledger", "verify", "x", code=code)
    assert done.returncode == 2
    assert "pip install 'purposeguard[governance]'" in done.stderr


def test_show_adds_uses_up_and_lists_the_rest(filled: Place) -> None:
    text = told("show", filled.target)
    assert text.startswith(
        "Uses (9)\n"
        "hour (UTC)       activity         purpose sources uses\n"
        "2026-05-02 09:00 shop.mail.remind 1.2(1)① 1.1(a)  6\n"
        "\n"
        "2026-05-02 10:00 shop.mail.remind 1.2(1)① 1.1(a)  3\n"
        "\n"
        "Entries (9)\n"
    )
    assert "1     2026-05-02 09:22:00 denial           renewal-guidance (1.2(1)①) may not use" in text
    assert "observed only: data was read outside any purpose: say why" in text
    assert "mail-house" in text
    assert "disclosure" in text


@ONE
def test_show_finds_by_kind_activity_and_time(filled: Place) -> None:
    def shown(*arguments: object) -> tuple[list[int], list[int]]:
        data = json.loads(told("show", filled.target, "--format", "json", *arguments))
        return [one["count"] for one in data["uses"]], [one["seq"] for one in data["entries"]]

    assert shown() == ([6, 3], [1, 2, 3, 4, 5, 6, 8, 9, 10])
    assert shown("--kind", "use") == ([6, 3], [])
    assert shown("--kind", "denial") == ([], [1, 2, 9, 10])
    assert shown("--kind", "denial", "--kind", "exception") == ([], [1, 2, 4, 9, 10])
    assert shown("--activity", "shop.mail.remind") == ([6, 3], [1, 5, 9])
    assert shown("--activity", "nobody") == ([], [])
    assert shown("--since", "2026-05-02T10:00Z") == ([3], [8, 9, 10])
    assert shown("--until", "2026-05-02T19:00+09:00") == ([6], [1, 2, 3, 4, 5, 6])
    assert shown("--since", "2026-05-02", "--until", "2026-05-03") == shown()
    assert shown("--since", "2026-05-03") == ([], [])


@ONE
def test_show_adds_up_by_activity_and_field(filled: Place) -> None:
    ledger = filled.open(clock=Time())
    where = "select of `customer` in shop.mail.report (mail.py:7)"
    ledger.denied(pg.PurposeMissing(f"{where} outside any purpose: say why"), observed=True)
    ledger.denied(denial(activity="shop.mail.remind", function="shop.read"), observed=False)
    text = told("show", filled.target, "--by", "activity,field,purpose", columns=140)
    at = "2026-05-02 09:15 2026-05-02 09:15"
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "Uses and denials by activity, field, purpose (5)",
        "activity field purpose used refused observed first (UTC) last (UTC)",
        "- data was read - 0 0 2 2026-05-02 09:29 2026-05-02 10:18",
        f"- {where} - 0 0 1 {at}",
        "shop.mail.remind - 1.2(1)① 9 0 0 2026-05-02 09:00 2026-05-02 10:00",
        f"shop.mail.remind shop.read 1.2(1)① 0 1 0 {at}",
        "shop.mail.remind ① 1.2(1)① 0 2 0 2026-05-02 09:22 2026-05-02 10:11",
    ]

    def groups(*arguments: object) -> list[list[object]]:
        data = json.loads(told("show", filled.target, "--format", "json", "--by", *arguments))
        return [list(group.values()) for group in data["groups"]]

    refused = denial(activity="shop.mail.remind")
    refused.entry_point = "GET /users/{id}"
    ledger.denied(refused, observed=False)
    assert [group[:4] for group in groups("entry_point", "--activity", "shop.mail.remind")] == [
        [None, 9, 3, 0],
        ["GET /users/{id}", 0, 1, 0],
    ]

    assert groups("sources", "--kind", "use") == [["1.1(a)", 9, 0, 0, "2026-05-02T09:00Z", "2026-05-02T10:00Z"]]
    assert groups("activity", "--activity", "shop.mail.remind", "--since", "2026-05-02T10:00Z") == [
        ["shop.mail.remind", 3, 1, 0, "2026-05-02T10:00Z", "2026-05-02T10:11Z"]
    ]


@ONE
def test_show_tells_of_denials_that_came_again_and_of_times_that_are_wrong(place: Place, tmp_path: Path) -> None:
    time = Time()
    ledger = place.open(clock=time)
    for _ in range(100):
        ledger.denied(denial(activity="shop.mail.remind"), observed=False)
    ahead = place.open(clock=Time(START + datetime.timedelta(days=3650)))
    ahead.append("sweep", {})
    ledger.append("sweep", {})
    path = tmp_path / "export.jsonl"
    told("export", place.target, "-o", path)
    for target in (place.target, path):
        text = told("show", target)
        assert "Denials that came again (99)" in text
        reason = "renewal-guidance (1.2(1)①) may not use product-data (1.1(b))"
        assert f"2026-05-02 09:00 shop.mail.remind {reason} 99" in text
        (group,) = json.loads(told("show", target, "--format", "json", "--by", "activity"))["groups"]
        assert group["refused"] == 100
        assert "  99 denials that came again in hours that are not over" in told("verify", target)
        done = run("ledger", "show", target, "--since", "2026-05-02", "--until", "2026-05-03", columns=200)
        assert "1 entry made between these have a time outside the period: a clock was wrong" in done.stderr
        done = run("ledger", "show", target, "--since", "2027-05-02", "--by", "activity")
        assert done.stderr == ""


@ONE
def test_show_keeps_to_the_newest_groups_and_refuses_what_it_does_not_add_up(filled: Place) -> None:
    done = run("ledger", "show", filled.target, "--by", "field", "--limit", "1", "--format", "json")
    data = json.loads(done.stdout)
    assert [group["field"] for group in data["groups"]] == ["data was read"]
    assert data["left_out"] == 2
    assert done.stderr == "note: 2 earlier rows are left out (--limit 1)\n"
    for arguments, message in (
        (("--by", "activity,colour"), "added up by `colour`: name some of activity,field,purpose,sources,entry_point"),
        (("--by", "activity", "--kind", "sweep"), "entries of kind `sweep` are not added up"),
    ):
        done = run("ledger", "show", filled.target, *arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        assert message in done.stderr


@ONE
def test_show_keeps_to_the_newest_and_says_what_it_leaves_out(filled: Place) -> None:
    done = run("ledger", "show", filled.target, "--limit", "1", "--format", "json")
    data = json.loads(done.stdout)
    assert [one["hour"] for one in data["uses"]] == ["2026-05-02T10:00Z"]
    assert [one["seq"] for one in data["entries"]] == [10]
    assert data["left_out"] == {"uses": 1, "entries": 8}
    told_of = [f"note: {what} are left out (--limit 1)" for what in ("1 earlier uses", "8 earlier entries")]
    assert done.stderr.splitlines() == told_of


@ONE
def test_bare_checks_and_large_numbers_are_easy_to_read(place: Place) -> None:
    ledger = place.open(clock=Time())
    ledger._counters.add(None, "1.2(1)①", R | C, 1234567)
    ledger.append("sweep", {"step": "ended", "erased": {"orders": 3}, "again": False})
    ledger.flush()
    text = told("show", place.target)
    assert "2026-05-02 09:00 (bare check) 1.2(1)① 1.1(a) 1.1(c) 1,234,567" in text
    assert 'again: false, erased: {"orders": 3}' in text


@ONE
def test_show_refuses_what_it_does_not_understand(filled: Place) -> None:
    for arguments, message in (
        (("--kind", "refusal"), "there are no entries of kind `refusal`: use, denial"),
        (("--since", "yesterday"), "`yesterday` is no time: give a day such as `2026-05-01`"),
        (("--until", "2026-05-02T10:00"), "could be any of many moments: give its time zone"),
        (("--since", "0001-01-01T00:00+14:00"), "is outside the range of UTC"),
        (("--until", "9999-12-31T23:59-14:00"), "is outside the range of UTC"),
    ):
        done = run("ledger", "show", filled.target, *arguments)
        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr
    filled.change(sa.delete(ledger_head))
    done = run("ledger", "show", filled.target)
    assert (done.exit_code, done.stderr.split()[0]) == (1, "broken:")


def test_an_export_verifies_by_itself_and_holds_all_there_is(filled: Place, tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    assert told("export", filled.target, "-o", path) == ""
    assert path.stat().st_mode & 0o777 == 0o600
    assert told("verify", path) == told("verify", filled.target)
    assert told("show", path) == told("show", filled.target)
    assert told("export", path) == told("export", filled.target)
    with opened(path) as copied, opened(filled.target) as original:
        assert list(copied.entries()) == list(original.entries())
        assert copied.uses() == original.uses()


@ONE
def test_an_export_may_be_piped_on(filled: Place) -> None:
    done = process("ledger", "export", filled.target)
    assert (done.returncode, done.stdout) == (0, run("ledger", "export", filled.target).stdout)


@ONE
def test_an_export_leaves_nothing_half_done(filled: Place, tmp_path: Path) -> None:
    done = run("ledger", "export", filled.target, "-o", tmp_path / "none" / "export.jsonl")
    assert (done.exit_code, "cannot be written: No such file" in done.stderr) == (2, True)
    filled.change(sa.delete(ledger_rows).where(ledger_rows.c.seq == 4))
    kept = tmp_path / "kept.jsonl"
    kept.write_text("as it was", "utf-8")
    assert run("ledger", "export", filled.target, "-o", kept).exit_code == 1
    assert kept.read_text("utf-8") == "as it was"
    assert not list(tmp_path.glob(".*.new"))


def test_an_export_replaces_no_store(filled: Place, tmp_path: Path) -> None:
    store = tmp_path / "other.db"
    Store.open(f"sqlite:///{store}").close()
    own = Path(filled.target.removeprefix("sqlite:///"))
    others = [store, own] if own.is_file() else [store]
    for path in others:
        before = path.read_bytes()
        done = run("ledger", "export", filled.target, "-o", path, columns=200)
        assert (done.exit_code, "is a store, or another database" in done.stderr) == (2, True), done.output
        assert path.read_bytes() == before
    assert told("verify", filled.target).startswith("intact: 10 entries")


@ONE
def test_an_export_goes_through_a_pipe_that_has_a_name(filled: Place, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        read = pool.submit(path.read_text, "utf-8")
        told("export", filled.target, "-o", path)
        assert read.result(10) == run("ledger", "export", filled.target).stdout
    assert path.is_fifo()
