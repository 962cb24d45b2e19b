"""SQL: what a statement reads and writes is read from its text, and decided before it runs.

`Statements(guard, tables, dialect="postgres").check(text)`; `analyse` gives what a statement reads, undecided.
"""

from purposeguard.extras import Needs, must_be_tested

with Needs(__name__, "sql"):
    from purposeguard.adapters.sql.lineage import Analysis, analyse
    from purposeguard.adapters.sql.scopes import DIALECTS
    from purposeguard.adapters.sql.session import Statements
    from purposeguard.adapters.sql.tags import Tables

    must_be_tested("sqlglot", "30.30", "30.30")

__all__ = ["DIALECTS", "Analysis", "Statements", "Tables", "analyse"]
