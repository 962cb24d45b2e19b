"""What lint says: rules, and findings with their place."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its id, what it finds, and what there is to do about it."""

    id: str
    title: str
    why: str
    help: str
    level: Level = "error"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """From where to where in a file: lines from 1, columns (of characters) from 1, the last one exclusive."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing found. `symbol` is the function, field or class that it is about; `allowed` why it may stay."""

    place: Place
    rule: str
    message: str
    symbol: str = ""
    allowed: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Unread:
    """A file that could not be looked at, or a place in it from which on it could not."""

    path: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Found:
    """A finding of a rule, at a node of the tree; `to` where it ends elsewhere than the node."""

    node: ast.AST
    message: str
    symbol: str = ""
    to: ast.AST | None = None
    lines: tuple[int, ...] = field(default=())
    """Lines, beside those of the node, where a comment may allow it: of a decorated function, that of its `def`."""
