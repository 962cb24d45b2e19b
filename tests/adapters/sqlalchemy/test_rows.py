"""Rows that a purpose may not use are left out, on SQLite and PostgreSQL: whose they are, from when, from where."""

from __future__ import annotations

import datetime
import gc
import weakref
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, column_property, mapped_column, relationship
from sqlalchemy.orm.exc import ObjectDeletedError
from sqlalchemy.pool import NullPool

import purposeguard as pg
from purposeguard import Guard, History, Notice
from purposeguard.adapters.row_rule import KeySet
from purposeguard.adapters.sqlalchemy import GuardedSession, permitted, protect
from purposeguard.errors import PurposeMissing, UnknownSource, UnlabelledData, UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.context import SubjectPreferences
from purposeguard.values.markers import ByRow, RowSource
from tests.adapters.sqlalchemy.shop import Letter, Person, Shop
from tests.oversights import STOPPED, Told
from tests.support import ON_POSTGRESQL, RecordingLedger

people: Any = Person.__table__
RENEWAL = ["p3", "p4", "p5", "p6"]  # neither customer 1, who stopped everything, nor customer 2, who stopped this
PROVISION = ["p2", "p3", "p4", "p5", "p6"]


def test_a_list_comes_back_narrowed_for_the_purpose_under_way(shop: Shop, governed: Guard) -> None:
    statement = sa.select(Person.email).order_by(Person.id)
    with shop.session(governed)() as session:
        for _ in range(2):
            with governed.purpose(tm.RenewalGuidance):
                assert session.scalars(statement).all() == RENEWAL
            with governed.purpose(tm.ProductProvision):
                assert session.scalars(statement).all() == PROVISION
        with pytest.raises(PurposeMissing, match=r"^select of `people` in .* \(test_rows\.py:"):
            session.scalars(statement)
        with pytest.raises(PurposeMissing, match=r"^select of `people` in .* \(test_rows\.py:"):
            permitted(session, Person)


def test_what_somebody_asks_for_counts_from_the_next_statement_on(shop: Shop, governed: Guard) -> None:
    statement = sa.select(Person.email).order_by(Person.id)
    with shop.session(governed)() as session, governed.purpose(tm.ProductProvision):
        assert session.scalars(statement).all() == PROVISION
        shop.told.all_preferences["customer:5"] = SubjectPreferences(erased=True)
        assert session.scalars(statement).all() == ["p2", "p3", "p4", "p6"]
        del shop.told.all_preferences["customer:5"]
        assert session.scalars(statement).all() == PROVISION
        shop.told.all_preferences.clear()
        assert session.scalars(statement).all() == ["p1", *PROVISION]


def test_rows_are_told_by_what_is_used_of_them(shop: Shop, governed: Guard) -> None:
    with shop.session(governed)() as session, governed.purpose(tm.RenewalGuidance):
        assert session.scalars(sa.select(Person.id).order_by(Person.id)).all() == [1, 2, 3, 4, 5, 6]
        assert session.scalar(sa.select(sa.func.count()).select_from(Person)) == 6
        assert session.scalar(sa.select(sa.func.count(Person.email))) == 4
        found = session.scalars(sa.select(Person).order_by(Person.id)).all()
        assert [one.id for one in found] == [3, 5, 6]
        session.expunge_all()
        found = session.scalars(sa.select(Person).options(orm.load_only(Person.email)).order_by(Person.id)).all()
        assert [one.id for one in found] == [3, 4, 5, 6]


