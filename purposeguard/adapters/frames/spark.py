"""Rows of Spark: the test for those that may be used, in the words of `purposeguard.adapters.spark`."""

from __future__ import annotations

from typing import Any, Final

from purposeguard.adapters.rowrule import RowRule
from purposeguard.adapters.spark.words import Roll, SparkWords

_ROLL: Final = Roll()


def filtered(frame: Any, rule: RowRule) -> Any:
    """The rows of a frame that may be used, when an action runs."""
    columns = {field.name: (field.name, field.dataType) for field in frame.schema.fields}
    return frame.where(SparkWords(rule, columns, frame.sparkSession, _ROLL).condition())
