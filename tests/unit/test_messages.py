"""What messages say, in one file: tests/golden/messages.txt. `python -m tests.golden.write` writes it anew."""

from __future__ import annotations

import contextvars
import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.errors import Fault, LedgerBroken, UnknownOperation, UnresolvedStatement, format_name
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation
from tests.support import in_threads
from tests.unit.samples import SMALL, changed

GOLDEN = Path(__file__).parents[1] / "golden" / "messages.txt"
guard = pg.Guard(tm.NOTICE)
small = pg.Guard(pg.Notice.loads(SMALL))


class Customer(BaseModel):
    email: Annotated[str, tm.Registration]
    device: Annotated[str, tm.ProductData]
    scan: Annotated[str, tm.ProductData] = "s"


class Row(TypedDict):
    email: Annotated[str, tm.Registration]


class Secret:
    def __repr__(self) -> str:
        return "taro@example.jp"


@guard.access
def load() -> Customer:
    raise AssertionError("it may not run")


@guard.access(tm.ProductData, withhold=True)
def rows() -> list[Row]:
    raise AssertionError("it may not run")


@guard.purpose(tm.RenewalGuidance, activity="remind")
def remind(act: Callable[[], object]) -> object:
    return act()


def forbidding(sources: list[str], purposes: list[str], reason: str) -> pg.Guard:
    """A guard of the small notice with one more prohibition."""
    rule = {"sources": sources, "purposes": purposes, "reason": {"en": reason, "ja": "x"}}
    return pg.Guard(pg.Notice.parse(changed(lambda t: t["forbid"].append(rule))))


def violation(done: str = "read", **facts: str) -> pg.PurposeViolation:
    error = pg.PurposeViolation(guard.explain(tm.ProductData, tm.RenewalGuidance), **facts)
    error._done = done
    return error


def ended() -> pg.Use[Any]:
    with guard.purpose(tm.RenewalGuidance, activity="remind") as use:
        return use


def carried() -> Callable[[Any], None]:
    with guard.purpose(tm.RenewalGuidance, activity="remind") as use:
        return guard.carry(use.check)


def inherited() -> object:
    with guard.purpose(tm.RenewalGuidance, activity="remind"):
        context = contextvars.copy_context()
    return context.run(load)


def under_another_guard(act: Callable[[], object]) -> object:
    with pg.Guard(tm.NOTICE).purpose(tm.RenewalGuidance):
        return act()


def in_a_thread(act: Callable[[], object]) -> object:
    results: list[object] = []
    in_threads([lambda: results.append(result(act))])
    return results[0]


def carrying_a_coroutine() -> object:
    async def later() -> None: ...

    coroutine: Any = later()
    try:
        return remind(lambda: guard.carry(coroutine))
    finally:
        coroutine.close()


def withheld(value: Any) -> object:
    with guard.purpose(tm.RenewalGuidance) as use:
        return use.withhold(value)


FACTS = {"activity": "shop.remind", "function": "shop.load", "field": "device"}
SUGGESTED = ("1.1z", "none such", lambda: ("1.1(a)", "1.1(b)"))
anything: Any = guard
SEALED: Any = pg.Personal("taro@example.jp", tm.Registration)