def test_relationships_come_back_narrowed(shop: Shop, governed: Guard) -> None:
    short = orm.load_only(Person.email)
    with shop.session(governed)() as session, governed.purpose(tm.RenewalGuidance):
        for option in (orm.joinedload, orm.selectinload, orm.subqueryload):
            letters = session.scalars(
                sa.select(Letter).options(option(Letter.person).options(short)).order_by(Letter.id)
            )
            assert [one.person and one.person.email for one in letters] == [None, None, *RENEWAL]
            session.expunge_all()
        letters = session.scalars(sa.select(Letter).order_by(Letter.id))
        assert [one.person and one.person.email for one in letters] == [None, None, "p3", None, "p5", "p6"]
        session.expunge_all()
        found = session.scalars(
            sa.select(Letter)
            .join(Letter.person)
            .options(orm.contains_eager(Letter.person).options(short))
            .order_by(Letter.id)
        ).all()
        assert [one.id for one in found] == [3, 4, 5, 6]
        session.expunge_all()
        rows = session.scalars(sa.select(Person).options(short, orm.joinedload(Person.letters))).unique().all()
        assert sorted(one.letters[0].id for one in rows) == [3, 4, 5, 6]


def test_one_row_comes_back_or_none(shop: Shop, governed: Guard) -> None:
    with shop.session(governed)() as session, governed.purpose(tm.RenewalGuidance):
        assert session.get(Person, 1) is None
        assert session.get(Person, 2) is None
        kept = session.get_one(Person, 3)
        session.expire(kept)
        assert kept.email == "p3"
        session.refresh(kept)
        shop.told.all_preferences["customer:3"] = STOPPED
        session.expire(kept)
        with pytest.raises(ObjectDeletedError):
            _ = kept.email
        assert session.get(Person, 3) is None


def test_what_is_kept_in_a_session_is_not_found_for_another_purpose(shop: Shop, governed: Guard) -> None:
    with shop.session(governed)() as session:
        with governed.purpose(tm.ProductProvision):
            kept = session.get_one(Person, 2)
            letters = session.get_one(Letter, 2)
            assert letters.person is kept
            assert kept.email == "p2"
        with governed.purpose(tm.RenewalGuidance):
            assert session.get_one(Letter, 2).person is kept  # known by its key, and nothing of it
            with pytest.raises(ObjectDeletedError):
                _ = kept.email


def test_updates_and_deletes_are_narrowed(shop: Shop, governed: Guard) -> None:
    with shop.session(governed)() as session:
        with governed.purpose(tm.RenewalGuidance):
            changed: Any = session.execute(sa.update(Person).where(Person.email.like("p%")).values(email="new"))
            assert changed.rowcount == 4
            gone: Any = session.execute(
                sa.delete(Person)
                .where(Person.email == "new", Person.id > 90)
                .execution_options(synchronize_session=False)
            )
            assert gone.rowcount == 0
        session.rollback()
        erased: Any = session.execute(sa.delete(Letter).where(Letter.id == 1))
        assert erased.rowcount == 1


def test_statements_of_core_are_narrowed(shop: Shop, governed: Guard) -> None:
    engine = shop.guarded(governed)
    with engine.connect() as connection, governed.purpose(tm.RenewalGuidance):
        assert connection.scalars(sa.select(people.c.email).order_by(people.c.id)).all() == RENEWAL
        assert len(connection.execute(sa.select(people.c.id)).all()) == 6
        rows = permitted(engine, Person, "id", "email")
        assert connection.scalars(sa.select(rows.c.email).order_by(rows.c.id)).all() == RENEWAL
        assert connection.scalars(sa.select(permitted(connection, people, "email").c.email)).all() == RENEWAL
        every = permitted(engine, people)
        assert [row.id for row in connection.execute(sa.select(every).order_by(every.c.id))] == [3, 5, 6]
        beside = sa.select(people.c.email).where(people.c.id.in_(sa.select(rows.c.id))).order_by(people.c.id)
        assert connection.scalars(beside).all() == RENEWAL
        many = sa.update(people).where(people.c.email == sa.bindparam("old")).values(email=sa.bindparam("new"))
        done = connection.execute(many, [{"old": f"p{n}", "new": "x"} for n in range(1, 7)])
        assert done.rowcount == 4
        connection.rollback()
    with governed.purpose(tm.ProductProvision), engine.connect() as connection:
        assert sorted(connection.scalars(sa.select(rows.c.email))) == PROVISION
    with engine.connect() as connection, pytest.raises(PurposeMissing):
        connection.execute(sa.select(rows.c.email))
    with pytest.raises(UnresolvedStatement), governed.purpose(tm.RenewalGuidance):
        permitted(shop.plain, people)
    with pytest.raises(PurposeMissing):
        permitted(engine, people)


