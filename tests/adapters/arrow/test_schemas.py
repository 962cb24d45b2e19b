"""Tags on Arrow: from models to schemas and back, through files, and what Arrow does with them in between."""

from __future__ import annotations

import datetime
import io
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import typing_extensions as te
from hypothesis import given
from pyarrow import feather
from pydantic import BaseModel

from purposeguard import History, Label, Notice, NotPersonal, Subject, UnknownSource, UnlabelledData
from purposeguard.adapters import tags
from purposeguard.adapters.arrow import KEY, columns_of, concatenated, schema_of, tagged
from purposeguard.adapters.tags import Columns, Tag
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.markers import Collected, Ended
from tests.adapters.arrow.models import AsAttrs, AsDataclass, AsNamedTuple, AsTypedDict, Contact, Customer, Page, models

NOTICE = tm.NOTICE
REGISTERED = tags.encode(Tag(Label(tm.Registration)), NOTICE)
TELEMETRY = tags.encode(Tag(Label(tm.ProductData)), NOTICE)


def _through_parquet(table: pa.Table) -> pa.Table:
    file = io.BytesIO()
    pq.write_table(table, file)
    return pq.read_table(file)


def _through_feather(table: pa.Table) -> pa.Table:
    file = pa.BufferOutputStream()
    feather.write_feather(table, file)
    return feather.read_table(pa.BufferReader(file.getvalue()))


def _table(**columns: str | None) -> pa.Table:
    fields = [pa.field(name, pa.string(), metadata=tag and {KEY: tag}) for name, tag in columns.items()]
    return pa.table([pa.array(["x"])] * len(fields), schema=pa.schema(fields))


def test_a_schema_has_the_types_and_the_tags_of_the_model() -> None:
    schema = schema_of(Customer, NOTICE)
    types = {field.name: str(field.type) for field in schema}
    assert types["id"] == "int64"
    assert types["since"] == "timestamp[us, tz=UTC]"
    assert types["until"] == "date32[day]"
    assert types["price"] == "decimal128(12, 2)"
    assert types["total"] == "decimal128(38, 18)"
    assert types["level"] == "int64"
    assert (
        types["key"] == types["tier"] == types["kind"] == types["address"] == types["site"] == types["seal"] == "string"
    )
    assert [field.name for field in schema if field.nullable] == ["until", "email", "kind", "home"]
    assert columns_of(schema, NOTICE) == tags.columns_of(NOTICE, Customer)
    assert columns_of(schema, NOTICE)["id"] == Tag(mark=Subject("customer"))
    assert columns_of(schema, NOTICE).columns_with_mark(Collected) == "since"
    assert columns_of(schema, NOTICE).columns_with_mark(Ended) == "until"
    assert columns_of(schema, NOTICE)["notes"].label == Label(tm.Contract, tm.ProductData)
    assert schema.field("addresses").type.value_type.field("street").metadata[KEY.encode()].decode() == REGISTERED


@pytest.mark.parametrize("model", [AsDataclass, AsTypedDict, AsNamedTuple, AsAttrs])
def test_every_kind_of_class_gives_the_same_schema(model: type) -> None:
    schema = schema_of(model, NOTICE)
    assert [(field.name, field.type) for field in schema] == [("email", pa.string()), ("age", pa.int64())]
    assert columns_of(schema, NOTICE)["email"].label is Label(tm.Registration)
    assert columns_of(schema, NOTICE)["age"].label is Label(NotPersonal)


def test_a_table_of_several_sources_says_so() -> None:
    columns = columns_of(schema_of(Contact, NOTICE), NOTICE)
    assert columns == tags.columns_of(NOTICE, Contact)


@given(model=models())
def test_a_model_has_the_same_sources_behind_a_file(model: type[BaseModel]) -> None:
    schema = schema_of(model, NOTICE)
    for through in (_through_parquet, _through_feather):
        read = through(schema.empty_table())
        assert columns_of(read, NOTICE) == tags.columns_of(NOTICE, model)


class _Anything(BaseModel):
    value: Any


class _Mixed(BaseModel):
    value: int | str


class _Circle(BaseModel):
    inner: list[_Circle]


class _Pair(BaseModel):
    value: tuple[int, str]


class _Bare(BaseModel):
    value: list  # type: ignore[type-arg]  # as some write it


_Lists = te.TypeAliasType("_Lists", "list[_Lists]")


class _Alias(BaseModel):
    value: _Lists


