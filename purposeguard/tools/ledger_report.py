"""A ledger for people: uses added up by the hour, and the other entries one by one."""

from __future__ import annotations

import collections
import datetime
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from purposeguard.tools.problems import Problem
from purposeguard.tools.render import Column, Report, Table

if TYPE_CHECKING:
    from purposeguard.governance.ledger import Entry, Hour, Reading

COLUMNS: Final = ("seq", "at", "kind", "activity", "purpose", "sources", "count", "body", "prev", "hash")
"""The columns of an export as CSV."""

TOLD_APART: Final = ("activity", "purpose", "sources")
"""What of an entry's body has a column of its own."""


def ledger_report(
    found: Reading,
    *,
    kinds: Collection[str],
    activity: str | None,
    since: datetime.datetime | None,
    until: datetime.datetime | None,
    limit: int,
) -> Report:
    """What was used, and what else is told, of these kinds (none: of all), by this activity, in this time.

    Raises:
        Problem: there is no such kind.
        LedgerBroken: an entry cannot be read.
    """
    from purposeguard.governance.ledger import KINDS  # noqa: PLC0415  # needs the extra `governance`

    for kind in kinds:
        if kind not in KINDS:
            raise Problem(f"there are no entries of kind `{kind}`: {', '.join(KINDS)}")
    wanted = set(kinds or KINDS)
    uses: list[tuple[Hour, int]] = []
    if "use" in wanted:
        every = [(key, count) for key, count in found.uses(since, until).items() if activity in (None, key.activity)]
        uses = sorted(every, key=lambda one: one[0].order)
    newest: collections.deque[Entry] = collections.deque(maxlen=limit)
    met = 0
    if wanted - {"use"}:
        for entry in found.entries(wanted - {"use"}, since, until):
            if activity in (None, entry.body.get("activity")):
                newest.append(entry)
                met += 1
    left = {"uses": max(0, len(uses) - limit), "entries": met - len(newest)}
    uses = uses[left["uses"] :]
    warnings = tuple(
        f"{count:,} earlier {what} are left out (--limit {limit})" for what, count in left.items() if count
    )
    tables = (*([_uses(uses)] if "use" in wanted else []), *([_entries(newest)] if wanted - {"use"} else []))
    data = {
        "uses": [key.body(count) for key, count in uses],
        "entries": [{"seq": one.seq, "at": one.at, "kind": one.kind, "body": one.body} for one in newest],
        "left_out": left,
    }
    return Report(data, tables, _flat(uses, newest), warnings)


def _uses(uses: Collection[tuple[Hour, int]]) -> Table:
    columns = (Column("hour (UTC)", "group"), Column("activity"), Column("purpose"), Column("sources"), Column("uses"))
    rows = [
        (_hour(key.hour), key.activity or "(bare check)", key.purpose, " ".join(key.sources), f"{count:,}")
        for key, count in uses
    ]
    total = sum(count for _, count in uses)
    return Table(f"Uses ({total:,})", columns, tuple(rows))


def _entries(entries: Collection[Entry]) -> Table:
    columns = (Column("entry"), Column("at (UTC)"), Column("kind"), Column("what"), Column("more", "under"))
    rows = [(f"{one.seq:,}", _second(one.at), one.kind, *_told(one.kind, one.body)) for one in entries]
    return Table(f"Entries ({len(entries):,})", columns, tuple(rows))


def _hour(hour: str) -> str:
    return hour.removesuffix("Z").replace("T", " ")


def _second(at: str) -> str:
    return at[:19].replace("T", " ")


def _told(kind: str, body: Mapping[str, Any]) -> tuple[str, str]:
    """What an entry says, in a line, and the rest of it."""
    rest = dict(body)
    head = str(rest.pop("reason", "")) if kind == "denial" else ""
    if kind == "denial" and rest.pop("observed", False):
        head = f"observed only: {head}"
    for name in ("name", "what", "did", "step", "recipient", "basis", "eraser", "kept_in"):
        if not head and isinstance(rest.get(name), str):
            head = rest.pop(name)
    return head, ", ".join(f"{name}: {_plain(value)}" for name, value in rest.items() if value not in (None, [], {}))


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_plain, value))
    if isinstance(value, (dict, bool)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _flat(uses: Collection[tuple[Hour, int]], entries: Collection[Entry]) -> Table:
    columns = tuple(map(Column, ("kind", "entry", "at", "activity", "purpose", "sources", "count", "body")))
    rows: list[tuple[str, ...]] = [
        ("use", "", key.hour, key.activity or "", key.purpose, " ".join(key.sources), str(count), "")
        for key, count in uses
    ]
    rows += [
        (one.kind, str(one.seq), one.at, *(_plain(one.body.get(name) or "") for name in TOLD_APART), "", one.body_text)
        for one in entries
    ]
    return Table("Ledger", columns, tuple(rows))


def csv_row(entry: Entry) -> tuple[object, ...]:
    """An entry under `COLUMNS`."""
    apart = (_plain(entry.body.get(name) or "") for name in TOLD_APART)
    return entry.seq, entry.at, entry.kind, *apart, entry.body.get("count", ""), entry.body_text, entry.prev, entry.hash
