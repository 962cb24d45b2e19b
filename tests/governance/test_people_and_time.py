"""Clauses 7, 8 and 11 together against a model: subjects, consents, revisions and periods, in any order."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

import purposeguard as pg
from purposeguard.governance import Governance
from tests.governance.support import Time

DAY = dt.timedelta(days=1)
DATES = [dt.date(2026, 1, 1), dt.date(2026, 4, 1), dt.date(2026, 7, 1)]
# Purpose → the sources that each revision lets serve it, in the order of the revisions.
GRANTS = {
    "Advice": ("AB", "A", "AB"),
    "Letters": ("A", "AB", "AB"),
    "Taxes": ("AB", "AB", "AB"),
    "Games": ("", "AB", "B"),
}
BASES = {"Letters": "consent", "Taxes": "law"}
EXTENDED = [{}, {("A", "Games"): "related", ("B", "Games"): "consent"}, {("B", "Advice"): "consent"}]
FAMILY = ("Advice", "Games")
KEPT = {"A": ("ended", 30), "B": ("collected", 100)}


@dataclasses.dataclass
class Datum:
    subject: int
    sources: str
    collected: dt.date
    ended: dt.date | None = None


@dataclasses.dataclass
class Said:
    """What a subject asked for (`suspended`, None: for all) or agreed to (`agreed`)."""

    subject: int
    suspended: tuple[str, ...] | None = ()
    agreed: str | None = None
    under: int = 0
    over: bool = False


def may(datum: Datum, purpose: str, said: list[Said], now: int, today: dt.date) -> bool:
    members = FAMILY if purpose == "AnyFun" else (purpose,)
    return all(any(serves(datum, source, member, said, now, today) for member in members) for source in datum.sources)


def serves(datum: Datum, source: str, purpose: str, said: list[Said], now: int, today: dt.date) -> bool:  # noqa: PLR0917
    mine = [one for one in said if one.subject == datum.subject and not one.over]
    agreed = [one.under for one in mine if one.agreed == purpose]
    if source not in GRANTS[purpose][now] or any(one.suspended is None or purpose in one.suspended for one in mine):
        return False
    then = max((number for number, date in enumerate(DATES) if date <= datum.collected), default=None)
    if then is None:
        return False
    basis = BASES.get(purpose)
    extended = EXTENDED[now].get((source, purpose))
    if source not in GRANTS[purpose][then] and not (
        then < now and (extended == "related" or (extended == "consent" and any(under > then for under in agreed)))
    ):
        return False
    since, days = KEPT[source]
    begun = getattr(datum, since)
    over = begun is not None and (today - begun).days > days
    return (basis == "law" or not over) and (basis != "consent" or bool(agreed))


def titled(text: str) -> dict[str, str]:
    return {"en": text, "ja": text}


def revision(number: int) -> pg.Notice:
    granted = {name: served[number] for name, served in GRANTS.items() if served[number]}
    grants: list[dict[str, Any]] = []
    for item, (name, sources) in enumerate(granted.items(), 1):
        row = {"id": f"2({item})", "class": name, "title": titled(name)}
        grants.append({"clause": f"2.{item}", "title": titled(name), "sources": [f"1({s.lower()})" for s in sources]})
        grants[-1]["purpose"] = [row | ({"basis": BASES[name]} if name in BASES else {})]
    ids = {name: f"2({item})" for item, name in enumerate(granted, 1)}
    extensions = [
        {"purposes": [ids[name]], "sources": [f"1({source.lower()})"], "basis": basis}
        | ({"notified": DATES[number]} if basis == "related" else {})
        for (source, name), basis in EXTENDED[number].items()
    ]
    periods = [
        {"source": f"1({one.lower()})", "days": days, "from": "collection" if since == "collected" else "end-of-use"}
        for one, (since, days) in KEPT.items()
    ]
    family = {"class": "AnyFun", "title": titled("fun"), "purposes": [ids[one] for one in FAMILY if one in ids]}
    return pg.Notice.parse(
        {
            "format": 1,
            "id": "small",
            "revision": DATES[number],
            "controller": titled("it"),
            "title": titled("it"),
            "source": [{"id": f"1({one})", "class": f"Data{one.upper()}", "title": titled(one)} for one in "ab"],
            "grant": grants,
            "family": [family] if len(family["purposes"]) > 1 else [],
            "extension": extensions,
            "retention": {
                "clause": "8",
                "starts": "end-of-use",
                "bases": ["law", "granted-purposes"],
                "after": "law-only",
                "period": periods,
            },
        }
    )


REVISIONS = [revision(number) for number in range(3)]

people = st.sampled_from([1, 2])
purposes = st.sampled_from(sorted(GRANTS))


class Machine(RuleBasedStateMachine):
    """One service whose notice is replaced, and the model."""

    said_before = Bundle("said_before")
    data = Bundle("data")
    examples = itertools.count()

    def __init__(self, url: str) -> None:
        super().__init__()
        self.time = Time(dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC))
        self.now = 0
        self.governance = Governance(url, notice=pg.History(*REVISIONS), clock=lambda: self.time.now)
        self.guard = pg.Guard(pg.History(*REVISIONS), governance=self.governance, clock=lambda: self.time.now)
        self.example = next(self.examples)
        self.said: list[Said] = []
        self.held: list[Datum] = []

    def teardown(self) -> None:
        self.governance.close()

    def name(self, subject: int) -> str:
        return f"{self.example}-{subject}"

    @rule(days=st.sampled_from([1, 15, 40]))
    def time_passes(self, days: int) -> None:
        self.time.passes(days=days)

    @rule(number=st.sampled_from([0, 1, 2]))
    def another_revision(self, number: int) -> None:
        """Whichever: one that is put back is one, too."""
        self.guard.replace(REVISIONS[number])
        self.now = number

    @rule(target=data, subject=people, sources=st.sampled_from(["A", "B", "AB"]), days=st.sampled_from([0, 10, 60, 90]))
    def collect(self, subject: int, sources: str, days: int) -> Datum:
        datum = Datum(subject, sources, self.time.now.date() - days * DAY)
        self.held = [*self.held[-7:], datum]
        return datum

    @rule(datum=data, days=st.sampled_from([0, 30, 31]))
    def end_use(self, datum: Datum, days: int) -> None:
        datum.ended = self.time.now.date() - days * DAY

    @rule(target=said_before, subject=people, some=st.none() | st.lists(purposes, min_size=1, max_size=2, unique=True))
    def suspend(self, subject: int, some: list[str] | None) -> Any:
        known = None if some is None else [one for one in some if GRANTS[one][self.now]]
        if known == []:
            return None, Said(subject, over=True)
        made = self.governance.restrict(self.name(subject), known)
        return made.id, self.say(Said(subject, None if known is None else tuple(known)))

    @rule(said=consumes(said_before))
    def lift(self, said: tuple[int | None, Said]) -> None:
        number, model = said
        if number is not None:
            self.governance.lift(number)
            model.over = True

    @rule(subject=people, purpose=purposes)
    def agree(self, subject: int, purpose: str) -> None:
        if GRANTS[purpose][self.now]:
            self.governance.consent(self.name(subject), purpose)
            self.say(Said(subject, agreed=purpose, under=self.now))

    @rule(subject=people)
    def take_back(self, subject: int) -> None:
        self.governance.withdraw(self.name(subject))
        for one in self.said:
            one.over = one.over or (one.subject == subject and one.agreed is not None)

    def say(self, said: Said) -> Said:
        self.said.append(said)
        return said

    @invariant()
    def decided_as_in_the_model(self) -> None:
        notice = self.guard.notice
        asked = [one for one, served in GRANTS.items() if served[self.now]] + [one.name for one in notice.families]
        for datum in self.held:
            about = pg.RowContext(self.name(datum.subject), collected=datum.collected, ended=datum.ended)
            sources = [f"Data{one}" for one in datum.sources]
            for purpose in asked:
                expected = may(datum, purpose, self.said, self.now, self.time.now.date())
                decision = self.guard.explain(sources, purpose, subject=about)
                assert decision.allowed is expected, (datum, purpose, self.now, str(decision))


def test_clauses_7_8_and_11_are_as_in_a_model(store_url: str) -> None:
    effort = settings(max_examples=max(8, settings().max_examples // 4), stateful_step_count=25)
    machine = cast("type[Machine]", lambda: Machine(store_url))  # whatever makes one will do
    run_state_machine_as_test(machine, settings=effort)