def test_a_session_that_does_not_keep_purposes_apart_is_refused(shop: Shop, governed: Guard) -> None:
    engine = shop.guarded(governed)
    loading = [sa.select(Person), sa.select(Person.email), sa.update(Person).values(email="x").returning(Person)]
    for statement in (*loading, sa.select(Person).from_statement(sa.text("SELECT * FROM people"))):
        with Session(engine) as session, governed.purpose(tm.ProductProvision), pytest.raises(UnlabelledData):
            session.scalars(statement)
    with Session(engine) as session, governed.purpose(tm.ProductProvision), pytest.raises(UnlabelledData):
        session.get(Person, 3)


def test_every_table_of_a_statement_is_narrowed_wherever_it_stands(shared: Shop) -> None:
    email = people.c.email
    guard = Guard(tm.NOTICE, governance=shared.told)
    within = sa.select(Person.email).where(Person.id == 1)
    one = within.correlate(people)
    chosen = sa.select(Letter.person_id).where(Letter.person_id == Person.id, Person.email != "x").correlate(people)
    statements = [
        sa.select(email, within.scalar_subquery()),
        sa.select(email).where(sa.or_(one.exists(), people.c.id > 0)),
        sa.select(email).where(sa.or_(people.c.id.in_(chosen), people.c.id > 0)),
        sa.select(email).order_by(one.scalar_subquery()),
        sa.select(email).group_by(email, people.c.id).having(sa.or_(one.exists(), people.c.id > 0)),
        sa.select(email).outerjoin(Letter, one.exists()),
        sa.select(email, sa.func.row_number().over(order_by=one.scalar_subquery())),
        sa.select(email).select_from(Person),
        sa.select(email, Letter.id).join(Letter, full=True, onclause=Letter.person_id == people.c.id),
    ]
    with shared.session(guard)() as session, guard.purpose(tm.RenewalGuidance):
        for statement in statements:
            rows = session.execute(statement).all()
            assert sorted({row[0] for row in rows} - {None}) == RENEWAL
            assert "p1" not in {value for row in rows for value in row}
        for statement in (sa.select(email).where(one.exists()), within):
            assert session.execute(statement).all() == []
        told: Any
        for told in (sa.update(people).values(email="x"), sa.delete(people)):
            session.execute(sa.delete(Letter))
            done: Any = session.execute(told.where(sa.or_(one.exists(), email != "x")))
            assert done.rowcount == 4
            session.rollback()
        found = sa.select(Letter.id, sa.select(Person.email).where(Person.id == Letter.person_id).scalar_subquery())
        assert [one for _, one in sorted(map(tuple, session.execute(found)))][2:] == RENEWAL
        if session.get_bind().dialect.name == "postgresql":
            side = sa.select(Person.email.label("mail")).where(Person.id == people.c.id).correlate(people).lateral()
            both = session.execute(sa.select(email, side.c.mail).join(side, people.c.id > 0, isouter=True)).all()
            assert sorted(map(tuple, both)) == [(name, name) for name in RENEWAL]


def test_what_is_inserted_is_not_narrowed_and_what_is_there_is(shop: Shop, governed: Guard) -> None:
    engine = shop.guarded(governed)
    row = {"id": 1, "source": "1.1(a)", "note": "n", "email": "mine", "day": datetime.date(2024, 5, 1)}
    into: Any = (sqlite if engine.dialect.name == "sqlite" else postgresql).insert(people)
    with engine.connect() as connection, governed.purpose(tm.RenewalGuidance):
        assert connection.scalar(into.values(row | {"id": 99}).returning(people.c.email)) == "mine"
        returned: list[str] = []
        for number in range(1, 7):
            kept = into.values(row | {"id": number}).on_conflict_do_update(index_elements=["id"], set_={"note": "x"})
            connection.execute(kept)
            returned += connection.scalars(kept.returning(people.c.email))
        assert sorted(returned) == RENEWAL


