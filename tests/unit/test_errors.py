from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys

import pytest

import purposeguard as pg
from purposeguard.errors import (
    Fault,
    LedgerBroken,
    RequestError,
    SealedAttribute,
    StoreUnavailable,
    TooFewSubjects,
    UnknownOperation,
    UnknownRecipient,
    UnresolvedStatement,
    shown,
)
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation

guard = pg.Guard(tm.NOTICE)


def violation(**facts: str) -> pg.PurposeViolation:
    return pg.PurposeViolation(guard.explain(tm.ProductData, tm.RenewalGuidance), **facts)


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (pg.NoticeError, (pg.PurposeGuardError,)),
        (pg.UnknownTerm, (pg.PurposeGuardError, LookupError)),
        (pg.UnknownSource, (pg.UnknownTerm,)),
        (pg.UnknownPurpose, (pg.UnknownTerm,)),
        (pg.UnknownChannel, (pg.UnknownTerm,)),
        (UnknownOperation, (pg.UnknownSource,)),
        (pg.UnlabelledData, (pg.PurposeGuardError,)),
        (pg.PurposeMissing, (pg.PurposeGuardError,)),
        (pg.SealedValue, (pg.PurposeGuardError, TypeError)),
        (pg.PurposeViolation, (pg.PurposeGuardError, PermissionError)),
        (pg.ChannelViolation, (pg.PurposeViolation,)),
        (pg.RecipientViolation, (pg.PurposeViolation,)),
        (pg.SubjectViolation, (pg.PurposeViolation,)),
        (pg.RetentionViolation, (pg.PurposeViolation,)),
        (pg.RevisionViolation, (pg.PurposeViolation,)),
    ],
)
def test_the_hierarchy_is_the_one_that_the_contract_draws(error: type, bases: tuple[type, ...]) -> None:
    assert error.__bases__ == bases


def test_a_missing_purpose_is_no_violation() -> None:
    assert not issubclass(pg.PurposeMissing, pg.PurposeViolation)
    assert not issubclass(pg.UnlabelledData, pg.PurposeViolation)


def test_a_violation_carries_its_facts() -> None:
    error = violation(activity="shop.remind", function="shop.load", field="device")
    assert (error.activity, error.function, error.field) == ("shop.remind", "shop.load", "device")
    assert error.decision.purpose is tm.RenewalGuidance
    assert not error.decision


def test_a_violation_names_purpose_source_function_and_activity_and_what_would_be_allowed() -> None:
    text = str(violation(activity="shop.remind", function="shop.load", field="device"))
    head, *details = text.splitlines()
    for part in ("renewal-guidance (1.2(1)①)", "product-data (1.1(b))", "shop.load", "shop.remind"):
        assert part in head
    assert "1.1(a), 1.1(c)" in text
    assert "product-provision" in text
    assert all(re.match("  [^ ]", detail) for detail in details)


def test_a_violation_of_a_field_alone_names_the_field() -> None:
    assert "in field `device`" in str(violation(field="device"))
    assert "in field" not in str(violation(function="shop.load", field="device"))


def test_a_violation_ends_with_its_advice() -> None:
    assert str(violation(advice="read less")).endswith("read less")


def test_the_repr_of_a_violation_says_its_kind_and_what_is_refused() -> None:
    assert repr(violation()) == ("<PurposeViolation: renewal-guidance (1.2(1)①) may not use product-data (1.1(b))>")


@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_a_violation_crosses_to_another_process_with_its_facts(again) -> None:
    error = violation(activity="shop.remind", function="shop.load", field="device", advice="read less")
    there = again(error)
    assert type(there) is pg.PurposeViolation
    assert str(there) == str(error)
    assert (there.activity, there.function, there.field) == ("shop.remind", "shop.load", "device")
    assert there.decision.alternatives == error.decision.alternatives
    assert there.decision.allowed is False


ELSEWHERE = """
import pickle, sys
import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(pg.Notice.parse(tm.NOTICE.dump()))  # classes that are in no module
error = pg.PurposeViolation(guard.explain("1.1b", "1.2(1)①"), activity="shop.remind", field="device")
error.add_note("in the night run")
sys.stdout.buffer.write(pickle.dumps([error, str(error), error.args]))
"""


def test_a_violation_says_the_same_in_another_process() -> None:
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, timeout=60, check=True)
    error, text, args = pickle.loads(done.stdout)
    assert type(error) is pg.PurposeViolation
    assert text.startswith("renewal-guidance (1.2(1)①) may not use product-data (1.1(b))")
    assert (str(error), error.args, args) == (text, (text,), (text,))
    assert error.__notes__ == ["in the night run"]
    assert error.decision.alternatives
    with pytest.raises(pg.UnknownSource):  # what it names is of no notice here
        guard.allows(error.decision.label, tm.RenewalGuidance)


