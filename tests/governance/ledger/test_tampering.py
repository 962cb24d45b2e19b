"""Whatever is changed in a ledger, taken out of it, moved or cut off is found, and where."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from purposeguard.errors import LedgerBroken
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.ledger.chain import Entry, Head, to_canonical_json
from purposeguard.governance.ledger.exports import export_lines
from purposeguard.governance.ledger.opening import opened
from purposeguard.governance.ledger.reading import ChainVerifier, PlacedEntry, parse_entry
from purposeguard.governance.ledger.tables import counts as count_table
from purposeguard.governance.ledger.tables import head as head_table
from purposeguard.governance.ledger.tables import ledger as ledger_table
from purposeguard.governance.ledger.writing import chain_entries
from tests.governance.ledger.places import Place, row_values, tell
from tests.governance.support import Time

FLIPS = (1, 32, 128)
"""Bits that are flipped: another letter or digit, another case, no ASCII."""


def broken(act: Callable[[], object]) -> LedgerBroken:
    with pytest.raises(LedgerBroken) as found:
        act()
    assert len(str(found.value).splitlines()) < 4
    return found.value


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bit of everything, over several hours; and counts of one that is not over."""
    return export_in(tmp_path_factory.mktemp("exports"), 7)


def export_in(folder: Path, entries: int) -> Path:
    time = Time()
    path = folder / "export.jsonl"
    with Place(f"sqlite:///{folder}/store.db") as place:
        ledger = place.open(clock=time)
        tell(ledger, entries, time)
        with ledger.reading() as reading:
            path.write_bytes(b"".join(export_lines(reading)))
    return path


@pytest.fixture
def export(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(template, tmp_path))


def verified(path: Path) -> int:
    with opened(path) as found:
        return found.verify().entries


def line_of(data: bytes, byte: int) -> int:
    return data.count(b"\n", 0, byte) + 1


def flip_each_byte(path: Path, flips: Callable[[int], Iterable[int]]) -> None:
    data = path.read_bytes()
    last = line_of(data, len(data) - 1)
    with path.open("r+b", buffering=0) as file:
        for byte, before in enumerate(data):
            for flip in flips(byte):
                file.seek(byte)
                file.write(bytes([before ^ flip]))
                place = broken(lambda: verified(path)).place
                number = line_of(data, byte)
                assert place == f"line {number}" or (place, number) == ("head", last), (byte, flip, place)
            file.seek(byte)
            file.write(bytes([before]))
    assert verified(path)


def test_any_byte_of_an_export_that_is_changed_is_found_and_its_line_named(export: Path) -> None:
    flip_each_byte(export, lambda byte: FLIPS if byte % 50 == 0 else FLIPS[byte % 3 :][:1])


@pytest.mark.deep
def test_any_byte_of_a_long_export_changed_by_any_bit_is_found(tmp_path: Path) -> None:
    path = export_in(tmp_path, 25)
    assert verified(path) >= 28
    flip_each_byte(path, lambda _: (1 << bit for bit in range(8)))


def test_an_export_whose_head_is_missing_or_spelled_otherwise_is_broken(export: Path) -> None:
    data = export.read_bytes()
    start = data.rindex(b'{"head"')
    head = data[start:]
    assert b'"open":[{' in head
    for other in (b"", head[:-1], head[:-30], head + b"\n", head.replace(b":", b": "), b'{"head":' + b"[" * 100_000):
        export.write_bytes(data[:start] + other)
        with opened(export) as found:
            for act in (found.uses, found.entries, found.verify):
                assert broken(act).place == "head" or other == head.replace(b":", b": "), other
    export.write_bytes(b"")
    assert broken(lambda: verified(export)).place == "head"


def test_bytes_that_are_put_in_or_taken_out_are_found(export: Path) -> None:
    data = export.read_bytes()
    for byte in range(0, data.rindex(b'{"head"'), 61):
        for inserted in (b"", b" ", b"\n"):
            export.write_bytes(data[:byte] + inserted + data[byte + (not inserted) :])
            place = broken(lambda: verified(export)).place
            number = int(re.findall(r"\d+", place)[0])
            assert abs(number - line_of(data, byte)) <= 1, (byte, place)


