"""Errors as problem details: which status each has, and what is said of it."""

from __future__ import annotations

import pickle

import pytest

import purposeguard as pg
from purposeguard.errors import RequestError, RowRefused, StoreUnavailable, TooFewSubjects, UnresolvedStatement
from purposeguard.integrations.problems import Problem, problem_of
from purposeguard.integrations.versions import UntestedVersion, must_be_tested
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation

guard = pg.Guard(tm.NOTICE)


def problem(error: BaseException, *, details: bool = True) -> Problem:
    known = problem_of(error, details=details)
    assert known is not None
    return known


def violation() -> pg.PurposeViolation:
    with pytest.raises(pg.PurposeViolation) as caught:
        guard.check("1.1(b)", "1.2(1)①")
    return caught.value


def test_a_refusal_says_which_clauses_and_what_would_be_allowed():
    error = violation()
    known = problem(error)
    assert (known.status, known.title, known.detail) == (403, "not for this purpose", str(error))
    assert known.body["purpose"] == "1.2(1)①"
    assert known.body["sources"] == ["1.1(b)"]
    assert known.body["alternatives"]
    assert known.body["type"] == "urn:purposeguard:problem:purpose"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TooFewSubjects("a mean", 5), 409),
        (RequestError("the request is closed"), 409),
        (StoreUnavailable("no answer"), 503),
        (pg.PurposeMissing("no purpose"), 500),
        (pg.SealedValue("sealed"), 500),
        (FlowViolation("leads", "email", pg.Label(*tm.NOTICE.sources[:1])), 403),
        (RowRefused("the row of aiko@example.jp"), 403),
        (UnresolvedStatement("SELECT 'aiko@example.jp'"), 500),
        (pg.UnknownTerm("aiko@example.jp"), 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_has_a_status(error, status):
    assert problem(error).status == status
    assert "aiko" not in str(problem(error).body)


def test_only_what_is_made_of_clauses_is_quoted():
    assert problem(UnresolvedStatement("a text")).detail == "the service is at fault (UnresolvedStatement)"


def test_without_details_a_refusal_has_its_title_alone():
    known = problem(violation(), details=False)
    assert set(known.body) == {"type", "title", "status", "detail"}
    assert known.detail == "not for this purpose (PurposeViolation)"


def test_a_violation_that_a_queue_made_anew_is_one_too():
    error = violation()
    anew = type(error)(*error.args)
    assert problem(anew).detail == str(error)
    assert problem(pickle.loads(pickle.dumps(error))).body["purpose"] == "1.2(1)①"


def test_an_unavailable_store_says_when_to_ask_again():
    assert problem(StoreUnavailable("no answer")).headers == {"Retry-After": "1"}
    assert problem(violation()).headers == {}


def test_other_errors_are_left_to_others():
    assert problem_of(ValueError("aiko")) is None


def test_a_version_that_was_not_tested_is_warned_of():
    must_be_tested("pydantic", "2.9", "2.99")
    must_be_tested("pydantic", "2", "2")
    for first, last in (("3.0", "4.0"), ("1.0", "2.0"), ("1", "1")):
        with pytest.warns(UntestedVersion, match="pydantic .* was not tested"):
            must_be_tested("pydantic", first, last)
    with pytest.warns(UntestedVersion, match=r"of-a-cluster 4\.4\.0rc1 was not tested .*4\.2 to 4\.3"):
        must_be_tested("of-a-cluster", "4.2", "4.3", installed="4.4.0rc1")
