"""Tags of Arrow: read and written on the fields of schemas, tables, batches and data sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar, cast

import pyarrow as pa

from purposeguard.adapters import tags as column_tags
from purposeguard.adapters.arrow import spark as spark_schema
from purposeguard.adapters.tags import KEY, Columns, Revisions, Tag, decode, encode
from purposeguard.errors import UnlabelledData, format_name
from purposeguard.notice.label import Label

Data = TypeVar("Data")

_KEY: Final = KEY.encode()


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
    columns = column_tags.columns_of(notice, tags)
    _refuse_twins(schema)
    unknown = [name for name in columns if name not in set(schema.names)]
    if unknown:
        raise ValueError(f"{_format_names(unknown)} is tagged, and there is no such column")
    left_out = [name for name in schema.names if name not in columns]
    if left_out:
        raise UnlabelledData(
            f"{_format_names(left_out)} carries no tag: name its source, "
            "or say `NotPersonal` where a column is not personal (rule 4)"
        )
    fields = [
        _add_tag(_push_tag_down(field, columns[field.name], notice, field.name), columns[field.name], notice)
        for field in schema
    ]
    new_schema = with_spark(pa.schema(fields, metadata=schema.metadata), notice, spark=spark)
    return cast("Data", _with_schema(data, new_schema))


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
    # If some fields have tags, one without was added later. Spark's schema, which stays with the table whatever is put
    # into it, describes the field that was there before.
    only_spark = bool(from_spark) and not any(_bears_tags(field) for field in schema)
    columns: dict[str, Tag] = {}
    for field in schema:
        tag = _tag(field, field.name, revisions)
        if from_spark:
            spark_tag = _tag(field, field.name, revisions, lambda _, where: from_spark.get(where))
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
    """Tables of the same columns one below the other, where they are tagged alike.

    `pyarrow.concat_tables` and `pyarrow.unify_schemas` keep the tags of the first one, whatever the others say.

    Raises:
        UnlabelledData: a column is tagged otherwise in another table. Also as `columns_of`, as UnknownSource.
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
    """The tags of columns and, by path, of the fields in them."""
    tags = dict(columns_of(data, revisions))
    inside = [field_and_path for field in data.schema for field_and_path in _inner(field.type, field.name)]
    while inside:
        field, where = inside.pop()
        own = _own(field, where, revisions)
        if own is not None:
            tags[where] = own
        inside += _inner(field.type, where)
    return tags


# ---- inside a column -------------------------------------------------------------------------------------------------


def _push_tag_down(field: pa.Field, tag: Tag, revisions: Revisions, where: str) -> pa.Field:
    """A field whose inner tags count its own tag as well."""
    if not tag.is_personal or not any(_bears_tags(inner) for inner, _ in _inner(field.type, where)):
        return field

    def more(inner: pa.Field) -> pa.Field:
        own = _own(inner, where, revisions)
        whole = tag if own is None else Tag(own.label | tag.label, by_row=own.by_row or tag.by_row, mark=own.mark)
        pressed = _push_tag_down(inner, whole, revisions, where)
        return pressed if own is None else _add_tag(pressed, whole, revisions)

    return field.with_type(_rebuild_type(field.type, more))


def _add_tag(field: pa.Field, tag: Tag, revisions: Revisions) -> pa.Field:
    return field.with_metadata({**(field.metadata or {}), _KEY: encode(tag, revisions).encode()})


def _rebuild_type(type_: pa.DataType, field: Callable[[pa.Field], pa.Field]) -> pa.DataType:
    """A type with its inner fields replaced; a type that cannot be rebuilt stays as it is."""
    types_ = pa.types
    if types_.is_struct(type_):
        return pa.struct([field(inner) for inner in type_])
    if types_.is_map(type_):
        return pa.map_(field(type_.key_field), field(type_.item_field), keys_sorted=type_.keys_sorted)
    if types_.is_fixed_size_list(type_):
        return pa.list_(field(type_.value_field), type_.list_size)
    made = next((make for test, make in _LISTS if test(type_)), None)
    return type_ if made is None else made(field(type_.value_field))


_LISTS: Final = (
    (pa.types.is_list, pa.list_),
    (pa.types.is_large_list, pa.large_list),
    (pa.types.is_list_view, pa.list_view),
    (pa.types.is_large_list_view, pa.large_list_view),
)


# ---- one field -------------------------------------------------------------------------------------------------------


_Texts = Callable[[pa.Field, str], "str | bytes | None"]
"""The text of a field's own tag, by the field and its path."""


def _text(field: pa.Field, _where: str) -> bytes | None:
    return (field.metadata or {}).get(_KEY)


def _own(field: pa.Field, where: str, revisions: Revisions, text_of: _Texts = _text) -> Tag | None:
    text = text_of(field, where)
    return None if text is None else decode(text, revisions, where)


def _tag(field: pa.Field, where: str, revisions: Revisions, text_of: _Texts = _text) -> Tag | None:
    """The tag of a column and everything in it; None if it and some part of it have none."""
    inside = [_tag(inner, path, revisions, text_of) for inner, path in _inner(field.type, where)]
    return _unite_tags(_own(field, where, revisions, text_of), inside)


def _unite_tags(own: Tag | None, inside: Sequence[Tag | None]) -> Tag | None:
    known = [tag for tag in inside if tag is not None]
    if own is None and (not inside or len(known) < len(inside)):
        return None
    if own is None:
        own = Tag()
    if not known:
        return own
    label = Label.join(own.label, *(tag.label for tag in known))
    return Tag(label, by_row=own.by_row or any(tag.by_row for tag in known), mark=own.mark)


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
    return _KEY in (field.metadata or {}) or any(_bears_tags(inner) for inner, _ in _inner(field.type, ""))


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


def with_spark(schema: pa.Schema, notice: Revisions, *, spark: bool) -> pa.Schema:
    """The schema with Spark's in its metadata, or without one: of other columns it would be wrong."""
    metadata = {key: value for key, value in (schema.metadata or {}).items() if key != spark_schema.SPARK_KEY}
    bare = schema.with_metadata(metadata or None)
    if not spark:
        return bare
    texts = {name: encode(tag, notice) for name, tag in columns_of(bare, notice).items()}
    return bare.with_metadata({**metadata, spark_schema.SPARK_KEY: spark_schema.to_spark_schema(bare, texts).encode()})


def _refuse_twins(schema: pa.Schema) -> None:
    if len(set(schema.names)) < len(schema.names):
        twice = next(name for name, times in Counter(schema.names).items() if times > 1)
        raise UnlabelledData(f"two columns are called {format_name(twice)}, so a tag could be of either: rename one")


def _format_names(names: Sequence[str]) -> str:
    more = f" (and {len(names) - 1:,} more)" if len(names) > 1 else ""
    return f"{format_name(names[0])}{more}"
