"""The catalog of an application: its classes and tables with their fields, as a scan finds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from purposeguard.adoption.lexicon import FieldDescription, ValueType
from purposeguard.project.tags import TABLE, FieldTag

ClassKind = Literal["table", "model", "class"]
"""`table`: a table without a class. `model`: a class that is mapped to a table. `class`: any other class."""


@dataclass(frozen=True, slots=True)
class FoundField:
    """A field of a class, or a column of a table."""

    name: str
    value_type: ValueType | None = None
    """The type of its values; None if it is not known."""
    type_name: str = ""
    """The dotted name of its type."""
    labels: tuple[str, ...] = ()
    """Its other names: a title, an alias, the name of its column."""
    column: str = ""
    """The name of its column in a table."""
    comment: str = ""
    """A description in sentences."""
    target: str = ""
    """The header of the class or table whose rows it refers to."""
    is_key: bool = False
    """True for a primary key."""
    is_generated: bool = False
    """True if the database or framework makes its values: counted numbers, random ids, times of saving."""
    is_open: bool = False
    """True if it may hold anything: JSON, a blob, a free text."""
    is_nested: bool = False
    """True if it needs no tag: its values are objects with fields of their own, or its label follows from others."""
    tag: FieldTag | None = None
    """The tag that the code states."""

    @property
    def description(self) -> FieldDescription:
        """The field as the lexicon reads it."""
        return FieldDescription(self.name, self.value_type, self.type_name, self.labels)


@dataclass(frozen=True, slots=True)
class FoundClass:
    """A class or table."""

    header: str
    """The header of its entry in `tags.toml`: `module.qualname`, or `table name`."""
    kind: ClassKind
    fields: tuple[FoundField, ...]
    labels: tuple[str, ...] = ()
    """Its other names: a title, the name of its table."""
    comment: str = ""
    table: str = ""
    """The name of its table."""
    file: str = ""
    line: int | None = None

    @property
    def name(self) -> str:
        """The name of the class or table, without its module or schema."""
        return self.header.removeprefix(TABLE).rpartition(".")[2]


@dataclass(slots=True)
class ClassCatalog:
    """All classes and tables of an application, by their headers."""

    classes: dict[str, FoundClass] = field(default_factory=dict)

    def add(self, found: FoundClass) -> None:
        """Add a class or table, unless its header is known."""
        self.classes.setdefault(found.header, found)

    def list_fields(self) -> Mapping[str, list[str]]:
        """Return the names of the fields of all classes, by `module.qualname`."""
        fields: dict[str, list[str]] = {}
        for header, found in self.classes.items():
            if not header.startswith(TABLE):
                fields[header] = [each.name for each in found.fields]
        return fields

    def list_columns(self) -> Mapping[str, list[str]]:
        """Return the names of the columns of all tables, also of mapped classes, by `name` or `schema.name`."""
        columns: dict[str, list[str]] = {}
        for found in self.classes.values():
            if found.table:
                columns.setdefault(found.table, []).extend(each.column for each in found.fields)
        return columns
