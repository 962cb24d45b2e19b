"""What a name stands for: a class or function of a file that is looked at, or something outside, by its dotted name.

Followed are imports (also conditional, relative and starred ones), aliases, and attributes of modules and classes.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from purposeguard.linting.project import Module, Project
from purposeguard.linting.scopes import Assigned, Binding, Defined, FunctionNode, Imported, Scope

DEEPEST: Final = 40
"""How many names may stand for each other in a row."""

LIBRARY: Final = "purposeguard"
PARTS: Final = frozenset({"adapters", "governance", "notices", "testing", "linting", "tools"})
"""Packages of the library whose names are not among those that `import purposeguard` brings."""

PYDANTIC: Final = frozenset({"v1", "main", "networks", "types", "fields"})
"""Modules of pydantic whose names are known as its own."""

PUBLIC: Final = frozenset(
    {
        *(
            "RowContext",
            "Collected",
            "Decision",
            "Ended",
            "ByRow",
            "Family",
            "Guard",
            "History",
            "Label",
            "NotPersonal",
        ),
        *("Notice", "Personal", "PersonalModel", "Purpose", "RowSource", "Source", "Subject", "Use", "derive"),
        *("encode_sealed", "decode_sealed", "sources_of", "tag", "untagged", "PurposeViolation", "PurposeGuardError"),
    }
)
"""What `from purposeguard import *` brings, as far as rules ask for it."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Something that is not in the files that are looked at."""

    name: str


@dataclass(frozen=True, slots=True)
class Here:
    """A class or function in one of them."""

    module: Module
    node: ast.ClassDef | FunctionNode

    @property
    def is_class(self) -> bool:
        """Whether it is a class."""
        return isinstance(self.node, ast.ClassDef)

    @property
    def name(self) -> str:
        """Its dotted name."""
        return f"{self.module.name}.{self.module.qualname(self.node)}"

    @property
    def scope(self) -> Scope:
        """The scope inside it."""
        return self.module.inside[self.node]


@dataclass(frozen=True, slots=True)
class Whole:
    """A module among them."""

    module: Module


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """What a name is bound to by an assignment, a parameter, a loop, …; `name` where it is one of a module."""

    binding: Binding
    name: str = ""


Ref = Outside | Here | Whole | Value


def canonical(name: str) -> str:
    """The name by which rules know something: what a library exports is called as its users call it."""
    parts = name.split(".")
    if parts[0] == "pydantic" and len(parts) > 2:
        parts = [one for at, one in enumerate(parts) if one not in PYDANTIC or at == len(parts) - 1]
        return ".".join(parts)
    if parts[0] == LIBRARY and len(parts) > 2 and parts[1] not in PARTS:
        public = next((at for at, one in enumerate(parts) if one[:1].isupper()), len(parts) - 1)
        return ".".join([LIBRARY, *parts[public:]])
    return name


