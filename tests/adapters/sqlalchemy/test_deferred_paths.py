"""Objects that are loaded beside others, and classes that are loaded with those derived from them: none is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from sqlalchemy import ForeignKey, create_engine, orm, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import GuardedSession, RowLeftOut, protect
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation

Name = Annotated[str, tm.Registration]
Device = Annotated[str | None, tm.ProductData]


class Base(DeclarativeBase): ...


class Land(Base):
    __tablename__ = "lands"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Name]
    device: Mapped[Device]


class Town(Base):
    __tablename__ = "towns"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Name]
    device: Mapped[Device]
    land_id: Mapped[int] = mapped_column(ForeignKey("lands.id"))
    land: Mapped[Land] = relationship()


class Firm(Base):
    __tablename__ = "firms"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Name]
    device: Mapped[Device]
    town_id: Mapped[int] = mapped_column(ForeignKey("towns.id"))
    town: Mapped[Town] = relationship()


class Worker(Base):
    __tablename__ = "workers"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[Name]
    device: Mapped[Device]
    firm_id: Mapped[int] = mapped_column(ForeignKey("firms.id"))
    firm: Mapped[Firm] = relationship()
    head_id: Mapped[int | None] = mapped_column(ForeignKey("workers.id"))
    head: Mapped[Worker | None] = relationship(remote_side="Worker.id")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "worker"}


class Driver(Worker):
    car: Mapped[Device]
    badge: Mapped[Annotated[str | None, tm.Registration]]
    __mapper_args__ = {"polymorphic_identity": "driver", "polymorphic_load": "inline"}


class Desk(Base):
    __tablename__ = "desks"
    __table_args__ = {"info": {"purposeguard": "not-personal"}}
    id: Mapped[int] = mapped_column(primary_key=True)
    firm_id: Mapped[int] = mapped_column(ForeignKey("firms.id"))
    firm: Mapped[Firm] = relationship(lazy="joined")


@pytest.fixture
def session(tmp_path: Path, guard: Guard) -> Iterator[GuardedSession]:
    engine = create_engine(f"sqlite:///{tmp_path}/firms.db")
    Base.metadata.create_all(engine)
    with Session(engine) as plain:
        plain.add(Land(id=1, name="l", device="d"))
        plain.flush()
        plain.add(Town(id=1, name="t", device="d", land_id=1))
        plain.flush()
        plain.add(Firm(id=1, name="f", device="d", town_id=1))
        plain.flush()
        plain.add_all([Worker(id=1, name="w1", device="d", firm_id=1), Desk(id=1, firm_id=1)])
        plain.flush()
        for number in (2, 3):
            plain.add(Driver(id=number, name="w", device="d", car="c", badge="b", firm_id=1, head_id=number - 1))
            plain.flush()
        plain.commit()
    with GuardedSession(protect(engine, guard, Base), defer_denied=True) as made:
        yield made
    engine.dispose()


def _refused(found: Any, *names: str) -> None:
    for name in names:
        with pytest.raises(PurposeViolation):
            getattr(found, name)
        assert name not in vars(found)


@pytest.mark.parametrize("load", [None, orm.joinedload, orm.selectinload, orm.subqueryload, orm.immediateload])
def test_three_relationships_in_a_row(session: GuardedSession, guard: Guard, load: Any) -> None:
    query = select(Worker).where(Worker.id == 1)
    if load is not None:
        first, name = load(Worker.firm), load.__name__
        query = query.options(getattr(getattr(first, name)(Firm.town), name)(Town.land))
    with guard.purpose(tm.RenewalGuidance):
        worker = session.scalars(query).one()
        assert worker.firm.town.land.name == "l"
        for found in (worker, worker.firm, worker.firm.town, worker.firm.town.land):
            _refused(found, "device")
    with guard.purpose(tm.ProductProvision):
        assert worker.firm.town.land.device == "d"


def test_relationships_that_are_always_joined(session: GuardedSession, guard: Guard) -> None:
    with guard.purpose(tm.RenewalGuidance):
        desk = session.scalars(select(Desk)).one()
        assert desk.firm.town.land.name == "l"
        _refused(desk.firm, "device")
        _refused(desk.firm.town.land, "device")
        query = select(Firm).join(Firm.town).options(orm.contains_eager(Firm.town).joinedload(Town.land))
        _refused(session.scalars(query).one().town.land, "device")


@pytest.mark.parametrize("load", [None, orm.selectinload])
def test_a_class_that_points_to_itself(session: GuardedSession, guard: Guard, load: Any) -> None:
    query = select(Worker).where(Worker.id == 3)
    if load is not None:
        query = query.options(load(Worker.head).selectinload(Worker.head))
    with guard.purpose(tm.RenewalGuidance):
        worker = session.scalars(query).one()
        assert worker.head is not None
        assert worker.head.head is not None
        assert worker.head.head.name == "w1"
        _refused(worker.head, "device", "car")
        _refused(worker.head.head, "device")


def test_classes_that_are_loaded_together(session: GuardedSession, guard: Guard) -> None:
    both = orm.with_polymorphic(Worker, "*", aliased=True)
    with guard.purpose(tm.RenewalGuidance):
        queries: tuple[Any, ...] = (
            select(Worker).order_by(Worker.id),
            select(both).order_by(both.id),
            select(Worker)
            .options(orm.selectin_polymorphic(Worker, [Driver]), orm.defer(Driver.badge))
            .order_by(Worker.id),
        )
        for query in queries:
            plain, driver, _ = session.scalars(query).all()
            assert (plain.name, driver.badge) == ("w1", "b")
            _refused(plain, "device")
            _refused(driver, "device", "car")
            session.expire(driver)
            assert driver.badge == "b"
            _refused(driver, "device", "car")
            session.expunge_all()


def test_an_object_of_no_session_is_not_said_to_be_left_out(session: GuardedSession, guard: Guard) -> None:
    with guard.purpose(tm.RenewalGuidance):
        land = session.get_one(Land, 1)
        session.expunge(land)
        with pytest.raises(InvalidRequestError, match="not persistent within this Session") as caught:
            session.refresh(land)
    assert not isinstance(caught.value, RowLeftOut)