def test_lines_that_are_taken_out_put_in_twice_or_swapped_are_found(export: Path) -> None:
    *lines, head = export.read_bytes().splitlines(keepends=True)
    fits = json.loads(head)["head"]

    def found(changed: list[bytes]) -> tuple[str, str]:
        length = sum(map(len, changed))
        closing = Head.of(fits)
        closing = dataclasses.replace(closing, bytes=length)  # the length is right, and the chain is not
        export.write_bytes(b"".join(changed) + f'{{"head":{closing.text}}}\n'.encode())
        error = broken(lambda: verified(export))
        return error.place, error.what

    last = len(lines)
    for number in range(1, last):
        at = number - 1
        what = f"entry {number} is missing: entry {number + 1} comes next"
        assert found(lines[:at] + lines[number:]) == (f"line {number}", what)
        swapped = [*lines[:at], lines[number], lines[at], *lines[number + 1 :]]
        assert found(swapped) == found(lines[:at] + lines[number:])
        twice = [*lines[:number], lines[at], *lines[number:]]
        what = f"out of order: entry {number} stands where entry {number + 1} belongs"
        assert found(twice) == (f"line {number + 1}", what)
        missing = f"entry {last} is" if number == last - 1 else f"entry {number + 1} to {last} are"
        what = f"{missing} missing at the end: the head says that there are {last}"
        assert found(lines[:number]) == (f"entry {number + 1}", what)
    assert found([]) == ("entry 1", f"entry 1 to {last} are missing at the end: the head says that there are {last}")
    assert found(lines[3:])[1] == "entry 1 to 3 are missing: entry 4 comes next"
    fifth = parse_entry(lines[4], "")
    forged = Entry.after(4, fifth.prev, fifth.at, fifth.kind, {"reason": "nothing happened"})
    place, what = found([*lines[:4], forged.line, *lines[5:]])
    assert (place, "does not follow the one before it" in what) == ("line 6", True)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"\xff\n",
        b"\xef\xbb\xbf{}\n",
        b"[" * 100_000 + b"\n",
        b'{"at":"","body":{},"hash":"","kind":"","prev":"","seq":1,"seq":1}\n',
        b'{"at":"","body":{"a":1e999},"hash":"","kind":"","prev":"","seq":1}\n',
        b'{"at":"","body":{"a":"\\ud800"},"hash":"","kind":"","prev":"","seq":1}\n',
        b'{"at":"","body":[],"hash":"","kind":"","prev":"","seq":1}\n',
        b'{"at":"","body":{},"hash":"","kind":"","prev":"","seq":true}\n',
        b'{"at":"","body":{},"hash":"","kind":"","prev":"","seq":' + b"1" * 5000 + b"}\n",
    ],
    ids=range(14),
)
def test_what_is_no_entry_is_said_to_be_none(line: bytes) -> None:
    assert broken(lambda: parse_entry(line, "line 7")).place == "line 7"


def filled(place: Place) -> SqlLedger:
    time = Time()
    made = place.open(clock=time)
    tell(made, 7, time)
    return made


def row(number: int, **changed: object) -> sa.Update:
    return sa.update(ledger_table).where(ledger_table.c.seq == number).values(changed)


def test_any_column_of_any_row_that_is_changed_is_found(place: Place) -> None:
    made = filled(place)
    last = made.verify().entries
    for number in range(1, last + 1):
        kept = place.row(ledger_table, number)
        changes = {
            "at": "2026-05-02T09:15:00.000001Z",
            "kind": f"{kept['kind']}x",
            "body": kept["body"].replace(":", ": "),
            "prev": f"g{kept['prev'][1:]}",
            "hash": f"{kept['hash'][:-1]}g",
            "seq": number + 1000,
        }
        for column, changed in changes.items():
            place.change(row(number, **{column: changed}))
            assert broken(made.verify).place == f"entry {number}"
            place.change(row(changes["seq"] if column == "seq" else number, **kept))
    assert made.verify().entries == last


def swap(place: Place, one: int, other: int) -> None:
    for number, changed in ((one, -1), (other, one), (-1, other)):
        place.change(row(number, seq=changed))


