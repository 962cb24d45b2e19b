"""Guarded functions, calls that may be refused, and helpers that only guarded functions call."""

from __future__ import annotations

import ast
import itertools
from functools import cached_property
from typing import Final

from purposeguard.cli.lint.code import (
    BLOCK,
    DEEPEST,
    GOVERNANCE,
    GUARD,
    LIBRARY,
    USE,
    Code,
    FunctionNode,
    Module,
    Scope,
    dotted,
    last,
    own,
)
from purposeguard.cli.lint.lexicon import words_set

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
CATCHING: Final = words_set(
    "Exception BaseException PermissionError OSError IOError EnvironmentError PurposeGuardError PurposeViolation"
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
        for node in own(function.body):
            if isinstance(node, ast.Call) and not _is_caught(node, module, function):
                inner = self.refusing(node, module.scope_of[node])
                if inner is not None:
                    self._why[function] = f"`{name}`, which calls {inner.partition(', which calls')[0]}"
                    break
        self._depth -= 1
        return self._why[function]

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


def _is_caught(node: ast.AST, module: Module, until: ast.AST) -> bool:
    """True if an error raised at a node is caught, and not raised again, in the same function."""
    child = node
    for parent in itertools.takewhile(lambda parent: parent is not until, module.above(node)):
        if isinstance(parent, (ast.Try, ast.TryStar)) and child in parent.body and any(map(_catches, parent.handlers)):
            return True
        child = parent
    return False


def _catches(handler: ast.ExceptHandler) -> bool:
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type] if handler.type else []
    broad = handler.type is None or any(last(type_) in CATCHING for type_ in types)
    return broad and not any(isinstance(node, ast.Raise) for node in own(handler.body))
