"""What the page shows: the notice, the code that relies on it, the evidence, and the gaps between them. No HTML."""

from __future__ import annotations

import dataclasses
import datetime
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from purposeguard.cli.application import Outcome, find_guard, outcome, read_annotations
from purposeguard.cli.inventory import _package, _table_outcome
from purposeguard.cli.report.records import NONE, Evidence, Records, Told, records_of
from purposeguard.cli.report.revisions import Step, steps
from purposeguard.errors import UnknownPurpose, UnlabelledData
from purposeguard.guard import Guard
from purposeguard.notice.grants import source_rows
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import Periods
from purposeguard.notice.schema import (
    Basis,
    Derivation,
    Document,
    Grant,
    Named,
    Overlay,
    Period,
    SourceRow,
    Titles,
    bases,
    stated_bases,
)
from purposeguard.notice.timezones import zone
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source
from purposeguard.policy.table import PolicyTable
from purposeguard.policy.transfers import Recipient
from purposeguard.runtime.declarations import Reclassification
from purposeguard.runtime.registry import Activity
from purposeguard.runtime.site import Site
from purposeguard.values.annotations import is_taggable
from purposeguard.values.type_schema import Shape, shape_of

Kind = Literal["source", "derivation", "overlay"]


# ---- The notice ---------------------------------------------------------------------------------------------------


Texts = Mapping[str, str]
"""What the notice itself says in a row, by language; empty where it holds no words of it."""


@dataclasses.dataclass(frozen=True, slots=True)
class SourceFact:
    """A source: what kind it is, its parent, and the periods for which its data is kept."""

    id: str
    slug: str
    title: Titles
    kind: Kind
    parent: str | None
    parents: bool
    periods: tuple[Period, ...]
    texts: Texts


@dataclasses.dataclass(frozen=True, slots=True)
class PurposeFact:
    """A purpose: its clause, its basis or bases, its conditions and channels, the sources that may serve it or may not.

    `bases`: where there are several, each with its basis, its sources, the titles of its conditions, and whether people
    may opt out.
    """

    id: str
    slug: str
    title: Titles
    clause: str
    basis: Basis | Literal["several"] | None
    channels: tuple[str, ...]
    closed: bool
    sources: frozenset[str]
    forbidden: frozenset[str]
    texts: Texts
    when: tuple[Titles, ...] = ()
    bases: tuple[tuple[Basis | None, tuple[str, ...], tuple[Titles, ...], bool], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class GrantFact:
    """A clause that grants purposes."""

    clause: str
    title: Titles
    purposes: tuple[str, ...]
    texts: Texts


@dataclasses.dataclass(frozen=True, slots=True)
class FamilyFact:
    """A family: its purposes, and the sources that may serve it."""

    name: str
    slug: str
    title: Titles
    purposes: tuple[str, ...]
    sources: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True)
class NoticeFacts:
    """The revision in force."""

    id: str
    revision: datetime.date
    title: Titles
    controller: Titles
    sources: tuple[SourceFact, ...]
    grants: tuple[GrantFact, ...]
    purposes: tuple[PurposeFact, ...]
    families: tuple[FamilyFact, ...]
    channels: Mapping[str, Titles]
    requests: Mapping[str, Titles]
    recipients: Mapping[str, Titles]
    means: Mapping[str, Titles]

    def families_of(self, purpose: str) -> tuple[FamilyFact, ...]:
        """The families that a purpose belongs to."""
        return tuple(family for family in self.families if purpose in family.purposes)


KIND_OF: Final[Mapping[type, Kind]] = {SourceRow: "source", Overlay: "overlay", Derivation: "derivation"}


