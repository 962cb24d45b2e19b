"""`PersonalModel`: quiet errors, refusals as they are, dumps that leave things out."""

from __future__ import annotations

import collections
import copy
import dataclasses
import json
from typing import Annotated, Any, NotRequired

import pytest
from pydantic import (
    BaseModel,
    EmailStr,
    Field,
    PlainSerializer,
    TypeAdapter,
    computed_field,
    create_model,
    field_serializer,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict

import purposeguard as pg
from purposeguard import Personal, PersonalModel
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.models import Registered, guard
from tests.unit.sealed_fields import SECRET, Customer, Home, assert_quiet, dumped, fail, made, not_written
from tests.unit.seals import words


def customer(**fields: Any) -> Customer:
    return Customer.model_validate({"name": SECRET, "homes": [{"street": SECRET}], **fields})


# --- refusals


def test_a_refused_dump_raises_the_violation_itself() -> None:
    for dump in (Customer.model_dump, Customer.model_dump_json):
        with guard.purpose(tm.UsageAnalysis), pytest.raises(pg.PurposeViolation) as violation:
            dump(customer())
        assert violation.value.decision.denied == (tm.Registration,)
        assert violation.value.__suppress_context__  # pydantic's error, which says the same as text
        assert_quiet(violation.value)
        with pytest.raises(pg.PurposeMissing, match="outside any purpose"):
            dump(customer())


def test_a_refused_dump_says_the_field() -> None:
    class Order(PersonalModel):
        buyer: Customer
        by_name: dict[str, tuple[Registered, Personal[str, tm.Contract]]] = {}
        keyed: dict[Personal[str, tm.ProductData], int] = {}

    order = Order.model_validate(
        {"buyer": {"name": "x", "homes": [{"street": "s"}]}, "by_name": {"a": ("b", "c")}, "keyed": {"k": 1}}
    )
    for purpose, leave_out, field in (
        (tm.UsageAnalysis, {}, "buyer.name"),
        (tm.RenewalGuidance, {}, "buyer.device"),
        (tm.UsageAnalysis, {"buyer": {"name", "device"}}, "buyer.homes[].street"),
        (tm.UsageAnalysis, {"buyer"}, "by_name[][]"),
        (tm.RenewalGuidance, {"buyer"}, "keyed[]"),
    ):
        with guard.purpose(purpose), pytest.raises(pg.PurposeViolation, match="in field") as caught:
            order.model_dump(exclude=leave_out)
        assert caught.value.field == field
    with pytest.raises(pg.PurposeMissing) as missing:
        order.model_dump()
    assert missing.value.__notes__ == ["in field `buyer.name` of Order"]


def test_what_is_computed_is_refused_without_a_field() -> None:
    class Person(PersonalModel):
        name: Registered

        @computed_field  # type: ignore[prop-decorator]
        @property
        def loud(self) -> Registered:
            return self.name.map(str.upper)

    with guard.purpose(tm.UsageAnalysis), pytest.raises(pg.PurposeViolation) as caught:
        made(Person, name="x").model_dump(include={"loud"})
    assert caught.value.field is None
    assert dumped(made(Person, name="x")) == {"name": "x", "loud": "X"}


def test_a_refusal_that_pydantic_would_pass_over_is_raised() -> None:
    class Holder(PersonalModel):
        either: Personal[int, tm.Registration] | Registered
        plain_or: Registered | int = 1

        device: Personal[str, tm.ProductData] = Personal("d", tm.ProductData)

    holder = Holder(either=Personal(SECRET, tm.Registration))
    assert dumped(holder, tm.ProductProvision) == {"either": SECRET, "plain_or": 1, "device": "d"}
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation) as caught:
        holder.model_dump()
    assert caught.value.field == "device"
    with pytest.warns(UserWarning, match="PurposeMissing"), pytest.raises(pg.PurposeMissing) as missing:
        holder.model_dump(include={"either"})
    assert_quiet(missing.value)
    with pytest.raises(pg.PurposeMissing):
        holder.model_dump_json(include={"either"})


