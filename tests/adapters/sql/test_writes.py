"""What flows where: INSERT, CREATE … AS, UPDATE, DELETE, MERGE."""

from __future__ import annotations

import pytest

from purposeguard.adapters.sql import analyse
from tests.adapters.sql.shop import outputs, read, used, writes

CASES = [
    ("postgres", "INSERT INTO mailing (address, kind) SELECT email, id FROM customer",
     {"address": "customer.email", "kind": "customer.id"}),
    ("postgres", "INSERT INTO mailing SELECT email, name, id FROM customer",
     {"address": "customer.email", "kind": "customer.name", "id": "customer.id"}),
    ("postgres", "INSERT INTO mailing VALUES (%s, DEFAULT, (SELECT max(id) FROM customer))",
     {"address": "", "kind": "", "id": "customer.id"}),
    ("postgres", "INSERT INTO mailing DEFAULT VALUES", {}),
    ("postgres", "WITH t AS (SELECT email FROM customer) INSERT INTO mailing (address) SELECT * FROM t",
     {"address": "customer.email"}),
    ("postgres", ("INSERT INTO mailing AS m (address) SELECT email FROM customer "
     "ON CONFLICT (address) DO UPDATE SET kind = excluded.address || m.kind"),
     {"address": "customer.email", "kind": "customer.email mailing.address mailing.kind"}),
    ("mysql", "INSERT INTO mailing (address) SELECT email FROM customer ON DUPLICATE KEY UPDATE kind = VALUES(address)",
     {"address": "customer.email", "kind": "customer.email mailing.address"}),
    ("mysql", "INSERT INTO mailing SET address = (SELECT max(email) FROM customer)", {"address": "customer.email"}),
    ("mysql", "REPLACE INTO mailing (address) SELECT email FROM customer", {"address": "customer.email"}),
    ("sqlite", "INSERT OR REPLACE INTO mailing (address) SELECT email FROM customer", {"address": "customer.email"}),
    ("duckdb", "INSERT INTO mailing BY NAME SELECT email AS address FROM customer", {"address": "customer.email"}),
    ("duckdb", "INSERT INTO mailing (address, kind) SELECT COLUMNS('.*') FROM customer",
     dict.fromkeys(("address", "kind"), "customer.device customer.email customer.id customer.name")),
    ("spark", "INSERT OVERWRITE TABLE mailing SELECT email, name, id FROM customer",
     {"address": "customer.email", "kind": "customer.name", "id": "customer.id"}),
    ("postgres", "CREATE TABLE mailing AS SELECT email AS address FROM customer", {"address": "customer.email"}),
    ("postgres", "CREATE TEMP TABLE mailing (kind, address) AS SELECT id, email FROM customer WITH NO DATA",
     {"kind": "customer.id", "address": "customer.email"}),
    ("postgres", "CREATE OR REPLACE VIEW mailing AS SELECT email AS address FROM customer",
     {"address": "customer.email"}),
    ("postgres", "UPDATE mailing SET address = c.email FROM customer c WHERE c.id = mailing.id",
     {"address": "customer.email"}),
    ("postgres", "UPDATE mailing m SET (address, kind) = (SELECT email, name FROM customer c WHERE c.id = m.id)",
     {"address": "customer.email", "kind": "customer.name"}),
    ("postgres", "UPDATE mailing SET (address, kind) = ROW (DEFAULT, address)",
     {"address": "", "kind": "mailing.address"}),
    ("mysql", "UPDATE mailing m JOIN customer c ON c.id = m.id SET m.address = c.email", {"address": "customer.email"}),
    ("postgres", "DELETE FROM mailing USING customer c WHERE c.email = mailing.address", {}),
    ("mysql", "DELETE m FROM mailing m JOIN customer c ON c.id = m.id WHERE c.email = 'x'", {}),
    ("postgres", ("MERGE INTO mailing m USING customer c ON m.id = c.id WHEN MATCHED AND c.device = 'x' THEN "
     "UPDATE SET address = c.email WHEN NOT MATCHED THEN INSERT (address, kind) VALUES (c.name, 1)"),
     {"address": "customer.email customer.name", "kind": ""}),
    ("spark", ("MERGE INTO mailing m USING (SELECT email AS address, id FROM customer) c ON m.id = c.id "
     "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"),
     {"address": "customer.email", "id": "customer.id"}),
    ("bigquery", ("MERGE mailing USING (SELECT email, name, id FROM customer) ON FALSE "
     "WHEN NOT MATCHED THEN INSERT ROW"),
     {"address": "customer.email", "kind": "customer.name", "id": "customer.id"}),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "expected"), CASES, ids=range(len(CASES)))
def test_into_the_columns_of_the_target_flow(dialect: str, text: str, expected: dict[str, str]):
    assert writes(dialect, text) == expected
    assert read(dialect, text).target == "mailing"


def test_conditions_of_a_write_are_read_and_flow_nowhere():
    text = "UPDATE mailing SET kind = 1 FROM customer c WHERE c.email = mailing.address"
    assert used("postgres", text) == "customer.email mailing.address"
    assert writes("postgres", text) == {"kind": ""}
    text = "MERGE INTO mailing m USING customer c ON m.id = c.id WHEN MATCHED AND c.device = 'x' THEN DELETE"
    assert used("postgres", text) == "customer.device customer.id mailing.id"


def test_what_is_returned_is_read():
    text = (
        "INSERT INTO mailing (address) VALUES ('x') RETURNING id, upper(kind) AS k, (SELECT max(email) FROM customer)"
    )
    assert used("postgres", text) == "customer.email mailing.id mailing.kind"
    assert outputs("postgres", text) == {"id": "mailing.id", "k": "mailing.kind", "#3": "customer.email"}
    assert used("sqlite", "DELETE FROM mailing RETURNING *") == "mailing.address mailing.id mailing.kind"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("INSERT INTO mailing (id) VALUES (1)", "insert"),
        ("CREATE TABLE mailing AS SELECT 1 AS id", "create"),
        ("UPDATE mailing SET id = 1", "update"),
        ("DELETE FROM mailing", "delete"),
        ("MERGE INTO mailing m USING orders o ON m.id = o.id WHEN MATCHED THEN DELETE", "merge"),
    ],
    ids=lambda one: one.split()[0],
)
def test_a_statement_is_of_a_kind(text: str, kind: str):
    assert read("postgres", text).kind == kind


@pytest.mark.parametrize("dialect", ["postgres", "sqlite"])
def test_what_an_insert_returns_may_be_named_with_the_schema(dialect: str):
    catalogue = {"crm.customer": ["id", "email"]}
    for text in (
        "INSERT INTO crm.customer (id) VALUES (1) RETURNING crm.customer.email",
        "INSERT INTO crm.customer (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET email = 'x' RETURNING customer.email",
    ):
        assert "email" in analyse(text, catalogue, dialect).used["crm.customer"]


def test_sqlite_returns_columns_of_the_table_that_is_written_to():
    text = "UPDATE mailing SET kind = 'x' FROM customer AS c WHERE c.name = 'y' RETURNING id"
    assert used("sqlite", text) == "customer.name mailing.id"
