"""Tables and sessions. Each column states the clause under which it was collected, and whose data a row is.

A foreign key that says whose data a row is has a clause, too: people could be selected by how many rows they have.

`Session` ignores these tags. The application uses it to collect data, and `examples.shop.repository` uses it to read
rows and return tagged models. `examples.shop.reports` reads the same tables with a session that checks the tags.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, ForeignKey, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, sessionmaker

import purposeguard as pg
from examples.shop.models import CustomerId, LeadId, ProspectId
from purposeguard.notices import trendmicro_jp as tm

Session = sessionmaker()
"""A factory of sessions for the database of the last call of `connect`."""


def connect(url: str) -> Engine:
    """Open the database, create missing tables, and bind `Session` to it."""
    # Errors of the database must not show parameters in a log.
    engine = create_engine(url, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
    Base.metadata.create_all(engine)
    Session.configure(bind=engine)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # With a write-ahead log, other connections can write during a long export.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}").close()


class Base(DeclarativeBase):
    pass


def _today() -> date:
    """Return the current day in Tokyo, where the shop is: the notice counts days there."""
    return datetime.now(ZoneInfo("Asia/Tokyo")).date()


class CustomerRow(Base):
    __tablename__ = "customers"

    id: Mapped[CustomerId] = mapped_column(primary_key=True)
    name: Mapped[Annotated[str, tm.Registration]]
    email: Mapped[Annotated[str, tm.Registration]]
    phone: Mapped[Annotated[str | None, tm.Registration]]
    registered_on: Mapped[Annotated[date, pg.Collected]] = mapped_column(default=_today)
    contracts: Mapped[list[ContractRow]] = relationship(back_populates="customer")
    events: Mapped[list[EventRow]] = relationship(back_populates="customer")


class ContractRow(Base):
    __tablename__ = "contracts"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[Annotated[CustomerId, tm.Contract]] = mapped_column(ForeignKey("customers.id"), index=True)
    product: Mapped[Annotated[str, tm.Contract]]
    renews_on: Mapped[Annotated[date, tm.Contract]] = mapped_column(index=True)
    customer: Mapped[CustomerRow] = relationship(back_populates="contracts")


class EventRow(Base):
    """A report of a product in use."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[Annotated[CustomerId, tm.ProductData]] = mapped_column(ForeignKey("customers.id"), index=True)
    product: Mapped[Annotated[str, tm.ProductData]] = mapped_column(index=True)
    device: Mapped[Annotated[str, tm.ProductData]]
    kind: Mapped[Annotated[str, tm.ProductData]]
    seconds: Mapped[Annotated[float, tm.ProductData]]
    customer: Mapped[CustomerRow] = relationship(back_populates="events")


class VisitRow(Base):
    __tablename__ = "visits"

    id: Mapped[int] = mapped_column(primary_key=True)
    cookie: Mapped[Annotated[str, tm.Cookie]]
    ip: Mapped[Annotated[str, tm.Cookie]]
    browser: Mapped[Annotated[str, tm.Cookie]]
    page: Mapped[Annotated[str, tm.Cookie]]
    customer_id: Mapped[Annotated[CustomerId | None, tm.Cookie]] = mapped_column(ForeignKey("customers.id"))
    """The customer, if the visitor was logged in."""


class LeadRow(Base):
    __tablename__ = "leads"

    id: Mapped[LeadId] = mapped_column(primary_key=True)
    name: Mapped[Annotated[str, tm.WebContact]]
    email: Mapped[Annotated[str, tm.WebContact]]
    phone: Mapped[Annotated[str | None, tm.WebContact]]
    company: Mapped[Annotated[str | None, tm.WebProfile]]
    survey: Mapped[Annotated[str | None, tm.WebForm]]
    registered_on: Mapped[Annotated[date, pg.Collected]] = mapped_column(default=_today)


class ProspectRow(Base):
    __tablename__ = "prospects"

    id: Mapped[ProspectId] = mapped_column(primary_key=True)
    name: Mapped[Annotated[str, tm.ProspectContact]]
    email: Mapped[Annotated[str, tm.ProspectContact]]
    position: Mapped[Annotated[str | None, tm.ProspectJob]]
    notes: Mapped[Annotated[str | None, tm.ProspectSubmission]]
    registered_on: Mapped[Annotated[date, pg.Collected]] = mapped_column(default=_today)


class InquiryRow(Base):
    """A question. One of the three ids names its sender."""

    __tablename__ = "inquiries"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[Annotated[CustomerId | None, tm.Registration]] = mapped_column(ForeignKey("customers.id"))
    lead_id: Mapped[Annotated[LeadId | None, tm.WebForm]] = mapped_column(ForeignKey("leads.id"))
    prospect_id: Mapped[Annotated[ProspectId | None, tm.ProspectSubmission]] = mapped_column(ForeignKey("prospects.id"))
    text: Mapped[Annotated[str, tm.Registration, tm.WebForm, tm.ProspectSubmission]]
    customer: Mapped[CustomerRow | None] = relationship()
    lead: Mapped[LeadRow | None] = relationship()
    prospect: Mapped[ProspectRow | None] = relationship()


class MailRow(Base):
    """The outbox, from which a relay outside this example takes mail."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(primary_key=True)
    activity: Mapped[str]
    to: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str]


class UploadRow(Base):
    """Uploads to a laboratory's cloud storage. An uploader outside this example takes lines from here."""

    __tablename__ = "uploads"

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient: Mapped[str]
    line: Mapped[str]
