"""A small service with the same route guarded and bare, for `python -m benchmarks.load`.

`LOAD_STORE` is the URL of the store of restrictions. Both routes give the same list of 1,000 customers as JSON, except
that the guarded one leaves out the customers who asked for it and the fields that the purpose may not use.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.integrations.fastapi import PurposeRouter, install
from purposeguard.notices import trendmicro_jp as tm

COUNT = 1_000

governance = Governance(None, notice=tm.NOTICE)
guard = pg.Guard(tm.NOTICE, governance=governance)


class SubjectCustomer(BaseModel):
    number: Annotated[int, pg.Subject]
    name: Annotated[str, tm.Registration]
    email: Annotated[str, tm.Registration]
    contract: Annotated[str, tm.Contract]


class BareCustomer(BaseModel):
    number: int
    name: str
    email: str
    contract: str


PLAIN = [
    {"number": number, "name": f"name {number}", "email": f"{number}@example.com", "contract": "yearly"}
    for number in range(COUNT)
]


class Unmarked(BaseModel):
    """Tagged as a customer, and of nobody: no row is looked up."""

    number: int
    name: Annotated[str, tm.Registration]
    email: Annotated[str, tm.Registration]
    contract: Annotated[str, tm.Contract]


@guard.access
def list_unmarked() -> list[Unmarked]:
    return list(map(Unmarked.model_validate, PLAIN))


@guard.access(narrow=True)
def customers() -> list[SubjectCustomer]:
    return list(map(SubjectCustomer.model_validate, PLAIN))


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
    governance.open(os.environ["LOAD_STORE"])
    try:
        yield
    finally:
        governance.close()


app = FastAPI(lifespan=lifespan)
install(app, guard)
router = PurposeRouter(guard, purpose=tm.RenewalGuidance)


@router.get("/guarded")
def guarded() -> list[SubjectCustomer]:
    return customers()


@router.get("/guarded/coroutine")
async def guarded_coroutine() -> list[SubjectCustomer]:
    return customers()


@router.get("/guarded/nobody")
async def guarded_of_nobody() -> list[Unmarked]:
    return list_unmarked()


@app.get("/bare")
def bare() -> list[BareCustomer]:
    return list(map(BareCustomer.model_validate, PLAIN))


@app.get("/bare/coroutine")
async def bare_coroutine() -> list[BareCustomer]:
    return bare()


app.include_router(router)
