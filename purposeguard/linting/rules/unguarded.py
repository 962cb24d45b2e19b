"""`unguarded-access`: a function that reads what is tagged, and that nobody guards."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from purposeguard.linting.finding import Found, Rule
from purposeguard.linting.guards import Function
from purposeguard.linting.names import Here, terminal
from purposeguard.linting.program import Program
from purposeguard.linting.project import Module
from purposeguard.linting.reading import bears, made_by, reads
from purposeguard.linting.scopes import within
from purposeguard.linting.values import GUARD, USE

RULE: Final = Rule(
    "unguarded-access",
    "a function reads tagged data, and nobody guards it",
    "Tags are checked where data is read: by `@guard.access`. Whoever calls this function gets the data for any "
    "purpose, or for none.",
    "decorate it with `@guard.access`",
)


EXCUSED: Final = frozenset(
    {
        *("overload", "abstractmethod", "fixture", "property", "cached_property", "validator", "field_validator"),
        *("model_validator", "composite", "given"),
    }
)
"""Decorators of what is no access function."""


def check(module: Module, program: Program) -> Iterator[Found]:
    """Functions of a module that give out tagged data."""
    for node in module.functions:
        function = program.guards.functions[node]
        what = _given(function, program)
        if what is not None and not _is_excused(function, program) and reads(function, program):
            yield Found(node, f"`{function.name}` gives {what} and is not guarded", function.name, to=_head_end(node))


def _head_end(node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST | None:
    return node.returns


def _given(function: Function, program: Program) -> str | None:
    """What tagged data a function is annotated to give."""
    returned = program.values.returned(function.here)
    if returned is None:
        return _made(function, program)
    held = program.tags.of(*returned)
    if not (held.tagged or (held.sealed and held.marked)):
        return None
    return next(
        (f"`{one.node.name}`, which bears tags," for one in held.classes if bears(program.tags.of_class(one))),
        "what is tagged",
    )


def _made(function: Function, program: Program) -> str | None:
    """What tagged data a function gives that says nothing of it: the models that it makes and returns."""
    module = function.here.module
    for node in within(function.node.body):
        value = node.value if isinstance(node, (ast.Return, ast.Yield)) else None
        if isinstance(value, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            value = value.elt
        if isinstance(value, ast.Call):
            for cls in made_by(value, module, program):
                held = program.tags.of_class(cls)
                if held.tagged or (held.sealed and held.marked):
                    return f"`{cls.node.name}`, which bears tags,"
    return None


def _is_excused(function: Function, program: Program) -> bool:
    """Whether it is guarded after all, or no access function: a stub, a fixture, a method of the model itself."""
    node, module = function.node, function.here.module
    if any(how != "purpose" for how in function.by) or _is_stub(node):
        return True
    if {terminal(one) for one in node.decorator_list} & EXCUSED:
        return True
    around = function.here.scope.around
    if around is not None and isinstance(around.node, ast.ClassDef):
        cls = Here(module, around.node)
        if "typing.Protocol" in program.names.bases(cls) or bears(program.tags.of_class(cls)):
            return True
    return (
        _checks_itself(function, program)
        or program.guards.touches_adapters(node, module)
        or program.guards.is_helper(function)
    )


def _is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether there is nothing in it."""
    return all(
        isinstance(one, (ast.Pass, ast.Raise)) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        for one in node.body
    )


def _checks_itself(function: Function, program: Program) -> bool:
    """Whether it asks a guard or a use itself."""
    module = function.here.module
    for node in within(function.node.body):
        if isinstance(node, ast.Attribute):
            scope = module.scope_of[node]
            if node.attr in ("check", "allows", "current", "withhold", "explain", "use", "access"):
                owner = program.values.of(node.value, scope)
                if owner is not None and owner.name in (GUARD, USE):
                    return True
    return False
