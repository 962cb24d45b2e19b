"""`untagged-personal-field`: a field of a model that looks personal and has no tag."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from purposeguard.cli.lint.code import Module, Scope, last
from purposeguard.cli.lint.findings import Found, Rule
from purposeguard.cli.lint.lexicon import (
    NETWORK,
    NOBODYS,
    OF_BODIES,
    TRACES,
    TYPES,
    Reading,
    Sense,
    Subject,
    reading_of,
    subject_of,
    words_of,
    words_set,
)
from purposeguard.cli.lint.models import Field, Held, Models

UNTAGGED: Final = Rule(
    "untagged-personal-field",
    "a field that looks personal has no tag",
    "tag it with its source, `Annotated[str, tm.Registration]`, seal it, or mark it `pg.NotPersonal`",
    "warning",
)

FITTING: Final = {
    "text": frozenset({"builtins.str", "builtins.bytes", "typing.Any", "builtins.object"}),
    "number": frozenset({"builtins.int", "builtins.float", "decimal.Decimal", "typing.Any"}),
    "date": frozenset({"datetime.date", "datetime.datetime", "typing.Any", "pydantic.PastDate"}),
    "choice": frozenset({"typing.Literal", "typing.Any"}),
}
SECRETS: Final = ("Str", "Bytes", "constr")
"""Ends of the names of pydantic's types of texts."""
CONTAINERS: Final = frozenset(f"builtins.{name}" for name in ("list", "dict", "set", "tuple", "frozenset"))
COLUMNS: Final = {
    "text": words_set("String Text Unicode UnicodeText VARCHAR CHAR NVARCHAR LargeBinary INET JSON"),
    "number": words_set("Integer BigInteger SmallInteger Numeric Float"),
    "date": frozenset({"Date", "DateTime"}),
    "choice": frozenset({"Enum"}),
}
ALL_COLUMNS: Final = frozenset({"Boolean", "ForeignKey"}).union(*COLUMNS.values())
BUILDERS: Final = frozenset(
    {"typing.TypedDict", "typing.NamedTuple", "dataclasses.make_dataclass", "pydantic.create_model"}
)


def untagged(module: Module, models: Models) -> Iterator[Found]:
    """Fields of the models of a module."""
    for cls in module.all(ast.ClassDef):
        kind = models.kind(cls)
        if kind in (None, "enum", "settings") or cls in models.covered or _told(cls, models):
            continue
        lineage = models.code.lineage(cls)
        tagged = {name for base in lineage for name in models.tagged_elsewhere.get(base, ())}
        inherited = [field for base in lineage[1:] for field in models.fields(base)]
        fields = [field for field in models.fields(cls) if field.name not in tagged]
        yield from _of_model(cls.name, fields, inherited, models)
    for call in module.all(ast.Call):
        name = _text(call.args[0]) if len(call.args) + len(call.keywords) > 1 and call.args else None
        made = models.code.name(call.func, module.scope_of[call])
        if name is not None and made in BUILDERS:
            yield from _of_model(name, list(_listed(call, module.scope_of[call])), [], models)
        elif made in ("sqlalchemy.Table", "sqlalchemy.schema.Table") and not models.tables_told:
            yield from _of_model(name or "", _columns(call, module.scope_of[call]), [], models)


def _told(cls: ast.ClassDef, models: Models) -> bool:
    return models.tables_told and models.kind(cls) == "sqlalchemy"


def _text(expr: ast.expr) -> str | None:
    return expr.value if isinstance(expr, ast.Constant) and isinstance(expr.value, str) else None


def _columns(node: ast.Call, scope: Scope) -> list[Field]:
    """The columns of a `Table`."""
    return [
        Field(column, argument, scope, None, argument)
        for argument in node.args[1:]
        if isinstance(argument, ast.Call)
        and last(argument) == "Column"
        and argument.args
        and (column := _text(argument.args[0]))
    ]


