"""What annotations say of tags, by the text alone: what cannot be followed is unknown."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from purposeguard.linting.names import DEEPEST, LIBRARY, Here, Outside, Ref, Value, canonical, terminal
from purposeguard.linting.scopes import Assigned, Scope
from purposeguard.linting.values import NOTICE, PERSONAL, Values, items

ANNOTATED: Final = frozenset({"typing.Annotated", "typing_extensions.Annotated"})
SOURCE: Final = "purposeguard.Source"
SUBJECT: Final = "purposeguard.Subject"
COUNTED_AS_TAGS: Final = frozenset({"purposeguard.NotPersonal", "purposeguard.ByRow", "purposeguard.RowSource"})
"""Marks by which a field says of whom it is, or that it is nobody's."""

MARKS: Final = frozenset({SUBJECT, "purposeguard.Collected", "purposeguard.Ended"})
UNTAGGED_LIBRARIES: Final = frozenset(
    {
        *("annotated_types", "attr", "attrs", "builtins", "collections", "dataclasses", "datetime", "decimal", "enum"),
        *("fastapi", "msgspec", "pydantic", "pydantic_core", "pydantic_extra_types", "re", "sqlalchemy", "sqlmodel"),
        *(
            "strawberry",
            "typer",
            "typing",
            "typing_extensions",
            "uuid",
            "ipaddress",
            "pathlib",
            "starlette",
            "annotated_doc",
        ),
    }
)
"""Libraries whose names in an annotation are known to be no tags."""


