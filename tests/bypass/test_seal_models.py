"""Sealed fields are written in a purpose that may use them and nowhere else; a web application shows none either."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from fastapi import Depends, FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.testclient import TestClient
from pydantic import BaseModel, RootModel, TypeAdapter, computed_field, field_serializer, model_serializer
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.json import encode_sealed
from tests.bypass.seal_kinds import HOLDERS
from tests.bypass.seal_looking import TEXT, guard, leaks, seal, tried

T = TypeVar("T")
Email = pg.Personal[str, tm.Registration]


class Customer(BaseModel):
    name: str = "n"
    email: Email


class Subscriber(pg.PersonalModel):
    name: str = "n"
    email: Email


class Open(BaseModel):
    email: str


class Nested(BaseModel):
    one: Customer
    many: list[Customer] = []
    maybe: Email | None = None
    by_name: dict[str, Email] = {}
    pairs: list[tuple[int, Email]] = []
    anything: Any = None


class Page(BaseModel, Generic[T]):
    items: list[T]


class Keys(BaseModel):
    emails: dict[Email, int]


class Mails(RootModel[list[Email]]): ...


class Custom(BaseModel):
    email: Email

    @field_serializer("email")
    def shorten(self, email: Any) -> str:
        return f"{email}"[:20]


class Whole(BaseModel):
    email: Email

    @model_serializer
    def write(self) -> dict[str, Any]:
        return {"email": self.email, "text": str(self.email)}


class Computed(BaseModel):
    email: Email

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def domain(self) -> pg.Personal[str, tm.Registration]:
        return self.email.map(lambda text: text * 2)

    @computed_field  # type: ignore[prop-decorator]  # likewise
    @property
    def text(self) -> str:
        return f"{self.email}"


@pydantic.dataclasses.dataclass
class Data:
    email: Email
    name: str = "n"


class Both(BaseModel):
    either: Customer | Subscriber | Email


def customer() -> Customer:
    return Customer(email=seal())


MODELS: dict[str, Callable[[], Any]] = {
    "plain": customer,
    "sealed by it": lambda: Customer.model_validate({"email": TEXT}),
    "personal": lambda: Subscriber(email=seal()),
    "mapped": lambda: Customer(email=seal().map(str.upper)),
    "nested": lambda: Nested(
        one=customer(), many=[customer()], maybe=seal(), by_name={"a": seal()}, pairs=[(1, seal())]
    ),
    "under anything": lambda: Nested(one=customer(), anything=[seal(), {"one": seal()}, customer()]),
    "generic": lambda: Page[Email](items=[seal()]),
    "generic, of models": lambda: Page[Subscriber](items=[Subscriber(email=seal())]),
    "generic, left open": lambda: Page(items=[seal()]),
    "keys": lambda: Keys(emails={seal(): 1}),
    "root": lambda: Mails([seal(), seal()]),
    "custom serializer": lambda: Custom(email=seal()),
    "model serializer": lambda: Whole(email=seal()),
    "computed": lambda: Computed(email=seal()),
    "dataclass": lambda: Data(email=seal()),
    "union": lambda: Both(either=Subscriber(email=seal())),
    "union of a seal": lambda: Both(either=seal()),
}
UNWRITTEN = ("serializer", "anything", "open")
"""Kinds of models that write a seal as text, or know it for no field; JSON of these raises, in a purpose as well."""

DUMPS: dict[str, Callable[[Any], Any]] = {
    "python": lambda one: TypeAdapter(type(one)).dump_python(one),
    "JSON": lambda one: TypeAdapter(type(one)).dump_json(one),
    "JSON, as Python": lambda one: TypeAdapter(type(one)).dump_python(one, mode="json"),
    "round trip": lambda one: TypeAdapter(type(one)).dump_python(one, round_trip=True, exclude_unset=True),
    "as any": lambda one: TypeAdapter(type(one)).dump_python(one, serialize_as_any=True),
    "without warnings": lambda one: TypeAdapter(type(one)).dump_json(one, warnings=False, indent=1, by_alias=True),
    "with a fallback": lambda one: to_json(one, fallback=lambda given: repr(vars(given)), indent=1),
    "another type's": lambda one: TypeAdapter(Any).dump_python(one),
    "the serializer": lambda one: type(one).__pydantic_serializer__.to_python(one),
    "model_dump": lambda one: one.model_dump(),
    "model_dump_json": lambda one: one.model_dump_json(),
    "model_dump, as any": lambda one: one.model_dump(mode="json", serialize_as_any=True, warnings="error"),
    "to_json": lambda one: to_json(one, serialize_unknown=True),
    "to_jsonable_python": lambda one: to_jsonable_python(one, fallback=repr),
    "jsonable_encoder": jsonable_encoder,
    "json by encode_sealed": lambda one: json.dumps(
        dict(one) if isinstance(one, BaseModel) else one.email, default=encode_sealed
    ),
}


@pytest.mark.parametrize("name", list(MODELS))
def test_no_dump_shows_a_sealed_field_outside_a_purpose_or_in_another(name: str) -> None:
    for way, dump in DUMPS.items():
        assert leaks(tried(dump, MODELS[name]())[1]) == [], way
        with guard.purpose("2.3①"):
            assert leaks(tried(dump, MODELS[name]())[1]) == [], way
        with guard.purpose(tm.RenewalGuidance):
            one = MODELS[name]()
        assert leaks(tried(dump, one)[1]) == [], way


@pytest.mark.parametrize("name", [name for name in MODELS if not any(word in name for word in UNWRITTEN)])
def test_a_dump_in_a_purpose_that_may_use_it_writes_it(name: str) -> None:
    with guard.purpose(tm.RenewalGuidance):
        assert leaks(TypeAdapter(type(MODELS[name]())).dump_json(MODELS[name]()))


@pytest.mark.parametrize("way", list(DUMPS))
def test_each_dump_shows_a_field_that_is_not_sealed(way: str) -> None:
    assert leaks(DUMPS[way](Open(email=TEXT)))


@pytest.mark.parametrize("dump", ["python", "JSON", "model_dump", "model_dump_json", "jsonable_encoder", "to_json"])
def test_a_dump_is_refused_and_says_so(dump: str) -> None:
    with pytest.raises((PydanticSerializationError, pg.PurposeMissing), match="outside any purpose"):
        DUMPS[dump](customer())
    with guard.purpose("2.3①"), pytest.raises((PydanticSerializationError, pg.PurposeViolation), match="may not use"):
        DUMPS[dump](customer())


def test_the_copy_of_a_model_holds_the_seal() -> None:
    one = customer()
    for other in (
        copy.copy(one),
        copy.deepcopy(one),
        one.model_copy(),
        one.model_copy(deep=True, update={"name": "m"}),
        Customer.model_validate(one),
        Customer.model_validate(dict(one)),
        Customer.model_construct(**dict(one)),
        TypeAdapter(Customer).validate_python(one, from_attributes=True),
    ):
        assert other.email is one.email
        assert leaks(other) == []


@pytest.mark.parametrize("name", [name for name in HOLDERS if name != "keys"])
def test_no_holder_of_a_seal_is_pickled(name: str) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        # Python itself refuses slots with protocols 0 and 1, before it asks what is in them.
        with pytest.raises(TypeError if "slotted" in name else pg.SealedValue) as caught:
            pickle.dumps(HOLDERS[name](seal()), protocol)
        assert leaks(caught.value) == []


def test_models_are_compared_and_hashed_by_seals() -> None:
    class Frozen(BaseModel, frozen=True):
        email: Email

    one = seal()
    assert Frozen(email=one) == Frozen(email=one)
    assert Frozen(email=one) != Frozen(email=seal())
    assert hash(Frozen(email=one)) == hash(Frozen(email=one))
    assert len({Frozen(email=seal()), Frozen(email=seal())}) == 2


# --- other kinds of records


@dataclasses.dataclass(order=True)
class Row:
    email: Any
    name: str = "n"


@attrs.define(order=True)
class Defined:
    email: Any
    name: str = "n"


class Named(NamedTuple):
    email: Any
    name: str = "n"


class Struct(msgspec.Struct, order=True):
    email: Email
    name: str = "n"


@pytest.mark.parametrize(
    "dump",
    [
        lambda one: dataclasses.asdict(Row(one)),
        lambda one: dataclasses.astuple(Row([one])),
        lambda one: dataclasses.replace(Row(one), name="m"),
        lambda one: attrs.asdict(Defined(one)),
        lambda one: attrs.astuple(Defined({"a": one})),
        lambda one: attrs.evolve(Defined(one), name="m"),
        lambda one: Named(one)._asdict(),
        lambda one: Named(one)._replace(name="m"),
        lambda one: msgspec.structs.asdict(Struct(one)),
        lambda one: msgspec.structs.replace(Struct(one), name="m"),
    ],
    ids=[
        "asdict",
        "astuple",
        "replace",
        "attrs.asdict",
        "attrs.astuple",
        "evolve",
        "_asdict",
        "_replace",
        "struct",
        "structs.replace",
    ],
)
def test_what_takes_a_record_apart_finds_the_seal(dump: Callable[[Any], Any]) -> None:
    assert "<sealed 1.1(a)>" in repr(dump(seal()))
    assert leaks(dump(seal())) == []
    assert leaks(dump(TEXT))


@pytest.mark.parametrize("kind", [Row, Defined, Named, Struct])
def test_records_of_seals_have_no_order(kind: Any) -> None:
    with pytest.raises(pg.SealedValue, match="no order"):
        _ = kind(seal()) < kind(seal())
    assert kind(seal()) != kind(seal())


# --- a web application


app = FastAPI()


@app.get("/model")
def give_model() -> Customer:
    return Customer(email=seal())


@app.get("/anything")
def give_anything() -> Any:
    return {"one": seal(), "many": [Customer(email=seal())]}


@app.get("/in-its-body")
@guard.purpose(tm.RenewalGuidance)
def give_in_its_body() -> Customer:
    return Customer(email=seal())


def entered() -> Iterator[pg.Use[tm.RenewalGuidance]]:
    with guard.purpose(tm.RenewalGuidance) as use:
        yield use


@app.get("/by-a-dependency")
def give_by_a_dependency(use: Annotated[Any, Depends(entered)]) -> Customer:
    return Customer(email=seal())


# The last two are written after the activity has ended, or in another task or thread than the one that entered it.
@pytest.mark.parametrize("path", ["/model", "/anything", "/in-its-body", "/by-a-dependency"])
def test_a_web_application_answers_without_it(path: str) -> None:
    answer = TestClient(app, raise_server_exceptions=False).get(path)
    assert answer.status_code == 500
    assert leaks([answer.text, dict(answer.headers)]) == []
    with pytest.raises((ValueError, pg.PurposeGuardError)) as caught:
        TestClient(app).get(path)
    assert leaks(caught.value, frames="purposeguard") == []
    assert TEXT not in repr(caught.value).lower()
