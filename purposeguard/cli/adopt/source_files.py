"""The source files of a project, and the classes and names that they define. Nothing is imported."""

from __future__ import annotations

import ast
import itertools
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

_SKIPPED_FOLDERS: Final = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages", "dist-packages"})

Statement = ast.AnnAssign | ast.Assign
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class ClassSource:
    """A class statement.

    Attributes:
        qualname: Its qualified name. That of a class in a function contains `<locals>`.
        line: The line of the statement.
        fields: Name → the statements in the body that assign or annotate it.
        members: The names of classes and functions in the body.
        bases: Its bases as they are written, without keywords.
    """

    qualname: str
    line: int
    bases: tuple[str, ...] = ()
    fields: dict[str, list[Statement]] = field(default_factory=lambda: defaultdict(list))
    members: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class SourceFile:
    """A file of Python.

    Attributes:
        path: The file.
        modules: The names under which it may be imported, that of the innermost folder of `sys.path` first.
        content: Its bytes.
    """

    path: Path
    modules: tuple[str, ...]
    content: bytes

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree.

        Raises:
            SyntaxError: The file cannot be parsed, or is not encoded as it says.
        """
        try:
            return ast.parse(self.content, self.path)
        except (ValueError, RecursionError) as error:  # The file contains null bytes, or is nested too deeply.
            raise SyntaxError(str(error)) from error

    @cached_property
    def classes(self) -> dict[str, list[ClassSource]]:
        """Qualified name → the class statements of this name."""
        found: dict[str, list[ClassSource]] = defaultdict(list)
        for source in _iter_classes(self.tree.body, ""):
            found[source.qualname].append(source)
        return found

    @cached_property
    def imports(self) -> dict[str, tuple[str, str | None]]:
        """The names that an import at the top of the module binds, and nothing else: → module, and name in it.

        Imports below a class or function are left out, because their names are not there yet in its decorators and
        annotations.
        """
        imports: dict[str, tuple[str, str | None]] = {}
        for statement in itertools.takewhile(_defines_nothing, self.tree.body):
            if isinstance(statement, ast.Import):
                for alias in statement.names:
                    if alias.asname or "." not in alias.name:
                        imports[alias.asname or alias.name] = (alias.name, None)
            elif isinstance(statement, ast.ImportFrom):
                module = self._resolve_module(statement)
                for alias in statement.names:
                    imports[alias.asname or alias.name] = (module, alias.name)
        return {name: imported for name, imported in imports.items() if self.bound_names[name] == 1}

    def _resolve_module(self, statement: ast.ImportFrom) -> str:
        """Return the name of the module from which a statement imports."""
        if not statement.level:
            return statement.module or ""
        package = self.modules[0].split(".")
        parts = package[: len(package) - statement.level + (self.path.name == "__init__.py")]
        return ".".join([*parts, *([statement.module] if statement.module else [])])

    @cached_property
    def functions(self) -> dict[str, list[Function]]:
        """Qualified name → the functions and methods of this name."""
        found: dict[str, list[Function]] = defaultdict(list)
        for name, function in _iter_functions(self.tree.body, ""):
            found[name].append(function)
        return found

    @cached_property
    def bound_names(self) -> Counter[str]:
        """The names that are bound anywhere in the file, and how often."""
        names: Counter[str] = Counter()
        for node in ast.walk(self.tree):
            match node:
                case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                    names[name] += 1
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    names[name] += 1
                case ast.alias(name=name, asname=alias):
                    names[alias or name.partition(".")[0]] += 1
                case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                    names[name] += 1
                case ast.MatchMapping(rest=str(name)):
                    names[name] += 1
                case _:
                    pass
        return names


def _defines_nothing(statement: ast.stmt) -> bool:
    """Return True if a statement contains no statement of a class or function."""
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return not any(isinstance(each, definitions) for each in _iter_statements([statement]))


def _iter_classes(body: list[ast.stmt], prefix: str) -> Iterator[ClassSource]:
    for statement in _iter_statements(body):
        if isinstance(statement, ast.ClassDef):
            source = ClassSource(prefix + statement.name, statement.lineno, tuple(map(ast.unparse, statement.bases)))
            for member in _iter_statements(statement.body):
                _add_member(source, member)
            yield source
            yield from _iter_classes(statement.body, f"{source.qualname}.")
        elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _iter_classes(statement.body, f"{prefix}{statement.name}.<locals>.")


def _iter_functions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Function]]:
    for statement in _iter_statements(body):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + statement.name, statement
        elif isinstance(statement, ast.ClassDef):
            yield from _iter_functions(statement.body, f"{prefix}{statement.name}.")


def _iter_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements and those in their blocks, but not those in the bodies of classes and functions."""
    for statement in body:
        yield statement
        if not isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            for name in ("body", "orelse", "finalbody"):
                yield from _iter_statements(getattr(statement, name, []))
            for handler in getattr(statement, "handlers", []):
                yield from _iter_statements(handler.body)


def _add_member(source: ClassSource, member: ast.stmt) -> None:
    if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
        source.fields[member.target.id].append(member)
    elif isinstance(member, ast.Assign):
        for target in member.targets:
            for node in ast.walk(target):
                if isinstance(node, ast.Name):
                    source.fields[node.id].append(member)
    elif isinstance(member, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        source.members.add(member.name)


def iter_source_files(root: Path) -> Iterator[SourceFile]:
    """Yield the files of Python below a folder, except links and those of virtual environments and hidden folders.

    A link may lead to another project. If it leads to a file of this one, that file is yielded itself.

    Raises:
        OSError: A file cannot be read.
    """
    roots = list_import_roots(root)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not _is_skipped(Path(folder, name)))
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix == ".py" and path.is_file() and not path.is_symlink():
                modules = tuple(_iter_module_names(path, roots))
                if modules:
                    yield SourceFile(path, modules, path.read_bytes())


def list_import_roots(root: Path) -> list[Path]:
    """Return the folders of `sys.path` in or equal to this folder, the innermost first."""
    roots = {Path(entry).resolve() for entry in sys.path}
    inside = [path for path in roots if path == root or root in path.parents]
    return sorted(inside, key=lambda path: (-len(path.parts), path))


def _is_skipped(folder: Path) -> bool:
    return folder.name in _SKIPPED_FOLDERS or folder.name.startswith(".") or (folder / "pyvenv.cfg").exists()


def _iter_module_names(path: Path, roots: list[Path]) -> Iterator[str]:
    for root in roots:
        if root in path.parents:
            parts = list(path.relative_to(root).with_suffix("").parts)
            if parts[-1] == "__init__":
                parts.pop()
            if parts and all(part.isidentifier() for part in parts) and parts[-1] != "__main__":
                yield ".".join(parts)