@dataclass(slots=True)
class Held:
    """What a value of an annotation holds."""

    tagged: bool = False
    sealed: bool = False
    subject: bool = False
    marked: bool = False
    unknown: bool = False
    """Whether there is a name in it that cannot be followed: it may be tagged, or anything."""
    leaves: set[str] = field(default_factory=set)
    """The dotted names of the types of plain values in it."""
    classes: list[Here] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a model; `annotation` is None where nothing is stated."""

    name: str
    node: ast.AST
    scope: Scope
    annotation: ast.expr | None
    value: ast.expr | None = None


class Tags:
    """Reads annotations and models."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.names = values.names
        self._kinds: dict[Here, str | None] = {}
        self._held: dict[ast.AST, Held] = {}
        self._summary: dict[Here, Held] = {}
        self._sealed_names: frozenset[str] | None = None
        self._covered: frozenset[Here] | None = None

    @property
    def sealed_names(self) -> frozenset[str]:
        """What sealed fields are called, wherever a field is called so."""
        if self._sealed_names is None:
            sealed: dict[str, bool] = {}
            for module in self.names.project.modules:
                for node in module.all(ast.ClassDef):
                    for one in self.fields(Here(module, node)):
                        is_sealed = one.annotation is not None and self.held(one.annotation, one.scope).sealed
                        sealed[one.name] = sealed.get(one.name, True) and is_sealed
            self._sealed_names = frozenset(name for name, always in sealed.items() if always)
        return self._sealed_names

    @property
    def covered(self) -> frozenset[Here]:
        """The classes that are sealed, or tagged, as a whole somewhere: `Personal[Address, tm.Registration]`."""
        if self._covered is None:
            found: set[Here] = set()
            for module in self.names.project.modules:
                for node in module.all(ast.Subscript):
                    found.update(self._covered_by(node, module.scope_of[node]))
            self._covered = frozenset(found)
        return self._covered

    def _covered_by(self, node: ast.Subscript, scope: Scope) -> Iterator[Here]:
        names = self.names.names(node.value, scope)
        if PERSONAL in names or (names & ANNOTATED and self.held(node, scope).tagged):
            pending = list(self.held(items(node.slice)[0], scope).classes)
            seen: set[Here] = set()
            while pending:
                cls = pending.pop()
                if cls not in seen:
                    seen.add(cls)
                    yield cls
                    pending += self.of_class(cls).classes

    # --- annotations ---------------------------------------------------------------------------------------------

    def held(self, annotation: ast.expr, scope: Scope) -> Held:
        """What a value of this annotation holds; classes are named and not entered."""
        known = self._held.get(annotation)
        if known is None:
            known = self._held[annotation] = Held()
            self._hold(annotation, scope, known, 0)
        return known

    def _hold(self, annotation: ast.expr, scope: Scope, held: Held, depth: int) -> None:
        expr = self.values.parsed(annotation)
        if depth > DEEPEST:
            held.unknown = True
        elif isinstance(expr, ast.Constant):
            held.unknown = held.unknown or (expr.value is not None and expr.value is not Ellipsis)
        elif isinstance(expr, ast.BinOp):
            self._hold(expr.left, scope, held, depth + 1)
            self._hold(expr.right, scope, held, depth + 1)
        elif isinstance(expr, ast.Subscript):
            self._hold_with_arguments(expr, scope, held, depth)
        elif isinstance(expr, (ast.Name, ast.Attribute)):
            self._hold_name(expr, scope, held, depth)
        elif isinstance(expr, (ast.List, ast.Tuple)):
            for one in expr.elts:
                self._hold(one, scope, held, depth + 1)
        elif isinstance(expr, ast.Call) and self.names.names(expr.func, scope) & CONSTRAINED:
            held.leaves.add("builtins.str")
        else:
            held.unknown = True

    def _hold_with_arguments(self, expr: ast.Subscript, scope: Scope, held: Held, depth: int) -> None:
        names = self.names.names(expr.value, scope)
        arguments = items(expr.slice)
        if names & ANNOTATED:
            for one in arguments[1:]:
                self._metadata(one, scope, held)
            self._hold(arguments[0], scope, held, depth + 1)
        elif PERSONAL in names:
            held.sealed = True
        elif names & LITERALS:
            held.leaves.add("typing.Literal")
        elif names & NO_VALUES:
            held.leaves.add("typing.Callable")
        else:
            self._hold_generic(expr.value, names, scope, held, depth)
            for one in arguments:
                self._hold(one, scope, held, depth + 1)

    def _hold_generic(self, head: ast.expr, names: frozenset[str], scope: Scope, held: Held, depth: int) -> None:
        """`Page` of `Page[Customer]`; of what is outside only what is in the brackets counts."""
        if not names:
            held.unknown = True
        for ref in self.names.refs(head, scope):
            if isinstance(ref, (Here, Value)):
                self._hold_ref(ref, held, depth)

    def _hold_name(self, expr: ast.expr, scope: Scope, held: Held, depth: int) -> None:
        refs = self.names.refs(expr, scope)
        if not refs:
            held.unknown = True
        for ref in refs:
            self._hold_ref(ref, held, depth)

    def _hold_ref(self, ref: Ref, held: Held, depth: int) -> None:
        if isinstance(ref, Outside):
            name = canonical(ref.name)
            if name == PERSONAL:
                held.sealed = True
            elif name.partition(".")[0] in KNOWN_LEAVES:
                held.leaves.add(name)
            else:
                held.unknown = True
        elif isinstance(ref, Here) and ref.is_class:
            if canonical(ref.name) == PERSONAL:
                held.sealed = True
            else:
                held.classes.append(ref)
        elif isinstance(ref, Value) and isinstance(ref.binding, Assigned) and ref.binding.value is not None:
            self._hold_alias(ref.binding.value, ref.binding.scope, held, depth)
        else:
            held.unknown = True

    def _hold_alias(self, value: ast.expr, scope: Scope, held: Held, depth: int) -> None:
        """What an alias stands for; of a `NewType` and a `TypeVar` that which it is made of."""
        if isinstance(value, ast.Call):
            made = terminal(value)
            if made in ("NewType", "TypeAliasType") and len(value.args) == 2:
                self._hold(value.args[1], scope, held, depth + 1)
            elif made == "constr":
                held.leaves.add("builtins.str")
            else:
                held.unknown = True
        else:
            self._hold(value, scope, held, depth + 1)

    def _metadata(self, expr: ast.expr, scope: Scope, held: Held) -> None:
        """What stands behind the type in `Annotated`: a tag, a mark, or something else."""
        if isinstance(expr, ast.Call):
            names = self.names.names(expr.func, scope)
            if SUBJECT in names:
                held.subject = held.marked = True
            elif isinstance(expr.func, ast.Attribute) and expr.func.attr == "source":
                owner = self.values.of(expr.func.value, scope)
                held.tagged = held.tagged or owner is None or owner.name == NOTICE
            elif not any(self._is_no_tag(name) for name in names) and not terminal(expr.func)[:1].isupper():
                held.unknown = True
            return
        if isinstance(expr, ast.Starred):
            held.unknown = True
            return
        if not isinstance(expr, (ast.Name, ast.Attribute)):
            return
        refs = self.names.refs(expr, scope)
        if not refs:
            held.unknown = True
        for ref in refs:
            self._metadata_ref(ref, held)

    def _metadata_ref(self, ref: Ref, held: Held) -> None:
        if isinstance(ref, Outside) or (isinstance(ref, Here) and ref.is_class):
            name = canonical(ref.name)
            if name in MARKS:
                held.marked = True
                held.subject = held.subject or name == SUBJECT
            elif name in COUNTED_AS_TAGS or self.is_source(ref):
                held.tagged = True
            elif isinstance(ref, Outside) and not self._is_no_tag(name):
                held.unknown = True
        elif isinstance(ref, Value) and canonical(ref.name) in MARKS | COUNTED_AS_TAGS:  # in the library's own files
            self._metadata_ref(Outside(ref.name), held)
        elif isinstance(ref, Value) and isinstance(ref.binding, Assigned) and ref.binding.value is not None:
            value, scope = ref.binding.value, ref.binding.scope
            if isinstance(value, (ast.Call, ast.Name, ast.Attribute)):
                self._metadata(value, scope, held)
            elif isinstance(value, (ast.Subscript, ast.BinOp)):
                held.unknown = True
        else:
            held.unknown = True

    def is_source(self, ref: Ref) -> bool:
        """Whether something is a source class: of a notice that comes with the library, or of a module here."""
        if isinstance(ref, Outside):
            return ref.name.startswith(f"{LIBRARY}.notices.") and ref.name.rpartition(".")[2][:1].isupper()
        return isinstance(ref, Here) and ref.is_class and SOURCE in self.names.bases(ref)

    def _is_no_tag(self, name: str) -> bool:
        return name.partition(".")[0] in UNTAGGED_LIBRARIES

    # --- models --------------------------------------------------------------------------------------------------

    def kind(self, cls: Here) -> str | None:
        """Which sort of model a class is; None where it is none, and where that cannot be told."""
        if cls not in self._kinds:
            self._kinds[cls] = self._kind(cls)
        return self._kinds[cls]

    def _kind(self, cls: Here) -> str | None:
        scope = cls.module.scope_of[cls.node]
        for decorator in getattr(cls.node, "decorator_list", ()):
            plain = decorator.func if isinstance(decorator, ast.Call) else decorator
            for name in self.names.names(plain, scope) or {terminal(plain)}:
                if name in DATACLASSES:
                    return DATACLASSES[name]
        bases = self.names.bases(cls)
        for name, kind in BASES.items():
            if name in bases:
                return kind
        # Bases that cannot be followed, or are of a library that is not known, are judged by what they are called.
        own = {canonical(one.name) for one in self.names.lineage(cls)}
        foreign = [one for one in bases - own if one.partition(".")[0] not in UNTAGGED_LIBRARIES | {LIBRARY, "abc"}]
        return "perhaps" if any(one.endswith(("BaseModel", "Model", "Base", "Schema")) for one in foreign) else None

    def fields(self, cls: Here) -> list[Field]:
        """The fields that stand in the body of a class."""
        kind = self.kind(cls)
        if kind is None or kind == "enum" or not isinstance(cls.node, ast.ClassDef):
            return []
        return [
            one
            for one in self._in_body(cls.node.body, cls)
            if not one.name.startswith("__") and not (one.name.startswith("_") and kind == "pydantic")
        ]

    def _in_body(self, body: list[ast.stmt], cls: Here) -> Iterator[Field]:
        scope = cls.scope
        for node in body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                if (
                    not self._is_class_variable(node.annotation, scope)
                    and terminal(node.value or node.target) != "PrivateAttr"
                ):
                    yield Field(node.target.id, node, scope, node.annotation, node.value)
            elif (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and isinstance(node.value, ast.Call)
            ):
                made = terminal(node.value.func)
                if made in ("Column", "mapped_column"):
                    yield Field(node.targets[0].id, node, scope, None, node.value)
                elif made in ("ib", "attrib", "field") and self.kind(cls) == "attrs":
                    stated = next((one.value for one in node.value.keywords if one.arg == "type"), None)
                    if stated is None and node.type_comment:
                        stated = ast.copy_location(ast.Constant(node.type_comment), node)
                    yield Field(node.targets[0].id, node, scope, stated, node.value)
            elif isinstance(node, ast.If):
                yield from self._in_body([*node.body, *node.orelse], cls)

    def _is_class_variable(self, annotation: ast.expr, scope: Scope) -> bool:
        expr = self.values.parsed(annotation)
        head = expr.value if isinstance(expr, ast.Subscript) else expr
        return terminal(head) == "ClassVar" or "typing.ClassVar" in self.names.names(head, scope)

    def of_class(self, cls: Here) -> Held:
        """What an instance of a class holds, with all that its fields hold in turn."""
        known = self._summary.get(cls)
        if known is not None:
            return known
        found = self._summary[cls] = Held()
        for one in self.names.lineage(cls):
            for each in self.fields(one):
                if each.annotation is not None:
                    self._add(self.held(each.annotation, each.scope), found)
                if each.value is not None and self.says_in_info(each.value):
                    found.tagged = True
        return found

    def of(self, annotation: ast.expr, scope: Scope) -> Held:
        """What a value of this annotation holds, with all that is in its classes."""
        found = Held()
        self._add(self.held(annotation, scope), found)
        return found

    def _add(self, one: Held, to: Held) -> None:
        to.tagged |= one.tagged
        to.sealed |= one.sealed
        to.subject |= one.subject
        to.marked |= one.marked
        to.unknown |= one.unknown
        for cls in one.classes:
            if cls not in to.classes:
                to.classes.append(cls)
            inner = self.of_class(cls)
            to.tagged |= inner.tagged
            to.sealed |= inner.sealed
            to.subject |= inner.subject
            to.marked |= inner.marked

    def says_in_info(self, value: ast.expr) -> bool:
        """Whether a column of SQLAlchemy bears tags in its `info`."""
        if not isinstance(value, ast.Call):
            return False
        info = next((one.value for one in value.keywords if one.arg == "info"), None)
        if isinstance(info, ast.Dict):
            return any(isinstance(one, ast.Constant) and one.value == LIBRARY for one in info.keys)
        return info is not None  # made elsewhere: it may say it


