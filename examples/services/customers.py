"""The service that keeps customers. It answers for the purposes that it permits, and for no other."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from pydantic import BaseModel

from examples.services.common import guard, passports
from purposeguard.integrations.passport_http import PassportMiddleware
from purposeguard.notices import trendmicro_jp as tm


class Customer(BaseModel):
    name: Annotated[str, tm.Registration]
    renews: Annotated[str, tm.Contract]
    last_scan: Annotated[str, tm.ProductData]


KNOWN = {7: Customer(name="Aiko", renews="2026-06-01", last_scan="2026-05-02")}


@guard.access(withhold=True)
def load(key: int) -> Customer:
    return KNOWN[key]


api = FastAPI()


@api.get("/customers/{key}")
async def customer(key: int) -> dict[str, str]:
    return load(key).model_dump()


app = PassportMiddleware(api, passports, permits=[tm.RenewalGuidance, tm.ProductImprovement], audience="customers")
