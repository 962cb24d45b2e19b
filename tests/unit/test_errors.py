from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

import purposeguard as pg
from purposeguard.errors import (
    Fault,
    LedgerBroken,
    PassportRefused,
    RequestError,
    SealedAttribute,
    StoreUnavailable,
    TooFewSubjects,
    UnknownOperation,
    UnknownRecipient,
    UnresolvedStatement,
    on_one_line,
)
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation
from tests.unit.excepted import Case
from tests.unit.models import guard


def violation(**facts: str) -> pg.PurposeViolation:
    return pg.PurposeViolation(guard.explain(tm.ProductData, tm.RenewalGuidance), **facts)


def handed_over() -> pg.PurposeViolation:
    error = violation(function="shop.send")
    error._done = "handed over"
    return error


HIERARCHY: list[tuple[type, tuple[type, ...]]] = [
    (pg.NoticeError, (pg.PurposeGuardError,)),
    (pg.UnknownTerm, (pg.PurposeGuardError, LookupError)),
    (pg.UnknownSource, (pg.UnknownTerm,)),
    (pg.UnknownPurpose, (pg.UnknownTerm,)),
    (pg.UnknownChannel, (pg.UnknownTerm,)),
    (UnknownOperation, (pg.UnknownSource,)),
    (pg.UnlabelledData, (pg.PurposeGuardError,)),
    (pg.PurposeMissing, (pg.PurposeGuardError,)),
    (PassportRefused, (pg.PurposeMissing,)),
    (pg.SealedValue, (pg.PurposeGuardError, TypeError)),
    (pg.PurposeViolation, (pg.PurposeGuardError, PermissionError)),
    (pg.ChannelViolation, (pg.PurposeViolation,)),
    (pg.RecipientViolation, (pg.PurposeViolation,)),
    (pg.SubjectViolation, (pg.PurposeViolation,)),
    (pg.RetentionViolation, (pg.PurposeViolation,)),
    (pg.RevisionViolation, (pg.PurposeViolation,)),
]


@pytest.mark.parametrize(("error", "bases"), HIERARCHY)
def test_the_hierarchy_is_the_one_that_the_contract_draws(error: type, bases: tuple[type, ...]) -> None:
    assert error.__bases__ == bases


def test_a_violation_carries_its_facts() -> None:
    error = violation(activity="shop.remind", function="shop.load", field="device")
    assert (error.activity, error.function, error.field) == ("shop.remind", "shop.load", "device")
    assert error.decision.purpose is tm.RenewalGuidance
    assert not error.decision


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
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, timeout=300, check=True)
    error, text, args = pickle.loads(done.stdout)
    assert type(error) is pg.PurposeViolation
    assert text.startswith("renewal-guidance (1.2(1)①) may not use product-data (1.1(b))")
    assert (str(error), error.args, args) == (text, (text,), (text,))
    assert error.__notes__ == ["in the night run"]
    assert error.decision.alternatives
    with pytest.raises(pg.UnknownSource):  # what it names is of no notice here
        guard.allows(error.decision.label, tm.RenewalGuidance)


@pytest.mark.parametrize("kind", [error for error, _ in HIERARCHY if issubclass(error, pg.PurposeViolation)])
def test_a_violation_says_the_same_once_a_queue_has_sent_its_args_alone(kind: type[pg.PurposeViolation]) -> None:
    error = kind(guard.explain(tm.ProductData, tm.RenewalGuidance), activity="shop.remind")
    for there in (kind(*error.args), pickle.loads(pickle.dumps(kind(*error.args)))):
        assert (str(there), there.args, type(there)) == (str(error), error.args, kind)
        assert repr(there) == f"<{kind.__name__}: {str(error).splitlines()[0]}>"
        assert not hasattr(there, "decision")


FORGED = "mail\nINFO root: all is well\r\x1b[2K\u2028"
ON_ONE_LINE = r"mail\nINFO root: all is well\r\x1b[2K\u2028"


def test_a_name_stands_on_one_line_wherever_it_is_told() -> None:
    def load() -> str:
        return "d"

    load.__qualname__ = FORGED
    read = guard.access(tm.ProductData)(load)
    with pytest.raises(pg.PurposeMissing) as missing:
        read()
    with guard.purpose(tm.RenewalGuidance, activity=FORGED) as under_way, pytest.raises(pg.PurposeViolation) as denied:
        read()
    assert under_way.activity.name == ON_ONE_LINE
    with pytest.raises(pg.PurposeMissing) as ended:
        under_way.check(tm.Registration)
    with pytest.raises(pg.ChannelViolation) as closed:
        guard.purpose(tm.WebSecurityMail, activity=FORGED)
    with pytest.raises(pg.SealedValue) as failed, guard.purpose(tm.RenewalGuidance) as use:
        use.open(pg.Personal("x", tm.Registration).map(fail))
    for error in (missing.value, denied.value, ended.value, closed.value, failed.value):
        assert "mail\nINFO" not in str(error)
        assert ON_ONE_LINE in str(error)
    assert [access.name for access in guard.accesses][-1] == f"{__name__}.{ON_ONE_LINE}"


