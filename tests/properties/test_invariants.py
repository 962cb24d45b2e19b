"""What no notice can bring about, whatever it says: one test an invariant, named after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy import spec
from purposeguard.policy.table import PolicyTable
from purposeguard.testing import strategies
from purposeguard.testing.strategies import list_purposes, name_of
from tests import generated, support
from tests.generated import notice_tables
from tests.generated.notice_tables import Tables

ANY_NOTICE = st.one_of(st.just(tm.NOTICE), generated.notices())


def may(guard: pg.Guard, sources: object, channel: str | None = None) -> frozenset[str]:
    """The ids of the purposes and families that these sources may serve."""
    asked = list_purposes(guard.notice)
    return frozenset(name_of(one) for one in asked if guard.allows(sources, one, channel))  # type: ignore[arg-type]


def items(made: Tables, source: str) -> list[str]:
    """The sources below a source that have none below themselves; the source itself where it has none."""
    children = [row["id"] for row in made["source"] if row.get("parent") == source]
    return [leaf for child in children for leaf in items(made, child)] or [source]


def lineage(made: Tables, source: str) -> set[str]:
    """The source and all above it."""
    parents = {row["id"]: row.get("parent") for row in made["source"]}
    found = set()
    while source:
        found.add(source)
        source = parents.get(source) or ""
    return found


def stated(made: Tables, source: str) -> set[str]:
    """The purposes that some row of the file states for a source (or for each of its items), read naively."""
    for kind in ("derivation", "overlay"):
        for row in made.get(kind, ()):
            if row["id"] == source:
                return set(row["serves"])
    of_items = [
        {
            row["id"]
            for grant in made["grant"]
            if lineage(made, item) & set(grant["sources"])
            for row in grant["purpose"]
        }
        for item in items(made, source)
    ]
    return set.intersection(*of_items)


@given(made=notice_tables.tables(), nonsense=st.text(max_size=30))
def test_default_deny(made: Tables, nonsense: str) -> None:
    guard = pg.Guard(pg.Notice.parse(made))
    for source in guard.notice.sources:
        for purpose in guard.notice.purposes:
            if purpose.clause not in stated(made, source.clause):
                assert not guard.allows(source, purpose)
                assert not any(guard.allows(source, purpose, channel) for channel in guard.notice.channels)
                with pytest.raises(pg.PurposeViolation):
                    guard.check(source, purpose)
        # What is unknown never falls through to an answer.
        unknown = [("0.0(x)", "1.2①"), (source, "0.0(x)"), (tm.Registration, "1.2①"), (source, pg.Purpose)]
        for sources, asked in unknown:
            with pytest.raises(pg.UnknownTerm):
                guard.allows(sources, asked)  # type: ignore[arg-type]  # of several types
    with pytest.raises(pg.UnknownTerm):
        guard.allows(guard.notice.sources[0], tm.RenewalGuidance)
    with pytest.raises(pg.UnknownTerm):
        guard.allows(guard.notice.sources[0], guard.notice.purposes[0], channel="pigeon" + nonsense)


EMPTY: list[Callable[[], object]] = [tuple, list, set, frozenset, lambda: iter(()), {}.keys, lambda: range(0)]


@given(notice=ANY_NOTICE, data=st.data())
def test_empty_label_is_refused(notice: pg.Notice, data: st.DataObject) -> None:
    guard, observing = pg.Guard(notice), pg.Guard(notice, mode="observe")
    purpose = data.draw(st.sampled_from(list_purposes(notice)))
    channel = data.draw(st.sampled_from([None, *notice.channels]))
    open_purposes = [one for one in notice.purposes if not PolicyTable(notice).must_state_channel(one)]
    for empty in EMPTY:
        for one in (guard, observing):
            for ask in (one.allows, one.check, one.explain):
                with pytest.raises(pg.UnlabelledData):
                    ask(empty(), purpose, channel)  # type: ignore[arg-type]  # what untyped code may hand over
            for activity in open_purposes[:1]:
                with one.purpose(activity) as use:
                    for ask_here in (use.allows, use.check, use.explain):
                        with pytest.raises(pg.UnlabelledData):
                            ask_here(empty())  # type: ignore[arg-type]  # likewise
    no_sources: tuple[Any, ...] = (None, "", b"", {}, 0)
    for nothing in no_sources:
        with pytest.raises(pg.UnknownSource):
            guard.allows(nothing, purpose, channel)
    for make in (pg.Label, pg.Label.join):
        with pytest.raises(pg.UnlabelledData):
            make()
    with pytest.raises(pg.UnlabelledData):
        spec.permits(notice.document, [], name_of(purpose), channel)


@given(data=st.data(), made=notice_tables.tables(overlays=False))
def test_prohibition_wins(data: st.DataObject, made: Tables) -> None:
    before = pg.Guard(pg.Notice.parse(made))
    rule = data.draw(notice_tables.prohibition(made))
    about = [(set(row["sources"]), set(row["purposes"])) for row in (*made.get("forbid", ()), rule)]
    assume(about[-1] not in about[:-1])  # to say the same twice is a fault
    after_tables = notice_tables.copied(made)
    after_tables.setdefault("forbid", []).append(rule)
    after = pg.Guard(pg.Notice.parse(after_tables))
    families = {row["class"]: row["purposes"] for row in made.get("family", ())}
    forbidden = {one for given_id in rule["purposes"] for one in families.get(given_id, [given_id])}
    derivations = {row["id"]: (*row["from"], *row["with"]) for row in made.get("derivation", ())}

    def covered(source: str) -> bool:
        """Whether the rule names the source, what is above it, or anything that goes into it."""
        if source in derivations:
            return source in rule["sources"] or any(
                covered(leaf) for one in derivations[source] for leaf in [*items(made, one), one]
            )
        return bool(lineage(made, source) & set(rule["sources"]))

    for source in after.notice.sources:
        for channel in (None, *after.notice.channels):
            allowed = may(after, source.clause, channel)
            assert allowed <= may(before, source.clause, channel)  # and a prohibition never widens
            if covered(source.clause):
                assert not allowed & forbidden
                assert not any(family in allowed and set(families[family]) <= forbidden for family in families)
    # An overlay of what is forbidden, or itself forbidden, may not serve it either.
    overlay = {"id": "Q1", "class": "Sheet", "product": "p", "item": "i", "title": notice_tables.titled("Q1")}
    for row in made["source"]:
        serves = notice_tables.may_serve(made, row["id"])
        with_overlay = {**made, "overlay": [{**overlay, "source": row["id"], "serves": serves}]}
        with_overlay["forbid"] = [{**rule, "sources": ["Q1"]}]
        assert not may(pg.Guard(pg.Notice.parse(with_overlay)), "Q1") & forbidden


@given(data=st.data(), made=notice_tables.tables())
def test_order_and_duplicates_do_not_matter(data: st.DataObject, made: Tables) -> None:
    notice = pg.Notice.parse(made)
    guard = pg.Guard(notice)
    chosen = data.draw(st.lists(st.sampled_from(notice.sources), min_size=1, max_size=4, unique=True))
    again = data.draw(st.permutations([*chosen, *data.draw(st.lists(st.sampled_from(chosen), max_size=4))]))
    named = [data.draw(support.forms(source)) for source in again]
    assert pg.Label(*again) is pg.Label(*chosen)
    whole = [list(named), tuple(named), set(named), frozenset(again), pg.Label(*again), [pg.Label(*again), *named]]
    for channel in (None, *notice.channels):
        expected = may(guard, pg.Label(*chosen), channel)
        for form in whole:
            assert may(guard, form, channel) == expected
        for purpose in list_purposes(notice):
            assert guard.allows(iter(named), purpose, channel) is (name_of(purpose) in expected)
    for family in notice.families:
        members = data.draw(st.permutations([*family.members, family.members[0]]))
        union: Any = members[0]
        for member in members[1:]:
            union |= member
        assert guard.allows(chosen, union) is guard.allows(chosen, family) is guard.allows(chosen, family.slug)
    # The order of the rows of the file decides nothing either.
    shuffled = notice_tables.copied(made)
    for kind in ("channel", "source", "grant", "family", "derivation", "forbid", "overlay"):
        if kind in shuffled:
            shuffled[kind] = data.draw(st.permutations(shuffled[kind]))
    other = pg.Guard(pg.Notice.parse(shuffled))
    ids = [source.clause for source in chosen]
    for channel in (None, *notice.channels):
        assert may(other, ids, channel) == may(guard, ids, channel)


def parts(label: pg.Label, data: st.DataObject) -> Iterator[pg.Label]:
    """Two labels, which may overlap, that make up a label."""
    sources = sorted(label.sources, key=name_of)
    one = data.draw(st.lists(st.sampled_from(sources), min_size=1, unique=True))
    rest = [source for source in sources if source not in one] or one
    yield pg.Label(*one)
    yield pg.Label(*rest, *data.draw(st.lists(st.sampled_from(one), max_size=2)))


@given(notice=ANY_NOTICE, data=st.data())
def test_combining_never_widens(notice: pg.Notice, data: st.DataObject) -> None:
    guard = pg.Guard(notice)
    for label in data.draw(st.lists(strategies.labels(notice, most=6), min_size=1, max_size=5)):
        one, other = parts(label, data)
        assert one | other is other | one is pg.Label.join(one, other) is label
        for channel in (None, *notice.channels):
            both = may(guard, label, channel)
            assert both == may(guard, one, channel) & may(guard, other, channel)
            assert may(guard, [one, other], channel) == both
            assert may(guard, label | pg.Label(pg.NotPersonal), channel) == both  # what is not personal adds nothing
            assert both <= may(guard, pg.NotPersonal, channel)


@given(notice=ANY_NOTICE)
def test_parent_never_exceeds_an_item(notice: pg.Notice) -> None:
    guard = pg.Guard(notice)
    made = notice.dump()
    purposes = {one.clause for one in notice.purposes}
    for row in made["source"]:
        for channel in (None, *notice.channels):
            whole = may(guard, row["id"], channel)
            of_items = [may(guard, item, channel) for item in items(made, row["id"])]
            between = [may(guard, one["id"], channel) for one in made["source"] if one.get("parent") == row["id"]]
            assert all(whole <= one for one in (*of_items, *between))
            # Of purposes, it may serve all that every item may.
            assert whole & purposes == frozenset.intersection(*of_items) & purposes


@given(data=st.data(), made=notice_tables.tables())
def test_overlay_never_widens(data: st.DataObject, made: Tables) -> None:
    notice = pg.Notice.parse(made)
    guard = pg.Guard(notice)
    for index, row in enumerate(made.get("overlay", ())):
        company = data.draw(st.lists(st.sampled_from(notice.sources), max_size=2))
        for channel in (None, *notice.channels):
            assert may(guard, row["id"], channel) <= may(guard, row["source"], channel)
            assert may(guard, [row["id"], *company], channel) <= may(guard, [row["source"], *company], channel)
        for purpose in set(notice_tables.purposes_of(made)) - may(guard, row["source"]):
            widened = notice_tables.copied(made)
            widened["overlay"][index]["serves"].append(purpose)
            with pytest.raises(pg.NoticeError) as refused:
                pg.Notice.parse(widened)
            assert [fault.place for fault in refused.value.faults] == [f"overlay[{index}].serves"]
            assert "widen" in refused.value.faults[0].message


@given(notice=generated.notices(facts=True, conditions=True), data=st.data())
def test_more_conditions_never_allow_less(notice: pg.Notice, data: st.DataObject) -> None:
    guard = pg.Guard(notice)
    every = st.frozensets(st.sampled_from(notice.conditions)) if notice.conditions else st.just(frozenset[str]())
    fewer = data.draw(every)
    more = fewer | data.draw(every)
    label = data.draw(strategies.labels(notice, most=3))
    for channel in (None, *notice.channels):
        for asked in list_purposes(notice):
            allowed = guard.allows(label, asked, channel, conditions=fewer)
            assert guard.allows(label, asked, channel, conditions=more) or not allowed
            decision = guard.explain(label, asked, channel, conditions=fewer)
            assert bool(decision) is allowed
            assert str(decision)


@given(made=notice_tables.tables(conditions=True, derivations=False, overlays=False, prohibitions=True))
def test_where_nothing_is_stated_nothing_is_allowed_that_needs_a_condition(made: Tables) -> None:
    notice = pg.Notice.parse(made)
    guard = pg.Guard(notice)
    needing = {row["id"]: row.get("when") or grant.get("when") for grant in made["grant"] for row in grant["purpose"]}
    lifted = {
        one
        for row in made.get("forbid", ())
        if row.get("unless")
        for given in row["purposes"]
        for one in next((f["purposes"] for f in made.get("family", ()) if f["class"] == given), [given])
        if row["sources"] == "any"
    }
    for source in notice.sources:
        for purpose in notice.purposes:
            if needing[purpose.clause] or purpose.clause in lifted:
                assert not guard.allows(source, purpose)