def notice_facts(notice: Notice) -> NoticeFacts:
    """The notice as the page shows it."""
    document = notice.document
    rows = source_rows(document)
    parents = {row.parent for row in document.source}
    periods = Periods(document)
    served: dict[str, set[str]] = {
        purpose.clause: {source.clause for source in notice.sources if purpose in notice.grants[source]}
        for purpose in notice.purposes
    }
    forbidden: dict[str, set[str]] = defaultdict(set)
    for source, purpose in notice.prohibited:
        forbidden[purpose].add(source)
    basis, stated = bases(document), stated_bases(document)
    conditions = {row.id: row.title for row in document.condition}

    def texts(row: Named | Grant) -> Texts:
        return {} if row.text is None else {tag: notice.words_of(passage) for tag, passage in row.text.items()}

    rights, safeguards = document.rights, document.safeguards
    return NoticeFacts(
        id=notice.id,
        revision=notice.revision,
        title=document.title,
        controller=document.controller,
        sources=tuple(
            SourceFact(
                row.id,
                row.slug,
                row.title,
                KIND_OF[type(row)],
                _parent(row),
                row.id in parents,
                periods.of(row.id),
                texts(row),
            )
            for row in rows
        ),
        grants=tuple(
            GrantFact(grant.clause, grant.title, tuple(row.id for row in grant.purpose), texts(grant))
            for grant in document.grant
        ),
        purposes=tuple(
            PurposeFact(
                id=row.id,
                slug=row.slug,
                title=row.title,
                clause=grant.clause,
                basis=basis[row.id],
                channels=() if row.channels is None else row.channels.closed or row.channels.open or (),
                closed=row.channels is not None and row.channels.closed is not None,
                sources=frozenset(served[row.id]),
                forbidden=frozenset(forbidden[row.id]),
                texts=texts(row),
                when=tuple(conditions[one] for one in dict.fromkeys((*grant.when, *row.when))),
                bases=tuple(
                    (one.basis, one.sources or (), tuple(conditions[given] for given in one.when), one.opt_out)
                    for one in stated[row.id]
                    if basis[row.id] == "several"
                ),
            )
            for grant in document.grant
            for row in grant.purpose
        ),
        families=tuple(
            FamilyFact(
                family.name,
                family.slug,
                Titles(dict(family.title)),
                tuple(member.clause for member in family.members),
                frozenset(source for member in family.members for source in served[member.clause]),
            )
            for family in notice.families
        ),
        channels={row.id: row.title for row in document.channel},
        requests={} if rights is None else {row.id: row.title for row in rights.request},
        recipients={row.id: row.title for row in document.recipients},
        means={} if safeguards is None else {row.id: row.title for row in safeguards.means},
    )


def _parent(row: object) -> str | None:
    return row.parent if isinstance(row, SourceRow) else row.source if isinstance(row, Overlay) else None


# ---- The code -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class ActivityFact:
    """An activity: where it is, its purposes in the notice in force (none if it is gone), and what is on record.

    `silent`: its clause names its channels, and it states none. `starved`: every access function is refused to it.
    """

    name: str
    site: Site
    purpose: str
    purposes: tuple[str, ...]
    family: str | None
    channel: str | None
    observing: bool
    silent: bool
    starved: bool
    evidence: Evidence


@dataclasses.dataclass(frozen=True, slots=True)
class AccessFact:
    """An access function: the sources that it reads, plain and sealed, with their fields; None if they are unknown.

    `idle`: every activity would be refused what it reads.
    """

    name: str
    site: Site
    fields: Mapping[str, tuple[str, ...]]
    sources: tuple[str, ...] | None
    withholds: bool
    idle: bool
    evidence: Evidence


@dataclasses.dataclass(frozen=True, slots=True)
class ClassFact:
    """A class with tagged fields, or a table of an adapter: source → its fields; and the fields that say nothing."""

    name: str
    module: str | None
    fields: Mapping[str, tuple[str, ...]]
    untagged: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class HandOverFact:
    """A function that hands data to a recipient. `idle`: it would be refused to every activity."""

    name: str
    site: Site
    recipient: str
    kind: str | None
    country: str | None
    sources: tuple[str, ...] | None
    means: str | None
    idle: bool


