"""The making of the disclosure report of a subject, from the holdings, the notice and the records."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from purposeguard.errors import RequestError, UnknownPurpose, UnknownSource
from purposeguard.governance.disclosure_page import (
    BasisPart,
    CategoryPart,
    ConsentPart,
    ContactPart,
    Disclosure,
    HoldingPart,
    ItemPart,
    Language,
    NoticePart,
    ProvisionPart,
    PurposePart,
    RecordPart,
    RequestPart,
    RestrictionPart,
    RetentionPart,
    RightPart,
    RightsPart,
    SourcePart,
)
from purposeguard.governance.holdings import Held, Holding, iter_held_items, open_held_item
from purposeguard.governance.request_records import KIND_OF, Request
from purposeguard.governance.restrictions import ClauseNow, Consent, Restriction, SubjectRecord, keep_clause
from purposeguard.governance.transfers import ProvisionRecord
from purposeguard.notice.bases import SEVERAL_BASES, collect_bases, summarize_bases
from purposeguard.notice.grants import LegalGrounds
from purposeguard.notice.history import History
from purposeguard.notice.label import Label
from purposeguard.notice.languages import nearest_language, title_in
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import Periods, to_local_day
from purposeguard.notice.schema import ContactPoint, Kind, list_ids
from purposeguard.notice.timezones import Day, load_zone
from purposeguard.notice.vocabulary import Family, NotPersonal, Source, list_term_ids
from purposeguard.policy.row_context import NOTHING_KNOWN, RowContext
from purposeguard.runtime.protocols import CLEAR, SubjectPreferences
from purposeguard.values.rows import row_contexts_of
from purposeguard.values.sealed import redact_error

Opens = Callable[[Any], Any]
"""A function that opens a sealed value of the subject."""

Door = Callable[[str], contextlib.AbstractContextManager[Opens]]
"""A function that returns a context manager with access to a subject's data, by key, under an exception of a guard."""


@dataclass(frozen=True, slots=True)
class RecordsAboutSubject:
    """The records about a subject, as parts of the report."""

    preferences: SubjectPreferences = CLEAR
    restrictions: tuple[RestrictionPart, ...] = ()
    consents: tuple[ConsentPart, ...] = ()
    provisions: tuple[ProvisionPart, ...] = ()
    requests: tuple[RequestPart, ...] = ()


def build_disclosure(  # noqa: PLR0913  # One parameter for each kind of record.
    notice: Notice,
    subject: str,
    holdings: Iterable[Holding],
    record: RecordsAboutSubject,
    *,
    now: datetime.datetime,
    language: Language = "en",
    values: bool = False,
    door: Door | None = None,
    request: int | None = None,
    history: History | None = None,
) -> Disclosure:
    """Return the report about a subject, by the notice in force; `history` has the revisions whose sources tag fields.

    Raises:
        RequestError: values are to be shown, and nothing opens those that are sealed; or a holding gave a record of
            another subject.
        UnlabelledData: a holding gave a record without sources.
    """
    document = notice.document
    reading = _HoldingsReader(notice, history or History(notice), subject, language, values)
    parts = reading.holdings(holdings, door)
    categories = _build_categories(notice, reading.labels)
    purpose_ids = frozenset(itertools.chain.from_iterable(category.purposes for category in categories))
    return Disclosure(
        language=language,
        made_at=now.astimezone(load_zone(document.timezone)),
        time_zone=document.timezone,
        subject=subject,
        request=request,
        values_shown=values,
        notice=_build_notice(notice, language),
        holdings=parts,
        sources=_build_sources(notice, reading.labels, language),
        categories=categories,
        purposes=_build_purposes(notice, purpose_ids, record.preferences, language),
        restrictions=record.restrictions,
        consents=record.consents,
        provisions=record.provisions,
        requests=record.requests,
        rights=_build_rights(notice, language),
        contacts=_build_contacts(notice, language),
    )


