"""`map-lets-out`: a function given to `Personal.map` that lets its argument out of the seal."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from purposeguard.linting.finding import Found, Rule
from purposeguard.linting.names import Here, Outside, dotted, terminal
from purposeguard.linting.program import Program
from purposeguard.linting.project import Module
from purposeguard.linting.scopes import Entered, FunctionNode, Scope, parameters, walk
from purposeguard.linting.values import PERSONAL

RULE: Final = Rule(
    "map-lets-out",
    "a function given to `map` lets the plain value out",
    "A function given to `map` sees the plain value, so that what it gives can be sealed in turn. What it stores, "
    "prints or sends is sealed no longer, and nobody has been asked.",
    "give back what is to be kept, and open the result: `use.open(value.map(…))`",
)

KEEPING: Final = frozenset(
    {
        *(
            "append",
            "appendleft",
            "add",
            "extend",
            "insert",
            "update",
            "setdefault",
            "put",
            "put_nowait",
            "send",
            "write",
        ),
        *("send_nowait", "writelines", "push", "publish", "emit", "set", "__setitem__", "__setattr__", "store", "save"),
        *(
            "execute",
            "executemany",
            "enqueue",
            "lpush",
            "rpush",
            "sadd",
            "notify",
            "post",
            "delay",
            "apply_async",
            "submit",
        ),
        *("writerow", "writerows", "send_message", "sendall", "send_text"),
    }
)
"""Methods that keep, or hand on, what they are given."""

LOGGING: Final = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical", "log", "fatal"})
LOGGERS: Final = frozenset({"logger", "log", "logging", "_logger", "_log"})
NETWORK: Final = ("requests.", "httpx.", "httpx2.", "urllib.request.", "aiohttp.", "boto3.", "smtplib.", "urllib3.")
PRINTING: Final = frozenset(
    {
        "builtins.print",
        "pprint.pprint",
        "warnings.warn",
        "builtins.setattr",
        "rich.print",
        "sys.stdout.write",
        "sys.stderr.write",
        *("os.system", "os.popen", "os.putenv", "subprocess.run", "subprocess.Popen", "subprocess.check_output"),
    }
)


WRITING: Final = frozenset({"write_text", "write_bytes"})
OUTER: Final = frozenset({"globals", "vars"})


def check(module: Module, program: Program) -> Iterator[Found]:
    """Calls of `map` of sealed values."""
    for node in module.all(ast.Call):
        scope = module.scope_of[node]
        if (
            isinstance(node.func, ast.Attribute)
            and node.func.attr == "map"
            and len(node.args) == 1
            and not node.keywords
            and _is_sealed(node.func.value, scope, program)
        ):
            how = _lets_out(node.args[0], scope, program)
            if how is not None:
                what = f"`{dotted(node.func)}`" if dotted(node.func) else "`map`"
                yield Found(node.args[0], f"the function given to {what} {how}", dotted(node.func.value))


def _is_sealed(expr: ast.expr, scope: Scope, program: Program) -> bool:
    found = program.values.of(expr, scope)
    if found is not None:
        return found.name == PERSONAL
    if isinstance(expr, ast.Call) and isinstance(expr.func, ast.Attribute) and expr.func.attr in ("map", "zip"):
        return _is_sealed(expr.func.value, scope, program)
    return (
        isinstance(expr, ast.Attribute)
        and expr.attr in program.tags.sealed_names
        and program.values.of(expr.value, scope) is None
    )


def _lets_out(fn: ast.expr, scope: Scope, program: Program) -> str | None:
    """How a function lets out what it is given; None where it is not seen to."""
    if isinstance(fn, ast.Lambda):
        inside = scope.module.inside[fn]
        given = {one.arg for one in fn.args.posonlyargs + fn.args.args if one.arg not in _defaulted(fn)}
        return _Body(inside, given, program).let_out([fn.body])
    if isinstance(fn, ast.Call) and program.names.names(fn.func, scope) & {"functools.partial"} and fn.args:
        return _lets_out(fn.args[0], scope, program)
    if not isinstance(fn, (ast.Name, ast.Attribute)):
        return None
    function = _function(fn, scope, program)
    if function is not None:
        return _in_function(function, program)
    names = {one.name for one in program.names.refs(fn, scope) if isinstance(one, Outside)}
    if names & PRINTING or any(one.startswith(NETWORK) for one in names):
        return f"lets its argument out by `{dotted(fn)}`"
    if isinstance(fn, ast.Attribute) and (_logs(fn, scope, program) or _keeps_in_something(fn, scope)):
        return f"lets its argument out by `{dotted(fn)}`"
    return None


def _keeps_in_something(fn: ast.Attribute, scope: Scope) -> bool:
    """`seen.append`, and not `str.format` or a method of a class."""
    root = _root(fn.value)
    return fn.attr in KEEPING and root is not None and (root in OUTER or bool(scope.bindings(root)))


def _function(fn: ast.expr, scope: Scope, program: Program) -> Here | None:
    found = program.names.functions(fn, scope)
    if not found and isinstance(fn, ast.Attribute):
        owner = program.values.of(fn.value, scope)
        if owner is not None and owner.cls is not None:
            found = [
                one for one in program.names.member(owner.cls, fn.attr) if isinstance(one, Here) and not one.is_class
            ]
    return found[0] if len(found) == 1 else None


def _in_function(function: Here, program: Program) -> str | None:
    node = function.node
    if isinstance(node, ast.ClassDef):
        return None
    given = parameters(node)
    if function.scope.around is not None and given and given[0].arg in ("self", "cls"):
        given = given[1:]
    names = {one.arg for one in given if one.arg not in _defaulted(node)}
    how = _Body(function.scope, names, program).let_out(node.body)
    return None if how is None else f"{how}, in `{node.name}`"


def _defaulted(node: FunctionNode | ast.Lambda) -> set[str]:
    """The parameters that have a default: `map` gives them nothing."""
    positional = [*node.args.posonlyargs, *node.args.args]
    with_default = (
        positional[len(positional) - len(node.args.defaults) :]
        if len(node.args.defaults) < len(positional)
        else positional[1:]
    )
    return {one.arg for one in (*with_default, *node.args.kwonlyargs)}


class _Body:
    """The body of a function that is given a plain value."""

    def __init__(self, scope: Scope, given: set[str], program: Program) -> None:
        self.scope = scope
        self.module = scope.module
        self.seen = set(given)
        self.program = program

    def let_out(self, body: list[ast.stmt] | list[ast.expr]) -> str | None:
        """How the body lets out what it is given."""
        nodes = list(walk(*body))
        for _ in range(2):  # what is made of it, and what is made of that
            for node in nodes:
                self._derive(node)
        nodes.sort(key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)))
        return next((how for node in nodes if (how := self._out(node)) is not None), None)

    def _derive(self, node: ast.AST) -> None:
        if (
            isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr))
            and node.value is not None
            and self._shows(node.value)
        ):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            self.seen |= {
                one.id
                for target in targets
                for one in walk(target)
                if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
            }
        elif isinstance(node, (ast.For, ast.comprehension)) and self._shows(node.iter):
            self.seen |= {one.id for one in walk(node.target) if isinstance(one, ast.Name)}

    def _shows(self, expr: ast.AST) -> bool:
        return any(isinstance(one, ast.Name) and one.id in self.seen for one in walk(expr))

    def _out(self, node: ast.AST) -> str | None:
        if isinstance(node, ast.Call):
            given = [*node.args, *(one.value for one in node.keywords)]
            if any(self._shows(one) for one in given) and self._hands_on(node):
                return f"lets its argument out by `{dotted(node.func)}`"
        elif isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if (
                    self._shows(node.value) or (isinstance(target, ast.Subscript) and self._shows(target.slice))
                ) and self._is_outer(target):
                    return f"stores its argument in `{dotted(target) or terminal(target)}`"
        return None

    def _is_outer(self, target: ast.expr) -> bool:
        """Whether an assignment reaches beyond the function."""
        if isinstance(target, ast.Name):
            return target.id in self.scope.elsewhere
        root = _root(target)
        return isinstance(target, (ast.Attribute, ast.Subscript)) and root is not None and self._outlives(root)

    def _outlives(self, root: str) -> bool:
        if root in self.seen:
            return False
        bound = self.scope.names.get(root)
        if not bound or root in ("self", "cls") or root in self._defaults():
            return True
        return any(isinstance(one, Entered) and terminal(one.context) == "open" for one in bound)  # a file

    def _defaults(self) -> set[str]:
        node = self.scope.node
        return _defaulted(node) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) else set()

    def _hands_on(self, call: ast.Call) -> bool:
        func = call.func
        scope = self.module.scope_of.get(call, self.scope)
        names = {one.name for one in self.program.names.refs(func, scope) if isinstance(one, Outside)}
        if names & PRINTING or any(one.startswith(NETWORK) for one in names):
            return True
        if not isinstance(func, ast.Attribute):
            return False
        if _logs(func, scope, self.program):
            return True
        root = _root(func.value)
        if func.attr in WRITING:
            return True
        return func.attr in KEEPING and root is not None and self._outlives(root) and not _is_class_name(root)


def _is_class_name(root: str) -> bool:
    return root[:1].isupper() and not root.isupper()


def _logs(func: ast.Attribute, scope: Scope, program: Program) -> bool:
    if func.attr not in LOGGING:
        return False
    owner = program.values.of(func.value, scope)
    names = program.names.names(func, scope)
    return (
        (owner is not None and owner.name.rpartition(".")[2] in ("Logger", "BoundLogger", "LoggerAdapter"))
        or any(one.partition(".")[0] in ("logging", "loguru", "structlog") for one in names)
        or terminal(func.value).lower() in LOGGERS
    )


def _root(expr: ast.expr) -> str | None:
    """The name at the beginning of a dotted expression, of calls and items of it."""
    while isinstance(expr, (ast.Attribute, ast.Subscript, ast.Call)):
        expr = expr.func if isinstance(expr, ast.Call) else expr.value
    return expr.id if isinstance(expr, ast.Name) else None
