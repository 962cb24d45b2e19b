"""Tags inside columns: what is taken out of one, put together, or written in a way that two readers read in two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from purposeguard import Label, UnlabelledData
from purposeguard.adapters import tags
from purposeguard.adapters.arrow import KEY, columns_of, concatenated, schema_of, tagged
from purposeguard.adapters.tags import Tag
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.markers import ByRow
from tests.adapters.arrow.models import Address

NOTICE = tm.NOTICE


class Registered(BaseModel):
    """A customer, whose address is of contracts as a whole."""

    address: Annotated[Address, tm.Contract]
    others: Annotated[list[Address], tm.ProductData]
    by_kind: Annotated[dict[str, Address], tm.Cookie]


def test_what_is_taken_out_of_a_column_says_what_was_said_of_the_whole(tmp_path: Path) -> None:
    schema = schema_of(Registered, NOTICE)
    home = {"street": "a", "city": "b"}
    table = pa.Table.from_pylist([{"address": home, "others": [home], "by_kind": {"home": home}}], schema=schema)
    own = tags.columns_of(NOTICE, Address)
    assert dict(columns_of(table.flatten(), NOTICE)) == {
        **{f"address.{name}": Tag(tag.label | Label(tm.Contract)) for name, tag in own.items()},
        "others": columns_of(table, NOTICE)["others"],
        "by_kind": columns_of(table, NOTICE)["by_kind"],
    }
    pq.write_table(table, tmp_path / "t.parquet")
    city = ds.dataset(tmp_path / "t.parquet").to_table(columns={"city": pc.field("address", "city")})
    assert columns_of(city, NOTICE)["city"].label.sources >= {tm.Contract}

    again = tagged(table, dict.fromkeys(schema.names, (tm.WebForm, ByRow)), NOTICE)
    assert again.column("others").to_pylist() == table.column("others").to_pylist()
    assert columns_of(again, NOTICE)["address"].label.sources >= {tm.WebForm, tm.Contract}
    for tag in columns_of(again.flatten(), NOTICE).values():
        assert tag.label.sources >= {tm.WebForm}
        assert tag.by_row
    for place in (schema.get_field_index("others"), schema.get_field_index("by_kind")):
        type_ = again.schema.field(place).type
        inner = type_.item_field if pa.types.is_map(type_) else type_.value_field
        assert columns_of(pa.schema([inner.type.field("city")]), NOTICE)["city"].label.sources >= {tm.WebForm}


def test_tables_that_are_tagged_alike_as_a_whole_and_not_inside_are_not_put_together() -> None:
    def nested(one: Any, other: Any) -> pa.Table:
        fields = [
            pa.field(name, pa.int64(), metadata={KEY: tags.encode(Tag(Label(of)), NOTICE)})
            for name, of in (("a", one), ("b", other))
        ]
        return pa.table({"s": pa.array([{"a": 1, "b": 2}], pa.struct(fields))})

    first, second = nested(tm.Registration, tm.ProductData), nested(tm.ProductData, tm.Registration)
    assert columns_of(first, NOTICE) == columns_of(second, NOTICE)
    assert concatenated([first, first], NOTICE).num_rows == 2
    with pytest.raises(UnlabelledData, match=r"says of `s.[ab]` otherwise"):
        concatenated([first, second], NOTICE)


class _Boxed(pa.ExtensionType):  # type: ignore[misc]  # of which nothing is known to type checkers
    def __init__(self) -> None:
        field = pa.field("a", pa.int64(), metadata={KEY: tags.encode(Tag(Label(tm.ProductData)), NOTICE)})
        super().__init__(pa.struct([field]), "tests.boxed")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, _storage: pa.DataType, _serialized: bytes) -> _Boxed:
        return cls()


def test_what_is_stored_in_an_extension_type_counts() -> None:
    schema = pa.schema([pa.field("x", _Boxed(), metadata={KEY: tags.encode(Tag(), NOTICE)})])
    assert columns_of(schema, NOTICE)["x"].label == Label(tm.ProductData)


@pytest.mark.parametrize("twice", ['"sources":["not-personal"]', '"version":1', '"realm":"a","realm":"a"'])
def test_a_tag_that_says_a_thing_twice_is_broken(twice: str) -> None:
    text = (
        '{"notice":"trendmicro-jp","revision":"2024-04-01","sources":["1.1(a)"],"version":1,"mark":"subject",' + twice
    )
    with pytest.raises(UnlabelledData, match=r"the tag of `a` cannot be read: `[a-z]+` is there twice"):
        columns_of(pa.schema([pa.field("a", pa.string(), metadata={KEY: text + "}"})]), NOTICE)