class Names:
    """Follows names through the modules of a project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._known: dict[ast.AST, tuple[Ref, ...]] = {}
        self._members: dict[tuple[Module, str], tuple[Ref, ...]] = {}
        self._bases: dict[Here, frozenset[str]] = {}
        self._depth = 0

    def refs(self, expr: ast.expr, scope: Scope) -> tuple[Ref, ...]:
        """What a name, or a dotted name, may stand for; nothing where it cannot be told."""
        known = self._known.get(expr)
        if known is not None:
            return known
        if self._depth > DEEPEST:
            return ()
        self._known[expr] = ()  # a name that stands for itself stands for nothing
        self._depth += 1
        try:
            found = self._known[expr] = tuple(dict.fromkeys(self._refs(expr, scope)))
        finally:
            self._depth -= 1
        return found

    def names(self, expr: ast.expr, scope: Scope) -> frozenset[str]:
        """The dotted names of what it may stand for."""
        return frozenset(canonical(one.name) for one in self.refs(expr, scope) if isinstance(one, (Outside, Here)))

    def classes(self, expr: ast.expr, scope: Scope) -> list[Here]:
        """The classes among what it may stand for."""
        return [one for one in self.refs(expr, scope) if isinstance(one, Here) and one.is_class]

    def functions(self, expr: ast.expr, scope: Scope) -> list[Here]:
        """The functions among what it may stand for."""
        return [one for one in self.refs(expr, scope) if isinstance(one, Here) and not one.is_class]

    def _refs(self, expr: ast.expr, scope: Scope) -> Iterator[Ref]:
        if isinstance(expr, ast.Name):
            bindings = [one for one in scope.bindings(expr.id) if not (isinstance(one, Assigned) and one.value is expr)]
            if not bindings and scope.kind == "class" and scope.parent is not None:
                bindings = scope.parent.bindings(expr.id)  # `guard = guard` in a class is that around it
            for binding in bindings:
                yield from self._bound(binding, scope.module)
            if not bindings:
                yield from self._free(expr.id, scope)
        elif isinstance(expr, ast.Attribute):
            for base in self.refs(expr.value, scope):
                yield from self.member(base, expr.attr)

    def _bound(self, binding: Binding, importer: Module) -> Iterator[Ref]:
        if isinstance(binding, Imported):
            yield from self._imported(binding, importer)
        elif isinstance(binding, Defined):
            yield Here(binding.scope.module, binding.node)
        elif isinstance(binding, Assigned) and not binding.unpacked:
            value = binding.value
            aliased = self.refs(value, binding.scope) if isinstance(value, (ast.Name, ast.Attribute)) else ()
            firm: list[Ref] = [one for one in aliased if not isinstance(one, Value)]
            yield from firm or [Value(binding)]
        else:
            yield Value(binding)

    def _imported(self, binding: Imported, importer: Module) -> Iterator[Ref]:
        if binding.name is None:
            module = self.project.find(binding.module, importer)
            yield Outside(binding.module) if module is None else Whole(module)
            return
        yield from self._of_module(binding.module, binding.name, importer)

    def _of_module(self, origin: str, name: str, importer: Module) -> Iterator[Ref]:
        module = self.project.find(origin, importer)
        found = list(self.of(module, name)) if module is not None and module is not importer else []
        if not found:
            below = self.project.find(f"{origin}.{name}" if origin else name, importer)
            found = [Outside(f"{origin}.{name}") if below is None else Whole(below)]
            if module is not None and below is None:
                found = []  # it ought to be there, and is not: made in a way that cannot be followed
        yield from found

    def of(self, module: Module, name: str) -> tuple[Ref, ...]:
        """What a module has under a name."""
        key = (module, name)
        known = self._members.get(key)
        if known is None:
            self._members[key] = ()  # while it is looked for: modules that take their names from each other have none
            known = self._members[key] = tuple(self._of(module, name))
        return known

    def _of(self, module: Module, name: str) -> Iterator[Ref]:
        bindings = module.scope.names.get(name, [])
        for binding in bindings:
            for ref in self._bound(binding, module):
                made_here = isinstance(ref, Value) and ref.binding is binding
                yield Value(binding, f"{module.name}.{name}") if made_here else ref
        if not bindings:
            yield from self._starred(module, name)

    def _starred(self, module: Module, name: str) -> Iterator[Ref]:
        if name.startswith("_"):
            return
        for origin in module.scope.stars:
            other = self.project.find(origin, module)
            if other is not None:
                yield from self.of(other, name)
            elif (origin == LIBRARY and name in PUBLIC) or (
                origin.startswith(f"{LIBRARY}.notices.") and name[0].isupper() and not hasattr(builtins, name)
            ):
                yield Outside(f"{origin}.{name}")

    def _free(self, name: str, scope: Scope) -> Iterator[Ref]:
        """A name that nothing in the module binds."""
        found = self.of(scope.module, name) if scope.module.scope.stars else ()
        if found:
            yield from found
        elif hasattr(builtins, name):
            yield Outside(f"builtins.{name}")

    def member(self, base: Ref, name: str) -> Iterator[Ref]:
        """What something has under a name, as far as that is not a matter of its type."""
        if isinstance(base, Outside):
            yield Outside(f"{base.name}.{name}")
        elif isinstance(base, Whole):
            found = list(self.of(base.module, name))
            below = None if found else self.project.find(f"{base.module.name}.{name}", base.module)
            yield from [Whole(below)] if below is not None else found
        elif isinstance(base, Here) and base.is_class:
            for cls in self.lineage(base):
                bindings = cls.scope.names.get(name)
                if bindings:
                    for binding in bindings:
                        yield from self._bound(binding, cls.module)
                    return

    def lineage(self, cls: Here) -> list[Here]:
        """A class and the classes here that it derives from, the nearest first."""
        found: dict[Here, None] = {}
        pending = [cls]
        while pending:
            one = pending.pop(0)
            if one in found or not isinstance(one.node, ast.ClassDef):
                continue
            found[one] = None
            for base in one.node.bases:
                pending += self.classes(without_arguments(base), one.module.scope_of[one.node])
        return list(found)

    def bases(self, cls: Here) -> frozenset[str]:
        """The dotted names of all that a class derives from, itself included; `?` for what cannot be followed."""
        known = self._bases.get(cls)
        if known is not None:
            return known
        found: set[str] = set()
        for one in self.lineage(cls):
            found.add(canonical(one.name))
            scope = one.module.scope_of[one.node]
            for base in getattr(one.node, "bases", ()):
                plain = without_arguments(base)
                refs = self.refs(plain, scope)
                found |= {canonical(ref.name) for ref in refs if isinstance(ref, Outside)}
                if not any(isinstance(ref, (Outside, Here)) for ref in refs):
                    found.add(f"?{terminal(plain)}")
        self._bases[cls] = frozenset(found)
        return self._bases[cls]


def without_arguments(expr: ast.expr) -> ast.expr:
    """`Model` of `Model[T]`."""
    while isinstance(expr, ast.Subscript):
        expr = expr.value
    return expr


def terminal(expr: ast.expr) -> str:
    """The last name of a dotted one, of a call of it or of an item of it; empty where there is none."""
    while isinstance(expr, (ast.Call, ast.Subscript, ast.Await)):
        expr = expr.func if isinstance(expr, ast.Call) else expr.value
    if isinstance(expr, ast.Attribute):
        return expr.attr
    return expr.id if isinstance(expr, ast.Name) else ""


def dotted(expr: ast.expr) -> str:
    """An expression in the words of a message."""
    parts: list[str] = []
    while isinstance(expr, ast.Attribute):
        parts.append(expr.attr)
        expr = expr.value
    if isinstance(expr, ast.Name):
        parts.append(expr.id)
    elif isinstance(expr, ast.Call):
        parts.append(f"{terminal(expr)}(…)")
    return ".".join(reversed(parts))


def called(refs: Iterable[Ref]) -> frozenset[str]:
    """The dotted names of what is not here."""
    return frozenset(canonical(one.name) for one in refs if isinstance(one, Outside))
