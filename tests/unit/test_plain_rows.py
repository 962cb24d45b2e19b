"""Personal models that hold a plain row: when it is written as it is, when not, and that nothing else leads to it."""

from __future__ import annotations

import asyncio
import copy
import datetime
import functools
import inspect
import json
import pickle
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from contextvars import copy_context
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticSerializationError, core_schema

import purposeguard as pg
from purposeguard.errors import SealedValue
from purposeguard.integrations.passport import without_purpose
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values import plain_row
from purposeguard.values.plain_row import find_row
from tests.bypass.seal_looking import leaks
from tests.support import in_threads
from tests.unit.models import C, D, R, guard
from tests.unit.oversights import Counting
from tests.unit.samples import revised
from tests.unit.sealed_fields import SECRET, assert_quiet, made, refused
from tests.unit.test_counting_ledger import forbidding


class Member(pg.PersonalModel):
    number: int
    name: pg.Personal[str, tm.Registration]
    device: pg.Personal[str, tm.ProductData] | None = None


class Person(pg.PersonalModel):
    model_config = ConfigDict(ser_json_timedelta="float", serialize_by_alias=False)

    email: pg.Personal[EmailStr, tm.Registration] = Field(serialization_alias="eMail")
    born: pg.Personal[datetime.date, tm.Registration]
    waits: datetime.timedelta = datetime.timedelta(seconds=1)


INPUT = {"number": 1, "name": "Sato", "device": "phone"}
PERSON = {"email": "a@example.com", "born": "2000-01-31"}
MEMBERS = TypeAdapter(list[Member])


def members(count: int = 3) -> list[Member]:
    return MEMBERS.validate_python([INPUT] * count)


def rows_left(models: Sequence[BaseModel]) -> int:
    """How many of the models hold a row."""
    return sum(find_row(model) is not None for model in models)


def test_a_row_stays_a_row_until_a_field_is_read() -> None:
    several = members()
    with guard.purpose(tm.ProductProvision) as use:
        for _ in range(2):
            assert MEMBERS.dump_python(several) == [INPUT] * 3
            assert json.loads(MEMBERS.dump_json(several)) == [INPUT] * 3
            assert several[0].model_dump() == json.loads(several[0].model_dump_json()) == INPUT
        assert rows_left(several) == 3
        assert use.open(several[0].name) == "Sato"
        assert rows_left(several) == 2
        assert MEMBERS.dump_python(several) == [INPUT] * 3


READS: dict[str, Callable[[Any], Any]] = {
    "attribute": lambda model: model.name,
    "dict": lambda model: model.__dict__["name"],
    "vars": lambda model: vars(model)["name"],
    "iteration": lambda model: dict(model)["name"],
    "copy": lambda model: copy.copy(model).name,
    "deepcopy": lambda model: copy.deepcopy(model).name,
    "model_copy": lambda model: model.model_copy(update={"number": 2}).name,
    "model_construct": lambda model: model.model_construct(name=model.name).name,
    "repr_args": lambda model: dict(model.__repr_args__())["name"],
    "validated again": lambda model: Member.model_validate(model).name,
    "from attributes": lambda model: Member.model_validate(model, from_attributes=True).name,
    "in a list": lambda model: MEMBERS.validate_python([model])[0].name,
    "new": lambda model: model.__class__(**dict(model)).name,
}


@pytest.mark.parametrize("way", READS)
def test_every_way_to_a_field_leads_to_a_sealed_value(way: str) -> None:
    value = READS[way](members(1)[0])
    with guard.purpose(tm.ProductProvision) as use:
        assert use.open(value) == "Sato"


