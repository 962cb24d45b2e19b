"""Errors of `PersonalModel`: quiet wherever it is validated, about every field that carries personal data."""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Generic
from zoneinfo import ZoneInfo

import pytest
import typing_extensions as te
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    JsonValue,
    PydanticDeprecatedSince20,
    RootModel,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

import purposeguard as pg
from purposeguard import Personal, PersonalModel
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import Registered, T
from tests.unit.sealed_fields import SECRET, Customer, Home, assert_quiet, lines_of, made, opened, refused


def test_errors_do_not_show_personal_fields_nor_the_whole_input() -> None:
    for given, lines in (
        ({"name": [SECRET]}, [("string_type", ("name",))]),
        ({"age": SECRET}, [("missing", ("name",)), ("int_parsing", ("age",))]),
        ({"nickname": SECRET}, [("missing", ("name",))]),
        (SECRET, [("model_type", ())]),
        ([SECRET], [("model_type", ())]),
        (
            {"name": "x", "homes": [{"floor": SECRET}]},
            [("missing", ("homes", "street")), ("int_parsing", ("homes", "floor"))],
        ),
        ({"name": "x", "homes": SECRET}, [("list_type", ("homes",))]),
    ):
        assert lines_of(Customer.model_validate, given) == lines
        assert lines_of(TypeAdapter(Customer).validate_python, given) == lines


def test_errors_of_other_fields_are_told() -> None:
    with pytest.raises(ValidationError) as caught:
        Customer.model_validate({"name": SECRET, "note": ["shown"]})
    with pytest.raises(ValidationError) as scalar:
        Customer.model_validate({"name": SECRET, "note": 5})
    assert [line["input"] for line in caught.value.errors()] == ["<sealed>"]
    assert [(line["type"], line["input"]) for line in scalar.value.errors()] == [("string_type", 5)]
    assert scalar.value.title == "Customer"


Tree = te.TypeAliasType("Tree", "dict[str, Tree] | list[Tree] | str")
KEY = f"{SECRET}@example.com"
NUMBER = 900_000_017


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    code: int = 0


class Tagged(BaseModel):
    model_config = ConfigDict(extra="forbid")
    street: Annotated[str, tm.Registration] = "s"


class Told(PersonalModel):
    """Untagged fields in which keys come from the input."""

    model_config = ConfigDict(extra="forbid")
    email: Annotated[str, tm.Registration] = "e"
    texts: dict[str, int] = {}
    numbers: dict[int, int] = {}
    deep: list[dict[str, list[int]]] = []
    either: int | dict[str, int] = 0
    counted: Counter[int] = Counter()
    part: Part = Part()
    tagged: Tagged = Tagged()
    parts: list[Part] = []
    scores: list[int] = []
    json_value: JsonValue = None
    tree: Tree = ""


@pytest.mark.parametrize(
    ("given", "places"),
    [
        ({"texts": {KEY: "x"}}, [("texts",)]),
        ({"numbers": {KEY: 1}}, [("numbers",)]),
        ({"numbers": {NUMBER: "x"}}, [("numbers",)]),
        ({"deep": [{KEY: ["x"]}]}, [("deep",)]),
        ({"either": {KEY: "x"}}, [("either",), ("either",)]),
        ({"counted": {NUMBER: "x"}}, [("counted",)]),
        ({"part": {KEY: 1}}, [("part",)]),
        ({"part": {"coed": SECRET}}, [("part", "coed")]),
        ({"tagged": {"street": "x", KEY: 1}}, [("tagged",)]),
        ({"tagged": {"streat": SECRET}}, [("tagged", "streat")]),
        ({"parts": [{"code": "x"}, {KEY: 1}]}, [("parts", 0, "code"), ("parts",)]),
        ({"scores": [1, "x"]}, [("scores", 1)]),
        ({"json_value": {KEY: object()}}, [("json_value",)]),
        ({"tree": {KEY: 1.5}}, [("tree",)] * 5),
        ({KEY: 1}, [()]),
    ],
)
def test_keys_of_the_input_are_shown_at_no_level(given: Any, places: Any) -> None:
    for error in (refused(Told.model_validate, given), refused(TypeAdapter(list[Told]).validate_python, [given])):
        assert str(NUMBER) not in f"{error}{error.errors()}"
        assert error.__context__ is None
    error = refused(Told.model_validate, given)
    assert [line["loc"] for line in error.errors()] == places


