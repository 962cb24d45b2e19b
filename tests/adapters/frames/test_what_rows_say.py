"""What is read in the columns that say of a row whose it is, or from where or when; and what is refused there."""

from __future__ import annotations

import datetime
import unicodedata
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import dask.dataframe as dd
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import purposeguard as pg
from purposeguard.adapters.frames import Frames
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.frames.kinds import content, scanned
from tests.oversights import STOPPED, Told

BY_ROW = {"source": pg.RowSource, "n": pg.ByRow}

Make = Callable[[pa.Table], Any]
KINDS: dict[str, Make] = {
    "arrow": lambda table: table,
    "pandas": lambda table: table.to_pandas(),
    "pandas-arrow": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.DataFrame,
    "polars-lazy": lambda table: pl.DataFrame(table).lazy(),
    "polars-file": lambda table: scanned(pl.DataFrame(table)),
    "duckdb": duckdb.from_arrow,
    "dask": lambda table: dd.from_pandas(table.to_pandas(), npartitions=2),
}
each = pytest.mark.parametrize("kind", KINDS)
each_of_polars = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("polars")])
each_as_it_is = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dask"])
"""Dask makes texts of whatever objects it is given, before anybody else sees them."""


def _kept(frame: Any, tags: object, governance: Told | None = None, purpose: Any = tm.SecurityInformation) -> list[int]:
    guard = pg.Guard(tm.NOTICE, governance=governance)
    with guard.purpose(purpose):
        return [int(one) for one in content(Frames(guard).permitted(frame, tags)).column("n").to_pylist()]


