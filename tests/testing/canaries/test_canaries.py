"""Marked values that come out are found, with the field, the place and the transformation; clean code passes."""

# ruff: noqa: PT012, T201  # a block is what is tested; what is printed is looked at

from __future__ import annotations

import asyncio
import base64
import dataclasses
import enum
import hashlib
import html
import json
import logging
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import annotated_types
import httpx2
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import AfterValidator, BaseModel, EmailStr, Field, create_model

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.testing import Leaked, NothingToProve, Unrecognisable, arranging, canaries
from purposeguard.testing.canary import _Blocks

guard = pg.Guard(tm.NOTICE)
logger = logging.getLogger("shop.canaries")
engine = sa.create_engine("sqlite://")
client = httpx2.Client(transport=httpx2.MockTransport(lambda request: httpx2.Response(200)))
app = FastAPI()
URL = "https://example.com/"


class Customer(BaseModel):
    number: int
    name: Annotated[str, tm.Registration]
    email: Annotated[EmailStr, tm.Registration]
    device: Annotated[str, tm.ProductData]
    contact: Annotated[EmailStr, tm.ProductData]


def in_sql(customer: Customer, folder: Path) -> None:
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT :key"), {"key": hashlib.sha256(customer.device.encode()).hexdigest()})


def in_an_error(customer: Customer, folder: Path) -> None:
    raise LookupError(f"no device {customer.device}")


def behind_an_error(customer: Customer, folder: Path) -> None:
    try:
        raise KeyError(customer.device)
    except KeyError:
        raise LookupError("no device") from None


def through_a_thread(customer: Customer, folder: Path) -> None:
    thread = threading.Thread(target=logger.info, args=(customer.device,))
    thread.start()
    thread.join()


WAYS: dict[str, Callable[[Customer, Path], object]] = {
    "logged": lambda one, _: logger.info("mailing %s on %s", one.email, one.device),
    "printed in capitals": lambda one, _: print("mailing", one.contact.upper()),
    "in an extra": lambda one, _: logger.debug("mailing", extra={"device": one.device}),
    "in a body": lambda one, _: client.post(URL, json={"token": base64.b64encode(one.device.encode()).decode()}),
    "in an address": lambda one, _: client.get(URL, params={"to": one.contact}),
    "in a header": lambda one, _: client.get(URL, headers={"X-Device": one.device[::-1]}),
    "in SQL": in_sql,
    "in a file": lambda one, folder: (folder / "list.html").write_text(f"<td>{html.escape(one.contact)}</td>", "utf-8"),
    "in the name of a file": lambda one, folder: (folder / f"{one.device}.csv").touch(),
    "in hexadecimal": lambda one, _: logger.info(one.device.encode().hex()),
    "as JSON": lambda one, _: print("".join(f"\\u{ord(each):04x}" for each in one.device)),
    "in an error": in_an_error,
    "behind an error": behind_an_error,
    "through a thread": through_a_thread,
    "to a process": lambda one, _: subprocess.run([sys.executable, "-c", "", one.device], check=True),
}
LEAKS = {
    "logged": ("device", "log record shop.canaries INFO, message: …‹device›"),
    "printed in capitals": ("contact", "‹contact, in another case›"),
    "in an extra": ("device", "extra device: ‹device›"),
    "in a body": ("device", "HTTP request POST, body: …‹device, in base64›…"),
    "in an address": ("contact", "HTTP request GET, address"),
    "in a header": ("device", "header x-device: ‹device, reversed›"),
    "in SQL": ("device", "SQL statement, parameter 1: ‹device, hashed by sha256›"),
    "in a file": ("contact", "file written, content: …‹contact›…"),
    "in the name of a file": ("device", "‹device›…"),
    "in hexadecimal": ("device", "‹device, in hexadecimal›"),
    "as JSON": ("device", "‹device, escaped as in JSON›"),
    "in an error": ("device", "error LookupError, message: …‹device›"),
    "behind an error": ("device", "error LookupError, error behind it: …‹device›"),
    "through a thread": ("device", "message: ‹device›"),
    "to a process": ("device", "process, command: …‹device›"),
}


@pytest.mark.parametrize("way", LEAKS)
def test_each_leak_is_found_and_named_and_no_value_is_shown(way, tmp_path):
    with pytest.raises(Leaked) as caught, canaries(guard, tm.RenewalGuidance) as marked:
        customer = marked.instance(Customer)
        WAYS[way](customer, tmp_path)
    field, told = LEAKS[way]
    assert caught.value.fields == (field,)
    assert told in str(caught.value)
    assert "renewal-guidance (1.2(1)①) may not use product-data (1.1(b))" in str(caught.value)
    for value in (customer.device, customer.name, customer.email, customer.contact):
        assert value not in str(caught.value)


