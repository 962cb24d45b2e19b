"""The corpus of lint: snippets, wrong and right, in which each line says what is to be found on it.

`# expect: rule` is to be found. `# beyond: rule` is just as wrong, and known not to be found: it counts against
recall. `# file: name.py` begins another file of the same snippet. `python -m tests.linting.corpora` prints precision
and recall.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from purposeguard.cli.lint import RULES, Outcome, lint

CORPUS = Path(__file__).parent / "corpus"
HEAD = re.compile(r"^# --- (wrong|right): (.+)$", re.MULTILINE)
FILE = re.compile(r"^# file: (\S+)$", re.MULTILINE)
MARK = re.compile(r"# (expect|beyond): ([\w-]+)")

Key = tuple[str, int, str]
"""File, line, rule."""


@dataclass(frozen=True)
class Snippet:
    """One snippet: its files, and what is to be found, or is known not to be."""

    title: str
    wrong: bool
    files: dict[str, str]
    expected: set[Key] = field(default_factory=set)
    beyond: set[Key] = field(default_factory=set)

    def written(self, folder: Path) -> Path:
        """Its files, in a folder."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return folder

    def linted(self, folder: Path) -> tuple[Outcome, set[Key]]:
        """What is found in it."""
        outcome = lint([self.written(folder)])
        return outcome, {
            (Path(one.place.path).relative_to(folder).as_posix(), one.place.line, one.rule) for one in outcome.findings
        }


def snippets(path: Path) -> list[Snippet]:
    """The snippets of a file of the corpus."""
    parts = HEAD.split(path.read_text("utf-8"))[1:]
    return [_snippet(*parts[at : at + 3]) for at in range(0, len(parts), 3)]


def _snippet(verdict: str, title: str, text: str) -> Snippet:
    pieces = FILE.split(text)
    files = {"snippet.py": pieces[0].lstrip("\n")} if pieces[0].strip() else {}
    files |= {pieces[at]: pieces[at + 1].lstrip("\n") for at in range(1, len(pieces), 2)}
    found = Snippet(title, verdict == "wrong", files)
    for name, code in files.items():
        for number, line in enumerate(code.split("\n"), 1):
            for kind, rule in MARK.findall(line):
                (found.expected if kind == "expect" else found.beyond).add((name, number, rule))
    return found


def corpus() -> list[Snippet]:
    """All snippets."""
    return [one for path in sorted(CORPUS.glob("*.txt")) for one in snippets(path)]


@dataclass(frozen=True)
class Score:
    """How many of a rule's findings are right, and how much of what is wrong is found."""

    right: int
    false: int
    missed: int

    @property
    def precision(self) -> float:
        """Of what is found, how much is wrong indeed."""
        return self.right / (self.right + self.false) if self.right + self.false else 1.0

    @property
    def recall(self) -> float:
        """Of what is wrong, how much is found."""
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0


def scores(given: list[Snippet]) -> dict[str, Score]:
    """The score of each rule, and of all."""
    right, false, missed = Counter[str](), Counter[str](), Counter[str]()
    for one in given:
        with tempfile.TemporaryDirectory() as folder:
            _, found = one.linted(Path(folder))
        due = one.expected | one.beyond
        for kind, keys in ((right, found & due), (false, found - due), (missed, due - found)):
            for _, _, rule in keys:
                kind[rule] += 1
                kind["all"] += 1
    return {name: Score(right[name], false[name], missed[name]) for name in (*(one.id for one in RULES[:-2]), "all")}


def table(found: dict[str, Score]) -> str:
    """The scores as a table."""
    lines = [f"{'rule':26} found false missed precision recall"]
    lines += [
        f"{name:26} {one.right:5} {one.false:5} {one.missed:6} {one.precision:8.1%} {one.recall:7.1%}"
        for name, one in found.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    given = corpus()
    sys.stdout.write(f"{len(given)} snippets, {sum(one.wrong for one in given)} of them wrong\n")
    sys.stdout.write(table(scores(given)) + "\n")
