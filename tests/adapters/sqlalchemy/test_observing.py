"""Observe mode: an application behaves as without the library, and what it reads is reported."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing, suppress
from contextvars import copy_context
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import InvalidRequestError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session, joinedload, selectinload

from purposeguard import Guard, NotPersonal, Personal, PurposeMissing, PurposeViolation
from purposeguard.adapters.sqlalchemy import GuardedSession, permitted, protect
from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation
from purposeguard.runtime.entry_point import EntryPoint
from tests.adapters.sqlalchemy.shop import Customer, Letter, Login, Order, Person, Setting, Shop, Visit, exports
from tests.adapters.sqlalchemy.test_escapes import CORE, ORM, Attempt, customers, people
from tests.support import RecordingLedger, RecordingReads

EMAIL = "customers.email"
UNUSUAL: dict[str, tuple[Attempt, str | None]] = {
    name: (attempt, EMAIL) for name, attempt in CORE.items() if name not in ("another database", "a file")
}
UNUSUAL |= {
    "what an insert returns": (
        lambda c: c.execute(
            sa.insert(exports)
            .values(email=sa.select(sa.func.min(customers.c.email)).scalar_subquery())
            .returning(exports.c.email)
        ),
        EMAIL,
    ),
    "what an update sets": (CORE["what an update sets"], "exports.email"),
    "a sealed column, cast": (CORE["a sealed column, cast"], "customers.phone"),
    "a sealed value, cast": (CORE["a sealed value, cast"], "a sealed value"),
    "a view": (CORE["a view"], EMAIL),
    "a table without tags": (lambda c: c.execute(sa.select(Setting.__table__)), None),
    "an untagged table with a tagged one": (
        lambda c: c.exec_driver_sql("SELECT value, email FROM settings, customers ORDER BY email"),
        EMAIL,
    ),
    "a table that is not there": (lambda c: c.exec_driver_sql("SELECT * FROM nowhere"), EMAIL),
    "no SQL": (lambda c: c.exec_driver_sql("Hello, customers"), EMAIL),
    "a statement that does not end": (lambda c: c.exec_driver_sql("SELECT 'email FROM customers"), EMAIL),
    "nothing": (lambda c: c.exec_driver_sql("  "), EMAIL),
    "a plan": (lambda c: c.exec_driver_sql("EXPLAIN QUERY PLAN SELECT email FROM customers WHERE id = 1"), EMAIL),
    "a plan without costs": (lambda c: c.exec_driver_sql("EXPLAIN (COSTS OFF) SELECT email FROM customers"), EMAIL),
    "a pragma": (lambda c: c.exec_driver_sql("PRAGMA table_info(customers)"), EMAIL),
    "a setting": (lambda c: c.exec_driver_sql("SET search_path TO public"), EMAIL),
    "what is shown": (lambda c: c.exec_driver_sql("SHOW search_path"), EMAIL),
    "an index": (lambda c: c.exec_driver_sql("CREATE INDEX IF NOT EXISTS harmless_index ON customers (email)"), EMAIL),
    "a new column": (lambda c: c.exec_driver_sql("ALTER TABLE customers ADD COLUMN harmless_column INTEGER"), EMAIL),
    "a tagged key": (
        lambda c: c.execute(sa.update(people).where(people.c.email == "p1").values(id=people.c.id + 100)),
        "people.email",
    ),
    "mixed rows": (lambda c: c.execute(sa.select(people.c.note, people.c.day).order_by(people.c.id)), "people.note"),
    "mixed rows in text": (lambda c: c.exec_driver_sql("SELECT max(note) FROM people"), "people.note"),
    "rows for a column of another source": (
        lambda c: c.execute(sa.insert(exports).from_select(["public"], sa.select(people.c.note))),
        "people.note",
    ),
    "a row that breaks a constraint": (
        lambda c: c.execute(sa.insert(people).values(id=1, source="1.1(a)", note="n", email="private", day=None)),
        None,
    ),
    "many rows": (
        lambda c: c.execute(sa.insert(exports).returning(exports.c.email), [{"email": f"x{n}"} for n in range(3)]),
        "exports.email",
    ),
    "a cursor of the driver": (
        lambda c: _fetch(c.connection.cursor(), "SELECT email FROM customers ORDER BY id"),
        EMAIL,
    ),
    "the driver's connection": (
        lambda c: c.connection.driver_connection.execute("SELECT email FROM customers ORDER BY id").fetchall(),  # type: ignore[union-attr]  # It is there.
        EMAIL,
    ),
    "a raw connection": (
        lambda c: _fetch_and_close(c.engine.raw_connection(), "SELECT email FROM customers ORDER BY id"),
        EMAIL,
    ),
    "the pool": (lambda c: _fetch_and_close(c.engine.pool.connect(), "SELECT count(*) FROM customers"), EMAIL),
    "a savepoint in text": (lambda c: c.exec_driver_sql("SAVEPOINT harmless"), EMAIL),
    "a table lock": (lambda c: c.exec_driver_sql("LOCK TABLE customers"), EMAIL),
    "a comment that runs": (
        lambda c: c.exec_driver_sql("SELECT 1 /*! + (SELECT count(email) FROM customers) */"),
        None,
    ),
    "a character that engines read differently": (
        lambda c: c.exec_driver_sql("SELECT email\u00a0FROM customers"),
        EMAIL,
    ),
    "names of the database": (lambda c: sorted(sa.inspect(c).get_table_names()), None),
}
"""Uses that are refused where they are enforced, or unusual, each with a column that the evidence must contain."""


def _fetch(cursor: Any, text: str) -> list[Any]:
    cursor.execute(text)
    return list(cursor.fetchall())


def _fetch_and_close(connection: Any, text: str) -> list[Any]:
    with closing(connection):
        return _fetch(connection.cursor(), text)


def _outcome(attempt: Callable[[Any], Any], target: Any) -> object:
    """Return the rows or the value, or the error of the database with its message."""
    try:
        value = attempt(target)
        if isinstance(value, sa.Result):
            return value.all() if getattr(value, "returns_rows", True) else getattr(value, "rowcount", None)
    except (SQLAlchemyError, TypeError) as error:
        return type(error), str(error)
    return value


@pytest.fixture
def reads() -> RecordingReads:
    return RecordingReads()


@pytest.fixture
def observing(reads: RecordingReads) -> Guard:
    return Guard(tm.NOTICE, mode="observe", observers=[reads])


@pytest.fixture
def engine(shared: Shop, observing: Guard) -> sa.Engine:
    return shared.guarded(observing, not_personal=[])


def _remove_leftovers(shop: Shop) -> None:
    """Remove what statements define, which SQLite does not roll back."""
    with shop.plain.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for text in (
            "DROP VIEW IF EXISTS harmless",
            "DROP TABLE IF EXISTS harmless",
            "DROP INDEX IF EXISTS harmless_index",
            "ALTER TABLE customers DROP COLUMN harmless_column",
        ):
            with suppress(SQLAlchemyError):
                connection.exec_driver_sql(text)


@pytest.mark.parametrize("name", UNUSUAL)
def test_statements_run_as_on_a_bare_engine(
    name: str, shared: Shop, engine: sa.Engine, observing: Guard, reads: RecordingReads
) -> None:
    attempt, column = UNUSUAL[name]

    def run(engine: sa.Engine) -> object:
        with engine.connect() as connection:
            outcome = _outcome(attempt, connection)
            connection.rollback()
        engine.dispose()  # A prepared statement lives as long as its connection.
        _remove_leftovers(shared)
        return outcome

    bare = run(shared.plain)
    assert run(engine) == bare
    if column is not None:
        assert column in reads.evidence
    reads.clear()
    with observing.purpose(tm.TrafficAnalysis, activity="look"):
        assert run(engine) == bare
    if column is not None:
        assert column in reads.evidence


@pytest.mark.parametrize(
    "name", ["text", "several statements", "a tagged key", "a table without tags", "a raw connection"]
)
def test_an_activity_that_enforces_refuses_in_an_observing_guard(
    name: str, engine: sa.Engine, observing: Guard
) -> None:
    with (
        engine.connect() as connection,
        observing.purpose(tm.TrafficAnalysis, mode="enforce"),
        pytest.raises(PurposeGuardError),
    ):
        UNUSUAL[name][0](connection)


@pytest.mark.parametrize("name", ["text", "no SQL", "a table that is not there", "a raw connection"])
def test_what_an_activity_that_enforces_leaves_running_is_refused(
    name: str, engine: sa.Engine, observing: Guard
) -> None:
    with observing.purpose(tm.TrafficAnalysis, mode="enforce"):
        context = copy_context()
    with engine.connect() as connection, pytest.raises(PurposeGuardError):
        context.run(UNUSUAL[name][0], connection)


@pytest.mark.parametrize(
    "name", ["text", "several statements", "a tagged key", "a table without tags", "a raw connection"]
)
def test_an_activity_that_observes_is_not_hindered_in_an_enforcing_guard(name: str, shared: Shop) -> None:
    guard = Guard(tm.NOTICE)
    engine = shared.guarded(guard, not_personal=[])
    with shared.plain.connect() as connection:
        bare = _outcome(UNUSUAL[name][0], connection)
    with engine.connect() as connection:
        with guard.purpose(tm.TrafficAnalysis, mode="observe"):
            assert _outcome(UNUSUAL[name][0], connection) == bare
        connection.rollback()
        with pytest.raises(PurposeGuardError):
            UNUSUAL[name][0](connection)


def _new_objects(session: Session) -> Any:
    session.add_all([Letter(id=900, person_id=1), Login(ip="10.0.0.9", account="bob")])
    session.flush()
    return session.scalars(sa.select(Login.account).order_by(Login.id)).all()


def _changed(session: Session) -> Any:
    customer = session.get_one(Customer, 1)
    customer.email = customer.name + "@example.org"
    session.flush()
    session.expire(customer)
    return customer.email


def _deleted(session: Session) -> Any:
    person = session.get_one(Person, 1)
    for letter in person.letters:
        session.delete(letter)
    session.delete(person)
    session.flush()
    return session.scalar(sa.select(sa.func.count()).select_from(Person))


def _rolled_back(session: Session) -> Any:
    customer = session.get_one(Customer, 1)
    customer.device = "other"
    session.flush()
    session.rollback()
    return customer.device


def _detached(session: Session) -> Any:
    customer = session.get_one(Customer, 1)
    session.expunge(customer)
    return customer.email, customer.device


SESSIONS: dict[str, tuple[Callable[[Session], Any], str]] = {name: (attempt, EMAIL) for name, attempt in ORM.items()}
SESSIONS |= {
    "new objects": (_new_objects, "logins.account"),
    "a changed object": (_changed, "customers.name"),
    "a deleted object": (_deleted, "people.email"),
    "a change that is rolled back": (_rolled_back, "customers.device"),
    "an object without a session": (_detached, "customers.device"),
    "objects with joined ones": (
        lambda s: [
            [order.total for order in customer.orders]
            for customer in s.scalars(sa.select(Customer).options(joinedload(Customer.orders))).unique()
        ],
        "orders.total",
    ),
    "objects with others loaded after": (
        lambda s: [
            [letter.id for letter in person.letters]
            for person in s.scalars(sa.select(Person).options(selectinload(Person.letters)).order_by(Person.id))
        ],
        "people.email",
    ),
    "objects of a class and its subclass": (lambda s: [v.ip for v in s.scalars(sa.select(Visit))], "visits.ip"),
    "an eager load": (ORM["an eager load"], "orders.total"),
    "a lazy load": (ORM["a lazy load"], "orders.total"),
    "a computed attribute": (lambda s: s.get_one(Customer, 1).spent, "orders.total"),  # type: ignore[attr-defined]  # It is added to the class.
    "a hybrid attribute": (lambda s: s.get_one(Customer, 1).address, EMAIL),
    "an association proxy": (lambda s: list(s.get_one(Customer, 1).totals), "orders.total"),
    "objects of rows that are decided": (
        lambda s: [(p.email, p.note) for p in s.scalars(sa.select(Person).order_by(Person.id))],
        "people.note",
    ),
    "objects without tags": (lambda s: s.get_one(Setting, "colour").value, ""),
    "one that is not there": (lambda s: s.get(Person, 99), "people.email"),
    "many objects at once": (lambda s: s.bulk_insert_mappings(Visit, [{"kind": "visit", "ip": "10.1.1.1"}] * 3), ""),
    "the connection of the driver": (
        lambda s: _fetch(s.connection().connection.cursor(), "SELECT email FROM customers ORDER BY id"),
        EMAIL,
    ),
}


def _plain(value: Any) -> Any:
    """Return objects as their class and key, so that those of two sessions can be compared."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    state = sa.inspect(value, raiseerr=False)
    return (type(value), state.identity) if getattr(state, "identity", None) else value


