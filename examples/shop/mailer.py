"""Sending mail: what activities need of it, and two that do it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import func, select

from examples.shop.database import MailRow, Session
from examples.shop.models import Outgoing
from examples.shop.privacy import guard


@dataclass(frozen=True, slots=True)
class Message:
    to: str
    subject: str
    body: str


class Mailer(Protocol):
    def send(self, messages: Iterable[Message]) -> int:
        """Sends them all and says how many they were."""


class OutboxMailer:
    """Writes mail to a table, from which a relay takes it. Each message says which activity sent it."""

    def send(self, messages: Iterable[Message]) -> int:
        # Raises PurposeMissing outside any activity: mail that nobody can answer for is not sent.
        activity = guard.current.activity.name
        # All data is read before the transaction begins, so that a refusal can be written to the ledger meanwhile:
        # SQLite lets one write at a time.
        rows = [MailRow(activity=activity, to=one.to, subject=one.subject, body=one.body) for one in messages]
        with Session.begin() as session:
            session.add_all(rows)
        return len(rows)


@dataclass
class MemoryMailer:
    """Keeps mail in a list, for tests."""

    sent: list[Message] = field(default_factory=list)

    def send(self, messages: Iterable[Message]) -> int:
        new = list(messages)
        self.sent += new
        return len(new)


def outgoing() -> list[Outgoing]:
    """How many messages each activity has put into the outbox."""
    counts = (
        select(MailRow.activity, func.count().label("messages")).group_by(MailRow.activity).order_by(MailRow.activity)
    )
    with Session() as session:
        return [Outgoing.model_validate(row) for row in session.execute(counts)]
