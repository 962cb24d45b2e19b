"""Models in the text of a program: their fields, and what annotations say of tags."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from purposeguard.cli.lint.code import (
    DEEPEST,
    LIBRARY,
    NOTICE,
    PERSONAL,
    Code,
    Scope,
    Thing,
    items,
    last,
)
from purposeguard.cli.lint.lexicon import words_set

SOURCE: Final = "purposeguard.Source"
SUBJECT: Final = "purposeguard.Subject"
TAGGING: Final = frozenset({"purposeguard.NotPersonal", "purposeguard.ByRow", "purposeguard.RowSource"})
"""Marks that tag a field."""

MARKS: Final = frozenset({SUBJECT, "purposeguard.Collected", "purposeguard.Ended"})
UNTAGGED_LIBRARIES: Final = words_set(
    "abc annotated_doc annotated_types attr attrs builtins collections dataclasses datetime decimal enum "
    "fastapi ipaddress msgspec numbers pathlib phonenumbers pydantic pydantic_core pydantic_extra_types re sqlalchemy "
    "sqlmodel starlette strawberry typer types typing uuid"
)
"""Libraries whose names in an annotation are no tags."""

WITHOUT_VALUES: Final = frozenset({"typing.Callable", "collections.abc.Callable", "builtins.type", "typing.Type"})

KIND_OF_BASE: Final = {
    **dict.fromkeys(("enum.Enum", "enum.StrEnum", "enum.IntEnum", "enum.Flag", "enum.IntFlag"), "enum"),
    **dict.fromkeys(("pydantic_settings.BaseSettings", "pydantic.BaseSettings"), "settings"),
    **dict.fromkeys(("pydantic.BaseModel", "pydantic.RootModel", "pydantic.generics.GenericModel"), "pydantic"),
    **dict.fromkeys(("sqlmodel.SQLModel", "purposeguard.PersonalModel"), "pydantic"),
    "typing.TypedDict": "typeddict",
    "typing.NamedTuple": "namedtuple",
    **dict.fromkeys(("sqlalchemy.orm.DeclarativeBase", "sqlalchemy.orm.MappedAsDataclass"), "sqlalchemy"),
}
KIND_OF_DECORATOR: Final = {
    **dict.fromkeys(("dataclasses.dataclass", "pydantic.dataclasses.dataclass"), "dataclass"),
    **dict.fromkeys((f"attr.{name}" for name in ("s", "attrs", "attributes", "define", "frozen", "mutable")), "attrs"),
    **dict.fromkeys((f"attrs.{name}" for name in ("define", "frozen", "mutable")), "attrs"),
}


@dataclass(slots=True)
class Held:
    """What a value of an annotation holds."""

    tagged: bool = False
    sealed: bool = False
    subject: bool = False
    marked: bool = False
    unknown: bool = False
    """True if a name in it cannot be followed: it may be tagged, or anything."""
    leaves: set[str] = field(default_factory=set)
    """The dotted names of the types of plain values in it."""
    classes: list[ast.ClassDef] = field(default_factory=list)

    @property
    def bears(self) -> bool:
        """True if it contains something tagged or sealed."""
        return self.tagged or self.sealed

    def add(self, other: Held) -> None:
        """Adds the flags of another one."""
        for name in ("tagged", "sealed", "subject", "marked"):
            setattr(self, name, getattr(self, name) or getattr(other, name))

    def include(self, other: Held) -> None:
        """Adds all of another one."""
        self.add(other)
        self.unknown |= other.unknown
        self.leaves |= other.leaves
        self.classes += other.classes


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a model; `annotation` is None if it has none."""

    name: str
    node: ast.AST
    scope: Scope
    annotation: ast.expr | None
    value: ast.expr | None = None


