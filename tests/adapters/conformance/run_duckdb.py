"""Cases through the guarded connection to DuckDB, over tables of Arrow, or over the tables of a database."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from purposeguard import Guard
from purposeguard.adapters import arrow
from purposeguard.adapters.duckdb import connect
from purposeguard.adapters.tags import KEY
from tests.adapters.conformance import frame_kinds
from tests.adapters.conformance.as_sql import statement
from tests.adapters.conformance.cases import Case, Table
from tests.adapters.conformance.databases import DuckDB, created, everything_in, inserted, stored
from tests.adapters.conformance.engines import Answer, Engine, declared, plain_rows, under


class DuckDBConnection(Engine):
    """A guarded connection; what it reads is narrowed by itself."""

    name = "duckdb-connection"
    names = frozenset({"sql", "duckdb"})
    own_errors = DuckDB.errors
    reads_metadata = True

    def __init__(self, folder: Path) -> None:
        self._path = folder / "conformance.duckdb"

    def lacks(self, case: Case) -> str | None:
        if case.op in ("withhold", "permitted-withhold"):
            return "a statement names its columns"
        if case.expect.get("unless_narrowed"):
            return "narrows by itself"
        return None if case.runs else "texts are run"

    def answer(self, case: Case, guard: Guard) -> Answer:
        if case.op in ("write", "write-narrowed"):
            return self._written(case, guard)
        text = statement(case, "duckdb")
        assert text is not None
        tables = {table.name: _bearing(case, table) for table in case.tables}
        tags = {table.name: declared(case, table) for table in case.tables if not table.has_metadata}
        with under(case, guard), connect(guard, tables, tags=tags, views=case.views) as connection:
            found = connection.sql(text)
            labels = {name: sorted(one.clause for one in label.sources) for name, label in found.labels.items()}
            return Answer(list(found.columns), plain_rows(found.fetchall()), labels)

    def _written(self, case: Case, guard: Guard) -> Answer:
        text = statement(case, "duckdb")
        assert text is not None
        self._path.unlink(missing_ok=True)
        with duckdb.connect(self._path) as whole:
            for table in case.tables:
                whole.execute(created(table, "duckdb"))
                if table.rows:
                    whole.execute(inserted(table, "?"), stored(table, "duckdb"))
        tags = {table.name: declared(case, table) for table in case.tables}
        with under(case, guard), connect(guard, {}, tags=tags, views=case.views, database=self._path) as connection:
            connection.sql(text)
        with duckdb.connect(self._path) as whole:
            return Answer(after=plain_rows(whole.execute(everything_in(case.expect["table"])).fetchall()))


def _bearing(case: Case, table: Table) -> object:
    """A table of Arrow, whose columns bear tags where the case says so."""
    held = frame_kinds.arrow(table)
    if not table.has_metadata:
        return held
    known = case.tags(table.name)
    bearing = arrow.tagged(held.select(list(known)).schema, known, case.history)
    texts = {field.name: field.metadata[KEY.encode()].decode() for field in bearing}
    texts |= {one.name: one.metadata for one in table.columns if one.metadata is not None}
    schema = [field.with_metadata({KEY: texts[field.name]}) for field in held.schema]
    return held.cast(pa.schema(schema))
