"""All that rules ask: files, names, types, tags, what guards, and the notices by which ids mean something."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from purposeguard.linting.finding import Found, Rule
from purposeguard.linting.guards import Guards
from purposeguard.linting.names import Names
from purposeguard.linting.project import Module, Project
from purposeguard.linting.tagging import Tags
from purposeguard.linting.telling import Told
from purposeguard.linting.values import Values
from purposeguard.notice import Notice


@dataclass(frozen=True, slots=True)
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


Check = Callable[[Module, Program], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Checked:
    """A rule, and what finds it in a module."""

    rule: Rule
    check: Check
