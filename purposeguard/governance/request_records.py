"""Requests of subjects (clause 7) as the store keeps them: records, steps, and the steps that each state permits."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

import sqlalchemy as sa

from purposeguard.errors import RequestError
from purposeguard.governance.pseudonyms import get_keys
from purposeguard.governance.restrictions import Kind, Person
from purposeguard.governance.schema import Moment, Serial, metadata
from purposeguard.notice.retention import to_local_day

State = Literal["open", "verified", "fulfilled", "refused", "withdrawn"]
"""The states of a request: `open` (received), `verified` (the author and their authority are known), or closed."""

Effect = Literal["discloses", "amends", "stops-use", "deletes", "stops-provision"]
"""The effect of fulfilling a request, as stated in the notice."""

Did = Literal["opened", "verified", "extended", "fulfilled", "refused", "withdrawn"]
"""The kinds of steps."""

STATES: Final[tuple[State, ...]] = ("open", "verified", "fulfilled", "refused", "withdrawn")
PENDING: Final[frozenset[State]] = frozenset({"open", "verified"})
RESTRICTING: Final[frozenset[Effect]] = frozenset({"stops-use", "deletes", "stops-provision"})
"""The effects that put a restriction in force."""

KIND_OF: Final[dict[str, Kind]] = {
    "stops-use": "suspension-of-use",
    "deletes": "erasure",
    "stops-provision": "stop-of-provision",
}
"""The restriction that each effect puts in force."""

request: Final = sa.Table(
    "purposeguard_request",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("kind", sa.String(100), nullable=False),
    sa.Column("effect", sa.String(20), nullable=False),
    sa.Column("requester", sa.String(10), nullable=False),
    sa.Column("authority", sa.Text),
    sa.Column("pseudonym", sa.String(200), index=True),
    sa.Column("purposes", sa.JSON(none_as_null=True)),  # clauses; none: every purpose
    sa.Column("revision", sa.Date, nullable=False),  # the notice's, under which it was opened
    sa.Column("received_at", Moment, nullable=False),
    sa.Column("due_on", sa.Date),
    sa.Column("extended", sa.Boolean, nullable=False),
    sa.Column("suspending", sa.Boolean, nullable=False),  # whether use is suspended as long as it is open
    sa.Column("interim", sa.BigInteger),  # the restriction that suspends it
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("closed_at", Moment),
    sa.Index(None, "state", "due_on"),
)
"""The requests in their present state."""

step: Final = sa.Table(
    "purposeguard_request_step",
    metadata,
    sa.Column("request", Serial, sa.ForeignKey(request.c.id), primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("by", sa.Text),
    sa.Column("did", sa.String(10), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),  # the state after the step, like the columns that follow
    sa.Column("due_on", sa.Date),
    sa.Column("text", sa.Text),
)
"""The steps of each request. Rows are added, never changed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A request of a subject, in its present state."""

    id: int
    kind: str
    """The id of the request in the notice's `[rights]`."""
    effect: Effect
    """The effect of fulfilling the request, as the notice states it."""
    requester: Person
    authority: str | None = dataclasses.field(repr=False)
    """The reference under which the authority of an agent is on record."""
    subject: str | None = dataclasses.field(repr=False)
    """The subject; None until it is known, and once it is forgotten."""
    purposes: tuple[str, ...] | None
    """The clauses of the purposes that the request is about; None for all."""
    revision: datetime.date
    received_at: datetime.datetime
    due_on: datetime.date | None
    """The last day of the deadline, in the notice's time zone."""
    extended: bool
    """True if the deadline was extended."""
    suspending: bool
    """True if use is suspended while the request is open."""
    interim: int | None
    """The number of the restriction that holds while the request is open."""
    state: State
    closed_at: datetime.datetime | None

    @property
    def pending(self) -> bool:
        """True until the request is answered."""
        return self.state in PENDING

    def overdue(self, today: datetime.date) -> bool:
        """Return True if the request is pending and its deadline was before this day."""
        return self.pending and self.due_on is not None and self.due_on < today


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """A step of a request, and the state after it."""

    request: int
    number: int
    at: datetime.datetime
    by: str | None
    did: Did
    state: State
    due_on: datetime.date | None
    text: str | None = dataclasses.field(repr=False)
    """The clerk's note: how the request was verified, what was done, or why it was refused or extended."""


@dataclasses.dataclass(frozen=True, slots=True)
class Overview:
    """The number of requests by kind and state, and the pending requests by deadline."""

    as_of: datetime.datetime
    today: datetime.date
    """The day in the notice's time zone."""
    counts: Mapping[tuple[str, State], int]
    pending: tuple[Request, ...]

    @property
    def overdue(self) -> tuple[Request, ...]:
        """The pending requests whose deadline has passed."""
        return tuple(pending for pending in self.pending if pending.overdue(self.today))


