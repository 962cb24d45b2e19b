"""Decisions about attributes of mapped classes: whether the use under way may read an attribute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Mapper

from purposeguard.adapters.sqlalchemy.keepers import Watch
from purposeguard.adapters.sqlalchemy.requirements import Requirements
from purposeguard.adapters.tags import Columns
from purposeguard.errors import UnlabelledData
from purposeguard.runtime.use import Use


def decide_read(watch: Watch, requirements: Requirements, *, detached: bool = False) -> None:
    """Check that the use under way may read an attribute, and record it in the ledger.

    Args:
        watch: The checks of the engine.
        requirements: The columns that the attribute uses.
        detached: True if the object was loaded for another purpose, and cannot be loaded again.

    Raises:
        PurposeMissing, PurposeViolation: the attribute may not be read.
        UnlabelledData: its row must be loaded again, which is impossible.
    """
    tables, rows = requirements.tables, requirements.rows
    if not tables and not rows:
        return
    decider = watch.decider
    use = decider.current_use("read of an object", tables)
    decider.check_demand_under(use, decider.demand(tables, frozenset(tables)))
    if rows and detached and not watch.observes(use):
        raise UnlabelledData(
            "an object was loaded for another purpose, and its row may be about somebody who stopped this one: load it "
            "anew, since it has left its session and cannot ask for its row again"
        )


def may_read(watch: Watch, mapper: Mapper[Any], key: str, use: Use[Any] | None, *, loaded: bool) -> bool:
    """Return True if a use may read an attribute.

    If it was `loaded` before, its rows may not be for this use, so it may not be read if rows are decided one by one.
    """
    try:
        requirements = watch.attributes.get_requirements(watch, mapper, key)
        if loaded and requirements.rows:
            return False
        if use is None:
            return not requirements.tables
        return not is_denied(watch, requirements.tables, use)
    except UnlabelledData:
        return False


def is_denied(watch: Watch, tables: Mapping[str, tuple[Columns, tuple[str, ...]]], use: Use[Any]) -> bool:
    """Return True if a use may not use one of these columns in any row.

    Raises:
        UnlabelledData: a column carries no tag.
    """
    for name, (columns, names) in tables.items():
        if watch.decider.find_denied_columns(use, columns, names, name):
            return True
    return False
