"""Subjects: what they ask for and agree to (clause 7), and how things stand for each of them."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final, Protocol, cast, runtime_checkable

import sqlalchemy as sa

from purposeguard.errors import RequestError, UnknownPurpose, shown_id
from purposeguard.governance import changes
from purposeguard.governance.declarations import (
    CONSENT,
    KINDS,
    PERSONS,
    ClauseNow,
    Consent,
    Kind,
    Person,
    Restriction,
    Stands,
    SubjectRecord,
    declaration,
    history,
    in_force,
    revocation,
    stands,
    unchanged,
)
from purposeguard.governance.ledger import entries
from purposeguard.governance.store import Store
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, TermMeta, is_union
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.row_context import SubjectId, subject_key
from purposeguard.runtime.clock import Clock, in_utc

LONGEST_REFERENCE: Final = 1000
"""Characters of a reference at most."""


class Told(Protocol):
    """A ledger that is told of what subjects ask for."""

    def restricted(self, kind: str, subject: str, details: dict[str, Any], /) -> None:
        """Told before it is in force. `subject` is the store's digest of it; what is raised here undoes the change."""


@runtime_checkable
class ToldWithin(Protocol):
    """A ledger that may be kept in the same store, so that an entry and what it tells of are kept together."""

    store: Store

    def append_in(self, connection: sa.Connection, kind: str, body: dict[str, Any], /) -> object:
        """Adds an entry within a transaction."""


