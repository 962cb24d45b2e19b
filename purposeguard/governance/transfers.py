"""Transfers to other parties (clauses 4 to 6): the register of recipients, and the records of hand-overs.

Facts about a recipient are rows that are added, never changed; together they describe the present recipient. A
hand-over and its ledger entry are recorded in one transaction, before it takes place. Its subjects are recorded by
pseudonyms: the hand-overs of a subject can be found, but the records alone do not tell the subjects.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from pydantic import TypeAdapter

from purposeguard.containers import drop_none
from purposeguard.errors import UnknownRecipient
from purposeguard.governance.group_commit import PATIENCE, GroupCommit
from purposeguard.governance.ledger import entries
from purposeguard.governance.recording import add_ledger_entries, records_elsewhere
from purposeguard.governance.schema import Moment, Serial, metadata
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import check_optional_text
from purposeguard.notice.retention import to_local_day
from purposeguard.notice.vocabulary import find_nearest
from purposeguard.policy.row_context import SubjectId, subject_key
from purposeguard.policy.transfers import LONGEST_TEXT, Provision, Recipient, Safeguard
from purposeguard.runtime.clock import Clock, to_utc

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
"""The facts about recipients, in the order of their recording."""

provision: Final = sa.Table(
    "purposeguard_provision",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("at", Moment, nullable=False, index=True),
    sa.Column("recipient", sa.String(LONGEST_TEXT), nullable=False),
    sa.Column("name", sa.String(LONGEST_TEXT)),
    sa.Column("kind", sa.String(LONGEST_TEXT), nullable=False),
    sa.Column("country", sa.String(2), nullable=False),
    sa.Column("clauses", sa.JSON, nullable=False),
    sa.Column("sources", sa.JSON, nullable=False),
    sa.Column("purpose", sa.String(100)),
    sa.Column("revision", sa.Date, nullable=False),
    sa.Column("activity", sa.Text),
    sa.Column("means", sa.String(LONGEST_TEXT), nullable=False),
    sa.Column("product", sa.Text),
    sa.Column("task", sa.Text),
    sa.Column("subjects", sa.Integer, nullable=False),
)
"""The hand-overs; `subjects` is the number of their subjects."""

provided_subject: Final = sa.Table(
    "purposeguard_provided_subject",
    metadata,
    sa.Column("pseudonym", sa.String(32), primary_key=True),
    sa.Column("provision", sa.ForeignKey(provision.c.id), primary_key=True),
)
"""The subjects of each hand-over."""

INSERT_PROVISIONS: Final = sa.insert(provision).returning(provision.c.id, sort_by_parameter_order=True)
INSERT_SUBJECTS: Final = sa.insert(provided_subject)

SAFEGUARD: Final = TypeAdapter(Safeguard)
"""The adapter that converts safeguards to and from JSON."""

MOST_NAMED: Final = 100
"""The most subjects of a hand-over that the ledger names. If there are more, they are only counted."""


# ---- Recipients ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class RecipientFact:
    """A fact about a recipient, with its time, author and details."""

    at: datetime.datetime
    what: str
    """One of `registered`, `supervised`, `safeguard` (added), `safeguard-ended` and `struck` (off the register)."""
    details: Mapping[str, Any]
    by: str | None
    note: str | None


class Recipients:
    """The register of recipients, which a guard reads at each hand-over.

    Methods raise UnknownRecipient if the recipient is not on the register, and StoreUnavailable if the store cannot be
    used.
    """

    def __init__(
        self, store: Store, *, clock: Clock | None = None, timezone: Callable[[], str] = lambda: "UTC"
    ) -> None:
        """Keep the register in a store; `timezone` returns the time zone in which days are counted."""
        self._store = store
        self._clock = clock or Clock()
        self._timezone = timezone

    def register(self, recipient: Recipient, *, by: str | None = None, note: str | None = None) -> None:
        """Add a recipient to the register, or update it.

        Its safeguards and its supervision are added to those on record; everything else replaces what was recorded. A
        safeguard that was ended stays ended if it is registered again: a new contract has other days.
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
        facts += [("safeguard", _serialize_safeguard(safeguard)) for safeguard in recipient.safeguards]
        self._record(recipient.id, facts, by, note, must_exist=False)

    def supervise(self, recipient: str, on: datetime.date, *, by: str, note: str | None = None) -> None:
        """Record a supervision: its day, its author, and its result as a note (clause 4).

        Raises:
            ValueError: the day is yet to come.
        """
        self._record(recipient, [("supervised", self._supervision(on))], by, note)

    def add_safeguard(
        self, recipient: str, safeguard: Safeguard, *, by: str | None = None, note: str | None = None
    ) -> None:
        """Add a safeguard (clause 6)."""
        self._record(recipient, [("safeguard", _serialize_safeguard(safeguard))], by, note)

    def end_safeguard(
        self, recipient: str, reference: str, until: datetime.date, *, by: str | None = None, note: str | None = None
    ) -> None:
        """Record the last day of a safeguard, found by its reference; for example, of a terminated contract.

        Args:
            recipient: The id of the recipient.
            reference: The reference of the safeguard.
            until: The last day of the safeguard.
            by: Who records it.
            note: A note.

        Raises:
            ValueError: there is no safeguard of this reference, or it begins later.
        """
        safeguards = [candidate for candidate in self.get(recipient).safeguards if candidate.reference == reference]
        if not safeguards:
            raise ValueError("no safeguard of this reference is on record for the recipient")
        for safeguard in safeguards:
            dataclasses.replace(safeguard, until=until)  # raises if it begins later
        self._record(recipient, [("safeguard-ended", {"reference": reference, "until": until.isoformat()})], by, note)

    def strike(self, recipient: str, *, by: str | None = None, note: str | None = None) -> None:
        """Remove a recipient from the register. Nothing may be handed to it any more; its history is kept."""
        self._record(recipient, [("struck", {})], by, note)

    def get(self, recipient: str) -> Recipient:
        """Return a recipient as it is registered now."""
        with self._store.reading() as connection:
            return self._get_registered(connection, recipient)

    def __contains__(self, recipient: str) -> bool:
        with self._store.reading() as connection:
            return _fold_facts(recipient, _select_facts(connection, recipient)) is not None

    def all(self) -> tuple[Recipient, ...]:
        """Return all recipients on the register, by id."""
        with self._store.reading() as connection:
            rows = connection.execute(sa.select(fact).order_by(fact.c.recipient, fact.c.id)).all()
        by_id: dict[str, list[sa.Row[Any]]] = {}
        for row in rows:
            by_id.setdefault(row.recipient, []).append(row)
        registered = (_fold_facts(id_, facts) for id_, facts in by_id.items())
        return tuple(drop_none(registered))

    def history(self, recipient: str) -> tuple[RecipientFact, ...]:
        """Return the facts about a recipient, in the order of their recording, even if it was removed."""
        with self._store.reading() as connection:
            rows = _select_facts(connection, recipient)
            if not rows:
                raise self._make_unknown_error(connection, recipient)
        return tuple(RecipientFact(row.at, row.what, row.body, row.by, row.note) for row in rows)

    def _record(
        self,
        recipient: str,
        facts: Iterable[tuple[str, Mapping[str, Any]]],
        by: str | None,
        note: str | None,
        *,
        must_exist: bool = True,
    ) -> None:
        common = {"recipient": recipient, "at": self._clock.now()}
        common |= {"by": check_optional_text("by", by), "note": check_optional_text("note", note)}
        rows = [{**common, "what": action, "body": body} for action, body in facts]
        with self._store.writing() as connection:
            if must_exist:
                self._get_registered(connection, recipient)
            connection.execute(sa.insert(fact), rows)

    def _supervision(self, on: object) -> dict[str, str]:
        if not isinstance(on, datetime.date) or isinstance(on, datetime.datetime):
            raise TypeError(f"a supervision took place on a date, not on a {type(on).__name__}")
        if on > to_local_day(self._timezone(), self._clock.now()):
            raise ValueError(f"a supervision is recorded when it has taken place, and {on} is yet to come")
        return {"on": on.isoformat()}

    def _get_registered(self, connection: sa.Connection, recipient: str) -> Recipient:
        present = _fold_facts(recipient, _select_facts(connection, recipient))
        if present is None:
            raise self._make_unknown_error(connection, recipient)
        return present

    def _make_unknown_error(self, connection: sa.Connection, recipient: str) -> UnknownRecipient:
        ids = connection.execute(sa.select(fact.c.recipient).distinct()).scalars().all()
        return UnknownRecipient(recipient, "no such recipient is on the register", lambda: find_nearest(recipient, ids))


