"""Where a column's values change the result of a statement, the statement was told to use the column."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.pool import StaticPool

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import protect
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.sqlalchemy.test_columns import used

PLACE = sa.MetaData()
TABLES = [
    sa.Table(
        name, PLACE, *(sa.Column(f"{name}{n}", sa.Integer, info={"purposeguard": tm.Registration}) for n in range(3))
    )
    for name in ("a", "b")
]
ROWS = [(1, 2, 3), (2, 2, 1), (0, 3, 2), (3, 1, 1)]
CHANGED = [7, -1, 0, 5]


def _filled(changed: str | None) -> sa.Engine:
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    PLACE.create_all(engine)
    with engine.begin() as connection:
        for table in TABLES:
            for number, row in enumerate(ROWS):
                values = dict(zip([one.name for one in table.columns], row, strict=True))
                if changed in values:
                    values[str(changed)] = CHANGED[number]
                connection.execute(sa.insert(table).values(values))
    return engine


NAMES = [column.name for table in TABLES for column in table.columns]
PLAIN = {None: _filled(None)} | {name: _filled(name) for name in NAMES}
WATCHED = protect(sa.create_engine("sqlite://"), Guard(tm.NOTICE), PLACE)


def _used(statement: Any) -> set[str]:
    return {name.partition(".")[2] for name in used(statement, WATCHED)}


def _expressions(columns: list[Any]) -> st.SearchStrategy[Any]:
    leaf = st.sampled_from(columns) | st.integers(0, 3).map(sa.literal)
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda both: both[0] + both[1]),
            st.tuples(inner, inner, inner).map(lambda three: sa.case((three[0] > three[1], three[2]), else_=0)),
            inner.map(lambda one: sa.func.coalesce(one, 1)),
            inner.map(sa.func.abs),
        ),
        max_leaves=4,
    )


def _conditions(columns: list[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(_expressions(columns), _expressions(columns)).map(lambda both: both[0] > both[1])


@st.composite
def _froms(draw: st.DrawFn, depth: int) -> tuple[Any, list[Any]]:
    """Something to select from, and its columns."""
    kind = draw(
        st.sampled_from(["table", "alias", "join", "outer", "subquery", "cte"] if depth else ["table", "alias"])
    )
    if kind in ("table", "alias"):
        table: Any = draw(st.sampled_from(TABLES))
        table = table.alias() if kind == "alias" else table
        return table, list(table.c)
    if kind in ("join", "outer"):
        left, columns = draw(_froms(0))
        right, others = draw(_froms(0))
        if left is right:
            right = right.alias()
            others = list(right.c)
        condition = draw(_conditions([*columns, *others]))
        return left.join(right, condition, isouter=kind == "outer"), [*columns, *others]
    inner = draw(_selects(depth - 1))
    made: Any = inner.cte() if kind == "cte" else inner.subquery()
    return made, list(made.c)


@st.composite
def _selects(draw: st.DrawFn, depth: int) -> Any:
    source, columns = draw(_froms(depth))
    how = draw(st.sampled_from(["plain", "grouped", "window", "distinct", "counted"]))
    outputs = draw(st.lists(_expressions(columns), min_size=1, max_size=2))
    if how == "counted":
        outputs = [sa.func.count()]
    if how == "grouped":
        key = draw(st.sampled_from(columns))
        outputs = [sa.func.max(outputs[0]), sa.func.count()]
        statement = sa.select(*(one.label(f"o{n}") for n, one in enumerate(outputs))).select_from(source).group_by(key)
        if draw(st.booleans()):
            statement = statement.having(sa.func.min(draw(st.sampled_from(columns))) > 1)
    else:
        if how == "window":
            outputs = [sa.func.rank().over(order_by=draw(st.sampled_from(columns)))]
        statement = sa.select(*(one.label(f"o{n}") for n, one in enumerate(outputs))).select_from(source)
    if draw(st.booleans()):
        statement = statement.where(draw(_conditions(columns)))
    if depth and draw(st.booleans()):
        other, others = draw(_froms(0))
        if draw(st.booleans()):
            statement = statement.where(
                sa.exists(sa.select(sa.literal(1)).select_from(other).where(draw(_conditions(others))))
            )
        else:
            value = sa.select(sa.func.max(draw(_expressions(others)))).select_from(other).scalar_subquery()
            statement = statement.where(draw(_expressions(columns)) <= value)
    if how == "distinct":
        statement = statement.distinct()
    return statement


@st.composite
def statements(draw: st.DrawFn) -> Any:
    statement = draw(_selects(2))
    if draw(st.booleans()) and len(statement.selected_columns) == 1:
        other = draw(_selects(1))
        if len(other.selected_columns) == 1:
            join = sa.union if draw(st.booleans()) else sa.union_all
            statement = join(statement, other)
    if draw(st.booleans()):
        statement = statement.order_by(next(iter(statement.selected_columns))).limit(2)
    return statement


def _rows(engine: sa.Engine, statement: Any) -> Any:
    with engine.connect() as connection:
        return sorted(map(repr, connection.execute(statement).all()))


@given(statements())
@settings(
    max_examples=3 * settings().max_examples,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_a_column_that_changes_the_result_was_told_to_be_used(statement: Any) -> None:
    used = _used(statement)
    before = _rows(PLAIN[None], statement)
    for name in NAMES:
        if name not in used:
            assert _rows(PLAIN[name], statement) == before, name
