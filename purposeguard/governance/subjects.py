"""The restrictions and consents of subjects (clause 7), and the preferences that follow from them."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import sqlalchemy as sa

from purposeguard.containers import omit_keys, pick_keys
from purposeguard.errors import RequestError, UnknownPurpose, format_id
from purposeguard.governance import changes
from purposeguard.governance.forgetting import forget_subjects
from purposeguard.governance.recording import add_ledger_entry
from purposeguard.governance.restrictions import (
    CONSENT,
    KINDS,
    PERSONS,
    ClauseNow,
    Consent,
    HasWords,
    Kind,
    Person,
    Restriction,
    SubjectRecord,
    SubjectState,
    declaration,
    filter_not_revoked,
    has_any_words,
    keep_clause,
    read_history,
    read_state,
    read_states,
    revocation,
)
from purposeguard.governance.store import Store
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, TermMeta, is_union, list_members
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.row_context import SubjectId, subject_key
from purposeguard.runtime.clock import Clock, to_utc

LONGEST_REFERENCE: Final = 1_000
LONGEST_TEXT: Final = 10_000
"""Length limits of a reference, and of other texts, in characters."""


class Subjects:
    """The restrictions and consents of subjects. Records are added, never removed.

    A change is in force, in this process, when the method returns; with `within`, a connection of `store.writing()`,
    when that transaction ends. The ledger records each change first.

    The methods that change something take who asks (`by`), when (`at`: now), a `reference` of the clerk, which is not
    recorded in the ledger, and the number of the `request` that they fulfil.

    Args:
        store: The store.
        notice: The notice in force, or a function that returns it.
        clock: The clock.
        ledger: The ledger that records changes.
        clause_now: Returns the present clause of a purpose of an earlier revision.
        has_words: Returns True if the words that a subject agreed to are those of the purpose.

    Raises, in each method:
        StoreUnavailable: the store cannot be used; nothing has changed.
        TypeError, ValueError: the subject is no id (see `subject_key`); a moment has no time zone, or is impossible.
    """

    def __init__(
        self,
        store: Store,
        notice: Notice | Callable[[], Notice],
        *,
        clock: Clock | None = None,
        ledger: object = None,
        clause_now: ClauseNow = keep_clause,
        has_words: HasWords = has_any_words,
    ) -> None:
        self.store = store
        self.clause_now = clause_now
        self.has_words = has_words
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
        """Suspend use for a purpose, a family, several of both, or all (None), or declare another kind of restriction.

        Args:
            subject: The subject.
            purposes: The purposes for which use is suspended; None for all.
            kind: The kind of the restriction. Only a suspension of use can be for some purposes.
            by: Who asks: the subject or an agent.
            at: When they asked; now by default.
            until: When the restriction ends by itself; None if it does not.
            reference: The reference under which the clerk keeps the request. The ledger does not get it.
            request: The number of the request that this fulfils.
            within: A connection of `store.writing()`, to do this in its transaction.

        Raises:
            UnknownPurpose: the notice has no such purpose.
            ValueError: `purposes` is empty, or given for a kind that is for all purposes; or they are of several
                notices, each of which has its own revision.
        """
        if kind not in KINDS:
            raise ValueError(
                f"a restriction is one of {', '.join(sorted(KINDS))}, not {format_id(kind, sorted(KINDS))}"
            )
        clauses = None if purposes is None else resolve_clauses(self.notice, purposes)
        if clauses is not None and kind != "suspension-of-use":
            raise ValueError(f"{kind} is for all purposes: only use can be suspended for some")
        row = self._row(subject, kind, clauses, until, self._make_request_facts(by, at, reference, request))
        with self._writing(within) as connection:
            changes.record_changes(connection, [row["subject"]])
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
        """End a restriction, by its `id`. One whose `until` has passed can be lifted as well.

        Args:
            restriction: The restriction, or its `id`.
            by: Who asks: the subject or an agent.
            at: When they asked; now by default.
            reference: The reference under which the clerk keeps the request. The ledger does not get it.
            request: The number of the request that this fulfils.
            within: A connection of `store.writing()`, to do this in its transaction.

        Raises:
            RequestError: there is no such restriction, or it was lifted before.
        """
        number = restriction.id if isinstance(restriction, Restriction) else number_of("restriction", restriction)
        request_facts = self._make_request_facts(by, at, reference, request)
        with self._writing(within) as connection:
            declared = read_history(connection, declaration.c.id == number, declaration.c.kind != CONSENT)
            if not declared:
                raise RequestError(f"there is no restriction {number}, or whoever declared it was forgotten")
            # This locks the row of the counter until the commit. So no other process can lift the restriction after it
            # was found not to be lifted below.
            changes.record_changes(connection, [declared[0].subject])
            remaining = filter_not_revoked(read_history(connection, declaration.c.id == number))
            if not remaining:
                raise RequestError(f"restriction {number} was lifted already")
            return cast("Restriction", self._revoke(connection, "lifted", remaining, request_facts)[0])

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
        """Record consent to a purpose, or to each member of a family, as the present revision states it.

        Args:
            subject: The subject.
            purpose: The purpose or family.
            by: Who asks: the subject or an agent.
            at: When they asked; now by default.
            until: When the consent ends by itself; None if it does not.
            reference: The reference under which the clerk keeps the request. The ledger does not get it.
            request: The number of the request that this fulfils.
            within: A connection of `store.writing()`, to do this in its transaction.

        Raises:
            UnknownPurpose: the notice has no such purpose.
        """
        request_facts = self._make_request_facts(by, at, reference, request)
        rows: list[dict[str, Any]] = []
        for clause in _member_clauses(self.notice, [purpose]):
            row = self._row(subject, CONSENT, [clause], until, request_facts)
            rows.append(row | {"words": self.notice.words_digest(clause)})
        with self._writing(within) as connection:
            changes.record_changes(connection, [row["subject"] for row in rows])
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
        """Withdraw the consents to a purpose, the members of a family, or (None) all, given under any revision.

        Consents whose `until` has passed are withdrawn as well. A purpose that the present revision no longer has is
        found by the clause of a consent that was not withdrawn.

        Args:
            subject: The subject.
            purpose: The purpose or family; None for all.
            by: Who asks: the subject or an agent.
            at: When they asked; now by default.
            reference: The reference under which the clerk keeps the request. The ledger does not get it.
            request: The number of the request that this fulfils.
            within: A connection of `store.writing()`, to do this in its transaction.

        Returns:
            The consents that were withdrawn.

        Raises:
            UnknownPurpose: neither the notice nor a consent of the subject has such a purpose.
        """
        key = subject_key(subject)
        request_facts = self._make_request_facts(by, at, reference, request)
        with self._writing(within) as connection:
            changes.record_changes(connection, [key])
            mine = declaration.c.pseudonym == self.store.keys.find_known(connection, [key]).names[key]
            declared = read_history(connection, mine, declaration.c.kind == CONSENT)
            consents = cast("list[Consent]", filter_not_revoked(declared))
            if purpose is not None:
                consents = self._match_consents(consents, purpose)
            return cast("tuple[Consent, ...]", self._revoke(connection, "withdrawn", consents, request_facts))

    def forget(self, subject: SubjectId, *, bar: bool | None = None) -> None:
        """Forget a subject of whom the application no longer holds data, so that no record tells who it was.

        Restrictions, consents and requests stay on record under a pseudonym that leads to nobody. References, notes and
        authorities are removed. If this fails, call it again: it continues where it ended.

        Args:
            subject: The subject.
            bar: True to bar the subject, so that nothing of theirs may ever be used again, should it turn up; the keys
                then hold a keyed digest of the subject. None to do so if a restriction is in force. False to lift an
                earlier bar.

        Raises:
            RequestError: a request of the subject is not answered yet. Nothing has changed.
        """
        key = subject_key(subject)
        pending = forget_subjects(self.store, [key], self.clock.now(), bar=bar, ledger=self.ledger)
        if pending:
            raise RequestError(
                f"request {pending[key]} of this person is not answered yet (help: answer it, then forget the person)"
            )

    def of(self, subject: SubjectId) -> SubjectRecord:
        """Return everything on record about a subject; empty for an unknown one."""
        key = subject_key(subject)
        with self.store.reading() as connection:
            name = self.store.keys.find_known(connection, [key]).names.get(key)
            declared = [] if name is None else read_history(connection, declaration.c.pseudonym == name)
            present = read_state(connection, key, self.clock.span(), self.clause_now, self.has_words)
        return SubjectRecord(
            subject=key,
            restrictions=tuple(record for record in declared if isinstance(record, Restriction)),
            consents=tuple(record for record in declared if isinstance(record, Consent)),
            preferences=present.preferences,
        )

    def stands(self, subject: SubjectId) -> SubjectState:
        """Read the preferences of a subject from the store, and the time at which they next change by themselves."""
        key = subject_key(subject)
        with self.store.reading(single=True) as connection:
            return read_state(connection, key, self.clock.span(), self.clause_now, self.has_words)

    def stands_of_each(self, keys: Sequence[str]) -> dict[str, SubjectState]:
        """Read the preferences of several subjects, as `stands` does, by `subject_key`; one query."""
        if len(keys) == 1:
            return {key: self.stands(key) for key in keys}
        with self.store.reading(single=True) as connection:
            return read_states(connection, keys, self.clock.span(), self.clause_now, self.has_words)

    def preferences(self, subject: SubjectId) -> SubjectPreferences:
        """Read the preferences of a subject from the store; CLEAR for an unknown one."""
        return self.stands(subject).preferences

    # ---- what they share ------------------------------------------------------------------------------------------

    def _match_consents(self, consents: Iterable[Consent], purpose: object) -> list[Consent]:
        """Return the consents to a purpose or family, found by their present clause.

        A purpose that the notice no longer has is found by its former clause.
        """
        consents_with_clause = [(consent, self.clause_now(consent.purpose, consent.revision)) for consent in consents]
        try:
            clauses = _member_clauses(self.notice, [purpose])
        except UnknownPurpose:
            clauses = []
            if not any(consent.purpose == purpose for consent, _ in consents_with_clause):
                raise
        known_clauses = set(map(self.notice.key, self.notice.purposes))
        matching: list[Consent] = []
        for consent, present_clause in consents_with_clause:
            is_gone = present_clause not in known_clauses
            if present_clause in clauses or (is_gone and consent.purpose == purpose):
                matching.append(consent)
        return matching

    def _row(
        self,
        subject: SubjectId,
        kind: str,
        clauses: list[str] | None,
        until: datetime.datetime | None,
        request_facts: dict[str, Any],
    ) -> dict[str, Any]:
        ends = None if until is None else to_utc(until)
        now = self.clock.span()
        if ends is not None and ends <= (now.latest if kind == CONSENT else now.earliest):
            raise ValueError("`until` has passed already")
        return {
            "subject": subject_key(subject),
            "kind": kind,
            "purposes": clauses,
            "revision": self.notice.revision_of(clauses or ()),
            "until": ends,
            **request_facts,
        }

    def _make_request_facts(
        self, by: str, at: datetime.datetime | None, reference: str | None, request: int | None
    ) -> dict[str, Any]:
        if by not in PERSONS:
            raise ValueError(f"who asks is {' or '.join(sorted(PERSONS))}, not {format_id(by, sorted(PERSONS))}")
        now = self.clock.now()
        asked_at = now if at is None else to_utc(at)
        if asked_at > now:
            raise ValueError("`at` is when it was asked for, and lies in the future")
        return {
            "asked_by": by,
            "asked_at": asked_at,
            "recorded_at": now,
            "reference": None if reference is None else check_text("reference", reference, LONGEST_REFERENCE),
            "request": None if request is None else number_of("request", request),
        }

    def _writing(self, within: sa.Connection | None) -> contextlib.AbstractContextManager[sa.Connection]:
        return self.store.writing() if within is None else contextlib.nullcontext(within)

    def _declare(self, connection: sa.Connection, row: dict[str, Any]) -> Restriction | Consent:
        values = omit_keys(row, ("subject",))
        values["pseudonym"] = self.store.keys.issue(connection, [row["subject"]])[row["subject"]]
        number = connection.execute(sa.insert(declaration).values(values).returning(declaration.c.id)).scalar_one()
        self._report(connection, row["kind"], values["pseudonym"], {"id": number, **make_ledger_details(row)})
        return read_history(connection, declaration.c.id == number)[0]

    def _revoke(
        self, connection: sa.Connection, kind: str, declared: Sequence[Restriction | Consent], row: dict[str, Any]
    ) -> tuple[Restriction | Consent, ...]:
        names = self.store.keys.find_known(connection, {record.subject for record in declared}).names
        for record in declared:
            connection.execute(sa.insert(revocation).values(declaration=record.id, **row))
            self._report(connection, kind, names[record.subject], {"id": record.id, **make_ledger_details(row)})
        return tuple(read_history(connection, declaration.c.id.in_([record.id for record in declared])))

    def _report(self, connection: sa.Connection, action: str, name: str, details: dict[str, Any]) -> None:
        kind = "consent" if action in (CONSENT, "withdrawn") else "restriction"
        body = {"what": action, "subject": name, **details}
        add_ledger_entry(self.ledger, self.store, connection, kind, body)


def make_ledger_details(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a declaration that the ledger records. The reference is free text and is left out."""
    names = ("purposes", "revision", "asked_by", "asked_at", "until", "request")
    details = pick_keys(row, names)
    if row.get("words") is not None:  # Entries from before words were recorded have no such key.
        details["words"] = row["words"]
    for name, value in details.items():
        if isinstance(value, datetime.date):
            details[name] = value.isoformat()
    return details


