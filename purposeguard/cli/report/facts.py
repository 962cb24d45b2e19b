"""What the page shows: the notice, the code that relies on it, the evidence, and the gaps between them. No HTML."""

from __future__ import annotations

import dataclasses
import datetime
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from purposeguard.cli.application import Forecasts, clauses_of, find_guard, package_of
from purposeguard.cli.report.records import NONE, Evidence, LedgerRecords, Progress, records_of
from purposeguard.cli.report.revisions import RevisionStep, steps
from purposeguard.errors import UnknownPurpose, UnlabelledData
from purposeguard.guard import Guard
from purposeguard.notice.grants import LegalGrounds, source_rows
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import Periods
from purposeguard.notice.schema import Named, Overlay, SourceRow, bases, bases_by_purpose
from purposeguard.notice.timezones import load_zone
from purposeguard.notice.vocabulary import Family, NotPersonal, Source
from purposeguard.runtime.declarations import EntrustmentDeclaration
from purposeguard.runtime.registry import Access, Activity
from purposeguard.runtime.site import Site
from purposeguard.values.annotations import is_taggable
from purposeguard.values.type_schema import Shape, read_shape

# ---- The notice ---------------------------------------------------------------------------------------------------


class NoticeFacts:
    """The revision in force, by the ids of its rows.

    `served`: purpose → the sources that may serve it; `grant_of`: purpose → its clause; `when`: purpose → its
    conditions; `basis` and `stated`: purpose → its legal basis, or all of them; `parents`: the sources that have items.
    """

    def __init__(self, notice: Notice) -> None:
        document = notice.document
        self.notice = notice
        self.document = document
        self.sources = source_rows(document)
        self.parents = {row.parent for row in document.source}
        self.periods = Periods(document)
        self.served = {
            purpose.clause: {source.clause for source in notice.sources if purpose in notice.grants[source]}
            for purpose in notice.purposes
        }
        self.grant_of = {row.id: grant.clause for grant in document.grant for row in grant.purpose}
        self.when = LegalGrounds(document).when
        self.basis, self.stated = bases(document), bases_by_purpose(document)

    def families_of(self, purpose: str) -> list[Family]:
        """Return the families that a purpose belongs to."""
        return [family for family in self.notice.families if purpose in clauses_of(family)]

    def sources_of(self, family: Family) -> set[str]:
        """Return the sources that may serve some purpose of a family."""
        return {source for purpose in clauses_of(family) for source in self.served[purpose]}


def parent_of(row: Named) -> str | None:
    """Return the clause that a source is an item of, or the source that an overlay narrows."""
    return row.parent if isinstance(row, SourceRow) else row.source if isinstance(row, Overlay) else None


# ---- The code -----------------------------------------------------------------------------------------------------


class DeclaredCode(NamedTuple):
    """Code that has to do with sources: the `kind` of declaration, its name and place, its sources, its fields of each.

    `sources` is None if they are unknown. `untagged` are the fields of a class that say nothing.
    """

    kind: str
    name: str
    site: Site | None
    sources: tuple[str, ...] | None
    fields: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    evidence: Evidence | None = None
    untagged: tuple[str, ...] = ()


