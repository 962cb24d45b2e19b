"""Writing sealed fields: as their type is written, only where a purpose that may use them is under way or named."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import warnings
from typing import Annotated, Any

import pytest
from pydantic import (
    BaseModel,
    Field,
    PlainSerializer,
    RootModel,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    WrapSerializer,
    computed_field,
    field_serializer,
)
from pydantic_core import PydanticSerializationError, to_json

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.opener import find_opener
from tests.unit.models import Registered, guard
from tests.unit.samples import SMALL, Tape
from tests.unit.sealed_fields import SECRET, dumped, fail, made, not_written, validated, ways_to_write
from tests.unit.sealed_kinds import KINDS, Colour


class Address(BaseModel):
    street: str = Field(serialization_alias="theStreet")
    floor: int | None = None
    number: int = 1


class Customer(BaseModel):
    name: Registered = Field(serialization_alias="theName")
    age: Personal[int, tm.Registration] = Field(default_factory=lambda: Personal(1, tm.Registration))
    note: str = "n"


# --- what is written


@pytest.mark.parametrize(
    ("annotation", "given"),
    [
        *KINDS,
        *(
            pytest.param(annotation, given, id=name)
            for name, annotation, given in [
                ("plain-serializer", Annotated[int, PlainSerializer(hex)], 7),
                ("wrap-serializer", Annotated[int, WrapSerializer(lambda value, handler: f"{handler(value)}!")], 7),
                ("sealed-twice", Personal[int, tm.Contract], 7),
            ]
        ),
    ],
)
def test_a_sealed_field_is_written_as_its_type_is(annotation: Any, given: Any) -> None:
    plain, sealed = TypeAdapter(annotation), TypeAdapter(Personal[annotation, tm.Registration])
    of_plain, of_sealed = plain.validate_python(given), sealed.validate_python(given)
    with guard.purpose(tm.RenewalGuidance):
        every: list[dict[str, Any]] = [{}, {"by_alias": True}, {"exclude_none": True}, {"exclude_defaults": True}]
        for options in every:
            for mode in ("python", "json"):
                expected: Any = plain.dump_python(of_plain, mode=mode, **options)
                assert sealed.dump_python(of_sealed, mode=mode, **options) == expected
            assert sealed.dump_json(of_sealed, **options) == plain.dump_json(of_plain, **options)


def test_what_a_dump_leaves_out_it_does_not_open() -> None:
    tape = Tape()
    counting = pg.Guard(tm.NOTICE, ledger=tape)
    customer = made(Customer, name="x")
    assert customer.model_dump(include={"note"}) == {"note": "n"}
    assert customer.model_dump(exclude={"name", "age"}) == {"note": "n"}
    assert customer.model_dump(exclude={"name"}, exclude_unset=True) == {}
    with counting.purpose(tm.RenewalGuidance):
        assert customer.model_dump(include={"name"}) == {"name": "x"}
        assert customer.model_dump(exclude_unset=True, by_alias=True) == {"theName": "x"}
        assert customer.model_dump(exclude={"name"}, round_trip=True) == {"age": 1, "note": "n"}
    assert [count for *_, count in tape.uses] == [3]


def test_a_sealed_default_is_left_out_as_a_default_unopened() -> None:
    default = Personal(7, tm.Registration)

    class Holder(BaseModel):
        age: Personal[int, tm.Registration] = default

    assert Holder().model_dump(exclude_defaults=True) == {}
    assert Holder(age=default).model_dump(exclude_defaults=True) == {}
    # What merely is equal is not compared: it would have to be opened for it.
    assert dumped(made(Holder, age=7), exclude_defaults=True) == {"age": 7}


def test_parts_of_a_sealed_model_can_be_left_out() -> None:
    class Holder(BaseModel):
        home: Personal[Address, tm.Registration]
        others: Personal[list[Address], tm.Registration]

    holder = Holder.model_validate({"home": {"street": "x"}, "others": [{"street": "y"}]})
    assert dumped(holder, include={"home": {"street"}}) == {"home": {"street": "x"}}
    others = dumped(holder, exclude={"others": {"__all__": {"floor"}}, "home": True})
    assert others == {"others": [{"street": "y", "number": 1}]}
    assert dumped(holder, exclude_none=True, by_alias=True)["home"] == {"theStreet": "x", "number": 1}


@pytest.mark.filterwarnings("error")
def test_sealed_values_in_containers_keys_and_roots_are_written() -> None:
    class Holder(BaseModel):
        items: list[Registered]
        keyed: dict[Registered, Personal[int, tm.Registration]]
        pair: tuple[Registered, int]
        some: set[Registered]
        maybe: Registered | None = None

    given = {"items": ["a", "b"], "keyed": {"k": 1}, "pair": ("p", 2), "some": {"s"}, "maybe": None}
    holder = Holder.model_validate(given)
    assert dumped(holder) == given
    assert dumped(holder, mode="json") == {**given, "pair": ["p", 2], "some": ["s"]}
    for write in ways_to_write(holder):
        not_written(write)
    root = RootModel[list[Registered]].model_validate(["a"])
    assert dumped(root) == ["a"]
    not_written(root.model_dump)


class Loose(BaseModel, extra="allow"):
    either: Personal[int, tm.Registration] | Registered = Personal(1, tm.Registration)
    plain_or: Registered | int = 1
    anything: Any = None


@pytest.mark.filterwarnings("error")
def test_unions_of_sealed_types_are_written_in_a_purpose() -> None:
    for fields in ({"either": "x"}, {"either": 7}, {"plain_or": "x"}, {"plain_or": 7}):
        name = next(iter(fields))
        assert dumped(Loose.model_validate(fields), include={name}) == fields
        assert dumped(Loose.model_validate(fields), include={name}, mode="json") == fields


def test_a_union_none_of_whose_members_the_value_is_of_does_not_show_it() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Personal[int, tm.Registration] | Personal[list[int], tm.Registration])
    value = Personal(SECRET, tm.Registration)
    with warnings.catch_warnings(record=True) as caught, guard.purpose(tm.RenewalGuidance):
        warnings.simplefilter("always")
        assert adapter.dump_python(value) is value
        not_written(adapter.dump_json, value)
    assert not [one for one in caught if SECRET in str(one.message)]


def test_where_pydantic_knows_no_type_no_value_is_written() -> None:
    """A limit, written down in the guide: pydantic goes on after a refusal in a union, and by itself under `Any`.

    It writes JSON of no seal, and in Python the seal as it is.
    """
    sealed = Personal(SECRET, tm.Registration)
    for fields in ({"either": sealed}, {"plain_or": sealed}, {"anything": sealed}, {"more": sealed}):
        name = next(iter(fields))
        loose = Loose.model_validate(fields)
        not_written(loose.model_dump_json, include={name})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert loose.model_dump(include={name}) == fields
        assert not [one for one in caught if SECRET in str(one.message)]
    not_written(to_json, [sealed])


def test_a_dump_in_a_purpose_is_taken_back_in() -> None:
    class Order(BaseModel):
        customer: Customer
        colours: dict[str, Personal[Colour, tm.Contract]]

    order = Order.model_validate({"customer": {"name": "x", "age": "7"}, "colours": {"a": "red"}})
    with guard.purpose(tm.RenewalGuidance):
        for again in (
            Order.model_validate(order.model_dump()),
            Order.model_validate_json(order.model_dump_json(round_trip=True)),
            Order.model_validate(dict(order)),
        ):
            assert again.model_dump() == order.model_dump()
            assert again.customer.name.label == order.customer.name.label


# --- serialisers of the model


def test_serialisers_on_top_see_the_seal_and_what_the_handler_gives_them_is_opened() -> None:
    class Holder(BaseModel):
        name: Registered
        age: Personal[int, tm.Registration] = Personal(1, tm.Registration)

        @field_serializer("name")
        def _name(self, value: Registered) -> str:
            return f"{value}"

        @field_serializer("age", mode="wrap")
        def _age(self, value: Any, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> int:
            return int(handler(value)) + 1

    holder = made(Holder, name=SECRET)
    assert holder.model_dump(include={"name"}) == {"name": "<sealed 1.1(a)>"}
    assert dumped(holder, include={"age"}) == {"age": 2}
    not_written(holder.model_dump, include={"age"})


def test_computed_fields_that_give_sealed_values_are_written_like_others() -> None:
    class Person(BaseModel):
        first: Registered
        last: Registered

        @computed_field  # type: ignore[prop-decorator]
        @property
        def full(self) -> Registered:
            return self.first.zip(self.last).map(" ".join)

    person = made(Person, first="a", last="b")
    assert dumped(person) == {"first": "a", "last": "b", "full": "a b"}
    assert dumped(person, round_trip=True) == {"first": "a", "last": "b"}
    not_written(person.model_dump, include={"full"})
    schema = Person.model_json_schema(mode="serialization")["properties"]["full"]
    assert schema == {"readOnly": True, "title": "Full", "type": "string", "x-collected-under": ["1.1(a)"]}


def test_a_serialiser_that_fails_does_not_tell_the_value() -> None:
    for serialiser in (PlainSerializer(fail), WrapSerializer(lambda value, handler: fail(value))):
        sealed = validated(Personal[Annotated[str, serialiser], tm.Registration], SECRET)
        adapter = TypeAdapter(Personal[Annotated[str, serialiser], tm.Registration])
        with guard.purpose(tm.RenewalGuidance):
            for write in (adapter.dump_python, adapter.dump_json):
                assert "writing str failed" in str(not_written(write, sealed))
    unwritable = validated(Personal[Any, tm.Registration], object())
    with guard.purpose(tm.RenewalGuidance):
        not_written(TypeAdapter(Personal[Any, tm.Registration]).dump_json, unwritable)


def test_a_function_given_to_map_runs_when_the_field_is_written_and_may_fail() -> None:
    customer = Customer(
        name=Personal("x", tm.Registration).map(str.upper), age=Personal(SECRET, tm.Registration).map(int)
    )
    assert dumped(customer, include={"name"}) == {"name": "X"}
    with guard.purpose(tm.RenewalGuidance):
        error = not_written(customer.model_dump)
    assert "`int`" in str(error)


def test_a_plain_model_leaves_nothing_out_and_says_what_does() -> None:
    customer = Customer.model_validate({"name": "x"})
    with guard.purpose(tm.UsageAnalysis) as use:
        with pytest.raises(PydanticSerializationError, match=r"derive from `pg\.PersonalModel`") as caught:
            customer.model_dump(mode="withhold")
        assert isinstance(caught.value.__cause__, pg.PurposeViolation)
        assert use.withhold(customer).model_dump(mode="withhold") == {"note": "n"}
        with pytest.raises(PydanticSerializationError, match="exclude the field, or write it under a purpose"):
            customer.model_dump()


# --- where it is refused


def test_the_violation_itself_is_the_cause_where_pydantic_keeps_causes() -> None:
    with guard.purpose(tm.UsageAnalysis):
        error = not_written(made(Customer, name=SECRET).model_dump)
    assert isinstance(error.__cause__, pg.PurposeViolation)
    assert error.__cause__.decision.denied == (tm.Registration,)


def test_what_is_sealed_inside_a_sealed_value_is_refused_by_its_own_sources() -> None:
    class Device(BaseModel):
        serial: Personal[str, tm.ProductData]

    class Holder(BaseModel):
        device: Personal[Device, tm.Registration]

    holder = Holder.model_validate({"device": {"serial": SECRET}})
    assert holder.device.label == pg.Label(tm.Registration, tm.ProductData)
    assert dumped(holder, tm.ProductProvision) == {"device": {"serial": SECRET}}
    made = Personal("x", tm.Registration).map(lambda _: Device(serial=Personal(SECRET, tm.ProductData)))
    assert made.label == pg.Label(tm.Registration)
    for one in (holder, Holder(device=made)):
        with guard.purpose(tm.RenewalGuidance):
            assert "product-data (1.1(b))" in str(not_written(one.model_dump))


def test_a_field_that_holds_a_plain_value_is_not_written() -> None:
    customer = made(Customer, name="x")
    for one in (
        Customer.model_construct(name=SECRET),
        customer.model_copy(update={"name": SECRET}),
        Customer.model_construct(name=None),
    ):
        with guard.purpose(tm.RenewalGuidance):
            assert "never validated" in str(not_written(one.model_dump))


# --- whose purpose


def test_a_use_can_be_named_in_the_context() -> None:
    customer = made(Customer, name="x")
    with guard.purpose(tm.RenewalGuidance) as use, guard.purpose(tm.UsageAnalysis):
        not_written(customer.model_dump)
        assert customer.model_dump(include={"name"}, context={"use": use}) == {"name": "x"}
        assert customer.model_dump_json(include={"name"}, context={"use": use}) == '{"name":"x"}'
        adapter = TypeAdapter(list[Registered])
        assert adapter.dump_python([customer.name], context={"use": use}) == ["x"]
    assert "has ended" in str(not_written(customer.model_dump, context={"use": use}))


@pytest.mark.parametrize("context", [{}, {"used": 1}, ["use"], None], ids=str)
def test_another_context_changes_nothing(context: Any) -> None:
    customer = made(Customer, name="x")
    assert "outside any purpose" in str(not_written(customer.model_dump, context=context))
    assert dumped(customer, context=context, include={"name"}) == {"name": "x"}


@pytest.mark.parametrize("wrong", [None, 7, tm.RenewalGuidance, guard])
def test_what_is_named_in_the_context_must_be_a_use(wrong: Any) -> None:
    with guard.purpose(tm.RenewalGuidance):
        error = not_written(made(Customer, name="x").model_dump, context={"use": wrong})
    assert isinstance(error.__cause__, TypeError)
    assert "names a use" in str(error)


def test_of_several_guards_the_one_whose_notice_it_is_decides() -> None:
    small = pg.Notice.loads(SMALL)
    other, second = pg.Guard(small), pg.Guard(tm.NOTICE)
    customer = made(Customer, name="x")
    with other.purpose("3(2)①") as theirs:
        # The only use there is decides, and does not know the sources of another notice.
        assert "UnknownSource" in str(not_written(customer.model_dump))
        with guard.purpose(tm.RenewalGuidance) as use:
            assert customer.model_dump()["name"] == "x"
            with second.purpose(tm.ProductGuidance):
                assert "several guards" in str(not_written(customer.model_dump))
                assert customer.model_dump(context={"use": use})["name"] == "x"
            not_written(customer.model_dump, context={"use": theirs})
            mine = Personal(1, small.source("1(a)"))
            assert find_opener(mine.label) is theirs
            assert find_opener(customer.name.label) is use


def test_a_use_that_has_ended_does_not_stand_in_the_way_of_one_under_way() -> None:
    customer, second = made(Customer, name="x"), pg.Guard(tm.NOTICE)

    def within() -> None:
        with contextlib.ExitStack() as stack:
            # Left in another context, it cannot restore the one before here.
            stack.enter_context(guard.purpose(tm.RenewalGuidance))
            asyncio.run(_left(stack.pop_all()))
            assert "has ended" in str(not_written(customer.model_dump))
            with second.purpose(tm.RenewalGuidance):
                assert customer.model_dump()["name"] == "x"

    contextvars.copy_context().run(within)  # what is left in it is no other test's


async def _left(stack: contextlib.ExitStack) -> None:
    stack.close()
