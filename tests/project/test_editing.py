"""Changes to files: comments, order and layout stay."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from purposeguard import NoticeError
from purposeguard.project.editing import TomlEditor

FILE = """\
# The tags of the shop.

["app.User"]   # people
email="1.1(a)" # mail
age   =  "undecided" # ask Ann
# the end of the users

# orders
["app.Order"]
note = ["1.1(a)",
  "1.1(b)",   # from the form
]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tags.toml"
    path.write_text(FILE, "utf-8")
    return path


def change(path: Path) -> bool:
    editor = TomlEditor(path)
    marked: dict[str, str | bool | Sequence[str]] = {"source": "not-personal", "subject": True}
    editor.set_entry("app.User", {"email": "1.1(a)", "age": "1.1(c)", "id": marked})
    editor.set_entry("app.Order", {"note": ("1.1(a)", "1.1(b)")})
    editor.set_entry("table x.y", {"名": 'a "quoted" text'})
    return editor.save()


EXPECTED = (
    FILE.replace('age   =  "undecided" # ask Ann', 'age   =  "1.1(c)" # ask Ann\nid = MARKED').replace(
        "MARKED", '{source = "not-personal", subject = true}'
    )
    + '\n["table x.y"]\n"名" = "a \\"quoted\\" text"\n'
)


def test_only_what_changes_changes(path: Path) -> None:
    assert change(path)
    assert path.read_text("utf-8") == EXPECTED
    before = path.stat().st_mtime_ns
    assert not change(path)
    assert (path.read_text("utf-8"), path.stat().st_mtime_ns) == (EXPECTED, before)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_line_ends_and_the_mark_of_the_encoding_stay(tmp_path: Path, encoding: str, line_end: str) -> None:
    path = tmp_path / "tags.toml"
    path.write_bytes(FILE.replace("\n", line_end).encode(encoding))
    assert change(path)
    assert path.read_bytes() == EXPECTED.replace("\n", line_end).encode(encoding)
    assert not change(path)


def test_a_last_line_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "tags.toml"
    path.write_text('[a]\nx = "1"', "utf-8")
    assert not TomlEditor(path).save()
    assert path.read_text("utf-8") == '[a]\nx = "1"'
    editor = TomlEditor(path)
    editor.set_entry("a", {"y": "2"})
    editor.set_entry("a", {"x": "3", "y": "2"})
    editor.set_entry("b", {"z": False})
    editor.save()
    assert path.read_text("utf-8") == '[a]\nx = "3"\ny = "2"\n\n[b]\nz = false\n'


def test_comments_beside_values_of_any_type_stay(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_text('[a]\nx = true # one\ny = ["1"] # two\nz = { b = true } # three\n', "utf-8")
    editor = TomlEditor(path)
    editor.set_entry("a", {"x": False, "y": "2", "z": ["3"]})
    editor.save()
    assert path.read_text("utf-8") == '[a]\nx = false # one\ny = "2" # two\nz = ["3"] # three\n'


def test_entries_are_removed(path: Path) -> None:
    editor = TomlEditor(path)
    for header, key in (("app.User", "email"), ("app.User", "none"), ("none", "email"), ("app.Order", "note")):
        editor.remove(header, key)
    assert editor.save()
    assert tomllib.loads(path.read_text("utf-8")) == {"app.User": {"age": "undecided"}}
    assert path.read_text("utf-8").startswith('# The tags of the shop.\n\n["app.User"]   # people\nage   =')


def test_a_new_file_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "privacy" / "purposes.toml"
    editor = TomlEditor(path)
    editor.set_entry("GET /", {"purpose": "1.2(1)①"})
    editor.set_entry("GET /a", {"purpose": "1.2(1)②"})
    assert editor.save()
    assert not editor.save()
    assert path.read_text("utf-8") == '["GET /"]\npurpose = "1.2(1)①"\n\n["GET /a"]\npurpose = "1.2(1)②"\n'


def test_what_cannot_be_edited(tmp_path: Path) -> None:
    path = tmp_path / "tags.toml"
    path.write_text("a = 1\n", "utf-8")
    with pytest.raises(NoticeError, match="`a` is not a table: write it under a header"):
        TomlEditor(path).set_entry("a", {"x": "1"})
    with pytest.raises(NoticeError, match="`a` is not a list of tables"):
        TomlEditor(path).append("a", {"x": "1"})
    path.write_text("a = \n", "utf-8")
    with pytest.raises(NoticeError, match="is not TOML"):
        TomlEditor(path)
    editor = TomlEditor(path / "below.toml")
    editor.set_entry("a", {"x": "1"})
    with pytest.raises(NoticeError, match="cannot be written"):
        editor.save()


def test_new_keys_may_have_comments(tmp_path: Path) -> None:
    path = tmp_path / "tags.toml"
    path.write_text('["app.User"]\nname = "1.1(a)"\n', "utf-8")
    editor = TomlEditor(path)
    editor.set_entry("app.User", {"name": "1.1(a)", "mail": "undecided"}, {"name": "not new", "mail": "0.40: a guess"})
    editor.set_entry("app.Order", {"id": {"source": "not-personal", "subject": True}}, {"id": "0.95: a key"})
    assert editor.save()
    assert path.read_text("utf-8") == (
        '["app.User"]\nname = "1.1(a)"\nmail = "undecided" # 0.40: a guess\n'
        '\n["app.Order"]\nid = {source = "not-personal", subject = true} # 0.95: a key\n'
    )
