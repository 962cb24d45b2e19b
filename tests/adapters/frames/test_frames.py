"""Frames under a purpose: columns are checked and withheld, rows kept, uses told; observing changes nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any

import dask.dataframe as dd
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.adapters import arrow, tags
from purposeguard.adapters.frames import Frames
from purposeguard.adapters.tags import Columns
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.frames.kinds import content
from tests.oversights import STOPPED, Told
from tests.support import RecordingLedger, RecordingObserver

TABLE = pa.table({"id": [1, 2, 3], "email": ["a@b", "c@d", "e@f"], "device": ["x", "y", "z"]})


class Customer(BaseModel):
    id: int
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


FRAMES: dict[str, Callable[[pa.Table], Any]] = {
    "arrow": lambda table: table,
    "pandas": lambda table: table.to_pandas(),
    "polars": pl.DataFrame,
    "polars-lazy": lambda table: pl.DataFrame(table).lazy(),
    "duckdb": duckdb.from_arrow,
    "dask": lambda table: dd.from_pandas(table.to_pandas(), npartitions=2),
}
each = pytest.mark.parametrize("kind", FRAMES)


@each
def test_columns_are_checked_for_the_purpose_under_way(kind: str, guard: pg.Guard) -> None:
    frames, frame = Frames(guard), FRAMES[kind](TABLE)
    with guard.purpose(tm.SecurityInformation):
        frames.check(frame, Customer)
    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(pg.PurposeViolation) as refused:
            frames.check(frame, Customer)
        assert refused.value.field == "device"
        frames.check(frame, Customer, columns=["email", "id"])
        frames.check(frame, Customer, "email")
        with pytest.raises(ValueError, match="no column `phone`"):
            frames.check(frame, Customer, ["phone"])
        with pytest.raises(ValueError, match="no column"):
            frames.check(frame, Customer, [7])  # type: ignore[list-item]  # callers may


@each
def test_columns_that_may_not_be_used_are_withheld(kind: str, guard: pg.Guard) -> None:
    frames, frame = Frames(guard), FRAMES[kind](TABLE)
    with guard.purpose(tm.RenewalGuidance):
        left = frames.withhold(frame, Customer)
    assert type(left) is type(frame)
    assert content(left).to_pylist() == [
        {"id": n, "email": e} for n, e in zip([1, 2, 3], ["a@b", "c@d", "e@f"], strict=True)
    ]
    with guard.purpose(tm.SecurityInformation):
        assert frames.withhold(frame, Customer) is frame
    with guard.purpose(tm.TrafficAnalysis):
        assert content(frames.withhold(frame, Customer)).column_names == ["id"]


@each
def test_rows_are_kept_by_what_their_subjects_asked_for(kind: str) -> None:
    told = Told({"2": STOPPED})
    guard = pg.Guard(tm.NOTICE, governance=told)
    frames, frame = Frames(guard), FRAMES[kind](TABLE)
    given = {"id": pg.Subject, "email": tm.Registration, "device": tm.ProductData}
    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(pg.UnlabelledData, match="permitted"):
            frames.check(frame, given, ["id", "email"])
        with pytest.raises(pg.UnlabelledData, match="permitted"):
            frames.withhold(frame, given)
        with pytest.raises(pg.PurposeViolation):  # whatever its rows say
            frames.check(frame, given)
        with pytest.raises(pg.PurposeViolation):
            frames.permitted(frame, given)
        left = frames.permitted(frame, given, withhold=True)
        assert content(left).to_pylist() == [{"id": 1, "email": "a@b"}, {"id": 3, "email": "e@f"}]
        told.all_preferences.clear()
        assert content(frames.permitted(frame, given, withhold=True)).num_rows == 3


@each
def test_a_column_without_which_rows_cannot_be_told_is_missed(kind: str) -> None:
    guard = pg.Guard(tm.NOTICE, governance=Told())
    frames = Frames(guard)
    given = {"source": pg.RowSource, "id": pg.Subject, "email": pg.ByRow, "device": tm.ProductData}
    for gone, asked in (("id", "device"), ("source", "email")):
        table = pa.table({"source": ["1.1(a)"], "id": [1], "email": ["a"], "device": ["b"]}).drop_columns([gone])
        frame = FRAMES[kind](table.select([name for name in table.column_names if name in ("id", "source", asked)]))
        with guard.purpose(tm.SecurityInformation), pytest.raises(pg.UnlabelledData, match=f"no column `{gone}`"):
            frames.permitted(frame, given)


@each
def test_outside_a_purpose_nothing_personal_is_read(kind: str, guard: pg.Guard) -> None:
    frames, frame = Frames(guard), FRAMES[kind](TABLE)
    for call in (frames.check, frames.withhold, frames.permitted):
        with pytest.raises(
            pg.PurposeMissing, match=rf"^read of a frame in {__name__}\.test_outside.* \(test_frames\.py:"
        ):
            call(frame, Customer)
    plain = dict.fromkeys(TABLE.column_names, pg.NotPersonal)
    frames.check(frame, plain)
    assert frames.withhold(frame, plain) is frame
    assert frames.permitted(frame, plain) is frame


@each
def test_observing_records_and_leaves_all_as_it_is(kind: str) -> None:
    told = Told({"2": STOPPED})
    ledger = RecordingLedger()
    guard = pg.Guard(tm.NOTICE, mode="observe", ledger=ledger, governance=told)
    frames, frame = Frames(guard), FRAMES[kind](TABLE)
    given = {"id": pg.Subject, "email": tm.Registration, "device": tm.ProductData}
    assert frames.permitted(frame, given) is frame  # outside any purpose
    with guard.purpose(tm.RenewalGuidance):
        assert frames.permitted(frame, given, withhold=True) is frame
        assert frames.withhold(frame, Customer) is frame
        frames.check(frame, Customer)
    assert len(ledger.denials) == 4


@each
def test_observing_reports_a_frame_that_would_be_refused_whatever_the_purpose(kind: str) -> None:
    observer = RecordingObserver()
    guard = pg.Guard(tm.NOTICE, mode="observe", observers=[observer])
    frames, frame = Frames(guard), FRAMES[kind](TABLE)
    untagged = {"email": tm.Registration}
    for given in (untagged, {"email": "9.9"}):
        frames.check(frame, given)
        assert frames.withhold(frame, given) is frame
        assert frames.permitted(frame, given, withhold=True) is frame
    assert [type(error) for error in observer.errors] == [pg.UnlabelledData] * 3 + [pg.UnknownSource] * 3
    assert observer.unresolved_names == ["email"] * 3
    with pytest.raises(ValueError, match="no column `phone`"):
        frames.check(frame, Customer, ["phone"])
    with guard.purpose(tm.RenewalGuidance):
        frames.check(frame, Customer)
    assert observer.read_names == ["email", "device"]
    with guard.purpose(tm.RenewalGuidance, mode="enforce"):
        with pytest.raises(pg.UnlabelledData):
            frames.permitted(frame, untagged)
        assert frames.withhold(frame, Customer) is not frame
    assert observer.read_names == ["email", "device", "email"]


def test_a_use_that_is_only_observed_changes_no_frame(guard: pg.Guard) -> None:
    twins = pd.DataFrame([["a@b", "c@d"]], columns=["email", "email"])
    with guard.purpose(tm.RenewalGuidance, mode="observe"):
        assert Frames(guard).permitted(twins, {"email": tm.Registration}) is twins
    with guard.purpose(tm.RenewalGuidance), pytest.raises(UnresolvedStatement):
        Frames(guard).permitted(twins, {"email": tm.Registration})


@each
def test_an_empty_frame_is_checked_like_any_other(kind: str) -> None:
    guard = pg.Guard(tm.NOTICE, governance=Told({"1": STOPPED}))
    frames = Frames(guard)
    table = pa.table(
        {"source": pa.array([], pa.string()), "id": pa.array([], pa.int64()), "email": pa.array([], pa.string())}
    )
    given = {"source": pg.RowSource, "id": pg.Subject, "email": [pg.ByRow, tm.Registration]}
    with guard.purpose(tm.SecurityInformation):
        left = frames.permitted(FRAMES[kind](table), given)
        assert content(left).num_rows == 0
        assert content(left).column_names == table.column_names
    with guard.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation):
        frames.permitted(FRAMES[kind](table), given)


@each
def test_a_column_that_is_told_by_nothing_is_refused_and_one_that_is_not_there_is_not_missed(
    kind: str, guard: pg.Guard
) -> None:
    frames, frame = Frames(guard), FRAMES[kind](TABLE)
    with guard.purpose(tm.SecurityInformation):
        for call in (frames.check, frames.withhold, frames.permitted):
            with pytest.raises(pg.UnlabelledData, match="`device` carries no tag"):
                call(frame, {"id": pg.NotPersonal, "email": tm.Registration})
        frames.check(frame, {**dict.fromkeys(TABLE.column_names, tm.Registration), "phone": tm.Registration})
        with pytest.raises(pg.UnknownSource):
            frames.check(frame, dict.fromkeys(TABLE.column_names, "9.9"))
        if kind != "arrow":
            with pytest.raises(pg.UnlabelledData, match="bears no tags that could be relied on"):
                frames.check(frame)


def test_a_channel_is_asked_for_like_everywhere(guard: pg.Guard) -> None:
    frames = Frames(guard)
    with guard.purpose(tm.WebSecurityMail, channel="email"):
        frames.check(TABLE, dict.fromkeys(TABLE.column_names, tm.WebContact))
    with pytest.raises(pg.ChannelViolation), guard.purpose(tm.WebSecurityMail):
        frames.check(TABLE, dict.fromkeys(TABLE.column_names, tm.WebContact))


def test_a_table_of_arrow_may_bear_its_own_tags(guard: pg.Guard) -> None:
    frames = Frames(guard)
    table = arrow.tagged(TABLE, Customer, tm.NOTICE)
    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(pg.PurposeViolation):
            frames.check(table)
        left = frames.withhold(table)
        assert left.column_names == ["id", "email"]
        frames.check(left)  # what is left bears its tags still
        frames.check(table.rename_columns(["id", "device", "email"]), columns=["device"])
        with pytest.raises(pg.UnlabelledData, match="`email` carries no tag"):
            frames.check(table.set_column(1, "email", table["device"]))
        broken = table.schema.set(1, pa.field("email", pa.string(), metadata={arrow.KEY: "{}"}))
        with pytest.raises(pg.UnlabelledData, match="cannot be read"):
            frames.check(pa.Table.from_arrays(table.columns, schema=broken))


def test_uses_and_denials_are_told_once_a_frame() -> None:
    ledger = RecordingLedger()
    guard = pg.Guard(tm.NOTICE, ledger=ledger)
    frames = Frames(guard)
    with guard.purpose(tm.SecurityInformation):
        frames.check(TABLE, Customer)
        frames.permitted(TABLE, Customer)
    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(pg.PurposeViolation):
            frames.check(TABLE, Customer)
        frames.withhold(TABLE, Customer)
    assert [getattr(error, "field", None) for error, _ in ledger.denials] == ["device"]


@pytest.mark.parametrize("count", [50_000, pytest.param(1_000_000, marks=pytest.mark.deep)])
def test_a_frame_may_have_a_million_columns(count: int, guard: pg.Guard) -> None:
    frames = Frames(guard)
    names = [f"c{n}" for n in range(count)]
    known = tags.columns_of(tm.NOTICE, dict.fromkeys(names, tm.Registration))
    column = pa.array([1])
    table = pa.Table.from_arrays([column] * len(names), names=names)
    with guard.purpose(tm.RenewalGuidance):
        frames.check(table, known)
        frames.check(table, known, names[:10])
    with guard.purpose(tm.TrafficAnalysis), pytest.raises(pg.PurposeViolation) as refused:
        frames.check(table, known)
    assert refused.value.field == "c0"


def test_columns_that_cannot_be_told_apart_are_refused(guard: pg.Guard) -> None:
    frames = Frames(guard)
    with guard.purpose(tm.SecurityInformation):
        twins = pa.table([[1], [2]], names=["a", "a"])
        with pytest.raises(pg.UnlabelledData, match="two columns are called `a`"):
            frames.check(twins, {"a": tm.Registration})
        for call in (frames.permitted, frames.withhold):
            with pytest.raises(UnresolvedStatement, match="two columns are called `a`"):
                call(pd.DataFrame([[1, 2]], columns=["a", "a"]), {"a": tm.Registration})
        with pytest.raises(UnresolvedStatement, match="called by a int"):
            frames.check(pd.DataFrame([[1]]), {"0": tm.Registration})


def test_importing_frames_imports_no_library_of_frames() -> None:
    program = (
        "import sys, purposeguard.adapters.frames; "
        "names = ('pandas', 'polars', 'pyarrow', 'duckdb', 'pyspark', 'dask', 'numpy'); "
        "print([one for one in names if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_no_frame_is_refused() -> None:
    frames = Frames(pg.Guard(tm.NOTICE))
    for given in ([1], {"a": [1]}, None, pd.Series([1]), pl.Series([1]), TABLE.schema, TABLE.to_batches()[0]):
        with pytest.raises(TypeError, match="no frame that is known here"):
            frames.check(given, Columns({}))
