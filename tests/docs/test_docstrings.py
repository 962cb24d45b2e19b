"""Docstrings name errors that exist."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "purposeguard"
MODULES = {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
SECTION = re.compile(r"^Raises:\n((?: .*\n?|\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^ {4}(\w[\w., ]*):", re.MULTILINE)


def find_exceptions() -> set[str]:
    """Return the names of the exceptions that Python or a module of the package defines."""
    names = {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)}
    bases: dict[str, set[str]] = {}
    for tree in MODULES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, set()).update(ast.unparse(base).split(".")[-1] for base in node.bases)
    count = 0
    while count != len(names):
        count = len(names)
        names |= {name for name, above in bases.items() if above & names}
    return names


def iterate_raised_names(tree: ast.Module) -> Iterator[str]:
    """Yield the names in the sections `Raises:` of a module."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        section = SECTION.search(ast.get_docstring(node) or "")
        if section is not None:
            for entry in ENTRY.findall(section[1]):
                yield from entry.split(", ")


def is_importable(name: str) -> bool:
    """Return True if a name, such as `duckdb.Error`, is an exception, or of a library that is not installed."""
    if importlib.util.find_spec(name.partition(".")[0]) is None:  # The small environment has no Spark.
        return True
    try:
        value = pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return isinstance(value, type) and issubclass(value, Exception)


def test_the_errors_under_raises_exist() -> None:
    exceptions = find_exceptions()
    wrong = []
    count = 0
    for path, tree in MODULES.items():
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        for name in iterate_raised_names(tree):
            count += 1
            if name not in exceptions | imported and not ("." in name and is_importable(name)):
                wrong.append(f"{path.relative_to(PACKAGE)}: {name}")
    assert not wrong, "\n".join(wrong)
    assert count > 500
