"""The revisions of the notice: the published one, and the next, made up for this example, which promises more."""

from __future__ import annotations

from datetime import date
from typing import Any

import purposeguard as pg
from examples.shop.privacy import guard
from examples.shop.repository import NotFound
from purposeguard.cli.application import effects
from purposeguard.cli.diff import Diff
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.diff import compare


def _next() -> pg.Notice:
    """As the published one, but who gave an address on the website alone is told of no products any more."""
    tables: dict[str, Any] = tm.NOTICE.dump()
    tables["revision"] = date(2025, 4, 1)
    reason = {"en": "website users are not told of products any more", "ja": "Web利用者には製品を案内しない"}
    tables["forbid"] = [{"sources": ["2.1(a)", "2.1(b)", "2.1(c)"], "purposes": ["2.2①"], "reason": reason}]
    return pg.Notice.parse(tables)


REVISIONS = {one.revision: one for one in (tm.NOTICE, _next())}
PUBLISHED = tm.NOTICE.revision


def put_in_force(revision: date) -> None:
    """Decides by this one from now on, with those before it behind: data keeps the one that it was collected under."""
    _known(revision)
    guard.replace(pg.History(*(one for day, one in REVISIONS.items() if day <= revision)))


def changes(revision: date) -> dict[str, list[str]]:
    """What `purposeguard diff` says of this one after the one before, and of the shop under it: by headings."""
    before = max((day for day in REVISIONS if day < revision), default=revision)
    found = compare(_known(before), _known(revision))
    return dict(Diff(found, "the shop", effects(guard, found)).sections())


def _known(revision: date) -> pg.Notice:
    if revision not in REVISIONS:
        raise NotFound("revision", revision)
    return REVISIONS[revision]
