"""Texts of SQL: those seen before, and new ones beside sqlglot's own parsing and qualifying of the same text."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

from sqlglot import parse_one
from sqlglot.optimizer.qualify import qualify

from benchmarks.data.measured import TimedRow, time_calls, time_pairs
from purposeguard import Guard
from purposeguard.adapters.sql import Statements
from purposeguard.notice.vocabulary import Source
from purposeguard.notices import trendmicro_jp as tm

PACKAGES = ("sqlglot",)

TABLES: dict[str, dict[str, type[Source]]] = {
    "customer": dict.fromkeys(("id", "name", "email", "city", "company", "age"), tm.Registration),
    "orders": dict.fromkeys(("id", "customer_id", "product", "amount", "ordered", "renewal"), tm.Contract),
    "product": dict.fromkeys(("id", "title", "price", "family"), tm.Contract),
}

TEXTS = {
    "one table": "SELECT id, email FROM customer WHERE city = 'Tokyo' AND age > {n}",
    "a join": (
        "SELECT c.email, o.product FROM customer AS c JOIN orders AS o ON o.customer_id = c.id "
        "WHERE o.renewal < '2026-12-01' AND o.amount > {n} ORDER BY o.renewal LIMIT 100"
    ),
    "three tables and a CTE": (
        "WITH recent AS (SELECT customer_id, product, SUM(amount) AS spent, MAX(ordered) AS latest FROM orders "
        "WHERE ordered >= '2026-01-01' AND amount > {n} GROUP BY customer_id, product) "
        "SELECT c.name, c.email, p.title, r.spent, RANK() OVER (PARTITION BY p.family ORDER BY r.spent DESC) AS place "
        "FROM recent AS r JOIN customer AS c ON c.id = r.customer_id JOIN product AS p ON p.id = r.product "
        "WHERE c.city IN ('Tokyo', 'Osaka') AND p.price * 2 < r.spent ORDER BY place, c.name"
    ),
}


def rows(quick: bool = False) -> list[TimedRow]:
    """Return the rows of the table."""
    guard = Guard(tm.NOTICE)
    statements = Statements(guard, TABLES, dialect="postgres")
    schema: dict[str, object] = {table: dict.fromkeys(columns, "TEXT") for table, columns in TABLES.items()}
    number = itertools.count()

    def parse_new(text: str) -> Callable[[], object]:
        # Each time another number stands in the text, so that neither side has seen it before.
        return lambda: qualify(
            parse_one(text.format(n=next(number)), dialect="postgres"), dialect="postgres", schema=schema
        )

    def check_new(text: str) -> Callable[[], object]:
        return lambda: statements.check(text.format(n=next(number)))

    found = []
    with guard.purpose(tm.RenewalGuidance):
        for name, text in TEXTS.items():
            known = text.format(n=-1)
            statements.check(known)
            found.append(
                TimedRow(
                    f"{name}: text seen before", time_calls(partial(statements.check, known), 100, 1000), limit=2000
                )
            )
        for name, text in TEXTS.items():
            plain, ours, ratio = time_pairs(parse_new(text), check_new(text), 50 if quick else 300)
            found.append(TimedRow(f"{name}: new text", ours, "sqlglot's parse and qualify", plain, 1.3, middle=ratio))
    return found
