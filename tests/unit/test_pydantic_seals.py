"""Sealed fields of pydantic models: what they take, what they make of it, and under which sources."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field, Json, TypeAdapter, ValidationInfo
from typing_extensions import TypeAliasType

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.sealed_fields import SECRET, lines_of, made, opened, validated
from tests.unit.sealed_kinds import KINDS, Address

Bought = TypeAliasType("Bought", tm.Registration | tm.Contract)


@pytest.mark.parametrize(("annotation", "given"), KINDS)
def test_a_sealed_field_holds_what_its_type_makes_of_the_input(annotation: Any, given: Any) -> None:
    sealed = validated(Personal[annotation, tm.Registration], given)
    assert type(sealed) is Personal
    assert sealed.label == pg.Label(tm.Registration)
    plain = validated(annotation, given)
    assert opened(sealed) == plain
    assert type(opened(sealed)) is type(plain)

    class Holder(BaseModel):
        field: Personal[annotation, tm.Registration]

    for holder in (Holder(field=given), Holder.model_validate({"field": given})):
        assert repr(holder) == "Holder(field=<sealed 1.1(a)>)"
        assert opened(holder.field) == plain


@pytest.mark.parametrize(
    ("annotation", "given", "error"),
    [
        pytest.param(int, "x", "int_parsing", id="int"),
        pytest.param(Annotated[int, Field(gt=3)], 3, "greater_than", id="bound"),
        pytest.param(Annotated[str, Field(pattern="^a+$")], "b", "string_pattern_mismatch", id="pattern"),
        pytest.param(EmailStr, "x", "sealed_value", id="email"),
        pytest.param(dt.date, "x", "sealed_value", id="date"),
        pytest.param(list[int], 7, "list_type", id="list"),
        pytest.param(Json[int], "{", "json_invalid", id="json"),
        pytest.param(Annotated[str, AfterValidator(int)], "x", "sealed_value", id="validator"),
    ],
)
def test_what_its_type_refuses_a_sealed_field_refuses(annotation: Any, given: Any, error: str) -> None:
    assert lines_of(validated, Personal[annotation, tm.Registration], given) == [(error, ())]


# --- sources


def test_plain_input_is_sealed_under_all_sources_that_the_annotation_names() -> None:
    for annotation, sources in (
        (Personal[int, tm.Registration], (tm.Registration,)),
        (Personal[int, tm.Registration | tm.Contract], (tm.Registration, tm.Contract)),
        (Personal[int, tm.Customer], (tm.Customer,)),
        (Personal[int, tm.LinkedUsage], (tm.LinkedUsage,)),
        (Personal[int, pg.NotPersonal], (pg.NotPersonal,)),
        (Personal[int, Bought], (tm.Registration, tm.Contract)),
    ):
        assert validated(annotation, 7).label == pg.Label(*sources)


class Tagged(BaseModel):
    street: str
    paid: Annotated[int, tm.Contract]
    device: Personal[str, tm.ProductData] | None = None


def test_what_is_tagged_or_sealed_inside_stays_so() -> None:
    expected = pg.Label(tm.Registration, tm.Contract, tm.ProductData)
    for annotation, given in (
        (Personal[Tagged, tm.Registration], {"street": "x", "paid": 1}),
        (Personal[list[Tagged], tm.Registration], [{"street": "x", "paid": 1}]),
        (Personal[dict[str, Tagged], tm.Registration], {}),
    ):
        assert validated(annotation, given).label == expected
    nested = validated(Personal[Personal[int, tm.Registration], tm.Contract], "7")
    assert nested.label == pg.Label(tm.Registration, tm.Contract)
    assert opened(opened(nested)) == 7


def test_a_sealed_value_passes_where_all_its_sources_are_among_those_named() -> None:
    registration, contract = Personal(7, tm.Registration), Personal(7, tm.Contract)
    both = registration.zip(contract)
    for annotation, passes in (
        (Personal[Any, tm.Registration], [registration]),
        (Personal[Any, tm.Registration | tm.Contract], [registration, contract, both]),
        (Personal[Any, tm.Customer], [registration, contract, both]),  # the parent of both
        (Personal[Any, tm.RenewalGuidance], [registration, contract, both]),
        (Personal[Any, tm.ProductGuidance | tm.WebProductGuidance], [registration, contract, both]),
        (Personal[Any, tm.TrafficAnalysis], []),
        (Personal[Any, Any], [registration, contract, both]),
        (Personal[Any, pg.Source], [registration, contract, both]),
        (Personal[Any, pg.Purpose], [registration, contract, both]),
    ):
        adapter = TypeAdapter(annotation)
        for value in (registration, contract, both):
            if value in passes:
                assert adapter.validate_python(value) is value
            else:
                assert lines_of(adapter.validate_python, value) == [("sealed_source", ())]


def test_an_item_does_not_pass_for_its_parent_s_others_nor_a_parent_for_its_items() -> None:
    for annotation, source in (
        (Personal[int, tm.Registration], tm.Customer),
        (Personal[int, tm.Registration], tm.ProductData),
        (Personal[int, tm.Registration], pg.NotPersonal),
        (Personal[int, pg.NotPersonal], tm.Registration),
    ):
        assert lines_of(validated, annotation, Personal(7, source)) == [("sealed_source", ())]


def test_a_refused_seal_says_what_it_is_sealed_under_and_what_the_field_takes() -> None:
    class Holder(BaseModel):
        age: Personal[int, tm.Contract | tm.Registration]  # said by clause, however it is written

    with pytest.raises(ValueError, match="age") as caught:
        made(Holder, age=Personal(7, tm.ProductData))
    text = str(caught.value)
    assert "1.1(b)" in text
    assert "Registration or Contract" in text


@pytest.mark.parametrize(
    "terms", [tm.RenewalGuidance, tm.AnyProductGuidance, tm.Registration | tm.RenewalGuidance, Any, pg.Source]
)
def test_a_field_that_names_no_source_takes_sealed_values_only(terms: Any) -> None:
    assert lines_of(validated, Personal[int, terms], 7) == [("sealed_needed", ())]
    sealed = Personal(7, tm.Registration)
    assert validated(Personal[int, terms], sealed) is sealed


@pytest.mark.parametrize("terms", [None, int, str | tm.Registration], ids=str)
def test_an_annotation_that_does_not_say_its_sources_is_an_error_of_the_model(terms: Any) -> None:
    annotation: Any = Personal if terms is None else Personal[int, terms]
    with pytest.raises(pg.UnlabelledData, match=r"Personal\[str, "):
        TypeAdapter(annotation)
    with pytest.raises(pg.UnlabelledData):
        type("Holder", (BaseModel,), {"__annotations__": {"field": annotation}})


# --- what waits in a seal is not looked at


def test_a_sealed_value_is_taken_as_it_is() -> None:
    calls: list[object] = []
    waiting = Personal("7", tm.Registration).map(calls.append)
    for annotation in (Personal[int, tm.Registration], Personal[Address, tm.Customer]):
        assert validated(annotation, waiting) is waiting
    assert calls == []


def test_sealed_values_in_containers_are_taken_one_by_one() -> None:
    one = Personal(1, tm.Registration)
    for annotation, given in (
        (list[Personal[int, tm.Registration]], [one, "2"]),
        (tuple[Personal[int, tm.Registration], ...], (one, "2")),
    ):
        first, second = validated(annotation, given)
        assert first is one
        assert opened(second) == 2
    keyed = validated(dict[Personal[str, tm.Registration], Personal[int, tm.Contract]], {"x": "7"})
    assert [(opened(key), opened(value)) for key, value in keyed.items()] == [("x", 7)]
    some = validated(set[Personal[int, tm.Registration]], [one, one, "1"])
    assert len(some) == 2  # by identity, so that no set finds out what is equal
    assert one in some


def test_a_union_takes_what_one_of_its_sealed_members_takes() -> None:
    annotation = Personal[int, tm.Registration] | Personal[str, tm.Contract] | None
    assert validated(annotation, None) is None
    assert validated(annotation, 7).label == pg.Label(tm.Registration)
    assert validated(annotation, "x").label == pg.Label(tm.Contract)
    sealed = Personal("x", tm.Contract)
    assert validated(annotation, sealed) is sealed
    assert {kind for kind, _ in lines_of(validated, annotation, Personal("x", tm.Cookie))} == {"sealed_source"}


# --- ways in


def test_json_and_texts_are_validated_as_their_type_is() -> None:
    adapter = TypeAdapter(Personal[list[dt.date], tm.Registration])
    assert opened(adapter.validate_json('["2026-05-02"]')) == [dt.date(2026, 5, 2)]
    assert opened(TypeAdapter(Personal[int, tm.Registration]).validate_strings("7")) == 7
    assert lines_of(adapter.validate_json, f'["{SECRET}"]') == [("sealed_value", ())]


@pytest.mark.parametrize("how", ["annotation", "config", "call"])
def test_strict_validation_is_strict_inside_the_seal(how: str) -> None:
    class Holder(BaseModel):
        model_config = ConfigDict(strict=how == "config")
        age: Personal[Annotated[int, Field(strict=True if how == "annotation" else None)], tm.Registration]

    options: dict[str, Any] = {"strict": True} if how == "call" else {}
    assert lines_of(Holder.model_validate, {"age": "7"}, **options) == [("int_type", ("age",))]
    assert opened(Holder.model_validate({"age": 7}, **options).age) == 7
    sealed = Personal(7, tm.Registration)
    assert Holder.model_validate({"age": sealed}, **options).age is sealed


def test_a_validation_context_reaches_the_validators_inside() -> None:
    def scaled(value: int, info: ValidationInfo[dict[str, int]]) -> int:
        return value * info.context["by"]

    adapter = TypeAdapter(Personal[Annotated[int, AfterValidator(scaled)], tm.Registration])
    assert opened(adapter.validate_python("7", context={"by": 3})) == 21


def test_attributes_are_read_where_the_model_reads_attributes() -> None:
    class Row:
        def __init__(self, **columns: object) -> None:
            vars(self).update(columns)

    class Street(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        name: str

    class Customer(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        age: Personal[int, tm.Registration]
        street: Personal[Street, tm.Registration]

    customer = Customer.model_validate(Row(age="7", street=Row(name="x")))
    assert opened(customer.age) == 7
    assert opened(customer.street) == Street(name="x")
    assert lines_of(Customer.model_validate, Row(age=SECRET, street=Row(name=[SECRET]))) == [
        ("int_parsing", ("age",)),
        ("string_type", ("street", "name")),
    ]
