"""Conditions, legal bases, texts and third parties over several notices: each says what holds of its own data."""

from __future__ import annotations

from typing import Any

import pytest

import purposeguard as pg
from purposeguard.notice.several import JointNotice
from purposeguard.policy.context import DenialReason, SubjectPreferences
from purposeguard.policy.transfers import Recipient
from tests.oversights import Told
from tests.unit.conditions import purpose, tables, titled
from tests.unit.together import JP, day, one, term

HERE = pg.Notice.parse(tables(id="here"))
THERE = pg.Notice.parse(tables(id="there"))
DATA = term(HERE, "Usage"), term(THERE, "Usage")
ADULTS = {"here:adult", "there:adult"}


def both(here: Any = HERE, there: Any = THERE) -> pg.Notices:
    first, second = (given.latest if isinstance(given, pg.History) else given for given in (here, there))
    names = ("Wine", "Newsletter", "Research")
    return pg.Notices(here, there, families={f"Any{name}": term(first, name) | term(second, name) for name in names})


@pytest.fixture
def guard() -> pg.Guard:
    return pg.Guard(both(), governance=Told())


def reason(guard: pg.Guard, source: Any, asked: Any, conditions: Any = (), **more: Any) -> DenialReason | None:
    return guard.explain(source, asked, conditions=conditions, **more).reason


def test_a_condition_is_stated_to_each_notice_by_itself(guard: pg.Guard) -> None:
    assert not guard.allows(DATA, "AnyWine")
    assert not guard.allows(DATA, "AnyWine", conditions={"here:adult"})
    assert guard.allows(DATA[0], "AnyWine", conditions={"here:adult"})
    assert not guard.allows(DATA[1], "AnyWine", conditions={"here:adult"})
    assert guard.allows(DATA, "AnyWine", conditions=ADULTS)
    assert guard.allows([*DATA, pg.NotPersonal], "AnyWine", conditions=ADULTS)
    assert guard.allows(pg.NotPersonal, "AnyWine", conditions={"here:adult"})
    with pytest.raises(pg.ConditionViolation, match="`there:adult` holds, which is stated by `conditions="):
        guard.check(DATA, "AnyWine", conditions={"here:adult"})
    with guard.purpose("AnyWine", conditions=ADULTS) as use:
        use.check(DATA)
        assert use.conditions == ADULTS


def test_what_is_no_source_is_refused_whatever_is_stated(guard: pg.Guard) -> None:
    nested: Any = [[DATA[0]]]
    with pytest.raises(pg.UnknownSource):
        guard.allows(nested, "AnyWine", conditions=ADULTS)


def test_an_id_that_two_notices_have_says_of_which_it_is(guard: pg.Guard) -> None:
    for ask in (guard.allows, guard.check, guard.explain):
        with pytest.raises(pg.UnknownCondition) as caught:
            ask(DATA, "AnyWine", conditions={"adult"})
        assert str(caught.value) == (
            "unknown condition `adult`: more than one notice has it: write `here:adult` or `there:adult`, or each that "
            "holds"
        )
    with pytest.raises(pg.UnknownCondition, match="more than one notice has it"):
        guard.purpose("AnyWine", conditions={"Adult"})


@pytest.mark.parametrize(
    ("spelt", "meant"), [("here:adult", "here:adult"), ("THERE: Adult", "there:adult"), ("Minor", "here:minor")]
)
def test_an_id_that_one_notice_has_needs_no_name(spelt: str, meant: str) -> None:
    made = tables(id="here")
    made["condition"].append({"id": "minor", "title": titled("is not of age")})
    guard = pg.Guard(both(here=pg.Notice.parse(made)))
    assert isinstance(guard.notice, JointNotice)
    assert guard.notice.condition(spelt) == meant
    assert guard.notice.conditions == ("here:outside-eu", "here:adult", "here:minor", "there:outside-eu", "there:adult")


