"""Tables of statements, of DuckDB and of frames whose columns are tagged in `tags.toml`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest

from purposeguard import Guard, Label, NoticeError, NotPersonal
from purposeguard.adapters import duckdb
from purposeguard.adapters.frames import Frames
from purposeguard.adapters.sql import Statements, Tables
from purposeguard.adapters.tags import Tag
from purposeguard.errors import UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation


@dataclasses.dataclass
class Scan:
    key: int
    threats: int
    note: Annotated[str, tm.Contract]
    remark: str


FILE = f"""\
["table customer"]
email = "1.1(a)"
scan = "1.1(b)"
nickname = "undecided"
old = "1.1(c)"

["table crm.customer"]
email = "1.1(c)"

["{__name__}.Scan"]
threats = "1.1(b)"
note = "1.1(c)"
remark = "undecided"
"""

COLUMNS: dict[str, Any] = {"id": NotPersonal, "email": None, "scan": None, "nickname": None}


@pytest.fixture
def make_guard(tmp_path: Path) -> Callable[..., Guard]:
    def make(text: str = FILE, **options: Any) -> Guard:
        path = tmp_path / "tags.toml"
        path.write_text(text, "utf-8")
        return Guard(tm.NOTICE, tags=path, **options)

    return make


def test_statements_read_the_tags_of_their_tables(make_guard: Callable[..., Guard]) -> None:
    guard = make_guard()
    tables = {"customer": COLUMNS, "crm.customer": COLUMNS, "scan": Scan}
    for given in (tables, Tables(tm.NOTICE, {**tables, "scan": {"key": NotPersonal, "note": tm.Contract}})):
        statements = Statements(guard, given, dialect="sqlite")
        with guard.purpose(tm.RenewalGuidance):
            statements.check("SELECT id, email FROM customer")
            statements.check("SELECT note, key FROM scan")
            with pytest.raises(PurposeViolation, match="product-data"):
                statements.check("SELECT scan FROM customer")
            with pytest.raises(UnlabelledData, match=r"`customer\.nickname` carries no tag"):
                statements.check("SELECT nickname FROM customer")
        assert statements.tables["crm.customer"]["email"] == Tag(Label(tm.Contract))
    columns = Statements(guard, tables, dialect="sqlite").tables
    assert dict(columns["scan"]) == {
        "key": Tag(),
        "threats": Tag(Label(tm.ProductData)),
        "note": Tag(Label(tm.Contract)),
    }
    assert columns.names["scan"] == ("key", "threats", "note", "remark")


def test_the_file_and_the_code_must_agree(make_guard: Callable[..., Guard]) -> None:
    guard = make_guard()
    for tables in ({"customer": {"email": tm.Contract}}, Tables(tm.NOTICE, {"customer": {"email": tm.Contract}})):
        with pytest.raises(NoticeError, match=r'2:1: "table customer"\.email: the file says Label\(1\.1\(a\)\), and'):
            Statements(guard, tables, dialect="sqlite")


def test_duckdb_reads_the_tags_of_its_tables(make_guard: Callable[..., Guard]) -> None:
    guard = make_guard()
    frame = pl.DataFrame({"email": ["a@example.jp"], "scan": ["x"], "other": [1]})
    with duckdb.connect(guard, {"customer": frame}) as connection, guard.purpose(tm.RenewalGuidance):
        assert connection.sql("SELECT email FROM customer").fetchall() == [("a@example.jp",)]
        with pytest.raises(PurposeViolation, match="product-data"):
            connection.sql("SELECT scan FROM customer")
        with pytest.raises(UnlabelledData, match=r"`customer\.other` carries no tag"):
            connection.sql("SELECT other FROM customer")


@dataclasses.dataclass
class DetailedScan(Scan):
    detail: str = ""


@pytest.mark.parametrize("cls", [Scan, DetailedScan])
def test_frames_read_the_tags_of_classes(make_guard: Callable[..., Guard], cls: type[Scan]) -> None:
    guard = make_guard()
    frames = Frames(guard)
    frame = pl.DataFrame({"key": [1], "threats": [2], "note": ["n"], "remark": [""]})
    with guard.purpose(tm.RenewalGuidance):
        frames.check(frame, cls, columns=["key", "note"])
        with pytest.raises(PurposeViolation, match="product-data"):
            frames.check(frame, cls, columns=["threats"])
        with pytest.raises(UnlabelledData, match="`remark` carries no tag"):
            frames.check(frame, cls, columns=["remark"])
