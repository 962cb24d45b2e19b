"""The linted code: modules, their scopes, and what a name or an expression refers to.

Imports are followed from file to file, aliases to their targets, and values to their classes: by annotations,
constructors and the methods of this library. What cannot be followed is None, and rules report nothing about it.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar, cast

from purposeguard.cli.lint.files import Text

N = TypeVar("N", bound=ast.AST)
M = TypeVar("M", bound=ast.AST)
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

LIBRARY: Final = "purposeguard"
PACKAGES: Final = frozenset({"adapters", "governance", "notices", "testing", "cli"})
"""Packages of the library whose names are not among those that `import purposeguard` brings."""

GUARD: Final = "purposeguard.Guard"
USE: Final = "purposeguard.Use"
BLOCK: Final = "purposeguard.Block"
NOTICE: Final = "purposeguard.Notice"
PERSONAL: Final = "purposeguard.Personal"
GOVERNANCE: Final = "purposeguard.governance.Governance"

GIVES: Final = {
    f"{GUARD}.purpose": BLOCK,
    f"{GUARD}.exception": BLOCK,
    f"{GUARD}.use": USE,
    **{f"{NOTICE}.{name}": NOTICE for name in ("load", "loads", "parse", "bundled")},
    **{f"{PERSONAL}.{name}": PERSONAL for name in ("map", "zip", "collect")},
    "logging.getLogger": "logging.Logger",
    "structlog.get_logger": "structlog.BoundLogger",
}
"""Function or method → the class of what it returns."""

ATTRIBUTES: Final = {f"{GUARD}.current": USE, f"{GUARD}.notice": NOTICE}
DECORATING: Final = frozenset(f"{GUARD}.{name}" for name in ("access", "cached", "entrust", "reclassify", "transform"))
"""Methods whose result decorates as they do."""

AROUND: Final = frozenset(
    {"Optional", "Final", "ClassVar", "Required", "NotRequired", "ReadOnly", "Annotated", "Mapped", "Awaitable"}
)
"""What an annotation may have around the type of the value."""

DEEPEST: Final = 40
"""How many names or calls may lead to each other."""

FOLDERS: Final = 6
"""Folders without `__init__.py` above a module that may be a part of its name."""

OPENING: Final = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """What a name is bound to: a value, an annotation, or both; `how` says whether it is the value itself."""

    scope: Scope
    how: str
    """`value`, `part` of it, `item` of a loop, `entered` by `with`, `parameter`, `import` or `definition`."""
    value: ast.AST | None = None
    annotation: ast.expr | None = None
    origin: str = ""
    """Of an import: the absolute module."""
    name: str | None = None
    """Of an import: the name in it."""
    position: int = 0


Assigned = tuple[ast.expr | None, ast.expr | None, "Scope"]
"""A value, its annotation, and the scope of both."""


@dataclass(slots=True, eq=False)
class Scope:
    """A module, class, function or lambda, with the names that are bound in it."""

    node: ast.AST
    parent: Scope | None
    module: Module
    names: dict[str, list[Binding]] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    """Names that are declared global or nonlocal here."""

    @property
    def function(self) -> Scope | None:
        """The innermost function at this scope."""
        scope: Scope | None = self
        while scope is not None and not isinstance(scope.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            scope = scope.parent if not isinstance(scope.node, ast.ClassDef) else None
        return scope

    @property
    def cls(self) -> ast.ClassDef | None:
        """The class in whose body the scope lies."""
        around = None if self.parent is None else self.parent.node
        return around if isinstance(around, ast.ClassDef) else None

    def bind(self, name: str, binding: Binding) -> None:
        """Adds a binding to the scope that owns the name."""
        scope: Scope = self
        if name in self.elsewhere:
            scope = self.holder(name)
        scope.names.setdefault(name, []).append(binding)

    def holder(self, name: str) -> Scope:
        """The scope of a name that is declared global or nonlocal here."""
        scope = self.parent
        while scope is not None and scope.parent is not None:
            if name in scope.names and not isinstance(scope.node, ast.ClassDef):
                return scope
            scope = scope.parent
        return self.module.scope

    def bindings(self, name: str) -> list[Binding]:
        """The bindings of a name here; empty if this module does not bind it."""
        scope: Scope | None = self
        while scope is not None:
            inner = scope is self or not isinstance(scope.node, ast.ClassDef)
            if inner and name in scope.names and name not in scope.elsewhere:
                return scope.names[name]
            scope = scope.parent
        return []


class Module:
    """A file, with its name, tree and scopes."""

    def __init__(self, text: Text) -> None:
        self.path = text.path
        self.parts = text.path.resolve().parts
        self.shown = text.shown
        self.text = text.text
        self.tree = text.tree
        self.lines = text.text.split("\n")
        self.root, self.name = _named(text.path)
        self.scope = Scope(text.tree, None, self)
        self.scope_of: dict[ast.AST, Scope] = {text.tree: self.scope}
        self.inside: dict[ast.AST, Scope] = {}
        """The scope that a class, function or lambda opens."""
        self.parent_of: dict[ast.AST, ast.AST] = {}
        self._of_kind: dict[type[ast.AST], list[ast.AST]] = {}
        self._scan()

    def _scan(self) -> None:
        pending: list[tuple[ast.AST, Scope]] = [(statement, self.scope) for statement in reversed(self.tree.body)]
        while pending:
            node, scope = pending.pop()
            self.scope_of[node] = scope
            self._of_kind.setdefault(type(node), []).append(node)
            _bind(node, scope)
            body: set[int] = set()
            inner = scope
            if isinstance(node, OPENING):
                inner = self.inside[node] = Scope(node, scope, self)
                body = {id(statement) for statement in (node.body if isinstance(node.body, list) else [node.body])}
                for position, parameter in enumerate(() if isinstance(node, ast.ClassDef) else parameters(node)):
                    inner.names[parameter.arg] = [
                        Binding(scope, "parameter", node, parameter.annotation, position=position)
                    ]
            children = list(ast.iter_child_nodes(node))
            for child in children:
                self.parent_of[child] = node
            pending += [(child, inner if id(child) in body else scope) for child in reversed(children)]

    def all(self, kind: type[N], other: type[M] | None = None) -> list[N | M]:
        """The nodes of one or two kinds, each kind in the order of the text."""
        kinds: list[type[ast.AST]] = [kind] if other is None else [kind, other]
        return cast("list[N | M]", [node for each in kinds for node in self._of_kind.get(each, ())])

    @property
    def functions(self) -> list[FunctionNode]:
        """All functions in the module, nested ones included."""
        return self.all(ast.FunctionDef, ast.AsyncFunctionDef)

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, innermost first."""
        parent = self.parent_of.get(node)
        while parent is not None:
            yield parent
            parent = self.parent_of.get(parent)

    def absolute(self, name: str | None, level: int) -> str:
        """The absolute name of a relative import."""
        if not level:
            return name or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - level + (self.path.stem == "__init__")]
        return ".".join([*parts, *([name] if name else [])])

    def qualname(self, node: ast.AST) -> str:
        """The name of a class or function within its module."""
        named = [scope for scope in (node, *self.above(node)) if isinstance(scope, OPENING[:3])]
        return ".".join(scope.name for scope in reversed(named))