@dataclasses.dataclass(frozen=True, slots=True)
class ReclassificationFact:
    """A declared way out of some sources, and how often it ran."""

    name: str
    site: Site
    sources: tuple[str, ...]
    to: tuple[str, ...]
    why: str
    approver: str | None
    runs: int
    last: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class CodeFacts:
    """What the application declares. `unread` are classes whose fields cannot be read."""

    target: str
    package: str
    activities: tuple[ActivityFact, ...]
    accesses: tuple[AccessFact, ...]
    classes: tuple[ClassFact, ...]
    unread: tuple[str, ...]
    tables: tuple[ClassFact, ...]
    hand_overs: tuple[HandOverFact, ...]
    reclassifications: tuple[ReclassificationFact, ...]

    def short(self, name: str) -> str:
        """A name without the package that all share."""
        return name.removeprefix(self.package)


class _Reader:
    """Reads the declarations of a guard, and what is on record of each."""

    def __init__(self, guard: Guard, records: Records | None) -> None:
        self.guard = guard
        self.notice = guard.notice
        self.table: PolicyTable = guard._engine.snapshot.matrix
        self.unread = read_annotations(guard)
        self.present = {activity: self._present(activity) for activity in guard.activities}
        self.evidence: dict[tuple[str, str], Evidence] = {}
        for activity, purpose, _, evidence in records.uses() if records is not None else ():
            if activity is not None:
                key = activity, purpose
                self.evidence[key] = self.evidence.get(key, NONE) + evidence
        self.denials = records.denials_in() if records is not None else {}
        self.runs = {
            counted.values[0]: counted
            for counted in (records.counted("reclassification") if records is not None else ())
        }

    def _present(self, activity: Activity) -> type[Purpose] | Family | None:
        """The purpose of an activity in the notice in force; None if it is gone."""
        try:
            return self.table.purpose(activity.purpose)
        except UnknownPurpose:
            return None

    def clauses(self, label: Label | None) -> tuple[str, ...]:
        """The ids of a label's sources in the notice in force; of one that is gone, its own."""
        sources = () if label is None else label
        # What is gone has no class: only its id, as a text.
        present: list[object] = [self.table.current(source) for source in sources if source is not NotPersonal]
        return tuple(str(getattr(source, "clause", source)) for source in present)

    def by_source(self, fields: Mapping[str, Label]) -> dict[str, tuple[str, ...]]:
        """Source → the fields that are tagged with it."""
        found: dict[str, list[str]] = {}
        for path, label in fields.items():
            for clause in self.clauses(label):
                found.setdefault(clause, []).append(path)
        return {clause: tuple(dict.fromkeys(paths)) for clause, paths in found.items()}

    def outcomes(self) -> dict[Activity, tuple[Outcome, ...]]:
        """What comes of each activity that has a purpose calling each access function."""
        alike: dict[object, tuple[Outcome, ...]] = {}
        found: dict[Activity, tuple[Outcome, ...]] = {}
        for activity, purpose in self.present.items():
            if purpose is not None:
                key = activity.purpose, activity.channel
                if key not in alike:
                    alike[key] = tuple(
                        outcome(self.guard, activity, access, self.unread.get(access.site))
                        for access in self.guard.accesses
                    )
                found[activity] = alike[key]
        return found


