"""The inventory of a guard: the activities, access functions and other declarations of an application."""

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
"""The path in the inventory of a value that is sealed as a whole."""


@dataclasses.dataclass(frozen=True, slots=True)
class Activity(Declared):
    """A named piece of processing for a purpose.

    Attributes:
        name: The name of the activity.
        purpose: The purpose or family.
        channel: The channel by which persons are contacted, if any.
        observing: True if violations are only observed.
        site: The place of the function or block.
        conditions: The conditions of the notice that are stated to hold.
    """

    name: str
    purpose: type[Purpose] | Family
    channel: str | None
    observing: bool
    site: Site
    conditions: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Put the name on one line, because it appears in messages and log records."""
        object.__setattr__(self, "name", on_one_line(self.name))

    @property
    def purpose_id(self) -> str:
        """The canonical id of the purpose, or the name of the family."""
        return self.purpose.name if isinstance(self.purpose, Family) else self.purpose.clause


@dataclasses.dataclass(slots=True)
class Access(Declared):
    """A data-access function and the sources that it reads.

    The labels are set when the function is decorated. If its annotation names a class that is defined later, they are
    set at the first call.

    Attributes:
        site: The place of the function.
        withhold: True if denied fields are withheld.
        narrow: True if rows are dropped whose subject or dates do not allow the use.
        label: All sources that are checked when the function is called. None if all of the data is sealed.
        named: The sources that the decorator names.
        whole: The sources of the returned value itself.
        fields: The sources of the fields in the return annotation, by path.
        sealed: The sources of sealed values in the return annotation, by path. They are checked when they are opened.
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
        """The module and qualified name of the function."""
        return self.site.dotted

    def list_fields(self) -> tuple[tuple[str, Label], ...]:
        """Return the tagged fields of the result with their labels.

        A result that is tagged as a whole has the name of the function.
        """
        fields = tuple(self.fields.items())
        whole = self.named if self.whole is None else self.whole
        return fields if whole is None else ((self.name, whole), *fields)

    def fields_from(self, sources: Iterable[type[Source]]) -> tuple[str, ...]:
        """Return the fields that derive from any of these sources."""
        source_set = frozenset(sources)
        return tuple(path for path, label in self.fields.items() if not source_set.isdisjoint(label.sources))


@dataclasses.dataclass(frozen=True, slots=True)
class TaggedTable:
    """A table of an adapter.

    Attributes:
        name: The name of the table.
        columns: The tagged columns with their labels.
        of_subjects: True if the rows name their subjects.
    """

    name: str
    columns: tuple[tuple[str, Label], ...]
    of_subjects: bool = False


class TableHolder(Protocol):
    """An object whose tables may be defined after it, such as a guarded engine."""

    def list_declared_tables(self) -> Iterable[TaggedTable]:
        """Return the tables defined so far."""
        ...


def advise_registration(fn: object) -> str:
    """Return advice on registering a function with a strict guard, which compares functions by identity."""
    if isinstance(fn, (FunctionType, MethodType)):
        return "register it with `@guard.transform`"
    if isinstance(fn, (MethodDescriptorType, type)) or (
        isinstance(fn, BuiltinFunctionType) and isinstance(fn.__self__, ModuleType)
    ):
        return f"register it, `guard.transform({fn.__qualname__})`"
    # `"Dear {}".format`, a partial or an `itemgetter` is a new object each time that the expression is evaluated.
    why = "it may be another object each time that it is written"
    return f"{why}, so bind it once, `fn = guard.transform(…)`, and use that"


class Register:
    """The inventory of declarations in the order in which they were made. No decision depends on it.

    Activities, accesses, entrustments and transforms are listed once for each place in the code, activities also for
    each purpose, channel and set of conditions there. Reclassifications are listed once for each different declaration,
    because one place may declare several and a reviewer must see all of them. Running a reclassification lists nothing.
    Tables are listed once for each name with the same tags.
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
        """List an activity, unless one for the same purpose is already listed from this place.

        An activity with the purpose class of a replaced notice is overwritten, so that the class can be freed.
        """
        identity = (key, activity.purpose_id, activity.channel, activity.conditions)
        listed = self._activities.get(identity)
        if listed is None or listed.purpose is not activity.purpose:
            self._activities[identity] = activity

    def add_access(self, access: Access) -> None:
        """List an access function. If its module is reloaded, it replaces the earlier one."""
        self._accesses[access.site] = access

    def add_entrustment(self, entrustment: EntrustmentDeclaration) -> None:
        """List a function that hands data over. If its module is reloaded, it replaces the earlier one."""
        self._entrustments[entrustment.site] = entrustment

    def add_reclassification(self, declared: Reclassification, instead: Reclassification | None = None) -> None:
        """List a reclassification, unless an equal one is listed.

        Args:
            declared: The declaration.
            instead: A less specific declaration that it replaces, if any.
        """
        if instead is not None:
            self._reclassifications.pop(instead, None)
        self._reclassifications.setdefault(declared)

    def add_transform(self, declared: Transform) -> None:
        """List a function that may see plain values, unless it is already listed."""
        self._transforms.setdefault((declared.site, declared.name), declared)

    def add_table(self, table: TaggedTable) -> None:
        """List a table, unless an equal one is listed."""
        self._tables.setdefault(table)

    def add_tables_of(self, holder: TableHolder) -> None:
        """Read the tables of a holder whenever tables are listed, as long as the holder exists."""
        self._holders.add(holder)

    @property
    def tables(self) -> tuple[TaggedTable, ...]:
        """The tables, sorted by name."""
        for holder in list(self._holders):
            for table in holder.list_declared_tables():
                self.add_table(table)
        return tuple(sorted(self._tables, key=lambda table: table.name))

    @property
    def entrustments(self) -> tuple[EntrustmentDeclaration, ...]:
        """The functions that hand data over in the order of their declaration."""
        return tuple(self._entrustments.values())

    @property
    def reclassifications(self) -> tuple[Reclassification, ...]:
        """The reclassifications in the order of their declaration."""
        return tuple(self._reclassifications)

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """The functions that may see plain values in the order of their declaration."""
        return tuple(self._transforms.values())

    @property
    def activities(self) -> tuple[Activity, ...]:
        """The activities in the order of their declaration."""
        return tuple(self._activities.values())

    @property
    def accesses(self) -> tuple[Access, ...]:
        """The access functions in the order of their declaration."""
        return tuple(self._accesses.values())
