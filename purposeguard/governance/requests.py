"""Requests of subjects (clause 7): the record of each, its steps, and what may be done with it in which state."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, cast

import sqlalchemy as sa

from purposeguard.errors import RequestError
from purposeguard.governance.declarations import Person
from purposeguard.governance.schema import Moment, Serial, metadata
from purposeguard.notice.retention import day_in

State = Literal["open", "verified", "fulfilled", "refused", "withdrawn"]
"""`open`: received; `verified`: it is known who asks, and that they may; the others: closed."""

Effect = Literal["discloses", "amends", "stops-use", "deletes", "stops-provision"]
"""What a request changes when it is fulfilled, as the notice has it."""

Did = Literal["opened", "verified", "extended", "fulfilled", "refused", "withdrawn"]
"""What a step did."""

STATES: Final[tuple[State, ...]] = ("open", "verified", "fulfilled", "refused", "withdrawn")
PENDING: Final[frozenset[State]] = frozenset({"open", "verified"})
RESTRICTING: Final[frozenset[Effect]] = frozenset({"stops-use", "deletes", "stops-provision"})
"""The effects that put a restriction in force."""

request: Final = sa.Table(
    "purposeguard_request",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("kind", sa.String(100), nullable=False),
    sa.Column("effect", sa.String(20), nullable=False),
    sa.Column("requester", sa.String(10), nullable=False),
    sa.Column("authority", sa.Text),
    sa.Column("subject", sa.String(200), index=True),
    sa.Column("purposes", sa.JSON(none_as_null=True)),  # clauses; none: every purpose
    sa.Column("revision", sa.Date, nullable=False),  # the notice's, under which it was opened
    sa.Column("received_at", Moment, nullable=False),
    sa.Column("due_on", sa.Date),
    sa.Column("extended", sa.Boolean, nullable=False),
    sa.Column("suspending", sa.Boolean, nullable=False),  # whether use is suspended as long as it is open
    sa.Column("interim", sa.BigInteger),  # the restriction by which it is
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("closed_at", Moment),
    sa.Index(None, "state", "due_on"),
)
"""Each request as it is now."""

step: Final = sa.Table(
    "purposeguard_request_step",
    metadata,
    sa.Column("request", Serial, sa.ForeignKey(request.c.id), primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("by", sa.Text),
    sa.Column("did", sa.String(10), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),  # after it, as all that follows
    sa.Column("due_on", sa.Date),
    sa.Column("closed_at", Moment),
    sa.Column("text", sa.Text),
)
"""What was done with each request, in its order. Added to, never changed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A request of a subject, as it stands.

    `kind` and `effect` are as in the notice's `[rights]`. `subject` is None until it is known whose data it is about;
    `authority` is where an agent's is on record. `purposes` are clauses, None: all. `due_on` is the last day of
    the deadline in the notice's time zone, None where there is none; `extended` says that it was put off.
    `interim` is the restriction that holds as long as the request is open, where one does.
    """

    id: int
    kind: str
    effect: Effect
    requester: Person
    authority: str | None = dataclasses.field(repr=False)
    subject: str | None = dataclasses.field(repr=False)
    purposes: tuple[str, ...] | None
    revision: datetime.date
    received_at: datetime.datetime
    due_on: datetime.date | None
    extended: bool
    suspending: bool
    interim: int | None
    state: State
    closed_at: datetime.datetime | None

    @property
    def pending(self) -> bool:
        """Whether it is yet to be answered."""
        return self.state in PENDING

    def overdue(self, today: datetime.date) -> bool:
        """Whether it should have been answered before this day."""
        return self.pending and self.due_on is not None and self.due_on < today


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """What somebody did with a request, and how the request stood then.

    `text` is what they said of it: how it was verified, what was done, why it was refused or put off.
    """

    request: int
    number: int
    at: datetime.datetime
    by: str | None
    did: Did
    state: State
    due_on: datetime.date | None
    text: str | None = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Overview:
    """How the desk stands at a moment: how many requests of each kind are in each state, and what is to be done.

    `pending` are those yet to be answered, by deadline: overdue ones first, those without one last. `today` is the day
    in the notice's time zone.
    """

    as_of: datetime.datetime
    today: datetime.date
    counts: Mapping[tuple[str, State], int]
    pending: tuple[Request, ...]

    @property
    def overdue(self) -> tuple[Request, ...]:
        """Those that should have been answered before today."""
        return tuple(one for one in self.pending if one.overdue(self.today))


def overview(
    connection: sa.Connection, now: datetime.datetime, as_of: datetime.datetime | None, timezone: str
) -> Overview:
    """How the desk stands now, or stood (will stand, if nothing is done) at a moment."""
    moment = as_of or now
    stood = request if as_of is None or as_of >= now else _as_it_stood(as_of)
    counted = sa.select(stood.c.kind, stood.c.state, sa.func.count()).group_by(stood.c.kind, stood.c.state)
    counts: dict[tuple[str, State], int] = {
        (kind, cast("State", state)): number for kind, state, number in connection.execute(counted)
    }
    rows = connection.execute(sa.select(stood).where(stood.c.state.in_(sorted(PENDING))))
    pending = sorted((made(row) for row in rows), key=_urgency)
    in_order = sorted(counts, key=lambda key: (key[0], STATES.index(key[1])))
    return Overview(
        as_of=moment,
        today=day_in(timezone, moment),
        counts={key: counts[key] for key in in_order},
        pending=tuple(pending),
    )


def _as_it_stood(moment: datetime.datetime) -> sa.Subquery:
    """The requests that there were, each in the state that its last step until then gave it."""
    last = (
        sa.select(step.c.request, sa.func.max(step.c.number).label("number"))
        .where(step.c.at <= moment)
        .group_by(step.c.request)
        .subquery()
    )
    then = {"state", "due_on", "closed_at"}
    return (
        sa.select(*(step.c[one.name] if one.name in then else one for one in request.c))
        .join(last, last.c.request == request.c.id)
        .join(step, (step.c.request == last.c.request) & (step.c.number == last.c.number))
        .subquery()
    )


def _urgency(one: Request) -> tuple[bool, datetime.date, datetime.datetime, int]:
    return one.due_on is None, one.due_on or datetime.date.max, one.received_at, one.id


def found(connection: sa.Connection, *which: sa.ColumnElement[bool], lock: bool = False) -> list[Request]:
    """The requests that meet some conditions, in their order; with `lock`, nobody else changes them meanwhile."""
    query = sa.select(request).where(*which).order_by(request.c.id)
    return [made(row) for row in connection.execute(query.with_for_update() if lock else query)]


def steps(connection: sa.Connection, number: int) -> list[Step]:
    """What was done with a request, in its order."""
    wanted = [step.c[field.name] for field in dataclasses.fields(Step)]
    rows = connection.execute(sa.select(*wanted).where(step.c.request == number).order_by(step.c.number))
    return [Step(*row) for row in rows]


def reasons(connection: sa.Connection, numbers: Iterable[int]) -> dict[int, str | None]:
    """Why requests were refused, of those that were."""
    refused = (step.c.request.in_(list(numbers))) & (step.c.did == "refused")
    rows = connection.execute(sa.select(step.c.request, step.c.text).where(refused))
    return {row.request: row.text for row in rows}


def made(row: Any) -> Request:
    """A row as a request."""
    values: dict[str, Any] = dict(row._mapping)
    if values["purposes"] is not None:
        values["purposes"] = tuple(values["purposes"])
    return Request(**values)


# ---- What may be done in which state ------------------------------------------------------------------------------

MAY: Final[Mapping[Did, frozenset[State]]] = {
    "verified": frozenset({"open"}),
    "extended": PENDING,
    "fulfilled": frozenset({"verified"}),
    "refused": PENDING,
    "withdrawn": PENDING,
}
"""The states in which each step may be taken."""


def must_be_possible(one: Request, did: Did) -> None:
    """Raises RequestError where a step may not be taken in the state that a request is in."""
    if one.state in MAY[did]:
        return
    if not one.pending:
        on = "" if one.closed_at is None else f" on {one.closed_at:%Y-%m-%d}"
        raise impossible(one, did, f"it was {one.state}{on}, and what is closed is not changed", "open a new request")
    if did == "verified":
        raise impossible(one, did, "it is verified already", "fulfil, refuse or extend it")
    advice = f"verify first who asks, `desk.verify({one.id}, how=…, by=…)`"
    raise impossible(one, did, f"it is {one.state}, and only a verified request is fulfilled", advice)


def impossible(one: Request, did: Did, why: str, advice: str) -> RequestError:
    """The error, in one form wherever it comes from: which request, what was to be done, why not, what to do."""
    return RequestError(f"request {one.id} ({one.kind}) cannot be {did}: {why} (help: {advice})")


def number_of(asked: int | Request) -> int:
    """What a request is called by.

    Raises:
        TypeError: it is no number.
        RequestError: no request has such a number.
    """
    if isinstance(asked, Request):
        return asked.id
    if isinstance(asked, bool) or not isinstance(asked, int):
        raise TypeError(f"a request is named by its number, not by {type(asked).__name__}")
    if not 0 < asked < 2**63:
        raise RequestError("there is no request of such a number")
    return asked


def only(those: list[Request], number: int) -> Request:
    """The one that was found.

    Raises:
        RequestError: none was.
    """
    if not those:
        raise RequestError(f"there is no request {number}")
    return those[0]