def test_nothing_leads_to_the_row() -> None:
    (model,) = members(1)
    assert "_row" not in dir(model)
    for name in ("_row", "__purposeguard_row__"):
        with pytest.raises(AttributeError):
            getattr(model, name)
        with pytest.raises(AttributeError):
            object.__getattribute__(model, name)
    for refuse in (pickle.dumps, lambda each: json.dumps(each, default=vars)):
        with pytest.raises((SealedValue, TypeError)):
            refuse(model)
    assert "Sato" not in str(object.__reduce_ex__(model, 2)[2])
    assert "Sato" not in f"{model} {model!r} {inspect.getmembers_static(model)}"


def test_setting_and_deleting_a_field_concern_the_attributes() -> None:
    first, second, third = members()
    first.number = 7
    second.name = pg.Personal("Kato", tm.Registration)
    del third.device
    third.model_fields_set.discard("device")
    with guard.purpose(tm.ProductProvision):
        assert MEMBERS.dump_python([first, second, third]) == [
            {**INPUT, "number": 7}, {**INPUT, "name": "Kato"}, {"number": 1, "name": "Sato"},
        ]  # fmt: skip
    other = members(1)[0]
    object.__setattr__(other, "__dict__", {"number": 1, "name": pg.Personal("Ito", tm.Registration), "device": None})
    with guard.purpose(tm.ProductProvision) as use:
        assert use.open(other.name) == "Ito"


def test_sealed_input_is_held_beside_rows() -> None:
    sealed = Member(number=1, name=pg.Personal("Sato", tm.Registration), device=None)
    with guard.purpose(tm.ProductProvision):
        MEMBERS.dump_python(members())
        for _ in range(2):
            assert sealed.model_dump() == {"number": 1, "name": "Sato", "device": None}
            assert MEMBERS.dump_python([sealed, *members(1)])[0]["name"] == "Sato"


def test_two_threads_settle_a_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    (model,) = members(1)
    waiting, settled = threading.Event(), threading.Event()

    class Lock:
        """Lets the first thread wait here until the second one has settled the model."""

        def __enter__(self) -> None:
            if not waiting.is_set():
                waiting.set()
                assert settled.wait(10)

        def __exit__(self, *_: object) -> None:
            pass

    def settle_meanwhile() -> None:
        assert waiting.wait(10)
        read.append(model.name)
        settled.set()

    monkeypatch.setattr(plain_row, "_settling", Lock())
    read: list[Any] = []
    in_threads([lambda: read.append(model.name), settle_meanwhile])
    assert read[0] is read[1]


def test_classes_with_methods_of_their_own_hold_no_rows() -> None:
    class Counted(pg.PersonalModel):
        name: pg.Personal[str, tm.Registration]

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)

    class Watched(pg.PersonalModel):
        name: pg.Personal[str, tm.Registration]

        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)

    with guard.purpose(tm.ProductProvision) as use:
        for cls in (Counted, Watched):
            several = [made(cls, name="Sato") for _ in range(2)]
            assert TypeAdapter(list[cls]).dump_python(several) == [{"name": "Sato"}] * 2  # type: ignore[valid-type]
            assert rows_left(several) == 0
            assert use.open(several[0].name) == "Sato"  # type: ignore[attr-defined]


def test_a_state_that_is_set_becomes_the_attributes() -> None:
    state = members(1)[0].__getstate__()
    bare = object.__new__(Member)
    bare.__setstate__(state)
    with guard.purpose(tm.ProductProvision) as use:
        assert use.open(bare.name) == "Sato"
        assert bare.model_dump() == INPUT


def test_rows_that_say_whose_they_are_are_opened_for_their_subjects() -> None:
    class Owned(pg.PersonalModel):
        number: Annotated[int, pg.Subject]
        name: pg.Personal[str, tm.Registration]

    several = [made(Owned, number=number, name="Sato") for number in range(3)]
    with guard.purpose(tm.ProductProvision):
        for _ in range(2):
            assert TypeAdapter(list[Owned]).dump_python(several)[2] == {"number": 2, "name": "Sato"}
            assert several[0].model_dump() == {"number": 0, "name": "Sato"}