def _named(path: Path) -> tuple[Path, str]:
    """The folder from which a file is imported, and its dotted name from there."""
    path = path.resolve()
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.name:
        parts.append(folder.name)
        folder = folder.parent
    return folder, ".".join(reversed(parts)) or path.parent.name


def _bind(node: ast.AST, scope: Scope) -> None:  # noqa: C901, PLR0912  # one case for each kind of statement that binds
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            scope.bind(node.name, Binding(scope, "definition", node))
        case ast.Import():
            for alias in node.names:
                top = alias.name if alias.asname else alias.name.partition(".")[0]
                scope.bind(alias.asname or top, Binding(scope, "import", origin=top))
        case ast.ImportFrom():
            origin = scope.module.absolute(node.module, node.level)
            for alias in node.names:
                scope.bind(alias.asname or alias.name, Binding(scope, "import", origin=origin, name=alias.name))
        case ast.Assign():
            for target in node.targets:
                _bind_target(target, scope, "value", node.value)
        case ast.AnnAssign(target=ast.Name(id=name)):
            scope.bind(name, Binding(scope, "value", node.value, node.annotation))
        case ast.NamedExpr():
            scope.bind(node.target.id, Binding(scope, "value", node.value))
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            _bind_target(node.target, scope, "item", node.iter)
        case ast.withitem(optional_vars=ast.expr()):
            _bind_target(node.optional_vars, scope, "entered", node.context_expr)
        case ast.Global() | ast.Nonlocal():
            scope.elsewhere.update(node.names)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            scope.bind(name, Binding(scope, "part"))
        case _ if type(node).__name__ == "TypeAlias":  # from Python 3.12 on
            scope.bind(node.name.id, Binding(scope, "value", node.value))  # type: ignore[attr-defined]  # not in 3.11
        case _:
            pass


