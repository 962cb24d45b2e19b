"""The words of a notice in files beside it: found, checked, shown, compared, and held by their hash alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import purposeguard as pg
from purposeguard.cli import schema
from purposeguard.notice import passages
from purposeguard.notice.codegen import generate
from purposeguard.notice.passages import hash_words
from purposeguard.policy.diff import compare
from tests.unit.command_line import run

WORDS = """\
Datenschutz

§ 3 Was wir erheben
(1) Wir erheben
    Bestelldaten   von Ihnen.

§ 4 Wofür
Wir liefern damit. Wir liefern
gern.
"""


def tables(**texts: Any) -> dict[str, Any]:
    """A notice in German alone; `texts` are those of its source, grant, purpose and rights."""
    made: dict[str, Any] = {
        "format": 1,
        "id": "laden",
        "revision": "2026-04-01",
        "controller": {"de": "Eckladen"},
        "title": {"de": "Datenschutzhinweise"},
        "source": [{"id": "§ 3 Abs. 1", "class": "Order", "title": {"de": "Bestellungen", "fr": "Commandes"}}],
        "grant": [
            {
                "clause": "uses",
                "title": {"de": "Nutzung"},
                "sources": ["§ 3 Abs. 1"],
                "purpose": [{"id": "delivery-of-orders", "class": "Delivery", "title": {"de": "Lieferung"}}],
            }
        ],
        "rights": {
            "clause": "§ 9",
            "requesters": ["subject"],
            "request": [{"id": "erasure", "effect": "deletes", "title": {"de": "Löschung"}}],
        },
    }
    rows = {
        "source": made["source"][0],
        "grant": made["grant"][0],
        "purpose": made["grant"][0]["purpose"][0],
        "rights": made["rights"],
        "notice": made,
    }
    for name, text in texts.items():
        rows[name]["text"] = text
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "words.de.txt").write_text(WORDS, "utf-8")
    return tmp_path


def written(folder: Path, made: dict[str, Any], name: str = "notice.toml") -> Path:
    path = folder / name
    path.write_text(tomli_w.dumps(made), "utf-8")
    return path


def passage(**keys: str) -> dict[str, Any]:
    return {"de": {"file": "words.de.txt", **keys}}


def words_of(folder: Path, **keys: str) -> str:
    notice = pg.Notice.load(written(folder, tables(source=passage(**keys))))
    text = notice.text(notice.document.source[0])
    assert text is not None
    assert text[0] == "de"
    return text[1]


def fault(folder: Path, text: dict[str, Any], place: str = "source[0].text.de") -> str:
    with pytest.raises(pg.NoticeError) as refused:
        pg.Notice.load(written(folder, tables(source=text)))
    (only,) = refused.value.faults
    assert only.place == place
    return f"{only.message} (help: {only.suggestion})"


def test_lines_of_a_file(folder: Path) -> None:
    assert words_of(folder, lines="1") == "Datenschutz"
    assert words_of(folder, lines="2-5") == "§ 3 Was wir erheben\n(1) Wir erheben\n    Bestelldaten   von Ihnen."
    (folder / "words.de.txt").write_bytes(WORDS.replace("\n", "\r\n").encode("utf-8-sig"))
    assert words_of(folder, lines="4-5") == "(1) Wir erheben\n    Bestelldaten   von Ihnen."


def test_words_from_some_to_others(folder: Path) -> None:
    """They survive lines that come before them, and other line breaks."""
    assert words_of(folder, **{"from": "Wir erheben Bestelldaten"}) == "Wir erheben\n    Bestelldaten   von Ihnen."
    assert words_of(folder, **{"from": "§ 4", "to": "gern."}) == "§ 4 Wofür\nWir liefern damit. Wir liefern\ngern."
    assert words_of(folder, **{"from": "Wir liefern damit"}) == "Wir liefern damit. Wir liefern\ngern."


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"lines": "9-11"}, "`words.de.txt` has 10 lines"),
        ({"lines": "5-4"}, "lines 5-4: the first is behind the last"),
        ({"lines": "2"}, "words.de.txt, line 2: is blank"),
        ({"from": "Wir verkaufen"}, "`words.de.txt` has no “Wir verkaufen” (help: quote it as the file has it)"),
        ({"from": "Wir"}, "`words.de.txt` has “Wir” 3 times (help: quote more of it)"),
        ({"from": "§ 4", "to": "Datenschutz"}, "`words.de.txt` has no “Datenschutz” behind “§ 4”"),
        ({"from": " "}, "`words.de.txt` has no “ ” (help: quote it as the file has it)"),
        ({"lines": "1", "sha256": "0" * 64}, "the words in words.de.txt, line 1 are not those of this `sha256`"),
    ],
)
def test_what_a_file_has_not_is_a_fault(folder: Path, keys: dict[str, str], said: str) -> None:
    assert said in fault(folder, passage(**keys))


def test_a_file_that_cannot_be_read_is_a_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(name: str) -> str:
        return fault(folder, {"de": {"file": name, "lines": "1"}})

    assert of("gone.txt") == "there is no file `gone.txt` beside the notice (help: None)"
    (folder / "latin.txt").write_bytes("gr\u00fcn".encode("latin-1"))
    assert of("latin.txt") == "line 1 of `latin.txt` is not UTF-8 (help: save the file as UTF-8)"
    (folder / "bell.txt").write_text("ring\x07", "utf-8")
    assert of("bell.txt").startswith("bell.txt, line 1: holds a control character")
    (folder / "folder.txt").mkdir()
    assert of("folder.txt").startswith("there is no file `folder.txt`")
    assert of("名" * 200).startswith("`名名名名")  # longer than a file's name may be
    (folder / "loop.txt").symlink_to("loop.txt")
    assert "loop.txt" in of("loop.txt")
    monkeypatch.setattr(passages, "LARGEST", 5)
    assert of("words.de.txt").startswith("`words.de.txt` is larger than 5 bytes")


def test_paths_stay_in_the_folder_of_the_notice(folder: Path) -> None:
    (folder / "inside").mkdir()
    (folder / "inside" / "words.de.txt").write_text(WORDS, "utf-8")
    inside = folder / "inside"
    (inside / "link.txt").symlink_to(folder / "words.de.txt")
    said = fault(inside, {"de": {"file": "link.txt", "lines": "1"}})
    assert said == "`link.txt` leads out of the folder of the notice (help: put the file beside the notice)"
    for name in ("../words.de.txt", str(folder / "words.de.txt"), "a/../../words.de.txt", "C:words", "..\\words"):
        assert "is no file beside the notice" in fault(
            inside, {"de": {"file": name, "lines": "1"}}, "source[0].text.de.file"
        )
    assert pg.Notice.load(written(folder, tables(source={"de": {"file": "inside/words.de.txt", "lines": "1"}}))).words


def test_every_fault_is_told_at_once(folder: Path) -> None:
    made = tables(source=passage(lines="99"), grant={"de": {"file": "gone.txt", "lines": "1"}}, purpose={"de": 3})
    made["rights"]["request"][0]["text"] = passage(lines="1")
    made["grant"][0]["sources"] = ["§ 4"]
    with pytest.raises(pg.NoticeError) as refused:
        pg.Notice.load(written(folder, made))
    assert [fault.place for fault in refused.value.faults] == [
        "source[0].text.de", "grant[0].sources[0]", "grant[0].purpose[0].text.de", "grant[0].text.de",
    ]  # fmt: skip


def test_a_dump_and_a_module_need_nothing_beside_them_and_hold_no_words(folder: Path) -> None:
    notice = pg.Notice.load(written(folder, tables(source=passage(lines="4-5"), purpose={"de": "Damit liefern wir."})))
    found = hash_words("(1) Wir erheben Bestelldaten von Ihnen.")
    dumped = notice.dump()
    assert dumped["source"][0]["text"] == {"de": {"file": "words.de.txt", "lines": "4-5", "sha256": found}}
    assert dumped["grant"][0]["purpose"][0]["text"] == {"de": "Damit liefern wir."}
    module = generate(notice)
    assert found in module
    assert "Damit liefern wir." in module
    assert "Bestelldaten" not in module + json.dumps(dumped)
    names: dict[str, Any] = {"__name__": "generated"}
    exec(compile(module, "generated.py", "exec"), names)  # noqa: S102
    again = names["NOTICE"]
    assert again == notice == pg.Notice.parse(dumped)
    assert again.text(again.document.source[0]) == ("de", "(words.de.txt, lines 4-5)")
    assert again.text(again.document.grant[0]) is None
    assert again.text(again.document.purposes[0]) == ("de", "Damit liefern wir.")


def test_a_place_of_words_is_named_where_nobody_has_them() -> None:
    made = tables(source={"de": {"file": "a.txt", "from": "Wir", "sha256": "0" * 64}})
    notice = pg.Notice.parse(made)
    assert notice.text(notice.document.source[0]) == ("de", "(a.txt, from “Wir”)")


def test_a_module_is_stale_when_the_words_change(folder: Path) -> None:
    path = written(folder, tables(source=passage(lines="4-5")))
    before = generate(pg.Notice.load(path))
    (folder / "words.de.txt").write_text(WORDS.replace("    Bestelldaten   von", "Bestelldaten von"), "utf-8")
    assert generate(pg.Notice.load(path)) == before  # other blanks, the same words
    (folder / "words.de.txt").write_text(WORDS.replace("Bestelldaten", "Adressen"), "utf-8")
    assert generate(pg.Notice.load(path)) != before


def test_a_stated_hash_holds_the_words_still(folder: Path) -> None:
    made = tables(source=passage(lines="1", sha256=hash_words("Datenschutz")))
    path = written(folder, made)
    assert pg.Notice.load(path).dump()["source"] == made["source"]
    (folder / "words.de.txt").write_text("Neues\n" + WORDS, "utf-8")
    with pytest.raises(pg.NoticeError, match="compare the row with them, and then write") as refused:
        pg.Notice.load(path)
    assert hash_words("Neues") in str(refused.value)


def test_overlays_have_their_words_beside_them(folder: Path) -> None:
    row = {"id": "p", "class": "PartOfOrder", "source": "§ 3 Abs. 1", "product": "Kasse", "item": "Beleg", "serves": []}
    words = {"title": {"de": "Belege"}, "text": {"de": {"file": "kasse.txt", "lines": "1"}}}
    (folder / "kasse").mkdir()
    path = written(folder / "kasse", {"overlay": [row | words]}, "kasse.toml")
    own = written(folder, tables(source=passage(lines="1")))
    with pytest.raises(pg.NoticeError, match="there is no file `kasse") as refused:
        pg.Notice.load(own, path)
    assert refused.value.origin == str(path)
    (folder / "kasse" / "kasse.txt").write_text("Der Beleg.", "utf-8")
    loaded = pg.Notice.load(own, path)
    assert loaded == pg.Notice.load(own).overlaid(path)
    assert loaded.text(loaded.document.overlay[0]) == ("de", "Der Beleg.")
    assert loaded.text(loaded.document.source[0]) == ("de", "Datenschutz")
    assert pg.Notice.load(own).overlaid(path).words == loaded.words


def test_explain_shows_the_words_of_all_rows_that_it_goes_by(folder: Path) -> None:
    long = "Wir liefern damit. " * 30
    made = tables(
        source=passage(lines="4-5"), grant={"de": "Nutzung."}, purpose={"de": long, "en": "We\n\u202edeliver."}
    )
    made["forbid"] = [
        {"sources": ["§ 3 Abs. 1"], "purposes": ["delivery-of-orders"], "reason": {"de": "nie"}, "text": {"de": "Nie."}}
    ]
    path = written(folder, made)
    asked = ("explain", "§ 3 Abs. 1", "delivery-of-orders", "--notice", path)
    result = run(*asked, columns=100)
    assert result.exit_code == 1
    said = [line.strip() for line in result.stdout.splitlines()]
    for row in ("source § 3 Abs. 1", "clause uses", "purpose delivery-of-orders", "prohibition § 3 Abs. 1"):
        assert f"{row} reads:" in said
    assert "We �deliver." in said  # on one line, and nothing turns it round
    assert {"(1) Wir erheben Bestelldaten von Ihnen.", "Nutzung.", "Nie."} <= {*said}
    texts = json.loads(run(*asked, "--format", "json").stdout)["texts"]
    assert [row["what"] for row in texts] == ["source", "clause", "purpose", "prohibition"]
    assert texts[2] == {"what": "purpose", "id": "delivery-of-orders", "language": "en", "words": "We\n\u202edeliver."}
    japanese = run(*asked, "--language", "ja", columns=100).stdout
    assert "利用目的 delivery-of-orders の本文:" in japanese
    assert "…" in japanese
    assert "…" not in run(*asked, "--language", "ja", "--text", columns=100).stdout


def test_the_matrix_shows_titles_and_words_in_a_language_of_the_notice(folder: Path) -> None:
    path = written(folder, tables(source={"fr": "Nous recueillons.", "de": "Wir erheben."}))
    found = json.loads(run("matrix", "--notice", path, "--language", "fr-CA", "--format", "json").stdout)
    assert found["sources"][0]["title"] == "Commandes"
    assert found["sources"][0]["text"] == {"language": "fr", "words": "Nous recueillons."}
    assert found["purposes"][0]["title"] == "Lieferung"
    assert "text" not in found["purposes"][0]
    assert "Nous recueillons." not in run("matrix", "--notice", path, "--language", "fr").stdout
    assert "Nous recueillons." in run("matrix", "--notice", path, "--language", "fr", "--text").stdout
    assert "Wir erheben." in run("--language", "ja", "matrix", "--notice", path, "--text").stdout
    unknown = run("matrix", "--notice", path, "--language", "jp")
    assert (unknown.exit_code, unknown.stderr) == (2, "error: the notice has no titles in `jp`: it has `de`, `fr`\n")
    assert run("matrix", "--notice", path, "--language", "f_r").exit_code == 2
    assert "題名" in run("--language", "ja", "matrix", "--notice", path, "--language", "fr").stdout
    assert "title" in run("--language", "ja", "matrix", "--notice", path, "--language", "en-US").stdout


def test_exports_have_the_language_that_is_asked_for(folder: Path) -> None:
    path = written(folder, tables())
    for engine, file in (("cedar", "entities.json"), ("fides", "notice.yml")):
        assert run("export", engine, path, "-o", folder / engine, "--language", "fr").exit_code == 0
        assert "Commandes" in (folder / engine / file).read_text("utf-8")
        again = run("export", engine, path, "-o", folder / engine, "--check")
        assert again.exit_code == 1  # in German
        assert run("export", engine, path, "-o", folder / engine, "--language", "fr", "--check").exit_code == 0
        stale = run("export", engine, path, "-o", folder / "none", "--language", "fr", "--check", columns=200)
        assert "--language fr" in stale.stderr
    assert run("export", "dpv", path, "-o", folder / "dpv").exit_code == 0
    graph = json.loads((folder / "dpv" / "notice.jsonld").read_text("utf-8"))["@graph"]
    labels = [node["skos:prefLabel"] for node in graph if node.get("@id") == "#order"]
    assert labels == [{"de": "Bestellungen", "fr": "Commandes"}]


def test_words_are_compared_wherever_they_stand(folder: Path) -> None:
    """By what they are: a passage that moves, or comes into the file itself, is no difference."""
    same = "(1) Wir erheben Bestelldaten von Ihnen."
    earlier = tables(source=passage(lines="4-5"), grant={"de": same}, purpose={"de": "A"}, rights={"de": "B"})
    later = tables(source={"de": same}, grant=passage(**{"from": "(1)"}), purpose={"fr": "C"}, rights={"de": "B!"})
    later["revision"] = "2026-05-01"
    old, new = (written(folder, made, f"{made['revision']}.toml") for made in (earlier, later))
    comparison = compare(pg.Notice.load(old), pg.Notice.load(new))
    assert [(change.kind, change["what"], change["id"], change["language"]) for change in comparison.changes] == [
        ("text", "purpose", "delivery-of-orders", "fr"),
        ("text", "purpose", "delivery-of-orders", "de"),
        ("text", "table", "rights", "de"),
    ]
    result = run("diff", old, new)
    assert "- purpose delivery (delivery-of-orders): the words in fr are “C”, before none" in result.stdout
    assert "- table rights: the words in de are “B!”, before “B”" in result.stdout
    assert (
        "- sources (1), purposes (1), clauses (1), requests that subjects may make (1), tables (1), texts (5)"
        in result.stdout
    )
    assert "such as the words of 2 rows without `text`" in result.stdout
    japanese = run("diff", old, new, "--language", "ja").stdout
    assert "- 表 rights の本文（de）: 「B」→「B!」" in japanese
    assert "- 比較していないもの: ファイルに書かれていない内容（`text` のない 2 行の本文など）" in japanese
    data = json.loads(run("diff", old, new, "--format", "json").stdout)
    assert data["compared"] == {
        "source": 1, "purpose": 1, "notice": 1, "clause": 1, "request": 1, "table": 1, "text": 5, "without-text": 2,
    }  # fmt: skip


def test_a_difference_of_long_words_is_shown_with_a_little_around_it(folder: Path) -> None:
    head, tail = "x" * 50, "y" * 50
    wordy = [f"Wir nutzen diese Daten nur {what} und danach nicht mehr weiter" for what in ("heute", "morgen")]
    earlier = tables(purpose={"de": f"{head} Erst {tail}"}, grant={"de": "Z" * 300}, source={"de": wordy[0]})
    later = tables(purpose={"de": f"{head} Dann {tail}"}, grant={"de": "W" * 300}, source={"de": wordy[1]}) | {
        "revision": "2026-05-01"
    }
    old, new = (written(folder, made, f"{made['revision']}.toml") for made in (earlier, later))
    said = run("diff", old, new).stdout
    assert "are “…diese Daten nur morgen und danach nicht…”, before “…diese Daten nur heute und danach nicht…”" in said
    assert "are “…Dann…”, before “…Erst…”" in said
    assert f"are “{'W' * 200}…”, before “{'Z' * 200}…”" in said


def test_words_that_nobody_has_differ_by_their_hash() -> None:
    old, new = (
        pg.Notice.parse(
            tables(source={"de": {"file": "a.txt", "lines": "3", "sha256": digit * 64}}) | {"revision": day}
        )
        for digit, day in (("0", "2026-04-01"), ("1", "2026-05-01"))
    )
    (change,) = (change for change in compare(old, new).changes if "unexplained" not in change.kind)
    assert (change["old"], change["new"]) == ("(a.txt, line 3)", "(a.txt, line 3)")


def test_an_order_of_rows_is_a_difference_too(folder: Path) -> None:
    made = tables()
    made["channel"] = [{"id": "email", "title": {"de": "Mail"}}, {"id": "post", "title": {"de": "Post"}}]
    later = made | {"channel": made["channel"][::-1], "revision": "2026-05-01"}
    comparison = compare(pg.Notice.parse(made), pg.Notice.parse(later))
    assert [(change.kind, change["key"]) for change in comparison.changes] == [("table", "channel")]


def test_the_bundled_notice_holds_no_words() -> None:
    notice = pg.Notice.bundled("trendmicro-jp")
    assert '"text"' not in json.dumps(notice.dump())
    assert not notice.words
    assert notice.languages == ("en", "ja")
    assert schema.notice_schema()["$defs"]["Texts"]["minProperties"] == 1


def test_the_digest_of_words_is_that_of_titles_and_published_words() -> None:
    def digest(**words: object) -> str:
        made = tables()
        made["grant"][0]["purpose"][0].update(words)
        return pg.Notice.parse(made).words_digest(purpose)

    purpose = pg.Notice.parse(tables()).purposes[0].clause
    titles = {"de": "Ein Titel", "en": "A title"}
    plain = digest(title=titles)
    assert plain == digest(title={"en": "A  title", "de": "Ein Titel"})
    assert plain != digest(title=titles | {"en": "Another title"})
    published = digest(title=titles, text={"en": "We write to you."})
    assert published not in {plain, digest(title=titles, text={"en": "We call you."})}
    assert published == digest(title=titles, text={"en": "We write\nto you."})
    with pytest.raises(pg.UnknownPurpose):
        pg.Notice.parse(tables()).words_digest("9.9")
