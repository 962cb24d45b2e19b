"""The corpus as checkers get it, and what they are to find in it.

In a folder of their own: `legal/` and `illegal/`, whose lines marked `# error` are to be errors; and one package for
each revision of the notice, with the generated module beside the application, whose lines marked `# error: names` are
to be errors under the revisions of these names; and one package of an application over two notices, with their modules
beside it. Nothing else is to be one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from purposeguard.notice.codegen import generate
from tests.typing.checkers import VERSIONS, Report, report
from tests.typing.revisions.drafts import DRAFTS, revision
from tests.unit.together import EU, JP

HERE = Path(__file__).parent
PROGRAMS = sorted((*HERE.glob("legal/*.py"), *HERE.glob("illegal/*.py")))
APPLICATION = HERE / "revisions" / "application.py"
TOGETHER = HERE / "together" / "application.py"
REVISIONS = ("published", *DRAFTS)

_MARK = re.compile(r"  # error(?:: (?P<revisions>[\w, ]+))?$")


def marked(text: str, name: str = "") -> set[int]:
    """The lines of a program that are to be errors; of the application, under the revision of this name."""
    found = ((number, _MARK.search(line)) for number, line in enumerate(text.splitlines(), 1))
    return {number for number, mark in found if mark and (not name or name in (mark["revisions"] or "").split(", "))}


def code(text: str) -> set[int]:
    """The lines of a program that are neither blank nor a comment alone."""
    return {number for number, line in enumerate(text.splitlines(), 1) if line.strip() and line.strip()[0] != "#"}


class Findings(NamedTuple):
    """What one checker said of the corpus, beside what it was to say."""

    checker: str
    found: Report
    wanted: dict[str, set[int]]
    legal: int
    """How many lines of the programs (generated modules left out) are code and not marked."""

    def __repr__(self) -> str:
        return f"<Findings of {self.checker}>"

    def differences(self) -> Iterator[str]:
        """Each line where the two differ, as a sentence."""
        for file, wanted in sorted(self.wanted.items()):
            found = self.found.get(file, {})
            yield from (f"{file}:{line}: no error, and is marked as one" for line in sorted(wanted - set(found)))
            yield from (f"{file}:{line}: {found[line]}" for line in sorted(set(found) - wanted))
        yield from (f"{file} is no file of the corpus" for file in sorted(set(self.found) - set(self.wanted)))

    def row(self) -> list[str]:
        """The checker, its version, how many lines it rightly accepted and refused, and whether that is all."""
        illegal = sum(map(len, self.wanted.values()))
        refused = sum(len(wanted & set(self.found.get(file, {}))) for file, wanted in self.wanted.items())
        wrongly = sum(len(set(lines) - self.wanted.get(file, set())) for file, lines in self.found.items())
        exact = "exact" if refused == illegal and not wrongly else f"{illegal - refused} missed, {wrongly} wrong"
        counts = (f"{self.legal - wrongly} of {self.legal}", f"{refused} of {illegal}")
        return [self.checker, VERSIONS[self.checker], *counts, exact]


def findings(checker: str, folder: Path) -> Findings:
    """Lays the corpus out in an empty folder and asks a checker once, about all of it."""
    texts = dict(_laid_out(folder))
    wanted = {}
    for file, text in texts.items():
        kind = file.partition("/")[0]
        wanted[file] = marked(text, kind if kind in REVISIONS else "") if kind != "legal" else set[int]()
    legal = sum(len(code(text) - wanted[file]) for file, text in texts.items() if not file.endswith("_notice.py"))
    return Findings(checker, report(checker, folder, list(texts)), wanted, legal)


def laid_out_together() -> Iterator[tuple[str, str]]:
    """The files of the application over two notices, by name."""
    yield "jp_notice.py", generate(JP)
    yield "eu_notice.py", generate(EU)
    yield "application.py", TOGETHER.read_text("utf-8")


def _laid_out(folder: Path) -> Iterator[tuple[str, str]]:
    """Writes the files; gives the name and the text of each that is to be checked."""
    for kind in ("legal", "illegal", "together", *REVISIONS):
        (folder / kind).mkdir()
        (folder / kind / "__init__.py").touch()
    for program in PROGRAMS:
        name = f"{program.parent.name}/{program.name}"
        shutil.copy(program, folder / name)
        yield name, program.read_text("utf-8")
    for name in REVISIONS:
        for file, text in ("my_notice", generate(revision(name))), ("application", APPLICATION.read_text("utf-8")):
            (folder / name / f"{file}.py").write_text(text, "utf-8")
            yield f"{name}/{file}.py", text
    for file, text in laid_out_together():
        (folder / "together" / file).write_text(text, "utf-8")
        yield f"together/{file}", text
