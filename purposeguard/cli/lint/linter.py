"""Runs lint: reads files, applies rules, and honours the comments that allow findings."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from purposeguard.cli.lint.code import Code, Module
from purposeguard.cli.lint.files import Text, listing, read
from purposeguard.cli.lint.findings import (
    BAD,
    UNUSED,
    Finding,
    Found,
    Place,
    Rule,
    Unread,
    about_allows,
    allows_in,
    settled,
)
from purposeguard.cli.lint.guarding import Guarding
from purposeguard.cli.lint.models import Models
from purposeguard.cli.lint.rules_access import CACHED, UNGUARDED, cached, unguarded
from purposeguard.cli.lint.rules_fields import UNTAGGED, untagged
from purposeguard.cli.lint.rules_flow import MAPPED, SWALLOWED, mapped, swallowed

RULES: Final[tuple[Rule, ...]] = (UNTAGGED, UNGUARDED, CACHED, MAPPED, SWALLOWED, BAD, UNUSED)
"""All rules, in the order of the documentation."""
IDS: Final = tuple(rule.id for rule in RULES)


class UnknownRule(Exception):
    """There is no rule of this id."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result: `findings`, those that are `allowed`, and files that were not linted."""

    findings: tuple[Finding, ...]
    allowed: tuple[Finding, ...]
    unread: tuple[Unread, ...]
    notebooks: tuple[Path, ...]
    files: int


def lint(
    paths: Sequence[Path],
    *,
    rules: Collection[str] | None = None,
    exclude: Iterable[str] = (),
) -> Outcome:
    """Lints all files under these paths without importing them.

    `rules` are the ids of those to look for, all of them if left out. `exclude` are globs of names, or of
    paths below one of the folders.

    Raises:
        NotLintable: a path is not there, or is a notebook.
        UnknownRule: there is no such rule.
    """
    for rule in rules or ():
        if rule not in IDS:
            near = difflib.get_close_matches(rule, IDS, 1)
            raise UnknownRule(f"there is no rule `{rule}` (help: {near[0] if near else ', '.join(IDS)})")
    listed = listing(paths, exclude)
    texts = [read(file) for file in listed.files]
    unread = [text for text in texts if isinstance(text, Unread)]
    findings = list(_found(Code(text for text in texts if isinstance(text, Text)), rules))
    return Outcome(
        tuple(sorted(finding for finding in findings if isinstance(finding, Finding) and finding.allowed is None)),
        tuple(sorted(finding for finding in findings if isinstance(finding, Finding) and finding.allowed is not None)),
        tuple(sorted([*listed.unread, *unread, *(finding for finding in findings if isinstance(finding, Unread))])),
        listed.notebooks,
        len(listed.files),
    )


def _found(code: Code, rules: Collection[str] | None) -> Iterator[Finding | Unread]:
    models = Models(code)
    guarding = Guarding(code)
    checks: dict[Rule, Callable[[Module], Iterator[Found]]] = {
        UNTAGGED: lambda module: untagged(module, models),
        UNGUARDED: lambda module: unguarded(module, models, guarding),
        CACHED: lambda module: cached(module, models, guarding),
        MAPPED: lambda module: mapped(module, models),
        SWALLOWED: lambda module: swallowed(module, models, guarding),
    }
    checks = {rule: check for rule, check in checks.items() if rules is None or rule.id in rules}
    for module in code.modules:
        try:
            findings = [
                (Finding(_place(mistake, module), rule.id, mistake.message, mistake.symbol), _lines(mistake))
                for rule, check in checks.items()
                for mistake in check(module)
            ]
        except RecursionError:
            yield Unread(module.shown, 1, "is nested too deeply to be analysed")
            continue
        allows = allows_in(module.text, module.shown, IDS)
        yield from dict.fromkeys(settled(findings, allows))
        for about in about_allows(allows, {rule.id for rule in checks}):
            if rules is None or about.rule in rules:
                yield about


def _place(mistake: Found, module: Module) -> Place:
    node = mistake.node
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    end = mistake.to or node
    end_line, end_column = getattr(end, "end_lineno", line), getattr(end, "end_col_offset", column)
    if end is node and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)):
        end_line, end_column = line, len(module.lines[line - 1].encode())  # its head, and not all that is in it
    return Place(
        module.shown,
        line,
        _characters(module, line, column) + 1,
        end_line,
        _characters(module, end_line, end_column) + 1,
    )


def _characters(module: Module, line: int, column: int) -> int:
    """The character column of a byte column, which the parser gives."""
    text = module.lines[line - 1] if line <= len(module.lines) else ""
    return column if text.isascii() else len(text.encode()[:column].decode(errors="ignore"))


def _lines(mistake: Found) -> frozenset[int]:
    """The lines on which a comment may allow a finding: its own, and those of a function's decorators."""
    node = mistake.node
    first, last = getattr(node, "lineno", 1), getattr(mistake.to or node, "end_lineno", 1)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)):
        first = min([first, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])
        last = last if mistake.to is not None else node.lineno
    return frozenset([*range(first, last + 1), *mistake.lines])
