"""Generated notices: valid ones, revisions of one notice, and files with known faults."""

from __future__ import annotations

from hypothesis import strategies as st

from purposeguard.notice.history import History
from purposeguard.notice.notice import Notice
from tests.generated import notice_revisions, notice_tables
from tests.generated.notice_faults import FaultyNotice, PlantedFault, faulty_notices
from tests.generated.open_tables import open_tables

__all__ = ["FaultyNotice", "PlantedFault", "faulty_notices", "histories", "notices"]


def notices(
    *,
    derivations: bool = True,
    prohibitions: bool = True,
    overlays: bool = True,
    facts: bool = False,
    conditions: bool = False,
    opened: bool = False,
) -> st.SearchStrategy[Notice]:
    """Valid notices: clauses with items, grants, channels closed and open, families, and what is not left out.

    In English and Japanese; `opened`: or with languages, ids and texts of any kind.

    `facts` adds what clauses 4 to 11 may say, legal bases, extensions to earlier data, and renamings; `conditions` what
    depends on conditions, and several bases for one purpose.
    """
    options = {"derivations": derivations, "prohibitions": prohibitions, "overlays": overlays, "facts": facts}
    options["conditions"] = conditions
    tables = notice_tables.tables(**options)
    if opened:
        tables = st.one_of(tables, open_tables(**options).map(lambda made: made[1]))
    return tables.map(Notice.parse)


def histories(least: int = 2, most: int = 3) -> st.SearchStrategy[History]:
    """Revisions of one notice in the order of their dates; each changes a few clauses."""
    return notice_revisions.revisions(least, most).map(lambda revisions: History(*revisions))