class Models:
    """Reads the annotations and models of the linted files."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self._held: dict[ast.AST, Held] = {}
        self._of_class: dict[ast.ClassDef, Held] = {}
        self._kinds: dict[ast.ClassDef, str | None] = {}

    # --- annotations ---------------------------------------------------------------------------------------------

    def held(self, annotation: ast.expr | None, scope: Scope) -> Held:
        """What a value of this annotation holds; classes are listed, not entered."""
        if annotation is None:
            return Held()
        if annotation not in self._held:
            self._held[annotation] = Held()  # an alias of itself holds nothing more
            self._hold(self.code.parsed(annotation), scope, self._held[annotation])
        return self._held[annotation]

    def deeply(self, annotation: ast.expr | None, scope: Scope) -> Held:
        """What a value of this annotation holds, with the fields of its classes."""
        shallow = self.held(annotation, scope)
        held = Held()
        held.include(shallow)
        for cls in shallow.classes:
            held.add(self.of_class(cls))
        return held

    def of_class(self, cls: ast.ClassDef) -> Held:
        """What an instance of a class holds, nested fields included."""
        if cls not in self._of_class:
            held = self._of_class[cls] = Held()
            for base in self.code.lineage(cls):
                for each in self.fields(base):
                    held.add(self.deeply(each.annotation, each.scope))
                    held.tagged |= self.says_in_info(each.value)
        return self._of_class[cls]

    def _hold(self, expr: ast.expr, scope: Scope, held: Held) -> None:
        parts: list[ast.expr] = []
        match expr:
            case ast.Constant():
                held.unknown |= expr.value is not None and expr.value is not Ellipsis
            case ast.BinOp():
                parts = [expr.left, expr.right]
            case ast.List() | ast.Tuple():
                parts = expr.elts
            case ast.Subscript():
                parts = self._hold_subscript(expr, scope, held)
            case ast.Name() | ast.Attribute():
                self._hold_name(expr, scope, held)
            case ast.Call() if self.code.name(expr.func, scope) == "pydantic.constr":
                held.leaves.add("builtins.str")
            case _:
                held.unknown = True
        for part in parts:
            held.include(self.held(part, scope))

    def _hold_subscript(self, expr: ast.Subscript, scope: Scope, held: Held) -> list[ast.expr]:
        """The arguments that hold values."""
        name = self.code.name(expr.value, scope)
        arguments = list(items(expr.slice))
        if name == "typing.Annotated":
            for argument in arguments[1:]:
                self._metadata(argument, scope, held, 0)
            return arguments[:1]
        if name == PERSONAL:
            held.sealed = True
            return []
        if name == "typing.Literal" or name in WITHOUT_VALUES:
            held.leaves.add("typing.Callable" if name in WITHOUT_VALUES else name)
            return []
        thing = self.code.of(expr.value, scope)
        held.unknown |= thing is None
        # `Page` of `Page[Customer]`; for a class outside the linted files only the brackets count.
        return arguments if thing is None or thing.cls is None else [expr.value, *arguments]

    def _hold_name(self, expr: ast.expr, scope: Scope, held: Held) -> None:
        alias = self.code.assigned(expr, scope)
        if alias is not None and alias.value is not None:
            value = alias.value
            if isinstance(value, ast.Call) and last(value) in ("NewType", "TypeAliasType") and len(value.args) == 2:
                value = value.args[1]
            if isinstance(value, ast.expr):
                held.include(self.held(value, alias.scope))
            return
        thing = self.code.of(expr, scope)
        if thing is None or thing.instance or thing.function is not None:
            held.unknown = True
        elif thing.name == PERSONAL:
            held.sealed = True
        elif thing.cls is not None:
            held.classes.append(thing.cls)
        elif thing.name.partition(".")[0] in UNTAGGED_LIBRARIES:
            held.leaves.add(thing.name)
        else:
            held.unknown = True

    def _metadata(self, expr: ast.expr, scope: Scope, held: Held, depth: int) -> None:
        """The metadata in `Annotated`: a tag, a mark, or something else."""
        alias = self.code.assigned(expr, scope) if isinstance(expr, (ast.Name, ast.Attribute)) else None
        if alias is not None and isinstance(alias.value, ast.expr) and depth < DEEPEST:
            self._metadata(alias.value, alias.scope, held, depth + 1)
            return
        thing = self.code.of(expr.func if isinstance(expr, ast.Call) else expr, scope)
        if isinstance(expr, ast.Constant):
            return
        if thing is not None and thing.name in MARKS:
            held.marked = True
            held.subject |= thing.name == SUBJECT
        elif thing is not None and (thing.name == f"{NOTICE}.source" or thing.name in TAGGING or self.is_source(thing)):
            held.tagged = True
        elif thing is None or thing.name.partition(".")[0] not in UNTAGGED_LIBRARIES:
            held.unknown = True

    def is_source(self, thing: Thing) -> bool:
        """True for a source class, of a bundled notice or of a linted module."""
        if thing.cls is not None:
            return SOURCE in self.code.bases(thing.cls)
        return thing.name.startswith(f"{LIBRARY}.notices.") and thing.name.rpartition(".")[2][:1].isupper()

    # --- models --------------------------------------------------------------------------------------------------

    def kind(self, cls: ast.ClassDef) -> str | None:
        """The kind of model that a class is; None if it is no model, or unknown."""
        if cls not in self._kinds:
            self._kinds[cls] = self._kind(cls)
        return self._kinds[cls]

    def _kind(self, cls: ast.ClassDef) -> str | None:
        scope = self.code.module_of(cls).scope_of[cls]
        for decorator in cls.decorator_list:
            plain = decorator.func if isinstance(decorator, ast.Call) else decorator
            kind = KIND_OF_DECORATOR.get(self.code.name(plain, scope))
            if kind is not None:
                return kind
        bases = self.code.bases(cls)
        for name, kind in KIND_OF_BASE.items():
            if name in bases:
                return kind
        # Bases that cannot be followed, or are of a library that is not known, are judged by what they are called.
        foreign = [
            last(expr)
            for ancestor in self.code.lineage(cls)
            for expr in ancestor.bases
            if not isinstance(expr, ast.Subscript)
            if (base := self.code.of(expr, self.code.module_of(ancestor).scope_of[ancestor])) is None
            or (base.node is None and base.name.partition(".")[0] not in UNTAGGED_LIBRARIES | {LIBRARY})
            or last(expr) == "Base"
        ]
        called = [name for name in foreign if name.endswith(("BaseModel", "Model", "Base", "Schema"))]
        return "perhaps" if called and not (bases & {"typing.Protocol"}) else None

    def fields(self, cls: ast.ClassDef) -> list[Field]:
        """The fields in the body of a class."""
        kind = self.kind(cls)
        if kind in (None, "enum"):
            return []
        return [
            statement
            for statement in self._in_body(cls.body, cls)
            if not statement.name.startswith("__") and not (statement.name.startswith("_") and kind == "pydantic")
        ]

    def _in_body(self, body: list[ast.stmt], cls: ast.ClassDef) -> Iterator[Field]:
        scope = self.code.module_of(cls).inside[cls]
        for node in body:
            match node:
                case ast.AnnAssign(target=ast.Name(id=name)):
                    annotation = self.code.parsed(node.annotation)
                    if last(annotation) != "ClassVar" and last(node.value or node.target) != "PrivateAttr":
                        yield Field(name, node, scope, node.annotation, node.value)
                case ast.Assign(targets=[ast.Name(id=name), *_], value=ast.Call() as value):
                    if last(value.func) in ("Column", "mapped_column"):
                        yield Field(name, node, scope, None, value)
                    elif last(value.func) in ("ib", "attrib", "field") and self.kind(cls) == "attrs":
                        yield Field(name, node, scope, _keyword(value, "type"), value)
                case ast.If():
                    yield from self._in_body([*node.body, *node.orelse], cls)
                case _:
                    pass

    def says_in_info(self, value: ast.expr | None) -> bool:
        """True if an SQLAlchemy column has tags in its `info`, or may have."""
        info = _keyword(value, "info") if isinstance(value, ast.Call) else None
        if isinstance(info, ast.Dict):
            return any(isinstance(key, ast.Constant) and key.value == LIBRARY for key in info.keys)
        return info is not None

    # --- what is said elsewhere ----------------------------------------------------------------------------------

    @cached_property
    def covered(self) -> frozenset[ast.ClassDef]:
        """Classes that are sealed or tagged as a whole: `Personal[Address, tm.Registration]`."""
        classes: set[ast.ClassDef] = set()
        for module in self.code.modules:
            for node in module.all(ast.Subscript):
                scope = module.scope_of[node]
                if last(node.value) in ("Personal", "Annotated") and self.held(node, scope).bears:
                    pending = list(self.held(items(node.slice)[0], scope).classes)
                    while pending:
                        cls = pending.pop()
                        if cls not in classes:
                            classes.add(cls)
                            for field in self.fields(cls):
                                pending += self.held(field.annotation, field.scope).classes
        return frozenset(classes)

    @cached_property
    def tagged_elsewhere(self) -> dict[ast.ClassDef, set[str]]:
        """Class → its fields that `pg.tag` tags; with `**`, all of them."""
        names_of: dict[ast.ClassDef, set[str]] = {}
        for module in self.code.modules:
            for call in module.all(ast.Call):
                scope = module.scope_of[call]
                if last(call) == "tag" and call.args and self.code.name(call.func, scope) == "purposeguard.tag":
                    thing = self.code.of(call.args[0], scope)
                    if thing is not None and thing.cls is not None:
                        names = [[keyword.arg] if keyword.arg else self._names(thing.cls) for keyword in call.keywords]
                        names_of.setdefault(thing.cls, set()).update(name for each in names for name in each)
        return names_of

    def _names(self, cls: ast.ClassDef) -> list[str]:
        return [field.name for field in self.fields(cls)]

    @cached_property
    def tables_told(self) -> bool:
        """True if the SQLAlchemy adapter's `protect` is passed tags of tables: it refuses untagged columns itself."""
        return any(
            last(call) == "protect"
            and any(keyword.arg in ("tags", "not_personal", None) for keyword in call.keywords)
            and self.code.name(call.func, module.scope_of[call]) == f"{LIBRARY}.adapters.sqlalchemy.protect"
            for module in self.code.modules
            for call in module.all(ast.Call)
        )


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
