"""Texts for Spark: whether one is a query. Anything else Spark would run as soon as it reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.sql_formatter import SQLStringFormatter

from purposeguard.adapters.spark.plan import CONNECT, is_classic, words
from purposeguard.errors import UnresolvedStatement

_QUERIES: Final = words(
    "Project Filter Aggregate Sort Join LateralJoin Union Intersect Except Distinct Deduplicate Window Generate "
    "Expand Sample GlobalLimit LocalLimit Offset Tail SubqueryAlias OneRowRelation LocalRelation Range View "
    "RepartitionByExpression Repartition RebalancePartitions WithWindowDefinition PipeOperator Pivot Unpivot "
    "ScriptTransformation UnresolvedWith UnresolvedRelation UnresolvedInlineTable UnresolvedHaving "
    "UnresolvedQualify UnresolvedHint UnresolvedTableValuedFunction UnresolvedTVFAliases "
    "UnresolvedSubqueryColumnAliases RelationTimeTravel AsOfJoin CTERelationDef CTERelationRef WithCTE UnionLoop"
)
"""The operators of which queries are made, as Spark's parser gives them. Commands and scripts have others."""


def parse_query(session: SparkSession, text: str, args: Any, frames: Mapping[str, DataFrame]) -> DataFrame:
    """What a query gives; Spark's own parser says first whether it is one.

    Raises:
        UnresolvedStatement: it is none, or the session is one of Spark Connect.
    """
    if not hasattr(session, "_jsparkSession"):
        raise UnresolvedStatement(CONNECT)
    formatter = SQLStringFormatter(session) if frames else None
    try:
        whole = text if formatter is None else formatter.format(text, **frames)
        must_be_query(session, whole)
        frame = session.sql(whole) if args is None else session.sql(whole, args)
    except AnalysisException as error:  # a ParseException is one
        raise UnresolvedStatement(f"Spark cannot tell what the text reads: {_reason(error)}") from error
    finally:
        if formatter is not None:
            formatter.clear()
    if not is_classic(frame):
        raise UnresolvedStatement(CONNECT)
    return frame


def _reason(error: AnalysisException) -> str:
    """What Spark says of a text, without the text: that may hold whatever it likes."""
    parts = [str(error.getCondition() or type(error).__name__)]
    for name, value in (error.getMessageParameters() or {}).items():
        if name in {"objectName", "relationName", "routineName", "name"}:
            parts.append(str(value))
    return " ".join(parts)


def must_be_query(session: SparkSession, text: str) -> None:
    """Check that a text is one query, and nothing else.

    Raises:
        UnresolvedStatement: it is a command, a script, or makes something; `ParseException` where it is no SQL at all.
    """
    java: Any = session._jsparkSession
    parser = java.sessionState().sqlParser()
    parsed = json.loads(str(parser.parsePlan(text).toJSON()))
    for name in _operators(parsed):
        if name not in _QUERIES:
            raise UnresolvedStatement(
                f"the text is no query: `{name}` is run as soon as Spark reads it; only what gives rows is checked here"
                " (write with `save`, and set the session up without this adapter)"
            )


def _operators(value: object) -> Iterator[str]:
    """The classes of all operators, wherever they stand."""
    if isinstance(value, dict):
        name = str(value.get("class", ""))
        if name and ".catalyst.expressions." not in name and not _is_unresolved_expression(value):
            yield name.rpartition(".")[2]
        for part in value.values():
            yield from _operators(part)
    elif isinstance(value, list):
        for part in value:
            yield from _operators(part)


_EXPRESSIONS: Final = words(
    "UnresolvedAttribute UnresolvedStar UnresolvedFunction UnresolvedAlias UnresolvedExtractValue UnresolvedRegex "
    "UnresolvedOrdinal UnresolvedSubscript UnresolvedNamedLambdaVariable UnresolvedLambdaFunction MultiAlias "
    "UnresolvedFieldName UnresolvedWindowExpression NamedParameter PosParameter ResolvedStar UnresolvedGenerator "
    "UnresolvedStarExcept UnresolvedStarExceptOrReplace UnresolvedStarWithColumns UnresolvedStarWithColumnsRenames "
    "UnresolvedPipeAggregateOrdinal UnresolvedWithinGroup UnresolvedSeed UnresolvedTableArgPlanId "
    "ExpressionWithUnresolvedIdentifier"
)


def _is_unresolved_expression(value: Mapping[str, Any]) -> bool:
    return str(value["class"]).rpartition(".")[2] in _EXPRESSIONS