class _HoldingsReader:
    """A reader of the holdings that collects the labels of their items."""

    def __init__(self, notice: Notice, history: History, subject: str, language: Language, values: bool) -> None:
        self._notice = notice
        self._history = history
        self._periods = Periods(notice.document)
        self._subject = subject
        self._language: Language = language
        self._values = values
        self.labels: dict[Label, None] = {}

    def holdings(self, holdings: Iterable[Holding], door: Door | None) -> tuple[HoldingPart, ...]:
        through = contextlib.nullcontext(_leave_sealed) if door is None else door(self._subject)
        with through as opens:
            return tuple(self._holding(holding, opens) for holding in holdings)

    def _holding(self, holding: Holding, opens: Opens) -> HoldingPart:
        records = list(reversed(holding.records(self._subject)))
        record_parts: list[RecordPart] = []
        try:
            while records:
                record_parts.append(self._record(holding, records.pop(), opens))
            return HoldingPart(name=holding.name, title=holding.title.get(self._language), records=tuple(record_parts))
        finally:
            records.clear()  # the traceback of a failure keeps no values
            record_parts.clear()

    def _record(self, holding: Holding, record: Any, opens: Opens) -> RecordPart:
        try:
            row_contexts = row_contexts_of(record, holding.row.models)
            whose = {about.subject for about in row_contexts} - {None}
            if whose and self._subject not in whose:
                raise RequestError(
                    f"the holding `{holding.name}` gave a record of another subject than was asked for: it is not "
                    "disclosed"
                )
            about = row_contexts[0] if row_contexts else NOTHING_KNOWN  # the days are the same in each
            items: list[ItemPart] = []
            for datum in iter_held_items(record, holding.row):
                items.extend(self._items(holding, datum, about, opens))
            return RecordPart(collected=self._day(about.collected), ended=self._day(about.ended), items=tuple(items))
        finally:
            del record

    def _items(self, holding: Holding, datum: Held, about: RowContext, opens: Opens) -> Iterator[ItemPart]:
        """Yield the item of a datum, or an item for each field of an opened model."""
        try:
            for inner in open_held_item(datum, opens) if self._values else (datum,):
                label = self._translate_label(inner.label)
                self.labels.setdefault(label)
                yield ItemPart(
                    path=inner.path,
                    title=holding.title_of(inner.path, self._language),
                    sources=_sort_clauses(self._notice, label),
                    sealed=inner.sealed,
                    held=inner.value is not None,
                    value=_to_json(inner.value) if self._values else None,
                    due_on=self._due_on(label, about),
                )
        finally:
            del datum  # the traceback of a failure keeps no values

    def _translate_label(self, label: Label) -> Label:
        """Return a label with its sources as in the revision in force. Sources that are gone stay as they were."""
        return Label(*(self._translate_source(source) or source for source in label))

    def _translate_source(self, source: type[Source]) -> type[Source] | None:
        if source in self._notice.grants or source is NotPersonal:
            return source
        revision = next((notice for notice in self._history if source in notice.grants), None)
        clause = source.clause
        if revision is not None:
            clause = self._history.translate_clause("source", clause, revision, self._notice) or ""
        try:
            return self._notice.source(clause)
        except UnknownSource:
            return None

    def _due_on(self, label: Label, about: RowContext) -> datetime.date | None:
        days: list[datetime.date] = []
        for source in label:
            if source in self._notice.grants:
                day = self._periods.due_on(source.clause, collected=about.collected, ended=about.ended)
                if day is not None:
                    days.append(day)
        return min(days, default=None)

    def _day(self, day: Day | None) -> datetime.date | None:
        return None if day is None else to_local_day(self._notice.document.timezone, day)


def _leave_sealed(_: Any) -> Any:
    raise RequestError(
        "the values of sealed fields are to be shown, and nothing opens them: make the report under a guard's exception"
    )


