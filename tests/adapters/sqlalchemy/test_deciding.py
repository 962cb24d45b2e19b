"""Statements are decided before the driver gets them, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import column as column_of
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import defer, joinedload, load_only, selectinload

from purposeguard import Guard, Personal
from purposeguard.adapters.sqlalchemy import GuardedSession, protect
from purposeguard.errors import PurposeMissing, UnlabelledData, UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation, PurposeViolation
from tests.adapters.sqlalchemy.shop import Base, Customer, Login, Order, Person, Setting, Shop, Visit, customer, exports
from tests.support import ON_POSTGRESQL

customers: Any = Customer.__table__


def test_a_statement_runs_where_the_purpose_may_use_its_columns(shop: Shop, guard: Guard) -> None:
    make = shop.session(guard)
    with make() as session, guard.purpose(tm.RenewalGuidance):
        assert session.scalars(sa.select(Customer.email).order_by(Customer.id)).all() == ["e1", "e2", "e3", "e4"]
        with pytest.raises(PurposeViolation) as caught:
            session.scalars(sa.select(Customer.email).where(Customer.device == "d1"))
    assert caught.value.field == "customers.device"
    assert caught.value.decision.label is not None


def test_what_is_not_personal_takes_no_purpose(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 4
        assert session.scalars(sa.select(Setting)).one().value == "red"
        assert session.scalars(sa.select(Customer.id)).all()
        with pytest.raises(PurposeMissing):
            session.scalars(sa.select(Customer.email))


def test_the_same_statement_is_decided_for_each_purpose(shop: Shop, guard: Guard) -> None:
    statement = sa.select(Customer.device).order_by(Customer.id)
    with shop.session(guard)() as session:
        for _ in range(2):
            with guard.purpose(tm.ProductImprovement):
                assert session.scalars(statement).all() == ["d1", "d2", "d3", "d4"]
            with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
                session.scalars(statement)
            with pytest.raises(PurposeMissing):
                session.scalars(statement)


def test_what_is_loaded_later_is_decided_later(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session:
        with guard.purpose(tm.RenewalGuidance):
            found = session.scalars(
                sa.select(Customer).options(load_only(Customer.email)).where(Customer.id == 1)
            ).one()
            assert [order.total for order in found.orders] == [10, 11]
            with pytest.raises(PurposeViolation):
                _ = found.device
            session.expire(found, ["email"])
            assert found.email == "e1"
            session.expire(found)
            with pytest.raises(PurposeViolation):  # all that expired is read again at once, `device` as well
                _ = found.email
        with guard.purpose(tm.ProductProvision):
            assert found.device == "d1"
            session.refresh(found)


def test_eager_loads_are_decided_with_what_loads_them(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session, guard.purpose(tm.RenewalGuidance):
        for load in (joinedload, selectinload):
            with pytest.raises(PurposeViolation):
                session.scalars(sa.select(Order).options(load(Order.customer))).all()
            session.expunge_all()
            orders = session.scalars(
                sa.select(Order).options(load(Order.customer).options(defer(Customer.device)))
            ).all()
            assert [order.customer.name for order in orders][:2] == ["n1", "n1"]
            session.expunge_all()


def test_a_session_finds_again_what_the_purpose_may_use(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session:
        with guard.purpose(tm.ProductProvision):
            kept = session.get(Customer, 1)
            assert kept is not None
            assert kept.device == "d1"
        with guard.purpose(tm.RenewalGuidance):
            again = session.get(Customer, 1)
            assert again is kept
            assert again.email == "e1"
            with pytest.raises(PurposeViolation):
                _ = again.device
        assert session.get(Customer, 1) is kept
        with pytest.raises(PurposeMissing):
            _ = kept.email


def test_changes_survive_another_purpose(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session:
        with guard.purpose(tm.ProductProvision):
            kept = session.get_one(Customer, 1)
            kept.name = "new"
        with guard.purpose(tm.RenewalGuidance):
            assert session.get_one(Customer, 1).name == "new"
            session.commit()
        with guard.purpose(tm.ProductProvision):
            assert session.scalar(sa.select(Customer.name).where(Customer.id == 1)) == "new"


def test_collecting_takes_no_purpose(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session:
        session.add(customer(9))
        session.add_all(customer(n) for n in (10, 11))
        session.commit()
        session.execute(sa.insert(Customer), [{"id": 12, "email": "e", "name": "n", "plan": "p", "active": True}])
        session.execute(sa.update(Customer).where(Customer.id == 12).values(email="f"))
        session.execute(sa.update(Customer), [{"id": 12, "email": "g"}])
        session.connection().execute(customers.delete().where(customers.c.id == 12))
        session.commit()
        with pytest.raises(PurposeMissing):
            session.execute(sa.update(Customer).where(Customer.email == "e1").values(name="x"))
        with pytest.raises(PurposeMissing):
            session.execute(sa.insert(exports).returning(exports.c.email), [{"email": "x"}])
        with pytest.raises(PurposeMissing):
            session.execute(sa.update(Customer).values(name=Customer.name + "x"))
        assert session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 7


def test_unit_of_work_uses_the_key_alone(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session:
        session.add(Customer(id=20, email="a", name="b", plan="p", orders=[Order(total=1)]))
        session.add(Login(ip="10.0.0.9", account="bob"))
        session.flush()
        with guard.purpose(tm.ProductProvision):
            found = session.get_one(Customer, 20)
            found.email = "c"
        session.flush()
        session.delete(found.orders[0])
        session.flush()
        session.rollback()


def test_inheritance_is_decided_by_the_tables_of_each_class(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session:
        with guard.purpose(tm.UsageAnalysis):
            assert len(session.scalars(sa.select(Visit.ip)).all()) == 2
            with pytest.raises(PurposeViolation):
                session.scalars(sa.select(Login.account))
            visits = session.scalars(sa.select(Visit).order_by(Visit.id)).all()
            login = visits[1]
            assert isinstance(login, Login)
            with pytest.raises(PurposeViolation):
                _ = login.account
        with guard.purpose(tm.ProductProvision), pytest.raises(PurposeViolation):
            session.scalars(sa.select(Login))


def test_what_flows_into_a_column_is_covered_by_its_tags(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    one = {"mixed": sa.select(customers.c.device).limit(1).scalar_subquery()}
    with engine.begin() as connection, guard.purpose(tm.ProductProvision):
        connection.execute(sa.insert(exports).from_select(["email"], sa.select(customers.c.email)))
        connection.execute(sa.insert(exports).from_select(["mixed"], sa.select(customers.c.email + customers.c.plan)))
        connection.execute(sa.insert(exports).values(one))
        connection.execute(sa.update(exports).values(one))
        connection.execute(
            sa.insert(exports).from_select(["public"], sa.select(sa.func.count()).select_from(customers))
        )
        told = sa.select(sa.cast(customers.c.active, sa.String)).where(customers.c.id == 1)
        connection.execute(sa.insert(exports).from_select(["public"], told))
        connection.execute(sa.update(exports).where(exports.c.id == 1).values(public="x"))
        connection.execute(sa.update(exports).where(exports.c.email == "x").values(email="y"))


def _chosen(query: Any) -> Any:
    return sa.insert(exports).from_select(["public"], query)


WORD = sa.literal("x")
DEVICE, KEY = customers.c.device, customers.c.id
CRASHED = DEVICE == "d1"
THERE = sa.select(WORD).select_from(customers)
CHOSEN: list[Callable[[], Any]] = [
    lambda: _chosen(THERE.order_by(DEVICE).limit(1)),
    lambda: _chosen(sa.select(WORD).where(sa.exists().where(CRASHED))),
    lambda: _chosen(sa.select(WORD).select_from(sa.select(KEY).where(CRASHED).cte())),
    lambda: _chosen(sa.select(WORD).select_from(Customer).join(exports, exports.c.public == Customer.device)),
    lambda: _chosen(sa.select(WORD).union(THERE.where(CRASHED))),
    lambda: sa.update(exports).where(exports.c.id == KEY, CRASHED).values(public="x"),
    lambda: sa.update(exports).values(public=THERE.where(CRASHED).limit(1).scalar_subquery()),
]
"""What chooses rows, or of several the value, flows into what is written as well."""


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        *((statement, {tm.ProductData}) for statement in CHOSEN),
        (lambda: sa.insert(exports).from_select(["email"], sa.select(customers.c.device)), {tm.ProductData}),
        (lambda: sa.insert(exports).from_select(["public"], sa.select(customers.c.email)), {tm.Registration}),
        (lambda: sa.update(exports).values(public=exports.c.email), {tm.Registration}),
        (lambda: sa.update(Customer).values(active=Customer.email == "x"), {tm.Registration}),
        (lambda: sa.update(Customer).values(email=Customer.device), {tm.ProductData}),
        (lambda: sa.update(exports).ordered_values((exports.c.public, exports.c.email)), {tm.Registration}),
    ],
)
def test_what_would_flow_into_a_column_that_does_not_say_so_is_refused(
    statement: Any, missing: set[Any], shop: Shop, guard: Guard
) -> None:
    engine = shop.guarded(guard)
    with engine.connect() as connection, guard.purpose(tm.ProductProvision), pytest.raises(FlowViolation) as caught:
        connection.execute(statement())
    assert missing & caught.value.missing.sources
    assert caught.value.target in {"exports", "customers"}


def test_what_flows_in_an_upsert_is_told(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    into: Any = (sqlite if engine.dialect.name == "sqlite" else postgresql).insert(exports)
    given = into.values(id=1, email="x", public="y")
    with engine.begin() as connection:
        connection.execute(
            given.on_conflict_do_update(
                index_elements=["id"], set_={"email": given.excluded.email, "mixed": given.excluded.email}
            )
        )
        there: Any = into.from_select(["id", "email"], sa.select(customers.c.id, customers.c.email).where(KEY > 0))
        with guard.purpose(tm.ProductProvision), pytest.raises(FlowViolation):
            connection.execute(
                there.on_conflict_do_update(index_elements=["id"], set_={"public": there.excluded.email})
            )
        for email in (exports.c.email, given.excluded.email):  # which nothing but its column says what it is
            with guard.purpose(tm.ProductProvision), pytest.raises(FlowViolation):
                connection.execute(given.on_conflict_do_update(index_elements=["id"], set_={"public": email}))


@pytest.mark.parametrize("dialect", [ON_POSTGRESQL], indirect=True)
def test_writes_within_a_select_are_refused(shop: Shop, guard: Guard) -> None:
    """A common table that changes rows is decided by what it reads, returns and writes, as a statement of its own."""
    engine = shop.guarded(guard)
    removed = exports.delete().where(exports.c.id == 1)
    copied = sa.insert(exports).from_select(["id", "public"], sa.select(customers.c.id + 10, customers.c.email))
    sealed = sa.update(customers).values(phone=Personal("s", tm.Registration)).returning(customers.c.id)
    refused: list[tuple[Any, type[Exception], str]] = [
        (sa.select(removed.returning(exports.c.mixed).cte()), PurposeViolation, "mixed"),
        (sa.select(removed.where(exports.c.mixed == "m").returning(exports.c.id).cte()), PurposeViolation, "mixed"),
        (sa.select(copied.returning(exports.c.id).cte()), FlowViolation, "public"),
        (sa.select(copied.returning(exports.c.public).cte()), FlowViolation, "public"),
        (sa.select(sa.literal(1)).add_cte(copied.cte("unread")), FlowViolation, "public"),
        (sa.select(sealed.cte()), UnresolvedStatement, "change rows"),
        (
            sa.select(sa.select(removed.returning(exports.c.id).cte(nesting=True)).subquery()),
            UnresolvedStatement,
            "before the whole statement",
        ),
    ]
    with engine.connect() as connection:
        with pytest.raises(PurposeMissing):
            connection.execute(sa.select(removed.returning(exports.c.email).cte()))
        with guard.purpose(tm.RenewalGuidance):
            for statement, error, message in refused:
                with pytest.raises(error, match=message):
                    connection.execute(statement)
            assert connection.scalar(sa.select(sa.func.count()).select_from(exports)) == 1  # nothing ran
            written = sa.insert(exports).values(id=2, public="x").returning(exports.c.id)
            assert connection.scalars(sa.select(written.cte())).all() == [2]
            assert connection.scalars(sa.select(removed.returning(exports.c.email).cte())).all() == ["x"]
            assert connection.scalars(sa.select(exports.c.id)).all() == [2]


def test_tables_are_known_by_their_names(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    other = sa.Table("customers", sa.MetaData(), sa.Column("email", sa.String), sa.Column("ID", sa.Integer))
    light = sa.table("customers", column_of("email"), column_of("id"))
    with engine.connect() as connection:
        for one in (other, light):
            assert "email" in one.c
            with pytest.raises(PurposeMissing):
                connection.execute(sa.select(one.c.email))
            with guard.purpose(tm.RenewalGuidance):
                assert len(connection.execute(sa.select(one.c.email)).all()) == 4
        with guard.purpose(tm.RenewalGuidance), pytest.raises(UnresolvedStatement, match=r"customers\.secret"):
            connection.execute(sa.select(sa.table("customers", column_of("secret")).c.secret))
        with pytest.raises(UnlabelledData, match="unknown"):
            connection.execute(sa.select(sa.func.count()).select_from(sa.table("unknown")))


def test_tables_without_tags_are_refused(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard, not_personal=[])
    with engine.connect() as connection:
        for statement in (
            sa.select(Setting.name),
            sa.select(sa.func.count()).select_from(Setting),
            sa.insert(Setting).values(name="a", value="b"),
            sa.delete(Setting),
        ):
            with pytest.raises(UnlabelledData, match="settings"):
                connection.execute(statement)


def test_the_database_may_be_asked_about_itself(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    Base.metadata.create_all(engine)
    looking = sa.inspect(engine)
    assert "customers" in looking.get_table_names()
    assert {one["name"] for one in looking.get_columns("customers")} >= {"email", "device"}
    assert looking.has_table("orders")
    assert looking.get_foreign_keys("orders")
    looking.get_multi_columns()
    sa.MetaData().reflect(engine)
    with engine.begin() as connection, connection.begin_nested():
        connection.execute(sa.select(1))
    extra = sa.Table("extras", sa.MetaData(), sa.Column("id", sa.Integer, sa.Sequence("extras_ids"), primary_key=True))
    extra.drop(engine, checkfirst=True)
    extra.create(engine)
    extra.drop(engine)


@pytest.mark.parametrize("dialect", [ON_POSTGRESQL], indirect=True)
def test_sequences_count_without_a_purpose(shop: Shop, guard: Guard) -> None:
    place = sa.MetaData()
    numbers = sa.Sequence("some_numbers", metadata=place)
    things = sa.Table(
        "things", place, sa.Column("id", sa.Integer, numbers, primary_key=True), sa.Column("a", sa.String)
    )
    shop.guarded(guard, not_personal=[Setting])
    other = protect(sa.create_engine(shop.url), guard, place, not_personal=["things"])
    place.drop_all(other)
    place.create_all(other)
    with other.begin() as connection:
        assert connection.scalar(numbers) == 1
        assert connection.execute(things.insert().values(a="x")).inserted_primary_key == (2,)
    place.drop_all(other)
    other.dispose()


def test_an_error_of_the_database_is_as_ever(shop: Shop, guard: Guard) -> None:
    with shop.session(guard)() as session:
        session.add(Customer(id=1, email="secret@x", name="b", plan="p"))
        with pytest.raises(IntegrityError) as caught:
            session.flush()
    assert "secret@x" not in str(caught.value).split("[SQL")[1]


def test_a_refused_statement_leaves_the_connection_usable(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    with engine.connect() as connection:
        with pytest.raises(PurposeMissing):
            connection.execute(sa.select(customers.c.email))
        assert connection.execute(sa.select(customers.c.id)).all()
        connection.commit()
        with pytest.raises(PurposeMissing):
            connection.execute(sa.select(customers.c.email))
        connection.rollback()
        assert connection.execute(sa.select(customers.c.id)).all()


def test_rows_may_be_streamed(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    streamed = engine.connect().execution_options(stream_results=True, yield_per=2)
    with streamed as connection, guard.purpose(tm.RenewalGuidance):
        assert [row.email for row in connection.execute(sa.select(customers.c.email).order_by(customers.c.id))][
            -1
        ] == "e4"
        with pytest.raises(PurposeViolation):
            connection.execute(sa.select(customers.c.device))


def test_a_listener_that_changes_the_text_is_text(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)

    @sa.event.listens_for(engine, "before_cursor_execute", retval=True)
    def change(*args: Any) -> Any:
        return args[2].replace("active", "email"), args[3]

    with engine.connect() as connection, pytest.raises((UnresolvedStatement, PurposeMissing)):
        connection.execute(sa.select(customers.c.active))


def test_a_listener_that_changes_a_text_that_ran_before_makes_text_of_it(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    statement = sa.select(customers.c.active)
    with engine.connect() as connection:
        before = connection.execute(statement).all()
        assert connection.execute(statement).all() == before

    @sa.event.listens_for(engine, "before_cursor_execute", retval=True)
    def change(*args: Any) -> Any:
        return args[2].replace("active", "email"), args[3]

    with engine.connect() as connection, pytest.raises((UnresolvedStatement, PurposeMissing)):
        connection.execute(statement)


def test_a_statement_that_ran_before_is_decided_for_each_purpose(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    statement = sa.select(customers.c.device)
    with engine.connect() as connection:
        for _ in range(2):
            with guard.purpose(tm.ProductProvision):
                assert len(connection.execute(statement).all()) == 4
                assert len(connection.execute(statement).all()) == 4
            with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
                connection.execute(statement)
            with pytest.raises(PurposeMissing):
                connection.execute(statement)


def test_a_listener_that_changes_an_insert_of_many_rows_makes_text_of_it(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    many = sa.insert(exports).returning(exports.c.id)
    with engine.connect() as connection:
        assert len(connection.execute(many, [{"public": "a"}, {"public": "b"}]).all()) == 2

    @sa.event.listens_for(engine, "before_cursor_execute", retval=True)
    def change(*args: Any) -> Any:
        return "SELECT email, 1 FROM customers", ()

    with engine.connect() as connection, pytest.raises((UnresolvedStatement, PurposeMissing)):
        connection.execute(many, [{"public": "a"}, {"public": "b"}])


def _commenting(engine: sa.Engine, before: str = "", after: str = "") -> list[str]:
    """Puts comments around each statement, as tracers do, and notes what the driver gets."""
    sent: list[str] = []

    @sa.event.listens_for(engine, "before_cursor_execute", retval=True)
    def comment(*args: Any) -> Any:
        return f"{before}{args[2].rstrip()}{after}", args[3]

    @sa.event.listens_for(engine, "after_cursor_execute")
    def note(*args: Any) -> None:
        sent.append(args[2])

    return sent


TRACE = "/*framework='flask%%3A3',traceparent='00-5bd66ef5-01'*/"


@pytest.mark.parametrize("place", [{"before": f"{TRACE} "}, {"after": f" {TRACE}"}], ids=["before", "after"])
def test_a_comment_that_a_listener_adds_changes_nothing(place: dict[str, str], shop: Shop, governed: Guard) -> None:
    engine = shop.guarded(governed)
    sent = _commenting(engine, **place)
    Base.metadata.drop_all(engine, [exports])
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        with suppress(LookupError), connection.begin_nested():
            raise LookupError
        with connection.begin_nested():
            many = sa.insert(exports).returning(exports.c.id)
            assert len(connection.execute(many, [{"public": "a"}, {"public": "b"}]).all()) == 2
    with GuardedSession(engine) as session, governed.purpose(tm.RenewalGuidance):
        session.add(Customer(id=9, email="e9", name="n9", plan="gold", phone=Personal("09", tm.Registration)))
        session.commit()
        aiko = session.scalars(sa.select(Customer).options(load_only(Customer.phone)).where(Customer.id == 9)).one()
        assert governed.use(tm.RenewalGuidance).open(aiko.phone) == "09"  # type: ignore[arg-type]  # it is there
        assert session.scalars(sa.select(Person.email).order_by(Person.id)).all() == ["p3", "p4", "p5", "p6"]
        with pytest.raises(PurposeViolation):
            session.scalars(sa.select(Customer.device)).all()
    assert sum(TRACE in text for text in sent) > 10


@pytest.mark.parametrize(
    "after",
    [
        " /* */ UNION SELECT email FROM customers", " /*! UNION SELECT email FROM customers */",
        " /*M! UNION SELECT email FROM customers */", " /*+ SeqScan(customers) */ /* */", " /* /* */ , */", "/* \n */",
        "; SELECT email FROM customers /* */", " -- ", "\N{NO-BREAK SPACE}/* */",
    ],
)  # fmt: skip
def test_what_is_more_than_one_comment_is_text(after: str, shared: Shop, guard: Guard) -> None:
    engine = shared.guarded(guard)
    watch = engine.dialect.purposeguard  # type: ignore[attr-defined]  # of a guarded one
    assert not watch._is_comment(after)
    assert watch._is_comment(" /* a */ ")


def test_a_driver_puts_no_parameter_into_a_comment(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    _commenting(engine, after=" /* %(param_1)s */")
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":  # whose parameters do not begin so
            assert len(connection.execute(sa.select(customers.c.id, sa.literal(1))).all()) == 4
        else:
            with pytest.raises(UnresolvedStatement):
                connection.execute(sa.select(customers.c.id, sa.literal(1)))


def test_an_engine_is_guarded_once(shop: Shop, guard: Guard) -> None:
    engine: sa.Engine = shop.guarded(guard)
    with pytest.raises(ValueError, match="already"):
        protect(engine, guard, Base)
    with pytest.raises(TypeError, match="where the tables are"):
        protect(shop.plain, guard)
    with pytest.raises(TypeError):
        protect(shop.plain, guard, 7)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        protect(shop.plain, guard, Base, not_personal=[7])


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_names_of_text_are_found_in_any_case(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    upper = sa.Table("CUSTOMERS", sa.MetaData(), sa.Column("EMAIL", sa.String))
    with engine.connect() as connection, pytest.raises(PurposeMissing):
        connection.execute(sa.select(upper.c.EMAIL))


def test_another_schema_does_not_make_another_table(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    harmless = sa.Table("customers", Base.metadata, sa.Column("email", sa.String), schema="harmless")
    try:
        other = sa.create_engine(shop.url)
        shop.engines.append(other)
        protect(other, guard, Base, not_personal=[harmless, Setting])
        translated = other.execution_options(schema_translate_map={"harmless": None})
        with translated.connect() as connection, pytest.raises(UnresolvedStatement, match="schema_translate_map"):
            connection.execute(sa.select(harmless.c.email))
        there = {"sqlite": "main", "postgresql": "public"}[other.dialect.name]
        translated = other.execution_options(schema_translate_map={"harmless": there})
        with translated.connect() as connection, pytest.raises(UnresolvedStatement, match="schema_translate_map"):
            connection.execute(sa.select(harmless.c.email))
        with engine.connect() as connection, pytest.raises(UnlabelledData):
            connection.execute(sa.select(harmless.c.email))
    finally:
        Base.metadata.remove(harmless)


def test_a_schema_does_not_make_one_of_two_tables(guard: Guard) -> None:
    metadata = sa.MetaData()
    one, two = (
        sa.Table("things", metadata, sa.Column("what", sa.String, info={"purposeguard": source}), schema=schema)
        for schema, source in (("one", tm.ProductData), ("two", tm.Registration))
    )
    engine = protect(sa.create_engine("sqlite://"), guard, metadata)
    translated = engine.execution_options(schema_translate_map={"one": "three", "two": "three"})
    for either in (one, two):
        with guard.purpose(tm.RenewalGuidance), translated.connect() as connection, pytest.raises(UnresolvedStatement):
            connection.execute(sa.select(either.c.what))
