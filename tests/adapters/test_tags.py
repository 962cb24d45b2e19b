"""Tags of columns: how they are told, written and read, and what is refused."""

from __future__ import annotations

import json
import pickle
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.adapters.sql import Tables
from purposeguard.adapters.tags import NOT_PERSONAL, Columns, Tag, columns_of, decode, encode, tag_of
from purposeguard.notices import trendmicro_jp as tm

NOTICE = tm.NOTICE
EARLIER = pg.Notice.parse({**NOTICE.dump(), "revision": "2023-04-01"})
HISTORY = pg.History(EARLIER, NOTICE)


class Address(BaseModel):
    city: Annotated[str, tm.WebContact]
    country: str


class Customer(BaseModel):
    id: Annotated[int, pg.Subject("customer")]
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]
    segment: Annotated[str, tm.Registration, tm.Contract]
    address: Address | None
    phone: pg.Personal[str, tm.Contract]
    note: str


def test_the_fields_of_a_model_are_columns() -> None:
    columns = columns_of(NOTICE, Customer)
    assert list(columns) == ["id", "email", "device", "segment", "address", "phone", "note"]
    assert columns["id"] == Tag(mark=pg.Subject("customer"))
    assert columns["email"] == Tag(pg.Label(tm.Registration))
    assert columns["segment"].label is pg.Label(tm.Registration, tm.Contract)
    assert columns["address"].label is pg.Label(tm.WebContact)  # all that is in it
    assert columns["phone"].label is pg.Label(tm.Contract)
    assert columns["note"] == Tag(NOT_PERSONAL)
    assert not columns["note"].is_personal


class Mixed(BaseModel):
    name: Annotated[str, pg.ByRow]
    usage: Annotated[str, pg.ByRow, tm.ProductData]
    origin: Annotated[str, pg.RowSource]
    since: Annotated[str, pg.Collected]


def test_a_model_may_describe_a_table_whose_rows_name_their_sources() -> None:
    columns = columns_of(NOTICE, Mixed)
    assert columns["name"] == Tag(by_row=True)
    assert columns["usage"] == Tag(pg.Label(tm.ProductData), by_row=True)
    assert columns.columns_with_mark(pg.RowSource) == "origin"
    assert columns.columns_with_mark(pg.Collected) == "since"
    assert columns.columns_with_mark(pg.Ended) is None


def test_such_a_model_is_read_through_adapters_alone(guard: pg.Guard) -> None:
    with pytest.raises(pg.UnlabelledData, match=r"purposeguard\.adapters"):
        pg.sources_of(Mixed)
    with pytest.raises(pg.UnlabelledData, match=r"purposeguard\.adapters"):

        @guard.access
        def load() -> list[Mixed]:
            return []

    row = Mixed(name="n", usage="u", origin="1.1(a)", since="s")
    with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(pg.UnlabelledData, match=r"purposeguard\.adapters"):
        use.withhold(row)


