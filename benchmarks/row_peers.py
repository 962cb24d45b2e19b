"""Other ways to guard rows: engines asked for each row, a loop and a mask by hand, and an ORM's own criteria.

Each is given the same 10,000 rows, and gives them without what renewal guidance may not use: the last scan. The ORM
leaves out rows instead, those of the customers who asked for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, with_loader_criteria

import purposeguard as pg
from benchmarks import peers
from benchmarks.timing import Case

LOOP = "a loop by hand"
FIELD_MASK = "a field mask by hand"
REGEX = "masking by regular expressions"
VAKT = "vakt, asked for each row"
CEDAR = "cedarpy, asked for each row"
CRITERIA = "SQLAlchemy, `with_loader_criteria`"
NO_CRITERIA = "SQLAlchemy, the same query without criteria"

PEERS: tuple[tuple[str, str, str], ...] = (
    (LOOP, "`model_copy` without the field, where a set of purposes lacks the one", ""),
    (FIELD_MASK, "`model_copy`, its value replaced by stars", ""),
    (REGEX, "`model_copy`, mail addresses, telephone numbers and dates in each text replaced", ""),
    (VAKT, "one inquiry a row, then the loop", "vakt"),
    (CEDAR, "one request a row, then the loop", "cedarpy"),
    (CRITERIA, "rows of restricted customers left out of the query, ORM objects loaded", "sqlalchemy"),
    (NO_CRITERIA, "all rows, ORM objects loaded", "sqlalchemy"),
)
"""Case, what it does, package."""

PATTERNS = (
    re.compile(r"[\w.+-]+@[\w-]+\.\w+"),
    re.compile(r"\+?\d{2,4}[- ]\d{2,4}[- ]\d{3,4}"),
    re.compile(r"day \d+"),
)


def cases(guard: pg.Guard, class_: type[BaseModel], plain: list[dict[str, Any]], stack: ExitStack) -> list[Case]:
    """Return the peers that are installed; `guard` is asked the question that they are asked, and they agree."""
    rows = [class_(**row) for row in plain]
    granted = peers.collect_grants()
    ways: dict[str, Callable[[], list[Any]]] = {
        LOOP: lambda: drop_denied_fields(rows, lambda: "product-data" in granted[peers.PURPOSE]),
        FIELD_MASK: lambda: [row.model_copy(update={"last_scan": "***"}) for row in rows],
        REGEX: lambda: [row.model_copy(update=mask_texts(vars(row))) for row in rows],
    }
    for name, kind in ((VAKT, peers.Vakt), (CEDAR, peers.Cedar)):
        if peers.version(kind.package) is not None:
            engine: peers.Peer = kind(granted)
            ways[name] = _ask_for_each(engine, rows)
    for name, way in ways.items():
        if "day" in repr(way()[7]):
            raise peers.PeerDiffers(f"{name} leaves what {guard.notice.id} does not grant")
    made = [Case(name, "way()", {"way": way}, of=len(rows)) for name, way in ways.items()]
    return [*made, *_orm(plain, stack)]


def drop_denied_fields(rows: Iterable[BaseModel], allowed: Callable[[], bool]) -> list[BaseModel]:
    remaining = []
    for row in rows:
        if not allowed():
            row = row.model_copy()  # noqa: PLW2901  # the row that is handed out
            del vars(row)["last_scan"]
        remaining.append(row)
    return remaining


def _ask_for_each(engine: peers.Peer, rows: list[BaseModel]) -> Callable[[], list[Any]]:
    ask = engine.question(("product-data",), peers.PURPOSE)
    return lambda: drop_denied_fields(rows, ask)


def mask_texts(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _stars(value) if isinstance(value, str) else value for name, value in values.items()}


def _stars(text: str) -> str:
    for pattern in PATTERNS:
        text = pattern.sub("***", text)
    return text


class Base(DeclarativeBase):
    pass


class StoredCustomer(Base):
    __tablename__ = "customer"
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    last_scan: Mapped[str]


class StoredRestriction(Base):
    __tablename__ = "restriction"
    number: Mapped[int] = mapped_column(primary_key=True)


def _orm(plain: list[dict[str, Any]], stack: ExitStack) -> list[Case]:
    engine = sa.create_engine("sqlite://")
    stack.callback(engine.dispose)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.execute(sa.insert(StoredCustomer), plain)
        session.execute(sa.insert(StoredRestriction), [{"number": row["number"]} for row in plain[::100]])
        session.commit()
    query = sa.select(StoredCustomer)
    allowed = StoredCustomer.number.not_in(sa.select(StoredRestriction.number))
    narrowed = query.options(with_loader_criteria(StoredCustomer, allowed))

    def load(statement: sa.Select[Any]) -> list[Any]:
        with Session(engine) as session:
            return list(session.scalars(statement))

    if len(load(narrowed)) != len(plain) - len(plain[::100]):
        raise peers.PeerDiffers("the criteria leave out other rows")
    return [
        Case(CRITERIA, "load(query)", {"load": load, "query": narrowed}, of=len(plain)),
        Case(NO_CRITERIA, "load(query)", {"load": load, "query": query}, of=len(plain)),
    ]