def _to_json(value: Any) -> JsonValue:
    """Return a value as JSON, or as text if JSON has no form for it: the report is for the subject.

    Raises:
        SealedValue: the value's own code failed. Its error may show the value, and is dropped.
    """
    try:
        text: JsonValue = from_json(to_json(value, bytes_mode="base64", inf_nan_mode="strings", fallback=str))
    except Exception as error:  # noqa: BLE001  # raised below, without what it said
        failure = redact_error(f"writing a {type(value).__qualname__} as text", error)
    else:
        return text
    finally:
        del value
    raise failure


# ---- What the notice says -----------------------------------------------------------------------------------------


def _build_notice(notice: Notice, language: Language) -> NoticePart:
    document = notice.document
    return NoticePart(
        id=notice.id,
        revision=notice.revision,
        title=title_in(document.title, language),
        controller=title_in(document.controller, language),
        language=nearest_language(document.title, language),
    )


def _find_source_in_force(notice: Notice, source: type[Source]) -> type[Source] | None:
    """Return the source if it is a source of the notice; None if its clause is gone, or for NotPersonal."""
    return source if source in notice.grants else None


def _sort_clauses(notice: Notice, label: Label) -> tuple[str, ...]:
    """Return the clauses of a label, in the notice's order; those that are gone come last."""
    position = _clause_position(notice)
    return tuple(sorted(set(list_term_ids(label)), key=lambda clause: (position(clause), clause)))


def _clause_position(notice: Notice) -> Callable[[str], int]:
    """Return a function that returns the position of a clause in the notice, or the last one if it is gone."""
    positions = {source.clause: number for number, source in enumerate(notice.sources)}
    return lambda clause: positions.get(clause, len(positions))


def _build_categories(notice: Notice, labels: Iterable[Label]) -> tuple[CategoryPart, ...]:
    position = _clause_position(notice)
    by_clauses = {_sort_clauses(notice, label): label for label in labels}
    ordered = sorted(by_clauses, key=lambda clauses: list(map(position, clauses)))
    return tuple(CategoryPart(sources=ids, purposes=_find_granted_purposes(notice, by_clauses[ids])) for ids in ordered)


def _find_granted_purposes(notice: Notice, label: Label) -> tuple[str, ...]:
    """Return the purposes that the notice grants to every source of a label (rule 2), in its order."""
    granted = set(notice.purposes)
    for source in label:
        granted.intersection_update(notice.grants.get(source, ()))
    return tuple(purpose.clause for purpose in notice.purposes if purpose in granted)


def _build_sources(notice: Notice, labels: Iterable[Label], language: Language) -> tuple[SourcePart, ...]:
    periods = Periods(notice.document)
    source_by_clause: dict[str, type[Source]] = {}
    for label in labels:
        for part in label:
            source_by_clause[part.clause] = part
    parts: list[SourcePart] = []
    for id_ in _sort_clauses(notice, Label(*source_by_clause.values())) if source_by_clause else ():
        source = _find_source_in_force(notice, source_by_clause[id_])
        retention = () if source is None else periods.of(id_)
        law = () if source is None else periods.of_law(id_)
        parts.append(
            SourcePart(
                id=id_,
                title=title_in((source or source_by_clause[id_]).title, language),
                in_force=source is not None,
                retention=tuple(RetentionPart(days=period.days, counted_from=period.from_) for period in retention),
                law=tuple(RetentionPart(days=period.days, counted_from=period.from_) for period in law),
            )
        )
    return tuple(parts)


