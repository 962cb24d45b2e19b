"""The shop's data. Each field has the clause of the notice under which it was collected.

- `Personal[str, tm.Registration]` is sealed. Its source is visible, but its value is not, until a use whose purpose may
  use that clause opens it. Type checkers follow it. Names, addresses and phone numbers from the repository are sealed,
  as are the other values in a mail, and telemetry of single devices.
- `Annotated[str, tm.Registration]` is plain and tagged. The guard checks it before the repository reads it. Incoming
  data (`New…`, plain until it is stored), counts, and data that is only shown are tagged.

The shop's own ids have no clause, but say whose a row is: `Annotated[int, pg.Subject("customer")]`. The guard respects
what that person asked for, row by row. A model made by analysis keeps the clauses of its origin.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, EmailStr, Field, PastDate, model_validator

import purposeguard as pg
from purposeguard import Personal
from purposeguard.notices import trendmicro_jp as tm


class Model(pg.PersonalModel):
    """As a `PersonalModel`, none of these shows in an error of validation what was given for personal data."""

    model_config = ConfigDict(frozen=True, from_attributes=True, extra="forbid")


class Created(Model):
    id: int


CustomerId = Annotated[int, pg.Subject("customer")]
LeadId = Annotated[int, pg.Subject("lead")]
ProspectId = Annotated[int, pg.Subject("prospect")]
"""Each counted from 1: customer 1 and lead 1 are two people, `customer:1` and `lead:1`."""


class Person(Model):
    """A row about somebody, whom the `id` of each kind names.

    `registered_on` says under which revision of the notice it was collected, which is not for those who see the rest.
    """

    registered_on: Annotated[date, pg.Collected] = Field(exclude=True, repr=False)

    @property
    def row(self) -> BaseModel:
        """Itself: who knows it by its name and address alone still has to say whose they are."""
        return self


# --- customers (1.1) -----------------------------------------------------------------------------------------------


class Contract(Model):
    product: Annotated[str, tm.Contract]
    renews_on: Annotated[date, tm.Contract]


class NewCustomer(Model):
    name: Annotated[str, tm.Registration]
    email: Annotated[EmailStr, tm.Registration]
    phone: Annotated[str | None, tm.Registration] = None
    contracts: list[Contract]


class CustomerContact(Person):
    id: CustomerId = Field(exclude=True, repr=False)
    name: Personal[str, tm.Registration]
    email: Personal[EmailStr, tm.Registration]


class Customer(CustomerContact):
    """All that is known of a customer; most purposes may see a part of it."""

    id: CustomerId
    phone: Personal[str, tm.Registration] | None
    contracts: list[Contract]
    devices: Annotated[list[str], tm.ProductData]


class Renewal(CustomerContact):
    product: Personal[str, tm.Contract]
    renews_on: Personal[date, tm.Contract]


class NewEvent(Model):
    customer_id: int
    product: Annotated[str, tm.ProductData]
    device: Annotated[str, tm.ProductData]
    kind: Annotated[str, tm.ProductData]
    seconds: Annotated[float, tm.ProductData]


class Event(Model):
    """What one device reported."""

    customer_id: CustomerId = Field(exclude=True, repr=False)
    product: Personal[str, tm.ProductData]
    device: Personal[str, tm.ProductData]
    kind: Personal[str, tm.ProductData]
    seconds: Personal[float, tm.ProductData]


class Run(NamedTuple):
    """What figures are made from. Carries no clause itself: a list of runs is sealed as a whole."""

    customer: CustomerId
    kind: str
    seconds: float


class Figures(Model):
    """Made by a declared reclassification, so no longer personal data: any purpose may open them."""

    product: str
    runs: Personal[int, pg.NotPersonal]
    mean_seconds: Personal[float, pg.NotPersonal]
    crash_percent: Personal[int, pg.NotPersonal]


class CrashCount(Model):
    """What the products of one customer report, counted."""

    customer_id: CustomerId
    product: Annotated[str, tm.ProductData]
    events: Annotated[int, tm.ProductData]
    crashes: Annotated[int, tm.ProductData]


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


class Visit(NewVisit):
    """One visit; of most nobody knows whose."""

    customer_id: Annotated[int | None, pg.Subject("customer")] = None


class PageTraffic(Model):
    page: Annotated[str, tm.Cookie]
    visits: Annotated[int, tm.Cookie]


class CustomerVisit(Model):
    """A page, and the customer who was logged in there: of two clauses, and not linked yet."""

    customer_id: CustomerId
    customer: Personal[str, tm.Registration]
    page: Personal[str, tm.Cookie]


class LinkedVisit(Model):
    """A visit linked with the customer who made it: a source of its own in the notice, with one purpose."""

    customer: Annotated[str, tm.LinkedUsage]
    page: Annotated[str, tm.LinkedUsage]


# --- leads (2.1) and prospects (3.1) -------------------------------------------------------------------------------


class NewLead(Model):
    name: Annotated[str, tm.WebContact]
    email: Annotated[EmailStr, tm.WebContact]
    phone: Annotated[str | None, tm.WebContact] = None
    company: Annotated[str | None, tm.WebProfile] = None
    survey: Annotated[str | None, tm.WebForm] = None


class Lead(NewLead, Person):
    """All that is known of a lead."""

    id: LeadId


class LeadContact(Person):
    id: LeadId = Field(exclude=True, repr=False)
    name: Personal[str, tm.WebContact]
    email: Personal[EmailStr, tm.WebContact]


class LeadCompany(Model):
    id: LeadId
    company: Annotated[str | None, tm.WebProfile]


class LeadCompanies(Model):
    company: Annotated[str | None, tm.WebProfile]
    leads: Annotated[int, tm.WebProfile]


class NewProspect(Model):
    name: Annotated[str, tm.ProspectContact]
    email: Annotated[EmailStr, tm.ProspectContact]
    position: Annotated[str | None, tm.ProspectJob] = None
    notes: Annotated[str | None, tm.ProspectSubmission] = None


class Prospect(NewProspect, Person):
    """All that is known of a prospect."""

    id: ProspectId


class ProspectContact(Person):
    id: ProspectId = Field(exclude=True, repr=False)
    name: Personal[str, tm.ProspectContact]
    email: Personal[EmailStr, tm.ProspectContact]


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


# --- what people ask for, and what is told of it --------------------------------------------------------------------


Subject = Annotated[str, Field(pattern=r"^(customer|lead|prospect):[1-9][0-9]{0,17}$")]
"""A person as requests and reports call them: `customer:1`."""

Words = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]


class NewRequest(Model):
    """What somebody asks for, of the kinds that clause 7 names; `purposes` where use is to stop for some alone."""

    kind: Words
    subject: Subject
    purposes: list[Words] | None = None
    requester: Literal["subject", "agent"] = "subject"
    authority: Words | None = None


class Handled(Model):
    """A request, and how it stands."""

    id: int
    kind: str
    subject: str
    purposes: tuple[str, ...] | None
    state: str


class NewRecipient(Model):
    """Somebody who handles data for the shop, and what clauses 4 to 6 ask to have on record of them."""

    kind: Words
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    name: Words
    contract: Words
    since: date
    supervised_on: PastDate


class Warrant(Model):
    """An order by which the data of one customer is opened, and who saw that it is in order."""

    customer_id: int
    number: Words
    approver: Words


class Revision(Model):
    """The revision of the notice that is in force."""

    revision: date


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


class Reclassified(Model):
    """One run of a declared reclassification: what was made less restricted, why that may be, and who approved it."""

    at: datetime
    activity: str | None
    name: str
    sources: str
    to: str
    why: str
    approver: str | None


class Noted(Model):
    """Anything else on record: a hand-over, a use under an exception, a request, what came of it."""

    at: datetime
    kind: str
    says: dict[str, Any]


class LedgerPage(Model):
    denials: list[Denial]
    reclassified: list[Reclassified]
    noted: list[Noted]
    uses: list[UseCount]


class Verdict(Model):
    """That no entry of the ledger was changed or removed: so many, up to this hash."""

    entries: int
    hash: str