def test_a_purpose_that_is_missing_is_told_once_where_it_is_observed(shop: Shop) -> None:
    ledger = RecordingLedger()
    observing = Guard(tm.NOTICE, governance=shop.told, mode="observe", ledger=ledger)
    engine = shop.guarded(observing)
    with GuardedSession(engine) as session:
        assert len(session.scalars(sa.select(Person.email)).all()) == 6
        assert len(ledger.denials) == 1
        found = permitted(session, Person, "email")
        assert len(session.execute(sa.select(found)).all()) == 6
        assert len(ledger.denials) == 2
        assert {type(missing) for missing, _ in ledger.denials} == {PurposeMissing}
        where = f"select of `people` in {__name__}.test_a_purpose_that_is_missing_is_told_once_where_it_is_observed ("
        assert all(str(missing).startswith(where) for missing, _ in ledger.denials)


def test_a_row_whose_source_means_nothing_makes_the_statement_fail(shop: Shop, governed: Guard) -> None:
    with Session(shop.plain) as session:
        session.execute(sa.update(Person).where(Person.id == 6).values(source="9.9(z)"))
        session.commit()
    with shop.session(governed)() as session, governed.purpose(tm.RenewalGuidance):
        assert len(session.scalars(sa.select(Person.email)).all()) == 4  # which asks no row for its source
        with pytest.raises(UnknownSource, match=r"9\.9\(z\).*people\.source"):
            session.scalars(sa.select(Person.note)).all()
        session.rollback()
        if session.get_bind().dialect.name == "sqlite":
            with pytest.raises(DBAPIError):  # which is about something else
                session.scalars(sa.select(Person.email).where(sa.func.json_extract("nonsense", "$") == 1)).all()


def test_sources_are_read_in_any_spelling(other: sa.Engine, shop: Shop, guard: Guard) -> None:
    spelt = [
        "1.1(a)", "1.1a", "1.1 (A)", " Registration ", "registration", "１．１（ａ）", "1.1（A）", "REGISTRATION",
        "1.1A",
    ]  # fmt: skip
    with Session(shop.plain) as session:
        session.add_all(Mixed(key=n, source=one, note=str(n)) for n, one in enumerate(spelt))
        session.add_all([Mixed(key=90, source="２.３", note="90"), Mixed(key=91, source="product-data", note="91")])
        session.add_all([Mixed(key=93, source="Cookie", note="93")])
        session.commit()
    protect(other, guard, Base)
    with GuardedSession(other) as session:
        with guard.purpose(tm.RenewalGuidance):
            found = session.scalars(sa.select(Mixed.key).where(Mixed.note != "x").order_by(Mixed.key)).all()
            assert found == [*range(len(spelt))]
        with guard.purpose(tm.TrafficAnalysis):
            assert session.scalars(sa.select(Mixed.note).order_by(Mixed.key)).all() == ["90", "93"]
        with Session(shop.plain) as plain:
            plain.add(Mixed(key=94, source="1.1 a b", note="94"))
            plain.commit()
        with guard.purpose(tm.TrafficAnalysis), pytest.raises(UnknownSource, match=r"names it in `mixed\.source`"):
            session.scalars(sa.select(Mixed.note)).all()


def test_a_row_that_names_no_source_makes_the_statement_fail(other: sa.Engine, shop: Shop, guard: Guard) -> None:
    with Session(shop.plain) as session:
        session.add_all([Mixed(key=1, source="1.1(a)", note="a"), Mixed(key=2, source=None, note="b")])
        session.commit()
    protect(other, guard, Base)
    with GuardedSession(other) as session, guard.purpose(tm.RenewalGuidance):
        with pytest.raises(UnlabelledData, match=r"mixed\.source"):
            session.scalars(sa.select(Mixed.note)).all()
        session.rollback()
        assert session.scalars(sa.select(Mixed.note).where(Mixed.key == 1)).all() == ["a"]


