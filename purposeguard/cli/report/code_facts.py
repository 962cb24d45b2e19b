"""The code of an application as the page shows it: what it declares, and what is on record of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from purposeguard.cli.application import clauses_of, package_of
from purposeguard.cli.forecasts import Forecasts
from purposeguard.cli.report.records import NONE, Counted, LedgerEvidence, LedgerRecords
from purposeguard.containers import map_values
from purposeguard.errors import UnknownPurpose, UnlabelledData
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, Source
from purposeguard.runtime.declarations import EntrustmentDeclaration, Reclassification
from purposeguard.runtime.registry import Access, Activity
from purposeguard.runtime.site import Site
from purposeguard.values.annotations import is_taggable
from purposeguard.values.type_schema import Shape, read_shape


class DeclaredCode(NamedTuple):
    """Code that has to do with sources."""

    kind: str
    """The kind of declaration, such as `access` or `class`."""
    name: str
    site: Site | None
    sources: tuple[str, ...] | None
    """The ids of the sources; None if they are unknown."""
    fields: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """The fields of each source."""
    evidence: LedgerEvidence | None = None
    """What is on record of it."""
    untagged: tuple[str, ...] = ()
    """The fields of a class that say nothing."""


class CodeFacts:
    """What an application declares, and what is on record of it."""

    def __init__(self, guard: Guard, target: str, imports: Sequence[str], records: LedgerRecords | None) -> None:
        self.guard = guard
        self.target = target
        self.package = package_of(guard)
        self._table = guard.engine.snapshot.matrix
        self.purposes = {activity: self._purposes(activity) for activity in guard.activities}
        """The ids of the purposes of each activity in the notice in force; none if its purpose is gone."""
        self.forecasts = Forecasts(guard, [activity for activity, purposes in self.purposes.items() if purposes])
        self.idle = list(filter(self._is_refused, guard.entrustments))
        """The hand-overs that would be refused to every activity."""
        self.evidence = _evidence_of_activities(guard, records)
        """What is on record of each activity."""
        self.runs: dict[str, Counted] = {}
        """What is on record of each reclassification, by name."""
        if records is not None:
            for run in records.count_kind("reclassification"):
                self.runs[run.values[0]] = run
        self.unread: list[str] = []
        """The classes whose fields cannot be read."""
        self.classes = tuple(self._classes(imports))
        self.reading = (
            *self._accesses({} if records is None else records.denials_in()),
            *self.classes,
            *(self._fields("table", table.name, dict(table.columns)) for table in guard.tables),
            *map(self._entrustment, guard.entrustments),
        )
        """All code that reads, holds or hands over data."""
        self.all = (*self.reading, *map(self._reclassification, guard.reclassifications))

    def _is_refused(self, entrustment: EntrustmentDeclaration) -> bool:
        """Return True if a hand-over would be refused to every activity whose purpose is not gone."""
        if entrustment.label is None or not self.guard.activities:
            return False
        for activity in self.forecasts.activities:
            if self._table.allows(entrustment.label, self._table.resolve_purpose(activity.purpose), activity.channel):
                return False
        return True

    def _accesses(self, denials: Mapping[str, LedgerEvidence]) -> Iterator[DeclaredCode]:
        for access in self.guard.accesses:
            yield self._access(access, denials.get(access.name, NONE))

    def _entrustment(self, entrustment: EntrustmentDeclaration) -> DeclaredCode:
        return DeclaredCode("hand_over", entrustment.name, entrustment.site, self.sources(entrustment))

    def _reclassification(self, declared: Reclassification) -> DeclaredCode:
        return DeclaredCode("reclassification", declared.name, declared.site, self.clauses(declared.sources))

    def _purposes(self, activity: Activity) -> tuple[str, ...]:
        try:
            return clauses_of(self._table.resolve_purpose(activity.purpose))
        except UnknownPurpose:
            return ()

    def clauses(self, label: Label | None) -> tuple[str, ...]:
        """Return the ids of a label's sources in the notice in force. A source that is gone keeps its id."""
        return () if label is None else tuple(self._iter_clauses(label))

    def _iter_clauses(self, label: Label) -> Iterator[str]:
        for source in label:
            if source is not NotPersonal:
                present: object = self._table.current_source(source)
                # A term that is gone has no class, only its id.
                yield str(getattr(present, "clause", present))

    def sources(self, entrustment: EntrustmentDeclaration) -> tuple[str, ...] | None:
        """Return the sources of what is handed over; None if they are unknown."""
        return None if entrustment.label is None else self.clauses(entrustment.label)

    def _fields(self, kind: str, name: str, labels: Mapping[str, Label], untagged: Iterable[str] = ()) -> DeclaredCode:
        """Return a class or table, by its tagged fields."""
        fields = self._by_source(labels)
        return DeclaredCode(kind, name, None, tuple(fields), fields, untagged=tuple(untagged))

    def _access(self, access: Access, denials: LedgerEvidence) -> DeclaredCode:
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
        return map_values(tuple, fields)

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
                shapes = _shapes_by_path(cls)
            except UnlabelledData:
                self.unread.append(name)
                continue
            labels: dict[str, Label] = {}
            untagged: list[str] = []
            for path, shape in shapes.items():
                sources = list(_collect_field_sources(shape))
                if sources:
                    labels[path] = Label(*sources)
                elif _is_silent(shape):
                    untagged.append(path)
            code = self._fields("class", name, labels, untagged)
            if code.fields:
                yield code


def _evidence_of_activities(guard: Guard, records: LedgerRecords | None) -> dict[Activity, LedgerEvidence]:
    """Return what is on record of each activity and its purpose."""
    totals: dict[tuple[str | None, str], LedgerEvidence] = {}
    if records is not None:
        for activity_name, purpose, _, evidence in records.uses():
            totals[activity_name, purpose] = totals.get((activity_name, purpose), NONE) + evidence
    evidence_of: dict[Activity, LedgerEvidence] = {}
    for activity in guard.activities:
        evidence_of[activity] = totals.get((activity.name, activity.purpose_id), NONE)
    return evidence_of


def _shapes_by_path(cls: type) -> dict[str, Shape]:
    """Return the shapes of the fields of a class and of the classes in it.

    Raises:
        UnlabelledData: The fields cannot be read.
    """
    shapes: dict[str, Shape] = {}
    for model in read_shape(cls).models:
        shapes |= model.columns()
    return shapes


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
    modules = {target.partition(":")[0], *imports}
    for declared in (*guard.activities, *guard.accesses, *guard.entrustments):
        modules.add(declared.site.module)
    packages = {module.rpartition(".")[0] for module in modules} - {""}
    inside = tuple(f"{package}." for package in packages)
    named = modules | packages
    loaded = list(sys.modules)
    return sorted({*named.intersection(loaded), *(name for name in loaded if name.startswith(inside))})


def _own_classes(modules: Iterable[str]) -> Iterator[type]:
    """Yield the classes that these modules define and whose fields can carry tags, each once."""
    for module in modules:
        # Code may put objects other than modules into `sys.modules`.
        for value in list(getattr(sys.modules[module], "__dict__", {}).values()):
            if is_taggable(value) and value.__module__ == module:
                yield value
