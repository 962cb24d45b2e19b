"""`map-lets-out` and `broad-except`: plain values let out, refusals swallowed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from purposeguard.cli.lint.code import PERSONAL, Module, Scope, dotted, last, own, root
from purposeguard.cli.lint.findings import Found, Rule
from purposeguard.cli.lint.guarding import BROAD, EXPLICIT, Guarding
from purposeguard.cli.lint.lexicon import words_set
from purposeguard.cli.lint.models import Models

MAPPED: Final = Rule(
    "map-lets-out",
    "a function passed to `map` lets the plain value out",
    "return the value, and open the result: `use.open(value.map(…))`",
)
SWALLOWED: Final = Rule(
    "broad-except",
    "a broad `except` swallows a refusal of a guard",
    "name the errors that you expect, or put `except pg.PurposeViolation: raise` before it",
    "warning",
)

KEEPING: Final = words_set(
    "append appendleft add insert put put_nowait setdefault push set extend update send write writelines publish emit "
    "store save execute executemany enqueue lpush rpush sadd notify post delay apply_async submit writerow send_message"
)
"""Methods that keep their argument, or pass it on."""

LOGGING: Final = words_set("debug info warning error exception critical log")
LOGGERS: Final = words_set("logger log logging _logger _log audit")
OUTSIDE: Final = (
    *("builtins.print", "builtins.setattr", "pprint.pprint", "warnings.warn", "sys.stdout.", "sys.stderr."),
    *("os.system", "os.popen", "subprocess.", "requests.", "httpx.", "urllib.request.", "aiohttp.", "smtplib."),
)
"""Functions that print or send."""

LEAVING: Final = words_set("exit _exit abort fail reraise skip xfail set_exception throw")
"""Functions by which a handler ends in an error all the same."""


def _symbol(scope: Scope) -> str:
    return "" if scope.function is None else scope.module.qualname(scope.function.node)


# --- map-lets-out ----------------------------------------------------------------------------------------------------


def mapped(module: Module, models: Models) -> Iterator[Found]:
    """Findings: functions passed to `map` of sealed values that pass on their argument at once."""
    for call in module.all(ast.Call):
        func, scope = call.func, module.scope_of[call]
        if not isinstance(func, ast.Attribute) or func.attr != "map" or len(call.args) != 1:
            continue
        way = _way_out(call.args[0], scope, models) if _is_sealed(func.value, scope, models) else None
        if way is not None:
            message = f"the function passed to `{dotted(func)}` passes its argument on to `{way}`"
            yield Found(call.args[0], message, dotted(func.value))


def _is_sealed(expr: ast.expr, scope: Scope, models: Models) -> bool:
    thing = models.code.of(expr, scope)
    if thing is None and isinstance(expr, ast.Call) and last(expr) in ("map", "zip"):
        return isinstance(expr.func, ast.Attribute) and _is_sealed(expr.func.value, scope, models)
    return thing is not None and thing.instance and thing.name == PERSONAL


def _way_out(callee: ast.expr, scope: Scope, models: Models) -> str | None:
    """The function to which a callable leaks its argument; None if none is seen."""
    if isinstance(callee, ast.Call) and models.code.name(callee.func, scope) == "functools.partial" and callee.args:
        callee = callee.args[0]
    if not isinstance(callee, ast.Lambda):
        thing = models.code.of(callee, scope)
        function = None if thing is None else thing.function
        if function is None:
            return dotted(callee) if _hands_on(callee, scope, models, set()) else None
        module = models.code.module_of(function)
        names = {argument.arg for argument in function.args.args} - {"self", "cls"}
        return _in_body(own(function.body), names, module.inside[function], models)
    inside = scope.module.inside[callee]
    return _in_body(ast.walk(callee.body), {argument.arg for argument in callee.args.args}, inside, models)


def _in_body(nodes: Iterator[ast.AST], names: set[str], inside: Scope, models: Models) -> str | None:
    for node in sorted(nodes, key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))):
        if isinstance(node, (ast.Assign, ast.For, ast.comprehension)):  # what is made of it
            made = node.value if isinstance(node, ast.Assign) else node.iter
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= _bound_in(targets) if _shows(made, names) else set()
        if isinstance(node, ast.Call):
            arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
            if any(_shows(argument, names) for argument in arguments) and _hands_on(
                node.func, inside, models, set(inside.names) - {"self", "cls"}
            ):
                return dotted(node.func)
        elif isinstance(node, ast.Assign) and _shows(node.value, names):
            for target in node.targets:
                name = root(target)
                outer = name not in inside.names or name in ("self", "cls")
                if name in inside.elsewhere or (outer and isinstance(target, (ast.Attribute, ast.Subscript))):
                    return dotted(target)
    return None


def _bound_in(targets: list[ast.expr]) -> set[str]:
    stored = [node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    return {name.id for name in stored if isinstance(name.ctx, ast.Store)}


def _shows(expr: ast.AST, names: set[str]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(expr))


def _hands_on(func: ast.expr, scope: Scope, models: Models, inner: set[str]) -> bool:
    """True for a function that prints, logs or sends, or that adds to an object not among the `inner` names."""
    thing = models.code.of(func, scope)
    if thing is not None and thing.name.startswith(OUTSIDE):
        return True
    if not isinstance(func, ast.Attribute):
        return False
    if func.attr in LOGGING:
        return last(func.value).lower() in LOGGERS or (thing is not None and thing.name.startswith("logging."))
    name = root(func.value)
    keeps = func.attr in KEEPING and name not in inner and bool(scope.bindings(name))
    return func.attr in ("write_text", "write_bytes") or (keeps and (name.isupper() or not name[:1].isupper()))


# --- broad-except ----------------------------------------------------------------------------------------------------


def swallowed(module: Module, models: Models, guarding: Guarding) -> Iterator[Found]:
    """Findings: `try` and `suppress` blocks that swallow what a guard raises."""
    swallows = _Swallows(module, models, guarding)
    for node in module.all(ast.Try, ast.TryStar):
        yield from swallows.in_handlers(node)
        returned = next((statement for statement in node.finalbody if isinstance(statement, ast.Return)), None)
        why = None if returned is None else guarding.refusing_in(node.body, module)
        if returned is not None and why is not None:  # it takes the place of the error that is under way
            yield swallows.finding_at(returned, "`return` in `finally`", why)
    for block in module.all(ast.With, ast.AsyncWith):
        for call in [item.context_expr for item in block.items if isinstance(item.context_expr, ast.Call)]:
            if models.code.name(call.func, module.scope_of[block]) == "contextlib.suppress":
                broad = [argument for argument in call.args if guarding.caught(argument, module) & BROAD]
                why = guarding.refusing_in(block.body, module) if broad else None
                if why is not None:
                    yield swallows.finding_at(call, f"`suppress({ast.unparse(broad[0])})`", why)


class _Swallows:
    """The places in a module that swallow errors."""

    def __init__(self, module: Module, models: Models, guarding: Guarding) -> None:
        self.module = module
        self.code = models.code
        self.guarding = guarding

    def finding_at(self, node: ast.AST, what: str, why: str, to: ast.AST | None = None) -> Found:
        """The finding at a node."""
        return Found(node, f"{what} swallows the refusal of {why}", _symbol(self.module.scope_of[node]), to=to)

    def in_handlers(self, node: ast.Try | ast.TryStar) -> Iterator[Found]:
        """The first broad clause, unless an earlier one handles what a guard raises."""
        for handler in node.handlers:
            named = self.guarding.caught(handler.type, self.module)
            if named & EXPLICIT and not named & BROAD:
                return
            if handler.type is None or named & BROAD:
                why = None if self._raises(handler) else self.guarding.refusing_in(node.body, self.module)
                if why is not None:
                    what = "`except`" if handler.type is None else f"`except {ast.unparse(handler.type)}`"
                    yield self.finding_at(handler, what, why, handler.type)
                return

    def _raises(self, handler: ast.ExceptHandler) -> bool:
        """True if a handler may raise, or keeps the error to raise it after the `try`."""
        nodes = list(own(handler.body))
        if any(isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and last(node) in LEAVING) for node in nodes):
            return True
        function = self.module.scope_of[handler].function
        if handler.name is None or function is None:
            return False
        keeping = [node for node in nodes if isinstance(node, (ast.Assign, ast.Call)) and _shows(node, {handler.name})]
        names = {inner.id for node in keeping for inner in ast.walk(node) if isinstance(inner, ast.Name)} - {
            handler.name
        }
        return any(isinstance(node, ast.Raise) and _shows(node, names) for node in ast.walk(function.node))
