"""Which columns a statement uses: told by its text, whatever the ORM or Core made it of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    Engine,
    String,
    cast,
    create_engine,
    extract,
    func,
    insert,
    lateral,
    literal_column,
    select,
    type_coerce,
    union,
    update,
    values,
)
from sqlalchemy import column as column_of
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import (
    Bundle,
    aliased,
    contains_eager,
    defer,
    joinedload,
    load_only,
    selectin_polymorphic,
    selectinload,
    subqueryload,
    undefer,
    with_polymorphic,
)

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy.lineage import seals_of
from purposeguard.errors import UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation
from tests.adapters.sqlalchemy.shop import Customer, Login, Order, Shop, Visit, exports

customers: Any = Customer.__table__
upper = aliased(Customer, name="upper")
cte = select(Customer.id, Customer.email, Customer.device).where(Customer.plan == "gold").cte("gold")
sub = select(Customer.email.label("e"), Customer.device.label("d"), Customer.id).subquery()
tree = select(Order.id, Order.customer_id).where(Order.id == 1).cte("tree", recursive=True)
tree = tree.union_all(select(Order.id, Order.customer_id).join(tree, Order.customer_id == tree.c.id))
every = with_polymorphic(Visit, [Login])


def used(statement: Any, engine: Engine) -> set[str]:
    """The personal columns, and sealed values, that a statement uses."""
    watch: Any = engine.dialect.purposeguard  # type: ignore[attr-defined]
    compiled = statement.compile(engine, compile_kwargs={"render_postcompile": True})
    prepared = watch._texts().prepare(str(compiled), seals_of(compiled), bare=False)
    return {name for name, _ in (*prepared.narrowed_demand.fields, *prepared.sealed.fields)}


def told(*names: str) -> set[str]:
    return {f"customers.{name}" if "." not in name else name for name in names}


# What any text may have is tried by the tests of the SQL adapter.
CASES: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "an entity": (lambda: select(Customer), told("email", "name", "device", "plan")),
    "only some of it": (lambda: select(Customer).options(load_only(Customer.email)), told("email")),
    "less one": (lambda: select(Customer).options(defer(Customer.device)), told("email", "name", "plan")),
    "a deferred one as well": (
        lambda: select(Customer).options(load_only(Customer.id), undefer(Customer.spent)),  # type: ignore[attr-defined]
        told("orders.total"),
    ),
    "filter_by": (lambda: select(Customer.id).filter_by(device="x"), told("device")),
    "an order by its label": (lambda: select(Customer.device.label("x")).order_by("x"), told("device")),
    "a subquery": (lambda: select(sub.c.e), told("email")),
    "a cte": (lambda: select(cte.c.id), told("plan")),
    "a recursive cte": (lambda: select(tree.c.id), set()),
    "any": (lambda: select(Customer.id).where(Customer.orders.any(Order.total > 3)), told("orders.total")),
    "has": (lambda: select(Order.id).where(Order.customer.has(Customer.device == "x")), told("device")),
    "a coercion": (lambda: select(type_coerce(Customer.device, String)), told("device")),
    "a part of a day": (lambda: select(extract("year", func.now())), set()),
    "a hybrid": (lambda: select(Customer.address), told("email", "name")),
    "a column property": (lambda: select(Customer.spent), told("orders.total")),  # type: ignore[attr-defined]
    "a bundle": (lambda: select(Bundle("b", Customer.email, Customer.device)), told("email", "device")),
    "an association proxy": (lambda: select(Customer.id).where(Customer.totals == 3), told("orders.total")),
    "an eager join": (
        lambda: select(Order.id, Order).options(joinedload(Order.customer).load_only(Customer.device)),
        told("orders.total", "device"),
    ),
    "an eager join that is told": (
        lambda: select(Order).join(Order.customer).options(contains_eager(Order.customer).load_only(Customer.name)),
        told("orders.total", "name"),
    ),
    "a second select": (lambda: select(Order.id, Order).options(selectinload(Order.customer)), told("orders.total")),
    "a subquery load": (lambda: select(Customer).options(load_only(Customer.id), subqueryload(Customer.orders)), set()),
    "joined inheritance": (lambda: select(Login.id), set()),
    "what a subclass inherits": (lambda: select(Login.ip), told("visits.ip")),
    "an entity of a hierarchy": (lambda: select(Login), told("visits.ip", "logins.account")),
    "its base": (lambda: select(Visit), told("visits.ip")),
    "with all below": (lambda: select(every), told("visits.ip", "logins.account")),
    "with those below later": (lambda: select(Visit).options(selectin_polymorphic(Visit, [Login])), told("visits.ip")),
    "a table": (lambda: select(customers), told("email", "name", "device", "plan")),
    "a row as a value": (
        lambda: select(func.row_to_json(customers.table_valued())),
        told("email", "name", "device", "plan", "phone"),
    ),
    "lateral": (
        lambda: select(lateral(select(Order.total).where(Order.customer_id == Customer.id)).c.total).select_from(
            Customer
        ),
        told("orders.total"),
    ),
    "values": (lambda: select(values(column_of("a", String), name="v").data([("x",)]).c.a), set()),
    # ---- sealed columns
    "a sealed column": (lambda: select(Customer.phone), set()),
    "a sealed column, filtered by": (
        lambda: select(Customer.phone).where(Customer.phone == "1"),
        {"customers.phone", "a sealed value"},
    ),
    "a sealed column, through a function": (lambda: select(func.lower(Customer.phone)), told("phone")),
    "a sealed column, made something else": (lambda: select(cast(Customer.phone, String)), told("phone")),
    "a sealed column, coerced": (lambda: select(type_coerce(Customer.phone, String)), told("phone")),
    "a sealed column, in a subquery": (
        lambda: select(cast(select(Customer.phone).subquery().c.phone, String)),
        told("phone"),
    ),
    "a sealed column, distinct": (lambda: select(Customer.phone).distinct(), told("phone")),
    "a sealed column, in order": (lambda: select(Customer.phone).order_by(Customer.phone), told("phone")),
    "a sealed column, in order of its label": (lambda: select(Customer.phone.label("p")).order_by("p"), told("phone")),
    "a sealed column, in order of its label by itself": (
        lambda: select(found := Customer.phone.label("p")).order_by(found.desc()),
        told("phone"),
    ),
    "a sealed column, in order of the key": (lambda: select(Customer.phone).order_by(Customer.id), set()),
    "a sealed column, in groups of its label": (
        lambda: select(Customer.phone.label("p"), func.count()).group_by("p"),
        told("phone"),
    ),
    "a sealed column, in a union": (lambda: union(select(Customer.phone), select(Customer.phone)), told("phone")),
    # ---- writes
    "an insert that returns": (
        lambda: insert(Customer).values(id=9, email="x").returning(Customer.email),
        told("email"),
    ),
    "an insert of a select": (lambda: insert(exports).from_select(["email"], select(customers.c.email)), told("email")),
    "an update that returns": (lambda: update(Customer).values(active=True).returning(Customer.device), told("device")),
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Shop(create_engine("postgresql+psycopg://"), "postgresql+psycopg://").guarded(Guard(tm.NOTICE))


TEXT: dict[str, Callable[[], Any]] = {
    "text in a column": lambda: select(literal_column("email")).select_from(customers),
    "a column of no table": lambda: select(column_of("email")).select_from(customers),
    "text in an operator": lambda: select(Customer.id).where(Customer.id.op("= 1 OR email > ")("x")),
    "text in a part of a day": lambda: select(extract("year FROM now()), (email", func.now())).select_from(customers),
    "a hint": lambda: select(Customer.email).with_statement_hint("x"),
}


@pytest.mark.parametrize("name", TEXT)
def test_text_in_a_statement_is_read_or_refused(name: str, engine: Engine) -> None:
    with contextlib.suppress(UnresolvedStatement):
        assert used(TEXT[name](), engine) == told("email")


@pytest.mark.parametrize("name", CASES)
def test_what_a_statement_uses_is_told_by_its_text(name: str, engine: Engine) -> None:
    statement, expected = CASES[name]
    assert used(statement(), engine) == expected


@pytest.mark.parametrize(("dialect", "url"), [(postgresql, "postgresql+psycopg://"), (sqlite, "sqlite://")])
def test_the_row_that_was_to_be_inserted_is_not_read(dialect: Any, url: str) -> None:
    engine = Shop(create_engine(url), url).guarded(Guard(tm.NOTICE))
    statement: Any = dialect.insert(customers).values(id=1, email="x")
    upsert = statement.on_conflict_do_update(index_elements=["id"], set_={"email": statement.excluded.email})
    assert used(upsert, engine) == set()
    reading = statement.on_conflict_do_update(index_elements=["id"], set_={"name": customers.c.name + "x"})
    assert used(reading, engine) == told("name")
    choosing: Any = statement.on_conflict_do_update(
        index_elements=["id"], set_={"device": "x"}, where=customers.c.device == statement.excluded.device
    )
    with pytest.raises(FlowViolation):  # the device would choose what is in the other columns
        used(choosing, engine)