class Subjects:
    """What the subjects of a notice ask for and agree to. Everything is added to, nothing removed.

    `notice` says which purposes there are, or is a function that gives it; it may be replaced by a later revision. A
    change is in force, in this process, when the method that makes it returns; where `within` is given, a connection of
    `store.writing()`, it is when that transaction ends. `ledger` is told of each before. `clause_now` says by which
    clause the notice in force calls a purpose of the revision under which something was asked for.

    Each method takes who asked (`by`), when (`at`: now), a `reference` in the words of whoever records it, which no
    ledger is told, and the number of the `request` at the desk that it fulfils.

    Raises, in each method:
        StoreUnavailable: the store cannot be used; nothing has changed.
        TypeError, ValueError: the subject is no id (see `subject_key`); a moment has no time zone, or cannot be.
    """

    def __init__(
        self,
        store: Store,
        notice: Notice | Callable[[], Notice],
        *,
        clock: Clock | None = None,
        ledger: Told | ToldWithin | None = None,
        clause_now: ClauseNow = unchanged,
    ) -> None:
        self.store = store
        self.clause_now = clause_now
        self._notice = notice
        self.clock = clock or Clock()
        self.ledger = ledger

    @property
    def notice(self) -> Notice:
        """The notice in force."""
        return self._notice() if callable(self._notice) else self._notice

    @notice.setter
    def notice(self, notice: Notice) -> None:
        self._notice = notice

    def restrict(
        self,
        subject: SubjectId,
        purposes: object = None,
        *,
        kind: Kind = "suspension-of-use",
        by: Person = "subject",
        at: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
        reference: str | None = None,
        request: int | None = None,
        within: sa.Connection | None = None,
    ) -> Restriction:
        """Suspends use, for a purpose, the members of a family, several of both, or all (None); or the other kinds.

        Raises:
            UnknownPurpose: the notice has no such purpose.
            ValueError: provision is stopped, and data erased, for all purposes alone; no purpose at all is given.
        """
        if kind not in KINDS:
            raise ValueError(f"a restriction is one of {', '.join(sorted(KINDS))}, not {shown_id(kind, sorted(KINDS))}")
        clauses = None if purposes is None else self._clauses(_each(purposes))
        if clauses is not None and kind != "suspension-of-use":
            raise ValueError(f"{kind} is for all purposes: only use can be suspended for some")
        if clauses == ():
            raise ValueError("no purpose was given: name some, or give None for all")
        row = self._row(subject, kind, clauses, until, self._asked(by, at, reference, request))
        with self._writing(within) as connection:
            changes.record(connection, [row["subject"]])
            return cast("Restriction", self._declare(connection, row))

    def lift(
        self,
        restriction: int | Restriction,
        *,
        by: Person = "subject",
        at: datetime.datetime | None = None,
        reference: str | None = None,
        request: int | None = None,
        within: sa.Connection | None = None,
    ) -> Restriction:
        """Ends a restriction, by its `id`.

        Raises:
            RequestError: there is no such restriction, or it was lifted before.
        """
        number = restriction.id if isinstance(restriction, Restriction) else _number("a restriction", restriction)
        row = self._asked(by, at, reference, request)
        with self._writing(within) as connection:
            found = history(connection, declaration.c.id == number, declaration.c.kind != CONSENT)
            if not found:
                raise RequestError(f"there is no restriction {number}")
            changes.record(connection, [found[0].subject])  # from here on nobody else lifts it
            preferences = in_force(history(connection, declaration.c.id == number))
            if not preferences:
                raise RequestError(f"restriction {number} was lifted already")
            return cast("Restriction", self._revoke(connection, "lifted", preferences, row)[0])

    def consent(
        self,
        subject: SubjectId,
        purpose: object,
        *,
        by: Person = "subject",
        at: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
        reference: str | None = None,
        request: int | None = None,
        within: sa.Connection | None = None,
    ) -> tuple[Consent, ...]:
        """Records that a subject agrees to a purpose, or to each one of a family, as the present revision states it.

        Raises:
            UnknownPurpose: the notice has no such purpose.
        """
        asked = self._asked(by, at, reference, request)
        rows = [self._row(subject, CONSENT, (clause,), until, asked) for clause in self._clauses([purpose])]
        with self._writing(within) as connection:
            changes.record(connection, [row["subject"] for row in rows])
            return tuple(cast("Consent", self._declare(connection, row)) for row in rows)

    def withdraw(
        self,
        subject: SubjectId,
        purpose: object = None,
        *,
        by: Person = "subject",
        at: datetime.datetime | None = None,
        reference: str | None = None,
        request: int | None = None,
        within: sa.Connection | None = None,
    ) -> tuple[Consent, ...]:
        """Withdraws what a subject agreed to for a purpose, each one of a family, or (None) all, under any revision.

        Gives the consents that were withdrawn: none where none stood. The clause of one that stands is known also where
        the present revision has no such purpose any more.

        Raises:
            UnknownPurpose: neither the notice nor a consent of the subject has such a purpose.
        """
        key = subject_key(subject)
        row = self._asked(by, at, reference, request)
        with self._writing(within) as connection:
            changes.record(connection, [key])
            consents = history(connection, declaration.c.subject == key, declaration.c.kind == CONSENT)
            preferences = cast("list[Consent]", in_force(consents))
            if purpose is not None:
                preferences = self._meant(preferences, purpose)
            return cast("tuple[Consent, ...]", self._revoke(connection, "withdrawn", preferences, row))

    def of(self, subject: SubjectId) -> SubjectRecord:
        """Everything on record about a subject; of one that nobody knows, nothing."""
        key = subject_key(subject)
        with self.store.reading() as connection:
            declared = history(connection, declaration.c.subject == key)
            found = stands(connection, key, self.clock.span(), self.clause_now)
        return SubjectRecord(
            subject=key,
            restrictions=tuple(one for one in declared if isinstance(one, Restriction)),
            consents=tuple(one for one in declared if isinstance(one, Consent)),
            preferences=found.preferences,
        )

    def stands(self, subject: SubjectId) -> Stands:
        """How things stand, as the store says now, and when they next change by themselves."""
        key = subject_key(subject)
        with self.store.reading(single=True) as connection:
            return stands(connection, key, self.clock.span(), self.clause_now)

    def preferences(self, subject: SubjectId) -> SubjectPreferences:
        """How things stand, as the store says now; CLEAR for a subject that nobody knows."""
        return self.stands(subject).preferences

    # ---- what they share ------------------------------------------------------------------------------------------

    def _clauses(self, given: Iterable[object]) -> tuple[str, ...]:
        """The purposes, and the members of the families, in the notice's order."""
        wanted: set[object] = set()
        for one in given:
            found = self.notice.purpose_or_family(one)
            wanted.update(found.members if isinstance(found, Family) else (found,))
        return tuple(purpose.clause for purpose in self.notice.purposes if purpose in wanted)

    def _meant(self, preferences: Iterable[Consent], purpose: object) -> list[Consent]:
        """The consents to a purpose, or to those of a family, whatever they were called when they were given.

        What the notice has no more is known by the clause that it had.
        """
        called = [(one, self.clause_now(one.purpose, one.revision)) for one in preferences]
        try:
            clauses = self._clauses([purpose])
        except UnknownPurpose:
            clauses = ()
            if not any(one.purpose == purpose for one, _ in called):
                raise
        known = {one.clause for one in self.notice.purposes}
        return [one for one, now in called if now in clauses or (one.purpose == purpose and now not in known)]

    def _row(
        self,
        subject: SubjectId,
        kind: str,
        clauses: tuple[str, ...] | None,
        until: datetime.datetime | None,
        asked: dict[str, Any],
    ) -> dict[str, Any]:
        ends = None if until is None else in_utc(until)
        now = self.clock.span()
        if ends is not None and ends <= (now.latest if kind == CONSENT else now.earliest):
            raise ValueError("`until` has passed already")
        return {
            "subject": subject_key(subject),
            "kind": kind,
            "purposes": None if clauses is None else list(clauses),
            "revision": self.notice.revision,
            "until": ends,
            **asked,
        }

    def _asked(
        self, by: str, at: datetime.datetime | None, reference: str | None, request: int | None
    ) -> dict[str, Any]:
        if by not in PERSONS:
            raise ValueError(f"who asks is {' or '.join(sorted(PERSONS))}, not {shown_id(by, sorted(PERSONS))}")
        now = self.clock.now()
        asked = now if at is None else in_utc(at)
        if asked > now:
            raise ValueError("`at` is when it was asked for, and lies in the future")
        return {
            "asked_by": by,
            "asked_at": asked,
            "recorded_at": now,
            "reference": _text(reference),
            "request": None if request is None else _number("a request", request),
        }

    @contextlib.contextmanager
    def _writing(self, within: sa.Connection | None) -> Generator[sa.Connection]:
        if within is not None:
            yield within
            return
        with self.store.writing() as connection:
            yield connection

    def _declare(self, connection: sa.Connection, row: dict[str, Any]) -> Restriction | Consent:
        number = connection.execute(sa.insert(declaration).values(row).returning(declaration.c.id)).scalar_one()
        self._tell(connection, row["kind"], row["subject"], {"id": number, **_details(row)})
        return history(connection, declaration.c.id == number)[0]

    def _revoke(
        self, connection: sa.Connection, kind: str, those: Sequence[Restriction | Consent], row: dict[str, Any]
    ) -> tuple[Restriction | Consent, ...]:
        for one in those:
            connection.execute(sa.insert(revocation).values(declaration=one.id, **row))
            self._tell(connection, kind, one.subject, {"id": one.id, **_details(row)})
        return tuple(history(connection, declaration.c.id.in_([one.id for one in those])))

    def _tell(self, connection: sa.Connection, kind: str, subject: str, details: dict[str, Any]) -> None:
        ledger = self.ledger
        if ledger is None:
            return
        digest = self.store.digest(subject)
        if isinstance(ledger, ToldWithin) and ledger.store is self.store:
            ledger.append_in(connection, *entries.declaration(kind, digest, details))
        else:
            cast("Told", ledger).restricted(kind, digest, details)


