"""What `decisions.json` asks: the cases, theme by theme. What is expected of each is worked out by `reading`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.conformance.reading import CLAUSES, CLOSED, FAMILIES, GRANTS, LINKED, NOTICE, OPEN, Known, answer
from tests.conformance.worlds import LABELS, WORLDS

Case = dict[str, Any]

SPELLINGS = {
    "1.1(a)": ("1.1a", "1.1 (A)", "１．１（ａ）", "Registration", "registration"),
    "2.3": ("2.3", "Cookie", "cookie"),
    "2.3③": ("LinkedUsage", "linked-usage"),
    "1.2(1)①": ("1.2(1)-1", "1.2(1).1", "1.2(1)1", "1.2(1)❶", "1.2(1)➀", "RenewalGuidance", "renewal-guidance"),
    "2.3②": ("2.3➁", "network-operations"),
    "3.2⑧": ("3.2➇", "ProspectFeedback"),
    "AnyProductGuidance": ("any-product-guidance",),
}
"""The spellings that the notice itself and people use; the first key is how it is printed."""


def case(  # noqa: PLR0917  # a table reads best without names
    theme: str,
    sources: tuple[str, ...],
    purpose: str,
    channel: str | None = None,
    notice: str = "trendmicro-jp",
    known: Known | None = None,
) -> Case:
    """One case by canonical ids, with what the reading expects."""
    given: Case = {"theme": theme, "notice": notice, "sources": list(sources), "purpose": purpose}
    if channel is not None:
        given["channel"] = channel
    known = known or Known()
    if known.collected_under is not None:
        given["collected_under"] = known.collected_under
    subject: dict[str, Any] = {}
    if known.restricted:
        subject["restricted"] = known.restricted if isinstance(known.restricted, str) else list(known.restricted)
    if known.erased:
        subject["erased"] = True
    if known.consents:
        subject["consents"] = [list(one) for one in known.consents]
    if subject:
        given["subject"] = subject
    if known.overdue:
        given["overdue"] = list(known.overdue)
    given["expect"] = answer(WORLDS[notice], sources, purpose, channel, known)
    return given


def cases() -> Iterator[Case]:
    """All cases, in the order of the file; none twice."""
    seen: set[str] = set()
    for one in _themes():
        facts = repr({key: value for key, value in one.items() if key not in {"theme", "expect"}})
        if facts not in seen:
            seen.add(facts)
            yield one


def _themes() -> Iterator[Case]:
    yield from _each_purpose()
    yield from _each_source()
    yield from _channels()
    yield from _families()
    yield from _unions()
    yield from _linked()
    yield from _spellings()
    yield from _errors()
    yield from _prohibitions()
    yield from _overlays()
    yield from _subjects()
    yield from _retention()
    yield from _revisions()
    yield from _several()
    yield from _moved()


def _each_purpose() -> Iterator[Case]:
    """Every purpose: for all the items of which its clause speaks, and for these with one of another clause."""
    foreign = {"1.2(1)": "1.1(b)", "1.2(2)": "2.3", "2.2": "3.1(a)", "2.3": "1.1(a)", "3.2": "2.1(a)"}
    for clause, sources, _ in CLAUSES:
        for purpose in (one for one in GRANTS if one.startswith(clause)):
            yield case("grants", sources, purpose)
            yield case("grants", (*sources, foreign[clause]), purpose)


def _each_source() -> Iterator[Case]:
    """Every source, clauses with items too, for one purpose of each clause."""
    for source in NOTICE.sources:
        for purpose in ("1.2(1)①", "1.2(2)①", "2.2⑧", "2.3①", "2.3③", "3.2⑤"):
            yield case("sources", (source,), purpose)


def _channels() -> Iterator[Case]:
    """Closed purposes by their channels, by others, and by none; those that leave room; those that name none."""
    of = {"1": ("1.1(a)",), "2": ("2.1(a)", "2.1(c)"), "3": ("3.1(a)",)}
    for purpose in CLOSED:
        for channel in (None, "email", "phone", "post", "in_product", "sms"):
            yield case("channels", of[purpose[0]], purpose, channel)
    for purpose in (*OPEN, "1.2(1)①", "2.2⑥", "3.2⑦"):
        for channel in ("email", "post", "chat"):
            yield case("channels", of[purpose[0]], purpose, channel)
    yield case("channels", ("1.1(b)",), "2.2①", "post")  # no clause lets it, whatever the channel


def _families() -> Iterator[Case]:
    """Every family: for one item of each clause, for clauses, for a union that several purposes serve."""
    for family in FAMILIES:
        for source in ("1.1(a)", "1.1(b)", "1.1", "2.1(b)", "2.1", "2.3", "3.1", LINKED):
            yield case("families", (source,), family)
        yield case("families", ("1.1(c)", "2.1(a)", "3.1(c)"), family)
        yield case("families", ("2.1(a)", "3.1(a)"), family)
    for family in ("AnyProductGuidance", "AnySecurityInformation", "AnySurveyInvitation", "AnyEventInvitation"):
        for channel in ("email", "phone", "post"):
            yield case("families", ("1.1(a)",), family, channel)
            yield case("families", ("2.1(a)",), family, channel)
            yield case("families", ("1.1(a)", "3.1(b)"), family, channel)


def _unions() -> Iterator[Case]:
    """Combining unites sources: every one must be allowed (rule 2)."""
    for sources in (
        ("1.1(a)", "1.1(b)"),
        ("1.1", "1.1(a)"),
        ("1.1(a)", "1.1(b)", "1.1(c)"),
        ("1.1(c)", "1.1(a)"),
        ("1.1(a)", "1.1(a)"),
        ("1.1(a)", "2.1(a)"),
        ("2.1", "3.1"),
        ("2.3", "2.1(a)", "1.1(c)", "3.1(b)"),
    ):
        for purpose in ("1.2(1)②", "1.2(2)②", "2.2①", "2.3③"):
            yield case("unions", sources, purpose)


def _linked() -> Iterator[Case]:
    """What was linked serves 2.3③ and nothing else; what was merely put together serves nothing (rule 6)."""
    for purpose in GRANTS:
        if purpose[:3] in {"2.3", "1.2"}:
            yield case("derivations", (LINKED,), purpose)
    for sources in ((LINKED, "2.3"), (LINKED, "1.1(a)"), ("2.3", "1.1(a)")):
        for purpose in ("2.3③", "2.3②", "1.2(1)①"):
            yield case("derivations", sources, purpose)
    for one, other in (("2.3", "1.1(a)"), ("3.1", "2.3"), ("2.3", "2.1"), ("1.1(b)", "2.3")):
        for purpose in ("2.3③", "2.3①"):
            linked = case("derivations", (LINKED,), purpose)
            yield {**linked, "sources": [one, other], "operation": "link"}
    for one, other in (("2.3", "2.3"), ("1.1(a)", "2.1(a)"), ("2.3", "2.3③")):
        yield _wrong("derivations", [one, other], "2.3③", "UnknownOperation", operation="link")


def _spellings() -> Iterator[Case]:
    """Ids are read generously, and mean the same."""
    printed = {"1.1(a)": "1.2(1)①", "2.3": "2.3①", "2.3③": "2.3③"}
    for source, purpose in printed.items():
        for spelling in SPELLINGS[source]:
            yield {**case("spellings", (source,), purpose), "sources": [spelling]}
    for purpose, source in (("1.2(1)①", "1.1(b)"), ("2.3②", "2.3"), ("3.2⑧", "3.1"), ("AnyProductGuidance", "2.1(a)")):
        for spelling in SPELLINGS[purpose]:
            yield {**case("spellings", (source,), purpose), "purpose": spelling}
    yield {**case("spellings", ("2.1(a)",), "2.2③", "in_product"), "channel": "In-Product"}
    yield {**case("spellings", ("2.1(a)",), "2.2③", "email"), "channel": "E-MAIL"}


def _wrong(theme: str, sources: list[str], purpose: str, error: str, **more: str) -> Case:
    given = {"theme": theme, "notice": "trendmicro-jp", "sources": sources, "purpose": purpose, **more}
    return {**given, "expect": {"refused": error}}


def _errors() -> Iterator[Case]:
    """What means nothing is an error, and no denial; an empty label is no licence (rules 1 and 4)."""
    for purpose in ("1.2(1)①", "2.3③", "AnyFeedback"):
        yield _wrong("errors", [], purpose, "UnlabelledData")
    for unknown in ("1.1(d)", "1.3", "9.9(a)", "", "Customers", "1.2(1)①", "RenewalGuidance", "1.1(a) 1.1(c)"):
        yield _wrong("errors", [unknown], "1.2(1)①", "UnknownSource")
    yield _wrong("errors", ["1.1(a)", "4"], "1.2(1)①", "UnknownSource")
    for unknown in ("1.2(1)⑥", "1.2", "2.2⑫", "", "AnyGuidance", "1.1(a)", "Registration", "1.2(1)"):
        yield _wrong("errors", ["1.1(a)"], unknown, "UnknownPurpose")
    for unknown in ("pigeon", "fax", ""):
        yield _wrong("errors", ["2.1(a)"], "2.2①", "UnknownChannel", channel=unknown)
        yield _wrong("errors", ["1.1(a)"], "1.2(1)①", "UnknownChannel", channel=unknown)


def _prohibitions() -> Iterator[Case]:
    """A prohibition beats every grant, for what it names and for whatever may hold such data (rule 5)."""
    for sources, purpose in (
        (("1.1(b)",), "1.2(2)③"),
        (("1.1",), "1.2(2)③"),
        (("1.1(a)",), "1.2(2)③"),
        (("1.1(a)", "1.1(c)"), "1.2(2)③"),
        (("1.1(a)", "1.1(b)"), "1.2(2)③"),
        (("1.1(b)",), "1.2(2)②"),
        (("2.1",), "2.2⑧"),
        (("2.1(a)",), "2.2⑧"),
        (("2.1(c)",), "2.2⑧"),
        (("2.1(c)",), "2.2⑨"),
        (("3.1(b)",), "3.2①"),
        (("3.1",), "3.2①"),
        (("3.1(a)",), "3.2①"),
        (("3.1(b)",), "3.2②"),
        (("3.1(b)",), "AnyProductGuidance"),
        (("3.1",), "AnyProductGuidance"),
        (("3.1(a)",), "AnyProductGuidance"),
        (("1.1(a)", "3.1(a)"), "AnyProductGuidance"),
        (("1.1(a)", "3.1(b)"), "AnyProductGuidance"),
        (("2.3",), "2.3①"),
        (("2.3",), "2.3②"),
        (("2.3",), "2.3③"),
        ((LINKED,), "2.3①"),
        ((LINKED,), "2.3③"),
    ):
        yield case("prohibitions", sources, purpose, notice="forbidding")
    yield case("prohibitions", ("3.1(b)",), "3.2①", "post", "forbidding")
    yield case("prohibitions", ("3.1(a)",), "3.2①", "post", "forbidding")
    yield case("prohibitions", ("3.1(a)", "3.1(b)"), "3.2①", "post", "forbidding")
    for source in (LINKED, "2.3", "3.1(c)", "3.1"):
        yield case("prohibitions", (source,), "2.3③", notice="unlinked")
    yield case("prohibitions", ("3.1(c)",), "3.2⑤", notice="unlinked")


def _overlays() -> Iterator[Case]:
    """An overlay serves what it says, where its source may; combined with others it narrows them too (rule 8)."""
    for source in ("scanner-names", "scanner-sounds", "1.1(b)"):
        for purpose in ("1.2(2)①", "1.2(2)②", "1.2(2)④", "1.2(1)①", "AnySecurityInformation", "AnyFeedback"):
            yield case("overlays", (source,), purpose, notice="by-product")
    for source in ("shop-letters", "2.1(c)", "2.1"):
        for purpose in ("2.2⑥", "2.2⑩", "2.2⑪", "AnyInquiryResponse"):
            yield case("overlays", (source,), purpose, notice="by-product")
    for sources, purpose in (
        (("scanner-names", "1.1(a)"), "1.2(2)④"),
        (("scanner-names", "1.1(a)"), "1.2(2)②"),
        (("scanner-names", "1.1(b)"), "1.2(2)②"),
        (("scanner-names", "shop-letters"), "AnyFeedback"),
        (("scanner-names", "shop-letters"), "AnySecurityInformation"),
        (("1.1(b)", "shop-letters"), "AnyFeedback"),
    ):
        yield case("overlays", sources, purpose, notice="by-product")
    for channel in (None, "email", "post"):
        yield case("overlays", ("shop-letters",), "2.2①", channel, "by-product")


def _subjects() -> Iterator[Case]:
    """Clause 7: what a person asked to stop is refused, whatever the notice grants."""
    for known in (
        Known(restricted=("1.2(1)①",)),
        Known(restricted=("1.2(1)①", "2.2①")),
        Known(restricted="all"),
        Known(erased=True),
    ):
        for sources, purpose in (
            (("1.1(a)",), "1.2(1)①"),
            (("1.1(a)",), "1.2(1)②"),
            (("2.1(a)",), "2.2①"),
            (("2.1(a)",), "2.2⑥"),
            (("1.1(b)",), "1.2(1)①"),
            (("1.1(a)", "2.1(a)"), "AnyProductGuidance"),
        ):
            yield case("subjects", sources, purpose, known=known)
    # Of a family another purpose may be left; of one that names channels, that it may not be reached by comes first.
    known = Known(restricted=("1.2(1)②", "2.2①"))
    for sources in (("1.1(a)",), ("2.1(a)",), ("3.1(a)",), ("2.1(a)", "3.1(a)")):
        yield case("subjects", sources, "AnyProductGuidance", known=known)
    for channel in ("email", "post"):
        yield case("subjects", ("2.1(a)",), "2.2①", channel, known=known)


def _retention() -> Iterator[Case]:
    """Clause 8: past its period data serves only what rests on law, which no purpose of the published notice does."""
    for sources, overdue in (
        (("1.1(a)",), ("1.1(a)",)),
        (("1.1(a)", "1.1(c)"), ("1.1(c)",)),
        (("1.1(a)", "1.1(c)"), ()),
        (("1.1(b)", "1.1(a)"), ("1.1(a)",)),
        (("1.1(c)",), ("1.1(a)",)),
    ):
        for purpose in ("1.2(1)①", "1.2(2)②"):
            yield case("retention", sources, purpose, known=Known(overdue=overdue))
    for source in ("2.1(a)", "3.1(a)"):
        for channel in (None, "post"):
            yield case("retention", (source,), f"{source[0]}.2①", channel, known=Known(overdue=(source,)))
        yield case("retention", (source,), "AnyInquiryResponse", known=Known(overdue=(source,)))
    for purpose in ("13①", "13③"):  # the latter rests on law
        yield case("retention", ("1.1(a)",), purpose, notice="revised", known=Known(overdue=("1.1(a)",)))
        yield case("retention", ("1.1(a)", "1.1(c)"), purpose, notice="revised", known=Known(overdue=("1.1(c)",)))


def _revisions() -> Iterator[Case]:
    """Rule 9: what both revisions grant, and what the later one expressly extends to earlier data."""
    days = (None, "2024-04-01", "2025-04-01", "2026-04-01", "2020-01-01")
    for day in days:
        known = Known(collected_under=day)
        for sources, purpose in (
            (("1.1(a)",), "1.2(1)①"),
            (("1.1(a)",), "13①"),
            (("3.1(a)",), "13①"),
            (("1.1(a)", "3.1(a)"), "13①"),
            (("1.1(c)",), "13③"),
            (("3.1(b)",), "3.2⑤"),
            (("2.1(b)",), "2.2⑧"),
            (("3.1",), "3.2⑤"),
            (("3.1(a)",), "AnyStory"),
            (("3.1(b)",), "AnyStory"),
            (("1.1(a)", "3.1(c)"), "AnyStory"),
        ):
            yield case("revisions", sources, purpose, notice="revised", known=known)
        for source in ("1.1(a)", "1.1(c)"):
            for channel in (None, "post", "email"):
                yield case("revisions", (source,), "13④", channel, "revised", known)
        for consents in ((("12②", "2025-04-01"),), (("13②", "2026-04-01"),), (("13①", "2026-04-01"),)):
            agreed = Known(collected_under=day, consents=consents)
            yield case("revisions", ("1.1(a)",), "13②", notice="revised", known=agreed)
        yield case("revisions", ("1.1(a)",), "13②", notice="revised", known=known)
    # What was stopped under an id that the purpose had before stays stopped.
    for restricted in (("12①",), ("13①",), ("12③",)):
        for purpose in ("13①", "13③"):
            yield case("revisions", ("1.1(a)",), purpose, notice="revised", known=Known(restricted=restricted))


def _several() -> Iterator[Case]:
    """Several things stand in the way: the first of them is what is told, in the order grant to consent."""
    old = "2024-04-01"
    stopped = Known(collected_under=old, restricted="all", overdue=("1.1(a)", "1.1(c)", "3.1(a)"))
    for sources, purpose, channel in (
        (("1.1(b)",), "13①", None),
        (("1.1(a)",), "13④", "email"),
        (("1.1(c)",), "13④", "post"),
        (("1.1(a)",), "13④", "post"),
        (("3.1(a)",), "13①", None),
        (("1.1(a)", "3.1(a)"), "13①", None),
        (("1.1(a)", "2.3"), "13①", None),
        (("1.1(a)",), "13③", None),
        (("1.1(a)",), "13②", None),
        (("1.1(a)", "3.1(a)"), "AnyStory", None),
    ):
        yield case("several", sources, purpose, channel, "revised", stopped)
    now = Known(restricted="all", overdue=("1.1(a)",))
    for sources, purpose in (
        (("1.1(a)",), "13③"),
        (("1.1(a)",), "13②"),
        (("1.1(c)",), "13②"),
        (("1.1(a)", "1.1(c)"), "13①"),
    ):
        yield case("several", sources, purpose, notice="revised", known=now)
    agreed = Known(consents=(("13②", "2026-04-01"),))
    for known in (
        agreed,
        Known(consents=agreed.consents, erased=True),
        Known(consents=agreed.consents, overdue=("1.1(a)",)),
    ):
        yield case("several", ("1.1(a)",), "13②", notice="revised", known=known)


def _moved() -> Iterator[Case]:
    """Grants that name a clause; conditions that only the earlier revision had; a number that was given away."""
    first, second = (world.revision for world in WORLDS["moved"])
    for day in (first, second):
        known = Known(collected_under=day)
        for source in ("1.1(b)", "1.1", LABELS):
            for purpose in ("12①", "12②", "12③", "12④", "13①"):
                yield case("revisions", (source,), purpose, notice="moved", known=known)
        agreed = Known(collected_under=day, consents=(("12①", first),))
        for channel in (None, "post", "email"):
            yield case("revisions", ("1.1(a)",), "12①", channel, "moved", agreed)
        for consent in (("12③", first), ("12③", second), ("12④", second)):
            known = Known(collected_under=day, consents=(consent,))
            for purpose in ("12③", "12④"):
                yield case("revisions", ("1.1(a)",), purpose, notice="moved", known=known)
        # Who agreed when the data was collected did not agree to what was extended later.
        for consents in ((), (("13①", first),), (("13①", second),), (("13①", first), ("13①", second))):
            known = Known(collected_under=day, consents=consents)
            for sources in (("1.1(a)",), ("1.1(c)",), ("1.1(a)", "1.1(c)")):
                yield case("revisions", sources, "13①", notice="moved", known=known)
        yield case("revisions", ("1.1(a)",), "12④", notice="moved", known=Known(day, restricted=("12③",)))
    # In the notice's order, which is not that of the letters.
    yield case("several", (LABELS, "3.1(a)", "1.1(a)"), "2.2①", notice="moved")
    yield case("several", (LINKED, "3.1(a)"), "2.2①")
