"""Access to the tables. Nothing else in the application reads personal data.

Callers of a function with `@guard.access` have a purpose. If the function returns plain tagged data, the guard asks the
notice whether that purpose may use the data, before the function reads it. Sealed data is checked where it is opened.
Rows say whose they are, so the guard also respects what that person asked for: with `narrow=True`, it leaves out rows
that may not be used; it refuses a single one. Collecting data needs no purpose; using it does.

Models are made with `model_validate`, which takes plain values from a table and seals the fields that are sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import joinedload

from examples.shop.database import (
    Base,
    ContractRow,
    CustomerRow,
    EventRow,
    InquiryRow,
    LeadRow,
    ProspectRow,
    Session,
    VisitRow,
)
from examples.shop.models import (
    CrashCount,
    Customer,
    CustomerContact,
    CustomerVisit,
    Event,
    Inquiry,
    Lead,
    LeadCompany,
    LeadContact,
    NewCustomer,
    NewEvent,
    NewInquiry,
    NewLead,
    NewProspect,
    NewVisit,
    Prospect,
    ProspectContact,
    Renewal,
    Run,
    Visit,
)
from examples.shop.privacy import guard
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=BaseModel)


class NotFound(Exception):
    """There is no such record."""

    def __init__(self, what: str, key: object) -> None:
        super().__init__(f"there is no {what} {key}")


def _require_found(row: T | None, what: str, key: int) -> T:
    if row is None:
        raise NotFound(what, key)
    return row


# --- collecting ----------------------------------------------------------------------------------------------------


def _to_models(model: type[ModelT], rows: Iterable[object]) -> list[ModelT]:
    """Return the rows of a query as models."""
    return [model.model_validate(row) for row in rows]


def _add_row(row: CustomerRow | VisitRow | LeadRow | ProspectRow | InquiryRow) -> int:
    with Session.begin() as session:
        session.add(row)
        session.flush()
        return row.id


def _must_exist(table: type[Base], what: str, key: int | None) -> None:
    with Session() as session:
        if key is not None and session.get(table, key) is None:
            raise NotFound(what, key)


def add_customer(new: NewCustomer) -> int:
    contracts = [ContractRow(**one.model_dump()) for one in new.contracts]
    return _add_row(CustomerRow(**new.model_dump(exclude={"contracts"}), contracts=contracts))


def add_events(new: Iterable[NewEvent]) -> int:
    events = list(new)
    for key in {one.customer_id for one in events}:
        _must_exist(CustomerRow, "customer", key)
    with Session.begin() as session:
        session.add_all(EventRow(**one.model_dump()) for one in events)
    guard.cache_clear(crash_counts)
    return len(events)


def add_visit(new: NewVisit) -> int:
    _must_exist(CustomerRow, "customer", new.customer_id)
    return _add_row(VisitRow(**new.model_dump()))


def add_lead(new: NewLead) -> int:
    return _add_row(LeadRow(**new.model_dump()))


def add_prospect(new: NewProspect) -> int:
    return _add_row(ProspectRow(**new.model_dump()))


def add_inquiry(new: NewInquiry) -> int:
    _must_exist(CustomerRow, "customer", new.customer_id)
    _must_exist(LeadRow, "lead", new.lead_id)
    _must_exist(ProspectRow, "prospect", new.prospect_id)
    return _add_row(InquiryRow(**new.model_dump()))


# --- customers -----------------------------------------------------------------------------------------------------


@guard.access(withhold=True)
def customer(key: int) -> Customer:
    """All about a customer, without the fields that the purpose under way may not use, be they sealed or plain."""
    with Session() as session:
        row = _require_found(session.get(CustomerRow, key), "customer", key)
        return Customer.model_validate(
            {
                "id": row.id,
                "registered_on": row.registered_on,
                "name": row.name,
                "email": row.email,
                "phone": row.phone,
                "contracts": row.contracts,
                "devices": sorted({one.device for one in row.events}),
            }
        )


@guard.access
def customer_contact(key: int) -> CustomerContact:
    with Session() as session:
        return CustomerContact.model_validate(_require_found(session.get(CustomerRow, key), "customer", key))


@guard.access(narrow=True)
def customer_contacts() -> list[CustomerContact]:
    with Session() as session:
        return _to_models(CustomerContact, session.scalars(select(CustomerRow).order_by(CustomerRow.id)))


@guard.access(narrow=True)
def renewals(due_before: date) -> list[Renewal]:
    columns = (CustomerRow.id, CustomerRow.registered_on, CustomerRow.name, CustomerRow.email)
    wanted = (
        select(*columns, ContractRow.product, ContractRow.renews_on)
        .join(CustomerRow.contracts)
        .where(ContractRow.renews_on < due_before)
        .order_by(ContractRow.renews_on)
    )
    with Session() as session:
        return _to_models(Renewal, session.execute(wanted))


# --- telemetry -----------------------------------------------------------------------------------------------------


@guard.access(narrow=True)
def events(product: str) -> Iterator[Event]:
    """Row by row: each step needs a purpose."""
    wanted = select(EventRow).where(EventRow.product == product).order_by(EventRow.id)
    with Session() as session:
        for row in session.scalars(wanted).yield_per(500):
            yield Event.model_validate(row)


@guard.access
def runs(product: str) -> Personal[list[Run], tm.ProductData]:
    """All runs of a product under one seal, for figures: no rows that the guard could look at, so each is asked for."""
    wanted = select(EventRow.customer_id, EventRow.kind, EventRow.seconds).where(EventRow.product == product)
    use = guard.current
    with Session() as session:
        found = [Run(*row) for row in session.execute(wanted)]
    return Personal([one for one in found if use.allows(tm.ProductData, subject=one)], tm.ProductData)


@guard.cached(maxsize=256, ttl=60)
@guard.access(narrow=True)
def crash_counts(product: str) -> list[CrashCount]:
    """Count the events and crashes of a product by customer.

    The cache is keyed by purpose too, so counts that were read to improve products serve no other purpose. Customers
    who stop the use are left out of cached counts as well, because each count names its customer.
    """
    crashed: ColumnElement[int] = case((EventRow.kind == "crash", 1), else_=0)
    counts = (
        select(EventRow.customer_id, EventRow.product, func.count().label("events"), func.sum(crashed).label("crashes"))
        .where(EventRow.product == product)
        .group_by(EventRow.customer_id, EventRow.product)
    )
    with Session() as session:
        return _to_models(CrashCount, session.execute(counts))


@guard.access
def events_of(customer: int) -> list[Event]:
    wanted = select(EventRow).where(EventRow.customer_id == customer).order_by(EventRow.id)
    with Session() as session:
        return _to_models(Event, session.scalars(wanted))


# --- visitors ------------------------------------------------------------------------------------------------------


@guard.access(narrow=True)
def visits() -> list[Visit]:
    with Session() as session:
        return _to_models(Visit, session.scalars(select(VisitRow).order_by(VisitRow.id)))


@guard.access
def visits_of(customer: int) -> list[Visit]:
    wanted = select(VisitRow).where(VisitRow.customer_id == customer).order_by(VisitRow.id)
    with Session() as session:
        return _to_models(Visit, session.scalars(wanted))


@guard.access(narrow=True)
def visits_of_customers() -> list[CustomerVisit]:
    joined = (
        select(CustomerRow.name.label("customer"), VisitRow.page, VisitRow.customer_id)
        .join(CustomerRow, VisitRow.customer_id == CustomerRow.id)
        .order_by(VisitRow.id)
    )
    with Session() as session:
        return _to_models(CustomerVisit, session.execute(joined))


# --- leads and prospects -------------------------------------------------------------------------------------------


@guard.access
def lead_contact(key: int) -> LeadContact:
    with Session() as session:
        return LeadContact.model_validate(_require_found(session.get(LeadRow, key), "lead", key))


@guard.access(narrow=True)
def lead_contacts() -> list[LeadContact]:
    with Session() as session:
        return _to_models(LeadContact, session.scalars(select(LeadRow)))


@guard.access(narrow=True)
def lead_companies() -> list[LeadCompany]:
    with Session() as session:
        return _to_models(LeadCompany, session.execute(select(LeadRow.id, LeadRow.company)))


@guard.access
def lead(key: int) -> Lead:
    with Session() as session:
        return Lead.model_validate(_require_found(session.get(LeadRow, key), "lead", key))


@guard.access
def prospect(key: int) -> Prospect:
    with Session() as session:
        return Prospect.model_validate(_require_found(session.get(ProspectRow, key), "prospect", key))


@guard.access(narrow=True)
def prospect_contacts() -> list[ProspectContact]:
    with Session() as session:
        return _to_models(ProspectContact, session.scalars(select(ProspectRow)))


# --- inquiries -----------------------------------------------------------------------------------------------------


@guard.access(withhold=True)
def inquiry(key: int) -> Inquiry:
    with Session() as session:
        return _inquiry(_require_found(session.get(InquiryRow, key), "inquiry", key))


@guard.access(withhold=True)
def inquiries() -> list[Inquiry]:
    senders = (joinedload(InquiryRow.customer), joinedload(InquiryRow.lead), joinedload(InquiryRow.prospect))
    with Session() as session:
        return [_inquiry(row) for row in session.scalars(select(InquiryRow).options(*senders).order_by(InquiryRow.id))]


@guard.access(withhold=True)
def inquiries_of(kind: str, key: int) -> list[Inquiry]:
    with Session() as session:
        return [_inquiry(row) for row in session.scalars(select(InquiryRow).filter_by(**{f"{kind}_id": key}))]


def _inquiry(row: InquiryRow) -> Inquiry:
    """Return an inquiry with its text under the clause that applies to its sender."""
    senders: dict[str, CustomerRow | LeadRow | ProspectRow | None] = {
        "customer": row.customer,
        "lead": row.lead,
        "prospect": row.prospect,
    }
    sent_by: dict[str, dict[str, object]] = {}
    for kind, sender in senders.items():
        if sender is not None:
            sent_by[kind] = {
                "id": sender.id,
                "registered_on": sender.registered_on,
                "name": sender.name,
                "email": sender.email,
                "text": row.text,
            }
    return Inquiry.model_validate({"id": row.id, **sent_by})
