"""Newsletters to people whose addresses came by three ways: one family of purposes, one function.

The notice states the same goal in three clauses, one for each way. A family is their union: it may use data of each
source that some clause in it may use. Two of the three name their channels, so the channel is stated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel

from examples.shop import repository
from examples.shop.mailer import Mailer, Message
from examples.shop.models import Sent
from examples.shop.privacy import guard
from purposeguard.notices import trendmicro_jp as tm


class Issue(BaseModel):
    """One issue of a newsletter, as the editors wrote it."""

    subject: str
    body: str


class Contact(Protocol):
    """Whom a newsletter goes to, wherever the address came from."""

    @property
    def name(self) -> str: ...
    @property
    def email(self) -> str: ...


@guard.purpose(tm.AnySecurityInformation, channel="email")
async def send_security_newsletter(issue: Issue, mailer: Mailer) -> Sent:
    """Reads the three lists at the same time, each in a thread of its own.

    A thread has no purpose but the one that is carried to it.
    """
    customers, leads, prospects = await asyncio.gather(
        asyncio.to_thread(guard.carry(repository.customer_contacts)),
        asyncio.to_thread(guard.carry(repository.lead_contacts)),
        asyncio.to_thread(guard.carry(repository.prospect_contacts)),
    )
    send = guard.carry(mailer.send)
    return Sent(
        customers=await asyncio.to_thread(send, _addressed(issue, customers)),
        leads=await asyncio.to_thread(send, _addressed(issue, leads)),
        prospects=await asyncio.to_thread(send, _addressed(issue, prospects)),
    )


@guard.purpose(tm.AnyProductGuidance, channel="email")
def send_product_newsletter(issue: Issue, mailer: Mailer) -> Sent:
    return Sent(
        customers=mailer.send(_addressed(issue, repository.customer_contacts())),
        leads=mailer.send(_addressed(issue, repository.lead_contacts())),
        prospects=mailer.send(_addressed(issue, repository.prospect_contacts())),
    )


def warn_lead(lead_id: int, channel: str, issue: Issue, mailer: Mailer) -> Sent:
    """A warning to one lead, by the channel that sales asks for.

    The channel is known only now, so the purpose is entered here and not by a decorator.
    """
    with guard.purpose(tm.WebSecurityMail, channel=channel, activity=f"{__name__}.warn_lead"):
        return Sent(leads=mailer.send(_addressed(issue, [repository.lead_contact(lead_id)])))


def _addressed(issue: Issue, contacts: Sequence[Contact]) -> list[Message]:
    return [Message(one.email, issue.subject, f"Dear {one.name},\n\n{issue.body}") for one in contacts]
