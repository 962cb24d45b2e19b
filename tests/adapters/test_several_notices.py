"""Stored data of two notices: a tag says of which it is, columns are decided by theirs, and rows not at all."""

from __future__ import annotations

import functools
import sqlite3
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import purposeguard as pg
from purposeguard.adapters import arrow, duckdb
from purposeguard.adapters.frames import Frames
from purposeguard.adapters.sql import Statements, Tables
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.errors import SeveralNotices
from purposeguard.policy.context import SubjectPreferences
from tests.oversights import Told
from tests.unit.samples import revised
from tests.unit.test_conditions import tables
from tests.unit.together import EU, JP, both, day, term

JP_ACCOUNT, EU_ACCOUNT, JP_VISIT = term(JP, "Account"), term(EU, "Account"), term(JP, "Visit")
NOTICES = both()


@pytest.fixture
def guard() -> pg.Guard:
    return pg.Guard(NOTICES)


def allowed(check: Any) -> bool:
    try:
        check()
    except pg.PurposeViolation:
        return False
    return True


def test_statements(guard: pg.Guard) -> None:
    tables = Tables(NOTICES, {"jp": {"mail": JP_ACCOUNT, "visit": "shop-jp:2"}, "eu": {"mail": "shop-eu:1(a)"}})
    shop = Statements(guard, tables, dialect="sqlite")
    texts = ["SELECT mail FROM jp", "SELECT mail FROM eu", "SELECT mail FROM jp UNION SELECT mail FROM eu"]
    answers: list[list[bool]] = []
    for purpose in ("AnyRenewal", term(JP, "Renewal"), term(EU, "Renewal")):
        with guard.purpose(purpose, channel="email"):
            answers.append([allowed(functools.partial(shop.check, text)) for text in texts])
    assert answers == [[True] * 3, [True, False, False], [False, True, False]]
    assert shop.labels(texts[2])["mail"] is pg.Label(JP_ACCOUNT, EU_ACCOUNT)
    with guard.purpose("AnyRenewal", channel="email"), pytest.raises(pg.PurposeViolation, match="shop-jp:2"):
        shop.check("SELECT mail FROM jp ORDER BY visit")
    with pytest.raises(pg.UnknownSource, match="more than one notice has it"):
        Tables(NOTICES, {"jp": {"mail": "1(a)"}})


def test_columns_that_depend_on_conditions() -> None:
    here, there = (pg.Notice.parse(tables(id=id_)) for id_ in ("here", "there"))
    notices = pg.Notices(here, there, families={"AnyWine": term(here, "Wine") | term(there, "Wine")})
    guard = pg.Guard(notices)
    shop = Statements(guard, Tables(notices, {"t": {"here": "here:2", "there": "there:2"}}), dialect="sqlite")
    found = {}
    for stated in ("here:adult", "there:adult"), ("here:adult",), ():
        with guard.purpose("AnyWine", conditions=stated):
            checks = [functools.partial(shop.check, f"SELECT {columns} FROM t") for columns in ("here", "here, there")]  # noqa: S608  # the names are those above
            found[len(stated)] = list(map(allowed, checks))
    assert found == {2: [True, True], 1: [True, False], 0: [False, False]}


def test_rows_of_subjects_who_stopped_a_use_under_one_notice() -> None:
    """`3(1)①` of one notice is what the subject stopped, and not that of the other."""
    preferences = {"7": SubjectPreferences(suspended=frozenset({"shop-jp:3(1)①"}))}
    guard = pg.Guard(NOTICES, governance=Told(preferences))
    tags: dict[str, Any] = {"id": pg.Subject, "jp": JP_ACCOUNT, "eu": EU_ACCOUNT}
    shop = Statements(guard, Tables(NOTICES, {"t": tags}), dialect="sqlite")
    frame = pd.DataFrame({"id": [7, 8], "jp": ["a", "b"], "eu": ["c", "d"]})
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE t (id INTEGER, jp TEXT, eu TEXT)")
    database.executemany("INSERT INTO t VALUES (?, ?, ?)", frame.itertuples(index=False))
    found = {}
    for columns in ("jp", "eu", "jp, eu"):
        with guard.purpose("AnyRenewal", channel="email"):
            text = shop.narrowed(f"SELECT id, {columns} FROM t")  # noqa: S608  # the names are those above
            kept = Frames(guard).permitted(frame[["id", *columns.split(", ")]], tags={**tags})
        rows = database.execute(text).fetchall()
        found[columns] = [row[0] for row in rows], list(kept["id"])
    assert found == {"jp": ([8], [8]), "eu": ([7, 8], [7, 8]), "jp, eu": ([8], [8])}


def test_rows_that_decide_are_refused(guard: pg.Guard) -> None:
    """A column that names the source, or the day, of its row says it by one notice."""
    tables = Tables(
        NOTICES, {"t": {"mail": pg.ByRow, "kind": pg.RowSource}, "u": {"mail": JP_ACCOUNT, "d": pg.Collected}}
    )
    shop = Statements(guard, tables, dialect="sqlite")
    for text in ("SELECT mail FROM t", "SELECT mail FROM u"):
        with guard.purpose("AnyRenewal", channel="email"), pytest.raises(SeveralNotices):
            shop.narrowed(text)