def _build_purposes(
    notice: Notice, purpose_ids: Container[str], preferences: SubjectPreferences, language: Language
) -> tuple[PurposePart, ...]:
    """Describe the purposes with these ids as the disclosure tells the person.

    The rows of a basis are listed only for a purpose that rests on several. Whether the person agreed is unknown (None)
    unless the purpose rests on consent.
    """
    basis_by_purpose = summarize_bases(notice.document)
    basis_rows = collect_bases(notice.document)
    condition_titles = {row.id: title_in(row.title, language) for row in notice.document.condition}
    conditions_by_purpose = LegalGrounds(notice.document).when
    granting_clause_by_purpose: dict[str, str] = {}
    for grant in notice.document.grant:
        granting_clause_by_purpose |= dict.fromkeys(list_ids(grant.purpose), grant.clause)

    def list_titles(conditions: Iterable[str]) -> tuple[str, ...]:
        return tuple(map(condition_titles.__getitem__, conditions))

    parts: list[PurposePart] = []
    for purpose in notice.purposes:
        clause = purpose.clause
        if clause not in purpose_ids:
            continue
        agreed: bool | None = None
        basis_parts: list[BasisPart] = []
        for row in basis_rows[clause]:
            if row.basis == "consent":
                agreed = preferences.has_consented(clause)
            if basis_by_purpose[clause] == SEVERAL_BASES:
                when = list_titles(row.when)
                part = BasisPart(basis=row.basis, sources=row.sources or (), when=when, opt_out=row.opt_out)
                basis_parts.append(part)
        parts.append(
            PurposePart(
                id=clause,
                title=title_in(purpose.title, language),
                granted_by=granting_clause_by_purpose[clause],
                basis=basis_by_purpose[clause],
                suspended=preferences.stops(clause),
                agreed=agreed,
                bases=tuple(basis_parts),
                when=list_titles(conditions_by_purpose[clause]),
            )
        )
    return tuple(parts)


def _build_rights(notice: Notice, language: Language) -> RightsPart | None:
    rights = notice.document.rights
    if rights is None:
        return None
    return RightsPart(
        clause=rights.clause,
        days=rights.days,
        by_agent="agent" in rights.requesters,
        requests=tuple(RightPart(kind=right.id, title=title_in(right.title, language)) for right in rights.request),
    )


def _build_contacts(notice: Notice, language: Language) -> tuple[ContactPart, ...]:
    contact = notice.document.contact
    if contact is None:
        return ()
    parts = [_build_contact("controller", contact.controller, language)]
    if contact.complaints is not None:
        parts.append(_build_contact("complaints", contact.complaints, language))
    return tuple(parts)


def _build_contact(role: Literal["controller", "complaints"], point: ContactPoint, language: Language) -> ContactPart:
    return ContactPart(
        role=role,
        clause=point.clause,
        name=title_in(point.name, language),
        unit=None if point.unit is None else title_in(point.unit, language),
        email=point.email,
        phone=point.phone,
        address=None if point.address is None else title_in(point.address, language),
    )


# ---- What is on record --------------------------------------------------------------------------------------------


def collect_records(
    notice: Notice,
    language: Language,
    *,
    subject: SubjectRecord,
    provisions: Iterable[ProvisionRecord],
    requests: Iterable[Request],
    reasons: Mapping[int, str | None],
    clause_now: ClauseNow = keep_clause,
) -> RecordsAboutSubject:
    """Collect the records about a subject, with the titles of the notice in force, or ids where it has none.

    `clause_now` returns the present clause of a purpose of an earlier revision.
    """
    writer = _RecordWriter(notice, language, clause_now)
    return RecordsAboutSubject(
        preferences=writer.translate_preferences(subject.preferences),
        restrictions=tuple(map(writer.write_restriction, subject.restrictions)),
        consents=tuple(map(writer.write_consent, subject.consents)),
        provisions=tuple(map(writer.write_provision, provisions)),
        requests=tuple(writer.write_request(request, reasons.get(request.id)) for request in requests),
    )