@pytest.mark.parametrize("model", [_Anything, _Mixed, _Circle, _Pair, _Bare, _Alias, Page])
def test_what_has_no_arrow_type_is_refused_by_the_name_of_its_field(model: type) -> None:
    with pytest.raises(TypeError, match=r"`(value|inner|rows)"):
        schema_of(model, NOTICE)


def test_what_is_no_model_has_no_schema() -> None:
    for given_ in (int, {"a": tm.Registration}, Columns({}), None):
        with pytest.raises(TypeError, match="no pydantic model"):
            schema_of(given_, NOTICE)


def test_tables_batches_data_sets_and_schemas_are_tagged_alike(tmp_path: Any) -> None:
    plain = pa.table({"email": ["a"], "age": [1]}).replace_schema_metadata({"other": "kept"})
    pq.write_table(plain, tmp_path / "plain.parquet")
    given_ = {"email": tm.Registration, "age": NotPersonal}
    expected = tags.columns_of(NOTICE, given_)
    for data in (plain, plain.schema, plain.to_batches()[0], ds.dataset(tmp_path / "plain.parquet")):
        found = tagged(data, given_, NOTICE)
        assert type(found) is type(data)
        assert columns_of(found, NOTICE) == expected
    assert tagged(plain, given_, NOTICE).schema.metadata == {b"other": b"kept"}
    assert tagged(plain, given_, NOTICE).column("email").to_pylist() == ["a"]
    read = tagged(ds.dataset(tmp_path / "plain.parquet"), given_, NOTICE).to_table()
    assert columns_of(read, NOTICE) == expected


def test_each_column_is_told_and_no_other() -> None:
    table = pa.table({"email": ["a"], "age": [1]})
    with pytest.raises(UnlabelledData, match="`age` carries no tag"):
        tagged(table, {"email": tm.Registration}, NOTICE)
    with pytest.raises(ValueError, match="`phone` is tagged, and there is no such column"):
        tagged(table, {"email": tm.Registration, "age": NotPersonal, "phone": tm.Registration}, NOTICE)
    with pytest.raises(UnlabelledData, match="two columns are called `a`"):
        tagged(pa.table([[1], [2]], names=["a", "a"]), {"a": NotPersonal}, NOTICE)
    with pytest.raises(TypeError, match="table, record batch, data set or schema"):
        tagged([1], {}, NOTICE)
    with pytest.raises(UnknownSource):
        tagged(table, {"email": "9.9", "age": NotPersonal}, NOTICE)


def test_tags_of_fields_inside_count_beside_that_of_the_column() -> None:
    street = pa.field("street", pa.string(), metadata={KEY: TELEMETRY})
    table = pa.table([pa.array([{"street": "a"}], pa.struct([street]))], names=["home"])
    table = table.cast(pa.schema([pa.field("home", pa.struct([street]))]))
    assert columns_of(table, NOTICE)["home"].label is Label(tm.ProductData)
    both = tagged(table, {"home": tm.Registration}, NOTICE)
    assert columns_of(both, NOTICE)["home"].label is Label(tm.Registration, tm.ProductData)


def test_a_struct_of_which_one_field_is_told_by_nothing_is_unlabelled() -> None:
    fields = [pa.field("a", pa.string(), metadata={KEY: REGISTERED}), pa.field("b", pa.string())]
    assert "home" not in columns_of(pa.schema([pa.field("home", pa.struct(fields))]), NOTICE)


@pytest.mark.parametrize(
    ("tag", "error"),
    [
        ("", UnlabelledData),
        ("{", UnlabelledData),
        ("null", UnlabelledData),
        ('{"version":2,"notice":"trendmicro-jp","revision":"2024-04-01","sources":["1.1(a)"]}', UnlabelledData),
        ('{"version":1,"notice":"trendmicro-jp","revision":"2024-04-01","sources":[]}', UnlabelledData),
        ('{"version":1,"notice":"trendmicro-jp","revision":"2024-04-01","sources":["1.1(a)"],"x":1}', UnlabelledData),
        ('{"version":1,"notice":"another","revision":"2024-04-01","sources":["1.1(a)"]}', UnknownSource),
        ('{"version":1,"notice":"trendmicro-jp","revision":"1999-01-01","sources":["1.1(a)"]}', UnknownSource),
        ('{"version":1,"notice":"trendmicro-jp","revision":"2024-04-01","sources":["9.9"]}', UnknownSource),
        ("x" * 20_000, UnlabelledData),
    ],
)
def test_a_broken_or_foreign_tag_is_refused(tag: str, error: type[Exception]) -> None:
    for place in ("email", "inside"):
        field = pa.field("email", pa.string(), metadata={KEY: tag})
        schema = pa.schema([field if place == "email" else pa.field("inside", pa.list_(field))])
        with pytest.raises(error, match=place if error is UnlabelledData else None):
            columns_of(_through_parquet(schema.empty_table()), NOTICE)


