"""SQL statements, whose reads and writes are derived from their text and decided before they run.

`Statements(guard, tables, dialect="postgres").check(text)` decides. `analyse` only returns what a statement reads.
"""

from purposeguard.extras import Needs, must_be_tested

with Needs(__name__, "sql"):
    from purposeguard.adapters.sql.lineage import Analysis, analyse
    from purposeguard.adapters.sql.scopes import DIALECTS
    from purposeguard.adapters.sql.session import Statements
    from purposeguard.adapters.sql.tags import Tables

    must_be_tested("sqlglot", "30.30", "30.30")

__all__ = ["DIALECTS", "Analysis", "Statements", "Tables", "analyse"]