def _bind_target(target: ast.expr | None, scope: Scope, how: str, value: ast.expr) -> None:
    if isinstance(target, ast.Name):
        scope.bind(target.id, Binding(scope, how, value))
        return
    for node in () if target is None else ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            scope.bind(node.id, Binding(scope, "part", value))


@dataclass(frozen=True, slots=True)
class Thing:
    """What an expression refers to: a dotted name, and its `node` if it is defined in the linted files."""

    name: str
    module: Module | None = None
    node: ast.ClassDef | FunctionNode | None = None
    instance: bool = False
    """True for a value of the class, and not the class itself."""

    @property
    def cls(self) -> ast.ClassDef | None:
        """The class itself, or of the instance, if it is in the linted files."""
        return self.node if isinstance(self.node, ast.ClassDef) else None

    @property
    def function(self) -> FunctionNode | None:
        """The function, if it is in the linted files."""
        return None if isinstance(self.node, ast.ClassDef) else self.node


def canonical(name: str) -> str:
    """The public name of an export of a library, by which rules know it."""
    parts = name.split(".")
    if parts[0] == "pydantic" and len(parts) > 2:
        return ".".join(
            part
            for at, part in enumerate(parts)
            if at == len(parts) - 1 or part not in ("v1", "main", "networks", "types")
        )
    if parts[0] == LIBRARY and len(parts) > 2 and parts[1] not in PACKAGES:
        public = next((at for at, part in enumerate(parts) if part[:1].isupper()), len(parts) - 1)
        return ".".join([LIBRARY, *parts[public:]])
    return name.replace("typing_extensions.", "typing.", 1)


