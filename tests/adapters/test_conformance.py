"""The conformance suite (`tests/conformance`): every case through every adapter that can express it, one answer."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard import errors
from purposeguard.policy import violations
from purposeguard.policy.violations import FlowViolation
from tests.adapters.conformance.cases import Case, cases
from tests.adapters.conformance.engines import Answer, Engine, plain_rows
from tests.adapters.conformance.registry import engines

pytestmark = [
    pytest.mark.filterwarnings("ignore:Dask support is moving:FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning:pyspark"),
]

_ASKING: dict[str, Any] = {}


@functools.cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="conformance-"))


def _asked(name: str) -> object:
    return _ASKING["request"].getfixturevalue(name)


ENGINES = engines(_asked, _folder())
PAIRS = [(engine, case) for engine in ENGINES.values() for case in cases() if engine.cannot(case) is None]
SLOW = {
    "dask": "faults", "duckdb-connection": "faults", "spark-plan": "spark", "spark-sql": "spark",
    "sql-postgresql": "processes", "sqlalchemy-orm-postgresql": "processes", "sqlalchemy-text-postgresql": "processes",
}  # fmt: skip
"""Engines that take long or start a server, and the kinds of tests that they are left to."""


def _themes() -> Iterator[Any]:
    """Each engine with the cases of one theme: one test for each case would cost more than the case."""
    themes: dict[tuple[str, str], list[Case]] = {}
    for engine, case in PAIRS:
        themes.setdefault((engine.name, case.theme), []).append(case)
    for (name, theme), some in themes.items():
        marks = [getattr(pytest.mark, SLOW[name])] if name in SLOW else []
        yield pytest.param(ENGINES[name], some, id=f"{name}: {theme}", marks=marks)


@pytest.fixture(scope="module", autouse=True)
def _closing() -> Iterator[None]:
    """A process may come here more than once: what it does between is taken from another one's tests."""
    _folder().mkdir(exist_ok=True)
    yield
    for engine in ENGINES.values():
        engine.close()
    shutil.rmtree(_folder())


@pytest.fixture
def asking(request: pytest.FixtureRequest) -> Iterator[None]:
    _ASKING["request"] = request
    yield
    _ASKING.clear()


@pytest.mark.usefixtures("asking")
@pytest.mark.parametrize(("engine", "some"), list(_themes()))
def test_every_engine_gives_the_answers_of_the_cases(engine: Engine, some: list[Case]) -> None:
    failures: list[BaseException] = []
    for case in some:
        try:
            _hold(engine, case)
        except (Exception, pytest.fail.Exception) as error:
            error.add_note(f"in the case {case.id!r}")
            failures.append(error)
    if failures:
        raise BaseExceptionGroup(f"{engine.name} gives other answers", failures)


def _hold(engine: Engine, case: Case) -> None:
    """Hold the answer of an engine to what a case expects; a case that nothing is asked of fails."""
    guard = case.guard()
    own_errors: tuple[type[Exception], ...] = (*engine.own_errors, errors.UnknownSource)
    if case.refused is None:
        try:
            answer = engine.answer(case, guard)
        except own_errors:
            if case.expect.get("or_fails"):
                return
            raise
        assert _compare(case, answer) > 0, "the engine tells nothing that the case expects"
    elif case.expect.get("by_rows"):
        # What looks at the rows may be the engine, which has errors of its own, and takes what is blank for nothing.
        with pytest.raises((errors.UnlabelledData, *own_errors)) as caught:
            engine.answer(case, guard)
        if not isinstance(caught.value, engine.own_errors):
            _compare_refusal(engine, case, caught.value)
    else:
        kind: type[errors.PurposeGuardError] = getattr(errors, case.refused, None) or getattr(violations, case.refused)
        with pytest.raises(kind) as refused:
            engine.answer(case, guard)
        assert type(refused.value) is kind
        _compare_refusal(engine, case, refused.value)


def _compare_refusal(engine: Engine, case: Case, error: BaseException) -> None:
    column: str | None = case.expect.get("column")
    if column is not None:
        bare = column.rpartition(".")[2]
        if isinstance(error, pg.PurposeViolation):
            assert error.field in ((column,) if engine.tables_have_names else (column, bare))
        else:
            assert f"`{column}`" in str(error) or f"`{bare}`" in str(error)
    if "names" in case.expect:
        assert case.expect["names"] in str(error)
    if isinstance(error, FlowViolation):
        assert f"{error.target}.{error.column}" == column
        if "missing" in case.expect:
            assert sorted(one.clause for one in error.missing.sources) == sorted(case.expect["missing"])


def _compare(case: Case, answer: Answer) -> int:
    """Compare what an engine tells with what a case expects, and return how many answers that were."""
    expect, compared = case.expect, 0
    if answer.columns is not None and "columns" in expect:
        assert [name.casefold() for name in answer.columns] == expect["columns"]
        compared += 1
    if answer.rows is not None and expect.get("rows") is not None:
        expected = [tuple(row) for row in expect["rows"]]
        if expect.get("ordered"):
            assert answer.rows == expected
        else:
            assert Counter(answer.rows) == Counter(expected)
        compared += 1
    if answer.after is not None and "after" in expect:
        assert Counter(answer.after) == Counter(plain_rows(expect["after"]))
        compared += 1
    if answer.labels is not None:
        told = {name.casefold(): clauses for name, clauses in answer.labels.items()}
        for name, clauses in expect.get("labels", {}).items():
            assert told[name] == sorted(clauses), name
            compared += 1
    if answer.used is not None and "used" in expect:
        assert answer.used == frozenset(expect["used"])
        compared += 1
    return compared


def test_no_case_is_left_to_one_engine() -> None:
    run = Counter(case.id for _, case in PAIRS)
    assert [case.id for case in cases() if run[case.id] < 2] == []


def test_every_engine_runs_at_least_60_cases() -> None:
    run = Counter(engine.name for engine, _ in PAIRS)
    assert {name: run[name] for name in ENGINES if run[name] < 60} == {}


def test_engines_that_a_case_leaves_out_are_engines() -> None:
    known = {name for engine in ENGINES.values() for name in (engine.name, *engine.names)}
    named = {name for case in cases() for key in ("not", "only") for name in case.given.get(key, ())}
    assert named - known == set()
