"""The notice file: what is refused, where the fault is said to be, and what is suggested."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notice.grants import compute_grants
from purposeguard.notice.parsing import LARGEST_FILE, merge_overlays, parse_toml
from purposeguard.notice.schema import Document
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.samples import RETENTION, SMALL, changed, faults_of, numbered, tables


def refused(path: Path) -> str:
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.load(path)
    assert caught.value.origin == str(path)
    assert len(caught.value.faults) == 1
    return str(caught.value)


def written(folder: Path, content: str | bytes, name: str = "notice.toml") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_sample_itself_is_sound(tmp_path: Path) -> None:
    assert pg.Notice.load(written(tmp_path, SMALL)) == pg.Notice.parse(tables())
    assert pg.Notice.load(written(tmp_path, b"\xef\xbb\xbf" + SMALL.encode())) == pg.Notice.loads(SMALL)
    assert pg.Notice.load(str(tmp_path / "notice.toml")) == pg.Notice.loads(SMALL)


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.toml"):
        assert "cannot be read" in refused(path)


@pytest.mark.parametrize("text", ["format = 1\n", "format ="])
def test_a_text_has_the_origin_that_it_is_given(text: str) -> None:
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.loads(text, "the text")
    assert caught.value.origin == "the text"


def test_a_path_that_no_system_takes() -> None:
    with pytest.raises(pg.NoticeError, match="cannot be read"):
        pg.Notice.load("a\0b.toml")


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n"])
def test_an_empty_file(tmp_path: Path, content: str) -> None:
    assert "is empty" in refused(written(tmp_path, content))


@pytest.mark.parametrize(
    "content", ["{}", "not toml", "a = ", "[x", "a = 1\na = 2", '{"json": 1}', "\x00", "a = 1" + "0" * 5000]
)
def test_what_is_not_toml(tmp_path: Path, content: str) -> None:
    assert "is not TOML" in refused(written(tmp_path, content))


def test_what_is_not_utf8_is_said_with_its_line(tmp_path: Path) -> None:
    text = refused(written(tmp_path, 'format = 1\ncontroller = "店"\n'.encode("shift_jis")))
    assert ":2:15: is not UTF-8" in text
    assert ":1:1: is not UTF-8" in refused(written(tmp_path, SMALL.encode("utf-16")))


def test_a_hundred_megabytes_are_refused_without_being_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.toml"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 100 * 2**20)
    tracemalloc.start()
    try:
        assert f"larger than {LARGEST_FILE:,} bytes" in " ".join(refused(path).split())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20


def test_the_largest_file_is_still_read(tmp_path: Path) -> None:
    filler = b"#" * (LARGEST_FILE - len(SMALL.encode()) - 1) + b"\n"
    path = written(tmp_path, filler + SMALL.encode())
    assert path.stat().st_size == LARGEST_FILE
    assert pg.Notice.load(path) == pg.Notice.loads(SMALL)
    assert "larger than" in refused(written(tmp_path, b"#" + filler + SMALL.encode()))


@pytest.mark.parametrize(
    "content",
    ["x = " + "[" * 100_000 + "]" * 100_000, "x = " + "{a=" * 100_000 + "1" + "}" * 100_000],
    ids=["lists", "tables"],
)
def test_deep_nesting(tmp_path: Path, content: str) -> None:
    assert "nested too deeply" in refused(written(tmp_path, content))


@pytest.mark.parametrize("content", ["[" + ".".join("a" * 3000) + "]\nx = 1", "x = " + "[" * 200 + "]" * 200])
def test_nesting_that_toml_can_read_is_a_fault_of_shape(content: str) -> None:
    found = faults_of(content)
    assert set(found) >= {"format", "id", "source", "grant"}


def test_a_file_of_another_format_version() -> None:
    fault = faults_of(changed(lambda t: t.update(format=2)))["format"]
    assert fault.suggestion == "this version reads `format = 1`"


def test_what_is_missing_is_named() -> None:
    found = faults_of("format = 1")
    assert set(found) == {"id", "revision", "controller", "title", "source", "grant"}
    assert {fault.message for fault in found.values()} == {"is missing"}


@pytest.mark.parametrize(
    ("change", "place", "suggestion"),
    numbered([
        (lambda t: t.update(sauce=[]), "sauce", "did you mean `source`?"),
        (lambda t: t["source"][0].update(titel=1), "source[0].titel", "did you mean `title`?"),
        (lambda t: t["grant"][0]["purpose"][1].update(chanels=1), "grant[0].purpose[1].chanels",
         "did you mean `channels`?"),
        (lambda t: t["grant"][1].update(clauses="3"), "grant[1].clauses", "did you mean `clause`?"),
        (lambda t: t["source"][2].update(clas="Usage"), "source[2].clas", "did you mean `class`?"),
        (lambda t: t["source"][0].update(text={"en": {"file": "a.txt", "line": "3"}}), "source[0].text.en.line",
         "did you mean `lines`?"),
        (lambda t: t["grant"][0]["purpose"][0]["channels"].update(close=[]), "grant[0].purpose[0].channels.close",
         "did you mean `closed`?"),
        (lambda t: t["derivation"][0].update(form=["2"]), "derivation[0].form", "did you mean `from`?"),
        (lambda t: t.update(xyzzy={"of": 1}), "xyzzy", "`purposeguard schema` prints the keys"),
    ]),
)  # fmt: skip
def test_an_unknown_key_is_a_fault_with_the_nearest_key(
    change: Callable[[dict[str, Any]], object], place: str, suggestion: str
) -> None:
    fault = faults_of(changed(change))[place]
    assert fault.message == "is no key of this table"
    assert fault.suggestion == suggestion


@pytest.mark.parametrize(
    ("change", "place"),
    numbered([
        (lambda t: t.update(id="Not A Slug"), "id"),
        (lambda t: t.update(channel="email"), "channel"),
        (lambda t: t.update(source=3), "source"),
        (lambda t: t.update(source=[]), "source"),
        (lambda t: t.update(overlay=3), "overlay"),
        (lambda t: t.update(grant=["x"]), "grant[0]"),
        (lambda t: t["grant"][0]["purpose"].append("x"), "grant[0].purpose[2]"),
        (lambda t: t["source"][0].update(id=""), "source[0].id"),
        (lambda t: t["source"][0].update({"class": "None"}), "source[0].class"),
        (lambda t: t["source"][0].update({"class": "X"}), "source[0].class"),
        (lambda t: t["source"][0].update({"class": "Ａccount"}), "source[0].class"),
        (lambda t: t["grant"][0]["title"].update(ja="tab\there"), "grant[0].title.ja"),
        (lambda t: t["grant"][0].update(title={}), "grant[0].title"),
        (lambda t: t["grant"][0]["title"].update(en_US="x"), "grant[0].title.en_US"),
        (lambda t: t["grant"][0]["title"].update(EN="x"), "grant[0].title"),
        (lambda t: t["grant"][0].update(title="in words"), "grant[0].title"),
        (lambda t: t["grant"][0].update(text={"en": "\x1b[31m"}), "grant[0].text.en.words"),
        (lambda t: t["grant"][0].update(text={"en": " "}), "grant[0].text.en"),
        (lambda t: t["grant"][0].update(text={"en": {"words": "x", "lines": "3"}}), "grant[0].text.en"),
        (lambda t: t["grant"][0].update(text={"en": {"file": "a.txt"}}), "grant[0].text.en"),
        (lambda t: t["grant"][0].update(text={"en": {"file": "a.txt", "lines": "3", "from": "x"}}),
         "grant[0].text.en"),
        (lambda t: t["grant"][0].update(text={"en": {"file": "a.txt", "lines": "3", "to": "x"}}),
         "grant[0].text.en"),
        (lambda t: t["grant"][0].update(text={"en": {"file": "a.txt", "lines": "3"}}), "grant[0].text.en"),
        (lambda t: t["grant"][0].update(text={"en": {"file": "../a.txt", "lines": "3"}}), "grant[0].text.en.file"),
        (lambda t: t["grant"][0].update(text={"en": {"file": "/a.txt", "lines": "3"}}), "grant[0].text.en.file"),
        (lambda t: t["grant"][0].update(text={"en": {"file": "C:\\a", "lines": "3"}}), "grant[0].text.en.file"),
        (lambda t: t["grant"][0].update(text={"en": {"file": "a.txt", "lines": "0"}}), "grant[0].text.en.lines"),
        (lambda t: t["grant"][0].update(purpose="x"), "grant[0].purpose"),
        (lambda t: t["grant"][0]["purpose"][0].update(channels={"closed": ["E-Mail"]}),
         "grant[0].purpose[0].channels.closed[0]"),
        (lambda t: t.update(contact={"controller": {"clause": "9", "name": {"en": "a", "ja": "b"}}}),
         "contact.controller"),
        (lambda t: t.update(contact={"controller": {"clause": "9", "name": {"en": "a", "ja": "b"}, "email": "@"}}),
         "contact.controller.email"),
        (lambda t: t.update(voluntary={"clause": "10", "optional": "perhaps"}), "voluntary.optional"),
    ]),
)  # fmt: skip
def test_a_fault_of_shape_has_its_place(change: Callable[[dict[str, Any]], object], place: str) -> None:
    found = faults_of(changed(change))
    assert place in found
    assert found[place].message


@pytest.mark.parametrize(
    ("change", "place", "words"),
    numbered([
        # duplicates
        (lambda t: t["source"][2].update(id="1(a)"), "source[2].id", ("duplicate", "1(a)")),
        (lambda t: t["source"][2].update(id="1 A"), "source[2].id", ("duplicate", "1(a)")),
        (lambda t: t["source"][2].update({"class": "Account"}), "source[2].class", ("duplicate", "1(a)")),
        (lambda t: t["channel"][1].update(id="email"), "channel[1].id", ("duplicate", "email")),
        (lambda t: t["grant"][1].update(clause="3.1"), "grant[1].clause", ("duplicate", "3(1)")),
        (lambda t: t["grant"][1]["purpose"][0].update(id="3(1)-1"), "grant[1].purpose[0].id", ("duplicate", "3(1)①")),
        (lambda t: t["grant"][1]["purpose"][0].update({"class": "Usage"}), "grant[1].purpose[0].class",
         ("duplicate", "a source")),
        (lambda t: t["family"][0].update({"class": "Offers"}), "family[0].class", ("duplicate", "of purpose")),
        (lambda t: t["family"].append({**t["family"][0], "purposes": ["3(1)②", "4②"]}), "family[1].class",
         ("duplicate",)),
        (lambda t: t["source"][0].update({"class": "Source"}), "source[0].class", ("generated modules",)),
        (lambda t: t["derivation"][0].update(id="2"), "derivation[0].id", ("duplicate", "2")),
        # references to nothing
        (lambda t: t["grant"][0].update(sources=["1(z)"]), "grant[0].sources[0]", ("unknown source", "1(z)")),
        (lambda t: t["source"][1].update(parent="9"), "source[1].parent", ("unknown source", "9")),
        (lambda t: t["family"][0].update(purposes=["3(1)①", "4⑨"]), "family[0].purposes[1]", ("unknown purpose",)),
        (lambda t: t["derivation"][0].update({"from": ["7"]}), "derivation[0].from[0]", ("unknown source", "7")),
        (lambda t: t["derivation"][0].update({"with": ["7"]}), "derivation[0].with[0]", ("unknown source", "7")),
        (lambda t: t["derivation"][0].update(serves=["7"]), "derivation[0].serves[0]", ("unknown purpose", "7")),
        (lambda t: t["forbid"][0].update(sources=["7"]), "forbid[0].sources[0]", ("unknown source", "7")),
        (lambda t: t["forbid"][0].update(purposes=["7"]), "forbid[0].purposes[0]", ("unknown purpose or family",)),
        (lambda t: t["overlay"][0].update(source="7"), "overlay[0].source", ("unknown source", "7")),
        (lambda t: t["overlay"][0].update(serves=["7"]), "overlay[0].serves[0]", ("unknown purpose", "7")),
        (lambda t: t["grant"][0]["purpose"][0].update(channels={"closed": ["pigeon"]}),
         "grant[0].purpose[0].channels.closed[0]", ("unknown channel", "pigeon")),
        (lambda t: t["grant"][0]["purpose"][1].update(channels={"open": ["phone", "pigeon"]}),
         "grant[0].purpose[1].channels.open[1]", ("unknown channel", "pigeon")),
        (lambda t: t.update(retention=RETENTION | {"period": [{"source": "7", "days": 30}]}),
         "retention.period[0].source", ("unknown source", "7")),
        # named twice
        (lambda t: t["grant"][0].update(sources=["1(a)", "1A"]), "grant[0].sources[1]", ("a second time",)),
        (lambda t: t.update(retention=RETENTION | {"period": [{"source": "2", "days": 30},
                                                              {"source": "Visit", "days": 3}]}),
         "retention.period[1].source", ("a second period of `2` from end of use",)),
        # what is no clause that data is collected under
        (lambda t: t["grant"][0].update(sources=["5"]), "grant[0].sources", ("no clause",)),
        (lambda t: t["grant"][0].update(sources=["router-usage"]), "grant[0].sources", ("no clause",)),
        # a family of one, by two spellings
        (lambda t: t["family"][0].update(purposes=["4②", "Advice"]), "family[0].purposes[1]", ("a second time",)),
        (lambda t: t["family"].append({**t["family"][0], "class": "AllAdvice", "purposes": ["4②", "3(1)①"]}),
         "family[1].purposes", ("AnyAdvice",)),
        # circles of parents
        (lambda t: t["source"][0].update(parent="1"), "source[0].parent", ("circle", "1 → 1")),
        (lambda t: t["source"][0].update(parent="1(a)"), "source[0].parent", ("circle", "1 → 1(a) → 1")),
        # overlays
        (lambda t: t["overlay"][0].update(serves=["3(2)①", "4①"]), "overlay[0].serves", ("widens", "4①")),
        (lambda t: t["overlay"][0].update(serves=["3(2)②"]), "overlay[0].serves", ("widens", "3(2)②")),
        (lambda t: t["overlay"][0].update(source="5"), "overlay[0].source", ("no source of a clause",)),
    ]),
)  # fmt: skip
def test_a_fault_of_sense_has_its_place(
    change: Callable[[dict[str, Any]], object], place: str, words: tuple[str, ...]
) -> None:
    found = faults_of(changed(change))
    assert place in found
    for word in words:
        assert word in found[place].message


def test_an_unknown_reference_suggests_the_nearest() -> None:
    found = faults_of(changed(lambda t: t["grant"][0].update(sources=["1(d)"])))
    assert "`1(a)`" in (found["grant[0].sources[0]"].suggestion or "")
    found = faults_of(changed(lambda t: t["grant"][0].update(sources=["completely-different"])))
    assert found["grant[0].sources[0]"].suggestion == "name a row of the notice, or write `[[source]]`"


def test_both_clauses_of_a_circle_are_named() -> None:
    found = faults_of(changed(lambda t: t["source"][0].update(parent="1(a)")))
    assert {"source[0].parent", "source[1].parent"} <= set(found)


def test_every_fault_is_reported_at_once_in_the_order_of_the_file() -> None:
    def spoil(t: dict[str, Any]) -> None:
        t["format"] = 2
        t["channel"][1]["titel"] = 1
        t["source"][0]["titel"] = 1
        t["source"][3]["parent"] = "5"
        t["grant"][0]["sources"] = ["nowhere"]
        t["grant"][0]["purpose"][1]["channels"] = {"open": ["pigeon"]}
        t["grant"][2]["purpose"][0]["channels"] = {}
        t["family"][0]["purposes"] = ["4②"]
        t["overlay"][0]["serves"] = ["4②"]

    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.parse(changed(spoil), origin="spoilt.toml")
    places = [fault.place for fault in caught.value.faults]
    assert places == [
        "format", "channel[1].titel", "source[0].titel", "source[3].parent", "grant[0].sources[0]",
        "grant[0].purpose[1].channels.open[0]", "grant[2].purpose[0].channels", "family[0].purposes",
        "overlay[0].serves",
    ]  # fmt: skip
    assert str(caught.value).startswith("spoilt.toml: 9 faults")


def test_numbers_in_places_are_ordered_as_numbers() -> None:
    def spoil(t: dict[str, Any]) -> None:
        row = t["grant"][0]["purpose"][0]
        t["grant"][0]["purpose"] += [
            {**row, "id": f"3(1)-{n}", "class": f"More{chr(65 + n)}x", "channels": {}} for n in range(3, 15)
        ]

    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.parse(changed(spoil))
    numbers = [int(fault.place.split("[")[2].split("]")[0]) for fault in caught.value.faults]
    assert numbers == sorted(numbers) == list(range(2, 14))


def test_a_row_that_is_itself_at_fault_is_not_missed_a_second_time() -> None:
    found = faults_of(changed(lambda t: t["source"][1].update(titel=1)))
    assert set(found) == {"source[1].titel"}
    found = faults_of(changed(lambda t: t["grant"][2]["purpose"][1].update(channels={})))
    assert set(found) == {"grant[2].purpose[1].channels"}


def test_faults_of_a_row_behind_faulty_ones_keep_their_place_in_the_file() -> None:
    def spoil(t: dict[str, Any]) -> None:
        t["grant"][0]["purpose"][0]["titel"] = 1
        t["grant"][0]["purpose"][1]["channels"] = {"open": ["pigeon"]}
        t["source"].insert(0, "not a table")
        t["source"][2]["parent"] = "nowhere"

    found = faults_of(changed(spoil))
    assert set(found) == {
        "grant[0].purpose[0].titel", "grant[0].purpose[1].channels.open[0]", "source[0]", "source[2].parent",
    }  # fmt: skip


def test_a_grant_without_a_clause_is_looked_into_all_the_same() -> None:
    def spoil(t: dict[str, Any]) -> None:
        for grant in t["grant"]:
            del grant["clause"]
        t["grant"][0]["sources"] = ["nowhere"]

    found = faults_of(changed(spoil))
    assert set(found) == {"grant[0].clause", "grant[0].sources[0]", "grant[1].clause", "grant[2].clause"}


def test_what_a_document_grants_to_nobody_known_is_passed_over() -> None:
    document = Document.model_validate(changed(lambda t: t["grant"][0].update(sources=["nowhere"])))
    assert compute_grants(document)["1(a)"] == {"3(2)①": "3(2)", "3(2)②": "3(2)"}


def test_references_are_read_as_generously_as_ids_in_code() -> None:
    def respell(t: dict[str, Any]) -> None:
        t["grant"][0]["sources"] = ["１Ａ"]
        t["family"][0]["purposes"] = ["renewal", "4-2"]
        t["source"][1]["parent"] = "Person"
        t["retention"] = RETENTION | {"period": [{"source": "account", "days": 30}]}  # fmt: skip

    notice = pg.Notice.parse(changed(respell))
    assert notice.document.grant[0].sources == ("1(a)",)
    assert notice.document.family[0].purposes == ("3(1)①", "4②")
    assert notice.document.source[1].parent == "1"
    assert notice.document.retention is not None
    assert notice.document.retention.period[0].source == "1(a)"


ROUTER = """
[[overlay]]
id = "1(b) camera"
class = "CameraUsage"
source = "1(b)"
product = "camera"
item = "frames"
serves = []
title = { en = "Frames of a camera", ja = "映像" }
"""


def test_overlays_come_from_further_files(tmp_path: Path) -> None:
    extra = written(tmp_path, ROUTER, "camera.toml")
    notice = pg.Notice.load(written(tmp_path, SMALL), extra)
    assert [source.__name__ for source in notice.sources][-3:] == ["RouterUsage", "CameraUsage", "LinkedVisit"]
    assert notice.grants[notice.source("camera-usage")] == {}


def test_an_overlay_file_that_widens_is_refused(tmp_path: Path) -> None:
    extra = written(tmp_path, ROUTER.replace("serves = []", 'serves = ["4①"]'), "camera.toml")
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.load(written(tmp_path, SMALL), extra)
    (fault,) = caught.value.faults
    assert (fault.place, fault.file, fault.line, fault.column) == ("overlay[0].serves", str(extra), 8, 1)


def test_each_fault_is_told_where_its_file_has_it(tmp_path: Path) -> None:
    extra = written(tmp_path, f"{ROUTER}{ROUTER}".replace("Frames", "Frames\\n"), "camera.toml")
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.load(written(tmp_path, SMALL.replace('sources = ["2"]', 'sources = ["7"]')), extra)
    assert [fault.place for fault in caught.value.faults if fault.file == str(extra)] == [
        "overlay[0].title.en", "overlay[1].id", "overlay[1].class", "overlay[1].title.en",
    ]  # fmt: skip
    for fault in caught.value.faults:
        assert fault.file is not None
        assert str(fault).startswith(f"{fault.file}:{fault.line}:{fault.column}: {fault.place}: ")
        line = Path(fault.file).read_text(encoding="utf-8").splitlines()[(fault.line or 0) - 1]
        key = fault.place.rpartition(".")[2].partition("[")[0]
        assert line[(fault.column or 0) - 1 :].startswith(f"{key} = " if "[" not in fault.place[-3:] else '"7"')


def test_a_notice_of_another_origin_has_faults_with_lines_in_its_overlays_alone() -> None:
    extra = parse_toml(ROUTER.replace("serves = []", 'serves = ["4①"]'), "camera.toml")
    tables_of_all = merge_overlays(changed(lambda t: t["overlay"][0].update(serves=["4①"])), [("camera.toml", extra)])
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.parse(tables_of_all)
    assert [(fault.place, fault.file, fault.line) for fault in caught.value.faults] == [
        ("overlay[0].serves", None, None),
        ("overlay[0].serves", "camera.toml", 8),
    ]


@pytest.mark.parametrize(
    ("content", "places"),
    [('id = "x"\n' + ROUTER, ["id"]), ("overlay = 3", ["overlay"]), ("[overlay]\nid = 1", ["overlay"])],
)
def test_an_overlay_file_holds_overlays_only(tmp_path: Path, content: str, places: list[str]) -> None:
    extra = written(tmp_path, content, "camera.toml")
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.load(written(tmp_path, SMALL), extra)
    assert [fault.place for fault in caught.value.faults] == places
    assert caught.value.origin == str(extra)


@pytest.mark.parametrize("content", ["overlay = 3", 'overlay = "x"', "[overlay]\nid = 1"])
def test_overlays_of_the_wrong_shape_in_the_notice_itself(tmp_path: Path, content: str) -> None:
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.load(written(tmp_path, content))
    assert "overlay" in {fault.place.split("[")[0] for fault in caught.value.faults}
    extra = written(tmp_path, ROUTER, "camera.toml")
    with pytest.raises(pg.NoticeError):
        pg.Notice.load(written(tmp_path, content), extra)


def test_derivations_have_function_names_of_their_own() -> None:
    def same(t: dict[str, Any]) -> None:
        t["derivation"].append({**t["derivation"][0], "id": "9", "class": "LinkedAgain", "operation": "match"})

    name = tables()["derivation"][0]["function"]
    found = faults_of(changed(same))
    assert list(found) == ["derivation[1].function"]
    assert f"duplicate: `{name}` is already the function of" in str(found["derivation[1].function"])


@pytest.mark.parametrize("name", ["derive", "json", "final", "print", "lambda"])
def test_names_that_a_generated_module_needs_are_no_functions_of_a_notice(name: str) -> None:
    found = faults_of(changed(lambda t: t["derivation"][0].update(function=name)))
    assert f"`{name}` is a name that generated modules need" in str(found["derivation[0].function"])


def doubled(place: str, **changes: Any) -> Callable[[dict[str, Any]], object]:
    """A change that says an entry of the list at this place a second time, with changes to it."""

    def change(made: dict[str, Any]) -> None:
        rows: Any = made
        for step in place.split("."):
            rows = rows[int(step) if step.isdecimal() else step]
        again = {**rows[0], **changes} if isinstance(rows[0], dict) else changes.get("text", rows[0])
        rows.append(again)

    return change


REFERENCE = tm.NOTICE.dump()


def places_of(change: Callable[[dict[str, Any]], object]) -> list[str]:
    made = json.loads(json.dumps(REFERENCE))
    change(made)
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.parse(made)
    return [fault.place for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("change", "place"),
    numbered([
        (doubled("transfer.country"), "transfer.country[11].code"),
        (doubled("transfer.equivalent.0.countries", text="GB"), "transfer.equivalent[1].countries[0]"),
        (doubled("transfer.equivalent.0.countries", text="DE"), "transfer.equivalent[0].countries[30]"),
        (doubled("transfer.equivalent", id="e-ea", countries=["CH"]), "transfer.equivalent[2].id"),
        (doubled("transfer.country.10.limit.tasks"), "transfer.country[10].limit.tasks[3].id"),
        (doubled("entrustment.recipients", id="over-seas-affiliate"), "entrustment.recipients[3].id"),
        (doubled("safeguards.measures"), "safeguards.measures[2].id"),
        (doubled("safeguards.means", id="data-base-access"), "safeguards.means[5].id"),
        (doubled("rights.request", effect="deletes"), "rights.request[8].id"),
        (doubled("rights.requesters"), "rights.requesters[2]"),
        (doubled("retention.bases"), "retention.bases[2]"),
        (doubled("changes.announced_by"), "changes.announced_by[2]"),
        (doubled("channel", id="e_mail"), "channel[8].id"),
    ]),
)  # fmt: skip
def test_what_is_said_twice_is_a_fault(change: Callable[[dict[str, Any]], object], place: str) -> None:
    assert places_of(change) == [place]


def test_what_two_rows_say_of_one_thing_is_a_fault() -> None:
    def change(t: dict[str, Any]) -> None:
        t["forbid"] = [
            {"sources": ["2"], "purposes": ["Offers", "3(1)①"], "reason": t["title"]},
            {"sources": ["Visit"], "purposes": ["3.1.1", "3.1.2"], "reason": t["source"][0]["title"]},
        ]
        row = {"id": "P1", "class": "OneItem", "source": "2", "product": "A", "item": "b", "serves": []}
        same = {"id": "P2", "class": "SameItem", "product": " a", "item": "B"}
        t["overlay"] = [{**row, "title": t["title"]}, {**row, **same, "title": t["title"]}]
        again = {"id": "9", "class": "LinkedAgain", "function": "again"}
        t["derivation"].append(
            {**t["derivation"][0], **again, "from": t["derivation"][0]["with"], "with": t["derivation"][0]["from"]}
        )

    assert set(faults_of(changed(change))) == {"derivation[1].operation", "forbid[1].sources", "overlay[1].item"}


def test_a_name_that_folds_to_another_kind_s_is_a_fault() -> None:
    found = faults_of(changed(lambda t: t["family"][0].update({"class": "OFFers"})))
    assert "already an id of purpose" in found["family[0].class"].message
    found = faults_of(changed(lambda t: t["source"][2].update({"class": "OFFers"})))
    assert "already the class of a source" in found["grant[0].purpose[1].class"].message
    for own in ({"id": "not personal"}, {"class": "Notpersonal"}):
        (place,) = own
        made = tables()
        made["source"][2].update(own)
        fault = faults_of(made)[f"source[2].{place}"]
        assert "not personal" in fault.message


def test_what_is_said_twice_is_told_beside_a_fault_of_shape() -> None:
    def change(made: dict[str, Any]) -> None:
        doubled("rights.request")(made)
        made["source"][0]["colour"] = "red"
        made["voluntary"]["optional"] = "perhaps"

    assert places_of(change) == ["source[0].colour", "rights.request[8].id", "voluntary.optional"]


@pytest.mark.parametrize(
    ("change", "place", "suggestion"),
    numbered([
        (lambda t: t.update(entrustment={"clause": "4"}), "entrustment.scope", 'write `scope = "granted-purposes"`'),
        (lambda t: t.update(changes={"clause": "11", "announced_by": ["Pigeon!"], "material": "notice",
                                     "required_by_law": "consent"}), "changes.announced_by[0]",
         "Latin letters in lower case, e.g. `email` or `direct_mail`; what people call it is its `title`"),
        (lambda t: t["source"][0].update(id="1" * 101), "source[0].id", "shorten it"),
        (lambda t: t.update(voluntary=True), "voluntary", "write `[voluntary]`, and its keys below"),
        (lambda t: t.update(retention={"clause": "8", "starts": "end-of-use", "bases": ["law", "ｌａｗ"],
                                       "after": "law-only"}), "retention.bases[1]", "write it as it stands here"),
        (lambda t: t.update(retention=RETENTION | {"period": [{"source": "1(a)", "days": -1}]}),
         "retention.period[0].days", "write `days = 30`"),
    ]),
)  # fmt: skip
def test_a_fault_says_what_to_write(change: Callable[[dict[str, Any]], object], place: str, suggestion: str) -> None:
    assert faults_of(changed(change))[place].suggestion == suggestion


def test_overlays_may_come_from_tables() -> None:
    (row,) = tables()["overlay"]
    extra = {"overlay": [{**row, "id": "x", "class": "Other", "item": "other", "serves": ["4①"]}]}
    with pytest.raises(pg.NoticeError) as caught:
        pg.Notice.parse(merge_overlays(parse_toml(SMALL, "small.toml"), [("extra.toml", extra)]))
    assert {fault.place for fault in caught.value.faults} == {"overlay[1].serves"}
