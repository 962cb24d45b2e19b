"""What a file says of an error that arrives at a line: which clause ends it, and whether that is meant for it."""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import purposeguard

_ANYTHING: Final = frozenset({"BaseException", "Exception"})
_OF_SYSTEMS: Final = frozenset({"EnvironmentError", "IOError", "OSError", "PermissionError"})
"""What a violation is as well, and what catches it where files were meant."""

_GROUPS: Final = frozenset({"BaseExceptionGroup", "ExceptionGroup"})
"""What the errors of tasks come in."""

_OWN: Final = frozenset(
    name
    for name, one in vars(purposeguard).items()
    if isinstance(one, type) and issubclass(one, purposeguard.PurposeGuardError)
)

_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

Answer = tuple[int, str] | tuple[()] | None
"""What swallows it, by line and text; nothing where it ends here as it should; None where it goes on."""


@functools.lru_cache(maxsize=4096)
def clause_at(file: str, line: int, *, missing: bool = False, grouped: bool = False) -> Answer:
    """What ends a violation that arrives at a line.

    `missing`: it is that no purpose is stated, which is no error of permissions. `grouped`: it comes in a group.
    """
    tree = _tree(file)
    if tree is None:
        return ()
    scope = _scope(tree, line)
    broad = _ANYTHING if missing else _ANYTHING | _OF_SYSTEMS
    around = [one for one in _own(scope) if isinstance(one, (ast.Try, ast.TryStar, ast.With, ast.AsyncWith))]
    for node in sorted(around, key=lambda one: one.lineno, reverse=True):
        if isinstance(node, (ast.With, ast.AsyncWith)):
            answer = _of_with(node, broad) if _holds(node.body, line) else None
        else:
            starred = isinstance(node, ast.TryStar)
            answer = _of_try(node, line, broad if starred or not grouped else _ANYTHING | _GROUPS)
        if answer is not None:
            return answer
    return None


def names_refusals(file: str, line: int) -> bool:
    """Whether the function around a line names an error of the library: it looks at what it was given."""
    tree = _tree(file)
    return tree is not None and any(_name(one) in _OWN for one in ast.walk(_scope(tree, line)))


def _scope(tree: ast.Module, line: int) -> ast.AST:
    scope: ast.AST = tree
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _holds(node.body, line):
            scope = node  # walked from the outside to the inside
    return scope


def _of_try(node: ast.Try | ast.TryStar, line: int, broad: frozenset[str]) -> Answer:
    if _holds(node.body, line):
        for handler in node.handlers:
            meant = _meant(handler.type, broad)
            if meant == "broad":
                raises = any(isinstance(one, ast.Raise) for one in _own(handler))
                star = "*" if isinstance(node, ast.TryStar) else ""
                what = "" if handler.type is None else f" {ast.unparse(handler.type)}"
                return () if raises else (handler.lineno, f"except{star}{what}")
            if meant == "named":
                return ()
    if any(_holds(part, line) for part in (node.body, node.orelse, *(one.body for one in node.handlers))):
        leaves = next(filter(None, map(_leaving, node.finalbody)), None)
        if leaves is not None:
            return leaves.lineno, f"finally: {ast.unparse(leaves).split()[0]}"
    return None


def _leaving(node: ast.AST, *, in_loop: bool = False) -> ast.stmt | None:
    """What lets go of an error where it stands in a `finally`."""
    if isinstance(node, ast.Return) or (isinstance(node, (ast.Break, ast.Continue)) and not in_loop):
        return node
    if isinstance(node, _SCOPES):
        return None
    inside = in_loop or isinstance(node, (ast.For, ast.AsyncFor, ast.While))
    below = (_leaving(one, in_loop=inside) for one in ast.iter_child_nodes(node))
    return next(filter(None, below), None)


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
        if not isinstance(node, _SCOPES):
            yield node
            yield from _own(node)


@functools.lru_cache(maxsize=256)
def _tree(file: str) -> ast.Module | None:
    try:
        return ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None  # it is gone, or was never a file
