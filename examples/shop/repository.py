"""Reading and writing the tables. Nothing else in the application reads personal data.

Whoever calls a function with `@guard.access` does so for a purpose. Where plain tagged data comes back, the guard asks
the notice whether that purpose may use it, before the function reads. What comes back sealed is asked for where it is
opened. Collecting data needs no purpose; using it does.

Models are made with `model_validate`: it takes what a table holds, plain, and seals what the model says is sealed.
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
    CrashSummary,
    Customer,
    CustomerContact,
    CustomerVisit,
    Event,
    Inquiry,
    LeadCompanies,
    LeadContact,
    NewCustomer,
    NewEvent,
    NewInquiry,
    NewLead,
    NewProspect,
    NewVisit,
    PageTraffic,
    ProspectContact,
    Renewal,
    Run,
)
from examples.shop.privacy import guard
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm


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
    guard.cache_clear(crash_summary)
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
    """All about a customer, without the fields that the purpose under way may not use, be they sealed or plain."""
    with Session() as session:
        row = session.get(CustomerRow, key)
        if row is None:
            raise NotFound("customer", key)
        return Customer.model_validate(
            {
                "id": row.id,
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
        row = session.get(CustomerRow, key)
        if row is None:
            raise NotFound("customer", key)
        return CustomerContact.model_validate(row)


@guard.access
def customer_contacts() -> list[CustomerContact]:
    with Session() as session:
        rows = session.scalars(select(CustomerRow).order_by(CustomerRow.id))
        return [CustomerContact.model_validate(row) for row in rows]


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
    """Row by row: each step needs a purpose."""
    wanted = select(EventRow).where(EventRow.product == product).order_by(EventRow.id)
    with Session() as session:
        for row in session.scalars(wanted).yield_per(500):
            yield Event.model_validate(row)


@guard.access
def runs(product: str) -> Personal[list[Run], tm.ProductData]:
    """All runs of a product under one seal, for figures."""
    wanted = select(EventRow.customer_id, EventRow.kind, EventRow.seconds).where(EventRow.product == product)
    with Session() as session:
        return Personal([Run(*row) for row in session.execute(wanted)], tm.ProductData)


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
def visits_of_customers() -> list[CustomerVisit]:
    joined = (
        select(CustomerRow.name.label("customer"), VisitRow.page)
        .join(CustomerRow, VisitRow.customer_id == CustomerRow.id)
        .order_by(VisitRow.id)
    )
    with Session() as session:
        return [CustomerVisit.model_validate(row) for row in session.execute(joined)]


# --- leads and prospects -------------------------------------------------------------------------------------------


@guard.access
def lead_contact(key: int) -> LeadContact:
    with Session() as session:
        row = session.get(LeadRow, key)
        if row is None:
            raise NotFound("lead", key)
        return LeadContact.model_validate(row)


@guard.access
def lead_contacts() -> list[LeadContact]:
    with Session() as session:
        return [LeadContact.model_validate(row) for row in session.scalars(select(LeadRow))]


@guard.access
def lead_companies() -> list[LeadCompanies]:
    counts = select(LeadRow.company, func.count().label("leads")).group_by(LeadRow.company).order_by(LeadRow.company)
    with Session() as session:
        return [LeadCompanies.model_validate(row) for row in session.execute(counts)]


@guard.access
def prospect_contacts() -> list[ProspectContact]:
    with Session() as session:
        return [ProspectContact.model_validate(row) for row in session.scalars(select(ProspectRow))]


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
    """One of the three senders, with the text under the clause by which the shop has it from such a sender."""
    senders: dict[str, CustomerRow | LeadRow | ProspectRow | None] = {
        "customer": row.customer,
        "lead": row.lead,
        "prospect": row.prospect,
    }
    sent_by = {
        kind: {"name": sender.name, "email": sender.email, "text": row.text}
        for kind, sender in senders.items()
        if sender is not None
    }
    return Inquiry.model_validate({"id": row.id, **sent_by})
