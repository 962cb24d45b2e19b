"""The request desk (clause 7): what subjects and their agents ask for, from its receipt to its answer."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable
from typing import Literal, Protocol, cast

import sqlalchemy as sa

from purposeguard.errors import RequestError, shown_id
from purposeguard.governance.declarations import Person, Restriction
from purposeguard.governance.given import clauses_of, optional_text, period_of, text_of
from purposeguard.governance.report import Disclosure, Language
from purposeguard.governance.requests import (
    RESTRICTING,
    Overview,
    Request,
    Step,
    found,
    impossible,
    must_be_possible,
    number_of,
    only,
    overview,
    reasons,
    request,
    steps,
)
from purposeguard.governance.steps import KIND_OF, Steps
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import day_in
from purposeguard.notice.schema import Request as Right
from purposeguard.notice.vocabulary import nearest
from purposeguard.policy.row_context import SubjectId, subject_key
from purposeguard.runtime.clock import in_utc


class Discloses(Protocol):
    """What makes the report that a request for disclosure is answered with."""

    def __call__(self, asked: Request, /, *, by: str, language: Language, values: bool) -> Disclosure:
        """The report about the subject of a verified request; `by` is who answers it."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A request that was fulfilled, and what came of it: a report, or a restriction that is in force."""

    request: Request
    report: Disclosure | None = None
    restriction: Restriction | None = None