@dataclasses.dataclass(frozen=True, slots=True)
class RequestListing:
    """A page of requests: pending ones by deadline, then closed ones, the latest first."""

    today: datetime.date
    """The day in the notice's time zone."""
    requests: tuple[Request, ...]
    total: int
    """The number of matching requests on all pages."""
    overdue: int
    """The number of all requests whose deadline has passed."""
    number: int
    """The number of this page, from 1."""
    pages: int


def build_overview(connection: sa.Connection, now: datetime.datetime, timezone: str) -> Overview:
    """Return the overview of the requests at this time."""
    counted = sa.select(request.c.kind, request.c.state, sa.func.count()).group_by(request.c.kind, request.c.state)
    counts: dict[tuple[str, State], int] = {}
    for kind, state, number in connection.execute(counted):
        counts[kind, cast("State", state)] = number
    pending = sorted(select_requests(connection, request.c.state.in_(sorted(PENDING))), key=_urgency_sort_key)
    return Overview(
        as_of=now,
        today=to_local_day(timezone, now),
        counts=dict(sorted(counts.items(), key=_count_sort_key)),
        pending=tuple(pending),
    )


def _count_sort_key(item: tuple[tuple[str, State], int]) -> tuple[str, int]:
    (kind, state), _ = item
    return kind, STATES.index(state)


def _urgency_sort_key(pending: Request) -> tuple[bool, datetime.date, datetime.datetime, int]:
    return pending.due_on is None, pending.due_on or datetime.date.max, pending.received_at, pending.id


def select_requests(connection: sa.Connection, *which: sa.ColumnElement[bool], lock: bool = False) -> list[Request]:
    """Return the requests that meet these conditions.

    With `lock`, nobody else can change them until the transaction ends.
    """
    query = sa.select(request).where(*which).order_by(request.c.id)
    return build_requests(connection, query.with_for_update() if lock else query)


def select_steps(connection: sa.Connection, number: int) -> list[Step]:
    """Return the steps of a request."""
    columns = [step.c[field.name] for field in dataclasses.fields(Step)]
    rows = connection.execute(sa.select(*columns).where(step.c.request == number).order_by(step.c.number))
    return [Step(*row) for row in rows]


def build_requests(connection: sa.Connection, query: sa.Select[Any]) -> list[Request]:
    """Return the rows of a query as requests."""
    rows: list[dict[str, Any]] = list(map(dict, connection.execute(query).mappings()))
    named = {row["pseudonym"] for row in rows} - {None}
    subjects = get_keys(connection).find_subjects(connection, named)
    for row in rows:
        row["subject"] = subjects.get(row.pop("pseudonym"))
        row["purposes"] = None if row["purposes"] is None else tuple(row["purposes"])
    return [Request(**row) for row in rows]


# ---- What may be done in which state ------------------------------------------------------------------------------

MAY: Final[Mapping[Did, frozenset[State]]] = {
    "verified": frozenset({"open"}),
    "extended": PENDING,
    "fulfilled": frozenset({"verified"}),
    "refused": PENDING,
    "withdrawn": PENDING,
}
"""The states that permit each step."""


def possible_steps(asked: Request, today: datetime.date) -> frozenset[Did]:
    """Return the steps that the state of a request permits."""
    did: set[Did] = {did for did, states in MAY.items() if asked.state in states}
    if asked.due_on is None or asked.extended or asked.overdue(today):
        did.discard("extended")
    return frozenset(did)


def require_possible(asked: Request, did: Did) -> None:
    """Check that the state of a request permits a step; otherwise raise RequestError."""
    if asked.state in MAY[did]:
        return
    if not asked.pending:
        on = "" if asked.closed_at is None else f" on {asked.closed_at:%Y-%m-%d}"
        raise make_impossible_error(
            asked, did, f"it was {asked.state}{on}, and what is closed is not changed", "open a new request"
        )
    if did == "verified":
        raise make_impossible_error(asked, did, "it is verified already", "fulfil, refuse or extend it")
    advice = f"verify first who asks, `requests.verify({asked.id}, how=…, by=…)`"
    raise make_impossible_error(asked, did, f"it is {asked.state}, and only a verified request is fulfilled", advice)


def make_impossible_error(asked: Request, did: Did, why: str, advice: str) -> RequestError:
    """Return the error for a step that is not permitted, with the request, the step, the reason and the remedy."""
    return RequestError(f"request {asked.id} ({asked.kind}) cannot be {did}: {why} (help: {advice})")
