"""What guards: guards and uses by whatever name, the functions that they decorate, and the calls of these."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Final

from purposeguard.linting.names import Here, Outside, Whole, canonical, dotted, terminal
from purposeguard.linting.project import Module, Project
from purposeguard.linting.scopes import FunctionNode, Scope, walk, within
from purposeguard.linting.tagging import Tags
from purposeguard.linting.values import BLOCK, GOVERNANCE, GUARD, USE

DECORATORS: Final = frozenset(
    {"access", "purpose", "cached", "entrust", "reclassify", "transform", "carry", "exception"}
)
CHECKING: Final = frozenset({"access", "purpose", "cached", "entrust"})
"""Decorators by which a call may be refused."""

OPENING: Final = frozenset({"open", "open_all", "check", "withhold"})
"""Methods of a use that may refuse."""

DEEPEST_CALLS: Final = 40
"""How many functions may call each other in a row, for the last one to be asked whether it is guarded."""

ADAPTERS: Final = "purposeguard.adapters"


@dataclass(slots=True)
class Function:
    """A function of a file that is looked at, and how it is guarded."""

    here: Here
    by: list[str] = field(default_factory=list)
    """The decorators of guards above it, from the outermost in: `purpose`, `access`, …."""

    @property
    def node(self) -> FunctionNode:
        """Its tree."""
        node = self.here.node
        if isinstance(node, ast.ClassDef):
            raise TypeError("a class is no function")
        return node

    @property
    def name(self) -> str:
        """Its name within its module."""
        return self.here.module.qualname(self.node)


class Guards:
    """Finds what is guarded."""

    def __init__(self, project: Project, tags: Tags) -> None:
        self.tags = tags
        self.values = tags.values
        self.names = tags.names
        self.functions: dict[ast.AST, Function] = {}
        self._called: dict[str, list[Function]] = {}
        self._decorating: dict[ast.AST, str | None] = {}
        for module in project.modules:
            for node in module.functions:
                function = Function(Here(module, node))
                self.functions[node] = function
                self._called.setdefault(node.name, []).append(function)
        for function in self.functions.values():
            scope = function.here.module.scope_of[function.node]
            function.by += [how for one in function.node.decorator_list if (how := self.decorator(one, scope))]
        self._by_call(project)
        self._raising: dict[ast.AST, str | None] = {}
        self._calls = 0
        self._modules = project.modules
        self._mentions: dict[str, list[tuple[ast.Name | ast.Attribute, Module]]] = {}

    def _by_call(self, project: Project) -> None:
        """Functions that are guarded by a call: `load = guard.access(_load)`."""
        for module in project.modules:
            for node in module.all(ast.Call):
                made = node.func.func if isinstance(node.func, ast.Call) else node.func
                if len(node.args) != 1 or not isinstance(made, ast.Attribute) or made.attr not in DECORATORS:
                    continue
                scope = module.scope_of[node]
                how = self.decorator(node.func, scope, called=True)
                if how in ("access", "purpose", "entrust"):
                    for one in self.meant(node.args[0], scope):
                        self.functions[one.node].by.append(how)

    def meant(self, expr: ast.expr, scope: Scope) -> list[Here]:
        """The functions here that a name, or a method of an object, may mean."""
        found = self.names.functions(expr, scope)
        if found or not isinstance(expr, ast.Attribute):
            return found
        owner = self.values.of(expr.value, scope)
        if owner is None or owner.cls is None:
            return []
        return [one for one in self.names.member(owner.cls, expr.attr) if isinstance(one, Here) and not one.is_class]

    # --- guards and uses -----------------------------------------------------------------------------------------

    def is_guard(self, expr: ast.expr, scope: Scope) -> bool | None:
        """Whether an expression is a guard; None where only its name says so."""
        found = self.values.of(expr, scope)
        if found is not None:
            return found.name == GUARD or (found.cls is not None and GUARD in self.names.bases(found.cls))
        refs = self.names.refs(expr, scope)
        if any(isinstance(one, (Here, Whole)) for one in refs):
            return False
        return None if "guard" in terminal(expr).lower() else False

    def is_use(self, expr: ast.expr, scope: Scope) -> bool:
        """Whether an expression is a use."""
        found = self.values.of(expr, scope)
        return found is not None and found.name == USE

    def decorator(self, expr: ast.expr, scope: Scope, *, called: bool = False, depth: int = 0) -> str | None:
        """By which method of a guard something decorates; None where it is no guard's.

        `called`: the expression is what is called with the function, so a bare `guard.purpose` is none.
        """
        plain = expr
        if isinstance(plain, ast.Attribute) and plain.attr == "with_use":
            plain = plain.value
        if isinstance(plain, ast.Call):
            plain = plain.func
        elif called and isinstance(plain, ast.Attribute) and plain.attr in ("purpose", "entrust", "reclassify"):
            return None
        if (
            isinstance(plain, ast.Attribute)
            and plain.attr in DECORATORS
            and self.is_guard(plain.value, scope) is not False
        ):
            return plain.attr
        if isinstance(plain, ast.Attribute) and plain.attr in ("holding", "eraser"):
            owner = self.values.of(plain.value, scope)
            if (owner is not None and owner.name == GOVERNANCE) or (
                owner is None and "governance" in terminal(plain.value)
            ):
                return plain.attr
        return self._named_decorator(plain, scope, depth) if depth < 3 else None

    def _named_decorator(self, expr: ast.expr, scope: Scope, depth: int) -> str | None:
        """A decorator that has a name of its own: an alias, a block, or a function that decorates by a guard."""
        found = self.values.of(expr, scope)
        if found is not None and found.name == BLOCK:
            return "purpose"
        for ref in self.names.refs(expr, scope):
            value = getattr(getattr(ref, "binding", None), "value", None)
            inside = getattr(getattr(ref, "binding", None), "scope", None)
            if isinstance(value, (ast.Attribute, ast.Call)) and inside is not None and value is not expr:
                how = self.decorator(value, inside, depth=depth + 1)
                if how is not None:
                    return how
            if isinstance(ref, Here) and not ref.is_class:
                if ref.node not in self._decorating:
                    self._decorating[ref.node] = self._decorates_by(ref)
                return self._decorating[ref.node]
        return None

    def _decorates_by(self, function: Here) -> str | None:
        """By which method of a guard a function here decorates what it is given."""
        for node in walk(function.node):
            if isinstance(node, ast.Attribute) and node.attr in ("access", "purpose", "cached"):
                around = function.module.scope_of.get(node)
                if around is not None and self.is_guard(node.value, around) and _decorates(node, function.module):
                    return node.attr
        return None

    # --- calls ---------------------------------------------------------------------------------------------------

    def called(self, call: ast.Call, scope: Scope) -> list[Function]:
        """The functions here that a call may mean."""
        func = call.func
        found = [self.functions[one.node] for one in self.meant(func, scope)]
        if found or not isinstance(func, ast.Attribute):
            return found
        owner = self.values.of(func.value, scope)
        if owner is not None or self._is_outside(func.value, scope):
            return []
        # Of an object of which nothing is known: what is called so and is guarded wherever it stands.
        named = self._called.get(func.attr, [])
        return named if "_" in func.attr.strip("_") and named and all(one.by for one in named) else []

    def _is_outside(self, expr: ast.expr, scope: Scope) -> bool:
        return any(isinstance(one, Outside) for one in self.names.refs(expr, scope))

    def refusing(self, call: ast.Call, scope: Scope) -> str | None:
        """Why a call may be refused, in the words of a message; None where it is not known to be."""
        func = call.func
        if isinstance(func, ast.Attribute):
            if func.attr in OPENING and self.is_use(func.value, scope):
                return f"`{dotted(func)}`"
            if func.attr in ("check", "check_recipient", "use", "purpose") and self.is_guard(func.value, scope):
                return f"`{dotted(func)}`"
        for function in self.called(call, scope):
            how = self.may_be_refused(function)
            if how is not None:
                return how
        return None

    def may_be_refused(self, function: Function) -> str | None:
        """Why a call of this function may be refused: it is guarded, or calls what is."""
        node = function.node
        if node in self._raising or self._calls > DEEPEST_CALLS:
            return self._raising.get(node)
        self._raising[node] = None  # while it is worked out: a function that calls itself adds nothing
        self._calls += 1
        found = next((f"`{function.name}`, which is guarded" for how in function.by if how in CHECKING), None)
        if found is None:
            module = function.here.module
            for one in within(node.body):
                if isinstance(one, ast.Call) and not caught(one, module, node):
                    inner = self.refusing(one, module.scope_of[one])
                    if inner is not None:
                        found = f"`{function.name}`, which calls {inner.partition(', which calls')[0]}"
                        break
        self._calls -= 1
        self._raising[node] = found
        return found

    # --- callers -------------------------------------------------------------------------------------------------

    def callers(self, function: Function) -> list[Function | None]:
        """The functions in which a function is called, or named at all; None where that is outside of any."""
        if not self._mentions:
            self._mentions = self._mentioned()
        found: list[Function | None] = []
        for node, module in self._mentions.get(function.node.name, ()):
            scope = module.scope_of[node]
            if self._means(node, scope, function):
                around = scope.function
                found.append(None if around is None else self.functions.get(around.node))
        return found

    def _mentioned(self) -> dict[str, list[tuple[ast.Name | ast.Attribute, Module]]]:
        names = {one.node.name for one in self.functions.values()}
        found: dict[str, list[tuple[ast.Name | ast.Attribute, Module]]] = {}
        for module in self._modules:
            named: list[ast.Name | ast.Attribute] = [*module.all(ast.Name), *module.all(ast.Attribute)]
            for node in named:
                if terminal(node) in names:
                    found.setdefault(terminal(node), []).append((node, module))
        return found

    def _means(self, node: ast.Name | ast.Attribute, scope: Scope, function: Function) -> bool:
        if function.here in self.names.functions(node, scope):
            return True
        if not isinstance(node, ast.Attribute):
            return False
        owner = self.values.of(node.value, scope)
        return owner is not None and owner.cls is not None and function.here in self.names.member(owner.cls, node.attr)

    def is_helper(self, function: Function, depth: int = 0) -> bool:
        """Whether all who call a function are guarded themselves: for what it reads they have been asked."""
        callers = [one for one in self.callers(function) if one is not function]
        return bool(callers) and all(
            one is not None
            and (any(how != "purpose" for how in one.by) or (depth < 4 and self.is_helper(one, depth + 1)))
            for one in callers
        )

    # --- adapters ------------------------------------------------------------------------------------------------

    def touches_adapters(self, node: ast.AST, module: Module, depth: int = 0) -> bool:
        """Whether names in a function lead to an adapter of the library, which looks at queries itself."""
        for one in walk(node):
            scope = module.scope_of.get(one)
            if isinstance(one, (ast.Name, ast.Attribute)) and scope is not None:
                for ref in self.names.refs(one, scope):
                    if isinstance(ref, Outside) and canonical(ref.name).startswith(ADAPTERS):
                        return True
                    if isinstance(ref, Here) and ref.module.name.startswith(ADAPTERS):
                        return True
                    if depth < 2 and self._leads_to_adapters(ref, depth):
                        return True
        return False

    def _leads_to_adapters(self, ref: object, depth: int) -> bool:
        if isinstance(ref, Here) and not ref.is_class:
            return self.touches_adapters(ref.node, ref.module, depth + 1)
        binding = getattr(ref, "binding", None)
        value, scope = getattr(binding, "value", None), getattr(binding, "scope", None)
        if isinstance(value, ast.Call) and isinstance(scope, Scope):
            return self.touches_adapters(value, scope.module, depth + 1)
        return False


def _decorates(node: ast.Attribute, module: Module) -> bool:
    """Whether what a guard's method gives is called at once, with the function to be decorated, or decorates one."""
    parent = module.parent_of.get(node)
    if isinstance(parent, ast.Call) and parent.func is node:
        node_or_call: ast.AST = parent
        parent = module.parent_of.get(parent)
    else:
        node_or_call = node
    if isinstance(parent, ast.Return):
        return True
    if isinstance(parent, ast.Call):
        return parent.func is node_or_call
    return isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)) and node_or_call in parent.decorator_list


CATCHING: Final = frozenset(
    {
        *("Exception", "BaseException", "PermissionError", "OSError", "PurposeGuardError", "PurposeViolation"),
        *("IOError", "EnvironmentError"),
    }
)


def _catches(handler: ast.ExceptHandler) -> bool:
    """Whether a clause catches a denial, and does not raise it again."""
    named = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type] if handler.type else []
    broad = handler.type is None or any(terminal(one) in CATCHING for one in named)
    return broad and not any(isinstance(one, ast.Raise) for one in within(handler.body))


def _catches_in_body(node: ast.Try | ast.TryStar, child: ast.AST) -> bool:
    return any(child is one for one in node.body) and any(_catches(one) for one in node.handlers)


def caught(node: ast.AST, module: Module, until: ast.AST) -> bool:
    """Whether an error that rises at a node is caught by a `try` in the same function."""
    child, parent = node, module.parent_of.get(node)
    while parent is not None and child is not until:
        if isinstance(parent, (ast.Try, ast.TryStar)) and _catches_in_body(parent, child):
            return True
        child, parent = parent, module.parent_of.get(parent)
    return False
