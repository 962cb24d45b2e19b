"""Withheld copies where pydantic writes each object as what it is: each is its own class's, and none is asked twice."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.dataclasses import dataclass
from pydantic_core import SchemaSerializer, core_schema

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from tests.support import printed_by
from tests.unit.models import guard
from tests.unit.sealed_fields import SECRET

ANYTHING: list[dict[str, Any]] = [
    {one: True}
    for one in ("serialize_as_any", "polymorphic_serialization")
    if one in inspect.signature(BaseModel.model_dump).parameters
]
"""The options by which it does, in this version."""


class Customer(BaseModel):
    number: int = 7
    email: Annotated[str, tm.Registration] = SECRET


class Quiet(pg.PersonalModel):
    number: int = 7
    email: Annotated[str, tm.Registration] = SECRET
    friends: list[Quiet] = []


@dataclass
class Row:
    number: int = 7
    email: Annotated[str, tm.Registration] = SECRET


class Outer(BaseModel):
    customer: Customer
    quiet: Quiet


def withheld(value: Any) -> Any:
    with guard.purpose(tm.UsageAnalysis) as use:
        return use.withhold(value)


@pytest.mark.parametrize("options", ANYTHING, ids=str)
def test_copies_are_written_as_what_they_are(options: dict[str, Any]) -> None:
    friends = Quiet(friends=[Quiet(number=8)])
    quiet = {"number": 7, "friends": [{"number": 8, "friends": []}]}
    assert withheld(Customer()).model_dump(**options) == {"number": 7}
    assert withheld(Customer()).model_dump_json(**options) == '{"number":7}'
    assert withheld(friends).model_dump(**options) == quiet
    everything = {"customer": {"number": 7}, "quiet": quiet}
    assert withheld(Outer(customer=Customer(), quiet=friends)).model_dump(**options) == everything
    inner = Outer.model_construct(customer=withheld(Customer()), quiet=withheld(friends))
    assert inner.model_dump(**options) == everything
    with guard.purpose(tm.UsageAnalysis):
        assert friends.model_dump(mode="withhold", **options) == quiet
    try:
        written = TypeAdapter(Any).dump_python(withheld(Row()), **options)
    except pg.PurposeViolation:
        return  # its field was asked for; earlier versions of pydantic give the object back, as it is
    assert repr(written) == "Row(number=7)"


def test_a_model_may_ask_for_it_itself() -> None:
    # In a process of its own: what goes wrong here ends the process.
    script = """
        from typing import Annotated
        from pydantic import BaseModel, ConfigDict
        import purposeguard as pg
        from purposeguard.notices import trendmicro_jp as tm

        class Customer(BaseModel):
            model_config = ConfigDict(polymorphic_serialization=True)
            number: int = 7
            email: Annotated[str, tm.Registration] = "e"

        with pg.Guard(tm.NOTICE).purpose(tm.UsageAnalysis) as use:
            print(use.withhold(Customer()).model_dump())
    """
    assert printed_by(script) == ("{'number': 7}\n", "")


def test_a_schema_that_a_class_made_for_itself_is_its_own() -> None:
    class Odd(BaseModel):
        number: int = 7
        email: Annotated[str, tm.Registration] = SECRET

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            inner = handler(source)
            return core_schema.json_or_python_schema(inner, inner)

    assert isinstance(type(withheld(Odd())).__pydantic_serializer__, SchemaSerializer)
    assert withheld(Odd()).model_dump() == {"number": 7}


def test_the_serialiser_of_a_copy_is_made_once() -> None:
    kind = type(withheld(Customer()))
    assert kind.__pydantic_serializer__ is kind.__pydantic_serializer__
    assert kind.__pydantic_serializer__ is not Customer.__pydantic_serializer__
