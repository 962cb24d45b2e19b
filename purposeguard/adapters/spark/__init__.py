"""Spark: frames and queries held to a notice, by their analysed plans, before an action runs.

Tags are metadata of the columns of relations, under the key `purposeguard`. Expressions lose metadata, and an alias can
have any metadata. So the adapter follows a frame's plan down to the relations, and only their columns count. Only the
driver analyses the plan. Row conditions run on the executors.
"""

from purposeguard.extras import Needs, must_be_tested

with Needs(__name__, "spark"):
    import pyspark

    from purposeguard.adapters.spark.session import Spark

    must_be_tested("pyspark", "4.2", "4.3", installed=pyspark.__version__)

__all__ = ["Spark"]