@pytest.mark.parametrize("given", ["elsewhere:adult", "adults", "", "(", "x" * 500, 7])
def test_what_no_notice_has(guard: pg.Guard, given: Any) -> None:
    with pytest.raises(pg.UnknownCondition, match="the notice knows here:outside-eu, here:adult, there:outside-eu"):
        guard.allows(DATA, "AnyWine", conditions=[given])


def test_a_prohibition_is_lifted_in_its_own_notice(guard: pg.Guard) -> None:
    letters = term(HERE, "Newsletter")
    denied = guard.explain(DATA[0], letters, conditions={"there:adult", "here:outside-eu"})
    assert denied.reason is DenialReason.CONDITION
    (told,) = denied.reasons
    assert told.startswith("here:2 is forbidden to serve newsletter (here:3①): no advertising to children; save where")
    assert told.endswith('`here:adult` holds, which is stated by `conditions={"here:adult"}`')
    assert reason(guard, DATA[0], letters, {"here:adult", "there:outside-eu"}) is DenialReason.CONSENT
    assert guard.allows(DATA[0], letters, conditions={"here:adult", "here:outside-eu"})
    family = guard.explain(DATA, "AnyNewsletter", conditions={"here:adult", "here:outside-eu"})
    assert family.denied == (DATA[1],)
    assert family.reasons[0].startswith(
        "there:2 serves any-newsletter (here:3①, there:3①) only where `there:adult` holds"
    )


def test_a_revision_of_collection_has_its_own_conditions() -> None:
    """Wine was for those outside the EU; of what was collected then, both conditions are to be stated."""
    before = tables(id="here", revision="2025-01-01")
    before["grant"][0]["purpose"][3]["when"] = ["outside-eu"]
    guard = pg.Guard(both(here=pg.History(pg.Notice.parse(before), HERE)), clock=lambda: day("2026-06-01"))
    about = pg.RowContext(collected=day("2025-06-01").date())
    wine = term(HERE, "Wine")
    denied = guard.explain(DATA[0], wine, subject=about, conditions=ADULTS | {"there:outside-eu"})
    assert denied.reason is DenialReason.REVISION
    assert denied.reasons[0].startswith("here:2 was collected under the revision of 2025-01-01, which grants")
    assert "where `here:outside-eu` holds" in denied.reasons[0]
    assert guard.allows(DATA[0], wine, subject=about, conditions={"here:adult", "here:outside-eu"})


def test_a_condition_that_is_gone(guard: pg.Guard) -> None:
    made = tables(id="there", revision="2026-02-01")
    made["condition"][1]["id"] = "of-age"
    made["forbid"][0]["unless"] = made["grant"][0]["purpose"][3]["when"] = ["of-age"]
    with guard.purpose("AnyWine", conditions=ADULTS) as use:
        guard.replace(pg.Notice.parse(made))
        with pytest.raises(pg.UnknownCondition):
            use.allows(DATA)


def test_a_basis_is_one_of_the_notice_that_the_data_is_of() -> None:
    """Here research may be done until somebody objects, and there with consent alone."""
    made = tables(id="there")
    made["grant"][0]["purpose"][2]["bases"] = [{"basis": "consent", "sources": ["2"]}, {"basis": "law"}]
    made["grant"][0]["purpose"][2]["bases"][1]["sources"] = ["1"]
    there = pg.Notice.parse(made)
    agreed = SubjectPreferences(consents=frozenset({("there:3③", there.revision)}))
    objected = SubjectPreferences(suspended=frozenset({"here:3③"}), consents=agreed.consents)
    elsewhere = SubjectPreferences(consents=frozenset({("here:3③", there.revision)}))
    known = {"1": SubjectPreferences(), "2": agreed, "3": objected, "4": elsewhere}
    guard = pg.Guard(both(there=there), governance=Told(known))
    here, then = term(HERE, "Usage"), term(there, "Usage")
    no_consent, objection = DenialReason.CONSENT, DenialReason.SUBJECT
    for subject, reasons, both_allowed in (
        (None, (objection, no_consent), False),
        (1, (None, no_consent), False),
        (2, (None, None), True),
        (3, (objection, None), False),
        (4, (None, no_consent), False),
    ):
        assert tuple(reason(guard, source, "AnyResearch", subject=subject) for source in (here, then)) == reasons
        assert guard.allows([here, then], "AnyResearch", subject=subject) is both_allowed
    assert guard.allows(term(there, "Name"), "AnyResearch")  # by law