def _select_facts(connection: sa.Connection, recipient: str) -> list[sa.Row[Any]]:
    return list(connection.execute(sa.select(fact).where(fact.c.recipient == recipient).order_by(fact.c.id)).all())


def _serialize_safeguard(safeguard: Safeguard) -> dict[str, Any]:
    body: dict[str, Any] = SAFEGUARD.dump_python(safeguard, mode="json")
    return body


def _fold_facts(recipient: str, facts: Iterable[sa.Row[Any]]) -> Recipient | None:
    """Return the recipient that these facts describe; None if it is not registered, or no longer."""
    body: Mapping[str, Any] | None = None
    supervised: list[datetime.date] = []
    safeguards: dict[Safeguard, None] = {}
    ended: list[sa.Row[Any]] = []
    for row in facts:
        if row.what == "registered":
            body = row.body
        elif row.what == "supervised":
            supervised.append(_parse_day(row.body["on"]))
        elif row.what == "safeguard":
            safeguard = SAFEGUARD.validate_python(row.body)
            for end in ended if safeguard.until is None else ():
                if safeguard.since <= _parse_day(end.body["until"]):
                    safeguard = _end_safeguard(safeguard, end.body)
            safeguards[safeguard] = None
        elif row.what == "safeguard-ended":
            ended.append(row)
            safeguards = {_end_safeguard(safeguard, row.body): None for safeguard in safeguards}
        else:  # struck: a recipient that returns is supervised, and safeguarded, anew
            body, supervised, safeguards = None, [], {}
    if body is None:
        return None
    return Recipient(recipient, **body, supervised_on=max(supervised, default=None), safeguards=tuple(safeguards))