def _table(values: Any, name: str, type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({name: pa.array(values, type_), "n": pa.array(range(len(values)), pa.int64())})


def _sources(values: Sequence[str | None]) -> pa.Table:
    return _table(values, "source", pa.string())


@each
def test_ids_are_read_in_any_spelling(kind: str) -> None:
    given = [
        "１．１（ａ）", "1.1 (B)", "registration", "Product-Data", "1.1c", "2.3", "WebContact", " 3.1(a) ", "1.1(a)",
    ]  # fmt: skip
    assert _kept(KINDS[kind](_sources(given)), BY_ROW) == [0, 1, 2, 3, 4, 8]


@each
@pytest.mark.parametrize("odd", ["9.9", "not-personal", "", "1.1(a)" * 50, "renewal-guidance", "1.1(a); --", "'"])
def test_a_source_that_means_nothing_is_refused_by_name(kind: str, odd: str) -> None:
    with pytest.raises((pg.UnknownSource, duckdb.Error)) as refused:
        _kept(KINDS[kind](_sources(["1.1(a)", odd, "2.3"])), BY_ROW)
    assert "unknown source" in str(refused.value)


@each
@pytest.mark.parametrize("given", [["1.1(a)", None], [None], ["2.3", None, None]])
def test_a_row_without_a_source_is_refused(kind: str, given: list[str | None]) -> None:
    with pytest.raises((pg.UnlabelledData, duckdb.Error), match=r"no source in `source`|unknown source of a row: none"):
        _kept(KINDS[kind](_sources(given)), BY_ROW)


@each_as_it_is
@pytest.mark.parametrize("given", [[1, 2], [1.5, 2.5], [b"1.1(a)"], [["1.1(a)"]], [datetime.date(2024, 1, 1)]])
def test_what_is_no_text_is_no_source(kind: str, given: list[Any]) -> None:
    with pytest.raises(pg.PurposeGuardError, match="source"):
        _kept(KINDS[kind](_table(given, "source")), BY_ROW)


def test_texts_and_numbers_in_one_column_are_refused() -> None:
    for given in (["1.1(a)", 1], ["1.1(a)", b"x"], ["1.1(a)", datetime.date(2024, 1, 1)]):
        frame = pd.DataFrame({"source": pd.Series(given, dtype=object), "n": [0, 1]})
        with pytest.raises(pg.UnlabelledData, match="`source` is marked RowSource"):
            _kept(frame, BY_ROW)
    frame = pd.DataFrame({"source": pd.Series(["1.1(a)", 1], dtype="category"), "n": [0, 1]})
    with pytest.raises(pg.UnlabelledData, match="`source` is marked RowSource"):
        _kept(frame, BY_ROW)
    objects = pl.DataFrame({"source": pl.Series(["1.1(a)"], dtype=pl.Object), "n": [0]})
    with pytest.raises(pg.UnlabelledData, match="`source` is marked RowSource"):
        _kept(objects, BY_ROW)


def test_rare_categories_of_a_long_frame_are_decided_as_well() -> None:
    sources: list[str | None] = ["1.1(a)", "1.1b", "2.3"] * 1000
    common = [number for number, source in enumerate(sources) if source != "2.3"]
    frame = pl.DataFrame({"source": pl.Series(sources, dtype=pl.Categorical), "n": range(len(sources))})
    assert _kept(frame, BY_ROW) == common
    assert _kept(frame.filter(pl.col("source") != "2.3"), BY_ROW) == common
    place = 1000  # It is not among the rows of a sample that takes one row in three.
    sources[place] = "3.1(a)"
    rare = frame.with_columns(pl.Series("source", sources, dtype=pl.Categorical))
    assert _kept(rare, BY_ROW) == [number for number in common if number != place]
    for odd, error in (("nonsense", pg.UnknownSource), (None, pg.UnlabelledData)):
        sources[place] = odd
        with pytest.raises(error):
            _kept(frame.with_columns(pl.Series("source", sources, dtype=pl.Categorical)), BY_ROW)


def test_what_stands_among_categories_and_in_no_row_counts_for_nothing() -> None:
    given = ["1.1(a)", "2.3", "1.1b"]
    unused = pd.DataFrame({"source": pd.Categorical(given, categories=[*given, "nonsense"]), "n": [0, 1, 2]})
    assert _kept(unused, BY_ROW) == [0, 2]
    with pytest.raises(pg.UnknownSource):
        _kept(pd.DataFrame({"source": pd.Categorical(["nonsense"]), "n": [0]}), BY_ROW)
    with pytest.raises(pg.UnlabelledData, match="no source"):
        _kept(pd.DataFrame({"source": pd.Categorical(["1.1(a)", None]), "n": [0, 1]}), BY_ROW)
    enum = pl.DataFrame({"source": pl.Series(given, dtype=pl.Enum([*given, "nonsense"])), "n": [0, 1, 2]})
    assert _kept(enum, BY_ROW) == [0, 2]
    assert _kept(duckdb.sql("SELECT * FROM (VALUES ('1.1(a)'::ENUM('1.1(a)', 'x'), 0)) AS t(source, n)"), BY_ROW) == [0]
    with pytest.raises(duckdb.Error, match="unknown source of a row: x"):
        _kept(duckdb.sql("SELECT * FROM (VALUES ('x'::ENUM('1.1(a)', 'x'), 0)) AS t(source, n)"), BY_ROW)


def test_a_dictionary_of_sources_is_read_by_its_values() -> None:
    texts = pa.array(["1.1(a)", None, "nonsense", "2.3", "1.1b"])
    for value_type in (pa.string(), pa.large_string()):
        held = [pa.DictionaryArray.from_arrays(pa.array(at, pa.int8()), texts.cast(value_type)) for at in ([3, 0], [4])]
        assert _kept(pa.table({"source": pa.chunked_array(held), "n": range(3)}), BY_ROW) == [1, 2]
        for at, refusal in (([0, 1], pg.UnlabelledData), ([0, 2], pg.UnknownSource), ([0, None], pg.UnlabelledData)):
            odd = pa.DictionaryArray.from_arrays(pa.array(at, pa.int8()), texts.cast(value_type))
            with pytest.raises(refusal, match="source"):
                _kept(pa.table({"source": odd, "n": range(2)}), BY_ROW)
    for values in ([1, 2], [b"1.1(a)", b"2.3"]):
        coded = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(values))
        with pytest.raises(pg.UnlabelledData, match="`source` is marked RowSource"):
            _kept(pa.table({"source": coded, "n": range(2)}), BY_ROW)


KEY = uuid.UUID("0d9f8a1c-1111-4222-8333-944455556666")
WHOSE = {"who": pg.Subject, "n": tm.Registration}