def test_a_mapping_tells_each_column() -> None:
    columns = columns_of(
        NOTICE,
        {
            "id": (pg.Subject, pg.NotPersonal), "email": tm.Registration, "name": "2.1a",
            "usage": [tm.Registration, "1.1(b)"], "both": pg.Label(tm.Cookie), "rest": pg.NotPersonal,
            "origin": pg.RowSource, "text": (pg.ByRow, "3.1(c)"), "made": "not-personal",
        },
    )  # fmt: skip
    assert columns["name"].label is pg.Label(tm.WebContact)
    assert columns["usage"].label is pg.Label(tm.Registration, tm.ProductData)
    assert columns["text"] == Tag(pg.Label(tm.ProspectSubmission), by_row=True)
    assert columns["made"] == columns["rest"] == Tag()
    assert columns.subjects() == (("id", pg.Subject),)


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ((), pg.UnlabelledData, "say `NotPersonal`"),
        (None, TypeError, "not NoneType"),
        (3, TypeError, "not int"),
        (b"1.1(a)", TypeError, "not bytes"),
        ({"1.1(a)": 1}, TypeError, "not dict"),
        ("1.1(z)", pg.UnknownSource, r"(?s)unknown source `1.1.z.`.*`email`"),
        ("registraton", pg.UnknownSource, r"(?s)did you mean `registration`"),
        (tm.RenewalGuidance, pg.UnknownSource, "is a purpose"),
        ((pg.Subject, pg.Collected), pg.UnlabelledData, "says one thing of a row"),
        ((pg.RowSource, tm.Registration), pg.UnlabelledData, "holds ids of sources"),
        ((pg.RowSource, pg.ByRow), pg.UnlabelledData, "holds ids of sources"),
    ],
    ids=[
        "nothing", "none", "a number", "bytes", "a mapping", "no id", "misspelt", "a purpose", "two marks",
        "a personal source", "a source by row",
    ],
)  # fmt: skip
def test_what_is_no_tag_is_refused(spec: object, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        columns_of(NOTICE, {"email": spec})


def test_what_is_no_table_is_refused() -> None:
    for given_ in ("1.1(a)", 3, None, [tm.Registration]):
        with pytest.raises(TypeError, match="the tags of a table are"):
            columns_of(NOTICE, given_)


def test_one_column_says_where_a_row_is_from() -> None:
    with pytest.raises(pg.UnlabelledData, match="`a` and `b` are both marked RowSource"):
        columns_of(NOTICE, {"a": pg.RowSource, "b": pg.RowSource})
    with pytest.raises(pg.UnlabelledData, match="both marked Collected"):
        columns_of(NOTICE, {"a": pg.Collected, "b": (pg.Collected, tm.Cookie)})


def test_classes_of_an_unknown_notice_are_refused() -> None:
    with pytest.raises(pg.UnknownSource):
        columns_of(NOTICE, {"email": EARLIER.source("1.1(a)")})
    assert columns_of(HISTORY, {"email": EARLIER.source("1.1(a)")})["email"].label is pg.Label(EARLIER.source("1.1(a)"))
    tags = columns_of(HISTORY, {"email": EARLIER.source("1.1(a)")})
    with pytest.raises(pg.UnknownSource):
        columns_of(NOTICE, tags)


def test_columns_are_values() -> None:
    one = columns_of(NOTICE, Customer)
    assert one == columns_of(NOTICE, Customer)
    assert hash(one) == hash(columns_of(NOTICE, Customer))
    assert one != columns_of(NOTICE, Mixed)
    assert one != {"id": 1}
    assert pickle.loads(pickle.dumps(one["email"])) == one["email"]
    assert one["email"] != object()
    assert repr(one["id"]) == '<Tag Label(not-personal), Subject("customer")>'
    assert repr(Columns({"a": Tag(by_row=True)})) == "<Columns a>"
    assert repr(Tag(by_row=True)) == "<Tag Label(not-personal), by row>"
    with pytest.raises(AttributeError):
        one["email"].by_row = True  # type: ignore[misc]
    with pytest.raises(TypeError):
        one["email"] = Tag()  # type: ignore[index]


def test_a_tag_is_written_in_one_way() -> None:
    assert encode(Tag(pg.Label(tm.Registration)), NOTICE) == (
        '{"notice":"trendmicro-jp","revision":"2024-04-01","sources":["1.1(a)"],"version":1}'
    )
    assert encode(Tag(pg.Label(tm.ProductData), by_row=True, mark=pg.Subject("customer")), HISTORY) == (
        '{"by_row":true,"mark":"subject","notice":"trendmicro-jp","realm":"customer","revision":"2024-04-01",'
        '"sources":["1.1(b)"],"version":1}'
    )
    assert json.loads(encode(Tag(), NOTICE))["sources"] == ["not-personal"]
    assert json.loads(encode(Tag(by_row=True), NOTICE))["sources"] == []


def _tags(notice: pg.Notice) -> st.SearchStrategy[Tag]:
    labels = st.lists(st.sampled_from(notice.sources), max_size=4).map(
        lambda some: pg.Label(*(some or [pg.NotPersonal]))
    )
    marks = st.sampled_from([None, pg.Subject, pg.Subject("lead"), pg.Collected, pg.Ended])
    return st.builds(Tag, labels, by_row=st.booleans(), mark=marks) | st.just(Tag(mark=pg.RowSource))


@given(tag=_tags(NOTICE) | _tags(EARLIER))
def test_a_tag_that_is_written_is_read_again(tag: Tag) -> None:
    assert decode(encode(tag, HISTORY), HISTORY, "c") == tag


def test_a_tag_of_an_earlier_revision_is_of_its_classes() -> None:
    old = encode(Tag(pg.Label(EARLIER.source("1.1(a)"))), EARLIER)
    assert decode(old, HISTORY, "email").label is pg.Label(EARLIER.source("1.1(a)"))
    with pytest.raises(pg.UnknownSource, match=r"(?s)only 2024-04-01: give the guard a History"):
        decode(old, NOTICE, "email")
    with pytest.raises(ValueError, match="several revisions"):
        encode(Tag(pg.Label(tm.Registration, EARLIER.source("1.1(b)"))), HISTORY)
    with pytest.raises(pg.UnknownSource):
        encode(Tag(pg.Label(EARLIER.source("1.1(b)"))), NOTICE)


GOOD: dict[str, Any] = {"notice": "trendmicro-jp", "revision": "2024-04-01", "sources": ["1.1(a)"], "version": 1}


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", pg.UnlabelledData, "`email` cannot be read"),
        ("{", pg.UnlabelledData, "cannot be read"),
        ("[]", pg.UnlabelledData, "cannot be read"),
        ("null", pg.UnlabelledData, "cannot be read"),
        (b"\xff\xfe", pg.UnlabelledData, "cannot be read"),
        (GOOD | {"version": 2}, pg.UnlabelledData, "version"),
        (GOOD | {"sources": "1.1(a)"}, pg.UnlabelledData, "sources"),
        (GOOD | {"sources": [1]}, pg.UnlabelledData, "sources"),
        (GOOD | {"sources": []}, pg.UnlabelledData, "names no source"),
        (GOOD | {"sources": [], "mark": "subject"}, pg.UnlabelledData, "names no source"),
        (GOOD | {"sources": ["not-personal", "1.1(a)"]}, pg.UnlabelledData, "says both"),
        (GOOD | {"sources": ["1.1a"]}, pg.UnlabelledData, "which is written 1.1"),
        (GOOD | {"sources": ["1.9(a)"]}, pg.UnknownSource, "unknown source `1.9"),
        (GOOD | {"notice": "acme"}, pg.UnknownSource, "is of another notice than"),
        (GOOD | {"revision": "2019-01-01"}, pg.UnknownSource, "give the guard a History"),
        (GOOD | {"revision": "yesterday"}, pg.UnlabelledData, "revision"),
        (GOOD | {"mark": "owner"}, pg.UnlabelledData, "mark"),
        (GOOD | {"realm": "customer"}, pg.UnlabelledData, "marks no subject"),
        (GOOD | {"realm": "Customer!", "mark": "subject"}, pg.UnlabelledData, "a realm is a word"),
        (GOOD | {"mark": "source"}, pg.UnlabelledData, "holds ids of sources"),
        (GOOD | {"by_row": "yes"}, pg.UnlabelledData, "by_row"),
        (GOOD | {"extra": 1}, pg.UnlabelledData, "extra"),
        ({key: one for key, one in GOOD.items() if key != "notice"}, pg.UnlabelledData, "notice"),
        (" " * 20_000, pg.UnlabelledData, "20,000 characters"),
    ],
    ids=lambda given_: None,
)
def test_a_broken_or_foreign_tag_is_refused(text: object, error: type[Exception], said: str) -> None:
    written = json.dumps(text) if isinstance(text, dict) else text
    assert isinstance(written, (str, bytes))
    with pytest.raises(error, match=said.replace("(", r"\(")) as caught:
        decode(written, NOTICE, "email")
    assert "`email`" in str(caught.value) or error is pg.UnknownSource


