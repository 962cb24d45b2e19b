"""A small database that statements are about: its tables by name, and what an analysis of them looks like in a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from purposeguard.adapters.sql import Analysis, analyse

TABLES: Mapping[str, Iterable[str] | str] = {
    "customer": ["id", "email", "name", "device"],
    "orders": ["id", "customer", "total", "day", "items"],
    "mailing": ["address", "kind", "id"],
    "recent": "SELECT id, email AS mail, lower(name) AS small, device || name AS both FROM customer WHERE device = 'x'",
}

EVERY = ("customer.device", "customer.email", "customer.id", "customer.name")
"""All columns of `customer`."""


def read(dialect: str, text: str, functions: Iterable[str] = ()) -> Analysis:
    """What a statement about the shop reads and writes."""
    return analyse(text, TABLES, dialect, functions)


def used(dialect: str, text: str) -> str:
    """The columns that it reads: `customer.email customer.id`."""
    found = read(dialect, text).used
    return " ".join(sorted(f"{table}.{column}" for table, columns in found.items() for column in columns))


def flows(given: Mapping[str, frozenset[tuple[str, str]]]) -> dict[str, str]:
    """By name, the columns that something is made of, in the same way."""
    return {name: " ".join(sorted(".".join(one) for one in flow)) for name, flow in given.items()}


def outputs(dialect: str, text: str) -> dict[str, str]:
    """By name, the columns that its outputs are made of."""
    return flows(read(dialect, text).outputs)


def writes(dialect: str, text: str) -> dict[str, str]:
    """By column of its target, the columns that flow into it."""
    return flows(read(dialect, text).writes)
