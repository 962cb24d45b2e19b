"""The head of the ledger is a number and a hash; counts have rows of their own, by process; one call writes it all."""

from __future__ import annotations

import hashlib
import json

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0002_ledger_counts"
down_revision = "0001_tables"

WRITE = r"""
CREATE FUNCTION purposeguard_ledger_write(request jsonb, OUT last_seq bigint, OUT last_hash text)
LANGUAGE plpgsql AS $body$
#variable_conflict use_column
DECLARE
    found_seq bigint;
    found_hash text;
    item jsonb;
    moment text;
    removed bigint;
BEGIN
    PERFORM set_config('lock_timeout', request->>'patience', true);
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    -- Counts of this process. A batch whose answer was lost comes again, and is added once.
    found_seq := 0;
    IF request ? 'batch' THEN
        INSERT INTO purposeguard_ledger_writer AS writer (process, batch, hour)
        VALUES (request->>'process', (request->>'batch')::bigint, request->>'hour')
        ON CONFLICT (process) DO UPDATE SET batch = excluded.batch, hour = excluded.hour
            WHERE writer.batch < excluded.batch;
        GET DIAGNOSTICS found_seq = ROW_COUNT;
    END IF;
    IF found_seq = 1 OR NOT request ? 'batch' THEN
        INSERT INTO purposeguard_ledger_count AS old (process, key, hour, kind, body, count)
        SELECT request->>'process', new->>'key', new->>'hour', new->>'kind', new->>'body', (new->>'count')::bigint
        FROM jsonb_array_elements(request->'counts') AS new
        ORDER BY 2
        ON CONFLICT (process, key) DO UPDATE SET count = old.count + excluded.count;
    END IF;

    -- Counts that become entries: all as they were read, or none.
    DELETE FROM purposeguard_ledger_count AS old USING jsonb_array_elements(request->'taken') AS taken
    WHERE old.process = taken->>'process' AND old.key = taken->>'key' AND old.count = (taken->>'count')::bigint;
    GET DIAGNOSTICS removed = ROW_COUNT;
    IF removed <> jsonb_array_length(request->'taken') THEN
        RAISE EXCEPTION 'counts have changed' USING ERRCODE = '40001';
    END IF;

    IF jsonb_array_length(request->'entries') = 0 THEN
        RETURN;
    END IF;
    SELECT seq, hash INTO last_seq, last_hash FROM purposeguard_ledger_head WHERE id = 1 FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'missing' USING ERRCODE = 'LB001';
    END IF;
    found_seq := 0;
    found_hash := repeat('0', 64);
    SELECT seq, hash INTO found_seq, found_hash FROM purposeguard_ledger ORDER BY seq DESC LIMIT 1;
    IF last_seq <> coalesce(found_seq, 0) OR last_hash <> coalesce(found_hash, repeat('0', 64)) THEN
        RAISE EXCEPTION 'end' USING ERRCODE = 'LB001';
    END IF;
    IF (request->>'seen')::bigint > 0 THEN
        found_hash := NULL;
        SELECT hash INTO found_hash FROM purposeguard_ledger WHERE seq = (request->>'seen')::bigint;
        IF found_hash IS DISTINCT FROM request->>'seen_hash' THEN
            RAISE EXCEPTION 'seen' USING ERRCODE = 'LB001';
        END IF;
    END IF;
    FOR item IN SELECT value FROM jsonb_array_elements(request->'entries') WITH ORDINALITY ORDER BY ordinality LOOP
        moment := coalesce(
            request->>'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        );
        last_seq := last_seq + 1;
        found_hash := last_hash;
        last_hash := encode(sha256(convert_to(
            last_hash || '{"at":"' || moment || '","body":' || (item->>'body') || ',"kind":"' || (item->>'kind')
            || '","seq":' || last_seq || '}', 'UTF8'
        )), 'hex');
        INSERT INTO purposeguard_ledger (seq, at, kind, body, prev, hash)
        VALUES (last_seq, moment, item->>'kind', item->>'body', found_hash, last_hash);
    END LOOP;
    UPDATE purposeguard_ledger_head SET seq = last_seq, hash = last_hash WHERE id = 1;
END
$body$
"""
"""`write_transaction` of `governance.ledger.writing`, for PostgreSQL: the caller locks the head for one round trip."""

NOBODY = "0" * 32
"""The process to which counts belong that were in the head."""


def upgrade(operations: Operations) -> None:
    """Take the open counts out of the head."""
    count = operations.create_table(
        "purposeguard_ledger_count",
        sa.Column("process", sa.String(32), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("hour", sa.String(17), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    operations.create_table(
        "purposeguard_ledger_writer",
        sa.Column("process", sa.String(32), primary_key=True),
        sa.Column("batch", sa.BigInteger, nullable=False),
        sa.Column("hour", sa.String(17), nullable=False),
    )
    operations.create_index("ix_purposeguard_ledger_at", "purposeguard_ledger", ["at"])
    for use in json.loads(operations.get_bind().scalar(sa.text("SELECT open FROM purposeguard_ledger_head")) or "[]"):
        number = use.pop("count")
        body = json.dumps(use, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        key = hashlib.sha256(f"use{body}".encode()).hexdigest()
        row = {"process": NOBODY, "key": key, "hour": use["hour"], "kind": "use", "body": body, "count": number}
        operations.execute(sa.insert(count).values(row))
    for column in ("at", "open", "digest"):
        operations.drop_column("purposeguard_ledger_head", column)
    if operations.get_bind().dialect.name == "postgresql":
        operations.get_bind().exec_driver_sql(WRITE)
