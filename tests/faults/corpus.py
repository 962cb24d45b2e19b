"""The corpus of seeded faults: violations that somebody might write into the example, one at a time.

Each file under `corpus/` holds some, as TOML. What is misspelt, left out or does not fit the example is an error: a
fault that changes nothing would be counted among those that nothing finds.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).with_name("corpus")

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SAID = ("id", "what", "way", "breaks", "reach")
_EDIT = ("file", "old", "new", "imports")


class Misfit(Exception):
    """A fault is not as the corpus has it, or does not fit the example."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In a file, `imports` are added, and a text that occurs once is replaced."""

    file: str
    old: str
    new: str
    imports: str

    def of(self, text: str, fault: str) -> str:
        """The text of the file with the edit."""
        if self.imports:
            lines, body = text.splitlines(keepends=True), ast.parse(text).body
            after = max(one.end_lineno or 0 for one in body if isinstance(one, ast.Import | ast.ImportFrom))
            lines.insert(after, f"{self.imports.rstrip()}\n")
            text = "".join(lines)
        if not self.old:
            return text
        if (times := text.count(self.old)) != 1:
            raise Misfit(f"{fault}: what is to be replaced in {self.file} occurs {times} times: {self.old!r}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Fault:
    """A violation: `what` it does, by which `way` data gets to where it may not, what it `breaks`, and its `reach`."""

    id: str
    what: str
    way: str
    breaks: str
    reach: str
    edits: tuple[Edit, ...]
    part: str
    """The file of the corpus that it stands in, by its stem."""

    def changed(self, root: Path = ROOT) -> dict[str, str]:
        """The files that it changes, with their new text."""
        texts: dict[str, str] = {}
        for edit in self.edits:
            text = texts[edit.file] if edit.file in texts else (root / edit.file).read_text("utf-8")
            texts[edit.file] = edit.of(text, self.id)
        return texts


def load(folder: Path = CORPUS) -> tuple[Fault, ...]:
    """All faults, by their files and in the order in which they stand there.

    Raises:
        Misfit: one of them is not as it should be.
    """
    found: dict[str, Fault] = {}
    for path in sorted(folder.glob("*.toml")):
        tables = tomllib.loads(path.read_text("utf-8"))
        _only(tables, ["fault"], path.name)
        for number, table in enumerate(tables.get("fault", ()), 1):
            fault = _read(table, path.stem, f"{path.name}, fault {number}")
            if fault.id in found:
                raise Misfit(f"{path.name}: there are two faults `{fault.id}`")
            found[fault.id] = fault
    return tuple(found.values())


def _read(table: Mapping[str, Any], part: str, where: str) -> Fault:
    _only(table, [*_SAID, "edit"], where)
    said = {name: _text(table, name, where) for name in _SAID}
    if not _ID.fullmatch(said["id"]):
        raise Misfit(f"{where}: an id is of small letters, digits and hyphens: {said['id']!r}")
    where = said["id"]
    for name, text in said.items():
        if "\n" in text or "|" in text or text != text.strip():
            raise Misfit(f"{where}: `{name}` is one line of a table: {text!r}")
    edits: list[Edit] = []
    for one in table.get("edit", ()):
        edits.append(_edit({"file": edits[-1].file, **one} if edits else one, where))
    if not edits:
        raise Misfit(f"{where}: it edits nothing")
    fault = Fault(**said, edits=tuple(edits), part=part)
    for file, text in fault.changed().items():
        if _tree(text, where, file) == _tree((ROOT / file).read_text("utf-8"), where, file):
            raise Misfit(f"{where}: {file} means what it meant before")
    return fault


def _edit(table: Mapping[str, Any], where: str) -> Edit:
    _only(table, _EDIT, where)
    imports = _text(table, "imports", where) if "imports" in table else ""
    old = new = ""
    if not imports or table.keys() & {"old", "new"}:
        old, new = _text(table, "old", where), _text(table, "new", where, empty=True)
    edit = Edit(_text(table, "file", where), old, new, imports)
    path = ROOT / edit.file
    if not edit.file.startswith("examples/") or path.suffix != ".py" or not path.is_file() or ".." in path.parts:
        raise Misfit(f"{where}: there is no module {edit.file} of the example")
    return edit


def _text(table: Mapping[str, Any], name: str, where: str, *, empty: bool = False) -> str:
    text = table.get(name)
    if not isinstance(text, str) or not (text.strip() or empty):
        raise Misfit(f"{where}: `{name}` is a text, and is missing or none")
    return text


def _only(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    if unknown := sorted(table.keys() - set(known)):
        raise Misfit(f"{where}: nobody knows {', '.join(unknown)}")


def _tree(text: str, where: str, file: str) -> str:
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError as error:
        raise Misfit(f"{where}: {file} cannot be read any more: {error}") from error
