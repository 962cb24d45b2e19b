"""Text on a guarded engine is read by the SQL adapter, with the parameters of each driver."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from purposeguard import Guard
from purposeguard.adapters.sql import analyse
from purposeguard.adapters.sqlalchemy import protect
from purposeguard.adapters.sqlalchemy.rows import mark_parameters
from purposeguard.errors import PurposeGuardError, PurposeMissing, UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation, PurposeViolation
from tests.adapters.sqlalchemy.shop import Base, Customer, Person, Setting, Shop


@pytest.fixture
def connection(shop: Shop, guard: Guard) -> Any:
    with shop.guarded(guard).connect() as found:
        yield found


def test_text_is_decided_like_any_other_statement(connection: sa.Connection, guard: Guard) -> None:
    assert connection.scalar(text("SELECT count(*) FROM customers")) == 4
    with pytest.raises(PurposeMissing):
        connection.execute(text("SELECT email FROM customers"))
    with guard.purpose(tm.RenewalGuidance):
        found = connection.execute(text("SELECT email FROM customers WHERE id = :id"), {"id": 2})
        assert found.scalar_one() == "e2"
        with pytest.raises(PurposeViolation) as caught:
            connection.execute(text("SELECT id FROM customers WHERE device LIKE '%d%' AND id > :id"), {"id": 1})
    assert caught.value.field == "customers.device"


def test_parameters_of_the_driver_are_no_columns(connection: sa.Connection, guard: Guard) -> None:
    qmark = connection.dialect.name == "sqlite"
    one = "SELECT email FROM customers WHERE id = ?" if qmark else "SELECT email FROM customers WHERE id = %s"
    with guard.purpose(tm.RenewalGuidance):
        assert connection.exec_driver_sql(one, (3,)).scalar_one() == "e3"
        if not qmark:
            named = "SELECT email FROM customers WHERE id = %(id)s AND name LIKE 'n%%'"
            assert connection.exec_driver_sql(named, {"id": 3}).scalar_one() == "e3"
        many = one.replace("SELECT email FROM customers", "UPDATE customers SET active = active")
        connection.exec_driver_sql(many, [(1,), (2,)])


def test_text_within_a_statement_is_read_with_the_rest_of_it(connection: sa.Connection, guard: Guard) -> None:
    statement: Any = sa.select(Customer.id, sa.literal_column("lower(device)").label("d")).where(text("plan = 'gold'"))
    with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation) as caught:
        connection.execute(statement)
    assert caught.value.field == "customers.device"
    with guard.purpose(tm.ProductProvision):
        assert len(connection.execute(statement).all()) == 4
        assert len(connection.execute(statement.where(Customer.id.in_([1, 2]))).all()) == 2


def test_entities_of_text_are_decided(shop: Shop, guard: Guard) -> None:
    with Session(shop.guarded(guard)) as session, guard.purpose(tm.RenewalGuidance):
        with pytest.raises(PurposeViolation):
            session.scalars(sa.select(Customer).from_statement(text("SELECT * FROM customers"))).all()
        short = text("SELECT id, email FROM customers ORDER BY id").columns(Customer.id, Customer.email)
        assert session.scalars(sa.select(Customer).from_statement(short)).all()[0].email == "e1"


def test_text_is_narrowed(shop: Shop, governed: Guard) -> None:
    with shop.session(governed)() as session, governed.purpose(tm.RenewalGuidance):
        assert sorted(session.scalars(text("SELECT email FROM people"))) == ["p3", "p4", "p5", "p6"]
        some = text("SELECT email FROM people WHERE email LIKE '%' AND id > :low AND id < :high")
        assert session.scalars(some, {"low": 3, "high": 5}).all() == ["p4"]
        within = sa.select(Person.email).where(text("email <> 'p5'"), Person.id.in_([1, 3, 5]))
        assert session.scalars(within).all() == ["p3"]
        assert len(session.execute(text("SELECT id FROM people")).all()) == 6


def test_what_text_writes_is_covered_by_the_tags(connection: sa.Connection, guard: Guard) -> None:
    with guard.purpose(tm.RenewalGuidance):
        connection.execute(text("INSERT INTO exports (email) SELECT email FROM customers"))
        with pytest.raises(FlowViolation):
            connection.execute(text("INSERT INTO exports (public) SELECT email FROM customers"))
        with pytest.raises(FlowViolation):
            connection.execute(text("UPDATE exports SET public = email"))
    connection.execute(text("INSERT INTO exports (email) VALUES (:email)"), {"email": "new"})


@pytest.mark.parametrize(
    "statement",
    [
        "", ";", "SELECT 1; SELECT 2", "SELECT id FROM customers; DROP TABLE customers", "SELECT email FROM nowhere",
        "SELECT * FROM customers", "EXPLAIN ANALYZE SELECT email FROM customers",
        "CREATE TABLE copied AS SELECT * FROM customers", "CREATE VIEW harmless AS SELECT email AS city FROM customers",
        "ALTER TABLE customers RENAME TO harmless", "COPY customers TO STDOUT", "ATTACH DATABASE 'x.db' AS x",
        "DO $$ BEGIN END $$", "PRAGMA writable_schema = 1", "VACUUM INTO 'x.db'", "SELECT load_extension('x')",
        "SELECT pg_read_file('x')", "DELETE FROM customers WHERE email = 'e1' RETURNING device",
    ],
)  # fmt: skip
def test_text_that_cannot_be_told_or_may_not_be_run_is_refused(statement: str, connection: sa.Connection) -> None:
    with pytest.raises(PurposeGuardError):
        connection.exec_driver_sql(statement)


def test_functions_of_the_application_are_told(shop: Shop, guard: Guard) -> None:
    from sqlalchemy import event

    engine = sa.create_engine(shop.url)
    shop.engines.append(engine)
    protect(engine, guard, Base, not_personal=[Setting], functions=["Rot13"])
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda raw, _: raw.create_function("rot13", 1, lambda value: value[::-1]))
    with engine.connect() as connection, guard.purpose(tm.RenewalGuidance):
        if engine.dialect.name == "postgresql":
            with pytest.raises(UnresolvedStatement):
                connection.execute(sa.select(sa.func.unheard_of(Customer.email)))
            return
        for statement in (sa.select(sa.func.rot13(Customer.email)), text("SELECT rot13(email) FROM customers")):
            assert "1e" in connection.scalars(statement).all()
        with pytest.raises(PurposeViolation):
            connection.execute(sa.select(sa.func.rot13(Customer.device)))
        with pytest.raises(UnresolvedStatement):
            connection.execute(sa.select(sa.func.unheard_of(Customer.email)))


def test_text_without_parameters_is_read_as_the_driver_gives_it_on(shop: Shop, guard: Guard) -> None:
    across = "SELECT id FROM customers WHERE name = '%(a' OR device = 'd1' OR name = ')s'"
    with shop.plain.connect().execution_options(no_parameters=True) as plain:
        assert plain.exec_driver_sql(across).all() == [(1,)]  # it compares the device
    engine = shop.guarded(guard)
    with engine.connect().execution_options(no_parameters=True) as connection, guard.purpose(tm.RenewalGuidance):
        for statement in (across, text(across), sa.select(Customer.id).where(text(across.partition("WHERE ")[2]))):
            with pytest.raises((PurposeGuardError, StatementError)):  # SQLAlchemy 2.0 misses a parameter before
                connection.exec_driver_sql(statement) if isinstance(statement, str) else connection.execute(statement)
        # Here `%` is an operator, and begins no parameter.
        modulo = "SELECT id %(CAST(device AS INTEGER))s FROM customers"
        with pytest.raises(PurposeGuardError):
            connection.exec_driver_sql(modulo)
        assert connection.exec_driver_sql("SELECT id FROM customers WHERE email LIKE 'e%' AND id % 3 = 1").all()


@pytest.mark.parametrize("name", ["a'", "a(b)c", "a--", 'a"'])
def test_a_parameter_that_drivers_may_read_in_two_ways_is_refused(shop: Shop, guard: Guard, name: str) -> None:
    with shop.guarded(guard).connect() as connection, guard.purpose(tm.RenewalGuidance):
        with pytest.raises(UnresolvedStatement):
            connection.exec_driver_sql(f"SELECT id FROM customers WHERE id = %({name})s", {name: 1})  # noqa: S608
        if connection.dialect.name == "postgresql":  # SQLite's driver looks for no such parameters
            across = f"SELECT ('%({name})s, ') || email FROM customers WHERE name <> ' FROM customers --'"  # noqa: S608
            with pytest.raises(UnresolvedStatement):
                connection.exec_driver_sql(across, {name: 1})


def test_a_parameter_ends_before_the_word_behind_it(shop: Shop, governed: Guard) -> None:
    with shop.guarded(governed).connect() as connection, governed.purpose(tm.RenewalGuidance):
        qmark = connection.dialect.name == "sqlite"
        with pytest.raises(PurposeViolation):
            connection.exec_driver_sql(f"SELECT {'?' if qmark else '%s'}IS device FROM customers", ("d1",))  # noqa: S608
        if qmark:
            found = connection.exec_driver_sql("SELECT?,email FROM people WHERE?AND id=?ORDER BY id", (7, 1, 4))
            assert found.all() == [(7, "p4")]


@pytest.mark.parametrize("statement", ["SELECT ?2, email FROM people WHERE id > ?1", "SELECT ?1 FROM settings"])
def test_a_parameter_with_a_number_is_refused(shop: Shop, governed: Guard, statement: str) -> None:
    # Beside parameters for keys of subjects it would mean another value.
    with (
        shop.guarded(governed).connect() as connection,
        governed.purpose(tm.RenewalGuidance),
        pytest.raises(PurposeGuardError),
    ):
        connection.exec_driver_sql(statement, (0, "[]")[: statement.count("?")])


@pytest.mark.parametrize(
    "statement", ["SELECT ' {} ' FROM settings", "SELECT id /* {} */ FROM people", 'SELECT 1 AS "{}"']
)
def test_a_parameter_in_quotes_is_refused(shop: Shop, guard: Guard, statement: str) -> None:
    with shop.guarded(guard).connect() as connection:
        if connection.dialect.name == "postgresql":  # SQLite's driver looks for none there
            with pytest.raises(UnresolvedStatement):
                connection.exec_driver_sql(statement.format("%s"), ("x",))
            return
        connection.exec_driver_sql(statement.format("?"))
        with pytest.raises(UnresolvedStatement):
            connection.exec_driver_sql("SELECT ?, 'not closed", ("x",))


@pytest.mark.parametrize("begin", [":", "@", "$"])
def test_text_with_named_parameters_of_sqlite_is_narrowed(shop: Shop, governed: Guard, begin: str) -> None:
    with shop.guarded(governed).connect() as connection, governed.purpose(tm.RenewalGuidance):
        if connection.dialect.name == "sqlite":
            some = f"SELECT email FROM people WHERE id <= {begin}high"  # noqa: S608
            assert connection.exec_driver_sql(some, {"high": 4}).scalars().all() == ["p3", "p4"]


@pytest.mark.parametrize(
    ("dialect", "paramstyle", "parameter"),
    [("sqlite", "qmark", "?"), ("postgres", "format", "%s"), ("mysql", "format", "%s"), ("mysql", "pyformat", "%(x)s")],
)
def test_parameters_are_no_columns_in_any_dialect(dialect: str, paramstyle: str, parameter: str) -> None:
    text = f"SELECT a FROM t WHERE b = {parameter} AND {parameter} < a"  # noqa: S608
    read = analyse(mark_parameters(text, dialect, paramstyle).text, {"t": ["a", "b", "c"]}, dialect)
    assert read.used == {"t": {"a", "b"}}


@pytest.mark.parametrize("name", ["if", "values", "describe", "any", "fetch", "insert", "current_user"])
def test_a_name_that_is_a_word_to_the_parser_is_a_name(shop: Shop, guard: Guard, name: str) -> None:
    table = sa.Table(name, sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column(name, sa.String(9)))
    protected = protect(sa.create_engine(shop.url), guard, table.metadata, not_personal=[table])
    shop.engines.append(protected)
    table.metadata.create_all(protected)
    with protected.begin() as connection:
        connection.execute(table.insert().values({"id": 1, name: "x"}))
        connection.execute(table.update().values({name: "y"}).where(table.c[name] == "x"))
        assert connection.execute(sa.select(table.c[name]).order_by(table.c[name])).all() == [("y",)]
    table.metadata.drop_all(protected)


def test_statements_that_read_nothing_pass_where_they_are_named(shop: Shop, guard: Guard) -> None:
    sqlite = shop.url.startswith("sqlite")
    explained = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "
    explained += "SELECT id FROM customers WHERE "
    setting = "PRAGMA cache_size = -4000" if sqlite else "SET LOCAL statement_timeout = 60000"
    engine = protect(
        sa.create_engine(shop.url),
        guard,
        Base,
        passes=["PRAGMA cache_size", "SET LOCAL", "EXPLAIN", "EXPLAIN QUERY PLAN"],
    )
    with engine.connect() as connection:
        connection.execute(text(setting))
        with pytest.raises(UnresolvedStatement, match="passes="):
            connection.execute(text("PRAGMA secure_delete = ON" if sqlite else "SET SESSION search_path = x"))
        connection.execute(text(explained + "id = 1"))
        with pytest.raises(PurposeMissing):
            connection.execute(text(explained + "email = :email"), {"email": "e"})
        with guard.purpose(tm.RenewalGuidance):
            plan = connection.execute(text(explained + "email = :email"), {"email": "e"})
            assert plan.all()
            with pytest.raises(PurposeViolation):
                connection.execute(text(explained + "device = 'd'"))
    engine.dispose()
    with pytest.raises(ValueError, match="cannot pass"):
        protect(sa.create_engine(shop.url), guard, Base, passes=["SELECT"])
    with pytest.raises(TypeError, match="several"):
        protect(sa.create_engine(shop.url), guard, Base, passes="VACUUM")


def test_what_is_explained_leaves_no_row_out(shop: Shop, governed: Guard) -> None:
    engine = protect(sa.create_engine(shop.url), governed, Base, passes=["EXPLAIN"])
    with engine.connect() as connection, governed.purpose(tm.RenewalGuidance):
        assert connection.execute(text("SELECT email FROM people")).all()
        with pytest.raises(UnresolvedStatement, match="a plan would tell of them"):
            connection.execute(text("EXPLAIN SELECT email FROM people"))
    engine.dispose()


def test_the_default_schema_may_be_named(connection: sa.Connection, guard: Guard) -> None:
    schema = "main" if connection.dialect.name == "sqlite" else "public"
    with guard.purpose(tm.RenewalGuidance):
        query = "SELECT S.customers.email FROM S.customers WHERE id = 2".replace("S.", f"{schema}.")
        found = connection.execute(text(query))
        assert found.scalar_one() == "e2"
        with pytest.raises(PurposeViolation):
            connection.execute(text(query.replace("email", "device")))


def test_a_backslash_escapes_in_like(connection: sa.Connection, guard: Guard) -> None:
    with guard.purpose(tm.RenewalGuidance):
        like = sa.select(Customer.id).where(
            Customer.email.like("%\\_%", escape="\\"), Customer.name.like("n2", escape="\\")
        )
        assert connection.execute(like).all() == []
        assert connection.execute(sa.select(Customer.id).where(Customer.name.like("n2", escape="\\"))).scalar_one() == 2


def test_a_text_in_double_quotes_may_be_a_column_that_is_not_mapped(connection: sa.Connection, guard: Guard) -> None:
    with guard.purpose(tm.RenewalGuidance), pytest.raises(UnresolvedStatement, match="`secret` is no column"):
        connection.execute(text('SELECT "secret" FROM customers'))
