"""Statements under a guard: checked, labelled, narrowed; and what is remembered of them."""

from __future__ import annotations

import concurrent.futures
import logging

import pytest

import purposeguard as pg
from purposeguard.adapters.sql import Statements, Tables
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation
from tests.oversights import Told
from tests.support import RecordingLedger, RecordingReads

TABLES = Tables(
    tm.NOTICE,
    {
        "customer": {"id": pg.NotPersonal, "email": tm.Registration, "total": tm.Contract, "device": tm.ProductData},
        "visit": {"id": pg.NotPersonal, "page": tm.Cookie},
        "person": {"id": (pg.Subject, pg.NotPersonal), "name": tm.Registration},
        "crm": {"id": pg.NotPersonal, "mail": pg.ByRow, "origin": pg.RowSource},
        "crm_copy": {"mail": (pg.ByRow, tm.Registration), "origin": pg.RowSource},
        "mailing": {"address": (tm.Registration, tm.Contract), "kind": pg.NotPersonal, "note": None},
    },
    {"mails": "SELECT email AS mail, total FROM customer WHERE id > 3"},
)


@pytest.fixture
def guard() -> pg.Guard:
    return pg.Guard(tm.NOTICE, governance=Told())


@pytest.fixture
def shop(guard: pg.Guard) -> Statements:
    return Statements(guard, TABLES, dialect="postgres")


def test_the_first_column_is_named_in_the_order_in_which_tables_were_told(guard: pg.Guard, shop: Statements):
    with guard.purpose(tm.RenewalGuidance), pytest.raises(pg.PurposeViolation) as caught:
        shop.check("SELECT page, device FROM visit JOIN customer USING (id)")
    assert caught.value.field == "customer.device"


def test_outside_a_purpose_nothing_personal_is_read(shop: Statements):
    with pytest.raises(
        pg.PurposeMissing, match=r"^select of `customer` in tests\.adapters\.sql\.test_statements\.test_outside"
    ):
        shop.check("SELECT email FROM customer")
    shop.check("SELECT id FROM customer")
    assert shop.narrowed("SELECT id FROM customer") == "SELECT id FROM customer"