class Code:
    """All linted modules; resolves expressions in them."""

    def __init__(self, texts: Iterable[Text]) -> None:
        self.modules = tuple(Module(text) for text in texts)
        self._by_name: dict[str, list[Module]] = {}
        for module in self.modules:
            ending = module.name
            self._by_name.setdefault(ending, []).append(module)
            for folder in [module.root, *module.root.parents][:FOLDERS]:
                if not folder.name.isidentifier():
                    break
                ending = f"{folder.name}.{ending}"
                self._by_name.setdefault(ending, []).append(module)
        self._known: dict[ast.AST, Thing | None] = {}
        self._bases: dict[ast.ClassDef, frozenset[str]] = {}
        self._texts: dict[ast.AST, ast.expr] = {}
        self._on_self: dict[ast.ClassDef, dict[str, list[Assigned]]] = {}
        self._depth = 0
        self._module_of = {
            node: module for module in self.modules for node in [*module.all(ast.ClassDef), *module.functions]
        }

    def module_of(self, node: ast.ClassDef | FunctionNode) -> Module:
        """The module in which a class or function is defined."""
        return self._module_of[node]

    def find(self, name: str, importer: Module) -> Module | None:
        """The module of this name; of several the one nearest to the importing module."""
        modules = [] if name.partition(".")[0] in sys.stdlib_module_names else self._by_name.get(name, [])

        def shared(module: Module) -> int:
            pairs = zip(importer.parts, module.parts, strict=False)
            return next((at for at, (part, other) in enumerate(pairs) if part != other), len(module.parts))

        return max(modules, key=shared, default=None)

    # --- names ---------------------------------------------------------------------------------------------------

    def assigned(self, expr: ast.expr, scope: Scope, depth: int = 0) -> Binding | None:
        """The assignment of a name, here or in another module; None if it is bound otherwise."""
        if depth > DEEPEST:
            return None
        bindings: list[Binding] = []
        if isinstance(expr, ast.Name):
            bindings = scope.bindings(expr.id)
        elif isinstance(expr, ast.Attribute):
            owner = self.of(expr.value, scope)
            if owner is not None and owner.module is not None and not owner.instance:
                inside = owner.module.scope if owner.node is None else owner.module.inside[owner.node]
                bindings = inside.names.get(expr.attr, [])
        if len(bindings) != 1:
            return None
        (binding,) = bindings
        if binding.how == "import" and binding.name is not None:
            module = self.find(binding.origin, scope.module)
            if module is not None and module is not binding.scope.module:
                return self.assigned(ast.Name(binding.name, ast.Load()), module.scope, depth + 1)
        if binding.how != "value":
            return None
        if isinstance(binding.value, (ast.Name, ast.Attribute)) and binding.value is not expr:
            return self.assigned(binding.value, binding.scope, depth + 1) or binding
        return binding

    def name(self, expr: ast.expr, scope: Scope) -> str:
        """The dotted name that an expression refers to; empty if unknown, or if it is an instance."""
        thing = self.of(expr, scope)
        return "" if thing is None or thing.instance else thing.name

    def kind(self, expr: ast.expr, scope: Scope) -> str:
        """The dotted name of a value's class; empty if unknown."""
        thing = self.of(expr, scope)
        return thing.name if thing is not None and thing.instance else ""

    def of(self, expr: ast.AST | None, scope: Scope) -> Thing | None:
        """What an expression refers to; None if unknown."""
        if expr is None or self._depth > DEEPEST:
            return None
        if expr not in self._known:
            self._known[expr] = None  # what stands for itself stands for nothing
            self._depth += 1
            try:
                self._known[expr] = self._of(expr, scope)
            finally:
                self._depth -= 1
        return self._known[expr]

    def _of(self, expr: ast.AST, scope: Scope) -> Thing | None:
        match expr:
            case ast.Name():
                return self._of_name(expr, scope)
            case ast.Attribute():
                owner = self.of(expr.value, scope)
                return None if owner is None else self.member(owner, expr.attr)
            case ast.Call():
                return self._of_call(expr, scope)
            case ast.Await() | ast.NamedExpr():
                return self.of(expr.value, scope)
            case ast.IfExp():
                return self.of(expr.body, scope) or self.of(expr.orelse, scope)
            case ast.BoolOp():
                return next((thing for value in expr.values if (thing := self.of(value, scope)) is not None), None)
            case ast.Subscript():  # `Mailing[P](use)`
                generic = self.of(expr.value, scope)
                return None if generic is None or generic.instance else generic
            case _:
                return None

    def _of_name(self, expr: ast.Name, scope: Scope) -> Thing | None:
        bindings = [binding for binding in scope.bindings(expr.id) if binding.value is not expr]
        if not bindings and isinstance(scope.node, ast.ClassDef) and scope.parent is not None:
            bindings = scope.parent.bindings(expr.id)  # `guard = guard` in a class is that around it
        if bindings:
            return next((thing for binding in bindings if (thing := self.bound(binding)) is not None), None)
        return Thing(f"builtins.{expr.id}") if hasattr(builtins, expr.id) else None

    def bound(self, binding: Binding) -> Thing | None:
        """What a bound name refers to."""
        if self._depth > DEEPEST:
            return None
        self._depth += 1  # modules may take their names from each other
        try:
            return self._bound(binding)
        finally:
            self._depth -= 1

    def _bound(self, binding: Binding) -> Thing | None:
        match binding.how:
            case "import":
                return self._imported(binding)
            case "definition":
                return self.defined(cast("ast.ClassDef | FunctionNode", binding.value))
            case "parameter":
                return self._parameter(binding)
            case "value":
                stated = self.stated(binding.annotation, binding.scope)
                return stated or self.of(binding.value, binding.scope)
            case "entered":
                entered = self.of(binding.value, binding.scope)
                if entered is not None and entered.instance and entered.name == BLOCK:
                    return Thing(USE, instance=True)
                return entered
            case "item":
                return self._item(binding.value, binding.scope)
            case _:
                return None

    def defined(self, node: ast.ClassDef | FunctionNode) -> Thing:
        """A class or function in the linted files."""
        module = self.module_of(node)
        return Thing(canonical(f"{module.name}.{module.qualname(node)}"), module, node)

    def _imported(self, binding: Binding) -> Thing | None:
        importer = binding.scope.module
        module = self.find(binding.origin, importer)
        if binding.name is None:
            return Thing(binding.origin, module)
        below = self.find(f"{binding.origin}.{binding.name}", importer)
        if module is not None and module is not importer:
            thing = self.member(Thing(module.name, module), binding.name)
            if thing is not None or below is None:
                return thing
        dotted = f"{binding.origin}.{binding.name}"
        return Thing(canonical(dotted), below) if below is not None else self._outside(dotted)

    def _outside(self, dotted: str) -> Thing:
        return Thing(NOTICE, instance=True) if dotted.endswith(".NOTICE") else Thing(canonical(dotted))

    def _item(self, iterable: ast.AST | None, scope: Scope) -> Thing | None:
        """The item of a loop over a name, or over what a function returns, by its annotation."""
        if isinstance(iterable, ast.Name):
            bindings = scope.bindings(iterable.id)
            if len(bindings) != 1:
                return None
            if bindings[0].how == "value" and bindings[0].annotation is None:
                return self._item(bindings[0].value, bindings[0].scope)
            stated, scope = bindings[0].annotation, bindings[0].scope
        else:
            thing = self.of(iterable.func, scope) if isinstance(iterable, ast.Call) else None
            if thing is None or thing.function is None or thing.module is None:
                return None
            stated, scope = thing.function.returns, thing.module.scope_of[thing.function]
        expr = None if stated is None else self.parsed(stated)
        if not isinstance(expr, ast.Subscript) or isinstance(expr.slice, ast.Tuple):
            return None
        return self.stated(expr.slice, scope)

    def _parameter(self, binding: Binding) -> Thing | None:
        if binding.annotation is not None:
            return self.stated(binding.annotation, binding.scope)
        function = binding.value
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return None
        decorators = {last(decorator) for decorator in function.decorator_list}
        method = isinstance(binding.scope.node, ast.ClassDef)
        if method and not binding.position and "staticmethod" not in decorators:
            return self._instance(self.defined(cast("ast.ClassDef", binding.scope.node)))
        return Thing(USE, instance=True) if binding.position == method and "with_use" in decorators else None

    def member(self, owner: Thing, name: str) -> Thing | None:
        """What an attribute refers to."""
        if owner.cls is not None:
            thing = self._of_class(owner.cls, name, instance=owner.instance)
            if thing is not None or owner.name not in (GUARD, USE):
                return thing
        elif owner.module is not None:
            bindings = owner.module.scope.names.get(name)
            if bindings:
                return next((thing for binding in bindings if (thing := self.bound(binding)) is not None), None)
            below = self.find(f"{owner.module.name}.{name}", owner.module)
            return None if below is None else Thing(below.name, below)
        dotted = f"{owner.name}.{name}"
        if owner.instance and dotted in ATTRIBUTES:
            return Thing(ATTRIBUTES[dotted], instance=True)
        return self._outside(dotted)

    def _of_class(self, cls: ast.ClassDef, name: str, *, instance: bool) -> Thing | None:
        for base in self.lineage(cls):
            module = self.module_of(base)
            for binding in module.inside[base].names.get(name, ()):
                thing = self.bound(binding)
                if thing is not None and thing.function is not None and instance:
                    decorators = {last(each) for each in thing.function.decorator_list}
                    thing = self.returned(thing.function) if decorators & {"property", "cached_property"} else thing
                if thing is not None:
                    return thing
            for value, annotation, inside in self.on_self(base, name) if instance else ():
                thing = self.stated(annotation, inside) or self.of(value, inside)
                if thing is not None:
                    return thing
        return None

    def on_self(self, cls: ast.ClassDef, name: str) -> list[Assigned]:
        """Attribute → what the methods of a class assign to it."""
        if cls not in self._on_self:
            assigned = self._on_self[cls] = {}
            scope_of = self.module_of(cls).scope_of
            for method in cls.body:
                for node in own(method.body) if isinstance(method, FunctionNode) else ():
                    if isinstance(node, (ast.Assign, ast.AnnAssign)):
                        stated = node.annotation if isinstance(node, ast.AnnAssign) else None
                        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                            if isinstance(target, ast.Attribute) and last(target.value) == "self":
                                assigned.setdefault(target.attr, []).append((node.value, stated, scope_of[node]))
        return self._on_self[cls].get(name, [])

    def _of_call(self, expr: ast.Call, scope: Scope) -> Thing | None:
        made = self.of(expr.func, scope)
        if made is None or (made.instance and made.name != BLOCK):
            return None
        if made.function is not None:
            return self.returned(made.function)
        if made.cls is not None or made.name in (GUARD, GOVERNANCE):
            return self._instance(made)
        if made.name in GIVES:
            return Thing(GIVES[made.name], instance=True)
        if made.name in DECORATING or made.instance:
            return made
        return Thing(made.name, instance=True) if made.name.rpartition(".")[2][:1].isupper() else None

    def returned(self, function: FunctionNode) -> Thing | None:
        """What a function returns: by its annotation, or by its only `return`."""
        module = self.module_of(function)
        if function.returns is not None:
            return self.stated(function.returns, module.scope_of[function])
        values = [node.value for node in own(function.body) if isinstance(node, ast.Return) and node.value is not None]
        return self.of(values[0], module.inside[function]) if len(values) == 1 else None

    def _instance(self, cls: Thing) -> Thing:
        """An instance of a class; a subclass of Guard or Use counts as that."""
        bases = self.bases(cls.cls) if cls.cls is not None else frozenset()
        name = next((kind for kind in (GUARD, USE) if kind in bases), cls.name)
        return Thing(name, cls.module, cls.node, instance=True)

    # --- annotations ---------------------------------------------------------------------------------------------

    def parsed(self, expr: ast.expr) -> ast.expr:
        """An annotation; parsed if it is a string."""
        if not isinstance(expr, ast.Constant) or not isinstance(expr.value, str):
            return expr
        if expr not in self._texts:
            try:
                self._texts[expr] = ast.parse(expr.value.strip(), mode="eval").body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                self._texts[expr] = expr
        return self._texts[expr]

    def stated(self, annotation: ast.expr | None, scope: Scope) -> Thing | None:
        """The instance of an annotation, for `X | None` that of `X`; None unless there is exactly one."""
        things = [] if annotation is None else list(self._members(annotation, scope, 0))
        return things[0] if len(things) == 1 else None

    def _members(self, annotation: ast.expr, scope: Scope, depth: int) -> Iterator[Thing | None]:
        expr = self.parsed(annotation)
        if depth > DEEPEST or (isinstance(expr, ast.Constant) and expr.value is None):
            return
        if isinstance(expr, ast.BinOp):
            yield from self._members(expr.left, scope, depth + 1)
            yield from self._members(expr.right, scope, depth + 1)
            return
        if isinstance(expr, ast.Subscript):
            name = self.name(expr.value, scope).rpartition(".")[2]
            if name in AROUND or name == "Union":
                for item in items(expr.slice)[: None if name == "Union" else 1]:
                    yield from self._members(item, scope, depth + 1)
                return
        alias = self.assigned(expr, scope) if isinstance(expr, (ast.Name, ast.Attribute)) else None
        if alias is not None and isinstance(alias.value, (ast.Subscript, ast.BinOp)):
            yield from self._members(alias.value, alias.scope, depth + 1)
            return
        cls = self.of(expr, scope)
        if cls is not None and not cls.instance and cls.function is None:
            yield self._instance(cls)
        else:
            yield None

    # --- classes -------------------------------------------------------------------------------------------------

    def lineage(self, cls: ast.ClassDef) -> list[ast.ClassDef]:
        """A class and its base classes in the linted files, nearest first."""
        classes: dict[ast.ClassDef, None] = {}
        pending = [cls]
        while pending:
            current = pending.pop(0)
            if current not in classes:
                classes[current] = None
                scope = self.module_of(current).scope_of[current]
                bases = [self.of(base, scope) for base in current.bases]
                pending += [base.cls for base in bases if base is not None and base.cls is not None]
        return list(classes)

    def bases(self, cls: ast.ClassDef) -> frozenset[str]:
        """The dotted names of a class and all its bases."""
        if cls not in self._bases:
            names: set[str] = set()
            for ancestor in self.lineage(cls):
                scope = self.module_of(ancestor).scope_of[ancestor]
                names.add(self.defined(ancestor).name)
                names |= {base.name for expr in ancestor.bases if (base := self.of(expr, scope)) is not None}
            self._bases[cls] = frozenset(names)
        return self._bases[cls]


