"""`assert_denied` and `assert_reads`: what they accept, what they refuse, and what they say then."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Callable
from typing import Annotated, Any

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.transfers import Recipient
from purposeguard.testing import assert_denied, assert_reads
from tests.support import RecordingLedger

pytestmark = pytest.mark.usefixtures("remembers")

SERIAL: Any = pg.Personal("TM-99", tm.ProductData)


@dataclasses.dataclass
class Customer:
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]


Load = Callable[[], Customer]


@pytest.fixture
def guard() -> pg.Guard:
    return pg.Guard(tm.NOTICE)


@pytest.fixture
def load(guard: pg.Guard) -> Load:
    @guard.access
    def load() -> Customer:
        return Customer("aiko@example.com", "TM-99")

    return load


def said(caught: pytest.ExceptionInfo[AssertionError]) -> list[str]:
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    "sources", [tm.ProductData, "1.1b", ["1.1(b)"], {tm.ProductData, "1.1a"}, pg.Label(tm.ProductData), None]
)
@pytest.mark.parametrize("purpose", [tm.RenewalGuidance, "1.2(1)-1", "renewal-guidance", None])
def test_a_violation_that_leaves_the_block(guard: pg.Guard, load: Load, sources: object, purpose: object) -> None:
    with guard.purpose(tm.RenewalGuidance), assert_denied(sources=sources, purpose=purpose, guard=guard):
        load()
    assert_denied(guard.purpose(tm.RenewalGuidance)(load), sources=sources, purpose=purpose)


def test_a_family_is_named_as_code_names_it(guard: pg.Guard) -> None:
    for purpose in (tm.AnyProductGuidance, "AnyProductGuidance", guard.notice.family("AnyProductGuidance")):
        assert_denied(lambda: guard.check("1.1b", tm.AnyProductGuidance), sources="1.1b", purpose=purpose)


def test_one_that_the_code_handles(guard: pg.Guard, load: Load) -> None:
    @guard.purpose(tm.RenewalGuidance)
    def endpoint() -> int:
        try:
            load()
        except pg.PurposeViolation:
            return 403
        return 200

    with assert_denied(sources=tm.ProductData, purpose=tm.RenewalGuidance):
        assert endpoint() == 403


def test_one_that_is_only_observed(load: Load) -> None:
    guard = pg.Guard(tm.NOTICE, mode="observe")
    with guard.purpose(tm.RenewalGuidance) as use, assert_denied(sources=tm.ProductData):
        assert use.open(SERIAL) == "TM-99"


def test_a_question_and_a_withheld_field(guard: pg.Guard) -> None:
    with assert_denied(sources=tm.ProductData, purpose=tm.RenewalGuidance):
        assert not guard.allows("1.1b", "1.2(1)①")
    with guard.purpose(tm.RenewalGuidance) as use, assert_denied(sources=tm.ProductData):
        use.withhold(Customer("aiko@example.com", "TM-99"))


def test_what_is_called_may_be_a_guard_s_own_method(guard: pg.Guard) -> None:
    assert_denied(functools.partial(guard.allows, "1.1b", "1.2(1)①"), sources=tm.ProductData)
    activity = guard.purpose(tm.RenewalGuidance)(functools.partial(guard.allows, "1.1b", "1.2(1)①"))
    assert_denied(activity, sources=tm.ProductData)


def test_a_recipient(guard: pg.Guard) -> None:
    abroad = Recipient("lab", "overseas-contractor", "KP")
    with assert_denied(sources=tm.Registration, purpose=tm.RenewalGuidance):
        guard.check_recipient("1.1a", "1.2(1)①", abroad)


def test_a_combination_is_denied_by_one_of_its_sources(guard: pg.Guard) -> None:
    assert_denied(lambda: guard.allows({"1.1a", "1.1b"}, "1.2(1)①"), sources={"1.1a", "1.1b"})
    assert_denied(lambda: guard.allows({"1.1a", "1.1b"}, "1.2(1)①"), sources="1.1b")
    with pytest.raises(AssertionError):
        assert_denied(lambda: guard.allows({"1.1a", "1.1b"}, "1.2(1)①"), sources="1.1a")


def test_what_was_not_denied_says_what_was_decided(guard: pg.Guard, load: Load) -> None:
    @guard.purpose(tm.ProductProvision, activity="provision")
    def provide() -> None:
        for _ in range(3):
            load()

    with pytest.raises(AssertionError) as caught:
        assert_denied(provide, sources=tm.ProductData, purpose=tm.ProductProvision)
    assert said(caught) == [
        "1.1(b) was not denied for 1.2(2)①",
        "what was decided here:",
        (
            "  product-provision (1.2(2)①) may use 1.1(a), 1.1(b) (in provision, read by "
            f"{load.__module__}.{load.__qualname__}), 3 times"
        ),
    ]
    with pytest.raises(AssertionError, match=r"^nothing was denied\nno guard decided anything here$"):
        assert_denied(lambda: None)
    with pytest.raises(AssertionError, match=r"^1\.1\(b\) was not denied for 1\.2\(1\)①"):
        assert_denied(lambda: guard.allows("1.1b", "2.2①"), sources=tm.ProductData, purpose=tm.RenewalGuidance)


def test_many_decisions_are_not_all_listed(guard: pg.Guard) -> None:
    def ask() -> None:
        for purpose in tm.NOTICE.purposes[:20]:
            guard.allows(tm.Registration, purpose)

    with pytest.raises(AssertionError) as caught:
        assert_denied(ask, sources=tm.Contract)
    assert len(said(caught)) == 15
    assert said(caught)[-1] == "  … and 8 other decisions"


def test_other_errors_go_on(guard: pg.Guard, load: Load) -> None:
    with pytest.raises(pg.PurposeMissing), assert_denied():
        load()
    with pytest.raises(ZeroDivisionError), assert_denied():
        _ = 1 / 0
    with pytest.raises(pg.PurposeViolation), assert_denied(sources=tm.Cookie):
        guard.check("1.1b", "1.2(1)①")
    with pytest.raises(TypeError, match="`with` block"):
        assert_denied(lambda: asyncio.sleep(0))
    for wrong in (7, [7], object()):
        with pytest.raises(TypeError, match="source"):
            assert_denied(sources=wrong)


def test_what_another_guard_refuses_is_not_denied_by_this_one(guard: pg.Guard) -> None:
    with pytest.raises(pg.PurposeViolation), assert_denied(sources=tm.ProductData, guard=pg.Guard(tm.NOTICE)):
        guard.check("1.1b", "1.2(1)①")


def test_a_violation_that_leaves_a_group_of_tasks(guard: pg.Guard) -> None:
    async def ask(source: str) -> None:
        guard.check(source, "1.2(1)①")

    async def serve(*sources: str) -> None:
        async with asyncio.TaskGroup() as group:
            for one in sources:
                group.create_task(ask(one))

    assert_denied(lambda: asyncio.run(serve("1.1a", "1.1b")), sources=tm.ProductData)
    with pytest.raises(ExceptionGroup), assert_denied(sources=tm.WebContact):
        asyncio.run(serve("1.1b"))
    with pytest.raises(ExceptionGroup), assert_denied(sources=tm.ProductData):
        raise ExceptionGroup("another error as well", [KeyError("1.1b"), _refused(guard)])


def _refused(guard: pg.Guard) -> pg.PurposeViolation:
    with pytest.raises(pg.PurposeViolation) as caught:
        guard.check("1.1b", "1.2(1)①")
    return caught.value


def test_async_code_is_asserted_in_a_block(guard: pg.Guard) -> None:
    @guard.access(tm.ProductData)
    async def load() -> str:
        return "TM-99"

    async def main() -> None:
        async with guard.purpose(tm.RenewalGuidance):
            with assert_denied(sources=tm.ProductData):
                await load()
        async with guard.purpose(tm.IncidentGuidance):
            with assert_reads({tm.ProductData}):
                await load()

    asyncio.run(main())


def test_what_an_activity_reads(guard: pg.Guard) -> None:
    @guard.access(tm.Contract)
    def contract() -> int:
        return 7

    @guard.purpose(tm.RenewalGuidance)
    def remind() -> int:
        guard.allows(tm.Registration, tm.RenewalGuidance)  # asked, not used
        use = guard.use(tm.RenewalGuidance)
        use.try_open(SERIAL, None)  # denied, so not used either
        return contract()

    @guard.purpose(tm.ProductProvision)
    def both() -> int:
        guard.use(tm.ProductProvision).open(SERIAL)
        return remind()

    assert assert_reads(remind, {tm.Contract}) == 7
    assert assert_reads(remind, "1.1c", guard=guard) == 7
    assert assert_reads(both, {"1.1(b)", "contract"}) == 7
    assert assert_reads(both, {tm.Contract}, activity=remind) == 7
    with assert_reads({tm.ProductData}, activity=both):
        both()
    with assert_reads(()):
        pass

    @guard.purpose(tm.RenewalGuidance, activity="reminders")
    def named() -> int:
        return contract()

    for activity in (named, "reminders"):
        assert assert_reads(lambda: named() + both(), {tm.Contract}, activity=activity) == 14
    for wrong in ((), (named, {tm.Contract}, 3)):
        with pytest.raises(TypeError, match="takes a call and the sources"):
            assert_reads(*wrong)


def test_what_is_read_beyond_or_is_missing_is_said(guard: pg.Guard) -> None:
    with guard.purpose(tm.ProductProvision, activity="provision") as use:
        with pytest.raises(AssertionError) as caught:
            assert_reads(lambda: use.open(SERIAL), {tm.Contract, tm.Registration}, activity="provision")
        assert said(caught)[0] == (
            "activity provision: was read and is not expected: 1.1(b); was not read: 1.1(a), 1.1(c)"
        )
        with pytest.raises(AssertionError, match=r"^was read and is not expected: 1"), assert_reads(()):
            use.open(SERIAL)
        with pytest.raises(ZeroDivisionError), assert_reads({tm.Contract}):
            _ = 1 / 0


def test_assertions_leave_a_guard_as_it_was(guard: pg.Guard) -> None:
    matrix = guard.engine.snapshot.matrix
    for block in (assert_denied(), assert_reads({tm.Contract})):
        with pytest.raises(AssertionError), block:
            pass
        assert guard.engine.snapshot.matrix is matrix
        assert not guard.engine.snapshot.observed
    ledger = RecordingLedger()
    other = pg.Guard(tm.NOTICE, ledger=ledger)
    with assert_denied(sources="1.1b", guard=other):
        other.check("1.1b", "1.2(1)①")
    assert len(ledger.denials) == 1
