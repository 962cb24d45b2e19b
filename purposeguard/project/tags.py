"""The file `tags.toml`: the sources of the fields of classes and of the columns of tables."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Self

from purposeguard.containers import pick_keys
from purposeguard.errors import Fault, NoticeError, UnknownTerm
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.positions import Location, Position
from purposeguard.notice.vocabulary import NotPersonal, find_nearest
from purposeguard.policy.row_context import REALM
from purposeguard.policy.table import PolicyTable
from purposeguard.project.patterns import Pattern, PatternSet
from purposeguard.project.reading import (
    FilePath,
    ProjectFile,
    make_fault,
    make_suggestion,
    raise_faults,
)
from purposeguard.values.annotations import class_lineage
from purposeguard.values.markers import ByRow, Collected, Ended, Mark, RowSource, Subject, SubjectMark
from purposeguard.values.type_schema import Model, Shape

NOT_PERSONAL: Final = Label(NotPersonal)

TABLE: Final = "table "
"""The beginning of a header that names a table of a database."""

_MARKS: Final[Mapping[str, Mark]] = MappingProxyType(
    {"subject": Subject, "collected": Collected, "ended": Ended, "row-source": RowSource}
)

UNDECIDED: Final = "undecided"

_WORDS: Final[Mapping[str, object]] = MappingProxyType(
    {"not-personal": NotPersonal, "by-row": ByRow, UNDECIDED: UNDECIDED}
)
"""The words that may stand for a source."""


@dataclasses.dataclass(frozen=True, slots=True)
class FieldTag:
    """The tag of a field or column: what `tags.toml` says, or the annotations in the code."""

    sources: Label | None
    """The sources. `Label(NotPersonal)` if the field is not personal, None if that is not decided."""
    marks: tuple[Mark, ...] = ()
    """The role of the field in its row, and `ByRow` if the row names the source."""
    entry: str = dataclasses.field(default="", compare=False)
    """The header in the file."""
    position: Position = dataclasses.field(default=Position(1, 1), compare=False)
    """The line and column in the file."""

    @property
    def is_undecided(self) -> bool:
        """True if nobody has decided yet whether the field is personal."""
        return self.sources is None

    @property
    def is_personal(self) -> bool:
        """True if the values are, or may be, personal data. This includes undecided fields."""
        return self.sources is not NOT_PERSONAL or ByRow in self.marks


Fields = Mapping[str, FieldTag]
"""Field or column → its tag."""


class TagFile:
    """The tags of a file `tags.toml`.

    Attributes:
        path: The file.
        notice: The notice whose sources it names.
        entries: Header → the fields of its entry.
    """

    def __init__(self, file: ProjectFile, notice: Notice, entries: Mapping[str, Fields]) -> None:
        """Make the tags of a file whose entries have been read. `TagFile.read` does both."""
        self.path: Final = file.path
        self.notice: Final = notice
        self.entries: Final = MappingProxyType(dict(entries))
        self._positions: Final = {header: file.find_position((header,)) for header in entries}
        self._classes: Final = PatternSet(Pattern.compile_names(name) for name in entries if not name.startswith(TABLE))
        # A table with its schema is more specific than a table of any schema, and so is one with its database.
        self._tables: Final = PatternSet(
            Pattern.compile_names(name, rank=name.count(".")) for name in entries if name.startswith(TABLE)
        )

    @classmethod
    def read(cls, path: FilePath, notice: Notice) -> Self:
        """Read a file.

        Raises:
            NoticeError: With every fault of the file.
        """
        file = ProjectFile(path)
        entries: dict[str, Fields] = {}
        for header, table in file.tables.items():
            if not _is_header(header):
                advice = 'write `["module.Class"]` or `["table name"]`, with the quotes'
                file.report((header,), "names no class and no table", advice)
            elif file.is_of_type((header,), table, dict):
                entries[header] = _read_entry(file, header, table, notice)
        tags = cls(file, notice, entries)
        file.faults.extend(tags._find_ambiguous())
        file.raise_faults()
        return tags

    def check(self, table: PolicyTable) -> None:
        """Check that the notice of a table knows all sources.

        Raises:
            NoticeError: It does not know some of them.
        """
        reasons: dict[Label, str] = {}
        faults: list[Fault] = []
        for label in {tag.sources for fields in self.entries.values() for tag in fields.values() if tag.sources}:
            try:
                table.resolve_label(label)
            except UnknownTerm as error:
                reasons[label] = f"unknown {error.kind}: {error.why}"
        for fields in self.entries.values() if reasons else ():
            for name, tag in fields.items():
                if tag.sources in reasons:
                    faults.append(self._make_fault(tag, name, reasons[tag.sources]))
        raise_faults(faults, self.path)

    def find_class(self, module: str, qualname: str) -> Fields | None:
        """Return the tags of the fields of a class. For each field, the most specific entry that names it counts.

        Returns:
            The tags by field. None if no entry matches the class.
        """
        return self._merge_entries(self._classes.find_all(f"{module}.{qualname}"))

    def find_fields(self, cls: type) -> Fields:
        """Return the tags of the fields of a class, those that it inherits included.

        An entry without wildcards is more specific than a pattern, and one of the class than one of its bases.
        """
        names = [f"{owner.__module__}.{owner.__qualname__}" for owner in class_lineage(cls)]
        return self._merge_entries(self._classes.find_all(*names)) or {}

    def find_personal_field(self, cls: type) -> str | None:
        """Return a field that an entry tags as personal, or as undecided. None if there is none.

        Only entries count that name the class, or one of its bases, without wildcards.
        """
        for owner in cls.__mro__:
            for name, tag in self.entries.get(f"{owner.__module__}.{owner.__qualname__}", {}).items():
                if tag.is_personal:
                    return f"{owner.__qualname__}.{name}"
        return None

    def complete(
        self, cls: type, shapes: Mapping[str, Shape], *, refuse: Callable[[NoticeError], object]
    ) -> Mapping[str, Shape]:
        """Complete the fields of a class whose annotations state no source, or no mark, by its entries.

        Args:
            cls: The class.
            shapes: The shapes of its fields, by their annotations.
            refuse: A function that gets the error if entries and annotations do not agree. If it does not raise the
                error, the annotations count.

        Returns:
            Field → shape.
        """
        stated = pick_keys(self.find_fields(cls), shapes)
        if not stated:
            return shapes
        # Without the entries of other classes, as an adapter reads the class.
        columns = Model(cls).columns()
        annotated = {name: _to_field_tag(columns[name]) for name in stated}
        try:
            raise_faults(self.check_agreement(stated, annotated), self.path)
        except NoticeError as error:
            refuse(error)
        completed = dict(shapes)
        for name, tag in stated.items():
            if annotated[name].sources is None:
                if tag.sources is None:
                    completed[name] |= Shape(
                        undecided=f"by `{tag.entry}` (line {tag.position.line}): decide its source"
                    )
                else:
                    completed[name] |= Shape(tag.sources.sources)
            if not annotated[name].marks:
                completed[name] |= Shape(marks=frozenset(tag.marks))
        return completed

    def find_table(self, name: str, schema: str | None = None) -> Fields | None:
        """Return the tags of the columns of a table.

        A header without a schema stands for tables of any schema. One with a schema is more specific.

        Args:
            name: The name of the table.
            schema: Its schema, `schema` or `database.schema`.

        Returns:
            The tags by column. None if no entry matches the table.
        """
        return self._merge_entries(self._tables.find_all(*_list_headers(name, schema)))

    def _merge_entries(self, headers: Iterator[str]) -> Fields | None:
        merged: dict[str, FieldTag] | None = None
        for header in headers:
            merged = {**self.entries[header], **(merged or {})}
        return merged

    def merge(self, stated: Fields, others: Fields) -> Fields:
        """Unite the tags of an entry with those in the code, or of another entry, which must agree.

        Args:
            stated: The tags of the entry.
            others: The tags in the code, or of another entry. Sources that these do not state are None.

        Raises:
            NoticeError: With a fault for each field on which the two do not agree.
        """
        raise_faults(self.check_agreement(stated, others), self.path)
        merged = dict(others)
        for name, tag in stated.items():
            other = others.get(name, tag)
            sources = tag.sources if other.sources is None else other.sources
            merged[name] = dataclasses.replace(tag, sources=sources, marks=other.marks or tag.marks)
        return merged

    def check_agreement(self, stated: Fields, others: Fields) -> list[Fault]:
        """Compare tags of an entry with those in the code, or of another entry. Return a fault for each that differs.

        Sources differ if both state them and they are not equal. The same holds for marks.
        """
        faults: list[Fault] = []
        for name, tag in stated.items():
            other = others.get(name)
            if other is None:
                continue
            by = f"`{other.entry}` (line {other.position.line})" if other.entry else "the annotation in the code"
            for one, another in ((tag.sources, other.sources), (tag.marks, other.marks)):
                if one and another and one != another:
                    message = f"the file says {one!r}, and {by} says {another!r}"
                    faults.append(self._make_fault(tag, name, message, "correct one of them, or remove it"))
        return faults

    def find_unmatched(
        self,
        classes: Mapping[str, Collection[str]] | None = None,
        tables: Mapping[str, Collection[str]] | None = None,
    ) -> list[Fault]:
        """Find entries that match no class or table, and fields that no matching class or table has.

        Args:
            classes: The fields of all classes, by `module.qualname`. None: entries of classes are not checked.
            tables: The columns of all tables, by `name` or `schema.name`. None: entries of tables are not checked.

        Returns:
            A fault for each of them, in the order of the file.
        """
        faults: list[Fault] = []
        for known, patterns in ((classes, self._classes), (tables, self._tables)):
            if known is not None:
                faults += self._find_unmatched(known, patterns)
        return sorted(faults, key=lambda fault: (fault.line or 0, fault.column or 0))

    def _find_unmatched(self, known: Mapping[str, Collection[str]], patterns: PatternSet) -> Iterator[Fault]:
        are_tables = patterns is self._tables
        matched: dict[str, set[str]] = {}
        for name, fields in known.items():
            schema, _, table = name.rpartition(".")
            names = _list_headers(table, schema or None) if are_tables else [name]
            for header in patterns.find_all(*names):
                matched.setdefault(header, set()).update(fields)
        for header, tags in self.entries.items():
            if header.startswith(TABLE) is not are_tables:
                continue
            if header not in matched:
                near = find_nearest(header.removeprefix(TABLE), known, 0.7)
                position = self._positions[header]
                kind = "table" if are_tables else "class"
                yield make_fault(self.path, (header,), position, f"matches no {kind}", make_suggestion(near))
                continue
            for name, tag in tags.items():
                if name not in matched[header]:
                    near = find_nearest(name, matched[header], 0.7)
                    yield self._make_fault(tag, name, "matches no field", make_suggestion(near))

    def _find_ambiguous(self) -> Iterator[Fault]:
        for one, other in (*self._classes.list_ambiguous(), *self._tables.list_ambiguous()):
            for name, tag in self.entries[other].items():
                first = self.entries[one].get(name, tag)
                if first != tag:
                    message = f"differs from `{one}` (line {first.position.line}), which is equally specific"
                    yield self._make_fault(tag, name, message, "write one more specific entry for what both match")

    def _make_fault(self, tag: FieldTag, name: str, message: str, suggestion: str | None = None) -> Fault:
        return make_fault(self.path, (tag.entry, name), tag.position, message, suggestion)


def _to_field_tag(shape: Shape) -> FieldTag:
    """Return the tag that the annotation of a field states. Its sources are None if it states none."""
    sources = shape.sources
    marks = sorted(shape.marks_within, key=lambda mark: mark is ByRow)
    return FieldTag(Label(*sources) if sources else None, tuple(marks))


def _list_headers(name: str, schema: str | None) -> list[str]:
    """Return the headers that stand for a table: with its schema, the most specific first, and without."""
    parts = [] if schema is None else schema.split(".")
    return [TABLE + ".".join([*parts[start:], name]) for start in range(len(parts) + 1)]


def _is_header(header: str) -> bool:
    if header.startswith(TABLE):
        return bool(header.removeprefix(TABLE).strip())
    return re.fullmatch(r"[\w<>*]+(\.[\w<>*]+)+|\*\*", header) is not None


def _read_entry(file: ProjectFile, header: str, table: Mapping[str, Any], notice: Notice) -> Fields:
    fields: dict[str, FieldTag] = {}
    for name, value in table.items():
        tag = _read_tag(file, (header, name), value, notice)
        if tag is not None:
            fields[name] = tag
    return fields


def _read_tag(file: ProjectFile, location: Location, value: object, notice: Notice) -> FieldTag | None:
    """Read the tag of a field. Return None if it is wrong."""
    marks: list[Mark] = []
    count = len(file.faults)
    source_location = location
    if isinstance(value, dict):
        file.check_keys(location, value, ("source", *_MARKS))
        marks += _read_marks(file, location, value)
        if "source" not in value:
            file.report(location, "needs `source`", 'write `source = "not-personal"` if it is not personal')
            return None
        source_location, value = (*location, "source"), value["source"]
    elif not isinstance(value, (str, list)):
        file.report(location, "must be a source, a list of sources, or a table in braces")
        return None
    sources = _read_sources(file, source_location, value, notice)
    if ByRow in sources:
        marks.append(ByRow)
        sources.discard(ByRow)
    if len(file.faults) > count:
        return None
    label = None if UNDECIDED in sources else Label(*(sources or {NotPersonal}))
    return FieldTag(label, tuple(marks), str(location[0]), file.find_position(location))


def _read_sources(file: ProjectFile, location: Location, value: object, notice: Notice) -> set[Any]:
    """Return the sources that a text or a list of texts names, and the words among them as objects."""
    texts: dict[Location, object] = {}
    if isinstance(value, list):
        texts.update(((*location, number), text) for number, text in enumerate(value))
    elif file.is_of_type(location, value, str):
        texts[location] = value
    sources: set[Any] = set()
    for place, text in texts.items():
        word = _WORDS.get(text) if isinstance(text, str) else None
        source = word or file.look_up(place, text, notice.source)
        if source in sources:
            file.report(place, "names a source again", "remove it")
        sources.add(source)
    if value == []:
        file.report(location, "names no source", '`"not-personal"` or `"undecided"` say so')
    if len(sources) > 1 and not sources.isdisjoint((NotPersonal, UNDECIDED)):
        file.report(location, "names a source beside `not-personal` or `undecided`", "write one of them")
    return sources


def _read_marks(file: ProjectFile, location: Location, table: Mapping[str, Any]) -> list[Mark]:
    marks: list[Mark] = []
    for key, mark in _MARKS.items():
        if key == "subject" and isinstance(table.get(key), str):
            realm = table[key]
            if re.fullmatch(REALM, realm):
                marks.append(SubjectMark(realm))
            else:
                advice = "a realm is a word of lower-case letters, digits, `_` and `-`"
                file.report((*location, key), "names no realm of ids", advice)
        elif file.get(location, table, key, bool):
            marks.append(mark)
    if len(marks) > 1:
        file.report(location, f"has the marks {', '.join(map(repr, marks))}", "a field has one of them")
    return marks