class Unreadable(PersonalModel):
    """A model of which nobody can say which fields are personal."""

    email: Annotated[str, "1.1(a)"]
    note: int = 0


def test_of_a_class_that_cannot_be_read_nothing_is_shown() -> None:
    cases: list[tuple[Callable[[Any], object], Any]] = [
        (Unreadable.model_validate, {"email": SECRET, "note": SECRET}),
        (Unreadable.model_validate_json, f'{{"email": "{SECRET}'),
    ]
    for validate, given in cases:
        with pytest.raises(pg.UnlabelledData, match="meant as a tag") as caught:
            validate(given)
        assert_quiet(caught.value)
        assert not isinstance(caught.value.__context__, ValidationError)


def test_what_validators_of_other_fields_say_is_told() -> None:
    class Holder(PersonalModel):
        name: Registered
        note: str = "n"
        size: int = 1

        @field_validator("note")
        @classmethod
        def _noted(cls, value: str) -> str:
            raise PydanticCustomError("unwanted", "no {value}", {"value": value})

        @field_validator("size")
        @classmethod
        def _sized(cls, value: int) -> int:
            raise ValueError(f"not {value}")

    error = refused(Holder.model_validate, {"name": "x", "note": "braces", "size": 7})
    assert [(line["type"], line["loc"], line["input"]) for line in error.errors()] == [
        ("unwanted", ("note",), "braces"),
        ("value_error", ("size",), 7),
    ]
    assert [line["msg"] for line in error.errors()] == ["no braces", "Value error, not 7"]


def test_text_that_is_no_json_is_not_shown() -> None:
    assert lines_of(Customer.model_validate_json, f'{{"name": "{SECRET}') == [("json_invalid", ())]
    assert lines_of(Customer.model_validate_json, f'{{"name": ["{SECRET}"]}}') == [("string_type", ("name",))]
    assert lines_of(Customer.model_validate_json, f'["{SECRET}"]') == [("model_type", ())]
    assert opened(Customer.model_validate_json('{"name": "x"}').name) == "x"
    strict = Customer.model_validate_json(b'{"name": "x"}', strict=True, context={"any": 1})
    assert opened(strict.name) == "x"


class Aliased(PersonalModel):
    model_config = ConfigDict(populate_by_name=True)
    name: Registered = Field(alias="theName")
    age: Annotated[int, tm.Registration] = Field(default=1, validation_alias="theAge")
    size: Annotated[int, tm.Registration] = Field(default=1, validation_alias=AliasChoices("s1", AliasPath("sizes", 0)))
    floor: Annotated[int, tm.Registration] = Field(default=1, validation_alias=AliasPath("floors", 0))
    note: int = Field(default=1, alias="theNote")

    @field_validator("name", "age", "size", "floor", mode="before")
    @classmethod
    def _checked(cls, value: Any) -> Any:
        if SECRET in str(value):
            raise ValueError(f"bad {value}")
        return value


def test_aliases_lead_to_their_fields() -> None:
    for given, place in (
        ({"theName": SECRET}, ("theName",)),
        ({"name": SECRET}, ("name",)),
        ({"theName": "x", "theAge": SECRET}, ("theAge",)),
        ({"theName": "x", "s1": SECRET}, ("s1",)),
        ({"theName": "x", "sizes": [SECRET]}, ("sizes",)),
        ({"theName": "x", "floors": [SECRET]}, ("floors",)),
    ):
        assert lines_of(Aliased.model_validate, given) == [("sealed_value", place)]
    with pytest.raises(ValidationError, match="input_value='shown'"):
        Aliased.model_validate({"theName": "x", "theNote": "shown"})


def says(value: Any) -> Any:
    raise PydanticCustomError("mine", "bad {value}", {"value": str(value)})


