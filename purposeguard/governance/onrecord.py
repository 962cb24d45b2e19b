"""What governance has on record about a subject, as parts of a disclosure report: titles found, days counted."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping

from purposeguard.errors import UnknownPurpose
from purposeguard.governance.declarations import ClauseNow, SubjectRecord, unchanged
from purposeguard.governance.disclosure import OnRecord, said
from purposeguard.governance.provisions import ProvisionRecord
from purposeguard.governance.report import ConsentPart, Language, ProvisionPart, RequestPart, RestrictionPart
from purposeguard.governance.requests import Request
from purposeguard.governance.steps import KIND_OF
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import day_in
from purposeguard.notice.schema import Kind
from purposeguard.notice.timezones import zone
from purposeguard.notice.vocabulary import Family


def on_record(
    notice: Notice,
    language: Language,
    *,
    subject: SubjectRecord,
    provisions: Iterable[ProvisionRecord],
    requests: Iterable[Request],
    reasons: Mapping[int, str | None],
    clause_now: ClauseNow = unchanged,
) -> OnRecord:
    """What is on record about a subject, in the words of the notice in force; what it has no words for, by its id.

    `clause_now` says by which clause it calls a purpose of the revision under which something was recorded.
    """
    words = _Words(notice, language, clause_now)
    consents = ((clause_now(clause, given), given) for clause, given in subject.preferences.consents)
    return OnRecord(
        preferences=dataclasses.replace(
            subject.preferences, consents=frozenset((now, given) for now, given in consents if now is not None)
        ),
        restrictions=tuple(
            RestrictionPart(
                kind=one.kind,
                title=words.restriction(one.kind),
                purposes=words.ids(one.purposes, one.revision),
                requester=one.by,
                since=words.moment(one.recorded),
                until=None if one.until is None else words.moment(one.until),
                lifted_at=None if one.lifted is None else words.moment(one.lifted.recorded),
            )
            for one in subject.restrictions
        ),
        consents=tuple(
            ConsentPart(
                purpose=one.purpose,
                title=words.purpose(one.purpose, one.revision),
                revision=one.revision,
                given_at=words.moment(one.at),
                withdrawn_at=None if one.withdrawn is None else words.moment(one.withdrawn.recorded),
            )
            for one in subject.consents
        ),
        provisions=tuple(words.provision(one) for one in provisions),
        requests=tuple(
            RequestPart(
                id=one.id,
                kind=one.kind,
                title=words.request(one.kind),
                requester=one.requester,
                purposes=words.ids(one.purposes, one.revision),
                state=one.state,
                received_on=words.day(one.received_at),
                due_on=one.due_on,
                closed_on=None if one.closed_at is None else words.day(one.closed_at),
                reason=reasons.get(one.id),
            )
            for one in requests
        ),
    )


class _Words:
    """The words of a notice in one language, and its days."""

    def __init__(self, notice: Notice, language: Language, clause_now: ClauseNow) -> None:
        document = notice.document
        self._clause_now = clause_now
        self._notice = notice
        self._language: Language = language
        self._rights = () if document.rights is None else document.rights.request
        self._recipients = _titles(document.entrustment.recipients if document.entrustment else (), language)
        self._means = _titles(document.safeguards.means if document.safeguards else (), language)
        transfer = document.transfer
        self._countries = {} if transfer is None else {one.code: said(one.title, language) for one in transfer.country}

    def moment(self, given: datetime.datetime) -> datetime.datetime:
        return given.astimezone(zone(self._notice.document.timezone))

    def day(self, given: datetime.datetime) -> datetime.date:
        return day_in(self._notice.document.timezone, given)

    def ids(self, given: Iterable[str] | None, revision: datetime.date) -> tuple[str, ...] | None:
        """The ids that purposes have now; of those that the notice has no more, what they had."""
        return None if given is None else tuple(self._clause_now(one, revision) or one for one in given)

    def purpose(self, given: str, revision: datetime.date) -> str:
        """Of a purpose of some revision, or a family; the id of one that the notice has no more."""
        now = self._clause_now(given, revision)
        try:
            found = self._notice.purpose_or_family(now or given)
        except UnknownPurpose:
            return given
        # A number may be another's by now; families have none.
        return found.title[self._language] if now is not None or isinstance(found, Family) else given

    def request(self, kind: str) -> str:
        return next((said(row.title, self._language) for row in self._rights if row.id == kind), kind)

    def restriction(self, kind: str) -> str:
        """As the notice calls the request that leads to it."""
        rows = [row for row in self._rights if row.id == kind]
        rows += [row for row in self._rights if KIND_OF.get(row.effect) == kind]
        return said(rows[0].title, self._language) if rows else kind

    def provision(self, record: ProvisionRecord) -> ProvisionPart:
        given = record.provision
        return ProvisionPart(
            at=self.moment(given.at),
            recipient=given.name or given.recipient,
            kind=self._recipients.get(given.kind, given.kind),
            country=given.country,
            country_title=self._countries.get(given.country, given.country),
            means=self._means.get(given.means, given.means),
            purpose=given.purpose,
            purpose_title=None if given.purpose is None else self.purpose(given.purpose, given.revision),
            sources=given.sources,
        )


def _titles(kinds: Iterable[Kind], language: Language) -> dict[str, str]:
    return {one.id: said(one.title, language) for one in kinds}