@pytest.mark.parametrize(
    "result",
    [
        lambda one: one,
        lambda one: [one.name, {"about": one.device}],
        lambda one: {one.device: 1},
        lambda one: one.device.encode(),
        lambda one: urllib.parse.quote(json.dumps({"a": one.contact})),
        lambda one: pg.Personal(one.device, tm.Registration),
    ],
    ids=["model", "list", "key", "bytes", "encoded", "sealed as what may be used"],
)
def test_results_are_looked_into(result):
    with pytest.raises(Leaked) as caught, canaries(guard, tm.RenewalGuidance) as marked:
        assert marked.result(result(marked.instance(Customer))) is not None
    assert set(caught.value.fields) <= {"device", "contact"}


def test_what_does_without_passes(tmp_path):
    with canaries(guard, tm.RenewalGuidance) as marked:
        customer = marked.instance(Customer)
        logger.info("mailing %s", customer.email)
        marked.result(f"Dear {customer.name}")
        marked.result(pg.Personal(customer.device, tm.ProductData))
        with arranging(), engine.connect() as connection:
            connection.execute(sa.text("SELECT :device"), {"device": customer.device})
    assert {one.field for one in marked.forbidden} == {"device", "contact"}
    assert {one.field for one in marked.marks} == {"name", "email", "device", "contact"}


def test_withheld_fields_do_not_come_out():
    @guard.access(withhold=True)
    def read(customer: Customer) -> Customer:
        return customer

    with canaries(guard, tm.RenewalGuidance) as marked:
        marked.result(read(marked.instance(Customer)).model_dump())


def test_answers_of_an_application_are_looked_into():
    kept: list[Customer] = []

    @app.get("/customer")
    def read() -> Customer:
        return kept[0]

    with pytest.raises(Leaked, match="HTTP response"), canaries(guard, tm.RenewalGuidance) as marked:
        kept.append(marked.instance(Customer))
        TestClient(app).get("/customer")


@dataclasses.dataclass
class Device:
    serial: Annotated[str, tm.ProductData]
    works: Annotated[bool, tm.ProductData]


class Row(TypedDict):
    name: Annotated[str, tm.Registration]
    page: Annotated[str, tm.Cookie]


def test_existing_instances_are_marked():
    aiko = Customer(number=7, name="Aiko", email="aiko@example.com", device="phone", contact="a@example.com")
    with pytest.raises(Leaked), canaries(guard, tm.RenewalGuidance) as marked:
        twin = marked.mark(aiko)
        assert twin.number == 7
        assert twin.device != "phone"
        logger.info(twin.device)
    with pytest.raises(Leaked) as caught, canaries(guard, tm.RenewalGuidance) as marked:
        row = marked.mark(Row(name="Aiko", page="/"), Row)
        print(row["page"])
    assert caught.value.fields == ("page",)


class State(enum.Enum):
    NEW = 1
    OLD = 2


class Choices(BaseModel):
    device: Annotated[str, tm.ProductData]
    consented: Annotated[bool, tm.ProductData]
    maybe: Annotated[bool | None, tm.ProductData]
    either: Annotated[bool | str, tm.ProductData]
    flags: Annotated[list[bool], tm.ProductData]
    pair: Annotated[tuple[bool, State], tm.ProductData]
    state: Annotated[State, tm.ProductData]
    plan: Annotated[Literal["A", "B"], tm.ProductData]
    score: Annotated[int, annotated_types.Ge(0), annotated_types.Le(9), tm.ProductData]
    sealed: pg.Personal[bool, tm.ProductData]
    counts: Annotated[int, tm.ProductData] = 3
    absent: Annotated[bool | None, tm.ProductData] = None


