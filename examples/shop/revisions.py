"""The revisions of the notice: the published one, and a next one, made up for this example, that promises more."""

from __future__ import annotations

from datetime import date
from typing import Any

import purposeguard as pg
from examples.shop.privacy import guard
from examples.shop.repository import NotFound
from purposeguard.cli.diff import Diff
from purposeguard.cli.revision_effects import effects
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.diff import compare


def _next() -> pg.Notice:
    """Return the published notice with one more promise: it advertises nothing to users of the website alone."""
    tables: dict[str, Any] = tm.NOTICE.dump()
    tables["revision"] = date(2025, 4, 1)
    reason = {"en": "website users are not told of products any more", "ja": "Web利用者には製品を案内しない"}
    tables["forbid"] = [{"sources": ["2.1(a)", "2.1(b)", "2.1(c)"], "purposes": ["2.2①"], "reason": reason}]
    return pg.Notice.parse(tables)


REVISIONS = {notice.revision: notice for notice in (tm.NOTICE, _next())}
PUBLISHED = tm.NOTICE.revision


def put_in_force(revision: date) -> None:
    """Put a revision into force.

    The guard keeps the earlier ones, because data keeps the revision under which it was collected.
    """
    _find_revision(revision)
    guard.replace(pg.History(*(notice for day, notice in REVISIONS.items() if day <= revision)))


def changes(revision: date) -> dict[str, list[str]]:
    """Return what `purposeguard diff` says of a revision and the one before, and of the shop, by heading."""
    before = max((day for day in REVISIONS if day < revision), default=revision)
    comparison = compare(_find_revision(before), _find_revision(revision))
    return dict(Diff(comparison, "the shop", effects(guard, comparison)).sections())


def _find_revision(revision: date) -> pg.Notice:
    """Return the notice of a revision. Raise NotFound if there is none."""
    if revision not in REVISIONS:
        raise NotFound("revision", revision)
    return REVISIONS[revision]