@pytest.mark.parametrize("kind", [GuardedSession, Session])
@pytest.mark.parametrize("name", SESSIONS)
def test_sessions_behave_as_on_a_bare_engine(
    name: str, kind: type[Session], shared: Shop, observing: Guard, reads: RecordingReads
) -> None:
    attempt, column = SESSIONS[name]
    engine = shared.guarded(observing, not_personal=[])
    with Session(shared.plain) as session:
        bare = _plain(_outcome(attempt, session))
    for purpose in (None, tm.TrafficAnalysis):
        reads.clear()
        with kind(engine) as session:
            if purpose is None:
                outcome = _outcome(attempt, session)
            else:
                with observing.purpose(purpose):
                    outcome = _outcome(attempt, session)
            assert _plain(outcome) == bare
        assert column in reads.evidence or not column or name in LOADS_ONLY


LOADS_ONLY = {"an entity", "one by its key", "an eager load", "a refresh", "a merge", "many rows at once"}
LOADS_ONLY |= {"a lazy load", "objects with others loaded after", "a deleted object", "one that is not there"}
"""Uses that load objects and read none of their attributes with the column."""


def test_attributes_are_reported_when_they_are_read_and_under_which_activity(shop: Shop) -> None:
    for mode in ("enforce", "observe"):
        reads = RecordingReads()
        guard = Guard(tm.NOTICE, mode=mode, observers=[reads])  # each of both
        with GuardedSession(shop.guarded(guard)) as session:
            with guard.purpose(tm.ProductProvision, activity="load"):
                customer = session.scalars(sa.select(Customer).where(Customer.name == "n1")).one()
                assert reads.reads == [("customers.name", "load")]
                reads.clear()
                assert customer.plan == "gold"
                assert reads.reads == [("customers.plan", "load")]
                reads.clear()
            with guard.purpose(tm.ProductProvision, activity="show"):
                assert (customer.email, customer.email) == ("e1", "e1")
                assert session.get(Customer, 1) is customer
            assert reads.reads == [(EMAIL, "show")] * 2
            reads.clear()
            session.expunge(customer)
            with guard.purpose(tm.ProductProvision, activity="without a session"):
                assert customer.email == "e1"
            assert reads.reads == [(EMAIL, "without a session")]


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_an_attribute_counts_once_for_all_objects_of_a_use_and_entry_point(
    shared: Shop, mode: Literal["enforce", "observe"]
) -> None:
    reads = RecordingReads()
    guard = Guard(tm.NOTICE, mode=mode, observers=[reads])
    with GuardedSession(shared.guarded(guard, not_personal=[])) as session:

        def read_all() -> list[str]:
            return [customer.email for customer in session.scalars(sa.select(Customer))]

        for _ in range(2):
            reads.clear()
            with guard.purpose(tm.ProductProvision, activity="show"):
                assert len(read_all()) > 1
                read_all()
                assert reads.reads == [(EMAIL, "show")]
                with EntryPoint.route("GET", "/customers"):
                    read_all()
                assert reads.reads == [(EMAIL, "show")] * 2
        with guard.purpose(tm.TrafficAnalysis, mode="enforce"), pytest.raises(PurposeViolation):
            read_all()


