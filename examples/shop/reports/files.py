"""Files for analysts. Each is read from the database for one purpose, and states what it may be used for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypedDict

from sqlalchemy import select

import purposeguard as pg
from examples.shop.database import CustomerRow, EventRow, LeadRow, ProspectRow
from examples.shop.privacy import guard
from examples.shop.reports import parquet
from examples.shop.reports.reading import Reading
from examples.shop.repository import NotFound
from purposeguard.notices import trendmicro_jp as tm

CONTACTS = "contacts.parquet"
EVENTS = "events.parquet"

Person = Annotated[str, pg.Subject]
"""`customer:1`, as requests call people."""


class Contacts(TypedDict):
    """Customers, leads and prospects in one table. Each row names the clause under which its name was collected."""

    person: Person
    source: Annotated[str, pg.RowSource]
    name: Annotated[str, pg.ByRow]
    email: Annotated[str, pg.ByRow]
    registered_on: Annotated[date, pg.Collected]


class Events(TypedDict):
    person: Person
    product: Annotated[str, tm.ProductData]
    kind: Annotated[str, tm.ProductData]
    seconds: Annotated[float, tm.ProductData]


def find_exported_file(folder: Path, name: str) -> Path:
    """Return the path of an exported file. Raise NotFound if it was not exported yet."""
    path = folder / name
    if not path.exists():
        raise NotFound("exported file", name)
    return path


@guard.purpose(tm.AnyEventInvitation, channel="email")
def export_contacts(folder: Path) -> int:
    return parquet.write(_contacts(), Contacts, folder / CONTACTS)


def _contacts() -> Iterator[dict[str, Any]]:
    kinds = (
        ("customer", CustomerRow, tm.Registration),
        ("lead", LeadRow, tm.WebContact),
        ("prospect", ProspectRow, tm.ProspectContact),
    )
    with Reading() as session:
        for kind, table, source in kinds:
            for one in session.execute(select(table.id, table.name, table.email, table.registered_on)).mappings():
                yield {**one, "person": f"{kind}:{one['id']}", "source": source.clause}


@guard.purpose(tm.ProductImprovement)
def export_events(folder: Path) -> int:
    wanted = select(EventRow.customer_id, EventRow.product, EventRow.kind, EventRow.seconds)
    with Reading() as session:
        found = session.execute(wanted).mappings()
        events = [{**one, "person": f"customer:{one['customer_id']}"} for one in found]
    return parquet.write(events, Events, folder / EVENTS)
