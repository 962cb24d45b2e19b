"""Who is called what, and where: the scopes of a module, with all that binds a name in each.

What is known is what the text says. Which of several bindings holds at a moment (a conditional import, a name that is
assigned anew) is not worked out: all of them are kept.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from purposeguard.linting.project import Module

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """`import module` or `from module import name`, by its absolute name."""

    module: str
    name: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Defined:
    """A class or a function."""

    node: ast.ClassDef | FunctionNode
    scope: Scope


@dataclass(frozen=True, slots=True, eq=False)
class Assigned:
    """A value, an annotation, or both; `unpacked` where the name is given a part of the value only."""

    scope: Scope
    value: ast.expr | None
    annotation: ast.expr | None = None
    comment: str | None = None
    unpacked: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """A parameter of a function; `scope` is where the function stands."""

    node: ast.arg
    scope: Scope
    function: FunctionNode | ast.Lambda
    position: int


@dataclass(frozen=True, slots=True, eq=False)
class Entered:
    """`with context as name`."""

    scope: Scope
    context: ast.expr


@dataclass(frozen=True, slots=True, eq=False)
class Iterated:
    """`for name in iterable`."""

    scope: Scope
    iterable: ast.expr
    unpacked: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Opaque:
    """Bound to something of which nothing is known."""


Binding = Imported | Defined | Assigned | Parameter | Entered | Iterated | Opaque


@dataclass(slots=True, eq=False)
class Scope:
    """A module, class, function, or the inside of a lambda or comprehension."""

    node: ast.AST
    kind: Literal["module", "class", "function", "lambda", "comprehension"]
    parent: Scope | None
    module: Module
    names: dict[str, list[Binding]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    elsewhere: set[str] = field(default_factory=set)
    """Names that are declared global or nonlocal here."""

    @property
    def top(self) -> Scope:
        """The scope of the module."""
        return self if self.parent is None else self.module.scope

    @property
    def function(self) -> Scope | None:
        """The innermost function that it is in, or is."""
        scope: Scope | None = self
        while scope is not None and scope.kind != "function":
            scope = scope.parent if scope.kind != "class" else None
        return scope

    @property
    def around(self) -> Scope | None:
        """The class whose method this function is."""
        return self.parent if self.parent is not None and self.parent.kind == "class" else None

    def bind(self, name: str, binding: Binding) -> None:
        """Adds a binding, where the name belongs."""
        scope = self
        while scope.kind == "comprehension" and isinstance(binding, Assigned) and scope.parent is not None:
            scope = scope.parent  # `:=` binds around it
        if name in scope.elsewhere:
            scope = scope.holder(name)
        scope.names.setdefault(name, []).append(binding)

    def holder(self, name: str) -> Scope:
        """The scope that a name which is declared global or nonlocal here is of."""
        scope = self.parent
        while scope is not None and scope.parent is not None:
            if scope.kind == "function" and name in scope.names:
                return scope
            scope = scope.parent
        return self.top

    def bindings(self, name: str) -> list[Binding]:
        """What a name may mean here; nothing where it is no name of this module."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names and (scope.kind != "class" or scope is self) and name not in scope.elsewhere:
                return scope.names[name]
            scope = scope.parent
        return []


def scan(module: Module) -> None:
    """Fills in the scopes of a module: which node is in which, and which in which node, and which are of a kind."""
    scope_of, of_kind = module.scope_of, module.of_kind
    scope_of[module.tree] = module.scope
    pending: list[tuple[ast.AST, Scope]] = [(one, module.scope) for one in reversed(module.tree.body)]
    while pending:
        node, scope = pending.pop()
        scope_of[node] = scope
        kind = type(node)
        if kind in of_kind:
            of_kind[kind].append(node)
        else:
            of_kind[kind] = [node]
        if kind in BINDING or kind.__name__ == "TypeAlias":
            _bind(node, scope)
        inside = _opened(node, scope) if kind in OPENING else None
        if inside is None:
            pending += [(one, scope) for one in reversed(children(node))]
        else:
            module.inside[node] = inside
            pending += reversed(list(_parts(node, scope, inside)))


BINDING: Final = frozenset(
    {
        *(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign),
        *(ast.NamedExpr, ast.For, ast.AsyncFor, ast.comprehension, ast.withitem, ast.Global, ast.Nonlocal),
        *(ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping),
    }
)
OPENING: Final = frozenset({ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, *COMPREHENSIONS})

