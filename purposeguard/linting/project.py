"""The modules of the files that are looked at, found by the names that imports call them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

from purposeguard.linting.files import Text
from purposeguard.linting.scopes import FunctionNode, Scope, children, scan

N = TypeVar("N", bound=ast.AST)

DEEPEST = 6
"""Folders without `__init__.py` above a module that may be a part of its name."""


class Module:
    """A file, with its name, tree and scopes."""

    def __init__(self, text: Text) -> None:
        self.path = text.path
        self.place = text.path.resolve().parts
        self.shown = text.shown
        self.text = text.text
        self.tree = text.tree
        self.lines = text.text.split("\n")
        self.is_package = text.path.stem == "__init__"
        self.root, self.name = _named(text.path)
        self.scope = Scope(text.tree, "module", None, self)
        self.scope_of: dict[ast.AST, Scope] = {}
        self.inside: dict[ast.AST, Scope] = {}
        """The scope that a class, function, lambda or comprehension opens."""
        self.of_kind: dict[type[ast.AST], list[ast.AST]] = {}
        scan(self)

    def all(self, kind: type[N]) -> list[N]:
        """The nodes of a kind, in the order of the text."""
        return cast("list[N]", self.of_kind.get(kind, []))

    @cached_property
    def parent_of(self) -> dict[ast.AST, ast.AST]:
        """Which node each is right below; asked of few modules."""
        return {child: node for node in self.scope_of for child in children(node)}

    @property
    def functions(self) -> list[FunctionNode]:
        """The functions in it, wherever they stand."""
        return [*self.all(ast.FunctionDef), *self.all(ast.AsyncFunctionDef)]

    def absolute(self, name: str | None, level: int) -> str:
        """What `from ..name import` means here."""
        if not level:
            return name or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - level + self.is_package]
        return ".".join([*parts, *([name] if name else [])])

    def qualname(self, node: ast.AST) -> str:
        """The name of a class or function within its module."""
        parts: list[str] = []
        scope: Scope | None = self.inside.get(node)
        while scope is not None and scope.parent is not None:
            if isinstance(scope.node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                parts.append(scope.node.name)
            scope = scope.parent
        return ".".join(reversed(parts))


def _named(path: Path) -> tuple[Path, str]:
    """The folder from which a file is imported, and its dotted name from there."""
    path = path.resolve()
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.name:
        parts.append(folder.name)
        folder = folder.parent
    return folder, ".".join(reversed(parts)) or path.parent.name


class Project:
    """All modules that are looked at."""

    def __init__(self, texts: Iterable[Text]) -> None:
        self.modules = tuple(Module(one) for one in texts)
        self._by_name: dict[str, list[Module]] = {}
        self._by_end: dict[str, list[Module]] = {}
        for module in self.modules:
            self._by_name.setdefault(module.name, []).append(module)
            ending = module.name
            for folder in [module.root, *module.root.parents][:DEEPEST]:
                if not folder.name.isidentifier():
                    break
                ending = f"{folder.name}.{ending}"
                self._by_end.setdefault(ending, []).append(module)

    def find(self, name: str, importer: Module) -> Module | None:
        """The module that an import means, where it is one of those that are looked at."""
        if name.partition(".")[0] in sys.stdlib_module_names:
            return None  # a file of such a name, in another folder, is not what is imported
        for known in (self._by_name, self._by_end):
            found = _nearest(known, name, importer)
            if found is not None:
                return found
        return None


def _nearest(known: Mapping[str, list[Module]], name: str, importer: Module) -> Module | None:
    """Of several modules of one name, that which lies nearest to who imports it."""
    found = known.get(name, [])
    if not found:
        return None
    if len(found) == 1:
        return found[0]
    here = importer.place

    def shared(module: Module) -> int:
        there = module.place
        return next((index for index, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), len(there))

    return max(found, key=shared)
