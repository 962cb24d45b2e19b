"""Replace the ids of subjects by pseudonyms, as in the ledger. Key tables link both, perhaps in another database."""

from __future__ import annotations

import datetime
import hashlib
import secrets

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0003_pseudonyms"
down_revision = "0002_ledger_counts"

MOMENT = sa.DateTime(timezone=True)
SUBJECT_TABLES = (
    "purposeguard_declaration",
    "purposeguard_change",
    "purposeguard_request",
    "purposeguard_provided_subject",
)
"""The tables with a column of subjects. `purposeguard_provided_subject` already holds digests of ids.

The column gets another name, so that an older version of the library, which would look for ids there, refuses."""

INDEXED_TABLES = ("purposeguard_declaration", "purposeguard_request")
"""The tables with an index on that column, whose ids are replaced. The rows of `purposeguard_change` are deleted."""

ROWS_AT_A_TIME = 1_000


def upgrade(operations: Operations) -> None:
    """Replace the ids of subjects in declarations and requests by pseudonyms, which key tables link to persons.

    The recorded changes are deleted, so their readers find a gap. Hand-overs hold digests already: only their column
    gets the new name.

    A new secret replaces the old one. The old secret stays as `former` if hand-overs name subjects by it who are named
    nowhere else.
    """
    connection = operations.get_bind()
    secret = connection.scalar(sa.text("SELECT secret FROM purposeguard_store"))
    made = datetime.datetime.now(datetime.UTC)
    keys_table, pseudonym_table = _create_key_tables(operations)
    for table in INDEXED_TABLES:
        operations.drop_index(f"ix_{table}_subject", table)
    for table in SUBJECT_TABLES:
        operations.alter_column(table, "subject", new_column_name="pseudonym")
    for table in INDEXED_TABLES:
        operations.create_index(None, table, ["pseudonym"])
    operations.add_column(
        "purposeguard_counter", sa.Column("issued", sa.BigInteger, nullable=False, server_default="0")
    )
    operations.drop_table("purposeguard_store")
    store_table = operations.create_table(
        "purposeguard_store",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("mark", sa.String(32), nullable=False),
        sa.Column("made", MOMENT, nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    if secret is None:  # The store is being made, and names nobody.
        return
    _assign_pseudonyms(connection, pseudonym_table, secret)
    # Only the old secret finds the hand-overs of subjects who are named nowhere else.
    unlinked = sa.text(
        "SELECT 1 FROM purposeguard_provided_subject AS given WHERE NOT EXISTS "
        "(SELECT 1 FROM purposeguard_pseudonym AS known WHERE known.pseudonym = given.pseudonym) LIMIT 1"
    )
    former = secret if connection.scalar(unlinked) else None
    mark = secrets.token_hex(16)
    keys_row = {"secret": secrets.token_bytes(32), "former": former, "issued": 0, "applied": 0}
    operations.execute(sa.insert(keys_table).values(id=1, mark=mark, made=made, **keys_row))
    operations.execute(sa.insert(store_table).values(id=1, mark=mark, made=made))


def _create_key_tables(operations: Operations) -> tuple[sa.Table, sa.Table]:
    """Create the tables that link subjects to pseudonyms. Return those of the secret and of the pseudonyms."""
    keys_table = operations.create_table(
        "purposeguard_keys",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("mark", sa.String(32), nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("former", sa.LargeBinary),
        sa.Column("issued", sa.BigInteger, nullable=False),
        sa.Column("applied", sa.BigInteger, nullable=False),
        sa.Column("made", MOMENT, nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    pseudonym_table = operations.create_table(
        "purposeguard_pseudonym",
        sa.Column("subject", sa.String(200), primary_key=True),
        sa.Column("pseudonym", sa.String(32), nullable=False, unique=True),
        sa.Column("key", sa.LargeBinary),
    )
    if operations.get_bind().dialect.name == "postgresql":
        operations.execute("ALTER TABLE purposeguard_pseudonym ALTER COLUMN subject SET STATISTICS 0")
    operations.create_table(
        "purposeguard_barred", sa.Column("digest", sa.String(64), primary_key=True), sqlite_with_rowid=False
    )
    operations.create_table(
        "purposeguard_forgotten",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("pseudonym", sa.String(32), nullable=False),
        sa.Column("bar", sa.Boolean, nullable=False),
    )
    operations.create_index(None, "purposeguard_forgotten", ["pseudonym"])
    return keys_table, pseudonym_table


def _assign_pseudonyms(connection: sa.Connection, pseudonym_table: sa.Table, secret: bytes) -> None:
    """Give each subject the pseudonym that the ledger uses."""
    # The columns have their new name already, and still hold ids.
    ids = "SELECT pseudonym FROM {0} WHERE pseudonym IS NOT NULL"
    everybody = " UNION ".join(ids.format(table) for table in INDEXED_TABLES)
    rows = [
        {
            "subject": subject,
            "pseudonym": hashlib.blake2b(subject.encode(), key=bytes(secret), digest_size=16).hexdigest(),
        }
        for subject in connection.scalars(sa.text(everybody))
    ]
    for first in range(0, len(rows), ROWS_AT_A_TIME):
        connection.execute(sa.insert(pseudonym_table), rows[first : first + ROWS_AT_A_TIME])
    for name in INDEXED_TABLES:
        table = sa.table(name, sa.column("pseudonym"))
        columns = pseudonym_table.c
        known = sa.select(columns.pseudonym).where(columns.subject == table.c.pseudonym).scalar_subquery()
        connection.execute(sa.update(table).where(table.c.pseudonym.is_not(None)).values(pseudonym=known))
    # The changes name subjects by id, too. Without them, processes that follow the feed find a gap, and read all
    # preferences again.
    connection.execute(sa.text("DELETE FROM purposeguard_change"))
