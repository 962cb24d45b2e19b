"""Making the disclosure report of one subject: what is held, what the notice says of it, and what is on record."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from purposeguard.errors import RequestError, UnknownSource
from purposeguard.governance.holdings import Held, Holding, held_in, opened
from purposeguard.governance.report import (
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
from purposeguard.notice.grants import bases
from purposeguard.notice.history import History
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import Periods, day_in
from purposeguard.notice.schema import Office, Titles
from purposeguard.notice.timezones import Day, zone
from purposeguard.notice.vocabulary import NotPersonal, Source
from purposeguard.policy.row_context import NOTHING_KNOWN, RowContext
from purposeguard.runtime.protocols import CLEAR, SubjectPreferences
from purposeguard.values.rows import abouts_of
from purposeguard.values.sealed import quiet

Opens = Callable[[Any], Any]
"""Opens one sealed value of the subject."""

Door = Callable[[str], contextlib.AbstractContextManager[Opens]]
"""What is given a subject's key and lets a report see what is held of the subject: an exception of a guard."""


@dataclass(frozen=True, slots=True)
class OnRecord:
    """What governance has on record about a subject, as parts of the report."""

    preferences: SubjectPreferences = CLEAR
    restrictions: tuple[RestrictionPart, ...] = ()
    consents: tuple[ConsentPart, ...] = ()
    provisions: tuple[ProvisionPart, ...] = ()
    requests: tuple[RequestPart, ...] = ()


def disclosure(
    notice: Notice,
    subject: str,
    holdings: Iterable[Holding],
    record: OnRecord,
    *,
    now: datetime.datetime,
    language: Language = "en",
    values: bool = False,
    door: Door | None = None,
    request: int | None = None,
    history: History | None = None,
) -> Disclosure:
    """The report about one subject, by the notice in force; `history` has the revisions that fields may be tagged by.

    Raises:
        RequestError: values are to be shown, and there is no way to open those that are sealed; or what a holding gave
            is of another subject.
        UnlabelledData: a holding gave what says of no field where it is from.
    """
    document = notice.document
    reading = _Reading(notice, history or History(notice), subject, language, values)
    parts = reading.holdings(holdings, door)
    categories = _categories(notice, reading.labels)
    wanted = {id_ for category in categories for id_ in category.purposes}
    return Disclosure(
        language=language,
        made_at=now.astimezone(zone(document.timezone)),
        time_zone=document.timezone,
        subject=subject,
        request=request,
        values_shown=values,
        notice=NoticePart(
            id=notice.id,
            revision=notice.revision,
            title=said(document.title, language),
            controller=said(document.controller, language),
        ),
        holdings=parts,
        sources=_sources(notice, reading.labels, language),
        categories=categories,
        purposes=_purposes(notice, wanted, record.preferences, language),
        restrictions=record.restrictions,
        consents=record.consents,
        provisions=record.provisions,
        requests=record.requests,
        rights=_rights(notice, language),
        contacts=_contacts(notice, language),
    )


class _Reading:
    """Reads the holdings, and notes the labels of what it meets."""

    def __init__(self, notice: Notice, history: History, subject: str, language: Language, values: bool) -> None:
        self._notice = notice
        self._history = history
        self._periods = Periods(notice.document)
        self._subject = subject
        self._language: Language = language
        self._values = values
        self.labels: dict[Label, None] = {}

    def holdings(self, holdings: Iterable[Holding], door: Door | None) -> tuple[HoldingPart, ...]:
        through = contextlib.nullcontext(_closed) if door is None else door(self._subject)
        with through as opens:
            return tuple(self._holding(one, opens) for one in holdings)

    def _holding(self, holding: Holding, opens: Opens) -> HoldingPart:
        records = list(reversed(holding.records(self._subject)))
        made: list[RecordPart] = []
        try:
            while records:
                made.append(self._record(holding, records.pop(), opens))
            return HoldingPart(name=holding.name, title=holding.title.get(self._language), records=tuple(made))
        finally:
            records.clear()  # from the traceback, where one of them fails
            made.clear()

    def _record(self, holding: Holding, record: Any, opens: Opens) -> RecordPart:
        try:
            row_contexts = abouts_of(record, holding.row.models)
            whose = {one.subject for one in row_contexts} - {None}
            if whose and self._subject not in whose:
                raise RequestError(
                    f"the holding `{holding.name}` gave a record of another subject than was asked for: it is not "
                    "disclosed"
                )
            about = row_contexts[0] if row_contexts else NOTHING_KNOWN  # the days are the same in each
            items = [item for one in held_in(record, holding.row) for item in self._items(holding, one, about, opens)]
            return RecordPart(collected=self._day(about.collected), ended=self._day(about.ended), items=tuple(items))
        finally:
            del record

    def _items(self, holding: Holding, one: Held, about: RowContext, opens: Opens) -> Iterator[ItemPart]:
        """A datum, as one item; a sealed one that holds a model, when it is opened, as one for each of its fields."""
        try:
            for inner in opened(one, opens) if self._values else (one,):
                label = self._as_called_now(inner.label)
                self.labels.setdefault(label)
                yield ItemPart(
                    path=inner.path,
                    title=holding.title_of(inner.path, self._language),
                    sources=_clauses(self._notice, label),
                    sealed=inner.sealed,
                    held=inner.value is not None,
                    value=_as_json(inner.value) if self._values else None,
                    due_on=self._due_on(label, about),
                )
        finally:
            del one  # from the traceback

    def _as_called_now(self, label: Label) -> Label:
        """A label in the revision in force; what that has no more stays what it was."""
        return Label(*(self._present(one) or one for one in label))

    def _present(self, source: type[Source]) -> type[Source] | None:
        if source in self._notice.grants or source is NotPersonal:
            return source
        held = next((one for one in self._history if source in one.grants), None)
        clause = source.clause
        if held is not None:
            clause = self._history.clause_in("source", clause, held, self._notice) or ""
        try:
            return self._notice.source(clause)
        except UnknownSource:
            return None

    def _due_on(self, label: Label, about: RowContext) -> datetime.date | None:
        known = [one.clause for one in label if _in_force(self._notice, one)]
        days = (self._periods.due_on(one, collected=about.collected, ended=about.ended) for one in known)
        return min((day for day in days if day is not None), default=None)

    def _day(self, given: Day | None) -> datetime.date | None:
        return None if given is None else day_in(self._notice.document.timezone, given)


