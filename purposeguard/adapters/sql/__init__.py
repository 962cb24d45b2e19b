"""SQL: what a statement reads and writes, told by its text, and decided before it runs.

`Statements(guard, tables, dialect="postgres").check(text)`; `analyse` tells what a statement reads and decides nothing.
"""

from purposeguard.adapters.needs import Needs

with Needs("sql", "sqlglot"):
    from purposeguard.adapters.sql.analysis import Analysis, analyse
    from purposeguard.adapters.sql.names import DIALECTS
    from purposeguard.adapters.sql.statements import Statements

__all__ = ["DIALECTS", "Analysis", "Statements", "analyse"]