class CodeFacts:
    """What an application declares, and what is on record of it.

    `purposes`: activity → its purposes in the notice in force, none if it is gone. `unread` are classes whose fields
    cannot be read; `idle` are hand-overs that would be refused to every activity.
    """

    def __init__(self, guard: Guard, target: str, imports: Sequence[str], records: LedgerRecords | None) -> None:
        self.guard = guard
        self.target = target
        self.package = package_of(guard)
        self._table = guard.engine.snapshot.matrix
        self.purposes = {activity: self._purposes(activity) for activity in guard.activities}
        present = [activity for activity, purposes in self.purposes.items() if purposes]
        self.forecasts = Forecasts(guard, present)
        asked = [(self._table.resolve_purpose(activity.purpose), activity.channel) for activity in present]
        self.idle = [
            entrustment
            for entrustment in guard.entrustments
            if (label := entrustment.label) is not None and guard.activities
            if not any(self._table.allows(label, purpose, channel) for purpose, channel in asked)
        ]
        uses: dict[tuple[str | None, str], Evidence] = {}
        for activity, purpose, _, evidence in records.uses() if records is not None else ():
            uses[activity, purpose] = uses.get((activity, purpose), NONE) + evidence
        self.evidence = {
            activity: uses.get((activity.name, activity.purpose_id), NONE) for activity in guard.activities
        }
        self.runs = {} if records is None else {run.values[0]: run for run in records.count_kind("reclassification")}
        denials = {} if records is None else records.denials_in()
        self.unread: list[str] = []
        self.classes = tuple(self._classes(imports))
        self.reading = (
            *(self._access(access, denials.get(access.name, NONE)) for access in guard.accesses),
            *self.classes,
            *(self._fields("table", table.name, dict(table.columns)) for table in guard.tables),
            *(DeclaredCode("hand_over", each.name, each.site, self.sources(each)) for each in guard.entrustments),
        )
        self.all = (
            *self.reading,
            *(
                DeclaredCode("reclassification", each.name, each.site, self.clauses(each.sources))
                for each in guard.reclassifications
            ),
        )

    def _purposes(self, activity: Activity) -> tuple[str, ...]:
        try:
            return clauses_of(self._table.resolve_purpose(activity.purpose))
        except UnknownPurpose:
            return ()

    def clauses(self, label: Label | None) -> tuple[str, ...]:
        """Return the ids of a label's sources in the notice in force. A source that is gone keeps its id."""
        sources = () if label is None else label
        # A term that is gone has no class, only its id.
        present: list[object] = [self._table.current_source(source) for source in sources if source is not NotPersonal]
        return tuple(str(getattr(source, "clause", source)) for source in present)

    def sources(self, entrustment: EntrustmentDeclaration) -> tuple[str, ...] | None:
        """Return the sources of what is handed over; None if they are unknown."""
        return None if entrustment.label is None else self.clauses(entrustment.label)

    def _fields(self, kind: str, name: str, labels: Mapping[str, Label], untagged: Iterable[str] = ()) -> DeclaredCode:
        """Return a class or table, by its tagged fields."""
        fields = self._by_source(labels)
        return DeclaredCode(kind, name, None, tuple(fields), fields, untagged=tuple(untagged))

    def _access(self, access: Access, denials: Evidence) -> DeclaredCode:
        fields = self._by_source({**access.fields, **access.sealed})
        has_sources = access.label is not None or access.sealed
        sources = tuple(dict.fromkeys((*self.clauses(access.label), *fields))) if has_sources else None
        return DeclaredCode("access", access.name, access.site, sources, fields, denials)

    def _by_source(self, labels: Mapping[str, Label]) -> dict[str, tuple[str, ...]]:
        """Return source → the fields that are tagged with it."""
        fields: dict[str, dict[str, None]] = {}
        for path, label in labels.items():
            for clause in self.clauses(label):
                fields.setdefault(clause, {})[path] = None
        return {clause: tuple(paths) for clause, paths in fields.items()}

    def short(self, name: str) -> str:
        """Return a name without the package that all names share."""
        return name.removeprefix(self.package)

    def activities_of(self, purpose: str) -> list[Activity]:
        """Return the activities that state a purpose, or a family that it belongs to."""
        return [activity for activity, purposes in self.purposes.items() if purpose in purposes]

    def code_of(self, source: str) -> list[DeclaredCode]:
        """Return the declared code that reads, holds or hands over data of a source."""
        return [code for code in self.all if source in (code.sources or ())]

    def _classes(self, imports: Sequence[str]) -> Iterator[DeclaredCode]:
        """Yield the application's classes with tagged fields. Add those that cannot be read to `unread`."""
        for cls in _own_classes(_modules(self.guard, self.target, imports)):
            name = f"{cls.__module__}.{cls.__qualname__}"
            try:
                shapes = {path: shape for model in read_shape(cls).models for path, shape in model.columns().items()}
            except UnlabelledData:
                self.unread.append(name)
                continue
            stated = {path: list(_collect_field_sources(shape)) for path, shape in shapes.items()}
            silent = (path for path, shape in shapes.items() if not stated[path] and _is_silent(shape))
            labels = {path: Label(*sources) for path, sources in stated.items() if sources}
            code = self._fields("class", name, labels, silent)
            if code.fields:
                yield code


def _collect_field_sources(shape: Shape) -> Iterator[type[Source]]:
    """Yield the sources that a field states, plain or sealed; those of the fields of a class in it are that class's."""
    for part in shape.iter_parts():
        yield from part.tags | part.seal
        if part.within is not None:
            yield from part.within.sources


def _is_silent(shape: Shape) -> bool:
    """Return True if a field without sources has no seal, mark or class with fields either."""
    return not any(part.sealed or part.marks or part.models for part in shape.iter_parts())


def _modules(guard: Guard, target: str, imports: Sequence[str]) -> list[str]:
    """Return the loaded modules in the packages of what is declared."""
    declared = (*guard.activities, *guard.accesses, *guard.entrustments)
    modules = {target.partition(":")[0], *imports, *(item.site.module for item in declared)}
    packages = {module.rpartition(".")[0] for module in modules} - {""}
    return sorted(
        name
        for name in list(sys.modules)
        if name in modules or any(name == package or name.startswith(f"{package}.") for package in packages)
    )