def test_tags_of_arrow_say_of_which_notice_they_are(guard: pg.Guard) -> None:
    table = pa.table({"jp": ["a"], "eu": ["b"]})
    made = arrow.tagged(table, {"jp": JP_ACCOUNT, "eu": EU_ACCOUNT}, NOTICES)
    written = [(made.schema.field(name).metadata or {})[b"purposeguard"].decode() for name in ("jp", "eu")]
    assert ['"notice":"shop-jp"' in written[0], '"notice":"shop-eu"' in written[1]] == [True, True]
    read = arrow.columns_of(made, NOTICES)
    assert [read[name].label for name in ("jp", "eu")] == [pg.Label(JP_ACCOUNT), pg.Label(EU_ACCOUNT)]
    frames = Frames(guard)
    with guard.purpose(term(EU, "Renewal")):
        frames.check(made, columns=["eu"])
        with pytest.raises(pg.PurposeViolation):
            frames.check(made, columns=["jp"])
    with pytest.raises(ValueError, match="a tag is of one"):
        arrow.tagged(table, {"jp": [JP_ACCOUNT, EU_ACCOUNT], "eu": EU_ACCOUNT}, NOTICES)
    third = pg.Notice.parse(JP.dump() | {"id": "shop-uk"})
    with pytest.raises(pg.UnknownSource, match="is of another notice than shop-jp, shop-eu"):
        arrow.columns_of(arrow.tagged(table, {"jp": third.sources[1], "eu": pg.NotPersonal}, third), NOTICES)


def test_a_tag_of_an_earlier_revision_of_one_notice() -> None:
    """Both notices have a revision of the same day; the tag's is that of its own notice."""
    before = revised(EU, lambda t: t["grant"][0].update(sources=["1(a)"]), "2023-01-01")
    jp_before = revised(JP, lambda t: None, "2023-01-01")
    notices = both(jp=pg.History(jp_before, JP), eu=pg.History(before, EU))
    made = arrow.tagged(pa.table({"a": ["x"]}), {"a": term(before, "Usage")}, pg.History(before, EU))
    label = arrow.columns_of(made, notices)["a"].label
    assert label is pg.Label(term(before, "Usage"))
    guard = pg.Guard(notices, clock=lambda: day("2025-01-01"))
    assert not guard.allows(label, "AnyRenewal")
    assert guard.allows(term(EU, "Usage"), "AnyRenewal")


class Base(DeclarativeBase):
    """The tables of these tests."""


class Person(Base):
    __tablename__ = "person"
    id: Mapped[Annotated[int, pg.NotPersonal]] = mapped_column(primary_key=True)
    mail: Mapped[Annotated[str, JP_ACCOUNT]] = mapped_column(String)
    phone: Mapped[Annotated[str, EU_ACCOUNT]] = mapped_column(String)


def test_sessions(guard: pg.Guard) -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with GuardedSession(protect(engine, guard, Base)) as session:
        with guard.purpose(term(JP, "Renewal"), channel="email"):
            assert session.execute(select(Person.mail)).all() == []
            with pytest.raises(pg.PurposeViolation, match=r"shop-eu:1\(a\)"):
                session.execute(select(Person.phone))
        with guard.purpose("AnyRenewal", channel="email"):
            assert session.execute(select(Person.mail, Person.phone)).all() == []


def test_frames(guard: pg.Guard) -> None:
    frame = pd.DataFrame({"mail": ["m"], "phone": ["p"]})
    tags = {"mail": JP_ACCOUNT, "phone": EU_ACCOUNT}
    frames = Frames(guard)
    with guard.purpose("AnyRenewal", channel="email"):
        frames.check(frame, tags=tags)
    with guard.purpose(term(JP, "Renewal"), channel="email"):
        assert list(frames.permitted(frame, tags=tags, withhold=True).columns) == ["mail"]


def test_files(guard: pg.Guard, tmp_path: Path) -> None:
    table = pa.table({"jp": ["a"], "eu": ["b"], "visit": ["c"]})
    tags = {"jp": JP_ACCOUNT, "eu": EU_ACCOUNT, "visit": JP_VISIT}
    pq.write_table(arrow.tagged(table, tags, NOTICES), tmp_path / "t.parquet")
    connection = duckdb.connect(guard, {"t": tmp_path / "t.parquet"})
    with guard.purpose("AnyRenewal", channel="email"):
        found = connection.sql("SELECT jp || eu AS both FROM t")
        assert found.labels == {"both": pg.Label(JP_ACCOUNT, EU_ACCOUNT)}
        assert found.fetchall() == [("ab",)]
        assert connection.sql("SELECT jp FROM t").arrow().schema.field("jp").metadata is not None
        assert found.arrow().schema.field("both").metadata is None  # no tag is of both; without one it is refused
        with pytest.raises(pg.PurposeViolation, match="shop-jp:2"):
            connection.sql("SELECT jp FROM t WHERE visit = 'c'")
