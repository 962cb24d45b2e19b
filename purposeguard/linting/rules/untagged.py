"""`untagged-personal-field`: a field of a model that looks personal and bears no tag."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from purposeguard.linting.finding import Found, Rule
from purposeguard.linting.names import Here, terminal
from purposeguard.linting.program import Program
from purposeguard.linting.project import Module
from purposeguard.linting.reading import bears
from purposeguard.linting.scopes import Scope
from purposeguard.linting.tagging import Field, Held
from purposeguard.linting.vocabulary import (
    LOOKS,
    MONEY,
    NETWORK,
    OF_BODIES,
    PERSONAL_TYPES,
    PLACE,
    TERMINAL,
    Sense,
    words_set,
)
from purposeguard.linting.words import Reading, Subject, reading_of, subject_of, words_of

RULE: Final = Rule(
    "untagged-personal-field",
    "a field that looks personal bears no tag",
    "What bears no tag is checked nowhere: it may be read, and used, for any purpose.",
    "tag it with its source, `Annotated[str, tm.Registration]`, seal it, or say that it is none: `pg.NotPersonal`",
    "warning",
)

KINDS: Final = {
    "text": frozenset(
        {"builtins.str", "builtins.bytes", "typing.Any", "typing.AnyStr", "builtins.object", "typing.LiteralString"}
    ),
    "number": frozenset({"builtins.int", "builtins.float", "decimal.Decimal", "typing.Any"}),
    "date": frozenset({"datetime.date", "datetime.datetime", "typing.Any"}),
    "choice": frozenset({"typing.Literal", "typing.Any"}),
}
CONTAINERS: Final = frozenset(
    {"builtins.list", "builtins.dict", "builtins.set", "builtins.tuple", "builtins.frozenset"}
)
COLUMN_TYPES: Final = {
    "text": frozenset(
        {"String", "Text", "Unicode", "UnicodeText", "VARCHAR", "CHAR", "NVARCHAR", "LargeBinary", "INET", "JSON"}
    ),
    "number": frozenset({"Integer", "BigInteger", "SmallInteger", "Numeric", "Float"}),
    "date": frozenset({"Date", "DateTime"}),
    "choice": frozenset({"Enum"}),
}
BUILDERS: Final = frozenset(
    {
        *("typing.TypedDict", "typing_extensions.TypedDict", "typing.NamedTuple", "typing_extensions.NamedTuple"),
        *("dataclasses.make_dataclass", "pydantic.create_model", "collections.namedtuple"),
    }
)
TABLES: Final = frozenset({"sqlalchemy.Table", "sqlalchemy.schema.Table"})


def check(module: Module, program: Program) -> Iterator[Found]:
    """Fields of the models of a module."""
    for node in module.all(ast.ClassDef):
        cls = Here(module, node)
        if program.tags.kind(cls) not in (None, "enum", "settings") and cls not in program.tags.covered:
            inherited = [field for one in program.names.lineage(cls)[1:] for field in program.tags.fields(one)]
            fields = program.tags.fields(cls)
            for found in _of_model(node.name, fields, inherited, program):
                if not program.told.of_class(cls, found.symbol.rpartition(".")[2]):
                    yield found
    for call in module.all(ast.Call):
        if call.args and len(call.args) + len(call.keywords) > 1:
            yield from _of_call(call, _text(call.args[0]), module.scope_of[call], program)


def _of_call(node: ast.Call, name: str | None, scope: Scope, program: Program) -> Iterator[Found]:
    """`TypedDict("Customer", {"email": str})`, `Table("customers", metadata, Column("email", String))` and the like."""
    made = program.names.names(node.func, scope)
    if name is not None and made & BUILDERS:
        yield from _of_model(name, list(_listed(node, scope, made)), [], program)
    elif made & TABLES:
        for found in _of_model(name or "", _columns(node, scope), [], program):
            if not program.told.of_table(node, name or "", found.symbol.rpartition(".")[2]):
                yield found


def _columns(node: ast.Call, scope: Scope) -> list[Field]:
    """The columns of a `Table`."""
    return [
        Field(column, one, scope, None, one)
        for one in node.args[1:]
        if isinstance(one, ast.Call) and terminal(one) == "Column" and one.args and (column := _text(one.args[0]))
    ]


def _text(expr: ast.expr) -> str | None:
    return expr.value if isinstance(expr, ast.Constant) and isinstance(expr.value, str) else None


def _listed(node: ast.Call, scope: Scope, made: frozenset[str]) -> Iterator[Field]:
    """The fields that a call names: in a table, in pairs, by keywords, or in a text."""
    given = node.args[1] if len(node.args) > 1 else None
    if "collections.namedtuple" in made:
        yield from _named_only(given, scope)
        return
    pairs: list[tuple[ast.expr | None, ast.expr, ast.AST]] = []
    if isinstance(given, ast.Dict):
        pairs = [(key, value, key or value) for key, value in zip(given.keys, given.values, strict=True)]
    elif isinstance(given, (ast.List, ast.Tuple)):
        pairs = [
            (one.elts[0], one.elts[1], one) for one in given.elts if isinstance(one, ast.Tuple) and len(one.elts) > 1
        ]
    for key, value, place in pairs:
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield Field(key.value, place, scope, value)
    if "pydantic.create_model" in made:
        for keyword in node.keywords:
            if keyword.arg and not keyword.arg.startswith("__"):
                pair = keyword.value.elts if isinstance(keyword.value, ast.Tuple) else ()
                yield Field(keyword.arg, keyword, scope, pair[0] if pair else keyword.value)


def _named_only(given: ast.expr | None, scope: Scope) -> Iterator[Field]:
    """The fields of `namedtuple("Caller", "phone duration")`, which states no types."""
    listed = given.elts if isinstance(given, (ast.List, ast.Tuple)) else [] if given is None else [given]
    for one in listed:
        for name in (_text(one) or "").replace(",", " ").split():
            yield Field(name, one, scope, None)


def _of_model(name: str, fields: list[Field], inherited: list[Field], program: Program) -> Iterator[Found]:
    subject = subject_of(name)
    if subject.thing:
        return
    everything = [*fields, *inherited]
    readings = [(one, _reading(one)) for one in everything]
    beside = any(_tells(one, each, subject, program) for one, each in readings)
    beside = beside or any(
        one.annotation is not None and program.tags.held(one.annotation, one.scope).subject for one in everything
    )
    about = any(each is not None and each.direct and each.sense is NETWORK for _, each in readings) or any(
        one.annotation is not None and bears(program.tags.held(one.annotation, one.scope)) for one in everything
    )
    pair = {"sei", "mei"} <= {one.name.lower() for one in everything} or {"姓", "名"} <= {
        one.name for one in everything
    }
    for field, reading in readings[: len(fields)]:
        held = Held() if field.annotation is None else program.tags.held(field.annotation, field.scope)
        if (
            held.tagged
            or held.sealed
            or held.unknown
            or (field.value is not None and program.tags.says_in_info(field.value))
        ):
            continue
        found = _by_type(field, held) or _by_name(
            field, reading, held, subject, beside=beside, about=about, program=program
        )
        if (
            found is None
            and pair
            and field.name.lower() in ("sei", "mei", "名")
            and _fits(field, held, frozenset({"text"}), program)
        ):
            found = f"its name says that it is {NAME_PART}"
        if found is not None:
            symbol = f"{name}.{field.name}" if name else field.name  # a table that is named elsewhere
            yield Found(field.node, f"`{symbol}` bears no tag, and {found}", symbol)


NAME_PART: Final = "the name of a person"


def _reading(field: Field) -> Reading | None:
    """What a field is called, here or where it comes from: `mail: str = Field(alias="メールアドレス")`."""
    found = reading_of(field.name)
    if found is None and isinstance(field.value, ast.Call):
        for one in field.value.keywords:
            if one.arg in ("alias", "validation_alias", "serialization_alias") and isinstance(one.value, ast.Constant):
                found = found or reading_of(str(one.value.value))
    return found


def _tells(field: Field, reading: Reading | None, subject: Subject, program: Program) -> bool:
    """Whether a field tells that the class is about a person: an e-mail address does, a number of them does not."""
    if reading is None or not reading.tells or not _of_person(reading.sense, subject):
        return False
    held = Held() if field.annotation is None else program.tags.held(field.annotation, field.scope)
    by_type = any(one in PERSONAL_TYPES for one in held.leaves)
    return bears(held) or held.unknown or by_type or _fits(field, held, reading.sense.fits, program)


def _of_person(sense: Sense, subject: Subject) -> bool:
    return not (subject.body and not subject.person and sense in OF_BODIES)


def _by_type(field: Field, held: Held) -> str | None:
    for name in sorted(held.leaves):
        sense = PERSONAL_TYPES.get(name)
        if sense is not None and not (sense is NETWORK and SERVERS & set(words_of(field.name))):
            return f"its type `{name.rpartition('.')[2]}` says that it is {sense.what}"
    return None


SERVERS: Final = words_set(
    "server host domain listen bind gateway dns node pod cluster elastic lb nat target dest dst router vip broker db "
    "upstream interface network subnet"
)


def _by_name(
    field: Field, reading: Reading | None, held: Held, subject: Subject, *, beside: bool, about: bool, program: Program
) -> str | None:
    if reading is None or not _fits(field, held, reading.sense.fits, program) or not _of_person(reading.sense, subject):
        return None
    if reading.direct:
        return f"its name says that it is {reading.sense.what}"
    if subject.person:
        return f"its name says that it is {reading.sense.what}, in a class about people"
    if not subject.body and ((beside and reading.beside) or (about and reading.sense in TRACES)):
        return f"its name says that it is {reading.sense.what}, beside fields that are personal"
    return None


TRACES: Final = (TERMINAL, PLACE, LOOKS, MONEY)
"""What is personal where anything beside it is tagged, or an IP address."""


def _fits(field: Field, held: Held, fits: frozenset[str], program: Program) -> bool:
    """Whether a value of this type can be what the name says."""
    if field.annotation is None:
        return _column_fits(field.value, fits)
    if held.classes:
        return "choice" in fits and all(program.tags.kind(one) == "enum" for one in held.classes)
    leaves = held.leaves - {"builtins.NoneType", *CONTAINERS}
    if not leaves and held.leaves & CONTAINERS:
        return "text" in fits
    return any(
        leaves & KINDS[kind] or any(_is_text_type(one) for one in leaves if kind == "text") for kind in fits
    ) or any(one.startswith("pydantic.") and one.rpartition(".")[2] in DATES for one in leaves if "date" in fits)


DATES: Final = frozenset({"PastDate", "FutureDate", "PastDatetime", "NaiveDatetime", "AwareDatetime"})


def _is_text_type(name: str) -> bool:
    return name.startswith("pydantic.") and name.rpartition(".")[2] in (
        "StrictStr",
        "SecretStr",
        "constr",
        "SecretBytes",
    )


def _column_fits(value: ast.expr | None, fits: frozenset[str]) -> bool:
    """Of a column without an annotation: by the type that it is made with; without one it may be anything."""
    if not isinstance(value, ast.Call):
        return True
    stated = [terminal(one) for one in value.args if terminal(one) in ALL_COLUMN_TYPES]
    if not stated:
        return not any(terminal(one) in ("ForeignKey", "Boolean") for one in value.args)
    return any(stated[0] in COLUMN_TYPES[kind] for kind in fits)


ALL_COLUMN_TYPES: Final = frozenset().union(*COLUMN_TYPES.values()) | {"Boolean"}