PROBES = [
    ("postgres", ("INSERT INTO customer (email) VALUES ('a') ON CONFLICT (email) DO UPDATE SET email = 'b' "
     "RETURNING id")),
    ("postgres", "INSERT INTO customer (email) VALUES ('a') ON CONFLICT (email) DO NOTHING RETURNING id"),
    ("postgres", "INSERT INTO customer (email) VALUES ('a') ON CONFLICT DO NOTHING"),
    ("postgres", "INSERT INTO customer (email) VALUES ('a') ON CONFLICT ON CONSTRAINT mails DO NOTHING"),
    ("sqlite", "INSERT OR IGNORE INTO customer (email) VALUES ('a') RETURNING id"),
    ("sqlite", "INSERT OR REPLACE INTO customer (email) VALUES ('a')"),
    ("sqlite", "REPLACE INTO customer (email) VALUES ('a')"),
    ("duckdb", "INSERT OR IGNORE INTO customer (email) VALUES ('a')"),
    ("duckdb", "INSERT OR REPLACE INTO customer BY NAME SELECT 'a' AS email"),
    ("mysql", "INSERT INTO customer (email) VALUES ('a') ON DUPLICATE KEY UPDATE email = 'b'"),
    ("mysql", "INSERT IGNORE INTO customer SET email = 'a'"),
    ("mysql", "REPLACE INTO customer (email) VALUES ('a')"),
    ("postgres", ("MERGE INTO customer c USING (VALUES ('a')) v (a) ON c.email = v.a WHEN NOT MATCHED THEN DO NOTHING "
     "RETURNING c.id")),
    ("snowflake", "MERGE INTO customer c USING visit v ON c.email = 'a' WHEN MATCHED THEN UPDATE SET email = 'b'"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text"), PROBES, ids=range(len(PROBES)))
def test_whether_a_row_is_there_already_is_asked_for_a_purpose(guard: pg.Guard, dialect: str, text: str):
    shop = Statements(guard, TABLES, dialect=dialect)
    kind = text.split(maxsplit=1)[0].lower()
    with pytest.raises(
        pg.PurposeMissing, match=rf"^(?:{kind}|insert) of `customer`.* \(test_statements\.py:\d+\)"
    ) as caught:
        shop.check(text)
    assert "'a'" not in str(caught.value)
    with guard.purpose(tm.WebFeedback), pytest.raises(pg.PurposeViolation):
        shop.check(text)


def test_a_row_that_may_be_there_already_is_told_by_its_key_alone(guard: pg.Guard, shop: Statements):
    text = "INSERT INTO customer (id, email) VALUES (1, 'a') ON CONFLICT {} DO UPDATE SET email = excluded.email"
    shop.check(text.format("(id)"))
    with pytest.raises(pg.PurposeMissing):
        shop.check(text.format("(email)"))
    rows = "INSERT INTO customer (id, email, total) VALUES (%s, %s, %s), (%s, %s, %s) ON CONFLICT"
    with guard.purpose(tm.RenewalGuidance):
        # The key says which row it is, and not what is in the other columns.
        shop.check(text.format("(email)"))
        for end in (
            "(email) DO NOTHING",
            "DO NOTHING",
            "(email) DO UPDATE SET total = excluded.total RETURNING id",
            "(email) DO UPDATE SET total = customer.total + excluded.total WHERE customer.id < 5",
        ):
            shop.check(f"{rows} {end}")
        # What is read chooses rows, or flows into a column.
        for telling in (
            "INSERT INTO customer (id, email) SELECT id, email FROM customer ON CONFLICT (email) DO NOTHING",
            "INSERT INTO customer (id, email) VALUES (1, (SELECT max(email) FROM customer)) ON CONFLICT DO NOTHING",
            f"{rows} (email) DO UPDATE SET id = 1 WHERE customer.email > 'a'",
            f"{rows} (email) DO UPDATE SET id = length(customer.email)",
        ):
            with pytest.raises(FlowViolation):
                shop.check(telling)
    mysql = Statements(guard, TABLES, dialect="mysql")
    text = "INSERT INTO customer (id, email) VALUES (1, 'a') ON DUPLICATE KEY UPDATE"
    with guard.purpose(tm.RenewalGuidance):
        mysql.check(f"{text} email = VALUES(email), id = VALUES(id)")
        with pytest.raises(FlowViolation):
            mysql.check(f"{text} id = 2")


def test_where_it_is_only_observed_it_is_recorded_and_runs_as_it_is(caplog: pytest.LogCaptureFixture):
    guard = pg.Guard(tm.NOTICE, mode="observe", governance=Told())
    shop = Statements(guard, TABLES, dialect="postgres")
    with caplog.at_level(logging.WARNING), guard.purpose(tm.RenewalGuidance):
        shop.check("SELECT device FROM customer")
        assert shop.narrowed("SELECT name FROM person") == "SELECT name FROM person"
        shop.check("SELECT name FROM person")
    assert [record for record in caplog.records if "`person` say whose they are" in record.getMessage()]
    assert [record for record in caplog.records if "product-data" in record.getMessage()]
    with guard.purpose(tm.RenewalGuidance, mode="enforce"), pytest.raises(UnresolvedStatement):
        shop.check("EXPLAIN SELECT 1")


UNUSUAL = {
    "EXPLAIN SELECT email FROM customer": "explain of customer",
    "SELECT email FROM customer; DELETE FROM customer": "select of customer",
    "SELECT my_secrets(email) FROM customer": "select of customer",
    "UPDATE customer SET id = length(email)": "update of customer",
    "PRAGMA table_info(customer)": "pragma of customer",
    "Taro Yamada, customer": "statement of customer",
    "SELECT FROM WHERE": "select",
    "VACUUM": "vacuum",
    "SELECT * FROM elsewhere": "select",
}
"""Statements that are refused where they are enforced, each with its description."""


@pytest.mark.parametrize("text", UNUSUAL)
def test_statements_that_cannot_be_analyzed_are_reported_in_observe_mode(text: str) -> None:
    observer = RecordingReads()
    guard = pg.Guard(tm.NOTICE, mode="observe", observers=[observer])
    shop = Statements(guard, TABLES, dialect="postgres")
    every = {name for name, _ in shop.reachable.all_columns}
    assert {"customer.email", "mailing.address"} < every
    for _ in range(2):  # The second time, the error is cached.
        shop.check(text)
        assert shop.narrowed(text) == text
        with guard.purpose(tm.RenewalGuidance):
            shop.check(text)
    assert [event for event, _, _ in observer.unresolved_events] == [UNUSUAL[text]] * 6
    reachable = {column for column in every if "customer" not in text or column.startswith("customer.")}
    assert all(columns == reachable for _, columns, _ in observer.unresolved_events)
    assert all(error.__traceback__ is None for _, _, error in observer.unresolved_events)
    with guard.purpose(tm.RenewalGuidance, mode="enforce"), pytest.raises(pg.PurposeGuardError):
        shop.check(text)


def test_a_column_without_a_tag_is_reported_and_the_others_are_read_in_observe_mode() -> None:
    observer = RecordingReads()
    shop = Statements(pg.Guard(tm.NOTICE, mode="observe", observers=[observer]), TABLES, dialect="postgres")
    shop.check("SELECT mailing.note, customer.email FROM mailing, customer")
    ((event, _, error),) = observer.unresolved_events
    assert event == "select of customer, mailing"
    assert isinstance(error, pg.UnlabelledData)
    assert observer.columns == {"customer.email"}


def test_reads_of_tables_whose_rows_are_decided_are_reported() -> None:
    observer = RecordingReads()
    guard = pg.Guard(tm.NOTICE, governance=Told(), observers=[observer])
    with guard.purpose(tm.RenewalGuidance):
        Statements(guard, TABLES, dialect="postgres").narrowed("SELECT name FROM person")
    assert observer.columns == {"person.name"}


def test_what_is_only_observed_is_told_once():
    ledger = RecordingLedger()
    guard = pg.Guard(tm.NOTICE, mode="observe", governance=Told(), ledger=ledger)
    shop = Statements(guard, TABLES, dialect="postgres")
    for call in (shop.check, shop.narrowed):
        call("SELECT device FROM customer")
        ((missing, _),) = ledger.denials
        assert isinstance(missing, pg.PurposeMissing)
        ledger.denials.clear()
        with guard.purpose(tm.RenewalGuidance):
            call("SELECT device FROM customer")
        ((denial, _),) = ledger.denials
        assert isinstance(denial, pg.PurposeViolation)
        ledger.denials.clear()


def test_rows_that_are_decided_one_by_one_are_to_be_narrowed(guard: pg.Guard, shop: Statements):
    with guard.purpose(tm.RenewalGuidance):
        for text in ("SELECT mail FROM crm", "SELECT name FROM person"):
            with pytest.raises(pg.UnlabelledData, match=r"`Statements\.narrowed`"):
                shop.check(text)
            assert shop.narrowed(text) != text
        shop.check("SELECT count(*) FROM crm")


def test_what_flows_into_a_column_is_covered_by_its_tag(guard: pg.Guard, shop: Statements):
    with guard.purpose(tm.RenewalGuidance):
        shop.check("INSERT INTO mailing (address) SELECT mail FROM mails GROUP BY mail")
        shop.check("UPDATE mailing SET address = c.email FROM customer c WHERE c.id = kind")
        for text in (
            "INSERT INTO mailing (kind) SELECT email FROM customer",
            "UPDATE mailing SET kind = address",
            # What chooses rows, or of several the value, flows into what is written as well.
            "INSERT INTO mailing (address, kind) SELECT mail, count(*) FROM mails GROUP BY mail",
            "INSERT INTO mailing (kind) SELECT 'x' FROM customer WHERE email = 'a'",
            "INSERT INTO mailing (kind) SELECT (SELECT 'x' FROM customer WHERE email = 'a')",
            "INSERT INTO mailing (kind) SELECT 'x' FROM (SELECT id FROM customer ORDER BY email LIMIT 1) AS one",
            "WITH few AS (SELECT id FROM customer WHERE email = 'a') INSERT INTO mailing (kind) SELECT id FROM few",
            "INSERT INTO mailing (kind) SELECT 'x' FROM customer a JOIN customer b ON a.email = b.email",
            "INSERT INTO mailing (kind) SELECT 'x' WHERE EXISTS (SELECT 1 FROM customer WHERE email = 'a')",
            "INSERT INTO mailing (kind) SELECT 'x' FROM customer GROUP BY id HAVING max(email) = 'a'",
            "UPDATE mailing SET kind = 'x' WHERE address = 'a'",
            "UPDATE mailing SET kind = 'x' FROM customer c WHERE c.email = 'a'",
            "UPDATE mailing SET kind = CASE WHEN address = 'a' THEN 'x' END",
            "MERGE INTO mailing m USING customer c ON c.email = 'a' WHEN MATCHED THEN UPDATE SET kind = 'x'",
            "MERGE INTO mailing m USING customer c ON true WHEN MATCHED AND c.email = 'a' THEN UPDATE SET kind = 'x'",
            "MERGE INTO mailing m USING customer c ON c.email = 'a' WHEN NOT MATCHED THEN INSERT (kind) VALUES ('x')",
            "MERGE INTO mailing m USING customer c ON c.id = m.kind WHEN MATCHED THEN UPDATE SET kind = c.email",
        ):
            with pytest.raises(FlowViolation) as caught:
                shop.check(text)
            assert (caught.value.target, caught.value.column) == ("mailing", "kind")
            assert tm.Registration in caught.value.missing
    # Whatever the purpose is, and without any.
    with pytest.raises(FlowViolation):
        shop.check("INSERT INTO mailing (kind) SELECT page FROM visit")


def test_what_common_tables_change_is_checked(guard: pg.Guard, shop: Statements):
    few = "SELECT id FROM customer ORDER BY total LIMIT 1 FOR UPDATE SKIP LOCKED"
    queue = f"WITH taken AS (DELETE FROM customer WHERE id IN ({few}) RETURNING *) SELECT {{}} FROM taken"  # noqa: S608
    with pytest.raises(pg.PurposeMissing):
        shop.check(queue.format("id"))
    named = queue.replace("*", "id, email")
    with guard.purpose(tm.RenewalGuidance):
        shop.check(named.format("email"))
        assert shop.labels(named.format("id")) == {"id": pg.Label(tm.Registration, tm.Contract)}
        with pytest.raises(pg.PurposeViolation):
            shop.check(queue.format("id"))  # It returns the device as well.
        for telling in (
            "WITH gone AS (UPDATE mailing SET kind = address RETURNING kind) SELECT 1",
            "WITH gone AS (UPDATE mailing SET kind = 'x' WHERE address = 'a') UPDATE customer SET email = email",
            "WITH gone AS (DELETE FROM customer RETURNING email) INSERT INTO mailing (kind) SELECT email FROM gone",
        ):
            with pytest.raises(FlowViolation) as caught:
                shop.check(telling)
            assert (caught.value.target, caught.value.column) == ("mailing", "kind")
        text = shop.narrowed("WITH gone AS (DELETE FROM crm WHERE mail > 'a' RETURNING mail) SELECT mail FROM gone")
        assert text.startswith("WITH gone AS (DELETE FROM crm WHERE CASE WHEN ")


def test_what_chooses_rows_labels_what_is_chosen(guard: pg.Guard, shop: Statements):
    told = {
        "SELECT id FROM customer WHERE device = 'x'": pg.Label(tm.ProductData),
        "SELECT count(*) AS id FROM customer": pg.Label(pg.NotPersonal),
        "SELECT count(*) AS id FROM customer WHERE email = 'a'": pg.Label(tm.Registration),
        "SELECT count(*) FILTER (WHERE email = 'a') AS id FROM customer": pg.Label(tm.Registration),
        "SELECT id FROM (SELECT id, email FROM customer ORDER BY device LIMIT 1) AS one": pg.Label(tm.ProductData),
        "SELECT id FROM (SELECT id, email FROM customer) AS one": pg.Label(pg.NotPersonal),
        "SELECT id FROM customer UNION SELECT id FROM customer WHERE total = 1": pg.Label(tm.Contract),
        "SELECT (SELECT count(*) FROM customer WHERE email = 'a') AS id": pg.Label(tm.Registration),
        "DELETE FROM customer WHERE device = 'x' RETURNING id": pg.Label(tm.ProductData),
        "UPDATE customer SET device = 'y' WHERE device = 'x' RETURNING id": pg.Label(tm.ProductData),
    }
    for text, label in told.items():
        assert shop.labels(text) == {"id": label}, text


def test_what_each_row_says_goes_along_with_its_source_or_is_what_rows_may_have(guard: pg.Guard, shop: Statements):
    with guard.purpose(tm.RenewalGuidance):
        assert "FROM crm WHERE" in shop.narrowed("INSERT INTO crm_copy (mail, origin) SELECT mail, origin FROM crm")
        assert "FROM crm WHERE" in shop.narrowed("INSERT INTO mailing (address) SELECT mail FROM crm")
        assert "upper(mail)" in shop.narrowed("UPDATE crm_copy SET mail = upper(mail)").lower()  # of the same row
        for text in (
            "UPDATE crm_copy SET mail = b.mail FROM crm_copy b",
            "UPDATE crm_copy SET mail = upper(mail), origin = 'x'",
            "INSERT INTO crm_copy (mail) SELECT mail FROM crm",
            "INSERT INTO crm_copy (mail, origin) SELECT mail, '1.1(a)' FROM crm",
            "INSERT INTO crm_copy (mail, origin) SELECT a.mail || b.mail, a.origin FROM crm a JOIN crm_copy b ON true",
        ):
            with pytest.raises(FlowViolation) as caught:
                shop.narrowed(text)
            assert caught.value.missing == pg.Label(tm.Contract)


def test_texts_are_remembered_and_long_ones_are_not(guard: pg.Guard, shop: Statements):
    text = "SELECT email FROM customer"
    assert shop.analyse(text) is shop.analyse(text)
    long = text + " " * 20_000
    assert shop.analyse(long) is not shop.analyse(long)
    assert shop.analyse(long).used == shop.analyse(text).used


def test_tables_may_be_told_without_more_ado(guard: pg.Guard):
    shop = Statements(guard, {"t": {"a": tm.Registration}}, dialect="duckdb", functions={"mine"})
    with guard.purpose(tm.RenewalGuidance):
        shop.check("SELECT mine(a) FROM t")
    with pytest.raises(ValueError, match="no dialect"):
        Statements(guard, {"t": {"a": tm.Registration}}, dialect="cobol")


def test_from_any_thread(guard: pg.Guard, shop: Statements):
    texts = ["SELECT email FROM customer JOIN mails ON mails.total = customer.total".ljust(n) for n in range(100, 160)]

    def ask(number: int) -> bool:
        with guard.purpose(tm.RenewalGuidance):
            for text in texts[number:] + texts[:number]:
                shop.check(text)
                with pytest.raises(pg.PurposeViolation):
                    shop.check(text.replace("email", "device"))
        return True

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(8)))


def test_rows_that_nothing_leaves_out_may_be_of_any_source():
    every = pg.Label(*tm.NOTICE.sources)
    guard = pg.Guard(tm.NOTICE)
    shop = Statements(guard, TABLES, dialect="postgres")
    assert shop.labels("SELECT mail FROM crm") == {"mail": every}
    with guard.purpose(tm.RenewalGuidance):
        assert shop.labels("SELECT mail FROM crm") == {"mail": pg.Label(tm.Registration, tm.Contract)}
    with guard.purpose(tm.RenewalGuidance, mode="observe"):
        assert shop.labels("SELECT mail FROM crm") == {"mail": every}