def test_what_cannot_be_recognised_stays_as_it_is():
    choices = Choices.model_validate(
        {
            "device": "phone",
            "consented": True,
            "maybe": True,
            "either": True,
            "flags": [True, True],
            "pair": (True, State.OLD),
            "state": State.OLD,
            "plan": "B",
            "score": 7,
            "sealed": True,
        }
    )
    names = [name for name in Choices.model_fields if name not in ("device", "counts", "absent")]
    with canaries(guard, tm.RenewalGuidance, proven=[*names, "flags[]", "pair[]", "absent"]) as marked:
        twin = marked.mark(choices)
    assert {name: getattr(twin, name) for name in names} == {name: getattr(choices, name) for name in names}
    assert twin.device != "phone"
    assert twin.counts != 3
    refused = pytest.raises(Unrecognisable, match=r"`consented`, `maybe`, .*`absent` cannot be known again")
    with refused, canaries(guard, tm.RenewalGuidance) as marked:
        marked.mark(choices)


def test_async_code():
    async def main() -> None:
        with canaries(guard, tm.RenewalGuidance) as marked:
            customer = marked.instance(Customer)
            await asyncio.gather(asyncio.to_thread(logger.info, customer.device), asyncio.sleep(0))

    with pytest.raises(Leaked):
        asyncio.run(main())


def test_the_block_stands_under_its_purpose():
    with canaries(guard, tm.WebSecurityMail, channel="email") as marked:
        assert guard.current.purpose is tm.WebSecurityMail
        assert guard.current.channel == "email"
        marked.instance(Customer)
    with pytest.raises(pg.PurposeMissing):
        guard.current  # noqa: B018


def test_errors_that_show_nothing_are_raised_as_they_are():
    with pytest.raises(LookupError, match=r"^no such customer$"), canaries(guard, tm.RenewalGuidance) as marked:
        marked.instance(Customer)
        raise LookupError("no such customer")


def test_where_nothing_could_come_out_it_is_said():
    with pytest.raises(NothingToProve, match="nothing was marked"), canaries(guard, tm.RenewalGuidance):
        pass
    with pytest.raises(NothingToProve, match="may use every field"), canaries(guard, tm.ProductProvision) as marked:
        marked.instance(Customer)


def test_what_cannot_be_known_again_is_said():
    refused = pytest.raises(Unrecognisable, match=r"`works` cannot .*`@noninterference.*, proven=\[\"works\"\]\)`$")
    with refused, canaries(guard, tm.RenewalGuidance) as marked:
        marked.instance(Device)
    with refused, canaries(guard, tm.RenewalGuidance, proven=["work"]) as marked:
        marked.instance(Device)
    with canaries(guard, tm.RenewalGuidance, proven=["works", "serial"]) as marked:
        marked.instance(Device)
    with pytest.raises(TypeError, match=r'`proven=\["works"\]`'):
        canaries(guard, tm.RenewalGuidance, proven="works")


def test_what_is_proven_elsewhere_is_still_looked_for_where_it_can_be():
    with pytest.raises(Leaked), canaries(guard, tm.RenewalGuidance, proven=["works", "serial"]) as marked:
        marked.result(marked.instance(Device).serial)


class Flags(TypedDict):
    newsletter: Annotated[bool, tm.ProductData]
    plan: Annotated[Literal["A", "B"] | None, tm.ProductData]
    score: Annotated[int, annotated_types.Ge(0), annotated_types.Le(9), tm.ProductData]
    name: Annotated[str, tm.Registration]


def test_columns_of_few_values_are_refused_in_rows_too():
    row = Flags(newsletter=True, plan="A", score=3, name="Aiko")
    with (
        pytest.raises(Unrecognisable, match="`newsletter`, `plan` and `score` cannot be known again"),
        canaries(guard, tm.RenewalGuidance) as marked,
    ):
        marked.mark(row, Flags)
    with (
        pytest.raises(NothingToProve, match="`newsletter`, `plan` and `score` cannot be known again") as caught,
        canaries(guard, tm.RenewalGuidance, proven=["newsletter", "plan", "score"]) as marked,
    ):
        marked.mark(row, Flags)
    assert type(caught.value) is NothingToProve


def test_of_a_tagged_list_only_what_is_marked_in_it_is_known_again():
    class Report(BaseModel):
        kind: Annotated[Literal["scan report"], tm.ProductData]
        device: Annotated[str, tm.ProductData]

    class Reporter(BaseModel):
        reports: Annotated[list[Report], tm.ProductData]

    def told(what: str) -> None:
        with canaries(guard, tm.RenewalGuidance) as marked:
            (report,) = marked.instance(Reporter).reports
            marked.result(getattr(report, what))

    with pytest.raises(Unrecognisable, match=r"`reports\[\].kind`"):
        told("kind")
    with pytest.raises(Leaked) as caught:
        told("device")
    assert "reports[].device" in caught.value.fields


