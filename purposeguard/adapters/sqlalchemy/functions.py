"""Functions of databases that read nothing but their arguments: the same that the SQL adapter knows."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

from purposeguard.adapters.sql.functions import NAMED, NAMED_TABLE_FUNCTIONS, words
from purposeguard.adapters.sql.names import lower

DIALECTS: Final = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "duckdb": "duckdb",
}
"""How the SQL adapter calls the dialects of SQLAlchemy that it knows."""

_GENERIC: Final = words(
    """
    aggregate_strings any_value array array_agg bernoulli char_length coalesce concat count cube cume_dist current_date
    current_time current_timestamp current_user dense_rank grouping_sets localtime localtimestamp max min mode now
    percent_rank percentile_cont percentile_disc random rank rollup session_user sum sysdate system user
    """
)
"""Functions that SQLAlchemy knows by itself, and the methods of TABLESAMPLE."""


def untold_of(func: Any, dialect: str, harmless: Container[str], *, as_table: bool = False) -> str | None:
    """Why it is not told by its structure what a function reads; None where it is its arguments alone.

    `harmless` are those that the application says read nothing else. In the place of a table only those are known that
    make rows of their arguments.
    """
    name = lower(str(func.name))
    known = DIALECTS.get(dialect, "")
    own = not getattr(func, "packagenames", ())
    if own and (name in NAMED_TABLE_FUNCTIONS.get(known, ()) or name in harmless):
        return None
    if own and not as_table and (name in _GENERIC or name in NAMED.get(known, ())):
        return None
    return f"it is not known what the function `{func.name}` reads"


def makes_rows(func: Any) -> bool:
    """Whether a function gives rows, also where it stands in the place of one value."""
    name = lower(str(getattr(func, "name", "")))
    return any(name in names for names in NAMED_TABLE_FUNCTIONS.values())
