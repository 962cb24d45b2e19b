"""Of which class a value is, as far as annotations, constructors and the library's own methods tell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from purposeguard.linting.names import DEEPEST, Here, Names, Outside, Value, canonical, terminal
from purposeguard.linting.scopes import (
    Assigned,
    Entered,
    FunctionNode,
    Iterated,
    Parameter,
    Scope,
    within,
)

GUARD: Final = "purposeguard.Guard"
USE: Final = "purposeguard.Use"
BLOCK: Final = "purposeguard.Block"
NOTICE: Final = "purposeguard.Notice"
PERSONAL: Final = "purposeguard.Personal"
GOVERNANCE: Final = "purposeguard.governance.Governance"

METHODS: Final = {
    (GUARD, "purpose"): BLOCK,
    (GUARD, "exception"): BLOCK,
    (GUARD, "use"): USE,
    (NOTICE, "load"): NOTICE,
    (NOTICE, "loads"): NOTICE,
    (NOTICE, "parse"): NOTICE,
    (NOTICE, "bundled"): NOTICE,
    (PERSONAL, "map"): PERSONAL,
    (PERSONAL, "zip"): PERSONAL,
    (PERSONAL, "collect"): PERSONAL,
}
"""What methods of the library give."""

MADE_BY: Final = {"logging.getLogger": "logging.Logger", "structlog.get_logger": "structlog.BoundLogger"}
"""What functions outside give."""

ATTRIBUTES: Final = {(GUARD, "current"): USE, (GUARD, "notice"): NOTICE}
ENTERED: Final = {BLOCK: USE}

OPTIONAL: Final = frozenset({"typing.Optional", "typing_extensions.Optional"})
WRAPPERS: Final = frozenset(
    {
        *(f"typing.{name}" for name in ("Final", "ClassVar", "Required", "NotRequired", "ReadOnly", "Annotated")),
        *(f"typing_extensions.{name}" for name in ("Required", "NotRequired", "ReadOnly", "Annotated")),
        *("dataclasses.InitVar", "sqlalchemy.orm.Mapped", "collections.abc.Awaitable", "typing.Awaitable"),
    }
)
"""What an annotation may have around the type of the value."""


@dataclass(frozen=True, slots=True)
class Type:
    """The class of a value by its dotted name; `cls` where it is here, with the arguments of the annotation."""

    name: str
    cls: Here | None = None
    arguments: tuple[ast.expr, ...] = ()
    scope: Scope | None = None


class Values:
    """Tells types of expressions."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._texts: dict[ast.Constant, ast.expr | None] = {}
        self._known: dict[ast.AST, Type | None] = {}
        self._methods: dict[Here, dict[str, list[FunctionNode]]] = {}
        self._attributes: dict[Here, dict[str, list[tuple[ast.expr | None, ast.expr | None, Scope]]]] = {}
        self._depth = 0

    # --- annotations ---------------------------------------------------------------------------------------------

    def parsed(self, expr: ast.expr) -> ast.expr:
        """An annotation, read where it is a text."""
        if isinstance(expr, ast.Constant) and isinstance(expr.value, str):
            if expr not in self._texts:
                self._texts[expr] = expression(expr.value)
            return self._texts[expr] or expr
        return expr

    def of_annotation(self, annotation: ast.expr, scope: Scope) -> Type | None:
        """The type that an annotation states: of `X | None` that of `X`; None where there are several, or none."""
        found = list(self._members(annotation, scope, 0))
        return found[0] if len(found) == 1 else None

    def _members(self, annotation: ast.expr, scope: Scope, depth: int) -> Iterator[Type]:
        expr = self.parsed(annotation)
        if depth > DEEPEST or (isinstance(expr, ast.Constant) and expr.value is None):
            return
        if isinstance(expr, ast.BinOp) and isinstance(expr.op, ast.BitOr):
            yield from self._members(expr.left, scope, depth + 1)
            yield from self._members(expr.right, scope, depth + 1)
            return
        head = expr.value if isinstance(expr, ast.Subscript) else expr
        arguments = items(expr.slice) if isinstance(expr, ast.Subscript) else ()
        for ref in self.names.refs(head, scope):
            if isinstance(ref, Value):
                binding = ref.binding
                if isinstance(binding, Assigned) and binding.value is not None:  # an alias
                    yield from self._members(binding.value, binding.scope, depth + 1)
            elif isinstance(ref, (Outside, Here)):
                name = canonical(ref.name)
                if arguments and (name in OPTIONAL or name in WRAPPERS):
                    yield from self._members(arguments[0], scope, depth + 1)
                elif arguments and name == "typing.Union":
                    for one in arguments:
                        yield from self._members(one, scope, depth + 1)
                else:
                    yield self._type(ref, tuple(arguments), scope)

    def returned(self, function: Here) -> tuple[ast.expr, Scope] | None:
        """The return annotation of a function, be it in a type comment, and the scope that it is read in."""
        node = function.node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return None
        scope = function.module.scope_of[node]
        if node.returns is not None:
            return node.returns, scope
        if node.type_comment and "->" in node.type_comment:
            comment = ast.Constant(node.type_comment.rpartition("->")[2].strip())
            node.returns = ast.copy_location(comment, node)  # once: the tree is read by nobody else
            return node.returns, scope
        return None

    # --- values --------------------------------------------------------------------------------------------------

    def of(self, expr: ast.expr, scope: Scope) -> Type | None:
        """The type of an expression; None where it cannot be told."""
        if expr in self._known:
            return self._known[expr]
        if self._depth > DEEPEST:
            return None
        self._known[expr] = None
        self._depth += 1
        try:
            found = self._known[expr] = next(self._of(expr, scope), None)
        finally:
            self._depth -= 1
        return found

    def _of(self, expr: ast.expr, scope: Scope) -> Iterator[Type]:
        if isinstance(expr, ast.Name):
            yield from self._of_name(expr, scope)
        elif isinstance(expr, ast.Attribute):
            yield from self._of_attribute(expr, scope)
        elif isinstance(expr, ast.Call):
            yield from self._of_call(expr, scope)
        elif isinstance(expr, (ast.Await, ast.NamedExpr)):
            yield from self._some(expr.value, scope)
        elif isinstance(expr, ast.IfExp):
            yield from self._some(expr.body, scope)
            yield from self._some(expr.orelse, scope)
        elif isinstance(expr, ast.BoolOp):
            for one in expr.values:
                yield from self._some(one, scope)
        elif isinstance(expr, ast.Subscript):
            container = self.of(expr.value, scope)
            if container is not None:
                yield from self._item(container)

    def _some(self, expr: ast.expr, scope: Scope) -> Iterator[Type]:
        found = self.of(expr, scope)
        if found is not None:
            yield found

    def _of_name(self, expr: ast.Name, scope: Scope) -> Iterator[Type]:
        for ref in self.names.refs(expr, scope):
            if isinstance(ref, Outside) and ref.name.rpartition(".")[2] == "NOTICE":
                yield Type(NOTICE)
            elif isinstance(ref, Value):
                yield from self.of_binding(ref.binding)

    def of_binding(self, binding: object) -> Iterator[Type]:
        """The type of what a name is bound to."""
        if isinstance(binding, Assigned):
            if binding.annotation is not None:
                yield from self._stated(binding.annotation, binding.scope)
            elif binding.comment and not binding.unpacked:
                stated = expression(binding.comment)
                if stated is not None:
                    yield from self._stated(stated, binding.scope)
            if binding.value is not None and not binding.unpacked:
                yield from self._some(binding.value, binding.scope)
        elif isinstance(binding, Parameter):
            yield from self._of_parameter(binding)
        elif isinstance(binding, Entered):
            yield from self._entered(binding)
        elif isinstance(binding, Iterated) and not binding.unpacked:
            container = self.of(binding.iterable, binding.scope)
            if container is not None:
                yield from self._item(container)

    def _stated(self, annotation: ast.expr, scope: Scope) -> Iterator[Type]:
        found = self.of_annotation(annotation, scope)
        if found is not None:
            yield found

    def _of_parameter(self, binding: Parameter) -> Iterator[Type]:
        if binding.node.annotation is not None:
            yield from self._stated(binding.node.annotation, binding.scope)
        elif binding.node.type_comment:
            stated = expression(binding.node.type_comment)
            if stated is not None:
                yield from self._stated(stated, binding.scope)
        elif isinstance(binding.function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            cls = binding.scope.node
            decorators = {terminal(one) for one in binding.function.decorator_list}
            if binding.scope.kind == "class" and not binding.position and isinstance(cls, ast.ClassDef):
                if "staticmethod" not in decorators:
                    here = Here(binding.scope.module, cls)
                    yield Type(canonical(here.name), here)
            elif binding.position == (binding.scope.kind == "class") and "with_use" in decorators:
                yield Type(USE)

    def _entered(self, binding: Entered) -> Iterator[Type]:
        context = self.of(binding.context, binding.scope)
        if context is not None:
            name = ENTERED.get(context.name)
            if name is not None:
                yield Type(name)
            elif context.name.rpartition(".")[2] in CONTAINERS:  # `@contextmanager`
                yield from self._item(context)
            else:
                yield context

    def _item(self, container: Type) -> Iterator[Type]:
        """The type of what is in a container."""
        if container.scope is None or not container.arguments:
            return
        kind = container.name.rpartition(".")[2]
        if kind in CONTAINERS:
            yield from self._stated(container.arguments[0], container.scope)
        elif kind in MAPPINGS and len(container.arguments) > 1:
            yield from self._stated(container.arguments[1], container.scope)

    def _of_attribute(self, expr: ast.Attribute, scope: Scope) -> Iterator[Type]:
        for ref in self.names.refs(expr, scope):
            if isinstance(ref, Outside) and expr.attr == "NOTICE":
                yield Type(NOTICE)
            elif isinstance(ref, Value):
                yield from self.of_binding(ref.binding)
        owner = self.of(expr.value, scope)
        if owner is None:
            return
        name = ATTRIBUTES.get((owner.name, expr.attr))
        if name is not None:
            yield Type(name)
        elif owner.cls is not None:
            yield from self.attribute(owner.cls, expr.attr)

    def attribute(self, cls: Here, name: str) -> Iterator[Type]:
        """The type of an attribute of instances of a class."""
        for one in self.names.lineage(cls):
            for binding in one.scope.names.get(name, ()):
                if isinstance(binding, Assigned):
                    yield from self.of_binding(binding)
            for function in self.methods(one).get(name, ()):
                decorators = {terminal(each) for each in function.decorator_list}
                returned = self.returned(Here(one.module, function))
                if returned is not None and decorators & {"property", "cached_property"}:
                    yield from self._stated(*returned)
            for value, annotation, inside in self.on_self(one).get(name, ()):
                if annotation is not None:
                    yield from self._stated(annotation, inside)
                if value is not None:
                    yield from self._some(value, inside)

    def on_self(self, cls: Here) -> dict[str, list[tuple[ast.expr | None, ast.expr | None, Scope]]]:
        """What methods of a class assign to each attribute: the value, its annotation, and the scope of both."""
        if cls not in self._attributes:
            self._attributes[cls] = assigned_to_self(cls)
        return self._attributes[cls]

    def methods(self, cls: Here) -> dict[str, list[FunctionNode]]:
        """The functions in the body of a class, by their names."""
        if cls not in self._methods:
            self._methods[cls] = {}
            for one in methods(cls):
                self._methods[cls].setdefault(one.name, []).append(one)
        return self._methods[cls]

    def _of_call(self, expr: ast.Call, scope: Scope) -> Iterator[Type]:
        func = expr.func
        if isinstance(func, ast.Subscript):  # `Mailing[P](use)`
            func = func.value
        for ref in self.names.refs(func, scope):
            if isinstance(ref, Outside):
                yield from self._made_outside(ref.name, expr)
            elif isinstance(ref, Here) and ref.is_class:
                yield self._type(ref)
            elif isinstance(ref, Here):
                yield from self._returned_type(ref)
        if isinstance(func, ast.Attribute):
            yield from self._of_method(func, scope)

    def _type(self, ref: Outside | Here, arguments: tuple[ast.expr, ...] = (), scope: Scope | None = None) -> Type:
        """The type of instances of a class; of one that derives from a class of the library that one."""
        if isinstance(ref, Outside):
            return Type(canonical(ref.name), None, arguments, scope)
        name = next((one for one in (GUARD, USE) if one in self.names.bases(ref)), canonical(ref.name))
        return Type(name, ref, arguments, scope)

    def _made_outside(self, name: str, expr: ast.Call) -> Iterator[Type]:
        name = canonical(name)
        owner, _, method = name.rpartition(".")
        if name == "typing.cast" and expr.args:
            return
        given = METHODS.get((canonical(owner), method)) or MADE_BY.get(name)
        if given is not None:
            yield Type(given)
        elif method[:1].isupper():
            yield Type(name)

    def _of_method(self, func: ast.Attribute, scope: Scope) -> Iterator[Type]:
        owner = self.of(func.value, scope)
        if owner is None:
            return
        given = METHODS.get((owner.name, func.attr))
        if given is not None:
            yield Type(given)
        elif owner.cls is not None:
            for method in self.names.member(owner.cls, func.attr):
                if isinstance(method, Here) and not method.is_class:
                    yield from self._returned_type(method, owner)

    def _returned_type(self, function: Here, owner: Type | None = None) -> Iterator[Type]:
        returned = self.returned(function)
        if returned is not None:
            stated = self.of_annotation(*returned)
            if stated is not None and stated.name.endswith(".Self") and owner is not None:
                yield owner
            elif stated is not None:
                yield stated
            return
        # Without an annotation: what the only `return` gives.
        results = [one for one in within(function.node.body) if isinstance(one, ast.Return) and one.value is not None]
        if len(results) == 1 and results[0].value is not None:
            yield from self._some(results[0].value, function.scope)


CONTAINERS: Final = frozenset(
    {
        *("list", "set", "frozenset", "tuple", "deque", "List", "Set", "FrozenSet", "Tuple", "Deque", "Sequence"),
        *("Iterable", "Iterator", "Collection", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator"),
        *("MutableSequence", "MutableSet", "AbstractSet", "KeysView", "ValuesView", "Reversible"),
    }
)
MAPPINGS: Final = frozenset({"dict", "Dict", "Mapping", "MutableMapping", "defaultdict", "DefaultDict", "OrderedDict"})


def expression(text: str) -> ast.expr | None:
    """The tree of an annotation in a text or a comment; None where it is none."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def items(index: ast.expr) -> tuple[ast.expr, ...]:
    """What stands in the brackets of an annotation."""
    return tuple(index.elts) if isinstance(index, ast.Tuple) else (index,)


def methods(cls: Here) -> list[FunctionNode]:
    """The functions in the body of a class."""
    return [one for one in within(cls.node.body) if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]


def assigned_to_self(cls: Here) -> dict[str, list[tuple[ast.expr | None, ast.expr | None, Scope]]]:
    """What methods of a class assign to each attribute: the value, its annotation, and the scope of both."""
    found: dict[str, list[tuple[ast.expr | None, ast.expr | None, Scope]]] = {}
    for function in methods(cls):
        inside = cls.module.inside[function]
        for node in within(function.body):
            if isinstance(node, ast.Assign):
                targets, annotation = node.targets, None
            elif isinstance(node, ast.AnnAssign):
                targets, annotation = [node.target], node.annotation
            else:
                continue
            for target in targets:
                if isinstance(target, ast.Attribute) and terminal(target.value) in ("self", "cls"):
                    found.setdefault(target.attr, []).append((node.value, annotation, inside))
    return found
