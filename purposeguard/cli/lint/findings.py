"""Rules, findings with their places, and the comments that allow a finding.

`# purposeguard: allow[rule] reason` behind code is about that line, on a line of its own about the next line with code.
It gives a reason. A comment without one, for an unknown rule, or without a finding is a finding itself.
"""

from __future__ import annotations

import ast
import difflib
import io
import re
import tokenize
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its id, what it finds, and how to fix it."""

    id: str
    title: str
    help: str
    level: Level = "error"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A range in a file: lines and character columns from 1, the end exclusive."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A finding. `symbol`: its function, field or class; `allowed`: the reason why it is allowed, if it is."""

    place: Place
    rule: str
    message: str
    symbol: str = ""
    allowed: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Unread:
    """A file that could not be linted, or only up to a line."""

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


BAD: Final = Rule(
    "bad-allow",
    "a comment allows nothing, or gives no reason",
    "write `# purposeguard: allow[rule] reason`",
)
UNUSED: Final = Rule(
    "unused-allow",
    "a comment allows a finding that does not exist",
    "remove the comment",
    "warning",
)
COMMENT: Final = re.compile(
    r"#\s*purposeguard\s*:\s*allow\b\s*(?:\[(?P<rules>[^\]]*)\])?\s*[-:–—]*\s*(?P<reason>[^#]*)", re.IGNORECASE
)
"""In a comment, which may hold those of other tools before and behind: `# type: ignore  # purposeguard: allow[…] …`."""


@dataclass(slots=True)
class Allow:
    """An allowing comment: its rules, its line, and the reason."""

    place: Place
    rules: tuple[str, ...]
    reason: str
    line: int
    fault: str | None = None
    used: set[str] = field(default_factory=set)


def allows_in(text: str, shown: str, rules: Collection[str]) -> list[Allow]:
    """The allowing comments of a file, malformed ones included."""
    allows: list[Allow] = []
    waiting: list[Allow] = []
    begun: set[int] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                allow = _read(token, shown, rules)
                if allow is not None:
                    allows.append(allow)
                    if allow.line not in begun:
                        waiting.append(allow)
            elif token.type not in (
                tokenize.NL,
                tokenize.NEWLINE,
                tokenize.INDENT,
                tokenize.DEDENT,
                tokenize.ENDMARKER,
            ):
                begun.update(range(token.start[0], token.end[0] + 1))
                for allow in waiting:
                    allow.line = token.start[0]
                waiting = []
    except (tokenize.TokenError, SyntaxError):  # of a text that was parsed: only what is behind the last line with code
        pass
    return allows


def _read(token: tokenize.TokenInfo, shown: str, rules: Collection[str]) -> Allow | None:
    comment = COMMENT.search(token.string)
    if comment is None:
        return None
    line, column = token.start
    named = tuple(rule.strip() for rule in (comment["rules"] or "").split(",") if rule.strip())
    reason = comment["reason"].strip()
    unknown = [rule for rule in named if rule not in rules]
    fault = None
    if not named:
        fault = "names no rule"
    elif unknown:
        near = difflib.get_close_matches(unknown[0], rules, 1)
        fault = f"names the unknown rule `{unknown[0]}`" + (f" (did you mean `{near[0]}`?)" if near else "")
    elif not re.search(r"\w", reason):
        fault = f"gives no reason to allow `{named[0]}`"
    return Allow(Place(shown, line, column + 1, line, token.end[1] + 1), named, reason, line, fault)


def settled(findings: Iterable[tuple[Finding, frozenset[int]]], allows: list[Allow]) -> Iterator[Finding]:
    """Findings, with the reason if a comment allows them; each comes with the lines of such a comment."""
    for finding, lines in findings:
        for allow in allows:
            if allow.fault is None and finding.rule in allow.rules and allow.line in lines:
                allow.used.add(finding.rule)
                yield Finding(finding.place, finding.rule, finding.message, finding.symbol, allow.reason)
                break
        else:
            yield finding


def about_allows(allows: Iterable[Allow], checked: Collection[str]) -> Iterator[Finding]:
    """Findings about the comments themselves; `checked`: the rules that ran."""
    for allow in allows:
        if allow.fault is not None:
            yield Finding(allow.place, BAD.id, f"the comment {allow.fault}")
            continue
        for rule in allow.rules:
            if rule in checked and rule not in allow.used:
                yield Finding(allow.place, UNUSED.id, f"`{rule}` is allowed here, but not found")
