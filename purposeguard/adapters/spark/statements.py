"""Checks that a text for Spark is a query. Spark would run any other statement as soon as it parses it."""

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
"""The operators that Spark's parser returns for queries. Commands and scripts have others."""


def parse_query(session: SparkSession, text: str, args: Any, frames: Mapping[str, DataFrame]) -> DataFrame:
    """Return the frame of a query, after Spark's own parser has confirmed that the text is one.

    Args:
        session: A classic Spark session.
        text: The text of the query.
        args: Values for the parameters of the query, or None.
        frames: The frames for placeholders such as `{name}` in the text.

    Raises:
        UnresolvedStatement: the text is not a query, or the session belongs to Spark Connect.
    """
    if not hasattr(session, "_jsparkSession"):
        raise UnresolvedStatement(CONNECT)
    formatter = SQLStringFormatter(session) if frames else None
    try:
        filled_text = text if formatter is None else formatter.format(text, **frames)
        must_be_query(session, filled_text)
        frame = session.sql(filled_text) if args is None else session.sql(filled_text, args)
    except AnalysisException as error:  # a ParseException is one
        raise UnresolvedStatement(f"Spark cannot tell what the text reads: {_format_reason(error)}") from error
    finally:
        if formatter is not None:
            formatter.clear()
    if not is_classic(frame):
        raise UnresolvedStatement(CONNECT)
    return frame


def _format_reason(error: AnalysisException) -> str:
    """Format Spark's error without the text of the query, which may contain anything."""
    parts = [str(error.getCondition() or type(error).__name__)]
    for name, value in (error.getMessageParameters() or {}).items():
        if name in {"objectName", "relationName", "routineName", "name"}:
            parts.append(str(value))
    return " ".join(parts)


def must_be_query(session: SparkSession, text: str) -> None:
    """Check that a text is one query, and nothing else.

    Raises:
        UnresolvedStatement: the text is a command or a script, or creates something.
        pyspark.errors.ParseException: the text is not SQL.
    """
    java: Any = session._jsparkSession  # PySpark offers the parser nowhere else.
    parser = java.sessionState().sqlParser()
    parsed = json.loads(str(parser.parsePlan(text).toJSON()))
    for name in _iter_operators(parsed):
        if name not in _QUERIES:
            raise UnresolvedStatement(
                f"the text is no query: `{name}` is run as soon as Spark reads it; only what gives rows is checked here"
                " (write with `save`, and set the session up without this adapter)"
            )


def _iter_operators(value: object) -> Iterator[str]:
    """Yield the class names of all operators in a parsed statement, at any depth."""
    if isinstance(value, dict):
        name = str(value.get("class", ""))
        if name and ".catalyst.expressions." not in name and not _is_unresolved_expression(value):
            yield name.rpartition(".")[2]
        for part in value.values():
            yield from _iter_operators(part)
    elif isinstance(value, list):
        for part in value:
            yield from _iter_operators(part)


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