def test_what_pydantic_recovers_from_is_no_refusal() -> None:
    class Holder(PersonalModel):
        either: Personal[Annotated[str, PlainSerializer(fail)], tm.Registration] | Registered

    assert dumped(Holder(either=Personal(SECRET, tm.Registration))) == {"either": SECRET}


def test_other_errors_of_a_dump_stay_what_they_are() -> None:
    class Holder(PersonalModel):
        name: Personal[Annotated[str, PlainSerializer(fail)], tm.Registration]
        plain: Annotated[str, PlainSerializer(fail)] = "x"
        constructed: Registered = Field(default=SECRET)  # type: ignore[arg-type]  # pydantic does not look at defaults

    holder = made(Holder, name=SECRET)
    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(pg.SealedValue, match="writing str failed") as caught:
            holder.model_dump(include={"name"})
        assert_quiet(caught.value, frames="none")  # which hold the plain default
        with pytest.raises(pg.SealedValue, match="never validated"):
            holder.model_dump(include={"constructed"})
        with pytest.raises(PydanticSerializationError, match="bad x"):
            holder.model_dump(include={"plain"})
        with pytest.raises(TypeError, match="names a use"):
            holder.model_dump(context={"use": 7})


def test_by_an_adapter_or_inside_a_plain_model_a_refusal_is_pydantic_s_error() -> None:
    class Plain(BaseModel):
        customer: Customer

    one = customer()
    for write in (TypeAdapter(Customer).dump_python, TypeAdapter(list[Customer]).dump_json):
        not_written(write, [one] if write.__name__ == "dump_json" else one)
    not_written(Plain(customer=one).model_dump)
    not_written(TypeAdapter(Customer).dump_python, one, context={"withhold": True})


# --- leaving out


def test_what_the_purpose_may_not_use_is_left_out() -> None:
    one = customer(name="x", homes=[{"street": "s"}])
    renewal = {"name": "x", "age": 7, "homes": [{"street": "s", "floor": 0}], "note": "n"}
    assert dumped(one, mode="withhold") == renewal
    assert dumped(one, tm.ProductProvision, mode="withhold") == {**renewal, "device": "d", "visits": 3}
    assert dumped(one, tm.UsageAnalysis, mode="withhold") == {"homes": [{"floor": 0}], "note": "n"}
    for context in ({"withhold": True}, {"withhold": 1, "other": 2}):
        assert dumped(one, context=context) == renewal
        assert dumped(one, mode="json", context=context) == renewal
        with guard.purpose(tm.UsageAnalysis):
            assert one.model_dump_json(context=context) == '{"homes":[{"floor":0}],"note":"n"}'
            adapter = TypeAdapter(list[Customer])
            assert adapter.dump_python([one], context=context) == [{"homes": [{"floor": 0}], "note": "n"}]
            assert adapter.dump_json([one], context=context) == b'[{"homes":[{"floor":0}],"note":"n"}]'


def test_other_options_hold_beside() -> None:
    one = customer(name="x", homes=[{"street": "s"}])
    assert dumped(one, mode="withhold", exclude={"homes"}, exclude_unset=True) == {"name": "x"}
    assert dumped(one, mode="withhold", include={"name", "device"}) == {"name": "x"}
    assert dumped(one, mode="withhold", include={"homes": {0: {"street"}}}) == {"homes": [{"street": "s"}]}
    for context in (None, {"withhold": False}, {"withhold": None}, ["withhold"]):
        with guard.purpose(tm.UsageAnalysis), pytest.raises(pg.PurposeViolation):
            one.model_dump(context=context)


def test_containers_whose_seals_may_not_all_be_opened_are_left_out_whole() -> None:
    class Holder(PersonalModel):
        items: list[Personal[str, tm.ProductData]]
        pair: tuple[Registered, Personal[str, tm.ProductData]]
        keyed: dict[Personal[str, tm.ProductData], int]
        inside: Personal[Home, tm.ProductData]
        names: list[Registered]

    holder = Holder.model_validate(
        {"items": ["a"], "pair": ["b", "c"], "keyed": {"k": 1}, "inside": {"street": "s"}, "names": ["n"]}
    )
    assert dumped(holder, mode="withhold") == {"names": ["n"]}
    full = dumped(holder, tm.ProductProvision, mode="withhold")
    assert full["keyed"] == {"k": 1}
    assert set(full) == set(Holder.model_fields)


