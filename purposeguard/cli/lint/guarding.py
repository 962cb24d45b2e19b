"""Guarded functions, calls that may be refused, and helpers that only guarded functions call."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cached_property
from typing import Final

from purposeguard.cli.lint.code import (
    BLOCK,
    DEEPEST,
    GOVERNANCE,
    GUARD,
    LIBRARY,
    OPENING,
    USE,
    Code,
    FunctionNode,
    Module,
    Scope,
    dotted,
    last,
    own,
)

HOW: Final = {
    **{f"{GUARD}.{name}": name for name in ("access", "purpose", "cached", "entrust", "reclassify", "transform")},
    BLOCK: "purpose",
    f"{BLOCK}.with_use": "purpose",
    f"{GOVERNANCE}.holding": "holding",
    f"{GOVERNANCE}.eraser": "eraser",
}
"""What decorates → as which method."""

CHECKING: Final = frozenset({"access", "purpose", "cached", "entrust"})
"""Decorators by which a call may be refused."""

REFUSING: Final = frozenset(
    {
        *(f"{USE}.{name}" for name in ("open", "open_all", "check", "withhold")),
        *(f"{GUARD}.{name}" for name in ("check", "check_recipient", "use", "purpose")),
    }
)
BROAD: Final = frozenset(
    f"builtins.{name}"
    for name in ("Exception", "BaseException", "PermissionError", "OSError", "IOError", "EnvironmentError")
)
EXPLICIT: Final = frozenset(
    f"purposeguard.{name}"
    for name in (
        *("PurposeViolation", "PurposeGuardError", "PurposeMissing"),
        *("ChannelViolation", "SubjectViolation", "SealedValue"),
    )
)


class Guarding:
    """Finds guarded functions."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.by: dict[FunctionNode, list[str]] = {}
        """Function → the methods of guards that decorate it, from the outermost in."""
        self._why: dict[FunctionNode, str | None] = {}
        self._depth = 0
        for module in code.modules:
            for function in module.functions:
                scope = module.scope_of[function]
                self.by[function] = [
                    how for decorator in function.decorator_list if (how := self.how(decorator, scope))
                ]
        for module in code.modules:
            for call in module.all(ast.Call):  # `load = guard.access(_load)`
                if len(call.args) == 1 and isinstance(call.args[0], (ast.Name, ast.Attribute)):
                    self._by_call(call, module.scope_of[call])

    def _by_call(self, call: ast.Call, scope: Scope) -> None:
        how = self.how(call.func, scope) if last(call.func) in ("access", "purpose", "entrust", "cached") else None
        target = self.code.of(call.args[0], scope) if how else None
        if how is not None and target is not None and target.function is not None:
            self.by[target.function].append(how)

    def how(self, decorator: ast.expr, scope: Scope) -> str | None:
        """The guard's method that a decorator is; None if it is not a guard's."""
        plain = decorator.func if isinstance(decorator, ast.Call) else decorator
        for expr in (decorator, plain):
            thing = self.code.of(expr, scope)
            if thing is not None and thing.name in HOW:
                return HOW[thing.name]
        if isinstance(plain, ast.Attribute) and self.code.of(plain.value, scope) is None:  # by the name alone
            owner = last(plain.value).lower()
            if plain.attr in CHECKING and "guard" in owner:
                return plain.attr
            return plain.attr if plain.attr in ("holding", "eraser") and "governance" in owner else None
        made = self.code.of(plain, scope)
        if made is None or made.function is None:
            return None
        return self._applied_in(made.function)

    def _applied_in(self, function: FunctionNode) -> str | None:
        """The guard's method that a decorator in the linted files applies."""
        module = self.code.module_of(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and last(node.func) in ("access", "purpose", "cached"):
                how = HOW.get(self.code.name(node.func, module.scope_of[node]))
                parent = module.parent_of[node]
                if how is not None and (isinstance(parent, ast.Return) or _is_called(node, parent)):
                    return how
        return None

    # --- calls ---------------------------------------------------------------------------------------------------

    def refusing(self, call: ast.Call, scope: Scope) -> str | None:
        """Why a call may be refused, for a message; None if it is not known to be."""
        thing = self.code.of(call.func, scope)
        if thing is not None and thing.name in REFUSING:
            return f"`{dotted(call.func)}`"
        return None if thing is None or thing.function is None else self.may_be_refused(thing.function)

    def may_be_refused(self, function: FunctionNode) -> str | None:
        """Why a call of this function may be refused: it is guarded, or calls a guarded function."""
        if function in self._why or self._depth > DEEPEST:
            return self._why.get(function)
        self._why[function] = None  # a function that calls itself adds nothing
        module = self.code.module_of(function)
        name = module.qualname(function)
        if CHECKING.intersection(self.by[function]):
            self._why[function] = f"`{name}`, which is guarded"
            return self._why[function]
        self._depth += 1
        inner = self.refusing_in(function.body, module)
        self._depth -= 1
        if inner is not None:
            self._why[function] = f"`{name}`, which calls {inner.partition(', which calls')[0]}"
        return self._why[function]

    def refusing_in(self, body: Iterable[ast.AST], module: Module) -> str | None:
        """Why a block may raise a refusal that is not handled inside it."""
        pending = list(body)
        while pending:
            node = pending.pop(0)
            if isinstance(node, OPENING):
                continue
            if isinstance(node, (ast.Try, ast.TryStar)) and any(self._handles(each, module) for each in node.handlers):
                pending += [*node.orelse, *node.finalbody]
                continue
            if isinstance(node, ast.Call):
                why = self.refusing(node, module.scope_of[node])
                if why is not None:
                    return why
            pending += ast.iter_child_nodes(node)
        return None

    def _handles(self, handler: ast.ExceptHandler, module: Module) -> bool:
        """True for a clause that catches refusals, and does not raise them again. A broad one has its own finding."""
        catches = handler.type is None or bool(self.caught(handler.type, module) & (BROAD | EXPLICIT))
        return catches and not any(isinstance(node, ast.Raise) for node in own(handler.body))

    def caught(self, types: ast.expr | None, module: Module) -> frozenset[str]:
        """The errors that a clause catches, named tuples included: `except RECOVERABLE`."""
        names: set[str] = set()
        pending = [] if types is None else [(types, module.scope_of.get(types, module.scope))]
        while pending and len(names) < 1000:
            expr, scope = pending.pop()
            binding = self.code.assigned(expr, scope) if isinstance(expr, (ast.Name, ast.Attribute)) else None
            if isinstance(expr, ast.Tuple):
                pending += [(each, scope) for each in expr.elts]
            elif isinstance(expr, ast.BinOp):  # `ERRORS + (OSError,)`
                pending += [(expr.left, scope), (expr.right, scope)]
            elif binding is not None and isinstance(binding.value, (ast.Tuple, ast.BinOp)):
                pending.append((binding.value, binding.scope))
            else:
                names.add(self.code.name(expr, scope))
        return frozenset(names)

    # --- callers -------------------------------------------------------------------------------------------------

    def is_helper(self, function: FunctionNode, depth: int = 0) -> bool:
        """True if all functions that use this one are guarded, or helpers: a guard has been asked before."""
        callers = [caller for caller in self._naming.get(function.name, []) if caller is not function]
        return bool(callers) and all(
            caller is not None
            and (any(how != "purpose" for how in self.by[caller]) or (depth < 4 and self.is_helper(caller, depth + 1)))
            for caller in callers
        )

    @cached_property
    def _naming(self) -> dict[str, list[FunctionNode | None]]:
        """Name → the functions in which it is used; None for a place outside of any."""
        functions: dict[str, list[FunctionNode | None]] = {}
        defined = {function.name for function in self.by}
        for module in self.code.modules:
            for node in module.all(ast.Name, ast.Attribute):
                if last(node) in defined:
                    around = module.scope_of[node].function
                    functions.setdefault(last(node), []).append(
                        around.node if around is not None and isinstance(around.node, FunctionNode) else None
                    )
        return functions

    def asks_itself(self, function: FunctionNode) -> bool:
        """True if a function asks a guard or use itself, or uses an adapter, which checks queries."""
        module = self.code.module_of(function)
        for node in _names_in(function):
            thing = self.code.of(node, module.scope_of.get(node, module.scope))
            if thing is not None and thing.name.startswith((f"{GUARD}.", f"{USE}.")):
                return True
        return self._by_adapter(function, 0)

    def _by_adapter(self, function: FunctionNode, depth: int) -> bool:
        """True if a name in a function or in its helpers refers to an adapter."""
        module = self.code.module_of(function)
        for node in _names_in(function):
            scope = module.scope_of.get(node, module.scope)
            binding = self.code.assigned(node, scope)
            made = binding.value if binding is not None else None
            for name in (node, *_names_in(made)) if isinstance(made, ast.Call) else (node,):
                thing = self.code.of(name, scope if name is node or binding is None else binding.scope)
                if thing is not None and thing.name.startswith(f"{LIBRARY}.adapters."):
                    return True
                called = None if thing is None or depth > 1 else thing.function
                if called is not None and called is not function and self._by_adapter(called, depth + 1):
                    return True
        return False


def _names_in(node: ast.AST) -> list[ast.Name | ast.Attribute]:
    parts: list[ast.AST] = [*node.body] if isinstance(node, FunctionNode) else [node]
    return [node for part in parts for node in ast.walk(part) if isinstance(node, (ast.Name, ast.Attribute))]


def _is_called(node: ast.Call, parent: ast.AST) -> bool:
    """True for `guard.access(…)(fn)`, and for a decorator."""
    return (isinstance(parent, ast.Call) and parent.func is node) or (
        isinstance(parent, FunctionNode) and node in parent.decorator_list
    )