def test_rows_that_are_taken_out_added_or_swapped_are_found(place: Place) -> None:
    made = filled(place)
    last = made.verify().entries
    for number in range(1, last + 1):
        kept = place.row(ledger_table, number)
        place.change(sa.delete(ledger_table).where(ledger_table.c.seq == number))
        error = broken(made.verify)
        assert error.place == f"entry {number}"
        assert f"entry {number} is missing" in error.what
        place.change(sa.insert(ledger_table).values(kept))
    swap(place, 3, 4)
    assert broken(made.verify).place == "entry 3"
    swap(place, 3, 4)
    assert made.verify().entries == last
    with made.reading() as found:
        (more,) = chain_entries(found.head.seq, found.head.hash, found.head.at, [("sweep", '{"step":"ended"}')])
    place.change(sa.insert(ledger_table).values(row_values(more)))
    error = broken(made.verify)
    what = f"the head says that there are {last} entries, and there are {last + 1}"
    assert (error.place, error.what) == ("head", what)


def test_any_column_of_the_head_that_is_changed_is_found(place: Place) -> None:
    made = filled(place)
    kept = place.row(head_table, 1)
    for column, changed in (("seq", kept["seq"] - 1), ("seq", kept["seq"] + 1), ("hash", f"g{kept['hash'][1:]}")):
        place.change(sa.update(head_table).values({column: changed}))
        assert broken(made.verify).place in ("head", f"entry {kept['seq'] + 1}")
        assert broken(lambda: made.append("sweep", {})).place == "head"
        with place.store.writing() as connection:
            assert broken(lambda: made.append_in(connection, "sweep", {})).place == "head"  # at once
            connection.rollback()
        place.change(sa.update(head_table).values(kept))
    made.append("sweep", {})
    place.change(sa.delete(head_table))
    assert broken(made.verify).what.startswith("the head is missing")
    assert broken(lambda: made.append("sweep", {})).place == "head"


def test_a_count_that_is_none_is_found(place: Place) -> None:
    made = filled(place)
    with place.store.reading() as connection:
        kept = connection.execute(sa.select(count_table)).mappings().one()
    changes: list[tuple[str, object]] = [
        ("count", 0),
        ("kind", "sweep"),
        ("hour", "2026-05-02T11:00Z"),
        *[("body", text) for text in ("", "[", "{}", "null", "[1]", "[{}]", "[" * 100_000)],
        ("body", kept["body"].replace('"hour":', '"hours":')),
    ]
    for column, changed in changes:
        place.change(sa.update(count_table).values({column: changed}))
        for act in (made.verify, made.uses):
            assert broken(act).place == "counts"
        place.change(sa.update(count_table).values(kept))
    made.verify()


def test_the_last_rows_that_are_cut_off_together_are_missed(place: Place) -> None:
    made = place.open()
    for number in range(5):
        made.append("sweep", {"number": number})
    place.change(sa.delete(ledger_table).where(ledger_table.c.seq > 3))
    error = broken(made.verify)
    what = "entry 4 to 5 are missing at the end: the head says that there are 5"
    assert (error.place, error.what) == ("entry 4", what)


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_what_sqlite_lets_anybody_put_into_a_column_is_no_entry(place: Place) -> None:
    made = place.open()
    made.append("sweep", {})
    kept = place.row(ledger_table, 1)
    for column, changed in (("body", "x'7b7d'"), ("at", "x'00'"), ("hash", "x''"), ("body", "'{\"a\":1e999}'")):
        place.change(row(1, **{column: sa.text(changed.replace(":", "\\:"))}))
        assert broken(made.verify).place == "entry 1"
        place.change(row(1, **kept))
    place.change(row(1, body="[" * 100_000))
    assert broken(made.verify).place == "entry 1"
    place.change(row(1, **kept))
    place.change(sa.update(head_table).values(hash=sa.text("x'00'")))
    assert broken(made.verify).place == "head"


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_the_file_of_a_store_in_which_bytes_are_changed_verifies_or_says_so(place: Place) -> None:
    """SQLite has no checksums of its own: what is in an entry is found out by the chain."""
    ledger = place.open()
    for number in range(20):
        ledger.append("sweep", {"number": number, "what": f"mark-{number:02}"})
    path = Path(place.target.removeprefix("sqlite:///"))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = path.read_bytes()
    copy = path.with_name("copy.db")
    for number in range(20):
        at = data.index(f"mark-{number:02}".encode()) + 2
        copy.write_bytes(data[:at] + b"X" + data[at + 1 :])
        with opened(copy) as found:
            assert broken(found.verify).place == f"entry {number + 1}"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