def test_what_has_not_run_yet_is_no_result():
    with canaries(guard, tm.RenewalGuidance) as marked:
        marked.instance(Customer)
        with pytest.raises(TypeError, match="has not run yet"):
            marked.result(one for one in "abc")


def test_blocks_have_marks_of_their_own():
    with canaries(guard, tm.RenewalGuidance) as outer:
        kept = outer.instance(Customer)
        with pytest.raises(Leaked), canaries(guard, tm.RenewalGuidance) as inner:
            logger.info(inner.instance(Customer).device)
        assert inner.marks[0].value != kept.name


def refuse_even(number: int) -> int:
    if number % 2 == 0:
        raise ValueError("even")
    return number


class Scans(BaseModel):
    number: Annotated[int, annotated_types.Ge(0), annotated_types.Lt(100_000), tm.ProductData]
    few_long: Annotated[int, annotated_types.Ge(-5), annotated_types.Lt(10_050), tm.ProductData]
    negative: Annotated[int, annotated_types.Ge(-2_000), annotated_types.Le(0), tm.ProductData]
    share: Annotated[Decimal, Field(ge=0, le=100, decimal_places=2), tm.ProductData]
    odd: Annotated[int, Field(ge=0, lt=20_000), AfterValidator(refuse_even), tm.ProductData]
    code: Annotated[str, Field(pattern=r"^[a-z]{1,6}$"), tm.ProductData]


def mark_scans(test: str, monkeypatch: pytest.MonkeyPatch) -> list[Scans]:
    """Return what the first blocks of a test get."""
    monkeypatch.setenv("PYTEST_CURRENT_TEST", f"{test} (call)")
    scans: list[Scans] = []
    for _ in range(5):
        with canaries(guard, tm.RenewalGuidance) as marked:  # Its end refuses what cannot be recognised.
            scans.append(marked.instance(Scans))
    return scans


def test_marks_do_not_depend_on_the_tests_before(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = [f"tests/test_scans.py::test_{number}" for number in range(20)]
    scans = {test: mark_scans(test, monkeypatch) for test in tests}
    every = [scan for each in scans.values() for scan in each]
    assert len({scan.number for scan in every}) > 95
    assert min(scan.few_long for scan in every) >= 10_000
    for test in tests[-2::-1]:
        assert mark_scans(test, monkeypatch) == scans[test]


def test_marks_of_a_function_do_not_depend_on_others_without_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")

    def enter_one_block() -> str:
        with canaries(guard, tm.RenewalGuidance) as marked:
            return marked.instance(Customer).device

    monkeypatch.setattr("purposeguard.testing.canary._BLOCKS", _Blocks())
    alone = [enter_one_block(), enter_one_block()]
    monkeypatch.setattr("purposeguard.testing.canary._BLOCKS", _Blocks())
    with canaries(guard, tm.RenewalGuidance) as marked:
        other = marked.instance(Customer).device
    assert [enter_one_block(), enter_one_block()] == alone
    assert len({*alone, other}) == 3


def test_kinds_of_effects_can_be_left_out():
    with canaries(guard, tm.RenewalGuidance, effects=("sql",)) as marked:
        logger.info(marked.instance(Customer).device)
    with pytest.raises(ValueError, match="logs"), canaries(guard, tm.RenewalGuidance, effects=("logs",)):
        pass


@pytest.mark.parametrize("relation", ["list[{}]", "{} | None"])
def test_classes_that_hold_each_other_are_marked_where_they_are_listed(relation: str) -> None:
    """Each of 25 classes has two relations to others, so that the number of paths doubles at each level."""
    default: Any = ... if relation.startswith("list") else None
    classes: dict[str, Any] = {}
    for number in range(25):
        others = (f"Related{(number + 1) % 25}", f"Related{(number * 7 + 3) % 25}")
        fields: dict[str, Any] = {
            "email": (Annotated[str, tm.ProductData], ...),
            "first": (relation.format(others[0]), default),
            "second": (relation.format(others[1]), default),
        }
        classes[f"Related{number}"] = create_model(f"Related{number}", **fields)
    for cls in classes.values():
        cls.model_rebuild(_types_namespace=classes)
    with canaries(pg.Guard(tm.NOTICE), tm.RenewalGuidance) as marked:
        marked.instance(classes["Related0"])
    listed = pg.sources_of(classes["Related0"])
    assert len(listed) >= 25
    assert {mark.field for mark in marked.marks} == listed.keys()
