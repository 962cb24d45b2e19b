"""Tags of mapped tables, read from `Column.info`, `Table.info` and the annotations of mapped classes."""

from __future__ import annotations

import dataclasses
import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, get_args, get_origin

import typing_extensions
from sqlalchemy import Column, MetaData, Table, event
from sqlalchemy.orm import (
    ColumnProperty,
    CompositeProperty,
    DeclarativeBase,
    Mapped,
    Mapper,
    declared_attr,
    registry,
)
from sqlalchemy.orm.mapper import _all_registries
from sqlalchemy.sql.expression import TableClause

from purposeguard.adapters.sql.tags import Tables, several
from purposeguard.adapters.sqlalchemy.seals import SealedType
from purposeguard.adapters.tags import (
    KEY,
    NOT_PERSONAL_TAG,
    TAG_ERRORS,
    Columns,
    OneSpec,
    Revisions,
    Tag,
    columns_of,
    hint_of,
    make_field_tag,
    merge_file_tags,
    specs_of,
    to_field_tag,
)
from purposeguard.containers import drop_none_values, pick_keys
from purposeguard.errors import UnlabelledData
from purposeguard.locks import make_lock
from purposeguard.notice.vocabulary import NotPersonal, TermMeta
from purposeguard.project.tags import Fields, FieldTag, TagFile
from purposeguard.values.annotations import is_taggable, iter_attributes
from purposeguard.values.markers import Mark
from purposeguard.values.type_schema import NOBODY, Shape, read_argument_shape, read_shape


class EveryTable:
    """All tables that are defined in this process after this module was imported. Use the instance `EVERY_TABLE`."""

    def __init__(self) -> None:
        self._tables: weakref.WeakValueDictionary[int, Table] = weakref.WeakValueDictionary()  # The oldest one first.
        self._mapped: weakref.WeakSet[Table] = weakref.WeakSet()
        self._numbers = itertools.count()
        event.listen(Table, "after_parent_attach", self._add)
        event.listen(Mapper, "after_mapper_constructed", self._add_mapped)

    def _add(self, table: Table, parent: object) -> None:
        if isinstance(parent, MetaData):
            self._tables[next(self._numbers)] = table

    def _add_mapped(self, mapper: Mapper[Any], _: object) -> None:
        if isinstance(mapper.local_table, Table):
            self._mapped.add(mapper.local_table)

    @property
    def tables(self) -> dict[str, Table]:
        """The tables by name, of those that are still in their `MetaData`.

        Of several tables with one name, it is one that a class is mapped to, or else one whose `MetaData` has a mapped
        table. Others are what migrations and reflection define. Of several such tables, it is the latest one.
        """
        present = [table for table in list(self._tables.values()) if table.fullname in table.metadata.tables]
        mapped = set(self._mapped)
        places = {table.metadata for table in mapped}
        present.sort(key=lambda table: (table in mapped, table.metadata in places))
        return {table.fullname: table for table in present}


EVERY_TABLE: Final = EveryTable()
"""The collection of all tables of this process."""

Where = MetaData | registry | type[DeclarativeBase] | EveryTable
"""A collection of tables: a declarative base, a registry, a `MetaData` or `EVERY_TABLE`."""

NOT_PERSONAL_TABLE: Final = "not-personal"
"""The `Table.info` of a table without personal columns."""


class _Mapped:
    """The number of classes that were mapped so far, in any registry."""

    count = 0


@event.listens_for(Mapper, "after_mapper_constructed")
def _count_mapper(*_: object) -> None:
    _Mapped.count += 1


