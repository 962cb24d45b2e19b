"""What the shop collects, each field tagged with the clause of the notice under which it was collected.

Ids of our own making carry no tag. A model made by analysis keeps the tags of what it was made from.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, EmailStr, model_validator

from purposeguard.notices import trendmicro_jp as tm


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True, extra="forbid")


class Created(Model):
    id: int


# --- customers (1.1) -----------------------------------------------------------------------------------------------


class Contract(Model):
    product: Annotated[str, tm.Contract]
    renews_on: Annotated[date, tm.Contract]


class NewCustomer(Model):
    name: Annotated[str, tm.Registration]
    email: Annotated[EmailStr, tm.Registration]
    phone: Annotated[str | None, tm.Registration] = None
    contracts: list[Contract]


class Customer(NewCustomer):
    """All that is known of a customer; most purposes may see a part of it."""

    id: int
    devices: Annotated[list[str], tm.ProductData]


class CustomerContact(Model):
    name: Annotated[str, tm.Registration]
    email: Annotated[EmailStr, tm.Registration]


class Renewal(CustomerContact):
    product: Annotated[str, tm.Contract]
    renews_on: Annotated[date, tm.Contract]


class Event(Model):
    product: Annotated[str, tm.ProductData]
    device: Annotated[str, tm.ProductData]
    kind: Annotated[str, tm.ProductData]
    seconds: Annotated[float, tm.ProductData]


class NewEvent(Event):
    customer_id: int


class CrashSummary(Model):
    """Counted from what products report, so it is still that: analysis takes no tag away."""

    product: Annotated[str, tm.ProductData]
    events: Annotated[int, tm.ProductData]
    crashes: Annotated[int, tm.ProductData]


# --- visitors of the website (2.3) ---------------------------------------------------------------------------------


class NewVisit(Model):
    cookie: Annotated[str, tm.Cookie]
    ip: Annotated[str, tm.Cookie]
    browser: Annotated[str, tm.Cookie]
    page: Annotated[str, tm.Cookie]
    customer_id: int | None = None


class PageTraffic(Model):
    page: Annotated[str, tm.Cookie]
    visits: Annotated[int, tm.Cookie]


class LinkedVisit(Model):
    """A visit linked with the customer who made it: a source of its own in the notice, with one purpose."""

    customer: Annotated[str, tm.LinkedUsage]
    page: Annotated[str, tm.LinkedUsage]


# --- leads (2.1) and prospects (3.1) -------------------------------------------------------------------------------


class LeadContact(Model):
    name: Annotated[str, tm.WebContact]
    email: Annotated[EmailStr, tm.WebContact]


class NewLead(LeadContact):
    phone: Annotated[str | None, tm.WebContact] = None
    company: Annotated[str | None, tm.WebProfile] = None
    survey: Annotated[str | None, tm.WebForm] = None


class LeadCompanies(Model):
    company: Annotated[str | None, tm.WebProfile]
    leads: Annotated[int, tm.WebProfile]


class ProspectContact(Model):
    name: Annotated[str, tm.ProspectContact]
    email: Annotated[EmailStr, tm.ProspectContact]


class NewProspect(ProspectContact):
    position: Annotated[str | None, tm.ProspectJob] = None
    notes: Annotated[str | None, tm.ProspectSubmission] = None


# --- inquiries: whose data they are depends on who sent them --------------------------------------------------------


class NewInquiry(Model):
    """A question by one of the three; the text is tagged when it is read, by who sent it."""

    customer_id: int | None = None
    lead_id: int | None = None
    prospect_id: int | None = None
    text: Annotated[str, tm.Registration, tm.WebForm, tm.ProspectSubmission]

    @model_validator(mode="after")
    def _one_sender(self) -> Self:
        if [self.customer_id, self.lead_id, self.prospect_id].count(None) != 2:
            raise ValueError("say which customer, lead or prospect sent it: one of them")
        return self


class FromCustomer(CustomerContact):
    text: Annotated[str, tm.Registration]


class FromLead(LeadContact):
    text: Annotated[str, tm.WebForm]


class FromProspect(ProspectContact):
    text: Annotated[str, tm.ProspectSubmission]


class Inquiry(Model):
    """One of the three is there."""

    id: int
    customer: FromCustomer | None = None
    lead: FromLead | None = None
    prospect: FromProspect | None = None

    @property
    def sender(self) -> FromCustomer | FromLead | FromProspect:
        sender = self.customer or self.lead or self.prospect
        if sender is None:
            raise LookupError(f"inquiry {self.id} has no sender")
        return sender


# --- what is no personal data --------------------------------------------------------------------------------------


class Sent(Model):
    """How many of an activity's messages went to whom."""

    customers: int = 0
    leads: int = 0
    prospects: int = 0


class Outgoing(Model):
    """The outbox as anybody may see it: whose messages, how many, and not to whom."""

    activity: str
    messages: int


class Denial(Model):
    at: datetime
    error: str
    activity: str | None
    function: str | None
    field: str | None
    purpose: str | None
    sources: str | None
    reason: str
    observed: bool


class UseCount(Model):
    activity: str
    purpose: str
    sources: str
    count: int


class LedgerPage(Model):
    denials: list[Denial]
    uses: list[UseCount]
