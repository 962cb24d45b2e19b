"""A shop on FastAPI and SQLAlchemy, bare and guarded, whose routes `benchmarks.services.fastapi` compares.

The guarded shop has governance and a ledger in a store of its own, and drops the rows that a subject does not permit.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import Engine, ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.integrations.fastapi import PurposeRouter, SubjectFrom, install
from purposeguard.notices import trendmicro_jp as tm

PEOPLE = 200
PAGE = 50
ROUTES = {"a customer, a function": "/customers/7", "a page of 50 contracts": "/contracts", "a sum": "/sums/7"}


class Base(DeclarativeBase):
    pass


class CustomerRow(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    contracts: Mapped[list["ContractRow"]] = relationship(back_populates="customer")


class ContractRow(Base):
    __tablename__ = "contracts"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    product: Mapped[str]
    customer: Mapped[CustomerRow] = relationship(back_populates="contracts")


class TaggedCustomer(BaseModel):
    number: Annotated[int, pg.Subject]
    email: Annotated[str, tm.Registration]


class TaggedContract(BaseModel):
    number: Annotated[int, pg.Subject]
    email: Annotated[str, tm.Registration]
    product: Annotated[str, tm.Contract]


class TaggedSum(BaseModel):
    number: Annotated[int, pg.Subject]
    contracts: Annotated[int, tm.Contract]


class PlainCustomer(BaseModel):
    number: int
    email: str


class PlainContract(BaseModel):
    number: int
    email: str
    product: str


class PlainSum(BaseModel):
    number: int
    contracts: int


class Kinds(NamedTuple):
    """The models of a shop."""

    customer: Any
    contract: Any
    contracts: Any
    sum: Any


def make_shops(folder: Path) -> tuple[FastAPI, FastAPI, Governance]:
    """Return the bare shop, the guarded shop, and the governance of the latter, which is to be closed."""
    engine = create_engine(f"sqlite:///{folder / 'shop.db'}")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for number in range(1, PEOPLE + 1):
            contracts = [ContractRow(product="antivirus")]
            session.add(CustomerRow(id=number, email=f"{number}@example.com", contracts=contracts))
        session.commit()
    governance = Governance(f"sqlite:///{folder / 'shop-store.db'}", notice=tm.NOTICE)
    guard = pg.Guard(tm.NOTICE, governance=governance)
    plain, tagged = APIRouter(), PurposeRouter(guard, purpose=tm.RenewalGuidance)
    add_routes(plain, engine, Kinds(PlainCustomer, PlainContract, list[PlainContract], PlainSum), lambda fn: fn)
    add_routes(
        tagged,
        engine,
        Kinds(TaggedCustomer, TaggedContract, list[TaggedContract], TaggedSum),
        guard.access(narrow=True),
        subject=SubjectFrom.path("key"),
    )
    bare, guarded = FastAPI(openapi_url=None), FastAPI(openapi_url=None)
    bare.include_router(plain)
    guarded.include_router(tagged)
    install(guarded, guard)
    return bare, guarded, governance


def add_routes(router: Any, engine: Engine, kinds: Kinds, access: Callable[[Any], Any], **of_one: Any) -> None:
    """Add the routes of the shop to a router. Functions that read data are decorated by `access`."""

    def open_session() -> Iterator[Session]:
        with Session(engine) as session:
            yield session

    def find_customer(session: Session, key: int) -> Any:
        row = session.get_one(CustomerRow, key)
        return kinds.customer(number=row.id, email=row.email)

    def list_contracts(session: Session) -> Any:
        query = select(ContractRow).options(joinedload(ContractRow.customer)).order_by(ContractRow.id).limit(PAGE)
        rows = session.scalars(query)
        return [kinds.contract(number=row.customer_id, email=row.customer.email, product=row.product) for row in rows]

    def count_contracts(session: Session, key: int) -> Any:
        return kinds.sum(number=key, contracts=len(session.get_one(CustomerRow, key).contracts))

    find_customer.__annotations__["return"] = kinds.customer
    list_contracts.__annotations__["return"] = kinds.contracts
    count_contracts.__annotations__["return"] = kinds.sum
    find_customer, list_contracts, count_contracts = map(access, (find_customer, list_contracts, count_contracts))
    session_type = Annotated[Session, Depends(open_session)]

    def show_customer(key: int, session: session_type) -> Any:
        return find_customer(session, key)

    def show_contracts(session: session_type) -> Any:
        return list_contracts(session)

    async def show_sum(key: int, session: session_type) -> Any:
        return count_contracts(session, key)

    router.get("/customers/{key}", response_model=kinds.customer, **of_one)(show_customer)
    router.get("/contracts", response_model=kinds.contracts)(show_contracts)
    router.get("/sums/{key}", response_model=kinds.sum, **of_one)(show_sum)