def code_facts(guard: Guard, target: str, imports: Sequence[str], records: Records | None) -> CodeFacts:
    """The declarations of an application, with the evidence of each."""
    reader = _Reader(guard, records)
    outcomes = reader.outcomes()
    reached = {each.access.site for every in outcomes.values() for each in every if each.verdict != "refused"}
    tables = guard.tables
    usable: dict[Activity, bool] = {
        activity: any(each.verdict != "refused" for each in every)
        or any(len(_table_outcome(guard, activity, table).refused) < len(table.columns) for table in tables)
        for activity, every in outcomes.items()
    }
    classes, unread = _classes(guard, target, imports, reader)
    return CodeFacts(
        target=target,
        package=_package(item.site for item in (*guard.activities, *guard.accesses, *guard.entrustments)),
        activities=tuple(_activities(reader, usable)),
        accesses=tuple(_accesses(reader, reached)),
        classes=classes,
        unread=unread,
        tables=tuple(ClassFact(table.name, None, reader.by_source(dict(table.columns))) for table in tables),
        hand_overs=tuple(_hand_overs(reader)),
        reclassifications=tuple(_reclassification(declared, reader) for declared in guard.reclassifications),
    )


def _activities(reader: _Reader, usable: Mapping[Activity, bool]) -> Iterator[ActivityFact]:
    for activity, purpose in reader.present.items():
        family = activity.purpose if isinstance(activity.purpose, Family) else None
        yield ActivityFact(
            name=activity.name,
            site=activity.site,
            purpose=activity.purpose_id,
            purposes=() if purpose is None else _clauses(purpose),
            family=None if family is None else family.name,
            channel=activity.channel,
            observing=activity.observing,
            silent=purpose is not None and activity.channel is None and reader.table.must_state_channel(purpose),
            starved=purpose is not None and bool(reader.guard.accesses) and not usable[activity],
            evidence=reader.evidence.get((activity.name, activity.purpose_id), NONE),
        )


def _clauses(purpose: type[Purpose] | Family) -> tuple[str, ...]:
    return tuple(one.clause for one in (purpose.members if isinstance(purpose, Family) else (purpose,)))


def _accesses(reader: _Reader, reached: frozenset[Site] | set[Site]) -> Iterator[AccessFact]:
    for access in reader.guard.accesses:
        known = access.label is not None or bool(access.sealed)
        fields = reader.by_source({**access.fields, **access.sealed})
        plain = reader.clauses(access.label)
        yield AccessFact(
            name=access.name,
            site=access.site,
            fields=fields,
            sources=tuple(dict.fromkeys((*plain, *fields))) if known else None,
            withholds=access.withhold,
            idle=bool(reader.guard.activities) and access.site not in reached,
            evidence=reader.denials.get(access.name, NONE),
        )


def _hand_overs(reader: _Reader) -> Iterator[HandOverFact]:
    guard = reader.guard
    asked = {(purpose, activity.channel) for activity, purpose in reader.present.items() if purpose is not None}
    for entrustment in guard.entrustments:
        label = entrustment.label
        known = entrustment.recipient if isinstance(entrustment.recipient, Recipient) else None
        idle = label is not None and bool(guard.activities)
        idle = idle and not any(reader.table.allows(label, purpose, channel) for purpose, channel in asked)
        yield HandOverFact(
            name=entrustment.name,
            site=entrustment.site,
            recipient=entrustment.recipient_id,
            kind=None if known is None else known.kind,
            country=None if known is None else known.country,
            sources=None if label is None else reader.clauses(label),
            means=entrustment.means or (None if known is None else known.means),
            idle=idle,
        )


def _reclassification(declared: Reclassification, reader: _Reader) -> ReclassificationFact:
    run = reader.runs.get(declared.name)
    return ReclassificationFact(
        name=declared.name,
        site=declared.site,
        sources=reader.clauses(declared.sources),
        to=reader.clauses(declared.to),
        why=declared.why,
        approver=declared.approver,
        runs=0 if run is None else run.times,
        last=None if run is None else run.last,
    )


