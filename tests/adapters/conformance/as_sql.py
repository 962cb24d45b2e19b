"""Operations on frames, written as a statement: for engines that read SQL."""

from __future__ import annotations

import sqlalchemy as sa
import sqlglot
from sqlalchemy.dialects import postgresql

from tests.adapters.conformance import as_orm
from tests.adapters.conformance.cases import Case

PARSED = {"postgresql": "postgres"}


def statement(case: Case, dialect: str) -> str | None:
    """The text of a case in a dialect: its own, or its operations; None for what is no question (`withhold`)."""
    sql = case.sql(dialect)
    if sql is not None or case.frame is None:
        return sql
    metadata = sa.MetaData()
    tables = {table.name: as_orm.table_of(table, metadata) for table in case.tables}
    compiled = as_orm.statement(case.frame, tables).compile(
        dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
    )
    return sqlglot.transpile(str(compiled), read="postgres", write=PARSED.get(dialect, dialect))[0]
