"""Sealed values in `json`, msgspec, dataclasses and attrs, which know nothing of them."""

from __future__ import annotations

import copy
import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec
import pytest
from pydantic import EmailStr, Field, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.json import decode_sealed, encode_sealed
from tests.unit.models import Registered, guard
from tests.unit.sealed_fields import SECRET, assert_quiet, opened


def sealed(value: Any = SECRET) -> Personal[Any, tm.Registration]:
    return Personal(value, tm.Registration)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(json.dumps, id="dumps"),
        pytest.param(lambda value: json.dump(value, io.StringIO()), id="dump"),
        pytest.param(json.JSONEncoder().encode, id="encode"),
        pytest.param(lambda value: list(json.JSONEncoder(indent=1).iterencode(value)), id="iterencode"),
        pytest.param(lambda value: json.dumps(value, skipkeys=True, sort_keys=True), id="options"),
    ],
)
def test_json_writes_no_sealed_value_and_says_what_would(write: Callable[[Any], object]) -> None:
    for value in (sealed(), [sealed()], {"a": {"b": sealed()}}, (sealed(),)):
        for purpose in (tm.RenewalGuidance, tm.UsageAnalysis):
            with guard.purpose(purpose), pytest.raises(pg.SealedValue, match="`default=encode_sealed`") as caught:
                write(value)
            assert isinstance(caught.value, TypeError)
            assert_quiet(caught.value)


def test_json_takes_no_sealed_value_for_a_key() -> None:
    for default in (None, encode_sealed, str):
        with guard.purpose(tm.RenewalGuidance), pytest.raises(TypeError, match="not Personal") as caught:
            json.dumps({sealed(): 1}, default=default)
        assert_quiet(caught.value)


def test_the_hook_opens_in_a_purpose_that_may_use_the_data() -> None:
    data = {"a": [sealed("x"), 1], "b": sealed({"c": sealed(2)}), "d": Personal(3, pg.NotPersonal)}
    with guard.purpose(tm.RenewalGuidance):
        assert json.loads(json.dumps(data, default=encode_sealed)) == {"a": ["x", 1], "b": {"c": 2}, "d": 3}
        assert json.dumps(sealed("x").map(str.upper), default=encode_sealed) == '"X"'


def test_the_hook_refuses_elsewhere() -> None:
    with pytest.raises(pg.PurposeMissing) as missing:
        json.dumps([sealed()], default=encode_sealed)
    with guard.purpose(tm.UsageAnalysis), pytest.raises(pg.PurposeViolation) as violation:
        json.dumps([sealed()], default=encode_sealed)
    second = pg.Guard(tm.NOTICE)
    both = guard.purpose(tm.RenewalGuidance), second.purpose(tm.RenewalGuidance)
    with both[0], both[1], pytest.raises(pg.PurposeMissing, match="several guards") as several:
        encode_sealed(sealed())
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.SealedValue, match="`int`") as failed:
        encode_sealed(sealed().map(int))
    for caught in (missing, violation, several, failed):
        assert_quiet(caught.value)


@pytest.mark.parametrize("value", [object(), 3j, {1}], ids=lambda value: type(value).__name__)
def test_what_is_not_sealed_the_hook_leaves_to_others(value: object) -> None:
    with guard.purpose(tm.RenewalGuidance), pytest.raises(TypeError, match=f"{type(value).__name__} is not JSON"):
        json.dumps([value], default=encode_sealed)


def test_the_hook_fits_into_one_s_own() -> None:
    def default(value: Any) -> Any:
        return value.isoformat() if isinstance(value, dt.date) else encode_sealed(value)

    with guard.purpose(tm.RenewalGuidance):
        assert json.dumps([sealed(dt.date(2026, 5, 2))], default=default) == '["2026-05-02"]'


class Home(msgspec.Struct):
    street: Registered


class Customer(msgspec.Struct):
    email: Personal[EmailStr, tm.Registration]
    homes: list[Home] = []
    device: Personal[str, tm.ProductData] | None = None
    dates: dict[str, Personal[dt.date, tm.Contract]] = {}
    age: Personal[Annotated[int, Field(gt=3)], tm.Registration] | None = None


GIVEN = {
    "email": "a@example.com", "homes": [{"street": "s"}], "device": "d", "dates": {"start": "2026-05-02"}, "age": "7",
}  # fmt: skip


def decoded(module: Any, given: Any) -> Customer:
    made: Customer = module.decode(module.encode(given), type=Customer, dec_hook=decode_sealed)
    return made


