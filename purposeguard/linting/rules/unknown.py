"""`unknown-id`: an id in a text that means nothing in the notice."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from purposeguard.errors import NoticeError, UnknownTerm
from purposeguard.linting.finding import Found, Rule
from purposeguard.linting.names import LIBRARY, Outside, Value, terminal
from purposeguard.linting.program import Program
from purposeguard.linting.project import Module
from purposeguard.linting.scopes import Assigned, Scope
from purposeguard.linting.values import GOVERNANCE, GUARD, NOTICE, USE
from purposeguard.notice.notice import Notice

RULE: Final = Rule(
    "unknown-id",
    "an id means nothing in the notice",
    "An id that means nothing is an error when the line runs: in a decorator at import, elsewhere at the first call.",
    "name a class of the notice, which type checkers know, or one of the ids that it has",
)

Parts = dict[str | int, str]
"""Which argument, by its place or its name, is a `source`, a `purpose`, a `family` or a `channel`."""

SOURCES: Final[Parts] = {0: "source", "sources": "source"}
QUESTION: Final[Parts] = {**SOURCES, 1: "purpose", "purpose": "purpose", 2: "channel", "channel": "channel"}
EACH: Final[Parts] = dict.fromkeys(range(20), "source")
CALLS: Final[dict[tuple[str, str], Parts]] = {
    **{(GUARD, name): QUESTION for name in ("allows", "check", "explain")},
    (GUARD, "purpose"): {0: "purpose", "purpose": "purpose", "channel": "channel"},
    (GUARD, "use"): {0: "purpose", "purpose": "purpose"},
    (GUARD, "access"): EACH,
    (GUARD, "reclassify"): {**EACH, "to": "source"},
    (GUARD, "entrust"): dict.fromkeys(range(1, 20), "source"),
    (GUARD, "check_recipient"): {**SOURCES, 1: "purpose", "purpose": "purpose", "channel": "channel"},
    (GUARD, "derive"): {1: "source", 2: "source", "one": "source", "other": "source"},
    (GOVERNANCE, "restrict"): {1: "purpose", "purposes": "purpose"},
    (GOVERNANCE, "consent"): {1: "purpose", "purpose": "purpose"},
    (GOVERNANCE, "withdraw"): {1: "purpose", "purpose": "purpose"},
    **{(USE, name): SOURCES for name in ("allows", "check", "explain")},
    **{(NOTICE, name): {0: name} for name in ("source", "purpose", "family", "channel")},
    (NOTICE, "purpose_or_family"): {0: "purpose"},
}

METHODS: Final = frozenset(name for _, name in CALLS)


def check(module: Module, program: Program) -> Iterator[Found]:
    """Texts in the calls of guards, uses and notices."""
    for node in module.all(ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            scope = module.scope_of[node]
            owner = program.values.of(node.func.value, scope)
            parts = None if owner is None else CALLS.get((owner.name, node.func.attr))
            if parts is None or not _has_text(node) or _is_expected(node, module):
                continue
            notices = _notices_of(node.func.value, scope, program)
            for place, text, kind in _texts(node, parts, scope, program):
                message = _unknown(text, kind, notices)
                if message is not None:
                    yield Found(place, message, terminal(node.func))


def _has_text(node: ast.Call) -> bool:
    return bool(node.args or node.keywords)


def _is_expected(node: ast.AST, module: Module) -> bool:
    """Whether a test expects the error: it stands within `pytest.raises`."""
    parent = module.parent_of.get(node)
    while parent is not None:
        if isinstance(parent, (ast.With, ast.AsyncWith)) and any(
            terminal(one.context_expr) in ("raises", "assertRaises", "assertRaisesRegex") for one in parent.items
        ):
            return True
        if isinstance(parent, ast.Try) and parent.handlers:
            named = {terminal(one.type) for one in parent.handlers if one.type is not None}
            if any(one.startswith("Unknown") for one in named):
                return True
        parent = module.parent_of.get(parent)
    return False


def _texts(node: ast.Call, parts: Parts, scope: Scope, program: Program) -> Iterator[tuple[ast.expr, str, str]]:
    given: list[tuple[ast.expr, str]] = []
    for index, one in enumerate(node.args):
        if isinstance(one, ast.Starred):
            break
        if index in parts:
            given.append((one, parts[index]))
    given += [(one.value, parts[one.arg]) for one in node.keywords if one.arg in parts]
    for expr, kind in given:
        for place, text in _constants(expr, scope, program):
            yield place, text, kind


def _constants(expr: ast.expr, scope: Scope, program: Program, depth: int = 0) -> Iterator[tuple[ast.expr, str]]:
    """The texts that an argument may be, each with the part of the argument by which it is given."""
    if isinstance(expr, ast.Constant):
        if isinstance(expr.value, str):
            yield expr, expr.value
    elif isinstance(expr, (ast.Set, ast.List, ast.Tuple)):
        for one in expr.elts:
            yield from _constants(one, scope, program, depth)
    elif isinstance(expr, ast.IfExp):
        yield from _constants(expr.body, scope, program, depth)
        yield from _constants(expr.orelse, scope, program, depth)
    elif isinstance(expr, (ast.Name, ast.Attribute)) and depth < 5:
        refs = program.names.refs(expr, scope)
        if len(refs) == 1 and isinstance(refs[0], Value):
            binding = refs[0].binding
            if isinstance(binding, Assigned) and binding.value is not None and not binding.unpacked:
                for _, text in _constants(binding.value, binding.scope, program, depth + 1):
                    yield expr, text


def _unknown(text: str, kind: str, notices: Sequence[Notice]) -> str | None:
    """Why a text means nothing in any of the notices; None where it means something, or none of them is known."""
    first: UnknownTerm | None = None
    for notice in notices:
        find = {
            "source": notice.source,
            "purpose": notice.purpose_or_family,
            "family": notice.family,
            "channel": notice.channel,
        }[kind]
        try:
            find(text)
        except UnknownTerm as error:
            first = first or error
        else:
            return None
    if first is None:
        return None
    near = f" (did you mean {' or '.join(f'`{one}`' for one in first.suggestions)}?)" if first.suggestions else ""
    which = " or ".join(dict.fromkeys(f"{one.id} ({one.revision})" for one in notices))
    return f"`{text}` is no {first.kind} of {which}{near}"


# --- which notice --------------------------------------------------------------------------------------------------


def _notices_of(owner: ast.expr, scope: Scope, program: Program) -> Sequence[Notice]:
    """The notices by which ids given to this guard, use or notice are read; none where that cannot be told.

    Those that a person has named go before what the code says. A guard that cannot be followed is taken to be of the
    bundled notice where no other notice is to be seen in all the files.
    """
    if program.notices:
        return program.notices
    finder = NoticeFinder(program)
    found = list(finder.of(owner, scope))
    for call in scope.module.all(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "replace" and call.args:
            inside = scope.module.scope_of[call]
            if program.guards.is_guard(call.func.value, inside):
                replaced = list(finder.of(call.args[0], inside))
                if not replaced:
                    return []  # another notice is put in force here, and nobody knows which
                found += replaced
    return found


MADE_WITH: Final = frozenset({GUARD, GOVERNANCE, "purposeguard.History"})
"""Classes that are given a notice when they are made."""

READ_BY: Final = frozenset({"load", "loads", "bundled", "parse"})
"""The methods of `Notice` that read one."""


class NoticeFinder:
    """Follows a guard, or a use of one, to its notice."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.depth = 0

    def of(self, expr: ast.expr, scope: Scope) -> Sequence[Notice]:
        """The notices that an expression leads to."""
        found = list(self._of(expr, scope))
        if found:
            return found
        found_type = self.program.values.of(expr, scope)
        if found_type is None or found_type.name not in (GUARD, USE):
            return []  # a notice that cannot be followed may be any
        notice = self.program.only_notice
        return [] if notice is None else [notice]

    def _of(self, expr: ast.expr, scope: Scope) -> Iterator[Notice]:
        if self.depth > 12:
            return
        self.depth += 1
        try:
            yield from list(self._followed(expr, scope))
        finally:
            self.depth -= 1

    def _followed(self, expr: ast.expr, scope: Scope) -> Iterator[Notice]:
        if isinstance(expr, (ast.Name, ast.Attribute)):
            for ref in self.program.names.refs(expr, scope):
                if isinstance(ref, Outside):
                    yield from self._outside(ref.name)
                elif isinstance(ref, Value):
                    value = getattr(ref.binding, "value", None) or getattr(ref.binding, "context", None)
                    inside = getattr(ref.binding, "scope", scope)
                    if isinstance(value, ast.expr):
                        yield from self._of(value, inside)
            if isinstance(expr, ast.Attribute) and expr.attr in ("current", "notice"):
                yield from self._of(expr.value, scope)
        elif isinstance(expr, ast.Call):
            yield from self._called(expr, scope)

    def _called(self, expr: ast.Call, scope: Scope) -> Iterator[Notice]:
        func = expr.func
        names = self.program.names.names(func, scope)
        method, of = (func.attr, func.value) if isinstance(func, ast.Attribute) else ("", None)
        given = expr.args[0] if expr.args else None
        if names & MADE_WITH:
            for one in (*expr.args, *(each.value for each in expr.keywords if each.arg == "notice")):
                yield from self._of(one, scope)
        elif of is not None and method in READ_BY and NOTICE in self.program.names.names(of, scope):
            yield from self._read(method, given, scope)
        elif isinstance(func, ast.Attribute) and method in ("purpose", "use", "exception"):
            yield from self._of(func.value, scope)

    def _outside(self, name: str) -> Iterator[Notice]:
        parts = name.split(".")
        if parts[:2] == [LIBRARY, "notices"] and len(parts) > 2:
            notice = self.program.bundled(parts[2].replace("_", "-"))
            if notice is not None:
                yield notice

    def _read(self, method: str, given: ast.expr | None, scope: Scope) -> Iterator[Notice]:
        text = given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None
        try:
            if method == "bundled" and text is not None:
                notice = self.program.bundled(text)
                if notice is not None:
                    yield notice
            elif method == "loads" and text is not None:
                yield Notice.loads(text)
            elif method == "load" and text is not None:
                folders = [Path(), scope.module.path.parent, scope.module.root]
                path = next((one / text for one in folders if (one / text).is_file()), None)
                if path is not None:
                    yield Notice.load(path)
            elif method == "parse":
                yield from _generated(scope)
        except NoticeError:
            return  # `purposeguard validate` says what is wrong with it


def _generated(scope: Scope) -> Iterator[Notice]:
    """The notice of a module that `purposeguard codegen` wrote, which carries its document."""
    for binding in scope.module.scope.names.get("_DOCUMENT", ()):
        value = getattr(binding, "value", None)
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            try:
                yield Notice.parse(json.loads(value.value))
            except ValueError:
                return