def _classes(
    guard: Guard, target: str, imports: Sequence[str], reader: _Reader
) -> tuple[tuple[ClassFact, ...], tuple[str, ...]]:
    """The classes with tagged fields in the application's modules, and those whose fields cannot be read."""
    found: list[ClassFact] = []
    unread: list[str] = []
    for cls in _own_classes(_modules(guard, target, imports)):
        name = f"{cls.__module__}.{cls.__qualname__}"
        try:
            shapes = {path: shape for model in shape_of(cls).models for path, shape in model.columns().items()}
        except UnlabelledData:
            unread.append(name)
            continue
        stated = {path: list(_stated(shape)) for path, shape in shapes.items()}
        fields = reader.by_source({path: Label(*sources) for path, sources in stated.items() if sources})
        if fields:
            silent = (path for path, shape in shapes.items() if not stated[path] and _is_silent(shape))
            found.append(ClassFact(name, cls.__module__, fields, tuple(silent)))
    return tuple(found), tuple(unread)


def _stated(shape: Shape) -> Iterator[type[Source]]:
    """The sources that a field states, plain or sealed; those of the fields of a class in it are that class's."""
    for part in shape.parts():
        yield from part.tags | part.seal
        if part.within is not None:
            yield from part.within.sources


def _is_silent(shape: Shape) -> bool:
    """True if a field without sources has no seal, mark or class with fields either."""
    return not any(part.sealed or part.marks or part.models for part in shape.parts())


def _modules(guard: Guard, target: str, imports: Sequence[str]) -> list[str]:
    """The loaded modules in the packages of what is declared."""
    declared = (*guard.activities, *guard.accesses, *guard.entrustments)
    modules = {target.partition(":")[0], *imports, *(item.site.module for item in declared)}
    packages = {module.rpartition(".")[0] for module in modules} - {""}
    return sorted(
        name
        for name in list(sys.modules)
        if name in modules or any(name == package or name.startswith(f"{package}.") for package in packages)
    )


def _own_classes(modules: Iterable[str]) -> Iterator[type]:
    """The classes that these modules define and whose fields can carry tags, each once."""
    for module in modules:
        # Code may put into `sys.modules` what is no module.
        for value in list(getattr(sys.modules[module], "__dict__", {}).values()):
            if is_taggable(value) and value.__module__ == module:
                yield value


# ---- The gaps -----------------------------------------------------------------------------------------------------