@each
@pytest.mark.parametrize("type_", [pa.int8(), pa.int32(), pa.int64(), pa.uint16(), pa.uint64(), pa.string()])
def test_numbers_are_subjects_whatever_holds_them(kind: str, type_: pa.DataType) -> None:
    given = [7, 8, 9]
    table = _table([str(one) for one in given] if type_ == pa.string() else given, "who", type_)
    assert _kept(KINDS[kind](table), WHOSE, Told({"8": STOPPED})) == [0, 2]


def test_uuids_of_engines_that_know_them() -> None:
    told = Told({str(KEY): STOPPED})
    stored = pa.array([KEY.bytes, uuid.UUID(int=2).bytes], pa.binary(16))
    table = pa.table({"who": pa.ExtensionArray.from_storage(pa.uuid(), stored), "n": [0, 1]})
    assert _kept(table, WHOSE, told) == [1]
    assert _kept(pa.concat_tables([table, table]), WHOSE, told) == [1, 1]
    relation = duckdb.sql(f"SELECT * FROM (VALUES ('{KEY}'::UUID, 0), (uuid(), 1), (NULL, 2)) AS t(who, n)")  # noqa: S608  # ours
    assert _kept(relation, WHOSE, told) == [1, 2]


@each
def test_a_letter_is_one_however_it_is_composed(kind: str) -> None:
    name = "Zoë Ärger"
    composed, apart = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    mixed = apart[: apart.index(" ")] + composed[composed.index(" ") :]
    table = _table([composed, apart, mixed, "Zoe"], "who")
    assert _kept(KINDS[kind](table), WHOSE, Told({composed: STOPPED})) == [3]


@each
@pytest.mark.parametrize(
    "odd",
    [" 8", "8 ", "", "8\t", "8\n", "\r8", "8\0\0", "\xa08", "8\u3000", "\ufeff8", "8\u200b", "\u20078", "8" * 201],
)
def test_a_text_that_is_no_id_is_refused(kind: str, odd: str) -> None:
    with pytest.raises((pg.UnlabelledData, duckdb.Error), match="a row holds a text that is no id"):
        _kept(KINDS[kind](_table(["7", odd], "who")), WHOSE, Told({"8": STOPPED}))


@each_as_it_is
@pytest.mark.parametrize("given", [[1.0, 2.0], [True, False], [b"1"], [["1"]]])
def test_what_names_nobody_is_refused(kind: str, given: list[Any]) -> None:
    with pytest.raises(pg.PurposeGuardError, match="who"):
        _kept(KINDS[kind](_table(given, "who")), WHOSE, Told({"1": STOPPED}))


@each_as_it_is
@pytest.mark.parametrize("given", [[1.0, float("nan")], [True, False], [b"1"], [["1"]], ["1", " "]])
def test_it_is_refused_also_while_nobody_is_left_out_where_each_row_is_to_name_somebody(
    kind: str, given: list[Any]
) -> None:
    with pytest.raises((pg.PurposeGuardError, duckdb.Error), match="who"):
        _kept(KINDS[kind](_table(given, "who")), WHOSE, Told({}, requires_subject=True))


def test_types_of_arrow_that_hide_their_nulls_name_nobody() -> None:
    texts = pa.array(["1", None])
    union = pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [texts, pa.array([1, 2])])
    for hidden in (pc.run_end_encode(texts), union):
        for stopped in ({}, {"1": STOPPED}):
            with pytest.raises(pg.UnlabelledData, match="`who` is marked Subject and holds"):
                _kept(pa.table({"who": hidden, "n": range(2)}), WHOSE, Told(stopped, requires_subject=True))


@each
def test_an_id_may_be_long_and_of_any_letters(kind: str) -> None:
    ids = ["é" * 200, "x" * 200, "ア・x y", "🙂", "8"]
    assert _kept(KINDS[kind](_table(ids, "who")), WHOSE, Told({"8": STOPPED})) == [0, 1, 2, 3]


def test_a_dictionary_may_hold_nobody() -> None:
    held = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 1]), pa.array(["1", None, "2"]))
    table = pa.table({"who": held, "n": range(4)})
    assert _kept(table, WHOSE, Told({"1": STOPPED}, requires_subject=True)) == [2]
    assert _kept(table, WHOSE, Told({"1": STOPPED})) == [1, 2, 3]