def primed(use: Any) -> list[Member]:
    """Models that a use has written once, so that it writes the next rows as they are."""
    several = members()
    MEMBERS.dump_python(several)
    assert use.active
    return several


def test_a_row_is_written_under_no_other_use_than_the_one_that_may() -> None:
    def dump() -> Any:
        return several[0].model_dump()

    with guard.purpose(tm.ProductProvision) as use:
        several = primed(use)
        assert Person.model_validate(PERSON).model_dump()["email"] == "a@example.com"
        with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation):
            dump()
        assert dump() == INPUT
        with pg.Guard(tm.NOTICE).purpose(tm.ProductProvision), pytest.raises(pg.PurposeMissing):
            dump()  # Two uses are under way.
        assert dump() == INPUT
        with without_purpose(guard), pytest.raises(pg.PurposeMissing):
            dump()
        assert dump() == INPUT
        context = copy_context()
        with pytest.raises(pg.PurposeMissing):
            in_threads([lambda: context.run(dump)])
    with pytest.raises(pg.PurposeMissing):
        dump()


def test_a_revision_that_forbids_a_source_ends_the_shortcut() -> None:
    own = pg.Guard(tm.NOTICE)
    with own.purpose(tm.ProductProvision) as use:
        several = primed(use)
        own.replace(revised(tm.NOTICE, forbidding("1.1(b)", "1.2(2)①")))
        with pytest.raises(pg.PurposeViolation):
            several[0].model_dump()
        with pytest.raises(Exception, match="may not use"):
            MEMBERS.dump_python(several)


def test_each_sealed_value_of_a_row_is_counted() -> None:
    ledger = Counting()
    own = pg.Guard(tm.NOTICE, ledger=ledger)
    clause = "1.2(2)①"
    several = [*members(), made(Member, number=2, name="Kato")]
    with own.purpose(tm.ProductProvision, activity="it"):
        for times in range(1, 4):
            MEMBERS.dump_json(several)
            assert ledger.counts == {("it", clause, R): 4 * times, ("it", clause, D): 3 * times}
        for model in several:
            model.model_dump()
            model.model_dump_json()
        assert ledger.counts == {("it", clause, R): 20, ("it", clause, D): 15}
    with own.purpose(tm.RenewalGuidance, activity="other"), pytest.raises(pg.PurposeViolation):
        several[0].model_dump()


def test_a_refused_dump_leaves_the_row_usable() -> None:
    several = members()
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation, match="in field `device`"):
        several[0].model_dump()
    with guard.purpose(tm.RenewalGuidance):
        assert several[0].model_dump(exclude={"device"}) == {"number": 1, "name": "Sato"}
        assert several[1].model_dump(include={"number"}) == {"number": 1}
        assert MEMBERS.dump_python(several, context={"withhold": True}) == [{"number": 1, "name": "Sato"}] * 3
    with guard.purpose(tm.ProductProvision):
        assert MEMBERS.dump_python(several) == [INPUT] * 3


def test_a_field_that_is_never_written_is_not_opened() -> None:
    class Hidden(pg.PersonalModel):
        name: pg.Personal[str, tm.Registration]
        device: pg.Personal[str, tm.ProductData] = Field(exclude=True)

    several = [made(Hidden, name="Sato", device="phone") for _ in range(2)]
    with guard.purpose(tm.RenewalGuidance):
        for _ in range(2):
            assert TypeAdapter(list[Hidden]).dump_python(several) == [{"name": "Sato"}] * 2
            assert several[0].model_dump() == json.loads(several[0].model_dump_json()) == {"name": "Sato"}
    assert rows_left(several) == 2