class Saying(PersonalModel):
    step: str
    name: Registered = Field(default_factory=lambda: Personal("x", tm.Registration))
    age: Annotated[int, tm.Registration] = 1
    keyed: dict[Registered, int] = {}

    @field_validator("name", mode="before")
    @classmethod
    def _field_before(cls, value: Any) -> Any:
        return says(value) if value == f"{SECRET} before" else value

    @field_validator("age", mode="after")
    @classmethod
    def _field_after(cls, value: int) -> Any:
        return says(f"{SECRET} {value}") if value == 13 else value

    @model_validator(mode="before")
    @classmethod
    def _before(cls, given: Any) -> Any:
        return says(given) if given["step"] == "before" else given

    @model_validator(mode="wrap")
    @classmethod
    def _wrap(cls, given: Any, handler: Any) -> Any:
        return says(given) if given["step"] == "wrap" else handler(given)

    @model_validator(mode="after")
    def _after(self) -> Any:
        return says(f"{SECRET} {self.age}") if self.step == "after" else self


class SayingMore(Saying):
    @model_validator(mode="after")
    def _later(self) -> Any:
        return says(f"{SECRET} {self.age}") if self.step == "later" else self


class Other(PersonalModel):
    """A second base, as deep as the first."""


class SayingMost(SayingMore, Other, Generic[T]):
    more: Personal[T, tm.Registration] | None = None

    @model_validator(mode="after")
    def _latest(self) -> Any:
        return says(f"{SECRET} {self.age}") if self.step == "latest" else self


@pytest.mark.parametrize("model", [Saying, SayingMore, SayingMost, SayingMost[int]], ids=lambda one: one.__name__)
def test_what_validators_say_is_not_told_in_any_place(model: type[PersonalModel]) -> None:
    class Plain(BaseModel):
        inside: model  # type: ignore[valid-type]  # made here

    class Holder(PersonalModel):
        many: list[model]  # type: ignore[valid-type]  # made here

    steps = ["before", "wrap", "after", *(["later"] if model is not Saying else [])]
    for given, place in (
        ({"step": "", "name": f"{SECRET} before"}, ("name",)),
        ({"step": "", "age": 13}, ("age",)),
        *(({"step": step, "name": SECRET}, ()) for step in [*steps, *(["latest"] if "Most" in model.__name__ else [])]),
    ):
        ways: list[tuple[Any, Any, tuple[int | str, ...]]] = [
            (model.model_validate, given, ()),
            (lambda given: model(**given), given, ()),
            (TypeAdapter(model).validate_python, given, ()),
            (TypeAdapter(list[model]).validate_python, [given], (0,)),  # type: ignore[valid-type]  # made here
            (TypeAdapter(Personal[model, tm.Registration]).validate_python, given, ()),  # type: ignore[valid-type]  # likewise
            (Plain.model_validate, {"inside": given}, ("inside",)),
            (Holder.model_validate, {"many": [given]}, ("many",)),
        ]
        for validate, value, around in ways:
            assert lines_of(validate, value) == [("sealed_value", (*around, *place))]


class Mixin:
    @model_validator(mode="wrap")
    @classmethod
    def _mixed(cls, given: Any, handler: Any) -> Any:
        return says(given)


class WithMixin(Mixin, Home): ...


class Tags(PersonalModel):
    tags: Annotated[dict[str, int], tm.Registration] = {}


@pytest.mark.parametrize(
    "validate",
    [
        lambda: Tags.model_validate({"tags": {SECRET: SECRET}}),
        lambda: Customer.model_validate(types.SimpleNamespace(street=SECRET), from_attributes=True),
        lambda: Customer.model_validate_strings({"name": "x", "age": SECRET}),
        lambda: Customer.model_validate_json(f'{{"name": "{SECRET}"'.encode()),
        lambda: Aliased.model_validate({"deep": [SECRET], "theAge": SECRET}),
        lambda: WithMixin.model_validate({"street": SECRET}),
    ],
    ids=["mapping", "object", "strings", "bytes", "alias that is missing", "mixin"],
)
def test_other_ways_in_are_as_quiet(validate: Callable[[], object]) -> None:
    refused(validate)


