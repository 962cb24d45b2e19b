"""The JSON Schema of sealed fields: that of what is inside, with the clauses beside it."""

from __future__ import annotations

import copy
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, PlainSerializer, RootModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, PydanticJsonSchemaWarning

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import guard
from tests.unit.sealed_kinds import KINDS, Colour

MODES: tuple[JsonSchemaMode, ...] = ("validation", "serialization")


class Address(BaseModel):
    street: str
    number: Annotated[int, PlainSerializer(str, return_type=str)] = 1


class Tree(BaseModel):
    name: str
    below: list[Tree] = []


ANNOTATIONS = [
    # `None` is no annotation by itself.
    *(pytest.param(kind.values[0], id=kind.id) for kind in KINDS if kind.id != "none"),
    pytest.param(Annotated[int, Field(gt=3, title="Age", description="in years", examples=[7])], id="described"),
    pytest.param(Annotated[int, PlainSerializer(str, return_type=str)], id="written-otherwise"),
    pytest.param(dict[str, list[Colour]], id="dict of lists"),
    pytest.param(RootModel[list[Address]], id="root"),
]


def clauses_taken_out(schema: Any) -> tuple[Any, list[list[str]]]:
    """A schema without the clauses in it, and these."""
    found: list[list[str]] = []

    def without(node: Any) -> Any:
        if isinstance(node, list):
            return [without(one) for one in node]
        if not isinstance(node, dict):
            return node
        if "x-collected-under" in node:
            found.append(node["x-collected-under"])
        return {key: without(one) for key, one in node.items() if key != "x-collected-under"}

    return without(schema), found


def field_schema(annotation: Any, mode: JsonSchemaMode) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of a field beside a plain one of the type that is sealed in it, and the definitions."""

    class Holder(BaseModel):
        first: annotation
        field: annotation = Field(alias="theField", description="a field")

    schema = Holder.model_json_schema(mode=mode)
    return schema["properties"], schema.get("$defs", {})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("annotation", ANNOTATIONS)
def test_the_schema_of_a_field_is_that_of_its_type_with_the_clause(annotation: Any, mode: JsonSchemaMode) -> None:
    plain, plain_definitions = field_schema(annotation, mode)
    sealed, definitions = field_schema(Personal[annotation, tm.Registration], mode)
    assert definitions == plain_definitions
    for name, expected in plain.items():
        assert sealed[name] == {**expected, "x-collected-under": ["1.1(a)"]}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("annotation", ANNOTATIONS)
def test_the_schema_of_a_sealed_value_by_itself_is_that_of_its_type(annotation: Any, mode: JsonSchemaMode) -> None:
    schema, found = clauses_taken_out(TypeAdapter(Personal[annotation, tm.Registration]).json_schema(mode=mode))
    assert found == [["1.1(a)"]]
    # What is a definition of its own is referred to, so that the clause stands beside it.
    plain = TypeAdapter(list[annotation]).json_schema(mode=mode)
    assert schema == {**{key: value for key, value in plain.items() if key == "$defs"}, **plain["items"]}


@pytest.mark.parametrize("mode", MODES)
def test_clauses_in_containers_unions_and_definitions(mode: JsonSchemaMode) -> None:
    class Holder(BaseModel):
        items: list[Personal[Address, tm.Contract]]
        named: dict[str, Personal[int, tm.Registration]]
        maybe: Personal[Colour, tm.ProductData] | None = None
        either: Personal[int, tm.Registration] | Personal[str, tm.Contract]
        plain: Address
        colour: Colour

    schema = Holder.model_json_schema(mode=mode)
    _, in_definitions = clauses_taken_out(schema["$defs"])
    assert in_definitions == []
    of = schema["properties"]
    assert of["items"]["items"] == {"$ref": "#/$defs/Address", "x-collected-under": ["1.1(c)"]}
    assert of["named"]["additionalProperties"] == {"type": "integer", "x-collected-under": ["1.1(a)"]}
    assert of["maybe"]["anyOf"][0] == {"$ref": "#/$defs/Colour", "x-collected-under": ["1.1(b)"]}
    assert of["either"]["anyOf"] == [
        {"type": "integer", "x-collected-under": ["1.1(a)"]},
        {"type": "string", "x-collected-under": ["1.1(c)"]},
    ]
    assert of["plain"] == {"$ref": "#/$defs/Address"}


class Tagged(BaseModel):
    paid: Annotated[int, tm.Contract]


class Chain(BaseModel):
    name: Personal[str, tm.Registration]
    next: Personal[Chain, tm.Contract] | None = None


@pytest.mark.parametrize("mode", MODES)
def test_clauses_are_those_of_the_label_in_the_order_of_the_notice(mode: JsonSchemaMode) -> None:
    for annotation, clauses in (
        (Personal[int, tm.Contract | tm.Registration], ["1.1(a)", "1.1(c)"]),
        (Personal[Tagged, tm.Registration], ["1.1(a)", "1.1(c)"]),
        (Personal[int, pg.NotPersonal], [pg.NotPersonal.clause]),
    ):
        assert TypeAdapter(annotation).json_schema(mode=mode)["x-collected-under"] == clauses


@pytest.mark.parametrize("mode", MODES)
def test_where_purposes_are_named_the_schema_says_what_the_value_may_serve(mode: JsonSchemaMode) -> None:
    schema = TypeAdapter(Personal[int, tm.ProductGuidance | tm.WebProductGuidance]).json_schema(mode=mode)
    assert schema == {"type": "integer", "x-may-serve": ["1.2(1)②", "2.2①"]}
    for annotation in (Personal[int, Any], Personal[int, pg.Source], Personal[int, pg.Purpose]):
        assert TypeAdapter(annotation).json_schema(mode=mode) == {"type": "integer"}


@pytest.mark.parametrize("mode", MODES)
def test_a_model_sealed_inside_itself(mode: JsonSchemaMode) -> None:
    schema = Chain.model_json_schema(mode=mode)
    assert schema["$ref"] == "#/$defs/Chain"
    assert "x-collected-under" not in schema
    of = schema["$defs"]["Chain"]["properties"]
    assert of["next"]["anyOf"][0] == {"$ref": "#/$defs/Chain", "x-collected-under": ["1.1(a)", "1.1(c)"]}


def test_making_adapters_of_a_model_changes_nothing_in_its_own_schema() -> None:
    before = copy.deepcopy([Tree.model_json_schema(mode=mode) for mode in MODES])
    for annotation in (Personal[Tree, tm.Registration], list[Personal[Tree, tm.Contract]]):
        assert "x-collected-under" in repr(TypeAdapter(annotation).json_schema())
    Tree.model_rebuild(force=True)
    assert [Tree.model_json_schema(mode=mode) for mode in MODES] == before


def test_a_sealed_default_is_not_shown_in_a_schema_in_no_purpose_either() -> None:
    class Holder(BaseModel):
        age: Personal[int, tm.Registration] = Personal(7, tm.Registration)
        made: Personal[int, tm.Registration] = Field(default_factory=lambda: Personal(7, tm.Registration))

    expected = {"type": "integer", "x-collected-under": ["1.1(a)"]}
    for mode in MODES:
        with guard.purpose(tm.RenewalGuidance), pytest.warns(PydanticJsonSchemaWarning, match="<sealed"):
            of = Holder.model_json_schema(mode=mode)["properties"]
        assert of == {"age": {"title": "Age", **expected}, "made": {"title": "Made", **expected}}
