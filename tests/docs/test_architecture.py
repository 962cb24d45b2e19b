"""The architecture page says what the imports say, and the trusted part is named whole."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "purposeguard"
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
TRUSTED: dict[str, list[str]] = tomllib.loads((ROOT / "purposeguard" / "trusted.toml").read_text("utf-8"))
CORE = ("notice", "policy", "values", "project", "runtime")
"""The rooms that are trusted, but for what lies beside."""
NO_CODE = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)
"""The tokens of lines that hold no code."""


@cache
def arrows() -> frozenset[tuple[str, str]]:
    """Which room imports which, without those that others imply."""
    graph = grimp.build_graph("purposeguard", exclude_type_checking_imports=False)
    every = {
        (importer.split(".")[1], imported.split(".")[1])
        for importer in graph.modules - {"purposeguard"}
        for imported in graph.find_modules_directly_imported_by(importer) - {"purposeguard"}
    }
    reached = {room: {other for one, other in every if one == room != other} for room, _ in every}
    for _ in reached:
        reached = {
            room: rooms.union(*(reached.get(other, set()) for other in rooms)) for room, rooms in reached.items()
        }
    return frozenset(
        (room, other)
        for room, other in every
        if room != other
        and not any(other in reached.get(between, ()) for between in {b for a, b in every if a == room != b} - {other})
    )


def test_the_picture_is_that_of_the_imports() -> None:
    drawn = set(re.findall(r"^  (\w+) --> (\w+)$", PAGE, re.MULTILINE))
    assert drawn == arrows()


def test_the_rooms_are_those_of_the_contract() -> None:
    (contract,) = (one for one in PYPROJECT["tool"]["importlinter"]["contracts"] if one["id"] == "rooms")
    layers = [set(layer.split(" | ")) for layer in contract["layers"]]
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert set(rows) == set().union(*layers)
    floors = [next(number for number, layer in enumerate(layers) if row in layer) for row in rows]
    assert floors == sorted(floors, reverse=True)


def test_mechanisms_are_in_modules_that_exist() -> None:
    section = PAGE.partition("## Mechanisms\n")[2].partition("\n### ")[0]
    modules = re.findall(r"`([a-z_.]+)`", re.sub(r"; emptied by `retire`|\(`\w+(\.\w+)?`\)", "", section))
    assert len(modules) > 40
    for module in modules:
        path = PACKAGE.joinpath(*module.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), module


def test_files_of_japanese_words_exist() -> None:
    section = PAGE.partition("### Words in Japanese\n")[2].partition("\n## ")[0]
    files = re.findall(r"^\| `([\w/]+\.toml)` \|", section, re.MULTILINE)
    assert len(files) == 5
    assert all((PACKAGE / file).is_file() for file in files)


def test_paths_are_as_long_as_the_page_says() -> None:
    """In a process of its own, where nothing was asked before."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.docs.paths"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    measured, written = (
        re.findall(r"^\| (an? [^|]*) \| (\d+) \| (\d+) \|", text, re.MULTILINE) for text in (run.stdout, PAGE)
    )
    assert [name for name, _, _ in measured] == [name for name, _, _ in written]
    for (name, files, switches), (_, said, so_often) in zip(measured, written, strict=True):
        assert files == said, name
        # Comprehensions have frames of their own up to Python 3.11.
        assert int(so_often) == pytest.approx(int(switches), rel=0.2), name


def test_every_module_of_the_core_is_in_one_list() -> None:
    every = [f"{room}/{path.name}" for room in CORE for path in (PACKAGE / room).glob("*.py")]
    every += [path.name for path in PACKAGE.glob("*.py")]
    listed = [name for names in TRUSTED.values() for name in names]
    assert sorted(listed) == sorted(name for name in every if not name.endswith("__init__.py"))


def test_what_decides_is_what_is_mutated() -> None:
    mutated = [path.removeprefix("purposeguard/") for path in PYPROJECT["tool"]["mutmut"]["only_mutate"]]
    assert mutated == TRUSTED["decides"]


def test_changes_that_survived_are_in_functions_that_exist() -> None:
    survived: dict[str, dict[str, int]] = tomllib.loads((ROOT / "tests" / "mutation.toml").read_text("utf-8"))
    functions: set[str] = set()
    for path in TRUSTED["decides"]:
        module = path.removesuffix(".py").replace("/", ".")
        for node in ast.parse((PACKAGE / path).read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                functions.add(f"{module}.{node.name}")
            elif isinstance(node, ast.ClassDef):
                methods = [member.name for member in node.body if isinstance(member, ast.FunctionDef)]
                functions.update(f"{module}.{node.name}.{name}" for name in methods)
    named = {name for changes in survived.values() for name in changes}
    assert len(named) > 50
    assert sorted(named - functions) == []


def _count_code(path: Path) -> int:
    """Count the lines of a module that hold code, without blank lines, comments and docstrings."""
    source = path.read_text("utf-8")
    documented: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            documented.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - documented)


def test_the_lines_of_code_of_the_trusted_part_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = {name: sum(_count_code(PACKAGE / path) for path in modules) for name, modules in TRUSTED.items()}
    with capsys.disabled():
        print(f"\nlines of code of the core: {', '.join(f'{count:,} {name}' for name, count in lines.items())}")  # noqa: T201  # what it is for
    assert lines["decides"] < 3_200
