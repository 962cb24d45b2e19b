"""Tables and mapped classes of SQLAlchemy, and the tables of a live database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from pydantic import BaseModel

from purposeguard.adapters.sqlalchemy.tags import iter_mappers, list_stated_specs
from purposeguard.adoption.catalog import FoundClass, FoundField
from purposeguard.adoption.lexicon import KINDS_OF_TYPES, ValueType
from purposeguard.cli.adopt.collect.classes import describe_class, read_tag
from purposeguard.cli.adopt.collect.types import UNKNOWN, TypeFacts, name_type, read_model_field
from purposeguard.cli.files import CommandProblem
from purposeguard.errors import UnlabelledData
from purposeguard.extras import Needs
from purposeguard.notice.notice import Notice
from purposeguard.project.tags import TABLE, FieldTag

with Needs(__name__, "sqlalchemy"):
    from sqlalchemy import Column, MetaData, Table, create_engine, inspect, types
    from sqlalchemy.exc import ArgumentError, NoReferenceError, SQLAlchemyError
    from sqlalchemy.orm import ColumnProperty, Mapper
    from sqlalchemy.pool import NullPool

_VALUE_TYPES: Final[tuple[tuple[tuple[type, ...], ValueType | None], ...]] = (
    ((types.Boolean, types.LargeBinary), "other"),
    ((types.Enum,), "choice"),
    ((types.String, types.Uuid), "text"),
    ((types.Numeric, types.Integer), "number"),
    ((types.Date, types.DateTime, types.Time, types.Interval), "date"),
)
"""Types of columns → the type of their values. The first that fits counts. Other types hold anything."""

_OPEN_TYPES: Final = (types.JSON, types.LargeBinary, types.PickleType, types.Text)


def collect_mapped(modules: Iterable[ModuleType], notice: Notice, unread: list[str]) -> Iterator[FoundClass]:
    """Yield all mapped classes of the process, and the tables that no class is mapped to.

    Args:
        modules: The modules of the application.
        notice: The notice.
        unread: The faults of annotations that cannot be resolved are added to it. Their tables count as untagged.

    Raises:
        PurposeGuardError: A tag in the code cannot be read.
    """
    mappers: defaultdict[Table, list[Mapper[Any]]] = defaultdict(list)
    metadata: dict[MetaData, None] = {}
    for mapper in iter_mappers():
        if isinstance(mapper.local_table, Table):
            mappers[mapper.local_table].append(mapper)
            metadata[mapper.local_table.metadata] = None
    for module in modules:
        for value in list(vars(module).values()):
            if isinstance(value, (MetaData, Table)):
                metadata[value if isinstance(value, MetaData) else value.metadata] = None
    headers = {table: name_type(own[0].class_) for table, own in mappers.items()}
    for table, own in mappers.items():
        tags = _read_tags(table, own, notice, unread)
        for mapper in own:
            yield _describe_mapped(mapper, table, headers, tags)
    for each in metadata:
        yield from _describe_tables(each, headers, notice, unread)


def collect_database(url: str) -> Iterator[FoundClass]:
    """Yield the tables and views in the default schema of a live database.

    Raises:
        CommandProblem: The URL is wrong, or the database cannot be read.
    """
    metadata = MetaData()
    try:
        engine = create_engine(url, poolclass=NullPool)
        shown = engine.url.render_as_string(hide_password=True)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise CommandProblem(f"the URL of the database cannot be used: {error}") from None  # It may hold a password.
    try:
        metadata.reflect(engine, views=True)
        if not metadata.tables:
            schema = inspect(engine).default_schema_name or ""
            raise CommandProblem(f"the database {shown} has no table in its schema {schema}")
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise CommandProblem(f"the database {shown} cannot be read: {cause}") from None
    finally:
        engine.dispose()
    yield from _describe_tables(metadata, {}, None, [])


def _describe_mapped(
    mapper: Mapper[Any], table: Table, headers: Mapping[Table, str], tags: Mapping[str, FieldTag | None]
) -> FoundClass:
    # A class that shares the table of its base, or extends it by a table of its own, inherits what the base has.
    inherited: set[str] = set()
    if mapper.inherits is not None:
        inherited = {prop.key for prop in mapper.inherits._props.values() if isinstance(prop, ColumnProperty)}
    cls = mapper.class_
    fields: list[FoundField] = []
    # The public `mapper.attrs` would configure the mapper, whose relationships may refer to classes defined later.
    for prop in list(mapper._props.values()):
        if isinstance(prop, ColumnProperty):
            columns = [column for column in prop.columns if isinstance(column, Column) and column.table is table]
            if columns and not (prop.key in inherited and table is mapper.inherits.local_table):  # type: ignore[union-attr]  # Only a class with a base inherits.
                facts = _read_model_field(cls, prop.key)
                field = _describe_column(
                    columns[0], prop.key, headers, tags, facts._replace(comment=facts.comment or prop.doc or "")
                )
                fields.append(field)
    return describe_class(cls, fields, kind="model", table=table.fullname, labels=(table.name,))


def _read_tags(
    table: Table, mappers: Iterable[Mapper[Any]], notice: Notice, unread: list[str]
) -> dict[str, FieldTag | None]:
    """Return the tags that the code states for the columns of a table."""
    tags: dict[str, FieldTag | None] = {}
    try:
        stated = list_stated_specs(table, mappers)
    except UnlabelledData as error:
        unread.append(str(error))
        return tags
    for name, specs in stated.items():
        tags[name] = read_tag(notice, specs, f"{table.fullname}.{name}")
    return tags


def _read_model_field(cls: type, name: str) -> TypeFacts:
    """Return what a model of SQLModel says about a field beside its column."""
    info = cls.model_fields.get(name) if issubclass(cls, BaseModel) else None
    return TypeFacts() if info is None else read_model_field(info)


def _describe_tables(
    metadata: MetaData, headers: Mapping[Table, str], notice: Notice | None, unread: list[str]
) -> Iterator[FoundClass]:
    """Yield the tables that no class is mapped to."""
    for table in metadata.tables.values():
        if table not in headers:
            tags = {} if notice is None else _read_tags(table, (), notice, unread)
            fields = tuple(_describe_column(column, column.name, headers, tags) for column in table.columns)
            yield FoundClass(TABLE + table.fullname, "table", fields, (), table.comment or "", table.fullname)


def _describe_column(
    column: Column[Any],
    name: str,
    headers: Mapping[Table, str],
    tags: Mapping[str, FieldTag | None],
    facts: TypeFacts = UNKNOWN,
) -> FoundField:
    """Describe a column as a field of a class or table.

    Args:
        column: The column.
        name: The name of the attribute that is mapped to the column; of a table without a class, the column's name.
        headers: The headers of the mapped tables, for foreign keys.
        tags: The tags that the code states for the columns of the table, by column.
        facts: What the class says about the field beside the column.
    """
    column_type: Any = column.type
    while isinstance(column_type, types.TypeDecorator):
        column_type = column_type.impl_instance if hasattr(column_type, "impl_instance") else column_type.impl
    value_type: ValueType | None = None
    for classes, fitting in _VALUE_TYPES:
        if isinstance(column_type, classes):
            value_type = fitting
            break
    own_names = () if column.name == name else (column.name,)
    is_made = column.default is not None and not column.default.is_scalar
    is_counted = column is column.table.autoincrement_column
    is_time = value_type == "date" and (is_made or column.server_default is not None or column.onupdate is not None)
    return FoundField(
        name,
        value_type,
        facts.type_name if facts.type_name in KINDS_OF_TYPES else name_type(type(column.type)),
        own_names + facts.labels,
        column.name,
        facts.comment or column.comment or column.doc or "",
        target=_find_target(column, headers),
        is_key=column.primary_key,
        is_generated=is_time or (column.primary_key and not column.foreign_keys and (is_counted or is_made)),
        is_open=isinstance(column_type, _OPEN_TYPES),
        tag=tags.get(column.name),
    )


def _find_target(column: Column[Any], headers: Mapping[Table, str]) -> str:
    """Return the header of the class or table that a foreign key refers to."""
    for key in column.foreign_keys:
        try:
            table = key.column.table
        except NoReferenceError:
            continue  # The other table was not found, such as one of another schema.
        return headers.get(table, TABLE + table.fullname)
    return ""
