"""Checks cannot be skipped: elsewhere or later, under a name that only looks right, or by bending what decides."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from typing import Any, Union

import pytest

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.runtime.use import end_use
from tests.bypass.seal_looking import guard
from tests.support import in_threads
from tests.unit.models import Contact


@guard.access
def load() -> Contact:
    return Contact(email="e")


def outcome(fn: Callable[[], Any] = load) -> str:
    try:
        fn()
    except pg.PurposeGuardError as error:
        return type(error).__name__
    return "read"


def _thread(fn: Callable[[], str]) -> str:
    found: list[str] = []
    in_threads([lambda: found.append(fn())])
    return found[0]


def test_a_thread_that_ended_lends_its_purpose_to_no_later_one() -> None:
    """Thread identifiers are used again; what was left open in the first must not hold in the second."""
    contexts: list[contextvars.Context] = []

    def leave_open() -> None:
        guard.purpose(tm.RenewalGuidance).__enter__()
        contexts.append(contextvars.copy_context())

    for _ in range(20):
        in_threads([leave_open])
        assert _thread(outcome) == "PurposeMissing"


def test_a_task_that_outlives_its_block_has_no_purpose_left() -> None:
    async def activity(started: asyncio.Event, go_on: asyncio.Event) -> str:
        with guard.purpose(tm.RenewalGuidance):
            started.set()
        await go_on.wait()
        return outcome()

    async def main() -> str:
        started, go_on = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(activity(started, go_on))
        await started.wait()
        async with guard.purpose(tm.RenewalGuidance):
            go_on.set()
            return await task

    assert asyncio.run(main()) == "PurposeMissing"


def test_what_was_made_inside_a_block_does_not_work_after_it() -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        later: list[Callable[[], Any]] = [
            load,
            functools.partial(load),
            functools.partial(use.check, "1.1a"),
            functools.partial(use.withhold, Contact(email="e")),
            lambda: guard.carry(load),
        ]
        assert {outcome(fn) for fn in later} == {"read"}
    assert {outcome(fn) for fn in later} == {"PurposeMissing"}
    with guard.purpose(tm.TrafficAnalysis):
        assert outcome(later[0]) == outcome(later[1]) == "PurposeViolation"
        assert outcome(later[2]) == outcome(later[3]) == "PurposeMissing"


def test_a_use_cannot_be_opened_again_by_hand() -> None:
    with guard.purpose(tm.RenewalGuidance) as use:
        context = contextvars.copy_context()
    assert context.run(outcome) == "PurposeMissing"
    end_use(use)
    assert outcome() == "PurposeMissing"


def test_a_subclass_of_a_source_is_no_source() -> None:
    meta: Any = type(tm.ProductData)
    forged = [
        meta("ProductData", (tm.ProductData,), {}),
        meta("Registration", (tm.Registration,), {}),
        meta("Both", (tm.ProductData, tm.RenewalGuidance), {"clause": "1.1(b)"}),
        meta("Registration", (pg.Source,), {"clause": "1.1(a)", "slug": "registration", "title": {}}),
        meta("Anything", (pg.NotPersonal,), {}),
    ]
    for source in forged:
        for ask in (source, [source], pg.Label(source)):
            with pytest.raises(pg.UnknownSource):
                guard.allows(ask, tm.RenewalGuidance)
        with pytest.raises(pg.UnknownSource):
            guard.access(source)
        with pytest.raises(pg.UnknownPurpose):
            guard.allows(tm.ProductData, meta("RenewalGuidance", (tm.RenewalGuidance,), {}))


def test_a_not_personal_subclass_launders_nothing() -> None:
    meta: Any = type(tm.ProductData)
    laundered = meta("Laundered", (tm.ProductData, pg.NotPersonal), {})
    with pytest.raises(pg.UnknownSource):
        guard.allows(laundered, tm.RenewalGuidance)
    assert not guard.allows([tm.ProductData, pg.NotPersonal], tm.RenewalGuidance)


def test_replacing_a_name_in_the_generated_module_changes_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tm.ProductData
    monkeypatch.setattr(tm, "ProductData", tm.Registration)
    assert not guard.allows("1.1b", tm.RenewalGuidance)
    assert not guard.allows(data, tm.RenewalGuidance)
    assert guard.notice.source("product-data") is data


@pytest.mark.parametrize(
    "forged",
    [
        tm.RenewalGuidance | tm.ProductProvision,
        tm.AnyProductGuidance | tm.RenewalGuidance,
        tm.ProductGuidance | tm.WebProductGuidance,
        Union[tm.RenewalGuidance, None],  # noqa: UP007
        tm.RenewalGuidance | tm.Registration,
        pg.Family("AnyProductGuidance", "any-product-guidance", {}, tm.NOTICE.purposes),
        pg.Family("Everything", "everything", {}, (tm.RenewalGuidance, tm.ProductProvision)),
        tuple(tm.NOTICE.families[0].members),
        frozenset(tm.NOTICE.families[0].members),
        "AnyProductGuidance | RenewalGuidance",
        "*",
        Any,
        object,
    ],
)
def test_a_forged_family_is_no_purpose(forged: Any) -> None:
    for _ in range(2):
        for ask in (lambda: guard.allows("1.1a", forged), lambda: guard.check("1.1a", forged)):
            with pytest.raises(pg.UnknownPurpose):
                ask()
        with pytest.raises(pg.UnknownPurpose):
            guard.purpose(forged)
    assert not guard.allows("1.1b", "AnyProductGuidance")


class Liar(str):
    """Says that it equals, and hashes as, an id that may do more."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other in ("1.1b", "1.1(b)", str(self))

    def __hash__(self) -> int:
        return hash("1.1b")


