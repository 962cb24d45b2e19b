"""DuckDB for analysts: a guarded connection over files, frames and tables, whose statements are held to a purpose.

Open `with connect(guard, {"customer": "customer.parquet"}) as connection`, and run `connection.sql("SELECT …")` in a
purpose. A statement is analysed before it runs: which columns it uses, and what its outputs are made of. It is refused
if a column may not be used, or if the analysis is not certain. DuckDB itself leaves out rows that may not be used. The
real connection is a second wall: it can read only what was passed to `connect` (`duckdb.locked`).
"""

from purposeguard.extras import Needs, must_be_tested

with Needs(__name__, "duckdb"):
    from purposeguard.adapters.duckdb.explanation import Explanation, Used
    from purposeguard.adapters.duckdb.result import Result
    from purposeguard.adapters.duckdb.session import Connection, connect

    must_be_tested("duckdb", "1.4", "2.0")

__all__ = ["Connection", "Explanation", "Result", "Used", "connect"]
