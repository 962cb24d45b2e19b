"""The schema that Spark writes into Parquet files beside the data, and uses when it reads them.

The schema is JSON under a key of the file's metadata. Each field in it has metadata, which a DataFrame shows as the
metadata of the column.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import pyarrow as pa

from purposeguard.adapters.tags import KEY
from purposeguard.errors import UnlabelledData

SPARK_KEY: Final = b"org.apache.spark.sql.parquet.row.metadata"
"""The key of the schema's metadata under which Spark keeps its own schema."""

_MAX_SCHEMA_BYTES: Final = 20_000_000
"""Maximum size of Spark's schema in bytes, enough for a million columns with tags."""

_PRIMITIVE_TYPES: Final = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_int8, "byte"),
    (pa.types.is_int16, "short"),
    (pa.types.is_int32, "integer"),
    (pa.types.is_int64, "long"),
    (pa.types.is_float32, "float"),
    (pa.types.is_float64, "double"),
    (pa.types.is_string, "string"),
    (pa.types.is_large_string, "string"),
    (pa.types.is_binary, "binary"),
    (pa.types.is_large_binary, "binary"),
    (pa.types.is_date32, "date"),
)


def to_spark_schema(schema: pa.Schema, tags: Mapping[str, str]) -> str:
    """Return the schema in the JSON that Spark writes.

    Args:
        schema: The Arrow schema.
        tags: The encoded tag of each column, which also covers its nested fields.

    Raises:
        TypeError: Spark has no type for one of the columns.
    """
    fields = [_make_field(field, field.name, tags[field.name]) for field in schema]
    return json.dumps({"type": "struct", "fields": fields}, ensure_ascii=False, separators=(",", ":"))


def _make_field(field: pa.Field, where: str, tag: str | None = None) -> dict[str, Any]:
    """Return a field of Spark's schema, with the given tag or the field's own."""
    if tag is None:
        own = (field.metadata or {}).get(KEY.encode())
        tag = None if own is None else own.decode()
    metadata = {} if tag is None else {KEY: tag}
    type_ = _make_type(field.type, where)
    return {"name": field.name, "type": type_, "nullable": field.nullable, "metadata": metadata}


def _make_type(type_: pa.DataType, where: str) -> Any:
    """Return the type that Spark's schema has for an Arrow type. Raise TypeError if there is none."""
    types = pa.types
    if types.is_dictionary(type_):
        return _make_type(type_.value_type, where)
    if types.is_struct(type_):
        return {"type": "struct", "fields": [_make_field(field, f"{where}.{field.name}") for field in type_]}
    if types.is_list(type_) or types.is_large_list(type_):
        # In Spark only fields have metadata, items of arrays do not. So the column bears the tags of its items.
        item = type_.value_field
        return {"type": "array", "elementType": _make_type(item.type, f"{where}[]"), "containsNull": item.nullable}
    if types.is_map(type_):
        key, value = _make_type(type_.key_type, f"{where}[]"), _make_type(type_.item_type, f"{where}[]")
        return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": type_.item_field.nullable}
    return _name_plain_type(type_, where)


def _name_plain_type(type_: pa.DataType, where: str) -> str:
    """Return Spark's name for an Arrow type without nested fields. Raise TypeError if there is none."""
    types = pa.types
    if types.is_decimal(type_):
        return f"decimal({type_.precision},{type_.scale})"
    if types.is_timestamp(type_):
        return "timestamp_ntz" if type_.tz is None else "timestamp"
    for is_of_type, name in _PRIMITIVE_TYPES:
        if is_of_type(type_):
            return name
    raise TypeError(f"`{where}` is {type_}, for which Spark has no type: leave it out, or store it as another")


def read_tags(schema: pa.Schema) -> dict[str, str] | None:
    """Return the encoded tags in Spark's schema, by column. Return None if Spark left no schema.

    The key of a nested field is its path, such as `address.street`.

    Raises:
        UnlabelledData: Spark's schema cannot be read, or describes other columns.
    """
    text: bytes | None = (schema.metadata or {}).get(SPARK_KEY)
    if text is None:
        return None
    try:
        fields = json.loads(text if len(text) <= _MAX_SCHEMA_BYTES else b"")["fields"]
        names = [str(field["name"]) for field in fields]
        tags = dict(_iter_tags(fields, ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        names, tags = None, {}
    if names is None:
        raise UnlabelledData("the schema that Spark left in the metadata cannot be read, so nor can its tags")
    if tags and names != list(schema.names):
        raise UnlabelledData(
            "the schema that Spark left in the metadata is of other columns than these, so its tags say nothing of "
            "them: tag what was read from the file before columns are changed, `tagged(table, columns_of(…), notice)`"
        )
    return tags


def _iter_tags(fields: Any, before: str) -> Iterator[tuple[str, str]]:
    """Yield the encoded tags of the fields of a struct, each with its path."""
    for field in fields:
        where = f"{before}{field['name']}"
        tag = (field.get("metadata") or {}).get(KEY)
        if tag is not None:
            yield where, tag if isinstance(tag, str) else ""  # decoding refuses an empty tag
        yield from _iter_inner_tags(field["type"], where)


def _iter_inner_tags(type_: Any, where: str) -> Iterator[tuple[str, str]]:
    if not isinstance(type_, dict):
        return
    composite = cast("dict[str, Any]", type_)
    if composite["type"] == "struct":
        yield from _iter_tags(composite["fields"], f"{where}.")
    for part in ("elementType", "keyType", "valueType"):
        if part in composite:
            yield from _iter_inner_tags(composite[part], f"{where}[]")
