"""Renewals: reminders by mail, and what a clerk sees when a customer calls about one. Clause 1.2(1)①."""

from __future__ import annotations

from datetime import date

from examples.shop import repository
from examples.shop.mailer import Mailer, Message
from examples.shop.models import Customer, Sent
from examples.shop.privacy import guard
from purposeguard.notices import trendmicro_jp as tm


@guard.purpose(tm.RenewalGuidance, channel="email")
def remind_of_renewal(due_before: date, mailer: Mailer) -> Sent:
    messages = [
        Message(one.email, "Your licence", f"Dear {one.name}, {one.product} ends on {one.renews_on:%Y-%m-%d}.")
        for one in repository.renewals(due_before)
    ]
    return Sent(customers=mailer.send(messages))


@guard.purpose(tm.RenewalGuidance)
def renewal_card(customer_id: int) -> Customer:
    """For the clerk: registration and contracts. What the products report is withheld."""
    return repository.customer(customer_id)
