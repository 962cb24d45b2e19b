"""`unknown-id`: an id in a text that means nothing in the notice."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from purposeguard.cli.lint.code import GOVERNANCE, GUARD, LIBRARY, NOTICE, USE, Code, Module, Scope, last
from purposeguard.cli.lint.findings import Found, Rule
from purposeguard.errors import NoticeError, UnknownTerm
from purposeguard.notice.notice import Notice

UNKNOWN: Final = Rule(
    "unknown-id",
    "an id does not exist in the notice",
    "name a class of the notice, which type checkers know, or one of its ids",
)

Parts = dict[str | int, str]
"""Which argument, by its place or its name, is a `source`, a `purpose`, a `family` or a `channel`."""

SOURCES: Final[Parts] = {0: "source", "sources": "source"}
QUESTION: Final[Parts] = {**SOURCES, 1: "purpose", "purpose": "purpose", 2: "channel", "channel": "channel"}
EACH: Final[Parts] = dict.fromkeys(range(20), "source")
CALLS: Final[dict[str, Parts]] = {
    **{f"{GUARD}.{name}": QUESTION for name in ("allows", "check", "explain")},
    f"{GUARD}.purpose": {0: "purpose", "purpose": "purpose", "channel": "channel"},
    f"{GUARD}.use": {0: "purpose", "purpose": "purpose"},
    f"{GUARD}.access": EACH,
    f"{GUARD}.reclassify": {**EACH, "to": "source"},
    f"{GUARD}.entrust": dict.fromkeys(range(1, 20), "source"),
    f"{GUARD}.check_recipient": {**SOURCES, 1: "purpose", "purpose": "purpose", "channel": "channel"},
    f"{GUARD}.derive": {1: "source", 2: "source", "one": "source", "other": "source"},
    f"{GOVERNANCE}.restrict": {1: "purpose", "purposes": "purpose"},
    f"{GOVERNANCE}.consent": {1: "purpose", "purpose": "purpose"},
    f"{GOVERNANCE}.withdraw": {1: "purpose", "purpose": "purpose"},
    **{f"{USE}.{name}": SOURCES for name in ("allows", "check", "explain")},
    **{f"{NOTICE}.{name}": {0: name} for name in ("source", "purpose", "family", "channel")},
}
MAKING: Final = frozenset(f"{NOTICE}.{method}" for method in ("load", "loads", "parse", "bundled"))
METHODS: Final = frozenset(call.rpartition(".")[2] for call in CALLS)


def notices_of(code: Code) -> Sequence[Notice]:
    """The only bundled notice in the files; none if there are several, or other notices."""
    names: set[str] = set()
    for module in code.modules:
        for node in module.all(ast.Import, ast.ImportFrom):
            origin = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            dotted = [f"{origin}{alias.name}" for alias in node.names]
            names.update(name.split(".")[2] for name in dotted if name.startswith(f"{LIBRARY}.notices."))
        for call in module.all(ast.Call):
            made = code.name(call.func, module.scope_of[call])
            if made == f"{NOTICE}.bundled" and call.args and isinstance(call.args[0], ast.Constant):
                names.add(str(call.args[0].value).replace("-", "_"))
            elif made in MAKING:
                return ()
    return _bundled(names.pop().replace("_", "-")) if len(names) == 1 else ()


def _bundled(name: str) -> Sequence[Notice]:
    try:
        return [Notice.bundled(name)] if name else ()
    except NoticeError:
        return ()


def _of_guard(call: ast.Call, module: Module, code: Code) -> bool:
    return code.name(call.func, module.scope_of[call]) == f"{GUARD}.replace"


def unknown(module: Module, code: Code, named: Sequence[Notice], only: Sequence[Notice]) -> Iterator[Found]:
    """Texts in the calls of guards, uses, notices and governance.

    They are read by the notices that were `named`; else by that of the guard; else by the `only` one in the files.
    """
    calls = module.all(ast.Call)
    if not named and any(last(call.func) == "replace" and _of_guard(call, module, code) for call in calls):
        return  # another notice is put in force here
    for call in calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr in METHODS:
            scope = module.scope_of[call]
            thing = code.of(call.func, scope)
            parts = None if thing is None else CALLS.get(thing.name)
            if thing is None or parts is None or _is_expected(call, module):
                continue
            notices = named or _bundled(thing.notice) or (() if thing.name.startswith(NOTICE) else only)
            arguments: list[tuple[str | int | None, ast.expr]] = [
                *enumerate(itertools.takewhile(lambda argument: not isinstance(argument, ast.Starred), call.args)),
                *((keyword.arg, keyword.value) for keyword in call.keywords),
            ]
            for place, expr in arguments:
                for node, text in _texts(expr, scope, code) if place in parts and notices else ():
                    message = _message(text, parts[place], notices)  # type: ignore[index]  # it is among them
                    if message is not None:
                        yield Found(node, message, call.func.attr)


def _is_expected(node: ast.AST, module: Module) -> bool:
    """True if the error is expected: in `pytest.raises`, or a `try` for it."""
    for parent in module.above(node):
        if isinstance(parent, (ast.With, ast.AsyncWith)):
            if any(last(item.context_expr) in ("raises", "assertRaises") for item in parent.items):
                return True
        elif isinstance(parent, ast.Try) and any(
            last(handler.type or handler).startswith("Unknown") for handler in parent.handlers
        ):
            return True
    return False


def _texts(expr: ast.expr, scope: Scope, code: Code) -> Iterator[tuple[ast.expr, str]]:
    """The texts that an argument may be, each with its node."""
    match expr:
        case ast.Constant(value=str(text)):
            yield expr, text
        case ast.Set() | ast.List() | ast.Tuple():
            for element in expr.elts:
                yield from _texts(element, scope, code)
        case ast.IfExp():
            yield from _texts(expr.body, scope, code)
            yield from _texts(expr.orelse, scope, code)
        case ast.Name() | ast.Attribute():
            binding = code.assigned(expr, scope)
            if binding is not None and isinstance(binding.value, ast.Constant) and isinstance(binding.value.value, str):
                yield expr, binding.value.value
        case _:
            pass


def _message(text: str, kind: str, notices: Sequence[Notice]) -> str | None:
    """Why a text is no id in any of the notices; None if it is one."""
    first: UnknownTerm | None = None
    for notice in notices:
        find = notice.purpose_or_family if kind == "purpose" else getattr(notice, kind)
        try:
            find(text)
        except UnknownTerm as error:
            first = first or error
        else:
            return None
    if first is None:
        return None
    near = (
        f" (did you mean {' or '.join(f'`{suggestion}`' for suggestion in first.suggestions)}?)"
        if first.suggestions
        else ""
    )
    which = " or ".join(dict.fromkeys(f"{notice.id} ({notice.revision})" for notice in notices))
    return f"`{text}` is not a {first.kind} of {which}{near}"
