"""`stored-use`: a use that is kept where it outlives its block."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from purposeguard.linting.finding import Found, Rule
from purposeguard.linting.names import LIBRARY, Here, Value, dotted, terminal
from purposeguard.linting.program import Program
from purposeguard.linting.project import Module
from purposeguard.linting.scopes import Assigned, Entered, Parameter, Scope, walk
from purposeguard.linting.values import BLOCK, USE

RULE: Final = Rule(
    "stored-use",
    "a use is kept where it outlives its block",
    "A use holds until its block ends, in the task or thread that entered it. Who finds it later finds one that has "
    "ended, or tries to work for the purpose of somebody else.",
    "pass the use to what needs it, or ask for it where it is needed: `guard.use(Purpose)`",
    "warning",
)

KEEPING: Final = frozenset({"append", "appendleft", "add", "insert", "put", "put_nowait", "setdefault", "push", "set"})


def check(module: Module, program: Program) -> Iterator[Found]:
    """Assignments, calls and fields of a module that keep a use."""
    if module.name.partition(".")[0] == LIBRARY:
        return  # which makes uses, and ends them
    scopes = module.scope_of
    assigned: list[ast.Assign | ast.AnnAssign] = [*module.all(ast.Assign), *module.all(ast.AnnAssign)]
    for one in assigned:
        yield from _assigned(one, scopes[one], program)
    for item in module.all(ast.withitem):
        yield from _entered(item, scopes[item], program)
    for call in module.all(ast.Call):
        yield from _given(call, scopes[call], program)
    for node in module.all(ast.Return):
        yield from _returned(node, scopes[node], program)


def _assigned(node: ast.Assign | ast.AnnAssign, scope: Scope, program: Program) -> Iterator[Found]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if isinstance(node, ast.AnnAssign) and scope.kind == "class":
        yield from _field(node, scope, program)
        return
    kept = [(one, where) for one in targets if (where := _kept(one, scope)) is not None]
    if not kept or node.value is None or not any(_holds(one, scope, program) for one in _parts(node.value)):
        return
    for target, where in kept:
        if not _carries_its_purpose(target, scope, program):
            yield Found(node, f"a use is stored in {where}, and ends with its block", _symbol(scope))


def _parts(value: ast.expr) -> Iterator[ast.expr]:
    """A value, and what is in a tuple, list or dict of them."""
    pending = [value]
    while pending:
        one = pending.pop()
        yield one
        if isinstance(one, (ast.Tuple, ast.List, ast.Set)):
            pending += one.elts
        elif isinstance(one, ast.Dict):
            pending += one.values


def _holds(expr: ast.expr, scope: Scope, program: Program) -> bool:
    if isinstance(expr, ast.Call) and terminal(expr.func) == "__enter__" and isinstance(expr.func, ast.Attribute):
        block = program.values.of(expr.func.value, scope)
        return block is not None and block.name == BLOCK
    return program.guards.is_use(expr, scope)


def _field(node: ast.AnnAssign, scope: Scope, program: Program) -> Iterator[Found]:
    """A field of a class that holds a use."""
    stated = program.values.of_annotation(node.annotation, scope)
    if (
        stated is None
        or stated.name != USE
        or not isinstance(node.target, ast.Name)
        or not isinstance(scope.node, ast.ClassDef)
    ):
        return
    cls = Here(scope.module, scope.node)
    kind = program.tags.kind(cls)
    if kind is None or _is_generic(cls, stated.arguments):
        return  # the annotation of an attribute stores nothing: what is assigned to it does
    yield Found(
        node,
        f"`{cls.node.name}.{node.target.id}` holds a use, which ends with its block",
        f"{cls.node.name}.{node.target.id}",
    )


def _kept(target: ast.expr, scope: Scope) -> str | None:
    """Where an assignment keeps something beyond the function that it is in; None where it does not."""
    if isinstance(target, ast.Attribute):
        return f"`{dotted(target)}`"
    if isinstance(target, ast.Subscript):
        root = target.value
        if isinstance(root, ast.Attribute) or (isinstance(root, ast.Name) and _outlives(root.id, scope)):
            return f"`{dotted(root)}`"
    if isinstance(target, ast.Name):
        function = scope.function
        if function is not None and target.id in function.elsewhere and function.holder(target.id).kind == "module":
            return f"`{target.id}`, which is declared outside of the function"
    return None


def _outlives(name: str, scope: Scope) -> bool:
    """Whether a name is bound outside of the function."""
    function = scope.function
    return function is not None and name not in function.names and name in scope.top.names


def _carries_its_purpose(target: ast.expr, scope: Scope, program: Program) -> bool:
    """Whether the object is of a class that is generic in the purpose of the use: type checkers follow that one."""
    while isinstance(target, (ast.Attribute, ast.Subscript)):
        target = target.value
    function = scope.function
    if not isinstance(target, ast.Name) or target.id != "self" or function is None:
        return False
    cls = function.around
    if cls is None or not isinstance(cls.node, ast.ClassDef):
        return False
    here = Here(cls.module, cls.node)
    for name in function.names:
        for binding in function.names[name]:
            if isinstance(binding, Parameter) and binding.node.annotation is not None:
                stated = program.values.of_annotation(binding.node.annotation, binding.scope)
                if stated is not None and stated.name == USE and _is_generic(here, stated.arguments):
                    return True
    return False


def _is_generic(cls: Here, arguments: tuple[ast.expr, ...]) -> bool:
    """Whether what a use is of is a type parameter of the class."""
    if not isinstance(cls.node, ast.ClassDef) or not arguments:
        return False
    own = {one.name for one in getattr(cls.node, "type_params", ())}
    for base in cls.node.bases:
        if isinstance(base, ast.Subscript):
            own |= {terminal(one) for one in (base.slice.elts if isinstance(base.slice, ast.Tuple) else [base.slice])}
    return terminal(arguments[0]) in own


def _entered(node: ast.withitem, scope: Scope, program: Program) -> Iterator[Found]:
    """`with guard.purpose(…) as self.use`."""
    target = node.optional_vars
    if isinstance(target, (ast.Attribute, ast.Subscript)):
        block = program.values.of(node.context_expr, scope)
        if block is not None and block.name == BLOCK:
            where = _kept(target, scope)
            if where is not None:
                yield Found(target, f"a use is stored in {where}, and ends with its block", _symbol(scope))


def _given(node: ast.Call, scope: Scope, program: Program) -> Iterator[Found]:
    """`self.uses.append(use)`, `setattr(obj, "use", use)`."""
    func = node.func
    if isinstance(func, ast.Name) and func.id == "setattr" and len(node.args) == 3:
        if _holds(node.args[2], scope, program):
            yield Found(node, f"a use is stored in `{dotted(node.args[0])}`, and ends with its block", _symbol(scope))
    elif isinstance(func, ast.Attribute) and func.attr in KEEPING:
        root = func.value
        outlives = isinstance(root, ast.Attribute) or (isinstance(root, ast.Name) and _outlives(root.id, scope))
        if outlives and any(_holds(one, scope, program) for one in node.args):
            yield Found(node, f"a use is stored in `{dotted(root)}`, and ends with its block", _symbol(scope))


def _returned(node: ast.Return, scope: Scope, program: Program) -> Iterator[Found]:
    """`return use`, or `return lambda value: use.open(value)`, out of the block that the use is of."""
    for part in () if node.value is None else _parts(node.value):
        for name, inside in _taken_along(part, scope, program):
            if _ends_before(name, inside, node, program):
                what = "is returned" if part is name else "is taken along by what is returned"
                yield Found(node, f"`{name.id}` {what} out of its block, with which it ends", _symbol(scope))
                return


def _taken_along(part: ast.expr, scope: Scope, program: Program) -> Iterator[tuple[ast.Name, Scope]]:
    """The names that a value has in it when it is returned: itself, or those in the body of a function made here."""
    if isinstance(part, ast.Name):
        yield part, scope
        functions = [one.node for one in program.names.functions(part, scope) if one.module is scope.module]
        bodies: list[ast.AST] = [each for one in functions if scope.module.scope_of[one] is scope for each in one.body]
    else:
        bodies = [part.body] if isinstance(part, ast.Lambda) else []
    for one in walk(*bodies):
        if isinstance(one, ast.Name):
            yield one, scope.module.scope_of[one]


def _ends_before(name: ast.Name, inside: Scope, node: ast.Return, program: Program) -> bool:
    """Whether a name is of a use whose block this `return` leaves."""
    bindings = [ref.binding for ref in program.names.refs(name, inside) if isinstance(ref, Value)]
    if any(isinstance(one, Assigned) and isinstance(one.value, ast.Name) for one in bindings):
        return False
    return any(
        isinstance(one, Entered)
        and one.scope is inside.module.scope_of[node]
        and program.guards.is_use(name, inside)
        and _is_within(node, one, inside.module)
        for one in bindings
    )


def _is_within(node: ast.AST, binding: Entered, module: Module) -> bool:
    parent = module.parent_of.get(node)
    while parent is not None:
        if isinstance(parent, (ast.With, ast.AsyncWith)) and any(
            one.context_expr is binding.context for one in parent.items
        ):
            return True
        parent = module.parent_of.get(parent)
    return False


def _symbol(scope: Scope) -> str:
    function = scope.function
    return "" if function is None else scope.module.qualname(function.node)
