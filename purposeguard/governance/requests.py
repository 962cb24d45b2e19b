"""Handling requests of subjects and their agents (clause 7), from receipt to answer.

Locks are taken in the same order everywhere: the request, then the preferences of its subject, then the ledger.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, Literal, Protocol, cast

import sqlalchemy as sa

from purposeguard.errors import RequestError, format_id
from purposeguard.governance.disclosure_page import Disclosure, Language
from purposeguard.governance.recording import add_ledger_entry
from purposeguard.governance.request_records import (
    KIND_OF,
    PENDING,
    RESTRICTING,
    STATES,
    Did,
    Overview,
    Request,
    RequestListing,
    State,
    Step,
    build_overview,
    build_requests,
    make_impossible_error,
    request,
    require_possible,
    select_requests,
    select_steps,
    step,
)
from purposeguard.governance.restrictions import Kind, Person, Restriction
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects, check_optional_text, check_text, number_of, resolve_clauses
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import to_local_day
from purposeguard.notice.schema import Right, index_by_id
from purposeguard.notice.vocabulary import find_nearest, list_term_ids
from purposeguard.policy.row_context import SubjectId, subject_key
from purposeguard.runtime.clock import to_utc

LONGEST_PERIOD = 3_660
"""The most days of a deadline."""


OPENING_LOCK: Final = 0x7075_7270_6F73_6532
"""The advisory lock on PostgreSQL for requests that are opened once."""


class DisclosureMaker(Protocol):
    """A function that makes the report which answers a request for disclosure."""

    def __call__(self, asked: Request, /, *, by: str, language: Language, values: bool) -> Disclosure:
        """Return the report about the subject of a verified request; `by` is the clerk."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A fulfilled request and its result: a report, or a restriction that is in force."""

    request: Request
    report: Disclosure | None = None
    restriction: Restriction | None = None


