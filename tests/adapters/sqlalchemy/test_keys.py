"""A foreign key that says whose a row is carries a source, or `protect` warns."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import pytest
from sqlalchemy import ForeignKey, create_engine, exists, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import GuardedSession, UntaggedKey, protect
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation
from purposeguard.values.markers import Subject


def _shop(annotation: Any) -> tuple[Any, Any, Any]:
    class Base(DeclarativeBase): ...

    class Buyer(Base):
        __tablename__ = "buyers"
        id: Mapped[Annotated[int, Subject]] = mapped_column(primary_key=True)
        name: Mapped[Annotated[str, tm.Registration]]

    class Scan(Base):
        __tablename__ = "scans"
        __annotations__ = {"id": Mapped[int], "buyer": Mapped[annotation], "threats": Mapped[THREATS]}
        id = mapped_column(primary_key=True)
        buyer = mapped_column(ForeignKey("buyers.id"))

    return Base, Buyer, Scan


THREATS = Annotated[int, tm.ProductData]
BARE = Annotated[int, Subject]
TAGGED = Annotated[int, Subject, tm.ProductData]


def test_protect_warns_of_a_key_without_a_source(guard: Guard) -> None:
    base, _, _ = _shop(BARE)
    with pytest.warns(UntaggedKey, match=r"`scans\.buyer`.*Subject, Source") as caught:
        protect(create_engine("sqlite://"), guard, base)
    assert [one.filename for one in caught] == [__file__]
    base.registry.dispose()


def test_of_tables_that_come_later_it_is_warned_then(guard: Guard) -> None:
    class Base(DeclarativeBase): ...

    engine = protect(create_engine("sqlite://", poolclass=StaticPool), guard, Base)

    class Owner(Base):
        __tablename__ = "owners"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Ride(Base):
        __tablename__ = "rides"
        id: Mapped[int] = mapped_column(primary_key=True)
        owner: Mapped[BARE] = mapped_column(ForeignKey("owners.id"))
        km: Mapped[THREATS]

    Base.metadata.create_all(engine)
    with GuardedSession(engine) as session:
        with pytest.warns(UntaggedKey, match=r"`rides\.owner`"):
            session.scalars(select(Ride.id)).all()
        session.scalars(select(Ride.id + 1)).all()  # once
    engine.dispose()
    Base.registry.dispose()


def test_nobody_is_chosen_by_rows_of_a_key_with_a_source(guard: Guard) -> None:
    base, buyer, scan = _shop(TAGGED)
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        protect(engine, guard, base)
    base.metadata.create_all(engine)
    names = select(buyer.name)
    chosen = {
        "more than one": names.join(scan, scan.buyer == buyer.id).group_by(buyer.id).having(func.count() > 1),
        "none": names.where(~exists().where(scan.buyer == buyer.id)),
    }
    with GuardedSession(engine) as session, guard.purpose(tm.ProductGuidance):
        for statement in chosen.values():
            with pytest.raises(PurposeViolation):
                session.scalars(statement)
        assert session.scalars(names).all() == []
    engine.dispose()
    base.registry.dispose()