def test_columns_that_are_selected_beside_objects_are_reported_at_once(
    shared: Shop, engine: sa.Engine, reads: RecordingReads
) -> None:
    with GuardedSession(engine) as session:
        session.execute(sa.select(Customer, Customer.email, Order.total).join(Order).order_by(Customer.device)).all()
        assert reads.columns == {EMAIL, "orders.total", "customers.device"}
        reads.clear()
        session.execute(sa.select(Customer.name)).all()
        assert reads.columns == {"customers.name"}
        reads.clear()
        session.execute(sa.select(Customer)).all()
        assert reads.columns == set()
    with engine.connect() as connection:
        connection.execute(sa.select(Customer)).all()  # These are rows, and no objects.
    assert {EMAIL, "customers.device"} <= reads.columns


def test_attributes_of_objects_of_plain_sessions_are_reported(
    shared: Shop, engine: sa.Engine, observing: Guard, reads: RecordingReads
) -> None:
    with Session(engine) as session:
        customer = session.scalars(sa.select(Customer).where(Customer.name == "n1")).one()
        assert reads.columns == {"customers.name"}
        reads.clear()
        with observing.purpose(tm.ProductProvision, activity="show"):
            assert customer.email == "e1"
        assert reads.reads == [(EMAIL, "show")]
        session.expunge(customer)
        reads.clear()
        assert customer.plan == "gold"
        assert reads.reads == [("customers.plan", None)]
        reads.clear()
        assert vars(customer)["plan"] == "gold"
        assert {EMAIL, "customers.plan"} <= reads.columns
    reads.clear()
    with Session(shared.plain) as session:  # It is of another engine.
        assert session.get_one(Customer, 1).email == "e1"
    assert not reads.columns


