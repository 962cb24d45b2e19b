"""Revisions of the bundled notice: those that grant less, and one that grants more."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from purposeguard import Notice

Tables = dict[str, Any]


def bundled() -> Tables:
    tables: Tables = json.loads(json.dumps(Notice.bundled("trendmicro-jp").dump(), default=str))
    return tables


def third_parties() -> Tables:
    """Contracts, 1.1(c), are no longer for products of other companies, 1.2(1)③."""
    return _forbidding("1.1(c)", "1.2(1)③")


def telemetry() -> Tables:
    """What products collect, 1.1(b), is no longer for improving them, 1.2(2)②."""
    return _forbidding("1.1(b)", "1.2(2)②")


def no_events() -> Tables:
    """The purpose of inviting customers to events, 1.2(1)⑤, is gone."""
    tables = bundled()
    for row in tables["grant"]:
        row["purpose"] = [purpose for purpose in row["purpose"] if purpose["id"] != "1.2(1)⑤"]
    for row in tables["family"]:
        row["purposes"] = [given for given in row["purposes"] if given != "1.2(1)⑤"]
    return tables


def unlinked() -> Tables:
    """Data of the terminal is no longer linked with what else is known of a person, 2.3③."""
    tables = bundled()
    del tables["derivation"]
    return tables


def _forbidding(source: str, purpose: str) -> Tables:
    reason = {"en": "withdrawn", "ja": "取りやめ"}
    return bundled() | {"forbid": [{"sources": [source], "purposes": [purpose], "reason": reason}]}


def wider() -> Tables:
    """What products collect, 1.1(b), is for all that contracts are for."""
    tables = bundled()
    for row in tables["grant"]:
        if "1.1(c)" in row["sources"]:
            row["sources"] = sorted({*row["sources"], "1.1(b)"})
    return tables


NARROWER: dict[str, Callable[[], Tables]] = {
    "third_parties": third_parties,
    "telemetry": telemetry,
    "no_events": no_events,
    "unlinked": unlinked,
}


DRAFTS = {**NARROWER, "wider": wider}


def revision(name: str) -> Notice:
    """A draft, or else the published revision, as a notice."""
    return Notice.parse(DRAFTS[name]() | {"revision": "2026-04-01"} if name in DRAFTS else bundled())
