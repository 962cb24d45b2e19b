"""Records of provision: what was handed to whom, and when, found by the subjects whom it was about (clauses 4 to 6).

A hand-over and its entry in the ledger are recorded in one transaction, before it takes place. Subjects are kept by
their digest alone: who asks about one finds its hand-overs, and nobody reads out of the records whom they were about.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, Protocol

import sqlalchemy as sa

from purposeguard.governance.ledger import entries
from purposeguard.governance.register import Recipients
from purposeguard.governance.schema import Moment, Serial, metadata
from purposeguard.governance.store import Store
from purposeguard.policy.row_context import SubjectId, subject_key
from purposeguard.policy.transfers import LONGEST_TEXT, Provision
from purposeguard.runtime.clock import Clock, in_utc

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
"""Hand-overs; `subjects` says about how many."""

provided_subject: Final = sa.Table(
    "purposeguard_provided_subject",
    metadata,
    sa.Column("subject", sa.String(32), primary_key=True),
    sa.Column("provision", sa.ForeignKey(provision.c.id), primary_key=True),
)
"""Whom each hand-over was about, by digest."""

AT_A_TIME: Final = 5_000
"""Subjects that go to the database at a time."""

ONE_BY_ONE: Final = 100
"""Subjects of one hand-over that the ledger names, by digest, at most; of more it is told how many."""


class Appends(Protocol):
    """A ledger in the same store."""

    def append_in(self, connection: sa.Connection, kind: str, body: Mapping[str, Any], /) -> object:
        """Adds an entry within a transaction."""


@dataclasses.dataclass(frozen=True, slots=True)
class ProvisionRecord:
    """A hand-over on record: its number, what was handed over, and about how many subjects.

    `provision.subjects` is whom the records were searched for, and nobody else.
    """

    number: int
    provision: Provision
    subjects: int


class Provisions:
    """Hand-overs on record, and the register of `recipients`.

    Every method raises StoreUnavailable where the store cannot be used.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock | None = None,
        ledger: Appends | None = None,
        timezone: Callable[[], str] = lambda: "UTC",
    ) -> None:
        """`ledger` is told of each hand-over in the same transaction; `timezone` is that of the notice in force."""
        self._store = store
        self._ledger = ledger
        self.recipients = Recipients(store, clock=clock, timezone=timezone)

    def record(self, given: Provision) -> int:
        """Records a hand-over, durably; gives its number. Also for one that no function makes: a disk by courier.

        Raises:
            TypeError, ValueError: its time has no time zone, or a subject is no id.
        """
        keys = dict.fromkeys(map(subject_key, given.subjects))
        row = {field.name: getattr(given, field.name) for field in dataclasses.fields(given) if field.name != "_"}
        row |= {"clauses": list(given.clauses), "sources": list(given.sources), "subjects": len(keys)}
        row["at"] = in_utc(given.at)
        with self._store.writing() as connection:
            number: int = connection.execute(sa.insert(provision).values(row).returning(provision.c.id)).scalar_one()
            digests = map(self._store.digest, keys)
            while rows := [{"subject": one, "provision": number} for one in islice(digests, AT_A_TIME)]:
                connection.execute(sa.insert(provided_subject), rows)
            if self._ledger is not None:
                self._ledger.append_in(connection, "provision", self._entry(number, given, keys))
        return number

    def _entry(self, number: int, given: Provision, keys: Mapping[str, None]) -> dict[str, Any]:
        digests = list(map(self._store.digest, keys)) if len(keys) <= ONE_BY_ONE else None
        return {"provision": number, **entries.provision(dataclasses.replace(given, subjects=tuple(keys)), digests)}

    def of(self, subject: SubjectId) -> tuple[ProvisionRecord, ...]:
        """The hand-overs about one subject, from the first to the last.

        Raises:
            TypeError, ValueError: as `subject_key`.
        """
        key = subject_key(subject)
        mine = sa.select(provided_subject.c.provision).where(provided_subject.c.subject == self._store.digest(key))
        return tuple(self._found(provision.c.id.in_(mine), (key,)))

    def since(self, moment: datetime.datetime, *, recipient: str | None = None) -> tuple[ProvisionRecord, ...]:
        """The hand-overs from a moment on (to one recipient), from the first to the last; their subjects are not named.

        Raises:
            TypeError, ValueError: the moment is none, or has no time zone.
        """
        where = provision.c.at >= in_utc(moment)
        return tuple(self._found(where if recipient is None else where & (provision.c.recipient == recipient), ()))

    def _found(self, where: sa.ColumnElement[bool], subjects: tuple[str, ...]) -> Iterator[ProvisionRecord]:
        statement = sa.select(provision).where(where).order_by(provision.c.id)
        with self._store.reading() as connection:
            rows = connection.execute(statement).mappings().all()
        for row in rows:
            facts = {name: value for name, value in row.items() if name not in {"id", "subjects"}}
            facts |= {"clauses": tuple(facts["clauses"]), "sources": tuple(facts["sources"]), "subjects": subjects}
            yield ProvisionRecord(row["id"], Provision(**facts), row["subjects"])
