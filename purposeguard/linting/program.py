"""All that rules ask: files, names, types, tags, what guards, and the notices by which ids mean something."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from purposeguard.linting.finding import Found, Rule
from purposeguard.linting.guards import Guards
from purposeguard.linting.names import LIBRARY, Names, terminal
from purposeguard.linting.project import Module, Project
from purposeguard.linting.tagging import Tags
from purposeguard.linting.telling import Told
from purposeguard.linting.values import Values
from purposeguard.notice.notice import Notice


@dataclass(frozen=True)
class Program:
    """What is looked at. `notices`: those that were named for it; `bundled`: finds one that comes with the library."""

    project: Project
    names: Names
    values: Values
    tags: Tags
    told: Told
    guards: Guards
    notices: Sequence[Notice]
    bundled: Callable[[str], Notice | None]

    @classmethod
    def of(cls, project: Project, notices: Sequence[Notice], bundled: Callable[[str], Notice | None]) -> Program:
        """Works out what rules ask of these files."""
        names = Names(project)
        values = Values(names)
        tags = Tags(values)
        return cls(project, names, values, tags, Told(tags), Guards(project, tags), notices, bundled)

    @cached_property
    def only_notice(self) -> Notice | None:
        """The bundled notice that is named, where the files name no other and read none of their own."""
        names = {name for one in self.project.modules for name in _bundled_in(one)}
        alone = len(names) == 1 and not any(_makes_notices(one) for one in self.project.modules)
        return self.bundled(names.pop()) if alone else None


def _bundled_in(module: Module) -> Iterator[str]:
    """The bundled notices that a module imports."""
    imports: list[ast.ImportFrom | ast.Import] = [*module.all(ast.ImportFrom), *module.all(ast.Import)]
    for node in imports:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{LIBRARY}.notices"):
            parts = (node.module or "").split(".")
            yield from (
                [parts[2].replace("_", "-")] if len(parts) > 2 else [one.name.replace("_", "-") for one in node.names]
            )
        elif isinstance(node, ast.Import):
            for one in node.names:
                parts = one.name.split(".")
                if parts[:2] == [LIBRARY, "notices"] and len(parts) > 2:
                    yield parts[2].replace("_", "-")


def _makes_notices(module: Module) -> bool:
    """Whether a module reads a notice of its own."""
    return any(
        node.attr in ("load", "loads", "parse", "bundled") and terminal(node.value) == "Notice"
        for node in module.all(ast.Attribute)
    )


Check = Callable[[Module, Program], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Checked:
    """A rule, and what finds it in a module."""

    rule: Rule
    check: Check