def test_an_attribute_that_is_read_under_another_purpose_is_denied(shop: Shop) -> None:
    ledger = RecordingLedger()
    guard = Guard(tm.NOTICE, mode="observe", ledger=ledger)
    with GuardedSession(shop.guarded(guard)) as session:
        with guard.purpose(tm.ProductProvision):
            customer = session.get_one(Customer, 1)
            assert customer.device == "d1"
        assert not ledger.denials
        statements: list[str] = []
        sa.event.listen(session.get_bind(), "before_cursor_execute", lambda *args: statements.append(args[2]))
        for activity in ("remind", "remind again"):
            with guard.purpose(tm.RenewalGuidance, activity=activity):
                assert (customer.device, customer.device, customer.email) == ("d1", "d1", "e1")
            ((denial, observed),) = ledger.denials
            assert (denial.field, denial.activity, observed) == ("customers.device", activity, True)  # type: ignore[union-attr]  # It is there.
            ledger.denials.clear()
        assert customer.device == "d1"
        assert [type(denial) for denial, _ in ledger.denials] == [PurposeMissing]
        assert not statements  # Nothing was forgotten.
        with guard.purpose(tm.RenewalGuidance, mode="enforce"), pytest.raises(PurposeViolation):
            _ = customer.device


def test_columns_are_not_deferred_in_observe_mode(shop: Shop, observing: Guard) -> None:
    statements: list[str] = []
    with GuardedSession(shop.guarded(observing), defer_denied=True) as session:
        sa.event.listen(session.get_bind(), "before_cursor_execute", lambda *args: statements.append(args[2]))
        with observing.purpose(tm.RenewalGuidance):
            assert session.scalars(sa.select(Customer).order_by(Customer.id)).first().device == "d1"  # type: ignore[union-attr]  # It is there.
    assert len(statements) == 1


