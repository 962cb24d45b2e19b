"""What decides which rows are written, and what flows into them, wherever in a statement it stands."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import literal_column as literally
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateTable

from purposeguard import Guard, Personal
from purposeguard.adapters.sqlalchemy import GuardedSession, SealedType, checks, protect
from purposeguard.errors import PurposeMissing, UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation
from tests.adapters.sqlalchemy.shop import Customer, Order, Shop, exports

customers: Any = Customer.__table__
DEVICE, KEY = customers.c.device, customers.c.id
WORD = sa.literal("x")
CRASHED = sa.select(KEY).where(DEVICE == "d1")


def _put(query: Any, *names: str) -> Any:
    return sa.insert(exports).from_select(list(names) or ["public"], query)


def _update_from(one: Any, value: Any = "x") -> Any:
    return sa.update(exports).where(exports.c.id == one.c.id).values(public=value)


SHARED: dict[str, Any] = {
    "an UPDATE from a subquery": _update_from(CRASHED.subquery()),
    "an UPDATE from a common table expression": _update_from(CRASHED.cte()),
    "a join by a relationship that is told more": _put(
        sa.select(WORD).select_from(Order).join(Order.customer.and_(Customer.device == "d1"))
    ),
    "a column by its place": _put(sa.select(DEVICE, WORD).order_by(literally("1")).limit(1), "mixed", "public"),
    "a column by its name": _put(sa.select(DEVICE.label("d"), WORD).order_by("d").limit(1), "mixed", "public"),
    "a column of a UNION by its place": _put(
        sa.select(DEVICE, WORD).union_all(sa.select(DEVICE, WORD)).order_by(literally("1")).limit(1), "mixed", "public"
    ),
}
"""Statements that write to a column without a tag, each by what the telemetry of a customer says."""


@pytest.mark.parametrize("name", SHARED)
def test_what_decides_counts_wherever_it_stands(name: str, shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    with engine.connect() as connection, guard.purpose(tm.ProductProvision), pytest.raises(FlowViolation) as caught:
        connection.execute(SHARED[name])
    assert caught.value.missing.sources <= {tm.ProductData}


def test_a_sealed_value_flows_under_its_label(shared: Shop, guard: Guard) -> None:
    engine = shared.guarded(guard)
    value = sa.literal(Personal("03-1111", tm.Registration), SealedType(sa.String(), tm.Registration))
    for one in (sa.insert(exports).values(public=value), sa.update(exports).values(public=sa.func.lower(value))):
        with engine.connect() as connection, guard.purpose(tm.ProductProvision), pytest.raises(FlowViolation):
            connection.execute(one)
    with engine.connect() as connection:
        connection.execute(sa.insert(exports).values(id=99, email=value))


class Copying(CreateTable):
    """A definition of a table that an application renders."""


@compiles(Copying)
def _copying(*_: Any, **__: Any) -> str:
    return "CREATE TABLE copied AS SELECT email FROM customers"


def test_definitions_that_an_application_renders_are_text(shared: Shop, guard: Guard, monkeypatch: Any) -> None:
    monkeypatch.setattr(checks, "_DEFINES", checks._DEFINES | {Copying})
    engine = shared.guarded(guard)
    with engine.connect() as connection, pytest.raises(UnlabelledData):
        connection.execute(Copying(sa.Table("copied", sa.MetaData(), sa.Column("a", sa.Integer))))


def test_a_sealed_column_sorts_under_its_label_by_its_place_too(shared: Shop, guard: Guard) -> None:
    engine = shared.guarded(guard)
    sealed = sa.select(KEY, customers.c.phone)
    with engine.connect() as connection:
        assert len(connection.execute(sealed).all()) == 4
        for one in (sealed.order_by(literally("2")), sealed.group_by(literally("1"), literally("2"))):
            with pytest.raises(PurposeMissing):
                connection.execute(one)


def test_what_decides_counts_for_values_that_come_with_the_execution(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    one = sa.update(exports).where(exports.c.mixed == "m")
    many = sa.update(exports).where(exports.c.mixed == sa.bindparam("given"))
    count = sa.select(sa.func.count()).select_from(customers).where(DEVICE == "d1").scalar_subquery()
    with engine.connect() as connection, guard.purpose(tm.ProductProvision):
        for statement, given in (
            (one, {"public": "hit"}),
            (many, [{"public": "a", "given": "m"}, {"public": "b", "given": "n"}]),
            (sa.insert(exports).values(mixed=sa.cast(count, sa.String)), {"public": "hit"}),
        ):
            with pytest.raises(FlowViolation) as caught:
                connection.execute(statement, given)
            assert caught.value.column == "public"


@pytest.fixture
def other(shop: Shop) -> sa.Engine:
    """An engine that is not guarded yet."""
    engine = sa.create_engine(shop.url)
    shop.engines.append(engine)
    return engine


def test_a_row_may_be_written_that_is_named_by_its_key(other: sa.Engine, guard: Guard) -> None:
    """Also where the key is personal: the row is read of under a purpose, and written as it is asked for."""

    class Place(DeclarativeBase): ...

    class Reader(Place):
        __tablename__ = "readers"
        email: Mapped[Annotated[str, tm.Registration]] = mapped_column(primary_key=True)
        note: Mapped[str]

    Place.metadata.drop_all(other)
    Place.metadata.create_all(other)
    protect(other, guard, Place)
    with GuardedSession(other) as session:
        session.add(Reader(email="a@b", note=""))
        session.commit()
        with guard.purpose(tm.RenewalGuidance):
            session.get_one(Reader, "a@b").note = "seen"
            session.commit()
            assert session.scalars(sa.select(Reader.note)).all() == ["seen"]
        with guard.purpose(tm.RenewalGuidance), pytest.raises(FlowViolation):
            session.connection().execute(sa.update(Reader).where(Reader.email.like("a%")), {"note": "x"})


def test_a_part_of_a_key_names_no_row(guard: Guard) -> None:
    class Plans(DeclarativeBase): ...

    class Plan(Plans):
        __tablename__ = "plans"
        customer: Mapped[Annotated[int, tm.Contract]] = mapped_column(primary_key=True)
        number: Mapped[int] = mapped_column(primary_key=True)
        seen: Mapped[str | None]

    engine = protect(sa.create_engine("sqlite://", poolclass=StaticPool), guard, Plans)
    Plans.metadata.create_all(engine)
    one = sa.update(Plan).where(Plan.customer == 3).values(seen="yes")
    with engine.begin() as connection, guard.purpose(tm.ProductProvision):
        connection.execute(one.where(Plan.number == 1))
        with pytest.raises(FlowViolation):
            connection.execute(one)
    Plans.registry.dispose()
