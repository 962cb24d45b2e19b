"""The shop: customers, contracts and scans on FastAPI and SQLAlchemy. Nothing here knows of purposeguard."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import Engine, ForeignKey, create_engine, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool

logger = logging.getLogger(__name__)


class Base(DeclarativeBase):
    """The base of the tables."""


class Customer(Base):
    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    contracts: Mapped[list[Contract]] = relationship(back_populates="customer")


class Contract(Base):
    __tablename__ = "contracts"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    product: Mapped[str]
    renews_on: Mapped[datetime.date]
    customer: Mapped[Customer] = relationship(back_populates="contracts")


class Scan(Base):
    __tablename__ = "scans"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    device_name: Mapped[str]
    threats: Mapped[int]


class Renewal(BaseModel):
    """A reminder that a contract ends."""

    email: str
    product: str


def make_engine(url: str = "sqlite://") -> Engine:
    """Return an engine with all tables."""
    engine = create_engine(url, connect_args={"check_same_thread": False}, poolclass=StaticPool)
    Base.metadata.create_all(engine)
    return engine


engine = make_engine()
app = FastAPI()


def open_session() -> Iterator[Session]:
    """Open a session for a request."""
    with Session(engine) as session:
        yield session


Database = Annotated[Session, Depends(open_session)]


@app.post("/customers", status_code=201)
def register(name: str, email: str, product: str, session: Database) -> int:
    """Register a customer with a first contract."""
    customer = Customer(name=name, email=email)
    customer.contracts.append(Contract(product=product, renews_on=datetime.date(2027, 1, 31)))
    session.add(customer)
    session.commit()
    return customer.id


@app.post("/scans", status_code=201)
def report_scan(customer_id: int, device_name: str, threats: int, session: Database) -> None:
    """Store what a product reports from the device of a customer."""
    session.add(Scan(customer_id=customer_id, device_name=device_name, threats=threats))
    session.commit()


@app.get("/renewals")
def list_renewals(session: Database) -> list[Renewal]:
    """List the reminders of contracts that end."""
    contracts = session.scalars(select(Contract).order_by(Contract.renews_on))
    return [Renewal(email=contract.customer.email, product=contract.product) for contract in contracts]


@app.get("/statistics")
def count_threats(session: Database) -> dict[str, int]:
    """Count the threats on each device, to improve the products."""
    rows = session.execute(select(Scan.device_name, func.sum(Scan.threats).label("threats")).group_by(Scan.device_name))
    return {row.device_name: row.threats for row in rows}


def note_offer(email: str) -> None:
    """Log an offer, by a statement of its own."""
    with engine.connect() as connection:
        count = connection.execute(text("SELECT count(email) FROM customers WHERE email = :email"), {"email": email})
        logger.info("offered to %d customers", count.scalar_one())


@app.get("/campaign")
def offer_by_scans(session: Database, tasks: BackgroundTasks) -> list[str]:
    """List whom to offer a larger product: those whose devices had threats."""
    emails = session.scalars(select(Customer.email).join(Scan, Scan.customer_id == Customer.id).where(Scan.threats > 0))
    found = sorted(set(emails))
    for email in found:
        tasks.add_task(note_offer, email)
    return found


@app.get("/customers/{key}")
def show_customer(key: int, session: Database) -> str:
    """Show the name of a customer."""
    customer = session.get(Customer, key)
    if customer is None:
        raise HTTPException(404)
    return customer.name
