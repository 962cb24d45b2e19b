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
    """A person to whom a letter goes, whatever the clause under which the shop knows them."""

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

    `Mailing(use)` accepts data that the purpose of the use may see. A type checker refuses addresses and texts that
    were collected for another purpose. Figures that are not personal data may be in any text.
    """

    def __init__(self, use: Use[P_contra]) -> None:
        self.activity = use.activity.name
        self._use = use
        self._letters: list[_Letter[P_contra]] = []

    def add(self, to: Addressee[P_contra], subject: str, body: Personal[str, P_contra | pg.NotPersonal]) -> None:
        self._letters.append(_Letter(to.row, subject, to.email.zip(body)))

    def to_each(self, people: Iterable[Addressee[P_contra]], subject: str, text: str) -> None:
        """Add a letter with the same text for each person, with the person's name above it."""
        for person in people:
            self.add(person, subject, person.name.map(lambda name: f"Dear {name},\n\n{text}"))

    def opened(self) -> list[Message]:
        """Return all letters in plain text, or none if one of them may not be opened.

        Call this only during the use. People who asked, after the lists were read, that the use stop get no letter.
        """
        self._letters = [letter for letter in self._letters if not self._stopped(letter)]
        texts = self._use.open_all(
            [letter.text for letter in self._letters], [letter.whose for letter in self._letters]
        )
        return [Message(to, letter.subject, body) for letter, (to, body) in zip(self._letters, texts, strict=True)]

    def _stopped(self, letter: _Letter[P_contra]) -> bool:
        label = letter.text.label
        return self._use.allows(label) and not self._use.allows(label, subject=letter.whose)

    def count(self, people: Iterable[Addressee[Any]]) -> int:
        """Count the letters to these people."""
        rows = {id(person.row) for person in people}
        return sum(id(letter.whose) in rows for letter in self._letters)


class Mailer(Protocol):
    def send(self, mailing: Mailing[Any], /) -> None:
        """Send all letters of a mailing. Call this within the activity that wrote them."""


class OutboxMailer:
    """A mailer that writes to a table, from which a relay takes mail. Each message names its activity."""

    def send(self, mailing: Mailing[Any], /) -> None:
        # Open all letters before the transaction begins, so that a refusal can be written to the ledger: SQLite allows
        # one writer at a time.
        rows = [
            MailRow(activity=mailing.activity, to=message.to, subject=message.subject, body=message.body)
            for message in mailing.opened()
        ]
        with Session.begin() as session:
            session.add_all(rows)


@dataclass
class MemoryMailer:
    """A mailer for tests that keeps mail in a list."""

    sent: list[Message] = field(default_factory=list[Message])

    def send(self, mailing: Mailing[Any], /) -> None:
        self.sent += mailing.opened()


def outgoing() -> list[Outgoing]:
    """Return how many messages each activity has put into the outbox."""
    counts = (
        select(MailRow.activity, func.count().label("messages")).group_by(MailRow.activity).order_by(MailRow.activity)
    )
    with Session() as session:
        return [Outgoing.model_validate(row) for row in session.execute(counts)]