KINDS = [
    pg.PurposeViolation,
    pg.ChannelViolation,
    pg.RecipientViolation,
    pg.SubjectViolation,
    pg.RetentionViolation,
    pg.RevisionViolation,
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_violation_says_the_same_once_a_queue_has_sent_its_args_alone(kind: type[pg.PurposeViolation]) -> None:
    error = kind(guard.explain(tm.ProductData, tm.RenewalGuidance), activity="shop.remind")
    for there in (kind(*error.args), pickle.loads(pickle.dumps(kind(*error.args)))):
        assert (str(there), there.args, type(there)) == (str(error), error.args, kind)
        assert repr(there) == f"<{kind.__name__}: {str(error).splitlines()[0]}>"
        assert not hasattr(there, "decision")


@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_what_was_done_with_the_data_crosses_too(again) -> None:
    error = violation(function="shop.send")
    error._done = "handed over"
    assert "handed over by shop.send" in str(again(error))


def test_the_message_is_built_when_it_is_read() -> None:
    decision = guard.explain(tm.ProductData, tm.RenewalGuidance)
    error = pg.PurposeViolation(decision)
    assert "headline" not in vars(decision)
    assert error.args
    assert "headline" in vars(decision)


EVERY = {
    "missing": pg.PurposeMissing("data was read outside any purpose"),
    "unlabelled": pg.UnlabelledData("nothing says what it is"),
    "sealed": pg.SealedValue("open it"),
    "attribute": SealedAttribute("open it"),
    "few": TooFewSubjects("a mean", 5),
    "store": StoreUnavailable("it is closed"),
    "ledger": LedgerBroken("entry 17", "was changed"),
    "request": RequestError("it is closed"),
    "unresolved": UnresolvedStatement("it may read anything"),
    "flow": FlowViolation("letter", "note", pg.Label(tm.Registration)),
    "notice": pg.NoticeError([Fault("id", "is wrong")], "my.toml"),
    "source": pg.UnknownSource("1.1z", "none such", lambda: ("1.1(a)",)),
    "operation": UnknownOperation("join"),
    "recipient": UnknownRecipient("r-1"),
    "violation": violation(field="device"),
}


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_every_error_says_the_same_once_it_was_sent(kind: str, again) -> None:
    error = EVERY[kind]
    there = again(error)
    assert (type(there), str(there)) == (type(error), str(error))
    assert error.args
    assert there.args


@pytest.mark.parametrize("kind", [pg.UnknownSource, pg.UnknownPurpose, pg.UnknownChannel, UnknownOperation])
def test_an_unknown_term_says_its_kind_why_and_the_nearest(kind: type[pg.UnknownTerm]) -> None:
    error = kind("1.1z", "none such", lambda: ("1.1(a)", "1.1(b)"))
    assert str(error) == f"unknown {kind.kind} `1.1z`: none such (did you mean `1.1(a)` or `1.1(b)`?)"
    assert error.given == "1.1z"
    assert error.suggestions == ("1.1(a)", "1.1(b)")


def test_suggestions_are_looked_for_when_read_and_once() -> None:
    calls: list[int] = []

    def nearest() -> tuple[str, ...]:
        calls.append(1)
        return ()

    error = pg.UnknownSource("x", nearest=nearest)
    assert calls == []
    assert (error.suggestions, error.suggestions) == ((), ())
    assert calls == [1]


def test_an_unknown_term_without_more_to_say_is_short() -> None:
    assert str(pg.UnknownSource("x")) == "unknown source `x`"


def test_an_unknown_term_can_be_pickled() -> None:
    error = pg.UnknownSource("1.1z", "none such", lambda: ("1.1(a)",))
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is pg.UnknownSource
    assert (str(there), there.suggestions) == (str(error), ("1.1(a)",))


def test_a_value_given_for_an_id_is_not_shown() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "taro@example.jp"

    text = str(pg.UnknownSource(Secret()))
    assert "taro" not in text
    assert "<Secret>" in text


def test_an_id_is_shown_short_and_on_one_line() -> None:
    text = str(pg.UnknownSource("a\n\x1b[31m" + "b" * 1_000_000))
    assert "\x1b" not in text
    assert len(text) < 200
    assert "1,000,007 characters" in text


def test_a_class_is_shown_by_its_name() -> None:
    assert "`purposeguard.notice.vocabulary.Purpose`" in str(pg.UnknownSource(pg.Purpose))


def test_a_notice_error_lists_every_fault_with_its_place() -> None:
    error = pg.NoticeError([Fault("grant[2]", "is wrong", "mend it"), Fault("", "is odd")], "my.toml")
    assert str(error).splitlines() == ["my.toml: 2 faults", "  grant[2]: is wrong (help: mend it)", "  is odd"]
    assert error.origin == "my.toml"
    assert len(error.faults) == 2


def test_a_notice_error_counts_one_fault_as_one() -> None:
    assert str(pg.NoticeError([Fault("", "is empty")])) == "notice: 1 fault\n  is empty"


def test_a_notice_error_can_be_pickled() -> None:
    error = pg.NoticeError([Fault("id", "is wrong", "mend it")], "my.toml")
    there = pickle.loads(pickle.dumps(error))
    assert (there.faults, there.origin, str(there)) == (error.faults, error.origin, str(error))


def test_a_broken_ledger_says_where() -> None:
    error = LedgerBroken("line 18, byte 3", "what was written was changed")
    assert (error.place, error.what) == ("line 18, byte 3", "what was written was changed")
    assert str(error) == "line 18, byte 3: what was written was changed"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_what_was_not_resolved_and_what_would_flow_say_so_and_cross_to_another_process() -> None:
    unresolved = UnresolvedStatement("`lookup` may read anything")
    flow = FlowViolation("letter", "note", pg.Label(tm.Registration))
    for error in (unresolved, pickle.loads(pickle.dumps(unresolved))):
        assert (error.why, str(error)) == ("`lookup` may read anything",) * 2
        assert isinstance(error, ValueError)
    for error in (flow, pickle.loads(pickle.dumps(flow))):
        assert (error.target, error.column, error.missing) == ("letter", "note", pg.Label(tm.Registration))
        assert str(error).startswith("data of 1.1(a) would flow into `letter.note`, whose tags do not name it")
        assert isinstance(error, PermissionError)


def test_what_names_something_in_code_is_shown_short() -> None:
    assert shown(int | str) == "`int | str`"
    assert shown("c" * 100) == f"`{'c' * 57}… (100 characters)`"
