"""The register of recipients: who handles data, under which safeguards, supervised when, and by whom it was said.

What is recorded stays: each fact is a row of its own, and the recipient of today is what its rows come to.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa

from purposeguard.errors import UnknownRecipient
from purposeguard.governance.schema import Moment, Serial, metadata
from purposeguard.governance.store import Store
from purposeguard.notice.retention import day_in
from purposeguard.notice.vocabulary import nearest
from purposeguard.policy.transfers import LONGEST_TEXT, Recipient, Safeguard
from purposeguard.runtime.clock import Clock

fact: Final = sa.Table(
    "purposeguard_recipient",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("recipient", sa.String(LONGEST_TEXT), nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("what", sa.String(20), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("by", sa.Text),
    sa.Column("note", sa.Text),
    sa.Index(None, "recipient", "id"),
)
"""What was recorded of recipients, in its order."""

LONGEST_NOTE: Final = 10_000
"""Characters of a note at most."""


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """One fact about a recipient: `what` was recorded of it, when, by whom, and the details.

    `what` is `registered`, `supervised`, `safeguard` (one was added), `safeguard-ended` or `struck` (off the register).
    """

    at: datetime.datetime
    what: str
    details: Mapping[str, Any]
    by: str | None
    note: str | None


class Recipients:
    """The register. A guard asks it for what holds of a recipient at each hand-over.

    Every method that names a recipient raises UnknownRecipient where none of this id is registered, and every one
    StoreUnavailable where the store cannot be used.
    """

    def __init__(
        self, store: Store, *, clock: Clock | None = None, timezone: Callable[[], str] = lambda: "UTC"
    ) -> None:
        """`timezone` gives the time zone in which days are counted."""
        self._store = store
        self._clock = clock or Clock()
        self._timezone = timezone

    def register(self, recipient: Recipient, *, by: str | None = None, note: str | None = None) -> None:
        """Puts a recipient on the register, or what has changed of it.

        Its safeguards are added to those on record, and the day on which it was supervised to its supervisions;
        everything else takes the place of what was recorded before. One that was ended stays so when it is registered
        again as it was: a new contract begins on another day, or says until when it holds.
        """
        body: dict[str, Any] = {
            "kind": recipient.kind,
            "country": recipient.country,
            "name": recipient.name,
            "own_subsidiary": recipient.own_subsidiary,
            "products": sorted(recipient.products),
            "means": recipient.means,
        }
        facts: list[tuple[str, Mapping[str, Any]]] = [("registered", body)]
        if recipient.supervised_on is not None:
            facts.append(("supervised", self._supervision(recipient.supervised_on)))
        facts += [("safeguard", _written(one)) for one in recipient.safeguards]
        self._record(recipient.id, facts, by, note, known=False)

    def supervise(self, recipient: str, on: datetime.date, *, by: str, note: str | None = None) -> None:
        """Records that a recipient was supervised on a day, by whom and with which result (clause 4).

        Raises:
            ValueError: the day is yet to come.
        """
        self._record(recipient, [("supervised", self._supervision(on))], by, note)

    def add_safeguard(
        self, recipient: str, safeguard: Safeguard, *, by: str | None = None, note: str | None = None
    ) -> None:
        """Records another safeguard (clause 6)."""
        self._record(recipient, [("safeguard", _written(safeguard))], by, note)

    def end_safeguard(
        self, recipient: str, reference: str, until: datetime.date, *, by: str | None = None, note: str | None = None
    ) -> None:
        """Records the last day of a safeguard, found by its reference: a contract that was given notice of.

        Raises:
            ValueError: no safeguard of this reference is on record, or it begins later.
        """
        found = [one for one in self.get(recipient).safeguards if one.reference == reference]
        if not found:
            raise ValueError("no safeguard of this reference is on record for the recipient")
        for one in found:
            dataclasses.replace(one, until=until)  # raises where it begins later
        self._record(recipient, [("safeguard-ended", {"reference": reference, "until": until.isoformat()})], by, note)

    def strike(self, recipient: str, *, by: str | None = None, note: str | None = None) -> None:
        """Takes a recipient off the register: nothing may be handed to it. Its history stays."""
        self._record(recipient, [("struck", {})], by, note)

    def get(self, recipient: str) -> Recipient:
        """What holds of a recipient now.

        Raises:
            UnknownRecipient: none of this id is on the register.
        """
        with self._store.reading() as connection:
            return self._present(connection, recipient)

    def __contains__(self, recipient: str) -> bool:
        with self._store.reading() as connection:
            return _folded(recipient, _facts(connection, recipient)) is not None

    def all(self) -> tuple[Recipient, ...]:
        """Everyone on the register, in the order of their ids."""
        with self._store.reading() as connection:
            rows = connection.execute(sa.select(fact).order_by(fact.c.recipient, fact.c.id)).all()
        by_id: dict[str, list[sa.Row[Any]]] = {}
        for row in rows:
            by_id.setdefault(row.recipient, []).append(row)
        found = (_folded(id_, facts) for id_, facts in by_id.items())
        return tuple(one for one in found if one is not None)

    def history(self, recipient: str) -> tuple[Recorded, ...]:
        """Everything that was recorded of a recipient, in its order; of one that was struck off, too.

        Raises:
            UnknownRecipient: nothing ever was.
        """
        with self._store.reading() as connection:
            rows = _facts(connection, recipient)
            if not rows:
                raise self._unknown(connection, recipient)
        return tuple(Recorded(row.at, row.what, row.body, row.by, row.note) for row in rows)

    def _record(
        self,
        recipient: str,
        facts: Iterable[tuple[str, Mapping[str, Any]]],
        by: str | None,
        note: str | None,
        *,
        known: bool = True,
    ) -> None:
        for name, text in (("by", by), ("note", note)):
            if text is not None:
                _must_be_text(name, text)
        at = self._clock.now()
        rows = [
            {"recipient": recipient, "at": at, "what": what, "body": body, "by": by, "note": note}
            for what, body in facts
        ]
        with self._store.writing() as connection:
            if known:
                self._present(connection, recipient)
            connection.execute(sa.insert(fact), rows)

    def _supervision(self, on: datetime.date) -> dict[str, str]:
        _must_be_date(on)
        if on > day_in(self._timezone(), self._clock.now()):
            raise ValueError(f"a supervision is recorded when it has taken place, and {on} is yet to come")
        return {"on": on.isoformat()}

    def _present(self, connection: sa.Connection, recipient: str) -> Recipient:
        found = _folded(recipient, _facts(connection, recipient))
        if found is None:
            raise self._unknown(connection, recipient)
        return found

    def _unknown(self, connection: sa.Connection, recipient: str) -> UnknownRecipient:
        ids = connection.execute(sa.select(fact.c.recipient).distinct()).scalars().all()
        return UnknownRecipient(recipient, "no such recipient is on the register", lambda: nearest(recipient, ids))


def _must_be_text(name: str, given: object) -> None:
    if not isinstance(given, str):
        raise TypeError(f"`{name}` is a text, not {type(given).__name__}")
    if not given.strip() or len(given) > LONGEST_NOTE or "\0" in given:
        raise ValueError(f"`{name}` is a text, not blank, of {LONGEST_NOTE:,} characters at most")


def _must_be_date(given: object) -> None:
    if not isinstance(given, datetime.date) or isinstance(given, datetime.datetime):
        raise TypeError(f"a supervision took place on a date, not on a {type(given).__name__}")


def _facts(connection: sa.Connection, recipient: str) -> list[sa.Row[Any]]:
    return list(connection.execute(sa.select(fact).where(fact.c.recipient == recipient).order_by(fact.c.id)).all())


def _written(safeguard: Safeguard) -> dict[str, Any]:
    return {
        "measure": safeguard.measure,
        "reference": safeguard.reference,
        "since": safeguard.since.isoformat(),
        "until": None if safeguard.until is None else safeguard.until.isoformat(),
    }


def _folded(recipient: str, facts: Iterable[sa.Row[Any]]) -> Recipient | None:
    """The recipient that its facts come to; None where it is not, or no longer, registered."""
    body: Mapping[str, Any] | None = None
    supervised: list[datetime.date] = []
    safeguards: dict[Safeguard, None] = {}
    ended: list[sa.Row[Any]] = []
    for row in facts:
        if row.what == "registered":
            body = row.body
        elif row.what == "supervised":
            supervised.append(_day(row.body["on"]))
        elif row.what == "safeguard":
            days = {name: _day(row.body[name]) for name in ("since", "until") if row.body[name] is not None}
            one = Safeguard(row.body["measure"], row.body["reference"], **days)
            for end in ended if one.until is None else ():
                one = _ended(one, end.body) if one.since <= _day(end.body["until"]) else one
            safeguards[one] = None
        elif row.what == "safeguard-ended":
            ended.append(row)
            safeguards = {_ended(one, row.body): None for one in safeguards}
        else:  # struck: who comes back is supervised, and safeguarded, anew
            body, supervised, safeguards = None, [], {}
    if body is None:
        return None
    return Recipient(recipient, **body, supervised_on=max(supervised, default=None), safeguards=tuple(safeguards))


def _ended(safeguard: Safeguard, body: Mapping[str, Any]) -> Safeguard:
    if safeguard.reference != body["reference"]:
        return safeguard
    return dataclasses.replace(safeguard, until=_day(body["until"]))


def _day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)
