"""The disclosure report of one subject, as data (clauses 7 and 9)."""

from __future__ import annotations

import contextlib
import datetime
import enum
import json
import re
import uuid
from pathlib import Path
from typing import Annotated, Any

import jsonschema  # type: ignore[import-untyped]  # it comes without stubs
import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.errors import RequestError, UnlabelledData
from purposeguard.governance.disclosure import RecordsAboutSubject, build_disclosure
from purposeguard.governance.disclosure_page import Disclosure, Part
from purposeguard.governance.holdings import Holdings
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.protocols import SubjectPreferences
from purposeguard.values.markers import Subject
from tests.governance.disclosures import NOTICE, NOW, customer, door, holdings, on_record, report


def items(made: Disclosure) -> dict[str, Any]:
    return {one.path: one for record in made.holdings[0].records for one in record.items}


def test_clause_7_disclosure_lists_each_item_with_its_clauses() -> None:
    made = report()
    assert [(one.name, one.title, len(one.records)) for one in made.holdings] == [
        ("customers", "Customers", 1),
        ("visits", None, 2),
        ("leads", None, 0),
    ]
    (record,) = made.holdings[0].records
    assert (record.collected, record.ended) == (datetime.date(2021, 4, 1), datetime.date(2026, 4, 20))
    assert [(one.path, one.sources, one.sealed, one.held) for one in record.items] == [
        ("email", ("1.1(a)",), False, True),
        ("phone", ("1.1(a)",), True, False),
        ("device", ("1.1(b)",), True, True),
        ("segment", ("1.1(a)", "1.1(b)"), False, True),
        ("settings", ("1.1(b)",), False, True),
        ("orders[0].product", ("1.1(c)",), False, True),
        ("orders[0].address", ("1.1(a)",), False, True),
    ]
    assert items(made)["device"].value == "TM-99"
    assert items(made)["orders[0].product"].title == "Product ordered"
    assert items(report("ja"))["orders[0].product"].title == "購入製品"


def test_clause_8_each_item_says_until_when_it_is_kept() -> None:
    made = report()
    assert items(made)["email"].due_on == datetime.date(2026, 5, 21)  # 30 days after the end of use, the sooner of two
    assert items(made)["device"].due_on is None
    assert items(made)["segment"].due_on == datetime.date(2026, 5, 21)
    periods = {one.id: [(each.days, each.counted_from) for each in one.retention] for one in made.sources}
    kept = {"1.1(a)": [(30, "end-of-use"), (3650, "collection")], "2.3": [(90, "collection")]}
    assert periods == {"1.1(b)": [], "1.1(c)": [], **kept}


def test_a_report_says_how_long_law_needs_it() -> None:
    tables = NOTICE.dump()
    tables["retention"]["law"] = [{"source": "1.1", "days": 3000}, {"source": "1.1(a)", "days": 400}]
    made = build_disclosure(pg.Notice.parse(tables, classes=vars(tm)), "7", holdings(), RecordsAboutSubject(), now=NOW)
    needed = {source.id: [(each.days, each.counted_from) for each in source.law] for source in made.sources}
    inherited = {source: [(3000, "end-of-use")] for source in ("1.1(b)", "1.1(c)")}
    assert needed == {"1.1(a)": [(400, "end-of-use")], **inherited, "2.3": []}
    page = made.to_html()
    assert "<li>where law needs it: 400 days from the end of use</li>" in page
    assert "<li>no period set: as long as a purpose of use needs it</li><li>where law needs it: 3000 days" in page
    assert not any(source.law for source in report().sources)
    assert "where law needs it" not in report().to_html()


def test_clause_7_purposes_are_those_that_the_notice_grants_to_all_the_sources_of_an_item() -> None:
    made = report()
    open_to = {one.sources: one.purposes for one in made.categories}
    assert list(open_to) == [("1.1(a)",), ("1.1(a)", "1.1(b)"), ("1.1(b)",), ("1.1(c)",), ("2.3",)]
    for sources, purposes in open_to.items():
        every = [NOTICE.grants[NOTICE.source(one)] for one in sources]
        assert purposes == tuple(one.clause for one in NOTICE.purposes if all(one in each for each in every))
    assert open_to["1.1(a)", "1.1(b)"] == tuple(f"1.2(2){n}" for n in "①②③④⑤⑥")
    assert {one.id for one in made.purposes} == {one for each in open_to.values() for one in each}