def _own_classes(modules: Iterable[str]) -> Iterator[type]:
    """Yield the classes that these modules define and whose fields can carry tags, each once."""
    for module in modules:
        # Code may put objects other than modules into `sys.modules`.
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


def gaps_of(notice: NoticeFacts, code: CodeFacts, records: LedgerRecords | None) -> Gaps:
    """Return the gaps between a notice and an application."""
    stated = {purpose for purposes in code.purposes.values() for purpose in purposes}
    read = {source for reading in code.reading for source in reading.sources or ()}
    # Data of an item is data of its clause.
    read |= {parent for row in notice.sources if (parent := parent_of(row)) is not None and row.id in read}
    return Gaps(
        purposes=tuple(Gap(row.id) for row in notice.document.purposes if row.id not in stated),
        sources=tuple(Gap(row.id) for row in notice.sources if row.id not in read),
        code={kind: gaps for kind, gaps in _code_gaps(notice, code, records) if gaps},
        never=None
        if records is None
        else _of_activities(activity for activity, evidence in code.evidence.items() if not evidence.uses),
        untagged=tuple(Gap(field, cls.name) for cls in code.classes for field in cls.untagged),
    )


def _of_activities(activities: Iterable[Activity]) -> tuple[Gap, ...]:
    return tuple(Gap(activity.name, activity.purpose_id) for activity in activities)


def _code_gaps(
    notice: NoticeFacts, code: CodeFacts, records: LedgerRecords | None
) -> Iterator[tuple[str, tuple[Gap, ...]]]:
    """Yield what the code does, or did, that no clause of the notice in force states."""
    source_ids = {NotPersonal.clause, *(row.id for row in notice.sources)}
    forecasts = code.forecasts
    yield "purpose_gone", _of_activities(activity for activity, purposes in code.purposes.items() if not purposes)
    yield (
        "source_gone",
        tuple(
            Gap(each.name, source) for each in code.reading for source in each.sources or () if source not in source_ids
        ),
    )
    unknown = (each.name for each in code.reading if each.kind == "access" and each.sources is None)
    yield "unknown_sources", tuple(map(Gap, unknown))
    yield "unread_class", tuple(map(Gap, code.unread))
    yield "no_channel", _of_activities(forecasts.silent())
    yield "starved", _of_activities(forecasts.find_starved())
    yield "idle_access", tuple(Gap(access.name) for access in forecasts.idle())
    yield "idle_hand_over", tuple(Gap(each.name, each.recipient_id) for each in code.idle)
    if records is None:
        return
    declared = {activity.name for activity in code.purposes}
    ran: dict[Gap, None] = {}
    unstated: dict[Gap, None] = {}
    outside = NONE
    stated = {*notice.grant_of, *(family.name for family in notice.notice.families)}
    for activity, purpose, sources, evidence in records.uses():
        if not purpose:
            outside += evidence
            continue
        if activity is not None and activity not in declared:
            ran[Gap(activity, purpose)] = None
        if purpose not in stated:
            unstated[Gap(purpose, activity or "")] = None
        unstated |= {Gap(source, activity or ""): None for source in sources if source not in source_ids}
    yield "undeclared", tuple(ran)
    yield "unstated", tuple(unstated)
    yield "outside", (Gap(str(outside.denials), outside.last_denial or ""),) if outside else ()


# ---- All of it ----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """All that the page shows. `uses`: source → how often its data was used."""

    made_at: datetime.datetime
    notice: NoticeFacts
    code: CodeFacts
    records: LedgerRecords | None
    gaps: Gaps
    steps: Sequence[RevisionStep]
    uses: Mapping[str, int]


def facts_of(
    target: str,
    *,
    imports: Sequence[str] = (),
    store: str | None = None,
    revisions: Sequence[Notice] = (),
    progress: Progress = lambda _count, _total: None,
) -> Facts:
    """Gather what the page shows of the guard `MODULE:GUARD`.

    Raises:
        Problem: there is no such guard, or no such store.
        NoticeError: a revision is of another notice.
        StoreUnavailable, LedgerBroken: the store, or its ledger, cannot be read.
    """
    guard = find_guard(target, imports)
    records = records_of(guard, store, progress)
    notice = NoticeFacts(guard.notice)
    code = CodeFacts(guard, target, imports, records)
    uses: Counter[str] = Counter()
    for _, _, sources, evidence in records.uses() if records is not None else ():
        uses.update(dict.fromkeys(sources, evidence.uses))
    return Facts(
        made_at=guard.engine.clock.now().astimezone(load_zone(notice.document.timezone)),
        notice=notice,
        code=code,
        records=records,
        gaps=gaps_of(notice, code, records),
        steps=steps(guard, revisions),
        uses=uses,
    )
