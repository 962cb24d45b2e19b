"""The first tables: subjects, the ledger, hand-overs, requests, and runs of the retention job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0001_tables"
down_revision = None

GENESIS = "0" * 64
EMPTY = "78f21d6f2bacb127e5b5ad93f41dec681a064e5f8c4bf9d9bc8ff592e2a9bad2"
"""The digest of the head of an empty ledger."""

SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade(operations: Operations) -> None:
    """Make the tables."""
    _create_subject_tables(operations)
    _create_ledger_tables(operations)
    _create_provision_tables(operations)
    _create_request_tables(operations)
    _create_sweep_tables(operations)


def _create_subject_tables(operations: Operations) -> None:
    """Create the tables of the store itself, of changes, and of the declarations and revocations of subjects."""
    operations.create_table(
        "purposeguard_store",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("made", MOMENT, nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    operations.create_table(
        "purposeguard_counter",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    operations.execute("INSERT INTO purposeguard_counter (id, seq) VALUES (1, 0)")
    operations.create_table(
        "purposeguard_change",
        sa.Column("seq", SERIAL, primary_key=True, autoincrement=False),
        sa.Column("subject", sa.String(200), nullable=False),
    )
    operations.create_table(
        "purposeguard_declaration",
        sa.Column("id", SERIAL, primary_key=True),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("purposes", sa.JSON),
        sa.Column("revision", sa.Date, nullable=False),
        sa.Column("asked_by", sa.String(10), nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("request", sa.BigInteger),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("until", MOMENT),
        sa.Column("recorded_at", MOMENT, nullable=False),
    )
    operations.create_index("ix_purposeguard_declaration_subject", "purposeguard_declaration", ["subject"])
    operations.create_table(
        "purposeguard_revocation",
        sa.Column("declaration", SERIAL, sa.ForeignKey("purposeguard_declaration.id"), primary_key=True),
        sa.Column("asked_by", sa.String(10), nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("request", sa.BigInteger),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
    )


def _create_ledger_tables(operations: Operations) -> None:
    operations.create_table(
        "purposeguard_ledger",
        sa.Column("seq", SERIAL, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("prev", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    operations.create_index(operations.f("ix_purposeguard_ledger_kind_seq"), "purposeguard_ledger", ["kind", "seq"])
    operations.create_table(
        "purposeguard_ledger_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("open", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    operations.execute(
        sa.text(
            "INSERT INTO purposeguard_ledger_head (id, seq, at, hash, open, digest) "
            "VALUES (1, 0, '', :hash, '[]', :digest)"
        ).bindparams(hash=GENESIS, digest=EMPTY)
    )


def _create_provision_tables(operations: Operations) -> None:
    operations.create_table(
        "purposeguard_recipient",
        sa.Column("id", SERIAL, primary_key=True),
        sa.Column("recipient", sa.String(200), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("what", sa.String(20), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("by", sa.Text),
        sa.Column("note", sa.Text),
    )
    operations.create_index(None, "purposeguard_recipient", ["recipient", "id"])
    operations.create_table(
        "purposeguard_provision",
        sa.Column("id", SERIAL, primary_key=True),
        sa.Column("at", MOMENT, nullable=False, index=True),
        sa.Column("recipient", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200)),
        sa.Column("kind", sa.String(200), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("clauses", sa.JSON, nullable=False),
        sa.Column("sources", sa.JSON, nullable=False),
        sa.Column("purpose", sa.String(100)),
        sa.Column("revision", sa.Date, nullable=False),
        sa.Column("activity", sa.Text),
        sa.Column("means", sa.String(200), nullable=False),
        sa.Column("product", sa.Text),
        sa.Column("task", sa.Text),
        sa.Column("subjects", sa.Integer, nullable=False),
    )
    operations.create_table(
        "purposeguard_provided_subject",
        sa.Column("subject", sa.String(32), primary_key=True),
        sa.Column("provision", SERIAL, sa.ForeignKey("purposeguard_provision.id"), primary_key=True),
    )


def _create_request_tables(operations: Operations) -> None:
    operations.create_table(
        "purposeguard_request",
        sa.Column("id", SERIAL, primary_key=True),
        sa.Column("kind", sa.String(100), nullable=False),
        sa.Column("effect", sa.String(20), nullable=False),
        sa.Column("requester", sa.String(10), nullable=False),
        sa.Column("authority", sa.Text),
        sa.Column("subject", sa.String(200)),
        sa.Column("purposes", sa.JSON),
        sa.Column("revision", sa.Date, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("due_on", sa.Date),
        sa.Column("extended", sa.Boolean, nullable=False),
        sa.Column("suspending", sa.Boolean, nullable=False),
        sa.Column("interim", sa.BigInteger),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("closed_at", MOMENT),
    )
    operations.create_index("ix_purposeguard_request_subject", "purposeguard_request", ["subject"])
    operations.create_index("ix_purposeguard_request_state_due_on", "purposeguard_request", ["state", "due_on"])
    operations.create_table(
        "purposeguard_request_step",
        sa.Column("request", SERIAL, sa.ForeignKey("purposeguard_request.id"), primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("by", sa.Text),
        sa.Column("did", sa.String(10), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("due_on", sa.Date),
        sa.Column("text", sa.Text),
    )


def _create_sweep_tables(operations: Operations) -> None:
    operations.create_table(
        "purposeguard_sweep",
        sa.Column("id", SERIAL, primary_key=True),
        sa.Column("begun", MOMENT, nullable=False),
        sa.Column("ended", MOMENT),
        sa.Column("runner", sa.String(32), nullable=False),
    )
    operations.create_table(
        "purposeguard_sweep_part",
        sa.Column("sweep", SERIAL, sa.ForeignKey("purposeguard_sweep.id"), primary_key=True),
        sa.Column("eraser", sa.String(200), primary_key=True),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("pending", sa.JSON),
    )