def test_titles_and_words_are_those_of_each() -> None:
    made = tables(id="there", title={"fr": "sa politique"}, text={"fr": {"words": "Nous vendons du vin."}})
    there = pg.Notice.parse(made)
    joint = pg.Guard(both(there=there)).notice
    assert joint.languages == ("en", "ja", "fr")
    assert joint.words == {}
    assert joint.text(there.document) == ("fr", "Nous vendons du vin.")


def test_a_channel_by_its_title() -> None:
    guard = pg.Guard(pg.Notices(JP, HERE))
    with pytest.raises(pg.UnknownChannel, match="did you mean `email`"):
        guard.allows(term(JP, "Account"), term(JP, "Renewal"), channel="メール")


def test_third_parties_are_those_of_each_notice() -> None:
    """Here an advertiser gets usage for advertising, there what was made of it alone."""

    def made(id_: str, **terms: Any) -> pg.Notice:
        grant: dict[str, Any] = {
            "clause": "3",
            "title": titled("uses"),
            "sources": "any",
            "purpose": [purpose("3①", "Wine"), purpose("3②", "Newsletter"), purpose("3③", "Research")],
        }
        row: dict[str, Any] = {"clause": "4", "title": titled("sharing"), "countries": "any", "safeguards": "recorded"}
        row |= {"recipients": [{"id": "advertiser", "title": titled("advertiser")}], **terms}
        plain: dict[str, Any] = {"grant": [grant], "forbid": [], "overlay": [], "condition": []}
        return pg.Notice.parse(tables(id=id_, **plain, family=[], provision=[row]))

    here, there = made("here", sources=["2"], purposes=["3①"]), made("there", form="aggregate", purposes=["3①"])
    guard = pg.Guard(both(here, there), governance=Told(), clock=lambda: day("2026-06-01"))
    recipient = Recipient("ads", "advertiser", "US", means="post")
    data = {"here": term(here, "Usage"), "there": term(there, "Usage"), "name": term(here, "Name")}

    def refused(label: Any, asked: Any = "AnyWine") -> str | None:
        try:
            guard.check_recipient(label, asked, recipient)
        except pg.RecipientViolation as error:
            return str(error)
        return None

    assert refused(data["here"]) is None
    assert "here: clause 4 provides 2, not 1(a)" in (refused(data["name"]) or "")
    assert "here: clause 4 provides data for 3①, not for 3②" in (refused(data["here"], "AnyNewsletter") or "")
    assert "there: clause 4 provides no personal data" in (refused(data["there"]) or "")
    assert "there: clause 4 provides no personal data" in (refused([data["here"], data["there"]]) or "")
    assert "there:2" in (refused(data["there"]) or "")
    assert refused(pg.NotPersonal) is None
    # Of which notice this was made, nobody knows: a purpose of one is none that the other provides data for.
    told = refused(pg.NotPersonal, term(here, "Wine")) or ""
    assert told.splitlines()[1:] == ["  there: clause 4 provides data for 3①, not for here:3①"]


def test_a_kind_of_recipient_is_one_of_each_notice() -> None:
    other = one("other")
    guard = pg.Guard(pg.Notices(JP, other), governance=Told(), clock=lambda: day("2026-06-01"))
    with pytest.raises(pg.RecipientViolation, match=r"other: the notice has no \[entrustment\]"):
        guard.check_recipient(term(other, "Account"), term(other, "Service"), Recipient("a", "mail-house", "JP"))
