"""Reading and writing the tables. Nothing else in the application reads personal data.

Whoever calls a function with `@guard.access` does so for a purpose, and the guard asks the notice whether that purpose
may use what the function reads, before it reads. Collecting data needs no purpose; using it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

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
    Contract,
    CrashSummary,
    Customer,
    CustomerContact,
    Event,
    FromCustomer,
    FromLead,
    FromProspect,
    Inquiry,
    LeadCompanies,
    LeadContact,
    LinkedVisit,
    NewCustomer,
    NewEvent,
    NewInquiry,
    NewLead,
    NewProspect,
    NewVisit,
    PageTraffic,
    ProspectContact,
    Renewal,
)
from examples.shop.privacy import guard


class NotFound(Exception):
    """There is no such record."""

    def __init__(self, what: str, key: int) -> None:
        super().__init__(f"there is no {what} {key}")


# --- collecting ----------------------------------------------------------------------------------------------------


def _added(row: CustomerRow | VisitRow | LeadRow | ProspectRow | InquiryRow) -> int:
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
    return _added(CustomerRow(**new.model_dump(exclude={"contracts"}), contracts=contracts))


def add_events(new: Iterable[NewEvent]) -> int:
    events = list(new)
    for key in {one.customer_id for one in events}:
        _must_exist(CustomerRow, "customer", key)
    with Session.begin() as session:
        session.add_all(EventRow(**one.model_dump()) for one in events)
    crash_summary.cache_clear()  # type: ignore[attr-defined,unused-ignore]  # typed as the function that it wraps
    return len(events)


def add_visit(new: NewVisit) -> int:
    _must_exist(CustomerRow, "customer", new.customer_id)
    return _added(VisitRow(**new.model_dump()))


def add_lead(new: NewLead) -> int:
    return _added(LeadRow(**new.model_dump()))


def add_prospect(new: NewProspect) -> int:
    return _added(ProspectRow(**new.model_dump()))


def add_inquiry(new: NewInquiry) -> int:
    _must_exist(CustomerRow, "customer", new.customer_id)
    _must_exist(LeadRow, "lead", new.lead_id)
    _must_exist(ProspectRow, "prospect", new.prospect_id)
    return _added(InquiryRow(**new.model_dump()))


# --- customers -----------------------------------------------------------------------------------------------------


@guard.access(withhold=True)
def customer(key: int) -> Customer:
    """All about a customer, without the fields that the purpose under way may not use."""
    with Session() as session:
        row = session.get(CustomerRow, key)
        if row is None:
            raise NotFound("customer", key)
        return Customer(
            id=row.id,
            name=row.name,
            email=row.email,
            phone=row.phone,
            contracts=[Contract.model_validate(one) for one in row.contracts],
            devices=sorted({one.device for one in row.events}),
        )


@guard.access
def customer_contact(key: int) -> CustomerContact:
    with Session() as session:
        row = session.get(CustomerRow, key)
        if row is None:
            raise NotFound("customer", key)
        return CustomerContact(name=row.name, email=row.email)


@guard.access
def customer_contacts() -> list[CustomerContact]:
    with Session() as session:
        rows = session.scalars(select(CustomerRow).order_by(CustomerRow.id))
        return [CustomerContact(name=row.name, email=row.email) for row in rows]


@guard.access
def renewals(due_before: date) -> list[Renewal]:
    wanted = (
        select(CustomerRow.name, CustomerRow.email, ContractRow.product, ContractRow.renews_on)
        .join(CustomerRow.contracts)
        .where(ContractRow.renews_on < due_before)
        .order_by(ContractRow.renews_on)
    )
    with Session() as session:
        return [Renewal.model_validate(row) for row in session.execute(wanted)]


# --- telemetry -----------------------------------------------------------------------------------------------------


@guard.access
def events(product: str) -> Iterator[Event]:
    """Row by row: the guard asks anew before each step."""
    with Session() as session:
        for row in session.scalars(select(EventRow).where(EventRow.product == product).order_by(EventRow.id)).yield_per(
            500
        ):
            yield Event.model_validate(row)


@guard.cached(maxsize=256, ttl=60)
@guard.access
def crash_summary(product: str) -> CrashSummary:
    """Cached by purpose too: what was read to improve products is not served to anything else."""
    crashed: ColumnElement[int] = case((EventRow.kind == "crash", 1), else_=0)
    counts = select(func.count(), func.coalesce(func.sum(crashed), 0)).where(EventRow.product == product)
    with Session() as session:
        total, crashes = session.execute(counts).one()
        return CrashSummary(product=product, events=total, crashes=crashes)


# --- visitors ------------------------------------------------------------------------------------------------------


@guard.access
def page_traffic() -> list[PageTraffic]:
    counts = select(VisitRow.page, func.count().label("visits")).group_by(VisitRow.page).order_by(VisitRow.page)
    with Session() as session:
        return [PageTraffic.model_validate(row) for row in session.execute(counts)]


@guard.access
def linked_visits() -> list[LinkedVisit]:
    """Visits linked with customers. The notice has this combination as a source of its own, 2.3③."""
    joined = (
        select(CustomerRow.name.label("customer"), VisitRow.page)
        .join(CustomerRow, VisitRow.customer_id == CustomerRow.id)
        .order_by(VisitRow.id)
    )
    with Session() as session:
        return [LinkedVisit.model_validate(row) for row in session.execute(joined)]


# --- leads and prospects -------------------------------------------------------------------------------------------


@guard.access
def lead_contact(key: int) -> LeadContact:
    with Session() as session:
        row = session.get(LeadRow, key)
        if row is None:
            raise NotFound("lead", key)
        return LeadContact(name=row.name, email=row.email)


@guard.access
def lead_contacts() -> list[LeadContact]:
    with Session() as session:
        return [LeadContact(name=row.name, email=row.email) for row in session.scalars(select(LeadRow))]


@guard.access
def lead_companies() -> list[LeadCompanies]:
    counts = select(LeadRow.company, func.count().label("leads")).group_by(LeadRow.company).order_by(LeadRow.company)
    with Session() as session:
        return [LeadCompanies.model_validate(row) for row in session.execute(counts)]


@guard.access
def prospect_contacts() -> list[ProspectContact]:
    with Session() as session:
        return [ProspectContact(name=row.name, email=row.email) for row in session.scalars(select(ProspectRow))]


# --- inquiries -----------------------------------------------------------------------------------------------------


@guard.access(withhold=True)
def inquiry(key: int) -> Inquiry:
    with Session() as session:
        row = session.get(InquiryRow, key)
        if row is None:
            raise NotFound("inquiry", key)
        return _inquiry(row)


@guard.access(withhold=True)
def inquiries() -> list[Inquiry]:
    senders = (joinedload(InquiryRow.customer), joinedload(InquiryRow.lead), joinedload(InquiryRow.prospect))
    with Session() as session:
        return [_inquiry(row) for row in session.scalars(select(InquiryRow).options(*senders).order_by(InquiryRow.id))]


def _inquiry(row: InquiryRow) -> Inquiry:
    if row.customer is not None:
        customer = FromCustomer(name=row.customer.name, email=row.customer.email, text=row.text)
        return Inquiry(id=row.id, customer=customer)
    if row.lead is not None:
        return Inquiry(id=row.id, lead=FromLead(name=row.lead.name, email=row.lead.email, text=row.text))
    if row.prospect is not None:
        prospect = FromProspect(name=row.prospect.name, email=row.prospect.email, text=row.text)
        return Inquiry(id=row.id, prospect=prospect)
    raise NotFound("sender of inquiry", row.id)