MESSAGES: dict[str, Callable[[], object]] = {
    "allowed": lambda: guard.explain({"1.1a", "1.1c"}, "1.2(1)①"),
    "allowed to a family": lambda: guard.explain(["1.1a", "2.1a"], tm.AnyProductGuidance),
    "one source refused": lambda: guard.explain({"1.1a", "1.1b"}, "1.2(1)①"),
    "nothing is allowed together": lambda: guard.explain(["1.1a", "2.3", "2.1a"], tm.TrafficAnalysis),
    "a clause with items that may not": lambda: guard.explain("1.1", tm.RenewalGuidance),
    "a clause none of whose items may": lambda: guard.explain("2.1", tm.RenewalGuidance),
    "refused to a family": lambda: guard.explain(["1.1b", "2.1a"], "AnyProductGuidance"),
    "refused by this channel": lambda: guard.explain("2.1a", tm.WebSecurityMail, channel="phone"),
    "refused by any channel": lambda: guard.explain("1.1b", tm.WebSecurityMail, channel="phone"),
    "not personal, and by no channel of the purpose": lambda: guard.explain(
        pg.NotPersonal, tm.WebSecurityMail, channel="phone"
    ),
    "forbidden": lambda: small.explain("1(b)", "Billing"),
    "forbidden to an item": lambda: small.explain("1", "Billing"),
    "forbidden to what an overlay narrows": lambda: small.explain("router-usage", "Billing"),
    "refused beside a prohibition of others": lambda: small.explain("1(b)", "Renewal"),
    "forbidden to a family": lambda: forbidding(["2"], ["AnyAdvice"], "visitors are left alone").explain("2", "Advice"),
    "allowed to nobody": lambda: forbidding(["1", "2"], ["4①"], "no more").explain("5", "Statistics"),
    "violation": lambda: violation(**FACTS),
    "violation of a field": lambda: violation(field="device"),
    "violation with advice": lambda: violation(advice="read less"),
    "violation by handing over": lambda: violation("handed over", function="shop.send"),
    "function whose fields are refused": lambda: remind(load),
    "function whose whole value is refused": lambda: remind(rows),
    "no purpose": load,
    "no purpose in this thread": lambda: in_a_thread(load),
    "no purpose any more": inherited,
    "no use": lambda: guard.current,
    "use that has ended, checking": lambda: ended().check(tm.Registration),
    "use that has ended, withholding": lambda: ended().withhold(Customer(email="e", device="d")),
    "use that has ended, opening": lambda: ended().open(pg.Personal("name", tm.Registration)),
    "use that was passed to what was carried": lambda: carried()(tm.Registration),
    "nothing to carry": lambda: guard.carry(load),
    "coroutine to carry": carrying_a_coroutine,
    "purpose of another guard, reading": lambda: under_another_guard(load),
    "purpose of another guard, asking": lambda: under_another_guard(lambda: guard.current),
    "purpose of another guard, carrying": lambda: under_another_guard(lambda: guard.carry(load)),
    "activity without a purpose": lambda: anything.purpose(load),
    "activity without a channel": lambda: guard.purpose(tm.WebSurveyInvitation),
    "activity by another channel": lambda: guard.purpose(tm.WebSurveyInvitation, channel="post"),
    "no tags to withhold by": lambda: withheld({"email": "e"}),
    "sealed value, as a truth": lambda: bool(SEALED),
    "sealed value, as a container": lambda: len(SEALED),
    "sealed value, as a number": lambda: float(SEALED),
    "sealed value, as bytes": lambda: bytes(SEALED),
    "sealed value, in an order": lambda: SEALED < 1,
    "sealed value, as an operand": lambda: "a" + SEALED,
    "sealed value, to be pickled": lambda: SEALED.__reduce_ex__(4),
    "sealed value, an attribute": lambda: [SEALED.upper],
    "sealed value, as JSON": lambda: json.dumps(SEALED),
    "sealed value, formatted": lambda: f"{SEALED:>10}",
    "unknown source": lambda: pg.UnknownSource(*SUGGESTED),
    "unknown purpose": lambda: pg.UnknownPurpose(*SUGGESTED),
    "unknown channel": lambda: pg.UnknownChannel(*SUGGESTED),
    "unknown operation": lambda: UnknownOperation(*SUGGESTED),
    "unknown, and no more to say": lambda: pg.UnknownSource("x"),
    "unknown, and no id": lambda: pg.UnknownSource(Secret()),
    "unknown, and long": lambda: pg.UnknownSource("a\n\x1b[31m" + "b" * 1_000_000),
    "unknown, and a class": lambda: pg.UnknownSource(pg.Purpose),
    "purpose for a source": lambda: tm.NOTICE.source(tm.RenewalGuidance),
    "source for a purpose": lambda: tm.NOTICE.purpose(tm.Registration),
    "base of all sources": lambda: tm.NOTICE.source(pg.Source),
    "base of all purposes": lambda: tm.NOTICE.purpose(pg.Purpose),
    "source of another notice": lambda: tm.NOTICE.source(pg.Notice.parse(tm.NOTICE.dump()).source("1.1a")),
    "operation that is not declared": lambda: guard.derive("join", [tm.Registration, tm.Contract], tm.Cookie),
    "notice with two faults": lambda: pg.NoticeError(
        [Fault("grant[2]", "is wrong", "mend it"), Fault("", "is odd")], "my.toml"
    ),
    "notice with one fault": lambda: pg.NoticeError([Fault("", "is empty")]),
    "notice that is not bundled": lambda: pg.Notice.bundled("nowhere"),
    "notice that is another": lambda: guard.replace(pg.Notice.parse({**tm.NOTICE.dump(), "id": "other"})),
    "broken ledger": lambda: LedgerBroken("line 18, byte 3", "what was written was changed"),
    "statement that is not resolved": lambda: UnresolvedStatement("`lookup` may read anything"),
    "flow": lambda: FlowViolation("letter", "note", pg.Label(tm.Registration)),
    "what stands in code": lambda: f"{format_name(int | str)} {format_name('c' * 100)}",
}
"""What is said in which case → what says it: a decision or an error, given or raised."""


def result(act: Callable[[], object]) -> object:
    """What an act gives, or the error that it raises."""
    try:
        return act()
    except (pg.PurposeGuardError, TypeError) as error:
        return error


def words(text: str) -> str:
    """A message on one line: where it is wrapped is no matter of this file."""
    return " ".join(text.split())


def written() -> str:
    """The file, as the library says it now."""
    sections = []
    for name, act in MESSAGES.items():
        lines = textwrap.wrap(words(str(result(act))), 100, break_long_words=False, break_on_hyphens=False)
        sections.append("\n".join([f"## {name}", *lines]))
    return "\n\n".join(sections) + "\n"


@pytest.fixture(scope="module")
def golden() -> dict[str, str]:
    sections = re.split(r"^## ", GOLDEN.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {name: words(text) for name, _, text in (section.partition("\n") for section in sections)}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_says_what_it_said_when_it_was_reviewed(name: str, golden: dict[str, str]) -> None:
    assert words(str(result(MESSAGES[name]))) == golden[name], "`python -m tests.golden.write` writes it anew"


def test_nothing_is_said_in_the_file_alone(golden: dict[str, str]) -> None:
    assert list(golden) == list(MESSAGES)