class Gap(NamedTuple):
    """What one side has and the other lacks: `name` is an id, or a name of code; `of` is what it belongs to."""

    name: str
    of: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Gaps:
    """What has no code, what code has no clause, what never ran, and what says nothing.

    `never` are activities without a use on record, None where there is no ledger.
    """

    purposes: tuple[Gap, ...]
    sources: tuple[Gap, ...]
    code: Mapping[str, tuple[Gap, ...]]
    never: tuple[Gap, ...] | None
    untagged: tuple[Gap, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        plain = (self.purposes, self.sources, self.never or (), self.untagged)
        return sum(map(len, (*plain, *self.code.values())))


def gaps_of(notice: NoticeFacts, code: CodeFacts, records: Records | None) -> Gaps:
    """The gaps between a notice and an application."""
    stated = {purpose for activity in code.activities for purpose in activity.purposes}
    read: set[str] = {source for access in code.accesses for source in access.sources or ()}
    read |= {source for fact in (*code.classes, *code.tables) for source in fact.fields}
    read |= {source for hand_over in code.hand_overs for source in hand_over.sources or ()}
    # Data of an item is data of its clause.
    read |= {source.parent for source in notice.sources if source.parent is not None and source.id in read}
    untagged_ = (Gap(field, fact.name) for fact in code.classes for field in fact.untagged)
    return Gaps(
        purposes=tuple(Gap(purpose.id) for purpose in notice.purposes if purpose.id not in stated),
        sources=tuple(Gap(source.id) for source in notice.sources if source.id not in read),
        code={kind: found for kind, found in _code_gaps(notice, code, records) if found},
        never=None
        if records is None
        else tuple(Gap(activity.name, activity.purpose) for activity in code.activities if not activity.evidence.uses),
        untagged=tuple(untagged_),
    )


def _code_gaps(notice: NoticeFacts, code: CodeFacts, records: Records | None) -> Iterator[tuple[str, tuple[Gap, ...]]]:
    """What the code does, or did, that no clause of the notice in force states."""
    known = {NotPersonal.clause, *(source.id for source in notice.sources)}
    yield "purpose_gone", tuple(Gap(one.name, one.purpose) for one in code.activities if not one.purposes)
    yield (
        "source_gone",
        tuple(Gap(name, source) for name, sources in _readers(code) for source in sources if source not in known),
    )
    yield "unknown_sources", tuple(Gap(access.name) for access in code.accesses if access.sources is None)
    yield "unread_class", tuple(map(Gap, code.unread))
    yield "no_channel", tuple(Gap(one.name, one.purpose) for one in code.activities if one.silent)
    yield "starved", tuple(Gap(one.name, one.purpose) for one in code.activities if one.starved)
    yield "idle_access", tuple(Gap(access.name) for access in code.accesses if access.idle)
    yield "idle_hand_over", tuple(Gap(one.name, one.recipient) for one in code.hand_overs if one.idle)
    if records is None:
        return
    declared = {activity.name for activity in code.activities}
    ran: dict[Gap, None] = {}
    unstated: dict[Gap, None] = {}
    outside = NONE
    stated = {*(purpose.id for purpose in notice.purposes), *(family.name for family in notice.families)}
    for activity, purpose, sources, evidence in records.uses():
        if not purpose:
            outside += evidence
            continue
        if activity is not None and activity not in declared:
            ran[Gap(activity, purpose)] = None
        if purpose not in stated:
            unstated[Gap(purpose, activity or "")] = None
        unstated |= {Gap(source, activity or ""): None for source in sources if source not in known}
    yield "undeclared", tuple(ran)
    yield "unstated", tuple(unstated)
    yield "outside", (Gap(str(outside.denials), outside.last_denial or ""),) if outside else ()


def _readers(code: CodeFacts) -> Iterator[tuple[str, Iterable[str]]]:
    yield from ((access.name, access.sources or ()) for access in code.accesses)
    yield from ((fact.name, fact.fields) for fact in (*code.classes, *code.tables))
    yield from ((hand_over.name, hand_over.sources or ()) for hand_over in code.hand_overs)


# ---- All of it ----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """All that the page shows."""

    made_at: datetime.datetime
    time_zone: str
    notice: NoticeFacts
    code: CodeFacts
    records: Records | None
    gaps: Gaps
    steps: tuple[Step, ...]
    purpose_evidence: Mapping[str, Evidence]
    source_evidence: Mapping[str, Evidence]


def facts_of(
    target: str,
    *,
    imports: Sequence[str] = (),
    store: str | None = None,
    revisions: Sequence[Notice] = (),
    told: Told = lambda _count, _total: None,
) -> Facts:
    """Gathers what the page shows of the guard `MODULE:GUARD`.

    Raises:
        Problem: there is no such guard, or no such store.
        NoticeError: a revision is of another notice.
        StoreUnavailable, LedgerBroken: the store, or its ledger, cannot be read.
    """
    guard = find_guard(target, imports)
    records = records_of(guard, store, told)
    notice = notice_facts(guard.notice)
    code = code_facts(guard, target, imports, records)
    by_purpose: dict[str, Evidence] = {}
    by_source: dict[str, Evidence] = {}
    for _, purpose, sources, evidence in records.uses() if records is not None else ():
        by_purpose[purpose] = by_purpose.get(purpose, NONE) + evidence
        for source in sources:
            by_source[source] = by_source.get(source, NONE) + evidence
    document: Document = guard.notice.document
    now = guard._engine.clock.now()
    return Facts(
        made_at=now.astimezone(zone(document.timezone)),
        time_zone=document.timezone,
        notice=notice,
        code=code,
        records=records,
        gaps=gaps_of(notice, code, records),
        steps=steps(guard, revisions),
        purpose_evidence=by_purpose,
        source_evidence=by_source,
    )
