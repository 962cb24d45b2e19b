"""`PersonalModel`: what is left out where models are nested, computed, or written by serialisers of their own."""

from __future__ import annotations

from typing import Annotated, Any, Generic

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    computed_field,
    field_serializer,
    model_serializer,
)

import purposeguard as pg
from purposeguard import Personal, PersonalModel
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import Registered, T, guard
from tests.unit.samples import Tape
from tests.unit.sealed_fields import SECRET, dumped, made, not_written

Wrap = SerializerFunctionWrapHandler

WITHHOLDING: Any = [{"mode": "withhold"}, {"context": {"withhold": True}}, {"mode": "json", "context": {"withhold": 1}}]


class Page(PersonalModel):
    number: int = 1


class Home(PersonalModel):
    street: Annotated[str, tm.Registration] = SECRET
    floor: int = 0


# --- nested


def test_models_without_personal_data_are_written_whole() -> None:
    class Answer(PersonalModel):
        page: Page = Page()
        pages: list[Page] = [Page(number=2)]
        homes: dict[str, Home] = {"a": Home()}
        device: Personal[str, tm.ProductData] = Field(default_factory=lambda: Personal(SECRET, tm.ProductData))

    class Plain(BaseModel):
        answer: Answer

    for options in WITHHOLDING:
        assert dumped(Page(), **options) == {"number": 1}
        written = {"page": {"number": 1}, "pages": [{"number": 2}], "homes": {"a": {"floor": 0}}}
        assert dumped(Answer(), tm.UsageAnalysis, **options) == written
        assert dumped(Plain(answer=Answer()), tm.UsageAnalysis, **options) == {"answer": written}
    with pytest.raises(pg.PurposeMissing):
        Page().model_dump(mode="withhold")  # whether there is anything to withhold is the purpose's to say


def test_what_is_nested_is_withheld_once() -> None:
    class Inner(PersonalModel):
        name: Registered = Field(default_factory=lambda: Personal("n", tm.Registration))

    class Middle(PersonalModel):
        inners: list[Inner] = Field(default_factory=lambda: [Inner(), Inner()])

    class Outer(PersonalModel):
        middle: Middle = Field(default_factory=Middle)

    tape = Tape()
    telling = pg.Guard(tm.NOTICE, ledger=tape)
    with telling.purpose(tm.RenewalGuidance, activity="first") as use:
        use.withhold(Outer()).model_dump()
    with telling.purpose(tm.RenewalGuidance, activity="second"):
        Outer().model_dump(mode="withhold")
    first, second = tape.uses
    assert first[1:] == second[1:]


def test_a_model_that_is_dumped_inside_of_another_dump_is_withheld_by_its_own_use() -> None:
    class Holder(PersonalModel):
        home: Home = Home()
        note: str = "n"

        @field_serializer("home")
        def _home(self, value: Home, info: SerializationInfo) -> Any:
            return [value.model_dump(mode="withhold"), made(Home).model_dump(mode="withhold", context=info.context)]

    with guard.purpose(tm.RenewalGuidance) as use, guard.purpose(tm.UsageAnalysis):
        mine = Holder().model_dump(mode="withhold", context={"use": use})
        assert mine == {"home": [{"floor": 0}, {"street": SECRET, "floor": 0}], "note": "n"}
        assert Holder().model_dump(mode="withhold")["home"] == [{"floor": 0}, {"floor": 0}]


def test_what_runs_in_a_circle_is_refused_and_its_refusals_still_say_the_field() -> None:
    class Worker(PersonalModel):
        name: Registered
        boss: Any = None

    worker = made(Worker, name="x")
    worker.boss = worker
    with guard.purpose(tm.UsageAnalysis), pytest.raises(pg.PurposeViolation) as caught:
        worker.model_dump(exclude={"boss"})
    assert caught.value.field == "name"
    with guard.purpose(tm.UsageAnalysis), pytest.raises(pg.UnlabelledData, match="circle"):
        worker.model_dump(mode="withhold")


# --- computed


class Person(PersonalModel):
    first: Registered
    plan: Annotated[str, tm.ProductData] = SECRET
    note: str = "n"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def loud(self) -> str:
        return self.plan.upper()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def noted(self) -> str:
        return f"{self.note}!"


