"""The notice read a second time, for the conformance suite of decisions: by hand, from its text, clause by clause.

Nothing here is taken from the notice file, nor from the library: who may serve what is written down as the Japanese
text has it, and the rules of decision are worked out by sets. So what `decisions.json` expects is a second opinion.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪"

BARS = ("grant", "channel", "revision", "retention", "subject", "consent")
"""What may stand between a source and a purpose, first to last."""

VIOLATIONS = {
    "grant": "PurposeViolation", "channel": "ChannelViolation", "revision": "RevisionViolation",
    "retention": "RetentionViolation", "subject": "SubjectViolation", "consent": "SubjectViolation",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class World:
    """What one revision says. Sources of `grants` are items: what a clause with items may serve follows from these.

    `serves`: derivations and overlays → purposes that these may serve at most. `narrows`: overlays → their source.
    `forbidden`: pairs that a prohibition takes away, with all that it reaches. `extended`: pairs → `related` or
    `consent`. `was`: purposes → the id that they had in the revision before; None: they are new there.
    """

    revision: str
    items: Mapping[str, tuple[str, ...]]
    grants: Mapping[str, frozenset[str]]
    closed: Mapping[str, tuple[str, ...]]
    families: Mapping[str, tuple[str, ...]]
    serves: Mapping[str, frozenset[str]]
    narrows: Mapping[str, str] = dataclasses.field(default_factory=dict)
    forbidden: frozenset[tuple[str, str]] = frozenset()
    basis: Mapping[str, str] = dataclasses.field(default_factory=dict)
    extended: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    was: Mapping[str, str | None] = dataclasses.field(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """All sources, clauses before their items."""
        plain = [one for parent, items in self.items.items() for one in (parent, *items)]
        return (*plain, *self.narrows, *(one for one in self.serves if one not in self.narrows))

    def granted(self, source: str, purpose: str) -> bool:
        """Whether the revision lets a source serve a purpose, by some channel."""
        if self.items.get(source):  # a clause: what all its items may
            return all(self.granted(item, purpose) for item in self.items[source])
        if (source, purpose) in self.forbidden:
            return False
        if source in self.narrows:
            return purpose in self.serves[source] and self.granted(self.narrows[source], purpose)
        if source in self.serves:
            return purpose in self.serves[source]
        return source in self.grants[purpose]

    def admits(self, purpose: str, channel: str | None) -> bool:
        """Whether a purpose may reach people by a channel."""
        return channel is None or purpose not in self.closed or channel in self.closed[purpose]


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of the data beside its sources; see `decisions.md`."""

    collected_under: str | None = None
    restricted: tuple[str, ...] | str = ()
    erased: bool = False
    consents: tuple[tuple[str, str], ...] = ()
    overdue: tuple[str, ...] = ()


def answer(
    worlds: tuple[World, ...], sources: Collection[str], purpose: str, channel: str | None, known: Known
) -> dict[str, Any]:
    """What is expected: allowed, or refused, by which error and for which sources. The last world is in force."""
    members = worlds[-1].families.get(purpose, (purpose,))
    bars = {}
    for source in dict.fromkeys(sources):
        found = [bar(worlds, source, member, channel, known) for member in members]
        # Of a family, what the source comes nearest to.
        nearest = "" if None in found else max((one for one in found if one is not None), key=BARS.index)
        if nearest:
            bars[source] = nearest
    if not bars:
        return {"allowed": True}
    first = min(bars.values(), key=BARS.index)
    order = worlds[-1].sources
    return {"refused": VIOLATIONS[first], "denied": sorted(bars, key=order.index)}


