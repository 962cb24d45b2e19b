"""Where keys and entries of a TOML file are written: files in every syntax, whose writer notes where it writes what."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from purposeguard.notice.positions import Location, Position, find_positions
from purposeguard.notices import trendmicro_jp as tm
from tests.generated.notice_faults import as_toml

Draw = st.DrawFn
BARE = st.text("abcXYZ019_-", min_size=1, max_size=4)
TRICKY = st.text("ab#\"'[]{}=,.\\\n \té①", max_size=6)
BLANKS = st.sampled_from(["", " ", "\t ", "  "])
COMMENTS = st.sampled_from(["", " # x", '# "[[a]]" = {', "#'''"])


class Writer:
    """A text that is being written, and where what stands in it."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.text = ""
        self.found: dict[Location, int] = {}

    def put(self, text: str) -> None:
        self.text += text

    def blank(self) -> None:
        self.put(self.draw(BLANKS))

    def note(self, *location: str | int) -> None:
        self.found.setdefault(location, len(self.text))

    def end(self) -> None:
        self.put(f"{self.draw(BLANKS)}{self.draw(COMMENTS)}\n")
        if self.draw(st.booleans()):
            self.put(f"{self.draw(BLANKS)}{self.draw(COMMENTS)}\n")

    def key(self, key: str) -> None:
        bare = key.isascii() and key.replace("_", "a").replace("-", "a").isalnum()
        forms = [json.dumps(key, ensure_ascii=self.draw(st.booleans())).replace("\x7f", "\\u007f")]
        forms += [key] * 3 if bare else []
        forms += [f"'{key}'"] if "'" not in key and "\n" not in key else []
        self.put(self.draw(st.sampled_from(forms)))

    def value(self, location: Location, value: Any) -> None:
        if isinstance(value, dict):
            self.table(location, value)
        elif isinstance(value, list):
            self.put("[")
            for number, entry in enumerate(value):
                if self.draw(st.booleans()):
                    self.end()
                self.blank()
                self.note(*location, number)
                self.value((*location, number), entry)
                self.blank()
                self.put("," if number < len(value) - 1 or self.draw(st.booleans()) else "")
            if self.draw(st.booleans()):
                self.end()
            self.put("]")
        else:
            self.put(value)

    def table(self, location: Location, table: dict[str, Any]) -> None:
        self.put("{")
        for number, (key, value) in enumerate(table.items()):
            self.put(", " if number else "")
            self.blank()
            self.pair(location, key, value)
            self.blank()
        self.put("}")

    def pair(self, location: Location, key: str, value: Any) -> None:
        while True:
            location = (*location, key)
            self.note(*location)
            self.key(key)
            if not isinstance(value, dict) or len(value) != 1 or not self.draw(st.booleans()):
                break
            self.put(self.draw(st.sampled_from([".", " . "])))  # a dotted key, for a table of one
            ((key, value),) = value.items()
        self.put(self.draw(st.sampled_from(["=", " = ", "\t="])))
        self.value(location, value)

    def header(self, location: Location, names: list[tuple[str, Location]], *, rows: bool) -> None:
        self.blank()
        self.put("[[" if rows else "[")
        for number, (name, here) in enumerate(names):
            self.put(" . " if number else "")
            self.note(*here)
            if len(here) < len(location) and isinstance(location[len(here)], int):
                self.note(*here, location[len(here)])
            self.key(name)
        self.put("]]" if rows else "]")
        self.end()


def texts() -> st.SearchStrategy[str]:
    """Values of one text, as they may be written: over several lines too, with all that must not be taken for more."""
    basic = TRICKY.map(lambda text: json.dumps(text, ensure_ascii=False))
    literal = TRICKY.filter(lambda text: "'" not in text and "\n" not in text).map("'{}'".format)
    long = TRICKY.map(lambda text: '"""' + text.rstrip('"').replace("\\", "\\\\").replace('"""', '""\\"') + '"""')
    ending = TRICKY.map(lambda text: '"""' + text.replace("\\", "\\\\").replace('"', "") + '"""""')
    raw = TRICKY.filter(lambda text: "''" not in text and not text.startswith("'")).map(lambda text: f"'''{text}'''")
    plain = st.sampled_from(["1", "-1.5e3", "true", "inf", "2024-01-31", "1979-05-27 07:32:00", "07:32:00.5", "0x1F"])
    return st.one_of(basic, literal, long, ending, raw, plain)


KEYS = BARE | TRICKY
VALUES = st.recursive(
    texts(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
ROWS = st.dictionaries(KEYS, VALUES, max_size=3)


@st.composite
def files(draw: Draw) -> tuple[str, dict[Location, int]]:
    """A TOML text of keys, tables, arrays of tables and what is below these, and where each is written."""
    writer = Writer(draw)
    for key, value in draw(ROWS).items():
        writer.pair((), f"k{key}", value)
        writer.end()
    for number, name in enumerate(draw(st.lists(KEYS, max_size=3))):
        table = f"{number}{name}"
        for row in range(draw(st.integers(0, 3))):
            writer.header((table, row), [(table, (table,))], rows=True)
            for key, value in draw(ROWS).items():
                writer.pair((table, row), f"k{key}", value)
                writer.end()
            for inner in range(draw(st.integers(0, 2))):
                below = (table, row, "in.ner", inner)
                writer.header(below, [(table, (table,)), ("in.ner", (table, row, "in.ner"))], rows=True)
                for key, value in draw(ROWS).items():
                    writer.pair(below, key, value)
                    writer.end()
            if draw(st.booleans()):
                beside = (table, row, "one")
                writer.header(beside, [(table, (table,)), ("one", beside)], rows=False)
                for key, value in draw(ROWS).items():
                    writer.pair(beside, key, value)
                    writer.end()
    return writer.text, writer.found


def locations(value: Any, location: Location = ()) -> set[Location]:
    """Each key and entry of what was read."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {location}.union(*(locations(one, (*location, key)) for key, one in inner))


def ended(text: str, offset: int) -> Position:
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - before.rfind("\n"))


@given(file=files(), ends=st.sampled_from(["\n", "\r\n"]))
@example(file=("", {}), ends="\n")
def test_each_key_and_entry_is_found_where_it_was_written(file: tuple[str, dict[Location, int]], ends: str) -> None:
    text, written = file
    found = find_positions(text.replace("\n", ends))
    assert found == {(): Position(1, 1), **{one: ended(text, offset) for one, offset in written.items()}}
    assert locations(tomllib.loads(text)) == found.keys()


def test_a_whole_notice() -> None:
    tables = tm.NOTICE.dump()
    assert locations(tables) == find_positions(as_toml(tables)).keys()


def test_the_ways_of_the_bundled_file() -> None:
    text = (Path(tm.__file__).parent / "notice.toml").read_text("utf-8")
    found = find_positions(text)
    assert locations(tomllib.loads(text)) == found.keys()
    lines = text.splitlines()
    for location, (line, column) in found.items():
        if location and isinstance(location[-1], str):
            assert lines[line - 1][column - 1 :].startswith(location[-1])