class Base(DeclarativeBase): ...


class Dated(Base):
    __tablename__ = "dated"
    key: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[Annotated[datetime.datetime, pg.Collected]] = mapped_column(sa.DateTime(timezone=True))
    name: Mapped[Annotated[str, tm.Registration]]


class Sub(Base):
    __tablename__ = "subs"
    id: Mapped[Annotated[int, pg.Subject("customer")]] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[Annotated[str, tm.Registration]]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "sub"}


class SubSub(Sub):
    __tablename__ = "subsubs"
    id: Mapped[int] = mapped_column(sa.ForeignKey("subs.id"), primary_key=True)
    plan: Mapped[Annotated[str, tm.Contract]]
    __mapper_args__ = {"polymorphic_identity": "subsub"}


class Single(Sub):
    extra: Mapped[Annotated[str | None, tm.Contract]] = mapped_column(use_existing_column=True)
    __mapper_args__ = {"polymorphic_identity": "single"}


class Mixed(Base):
    __tablename__ = "mixed"
    key: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[Annotated[str | None, RowSource]]
    note: Mapped[Annotated[str, ByRow]]


class Node(Base):
    __tablename__ = "nodes"
    id: Mapped[Annotated[int, pg.Subject("customer")]] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("nodes.id"))
    name: Mapped[Annotated[str, tm.Registration]]
    children: Mapped[list[Node]] = relationship()


@pytest.fixture
def other(url: str, shop: Shop) -> sa.Engine:
    Base.metadata.drop_all(shop.plain)
    Base.metadata.create_all(shop.plain)
    engine = sa.create_engine(url)
    shop.engines.append(engine)
    return engine


def test_moments_are_counted_in_the_time_zone_of_the_notice(other: sa.Engine, shop: Shop, guard: Guard) -> None:
    begun = datetime.datetime(2024, 3, 31, 15, tzinfo=datetime.UTC)  # 1 April in Tokyo, of the revision in force
    with Session(shop.plain) as session:
        session.add_all(
            [Dated(key=1, at=begun, name="new"), Dated(key=2, at=begun - datetime.timedelta(seconds=1), name="old")]
        )
        session.commit()
    protect(other, guard, Base)
    with GuardedSession(other) as session, guard.purpose(tm.RenewalGuidance):
        if other.dialect.name == "sqlite":
            with pytest.raises(UnresolvedStatement, match="time zone"):
                session.scalars(sa.select(Dated.name))
        else:
            assert session.scalars(sa.select(Dated.name)).all() == ["new"]


def test_hierarchies_are_narrowed(other: sa.Engine, shop: Shop) -> None:
    with Session(shop.plain) as session:
        session.add_all([SubSub(id=1, name="a", plan="p"), SubSub(id=2, name="b", plan="q"), Single(id=3, name="c")])
        session.add_all([Single(id=4, name="d", extra="x"), Sub(id=5, name="e")])
        session.commit()
    guard = Guard(tm.NOTICE, governance=Told({f"customer:{n}": STOPPED for n in (1, 4)}))
    protect(other, guard, Base)
    with orm.sessionmaker(other, class_=GuardedSession)() as session, guard.purpose(tm.RenewalGuidance):
        assert session.scalars(sa.select(Sub.name).order_by(Sub.id)).all() == ["b", "c", "e"]
        assert session.scalars(sa.select(SubSub.name)).all() == ["b"]
        assert session.execute(sa.select(SubSub.name, SubSub.plan)).all() == [("b", "q")]
        assert [one.name for one in session.scalars(sa.select(Single))] == ["c"]
        entities = session.scalars(sa.select(Sub).order_by(Sub.id)).all()
        assert [type(one) for one in entities] == [SubSub, Single, Sub]
        assert entities[0].plan == "q"  # type: ignore[attr-defined]


