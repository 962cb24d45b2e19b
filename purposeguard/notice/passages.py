"""The words of a notice in files beside it: they are found, checked, and identified by their SHA-256.

A row says where its words are (`schema.Passage`). Whoever reads the notice from a file has the words too; a document, a
dump and a generated module have the place and the hash, so they need nothing beside them and hold none of the words.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from purposeguard.errors import Fault
from purposeguard.notice.fields import LINES
from purposeguard.notice.schema import Named
from purposeguard.notice.texts import Passage

LARGEST: Final = 16 * 2**20
"""The greatest size of a file of words in bytes."""

UNREAD: Final = "0" * 64
"""The placeholder for a hash that could not be made. A fault is reported for it."""


def hash_words(words: str) -> str:
    """Return the SHA-256 of words, however their lines are broken."""
    return hashlib.sha256(" ".join(words.split()).encode()).hexdigest()


def fingerprint(passage: Passage) -> str:
    """Return the SHA-256 of the words of a passage, wherever they are written."""
    # A passage without words has a hash.
    return str(passage.sha256) if passage.words is None else hash_words(passage.words)


def digest_of_words(row: Named) -> str:
    """Return the digest of what a person reads of a row: its titles and its published words, in every language."""
    import json  # noqa: PLC0415  # Only records of consent need it.

    texts = dict(row.text or {})
    titles = {tag: " ".join(row.title[tag].split()) for tag in row.title}
    words = [titles, {tag: fingerprint(texts[tag]) for tag in texts}]
    return hashlib.sha256(json.dumps(words, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def is_worded_alike(row: Named, other: Named) -> bool:
    """Return True if two rows have the same titles and published words in each language that both have.

    Titles that have no language in common cannot be compared, so they are not alike.
    """
    languages = row.title.keys() & other.title.keys()
    if not languages or any(row.title[tag] != other.title[tag] for tag in languages):
        return False
    texts, other_texts = dict(row.text or {}), dict(other.text or {})
    return all(fingerprint(texts[tag]) == fingerprint(other_texts[tag]) for tag in texts.keys() & other_texts.keys())


class PassageReader:
    """A reader of the words that the tables of a notice file refer to.

    It collects the `words` by their hash, and the `faults` with their places.
    """

    def __init__(self, words: Mapping[str, str] = MappingProxyType({})) -> None:
        self.words = dict(words)
        self.faults: list[Fault] = []
        self._contents: dict[Path, str] = {}

    def add_hashes(self, tables: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the tables with the hash of each passage. Files are looked for in this folder only."""
        return {key: self._read_value(key, value, folder, key) for key, value in tables.items()}

    def _read_value(self, key: str, value: Any, folder: Path, place: str) -> Any:
        if isinstance(value, list):
            return [self._read_value("", row, folder, f"{place}[{index}]") for index, row in enumerate(value)]
        if not isinstance(value, dict):
            return value
        read: dict[str, Any] = {}
        for inner, inner_value in value.items():
            if key == "text":
                read[inner] = self._read_passage(inner_value, folder, f"{place}.{inner}")
            else:
                read[inner] = self._read_value(inner, inner_value, folder, f"{place}.{inner}")
        return read

    def _read_passage(self, given: Any, folder: Path, place: str) -> Any:
        """Return a reference to a passage with its hash. Return anything else unchanged."""
        if not isinstance(given, dict) or "file" not in given:
            return given
        try:
            passage = Passage.model_validate({"sha256": UNREAD, **given})
        except ValidationError:
            return {"sha256": UNREAD, **given}  # The check of the tables' shape reports it.
        try:
            words = _extract_passage(passage, self._read_content(str(passage.file), folder))
        except ValueError as error:
            what, _, suggestion = str(error).partition(" (help: ")
            self.faults.append(Fault(place, what, suggestion.removesuffix(")") or None))
            return {"sha256": UNREAD, **given}
        digest = hash_words(words)
        if given.get("sha256", digest) != digest:
            message = f"the words in {passage.place} are not those of this `sha256`"
            self.faults.append(
                Fault(place, message, f'compare the row with them, and then write `sha256 = "{digest}"`')
            )
        self.words[digest] = words
        return {**given, "sha256": digest}

    def _read_content(self, name: str, folder: Path) -> str:
        root = Path(os.path.realpath(folder))
        # `realpath` raises nothing for a circle of links. The file is then not found.
        path = Path(os.path.realpath(root / name))
        if not path.is_relative_to(root):
            raise ValueError(f"`{name}` leads out of the folder of the notice (help: put the file beside the notice)")
        if path not in self._contents:
            self._contents[path] = _read_text(path, name)
        return self._contents[path]


def _read_text(path: Path, name: str) -> str:
    """Read the text of a file.

    Raises:
        ValueError: there is no such file, or it cannot be read as text.
    """
    try:
        if not path.is_file():
            raise ValueError(f"there is no file `{name}` beside the notice")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"`{name}` cannot be read: {error.strerror or error}") from error
    if len(content) > LARGEST:
        raise ValueError(f"`{name}` is larger than {LARGEST:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} of `{name}` is not UTF-8 (help: save the file as UTF-8)") from error


def _extract_passage(passage: Passage, content: str) -> str:
    """Extract the words of a passage from the text of its file, without blank lines around them.

    Raises:
        ValueError: the file has no such passage, or two.
    """
    lines = re.split(r"\r\n|\r|\n", content)
    words = (
        _extract_between(passage, "\n".join(lines))
        if passage.lines is None
        else _extract_lines(passage.lines, lines, passage)
    )
    words = "\n".join(line.rstrip() for line in words.strip().split("\n"))
    if not words:
        raise ValueError(f"{passage.place}: is blank")
    if not re.fullmatch(LINES, words):
        raise ValueError(f"{passage.place}: holds a control character")
    return words


def _extract_lines(given: str, lines: list[str], passage: Passage) -> str:
    first, _, last = given.partition("-")
    start, end = int(first), int(last or first)
    if start > end:
        raise ValueError(f"lines {given}: the first is behind the last")
    if end > len(lines):
        raise ValueError(f"`{passage.file}` has {len(lines)} lines, and none of {given} beyond")
    return "\n".join(lines[start - 1 : end])


def _extract_between(passage: Passage, content: str) -> str:
    start = _find_once(str(passage.from_), content, passage)
    if passage.to is None:
        end = re.compile(r"\n[^\S\n]*(?:\n|$)").search(content, start)
        return content[start : end.start() if end else None]
    end = _compile_loose_pattern(passage.to).search(content, start)
    if end is None:
        raise ValueError(f"`{passage.file}` has no “{passage.to}” behind “{passage.from_}”")
    return content[start : end.end()]


def _find_once(words: str, content: str, passage: Passage) -> int:
    offsets = [match.start() for match in _compile_loose_pattern(words).finditer(content)]
    if not offsets:
        raise ValueError(f"`{passage.file}` has no “{words}” (help: quote it as the file has it)")
    if len(offsets) > 1:
        raise ValueError(f"`{passage.file}` has “{words}” {len(offsets)} times (help: quote more of it)")
    return offsets[0]


def _compile_loose_pattern(words: str) -> re.Pattern[str]:
    """Compile a pattern that finds these words, whatever blanks and line breaks are between them."""
    return re.compile(r"\s+".join(map(re.escape, words.split())) or r"(?!)")