each_format = pytest.mark.parametrize("module", [msgspec.json, msgspec.msgpack], ids=lambda module: module.__name__)


@each_format
def test_msgspec_decodes_validates_and_seals(module: Any) -> None:
    customer = decoded(module, GIVEN)
    assert opened(customer.email) == "a@example.com"
    assert opened(customer.homes[0].street) == "s"
    assert opened(customer.dates["start"]) == dt.date(2026, 5, 2)
    assert opened(customer.age) == 7
    assert customer.device is not None
    assert customer.device.label == pg.Label(tm.ProductData)
    assert "a@example.com" not in repr(customer)
    assert msgspec.convert(GIVEN, Customer, dec_hook=decode_sealed).email.label == pg.Label(tm.Registration)


@each_format
def test_msgspec_writes_in_a_purpose_only(module: Any) -> None:
    customer = decoded(module, GIVEN)
    with guard.purpose(tm.ProductProvision):
        text = module.encode(customer, enc_hook=encode_sealed)
        assert module.decode(text) == {**GIVEN, "age": 7}
        assert module.decode(text, type=Customer, dec_hook=decode_sealed).dates.keys() == {"start"}
    with pytest.raises(pg.PurposeMissing):
        module.encode(customer, enc_hook=encode_sealed)
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation, match=r"1\.1\(b\)"):
        module.encode(customer, enc_hook=encode_sealed)


def test_msgspec_refuses_without_the_hooks() -> None:
    customer = msgspec.convert({"email": "a@example.com"}, Customer, dec_hook=decode_sealed)
    with guard.purpose(tm.RenewalGuidance):
        for write in (msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins):
            with pytest.raises(TypeError, match="type Personal"):
                write(customer)
    with pytest.raises(msgspec.ValidationError, match=r"Expected `Personal`.*\$\.email") as caught:
        msgspec.convert({"email": SECRET}, Customer)
    assert_quiet(caught.value)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        pytest.param({"email": SECRET}, "$.email", id="field"),
        pytest.param({**GIVEN, "homes": [{"street": [SECRET]}]}, "$.homes[0].street", id="nested"),
        pytest.param({**GIVEN, "dates": {SECRET: SECRET}}, "$.dates[...]", id="in-a-dict"),
        pytest.param({**GIVEN, "age": 1}, "$.age", id="bound"),
    ],
)
def test_msgspec_says_the_place_and_nothing_of_the_value(given: Any, place: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        decoded(msgspec.json, given)
    assert f"at `{place}`" in str(caught.value)
    assert_quiet(caught.value)


def test_msgspec_takes_sealed_values_as_they_are() -> None:
    value = sealed("a@example.com")
    for hook in (None, decode_sealed):
        assert msgspec.convert({"email": value}, Customer, dec_hook=hook).email is value
    customer = Customer(value)
    assert msgspec.structs.replace(customer, age=None).email is value
    assert msgspec.structs.asdict(customer)["email"] is value
    assert copy.copy(customer).email is value
    assert copy.deepcopy(customer).email is value


def test_decoding_refuses_what_is_sealed_under_other_sources() -> None:
    with pytest.raises(ValidationError, match=r"1\.1\(b\)"):
        decode_sealed(Registered, Personal("x", tm.ProductData))


UNRESOLVED: Any = Personal[str, "Nowhere"]  # type: ignore[name-defined]


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        *((annotation, NotImplementedError) for annotation in (complex, list[int], Personal, pg.Label, Any)),
        (Personal[Iterator[str], tm.Registration], PydanticSchemaGenerationError),
        (UNRESOLVED, pg.PurposeGuardError),
    ],
    ids=str,
)
def test_what_cannot_be_decoded_is_left_to_others_and_is_in_no_frame(annotation: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        decode_sealed(annotation, SECRET)
    # Early versions of pydantic take the namespace of this module along, which holds the secret.
    assert_quiet(caught.value, frames="purposeguard.values.json")
    with pytest.raises(NotImplementedError) as swapped:
        decode_sealed(SECRET, annotation)
    assert_quiet(swapped.value, frames="none")


def test_decoding_takes_annotations_that_cannot_be_hashed() -> None:
    unhashable: Any = Personal[Annotated[int, {"marks": []}], tm.Registration]
    with pytest.raises(TypeError):
        hash(unhashable)
    assert opened(decode_sealed(unhashable, "7")) == 7
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        decode_sealed(Personal[Annotated[int, Field(ge=0), ["no hash"]], tm.Registration], -1)