def bar(worlds: tuple[World, ...], source: str, purpose: str, channel: str | None, known: Known) -> str | None:
    """What stands between one source and one purpose, the first of `BARS`; None where nothing does."""
    now = worlds[-1]
    if not now.granted(source, purpose):
        return "grant"
    if not now.admits(purpose, channel):
        return "channel"
    names = _names(worlds, purpose)
    agreed = [day for given, day in known.consents if names.get(day) == given]
    needs_consent = now.basis.get(purpose) == "consent"
    day = known.collected_under or now.revision
    if day != now.revision:
        then = next((world for world in worlds if world.revision == day), None)
        if then is None:
            return "revision"
        old = names[day]
        if old is not None and source in then.sources and then.granted(source, old) and then.admits(old, channel):
            needs_consent = needs_consent or then.basis.get(old) == "consent"
        else:
            extension = _extension(now, source, purpose)
            if extension is None:
                return "revision"
            if extension == "consent" and not any(given > day for given in agreed):
                return "consent"
    if source in known.overdue and now.basis.get(purpose) != "law":
        return "retention"
    stopped = known.erased or known.restricted == "all"
    if stopped or any(name in known.restricted for name in names.values() if name is not None):
        return "subject"
    return "consent" if needs_consent and not agreed else None


def _extension(world: World, source: str, purpose: str) -> str | None:
    """On what basis a revision extends a purpose to earlier data of a source: of a clause, to that of every item."""
    found = [world.extended.get((item, purpose)) for item in world.items.get(source) or (source,)]
    if None in found:
        return None
    return "consent" if "consent" in found else "related"


def _names(worlds: tuple[World, ...], purpose: str) -> dict[str, str | None]:
    """Revision → the id that a purpose of the one in force has in it."""
    found: dict[str, str | None] = {}
    name: str | None = purpose
    for world in reversed(worlds):
        found[world.revision] = name if name in world.grants else None
        name = world.was.get(name, name) if name is not None else None
    return found


# ---- 本文: the notice of 2024-04-01 -------------------------------------------------------------------------------

ITEMS = {
    "1.1": ("1.1(a)", "1.1(b)", "1.1(c)"),
    "2.1": ("2.1(a)", "2.1(b)", "2.1(c)"),
    "2.3": (),
    "3.1": ("3.1(a)", "3.1(b)", "3.1(c)"),
}

# 1.2(1) 「1.1(a)および(c)の個人情報」 · 1.2(2) 「1.1 (a),(b)および(c)の個人情報」 · 2.2 what 2.1 collects · 2.3 what is
# collected there, and under ③ also linked with what else is known of a person · 3.2 what 3.1 collects
CLAUSES = (
    ("1.2(1)", ("1.1(a)", "1.1(c)"), 5),
    ("1.2(2)", ITEMS["1.1"], 6),
    ("2.2", ITEMS["2.1"], 11),
    ("2.3", ("2.3",), 3),
    ("3.2", ITEMS["3.1"], 9),
)

GRANTS = {f"{clause}{CIRCLED[n]}": frozenset(sources) for clause, sources, count in CLAUSES for n in range(count)}

# 「メールや電話による」: these two and no other; 「メールによる」: this one alone. Where it says
# 「メールや電話等による」 (1.2(1)④ and ⑤, 2.2⑤, 3.2⑥) it leaves room for others.
BOTH, MAIL = ("email", "phone"), ("email",)
CLOSED = {
    "2.2①": BOTH, "2.2②": BOTH, "2.2③": MAIL, "2.2④": BOTH, "3.2①": BOTH, "3.2②": BOTH, "3.2③": MAIL, "3.2④": BOTH,
}  # fmt: skip
OPEN = ("1.2(1)④", "1.2(1)⑤", "2.2⑤", "3.2⑥")

# The same goal in several clauses.
FAMILIES = {
    "AnyProductGuidance": ("1.2(1)②", "2.2①", "3.2①"),
    "AnyThirdPartyProducts": ("1.2(1)③", "2.2②", "3.2②"),
    "AnySecurityInformation": ("1.2(2)④", "2.2③", "3.2③"),
    "AnySurveyInvitation": ("1.2(1)④", "2.2④", "3.2④"),
    "AnyEventInvitation": ("1.2(1)⑤", "2.2⑤", "3.2⑥"),
    "AnyInquiryResponse": ("2.2⑥", "3.2⑦"),
    "AnyFeedback": ("1.2(2)⑥", "2.2⑦", "3.2⑧"),
    "AnyCommunityOperation": ("2.2⑪", "3.2⑨"),
}

# 2.3③ 「お客さまの個人情報と関連づけて」: what was linked serves this analysis and nothing else.
LINKED = "2.3③"

NOTICE = World("2024-04-01", ITEMS, GRANTS, CLOSED, FAMILIES, {LINKED: frozenset({"2.3③"})})
