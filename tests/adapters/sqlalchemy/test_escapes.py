"""Ways to personal data round a guarded engine: each is blocked, or is a limit that the documentation names.

All are tried outside any purpose; those that need one, under a purpose that may not use what they are after.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import column as column_of
from sqlalchemy.exc import ObjectNotExecutableError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, aliased, load_only, selectinload
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import UserDefinedType

from purposeguard import Guard, Label, Personal
from purposeguard.adapters.sqlalchemy import GuardedSession, SealedType, permitted, protect
from purposeguard.errors import PurposeGuardError, PurposeMissing, UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.sqlalchemy.shop import Base, Customer, Letter, Order, Person, Setting, Shop, customer, exports

customers: Any = Customer.__table__
people: Any = Person.__table__
Attempt = Callable[[sa.Connection], Any]


class Raw(ColumnElement[Any]):
    inherit_cache = True
    type = sa.String()


@compiles(Raw)
def _raw(element: Raw, compiler: Any, **kw: Any) -> str:
    return "(SELECT max(email) FROM customers)"


class Sneaky(UserDefinedType[Any]):
    cache_ok = True

    def get_col_spec(self, **kw: Any) -> str:
        return "VARCHAR), (SELECT max(email) FROM customers"


def _rewritten(connection: sa.Connection) -> Any:
    @sa.event.listens_for(connection, "before_cursor_execute", retval=True)
    def rewrite(*args: Any) -> Any:
        return "SELECT email FROM customers", args[3]

    return connection.execute(sa.select(sa.literal(1)))


def _listening(connection: sa.Connection) -> Any:
    @sa.event.listens_for(connection, "before_execute", retval=True)
    def other(*args: Any) -> Any:
        return sa.select(customers.c.email), args[2], args[3]

    return connection.execute(sa.select(sa.literal(1)))


CORE: dict[str, Attempt] = {
    "a column": lambda c: c.execute(sa.select(customers.c.email)),
    "an alias": lambda c: c.execute(sa.select(customers.alias("innocent").c.email)),
    "a subquery under another name": lambda c: c.execute(
        sa.select(sa.select(customers.c.email.label("city")).subquery("places").c.city)
    ),
    "a common table expression": lambda c: c.execute(sa.select(sa.select(customers.c.email.label("x")).cte("y").c.x)),
    "a union with what is not personal": lambda c: c.execute(
        sa.union_all(sa.select(sa.literal("a")), sa.select(customers.c.email))
    ),
    "a condition that guesses": lambda c: c.execute(sa.select(customers.c.id).where(customers.c.email.like("e1%"))),
    "an order that tells": lambda c: c.execute(sa.select(customers.c.id).order_by(customers.c.email)),
    "a JSON function": lambda c: c.execute(sa.select(sa.func.json_array(customers.c.email))),
    "the row as JSON": lambda c: c.execute(sa.select(sa.func.row_to_json(customers.table_valued()))),
    "an aggregate": lambda c: c.execute(sa.select(sa.func.max(customers.c.email))),
    "text": lambda c: c.execute(sa.text("SELECT email FROM customers")),
    "the driver's SQL": lambda c: c.exec_driver_sql("SELECT email FROM customers"),
    "text with a comment": lambda c: c.exec_driver_sql("SELECT id /* , */ , email FROM customers -- x"),
    "several statements": lambda c: c.exec_driver_sql("SELECT 1; SELECT email FROM customers"),
    "text in columns": lambda c: c.execute(sa.select(sa.literal_column("email")).select_from(customers)),
    "a star": lambda c: c.execute(sa.select(sa.literal_column("*")).select_from(customers)),
    "text in the place of a column": lambda c: c.execute(sa.select(sa.text("email")).select_from(customers)),
    "text in an order": lambda c: c.execute(sa.select(customers.c.id).order_by(sa.text("email"))),
    "text in a condition": lambda c: c.execute(sa.select(customers.c.id).where(sa.text("email LIKE 'e%'"))),
    "text before the columns": lambda c: c.execute(sa.select(customers.c.id).prefix_with("email,")),
    "text after all": lambda c: c.execute(sa.select(customers.c.id).suffix_with("ORDER BY email")),
    "text that is given columns": lambda c: c.execute(
        sa.text("SELECT email FROM customers").columns(column_of("email"))
    ),
    "text in a subquery": lambda c: c.execute(
        sa.select(sa.text("SELECT email AS a FROM customers").columns(column_of("a")).subquery().c.a)
    ),
    "a column of no table": lambda c: c.execute(sa.select(column_of("email")).select_from(customers)),
    "a table by its name": lambda c: c.execute(sa.select(sa.table("customers", column_of("email")).c.email)),
    "another table of the same name": lambda c: c.execute(
        sa.select(sa.Table("customers", sa.MetaData(), sa.Column("email", sa.String)).c.email)
    ),
    "a table that is read from the database": lambda c: c.execute(
        sa.select(sa.Table("customers", sa.MetaData(), autoload_with=c).c.email)
    ),
    "an operator that is text": lambda c: c.execute(
        sa.select(customers.c.id.op("+ (SELECT count(*) FROM customers WHERE email = 'e1') +")(1))
    ),
    "an element of one's own": lambda c: c.execute(sa.select(Raw())),
    "a type of one's own": lambda c: c.execute(sa.select(sa.cast(sa.literal("x"), Sneaky()))),
    "a function that runs text": lambda c: c.execute(
        sa.select(sa.func.query_to_xml("SELECT email FROM customers", True, True, ""))
    ),
    "a function that reads a table by its name": lambda c: c.execute(
        sa.select(sa.func.table_to_xml("customers", True, True, ""))
    ),
    "a function of the database's own": lambda c: c.execute(sa.select(sa.func.my_secrets())),
    "a function in the place of a table": lambda c: c.execute(
        sa.select(sa.func.all_customers().table_valued("email").c.email)
    ),
    "a name that is taken apart": lambda c: c.execute(sa.select(getattr(sa.func, "max(email) FROM customers --")())),
    "where names are looked up": lambda c: c.execute(sa.select(sa.func.set_config("search_path", "x", False))),
    "a view": lambda c: c.execute(sa.DDL("CREATE VIEW harmless AS SELECT email FROM customers")),
    "a view in text": lambda c: c.exec_driver_sql("CREATE VIEW harmless AS SELECT email FROM customers"),
    "a copy of a table": lambda c: c.exec_driver_sql("CREATE TABLE harmless AS SELECT * FROM customers"),
    "another database": lambda c: c.exec_driver_sql("ATTACH DATABASE '/tmp/other.db' AS other"),
    "a file": lambda c: c.exec_driver_sql("COPY customers TO '/tmp/customers.csv'"),
    "a procedure": lambda c: c.exec_driver_sql("DO $$ BEGIN PERFORM email FROM customers; END $$"),
    "a statement that is prepared": lambda c: c.exec_driver_sql("PREPARE p AS SELECT email FROM customers"),
    "a statement that another event makes of it": _listening,
    "a text that another event makes of it": _rewritten,
    "what is inserted from a select": lambda c: c.execute(
        sa.insert(exports).from_select(["public"], sa.select(customers.c.email))
    ),
    "what an insert returns": lambda c: c.execute(
        sa.insert(exports).values(email=sa.select(customers.c.email).limit(1).scalar_subquery()).returning(exports.c.id)
    ),
    "what an update sets": lambda c: c.execute(sa.update(exports).values(public=exports.c.email)),
    "what a delete returns": lambda c: c.execute(customers.delete().returning(customers.c.email)),
    "a sealed column, cast": lambda c: c.execute(sa.select(sa.cast(customers.c.phone, sa.String))),
    "a sealed value, cast": lambda c: c.execute(
        sa.select(
            sa.cast(
                sa.bindparam("x", Personal("a", tm.Registration), type_=SealedType(sa.String, Label(tm.Registration))),
                sa.String,
            )
        )
    ),
    "options of the connection": lambda c: c.execution_options(
        compiled_cache=None, stream_results=True, no_parameters=True
    ).execute(sa.select(customers.c.email)),
}


@pytest.mark.parametrize("name", CORE)
def test_a_statement_does_not_get_round_the_guard(name: str, shared: Shop, guard: Guard) -> None:
    engine = shared.guarded(guard)
    for purpose in (None, tm.TrafficAnalysis):
        around = nullcontext() if purpose is None else guard.purpose(purpose)
        with engine.connect() as connection, around, pytest.raises(PurposeGuardError):
            CORE[name](connection)


LETTER: Any = Letter.__table__
GREATEST: Any = sa.select(sa.func.max(customers.c.email)).having(customers.c.id == 1)
BARE: dict[str, Any] = {
    "a condition of a group": sa.select(sa.exists(GREATEST)),
    "an order": sa.select(
        sa.select(customers.c.active, sa.func.max(customers.c.email).label("x"))
        .group_by(customers.c.active)
        .order_by(customers.c.id)
        .limit(1)
        .subquery()
        .c.active
    ),
    "a common table expression": sa.select(sa.func.count()).select_from(GREATEST.cte("w")),
    "a condition of a write": LETTER.delete().where(sa.exists(GREATEST)),
    "objects": sa.select(Letter).where(sa.exists(GREATEST)),
}
"""Statements of SQLite that take values from the row with the greatest address, and do not use that itself."""


@pytest.mark.parametrize("name", BARE)
def test_whose_value_is_greatest_is_not_told_on_sqlite(name: str, tmp_path: Path, guard: Guard) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    shop = Shop(sa.create_engine(url), url)
    shop.fill()
    with shop.guarded(guard).connect() as connection, pytest.raises(PurposeMissing):
        connection.execute(BARE[name])
    shop.close()


def test_a_statement_that_was_compiled_elsewhere_is_not_executed(shop: Shop, guard: Guard) -> None:
    compiled: Any = sa.select(customers.c.email).compile(sa.create_engine("sqlite://"))
    with shop.guarded(guard).connect() as connection, pytest.raises((PurposeGuardError, ObjectNotExecutableError)):
        connection.execute(compiled)


def test_statements_of_another_engine_in_a_shared_cache_are_read_as_text(shop: Shop, guard: Guard) -> None:
    shared: dict[Any, Any] = {}
    statement = sa.select(customers.c.email)
    with shop.plain.connect().execution_options(compiled_cache=shared) as connection:
        connection.execute(statement)
    other = shop.guarded(guard).connect().execution_options(compiled_cache=shared)
    with other as connection, pytest.raises(PurposeGuardError):
        connection.execute(statement)


if hasattr(sa.schema, "CreateView"):  # SQLAlchemy 2.1 has them

    def test_views_and_tables_made_of_a_select_are_read(shop: Shop, guard: Guard) -> None:
        made: Any = sa.schema
        for statement in (
            made.CreateView(sa.select(customers.c.email), "harmless"),
            made.CreateTableAs(sa.select(customers.c.email), "harmless"),
        ):
            with shop.guarded(guard).connect() as connection, pytest.raises(PurposeGuardError):
                connection.execute(statement)


def test_statements_on_options_of_an_engine_are_decided(shop: Shop, guard: Guard) -> None:
    other = shop.guarded(guard).execution_options(isolation_level="SERIALIZABLE")
    with other.connect() as connection, pytest.raises(PurposeGuardError):
        connection.execute(sa.select(customers.c.email))
    with other.connect() as connection, pytest.raises(UnresolvedStatement):
        _ = connection.connection
    with pytest.raises(UnresolvedStatement):
        other.raw_connection()


def test_engines_that_share_a_pool_with_a_guarded_one_are_not_used(shop: Shop, guard: Guard) -> None:
    engine = sa.create_engine(shop.url)
    before = engine.execution_options(isolation_level="SERIALIZABLE")
    protect(engine, guard, Base, not_personal=[Setting])
    for ask in (before.raw_connection, before.connect):
        with pytest.raises(UnresolvedStatement, match="execution_options"):
            ask()
    engine.dispose()


def test_the_drivers_connection_is_not_given_out(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    with pytest.raises(UnresolvedStatement):
        engine.raw_connection()
    with pytest.raises(UnresolvedStatement):
        engine.pool.connect()
    with pytest.raises(UnresolvedStatement):
        engine.pool.recreate().connect()
    with engine.connect() as connection:
        with pytest.raises(UnresolvedStatement):
            _ = connection.connection
        with pytest.raises(UnresolvedStatement):
            _ = connection.connection.driver_connection
        with pytest.raises(UnresolvedStatement):
            connection.engine.raw_connection()
    engine.dispose()
    with pytest.raises(UnresolvedStatement):
        engine.pool.connect()
    with GuardedSession(engine) as session:
        with pytest.raises(UnresolvedStatement):
            _ = session.connection().connection
        bind: Any = session.get_bind()
        with pytest.raises(UnresolvedStatement):
            bind.raw_connection()


def _read_again(session: Session) -> Any:
    found = customer(70)
    session.add(found)
    session.flush()
    session.expire(found)
    return found.email


ORM: dict[str, Callable[[Session], Any]] = {
    "an entity": lambda s: s.scalars(sa.select(Customer)).all(),
    "the old way of asking": lambda s: s.query(Customer.email).all(),
    "an entity of text": lambda s: s.scalars(
        sa.select(Customer).from_statement(sa.text("SELECT * FROM customers"))
    ).all(),
    "an alias": lambda s: s.scalars(sa.select(aliased(Customer).email)).all(),
    "one by its key": lambda s: s.get(Customer, 1),
    "a condition": lambda s: s.scalars(sa.select(Customer.id).filter_by(email="e1")).all(),
    "a relationship": lambda s: s.scalars(sa.select(Order.id).where(Order.customer.has(email="e1"))).all(),
    "an eager load": lambda s: s.scalars(
        sa.select(Customer).options(load_only(Customer.id), selectinload(Customer.orders))
    ).all(),
    "a lazy load": lambda s: s.scalars(sa.select(Customer).options(load_only(Customer.id))).first().orders,  # type: ignore[union-attr]
    "a deferred column": lambda s: s.scalars(sa.select(Customer).options(load_only(Customer.id))).first().email,  # type: ignore[union-attr]
    "a refresh": lambda s: s.refresh(s.scalars(sa.select(Customer).options(load_only(Customer.id))).first(), ["email"]),
    "a new object, read again": _read_again,
    "text": lambda s: s.execute(sa.text("SELECT email FROM customers")).all(),
    "a bulk update": lambda s: s.execute(sa.update(Customer).where(Customer.email == "e1").values(active=False)),
    "an update that fetches": lambda s: s.execute(
        sa.update(Customer).values(active=False).returning(Customer.email),
        execution_options={"synchronize_session": "fetch"},
    ).all(),
    "a merge": lambda s: s.merge(Customer(id=1, active=False)),
    "many rows at once": lambda s: list(s.scalars(sa.select(Customer), execution_options={"yield_per": 1})),
}


@pytest.mark.parametrize("name", ORM)
def test_a_session_does_not_get_round_the_guard(name: str, shared: Shop, guard: Guard) -> None:
    with shared.session(guard)() as session, pytest.raises(PurposeGuardError):
        ORM[name](session)
    with Session(shared.guarded(guard)) as session, guard.purpose(tm.TrafficAnalysis), pytest.raises(PurposeGuardError):
        ORM[name](session)


def test_rows_do_not_come_by_another_way(shop: Shop, governed: Guard) -> None:
    engine = shop.guarded(governed)
    make = shop.session(governed)
    other = people.alias()
    with governed.purpose(tm.ProductProvision):
        rows = permitted(engine, people, "email", "id")  # of another purpose
    with engine.connect() as connection, governed.purpose(tm.RenewalGuidance):
        for statement in (
            sa.select(other.c.email, rows.c.id).where(other.c.id == rows.c.id),
            sa.select(other.c.email).select_from(other.outerjoin(rows, other.c.id == rows.c.id)),
            sa.select(rows.c.email),
            sa.text("SELECT email FROM people"),
            sa.text("SELECT email FROM (SELECT * FROM people) AS people WHERE 1 = 1 OR id = 1"),
        ):
            assert len(connection.execute(statement).all()) == 4
    with make() as session, governed.purpose(tm.RenewalGuidance):

        @sa.event.listens_for(session, "do_orm_execute")
        def strip(state: Any) -> None:
            state.statement = sa.select(Person.email)

        assert len(session.scalars(sa.select(Person.id)).all()) == 4


def test_sessions_bound_elsewhere_are_refused_there(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    with GuardedSession(binds={Customer: shop.plain, Order: engine}) as session, pytest.raises(UnresolvedStatement):
        session.scalars(sa.select(Customer.email))
    with GuardedSession(engine, binds={Customer: shop.plain}) as session, pytest.raises(UnresolvedStatement):
        session.scalars(sa.select(Customer.email))
    with GuardedSession(engine) as session, pytest.raises(UnresolvedStatement):
        session.scalars(sa.select(Customer.email), bind_arguments={"bind": shop.plain})


def _asking_on(connection: sa.Connection, *_: Any) -> None:
    connection.execute(sa.select(customers.c.email))


def _asking_in_text(connection: sa.Connection, *_: Any) -> None:
    connection.exec_driver_sql("SELECT email FROM customers")


def _asking_elsewhere(connection: sa.Connection, *_: Any) -> None:
    with connection.engine.connect() as other:
        other.scalars(sa.select(customers.c.email)).all()


def _asking_by_a_session(connection: sa.Connection, *_: Any) -> None:
    with GuardedSession(connection.engine) as session:
        session.scalars(sa.select(Customer.email)).all()


ASKING: dict[str, Callable[..., Any]] = {
    "a statement": _asking_on,
    "a text": _asking_in_text,
    "a statement on another connection": _asking_elsewhere,
    "a statement of a session": _asking_by_a_session,
}
LOOKS: dict[str, Callable[[sa.Engine], Any]] = {
    "tables": lambda engine: sa.MetaData().reflect(engine),
    "names": lambda engine: sa.inspect(engine).get_table_names(),
}


@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("looked", LOOKS)
def test_a_listener_does_not_ask_while_the_database_is_looked_at(
    asking: str, looked: str, shared: Shop, guard: Guard
) -> None:
    for name in ("before_cursor_execute", "after_cursor_execute"):
        engine = shared.guarded(guard)
        LOOKS[looked](engine)
        busy = False

        def listen(*args: Any) -> None:
            nonlocal busy
            if not busy:  # of its own statement
                busy = True
                ASKING[asking](*args)
                busy = False

        sa.event.listen(engine, name, listen)
        with pytest.raises(PurposeGuardError):
            LOOKS[looked](engine)


def test_nothing_takes_the_place_of_how_the_database_is_looked_at(shared: Shop, guard: Guard) -> None:
    engine = shared.guarded(guard)
    sa.event.listen(
        engine, "before_cursor_execute", lambda *args: ("SELECT email FROM customers", ()), retval=True, named=False
    )
    with pytest.raises(PurposeGuardError):
        sa.inspect(engine).get_table_names()
    if engine.dialect.name == "postgresql":  # SQLite is looked at by texts alone, of which this is not told
        other = shared.guarded(guard)
        instead = sa.select(customers.c.email.label("relname"))
        sa.event.listen(other, "before_execute", lambda *args: (instead, [], {}), retval=True)
        with pytest.raises(PurposeGuardError):
            sa.inspect(other).get_table_names()


def test_limit_a_result_has_the_drivers_cursor(shop: Shop, guard: Guard) -> None:
    with shop.guarded(guard).connect() as connection:
        found: Any = connection.execute(sa.select(customers.c.id))
        found.cursor.execute("SELECT email FROM customers")
        assert len(found.cursor.fetchall()) == 4


def test_limit_another_engine_is_another_engine(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    other = sa.create_engine(engine.url)
    with other.connect() as connection:
        assert connection.execute(sa.select(customers.c.email)).all()
    other.dispose()


def test_limit_listeners_of_the_pool_get_the_drivers_connection(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    seen: list[Any] = []
    sa.event.listen(engine, "checkout", lambda connection, *_: seen.append(connection))
    with engine.connect():
        cursor = seen[0].cursor()
        cursor.execute("SELECT email FROM customers")
        assert len(cursor.fetchall()) == 4


def test_limit_what_has_begun_to_be_read_is_read(shop: Shop, guard: Guard) -> None:
    with shop.guarded(guard).connect() as connection:
        with guard.purpose(tm.RenewalGuidance):
            found = connection.execution_options(yield_per=1).execute(sa.select(customers.c.email))
        assert len(found.all()) == 4