class MappedTables:
    """The tables of a database, each with the tags of its columns. Classes mapped later are found on use.

    A table without any tag is in it only if it is declared not personal.
    """

    def __init__(
        self,
        revisions: Revisions,
        where: Iterable[Where],
        not_personal: Iterable[object],
        tags: Mapping[Any, object] = MappingProxyType({}),
        file: TagFile | None = None,
    ) -> None:
        self._revisions = revisions
        self._file = file
        self._places = tuple(map(_metadata_of, where))
        tables = several(not_personal, "not_personal", "[Table]")
        self._not_personal = frozenset(_name_of(table, "not_personal") for table in tables)
        self._from_outside: dict[str, Columns] = {}
        for table, described in tags.items():
            self._from_outside[_name_of(table, "tags")] = columns_of(revisions, described, file)
        self.is_observing: Callable[[], bool] = bool
        """A function that returns True where a table whose tags cannot be read must not hinder statements."""
        self._is_faulty = False
        self._known: dict[str, Columns] = {}
        self._folded: dict[str, set[str]] = {}
        self._stamp: object = None
        self._count = -1
        self._tables: Tables | None = None
        self._lock = make_lock()

    def refresh(self) -> bool:
        """Read the tables again if some were added. Return True if there were.

        Raises:
            UnlabelledData: a tag cannot be read, or contradicts another tag or the statement that the table is not
                personal; two tables of one name differ; a column computed from personal columns has no tag; or a column
                of a tagged table has no annotation.
            UnknownSource: a tag is of another notice.
            NoticeError: `tags.toml` and the code, or two of its entries, do not agree.
        """
        with self._lock:
            count = _Mapped.count
            tables = list(dict.fromkeys(self._iter_tables()))
            stamp = (count, len(tables), sum(len(table.columns) for table in tables))
            is_observing = self.is_observing()
            if stamp == self._stamp and (is_observing or not self._is_faulty):
                return False
            mappers = [mapper for mapper in iter_mappers() if isinstance(mapper.local_table, Table)]
            by_name: dict[str, Columns | None] = {}
            is_faulty = False
            entries = self._find_entries(mappers)
            for table in tables:
                own = tuple(mapper for mapper in mappers if mapper.local_table is table)
                stated = [*entries.get(table, ()), *self._find_table_entries(table)]
                try:
                    columns = self._columns_of(table, own, stated)
                    _require_same(table.fullname, by_name.setdefault(table.fullname, columns), columns)
                except TAG_ERRORS:
                    if not is_observing:
                        raise
                    is_faulty = True
                    by_name.setdefault(table.fullname, self._read_valid_columns(table, own, stated))
            tagged = drop_none_values(by_name)
            folded: dict[str, set[str]] = {}
            for name in tagged:
                folded.setdefault(name.casefold(), set()).add(name)
            self._known, self._folded = tagged, folded
            self._tables, self._stamp, self._count = None, stamp, count
            self._is_faulty = is_faulty
            return True

    def current_stamp(self) -> object:
        """Return an object that stands for the present tables. It changes when more classes are mapped."""
        if self._count != _Mapped.count or self._is_faulty:
            self.refresh()
        return self._stamp

    def places(self) -> dict[str, Table]:
        """Return the tables of SQLAlchemy by their names."""
        return {table.fullname: table for table in self._iter_tables()}

    def _iter_tables(self) -> Iterator[Table]:
        for place in self._places:
            yield from place.tables.values()

    @property
    def tables(self) -> Tables:
        """All tables with their tags, for reading statements."""
        with self._lock:
            self.refresh()
            if self._tables is None:
                tables = self.places()
                tags_by_table: dict[str, dict[str, Tag | None]] = {}
                for name, columns in self._known.items():
                    # Columns without a tag are included, because `*` means them too.
                    tags_by_table[name] = {column.name: columns.get(column.name) for column in tables[name].columns}
                self._tables = Tables(self._revisions, tags_by_table, is_complete=True)
            return self._tables

    def find(self, table: TableClause) -> tuple[str, Columns]:
        """Return the name of a table, and its tags, looked up by name.

        Raises:
            UnlabelledData: the table carries no tags.
        """
        name = table.fullname
        for _ in range(2):
            columns = self._known.get(name)
            if columns is not None:
                return name, columns
            alike = self._folded.get(name.casefold(), ())
            if len(alike) == 1:
                spelled = next(iter(alike))
                return spelled, self._known[spelled]
            if not self.refresh():
                break
        raise UnlabelledData(
            f"the table `{name}` carries no tags, so nothing says what it may be used for: tag its columns, "
            '`mapped_column(info={"purposeguard": Source})` or `Mapped[Annotated[str, Source]]`, or, where none is '
            "personal, say so: `protect(…, not_personal=[Table])`; a table that is not yours is told by "
            "`protect(…, tags={Table: …})`, or in `tags.toml`"
        )

    def knows(self, name: str) -> bool:
        """Return True if there is a table of this name, ignoring case."""
        return name in self._known or name.casefold() in self._folded

    def _find_entries(self, mappers: Iterable[Mapper[Any]]) -> dict[Table, list[Fields]]:
        """Return what `tags.toml` says about the columns of tables by the classes that are mapped to them."""
        entries: dict[Table, list[Fields]] = {}
        if self._file is None:
            return entries
        for mapper in mappers:
            fields = self._file.find_class(mapper.class_.__module__, mapper.class_.__qualname__)
            for name, tag in fields.items() if fields else ():
                for column in _iter_columns_of_attribute(mapper, name):
                    entries.setdefault(column.table, []).append({column.name: tag})
        return entries

    def _find_table_entries(self, table: Table) -> list[Fields]:
        """Return what `tags.toml` says about the columns of a table by its name."""
        fields = self._file.find_table(table.name, table.schema) if self._file is not None else None
        return [pick_keys(fields, [column.name for column in table.columns])] if fields else []

    def _columns_of(self, table: Table, mappers: Iterable[Mapper[Any]], stated: Iterable[Fields]) -> Columns | None:
        """Return the tags of a table.

        Args:
            table: The table.
            mappers: The mappers whose own table it is.
            stated: What `tags.toml` says about its columns.

        Returns:
            The tags by column; None if the table carries none.

        Raises:
            TypeError, UnlabelledData, UnknownSource, NoticeError: As in `refresh`.
        """
        own_info = table.info.get(KEY)
        not_personal = own_info is NotPersonal or own_info == NOT_PERSONAL_TABLE
        if own_info is not None and not not_personal:
            raise UnlabelledData(
                f"the `info` of the table `{table.fullname}` says `{NOT_PERSONAL_TABLE}` or nothing: tag its "
                "columns, or all of it from outside, `protect(…, tags={Table: …})`"
            )
        not_personal = not_personal or table.fullname in self._not_personal
        specs = _specs_of_columns(table, mappers)
        outside = self._from_outside.get(table.fullname)
        tags_in_code: dict[str, FieldTag | None] = {}
        if outside is not None:
            if not_personal or any(specs.values()):
                raise UnlabelledData(
                    f"the table `{table.fullname}` is tagged from outside, `protect(…, tags=…)`, and told by itself or "
                    "by `not_personal` as well: say it in one place"
                )
            tags_in_code.update({name: to_field_tag(tag) for name, tag in outside.items()})
        elif not_personal:
            _refuse_tagged(table, specs)
            tags_in_code.update(dict.fromkeys(specs, to_field_tag(NOT_PERSONAL_TAG)))
        else:
            for name, column_specs in specs.items():
                tags_in_code[name] = make_field_tag(self._revisions, column_specs, f"{table.fullname}.{name}")
        tags = self._merge(table, stated, tags_in_code)
        if outside is None and any(specs.values()):
            is_tagged = {name: bool(column_specs) or name in tags for name, column_specs in specs.items()}
            _refuse_untagged(table, mappers, is_tagged)
            # Other columns are tagged, so a column without a tag was left so on purpose: it is not personal. Columns
            # that could lack a tag by mistake were refused above.
            tags = {name: tags.get(name, NOT_PERSONAL_TAG) for name in specs}
        return Columns(drop_none_values(tags)) if tags else None

    def _merge(
        self, table: Table, stated: Iterable[Fields], tags_in_code: Mapping[str, FieldTag | None]
    ) -> dict[str, Tag | None]:
        """Unite the tags of a table in the code with those in `tags.toml`, in the order of the columns."""
        tags = merge_file_tags(self._revisions, self._file, stated, drop_none_values(tags_in_code), table.fullname)
        return pick_keys(tags, [*(column.name for column in table.columns), *tags])

    def _read_valid_columns(
        self, table: Table, mappers: Iterable[Mapper[Any]], stated: Iterable[Fields]
    ) -> Columns | None:
        """Return the tags that can be read of a table in which another tag has a fault; None if there are none."""
        specs: Mapping[str, list[OneSpec]] = {}
        with suppress(*TAG_ERRORS):
            specs = _specs_of_columns(table, mappers)
        tags: dict[str, Tag | None] = {}
        for column in table.columns:
            name = column.name
            fields = [pick_keys(each, [name]) for each in stated]
            with suppress(*TAG_ERRORS):
                own = make_field_tag(self._revisions, specs.get(name, ()), f"{table.fullname}.{name}")
                tags.update(self._merge(table, fields, {name: own}))
        return Columns(drop_none_values(tags)) if tags else None