def test_a_tag_of_an_earlier_revision_is_read_by_a_history() -> None:
    later = Notice.parse({**NOTICE.dump(), "revision": "2025-01-01"})
    history = History(NOTICE, later)
    table = _table(email=REGISTERED)
    assert columns_of(table, history)["email"].label is Label(tm.Registration)
    with pytest.raises(UnknownSource, match="not known"):
        columns_of(table, later)


def test_a_renamed_column_keeps_its_tag_and_a_replaced_one_has_none() -> None:
    table = _table(email=REGISTERED, device=TELEMETRY)
    renamed = columns_of(table.rename_columns({"email": "device", "device": "email"}), NOTICE)
    assert renamed["device"].label is Label(tm.Registration)
    assert renamed["email"].label is Label(tm.ProductData)
    replaced = table.set_column(0, "email", table["device"])
    assert list(columns_of(replaced, NOTICE)) == ["device"]
    assert list(columns_of(table.append_column("more", table["device"]), NOTICE)) == ["email", "device"]
    computed = table.append_column("upper", pc.utf8_upper(table["device"]))
    assert "upper" not in columns_of(computed, NOTICE)


def test_groups_keep_the_tags_of_their_keys_and_aggregates_have_none() -> None:
    table = _table(email=REGISTERED, device=TELEMETRY)
    found = table.group_by("email").aggregate([("device", "min"), ("device", "count")])
    assert list(columns_of(found, NOTICE)) == ["email"]
    joined = table.join(table.rename_columns(["email", "other"]), "email")
    assert not columns_of(joined, NOTICE)


def test_a_projection_of_a_data_set_keeps_the_tag_of_the_column_that_it_shows(tmp_path: Any) -> None:
    pq.write_table(_table(email=REGISTERED, device=TELEMETRY), tmp_path / "t.parquet")
    data = ds.dataset(tmp_path / "t.parquet")
    swapped = data.to_table(columns={"email": pc.field("device"), "device": pc.field("email")})
    assert columns_of(swapped, NOTICE)["email"].label is Label(tm.ProductData)
    computed = data.to_table(columns={"email": pc.utf8_upper(pc.field("device"))})
    assert not columns_of(computed, NOTICE)


def test_selections_and_orders_keep_tags_and_other_engines_lose_them() -> None:
    import duckdb
    import polars as pl

    table = _table(email=REGISTERED)
    for kept in (table.take([0]), table.slice(0, 0), table.sort_by("email"), table.filter(pc.field("email") == "x")):
        assert columns_of(kept, NOTICE)["email"].label is Label(tm.Registration)
    for lost in (
        pl.DataFrame(table).to_arrow(),
        duckdb.from_arrow(table).to_arrow_table(),
        pa.Table.from_pandas(table.to_pandas()),
    ):
        assert not columns_of(lost, NOTICE)


def test_tables_are_put_together_only_where_they_are_tagged_alike() -> None:
    one, other = _table(email=REGISTERED), _table(email=TELEMETRY)
    # Arrow itself takes the first one's word for it.
    assert columns_of(pa.concat_tables([one, other]), NOTICE)["email"].label is Label(tm.Registration)
    assert columns_of(pa.unify_schemas([other.schema, one.schema]), NOTICE)["email"].label is Label(tm.ProductData)
    with pytest.raises(UnlabelledData, match="table 2 says of `email` otherwise"):
        concatenated([one, other], NOTICE)
    with pytest.raises(UnlabelledData, match="table 2 says of `email` otherwise"):
        concatenated([one, _table(email=None)], NOTICE)
    both = {"email": [tm.Registration, tm.ProductData]}
    together = concatenated([tagged(one, both, NOTICE), tagged(other, both, NOTICE)], NOTICE)
    assert columns_of(together, NOTICE)["email"].label is Label(tm.Registration, tm.ProductData)
    assert together.num_rows == 2


class _Stamped(BaseModel):
    day: Annotated[datetime.date, Collected]
    moments: list[datetime.datetime]


def test_marks_survive_and_stand_on_columns_alone() -> None:
    read = _through_parquet(schema_of(_Stamped, NOTICE).empty_table())
    assert columns_of(read, NOTICE) == tags.columns_of(NOTICE, _Stamped)