def _closed(_: Any) -> Any:
    raise RequestError(
        "the values of sealed fields are to be shown, and nothing opens them: make the report under a guard's exception"
    )


def _as_json(value: Any) -> JsonValue:
    """A value as JSON. What JSON has no form for is told as text: the report is for the subject.

    Raises:
        SealedValue: the value's own code failed. What it raised may show the value, so it is not told.
    """
    try:
        found: JsonValue = from_json(to_json(value, bytes_mode="base64", inf_nan_mode="strings", fallback=str))
    except Exception as error:  # noqa: BLE001  # raised below, without what it said
        told = quiet(f"writing a {type(value).__qualname__} as text", error)
    else:
        return found
    finally:
        del value
    raise told


# ---- What the notice says -----------------------------------------------------------------------------------------


def _in_force(notice: Notice, source: type[Source]) -> type[Source] | None:
    """The source itself, if it is one of the notice; None where the clause is gone, or nothing personal is meant."""
    return source if source in notice.grants else None


def _clauses(notice: Notice, label: Label) -> tuple[str, ...]:
    """The clauses of a label, in the notice's order; those that it has no longer come last."""
    order = {source.clause: number for number, source in enumerate(notice.sources)}
    return tuple(sorted({one.clause for one in label}, key=lambda id_: (order.get(id_, len(order)), id_)))


def _categories(notice: Notice, labels: Iterable[Label]) -> tuple[CategoryPart, ...]:
    order = {source.clause: number for number, source in enumerate(notice.sources)}
    by_clauses = {_clauses(notice, label): label for label in labels}
    found = sorted(by_clauses, key=lambda ids: [order.get(id_, len(order)) for id_ in ids])
    return tuple(CategoryPart(sources=ids, purposes=_granted(notice, by_clauses[ids])) for ids in found)


def _granted(notice: Notice, label: Label) -> tuple[str, ...]:
    """The purposes that the notice grants to every source of a label (rule 2), in its order."""
    sources = [_in_force(notice, one) for one in label]
    granted = [frozenset() if one is None else notice.grants[one].keys() for one in sources]
    return tuple(purpose.clause for purpose in notice.purposes if all(purpose in one for one in granted))


def _sources(notice: Notice, labels: Iterable[Label], language: Language) -> tuple[SourcePart, ...]:
    periods = Periods(notice.document)
    met = {source.clause: source for label in labels for source in label}
    found: list[SourcePart] = []
    for id_ in _clauses(notice, Label(*met.values())) if met else ():
        source = _in_force(notice, met[id_])
        retention = [] if source is None else periods.of(id_)
        found.append(
            SourcePart(
                id=id_,
                title=(source or met[id_]).title[language],
                in_force=source is not None,
                retention=tuple(RetentionPart(days=one.days, counted_from=one.from_) for one in retention),
            )
        )
    return tuple(found)


def _purposes(
    notice: Notice, wanted: Container[str], preferences: SubjectPreferences, language: Language
) -> tuple[PurposePart, ...]:
    resting_on = bases(notice.document)
    clause_of = {row.id: grant.clause for grant in notice.document.grant for row in grant.purpose}
    return tuple(
        PurposePart(
            id=one.clause,
            title=one.title[language],
            granted_by=clause_of[one.clause],
            basis=resting_on[one.clause],
            suspended=preferences.stops(one.clause),
            agreed=preferences.agreed(one.clause) if resting_on[one.clause] == "consent" else None,
        )
        for one in notice.purposes
        if one.clause in wanted
    )


def _rights(notice: Notice, language: Language) -> RightsPart | None:
    rights = notice.document.rights
    if rights is None:
        return None
    return RightsPart(
        clause=rights.clause,
        days=rights.days,
        by_agent="agent" in rights.requesters,
        requests=tuple(RightPart(kind=one.id, title=said(one.title, language)) for one in rights.request),
    )


def _contacts(notice: Notice, language: Language) -> tuple[ContactPart, ...]:
    contact = notice.document.contact
    if contact is None:
        return ()
    offices: list[tuple[Literal["controller", "complaints"], Office | None]]
    offices = [("controller", contact.controller), ("complaints", contact.complaints)]
    return tuple(
        ContactPart(
            role=role,
            clause=office.clause,
            name=said(office.name, language),
            unit=None if office.unit is None else said(office.unit, language),
            email=office.email,
            phone=office.phone,
            address=None if office.address is None else said(office.address, language),
        )
        for role, office in offices
        if office is not None
    )


def said(titles: Titles, language: Language) -> str:
    """A title in a language."""
    return titles.ja if language == "ja" else titles.en