def _require_same(name: str, columns: Columns | None, others: Columns | None) -> None:
    """Raise UnlabelledData if two tables of one name have different tags."""
    if columns != others:
        raise UnlabelledData(
            f"two tables are called `{name}`, in two `MetaData`, and not the same is said of them: statements name "
            "tables, so say the same of both, or guard an engine for each"
        )


def list_stated_specs(table: Table, mappers: Iterable[Mapper[Any]]) -> dict[str, list[OneSpec]]:
    """Return the parts of the tags that the code states for the columns of a table. They are empty without a tag.

    Raises:
        TypeError, UnlabelledData: a tag cannot be read.
    """
    own_info = table.info.get(KEY)
    if own_info is NotPersonal or own_info == NOT_PERSONAL_TABLE:
        return {column.name: [NotPersonal] for column in table.columns}
    return _specs_of_columns(table, mappers)


def _specs_of_columns(table: Table, mappers: Iterable[Mapper[Any]]) -> dict[str, list[OneSpec]]:
    """Return the tags of each column of a table: its own, and those of the classes mapped to it."""
    specs: dict[str, list[OneSpec]] = {}
    for column in table.columns:
        specs[column.name] = list(_specs(column.info.get(KEY), f"{table.fullname}.{column.name}"))
        if isinstance(column.type, SealedType):
            specs[column.name] += [column.type.label]
    for mapper in mappers:
        for column, annotated in _read_mapper_annotations(mapper, table):
            column_specs = specs[column.name]
            column_specs += [spec for spec in annotated if spec not in column_specs]
        _refuse_hidden(mapper, table)
    return specs


