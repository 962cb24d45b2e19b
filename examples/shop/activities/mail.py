"""Renewals: reminders by mail. Clause 1.2(1)①."""

from __future__ import annotations

from datetime import date

from examples.shop import repository
from examples.shop.mailer import Mailer, Mailing
from examples.shop.models import Renewal, Sent
from examples.shop.privacy import guard
from purposeguard import Use
from purposeguard.notices import trendmicro_jp as tm


@guard.purpose(tm.RenewalGuidance, channel="email").with_use
def remind_of_renewal(use: Use[tm.RenewalGuidance], due_before: date, mailer: Mailer) -> Sent:
    mailing = Mailing(use)
    due = repository.renewals(due_before)
    for one in due:
        _remind(mailing, one)
    mailer.send(mailing)
    return Sent(customers=mailing.count(due))


def _remind(mailing: Mailing[tm.RenewalGuidance], due: Renewal) -> None:
    # From three sealed values a fourth, of the clauses of all: nobody sees the text before the mail goes out.
    body = due.name.zip(due.product, due.renews_on).map(_reminder)
    mailing.add(due, "Your licence", body)


def _reminder(due: tuple[str, str, date]) -> str:
    name, product, renews_on = due
    return f"Dear {name}, {product} ends on {renews_on:%Y-%m-%d}."
