"""DuckDB for analysts: a guarded connection over files, frames and tables, whose statements are held to a purpose.

`with connect(guard, {"customer": "customer.parquet"}) as connection`, and in a purpose `connection.sql("SELECT …")`. A
statement is read before it runs: which columns it uses, and what its outputs are made of. It is refused where one of
them may not be used, or where that cannot be told. Rows that may not be used are left out by DuckDB itself. What would
slip through that meets a second wall, the real connection, which reads nothing but what was named (`duckdb.locked`).
"""

from purposeguard.extras import Needs, must_be_tested

with Needs(__name__, "duckdb"):
    from purposeguard.adapters.duckdb.lineage import Explanation, Used
    from purposeguard.adapters.duckdb.result import Result
    from purposeguard.adapters.duckdb.session import Connection, connect

    must_be_tested("duckdb", "1.4", "2.0")

__all__ = ["Connection", "Explanation", "Result", "Used", "connect"]