def test_an_object_of_another_session_keeps_its_values_and_is_checked(shop: Shop) -> None:
    ledger = RecordingLedger()
    guard = Guard(tm.NOTICE, mode="observe", ledger=ledger)
    engine = shop.guarded(guard)
    with GuardedSession(engine) as session:
        with guard.purpose(tm.ProductProvision):
            customer = session.get_one(Customer, 1)
            session.expunge(customer)
        assert not ledger.denials
        with guard.purpose(tm.RenewalGuidance, activity="remind"), GuardedSession(engine) as other:
            other.add(customer)
            assert vars(customer)["device"] == customer.device == "d1"
    assert {denial.field for denial, _ in ledger.denials if isinstance(denial, PurposeViolation)} == {
        "customers.device"
    }


@pytest.mark.parametrize("joined_within", [True, False])
def test_an_object_that_joins_while_violations_are_observed_is_forgotten_where_they_are_not(
    joined_within: bool, shop: Shop
) -> None:
    guard = Guard(tm.NOTICE, mode="observe", governance=shop.told)
    engine = shop.guarded(guard)
    with GuardedSession(engine) as session, GuardedSession(engine) as other:
        with guard.purpose(tm.ProductProvision, activity="look"):
            person = session.get_one(Person, 2)
            assert person.email == "p2"
            session.expunge(person)
        with guard.purpose(tm.RenewalGuidance, mode="enforce", activity="remind"):
            assert other.get(Person, 2) is None  # This subject stopped renewal guidance.
            if joined_within:
                with guard.purpose(tm.RenewalGuidance, activity="look"):
                    other.add(person)
                with pytest.raises(PurposeGuardError):
                    _ = person.email
        if not joined_within:
            other.add(person)
            with (
                guard.purpose(tm.RenewalGuidance, mode="enforce", activity="remind"),
                pytest.raises(InvalidRequestError),
            ):
                _ = person.email


def test_a_sealed_value_of_another_source_is_written_and_reported(shop: Shop, observing: Guard) -> None:
    reads = RecordingReads()
    observing.engine.add_observer(reads)
    engine = shop.guarded(observing)
    change = sa.update(customers).where(customers.c.id == 1).values(phone=Personal("123", tm.Cookie))
    with engine.begin() as connection:
        connection.execute(change)
    assert "sealed value in a statement" in [event for event, _, _ in reads.unresolved_events]
    with shop.plain.connect() as connection:
        assert connection.exec_driver_sql("SELECT phone FROM customers WHERE id = 1").scalar() == "123"
    with (
        engine.connect() as connection,
        observing.purpose(tm.ProductProvision, mode="enforce"),
        pytest.raises(FlowViolation),
    ):
        connection.execute(change)


