"""Taking the steps of a request within one transaction, together with what comes of them, and telling the ledger.

The order in which things are locked is the same everywhere: the request, then the standing of its subject, then the
ledger.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any, Final, Protocol, cast, runtime_checkable

import sqlalchemy as sa

from purposeguard.errors import RequestError
from purposeguard.governance.declarations import Kind, Restriction
from purposeguard.governance.requests import Did, Request, found, impossible, number_of, only, request, step
from purposeguard.governance.subjects import Subjects, ToldWithin

KIND_OF: Final[dict[str, Kind]] = {
    "stops-use": "suspension-of-use",
    "deletes": "erasure",
    "stops-provision": "stop-of-provision",
}
"""The restriction that each effect is."""


@runtime_checkable
class ToldOfRequests(Protocol):
    """A ledger that is told of requests and kept somewhere else than in the store."""

    def requested(self, subject: str | None, details: dict[str, Any], /) -> None:
        """Told before it is done. `subject` is the store's digest of it; what is raised here undoes the step."""


class Steps:
    """What a desk does with a request, in a transaction of `store.writing()`."""

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects

    def locked(self, connection: sa.Connection, asked: int | Request) -> Request:
        """A request that nobody else changes until the transaction ends."""
        number = number_of(asked)
        return only(found(connection, request.c.id == number, lock=True), number)

    def take(self, connection: sa.Connection, after: Request, did: Did, *, by: str | None, said: str | None) -> Request:
        """Takes a step, `after` which the request is as given: keeps it so, notes the step, tells the ledger."""
        now = self._subjects.clock.now()
        if not after.pending:
            after = dataclasses.replace(after, closed_at=now)
        values = dataclasses.asdict(after)
        connection.execute(sa.update(request).where(request.c.id == values.pop("id")).values(values))
        self._note(connection, after, did, {"at": now, "by": by, "text": said})
        return after

    def _note(self, connection: sa.Connection, one: Request, did: Did, noted: dict[str, Any]) -> None:
        number = sa.select(sa.func.count() + 1).where(step.c.request == one.id).scalar_subquery()
        stands = {"state": one.state, "due_on": one.due_on, "closed_at": one.closed_at}
        connection.execute(sa.insert(step).values(request=one.id, number=number, did=did, **stands, **noted))
        self._tell(connection, one, did)

    def _tell(self, connection: sa.Connection, one: Request, did: Did) -> None:
        """Tells the ledger. Nothing that a clerk wrote, nor who that was, goes there."""
        ledger = self._subjects.ledger
        if ledger is None:
            return
        digest = None if one.subject is None else self._subjects.store.digest(one.subject)
        details: dict[str, Any] = {
            "did": did,
            "request": one.id,
            "kind": one.kind,
            "requester": one.requester,
            "purposes": None if one.purposes is None else list(one.purposes),
            "revision": one.revision.isoformat(),
            "due_on": None if one.due_on is None else one.due_on.isoformat(),
            "state": one.state,
        }
        if isinstance(ledger, ToldWithin) and ledger.store is self._subjects.store:
            ledger.append_in(connection, "request", {"subject": digest, **details})
        elif isinstance(ledger, ToldOfRequests):
            ledger.requested(digest, details)

    def restrict(self, connection: sa.Connection, one: Request, kind: Kind) -> Restriction:
        """Puts what was asked for in force."""
        left = None
        if one.purposes is not None:
            known = {purpose.clause for purpose in self._subjects.notice.purposes}
            now = [self._subjects.clause_now(clause, one.revision) for clause in one.purposes]
            left = [clause for clause in now if clause in known]
            if not left:
                why = f"the revision of {self._subjects.notice.revision} has none of the purposes that it is about"
                raise impossible(one, "fulfilled", why, "refuse it for that reason; data serves none of them")
        return self._subjects.restrict(
            cast("str", one.subject),
            left,
            kind=kind,
            by=one.requester,
            at=one.received_at,
            request=one.id,
            within=connection,
        )

    def suspended(self, connection: sa.Connection, one: Request) -> int | None:
        """The restriction that holds as long as a request is open, put in force where it is known for whom.

        Before the step is noted, as everything that changes a subject's standing: its lock comes before the ledger's.
        """
        if not one.suspending or one.interim is not None or one.subject is None:
            return one.interim
        return self.restrict(
            connection, one, "stop-of-provision" if one.effect == "stops-provision" else "suspension-of-use"
        ).id

    def lift_interim(self, connection: sa.Connection, one: Request) -> None:
        """Ends the restriction that holds as long as a request is open."""
        if one.interim is not None:
            with contextlib.suppress(RequestError):  # it was lifted by hand
                self._subjects.lift(one.interim, by=one.requester, request=one.id, within=connection)
