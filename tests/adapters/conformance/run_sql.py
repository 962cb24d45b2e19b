"""Cases as texts through the SQL adapter: decided in every dialect, and run where there is a database for it."""

from __future__ import annotations

from purposeguard import Guard
from purposeguard.adapters.sql import Statements, Tables
from tests.adapters.conformance.as_sql import statement
from tests.adapters.conformance.cases import Case
from tests.adapters.conformance.databases import Database, Runs, everything_in
from tests.adapters.conformance.engines import Answer, Engine, declared, plain_rows, under

DIALECTS = {"postgresql": "postgres"}
"""What the parser calls them, where that is something else."""


def tables_of(case: Case) -> Tables:
    """The tables and views of a case, as they are told to an adapter."""
    told = {table.name: dict.fromkeys(table.names) | declared(case, table) for table in case.tables}
    return Tables(case.history, told, case.views)


def write_of(case: Case) -> bool:
    return case.op in ("write", "write-narrowed")


class SQLText(Engine):
    """Texts of a dialect; without a database they are decided alone."""

    def __init__(self, dialect: str, database: Database | None = None) -> None:
        self.name = f"sql-{dialect}"  # type: ignore[misc]  # one class, several engines
        self.names = frozenset({"sql", dialect})  # type: ignore[misc]
        self.own_errors = () if database is None else database.errors  # type: ignore[misc]
        self._dialect = dialect
        self._database = database

    def lacks(self, case: Case) -> str | None:
        if case.op in ("withhold", "permitted-withhold"):
            return "a statement names its columns"
        if self._database is None and case.expect.get("by_rows"):
            return "nothing is run"
        return None

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    def answer(self, case: Case, guard: Guard) -> Answer:
        text = statement(case, self._dialect)
        assert text is not None
        with under(case, guard):
            statements = Statements(guard, tables_of(case), dialect=DIALECTS.get(self._dialect, self._dialect))
            if case.op in ("permitted", "write-narrowed"):
                text = statements.narrowed(text)
            else:
                statements.check(text)
            decided = self._decided(case, statements)
        if self._database is None or not case.runs:
            return decided
        with self._database.holding(case) as held:
            return self._run(case, held, text, decided)

    def _decided(self, case: Case, statements: Statements) -> Answer:
        text = statement(case, self._dialect)
        assert text is not None
        found = statements.analyse(text)
        labels = {name: sorted(one.clause for one in label.sources) for name, label in statements.labels(text).items()}
        used = frozenset(f"{table}.{name}" for table, names in found.used.items() for name in names)
        told = None if write_of(case) else list(found.outputs)
        return Answer(columns=told, labels=labels, used=used)

    def _run(self, case: Case, held: Runs, text: str, decided: Answer) -> Answer:
        columns, rows = held.run(text)
        if not write_of(case):
            return Answer(columns, plain_rows(rows), decided.labels, decided.used)
        _, after = held.run(everything_in(case.expect["table"]))
        return Answer(used=decided.used, after=plain_rows(after))