PLAIN: Final = frozenset({"ctx", "op", "ops", "id", "attr", "module", "level", "lineno", "type_comment", "kind"})
"""Parts of nodes that are no nodes which anybody asks about."""


FIELDS: Final = {
    kind: () if kind is ast.Constant else tuple(one for one in kind._fields if one not in PLAIN)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
"""The parts of each kind of node in which there may be nodes."""


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes right below one, in the order of the text; as `ast.iter_child_nodes`, in a third of its time."""
    found: list[ast.AST] = []
    for name in FIELDS[type(node)]:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [one for one in value if isinstance(one, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def walk(*nodes: ast.AST) -> Iterator[ast.AST]:
    """These nodes and all below them, in no order."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield node
        pending += children(node)


def _opened(node: ast.AST, scope: Scope) -> Scope | None:
    """The scope that a node opens."""
    if isinstance(node, ast.ClassDef):
        return Scope(node, "class", scope, scope.module)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        inside = Scope(node, "lambda" if isinstance(node, ast.Lambda) else "function", scope, scope.module)
        for position, one in enumerate(parameters(node)):
            inside.names[one.arg] = [Parameter(one, scope, node, position)]
        return inside
    if isinstance(node, COMPREHENSIONS):
        return Scope(node, "comprehension", scope, scope.module)
    return None


def parameters(node: FunctionNode | ast.Lambda) -> list[ast.arg]:
    """All parameters of a function, in order."""
    given = node.args
    starred = [one for one in (given.vararg, given.kwarg) if one is not None]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *starred]


def _parts(node: ast.AST, scope: Scope, inside: Scope) -> Iterator[tuple[ast.AST, Scope]]:
    """The nodes in a node that opens a scope, each with its own."""
    if isinstance(node, ast.Lambda):
        yield node.args, scope
        yield node.body, inside
    elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        body = set(map(id, node.body))
        for child in children(node):
            yield child, inside if id(child) in body else scope
        for one in getattr(node, "type_params", ()):
            inside.names.setdefault(one.name, []).append(Opaque())
    else:
        for child in children(node):
            yield child, inside


def _bind(node: ast.AST, scope: Scope) -> None:  # noqa: C901, PLR0912  # one case for each kind of statement that binds
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        scope.bind(node.name, Defined(node, scope))
    elif isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            scope.bind(alias.asname or top, Imported(alias.name if alias.asname else top, None))
    elif isinstance(node, ast.ImportFrom):
        origin = scope.module.absolute(node.module, node.level)
        for alias in node.names:
            if alias.name == "*":
                scope.top.stars.append(origin)
            else:
                scope.bind(alias.asname or alias.name, Imported(origin, alias.name))
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            for name, unpacked in _targets(target):
                scope.bind(name, Assigned(scope, node.value, None, node.type_comment, unpacked))
    elif isinstance(node, ast.AnnAssign):
        if isinstance(node.target, ast.Name):
            scope.bind(node.target.id, Assigned(scope, node.value, node.annotation))
    elif isinstance(node, ast.NamedExpr):
        scope.bind(node.target.id, Assigned(scope, node.value))
    elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        for name, unpacked in _targets(node.target):
            scope.bind(name, Iterated(scope, node.iter, unpacked))
    elif isinstance(node, ast.withitem):
        for name, _ in _targets(node.optional_vars):
            scope.bind(name, Entered(scope, node.context_expr))
    elif isinstance(node, (ast.Global, ast.Nonlocal)):
        scope.elsewhere.update(node.names)
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        if node.name:
            scope.bind(node.name, Opaque())
    elif isinstance(node, ast.MatchMapping):
        if node.rest:
            scope.bind(node.rest, Opaque())
    elif type(node).__name__ == "TypeAlias":  # `type X = …`, from Python 3.12 on
        scope.bind(node.name.id, Assigned(scope, node.value))  # type: ignore[attr-defined]  # on 3.11 there is no such class


def _targets(target: ast.AST | None) -> Iterator[tuple[str, bool]]:
    """The names that a target binds, and whether each is given a part only."""
    pending: list[tuple[ast.AST, bool]] = [] if target is None else [(target, False)]
    while pending:
        one, unpacked = pending.pop()
        if isinstance(one, ast.Name):
            yield one.id, unpacked
        elif isinstance(one, (ast.Tuple, ast.List)):
            pending += ((each, True) for each in one.elts)
        elif isinstance(one, ast.Starred):
            pending.append((one.value, True))


def within(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes in these, themselves included, but not what is in functions and classes defined among them."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            pending += children(node)