def _specs(info: object, where: str) -> Iterator[OneSpec]:
    """Yield the tags in the `info` of a column."""
    if info is None:
        return
    if isinstance(info, (str, TermMeta, Mark)) or not isinstance(info, Iterable) or is_taggable(info):
        yield info  # type: ignore[misc]  # Anything that is no tag is refused, by name, when the tag is read.
    elif isinstance(info, Mapping):
        raise TypeError(f"`{where}`: a tag is a source class, an id, a label or a mark, not {type(info).__name__}")
    else:
        yield from info


def _metadata_of(where: object) -> MetaData | EveryTable:
    if isinstance(where, EveryTable):
        return where
    metadata = getattr(where, "metadata", where)
    if not isinstance(metadata, MetaData):
        raise TypeError(f"tables are in a declarative base, a registry or a MetaData, not {type(where).__name__}")
    return metadata


def _name_of(table: object, argument: str) -> str:
    selectable = getattr(table, "__table__", table)
    if isinstance(selectable, str):
        return selectable
    if not isinstance(selectable, TableClause):
        raise TypeError(f"`{argument}` names tables, by class, table or name, not {type(table).__name__}")
    return selectable.fullname


def iter_mappers() -> Iterator[Mapper[Any]]:
    """Yield all mappers, because a table may be mapped by classes of any registry."""
    for mapper_registry in _all_registries():
        yield from mapper_registry.mappers


def _read_mapper_annotations(mapper: Mapper[Any], table: Table) -> Iterator[tuple[Column[Any], list[OneSpec]]]:
    """Yield the columns of a mapper's own table, each with the tags in an annotation of its attribute."""
    elsewhere = {ancestor.class_ for ancestor in mapper.iterate_to_root() if ancestor.local_table is not table}
    # The public `mapper.attrs` would configure the mapper, whose relationships may refer to classes defined later.
    for prop in list(mapper._props.values()):
        where = f"{mapper.class_.__qualname__}.{prop.key}"
        if isinstance(prop, ColumnProperty):
            for owner, shape in _shapes(mapper.class_, prop.key):
                specs: list[OneSpec] = specs_of(shape, where)
                if owner in elsewhere:  # Its marks concern the rows of another table.
                    specs = [spec for spec in specs if not isinstance(spec, Mark)]
                for column in _own_columns(prop, table):
                    yield column, specs
        elif isinstance(prop, CompositeProperty):
            yield from _read_composite_annotation(mapper, prop, table, where)


def _read_composite_annotation(
    mapper: Mapper[Any], prop: CompositeProperty[Any], table: Table, where: str
) -> Iterator[tuple[Column[Any], list[OneSpec]]]:
    """Yield the columns of a composite attribute, each with its tags in the annotation, or else in its class."""
    columns: list[Column[Any]] = []
    for part in prop.props:
        columns += _own_columns(part, table)
    # SQLAlchemy gets the class itself, so its name need not be in the module.
    names = {getattr(prop.composite_class, "__name__", ""): prop.composite_class}
    shapes = [shape for _, shape in _shapes(mapper.class_, prop.key, names)]
    for shape in shapes or [read_shape(prop.composite_class)]:
        yield from zip(columns, _split_composite(shape, len(columns), where), strict=True)


def _iter_columns_of_attribute(mapper: Mapper[Any], name: str) -> Iterator[Column[Any]]:
    """Yield the columns of tables that an attribute of a mapped class stands for."""
    prop = mapper._props.get(name)
    parts: Iterable[Any] = prop.props if isinstance(prop, CompositeProperty) else (prop,)
    for part in parts:
        for column in part.columns if isinstance(part, ColumnProperty) else ():
            if isinstance(column, Column) and isinstance(column.table, Table):
                yield column