class _RecordWriter:
    """A writer of records as parts of the report, with the titles of a notice in one language and its time zone."""

    def __init__(self, notice: Notice, language: Language, clause_now: ClauseNow) -> None:
        document = notice.document
        self._clause_now = clause_now
        self._notice = notice
        self._language: Language = language
        self._rights = () if document.rights is None else document.rights.request
        self._recipients = _titles_by_id(document.recipients, language)
        self._means = _titles_by_id(document.safeguards.means if document.safeguards else (), language)
        self._countries: dict[str, str] = {}
        if document.transfer is not None:
            for country in document.transfer.country:
                self._countries[country.code] = title_in(country.title, language)

    def translate_preferences(self, preferences: SubjectPreferences) -> SubjectPreferences:
        """Return the preferences with the present clauses of their consents, without purposes that are gone."""
        consents: set[tuple[str, datetime.date]] = set()
        for clause, revision in preferences.consents:
            present_clause = self._clause_now(clause, revision)
            if present_clause is not None:
                consents.add((present_clause, revision))
        return dataclasses.replace(preferences, consents=frozenset(consents))

    def write_restriction(self, restriction: Restriction) -> RestrictionPart:
        return RestrictionPart(
            kind=restriction.kind,
            title=self._get_restriction_title(restriction.kind),
            purposes=self._translate_clauses(restriction.purposes, restriction.revision),
            requester=restriction.by,
            since=self._to_local_time(restriction.recorded),
            until=None if restriction.until is None else self._to_local_time(restriction.until),
            lifted_at=None if restriction.lifted is None else self._to_local_time(restriction.lifted.recorded),
        )

    def write_consent(self, consent: Consent) -> ConsentPart:
        return ConsentPart(
            purpose=consent.purpose,
            title=self._get_purpose_title(consent.purpose, consent.revision),
            revision=consent.revision,
            given_at=self._to_local_time(consent.at),
            withdrawn_at=None if consent.withdrawn is None else self._to_local_time(consent.withdrawn.recorded),
        )

    def write_request(self, request: Request, reason: str | None) -> RequestPart:
        return RequestPart(
            id=request.id,
            kind=request.kind,
            title=self._get_request_title(request.kind),
            requester=request.requester,
            purposes=self._translate_clauses(request.purposes, request.revision),
            state=request.state,
            received_on=self._to_notice_day(request.received_at),
            due_on=request.due_on,
            closed_on=None if request.closed_at is None else self._to_notice_day(request.closed_at),
            reason=reason,
        )

    def write_provision(self, record: ProvisionRecord) -> ProvisionPart:
        provision = record.provision
        purpose = provision.purpose
        return ProvisionPart(
            at=self._to_local_time(provision.at),
            recipient=provision.name or provision.recipient,
            kind=self._recipients.get(provision.kind, provision.kind),
            country=provision.country,
            country_title=self._countries.get(provision.country, provision.country),
            means=self._means.get(provision.means, provision.means),
            purpose=purpose,
            purpose_title=None if purpose is None else self._get_purpose_title(purpose, provision.revision),
            sources=provision.sources,
        )

    def _to_local_time(self, moment: datetime.datetime) -> datetime.datetime:
        return moment.astimezone(load_zone(self._notice.document.timezone))

    def _to_notice_day(self, moment: datetime.datetime) -> datetime.date:
        return to_local_day(self._notice.document.timezone, moment)

    def _translate_clauses(self, clauses: Iterable[str] | None, revision: datetime.date) -> tuple[str, ...] | None:
        """Return the present ids of purposes, or the former ids of those that are gone."""
        return None if clauses is None else tuple(self._clause_now(clause, revision) or clause for clause in clauses)

    def _get_purpose_title(self, clause: str, revision: datetime.date) -> str:
        """Return the title of a purpose or family, or its id if the notice no longer has it."""
        now = self._clause_now(clause, revision)
        try:
            purpose = self._notice.purpose_or_family(now or clause)
        except UnknownPurpose:
            return clause
        # A clause may be another purpose's by now; families have none.
        return title_in(purpose.title, self._language) if now is not None or isinstance(purpose, Family) else clause

    def _get_request_title(self, kind: str) -> str:
        for right in self._rights:
            if right.id == kind:
                return title_in(right.title, self._language)
        return kind

    def _get_restriction_title(self, kind: str) -> str:
        """Return the title of the request that leads to this kind of restriction."""
        rows = [row for row in self._rights if row.id == kind]
        rows += [row for row in self._rights if KIND_OF.get(row.effect) == kind]
        return title_in(rows[0].title, self._language) if rows else kind


def _titles_by_id(kinds: Iterable[Kind], language: Language) -> dict[str, str]:
    return {kind.id: title_in(kind.title, language) for kind in kinds}
