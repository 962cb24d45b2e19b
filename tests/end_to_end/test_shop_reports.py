"""The shop's reports: what the guarded engine, the exported files and the warehouse give out, and what they do not."""

from __future__ import annotations

import duckdb
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select, text

import purposeguard as pg
from examples.shop.database import (
    ContractRow,
    CustomerRow,
    EventRow,
    InquiryRow,
    LeadRow,
    MailRow,
    ProspectRow,
    Session,
    UploadRow,
    VisitRow,
)
from examples.shop.privacy import guard
from examples.shop.reports import files, warehouse
from examples.shop.reports.reading import Reading
from purposeguard.adapters import arrow
from purposeguard.adapters.sqlalchemy import permitted
from purposeguard.adapters.tags import columns_of
from purposeguard.notices import trendmicro_jp as tm

ISSUE = {"subject": "Come and see", "body": "On Friday at five."}
STOP = "suspension-of-use"


@pytest.fixture(autouse=True)
def started(people):
    """Every test here is of a shop with people in it."""


@pytest.fixture
def exported(people):
    for name in ("contacts", "events"):
        assert people.put(f"/reports/{name}").status_code == 200
    return people


def read(statement):
    with Reading() as session:
        return session.execute(statement).all()


@pytest.mark.parametrize(
    ("table", "serves", "not_this"),
    [
        (CustomerRow, tm.RenewalGuidance, tm.TrafficAnalysis),
        (ContractRow, tm.RenewalGuidance, tm.TrafficAnalysis),
        (EventRow, tm.ProductImprovement, tm.RenewalGuidance),
        (VisitRow, tm.TrafficAnalysis, tm.ProductImprovement),
        (LeadRow, tm.WebInquiryResponse, tm.ProductImprovement),
        (ProspectRow, tm.ProspectInquiryResponse, tm.WebInquiryResponse),
        (InquiryRow, None, tm.AnyInquiryResponse),  # some are of customers
    ],
)
def test_every_column_is_tagged_save_those_of_our_own(table, serves, not_this):
    everything = {column.name for column in table.__table__.columns}
    ours = {"id", "registered_on"} & everything
    if table is InquiryRow:
        ours |= {"lead_id", "prospect_id"}  # of questions that came by the website, or from prospects
    with guard.purpose(not_this):
        assert {column.name for column in permitted(Reading.kw["bind"], table).c} == ours
    if serves is not None:
        with guard.purpose(serves):
            assert {column.name for column in permitted(Reading.kw["bind"], table).c} == everything


def test_rows_of_who_stopped_the_use_are_not_counted(people, ask):
    ask(STOP, "customer:1", ["renewal-guidance"])
    assert people.get("/reports/renewals-due").json() == []
    assert people.get("/reports/crashes").json()[0]["runs"] == 2  # for another purpose they are


def test_what_is_sorted_by_telemetry_is_made_of_it(people):
    found = people.get("/mistakes/call-list").json()
    assert (found["field"], found["sources"]) == ("events.customer_id", ["1.1(b)"])
    assert found["activity"] == "examples.shop.routes.mistakes.whom_to_call_first"


def test_collecting_and_the_repository_go_by_the_shops_own_engine(people):
    with Session() as session:
        assert session.scalar(select(CustomerRow.name)) == "Aiko Mori"
    assert people.post("/leads", json={"name": "B", "email": "b@example.com"}).status_code == 201


def test_reports_need_a_purpose_and_tagged_tables():
    with pytest.raises(pg.PurposeMissing):
        read(select(CustomerRow.name))
    with guard.purpose(tm.ProductProvision):
        for table in (MailRow, UploadRow):
            with pytest.raises(pg.UnlabelledData, match=rf"`{table.__tablename__}` is no table.*not_personal"):
                read(select(table))
    assert read(select(func.count()).select_from(CustomerRow)) == [(1,)]


def test_text_is_read_as_well():
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeGuardError):
        read(text("SELECT name FROM customers JOIN events ON customer_id = customers.id WHERE kind = 'crash'"))


def test_figures_are_made_under_the_next_revision_too(people):
    assert people.put("/privacy/notice", json={"revision": "2025-04-01"}).status_code == 200
    assert len(people.get("/reports/renewals-due").json()) == 2
    assert people.put("/reports/contacts").json()["rows"] == 3


def test_the_list_bears_its_tags_and_what_each_row_is_of(exported, settings):
    table = pq.read_table(settings.reports_folder / files.CONTACTS)
    assert arrow.columns_of(table, tm.NOTICE) == columns_of(tm.NOTICE, files.Contacts)
    rows = [(row["person"], row["source"], row["email"]) for row in table.to_pylist()]
    assert rows == [
        ("customer:1", "1.1(a)", "aiko@example.com"),
        ("lead:1", "2.1(a)", "chie@example.com"),
        ("prospect:1", "3.1(a)", "daichi@example.com"),
    ]


@pytest.mark.parametrize(
    ("wish", "to"),
    [
        (("lead:1", ["AnyEventInvitation"]), ["aiko@example.com", "daichi@example.com"]),
        (("customer:1", ["event-invitation"]), ["chie@example.com", "daichi@example.com"]),
        (("prospect:1", None), ["aiko@example.com", "chie@example.com"]),
        (("customer:1", ["renewal-guidance"]), ["aiko@example.com", "chie@example.com", "daichi@example.com"]),
    ],
)
def test_who_opts_out_after_the_export_is_on_the_list_and_gets_no_letter(exported, ask, mailer, wish, to):
    ask(STOP, *wish)
    answer = exported.post("/reports/invitations", json=ISSUE)
    assert answer.json() == {"listed": 3, "written_to": len(to)}
    assert [message.to for message in mailer.sent] == to
    assert all(message.body.startswith("Dear ") for message in mailer.sent)


def test_a_list_of_nobody_is_one(people, ask, mailer):
    for who in ("customer:1", "lead:1", "prospect:1"):
        ask(STOP, who)
    assert people.put("/reports/contacts").json()["rows"] == 0
    assert people.post("/reports/invitations", json=ISSUE).json() == {"listed": 0, "written_to": 0}
    assert people.put("/reports/events").json()["rows"] == 0
    assert people.put("/reports/warehouse").json() == []


def test_the_warehouse_is_filled_anew_each_time(exported):
    for _ in range(2):
        filled = exported.put("/reports/warehouse")
        assert filled.json() == [{"product": "Shield", "runs": 2, "mean": 3.8}]


def test_the_warehouse_leaves_out_who_stopped_the_use_since_the_export(exported, ask):
    ask(STOP, "customer:1", ["product-improvement"])
    assert exported.put("/reports/warehouse").json() == []


def test_telemetry_does_not_get_where_contracts_are_kept(exported, settings):
    found = exported.post("/mistakes/segments")
    assert found.status_code == 403
    assert found.json()["title"] == "not into this column"
    assert (found.json()["field"], found.json()["sources"]) == ("segments.segment", ["1.1(b)"])
    with duckdb.connect(settings.reports_folder / "warehouse.duckdb") as plain:
        assert plain.execute("SELECT count(*) FROM segments").fetchone() == (0,)


def test_a_segment_by_telemetry_is_refused_for_renewals_and_answered_for_improvement(exported, settings):
    segment = "SELECT person, product FROM events WHERE kind = 'crash'"
    with warehouse.open_warehouse(settings.reports_folder) as connection:
        with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation, match=r"`events\.product`"):
            connection.sql(segment)
        with guard.purpose(tm.ProductImprovement):
            assert connection.sql(segment).fetchall() == [("customer:1", "Shield")]
