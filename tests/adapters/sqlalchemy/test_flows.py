"""What decides which rows are written, and what flows into them, wherever in a statement it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    cast,
    create_engine,
    func,
    insert,
    literal,
    select,
    update,
    values,
)
from sqlalchemy import column as column_of
from sqlalchemy import literal_column as literally
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, with_loader_criteria
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql import ClauseElement, Executable
from sqlalchemy.sql.elements import ColumnElement, quoted_name

from purposeguard import Guard, Personal
from purposeguard.adapters.sqlalchemy import GuardedSession, SealedType, checks, protect
from purposeguard.errors import PurposeMissing, UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation
from tests.adapters.sqlalchemy.shop import Customer, Order, Shop, exports

customers: Any = Customer.__table__
DEVICE, KEY = customers.c.device, customers.c.id
WORD = literal("x")
CRASHED = select(KEY).where(DEVICE == "d1")


def _put(query: Any, *names: str) -> Any:
    return insert(exports).from_select(list(names) or ["public"], query)


def _update_from(one: Any, value: Any = "x") -> Any:
    return update(exports).where(exports.c.id == one.c.id).values(public=value)


def _upsert(query: Any, set_: Any, *names: str) -> Callable[[Any], Any]:
    def made(dialect: Any) -> Any:
        into = dialect.insert(exports).from_select(list(names), query)
        return into.on_conflict_do_update(index_elements=["id"], set_=set_)

    return made


SHARED: dict[str, Any] = {
    "an UPDATE from a subquery": _update_from(CRASHED.subquery()),
    "an UPDATE from a common table expression": _update_from(CRASHED.cte()),
    "a join by a relationship that is told more": _put(
        select(WORD).select_from(Order).join(Order.customer.and_(Customer.device == "d1"))
    ),
    "a column by its place": _put(select(DEVICE, WORD).order_by(literally("1")).limit(1), "mixed", "public"),
    "a column by its name": _put(select(DEVICE.label("d"), WORD).order_by("d").limit(1), "mixed", "public"),
    "a column of a UNION by its place": _put(
        select(DEVICE, WORD).union_all(select(DEVICE, WORD)).order_by(literally("1")).limit(1), "mixed", "public"
    ),
}
"""Statements that write to a column without a tag, each by what the telemetry of a customer says."""


@pytest.mark.parametrize("name", SHARED)
def test_what_decides_counts_wherever_it_stands(name: str, shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    with engine.connect() as connection, guard.purpose(tm.ProductProvision), pytest.raises(FlowViolation) as caught:
        connection.execute(SHARED[name])
    assert caught.value.missing.sources <= {tm.ProductData}


def test_criteria_of_loaders_decide_too(shop: Shop, guard: Guard) -> None:
    told = _put(select(cast(Customer.id, String))).options(with_loader_criteria(Customer, Customer.device == "d1"))
    with Session(shop.guarded(guard)) as session, guard.purpose(tm.ProductProvision), pytest.raises(FlowViolation):
        session.execute(told)


def _into(dialect: Any, query: Any) -> Any:
    return dialect.insert(exports).from_select(["id", "public"], query)


UPSERTS: dict[str, Callable[[Any], Any]] = {
    "what chooses the rows that meet others": _upsert(CRASHED, {"public": "hit"}, "id"),
    "what finds the row that is met": _upsert(select(func.length(DEVICE)), {"public": "hit"}, "id"),
    "what finds a row that is left as it is": lambda dialect: _into(
        dialect, select(func.length(DEVICE), WORD)
    ).on_conflict_do_nothing(index_elements=["id"]),
    "any value, where no key is named": lambda dialect: _into(
        dialect, select(func.length(DEVICE), WORD)
    ).on_conflict_do_nothing(),
}


@pytest.mark.parametrize("name", UPSERTS)
def test_what_makes_rows_meet_decides(name: str, shop: Shop, guard: Guard) -> None:
    """The rows that are there are changed because of it, though no value of it goes into them."""
    engine = shop.guarded(guard)
    kept = exports.c.id.info
    exports.c.id.info = {"purposeguard": tm.ProductData}
    try:
        engine.dialect.purposeguard.catalogue._stamp = None  # type: ignore[attr-defined]
        dialect = sqlite if engine.dialect.name == "sqlite" else postgresql
        with engine.connect() as connection, guard.purpose(tm.ProductProvision), pytest.raises(FlowViolation) as caught:
            connection.execute(UPSERTS[name](dialect))
    finally:
        exports.c.id.info = kept
    assert caught.value.column == "public"


def test_an_upsert_of_rows_that_may_meet(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    dialect = sqlite if engine.dialect.name == "sqlite" else postgresql
    with engine.begin() as connection, guard.purpose(tm.ProductProvision):
        given: Any = dialect.insert(exports).from_select(["id", "email"], select(KEY, customers.c.email).where(KEY > 0))
        done = given.on_conflict_do_update(index_elements=["id"], set_={"email": given.excluded.email, "public": "x"})
        connection.execute(done)
        assert connection.scalar(select(func.count()).select_from(exports).where(exports.c.public == "x")) == 1


def _first_of_each(query: Any) -> Any:
    told = getattr(postgresql, "distinct_on", None)  # of later versions
    return query.distinct(DEVICE) if told is None else query.ext(told(DEVICE))


POSTGRESQL: dict[str, Any] = {
    "a VALUES that asks": _put(
        select(values(column_of("x", String), name="v").data([(select(DEVICE).limit(1).scalar_subquery(),)]).c.x)
    ),
    "a function that gives rows": _put(select(WORD, func.unnest(func.string_to_array(DEVICE, "d"))), "public", "mixed"),
    "a whole row": _put(select(cast(func.row_to_json(customers.table_valued()), String))),
    "the clause of a dialect": _put(_first_of_each(select(WORD).select_from(customers))),
}


@pytest.mark.parametrize("name", POSTGRESQL)
def test_what_decides_on_postgresql(name: str, shared: Shop, guard: Guard) -> None:
    engine = shared.guarded(guard)
    if engine.dialect.name != "postgresql":
        return
    with engine.connect() as connection, guard.purpose(tm.ProductProvision), pytest.raises(FlowViolation):
        connection.execute(POSTGRESQL[name])


def test_a_sealed_value_flows_under_its_label(shared: Shop, guard: Guard) -> None:
    engine = shared.guarded(guard)
    value = literal(Personal("03-1111", tm.Registration), SealedType(String(), tm.Registration))
    for one in (insert(exports).values(public=value), update(exports).values(public=func.lower(value))):
        with engine.connect() as connection, guard.purpose(tm.ProductProvision), pytest.raises(FlowViolation):
            connection.execute(one)
    with engine.connect() as connection:
        connection.execute(insert(exports).values(id=99, email=value))


# ---- what is rendered by functions of the application ----------------------------------------------------------------


class Whole(Executable, ClauseElement):
    inherit_cache = False


class Part(ColumnElement[str]):
    inherit_cache = True
    type = String()


@compiles(Whole)
def _whole(*_: Any, **__: Any) -> str:
    return "SELECT email FROM customers"


@compiles(Part)
def _part(*_: Any, **__: Any) -> str:
    return "(SELECT email FROM customers LIMIT 1)"


defaulted = Table(
    "exports", MetaData(), Column("id", Integer, primary_key=True), Column("public", String, default=Part())
)
ADDED: dict[str, Callable[[Any], Any]] = {
    "a statement": lambda _: Whole(),
    "an order of a UNION": lambda _: select(KEY).union_all(select(KEY)).order_by(Part()),
    "a VALUES": lambda _: select(values(column_of("x", String), name="v").data([(Part(),)])),
    "a default": lambda _: insert(defaulted).values(id=77),
    "a conflict": lambda dialect: (
        dialect.insert(exports)
        .values(id=1, public="y")
        .on_conflict_do_update(index_elements=["id"], set_={"public": Part()})
    ),
}


@pytest.mark.parametrize("name", ADDED)
def test_what_an_application_renders_is_text(name: str, shared: Shop, guard: Guard) -> None:
    engine = shared.guarded(guard)
    dialect = sqlite if engine.dialect.name == "sqlite" else postgresql
    with engine.connect() as connection, pytest.raises((PurposeMissing, FlowViolation)):
        connection.execute(ADDED[name](dialect))


def test_names_that_are_not_quoted_are_text(shared: Shop, guard: Guard) -> None:
    engine = shared.guarded(guard)
    with engine.connect() as connection:
        connection.execute(select(KEY.label(quoted_name("some_key", quote=False))))
        with pytest.raises(PurposeMissing):
            connection.execute(select(KEY.label(quoted_name("x, email", quote=False))))


class Copying(CreateTable):
    """A definition of a table that an application renders."""


@compiles(Copying)
def _copying(*_: Any, **__: Any) -> str:
    return "CREATE TABLE copied AS SELECT email FROM customers"


def test_definitions_that_an_application_renders_are_text(shared: Shop, guard: Guard, monkeypatch: Any) -> None:
    monkeypatch.setattr(checks, "_DEFINES", checks._DEFINES | {Copying})
    engine = shared.guarded(guard)
    with engine.connect() as connection, pytest.raises(UnlabelledData):
        connection.execute(Copying(Table("copied", MetaData(), Column("a", Integer))))


def test_arguments_of_functions_that_give_columns_are_of_tables(shared: Shop, guard: Guard) -> None:
    engine = shared.guarded(guard)
    if engine.dialect.name != "postgresql":
        return
    inner = func.json_build_object("a", column_of("device"))
    told = select(func.json_each(inner).scalar_table_valued("value")).select_from(customers)
    with engine.connect() as connection, pytest.raises(PurposeMissing):
        connection.execute(told)


def test_a_sealed_column_sorts_under_its_label_by_its_place_too(shared: Shop, guard: Guard) -> None:
    engine = shared.guarded(guard)
    sealed = select(KEY, customers.c.phone)
    with engine.connect() as connection:
        assert len(connection.execute(sealed).all()) == 4
        for one in (sealed.order_by(literally("2")), sealed.group_by(literally("1"), literally("2"))):
            with pytest.raises(PurposeMissing):
                connection.execute(one)


# ---- values that come with the execution -----------------------------------------------------------------------------


def test_what_decides_counts_for_values_that_come_with_the_execution(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    one = update(exports).where(exports.c.mixed == "m")
    many = update(exports).where(exports.c.mixed == bindparam("given"))
    count = select(func.count()).select_from(customers).where(DEVICE == "d1").scalar_subquery()
    with engine.connect() as connection, guard.purpose(tm.ProductProvision):
        for statement, given in (
            (one, {"public": "hit"}),
            (many, [{"public": "a", "given": "m"}, {"public": "b", "given": "n"}]),
            (insert(exports).values(mixed=cast(count, String)), {"public": "hit"}),
        ):
            with pytest.raises(FlowViolation) as caught:
                connection.execute(statement, given)
            assert caught.value.column == "public"


@pytest.fixture
def other(shop: Shop) -> Engine:
    """An engine that is not guarded yet."""
    engine = create_engine(shop.url)
    shop.engines.append(engine)
    return engine


def test_a_row_may_be_written_that_is_named_by_its_key(other: Engine, guard: Guard) -> None:
    """Also where the key is personal: the row is read of under a purpose, and written as it is asked for."""

    class Place(DeclarativeBase):
        pass

    class Reader(Place):
        __tablename__ = "readers"
        email: Mapped[Annotated[str, tm.Registration]] = mapped_column(primary_key=True)
        note: Mapped[str]

    Place.metadata.drop_all(other)
    Place.metadata.create_all(other)
    protect(other, guard, Place)
    with GuardedSession(other) as session:
        session.add(Reader(email="a@b", note=""))
        session.commit()
        with guard.purpose(tm.RenewalGuidance):
            session.get_one(Reader, "a@b").note = "seen"
            session.commit()
            assert session.scalars(select(Reader.note)).all() == ["seen"]
        with guard.purpose(tm.RenewalGuidance), pytest.raises(FlowViolation):
            session.connection().execute(update(Reader).where(Reader.email.like("a%")), {"note": "x"})
