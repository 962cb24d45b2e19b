"""Generated notices: valid ones, revisions of one notice, and files with known faults."""

from __future__ import annotations

from hypothesis import strategies as st

from purposeguard.notice.history import History
from purposeguard.notice.notice import Notice
from tests.generated import notice_revisions, notice_tables
from tests.generated.notice_faults import FaultyNotice, PlantedFault, faulty_notices

__all__ = ["FaultyNotice", "PlantedFault", "faulty_notices", "histories", "notices"]


def notices(
    *,
    derivations: bool = True,
    prohibitions: bool = True,
    overlays: bool = True,
    facts: bool = False,
    conditions: bool = False,
) -> st.SearchStrategy[Notice]:
    """Valid notices: clauses with items, grants, channels closed and open, families, and what is not left out.

    `facts` adds what clauses 4 to 11 may say, legal bases, extensions to earlier data, and renamings; `conditions` what
    depends on conditions, and several bases for one purpose.
    """
    tables = notice_tables.tables(
        derivations=derivations, prohibitions=prohibitions, overlays=overlays, facts=facts, conditions=conditions
    )
    return tables.map(Notice.parse)


def histories(least: int = 2, most: int = 3) -> st.SearchStrategy[History]:
    """Revisions of one notice in the order of their dates; each changes a few clauses."""
    return notice_revisions.revisions(least, most).map(lambda revisions: History(*revisions))
