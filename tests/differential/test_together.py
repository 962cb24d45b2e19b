"""Over several notices, too, the compiled table answers as the executable specification does."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purposeguard import Guard, History, Notice, RowContext
from purposeguard.notice.retention import Periods
from purposeguard.policy import spec
from purposeguard.policy.context import BEFORE_ALL, NO_CONDITIONS, Context, SubjectPreferences
from purposeguard.testing.strategies import name_of
from tests import histories
from tests.generated import notices_together
from tests.generated.notices_together import Together
from tests.oversights import Told
from tests.unit.conditions import tables


def compiled(situation: Together, facts: dict[str, histories.Context]) -> Context:
    """The same as the table takes it: ids name their notice."""
    named = any(known["named"] for known in facts.values())
    preferences = SubjectPreferences(
        suspended=frozenset(f"{id_}:{one}" for id_, known in facts.items() for one in known["suspended"]),
        erased=any(known["stopped"] for known in facts.values()),
        consents=frozenset((f"{id_}:{one}", day) for id_, known in facts.items() for one, day in known["consents"]),
    )
    unders = tuple(facts[id_]["collected_under"] for id_ in situation.known)
    overdue = frozenset(f"{id_}:{one}" for id_, known in facts.items() for one in known["overdue"])
    stated = frozenset(f"{id_}:{one}" for id_, known in facts.items() for one in known["conditions"])
    return Context(
        preferences if named else None,
        BEFORE_ALL if any(unders) else None,
        overdue,
        conditions=stated,
        unders=unders if any(unders) else (),
    )


def asked_of_each(parts: dict[str, str], facts: dict[str, histories.Context]) -> dict[str, histories.Context]:
    """What the specification is asked of each notice that has a part in a purpose."""
    return {id_: facts[id_] | {"purpose": purpose} for id_, purpose in parts.items()}


class Tally:
    """How many questions were asked, how many answered with yes, and how many of these over several notices.

    `lifted`: how many of those are answered with no where no condition is stated.
    """

    def __init__(self) -> None:
        self.asked = self.allowed = self.joint = self.lifted = 0

    def compare(self, data: st.DataObject, situation: Together) -> None:
        """Asks both of some labels, whether they may serve every purpose and family, by every channel."""
        table, documents = situation.table, situation.documents()
        for _ in range(4):
            facts = data.draw(notices_together.facts(situation))
            sources = data.draw(notices_together.labels(situation))
            label, ids = notices_together.label_of(sources), [(id_, source.clause) for id_, source in sources]
            context = compiled(situation, facts)
            for channel in (None, *table.notice.channels):
                for activity in (False, True):
                    row = table.row_for(label, channel, context._replace(channel_unstated=activity and channel is None))
                    bare = table.row_for(
                        label,
                        channel,
                        context._replace(channel_unstated=activity and channel is None, conditions=NO_CONDITIONS),
                    )
                    said = {id_: known | {"channel": channel, "activity": activity} for id_, known in facts.items()}
                    for asked, parts in situation.asked():
                        purpose = table.resolve_purpose(asked)
                        shut = activity and channel is None and table.must_state_channel(purpose)
                        expected = spec.is_allowed_jointly(documents, ids, asked_of_each(parts, said))
                        if (purpose in row and not shut) is not expected:
                            pytest.fail(f"{ids} for {parts} by {channel}, {facts}: the specification says {expected}")
                        self.asked += 1
                        self.allowed += expected
                        joint = expected and len({id_ for id_, _ in ids}) > 1
                        self.joint += joint
                        self.lifted += joint and purpose not in bare


def test_generated_notices() -> None:
    tally = Tally()

    @given(data=st.data(), situation=notices_together.several())
    @settings(max_examples=9)
    def ask(data: st.DataObject, situation: Together) -> None:
        tally.compare(data, situation)

    ask()
    assert tally.asked >= 1_000
    assert 0.01 < tally.allowed / tally.asked < 0.9  # neither answer is rare, so both are compared
    assert tally.joint  # nor is it always one notice that decides


@pytest.mark.deep
@pytest.mark.parametrize("part", range(4))
def test_generated_notices_at_length(part: int) -> None:
    tally = Tally()

    @settings(derandomize=False)
    @given(data=st.data(), situation=notices_together.several())
    def ask(data: st.DataObject, situation: Together) -> None:
        tally.compare(data, situation)

    while tally.asked < 500_000:
        ask()
    assert tally.joint
    assert tally.lifted  # conditions decide over several notices too


def test_conditions_and_bases_of_two_notices() -> None:
    """Whatever is stated to either, of data of one and of both, for those who agreed, objected or are not named."""
    made = tables(id="there")
    bases = [{"basis": "consent", "when": ["adult"], "sources": ["2"]}, {"basis": "law", "sources": ["1"]}]
    made["grant"][0]["purpose"][2]["bases"] = bases
    made["forbid"][0]["purposes"] = ["Wine"]
    inforce = {"here": Notice.parse(tables(id="here")), "there": Notice.parse(made)}
    families = {f"Any{name}": {id_: of.purpose(name) for id_, of in inforce.items()} for name in NAMES}
    situation = Together({id_: (of,) for id_, of in inforce.items()}, inforce, families)
    table, documents = situation.table, situation.documents()
    here, there = ([(id_, source) for source in one.sources] for id_, one in inforce.items())
    labels = [*([each] for each in (*here, *there)), *map(list, itertools.product(here, there))]
    wishes: list[dict[str, Any]] = [
        {"named": False},
        {"named": True},
        {"named": True, "consents": [(row.clause, one.revision) for one in inforce.values() for row in one.purposes]},
        {"named": True, "suspended": ("3③",)},
        {"named": True, "overdue": ("1(a)", "2")},
    ]
    answers = {True: 0, False: 0}
    stated = [frozenset(given) for given in ((), ("adult",), ("outside-eu",), ("adult", "outside-eu"))]
    for conditions, wish in itertools.product(itertools.product(stated, repeat=2), wishes):
        nothing = {"collected_under": None, "suspended": (), "stopped": False, "consents": (), "overdue": ()}
        facts = {id_: nothing | wish | {"conditions": given} for id_, given in zip(inforce, conditions, strict=True)}
        context = compiled(situation, facts)
        said = {id_: known | {"channel": None, "activity": False} for id_, known in facts.items()}
        for label in labels:
            row = table.row_for(notices_together.label_of(label), None, context)
            ids = [(id_, source.clause) for id_, source in label]
            for asked, parts in situation.asked():
                expected = spec.is_allowed_jointly(documents, ids, asked_of_each(parts, said))
                assert (table.resolve_purpose(asked) in row) is expected, (ids, parts, facts)
                answers[expected] += len(ids) > 1
    assert min(answers.values()) > 100


NAMES = ("Newsletter", "Delivery", "Research", "Wine")
RETENTION = {"clause": "8", "starts": "end-of-use", "bases": ["law"], "after": "law-only"}
ZONES = ("Asia/Tokyo", "America/Los_Angeles", "UTC")


@given(data=st.data(), situation=notices_together.several(latest=True))
@settings(max_examples=8)
def test_a_guard_counts_days_as_each_notice_does(data: st.DataObject, situation: Together) -> None:
    """One moment of collection: each notice finds the revision that held on its own day, and its own periods."""
    inforce = {}
    for (id_, one), zone in zip(situation.inforce.items(), ZONES, strict=False):
        periods = [{"source": one.sources[0].clause, "days": data.draw(st.integers(1, 3)), "from": "collection"}]
        inforce[id_] = Notice.parse(one.dump() | {"timezone": zone, "retention": RETENTION | {"period": periods}})
    known = {
        id_: tuple(inforce[id_] if one.revision == inforce[id_].revision else one for one in of)
        for id_, of in situation.known.items()
    }
    families = {
        name: {id_: inforce[id_].purpose_or_family(name_of(part)) for id_, part in parts.items()}
        for name, parts in situation.families.items()
    }
    situation = Together(known, inforce, families)
    first = data.draw(st.sampled_from([one.revision for of in known.values() for one in of]))
    collected = datetime.datetime.combine(first, data.draw(st.times()), datetime.UTC)
    collected += datetime.timedelta(days=data.draw(st.integers(-1, 1)))
    latest = max(one.revision for of in known.values() for one in of)
    now = max(
        datetime.datetime.combine(latest, datetime.time(12), datetime.UTC) + datetime.timedelta(days=1), collected
    )
    now = data.draw(st.sampled_from([now, max(now, collected + datetime.timedelta(days=2))]))
    facts = data.draw(notices_together.facts(situation, named=True))
    preferences, conditions = (context := compiled(situation, facts)).preferences, context.conditions
    assert preferences is not None
    guard = Guard(situation.notices, governance=Told({"7": preferences}), clock=lambda: now)
    sources = data.draw(notices_together.labels(situation))
    ids = [(id_, source.clause) for id_, source in sources]
    documents = situation.documents()
    for id_, of in known.items():
        held = History(*of).on(collected)
        overdue = Periods(inforce[id_].document).overdue(
            [s for of, s in ids if of == id_], collected=collected, today=now
        )
        under = datetime.date.min if held is None else held.revision
        facts[id_] |= {"collected_under": under, "overdue": overdue, "channel": None, "activity": False}
    about = RowContext(7, collected=collected)
    for asked, parts in situation.asked():
        expected = spec.is_allowed_jointly(documents, ids, asked_of_each(parts, facts))
        label = notices_together.label_of(sources)
        assert guard.allows(label, asked, subject=about, conditions=conditions) is expected
        named = [f"{id_}:{clause}" for id_, clause in ids]
        decision = guard.explain(named, asked, subject=about, conditions=conditions)
        assert bool(decision) is expected
        assert str(decision)
