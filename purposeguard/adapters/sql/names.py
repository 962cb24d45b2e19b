"""Names: when two of them mean the same column or table, as each dialect has it.

Only ASCII letters are folded: of others engines disagree, and a name that is not found is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlglot import exp

from purposeguard.notice.vocabulary import nearest

DIALECTS: Final = ("sqlite", "postgres", "mysql", "duckdb", "spark", "bigquery", "snowflake")

_LOWER: Final = {ord("A") + n: ord("a") + n for n in range(26)}
_UPPER: Final = {ord("a") + n: ord("A") + n for n in range(26)}


def lower(name: str) -> str:
    """A name with its ASCII letters small."""
    return name.lower() if name.isascii() else name.translate(_LOWER)


def upper(name: str) -> str:
    """A name with its ASCII letters capital."""
    return name.upper() if name.isascii() else name.translate(_UPPER)


def perhaps(given: object, known: Iterable[str]) -> str:
    """The known names that look most like one that is not known, to be said behind it; nothing where none does."""
    close = nearest(given, known, 0.6)
    return f" (did you mean {' or '.join(f'`{name}`' for name in close)}?)" if close else ""


def _cut(name: str) -> str:
    """As much of a name as PostgreSQL reads: two that differ behind that are one."""
    return name if len(name) < 16 else name.encode()[:63].decode(errors="ignore")


class Names:
    """How a dialect compares names. A key is what two names have in common that mean the same."""

    def __init__(self, dialect: str) -> None:
        if dialect not in DIALECTS:
            raise ValueError(
                f"`{dialect}` is no dialect that is known here{perhaps(dialect, DIALECTS)}: {', '.join(DIALECTS)}"
            )
        self.dialect: Final = dialect
        self._quoting_counts: Final = dialect in {"postgres", "snowflake"}
        self._tables_exactly: Final = dialect in {"mysql", "bigquery"}
        self.spelling_counts: Final = self._tables_exactly
        """Whether names of common tables and aliases that differ in case may or may not be the same."""

    def key(self, identifier: exp.Identifier) -> str:
        """Of a name in a statement."""
        name: str = identifier.this
        if not self._quoting_counts:
            return lower(name)
        if self.dialect == "postgres":
            return _cut(name if identifier.args.get("quoted") else lower(name))
        return name if identifier.args.get("quoted") else upper(name)

    def declared(self, name: str) -> str:
        """Of a column's name as it was told: in PostgreSQL as it is stored, in Snowflake small letters are capitals."""
        if not self._quoting_counts:
            return lower(name)
        if self.dialect == "postgres":
            return _cut(name)
        return upper(name) if name == lower(name) else name

    def table_key(self, identifier: exp.Identifier) -> str:
        """Of a part of a table's name in a statement."""
        return str(identifier.this) if self._tables_exactly else self.key(identifier)

    def table_declared(self, name: str) -> tuple[str, ...]:
        """Of a table's name as it was told, by its parts."""
        return tuple(part if self._tables_exactly else self.declared(part) for part in name.split("."))
