"""Tables that are given tags are declared: the guard lists them, the plugin counts their cells, whether used or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import pyarrow as pa
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

from purposeguard import ByRow, Guard, Label, NotPersonal, PurposeViolation, RowSource, Subject, UnknownSource
from purposeguard.adapters import arrow
from purposeguard.adapters.duckdb import connect
from purposeguard.adapters.frames import Frames
from purposeguard.adapters.sql import Statements, Tables
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.registry import TaggedTable
from purposeguard.testing import watching
from purposeguard.testing._report import Collector, CoverageReport

NOTICE = "trendmicro-jp 2024-04-01"
R, P = Label(tm.Registration), Label(tm.ProductData)
CUSTOMER = {"id": (Subject, NotPersonal), "email": tm.Registration, "device": tm.ProductData}
DECLARED = TaggedTable("customer", (("email", R), ("device", P)), of_subjects=True)


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector(by_test=False, is_test=lambda _: False)
    watching.watch_all(collector)
    yield collector
    watching.leave_all(collector)


def test_tables_of_statements_are_listed_once(guard: Guard) -> None:
    tables = {"customer": CUSTOMER, "setting": {"key": NotPersonal}, "crm": {"mail": ByRow, "origin": RowSource}}
    for _ in range(2):
        Statements(guard, Tables(tm.NOTICE, tables), dialect="postgres")
    assert guard.tables == (DECLARED,)  # what names no source declares none
    Statements(guard, {"customer": {"email": tm.Registration}, "a": {"b": tm.Cookie}}, dialect="sqlite")
    assert [table.name for table in guard.tables] == ["a", "customer", "customer"]


def test_tables_of_an_engine_are_listed_also_those_mapped_later(guard: Guard) -> None:
    class Base(DeclarativeBase): ...

    engine = protect(create_engine("sqlite://", poolclass=StaticPool), guard, Base)
    assert not guard.tables

    class Customer(Base):
        __tablename__ = "customer"
        id: Mapped[Annotated[int, Subject]] = mapped_column(primary_key=True)
        email: Mapped[Annotated[str, tm.Registration]]
        device: Mapped[Annotated[str, tm.ProductData]]

    assert guard.tables == (DECLARED,)
    Base.metadata.create_all(engine)
    with GuardedSession(engine) as session, guard.purpose(tm.RenewalGuidance):
        assert session.query(Customer.email).all() == []
    assert guard.tables == (DECLARED,)


def test_an_engine_lists_its_tables_after_it_is_gone(guard: Guard) -> None:
    class Base(DeclarativeBase): ...

    class Order(Base):
        __tablename__ = "orders"
        id: Mapped[int] = mapped_column(primary_key=True)
        total: Mapped[Annotated[int, tm.Contract]]

    protect(create_engine("sqlite://"), guard, Base)
    assert [table.name for table in guard.tables] == ["orders"]


def test_an_engine_with_a_tag_that_cannot_be_read_lists_nothing_yet(guard: Guard) -> None:
    class Base(DeclarativeBase): ...

    class Broken(Base):
        __tablename__ = "broken"
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str] = mapped_column(info={"purposeguard": "9.9(z)"})

    engine = protect(create_engine("sqlite://"), guard, Base)
    assert guard.tables == ()
    with Session(engine) as session, pytest.raises(UnknownSource):
        session.query(Broken.email).all()


def test_frames_and_tables_of_duckdb_are_listed(guard: Guard) -> None:
    table = pa.table({"id": [1], "email": ["a"], "device": ["b"]})
    with connect(guard, {"customer": table}, tags={"customer": CUSTOMER}):
        assert guard.tables == (DECLARED,)
    other = Guard(tm.NOTICE)
    with other.purpose(tm.ProductProvision):
        Frames(other).check(arrow.tagged(table, CUSTOMER, tm.NOTICE))
    assert other.tables == (TaggedTable("(frame)", DECLARED.columns, of_subjects=True),)


def test_cells_of_tables_count_where_a_statement_reaches_them(guard: Guard, collector: Collector) -> None:
    statements = Statements(guard, {"customer": CUSTOMER}, dialect="postgres")

    @guard.purpose(tm.RenewalGuidance)
    def remind(column: str) -> None:
        statements.check(f"SELECT {column} FROM customer")  # noqa: S608  # It is only checked.

    assert collector.finish([guard]).universe == {
        (NOTICE, "1.1(a)", "1.2(1)①"): True,
        (NOTICE, "1.1(b)", "1.2(1)①"): False,
    }
    assert CoverageReport(collector.records).counted == (0, 1)  # An activity that never ran counts as one.
    remind("email")
    assert CoverageReport(collector.finish([guard])).counted == (1, 1)
    with pytest.raises(PurposeViolation):
        remind("device")
    assert CoverageReport(collector.finish([guard])).counted == (2, 2)
