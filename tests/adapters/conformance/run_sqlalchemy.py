"""Cases through SQLAlchemy: texts on a guarded engine, and statements of the ORM in a guarded session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlalchemy.pool import StaticPool

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from tests.adapters.conformance import as_orm
from tests.adapters.conformance.as_sql import statement
from tests.adapters.conformance.cases import Case
from tests.adapters.conformance.databases import Database, PostgreSQL, Runs, everything_in
from tests.adapters.conformance.engines import Answer, Engine, declared, plain_rows, under


class _ThroughSQLAlchemy(Engine):
    own_errors = (sa.exc.DBAPIError,)

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def _guarded(self, case: Case, guard: Guard, *where: Any) -> Iterator[tuple[sa.Engine, Runs]]:
        """A guarded engine on the database of a case, whose tables are there."""
        with self._database.holding(case) as held:
            if isinstance(self._database, PostgreSQL):
                url = sa.make_url(self._database.url).set(drivername="postgresql+psycopg")
                engine = sa.create_engine(url, poolclass=StaticPool)
            else:
                engine = sa.create_engine("sqlite://", creator=lambda: held.connection, poolclass=StaticPool)
            with engine.connect():
                pass  # asks the database about itself, once
            try:
                tags = {table.name: declared(case, table) for table in case.tables}
                yield protect(engine, guard, *where, tags=tags), held
            finally:
                engine.dispose()


def _mapped(case: Case) -> tuple[registry, dict[str, Any]]:
    """Classes that are mapped to the tables of a case."""
    mapper = registry()
    found: dict[str, Any] = {}
    for table in case.tables:
        cls = type(table.name.title(), (), {})
        held = as_orm.table_of(table, mapper.metadata)
        mapper.map_imperatively(cls, held, primary_key=[next(iter(held.columns))])
        cls.__table__ = held  # type: ignore[attr-defined]  # as declarative classes have it
        found[table.name] = cls
    return mapper, found


class SQLAlchemyText(_ThroughSQLAlchemy):
    """Texts, executed on a connection."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.name = f"sqlalchemy-text-{database.dialect}"  # type: ignore[misc]  # one class, two engines
        self.names = frozenset({"sql", "sqlalchemy", database.dialect})  # type: ignore[misc]

    def lacks(self, case: Case) -> str | None:
        if case.op in ("withhold", "permitted-withhold"):
            return "a statement names its columns"
        if case.expect.get("unless_narrowed"):
            return "narrows by itself"
        if not case.runs:
            return "texts are run"
        return "views are not told" if case.views else None

    def answer(self, case: Case, guard: Guard) -> Answer:
        text = statement(case, self._database.dialect)
        assert text is not None
        metadata = sa.MetaData()
        for table in case.tables:
            as_orm.table_of(table, metadata)
        with self._guarded(case, guard, metadata) as (engine, held):
            with under(case, guard), engine.connect() as connection, connection.begin():
                found = connection.execute(sa.text(text.replace(":", "\\:")))
                answer = Answer() if case.op.startswith("write") else Answer(list(found.keys()), plain_rows(found))
            if not case.op.startswith("write"):
                return answer
            _, after = held.run(everything_in(case.expect["table"]))
            return Answer(after=plain_rows(after))


class SQLAlchemyORM(_ThroughSQLAlchemy):
    """Statements of the ORM, executed in a session that narrows."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.name = f"sqlalchemy-orm-{database.dialect}"  # type: ignore[misc]  # one class, two engines
        self.names = frozenset({"orm", "sqlalchemy", database.dialect})  # type: ignore[misc]

    def lacks(self, case: Case) -> str | None:
        if case.frame is None:
            return "has a text alone"
        return "narrows by itself" if case.expect.get("unless_narrowed") else None

    def answer(self, case: Case, guard: Guard) -> Answer:
        assert case.frame is not None
        mapper, classes = _mapped(case)
        try:
            with (
                self._guarded(case, guard, mapper.metadata) as (engine, _),
                under(case, guard),
                GuardedSession(engine) as session,
            ):
                found = session.execute(as_orm.statement(case.frame, classes))
                return Answer(list(found.keys()), plain_rows(found))
        finally:
            mapper.dispose()