def test_a_table_that_refers_to_itself_is_narrowed_everywhere(other: sa.Engine, shop: Shop) -> None:
    with Session(shop.plain) as session:
        session.add(Node(id=1, name="root", children=[Node(id=2, name="a"), Node(id=3, name="b")]))
        session.commit()
    guard = Guard(tm.NOTICE, governance=Told({"customer:2": STOPPED}))
    protect(other, guard, Base)
    for option in (orm.joinedload, orm.selectinload, orm.subqueryload, None):
        with GuardedSession(other) as session, guard.purpose(tm.RenewalGuidance):
            statement = sa.select(Node).where(Node.id == 1)
            if option is not None:
                statement = statement.options(option(Node.children))
            root = session.scalars(statement).unique().one()
            assert [one.name for one in root.children] == ["b"]


def test_revisions_and_retention_decide_by_the_day(url: str, shop: Shop) -> None:
    history = History(Notice.bundled("trendmicro-jp"))
    guard = Guard(history)
    with shop.session(guard)() as session, guard.purpose(tm.RenewalGuidance):
        with Session(shop.plain) as plain:
            plain.execute(sa.update(Person).where(Person.id == 3).values(day=datetime.date(2020, 1, 1)))
            plain.commit()
        assert session.scalars(sa.select(Person.email).order_by(Person.id)).all() == ["p1", "p2", "p4", "p5", "p6"]


def test_an_alias_alone_is_narrowed_and_joined_to_nothing(shop: Shop, governed: Guard) -> None:
    other = aliased(Person)
    with shop.session(governed)() as session, governed.purpose(tm.ProductProvision):
        assert sorted(session.scalars(sa.select(other.note))) == [f"note{n}" for n in range(2, 7)]
        assert len(session.scalars(sa.select(other)).all()) == 5
        assert session.scalar(sa.select(sa.func.count(other.email)).where(other.id > 3)) == 3


def test_a_limit_beside_what_is_loaded_along_is_narrowed(shop: Shop, governed: Guard) -> None:
    """SQLAlchemy itself makes a text of such a statement, by no compiler of the engine."""
    told = sa.select(Person).options(orm.joinedload(Person.letters)).order_by(Person.id).limit(2)
    with shop.session(governed)() as session, governed.purpose(tm.ProductProvision):
        found = session.scalars(told).unique().all()
        assert [(one.note, len(one.letters)) for one in found] == [("note2", 1), ("note3", 1)]


SHOP = """
format = 1
id = "corner-shop"
revision = 2025-04-01
controller = { en = "Corner Shop", ja = "コーナーショップ" }
title = { en = "Privacy notice", ja = "個人情報の取り扱い" }

[[source]]
id = "1"
class = "Order"
title = { en = "Orders", ja = "注文" }

[[source]]
id = "2"
class = "Other"
title = { en = "Other", ja = "その他" }

[[grant]]
clause = "3"
sources = ["1"]
title = { en = "Use of orders", ja = "注文の利用" }

[[grant.purpose]]
id = "3①"
class = "Delivery"
title = { en = "Delivery", ja = "配送" }
"""


def test_names_of_sources_are_those_of_the_notice_in_force(other: sa.Engine) -> None:
    class Place(DeclarativeBase): ...

    class Parcel(Place):
        __tablename__ = "parcels"
        key: Mapped[int] = mapped_column(primary_key=True)
        source: Mapped[Annotated[str, RowSource]]
        what: Mapped[Annotated[str, ByRow]]

    Place.metadata.create_all(other)
    with Session(other) as session:
        session.add_all([Parcel(key=1, source="Order", what="a"), Parcel(key=2, source="Other", what="b")])
        session.commit()
    guard = Guard(Notice.loads(SHOP))
    protect(other, guard, Place)

    def read() -> list[str]:
        with GuardedSession(other) as session, guard.purpose("3①"):
            return list(session.scalars(sa.select(Parcel.what)))

    for _ in range(3):  # until it is kept
        assert read() == ["a"]
    # The classes change names; what each clause may serve stays.
    turned = SHOP.replace('"Order"', '"X"').replace('"Other"', '"Order"').replace('"X"', '"Other"')
    confirmed = '[[unchanged]]\nkind = "source"\nids = ["1", "2"]\nsince = 2025-04-01\n'
    guard.replace(Notice.loads(turned.replace("2025-04-01", "2026-04-01") + confirmed))
    assert read() == ["b"]


