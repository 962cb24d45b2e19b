"""Frames held to a notice: pandas, polars (eager and lazy), Arrow tables, DuckDB relations, Spark and dask.

`Frames(guard)` checks the columns of a frame, withholds those that the purpose under way may not use, and keeps the
rows that it may use. It returns a frame of the same kind. Rows are selected by an expression that the engine runs
itself, so no row passes through Python. Lazy frames run the expression when they are read.
"""

from purposeguard.extras import Needs, must_be_tested

with Needs(__name__, "frames"):
    from purposeguard.adapters.frames.session import Frames

    must_be_tested("narwhals", "2.24", "2.29")

__all__ = ["Frames"]
