"""Reading and writing tags on the fields of Arrow schemas, tables, batches and data sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar, cast

import pyarrow as pa

from purposeguard.adapters import tags as column_tags
from purposeguard.adapters.arrow import spark as spark_schema
from purposeguard.adapters.tags import KEY, NOT_PERSONAL_TAG, Columns, Revisions, Tag, decode, encode
from purposeguard.containers import exclude
from purposeguard.errors import UnlabelledData, format_name

Data = TypeVar("Data")

_KEY: Final = KEY.encode()


def tagged(data: Data, tags: object, notice: Revisions, *, spark: bool = False) -> Data:
    """Tag the columns of a table, record batch, data set or schema. No data is copied.

    A nested field that has a tag keeps it, joined with the sources of its column, because it may be taken out
    (`flatten`). A nested field without a tag gets none.

    Args:
        data: The table, record batch, data set or schema.
        tags: `Columns`, a tagged class, or a mapping of names to sources. Every column must be named, also those that
            are `NotPersonal`.
        notice: The revisions of the notice that the tags refer to.
        spark: Also write the tags into the schema that Spark keeps in Parquet files and reads its columns from. Do
            this as the last step before the file is written.

    Returns:
        The same kind of object as `data`, with tags.

    Raises:
        TypeError: `data` has another type, or with `spark` a column has a type that Spark does not support.
        UnlabelledData: `tags` lacks a column, or two columns have the same name.
        UnknownSource: a source belongs to no known revision.
        ValueError: `tags` names a column that does not exist.
    """
    schema = _schema(data)
    columns = column_tags.columns_of(notice, tags)
    _refuse_twins(schema)
    names = set(schema.names)
    unknown = exclude(columns, names)
    if unknown:
        raise ValueError(f"{_format_names(unknown)} is tagged, and there is no such column")
    left_out = exclude(schema.names, columns)
    if left_out:
        raise UnlabelledData(
            f"{_format_names(left_out)} carries no tag: name its source, "
            "or say `NotPersonal` where a column is not personal (rule 4)"
        )
    fields: list[pa.Field] = []
    for field in schema:
        tag = columns[field.name]
        fields.append(_add_tag(_push_tag_down(field, tag, notice, field.name), tag, notice))
    new_schema = with_spark(pa.schema(fields, metadata=schema.metadata), notice, spark=spark)
    return cast("Data", _with_schema(data, new_schema))


def columns_of(data: object, revisions: Revisions) -> Columns:
    """Return the tags of the columns of a schema, table, batch or data set, without the columns that bear none.

    Tags are read from the fields and, if Spark wrote the file, from the schema that Spark left in it. The tag of a
    column covers its nested fields, and the tags of nested fields count for their column.

    Raises:
        UnlabelledData: a tag cannot be read, two columns have the same name, or Spark's schema contradicts a field.
        UnknownSource: a tag belongs to another notice, or to an unknown revision or clause.
        TypeError: `data` has no Arrow schema.
    """
    schema = _schema(data)
    _refuse_twins(schema)
    from_spark = spark_schema.read_tags(schema)
    # If some fields have tags, a field without a tag was added later. Spark's schema stays with the table when columns
    # are replaced, so its tag would describe the field that was there before.
    only_spark = bool(from_spark) and not any(map(_bears_tags, schema))
    columns: dict[str, Tag] = {}
    for field in schema:
        tag = _read_joint_tag(field, field.name, revisions)
        if from_spark:
            spark_tag = _read_joint_tag(field, field.name, revisions, lambda _, where: from_spark.get(where))
            if tag is None and only_spark:
                tag = spark_tag
            elif tag is not None and spark_tag is not None and tag != spark_tag:
                raise UnlabelledData(
                    f"broken tag: the schema that Spark left in the metadata says of `{field.name}` otherwise than the "
                    "field itself: tag it again, `tagged(…)`"
                )
        if tag is not None:
            columns[field.name] = tag
    return Columns(columns)


def concatenated(tables: Sequence[pa.Table], revisions: Revisions) -> pa.Table:
    """Concatenate tables that have the same columns with the same tags.

    `pyarrow.concat_tables` and `pyarrow.unify_schemas` silently keep the tags of the first table.

    Raises:
        UnlabelledData: a column has different tags in two tables, or `columns_of` refuses a table.
        UnknownSource: as `columns_of`.
    """
    tags_by_table = [_collect_all_tags(table, revisions) for table in tables]
    for number, columns in enumerate(tags_by_table[1:], 2):
        for name in dict.fromkeys([*tags_by_table[0], *columns]):
            if columns.get(name) != tags_by_table[0].get(name):
                raise UnlabelledData(
                    f"table {number} says of `{name}` otherwise than the first one: give all of them the tags of what "
                    "they hold together first, `tagged(…)`"
                )
    return pa.concat_tables(tables)


def _collect_all_tags(data: pa.Table, revisions: Revisions) -> dict[str, Tag]:
    """Return the tags of columns and, by path, of the fields in them."""
    tags = dict(columns_of(data, revisions))
    pending: list[tuple[pa.Field, str]] = []
    for column in data.schema:
        pending += _iter_inner_fields(column.type, column.name)
    while pending:
        field, path = pending.pop()
        own = _read_own_tag(field, path, revisions)
        if own is not None:
            tags[path] = own
        pending += _iter_inner_fields(field.type, path)
    return tags


# ---- inside a column -------------------------------------------------------------------------------------------------


def _push_tag_down(field: pa.Field, tag: Tag, revisions: Revisions, where: str) -> pa.Field:
    """Return the field with its tag joined into the tags of its nested fields."""
    if not tag.is_personal or not _bears_inner_tags(field):
        return field

    def join_into(inner: pa.Field) -> pa.Field:
        own = _read_own_tag(inner, where, revisions)
        if own is None:
            return _push_tag_down(inner, tag, revisions, where)
        joint_tag = Tag(own.label | tag.label, by_row=own.by_row or tag.by_row, mark=own.mark)
        return _add_tag(_push_tag_down(inner, joint_tag, revisions, where), joint_tag, revisions)

    return field.with_type(_rebuild_type(field.type, join_into))


def _add_tag(field: pa.Field, tag: Tag, revisions: Revisions) -> pa.Field:
    return field.with_metadata({**(field.metadata or {}), _KEY: encode(tag, revisions).encode()})


def _rebuild_type(type_: pa.DataType, rebuild: Callable[[pa.Field], pa.Field]) -> pa.DataType:
    """Return the type with its nested fields rebuilt. Return a type that cannot be rebuilt unchanged."""
    if pa.types.is_struct(type_):
        return pa.struct(list(map(rebuild, type_)))
    if pa.types.is_map(type_):
        return pa.map_(rebuild(type_.key_field), rebuild(type_.item_field), keys_sorted=type_.keys_sorted)
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(rebuild(type_.value_field), type_.list_size)
    for is_of_kind, make_list in _LISTS:
        if is_of_kind(type_):
            return make_list(rebuild(type_.value_field))
    return type_


_LISTS: Final = (
    (pa.types.is_list, pa.list_),
    (pa.types.is_large_list, pa.large_list),
    (pa.types.is_list_view, pa.list_view),
    (pa.types.is_large_list_view, pa.large_list_view),
)


# ---- one field -------------------------------------------------------------------------------------------------------


_TextReader = Callable[[pa.Field, str], "str | bytes | None"]
"""A function that returns the encoded tag of a field, called with the field and its path."""


def _read_text(field: pa.Field, _where: str) -> bytes | None:
    return (field.metadata or {}).get(_KEY)


def _read_own_tag(field: pa.Field, where: str, revisions: Revisions, read_text: _TextReader = _read_text) -> Tag | None:
    """Return the tag of a field itself, or None if it has none."""
    text = read_text(field, where)
    return None if text is None else decode(text, revisions, where)


def _read_joint_tag(
    field: pa.Field, where: str, revisions: Revisions, read_text: _TextReader = _read_text
) -> Tag | None:
    """Return the joint tag of a column and its nested fields.

    Return None if neither the column nor all of its nested fields have a tag.
    """
    own = _read_own_tag(field, where, revisions, read_text)
    inner_tags: list[Tag] = []
    all_are_tagged = True
    for inner, path in _iter_inner_fields(field.type, where):
        tag = _read_joint_tag(inner, path, revisions, read_text)
        if tag is None:
            all_are_tagged = False
        else:
            inner_tags.append(tag)
    if own is None:
        if not inner_tags or not all_are_tagged:
            return None
        own = NOT_PERSONAL_TAG
    return _join_tags(own, inner_tags)


def _join_tags(own: Tag, inner_tags: Sequence[Tag]) -> Tag:
    """Return the tag of a field with the sources of its nested fields added."""
    if not inner_tags:
        return own
    label = own.label
    by_row = own.by_row
    for tag in inner_tags:
        label |= tag.label
        by_row |= tag.by_row
    return Tag(label, by_row=by_row, mark=own.mark)


def _iter_inner_fields(type_: pa.DataType, where: str) -> Iterator[tuple[pa.Field, str]]:
    """Yield the nested fields of a type, each with its path."""
    if isinstance(type_, pa.BaseExtensionType):
        yield from _iter_inner_fields(type_.storage_type, where)
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
        yield from _iter_inner_fields(type_.value_type, where)
    elif hasattr(type_, "value_field"):
        yield type_.value_field, f"{where}[]"


def _bears_tags(field: pa.Field) -> bool:
    """Return True if a field or one of its nested fields has a tag."""
    return _KEY in (field.metadata or {}) or _bears_inner_tags(field)


def _bears_inner_tags(field: pa.Field) -> bool:
    return any(_bears_tags(inner) for inner, _ in _iter_inner_fields(field.type, ""))


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
    if hasattr(data, "replace_schema"):  # A data set. Its module is optional, so it is not imported here.
        return data.replace_schema(schema)
    raise TypeError(f"{type(data).__name__} cannot be given another schema: give a table, a record batch or a data set")


def with_spark(schema: pa.Schema, notice: Revisions, *, spark: bool) -> pa.Schema:
    """Return the schema with Spark's own schema in its metadata, or without it if `spark` is False.

    A schema that Spark left earlier is always removed, because it may describe other columns.
    """
    metadata = dict(schema.metadata or {})
    metadata.pop(spark_schema.SPARK_KEY, None)
    bare = schema.with_metadata(metadata or None)
    if not spark:
        return bare
    texts = {name: encode(tag, notice) for name, tag in columns_of(bare, notice).items()}
    return bare.with_metadata({**metadata, spark_schema.SPARK_KEY: spark_schema.to_spark_schema(bare, texts).encode()})


def _refuse_twins(schema: pa.Schema) -> None:
    """Raise UnlabelledData if two columns have the same name."""
    for name, times in Counter(schema.names).items():
        if times > 1:
            raise UnlabelledData(f"two columns are called {format_name(name)}, so a tag could be of either: rename one")


def _format_names(names: Sequence[str]) -> str:
    others = f" (and {len(names) - 1:,} more)" if len(names) > 1 else ""
    return f"{format_name(names[0])}{others}"