def _own_columns(prop: Any, table: Table) -> list[Column[Any]]:
    return [column for column in prop.columns if isinstance(column, Column) and column.table is table]


def _split_composite(shape: Shape, number: int, where: str) -> list[list[OneSpec]]:
    """Return the tags of each column of a composite.

    They are those of its field in the composite's class, or those of the whole annotation if fields do not match.
    """
    fields_by_model = [list(model.fields().values()) for model in shape.models]
    if len(fields_by_model) == 1:
        (fields,) = fields_by_model
        if len(fields) == number:
            around = specs_of(dataclasses.replace(shape, models=()), where)
            return [[*around, *specs_of(field, where)] for field in fields]
    return [specs_of(shape, where)] * number


def _refuse_tagged(table: Table, specs: Mapping[str, list[OneSpec]]) -> None:
    """Raise UnlabelledData if a column carries a tag although nothing in the table is personal."""
    for name, column_specs in specs.items():
        if any(spec is not NotPersonal for spec in column_specs):
            raise UnlabelledData(
                f"nothing in the table `{table.fullname}` is personal, it is said, and its column `{name}` "
                "carries a tag: take one of the two back"
            )


def _refuse_untagged(table: Table, mappers: Iterable[Mapper[Any]], is_tagged: Mapping[str, bool]) -> None:
    """Raise UnlabelledData if some columns of a table carry tags, and it is unknown whether another one does."""
    for name in _find_unannotated(table, mappers):
        if not is_tagged[name]:
            raise UnlabelledData(
                f"`{table.fullname}.{name}`: no annotation was found, and other columns of the table carry tags: "
                'annotate it, or say `info={"purposeguard": …}`; a `declared_attr` is read in a mixin or an '
                "abstract base"
            )
    for column in table.columns:
        if column.computed is not None and not is_tagged[column.name]:
            raise UnlabelledData(
                f"`{table.fullname}.{column.name}` is computed from other columns, of which some are personal: tag "
                "it with their sources, or say `NotPersonal`"
            )


def _find_unannotated(table: Table, mappers: Iterable[Mapper[Any]]) -> Iterator[str]:
    """Yield the names of the columns that a class declares without an annotation."""
    for mapper in mappers:
        # A table without `__tablename__` exists without the class.
        if any("__tablename__" in vars(cls) for cls in mapper.class_.__mro__):
            for prop in list(mapper._props.values()):
                if isinstance(prop, ColumnProperty) and not _shapes(mapper.class_, prop.key):
                    for column in _own_columns(prop, table):
                        yield column.name


def _refuse_hidden(mapper: Mapper[Any], table: Table) -> None:
    """Raise UnlabelledData if a mapped class tags an attribute that is not mapped."""
    for cls in mapper.class_.__mro__:
        for stated in iter_attributes(cls):
            if stated.name not in mapper._props:
                shape = read_argument_shape(unwrap_mapped(stated.annotation), NOBODY)
                if shape.is_marked_itself or any(part.tags for part in shape.iter_parts()):
                    raise UnlabelledData(
                        f"{cls.__qualname__}.{stated.name} is tagged and belongs to no column of `{table.fullname}`: "
                        "call it as the attribute is called"
                    )


def _shapes(cls: type, name: str, names: Mapping[str, object] = MappingProxyType({})) -> list[tuple[type, Shape]]:
    """Return the shapes of a mapped attribute in the annotations of a class and its bases. All of them apply.

    `names` may occur in the annotations, and need not be names of their modules.
    """
    shapes = []
    for owner in cls.__mro__:
        stated = typing_extensions.get_annotations(owner, format=typing_extensions.Format.FORWARDREF)
        member = vars(owner).get(name)
        if name in stated:
            shapes.append((owner, _shape(owner, name, stated[name], names)))
        elif isinstance(member, declared_attr) and "return" in getattr(member.fget, "__annotations__", {}):
            shapes.append((owner, _shape(owner, name, member.fget.__annotations__["return"], names)))
    return shapes


def _shape(cls: type, name: str, annotation: object, names: Mapping[str, object]) -> Shape:
    where = f"{cls.__qualname__}.{name}"
    hint = hint_of(annotation, cls, where, names)
    try:
        return read_shape(unwrap_mapped(hint))
    except UnlabelledData as error:
        raise UnlabelledData(f"{where}: {error.args[0]}") from None


def unwrap_mapped(annotation: object) -> object:
    """Return the argument of `Mapped[…]`, or any other annotation itself."""
    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapped):
        return get_args(annotation)[0]
    return annotation
