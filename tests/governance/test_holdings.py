"""What is found in the records of a holding: every tagged and sealed field, each under its label."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from typing import Annotated, Any, NamedTuple, TypedDict

import pytest
from pydantic import BaseModel, computed_field

import purposeguard as pg
from purposeguard.errors import UnlabelledData
from purposeguard.governance.holdings import Holdings, iter_held_items, open_held_item
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.sealed import compute_plain_value


class Address(BaseModel):
    street: Annotated[str, tm.Registration]
    note: str = "no tag"


class Customer(BaseModel):
    id: int
    email: Annotated[str, tm.Registration]
    phone: pg.Personal[str, tm.Registration] | None
    tags: Annotated[list[str], tm.ProductData]
    nicknames: list[Annotated[str, tm.Registration]]
    addresses: dict[str, Address]
    contract: Annotated[Address | None, tm.Contract]

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation has it
    @property
    def domain(self) -> Annotated[str, tm.Registration]:
        return self.email.partition("@")[2]


class Row(TypedDict):
    email: Annotated[str, tm.WebContact]
    phone: pg.Personal[str, tm.WebContact] | None


@dataclasses.dataclass
class Visit:
    page: Annotated[str, tm.Cookie]
    seen: datetime.datetime


class Pair(NamedTuple):
    name: Annotated[str, tm.ProspectContact]
    job: Annotated[str, tm.ProspectJob]


def found(record: object, **more: Any) -> list[tuple[str, str, bool]]:
    """Path, clauses and seal of all that is held in a record."""
    items = iter_held_items(record, **more)
    return [(one.path, " ".join(source.clause for source in one.label), one.sealed) for one in items]


CUSTOMER = Customer(
    id=7,
    email="aiko@example.org",
    phone=None,
    tags=["a", "b"],
    nicknames=["x"],
    addresses={"home": Address(street="1"), "work": Address(street="2")},
    contract=Address(street="3"),
)


def test_every_tagged_and_sealed_field_is_found_and_nothing_else() -> None:
    assert found(CUSTOMER) == [
        ("email", "1.1(a)", False),
        ("phone", "1.1(a)", True),  # none was given, and it would be sealed
        ("tags", "1.1(b)", False),
        ("nicknames", "1.1(a)", False),
        ('addresses["home"].street', "1.1(a)", False),
        ('addresses["work"].street', "1.1(a)", False),
        ("contract.street", "1.1(a) 1.1(c)", False),  # of what holds it, too
        ("contract.note", "1.1(c)", False),
        ("domain", "1.1(a)", False),
    ]
    assert [one.value for one in iter_held_items(CUSTOMER)][2] == ["a", "b"]


def test_all_kinds_of_classes_are_read() -> None:
    seen = datetime.datetime(2026, 5, 2, tzinfo=datetime.UTC)
    assert found(Visit("/prices", seen)) == [("page", "2.3", False)]
    assert found(Pair("Aiko", "clerk")) == [("name", "3.1(a)", False), ("job", "3.1(b)", False)]
    assert found(pg.Personal("x", tm.Cookie)) == [("(value)", "2.3", True)]
    assert found(pg.Personal("x", pg.NotPersonal)) == []


def test_a_record_that_was_never_filled_in_is_read_as_far_as_it_goes() -> None:
    bare = object.__new__(Visit)
    assert found(bare) == []


def test_what_is_sealed_is_found_in_what_it_lies_in() -> None:
    class Report(BaseModel):
        rows: Annotated[list[Any], tm.Registration]

    sealed = pg.Personal("x", tm.ProductData)
    assert found(Report(rows=[sealed, "plain"])) == [("rows[0]", "1.1(a) 1.1(b)", True), ("rows[1]", "1.1(a)", False)]


def test_what_is_opened_is_read_like_any_other_record_under_the_seal_s_label_too() -> None:
    (one,) = iter_held_items(pg.Personal([Address(street="1"), pg.Personal("deep", tm.Contract)], tm.Cookie))
    label = pg.Label(tm.Cookie, tm.Registration)  # A seal is under the tags in it, too; the seal in it has its own.
    assert [(each.path, each.label, each.sealed, each.value) for each in open_held_item(one, compute_plain_value)] == [
        ("(value)[0].street", label, True, "1"),
        ("(value)[0].note", label, True, "no tag"),
        ("(value)[1]", label | pg.Label(tm.Contract), True, "deep"),
    ]


def test_what_holds_itself_has_an_end() -> None:
    class Node(BaseModel):
        name: Annotated[str, tm.Cookie]
        next: Any = None

    node = Node(name="a")
    node.next = [node]
    assert found(node) == [("name", "2.3", False)]
    endless: list[Any] = []
    endless.append(endless)
    assert found(Node(name="a", next=endless)) == [("name", "2.3", False)]


def test_plain_dicts_are_read_by_what_the_function_returns() -> None:
    holdings = Holdings()

    @holdings.holding("leads")
    def leads(key: str) -> list[Row]:
        return [{"email": "a@example.org", "phone": pg.Personal("1", tm.WebContact)}, {"email": "b", "phone": None}]

    (holding,) = holdings
    first, second = holding.records("7")
    both = [("email", "2.1(a)", False), ("phone", "2.1(a)", True)]
    assert found(first, row=holding.row) == both
    assert found(second, row=holding.row) == both
    assert leads("7")  # the function itself is as it was


@pytest.mark.parametrize(
    "record", [{"email": "a"}, "aiko@example.org", 7, object()], ids=["dict", "text", "int", "object"]
)
def test_what_says_nothing_of_itself_is_refused_without_a_word_of_its_value(record: object) -> None:
    with pytest.raises(UnlabelledData, match="says of no field where it is from") as caught:
        found(record)
    assert "aiko" not in str(caught.value)


@pytest.mark.parametrize("name", [found, "", " ", None], ids=["function", "empty", "blank", "none"])
def test_a_holding_without_a_name_is_not_passed_over(name: Any) -> None:
    with pytest.raises(TypeError, match="a holding has a name"):
        Holdings().holding(name)


def test_a_function_gives_a_record_several_or_none() -> None:
    holdings = Holdings()
    given: list[Any] = [None, Visit("/", datetime.datetime.now(datetime.UTC)), iter([CUSTOMER, CUSTOMER]), ()]
    holdings.holding("any")(lambda key: given.pop(0))
    (holding,) = holdings
    assert [len(holding.records("7")) for _ in range(4)] == [0, 1, 2, 0]
    holdings.holding("other")(functools.partial(lambda key: "aiko@example.org"))
    with pytest.raises(TypeError, match="the holding `other` gave a str") as caught:
        list(holdings)[1].records("7")
    assert "aiko" not in str(caught.value)
    assert not list(holdings)[1].row.has_fields


def test_names_are_given_once() -> None:
    holdings = Holdings()

    def load(key: str) -> None: ...
    def other(key: str) -> None: ...
    async def later(key: str) -> None: ...

    holdings.holding("it")(load)
    holdings.holding("it")(load)  # its module was loaded again
    assert len(list(holdings)) == 1
    with pytest.raises(ValueError, match="there is a holding `it` already"):
        holdings.holding("it")(other)
    with pytest.raises(TypeError, match="coroutine function"):
        holdings.holding("later")(later)


def test_fields_have_the_names_that_people_know() -> None:
    holdings = Holdings()
    names = {"orders[].address": {"en": "Address", "ja": "住所"}, "email": {"en": "E-mail"}}
    holdings.holding("it", names=names)(lambda key: None)
    (holding,) = holdings
    assert holding.title_of("orders[12].address", "ja") == "住所"
    assert holding.title_of('orders["a[0]"].address', "en") == "Address"
    assert holding.title_of("email", "ja") is None
    assert holding.title_of("phone", "en") is None