def test_leaving_out_needs_a_purpose_and_takes_the_one_that_is_named() -> None:
    one = customer(name="x")
    for options in ({"mode": "withhold"}, {"context": {"withhold": True}}):
        with pytest.raises(pg.PurposeMissing):
            one.model_dump(**options)
    with guard.purpose(tm.RenewalGuidance) as use, guard.purpose(tm.UsageAnalysis):
        assert "name" not in one.model_dump(mode="withhold")
        assert one.model_dump(mode="withhold", context={"use": use})["name"] == "x"
        assert '"name":"x"' in one.model_dump_json(context={"use": use, "withhold": True})
    with pytest.raises(pg.PurposeMissing, match="has ended"):
        one.model_dump(mode="withhold", context={"use": use})
    with pytest.raises(TypeError, match="names a use"):
        one.model_dump(mode="withhold", context={"use": 7})
    second = pg.Guard(tm.NOTICE)
    with guard.purpose(tm.RenewalGuidance), second.purpose(tm.UsageAnalysis), pytest.raises(pg.PurposeMissing):
        one.model_dump(mode="withhold")


def test_withheld_copies_dump_what_they_are_left_with() -> None:
    one = customer(name="x", homes=[{"street": "s"}])
    with guard.purpose(tm.RenewalGuidance) as use:
        shown = use.withhold(one)
        assert isinstance(shown, Customer)
        assert shown.model_dump() == shown.model_dump(mode="withhold") == one.model_dump(mode="withhold")
        assert shown.model_dump_json() == one.model_dump_json(context={"withhold": True})
    with pytest.raises(pg.PurposeMissing):
        shown.model_dump()


# --- a model like others


def test_it_is_a_model_like_others() -> None:
    class Plain(BaseModel):
        email: Personal[EmailStr, tm.Registration]
        note: str = "n"

    class Quiet(PersonalModel):
        email: Personal[EmailStr, tm.Registration]
        note: str = "n"

    plain, quiet = made(Plain, email="a@example.com"), made(Quiet, email="a@example.com")
    assert dumped(quiet) == dumped(plain)
    assert str(quiet) == str(plain)
    for mode in ("validation", "serialization"):
        schemas: list[Any] = [kind.model_json_schema(mode=mode) for kind in (Plain, Quiet)]
        assert schemas[1] == {**schemas[0], "title": "Quiet"}
    assert Quiet.model_validate(quiet) is quiet
    assert quiet.model_copy(deep=True) == copy.deepcopy(quiet) == quiet
    assert list(Quiet.model_fields) == ["email", "note"]
    with guard.purpose(tm.RenewalGuidance):
        assert Quiet.model_validate(quiet.model_dump()).model_dump() == quiet.model_dump()
        assert Quiet.model_validate_json(quiet.model_dump_json()).model_dump() == quiet.model_dump()


@pytest.mark.parametrize(
    "slip",
    [{"mode": "withold"}, {"mode": "with-hold"}, {"context": {"withold": True}}, {"context": {"Withhold": True}}],
    ids=str,
)
def test_a_misspelt_wish_to_leave_out_is_refused(slip: dict[str, Any]) -> None:
    """It would write all that is tagged, which is plain."""

    class Tagged(PersonalModel):
        email: Annotated[str, tm.Registration] = SECRET

    class Plain(BaseModel):
        email: Registered

    word = next(iter(slip["context"])) if "context" in slip else slip["mode"]
    said = f"a dump leaves out what may not be used by `withhold`, not by `{word}`"
    with guard.purpose(tm.UsageAnalysis):
        with pytest.raises(TypeError) as refused:
            Tagged().model_dump(**slip)
        assert words(refused) == said
        with pytest.raises(PydanticSerializationError, match=said):
            Plain.model_validate({"email": "x"}).model_dump(**slip)
    assert Tagged().model_dump(mode="other", context={"hold": 1, 5: 6}) == {"email": SECRET}