def _each(purposes: object) -> Iterable[object]:
    """One purpose or family, or several."""
    if isinstance(purposes, (str, TermMeta, Family)) or is_union(purposes):
        return [purposes]
    if not isinstance(purposes, Iterable):
        raise UnknownPurpose(purposes, "an id is a text or a class")
    return purposes


def _number(what: str, given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"{what} is named by its number, not by {type(given).__name__}")
    if not 0 < given < 2**63:
        raise RequestError(f"there is no {what.split()[1]} of such a number")
    return given


def _text(reference: str | None) -> str | None:
    """A reference that both databases can keep."""
    if reference is None:
        return None
    if not isinstance(reference, str):
        raise TypeError(f"a reference is a text, not {type(reference).__name__}")
    if len(reference) > LONGEST_REFERENCE or any(one == "\0" or "\ud800" <= one <= "\udfff" for one in reference):
        raise ValueError(
            f"a reference is a text of up to {LONGEST_REFERENCE} characters, none of them a null or half one"
        )
    return reference


def _details(row: dict[str, Any]) -> dict[str, Any]:
    """What a ledger is told: never the reference, in which anything may stand."""
    said = ("purposes", "revision", "asked_by", "asked_at", "until", "request")
    found = {name: row[name] for name in said if name in row}
    return {name: one.isoformat() if isinstance(one, datetime.date) else one for name, one in found.items()}