def test_keys_of_sealed_mappings_are_not_told() -> None:
    assert lines_of(Saying.model_validate, {"step": "", "keyed": {SECRET: SECRET}}) == [("int_parsing", ("keyed",))]


def test_extra_keys_are_named_and_their_values_not_shown() -> None:
    class Closed(PersonalModel):
        model_config = ConfigDict(extra="forbid")

    class Lead(Closed):
        name: Registered

    class Named(PersonalModel):
        model_config = ConfigDict(extra="forbid")
        name: Registered

    model: type[PersonalModel]
    for model in (Named, Lead):
        assert lines_of(model.model_validate, {"name": "x", "nmae": SECRET}) == [("extra_forbidden", ("nmae",))]
        # A key that is no misspelt name may be personal: what came in was keyed by people.
        for key in (SECRET, "Jane", "Naomi"):
            assert lines_of(model.model_validate, {"name": "x", key: {"name": "y"}}) == [("extra_forbidden", ())]


def test_what_was_to_be_set_on_what_is_frozen_is_not_shown() -> None:
    class Frozen(PersonalModel):
        model_config = ConfigDict(frozen=True)
        name: Registered
        age: Annotated[str, tm.Registration] = "1"
        note: str = "n"

    class Partly(PersonalModel):
        name: Registered = Field(frozen=True)
        note: str = Field(default="n", frozen=True)

    several: tuple[tuple[Any, str], ...] = ((Frozen, "frozen_instance"), (Partly, "frozen_field"))
    for model, kind in several:
        one = model(name="x")
        assert lines_of(setattr, one, "name", SECRET) == [(kind, ("name",))]
        with pytest.raises(ValidationError) as caught:
            one.note = "other"
        assert caught.value.errors()[0]["input"] == "other"
    assert lines_of(setattr, made(Frozen, name="x"), "age", SECRET) == [("frozen_instance", ("age",))]


def test_an_error_that_bears_the_name_of_one_of_pydantic_s_is_told_like_others() -> None:
    class Order(PersonalModel):
        shop: EmailStr  # whose error is called `value_error`, and has no `error` with it
        name: Registered

    given = {"shop": "no address", "name": [SECRET]}
    assert lines_of(Order.model_validate, given) == [("value_error", ("shop",)), ("string_type", ("name",))]
    assert lines_of(Order.model_validate, {"shop": "no address"}) == [
        ("value_error", ("shop",)),
        ("missing", ("name",)),
    ]


def test_fields_that_share_the_head_of_a_path_are_as_quiet_as_any_of_them() -> None:
    class Contact(PersonalModel):
        phone: Annotated[int, tm.Registration] = Field(validation_alias=AliasPath("contact", "phone"))
        floor: int = Field(validation_alias=AliasPath("contact", "floor"))
        name: Registered = Field(validation_alias=AliasChoices("name", AliasPath("row", 0)))
        room: int = Field(default=0, validation_alias=AliasPath("row", 1))
        open: int = Field(default=0, validation_alias=AliasPath("hours", 0))

    def given(**fields: object) -> Any:
        return {"contact": {"phone": 1, "floor": 1}, "row": ["x", 1], **fields}

    assert lines_of(Contact.model_validate, given(contact={"phone": SECRET, "floor": 1}))
    assert lines_of(Contact.model_validate, given(contact={"phone": 1, "floor": SECRET}))
    assert lines_of(Contact.model_validate, given(row=[[SECRET], 1]))
    with pytest.raises(ValidationError, match="hours") as caught:
        Contact.model_validate(given(hours=["noon"]))
    assert caught.value.errors()[0]["input"] == "noon"


def test_assignment_is_as_quiet() -> None:
    class Holder(PersonalModel):
        model_config = ConfigDict(validate_assignment=True)
        name: Registered
        age: Annotated[int, tm.Registration] = 1

        @model_validator(mode="after")
        def _after(self) -> Any:
            return says(f"{SECRET} {self.age}") if self.age == 13 else self

    holder = made(Holder, name="x")
    assert lines_of(setattr, holder, "name", [SECRET]) == [("string_type", ("name",))]
    assert lines_of(setattr, holder, "age", SECRET) == [("int_parsing", ("age",))]
    assert lines_of(setattr, holder, "age", 13) == [("sealed_value", ())]
    assert lines_of(setattr, holder, "nothing", SECRET) == [("no_such_attribute", ("nothing",))]


