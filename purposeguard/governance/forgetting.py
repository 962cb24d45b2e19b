"""The forgetting of subjects, after which nothing in the store or the ledger tells which person it was.

Store and ledger name a person by a pseudonym. Forgetting destroys the key that links it to the person, and free text.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa

from purposeguard.governance import changes
from purposeguard.governance.pseudonyms import forgotten, select_list_members
from purposeguard.governance.recording import add_ledger_entry
from purposeguard.governance.request_records import PENDING, request, step
from purposeguard.governance.restrictions import CONSENT, declaration, revocation
from purposeguard.governance.store import Store


def forget_subjects(
    store: Store, subjects: Iterable[str], now: datetime.datetime, *, bar: bool | None = None, ledger: object = None
) -> dict[str, int]:
    """Forget these subjects, by `subject_key`, except those with an unanswered request.

    If this is interrupted, either nothing was done, or the remaining keys are destroyed when the store is opened, or by
    the next call.

    Args:
        store: The store of the subjects.
        subjects: The subjects to forget.
        now: The present time.
        bar: True to bar the subjects, so that nothing of theirs may ever be used again; None to bar those with a
            restriction in force; False to lift an earlier bar.
        ledger: The ledger to report to.

    Returns:
        By subject, the id of an unanswered request, for subjects that were not forgotten.

    Raises:
        StoreUnavailable: the store, or its keys, cannot be used.
    """
    keys, ordered_subjects = store.keys, sorted(set(subjects))
    with store.writing() as connection:
        names = keys.issue(connection, ordered_subjects) if bar else keys.find_known(connection, ordered_subjects).names
        # Requests are locked before preferences, as everywhere.
        unanswered = _find_unanswered(connection, names.values())
        to_forget: dict[str, str] = {}
        open_request_ids: dict[str, int] = {}
        for subject, name in names.items():
            if name in unanswered:
                open_request_ids[subject] = unanswered[name]
            else:
                to_forget[subject] = name
        if to_forget:
            last_change = changes.record_changes(connection, to_forget)
            first_change = last_change - len(to_forget) + 1
            restricted = _find_restricted(connection, to_forget.values(), now)
            _remove_texts(connection, to_forget.values())
            rows = _make_rows(to_forget.values(), first_change, restricted if bar is None else bar)
            connection.execute(sa.insert(forgotten), rows)
            for row in rows:
                body = {"what": "subject", "subject": row["pseudonym"], "barred": row["bar"]}
                add_ledger_entry(ledger, store, connection, "erasure", body)
        if bar is False:
            keys.unbar(connection, [subject for subject in ordered_subjects if subject not in open_request_ids])
    store.destroy_keys()
    store.tell(ordered_subjects)
    return open_request_ids


def _make_rows(names: Iterable[str], first_change: int, bar: bool | Collection[str]) -> list[dict[str, Any]]:
    """Return the rows that note these pseudonyms as forgotten.

    Args:
        names: The pseudonyms.
        first_change: The number of the change of the first pseudonym.
        bar: True or False for all of them, or the pseudonyms that are barred.
    """
    rows: list[dict[str, Any]] = []
    for seq, name in enumerate(names, first_change):
        rows.append({"seq": seq, "pseudonym": name, "bar": bar if isinstance(bar, bool) else name in bar})
    return rows


def find_unanswered(store: Store, subjects: Iterable[str]) -> dict[str, int]:
    """Return the unanswered request of each of these subjects who has one, by number. Raise StoreUnavailable."""
    with store.reading() as connection:
        names = store.keys.find_known(connection, list(subjects)).names
        numbers = _find_unanswered(connection, names.values(), lock=False)
    return {subject: numbers[name] for subject, name in names.items() if name in numbers}


def _find_unanswered(connection: sa.Connection, names: Collection[str], *, lock: bool = True) -> dict[str, int]:
    theirs = sa.select(request.c.pseudonym, request.c.id, request.c.state).where(
        _match_names(connection, request.c.pseudonym)
    )
    query = theirs.order_by(request.c.id)
    rows = connection.execute(query.with_for_update() if lock else query, _name_parameters(names)).all()
    return {row.pseudonym: row.id for row in rows if row.state in PENDING}


def _find_restricted(connection: sa.Connection, names: Collection[str], now: datetime.datetime) -> frozenset[str]:
    """Return the pseudonyms of these that have a restriction in force."""
    lasting = sa.or_(declaration.c.until.is_(None), declaration.c.until > now)
    query = (
        sa.select(declaration.c.pseudonym)
        .select_from(declaration.outerjoin(revocation))
        .where(revocation.c.declaration.is_(None), declaration.c.kind != CONSENT, lasting)
        .where(_match_names(connection, declaration.c.pseudonym))
    )
    return frozenset(connection.execute(query, _name_parameters(names)).scalars())


def _remove_texts(connection: sa.Connection, names: Collection[str]) -> None:
    """Remove the texts that clerks wrote, which may name the person."""
    declarations = sa.select(declaration.c.id).where(_match_names(connection, declaration.c.pseudonym))
    requests = sa.select(request.c.id).where(_match_names(connection, request.c.pseudonym))
    for statement in (
        sa.update(revocation).where(revocation.c.declaration.in_(declarations)).values(reference=None),
        sa.update(declaration).where(_match_names(connection, declaration.c.pseudonym)).values(reference=None),
        sa.update(step).where(step.c.request.in_(requests)).values(text=None),
        sa.update(request).where(_match_names(connection, request.c.pseudonym)).values(authority=None),
    ):
        connection.execute(statement, _name_parameters(names))


def _match_names(connection: sa.Connection, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return column.in_(select_list_members(connection.dialect.name, "names"))


def _name_parameters(names: Collection[str]) -> dict[str, list[str]]:
    return {"names": list(names)}
