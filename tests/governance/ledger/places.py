"""Where ledgers are kept, what they are told, and a clock that shows what it is set to."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

import purposeguard as pg
from purposeguard.governance.ledger import SqlLedger
from purposeguard.governance.ledger.chain import Entry
from purposeguard.governance.ledger.tables import head, ledger
from purposeguard.governance.store import Store
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Provision
from purposeguard.policy.violations import violation_class
from purposeguard.runtime.declarations import LegalException, Reclassification
from purposeguard.runtime.site import Site
from tests.governance.support import PATIENCE, START, Time

SITE = Site("shop.mail", "remind", 7)
DIGEST = "0123456789abcdef" * 2
NEVER = 3600.0
"""An interval in which no test waits for counts to be written."""
R, C, D = pg.Label(tm.Registration), pg.Label(tm.Contract), pg.Label(tm.ProductData)


def row_values(entry: Entry) -> dict[str, Any]:
    """The row of an entry."""
    return {name: getattr(entry, name) for name in ("seq", "at", "kind", "prev", "hash")} | {"body": entry.body_text}


def rewrite_chain(store: Store, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the entries of a ledger, and write all of them anew with hashes that are right."""
    with store.writing() as connection:
        entries = [dict(row) for row in connection.execute(sa.select(ledger).order_by(ledger.c.seq)).mappings()]
        seq, prev = entries[0]["seq"] - 1, entries[0]["prev"]
        change(entries)
        made = []
        for row in entries:
            entry = Entry.after(seq, prev, row["at"], row["kind"], json.loads(row["body"]))
            seq, prev = entry.seq, entry.hash
            made.append(row_values(entry))
        connection.execute(sa.delete(ledger))
        if made:
            connection.execute(sa.insert(ledger).values(made))
        connection.execute(sa.update(head).values(seq=seq, hash=prev))


class Place:
    """Where one ledger is kept. What is opened on it is closed with it."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._opened = contextlib.ExitStack()
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        """The store, which is opened when it is first needed."""
        if self._store is None:
            self._store = self._opened.enter_context(Store.open(self.target, timeout=PATIENCE))
        return self._store

    def open(self, *, interval: float = NEVER, **options: Any) -> SqlLedger:
        """Another object for the same ledger."""
        return self._opened.enter_context(SqlLedger(self.store, interval=interval, **options))

    def change(self, statement: sa.Executable) -> None:
        """Changes the tables behind the ledger's back."""
        with self.store.writing() as connection:
            connection.execute(statement)

    def row(self, table: sa.Table, number: int) -> dict[str, Any]:
        """What is in a row."""
        key = next(iter(table.primary_key))
        with self.store.reading() as connection:
            return dict(connection.execute(sa.select(table).where(key == number)).mappings().one())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._opened.close()


def denial(
    source: type[pg.Source] = tm.ProductData, purpose: type[pg.Purpose] = tm.RenewalGuidance, **facts: str
) -> pg.PurposeViolation:
    """What a guard tells of a refusal."""
    decision = pg.Guard(tm.NOTICE).explain(source, purpose)
    return violation_class(decision)(decision, **facts)


RECLASSIFICATION = Reclassification("totals", D, pg.Label(pg.NotPersonal), "a sum names nobody", "privacy", SITE)

EXCEPTION = LegalException(
    "shop.warrant", "law", "a warrant", "counsel", frozenset({"7"}), START + datetime.timedelta(days=1), SITE
)

PROVISION = Provision(
    recipient="mail-house",
    kind="domestic-contractor",
    country="JP",
    clauses=("4",),
    sources=("1.1(a)",),
    purpose="1.2(1)①",
    revision=datetime.date(2024, 4, 1),
    activity="shop.mail.remind",
    means="database-access",
    subjects=("7", "8"),
    at=START,
)


def tell(told: SqlLedger, entries: int, time: Time | None = None) -> None:
    """Tells a ledger of a bit of everything, until it has so many entries."""
    for number in range(entries):
        if time is not None:
            time.passes(minutes=7)
        told.counter("shop.mail.remind", "1.2(1)①", R)()
        told.flush()
        match number % 7:
            case 0:
                told.denied(denial(activity="shop.mail.remind", function="shop.read", field="①"), observed=False)
            case 1:
                told.denied(pg.PurposeMissing("data was read outside any purpose: say why"), observed=True)
            case 2:
                told.reclassified(RECLASSIFICATION, D, None)
            case 3:
                told.excepted(EXCEPTION, R, "7", 2)
            case 4:
                told.provided(PROVISION)
            case 5:
                body = {"what": "suspension-of-use", "subject": DIGEST, "id": number, "purposes": ["1.2(1)①"]}
                told.append("restriction", body)
            case 6:
                told.append("request", {"subject": DIGEST, "did": "opened", "request": "disclosure"})
