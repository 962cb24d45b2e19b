"""Notice files: what is read is what was written, and what is wrong is all told at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from purposeguard import Notice, NoticeError
from purposeguard.notice.schema import Document
from purposeguard.notices import trendmicro_jp as tm
from tests import generated
from tests.generated import notice_tables
from tests.generated.notice_faults import PLANTS
from tests.generated.notice_tables import Tables
from tests.properties.spellings import spellings


@given(notice=st.one_of(st.just(tm.NOTICE), generated.notices(facts=True, opened=True, conditions=True)))
def test_load_dump_is_identity(notice: Notice) -> None:
    tables = notice.dump()
    for again in (Notice.parse(tables), Notice.loads(tomli_w.dumps(tables))):
        assert again == notice
        assert again.document == notice.document
        assert again.dump() == tables
        assert hash(again) == hash(notice)
        assert [one.clause for one in again.sources] == [one.clause for one in notice.sources]
        assert [one.clause for one in again.purposes] == [one.clause for one in notice.purposes]
    changed = notice_tables.copied(tables)
    changed["title"][notice.languages[0]] += "."
    assert Notice.parse(changed) != notice


@given(data=st.data(), made=notice_tables.tables())
def test_references_are_read_generously_and_kept_canonical(data: st.DataObject, made: Tables) -> None:
    """A file whose references are spelled as people spell them is the same notice."""
    respelled = notice_tables.copied(made)
    names = {
        row["id"]: row["class"]
        for rows in (made["source"], made.get("overlay", ()), made.get("derivation", ()))
        for row in rows
    }
    purposes = {row["id"]: row["class"] for grant in made["grant"] for row in grant["purpose"]}

    def other(given_id: str, known: dict[str, str]) -> str:
        return data.draw(st.sampled_from([known[given_id], given_id])) if data.draw(st.booleans()) else given_id

    for grant in respelled["grant"]:
        grant["sources"] = [data.draw(spellings(one)) for one in grant["sources"]]
    for row in respelled["source"]:
        if "parent" in row:
            row["parent"] = data.draw(spellings(row["parent"]))
    for row in respelled.get("derivation", ()):
        row["from"] = [other(one, names) for one in row["from"]]
        row["serves"] = [other(one, purposes) for one in row["serves"]]
    for row in respelled.get("overlay", ()):
        row["source"] = other(row["source"], names)
        row["serves"] = [data.draw(spellings(one)) for one in row["serves"]]
    for row in respelled.get("forbid", ()):
        row["sources"] = [other(one, names) for one in row["sources"]]
    assert Notice.parse(respelled) == Notice.parse(made)


def faults_of(made: Tables) -> list[str]:
    """The places of the faults of these tables, which must be the same when they are read from a file."""
    with pytest.raises(NoticeError) as refused:
        Notice.parse(made)
    with pytest.raises(NoticeError) as from_file:
        Notice.loads(tomli_w.dumps(made))
    assert {fault[:3] for fault in from_file.value.faults} == {fault[:3] for fault in refused.value.faults}
    lines = [(fault.line, fault.column) for fault in from_file.value.faults]
    assert all(line and column for line, column in lines)
    assert lines == sorted(lines)
    text = str(refused.value)
    assert all(fault.place in text and fault.message and fault.suggestion for fault in refused.value.faults)
    return [fault.place for fault in refused.value.faults]


@pytest.mark.parametrize("kind", list(PLANTS))
def test_a_fault_is_found_at_its_place(kind: str) -> None:
    made = tm.NOTICE.dump()
    expected = PLANTS[kind](made)
    assert sorted(faults_of(made)) == sorted(expected)


def test_a_planted_derivation_repeats_none_of_the_notice() -> None:
    made = tm.NOTICE.dump()
    first = made["source"][0]["id"]
    existing = {"id": "D1", "class": "LinkedTwice", "function": "link_twice", "from": [first], "with": [first]}
    made["derivation"].append(made["derivation"][0] | existing)
    expected = PLANTS["reserved-function"](made)
    assert faults_of(made) == expected


@given(faulty=generated.faulty_notices(most=len(PLANTS)).filter(lambda faulty: faulty.tables is not None))
def test_every_fault_is_told_at_once(faulty: generated.FaultyNotice) -> None:
    found = faults_of(dict(faulty.tables or {}))
    assert sorted(found) == list(faulty.places)
    # In the order of the file's tables, and of the rows within each.
    heads = [place.partition("[")[0].partition(".")[0] for place in found]
    assert heads == sorted(heads, key=["grants", *Document.model_fields].index)
    for table in ("source", "grant", "family", "derivation", "overlay"):
        rows = [int(place.split("[")[1].split("]")[0]) for place in found if place.startswith(f"{table}[")]
        assert rows == sorted(rows)


def lists_in(table: dict[str, Any], place: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Every list of a file that holds something, and its place."""
    for key, value in table.items():
        here = f"{place}.{key}" if place else key
        if isinstance(value, dict):
            yield from lists_in(value, here)
        elif isinstance(value, list) and value:
            yield here, value
            for index, row in enumerate(value):
                if isinstance(row, dict):
                    yield from lists_in(row, f"{here}[{index}]")


@given(data=st.data(), made=st.one_of(st.just(tm.NOTICE.dump()), notice_tables.tables(facts=True)))
def test_whatever_is_said_twice_is_refused(data: st.DataObject, made: Tables) -> None:
    """An entry of any list again, as it is or in another spelling of the same id."""
    again = notice_tables.copied(made)
    place, entries = data.draw(st.sampled_from(list(lists_in(again))))
    entry = notice_tables.copied({"one": data.draw(st.sampled_from(entries))})["one"]
    if isinstance(entry, str):
        entry = data.draw(st.one_of(st.just(entry), spellings(entry)))
    elif "id" in entry and "class" in entry:
        # All but the id, or all but the class, of another row.
        key = data.draw(st.sampled_from(["id", "class", "title"]))
        entry[key] = {"id": "999.9", "class": "Nine", "title": entry["title"]}[key]
    entries.append(entry)
    places = faults_of(again)
    assert any(one.startswith(f"{place}[{len(entries) - 1}]") for one in places), places


@given(faulty=generated.faulty_notices())
def test_a_file_is_refused_as_its_tables_are(
    faulty: generated.FaultyNotice, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "faulty.toml"
    path.write_bytes(faulty.content)
    with pytest.raises(NoticeError) as refused:
        Notice.load(path)
    assert sorted(fault.place for fault in refused.value.faults) == list(faulty.places)
