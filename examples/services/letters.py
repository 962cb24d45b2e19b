"""The service that writes to customers. It asks the other service for their data, each time for the current purpose."""

from __future__ import annotations

import os

import httpx
from fastapi import FastAPI

from examples.services.common import guard, passports
from purposeguard.integrations.passport_http import Crossing
from purposeguard.notices import trendmicro_jp as tm

CUSTOMERS = os.environ["CUSTOMERS"]
PATIENCE = 60.0
"""Seconds that the other service may take to answer: it may just be starting, on a busy machine."""

crossing = Crossing(passports, inside={"127.0.0.1": "customers"})
client = httpx.AsyncClient(event_hooks={"request": [crossing.on_request_async]}, trust_env=False, timeout=PATIENCE)
app = FastAPI()


async def ask(address: str = CUSTOMERS) -> object:
    answer = await client.get(f"{address}/customers/7")
    return answer.json()


@app.get("/remind")
@guard.purpose(tm.RenewalGuidance)
async def remind() -> object:
    return await ask()


@app.get("/improve")
@guard.purpose(tm.ProductImprovement)
async def improve() -> object:
    return await ask()


@app.get("/advertise")
@guard.purpose(tm.ProductGuidance)
async def advertise() -> object:
    return await ask()


@app.get("/outside")
@guard.purpose(tm.RenewalGuidance)
async def outside() -> object:
    """Ask the same service under a host name that is not inside: no passport is sent there."""
    return await ask(CUSTOMERS.replace("127.0.0.1", "localhost"))


@app.get("/idle")
async def idle() -> object:
    return await ask()
