"""Stored data of two notices: a tag or a row says of which it is, columns and rows are decided by theirs."""

from __future__ import annotations

import datetime
import functools
import pickle
import sqlite3
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import purposeguard as pg
from purposeguard.adapters import arrow, duckdb
from purposeguard.adapters.enforcement import Decider
from purposeguard.adapters.frames import Frames
from purposeguard.adapters.frames.rows import PortableRule
from purposeguard.adapters.row_rule import render_rule
from purposeguard.adapters.sql import Statements, Tables
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.adapters.tags import columns_of
from purposeguard.policy.context import SubjectPreferences
from tests.adapters.plain_rows import PlainRows
from tests.oversights import Told
from tests.unit.conditions import tables
from tests.unit.samples import revised
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


NOW = datetime.datetime(2024, 7, 31, 12, tzinfo=datetime.UTC)
EARLY, BETWEEN, LATE = (datetime.datetime.fromisoformat(f"2024-06-30T{hour}:00:00+00:00") for hour in (12, 18, 23))
"""On 30 June in both zones; on 1 July in Tokyo alone; on 1 July in both. Of 30 days from then the last is today."""


def dated(notice: pg.Notice, timezone: str) -> pg.Notice:
    """The notice in a time zone, by which registrations are kept for 30 days."""
    period = {"source": "1(a)", "days": 30, "from": "collection"}
    held = {"clause": "8", "starts": "end-of-use", "bases": ["law"], "after": "law-only", "period": [period]}
    return pg.Notice.parse(notice.dump() | {"timezone": timezone, "retention": held})


FAR, NEAR = dated(JP, "Asia/Tokyo"), dated(EU, "Europe/Paris")
DATED = both(FAR, NEAR)
ROWS = [(source, got) for source in ("shop-jp:1(a)", "SHOP-EU:ACCOUNT") for got in (EARLY, BETWEEN, LATE)]
BY_ROW = {"mail": pg.ByRow, "src": pg.RowSource, "got": pg.Collected}
OF_BOTH = {"mail": [term(FAR, "Account"), term(NEAR, "Account")], "src": pg.NotPersonal, "got": pg.Collected}
KEPT: list[tuple[Any, list[tuple[str, datetime.datetime]]]] = [
    # Each row by the time zone of its own notice; data of both by either.
    (BY_ROW, [ROWS[1], ROWS[2], ROWS[5]]),
    (OF_BOTH, [ROWS[2], ROWS[5]]),
]


def dated_guard() -> pg.Guard:
    return pg.Guard(DATED, clock=lambda: NOW)


def as_table(rows: Any = ROWS) -> pa.Table:
    sources, days = zip(*rows, strict=True)
    moments = pa.array(days, pa.timestamp("us", "UTC"))
    return pa.table({"mail": ["m"] * len(rows), "src": list(sources), "got": moments})


def pairs(table: Any) -> list[tuple[str, datetime.datetime]]:
    return [(row["src"], row["got"].astimezone(datetime.UTC)) for row in table.to_pylist()]


@pytest.mark.filterwarnings("ignore:Series.values returning an ndarray:DeprecationWarning")  # from an older Arrow
@pytest.mark.parametrize(("tags", "kept"), KEPT, ids=["by row", "of both"])
def test_rows_of_frames_by_the_time_zone_of_their_notice(tags: Any, kept: Any) -> None:
    guard = dated_guard()
    frames, table = Frames(guard), as_table()
    lazy = pickle.loads(pickle.dumps(pl.DataFrame(pl.from_arrow(table)).lazy()))  # made here
    with guard.purpose("AnyRenewal", channel="email"):
        assert pairs(frames.permitted(table, tags=tags)) == kept
        assert pairs(pa.Table.from_pandas(frames.permitted(table.to_pandas(), tags=tags), preserve_index=False)) == kept
        assert pairs(frames.permitted(lazy, tags=tags).collect().to_arrow()) == kept