LITERALS: Final = frozenset({"typing.Literal", "typing_extensions.Literal"})
NO_VALUES: Final = frozenset(
    {"typing.Callable", "collections.abc.Callable", "builtins.type", "typing.Type", "typing.ClassVar"}
)
CONSTRAINED: Final = frozenset({"pydantic.constr"})
KNOWN_LEAVES: Final = UNTAGGED_LIBRARIES | {"phonenumbers", "numbers", "types", "phone_numbers"}

DATACLASSES: Final = {
    "dataclasses.dataclass": "dataclass",
    "pydantic.dataclasses.dataclass": "dataclass",
    "dataclass": "dataclass",
    **dict.fromkeys(
        (
            *(
                "attr.s",
                "attr.attrs",
                "attr.attributes",
                "attr.define",
                "attr.frozen",
                "attr.mutable",
                "attr.dataclass",
            ),
            *("attrs.define", "attrs.frozen", "attrs.mutable"),
        ),
        "attrs",
    ),
}
BASES: Final = {
    **dict.fromkeys(("enum.Enum", "enum.StrEnum", "enum.IntEnum", "enum.Flag", "enum.IntFlag"), "enum"),
    **dict.fromkeys(
        ("pydantic_settings.BaseSettings", "pydantic.BaseSettings", "pydantic_settings.main.BaseSettings"), "settings"
    ),
    **dict.fromkeys(
        (
            *("pydantic.BaseModel", "pydantic.RootModel", "pydantic.generics.GenericModel"),
            *("sqlmodel.SQLModel", "sqlmodel.main.SQLModel", "purposeguard.PersonalModel"),
        ),
        "pydantic",
    ),
    **dict.fromkeys(("typing.TypedDict", "typing_extensions.TypedDict"), "typeddict"),
    **dict.fromkeys(("typing.NamedTuple", "typing_extensions.NamedTuple"), "namedtuple"),
    **dict.fromkeys(
        ("sqlalchemy.orm.DeclarativeBase", "sqlalchemy.orm.MappedAsDataclass", "sqlalchemy.orm.DeclarativeBaseNoMeta"),
        "sqlalchemy",
    ),
}
