"""The comparison of the tables of governance with the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

import sqlalchemy as sa

from purposeguard.containers import pick_keys
from purposeguard.governance.ledger import entries
from purposeguard.governance.ledger.chain import Body
from purposeguard.governance.ledger.reading import LedgerSnapshot
from purposeguard.governance.pseudonyms import digest_subject, forgotten, pseudonym
from purposeguard.governance.request_records import request, step
from purposeguard.governance.restrictions import CONSENT, declaration, revocation
from purposeguard.governance.subjects import make_ledger_details
from purposeguard.governance.transfers import MOST_NAMED, provided_subject, provision

REVOKED: Final = ("lifted", "withdrawn")
"""The actions that entries record of restrictions and consents that were taken back."""


class LedgerDifference(NamedTuple):
    """A row that the ledger contradicts: `restriction 4`, and the fault."""

    place: str
    what: str


NOT_THERE: Final = "the ledger says so, and the row is gone"
NOT_SAID: Final = "the row is there, and the ledger says nothing of it"
CHANGED: Final = "the row says something else than the ledger"

Facts = Mapping[tuple[Any, ...], tuple[str, object]]
"""The recorded facts, by a key: the name of each, and its content."""


def reconcile(snapshot: LedgerSnapshot, connection: sa.Connection) -> Iterator[LedgerDifference]:
    """Yield the differences between the ledger and the rows of restrictions, consents, requests and hand-overs.

    `connection` is that of the snapshot. The ledger itself is not verified. A row from before the ledger existed is a
    difference.

    Raises:
        LedgerBroken: an entry is malformed.
        ValueError: entries were archived, and the snapshot is without them.
    """
    if snapshot.start.seq:
        raise ValueError(f"entries 1 to {snapshot.start.seq} were archived: name the archives before the store")
    ledger_facts = _collect_ledger_facts(snapshot)
    try:
        table_facts = _collect_table_facts(connection, ledger_facts)
    except (ValueError, TypeError):
        yield LedgerDifference("tables", "a row holds what is written nowhere: it was changed")
        return
    yield from _check_keys(connection)
    for key in sorted({*ledger_facts, *table_facts}, key=str):
        if key not in table_facts:
            yield LedgerDifference(ledger_facts[key][0], NOT_THERE)
        elif key not in ledger_facts:
            yield LedgerDifference(table_facts[key][0], NOT_SAID)
        elif ledger_facts[key][1] != table_facts[key][1]:
            yield LedgerDifference(table_facts[key][0], CHANGED)


def _collect_ledger_facts(snapshot: LedgerSnapshot) -> Facts:
    """Return the facts that the entries of the ledger record about rows of the tables."""
    facts: dict[tuple[Any, ...], tuple[str, object]] = {}
    steps: defaultdict[Any, int] = defaultdict(int)
    for entry in snapshot.entries({"restriction", "consent", "request", "provision", "erasure"}):
        body = dict(entry.body)
        if entry.kind in ("restriction", "consent"):
            revoked = body.get("what") in REVOKED
            key: tuple[Any, ...] = ("revocation" if revoked else "declaration", body.get("id"))
            facts[key] = f"{entry.kind} {body.get('id')}{', taken back' if revoked else ''}", body
        elif entry.kind == "request":
            number = body.get("request")
            steps[number] += 1
            facts["step", number, steps[number]] = f"request {number}, step {steps[number]}", _step_facts(body)
            facts["request", number] = f"request {number}", body | {"did": None, "by": None}
        elif entry.kind == "erasure":
            if "subject" in body:  # otherwise data of the application was erased
                facts["forgotten", body["subject"]] = f"pseudonym {body['subject']}, forgotten", body
        elif "provision" in body:
            number = body["provision"]
            facts["provision", number] = f"provision {number}", body | {"subjects": None}
            named = body.get("subjects")
            facts["subjects", number] = (
                f"subjects of provision {number}",
                sorted(named) if named is not None and len(named) == body["count"] else body["count"],
            )
    return facts


def _step_facts(body: Body) -> dict[str, Any]:
    return pick_keys(body, ("did", "by", "state", "due_on"))


def _collect_table_facts(connection: sa.Connection, ledger_facts: Facts) -> Facts:
    """Return the facts that the tables record, in the form of those that the ledger records.

    Args:
        connection: The connection of the ledger's snapshot.
        ledger_facts: The facts of the ledger. Where its entries are of older versions, which recorded less, the facts
            of the tables leave out the same parts.

    Raises:
        ValueError, TypeError: a row holds a value that the library does not write.
    """
    return {
        **_collect_restriction_facts(connection),
        **_collect_request_facts(connection, ledger_facts),
        **_collect_provision_facts(connection),
        **_collect_erasure_facts(connection),
    }


def _collect_restriction_facts(connection: sa.Connection) -> Facts:
    """Return the facts about restrictions and consents, and about those that were taken back."""
    facts: dict[tuple[Any, ...], tuple[str, object]] = {}
    kinds: dict[int, tuple[str, str]] = {}
    for row in connection.execute(sa.select(declaration)).mappings():
        kind, subject = "consent" if row["kind"] == CONSENT else "restriction", row["pseudonym"]
        kinds[row["id"]] = kind, subject
        body = {"what": row["kind"], "subject": subject, "id": row["id"], **make_ledger_details(dict(row))}
        facts["declaration", row["id"]] = f"{kind} {row['id']}", _normalize_body(kind, body)
    for row in connection.execute(sa.select(revocation)).mappings():
        number = row["declaration"]
        kind, subject = kinds.get(number, ("restriction", ""))
        action = "withdrawn" if kind == "consent" else "lifted"
        body = {"what": action, "subject": subject or None, "id": number, **make_ledger_details(dict(row))}
        facts["revocation", number] = f"{kind} {number}, taken back", _normalize_body(kind, body)
    return facts


def _collect_request_facts(connection: sa.Connection, ledger_facts: Facts) -> Facts:
    """Return the facts about requests and their steps, without clerks that entries of older versions do not name."""
    facts: dict[tuple[Any, ...], tuple[str, object]] = {}
    for row in connection.execute(sa.select(request)).mappings():
        body = {name: row[name] for name in ("kind", "requester", "purposes", "revision", "due_on", "state")}
        body |= {"subject": row["pseudonym"], "did": None, "by": None, "request": row["id"]}
        facts["request", row["id"]] = f"request {row['id']}", _normalize_body("request", body)
    for row in connection.execute(sa.select(step)).mappings():
        key = "step", row["request"], row["number"]
        taken = _step_facts(_normalize_body("request", dict(row)))
        if key in ledger_facts and "by" not in cast("Body", ledger_facts[key][1]):
            del taken["by"]
        facts[key] = f"request {row['request']}, step {row['number']}", taken
    return facts


def _collect_provision_facts(connection: sa.Connection) -> Facts:
    """Return the facts about hand-overs, and about their subjects if they are few enough to be named."""
    facts: dict[tuple[Any, ...], tuple[str, object]] = {}
    provided_names: defaultdict[int, list[str]] = defaultdict(list)
    for row in connection.execute(sa.select(provided_subject)).mappings():
        provided_names[row["provision"]].append(row["pseudonym"])
    for row in connection.execute(sa.select(provision)).mappings():
        number = row["id"]
        body = {name: value for name, value in row.items() if name not in ("id", "at", "name", "subjects")}
        body |= {"provision": number, "handed_over": row["at"], "count": row["subjects"], "subjects": None}
        facts["provision", number] = f"provision {number}", _normalize_body("provision", body)
        few = row["subjects"] <= MOST_NAMED
        facts["subjects", number] = (
            f"subjects of provision {number}",
            sorted(provided_names.pop(number, [])) if few else len(provided_names.pop(number, [])),
        )
    for number in provided_names:
        facts["subjects", number] = f"subjects of provision {number}", None
    return facts


def _collect_erasure_facts(connection: sa.Connection) -> Facts:
    """Return the facts about persons who were forgotten."""
    facts: dict[tuple[Any, ...], tuple[str, object]] = {}
    for row in connection.execute(sa.select(forgotten)).mappings():
        body = {"what": "subject", "subject": row["pseudonym"], "barred": row["bar"]}
        facts["forgotten", row["pseudonym"]] = (
            f"pseudonym {row['pseudonym']}, forgotten",
            _normalize_body("erasure", body),
        )
    return facts


def _check_keys(connection: sa.Connection) -> Iterator[LedgerDifference]:
    """Yield the keys in the store that do not fit their persons, and the pseudonyms without a key."""
    if not sa.inspect(connection).has_table(pseudonym.name):  # the keys are in a store of their own
        return
    known_pseudonyms = set(connection.execute(sa.select(forgotten.c.pseudonym)).scalars())
    for row in connection.execute(sa.select(pseudonym)):
        known_pseudonyms.add(row.pseudonym)
        if row.key is not None and digest_subject(row.key, row.subject) != row.pseudonym:
            yield LedgerDifference(f"key of pseudonym {row.pseudonym}", "it was given to another person")
    for table in (declaration, request):
        named = sa.select(table.c.pseudonym).where(table.c.pseudonym.is_not(None)).distinct()
        for name in sorted(set(connection.execute(named).scalars()) - known_pseudonyms):
            yield LedgerDifference(f"key of pseudonym {name}", "it is gone, and the person was not forgotten")


def _normalize_body(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body as an entry has it."""
    return entries.normalize_entry(kind, body)[1]