def lying(container: type) -> Any:
    """A container of product data that says that it holds registration data."""
    return type("Lying", (container,), {"__iter__": lambda _: iter([tm.Registration])})([tm.ProductData])


def test_ids_and_sets_that_lie_about_themselves_poison_nothing() -> None:
    mine = pg.Guard(tm.NOTICE)
    for liar in (Liar("1.1a"), lying(frozenset), lying(list), (Liar("1.1a"),), [Liar("1.1a")]):
        mine.allows(liar, tm.RenewalGuidance)
        mine.explain(liar, tm.RenewalGuidance)
    honest_forms: list[Any] = [
        "1.1b", {"1.1b"}, frozenset({tm.ProductData}), [tm.ProductData], {tm.ProductData}, ("1.1b",),
    ]  # fmt: skip
    for one_form in honest_forms:
        assert not mine.allows(one_form, tm.RenewalGuidance)


def test_asking_changes_no_later_answer() -> None:
    mine = pg.Guard(tm.NOTICE)
    sources: Any = {tm.Registration}
    assert mine.allows(sources, tm.RenewalGuidance)
    sources.add(tm.ProductData)
    assert not mine.allows(sources, tm.RenewalGuidance)
    listed: Any = ["1.1a"]
    assert mine.allows(listed, tm.RenewalGuidance)
    listed.append("1.1b")
    assert not mine.allows(listed, tm.RenewalGuidance)


def test_a_decision_may_be_bent_and_binds_nobody() -> None:
    decision = guard.explain(tm.ProductData, tm.RenewalGuidance)
    decision.allowed = True
    with pytest.raises(pg.PurposeViolation):
        guard.check(tm.ProductData, tm.RenewalGuidance)
    with guard.purpose(tm.RenewalGuidance) as use, pytest.raises(pg.PurposeViolation):
        use.check(decision.label)


def test_catching_a_violation_gives_no_data() -> None:
    ran: list[int] = []

    @guard.access(tm.ProductData)
    def device() -> str:
        ran.append(1)
        return "d"

    with guard.purpose(tm.RenewalGuidance):
        with pytest.raises(PermissionError) as caught:
            device()
        assert ran == []
        assert caught.value.args == (str(caught.value),)
        assert outcome(device) == "PurposeViolation"  # asked again, refused again
    assert ran == []


def test_another_guard_s_purpose_opens_nothing_here() -> None:
    other = pg.Guard(tm.NOTICE, mode="observe")
    with other.purpose(tm.RenewalGuidance):
        assert outcome() == "PurposeMissing"