def test_rows_that_are_gone_are_looked_for_once(shop: Shop, observing: Guard) -> None:
    with GuardedSession(shop.guarded(observing)) as session:
        person = session.get_one(Person, 1)
        session.execute(sa.delete(Letter))
        session.execute(sa.delete(Person), execution_options={"synchronize_session": False})
        statements: list[str] = []
        sa.event.listen(session.get_bind(), "before_cursor_execute", lambda *args: statements.append(args[2]))
        with pytest.raises(InvalidRequestError, match="Could not refresh"):
            session.refresh(person)
    assert len(statements) == 1


def test_permitted_columns_are_all_columns(shop: Shop, observing: Guard, reads: RecordingReads) -> None:
    engine = shop.guarded(observing, not_personal=[])
    with engine.connect() as connection, observing.purpose(tm.RenewalGuidance):
        for table in (customers, Setting):
            rows = permitted(engine, table)
            assert set(rows.c.keys()) == set(sa.inspect(table).columns.keys())
            assert connection.execute(sa.select(rows)).all()
    assert "customers.device" in reads.columns


def test_errors_and_logs_contain_parameters_as_the_application_has_set_it(shop: Shop, observing: Guard) -> None:
    engine = shop.guarded(observing)
    row = {"id": 1, "source": "1.1(a)", "note": "n", "email": "private", "day": None}
    for each in (engine, engine.execution_options(logging_token="x")):  # noqa: S106  # no password
        with each.connect() as connection:
            with pytest.raises(SQLAlchemyError, match="private"):
                connection.execute(sa.insert(people), row)
            connection.rollback()
            with observing.purpose(tm.RenewalGuidance, mode="enforce"), pytest.raises(SQLAlchemyError) as refused:
                connection.execute(sa.insert(people), row)
            assert "private" not in str(refused.value)


def test_statements_are_compiled_and_analyzed_once(shop: Shop, observing: Guard, reads: RecordingReads) -> None:
    engine = shop.guarded(observing, not_personal=[])
    cache: dict[Any, Any] = {}
    with engine.connect().execution_options(compiled_cache=cache) as connection:
        for _ in range(3):
            connection.execute(sa.select(customers.c.email))
            connection.execute(sa.select(Setting.__table__))
    assert len(cache) == 2
    errors = [error for _, _, error in reads.unresolved_events]
    assert len(errors) == 3
    assert len(set(map(id, errors))) == 1


def test_a_table_whose_tags_cannot_be_read_does_not_hinder_the_others(shop: Shop, reads: RecordingReads) -> None:
    class Own(DeclarativeBase): ...

    sa.Table(
        "customers",
        Own.metadata,
        sa.Column("id", sa.Integer, info={"purposeguard": NotPersonal}),
        sa.Column("email", sa.String, info={"purposeguard": tm.Registration}),
        sa.Column("name", sa.String, sa.Computed("email"), info={}),
    )
    sa.Table("orders", Own.metadata, sa.Column("total", sa.Integer, info={"purposeguard": tm.Contract}))
    guard = Guard(tm.NOTICE, mode="observe", observers=[reads])
    engine = protect(sa.create_engine(shop.url), guard, Own)
    shop.engines.append(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(total) FROM orders").scalar() == 8
        assert reads.columns == {"orders.total"}
        assert connection.exec_driver_sql("SELECT min(name) FROM customers WHERE email <> ''").scalar() == "n1"
        assert EMAIL in reads.columns
        with guard.purpose(tm.RenewalGuidance, mode="enforce"), pytest.raises(UnlabelledData, match="is computed"):
            connection.exec_driver_sql("SELECT count(total) FROM orders")


def test_of_each_kind_of_violation_the_first_is_logged(
    shop: Shop, observing: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    engine = shop.guarded(observing)

    def look() -> None:
        with engine.connect() as connection:
            connection.execute(sa.select(customers.c.device))
            connection.exec_driver_sql("PRAGMA customers")

    with caplog.at_level(logging.WARNING, "purposeguard"):
        for activity in ("one", "one", "two"):
            with observing.purpose(tm.RenewalGuidance, activity=activity), suppress(SQLAlchemyError):
                look()
        for entry_point in ("one", "one", "two"):
            with EntryPoint.job(entry_point), suppress(SQLAlchemyError):
                look()
    assert len(caplog.messages) == 8
