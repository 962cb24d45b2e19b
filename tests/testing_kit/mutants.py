"""Mutants of services: edits of a copy of a package, each a violation of the service's notice or a harmless change.

The files `services/*/mutants.toml` describe them. What is misspelled or does not fit the package is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.faults.corpus import ROOT, load

SERVICES: Final = Path(__file__).with_name("services")
_BREAKS: Final = re.compile(r"[\d.()a-c①②③④⑤ ]+ for \d|suspension \(7\)")
"""What data is used for a purpose that may not use it, or after an opt-out. Other faults break no purpose."""


class MutantError(Exception):
    """A mutant is not described as it should be, or does not fit the package."""


class Edit(NamedTuple):
    """In a file, `text` is inserted before a line, or `new` replaces `old`.

    Attributes:
        file: The path of the file, with the folder of the package.
        before: The line before which `text` is inserted.
        text: The lines that are inserted.
        old: The text that is replaced.
        new: The text that replaces it.
        within: A text after which the line or the old text is looked for. Without it they must be unique.
    """

    file: str
    before: str = ""
    text: str = ""
    old: str = ""
    new: str = ""
    within: str = ""

    def apply(self, source: str, mutant: str) -> str:
        """Return the text of the file with the edit."""
        old, new = self.old, self.new
        if self.before:
            old, new = f"\n{self.before}\n", f"\n{self.text.strip(chr(10))}\n{self.before}\n"
        start = source.find(self.within) if self.within else 0
        places = source.count(old, max(start, 0))
        if start < 0 or not old or not places or (places > 1 and not self.within):
            raise MutantError(f"{mutant}: {self.file} has {places} places for {old or self.file!r}, not one")
        return source[:start] + source[start:].replace(old, new, 1)


class Mutant(NamedTuple):
    """A changed service.

    Attributes:
        name: Its name.
        edits: What is changed.
        violates: The purpose and the field that it violates. Empty if it is harmless.
        harmless: The refactoring, if it is harmless.
        route: The activity that the change is in, as `GET /path`.
        story: Activities that run before, in order.
        one: A state of the database.
        other: Another state, which differs only in what the purpose may not use.
        opt_out: The purpose that the person has opted out of in both states.
        reason: Why the violation takes place, if no two states show it.
    """

    name: str
    edits: tuple[Edit, ...]
    violates: str = ""
    harmless: str = ""
    route: str = ""
    story: Sequence[str] = ()
    one: Mapping[str, Any] = {}
    other: Mapping[str, Any] = {}
    opt_out: str = ""
    reason: str = ""

    def change(self, root: Path) -> dict[str, str]:
        """Return the new text of each file that is changed, and check that Python files compile.

        Args:
            root: The folder that the package is in.
        """
        texts: dict[str, str] = {}
        for edit in self.edits:
            texts[edit.file] = edit.apply(texts.get(edit.file) or (root / edit.file).read_text("utf-8"), self.name)
        for file, text in texts.items():
            if file.endswith(".py"):
                compile(text, f"{self.name}: {file}", "exec")
        return texts


_KEYS: Final = frozenset({*Mutant._fields, "edit"} - {"edits"})


def read_mutants(service: str) -> tuple[Mutant, ...]:
    """Return the mutants of a service."""
    tables = tomllib.loads((SERVICES / service / "mutants.toml").read_text("utf-8"))
    mutants = tuple(_read_mutant(table, tables["file"]) for table in tables["mutant"])
    names = [mutant.name for mutant in mutants]
    if len({*names}) < len(names):
        raise MutantError(f"{service}: two mutants have the same name")
    return (*_choose_faults(30), *mutants) if service == "shop" else mutants


def _choose_faults(number: int) -> Iterator[Mutant]:
    """Yield violations of the example from the corpus of faults: data that serves a purpose that may not use it."""
    faults = [fault for fault in load() if _BREAKS.match(fault.breaks)]
    for position in range(number):
        fault = faults[position * len(faults) // number]
        edits = [Edit(file, old=(ROOT / file).read_text("utf-8"), new=text) for file, text in fault.changed().items()]
        reason = "the tests of the corpus trigger it"
        yield Mutant(fault.id, tuple(edits), fault.breaks, route=fault.reach, reason=reason)


def _read_mutant(table: Mapping[str, Any], file: str) -> Mutant:
    if unknown := table.keys() - _KEYS:
        raise MutantError(f"{table.get('name')}: unknown {', '.join(sorted(unknown))}")
    edits = tuple(Edit(**{"file": file, **edit}) for edit in table["edit"])
    mutant = Mutant(**{key: value for key, value in table.items() if key != "edit"}, edits=edits)
    if bool(mutant.violates) == bool(mutant.harmless):
        raise MutantError(f"{mutant.name}: it needs `violates` or `harmless`")
    return mutant


def copy_package(root: Path, package: str, folder: Path, mutant: Mutant | None) -> None:
    """Copy a package to a folder, with the change of a mutant. Files that are not changed are links."""
    shutil.copytree(
        root / package, folder / package, copy_function=os.symlink, ignore=shutil.ignore_patterns("__pycache__")
    )
    for file, text in ({} if mutant is None else mutant.change(root)).items():
        (folder / file).unlink()
        (folder / file).write_text(text, "utf-8")
