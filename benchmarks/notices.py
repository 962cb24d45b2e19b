"""Notices of any size, made up."""

from __future__ import annotations

from typing import Any

COMMON = 10
"""Purposes that every source may serve."""


def notice_tables(purposes: int, sources: int, each: int = COMMON) -> dict[str, Any]:
    """Return the tables of a notice in which each source may serve `each` purposes.

    These are the first ten purposes and some of the others.

    Purposes are granted by the clause, ten to each; a clause that no source came to goes to one of them.
    """
    rows = [_make_term(f"2.{number}", f"Purpose{number}") for number in range(1, purposes + 1)]
    clauses = [rows[start : start + COMMON] for start in range(0, purposes, COMMON)]
    granted: list[list[str]] = [[] for _ in clauses]
    for number in range(1, sources + 1):
        # An odd step through the clauses, so that the sources differ in what they may serve.
        others = dict.fromkeys(1 + (number * 7 + step * 13) % (len(clauses) - 1) for step in range(each // COMMON - 1))
        for clause in (0, *others):
            granted[clause].append(f"1.{number}")
    grants: list[dict[str, Any]] = []
    for number, terms in enumerate(clauses):
        grant = {"clause": f"3.{number}", "title": _titles(f"Clause {number}"), "purpose": terms}
        grant["sources"] = granted[number] or [f"1.{number % sources + 1}"]
        grants.append(grant)
    return {
        "format": 1,
        "id": "made-up",
        "revision": "2024-01-01",
        "controller": _titles("Controller"),
        "title": _titles("Notice"),
        "source": [_make_term(f"1.{number}", f"Source{number}") for number in range(1, sources + 1)],
        "grant": grants,
    }


def _make_term(id_: str, name: str) -> dict[str, Any]:
    return {"id": id_, "class": name, "title": _titles(name)}


def _titles(text: str) -> dict[str, str]:
    return {"en": text, "ja": text}
