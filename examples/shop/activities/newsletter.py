"""Newsletters to people whose addresses were collected in three ways: one family of purposes, one function.

The notice states the same goal in three clauses, one for each way. A family is their union: it may use data of each
source that one of its clauses may use. Two of the three clauses name their channels, so the activities state one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from examples.shop import repository
from examples.shop.activities import telemetry
from examples.shop.mailer import Addressee, Mailer, Mailing
from examples.shop.models import CustomerContact, Figures, LeadContact, ProspectContact, Sent
from examples.shop.privacy import guard
from purposeguard import Use
from purposeguard.notices import trendmicro_jp as tm


class Issue(BaseModel):
    """One issue of a newsletter, as the editors wrote it."""

    subject: str
    body: str


@guard.purpose(tm.AnySecurityInformation, channel="email").with_use
async def send_security_newsletter(use: Use[tm.AnySecurityInformation], issue: Issue, mailer: Mailer) -> Sent:
    """Send the newsletter to three lists, which are read at the same time in three threads.

    A thread has only the purpose that is carried to it. There the `use` of this function opens values as it does here.
    """
    customers, leads, prospects = await asyncio.gather(
        asyncio.to_thread(guard.carry(repository.customer_contacts)),
        asyncio.to_thread(guard.carry(repository.lead_contacts)),
        asyncio.to_thread(guard.carry(repository.prospect_contacts)),
    )
    mailing = Mailing(use)
    mailing.to_each(customers, issue.subject, issue.body)
    mailing.to_each(leads, issue.subject, issue.body)
    mailing.to_each(prospects, issue.subject, issue.body)
    await asyncio.to_thread(guard.carry(mailer.send), mailing)
    return _sent(mailing, customers, leads, prospects)


@guard.purpose(tm.AnyProductGuidance, channel="email").with_use
def send_product_newsletter(use: Use[tm.AnyProductGuidance], issue: Issue, mailer: Mailer) -> Sent:
    customers = repository.customer_contacts()
    leads = repository.lead_contacts()
    prospects = repository.prospect_contacts()
    mailing = Mailing(use)
    mailing.to_each(customers, issue.subject, issue.body)
    mailing.to_each(leads, issue.subject, issue.body)
    mailing.to_each(prospects, issue.subject, issue.body)
    mailer.send(mailing)
    return _sent(mailing, customers, leads, prospects)


def _sent(
    mailing: Mailing[Any], customers: list[CustomerContact], leads: list[LeadContact], prospects: list[ProspectContact]
) -> Sent:
    return Sent(customers=mailing.count(customers), leads=mailing.count(leads), prospects=mailing.count(prospects))


@guard.purpose(tm.AnyProductGuidance, channel="email").with_use
def advertise(use: Use[tm.AnyProductGuidance], product: str, mailer: Mailer) -> Sent:
    """Marketing with a figure from telemetry: made for improving products, and no personal data once it is made.

    A figure of one device would not pass here: it is product data, which may not serve product guidance.
    """
    figures = telemetry.figures(product)  # an activity of its own, for its own purpose
    leads = repository.lead_contacts()
    mailing = Mailing(use)
    for one in leads:
        _advertise(mailing, one, figures)
    mailer.send(mailing)
    return Sent(leads=mailing.count(leads))


def _advertise(mailing: Mailing[tm.AnyProductGuidance], to: Addressee[tm.AnyProductGuidance], figures: Figures) -> None:
    body = to.name.zip(figures.mean_seconds).map(
        lambda both: f"Dear {both[0]},\n\n{figures.product} takes {both[1]:.1f} seconds for a run."
    )
    mailing.add(to, f"How fast {figures.product} is", body)


def warn_lead(lead_id: int, channel: str, issue: Issue, mailer: Mailer) -> Sent:
    """Warn one lead, by the channel that sales chooses.

    The channel is known only now, so the purpose is entered here and not by a decorator.
    """
    with guard.purpose(tm.WebSecurityMail, channel=channel, activity=f"{__name__}.warn_lead") as use:
        mailing = Mailing(use)
        mailing.to_each([repository.lead_contact(lead_id)], issue.subject, issue.body)
        mailer.send(mailing)
    return Sent(leads=1)
