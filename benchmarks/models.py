"""Models with sealed fields, built, written and validated, beside the same models of pydantic, SQLModel and msgspec.

A row of the printed table is one model. A statement handles a list of 10,000, so a block is one list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, SerializationInfo, TypeAdapter, model_serializer
from typing_extensions import TypedDict

import purposeguard as pg
from benchmarks.timing import Case
from purposeguard.notices import trendmicro_jp as tm

try:
    import msgspec
except ImportError:  # its rows are left out
    msgspec = None  # type: ignore[assignment]  # stands for "not installed"
try:
    import sqlmodel
except ImportError:
    sqlmodel = None  # type: ignore[assignment]  # as above

COUNT = 10_000
INPUTS = [
    {"number": number, "name": f"name {number}", "email": f"{number}@example.com", "device": "laptop"}
    for number in range(COUNT)
]

BUILT, DUMPED, WRITTEN, VALIDATED = (
    "built", "`model_dump_json` within a purpose", "written as a list", "validated as a list"
)  # fmt: skip
ACTIONS = {BUILT: 1.5, DUMPED: 1.2, WRITTEN: 1.6, VALIDATED: 2.2}
"""What is done with a model → how often the time of the plain model it may take."""

OURS, PLAIN, SQLMODEL, MSGSPEC = "`PersonalModel`", "the plain model", "SQLModel", "`msgspec.Struct`"
SMALLEST = "the plain model, if a function reads the options of the dump,"
"""The smallest program that pays what `PersonalModel` pays for a list, but for the decision."""


def name_case(kind: str, action: str) -> str:
    """Return the name of a case."""
    return f"{kind} {action}"


class PlainMember(BaseModel):
    number: int
    name: str
    email: str
    device: str


class Member(pg.PersonalModel):
    number: int
    name: pg.Personal[str, tm.Registration]
    email: pg.Personal[str, tm.Registration]
    device: pg.Personal[str, tm.ProductData]


class MemberRow(TypedDict):
    number: int
    name: str
    email: str
    device: str


class OptionReader(PlainMember):
    @model_serializer
    def write(self, info: SerializationInfo) -> MemberRow:
        if (
            info.context is not None
            or info.mode == "withhold"
            or info.exclude_unset
            or info.include is not None
            or info.exclude is not None
            or info.serialize_as_any
        ):
            raise ValueError("the benchmark passes no options")
        return self.__dict__  # type: ignore[return-value]  # these are its fields


if sqlmodel is not None:

    class SqlMember(sqlmodel.SQLModel):
        number: int
        name: str
        email: str
        device: str


if msgspec is not None:

    class StructMember(msgspec.Struct):
        number: int
        name: str
        email: str
        device: str


def models() -> list[Case]:
    """Return every case of models that what is installed allows for."""
    guard = pg.Guard(tm.NOTICE)
    cases = _make_pydantic_cases(OURS, Member, lambda: guard.purpose(tm.ProductProvision, activity="models"))
    cases += _make_pydantic_cases(PLAIN, PlainMember)
    cases += _make_pydantic_cases(SMALLEST, OptionReader)
    if sqlmodel is not None:
        cases += _make_pydantic_cases(SQLMODEL, SqlMember)
    if msgspec is not None:
        cases += _make_struct_cases()
    return cases


def _make_pydantic_cases(kind: str, cls: type[BaseModel], within: Callable[[], Any] | None = None) -> list[Case]:
    adapter: TypeAdapter[Any] = TypeAdapter(list[cls])  # type: ignore[valid-type]  # a class at run time
    made = adapter.validate_python(INPUTS)
    options: dict[str, Any] = {"of": COUNT} if within is None else {"of": COUNT, "within": within}
    statements: dict[str, tuple[str, dict[str, object]]] = {
        BUILT: ("[build(row) for row in rows]", {"build": cls.model_validate, "rows": INPUTS}),
        DUMPED: ("[model.model_dump_json() for model in models]", {"models": made}),
        WRITTEN: ("write(models)", {"write": adapter.dump_json, "models": made}),
        VALIDATED: ("validate(rows)", {"validate": adapter.validate_python, "rows": INPUTS}),
    }
    cases: list[Case] = []
    for action, (statement, names) in statements.items():
        cases.append(Case(name_case(kind, action), statement, names, **options))
    return cases


def _make_struct_cases() -> list[Case]:
    made = msgspec.convert(INPUTS, list[StructMember])
    encode = msgspec.json.Encoder().encode
    statements: dict[str, tuple[str, dict[str, object]]] = {
        BUILT: ("[build(row, cls) for row in rows]", {"build": msgspec.convert, "rows": INPUTS, "cls": StructMember}),
        DUMPED: ("[encode(model) for model in models]", {"encode": encode, "models": made}),
        WRITTEN: ("encode(models)", {"encode": encode, "models": made}),
        VALIDATED: ("build(rows, cls)", {"build": msgspec.convert, "rows": INPUTS, "cls": list[StructMember]}),
    }
    cases: list[Case] = []
    for action, (statement, names) in statements.items():
        cases.append(Case(name_case(MSGSPEC, action), statement, names, of=COUNT))
    return cases