def test_a_class_is_written_by_its_own_configuration() -> None:
    class Around(BaseModel):
        model_config = ConfigDict(ser_json_timedelta="iso8601", serialize_by_alias=True)

        person: Person

    around = Around.model_validate({"person": PERSON})
    with guard.purpose(tm.ProductProvision):
        for _ in range(2):
            written = json.loads(around.model_dump_json())
            assert written == {"person": {"email": "a@example.com", "born": "2000-01-31", "waits": 1.0}}
            assert around.model_dump(by_alias=True)["person"].keys() == {"eMail", "born", "waits"}
            options: Any = {"serialize_as_any": True, "by_alias": True}
            as_any = {"eMail": "a@example.com", "born": "2000-01-31", "waits": 1.0}
            assert around.person.model_dump(mode="json", **options) == as_any
            assert json.loads(TypeAdapter(list[Person]).dump_json([around.person], **options)) == [as_any]
            assert json.loads(around.model_dump_json(**options)) == {"person": as_any}
            assert around.person.model_dump(exclude_unset=True, exclude={"born"}) == {"email": "a@example.com"}
    assert refused(Person.model_validate, {**PERSON, "email": "Sato"}).errors()[0]["loc"] == ("email",)


def test_a_value_of_another_class_in_a_union_is_written_as_what_it_is() -> None:
    class Holder(BaseModel):
        either: Member | Person | int

    with guard.purpose(tm.ProductProvision):
        for value, written in ((INPUT, INPUT), (PERSON, {**PERSON, "waits": 1.0}), (5, 5)):
            holder = Holder.model_validate({"either": value})
            for _ in range(2):
                assert json.loads(holder.model_dump_json(warnings="error"))["either"] == written


def test_tagged_unions_find_the_class_by_a_literal() -> None:
    class Cat(pg.PersonalModel):
        kind: Literal["cat"]
        name: pg.Personal[str, tm.Registration]

    class Dog(pg.PersonalModel):
        kind: Literal["dog"]
        name: pg.Personal[str, tm.Registration]

    pets = TypeAdapter(list[Annotated[Cat | Dog, Field(discriminator="kind")]])
    rows = [{"kind": "dog", "name": "Pochi"}, {"kind": "cat", "name": "Tama"}]
    with guard.purpose(tm.ProductProvision):
        assert pets.dump_python(pets.validate_python(rows)) == rows
    with pytest.raises(ValueError, match="cow"):
        pets.validate_python([{"kind": "cow", "name": "Hana"}])


def test_a_validator_of_the_input_runs_once() -> None:
    seen: list[Any] = []

    class Careful(pg.PersonalModel):
        name: pg.Personal[str, tm.Registration]

        @model_validator(mode="before")
        @classmethod
        def look(cls, data: Any) -> Any:
            seen.append(data)
            return data

    for value in ("Sato", pg.Personal("Sato", tm.Registration)):
        Careful.model_validate({"name": value})
    refused(Careful.model_validate, {"name": ["SECRET"]})
    assert len(seen) == 3


def test_labels_of_several_sources_stay() -> None:
    class Both(pg.PersonalModel):
        note: pg.Personal[str, tm.Registration | tm.Contract]

    both = made(Both, note="x")
    with guard.purpose(tm.ProductProvision):
        assert both.model_dump() == both.model_dump() == {"note": "x"}
    assert both.note.label is pg.Label.join(R, C)


def test_a_subclass_is_written_by_its_own_seals_and_marks() -> None:
    class Base(pg.PersonalModel):
        number: int
        name: str | None = None
        device: pg.Personal[str, tm.Registration] | None = None

    class Sub(Base):
        name: pg.Personal[str, tm.Registration] | None = None  # type: ignore[assignment]  # sealed here
        device: pg.Personal[str, tm.ProductData] | None = None  # type: ignore[assignment]

    class Owned(Base):
        number: Annotated[int, pg.Subject]

    bases = TypeAdapter(list[Base])
    for _ in range(2):
        sub = Sub.model_validate({"number": 1, "name": "Sato", "device": "phone"})
        with pytest.raises(PydanticSerializationError, match="Personal"):
            bases.dump_json([Sub.model_validate({"number": 1, "name": "Sato"})])
        with pytest.raises(PydanticSerializationError, match="outside any purpose"):
            bases.dump_json([sub])
        assert isinstance(sub.name, pg.Personal)
        with guard.purpose(tm.RenewalGuidance):
            assert bases.dump_python([Base.model_validate({"number": 1, "device": "phone"})])[0]["device"] == "phone"
            with pytest.raises(Exception, match="product-data"):
                bases.dump_python([sub])
            contexts: list[Any] = []
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    pg.Use,
                    "_open_in_context",
                    lambda use, value, given, contexts=contexts: contexts.append(given) or use.open(value),
                )
                bases.dump_python([Owned.model_validate({"number": 8, "device": "phone"})])
            assert [context.subject for (context,) in contexts] == ["8"]