# --- trees -----------------------------------------------------------------------------------------------------------


def parameters(node: FunctionNode | ast.Lambda) -> list[ast.arg]:
    """All parameters of a function, in order."""
    arguments = node.args
    starred = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *starred]


def own(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """These nodes and all nodes in them, but not those in nested functions and classes."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, OPENING):
            pending += ast.iter_child_nodes(node)


def items(index: ast.expr) -> tuple[ast.expr, ...]:
    """The arguments in the brackets of an annotation."""
    return tuple(index.elts) if isinstance(index, ast.Tuple) else (index,)


def last(expr: ast.AST) -> str:
    """The last name of a dotted one, of a call of it or of an item of it; empty if there is none."""
    while isinstance(expr, (ast.Call, ast.Subscript, ast.Await)):
        expr = expr.func if isinstance(expr, ast.Call) else expr.value
    return expr.attr if isinstance(expr, ast.Attribute) else expr.id if isinstance(expr, ast.Name) else ""


def root(expr: ast.AST) -> str:
    """The first name of a dotted one, of calls and items of it; empty if there is none."""
    while isinstance(expr, (ast.Attribute, ast.Subscript, ast.Call)):
        expr = expr.func if isinstance(expr, ast.Call) else expr.value
    return expr.id if isinstance(expr, ast.Name) else ""


def dotted(expr: ast.AST) -> str:
    """An expression as a message shows it."""
    if isinstance(expr, ast.Attribute):
        before = dotted(expr.value)
        return f"{before}.{expr.attr}" if before else expr.attr
    return f"{last(expr)}(…)" if isinstance(expr, ast.Call) else last(expr)
