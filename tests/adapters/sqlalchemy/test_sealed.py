"""Sealed columns: values come out sealed, and go in from seals."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import CompileError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, registry, sessionmaker

from purposeguard import Guard, Label, Personal
from purposeguard.adapters.sqlalchemy import GuardedSession, SealedColumns, SealedType, protect
from purposeguard.adapters.sqlalchemy.lineage import seals_of
from purposeguard.errors import PurposeMissing, SealedValue, UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation, PurposeViolation
from tests.adapters.sqlalchemy.shop import Customer, Shop


def test_values_come_out_sealed_and_are_opened_where_they_may_be(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session:
        found = session.scalars(sa.select(Customer.phone).order_by(Customer.id)).all()
        assert all(isinstance(one, Personal) for one in found)
        assert found[0] is not None
        assert found[0].label == Label(tm.Registration)
        assert "01" not in repr(found)
        with guard.purpose(tm.RenewalGuidance) as use:
            assert use.open(found[0]) == "01"
        with guard.purpose(tm.TrafficAnalysis) as other, pytest.raises(PurposeViolation):
            other.open(found[0])  # type: ignore[arg-type]  # which a type checker says as well


def test_values_go_in_from_seals_and_plain_ones_are_sealed(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session:
        found = Customer(id=30, email="e", name="n", plan="p", phone="09")
        assert isinstance(found.phone, Personal)
        session.add(found)
        session.add(Customer(id=31, email="e", name="n", plan="p", phone=Personal("08", tm.Registration)))
        session.add(Customer(id=32, email="e", name="n", plan="p", phone=None))
        session.commit()
        session.execute(
            sa.insert(Customer), [{"id": 33, "email": "e", "name": "n", "plan": "p", "active": True, "phone": "07"}]
        )
        session.execute(
            sa.insert(Customer).values(id=34, email="e", name="n", plan="p", phone=Personal("06", tm.Registration))
        )
        session.execute(sa.update(Customer).where(Customer.id == 34).values(phone=Personal("05", tm.Registration)))
        session.commit()
        with guard.purpose(tm.RenewalGuidance) as use:
            read = session.scalars(sa.select(Customer.phone).where(Customer.id >= 30).order_by(Customer.id)).all()
            assert [one if one is None else use.open(one) for one in read] == ["09", "08", None, "07", "05"]


def test_a_value_of_another_source_does_not_go_in(shop: Shop, guard: Guard) -> None:
    other: Any = Personal("x", tm.Cookie)
    with pytest.raises(FlowViolation) as caught:
        Customer(phone=other)
    assert caught.value.missing == Label(tm.Cookie)
    found = Customer(id=3)
    with pytest.raises(FlowViolation):
        found.phone = other
    with shop.session(guard)() as session, pytest.raises(FlowViolation):
        session.execute(
            sa.insert(Customer), [{"id": 40, "email": "e", "name": "n", "plan": "p", "active": True, "phone": other}]
        )


def test_what_is_made_of_a_sealed_column_is_used_as_any_other(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session:
        for statement in (
            sa.select(Customer.id).where(Customer.phone == "01"),
            sa.select(Customer.id).where(Customer.phone.like("0%")),
            sa.select(Customer.id).order_by(Customer.phone),
            sa.select(sa.cast(Customer.phone, sa.String)),
            sa.select(sa.select(Customer.phone).subquery().c.phone),
            sa.select(sa.func.nullif(Customer.phone, "01")),
            sa.select(sa.func.coalesce(Customer.phone, Customer.phone)),
            sa.select(sa.case((Customer.email == "e1", Customer.phone))),
            sa.select(sa.type_coerce(Customer.phone, SealedType(sa.String, tm.ProductData))),
            text("SELECT nullif(phone, '01') AS phone FROM customers").columns(phone=Customer.__table__.c.phone.type),
            text("SELECT phone, email FROM customers").columns(Customer.phone),
        ):
            with pytest.raises(PurposeMissing):
                session.execute(statement)
            with guard.purpose(tm.RenewalGuidance):
                session.execute(statement)
        with guard.purpose(tm.RenewalGuidance):
            assert session.scalars(sa.select(Customer.id).where(Customer.phone == "01")).all() == [1]


def test_a_seal_is_not_opened_by_the_database(shop: Shop, guard: Guard) -> None:
    secret = Personal("secret", tm.Registration)
    kind = SealedType(sa.String, Label(tm.Registration))
    with shop.session(guard)() as session:
        for statement in (
            sa.select(sa.cast(sa.bindparam("x", secret, type_=kind), sa.String)),
            sa.select(Customer.id).where(sa.literal(secret, kind) == "secret"),
            sa.select(sa.literal(secret, kind)),
        ):
            with pytest.raises(PurposeMissing):
                session.execute(statement)
        with pytest.raises(CompileError) as caught:
            sa.select(sa.literal(secret, kind)).compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        assert isinstance(caught.value.__cause__, SealedValue)
        assert "secret" not in str(caught.value)


def test_types_are_found_for_what_is_sealed(shop: Shop, guard: Guard) -> None:
    class Base(SealedColumns, DeclarativeBase): ...

    class Row(Base):
        __tablename__ = "sealed_rows"
        id: Mapped[int] = mapped_column(primary_key=True)
        number: Mapped[Personal[int, tm.Registration | tm.Contract]]
        text: Mapped[Personal[str, tm.Registration] | None]
        named: Mapped[Personal[str, tm.Registration]] = mapped_column(SealedType(sa.String(5), tm.Registration))

    assert isinstance(Row.__table__.c.number.type, SealedType)
    assert Row.__table__.c.number.type.label == Label(tm.Registration, tm.Contract)
    assert isinstance(Row.__table__.c.number.type.inner, sa.Integer)
    engine = protect(sa.create_engine(shop.url), guard, Base)
    shop.engines.append(engine)
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with sessionmaker(engine, class_=GuardedSession)() as session:
        session.add(Row(id=1, number=7, text="a", named="b"))
        session.commit()
        with guard.purpose(tm.RenewalGuidance) as use:
            row = session.get_one(Row, 1)
            assert use.open(row.number) == 7
            assert use.open(row.named) == "b"
    Base.metadata.drop_all(engine)


def test_an_annotation_that_says_no_source_is_refused() -> None:
    class Base(SealedColumns, DeclarativeBase): ...

    with pytest.raises(UnlabelledData):

        class Wrong(Base):
            __tablename__ = "wrong"
            id: Mapped[int] = mapped_column(primary_key=True)
            value: Mapped[Personal[str, tm.RenewalGuidance]]

    with pytest.raises(UnlabelledData):

        class Unknown(Base):
            __tablename__ = "unknown"
            id: Mapped[int] = mapped_column(primary_key=True)
            value: Mapped[Personal[Guard, tm.Registration]]


def test_sealed_columns_of_core(shop: Shop, guard: Guard) -> None:
    place = sa.MetaData()
    kind = SealedType(sa.String(10), Label(tm.Registration))
    table = sa.Table("sealed_core", place, sa.Column("id", sa.Integer, primary_key=True), sa.Column("value", kind))
    engine = protect(sa.create_engine(shop.url), guard, place)
    shop.engines.append(engine)
    place.drop_all(engine)
    place.create_all(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"value": Personal("a", tm.Registration)}, {"value": "b"}])
        returned = connection.execute(table.insert().values(value="c").returning(table.c.value)).scalar_one()
        found = [*connection.scalars(sa.select(table.c.value).order_by(table.c.id)), returned]
        with guard.purpose(tm.RenewalGuidance) as use:
            assert [use.open(one) for one in found] == ["a", "b", "c", "c"]
        copied = table.insert().from_select(["value"], sa.select(table.c.value))
        with pytest.raises(PurposeMissing):
            connection.execute(copied)
        with guard.purpose(tm.RenewalGuidance):
            connection.execute(copied)
    place.drop_all(engine)


def test_a_registry_of_ones_own_works_as_well(shop: Shop) -> None:
    class Base(SealedColumns, DeclarativeBase):
        registry = registry(type_annotation_map={str: sa.String(30)})

    class Row(Base):
        __tablename__ = "own_rows"
        id: Mapped[int] = mapped_column(primary_key=True)
        value: Mapped[Personal[str, tm.Registration]]

    assert Row.__table__.c.value.type.inner.length == 30  # type: ignore[attr-defined]
    with Session(shop.plain) as session:  # on an engine that nobody guards they are sealed all the same
        assert isinstance(session.scalars(sa.select(Customer.phone)).first(), Personal)


def test_a_sealed_value_is_not_put_into_the_text_where_it_is_sent(shared: Shop, guard: Guard) -> None:
    value: Any = sa.bindparam("value", Personal("03", tm.Registration), literal_execute=True)
    with shared.session(guard)() as session, guard.purpose(tm.RenewalGuidance), pytest.raises(SealedValue):
        session.execute(sa.select(Customer.id).where(Customer.phone == value))


def test_rows_are_not_logged(shared: Shop, guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    engine = shared.guarded(guard)
    logged = caplog.at_level(logging.DEBUG, "sqlalchemy")
    with logged, engine.connect() as connection, guard.purpose(tm.RenewalGuidance):
        assert connection.execute(sa.select(Customer.email).where(Customer.email == "e1")).all() == [("e1",)]
    assert "SELECT customers.email" in caplog.text
    assert "e1" not in re.sub(r"0x[0-9a-f]+", "", caplog.text)  # which an address may hold


def test_what_is_computed_of_a_sealed_column_is_used(shop: Shop, guard: Guard) -> None:
    phone = Customer.phone
    renamed = sa.select(phone.label("p"), Customer.email.label("e")).subquery()
    with shop.session(guard)() as session:
        for value in (
            sa.func.nullif(phone, Customer.email, type_=phone.type),
            sa.func.max(phone),
            sa.case((phone == Customer.email, phone)),
            sa.func.nullif(renamed.c.p, renamed.c.e, type_=phone.type),
        ):
            for statement in (sa.select(value), sa.select(sa.select(value.label("v")).subquery())):
                with pytest.raises(PurposeMissing):
                    session.execute(statement)
                with guard.purpose(tm.RenewalGuidance):
                    session.execute(statement)
        with guard.purpose(tm.RenewalGuidance):
            assert all(isinstance(one, Personal) for one in session.scalars(sa.select(renamed.c.p)))


def test_a_variant_without_a_seal_is_a_plain_column(shop: Shop, guard: Guard) -> None:
    plain = SealedType(sa.String(9), tm.Registration).with_variant(sa.String(9), "sqlite", "postgresql")
    table = sa.Table(
        "variants", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("phone", plain)
    )
    engine = protect(sa.create_engine(shop.url), guard, table.metadata)
    shop.engines.append(engine)
    table.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(id=1, phone="01"))
        with pytest.raises(PurposeMissing):
            connection.execute(sa.select(table.c.phone))
        with guard.purpose(tm.RenewalGuidance):
            assert connection.scalars(sa.select(table.c.phone)).all() == ["01"]
    table.metadata.drop_all(engine)


def test_many_rows_come_back_in_their_order_with_seals(shop: Shop, guard: Guard) -> None:
    table = sa.Table(
        "many",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("phone", SealedType(sa.String(9), tm.Registration)),
        sa.Column("device", sa.String(9), info={"purposeguard": tm.ProductData}),
    )
    engine = protect(sa.create_engine(shop.url), guard, table.metadata)
    shop.engines.append(engine)
    table.metadata.create_all(engine)
    ordered = sa.insert(table).returning(table.c.id, table.c.phone, sort_by_parameter_order=True)
    with engine.begin() as connection:
        found = connection.execute(ordered, [{"phone": Personal(f"0{n}", tm.Registration)} for n in range(3)]).all()
        with guard.purpose(tm.RenewalGuidance) as use:
            assert [use.open(phone) for _, phone in found] == ["00", "01", "02"]
        wrong = ordered.values(device=sa.bindparam("x", type_=table.c.phone.type))
        with pytest.raises(FlowViolation):
            connection.execute(wrong, [{"x": Personal(f"0{n}", tm.Registration)} for n in range(3)])
    table.metadata.drop_all(engine)


def test_lists_move_no_sealed_value(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    sealed = Personal("09", tm.Registration)
    two = Customer.id.in_([3, 4])
    with engine.begin() as connection:
        connection.execute(sa.update(Customer).where(two).values(phone=sealed))  # for no purpose, as of one row
        plain = sa.bindparam("sealed", sealed, type_=SealedType(sa.String, Label(tm.Registration)))
        changed = {Customer.email: sa.case((two, "e"), else_="f"), Customer.name: "n", Customer.device: plain}
        with pytest.raises(FlowViolation) as caught:
            connection.execute(sa.update(Customer).where(Customer.id.not_in([])).values(changed))
    assert "customers.device" in str(caught.value)
    with shop.plain.connect() as connection:
        assert list(connection.scalars(text("SELECT id FROM customers WHERE phone = '09' ORDER BY id"))) == [3, 4]
        assert not list(connection.scalars(text("SELECT id FROM customers WHERE device = '09'")))


@pytest.mark.parametrize("dialect", [sqlite.dialect(), asyncpg.dialect()], ids=lambda dialect: str(dialect.paramstyle))
def test_parameters_are_known_by_their_place(dialect: Dialect) -> None:
    statement = (
        sa.update(Customer)
        .where(Customer.id == sa.bindparam("within", literal_execute=True), Customer.id.not_in(sa.bindparam("out")))
        .values(
            email=sa.case((Customer.id.in_(sa.bindparam("in")), sa.bindparam("one")), else_="f"),
            phone=sa.bindparam("sealed"),
        )
    )
    compiled = statement.compile(dialect=dialect)
    given = {"within": 7, "out": [1, 2], "in": [3, 4], "one": "e", "sealed": Personal("09", tm.Registration)}
    executed = compiled.construct_expanded_state(given)
    assert list(seals_of(compiled, executed.parameter_expansion).names) == executed.positiontup