def fail(_value: object) -> object:
    raise ValueError


fail.__qualname__ = FORGED


def test_names_of_exceptions_and_reclassifications_stand_on_one_line() -> None:
    case = Case()
    with case.door(activity=FORGED) as use:
        assert use.activity.name == ON_ONE_LINE
    own = pg.Guard(tm.NOTICE)
    own.reclassify(tm.Registration, to=pg.NotPersonal, why="counts", name=FORGED)(len)
    assert [declared.name for declared in own.reclassifications] == [ON_ONE_LINE]


def test_names_in_any_language_stay_as_they_are() -> None:
    with guard.purpose(tm.RenewalGuidance, activity="更新のご案内\u3000メール") as use:
        assert use.activity.name == "更新のご案内\u3000メール"
    assert on_one_line("\ud800\t \xa0\u3000") == "\\ud800\\t \xa0\u3000"


def test_the_message_is_built_when_it_is_read() -> None:
    decision = guard.explain(tm.ProductData, tm.RenewalGuidance)
    error = pg.PurposeViolation(decision)
    assert "headline" not in vars(decision)
    assert error.args
    assert "headline" in vars(decision)


EVERY = {
    "missing": pg.PurposeMissing("data was read outside any purpose"),
    "passport": PassportRefused("expired", "it was issued too long ago"),
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
    "violation": violation(activity="shop.remind", function="shop.load", field="device", advice="read less"),
    "hand-over": handed_over(),
}


FACTS = ("activity", "function", "field", "advice", "_done", "given", "why", "suggestions", "faults", "origin", "place",
         "what", "target", "column", "missing", "at_least")  # fmt: skip


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_every_error_says_the_same_once_it_was_sent(kind: str, again) -> None:
    error = EVERY[kind]
    there = again(error)
    assert (type(there), str(there)) == (type(error), str(error))
    assert error.args
    assert there.args
    for fact in FACTS:
        assert getattr(there, fact, None) == getattr(error, fact, None)
    if isinstance(error, pg.PurposeViolation):
        assert there.decision.alternatives == error.decision.alternatives
        assert there.decision.allowed is False


def test_suggestions_are_looked_for_when_read_and_once() -> None:
    calls: list[int] = []

    def nearest() -> tuple[str, ...]:
        calls.append(1)
        return ()

    error = pg.UnknownSource("x", nearest=nearest)
    assert calls == []
    assert (error.suggestions, error.suggestions) == ((), ())
    assert calls == [1]


def raised(act: Callable[[], object]) -> list[str]:
    """The names of the functions in the traceback of what this raises, from its own on."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whichever it is
        act()
    return [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][1:]


def refused() -> None:
    guard.check(tm.ProductData, tm.RenewalGuidance)


@guard.purpose(tm.RenewalGuidance)
def failing() -> None:
    raise KeyError("of its own")


@guard.purpose(tm.RenewalGuidance)
async def failing_later() -> None:
    refused()


@guard.purpose(tm.RenewalGuidance)
def failing_between() -> Iterator[int]:
    yield 1
    refused()


@guard.purpose(tm.RenewalGuidance)
async def failing_between_later() -> AsyncIterator[int]:
    yield 1
    refused()


async def all_of(items: AsyncIterator[int]) -> list[int]:
    return [item async for item in items]


@pytest.mark.parametrize(
    ("act", "names"),
    [
        (refused, ["refused"]),
        (failing, ["failing"]),
        (lambda: list(failing_between()), ["<lambda>", "failing_between", "refused"]),
        (lambda: pg.Notice.load("absent.toml"), ["<lambda>"]),
        (lambda: guard.purpose("none"), ["<lambda>"]),
        (lambda: guard.current, ["<lambda>"]),
        (lambda: pg.Personal("x", None), ["<lambda>"]),  # type: ignore[call-overload]  # as untyped code does
    ],
    ids=["check", "activity", "generator", "notice", "purpose", "current", "seal"],
)
def test_a_traceback_ends_in_the_callers_line(act: Callable[[], object], names: list[str]) -> None:
    assert raised(act) == names


def test_a_traceback_of_a_coroutine_has_no_frame_of_the_library() -> None:
    for coroutine in (failing_later(), all_of(failing_between_later())):
        with pytest.raises(pg.PurposeViolation) as caught:
            asyncio.run(coroutine)
        names = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert not any("/purposeguard/" in name and "/tests/" not in name for name in names), names


def test_development_mode_keeps_all_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purposeguard.errors.ALL_FRAMES", True)
    assert raised(refused)[:2] == ["refused", "check"]
    code = "import purposeguard.errors as errors; print(errors.ALL_FRAMES)"
    for options, said in ((["-X", "dev"], "True"), ([], "False")):
        done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == said