class MissingPlanError(LookupError):
    pass


def test_the_slip_of_a_validator_is_told_without_what_it_slipped_on() -> None:
    plans: dict[Any, Any] = {}

    class Holder(PersonalModel):
        name: Registered = Field(default_factory=lambda: Personal("x", tm.Registration))
        age: Annotated[Any, tm.Registration] = None
        kind: Any = None

        @field_validator("name", "age", mode="before")
        @classmethod
        def _look_up(cls, value: Any) -> Any:
            return plans[value]

        @field_validator("kind")
        @classmethod
        def _must_be_known(cls, value: Any) -> Any:
            raise MissingPlanError(value)

    for field in ("name", "age"):
        for given, kind in ((SECRET, "KeyError"), ([SECRET], "TypeError")):
            with pytest.raises(pg.SealedValue, match=rf"a validator of \S+Holder failed with {kind} in") as caught:
                Holder.model_validate({field: given})
            assert_quiet(caught.value)
    with pytest.raises(MissingPlanError):  # which says what it is meant to say
        Holder.model_validate({"kind": "none"})


def test_the_slip_of_a_validator_in_the_standard_library_is_told_without_its_text() -> None:
    def open_it(value: str) -> None:
        Path(f"/nonexistent/{value}").read_text(encoding="utf-8")

    def fail(value: str) -> None:
        raise RuntimeError(value)

    def stop(value: str) -> None:
        raise StopIteration(value)

    slips: list[tuple[Callable[[str], object], str]] = [
        (ZoneInfo, "ZoneInfoNotFoundError"),
        (open_it, "FileNotFoundError"),
        (fail, "RuntimeError"),
        (stop, "StopIteration"),
    ]
    for slip, kind in slips:

        class Holder(PersonalModel):
            zone: Annotated[str, tm.Registration, AfterValidator(slip)]

        with pytest.raises(pg.SealedValue, match=rf"failed with {kind}") as caught:
            Holder.model_validate({"zone": SECRET})
        assert_quiet(caught.value)


def test_what_pydantic_advises_against_is_as_quiet() -> None:
    with pytest.warns(PydanticDeprecatedSince20):
        assert lines_of(Customer.parse_raw, f'{{"name": "{SECRET}"') == [("sealed_value", ())]
    with pytest.warns(PydanticDeprecatedSince20):
        assert opened(Customer.parse_raw('{"name": "x"}').name) == "x"


def test_errors_of_a_root_are_as_quiet() -> None:
    class Names(PersonalModel, RootModel[list[Annotated[str, tm.Registration, AfterValidator(says)]]]):
        pass

    assert lines_of(Names.model_validate, [SECRET]) == [("sealed_value", ())]
    assert lines_of(Names.model_validate, SECRET) == [("list_type", ())]


def test_nested_errors_say_the_field_below() -> None:
    class Order(PersonalModel):
        buyer: Customer | None = None
        by_name: dict[str, list[Home]] = {}
        sealed: Personal[Home, tm.Registration] | None = None

    assert lines_of(Order.model_validate, {"buyer": {"name": [SECRET]}}) == [("string_type", ("buyer", "name"))]
    assert lines_of(Order.model_validate, {"by_name": {SECRET: [{"street": [SECRET]}]}}) == [
        ("string_type", ("by_name", "street"))
    ]
    assert lines_of(Order.model_validate, {"sealed": {"street": "s", "floor": SECRET}}) == [
        ("int_parsing", ("sealed", "floor"))
    ]


def test_an_error_can_be_raised_and_caught_as_pydantic_s_own() -> None:
    error = refused(Customer.model_validate, {"age": SECRET})
    assert error.error_count() == 2
    assert error.title == "Customer"
    assert error.__cause__ is error.__context__ is None