def _end_safeguard(safeguard: Safeguard, body: Mapping[str, Any]) -> Safeguard:
    if safeguard.reference != body["reference"]:
        return safeguard
    return dataclasses.replace(safeguard, until=_parse_day(body["until"]))


def _parse_day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


# ---- Hand-overs ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class ProvisionRecord:
    """A hand-over on record: its number, its content, and the number of its subjects.

    `provision.subjects` contains only the subject whose records were requested.
    """

    number: int
    provision: Provision
    subjects: int


class _HandOver(NamedTuple):
    """A hand-over that is to be recorded: its row, and its content with the subjects by their keys."""

    row: Mapping[str, Any]
    provision: Provision


class Provisions:
    """The records of hand-overs, and the register of `recipients`. Methods raise StoreUnavailable."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock | None = None,
        ledger: object = None,
        timezone: Callable[[], str] = lambda: "UTC",
    ) -> None:
        """Keep hand-overs in a store and in `ledger`; `timezone` returns the time zone of the notice in force."""
        self._store = store
        self._ledger = ledger
        self._group = GroupCommit(self._record_together, lambda: store.timeout or PATIENCE)
        self.recipients = Recipients(store, clock=clock, timezone=timezone)

    def record(self, handed: Provision) -> int:
        """Record a hand-over durably, and return its number. It may lie outside the application: a disk by courier.

        Raises:
            TypeError, ValueError: its time has no time zone, or a subject is no id.
        """
        keys = tuple(dict.fromkeys(map(subject_key, handed.subjects)))
        row = {field.name: getattr(handed, field.name) for field in dataclasses.fields(handed) if field.name != "_"}
        row |= {"clauses": list(handed.clauses), "sources": list(handed.sources), "subjects": len(keys)}
        row["at"] = to_utc(handed.at)
        hand_over = _HandOver(row, dataclasses.replace(handed, subjects=keys))
        if records_elsewhere(self._ledger, self._store):  # What such a ledger got cannot be undone for the others.
            return self._record_together([hand_over])[0]
        return self._group.write(hand_over)

    def _record_together(self, hand_overs: Sequence[_HandOver]) -> Sequence[int]:
        """Record hand-overs durably, all of them or none. Return their numbers."""
        with self._store.writing() as connection:
            rows = [hand_over.row for hand_over in hand_overs]
            numbers = connection.scalars(INSERT_PROVISIONS, rows).all()
            keys: set[str] = set()
            for hand_over in hand_overs:
                keys.update(hand_over.provision.subjects)
            names = self._store.keys.issue(connection, keys)
            subject_rows: list[dict[str, Any]] = []
            bodies: list[Mapping[str, Any]] = []
            for number, hand_over in zip(numbers, hand_overs, strict=True):
                own_names = [names[key] for key in hand_over.provision.subjects]
                subject_rows += [{"pseudonym": name, "provision": number} for name in own_names]
                body = entries.make_provision_body(
                    hand_over.provision, own_names if len(own_names) <= MOST_NAMED else None
                )
                bodies.append({"provision": number, **body})
            if subject_rows:
                connection.execute(INSERT_SUBJECTS, subject_rows)
            add_ledger_entries(self._ledger, self._store, connection, "provision", bodies)
        return numbers

    def of(self, subject: SubjectId) -> tuple[ProvisionRecord, ...]:
        """Return the hand-overs about one subject, from the first to the last.

        Raises:
            TypeError, ValueError: as `subject_key`.
        """
        key = subject_key(subject)
        with self._store.reading() as connection:
            name = self._store.keys.find_name(connection, key)
        mine = sa.select(provided_subject.c.provision).where(provided_subject.c.pseudonym == name)
        return tuple(self._select(provision.c.id.in_(mine), (key,)))

    def since(self, moment: datetime.datetime, *, recipient: str | None = None) -> tuple[ProvisionRecord, ...]:
        """Return the hand-overs since a moment (to one recipient), oldest first, without their subjects.

        Raises:
            TypeError, ValueError: the moment is no datetime, or has no time zone.
        """
        where = provision.c.at >= to_utc(moment)
        return tuple(self._select(where if recipient is None else where & (provision.c.recipient == recipient), ()))

    def _select(self, where: sa.ColumnElement[bool], subjects: tuple[str, ...]) -> Iterator[ProvisionRecord]:
        statement = sa.select(provision).where(where).order_by(provision.c.id)
        with self._store.reading() as connection:
            rows = connection.execute(statement).mappings().all()
        for row in rows:
            facts = {name: value for name, value in row.items() if name not in {"id", "subjects"}}
            facts |= {"clauses": tuple(facts["clauses"]), "sources": tuple(facts["sources"]), "subjects": subjects}
            yield ProvisionRecord(row["id"], Provision(**facts), row["subjects"])
