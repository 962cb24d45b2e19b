"""Schemas of Arrow with tags: made of classes, read, and written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar, cast

import pyarrow as pa
from pydantic import BaseModel

from purposeguard.adapters import tags as told
from purposeguard.adapters.arrow import spark as spark_schema
from purposeguard.adapters.arrow.types import (
    Part,
    annotation_of,
    field_of,
    label_of,
    model,
    parts_of,
    remade,
    says_itself,
)
from purposeguard.adapters.tags import KEY, NOT_PERSONAL, Columns, Revisions, Tag, decode, encode
from purposeguard.errors import UnlabelledData, shown
from purposeguard.notice.label import Label
from purposeguard.values.annotations import is_taggable, what_is
from purposeguard.values.markers import ByRow

Data = TypeVar("Data")

_KEY: Final = KEY.encode()


def schema_of(model: object, notice: Revisions, *, spark: bool = False) -> pa.Schema:
    """The Arrow schema of a tagged class: the types of its annotations, and its tags.

    A field without a tag is not personal. Moments are in UTC; a `Decimal` of which no more is said has 38 digits, 18 of
    them behind the point; UUIDs, addresses and what is written as text are texts. `spark`: as `tagged` has it.

    Raises:
        TypeError: `model` is no taggable class, or a field has no Arrow type.
        UnlabelledData, UnknownSource: as `purposeguard.adapters.tags.columns_of`.
    """
    if not is_taggable(model):
        raise TypeError(f"{what_is(model)} is no pydantic model, dataclass, TypedDict, NamedTuple or attrs class")
    columns = told.columns_of(notice, model)
    parts = parts_of(model)
    for part in parts.values():
        part.press()

    def metadata(name: str, part: Part, top: bool) -> dict[str, str] | None:
        if not says_itself(part):
            return None
        column = columns[name]
        tag = Tag(label_of(part), by_row=column.by_row and top, mark=column.mark if top else None)
        return {KEY: encode(tag, notice)}

    fields = [
        field_of(name, part, lambda part, top, name=name: metadata(name, part, top)) for name, part in parts.items()
    ]
    return _with_spark(pa.schema(fields), notice, spark=spark)


def tagged(data: Data, tags: object, notice: Revisions, *, spark: bool = False) -> Data:
    """A table, record batch, data set or schema whose columns bear tags; nothing is copied.

    `tags` are `Columns`, a tagged class, or a mapping of names to sources, and say of each column what it is:
    `NotPersonal` too. Tags of fields inside a column stay, and count beside its own; they get its sources as well, for
    they may be taken out of it (`flatten`).

    `spark`: also in the schema that Spark leaves in Parquet, by which it reads what columns there are. So it is to be
    the last step before the file is written.

    Raises:
        TypeError: `data` is none of these, or with `spark` a column is of a type that Spark does not have.
        UnlabelledData: a column is left out of `tags`, or two have one name.
        UnknownSource: a source is of no revision that is known here.
        ValueError: `tags` name a column that there is not.
    """
    schema = _schema(data)
    columns = told.columns_of(notice, tags)
    _refuse_twins(schema)
    unknown = [name for name in columns if name not in set(schema.names)]
    if unknown:
        raise ValueError(f"{_named(unknown)} is tagged, and there is no such column")
    left_out = [name for name in schema.names if name not in columns]
    if left_out:
        raise UnlabelledData(
            f"{_named(left_out)} is told by no source: say `NotPersonal` where a column is not personal (rule 4)"
        )
    fields = [
        _bearing(pressed(field, columns[field.name], notice, field.name), columns[field.name], notice)
        for field in schema
    ]
    given = _with_spark(pa.schema(fields, metadata=schema.metadata), notice, spark=spark)
    return cast("Data", _with_schema(data, given))


def columns_of(data: object, revisions: Revisions) -> Columns:
    """The tags that the columns of a schema (table, batch, data set) bear; one that bears none is not among them.

    Read are the fields' own, and those in the schema that Spark left, where the file was written by Spark. The tag of a
    column counts for all that is in it, and the other way round.

    Raises:
        UnlabelledData: a tag cannot be read, two columns have one name, or Spark's schema says otherwise.
        UnknownSource: a tag is of another notice, or of a revision or clause that is not known here.
        TypeError: `data` has no schema of Arrow.
    """
    schema = _schema(data)
    _refuse_twins(schema)
    from_spark = spark_schema.read(schema)
    # A field says itself what it is. Where some do, one that does not was put there later, and Spark's schema, which
    # stays with the table whatever is put into it, is of what was there before.
    only_spark = bool(from_spark) and not any(_bears_tags(field) for field in schema)
    found: dict[str, Tag] = {}
    for field in schema:
        tag = _tag(field, field.name, revisions)
        if from_spark:
            other = _spark_tag(from_spark, field, field.name, revisions)
            if tag is None and only_spark:
                tag = other
            elif tag is not None and other is not None and tag != other:
                raise UnlabelledData(
                    f"broken tag: the schema that Spark left in the metadata says of `{field.name}` otherwise than the "
                    "field itself: tag it again, `tagged(…)`"
                )
        if tag is not None:
            found[field.name] = tag
    return Columns(found)


def concatenated(tables: Sequence[pa.Table], revisions: Revisions) -> pa.Table:
    """Tables of the same columns one below the other, where they are tagged alike.

    `pyarrow.concat_tables` and `pyarrow.unify_schemas` keep the tags of the first one, whatever the others say.

    Raises:
        UnlabelledData: a column is tagged otherwise in another table. Also as `columns_of`, as UnknownSource.
    """
    every = [_everywhere(table, revisions) for table in tables]
    for number, columns in enumerate(every[1:], 2):
        for name in dict.fromkeys([*every[0], *columns]):
            if columns.get(name) != every[0].get(name):
                raise UnlabelledData(
                    f"table {number} says of `{name}` otherwise than the first one: give all of them the tags of what "
                    "they hold together first, `tagged(…)`"
                )
    return pa.concat_tables(tables)


def _everywhere(data: pa.Table, revisions: Revisions) -> dict[str, Tag]:
    """The tags of columns, and beside them those that fields within bear, by their paths."""
    found = dict(columns_of(data, revisions))
    inside = [one for field in data.schema for one in _inner(field.type, field.name)]
    while inside:
        field, where = inside.pop()
        own = _own(field, where, revisions)
        if own is not None:
            found[where] = own
        inside += _inner(field.type, where)
    return found


def model_of(data: object, revisions: Revisions, name: str = "Row") -> type[BaseModel]:
    """A pydantic model of the rows, each field annotated with its tag; one that is not personal has none.

    Raises:
        TypeError: a column has a type that no annotation stands for, or a name that no field can have.
        UnlabelledData: a column bears no tag. Also as `columns_of`, as UnknownSource.
    """
    schema = _schema(data)
    columns = columns_of(schema, revisions)
    for one in schema.names:
        if one not in columns:
            raise UnlabelledData(f"`{one}` bears no tag, so it cannot be told what a field of it would hold")
    borne = any(_bears_tags(field) for field in schema)

    def inner(field: pa.Field, where: str, name: str) -> Any:
        return _annotated(field, where, name, _own(field, where, revisions))

    def _annotated(field: pa.Field, where: str, name: str, tag: Tag | None) -> Any:
        annotation = annotation_of(field.type, where, name, inner)
        if field.nullable:
            annotation = annotation | None
        if tag is not None and pa.types.is_map(field.type):
            tag = _less(tag, [_tag(one, path, revisions) for one, path in _inner(field.type, where)])
        extras = _extras(tag)
        return Annotated[(annotation, *extras)] if extras else annotation

    fields: dict[str, Any] = {}
    for field in schema:
        # Where it bears its own, what is inside says itself what it is.
        tag = _own(field, field.name, revisions) if borne else columns[field.name]
        fields[field.name] = _annotated(field, field.name, name, tag)
    return model(name, fields)


def _less(tag: Tag, inside: Sequence[Tag | None]) -> Tag:
    """What a map says of itself beside what is in it says: it says that as well, since Parquet may lose it there."""
    told = {source for one in inside if one is not None for source in one.label.sources}
    own = tag.label.sources - told
    return Tag(Label(*own) if own else NOT_PERSONAL, by_row=tag.by_row, mark=tag.mark)


def _extras(tag: Tag | None) -> list[Any]:
    if tag is None:
        return []
    sources = [] if tag.label is NOT_PERSONAL else list(tag.label)
    return [*sources, *([ByRow] if tag.by_row else ()), *(() if tag.mark is None else (tag.mark,))]


# ---- inside a column -------------------------------------------------------------------------------------------------


def pressed(field: pa.Field, tag: Tag, revisions: Revisions, where: str) -> pa.Field:
    """A field whose fields that bear tags say what it says itself, besides."""
    if not tag.is_personal or not any(_bears_tags(one) for one, _ in _inner(field.type, where)):
        return field

    def more(one: pa.Field) -> pa.Field:
        own = _own(one, where, revisions)
        whole = tag if own is None else Tag(own.label | tag.label, by_row=own.by_row or tag.by_row, mark=own.mark)
        found = pressed(one, whole, revisions, where)
        return found if own is None else _bearing(found, whole, revisions)

    return field.with_type(remade(field.type, more))


def _bearing(field: pa.Field, tag: Tag, revisions: Revisions) -> pa.Field:
    return field.with_metadata({**(field.metadata or {}), _KEY: encode(tag, revisions).encode()})


# ---- one field -------------------------------------------------------------------------------------------------------


def _own(field: pa.Field, where: str, revisions: Revisions) -> Tag | None:
    text = (field.metadata or {}).get(_KEY)
    return None if text is None else decode(text, revisions, where)


def _tag(field: pa.Field, where: str, revisions: Revisions) -> Tag | None:
    """The tag of a column with all that is in it; None where it, and something in it, bears none."""
    own = _own(field, where, revisions)
    inside = [_tag(one, path, revisions) for one, path in _inner(field.type, where)]
    return _united(own, inside)


def _spark_tag(texts: Mapping[str, str], field: pa.Field, where: str, revisions: Revisions) -> Tag | None:
    text = texts.get(where)
    own = None if text is None else decode(text, revisions, where)
    inside = [_spark_tag(texts, one, path, revisions) for one, path in _inner(field.type, where)]
    return _united(own, inside)


def _united(own: Tag | None, inside: Sequence[Tag | None]) -> Tag | None:
    known = [one for one in inside if one is not None]
    if own is None and (not inside or len(known) < len(inside)):
        return None
    if own is None:
        own = Tag()
    if not known:
        return own
    label = Label.join(own.label, *(one.label for one in known))
    return Tag(label, by_row=own.by_row or any(one.by_row for one in known), mark=own.mark)


def _inner(type_: pa.DataType, where: str) -> Iterator[tuple[pa.Field, str]]:
    """The fields in a type, with the paths to them."""
    if isinstance(type_, pa.BaseExtensionType):
        yield from _inner(type_.storage_type, where)
        return
    if not type_.num_fields and not isinstance(type_, pa.DictionaryType):
        return
    types = pa.types
    if types.is_map(type_):
        yield type_.key_field, f"{where}[]"
        yield type_.item_field, f"{where}[]"
    elif types.is_struct(type_) or types.is_union(type_):
        for number in range(type_.num_fields):
            yield type_.field(number), f"{where}.{type_.field(number).name}"
    elif types.is_dictionary(type_) or types.is_run_end_encoded(type_):
        yield from _inner(type_.value_type, where)
    elif hasattr(type_, "value_field"):
        yield type_.value_field, f"{where}[]"


def _bears_tags(field: pa.Field) -> bool:
    return _KEY in (field.metadata or {}) or any(_bears_tags(one) for one, _ in _inner(field.type, ""))


# ---- a whole schema --------------------------------------------------------------------------------------------------


def _schema(data: object) -> pa.Schema:
    if isinstance(data, pa.Schema):
        return data
    schema = getattr(data, "schema", None)
    if not isinstance(schema, pa.Schema):
        raise TypeError(f"a table, record batch, data set or schema of Arrow is needed, not {type(data).__name__}")
    return schema


def _with_schema(data: Any, schema: pa.Schema) -> Any:
    if isinstance(data, pa.Schema):
        return schema
    if isinstance(data, pa.Table):
        return pa.Table.from_arrays(data.columns, schema=schema)
    if isinstance(data, pa.RecordBatch):
        return pa.RecordBatch.from_arrays(data.columns, schema=schema)
    if hasattr(data, "replace_schema"):  # a data set, whose module is not imported for it
        return data.replace_schema(schema)
    raise TypeError(f"{type(data).__name__} cannot be given another schema: give a table, a record batch or a data set")


def _with_spark(schema: pa.Schema, notice: Revisions, *, spark: bool) -> pa.Schema:
    """The schema with Spark's in its metadata, or without one: of other columns it would be wrong."""
    metadata = {key: value for key, value in (schema.metadata or {}).items() if key != spark_schema.SPARK_KEY}
    bare = schema.with_metadata(metadata or None)
    if not spark:
        return bare
    texts = {name: encode(tag, notice) for name, tag in columns_of(bare, notice).items()}
    return bare.with_metadata({**metadata, spark_schema.SPARK_KEY: spark_schema.written(bare, texts).encode()})


def _refuse_twins(schema: pa.Schema) -> None:
    if len(set(schema.names)) < len(schema.names):
        twice = next(name for name, times in Counter(schema.names).items() if times > 1)
        raise UnlabelledData(f"two columns are called {shown(twice)}, so a tag could be of either: rename one")


def _named(names: Sequence[str]) -> str:
    more = f" (and {len(names) - 1:,} more)" if len(names) > 1 else ""
    return f"{shown(names[0])}{more}"
