"""Tags go to Spark and come back by way of Parquet: as the metadata of its columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from purposeguard import Label, NotPersonal, Subject, UnlabelledData
from purposeguard.adapters import tags
from purposeguard.adapters.arrow import KEY, columns_of, schema_of, tagged
from purposeguard.adapters.arrow.spark import SPARK_KEY
from purposeguard.adapters.tags import Tag, decode
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.arrow.models import Address

NOTICE = tm.NOTICE


class Row(BaseModel):
    id: Annotated[int, Subject("customer")]
    email: Annotated[str | None, tm.Registration]
    home: Address
    notes: dict[str, Annotated[str, tm.ProductData]]
    scores: Annotated[list[float], tm.Contract]


ROWS: list[dict[str, Any]] = [
    {"id": 1, "email": "a@b", "home": {"street": "s", "city": "c"}, "notes": {"k": "v"}, "scores": [1.5]},
    {"id": 2, "email": None, "home": {"street": "t", "city": "d"}, "notes": {}, "scores": []},
]


def _written() -> pa.Table:
    given = [{**row, "notes": list(row["notes"].items())} for row in ROWS]
    return pa.Table.from_pylist(given, schema_of(Row, NOTICE, spark=True))


def test_spark_shows_the_tags_that_arrow_wrote(spark: Any, tmp_path: Path) -> None:
    pq.write_table(_written(), tmp_path / "rows.parquet")
    frame = spark.read.parquet(str(tmp_path / "rows.parquet"))
    assert [row.asDict(recursive=True) for row in frame.orderBy("id").collect()] == ROWS
    fields = {field.name: field for field in frame.schema.fields}
    assert decode(fields["id"].metadata[KEY], NOTICE, "id") == Tag(mark=Subject("customer"))
    assert decode(fields["email"].metadata[KEY], NOTICE, "email").label is Label(tm.Registration)
    assert decode(fields["scores"].metadata[KEY], NOTICE, "scores").label is Label(tm.Contract)
    street = fields["home"].dataType["street"]
    assert decode(street.metadata[KEY], NOTICE, "street").label is Label(tm.Registration)


def test_arrow_reads_the_tags_that_spark_wrote(spark: Any, tmp_path: Path) -> None:
    from pyspark.sql import functions as F

    tag = tags.encode(Tag(Label(tm.Registration)), NOTICE)
    plain = tags.encode(Tag(), NOTICE)
    frame = spark.createDataFrame([(1, "a@b")], "id long, email string").select(
        F.col("id").alias("id", metadata={KEY: plain}), F.col("email").alias("email", metadata={KEY: tag})
    )
    frame.write.parquet(str(tmp_path / "rows"))
    table = pq.read_table(tmp_path / "rows")
    assert all(not field.metadata for field in table.schema)
    columns = columns_of(table, NOTICE)
    assert columns["email"].label is Label(tm.Registration)
    assert columns["id"].label is Label(NotPersonal)
    adopted = tagged(table, columns, NOTICE)
    assert columns_of(adopted, NOTICE) == columns
    assert SPARK_KEY not in (adopted.schema.metadata or {})


def test_what_went_to_spark_and_back_bears_the_same_tags(spark: Any, tmp_path: Path) -> None:
    pq.write_table(_written(), tmp_path / "rows.parquet")
    spark.read.parquet(str(tmp_path / "rows.parquet")).write.parquet(str(tmp_path / "back"))
    back = columns_of(pq.read_table(tmp_path / "back"), NOTICE)
    expected = tags.columns_of(NOTICE, Row)
    # Of what a map holds Spark keeps no metadata: the column bears the tags of all that is in it.
    assert back == expected


def _from_spark(*fields: dict[str, Any], table: pa.Table | None = None) -> pa.Table:
    schema = json.dumps({"type": "struct", "fields": fields})
    given = pa.table({"email": ["a"], "device": ["b"]}) if table is None else table
    return given.replace_schema_metadata({SPARK_KEY: schema})


def _field(name: str, source: Any) -> dict[str, Any]:
    tag = tags.encode(Tag(Label(source)), NOTICE)
    return {"name": name, "type": "string", "nullable": True, "metadata": {KEY: tag}}


def test_a_contradiction_between_the_two_is_a_broken_tag() -> None:
    table = tagged(
        pa.table({"email": ["a"], "device": ["b"]}), {"email": tm.Registration, "device": tm.ProductData}, NOTICE
    )
    agreeing = _from_spark(_field("email", tm.Registration), _field("device", tm.ProductData), table=table)
    assert columns_of(agreeing, NOTICE) == columns_of(table, NOTICE)
    swapped = _from_spark(_field("email", tm.ProductData), _field("device", tm.Registration), table=table)
    with pytest.raises(UnlabelledData, match=r"broken tag: .*`email`"):
        columns_of(swapped, NOTICE)


def test_sparks_schema_is_believed_of_its_own_columns_alone() -> None:
    table = _from_spark(_field("email", tm.Registration), _field("device", tm.ProductData))
    assert columns_of(table, NOTICE)["device"].label is Label(tm.ProductData)
    for changed in (table.append_column("more", table["device"]), table.select(["device"]), table.select([1, 0])):
        with pytest.raises(UnlabelledData, match="of other columns than these"):
            columns_of(changed, NOTICE)


def test_a_column_put_into_a_tagged_table_does_not_get_the_tag_that_spark_left() -> None:
    table = tagged(
        pa.table({"email": ["a"], "device": ["b"]}),
        {"email": tm.Registration, "device": tm.ProductData},
        NOTICE,
        spark=True,
    )
    replaced = table.set_column(0, "email", table["device"])
    assert list(columns_of(replaced, NOTICE)) == ["device"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"fields":[{}]}', '{"fields":[{"name":"a"}]}', '{"fields":7}'])
def test_a_broken_schema_of_spark_is_refused(text: str) -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata({SPARK_KEY: text})
    with pytest.raises(UnlabelledData, match="Spark left"):
        columns_of(table, NOTICE)


def test_a_type_that_spark_does_not_have_is_refused_when_it_is_asked_for() -> None:
    table = pa.table({"took": pa.array([1], pa.duration("us"))})
    assert columns_of(tagged(table, {"took": NotPersonal}, NOTICE), NOTICE)
    with pytest.raises(TypeError, match="`took` is duration"):
        tagged(table, {"took": NotPersonal}, NOTICE, spark=True)