@pytest.mark.parametrize("dialect", [ON_POSTGRESQL], indirect=True)
def test_errors_tell_no_value_of_rows_that_are_left_out(shop: Shop, governed: Guard) -> None:
    """PostgreSQL tries a condition of the statement before the one that leaves rows out, where that costs less."""
    with shop.guarded(governed).connect() as connection, governed.purpose(tm.RenewalGuidance):
        for options in ({}, {"stream_results": True}):
            with pytest.raises(DataError) as caught:
                connection.execute(
                    sa.select(Person.id).where(sa.cast(Person.email, sa.Integer) > 0), execution_options=options
                ).all()
            assert "p1" not in str(caught.value)
            assert "SQLSTATE 22P02" in str(caught.value)
            connection.rollback()
        with pytest.raises(DataError, match="division by zero"):  # of no rows that are left out
            connection.execute(sa.select(1 / sa.literal(0)))


def test_errors_quote_no_row_that_breaks_a_constraint(shop: Shop, guard: Guard) -> None:
    broken = sa.update(Person).where(Person.id == 1).values(email=None)  # which takes no purpose
    with shop.guarded(guard).connect() as connection, pytest.raises(IntegrityError) as caught:
        connection.execute(broken)
    assert "email" in str(caught.value)
    assert "note1" not in str(caught.value)


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_condition_of_an_update_is_not_tried_on_rows_that_are_left_alone(shop: Shop, governed: Guard) -> None:
    with shop.plain.begin() as connection:
        connection.execute(sa.update(Person).where(Person.id > 2).values(email="[1]"))
    email = sa.func.json_extract(Person.email, "$[0]")
    with shop.guarded(governed).connect() as connection, governed.purpose(tm.RenewalGuidance):
        assert connection.execute(sa.update(Person).where(email == 1).values(email="[2]")).rowcount == 4


def test_keys_of_subjects_go_when_others_take_their_place(shop: Shop, governed: Guard) -> None:
    """There may be millions of them, and the texts of statements that asked for them are kept."""
    seen: list[weakref.ref[KeySet]] = []

    def all_alive() -> int:
        gc.collect()
        known = {id(one) for one in (ref() for ref in seen) if one is not None}
        seen.extend(weakref.ref(one) for one in gc.get_objects() if type(one) is KeySet and id(one) not in known)
        return sum(ref() is not None for ref in seen)

    before = all_alive()
    kept: Any = ()
    with shop.session(governed)() as session:
        for n in range(10):
            shop.told.all_preferences = {f"customer:{n % 7}": STOPPED}
            with governed.purpose(tm.ProductProvision):
                kept = session.scalars(sa.select(Person.note.label(f"note{n}")).order_by(Person.id)).all()
    assert len(kept) == 5
    assert all_alive() - before <= 4
    shop.told.all_preferences = {}
    with shop.session(governed)() as session, governed.purpose(tm.ProductProvision):
        assert len(session.scalars(sa.select(Person.note)).all()) == 6


def test_what_tells_which_rows_may_be_used_does_not_flow(other: sa.Engine, guard: Guard) -> None:
    """Also where it is personal itself, as a date of registration is."""

    class Place(DeclarativeBase): ...

    class Member(Place):
        __tablename__ = "members"
        key: Mapped[int] = mapped_column(primary_key=True)
        since: Mapped[Annotated[datetime.date | None, pg.Collected, tm.Contract]]
        name: Mapped[Annotated[str, tm.Registration]]

    Place.metadata.drop_all(other)
    Place.metadata.create_all(other)
    with Session(other) as session:
        session.add(Member(key=1, since=datetime.date(2024, 5, 1), name="a"))
        session.commit()
    protect(other, guard, Place)
    with GuardedSession(other) as session, guard.purpose(tm.ProductProvision):
        session.execute(sa.update(Member).where(Member.name == "a").values(name="b"))
        name = permitted(session, Member, "name").c.name
        assert session.scalars(sa.select(name)).all() == ["b"]
        session.execute(sa.insert(Member).from_select(["name", "key"], sa.select(name, sa.literal(2))))