def test_a_computed_field_that_needs_what_is_withheld_is_left_out() -> None:
    class Crowd(PersonalModel):
        people: list[Person]

    person = made(Person, first="a")
    left = {"first": "a", "note": "n", "noted": "n!"}
    for options in WITHHOLDING:
        assert dumped(person, **options) == left
        assert dumped(Crowd(people=[person]), **options) == {"people": [left]}
        assert dumped(person, exclude={"note": True}, **options) == {"first": "a", "noted": "n!"}
        assert dumped(person, include={"loud", "first"}, **options) == {"first": "a"}
    context = {"withhold": True}
    with guard.purpose(tm.RenewalGuidance):
        assert TypeAdapter(list[Person]).dump_python([person], context=context) == [left]
        assert person.model_dump_json(context=context) == '{"first":"a","note":"n","noted":"n!"}'
    everything = dumped(person, tm.ProductProvision, mode="withhold")
    assert everything == {**left, "plan": SECRET, "loud": SECRET.upper()}


def test_a_root_that_may_not_be_used_raises_the_violation() -> None:
    class Names(PersonalModel, RootModel[list[Registered]]):
        pass

    names = Names([Personal("x", tm.Registration)])  # pyright: ignore[reportCallIssue]  # of two bases, pyright asks the first
    assert dumped(names, mode="withhold") == ["x"]
    for options in WITHHOLDING:
        with guard.purpose(tm.UsageAnalysis), pytest.raises(pg.PurposeViolation):
            names.model_dump(**options)
    with guard.purpose(tm.UsageAnalysis):
        not_written(TypeAdapter(Names).dump_python, names, context={"withhold": True})


def test_what_is_only_observed_is_written_whole() -> None:
    observing = pg.Guard(tm.NOTICE, mode="observe")
    with observing.purpose(tm.UsageAnalysis) as use:
        assert Home().model_dump(mode="withhold") == {"street": SECRET, "floor": 0}
    context = {"use": use, "withhold": True}  # its block has ended, which is observed as well
    assert Home().model_dump(context=context) == {"street": SECRET, "floor": 0}


# --- serialisers


def test_serialisers_of_the_model_see_what_is_left() -> None:
    class Flat(Home):
        model_config = ConfigDict(frozen=True)

        @model_serializer(mode="wrap")
        def flat(self, handler: Wrap) -> dict[str, Any]:
            return {**handler(self), "kind": "home"}

    class Informed(Home):
        @model_serializer(mode="wrap")
        def informed(self, handler: Wrap, info: SerializationInfo) -> dict[str, Any]:
            return {**handler(self), "kind": info.mode}

    class Bare(Home):
        @model_serializer
        def bare(self) -> list[str]:
            return sorted(name for name, _ in self)

    class Told(Home):
        @model_serializer(mode="plain", return_type=dict[str, str])
        def told(self, info: SerializationInfo) -> Any:
            return {name: info.mode for name, _ in self}

    class Untyped(Home):
        @model_serializer(mode="wrap")
        def untyped(self, handler: Wrap):  # as untyped code has it
            return {**handler(self), "kind": "untyped"}

    class Json(Home):
        @model_serializer(mode="wrap", when_used="json")
        def json_only(self, handler: Wrap) -> dict[str, Any]:
            return {**handler(self), "kind": "json"}

    class Again(Flat):
        """Inherits one."""

    class Anew(Flat):
        @model_serializer(mode="wrap")
        def flat(self, handler: Wrap) -> dict[str, Any]:
            return {**super().flat(handler), "more": True}

    class Second(Home):
        @model_serializer(mode="wrap")
        def second(self, handler: Wrap) -> dict[str, Any]:
            return {**handler(self), "kind": "second"}

    class Both(Flat, Second):
        """Inherits two, of which the first counts."""

    full = {"street": SECRET, "floor": 0}
    for model, plain, left in (
        (Flat, {**full, "kind": "home"}, {"floor": 0, "kind": "home"}),
        (Again, {**full, "kind": "home"}, {"floor": 0, "kind": "home"}),
        (Both, {**full, "kind": "home"}, {"floor": 0, "kind": "home"}),
        (Anew, {**full, "kind": "home", "more": True}, {"floor": 0, "kind": "home", "more": True}),
        (Informed, {**full, "kind": "python"}, {"floor": 0, "kind": "python"}),
        (Bare, ["floor", "street"], ["floor"]),
        (Told, {"street": "python", "floor": "python"}, {"floor": "python"}),
        (Untyped, {**full, "kind": "untyped"}, {"floor": 0, "kind": "untyped"}),
        (Json, full, {"floor": 0}),
    ):
        one: Any = model()
        context = {"withhold": True}
        assert one.model_dump() == plain
        assert dumped(one, tm.UsageAnalysis, context=context) == left
        assert dumped(one, tm.RenewalGuidance, context=context) == plain
        with guard.purpose(tm.UsageAnalysis):
            assert TypeAdapter(list[model]).dump_python([one], context=context) == [left]  # type: ignore[valid-type]
            assert SECRET not in one.model_dump_json(context=context)
        with pytest.raises(pg.PurposeMissing):
            one.model_dump(context=context)
    assert dumped(Json(), tm.UsageAnalysis, mode="json", context={"withhold": True}) == {"floor": 0, "kind": "json"}
    assert dumped(Informed(), tm.UsageAnalysis, mode="withhold") == {"floor": 0, "kind": "withhold"}
    assert Told.model_json_schema(mode="serialization")["additionalProperties"] == {"type": "string"}
    assert Bare.model_json_schema(mode="serialization")["items"] == {"type": "string"}


