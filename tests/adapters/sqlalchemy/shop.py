"""A small shop on SQLAlchemy: tagged, mixed and sealed columns, and everything a mapper can make of them."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, String, Table, create_engine, func, select
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, column_property, mapped_column, relationship, sessionmaker

import purposeguard as pg
from purposeguard import Guard, Personal
from purposeguard.adapters.sqlalchemy import GuardedSession, SealedColumns, protect
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from purposeguard.values.markers import ByRow, RowSource
from tests.oversights import STOPPED, Told

Email = Annotated[str, mapped_column(String(80)), tm.Registration]


class Base(SealedColumns, DeclarativeBase):
    metadata = MetaData()


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[Email]
    name: Mapped[Annotated[str, tm.Registration]]
    device: Mapped[Annotated[str | None, tm.ProductData]]
    plan: Mapped[str] = mapped_column(info={"purposeguard": ("1.1a", tm.Contract)})
    phone: Mapped[Personal[str, tm.Registration] | None]
    active: Mapped[bool] = mapped_column(default=True)
    orders: Mapped[list[Order]] = relationship(back_populates="customer", order_by=lambda: Order.id)
    totals: AssociationProxy[list[int]] = association_proxy("orders", "total")

    @hybrid_property
    def address(self) -> str:
        return self.name + " <" + self.email + ">"


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    total: Mapped[Annotated[int, tm.Contract]]
    customer: Mapped[Customer] = relationship(back_populates="orders")


Customer.spent = column_property(
    select(func.sum(Order.total)).where(Order.customer_id == Customer.id).correlate_except(Order).scalar_subquery(),
    deferred=True,
)


class Visit(Base):
    __tablename__ = "visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    ip: Mapped[Annotated[str, tm.Cookie]]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "visit"}


class Login(Visit):
    __tablename__ = "logins"
    id: Mapped[int] = mapped_column(ForeignKey("visits.id"), primary_key=True)
    account: Mapped[Annotated[str, tm.Registration]]
    __mapper_args__ = {"polymorphic_identity": "login"}


class Person(Base):
    """A table of the mixed kind: each row says under which source it was collected, whose it is, and from when."""

    __tablename__ = "people"
    id: Mapped[Annotated[int, pg.Subject("customer")]] = mapped_column(primary_key=True)
    source: Mapped[Annotated[str, RowSource]]
    note: Mapped[Annotated[str, ByRow]]
    email: Mapped[Annotated[str, tm.Registration]]
    day: Mapped[Annotated[datetime.date, pg.Collected]]
    letters: Mapped[list[Letter]] = relationship(back_populates="person", order_by=lambda: Letter.id)


class Letter(Base):
    __tablename__ = "letters"
    __table_args__ = {"info": {"purposeguard": "not-personal"}}

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    person: Mapped[Person | None] = relationship(back_populates="letters")


class Setting(Base):
    """A table without any tag."""

    __tablename__ = "settings"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


exports = Table(
    "exports",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("email", String(80), info={"purposeguard": tm.Registration}),
    Column("mixed", String(80), info={"purposeguard": [tm.Registration, tm.ProductData, tm.Contract]}),
    Column("public", String(80)),
)

STANDINGS = {"customer:1": STOPPED, "customer:2": SubjectPreferences(suspended=frozenset({tm.RenewalGuidance.clause}))}
SOURCES = ["1.1(a)", "1.1b", "Contract"]


class Shop:
    """The tables in one database, first on an engine that nobody guards."""

    def __init__(self, engine: Engine, url: str) -> None:
        self.plain = engine
        self.url = url
        self.engines = [engine]
        self.told = Told(STANDINGS)

    def fill(self) -> None:
        Base.metadata.drop_all(self.plain)
        Base.metadata.create_all(self.plain)
        with Session(self.plain) as session:
            session.add_all(customer(n) for n in range(1, 5))
            session.add_all([Visit(ip="10.0.0.1"), Login(ip="10.0.0.2", account="ann")])
            session.add_all(person(n) for n in range(1, 7))
            session.add(Setting(name="colour", value="red"))
            session.execute(exports.insert(), [{"email": "x", "mixed": "m", "public": "p"}])
            session.commit()

    def guarded(self, guard: Guard, **given: Any) -> Engine:
        given = {"not_personal": [Setting]} | given
        engine = protect(create_engine(self.url), guard, Base, **given)
        self.engines.append(engine)
        return engine

    def session(self, guard: Guard) -> sessionmaker[GuardedSession]:
        return sessionmaker(self.guarded(guard), class_=GuardedSession)

    def let_go(self) -> None:
        """Ends the connections of what was guarded."""
        while len(self.engines) > 1:
            self.engines.pop().dispose()

    def close(self) -> None:
        self.let_go()
        self.plain.dispose()


def customer(n: int) -> Customer:
    found = Customer(
        id=n, email=f"e{n}", name=f"n{n}", device=f"d{n}", plan="gold", phone=Personal(f"0{n}", tm.Registration)
    )
    found.orders = [Order(total=10 * n + k) for k in range(2)]
    return found


def person(n: int) -> Person:
    day = datetime.date(2024, 5, n)
    return Person(id=n, source=SOURCES[n % 3], note=f"note{n}", email=f"p{n}", day=day, letters=[Letter(id=n)])
