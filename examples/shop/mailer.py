"""Mail: the letters that activities write, and two ways to send them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel
from sqlalchemy import func, select

import purposeguard as pg
from examples.shop.database import MailRow, Session
from examples.shop.models import Outgoing
from purposeguard import Personal, Use

P_co = TypeVar("P_co", bound=pg.Source | pg.Purpose, covariant=True)
P_contra = TypeVar("P_contra", bound=pg.Source | pg.Purpose, contravariant=True)


@dataclass(frozen=True, slots=True)
class Message:
    to: str
    subject: str
    body: str


class Addressee(Protocol[P_co]):
    """A person to whom a letter goes, under any clause by which the shop knows people."""

    @property
    def name(self) -> Personal[str, P_co]: ...
    @property
    def email(self) -> Personal[str, P_co]: ...
    @property
    def row(self) -> BaseModel: ...


@dataclass(frozen=True, slots=True)
class _Letter(Generic[P_contra]):
    whose: BaseModel
    subject: str
    text: Personal[tuple[str, str], P_contra | pg.NotPersonal]


class Mailing(Generic[P_contra]):
    """The letters of one activity, written for its purpose. Names and addresses in them are still sealed.

    `Mailing(use)` accepts only data that the purpose of that use may see. A type checker refuses an address, or a word
    in the text, that was collected for something else. A figure that is not personal data may be in any text.
    """

    def __init__(self, use: Use[P_contra]) -> None:
        self.activity = use.activity.name
        self._use = use
        self._letters: list[_Letter[P_contra]] = []

    def add(self, to: Addressee[P_contra], subject: str, body: Personal[str, P_contra | pg.NotPersonal]) -> None:
        self._letters.append(_Letter(to.row, subject, to.email.zip(body)))

    def to_each(self, people: Iterable[Addressee[P_contra]], subject: str, text: str) -> None:
        """Write the same text to everybody, with their own name above it."""
        for one in people:
            self.add(one, subject, one.name.map(lambda name: f"Dear {name},\n\n{text}"))

    def open_letters(self) -> list[Message]:
        """Open all letters and return them as plain text. Call this only while the use is under way.

        If one letter may not be opened, none is. People who asked the shop to stop, after the lists were read, get no
        letter.
        """
        self._letters = [one for one in self._letters if not self._is_stopped(one)]
        texts = self._use.open_all([one.text for one in self._letters], [one.whose for one in self._letters])
        return [Message(to, one.subject, body) for one, (to, body) in zip(self._letters, texts, strict=True)]

    def _is_stopped(self, letter: _Letter[P_contra]) -> bool:
        """Return True if the person has asked the shop to stop this use of their data."""
        label = letter.text.label
        return self._use.allows(label) and not self._use.allows(label, subject=letter.whose)

    def count(self, people: Iterable[Addressee[Any]]) -> int:
        """Return the number of letters to these people."""
        rows = {id(one.row) for one in people}
        return sum(id(one.whose) in rows for one in self._letters)


class Mailer(Protocol):
    def send(self, mailing: Mailing[Any], /) -> None:
        """Send all letters of a mailing, within the activity that wrote them."""


class OutboxMailer:
    """A mailer that writes to a table, from which a relay sends the mail. Each message names its activity."""

    def send(self, mailing: Mailing[Any], /) -> None:
        # All letters are opened before the transaction begins. SQLite allows one writer at a time, and a refusal must
        # be written to the ledger.
        rows = [
            MailRow(activity=mailing.activity, to=mail.to, subject=mail.subject, body=mail.body)
            for mail in mailing.open_letters()
        ]
        with Session.begin() as session:
            session.add_all(rows)


@dataclass
class MemoryMailer:
    """A mailer that keeps mail in a list, for tests."""

    sent: list[Message] = field(default_factory=list[Message])

    def send(self, mailing: Mailing[Any], /) -> None:
        self.sent += mailing.open_letters()


def outgoing() -> list[Outgoing]:
    """Return the number of messages in the outbox, by activity."""
    counts = (
        select(MailRow.activity, func.count().label("messages")).group_by(MailRow.activity).order_by(MailRow.activity)
    )
    with Session() as session:
        return [Outgoing.model_validate(row) for row in session.execute(counts)]