def test_numbers_that_are_too_large_are_refused_by_name() -> None:
    for number in (2**64, 2**200, -(2**70)):
        with pytest.raises(pg.UnlabelledData, match="`who` is marked Subject and holds numbers of more than 64 bits"):
            _kept(pd.DataFrame({"who": pd.Series([1, number], dtype=object), "n": [0, 1]}), WHOSE, Told({"1": STOPPED}))


@each
def test_a_row_may_name_nobody(kind: str) -> None:
    table = _table(["1", None, "2"], "who")
    frame = KINDS[kind](table)
    assert _kept(frame, WHOSE, Told({"1": STOPPED})) == [1, 2]
    assert _kept(frame, WHOSE, Told({"1": STOPPED}, requires_subject=True)) == [2]
    nobody = KINDS[kind](_table([None, None], "who", pa.string()))
    assert _kept(nobody, WHOSE, Told({"1": STOPPED})) == [0, 1]
    assert _kept(nobody, WHOSE, Told({"1": STOPPED}, requires_subject=True)) == []


@each
@pytest.mark.parametrize("spread", [1, 10**14 + 7], ids=["close together", "far apart"])
@pytest.mark.parametrize("first", [0, -3000, 12345])
def test_many_subjects_are_left_out(kind: str, spread: int, first: int) -> None:
    stopped = [first + 2 * spread * number for number in range(3000)]
    given = [first + spread * number for number in range(-5, 6005)]
    table = _table([*given, None], "who", pa.int64())
    expected = [place for place, one in enumerate([*given, None]) if one is None or one not in set(stopped)]
    found = _kept(_nullable(kind, table), WHOSE, Told({str(one): STOPPED for one in stopped}))
    assert found == expected


@each
def test_subjects_at_either_end_of_64_bits_are_told_from_others(kind: str) -> None:
    for least in (-(2**63), 2**63 - 4):
        given = [least, least + 1, least + 3, 0]
        table = _table(given, "who", pa.int64())
        for stopped in (given[:1], given[2:3], given[:2], [1]):
            found = _kept(KINDS[kind](table), WHOSE, Told({str(one): STOPPED for one in stopped}))
            assert found == [place for place, one in enumerate(given) if one not in stopped]


@each_of_polars
def test_the_sources_of_left_out_rows_hide_no_other(kind: str) -> None:
    given = ["2.3", "2.3", "9.9", "1.1(a)"]
    with pytest.raises(pg.UnknownSource):
        _kept(KINDS[kind](_sources(given)), BY_ROW)
    with pytest.raises(pg.UnlabelledData, match="no source"):
        _kept(KINDS[kind](_sources(["2.3", None])), BY_ROW)
    odd = KINDS[kind](_sources(["2.3", "1.1(a)"])).rename({"source": "^s.*$"})
    if kind != "polars-file":  # of which polars reads no such column
        assert _kept(odd, {"^s.*$": pg.RowSource, "n": pg.ByRow}) == [1]


def _nullable(kind: str, table: pa.Table) -> Any:
    if kind in ("pandas", "dask"):  # which make numbers with a null a column of floats
        frame = table.to_pandas().assign(who=pd.array(table["who"].to_pylist(), dtype="Int64"))
        return frame if kind == "pandas" else dd.from_pandas(frame, npartitions=2)
    return KINDS[kind](table)


def test_numbers_that_pandas_made_floats_are_refused() -> None:
    with pytest.raises(pg.UnlabelledData, match="`who` is marked Subject and holds Float64"):
        _kept(pd.DataFrame({"who": [1, None], "n": [0, 1]}), WHOSE, Told({"1": STOPPED}))


PERIODS = {
    "clause": "8",
    "starts": "end-of-use",
    "bases": ["law"],
    "after": "law-only",
    "period": [
        {"source": "1.1(a)", "days": 30, "from": "collection"},
        {"source": "1.1(a)", "days": 10, "from": "end-of-use"},
    ],
}
KEPT_SHORT = pg.Notice.parse({**tm.NOTICE.dump(), "timezone": "Asia/Tokyo", "retention": PERIODS})
NOW = datetime.datetime(2025, 6, 30, 16, 0, tzinfo=datetime.UTC)  # 1 July in Tokyo


