"""The conformance suite of decisions: every case by the guard, the compiled table, the specification and Cedar."""

from __future__ import annotations

import json
from collections import Counter

import jsonschema  # type: ignore[import-untyped]  # it comes without stubs
import pytest

from purposeguard import Guard, errors
from purposeguard.notice.bases import summarize_bases
from purposeguard.notice.label import Label
from purposeguard.policy import spec, violations
from purposeguard.policy.violations import violation_class
from tests.conformance import write
from tests.conformance.deciding import PATH, Case, cases, loaded
from tests.exporting.asking import Cedar, Question

CASES = cases()
ANSWERED = [case for case in CASES if case.is_answered]
WRONG = [case for case in CASES if not case.is_answered]


def named(case: Case) -> str:
    return case.id


def test_the_file_is_what_its_script_writes() -> None:
    assert PATH.read_text("utf-8") == write.text()


def test_the_file_is_as_its_schema_says() -> None:
    schema = json.loads(PATH.with_name("decisions.schema.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator
    validator.check_schema(schema)
    jsonschema.validate(loaded(), schema, cls=validator)
    broken = {**loaded(), "cases": [{**loaded()["cases"][0], "colour": "red"}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema, cls=validator)


def test_it_asks_for_every_purpose_family_source_and_channel_and_expects_every_kind_of_answer() -> None:
    guard = Guard(cases()[0].notice)
    asked = [case for case in ANSWERED if case.given["notice"] == "trendmicro-jp"]
    for allowed in (True, False):
        some = [case for case in asked if (case.refused is None) is allowed]
        notice = guard.notice
        assert {case.purpose for case in some} == {one.clause for one in notice.purposes} | {
            one.name for one in notice.families
        }
        assert {one for case in some for one in case.clauses} == {one.clause for one in notice.sources}
    kinds = Counter(case.refused for case in CASES)
    assert set(kinds) == {
        *(None, "PurposeViolation", "ChannelViolation", "RevisionViolation", "RetentionViolation", "SubjectViolation"),
        *("UnknownSource", "UnknownPurpose", "UnknownChannel", "UnknownOperation", "UnlabelledData"),
    }
    assert len({case.id for case in CASES}) == len(CASES) >= 300
    assert 0.25 < kinds[None] / len(CASES) < 0.75


@pytest.mark.parametrize("theme", sorted({case.given["theme"] for case in ANSWERED}))
def test_a_guard_answers(theme: str) -> None:
    for case in (one for one in ANSWERED if one.given["theme"] == theme):
        try:
            assert_answered(case)
        except BaseException as error:
            error.add_note(f"case {case.id}: {case.given}")
            raise


def assert_answered(case: Case) -> None:
    """By each of the three ways to ask a guard."""
    guard = case.guard()
    sources, purpose, about = case.sources(guard), case.given["purpose"], case.about
    assert guard.allows(sources, purpose, case.channel, subject=about) is (case.refused is None)
    decision = guard.explain(sources, purpose, case.channel, subject=about)
    assert bool(decision) is (case.refused is None)
    assert {one.clause for one in decision.denied} == case.denied
    if case.refused is None:
        guard.check(sources, purpose, case.channel, subject=about)
        return
    assert violation_class(decision).__name__ == case.refused
    with pytest.raises(violation_class(decision)) as caught:
        guard.check(sources, purpose, case.channel, subject=about)
    assert type(caught.value) is violation_class(decision)
    assert {one.clause for one in caught.value.decision.denied} == case.denied


@pytest.mark.parametrize("case", WRONG, ids=named)
def test_a_guard_raises_where_there_is_no_question(case: Case) -> None:
    guard = case.guard()
    kind: type[Exception] = getattr(errors, str(case.refused), None) or getattr(violations, str(case.refused))
    for ask in (guard.allows, guard.check, guard.explain):
        with pytest.raises(kind) as caught:
            ask(case.sources(guard), case.given["purpose"], case.channel)
        assert type(caught.value) is kind


def test_the_compiled_table_answers() -> None:
    for case in ANSWERED:
        matrix = case.matrix
        label, purpose = case.label, case.notice.purpose_or_family(case.given["purpose"])
        channel = None if case.channel is None else case.notice.channel(case.channel)
        row = matrix.row_for(label, channel, case.context)
        assert (purpose in row) is (case.refused is None), case.given
        for source in label:
            alone = matrix.row_for(Label(source), channel, case.context)
            assert (purpose not in alone) is (source.clause in case.denied), case.given


def test_the_specification_answers() -> None:
    plain = 0
    for case in ANSWERED:
        documents = [one.document for one in case.history]
        channel = None if case.channel is None else case.notice.channel(case.channel)
        asked = (case.clauses, case.purpose, channel)
        allowed = case.refused is None
        assert spec.is_allowed(documents, *asked, **case.known) is allowed, case.given
        if case.is_plain and not rests_on_consent(case):
            plain += 1
            assert spec.permits(documents[-1], *asked) is allowed, case.given
    assert plain > 400


def test_cedar_answers() -> None:
    """Whatever an exported notice can be asked: nothing about revisions, about what was stopped, or about periods."""
    by_notice: dict[str, list[tuple[Case, Question]]] = {}
    for case in ANSWERED:
        if case.is_for_cedar:
            channel = None if case.channel is None else case.notice.channel(case.channel)
            agreed = tuple(sorted(clause for clause, _ in case.consents))
            question = Question(case.clauses, case.purpose, channel, agreed)
            by_notice.setdefault(case.given["notice"], []).append((case, question))
    for some in by_notice.values():
        answers = Cedar(some[0][0].notice.document).answers([question for _, question in some])
        for (case, _), told in zip(some, answers, strict=True):
            assert told is (case.refused is None), case.given
    assert set(by_notice) == set(loaded()["notices"])
    assert sum(map(len, by_notice.values())) > 450


def test_cedar_refuses_data_without_a_label() -> None:
    """The one error that is a question to Cedar."""
    unlabelled = [case for case in WRONG if case.refused == "UnlabelledData"]
    assert unlabelled
    cedar = Cedar(unlabelled[0].notice.document)
    assert not any(cedar.answers([Question((), case.purpose) for case in unlabelled]))


def rests_on_consent(case: Case) -> bool:
    """Whether some of what is asked for rests on consent, of which rules 1 to 8 say nothing."""
    members = {row.class_: row.purposes for row in case.notice.document.family}.get(case.purpose, (case.purpose,))
    return any(summarize_bases(case.notice.document)[one] == "consent" for one in members)