class Boards(DeclarativeBase): ...


class Board(Boards):
    __tablename__ = "boards"
    id: Mapped[Annotated[int, pg.NotPersonal]] = mapped_column(primary_key=True)
    posts: Mapped[list[Post]] = relationship(lazy="joined", order_by=lambda: Post.id)


class Post(Boards):
    __tablename__ = "posts"
    id: Mapped[Annotated[int, pg.NotPersonal]] = mapped_column(primary_key=True)
    kind: Mapped[Annotated[str, pg.NotPersonal]]
    board_id: Mapped[Annotated[int, pg.NotPersonal]] = mapped_column(sa.ForeignKey("boards.id"))
    author: Mapped[Annotated[int, pg.Subject("customer"), tm.Registration]]
    words: Mapped[Annotated[str, tm.Registration]]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "post"}


class Answer(Post):
    __tablename__ = "answers"
    id: Mapped[Annotated[int, pg.NotPersonal]] = mapped_column(sa.ForeignKey("posts.id"), primary_key=True)
    asker: Mapped[Annotated[int, pg.Subject("customer"), tm.Registration]]
    question: Mapped[Annotated[str, tm.Registration]]
    __mapper_args__ = {"polymorphic_identity": "answer"}


Board.number = column_property(
    sa.select(sa.func.count(Post.words)).where(Post.board_id == Board.id).correlate_except(Post).scalar_subquery()
)


@pytest.fixture
def boards(tmp_path: Any) -> orm.sessionmaker[GuardedSession]:
    """One board: customer 2, who stopped all, wrote a post, and asked what an answer is to."""
    url = f"sqlite:///{tmp_path}/boards.db"
    plain = sa.create_engine(url)
    Boards.metadata.create_all(plain)
    with Session(plain) as session:
        session.add(Board(id=1))
        session.flush()
        session.add_all(Post(id=n, board_id=1, author=n, words=f"w{n}") for n in (1, 2))
        session.add_all(
            Answer(id=n, board_id=1, author=n, words=f"w{n}", asker=asker, question="q")
            for n, asker in ((3, 1), (4, 2))
        )
        session.commit()
    plain.dispose()
    governed = Guard(tm.NOTICE, governance=Told({"customer:2": STOPPED}))
    engine = protect(sa.create_engine(url, poolclass=NullPool), governed, Boards)
    return orm.sessionmaker(engine, class_=GuardedSession, info={"guard": governed})


def test_what_is_counted_for_an_object_is_narrowed_when_it_is_loaded_again(
    boards: orm.sessionmaker[GuardedSession],
) -> None:
    with boards() as session, session.info["guard"].purpose(tm.RenewalGuidance):
        board: Any = session.get_one(Board, 1)
        for again in (lambda: None, lambda: session.refresh(board), lambda: session.expire(board), session.commit):
            again()
            assert (board.number, [post.words for post in board.posts]) == (3, ["w1", "w3", "w4"])


def test_columns_of_a_class_below_are_loaded_later(boards: orm.sessionmaker[GuardedSession]) -> None:
    with boards() as session, session.info["guard"].purpose(tm.RenewalGuidance):
        answer: Any = session.get_one(Post, 3)
        assert answer.question == "q"
        answer.question = "new"
        session.commit()
        assert answer.question == "new"
        other: Any = session.get_one(Post, 4)
        with pytest.raises((KeyError, ObjectDeletedError)):  # whichever SQLAlchemy has for a row that is gone
            _ = other.question