@given(text=st.text(max_size=60) | st.binary(max_size=60))
def test_no_text_is_read_as_a_tag_by_chance(text: str | bytes) -> None:
    with pytest.raises(pg.UnlabelledData):
        decode(text, NOTICE, "email")


def test_tables_are_told_by_name() -> None:
    tables = Tables(NOTICE, {"crm.customer": Customer, "orders": {"id": pg.NotPersonal}}, views={"v": "SELECT 1"})
    assert list(tables) == ["crm.customer", "orders"]
    assert tables["orders"]["id"] == Tag()
    assert len(tables) == 2
    assert tables.views == {"v": "SELECT 1"}
    assert tables != Tables(NOTICE, {})
    assert hash(tables) != hash(Tables(NOTICE, {}))
    assert repr(tables) == "<Tables crm.customer, orders, v>"


def test_a_column_that_carries_no_tag_is_told_to_be_there() -> None:
    tables = Tables(
        NOTICE, {"orders": {"id": pg.NotPersonal, "note": None, "total": tm.Contract}, "customer": Customer}
    )
    assert tables.names["orders"] == ("id", "note", "total")
    assert list(tables["orders"]) == ["id", "total"]
    assert tables.names["customer"] == tuple(tables["customer"])


@pytest.mark.parametrize("name", ["", " ", "a.", ".a", "a..b"], ids=repr)
def test_a_table_has_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a table"):
        Tables(NOTICE, {name: Customer})


def test_a_name_is_of_a_table_or_of_a_view() -> None:
    with pytest.raises(ValueError, match="both as a table and as a view"):
        Tables(NOTICE, {"v": Customer}, views={"v": "SELECT 1"})


def test_a_tag_can_be_given_as_it_is() -> None:
    assert tag_of(NOTICE, Tag(pg.Label(tm.Cookie)), "c") == Tag(pg.Label(tm.Cookie))
    with pytest.raises(pg.UnknownSource):
        tag_of(NOTICE, Tag(pg.Label(EARLIER.source("2.3"))), "c")