def test_validators_of_other_fields_see_sealed_values() -> None:
    seen: list[Any] = []

    def describe(data: Any) -> str:
        return repr(data["name"])

    if "default_factory_takes_data" not in core_schema.WithDefaultSchema.__annotations__:  # before pydantic 2.10
        describe = functools.partial(describe, {"name": "<sealed 1.1(a)>"})

    class Noting(pg.PersonalModel):
        name: pg.Personal[str, tm.Registration]
        number: int
        slug: str = Field(default_factory=describe)

        @field_validator("number")
        @classmethod
        def note(cls, value: int, info: ValidationInfo) -> int:
            seen.append(dict(info.data))
            return value

    noting = made(Noting, name="Sato", number=1)
    assert isinstance(seen[0]["name"], pg.Personal)
    assert noting.slug.strip("'") == "<sealed 1.1(a)>"


def test_validators_around_the_model_see_no_input_of_sealed_fields() -> None:
    caught: list[ValidationError] = []

    class Around(pg.PersonalModel):
        name: pg.Personal[Annotated[str, Field(max_length=3)], tm.Registration]

        @model_validator(mode="wrap")
        @classmethod
        def look(cls, value: Any, handler: Callable[[Any], Any]) -> Any:
            try:
                return handler(value)
            except ValidationError as error:
                caught.append(error)
                raise

    refused(Around.model_validate, {"name": SECRET})
    assert_quiet(caught[0])
    assert caught[0].error_count() == 1