contents = st.lists(
    st.tuples(st.sampled_from(["sweep", "denial"]), st.dictionaries(texts, values, max_size=3)), min_size=1, max_size=8
)


def walked(entries: list[Entry], head: Head) -> list[Entry]:
    chain = ChainVerifier()
    placed = [PlacedEntry(f"line {number}", entry) for number, entry in enumerate(entries, 1)]
    found = list(map(chain.follow, placed))
    chain.end(head)
    return found


def forged(*bodies: tuple[str, str, dict[str, Any]]) -> tuple[list[Entry], Head]:
    """A chain whose hashes are right, by whoever writes what he likes."""
    entries: list[Entry] = []
    last = Entry(0, "", "", {}, "", Head().hash)
    for at, kind, body in bodies:
        last = Entry.after(last.seq, last.hash, at, kind, body)
        entries.append(last)
    return entries, Head(last.seq, last.at, last.hash)


def test_a_chain_with_the_right_hashes_may_still_be_wrong() -> None:
    entries, head = forged(("2026-05-02", "sweep", {}), ("2026-05-02", "sweep", {}))
    error = broken(functools.partial(walked, entries, Head(2, head.at, "f" * 64)))
    assert (error.place, error.what) == ("head", "the head is not that of the last entry")


def test_a_count_that_counts_nothing_is_found_when_uses_are_added_up(tmp_path: Path) -> None:
    good = {"activity": None, "count": 7, "hour": "2026-05-02T09:00Z", "purpose": "1.2(1)①", "sources": ["1.1(a)"]}
    path = tmp_path / "ledger.jsonl"
    changes: list[dict[str, Any]] = [{"count": 0}, {"count": True}, {"activity": 7}, {"hour": None}, {"purpose": None}]
    changes += [{"sources": "1.1(a)"}, {"sources": [1]}, {"more": 1}]
    for wrong in ({}, *(good | change for change in changes)):
        entries, head = forged(("2026-05-02", "use", good), ("2026-05-02", "use", wrong))
        lines = b"".join(entry.line for entry in entries)
        path.write_bytes(lines + f'{{"head":{dataclasses.replace(head, bytes=len(lines)).text}}}\n'.encode())
        assert verified(path) == 2
        with opened(path) as found:
            error = broken(found.uses)
        assert (error.place, error.what) == ("line 2", "the entry counts no uses")


@given(told=contents, data=st.data())
def test_what_is_told_is_read_back_and_anything_else_is_found(told: list[Any], data: st.DataObject) -> None:
    entries: list[Entry] = []
    head = Head()
    for kind, body in told:
        at = data.draw(st.sampled_from(["2026-05-02T09:15", "2026-05-02T10:15"]))
        (entry,) = chain_entries(head.seq, head.hash, at, [(kind, to_canonical_json(body))])
        head = Head(entry.seq, entry.at, entry.hash)
        entries.append(entry)
    read = [parse_entry(entry.line, "line") for entry in entries]
    assert read == entries == walked(read, head)
    assert [(one.kind, one.body) for one in read] == told
    other = data.draw(st.permutations(entries) | st.lists(st.sampled_from(entries), max_size=len(entries)))
    if other != entries:
        broken(lambda: walked(other, head))
    number = data.draw(st.integers(0, len(entries) - 1))
    line = entries[number].line
    byte = data.draw(st.integers(0, len(line) - 1))
    flipped = line[:byte] + bytes([line[byte] ^ data.draw(st.integers(1, 255))]) + line[byte + 1 :]

    def read_changed() -> None:
        changed = [*entries[:number], parse_entry(flipped, f"line {number + 1}"), *entries[number + 1 :]]
        walked(changed, head)

    assert broken(read_changed).place == f"line {number + 1}"