def test_purposes_say_their_clause_and_basis_and_what_the_subject_asked() -> None:
    found = {one.id: one for one in report().purposes}
    assert (found["1.2(1)①"].granted_by, found["1.2(1)①"].basis) == ("1.2(1)", "contract")
    assert found["1.2(2)①"].basis == "legitimate-interest"
    assert found["2.3①"].basis is None
    assert [one for one, purpose in found.items() if purpose.suspended] == ["1.2(1)①"]
    agreed = {one: purpose.agreed for one, purpose in found.items() if purpose.agreed is not None}
    assert agreed == {"1.2(1)②": True, "1.2(1)③": False, "1.2(1)④": False, "1.2(1)⑤": False}
    records = RecordsAboutSubject(preferences=SubjectPreferences(erased=True))
    erased = build_disclosure(NOTICE, "7", holdings(), records, now=NOW)
    assert all(one.suspended for one in erased.purposes)


def test_clause_9_contacts_are_in_every_report() -> None:
    bare = build_disclosure(NOTICE, "7", (), RecordsAboutSubject(), now=NOW)
    for made in (bare, report()):
        controller, complaints = made.contacts
        assert (controller.role, controller.clause) == ("controller", "9.1")
        assert controller.email == "privacy@trendmicro.co.jp"
        assert (complaints.role, complaints.clause) == ("complaints", "9.2")
        assert complaints.phone == ("03-5860-7565", "0120-700-779")
        assert complaints.address
    assert not any((bare.holdings, bare.sources, bare.categories, bare.purposes))


def test_the_rights_of_clause_7_are_told() -> None:
    rights = report("ja").rights
    assert rights is not None
    assert (rights.clause, rights.days, rights.by_agent) == ("7", 14, True)
    assert tm.NOTICE.document.rights is not None
    assert [one.kind for one in rights.requests] == [one.id for one in tm.NOTICE.document.rights.request]


def test_a_notice_without_these_clauses_says_nothing_of_them() -> None:
    tables = {key: value for key, value in NOTICE.dump().items() if key not in {"rights", "contact", "retention"}}
    made = build_disclosure(pg.Notice.parse(tables), "7", (), RecordsAboutSubject(), now=NOW)
    assert (made.rights, made.contacts) == (None, ())


def test_days_and_moments_are_in_the_notice_s_time_zone() -> None:
    made = report()
    assert made.made_at.isoformat() == "2026-05-03T07:30:00+09:00"
    assert made.time_zone == "Asia/Tokyo"


def test_values_are_shown_where_it_is_asked_for_alone() -> None:
    made = report(values=False, door=None)
    assert not made.values_shown
    assert all(one.value is None for one in items(made).values())
    assert "aiko" not in made.to_json()
    assert items(made)["device"].held
    assert not items(made)["phone"].held


def test_sealed_values_are_not_shown_where_nothing_opens_them() -> None:
    with pytest.raises(RequestError, match=r"under a guard's exception") as caught:
        report(door=None)
    assert "TM-99" not in str(caught.value)


def test_the_door_is_there_while_the_holdings_are_read_and_shut_again() -> None:
    told: list[str] = []

    @contextlib.contextmanager
    def noting(subject: str) -> Any:
        told.append(f"open for {subject}")
        with door(subject) as opens:
            yield opens
        told.append("shut")

    def load(key: str) -> Any:
        told.append(f"load {key}")
        return customer()

    build_disclosure(NOTICE, "7", holdings(load), RecordsAboutSubject(), now=NOW, values=True, door=noting)
    assert told == ["open for 7", "load 7", "shut"]


def test_a_record_of_somebody_else_is_not_disclosed() -> None:
    with pytest.raises(RequestError, match="a record of another subject") as caught:
        build_disclosure(NOTICE, "8", holdings(), RecordsAboutSubject(), now=NOW)
    assert "aiko" not in str(caught.value)
    frames = []
    trace = caught.value.__traceback__
    while trace is not None:
        frames.append(repr(trace.tb_frame.f_locals) if "purposeguard" in trace.tb_frame.f_code.co_filename else "")
        trace = trace.tb_next
    assert "aiko" not in "".join(frames)


def test_what_a_holding_raises_goes_through() -> None:
    def load(key: str) -> Any:
        raise ConnectionError("the database of customers is down")

    with pytest.raises(ConnectionError):
        build_disclosure(NOTICE, "7", holdings(load), RecordsAboutSubject(), now=NOW)
    with pytest.raises(UnlabelledData):
        build_disclosure(NOTICE, "7", holdings(lambda key: {"email": "a"}), RecordsAboutSubject(), now=NOW)


