"""Spark: frames and queries held to a notice, by their analysed plans, before an action runs.

Tags are metadata of the columns of relations, under the key `purposeguard`. Expressions lose metadata, and an alias may
bear any that it likes: so a frame's plan is followed down to the relations, whose columns alone count. Only the driver
is asked; which rows may be used is a condition that the executors run.
"""

from purposeguard.extras import Needs, must_be_tested

with Needs(__name__, "spark"):
    import pyspark

    from purposeguard.adapters.spark.session import Spark

    must_be_tested("pyspark", "4.2", "4.3", installed=pyspark.__version__)

__all__ = ["Spark"]
