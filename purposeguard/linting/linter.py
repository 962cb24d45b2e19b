"""Lint: files are read, rules are asked, comments are heard."""

from __future__ import annotations

import ast
import difflib
import gc
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from purposeguard.errors import NoticeError
from purposeguard.linting.allows import BAD, UNUSED, about_allows, allows_in, settled
from purposeguard.linting.files import Text, listing, read
from purposeguard.linting.finding import Finding, Found, Place, Rule, Unread
from purposeguard.linting.program import Checked, Program
from purposeguard.linting.project import Module, Project
from purposeguard.linting.rules import cached, mapped, stored, swallowed, unguarded, unknown, untagged
from purposeguard.notice.notice import Notice

CHECKS: Final = tuple(
    Checked(one.RULE, one.check) for one in (untagged, unguarded, cached, stored, mapped, swallowed, unknown)
)
RULES: Final[tuple[Rule, ...]] = (*(one.rule for one in CHECKS), BAD, UNUSED)
"""All rules, in the order in which they are told."""

IDS: Final = tuple(one.id for one in RULES)


class UnknownRule(Exception):
    """A rule was named, and there is none of this id."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found: `findings` to be dealt with, those that are `allowed`, and what was not looked at."""

    findings: tuple[Finding, ...]
    allowed: tuple[Finding, ...]
    unread: tuple[Unread, ...]
    notebooks: tuple[Path, ...]
    files: int


def lint(
    paths: Sequence[Path],
    *,
    notices: Sequence[Notice] = (),
    rules: Collection[str] | None = None,
    exclude: Iterable[str] = (),
) -> Outcome:
    """Looks at all files under these paths. Imports none of them.

    `notices` are those by which ids in texts mean something; without them, those that the code names. `rules` are the
    ids of those to look for, all of them if left out. `exclude` are globs of paths, below a folder that is given.

    Raises:
        NotLintable: a path is not there, or is a notebook.
        UnknownRule: there is no such rule.
    """
    for one in rules or ():
        if one not in IDS:
            near = difflib.get_close_matches(one, IDS, 1)
            raise UnknownRule(f"there is no rule `{one}` (help: {near[0] if near else ', '.join(IDS)})")
    listed = listing(paths, exclude)
    with _nothing_collected():
        given = [read(one) for one in listed.files]
        texts = [one for one in given if isinstance(one, Text)]
        unread = [one for one in given if isinstance(one, Unread)]
        found = list(_found(Project(texts), notices, rules))
    return Outcome(
        tuple(sorted(one for one in found if isinstance(one, Finding) and one.allowed is None)),
        tuple(sorted(one for one in found if isinstance(one, Finding) and one.allowed is not None)),
        tuple(sorted([*listed.unread, *unread, *(one for one in found if isinstance(one, Unread))])),
        listed.notebooks,
        len(listed.files),
    )


@contextmanager
def _nothing_collected() -> Generator[None]:
    """Keeps the garbage collector away: trees that are all in use hold none, and looking takes half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _found(project: Project, notices: Sequence[Notice], rules: Collection[str] | None) -> Iterator[Finding | Unread]:
    program = Program.of(project, notices, _bundled)
    checks = [one for one in CHECKS if rules is None or one.rule.id in rules]
    checked = {one.rule.id for one in checks}
    for module in project.modules:
        try:
            findings = [
                (_finding(found, one.rule, module), _lines(found))
                for one in checks
                for found in one.check(module, program)
            ]
        except RecursionError:
            yield Unread(module.shown, 1, "is nested too deeply to be looked at")
            continue
        allows = allows_in(module.text, module.shown, IDS)
        yield from dict.fromkeys(settled(findings, allows))
        for about in about_allows(allows, checked):
            if rules is None or about.rule in rules:
                yield about


@cache
def _bundled(name: str) -> Notice | None:
    try:
        return Notice.bundled(name)
    except NoticeError:
        return None


def _finding(found: Found, rule: Rule, module: Module) -> Finding:
    return Finding(_place(found, module), rule.id, found.message, found.symbol)


def _place(found: Found, module: Module) -> Place:
    node = found.node
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    end = found.to or node
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
    """A column in characters, of one in bytes as the parser has it."""
    text = module.lines[line - 1] if line <= len(module.lines) else ""
    return column if text.isascii() else len(text.encode()[:column].decode(errors="ignore"))


def _lines(found: Found) -> frozenset[int]:
    """The lines on which a comment may allow a finding: those that it is on, and of a function its decorators."""
    node = found.node
    first, last = getattr(node, "lineno", 1), getattr(found.to or node, "end_lineno", 1)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)):
        first = min([first, *(one.lineno for one in getattr(node, "decorator_list", ()))])
        last = last if found.to is not None else node.lineno
    return frozenset([*range(first, last + 1), *found.lines])
