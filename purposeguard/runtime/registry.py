"""What an application declares: its activities and its access functions, where they stand and what they are for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodType, ModuleType
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakSet

from purposeguard.errors import on_one_line
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import Family, Purpose, Source
from purposeguard.runtime.site import Declared, Site

if TYPE_CHECKING:
    from purposeguard.runtime.declarations import EntrustmentDeclaration, Reclassification, Transform

WHOLE: Final = "(value)"
"""The path, in an inventory, of a value that is sealed as a whole."""


@dataclasses.dataclass(frozen=True, slots=True)
class Activity(Declared):
    """A named piece of processing: one purpose or family, by one channel where it has one, where `conditions` hold."""

    name: str
    purpose: type[Purpose] | Family
    channel: str | None
    observing: bool
    site: Site
    conditions: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Write the name on one line: it stands in messages and log records."""
        object.__setattr__(self, "name", on_one_line(self.name))

    @property
    def purpose_id(self) -> str:
        """The canonical id of the purpose, or the name of the family."""
        return self.purpose.name if isinstance(self.purpose, Family) else self.purpose.clause


@dataclasses.dataclass(slots=True)
class Access(Declared):
    """A data-access function and the sources it reads.

    `withhold`: it gives what it reads without the fields that may not be used; `narrow`: without the rows whose
    subjects, or dates, do not allow it. `named` are the sources named at the decorator; `fields` those of its return
    annotation, by path; `whole` those of the returned value as such; `sealed` those of sealed values in it, by path,
    which are checked where they are opened. `label` is all that counts here, None where everything is sealed. They are
    known at decoration, save where the annotation names what is defined later: then they are, after the first call.
    """

    site: Site
    withhold: bool
    narrow: bool = False
    label: Label | None = None
    named: Label | None = None
    whole: Label | None = None
    fields: Mapping[str, Label] = dataclasses.field(default_factory=dict)
    sealed: Mapping[str, Label] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Module and qualified name."""
        return self.site.dotted

    def fields_from(self, sources: Iterable[type[Source]]) -> tuple[str, ...]:
        """Return the fields that derive from any of these sources."""
        wanted = frozenset(sources)
        return tuple(path for path, label in self.fields.items() if not wanted.isdisjoint(label.sources))


@dataclasses.dataclass(frozen=True, slots=True)
class TaggedTable:
    """A table of an adapter: the columns that name their sources, and whether its rows say whose they are."""

    name: str
    columns: tuple[tuple[str, Label], ...]
    of_subjects: bool = False


class TableHolder(Protocol):
    """What knows tables that may be defined after it, such as a guarded engine."""

    def declared(self) -> Iterable[TaggedTable]:
        """Return the tables defined so far."""
        ...


def advise_registration(fn: object) -> str:
    """What to do so that a strict guard, which tells functions apart by identity, knows this one."""
    if isinstance(fn, (FunctionType, MethodType)):
        return "register it with `@guard.transform`"
    if isinstance(fn, (MethodDescriptorType, type)) or (
        isinstance(fn, BuiltinFunctionType) and isinstance(fn.__self__, ModuleType)
    ):
        return f"register it, `guard.transform({fn.__qualname__})`"
    # `"Dear {}".format`, a partial, an `itemgetter`: what was registered is not what the next such expression makes.
    why = "it may be another object each time that it is written"
    return f"{why}, so bind it once, `fn = guard.transform(…)`, and use that"


class Register:
    """What was declared, in the order of its declaration; nothing is decided by it.

    Activities, accesses, entrustments and transforms are listed once for each place in the code, activities also for
    each purpose, channel and set of conditions there. Reclassifications are listed once for each different declaration,
    since one place may declare several and somebody is to read them all; running one lists nothing. Tables are listed
    once for each name with the same tags.
    """

    __slots__ = (
        "_accesses",
        "_activities",
        "_entrustments",
        "_holders",
        "_reclassifications",
        "_tables",
        "_transforms",
    )

    def __init__(self) -> None:
        self._activities: dict[object, Activity] = {}
        self._accesses: dict[object, Access] = {}
        self._entrustments: dict[object, EntrustmentDeclaration] = {}
        self._reclassifications: dict[Reclassification, None] = {}
        self._transforms: dict[object, Transform] = {}
        self._tables: dict[TaggedTable, None] = {}
        self._holders: WeakSet[TableHolder] = WeakSet()

    def add_activity(self, key: object, activity: Activity) -> None:
        """List an activity, unless one is listed from this place for this purpose.

        One of a notice that was replaced since is listed no more: its classes are not kept.
        """
        where = (key, activity.purpose_id, activity.channel, activity.conditions)
        listed = self._activities.get(where)
        if listed is None or listed.purpose is not activity.purpose:
            self._activities[where] = activity

    def add_access(self, access: Access) -> None:
        """List an access function; one defined again (a reloaded module) replaces the first."""
        self._accesses[access.site] = access

    def add_entrustment(self, entrustment: EntrustmentDeclaration) -> None:
        """List a function that hands data over; one defined again (a reloaded module) replaces the first."""
        self._entrustments[entrustment.site] = entrustment

    def add_reclassification(self, declared: Reclassification, instead: Reclassification | None = None) -> None:
        """List a reclassification, unless the same is listed; `instead` of what said less of it."""
        if instead is not None:
            self._reclassifications.pop(instead, None)
        self._reclassifications.setdefault(declared)

    def add_transform(self, declared: Transform) -> None:
        """List a function that may see plain values, unless it is listed."""
        self._transforms.setdefault((declared.site, declared.name), declared)

    def add_table(self, table: TaggedTable) -> None:
        """List a table, unless the same is listed."""
        self._tables.setdefault(table)

    def add_tables_of(self, holder: TableHolder) -> None:
        """Ask this for its tables whenever they are listed, as long as it exists."""
        self._holders.add(holder)

    @property
    def tables(self) -> tuple[TaggedTable, ...]:
        """By name."""
        for holder in list(self._holders):
            for table in holder.declared():
                self.add_table(table)
        return tuple(sorted(self._tables, key=lambda table: table.name))

    @property
    def entrustments(self) -> tuple[EntrustmentDeclaration, ...]:
        """In the order of their declaration."""
        return tuple(self._entrustments.values())

    @property
    def reclassifications(self) -> tuple[Reclassification, ...]:
        """In the order of their declaration."""
        return tuple(self._reclassifications)

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """In the order of their declaration."""
        return tuple(self._transforms.values())

    @property
    def activities(self) -> tuple[Activity, ...]:
        """In the order of their declaration."""
        return tuple(self._activities.values())

    @property
    def accesses(self) -> tuple[Access, ...]:
        """In the order of their declaration."""
        return tuple(self._accesses.values())