def test_data_of_an_earlier_revision_is_told_by_clause_and_a_clause_that_is_gone_serves_nothing() -> None:
    tables = NOTICE.dump()
    tables["revision"] = "2027-01-01"
    for row in tables["grant"]:
        row["sources"] = [one for one in row["sources"] if one != "2.3"]
    tables["grant"] = [row for row in tables["grant"] if row["sources"]]
    tables["source"] = [row for row in tables["source"] if row["id"] != "2.3"]
    tables["retention"].pop("period")
    tables.pop("derivation")
    later = pg.Notice.parse(tables)
    made = build_disclosure(later, "7", holdings(), RecordsAboutSubject(), now=NOW)
    in_force = {one.id: one.in_force for one in made.sources}
    assert in_force == {"1.1(a)": True, "1.1(b)": True, "1.1(c)": True, "2.3": False}
    assert made.sources[-1].title == tm.Cookie.title["en"]
    assert {one.sources: one.purposes for one in made.categories}["2.3",] == ()
    assert made.notice.revision == datetime.date(2027, 1, 1)


class Colour(enum.Enum):
    red = "red"


class Odd:
    def __str__(self) -> str:
        return "odd"


def test_values_of_every_kind_are_told_in_json() -> None:
    class Mixed(BaseModel, arbitrary_types_allowed=True):
        raw: Annotated[bytes, tm.Cookie] = b"\xff\x00"
        when: Annotated[datetime.datetime, tm.Cookie] = NOW
        ratio: Annotated[float, tm.Cookie] = float("nan")
        colour: Annotated[Colour, tm.Cookie] = Colour.red
        key: Annotated[uuid.UUID, tm.Cookie] = uuid.UUID(int=7)
        odd: Annotated[Odd, tm.Cookie] = Odd()

    made = Holdings()
    made.holding("it")(lambda key: Mixed())
    told = build_disclosure(NOTICE, "7", made, RecordsAboutSubject(), now=NOW, values=True)
    assert {path: one.value for path, one in items(told).items()} == {
        "raw": "_wA=",
        "when": "2026-05-02T22:30:00Z",
        "ratio": "NaN",
        "colour": "red",
        "key": "00000000-0000-0000-0000-000000000007",
        "odd": "odd",
    }


def test_the_json_is_what_its_schema_says() -> None:
    schema = Disclosure.model_json_schema(mode="serialization")
    jsonschema.Draft202012Validator.check_schema(schema)
    for made in (report(), report("ja"), report(values=False)):
        text = made.to_json()
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        validator.validate(json.loads(text))
        assert Disclosure.model_validate_json(text) == made


def test_the_report_is_not_changed_once_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        report().subject = "8"
    assert all(one.model_config["frozen"] for one in Part.__subclasses__())


def test_notes_of_the_subject_s_key_agree_whatever_its_kind() -> None:
    class Row(BaseModel):
        id: Annotated[uuid.UUID, Subject]
        page: Annotated[str, tm.Cookie]

    key = "00000000-0000-0000-0000-000000000007"
    made = Holdings()
    made.holding("it")(lambda given: Row(id=uuid.UUID(given), page="/"))
    assert items(build_disclosure(NOTICE, key, made, on_record(), now=NOW))["page"].held


def test_a_value_that_cannot_be_told_fails_without_a_word_of_it() -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("aiko@example.org")

    class Row(BaseModel, arbitrary_types_allowed=True):
        it: Annotated[Broken, tm.Cookie]

    made = Holdings()
    made.holding("it")(lambda key: Row(it=Broken()))
    with pytest.raises(pg.SealedValue, match=r"writing a .*Broken as text failed") as caught:
        build_disclosure(NOTICE, "7", made, RecordsAboutSubject(), now=NOW, values=True)
    assert "aiko" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_record_about_several_people_is_disclosed_to_each_of_them() -> None:
    class Call(BaseModel):
        caller: Annotated[int, Subject]
        called: Annotated[int, Subject]
        text: Annotated[str, tm.ProductData]

    made = Holdings()
    made.holding("calls")(lambda key: [Call(caller=7, called=8, text="hello")])
    for subject in ("7", "8"):
        assert items(build_disclosure(NOTICE, subject, made, RecordsAboutSubject(), now=NOW))["text"].held
    with pytest.raises(RequestError, match="a record of another subject"):
        build_disclosure(NOTICE, "9", made, RecordsAboutSubject(), now=NOW)


PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "disclosure.md"


def test_the_reference_names_every_key_of_the_report() -> None:
    text = PAGE.read_text("utf-8")
    models = {one.__name__: one for one in Part.__subclasses__()}
    found = re.findall(r"^<!-- (\w+) -->\n(.*?)(?=^<!-- |\Z)", text, re.MULTILINE | re.DOTALL)
    assert {name for name, _ in found} == models.keys()
    for name, section in found:
        cells = re.findall(r"^\| ([^|]*) \|", section, re.MULTILINE)
        keys = [key for cell in cells for key in re.findall(r"`(\w+)`", cell)]
        assert sorted(keys) == sorted(models[name].model_fields), name
