"""The request desk at the command line: whose it is, and how it stands as a report."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purposeguard.guard import Guard
from purposeguard.notice.notice import Notice
from purposeguard.tools.application import find
from purposeguard.tools.problems import Problem
from purposeguard.tools.render import Column, Report, Table

if TYPE_CHECKING:
    # Its libraries may be missing.
    from purposeguard.governance import Governance, Overview, Request


@contextlib.contextmanager
def opened(target: str, notice: Notice, others: Iterable[str] = ()) -> Generator[Governance]:
    """The governance of an application, `MODULE:NAME`, or one over a store that is named by its URL or its file.

    Raises:
        Problem: there is none, or its libraries are not installed.
        StoreUnavailable: the store cannot be opened.
    """
    try:
        from purposeguard.governance import Governance  # noqa: PLC0415  # needs the extra `governance`
        from purposeguard.governance.store import existing_store  # noqa: PLC0415  # likewise
    except ModuleNotFoundError as error:
        raise Problem(
            f"requests need {error.name}, which is not installed: pip install 'purposeguard[governance]'"
        ) from error
    if "://" not in target and not Path(target).is_file():
        found = find(target, others)
        governance = found.governance if isinstance(found, Guard) else found
        if not isinstance(governance, Governance):
            what = "a guard without governance" if governance is None else f"a {type(found).__name__}"
            raise Problem(f"`{target}` is {what}: name a Governance, a guard that has one, or the URL of a store")
        yield governance
        return
    try:
        store = existing_store(target)
    except ValueError as error:  # of the URL
        raise Problem(str(error)) from error
    # Looking at a store is no use of data, so no ledger is told.
    with store, Governance(store, notice=notice, ledger=False) as governance:
        yield governance


def requests_report(overview: Overview, only: str | None) -> Report:
    """How the desk stands: `only` what is `open`, or `overdue`, or (None) the counts beside it."""
    listed = overview.overdue if only == "overdue" else overview.pending
    data: dict[str, Any] = {
        "as_of": overview.as_of.isoformat(),
        "today": overview.today.isoformat(),
        "overdue": len(overview.overdue),
        "counts": [{"kind": kind, "state": state, "count": count} for (kind, state), count in overview.counts.items()],
        "requests": [_data(one, overview) for one in listed],
    }
    columns = (
        *(Column("no."), Column("request"), Column("purposes", "under"), Column("state"), Column("subject")),
        *(Column("received"), Column("answer by", "verdict"), Column("requester", "under")),
    )
    rows = tuple(
        (
            *(str(one.id), one.kind, " ".join(one.purposes or ()), one.state, one.subject or "-"),
            *(f"{one.received_at:%Y-%m-%d}", _deadline(one, overview), f"by {one.requester}"),
        )
        for one in listed
    )
    title = f"{'Overdue' if only == 'overdue' else 'To be answered'} on {overview.today} ({len(listed)})"
    tables = [Table(title, columns, rows)]
    if only is None:
        counted = tuple((kind, state, str(count)) for (kind, state), count in overview.counts.items())
        tables.append(Table("All requests", (Column("request", "group"), Column("state"), Column("number")), counted))
    names = ("id", "kind", "state", "requester", "subject", "purposes", "received_at", "due_on", "overdue", "extended")
    flat = Table(
        "requests",
        tuple(Column(name) for name in names),
        tuple(tuple(_cell(row[name]) for name in names) for row in data["requests"]),
    )
    return Report(data, tuple(tables), flat)


def _data(one: Request, overview: Overview) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "state": one.state,
        "requester": one.requester,
        "subject": one.subject,
        "purposes": None if one.purposes is None else list(one.purposes),
        "received_at": one.received_at.isoformat(),
        "due_on": None if one.due_on is None else one.due_on.isoformat(),
        "overdue": one.overdue(overview.today),
        "extended": one.extended,
        "suspended_meanwhile": one.interim is not None,
    }


def _deadline(one: Request, overview: Overview) -> str:
    if one.due_on is None:
        return "-"
    put_off = ", put off" if one.extended else ""
    return f"OVERDUE since {one.due_on}{put_off}" if one.overdue(overview.today) else f"{one.due_on}{put_off}"


def _cell(value: Any) -> str | bool:
    if isinstance(value, list):
        return " ".join(value)
    return value if isinstance(value, bool) else "" if value is None else str(value)