class Desk:
    """Receives requests, has them verified, fulfils or refuses them, within the notice's deadline.

    A request goes from open to verified to fulfilled; it may be refused or withdrawn as long as it is neither. Every
    step is kept, with who took it and what they said of it; ledgers are told of each step, and not what was said.

    Raises, in each method:
        RequestError: there is no such request, or this cannot be done with it now; nothing has changed.
        StoreUnavailable: the store cannot be used; nothing has changed.
        TypeError, ValueError: a text is none, or blank; a moment has no time zone; a subject is no id.
    """

    def __init__(
        self,
        subjects: Subjects,
        *,
        days: int | None = None,
        suspend_while_open: bool = False,
        disclose: Discloses | None = None,
    ) -> None:
        """A desk over the store, the notice, the clock and the ledger of `subjects`.

        `days`: the deadline, in place of the notice's. `suspend_while_open`: whether what a request would stop is
        stopped at once, until it is answered. `disclose` makes reports.
        """
        self.subjects = subjects
        self._steps = Steps(subjects)
        self.suspend_while_open = suspend_while_open
        self.disclose = disclose
        self._days = None if days is None else period_of(days)

    @property
    def store(self) -> Store:
        """Where requests are kept."""
        return self.subjects.store

    @property
    def notice(self) -> Notice:
        """The notice in force."""
        return self.subjects.notice

    @property
    def days(self) -> int | None:
        """Within how many days a request is to be answered, where that is stated."""
        rights = self.notice.document.rights
        return self._days if self._days is not None or rights is None else rights.days

    # ---- Receiving, verifying -------------------------------------------------------------------------------------

    def open(
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
    ) -> Request:
        """Puts a request on record. Its deadline is counted from the day on which it was received, `received_at`: now.

        `kind` is one that the notice grants. `subject` is whose data it is about, and may be told when it is verified.
        For an agent, `authority` says where theirs is on record. `purposes` is what use is to be suspended for: a
        purpose or family, several, or (None) all. `suspend_while_open` stops at once, until the request is answered,
        what it would stop; use, where it asks for erasure.

        Raises:
            UnknownPurpose: the notice has no such purpose.
        """
        row = self._right(kind)
        if requester not in self._requesters:
            raise RequestError(
                f"the notice takes requests from {' or '.join(self._requesters)}, not "
                f"{shown_id(requester, (*self._requesters, 'agent'))}"
            )
        if authority is not None and requester != "agent":
            raise RequestError('only an agent acts by an authority (help: `requester="agent"`)')
        if purposes is not None and row.effect != "stops-use":
            raise RequestError(f"a request for {row.id} is for all purposes: only use is suspended for some")
        suspending = self.suspend_while_open if suspend_while_open is None else suspend_while_open
        if suspend_while_open and row.effect not in RESTRICTING:
            raise RequestError(f"a request for {row.id} stops nothing, so nothing can be suspended while it is open")
        now = self.subjects.clock.now()
        received = now if received_at is None else in_utc(received_at)
        if received > now:
            raise ValueError("`received_at` lies in the future")
        values = {
            "kind": row.id,
            "effect": row.effect,
            "requester": requester,
            "authority": optional_text("authority", authority),
            "subject": None if subject is None else subject_key(subject),
            "purposes": None if purposes is None else clauses_of(self.notice, purposes),
            "revision": self.notice.revision,
            "received_at": received,
            "due_on": self._due_on(received),
            "extended": False,
            "suspending": suspending and row.effect in RESTRICTING,
            "state": "open",
        }
        clerk, said = optional_text("by", by), optional_text("note", note)
        with self.store.writing() as connection:
            number = connection.execute(sa.insert(request).values(values).returning(request.c.id)).scalar_one()
            one = self._steps.locked(connection, number)
            one = dataclasses.replace(one, interim=self._steps.suspended(connection, one))
            return self._steps.take(connection, one, "opened", by=clerk, said=said)

    def verify(
        self,
        asked: int | Request,
        *,
        how: str,
        by: str,
        subject: SubjectId | None = None,
        authority: str | None = None,
    ) -> Request:
        """Records how it was made sure who asks and that they may; and whose data it is about, where not told before.

        Raises:
            RequestError: also where nobody has said whose data it is about, or where an agent's authority is.
        """
        key = None if subject is None else subject_key(subject)
        said, clerk, by_authority = text_of("how", how), text_of("by", by), optional_text("authority", authority)
        with self.store.writing() as connection:
            one = self._steps.locked(connection, asked)
            must_be_possible(one, "verified")
            if key is not None and one.subject not in (None, key):
                raise impossible(
                    one, "verified", "it is about another subject", "see who asked; else open a new request"
                )
            if key is None and one.subject is None:
                raise impossible(one, "verified", "nobody said whose data it is about", "name the person, `subject=…`")
            if by_authority is not None and one.requester != "agent":
                raise impossible(one, "verified", "no agent asked", "leave out `authority`, or open a new request")
            if one.requester == "agent" and by_authority is None and one.authority is None:
                why = "an agent asked, and no authority is on record"
                raise impossible(one, "verified", why, "say where theirs is, `authority=…`")
            one = dataclasses.replace(
                one, state="verified", subject=key or one.subject, authority=by_authority or one.authority
            )
            one = dataclasses.replace(one, interim=self._steps.suspended(connection, one))
            return self._steps.take(connection, one, "verified", by=clerk, said=said)

    def extend(
        self,
        asked: int | Request,
        *,
        reason: str,
        by: str,
        days: int | None = None,
        until: datetime.date | None = None,
    ) -> Request:
        """Puts the deadline off, once, by some days or to a day.

        Raises:
            RequestError: also where it was put off before, has passed, or there is none.
        """
        said, clerk = text_of("reason", reason), text_of("by", by)
        if (days is None) == (until is None):
            raise ValueError("a deadline is put off by `days`, or `until` a day")
        if isinstance(until, datetime.datetime) or not isinstance(until, (datetime.date, type(None))):
            raise TypeError(f"`until` is a date, not {type(until).__name__}")
        more = None if days is None else datetime.timedelta(days=period_of(days))
        with self.store.writing() as connection:
            one = self._steps.locked(connection, asked)
            must_be_possible(one, "extended")
            if one.due_on is None:
                raise impossible(one, "extended", "it has no deadline", "state `[rights] days` in the notice")
            if one.extended:
                raise impossible(one, "extended", "its deadline was put off before, and that is done once", "answer it")
            if one.overdue(self._day(self.subjects.clock.now())):
                raise impossible(one, "extended", f"its deadline passed on {one.due_on}", "answer it")
            due_on = one.due_on + more if more is not None else cast("datetime.date", until)
            if due_on <= one.due_on:
                raise impossible(one, "extended", f"{due_on} is not after {one.due_on}", "name a later day")
            after = dataclasses.replace(one, due_on=due_on, extended=True)
            return self._steps.take(connection, after, "extended", by=clerk, said=said)

    # ---- Answering ------------------------------------------------------------------------------------------------

    def fulfil(
        self,
        asked: int | Request,
        *,
        by: str,
        done: str | None = None,
        language: Language = "en",
        values: bool = False,
    ) -> Answer:
        """Does what was asked for, and closes the request.

        What stops use or provision, or asks for erasure, becomes a restriction that is in force when this returns,
        until it is lifted. A disclosure is a report, in a `language`, with the `values` or without them. For a
        correction, an addition or a deletion `done` says what the application has done.

        Raises:
            RequestError: also where somebody else has answered it meanwhile, or the notice has none of the purposes
                that it is about any more.
        """
        clerk, said = text_of("by", by), optional_text("done", done)
        one = self.get(asked)
        self._must_be_fulfillable(one, said)
        report = None
        if one.effect == "discloses" and self.disclose is not None:
            # Before anything is written: it may take long, and may fail.
            report = self.disclose(one, by=clerk, language=language, values=values)
        with self.store.writing() as connection:
            one = self._steps.locked(connection, asked)
            self._must_be_fulfillable(one, said)
            kind = KIND_OF.get(one.effect)
            restriction = None if kind is None else self._steps.restrict(connection, one, kind)
            self._steps.lift_interim(connection, one)
            after = dataclasses.replace(one, state="fulfilled", interim=None)
            closed = self._steps.take(connection, after, "fulfilled", by=clerk, said=said)
        return Answer(closed, report, restriction)

    def refuse(self, asked: int | Request, *, reason: str, by: str) -> Request:
        """Closes a request that is not fulfilled. The `reason` is what the person is told, in their report too."""
        return self._closed(asked, "refused", text_of("by", by), text_of("reason", reason))

    def withdraw(self, asked: int | Request, *, by: str, reason: str | None = None) -> Request:
        """Closes a request that whoever asked has taken back."""
        return self._closed(asked, "withdrawn", text_of("by", by), optional_text("reason", reason))

    # ---- Looking --------------------------------------------------------------------------------------------------

    def get(self, asked: int | Request) -> Request:
        """A request, as it stands now."""
        number = number_of(asked)
        with self.store.reading() as connection:
            return only(found(connection, request.c.id == number), number)

    def of(self, subject: SubjectId) -> tuple[Request, ...]:
        """The requests about a subject, from the first to the last; none of one that nobody knows."""
        key = subject_key(subject)
        with self.store.reading() as connection:
            return tuple(found(connection, request.c.subject == key))

    def steps(self, asked: int | Request) -> tuple[Step, ...]:
        """What was done with a request, and by whom."""
        number = self.get(asked).id
        with self.store.reading() as connection:
            return tuple(steps(connection, number))

    def reasons(self, those: Iterable[Request]) -> dict[int, str | None]:
        """Why requests were refused, by number, of those that were."""
        with self.store.reading() as connection:
            return reasons(connection, [one.id for one in those if one.state == "refused"])

    def overview(self, as_of: datetime.datetime | None = None) -> Overview:
        """How many requests of each kind are in each state, and what is to be answered by when, overdue ones first.

        As it stands now; or stood at a moment; or, at one to come, will stand if nothing is done.
        """
        moment = None if as_of is None else in_utc(as_of)
        with self.store.reading() as connection:
            return overview(connection, self.subjects.clock.now(), moment, self.notice.document.timezone)

    # ---- What they share ------------------------------------------------------------------------------------------

    @property
    def _requesters(self) -> tuple[str, ...]:
        rights = self.notice.document.rights
        return () if rights is None else rights.requesters

    def _right(self, kind: str) -> Right:
        rights = self.notice.document.rights
        if rights is None:
            raise RequestError(f"notice {self.notice.id} has no [rights] (clause 7), so it takes no requests")
        known = {row.id: row for row in rights.request}
        if kind not in known:
            close = nearest(kind, known) or tuple(known)
            raise RequestError(f"the notice grants no request {shown_id(kind, close)} (help: {', '.join(close)})")
        return known[kind]

    def _day(self, moment: datetime.datetime) -> datetime.date:
        return day_in(self.notice.document.timezone, moment)

    def _due_on(self, received: datetime.datetime) -> datetime.date | None:
        return None if self.days is None else self._day(received) + datetime.timedelta(days=self.days)

    def _must_be_fulfillable(self, one: Request, done: str | None) -> None:
        must_be_possible(one, "fulfilled")
        by_hand = one.effect == "amends" or (one.effect == "discloses" and self.disclose is None)
        if by_hand and done is None:
            raise impossible(one, "fulfilled", "this desk does not do it by itself", "say what was done, `done=…`")

    def _closed(
        self, asked: int | Request, state: Literal["refused", "withdrawn"], by: str, said: str | None
    ) -> Request:
        with self.store.writing() as connection:
            one = self._steps.locked(connection, asked)
            must_be_possible(one, state)
            self._steps.lift_interim(connection, one)
            after = dataclasses.replace(one, state=state, interim=None)
            return self._steps.take(connection, after, state, by=by, said=said)