def _kept_of(frame: Any, tags: object) -> list[int]:
    guard = pg.Guard(KEPT_SHORT, clock=lambda: NOW)
    with guard.purpose("1.2(2)④"):
        return [int(one) for one in content(Frames(guard).permitted(frame, tags)).column("n").to_pylist()]


@each
def test_a_moment_falls_on_a_day_of_the_notices_time_zone(kind: str) -> None:
    # The last day that is kept is 1 June in Tokyo, which begins at 15:00 of 31 May in UTC.
    begins = datetime.datetime(2025, 5, 31, 15, tzinfo=datetime.UTC)
    tick = datetime.timedelta(microseconds=1)
    tags = {"at": pg.Collected, "n": "1.1(a)"}
    for unit in ("s", "ms", "us", "ns"):
        step = tick if unit in ("us", "ns") else datetime.timedelta(seconds=1)
        table = _table([begins - step, begins, begins + step, None], "at", pa.timestamp(unit, "America/Lima"))
        assert _kept_of(KINDS[kind](table), tags) == [1, 2]
    days = _table([datetime.date(2025, 5, 31), datetime.date(2025, 6, 1), None], "at", pa.date32())
    if kind != "dask":  # which makes texts of them
        assert _kept_of(KINDS[kind](days), tags) == [1]


@each
def test_what_has_not_ended_goes_on(kind: str) -> None:
    tags = {"at": pg.Ended, "n": "1.1(a)"}
    given = [
        datetime.datetime(2025, 6, 1, tzinfo=datetime.UTC),
        None,
        datetime.datetime(2025, 6, 28, tzinfo=datetime.UTC),
    ]
    assert _kept_of(KINDS[kind](_table(given, "at", pa.timestamp("us", "UTC"))), tags) == [1, 2]
    assert _kept_of(KINDS[kind](_table([None, None], "at", pa.timestamp("us", "UTC"))), tags) == [0, 1]


@each
def test_a_moment_without_a_time_zone_is_refused_and_so_is_what_is_no_day(kind: str) -> None:
    for given, why in (
        ([datetime.datetime(2025, 6, 1, tzinfo=None)], "no time zone"),  # noqa: DTZ001  # that is the point
        (["2025-06-01"], "holds"),
        ([20250601], "holds"),
    ):
        with pytest.raises(pg.UnlabelledData, match=why):
            _kept_of(KINDS[kind](_table(given, "at")), {"at": pg.Collected, "n": "1.1(a)"})


@pytest.mark.parametrize(
    "given",
    [
        [datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2020, 1, 1)],  # noqa: DTZ001  # on purpose
        [datetime.date(2999, 1, 1), datetime.datetime(2020, 1, 1, 20, tzinfo=datetime.UTC)],
        [datetime.date(2999, 1, 1), None, pd.Timestamp("2020-01-01")],
    ],
)
def test_objects_that_are_days_and_moments_are_refused(given: list[Any]) -> None:
    frame = pd.DataFrame({"day": pd.Series(given, dtype=object), "n": range(len(given))})
    for held in (frame, frame.set_index("day")):
        with pytest.raises(pg.UnlabelledData, match="holds dates and moments, or moments with and without a time zone"):
            _kept(held, {"day": pg.Collected, "n": tm.Registration})


def test_days_that_moments_of_nanoseconds_cannot_hold_are_beyond_all_of_them() -> None:
    from purposeguard.adapters.row_values import day_range_to_ticks

    first, last = datetime.date(1, 1, 1), datetime.date(9999, 12, 31)
    assert day_range_to_ticks(first, last, "Asia/Tokyo", "ns") == (None, None)
    assert day_range_to_ticks(last, None, "UTC", "ns") is None
    assert day_range_to_ticks(None, first, "UTC", "ns") is None
    assert day_range_to_ticks(datetime.date(1970, 1, 2), None, "UTC", "s") == (86_400, None)