def test_a_serialiser_of_a_base_that_is_no_personal_model_is_refused() -> None:
    class Mixin(BaseModel):
        @model_serializer(mode="wrap")
        def mixed(self, handler: Wrap) -> Any:
            return handler(self)

    with pytest.raises(TypeError, match="`mixed` from a base that is no PersonalModel"):
        type("Mixed", (Mixin, Home), {"__module__": __name__})

    class Mended(Mixin, Home):
        @model_serializer(mode="wrap")
        def mixed(self, handler: Wrap) -> Any:
            return handler(self)

    assert dumped(Mended(), tm.UsageAnalysis, mode="withhold") == {"floor": 0}


def test_generic_models_keep_the_serialiser() -> None:
    class Box(PersonalModel, Generic[T]):
        inside: T

        @model_serializer(mode="wrap")
        def flat(self, handler: Wrap) -> Any:
            return {**handler(self), "kind": "box"}

    box = Box[Annotated[str, tm.Registration]](inside=SECRET)
    assert dumped(box, tm.UsageAnalysis, mode="withhold") == {"kind": "box"}


def test_a_serialiser_of_a_field_is_given_what_is_opened() -> None:
    class Holder(PersonalModel):
        name: Registered

        @field_serializer("name", mode="wrap")
        def _name(self, value: Any, handler: Wrap) -> str:
            return f"mailto:{handler(value)}"

    holder = made(Holder, name="x")
    assert dumped(holder) == dumped(holder, mode="json") == {"name": "mailto:x"}
    assert dumped(holder, tm.UsageAnalysis, mode="withhold") == {}
    with guard.purpose(tm.UsageAnalysis), pytest.raises(pg.PurposeViolation):
        holder.model_dump()
    not_written(TypeAdapter(Holder).dump_python, holder)


# --- what is stated outside of the seal


def test_a_constraint_that_would_be_asked_of_the_seal_is_refused_when_the_class_is_made() -> None:
    def model(annotation: Any, **options: Any) -> Any:
        namespace = {"__annotations__": {"age": annotation}, "age": Field(**options), "__module__": __name__}
        return type("Model", (PersonalModel,), namespace)

    sealed = Personal[int, tm.Registration]
    for annotation in (sealed, sealed | None, Annotated[sealed, Field(le=7)]):
        with pytest.raises(TypeError, match=r"`age` of Model states `\w+` of the seal.*Annotated\[…, Field\(\w+=…\)\]"):
            model(annotation, ge=0)
    for options in ({"min_length": 1}, {"pattern": "a"}):
        with pytest.raises(TypeError, match="states"):
            model(Registered, **options)
    assert model(list[sealed], min_length=1).model_validate({"age": [1]})
    assert model(sealed, title="Age", alias="years", strict=True).model_validate({"years": 7})
    assert model(int, ge=0).model_validate({"age": 7})