class Requests:
    """The handling of requests: they are received, verified, and fulfilled or refused, within the notice's deadline.

    A request goes from open to verified to fulfilled; until then it may be refused or withdrawn. Every step is recorded
    with its clerk and their note, and in the ledger without the note.

    Methods that take a step accept `after`, the number of the last step that the clerk has seen. If there is a later
    step, they refuse.

    Raises, in each method:
        RequestError: there is no such request, or its state does not permit the step; nothing has changed.
        StoreUnavailable: the store cannot be used; nothing has changed.
        TypeError, ValueError: a text is blank; a moment has no time zone; a subject is no id.
    """

    def __init__(
        self,
        subjects: Subjects,
        *,
        days: int | None = None,
        suspend_while_open: bool = False,
        disclose: DisclosureMaker | None = None,
    ) -> None:
        """Use the store, notice, clock and ledger of `subjects`.

        Args:
            subjects: The restrictions and consents.
            days: The deadline in days, in place of the notice's.
            suspend_while_open: True to stop what a request would stop until it is answered.
            disclose: Makes the reports.
        """
        self.subjects = subjects
        self.suspend_while_open = suspend_while_open
        self.disclose = disclose
        self._days = None if days is None else _check_period(days)

    @property
    def store(self) -> Store:
        """The store."""
        return self.subjects.store

    @property
    def notice(self) -> Notice:
        """The notice in force."""
        return self.subjects.notice

    @property
    def days(self) -> int | None:
        """The deadline in days, if one is stated."""
        rights = self.notice.document.rights
        return self._days if self._days is not None or rights is None else rights.days

    # ---- Receiving, verifying -------------------------------------------------------------------------------------

    def open(  # noqa: PLR0913  # One keyword for each entry of the register.
        self,
        kind: str,
        *,
        subject: SubjectId | None = None,
        requester: Person = "subject",
        authority: str | None = None,
        purposes: object = None,
        received_at: datetime.datetime | None = None,
        by: str | None = None,
        note: str | None = None,
        suspend_while_open: bool | None = None,
        once: bool = False,
    ) -> Request:
        """Record a request. Its deadline is counted from the day of `received_at`.

        Args:
            kind: The kind of the request, which the notice must grant.
            subject: The subject. May also be named when the request is verified.
            requester: The author of the request: the subject or an agent.
            authority: The reference under which the authority of an agent is on record.
            purposes: The purpose or purposes for which use is to be suspended; None for all.
            received_at: The time at which the request was received, which may not lie in the future; now by default.
            by: The clerk.
            note: The clerk's note.
            suspend_while_open: True to stop at once what the request would stop, until it is answered. For a request
                for erasure, use is stopped.
            once: True to return an earlier request instead, if the same clerk opened it with the same values and the
                same `received_at`. State `received_at` with it: now is another time at each call.

        Raises:
            UnknownPurpose: the notice has no such purpose.
        """
        right = self._find_right(kind)
        self._require_requester(requester, authority)
        if purposes is not None and right.effect != "stops-use":
            raise RequestError(f"a request for {right.id} is for all purposes: only use is suspended for some")
        is_suspending = self._is_suspending(right, suspend_while_open)
        now = self.subjects.clock.now()
        received = now if received_at is None else to_utc(received_at)
        if received > now:
            raise ValueError("`received_at` lies in the future")
        values: dict[str, Any] = {
            "kind": right.id,
            "effect": right.effect,
            "requester": requester,
            "authority": check_optional_text("authority", authority),
            "subject": None if subject is None else subject_key(subject),
            "purposes": None if purposes is None else resolve_clauses(self.notice, purposes),
            "revision": self.notice.revision,
            "received_at": received,
            "due_on": None if self.days is None else self._to_local_day(received) + datetime.timedelta(days=self.days),
            "extended": False,
            "suspending": is_suspending,
            "state": "open",
        }
        clerk, text = check_optional_text("by", by), check_optional_text("note", note)
        with self.store.writing() as connection:
            duplicate = self._find_duplicate(connection, values, by=clerk, text=text) if once else None
            if duplicate is not None:
                return duplicate
            # The table names subjects by pseudonyms only.
            values["pseudonym"] = self._pseudonym(connection, values.pop("subject"))
            number = connection.execute(sa.insert(request).values(values).returning(request.c.id)).scalar_one()
            opened = self._suspend(connection, self._select(connection, number))
            return self._take_step(connection, opened, "opened", by=clerk, text=text)

    def _require_requester(self, requester: str, authority: str | None) -> None:
        """Raise RequestError if the notice takes no requests from this author, or they have an authority they need not.

        Args:
            requester: The author of the request: the subject or an agent.
            authority: The reference under which the authority of an agent is on record.
        """
        rights = self.notice.document.rights
        requesters: tuple[str, ...] = () if rights is None else rights.requesters
        if requester not in requesters:
            raise RequestError(
                f"the notice takes requests from {' or '.join(requesters)}, not "
                f"{format_id(requester, (*requesters, 'agent'))}"
            )
        if authority is not None and requester != "agent":
            raise RequestError('only an agent acts by an authority (help: `requester="agent"`)')

    def _is_suspending(self, right: Right, suspend_while_open: bool | None) -> bool:
        """Return True if a request stops at once what it would stop, as stated for it or for all requests."""
        if right.effect in RESTRICTING:
            return self.suspend_while_open if suspend_while_open is None else suspend_while_open
        if suspend_while_open:
            raise RequestError(f"a request for {right.id} stops nothing, so nothing can be suspended while it is open")
        return False

    def verify(
        self,
        asked: int | Request,
        *,
        how: str,
        by: str,
        subject: SubjectId | None = None,
        authority: str | None = None,
        after: int | None = None,
    ) -> Request:
        """Record how the author and their authority were verified, and the subject if it was not named before.

        Args:
            asked: The request, or its number.
            how: How they were verified.
            by: The clerk.
            subject: The subject, if it was not named before.
            authority: The reference under which the authority of an agent is on record.
            after: The number of the last step that the clerk has seen.

        Raises:
            RequestError: also if the subject, or the authority of an agent, is still unknown.
        """
        key = None if subject is None else subject_key(subject)
        text, clerk, by_authority = (
            check_text("how", how),
            check_text("by", by),
            check_optional_text("authority", authority),
        )
        with self.store.writing() as connection:
            pending = self._lock(connection, asked, after)
            require_possible(pending, "verified")
            why: str | None = None
            advice = ""
            if key is not None and pending.subject not in (None, key):
                why, advice = "it is about another subject", "see who asked; else open a new request"
            elif key is None and pending.subject is None:
                why, advice = "nobody said whose data it is about", "name the person, `subject=…`"
            elif by_authority is not None and pending.requester != "agent":
                why, advice = "no agent asked", "leave out `authority`, or open a new request"
            elif pending.requester == "agent" and by_authority is None and pending.authority is None:
                why, advice = "an agent asked, and no authority is on record", "say where theirs is, `authority=…`"
            if why is not None:
                raise make_impossible_error(pending, "verified", why, advice)
            verified = dataclasses.replace(
                pending, state="verified", subject=key or pending.subject, authority=by_authority or pending.authority
            )
            return self._take_step(connection, self._suspend(connection, verified), "verified", by=clerk, text=text)

    def extend(
        self,
        asked: int | Request,
        *,
        reason: str,
        by: str,
        days: int,
        after: int | None = None,
    ) -> Request:
        """Extend the deadline, once, by this number of days.

        Args:
            asked: The request, or its number.
            reason: The reason for the extension.
            by: The clerk.
            days: The number of days.
            after: The number of the last step that the clerk has seen.

        Raises:
            RequestError: also if the deadline was extended before, has passed, or is not set.
        """
        text, clerk = check_text("reason", reason), check_text("by", by)
        more = datetime.timedelta(days=_check_period(days))
        with self.store.writing() as connection:
            pending = self._lock(connection, asked, after)
            require_possible(pending, "extended")
            due_on = pending.due_on
            if due_on is None:
                raise make_impossible_error(
                    pending, "extended", "it has no deadline", "state `[rights] days` in the notice"
                )
            if pending.extended:
                why = "its deadline was put off before, and that is done once"
                raise make_impossible_error(pending, "extended", why, "answer it")
            if pending.overdue(self._to_local_day(self.subjects.clock.now())):
                raise make_impossible_error(pending, "extended", f"its deadline passed on {due_on}", "answer it")
            extended = dataclasses.replace(pending, due_on=due_on + more, extended=True)
            return self._take_step(connection, extended, "extended", by=clerk, text=text)

    # ---- Answering ------------------------------------------------------------------------------------------------

    def fulfil(
        self,
        asked: int | Request,
        *,
        by: str,
        done: str | None = None,
        language: Language = "en",
        values: bool = False,
        after: int | None = None,
    ) -> Answer:
        """Do what was asked for, and close the request.

        A request that stops use or provision, or asks for erasure, becomes a restriction, which is in force when this
        returns. A disclosure is a report, in a `language`, with the `values` or without. For a correction, an addition
        or a deletion, state in `done` what the application has done.

        Args:
            asked: The request, or its number.
            by: The clerk.
            done: What the application has done.
            language: The language of a report.
            values: True to show the values in a report too.
            after: The number of the last step that the clerk has seen.

        Raises:
            RequestError: also if it was answered meanwhile, or the notice has none of its purposes any more.
        """
        clerk, text = check_text("by", by), check_optional_text("done", done)
        verified = self.get(asked)
        self._require_fulfillable(verified, text)
        disclosed = None
        if verified.effect == "discloses" and self.disclose is not None:
            # The report is made before the transaction, because it may take long and may fail.
            disclosed = self.disclose(verified, by=clerk, language=language, values=values)
        with self.store.writing() as connection:
            verified = self._lock(connection, asked, after)
            self._require_fulfillable(verified, text)
            kind = KIND_OF.get(verified.effect)
            restriction = None if kind is None else self._restrict(connection, verified, kind)
            closed = self._close(connection, verified, "fulfilled", by=clerk, text=text)
        return Answer(closed, disclosed, restriction)

    def refuse(self, asked: int | Request, *, reason: str, by: str, after: int | None = None) -> Request:
        """Close a request that is not fulfilled. The person reads the `reason`, also in their report."""
        clerk, text = check_text("by", by), check_text("reason", reason)
        with self.store.writing() as connection:
            return self._close(connection, self._lock(connection, asked, after), "refused", by=clerk, text=text)

    def withdraw(
        self, asked: int | Request, *, by: str, reason: str | None = None, after: int | None = None
    ) -> Request:
        """Close a request that its author has taken back."""
        clerk, text = check_text("by", by), check_optional_text("reason", reason)
        with self.store.writing() as connection:
            return self._close(connection, self._lock(connection, asked, after), "withdrawn", by=clerk, text=text)

    # ---- Looking --------------------------------------------------------------------------------------------------

    def get(self, asked: int | Request) -> Request:
        """Return a request, in its present state."""
        with self.store.reading() as connection:
            return self._select(connection, asked)

    def of(self, subject: SubjectId) -> tuple[Request, ...]:
        """Return the requests about a subject, from the first to the last; none about an unknown one."""
        key = subject_key(subject)
        with self.store.reading() as connection:
            name = self.store.keys.find_known(connection, [key]).names.get(key)
            return () if name is None else tuple(select_requests(connection, request.c.pseudonym == name))

    def steps(self, asked: int | Request) -> tuple[Step, ...]:
        """Return the steps of a request."""
        number = self.get(asked).id
        with self.store.reading() as connection:
            return tuple(select_steps(connection, number))

    def reasons(self, requests: Iterable[Request]) -> dict[int, str | None]:
        """Return the reasons of the refusals among these requests, by number."""
        refused = [asked.id for asked in requests if asked.state == "refused"]
        query = sa.select(step.c.request, step.c.text).where(step.c.request.in_(refused), step.c.did == "refused")
        with self.store.reading() as connection:
            return {row.request: row.text for row in connection.execute(query)}

    def overview(self) -> Overview:
        """Return the number of requests by kind and state, and those to be answered, overdue ones first."""
        with self.store.reading() as connection:
            return build_overview(connection, self.subjects.clock.now(), self.notice.document.timezone)

    def listing(
        self,
        *,
        kind: str | None = None,
        states: Collection[State] = STATES,
        number: int = 1,
        size: int = 50,
    ) -> RequestListing:
        """Return a page of the requests of a kind (None: any) in these states, the most urgent first.

        A page has `size` requests. If there are fewer pages than `number`, return the last page.
        """
        if number < 1 or size < 1:
            raise ValueError("pages are counted from 1, and have room for a request")
        today = self._to_local_day(self.subjects.clock.now())
        conditions = [request.c.state.in_(sorted(states)), *([] if kind is None else [request.c.kind == kind])]
        late = [request.c.state.in_(sorted(PENDING)), request.c.due_on < today]
        count = sa.select(sa.func.count()).select_from(request)
        in_order = (
            request.c.closed_at.is_not(None),
            request.c.closed_at.desc(),
            request.c.due_on.is_(None),
            *(request.c.due_on, request.c.received_at, request.c.id),
        )
        with self.store.reading() as connection:
            total = connection.execute(count.where(*conditions)).scalar_one()
            pages = max(1, -(-total // size))
            number = min(number, pages)
            query = sa.select(request).where(*conditions).order_by(*in_order).limit(size).offset((number - 1) * size)
            requests = tuple(build_requests(connection, query))
            return RequestListing(
                today, requests, total, connection.execute(count.where(*late)).scalar_one(), number, pages
            )

    # ---- Steps, within a transaction ------------------------------------------------------------------------------

    def _select(self, connection: sa.Connection, asked: int | Request, *, lock: bool = False) -> Request:
        number = asked.id if isinstance(asked, Request) else number_of("request", asked)
        rows = select_requests(connection, request.c.id == number, lock=lock)
        if not rows:
            raise RequestError(f"there is no request {number}")
        return rows[0]

    def _lock(self, connection: sa.Connection, asked: int | Request, after: int | None = None) -> Request:
        """Return a request, locked until the transaction ends."""
        locked = self._select(connection, asked, lock=True)
        if after is not None:
            taken = connection.execute(sa.select(sa.func.count()).where(step.c.request == locked.id)).scalar_one()
            if taken != after:
                raise RequestError(
                    f"request {locked.id} ({locked.kind}) has moved on: its last step is {taken}, and {after} was the "
                    "last that was seen (help: look at it again)"
                )
        return locked

    def _take_step(
        self, connection: sa.Connection, after: Request, did: Did, *, by: str | None, text: str | None
    ) -> Request:
        """Take the step to the state `after`: store it, note the step, and record it in the ledger."""
        now = self.subjects.clock.now()
        if not after.pending:
            after = dataclasses.replace(after, closed_at=now)
        values = dataclasses.asdict(after)
        values["pseudonym"] = name = self._pseudonym(connection, values.pop("subject"))
        connection.execute(sa.update(request).where(request.c.id == values.pop("id")).values(values))
        number = sa.select(sa.func.count() + 1).where(step.c.request == after.id).scalar_subquery()
        note = {"request": after.id, "number": number, "did": did, "at": now, "by": by, "text": text}
        connection.execute(sa.insert(step).values(**note, state=after.state, due_on=after.due_on))
        self._report(connection, after, name, did, by)
        return after

    def _pseudonym(self, connection: sa.Connection, subject: str | None) -> str | None:
        return None if subject is None else self.store.keys.issue(connection, [subject])[subject]

    def _report(self, connection: sa.Connection, after: Request, name: str | None, did: Did, by: str | None) -> None:
        """Record a step in the ledger, without the clerk's note."""
        body = {
            "subject": name,
            "did": did,
            "by": by,
            "request": after.id,
            "kind": after.kind,
            "requester": after.requester,
            "purposes": None if after.purposes is None else list(after.purposes),
            "revision": after.revision.isoformat(),
            "due_on": None if after.due_on is None else after.due_on.isoformat(),
            "state": after.state,
        }
        add_ledger_entry(self.subjects.ledger, self.store, connection, "request", body)

    def _close(
        self,
        connection: sa.Connection,
        pending: Request,
        state: Literal["fulfilled", "refused", "withdrawn"],
        *,
        by: str,
        text: str | None,
    ) -> Request:
        require_possible(pending, state)
        if pending.interim is not None:
            with contextlib.suppress(RequestError):  # A clerk may have lifted it already.
                self.subjects.lift(pending.interim, by=pending.requester, request=pending.id, within=connection)
        closed = dataclasses.replace(pending, state=state, interim=None)
        return self._take_step(connection, closed, state, by=by, text=text)

    def _restrict(self, connection: sa.Connection, asked: Request, kind: Kind) -> Restriction:
        """Put the restriction that was asked for in force, for the purposes that the notice still has."""
        remaining = None
        if asked.purposes is not None:
            present_clauses = set(list_term_ids(self.notice.purposes))
            remaining = []
            for clause in asked.purposes:
                present_clause = self.subjects.clause_now(clause, asked.revision)
                if present_clause in present_clauses:
                    remaining.append(present_clause)
            if not remaining:
                why = f"the revision of {self.notice.revision} has none of the purposes that it is about"
                raise make_impossible_error(
                    asked, "fulfilled", why, "refuse it for that reason; data serves none of them"
                )
        return self.subjects.restrict(
            cast("str", asked.subject),
            remaining,
            kind=kind,
            by=asked.requester,
            at=asked.received_at,
            request=asked.id,
            within=connection,
        )

    def _suspend(self, connection: sa.Connection, asked: Request) -> Request:
        """Return the request with its interim restriction, which is put in force once the subject is known.

        Call this before the step is noted, because the lock of preferences comes before the ledger's.
        """
        if not asked.suspending or asked.interim is not None or asked.subject is None:
            return asked
        kind: Kind = "stop-of-provision" if asked.effect == "stops-provision" else "suspension-of-use"
        return dataclasses.replace(asked, interim=self._restrict(connection, asked, kind).id)

    def _find_duplicate(
        self, connection: sa.Connection, values: Mapping[str, Any], *, by: str | None, text: str | None
    ) -> Request | None:
        """Return the request that this clerk opened with these values. Its subject may have been named since.

        Until the transaction ends, other calls wait here.
        """
        if self.store.dialect == "postgresql":  # SQLite has one writer at a time
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(OPENING_LOCK)))
        moment = request.c.received_at == values["received_at"]
        for asked in select_requests(connection, request.c.kind == values["kind"], moment):
            first = select_steps(connection, asked.id)[0]
            purposes = None if asked.purposes is None else list(asked.purposes)
            is_same = (
                (first.by, first.text, asked.requester, purposes) == (by, text, values["requester"], values["purposes"])
                and values["subject"] in (None, asked.subject)
                and values["authority"] in (None, asked.authority)
            )
            if is_same:
                return asked
        return None

    # ---- What they share ------------------------------------------------------------------------------------------

    def _find_right(self, kind: str) -> Right:
        rights = self.notice.document.rights
        if rights is None:
            raise RequestError(f"notice {self.notice.id} has no [rights] (clause 7), so it takes no requests")
        rights_by_id = index_by_id(rights.request)
        if kind not in rights_by_id:
            close = find_nearest(kind, rights_by_id) or tuple(rights_by_id)
            raise RequestError(f"the notice grants no request {format_id(kind, close)} (help: {', '.join(close)})")
        return rights_by_id[kind]

    def _to_local_day(self, moment: datetime.datetime) -> datetime.date:
        return to_local_day(self.notice.document.timezone, moment)

    def _require_fulfillable(self, asked: Request, done: str | None) -> None:
        require_possible(asked, "fulfilled")
        by_hand = asked.effect == "amends" or (asked.effect == "discloses" and self.disclose is None)
        if by_hand and done is None:
            raise make_impossible_error(asked, "fulfilled", "it is not done by itself", "say what was done, `done=…`")


def _check_period(days: object) -> int:
    """Return a number of days; raise TypeError or ValueError if it is no such number, or far too large."""
    if isinstance(days, bool) or not isinstance(days, int):
        raise TypeError(f"a period is a whole number of days, not {type(days).__name__}")
    if not 0 < days <= LONGEST_PERIOD:
        raise ValueError(f"a period is of 1 to {LONGEST_PERIOD:,} days")
    return int(days)
