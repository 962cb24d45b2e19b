"""Rows: lists of models as an access function returns them, each beside the copy, build or query that it takes anyway.

A row of the printed table is one row of the list. A statement handles a list of 10,000, so a block is one list.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel
from typing_extensions import TypedDict

import purposeguard as pg
from benchmarks import row_peers
from benchmarks.timing import Case
from purposeguard.governance import Governance
from purposeguard.governance.pseudonyms import pseudonym
from purposeguard.governance.restrictions import declaration, revocation
from purposeguard.notices import trendmicro_jp as tm

try:
    import attrs
except ImportError:  # the rows of attrs are left out
    attrs = None  # type: ignore[assignment]  # stands for "not installed"

COUNT = 10_000
ORDERS = 2
"""Orders of a customer of the nested list; each has one address."""

RESTRICTED = 100
"""One subject in so many asked for the use to stop."""

BATCH = 1_000
"""Ids of one `IN` query by hand."""

BUILT = "a pydantic model built"
NOTHING_ACCESS = "`@guard.access(withhold=True)`, nothing to withhold"
NOTHING_USE = "`use.withhold(rows)`, nothing to withhold"
READ_ACCESS = "`@guard.access`, rows that the purpose may use"

PYDANTIC, DATACLASS, ATTRS, TYPED_DICT, NAMED_TUPLE = "pydantic", "dataclass", "attrs", "TypedDict", "NamedTuple"
KINDS = (PYDANTIC, DATACLASS, ATTRS, TYPED_DICT, NAMED_TUPLE)
WITHHELD = {kind: f"one field of three withheld, {kind}" for kind in KINDS}
COPIED = {
    PYDANTIC: "`model_copy`",
    DATACLASS: "`dataclasses.replace`",
    ATTRS: "`attrs.evolve`",
    TYPED_DICT: "`dict.copy`",
    NAMED_TUPLE: "`_replace`",
}
NESTED = "customer → orders → addresses, one field of each withheld"
NESTED_COPIED = "`model_copy` of the customer and all models in it"

NARROWED_WARM = "narrowed by subject, warm"
NARROWED_COLD = "narrowed by subject, cold"
BY_HAND = "the same `IN` query by hand, a thousand ids at a time"

OPEN_TASK = "`use.open` in a task"
OPEN_THREAD = "`use.open` in a thread"
ACCESS_TASK = "an access function in a task"
ACCESS_THREAD = "an access function in a thread"

BLOCK = "`with guard.purpose(…)`, written in place"
SMALLEST = "the smallest class-based context manager of a context variable"

OPEN_ALL = "`use.open_all` of 10,000"
SLOTS = "a list comprehension over a slot"


class Customer(BaseModel):
    number: int
    name: Annotated[str, tm.Registration]
    last_scan: Annotated[str, tm.ProductData]


@dataclasses.dataclass
class DataclassCustomer:
    number: int
    name: Annotated[str, tm.Registration]
    last_scan: Annotated[str, tm.ProductData]


class TypedDictCustomer(TypedDict):
    number: int
    name: Annotated[str, tm.Registration]
    last_scan: Annotated[str, tm.ProductData]


class NamedTupleCustomer(NamedTuple):
    number: int
    name: Annotated[str, tm.Registration]
    last_scan: Annotated[str, tm.ProductData]


if attrs is not None:

    @attrs.define
    class AttrsCustomer:
        number: int
        name: Annotated[str, tm.Registration]
        last_scan: Annotated[str, tm.ProductData]


class Address(BaseModel):
    street: Annotated[str, tm.Registration]
    delivered: Annotated[str, tm.ProductData]


class Order(BaseModel):
    number: int
    device: Annotated[str, tm.ProductData]
    address: Address


class CustomerWithOrders(BaseModel):
    number: int
    name: Annotated[str, tm.Registration]
    last_scan: Annotated[str, tm.ProductData]
    orders: list[Order]


class MarkedCustomer(BaseModel):
    number: Annotated[int, pg.Subject]
    name: Annotated[str, tm.Registration]
    last_scan: Annotated[str, tm.ProductData]


class SlottedValue:
    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


PLAIN: list[dict[str, Any]] = [
    {"number": number, "name": f"name {number}", "last_scan": f"day {number}"} for number in range(COUNT)
]


_OPEN = contextlib.ExitStack()
"""Holds the store and the event loop of the process, until it ends."""
atexit.register(_OPEN.close)


@contextlib.contextmanager
def open_cases() -> Generator[list[Case]]:
    """Return a context manager with the cases, which closes everything at its end."""
    try:
        yield rows()
    finally:
        _OPEN.close()


def rows() -> list[Case]:
    """Return every case of rows that what is installed allows for."""
    guard = pg.Guard(tm.NOTICE)
    return [
        *_make_plain_cases(guard),
        *_make_withheld_cases(guard),
        *_make_nested_cases(guard),
        *_make_narrowed_cases(),
        *_tasks(guard),
        *_blocks(guard),
        *_open_all(guard),
        *row_peers.cases(guard, Customer, PLAIN, _OPEN),
    ]


def _make_use(guard: pg.Guard, purpose: Any) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: guard.purpose(purpose, activity="rows")


def _case(name: str, statement: str, names: dict[str, object], within: Any = contextlib.nullcontext) -> Case:
    return Case(name, statement, names, within, of=COUNT)


def _make_plain_cases(guard: pg.Guard) -> list[Case]:
    customers = list(map(Customer.model_validate, PLAIN))

    @guard.access(withhold=True)
    def withholding() -> list[Customer]:
        return customers

    @guard.access
    def reading() -> list[Customer]:
        return customers

    within = _make_use(guard, tm.ProductProvision)
    with within():
        _expect(withholding()[7].last_scan == reading()[7].last_scan == "day 7")
    return [
        _case(BUILT, "[Customer(**row) for row in plain]", {"Customer": Customer, "plain": PLAIN}),
        _case(NOTHING_ACCESS, "withholding()", {"withholding": withholding}, within),
        _case(NOTHING_USE, "use.withhold(customers)", {"customers": customers}, within),
        _case(READ_ACCESS, "reading()", {"reading": reading}, within),
    ]


def _make_withheld_cases(guard: pg.Guard) -> list[Case]:
    """Return one field of three withheld by an access function, and a copy of each row of the same class."""
    kinds: dict[str, tuple[Any, str]] = {
        PYDANTIC: (Customer, "[row.model_copy() for row in rows]"),
        DATACLASS: (DataclassCustomer, "[replace(row) for row in rows]"),
        TYPED_DICT: (TypedDictCustomer, "[row.copy() for row in rows]"),
        NAMED_TUPLE: (NamedTupleCustomer, "[row._replace() for row in rows]"),
    }
    names: dict[str, object] = {"replace": dataclasses.replace}
    if attrs is not None:
        kinds[ATTRS] = (AttrsCustomer, "[evolve(row) for row in rows]")
        names["evolve"] = attrs.evolve
    within = _make_use(guard, tm.RenewalGuidance)
    cases = []
    for kind, (class_, copy) in kinds.items():
        instances = [class_(**row) for row in PLAIN]
        withholding = _make_access(guard, class_, instances)
        with within():
            _expect("day" not in repr(withholding()[7]))
        cases.append(_case(WITHHELD[kind], "withholding()", {"withholding": withholding}, within))
        cases.append(_case(COPIED[kind], copy, {"rows": instances, **names}))
    return cases


def _make_access(guard: pg.Guard, class_: Any, instances: list[Any]) -> Callable[[], list[Any]]:
    def withholding() -> list[Any]:
        return instances

    withholding.__annotations__["return"] = list[class_]
    return guard.access(withhold=True)(withholding)


def _make_nested_cases(guard: pg.Guard) -> list[Case]:
    customers: list[CustomerWithOrders] = []
    for number, row in enumerate(PLAIN):
        orders: list[Order] = []
        for order in range(ORDERS):
            address = Address(street=f"street {number}", delivered="day")
            orders.append(Order(number=order, device="laptop", address=address))
        customers.append(CustomerWithOrders(**row, orders=orders))

    @guard.access(withhold=True)
    def withholding() -> list[CustomerWithOrders]:
        return customers

    def copy_nested(customer: CustomerWithOrders) -> CustomerWithOrders:
        orders = [order.model_copy(update={"address": order.address.model_copy()}) for order in customer.orders]
        return customer.model_copy(update={"orders": orders})

    within = _make_use(guard, tm.RenewalGuidance)
    with within():
        _expect("day" not in repr(withholding()[7]) and "laptop" not in repr(withholding()[7]))
    return [
        _case(NESTED, "withholding()", {"withholding": withholding}, within),
        _case(NESTED_COPIED, "[copied(row) for row in rows]", {"copied": copy_nested, "rows": customers}),
    ]


def _make_narrowed_cases() -> list[Case]:
    """Return one subject in a hundred asked for the use to stop; the store is a file of SQLite."""
    governance = _governance()
    for number in range(0, COUNT, RESTRICTED):
        governance.restrict(number, tm.ProductProvision)
    guard = pg.Guard(tm.NOTICE, governance=governance)
    customers = list(map(MarkedCustomer.model_validate, PLAIN))

    @guard.access(narrow=True)
    def list_narrowed() -> list[MarkedCustomer]:
        return customers

    by_hand = _ByHand(governance, customers)
    within = _make_use(guard, tm.ProductProvision)
    with within():
        _expect(list_narrowed() == by_hand() and len(list_narrowed()) == COUNT - COUNT // RESTRICTED)
    names: dict[str, object] = {"narrowed": list_narrowed, "forget": governance.preference_cache.forget}
    return [
        _case(NARROWED_COLD, "forget(); narrowed()", names, within),
        _case(NARROWED_WARM, "narrowed()", names, within),
        _case(BY_HAND, "by_hand()", {"by_hand": by_hand}),
    ]


def _governance() -> Governance:
    folder = _OPEN.enter_context(tempfile.TemporaryDirectory(prefix="purposeguard-bench-"))
    return _OPEN.enter_context(Governance(f"sqlite:///{Path(folder)}/store.db", notice=tm.NOTICE, ledger=False))


class _ByHand:
    """What the service would write without the library: ask for the restrictions of a batch, keep the other rows."""

    _RESTRICTIONS = (
        sa.select(pseudonym.c.subject, declaration.c.kind, declaration.c.purposes)
        .select_from(
            pseudonym.join(declaration, pseudonym.c.pseudonym == declaration.c.pseudonym).outerjoin(
                revocation, revocation.c.declaration == declaration.c.id
            )
        )
        .where(pseudonym.c.subject.in_(sa.bindparam("subjects", expanding=True)), revocation.c.declaration.is_(None))
    )

    def __init__(self, governance: Governance, customers: list[MarkedCustomer]) -> None:
        self._store = governance.store
        self._customers = customers

    def __call__(self) -> list[MarkedCustomer]:
        remaining: list[MarkedCustomer] = []
        with self._store.reading() as connection:
            for start in range(0, len(self._customers), BATCH):
                batch = self._customers[start : start + BATCH]
                subjects = [str(row.number) for row in batch]
                restricted: set[str] = set()
                for row in connection.execute(self._RESTRICTIONS, {"subjects": subjects}):
                    if row.purposes is None or tm.ProductProvision.clause in row.purposes:
                        restricted.add(row.subject)
                remaining += [row for row in batch if str(row.number) not in restricted]
        return remaining


def _tasks(guard: pg.Guard) -> list[Case]:
    """Return cases of ten thousand openings and calls in one task of an event loop, and in the thread itself.

    The loop is entered once a list, so that it is no part of the ratio.
    """
    seals = [pg.Personal("value", tm.Registration)] * COUNT

    @guard.access(tm.Registration)
    def access() -> None:
        pass

    def opening() -> None:
        with guard.purpose(tm.RenewalGuidance, activity="rows") as use:
            open_ = use.open
            for sealed in seals:
                open_(sealed)

    async def opening_in_a_task() -> None:
        opening()

    def accessing() -> None:
        with guard.purpose(tm.RenewalGuidance, activity="rows"):
            for _ in seals:
                access()

    async def accessing_in_a_task() -> None:
        accessing()

    import asyncio  # the cases of other groups run without it

    loop = asyncio.new_event_loop()
    _OPEN.callback(loop.close)
    names: dict[str, object] = {"run": loop.run_until_complete, "opening": opening, "accessing": accessing}
    names |= {"opening_in_a_task": opening_in_a_task, "accessing_in_a_task": accessing_in_a_task}
    return [
        _case(OPEN_TASK, "run(opening_in_a_task())", names),
        _case(OPEN_THREAD, "opening()", names),
        _case(ACCESS_TASK, "run(accessing_in_a_task())", names),
        _case(ACCESS_THREAD, "accessing()", names),
    ]


_VARIABLE: ContextVar[object] = ContextVar("rows", default=None)


class _Smallest:
    __slots__ = ("token", "value")

    def __init__(self, value: object) -> None:
        self.value = value

    def __enter__(self) -> object:
        self.token: Token[object] = _VARIABLE.set(self.value)
        return self.value

    def __exit__(self, *_: object) -> None:
        _VARIABLE.reset(self.token)


def _blocks(guard: pg.Guard) -> list[Case]:
    value = object()

    def in_place() -> None:
        with guard.purpose(tm.RenewalGuidance):
            pass

    def smallest() -> None:
        with _Smallest(value):
            pass

    return [
        Case(BLOCK, "in_place()", {"in_place": in_place}),
        Case(SMALLEST, "smallest()", {"smallest": smallest}),
    ]


def _open_all(guard: pg.Guard) -> list[Case]:
    seals = [pg.Personal(f"value {number}", tm.Registration) for number in range(COUNT)]
    slotted = [SlottedValue(f"value {number}") for number in range(COUNT)]
    within = _make_use(guard, tm.RenewalGuidance)
    return [
        _case(OPEN_ALL, "use.open_all(seals)", {"seals": seals}, within),
        _case(SLOTS, "[row.value for row in slotted]", {"slotted": slotted}),
    ]


class Differs(Exception):  # says what a case gives
    """A case gives something else than it should, so that its time says nothing."""


def _expect(true: bool) -> None:
    if not true:
        raise Differs("a case of rows gives something else than it should")
