"""Violations that code swallows: raised by a guard, and caught by an `except` that is meant for anything.

Where an error was caught is known when it dies: its traceback ends there. Nothing is kept alive to find out.
"""

from __future__ import annotations

import ast
import builtins
import collections
import functools
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from purposeguard.errors import PurposeMissing, PurposeViolation

Refusal = PurposeViolation | PurposeMissing

_REFUSALS: Final = (PurposeViolation, PurposeMissing)
_ANYTHING: Final = frozenset({"BaseException", "Exception"})
_OF_SYSTEMS: Final = frozenset({"EnvironmentError", "IOError", "OSError", "PermissionError"})
"""What a violation is as well, and what catches it where files were meant."""


class Caught(NamedTuple):
    """Where an error was caught: the line of the `try` at which it arrived."""

    file: str
    line: int
    missing: bool
    test: str | None


class Swallowing:
    """Notes where refusals end. From any thread, and from finalisers."""

    def __init__(self) -> None:
        self.caught: collections.deque[Caught] = collections.deque()
        self._tests: dict[int, str | None] = {}
        self._living: weakref.WeakSet[Refusal] = weakref.WeakSet()

    def told(self, error: Refusal, test: str | None) -> None:
        """A guard is about to raise this."""
        self._tests[id(error)] = test
        self._living.add(error)

    def start(self) -> None:
        """From now on the end of each is noted."""
        _active.append(self)
        if len(_active) == 1:
            for cls in _REFUSALS:
                cls.__del__ = _died  # type: ignore[union-attr]  # taken off again

    def stop(self) -> None:
        """The reverse; those that live on were caught too."""
        _active.remove(self)
        if not _active:
            for cls in _REFUSALS:
                del cls.__del__  # type: ignore[union-attr]
        for error in list(self._living):
            self._note(error)

    def _note(self, error: Refusal) -> None:
        try:
            test = self._tests.pop(id(error))
        except KeyError:
            return
        trace = error.__traceback__
        if trace is not None:
            missing = not isinstance(error, PurposeViolation)
            self.caught.append(Caught(trace.tb_frame.f_code.co_filename, trace.tb_lineno, missing, test))


_active: Final[list[Swallowing]] = []
"""A run of tests may run others within itself."""


def _died(error: Refusal) -> None:
    for one in _active:
        one._note(error)


def swallowed(
    caught: Iterable[Caught], root: Path, left_out: frozenset[Path]
) -> Iterator[tuple[tuple[str, int, int, str, str], int]]:
    """Those of an application's own code, and how often: file, line, line and text of the clause, test.

    `left_out` are files and folders that are not looked into: tests, and libraries.
    """
    for one, count in collections.Counter(caught).items():
        path = Path(one.file)
        if not path.is_relative_to(root) or "site-packages" in path.parts:
            continue
        if path in left_out or not left_out.isdisjoint(path.parents):
            continue
        clause = _clause_at(one.file, one.line, one.missing)
        if clause is not None:
            line, text = clause
            yield (path.relative_to(root).as_posix(), one.line, line, text, one.test or ""), count


@functools.lru_cache(maxsize=4096)
def _clause_at(file: str, line: int, missing: bool) -> tuple[int, str] | None:
    """The clause that swallows what arrives at a line; None where none does, or one that names what it is for."""
    tree = _tree(file)
    if tree is None:
        return None
    scope: ast.AST = tree
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _holds(node.body, line):
            scope = node  # walked from the outside to the inside
    around = [
        node
        for node in _own(scope)
        if isinstance(node, (ast.Try, ast.TryStar, ast.With, ast.AsyncWith)) and _holds(node.body, line)
    ]
    broad = _ANYTHING if missing else _ANYTHING | _OF_SYSTEMS
    for node in sorted(around, key=lambda one: one.lineno, reverse=True):
        answer = _of_with(node, broad) if isinstance(node, (ast.With, ast.AsyncWith)) else _of_try(node, broad)
        if answer is not None:
            return answer or None
    return None


Answer = tuple[int, str] | tuple[()] | None
"""What swallows it; nothing where it ends here as it should; None where it goes on."""


def _of_try(node: ast.Try | ast.TryStar, broad: frozenset[str]) -> Answer:
    for handler in node.handlers:
        meant = _meant(handler.type, broad)
        if meant == "broad":
            raises = any(isinstance(one, ast.Raise) for one in _own(handler))
            what = "" if handler.type is None else f" {ast.unparse(handler.type)}"
            return () if raises else (handler.lineno, f"except{what}")
        if meant == "named":
            return ()
    return None


def _of_with(node: ast.With | ast.AsyncWith, broad: frozenset[str]) -> Answer:
    for item in reversed(node.items):
        call = item.context_expr
        name = _name(call.func) if isinstance(call, ast.Call) else ""
        if not isinstance(call, ast.Call) or name not in ("suppress", "raises"):
            continue
        meant = {_meant(one, broad) for one in call.args} or {"named"}
        if name == "raises" and meant != {"other"}:
            return ()  # a test that expects it
        if "broad" in meant:
            return item.context_expr.lineno, ast.unparse(call)
        if "named" in meant:
            return ()
    return None


def _meant(type_: ast.expr | None, broad: frozenset[str]) -> str:
    """Whether a clause is for anything (`broad`), for something else (`other`), or for what it names."""
    if type_ is None:
        return "broad"
    if isinstance(type_, ast.Tuple):
        found = {_meant(one, broad) for one in type_.elts}
        return next((one for one in ("broad", "named") if one in found), "other")
    name = _name(type_)
    if name in broad:
        return "broad"
    own = getattr(builtins, name, None)
    return "other" if isinstance(own, type) and issubclass(own, BaseException) else "named"


def _name(node: Any) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _holds(body: list[ast.stmt], line: int) -> bool:
    return bool(body) and body[0].lineno <= line <= (body[-1].end_lineno or body[-1].lineno)


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """All below a node, save what is inside functions and classes there."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield node
            yield from _own(node)


@functools.lru_cache(maxsize=256)
def _tree(file: str) -> ast.Module | None:
    try:
        return ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None  # it is gone, or was never a file