# --- Dataclasses in it


@dataclasses.dataclass
class Contact:
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData] = SECRET


@dataclasses.dataclass(slots=True)
class SlottedContact:
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData] = SECRET
    inner: Contact | None = None


@pydantic_dataclass
class ValidatedContact:
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData] = SECRET


def of(generic: Any, first: Any, *more: Any) -> Any:
    """The generic class with these in brackets, which type checkers need not follow."""
    return generic[(first, *more) if more else first]


@pytest.mark.parametrize("cls", [Contact, SlottedContact, ValidatedContact], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("base", [PersonalModel, BaseModel], ids=lambda base: base.__name__)
def test_dataclasses_in_it_are_written_without_what_may_not_be_used(cls: Any, base: Any) -> None:
    made: Any = create_model
    fields: dict[str, Any] = {"one": cls, "many": of(list, cls), "named": of(dict, str, cls)}
    holder = made("Holder", __base__=base, **{name: (hint, ...) for name, hint in fields.items()})
    value = holder(one=cls("e"), many=[cls("f")], named={"a": cls("g")})
    how: Any = {"context": {"withhold": True}}
    with guard.purpose(tm.RenewalGuidance) as use:
        copy: Any = use.withhold(value)
        written = [copy.model_dump(), copy.model_dump(mode="json"), json.loads(copy.model_dump_json())]
        if base is PersonalModel:
            written += [
                value.model_dump(**how),
                value.model_dump(mode="withhold"),
                json.loads(value.model_dump_json(**how)),
            ]
        excluded = copy.model_dump(exclude={"one": {"email"}, "many": True})
        with pytest.raises(pg.PurposeViolation):
            copy.one.device  # noqa: B018  # a dump changes nothing of it
    for row in written:
        assert SECRET not in str(row)
        assert [row["one"]["email"], row["many"][0]["email"], row["named"]["a"]["email"]] == ["e", "f", "g"]
    assert "many" not in excluded
    assert "email" not in excluded["one"]


def test_dataclasses_in_dataclasses_and_where_nothing_can_be_left_out() -> None:
    class Holder(PersonalModel):
        outer: SlottedContact
        some: collections.deque[Contact] = collections.deque()

    value = Holder(outer=SlottedContact("e", inner=Contact("f")))
    with guard.purpose(tm.RenewalGuidance):
        assert value.model_dump(mode="withhold", exclude={"some"}) == {"outer": {"email": "e", "inner": {"email": "f"}}}
        value.some.append(Contact("g"))
        # Which of the two hangs on the version of pydantic.
        with pytest.raises((pg.PurposeViolation, PydanticSerializationError)):
            value.model_dump(mode="withhold")


def test_who_asks_for_what_a_dump_leaves_out_is_refused() -> None:
    asked: list[str] = []

    class Holder(PersonalModel):
        contact: Contact

        @field_serializer("contact")
        def told(self, contact: Contact) -> str:
            asked.append("told")
            return f"{contact.email} {contact.device}"

    with guard.purpose(tm.RenewalGuidance), pytest.raises(PydanticSerializationError, match="PurposeViolation"):
        Holder(contact=Contact("e")).model_dump(mode="withhold")
    assert asked == ["told"]


class Row(TypedDict):
    email: Annotated[str, tm.Registration]
    device: NotRequired[Annotated[str, tm.ProductData]]


def test_rows_in_it_are_written_without_what_may_not_be_used() -> None:
    class Holder(PersonalModel):
        rows: list[Row]
        contact: Contact

    value = Holder(rows=[{"email": "e", "device": SECRET}], contact=Contact("f"))
    with guard.purpose(tm.RenewalGuidance):
        assert value.model_dump(mode="withhold") == {"rows": [{"email": "e"}], "contact": {"email": "f"}}