def _listed(node: ast.Call, scope: Scope) -> Iterator[Field]:
    """The fields that a call names: in a dict, in pairs, or by keywords."""
    table = node.args[1] if len(node.args) > 1 else None
    if isinstance(table, ast.Dict):
        for key, value in zip(table.keys, table.values, strict=True):
            if key is not None and (name := _text(key)):
                yield Field(name, key, scope, value)
    elif isinstance(table, (ast.List, ast.Tuple)):
        for pair in table.elts:
            if isinstance(pair, ast.Tuple) and len(pair.elts) > 1 and (name := _text(pair.elts[0])):
                yield Field(name, pair, scope, pair.elts[1])
    for keyword in node.keywords:
        if keyword.arg and not keyword.arg.startswith("__") and isinstance(keyword.value, ast.Tuple):
            yield Field(keyword.arg, keyword, scope, keyword.value.elts[0])


def _of_model(name: str, fields: list[Field], inherited: list[Field], models: Models) -> Iterator[Found]:
    subject = subject_of(name)
    if subject.thing:
        return
    everything = [
        (field, _reading(field), models.held(field.annotation, field.scope)) for field in (*fields, *inherited)
    ]
    beside = any(held.subject or _tells(field, reading, held, subject, models) for field, reading, held in everything)
    traced = any(held.bears or (reading is not None and reading.sense is NETWORK) for _, reading, held in everything)
    for field, reading, held in everything[: len(fields)]:
        if held.bears or held.unknown or models.says_in_info(field.value):
            continue
        why = _by_type(field, held)
        if why is None and reading is not None and _fits(field, held, reading.sense, models):
            why = _by_name(reading, subject, beside=beside, traced=traced)
        if why is not None:
            symbol = f"{name}.{field.name}" if name else field.name
            yield Found(field.node, f"`{symbol}` has no tag, and {why}", symbol)


def _reading(field: Field) -> Reading | None:
    """The meaning of a field's name, or of its alias: `mail: str = Field(alias="メールアドレス")`."""
    by_name = reading_of(field.name)
    if by_name is None and isinstance(field.value, ast.Call):
        aliases = [keyword.value for keyword in field.value.keywords if keyword.arg in ("alias", "validation_alias")]
        by_name = next((reading for alias in aliases if (reading := reading_of(_text(alias) or ""))), None)
    return by_name


def _tells(field: Field, reading: Reading | None, held: Held, subject: Subject, models: Models) -> bool:
    """True if a field shows that the class is about a person: an e-mail address does, a count does not."""
    if reading is None or not reading.tells or _of_a_body(reading.sense, subject):
        return False
    return held.bears or held.unknown or bool(held.leaves & set(TYPES)) or _fits(field, held, reading.sense, models)


def _of_a_body(sense: Sense, subject: Subject) -> bool:
    return subject.body and not subject.person and sense in OF_BODIES


def _by_type(field: Field, held: Held) -> str | None:
    for name in sorted(held.leaves & set(TYPES)):
        if not (TYPES[name] is NETWORK and NOBODYS[NETWORK].intersection(words_of(field.name))):
            return f"its type `{name.rpartition('.')[2]}` indicates {TYPES[name].what}"
    return None


def _by_name(reading: Reading, subject: Subject, *, beside: bool, traced: bool) -> str | None:
    what = f"its name indicates {reading.sense.what}"
    if _of_a_body(reading.sense, subject):
        return None
    if reading.direct:
        return what
    if subject.person:
        return f"{what}, in a class about people"
    if not subject.body and ((beside and reading.beside) or (traced and reading.sense in TRACES)):
        return f"{what}, beside fields that are personal"
    return None


def _fits(field: Field, held: Held, sense: Sense, models: Models) -> bool:
    """True if the type fits the meaning of the name."""
    if field.annotation is None:
        return _column_fits(field.value, sense)
    if held.classes:
        return "choice" in sense.fits and all(models.kind(cls) == "enum" for cls in held.classes)
    leaves = held.leaves - {"builtins.NoneType", *CONTAINERS}
    if not leaves:
        return "text" in sense.fits and bool(held.leaves & CONTAINERS)
    if "text" in sense.fits and any(leaf.startswith("pydantic.") and leaf.endswith(SECRETS) for leaf in leaves):
        return True
    return any(leaves & FITTING[kind] for kind in sense.fits)


def _column_fits(value: ast.expr | None, sense: Sense) -> bool:
    """For a column without an annotation, by its column type; True if it has none."""
    stated = (
        [last(argument) for argument in value.args if last(argument) in ALL_COLUMNS]
        if isinstance(value, ast.Call)
        else []
    )
    return not stated or any(stated[0] in COLUMNS[kind] for kind in sense.fits)
