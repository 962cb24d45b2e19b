"""`broad-except`: an `except` that swallows what a guard refuses, with all other errors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from purposeguard.linting.finding import Found, Rule
from purposeguard.linting.names import Value, terminal
from purposeguard.linting.program import Program
from purposeguard.linting.project import Module
from purposeguard.linting.scopes import Assigned, Scope, children, walk, within

RULE: Final = Rule(
    "broad-except",
    "a broad `except` swallows what a guard refuses",
    "A denial is an error. Where an `except` for all errors is around a guarded call and raises none of them again, "
    "code goes on as if data were missing, and nobody learns that a use was refused. A `PurposeViolation` is a "
    "`PermissionError`, and that an `OSError`, so these are broad here too.",
    "name the errors that are meant, or let the violation pass: `except pg.PurposeViolation: raise` before it",
    "warning",
)

BROAD: Final = frozenset(
    {
        "builtins.Exception",
        "builtins.BaseException",
        "builtins.PermissionError",
        "builtins.OSError",
        "builtins.IOError",
        "builtins.EnvironmentError",
    }
)
LEAVING: Final = frozenset({"exit", "_exit", "abort", "fail", "reraise", "skip", "xfail", "set_exception", "throw"})
"""Functions by which a handler ends in an error all the same."""

EXPLICIT: Final = frozenset(
    {
        *("purposeguard.PurposeViolation", "purposeguard.PurposeGuardError", "purposeguard.PurposeMissing"),
        *("purposeguard.ChannelViolation", "purposeguard.SubjectViolation", "purposeguard.SealedValue"),
    }
)


def check(module: Module, program: Program) -> Iterator[Found]:
    """Every `try`, and every `suppress`, of a module."""
    tries: list[ast.Try | ast.TryStar] = [*module.all(ast.Try), *module.all(ast.TryStar)]
    for node in tries:
        yield from _tried(node, module.scope_of[node], program)
        yield from _returned_over(node, module.scope_of[node], program)
    blocks: list[ast.With | ast.AsyncWith] = [*module.all(ast.With), *module.all(ast.AsyncWith)]
    for block in blocks:
        yield from _suppressed(block, module.scope_of[block], program)


def _tried(node: ast.Try | ast.TryStar, scope: Scope, program: Program) -> Iterator[Found]:
    for handler in node.handlers:
        named = _named(handler.type, scope, program)
        if named & EXPLICIT and not named & BROAD:
            return  # what a guard refuses is dealt with by itself
        caught = "`except`" if handler.type is None else f"`except {_spelt(handler.type)}`"
        if (handler.type is None or named & BROAD) and not (_raises(handler) or _raised_later(handler, scope)):
            why = _refusing(node.body, scope.module, program)
            if why is not None:
                yield Found(handler, f"{caught} swallows what is refused to {why}", _symbol(scope), to=handler.type)
            return


def _returned_over(node: ast.Try | ast.TryStar, scope: Scope, program: Program) -> Iterator[Found]:
    """A `return` in `finally`, which takes the place of the error that is under way."""
    returns = next((one for one in node.finalbody if isinstance(one, ast.Return)), None)
    why = None if returns is None else _refusing(node.body, scope.module, program)
    if returns is not None and why is not None:
        yield Found(returns, f"`return` in `finally` swallows what is refused to {why}", _symbol(scope))


def _suppressed(node: ast.With | ast.AsyncWith, scope: Scope, program: Program) -> Iterator[Found]:
    for item in node.items:
        call = item.context_expr
        if isinstance(call, ast.Call) and "contextlib.suppress" in program.names.names(call.func, scope):
            broad = [one for one in call.args if _named(one, scope, program) & BROAD]
            why = _refusing(node.body, scope.module, program) if broad else None
            if why is not None:
                yield Found(call, f"`suppress({_spelt(broad[0])})` swallows what is refused to {why}", _symbol(scope))


def _named(type_: ast.expr | None, scope: Scope, program: Program) -> frozenset[str]:
    """What a clause catches, also by a tuple that has a name: `except RECOVERABLE`."""
    found: set[str] = set()
    pending = [] if type_ is None else [(type_, scope)]
    seen: set[ast.expr] = set()
    while pending:
        one, inside = pending.pop()
        if one in seen:
            continue
        seen.add(one)
        if isinstance(one, ast.Tuple):
            pending += [(each, inside) for each in one.elts]
        elif isinstance(one, ast.Starred):
            pending.append((one.value, inside))
        elif isinstance(one, ast.BinOp):  # `ERRORS + (OSError,)`
            pending += [(one.left, inside), (one.right, inside)]
        else:
            found |= program.names.names(one, inside)
            for ref in program.names.refs(one, inside):
                binding = ref.binding if isinstance(ref, Value) else None
                if isinstance(binding, Assigned) and isinstance(binding.value, (ast.Tuple, ast.BinOp)):
                    pending.append((binding.value, binding.scope))
    return frozenset(found)


def _spelt(type_: ast.expr) -> str:
    return ast.unparse(type_)


def _raises(handler: ast.ExceptHandler) -> bool:
    """Whether a handler ends in an error again, at least in some case."""
    return any(
        isinstance(one, ast.Raise) or (isinstance(one, ast.Call) and terminal(one.func) in LEAVING)
        for one in within(handler.body)
    )


def _raised_later(handler: ast.ExceptHandler, scope: Scope) -> bool:
    """Whether the error is kept, and what it is kept in raised behind the `try`."""
    function = scope.function
    if handler.name is None or function is None:
        return False
    kept: set[str] = set()
    for node in within(handler.body):
        parts = walk(node) if isinstance(node, (ast.Assign, ast.Call)) else ()
        if any(isinstance(one, ast.Name) and one.id == handler.name for one in parts):
            kept |= {one.id for one in walk(node) if isinstance(one, ast.Name)} - {handler.name}
    return any(
        isinstance(one, ast.Raise) and any(isinstance(each, ast.Name) and each.id in kept for each in walk(one))
        for one in within(getattr(function.node, "body", []))
    )


def _refusing(body: list[ast.stmt], module: Module, program: Program) -> str | None:
    """What in a block may be refused, unless it is dealt with inside."""
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop(0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, (ast.Try, ast.TryStar)) and node.handlers and _deals(node, module, program):
            pending += [*node.orelse, *node.finalbody]
            continue
        if isinstance(node, ast.Call):
            why = program.guards.refusing(node, module.scope_of[node])
            if why is not None:
                return why
        pending += children(node)
    return None


def _deals(node: ast.Try | ast.TryStar, module: Module, program: Program) -> bool:
    """Whether a `try` catches what is refused, broadly (then it is told there) or by itself."""
    scope = module.scope_of[node]
    return any(one.type is None or _named(one.type, scope, program) & (BROAD | EXPLICIT) for one in node.handlers)


def _symbol(scope: Scope) -> str:
    function = scope.function
    return "" if function is None else scope.module.qualname(function.node)