# ---- Arguments ----------------------------------------------------------------------------------------------------


def resolve_clauses(notice: Notice, purposes: object) -> list[str]:
    """Return the clauses of a purpose or family, or of several of both, in the notice's order.

    Raises:
        UnknownPurpose: the notice has no such purpose.
        ValueError: there is no purpose.
    """
    if isinstance(purposes, (str, TermMeta, Family)) or is_union(purposes):
        return _member_clauses(notice, [purposes])
    if not isinstance(purposes, Iterable):
        raise UnknownPurpose(purposes, "an id is a text or a class")
    clauses = _member_clauses(notice, purposes)
    if not clauses:
        raise ValueError("no purpose was given: name some, or give None for all")
    return clauses


def _member_clauses(notice: Notice, purposes: Iterable[object]) -> list[str]:
    members: set[object] = set()
    for item in purposes:
        purpose = notice.purpose_or_family(item)
        members.update(list_members(purpose))
    return [notice.key(purpose) for purpose in notice.purposes if purpose in members]


def check_text(name: str, text: object, longest: int = LONGEST_TEXT) -> str:
    """Return the text if both databases can store it.

    Raises:
        TypeError, ValueError: it is no text, blank, too long, or has a null or a lone surrogate.
    """
    if not isinstance(text, str):
        raise TypeError(f"`{name}` is a text, not {type(text).__name__}")
    unfit = any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)
    if unfit or not text.strip() or len(text) > longest:
        raise ValueError(
            f"`{name}` is a text, not blank, of {longest:,} characters at most, without nulls and lone surrogates"
        )
    return str(text)


def check_optional_text(name: str, text: object) -> str | None:
    """Return an optional text, as `check_text` does."""
    return None if text is None else check_text(name, text)


def number_of(what: str, number: object) -> int:
    """Return the number of a restriction or request.

    Raises:
        TypeError: it is no whole number.
        RequestError: nothing can have this number.
    """
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"a {what} is named by its number, not by {type(number).__name__}")
    if not 0 < number < 2**63:
        raise RequestError(f"there is no {what} of such a number")
    return number