def test_a_rule_over_several_notices_is_read_in_another_process() -> None:
    guard = dated_guard()
    columns = columns_of(DATED, BY_ROW)
    with guard.purpose("AnyRenewal", channel="email") as use:
        rule = Decider(guard).make_row_rule(use, columns, ["mail"])
    assert rule is not None
    read = pickle.loads(pickle.dumps(PortableRule(rule))).rule  # made here
    assert (read.zones, read.known) == (rule.zones, rule.known)
    assert [zone.timezone for zone in read.zones] == ["Asia/Tokyo", "Europe/Paris"]
    assert [render_rule(rule, PlainRows(read.notice))({"src": src, "got": got}) for src, got in ROWS] == [
        row in KEPT[0][1] for row in ROWS
    ]


@pytest.mark.parametrize(("tags", "kept"), KEPT, ids=["by row", "of both"])
def test_rows_of_duckdb_by_the_time_zone_of_their_notice(tags: Any, kept: Any) -> None:
    guard = dated_guard()
    connection = duckdb.connect(guard, {"t": as_table()}, tags={"t": tags})
    with guard.purpose("AnyRenewal", channel="email"):
        found = connection.sql("SELECT mail, src, got FROM t ORDER BY src DESC, got").arrow()
        assert pairs(found) == kept


@pytest.mark.parametrize("tags", [BY_ROW, OF_BOTH], ids=["by row", "of both"])
def test_rows_of_statements_by_their_notice(tags: Any) -> None:
    """SQLite holds dates, which are the same day in every zone: what was a moment is that day here."""
    guard = dated_guard()
    shop = Statements(guard, Tables(DATED, {"t": tags}), dialect="sqlite")
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE t (mail TEXT, src TEXT, got TEXT)")
    days = {"2024-06-30": False, "2024-07-01": True}
    rows = [("m", source, day) for source in ("shop-jp:1(a)", "SHOP-EU:ACCOUNT") for day in days]
    database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    with guard.purpose("AnyRenewal", channel="email"):
        text = shop.narrowed("SELECT mail, src, got FROM t")
        assert database.execute(text).fetchall() == [row for row in rows if days[row[2]]]


class Letters(DeclarativeBase):
    """The table of which each row says its source."""


class Letter(Letters):
    __tablename__ = "letter"
    id: Mapped[Annotated[int, pg.NotPersonal]] = mapped_column(primary_key=True)
    mail: Mapped[Annotated[str, pg.ByRow]]
    src: Mapped[Annotated[str, pg.RowSource]]
    got: Mapped[Annotated[datetime.date, pg.Collected]]


def test_rows_of_sessions_by_their_notice() -> None:
    engine = create_engine("sqlite://")
    Letters.metadata.create_all(engine)
    guard = dated_guard()
    sources = ["shop-jp:1(a)", "shop-eu:1(a)", "shop-jp:2"]
    days = [datetime.date(2024, 6, 30), datetime.date(2024, 7, 1)]
    with Session(engine) as session:
        session.add_all(Letter(mail="m", src=source, got=day) for source in sources for day in days)
        session.commit()
    with GuardedSession(protect(engine, guard, Letters)) as session, guard.purpose("AnyRenewal", channel="email"):
        kept = session.execute(select(Letter.src, Letter.got, Letter.mail)).all()
        assert [tuple(row)[:2] for row in kept] == [(source, days[1]) for source in sources[:2]]


def test_a_source_that_two_notices_have_says_of_which_it_is() -> None:
    guard = dated_guard()
    table = as_table([("1(a)", LATE)])
    with guard.purpose("AnyRenewal", channel="email"):
        with pytest.raises(pg.UnknownSource, match=r"write `shop-jp:1\(a\)` or `shop-eu:1\(a\)`"):
            Frames(guard).permitted(table, tags=BY_ROW)
        connection = duckdb.connect(guard, {"t": table}, tags={"t": BY_ROW})
        with pytest.raises(pg.UnknownSource, match=r"`1\(a\)`"):
            connection.sql("SELECT mail FROM t").fetchall()


def test_a_purpose_of_one_notice_keeps_its_rows_alone() -> None:
    guard = dated_guard()
    with guard.purpose(term(NEAR, "Renewal")):
        assert pairs(Frames(guard).permitted(as_table(), tags=BY_ROW)) == [ROWS[5]]


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