def test_a_refused_dump_leaves_no_value_in_its_traceback() -> None:
    with guard.purpose(tm.RenewalGuidance), pytest.raises(PydanticSerializationError) as refusal:
        MEMBERS.dump_python(MEMBERS.validate_python([{**INPUT, "device": SECRET, "name": SECRET}]))
    error: BaseException | None = refusal.value
    while error is not None:
        assert not leaks("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
        error = error.__cause__ or error.__context__


def test_rows_stay_sealed_when_their_class_is_built_anew() -> None:
    class Old(pg.PersonalModel):
        name: pg.Personal[str, tm.Registration]
        age: int = Field(default=1, deprecated=True)

    before = made(Old, name="Sato")
    Old.model_rebuild(force=True)
    after = made(Old, name="Sato")
    with guard.purpose(tm.ProductProvision) as use:
        assert use.open(before.name) == use.open(after.name) == "Sato"


def test_a_use_that_was_entered_by_hand_writes_only_while_it_is_current() -> None:
    (model,) = members(1)
    with ExitStack() as stack:

        @guard.purpose(tm.RenewalGuidance)
        def enter() -> None:
            stack.enter_context(guard.purpose(tm.ProductProvision))
            model.model_dump()

        with guard.purpose(tm.RenewalGuidance):
            enter()
            with pytest.raises(pg.PurposeViolation):
                model.model_dump()


def test_seals_that_name_purposes_take_no_plain_input() -> None:
    class Letter(pg.PersonalModel):
        to: pg.Personal[str, tm.RenewalGuidance]
        any: pg.Personal[str, Any] | None = None

    assert refused(Letter.model_validate, {"to": SECRET}).errors()[0]["type"] == "sealed_needed"
    letter = Letter(to=pg.Personal("a", tm.Registration))
    assert refused(Letter.model_validate, {"to": letter.to, "any": SECRET}).errors()[0]["type"] == "sealed_needed"


def test_containers_of_anything_are_no_plain_values() -> None:
    class Loose(pg.PersonalModel):
        anything: list  # type: ignore[type-arg]  # of anything
        name: pg.Personal[str, tm.Registration]

    seal = pg.Personal("x", tm.ProductData)
    loose = Loose(anything=[seal], name=pg.Personal("Sato", tm.Registration))
    assert rows_left([loose, made(Loose, anything=[], name="Sato")]) == 0
    assert loose.anything == [seal]


def test_iterators_are_read_once() -> None:
    class Listing(pg.PersonalModel):
        tags: list[str]
        numbers: tuple[int, ...] | None = None
        sizes: dict[str, set[int]] = Field(default_factory=dict)
        name: pg.Personal[str, tm.Registration]

    seal = pg.Personal("Sato", tm.Registration)
    for name in (seal, "Sato"):
        listing = Listing.model_validate({"tags": iter("abc"), "numbers": iter([1]), "sizes": {"a": [1]}, "name": name})
        with guard.purpose(tm.ProductProvision):
            assert listing.model_dump() == {"tags": list("abc"), "numbers": (1,), "sizes": {"a": {1}}, "name": "Sato"}


def test_fields_that_the_class_sets_by_itself_stay() -> None:
    class Frozen(pg.PersonalModel):
        model_config = ConfigDict(frozen=True)

        number: int = 0
        name: pg.Personal[str, tm.Registration]

        def model_post_init(self, context: Any, /) -> None:
            object.__setattr__(self, "number", 99)

    class Only(pg.PersonalModel):
        number: int = 0

        def model_post_init(self, context: Any, /) -> None:
            object.__setattr__(self, "number", 99)

    with guard.purpose(tm.ProductProvision):
        assert made(Frozen, name="Sato").model_dump() == {"number": 99, "name": "Sato"}
        assert Only().model_dump() == {"number": 99}


def test_fields_that_are_assigned_together_or_validated_replace_the_attributes() -> None:
    class Checked(pg.PersonalModel):
        model_config = ConfigDict(validate_assignment=True)

        number: int = 0

    checked, whole = Checked(), members(1)[0]
    checked.number = 1
    seal = whole.name
    whole.__dict__ = {"number": 2, "name": seal, "device": None}  # as some code does
    with guard.purpose(tm.ProductProvision):
        assert checked.model_dump() == {"number": 1}
        assert whole.model_dump() == {"number": 2, "name": "Sato", "device": None}


def test_copies_of_every_kind_are_written_again_and_again() -> None:
    (model,) = members(1)
    with pytest.warns(DeprecationWarning, match="copy"):
        copied = model.copy()
    assigned = members(1)[0]
    with guard.purpose(tm.ProductProvision):
        for each in (copied, assigned, copy.copy(model), copy.deepcopy(model), model.model_copy()):
            for _ in range(3):
                assert each.model_dump() == json.loads(each.model_dump_json()) == INPUT


def test_a_seal_of_another_type_is_left_to_pydantic() -> None:
    strange = Member(number=1, name=pg.Personal(5, tm.Registration), device=None)  # type: ignore[arg-type]  # no text
    with guard.purpose(tm.ProductProvision), pytest.warns(UserWarning, match="serializer warnings"):
        assert strange.model_dump()["number"] == 1
    with guard.purpose(tm.ProductProvision), pytest.raises(PydanticSerializationError):
        strange.model_dump_json()


def test_the_shortcut_of_a_task_does_not_hold_in_a_thread() -> None:
    async def dump() -> None:
        with guard.purpose(tm.ProductProvision):
            (model,) = members(1)
            model.model_dump()
            with pytest.raises(pg.PurposeMissing):
                await asyncio.to_thread(model.model_dump)

    asyncio.run(dump())
